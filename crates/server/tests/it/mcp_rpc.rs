//! This server as an MCP server: what agents can do through it, and what nobody can.

use serde_json::{Value, json};
use tandem_testkit::{Client, Reply, bodies};

use crate::support::{KEY_HEADER, configured, drafted, keyed, text};

const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");

fn send(client: &Client, message: Value) -> Reply {
    client.must("POST", "/mcp/rpc", &[ACCEPT], Some(message))
}

#[track_caller]
fn ask(client: &Client, method: &str, params: Value) -> Value {
    let answer = send(client, json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })).ok();
    assert_eq!(answer["id"], json!(7), "{answer}");
    answer
}

#[track_caller]
fn call(client: &Client, tool: &str, arguments: Value) -> Value {
    ask(client, "tools/call", json!({ "name": tool, "arguments": arguments }))["result"].clone()
}

#[test]
fn an_agent_reports_reads_and_previews() {
    let (_server, admin) = configured("rpc-tools", json!({ "require_approval_for_new_issues": true }));
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let hello = ask(
            &admin,
            "initialize",
            json!({
                "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "it", "version": "1" },
            }),
        );
        assert_eq!(hello["result"]["protocolVersion"], json!(version), "{hello}");
        assert_eq!(hello["result"]["serverInfo"]["name"], json!("tandem"));
    }
    let started = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(send(&admin, started).status, 202);
    let tools = ask(&admin, "tools/list", json!({}))["result"]["tools"].clone();
    let names: Vec<&str> = tools.as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str()).collect();
    for name in ["incident_monitor_status", "incident_monitor_report", "mcp_request_capability", "governance_approvals"]
    {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("approve") || name.contains("deny") || name.contains("publish")));

    let reported = call(&admin, "incident_monitor_report", bodies::report("from an agent"));
    assert_eq!(reported["isError"], json!(false), "{reported}");
    let draft_id = text(&reported["structuredContent"]["draft"]["draft_id"]);
    let incident_id = text(&reported["structuredContent"]["incident"]["incident_id"]);
    let same: Value = serde_json::from_str(reported["content"][0]["text"].as_str().unwrap_or_default()).unwrap();
    assert_eq!(same, reported["structuredContent"]);
    let read = call(&admin, "incident_monitor_get_incident", json!({ "incident_id": incident_id }));
    assert_eq!(read["structuredContent"]["incident"]["incident_id"], json!(incident_id));
    let waiting = call(&admin, "incident_monitor_list_drafts", json!({ "status": "approval_required", "limit": 5 }));
    assert_eq!(waiting["structuredContent"]["drafts"][0]["draft_id"], json!(draft_id));
    let draft = call(&admin, "incident_monitor_get_draft", json!({ "draft_id": draft_id }));
    assert_eq!(draft["structuredContent"]["draft"]["draft_id"], json!(draft_id));
    let preview = call(&admin, "incident_monitor_route_preview", json!({ "draft_id": draft_id }));
    assert_eq!(preview["structuredContent"]["approval_required"], json!(true), "{preview}");
    let status = call(&admin, "incident_monitor_status", json!({}));
    assert_eq!(status["structuredContent"]["status"]["pending_drafts"], json!(1));
    let incidents = call(&admin, "incident_monitor_list_incidents", json!({}));
    assert_eq!(incidents["structuredContent"]["count"], json!(1));
}

#[test]
fn a_refusal_is_the_routes_own() {
    let (_server, admin) = configured("rpc-refusals", json!({}));
    let unknown = call(&admin, "incident_monitor_get_draft", json!({ "draft_id": "failure-draft-none" }));
    assert_eq!(unknown["isError"], json!(true));
    assert_eq!(unknown["structuredContent"]["code"], json!("INCIDENT_MONITOR_DRAFT_NOT_FOUND"));
    let outside = call(&admin, "incident_monitor_get_draft", json!({ "draft_id": "../../config/incident-monitor" }));
    assert_eq!(outside["isError"], json!(true), "{outside}");
    assert_eq!(call(&admin, "incident_monitor_get_draft", json!({}))["isError"], json!(true));
    let wrong = call(&admin, "incident_monitor_report", json!({ "title": 7 }));
    assert_eq!(wrong["structuredContent"]["code"], json!("VALIDATION_FAILED"), "{wrong}");
    let none = ask(&admin, "tools/call", json!({ "name": "incident_monitor_approve", "arguments": {} }));
    assert_eq!(none["error"]["code"], json!(-32602), "{none}");
    assert_eq!(ask(&admin, "no/such", json!({}))["error"]["code"], json!(-32601));
}

