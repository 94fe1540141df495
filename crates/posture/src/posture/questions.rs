//! What depends on a policy that nobody has told Tandem. It is asked, never passed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    estate::Estate,
    finding::{AffectedObject, EvidenceRef},
    inventory::AuthorityInventory,
};

/// A question that the operator owns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OpenQuestion {
    pub question_id: String,
    /// `retention`, `allowed_use`, `tool_risk`, …
    pub topic: String,
    pub question: String,
    /// Why it cannot be inferred.
    pub why: String,
    /// The first ones; `object_count` says how many there are.
    pub affected_objects: Vec<AffectedObject>,
    pub object_count: u64,
    pub evidence_refs: Vec<EvidenceRef>,
}

pub(super) fn open(_estate: &Estate, _inventory: &AuthorityInventory) -> Vec<OpenQuestion> {
    Vec::new()
}
