//! Every route of the document with every kind of credential, and an audit row for every change.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tandem_testkit::{Client, Server, audit, bodies};

use crate::support::{KEY_HEADER, configured, drafted, keyed, reported, settled, text};

const INTAKE: [&str; 2] = ["/incident-monitor/intake/report", "/bug-monitor/intake/report"];

/// `(METHOD, template)` of every operation.
fn operations(server: &Server) -> BTreeSet<(String, String)> {
    let document = server.stranger().get("/openapi.json").ok();
    let paths = document["paths"].as_object().expect("the document lists paths").clone();
    let mut found = BTreeSet::new();
    for (path, item) in &paths {
        for method in ["get", "put", "post", "delete", "patch"] {
            if item.get(method).is_some() {
                found.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    assert!(found.len() > 60, "only {} operations", found.len());
    found
}

/// A path with something in place of its parameters.
fn filled(template: &str, id: &str) -> String {
    template.split('/').map(|part| if part.starts_with('{') { id } else { part }).collect::<Vec<_>>().join("/")
}

fn shop() -> Value {
    json!({ "monitored_projects": [bodies::project("shop", "/srv/shop")] })
}

#[test]
fn nothing_but_the_public_paths_answers_without_a_full_token() {
    let (server, admin) = configured("walk", shop());
    let (_, raw) = keyed(&admin, json!({}));
    let made = admin.post("/auth/tokens", json!({ "name": "short-lived" })).ok();
    let revoked = text(&made["raw_token"]);
    let live = server.stranger().bearer(&revoked);
    live.get("/incident-monitor/status").ok();
    admin.ask(&format!("/auth/tokens/{}/revoke", text(&made["token"]["token_id"]))).ok();

    let strangers: Vec<(&str, Client)> = vec![
        ("none", server.stranger()),
        ("wrong token", server.stranger().bearer("it-full-token-0123456789abcdeX")),
        ("empty bearer", server.stranger().with("authorization", "Bearer")),
        ("basic", server.stranger().with("authorization", "Basic aXQ6aXQ=")),
        ("intake key as bearer", server.stranger().bearer(&raw)),
        ("intake key in its header", server.stranger().with(KEY_HEADER, &raw)),
        ("intake key as token", server.stranger().with("x-agent-token", &raw)),
        ("revoked token", live),
        // A wrong value in the first carrier is final.
        ("wrong token before the right one", server.client().with("x-agent-token", "wrong")),
    ];
    for (method, template) in operations(&server) {
        let path = filled(&template, "some-id");
        let public = match template.as_str() {
            "/global/health" | "/openapi.json" if method == "GET" => Some(200),
            // The browser that comes back from an authorisation shows its state, and here it has none.
            "/mcp/oauth/callback" => Some(400),
            _ => None,
        };
        for (who, client) in &strangers {
            let reply = client.must(&method, &path, &[], Some(json!({})));
            if let Some(status) = public {
                assert_eq!(reply.status, status, "{who}: {method} {path}");
            } else if INTAKE.contains(&template.as_str()) {
                // Its handler answers: without a project named, the key is not even looked at.
                reply.refused(400, "INCIDENT_MONITOR_INTAKE_PROJECT_REQUIRED");
            } else {
                assert_eq!((reply.status, reply.code().as_str()), (401, "AUTH_REQUIRED"), "{who}: {method} {path}");
                reply.enveloped();
            }
        }
        if matches!(template.as_str(), "/audit/stream" | "/automations/v2/events") {
            // It has no end to wait for.
            assert_eq!(server.client().stream(&path).expect("the stream begins").status, 200);
            continue;
        }
        let reply = server.client().must(&method, &path, &[], Some(json!({})));
        let refuses = |reply: &tandem_testkit::Reply| reply.status < 500 || reply.code() == "FEATURE_UNAVAILABLE";
        assert!(reply.status != 401 && refuses(&reply), "full token: {method} {path}: {}", reply.text());
    }
    // An unknown path tells a stranger nothing, and the owner of a token the truth.
    server.stranger().get("/no/such/path").refused(401, "AUTH_REQUIRED");
    server.client().get("/no/such/path").refused(404, "NOT_FOUND");
    server.client().must("PUT", "/incident-monitor/status", &[], Some(json!({}))).refused(405, "METHOD_NOT_ALLOWED");
}

#[test]
fn a_full_token_is_no_intake_key() {
    let (server, admin) = configured("not-a-key", shop());
    let body = json!({ "project_id": "shop", "report": bodies::report("x") });
    for path in INTAKE {
        server.stranger().post(path, body.clone()).refused(401, "INCIDENT_MONITOR_INTAKE_KEY_REQUIRED");
        admin.post(path, body.clone()).refused(401, "INCIDENT_MONITOR_INTAKE_KEY_INVALID");
        // A trailing slash is another path, and that one needs a full token.
        server.stranger().post(&format!("{path}/"), body.clone()).refused(401, "AUTH_REQUIRED");
    }
}

#[test]
fn agents_do_not_administer() {
    let (server, admin) = configured("agents", json!({ "require_approval_for_new_issues": true }));
    let id = drafted(&admin, bodies::report("for an agent"));
    let agent = server.client().with("x-tandem-agent-id", "agent-7");
    let cases = [
        ("PATCH", "/config/incident-monitor".to_owned(), json!({ "incident_monitor": bodies::config(json!({})) })),
        ("POST", "/incident-monitor/pause".into(), json!({})),
        ("POST", "/incident-monitor/intake/keys".into(), json!({ "project_id": "shop", "name": "k" })),
        ("POST", "/auth/tokens".into(), json!({ "name": "t" })),
        ("POST", format!("/incident-monitor/drafts/{id}/approve"), json!({})),
        ("POST", format!("/incident-monitor/drafts/{id}/deny"), json!({})),
        ("DELETE", format!("/incident-monitor/drafts/{id}"), json!({})),
        ("POST", "/mcp".into(), json!({ "name": "gh", "transport": "https://mcp.example.com/" })),
        ("PATCH", "/mcp/gh".into(), json!({ "enabled": false })),
        ("DELETE", "/mcp/gh".into(), json!({})),
        ("POST", "/mcp/gh/connect".into(), json!({})),
        ("POST", "/mcp/gh/disconnect".into(), json!({})),
        ("POST", "/mcp/gh/refresh".into(), json!({})),
        ("POST", "/mcp/gh/tools/t/accept".into(), json!({})),
        ("PUT", "/incident-monitor/security/deployment-cards/automation:a".into(), json!({ "metadata": {} })),
        ("POST", "/incident-monitor/security/deployment-cards/automation:a/sign-off".into(), json!({})),
        ("DELETE", "/authority/agents/agent-7".into(), json!({})),
        ("PUT", "/audit/exports/config".into(), json!({ "destination": { "kind": "directory" } })),
        ("PUT", "/audit/retention".into(), json!({ "body_days": 30 })),
        ("POST", "/audit/holds".into(), json!({ "reason": "case 7" })),
        ("DELETE", "/audit/holds/some-hold".into(), json!({})),
    ];
    for (method, path, body) in cases {
        agent.must(method, &path, &[], Some(body)).refused(403, "HUMAN_ACTOR_REQUIRED");
    }
    let nameless = server.client().with("x-tandem-request-source", "agent");
    nameless.get("/incident-monitor/status").refused(403, "AUTOMATION_V2_AGENT_ID_REQUIRED");
}

/// What a route needs before its change can happen, and the request that makes it.
struct Change {
    path: String,
    body: Value,
}

/// How a route that is not a plain read is exercised; `None` for those that change nothing.
fn change(admin: &Client, template: &str, method: &str, turn: usize) -> Option<Change> {
    let unique = format!("{method}-{template}-{turn}");
    let current = template.replace("/bug-monitor/", "/incident-monitor/").replace("bug-monitor", "incident-monitor");
    let to = |id: &str, body: Value| Some(Change { path: filled(template, id), body });
    let waiting = || {
        let report = bodies::merged(bodies::report_as(&unique), json!({ "risk_level": "critical" }));
        drafted(admin, report)
    };
    match (method, current.as_str()) {
        ("POST", "/incident-monitor/status/recompute")
        | ("POST", "/incident-monitor/route-preview")
        | ("POST", "/incident-monitor/drafts/{id}/recheck-match") => None,
        // The source is called as its project.
        ("POST", "/incident-monitor/log-sources/{project_id}/{source_id}/reset-offset") => to("shop", json!({})),
        // What they ask is answered and forgotten.
        ("POST", "/incident-monitor/security/scenario-packs" | "/incident-monitor/security/governance-metrics") => None,
        ("POST", "/incident-monitor/security/assessment-probes") => to("", json!({})),
        ("POST", "/incident-monitor/security/assessment-report") => to("", json!({})),
        // Needs lines that were read; the tests of log sources cover it.
        ("POST", "/incident-monitor/log-sources/{project_id}/{source_id}/replay-latest") => None,
        // They need an automation; the tests of governance make some.
        ("POST" | "DELETE", path) if path.starts_with("/automations/v2/{id}/") => None,
        // Needs a broken log; the tampering test covers it.
        ("POST", "/audit/integrity/acknowledge") => None,
        // A message of another protocol; its tools are other routes.
        ("POST", "/mcp/rpc") => None,
        ("POST", "/mcp") => to("", json!({ "name": format!("s{turn}"), "transport": "http://127.0.0.1:9/" })),
        ("PATCH" | "DELETE", "/mcp/{name}") | ("POST", "/mcp/{name}/connect" | "/mcp/{name}/disconnect") => {
            let name = format!("s{turn}");
            admin.post("/mcp", json!({ "name": name, "transport": "http://127.0.0.1:9/" })).ok();
            if template.ends_with("/disconnect") {
                admin.ask(&format!("/mcp/{name}/connect")).ok();
            }
            to(&name, json!({ "purpose": "other" }))
        }
        // Need a server that answers; the tests of MCP servers cover them.
        (
            "POST",
            "/mcp/{name}/refresh"
            | "/mcp/{name}/tools/{tool}/accept"
            | "/mcp/{name}/auth"
            | "/mcp/{name}/auth/callback"
            | "/mcp/{name}/auth/authenticate",
        )
        | ("DELETE", "/mcp/{name}/auth") => None,
        ("PATCH", "/config/incident-monitor") => {
            let wrapper = if template.contains("bug") { "bug_monitor" } else { "incident_monitor" };
            to("", json!({ wrapper: bodies::config(shop()) }))
        }
        ("POST", "/incident-monitor/pause" | "/incident-monitor/resume") => to("", json!({})),
        ("POST", "/incident-monitor/report") => to("", json!({ "report": bodies::report_as(&unique) })),
        ("POST", "/incident-monitor/intake/keys") => to("", json!({ "project_id": "shop", "name": unique })),
        ("POST", "/incident-monitor/intake/keys/{id}/disable") => to(&keyed(admin, json!({})).0, json!({})),
        ("POST", "/incident-monitor/incidents/{id}/replay") | ("DELETE", "/incident-monitor/incidents/{id}") => {
            to(&text(&reported(admin, bodies::report_as(&unique)).1["incident_id"]), json!({}))
        }
        ("POST", "/incident-monitor/incidents/bulk-delete") => {
            to("", json!({ "ids": [reported(admin, bodies::report_as(&unique)).1["incident_id"]] }))
        }
        ("DELETE", "/incident-monitor/drafts/{id}")
        | ("POST", "/incident-monitor/drafts/{id}/triage-run" | "/incident-monitor/drafts/{id}/publish") => {
            to(&drafted(admin, bodies::report_as(&unique)), json!({}))
        }
        ("POST", "/incident-monitor/drafts/bulk-delete") => {
            to("", json!({ "ids": [drafted(admin, bodies::report_as(&unique))] }))
        }
        ("POST", "/incident-monitor/drafts/{id}/approve" | "/incident-monitor/drafts/{id}/deny") => {
            to(&waiting(), json!({ "reason": "looked at" }))
        }
        ("POST", "/incident-monitor/drafts/{id}/triage-summary" | "/incident-monitor/drafts/{id}/issue-draft") => {
            let id = drafted(admin, bodies::report_as(&unique));
            admin.ask(&format!("/incident-monitor/drafts/{id}/triage-run")).ok();
            crate::support::triaged(admin, &id);
            to(&id, json!({}))
        }
        ("DELETE", "/incident-monitor/posts/{id}") | ("POST", "/incident-monitor/posts/bulk-delete") => {
            let id = drafted(admin, bodies::report_as(&unique));
            let post = admin.post(&format!("/incident-monitor/drafts/{id}/publish"), json!({})).ok();
            to(&text(&post["post_id"]), json!({ "ids": [post["post_id"]] }))
        }
        ("POST", "/incident-monitor/deliveries/{id}/redeliver") => {
            let id = drafted(admin, bodies::report_as(&unique));
            admin.post(&format!("/incident-monitor/drafts/{id}/publish"), json!({ "destination_id": "broken" }));
            to(&text(&settled(admin, &id, "broken", "failed")["delivery_id"]), json!({}))
        }
        (method, path) if path.starts_with("/governance/") => governance_change(admin, template, method, turn),
        (method, path) if path.starts_with("/automations/v2") => automation_change(admin, template, method, &unique),
        ("POST", "/incident-monitor/security/deployment-cards") => to("", json!({})),
        ("PUT", "/incident-monitor/security/deployment-cards/{card_id}")
        | ("POST", "/incident-monitor/security/deployment-cards/{card_id}/sign-off") => {
            let stored = json!({ "metadata": { "business_owner": unique } });
            let card = "tandem:self_monitoring:incident_monitor";
            if method == "POST" {
                admin.must("PUT", &filled(&template.replace("/sign-off", ""), card), &[], Some(stored.clone())).ok();
            }
            to(card, stored)
        }
        ("POST", "/incident-monitor/security/reassessments") => to("", json!({})),
        // A finding that is always there: nothing sets a retention period.
        ("PATCH", "/incident-monitor/security/findings/{fingerprint}") => {
            let checks = admin.get("/incident-monitor/security/posture-checks?rules=retention_unset").ok();
            to(&text(&checks["findings"][0]["fingerprint"]), json!({ "owner": unique }))
        }
        ("PUT", "/audit/exports/config") => to("", json!({ "enabled": false, "destination": { "kind": "directory" } })),
        ("PUT", "/audit/retention") => to("", json!({ "body_days": 3_650 })),
        ("POST", "/audit/holds") => to("", json!({ "reason": unique })),
        ("DELETE", "/audit/holds/{hold_id}") => {
            to(&text(&admin.post("/audit/holds", json!({ "reason": unique })).ok()["hold"]["hold_id"]), json!({}))
        }
        ("PUT", "/authority/{kind}/{id}") => {
            Some(Change { path: format!("/authority/agents/walked-{turn}"), body: json!({ "owner": "ada" }) })
        }
        ("DELETE", "/authority/{kind}/{id}") => {
            let path = format!("/authority/agents/walked-{turn}");
            admin.must("PUT", &path, &[], Some(json!({}))).ok();
            Some(Change { path, body: json!({}) })
        }
        // A heartbeat is bookkeeping.
        ("POST", "/authority/{kind}/{id}/seen") => None,
        ("POST", "/auth/tokens") => to("", json!({ "name": unique })),
        ("POST", "/auth/tokens/{id}/revoke") => {
            to(&text(&admin.post("/auth/tokens", json!({ "name": unique })).ok()["token"]["token_id"]), json!({}))
        }
        (method, path) => {
            panic!("{method} {path} has no entry here; say how it changes something, or that it does not")
        }
    }
}

/// The same for what governs automations.
fn governance_change(admin: &Client, template: &str, method: &str, turn: usize) -> Option<Change> {
    let to = |id: &str, body: Value| Some(Change { path: filled(template, id), body });
    let request = json!({
        "request_type": "capability_request", "target_resource": { "type": "agent", "id": "bot" },
        "rationale": "walked", "context": { "capability_key": "creates_agents" },
    });
    let filed = |by: &[(&str, &str)]| {
        let reply = admin.must("POST", "/governance/approvals", by, Some(request.clone()));
        text(&reply.ok()["approval"]["approval_id"])
    };
    let ada = [("x-tandem-actor-id", "ada"), ("x-tandem-request-source", "control_panel")];
    let bot = format!("bot-{turn}");
    match (method, template) {
        ("POST", "/governance/approvals") => to("", request.clone()),
        ("POST", "/governance/approvals/{approval_id}/cancel") => to(&filed(&ada), json!({})),
        ("POST", "/governance/approvals/{approval_id}/delegate") => to(&filed(&[]), json!({ "to": "grace" })),
        ("POST", "/governance/approvals/{approval_id}/approve" | "/governance/approvals/{approval_id}/deny") => {
            to(&filed(&[]), json!({ "notes": "looked at" }))
        }
        ("POST", "/governance/approvals/{approval_id}/consume") => {
            let asked = json!({
                "request_type": "external_post", "target_resource": { "type": "agent", "id": "bot" },
                "rationale": "walked", "action": "post",
            });
            let asked =
                text(&admin.must("POST", "/governance/approvals", &ada, Some(asked)).ok()["approval"]["approval_id"]);
            let grace = [("x-tandem-actor-id", "grace"), ("x-tandem-request-source", "control_panel")];
            admin.must("POST", &format!("/governance/approvals/{asked}/approve"), &grace, Some(json!({}))).ok();
            to(&asked, json!({ "action": "post" }))
        }
        ("PATCH", "/governance/limits") => to("", json!({ "approval_ttl_ms": 3_600_000 + turn })),
        ("PUT", "/governance/agents/{agent_id}") => to(&bot, json!({ "sponsor": "ada" })),
        ("POST", "/governance/agents/{agent_id}/pause") => to(&bot, json!({})),
        ("POST", "/governance/agents/{agent_id}/resume") => {
            admin.post(&format!("/governance/agents/{bot}/pause"), json!({})).ok();
            to(&bot, json!({}))
        }
        (method, path) => panic!("{method} {path} has no entry here"),
    }
}

/// The same for automations and their runs. Calls that the server does not offer change nothing; neither does a heartbeat,
/// which is bookkeeping.
fn automation_change(admin: &Client, template: &str, method: &str, unique: &str) -> Option<Change> {
    use crate::automations::{asked, claimed, made, spec};
    let to = |id: &str, body: Value| Some(Change { path: filled(template, id), body });
    let paused = |run: &str| admin.post(&format!("/automations/v2/runs/{run}/pause"), json!({})).ok();
    let fresh = || asked(admin, &made(admin, unique));
    let plain = json!({ "reason": "walked" });
    match template {
        "/automations/v2" => to("", spec(unique)),
        "/automations/v2/{id}" if method == "PATCH" => to(&made(admin, unique), json!({ "description": unique })),
        "/automations/v2/{id}/share" => to(&made(admin, unique), json!({ "visibility": "org" })),
        "/automations/v2/{id}" | "/automations/v2/{id}/run_now" | "/automations/v2/{id}/pause" => {
            to(&made(admin, unique), json!({}))
        }
        "/automations/v2/{id}/resume" => {
            let id = made(admin, unique);
            admin.post(&format!("/automations/v2/{id}/pause"), json!({})).ok();
            to(&id, json!({}))
        }
        "/automations/v2/runs/claim" => {
            fresh();
            to("", json!({ "claimant_id": unique }))
        }
        "/automations/v2/runs/reports" => {
            to("", json!({ "reports": [{ "run_id": fresh(), "report_id": "r", "usage": { "total_tokens": 1 } }] }))
        }
        "/automations/v2/runs/{run_id}/report" => {
            to(&fresh(), json!({ "report_id": "r", "usage": { "total_tokens": 1 } }))
        }
        "/automations/v2/runs/{run_id}/claim" => to(&fresh(), json!({ "claimant_id": unique })),
        "/automations/v2/runs/{run_id}/heartbeat" => None,
        "/automations/v2/runs/{run_id}/pause" | "/automations/v2/runs/{run_id}/cancel" => to(&fresh(), plain),
        "/automations/v2/runs/{run_id}/resume" | "/automations/v2/runs/{run_id}/recover" => {
            let run = fresh();
            paused(&run);
            to(&run, plain)
        }
        "/automations/v2/runs/{run_id}/gate" => {
            let run = fresh();
            let claim = claimed(admin, &run, 60_000);
            let wait = json!({ "report_id": "g", "claim_id": claim, "status": "awaiting_approval",
                "awaiting_gate": { "node_id": "a" } });
            admin.post(&format!("/automations/v2/runs/{run}/report"), wait).ok();
            to(&run, json!({ "decision": "approve" }))
        }
        "/automations/v2/{id}/grants" => to(&made(admin, unique), json!({ "granted_to_agent_id": "helper" })),
        "/automations/v2/{id}/grants/{grant_id}" => {
            let id = made(admin, unique);
            let person = [("x-tandem-actor-id", "ada"), ("x-tandem-request-source", "control_panel")];
            let grant = json!({ "granted_to_agent_id": "helper" });
            let grant = admin.must("POST", &format!("/automations/v2/{id}/grants"), &person, Some(grant)).ok();
            let path = format!("/automations/v2/{id}/grants/{}", text(&grant["grant"]["grant_id"]));
            Some(Change { path, body: json!({}) })
        }
        "/automations/v2/{id}/retire" => to(&made(admin, unique), json!({ "reason": "walked" })),
        "/automations/v2/{id}/extend" => {
            let soon = tandem_testkit::wait::now_ms() + 86_400_000;
            to(&made(admin, unique), json!({ "expires_at_ms": soon }))
        }
        "/automations/v2/{id}/restore" => {
            let id = made(admin, unique);
            admin.delete(&format!("/automations/v2/{id}")).ok();
            to(&id, json!({}))
        }
        path if ["/webhook-triggers", "/repair", "/tasks/"].iter().any(|part| path.contains(part)) => None,
        path => panic!("{method} {path} has no entry here; say how it changes something, or that it does not"),
    }
}

#[test]
fn every_change_leaves_a_row_with_its_author() {
    let hooks = tandem_testkit::Receiver::new();
    hooks.on("/broken", [tandem_testkit::Script::Status(400)]);
    let broken = bodies::webhook("broken", &hooks.url("/broken"));
    let mut base = bodies::merged(shop(), json!({ "destinations": [bodies::telemetry("local"), broken] }));
    // One that nobody reads, so that nothing but the walk writes rows.
    base["monitored_projects"][0]["log_sources"] =
        json!([{ "source_id": "shop", "path": "shop.log", "enabled": false }]);
    let (server, admin) = configured("rows", base.clone());
    let author = server.client().with("x-tandem-actor-id", "ada").with("x-tandem-request-source", "control_panel");
    let mut turn = 0;
    for (method, template) in operations(&server) {
        if method == "GET" || INTAKE.contains(&template.as_str()) {
            continue;
        }
        turn += 1;
        let Some(change) = change(&admin, &template, &method, turn) else { continue };
        // Nothing else writes rows: what goes on in the background has to have ended.
        let before = quiet(&admin);
        let request_id = format!("row-{turn}");
        let reply = author.must(&method, &change.path, &[("x-request-id", &request_id)], Some(change.body));
        assert!(reply.status < 300, "{method} {template}: {} {}", reply.status, reply.text());
        let rows = admin.get("/audit/protected?limit=20").ok();
        let rows = rows["events"].as_array().unwrap();
        let own: Vec<_> = rows.iter().filter(|row| row["seq"].as_u64() > Some(before)).collect();
        assert!(!own.is_empty(), "{method} {template} left no row");
        let named = own.iter().find(|row| row.to_string().contains(&request_id));
        let named = named.unwrap_or_else(|| panic!("{method} {template}: no row names the request: {own:?}"));
        assert!(named["actor"].to_string().contains("ada"), "{method} {template}: {named}");
        assert!(named["tenant_context"]["org_id"].is_string(), "{method} {template}: {named}");
        // What the change switched off is switched on again.
        crate::support::configure(&admin, base.clone());
    }
    assert!(turn > 40, "only {turn} changes");
    audit::assert_verified(&admin);
}

/// Waits until the log has stopped growing, and answers with its size.
fn quiet(admin: &Client) -> u64 {
    let mut last = (audit::last_seq(admin), std::time::Instant::now());
    tandem_testkit::until("the log is quiet", crate::support::SOON, || {
        let now = audit::last_seq(admin);
        if now != last.0 {
            last = (now, std::time::Instant::now());
        }
        (last.1.elapsed() > std::time::Duration::from_millis(120)).then_some(now)
    })
}

#[test]
fn both_names_reach_the_same_things() {
    let (server, admin) = configured("names", shop());
    let id = drafted(&admin, bodies::report("two names"));
    let old = admin.get(&format!("/bug-monitor/drafts/{id}")).ok();
    assert_eq!(old, admin.get(&format!("/incident-monitor/drafts/{id}")).ok());
    let config = admin.get("/config/bug-monitor").ok();
    assert_eq!(config["bug_monitor"], admin.get("/config/incident-monitor").ok()["incident_monitor"]);
    for wrapper in ["bug_monitor", "incident_monitor"] {
        let saved = admin.patch("/config/bug-monitor", json!({ wrapper: config["bug_monitor"] })).ok();
        assert!(saved["bug_monitor"].is_object(), "{saved}");
    }
    let paused = admin.ask("/bug-monitor/pause").ok();
    assert_eq!(paused["bug_monitor"], paused["incident_monitor"]);
    assert_eq!(paused["bug_monitor"]["paused"], json!(true));
    let (_, raw) = keyed(&admin, json!({ "scopes": ["bug_monitor:report"] }));
    let body = json!({ "project_id": "shop", "report": bodies::report("old reporter") });
    let reporter = server.stranger().with("x-tandem-bug-monitor-intake-key", &raw);
    reporter.post("/bug-monitor/intake/report", body.clone()).ok();
    reporter.post("/incident-monitor/intake/report", body).ok();
}
