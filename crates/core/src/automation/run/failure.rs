//! From a run that ended badly to a report for the incident pipeline.
//!
//! The transition leaves a [`Note`] and a job in its own commit. The worker turns the note into a submission by the rules
//! here, so that what is reported is what was true then, whatever became of the run meanwhile. Run and session ids are
//! not part of what equal failures are told by: recurrences fold into one incident.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::record::{Run, RunStatus, StopKind};
use crate::{
    fingerprint::normalise::normalise,
    record::{Collection, Column, Record},
    signal::{Classification, SafetyContext, Submission},
    text::{hex, truncate},
    wire::wire_enum,
};

wire_enum! {
    /// How a run ended badly.
    pub enum FailureKind {
        Failed = "failed",
        Blocked = "blocked",
        GuardrailStopped = "guardrail_stopped",
    }
}

impl FailureKind {
    /// The event under which it is reported. A blocked run is a failed one to those who listen.
    pub fn event(self) -> &'static str {
        match self {
            Self::Failed | Self::Blocked => "automation_v2.run.failed",
            Self::GuardrailStopped => "automation_v2.run.guardrail_stopped",
        }
    }
}

/// Runs of these automations look into incidents; one about them would look into itself without end.
const OWN_TRIAGE: &str = "automation-v2-incident-monitor-triage-";

/// Whether a change of a run is one that the pipeline hears of. Dry runs are not, and neither is a stop of what had
/// stopped already.
pub fn kind(before: &Run, after: &Run) -> Option<FailureKind> {
    if after.is_dry() || after.automation_id.starts_with(OWN_TRIAGE) {
        return None;
    }
    let guarded = |run: &Run| run.stop_kind == Some(StopKind::GuardrailStopped) && !run.status.is_terminal();
    if guarded(after) && !guarded(before) {
        return Some(FailureKind::GuardrailStopped);
    }
    if before.status == after.status {
        return None;
    }
    match after.status {
        RunStatus::Failed => Some(FailureKind::Failed),
        RunStatus::Blocked => Some(FailureKind::Blocked),
        RunStatus::Queued
        | RunStatus::Running
        | RunStatus::Pausing
        | RunStatus::Paused
        | RunStatus::AwaitingApproval
        | RunStatus::Completed
        | RunStatus::Cancelled => None,
    }
}

/// The run as it ended, on its way to the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub failure_id: String,
    pub kind: FailureKind,
    pub at_ms: u64,
    /// The request that made the run end.
    pub request_id: String,
    pub run: Run,
}

pub static NOTES: Collection = Collection { name: "automation_failures", columns: &[] };

impl Record for Note {
    const COLLECTION: &'static Collection = &NOTES;
    fn id(&self) -> &str {
        &self.failure_id
    }
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }
}

impl Note {
    pub fn of(run: &Run, kind: FailureKind, failure_id: String, request_id: &str, at_ms: u64) -> Self {
        let mut run = run.clone();
        // The report quotes a few of the outputs at most; a note is read once.
        let node = run.checkpoint.last_failure.as_ref().and_then(|failure| failure.node_id.clone());
        run.checkpoint.node_outputs.retain(|key, _| Some(key) == node.as_ref());
        Self { failure_id, kind, at_ms, request_id: request_id.to_owned(), run }
    }

    fn node(&self) -> Option<&str> {
        let checkpoint = &self.run.checkpoint;
        let failed = checkpoint.last_failure.as_ref().and_then(|failure| failure.node_id.as_deref());
        failed.or_else(|| checkpoint.blocked_nodes.first().map(String::as_str))
    }

    fn reason(&self) -> &str {
        let run = &self.run;
        let failed = run.checkpoint.last_failure.as_ref().map(|failure| failure.reason.as_str());
        match self.kind {
            FailureKind::GuardrailStopped => run.stop_reason.as_deref().or(run.detail.as_deref()),
            FailureKind::Failed | FailureKind::Blocked => failed.or(run.detail.as_deref()),
        }
        .unwrap_or("no reason was given")
    }

