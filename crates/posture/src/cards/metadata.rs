//! What operators say of a deployment, and in which order it counts: the request's word for the card, the request's
//! defaults, what is stored, and last what follows from the inventory.

use serde::{Deserialize, Serialize};
use tandem_core::{
    redaction::{Counts, redactor},
    text::{non_blank, truncate},
};
use utoipa::ToSchema;

/// Longest text of one field, and of one entry of a list.
const TEXT: usize = 4_000;
/// Entries of a list at most.
const ENTRIES: usize = 200;

/// Its fields, as `card_policy.metadata_keys` names them.
pub const KEYS: [&str; 14] = [
    "intended_purpose",
    "business_owner",
    "accountable_team",
    "autonomy_level",
    "data_classification",
    "approval_protocol",
    "escalation_protocol",
    "allowed_actions",
    "prohibited_actions",
    "known_limitations",
    "residual_risks",
    "evidence_refs",
    "review_cadence_days",
    "next_reassessment_at_ms",
];

/// What an operator says of one card, or of all. What is left out is asked of the next layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = DeploymentCardMetadata)]
pub struct CardMetadata {
    /// Also read as `purpose`.
    #[serde(alias = "purpose", alias = "intendedPurpose", skip_serializing_if = "Option::is_none")]
    pub intended_purpose: Option<String>,
    #[serde(alias = "businessOwner", skip_serializing_if = "Option::is_none")]
    pub business_owner: Option<String>,
    #[serde(alias = "accountableTeam", skip_serializing_if = "Option::is_none")]
    pub accountable_team: Option<String>,
    #[serde(alias = "autonomyLevel", skip_serializing_if = "Option::is_none")]
    pub autonomy_level: Option<String>,
    #[serde(alias = "dataClassification", skip_serializing_if = "Option::is_none")]
    pub data_classification: Option<String>,
    #[serde(alias = "approvalProtocol", skip_serializing_if = "Option::is_none")]
    pub approval_protocol: Option<String>,
    #[serde(alias = "escalationProtocol", skip_serializing_if = "Option::is_none")]
    pub escalation_protocol: Option<String>,
    #[serde(alias = "allowedActions", skip_serializing_if = "Vec::is_empty")]
    pub allowed_actions: Vec<String>,
    #[serde(alias = "prohibitedActions", skip_serializing_if = "Vec::is_empty")]
    pub prohibited_actions: Vec<String>,
    #[serde(alias = "knownLimitations", skip_serializing_if = "Vec::is_empty")]
    pub known_limitations: Vec<String>,
    #[serde(alias = "residualRisks", skip_serializing_if = "Vec::is_empty")]
    pub residual_risks: Vec<String>,
    #[serde(alias = "evidenceRefs", skip_serializing_if = "Vec::is_empty")]
    pub evidence_refs: Vec<String>,
    #[serde(alias = "reviewCadenceDays", skip_serializing_if = "Option::is_none")]
    pub review_cadence_days: Option<u64>,
    #[serde(alias = "nextReassessmentAtMs", skip_serializing_if = "Option::is_none")]
    pub next_reassessment_at_ms: Option<u64>,
}

impl CardMetadata {
    /// Trimmed, bounded, and without secrets that somebody pasted into a description.
    pub fn tidy(mut self) -> Self {
        let redactor = redactor(None);
        let mut counts = Counts::new();
        let mut clean = |text: &str| truncate(&redactor.text(text.trim(), &mut counts), TEXT);
        for text in self.texts_mut() {
            *text = non_blank(text.as_deref()).map(&mut clean);
        }
        for list in self.lists_mut() {
            let kept = list.iter().filter_map(|entry| non_blank(Some(entry))).take(ENTRIES);
            *list = kept.map(&mut clean).collect();
        }
        self
    }

    fn texts_mut(&mut self) -> [&mut Option<String>; 7] {
        [
            &mut self.intended_purpose,
            &mut self.business_owner,
            &mut self.accountable_team,
            &mut self.autonomy_level,
            &mut self.data_classification,
            &mut self.approval_protocol,
            &mut self.escalation_protocol,
        ]
    }

    fn lists_mut(&mut self) -> [&mut Vec<String>; 5] {
        [
            &mut self.allowed_actions,
            &mut self.prohibited_actions,
            &mut self.known_limitations,
            &mut self.residual_risks,
            &mut self.evidence_refs,
        ]
    }
}

/// The layers of one card, the first that says something wins.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a>(pub [Option<&'a CardMetadata>; 3]);

