//! Jobs and their leases. A job may be claimed from `ready_at_ms` on: its due time or, once claimed, the end of its
//! lease. So one index finds both what is due and what a dead worker left behind.

use tandem_core::{
    ports::Claim,
    record::{Job, JobKind, Waiting},
    tenant::TenantKey,
};

use super::ClaimOrder;
use crate::{
    error::Fault,
    session::{Dialect, Session, Stmt, Value},
};

pub fn insert<'a>(tenant: Value<'a>, job: &'a Job) -> Stmt<'a> {
    Stmt::new(
        "INSERT INTO jobs (job_id, tenant, kind, lane, subject, due_at_ms, ready_at_ms, attempts) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0) ON CONFLICT DO NOTHING",
        [
            Value::Text(&job.job_id),
            tenant,
            Value::Text(job.kind.label()),
            Value::Text(&job.lane),
            Value::Text(&job.subject),
            Value::uint(job.due_at_ms),
        ],
    )
}

/// The lease is the proof of the right to the job; a lease that has run out still holds until someone else claims.
pub fn done<'a>(job_id: &'a str, lease: &'a str) -> Stmt<'a> {
    Stmt::new("DELETE FROM jobs WHERE job_id = ?1 AND lease = ?2", [Value::Text(job_id), Value::Text(lease)])
}

pub fn retry<'a>(job_id: &'a str, lease: &'a str, due_at_ms: u64) -> Stmt<'a> {
    Stmt::new(
        "UPDATE jobs SET due_at_ms = ?3, ready_at_ms = ?3, lease = NULL WHERE job_id = ?1 AND lease = ?2",
        [Value::Text(job_id), Value::Text(lease), Value::uint(due_at_ms)],
    )
}

/// A lease that another worker has taken over is not extended.
pub fn keep<'a>(job_id: &'a str, lease: &'a str, until_ms: u64) -> Stmt<'a> {
    Stmt::new(
        "UPDATE jobs SET ready_at_ms = ?3 WHERE job_id = ?1 AND lease = ?2",
        [Value::Text(job_id), Value::Text(lease), Value::uint(until_ms)],
    )
}

/// A claimed job is left alone: its worker is at it, and says itself when it is due again.
pub fn wake<'a>(tenant: Value<'a>, kind: JobKind, of: &'a Waiting, due_at_ms: u64) -> Stmt<'a> {
    let (sql, named) = match of {
        Waiting::Subject(subject) => (
            "UPDATE jobs SET due_at_ms = ?4, ready_at_ms = ?4 \
             WHERE kind = ?1 AND subject = ?2 AND tenant = ?3 AND lease IS NULL AND ready_at_ms > ?4",
            subject,
        ),
        Waiting::Lane(lane) => (
            "UPDATE jobs SET due_at_ms = ?4, ready_at_ms = ?4 \
             WHERE kind = ?1 AND lane = ?2 AND tenant = ?3 AND lease IS NULL AND ready_at_ms > ?4",
            lane,
        ),
    };
    Stmt::new(sql, [Value::Text(kind.label()), Value::Text(named), tenant, Value::uint(due_at_ms)])
}

pub async fn claim<S: Session>(session: &mut S, order: &ClaimOrder) -> Result<Vec<Claim>, Fault> {
    let sql = match S::DIALECT {
        Dialect::Sqlite => {
            "WITH picked AS MATERIALIZED (SELECT job_id FROM jobs WHERE kind = ?1 AND lane = ?2 AND ready_at_ms <= ?3 \
             ORDER BY ready_at_ms, job_id LIMIT ?6) \
             UPDATE jobs SET lease = ?4, ready_at_ms = ?5, attempts = attempts + 1 \
             WHERE job_id IN (SELECT job_id FROM picked) RETURNING due_at_ms, job_id, tenant, lane, subject, attempts"
        }
        // Another engine's claim in progress is passed over, not waited for.
        Dialect::Postgres => {
            "WITH picked AS MATERIALIZED (SELECT job_id FROM jobs WHERE kind = ?1 AND lane = ?2 AND ready_at_ms <= ?3 \
             ORDER BY ready_at_ms, job_id LIMIT ?6 FOR UPDATE SKIP LOCKED) \
             UPDATE jobs SET lease = ?4, ready_at_ms = ?5, attempts = attempts + 1 \
             WHERE job_id IN (SELECT job_id FROM picked) RETURNING due_at_ms, job_id, tenant, lane, subject, attempts"
        }
    };
    let statement = Stmt::new(
        sql,
        [
            Value::Text(order.kind.label()),
            Value::Text(&order.lane),
            Value::uint(order.now_ms),
            Value::Text(&order.lease),
            Value::uint(order.lease_until_ms),
            Value::uint(order.limit as u64),
        ],
    );
    let mut claims = Vec::new();
    for mut row in session.query(statement).await? {
        let due_at_ms = row.uint()?;
        let job_id = row.text()?;
        let tenant = TenantKey(row.text()?);
        let job = Job { job_id, kind: order.kind, lane: row.text()?, subject: row.text()?, due_at_ms };
        let attempts = u32::try_from(row.uint()?).unwrap_or(u32::MAX);
        claims.push(Claim { job, tenant, lease: order.lease.clone(), attempts });
    }
    // `RETURNING` promises no order.
    claims.sort_by(|a, b| (a.job.due_at_ms, &a.job.job_id).cmp(&(b.job.due_at_ms, &b.job.job_id)));
    Ok(claims)
}
