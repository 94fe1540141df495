//! The report as OCSF events: a compliance finding for each posture finding, a detection finding for each failed probe
//! and scenario. A SIEM ingests them without a mapping.

use serde_json::{Value, json};

use super::{Report, ReportFinding, times::rfc3339};
use crate::{
    finding::{AffectedObject, Severity},
    lifecycle::{LifeStatus, Lifecycle},
    probes::{ProbeResult, ProbeStatus},
    scenarios::{ScenarioResult, ScenarioStatus},
};

/// The version of the schema that the events keep to.
pub const VERSION: &str = "1.5.0";

const COMPLIANCE: u64 = 2003;
const DETECTION: u64 = 2004;

fn severity(severity: Severity) -> (u64, &'static str) {
    match severity {
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

/// A JSON array of events.
pub fn events(report: &Report) -> Value {
    let sections = &report.sections;
    let findings = sections.detected_findings.findings.iter().map(|found| compliance(report, found));
    let probes = sections.controlled_probe_results.results.iter().filter(|row| row.status == ProbeStatus::Fail);
    let scenarios = sections.adversarial_scenario_packs.results.iter().filter(|row| row.status == ScenarioStatus::Fail);
    findings
        .chain(probes.map(|result| probe(report, result)))
        .chain(scenarios.map(|result| scenario(report, result)))
        .collect()
}

/// What every event has. `activity` is 1 for what is seen first, 2 for what is seen again, 3 for what is gone.
fn event(report: &Report, class: u64, activity: u64, rank: Severity) -> Value {
    let (severity_id, severity) = severity(rank);
    let (class_name, activity_name) = (
        if class == COMPLIANCE { "Compliance Finding" } else { "Detection Finding" },
        match activity {
            1 => "Create",
            2 => "Update",
            _ => "Close",
        },
    );
    let pack = &report.pack();
    json!({
        "class_uid": class,
        "class_name": class_name,
        "category_uid": 2,
        "category_name": "Findings",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": class * 100 + activity,
        "type_name": format!("{class_name}: {activity_name}"),
        "severity_id": severity_id,
        "severity": severity,
        "time": report.generated_at_ms,
        "time_dt": rfc3339(report.generated_at_ms),
        "metadata": {
            "version": VERSION,
            "product": { "name": "Tandem", "vendor_name": "Tandem", "version": env!("CARGO_PKG_VERSION") },
            "tenant_uid": report.scope.tenant_context.key().as_str(),
            "correlation_uid": pack.artifact_id,
            "log_name": "assessment_report",
        },
        "unmapped": {
            "artifact_sha256": pack.content_sha256,
            "context_run_id": pack.context_run_id,
            "rule_set_digest": report.rule_set_digest,
            "audit_log": report.integrity,
        },
    })
}

/// Activity and status of a finding with this life.
fn standing(life: Option<&Lifecycle>) -> (u64, u64, &'static str) {
    match life.map(|life| (life.status, life.occurrence_count)) {
        None => (1, 1, "New"),
        Some((LifeStatus::Open, 0 | 1)) => (1, 1, "New"),
        Some((LifeStatus::Open, _)) => (2, 2, "In Progress"),
        Some((LifeStatus::Accepted, _)) => (2, 3, "Suppressed"),
        Some((LifeStatus::Resolved, _)) => (3, 4, "Resolved"),
    }
}

fn resources(objects: &[&AffectedObject]) -> Value {
    let row = |object: &&AffectedObject| {
        let name = object.more.get("name").and_then(Value::as_str).unwrap_or(&object.id);
        json!({ "uid": object.id, "type": object.kind, "name": name })
    };
    objects.iter().map(row).collect()
}

fn compliance(report: &Report, found: &ReportFinding) -> Value {
    let finding = &found.finding;
    let life = finding.lifecycle.as_ref();
    let (activity, status_id, status) = standing(life);
    let first = life.map_or(report.generated_at_ms, |life| life.first_seen_at_ms);
    let last = life.map_or(report.generated_at_ms, |life| life.last_seen_at_ms);
    let requirements: Vec<String> =
        found.controls.iter().map(|control| format!("{} {}", control.framework, control.control)).collect();
    let mut standards: Vec<&str> = found.controls.iter().map(|control| control.framework.word()).collect();
    standards.sort_unstable();
    standards.dedup();
    let mut event = event(report, COMPLIANCE, activity, finding.severity);
    event["message"] = json!(finding.title);
    event["status_id"] = json!(status_id);
    event["status"] = json!(status);
    event["confidence_id"] = json!(3);
    event["confidence"] = json!("High");
    event["finding_info"] = json!({
        "uid": finding.fingerprint,
        "title": finding.title,
        "desc": finding.detail,
        "types": [finding.category],
        "created_time": first,
        "first_seen_time": first,
        "last_seen_time": last,
        "data_sources": finding.evidence_refs.iter().map(|evidence| evidence.path.as_str()).collect::<Vec<_>>(),
        "analytic": { "uid": finding.rule_id, "name": finding.rule_id, "type": "Rule", "type_id": 1 },
    });
    event["compliance"] = json!({
        "control": finding.rule_id,
        "desc": "Evidence for the requirements named here; no statement that they are met or not.",
        "requirements": requirements,
        "standards": standards,
        "status_id": 3,
        "status": "Fail",
    });
    event["resources"] = resources(&finding.affected_objects.iter().collect::<Vec<_>>());
    event["remediation"] = json!({ "desc": finding.recommendation });
    event
}

fn detection(report: &Report, uid: &str, title: String, detail: String, kind: &str, rule: &str) -> Value {
    let mut event = event(report, DETECTION, 1, Severity::High);
    event["message"] = json!(title);
    event["status_id"] = json!(1);
    event["status"] = json!("New");
    event["finding_info"] = json!({
        "uid": uid,
        "title": title,
        "desc": detail,
        "types": [kind],
        "created_time": report.generated_at_ms,
        "analytic": { "uid": rule, "name": rule, "type": "Rule", "type_id": 1 },
    });
    event
}

fn probe(report: &Report, result: &ProbeResult) -> Value {
    let title = format!("Probe {} failed for {}", result.probe_id, result.target.id);
    let detail = format!("Expected: {} Observed: {}", result.expected_behavior, result.observed_behavior);
    let rule = result.probe_id.word();
    let mut event = detection(report, &result.fingerprint, title, detail, "controlled_probe", rule);
    event["resources"] = resources(&[&result.target]);
    event
}

fn scenario(report: &Report, result: &ScenarioResult) -> Value {
    let title = format!("Scenario {} failed", result.scenario_id);
    let detail = format!("Expected: {} Observed: {}", result.expected_behavior, result.observed_behavior);
    detection(report, &result.fingerprint, title, detail, "adversarial_scenario", &result.scenario_id)
}
