//! Storing a card and signing it, each decided inside the write transaction.

use serde_json::json;
use tandem_core::{
    actor::ActorKind,
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
    text::{non_blank, truncate},
};

use super::{
    metadata::CardMetadata,
    stored::{CardVersion, ReviewOutcome, SignOff, StoredCard, digest, version_id},
    subject::CardKind,
};

const DAY_MS: u64 = 86_400_000;
/// Where neither the card nor the signer says when it is to be looked at again.
pub const CADENCE_DAYS: u64 = 90;
/// Longer than anybody answers for anything.
const LONGEST_DAYS: u64 = 36_500;

/// Stores what an operator says of a card: a new version, unless it is what is stored already.
#[derive(Debug)]
pub struct StoreCard {
    pub card_id: String,
    pub kind: CardKind,
    /// Tidy.
    pub metadata: CardMetadata,
    /// The version that the caller has seen, 0 for none.
    pub base_version: Option<u64>,
}

impl Decision for StoreCard {
    type Outcome = StoredCard;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<StoredCard>(&self.card_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<StoredCard> {
        let known = desk.get::<StoredCard>(&self.card_id)?;
        let version = known.as_ref().map_or(0, |card| card.version);
        if self.base_version.is_some_and(|seen| seen != version) {
            return Err(Failure::of(Code::DeploymentCardChanged).with("version", version).into());
        }
        if let Some(card) = known.as_ref().filter(|card| card.metadata == self.metadata) {
            return Ok(card.clone());
        }
        let (version, now_ms) = (version + 1, desk.now_ms());
        let card = StoredCard {
            card_id: self.card_id.clone(),
            card_kind: self.kind,
            version,
            digest: digest(&self.card_id, version, &self.metadata),
            metadata: self.metadata.clone(),
            created_at_ms: known.as_ref().map_or(now_ms, |card| card.created_at_ms),
            updated_at_ms: now_ms,
            updated_by: desk.ctx.actor.clone(),
            sign_off: known.and_then(|card| card.sign_off),
        };
        desk.save(&card);
        let id = version_id(&card.card_id, version);
        desk.get::<CardVersion>(&id)?;
        desk.save(&CardVersion {
            version_id: id,
            card_id: card.card_id.clone(),
            version,
            digest: card.digest.clone(),
            metadata: card.metadata.clone(),
            created_at_ms: now_ms,
            created_by: desk.ctx.actor.clone(),
        });
        desk.audit(
            "incident_monitor.deployment_card.updated",
            json!({
                "card_id": card.card_id, "card_kind": card.card_kind, "version": version, "digest": card.digest,
                "source_kind": "tandem_monitor",
            }),
        );
        Ok(card)
    }
}

/// A person's word on the version that is in force.
#[derive(Debug)]
pub struct SignCard {
    pub card_id: String,
    /// What was looked at; a card that changed meanwhile is not signed.
    pub digest: Option<String>,
    pub version: Option<u64>,
    pub outcome: ReviewOutcome,
    pub note: Option<String>,
    pub review_cadence_days: Option<u64>,
    /// Of what the subject can use and reach now.
    pub authority_digest: Option<String>,
}

impl Decision for SignCard {
    type Outcome = StoredCard;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<StoredCard>(&self.card_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<StoredCard> {
        match desk.ctx.actor.kind {
            ActorKind::Human => {}
            ActorKind::Agent | ActorKind::System => return Err(Failure::of(Code::HumanRequired).into()),
        }
        let Some(mut card) = desk.get::<StoredCard>(&self.card_id)? else {
            let failure = Failure::of(Code::DeploymentCardNotFound).with("card_id", self.card_id.as_str());
            return Err(failure.with("detail", "nothing is stored that could be signed").into());
        };
        let other = self.digest.as_ref().is_some_and(|seen| *seen != card.digest)
            || self.version.is_some_and(|seen| seen != card.version);
        if other {
            let failure = Failure::of(Code::DeploymentCardChanged).with("version", card.version);
            return Err(failure.with("digest", card.digest).into());
        }
        let now_ms = desk.now_ms();
        let days = self.review_cadence_days.or(card.metadata.review_cadence_days).unwrap_or(CADENCE_DAYS);
        let signed = SignOff {
            sign_off_id: desk.id("sig_"),
            card_id: card.card_id.clone(),
            version: card.version,
            digest: card.digest.clone(),
            outcome: self.outcome,
            note: non_blank(self.note.as_deref()).map(|note| truncate(note, 2_000)),
            signed_by: desk.ctx.actor.clone(),
            signed_at_ms: now_ms,
            next_review_due_at_ms: now_ms.saturating_add(days.min(LONGEST_DAYS) * DAY_MS),
            authority_digest: self.authority_digest.clone(),
        };
        desk.get::<SignOff>(&signed.sign_off_id)?;
        desk.save(&signed);
        desk.audit(
            "incident_monitor.deployment_card.signed_off",
            json!({
                "card_id": card.card_id, "version": signed.version, "digest": signed.digest,
                "outcome": signed.outcome, "next_review_due_at_ms": signed.next_review_due_at_ms,
                "authority_digest": signed.authority_digest, "source_kind": "tandem_monitor",
            }),
        );
        card.sign_off = Some(signed);
        card.updated_at_ms = now_ms;
        desk.save(&card);
        Ok(card)
    }
}
