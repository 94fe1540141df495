//! Route preview: the exact words, the codes beside them, and nothing changed.

use serde_json::{Value, json};
use tandem_testkit::{audit, bodies};

use crate::support::{configure, configured, drafted, reported, text};

fn preview(client: &tandem_testkit::Client, body: Value) -> Value {
    client.post("/incident-monitor/route-preview", body).ok()
}

#[test]
fn every_block_has_its_words_and_its_code() {
    let shop = bodies::merged(bodies::project("shop", "/srv/shop"), json!({ "allowed_destination_ids": ["local"] }));
    let webhook = bodies::merged(
        bodies::webhook("hook", "https://hooks.example.com/in"),
        json!({ "webhook_secret_ref": "env:NOT_SET_ANYWHERE" }),
    );
    let off = bodies::merged(bodies::telemetry("off"), json!({ "enabled": false }));
    let base = json!({
        "destinations": [bodies::telemetry("local"), webhook, off], "monitored_projects": [shop],
        "safety_defaults": { "block_unready_sources": true },
    });
    let (server, client) = configured("blocks", base.clone());
    let (_, raw) = crate::support::keyed(&client, json!({}));
    let body = json!({ "project_id": "shop", "report": bodies::report("bound") });
    let bound =
        server.stranger().with(crate::support::KEY_HEADER, &raw).post("/incident-monitor/intake/report", body).ok();
    let bound = text(&bound["draft"]["draft_id"]);

    let unknown = preview(&client, json!({ "destination_ids": ["nope"] }));
    assert_eq!(unknown["blocked_reasons"], json!(["Destination `nope` is not configured"]));
    assert_eq!((&unknown["blocked"], &unknown["effective_destination_ids"]), (&json!(true), &json!(["nope"])));

    let disallowed = preview(&client, json!({ "draft_id": bound, "destination_ids": ["hook"] }));
    let reasons = disallowed["blocked_reasons"].as_array().unwrap();
    assert_eq!(reasons[0], json!("Destination `hook` is not allowed by source binding"), "{reasons:?}");
    assert!(
        text(&reasons[1]).starts_with("Source `external` is not data-ready: ")
            || text(&reasons[1]).starts_with("Source `shop` is not data-ready: "),
        "{reasons:?}"
    );
    assert_eq!(disallowed["blocked_codes"].as_array().unwrap().len(), reasons.len());

    let off = preview(&client, json!({ "destination_ids": ["off"] }));
    assert_eq!(off["blocked_reasons"], json!(["Destination `off` is not ready: Destination is disabled"]));
    let unready = preview(&client, json!({ "destination_ids": ["hook"] }));
    assert!(text(&unready["blocked_reasons"][0]).starts_with("Destination `hook` is not ready: "), "{unready}");
    assert!(!unready.to_string().contains("it-signing"), "{unready}");

    let fine = preview(&client, json!({}));
    assert_eq!(
        (&fine["blocked"], &fine["blocked_reasons"], &fine["blocked_codes"]),
        (&json!(false), &json!([]), &json!([]))
    );
    assert_eq!(fine["effective_destination_ids"], json!(["local"]));

    client.ask("/incident-monitor/pause").ok();
    let paused = preview(&client, json!({}));
    assert_eq!(paused["blocked_reasons"], json!(["Destination `local` is not ready: Incident Monitor is paused"]));

    configure(&client, json!({ "default_destination_ids": [] }));
    let nothing = preview(&client, json!({}));
    assert_eq!(nothing["blocked_reasons"], json!(["No destination matched route preview"]));

    configure(&client, json!({ "destinations": [], "default_destination_ids": [] }));
    let legacy = preview(&client, json!({}));
    assert_eq!(legacy["effective_destination_ids"], json!(["legacy-github"]));
    configure(&client, base);
    let gone = preview(&client, json!({ "destination_ids": ["legacy-github"] }));
    assert_eq!(gone["blocked_reasons"], json!(["Destination `legacy-github` is not configured"]));
}

