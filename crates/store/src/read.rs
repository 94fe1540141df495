//! Reads: each is one statement, and what its rows mean.

use tandem_core::{
    ports::{AuditQuery, AuditRow, Checkpoint, PageRow, Row},
    record::{Collection, Column, JobKind},
    tenant::TenantKey,
};

use crate::{
    error::Fault,
    schema::{COMMON_EVENTS, IS_LATE, IS_RARE, SLACK_MS},
    session::Cells,
    sql::{self, Select},
};

type Rows = Vec<Cells>;

fn text(value: &str) -> Column {
    Column::text(value)
}

fn int(value: u64) -> Column {
    Column::ms(value)
}

pub fn first<T>(rows: Rows, decode: impl FnOnce(&mut Cells) -> Result<T, Fault>) -> Result<Option<T>, Fault> {
    rows.into_iter().next().map(|mut cells| decode(&mut cells)).transpose()
}

pub fn all<T>(rows: Rows, mut decode: impl FnMut(&mut Cells) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    rows.into_iter().map(|mut cells| decode(&mut cells)).collect()
}

/// A single number, 0 when there is none.
pub fn number(rows: Rows) -> Result<u64, Fault> {
    Ok(first(rows, Cells::maybe_uint)?.flatten().unwrap_or_default())
}

pub fn row(cells: &mut Cells) -> Result<Row, Fault> {
    Ok(Row { id: cells.text()?, version: cells.uint()?, body: cells.text()? })
}

pub fn page_row(cells: &mut Cells) -> Result<PageRow, Fault> {
    Ok(PageRow { order: cells.int()?, row: row(cells)? })
}

pub fn tenant(cells: &mut Cells) -> Result<TenantKey, Fault> {
    cells.text().map(TenantKey)
}

pub fn get(collection: &'static Collection, tenant: &TenantKey, id: &str) -> Select {
    Select::new(&sql::of(collection).get, [text(tenant.as_str()), text(id)])
}

pub fn tenants(collection: &Collection) -> Select {
    Select::new(sql::distinct(collection.name, "tenant"), [])
}

pub fn credential(collection: &Collection, hash: &str) -> Select {
    let sql = format!("SELECT tenant, id, version, body FROM {} WHERE secret_hash = ?1", collection.name);
    Select::new(sql, [text(hash)])
}

pub fn last_used(collection: &Collection, tenant: &TenantKey, id: &str) -> Select {
    Select::new(
        "SELECT at_ms FROM last_used WHERE collection = ?1 AND tenant = ?2 AND id = ?3",
        [text(collection.name), text(tenant.as_str()), text(id)],
    )
}

/// Steps from lane to lane, so the cost is the number of lanes and not of jobs.
const LANES: &str = "WITH RECURSIVE lanes(lane) AS (SELECT (SELECT MIN(lane) FROM jobs WHERE kind = ?1) \
    UNION ALL SELECT (SELECT MIN(lane) FROM jobs WHERE kind = ?1 AND lane > lanes.lane) FROM lanes \
    WHERE lanes.lane IS NOT NULL) ";

pub fn due_lanes(kind: JobKind, now_ms: u64) -> Select {
    let due = "SELECT lane FROM lanes WHERE lane IS NOT NULL AND EXISTS \
               (SELECT 1 FROM jobs WHERE kind = ?1 AND lane = lanes.lane AND ready_at_ms <= ?2)";
    Select::new(format!("{LANES}{due}"), [text(kind.label()), int(now_ms)])
}

pub fn next_due(kind: JobKind) -> Select {
    let next = "SELECT MIN(ready) FROM (SELECT (SELECT MIN(ready_at_ms) FROM jobs WHERE kind = ?1 \
                AND lane = lanes.lane) AS ready FROM lanes WHERE lane IS NOT NULL) AS due";
    Select::new(format!("{LANES}{next}"), [text(kind.label())])
}

pub fn job_count(kind: JobKind) -> Select {
    Select::new("SELECT COUNT(*) FROM jobs WHERE kind = ?1", [text(kind.label())])
}

pub fn audit_size(tenant: &TenantKey) -> Select {
    Select::new("SELECT size FROM audit_head WHERE tenant = ?1", [text(tenant.as_str())])
}

