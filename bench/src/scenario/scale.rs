//! The same work on a short and on a long history.

use std::{path::Path, rc::Rc, time::Duration, time::Instant};

use super::intake::measure;
use crate::{
    Fault, Plan, http,
    load::{self, Again},
    prefill::{self, LONG_AGO},
    process::{Process, scratch},
    reports::Kind,
    table::{Table, median, number},
};

const SHORT: u64 = 1_000;
const PAGES: usize = 400;

#[derive(Default)]
struct Side {
    rates: Vec<f64>,
    pages: Vec<f64>,
    deep: Vec<f64>,
    ready: Vec<f64>,
}

pub async fn run(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    let mut long = Side::default();
    let mut short = Side::default();
    let state = scratch(plan, "long");
    let begun = Instant::now();
    prefill::incidents(&state, plan.rows, LONG_AGO).await?;
    let bytes = std::fs::metadata(state.join("tandem.db"))?.len();
    println!("  {} incidents written in {:.0} s, {} MB", plan.rows, begun.elapsed().as_secs_f64(), bytes / 1_000_000);
    for round in 0..plan.repeat as u64 {
        // Each round of the short side begins with a short history again.
        let small = scratch(plan, "short");
        prefill::incidents(&small, SHORT, LONG_AGO).await?;
        one(plan, &small, round, &mut short).await?;
        one(plan, &state, round, &mut long).await?;
    }
    let rows = number(plan.rows as f64);
    let ratio = |a: &[f64], b: &[f64]| median(a.to_vec()) / median(b.to_vec());
    table.add(
        &format!("reports at {rows} incidents"),
        format!(
            "{} reports/s, {:.2} of the short history",
            number(median(long.rates.clone())),
            ratio(&long.rates, &short.rates)
        ),
        format!("at 1 000: {}/s", number(median(short.rates))),
        "within 15 %",
    );
    table.add(
        &format!("filtered page of 50 at {rows}"),
        format!("p99 {:.2} ms, deep in the list {:.2} ms", median(long.pages), median(long.deep)),
        format!("at 1 000: {:.2} ms, {:.2} ms", median(short.pages), median(short.deep)),
        "p99 < 5 ms",
    );
    table.add(
        &format!("ready at {rows}"),
        format!("{:.0} ms from its start", median(long.ready)),
        format!("at 1 000: {:.0} ms", median(short.ready)),
        "< 1 000 ms",
    );
    Ok(())
}

async fn one(plan: &Plan, state: &Path, round: u64, side: &mut Side) -> Result<(), Fault> {
    let server = Process::server(plan, state).await?;
    side.ready.push(server.ready_after.as_secs_f64() * 1000.0);
    let first = "/incident-monitor/incidents?status=draft_created&limit=50";
    side.pages.push(pages(&server, first).await?);
    let mut connection = http::Connection::open(server.address).await?;
    let mut path = first.to_owned();
    for _ in 0..10 {
        let answer = connection.json(&http::get(&path)).await?;
        let Some(cursor) = answer["next_cursor"].as_str() else { break };
        path = format!("{first}&cursor={cursor}");
    }
    side.deep.push(pages(&server, &path).await?);
    measure(&server, Kind::Distinct, 64, 100 + round * 2, 1).await?;
    side.rates.push(measure(&server, Kind::Distinct, 64, 101 + round * 2, plan.seconds).await?.rate());
    server.stop()
}

async fn pages(server: &Process, path: &str) -> Result<f64, Fault> {
    let client = Again { request: Rc::new(http::get(path)), times: PAGES };
    let outcome = load::drive(server.address, vec![client], Duration::from_secs(30)).await?;
    Ok(outcome.percentile(99.0))
}
