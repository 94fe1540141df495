//! The record of a run.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{claim::Claim, gate::Gate, order::StopOrder};
use crate::{
    actor::ActorRef,
    automation::spec::{Automation, ExecutionProfile},
    record::{Collection, Column, Record},
    tenant::TenantContext,
    text::truncate,
    wire::wire_enum,
};

wire_enum! {
    /// What a run is, precisely. Clients that know fewer words are answered [`RunStatus::safe`].
    #[schema(as = AutomationRunStatus)]
    pub enum RunStatus {
        Queued = "queued",
        Running = "running",
        /// Told to stop; its executor has not said yet that it has.
        Pausing = "pausing",
        Paused = "paused",
        AwaitingApproval = "awaiting_approval",
        Completed = "completed",
        Blocked = "blocked",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

impl RunStatus {
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Pausing | Self::Paused | Self::AwaitingApproval => false,
            Self::Completed | Self::Blocked | Self::Failed | Self::Cancelled => true,
        }
    }

    /// The word for clients that know seven of the nine.
    pub fn safe(self) -> Self {
        match self {
            Self::AwaitingApproval => Self::Paused,
            Self::Blocked => Self::Failed,
            Self::Queued
            | Self::Running
            | Self::Pausing
            | Self::Paused
            | Self::Completed
            | Self::Failed
            | Self::Cancelled => self,
        }
    }
}

wire_enum! {
    /// Who or what stopped a run.
    pub enum StopKind {
        Cancelled = "cancelled",
        OperatorStopped = "operator_stopped",
        GuardrailStopped = "guardrail_stopped",
        Panic = "panic",
        Shutdown = "shutdown",
        ServerRestart = "server_restart",
        StaleReaped = "stale_reaped",
    }
}

/// What a run may use, copied from its automation when it was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = RunLimits)]
pub struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_total_runtime_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_total_tool_calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_total_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_total_cost_usd: Option<f64>,
}

/// One thing that happened to a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunLifecycle)]
pub struct Lifecycle {
    pub event: String,
    pub recorded_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_kind: Option<StopKind>,
}

/// Why a node failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunLastFailure)]
pub struct LastFailure {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    pub reason: String,
    pub failed_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = RunCheckpoint)]
pub struct Checkpoint {
    pub completed_nodes: Vec<String>,
    pub pending_nodes: Vec<String>,
    /// By node, as the executor reported it.
    #[schema(value_type = Object)]
    pub node_outputs: Map<String, Value>,
    #[schema(value_type = Object)]
    pub node_attempts: Map<String, Value>,
    #[schema(value_type = Object)]
    pub node_attempt_verdicts: Map<String, Value>,
    pub blocked_nodes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaiting_gate: Option<Gate>,
    pub gate_history: Vec<super::gate::Decided>,
    /// The latest things that happened, newest last.
    pub lifecycle_history: Vec<Lifecycle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AutomationRun)]
pub struct Run {
    pub run_id: String,
    pub automation_id: String,
    pub tenant_context: TenantContext,
    /// `manual`, `manual_dry_run`, `scheduled`, or a caller's own word.
    pub trigger_type: String,
    pub status: RunStatus,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at_ms: Option<u64>,
    /// The executor's sessions that are open.
    #[serde(default)]
    pub active_session_ids: Vec<String>,
    /// The newest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_session_id: Option<String>,
    /// The executor's instances that work on it.
    #[serde(default)]
    pub active_instance_ids: Vec<String>,
    /// How far it has come.
    pub checkpoint: Checkpoint,
    /// Why it was paused, in the words of who paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_reason: Option<String>,
    /// Why it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_reason: Option<String>,
    /// What is said of its state, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_kind: Option<StopKind>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// The sum of both.
    pub total_tokens: u64,
    /// Dollars, as reported or by the model's price.
    pub estimated_cost_usd: f64,
    /// Calls of tools, as reported.
    #[serde(default)]
    pub tool_calls: u64,
    /// Who is working on it, and until when it is theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_claim: Option<Claim>,
    /// How often it has been claimed. A claim of an earlier epoch may not report any more.
    pub execution_claim_epoch: u64,
    /// How much the executor may do by itself.
    pub effective_execution_profile: ExecutionProfile,
    /// What the call asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_execution_profile: Option<ExecutionProfile>,
    /// The automation's version when the run was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_definition_version: Option<u64>,
    /// SHA-256 of the automation when the run was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_definition_snapshot_hash: Option<String>,
    /// Why it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_reason: Option<String>,
    /// A stop on its way to the executor, or the latest one that arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_order: Option<StopOrder>,
    /// What it may use until it is stopped.
    pub limits: Limits,
    /// Agents that answer for the run, the closest first: its creator, then that agent's ancestors.
    #[serde(default)]
    pub lineage_agent_ids: Vec<String>,
    /// Who asked for it.
    pub requested_by: ActorRef,
    /// How many reports have been counted.
    #[serde(default)]
    pub report_count: u64,
    /// What the executor pointed to as evidence.
    #[serde(default)]
    pub artifact_refs: Vec<String>,
    /// The name of the automation when the run was made.
    #[serde(default)]
    pub workflow_name: String,
}

