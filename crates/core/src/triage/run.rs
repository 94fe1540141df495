//! The triage run: four phases in order, and the only place that changes its state.
//!
//! One shape answers every route that shows a run ([`RunView`]); steps, tasks and checkpoint are derived from the
//! phases, never stored beside them. Artifacts are named by opaque references, never by a path of the server.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{duplicate::DuplicateSummary, issue_draft::IssueDraft, summary::TriageSummary};
use crate::{
    record::{Collection, Column, Record},
    signal::QualityGate,
    wire::wire_enum,
};

wire_enum! {
    pub enum RunStatus {
        Queued = "queued",
        Running = "running",
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
    /// Nothing more will happen in this run.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Blocked | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Running | Self::Pausing | Self::Paused | Self::AwaitingApproval => false,
        }
    }

    /// A run in this state is used again instead of creating another one for the same draft.
    pub fn is_reusable(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Pausing | Self::AwaitingApproval => true,
            Self::Paused | Self::Completed | Self::Blocked | Self::Failed | Self::Cancelled => false,
        }
    }
}

wire_enum! {
    /// The phases, by the id of their node.
    pub enum Node {
        Inspect = "inspect_failure_report",
        Research = "research_likely_root_cause",
        Validate = "validate_failure_scope",
        Propose = "propose_fix_and_verification",
    }
}

impl Node {
    pub fn artifact_type(self) -> ArtifactType {
        match self {
            Self::Inspect => ArtifactType::Inspection,
            Self::Research => ArtifactType::Research,
            Self::Validate => ArtifactType::Validation,
            Self::Propose => ArtifactType::FixProposal,
        }
    }

    fn task_kind(self) -> &'static str {
        match self {
            Self::Inspect => "inspection",
            Self::Research => "research",
            Self::Validate => "validation",
            Self::Propose => "fix_proposal",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Inspect => "Inspect the failure report",
            Self::Research => "Research the likely root cause",
            Self::Validate => "Validate the scope of the failure",
            Self::Propose => "Propose a fix and its verification",
        }
    }

    fn previous(self) -> Option<Self> {
        match self {
            Self::Inspect => None,
            Self::Research => Some(Self::Inspect),
            Self::Validate => Some(Self::Research),
            Self::Propose => Some(Self::Validate),
        }
    }
}

wire_enum! {
    pub enum PhaseStatus {
        Pending = "pending",
        Running = "running",
        Completed = "completed",
        Failed = "failed",
    }
}

wire_enum! {
    pub enum ArtifactType {
        Inspection = "incident_monitor_inspection",
        Research = "incident_monitor_research",
        Validation = "incident_monitor_validation",
        FixProposal = "incident_monitor_fix_proposal",
        TriageSummary = "incident_monitor_triage_summary",
        IssueDraft = "incident_monitor_issue_draft",
        ProposalQualityGate = "incident_monitor_proposal_quality_gate",
        DuplicateMatches = "failure_duplicate_matches",
        FailurePatternMemory = "incident_monitor_failure_pattern_memory",
        RegressionSignalMemory = "incident_monitor_regression_signal_memory",
    }
}

impl ArtifactType {
    fn file(self) -> &'static str {
        match self {
            Self::Inspection => "incident_monitor.inspection.json",
            Self::Research => "incident_monitor.research.json",
            Self::Validation => "incident_monitor.validation.json",
            Self::FixProposal => "incident_monitor.fix_proposal.json",
            Self::TriageSummary => "incident_monitor.triage_summary.json",
            Self::IssueDraft => "incident_monitor.issue_draft.json",
            Self::ProposalQualityGate => "incident_monitor.proposal_quality_gate.json",
            Self::DuplicateMatches => "failure_duplicate_matches.json",
            Self::FailurePatternMemory => "incident_monitor.failure_pattern_memory.json",
            Self::RegressionSignalMemory => "incident_monitor.regression_signal_memory.json",
        }
    }
}

/// A reference to an artifact, as answers carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Artifact {
    pub id: String,
    pub ts_ms: u64,
    /// Opaque: `tandem://triage/<run id>/artifacts/<name>`.
    pub path: String,
    pub artifact_type: ArtifactType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_event_id: Option<String>,
}

/// The stored artifact: its reference and its body, which is redacted before it comes here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArtifactRecord {
    pub run_id: String,
    pub draft_id: String,
    pub artifact: Artifact,
    #[schema(value_type = Object)]
    pub body: Value,
}

pub static ARTIFACTS: Collection =
    Collection { name: "artifacts", columns: &["run_id", "artifact_type", "created_at_ms"] };

impl Record for ArtifactRecord {
    const COLLECTION: &'static Collection = &ARTIFACTS;
    fn id(&self) -> &str {
        &self.artifact.id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(&self.run_id),
            Column::text(self.artifact.artifact_type.word()),
            Column::ms(self.artifact.ts_ms),
        ]
    }
}

