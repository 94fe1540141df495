//! Signals into incidents, a whole batch at once: every identity's rows are read once, every signal is folded in order
//! of arrival, and every row is written once, however many signals it took in.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use tandem_core::{
    draft::{DRAFTS, Draft},
    incident::{INCIDENTS, Incident, TOMBSTONES, Tombstone},
    record::{Commit, Committed, Job, Put, Record, Write},
    signal::{
        Accepted, fold,
        fold::{Existing, Written},
    },
    source::evidence::LOG_EVIDENCE,
    tenant::TenantKey,
};

use super::{jobs, log::Log};
use crate::{
    error::Fault,
    session::{Cells, Session, Stmt, Value},
    sql,
};

const BY_IDENTITY: &str = "SELECT id, version, body FROM incidents WHERE identity = ?1 AND tenant = ?2";

/// The columns that a further signal may change. The others, and their indexes, are not touched.
const INCIDENT_CHANGES: &[&str] = &["status", "updated_at_ms"];
const DRAFT_CHANGES: &[&str] = &["status", "updated_at_ms", "incident_id"];
static TOUCH_INCIDENT: LazyLock<String> = LazyLock::new(|| sql::update(INCIDENTS.name, INCIDENT_CHANGES));
static TOUCH_DRAFT: LazyLock<String> = LazyLock::new(|| sql::update(DRAFTS.name, DRAFT_CHANGES));

/// The rows of one identity.
struct Slot<'a> {
    tenant: &'a TenantKey,
    identity: [u8; 16],
    existing: Existing,
    incident_version: Option<u64>,
    /// The draft's version and its body as read, to see whether it changed.
    draft: Option<(u64, String)>,
    tombstone: bool,
    unreadable: Option<String>,
}

/// Folds the signals of all `commits`, and appends the audit rows of each. A commit fails alone when a row that it needs
/// is unreadable.
pub async fn apply<S: Session>(
    session: &mut S,
    log: &mut Log,
    commits: &[&Commit],
) -> Result<Vec<Result<Committed, Fault>>, Fault> {
    let tenants: Vec<TenantKey> = commits.iter().map(|commit| commit.ctx.tenant.key()).collect();
    let mut slots: Vec<Slot<'_>> = Vec::new();
    let mut by_identity: HashMap<(&TenantKey, [u8; 16]), usize> = HashMap::new();
    // For each commit, its signals with the slot that each belongs to.
    let mut plan: Vec<Vec<(usize, &Accepted)>> = Vec::with_capacity(commits.len());
    for (commit, tenant) in commits.iter().zip(&tenants) {
        let mut signals = Vec::new();
        for write in &commit.writes {
            if let Write::Signal(signal) = write {
                let slot = *by_identity.entry((tenant, signal.identity)).or_insert_with(|| {
                    slots.push(Slot::new(tenant, signal.identity));
                    slots.len() - 1
                });
                signals.push((slot, signal.as_ref()));
            }
        }
        plan.push(signals);
    }
    load(session, &mut slots).await?;

    let mut settled: Vec<Result<Committed, Fault>> = Vec::with_capacity(commits.len());
    let mut jobs: Vec<(&TenantKey, Job)> = Vec::new();
    let mut evidence: Vec<(&TenantKey, Put)> = Vec::new();
    // For each slot, the outcome of the last signal that it took in: the one whose rows are written.
    let mut last: Vec<Option<(usize, usize)>> = vec![None; slots.len()];
    for (n, ((commit, tenant), signals)) in commits.iter().zip(&tenants).zip(plan).enumerate() {
        if let Some(why) = signals.iter().find_map(|(slot, _)| slots[*slot].unreadable.clone()) {
            settled.push(Err(Fault::Corrupt(why)));
            continue;
        }
        let jobs_before = jobs.len();
        let (mut outcomes, mut audit) = (Vec::with_capacity(signals.len()), Vec::with_capacity(signals.len()));
        for (slot, signal) in signals {
            let folded = fold(&mut slots[slot].existing, signal, &commit.ctx);
            last[slot] = Some((n, outcomes.len()));
            outcomes.push(folded.outcome);
            audit.push(folded.audit);
            jobs.extend(folded.jobs.into_iter().map(|job| (tenant, job)));
            evidence.extend(folded.evidence.map(|row| (tenant, Put::insert(&row))));
        }
        audit.extend_from_slice(&commit.audit);
        let audit_seq = log.append(tenant, &audit)?;
        settled.push(Ok(Committed {
            signals: outcomes,
            audit_seq,
            jobs: jobs.len() > jobs_before,
            ..Committed::default()
        }));
    }
    for (written, last) in save(session, &slots, &jobs, evidence).await?.into_iter().zip(last) {
        if let Some((n, signal)) = last
            && let Ok(committed) = &mut settled[n]
        {
            committed.signals[signal].stored = written;
        }
    }
    Ok(settled)
}

