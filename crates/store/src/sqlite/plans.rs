//! Every list, lookup and worker question is answered by an index, in the index's order.

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
    ports::{AuditQuery, Query},
    publish::delivery::DELIVERIES,
    receipt::POSTS,
    record::{Collection, Column, JobKind},
    tenant::TenantKey,
};

use super::{
    files,
    session::{SqliteSession, connect, rows},
};
use crate::{read, session::Value, sql, sql::Select, sqlite::session::Role};

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
    sql::page(Query {
        collection,
        tenant: tenant(),
        equals: filters.iter().map(|name| (*name, Column::text("x"))).collect(),
        order,
        since: bounds.0.then_some(5),
        after: bounds.1.then(|| (9, "x".into())),
        limit: 50,
    })
}

#[test]
fn questions_are_index_seeks() {
    let directory = std::env::temp_dir().join(format!("tandem-plans-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("tandem.db");
    files::prepare(&path).expect("a database");
    drop(SqliteSession::open(&path).expect("it opens"));
    let connection = connect(&path, Role::Reader).expect("a connection");

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
        (typed("test.rare"), "audit_events_rare"),
        (read::audit_hashes(&tenant(), 0, 0, 256), "sqlite_autoindex_audit_events"),
        (read::audit_hashes(&tenant(), 1, 0, 256), "sqlite_autoindex_audit_nodes"),
    ];
    let lists: [(&'static Collection, &'static str, &[&'static str], &str); 44] = [
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
        (&POLICY_DECISIONS, "created_at_ms", &[], "policy_decisions_list_0"),
        (&POLICY_DECISIONS, "created_at_ms", &["run_id"], "policy_decisions_list_1"),
        (&POLICY_DECISIONS, "created_at_ms", &["automation_id"], "policy_decisions_list_2"),
    ];
    for (collection, order, filters, index) in lists {
        questions.extend(BOUNDS.map(|bounds| (page(collection, order, filters, bounds), index)));
    }
    for (select, index) in questions {
        let params: Vec<Value<'_>> = select.params.iter().map(Value::from).collect();
        let plan = rows(&connection, &format!("EXPLAIN QUERY PLAN {}", select.sql), &params).expect("a plan");
        let steps: Vec<String> = plan
            .into_iter()
            .map(|mut row| {
                let _ids = (row.int(), row.int(), row.int());
                row.text().expect("a step")
            })
            .collect();
        let plan = steps.join("\n");
        assert!(plan.contains(index), "{}\n{plan}", select.sql);
        assert!(!plan.contains("TEMP B-TREE"), "sorts: {}\n{plan}", select.sql);
        // The steps over our own recursion are walks by design.
        let walks = |step: &&String| {
            step.starts_with("SCAN") && !["walk", "lanes", "CONSTANT", "due"].iter().any(|own| step.contains(own))
        };
        assert_eq!(steps.iter().find(walks), None, "walks: {}\n{plan}", select.sql);
    }
    std::fs::remove_dir_all(directory).expect("ours");
}
