//! One delivery: one draft to one destination, with its own claim, attempts and receipt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Action, Mode};
use crate::{
    destination::DestinationKind,
    record::{Collection, Column, Record},
    tracker::IssueRef,
    wire::wire_enum,
};

wire_enum! {
    pub enum DeliveryState {
        /// Waiting for its first attempt, or in it.
        Pending = "pending",
        Posted = "posted",
        /// Failed so far; the next attempt has a time.
        Retrying = "retrying",
        /// Finally failed: a dead letter until someone redelivers it.
        Failed = "failed",
        /// Refused before anything was sent.
        Blocked = "blocked",
        /// Sent, but whether it took effect could not be found out.
        Unknown = "unknown",
    }
}

impl DeliveryState {
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::Retrying => true,
            Self::Posted | Self::Failed | Self::Blocked | Self::Unknown => false,
        }
    }
}

/// Said durably before something is sent that must not be sent twice, and taken back once its outcome is known. A
/// delivery that is found with one may have had its effect, so nothing is sent again before that has been looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Intent {
    /// What is about to be done: `create_issue`, `comment_issue`, `reopen_issue` or `call_mcp_tool`.
    pub operation: String,
    /// What the publish call is told of it.
    pub action: Action,
    pub at_ms: u64,
    /// The existing issue that it is done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<IssueRef>,
    /// What the effect is found by; the delivery's key where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// The destination's own word that it did nothing. A look has to confirm it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What was done to a text before it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Prepared {
    /// How many values each redaction rule replaced.
    #[serde(default)]
    pub redactions: BTreeMap<String, u32>,
    /// What was cut to fit.
    #[serde(default)]
    pub truncated_fields: Vec<String>,
}

/// One attempt, as its receipt tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// 1-based.
    pub attempt: u32,
    pub at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    pub status_code: Option<u16>,
    pub retryable: bool,
    pub response_excerpt: Option<String>,
    pub response_truncated: bool,
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// `bmwh_` and 32 hex characters; constant across the attempts of one delivery.
    pub delivery_id: String,
    pub draft_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<String>,
    /// The receipt that mirrors this delivery.
    pub post_id: String,
    pub destination_id: String,
    pub destination_kind: DestinationKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_match_reason: Option<String>,
    pub target_ref: String,
    /// What is done: `create_issue`, `post_webhook` and so on.
    pub operation: String,
    pub action: Action,
    pub mode: Mode,
    /// The publish that this delivery belongs to: what its call named, and what the router made of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requested_destination_ids: Vec<String>,
    #[serde(default)]
    pub effective_destination_ids: Vec<String>,
    /// A person had to approve first, and did.
    #[serde(default)]
    pub approval_required: bool,
    pub idempotency_key: String,
    pub evidence_digest: String,
    /// Where the delivery stands.
    pub state: DeliveryState,
    /// Attempts until it is given up.
    pub max_attempts: u32,
    /// What was tried, the newest last.
    pub attempts: Vec<Attempt>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at_ms: Option<u64>,
    /// The destination's configuration when the decision was made; a change before sending aborts the delivery.
    pub destination_digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Why the last attempt failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Something was sent, or was about to be, and what became of it is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The issue that this delivery created, or changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<IssueRef>,
    /// Which recurrence of the published failure this delivery tells of; absent for the first publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<u64>,
    /// The body of the first attempt, kept while attempts remain so that every attempt sends the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// What was done to the payload when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<Prepared>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

pub static DELIVERIES: Collection = Collection {
    name: "deliveries",
    columns: &["draft_id", "destination_id", "state", "idempotency_key", "updated_at_ms"],
};

impl Record for Delivery {
    const COLLECTION: &'static Collection = &DELIVERIES;
    fn id(&self) -> &str {
        &self.delivery_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(&self.draft_id),
            Column::text(&self.destination_id),
            Column::text(self.state.word()),
            Column::text(&self.idempotency_key),
            Column::ms(self.updated_at_ms),
        ]
    }
}
