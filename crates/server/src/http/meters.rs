//! What the product itself measures. Counters are kept as things happen; gauges are read from the store when a scraper
//! asks, so that they are true on every engine of a shared store.

use tandem_core::{
    error::Failure,
    ports::StoreError,
    publish::{DeliveryState, delivery::DELIVERIES},
    record::{Column, JobKind},
    signal::Outcome,
    tenant::TenantContext,
};

use super::state::AppState;
use crate::telemetry::metrics::{Counter, Family, Metrics};

/// Handles that hot routes keep: making one takes a lock.
#[derive(Clone)]
pub struct Meters {
    reports: Family<Counter>,
}

impl Meters {
    pub fn new(metrics: &Metrics) -> Self {
        let help = "Reports by door and by what became of them.";
        Self { reports: metrics.counters("tandem_reports_total", help, &["door", "outcome"]) }
    }

    /// Counts what became of a report.
    pub fn report(&self, door: &'static str, result: Result<&Outcome, &Failure>) {
        let outcome = match result {
            Ok(outcome) if outcome.blocked.is_some() => "blocked",
            Ok(outcome) if outcome.created => "created",
            Ok(_) => "counted",
            Err(_) => "refused",
        };
        self.reports.with(&[door, outcome]).inc();
    }
}

/// Brings the gauges up to date. What cannot be read now keeps its last value.
pub async fn gauges(state: &AppState) -> Result<(), StoreError> {
    let metrics = &state.gate.metrics;
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let jobs = metrics.gauges("tandem_jobs_waiting", "Jobs that wait for a worker or are held by one.", &["kind"]);
    for kind in JobKind::ALL {
        jobs.with(&[kind.label()]).set(count(state.store.job_count(kind).await?));
    }
    let tenant = TenantContext::local().key();
    let deliveries = metrics.gauges("tandem_deliveries", "Deliveries that are not (yet) taken, by state.", &["state"]);
    for delivery in [
        DeliveryState::Pending,
        DeliveryState::Retrying,
        DeliveryState::Failed,
        DeliveryState::Blocked,
        DeliveryState::Unknown,
    ] {
        let equals = vec![("state", Column::text(delivery.word()))];
        deliveries.with(&[delivery.word()]).set(count(state.store.count(&DELIVERIES, &tenant, equals).await?));
    }
    metrics
        .gauge("tandem_audit_rows", "Rows of the local tenant's audit log.")
        .set(count(state.store.audit_size(&tenant).await?));
    metrics
        .gauge("tandem_audit_tampered", "1 when an audit log was found tampered with.")
        .set(i64::from(state.app.is_tampered()));
    if let Some(bytes) = resident_bytes() {
        metrics.gauge("process_resident_memory_bytes", "Resident memory.").set(bytes);
    }
    Ok(())
}

fn resident_bytes() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * i64::try_from(rustix::param::page_size()).ok()?)
}
