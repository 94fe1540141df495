//! Deployment cards: made of the inventory and of what is stored, kept in versions, signed by people.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_core::{
    actor::OpContext,
    automation::Automation,
    error::{Code, Failure},
    incident::INCIDENTS,
    record::{Column, Commit},
};
use tandem_posture::{
    cards::{
        self, Card, CardFinding, CardKind, CardMetadata, CardStatus, CardVersion, DeploymentCards, Known, Links,
        MONITOR_CARD, Options, ReviewOutcome, SignOff, StoredCard,
        keep::{SignCard, StoreCard},
        subject::{automation_card, source_card},
    },
    declared::{Declared, DeclaredKind},
    estate::Owned,
    evidence::ContextRun,
    inventory::inventory,
    posture::{self, check},
};
use utoipa::ToSchema;

use super::{Turn, viewer};
use crate::{App, Page, PageRequest};

/// The newest incidents and evidence packs that cards refer to.
const INCIDENTS_LINKED: usize = 200;
const PACKS_LINKED: usize = 20;
/// Versions and signatures that one card shows.
const HISTORY: usize = 200;

/// Which stored cards are listed.
#[derive(Clone, Debug, Default)]
pub struct CardFilter {
    pub kind: Option<CardKind>,
    pub status: Option<CardStatus>,
}

/// One card with everything that is kept of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeploymentCardDetail)]
pub struct CardDetail {
    /// As it would be generated now, from what is stored; null when its subject is gone.
    pub card: Option<Card>,
    /// Required fields that are missing.
    pub findings: Vec<CardFinding>,
    /// Null when nothing is stored.
    pub stored: Option<StoredCard>,
    /// Newest first.
    pub versions: Vec<CardVersion>,
    /// Newest first.
    pub sign_offs: Vec<SignOff>,
    /// The card as a document.
    pub markdown_export: Option<String>,
}

/// What a signer says.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    pub digest: Option<String>,
    pub version: Option<u64>,
    pub outcome: ReviewOutcome,
    pub note: Option<String>,
    pub review_cadence_days: Option<u64>,
}

fn not_found(card_id: &str) -> Failure {
    Failure::of(Code::DeploymentCardNotFound).with("card_id", card_id)
}

impl App {
    /// Makes the cards of everything that the caller may see. That this was done is a row of the log.
    pub async fn deployment_cards(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        options: &Options,
    ) -> Result<DeploymentCards, Failure> {
        let estate = self.estate(turn, ctx).await?;
        let inventory = inventory(&estate, &viewer(ctx));
        let findings = check(&estate, &inventory, &posture::Options::default()).findings;
        // Where the implicit tenant and another one have a card of the same id, its own counts.
        let own = |owned: &&Owned<StoredCard>| owned.tenant.key() == ctx.tenant.key();
        let stored = estate.cards.iter().filter(|owned| !own(owned)).chain(estate.cards.iter().filter(own));
        let known = Known {
            stored: stored.map(|owned| (owned.value.card_id.as_str(), &owned.value)).collect(),
            findings: &findings,
            links: self.card_links(ctx).await?,
        };
        let made = cards::generate(&inventory, options, &known, self.reassessment_block(ctx).await?);
        let payload = json!({
            "source_kind": "tandem_monitor", "schema_version": made.schema_version,
            "generated_at_ms": made.generated_at_ms, "counts": made.counts, "raw_inventory_included": false,
        });
        let kind = "incident_monitor.deployment_cards.generated";
        let commit = Commit::new(ctx).audit(self.event_id(), kind, payload);
        self.store().commit(commit).await.map_err(crate::store_failure)?;
        Ok(made)
    }

    /// Stored cards: by the latest change, or by when they are due where the status depends on time.
    pub async fn deployment_card_list(
        &self,
        ctx: &OpContext,
        filter: &CardFilter,
        mut request: PageRequest,
    ) -> Result<Page<StoredCard>, Failure> {
        if let Some(kind) = filter.kind {
            request.equals.push(("card_kind", Column::text(kind.word())));
        }
        let order = match filter.status {
            None => "updated_at_ms",
            Some(CardStatus::Unsigned) => {
                request.equals.push(("signed", Column::text("no")));
                "updated_at_ms"
            }
            Some(CardStatus::Rejected) => {
                request.equals.push(("signed", Column::text("rejected")));
                "updated_at_ms"
            }
            Some(CardStatus::Stale) => {
                let edge = i64::try_from(ctx.now_ms).unwrap_or(i64::MAX).saturating_add(1);
                request.after.get_or_insert((edge, String::new()));
                "due_at_ms"
            }
            Some(CardStatus::Current) => {
                request.since_ms = Some(ctx.now_ms.saturating_add(1));
                "due_at_ms"
            }
        };
        self.page(&ctx.tenant.key(), order, &request).await
    }

