//! What an executor says of a run, and what follows from it.
//!
//! Counters only grow: a report can add usage and progress, never take any back. A run that has ended takes in nothing
//! but usage, because what was spent was spent, and the word that a stop was heard. Whoever has lost the run may still
//! say what it cost. Deliberately absent: what usage costs (a price list is configuration), and whether somebody's
//! budget allows it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    claim::{Voice, voice},
    gate::Gate,
    order::{Directives, StopOrder},
    record::{LONGEST_REASON, LastFailure, Run, RunStatus, StopKind},
    transition::{self, Event, transition},
};
use crate::{
    automation::{casing, read::Defect},
    redaction::{Counts, redactor},
    signal::submission::null_default,
    text::{non_blank, sha256_hex, truncate},
    wire::wire_enum,
};

wire_enum! {
    /// What an executor may say that a run is.
    pub enum ReportedStatus {
        Running = "running",
        Completed = "completed",
        Failed = "failed",
        Blocked = "blocked",
        Paused = "paused",
        Cancelled = "cancelled",
        AwaitingApproval = "awaiting_approval",
    }
}

/// What was used since the last report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = RunUsage)]
pub struct Usage {
    #[serde(deserialize_with = "null_default")]
    pub prompt_tokens: u64,
    #[serde(deserialize_with = "null_default")]
    pub completion_tokens: u64,
    /// At least the sum of the two; a smaller number is raised to it.
    #[serde(deserialize_with = "null_default")]
    pub total_tokens: u64,
    /// US dollars. Absent: computed from the model's price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl Usage {
    pub fn is_nothing(&self) -> bool {
        self.prompt_tokens == 0
            && self.completion_tokens == 0
            && self.total_tokens == 0
            && self.cost_usd.is_none_or(|cost| cost == 0.0)
    }

    fn tidy(&mut self) {
        // Nothing is paid back: a cost below zero says nothing.
        self.cost_usd = self.cost_usd.filter(|cost| cost.is_finite() && *cost >= 0.0);
        self.total_tokens = self.total_tokens.max(self.prompt_tokens.saturating_add(self.completion_tokens));
        self.model = non_blank(self.model.as_deref()).map(|model| truncate(model, 200));
    }
}

/// One report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = RunReport)]
pub struct Report {
    /// The caller's own name for this report: sent again, it changes nothing. At most 200 characters.
    pub report_id: String,
    /// The claim under which the caller works, if it claimed the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ReportedStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_kind: Option<StopKind>,
    /// The caller has stopped, as it was told.
    #[serde(deserialize_with = "null_default")]
    pub stop_acknowledged: bool,
    /// The node that `status`, `detail` and `usage` are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    #[serde(deserialize_with = "null_default")]
    pub completed_nodes: Vec<String>,
    #[serde(deserialize_with = "null_default")]
    pub blocked_nodes: Vec<String>,
    #[serde(deserialize_with = "null_default")]
    #[schema(value_type = Object)]
    pub node_outputs: Map<String, Value>,
    #[serde(deserialize_with = "null_default")]
    #[schema(value_type = Object)]
    pub node_attempts: Map<String, Value>,
    #[serde(deserialize_with = "null_default")]
    #[schema(value_type = Object)]
    pub node_attempt_verdicts: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<SaidFailure>,
    /// The question that a person has to answer; needed with `awaiting_approval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaiting_gate: Option<Gate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Tool calls since the last report.
    #[serde(deserialize_with = "null_default")]
    pub tool_calls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(deserialize_with = "null_default")]
    pub artifact_refs: Vec<String>,
    /// The lease wanted from now on, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
}

