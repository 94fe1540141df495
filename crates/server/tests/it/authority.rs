//! What other systems declare: kept without values, repeated without rows, stale when nobody repeats it.

use serde_json::{Value, json};
use tandem_testkit::{Client, audit, until};

use crate::support::{KEY_HEADER, SOON, all, configured, keyed, launch, text};

const CANARY: &str = "cNrY7tQ2zKp9WvXs4LmB6hJd";

fn put(client: &Client, path: &str, body: Value) -> tandem_testkit::Reply {
    client.must("PUT", path, &[], Some(body))
}

/// A declaration of each kind, full of things that must not stay.
fn samples() -> Vec<(&'static str, &'static str, Value)> {
    let servers = json!([
        { "name": "gh", "command": format!("TOKEN={CANARY} /opt/npx -y gh --key={CANARY}"), "args": [CANARY], "env": { "GH_TOKEN": CANARY } },
        { "name": "docs", "url": format!("https://u:{CANARY}@docs.example/{CANARY}?k={CANARY}"), "headers": { "X-Key": CANARY } },
    ]);
    vec![
        (
            "workflows",
            "nightly",
            json!({ "name": "Nightly", "description": format!("runs with password={CANARY}"), "unknown": { "deep": CANARY },
                "steps": [{ "id": "fetch", "action": "http.get", "with": { "url": CANARY, "token": { "a": CANARY } } }],
                "hooks": [{ "binding_id": "own", "event": "done", "actions": [{ "action": "notify", "with": { "text": CANARY } }] }] }),
        ),
        (
            "hooks",
            "on-fail",
            json!({ "hooks": [{ "event": "failed", "workflow_id": "nightly", "actions": [{ "action": "page", "parameters": { "to": CANARY } }] }] }),
        ),
        ("agents", "planner", json!({ "tool_allowlist": ["search"], "servers": servers, "related": ["runtime:lab"] })),
        (
            "tool-policies",
            "house",
            json!({ "tool_denylist": [format!("Bash(curl -H 'Authorization: Bearer {CANARY}')")] }),
        ),
        ("runtimes", "lab", json!({ "servers": servers, "locator": format!("https://lab.example/{CANARY}") })),
    ]
}

#[test]
fn every_kind_is_kept_without_its_values_and_stands_in_the_inventory() {
    let (mut server, admin) = configured("declared", json!({}));
    for (kind, id, body) in samples() {
        let path = format!("/authority/{kind}/{id}");
        let answer = put(&admin, &path, body.clone()).ok();
        assert_eq!((&answer["created"], &answer["changed"]), (&json!(true), &json!(true)), "{answer}");
        let before = audit::last_seq(&admin);
        let again = put(&admin, &path, body).ok();
        assert_eq!((&again["created"], &again["changed"]), (&json!(false), &json!(false)), "{again}");
        // The digest of what was kept is that of what was sent: what is read can be sent back.
        let kept = put(&admin, &path, again["declared"].clone()).ok();
        assert_eq!(kept["changed"], json!(false), "{kept}");
        admin.ask(&format!("{path}/seen")).ok();
        assert_eq!(audit::last_seq(&admin), before, "a repetition left a row");
        let seen = admin.get(&path).ok()["declared"].clone();
        assert!(seen["last_seen_at_ms"].as_u64() >= again["declared"]["last_seen_at_ms"].as_u64());
        assert_eq!(seen["stale"], json!(false));
        let listed = admin.get(&format!("/authority/{kind}")).ok();
        assert_eq!((&listed["count"], &listed["declared"][0]["id"]), (&json!(1), &json!(id)));
    }
    let inventory = admin.get("/incident-monitor/security/authority-inventory").ok();
    let rows = admin.get("/audit/protected?limit=200").ok();
    let lists: Vec<Value> = samples().iter().map(|(kind, ..)| admin.get(&format!("/authority/{kind}")).ok()).collect();
    for (what, said) in [("inventory", &inventory), ("rows", &rows), ("lists", &json!(lists))] {
        assert!(!said.to_string().contains(CANARY), "{what}: {said}");
    }
    let workflow = &inventory["inventory"]["workflows"][0];
    assert_eq!(workflow["steps"][0]["parameter_keys"], json!(["token", "url"]));
    let bindings: Vec<_> = workflow["hooks"].as_array().unwrap().iter().map(|hook| text(&hook["binding_id"])).collect();
    assert_eq!(bindings, ["on-fail", "own"]);
    let created = all(&admin, "/audit/protected?event_type=authority.declared.created", "events");
    assert_eq!(created.len(), 5);
    // Durable, the heartbeat too.
    let before = admin.get("/authority/runtimes/lab").ok();
    server.restart();
    assert_eq!(server.client().get("/authority/runtimes/lab").ok()["declared"], before["declared"]);
    audit::assert_verified(&server.client());
}

