//! One source under its lease: read a step, take in what it found, commit both.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tandem_core::{
    config::{Config, LogSource, Project},
    error::{Code, Failure},
    ports::{BoxFuture, Claim, LogReader, Reading, StoreError},
    record::{Commit, JobKind, Put, Write},
    signal::from_log::Around,
    source::{
        self, Scope, SourcePosition,
        log::{Batch, Budget, Last, LogError, LogErrorCode, ReadOrder, SourceSpec},
        restart::delay_ms,
        state::SourceRow,
    },
    tenant::TenantKey,
};

use super::{
    AT_ONCE, CATCHING_UP, HEARD_MS, SAVE_BYTES, SAVE_MS, STALL, configured_at, gather::Step, lease_ms, spec, wanted,
};
use crate::{App, DECISIONS, config::Snapshot, store_failure};

/// What to do after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is more: step again at once.
    Again,
    /// Step again after this, or sooner when something changed.
    Rest(Duration),
    /// Step again after this and not sooner: the source has failed.
    BackOff(Duration),
    /// The source is not to be read any more, or not by this process.
    Gone,
}

/// A source that this process reads.
pub struct Tail {
    tenant: TenantKey,
    claim: Claim,
    lease_until_ms: u64,
    held: Option<Held>,
    hand: Option<Hand>,
    /// Steps that ended without being stored, in a row.
    lost: u64,
    /// How long a read may take before its source is ill.
    pub stall: Duration,
    /// How often the lease is renewed while a read takes its time.
    pub beat: Duration,
}

/// What is known of the row between steps. Dropping it costs nothing but reading again.
struct Held {
    row: SourceRow,
    version: u64,
    /// The last read left something unread: the next one may take more, so that whoever is behind catches up.
    behind: bool,
    /// When the row was last written, and the bytes that were read since.
    saved_at_ms: u64,
    unsaved_bytes: u64,
    unsaved: bool,
}

impl Held {
    fn new(row: SourceRow, version: u64, now_ms: u64) -> Self {
        Self { row, version, behind: false, saved_at_ms: now_ms, unsaved_bytes: 0, unsaved: false }
    }
}

/// Who reads. It outlives steps that were not stored, because the text of a file that was deleted meanwhile is behind its
/// open descriptor and nowhere else.
struct Hand {
    spec: SourceSpec,
    reader: Option<Box<dyn LogReader>>,
    reading: Option<Begun>,
    /// What was read last, or is being read, belongs to a step that is not stored: it is read again.
    anew: bool,
}

/// A read under way, and where it began.
struct Begun {
    from: SourcePosition,
    reading: BoxFuture<'static, Reading>,
}

impl Tail {
    /// Lets go of a step. Whatever of it was not stored is read again.
    fn lose(&mut self) -> Option<Held> {
        if let Some(hand) = &mut self.hand {
            hand.anew = true;
        }
        self.held.take()
    }

    /// The id of the source's row.
    pub fn id(&self) -> &str {
        &self.claim.job.subject
    }

    fn ids(&self) -> (&str, &str) {
        self.id().split_once('/').unwrap_or((self.id(), ""))
    }

    fn keep(&self, until_ms: u64) -> Write {
        Write::JobKeep { job_id: self.claim.job.job_id.clone(), lease: self.claim.lease.clone(), until_ms }
    }
}

impl App {
    /// Takes a source for this process, if nobody else has it.
    pub async fn tail_claim(&self, lane: &str) -> Result<Option<Tail>, Failure> {
        let now_ms = self.now_ms();
        let until = now_ms + lease_ms(self.store().exclusive());
        let lease = self.ports.ids.fresh();
        let claims = self.store().claim(JobKind::Tail, lane, now_ms, &lease, until, 1).await.map_err(store_failure)?;
        Ok(claims.into_iter().next().map(|claim| Tail {
            tenant: claim.tenant.clone(),
            claim,
            lease_until_ms: until,
            held: None,
            hand: None,
            lost: 0,
            stall: STALL,
            beat: Duration::from_millis(lease_ms(self.store().exclusive()) / 3),
        }))
    }

