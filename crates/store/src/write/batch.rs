//! From waiting operations to one transaction.
//!
//! Commits of nothing but signals go first and together: their order among themselves and against the rest of the
//! batch is free, because nobody has been answered yet. Every other operation has a savepoint, so that its conflict is
//! its own. When the whole batch fails for a reason that may lie in one of its members, each is tried alone.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tandem_core::{
    audit::merkle::Hash,
    ports::Checkpoint,
    record::{Commit, Write},
    tenant::TenantKey,
};

use super::{Answer, Op, commit, fold, jobs, log::Log, wrote_jobs};
use crate::{
    error::Fault,
    session::{Dialect, Session, Stmt, Value},
};

type Settled = Vec<Result<Answer, Fault>>;

/// Transactions that lost against another engine's are tried this often.
const TRIES: usize = 5;

/// The channel on which engines that share a database tell each other of new jobs.
pub const JOBS_CHANNEL: &str = "tandem_jobs";

/// Applies every operation or says why not. When this returns, all that is `Ok` is durable.
pub async fn settle<S: Session>(session: &mut S, ops: &[Op]) -> Settled {
    match persist(session, ops).await {
        Ok(settled) => settled,
        Err(Fault::Unavailable(why)) => ops.iter().map(|_| Err(Fault::Unavailable(why.clone()))).collect(),
        Err(fault) if ops.len() == 1 => vec![Err(fault)],
        Err(fault) => {
            tracing::debug!(?fault, operations = ops.len(), "a batch failed and is applied one by one");
            let mut settled = Vec::with_capacity(ops.len());
            for op in ops {
                settled.push(match persist(session, std::slice::from_ref(op)).await {
                    Ok(mut one) => one.pop().unwrap_or_else(|| Err(Fault::Refused("no answer".into()))),
                    Err(fault) => Err(fault),
                });
            }
            settled
        }
    }
}

/// One transaction, tried again while it loses against others.
async fn persist<S: Session>(session: &mut S, ops: &[Op]) -> Result<Settled, Fault> {
    let mut tries = 0;
    loop {
        match attempt(session, ops).await {
            Err(Fault::Retry(_)) if tries < TRIES => tries += 1,
            outcome => return outcome,
        }
    }
}

async fn attempt<S: Session>(session: &mut S, ops: &[Op]) -> Result<Settled, Fault> {
    session.begin().await?;
    // A panic in a rule must not end the writer, and with it every later commit.
    let outcome = AssertUnwindSafe(apply(session, ops)).catch_unwind().await;
    match outcome {
        Ok(Ok(settled)) => session.commit().await.map(|()| settled),
        Ok(Err(fault)) => {
            session.rollback().await;
            Err(fault)
        }
        Err(_) => {
            session.rollback().await;
            tracing::error!(operations = ops.len(), "a panic while writing; nothing of it is applied");
            Err(Fault::Refused("an internal error".into()))
        }
    }
}

async fn apply<S: Session>(session: &mut S, ops: &[Op]) -> Result<Settled, Fault> {
    let mut log = Log::lock(session, tenants(ops)).await?;
    let mut settled: Vec<Option<Result<Answer, Fault>>> = ops.iter().map(|_| None).collect();

    let plain: Vec<_> =
        ops.iter().enumerate().filter_map(|(n, op)| only_signals(op).map(|commit| (n, commit))).collect();
    if !plain.is_empty() {
        let commits: Vec<_> = plain.iter().map(|(_, commit)| *commit).collect();
        let outcomes = fold::apply(session, &mut log, &commits).await?;
        for ((n, _), outcome) in plain.iter().zip(outcomes) {
            settled[*n] = Some(outcome.map(Answer::Committed));
        }
    }
    for (n, op) in ops.iter().enumerate() {
        if settled[n].is_none() {
            settled[n] = Some(apart(session, &mut log, op, ops.len() == 1).await?);
        }
    }
    log.flush(session).await?;
    let settled: Settled =
        settled.into_iter().map(|one| one.unwrap_or_else(|| Err(Fault::Refused("not applied".into())))).collect();
    if S::DIALECT == Dialect::Postgres && settled.iter().any(wrote_jobs) {
        session.control(&format!("NOTIFY {JOBS_CHANNEL}")).await?;
    }
    Ok(settled)
}

/// Applies one operation so that its failure is its own. An operation that is alone in its transaction has that for a
/// savepoint.
async fn apart<S: Session>(
    session: &mut S,
    log: &mut Log,
    op: &Op,
    alone: bool,
) -> Result<Result<Answer, Fault>, Fault> {
    if alone {
        return one(session, log, op).await.map(Ok);
    }
    session.control("SAVEPOINT op").await?;
    match one(session, log, op).await {
        Ok(answer) => {
            session.control("RELEASE SAVEPOINT op").await?;
            Ok(Ok(answer))
        }
        Err(fault) if fault.is_local() => {
            session.control("ROLLBACK TO SAVEPOINT op").await?;
            session.control("RELEASE SAVEPOINT op").await?;
            Ok(Err(fault))
        }
        Err(fault) => Err(fault),
    }
}

