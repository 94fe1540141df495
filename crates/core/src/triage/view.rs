//! The run on the wire. One shape answers every route that shows a run; steps, tasks and checkpoint are derived from
//! the phases, never stored beside them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::run::{Phase, PhaseStatus, RUN_TYPE, RunStatus, TriageRun};

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
