//! The report as OSCAL assessment results 1.1: observations, risks and findings over the controls that were looked at.
//!
//! A finding is only ever `not-satisfied`. That a rule found nothing is an observation: whether a control is satisfied is
//! for an assessor to say. Identifiers are made from what they name, so that the same thing has the same one in each
//! report.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tandem_core::text::sha256_hex;

use super::{Report, ReportFinding, times::rfc3339};
use crate::{
    controls::Control,
    finding::Severity,
    lifecycle::LifeStatus,
    probes::{ProbeResult, ProbeStatus},
    scenarios::{ScenarioResult, ScenarioStatus},
};

pub const OSCAL_VERSION: &str = "1.1.3";
const NAMESPACE: &str = "https://github.com/tandem-server/tandem/ns/oscal";

/// A UUID, version 5 in form, that is the same for the same parts.
fn uuid(parts: &[&str]) -> String {
    let hash = sha256_hex(&parts.join("\u{1f}"));
    let variant = match hash.as_bytes()[16] {
        b'0' | b'4' | b'8' | b'c' => '8',
        b'1' | b'5' | b'9' | b'd' => '9',
        b'2' | b'6' | b'a' | b'e' => 'a',
        _ => 'b',
    };
    format!("{}-{}-5{}-{variant}{}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[17..20], &hash[20..32])
}

/// A control as a token: letters, digits, dots, hyphens and underscores.
fn token(control: &Control) -> String {
    let mut out = format!("{}_", control.framework.word());
    let mut gap = false;
    for c in control.control.chars() {
        if c.is_ascii_alphanumeric() || c == '.' {
            if gap && !out.ends_with(['_', '-']) {
                out.push('-');
            }
            gap = false;
            out.push(c.to_ascii_lowercase());
        } else {
            gap = true;
        }
    }
    out.trim_end_matches('.').to_owned()
}

/// One line, never empty: what OSCAL takes as a string.
fn line(text: &str) -> String {
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "-".into() } else { text }
}

fn property(name: &str, value: &str) -> Value {
    json!({ "name": name, "ns": NAMESPACE, "value": line(value) })
}

struct Made<'a> {
    report: &'a Report,
    seed: String,
    collected: String,
}

impl Made<'_> {
    fn id(&self, kind: &str, name: &str) -> String {
        uuid(&[&self.seed, kind, name])
    }

    fn observation(&self, id: &str, title: &str, description: &str, method: &str, types: &str) -> Value {
        json!({
            "uuid": id,
            "title": line(title),
            "description": line(description),
            "methods": [method],
            "types": [types],
            "collected": self.collected,
        })
    }

    fn evidence(&self) -> Value {
        json!([{ "href": format!("#{}", self.artifact()), "description": "The report that this was taken from." }])
    }

    fn artifact(&self) -> String {
        self.id("resource", "report")
    }
}

