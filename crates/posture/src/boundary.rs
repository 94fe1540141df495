//! What crossed, or was kept from crossing, a data boundary: the `data_boundary.` rows of the audit log, counted. Only
//! fields that are safe to show are read; a payload is known by its digest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::tenant::TenantContext;
use utoipa::ToSchema;

/// The event types that are counted.
pub const EVENTS: [&str; 6] = [
    "data_boundary.evaluated",
    "data_boundary.redacted",
    "data_boundary.tokenized",
    "data_boundary.blocked",
    "data_boundary.approval_required",
    "data_boundary.routed_local",
];

/// A row as it was read.
#[derive(Clone, Debug)]
pub struct Row {
    pub seq: u64,
    pub event_id: String,
    pub event_type: String,
    pub created_at_ms: u64,
    pub tenant: TenantContext,
    pub payload: Value,
}

/// Which rows are counted. Absent means all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub action: Option<String>,
    pub provider_id: Option<String>,
    pub source_kind: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DataBoundaryTotals)]
pub struct Totals {
    pub events: u64,
    pub unique_payload_hashes: u64,
    /// Events whose payload had been seen before.
    pub repeat_payload_events: u64,
}

pub type Counted = BTreeMap<String, u64>;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DataBoundaryCounts)]
pub struct Counts {
    pub by_event_type: Counted,
    pub by_action: Counted,
    pub by_provider: Counted,
    pub by_model: Counted,
    pub by_provider_boundary_class: Counted,
    pub by_classification_source: Counted,
    pub by_sensitive_class: Counted,
    pub by_source_kind: Counted,
    pub by_policy_fingerprint: Counted,
    pub by_tenant: Counted,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DataBoundaryEvent)]
pub struct Event {
    pub event_id: String,
    pub event_type: String,
    pub created_at_ms: u64,
    pub seq: u64,
    pub action: Option<String>,
    pub provider_id: Option<String>,
    pub model_id: Option<String>,
    pub boundary_class: Option<String>,
    pub source_kind: Option<String>,
    /// `org/workspace/deployment`, with `-` for none.
    pub tenant: String,
    pub payload_hash: Option<String>,
    pub policy_fingerprint: Option<String>,
    pub total_findings: Option<u64>,
    pub reason_codes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DataBoundaryMonitoring)]
pub struct Monitoring {
    pub source: String,
    pub payload_policy: String,
    pub totals: Totals,
    pub counts: Counts,
    /// Newest first.
    pub recent: Vec<Event>,
}

fn text(payload: &Value, key: &str) -> Option<String> {
    payload.get(key).and_then(Value::as_str).map(|text| tandem_core::text::truncate(text, 200))
}

fn texts(payload: &Value, key: &str) -> Vec<String> {
    let list = payload.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(|text| tandem_core::text::truncate(text, 200)).take(50).collect()
}

pub fn monitoring(rows: &[Row], filter: &Filter, recent: usize) -> Monitoring {
    let fits = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
    let mut events: Vec<(&Row, Event)> = rows
        .iter()
        .map(|row| (row, event(row)))
        .filter(|(_, event)| {
            fits(&filter.action, &event.action)
                && fits(&filter.provider_id, &event.provider_id)
                && fits(&filter.source_kind, &event.source_kind)
        })
        .collect();
    events.sort_by_key(|(row, _)| std::cmp::Reverse((row.created_at_ms, row.seq)));
    let mut counts = Counts::default();
    let mut hashes: BTreeSet<&str> = BTreeSet::new();
    let mut totals = Totals { events: events.len() as u64, ..Totals::default() };
    let add = |map: &mut Counted, key: Option<&str>| {
        if let Some(key) = key {
            *map.entry(key.to_owned()).or_default() += 1;
        }
    };
    for (row, event) in &events {
        add(&mut counts.by_event_type, Some(&event.event_type));
        add(&mut counts.by_action, event.action.as_deref());
        add(&mut counts.by_provider, event.provider_id.as_deref());
        add(&mut counts.by_model, event.model_id.as_deref());
        add(&mut counts.by_provider_boundary_class, event.boundary_class.as_deref());
        add(&mut counts.by_classification_source, text(&row.payload, "classification_source").as_deref());
        for class in texts(&row.payload, "sensitive_classes") {
            add(&mut counts.by_sensitive_class, Some(&class));
        }
        add(&mut counts.by_source_kind, event.source_kind.as_deref());
        add(&mut counts.by_policy_fingerprint, event.policy_fingerprint.as_deref());
        add(&mut counts.by_tenant, Some(&event.tenant));
        if let Some(hash) = event.payload_hash.as_deref() {
            totals.repeat_payload_events += u64::from(!hashes.insert(hash));
        }
    }
    totals.unique_payload_hashes = hashes.len() as u64;
    Monitoring {
        source: "data_boundary_monitoring".into(),
        payload_policy: "audit_safe_fields_only".into(),
        totals,
        counts,
        recent: events.iter().take(recent).map(|(_, event)| event.clone()).collect(),
    }
}

fn event(row: &Row) -> Event {
    let payload = &row.payload;
    let deployment = row.tenant.deployment_id.as_deref().unwrap_or("-");
    Event {
        event_id: row.event_id.clone(),
        event_type: row.event_type.clone(),
        created_at_ms: row.created_at_ms,
        seq: row.seq,
        action: text(payload, "action"),
        provider_id: text(payload, "provider_id"),
        model_id: text(payload, "model_id"),
        boundary_class: text(payload, "boundary_class"),
        source_kind: text(payload, "source_kind"),
        tenant: format!("{}/{}/{deployment}", row.tenant.org_id, row.tenant.workspace_id),
        payload_hash: text(payload, "payload_hash"),
        policy_fingerprint: text(payload, "policy_fingerprint"),
        total_findings: payload.get("total_findings").and_then(Value::as_u64),
        reason_codes: texts(payload, "reason_codes"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(seq: u64, action: &str, hash: &str) -> Row {
        Row {
            seq,
            event_id: format!("e-{seq}"),
            event_type: EVENTS[3].into(),
            created_at_ms: seq,
            tenant: TenantContext::explicit("acme", "main"),
            payload: json!({
                "action": action, "provider_id": "p", "payload_hash": hash, "sensitive_classes": ["pii", "phi"],
                "text": "canary", "total_findings": 2, "reason_codes": ["r"],
            }),
        }
    }

    #[test]
    fn rows_are_counted_and_payloads_stay_out() {
        let rows = [row(1, "block", "h1"), row(2, "redact", "h1"), row(3, "block", "h2")];
        let all = monitoring(&rows, &Filter::default(), 2);
        assert_eq!(all.totals, Totals { events: 3, unique_payload_hashes: 2, repeat_payload_events: 1 });
        assert_eq!(all.counts.by_sensitive_class["pii"], 3);
        assert_eq!(all.counts.by_tenant["acme/main/-"], 3);
        assert_eq!(all.recent.iter().map(|event| event.seq).collect::<Vec<_>>(), [3, 2]);
        assert!(!serde_json::to_string(&all).unwrap().contains("canary"));
        let filter = Filter { action: Some("block".into()), ..Filter::default() };
        let blocked = monitoring(&rows, &filter, 20);
        assert_eq!((blocked.totals.events, blocked.recent.len()), (2, 2));
    }
}