    /// One step. Never fails: what goes wrong shows in the source's health, and the step is made again.
    pub async fn tail_step(&self, tail: &mut Tail) -> Next {
        let outcome = AssertUnwindSafe(self.tail_try(tail)).catch_unwind().await;
        let failure = match outcome {
            Ok(Ok(next)) => {
                tail.lost = 0;
                return next;
            }
            Ok(Err(failure)) => failure,
            Err(_) => {
                (tail.held, tail.hand) = (None, None);
                let error = LogError::new(LogErrorCode::Panicked, "reading the source ended abnormally");
                match self.tail_failed(tail, error).await {
                    Ok(next) => return next,
                    Err(failure) => failure,
                }
            }
        };
        tail.lost += 1;
        let held = tail.lose();
        if failure.code == Code::Conflict {
            // Somebody changed the row, or the lease is lost. What was read is read again by whoever may.
            return match self.tail_renew(tail, None).await {
                Ok(()) => Next::Again,
                Err(_) => Next::Gone,
            };
        }
        tracing::warn!(source = tail.id(), code = failure.code.word(), "a step of a log source was not stored");
        if let Some(mut held) = held {
            let error = LogError::new(LogErrorCode::StoreUnavailable, failure.message);
            held.row.state.fail(&error, self.now_ms());
            self.hub.note(&tail.tenant, &held.row.id, held.version, &held.row.state);
        }
        Next::BackOff(back_off(tail.lost).min(Duration::from_secs(5)))
    }

    async fn tail_try(&self, tail: &mut Tail) -> Result<Next, Failure> {
        let snapshot = self.snapshot(&tail.tenant).await?;
        let (project_id, source_id) = tail.ids();
        let Some((project, source)) = wanted(&snapshot.config, project_id, source_id) else {
            return self.tail_release(tail, "not to be read").await;
        };
        let Some(held) = self.tail_held(tail, &snapshot.config, project, source).await? else {
            // Its row is gone: forgotten while it was not configured, or deleted.
            let ctx = self.worker_ctx("tail", &tail.tenant);
            self.store().commit(Commit::new(&ctx).write(done(&tail.claim))).await.map_err(store_failure)?;
            return Ok(Next::Gone);
        };
        tail.held = Some(held);
        let spec = spec(project, source);
        tail.hand.get_or_insert_with(|| Hand { spec, reader: None, reading: None, anew: false });
        let exclusive = self.store().exclusive();
        if tail.lease_until_ms.saturating_sub(self.now_ms()) < lease_ms(exclusive) / 3 * 2 {
            // Engines that share a store tell each other by the row that the source is attended to.
            let mut held = tail.held.take();
            if let Some(held) = &mut held {
                self.tail_renew(tail, Some(held)).await?;
            }
            tail.held = held;
        }
        let mut step = Step::new(self.now_ms());
        loop {
            let first = step.position.is_none();
            let Some(reading) = self.tail_read(tail, source, &step).await? else {
                if first {
                    let error = LogError::new(LogErrorCode::Stalled, "a read does not come back; no other is begun");
                    return self.tail_failed(tail, error).await;
                }
                break;
            };
            let Reading { position, result, .. } = reading;
            let found = match (result, position) {
                (Ok(batch), Some(position)) => step.add(position, batch),
                (Ok(_), None) => return Err(Failure::of(Code::Internal)),
                (Err(error), _) if first => return self.tail_failed(tail, error).await,
                // What was read before is stored first; the next step meets the same error.
                (Err(_), _) => break,
            };
            let goes_on = tail.held.as_ref().is_some_and(|held| held.behind) && step.has_room(self.now_ms());
            if goes_on {
                self.tail_begin(tail, source, &step);
            }
            let mut found = found.into_iter().peekable();
            while found.peek().is_some() {
                let some = found.by_ref().take(AT_ONCE);
                if let Err(why) = self.tail_take(&tail.tenant, &snapshot, project, source, some, &mut step) {
                    return self.tail_failed(tail, LogError::new(LogErrorCode::Refused, why)).await;
                }
                // Others have their turn.
                tokio::task::yield_now().await;
            }
            if !goes_on {
                break;
            }
        }
        self.tail_settle(tail, source, step).await
    }

