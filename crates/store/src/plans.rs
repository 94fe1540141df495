//! Every list, lookup and worker question, for the tests that show which index answers it.

use tandem_core::{
    automation::{AUTOMATIONS, run::RUNS},
    draft::DRAFTS,
    governance::{
        agent::AGENTS,
        approval::APPROVALS,
        ledger::RUN_LEDGERS,
        policy::POLICY_DECISIONS,
        record::{FINDINGS, RECORDS},
    },
    incident::INCIDENTS,
    ports::{AuditQuery, Query, Walk},
    publish::{delivery::DELIVERIES, external_action::EXTERNAL_ACTIONS},
    receipt::POSTS,
    record::{Collection, Column, JobKind},
    tenant::TenantKey,
};

use tandem_posture::{
    cards::CARDS,
    declared::DECLARED,
    evidence::{CONTEXT_RUNS, EVIDENCE_ARTIFACTS},
    lifecycle::POSTURE_FINDINGS,
};

use crate::{read, sql, sql::Select};

fn tenant() -> TenantKey {
    TenantKey("local/local".into())
}

/// The bounds that a page may have: a lower one, a cursor, both or neither.
const BOUNDS: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

fn page(
    collection: &'static Collection,
    order: &'static str,
    filters: &[&'static str],
    bounds: (bool, bool),
) -> Select {
    sql::page(query(collection, order, filters, bounds))
}

fn query(
    collection: &'static Collection,
    order: &'static str,
    filters: &[&'static str],
    bounds: (bool, bool),
) -> Query {
    Query {
        collection,
        tenant: tenant(),
        equals: filters.iter().map(|name| (*name, Column::text("x"))).collect(),
        order,
        since: bounds.0.then_some(5),
        after: bounds.1.then(|| (9, "x".into())),
        limit: 50,
    }
}

/// Each question with words of SQLite's plan for it, among them the index that answers it.
pub fn questions() -> Vec<(Select, &'static str)> {
    let audit = |query: AuditQuery| read::audit_rows(&tenant(), AuditQuery { limit: 50, ..query });
    let typed = |kind: &str| audit(AuditQuery { event_type: Some(kind.into()), ..AuditQuery::default() });
    let mut questions = vec![
        (sql::count(&INCIDENTS, &tenant(), vec![("status", Column::text("x"))]), "incidents_list_1"),
        (read::tenants(&INCIDENTS), "incidents"),
        (read::credential(&tandem_core::credential::API_TOKENS, "x"), "api_tokens_by_secret_hash"),
        (read::due_lanes(JobKind::Deliver, 5), "jobs_ready"),
        (read::next_due(JobKind::Deliver), "jobs_ready"),
        (audit(AuditQuery::default()), "sqlite_autoindex_audit_events"),
        (audit(AuditQuery { after_seq: Some(3), ..AuditQuery::default() }), "sqlite_autoindex_audit_events"),
        (typed("incident_monitor.incident.detected"), "sqlite_autoindex_audit_events"),
        (audit(AuditQuery { since_ms: Some(3), ..AuditQuery::default() }), "audit_events_clock"),
        (audit(AuditQuery { until_ms: Some(3), ..AuditQuery::default() }), "audit_events_late"),
        (audit(AuditQuery { until_ms: Some(3), ..AuditQuery::default() }), "clock_ms>?"),
        (audit(AuditQuery { until_ms: Some(3), ..AuditQuery::default() }), "(tenant=? AND seq<?)"),
        (
            audit(AuditQuery { since_ms: Some(3), until_ms: Some(9), ..AuditQuery::default() }),
            "(tenant=? AND seq>? AND seq<?)",
        ),
        (typed("test.rare"), "audit_events_rare"),
        (
            audit(AuditQuery {
                event_type: Some("test.rare".into()),
                since_ms: Some(3),
                until_ms: Some(9),
                before_seq: Some(70),
                ..AuditQuery::default()
            }),
            "audit_events_rare",
        ),
        (read::audit_hashes(&tenant(), 0, 0, 256), "sqlite_autoindex_audit_events"),
        (read::audit_hashes(&tenant(), 1, 0, 256), "sqlite_autoindex_audit_nodes"),
    ];
    let walk = |collection, order, equals: Option<&'static str>| {
        let equals = equals.map(|column| (column, "x".to_owned()));
        sql::walk(Walk { collection, tenant: tenant(), equals, order, after: "x".into(), limit: 500 })
    };
    for (collection, order, equals, index) in [
        (&AUTOMATIONS, "updated_at_ms", Some("state"), "sqlite_autoindex_automations_1 (tenant=? AND id>?)"),
        (&APPROVALS, "updated_at_ms", None, "sqlite_autoindex_governance_approvals_1 (tenant=? AND id>?)"),
        (&DECLARED, "last_seen_at_ms", None, "(tenant=? AND id>?)"),
        (&POSTURE_FINDINGS, "last_seen_at_ms", None, "(tenant=? AND id>?)"),
    ] {
        questions.push((walk(collection, order, equals), index));
    }
    let oldest = |after: Option<(i64, String)>| {
        sql::oldest(Query { after, ..query(&EVIDENCE_ARTIFACTS, "created_at_ms", &[], (false, false)) })
    };
    questions.push((oldest(None), "evidence_artifacts_list_0"));
    questions.push((oldest(Some((5, "x".into()))), "evidence_artifacts_list_0"));
    let lists: [(&'static Collection, &'static str, &[&'static str], &str); 49] = [
        (&INCIDENTS, "updated_at_ms", &[], "incidents_list_0"),
        (&INCIDENTS, "updated_at_ms", &["status"], "incidents_list_1"),
        (&INCIDENTS, "updated_at_ms", &["project_id"], "incidents_list_2"),
        (&INCIDENTS, "updated_at_ms", &["status", "project_id"], "incidents_list_"),
        (&DRAFTS, "created_at_ms", &[], "drafts_list_0"),
        (&DRAFTS, "created_at_ms", &["status"], "drafts_list_1"),
        (&DRAFTS, "created_at_ms", &["project_id"], "drafts_list_2"),
        (&POSTS, "updated_at_ms", &[], "posts_list_0"),
        (&POSTS, "updated_at_ms", &["status"], "posts_list_1"),
        (&POSTS, "updated_at_ms", &["destination_id"], "posts_list_2"),
        (&POSTS, "updated_at_ms", &["draft_id"], "posts_list_3"),
        (&DELIVERIES, "updated_at_ms", &["draft_id"], "deliveries_list_0"),
        (&DELIVERIES, "updated_at_ms", &["state"], "deliveries_list_1"),
        (&DELIVERIES, "updated_at_ms", &["destination_id"], "deliveries_list_2"),
        (&DELIVERIES, "updated_at_ms", &[], "deliveries_list_3"),
        (&AUTOMATIONS, "updated_at_ms", &["state"], "automations_list_0"),
        (&RUNS, "created_at_ms", &[], "automation_runs_list_0"),
        (&RUNS, "created_at_ms", &["automation_id"], "automation_runs_list_1"),
        (&RUNS, "turn", &["automation_id", "status"], "automation_runs_list_2"),
        (&RUNS, "turn", &["status"], "automation_runs_list_3"),
        (&APPROVALS, "updated_at_ms", &[], "governance_approvals_list_0"),
        (&APPROVALS, "updated_at_ms", &["status"], "governance_approvals_list_1"),
        (&APPROVALS, "updated_at_ms", &["request_type"], "governance_approvals_list_2"),
        (&APPROVALS, "updated_at_ms", &["target_type"], "governance_approvals_list_3"),
        (&APPROVALS, "updated_at_ms", &["target_id"], "governance_approvals_list_4"),
        (&APPROVALS, "updated_at_ms", &["target", "live"], "governance_approvals_list_5"),
        (&APPROVALS, "updated_at_ms", &["target", "status"], "governance_approvals_list_"),
        (&APPROVALS, "updated_at_ms", &["requester"], "governance_approvals_list_6"),
        (&APPROVALS, "updated_at_ms", &["status", "request_type"], "governance_approvals_list_"),
        (&APPROVALS, "updated_at_ms", &["status", "requester"], "governance_approvals_list_"),
        (&APPROVALS, "next_at_ms", &[], "governance_approvals_list_7"),
        (&RECORDS, "updated_at_ms", &["review"], "governance_records_list_1"),
        (&RECORDS, "next_check_at_ms", &[], "governance_records_list_2"),
        (&RECORDS, "health_at_ms", &[], "governance_records_list_3"),
        (&AGENTS, "updated_at_ms", &[], "governance_agents_list_0"),
        (&AGENTS, "updated_at_ms", &["review"], "governance_agents_list_1"),
        (&AGENTS, "updated_at_ms", &["telling"], "governance_agents_list_2"),
        (&FINDINGS, "observed_at_ms", &["automation_id"], "governance_findings_list_0"),
        (&RUN_LEDGERS, "created_at_ms", &["automation_id"], "governance_runs_list_0"),
        (&RUN_LEDGERS, "created_at_ms", &["automation_id", "active"], "governance_runs_list_1"),
        (&RUN_LEDGERS, "created_at_ms", &["active"], "governance_runs_list_2"),
        (&EXTERNAL_ACTIONS, "updated_at_ms", &[], "external_actions_list_0"),
        (&CARDS, "updated_at_ms", &[], "deployment_cards_list_0"),
        (&CONTEXT_RUNS, "updated_at_ms", &[], "context_runs_list_0"),
        (&EVIDENCE_ARTIFACTS, "created_at_ms", &["artifact_type"], "evidence_artifacts_list_2"),
        (&POSTURE_FINDINGS, "last_seen_at_ms", &[], "posture_findings_list_0"),
        (&POLICY_DECISIONS, "created_at_ms", &[], "policy_decisions_list_0"),
        (&POLICY_DECISIONS, "created_at_ms", &["run_id"], "policy_decisions_list_1"),
        (&POLICY_DECISIONS, "created_at_ms", &["automation_id"], "policy_decisions_list_2"),
    ];
    for (collection, order, filters, index) in lists {
        questions.extend(BOUNDS.map(|bounds| (page(collection, order, filters, bounds), index)));
    }
    questions
}
