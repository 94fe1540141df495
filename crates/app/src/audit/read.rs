//! Rows for readers: pages, the manifest, the stream.

use serde::Serialize;
use serde_json::Value;
use tandem_core::{
    actor::OpContext,
    audit::{
        bundle::{self, SCHEMA_VERSION},
        event,
        integrity::Integrity,
    },
    error::{Code, Failure},
    ports::{AuditQuery, AuditRow},
    tenant::{TenantContext, TenantKey},
};
use utoipa::ToSchema;

use super::Witnessed;
use crate::{App, store_failure, tenant_of};

/// At most this many rows are looked through for one page of a `run_id` filter.
const LOOKED_THROUGH: usize = 50_000;

#[derive(Clone, Debug, Default)]
pub struct EventsRequest {
    pub event_type: Option<String>,
    /// Rows whose payload holds one of these as a string value.
    pub run_ids: Vec<String>,
    pub limit: usize,
    /// Rows before this sequence number.
    pub before_seq: Option<u64>,
}

/// Rows oldest first, and where older ones begin.
#[derive(Clone, Debug)]
pub struct Events {
    pub events: Vec<Value>,
    pub next: Option<u64>,
    pub integrity: Integrity,
}

/// What a log is and how far it reaches.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Manifest {
    /// Opaque; never a path of the server.
    pub ledger_path: String,
    pub schema_version: u32,
    pub record_count: u64,
    pub last_seq: u64,
    /// The signed root, hex; null for an empty log.
    pub root_hash: Option<String>,
    pub legacy_record_count: u64,
    pub keyed_record_count: u64,
    pub integrity_key_ids: Vec<String>,
    #[schema(value_type = Option<Object>)]
    pub external_anchor: Option<Value>,
    pub generated_at_ms: u64,
    pub tree_size: u64,
    /// The signed note over size and root.
    pub checkpoint: String,
    /// The verifier key of the checkpoint.
    pub public_key: String,
    /// What each witness has signed of the log; empty where the server has none.
    pub witnesses: Vec<Witnessed>,
    pub integrity: Integrity,
}

/// A row of the stream.
#[derive(Clone, Debug)]
pub struct StreamRow {
    pub seq: u64,
    pub line: Value,
}

impl App {
    /// The tenant whose log is read. Only the local implicit tenant may name another one.
    pub fn audit_tenant(&self, ctx: &OpContext, named: Option<&str>) -> Result<TenantKey, Failure> {
        let own = ctx.tenant.key();
        match tandem_core::text::non_blank(named) {
            None => Ok(own),
            Some(named) if named == own.as_str() || ctx.tenant.is_local_implicit() => Ok(TenantKey(named.to_owned())),
            Some(_) => Err(Failure::of(Code::TenantContextDenied)),
        }
    }

    /// The newest rows that match, oldest first.
    pub async fn audit_events(&self, tenant: &TenantKey, request: &EventsRequest) -> Result<Events, Failure> {
        let integrity = self.integrity(tenant).await?;
        let mut before = request.before_seq;
        let mut found: Vec<(u64, Value)> = Vec::new();
        let mut looked = 0;
        let mut exhausted = false;
        while found.len() <= request.limit && looked < LOOKED_THROUGH {
            let query = AuditQuery {
                event_type: request.event_type.clone(),
                before_seq: before,
                limit: if request.run_ids.is_empty() { request.limit + 1 - found.len() } else { 1_000 },
                ..AuditQuery::default()
            };
            let wanted = query.limit;
            let rows = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
            looked += rows.len();
            before = rows.iter().map(|row| row.seq).min().or(before);
            for row in &rows {
                let value = wire(row, tenant);
                if request.run_ids.is_empty() || mentions(&value["payload"], &request.run_ids) {
                    found.push((row.seq, value));
                }
            }
            if rows.len() < wanted {
                exhausted = true;
                break;
            }
        }
        found.sort_by_key(|(seq, _)| std::cmp::Reverse(*seq));
        let more = found.len() > request.limit || !exhausted;
        found.truncate(request.limit);
        let next = if more { found.last().map(|(seq, _)| *seq).or(before) } else { None };
        found.reverse();
        Ok(Events { events: found.into_iter().map(|(_, value)| value).collect(), next, integrity })
    }

    pub async fn audit_manifest(&self, tenant: &TenantKey) -> Result<Manifest, Failure> {
        let signed = self.checkpoint(tenant).await?;
        let integrity = self.integrity(tenant).await?;
        let size = self.store().audit_size(tenant).await.map_err(store_failure)?;
        Ok(Manifest {
            ledger_path: format!("tandem://audit/{}", tenant.as_str()),
            schema_version: SCHEMA_VERSION,
            record_count: size,
            last_seq: size,
            root_hash: bundle::shown_root(signed.size, &signed.root),
            legacy_record_count: 0,
            keyed_record_count: 0,
            integrity_key_ids: vec![bundle::key_id(&signed.public_key)],
            external_anchor: None,
            generated_at_ms: self.now_ms(),
            tree_size: signed.size,
            checkpoint: signed.note,
            public_key: signed.public_key,
            witnesses: self.witnessed(tenant, signed.size).await?,
            integrity,
        })
    }

    /// Rows after `after_seq`, oldest first, in the stream's shape.
    pub async fn audit_stream(
        &self,
        tenant: &TenantKey,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<StreamRow>, Failure> {
        let query = AuditQuery { after_seq: Some(after_seq), limit, ..AuditQuery::default() };
        let rows = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
        Ok(rows.iter().map(|row| StreamRow { seq: row.seq, line: stream_line(row, tenant) }).collect())
    }

    /// The tenant of a log as exports name it.
    pub(super) fn audit_names(tenant: &TenantKey) -> (String, String) {
        let TenantContext { org_id, workspace_id, deployment_id, .. } = tenant_of(tenant);
        match deployment_id {
            Some(deployment) => (org_id, format!("{workspace_id}/{deployment}")),
            None => (org_id, workspace_id),
        }
    }
}

fn wire(row: &AuditRow, tenant: &TenantKey) -> Value {
    serde_json::from_str(&event::stored(row, &tenant_of(tenant))).unwrap_or_default()
}

fn stream_line(row: &AuditRow, tenant: &TenantKey) -> Value {
    let record = wire(row, tenant);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    serde_json::json!({
        "cursor": row.seq,
        "event_type": record["event_type"],
        "actor_id": text(&record["actor"]["actor_id"]),
        "executed_as": "tandem-server",
        "command": record["event_type"],
        "workspace": record["tenant_context"]["workspace_id"],
        "tool_call_id": text(&record["payload"]["tool_call_id"]),
        "result": record["payload"],
        "timestamp": record["created_at_ms"],
        "channel": text(&record["payload"]["channel"]),
        "record": record,
    })
}

/// Whether any string value in the payload equals one of the ids.
fn mentions(value: &Value, ids: &[String]) -> bool {
    match value {
        Value::String(text) => ids.contains(text),
        Value::Array(items) => items.iter().any(|item| mentions(item, ids)),
        Value::Object(map) => map.values().any(|item| mentions(item, ids)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
