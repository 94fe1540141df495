//! The metrics in numbers.

use serde_json::json;
use tandem_core::{
    audit::integrity::{Integrity, Reason, Status},
    governance::policy::Effect,
    publish::DeliveryState,
    tenant::TenantContext,
};

use super::*;

/// The current window is (1000, 2000], the baseline (0, 1000].
fn asked() -> Settings {
    let request = Request { to_ms: Some(2_000), window_ms: Some(1_000), ..Request::default() };
    settings(&request, 9_999).unwrap()
}

fn nothing() -> Facts {
    Facts {
        incidents: Vec::new(),
        receipts: Vec::new(),
        decisions: Vec::new(),
        published: std::collections::BTreeSet::new(),
        enabled_surfaces: 0,
        ready_surfaces: 0,
        truncated: Vec::new(),
        integrity: Integrity::EMPTY,
    }
}

fn incident(id: &str, at_ms: u64, risk: &str, category: &str) -> IncidentFact {
    IncidentFact {
        incident_id: id.into(),
        risk_level: Some(risk.into()),
        risk_category: Some(category.into()),
        evidence_refs: vec!["log:1".into()],
        occurrence_count: 1,
        updated_at_ms: at_ms,
    }
}

fn receipt(incident: &str, at_ms: u64, status: DeliveryState, url: Option<&str>) -> ReceiptFact {
    ReceiptFact {
        incident_id: Some(incident.into()),
        status,
        external_id: None,
        external_url: url.map(str::to_owned),
        updated_at_ms: at_ms,
    }
}

fn decision(id: &str, at_ms: u64, decision: Effect, approval: Option<&str>) -> DecisionFact {
    DecisionFact { decision_id: id.into(), decision, approval_id: approval.map(str::to_owned), created_at_ms: at_ms }
}

fn measured(facts: &Facts) -> Maturity {
    measure(&TenantContext::local(), facts, &asked())
}

fn metric(maturity: &Maturity, id: MetricId) -> &Metric {
    maturity.metrics.iter().find(|metric| metric.metric_id == id).unwrap()
}

/// Numerator, denominator, rate, breached.
fn numbers(maturity: &Maturity, id: MetricId) -> (u64, u64, Option<f64>, bool) {
    let metric = metric(maturity, id);
    (metric.numerator, metric.denominator, metric.rate, metric.breached)
}

#[test]
fn nothing_is_neither_good_nor_bad() {
    let maturity = measured(&nothing());
    assert_eq!(maturity.metrics.len(), 6);
    for metric in &maturity.metrics {
        assert_eq!((metric.rate, metric.evaluable, metric.breached, metric.low_sample), (None, false, false, false));
        assert_eq!(metric.missing_evidence_reasons.len(), 1);
    }
    assert_eq!(maturity.behavioral_drift.len(), 3);
    assert!(maturity.behavioral_drift.iter().all(|drift| !drift.evaluable && !drift.drift_flagged));
    assert!(maturity.threshold_findings.is_empty());
}

#[test]
fn six_metrics_in_numbers() {
    let mut facts = nothing();
    facts.incidents = vec![
        incident("told", 1_001, "HIGH", "a"),
        incident("logged", 2_000, "critical", "a"),
        incident("silent", 1_500, "urgent", "a"),
        IncidentFact { evidence_refs: vec![" ".into()], ..incident("bare", 1_500, "severe", "b") },
        IncidentFact { occurrence_count: 3, ..incident("calm", 1_500, "low", "b") },
        // On the edges of the window, and outside it.
        incident("before", 1_000, "high", "b"),
        incident("after", 2_001, "high", "b"),
    ];
    facts.receipts = vec![
        receipt("told", 1_500, DeliveryState::Posted, Some("https://x/1")),
        receipt("bare", 1_500, DeliveryState::Posted, None),
        receipt("told", 1_500, DeliveryState::Failed, Some("https://x/2")),
        receipt("told", 1_500, DeliveryState::Pending, None),
    ];
    facts.published.insert("logged".into());
    facts.decisions = vec![
        decision("a1", 1_500, Effect::Allow, None),
        decision("a2", 1_500, Effect::Allow, None),
        decision("d1", 1_500, Effect::Deny, None),
        decision("e1", 1_500, Effect::ApprovalRequired, Some("ap-1")),
        decision("e2", 1_500, Effect::ApprovalRequired, Some(" ")),
        decision("old", 900, Effect::Deny, None),
    ];
    (facts.enabled_surfaces, facts.ready_surfaces) = (10, 9);
    let maturity = measured(&facts);
    let third = 1.0 / 3.0;
    assert_eq!(numbers(&maturity, MetricId::GovernanceConfidence), (2, 4, Some(0.5), true));
    assert_eq!(numbers(&maturity, MetricId::AuthorityBoundaryCompliance), (2, 3, Some(2.0 / 3.0), true));
    assert_eq!(numbers(&maturity, MetricId::EscalationPathwayUtilization), (1, 2, Some(0.5), true));
    // Exactly at the threshold is no breach.
    assert_eq!(numbers(&maturity, MetricId::RouteReadinessCompliance), (9, 10, Some(0.9), false));
    assert_eq!(numbers(&maturity, MetricId::ReceiptCompleteness), (1, 3, Some(third), true));
    assert_eq!(numbers(&maturity, MetricId::RecurringIncidentRate), (1, 5, Some(0.2), false));

    let ids = |id| metric(&maturity, id).evidence_refs.iter().map(|e| e.id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids(MetricId::GovernanceConfidence), ["told", "logged"]);
    assert_eq!(ids(MetricId::AuthorityBoundaryCompliance), ["d1"]);
    assert_eq!(ids(MetricId::EscalationPathwayUtilization), ["e1"]);
    assert!(ids(MetricId::ReceiptCompleteness).is_empty());

    let view = metric(&maturity, MetricId::AuthorityBoundaryCompliance).denial_view.as_ref().unwrap();
    assert_eq!((view.allowed, view.denied, view.denial_rate, view.enforcement_rate), (2, 1, Some(third), Some(0.6)));
    assert!(metric(&maturity, MetricId::GovernanceConfidence).low_sample);
    assert!(!metric(&maturity, MetricId::RouteReadinessCompliance).low_sample);
    assert_eq!(maturity.counts.breached_metrics, 4);
}

