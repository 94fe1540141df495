//! The six metrics, and the answer around them.

use std::collections::{BTreeMap, BTreeSet};

use tandem_core::{
    audit::integrity::Status, governance::policy::Effect, publish::DeliveryState, risk, tenant::TenantContext,
    text::non_blank,
};

use super::{
    DecisionFact, DenialView, Facts, IncidentFact, Maturity, Metric, MetricCounts, MetricEvidence, MetricId,
    MetricInputs, ReceiptFact, Settings, breaches, drift,
};

/// Evidence of one metric at most.
const MOST_EVIDENCE: usize = 1_000;

/// Measures the facts of a tenant.
pub fn measure(tenant: &TenantContext, facts: &Facts, settings: &Settings) -> Maturity {
    let metrics: Vec<Metric> = MetricId::ALL.iter().map(|id| metric(*id, facts, settings)).collect();
    let behavioral_drift = drift::signals(facts, settings);
    let threshold_findings = breaches::findings(tenant, &metrics, &behavioral_drift);
    let count = |name: &str, rows: usize| (name.to_owned(), rows as u64);
    Maturity {
        schema_version: 1,
        mode: "dry_run".into(),
        mutates_external_systems: false,
        redacted: true,
        window: settings.window.clone(),
        thresholds: settings.thresholds.clone(),
        counts: MetricCounts {
            metrics: metrics.len() as u64,
            breached_metrics: metrics.iter().filter(|metric| metric.breached).count() as u64,
            drift_flags: behavioral_drift.iter().filter(|drift| drift.drift_flagged).count() as u64,
            findings: threshold_findings.len() as u64,
        },
        metrics,
        behavioral_drift,
        threshold_findings,
        inputs: MetricInputs {
            counts: BTreeMap::from([
                count("incidents", facts.incidents.len()),
                count("receipts", facts.receipts.len()),
                count("policy_decisions", facts.decisions.len()),
            ]),
            truncated: !facts.truncated.is_empty(),
            truncated_inputs: facts.truncated.clone(),
        },
        integrity: facts.integrity,
    }
}

/// Share of a whole; of nothing there is none.
#[allow(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
pub(super) fn rate(numerator: u64, denominator: u64) -> Option<f64> {
    (denominator > 0).then(|| numerator as f64 / denominator as f64)
}

/// What one metric counts.
#[derive(Default)]
struct Counted {
    numerator: u64,
    denominator: u64,
    threshold: Option<f64>,
    reasons: Vec<String>,
    evidence: Vec<MetricEvidence>,
    denials: Option<DenialView>,
}

fn metric(id: MetricId, facts: &Facts, settings: &Settings) -> Metric {
    let current = &settings.window.current;
    let incidents = || facts.incidents.iter().filter(|incident| current.holds(incident.updated_at_ms));
    let decisions = || facts.decisions.iter().filter(|decision| current.holds(decision.created_at_ms));
    let receipts = || facts.receipts.iter().filter(|receipt| current.holds(receipt.updated_at_ms));
    let thresholds = &settings.thresholds;
    let (name, counted) = match id {
        MetricId::GovernanceConfidence => (
            "High-risk incidents with evidence and a publish trail",
            Counted { threshold: Some(thresholds.governance_confidence_min), ..confidence(incidents(), facts) },
        ),
        MetricId::AuthorityBoundaryCompliance => (
            "Requests that were within their bounds",
            Counted { threshold: Some(thresholds.authority_boundary_compliance_min), ..boundary(decisions()) },
        ),
        MetricId::EscalationPathwayUtilization => (
            "Decisions that needed an approval and have one",
            Counted { threshold: Some(thresholds.escalation_utilization_min), ..escalation(decisions()) },
        ),
        MetricId::RouteReadinessCompliance => (
            "Enabled destinations and sources that are ready",
            Counted {
                numerator: facts.ready_surfaces,
                denominator: facts.enabled_surfaces,
                threshold: Some(thresholds.route_readiness_min),
                ..Counted::default()
            },
        ),
        MetricId::ReceiptCompleteness => (
            "Receipts that name what they left outside",
            Counted { threshold: Some(thresholds.receipt_completeness_min), ..completeness(receipts()) },
        ),
        MetricId::RecurringIncidentRate => ("Incidents that came back", recurring(incidents())),
    };
    finished(id, name, counted, facts, settings.minimum_sample)
}