impl<'a> Slot<'a> {
    fn new(tenant: &'a TenantKey, identity: [u8; 16]) -> Self {
        Self {
            tenant,
            identity,
            existing: Existing::default(),
            incident_version: None,
            draft: None,
            tombstone: false,
            unreadable: None,
        }
    }

    /// Reads a body, or remembers that it cannot be read.
    fn parse<T: Record>(&mut self, what: &str, id: &str, body: &str) -> Option<T> {
        match serde_json::from_str(body) {
            Ok(value) => Some(value),
            Err(error) => {
                self.unreadable = Some(format!("{what} {id}: {error}"));
                None
            }
        }
    }
}

fn row(rows: Vec<Cells>) -> Result<Option<(String, u64, String)>, Fault> {
    let Some(mut row) = rows.into_iter().next() else { return Ok(None) };
    Ok(Some((row.text()?, row.uint()?, row.text()?)))
}

/// Three rounds for all identities together: the incidents, the tombstones of those without one, and the drafts.
async fn load<S: Session>(session: &mut S, slots: &mut [Slot<'_>]) -> Result<(), Fault> {
    if slots.is_empty() {
        return Ok(());
    }
    let identities: Vec<[u8; 16]> = slots.iter().map(|slot| slot.identity).collect();
    let statements: Vec<_> = slots
        .iter()
        .zip(&identities)
        .map(|(slot, identity)| Stmt::new(BY_IDENTITY, [Value::Bytes(identity), Value::Text(slot.tenant.as_str())]))
        .collect();
    let found = session.query_all(&statements).await?;
    let mut drafts: Vec<(usize, String)> = Vec::new();
    let mut new: Vec<(usize, String)> = Vec::new();
    for (n, rows) in found.into_iter().enumerate() {
        let slot = &mut slots[n];
        match row(rows)? {
            None => new.push((n, hex(&slot.identity))),
            Some((id, version, body)) => {
                slot.incident_version = Some(version);
                slot.existing.incident = slot.parse::<Incident>("incident", &id, &body).map(Arc::new);
                drafts.extend(slot.existing.incident.as_ref().and_then(|i| i.draft_id.clone()).map(|id| (n, id)));
            }
        }
    }
    for ((n, hex), rows) in new.iter().zip(get_all(session, &sql::of(&TOMBSTONES).get, slots, &new).await?) {
        if let Some((_, _, body)) = row(rows)? {
            let slot = &mut slots[*n];
            slot.tombstone = true;
            drafts.extend(slot.parse::<Tombstone>("tombstone", hex, &body).map(|tombstone| (*n, tombstone.draft_id)));
        }
    }
    for ((n, id), rows) in drafts.iter().zip(get_all(session, &sql::of(&DRAFTS).get, slots, &drafts).await?) {
        if let Some((_, version, body)) = row(rows)? {
            let slot = &mut slots[*n];
            slot.existing.draft = slot.parse::<Draft>("draft", id, &body).map(Arc::new);
            slot.draft = Some((version, body));
        }
    }
    Ok(())
}

async fn get_all<S: Session>(
    session: &mut S,
    sql: &str,
    slots: &[Slot<'_>],
    wanted: &[(usize, String)],
) -> Result<Vec<Vec<Cells>>, Fault> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let statements: Vec<_> = wanted
        .iter()
        .map(|(n, id)| Stmt::new(sql, [Value::Text(slots[*n].tenant.as_str()), Value::Text(id)]))
        .collect();
    session.query_all(&statements).await
}

/// A row to be written, with the statement's fixed part.
enum Row<'a> {
    Insert {
        sql: &'a str,
        tenant: &'a TenantKey,
        put: Put,
    },
    Touch {
        sql: &'a str,
        tenant: &'a TenantKey,
        put: Put,
        version: u64,
        changes: &'static [&'static str],
    },
    /// A row that is as it was.
    Keep {
        put: Put,
    },
    Bury {
        tenant: &'a TenantKey,
        id: String,
    },
}

