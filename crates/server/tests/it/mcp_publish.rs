//! A tool of an MCP server as a destination: one call for one approved draft, and the truth about how it ended.

use serde_json::{Value, json};
use tandem_testkit::{Act, Client, Server, ToolServer, audit, bodies, tool_server::tool, until};

use crate::support::{SOON, configure, drafted, launch, publish, settled};

/// A server with one tool destination, ready to publish.
fn ready(name: &str, tools: &ToolServer, more: Value) -> (Server, Client) {
    let server = launch(name).start();
    let admin = server.client();
    admin.post("/mcp", json!({ "name": "gh", "transport": tools.url(), "allow_private_networks": true })).ok();
    let answer = admin.ask("/mcp/gh/connect").ok();
    assert_eq!(answer["ok"], json!(true), "{answer}");
    let mut destination = bodies::mcp_tool("tool", "gh", "file_ticket");
    destination["config"] = bodies::merged(destination["config"].clone(), more);
    configure(
        &admin,
        json!({ "destinations": [destination], "default_destination_ids": ["tool"], "triage_timeout_ms": 0 }),
    );
    (server, admin)
}

fn readiness(admin: &Client) -> Value {
    admin.get("/incident-monitor/status").ok()["status"]["destination_readiness"][0].clone()
}

fn post_of(admin: &Client, draft: &str) -> Value {
    let posts = admin.get("/incident-monitor/posts?limit=50").ok();
    let found = posts["posts"].as_array().unwrap().iter().find(|post| post["draft_id"] == draft).cloned();
    found.unwrap_or_else(|| panic!("no receipt for {draft}: {posts}"))
}

#[test]
fn a_draft_becomes_one_call_and_a_receipt_without_values() {
    let tools = ToolServer::new([tool("file_ticket")]);
    tools.on(
        "file_ticket",
        [Act::Result(json!({
            "content": [{ "type": "text", "text": "filed 17, token ghp_0123456789abcdefghijklmnopqrstuvwxyz" }],
            "_meta": { "trace": "t" },
        }))],
    );
    let (_server, admin) = ready("tool-once", &tools, json!({}));
    assert_eq!(readiness(&admin)["ready"], json!(true), "{}", readiness(&admin));
    let id = drafted(&admin, bodies::report("the ticket title"));
    publish(&admin, &id, json!({})).ok();
    settled(&admin, &id, "tool", "posted");
    let calls = tools.calls("file_ticket");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["title"], json!("the ticket title"));
    let post = post_of(&admin, &id);
    let receipt = &post["receipt"];
    assert_eq!(post["operation"], json!("call_mcp_tool"));
    assert_eq!(calls[0]["key"], post["idempotency_key"]);
    assert_eq!(receipt["namespaced_tool"], json!("mcp.gh.file_ticket"));
    assert_eq!(receipt["argument_keys"], json!(["body", "key", "title"]));
    assert_eq!(receipt["arguments_redacted"], json!(true));
    assert_eq!(receipt["result_metadata_keys"], json!(["trace"]));
    assert!(receipt["arguments_sha256"].as_str().is_some_and(|hash| hash.len() == 64));
    assert!(receipt["result_excerpt"].as_str().is_some_and(|text| text.starts_with("filed 17")));
    assert!(post["external_id"].as_str().is_some_and(|id| id.starts_with("bmmcp_")), "{post}");
    assert!(!post.to_string().contains("ghp_0123") && !post.to_string().contains("the ticket title"), "{post}");
    assert_eq!(crate::support::draft(&admin, &id)["status"], json!("mcp_tool_called"));
    // Again is no second call.
    let again = publish(&admin, &id, json!({})).ok();
    assert_eq!(again["action"], json!("skip_duplicate"), "{again}");
    assert_eq!(tools.calls("file_ticket").len(), 1);
    let recheck = admin.ask(&format!("/incident-monitor/drafts/{id}/recheck-match")).ok();
    assert_eq!(recheck["action"], json!("mcp_tool_record_found"));
    audit::assert_verified(&admin);
}

