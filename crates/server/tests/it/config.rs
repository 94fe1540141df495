//! The configuration object: replaced whole, checked, guarded by its tag.

use serde_json::{Value, json};
use tandem_testkit::{audit, bodies};

use crate::support::{configured, launch};

const PATH: &str = "/config/incident-monitor";

#[test]
fn a_patch_replaces_the_whole_object() {
    let (mut server, client) =
        configured("replace", json!({ "mcp_server": null, "default_destination_ids": ["local"] }));
    let stored = client.get(PATH).ok()["incident_monitor"].clone();
    assert_eq!(stored["safety_defaults"]["block_unready_destinations"], json!(true), "always told");
    assert_eq!(stored["triage_timeout_ms"], json!(1_800_000));
    // What is left out returns to its default.
    let saved = client.patch(PATH, json!({ "incident_monitor": { "enabled": true } })).ok()["incident_monitor"].clone();
    assert_eq!((&saved["destinations"], &saved["default_destination_ids"]), (&json!([]), &json!([])));
    assert!(saved["repo"].is_null() && saved["updated_at_ms"].as_u64() > stored["updated_at_ms"].as_u64());
    assert_eq!(saved["safety_defaults"]["block_unready_destinations"], json!(true));
    // Read, edit, write back is the way of both clients; it must not change anything else.
    let back = client.patch(PATH, json!({ "incident_monitor": stored })).ok()["incident_monitor"].clone();
    let without_time = |mut config: Value| {
        config["updated_at_ms"] = json!(0);
        config
    };
    assert_eq!(without_time(back.clone()), without_time(stored));
    drop(client);
    server.restart();
    assert_eq!(server.client().get(PATH).ok()["incident_monitor"], back);
}

#[test]
fn nulls_and_unknown_fields_are_welcome() {
    let (_server, client) = configured("nulls", json!({}));
    let stored = client.get(PATH).ok()["incident_monitor"].clone();
    let mut nulls = serde_json::Map::new();
    for (field, _) in stored.as_object().unwrap() {
        nulls.insert(field.clone(), Value::Null);
    }
    nulls.insert("something_new".into(), json!({ "deep": [1] }));
    let saved = client.patch(PATH, json!({ "incident_monitor": nulls })).ok()["incident_monitor"].clone();
    assert_eq!(saved["enabled"], json!(false));
    let partial = json!({ "destinations": [{
        "destination_id": "d", "name": "d", "kind": null, "enabled": null, "require_approval": null, "route_tags": null,
        "config": null, "repo": null,
    }], "safety_defaults": { "block_unready_destinations": null, "redact_secrets": null } });
    let saved = client.patch(PATH, json!({ "incident_monitor": partial })).ok()["incident_monitor"].clone();
    assert_eq!(saved["destinations"][0]["kind"], json!("github_issue"));
    assert_eq!(saved["destinations"][0]["enabled"], json!(true));
    assert_eq!(saved["safety_defaults"]["redact_secrets"], json!(true));
}

#[test]
fn a_stale_tag_is_refused() {
    let (server, client) = configured("etag", json!({}));
    let first = client.get(PATH);
    let tag = first.header("etag").expect("a tag").to_owned();
    let body = json!({ "incident_monitor": bodies::config(json!({ "paused": false })) });
    let with = |tag: &str| client.must("PATCH", PATH, &[("if-match", tag)], Some(body.clone()));
    let saved = with(&tag);
    saved.ok();
    assert_ne!(saved.header("etag"), Some(tag.as_str()));
    with(&tag).refused(412, "PRECONDITION_FAILED");
    with("\"something else\"").refused(412, "PRECONDITION_FAILED");
    with("*").ok();
    client.patch(PATH, body.clone()).ok();

    // Of many that edit the same version, one wins.
    let tag = client.get(PATH).header("etag").unwrap().to_owned();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| {
                let (client, tag, body) = (server.client(), &tag, &body);
                scope.spawn(move || client.must("PATCH", PATH, &[("if-match", tag)], Some(body.clone())).status)
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 7, "{statuses:?}");
}

