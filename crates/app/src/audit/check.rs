//! How intact a log is. Small logs are checked whole on every read; large ones by a worker, and reads check what was
//! appended since.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::json;
use tandem_core::{
    actor::{ActorKind, OpContext},
    audit::{
        acknowledge::Acknowledgement,
        checkpoint::Checkpoint as Head,
        integrity::{self, Acknowledged, Break, Check, Integrity, Reason, Status},
        merkle::{TILE_LEVEL, TILE_ROWS},
    },
    custody::retention::DROPPED,
    error::{Code, Failure},
    ports::AuditQuery,
    record::{Commit, Put},
    tenant::TenantKey,
};

use crate::{App, store_failure};

/// Logs of at most this many rows are checked from the first row on every read.
const WHOLE: u64 = 10_000;
const PAGE: usize = 4_096;
/// A worker reads less at once and rests between, so that others' requests do not wait for it. It stops resting while a
/// reader waits for its result.
const SMALL_PAGE: usize = 512;
const RESTS: u32 = 3;

/// The state of a check that can go on where it ended.
struct Progress {
    check: Check,
    next_seq: u64,
    found: Option<Break>,
    /// Runs of rows of which the log tells that their bodies were dropped, by their first row.
    dropped: BTreeMap<u64, u64>,
}

impl Progress {
    fn accounts_for(&self, seq: u64) -> bool {
        self.dropped.range(..=seq).next_back().is_some_and(|(_, last)| seq <= *last)
    }
}

/// The check of one log, and how many readers wait for it.
#[derive(Default)]
struct Held {
    progress: tokio::sync::Mutex<Option<Progress>>,
    readers: AtomicUsize,
}

/// A reader that waits; also one that gives up is counted out.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(readers: &'a AtomicUsize) -> Self {
        readers.fetch_add(1, Ordering::Relaxed);
        Self(readers)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Progress per tenant. Only a cache: a check can always start over.
#[derive(Default)]
pub struct Checks(Mutex<HashMap<TenantKey, Arc<Held>>>);

impl Checks {
    fn of(&self, tenant: &TenantKey) -> Arc<Held> {
        let mut held = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(held.entry(tenant.clone()).or_default())
    }
}

/// What an operator says of a break.
#[derive(Clone, Debug, Default)]
pub struct Acknowledge {
    pub first_bad_seq: u64,
    pub note: String,
}

impl App {
    /// The state of a log, for an answer about it.
    pub async fn integrity(&self, tenant: &TenantKey) -> Result<Integrity, Failure> {
        let size = self.store().audit_size(tenant).await.map_err(store_failure)?;
        let held = self.checks.of(tenant);
        let waiting = Waiting::new(&held.readers);
        let mut progress = held.progress.lock().await;
        drop(waiting);
        if size <= WHOLE {
            *progress = None;
        }
        self.check_on(tenant, &mut progress, None).await
    }

    /// Checks every log from its first row. A worker calls it now and then.
    pub async fn check_all(&self) -> Result<(), Failure> {
        for tenant in self.store().audit_tenants().await.map_err(store_failure)? {
            let held = self.checks.of(&tenant);
            // The first check of a log is one for its readers too: they wait for it, and do not begin another.
            let mut first = held.progress.lock().await;
            let state = if first.is_none() {
                self.check_on(&tenant, &mut first, Some(&held.readers)).await?
            } else {
                drop(first);
                let mut fresh = None;
                let state = self.check_on(&tenant, &mut fresh, Some(&held.readers)).await?;
                *held.progress.lock().await = fresh;
                state
            };
            if state.status == Status::Tampered {
                tracing::error!(
                    tenant = tenant.as_str(),
                    first_bad_seq = state.first_bad_seq,
                    reason = ?state.reason,
                    "the audit log was tampered with"
                );
            }
        }
        Ok(())
    }

    /// Looks at every log as a read does: small ones whole, large ones where they grew.
    pub async fn look_at_all(&self) -> Result<(), Failure> {
        for tenant in self.store().audit_tenants().await.map_err(store_failure)? {
            self.integrity(&tenant).await?;
        }
        Ok(())
    }