#[test]
fn a_tool_that_says_it_failed_has_failed() {
    let tools = ToolServer::new([tool("file_ticket")]);
    let (_server, admin) = ready("tool-fails", &tools, json!({ "timeout_ms": 5000 }));
    let shapes = [
        (Act::Error("quota exhausted".into()), "failed", "mcp_tool_error"),
        (Act::Rpc(-32602, "bad params".into()), "failed", "mcp_refused"),
        (Act::Rpc(-32603, "internal".into()), "unknown", "mcp_refused"),
        (Act::Raw("{\"nonsense\": true}".into()), "unknown", "mcp_answer_malformed"),
        (Act::Raw("not json".into()), "unknown", "mcp_answer_malformed"),
        (Act::Huge(3 << 20), "unknown", "mcp_answer_too_large"),
        (Act::Huge(9 << 20), "unknown", "mcp_answer_too_large"),
        (Act::Cut, "unknown", "connection_lost"),
        (Act::Status(503, vec![]), "unknown", "connection_lost"),
        (Act::Hang, "unknown", "timeout"),
    ];
    for (turn, (act, state, code)) in shapes.into_iter().enumerate() {
        let told = format!("{act:?}").chars().take(40).collect::<String>();
        tools.on("file_ticket", [act]);
        let before = tools.calls("file_ticket").len();
        let id = drafted(&admin, bodies::report_as(&format!("failure-{turn}")));
        publish(&admin, &id, json!({}));
        let delivery = settled(&admin, &id, "tool", state);
        assert_eq!(delivery["error_code"], json!(code), "{told}: {delivery}");
        assert_eq!(tools.calls("file_ticket").len(), before + 1, "{told}");
        assert_ne!(crate::support::draft(&admin, &id)["status"], json!("mcp_tool_called"), "{told}");
        // The connection works again for the next one.
        tandem_testkit::until("the server is connected", SOON, || {
            (admin.get("/mcp").ok()["gh"]["connected"] == json!(true)).then_some(())
        });
        // And so does a call, which also keeps the failures from opening the destination's breaker.
        tools.on("file_ticket", [Act::Result(json!({ "content": [{ "type": "text", "text": "filed" }] }))]);
        let well = drafted(&admin, bodies::report_as(&format!("between-{turn}")));
        publish(&admin, &well, json!({}));
        settled(&admin, &well, "tool", "posted");
    }
}

#[test]
fn a_missing_authorisation_is_said_as_such() {
    let tools = ToolServer::new([tool("file_ticket")]);
    let (_server, admin) = ready("tool-auth", &tools, json!({}));
    tools.on("file_ticket", [Act::Result(json!({ "content": [], "_meta": { "mcpAuth": { "required": true } } }))]);
    let id = drafted(&admin, bodies::report("authorise me"));
    publish(&admin, &id, json!({}));
    settled(&admin, &id, "tool", "blocked");
    assert_eq!(crate::support::draft(&admin, &id)["status"], json!("mcp_tool_auth_required"));
    let receipt = post_of(&admin, &id)["receipt"].clone();
    assert_eq!((&receipt["mcp_auth_required"], &receipt["mcp_auth_status"]), (&json!(true), &json!("blocked")));
}

#[test]
fn a_limit_is_waited_for_and_the_call_made_again() {
    let tools = ToolServer::new([tool("file_ticket")]);
    let (_server, admin) = ready("tool-limit", &tools, json!({}));
    tools.on("file_ticket", [Act::Status(429, vec![("retry-after", "1".into())]), Act::Text("filed".into())]);
    let id = drafted(&admin, bodies::report("limited"));
    publish(&admin, &id, json!({})).ok();
    settled(&admin, &id, "tool", "posted");
    assert_eq!(tools.calls("file_ticket").len(), 2);
}

#[test]
fn arguments_that_do_not_fit_are_never_sent() {
    let tools = ToolServer::new([tool("file_ticket")]);
    let (_server, admin) = ready("tool-schema", &tools, json!({ "payload": { "title": 7, "body": "$draft.detail" } }));
    let id = drafted(&admin, bodies::report("wrong shape"));
    publish(&admin, &id, json!({}));
    let delivery = settled(&admin, &id, "tool", "failed");
    assert_eq!(delivery["error_code"], json!("mcp_arguments_invalid"), "{delivery}");
    assert!(tools.calls("file_ticket").is_empty());
}