    /// The row and a reader that fit the configuration. `None` when the source has no row any more.
    async fn tail_held(
        &self,
        tail: &mut Tail,
        config: &Config,
        project: &Project,
        source: &LogSource,
    ) -> Result<Option<Held>, Failure> {
        let wanted = spec(project, source);
        let stored = self.load::<SourceRow>(&tail.tenant, tail.id()).await?;
        let Some(stored) = stored else { return Ok(None) };
        // Other files, or the same ones understood differently from here on.
        tail.hand.take_if(|hand| hand.spec != wanted);
        match tail.held.take() {
            Some(held) if held.version == stored.version && held.row.state.is_of(&wanted) => return Ok(Some(held)),
            _ => drop(tail.lose()),
        }
        let (mut row, mut version) = (stored.value, stored.version);
        if !row.state.is_of(&wanted) {
            let ctx = self.worker_ctx("tail", &tail.tenant);
            let payload = json!({
                "project_id": row.state.project_id,
                "source_id": row.state.source_id,
                "path_before": row.state.position.path,
                "path": wanted.path,
                "start_position": source.start_position,
            });
            row.state.repoint(&wanted, configured_at(config, ctx.now_ms), ctx.now_ms);
            let commit = Commit::new(&ctx).put(Put::update(&row, version)).write(tail.keep(tail.lease_until_ms)).audit(
                self.event_id(),
                "incident_monitor.log_source.repointed",
                payload,
            );
            self.store().commit(commit).await.map_err(store_failure)?;
            version += 1;
        }
        Ok(Some(Held::new(row, version, self.now_ms())))
    }

    /// The read in progress, or a new one. The lease is kept for as long as it takes. `None` when it does not come back in
    /// time; it goes on, and is waited for again by the next step.
    async fn tail_read(&self, tail: &mut Tail, source: &LogSource, step: &Step) -> Result<Option<Reading>, Failure> {
        let mut waited = Duration::ZERO;
        loop {
            self.tail_begin(tail, source, step);
            let begun = tail.hand.as_mut().and_then(|hand| hand.reading.take());
            let Some(mut begun) = begun else { return Err(Failure::of(Code::Internal)) };
            let beat = tail.beat.min(tail.stall.saturating_sub(waited));
            let back = tokio::time::timeout(beat, &mut begun.reading).await;
            let (Some(held), Some(hand)) = (&tail.held, &mut tail.hand) else {
                return Err(Failure::of(Code::Internal));
            };
            match back {
                Ok(mut back) => {
                    hand.reader = back.reader.take();
                    let wanted = step.position.as_ref().unwrap_or(&held.row.state.position);
                    // One that was begun by a step that nobody ended goes on where nothing is stored.
                    hand.anew |= begun.from != *wanted;
                    if !hand.anew {
                        return Ok(Some(back));
                    }
                }
                Err(_) => {
                    hand.reading = Some(begun);
                    waited += beat;
                    if waited >= tail.stall {
                        return Ok(None);
                    }
                    self.tail_renew(tail, None).await?;
                }
            }
        }
    }

    /// Begins the next read of a step, unless one is under way: that has the reader, so it is waited for, whatever it is
    /// of.
    fn tail_begin(&self, tail: &mut Tail, source: &LogSource, step: &Step) {
        let (Some(held), Some(hand)) = (&tail.held, &mut tail.hand) else { return };
        if hand.reading.is_some() {
            return;
        }
        let reader = hand.reader.take().unwrap_or_else(|| self.ports.logs.reader(hand.spec.clone()));
        let from = step.position.clone().unwrap_or_else(|| held.row.state.position.clone());
        let last = match std::mem::take(&mut hand.anew) {
            true => Last::Lost,
            false if step.position.is_some() || held.unsaved => Last::Waits,
            false => Last::Stored,
        };
        let (bytes, candidates) = if held.behind { CATCHING_UP } else { (0, 0) };
        let candidates = usize::try_from(source.max_candidates_per_poll.max(candidates)).unwrap_or(usize::MAX);
        // What is there is stored before any of it is read: what is rotated meanwhile is known then.
        let bytes = if from.started_at_ms == 0 { 0 } else { source.max_bytes_per_poll.max(bytes) };
        let mut reading = reader.read(ReadOrder {
            position: from.clone(),
            start: source.start_position,
            budget: Budget { bytes, candidates },
            now_ms: self.ports.clock.now_ms(),
            last,
        });
        // It is under way from here on, though nobody waits for it yet.
        if let Some(back) = (&mut reading).now_or_never() {
            reading = Box::pin(std::future::ready(back));
        }
        hand.reading = Some(Begun { from, reading });
    }

