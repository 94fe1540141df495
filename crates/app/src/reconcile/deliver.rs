//! Deliveries: claim, attempt once, commit the outcome. One lane per destination, so that a hanging endpoint delays
//! nobody else.

use std::sync::Arc;

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::json;
use tandem_core::{
    actor::OpContext,
    config::Config,
    destination::{self, Destination},
    draft::{Draft, DraftStatus},
    error::Failure,
    incident::Incident,
    ports::Claim,
    publish::{Delivery, Intent, Prepared, settle::Outcome, target},
    record::{Commit, JobKind, Put, Versioned, Write},
    tenant::TenantKey,
    tracker::Settings,
    triage::RunBrief,
};

use crate::{App, Snapshot, store_failure};

use super::outcomes::Ending;
pub use super::{
    destination::{Outbound, WebhookCall},
    tracker::ApiCall,
};

/// Attempts under way at once in one lane, and how long a claim holds: longer than any attempt may take.
const LANE: usize = 32;
pub(super) const LEASE_MS: u64 = 90_000;
/// While the monitor is paused or disabled, deliveries are looked at this often.
const HELD_MS: u64 = 5_000;

/// What one claimed delivery is attempted with.
pub(super) struct Work {
    pub ctx: OpContext,
    pub claim: Claim,
    pub delivery: Versioned<Delivery>,
    pub draft: Draft,
    pub incident: Option<Incident>,
    pub run: Option<RunBrief>,
    pub destination: Destination,
    /// The configuration that this attempt goes by.
    pub snapshot: Arc<Snapshot>,
}

/// What came of looking at a claimed delivery.
enum Looked {
    /// The delivery or its draft is over; the job is done.
    Over,
    /// Not now.
    Hold {
        until_ms: u64,
    },
    /// Refused before anything is sent.
    Refuse {
        code: &'static str,
        detail: &'static str,
        delivery: Versioned<Delivery>,
    },
    Attempt(Box<Work>),
}

/// How looking after a claimed delivery ended.
pub(super) enum Ended {
    Attempted(Attempted),
    /// Nothing was sent and nothing is counted: a circuit is open, a budget is spent, or it is too early to tell.
    Hold {
        until_ms: u64,
    },
    /// Another worker has the job now, or the store cannot say; the lease brings it back.
    Lost,
}

/// A body as it is sent at every attempt, and what was done to it when it was made.
#[derive(Clone)]
pub(super) struct Kept {
    pub body: String,
    pub prepared: Prepared,
}

impl Kept {
    pub(super) fn put(self, delivery: &mut Delivery) {
        delivery.payload = Some(self.body);
        delivery.prepared = Some(self.prepared);
    }
}

/// The end of an attempt, before it is committed.
pub(super) struct Attempted {
    pub outcome: Outcome,
    /// The body that was sent, kept while attempts remain. `None` leaves what the delivery holds.
    pub payload: Option<Kept>,
    /// Rows that a local destination consists of.
    pub puts: Vec<Put>,
}

impl App {
    /// Attempts everything that is due, and returns how many attempts there were. For tests and for the first pass.
    pub async fn deliver_until_idle(self: &Arc<Self>) -> Result<usize, Failure> {
        let mut done = 0;
        loop {
            let lanes = self.store().due_lanes(JobKind::Deliver, self.now_ms()).await.map_err(store_failure)?;
            let mut progress = 0;
            for lane in lanes {
                progress += self.deliver_lane(&lane).await?;
            }
            if progress == 0 {
                return Ok(done);
            }
            done += progress;
        }
    }