#[test]
fn a_tool_that_changed_in_use_publishes_nothing_until_it_is_accepted() {
    let tools = ToolServer::new([tool("file_ticket"), tool("other")]);
    let (_server, admin) = ready("tool-drift", &tools, json!({}));
    let mut changed = tool("file_ticket");
    changed["description"] = json!("Also sends a copy elsewhere.");
    let mut unused = tool("other");
    unused["description"] = json!("Different too.");
    tools.offer([changed, unused]);
    let refreshed = admin.ask("/mcp/gh/refresh").ok();
    assert_eq!(refreshed["server"]["changed_tools"].as_array().map(Vec::len), Some(1), "{refreshed}");
    assert_eq!(readiness(&admin)["missing_codes"], json!(["mcp_tool_changed"]));
    let id = drafted(&admin, bodies::report("after the change"));
    publish(&admin, &id, json!({})).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    assert!(tools.calls("file_ticket").is_empty());
    admin.ask("/mcp/gh/tools/file_ticket/accept").ok();
    assert_eq!(readiness(&admin)["ready"], json!(true));
    publish(&admin, &id, json!({})).ok();
    settled(&admin, &id, "tool", "posted");
    assert_eq!(tools.calls("file_ticket").len(), 1);
}

#[test]
fn a_kill_between_call_and_answer_ends_as_unknown_and_calls_once() {
    let tools = ToolServer::new([tool("file_ticket")]);
    let (mut server, admin) = ready("tool-kill", &tools, json!({ "timeout_ms": 30_000 }));
    tools.on("file_ticket", [Act::Hang]);
    let id = drafted(&admin, bodies::report("killed meanwhile"));
    std::thread::scope(|scope| {
        let (asking, path) = (server.client(), format!("/incident-monitor/drafts/{id}/publish"));
        // Its connection breaks with the server.
        scope.spawn(move || asking.json("POST", &path, &[], Some(json!({}))).is_err());
        tools.wait("file_ticket", 1, SOON);
        server.kill();
    });
    // The killed process holds the job for another minute and a half; the test does not wait for that.
    let database = rusqlite::Connection::open(crate::support::database(&server)).expect("the database opens");
    database.execute("UPDATE jobs SET ready_at_ms = 0", []).expect("the lease is ended");
    drop(database);
    server.restart();
    let admin = server.client();
    let delivery = settled(&admin, &id, "tool", "unknown");
    assert_eq!(delivery["error_code"], json!("outcome_unknown"), "{delivery}");
    assert_eq!(tools.calls("file_ticket").len(), 1);
    assert_eq!(post_of(&admin, &id)["status"], json!("unknown"));
}

#[test]
fn a_tool_that_may_be_called_twice_is_called_again() {
    let tools = ToolServer::new([tool("file_ticket")]);
    let (_server, admin) = ready("tool-twice", &tools, json!({ "idempotent": true, "timeout_ms": 1000 }));
    tools.on("file_ticket", [Act::Cut, Act::Text("filed".into())]);
    let id = drafted(&admin, bodies::report("once more"));
    publish(&admin, &id, json!({})).ok();
    settled(&admin, &id, "tool", "posted");
    let calls = tools.calls("file_ticket");
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0]["key"], calls[1]["key"]);
}

#[test]
fn a_server_that_was_disconnected_is_not_dialled_for_a_delivery() {
    let tools = ToolServer::new([tool("file_ticket")]);
    let (_server, admin) = ready("tool-ended", &tools, json!({}));
    let id = drafted(&admin, bodies::report("queued before the end"));
    tools.on("file_ticket", [Act::Status(429, vec![("retry-after", "1".into())]), Act::Text("filed".into())]);
    publish(&admin, &id, json!({}));
    admin.ask("/mcp/gh/disconnect").ok();
    let asked = tools.headers().len();
    let delivery = until("the retry finds no connection", SOON, || {
        let found = crate::support::deliveries(&admin, &id).remove(0);
        (found["error_code"] == "mcp_server_disconnected").then_some(found)
    });
    assert_eq!((tools.calls("file_ticket").len(), tools.headers().len()), (1, asked), "{delivery}");
    assert!(delivery.get("intent").is_none_or(Value::is_null), "nothing was announced: {delivery}");
    assert_eq!(admin.get("/mcp").ok()["gh"]["connected"], json!(false));
    // The next attempt is minutes away; connecting again does not leave it there.
    admin.ask("/mcp/gh/connect").ok();
    settled(&admin, &id, "tool", "posted");
    assert_eq!(tools.calls("file_ticket").len(), 2);
}

