//! What the fields of a record are called, name by name and in the order in which they are asked.

use serde_json::{Value, json};

use super::*;

/// Where each list of names ends up.
const NAMES: [(&str, &[&str]); 14] = [
    ("message", &["message", "msg", "error", "exception.message"]),
    ("event", &["event", "event.name", "error.kind", "exception.type"]),
    ("component", &["component", "service", "logger", "target", "module"]),
    ("process", &["process", "process.name", "service"]),
    ("stack", &["stack", "stacktrace", "exception.stacktrace", "error.stack"]),
    (
        "actor",
        &[
            "actor",
            "actor_id",
            "actorID",
            "principal",
            "principal_id",
            "agent",
            "agent_id",
            "agentID",
            "user_id",
            "userID",
        ],
    ),
    ("model", &["model", "model_id", "modelID", "model.name", "llm.model"]),
    ("tool_name", &["tool", "tool_name", "toolName", "mcp_tool", "mcpTool", "action.tool"]),
    ("action", &["action", "operation", "tool_action", "toolAction", "intent"]),
    (
        "policy",
        &["policy", "policy_id", "policyID", "policy.name", "approval_policy", "approvalPolicy", "approval.policy"],
    ),
    ("approval_state", &["approval_state", "approvalState", "approval_status", "approvalStatus", "approval.status"]),
    ("risk_category", &["risk_category", "riskCategory", "risk_type", "riskType", "risk.category", "category"]),
    ("blast_radius", &["blast_radius", "blastRadius", "blast.radius", "impact", "scope"]),
    (
        "correlation",
        &["external_correlation_id", "externalCorrelationId", "external_id", "externalId", "external.correlation_id"],
    ),
];

fn field(found: &Found, name: &str) -> Option<String> {
    let safety = &found.safety;
    match name {
        "message" => Some(found.message.clone()),
        "event" => found.event.clone(),
        "component" => found.component.clone(),
        "process" => found.process.clone(),
        "stack" => found.stack.clone(),
        "actor" => safety.actor.clone(),
        "model" => safety.model.clone(),
        "tool_name" => safety.tool_name.clone(),
        "action" => safety.action.clone(),
        "policy" => safety.policy.clone(),
        "approval_state" => safety.approval_state.clone(),
        "risk_category" => safety.risk_category.clone(),
        "blast_radius" => safety.blast_radius.clone(),
        "correlation" => safety.external_correlation_ids.first().cloned(),
        other => panic!("no field {other}"),
    }
}

/// `a.b` as `{"a": {"b": …}}`.
fn nested(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |inner, part| json!({ part: inner }))
}

fn only(members: &[String]) -> Found {
    let text = format!("{{\"level\":\"error\",{}}}\n", members.join(","));
    let mut found = failures(&text);
    assert_eq!(found.len(), 1, "{text}");
    found.remove(0)
}

fn member(name: &str, value: &str, as_object: bool) -> String {
    let whole = if as_object { nested(name, value.into()) } else { json!({ name: value }) };
    let text = whole.to_string();
    text[1..text.len() - 1].to_owned()
}

#[test]
fn each_name_is_understood_flat_and_nested() {
    for (wanted, names) in NAMES {
        for name in names {
            for as_object in [false, true] {
                // A record that has no other words says its event.
                let beside = if matches!(wanted, "message") { "other" } else { "message" };
                let found = only(&[member(beside, "x", false), member(name, "the value", as_object)]);
                assert_eq!(field(&found, wanted).as_deref(), Some("the value"), "{wanted} as {name}");
            }
        }
    }
}

#[test]
fn of_two_names_the_one_that_is_asked_first_counts_wherever_it_stands() {
    for (wanted, names) in NAMES.into_iter().filter(|(wanted, _)| !matches!(*wanted, "message" | "stack")) {
        for pair in names.windows(2) {
            let (first, second) = (member(pair[0], "first", false), member(pair[1], "second", false));
            for order in [[first.clone(), second.clone()], [second, first]] {
                // The kind of an error is no event where it says what failed.
                let found = only(&[&[member("message", "m", false)], &order[..]].concat());
                assert_eq!(field(&found, wanted).as_deref(), Some("first"), "{wanted}: {order:?}");
            }
        }
    }
}

#[test]
fn identifiers_come_as_lists_as_text_and_alone() {
    let found =
        only(&[r#""external_id":"T-9""#.to_owned(), r#""external":{"correlationIds":["T-1","T-2"]}"#.to_owned()]);
    assert_eq!(found.safety.external_correlation_ids, ["T-1", "T-2", "T-9"]);
    let found = only(&[r#""externalIds":"T-1, T-2""#.to_owned()]);
    assert_eq!(found.safety.external_correlation_ids, ["T-1", "T-2"]);
    let many: Vec<String> = (0..30).map(|n| format!("T-{n}")).collect();
    let found = only(&[format!("\"external_ids\":{}", json!(many))]);
    assert_eq!(found.safety.external_correlation_ids, many[..20]);
}

#[test]
fn what_is_said_of_who_acted_is_bounded() {
    let long = "é".repeat(300);
    let names = ["actor", "model", "tool", "action", "policy", "approval_state", "risk_category", "blast_radius"];
    let found = only(&names.map(|name| member(name, &long, false)));
    for (name, most) in [("actor", 160), ("approval_state", 120), ("risk_category", 120), ("blast_radius", 240)] {
        let value = field(&found, name).unwrap_or_default();
        assert!(value.len() <= most + 14 && value.len() > most - 4, "{name}: {}", value.len());
    }
}

#[test]
fn a_record_without_words_says_its_own_line_and_its_event_is_the_usual_one() {
    let found = only(&[member("customer", "c-9", false)]);
    assert_eq!(found.message, r#"{"level":"error","customer":"c-9"}"#);
    assert_eq!(found.submission().event.as_deref(), Some("log.error"));
}
