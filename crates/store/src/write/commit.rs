//! Applying one commit: its rows and jobs, then what it leaves to be decided here, then its signals, then its audit rows.

use tandem_core::{
    incident::{self, Amendment, INCIDENTS, Incident},
    record::{Commit, Committed, Expect, Put, Write},
    tenant::TenantKey,
};

use super::{decide, fold, jobs, log::Log};
use crate::{
    error::Fault,
    session::{Session, Stmt, Value},
    sql,
};

/// The body alone: what proves that there was a row, and what tells of it, stays.
const DROP_BODIES: &str = "UPDATE audit_events SET canonical = '' WHERE tenant = ?1 AND seq >= ?2 AND seq <= ?3";

/// What a statement must have changed for the commit to stand.
#[derive(Clone, Copy, PartialEq)]
pub enum Need {
    OneRow,
    NoRow,
    Nothing,
}

pub async fn apply<S: Session>(session: &mut S, log: &mut Log, commit: &Commit) -> Result<Committed, Fault> {
    let tenant = commit.ctx.tenant.key();
    execute(session, &tenant, &commit.writes).await?;
    for write in &commit.writes {
        if let Write::Amend { incident_id, amendment } = write {
            amend(session, &tenant, incident_id, amendment, commit.ctx.now_ms).await?;
        }
    }
    let mut decided = Commit { ctx: commit.ctx.clone(), writes: Vec::new(), audit: Vec::new() };
    let mut verdicts = Vec::new();
    for write in &commit.writes {
        if let Write::Decide { decide, seed } = write {
            let settled = decide::settle(session, &commit.ctx, &tenant, decide.as_ref(), *seed).await?;
            execute(session, &tenant, &settled.writes).await?;
            decided.writes.extend(settled.writes);
            decided.audit.extend(settled.audit);
            verdicts.push(settled.verdict);
        }
    }
    // Rows can conflict and signals cannot, so the signals' work is not begun for a commit that will not stand.
    let jobs = commit.writes.iter().chain(&decided.writes).any(super::is_job);
    let commit = if verdicts.is_empty() {
        commit
    } else {
        let signals = |write: &&Write| matches!(write, Write::Signal(_));
        decided.writes.extend(commit.writes.iter().filter(signals).cloned());
        decided.audit.extend_from_slice(&commit.audit);
        &decided
    };
    let settled =
        fold::apply(session, log, &[commit]).await?.pop().unwrap_or(Err(Fault::Refused("not applied".into())));
    settled.map(|committed| Committed { verdicts, jobs: jobs || committed.jobs, ..committed })
}

/// Writes the rows and jobs, and checks that each found what it was decided on.
async fn execute<S: Session>(session: &mut S, tenant: &TenantKey, writes: &[Write]) -> Result<(), Fault> {
    let (statements, needs): (Vec<_>, Vec<_>) = writes.iter().filter_map(|write| statement(tenant, write)).unzip();
    if statements.is_empty() {
        return Ok(());
    }
    let changed = session.execute_all(&statements).await?;
    let met = changed.into_iter().zip(needs).all(|(changed, need)| match need {
        Need::OneRow => changed == 1,
        Need::NoRow => changed == 0,
        Need::Nothing => true,
    });
    if met { Ok(()) } else { Err(Fault::Conflict) }
}

/// Reads the incident under the tenant's lock, changes it by the rule, and writes it back.
async fn amend<S: Session>(
    session: &mut S,
    tenant: &TenantKey,
    incident_id: &str,
    amendment: &Amendment,
    now_ms: u64,
) -> Result<(), Fault> {
    let sql = sql::of(&INCIDENTS);
    let key = [Value::Text(tenant.as_str()), Value::Text(incident_id)];
    let Some(mut row) = session.query(Stmt::new(&sql.get, key)).await?.pop() else { return Ok(()) };
    let (id, version, body) = (row.text()?, row.uint()?, row.text()?);
    let mut incident: Incident =
        serde_json::from_str(&body).map_err(|error| Fault::Corrupt(format!("incident {id}: {error}")))?;
    incident::amend(&mut incident, amendment, now_ms);
    let put = Put::update(&incident, version);
    let mut params = vec![Value::Text(tenant.as_str()), Value::Text(incident_id), Value::uint(version)];
    params.push(Value::Text(&put.body));
    params.extend(put.columns.iter().map(Value::from));
    let changed = session.execute_all(&[Stmt { sql: &sql.update, params }]).await?;
    if changed == [1] { Ok(()) } else { Err(Fault::Conflict) }
}

fn statement<'a>(tenant: &'a TenantKey, write: &'a Write) -> Option<(Stmt<'a>, Need)> {
    let tenant = Value::Text(tenant.as_str());
    Some(match write {
        Write::Put(put) => {
            let sql = sql::of(put.collection);
            let mut params = Vec::with_capacity(4 + put.columns.len());
            params.extend([tenant, Value::Text(&put.id)]);
            let (sql, need) = match put.expect {
                Expect::Absent => (&sql.insert, Need::OneRow),
                Expect::Any => (&sql.upsert, Need::OneRow),
                Expect::Version(version) => {
                    params.push(Value::uint(version));
                    (&sql.update, Need::OneRow)
                }
            };
            params.push(Value::Text(&put.body));
            params.extend(put.columns.iter().map(Value::from));
            (Stmt { sql, params }, need)
        }
        Write::Delete { collection, id, expect } => {
            let sql = sql::of(collection);
            let id = Value::Text(id);
            match expect {
                Expect::Absent => (Stmt::new(&sql.delete, [tenant, id]), Need::NoRow),
                Expect::Any => (Stmt::new(&sql.delete, [tenant, id]), Need::Nothing),
                Expect::Version(version) => {
                    (Stmt::new(&sql.delete_version, [tenant, id, Value::uint(*version)]), Need::OneRow)
                }
            }
        }
        Write::Signal(_) | Write::Amend { .. } | Write::Decide { .. } => return None,
        Write::DropBodies { first_seq, last_seq } => {
            (Stmt::new(DROP_BODIES, [tenant, Value::uint(*first_seq), Value::uint(*last_seq)]), Need::Nothing)
        }
        Write::Job(job) => (jobs::insert(tenant, job), Need::OneRow),
        Write::JobDone { job_id, lease } => (jobs::done(job_id, lease), Need::OneRow),
        Write::JobRetry { job_id, lease, due_at_ms } => (jobs::retry(job_id, lease, *due_at_ms), Need::OneRow),
        Write::JobKeep { job_id, lease, until_ms } => (jobs::keep(job_id, lease, *until_ms), Need::OneRow),
        Write::JobsWake { kind, of, due_at_ms } => (jobs::wake(tenant, *kind, of, *due_at_ms), Need::Nothing),
    })
}