#[test]
fn a_server_that_is_switched_on_again_wakes_what_waited_for_it() {
    let tools = ToolServer::new([tool("file_ticket")]);
    let (_server, admin) = ready("tool-off", &tools, json!({}));
    let id = drafted(&admin, bodies::report("queued before it was switched off"));
    tools.on("file_ticket", [Act::Status(429, vec![("retry-after", "1".into())]), Act::Text("filed".into())]);
    publish(&admin, &id, json!({}));
    admin.patch("/mcp/gh", json!({ "enabled": false })).ok();
    until("the retry finds it switched off", SOON, || {
        let found = crate::support::deliveries(&admin, &id).remove(0);
        (found["error_code"] == "mcp_server_disabled" && found["state"] == "retrying").then_some(())
    });
    admin.patch("/mcp/gh", json!({ "enabled": true })).ok();
    settled(&admin, &id, "tool", "posted");
    assert_eq!(tools.calls("file_ticket").len(), 2);
}

#[test]
fn an_authorisation_that_can_be_renewed_again_wakes_what_waited_for_it() {
    let tools = ToolServer::new([tool("file_ticket")]);
    let (_server, admin) = ready("tool-renewed", &tools, json!({}));
    tools.demand("a-token-of-the-test");
    let begun = admin.post("/mcp/gh/auth", json!({})).ok();
    admin.post("/mcp/gh/auth/callback", json!({ "code": "the-code", "state": begun["state"] })).ok();
    let id = drafted(&admin, bodies::report("queued while it could be renewed"));
    tools.on("file_ticket", [Act::Status(429, vec![("retry-after", "1".into())]), Act::Text("filed".into())]);
    publish(&admin, &id, json!({})).ok();
    // The token has run out, and nobody is there to renew it.
    tools.down(true);
    until("the retry could not renew it", SOON, || {
        let found = crate::support::deliveries(&admin, &id).remove(0);
        (found["state"] == "retrying" && found["attempts"].as_array().map(Vec::len) == Some(2)).then_some(())
    });
    assert_eq!(tools.calls("file_ticket").len(), 1);
    tools.down(false);
    let begun = admin.post("/mcp/gh/auth", json!({})).ok();
    let done = admin.post("/mcp/gh/auth/callback", json!({ "code": "the-code", "state": begun["state"] })).ok();
    assert_eq!(done["ok"], json!(true), "{done}");
    settled(&admin, &id, "tool", "posted");
}

#[test]
fn a_tool_that_changed_behind_a_lost_connection_is_not_called() {
    let tools = ToolServer::new([tool("file_ticket")]);
    let (mut server, admin) = ready("tool-redial", &tools, json!({}));
    let first = drafted(&admin, bodies::report_as("before"));
    publish(&admin, &first, json!({})).ok();
    settled(&admin, &first, "tool", "posted");
    // Another process dials anew; the tool is another one by then.
    let second = drafted(&admin, bodies::report_as("behind"));
    tools.on("file_ticket", [Act::Status(429, vec![("retry-after", "2".into())]), Act::Text("filed".into())]);
    publish(&admin, &second, json!({}));
    server.terminate();
    let mut changed = tool("file_ticket");
    changed["description"] = json!("Also sends a copy elsewhere.");
    tools.offer([changed]);
    server.restart();
    let admin = server.client();
    until("the retry finds another tool", SOON, || {
        let found = crate::support::deliveries(&admin, &second).remove(0);
        (found["error_code"] == "mcp_tool_changed" && found["state"] == "retrying").then_some(())
    });
    assert_eq!(tools.calls("file_ticket").len(), 2);
    // Accepting it is what the delivery waited for.
    admin.ask("/mcp/gh/tools/file_ticket/accept").ok();
    settled(&admin, &second, "tool", "posted");
    assert_eq!(tools.calls("file_ticket").len(), 3);
}
