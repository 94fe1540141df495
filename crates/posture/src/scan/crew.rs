//! CrewAI's manifests: agents, and tasks as the steps of one workflow.

use serde_json::{Map, Value};

use super::{Scan, directory, json, strings, toml, yaml};
use crate::declared::{DeclaredKind, read::StepBody};

const CREWAI: &str = "crewai";

pub fn agents(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let file = object(yaml::read(text)?)?;
    add_agents(scan, directory(path, "config"), path, &file);
    Ok(())
}

pub fn tasks(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let file = object(yaml::read(text)?)?;
    add_tasks(scan, directory(path, "config"), path, &file);
    Ok(())
}

/// Agents and tasks in one file, each by name or as a list.
pub fn manifest(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    let file = match path.ends_with(".json") {
        true => json(text)?,
        false => Value::Object(object(yaml::read(text)?)?),
    };
    let place = directory(path, "");
    if !file["agents"].is_null() || !file["tasks"].is_null() {
        scan.runtime(CREWAI, place, path);
        add_agents(scan, place, path, &by_name(&file["agents"]));
        add_tasks(scan, place, path, &by_name(&file["tasks"]));
    }
    Ok(())
}

/// Only a project of CrewAI says anything here.
pub fn project(scan: &mut Scan, path: &str, text: &str) -> Result<(), String> {
    if !text.contains("crewai") {
        return Ok(());
    }
    let file = toml(text)?;
    if file["tool"]["crewai"].is_object() {
        let (_, body) = scan.runtime(CREWAI, directory(path, ""), path);
        body.description = file["project"]["description"].as_str().map(str::to_owned);
    }
    Ok(())
}

fn object(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err("it holds no names".into()),
    }
}

fn by_name(value: &Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map.clone(),
        Value::Array(items) => {
            let name =
                |item: &Value| ["name", "id", "role"].iter().find_map(|key| item[*key].as_str()).map(str::to_owned);
            items.iter().filter_map(|item| Some((name(item)?, item.clone()))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Map::new(),
    }
}

fn add_agents(scan: &mut Scan, place: &str, path: &str, agents: &Map<String, Value>) {
    for (key, said) in agents.iter().filter(|(_, said)| said.is_object()) {
        let id = scan.thing(CREWAI, place, key);
        let body = scan.draft(DeclaredKind::Agent, CREWAI, &id, path);
        body.name = Some(said["role"].as_str().map_or(key.as_str(), str::trim).chars().take(70).collect());
        body.description = said["goal"].as_str().map(str::to_owned);
        // Tools are mostly given in code; without the key nothing is known of a limit.
        body.tool_allowlist = said.get("tools").filter(|tools| tools.is_array()).map(strings);
    }
}

fn add_tasks(scan: &mut Scan, place: &str, path: &str, tasks: &Map<String, Value>) {
    if tasks.is_empty() {
        return;
    }
    let mut related = Vec::new();
    let mut steps = Vec::new();
    for (key, said) in tasks {
        let agent = said["agent"].as_str().map(str::trim);
        if let Some(agent) = agent {
            let id = format!("agent:{}", scan.thing(CREWAI, place, agent));
            if !related.contains(&id) {
                related.push(id);
            }
        }
        steps.push(StepBody {
            step_id: Some(key.chars().take(70).collect()),
            action: Some(agent.map_or_else(|| "task".to_owned(), |agent| format!("agent {}", cut(agent)))),
            parameters: Some(said.clone()),
            ..StepBody::default()
        });
    }
    let id = scan.thing(CREWAI, place, "tasks");
    let body = scan.draft(DeclaredKind::Workflow, CREWAI, &id, path);
    body.name = Some(if place.is_empty() { "tasks".to_owned() } else { format!("tasks of {}", cut(place)) });
    body.steps = steps;
    body.related = related;
}

fn cut(text: &str) -> String {
    text.chars().take(70).collect()
}
