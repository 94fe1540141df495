//! The records of a run in one shape.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::{
    actor::ActorRef,
    audit::{integrity::Integrity, proof::RangeProof},
    automation::run::gate::GateDecision,
    governance::policy::{Effect, PolicyDecision},
    tenant::TenantContext,
};
use utoipa::ToSchema;

/// What is judged and shown of the run itself.
#[derive(Clone, Debug)]
pub struct RunFacts {
    pub run_id: String,
    pub context_run_id: String,
    pub run_type: String,
    pub automation_id: Option<String>,
    pub draft_id: Option<String>,
    pub incident_id: Option<String>,
    pub goal: String,
    pub tenant: TenantContext,
    pub trigger: String,
    pub requested_by: Option<ActorRef>,
    pub status: String,
    pub stop_kind: Option<String>,
    pub failure_kind: Option<String>,
    pub created_at_ms: u64,
    pub started_at_ms: Option<u64>,
    pub finished_at_ms: Option<u64>,
    pub updated_at_ms: u64,
    /// Calls of tools as its executor counted them.
    pub reported_tool_calls: u64,
    pub total_tokens: u64,
    pub estimated_cost_usd: f64,
    pub mcp_servers: Vec<String>,
    pub lineage_agent_ids: Vec<String>,
    /// The gate that waits now.
    pub pending_gate: Option<PendingGate>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EvidencePendingGate)]
pub struct PendingGate {
    pub node_id: String,
    pub requested_at_ms: u64,
    pub expires_at_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DecisionFact {
    pub decision: PolicyDecision,
    pub tenant: TenantContext,
    /// The row that recorded it, when one names it.
    pub audit_event_id: Option<String>,
    /// Its approval may not be used after this.
    pub expires_at_ms: Option<u64>,
}

impl DecisionFact {
    pub fn effect(&self) -> Effect {
        self.decision.decision
    }
}

/// Something that a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectFact {
    /// The sequence of its row in the audit log.
    pub seq: u64,
    pub event_id: String,
    pub at_ms: u64,
    pub event_type: String,
    pub tool: String,
    pub phase: String,
    pub status: String,
    pub succeeded: bool,
    /// It needed a decision and an approval.
    pub protected: bool,
    pub decision_id: Option<String>,
    pub node_id: Option<String>,
    pub payload_sha256: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GateFact {
    pub node_id: String,
    pub decision: GateDecision,
    pub by: ActorRef,
    pub at_ms: u64,
    /// Redacted.
    pub reason: Option<String>,
    pub audit_event_id: Option<String>,
}

/// A row of the audit log that names the run.
#[derive(Clone, Debug, PartialEq)]
pub struct RowFact {
    pub seq: u64,
    pub event_id: String,
    pub event_type: String,
    pub created_at_ms: u64,
    pub tenant: TenantContext,
    pub actor: Option<ActorRef>,
    pub record_hash: String,
    /// Its bytes are those that were hashed.
    pub intact: bool,
    /// Retention has dropped what it said; `payload` is null.
    pub body_dropped: bool,
    pub payload: Value,
}

impl RowFact {
    /// Whether any text of its payload is exactly this.
    pub fn names(&self, id: &str) -> bool {
        fn within(value: &Value, id: &str) -> bool {
            match value {
                Value::String(text) => text == id,
                Value::Array(items) => items.iter().any(|item| within(item, id)),
                Value::Object(map) => map.values().any(|item| within(item, id)),
                Value::Null | Value::Bool(_) | Value::Number(_) => false,
            }
        }
        within(&self.payload, id)
    }
}

/// A row of the run's time whose body retention has dropped. Whether it names the run cannot be told any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EvidenceDroppedRow)]
pub struct DroppedRow {
    pub seq: u64,
    pub event_type: String,
    pub created_at_ms: u64,
    /// Its leaf hash in the tree of the log, hex.
    pub record_hash: String,
    /// Always true, as in an export of the log.
    pub body_dropped: bool,
}

/// Neighbours among them, and the proof that they stand where they say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EvidenceDroppedRange)]
pub struct DroppedRange {
    pub first_seq: u64,
    pub last_seq: u64,
    pub rows: Vec<DroppedRow>,
    /// `left`, the `record_hash` of each row, and `right` fold to the root of the checkpoint.
    pub range_proof: RangeProof,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EvidenceDroppedRows)]
pub struct Dropped {
    pub count: u64,
    /// Not all are listed; the oldest are.
    pub truncated: bool,
    pub ranges: Vec<DroppedRange>,
    pub tree_size: u64,
    pub root_hash: Option<String>,
    /// The signed note that the proofs lead to.
    pub checkpoint: String,
    /// The key that opens it. A recipient should have it from elsewhere.
    pub public_key: String,
}

/// An artifact that the run left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EvidenceRunArtifact)]
pub struct ArtifactFact {
    pub artifact_id: String,
    pub artifact_type: String,
    pub path: String,
    pub content_sha256: Option<String>,
    /// Whether the body still has that digest; absent when there is no body here to compare.
    pub intact: Option<bool>,
    /// When retention dropped the body; the digest stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_dropped_at_ms: Option<u64>,
    pub created_at_ms: Option<u64>,
}

/// An entry of the internal memory that the run wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EvidenceRunMemory)]
pub struct MemoryFact {
    pub memory_id: String,
    pub category: String,
    pub created_at_ms: u64,
}

#[derive(Clone, Debug)]
pub struct Facts {
    pub run: RunFacts,
    pub decisions: Vec<DecisionFact>,
    /// By sequence.
    pub effects: Vec<EffectFact>,
    pub gates: Vec<GateFact>,
    /// By sequence.
    pub rows: Vec<RowFact>,
    pub artifacts: Vec<ArtifactFact>,
    pub memory: Vec<MemoryFact>,
    pub integrity: Integrity,
    /// The log held more rows than were looked through.
    pub rows_truncated: bool,
    /// Rows of the run's time that say nothing any more; none where every body is still there.
    pub dropped: Option<Dropped>,
}