pub static RUNS: Collection =
    Collection { name: "automation_runs", columns: &["automation_id", "status", "created_at_ms", "turn"] };

impl Record for Run {
    const COLLECTION: &'static Collection = &RUNS;
    fn id(&self) -> &str {
        &self.run_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(&self.automation_id),
            Column::text(self.status.word()),
            Column::ms(self.created_at_ms),
            // Pages go downwards; those who wait are served in the order in which they came.
            Column::Int(-i64::try_from(self.created_at_ms).unwrap_or(i64::MAX)),
        ]
    }
}

/// Entries of `lifecycle_history` that are kept.
const HISTORY: usize = 60;
/// Bytes of a reason or a detail.
pub const LONGEST_REASON: usize = 2_000;

/// What a run is made from, beside its automation.
#[derive(Clone, Debug)]
pub struct Make<'a> {
    pub run_id: String,
    pub tenant: &'a TenantContext,
    pub trigger_type: &'a str,
    pub reason: Option<&'a str>,
    pub profile: Option<ExecutionProfile>,
    pub default_profile: ExecutionProfile,
    pub automation_version: u64,
    pub lineage: Vec<String>,
    pub by: &'a ActorRef,
    pub dry: bool,
    pub now_ms: u64,
}

/// A new run: queued with every node to do or, dry, completed at once without doing any.
pub fn make(automation: &Automation, make: Make<'_>) -> Run {
    let spec = &automation.spec;
    let effective = make.profile.or(spec.execution.profile).unwrap_or(make.default_profile);
    let trigger = if make.dry { format!("{}_dry_run", make.trigger_type) } else { make.trigger_type.to_owned() };
    let mut run = Run {
        run_id: make.run_id,
        automation_id: automation.automation_id.clone(),
        tenant_context: make.tenant.clone(),
        trigger_type: trigger,
        status: RunStatus::Queued,
        created_at_ms: make.now_ms,
        updated_at_ms: make.now_ms,
        started_at_ms: None,
        finished_at_ms: None,
        active_session_ids: Vec::new(),
        latest_session_id: None,
        active_instance_ids: Vec::new(),
        checkpoint: Checkpoint {
            pending_nodes: spec.flow.nodes.iter().map(|node| node.node_id.clone()).collect(),
            ..Checkpoint::default()
        },
        pause_reason: None,
        resume_reason: None,
        detail: None,
        stop_kind: None,
        stop_reason: None,
        prompt_tokens: 0,
        completion_tokens: 0,
        total_tokens: 0,
        estimated_cost_usd: 0.0,
        tool_calls: 0,
        execution_claim: None,
        execution_claim_epoch: 0,
        effective_execution_profile: effective,
        requested_execution_profile: make.profile,
        workflow_definition_version: Some(make.automation_version),
        workflow_definition_snapshot_hash: Some(automation.definition_hash()),
        trigger_reason: make.reason.map(|reason| truncate(reason, LONGEST_REASON)),
        stop_order: None,
        limits: Limits {
            max_total_runtime_ms: spec.execution.max_total_runtime_ms,
            max_total_tool_calls: spec.execution.max_total_tool_calls,
            max_total_tokens: spec.execution.max_total_tokens,
            max_total_cost_usd: spec.execution.max_total_cost_usd,
        },
        lineage_agent_ids: make.lineage,
        requested_by: make.by.clone(),
        report_count: 0,
        artifact_refs: Vec::new(),
        workflow_name: truncate(&spec.name, 200),
    };
    run.note("run_created", make.now_ms, make.reason, None);
    if make.dry {
        run.status = RunStatus::Completed;
        run.detail = Some("dry_run".into());
        run.started_at_ms = Some(make.now_ms);
        run.finished_at_ms = Some(make.now_ms);
        run.note("run_dry_completed", make.now_ms, None, None);
    }
    run
}

impl Run {
    /// A dry run tried whether it would be admitted; it did nothing, and counts for nothing.
    pub fn is_dry(&self) -> bool {
        self.trigger_type.ends_with("_dry_run")
    }

    /// Writes a line of the run's history.
    pub fn note(&mut self, event: &str, now_ms: u64, reason: Option<&str>, stop_kind: Option<StopKind>) {
        let history = &mut self.checkpoint.lifecycle_history;
        if history.len() >= HISTORY {
            // The first line says how it began; the oldest after it goes.
            history.remove(1);
        }
        let reason = reason.map(|reason| truncate(reason, 300));
        history.push(Lifecycle { event: event.to_owned(), recorded_at_ms: now_ms, reason, stop_kind });
        self.updated_at_ms = self.updated_at_ms.max(now_ms);
    }
}
