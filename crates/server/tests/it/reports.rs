//! Reports become incidents: every form, counted exactly, grouped by what broke.

use serde_json::{Value, json};
use tandem_testkit::bodies::{self, REPO};

use crate::support::{configured, draft, drafted, incident, publish, reported, text};

#[test]
fn every_form_of_a_report_is_taken() {
    let (_server, client) = configured("forms", json!({}));
    let post = |body: Value| client.post("/incident-monitor/report", body);
    let bare = post(bodies::report("bare")).ok();
    assert_eq!(bare["draft"]["title"], json!("bare"));
    let wrapped = post(json!({ "report": bodies::report("wrapped") })).ok();
    assert_eq!(wrapped["draft"]["title"], json!("wrapped"));
    for key in ["draft", "incident", "duplicate_summary", "duplicate_matches"] {
        assert!(!wrapped[key].is_null(), "{key}");
    }
    assert_eq!(wrapped["incident"]["occurrence_count"], json!(1));
    assert_eq!(wrapped["incident"]["draft_id"], wrapped["draft"]["draft_id"]);
    assert_eq!(wrapped["draft"]["repo"], json!(REPO));

    // Python dumps every optional field; null means absent, also where a list or an enum is expected.
    let mut nulls = bodies::report("nulls");
    for field in [
        "project_id",
        "workspace_root",
        "log_source_id",
        "source_kind",
        "repo",
        "source",
        "run_id",
        "session_id",
        "correlation_id",
        "file_name",
        "process",
        "fingerprint",
        "actor",
        "model",
        "tool_name",
        "action",
        "policy",
        "approval_state",
        "risk_category",
        "blast_radius",
        "external_correlation_ids",
        "route_tags",
        "allowed_destination_ids",
        "default_destination_ids",
        "tenant_id",
        "workspace_id",
        "event_schema_version",
        "source_approval_policy",
        "redaction_profile",
        "retention_profile",
        "confidence",
        "risk_level",
        "expected_destination",
        "evidence_refs",
    ] {
        nulls[field] = Value::Null;
    }
    let nulls = post(json!({ "report": nulls })).ok();
    assert_eq!(nulls["draft"]["risk_level"], json!("medium"));

    let camel = post(json!({ "report": {
        "title": "camel", "detail": "what the other client sends", "correlationId": "c-1", "runId": "r-1",
        "fileName": "src/a.ts", "riskLevel": "low", "riskCategory": "availability", "toolName": "deploy",
        "evidenceRefs": ["log:1"], "externalCorrelationIds": ["x-1"],
    }}))
    .ok();
    let seen = &camel["incident"];
    assert_eq!(
        [&seen["correlation_id"], &seen["run_id"], &seen["file_name"], &seen["risk_level"], &seen["tool_name"]],
        [&json!("c-1"), &json!("r-1"), &json!("src/a.ts"), &json!("low"), &json!("deploy")],
        "{seen}"
    );
    assert_eq!((&seen["evidence_refs"], &seen["external_correlation_ids"]), (&json!(["log:1"]), &json!(["x-1"])));

    for empty in [json!({}), json!({ "report": null })] {
        post(empty).refused(400, "INCIDENT_MONITOR_REPORT_REQUIRED");
    }
    post(json!({ "report": bodies::merged(bodies::report("x"), json!({ "repo": "no-owner" })) }))
        .refused(400, "INCIDENT_MONITOR_REPORT_INVALID");
    post(json!([])).refused(422, "VALIDATION_FAILED");
    post(json!({ "report": "text" })).refused(422, "VALIDATION_FAILED");
    client
        .send("POST", "/incident-monitor/report", &[("content-type", "text/plain")], b"{}")
        .unwrap()
        .refused(415, "VALIDATION_FAILED");
    let packed = [("content-type", "application/json"), ("content-encoding", "gzip")];
    client.send("POST", "/incident-monitor/report", &packed, b"\x1f\x8b").unwrap().refused(415, "VALIDATION_FAILED");
}