    pub async fn deployment_card(&self, turn: &Turn, ctx: &OpContext, card_id: &str) -> Result<CardDetail, Failure> {
        let tenant = ctx.tenant.key();
        let stored = self.load::<StoredCard>(&tenant, card_id).await?.map(|row| row.value);
        let estate = self.estate(turn, ctx).await?;
        let inventory = inventory(&estate, &viewer(ctx));
        let subject = cards::subject(&inventory, card_id);
        if subject.is_none() && stored.is_none() {
            return Err(not_found(card_id));
        }
        let of_card = || vec![("card_id", Column::text(card_id))];
        let versions = self.all::<CardVersion>(&tenant, "number", of_card(), HISTORY).await?;
        let sign_offs = self.all::<SignOff>(&tenant, "signed_at_ms", of_card(), HISTORY).await?;
        let mut detail = CardDetail {
            card: None,
            findings: Vec::new(),
            stored,
            versions: versions.into_iter().map(|row| row.value).collect(),
            sign_offs: sign_offs.into_iter().map(|row| row.value).collect(),
            markdown_export: None,
        };
        if let Some(subject) = subject {
            let findings = check(&estate, &inventory, &posture::Options::default()).findings;
            let stored = detail.stored.iter().map(|card| (card.card_id.as_str(), card)).collect();
            let known = Known { stored, findings: &findings, links: self.card_links(ctx).await? };
            let (card, missing, text) = cards::single(subject, &known, ctx.now_ms);
            (detail.card, detail.findings, detail.markdown_export) = (Some(card), missing, Some(text));
        }
        Ok(detail)
    }

    pub async fn deployment_card_store(
        &self,
        ctx: &OpContext,
        card_id: &str,
        metadata: CardMetadata,
        base_version: Option<u64>,
    ) -> Result<StoredCard, Failure> {
        let kind = CardKind::of_id(card_id).ok_or_else(|| not_found(card_id))?;
        let known = self.load::<StoredCard>(&ctx.tenant.key(), card_id).await?.is_some();
        if !known && !self.has_subject(ctx, kind, card_id).await? {
            return Err(not_found(card_id));
        }
        let metadata = metadata.tidy();
        self.decide(ctx, StoreCard { card_id: card_id.into(), kind, metadata, base_version }).await
    }

    pub async fn deployment_card_sign(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        card_id: &str,
        signing: Signing,
    ) -> Result<StoredCard, Failure> {
        let estate = self.estate(turn, ctx).await?;
        let subject = cards::subject(&inventory(&estate, &viewer(ctx)), card_id);
        let Signing { digest, version, outcome, note, review_cadence_days } = signing;
        let sign = SignCard {
            card_id: card_id.into(),
            digest,
            version,
            outcome,
            note,
            review_cadence_days,
            authority_digest: subject.map(|subject| subject.authority.digest()),
        };
        self.decide(ctx, sign).await
    }

    /// Whether there is something that the card would be about. Looks for that one thing only.
    async fn has_subject(&self, ctx: &OpContext, kind: CardKind, card_id: &str) -> Result<bool, Failure> {
        let tenant = ctx.tenant.key();
        let id = card_id.split_once(':').map_or(card_id, |(_, id)| id);
        Ok(match kind {
            CardKind::SelfMonitoring => true,
            CardKind::Automation => self.load::<Automation>(&tenant, id).await?.is_some_and(|row| row.value.is_live()),
            CardKind::Workflow => {
                self.load::<Declared>(&tenant, &Declared::key(DeclaredKind::Workflow, id)).await?.is_some()
            }
            CardKind::MonitoredSource => {
                let snapshot = self.snapshot(&tenant).await?;
                snapshot.config.monitored_projects.iter().any(|project| {
                    let own = &project.project_id;
                    source_card(own, None) == card_id
                        || project.log_sources.iter().any(|it| source_card(own, Some(&it.source_id)) == card_id)
                })
            }
        })
    }

    /// Incidents and evidence packs, by the card that they belong to; the newest of each.
    async fn card_links(&self, ctx: &OpContext) -> Result<Links, Failure> {
        #[derive(Deserialize)]
        struct Brief {
            incident_id: String,
            project_id: Option<String>,
            log_source_id: Option<String>,
            source_kind: Option<tandem_core::source::SourceKind>,
            event_payload: Option<Value>,
        }
        let tenant = ctx.tenant.key();
        let mut incidents: HashMap<String, Vec<String>> = HashMap::new();
        let rows: Vec<Brief> = self.all_brief(&INCIDENTS, &tenant, "updated_at_ms", INCIDENTS_LINKED).await?;
        for row in rows {
            let automation = row.event_payload.as_ref().and_then(|payload| payload.get("automation_id"));
            let of_project = row.project_id.as_deref().map(|project| source_card(project, None));
            let of_source = row.project_id.as_deref().zip(row.log_source_id.as_deref());
            let cards = [
                of_project,
                of_source.map(|(project, source)| source_card(project, Some(source))),
                automation.and_then(Value::as_str).map(automation_card),
                row.source_kind.filter(|kind| kind.label().starts_with("tandem_")).map(|_| MONITOR_CARD.to_owned()),
            ];
            for card in cards.into_iter().flatten() {
                incidents.entry(card).or_default().push(format!("incident:{}", row.incident_id));
            }
        }
        let packs = self.all::<ContextRun>(&tenant, "updated_at_ms", Vec::new(), PACKS_LINKED).await?;
        let packs: Vec<String> = packs.into_iter().map(|row| format!("context_run:{}", row.value.run_id)).collect();
        let evidence_packs = HashMap::from([(MONITOR_CARD.to_owned(), packs)]);
        Ok(Links { incidents, evidence_packs })
    }
}