#[test]
fn drift_is_told_apart_by_window() {
    let mut facts = nothing();
    facts.incidents = vec![
        incident("i1", 1_500, "low", "new"),
        incident("i2", 500, "low", "old"),
        IncidentFact { risk_category: None, ..incident("i3", 500, "low", "x") },
    ];
    facts.decisions = vec![
        decision("d1", 1_500, Effect::Deny, None),
        decision("d2", 1_500, Effect::Allow, None),
        decision("d3", 500, Effect::Allow, None),
        decision("d4", 500, Effect::ApprovalRequired, None),
    ];
    facts.receipts = vec![receipt("i1", 1_500, DeliveryState::Failed, None)];
    let maturity = measured(&facts);
    let drift = |signal: &str| {
        let found = maturity.behavioral_drift.iter().find(|drift| drift.signal == signal).unwrap();
        (found.current_rate, found.baseline_rate, found.delta, found.drift_flagged, found.evaluable)
    };
    assert_eq!(drift("publish_failure_rate"), (Some(1.0), None, None, false, false));
    assert_eq!(drift("denied_action_rate"), (Some(0.5), Some(0.0), Some(0.5), true, true));
    assert_eq!(drift("escalation_rate"), (Some(0.0), Some(0.5), Some(0.5), true, true));
    assert_eq!(drift("incident_category_share:new"), (Some(1.0), Some(0.0), Some(1.0), true, true));
    assert_eq!(drift("incident_category_share:old"), (Some(0.0), Some(0.5), Some(0.5), true, true));
    assert_eq!(drift("incident_category_share:uncategorized"), (Some(0.0), Some(0.5), Some(0.5), true, true));
    assert!(maturity.behavioral_drift.iter().all(|drift| drift.low_sample));
    assert_eq!(maturity.counts.drift_flags, 5);
}

#[test]
fn findings_are_known_again() {
    let mut facts = nothing();
    (facts.enabled_surfaces, facts.ready_surfaces) = (10, 1);
    let (local, acme) = (TenantContext::local(), TenantContext::explicit("acme", "main"));
    let first = measure(&local, &facts, &asked()).threshold_findings;
    facts.ready_surfaces = 2;
    let later = settings(&Request { to_ms: Some(9_000), ..Request::default() }, 0).unwrap();
    let second = measure(&local, &facts, &later).threshold_findings;
    assert_eq!((first.len(), first[0].kind), (1, BreachKind::MetricThresholdBreach));
    assert_eq!(first[0].fingerprint, second[0].fingerprint);
    assert!(first[0].finding_id.starts_with("gmf_") && first[0].finding_id.len() == 20);
    assert_ne!(first[0].fingerprint, measure(&acme, &facts, &asked()).threshold_findings[0].fingerprint);
    let suggestion = first[0].incident_draft_suggestion.as_ref().unwrap();
    assert_eq!(suggestion.route_tags, ["governance_maturity", "route_readiness_compliance"]);
    assert_eq!(suggestion.fingerprint, first[0].fingerprint);
}

#[test]
fn windows_and_thresholds() {
    let plain = settings(&Request::default(), 2_000_000_000).unwrap();
    assert_eq!(plain.window.window_ms, DEFAULT_WINDOW_MS);
    assert_eq!((plain.window.current.to_ms, plain.window.current.from_ms), (2_000_000_000, 1_395_200_000));
    assert_eq!(plain.window.baseline.to_ms, plain.window.current.from_ms);
    let zero = Request { window_ms: Some(0), ..Request::default() };
    assert_eq!(settings(&zero, 2_000_000_000).unwrap().window.window_ms, DEFAULT_WINDOW_MS);
    let request = |body| serde_json::from_value::<Request>(body).unwrap();
    let some =
        settings(&request(json!({ "thresholds": { "routeReadinessMin": 0.5, "drift_rate_delta_max": null } })), 1);
    let some = some.unwrap().thresholds;
    assert_eq!(some, Thresholds { route_readiness_min: 0.5, ..Thresholds::default() });
    for wrong in [-0.1, 1.1, 5.0] {
        let refused =
            settings(&request(json!({ "thresholds": { "governance_confidence_min": wrong } })), 1).unwrap_err();
        assert_eq!(refused.http_status(), 400);
        assert!(refused.message.contains("governance_confidence_min"), "{}", refused.message);
    }
}

#[test]
fn a_log_that_was_tampered_with_is_said_so() {
    let mut facts = nothing();
    facts.integrity = Integrity {
        status: Status::Tampered,
        checked_to_seq: 3,
        first_bad_seq: Some(4),
        reason: Some(Reason::RowEdited),
    };
    facts.truncated = vec!["receipts".into()];
    let maturity = measured(&facts);
    assert_eq!(maturity.integrity, facts.integrity);
    let reasons = |id| metric(&maturity, id).missing_evidence_reasons.join(" ");
    assert!(reasons(MetricId::GovernanceConfidence).contains("tampered"));
    assert!(reasons(MetricId::ReceiptCompleteness).contains("Not all receipts"));
    assert!(maturity.inputs.truncated && maturity.inputs.truncated_inputs == ["receipts"]);
}