    /// How many attempts are under way at once in a lane. A tracker is told how many requests it gets at once, so only
    /// a few more deliveries than that are claimed: the others would wait while their leases run.
    async fn lane_width(&self, lane: &str) -> usize {
        let Some((tenant, destination_id)) = lane.split_once('|') else { return LANE };
        let Ok(snapshot) = self.snapshot(&TenantKey(tenant.to_owned())).await else { return LANE };
        match destination::find(&snapshot.config, destination_id) {
            Some(found) if found.kind.is_tracker() => {
                Settings::of(&snapshot.config, &found).map_or(1, |settings| LANE.min(4 * settings.concurrency))
            }
            Some(_) | None => LANE,
        }
    }

    /// Attempts what is due in one lane, so many at once as [`lane_width`](Self::lane_width) says, until nothing is.
    pub async fn deliver_lane(self: &Arc<Self>, lane: &str) -> Result<usize, Failure> {
        let width = self.lane_width(lane).await;
        let mut running = FuturesUnordered::new();
        let mut done = 0;
        let mut dry = false;
        loop {
            // Claiming in bulk keeps the writer free; a hanging attempt still leaves the other slots usable.
            if !dry && running.len() <= width / 2 {
                let now_ms = self.now_ms();
                let lease = self.ports.ids.fresh();
                let claims = self
                    .store()
                    .claim(JobKind::Deliver, lane, now_ms, &lease, now_ms + LEASE_MS, width - running.len())
                    .await
                    .map_err(store_failure)?;
                dry = claims.is_empty();
                running.extend(claims.into_iter().map(|claim| {
                    let app = Arc::clone(self);
                    tokio::spawn(async move { app.deliver_one(claim).await })
                }));
            }
            match running.next().await {
                None => return Ok(done),
                Some(Ok(Ok(attempted))) => done += usize::from(attempted),
                // The lease runs out and the job is claimed again; nothing is lost.
                Some(Ok(Err(failure))) => tracing::warn!(code = failure.code.word(), "a delivery was not settled"),
                Some(Err(panic)) => tracing::error!(%panic, "a delivery attempt ended abnormally"),
            }
        }
    }

    /// Handles one claim. `true` when something was attempted or refused.
    async fn deliver_one(&self, claim: Claim) -> Result<bool, Failure> {
        let ctx = self.worker_ctx("deliver", &claim.tenant);
        let delivery_id = claim.job.subject.clone();
        match self.deliver_look(&ctx, &claim).await? {
            Looked::Over => {
                let done = Write::JobDone { job_id: claim.job.job_id.clone(), lease: claim.lease.clone() };
                self.store().commit(Commit::new(&ctx).write(done)).await.map_err(store_failure)?;
                self.waiters.settle(&delivery_id);
                Ok(false)
            }
            Looked::Hold { until_ms } => {
                self.release(&ctx, &claim, until_ms).await?;
                Ok(false)
            }
            Looked::Refuse { code, detail, delivery } => {
                self.settle(Ending::refused(claim, delivery, code, detail)).await?;
                self.waiters.settle(&delivery_id);
                Ok(true)
            }
            Looked::Attempt(mut work) => match self.attempt(&mut work).await {
                Ended::Attempted(attempted) => {
                    let spread = self.ports.ids.jitter(400);
                    self.settle(Ending::attempted(*work, attempted, spread)).await?;
                    self.waiters.settle(&delivery_id);
                    Ok(true)
                }
                Ended::Hold { until_ms } => {
                    self.release(&ctx, &work.claim, until_ms).await?;
                    self.waiters.settle(&delivery_id);
                    Ok(false)
                }
                Ended::Lost => Ok(false),
            },
        }
    }

