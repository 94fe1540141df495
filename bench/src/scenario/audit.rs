//! The audit log: what a row costs on a short and on a long log, and how fast an export is verified.

use std::{sync::Arc, time::Duration, time::Instant};

use tandem_core::{
    audit::{integrity::Status, verify::verify_bundle},
    ports::Store as _,
};
use tandem_store::SqliteStore;

use crate::{
    Fault, Plan, http, prefill,
    process::{Process, scratch},
    table::{Table, median, number},
};

const SHORT: u64 = 1_000;
/// Rows that one measurement appends, one to a commit.
const APPENDED: u64 = 20_000;
const BULK: u64 = 200;

pub async fn append(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    let long = prefill::open(&scratch(plan, "audit-long"))?;
    prefill::audit(&long, plan.rows, BULK).await?;
    let (mut at_long, mut at_short) = (Vec::new(), Vec::new());
    for _ in 0..plan.repeat {
        let short = prefill::open(&scratch(plan, "audit-short"))?;
        prefill::audit(&short, SHORT, BULK).await?;
        at_short.push(cost(&short).await?);
        prefill::close(short).await?;
        at_long.push(cost(&long).await?);
    }
    let size = long.audit_size(&prefill::context(0).tenant.key()).await?;
    prefill::close(long).await?;
    let (long, short) = (median(at_long), median(at_short));
    table.add(
        &format!("audit append at {} rows", number(size as f64)),
        format!("{long:.1} µs a row, {:.2} of the short log", long / short),
        format!("at 1 000: {short:.1} µs"),
        "within 10 %",
    );
    Ok(())
}

/// Microseconds a row.
async fn cost(store: &Arc<SqliteStore>) -> Result<f64, Fault> {
    prefill::audit(store, APPENDED / 10, 1).await?;
    let begun = Instant::now();
    prefill::audit(store, APPENDED, 1).await?;
    Ok(begun.elapsed().as_secs_f64() * 1e6 / APPENDED as f64)
}

pub async fn verify(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    let state = scratch(plan, "verify");
    let store = prefill::open(&state)?;
    prefill::audit(&store, plan.rows, BULK).await?;
    prefill::close(store).await?;
    let server = Process::server(plan, &state).await?;
    let file = plan.scratch.join("export.jsonl");
    wait_for_checkpoint(&server, plan.rows).await?;
    http::download(server.address, "/audit/ledger/export", &file).await?;
    server.stop()?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut rates = Vec::new();
    let mut rows = 0;
    for _ in 0..plan.repeat {
        let begun = Instant::now();
        let text = std::fs::read(&file)?;
        let report = verify_bundle(text.split(|byte| *byte == b'\n'), None, threads);
        if report.status != Status::Verified || report.record_count < plan.rows / BULK * BULK {
            return Err(format!("the export does not verify: {report:?}").into());
        }
        rows = report.record_count;
        rates.push(report.record_count as f64 / begun.elapsed().as_secs_f64());
    }
    table.add(
        &format!("audit verify, {} rows", number(rows as f64)),
        format!("{} rows/s", number(median(rates))),
        format!("{threads} threads, from the file to the verdict"),
        "≥ 300 000 rows/s",
    );
    Ok(())
}

/// The export covers what is signed; the signature follows the rows within a moment.
async fn wait_for_checkpoint(server: &Process, rows: u64) -> Result<(), Fault> {
    let mut connection = http::Connection::open(server.address).await?;
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let status = connection.call(&http::get("/audit/ledger/manifest")).await?;
        let answer: serde_json::Value = serde_json::from_slice(connection.body())?;
        let size = answer["tree_size"].as_u64().or(answer["record_count"].as_u64()).unwrap_or(0);
        if status == 200 && size >= rows / BULK * BULK {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("no checkpoint covers the rows: {status} {answer}").into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
