//! A tool's arguments, filled from a draft.
//!
//! The mapping is an object whose leaves are values or placeholders. A placeholder is a whole string that begins with
//! `$`; there is no interpolation, so text of a report cannot become part of anything else. What is unknown is found
//! when the mapping is read, not when it is sent. A value that is absent is null. Everything that reporters wrote is
//! redacted before it leaves; identifiers that we made ourselves stay as they are.

use serde_json::{Map, Value, json};

use crate::{
    destination::Destination,
    draft::Draft,
    incident::Incident,
    publish::Delivery,
    redaction::{Counts, redactor},
    text::sha256_hex,
};

/// Why a mapping cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MappingError {
    /// No `config.payload` (or `config.arguments`), or one that is no object or empty.
    Missing,
    TooLarge,
    TooDeep,
    /// This placeholder is none of ours.
    Unknown(String),
}

const BYTES: usize = 64 * 1024;
const DEPTH: usize = 16;

const DRAFT: &[&str] = &[
    "id",
    "draft_id",
    "fingerprint",
    "repo",
    "status",
    "title",
    "detail",
    "risk_level",
    "risk_category",
    "actor",
    "model",
    "tool_name",
    "action",
    "policy",
    "approval_state",
    "blast_radius",
    "external_correlation_ids",
    "confidence",
    "expected_destination",
    "project_id",
    "log_source_id",
    "source_kind",
    "tenant_id",
    "workspace_id",
    "event_schema_version",
    "route_tags",
    "evidence_refs",
    "triage_run_id",
    "evidence_digest",
];
const INCIDENT: &[&str] = &[
    "id",
    "incident_id",
    "title",
    "event_type",
    "status",
    "detail",
    "source",
    "component",
    "level",
    "risk_level",
    "risk_category",
    "actor",
    "model",
    "tool_name",
    "action",
    "policy",
    "approval_state",
    "blast_radius",
    "external_correlation_ids",
    "occurrence_count",
    "evidence_refs",
];
const DESTINATION: &[&str] = &["id", "kind", "route_id", "route_match_reason", "target_ref"];
const MCP: &[&str] = &["server", "tool", "namespaced_tool", "schema_hash"];

/// Values that we made ourselves: some look like random tokens, and receivers compare them.
const OWN: &[&str] = &[
    "$draft.id",
    "$draft.draft_id",
    "$draft.triage_run_id",
    "$draft.evidence_digest",
    "$evidence.digest",
    "$idempotency_key",
    "$incident.id",
    "$incident.incident_id",
    "$mcp.schema_hash",
];

/// The mapping of a destination, read and checked.
pub fn read(destination: &Destination) -> Result<&Map<String, Value>, MappingError> {
    let payload = destination.setting(&["payload", "arguments"]).and_then(Value::as_object);
    let map = payload.filter(|map| !map.is_empty()).ok_or(MappingError::Missing)?;
    let mut bytes = 0;
    for (key, value) in map {
        bytes += key.len();
        check(value, 1, &mut bytes)?;
    }
    Ok(map)
}

fn check(value: &Value, depth: usize, bytes: &mut usize) -> Result<(), MappingError> {
    if depth > DEPTH {
        return Err(MappingError::TooDeep);
    }
    match value {
        Value::String(text) => {
            *bytes += text.len();
            if text.starts_with('$') && !known(text) {
                return Err(MappingError::Unknown(crate::text::truncate(text, 100)));
            }
        }
        Value::Array(items) => {
            for item in items {
                check(item, depth + 1, bytes)?;
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                *bytes += key.len();
                check(item, depth + 1, bytes)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => *bytes += 8,
    }
    if *bytes > BYTES { Err(MappingError::TooLarge) } else { Ok(()) }
}

fn known(placeholder: &str) -> bool {
    if matches!(placeholder, "$idempotency_key" | "$evidence.digest") {
        return true;
    }
    let Some((root, field)) = placeholder.split_once('.') else { return false };
    let fields = match root {
        "$draft" => DRAFT,
        "$incident" => INCIDENT,
        "$destination" => DESTINATION,
        "$mcp" => MCP,
        _ => return false,
    };
    fields.contains(&field)
}

/// What the placeholders stand for.
pub struct Facts<'a> {
    pub draft: &'a Draft,
    pub incident: Option<&'a Incident>,
    pub delivery: &'a Delivery,
    pub server: &'a str,
    pub tool: &'a str,
    pub namespaced_tool: &'a str,
    pub schema_hash: &'a str,
}

/// Arguments ready to be checked against the tool's schema and sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Arguments {
    pub values: Map<String, Value>,
    /// How many values each redaction rule replaced.
    pub redactions: Counts,
    /// Of the arguments as sent; the only trace of their values that is kept.
    pub sha256: String,
}