    /// `readers` is given by a worker: the number of those who wait for it.
    async fn check_on(
        &self,
        tenant: &TenantKey,
        held: &mut Option<Progress>,
        readers: Option<&AtomicUsize>,
    ) -> Result<Integrity, Failure> {
        let leisure = || readers.is_some_and(|readers| readers.load(Ordering::Relaxed) == 0);
        let mut progress = match held.take() {
            Some(progress) => progress,
            None => self.check_start(tenant).await?,
        };
        loop {
            let begun = std::time::Instant::now();
            let limit = if leisure() { SMALL_PAGE } else { PAGE };
            let query = AuditQuery { after_seq: Some(progress.next_seq - 1), limit, ..AuditQuery::default() };
            let rows = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
            let Some(last) = rows.last().map(|row| row.seq) else { break };
            // What tells of them was written with them, so it is there by now.
            if rows.iter().any(|row| row.body().is_none() && !progress.accounts_for(row.seq)) {
                progress.dropped = self.dropped_bodies(tenant).await?;
            }
            let first_tile = (progress.next_seq - 1) / TILE_ROWS;
            let tiles = last / TILE_ROWS - first_tile.min(last / TILE_ROWS);
            let stored =
                self.store().audit_hashes(tenant, TILE_LEVEL, first_tile, tiles).await.map_err(store_failure)?;
            progress = tokio::task::spawn_blocking(move || {
                for row in &rows {
                    let accounted = progress.accounts_for(row.seq);
                    progress.check.push(match row.body() {
                        Some(body) => integrity::digest(row.seq, body, &row.leaf),
                        None => integrity::without_body(row.seq, &row.leaf, accounted),
                    });
                    // Each stored node comes right after the last row below it.
                    if row.seq % TILE_ROWS == 0 {
                        let tile = row.seq / TILE_ROWS - 1;
                        if let Some(node) = usize::try_from(tile - first_tile).ok().and_then(|i| stored.get(i)) {
                            progress.check.tile(tile, node);
                        }
                    }
                }
                progress.next_seq = last + 1;
                progress
            })
            .await
            .map_err(|_| Failure::of(Code::Internal))?;
            if leisure() {
                tokio::time::sleep(begun.elapsed() * RESTS).await;
            }
        }
        let mut state = progress.check.finish();
        progress.found = progress.check.found();
        // The head row says how many rows there were; a log that ends before it lost its tail.
        let size = self.store().audit_size(tenant).await.map_err(store_failure)?;
        if state.status != Status::Tampered && size > 0 && progress.next_seq - 1 < size {
            let first_seq = progress.next_seq;
            let known = self.acknowledged(tenant).await?;
            if !known.iter().any(|ack| ack.first_bad_seq == first_seq) {
                progress.found = Some(Break { first_seq, last_seq: size, reason: Reason::Truncated });
                state = Integrity {
                    status: Status::Tampered,
                    checked_to_seq: first_seq - 1,
                    first_bad_seq: Some(first_seq),
                    reason: Some(Reason::Truncated),
                };
            }
        }
        *held = Some(progress);
        let mut tampered = self.tampered.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.status == Status::Tampered {
            tampered.insert(tenant.clone());
        } else {
            tampered.remove(tenant);
        }
        Ok(state)
    }

    /// Whether the latest look at any log found it tampered with.
    pub fn is_tampered(&self) -> bool {
        !self.tampered.read().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }

    async fn check_start(&self, tenant: &TenantKey) -> Result<Progress, Failure> {
        let signer = self.signer().await?;
        let known = [signer.verifier_key().clone()];
        let held = self.store().checkpoint(tenant).await.map_err(store_failure)?;
        // Only what the signature covers is believed, not the columns beside it.
        let head = held
            .and_then(|held| Head::open(&held.note, &known).ok())
            .map(|head| integrity::Head { size: head.size, root: head.root });
        let check = Check::new(head, self.acknowledged(tenant).await?);
        Ok(Progress { check, next_seq: 1, found: None, dropped: BTreeMap::new() })
    }

    /// What the log tells of bodies that were dropped.
    async fn dropped_bodies(&self, tenant: &TenantKey) -> Result<BTreeMap<u64, u64>, Failure> {
        let (mut found, mut after) = (BTreeMap::new(), 0);
        loop {
            let query = AuditQuery {
                event_type: Some(DROPPED.into()),
                after_seq: Some(after),
                limit: PAGE,
                ..AuditQuery::default()
            };
            let rows = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
            let Some(last) = rows.last().map(|row| row.seq) else { return Ok(found) };
            after = last;
            for (first, last) in rows.iter().flat_map(|row| integrity::told_of_dropped(&row.canonical, &row.leaf)) {
                let known = found.entry(first).or_insert(last);
                *known = last.max(*known);
            }
        }
    }

    async fn acknowledged(&self, tenant: &TenantKey) -> Result<Vec<Acknowledged>, Failure> {
        let rows = self.all::<Acknowledgement>(tenant, "at_ms", Vec::new(), 1_000).await?;
        Ok(rows.into_iter().map(|row| row.value.range).collect())
    }

    /// Takes note of the break that the log shows now. Needs its first row, so that nobody acknowledges another break
    /// than the one he looked at.
    pub async fn integrity_acknowledge(&self, ctx: &OpContext, ack: &Acknowledge) -> Result<Integrity, Failure> {
        if ctx.actor.kind == ActorKind::Agent {
            return Err(Failure::new(Code::HumanRequired, "an agent cannot acknowledge a broken audit log"));
        }
        let tenant = ctx.tenant.key();
        let state = self.integrity(&tenant).await?;
        let held = self.checks.of(&tenant);
        let found = held.progress.lock().await.as_ref().and_then(|progress| progress.found);
        let broken = found.filter(|found| state.status == Status::Tampered && found.first_seq == ack.first_bad_seq);
        let Some(broken) = broken else {
            let failure = Failure::new(Code::ValidationFailed, "the log shows no break at that row").status(409);
            return Err(failure.with("integrity", json!(state)));
        };
        let record = Acknowledgement {
            ack_id: self.id("integrity-ack-"),
            range: Acknowledged { first_bad_seq: broken.first_seq, last_bad_seq: Some(broken.last_seq) },
            reason: Some(broken.reason),
            note: tandem_core::text::truncate(&ack.note, 2_000),
            at_ms: ctx.now_ms,
        };
        let payload = json!({
            "first_bad_seq": broken.first_seq,
            "last_bad_seq": broken.last_seq,
            "reason": broken.reason,
            "note": tandem_core::redaction::redactor(None)
                .text(&record.note, &mut tandem_core::redaction::Counts::new()),
        });
        let commit =
            Commit::new(ctx).put(Put::insert(&record)).audit(self.event_id(), "audit.integrity.acknowledged", payload);
        self.store().commit(commit).await.map_err(store_failure)?;
        *held.progress.lock().await = None;
        self.integrity(&tenant).await
    }
}