/// A failure as the executor tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = RunReportedFailure)]
pub struct SaidFailure {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    #[serde(deserialize_with = "null_default")]
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// Bytes of outputs, attempts and verdicts that a run keeps.
const MOST_OUTPUT: usize = 1 << 20;
const MOST_REFS: usize = 20;
const MOST_NODES: usize = 2_000;

/// Reads the body of a report. Texts are redacted before anything else sees them.
pub fn read(mut body: Value) -> Result<Report, Defect> {
    casing::report(&mut body);
    if !body.is_object() {
        return Err(Defect::Shape { path: String::new(), why: "expected an object".into() });
    }
    let mut report: Report = serde_path_to_error::deserialize(body).map_err(|error| Defect::Shape {
        path: error.path().to_string().trim_start_matches('.').to_owned(),
        why: "the value does not fit".into(),
    })?;
    let named = report.report_id.trim();
    if named.is_empty() || named.len() > 200 || named.chars().any(char::is_control) {
        return Err(Defect::Invalid("`report_id` must hold 1 to 200 characters".into()));
    }
    report.report_id = named.to_owned();
    let lists = [&report.completed_nodes, &report.blocked_nodes, &report.artifact_refs];
    if lists.iter().any(|list| list.len() > MOST_NODES) {
        return Err(Defect::Invalid(format!("a list holds more than {MOST_NODES} entries")));
    }
    if let Some(usage) = &mut report.usage {
        usage.tidy();
    }
    if report.status == Some(ReportedStatus::AwaitingApproval) && report.awaiting_gate.is_none() {
        return Err(Defect::Invalid("`awaiting_approval` needs `awaiting_gate` with its `node_id`".into()));
    }
    clean(&mut report);
    Ok(report)
}

fn clean(report: &mut Report) {
    let (redactor, mut counts) = (redactor(None), Counts::new());
    let mut text = |text: &str, limit: usize| redactor.text(&truncate(text, limit), &mut counts).into_owned();
    report.detail = non_blank(report.detail.as_deref()).map(|detail| text(detail, LONGEST_REASON));
    report.claim_id = non_blank(report.claim_id.as_deref()).map(str::to_owned);
    report.node_id = non_blank(report.node_id.as_deref()).map(|id| truncate(id, 200));
    report.session_id = non_blank(report.session_id.as_deref()).map(|id| truncate(id, 200));
    report.artifact_refs = report.artifact_refs.iter().map(|reference| text(reference, 500)).collect();
    if let Some(failure) = &mut report.last_failure {
        failure.reason = text(&failure.reason, LONGEST_REASON);
        failure.failure_kind = non_blank(failure.failure_kind.as_deref()).map(|kind| truncate(kind, 100));
    }
    for map in [&mut report.node_outputs, &mut report.node_attempt_verdicts] {
        if !map.is_empty() {
            let mut value = Value::Object(std::mem::take(map));
            redactor.json(&mut value, &mut counts);
            if let Value::Object(cleaned) = value {
                *map = cleaned;
            }
        }
    }
    if let Some(metadata) = report.last_failure.as_mut().and_then(|failure| failure.metadata.as_mut()) {
        redactor.json(metadata, &mut counts);
    }
}

impl Report {
    /// Tells a report that was sent again from another one under the same name.
    pub fn digest(&self) -> String {
        sha256_hex(&serde_json::to_string(self).unwrap_or_default())
    }

    /// Says nothing about the run's progress.
    fn is_usage_only(&self) -> bool {
        self.status.is_none()
            && self.last_failure.is_none()
            && self.awaiting_gate.is_none()
            && self.completed_nodes.is_empty()
            && self.blocked_nodes.is_empty()
            && self.node_outputs.is_empty()
            && self.node_attempts.is_empty()
            && self.node_attempt_verdicts.is_empty()
    }
}

/// Why a report is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else has the run, or nobody has it any more under that claim.
    ClaimLost,
    Terminal,
    /// It is paused, or waits for a person.
    NotActive,
    /// More output than a run keeps.
    TooLarge,
}

impl From<transition::Refusal> for Refusal {
    fn from(refusal: transition::Refusal) -> Self {
        match refusal {
            transition::Refusal::AlreadyTerminal => Self::Terminal,
            transition::Refusal::NotClaimable
            | transition::Refusal::NotPausable
            | transition::Refusal::NotPaused
            | transition::Refusal::NotRecoverable
            | transition::Refusal::NotAwaitingApproval
            | transition::Refusal::NotActive
            | transition::Refusal::NotHeld => Self::NotActive,
        }
    }
}

/// Takes a report in. `cost_usd` is what its usage cost. On a refusal the run may be changed in part, so callers work on
/// a copy.
pub fn apply(run: &mut Run, report: &Report, cost_usd: f64, now_ms: u64) -> Result<(), Refusal> {
    let voice = voice(run, report.claim_id.as_deref());
    let echoes = report.status.is_some_and(|said| ends_as(said) == Some(run.status));
    let only_usage = report.is_usage_only() || (run.status.is_terminal() && echoes);
    match voice {
        Voice::Stranger if !only_usage => return Err(Refusal::ClaimLost),
        Voice::Holder | Voice::Unclaimed | Voice::Stranger => {}
    }
    if run.status.is_terminal() && !only_usage && !report.stop_acknowledged {
        return Err(Refusal::Terminal);
    }
    if let Some(usage) = &report.usage {
        run.prompt_tokens = run.prompt_tokens.saturating_add(usage.prompt_tokens);
        run.completion_tokens = run.completion_tokens.saturating_add(usage.completion_tokens);
        run.total_tokens = run.total_tokens.saturating_add(usage.total_tokens);
        run.estimated_cost_usd += cost_usd.max(0.0);
    }
    run.tool_calls = run.tool_calls.saturating_add(report.tool_calls);
    run.report_count = run.report_count.saturating_add(1);
    run.updated_at_ms = run.updated_at_ms.max(now_ms);
    if voice == Voice::Stranger {
        return Ok(());
    }
    if let Some(claim) = &mut run.execution_claim {
        claim.extend(report.lease_ms, now_ms);
    }
    if run.status.is_terminal() {
        if report.stop_acknowledged || echoes {
            transition(run, Event::StopAcknowledged, now_ms)?;
        }
        return Ok(());
    }
    note_session(run, report.session_id.as_deref());
    progress(run, report)?;
    for reference in &report.artifact_refs {
        if run.artifact_refs.len() < MOST_REFS && !run.artifact_refs.contains(reference) {
            run.artifact_refs.push(reference.clone());
        }
    }
    if let Some(said) = report.status {
        speak(run, report, said, now_ms)?;
    }
    if report.stop_acknowledged && is_told(run) {
        transition(run, Event::StopAcknowledged, now_ms)?;
    }
    if let Some(reason) = over_limit(run, now_ms) {
        transition(run, Event::StopInAnswer { kind: StopKind::GuardrailStopped, reason }, now_ms)?;
    }
    Ok(())
}