/// Writes what changed, and says for each slot what its rows are now.
async fn save<S: Session>(
    session: &mut S,
    slots: &[Slot<'_>],
    jobs: &[(&TenantKey, Job)],
    evidence: Vec<(&TenantKey, Put)>,
) -> Result<Vec<Option<Written>>, Fault> {
    let mut rows: Vec<Row<'_>> = Vec::with_capacity(2 * slots.len());
    // For each slot, where its incident and its draft stand among the rows.
    let mut places: Vec<Option<(usize, Option<usize>)>> = Vec::with_capacity(slots.len());
    for slot in slots {
        // Without an incident no signal was folded: every commit that had one met an unreadable row elsewhere.
        let Some(incident) = slot.existing.incident.as_ref().filter(|_| slot.unreadable.is_none()) else {
            places.push(None);
            continue;
        };
        let tenant = slot.tenant;
        let put = Put::insert(incident.as_ref());
        let place = rows.len();
        rows.push(match slot.incident_version {
            None => Row::Insert { sql: &sql::of(&INCIDENTS).insert, tenant, put },
            Some(version) => Row::Touch { sql: &TOUCH_INCIDENT, tenant, put, version, changes: INCIDENT_CHANGES },
        });
        let mut draft_place = None;
        // The row that was read is the superseded draft's, where a recurrence has opened a new one.
        if let (Some(_), Some(fresh)) = (&slot.existing.superseded, &slot.existing.draft) {
            draft_place = Some(rows.len());
            rows.push(Row::Insert { sql: &sql::of(&DRAFTS).insert, tenant, put: Put::insert(fresh.as_ref()) });
        }
        if let Some(draft) = slot.existing.superseded.as_ref().or(slot.existing.draft.as_ref()) {
            let put = Put::insert(draft.as_ref());
            draft_place = draft_place.or(Some(rows.len()));
            rows.push(match &slot.draft {
                None => Row::Insert { sql: &sql::of(&DRAFTS).insert, tenant, put },
                Some((version, body)) if *body != put.body => {
                    Row::Touch { sql: &TOUCH_DRAFT, tenant, put, version: *version, changes: DRAFT_CHANGES }
                }
                Some(_) => Row::Keep { put },
            });
        }
        places.push(Some((place, draft_place)));
        if slot.tombstone {
            // Its draft belongs to an incident again.
            rows.push(Row::Bury { tenant, id: hex(&slot.identity) });
        }
    }
    // The same place of a log, read again after a reset, has the same evidence.
    rows.extend(evidence.into_iter().map(|(tenant, put)| Row::Insert {
        sql: &sql::of(&LOG_EVIDENCE).upsert,
        tenant,
        put,
    }));
    let jobs = jobs.iter().map(|(tenant, job)| jobs::insert(Value::Text(tenant.as_str()), job));
    let statements: Vec<_> = rows.iter().filter_map(Row::statement).chain(jobs).collect();
    if !statements.is_empty() {
        let changed = session.execute_all(&statements).await?;
        // The tenant's lock is held, so nothing can have changed since the load; an id that was used twice can be in the
        // way.
        if changed.iter().any(|n| *n != 1) {
            return Err(Fault::Conflict);
        }
    }
    drop(statements);
    let mut body = |at: usize| rows[at].take_body();
    Ok(places
        .into_iter()
        .map(|place| place.map(|(at, draft)| Written { incident: body(at), draft: draft.map(&mut body) }))
        .collect())
}

impl Row<'_> {
    fn take_body(&mut self) -> String {
        match self {
            Self::Insert { put, .. } | Self::Touch { put, .. } | Self::Keep { put } => std::mem::take(&mut put.body),
            Self::Bury { .. } => String::new(),
        }
    }

    fn statement(&self) -> Option<Stmt<'_>> {
        Some(match self {
            Self::Insert { sql, tenant, put } => {
                let mut params = Vec::with_capacity(3 + put.columns.len());
                params.extend([Value::Text(tenant.as_str()), Value::Text(&put.id), Value::Text(&put.body)]);
                params.extend(put.columns.iter().map(Value::from));
                Stmt { sql, params }
            }
            Self::Touch { sql, tenant, put, version, changes } => {
                let mut params = Vec::with_capacity(4 + changes.len());
                let [tenant, id] = [Value::Text(tenant.as_str()), Value::Text(&put.id)];
                params.extend([tenant, id, Value::uint(*version), Value::Text(&put.body)]);
                let column = |name| put.collection.columns.iter().position(|column| column == name);
                let value = |name| column(name).and_then(|n| put.columns.get(n)).map_or(Value::Null, Value::from);
                params.extend(changes.iter().map(value));
                Stmt { sql, params }
            }
            Self::Bury { tenant, id } => {
                Stmt::new(&sql::of(&TOMBSTONES).delete, [Value::Text(tenant.as_str()), Value::Text(id)])
            }
            Self::Keep { .. } => return None,
        })
    }
}

/// The id under which a tombstone of this identity is kept.
fn hex(identity: &[u8; 16]) -> String {
    identity.iter().map(|byte| format!("{byte:02x}")).collect()
}