fn finished(id: MetricId, name: &str, counted: Counted, facts: &Facts, minimum_sample: u64) -> Metric {
    let Counted { numerator, denominator, threshold, mut reasons, mut evidence, denials } = counted;
    let rate = rate(numerator, denominator);
    if rate.is_none() {
        reasons.push("There is nothing of the kind in the current window.".into());
    }
    if let Some(kind) = input_of(id)
        && facts.truncated.iter().any(|truncated| truncated == kind)
    {
        reasons.push(format!("Not all {kind} of the window were read; the newest were."));
    }
    if id == MetricId::GovernanceConfidence && facts.integrity.status == Status::Tampered {
        reasons.push("The audit log was tampered with; what it says of publishes is not proven.".into());
    }
    evidence.truncate(MOST_EVIDENCE);
    Metric {
        metric_id: id,
        name: name.into(),
        numerator,
        denominator,
        rate,
        threshold,
        breached: rate.zip(threshold).is_some_and(|(rate, threshold)| rate < threshold),
        evaluable: rate.is_some(),
        missing_evidence_reasons: reasons,
        evidence_refs: evidence,
        low_sample: denominator > 0 && denominator < minimum_sample,
        minimum_sample,
        denial_view: denials,
    }
}

/// The rows that a metric counts.
fn input_of(id: MetricId) -> Option<&'static str> {
    match id {
        MetricId::GovernanceConfidence | MetricId::RecurringIncidentRate => Some("incidents"),
        MetricId::AuthorityBoundaryCompliance | MetricId::EscalationPathwayUtilization => Some("policy_decisions"),
        MetricId::ReceiptCompleteness => Some("receipts"),
        MetricId::RouteReadinessCompliance => None,
    }
}

fn incident_ref(incident: &IncidentFact) -> MetricEvidence {
    MetricEvidence { kind: "incident".into(), id: incident.incident_id.clone() }
}

fn decision_ref(decision: &DecisionFact) -> MetricEvidence {
    MetricEvidence { kind: "policy_decision".into(), id: decision.decision_id.clone() }
}

fn confidence<'a>(incidents: impl Iterator<Item = &'a IncidentFact>, facts: &Facts) -> Counted {
    let receipted: BTreeSet<&str> =
        facts.receipts.iter().filter_map(|receipt| receipt.incident_id.as_deref()).collect();
    let (mut counted, mut bare, mut untold) = (Counted::default(), 0_u64, 0_u64);
    for incident in incidents.filter(|incident| incident.risk_level.as_deref().is_some_and(risk::is_high)) {
        counted.denominator += 1;
        let id = incident.incident_id.as_str();
        let evidenced = incident.evidence_refs.iter().any(|reference| non_blank(Some(reference)).is_some());
        let told = receipted.contains(id) || facts.published.contains(id);
        bare += u64::from(!evidenced);
        untold += u64::from(!told);
        if evidenced && told {
            counted.numerator += 1;
            counted.evidence.push(incident_ref(incident));
        }
    }
    if bare > 0 {
        counted.reasons.push(format!("{bare} high-risk incidents name no evidence."));
    }
    if untold > 0 {
        counted.reasons.push(format!("{untold} high-risk incidents have neither a receipt nor a publish in the log."));
    }
    counted
}

fn boundary<'a>(decisions: impl Iterator<Item = &'a DecisionFact>) -> Counted {
    let (mut allowed, mut denied, mut asked) = (0_u64, 0_u64, 0_u64);
    let mut evidence = Vec::new();
    for decision in decisions {
        match decision.decision {
            Effect::Allow => allowed += 1,
            Effect::Deny => {
                denied += 1;
                evidence.push(decision_ref(decision));
            }
            Effect::ApprovalRequired => asked += 1,
        }
    }
    let decided = allowed + denied;
    let view = DenialView {
        allowed,
        denied,
        denial_rate: rate(denied, decided),
        enforcement_rate: rate(decided, decided + asked),
    };
    Counted { numerator: allowed, denominator: decided, evidence, denials: Some(view), ..Counted::default() }
}

fn escalation<'a>(decisions: impl Iterator<Item = &'a DecisionFact>) -> Counted {
    let mut counted = Counted::default();
    for decision in decisions.filter(|decision| decision.decision == Effect::ApprovalRequired) {
        counted.denominator += 1;
        if non_blank(decision.approval_id.as_deref()).is_some() {
            counted.numerator += 1;
            counted.evidence.push(decision_ref(decision));
        }
    }
    let without = counted.denominator - counted.numerator;
    if without > 0 {
        counted.reasons.push(format!("{without} decisions that needed an approval name none."));
    }
    counted
}

fn completeness<'a>(receipts: impl Iterator<Item = &'a ReceiptFact>) -> Counted {
    let mut counted = Counted::default();
    for receipt in receipts.filter(|receipt| receipt.status != DeliveryState::Pending) {
        counted.denominator += 1;
        let named = [&receipt.external_id, &receipt.external_url];
        let named = named.into_iter().any(|name| non_blank(name.as_deref()).is_some());
        counted.numerator += u64::from(receipt.status == DeliveryState::Posted && named);
    }
    counted
}

fn recurring<'a>(incidents: impl Iterator<Item = &'a IncidentFact>) -> Counted {
    let mut counted = Counted::default();
    for incident in incidents {
        counted.denominator += 1;
        counted.numerator += u64::from(incident.occurrence_count > 1);
    }
    counted
}