/// An executor has been told to stop and has not said yet that it has.
fn is_told(run: &Run) -> bool {
    run.execution_claim.is_some() && run.stop_order.as_ref().is_some_and(StopOrder::is_open)
}

/// The terminal status that a word means.
fn ends_as(said: ReportedStatus) -> Option<RunStatus> {
    match said {
        ReportedStatus::Completed => Some(RunStatus::Completed),
        ReportedStatus::Failed => Some(RunStatus::Failed),
        ReportedStatus::Blocked => Some(RunStatus::Blocked),
        ReportedStatus::Cancelled => Some(RunStatus::Cancelled),
        ReportedStatus::Running | ReportedStatus::Paused | ReportedStatus::AwaitingApproval => None,
    }
}

fn note_session(run: &mut Run, session: Option<&str>) {
    let Some(session) = session else { return };
    if !run.active_session_ids.iter().any(|held| held == session) && run.active_session_ids.len() < 100 {
        run.active_session_ids.push(session.to_owned());
    }
    run.latest_session_id = Some(session.to_owned());
}

fn progress(run: &mut Run, report: &Report) -> Result<(), Refusal> {
    let checkpoint = &mut run.checkpoint;
    for node in &report.completed_nodes {
        checkpoint.pending_nodes.retain(|held| held != node);
        checkpoint.blocked_nodes.retain(|held| held != node);
        if !checkpoint.completed_nodes.contains(node) && checkpoint.completed_nodes.len() < MOST_NODES {
            checkpoint.completed_nodes.push(node.clone());
        }
    }
    for node in &report.blocked_nodes {
        if !checkpoint.blocked_nodes.contains(node) && checkpoint.blocked_nodes.len() < MOST_NODES {
            checkpoint.blocked_nodes.push(node.clone());
        }
    }
    for (node, attempts) in &report.node_attempts {
        let held = checkpoint.node_attempts.get(node).and_then(Value::as_u64).unwrap_or(0);
        if let Some(attempts) = attempts.as_u64().filter(|attempts| *attempts > held) {
            checkpoint.node_attempts.insert(node.clone(), attempts.into());
        }
    }
    let grows = !report.node_outputs.is_empty() || !report.node_attempt_verdicts.is_empty();
    checkpoint.node_outputs.extend(report.node_outputs.clone());
    checkpoint.node_attempt_verdicts.extend(report.node_attempt_verdicts.clone());
    if grows {
        let maps = [&checkpoint.node_outputs, &checkpoint.node_attempt_verdicts, &checkpoint.node_attempts];
        let bytes: usize = maps.iter().map(|map| serde_json::to_string(map).map_or(0, |text| text.len())).sum();
        if bytes > MOST_OUTPUT {
            return Err(Refusal::TooLarge);
        }
    }
    Ok(())
}