async fn one<S: Session>(session: &mut S, log: &mut Log, op: &Op) -> Result<Answer, Fault> {
    match op {
        Op::Commit(commit) => commit::apply(session, log, commit).await.map(Answer::Committed),
        Op::Claim(order) => jobs::claim(session, order).await.map(Answer::Claims),
        Op::MarkUsed { collection, used } => mark_used(session, collection, used).await.map(|()| Answer::Done),
        Op::Checkpoint { tenant, checkpoint, nodes } => {
            put_checkpoint(session, tenant, checkpoint, nodes).await.map(Answer::Stored)
        }
        Op::MetaInit { key, value } => {
            session.execute_all(&[Stmt::new(META_INIT, [Value::Text(key), Value::Text(value)])]).await?;
            match session.query(Stmt::new(META_GET, [Value::Text(key)])).await?.pop() {
                Some(mut row) => row.text().map(Answer::Value),
                None => Err(Fault::Retry("a value vanished".into())),
            }
        }
        Op::Ping => session.execute_all(&[Stmt::new(PING, [])]).await.map(|_| Answer::Done),
    }
}

const CHECKPOINT: &str = "INSERT INTO checkpoints (tenant, size, root, note, frontier, created_at_ms) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, root = excluded.root, \
    note = excluded.note, frontier = excluded.frontier, created_at_ms = excluded.created_at_ms \
    WHERE checkpoints.size < excluded.size";
/// A completed node never changes, so one that is there already is the same.
const NODE: &str = "INSERT INTO audit_nodes (tenant, level, idx, hash) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
const META_INIT: &str = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const META_GET: &str = "SELECT value FROM meta WHERE key = ?1";
/// Changes a byte each time: a write of what is there already would prove nothing.
const PING: &str = "INSERT INTO meta (key, value) VALUES ('store.ping', '0') \
    ON CONFLICT (key) DO UPDATE SET value = CASE meta.value WHEN '0' THEN '1' ELSE '0' END";
const USED: &str = "INSERT INTO last_used (collection, tenant, id, at_ms) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (collection, tenant, id) DO UPDATE SET at_ms = excluded.at_ms WHERE last_used.at_ms < excluded.at_ms";

async fn put_checkpoint<S: Session>(
    session: &mut S,
    tenant: &TenantKey,
    checkpoint: &Checkpoint,
    nodes: &[(u8, u64, Hash)],
) -> Result<bool, Fault> {
    let tenant = Value::Text(tenant.as_str());
    let statement = Stmt::new(
        CHECKPOINT,
        [
            tenant,
            Value::uint(checkpoint.size),
            Value::Bytes(&checkpoint.root),
            Value::Text(&checkpoint.note),
            Value::Text(&checkpoint.frontier),
            Value::uint(checkpoint.created_at_ms),
        ],
    );
    if session.execute_all(&[statement]).await? != [1] {
        return Ok(false);
    }
    let statements: Vec<_> = nodes
        .iter()
        .map(|(level, index, hash)| {
            Stmt::new(NODE, [tenant, Value::uint((*level).into()), Value::uint(*index), Value::Bytes(hash)])
        })
        .collect();
    if !statements.is_empty() {
        session.execute_all(&statements).await?;
    }
    Ok(true)
}

async fn mark_used<S: Session>(
    session: &mut S,
    collection: &str,
    used: &[(TenantKey, String, u64)],
) -> Result<(), Fault> {
    // In one order, so that two engines that mark the same credentials do not wait for each other in a circle.
    let mut used: Vec<_> = used.iter().collect();
    used.sort();
    let statements: Vec<_> = used
        .iter()
        .map(|(tenant, id, at_ms)| {
            Stmt::new(
                USED,
                [Value::Text(collection), Value::Text(tenant.as_str()), Value::Text(id), Value::uint(*at_ms)],
            )
        })
        .collect();
    session.execute_all(&statements).await.map(|_| ())
}

/// The tenants whose heads the batch needs, sorted.
fn tenants(ops: &[Op]) -> Vec<TenantKey> {
    let mut tenants: Vec<_> = ops
        .iter()
        .filter_map(|op| match op {
            Op::Commit(commit) => Some(commit.ctx.tenant.key()),
            Op::Claim(_) | Op::MarkUsed { .. } | Op::Checkpoint { .. } | Op::MetaInit { .. } | Op::Ping => None,
        })
        .collect();
    tenants.sort();
    tenants.dedup();
    tenants
}

/// A commit that cannot conflict: signals, and audit rows.
fn only_signals(op: &Op) -> Option<&Commit> {
    let Op::Commit(commit) = op else { return None };
    commit.writes.iter().all(|write| matches!(write, Write::Signal(_))).then_some(commit)
}