impl ArtifactRecord {
    /// `id` must be fresh. A phase's artifact names its phase as the step.
    pub fn new(run: &TriageRun, artifact_type: ArtifactType, id: String, body: Value, now_ms: u64) -> Self {
        let step = Node::ALL.iter().find(|node| node.artifact_type() == artifact_type);
        let artifact = Artifact {
            id,
            ts_ms: now_ms,
            path: format!("tandem://triage/{}/artifacts/{}", run.run_id, artifact_type.file()),
            artifact_type,
            step_id: step.map(|node| node.word().to_owned()),
            source_event_id: None,
        };
        Self { run_id: run.run_id.clone(), draft_id: run.draft_id.clone(), artifact, body }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Phase {
    pub node_id: Node,
    pub status: PhaseStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
}

/// The stored run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TriageRun {
    /// `automation-v2-` and the automation run's id.
    pub run_id: String,
    pub automation_run_id: String,
    pub automation_id: String,
    pub draft_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<String>,
    pub repo: String,
    pub status: RunStatus,
    pub objective: String,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at_ms: Option<u64>,
    /// Publishing waits for the run, but not longer than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Always the four nodes, in order.
    pub phases: Vec<Phase>,
    /// Counts the changes of this run.
    #[serde(default)]
    pub revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<TriageSummary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary_artifact: Option<Artifact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_draft: Option<IssueDraft>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_draft_artifact: Option<Artifact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal_quality_gate: Option<QualityGate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal_quality_gate_artifact: Option<Artifact>,
    #[serde(default)]
    pub duplicates: DuplicateSummary,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_matches_artifact: Option<Artifact>,
}

pub static TRIAGE_RUNS: Collection =
    Collection { name: "triage_runs", columns: &["draft_id", "status", "updated_at_ms"] };

impl Record for TriageRun {
    const COLLECTION: &'static Collection = &TRIAGE_RUNS;
    fn id(&self) -> &str {
        &self.run_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.draft_id), Column::text(self.status.word()), Column::ms(self.updated_at_ms)]
    }
}

/// Both the kind of run and what triggered it.
pub const RUN_TYPE: &str = "incident_monitor_triage";

impl TriageRun {
    /// A queued run. `uuid` must be fresh.
    pub fn new(
        uuid: &str,
        draft_id: &str,
        incident_id: Option<&str>,
        repo: &str,
        deadline_ms: Option<u64>,
        now_ms: u64,
    ) -> Self {
        let automation_run_id = format!("automation-v2-run-{uuid}");
        Self {
            run_id: format!("automation-v2-{automation_run_id}"),
            automation_id: format!("automation-v2-incident-monitor-triage-{draft_id}"),
            automation_run_id,
            draft_id: draft_id.to_owned(),
            incident_id: incident_id.map(str::to_owned),
            repo: repo.to_owned(),
            status: RunStatus::Queued,
            objective: format!("Triage incident draft {draft_id} of {repo}"),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            started_at_ms: None,
            finished_at_ms: None,
            deadline_ms,
            last_error: None,
            phases: Node::ALL
                .iter()
                .map(|&node_id| Phase { node_id, status: PhaseStatus::Pending, artifact: None })
                .collect(),
            revision: 0,
            summary: None,
            summary_artifact: None,
            issue_draft: None,
            issue_draft_artifact: None,
            proposal_quality_gate: None,
            proposal_quality_gate_artifact: None,
            duplicates: DuplicateSummary::default(),
            duplicate_matches_artifact: None,
        }
    }

    /// The run is unfinished and may be given to another caller who asks for triage of the same draft.
    pub fn is_reusable(&self, now_ms: u64) -> bool {
        self.status.is_reusable() && self.deadline_ms.is_none_or(|deadline| now_ms < deadline)
    }

    /// Publishing must wait for this run.
    pub fn holds_publishing(&self, now_ms: u64) -> bool {
        !self.status.is_terminal() && self.deadline_ms.is_none_or(|deadline| now_ms < deadline)
    }

    /// Every phase is complete and left its artifact.
    pub fn phases_complete(&self) -> bool {
        self.phases.iter().all(|phase| phase.status == PhaseStatus::Completed && phase.artifact.is_some())
    }
}

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Started,
    /// A phase left its artifact. Also accepted after the end, where a posted summary fills in what is missing.
    PhaseCompleted {
        node: Node,
        artifact: Artifact,
    },
    Completed,
    /// The deadline passed, or the work could not be done.
    Failed {
        error: String,
    },
    Cancelled,
}

/// Why an event does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The run has ended.
    Ended,
    /// A phase was claimed complete before the one it depends on, or the run before its phases.
    OutOfOrder,
}

