//! What answers and audit rows say, key by key, where clients and auditors read them.

use serde_json::{Value, json};
use tandem_testkit::{Receiver, audit, bodies};

use crate::support::{configure, configured, draft, drafted, publish, reported, text, triaged};

/// What every publish row says, whichever way the publish went.
const PUBLISH_FACTS: [&str; 25] = [
    "draft_id",
    "incident_id",
    "mode",
    "requested_destination_ids",
    "effective_destination_ids",
    "selected_destination_id",
    "selected_destination_kind",
    "route_ids",
    "blocked",
    "blocked_reasons",
    "approval_required",
    "action",
    "detail",
    "repo",
    "fingerprint",
    "status",
    "risk_level",
    "risk_category",
    "confidence",
    "project_id",
    "log_source_id",
    "source_kind",
    "tenant_id",
    "event_schema_version",
    "source_allowlist_enforced",
];

#[test]
fn every_publish_row_says_the_same_facts() {
    let over = json!({
        "destinations": [bodies::telemetry("a"), json!({ "destination_id": "hub", "name": "Hub" })],
        "default_destination_ids": ["a"],
    });
    let (_server, client) = configured("facts", over);
    let id = drafted(&client, bodies::report("facts"));
    publish(&client, &id, json!({})).ok();
    assert_eq!(publish(&client, &id, json!({})).ok()["action"], json!("skip_duplicate"));
    publish(&client, &id, json!({ "destination_id": "hub" })).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    let mut actions = Vec::new();
    for kind in ["attempted", "completed", "failed"] {
        for row in audit::rows(&client, &format!("incident_monitor.publish.{kind}")) {
            let payload = row["payload"].as_object().expect("facts");
            let missing: Vec<_> = PUBLISH_FACTS.iter().filter(|key| !payload.contains_key(**key)).collect();
            assert!(missing.is_empty(), "{kind} lacks {missing:?}");
            actions.push(text(&payload["action"]));
        }
    }
    let expected =
        ["attempted", "attempted", "attempted", "record_telemetry", "skip_duplicate", "destination_not_ready"];
    assert_eq!(actions, expected);
}

#[test]
fn saving_pausing_and_resuming_have_rows_of_their_own() {
    let (_server, client) = configured("switches", json!({}));
    configure(&client, json!({ "paused": true }));
    client.post("/incident-monitor/resume", Value::Null).ok();
    client.post("/incident-monitor/pause", Value::Null).ok();
    let count = |kind: &str| audit::rows(&client, &format!("incident_monitor.{kind}")).len();
    assert_eq!([count("config.updated"), count("resumed"), count("paused")], [2, 1, 1]);
}

#[test]
fn a_blocked_proposal_leaves_no_earlier_issue_draft() {
    let (_server, client) = configured("proposal", json!({}));
    let id = drafted(&client, bodies::report("proposal"));
    let at = |what: &str| format!("/incident-monitor/drafts/{id}/{what}");
    let refused = client.post(&at("issue-draft"), json!({})).refused(400, "INCIDENT_MONITOR_ISSUE_DRAFT_FAILED");
    assert_eq!(refused["proposal_quality_gate"]["passed"], json!(false));
    assert_eq!(refused["proposal_quality_gate_artifact"], Value::Null);

    client.post(&at("triage-run"), Value::Null).ok();
    triaged(&client, &id);
    assert!(client.post(&at("issue-draft"), json!({})).ok()["issue_draft"].is_object());
    let thin = json!({ "what_happened": "It broke." });
    let refused =
        client.post(&at("triage-summary"), thin).refused(400, "INCIDENT_MONITOR_TRIAGE_SUMMARY_ISSUE_DRAFT_FAILED");
    let why = text(&refused["detail"]);
    assert!(why.starts_with("missing quality gates: "), "{why}");
    assert_eq!(refused["draft"]["github_status"], json!("proposal_blocked"));
    assert_eq!(refused["draft"]["last_post_error"], json!(why));
    client.post(&at("issue-draft"), json!({})).refused(400, "INCIDENT_MONITOR_ISSUE_DRAFT_FAILED");
}

#[test]
fn a_reason_is_read_with_the_draft() {
    let (_server, client) = configured("reason", json!({ "require_approval_for_new_issues": true }));
    let id = drafted(&client, bodies::report("reason"));
    let reason = json!({ "reason": "seen before; password=hunter2hunter2" });
    let denied = client.post(&format!("/incident-monitor/drafts/{id}/deny"), reason).ok();
    let detail = text(&denied["draft"]["detail"]);
    assert!(detail.contains("\n\noperator_note: seen before") && !detail.contains("hunter2"), "{detail}");
}

#[test]
fn a_failure_that_comes_back_may_get_a_new_draft() {
    let hooks = Receiver::new();
    let over = json!({
        "destinations": [bodies::webhook("hook", &hooks.url("/in"))], "default_destination_ids": ["hook"],
        "recurrence": { "policy": "new_draft", "quiet_period_ms": 0 },
    });
    let (_server, client) = configured("comes-back", over);
    let first = drafted(&client, bodies::report_as("back"));
    publish(&client, &first, json!({})).ok();
    let (next, incident) = reported(&client, bodies::report_as("back"));
    assert_eq!((&next["recurrence_of"], &incident["occurrence_count"]), (&json!(first), &json!(2)));
    assert_eq!(draft(&client, &first)["recurrences"], json!(1));
    assert_eq!(publish(&client, &text(&next["draft_id"]), json!({})).ok()["action"], json!("post_webhook"));
    let sent = hooks.received("/in");
    assert_ne!(sent[0].header("idempotency-key"), sent[1].header("idempotency-key"));
}
