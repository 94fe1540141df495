use serde_json::{Value, json};
use tandem_core::{
    actor::ActorKind,
    audit::integrity::{Integrity, Reason, Status},
    governance::policy::PolicyDecision,
};

use super::*;
use crate::run::facts::{GateFact, RowFact, RunFacts};

fn tenant() -> TenantContext {
    TenantContext::explicit("acme", "main")
}

fn person(id: Option<&str>) -> ActorRef {
    ActorRef { kind: ActorKind::Human, actor_id: id.map(str::to_owned), source: None }
}

fn run() -> RunFacts {
    RunFacts {
        run_id: "run-1".into(),
        context_run_id: "automation-v2-run-1".into(),
        run_type: "automation_v2".into(),
        automation_id: Some("a-1".into()),
        draft_id: None,
        incident_id: None,
        goal: "Pay".into(),
        tenant: tenant(),
        trigger: "manual".into(),
        requested_by: None,
        status: "completed".into(),
        stop_kind: None,
        failure_kind: None,
        created_at_ms: 1,
        started_at_ms: Some(2),
        finished_at_ms: Some(9),
        updated_at_ms: 9,
        reported_tool_calls: 1,
        total_tokens: 0,
        estimated_cost_usd: 0.0,
        mcp_servers: Vec::new(),
        lineage_agent_ids: Vec::new(),
        pending_gate: None,
    }
}

fn decision(id: &str, effect: Effect, approval: Option<&str>) -> DecisionFact {
    let decision: PolicyDecision = serde_json::from_value(json!({
        "decision_id": id, "actor": person(Some("ana")), "run_id": "run-1", "operation": "run_start",
        "decision": effect, "reason_code": "allowed", "reason": "", "rule_id": "r", "policy_id": "r",
        "inputs_digest": "", "approval_id": approval, "rules": [], "request_id": "q", "created_at_ms": 1,
    }))
    .unwrap();
    DecisionFact { decision, tenant: tenant(), audit_event_id: Some("row-1".into()), expires_at_ms: None }
}

fn row(seq: u64, payload: Value) -> RowFact {
    RowFact {
        seq,
        event_id: format!("row-{seq}"),
        event_type: "automation.v2.run.created".into(),
        created_at_ms: seq,
        tenant: tenant(),
        actor: None,
        record_hash: String::new(),
        intact: true,
        body_dropped: false,
        payload,
    }
}

/// A protected effect with everything that belongs to it.
fn whole() -> Facts {
    Facts {
        run: run(),
        decisions: vec![decision("d-1", Effect::Allow, Some("ap-1"))],
        effects: vec![EffectFact {
            seq: 3,
            event_id: "row-3".into(),
            at_ms: 5,
            event_type: "automation.v2.run.completed".into(),
            tool: "node:pay".into(),
            phase: "outcome".into(),
            status: "succeeded".into(),
            succeeded: true,
            protected: true,
            decision_id: Some("d-1".into()),
            node_id: Some("pay".into()),
            payload_sha256: String::new(),
        }],
        gates: vec![GateFact {
            node_id: "pay".into(),
            decision: GateDecision::Approve,
            by: person(Some("ana")),
            at_ms: 4,
            reason: None,
            audit_event_id: Some("row-2".into()),
        }],
        rows: vec![row(1, json!({ "decisionID": "d-1" })), row(2, json!({})), row(3, json!({}))],
        artifacts: Vec::new(),
        memory: Vec::new(),
        integrity: Integrity { status: Status::Verified, checked_to_seq: 3, first_bad_seq: None, reason: None },
        rows_truncated: false,
        dropped: None,
    }
}

fn kinds(facts: &Facts) -> (CompletenessStatus, Vec<GapKind>) {
    let judged = completeness(facts, 10);
    (judged.status, judged.findings.iter().map(|gap| gap.kind).collect())
}

#[test]
fn what_belongs_together_is_complete() {
    assert_eq!(kinds(&whole()), (CompletenessStatus::Complete, vec![]));
    assert_eq!(completeness(&whole(), 10).event_taxonomy.len(), 8);
}

