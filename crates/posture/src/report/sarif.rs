//! The report as SARIF 2.1.0, for dashboards that track findings from one run to the next.
//!
//! Findings, failed probes and failed scenarios are results. What they are about has no file, so places are logical ones.
//! The recorded life of a finding becomes its baseline state, and a risk that a person took becomes a suppression.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Report, ReportFinding, times::rfc3339};
use crate::{
    controls,
    finding::{AffectedObject, Severity},
    lifecycle::{LifeStatus, Lifecycle},
    posture::table,
    probes::ProbeStatus,
    scenarios::ScenarioStatus,
};

pub const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

/// What dashboards sort by.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.0",
        Severity::Low => "2.0",
    }
}

/// The rules that the results name, in the order in which they are first named.
#[derive(Default)]
struct Rules {
    index: BTreeMap<String, usize>,
    rows: Vec<Value>,
}

impl Rules {
    fn of(&mut self, id: &str, make: impl FnOnce() -> Value) -> usize {
        if let Some(index) = self.index.get(id) {
            return *index;
        }
        self.rows.push(make());
        self.index.insert(id.to_owned(), self.rows.len() - 1);
        self.rows.len() - 1
    }
}

pub fn log(report: &Report) -> Value {
    let mut rules = Rules::default();
    let mut results: Vec<Value> = Vec::new();
    let sections = &report.sections;
    for found in &sections.detected_findings.findings {
        let index = rules.of(&found.finding.rule_id, || rule(found));
        results.push(finding(found, index));
    }
    for result in sections.controlled_probe_results.results.iter().filter(|row| row.status == ProbeStatus::Fail) {
        let id = format!("probe/{}", result.probe_id);
        let index = rules.of(&id, || described(&id, "A controlled probe.", Severity::High));
        results.push(json!({
            "ruleId": id,
            "ruleIndex": index,
            "kind": "fail",
            "level": "error",
            "message": { "text": format!("Expected: {} Observed: {}", result.expected_behavior, result.observed_behavior) },
            "locations": places(&[&result.target], result.evidence_refs.iter().map(|evidence| evidence.path.as_str())),
            "partialFingerprints": { "tandemProbe/v1": result.fingerprint },
        }));
    }
    for result in sections.adversarial_scenario_packs.results.iter().filter(|row| row.status == ScenarioStatus::Fail) {
        let id = format!("scenario/{}", result.scenario_id);
        let index = rules.of(&id, || described(&id, "An adversarial scenario.", Severity::High));
        let target = AffectedObject::new("scenario", result.case_id.as_deref().unwrap_or(&result.scenario_id));
        results.push(json!({
            "ruleId": id,
            "ruleIndex": index,
            "kind": "fail",
            "level": "error",
            "message": { "text": format!("Expected: {} Observed: {}", result.expected_behavior, result.observed_behavior) },
            "locations": places(&[&target], std::iter::empty()),
            "partialFingerprints": { "tandemScenario/v1": result.fingerprint },
        }));
    }
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "Tandem",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": "https://github.com/tandem-server/tandem",
                "rules": rules.rows,
            } },
            "automationDetails": { "id": format!("tandem-assessment/{}/", report.scope.tenant_context.key().as_str()) },
            "invocations": [{ "executionSuccessful": true, "endTimeUtc": rfc3339(report.generated_at_ms) }],
            "results": results,
            "properties": {
                "artifactId": report.pack().artifact_id,
                "artifactSha256": report.pack().content_sha256,
                "ruleSetDigest": report.rule_set_digest,
                "auditLog": report.integrity,
                "checkpoint": report.audit_ledger.checkpoint,
                "omittedFindings": sections.detected_findings.omitted,
            },
        }],
    })
}

fn described(id: &str, text: &str, severity: Severity) -> Value {
    json!({
        "id": id,
        "shortDescription": { "text": text },
        "defaultConfiguration": { "level": level(severity) },
        "properties": { "security-severity": score(severity), "tags": ["security"] },
    })
}

fn rule(found: &ReportFinding) -> Value {
    let id = &found.finding.rule_id;
    let known = table::find(id);
    let severity = known.map_or(found.finding.severity, |rule| rule.default_severity);
    let looks_for = known.map_or("A posture rule.", |rule| rule.looks_for);
    let mut rule = described(id, looks_for, severity);
    let evidence: Vec<Value> = controls::of(id)
        .iter()
        .map(|control| {
            json!({ "framework": control.framework, "control": control.control, "evidenceFor": control.evidence_for })
        })
        .collect();
    rule["help"] = json!({ "text": found.finding.recommendation });
    rule["properties"]["category"] = json!(found.finding.category);
    rule["properties"]["evidenceFor"] = json!(evidence);
    rule
}

fn finding(found: &ReportFinding, index: usize) -> Value {
    let finding = &found.finding;
    let objects: Vec<&AffectedObject> = finding.affected_objects.iter().collect();
    let mut result = json!({
        "ruleId": finding.rule_id,
        "ruleIndex": index,
        "kind": "fail",
        "level": level(finding.severity),
        "message": { "text": format!("{} {}", finding.title, finding.detail) },
        "locations": places(&objects, finding.evidence_refs.iter().map(|evidence| evidence.path.as_str())),
        "partialFingerprints": { "tandemFinding/v1": finding.fingerprint },
        "properties": {
            "findingId": finding.finding_id,
            "severity": finding.severity,
            "category": finding.category,
            "recommendation": finding.recommendation,
        },
    });
    if let Some(life) = &finding.lifecycle {
        result["baselineState"] = json!(baseline(life));
        result["occurrenceCount"] = json!(life.occurrence_count.max(1));
        if let (LifeStatus::Accepted, Some(taken)) = (life.status, &life.accepted) {
            result["suppressions"] = json!([{
                "kind": "external",
                "status": "accepted",
                "justification": taken.reason,
                "properties": { "by": taken.by, "atMs": taken.at_ms, "expiresAtMs": taken.expires_at_ms },
            }]);
        }
    }
    result
}

fn baseline(life: &Lifecycle) -> &'static str {
    match (life.status, life.occurrence_count) {
        (LifeStatus::Resolved, _) => "absent",
        (LifeStatus::Open | LifeStatus::Accepted, 0 | 1) => "new",
        (LifeStatus::Open | LifeStatus::Accepted, _) => "unchanged",
    }
}

/// One place with what is affected, and where in the inventory that can be seen.
fn places<'a>(objects: &[&AffectedObject], paths: impl Iterator<Item = &'a str>) -> Value {
    let mut logical: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut place = Map::new();
            place.insert("name".into(), json!(object.id));
            place.insert("fullyQualifiedName".into(), json!(format!("{}:{}", object.kind, object.id)));
            place.insert("kind".into(), json!("resource"));
            Value::Object(place)
        })
        .collect();
    logical.extend(paths.map(|path| json!({ "fullyQualifiedName": path, "kind": "member" })));
    json!([{ "logicalLocations": logical }])
}
