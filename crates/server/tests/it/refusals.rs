//! A destination that says no: what is believed at once, with its words, and what can be delivered again by hand.

use serde_json::{Value, json};
use tandem_testkit::{
    Act, Client, Fault, Server, ToolServer, Tracker, audit,
    bodies::{self, TOKEN_VARIABLE, TRACKER_TOKEN},
};

use crate::support::{configure, deliveries, drafted, launch, publish, settled, text};

fn with(name: &str, destination: Value) -> (Server, Client) {
    let server = launch(name).env(TOKEN_VARIABLE, TRACKER_TOKEN).start();
    let client = server.client();
    let ids = json!([destination["destination_id"]]);
    configure(&client, json!({ "default_destination_ids": ids, "destinations": [destination] }));
    (server, client)
}

fn tool(name: &str, properties: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> = properties.iter().map(|p| ((*p).to_owned(), json!({}))).collect();
    json!({ "name": name, "description": name, "inputSchema": { "type": "object", "properties": properties } })
}

fn said(value: &Value) -> Act {
    Act::Text(value.to_string())
}

/// GitHub's tools, with nothing to be found in them, and a server whose only destination they are.
fn over_tools(name: &str) -> (ToolServer, Server, Client) {
    let tools = ToolServer::new([
        tool("list_issues", &["owner", "repo", "since", "perPage", "page"]),
        tool("issue_read", &["method", "owner", "repo", "issue_number", "perPage", "page"]),
        tool("issue_write", &["method", "owner", "repo", "title", "body", "labels", "issue_number", "state"]),
        tool("add_issue_comment", &["owner", "repo", "issue_number", "body"]),
        tool("search_issues", &["query", "perPage"]),
    ]);
    tools.on("search_issues", [said(&json!({ "total_count": 0, "items": [] }))]);
    tools.on("list_issues", [said(&json!([]))]);
    let server = launch(name).start();
    let client = server.client();
    client.post("/mcp", json!({ "name": "gh", "transport": tools.url(), "allow_private_networks": true })).ok();
    client.ask("/mcp/gh/connect").ok();
    let destination = json!({
        "destination_id": "gh", "name": "gh", "kind": "github_issue", "mcp_server": "gh",
        "config": { "timeout_ms": 3000, "settle_ms": 500 },
    });
    configure(&client, json!({ "default_destination_ids": ["gh"], "destinations": [destination] }));
    (tools, server, client)
}

#[track_caller]
fn redelivered(client: &Client, delivery: &Value) {
    let id = text(&delivery["delivery_id"]);
    client.ask(&format!("/incident-monitor/deliveries/{id}/redeliver")).ok();
}

#[test]
fn a_tool_that_says_why_it_refuses_is_asked_once_and_by_hand_again() {
    let (tools, _server, client) = over_tools("refusal-final");
    let why = "failed to create issue: POST https://api.github.com/repos/a/b/issues: 422 Validation Failed []";
    tools.on("issue_write", [Act::Error(why.into())]);
    let id = drafted(&client, bodies::report("never"));
    publish(&client, &id, json!({}));
    let dead = settled(&client, &id, "gh", "failed");
    assert_eq!(dead["error_code"], json!("tracker_refused"), "{dead}");
    assert!(text(&dead["error"]).contains("422 Validation Failed"), "{dead}");
    assert_eq!((&dead["next_attempt_at_ms"], &dead["max_attempts"]), (&Value::Null, &json!(8)), "{dead}");
    assert_eq!(tools.calls("issue_write").len(), 1, "what is refused for good is not sent again");
    assert!(!tools.calls("list_issues").is_empty(), "and is believed after a look only");
    tools.on("issue_write", [said(&json!({ "id": "9", "url": "https://github.com/acme/platform/issues/13" }))]);
    redelivered(&client, &dead);
    settled(&client, &id, "gh", "posted");
    assert_eq!((tools.calls("issue_write").len(), deliveries(&client, &id).len()), (2, 2));
    audit::assert_verified(&client);
}

#[test]
fn a_look_that_is_refused_for_good_leaves_an_unknown_outcome_at_once() {
    let (tools, _server, client) = over_tools("refusal-look");
    tools.on("issue_write", [Act::Cut]);
    tools.on("list_issues", [Act::Error("403 Resource not accessible by personal access token".into())]);
    let id = drafted(&client, bodies::report("was it made"));
    publish(&client, &id, json!({}));
    let dead = settled(&client, &id, "gh", "unknown");
    assert!(text(&dead["error"]).contains("not accessible"), "{dead}");
    assert_eq!(tools.calls("issue_write").len(), 1);
    // By hand it is looked for first, and found.
    let body = tools.calls("issue_write")[0]["body"].clone();
    tools.on("list_issues", [said(&json!([{ "number": 3, "title": "t", "state": "open", "body": body }]))]);
    redelivered(&client, &dead);
    settled(&client, &id, "gh", "posted");
    assert_eq!(tools.calls("issue_write").len(), 1);
}

#[test]
fn a_search_that_is_refused_for_good_sends_nothing_and_is_not_repeated() {
    let (tools, _server, client) = over_tools("refusal-search");
    tools.on("search_issues", [Act::Error("401 Bad credentials".into())]);
    let id = drafted(&client, bodies::report("not even looked"));
    publish(&client, &id, json!({})).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    let dead = settled(&client, &id, "gh", "failed");
    assert_eq!(dead["error_code"], json!("mcp_tool_error"), "{dead}");
    assert_eq!((tools.calls("search_issues").len(), tools.calls("issue_write").len()), (1, 0));
}

#[test]
fn an_api_that_refuses_the_look_leaves_an_unknown_outcome_and_one_issue() {
    let tracker = Tracker::github();
    tracker.fail("create", [Fault::ActAndCut]);
    tracker.fail("list", (0..20).map(|_| Fault::status(401)));
    let (_server, client) = with("refusal-api", bodies::github("gh", &tracker.base(), json!({})));
    let id = drafted(&client, bodies::report("token ran out between"));
    publish(&client, &id, json!({}));
    let dead = settled(&client, &id, "gh", "unknown");
    assert_eq!(dead["error_code"], json!("token_refused"), "{dead}");
    tracker.heal();
    redelivered(&client, &dead);
    settled(&client, &id, "gh", "posted");
    assert_eq!((tracker.issues().len(), tracker.asked("create").len()), (1, 1));
}

#[test]
fn a_tool_that_may_be_called_twice_is_waited_for_where_its_words_are_worth_it() {
    for (name, words, calls) in [("passing", "upstream timed out", 2), ("final", "no such project", 1)] {
        let tools = ToolServer::new([tandem_testkit::tool_server::tool("file_ticket")]);
        let server = launch(&format!("refusal-twice-{name}")).start();
        let client = server.client();
        client.post("/mcp", json!({ "name": "gh", "transport": tools.url(), "allow_private_networks": true })).ok();
        client.ask("/mcp/gh/connect").ok();
        let mut destination = bodies::mcp_tool("tool", "gh", "file_ticket");
        destination["config"]["idempotent"] = json!(true);
        let over = json!({ "destinations": [destination], "default_destination_ids": ["tool"] });
        configure(&client, bodies::merged(over, json!({ "triage_timeout_ms": 0 })));
        tools.on("file_ticket", [Act::Error(words.into()), Act::Text("filed".into())]);
        let id = drafted(&client, bodies::report(name));
        publish(&client, &id, json!({}));
        settled(&client, &id, "tool", if calls == 2 { "posted" } else { "failed" });
        assert_eq!(tools.calls("file_ticket").len(), calls, "{words}");
    }
}
