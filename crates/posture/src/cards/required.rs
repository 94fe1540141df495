//! Fields that every card must have, and the finding for each that is missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::card::Card;
use crate::finding::{AffectedObject, Severity};

/// In the order in which answers name them.
pub const REQUIRED: [&str; 8] = [
    "intended_purpose",
    "business_owner",
    "accountable_team",
    "autonomy_level",
    "data_classification",
    "approval_protocol",
    "escalation_protocol",
    "review_cadence_days",
];

const RULE: &str = "deployment_card_required_field_missing";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardFinding)]
pub struct CardFinding {
    pub finding_id: String,
    pub fingerprint: String,
    pub rule_id: String,
    pub category: String,
    pub severity: Severity,
    pub title: String,
    pub detail: String,
    pub affected_objects: Vec<AffectedObject>,
    /// `{kind: deployment_card, card_id}`
    pub evidence_refs: Vec<BTreeMap<String, String>>,
    pub recommendation: String,
    pub dry_run: bool,
}

/// The fields that the card lacks.
pub fn missing(card: &Card) -> Vec<&'static str> {
    let has = |field: &str| match field {
        "intended_purpose" => card.intended_purpose.is_some(),
        "business_owner" => card.business_owner.is_some(),
        "accountable_team" => card.accountable_team.is_some(),
        "autonomy_level" => card.autonomy_level.is_some(),
        "data_classification" => card.data.classification.is_some(),
        "approval_protocol" => card.approval_and_escalation.approval_protocol.is_some(),
        "escalation_protocol" => card.approval_and_escalation.escalation_protocol.is_some(),
        _ => card.review.review_cadence_days.is_some(),
    };
    REQUIRED.into_iter().filter(|field| !has(field)).collect()
}

/// Who answers for it and whom to call comes first.
fn severity(field: &str) -> Severity {
    match field {
        "business_owner" | "accountable_team" | "escalation_protocol" => Severity::High,
        _ => Severity::Medium,
    }
}

pub fn findings(card: &Card) -> impl Iterator<Item = CardFinding> + '_ {
    missing(card).into_iter().map(|field| finding(card, field))
}

fn finding(card: &Card, field: &str) -> CardFinding {
    let id = &card.card_id;
    let words = field.replace('_', " ");
    let affected = AffectedObject::new(&card.target.kind, card.target.id.clone());
    CardFinding {
        finding_id: format!("deployment_card_missing:{id}:{field}"),
        fingerprint: format!("deployment_card:{id}:missing:{field}"),
        rule_id: RULE.into(),
        category: "production_governance".into(),
        severity: severity(field),
        title: format!("The deployment card of {} has no {words}", card.target.name),
        detail: format!("`{field}` of card {id} is not known, neither from the request nor from what is stored."),
        affected_objects: vec![affected.with("card_id", id.clone()).with("field", field)],
        evidence_refs: vec![
            [("kind", "deployment_card"), ("card_id", id)].map(|(key, value)| (key.into(), value.into())).into(),
        ],
        recommendation: format!("Let whoever is accountable say the {words}, and store it with the card."),
        dry_run: true,
    }
}
