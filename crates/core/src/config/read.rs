//! From a JSON body to a [`Config`]: both casings, `null` as absent, unknown fields ignored.
//!
//! The free-form objects `config` and `model_policy` keep their keys and nulls exactly as sent.

use serde_json::{Map, Value};

use super::Config;

/// The first field that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// As in `destinations[0].kind`; `.` for the whole.
    pub path: String,
    pub message: String,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Reads the object inside `{"incident_monitor": …}`.
pub fn read(body: Value) -> Result<Config, ReadError> {
    let body = match body {
        Value::Object(mut map) => {
            // `null` here means something: no deadline.
            let endless = [map.get("triage_timeout_ms"), map.get("triageTimeoutMs")].contains(&Some(&Value::Null));
            map = object(map);
            if endless && !map.contains_key("triage_timeout_ms") {
                map.insert("triage_timeout_ms".to_owned(), Value::Null);
            }
            shapes(&map)?;
            Value::Object(map)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(ReadError { path: ".".to_owned(), message: "expected an object".to_owned() });
        }
    };
    serde_path_to_error::deserialize(body)
        .map_err(|error| ReadError { path: error.path().to_string(), message: error.into_inner().to_string() })
}

const OBJECTS: [&str; 4] = ["safety_defaults", "recurrence", "reassessment", "data_readiness"];
const LISTS: [&str; 4] = ["destinations", "routes", "monitored_projects", "log_sources"];

/// Rows and settings are objects. Left to itself, serde also reads a struct from an array, field by field in our order,
/// and no caller may depend on that.
fn shapes(map: &Map<String, Value>) -> Result<(), ReadError> {
    let under = |place: String| {
        move |mut error: ReadError| {
            error.path = if error.path == "." { place.clone() } else { format!("{place}.{}", error.path) };
            error
        }
    };
    for key in OBJECTS {
        if let Some(found) = map.get(key) {
            row(found).map_err(under(key.to_owned()))?;
        }
    }
    for key in LISTS {
        // What is no list at all is told apart where it is read.
        for (i, found) in map.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
            row(found).map_err(under(format!("{key}[{i}]")))?;
        }
    }
    Ok(())
}

