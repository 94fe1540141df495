//! From a caller's body to an automation, and from a patch to the next version of one.
//!
//! Decided here: what is refused, what is filled in and what is tidied. The server's own keys (identity, times, tenant)
//! are never taken from a body, and `null` on a known key means that it was not said. An unknown key keeps whatever value
//! it came with, `null` too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    casing,
    spec::{Automation, AutomationStatus, Spec, Upkeep},
};
use crate::text::non_blank;

/// Why a body is no automation.
#[derive(Clone, Debug, PartialEq)]
pub enum Defect {
    /// A value has the wrong type; `path` says where.
    Shape { path: String, why: String },
    /// The values fit, but together they make no automation.
    Invalid(String),
    /// `metadata` is no object while `capabilities` are to be kept in it.
    Metadata,
}

/// What a create body says beside the automation itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    pub parent_automation_id: Option<String>,
    pub parent_run_id: Option<String>,
}

/// Keys that only the server writes.
const OURS: &[&str] = &[
    "automation_id",
    "creator_id",
    "status",
    "created_at_ms",
    "updated_at_ms",
    "next_fire_at_ms",
    "last_fired_at_ms",
    "capabilities",
    "parent_automation_id",
    "parent_run_id",
    "_upkeep",
];
/// The other keys that are read.
const KNOWN: &[&str] = &[
    "name",
    "description",
    "schedule",
    "knowledge",
    "agents",
    "flow",
    "execution",
    "output_targets",
    "workspace_root",
    "metadata",
    "scope_policy",
    "watch_conditions",
    "handoff_config",
];
/// Of `metadata`, what is the server's: carried over, never taken from a body.
const OUR_METADATA: &[&str] = &["tenant_context", "resource_access"];

const MOST_AGENTS: usize = 500;
const MOST_NODES: usize = 2_000;
const LONGEST_NAME: usize = 500;
const LONGEST_ID: usize = 200;

/// An id as callers may choose it: it becomes part of paths and of log lines.
pub fn valid_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
        && !matches!(id, "." | ".." | "runs" | "events" | "graduation")
}

/// Reads a create body. `fresh_id` is used when the body names none, `creator` is who creates, as far as that is known.
pub fn create(
    mut body: Value,
    fresh_id: String,
    creator: Option<&str>,
    now_ms: u64,
) -> Result<(Automation, Origin), Defect> {
    casing::automation(&mut body);
    let mut map = object(body)?;
    let automation_id = match text(&map, "automation_id")? {
        Some(id) if valid_id(id) => id.to_owned(),
        Some(_) => {
            return Err(invalid("`automation_id` must be 1 to 200 characters of A-Z, a-z, 0-9, `.`, `_`, `:`, `-`"));
        }
        None => fresh_id,
    };
    let status = status(&map)?.unwrap_or(AutomationStatus::Draft);
    let said = text(&map, "creator_id")?.map(|id| crate::text::truncate(id, LONGEST_ID));
    let creator_id = creator.map(str::to_owned).or(said).unwrap_or_else(|| "unknown".into());
    let owned = |key| Ok::<_, Defect>(text(&map, key)?.map(str::to_owned));
    let origin =
        Origin { parent_automation_id: owned("parent_automation_id")?, parent_run_id: owned("parent_run_id")? };
    declare(&mut map)?;
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        OUR_METADATA.iter().for_each(|key| drop(metadata.remove(*key)));
    }
    let spec = spec(map)?;
    let automation = Automation {
        automation_id,
        status,
        creator_id,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
        next_fire_at_ms: None,
        last_fired_at_ms: None,
        upkeep: Upkeep::default(),
        spec,
    };
    Ok((automation, origin))
}

/// What a patch leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Patched {
    pub automation: Automation,
    /// The top-level keys whose value is another now.
    pub changed: BTreeSet<String>,
    /// `agents` was named, whether or not it changed.
    pub names_agents: bool,
}

