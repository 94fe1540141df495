use serde_json::{Value, json};

use super::*;

fn merged(mut base: Value, more: Value) -> Value {
    if let (Some(base), Value::Object(more)) = (base.as_object_mut(), more) {
        base.extend(more);
    }
    base
}

fn draft(more: Value) -> Draft {
    let base = json!({
        "draft_id": "failure-draft-0123456789abcdef0123456789abcdef",
        "fingerprint": "v2:0123456789abcdef0123456789abcdef",
        "repo": "acme/app", "status": "draft_ready", "created_at_ms": 1, "updated_at_ms": 1,
        "title": "Build failed", "detail": "reason: foo", "route_tags": ["a", "b"], "evidence_refs": ["log:1"],
    });
    serde_json::from_value(merged(base, more)).unwrap_or_else(|error| panic!("{error}"))
}

fn delivery() -> Delivery {
    serde_json::from_value(json!({
        "delivery_id": "bmwh_1", "draft_id": "d", "post_id": "p", "destination_id": "tool-1",
        "destination_kind": "mcp_tool", "target_ref": "mcp:s/t", "operation": "call_mcp_tool",
        "action": "call_mcp_tool", "mode": "manual_publish", "idempotency_key": "ab".repeat(32),
        "evidence_digest": "cd".repeat(32), "state": "pending", "max_attempts": 8, "attempts": [],
        "destination_digest": "x", "created_at_ms": 1, "updated_at_ms": 1,
    }))
    .unwrap_or_else(|error| panic!("{error}"))
}

fn rendered(mapping: Value, draft: &Draft) -> Arguments {
    let destination = destination_with(mapping);
    let map = read(&destination).unwrap_or_else(|error| panic!("{error:?}"));
    let delivery = delivery();
    let facts = Facts {
        draft,
        incident: None,
        delivery: &delivery,
        server: "s",
        tool: "t",
        namespaced_tool: "mcp.s.t",
        schema_hash: "ef",
    };
    render(map, &facts)
}

fn destination_with(payload: Value) -> Destination {
    let config = json!({ "payload": payload });
    Destination { config: config.as_object().cloned(), ..Destination::default() }
}

#[test]
fn only_whole_strings_are_placeholders() {
    let mapping = json!({
        "title": "$draft.title",
        "text": "see $draft.title",
        "nested": {"list": ["$draft.repo", 1, true, null, "x"]},
        "key": "$idempotency_key",
        "tags": "$draft.route_tags",
        "none": "$incident.id",
        "tool": "$mcp.namespaced_tool",
    });
    let arguments = rendered(mapping, &draft(json!({})));
    assert_eq!(
        Value::Object(arguments.values.clone()),
        json!({
            "title": "Build failed",
            "text": "see $draft.title",
            "nested": {"list": ["acme/app", 1, true, null, "x"]},
            "key": "ab".repeat(32),
            "tags": ["a", "b"],
            "none": null,
            "tool": "mcp.s.t",
        })
    );
    assert_eq!(arguments.keys(), ["key", "nested", "none", "tags", "text", "title", "tool"]);
    assert_eq!(arguments.sha256.len(), 64);
}

#[test]
fn text_of_a_report_is_redacted_and_never_read_as_a_placeholder() {
    let hostile = draft(json!({
        "title": "$draft.detail",
        "detail": "Authorization: Bearer ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    }));
    let arguments = rendered(json!({"title": "$draft.title", "body": "$draft.detail"}), &hostile);
    assert_eq!(arguments.values["title"], "$draft.detail");
    assert!(!arguments.values["body"].to_string().contains("ghp_0123"), "{arguments:?}");
    assert!(!arguments.redactions.is_empty());
}

#[test]
fn every_documented_placeholder_is_filled() {
    let draft = draft(json!({}));
    for (root, fields) in [("$draft", DRAFT), ("$destination", DESTINATION), ("$mcp", MCP)] {
        for field in fields {
            let source = rendered(json!({"x": format!("{root}.{field}")}), &draft);
            assert!(source.values.contains_key("x"), "{root}.{field}");
        }
    }
    let names = |value: Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys
    };
    let sorted = |fields: &[&str]| {
        let mut fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        fields.sort();
        fields
    };
    let delivery = delivery();
    let facts = Facts {
        draft: &draft,
        incident: None,
        delivery: &delivery,
        server: "s",
        tool: "t",
        namespaced_tool: "n",
        schema_hash: "h",
    };
    assert_eq!(names(super::draft(&facts)), sorted(DRAFT));
    assert_eq!(names(super::destination(&delivery)), sorted(DESTINATION));
}

#[test]
fn what_cannot_be_a_mapping_is_refused_before_anything_is_sent() {
    let deep = (0..20).fold(json!("x"), |inner, _| json!([inner]));
    for (payload, wanted) in [
        (json!(null), MappingError::Missing),
        (json!({}), MappingError::Missing),
        (json!("$draft.title"), MappingError::Missing),
        (json!({"a": "$draft.nope"}), MappingError::Unknown("$draft.nope".into())),
        (json!({"a": {"b": ["$"]}}), MappingError::Unknown("$".into())),
        (json!({"a": "$incident"}), MappingError::Unknown("$incident".into())),
        (json!({"a": "$env.HOME"}), MappingError::Unknown("$env.HOME".into())),
        (json!({"a": deep}), MappingError::TooDeep),
        (json!({"a": "x".repeat(70_000)}), MappingError::TooLarge),
    ] {
        assert_eq!(read(&destination_with(payload)).err(), Some(wanted));
    }
    let arguments = json!({"arguments": {"a": 1}});
    let alias = Destination { config: arguments.as_object().cloned(), ..Destination::default() };
    assert!(read(&alias).is_ok());
}