fn speak(run: &mut Run, report: &Report, said: ReportedStatus, now_ms: u64) -> Result<(), Refusal> {
    let detail = report.detail.clone();
    match said {
        ReportedStatus::Running => transition(run, Event::Begun, now_ms)?,
        ReportedStatus::Completed => transition(run, Event::Completed { detail }, now_ms)?,
        ReportedStatus::Blocked => {
            run.checkpoint.last_failure = report.last_failure.as_ref().map(|told| failure(run, report, told, now_ms));
            transition(run, Event::Blocked { detail }, now_ms)?;
        }
        ReportedStatus::Failed => {
            let told = report.last_failure.clone().unwrap_or_default();
            let failure = failure(run, report, &told, now_ms);
            transition(run, Event::Failed { failure, stop_kind: report.stop_kind }, now_ms)?;
        }
        ReportedStatus::Paused => match run.status {
            RunStatus::Pausing => transition(run, Event::StopAcknowledged, now_ms)?,
            RunStatus::Paused if is_told(run) => transition(run, Event::StopAcknowledged, now_ms)?,
            _ if report.stop_kind == Some(StopKind::GuardrailStopped) => {
                let reason = detail.unwrap_or_else(|| "a guardrail of the executor stopped the run".into());
                transition(run, Event::Stop { kind: StopKind::GuardrailStopped, reason }, now_ms)?;
                transition(run, Event::StopAcknowledged, now_ms)?;
            }
            RunStatus::Queued
            | RunStatus::Running
            | RunStatus::Paused
            | RunStatus::AwaitingApproval
            | RunStatus::Completed
            | RunStatus::Blocked
            | RunStatus::Failed
            | RunStatus::Cancelled => {
                transition(run, Event::Pause { reason: detail }, now_ms)?;
                if run.status == RunStatus::Pausing {
                    transition(run, Event::StopAcknowledged, now_ms)?;
                }
                run.stop_kind = report.stop_kind.or(run.stop_kind);
            }
        },
        ReportedStatus::Cancelled => {
            transition(run, Event::Cancel { reason: detail }, now_ms)?;
            // It is the executor that says so: there is nobody left to tell.
            transition(run, Event::StopAcknowledged, now_ms)?;
        }
        ReportedStatus::AwaitingApproval => {
            let Some(mut gate) = report.awaiting_gate.clone() else { return Err(Refusal::NotActive) };
            gate.requested_at_ms = now_ms;
            if gate.transition_id.trim().is_empty() {
                gate.transition_id = format!("{}:{}", report.report_id, now_ms);
            }
            transition(run, Event::GateReached(gate), now_ms)?;
        }
    }
    Ok(())
}

fn failure(run: &Run, report: &Report, told: &SaidFailure, now_ms: u64) -> LastFailure {
    let node = non_blank(told.node_id.as_deref()).or(report.node_id.as_deref()).map(str::to_owned);
    let reason = non_blank(Some(&told.reason)).or(report.detail.as_deref());
    LastFailure {
        node_id: node.or_else(|| run.checkpoint.blocked_nodes.first().cloned()),
        reason: reason.unwrap_or("the executor gave no reason").to_owned(),
        failed_at_ms: told.failed_at_ms.unwrap_or(now_ms),
        failure_kind: told.failure_kind.clone(),
        metadata: told.metadata.clone(),
    }
}

/// Which of its own limits a run that is still going has passed.
fn over_limit(run: &Run, now_ms: u64) -> Option<String> {
    if run.status != RunStatus::Running {
        return None;
    }
    let limits = &run.limits;
    let passed = |used: u64, limit: Option<u64>| limit.filter(|limit| used > *limit);
    if let Some(limit) = passed(run.total_tokens, limits.max_total_tokens) {
        return Some(format!("{} tokens, and the automation allows {limit}", run.total_tokens));
    }
    if let Some(limit) = passed(run.tool_calls, limits.max_total_tool_calls) {
        return Some(format!("{} tool calls, and the automation allows {limit}", run.tool_calls));
    }
    if let Some(limit) = limits.max_total_cost_usd.filter(|limit| run.estimated_cost_usd > *limit) {
        return Some(format!("{:.4} USD, and the automation allows {limit}", run.estimated_cost_usd));
    }
    let runtime = now_ms.saturating_sub(run.started_at_ms.unwrap_or(now_ms));
    passed(runtime, limits.max_total_runtime_ms)
        .map(|limit| format!("{runtime} ms, and the automation allows {limit} ms"))
}

/// What the executor is told now. Says nothing to be stopped when there is nothing to say.
pub fn directives(run: &Run, claim_id: Option<&str>) -> Directives {
    let stopped = |why: &str| {
        let order = StopOrder::new(run.stop_kind.unwrap_or(StopKind::OperatorStopped), why, run.updated_at_ms);
        Directives::stop(&order)
    };
    match (voice(run, claim_id), run.status) {
        (Voice::Stranger, _) => {
            let order =
                StopOrder::new(StopKind::StaleReaped, "the run is not claimed under this id", run.updated_at_ms);
            Directives::stop(&order)
        }
        (Voice::Holder | Voice::Unclaimed, _) if run.stop_order.as_ref().is_some_and(StopOrder::is_open) => {
            run.stop_order.as_ref().map(Directives::stop).unwrap_or_default()
        }
        (_, RunStatus::Paused | RunStatus::Pausing) => {
            stopped(run.stop_reason.as_deref().unwrap_or("the run is paused"))
        }
        (_, RunStatus::Cancelled) => stopped(run.stop_reason.as_deref().unwrap_or("the run was cancelled")),
        (
            _,
            RunStatus::Queued
            | RunStatus::Running
            | RunStatus::AwaitingApproval
            | RunStatus::Completed
            | RunStatus::Blocked
            | RunStatus::Failed,
        ) => Directives::default(),
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
