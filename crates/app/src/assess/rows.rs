//! Rows of the audit log that name something, for the evidence of it.

use serde_json::Value;
use tandem_core::{
    audit::{
        bundle, event, merkle,
        proof::{self, RangeProof},
    },
    error::Failure,
    ports::{AuditQuery, AuditRow},
    tenant::TenantKey,
    text::hex,
};
use tandem_posture::run::facts::{Dropped, DroppedRange, DroppedRow, RowFact};

use super::Turn;
use crate::{App, store_failure, tenant_of};

/// Rows looked through at most for one run.
const LOOKED_THROUGH: usize = 200_000;
const PAGE: usize = 2_000;
/// Rows without a body that are listed at most.
const MOST_SILENT: usize = 1_000;

/// Which rows are wanted.
pub(crate) struct Wanted<'a> {
    /// Texts of which a payload must hold one.
    pub ids: &'a [&'a str],
    pub since_ms: u64,
    pub until_ms: u64,
}

/// What the log holds of one run.
#[derive(Default)]
pub(crate) struct Found {
    /// The rows that name one of the ids, by sequence.
    pub rows: Vec<RowFact>,
    /// There were more than could be looked through.
    pub truncated: bool,
    /// Rows of that time without a body, which may have named one: the first so many, and how many there are.
    pub silent: Vec<DroppedRow>,
    pub silent_count: u64,
}

impl App {
    /// The rows that name one of the ids, and those that cannot say any more whether they do.
    pub(crate) async fn rows_naming(
        &self,
        _: &Turn,
        tenant: &TenantKey,
        wanted: &Wanted<'_>,
    ) -> Result<Found, Failure> {
        let (mut found, mut looked, mut after) = (Found::default(), 0, 0);
        loop {
            let query = AuditQuery {
                after_seq: Some(after),
                since_ms: Some(wanted.since_ms),
                until_ms: Some(wanted.until_ms),
                limit: PAGE,
                ..AuditQuery::default()
            };
            let rows = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
            looked += rows.len();
            let full = rows.len() == PAGE;
            after = rows.last().map_or(after, |row| row.seq);
            for row in rows {
                if row.body().is_none() {
                    found.silent_count += 1;
                    if found.silent.len() < MOST_SILENT {
                        found.silent.push(silent(row));
                    }
                    continue;
                }
                if !wanted.ids.iter().any(|id| row.canonical.contains(id)) {
                    continue;
                }
                let fact = row_fact(&row, tenant);
                if wanted.ids.iter().any(|id| fact.names(id)) {
                    found.rows.push(fact);
                }
            }
            if !full {
                return Ok(found);
            }
            if looked >= LOOKED_THROUGH {
                found.truncated = true;
                return Ok(found);
            }
        }
    }

    /// Rows without a body with their proofs in the signed log; `None` where there are none.
    pub(crate) async fn dropped(
        &self,
        tenant: &TenantKey,
        rows: Vec<DroppedRow>,
        count: u64,
    ) -> Result<Option<Dropped>, Failure> {
        if count == 0 {
            return Ok(None);
        }
        let signed = self.checkpoint(tenant).await?;
        let truncated = count > rows.len() as u64;
        let mut ranges: Vec<DroppedRange> = Vec::new();
        for row in rows {
            match ranges.last_mut() {
                Some(range) if range.last_seq + 1 == row.seq => {
                    range.last_seq = row.seq;
                    range.rows.push(row);
                }
                Some(_) | None => ranges.push(DroppedRange {
                    first_seq: row.seq,
                    last_seq: row.seq,
                    rows: vec![row],
                    range_proof: RangeProof::default(),
                }),
            }
        }
        for range in &mut ranges {
            // Only what was signed is ever dropped; where that is not so, the log is broken and proves nothing here.
            let Ok(plan) = proof::range_plan(signed.size, range.first_seq - 1, range.last_seq) else { continue };
            let fetched = self.fetch(tenant, plan.ranges()).await?;
            range.range_proof = plan.prove(&fetched).unwrap_or_default();
        }
        Ok(Some(Dropped {
            count,
            truncated,
            ranges,
            tree_size: signed.size,
            root_hash: bundle::shown_root(signed.size, &signed.root),
            checkpoint: signed.note,
            public_key: signed.public_key,
        }))
    }
}

fn silent(row: AuditRow) -> DroppedRow {
    DroppedRow {
        seq: row.seq,
        record_hash: hex(&row.leaf),
        event_type: row.event_type,
        created_at_ms: row.created_at_ms,
        body_dropped: true,
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