impl<'a> Layers<'a> {
    fn each(self) -> impl Iterator<Item = &'a CardMetadata> {
        self.0.into_iter().flatten()
    }

    pub fn text(self, field: impl Fn(&CardMetadata) -> &Option<String>, fallback: Option<&str>) -> Option<String> {
        let said = self.each().find_map(|layer| non_blank(field(layer).as_deref()));
        said.or_else(|| non_blank(fallback)).map(str::to_owned)
    }

    /// Sorted and without repetitions, unless it is the fallback: that keeps its order.
    pub fn list(self, field: impl Fn(&CardMetadata) -> &Vec<String>, fallback: &[String]) -> Vec<String> {
        for layer in self.each() {
            let entries = field(layer).iter().filter_map(|entry| non_blank(Some(entry)));
            let mut entries: Vec<String> = entries.map(str::to_owned).collect();
            if !entries.is_empty() {
                entries.sort_unstable();
                entries.dedup();
                return entries;
            }
        }
        fallback.to_vec()
    }

    pub fn number(self, field: impl Fn(&CardMetadata) -> Option<u64>) -> Option<u64> {
        self.each().find_map(field)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> CardMetadata {
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn keys_are_those_of_the_type() {
        let full = json!({
            "intended_purpose": "a", "business_owner": "a", "accountable_team": "a", "autonomy_level": "a",
            "data_classification": "a", "approval_protocol": "a", "escalation_protocol": "a",
            "allowed_actions": ["a"], "prohibited_actions": ["a"], "known_limitations": ["a"],
            "residual_risks": ["a"], "evidence_refs": ["a"], "review_cadence_days": 1, "next_reassessment_at_ms": 1,
        });
        let written = serde_json::to_value(read(full.clone())).unwrap_or_default();
        assert_eq!(written, full);
        let mut keys: Vec<&str> = written.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        let mut known = KEYS.to_vec();
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known);
    }

    #[test]
    fn both_spellings_are_read_and_null_lists_are_refused() {
        let said = read(json!({"purpose": "p", "businessOwner": "b", "reviewCadenceDays": 30, "other": 1,
            "accountable_team": null}));
        assert_eq!((said.intended_purpose.as_deref(), said.business_owner.as_deref()), (Some("p"), Some("b")));
        assert_eq!((said.review_cadence_days, said.accountable_team), (Some(30), None));
        assert!(serde_json::from_value::<CardMetadata>(json!({"allowed_actions": null})).is_err());
        assert!(serde_json::from_value::<CardMetadata>(json!({"review_cadence_days": -1})).is_err());
    }

    #[test]
    fn the_first_layer_that_says_something_wins() {
        let own = read(json!({"business_owner": "  ", "allowed_actions": ["b", " a ", "b", " "]}));
        let defaults = read(json!({"business_owner": "default", "review_cadence_days": 7}));
        let stored = read(json!({"business_owner": "stored", "accountable_team": "kept", "review_cadence_days": 9,
            "residual_risks": ["known"]}));
        let layers = Layers([Some(&own), Some(&defaults), Some(&stored)]);
        assert_eq!(layers.text(|m| &m.business_owner, None).as_deref(), Some("default"));
        assert_eq!(layers.text(|m| &m.accountable_team, Some("fallback")).as_deref(), Some("kept"));
        assert_eq!(layers.text(|m| &m.autonomy_level, Some("fallback")).as_deref(), Some("fallback"));
        assert_eq!(layers.text(|m| &m.autonomy_level, Some(" ")), None);
        assert_eq!(layers.list(|m| &m.allowed_actions, &[]), ["a", "b"]);
        assert_eq!(layers.list(|m| &m.residual_risks, &[]), ["known"]);
        assert_eq!(layers.list(|m| &m.known_limitations, &["z".into(), "a".into()]), ["z", "a"]);
        assert_eq!(layers.number(|m| m.review_cadence_days), Some(7));
        assert_eq!(layers.number(|m| m.next_reassessment_at_ms), None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_holds_no_secret() {
        let said = read(json!({
            "intended_purpose": format!("  token ghp_{}  ", "a1B2".repeat(9)), "business_owner": "x".repeat(9_000),
            "allowed_actions": ["", " b "],
        }));
        let tidy = said.tidy();
        assert!(!tidy.intended_purpose.unwrap_or_default().contains("a1B2a1B2"));
        assert!(tidy.business_owner.unwrap_or_default().len() < 4_100);
        assert_eq!(tidy.allowed_actions, ["b"]);
    }
}