    /// Takes in what was found. The error says why it cannot be.
    fn tail_take(
        &self,
        tenant: &TenantKey,
        snapshot: &Snapshot,
        project: &Project,
        source: &LogSource,
        found: impl Iterator<Item = source::log::Candidate>,
        step: &mut Step,
    ) -> Result<(), String> {
        let ctx = self.worker_ctx("tail", tenant);
        let config = &snapshot.config;
        let Some(binding) = source::binding(config, &project.project_id, Some(&source.source_id)) else {
            return Err("the source has no binding".into());
        };
        let around = Around {
            config,
            scope: Scope { project, source: Some(source) },
            binding: &binding,
            settings: &crate::report::settings(config),
            tenant,
            request_id: &ctx.request_id,
            now_ms: ctx.now_ms,
        };
        for candidate in found {
            let complete = |signal| crate::report::judged(config, signal);
            step.gathered.take(candidate, &around, || self.fresh_ids(), complete).map_err(|why| why.to_string())?;
        }
        Ok(())
    }

    /// Stores a step, if it is to be stored already.
    async fn tail_settle(&self, tail: &mut Tail, source: &LogSource, mut step: Step) -> Result<Next, Failure> {
        let ctx = self.worker_ctx("tail", &tail.tenant);
        let signals = std::mem::take(&mut step.gathered).into_signals();
        let taken = step.taken(&signals);
        let Step { position: Some(position), batch, .. } = step else { return Err(Failure::of(Code::Internal)) };
        let Some(held) = &mut tail.held else { return Err(Failure::of(Code::Internal)) };
        // For as long as this is not stored, it is still to be read.
        held.row.state.left(batch.lag_bytes + batch.bytes_read, batch.oldest_unread_ms);
        let before = &held.row.state;
        let first = before.position.started_at_ms == 0;
        let (moved, error) = (position != before.position, before.error.clone());
        let consecutive = before.consecutive_errors;
        let mut row = held.row.clone();
        row.state.advance(position, &batch, &taken, ctx.now_ms);
        let mut ill = false;
        if let Some(trouble) = &batch.trouble {
            // What could be read was; the source stays ill until all of it can.
            (row.state.error, row.state.consecutive_errors) = (error.clone(), consecutive);
            ill = row.state.fail(trouble, ctx.now_ms);
        }
        let healed = error.filter(|_| batch.trouble.is_none());
        held.unsaved |= moved;
        held.unsaved_bytes += batch.bytes_read;
        let due = held.unsaved
            && (ctx.now_ms.saturating_sub(held.saved_at_ms) >= SAVE_MS || held.unsaved_bytes >= SAVE_BYTES);
        let news = !signals.is_empty() || !batch.gaps.is_empty() || healed.is_some() || ill;
        if news || first || due || batch.ended {
            let mut commit = Commit::new(&ctx);
            for (event, payload) in self.tail_news(&row, &batch, ill, healed.map(|error| json!(error))) {
                commit = commit.audit(self.event_id(), event, payload);
            }
            commit.writes.extend(signals.into_iter().map(|signal| Write::Signal(Box::new(signal))));
            self.tail_store(tail, row, commit).await?;
        } else {
            held.row = row;
        }
        let Some(held) = &mut tail.held else { return Err(Failure::of(Code::Internal)) };
        self.hub.note(&tail.tenant, &held.row.id, held.version, &held.row.state);
        held.behind = batch.more;
        if batch.more {
            return Ok(Next::Again);
        }
        let interval = source.watch_interval_seconds.saturating_mul(1_000);
        // What is wrong with a file may be put right at any moment, without a sign of it.
        let interval = if batch.trouble.is_some() { interval.min(2_000) } else { interval };
        let lease = lease_ms(self.store().exclusive()) / 4;
        let save = if held.unsaved { SAVE_MS } else { u64::MAX };
        let due = batch.due_ms.map_or(u64::MAX, |at| at.saturating_sub(ctx.now_ms));
        Ok(Next::Rest(Duration::from_millis(interval.min(lease).min(save).min(due))))
    }

