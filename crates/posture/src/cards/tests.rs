//! Cards of an estate with one thing of each kind.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tandem_core::{
    actor::{ActorKind, ActorRef},
    automation::Automation,
    tenant::TenantContext,
};

use super::*;
use crate::{
    declared::{Declared, DeclaredKind, DeclaredSpec, HookAction, Origin, Step},
    estate::{Estate, Owned},
    finding::{AffectedObject, New, Severity},
    inventory::{Viewer, inventory},
    reassess::ReassessmentBlock,
};

fn person() -> ActorRef {
    ActorRef { kind: ActorKind::Human, actor_id: Some("ann".into()), source: None }
}

fn estate() -> Estate {
    let mut estate = crate::inventory::tests::estate(json!({
        "destinations": [{"destination_id": "d1", "name": "D", "kind": "telemetry"}],
        "routes": [{"route_id": "r1", "name": "R"}],
        "monitored_projects": [{
            "project_id": "shop", "name": "Shop", "repo": "a/b", "workspace_root": "/srv", "source_kind": "external_app",
            "mcp_server": "gh", "allowed_destination_ids": ["d1"], "default_route_tags": ["t"], "tenant_id": "acme",
            "log_sources": [{"source_id": "web", "path": "web.log", "source_kind": "tandem_monitor"}],
        }],
    }));
    let spec = json!({
        "automation_id": "auto-1", "name": "Nightly", "description": "Tidies up at night", "status": "active",
        "creator_id": "ann", "created_at_ms": 1, "updated_at_ms": 1, "output_targets": ["report.md"],
        "agents": [{"agent_id": "g", "tool_policy": {"allowlist": ["read", "bash"]},
            "mcp_policy": {"allowed_servers": ["GH"], "allowed_tools": ["mcp.gh.issue"]}}],
        "flow": {"nodes": [{"node_id": "n", "agent_id": "g", "objective": "canary-objective",
            "tool_policy": {"allowlist": ["grep"]}}]},
    });
    let automation: Automation = serde_json::from_value(spec).unwrap_or_else(|error| panic!("{error}"));
    estate.automations = vec![Owned { tenant: TenantContext::local(), value: automation }];
    let step = Step { step_id: "s".into(), action: "mail.send".into(), ..Step::default() };
    let hook = crate::declared::Hook {
        binding_id: "b".into(),
        actions: vec![HookAction { action: "page.oncall".into(), ..HookAction::default() }],
        ..crate::declared::Hook::default()
    };
    let declared = Declared {
        declared_id: "workflow:w1".into(),
        kind: DeclaredKind::Workflow,
        object_id: "w1".into(),
        origin: Origin::Api,
        spec: DeclaredSpec { name: "Mailer".into(), steps: vec![step], hooks: vec![hook], ..DeclaredSpec::default() },
        digest: String::new(),
        stale_after_ms: 1,
        first_seen_at_ms: 1,
        last_seen_at_ms: 1,
        declared_by: person(),
    };
    estate.declared = vec![Owned { tenant: TenantContext::local(), value: declared }];
    estate
}

fn options(body: Value) -> Options {
    let read = |key: &str| body.get(key).cloned().unwrap_or_else(|| json!({}));
    Options {
        defaults: serde_json::from_value(read("defaults")).unwrap_or_default(),
        metadata: serde_json::from_value(read("metadata")).unwrap_or_default(),
        include_markdown: true,
        include_raw_inventory: true,
    }
}

fn generated(options: &Options, known: &Known<'_>) -> DeploymentCards {
    generate(&inventory(&estate(), &Viewer::Reviewer), options, known, ReassessmentBlock::of(Vec::new()))
}

