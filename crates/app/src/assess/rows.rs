//! Rows of the audit log that name something, for the evidence of it.

use serde_json::Value;
use tandem_core::{
    audit::{event, merkle},
    error::Failure,
    ports::{AuditQuery, AuditRow},
    tenant::TenantKey,
};
use tandem_posture::run::facts::RowFact;

use crate::{App, store_failure, tenant_of};

/// Rows looked through at most for one run.
const LOOKED_THROUGH: usize = 200_000;
const PAGE: usize = 2_000;

/// Which rows are wanted.
pub(crate) struct Wanted<'a> {
    /// Texts of which a payload must hold one.
    pub ids: &'a [&'a str],
    pub since_ms: u64,
    pub until_ms: u64,
}

impl App {
    /// The rows that name one of the ids, by sequence, and whether there were more than could be looked through.
    pub(crate) async fn rows_naming(
        &self,
        tenant: &TenantKey,
        wanted: &Wanted<'_>,
    ) -> Result<(Vec<RowFact>, bool), Failure> {
        let (mut found, mut looked, mut after) = (Vec::new(), 0, 0);
        loop {
            let query = AuditQuery {
                after_seq: Some(after),
                since_ms: Some(wanted.since_ms),
                limit: PAGE,
                ..AuditQuery::default()
            };
            let rows = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
            looked += rows.len();
            let full = rows.len() == PAGE;
            after = rows.last().map_or(after, |row| row.seq);
            for row in rows {
                if !wanted.ids.iter().any(|id| row.canonical.contains(id)) {
                    continue;
                }
                let fact = row_fact(&row, tenant);
                if fact.created_at_ms <= wanted.until_ms && wanted.ids.iter().any(|id| fact.names(id)) {
                    found.push(fact);
                }
            }
            if !full {
                return Ok((found, false));
            }
            if looked >= LOOKED_THROUGH {
                return Ok((found, true));
            }
        }
    }
}

/// A row as evidence. One that cannot be read is not intact, and says nothing.
pub(crate) fn row_fact(row: &AuditRow, tenant: &TenantKey) -> RowFact {
    let mut value: Value = serde_json::from_str(&event::stored(row, &tenant_of(tenant))).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    RowFact {
        seq: row.seq,
        event_id: text(&value["event_id"]),
        event_type: text(&value["event_type"]),
        created_at_ms: value["created_at_ms"].as_u64().unwrap_or_default(),
        tenant: serde_json::from_value(value["tenant_context"].take()).unwrap_or_else(|_| tenant_of(tenant)),
        actor: serde_json::from_value(value["actor"].take()).ok(),
        record_hash: text(&value["record_hash"]),
        intact: row.body().is_none_or(|body| merkle::leaf_hash(body.as_bytes()) == row.leaf),
        body_dropped: row.body().is_none(),
        payload: value["payload"].take(),
    }
}