    /// The audit rows of what an operator wants to know of a step.
    fn tail_news(
        &self,
        row: &SourceRow,
        batch: &Batch,
        ill: bool,
        healed: Option<Value>,
    ) -> Vec<(&'static str, Value)> {
        let mut news = Vec::new();
        let about = |more: Value| {
            let mut payload = json!({ "project_id": row.state.project_id, "source_id": row.state.source_id });
            if let (Some(payload), Value::Object(more)) = (payload.as_object_mut(), more) {
                payload.extend(more);
            }
            payload
        };
        if !batch.gaps.is_empty() {
            let payload = json!({ "gaps": batch.gaps, "gap_count": row.state.gap_count });
            news.push(("incident_monitor.log_source.gap", about(payload)));
        }
        if let Some(error) = row.state.error.as_ref().filter(|_| ill) {
            let payload = json!({ "code": error.code, "message": error.message });
            news.push(("incident_monitor.log_source.failing", about(payload)));
        }
        if let Some(error) = healed {
            news.push(("incident_monitor.log_source.recovered", about(json!({ "after": error }))));
        }
        news
    }

    /// Writes the row with whatever else the commit holds, under the lease. Until it is known to be stored, what is held is
    /// the row as it was: a step that is given up meanwhile must not leave a position behind without what was found.
    async fn tail_store(&self, tail: &mut Tail, row: SourceRow, commit: Commit) -> Result<(), Failure> {
        let now_ms = commit.ctx.now_ms;
        let until = now_ms + lease_ms(self.store().exclusive());
        let keep = tail.keep(until);
        let Some(held) = &mut tail.held else { return Err(Failure::of(Code::Internal)) };
        let commit = commit.put(Put::update(&row, held.version)).write(keep);
        self.store().commit(commit).await.map_err(store_failure)?;
        *held = Held { behind: held.behind, ..Held::new(row, held.version + 1, now_ms) };
        tail.lease_until_ms = until;
        Ok(())
    }

    /// Keeps the lease. With `held`, engines that share the store also read in the row when it was last looked at.
    async fn tail_renew(&self, tail: &mut Tail, held: Option<&mut Held>) -> Result<(), Failure> {
        let ctx = self.worker_ctx("tail", &tail.tenant);
        let exclusive = self.store().exclusive();
        let until = ctx.now_ms + lease_ms(exclusive);
        let mut commit = Commit::new(&ctx).write(tail.keep(until));
        let unheard = |held: &Held| !exclusive && ctx.now_ms.saturating_sub(held.saved_at_ms) >= HEARD_MS;
        let held = held.filter(|held| held.unsaved || unheard(held));
        if let Some(held) = &held {
            commit = commit.put(Put::update(&held.row, held.version));
        }
        self.store().commit(commit).await.map_err(store_failure)?;
        tail.lease_until_ms = until;
        if let Some(held) = held {
            held.version += 1;
            (held.saved_at_ms, held.unsaved_bytes, held.unsaved) = (ctx.now_ms, 0, false);
        }
        Ok(())
    }

    /// Shows an error in the source's health, and says how long to rest.
    async fn tail_failed(&self, tail: &mut Tail, error: LogError) -> Result<Next, Failure> {
        let ctx = self.worker_ctx("tail", &tail.tenant);
        if tail.held.is_none() {
            let Some(stored) = self.load::<SourceRow>(&tail.tenant, tail.id()).await? else { return Ok(Next::Gone) };
            tail.held = Some(Held::new(stored.value, stored.version, 0));
        }
        if let Some(hand) = tail.hand.as_mut().filter(|_| error.code != LogErrorCode::Stalled) {
            // What was read and is not taken in is read again.
            hand.anew = true;
        }
        let Some(held) = &mut tail.held else { return Err(Failure::of(Code::Internal)) };
        let before = held.row.state.consecutive_errors;
        let news = held.row.state.fail(&error, ctx.now_ms);
        let errors = held.row.state.consecutive_errors;
        if news || before == 0 || ctx.now_ms.saturating_sub(held.saved_at_ms) >= 10 * SAVE_MS {
            let mut commit = Commit::new(&ctx);
            if news {
                tracing::warn!(source = tail.claim.job.subject, code = error.code.word(), "a log source failed");
                let payload = json!({
                    "project_id": held.row.state.project_id,
                    "source_id": held.row.state.source_id,
                    "code": error.code,
                    "message": held.row.state.error.as_ref().map(|error| &error.message),
                });
                commit = commit.audit(self.event_id(), "incident_monitor.log_source.failing", payload);
            }
            let row = held.row.clone();
            self.tail_store(tail, row, commit).await?;
        }
        let Some(held) = &tail.held else { return Err(Failure::of(Code::Internal)) };
        self.hub.note(&tail.tenant, &held.row.id, held.version, &held.row.state);
        let rest = back_off(errors);
        Ok(match error.code {
            LogErrorCode::Panicked | LogErrorCode::Refused => Next::BackOff(rest),
            // Waiting for the read is the rest.
            LogErrorCode::Stalled => Next::Again,
            // Looking again costs next to nothing, and what was fixed is to be seen soon.
            _ => Next::Rest(rest.min(Duration::from_secs(5))),
        })
    }