impl Arguments {
    /// Names of the top-level arguments, sorted.
    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self.values.keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }
}

/// Fills the mapping. It was checked by [`read`], so every placeholder has a value.
pub fn render(mapping: &Map<String, Value>, facts: &Facts<'_>) -> Arguments {
    let sources = [
        ("$draft", draft(facts)),
        ("$incident", facts.incident.map_or(Value::Null, incident)),
        ("$destination", destination(facts.delivery)),
        (
            "$mcp",
            json!({
                "server": facts.server,
                "tool": facts.tool,
                "namespaced_tool": facts.namespaced_tool,
                "schema_hash": facts.schema_hash,
            }),
        ),
    ];
    let mut redactions = Counts::new();
    let profile = facts.draft.routing.redaction_profile.as_deref();
    let values = mapping
        .iter()
        .map(|(key, value)| (key.clone(), fill(value, facts, &sources, profile, &mut redactions)))
        .collect::<Map<_, _>>();
    let sha256 = sha256_hex(&Value::Object(values.clone()).to_string());
    Arguments { values, redactions, sha256 }
}

fn fill(
    value: &Value,
    facts: &Facts<'_>,
    sources: &[(&str, Value)],
    profile: Option<&str>,
    redactions: &mut Counts,
) -> Value {
    match value {
        Value::String(text) if text.starts_with('$') => {
            let mut filled = match text.as_str() {
                "$idempotency_key" => json!(facts.delivery.idempotency_key),
                "$evidence.digest" => json!(facts.delivery.evidence_digest),
                other => lookup(other, sources),
            };
            if !OWN.contains(&text.as_str()) {
                redactor(profile).json(&mut filled, redactions);
            }
            filled
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| fill(item, facts, sources, profile, redactions)).collect())
        }
        Value::Object(map) => Value::Object(
            map.iter().map(|(key, item)| (key.clone(), fill(item, facts, sources, profile, redactions))).collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn lookup(placeholder: &str, sources: &[(&str, Value)]) -> Value {
    let Some((root, field)) = placeholder.split_once('.') else { return Value::Null };
    let source = sources.iter().find(|(name, _)| *name == root);
    source.and_then(|(_, value)| value.get(field)).cloned().unwrap_or_default()
}

fn draft(facts: &Facts<'_>) -> Value {
    let draft = facts.draft;
    let (safety, class, routing) = (&draft.safety, &draft.classification, &draft.routing);
    json!({
        "id": draft.draft_id,
        "draft_id": draft.draft_id,
        "fingerprint": draft.fingerprint,
        "repo": draft.repo,
        "status": draft.status,
        "title": draft.title,
        "detail": draft.detail,
        "risk_level": class.risk_level,
        "risk_category": safety.risk_category,
        "actor": safety.actor,
        "model": safety.model,
        "tool_name": safety.tool_name,
        "action": safety.action,
        "policy": safety.policy,
        "approval_state": safety.approval_state,
        "blast_radius": safety.blast_radius,
        "external_correlation_ids": safety.external_correlation_ids,
        "confidence": class.confidence,
        "expected_destination": class.expected_destination,
        "project_id": draft.project_id,
        "log_source_id": draft.log_source_id,
        "source_kind": draft.source_kind,
        "tenant_id": routing.tenant_id,
        "workspace_id": routing.workspace_id,
        "event_schema_version": routing.event_schema_version,
        "route_tags": routing.route_tags,
        "evidence_refs": class.evidence_refs,
        "triage_run_id": draft.triage_run_id,
        "evidence_digest": facts.delivery.evidence_digest,
    })
}

fn incident(incident: &Incident) -> Value {
    let (safety, class) = (&incident.safety, &incident.classification);
    json!({
        "id": incident.incident_id,
        "incident_id": incident.incident_id,
        "title": incident.title,
        "event_type": incident.event_type,
        "status": incident.status,
        "detail": incident.detail,
        "source": incident.source,
        "component": incident.component,
        "level": incident.level,
        "risk_level": class.risk_level,
        "risk_category": safety.risk_category,
        "actor": safety.actor,
        "model": safety.model,
        "tool_name": safety.tool_name,
        "action": safety.action,
        "policy": safety.policy,
        "approval_state": safety.approval_state,
        "blast_radius": safety.blast_radius,
        "external_correlation_ids": safety.external_correlation_ids,
        "occurrence_count": incident.occurrence_count,
        "evidence_refs": class.evidence_refs,
    })
}

fn destination(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.destination_id,
        "kind": delivery.destination_kind,
        "route_id": delivery.route_id,
        "route_match_reason": delivery.route_match_reason,
        "target_ref": delivery.target_ref,
    })
}

#[cfg(test)]
#[path = "mapping_tests.rs"]
mod tests;
