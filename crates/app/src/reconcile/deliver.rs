//! Deliveries: claim, attempt once, commit the outcome. One lane per destination, so that a hanging endpoint delays
//! nobody else.

use std::sync::Arc;

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::{Value, json};
use tandem_core::{
    actor::OpContext,
    config::Config,
    destination::{self, Destination},
    draft::{Draft, DraftStatus},
    error::{Code, Failure},
    incident::{Amendment, Incident},
    ports::Claim,
    publish::{Delivery, DeliveryState, Intent, Prepared, boundary, external_action, settle, settle::Outcome, target},
    receipt::Post,
    record::{Commit, JobKind, Put, Record, Versioned, Write},
    tenant::TenantKey,
    tracker::Settings,
    triage::RunBrief,
};

use crate::{App, Snapshot, store_failure};

pub use super::{
    destination::{Outbound, WebhookCall},
    tracker::ApiCall,
};

/// Attempts under way at once in one lane, and how long a claim holds: longer than any attempt may take.
const LANE: usize = 32;
const LEASE_MS: u64 = 90_000;
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
    fn put(self, delivery: &mut Delivery) {
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
                self.deliver_refuse(&ctx, &claim, delivery, code, detail).await?;
                self.waiters.settle(&delivery_id);
                Ok(true)
            }
            Looked::Attempt(mut work) => match self.attempt(&mut work).await {
                Ended::Attempted(attempted) => {
                    self.deliver_settle(&ctx, &work, &attempted).await?;
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

    /// Commits the outcome of an attempt. Others may change the draft and the incident meanwhile: the outcome is applied
    /// to what they made of them, and the attempt is never repeated for it.
    async fn deliver_settle(&self, ctx: &OpContext, work: &Work, attempted: &Attempted) -> Result<(), Failure> {
        let spread = self.ports.ids.jitter(400);
        let mut ctx = ctx.clone();
        ctx.now_ms = self.now_ms();
        loop {
            let mut delivery = work.delivery.clone();
            let due = settle::attempt(&mut delivery.value, &attempted.outcome, spread, ctx.now_ms);
            if let (Some(_), Some(kept)) = (due, attempted.payload.clone()) {
                kept.put(&mut delivery.value);
            }
            let end = match due {
                Some(due_at_ms) => Write::JobRetry {
                    job_id: work.claim.job.job_id.clone(),
                    lease: work.claim.lease.clone(),
                    due_at_ms,
                },
                None => Write::JobDone { job_id: work.claim.job.job_id.clone(), lease: work.claim.lease.clone() },
            };
            let puts = attempted.puts.clone();
            match self.deliver_commit(&ctx, &delivery, &attempted.outcome, end, puts).await {
                Err(failure) if failure.code == Code::Conflict => {
                    let now = self.load::<Delivery>(&work.claim.tenant, delivery.value.delivery_id.as_str()).await?;
                    if now.is_none_or(|row| row.version != work.delivery.version) {
                        // The lease ran out and another worker took over; its outcome stands.
                        return Ok(());
                    }
                    if self.now_ms() > ctx.now_ms + LEASE_MS {
                        return Err(failure);
                    }
                }
                other => return other,
            }
        }
    }

    async fn deliver_refuse(
        &self,
        ctx: &OpContext,
        claim: &Claim,
        mut delivery: Versioned<Delivery>,
        code: &str,
        detail: &str,
    ) -> Result<(), Failure> {
        settle::block(&mut delivery.value, code, detail, ctx.now_ms);
        let outcome = Outcome { in_doubt: delivery.value.intent.is_some(), ..Outcome::blocked(code, detail) };
        let end = Write::JobDone { job_id: claim.job.job_id.clone(), lease: claim.lease.clone() };
        self.deliver_commit(ctx, &delivery, &outcome, end, Vec::new()).await
    }

    /// One commit: delivery, receipt, draft, incident, mirror, audit row, and the end of the job.
    async fn deliver_commit(
        &self,
        ctx: &OpContext,
        delivery: &Versioned<Delivery>,
        outcome: &Outcome,
        end: Write,
        puts: Vec<Put>,
    ) -> Result<(), Failure> {
        let tenant = ctx.tenant.key();
        let mut commit = Commit::new(ctx).put(Put::update(&delivery.value, delivery.version)).write(end);
        commit.writes.extend(puts.into_iter().map(Write::Put));
        let draft = self.load::<Draft>(&tenant, &delivery.value.draft_id).await?;
        let mut post = self.load::<Post>(&tenant, &delivery.value.post_id).await?;
        if let Some(post) = &mut post {
            settle::post(&mut post.value, &delivery.value, outcome);
            commit = commit.put(Put::update(&post.value, post.version));
        }
        let mut incident_id = delivery.value.incident_id.clone();
        let mut after = None;
        if let Some(draft) = draft {
            let mut changed = draft.value;
            // A denial that came in between stands; the receipt says what was sent.
            if settle::draft(&mut changed, &delivery.value, outcome, ctx.now_ms).is_ok() {
                commit = commit.put(Put::update(&changed, draft.version));
            }
            incident_id = changed.incident_id.clone();
            if delivery.value.state == DeliveryState::Posted
                && let Some(mirror) = post.as_ref().and_then(|post| external_action::mirror(&post.value, &changed))
            {
                commit = commit.put(Put::insert(&mirror));
            }
            after = Some(changed);
        }
        if let Some(incident_id) = incident_id.clone() {
            let amendment = Amendment::Delivered(Box::new(delivery.value.clone()));
            commit = commit.write(Write::Amend { incident_id, amendment });
        }
        let payload = audit(&delivery.value, incident_id, after.as_ref());
        let mut commit = commit.audit(self.event_id(), event_type(&delivery.value), payload);
        if let Some((event, told)) = boundary::crossing(&delivery.value, outcome, after.as_ref()) {
            commit = commit.audit(self.event_id(), event, told);
        }
        self.store().commit(commit).await.map_err(store_failure)?;
        Ok(())
    }
}

/// The destination, if it is still the one that the publish was decided for.
fn unchanged(config: &Config, delivery: &Delivery) -> Option<Destination> {
    destination::find(config, &delivery.destination_id)
        .filter(|found| found.enabled && target::config_digest(found) == delivery.destination_digest)
}

fn event_type(delivery: &Delivery) -> &'static str {
    match delivery.state {
        DeliveryState::Posted => "incident_monitor.publish.completed",
        DeliveryState::Pending | DeliveryState::Retrying => "incident_monitor.publish.retrying",
        DeliveryState::Failed | DeliveryState::Blocked | DeliveryState::Unknown => "incident_monitor.publish.failed",
    }
}