    /// Ends the job of a source that is not to be read, and stores how far it was read.
    async fn tail_release(&self, tail: &mut Tail, why: &str) -> Result<Next, Failure> {
        let ctx = self.worker_ctx("tail", &tail.tenant);
        let mut held = tail.held.take();
        for _ in 0..DECISIONS {
            let stored = self.load::<SourceRow>(&tail.tenant, tail.id()).await?;
            let mut commit = Commit::new(&ctx).write(done(&tail.claim));
            if let Some(stored) = stored {
                // What was read and stored by nobody is only kept where nothing else has changed the row.
                let own = held.take().filter(|held| held.version == stored.version);
                let mut row = own.map_or(stored.value, |held| held.row);
                row.state.armed = false;
                row.state.updated_at_ms = ctx.now_ms;
                let payload =
                    json!({ "project_id": row.state.project_id, "source_id": row.state.source_id, "reason": why });
                commit = commit.put(Put::update(&row, stored.version)).audit(
                    self.event_id(),
                    "incident_monitor.log_source.stopped",
                    payload,
                );
            }
            match self.store().commit(commit).await {
                Ok(_) => break,
                // A reset came in between; or the lease is lost, and whoever has it lets go.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(store_failure(error)),
            }
        }
        self.hub.forget(&tail.tenant, tail.id());
        Ok(Next::Gone)
    }

    /// Gives a source back, due at once, because this process ends.
    pub async fn tail_leave(&self, mut tail: Tail) {
        let ctx = self.worker_ctx("tail", &tail.tenant);
        let (job_id, lease) = (tail.claim.job.job_id.clone(), tail.claim.lease.clone());
        let mut commit = Commit::new(&ctx).write(Write::JobRetry { job_id, lease, due_at_ms: ctx.now_ms });
        if let Some(held) = tail.held.take().filter(|held| held.unsaved) {
            commit = commit.put(Put::update(&held.row, held.version));
        }
        self.hub.forget(&tail.tenant, tail.id());
        if let Err(error) = self.store().commit(commit).await {
            tracing::debug!(%error, source = tail.id(), "a log source is left to its lease");
        }
    }

    /// Waits until the source may have more, a call changed something, or the time is over.
    pub async fn tail_rest(&self, tail: &mut Tail, rest: Duration) {
        let reader = tail.hand.as_ref().and_then(|hand| hand.reader.as_ref());
        let mut grown =
            reader.map_or_else(|| Box::pin(std::future::pending()) as BoxFuture<'static, ()>, |r| r.changed());
        // What a busy log writes in a moment is read together.
        let gather = Duration::from_millis(20).min(rest);
        let changed = self.hub.changed.notified();
        tokio::pin!(changed);
        tokio::select! {
            () = tokio::time::sleep(gather) => {}
            () = &mut changed => return,
        }
        tokio::select! {
            () = &mut grown => {}
            () = &mut changed => {}
            () = tokio::time::sleep(rest.saturating_sub(gather)) => {}
        }
    }
}

/// How long a source rests after its errors in a row.
fn back_off(errors: u64) -> Duration {
    Duration::from_millis(delay_ms(u32::try_from(errors).unwrap_or(u32::MAX)))
}

fn done(claim: &Claim) -> Write {
    Write::JobDone { job_id: claim.job.job_id.clone(), lease: claim.lease.clone() }
}
