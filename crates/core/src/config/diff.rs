//! What a save changed, for the audit row: every path, and values only where they cannot be sensitive. What is left out
//! is replaced by its digest, so that two rows can still be compared.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Config;

/// More changes than this are counted, not listed.
const LISTED: usize = 200;

/// The payload of `incident_monitor.config.updated`.
pub fn diff(old: &Config, new: &Config) -> Value {
    let mut changes = Changes::default();
    // Serialising our own types cannot fail: string keys, no custom errors.
    let tree = |config: &Config| serde_json::to_value(config).unwrap_or_default();
    changes.values("", "", &tree(old), &tree(new));
    let mut payload = summary(new);
    payload.insert("changed_count".to_owned(), changes.count.into());
    payload.insert("changed".to_owned(), changes.listed.into());
    Value::Object(payload)
}

#[derive(Default)]
struct Changes {
    listed: Vec<Value>,
    count: usize,
}

impl Changes {
    fn push(&mut self, change: Value) {
        self.count += 1;
        if self.listed.len() < LISTED {
            self.listed.push(change);
        }
    }

    fn values(&mut self, path: &str, key: &str, old: &Value, new: &Value) {
        if old == new || key == "updated_at_ms" {
            return;
        }
        match (old, new) {
            (Value::Object(old), Value::Object(new)) if !opaque(key) => {
                let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
                for key in keys {
                    let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    let side = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                    self.values(&at, key, &side(old), &side(new));
                }
            }
            (Value::Array(old), Value::Array(new)) if row_id(key).is_some() => self.rows(path, key, old, new),
            (
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_),
                _,
            ) => self.push(leaf(path, key, old, new)),
        }
    }

    /// Lists of rows are compared by id, not by position.
    fn rows(&mut self, path: &str, key: &str, old: &[Value], new: &[Value]) {
        let field = row_id(key).unwrap_or_default();
        let id = |row: &Value| row.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        for row in old {
            let at = format!("{path}[{}]", id(row));
            match new.iter().find(|candidate| id(candidate) == id(row)) {
                Some(now) => self.values(&at, "", row, now),
                None => self.push(json!({"path": at, "change": "removed"})),
            }
        }
        for row in new.iter().filter(|row| !old.iter().any(|candidate| id(candidate) == id(row))) {
            self.push(json!({"path": format!("{path}[{}]", id(row)), "change": "added"}));
        }
    }
}

fn row_id(key: &str) -> Option<&'static str> {
    match key {
        "destinations" => Some("destination_id"),
        "routes" => Some("route_id"),
        "monitored_projects" => Some("project_id"),
        "log_sources" => Some("source_id"),
        _ => None,
    }
}

/// Objects whose insides are not ours.
fn opaque(key: &str) -> bool {
    matches!(key, "config" | "model_policy")
}

fn leaf(path: &str, key: &str, old: &Value, new: &Value) -> Value {
    if shown(key, old) && shown(key, new) {
        return json!({"path": path, "change": "changed", "old": old, "new": new});
    }
    json!({"path": path, "change": "changed", "redacted": true, "old_digest": digest(old), "new_digest": digest(new)})
}

/// Numbers, switches and words from our own vocabulary may be shown; addresses, references, paths and prose may not.
fn shown(key: &str, value: &Value) -> bool {
    const WORDS: [&str; 21] = [
        "approval_policy",
        "event_schema_version",
        "expected_schema_version",
        "format",
        "kind",
        "label_mode",
        "mcp_server",
        "memory_category",
        "minimum_level",
        "minimum_risk_level",
        "name",
        "policy",
        "provider_preference",
        "redaction_profile",
        "repo",
        "retention_profile",
        "schema_drift_status",
        "source_kind",
        "start_position",
        "tenant_id",
        "workspace_id",
    ];
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => !opaque(key),
        Value::String(_) => WORDS.contains(&key),
        Value::Array(items) => {
            (key.ends_with("_ids") || key.ends_with("_tags") || key.starts_with("match_")) && items.len() <= 50
        }
        Value::Object(_) => false,
    }
}

fn digest(value: &Value) -> Value {
    if value.is_null() {
        return Value::Null;
    }
    format!("sha256:{}", hex::encode(Sha256::digest(value.to_string()))).into()
}