/// Applies a patch: each key that it names replaces that key; identity and creator stay. `metadata` is such a key, so what
/// it leaves out is given up, capabilities too.
pub fn patch(before: &Automation, mut body: Value, now_ms: u64) -> Result<Patched, Defect> {
    casing::automation(&mut body);
    let mut changes = object(body)?;
    let status = status(&changes)?;
    let names_agents = changes.get("agents").is_some_and(|agents| !agents.is_null());
    let old = as_map(&before.spec);
    // Capabilities are kept inside metadata, so a patch of them alone starts from what is there.
    if changes.get("capabilities").is_some_and(|c| !c.is_null()) && changes.get("metadata").is_none_or(Value::is_null) {
        changes.insert("metadata".into(), Value::Object(before.spec.metadata.clone()));
    }
    declare(&mut changes)?;
    if let Some(metadata) = changes.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in OUR_METADATA {
            metadata.remove(*key);
            if let Some(held) = before.spec.metadata.get(*key) {
                metadata.insert((*key).to_owned(), held.clone());
            }
        }
    }
    let mut next = old.clone();
    for (key, value) in changes {
        match value {
            _ if OURS.contains(&key.as_str()) => {}
            Value::Null if KNOWN.contains(&key.as_str()) => {}
            value => drop(next.insert(key, value)),
        }
    }
    let spec = spec(next)?;
    let new = as_map(&spec);
    let keys = old.keys().chain(new.keys());
    let mut changed: BTreeSet<String> = keys.filter(|key| old.get(*key) != new.get(*key)).cloned().collect();
    let mut automation = before.clone();
    automation.spec = spec;
    if let Some(status) = status.filter(|status| *status != before.status) {
        automation.status = status;
        changed.insert("status".into());
    }
    // Strictly later than before, so that clients can compare.
    automation.updated_at_ms = now_ms.max(before.updated_at_ms + 1);
    Ok(Patched { automation, changed, names_agents })
}

fn as_map(spec: &Spec) -> Map<String, Value> {
    match serde_json::to_value(spec) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    }
}

fn invalid(why: impl Into<String>) -> Defect {
    Defect::Invalid(why.into())
}

fn object(body: Value) -> Result<Map<String, Value>, Defect> {
    match body {
        Value::Object(map) => Ok(map),
        _ => Err(Defect::Shape { path: String::new(), why: "expected an object".into() }),
    }
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Defect> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(non_blank(Some(text))),
        Some(_) => Err(Defect::Shape { path: key.to_owned(), why: "expected a string".into() }),
    }
}

fn status(map: &Map<String, Value>) -> Result<Option<AutomationStatus>, Defect> {
    let Some(word) = text(map, "status")? else { return Ok(None) };
    let why = || "expected `active`, `paused` or `draft`".into();
    AutomationStatus::from_word(word).map(Some).ok_or_else(|| Defect::Shape { path: "status".into(), why: why() })
}

/// Moves `capabilities` into `metadata.capabilities`. Each is a plain yes or no there, and anything else is a no.
fn declare(map: &mut Map<String, Value>) -> Result<(), Defect> {
    let said = map.remove("capabilities").filter(|said| !said.is_null());
    if said.is_some() && !map.get("metadata").is_none_or(|metadata| metadata.is_object() || metadata.is_null()) {
        return Err(Defect::Metadata);
    }
    let Some(said) = said else { return Ok(()) };
    let Value::Object(said) = said else {
        return Err(Defect::Shape { path: "capabilities".into(), why: "expected an object".into() });
    };
    if map.get("metadata").is_none_or(Value::is_null) {
        map.insert("metadata".into(), Value::Object(Map::new()));
    }
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        let held = metadata.entry("capabilities").or_insert_with(|| Value::Object(Map::new()));
        if !held.is_object() {
            *held = Value::Object(Map::new());
        }
        if let Some(held) = held.as_object_mut() {
            held.extend(said.into_iter().filter(|(_, value)| !value.is_null()));
        }
    }
    Ok(())
}

fn spec(mut map: Map<String, Value>) -> Result<Spec, Defect> {
    OURS.iter().for_each(|key| drop(map.remove(*key)));
    if let Some(schedule) = map.get_mut("schedule").and_then(Value::as_object_mut) {
        match schedule.get("misfire_policy") {
            Some(Value::String(word)) => {
                let kind = Value::String(word.clone());
                schedule.insert("misfire_policy".into(), Value::Object(Map::from_iter([("type".to_owned(), kind)])));
            }
            Some(Value::Null) => drop(schedule.remove("misfire_policy")),
            Some(_) | None => {}
        }
        for key in ["timezone", "type"] {
            if schedule.get(key).is_some_and(Value::is_null) {
                schedule.remove(key);
            }
        }
        schedule.entry("type").or_insert_with(|| "manual".into());
    }
    if let Some(execution) = map.get_mut("execution").and_then(Value::as_object_mut) {
        execution.retain(|_, value| !value.is_null());
    }
    let mut spec: Spec = serde_path_to_error::deserialize(Value::Object(map)).map_err(|error| Defect::Shape {
        path: error.path().to_string().trim_start_matches('.').to_owned(),
        why: quiet(&error.inner().to_string()),
    })?;
    tidy(&mut spec);
    check(&spec)?;
    Ok(spec)
}

