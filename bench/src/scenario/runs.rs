//! What executors report, durable and counted once: one report a call, and fifty.

use std::time::Duration;

use crate::{
    Fault, Plan, http,
    load::{self, Requests},
    process::{Process, scratch},
    table::{Table, median, number},
};

const SLOT: &str = "@@@@@@@@@@@@";
/// Connections, each with a run of its own.
const CONNECTIONS: usize = 64;
const BATCH: usize = 50;
const BATCHERS: usize = 8;

/// Reports of one run, told apart by a counter that is written into the prepared bytes.
#[derive(Clone)]
struct Reports {
    request: Vec<u8>,
    slots: Vec<usize>,
    next: u64,
}

impl Reports {
    fn new(path: &str, body: &str, first: u64) -> Self {
        let request = http::post(path, body);
        let found = request.windows(SLOT.len()).enumerate().filter(|(_, part)| *part == SLOT.as_bytes());
        let slots = found.map(|(at, _)| at).collect();
        Self { request, slots, next: first }
    }
}

impl Requests for Reports {
    fn next(&mut self) -> Option<&[u8]> {
        for at in &self.slots {
            let name = format!("{:012}", self.next % 1_000_000_000_000);
            self.request[*at..*at + SLOT.len()].copy_from_slice(name.as_bytes());
            self.next += 1;
        }
        Some(&self.request)
    }
}

/// The keys of a report that spends: usage with its price, progress on a node, a tool call.
fn report() -> String {
    format!(
        "\"report_id\":\"{SLOT}\",\"status\":\"running\",\"node_id\":\"collect\",\"tool_calls\":1,\
         \"usage\":{{\"prompt_tokens\":812,\"completion_tokens\":164,\"total_tokens\":976,\"cost_usd\":0.0021,\"model\":\"m\"}}"
    )
}

async fn automation(connection: &mut http::Connection) -> Result<String, Fault> {
    let spec = "{\"name\":\"Bench\",\"agents\":[{\"agent_id\":\"worker\"}],\"flow\":{\"nodes\":[\
                {\"node_id\":\"collect\",\"agent_id\":\"worker\",\"objective\":\"collect\"}]}}";
    text(connection, "/automations/v2", spec, "/automation/automation_id").await
}

async fn text(connection: &mut http::Connection, path: &str, body: &str, at: &str) -> Result<String, Fault> {
    let answer = connection.json(&http::post(path, body)).await?;
    let found = answer.pointer(at).and_then(serde_json::Value::as_str);
    found.map(str::to_owned).ok_or_else(|| format!("{path}: {answer}").into())
}

pub async fn run(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    let server = Process::server(plan, &scratch(plan, "runs")).await?;
    let mut connection = http::Connection::open(server.address).await?;
    let id = automation(&mut connection).await?;
    let mut runs = Vec::new();
    for _ in 0..CONNECTIONS {
        runs.push(text(&mut connection, &format!("/automations/v2/{id}/run_now"), "{}", "/run/run_id").await?);
    }
    let single = |round: u64| -> Vec<Reports> {
        let path = |run: &String| format!("/automations/v2/runs/{run}/report");
        runs.iter().map(|run| Reports::new(&path(run), &format!("{{{}}}", report()), round << 32)).collect()
    };
    let batch = |round: u64| -> Vec<Reports> {
        let of = |run: &String| {
            let one = format!("{{\"run_id\":\"{run}\",{}}}", report());
            format!("{{\"reports\":[{}]}}", vec![one; BATCH].join(","))
        };
        let batches = runs.iter().take(BATCHERS);
        batches.map(|run| Reports::new("/automations/v2/runs/reports", &of(run), round << 32)).collect()
    };
    // What is created on first use is there before the clock runs.
    load::drive(server.address, single(1), Duration::from_secs(1)).await?;
    let (mut rates, mut p50, mut p99, mut cpu, mut batched, mut errors) =
        <(Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>, usize)>::default();
    for round in 0..plan.repeat as u64 {
        let before = server.cpu_seconds()?;
        let ours = load::drive(server.address, single(2 * round + 2), Duration::from_secs(plan.seconds)).await?;
        cpu.push((server.cpu_seconds()? - before) * 1e6 / ours.answered.max(1) as f64);
        rates.push(ours.rate());
        p50.push(ours.percentile(50.0));
        p99.push(ours.percentile(99.0));
        let many = load::drive(server.address, batch(2 * round + 3), Duration::from_secs(plan.seconds)).await?;
        batched.push(many.rate() * BATCH as f64);
        errors += ours.errors + many.errors;
        if let Some(why) = ours.first_error.or(many.first_error) {
            println!("  {why}");
        }
    }
    table.add(
        "run_reports",
        format!("{} reports/s", number(median(rates))),
        format!("p50 {:.1} ms, p99 {:.1} ms, processor per report {:.0} µs", median(p50), median(p99), median(cpu)),
        "≥ 5 000 reports/s",
    );
    table.add(
        "run_reports, fifty a call",
        format!("{} reports/s", number(median(batched))),
        format!("{errors} errors in both"),
        "≥ 5 000 reports/s",
    );
    server.stop()
}
