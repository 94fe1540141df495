//! Who must approve what, and that a denial is final.

use serde_json::{Value, json};
use tandem_testkit::{Client, audit, bodies};

use crate::support::{configure, configured, draft, drafted, incident, publish, reported, settled, text};

fn approve(client: &Client, id: &str) -> tandem_testkit::Reply {
    client.post(&format!("/incident-monitor/drafts/{id}/approve"), json!({ "reason": "looked at it" }))
}

fn deny(client: &Client, id: &str) -> tandem_testkit::Reply {
    client.post(&format!("/incident-monitor/drafts/{id}/deny"), json!({}))
}

fn route(policy: &str) -> Value {
    json!([{ "route_id": "r", "name": "r", "destination_ids": ["local"], "approval_policy": policy }])
}

#[test]
fn a_decision_is_said_in_a_body() {
    let (_server, client) = configured("said", json!({ "require_approval_for_new_issues": true }));
    let id = drafted(&client, bodies::report("said"));
    for decision in ["approve", "deny"] {
        let reply = client.ask(&format!("/incident-monitor/drafts/{id}/{decision}"));
        reply.refused(415, "VALIDATION_FAILED");
        assert_eq!(draft(&client, &id)["status"], json!("approval_required"));
    }
    deny(&client, &id).ok();
}

/// Configuration, report fields, publish body, and whether approval is needed.
fn rules() -> Vec<(&'static str, Value, Value, Value, bool)> {
    let flagged = || json!([bodies::merged(bodies::telemetry("local"), json!({ "require_approval": true }))]);
    let global = |policy: &str| json!({ "require_approval_for_new_issues": true, "routes": route(policy) });
    let critical = || json!({ "risk_level": "CRITICAL" });
    vec![
        ("plain", json!({}), json!({}), json!({}), false),
        ("global switch", json!({ "require_approval_for_new_issues": true }), json!({}), json!({}), true),
        ("the route lifts the switch", global("never"), json!({}), json!({}), false),
        ("the route inherits the switch", global("inherit"), json!({}), json!({}), true),
        ("destination's own flag", json!({ "destinations": flagged() }), json!({}), json!({}), true),
        (
            "never does not lift the destination's flag",
            json!({ "destinations": flagged(), "routes": route("never") }),
            json!({}),
            json!({}),
            true,
        ),
        ("high risk by default", json!({}), critical(), json!({}), true),
        ("never lifts the default", json!({ "routes": route("never") }), critical(), json!({}), false),
        (
            "high_risk policy, low risk",
            json!({ "routes": route("high_risk") }),
            json!({ "risk_level": "low" }),
            json!({}),
            false,
        ),
        (
            "high_risk policy, high risk",
            json!({ "routes": route("high_risk") }),
            json!({ "risk_level": "high" }),
            json!({}),
            true,
        ),
        ("always", json!({ "routes": route("always") }), json!({}), json!({}), true),
        (
            "naming a destination lifts no policy",
            json!({ "routes": route("always") }),
            json!({}),
            json!({ "destination_ids": ["local"] }),
            true,
        ),
        (
            "high risk switched off",
            json!({ "safety_defaults": { "require_approval_for_high_risk": false } }),
            critical(),
            json!({}),
            false,
        ),
        (
            "the floor makes it high",
            json!({ "safety_defaults": { "minimum_risk_level": "high" } }),
            json!({}),
            json!({}),
            true,
        ),
    ]
}

