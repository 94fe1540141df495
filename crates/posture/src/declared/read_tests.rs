use serde_json::json;

use super::*;

const CANARY: &str = "cNrY7tQ2zKp9WvXs4LmB6hJd";

fn said(body: Value) -> Said {
    read(DeclaredKind::Runtime, "desk", serde_json::from_value(body).unwrap()).unwrap()
}

fn refused(body: Value) -> String {
    let failure = read(DeclaredKind::Runtime, "desk", serde_json::from_value(body).unwrap()).unwrap_err();
    assert_eq!(failure.code, Code::DeclarationInvalid);
    failure.extra["field"].as_str().unwrap().to_owned()
}

#[test]
fn values_never_stay() {
    let said = said(json!({
        "name": format!("password={CANARY}"),
        "description": format!("uses Authorization: Bearer {CANARY} for all"),
        "locator": format!("https://user:{CANARY}@host.example/{CANARY}?k={CANARY}"),
        "steps": [{ "id": "a", "action": "fetch", "with": { "url": CANARY, "api_key": { "deep": CANARY } } }],
        "hooks": [{ "event": "failed", "actions": [{ "action": "tell", "parameters": [CANARY] }, { "action": "x", "with": CANARY }] }],
        "tool_allowlist": [format!("Bash(curl -H 'Authorization: Bearer {CANARY}')")],
        "servers": [
            { "name": "one", "command": format!("TOKEN={CANARY} /opt/bin/run --token {CANARY}"), "args": [CANARY], "env": { "API_KEY": CANARY } },
            { "name": "two", "type": "sse", "url": format!("https://u:{CANARY}@mcp.example:8443/{CANARY}?t={CANARY}"), "headers": { "Authorization": CANARY } },
            { "name": "three", "transport": "http", "target": format!("mcp.example/{CANARY}"), "env": [format!("B={CANARY}"), format!("C: {CANARY}")] },
            { "name": "four", "command": ["npx", CANARY] },
        ],
        "unknown": CANARY,
    }));
    let kept = serde_json::to_string(&said.spec).unwrap();
    assert!(!kept.contains(CANARY), "{kept}");
    assert!(said.spec.hooks[0].actions[0].has_parameters);
    let servers: Vec<_> = said.spec.servers.iter().map(|s| (s.transport.as_str(), s.target.as_deref())).collect();
    let wanted =
        [("stdio", Some("run")), ("sse", Some("mcp.example")), ("http", Some("mcp.example")), ("stdio", Some("npx"))];
    assert_eq!(servers, wanted);
    assert_eq!(said.spec.servers[2].secret_keys, ["B", "C"]);
    assert_eq!(said.spec.steps[0].parameter_keys, ["api_key", "url"]);
    assert!(said.spec.hooks[0].actions[1].has_parameters);
    assert_eq!(said.spec.locator.as_deref(), Some("host.example"));
}

#[test]
fn reading_what_was_kept_gives_the_same() {
    let first = said(json!({
        "name": " Desk ", "description": "x".repeat(5_000), "owner": "ada", "locator": "repo/.mcp.json",
        "source": { "kind": "pack", "packId": "p", "path": "https://packs.example/p?token=1" },
        "steps": [{ "action": "a", "with": { "k": 1 } }, { "stepId": "b", "parameters": {} }],
        "hooks": [{ "bindingId": "h", "event": "e", "enabled": false, "actions": [{ "action": "x", "with": 7 }] }],
        "toolAllowlist": ["read", "read", " "], "tool_denylist": ["rm"],
        "servers": [{ "name": "s", "url": "https://mcp.example/x", "allowedTools": [] }, { "name": "t", "command": "npx -y x" },
            { "name": "u", "type": "streamable-http", "target": "mcp.example" }],
        "approvalPolicy": "always", "related": ["agent:planner"], "staleAfterMs": 60_000, "origin": "scan",
    }));
    let mut again = json!(first.spec);
    again["stale_after_ms"] = 60_000.into();
    again["origin"] = "scan".into();
    assert_eq!(said(again), first);
    assert_eq!(first.spec.tool_allowlist, Some(vec!["read".to_owned()]));
    assert_eq!(first.spec.servers[0].allowed_tools, Some(Vec::new()));
}

#[test]
fn bounds_are_named() {
    let many = |count: usize| vec![json!("x"); count];
    let cases = [
        ("owner", json!({ "owner": "x".repeat(301) })),
        ("steps", json!({ "steps": vec![json!({}); 501] })),
        ("hooks", json!({ "hooks": vec![json!({}); 201] })),
        ("hooks.actions", json!({ "hooks": [{ "actions": vec![json!({}); 101] }] })),
        ("tool_allowlist", json!({ "tool_allowlist": many(1_001) })),
        ("tool_denylist", json!({ "tool_denylist": ["x".repeat(301)] })),
        ("servers", json!({ "servers": vec![json!({}); 201] })),
        ("servers.secret_keys", json!({ "servers": [{ "secret_keys": many(201) }] })),
        ("related", json!({ "related": ["planner"] })),
        ("related", json!({ "related": ["robot:planner"] })),
        ("stale_after_ms", json!({ "stale_after_ms": 5 })),
    ];
    for (field, body) in cases {
        assert_eq!(refused(body), field);
    }
    assert_eq!(said(json!({})).spec.name, "desk");
}

#[test]
fn ids() {
    for good in ["a", "claude.repo:packages-web", "team@example.org", &"x".repeat(200)] {
        assert!(valid_id(good), "{good}");
    }
    let secret = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    for bad in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(201), secret.as_str()] {
        assert!(!valid_id(bad), "{bad}");
    }
}

#[test]
fn programs() {
    let cases = [
        ("npx -y x", Some("npx")),
        ("/usr/bin/node server.js", Some("node")),
        ("A=b B=c /bin/run", Some("run")),
        ("C:\\tools\\run.exe", Some("run.exe")),
        ("A=b", None),
        ("  ", None),
    ];
    for (command, found) in cases {
        assert_eq!(program(command).as_deref(), found, "{command}");
    }
}