/// Applies an event. The run is unchanged when it is refused.
pub fn transition(run: &mut TriageRun, event: Event, now_ms: u64) -> Result<(), Refusal> {
    let ended = run.status.is_terminal();
    match event {
        Event::Started => {
            if ended {
                return Err(Refusal::Ended);
            }
            run.status = RunStatus::Running;
            run.started_at_ms.get_or_insert(now_ms);
            advance(run);
        }
        Event::PhaseCompleted { node, artifact } => {
            let done = |node: Node| {
                run.phases.iter().any(|phase| phase.node_id == node && phase.status == PhaseStatus::Completed)
            };
            if node.previous().is_some_and(|previous| !done(previous)) {
                return Err(Refusal::OutOfOrder);
            }
            for phase in run.phases.iter_mut().filter(|phase| phase.node_id == node) {
                phase.status = PhaseStatus::Completed;
                phase.artifact = Some(artifact.clone());
            }
            if !ended {
                run.status = RunStatus::Running;
                run.started_at_ms.get_or_insert(now_ms);
                advance(run);
            }
        }
        Event::Completed => {
            if ended {
                return Err(Refusal::Ended);
            }
            if !run.phases_complete() {
                return Err(Refusal::OutOfOrder);
            }
            run.status = RunStatus::Completed;
            run.finished_at_ms = Some(now_ms);
        }
        Event::Failed { error } => {
            if ended {
                return Err(Refusal::Ended);
            }
            run.status = RunStatus::Failed;
            run.finished_at_ms = Some(now_ms);
            run.last_error = Some(error);
            for phase in run.phases.iter_mut().filter(|phase| phase.status == PhaseStatus::Running) {
                phase.status = PhaseStatus::Failed;
            }
        }
        Event::Cancelled => {
            if ended {
                return Err(Refusal::Ended);
            }
            run.status = RunStatus::Cancelled;
            run.finished_at_ms = Some(now_ms);
            for phase in run.phases.iter_mut().filter(|phase| phase.status == PhaseStatus::Running) {
                phase.status = PhaseStatus::Pending;
            }
        }
    }
    run.revision += 1;
    run.updated_at_ms = run.updated_at_ms.max(now_ms);
    Ok(())
}

/// The first unfinished phase is the one that runs.
fn advance(run: &mut TriageRun) {
    if let Some(next) = run.phases.iter_mut().find(|phase| phase.status != PhaseStatus::Completed) {
        next.status = PhaseStatus::Running;
    }
}

/// The run on the wire, the same on every route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    pub run_id: String,
    pub automation_run_id: String,
    pub automation_id: String,
    pub run_type: String,
    pub trigger_type: String,
    pub draft_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<String>,
    pub status: RunStatus,
    pub objective: String,
    /// What is searched, by name; never a path of the server.
    #[schema(value_type = Object)]
    pub workspace: Value,
    pub phases: Vec<Phase>,
    #[schema(value_type = Vec<Object>)]
    pub steps: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    pub tasks: Vec<Value>,
    #[schema(value_type = Object)]
    pub checkpoint: Value,
    pub revision: u64,
    pub last_event_seq: u64,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl TriageRun {
    pub fn view(&self) -> RunView {
        let nodes = |wanted: fn(PhaseStatus) -> bool| -> Vec<&str> {
            self.phases.iter().filter(|p| wanted(p.status)).map(|p| p.node_id.word()).collect()
        };
        let outputs: serde_json::Map<String, Value> = self
            .phases
            .iter()
            .filter_map(|p| Some((p.node_id.word().to_owned(), json!({ "artifact": p.artifact.as_ref()?.path }))))
            .collect();
        RunView {
            run_id: self.run_id.clone(),
            automation_run_id: self.automation_run_id.clone(),
            automation_id: self.automation_id.clone(),
            run_type: RUN_TYPE.to_owned(),
            trigger_type: RUN_TYPE.to_owned(),
            draft_id: self.draft_id.clone(),
            incident_id: self.incident_id.clone(),
            status: self.status,
            objective: self.objective.clone(),
            workspace: json!({ "repo": self.repo }),
            phases: self.phases.clone(),
            steps: self
                .phases
                .iter()
                .map(|p| json!({ "step_id": p.node_id, "title": p.node_id.title(), "status": p.status }))
                .collect(),
            tasks: self
                .phases
                .iter()
                .map(|p| {
                    json!({
                        "id": p.node_id,
                        "task_type": p.node_id.task_kind(),
                        "status": p.status,
                        "payload": { "task_kind": p.node_id.task_kind(), "title": p.node_id.title() },
                        "depends_on_task_ids": p.node_id.previous().into_iter().collect::<Vec<_>>(),
                    })
                })
                .collect(),
            checkpoint: json!({
                "completed_nodes": nodes(|s| s == PhaseStatus::Completed),
                "pending_nodes": nodes(|s| matches!(s, PhaseStatus::Pending | PhaseStatus::Running)),
                "failed_nodes": nodes(|s| s == PhaseStatus::Failed),
                "node_outputs": outputs,
            }),
            revision: self.revision,
            last_event_seq: self.revision,
            created_at_ms: self.created_at_ms,
            updated_at_ms: self.updated_at_ms,
            started_at_ms: self.started_at_ms,
            finished_at_ms: self.finished_at_ms,
            ended_at_ms: self.finished_at_ms,
            deadline_ms: self.deadline_ms,
            last_error: self.last_error.clone(),
        }
    }
}
