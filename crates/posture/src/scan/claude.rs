//! Claude's files of a directory: its MCP servers, permissions, hooks, agents, and that it is used there at all.
//!
//! `permissions.allow` is what is done without asking, not a limit, so it never becomes an allowlist; what is denied is
//! denied.

use serde_json::Value;
use tandem_core::text::truncate;

use super::{Scan, add_note, directory, json, servers, strings, yaml};
use crate::declared::{
    DeclaredKind,
    read::{ActionBody, HookBody, program},
};

const CLAUDE: &str = "claude";

pub fn servers(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let file = json(text)?;
    let (_, body) = scan.runtime(CLAUDE, directory(path, ""), path);
    servers::add(body, &file["mcpServers"]);
    for project in file["projects"].as_object().into_iter().flatten() {
        servers::add(body, &project.1["mcpServers"]);
    }
    Ok(())
}

pub fn memory(scan: &mut Scan, path: &str) -> Result<(), String> {
    let (_, body) = scan.runtime(CLAUDE, directory(path, ".claude"), path);
    if body.description.as_deref().is_none_or(|text| !text.contains("Instructions stand in")) {
        add_note(body, "Instructions stand in CLAUDE.md.");
    }
    Ok(())
}

pub fn settings(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let file = json(text)?;
    let place = directory(path, ".claude");
    let (runtime, body) = scan.runtime(CLAUDE, place, path);
    if file["enableAllProjectMcpServers"] == true {
        add_note(body, "Every MCP server of the project is used without asking.");
    }
    servers::add(body, &file["mcpServers"]);
    permissions(scan, place, path, &runtime, &file["permissions"]);
    hooks(scan, place, path, &runtime, &file["hooks"]);
    Ok(())
}

fn permissions(scan: &mut Scan, place: &str, path: &str, runtime: &str, permissions: &Value) {
    if !permissions.is_object() {
        return;
    }
    let id = scan.thing(CLAUDE, place, "permissions");
    let body = scan.draft(DeclaredKind::ToolPolicy, CLAUDE, &id, path);
    body.name = Some("permissions".into());
    body.tool_denylist.extend(strings(&permissions["deny"]));
    if let Some(mode) = permissions["defaultMode"].as_str() {
        body.approval_policy = Some(mode.to_owned());
    }
    for (what, rules) in [("Done without asking", &permissions["allow"]), ("Asked for", &permissions["ask"])] {
        let rules = strings(rules);
        if !rules.is_empty() {
            add_note(body, &format!("{what}: {}.", truncate(&rules.join(", "), 800)));
        }
    }
    body.related = vec![format!("runtime:{runtime}")];
}

/// One declaration for each event, with what runs then.
fn hooks(scan: &mut Scan, place: &str, path: &str, runtime: &str, hooks: &Value) {
    for (event, entries) in hooks.as_object().into_iter().flatten() {
        let id = scan.thing(CLAUDE, place, &format!("hook-{event}"));
        let body = scan.draft(DeclaredKind::Hook, CLAUDE, &id, path);
        body.name = Some(event.clone());
        body.related = vec![format!("runtime:{runtime}")];
        if body.hooks.is_empty() {
            body.hooks.push(HookBody { binding_id: Some(id), event: Some(event.clone()), ..HookBody::default() });
        }
        let commands = entries.as_array().into_iter().flatten().flat_map(|entry| {
            let own = entry["hooks"].as_array().into_iter().flatten();
            own.map(|hook| (entry.get("matcher").is_some(), hook))
        });
        for (matched, hook) in commands {
            let action = match hook["command"].as_str().and_then(program) {
                Some(program) => program,
                None => hook["type"].as_str().unwrap_or("unknown").to_owned(),
            };
            let parameter_keys = if matched { vec!["matcher".to_owned()] } else { Vec::new() };
            body.hooks[0].actions.push(ActionBody {
                action: Some(action),
                has_parameters: Some(matched),
                parameter_keys,
                ..ActionBody::default()
            });
        }
    }
}

pub fn agent(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let place = directory(path, ".claude/agents");
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".md");
    let said = front_matter(text);
    let name = said["name"].as_str().unwrap_or(stem).trim().to_owned();
    let (runtime, _) = scan.runtime(CLAUDE, place, path);
    let id = scan.thing(CLAUDE, place, &name);
    let body = scan.draft(DeclaredKind::Agent, CLAUDE, &id, path);
    body.name = Some(truncate(&name, 200));
    body.description = said["description"].as_str().map(str::to_owned);
    // Without the key, an agent may use every tool of its session.
    body.tool_allowlist = said.get("tools").filter(|tools| !tools.is_null()).map(strings);
    body.tool_denylist = strings(&said["disallowedTools"]);
    body.approval_policy = said["permissionMode"].as_str().map(str::to_owned);
    body.related = vec![format!("runtime:{runtime}")];
    servers::add(body, &said["mcpServers"]);
    Ok(())
}

/// What stands between the first two lines of dashes. People write it by hand, and often not quite as YAML; what is none
/// is read line by line.
fn front_matter(text: &str) -> Value {
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else { return Value::Null };
    let end = rest.match_indices("\n---").map(|(at, _)| at).next().unwrap_or(0);
    let head = &rest[..end];
    match yaml::read(head) {
        Ok(value) if value.is_object() => value,
        Ok(_) | Err(_) => {
            let pairs =
                head.lines().filter(|line| !line.starts_with([' ', '#', '-'])).filter_map(|line| line.split_once(':'));
            pairs.map(|(key, value)| (key.trim().to_owned(), Value::from(value.trim()))).collect()
        }
    }
}