#[test]
fn preview_creation_and_publish_agree_on_every_rule() {
    let (_server, client) = configured("rules", json!({}));
    for (n, (name, config, fields, body, needed)) in rules().into_iter().enumerate() {
        configure(&client, config);
        let report = bodies::merged(bodies::merged(bodies::report_as(&format!("fp-rule-{n}")), fields), json!({}));
        let preview = client.post("/incident-monitor/route-preview", json!({ "report": report })).ok();
        assert_eq!(preview["approval_required"], json!(needed), "preview of a bare report: {name}");
        let (made, seen) = reported(&client, report);
        let expected = if needed { "approval_required" } else { "draft_ready" };
        assert_eq!(made["status"], json!(expected), "creation: {name}");
        let id = text(&made["draft_id"]);
        let preview =
            client.post("/incident-monitor/route-preview", bodies::merged(body.clone(), json!({ "draft_id": id })));
        assert_eq!(preview.ok()["approval_required"], json!(needed), "preview of the draft: {name}");
        let answer = publish(&client, &id, body).ok();
        if needed {
            assert_eq!(answer["action"], json!("approval_required"), "publish: {name}");
            assert!(answer["post"].is_null(), "{name}");
            let status = incident(&client, &text(&seen["incident_id"]))["status"].clone();
            assert_eq!(status, json!("approval_required"), "the incident's latest action: {name}");
            let approved = approve(&client, &id).ok();
            assert_eq!(approved["action"], json!("record_telemetry"), "after approval: {name}: {approved}");
            assert!(approved["draft"]["approval_granted_at_ms"].is_u64(), "{name}");
        } else {
            assert_eq!(answer["action"], json!("record_telemetry"), "publish: {name}");
        }
        assert_eq!(draft(&client, &id)["status"], json!("telemetry_recorded"), "{name}");
        approve(&client, &id).refused(409, "INCIDENT_MONITOR_DRAFT_NOT_PENDING_APPROVAL");
    }
    audit::assert_verified(&client);
}

#[test]
fn an_approval_that_cannot_be_published_stands() {
    let broken = json!([{ "destination_id": "local", "name": "x", "kind": "github_issue" }]);
    let (_server, client) =
        configured("approve-unready", json!({ "destinations": broken, "require_approval_for_new_issues": true }));
    let id = drafted(&client, bodies::report("waits"));
    let approved = approve(&client, &id).ok();
    assert_eq!(approved["action"], json!("approved"), "{approved}");
    assert!(approved["publish_error"].as_str().is_some_and(|error| error.contains("not ready")), "{approved}");
    assert!(draft(&client, &id)["approval_granted_at_ms"].is_u64());
    configure(&client, json!({ "require_approval_for_new_issues": true }));
    assert_eq!(publish(&client, &id, json!({})).ok()["action"], json!("record_telemetry"));
}

#[test]
fn a_denial_is_final_on_every_path() {
    let over = json!({ "require_approval_for_new_issues": true, "destinations": [bodies::telemetry("local"), bodies::memory("memory")] });
    let (_server, client) = configured("denied", over);
    let (made, seen) = reported(&client, bodies::report_as("fp-denied"));
    let (id, incident_id) = (text(&made["draft_id"]), text(&seen["incident_id"]));
    let denied = deny(&client, &id).ok();
    assert_eq!(denied["draft"]["status"], json!("denied"));
    let path = |end: &str| format!("/incident-monitor/drafts/{id}/{end}");
    let still = |what: &str| {
        assert_eq!(draft(&client, &id)["status"], json!("denied"), "after {what}");
        assert!(draft(&client, &id)["approval_granted_at_ms"].is_null(), "after {what}");
        assert_eq!(client.get("/incident-monitor/posts").ok()["count"], json!(0), "after {what}");
    };
    for n in 2..5 {
        assert_eq!(reported(&client, bodies::report_as("fp-denied")).1["occurrence_count"], json!(n));
        still("a recurrence");
    }
    deny(&client, &id).refused(409, "INCIDENT_MONITOR_DRAFT_NOT_PENDING_APPROVAL");
    approve(&client, &id).refused(409, "INCIDENT_MONITOR_DRAFT_NOT_PENDING_APPROVAL");
    still("approve");
    publish(&client, &id, json!({})).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    publish(&client, &id, json!({ "destination_ids": ["memory"] }))
        .refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    still("publish");
    client.ask(&path("triage-run")).refused(409, "INCIDENT_MONITOR_TRIAGE_RUN_CREATE_FAILED");
    let summary = client.post(&path("triage-summary"), json!({ "what_happened": "x" }));
    assert!((400..500).contains(&summary.status), "{}", summary.text());
    let issue = client.ask(&path("issue-draft"));
    assert!((400..500).contains(&issue.status), "{}", issue.text());
    let replay = client.ask(&format!("/incident-monitor/incidents/{incident_id}/replay"));
    assert!((400..500).contains(&replay.status), "{}", replay.text());
    client.ask(&path("recheck-match"));
    still("triage and replay");
    // Lifting the rule that demanded approval does not lift the denial.
    configure(&client, json!({}));
    publish(&client, &id, json!({})).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    still("a lifted rule");
    assert_eq!(incident(&client, &incident_id)["status"], json!("denied"));
    assert_eq!(audit::rows(&client, "incident_monitor.draft.denied").len(), 1);
}