/// A parser's words without the value that it met: values may be secrets.
fn quiet(message: &str) -> String {
    match message.split_once("expected ") {
        Some((_, expected)) => crate::text::truncate(&format!("expected {expected}"), 200),
        None if message.starts_with("missing field") => crate::text::truncate(message, 200),
        None => "the value does not fit".into(),
    }
}

fn tidy(spec: &mut Spec) {
    spec.name = spec.name.trim().to_owned();
    for agent in &mut spec.agents {
        agent.agent_id = agent.agent_id.trim().to_owned();
        if agent.display_name.trim().is_empty() {
            agent.display_name = agent.agent_id.clone();
        }
        tidy_list(&mut agent.skills);
        tidy_list(&mut agent.tool_policy.allowlist);
        tidy_list(&mut agent.tool_policy.denylist);
        if agent.tool_policy.allowlist.is_empty() {
            agent.tool_policy.allowlist.push("read".into());
        }
        tidy_list(&mut agent.mcp_policy.allowed_servers);
        if let Some(tools) = &mut agent.mcp_policy.allowed_tools {
            tidy_list(tools);
        }
    }
    for node in &mut spec.flow.nodes {
        node.node_id = node.node_id.trim().to_owned();
        tidy_list(&mut node.depends_on);
    }
    tidy_list(&mut spec.output_targets);
    spec.workspace_root = non_blank(spec.workspace_root.as_deref()).map(str::to_owned);
    spec.execution.max_parallel_agents = spec.execution.max_parallel_agents.max(1);
}

/// Trimmed, without blanks, each entry once, in the order in which they came.
fn tidy_list(list: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    let kept = list.iter().map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty());
    *list = kept.filter(|entry| seen.insert(entry.clone())).collect();
}

