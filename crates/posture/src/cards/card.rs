//! One card: what the inventory shows, what operators said, and what points to it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    metadata::Layers,
    stored::StoredView,
    subject::{CardAuthority, CardKind, CardTarget, Subject},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardData)]
pub struct CardData {
    pub classification: Option<String>,
    /// Whose data it is; null where nothing binds it.
    #[schema(value_type = Option<Object>)]
    pub tenant_scope: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardProtocols)]
pub struct CardProtocols {
    pub approval_protocol: Option<String>,
    pub escalation_protocol: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardReview)]
pub struct CardReview {
    pub review_cadence_days: Option<u64>,
    pub next_reassessment_at_ms: Option<u64>,
}

/// What else is known of it, by id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardEvidence)]
pub struct CardEvidence {
    pub inventory_refs: Vec<String>,
    pub operator_refs: Vec<String>,
    pub posture_finding_refs: Vec<String>,
    pub incident_refs: Vec<String>,
    pub evidence_pack_refs: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCard)]
pub struct Card {
    pub card_id: String,
    pub card_kind: CardKind,
    pub target: CardTarget,
    pub system_boundary: String,
    pub source_kind: String,
    pub intended_purpose: Option<String>,
    pub business_owner: Option<String>,
    pub accountable_team: Option<String>,
    pub autonomy_level: Option<String>,
    pub allowed_actions: Vec<String>,
    pub prohibited_actions: Vec<String>,
    pub authority: CardAuthority,
    pub data: CardData,
    pub approval_and_escalation: CardProtocols,
    pub review: CardReview,
    pub known_limitations: Vec<String>,
    pub residual_risks: Vec<String>,
    pub linked_evidence: CardEvidence,
    /// The stored card behind it; null when nothing is stored.
    pub stored: Option<StoredView>,
}

impl Card {
    /// Puts the layers over what the inventory says. `evidence` brings what points to it.
    pub fn new(subject: Subject, layers: Layers<'_>, evidence: CardEvidence, stored: Option<StoredView>) -> Self {
        let text = |field: fn(&super::CardMetadata) -> &Option<String>| layers.text(field, None);
        Self {
            intended_purpose: layers.text(|m| &m.intended_purpose, subject.purpose.as_deref()),
            business_owner: text(|m| &m.business_owner),
            accountable_team: text(|m| &m.accountable_team),
            autonomy_level: text(|m| &m.autonomy_level),
            allowed_actions: layers.list(|m| &m.allowed_actions, &subject.allowed),
            prohibited_actions: layers.list(|m| &m.prohibited_actions, &subject.prohibited),
            data: CardData { classification: text(|m| &m.data_classification), tenant_scope: subject.tenant_scope },
            approval_and_escalation: CardProtocols {
                approval_protocol: text(|m| &m.approval_protocol),
                escalation_protocol: text(|m| &m.escalation_protocol),
            },
            review: CardReview {
                review_cadence_days: layers.number(|m| m.review_cadence_days),
                next_reassessment_at_ms: layers.number(|m| m.next_reassessment_at_ms),
            },
            known_limitations: layers.list(|m| &m.known_limitations, &subject.limitations),
            residual_risks: layers.list(|m| &m.residual_risks, &subject.risks),
            linked_evidence: CardEvidence {
                inventory_refs: subject.inventory_refs,
                operator_refs: layers.list(|m| &m.evidence_refs, &[]),
                ..evidence
            },
            card_id: subject.card_id,
            card_kind: subject.kind,
            target: subject.target,
            system_boundary: subject.system_boundary.into(),
            source_kind: subject.source_kind,
            authority: subject.authority,
            stored,
        }
    }
}