pub fn results(report: &Report) -> Value {
    let pack = &report.pack();
    let seed = pack.artifact_id.clone().unwrap_or_else(|| report.generated_at_ms.to_string());
    let made = Made { report, seed, collected: rfc3339(report.generated_at_ms) };
    let (mut observations, mut risks, mut findings) = (Vec::new(), Vec::new(), Vec::new());
    let mut controls: BTreeSet<String> = report
        .control_mapping
        .rows
        .iter()
        .map(|row| {
            token(&Control { framework: row.framework, control: row.control.clone(), evidence_for: String::new() })
        })
        .collect();
    // A selection has at least one control.
    if controls.is_empty() {
        controls.insert("tandem_baseline".into());
    }
    // One observation and one risk for each finding; one OSCAL finding for each control that any of them is evidence for.
    let mut by_control: BTreeMap<String, (Control, Vec<String>, Vec<String>)> = BTreeMap::new();
    for found in &report.sections.detected_findings.findings {
        let (observation, risk) = of_finding(&made, found);
        let ids = (text(&observation, "uuid"), text(&risk, "uuid"));
        for control in &found.controls {
            let entry = by_control.entry(token(control)).or_insert_with(|| (control.clone(), Vec::new(), Vec::new()));
            entry.1.push(ids.0.clone());
            entry.2.push(ids.1.clone());
        }
        observations.push(observation);
        risks.push(risk);
    }
    for (token, (control, seen, risk)) in &by_control {
        findings.push(json!({
            "uuid": made.id("finding", token),
            "title": line(&format!("{} {}", control.framework, control.control)),
            "description": line(&format!("Findings that are {}.", control.evidence_for)),
            "target": {
                "type": "objective-id",
                "target-id": token,
                "description": "Not a judgement on the control as a whole.",
                "status": { "state": "not-satisfied", "reason": "fail" },
            },
            "related-observations": seen.iter().map(|id| json!({ "observation-uuid": id })).collect::<Vec<_>>(),
            "related-risks": risk.iter().map(|id| json!({ "risk-uuid": id })).collect::<Vec<_>>(),
        }));
    }
    for (n, result) in report.sections.controlled_probe_results.results.iter().enumerate() {
        observations.push(of_probe(&made, n, result));
    }
    for result in &report.sections.adversarial_scenario_packs.results {
        observations.push(of_scenario(&made, result));
    }
    for row in &report.sections.residual_risk_and_follow_up.not_assessed {
        let id = made.id("not-assessed", &format!("{}{}", row.what, row.why));
        if observations.iter().any(|known: &Value| known["uuid"] == id) {
            continue;
        }
        let title = format!("Not assessed: {}", row.what);
        observations.push(made.observation(&id, &title, &row.why, "EXAMINE", "not-assessed"));
    }
    for row in &report.sections.residual_risk_and_follow_up.open_questions {
        let id = made.id("question", &row.question_id);
        observations.push(made.observation(&id, &row.question, &row.why, "INTERVIEW", "open-question"));
    }
    if observations.is_empty() {
        let id = made.id("observation", "none");
        observations.push(made.observation(&id, "Nothing was found", "No rule found anything.", "EXAMINE", "finding"));
    }
    let tenant = report.scope.tenant_context.key();
    let mut result = json!({
        "uuid": made.id("result", "result"),
        "title": "Security gap assessment",
        "description": super::CLAIM,
        "start": made.collected,
        "end": made.collected,
        "props": [
            property("tenant", tenant.as_str()),
            property("rule-set-digest", &report.rule_set_digest),
            property("residual-risk", &report.sections.residual_risk_and_follow_up.risk),
            property("audit-log", &super::markdown::word(&report.integrity)),
        ],
        "reviewed-controls": {
            "description": "Controls that the rules give evidence for.",
            "control-selections": [{
                "include-controls": controls.iter().map(|id| json!({ "control-id": id })).collect::<Vec<_>>(),
            }],
        },
        "observations": observations,
    });
    if !risks.is_empty() {
        result["risks"] = json!(risks);
    }
    if !findings.is_empty() {
        result["findings"] = json!(findings);
    }
    json!({ "assessment-results": {
        "uuid": made.id("document", "document"),
        "metadata": {
            "title": "Tandem security gap assessment",
            "last-modified": made.collected,
            "version": "1",
            "oscal-version": OSCAL_VERSION,
            "remarks": super::NON_CLAIM,
        },
        "import-ap": { "href": format!("#{}", made.id("resource", "plan")) },
        "results": [result],
        "back-matter": { "resources": resources(&made) },
    } })
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn of_finding(made: &Made<'_>, found: &ReportFinding) -> (Value, Value) {
    let finding = &found.finding;
    let seen = made.id("observation", &finding.fingerprint);
    let mut observation = made.observation(&seen, &finding.title, &finding.detail, "TEST", "finding");
    observation["props"] =
        json!([property("rule-id", &finding.rule_id), property("fingerprint", &finding.fingerprint)]);
    observation["relevant-evidence"] = made.evidence();
    let status = match finding.lifecycle.as_ref().map(|life| life.status) {
        None | Some(LifeStatus::Open) => "open",
        Some(LifeStatus::Accepted) => "deviation-approved",
        Some(LifeStatus::Resolved) => "closed",
    };
    let impact = match finding.severity {
        Severity::Critical | Severity::High => "high",
        Severity::Medium => "moderate",
        Severity::Low => "low",
    };
    let mut props = vec![
        property("severity", finding.severity.word()),
        property("category", &finding.category),
        property("impact", impact),
        property("fingerprint", &finding.fingerprint),
    ];
    if let Some(owner) = finding.lifecycle.as_ref().and_then(|life| life.owner.as_deref()) {
        props.push(property("owner", owner));
    }
    let mut risk = json!({
        "uuid": made.id("risk", &finding.fingerprint),
        "title": line(&finding.title),
        "description": line(&finding.detail),
        "statement": line(&format!("{} ({})", finding.title, finding.category)),
        "props": props,
        "status": status,
        "remediations": [{
            "uuid": made.id("response", &finding.fingerprint),
            "lifecycle": "recommendation",
            "title": "Recommended mitigation",
            "description": line(&finding.recommendation),
        }],
        "related-observations": [{ "observation-uuid": seen }],
    });
    if let Some(due) = finding.lifecycle.as_ref().and_then(|life| life.due_at_ms) {
        risk["deadline"] = json!(rfc3339(due));
    }
    (observation, risk)
}

fn of_probe(made: &Made<'_>, n: usize, result: &ProbeResult) -> Value {
    let id = made.id("probe", &format!("{n}{}", result.fingerprint));
    let title = format!("Probe {}: {}", result.probe_id, result.target.id);
    let detail = format!("Expected: {} Observed: {}", result.expected_behavior, result.observed_behavior);
    let kind = match result.status {
        ProbeStatus::Pass | ProbeStatus::Fail => "control-objective",
        ProbeStatus::Blocked | ProbeStatus::NotApplicable => "not-assessed",
    };
    let mut observation = made.observation(&id, &title, &detail, "TEST", kind);
    observation["props"] =
        json!([property("status", result.status.word()), property("fingerprint", &result.fingerprint)]);
    observation["relevant-evidence"] = made.evidence();
    observation
}

fn of_scenario(made: &Made<'_>, result: &ScenarioResult) -> Value {
    let id = made.id("scenario", &result.scenario_id);
    let title = format!("Scenario {}", result.scenario_id);
    let detail = format!("Expected: {} Observed: {}", result.expected_behavior, result.observed_behavior);
    let kind = match result.status {
        ScenarioStatus::Pass | ScenarioStatus::Fail => "control-objective",
        ScenarioStatus::Blocked => "not-assessed",
    };
    let mut observation = made.observation(&id, &title, &detail, "TEST", kind);
    observation["props"] = json!([property("status", result.status.word())]);
    observation
}

fn resources(made: &Made<'_>) -> Value {
    let report = made.report;
    let pack = &report.pack();
    let mut kept = json!({
        "uuid": made.artifact(),
        "title": "Assessment report",
        "description": "The report in full, as JSON.",
        "props": [property("type", "evidence")],
        "rlinks": [{ "href": place(report), "media-type": "application/json" }],
    });
    if let Some(digest) = &pack.content_sha256 {
        kept["rlinks"][0]["hashes"] = json!([{ "algorithm": "SHA-256", "value": digest }]);
    }
    json!([
        kept,
        {
            "uuid": made.id("resource", "plan"),
            "title": "Rules, probes and scenarios",
            "description": line(&format!("The rule set {} and the probes and scenarios named in the report.", report.rule_set_digest)),
            "rlinks": [{ "href": "/incident-monitor/security/posture-checks" }],
        },
        {
            "uuid": made.id("resource", "checkpoint"),
            "title": "Signed checkpoint of the audit log",
            "description": "A C2SP tlog-checkpoint; the key that verifies it is among the properties.",
            "props": [property("verifier-key", &report.audit_ledger.public_key)],
            "rlinks": [{ "href": "/audit/checkpoint", "media-type": "text/plain" }],
        },
    ])
}

fn place(report: &Report) -> String {
    let pack = &report.pack();
    match (&pack.context_run_id, &pack.artifact_id) {
        (Some(run), Some(artifact)) => format!("/context/runs/{run}/artifacts/{artifact}"),
        _ => "/incident-monitor/security/assessment-report".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::Framework;

    #[test]
    fn identifiers_have_their_form() {
        let id = uuid(&["a", "b"]);
        assert_eq!((id.len(), id.as_bytes()[14], uuid(&["a", "b"])), (36, b'5', id.clone()));
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
        assert_ne!(id, uuid(&["ab", ""]));
        let control =
            |name: &str| Control { framework: Framework::EuAiAct, control: name.into(), evidence_for: "x".into() };
        for (name, expected) in
            [("Art. 26(6)", "eu_ai_act_art.-26-6"), ("A.6.2.8", "eu_ai_act_a.6.2.8"), ("MAP 3.5", "eu_ai_act_map-3.5")]
        {
            assert_eq!(token(&control(name)), expected);
        }
    }
}
