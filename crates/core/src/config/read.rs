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
            Value::Object(map)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(ReadError { path: ".".to_owned(), message: "expected an object".to_owned() });
        }
    };
    serde_path_to_error::deserialize(body)
        .map_err(|error| ReadError { path: error.path().to_string(), message: error.into_inner().to_string() })
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