#[test]
fn each_gap_is_named() {
    use GapKind as K;
    type Break = fn(&mut Facts);
    let table: [(&str, Break, &[K]); 14] = [
        ("a decision of another tenant", |f| f.decisions[0].tenant = TenantContext::local(), &[K::TenantMismatch]),
        ("a row of another tenant", |f| f.rows[1].tenant = TenantContext::local(), &[K::TenantMismatch]),
        (
            "another actor of the tenant",
            |f| {
                f.run.tenant.actor_id = Some("ana".into());
                f.rows[1].tenant.actor_id = Some("bo".into());
            },
            &[K::TenantMismatch],
        ),
        (
            "an approval was asked for and nothing followed",
            |f| f.decisions.push(decision("d-2", Effect::ApprovalRequired, None)),
            &[K::MissingToolEffectEvidence],
        ),
        ("no decision is linked", |f| f.effects[0].decision_id = None, &[K::MissingPolicyDecision]),
        ("the linked decision is absent", |f| f.decisions.clear(), &[K::MissingPolicyDecision]),
        (
            "no approval",
            |f| {
                f.decisions[0].decision.approval_id = None;
                f.gates.clear();
            },
            &[K::MissingApprovalEvidence],
        ),
        (
            "a gate of another node, and one that said no",
            |f| {
                f.decisions[0].decision.approval_id = None;
                f.gates[0].node_id = "ship".into();
                let again = GateFact { node_id: "pay".into(), decision: GateDecision::Rework, ..f.gates[0].clone() };
                f.gates.push(again);
            },
            &[K::MissingApprovalEvidence],
        ),
        ("no row says so", |f| f.rows.retain(|row| row.seq == 3), &[K::MissingProtectedAuditEvent]),
        ("too late", |f| f.decisions[0].expires_at_ms = Some(4), &[K::ExpiredApproval]),
        ("nobody decided", |f| f.gates[0].by = person(None), &[K::UnattributedApproval]),
        ("a row twice", |f| f.rows.push(row(3, json!({}))), &[K::SequenceGap]),
        ("a row was edited", |f| f.rows[2].intact = false, &[K::SequenceGap]),
        (
            "the log was tampered with",
            |f| {
                f.integrity.status = Status::Tampered;
                f.integrity.reason = Some(Reason::RowEdited);
                f.integrity.first_bad_seq = Some(2);
            },
            &[K::SequenceGap],
        ),
    ];
    for (what, change, wanted) in table {
        let mut facts = whole();
        change(&mut facts);
        let (status, found) = kinds(&facts);
        assert_eq!(found, wanted, "{what}");
        let errors = wanted.iter().any(|kind| kind.severity() == GapSeverity::Error);
        let expected = if errors { CompletenessStatus::Incomplete } else { CompletenessStatus::CompleteWithWarnings };
        assert_eq!(status, expected, "{what}");
    }
}

#[test]
fn a_failed_effect_and_one_that_needs_nothing_ask_for_nothing() {
    let mut facts = whole();
    facts.decisions.clear();
    facts.gates.clear();
    facts.rows.clear();
    facts.effects[0].succeeded = false;
    assert_eq!(kinds(&facts).0, CompletenessStatus::Complete);
    facts.effects[0].succeeded = true;
    facts.effects[0].protected = false;
    assert_eq!(kinds(&facts).0, CompletenessStatus::Complete);
}

#[test]
fn bodies_that_retention_dropped_are_a_warning_and_no_silence() {
    let mut facts = whole();
    assert_eq!(completeness(&facts, 10).status, CompletenessStatus::Complete);
    facts.dropped = Some(crate::run::facts::Dropped {
        count: 3,
        truncated: false,
        ranges: Vec::new(),
        tree_size: 9,
        root_hash: None,
        checkpoint: String::new(),
        public_key: String::new(),
    });
    let judged = completeness(&facts, 10);
    assert_eq!(judged.status, CompletenessStatus::CompleteWithWarnings);
    assert_eq!((judged.findings[0].kind, judged.counts["dropped_audit_events"]), (GapKind::BodiesDropped, 3));
    let package = crate::run::package::package(&facts, 10);
    assert_eq!(package["audit"]["dropped_events"]["count"], json!(3));
    let limitations = package["limitations"].as_array().unwrap();
    assert!(limitations.iter().any(|line| line.as_str().unwrap().contains("bodies of 3 audit rows")), "{package}");
}