/// The keys that all publish rows have, with what an attempt adds to them.
fn audit(delivery: &Delivery, incident_id: Option<String>, draft: Option<&Draft>) -> Value {
    let last = delivery.attempts.last();
    let known = |get: fn(&Draft) -> Value| draft.map(get).unwrap_or_default();
    json!({
        "requested_destination_ids": delivery.requested_destination_ids,
        "effective_destination_ids": delivery.effective_destination_ids,
        "blocked": delivery.state == DeliveryState::Blocked,
        "blocked_reasons": delivery.error.iter().filter(|_| delivery.state == DeliveryState::Blocked).collect::<Vec<_>>(),
        "approval_required": delivery.approval_required,
        "repo": known(|d| json!(d.repo)),
        "fingerprint": known(|d| json!(d.fingerprint)),
        "status": known(|d| json!(d.status)),
        "risk_level": known(|d| json!(d.classification.risk_level)),
        "risk_category": known(|d| json!(d.safety.risk_category)),
        "confidence": known(|d| json!(d.classification.confidence)),
        "project_id": known(|d| json!(d.project_id)),
        "log_source_id": known(|d| json!(d.log_source_id)),
        "source_kind": known(|d| json!(d.source_kind)),
        "tenant_id": known(|d| json!(d.routing.tenant_id)),
        "workspace_id": known(|d| json!(d.routing.workspace_id)),
        "event_schema_version": known(|d| json!(d.routing.event_schema_version)),
        "source_allowlist_enforced": known(|d| json!(!d.routing.allowed_destination_ids.is_empty())),
        "delivery_id": delivery.delivery_id,
        "post_id": delivery.post_id,
        "draft_id": delivery.draft_id,
        "incident_id": incident_id,
        "mode": delivery.mode,
        "selected_destination_id": delivery.destination_id,
        "selected_destination_kind": delivery.destination_kind,
        "route_ids": delivery.route_id.iter().collect::<Vec<_>>(),
        "action": match delivery.state {
            DeliveryState::Posted => delivery.action.word(),
            DeliveryState::Pending | DeliveryState::Retrying => "retry_scheduled",
            DeliveryState::Blocked => "destination_not_ready",
            DeliveryState::Failed | DeliveryState::Unknown => "adapter_failed",
        },
        "delivery_state": delivery.state,
        "attempt": delivery.attempts.len(),
        "status_code": last.and_then(|a| a.status_code),
        "error_code": delivery.error_code,
        "detail": delivery.error,
        "next_attempt_at_ms": delivery.next_attempt_at_ms,
        "target_ref": delivery.target_ref,
        "idempotency_key": delivery.idempotency_key,
        "evidence_digest": delivery.evidence_digest,
        "collection": Delivery::COLLECTION.name,
    })
}