#[test]
fn changes_and_removals_leave_their_rows() {
    let (_server, admin) = configured("declared-changes", json!({}));
    let ada = [("x-tandem-actor-id", "ada"), ("x-tandem-request-source", "control_panel")];
    put(&admin, "/authority/agents/planner", json!({ "tool_allowlist": ["search"] })).ok();
    let changed = admin.must("PUT", "/authority/agents/planner", &ada, Some(json!({ "tool_allowlist": null }))).ok();
    assert_eq!((&changed["created"], &changed["changed"]), (&json!(false), &json!(true)));
    assert_eq!(changed["declared"]["declared_by"]["actor_id"], json!("ada"));
    let rows = all(&admin, "/audit/protected?event_type=authority.declared.updated", "events");
    assert_eq!(rows[0]["payload"]["changed"], json!(["tool_allowlist"]));
    admin.delete("/authority/agents/planner").ok();
    admin.delete("/authority/agents/planner").refused(404, "AUTHORITY_DECLARATION_NOT_FOUND");
    admin.get("/authority/agents/planner").refused(404, "AUTHORITY_DECLARATION_NOT_FOUND");
    admin.ask("/authority/agents/planner/seen").refused(404, "AUTHORITY_DECLARATION_NOT_FOUND");
    assert_eq!(all(&admin, "/audit/protected?event_type=authority.declared.removed", "events").len(), 1);
    // The same id of two kinds is two things.
    put(&admin, "/authority/runtimes/planner", json!({})).ok();
    admin.get("/authority/agents/planner").refused(404, "AUTHORITY_DECLARATION_NOT_FOUND");
}

#[test]
fn what_is_not_repeated_goes_stale() {
    let (_server, admin) = configured("declared-stale", json!({}));
    for n in 0..5 {
        put(&admin, &format!("/authority/agents/lost-{n}"), json!({ "stale_after_ms": 1_000 })).ok();
        put(&admin, &format!("/authority/agents/alive-{n}"), json!({})).ok();
    }
    let ids = |stale: bool| {
        let mut ids: Vec<String> =
            paged(&admin, &format!("/authority/agents?stale={stale}")).iter().map(|row| text(&row["id"])).collect();
        ids.sort();
        ids
    };
    let expected = |word: &str| (0..5).map(|n| format!("{word}-{n}")).collect::<Vec<_>>();
    until("the unrepeated ones are stale", SOON, || (ids(true) == expected("lost")).then_some(()));
    assert_eq!(ids(false), expected("alive"));
    assert_eq!(paged(&admin, "/authority/agents").len(), 10);
    let inventory = admin.get("/incident-monitor/security/authority-inventory").ok();
    let agents = inventory["inventory"]["declared_agents"].as_array().cloned().unwrap_or_default();
    assert_eq!(agents.iter().filter(|row| row["stale"] == true).count(), 5, "{inventory}");
    // Seen again, it is not stale.
    let back = put(&admin, "/authority/agents/lost-0", json!({ "stale_after_ms": 60_000 })).ok();
    assert_eq!(back["declared"]["stale"], json!(false));
    assert_eq!(ids(true).len(), 4);
    admin.get("/authority/agents?stale=perhaps").refused(400, "VALIDATION_FAILED");
}

