//! What the phases and the gates leave behind. Artifacts are named by opaque references, never by a path of the server.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::run::{Node, TriageRun};
use crate::{
    record::{Collection, Column, Record},
    wire::wire_enum,
};

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
