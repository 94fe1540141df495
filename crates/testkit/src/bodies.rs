//! Configurations, destinations and reports as callers write them.

use serde_json::{Value, json};

/// The repository of all fixtures.
pub const REPO: &str = "acme/platform";
/// The variable that holds the signing secret of [`webhook`] destinations.
pub const SECRET_VARIABLE: &str = "IT_HOOK_SECRET";
pub const SECRET: &str = "it-signing-secret-1";

/// Puts the fields of `over` over those of `base`.
#[must_use]
pub fn merged(mut base: Value, over: Value) -> Value {
    if let (Some(base), Value::Object(over)) = (base.as_object_mut(), over) {
        base.extend(over);
    }
    base
}

/// An enabled monitor with one local telemetry destination as its default. Changes are no reason to assess it again, so
/// that the log holds what a test did and nothing else.
pub fn config(over: Value) -> Value {
    let base = json!({
        "enabled": true,
        "repo": REPO,
        "destinations": [telemetry("local")],
        "default_destination_ids": ["local"],
        "reassessment": { "change_triggers_enabled": false },
    });
    merged(base, over)
}

pub fn telemetry(id: &str) -> Value {
    json!({ "destination_id": id, "name": id, "kind": "telemetry" })
}

pub fn memory(id: &str) -> Value {
    json!({ "destination_id": id, "name": id, "kind": "internal_memory" })
}

/// A webhook on loopback, which must be allowed by name.
pub fn webhook(id: &str, url: &str) -> Value {
    json!({
        "destination_id": id,
        "name": id,
        "kind": "webhook",
        "webhook_url": url,
        "webhook_secret_ref": format!("env:{SECRET_VARIABLE}"),
        "config": { "allow_private_networks": true, "allow_insecure_http": true, "timeout_ms": 2000 },
    })
}

/// A call of a tool of a registered MCP server, with the draft's title and detail.
pub fn mcp_tool(id: &str, server: &str, tool: &str) -> Value {
    json!({
        "destination_id": id,
        "name": id,
        "kind": "mcp_tool",
        "mcp_server": server,
        "mcp_tool": tool,
        "config": {
            "allow_publish": true,
            "timeout_ms": 2000,
            "payload": { "title": "$draft.title", "body": "$draft.detail", "key": "$idempotency_key" },
        },
    })
}

/// A failure with enough evidence to become a draft.
pub fn report(title: &str) -> Value {
    json!({
        "title": title,
        "detail": format!("{title}: the worker gave up after the queue closed"),
        "component": "worker",
        "event": "job.failed",
        "level": "error",
        "excerpt": [format!("ERROR {title}"), "  at run (src/worker.rs:42)"],
    })
}

/// A failure that is the same as every other with this fingerprint.
pub fn report_as(fingerprint: &str) -> Value {
    merged(report("job failed"), json!({ "fingerprint": fingerprint }))
}

/// A project that scoped keys may report for.
pub fn project(id: &str, root: &str) -> Value {
    json!({ "project_id": id, "name": id, "repo": "acme/shop", "workspace_root": root })
}

/// The variable that holds the token of [`github`] and [`linear`] destinations.
pub const TOKEN_VARIABLE: &str = "IT_TRACKER_TOKEN";
pub const TRACKER_TOKEN: &str = "it-tracker-token-0123456789";

/// A GitHub destination on loopback, over its API.
pub fn github(id: &str, base: &str, config: Value) -> Value {
    tracker(id, "github_issue", base, config)
}

/// A Linear destination on loopback, over its API.
pub fn linear(id: &str, base: &str, config: Value) -> Value {
    merged(tracker(id, "linear_issue", base, config), json!({ "linear_team": "ENG", "linear_project": "Core" }))
}

fn tracker(id: &str, kind: &str, base: &str, config: Value) -> Value {
    let settings = json!({
        "token_ref": format!("env:{TOKEN_VARIABLE}"), "api_base": base, "allow_private_networks": true,
        "allow_insecure_http": true, "timeout_ms": 3000, "settle_ms": 500,
    });
    json!({ "destination_id": id, "name": id, "kind": kind, "config": merged(settings, config) })
}
