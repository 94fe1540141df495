//! Deployment cards: for the monitor, each automation, workflow and source one card that says what it is for, who answers
//! for it, what it may reach and when somebody looks at it again. What is missing is a finding, never a refusal.

mod card;
pub mod keep;
mod markdown;
mod metadata;
pub mod required;
mod stored;
pub mod subject;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::tenant::TenantContext;
use utoipa::ToSchema;

pub use card::{Card, CardData, CardEvidence, CardProtocols, CardReview};
pub use metadata::{CardMetadata, KEYS, Layers};
pub use required::{CardFinding, REQUIRED};
pub use stored::{
    CARDS, CardStatus, CardVersion, ReviewOutcome, SIGN_OFFS, SignOff, StoredCard, StoredView, VERSIONS, version_id,
};
pub use subject::{CardAuthority, CardKind, CardTarget, MONITOR_CARD, Subject, subject};

use crate::{
    finding::Finding,
    inventory::{AuthorityInventory, OMITTED},
    reassess::ReassessmentBlock,
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// For every card.
    pub defaults: CardMetadata,
    /// By card id, or by the id of the target.
    pub metadata: BTreeMap<String, CardMetadata>,
    pub include_markdown: bool,
    /// Never honoured; the answer says that it was asked.
    pub include_raw_inventory: bool,
}

/// What is known beside the inventory.
#[derive(Clone, Debug, Default)]
pub struct Known<'a> {
    pub stored: HashMap<&'a str, &'a StoredCard>,
    pub findings: &'a [Finding],
    pub links: Links,
}

/// Incidents and evidence packs, by the card that they belong to.
#[derive(Clone, Debug, Default)]
pub struct Links {
    pub incidents: HashMap<String, Vec<String>>,
    pub evidence_packs: HashMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardScope)]
pub struct CardScope {
    pub source: String,
    pub read_only: bool,
    pub dry_run: bool,
    pub mutates_external_systems: bool,
    pub tenant_context: TenantContext,
    pub raw_inventory_included: bool,
    pub raw_inventory_request_ignored: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardPolicy)]
pub struct CardPolicy {
    pub required_fields: Vec<String>,
    /// Keys of the request's `metadata`.
    pub metadata_card_ids: Vec<String>,
    pub supports_operator_metadata: bool,
    pub metadata_keys: Vec<String>,
    /// Cards for which something is stored; it counts after the request's `metadata` and `defaults`.
    pub stored_card_ids: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardCounts)]
pub struct CardCounts {
    pub cards: u64,
    pub by_card_kind: BTreeMap<String, u64>,
    pub findings: u64,
    pub missing_required_fields: u64,
    pub posture_findings_linked: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardInventory)]
pub struct InventorySummary {
    pub schema_version: u32,
    pub generated_at_ms: u64,
    pub counts: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardSensitiveValues)]
