//! Other clients of MCP servers: the desktop application, Cursor, VS Code, Gemini, Codex.

use super::{Scan, add_note, directory, json, servers, strings, toml};
use crate::declared::DeclaredKind;

pub fn desktop(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let file = json(text)?;
    let (_, body) = scan.runtime("claude-desktop", directory(path, ""), path);
    servers::add(body, &file["mcpServers"]);
    Ok(())
}

pub fn cursor(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let file = json(text)?;
    let (_, body) = scan.runtime("cursor", directory(path, ".cursor"), path);
    servers::add(body, &file["mcpServers"]);
    Ok(())
}

/// `mcp.json` has its servers at the top, the settings beneath `mcp`. Settings without that say nothing.
pub fn vscode(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let file = json(text)?;
    let found = match path.ends_with("settings.json") {
        false => &file["servers"],
        true if file["mcp"]["servers"].is_object() => &file["mcp"]["servers"],
        true => &file["mcp.servers"],
    };
    if found.is_object() {
        let place = directory(path, ".vscode");
        let (_, body) = scan.runtime("vscode", place, path);
        servers::add(body, found);
    }
    Ok(())
}

pub fn gemini(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let file = json(text)?;
    let place = directory(path, ".gemini");
    let (runtime, body) = scan.runtime("gemini", place, path);
    servers::add(body, &file["mcpServers"]);
    let either = |old: &str, new: &str| {
        let found = [&file[old], &file["tools"][new]];
        found.into_iter().find(|value| value.is_array()).map(strings)
    };
    let (core, excluded) = (either("coreTools", "core"), either("excludeTools", "exclude"));
    if core.is_some() || excluded.is_some() {
        let id = scan.thing("gemini", place, "tools");
        let body = scan.draft(DeclaredKind::ToolPolicy, "gemini", &id, path);
        body.name = Some("tools".into());
        body.tool_allowlist = core;
        body.tool_denylist = excluded.unwrap_or_default();
        body.related = vec![format!("runtime:{runtime}")];
    }
    Ok(())
}

pub fn codex(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let file = toml(text)?;
    let (_, body) = scan.runtime("codex", directory(path, ".codex"), path);
    servers::add(body, &file["mcp_servers"]);
    body.approval_policy = file["approval_policy"].as_str().map(str::to_owned);
    if let Some(mode) = file["sandbox_mode"].as_str().filter(|mode| plain(mode)) {
        add_note(body, &format!("Sandbox: {mode}."));
    }
    Ok(())
}

fn plain(word: &str) -> bool {
    word.len() <= 60 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