fn row(found: &Value) -> Result<(), ReadError> {
    match found {
        Value::Object(map) => shapes(map),
        Value::Array(_) => Err(ReadError { path: ".".to_owned(), message: "expected an object".to_owned() }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Snake case, without nulls; where both casings are given the snake-case one wins.
fn object(map: Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    let mut aliased = Vec::new();
    for (key, value) in map {
        if value.is_null() {
            continue;
        }
        let name = snake(&key);
        let value = if matches!(name.as_str(), "config" | "model_policy") { value } else { normal(value) };
        if name == key {
            out.insert(name, value);
        } else {
            aliased.push((name, value));
        }
    }
    for (name, value) in aliased {
        out.entry(name).or_insert(value);
    }
    out
}

fn normal(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(object(map)),
        Value::Array(items) => Value::Array(items.into_iter().filter(|item| !item.is_null()).map(normal).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// `routeTags` and `routeID` become `route_tags` and `route_id`.
fn snake(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 4);
    let mut after_lower = false;
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            if after_lower {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(c);
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{approval::ApprovalPolicy, config::RecurrencePolicy};

    #[test]
    fn an_empty_object_is_the_default() {
        assert_eq!(read(json!({})), Ok(Config::default()));
    }

    #[test]
    fn null_is_absent_everywhere() {
        let Value::Object(mut all) = serde_json::to_value(Config::default()).unwrap_or_default() else { return };
        for (key, value) in &mut all {
            if key != "triage_timeout_ms" {
                *value = Value::Null;
            }
        }
        assert_eq!(read(Value::Object(all)), Ok(Config::default()));
        let config = read(json!({
            "safety_defaults": {"redact_secrets": null, "retention_days": null},
            "routes": [null, {"route_id": "r", "name": "R", "priority": null, "approval_policy": null, "match_sources": null}],
            "destinations": [{"destination_id": "d", "name": "D", "kind": null, "enabled": null, "config": null}],
        }))
        .unwrap_or_default();
        assert!(config.safety_defaults.redact_secrets);
        assert_eq!(config.routes.len(), 1);
        assert!(config.destinations[0].enabled && config.destinations[0].config.is_none());
    }

    #[test]
    fn the_timeout_knows_absent_from_null() {
        for (body, expected) in [
            (json!({}), Some(1_800_000)),
            (json!({"triage_timeout_ms": null}), None),
            (json!({"triageTimeoutMs": null}), None),
            (json!({"triage_timeout_ms": 0}), Some(0)),
            (json!({"triageTimeoutMs": 7}), Some(7)),
        ] {
            let config = read(body.clone()).unwrap_or_default();
            assert_eq!(config.triage_timeout_ms, expected, "{body}");
            // Always emitted, so that it survives the next round trip.
            let out = serde_json::to_value(&config).unwrap_or_default();
            assert!(out.get("triage_timeout_ms").is_some());
            assert_eq!(read(out).as_ref(), Ok(&config));
        }
    }

    #[test]
    fn both_casings_and_unknown_fields_are_read() {
        let config = read(json!({
            "workspaceRoot": "/srv", "defaultDestinationIDs": ["d"], "unknownThing": {"a": 1},
            "recurrence": {"policy": "new_draft", "quietPeriodMs": 5},
            "monitoredProjects": [{"projectId": "p", "name": "P", "repo": "a/b", "workspaceRoot": "/srv",
                "autoPublish": true, "logSources": [{"sourceID": "s", "path": "x.log", "approvalPolicy": "high_risk"}]}],
            "destinations": [{"destinationId": "d", "name": "D", "kind": "webhook", "webhookURL": "https://x.test",
                "webhook_url": "https://y.test", "config": {"allowedHosts": null, "maxAttempts": 3}}],
            "model_policy": {"default_model": null, "roleModels": {}},
        }))
        .unwrap_or_default();
        assert_eq!(config.workspace_root.as_deref(), Some("/srv"));
        assert_eq!(config.default_destination_ids, ["d"]);
        assert_eq!((config.recurrence.policy, config.recurrence.quiet_period_ms), (RecurrencePolicy::NewDraft, 5));
        let project = &config.monitored_projects[0];
        assert!(project.auto_publish);
        assert_eq!(project.log_sources[0].approval_policy, ApprovalPolicy::HighRisk);
        assert_eq!(config.destinations[0].webhook_url.as_deref(), Some("https://y.test"));
        // Free-form objects keep their keys and nulls.
        let free = serde_json::to_value(&config.destinations[0].config).unwrap_or_default();
        assert_eq!(free, json!({"allowedHosts": null, "maxAttempts": 3}));
        assert_eq!(
            serde_json::to_value(&config.model_policy).unwrap_or_default(),
            json!({"default_model": null, "roleModels": {}})
        );
    }

    #[test]
    fn an_error_names_its_field() {
        for (body, path) in [
            (json!([]), "."),
            (json!("x"), "."),
            (json!({"enabled": "yes"}), "enabled"),
            (json!({"destinations": {}}), "destinations"),
            (json!({"destinations": [["d", "D"]]}), "destinations[0]"),
            (json!({"safetyDefaults": [true, true]}), "safety_defaults"),
            (
                json!({"monitored_projects": [{"project_id": "p", "name": "P", "repo": "a/b", "workspace_root": "/",
                "log_sources": [["s", "x"]]}]}),
                "monitored_projects[0].log_sources[0]",
            ),
            (json!({"destinations": [{"destination_id": "d", "name": "D", "kind": "fax"}]}), "destinations[0].kind"),
            (json!({"destinations": [{"destination_id": "d", "name": "D", "config": []}]}), "destinations[0].config"),
            (json!({"destinations": [{"name": "D"}]}), "destinations[0]"),
            (json!({"model_policy": "gpt"}), "model_policy"),
            (json!({"routes": [{"route_id": "r", "name": "R", "priority": "high"}]}), "routes[0].priority"),
            (json!({"triage_timeout_ms": -1}), "triage_timeout_ms"),
            (
                json!({"monitored_projects": [{"project_id": "p", "name": "P", "repo": "a/b", "workspace_root": "/",
                "log_sources": [{"source_id": "s", "path": "x", "format": "xml"}]}]}),
                "monitored_projects[0].log_sources[0].format",
            ),
        ] {
            assert_eq!(read(body.clone()).err().map(|error| error.path).as_deref(), Some(path), "{body}");
        }
    }
}
