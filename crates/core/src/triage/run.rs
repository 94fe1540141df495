//! The triage run: four phases in order, and the only place that changes its state.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::artifact::{Artifact, ArtifactRecord, ArtifactType};
use super::{duplicate::DuplicateSummary, issue_draft::IssueDraft, summary::TriageSummary};
use crate::{
    record::{Collection, Column, Record},
    signal::QualityGate,
    wire::wire_enum,
};

wire_enum! {
    #[schema(as = TriageRunStatus)]
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

    pub(super) fn task_kind(self) -> &'static str {
        match self {
            Self::Inspect => "inspection",
            Self::Research => "research",
            Self::Validate => "validation",
            Self::Propose => "fix_proposal",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Inspect => "Inspect the failure report",
            Self::Research => "Research the likely root cause",
            Self::Validate => "Validate the scope of the failure",
            Self::Propose => "Propose a fix and its verification",
        }
    }

    pub(super) fn previous(self) -> Option<Self> {
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

/// What publishing needs of a stored run, read without the rest of it. A settled run is large, and publishing reads it
/// often.
#[derive(Debug, Deserialize)]
pub struct RunBrief {
    pub run_id: String,
    pub status: RunStatus,
    #[serde(default)]
    pub deadline_ms: Option<u64>,
    /// As stored, not parsed.
    #[serde(default)]
    pub issue_draft: Option<Box<serde_json::value::RawValue>>,
}

impl RunBrief {
    /// Publishing must wait for this run.
    pub fn holds_publishing(&self, now_ms: u64) -> bool {
        !self.status.is_terminal() && self.deadline_ms.is_none_or(|deadline| now_ms < deadline)
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
