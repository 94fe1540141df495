//! What the product itself measures. Counters are kept as things happen; gauges are read from the store when a scraper
//! asks, so that they are true on every engine of a shared store.

use tandem_core::{
    error::Failure,
    ports::StoreError,
    publish::{DeliveryState, delivery::DELIVERIES},
    record::{Column, JobKind},
    signal::Outcome,
    source::state::LogSourceRuntimeStatus,
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
    log_sources(state, metrics).await;
    if let Some(bytes) = resident_bytes() {
        metrics.gauge("process_resident_memory_bytes", "Resident memory.").set(bytes);
    }
    Ok(())
}

/// One series for each source of the local tenant; those of sources that are gone go too.
async fn log_sources(state: &AppState, metrics: &Metrics) {
    const SOURCE: &[&str] = &["project", "source"];
    let Ok(rows) = state.app.log_source_rows(&TenantContext::local().key()).await else { return };
    let now_ms = state.app.now_ms();
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let age = |at: Option<u64>| count(at.map_or(0, |at| now_ms.saturating_sub(at) / 1_000));
    let errors = metrics.gauges(
        "tandem_log_source_error",
        "1 for the error that a log source has now, by its code.",
        &["project", "source", "code"],
    );
    errors.clear();
    for row in &rows {
        if let Some(code) = row.last_error_code.filter(|_| !row.healthy) {
            errors.with(&[&row.project_id, &row.source_id, code.word()]).set(1);
        }
    }
    type Read = fn(&LogSourceRuntimeStatus) -> u64;
    let totals: [(&'static str, &'static str, Read); 6] = [
        ("tandem_log_source_read_bytes_total", "Bytes read of a log source.", |row| row.total_bytes_read),
        ("tandem_log_source_candidates_total", "Failures found in a log source.", |row| row.total_candidates),
        ("tandem_log_source_failures_total", "Failures of a log source counted on incidents.", |row| {
            row.total_submitted
        }),
        ("tandem_log_source_gaps_total", "Times that bytes of a log source were lost for good.", |row| row.gap_count),
        (
            "tandem_log_source_possible_gaps_total",
            "Times that the last bytes before a truncation or deletion may have been lost.",
            |row| row.possible_gap_count,
        ),
        ("tandem_log_source_restarts_total", "Times that a log source's reader ended abnormally.", |row| row.restarts),
    ];
    for (name, help, read) in totals {
        let family = metrics.totals(name, help, SOURCE);
        family.clear();
        for row in &rows {
            family.with(&[&row.project_id, &row.source_id]).set(count(read(row)));
        }
    }
    // What is not known has no value: a source without data is not one whose data is new.
    let gauges: [(&'static str, &'static str, &dyn Fn(&LogSourceRuntimeStatus) -> Option<i64>); 5] = [
        ("tandem_log_source_healthy", "1 when a log source can be read, or is not to be.", &|row| {
            Some(i64::from(row.healthy))
        }),
        ("tandem_log_source_lag_bytes", "Bytes of a log source that are not read yet.", &|row| {
            Some(count(row.lag_bytes))
        }),
        (
            "tandem_log_source_lag_seconds",
            "For how long the oldest unread bytes of a log source have been waiting.",
            &|row| Some(age(row.oldest_unread_ms)),
        ),
        ("tandem_log_source_data_age_seconds", "Seconds since a log source's newest data was written.", &|row| {
            row.newest_data_ms.map(|at| age(Some(at)))
        }),
        ("tandem_log_source_errors_in_a_row", "Reads of a log source that failed since the last good one.", &|row| {
            Some(count(row.consecutive_errors))
        }),
    ];
    for (name, help, read) in gauges {
        let family = metrics.gauges(name, help, SOURCE);
        family.clear();
        for (row, value) in rows.iter().filter_map(|row| Some((row, read(row)?))) {
            family.with(&[&row.project_id, &row.source_id]).set(value);
        }
    }
}

fn resident_bytes() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * i64::try_from(rustix::param::page_size()).ok()?)
}
