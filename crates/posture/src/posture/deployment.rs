//! Deployment cards that are missing, that nobody signed, and that have to be looked at again. Which fields a card must
//! have is not judged here: the cards themselves say.

use std::collections::{HashMap, HashSet};

use super::{
    findings::{Findings, foreign, listed},
    table::{CARD_MISSING, CARD_STALE, CARD_UNSIGNED},
};
use crate::{
    cards::{
        CardKind, CardStatus, MONITOR_CARD, StoredCard,
        subject::{self, automation_card, source_card, workflow_card},
    },
    estate::{Estate, Owned},
    finding::{AffectedObject, EvidenceRef, New, Severity},
    inventory::{AuthorityInventory, AutomationRow, WorkflowRow},
    tools,
};

/// Things that one finding names.
const NAMED: usize = 50;

pub(super) fn judge(estate: &Estate, inventory: &AuthorityInventory, out: &mut Findings) {
    if out.wants(CARD_MISSING) {
        missing(estate, inventory, out);
    }
    if estate.cards.is_empty() || !(out.wants(CARD_UNSIGNED) || out.wants(CARD_STALE)) {
        return;
    }
    let reach: HashMap<String, String> =
        subject::subjects(inventory).into_iter().map(|it| (it.card_id, it.authority.digest())).collect();
    // The card of something that is gone is history.
    for owned in &estate.cards {
        if let Some(authority) = reach.get(&owned.value.card_id) {
            stored(estate, owned, authority, out);
        }
    }
}

/// What must have a card: the monitor, its sources, and what can change something. One finding for each kind, which
/// stays the same one while things come and go.
fn missing(estate: &Estate, inventory: &AuthorityInventory, out: &mut Findings) {
    let rows = &inventory.inventory;
    let has: HashSet<&str> = estate.cards.iter().map(|owned| owned.value.card_id.as_str()).collect();
    let monitor = rows.incident_monitor.enabled.then(|| MONITOR_CARD.to_owned());
    let automations =
        rows.automation_specs.iter().filter(|row| acts(row)).map(|row| automation_card(&row.automation_id));
    let workflows = rows.workflows.iter().filter(|row| changes(row)).map(|row| workflow_card(&row.workflow_id));
    let sources = rows.monitored_sources.iter().filter(|row| row.enabled && row.source_id.is_none());
    let sources = sources.map(|row| source_card(&row.project_id, None));
    let of_kinds: [(CardKind, Vec<String>); 4] = [
        (CardKind::SelfMonitoring, monitor.into_iter().collect()),
        (CardKind::Automation, automations.collect()),
        (CardKind::Workflow, workflows.collect()),
        (CardKind::MonitoredSource, sources.collect()),
    ];
    for (kind, ids) in of_kinds {
        let without: Vec<String> = ids.into_iter().filter(|id| !has.contains(id.as_str())).collect();
        if without.is_empty() {
            continue;
        }
        out.add_as(CARD_MISSING, Severity::Low, kind.word(), || New {
            rule_id: CARD_MISSING,
            category: "production_governance",
            severity: Severity::Low,
            title: "No deployment card is stored".into(),
            detail: format!("{} of kind `{kind}` have no stored card: {}.", without.len(), listed(&without)),
            recommendation: "Generate the cards, fill in what is required, store them and have them signed off.".into(),
            affected: without.iter().take(NAMED).map(|id| AffectedObject::new("deployment_card", id.clone())).collect(),
            evidence: without.iter().take(NAMED).map(|id| evidence(id)).collect(),
            extra: None,
        });
    }
}

fn evidence(card_id: &str) -> EvidenceRef {
    EvidenceRef { kind: "deployment_card".into(), path: card_id.into() }
}

