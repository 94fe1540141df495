//! What remains: mitigations, residual risk, and what was not assessed.

use std::collections::HashSet;

use tandem_core::audit::integrity;

use super::{Material, Mitigation, NotAssessed, ResidualRisk};
use crate::{
    finding::Severity,
    lifecycle::LifeStatus,
    probes::{ProbeMode, ProbeResult, ProbeStatus},
    scenarios::ScenarioStatus,
};

/// Texts of which each is listed once.
const MOST_MITIGATIONS: usize = 500;

pub(super) fn mitigations(from: &Material<'_>) -> Vec<Mitigation> {
    let mut seen: HashSet<String> = HashSet::new();
    let mut found: Vec<Mitigation> = Vec::new();
    let mut add = |mitigation: Mitigation| {
        if found.len() < MOST_MITIGATIONS && seen.insert(mitigation.recommendation.clone()) {
            found.push(mitigation);
        }
    };
    for finding in &from.posture.findings {
        add(Mitigation {
            source: "posture_finding".into(),
            recommendation: finding.recommendation.clone(),
            severity: Some(finding.severity.word().into()),
            rule_id: Some(finding.rule_id.clone()),
            ..Mitigation::default()
        });
    }
    for result in from.probes.results.iter().filter(|result| result.status == ProbeStatus::Fail) {
        add(Mitigation {
            source: "assessment_probe".into(),
            recommendation: advice(result),
            probe_id: Some(result.probe_id.word().into()),
            target: Some(result.target.clone()),
            ..Mitigation::default()
        });
    }
    if !from.inventory.inventory.incident_monitor.safety_defaults.require_approval_for_high_risk {
        add(Mitigation {
            source: "safety_defaults".into(),
            recommendation: "Require approval for high risk by default.".into(),
            policy: Some("require_approval_for_high_risk".into()),
            ..Mitigation::default()
        });
    }
    found
}

fn advice(result: &ProbeResult) -> String {
    match &result.source_finding {
        Some(finding) => finding.recommendation.clone(),
        None => format!("Make it so: {}", result.expected_behavior),
    }
}

pub(super) fn residual(from: &Material<'_>) -> ResidualRisk {
    let severe = from.posture.findings.iter().filter(|finding| finding.severity >= Severity::High).count() as u64;
    let accepted = from
        .posture
        .findings
        .iter()
        .filter(|finding| finding.lifecycle.as_ref().is_some_and(|life| life.status == LifeStatus::Accepted));
    let (failed, blocked) = (from.probes.counts.fail, from.probes.counts.blocked);
    let risk = if severe > 0 || failed > 0 {
        "high"
    } else if blocked > 0 {
        "medium"
    } else {
        "low"
    };
    ResidualRisk {
        risk: risk.into(),
        critical_or_high_findings: severe,
        failed_probes: failed,
        blocked_probes: blocked,
        follow_up_actions: [
            "Review the severe findings, and give each an owner and a day.",
            "Run the probes again once something was changed.",
            "Export the audit evidence to a system that Tandem does not run on.",
            "Attach this report's artifact to the readiness review.",
        ]
        .map(str::to_owned)
        .to_vec(),
        accepted_findings: accepted.count() as u64,
        not_assessed: not_assessed(from),
        open_questions: from.posture.open_questions.clone(),
    }
}

fn not_assessed(from: &Material<'_>) -> Vec<NotAssessed> {
    let mut rows: Vec<NotAssessed> = Vec::new();
    let mut add = |what: String, why: &str| rows.push(NotAssessed { what, why: why.to_owned() });
    if !from.include_probes {
        add("controlled probes".into(), "They were left out of this report.");
    } else if from.probes.probe_policy.mode == ProbeMode::Disabled {
        add("controlled probes".into(), "They are switched off.");
    }
    if from.include_probes {
        for id in &from.probes.probe_policy.supported_probe_ids {
            if !from.probes.probe_policy.selected_probe_ids.contains(id) {
                add(format!("probe {id}"), "It was not selected.");
            }
        }
    }
    for result in &from.probes.results {
        let what = || format!("probe {} of {}", result.probe_id, result.target.id);
        match result.status {
            ProbeStatus::NotApplicable => add(what(), "There is nothing to probe."),
            ProbeStatus::Blocked => add(what(), "It could not be found out."),
            ProbeStatus::Pass | ProbeStatus::Fail => {}
        }
    }
    for rule in from.posture.rules.iter().filter(|rule| !rule.enabled) {
        add(format!("rule {}", rule.rule_id), "It is switched off.");
    }
    for result in from.scenarios.results.iter().filter(|result| result.status == ScenarioStatus::Blocked) {
        add(format!("scenario {}", result.scenario_id), "Nothing matched, so there was nothing to judge.");
    }
    for metric in from.maturity.metrics.iter().filter(|metric| !metric.evaluable) {
        add(format!("metric {}", metric.metric_id), "The window holds nothing to measure it by.");
    }
    for input in &from.maturity.inputs.truncated_inputs {
        add(format!("some {input}"), "The window holds more rows than are measured.");
    }
    let integrity = &from.ledger.integrity;
    if integrity.status == integrity::Status::Tampered {
        let why = "The audit log is not what was signed; its rows from there on prove nothing.";
        add(format!("audit rows from {} on", integrity.first_bad_seq.unwrap_or_default()), why);
    }
    rows
}