#[test]
fn one_card_of_each_kind_in_order() {
    let found = generated(&options(json!({})), &Known::default());
    let ids: Vec<&str> = found.cards.iter().map(|card| card.card_id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "tandem:self_monitoring:incident_monitor",
            "automation:auto-1",
            "workflow:w1",
            "monitored_source:shop:project",
            "monitored_source:shop:web",
        ]
    );
    for card in &found.cards {
        assert_eq!(CardKind::of_id(&card.card_id), Some(card.card_kind), "{}", card.card_id);
        let alone = subject(&inventory(&estate(), &Viewer::Reviewer), &card.card_id).map(|subject| subject.target);
        assert_eq!(alone.as_ref(), Some(&card.target));
    }
    let boundaries: Vec<&str> = found.cards.iter().map(|card| card.system_boundary.as_str()).collect();
    assert_eq!(
        boundaries,
        [
            "tandem_self_monitoring",
            "tandem_runtime",
            "tandem_runtime",
            "customer_owned_system",
            "tandem_self_monitoring"
        ]
    );
    let [_, automation, workflow, project, source] = &found.cards[..] else { panic!("five cards") };
    assert_eq!(automation.authority.tools, ["bash", "grep", "mcp.gh.issue", "read"]);
    assert_eq!(automation.authority.mcp_servers, ["gh"]);
    assert_eq!(automation.authority.destinations, ["report.md"]);
    assert_eq!(automation.intended_purpose.as_deref(), Some("Tidies up at night"));
    assert_eq!(workflow.authority.tools, ["mail.send", "page.oncall"]);
    assert_eq!((workflow.data.tenant_scope.clone(), workflow.intended_purpose.clone()), (Value::Null, None));
    assert_eq!(project.authority.data_sources, ["shop"]);
    assert_eq!(project.authority.mcp_servers, ["gh"]);
    assert_eq!(project.target.id, project.card_id);
    assert_eq!(source.linked_evidence.inventory_refs, ["authority_inventory:shop/web"]);
    assert_eq!(source.data.tenant_scope["source_id"], "web");
    assert_eq!(found.counts.by_card_kind["monitored_source"], 2);
    assert!(found.scope.raw_inventory_request_ignored && !found.scope.raw_inventory_included);
    assert_eq!(found.card_policy.metadata_keys.len(), 14);
    assert!(found.sensitive_values.omitted_fields.contains(&"protected_audit.payload".to_owned()));
    assert!(!found.sensitive_values.omitted_fields.iter().any(|name| name.starts_with("source.")));
    let text = serde_json::to_string(&found).unwrap_or_default();
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn each_missing_field_is_a_finding() {
    let full = json!({
        "business_owner": "b", "accountable_team": "t", "autonomy_level": "l", "data_classification": "c",
        "approval_protocol": "a", "escalation_protocol": "e", "review_cadence_days": 30, "intended_purpose": "p",
    });
    let none = generated(&options(json!({ "defaults": full })), &Known::default());
    assert_eq!(none.findings, []);
    assert!(none.markdown_export.unwrap_or_default().contains("## Required Metadata Findings"));
    for field in REQUIRED {
        let mut less = full.clone();
        less.as_object_mut().into_iter().for_each(|map| {
            map.remove(field);
        });
        let found = generated(&options(json!({ "defaults": less })), &Known::default());
        // The purpose of all but the workflow follows from the inventory.
        let expected = if field == "intended_purpose" { 1 } else { 5 };
        assert_eq!(found.findings.len(), expected, "{field}");
        assert_eq!((found.counts.findings, found.counts.missing_required_fields), (expected as u64, expected as u64));
        let high = matches!(field, "business_owner" | "accountable_team" | "escalation_protocol");
        let first = &found.findings[0];
        assert_eq!(first.severity, if high { Severity::High } else { Severity::Medium }, "{field}");
        let card = first.affected_objects[0].more["card_id"].as_str().unwrap_or_default();
        assert_eq!(first.finding_id, format!("deployment_card_missing:{card}:{field}"));
        assert_eq!(first.fingerprint, format!("deployment_card:{card}:missing:{field}"));
        assert_eq!(
            first.evidence_refs[0],
            BTreeMap::from([
                ("kind".to_owned(), "deployment_card".to_owned()),
                ("card_id".to_owned(), card.to_owned()),
            ])
        );
    }
}

#[test]
fn metadata_counts_before_defaults_before_what_is_stored() {
    let stored = StoredCard {
        card_id: "automation:auto-1".into(),
        card_kind: CardKind::Automation,
        version: 3,
        digest: "sha256:x".into(),
        metadata: CardMetadata {
            business_owner: Some("stored".into()),
            accountable_team: Some("stored".into()),
            autonomy_level: Some("stored".into()),
            review_cadence_days: Some(9),
            ..CardMetadata::default()
        },
        created_at_ms: 1,
        updated_at_ms: 2,
        updated_by: person(),
        sign_off: None,
    };
    let known = Known { stored: [("automation:auto-1", &stored)].into(), ..Known::default() };
    // Found by the id of the target as well.
    let body = json!({
        "defaults": {"business_owner": "default", "accountable_team": "default"},
        "metadata": {"auto-1": {"business_owner": "own", "allowed_actions": ["z", "a", "z"]}},
    });
    let found = generated(&options(body), &known);
    let card = &found.cards[1];
    assert_eq!(card.business_owner.as_deref(), Some("own"));
    assert_eq!(card.accountable_team.as_deref(), Some("default"));
    assert_eq!(card.autonomy_level.as_deref(), Some("stored"));
    assert_eq!(card.review.review_cadence_days, Some(9));
    assert_eq!(card.allowed_actions, ["a", "z"]);
    let view = card.stored.as_ref();
    assert_eq!(view.map(|view| (view.version, view.status)), Some((3, CardStatus::Unsigned)));
    assert_eq!(found.card_policy.metadata_card_ids, ["auto-1"]);
    assert_eq!(found.card_policy.stored_card_ids, ["automation:auto-1"]);
    assert_eq!(found.cards[0].business_owner.as_deref(), Some("default"));
}