/// Every row, two at a time.
fn paged(client: &Client, path: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    let joint = if path.contains('?') { '&' } else { '?' };
    loop {
        let answer = client.get(&format!("{path}{joint}limit=2&cursor={cursor}")).ok();
        rows.extend(answer["declared"].as_array().cloned().unwrap());
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return rows,
        }
    }
}

#[test]
fn agents_and_keys_and_other_tenants() {
    let (server, admin) = configured(
        "declared-who",
        json!({ "monitored_projects": [tandem_testkit::bodies::project("shop", "/srv/shop")] }),
    );
    let token = |body: Value| server.stranger().bearer(&text(&admin.post("/auth/tokens", body).ok()["raw_token"]));
    let bot = token(json!({ "name": "bot", "agent_id": "bot" }));
    let forbidden = |reply: tandem_testkit::Reply| {
        reply.refused(403, "AUTHORITY_DECLARATION_FORBIDDEN");
    };
    put(&admin, "/authority/workflows/theirs", json!({})).ok();
    put(&bot, "/authority/agents/bot", json!({ "tool_allowlist": ["a"] })).ok();
    forbidden(put(&bot, "/authority/agents/other", json!({})));
    forbidden(put(&bot, "/authority/workflows/theirs", json!({ "description": "mine now" })));
    forbidden(put(&bot, "/authority/workflows/theirs", json!({})));
    // A header does not make it somebody else.
    let posing = [("x-tandem-request-source", "control_panel"), ("x-tandem-actor-id", "ada")];
    forbidden(bot.must("PUT", "/authority/agents/other", &posing, Some(json!({}))));
    bot.delete("/authority/agents/bot").refused(403, "HUMAN_ACTOR_REQUIRED");
    assert_eq!(admin.get("/authority/agents/bot").ok()["declared"]["declared_by"]["actor_id"], json!("bot"));

    let (_, raw) = keyed(&admin, json!({}));
    let with_key = server.client().with(KEY_HEADER, &raw);
    for (method, path) in [
        ("GET", "/authority/agents"),
        ("GET", "/authority/agents/bot"),
        ("PUT", "/authority/agents/bot"),
        ("POST", "/authority/agents/bot/seen"),
        ("DELETE", "/authority/agents/bot"),
    ] {
        let body = (method != "GET").then(|| json!({}));
        with_key.must(method, path, &[], body).refused(403, "INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED");
    }

    let elsewhere = token(json!({ "name": "t", "tenant": { "org_id": "acme", "workspace_id": "main" } }));
    put(&elsewhere, "/authority/agents/bot", json!({ "owner": "eve" })).ok();
    assert_eq!(admin.get("/authority/agents/bot").ok()["declared"]["owner"], json!(null));
    assert_eq!(elsewhere.get("/authority/agents").ok()["count"], json!(1));
    elsewhere.get("/authority/workflows/theirs").refused(404, "AUTHORITY_DECLARATION_NOT_FOUND");
}

#[test]
fn nonsense_is_refused_with_its_place() {
    let server = launch("declared-nonsense").start();
    let admin = server.client();
    let invalid = |path: &str, body: Value, field: &str| {
        let refusal = put(&admin, path, body).refused(400, "AUTHORITY_DECLARATION_INVALID");
        assert_eq!(refusal["field"], json!(field), "{refusal}");
    };
    invalid("/authority/agents/a%20b", json!({}), "id");
    invalid("/authority/agents/x", json!({ "steps": vec![json!({}); 501] }), "steps");
    invalid("/authority/agents/x", json!({ "related": ["nobody"] }), "related");
    invalid("/authority/agents/x", json!({ "stale_after_ms": 1 }), "stale_after_ms");
    put(&admin, "/authority/robots/x", json!({})).refused(404, "NOT_FOUND");
    admin.get("/authority/robots").refused(404, "NOT_FOUND");
    let shape = put(&admin, "/authority/agents/x", json!({ "tool_denylist": [{ "a": CANARY }] }));
    assert!(!shape.refused(422, "VALIDATION_FAILED").to_string().contains(CANARY));
    put(&admin, "/authority/agents/x", json!({ "steps": null })).refused(422, "VALIDATION_FAILED");
    put(&admin, "/authority/agents/x", json!({ "enabled": null, "name": null })).ok();
}