#[test]
fn what_breaks_a_rule_is_refused_and_changes_nothing() {
    let (_server, client) = configured("invalid", json!({}));
    let before = client.get(PATH).ok();
    let project = |more: Value| json!({ "monitored_projects": [bodies::merged(bodies::project("p", "/srv/p"), more)] });
    let source = |more: Value| {
        project(json!({ "log_sources": [bodies::merged(json!({ "source_id": "s", "path": "a.log" }), more)] }))
    };
    let twin = bodies::telemetry("same");
    for over in [
        json!({ "repo": "no-slash" }),
        json!({ "repo": "a/b/c" }),
        json!({ "destinations": [twin, twin] }),
        json!({ "destinations": [bodies::telemetry(" ")] }),
        json!({ "default_destination_ids": ["unknown"] }),
        json!({ "routes": [{ "route_id": "r", "name": "r", "destination_ids": ["unknown"] }] }),
        json!({ "routes": [{ "route_id": "r", "name": "r" }, { "route_id": "r", "name": "s" }] }),
        json!({ "model_policy": { "default_model": { "provider_id": " ", "model_id": "m" } } }),
        project(json!({ "project_id": "not a slug" })),
        project(json!({ "name": "  " })),
        project(json!({ "repo": "x" })),
        project(json!({ "workspace_root": "relative/path" })),
        project(json!({ "allowed_destination_ids": ["unknown"] })),
        json!({ "destinations": [bodies::telemetry("local"), bodies::telemetry("b")], "monitored_projects":
            [bodies::merged(bodies::project("p", "/srv/p"), json!({ "allowed_destination_ids": ["local"], "default_destination_ids": ["b"] }))] }),
        json!({ "monitored_projects": [bodies::project("p", "/srv/p"), bodies::project("p", "/srv/q")] }),
        source(json!({ "path": " " })),
        source(json!({ "path": "../outside.log" })),
        source(json!({ "source_id": "a b" })),
    ] {
        let refused = client.patch(PATH, json!({ "incident_monitor": bodies::config(over.clone()) }));
        assert_eq!(refused.code(), "INCIDENT_MONITOR_CONFIG_INVALID", "{over}: {}", refused.text());
        assert!(refused.refused(400, "INCIDENT_MONITOR_CONFIG_INVALID")["detail"].is_string());
    }
    for body in [json!({}), json!({ "incident_monitor": null }), json!({ "other": {} })] {
        client.patch(PATH, body).refused(400, "INCIDENT_MONITOR_CONFIG_REQUIRED");
    }
    for body in [
        json!([]),
        json!({ "incident_monitor": [] }),
        json!({ "incident_monitor": { "enabled": "perhaps" } }),
        json!({ "incident_monitor": { "triage_timeout_ms": -1 } }),
    ] {
        client.patch(PATH, body).refused(422, "VALIDATION_FAILED");
    }
    assert_eq!(client.get(PATH).ok(), before);
}

#[test]
fn a_pause_does_not_care_about_the_rest_and_leaves_a_row() {
    let (_server, client) = configured("pausing", json!({}));
    let paused = client.ask("/incident-monitor/pause").ok();
    assert_eq!((&paused["ok"], &paused["incident_monitor"]["paused"]), (&json!(true), &json!(true)));
    assert_eq!(client.get("/incident-monitor/status").ok()["status"]["runtime"]["paused"], json!(true));
    // A client that always announces JSON but sends nothing.
    let resumed =
        client.send("POST", "/incident-monitor/resume", &[("content-type", "application/json")], b"").unwrap();
    assert_eq!(resumed.ok()["incident_monitor"]["paused"], json!(false));
    assert_eq!(audit::rows(&client, "incident_monitor.paused").len(), 1);
    assert_eq!(audit::rows(&client, "incident_monitor.resumed").len(), 1);
}

#[test]
fn the_environment_says_how_to_begin_and_is_ignored_afterwards() {
    let launch =
        launch("initial").env("TANDEM_INCIDENT_MONITOR_ENABLED", "yes").env("TANDEM_BUG_MONITOR_REPO", "from/env");
    let mut server = launch.start();
    let first = server.client().get(PATH).ok()["incident_monitor"].clone();
    assert_eq!((&first["enabled"], &first["repo"]), (&json!(true), &json!("from/env")));
    server.client().patch(PATH, json!({ "incident_monitor": { "enabled": false, "repo": "now/stored" } })).ok();
    server.restart();
    let later = server.client().get(PATH).ok()["incident_monitor"].clone();
    assert_eq!((&later["enabled"], &later["repo"]), (&json!(false), &json!("now/stored")));
}

#[test]
fn reading_the_status_changes_nothing() {
    let (_server, client) = configured("status", json!({}));
    let before = audit::last_seq(&client);
    let status = client.get("/incident-monitor/status").ok()["status"].clone();
    assert_eq!(status["readiness"]["enabled"], json!(true));
    let readiness = status["readiness"].as_object().unwrap();
    assert!(readiness.values().all(Value::is_boolean), "{readiness:?}");
    let recomputed = client.ask("/incident-monitor/status/recompute").ok()["status"].clone();
    assert_eq!(recomputed["readiness"], status["readiness"]);
    for key in [
        "config",
        "runtime",
        "log_watcher",
        "required_capabilities",
        "missing_required_capabilities",
        "resolved_capabilities",
        "discovered_mcp_tools",
        "selected_server_binding_candidates",
        "destinations",
        "destination_readiness",
        "source_readiness",
        "pending_drafts",
        "pending_posts",
    ] {
        assert!(!status[key].is_null(), "{key}");
    }
    let debug = client.get("/incident-monitor/debug").ok();
    assert_eq!((&debug["selected_server_tools"], &debug["canonicalized_discovered_tools"]), (&json!([]), &json!([])));
    assert_eq!(audit::last_seq(&client), before);
}