    fn error_kind(&self) -> String {
        let told =
            self.run.checkpoint.last_failure.as_ref().and_then(|failure| failure.failure_kind.as_deref()).unwrap_or("");
        match self.kind {
            FailureKind::GuardrailStopped => "guardrail".into(),
            FailureKind::Blocked => "missing_config".into(),
            FailureKind::Failed if told.contains("verification") || told.contains("validation") => {
                "validation_error".into()
            }
            FailureKind::Failed if !told.is_empty() => told.to_owned(),
            FailureKind::Failed => "unknown".into(),
        }
    }
}

/// What the automation adds, where it is still there.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    pub objective: Option<String>,
    pub agent_id: Option<String>,
    pub output_contract: Option<Value>,
    pub input_refs: Vec<Value>,
    pub workspace_root: Option<String>,
    pub max_attempts: u64,
}

/// What is asked of an automation's retry policy when it says nothing.
const USUAL_ATTEMPTS: u64 = 3;

/// Takes from the automation what concerns the failing node.
pub fn setting(automation: Option<&crate::automation::Automation>, note: &Note) -> Setting {
    let Some(automation) = automation else { return Setting { max_attempts: USUAL_ATTEMPTS, ..Setting::default() } };
    let node = note.node().and_then(|id| automation.spec.flow.nodes.iter().find(|node| node.node_id == id));
    let policy = node.and_then(|node| node.extra.get("retry_policy"));
    let attempts = policy.and_then(|policy| policy.get("max_attempts").or(policy.get("maxAttempts")));
    Setting {
        objective: node.map(|node| node.objective.clone()).filter(|text| !text.is_empty()),
        agent_id: node.map(|node| node.agent_id.clone()).filter(|id| !id.is_empty()),
        output_contract: node.and_then(|node| node.extra.get("output_contract")).cloned(),
        input_refs: node.map(|node| node.input_refs.clone()).unwrap_or_default(),
        workspace_root: automation.spec.workspace_root.clone(),
        max_attempts: attempts.and_then(Value::as_u64).unwrap_or(USUAL_ATTEMPTS),
    }
}

/// The payload of the failure event: identity in both spellings, the failing node, and the evidence.
pub fn payload(note: &Note, setting: &Setting) -> Value {
    let run = &note.run;
    let node = note.node();
    let attempt = node.and_then(|node| run.checkpoint.node_attempts.get(node)).and_then(Value::as_u64).unwrap_or(1);
    let status = match note.kind {
        FailureKind::Failed => "failed",
        FailureKind::Blocked => "blocked",
        FailureKind::GuardrailStopped => "guardrail_stopped",
    };
    let verdicts = node.and_then(|node| run.checkpoint.node_attempt_verdicts.get(node));
    json!({
        "automation_id": run.automation_id, "automationID": run.automation_id,
        "workflow_id": run.automation_id, "workflowID": run.automation_id,
        "workflow_name": run.workflow_name,
        "run_id": run.run_id, "runID": run.run_id,
        "session_id": run.latest_session_id, "sessionID": run.latest_session_id,
        "task_id": node, "taskID": node, "stage_id": node, "node_id": node,
        "stage_name": setting.objective,
        "agent_id": setting.agent_id.as_ref().or(run.lineage_agent_ids.first()),
        "component": "automation_v2",
        "effective_execution_profile": run.effective_execution_profile,
        "requested_execution_profile": run.requested_execution_profile,
        "attempt": attempt, "max_attempts": setting.max_attempts, "retry_exhausted": attempt >= setting.max_attempts,
        "status": status,
        "stop_kind": run.stop_kind,
        "reason": note.reason(),
        "error": note.reason(), "error_kind": note.error_kind(),
        "output_contract": setting.output_contract,
        "actual_output": node.and_then(|node| run.checkpoint.node_outputs.get(node)),
        "input_refs": setting.input_refs,
        "artifact_refs": run.artifact_refs,
        "attempt_verdict_chain": verdicts,
        "failure_metadata": run.checkpoint.last_failure.as_ref().and_then(|failure| failure.metadata.clone()),
        "lineage_agent_ids": run.lineage_agent_ids,
        "trigger_type": run.trigger_type,
        "total_tokens": run.total_tokens, "estimated_cost_usd": run.estimated_cost_usd,
        "tenantContext": run.tenant_context,
    })
}