/// Whether an automation may use a tool that changes something.
fn acts(row: &AutomationRow) -> bool {
    let agents = row.agents.iter().map(|agent| &agent.tool_policy);
    let nodes = row.nodes.iter().filter_map(|node| node.tool_policy.as_ref());
    agents.chain(nodes).any(|policy| !tools::needing_approval(&policy.allowlist).is_empty())
        || row.agents.iter().any(|agent| !agent.mcp_policy.effective_allowed_servers.is_empty())
}

fn changes(row: &WorkflowRow) -> bool {
    let hooked = row.hooks.iter().flat_map(|hook| &hook.actions).map(|action| &action.action);
    let actions: Vec<String> = row.steps.iter().map(|step| &step.action).chain(hooked).cloned().collect();
    row.enabled && !tools::needing_approval(&actions).is_empty()
}

fn stored(estate: &Estate, owned: &Owned<StoredCard>, authority: &str, out: &mut Findings) {
    let card = &owned.value;
    match card.status(estate.now_ms, Some(authority)) {
        CardStatus::Current => {}
        CardStatus::Unsigned => {
            let detail = format!("Nobody has signed version {} of card `{}`.", card.version, card.card_id);
            unsigned(estate, owned, Severity::Low, detail, out);
        }
        CardStatus::Rejected => {
            let detail = format!("Version {} of card `{}` was looked at and rejected.", card.version, card.card_id);
            unsigned(estate, owned, Severity::Medium, detail, out);
        }
        CardStatus::Stale => {
            let changed = card.authority_changed(Some(authority));
            let why = if changed { "reaches something else than when it was signed" } else { "is due for review" };
            out.add(CARD_STALE, Severity::Medium, || New {
                rule_id: CARD_STALE,
                category: "production_governance",
                severity: Severity::Medium,
                title: "A deployment card has to be looked at again".into(),
                detail: format!("What card `{}` is about {why}.", card.card_id),
                recommendation: "Review the card, store what has changed, and have it signed off again.".into(),
                affected: vec![affected(card)],
                evidence: vec![evidence(&card.card_id)],
                extra: foreign(estate, &owned.tenant),
            });
        }
    }
}

fn unsigned(estate: &Estate, owned: &Owned<StoredCard>, severity: Severity, detail: String, out: &mut Findings) {
    out.add(CARD_UNSIGNED, severity, || New {
        rule_id: CARD_UNSIGNED,
        category: "production_governance",
        severity,
        title: "A deployment card is not signed off".into(),
        detail,
        recommendation: "Let an accountable person review the card and sign it off.".into(),
        affected: vec![affected(&owned.value)],
        evidence: vec![evidence(&owned.value.card_id)],
        extra: foreign(estate, &owned.tenant),
    });
}

