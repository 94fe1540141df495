//! `tandem scan`: a tree is read without following or running anything, printed, and declared.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use tandem_testkit::{Scratch, server::TOKEN};

use crate::support::{all, launch};

const CANARY: &str = "cNrY7tQ2zKp9WvXs4LmB6hJd";

fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().expect("a parent")).expect("creates");
    fs::write(file, text.replace("CANARY", CANARY)).expect("writes");
}

fn tree(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let root = scratch.join("shop");
    write(
        &root,
        ".mcp.json",
        r#"{"mcpServers":{"gh":{"command":"./touch-me CANARY","env":{"GH_TOKEN":"CANARY"}},"web":{"url":"https://mcp.example/CANARY"}}}"#,
    );
    write(&root, ".claude/agents/reviewer.md", "---\nname: reviewer\ntools: Read, Grep\n---\npassword=CANARY\n");
    write(&root, "crew/config/agents.yaml", "planner:\n  role: Planner\n  goal: token=CANARY\n");
    write(&root, "node_modules/x/.mcp.json", r#"{"mcpServers":{"hidden":{"command":"x"}}}"#);
    scratch
}

fn scan(root: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tandem")).arg("scan").arg(root).args(more).output().expect("runs")
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_tree_is_told_without_its_secrets() {
    let scratch = tree("scan-told");
    let root = scratch.join("shop");
    let (code, out, err) = said(&scan(&root, &[]));
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("claude.shop:reviewer") && out.contains("tools: Read, Grep"), "{out}");
    assert!(out.contains("gh (stdio touch-me)  given: GH_TOKEN") && out.contains("web (http mcp.example)"), "{out}");
    assert!(out.contains("3 declared things in 3 files"), "{out}");
    assert!(!out.contains(CANARY) && !out.contains("hidden"), "{out}");
    let (_, out, _) = said(&scan(&root, &["--json", "--name", "repo"]));
    let found: Value = serde_json::from_str(&out).expect("JSON");
    let ids: Vec<_> = found["declared"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    assert_eq!(json!(ids), json!(["claude.repo:reviewer", "crewai.repo.crew:planner", "claude.repo"]));
    assert!(!out.contains(CANARY));
}

#[test]
fn broken_files_links_and_pipes_are_named_and_the_rest_goes_on() {
    let scratch = tree("scan-broken");
    let root = scratch.join("shop");
    write(scratch.path(), "outside/.mcp.json", r#"{"mcpServers":{"outside":{"command":"x"}}}"#);
    symlink(scratch.join("outside"), root.join("linked")).expect("links");
    fs::create_dir_all(root.join(".cursor")).expect("creates");
    symlink(scratch.join("outside/.mcp.json"), root.join(".cursor/mcp.json")).expect("links");
    write(&root, ".gemini/settings.json", "{\"key\": \"CANARY");
    write(&root, ".codex/config.toml", &"x".repeat(2 << 20));
    fs::write(root.join("langgraph.json"), b"\xff\xfe").expect("writes");
    fs::create_dir_all(root.join(".vscode")).expect("creates");
    assert!(Command::new("mkfifo").arg(root.join(".vscode/mcp.json")).status().expect("runs").success());
    let (code, out, err) = said(&scan(&root, &[]));
    assert_eq!(code, Some(1), "{out} {err}");
    assert!(
        out.contains("3 declared things") && out.contains("1 links to configuration files were not followed"),
        "{out}"
    );
    for broken in [".gemini/settings.json", ".codex/config.toml", "langgraph.json"] {
        assert!(err.contains(broken), "{broken}: {err}");
    }
    assert!(!out.contains("outside") && !format!("{out}{err}").contains(CANARY), "{out} {err}");
    let (code, _, err) = said(&scan(&root.join("absent"), &[]));
    assert_eq!(code, Some(2), "{err}");
}

#[test]
fn what_was_found_is_declared_and_a_second_scan_changes_nothing() {
    let server = launch("scan-register").start();
    let admin = server.client();
    let scratch = tree("scan-register-tree");
    let root = scratch.join("shop");
    fs::write(scratch.join("token"), format!("{TOKEN}\n")).expect("writes");
    let (address, token) = (format!("http://{}", server.address), scratch.join("token").display().to_string());
    let register = ["--register", "--server", &address, "--token-file", &token];
    let (code, out, err) = said(&scan(&root, &register));
    assert_eq!(code, Some(0), "{out} {err}");
    assert_eq!(out.matches("declared   ").count(), 3, "{out}");
    let (code, out, _) = said(&scan(&root, &register));
    assert_eq!((code, out.matches("unchanged ").count()), (Some(0), 3), "{out}");
    let rows = all(&admin, "/audit/protected?event_type=authority.declared.created", "events");
    assert_eq!(rows.len(), 3);
    let runtime = admin.get("/authority/runtimes/claude.shop").ok()["declared"].clone();
    assert_eq!((&runtime["origin"], &runtime["servers"][0]["target"]), (&json!("scan"), &json!("touch-me")));
    let everything =
        admin.get("/incident-monitor/security/authority-inventory").text() + &admin.get("/audit/protected").text();
    assert!(!everything.contains(CANARY));

    // A token that is refused, a server that is not there, a file that is none.
    fs::write(scratch.join("wrong"), "wrong-token").expect("writes");
    let wrong = scratch.join("wrong").display().to_string();
    let (code, _, err) = said(&scan(&root, &["--register", "--server", &address, "--token-file", &wrong]));
    assert!(code == Some(1) && err.contains("401 AUTH_REQUIRED") && !err.contains("wrong-token"), "{err}");
    let (code, _, err) = said(&scan(&root, &["--register", "--server", "http://127.0.0.1:9", "--token-file", &token]));
    assert_eq!(code, Some(2), "{err}");
    let (code, _, err) = said(&scan(&root, &["--register", "--server", &address, "--token-file", "/no/such/file"]));
    assert_eq!(code, Some(2), "{err}");
}
