//! LangGraph's manifest: the graphs of a directory, and what they are run with.

use serde_json::Value;

use super::{Scan, add_note, directory, json};
use crate::declared::DeclaredKind;

const LANGGRAPH: &str = "langgraph";

pub fn langgraph(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let file = json(text)?;
    let place = directory(path, "");
    let mut agents = Vec::new();
    let runtime = scan.thing(LANGGRAPH, place, "");
    for (name, graph) in file["graphs"].as_object().into_iter().flatten() {
        let id = scan.thing(LANGGRAPH, place, name);
        let body = scan.draft(DeclaredKind::Agent, LANGGRAPH, &id, path);
        body.name = Some(name.clone());
        body.description = graph["description"].as_str().map(str::to_owned);
        // `./src/agent.py:graph`, by itself or as `path`.
        let from = graph.as_str().or_else(|| graph["path"].as_str());
        if let Some(from) = from.filter(|from| !from.contains("://")) {
            let from = from.trim_start_matches("./");
            let beneath = if place.is_empty() { from.to_owned() } else { format!("{place}/{from}") };
            body.locator = Some(beneath);
        }
        body.related = vec![format!("runtime:{runtime}")];
        agents.push(format!("agent:{id}"));
    }
    let (_, body) = scan.runtime(LANGGRAPH, place, path);
    body.related = agents;
    match &file["env"] {
        Value::Object(env) if !env.is_empty() => {
            let names: Vec<&str> = env.keys().map(String::as_str).collect();
            add_note(body, &format!("Environment: {}.", names.join(", ")));
        }
        Value::String(_) => add_note(body, "Its environment comes from a file."),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {}
    }
    Ok(())
}