/// The card, and what it is about, so that cards find their findings.
fn affected(card: &StoredCard) -> AffectedObject {
    let object = AffectedObject::new("deployment_card", card.card_id.clone()).with("card_kind", card.card_kind.word());
    let mut parts = card.card_id.splitn(3, ':').skip(1);
    match (card.card_kind, parts.next(), parts.next()) {
        (CardKind::SelfMonitoring, ..) => object.with("target_id", "incident_monitor"),
        (CardKind::MonitoredSource, Some(project), Some("project")) => object.with("target_id", project),
        (CardKind::MonitoredSource, Some(_), Some(source)) => object.with("target_id", source),
        (CardKind::Automation | CardKind::Workflow | CardKind::MonitoredSource, ..) => {
            let id = card.card_id.split_once(':').map_or(card.card_id.as_str(), |(_, id)| id);
            object.with("target_id", id)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tandem_core::{
        actor::{ActorKind, ActorRef},
        tenant::TenantContext,
    };

    use super::{super::*, *};
    use crate::{
        cards::{CardMetadata, ReviewOutcome, SignOff},
        inventory::{Viewer, inventory},
    };

    fn estate() -> Estate {
        crate::inventory::tests::estate(json!({
            "enabled": true,
            "monitored_projects": [{"project_id": "shop", "name": "Shop", "repo": "a/b", "workspace_root": "/srv",
                "log_sources": [{"source_id": "web", "path": "web.log"}]}],
        }))
    }

    fn found(estate: &Estate) -> Vec<Finding> {
        let rules = [CARD_MISSING, CARD_UNSIGNED, CARD_STALE].map(str::to_owned).to_vec();
        let options = Options { rules, ..Options::default() };
        check(estate, &inventory(estate, &Viewer::Reviewer), &options).findings
    }

    fn said(estate: &Estate) -> Vec<String> {
        let say = |finding: &Finding| format!("{} {}", finding.rule_id, finding.affected_objects[0].id);
        found(estate).iter().map(say).collect()
    }

    fn card(estate: &Estate, signed: Option<(ReviewOutcome, u64)>) -> StoredCard {
        let subject = subject::subject(&inventory(estate, &Viewer::Reviewer), MONITOR_CARD);
        let person = ActorRef { kind: ActorKind::Human, actor_id: Some("ann".into()), source: None };
        let sign_off = signed.map(|(outcome, due)| SignOff {
            sign_off_id: "s".into(),
            card_id: MONITOR_CARD.into(),
            version: 1,
            digest: "sha256:1".into(),
            outcome,
            note: None,
            signed_by: person.clone(),
            signed_at_ms: 1,
            next_review_due_at_ms: due,
            authority_digest: subject.map(|subject| subject.authority.digest()),
        });
        StoredCard {
            card_id: MONITOR_CARD.into(),
            card_kind: CardKind::SelfMonitoring,
            version: 1,
            digest: "sha256:1".into(),
            metadata: CardMetadata::default(),
            created_at_ms: 1,
            updated_at_ms: 1,
            updated_by: person,
            sign_off,
        }
    }

    #[test]
    fn cards_are_missing_unsigned_rejected_stale_or_in_order() {
        let mut estate = estate();
        let source = "deployment_card_missing monitored_source:shop:project".to_owned();
        assert_eq!(said(&estate), [format!("deployment_card_missing {MONITOR_CARD}"), source.clone()]);
        let before = found(&estate)[1].fingerprint.clone();
        let never = u64::MAX;
        for (signed, expected) in [
            (None, Some("deployment_card_unsigned")),
            (Some((ReviewOutcome::Rejected, never)), Some("deployment_card_unsigned")),
            (Some((ReviewOutcome::Approved, 1)), Some("deployment_card_stale")),
            (Some((ReviewOutcome::Approved, never)), None),
        ] {
            estate.cards = vec![Owned { tenant: TenantContext::local(), value: card(&estate, signed) }];
            let mut wanted = vec![source.clone()];
            wanted.extend(expected.map(|rule| format!("{rule} {MONITOR_CARD}")));
            assert_eq!(said(&estate), wanted, "{signed:?}");
        }
        // The subject reaches further than it did.
        let more =
            json!({"destinations": [{"destination_id": "d", "name": "D", "kind": "telemetry"}], "enabled": true});
        estate.config = crate::inventory::tests::estate(more).config;
        estate.sources.clear();
        assert_eq!(said(&estate), [format!("deployment_card_stale {MONITOR_CARD}")]);
        assert!(found(&estate)[0].detail.contains("reaches something else"));
        // The finding of a kind is the same one, whatever it names.
        let mut two = super::tests::estate();
        let mut project = two.config.monitored_projects[0].clone();
        project.project_id = "other".into();
        two.config.monitored_projects.push(project);
        two.sources = tandem_core::source::readiness(&two.config, &[], two.now_ms);
        assert_eq!(found(&two)[1].fingerprint, before);
        assert_eq!(found(&two)[1].affected_objects.len(), 2);
    }

    #[test]
    fn nothing_is_asked_of_a_monitor_that_is_off() {
        assert_eq!(said(&crate::inventory::tests::estate(json!({}))), Vec::<String>::new());
    }
}
