//! Scoped keys: what they open, for whom, how often and until when.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tandem_testkit::{Client, Server, audit, bodies, now_ms, until};

use crate::support::{KEY_HEADER, SOON, all, configure, configured, keyed, text};

const PATH: &str = "/incident-monitor/intake/report";

fn projects() -> Value {
    let source = json!({ "source_id": "app-log", "path": "app.log" });
    let logged = bodies::merged(bodies::project("logged", "/srv/logged"), json!({ "log_sources": [source] }));
    let shop = bodies::merged(
        bodies::project("shop", "/srv/shop"),
        json!({
            "source_kind": "external_app", "tenant_id": "acme", "workspace_id": "prod", "default_route_tags": ["shop"],
            "allowed_destination_ids": ["local"], "event_schema_version": "3", "approval_policy": "always",
        }),
    );
    json!({ "monitored_projects": [shop, logged] })
}

fn setup(name: &str) -> (Server, Client) {
    configured(name, projects())
}

fn body(project: &str) -> Value {
    json!({ "project_id": project, "report": bodies::report("through a key") })
}

#[test]
fn keys_are_shown_once_and_listed_without_their_hash() {
    let (_server, admin) = setup("keys");
    let created = admin.post("/incident-monitor/intake/keys", json!({ "project_id": "shop", "name": "b" })).ok();
    let raw = text(&created["raw_key"]);
    assert!(raw.starts_with("tim_intake_") && raw.len() == "tim_intake_".len() + 64, "{raw}");
    assert_eq!(created["key"]["key_hash"], json!("[redacted]"));
    assert_eq!(created["key"]["scopes"], json!(["incident_monitor:report"]));
    keyed(&admin, json!({ "name": "a" }));
    keyed(&admin, json!({ "project_id": "logged", "name": "z" }));
    let listed = admin.get("/incident-monitor/intake/keys").ok();
    let names: Vec<(String, String)> =
        listed["keys"].as_array().unwrap().iter().map(|key| (text(&key["project_id"]), text(&key["name"]))).collect();
    let expected = [("logged", "z"), ("shop", "a"), ("shop", "b")];
    assert_eq!(names, expected.map(|(project, name)| (project.to_owned(), name.to_owned())));
    assert!(!listed.to_string().contains(&raw) && !audit::export(&admin).concat().contains(&raw));

    for (request, code) in [
        (json!({ "project_id": "none", "name": "k" }), "INCIDENT_MONITOR_INTAKE_PROJECT_UNKNOWN"),
        (json!({ "project_id": "shop", "name": "  " }), "INCIDENT_MONITOR_INTAKE_KEY_NAME_REQUIRED"),
        (json!({ "project_id": "shop", "name": "k", "scopes": [" "] }), "INCIDENT_MONITOR_INTAKE_KEY_CREATE_FAILED"),
        (json!({ "project_id": "shop", "name": "k", "expires_at_ms": 1 }), "INCIDENT_MONITOR_INTAKE_KEY_CREATE_FAILED"),
    ] {
        admin.post("/incident-monitor/intake/keys", request).refused(400, code);
    }
    admin.post("/incident-monitor/intake/keys", json!({ "name": "k" })).refused(422, "VALIDATION_FAILED");
    admin.ask("/incident-monitor/intake/keys/none/disable").refused(404, "INCIDENT_MONITOR_INTAKE_KEY_NOT_FOUND");
}

#[test]
fn the_checks_come_in_their_order() {
    let (server, admin) = setup("order");
    let (_, raw) = keyed(&admin, json!({}));
    let (_, logged) = keyed(&admin, json!({ "project_id": "logged" }));
    let (_, other_scope) = keyed(&admin, json!({ "scopes": ["incident_monitor:read"] }));
    let stranger = server.stranger();
    let with = |key: &str| server.stranger().with(KEY_HEADER, key);

    // Shape before everything.
    stranger
        .send("POST", PATH, &[("content-type", "application/json")], b"{")
        .unwrap()
        .refused(400, "VALIDATION_FAILED");
    stranger.post(PATH, json!({ "project_id": 7 })).refused(422, "VALIDATION_FAILED");
    // A project before the key.
    for blank in [json!({}), json!({ "project_id": null }), json!({ "project_id": "  " })] {
        stranger.post(PATH, blank).refused(400, "INCIDENT_MONITOR_INTAKE_PROJECT_REQUIRED");
    }
    // The key before anything about the project.
    stranger.post(PATH, json!({ "project_id": "none" })).refused(401, "INCIDENT_MONITOR_INTAKE_KEY_REQUIRED");
    for (key, project) in
        [("tim_intake_00", "shop"), (raw.as_str(), "logged"), (raw.as_str(), "none"), (&other_scope, "shop")]
    {
        with(key).post(PATH, json!({ "project_id": project })).refused(401, "INCIDENT_MONITOR_INTAKE_KEY_INVALID");
    }
    // The project's own header wins over a bearer.
    with("wrong").bearer(&raw).post(PATH, body("shop")).refused(401, "INCIDENT_MONITOR_INTAKE_KEY_INVALID");
    // The report before its source.
    let nameless = json!({ "project_id": "logged", "source_id": "nope" });
    with(&logged).post(PATH, nameless).refused(400, "INCIDENT_MONITOR_REPORT_REQUIRED");
    with(&logged).post(PATH, body("logged")).refused(400, "INCIDENT_MONITOR_INTAKE_SOURCE_UNKNOWN");
    let mut sourced = body("logged");
    sourced["source_id"] = json!("app-log");
    let taken = with(&logged).post(PATH, sourced).ok();
    assert_eq!(taken["incident"]["log_source_id"], json!("app-log"));
    // And the gate last.
    let mut noise = body("shop");
    noise["report"]["event"] = json!("run.progress");
    let refused = with(&raw).post(PATH, noise).refused(400, "INCIDENT_MONITOR_REPORT_INVALID");
    assert!(refused["incident"]["incident_id"].is_string() && refused["detail"].is_string(), "{refused}");
    server.stranger().bearer(&raw).post(PATH, body("shop")).ok();

    // A project that was removed is unknown even to its own key.
    configure(&admin, json!({}));
    with(&raw).post(PATH, body("shop")).refused(400, "INCIDENT_MONITOR_INTAKE_PROJECT_UNKNOWN");
}