#[test]
fn findings_incidents_and_packs_are_linked() {
    let finding = |object: AffectedObject| {
        Finding::new(
            New {
                rule_id: "r",
                category: "c",
                severity: Severity::High,
                title: String::new(),
                detail: String::new(),
                recommendation: String::new(),
                affected: vec![object],
                evidence: Vec::new(),
                extra: None,
            },
            true,
        )
    };
    let findings = [
        finding(AffectedObject::new("automation_agent", "g").with("automation_id", "auto-1")),
        finding(AffectedObject::new("monitored_source", "web").with("project_id", "shop")),
        finding(AffectedObject::new("automation", "another")),
    ];
    let links = Links {
        incidents: [("monitored_source:shop:web".to_owned(), vec!["incident:1".to_owned()])].into(),
        evidence_packs: [(MONITOR_CARD.to_owned(), vec!["context_run:9".to_owned()])].into(),
    };
    let known = Known { findings: &findings, links, ..Known::default() };
    let found = generated(&options(json!({})), &known);
    let refs = |at: usize| found.cards[at].linked_evidence.clone();
    assert_eq!(refs(1).posture_finding_refs, [findings[0].finding_id.clone()]);
    assert_eq!(refs(2).posture_finding_refs, Vec::<String>::new());
    assert_eq!(refs(3).posture_finding_refs, [findings[1].finding_id.clone()]);
    assert_eq!(refs(4).posture_finding_refs, [findings[1].finding_id.clone()]);
    assert_eq!(
        (refs(4).incident_refs, refs(0).evidence_pack_refs),
        (vec!["incident:1".into()], vec!["context_run:9".into()])
    );
    assert_eq!(found.counts.posture_findings_linked, 3);
}

#[test]
fn a_signature_holds_for_its_version_its_reach_and_its_time() {
    let card = |signed: Option<SignOff>| StoredCard {
        card_id: "automation:a".into(),
        card_kind: CardKind::Automation,
        version: 2,
        digest: "sha256:two".into(),
        metadata: CardMetadata::default(),
        created_at_ms: 1,
        updated_at_ms: 2,
        updated_by: person(),
        sign_off: signed,
    };
    let signed = |version: u64, outcome: ReviewOutcome, due: u64| {
        Some(SignOff {
            sign_off_id: "s".into(),
            card_id: "automation:a".into(),
            version,
            digest: if version == 2 { "sha256:two".into() } else { "sha256:one".into() },
            outcome,
            note: None,
            signed_by: person(),
            signed_at_ms: 5,
            next_review_due_at_ms: due,
            authority_digest: Some("reach".into()),
        })
    };
    let cases = [
        (None, Some("reach"), CardStatus::Unsigned, "no"),
        (signed(1, ReviewOutcome::Approved, 500), Some("reach"), CardStatus::Unsigned, "no"),
        (signed(2, ReviewOutcome::Rejected, 500), Some("reach"), CardStatus::Rejected, "rejected"),
        (signed(2, ReviewOutcome::Approved, 500), Some("reach"), CardStatus::Current, "yes"),
        (signed(2, ReviewOutcome::ApprovedWithConditions, 500), None, CardStatus::Current, "yes"),
        (signed(2, ReviewOutcome::Approved, 500), Some("further"), CardStatus::Stale, "yes"),
        (signed(2, ReviewOutcome::Approved, 100), Some("reach"), CardStatus::Stale, "yes"),
    ];
    for (sign_off, reach, expected, word) in cases {
        let card = card(sign_off);
        assert_eq!((card.status(100, reach), card.signed_word()), (expected, word), "{card:?}");
    }
    let mut dated = card(None);
    dated.metadata.next_reassessment_at_ms = Some(99);
    assert!(dated.is_overdue(100) && !dated.is_overdue(98));
}

#[test]
fn what_others_wrote_stays_text_in_the_document() {
    let body = json!({"defaults": {"intended_purpose": "x\n# Forged\n<script>", "business_owner": "b"}});
    let text = generated(&options(body), &Known::default()).markdown_export.unwrap_or_default();
    assert!(text.starts_with("# Incident Monitor Deployment Cards\n"));
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(headings.len(), 2 + 5, "{headings:?}");
    assert!(!text.contains("\n# Forged") && !text.contains("<script>"), "{text}");
}