fn check(spec: &Spec) -> Result<(), Defect> {
    if spec.name.is_empty() || spec.name.len() > LONGEST_NAME {
        return Err(invalid(format!("`name` must not be blank, nor longer than {LONGEST_NAME} bytes")));
    }
    if spec.agents.len() > MOST_AGENTS || spec.flow.nodes.len() > MOST_NODES {
        return Err(invalid(format!("at most {MOST_AGENTS} agents and {MOST_NODES} nodes")));
    }
    if spec.workspace_root.as_deref().is_some_and(|root| !root.starts_with('/')) {
        return Err(invalid("`workspace_root` must be an absolute path"));
    }
    let bad_id = |id: &str| id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control);
    let mut agents = BTreeSet::new();
    for (n, agent) in spec.agents.iter().enumerate() {
        if bad_id(&agent.agent_id) || !agents.insert(agent.agent_id.as_str()) {
            return Err(invalid(format!("`agents[{n}].agent_id` is blank, too long, or taken by another agent")));
        }
    }
    let mut nodes = BTreeMap::new();
    for (n, node) in spec.flow.nodes.iter().enumerate() {
        if bad_id(&node.node_id) || nodes.insert(node.node_id.as_str(), n).is_some() {
            return Err(invalid(format!("`flow.nodes[{n}].node_id` is blank, too long, or taken by another node")));
        }
    }
    // Taking away what waits for nothing must in the end take away everything.
    let mut waiting: Vec<(usize, Vec<usize>)> = Vec::with_capacity(spec.flow.nodes.len());
    for (n, node) in spec.flow.nodes.iter().enumerate() {
        let found: Option<Vec<usize>> = node.depends_on.iter().map(|id| nodes.get(id.as_str()).copied()).collect();
        let Some(found) = found else {
            return Err(invalid(format!("`flow.nodes[{n}].depends_on` names a node that is not there")));
        };
        waiting.push((n, found));
    }
    let mut done = vec![false; spec.flow.nodes.len()];
    loop {
        let before = waiting.len();
        let ready: Vec<usize> =
            waiting.iter().filter(|(_, on)| on.iter().all(|on| done[*on])).map(|(n, _)| *n).collect();
        ready.iter().for_each(|n| done[*n] = true);
        waiting.retain(|(n, _)| !done[*n]);
        match (waiting.first(), waiting.len() == before) {
            (None, _) => return Ok(()),
            (Some((n, _)), true) => return Err(invalid(format!("`flow.nodes[{n}]` waits for itself"))),
            (Some(_), false) => {}
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    pub(crate) fn automation() -> Automation {
        let body = json!({
            "name": "Nightly", "agents": [{"agent_id": "worker"}],
            "flow": {"nodes": [
                {"node_id": "a", "agent_id": "worker", "objective": "first"},
                {"node_id": "b", "agent_id": "worker", "objective": "second", "depends_on": ["a"]},
                {"node_id": "c", "agent_id": "worker", "objective": "third", "depends_on": ["b"]},
            ]},
        });
        create(body, "automation-v2-1".into(), None, 1_000).unwrap().0
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let (a, _) = create(
            json!({"name": " n ", "agents": [{"agent_id": "x", "skills": [" a", "a", ""]}]}),
            "id".into(),
            None,
            7,
        )
        .unwrap();
        assert_eq!(
            (a.automation_id.as_str(), a.status, a.creator_id.as_str()),
            ("id", AutomationStatus::Draft, "unknown")
        );
        assert_eq!((a.spec.name.as_str(), a.created_at_ms), ("n", 7));
        let agent = &a.spec.agents[0];
        assert_eq!(
            (agent.display_name.as_str(), &agent.skills, &agent.tool_policy.allowlist),
            ("x", &vec!["a".to_owned()], &vec!["read".to_owned()])
        );
        assert_eq!(a.spec.schedule, super::super::spec::Schedule::default());
        let by = |body: Value, creator| create(body, "id".into(), creator, 7).unwrap().0.creator_id;
        assert_eq!(by(json!({"name": "n", "creator_id": "said"}), None), "said");
        assert_eq!(by(json!({"name": "n", "creator_id": "said"}), Some("known")), "known");
    }

    #[test]
    fn bodies_that_are_no_automations() {
        let cases = [
            (json!([]), "shape"),
            (json!({}), "shape name"),
            (json!({"name": "  "}), "invalid"),
            (json!({"name": "n", "status": "running"}), "shape status"),
            (json!({"name": "n", "status": 3}), "shape status"),
            (json!({"name": "n", "automation_id": "a/b"}), "invalid"),
            (json!({"name": "n", "automation_id": "runs"}), "invalid"),
            (json!({"name": "n", "agents": {}}), "shape agents"),
            (json!({"name": "n", "agents": [{"agent_id": "a"}, {"agent_id": " a "}]}), "invalid"),
            (json!({"name": "n", "flow": {"nodes": [{"node_id": "a", "depends_on": ["b"]}]}}), "invalid"),
            (json!({"name": "n", "flow": {"nodes": [{"node_id": "a", "depends_on": ["a"]}]}}), "invalid"),
            (json!({"name": "n", "workspace_root": "relative"}), "invalid"),
            (json!({"name": "n", "metadata": 3, "capabilities": {}}), "metadata"),
            (json!({"name": "n", "metadata": 3}), "shape metadata"),
            (json!({"name": "n", "capabilities": 3}), "shape capabilities"),
            (json!({"name": "n", "schedule": {"type": "sometimes"}}), "shape schedule.type"),
        ];
        for (body, wanted) in cases {
            let found = match create(body.clone(), "id".into(), None, 1).map(|_| ()) {
                Ok(()) => "accepted".to_owned(),
                Err(Defect::Shape { path, why }) => {
                    assert!(!why.is_empty() && !why.contains("sometimes"), "{why}");
                    format!("shape {path}").trim_end().to_owned()
                }
                Err(Defect::Invalid(_)) => "invalid".into(),
                Err(Defect::Metadata) => "metadata".into(),
            };
            let name_missing = wanted == "shape name" && found == "shape";
            assert!(found == wanted || name_missing, "{body}: {found}, not {wanted}");
        }
    }

    #[test]
    fn misfire_policies_have_three_forms() {
        let kind = |policy: Value| {
            let schedule = json!({"type": "interval", "interval_seconds": 5, "misfirePolicy": policy});
            create(json!({"name": "n", "schedule": schedule}), "i".into(), None, 1)
                .map(|(a, _)| a.spec.schedule.misfire_policy.kind.word())
        };
        assert_eq!(kind(json!("catch_up")), Ok("catch_up"));
        assert_eq!(kind(json!({"type": "skip"})), Ok("skip"));
        assert_eq!(kind(json!(null)), Ok("run_once"));
        assert!(kind(json!("never")).is_err());
    }

    #[test]
    fn capabilities_are_declared_in_metadata_and_only_true_is_true() {
        let body = json!({"name": "n", "metadata": {"team": "x", "tenant_context": {"org_id": "other"}}, "capabilities": {"createsAgents": true, "modifies_grants": "yes"}});
        let (a, _) = create(body, "i".into(), None, 1).unwrap();
        assert!(a.declares("creates_agents") && !a.declares("modifies_grants"));
        assert_eq!(a.spec.metadata["team"], "x");
        assert!(!a.spec.metadata.contains_key("tenant_context"), "a body does not choose its tenant");
        let widened = patch(&a, json!({"capabilities": {"modifies_grants": true}}), 2).unwrap().automation;
        assert!(widened.declares("creates_agents") && widened.declares("modifies_grants"));
        assert_eq!(widened.spec.metadata["team"], "x");
        let renamed = patch(&widened, json!({"metadata": {"team": "y"}}), 3).unwrap().automation;
        assert!(!renamed.declares("creates_agents"), "metadata is replaced as a whole");
        let both = json!({"metadata": {"team": "z"}, "capabilities": {"creates_agents": true}});
        let both = patch(&widened, both, 3).unwrap().automation;
        assert!(
            both.declares("creates_agents") && !both.declares("modifies_grants") && both.spec.metadata["team"] == "z"
        );
        let narrowed = patch(&widened, json!({"capabilities": {"creates_agents": false}}), 4).unwrap().automation;
        assert!(!narrowed.declares("creates_agents"));
    }

    #[test]
    fn a_patch_replaces_what_it_names_and_keeps_the_rest() {
        let (a, _) = create(
            json!({"name": "n", "x_own": 1, "other": {"deep": [1]}, "description": "d"}),
            "i".into(),
            Some("ann"),
            10,
        )
        .unwrap();
        let body = json!({"name": "m", "creator_id": "eve", "automation_id": "j", "x_own": null, "description": null, "third": true, "status": "active"});
        let next = patch(&a, body, 10).unwrap();
        let b = &next.automation;
        assert_eq!((b.automation_id.as_str(), b.creator_id.as_str(), b.spec.name.as_str()), ("i", "ann", "m"));
        assert_eq!((b.updated_at_ms, b.status), (11, AutomationStatus::Active));
        assert_eq!(b.spec.description.as_deref(), Some("d"), "null on a known key says nothing");
        assert_eq!(b.spec.extra.keys().collect::<Vec<_>>(), ["other", "third", "x_own"]);
        assert_eq!(b.spec.extra["x_own"], Value::Null);
        assert_eq!(next.changed.iter().collect::<Vec<_>>(), ["name", "status", "third", "x_own"]);
        assert!(!next.names_agents && patch(&a, json!({"agents": []}), 1).unwrap().names_agents);
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-zA-Zñ _]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-zA-Z_]{1,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Unknown keys come back as they were, at every level that keeps them, through storage and a patch.
        #[test]
        fn unknown_keys_survive(top in json_value(), deep in json_value(), key in "x_[a-z]{1,6}") {
            let body = json!({
                "name": "n", key.as_str(): top, "agents": [{"agentId": "a", key.as_str(): deep}],
                "flow": {"nodes": [{"nodeId": "m", key.as_str(): deep}], key.as_str(): deep},
                "execution": {}, "schedule": {"type": "manual", key.as_str(): deep}, "metadata": {key.as_str(): deep},
            });
            let (a, _) = create(body.clone(), "i".into(), None, 1).unwrap();
            let stored: Automation = serde_json::from_str(&serde_json::to_string(&a).unwrap()).unwrap();
            prop_assert_eq!(&stored, &a);
            let patched = patch(&stored, json!({"description": "d"}), 2).unwrap().automation;
            let kept = serde_json::to_value(&patched.spec).unwrap();
            let pointers = [format!("/{key}"), format!("/agents/0/{key}"), format!("/flow/nodes/0/{key}"), format!("/flow/{key}"), format!("/schedule/{key}"), format!("/metadata/{key}")];
            for pointer in pointers {
                prop_assert_eq!(kept.pointer(&pointer), body.pointer(&pointer), "{}", pointer);
            }
        }

        /// Whatever comes in, it is refused or accepted, and what was accepted is accepted again unchanged.
        #[test]
        fn reading_is_total_and_settles(body in json_value(), name in "[a-z]{1,5}") {
            let mut body = body;
            if let Some(map) = body.as_object_mut() {
                map.insert("name".into(), name.into());
            }
            if let Ok((a, _)) = create(body, "i".into(), None, 1) {
                let again = patch(&a, serde_json::to_value(&a).unwrap(), 5).unwrap();
                prop_assert_eq!(again.automation.spec, a.spec);
            }
        }
    }
}
