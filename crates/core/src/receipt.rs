//! Receipts (posts): what was sent where, with which outcome. Never holds a secret or a whole payload.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    destination::DestinationKind,
    publish::DeliveryState,
    record::{Collection, Column, Record},
    signal::QualityGate,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Post {
    pub post_id: String,
    pub draft_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<String>,
    pub fingerprint: String,
    pub repo: String,
    /// `create_issue`, `comment_issue`, `match_issue`, `post_webhook`, `record_telemetry`, `store_memory_summary` or
    /// `call_mcp_tool`.
    pub operation: String,
    /// What became of the delivery.
    pub status: DeliveryState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_number: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_url: Option<String>,
    /// The tracker's id of the comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment_id: Option<String>,
    /// Address of the comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_kind: Option<DestinationKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_match_reason: Option<String>,
    /// What the destination calls what was made: an issue's number or identifier, a record's or a call's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Where it can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// What it is called there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<String>,
    /// The attempts, their status codes, what was redacted, and what the destination answered; no secret and no payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub receipt: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_destination: Option<String>,
    pub evidence_refs: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_gate: Option<QualityGate>,
    pub idempotency_key: String,
    /// The beginning of the last answer, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_excerpt: Option<String>,
    /// Why it failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

/// Receipts without a destination count as this one's.
pub const LEGACY_DESTINATION: &str = "legacy-github";

pub static POSTS: Collection =
    Collection { name: "posts", columns: &["draft_id", "destination_id", "status", "updated_at_ms"] };

impl Record for Post {
    const COLLECTION: &'static Collection = &POSTS;
    fn id(&self) -> &str {
        &self.post_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(&self.draft_id),
            Column::text(self.destination_id.as_deref().unwrap_or(LEGACY_DESTINATION)),
            Column::text(self.status.word()),
            Column::ms(self.updated_at_ms),
        ]
    }
}