#[test]
fn a_report_without_any_repository_is_refused() {
    let (_server, client) = configured("no-repo", json!({ "repo": null }));
    let refused = client.post("/incident-monitor/report", bodies::report("x"));
    let body = refused.refused(400, "INCIDENT_MONITOR_REPORT_INVALID");
    assert!(body["detail"].is_string() && body["incident"].is_null() && body["quality_gate"].is_null(), "{body}");
    let named = bodies::merged(bodies::report("x"), json!({ "repo": "own/repo" }));
    assert_eq!(reported(&client, named).0["repo"], json!("own/repo"));
}

#[test]
fn a_plain_report_chooses_nothing_about_its_source() {
    let (_server, client) =
        configured("untrusted", json!({ "monitored_projects": [bodies::project("shop", "/srv/shop")] }));
    let claims = json!({
        "project_id": "shop", "log_source_id": "l", "source_kind": "ci", "route_tags": ["vip"], "tenant_id": "t",
        "allowed_destination_ids": ["local"], "default_destination_ids": ["local"], "workspace_id": "w",
        "event_schema_version": "9", "source_approval_policy": "never", "redaction_profile": "none",
        "retention_profile": "forever",
    });
    let (draft, incident) = reported(&client, bodies::merged(bodies::report("claims"), claims.clone()));
    for row in [&draft, &incident] {
        for (field, _) in claims.as_object().unwrap() {
            let value = &row[field];
            assert!(value.is_null() || value.as_array().is_some_and(Vec::is_empty), "{field}: {value}");
        }
    }
}

#[test]
fn equal_failures_are_one_incident_and_are_counted() {
    let (_server, client) = configured("counts", json!({}));
    let (first_draft, first) = reported(&client, bodies::report_as("fp-count"));
    for n in 2..=5 {
        let (draft, incident) = reported(&client, bodies::report_as("fp-count"));
        assert_eq!(incident["incident_id"], first["incident_id"]);
        assert_eq!(draft["draft_id"], first_draft["draft_id"]);
        assert_eq!(incident["occurrence_count"], json!(n));
        assert!(incident["last_seen_at_ms"].as_u64() >= first["last_seen_at_ms"].as_u64());
    }
    // Another repository is another failure.
    let other = bodies::merged(bodies::report_as("fp-count"), json!({ "repo": "other/repo" }));
    assert_ne!(reported(&client, other).1["incident_id"], first["incident_id"]);
    let listed = client.get("/incident-monitor/incidents").ok();
    assert_eq!(listed["count"], json!(2), "{listed}");
}

#[test]
fn what_differs_by_run_is_one_failure_and_what_differs_in_kind_is_two() {
    let (_server, client) = configured("grouping", json!({}));
    let failure = |run: &str, at: &str, took: u32, status: u16| {
        json!({
            "title": format!("HTTP {status} from upstream"),
            "detail": format!("{at} request {run} to 10.0.0.{took} failed with HTTP {status} after {took}ms"),
            "component": "gateway", "event": "upstream.failed", "run_id": run,
        })
    };
    let id = |report| text(&reported(&client, report).1["incident_id"]);
    let (one, two) = ("6f1f3f5e-0d0c-4a52-9a01-2b8f7f0c9f11", "0a9b8c7d-1e2f-4a3b-8c4d-5e6f7a8b9c0d");
    let first = id(failure(one, "2026-01-02T03:04:05Z", 31, 500));
    let again = id(failure(two, "2026-02-03T04:05:06Z", 87, 500));
    let other = id(failure(two, "2026-02-03T04:05:06Z", 87, 404));
    assert_eq!(first, again);
    assert_ne!(first, other);
    let seen = incident(&client, &first);
    assert!(text(&seen["fingerprint"]).starts_with("v2:"), "{seen}");
    assert!(seen["grouping"].is_object(), "{seen}");
}

