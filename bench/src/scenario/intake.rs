//! Durable reports per second beside the floor, and the time of one report on an idle server.

use std::time::Duration;

use crate::{
    Fault, Plan,
    load::{self, Outcome},
    machine,
    process::{Process, scratch},
    reports::{Kind, Reports},
    table::{Table, median, number},
};

const CONNECTIONS: u64 = 64;

pub async fn measure(
    process: &Process,
    kind: Kind,
    connections: u64,
    salt: u64,
    seconds: u64,
) -> Result<Outcome, Fault> {
    let supplies = Reports::supplies(kind, connections, salt);
    load::drive(process.address, supplies, Duration::from_secs(seconds)).await
}

/// Floor and server in turn, each on state that holds what the rounds before left.
async fn beside_the_floor(plan: &Plan, table: &mut Table, name: &str, kind: Kind, target: &str) -> Result<(), Fault> {
    let floor = Process::floor(&scratch(plan, "floor")).await?;
    let server = Process::server(plan, &scratch(plan, "server")).await?;
    let floor_kind = if kind == Kind::Traced { Kind::Distinct } else { kind };
    // What is created on first use, statements and pages, is there before the clock runs.
    measure(&floor, floor_kind, CONNECTIONS, 1, 1).await?;
    measure(&server, kind, CONNECTIONS, 1, 1).await?;
    let (mut floors, mut rates, mut ratios, mut p50, mut p99, mut errors) =
        <(Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>, usize)>::default();
    let (mut cpu, mut floor_cpu) = (Vec::new(), Vec::new());
    for round in 0..plan.repeat as u64 {
        let before = floor.cpu_seconds()?;
        let lowest = measure(&floor, floor_kind, CONNECTIONS, round + 2, plan.seconds).await?;
        floor_cpu.push((floor.cpu_seconds()? - before) * 1e6 / lowest.answered.max(1) as f64);
        let before = server.cpu_seconds()?;
        let ours = measure(&server, kind, CONNECTIONS, round + 2, plan.seconds).await?;
        cpu.push((server.cpu_seconds()? - before) * 1e6 / ours.answered.max(1) as f64);
        floors.push(lowest.rate());
        rates.push(ours.rate());
        ratios.push(ours.rate() / lowest.rate());
        p50.push(ours.percentile(50.0));
        p99.push(ours.percentile(99.0));
        errors += ours.errors + lowest.errors;
    }
    table.add(
        name,
        format!("{} reports/s, {:.2} of the floor", number(median(rates)), median(ratios)),
        format!("floor {}/s", number(median(floors))),
        target,
    );
    table.add(
        &format!("{name}: latency and cost"),
        format!("p50 {:.1} ms, p99 {:.1} ms, {errors} errors", median(p50), median(p99)),
        format!("processor per report {:.0} µs, floor {:.0} µs", median(cpu), median(floor_cpu)),
        "p99 < 20 ms, no error",
    );
    server.stop()?;
    floor.stop()
}

pub async fn distinct(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    beside_the_floor(plan, table, "reports_distinct", Kind::Distinct, "≥ 0.75 of the floor").await?;
    beside_the_floor(plan, table, "reports_distinct, grouped by their trace", Kind::Traced, "").await
}

pub async fn same(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    beside_the_floor(plan, table, "reports_same", Kind::Same, "≥ 1.0 of the floor").await
}

pub async fn idle(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    let directory = scratch(plan, "idle");
    let floor = Process::floor(&scratch(plan, "floor")).await?;
    let server = Process::server(plan, &directory).await?;
    let (mut p50, mut p99, mut floor_p50, mut flush) = <(Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
    measure(&floor, Kind::Distinct, 1, 1, 1).await?;
    measure(&server, Kind::Distinct, 1, 1, 1).await?;
    for round in 0..plan.repeat as u64 {
        let lowest = measure(&floor, Kind::Distinct, 1, round + 2, plan.seconds).await?;
        let ours = measure(&server, Kind::Distinct, 1, round + 2, plan.seconds).await?;
        floor_p50.push(lowest.percentile(50.0));
        p50.push(ours.percentile(50.0));
        p99.push(ours.percentile(99.0));
        flush.push(machine::flush_ms(&plan.scratch)?);
    }
    table.add(
        "idle_latency",
        format!("p50 {:.2} ms, p99 {:.2} ms", median(p50), median(p99)),
        format!("floor p50 {:.2} ms; a bare flush of the disk {:.2} ms", median(floor_p50), median(flush)),
        "p50 < 1 ms",
    );
    server.stop()?;
    floor.stop()
}