    /// Says durably what is about to be sent, and proves the right to send it: the commit fails when the lease is lost,
    /// and starts it anew when it is not. Only after this may something be sent that must not be sent twice.
    pub(super) async fn intend(&self, work: &mut Work, intent: Intent, payload: Option<Kept>) -> Result<(), Ended> {
        let mut ctx = work.ctx.clone();
        ctx.now_ms = self.now_ms();
        let mut delivery = work.delivery.value.clone();
        let said = json!({
            "delivery_id": delivery.delivery_id,
            "draft_id": delivery.draft_id,
            "destination_id": delivery.destination_id,
            "operation": intent.operation,
            "issue": intent.issue,
            "attempt": delivery.attempts.len() + 1,
            "idempotency_key": delivery.idempotency_key,
        });
        delivery.intent = Some(intent);
        if let Some(kept) = payload {
            kept.put(&mut delivery);
        }
        let keep = Write::JobKeep {
            job_id: work.claim.job.job_id.clone(),
            lease: work.claim.lease.clone(),
            until_ms: ctx.now_ms + LEASE_MS,
        };
        let commit = Commit::new(&ctx).put(Put::update(&delivery, work.delivery.version)).write(keep).audit(
            self.event_id(),
            "incident_monitor.publish.sending",
            said,
        );
        match self.store().commit(commit).await {
            Ok(_) => {
                work.delivery = Versioned { version: work.delivery.version + 1, value: delivery };
                Ok(())
            }
            Err(error) => {
                let _ = store_failure(error);
                Err(Ended::Lost)
            }
        }
    }

    async fn release(&self, ctx: &OpContext, claim: &Claim, until_ms: u64) -> Result<(), Failure> {
        let retry = Write::JobRetry {
            job_id: claim.job.job_id.clone(),
            lease: claim.lease.clone(),
            due_at_ms: until_ms.max(ctx.now_ms + 1),
        };
        self.store().commit(Commit::new(ctx).write(retry)).await.map_err(store_failure)?;
        Ok(())
    }

    async fn deliver_look(&self, ctx: &OpContext, claim: &Claim) -> Result<Looked, Failure> {
        let tenant = &claim.tenant;
        let Some(delivery) = self.load::<Delivery>(tenant, &claim.job.subject).await? else {
            return Ok(Looked::Over);
        };
        if !delivery.value.state.is_open() {
            return Ok(Looked::Over);
        }
        let refuse = |code, detail, delivery| Ok(Looked::Refuse { code, detail, delivery });
        let Some(draft) = self.load::<Draft>(tenant, &delivery.value.draft_id).await? else {
            return refuse("draft_deleted", "the draft was deleted before it was delivered", delivery);
        };
        if draft.value.status == DraftStatus::Denied {
            return refuse("draft_denied", "the draft was denied before it was delivered", delivery);
        }
        let snapshot = self.snapshot(tenant).await?;
        let config = &snapshot.config;
        if config.paused || !config.enabled {
            return Ok(Looked::Hold { until_ms: ctx.now_ms + HELD_MS });
        }
        let Some(destination) = unchanged(config, &delivery.value) else {
            let detail = "the destination was changed, disabled or removed after the publish was decided";
            return refuse("destination_changed", detail, delivery);
        };
        let run = match delivery.value.destination_kind.needs_triage() {
            true => self.run_brief(tenant, &draft.value).await?,
            false => None,
        };
        if let Some(run) = run.as_ref().filter(|run| !run.status.is_terminal()) {
            if run.holds_publishing(ctx.now_ms) {
                let until_ms = run.deadline_ms.unwrap_or(u64::MAX).min(ctx.now_ms + HELD_MS);
                return Ok(Looked::Hold { until_ms });
            }
            self.triage_timed_out(ctx, &run.run_id).await?;
        }
        let incident = self.incident_of(tenant, &draft.value).await?.map(|row| row.value);
        Ok(Looked::Attempt(Box::new(Work {
            ctx: ctx.clone(),
            claim: claim.clone(),
            delivery,
            draft: draft.value,
            incident,
            run,
            destination,
            snapshot: Arc::clone(&snapshot),
        })))
    }
}

/// The destination, if it is still the one that the publish was decided for.
fn unchanged(config: &Config, delivery: &Delivery) -> Option<Destination> {
    destination::find(config, &delivery.destination_id)
        .filter(|found| found.enabled && target::config_digest(found) == delivery.destination_digest)
}