#[test]
fn what_the_quality_gate_blocks_is_counted_and_told() {
    let (_server, client) = configured("gate", json!({}));
    let noise = bodies::merged(bodies::report("tick"), json!({ "event": "job.heartbeat", "fingerprint": "fp-noise" }));
    for n in 1..=3 {
        let refused = client.post("/incident-monitor/report", json!({ "report": noise }));
        let body = refused.refused(400, "INCIDENT_MONITOR_REPORT_INVALID");
        assert_eq!(body["quality_gate"]["missing"], json!(["not_routine_noise"]), "{body}");
        assert_eq!(body["quality_gate"]["passed"], json!(false));
        let detail = text(&body["detail"]);
        assert!(detail.contains("signal quality gate"), "{detail}");
        assert!(detail.contains("missing quality gates: not_routine_noise"), "{detail}");
        let seen = incident(&client, &text(&body["incident"]["incident_id"]));
        assert_eq!(seen["status"], json!("quality_gate_blocked"));
        assert_eq!(seen["occurrence_count"], json!(n));
        assert!(seen["draft_id"].is_null());
    }
    let bare = json!({ "title": "no evidence", "event": "x.failed" });
    let body = client.post("/incident-monitor/report", bare).refused(400, "INCIDENT_MONITOR_REPORT_INVALID");
    assert_eq!(body["quality_gate"]["missing"], json!(["evidence_present"]));
    let blocked = text(&body["incident"]["incident_id"]);
    client
        .ask(&format!("/incident-monitor/incidents/{blocked}/replay"))
        .refused(409, "INCIDENT_MONITOR_INCIDENT_NO_DRAFT");
    assert_eq!(client.get("/incident-monitor/drafts").ok()["count"], json!(0));
}

#[test]
fn reports_are_taken_while_paused_or_disabled_and_nothing_is_published() {
    let (_server, client) = configured("paused", json!({ "enabled": false }));
    drafted(&client, bodies::report("while disabled"));
    crate::support::configure(&client, json!({ "enabled": true, "paused": true }));
    let id = drafted(&client, bodies::report("while paused"));
    publish(&client, &id, json!({})).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    client.ask("/incident-monitor/resume").ok();
    assert_eq!(publish(&client, &id, json!({})).ok()["action"], json!("record_telemetry"));
}

#[test]
fn a_published_draft_counts_recurrences_and_stays_published() {
    let (_server, client) = configured("recur", json!({}));
    let (first, _) = reported(&client, bodies::report_as("fp-recur"));
    let id = text(&first["draft_id"]);
    publish(&client, &id, json!({})).ok();
    let (again, incident) = reported(&client, bodies::report_as("fp-recur"));
    assert_eq!((&again["draft_id"], &again["status"]), (&json!(id), &json!("telemetry_recorded")), "{again}");
    assert_eq!(incident["occurrence_count"], json!(2));
    assert_eq!(again["recurrences"], json!(1), "{again}");
    assert!(again["recurred_at_ms"].is_u64(), "{again}");
}

#[test]
fn a_deleted_incident_comes_back_with_its_draft_and_counts_from_one() {
    let (_server, client) = configured("deleted", json!({}));
    let (first, seen) = reported(&client, bodies::report_as("fp-del"));
    client.delete(&format!("/incident-monitor/incidents/{}", text(&seen["incident_id"]))).ok();
    let (again, fresh) = reported(&client, bodies::report_as("fp-del"));
    assert_eq!(again["draft_id"], first["draft_id"]);
    assert_ne!(fresh["incident_id"], seen["incident_id"]);
    assert_eq!(fresh["occurrence_count"], json!(1));
    client.delete(&format!("/incident-monitor/drafts/{}", text(&first["draft_id"]))).ok();
    let (third, _) = reported(&client, bodies::report_as("fp-del"));
    assert_ne!(third["draft_id"], first["draft_id"]);
    assert_eq!(draft(&client, &text(&third["draft_id"]))["status"], json!("draft_ready"));
}
