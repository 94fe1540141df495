//! Thresholds that were crossed, as findings. A finding keeps its fingerprint from window to window, so that what comes
//! back is known again.

use tandem_core::{publish::digest::h, tenant::TenantContext};

use super::{BreachKind, Drift, Metric, ThresholdFinding};
use crate::finding::{DraftSuggestion, Severity};

pub(super) fn findings(tenant: &TenantContext, metrics: &[Metric], drifts: &[Drift]) -> Vec<ThresholdFinding> {
    let breached = metrics.iter().filter(|metric| metric.breached).map(|metric| of_metric(tenant, metric));
    let drifted = drifts.iter().filter(|drift| drift.drift_flagged).map(|drift| of_drift(tenant, drift));
    breached.chain(drifted).collect()
}

fn identity(tenant: &TenantContext, kind: BreachKind, subject: &str) -> (String, String) {
    let key = tenant.key();
    let hash = h([kind.word(), subject, key.as_str()]);
    (format!("gmf_{}", &hash[..16]), format!("sha256:{hash}"))
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "nothing".into(), |value| format!("{value:.3}"))
}

fn few(low_sample: bool) -> &'static str {
    if low_sample { " Few events were counted." } else { "" }
}

fn of_metric(tenant: &TenantContext, metric: &Metric) -> ThresholdFinding {
    let (finding_id, fingerprint) = identity(tenant, BreachKind::MetricThresholdBreach, metric.metric_id.word());
    let detail = format!(
        "{}: {} of {} ({}), below the threshold of {}.{}",
        metric.name,
        metric.numerator,
        metric.denominator,
        number(metric.rate),
        number(metric.threshold),
        few(metric.low_sample),
    );
    let title = format!("Governance metric {} is below its threshold", metric.metric_id);
    let suggestion = suggestion(
        ("governance_maturity_metric", "security.governance_metric.breached"),
        title,
        &fingerprint,
        &detail,
        Severity::High,
        metric.metric_id.word(),
    );
    ThresholdFinding {
        kind: BreachKind::MetricThresholdBreach,
        finding_id,
        fingerprint,
        metric_id: Some(metric.metric_id),
        rate: metric.rate,
        threshold: metric.threshold,
        signal: None,
        delta: None,
        delta_max: None,
        severity: Severity::High,
        detail,
        low_sample: metric.low_sample,
        dry_run: true,
        incident_draft_suggestion: Some(suggestion),
    }
}

fn of_drift(tenant: &TenantContext, drift: &Drift) -> ThresholdFinding {
    let (finding_id, fingerprint) = identity(tenant, BreachKind::BehavioralDrift, &drift.signal);
    let detail = format!(
        "{} went from {} to {}, by more than {}.{}",
        drift.signal,
        number(drift.baseline_rate),
        number(drift.current_rate),
        number(Some(drift.delta_max)),
        few(drift.low_sample),
    );
    let suggestion = suggestion(
        ("governance_behavioral_drift", "security.governance_metric.drifted"),
        format!("{} has drifted", drift.signal),
        &fingerprint,
        &detail,
        Severity::Medium,
        &drift.signal,
    );
    ThresholdFinding {
        kind: BreachKind::BehavioralDrift,
        finding_id,
        fingerprint,
        metric_id: None,
        rate: None,
        threshold: None,
        signal: Some(drift.signal.clone()),
        delta: drift.delta,
        delta_max: Some(drift.delta_max),
        severity: Severity::Medium,
        detail,
        low_sample: drift.low_sample,
        dry_run: true,
        incident_draft_suggestion: Some(suggestion),
    }
}

fn suggestion(
    (source, event_type): (&str, &str),
    title: String,
    fingerprint: &str,
    detail: &str,
    severity: Severity,
    tag: &str,
) -> DraftSuggestion {
    DraftSuggestion {
        source: source.into(),
        event_type: event_type.into(),
        title,
        fingerprint: fingerprint.into(),
        detail: detail.into(),
        risk_level: severity.risk_level().into(),
        risk_category: "governance_gap".into(),
        confidence: "high".into(),
        route_tags: vec!["governance_maturity".into(), tag.into()],
        excerpt: vec![detail.into()],
    }
}