pub fn audit_rows(tenant: &TenantKey, query: AuditQuery) -> Select {
    let mut select =
        Select::new("SELECT seq, event_type, created_at_ms, canonical, leaf FROM audit_events WHERE tenant = ", []);
    select.and("?", [text(tenant.as_str())]);
    if let Some(event_type) = &query.event_type {
        select.and(" AND event_type = ?", [text(event_type)]);
        if !COMMON_EVENTS.contains(&event_type.as_str()) {
            select.and(&format!(" AND {IS_RARE}"), []);
        }
    }
    let direction = match (query.after_seq, query.before_seq) {
        (Some(after), _) => {
            select.and(" AND seq > ?", [int(after)]);
            "ASC"
        }
        (None, Some(_) | None) => "DESC",
    };
    if let Some(since) = query.since_ms {
        // Exact, and then as few rows as can be: nothing up to the sampled row is as late as `since`.
        select.and(" AND created_at_ms >= ?", [int(since)]);
        select.and(
            " AND seq > COALESCE((SELECT e.seq FROM audit_events AS e WHERE e.tenant = ? AND e.clock_ms < ? \
             AND e.seq % 64 = 0 ORDER BY e.clock_ms DESC, e.seq DESC LIMIT 1), 0)",
            [text(tenant.as_str()), int(since)],
        );
    }
    if let Some(until) = query.until_ms {
        select.and(" AND created_at_ms <= ?", [int(until)]);
    }
    upper_bound(&mut select, tenant, &query);
    select.and(&format!(" ORDER BY seq {direction} LIMIT ?"), [int(query.limit as u64)]);
    select
}

/// The rows before which, and the time until which, as one bound on the sequence: given two, SQLite prefers the whole log to
/// the index of a type. Nothing behind the sampled row from which on the clock is later can be as early as the time, unless
/// it came late.
fn upper_bound(select: &mut Select, tenant: &TenantKey, query: &AuditQuery) {
    let before = query.before_seq.filter(|_| query.after_seq.is_none()).map(|before| before.saturating_sub(1));
    let tenant = || text(tenant.as_str());
    let edge = format!(
        "SELECT MAX(at) AS at FROM (SELECT COALESCE((SELECT e.seq FROM audit_events AS e WHERE e.tenant = ? \
         AND e.clock_ms > ? AND e.seq % 64 = 0 ORDER BY e.clock_ms, e.seq LIMIT 1), {}) AS at UNION ALL \
         SELECT seq AS at FROM audit_events WHERE tenant = ? AND {IS_LATE} AND created_at_ms <= ?) AS edge",
        i64::MAX
    );
    let edges = |until: u64| [tenant(), int(until.saturating_add(SLACK_MS)), tenant(), int(until)];
    match (query.until_ms, before) {
        (None, None) => {}
        (None, Some(before)) => select.and(" AND seq <= ?", [int(before)]),
        (Some(until), None) => select.and(&format!(" AND seq <= ({edge})"), edges(until)),
        (Some(until), Some(before)) => select.and(
            &format!(" AND seq <= (SELECT MIN(at) FROM ({edge} UNION ALL SELECT ?) AS bound)"),
            edges(until).into_iter().chain([int(before)]),
        ),
    }
}

pub fn audit_row(cells: &mut Cells) -> Result<AuditRow, Fault> {
    Ok(AuditRow {
        seq: cells.uint()?,
        event_type: cells.text()?,
        created_at_ms: cells.uint()?,
        canonical: cells.text()?,
        leaf: cells.hash()?,
    })
}

pub fn audit_hashes(tenant: &TenantKey, level: u8, start: u64, count: u64) -> Select {
    // Leaves are counted from 0 and rows from 1; the difference is taken here so that both answer with leaf indexes.
    let end = start.saturating_add(count);
    if level == 0 {
        let sql = "SELECT seq - 1, leaf FROM audit_events WHERE tenant = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq";
        return Select::new(sql, [text(tenant.as_str()), int(start), int(end)]);
    }
    let sql =
        "SELECT idx, hash FROM audit_nodes WHERE tenant = ?1 AND level = ?2 AND idx >= ?3 AND idx < ?4 ORDER BY idx";
    Select::new(sql, [text(tenant.as_str()), int(level.into()), int(start), int(end)])
}

/// The hashes from `start` on. Fewer than asked for when the log ends; a gap is corruption, never an end.
pub fn hashes(rows: Rows, start: u64) -> Result<Vec<[u8; 32]>, Fault> {
    let numbered = all(rows, |cells| Ok((cells.uint()?, cells.hash()?)))?;
    if let Some(expected) = (start..).zip(&numbered).find(|(n, row)| *n != row.0).map(|(n, _)| n) {
        return Err(Fault::Corrupt(format!("the audit tree has no hash {expected}")));
    }
    Ok(numbered.into_iter().map(|(_, hash)| hash).collect())
}

pub fn audit_tenants() -> Select {
    Select::new("SELECT tenant FROM audit_head WHERE size > 0 ORDER BY tenant", [])
}

pub fn checkpoint(tenant: &TenantKey) -> Select {
    let sql = "SELECT size, root, note, frontier, created_at_ms FROM checkpoints WHERE tenant = ?1";
    Select::new(sql, [text(tenant.as_str())])
}

pub fn checkpoint_row(cells: &mut Cells) -> Result<Checkpoint, Fault> {
    Ok(Checkpoint {
        size: cells.uint()?,
        root: cells.hash()?,
        note: cells.text()?,
        frontier: cells.text()?,
        created_at_ms: cells.uint()?,
    })
}

pub fn meta(key: &str) -> Select {
    Select::new("SELECT value FROM meta WHERE key = ?1", [text(key)])
}
