//! Assessment of estates that grow: inventory, posture, report, and what intake feels of them.

use std::{
    path::Path,
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};
use tandem_core::{
    automation::Automation,
    config::{self, StoredConfig},
    ports::Store,
    record::{Commit, Put, Write},
};

use super::intake::measure;
use crate::{
    Fault, Plan, http,
    load::{self, Again},
    prefill::{self, Pace},
    process::{Process, scratch},
    reports::Kind,
    table::{Table, median, number},
};

const SIZES: [u64; 3] = [1_000, MEASURED, 100_000];
/// The size that the targets are about.
const MEASURED: u64 = 10_000;
const TWO_WEEKS_MS: u64 = 14 * 86_400_000;
/// Sources of one project.
const SOURCES: u64 = 100;
const SECURITY: &str = "/incident-monitor/security";

/// `size` automations and sources, a tenth as many destinations and routes.
async fn estate(state: &Path, size: u64) -> Result<(), Fault> {
    let store = prefill::open(state)?;
    let ctx = prefill::context(1_700_000_000_000);
    let list = |count: u64, one: &dyn Fn(u64) -> Value| (0..count).map(one).collect::<Vec<_>>();
    let governed = json!({
        "source_owner": "ops", "system_of_record": "s", "data_classification": "internal", "allowed_use": "ops",
        "source_of_truth": "t", "freshness_sla_ms": 4_000_000_000_000_u64, "last_observed_at_ms": 1,
        "expected_schema_version": "1", "schema_drift_status": "stable", "quality_notes": "q", "legal_basis": "l",
    });
    let body = json!({
        "enabled": true, "repo": "acme/checkout",
        "destinations": list(size / 10, &|n| json!({
            "destination_id": format!("gh-{n}"), "name": "GH", "kind": "github_issue", "repo": "acme/app", "require_approval": true,
        })),
        "routes": list(size / 10, &|n| json!({
            "route_id": format!("r-{n}"), "name": "R", "destination_ids": [format!("gh-{n}")],
            "match_event_types": [format!("event.{n}")],
        })),
        "monitored_projects": list((size / SOURCES).max(1), &|p| json!({
            "project_id": format!("p-{p}"), "name": "P", "repo": "acme/app", "workspace_root": "/srv", "tenant_id": "t",
            "workspace_id": "w", "event_schema_version": "1", "redaction_profile": "r", "retention_profile": "r",
            "data_readiness": governed, "allowed_destination_ids": ["gh-0"],
            "log_sources": list(SOURCES, &|s| json!({ "source_id": format!("s-{s}"), "path": format!("logs/{s}.log"), "enabled": false })),
        })),
    });
    let config = config::read(body).map_err(|error| format!("{error:?}"))?;
    store.commit(Commit::new(&ctx).put(Put::insert(&StoredConfig { config }))).await?;
    for batch in 0..size.div_ceil(500) {
        let mut commit = Commit::new(&ctx);
        for n in batch * 500..((batch + 1) * 500).min(size) {
            let automation: Automation = serde_json::from_value(json!({
                "automation_id": format!("automation-{n:06}"), "status": "active", "creator_id": "ann",
                "created_at_ms": 1, "updated_at_ms": 1 + n, "name": "Nightly",
                "agents": [{"agent_id": "worker", "tool_policy": {"allowlist": ["read", "bash"]}, "approval_policy": "always"}],
                "flow": {"nodes": [{"node_id": "n", "agent_id": "worker", "objective": "o"}]},
            }))?;
            commit.writes.push(Write::Put(Put::insert(&automation)));
        }
        store.commit(commit).await?;
    }
    prefill::close(store).await
}

/// The time of one call, in milliseconds.
async fn time(connection: &mut http::Connection, request: &[u8]) -> Result<f64, Fault> {
    let begun = Instant::now();
    let status = connection.call(request).await?;
    if status != 200 {
        return Err(format!("{status}: {}", String::from_utf8_lossy(connection.body())).into());
    }
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}

/// What is asked of an estate.
fn requests() -> [(&'static str, Vec<u8>); 3] {
    [
        ("inventory", http::get(&format!("{SECURITY}/authority-inventory"))),
        ("posture", http::get(&format!("{SECURITY}/posture-checks"))),
        ("report", http::post(&format!("{SECURITY}/assessment-report"), "{}")),
    ]
}

/// Spread over the current window of the metrics and the one before.
fn two_weeks(count: u64) -> Result<Pace, Fault> {
    let now_ms = u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis())?;
    let every_ms = (TWO_WEEKS_MS / count).max(1);
    Ok(Pace { from_ms: now_ms.saturating_sub(every_ms * count), every_ms })
}

pub async fn run(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    for size in SIZES.into_iter().filter(|size| *size <= plan.rows) {
        let state = scratch(plan, &format!("estate-{size}"));
        estate(&state, size).await?;
        let incidents = if size == MEASURED { plan.incidents } else { 0 };
        if incidents > 0 {
            prefill::incidents(&state, incidents, two_weeks(incidents)?).await?;
        }
        let server = Process::server(plan, &state).await?;
        let mut connection = http::Connection::open(server.address).await?;
        let [.., (_, report)] = requests();
        // After a start the log is checked once, and whatever tells of it waits for that.
        let first = time(&mut connection, &report).await?;
        let mut took: [Vec<f64>; 3] = Default::default();
        for _ in 0..plan.repeat {
            for ((_, request), took) in requests().iter().zip(&mut took) {
                took.push(time(&mut connection, request).await?);
            }
        }
        let [inventory, posture, report] = took.map(median);
        let rows = number(size as f64);
        table.add(
            &format!("assessment of {rows} automations and sources, {} incidents", number(incidents as f64)),
            format!("inventory {inventory:.0} ms, posture {posture:.0} ms, report {report:.0} ms"),
            format!(
                "first report after the start {first:.0} ms; {:.0} MiB resident afterwards",
                server.resident_mib()?
            ),
            if size == MEASURED { "inventory and posture < 1 000 ms, report < 2 000 ms" } else { "grows linearly" },
        );
        if size == MEASURED {
            beside(plan, table, &server).await?;
        }
        server.stop()?;
    }
    Ok(())
}

/// Intake, alone and while one caller asks for the same again and again.
async fn beside(plan: &Plan, table: &mut Table, server: &Process) -> Result<(), Fault> {
    measure(server, Kind::Distinct, 4, 900, 1).await?;
    for (n, (name, request)) in (0..).zip(requests()) {
        let mut sides: [Vec<f64>; 2] = Default::default();
        let mut asked = 0;
        for round in 0..plan.repeat as u64 {
            let run = 901 + 2 * (n * plan.repeat as u64 + round);
            sides[0].push(measure(server, Kind::Distinct, 4, run, plan.seconds).await?.percentile(99.0));
            let client = Again { request: Rc::new(request.clone()), times: usize::MAX };
            let asking = load::drive(server.address, vec![client], Duration::from_secs(plan.seconds));
            let (asks, with) = tokio::join!(asking, measure(server, Kind::Distinct, 4, run + 1, plan.seconds));
            asked += asks?.answered;
            sides[1].push(with?.percentile(99.0));
        }
        let [alone, with] = sides.map(median);
        table.add(
            &format!("intake beside {name} at {}", number(MEASURED as f64)),
            format!("p99 {with:.1} ms, {:.2} of that without", with / alone),
            format!("without: {alone:.1} ms, 4 connections; {asked} answers meanwhile"),
            "≤ 1.20",
        );
    }
    Ok(())
}
