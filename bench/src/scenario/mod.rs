//! The measurements, by name.

mod assess;
mod audit;
mod governed;
mod intake;
mod logs;
mod runs;
mod scale;
mod size;
mod trackers;
mod webhooks;

use crate::{Fault, Plan, table::Table};

pub const NAMES: [&str; 14] = [
    "reports_distinct",
    "reports_same",
    "idle_latency",
    "webhooks",
    "trackers",
    "log_parse",
    "log_tail",
    "audit_append",
    "audit_verify",
    "size",
    "scale",
    "run_reports",
    "governed",
    "assess",
];

pub async fn run(name: &str, plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    match name {
        "reports_distinct" => intake::distinct(plan, table).await,
        "reports_same" => intake::same(plan, table).await,
        "idle_latency" => intake::idle(plan, table).await,
        "webhooks" => webhooks::run(plan, table).await,
        "trackers" => trackers::run(plan, table).await,
        "audit_append" => audit::append(plan, table).await,
        "audit_verify" => audit::verify(plan, table).await,
        "log_parse" => logs::parse(plan, table),
        "log_tail" => logs::tail(plan, table).await,
        "run_reports" => runs::run(plan, table).await,
        "governed" => governed::run(plan, table).await,
        "assess" => assess::run(plan, table).await,
        "size" => size::run(plan, table).await,
        "scale" => scale::run(plan, table).await,
        _ => Err(format!("no measurement is called {name}").into()),
    }
}