pub struct CardSensitiveValues {
    pub policy: String,
    pub raw_inventory: String,
    pub omitted_fields: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentCards {
    pub schema_version: u32,
    pub generated_at_ms: u64,
    pub scope: CardScope,
    pub card_policy: CardPolicy,
    pub counts: CardCounts,
    pub reassessment: ReassessmentBlock,
    /// Null when it was not asked for.
    pub markdown_export: Option<String>,
    /// The monitor, then automations, workflows and sources.
    pub cards: Vec<Card>,
    pub findings: Vec<CardFinding>,
    pub authority_inventory: InventorySummary,
    pub sensitive_values: CardSensitiveValues,
}

/// Makes the cards of everything in the inventory.
pub fn generate(
    inventory: &AuthorityInventory,
    options: &Options,
    known: &Known<'_>,
    reassessment: ReassessmentBlock,
) -> DeploymentCards {
    let about = About::of(known.findings);
    let now_ms = inventory.generated_at_ms;
    let cards: Vec<Card> = subject::subjects(inventory)
        .into_iter()
        .map(|subject| {
            let own = options.metadata.get(&subject.card_id).or_else(|| options.metadata.get(&subject.target.id));
            one(subject, [own, Some(&options.defaults)], known, &about, now_ms)
        })
        .collect();
    let findings: Vec<CardFinding> = cards.iter().flat_map(required::findings).collect();
    let tenant = &inventory.scope.tenant_context;
    let mut stored: Vec<String> = known.stored.keys().map(|id| (*id).to_owned()).collect();
    stored.sort_unstable();
    DeploymentCards {
        schema_version: 1,
        generated_at_ms: now_ms,
        scope: CardScope {
            source: "incident_monitor_deployment_cards".into(),
            read_only: true,
            dry_run: true,
            mutates_external_systems: false,
            tenant_context: tenant.clone(),
            raw_inventory_included: false,
            raw_inventory_request_ignored: options.include_raw_inventory,
        },
        card_policy: CardPolicy {
            required_fields: REQUIRED.map(str::to_owned).to_vec(),
            metadata_card_ids: options.metadata.keys().cloned().collect(),
            supports_operator_metadata: true,
            metadata_keys: KEYS.map(str::to_owned).to_vec(),
            stored_card_ids: stored,
        },
        counts: counts(&cards, &findings),
        reassessment,
        markdown_export: options.include_markdown.then(|| markdown::document(&cards, &findings, tenant, now_ms)),
        cards,
        findings,
        authority_inventory: InventorySummary {
            schema_version: inventory.schema_version,
            generated_at_ms: inventory.generated_at_ms,
            counts: inventory.counts.clone(),
        },
        sensitive_values: CardSensitiveValues {
            policy: "redacted_or_summarized".into(),
            raw_inventory: "omitted_by_default".into(),
            omitted_fields: omitted(),
        },
    }
}

/// One card and its document, from what is stored alone.
pub fn single(subject: Subject, known: &Known<'_>, now_ms: u64) -> (Card, Vec<CardFinding>, String) {
    let card = one(subject, [None, None], known, &About::of(known.findings), now_ms);
    let findings = required::findings(&card).collect();
    let text = markdown::single(&card);
    (card, findings, text)
}

fn one(
    subject: Subject,
    request: [Option<&CardMetadata>; 2],
    known: &Known<'_>,
    about: &About<'_>,
    now_ms: u64,
) -> Card {
    let stored = known.stored.get(subject.card_id.as_str()).copied();
    let linked = |by: &HashMap<String, Vec<String>>| by.get(&subject.card_id).cloned().unwrap_or_default();
    let evidence = CardEvidence {
        posture_finding_refs: about.naming(&subject.names),
        incident_refs: linked(&known.links.incidents),
        evidence_pack_refs: linked(&known.links.evidence_packs),
        ..CardEvidence::default()
    };
    let view = stored.map(|card| card.view(now_ms, Some(&subject.authority.digest())));
    let [own, defaults] = request;
    Card::new(subject, Layers([own, defaults, stored.map(|card| &card.metadata)]), evidence, view)
}

/// Which findings hold which text.
struct About<'a>(HashMap<&'a str, Vec<&'a str>>);

impl<'a> About<'a> {
    fn of(findings: &'a [Finding]) -> Self {
        let mut by: HashMap<&str, Vec<&str>> = HashMap::new();
        for finding in findings {
            let held = finding.affected_objects.iter().flat_map(|object| {
                let more = object.more.values().filter_map(Value::as_str);
                [object.kind.as_str(), object.id.as_str()].into_iter().chain(more)
            });
            for text in held {
                let ids = by.entry(text).or_default();
                if ids.last() != Some(&finding.finding_id.as_str()) {
                    ids.push(&finding.finding_id);
                }
            }
        }
        Self(by)
    }

    fn naming(&self, names: &[String]) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for id in names.iter().filter_map(|name| self.0.get(name.as_str())).flatten() {
            if !ids.iter().any(|known| known == id) {
                ids.push((*id).to_owned());
            }
        }
        ids
    }
}

fn counts(cards: &[Card], findings: &[CardFinding]) -> CardCounts {
    let mut by_card_kind: BTreeMap<String, u64> =
        CardKind::ALL.iter().map(|kind| (kind.word().to_owned(), 0)).collect();
    for card in cards {
        *by_card_kind.entry(card.card_kind.word().to_owned()).or_default() += 1;
    }
    CardCounts {
        cards: cards.len() as u64,
        by_card_kind,
        findings: findings.len() as u64,
        missing_required_fields: findings.len() as u64,
        posture_findings_linked: cards.iter().map(|card| card.linked_evidence.posture_finding_refs.len() as u64).sum(),
    }
}

/// What the inventory leaves out and a card could show, and the payloads of the log.
fn omitted() -> Vec<String> {
    let kept = OMITTED.iter().filter(|name| !name.starts_with("source.") && !name.starts_with("external_action."));
    kept.copied().chain(["protected_audit.payload"]).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