/// Bytes of the payload that go into the report's detail.
const PAYLOAD: usize = 4_000;

/// The report. Intake redacts, bounds and classifies it like any other.
pub fn submission(note: &Note, setting: &Setting) -> Submission {
    let run = &note.run;
    let payload = payload(note, setting);
    let node = note.node();
    let reason = note.reason();
    let place = setting.objective.as_deref().or(node).unwrap_or("automation_v2");
    let name = if run.workflow_name.is_empty() { &run.automation_id } else { &run.workflow_name };
    let verb = match note.kind {
        FailureKind::Failed => "failed",
        FailureKind::Blocked => "is blocked",
        FailureKind::GuardrailStopped => "was stopped by a guardrail",
    };
    let short: String = reason.chars().take(120).collect();
    let title = format!("{name} {verb} at {}: {short}", truncate(place, 100));
    let mut lineage = vec![run.automation_id.clone(), run.run_id.clone()];
    lineage.extend(run.lineage_agent_ids.iter().map(|agent| format!("agent:{agent}")));
    let mut evidence = vec![format!("automation-run:{}", run.run_id), format!("run-failure:{}", note.failure_id)];
    evidence.extend(run.artifact_refs.iter().cloned());
    evidence.truncate(20);
    let mut excerpt: Vec<String> = reason.lines().map(str::to_owned).take(20).collect();
    excerpt.extend(run.checkpoint.lifecycle_history.iter().rev().take(5).rev().map(|line| {
        let why = line.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{}{why}", line.event)
    }));
    Submission {
        title: Some(title),
        detail: Some(detail(note, setting, &payload)),
        source: Some("automation_v2".into()),
        event: Some(note.kind.event().into()),
        level: Some("error".into()),
        process: Some("tandem-engine".into()),
        component: Some("automation_v2".into()),
        run_id: Some(run.run_id.clone()),
        session_id: run.latest_session_id.clone(),
        correlation_id: Some(super::view::context_run_id(&run.run_id)),
        workspace_root: setting.workspace_root.clone(),
        excerpt,
        fingerprint: Some(fingerprint(note, setting)),
        safety: SafetyContext {
            actor: setting.agent_id.clone().or_else(|| run.lineage_agent_ids.first().cloned()),
            action: Some("automation_run".into()),
            external_correlation_ids: lineage,
            ..SafetyContext::default()
        },
        classification: Classification {
            confidence: Some("high".into()),
            risk_level: Some("medium".into()),
            expected_destination: Some("incident_monitor_issue_draft".into()),
            evidence_refs: evidence,
        },
        ..Submission::default()
    }
}

fn detail(note: &Note, setting: &Setting, payload: &Value) -> String {
    let run = &note.run;
    let mut out = String::new();
    let mut line = |label: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = writeln!(out, "{label}: {value}");
        }
    };
    line("reason", Some(note.reason()));
    line("error_kind", Some(&note.error_kind()));
    line("automation", Some(&run.automation_id));
    line("workflow", Some(&run.workflow_name));
    line("run", Some(&run.run_id));
    line("node", note.node());
    line("objective", setting.objective.as_deref());
    line("agent", setting.agent_id.as_deref().or(run.lineage_agent_ids.first().map(String::as_str)));
    line("status", Some(run.status.word()));
    line("stop_kind", run.stop_kind.map(StopKind::word));
    line("executor", run.execution_claim.as_ref().map(|claim| claim.claimant_id.as_str()));
    line("lineage", Some(&run.lineage_agent_ids.join(" < ")));
    line("trigger", Some(&run.trigger_type));
    let _ = write!(out, "payload: {}", truncate(&payload.to_string(), PAYLOAD));
    out
}

/// What equal failures of one automation have in common.
fn fingerprint(note: &Note, setting: &Setting) -> String {
    let run = &note.run;
    let node = note.node().unwrap_or_default();
    let reason = normalise(note.reason());
    let mut hash = Sha256::new();
    for part in [
        setting.workspace_root.as_deref().unwrap_or_default(),
        note.kind.event(),
        &reason,
        &run.automation_id,
        node,
        "automation_v2",
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    format!("automation-v2:{}", &hex(&hash.finalize())[..32])
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