/// The state after the save, without addresses and references.
fn summary(config: &Config) -> Map<String, Value> {
    let destinations: Vec<Value> = config
        .destinations
        .iter()
        .map(|d| {
            json!({
                "destination_id": d.destination_id,
                "kind": d.kind,
                "enabled": d.enabled,
                "require_approval": d.require_approval,
                "has_repo": d.repo.is_some(),
                "has_mcp_server": d.mcp_server.is_some(),
                "has_linear_team": d.linear_team.is_some(),
                "has_linear_project": d.linear_project.is_some(),
                "has_webhook_url": d.webhook_url.is_some(),
                "has_webhook_secret_ref": d.webhook_secret_ref.is_some(),
                "has_telemetry_path": d.telemetry_path.is_some(),
                "has_mcp_tool": d.mcp_tool.is_some(),
                "has_memory_category": d.memory_category.is_some(),
                "has_config": d.config.is_some(),
            })
        })
        .collect();
    let routes: Vec<Value> = config
        .routes
        .iter()
        .map(|r| {
            json!({
                "route_id": r.route_id,
                "enabled": r.enabled,
                "priority": r.priority,
                "destination_ids": r.destination_ids,
                "approval_policy": r.approval_policy,
                "auto_publish": r.auto_publish,
                "match_tenant_ids": r.match_tenant_ids,
                "match_workspace_ids": r.match_workspace_ids,
            })
        })
        .collect();
    let projects = &config.monitored_projects;
    let summary = json!({
        "enabled": config.enabled,
        "paused": config.paused,
        "counts": {
            "destinations": destinations.len(),
            "routes": routes.len(),
            "monitored_projects": projects.len(),
            "log_sources": projects.iter().map(|project| project.log_sources.len()).sum::<usize>(),
        },
        "default_destination_ids": config.default_destination_ids,
        "destinations": destinations,
        "routes": routes,
        "project_ids": projects.iter().map(|project| project.project_id.as_str()).collect::<Vec<_>>(),
        "require_approval_for_new_issues": config.require_approval_for_new_issues,
        "safety_defaults": config.safety_defaults,
    });
    match summary {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read;

    fn config(body: Value) -> Config {
        read(body).unwrap_or_default()
    }

    #[test]
    fn names_every_path_and_shows_only_what_is_harmless() {
        let old = config(json!({
            "repo": "acme/a", "updated_at_ms": 1,
            "destinations": [
                {"destination_id": "h", "name": "H", "kind": "webhook", "webhook_url": "https://x.test/SECRETPATH",
                 "webhook_secret_ref": "env:SECRETNAME", "config": {"token": "SECRETTOKEN"}},
                {"destination_id": "gone", "name": "G"},
            ],
        }));
        let new = config(json!({
            "repo": "acme/b", "enabled": true, "updated_at_ms": 2, "workspace_root": "/SECRETROOT",
            "destinations": [
                {"destination_id": "fresh", "name": "F", "webhook_url": "https://SECRETFRESH.test"},
                {"destination_id": "h", "name": "H", "kind": "webhook", "webhook_url": "https://y.test/SECRETPATH",
                 "webhook_secret_ref": "env:SECRETOTHER", "config": {"token": "SECRETTOKEN2"}},
            ],
            "routes": [{"route_id": "r", "name": "R", "destination_ids": ["h"]}],
        }));
        let payload = diff(&old, &new);
        let changed = payload["changed"].as_array().cloned().unwrap_or_default();
        let paths: Vec<&str> = changed.iter().filter_map(|change| change["path"].as_str()).collect();
        assert_eq!(
            paths,
            [
                "destinations[h].config",
                "destinations[h].webhook_secret_ref",
                "destinations[h].webhook_url",
                "destinations[gone]",
                "destinations[fresh]",
                "enabled",
                "repo",
                "routes[r]",
                "workspace_root",
            ]
        );
        assert_eq!(changed[6], json!({"path": "repo", "change": "changed", "old": "acme/a", "new": "acme/b"}));
        assert!(!payload.to_string().contains("SECRET"), "{payload}");
        assert_eq!(payload["destinations"][1]["has_webhook_secret_ref"], true);
        assert_eq!(payload["counts"]["routes"], 1);
        assert_eq!(payload["changed_count"], 9);
    }

    #[test]
    fn an_equal_save_changes_nothing() {
        let old = config(
            json!({"destinations": [{"destination_id": "a", "name": "A"}, {"destination_id": "b", "name": "B"}]}),
        );
        let mut new = old.clone();
        new.destinations.reverse();
        new.updated_at_ms = 99;
        assert_eq!(diff(&old, &new)["changed"], json!([]));
    }

    #[test]
    fn many_changes_are_counted_and_bounded() {
        let routes: Vec<Value> = (0..500).map(|i| json!({"route_id": format!("r{i}"), "name": "R"})).collect();
        let payload = diff(&Config::default(), &config(json!({ "routes": routes })));
        assert_eq!(payload["changed"].as_array().map(Vec::len), Some(LISTED));
        assert_eq!(payload["changed_count"], 500);
    }
}