#[test]
fn a_denial_stops_a_dead_letter_and_a_triage_in_progress() {
    let hooks = tandem_testkit::Receiver::new();
    hooks.on("/dead", [tandem_testkit::Script::Status(400)]);
    let dead = bodies::webhook("dead", &hooks.url("/dead"));
    let over = |approval: bool| json!({ "destinations": [dead], "default_destination_ids": ["dead"], "require_approval_for_new_issues": approval });
    let (_server, client) = configured("denied-dead", over(false));
    let id = drafted(&client, bodies::report("dead letter"));
    publish(&client, &id, json!({}));
    let delivery = text(&settled(&client, &id, "dead", "failed")["delivery_id"]);
    // The rule appears, the next publish asks for approval, and that is denied.
    configure(&client, over(true));
    assert_eq!(publish(&client, &id, json!({})).ok()["action"], json!("approval_required"));
    deny(&client, &id).ok();
    let sent = hooks.received("/dead").len();
    client
        .ask(&format!("/incident-monitor/deliveries/{delivery}/redeliver"))
        .refused(409, "INCIDENT_MONITOR_REDELIVER_FAILED");
    assert_eq!(draft(&client, &id)["status"], json!("denied"));

    // A run that is under way when the denial comes must not bring the draft back.
    let id = drafted(&client, bodies::report("denied while triaged"));
    let triage = client.ask(&format!("/incident-monitor/drafts/{id}/triage-run"));
    assert!(matches!(triage.status, 200 | 409), "{}", triage.text());
    deny(&client, &id).ok();
    let (_, seen) = reported(&client, bodies::report("denied while triaged"));
    client.ask(&format!("/incident-monitor/incidents/{}/replay", text(&seen["incident_id"])));
    assert_eq!(draft(&client, &id)["status"], json!("denied"));
    assert_eq!(hooks.received("/dead").len(), sent);
}

#[test]
fn two_people_who_decide_at_once_decide_once() {
    let (server, client) = configured("race", json!({ "require_approval_for_new_issues": true }));
    for n in 0..10 {
        let id = drafted(&client, bodies::report_as(&format!("fp-race-{n}")));
        let (a, b) = (server.client(), server.client());
        let (yes, no) = std::thread::scope(|scope| {
            let yes = scope.spawn(|| approve(&a, &id).status);
            let no = scope.spawn(|| deny(&b, &id).status);
            (yes.join().unwrap(), no.join().unwrap())
        });
        let mut both = [yes, no];
        both.sort_unstable();
        assert_eq!(both, [200, 409], "approve {yes}, deny {no}");
        let status = text(&draft(&client, &id)["status"]);
        assert_eq!(status == "denied", no == 200, "{status}");
    }
    let decided = audit::rows(&client, "incident_monitor.draft.approved").len()
        + audit::rows(&client, "incident_monitor.draft.denied").len();
    assert_eq!(decided, 10);
}