#[test]
fn the_winning_route_is_the_one_that_publishes() {
    let routes = json!([
        { "route_id": "catch-all", "name": "all", "priority": -5, "destination_ids": ["local"] },
        { "route_id": "low", "name": "b", "priority": 1, "destination_ids": ["local"], "match_components": ["worker"] },
        { "route_id": "high", "name": "a", "priority": 9, "destination_ids": ["memory"], "match_components": ["WORKER"], "match_event_types": ["job.failed"] },
        { "route_id": "off", "name": "c", "priority": 99, "enabled": false, "destination_ids": ["local"] },
    ]);
    let (_server, client) = configured(
        "routes",
        json!({ "routes": routes, "destinations": [bodies::telemetry("local"), bodies::memory("memory")] }),
    );
    let id = drafted(&client, bodies::report("routed"));
    let before = audit::last_seq(&client);
    let shown = preview(&client, json!({ "draft_id": id }));
    let ids: Vec<_> = shown["matches"].as_array().unwrap().iter().map(|m| text(&m["route_id"])).collect();
    assert_eq!(ids, ["high", "low", "catch-all"]);
    assert_eq!(shown["effective_destination_ids"], json!(["memory"]));
    assert_eq!(audit::last_seq(&client), before, "a preview changes nothing");
    // The draft itself carries neither event nor component; its incident does, on manual publishes too.
    let answer = client.post(&format!("/incident-monitor/drafts/{id}/publish"), json!({})).ok();
    assert_eq!(answer["action"], json!("store_memory_summary"), "{answer}");
    assert_eq!((&answer["post"]["route_id"], &answer["post"]["destination_id"]), (&json!("high"), &json!("memory")));
    let typed = preview(&client, json!({ "event_type": "job.failed", "component": "worker" }));
    assert_eq!(typed["matches"][0]["route_id"], json!("high"));
    let other = preview(&client, json!({ "component": "other" }));
    assert_eq!(other["matches"][0]["reason"], json!("catch_all_route"));
}

#[test]
fn a_report_cannot_borrow_a_project_in_a_preview() {
    let relaxed = bodies::merged(bodies::project("shop", "/srv/shop"), json!({ "approval_policy": "never" }));
    let (_server, client) =
        configured("borrow", json!({ "monitored_projects": [relaxed], "require_approval_for_new_issues": true }));
    let claimed = bodies::merged(bodies::report("x"), json!({ "project_id": "shop" }));
    assert_eq!(preview(&client, json!({ "report": claimed }))["approval_required"], json!(true));
    assert_eq!(reported(&client, claimed).0["status"], json!("approval_required"));
}

#[test]
fn unknown_ids_are_not_found_everywhere() {
    let (_server, client) = configured("unknown", json!({}));
    let id = "failure-draft-00000000000000000000000000000000";
    for (method, path, code) in [
        ("GET", "drafts/{}", "INCIDENT_MONITOR_DRAFT_NOT_FOUND"),
        ("DELETE", "drafts/{}", "INCIDENT_MONITOR_DRAFT_NOT_FOUND"),
        ("POST", "drafts/{}/approve", "INCIDENT_MONITOR_DRAFT_NOT_FOUND"),
        ("POST", "drafts/{}/deny", "INCIDENT_MONITOR_DRAFT_NOT_FOUND"),
        ("POST", "drafts/{}/publish", "INCIDENT_MONITOR_DRAFT_NOT_FOUND"),
        ("POST", "drafts/{}/recheck-match", "INCIDENT_MONITOR_DRAFT_NOT_FOUND"),
        ("POST", "drafts/{}/issue-draft", "INCIDENT_MONITOR_DRAFT_NOT_FOUND"),
        ("POST", "drafts/{}/triage-summary", "INCIDENT_MONITOR_DRAFT_NOT_FOUND"),
        ("POST", "drafts/{}/triage-run", "INCIDENT_MONITOR_DRAFT_NOT_FOUND"),
        ("GET", "incidents/{}", "INCIDENT_MONITOR_INCIDENT_NOT_FOUND"),
        ("DELETE", "incidents/{}", "INCIDENT_MONITOR_INCIDENT_NOT_FOUND"),
        ("POST", "incidents/{}/replay", "INCIDENT_MONITOR_INCIDENT_NOT_FOUND"),
        ("DELETE", "posts/{}", "INCIDENT_MONITOR_POST_NOT_FOUND"),
        ("GET", "deliveries/{}", "INCIDENT_MONITOR_DELIVERY_NOT_FOUND"),
        ("POST", "deliveries/{}/redeliver", "INCIDENT_MONITOR_DELIVERY_NOT_FOUND"),
        ("POST", "intake/keys/{}/disable", "INCIDENT_MONITOR_INTAKE_KEY_NOT_FOUND"),
        ("POST", "log-sources/{}/x/reset-offset", "INCIDENT_MONITOR_LOG_SOURCE_NOT_FOUND"),
        ("POST", "log-sources/{}/x/replay-latest", "INCIDENT_MONITOR_LOG_SOURCE_NOT_FOUND"),
    ] {
        let body = (method == "POST").then(|| json!({}));
        client.must(method, &format!("/incident-monitor/{}", path.replace("{}", id)), &[], body).refused(404, code);
    }
    client
        .post("/incident-monitor/route-preview", json!({ "draft_id": id }))
        .refused(404, "INCIDENT_MONITOR_DRAFT_NOT_FOUND");
    client
        .post("/incident-monitor/route-preview", json!({ "incident_id": id }))
        .refused(404, "INCIDENT_MONITOR_INCIDENT_NOT_FOUND");
    client.get(&format!("/incident-monitor/posts/{id}")).refused(405, "METHOD_NOT_ALLOWED");
}
