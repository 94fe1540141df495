//! Both casings in, one casing kept.
//!
//! Callers write `agentId`, `agentID` or `agent_id`; the kept form is `agent_id`. Only keys that the product knows are
//! renamed, each at the place where it means something, so a caller's own keys and everything inside `metadata` stay as
//! they came. Where both spellings are present the snake one wins, unless it is null.

use serde_json::{Map, Value};

const TOP: &[&str] = &[
    "automation_id",
    "creator_id",
    "output_targets",
    "workspace_root",
    "scope_policy",
    "watch_conditions",
    "handoff_config",
    "created_at_ms",
    "updated_at_ms",
    "next_fire_at_ms",
    "last_fired_at_ms",
    "parent_automation_id",
    "parent_run_id",
];
const SCHEDULE: &[&str] = &["cron_expression", "interval_seconds", "misfire_policy"];
const MISFIRE: &[&str] = &["max_runs"];
const AGENT: &[&str] = &[
    "agent_id",
    "display_name",
    "template_id",
    "avatar_url",
    "model_policy",
    "tool_policy",
    "mcp_policy",
    "approval_policy",
];
const MCP: &[&str] = &["allowed_servers", "allowed_tools", "allowed_connections"];
const NODE: &[&str] = &[
    "node_id",
    "agent_id",
    "depends_on",
    "input_refs",
    "output_contract",
    "tool_policy",
    "mcp_policy",
    "retry_policy",
    "timeout_ms",
    "max_tool_calls",
    "stage_kind",
];
const INPUT_REF: &[&str] = &["from_step_id"];
const EXECUTION: &[&str] =
    &["max_parallel_agents", "max_total_runtime_ms", "max_total_tool_calls", "max_total_tokens", "max_total_cost_usd"];
const CAPABILITIES: &[&str] = &["creates_agents", "modifies_grants"];

/// The keys of a run report and of claims.
const REPORT: &[&str] = &[
    "report_id",
    "run_id",
    "claim_id",
    "claimant_id",
    "lease_ms",
    "stop_kind",
    "stop_acknowledged",
    "node_id",
    "node_outputs",
    "node_attempts",
    "node_attempt_verdicts",
    "completed_nodes",
    "blocked_nodes",
    "last_failure",
    "awaiting_gate",
    "session_id",
    "tool_calls",
    "artifact_refs",
    "actual_output",
    "validation_errors",
    "automation_id",
];
const USAGE: &[&str] = &["prompt_tokens", "completion_tokens", "total_tokens", "cost_usd"];
const FAILURE: &[&str] = &["node_id", "failed_at_ms", "failure_kind"];
const GATE: &[&str] = &["node_id", "expires_at_ms", "transition_id"];

/// Brings an automation body, or a part of one, into the kept casing.
pub fn automation(body: &mut Value) {
    let Some(top) = rename(body, TOP) else { return };
    if let Some(schedule) = inside(top, "schedule", SCHEDULE) {
        inside(schedule, "misfire_policy", MISFIRE);
    }
    each(top, "agents", |agent| {
        if let Some(agent) = rename(agent, AGENT) {
            inside(agent, "mcp_policy", MCP);
        }
    });
    if let Some(flow) = top.get_mut("flow").and_then(Value::as_object_mut) {
        each(flow, "nodes", |node| {
            if let Some(node) = rename(node, NODE) {
                inside(node, "mcp_policy", MCP);
                each(node, "input_refs", |input| {
                    rename(input, INPUT_REF);
                });
            }
        });
    }
    inside(top, "execution", EXECUTION);
    inside(top, "capabilities", CAPABILITIES);
    if let Some(metadata) = top.get_mut("metadata").and_then(Value::as_object_mut) {
        inside(metadata, "capabilities", CAPABILITIES);
    }
}

/// The same for the body of a report, a claim or a heartbeat.
pub fn report(body: &mut Value) {
    let Some(top) = rename(body, REPORT) else { return };
    inside(top, "usage", USAGE);
    inside(top, "last_failure", FAILURE);
    inside(top, "awaiting_gate", GATE);
    each(top, "reports", report);
}

fn inside<'a>(map: &'a mut Map<String, Value>, key: &str, known: &[&str]) -> Option<&'a mut Map<String, Value>> {
    rename(map.get_mut(key)?, known)
}

fn each(map: &mut Map<String, Value>, key: &str, change: impl FnMut(&mut Value)) {
    map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().for_each(change);
}

fn rename<'a>(value: &'a mut Value, known: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let map = value.as_object_mut()?;
    for key in known {
        for alias in spellings(key) {
            let Some(said) = map.remove(&alias) else { continue };
            if map.get(*key).is_none_or(Value::is_null) {
                map.insert((*key).to_owned(), said);
            }
        }
    }
    Some(map)
}

/// `agent_id` as `agentId` and `agentID`.
fn spellings(key: &str) -> impl Iterator<Item = String> {
    let mut words = key.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    let loud = camel.strip_suffix("Id").map(|head| format!("{head}ID"));
    std::iter::once(camel).chain(loud)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_keys_are_renamed_where_they_mean_something() {
        let mut body = json!({
            "automationId": "a", "creatorID": "c", "ownKey": {"agentId": "stays"},
            "schedule": {"type": "cron", "cronExpression": "* * * * *", "misfirePolicy": {"type": "catch_up", "maxRuns": 3}},
            "agents": [{"agentId": "x", "displayName": "X", "mcpPolicy": {"allowedServers": ["s"]}, "teamName": "t"}],
            "flow": {"nodes": [{"nodeID": "n", "dependsOn": [], "inputRefs": [{"fromStepId": "m", "alias": "i"}]}]},
            "execution": {"maxParallelAgents": 2},
            "metadata": {"agentId": "stays", "capabilities": {"createsAgents": true}},
        });
        automation(&mut body);
        assert_eq!(
            body,
            json!({
                "automation_id": "a", "creator_id": "c", "ownKey": {"agentId": "stays"},
                "schedule": {"type": "cron", "cron_expression": "* * * * *", "misfire_policy": {"type": "catch_up", "max_runs": 3}},
                "agents": [{"agent_id": "x", "display_name": "X", "mcp_policy": {"allowed_servers": ["s"]}, "teamName": "t"}],
                "flow": {"nodes": [{"node_id": "n", "depends_on": [], "input_refs": [{"from_step_id": "m", "alias": "i"}]}]},
                "execution": {"max_parallel_agents": 2},
                "metadata": {"agentId": "stays", "capabilities": {"creates_agents": true}},
            })
        );
        let once = body.clone();
        automation(&mut body);
        assert_eq!(body, once, "a kept form stays");
    }

    #[test]
    fn the_snake_spelling_wins_unless_it_is_null() {
        for (body, wanted) in [
            (json!({"creator_id": "snake", "creatorId": "camel", "creatorID": "loud"}), json!({"creator_id": "snake"})),
            (json!({"creator_id": null, "creatorId": "camel"}), json!({"creator_id": "camel"})),
            (json!({"creatorID": "loud"}), json!({"creator_id": "loud"})),
        ] {
            let mut found = body;
            automation(&mut found);
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        for body in [json!(null), json!([1]), json!("x"), json!({"agents": 3, "flow": [], "schedule": "x"})] {
            let mut found = body.clone();
            automation(&mut found);
            assert_eq!(found, body);
        }
    }
}
