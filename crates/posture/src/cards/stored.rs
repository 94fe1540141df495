//! Cards as they are kept: what operators said, one version after another, and who signed which of them.
//!
//! A sign-off names the digest of the version that was looked at, and what the subject could reach then. So it does not
//! carry over to a later version, and a subject that reaches further since makes it stale.

use serde::{Deserialize, Serialize};
use tandem_core::{
    actor::ActorRef,
    record::{Collection, Column, Record},
    text::sha256_hex,
    wire_enum,
};
use utoipa::ToSchema;

use super::{metadata::CardMetadata, subject::CardKind};

wire_enum! {
    /// What a person found.
    #[derive(Default)]
    #[schema(as = DeploymentCardOutcome)]
    pub enum ReviewOutcome {
        #[default]
        Approved = "approved",
        ApprovedWithConditions = "approved_with_conditions",
        Rejected = "rejected",
    }
}

wire_enum! {
    /// How a stored card stands.
    #[schema(as = DeploymentCardStatus)]
    pub enum CardStatus {
        /// Nobody signed this version.
        Unsigned = "unsigned",
        /// Somebody looked at this version and did not agree.
        Rejected = "rejected",
        /// Signed, and due for review: its time has come, or its subject reaches something else than it did.
        Stale = "stale",
        Current = "current",
    }
}

/// A person's word on one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardSignOff)]
pub struct SignOff {
    pub sign_off_id: String,
    pub card_id: String,
    pub version: u64,
    /// Of the version that was signed.
    pub digest: String,
    pub outcome: ReviewOutcome,
    pub note: Option<String>,
    pub signed_by: ActorRef,
    pub signed_at_ms: u64,
    pub next_review_due_at_ms: u64,
    /// Of what the subject could use and reach; null where the subject no longer existed.
    pub authority_digest: Option<String>,
}

pub static SIGN_OFFS: Collection =
    Collection { name: "deployment_card_sign_offs", columns: &["card_id", "signed_at_ms"] };

impl Record for SignOff {
    const COLLECTION: &'static Collection = &SIGN_OFFS;
    fn id(&self) -> &str {
        &self.sign_off_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.card_id), Column::ms(self.signed_at_ms)]
    }
}

/// One version. Never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardVersion)]
pub struct CardVersion {
    pub version_id: String,
    pub card_id: String,
    pub version: u64,
    pub digest: String,
    pub metadata: CardMetadata,
    pub created_at_ms: u64,
    pub created_by: ActorRef,
}

pub static VERSIONS: Collection = Collection { name: "deployment_card_versions", columns: &["card_id", "number"] };

impl Record for CardVersion {
    const COLLECTION: &'static Collection = &VERSIONS;
    fn id(&self) -> &str {
        &self.version_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.card_id), Column::ms(self.version)]
    }
}

/// The newest version of a card and the latest word on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = StoredDeploymentCard)]
pub struct StoredCard {
    pub card_id: String,
    pub card_kind: CardKind,
    pub version: u64,
    pub digest: String,
    pub metadata: CardMetadata,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    pub updated_by: ActorRef,
    pub sign_off: Option<SignOff>,
}

impl StoredCard {
    /// The word on the version that is in force.
    pub fn signed(&self) -> Option<&SignOff> {
        self.sign_off.as_ref().filter(|signed| signed.version == self.version && signed.digest == self.digest)
    }

    /// When somebody has to look at it again.
    pub fn due_at_ms(&self) -> Option<u64> {
        let signed = self.signed().map(|signed| signed.next_review_due_at_ms);
        signed.into_iter().chain(self.metadata.next_reassessment_at_ms).min()
    }

    pub fn is_overdue(&self, now_ms: u64) -> bool {
        self.due_at_ms().is_some_and(|due| due <= now_ms)
    }

    /// Whether what the subject can use and reach is something else than what was signed.
    pub fn authority_changed(&self, authority: Option<&str>) -> bool {
        let signed = self.signed().and_then(|signed| signed.authority_digest.as_deref());
        matches!((signed, authority), (Some(signed), Some(now)) if signed != now)
    }

    pub fn status(&self, now_ms: u64, authority: Option<&str>) -> CardStatus {
        let Some(signed) = self.signed() else { return CardStatus::Unsigned };
        match signed.outcome {
            ReviewOutcome::Rejected => CardStatus::Rejected,
            ReviewOutcome::Approved | ReviewOutcome::ApprovedWithConditions
                if self.is_overdue(now_ms) || self.authority_changed(authority) =>
            {
                CardStatus::Stale
            }
            ReviewOutcome::Approved | ReviewOutcome::ApprovedWithConditions => CardStatus::Current,
        }
    }

    /// What a generated card shows of it.
    pub fn view(&self, now_ms: u64, authority: Option<&str>) -> StoredView {
        StoredView {
            version: self.version,
            digest: self.digest.clone(),
            status: self.status(now_ms, authority),
            authority_changed: self.authority_changed(authority),
            review_due_at_ms: self.due_at_ms(),
            updated_at_ms: self.updated_at_ms,
            updated_by: self.updated_by.clone(),
            sign_off: self.signed().cloned(),
        }
    }

    /// How lists find it: `no`, `yes`, or `rejected`.
    pub fn signed_word(&self) -> &'static str {
        match self.signed().map(|signed| signed.outcome) {
            None => "no",
            Some(ReviewOutcome::Rejected) => "rejected",
            Some(ReviewOutcome::Approved | ReviewOutcome::ApprovedWithConditions) => "yes",
        }
    }
}

pub static CARDS: Collection =
    Collection { name: "deployment_cards", columns: &["card_kind", "signed", "due_at_ms", "updated_at_ms"] };

impl Record for StoredCard {
    const COLLECTION: &'static Collection = &CARDS;
    fn id(&self) -> &str {
        &self.card_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(self.card_kind.word()),
            Column::text(self.signed_word()),
            match (self.signed_word(), self.due_at_ms()) {
                ("yes", Some(due)) => Column::ms(due),
                _ => Column::Null,
            },
            Column::ms(self.updated_at_ms),
        ]
    }
}

/// The stored card behind a generated one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardRecord)]
pub struct StoredView {
    pub version: u64,
    pub digest: String,
    pub status: CardStatus,
    /// The subject can use or reach something else than when it was signed.
    pub authority_changed: bool,
    pub review_due_at_ms: Option<u64>,
    pub updated_at_ms: u64,
    pub updated_by: ActorRef,
    /// Null until a person has signed this version.
    pub sign_off: Option<SignOff>,
}

/// What a sign-off is bound to: the card, the number of the version, and every word of it.
pub fn digest(card_id: &str, version: u64, metadata: &CardMetadata) -> String {
    // Our own types serialise: string keys, no custom errors.
    let text = serde_json::to_string(&(card_id, version, metadata)).unwrap_or_default();
    format!("sha256:{}", sha256_hex(&text))
}

/// Numbers sort as text.
pub fn version_id(card_id: &str, version: u64) -> String {
    format!("{card_id}@{version:010}")
}