#[test]
fn the_binding_overwrites_what_a_report_says_of_itself() {
    let (server, admin) = setup("binding");
    let (_, raw) = keyed(&admin, json!({}));
    let mut claims = body("shop");
    let report = bodies::merged(
        claims["report"].clone(),
        json!({
            "project_id": "logged", "log_source_id": "other", "source_kind": "ci", "repo": "evil/repo",
            "workspace_root": "/etc", "route_tags": ["vip"], "allowed_destination_ids": ["anything"],
            "default_destination_ids": ["anything"], "tenant_id": "evil", "workspace_id": "evil",
            "event_schema_version": "9", "source_approval_policy": "never", "risk_level": "low",
        }),
    );
    claims["report"] = report;
    let taken = server.stranger().with(KEY_HEADER, &raw).post(PATH, claims).ok();
    for row in [&taken["draft"], &taken["incident"]] {
        let seen = [
            ("project_id", json!("shop")),
            ("source_kind", json!("external_app")),
            ("repo", json!("acme/shop")),
            ("route_tags", json!(["shop"])),
            ("allowed_destination_ids", json!(["local"])),
            ("tenant_id", json!("acme")),
            ("workspace_id", json!("prod")),
            ("event_schema_version", json!("3")),
            ("source_approval_policy", json!("always")),
        ];
        for (field, expected) in seen {
            assert_eq!(row[field], expected, "{field} of {row}");
        }
    }
    assert_eq!(taken["incident"]["workspace_root"], json!("/srv/shop"));
    assert_eq!(taken["incident"]["source"], json!("incident_monitor.intake.external"));
    assert_eq!(taken["draft"]["status"], json!("approval_required"));
}

#[test]
fn keys_expire_and_are_limited_one_by_one() {
    let (server, admin) = setup("limits");
    let (_, short) = keyed(&admin, json!({ "expires_at_ms": now_ms() + 1_500 }));
    let reporter = server.stranger().with(KEY_HEADER, &short);
    reporter.post(PATH, body("shop")).ok();
    until("the key has expired", SOON, || {
        (reporter.post(PATH, body("shop")).code() == "INCIDENT_MONITOR_INTAKE_KEY_INVALID").then_some(())
    });

    let (_, slow) = keyed(&admin, json!({ "rate_limit_per_min": 3 }));
    let (_, free) = keyed(&admin, json!({}));
    let slow = server.stranger().with(KEY_HEADER, &slow);
    let answers: Vec<u16> = (0..5).map(|_| slow.post(PATH, body("shop")).status).collect();
    assert_eq!(answers, [200, 200, 200, 429, 429]);
    let limited = slow.post(PATH, body("shop"));
    limited.refused(429, "RATE_LIMITED");
    let wait: u64 = limited.header("retry-after").expect("it says when").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    server.stranger().with(KEY_HEADER, &free).post(PATH, body("shop")).ok();
}

#[test]
fn a_disabled_key_is_refused_from_the_answer_on_whatever_happens_beside_it() {
    let (mut server, admin) = setup("disable");
    let (id, raw) = keyed(&admin, json!({}));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let reporter = server.stranger().with(KEY_HEADER, &raw);
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let reply = reporter.post(PATH, body("shop"));
                    assert!(matches!(reply.status, 200 | 401), "{}", reply.text());
                }
            });
        }
        until("the key is in use", SOON, || {
            let keys = admin.get("/incident-monitor/intake/keys").ok();
            keys["keys"][0]["last_used_at_ms"].is_u64().then_some(())
        });
        let disabled = admin.ask(&format!("/incident-monitor/intake/keys/{id}/disable"));
        // Before anything is checked: a panic must not leave the others running.
        let late: Vec<u16> =
            (0..50).map(|_| server.stranger().with(KEY_HEADER, &raw).post(PATH, body("shop")).status).collect();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(disabled.ok()["key"]["enabled"], json!(false));
        assert!(late.iter().all(|status| *status == 401), "{late:?}");
    });
    let again = admin.ask(&format!("/incident-monitor/intake/keys/{id}/disable")).ok();
    assert_eq!(again["key"]["enabled"], json!(false));
    drop(admin);
    server.restart();
    let admin = server.client();
    let key = admin.get("/incident-monitor/intake/keys").ok()["keys"][0].clone();
    assert_eq!(key["enabled"], json!(false), "{key}");
    server
        .stranger()
        .with(KEY_HEADER, &raw)
        .post(PATH, body("shop"))
        .refused(401, "INCIDENT_MONITOR_INTAKE_KEY_INVALID");
    let refusals = audit::rows(&admin, "incident_monitor.intake_key.refused");
    assert!(!refusals.is_empty(), "a refused key leaves a row");
    assert!(!all(&admin, "/incident-monitor/incidents", "incidents").is_empty());
}