#[test]
fn the_agent_of_a_credential_stays_that_agent() {
    let (server, admin) = configured("rpc-agent", json!({ "require_approval_for_new_issues": true }));
    let made = admin.post("/auth/tokens", json!({ "name": "agent", "agent_id": "agent-7" })).ok();
    let agent = server.stranger().bearer(&text(&made["raw_token"]));
    // No header makes it somebody else.
    let agent = agent.with("x-tandem-request-source", "control_panel").with("x-tandem-actor-id", "ada");
    call(&agent, "incident_monitor_report", bodies::report("agent's own"));
    let rows = admin.get("/audit/protected?limit=20").ok();
    let rows = rows["events"].as_array().unwrap();
    let detected = rows.iter().find(|row| row["event_type"] == "incident_monitor.incident.detected").cloned();
    let actor = detected.unwrap_or_default()["actor"].clone();
    assert_eq!((&actor["kind"], &actor["actor_id"]), (&json!("agent"), &json!("agent-7")), "{actor}");
}

#[test]
fn only_full_tokens_and_only_our_names_and_pages() {
    let (server, admin) =
        configured("rpc-door", json!({ "monitored_projects": [bodies::project("shop", "/srv/shop")] }));
    let (_, raw) = keyed(&admin, json!({}));
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    send(&server.stranger(), hello.clone()).refused(401, "AUTH_REQUIRED");
    send(&server.stranger().bearer(&raw), hello.clone()).refused(401, "AUTH_REQUIRED");
    send(&server.stranger().with(KEY_HEADER, &raw), hello.clone()).refused(401, "AUTH_REQUIRED");
    for (name, value) in [
        ("host", "rebound.example.com"),
        ("host", "127.0.0.1.example.com:39731"),
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
    ] {
        let reply = admin.must("POST", "/mcp/rpc", &[ACCEPT, (name, value)], Some(hello.clone()));
        assert_eq!((reply.status, reply.code().as_str()), (403, "MCP_ORIGIN_DENIED"), "{name}: {value}");
    }
    let page = ("origin", "http://localhost:3000");
    let local = admin.must("POST", "/mcp/rpc", &[ACCEPT, ("host", "localhost:1"), page], Some(hello.clone()));
    assert_eq!(local.status, 200, "{}", local.text());
    admin.post("/mcp/rpc", hello.clone()).refused(406, "VALIDATION_FAILED");
    for body in ["", "not json", "{}", "[]", "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}"] {
        let reply = admin.send("POST", "/mcp/rpc", &[ACCEPT, ("content-type", "application/json")], body.as_bytes());
        let status = reply.map(|reply| reply.status).unwrap_or_default();
        assert!((400..500).contains(&status), "{body}: {status}");
    }
    for method in ["GET", "DELETE"] {
        admin.must(method, "/mcp/rpc", &[ACCEPT], None).refused(405, "METHOD_NOT_ALLOWED");
    }
}

#[test]
fn the_newest_revision_needs_no_handshake() {
    let (_server, admin) = configured("rpc-newest", json!({}));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "it", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let message = |method: &str, more: Value| {
        let params = bodies::merged(json!({ "_meta": meta }), more);
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
    };
    let headers = |method: &'static str| [ACCEPT, ("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
    let found =
        admin.must("POST", "/mcp/rpc", &headers("server/discover"), Some(message("server/discover", json!({})))).ok();
    assert!(found["result"]["supportedVersions"].to_string().contains("2026-07-28"), "{found}");
    let listed = admin.must("POST", "/mcp/rpc", &headers("tools/list"), Some(message("tools/list", json!({})))).ok();
    assert!(listed["result"]["tools"].as_array().is_some_and(|tools| tools.len() > 8), "{listed}");
    let id = drafted(&admin, bodies::report("newest"));
    let body = message("tools/call", json!({ "name": "incident_monitor_get_draft", "arguments": { "draft_id": id } }));
    let name = [
        ACCEPT,
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "incident_monitor_get_draft"),
    ];
    let read = admin.must("POST", "/mcp/rpc", &name, Some(body)).ok();
    assert_eq!(read["result"]["structuredContent"]["draft"]["draft_id"], json!(id), "{read}");
}
