//! Outcomes of deliveries, written. What several deliveries of one draft come to in the same moment is one commit: the
//! draft and its incident are written once for all of them, and none takes from another the version that it read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tandem_core::{
    actor::OpContext,
    draft::Draft,
    error::{Code, Failure},
    incident::Amendment,
    ports::Claim,
    publish::{Delivery, DeliveryState, boundary, external_action, settle, settle::Outcome},
    receipt::Post,
    record::{Commit, Put, Record, Versioned, Write},
};
use tokio::sync::oneshot;

use super::deliver::{Attempted, LEASE_MS, Work};
use crate::{App, store_failure};

/// A claimed delivery and what became of it.
pub(super) struct Ending {
    claim: Claim,
    delivery: Versioned<Delivery>,
    how: How,
}

enum How {
    /// `spread` is a random number in `0..=400`.
    Attempted { attempted: Box<Attempted>, spread: u64 },
    /// Refused before anything was sent.
    Refused { code: &'static str, detail: &'static str },
}

/// What an ending makes of its delivery.
struct Told {
    delivery: Delivery,
    outcome: Outcome,
    end: Write,
    puts: Vec<Put>,
}

impl Ending {
    pub(super) fn attempted(work: Work, attempted: Attempted, spread: u64) -> Self {
        let how = How::Attempted { attempted: Box::new(attempted), spread };
        Self { claim: work.claim, delivery: work.delivery, how }
    }

    pub(super) fn refused(
        claim: Claim,
        delivery: Versioned<Delivery>,
        code: &'static str,
        detail: &'static str,
    ) -> Self {
        Self { claim, delivery, how: How::Refused { code, detail } }
    }

    /// All of one draft are written together.
    fn key(&self) -> String {
        format!("{}|{}", self.claim.tenant.as_str(), self.delivery.value.draft_id)
    }

    fn told(&self, now_ms: u64) -> Told {
        let mut delivery = self.delivery.value.clone();
        let (job_id, lease) = (self.claim.job.job_id.clone(), self.claim.lease.clone());
        match &self.how {
            How::Attempted { attempted, spread } => {
                let due = settle::attempt(&mut delivery, &attempted.outcome, *spread, now_ms);
                if let (Some(_), Some(kept)) = (due, attempted.payload.clone()) {
                    kept.put(&mut delivery);
                }
                let end = match due {
                    Some(due_at_ms) => Write::JobRetry { job_id, lease, due_at_ms },
                    None => Write::JobDone { job_id, lease },
                };
                Told { delivery, outcome: attempted.outcome.clone(), end, puts: attempted.puts.clone() }
            }
            How::Refused { code, detail } => {
                settle::block(&mut delivery, code, detail, now_ms);
                let outcome = Outcome { in_doubt: delivery.intent.is_some(), ..Outcome::blocked(code, *detail) };
                Told { delivery, outcome, end: Write::JobDone { job_id, lease }, puts: Vec::new() }
            }
        }
    }
}

/// Endings that wait to be written, by draft. Nothing of it outlives the process: a lease brings back what was lost.
#[derive(Default)]
pub(crate) struct Outcomes(Mutex<HashMap<String, Arc<Queue>>>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<Vec<Waiting>>,
    /// Whoever has the turn writes everything that waits.
    turn: tokio::sync::Mutex<()>,
}

struct Waiting {
    ending: Ending,
    reply: oneshot::Sender<Result<(), Failure>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outcomes {
    fn enter(&self, key: &str) -> Arc<Queue> {
        Arc::clone(held(&self.0).entry(key.to_owned()).or_default())
    }

    /// The last one to leave takes the queue away.
    fn leave(&self, key: &str, queue: Arc<Queue>) {
        let mut queues = held(&self.0);
        drop(queue);
        if queues.get(key).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(key);
        }
    }
}

impl App {
    /// Writes what became of a delivery, with whatever else of its draft waits to be written.
    pub(super) async fn settle(&self, ending: Ending) -> Result<(), Failure> {
        let key = ending.key();
        let (reply, answer) = oneshot::channel();
        let queue = self.outcomes.enter(&key);
        held(&queue.waiting).push(Waiting { ending, reply });
        let turn = queue.turn.lock().await;
        let group = std::mem::take(&mut *held(&queue.waiting));
        self.write_group(group).await;
        drop(turn);
        self.outcomes.leave(&key, queue);
        // Whoever wrote it went away before it could say how that ended; the lease brings the job back.
        answer.await.unwrap_or_else(|_| Err(Failure::of(Code::StoreUnavailable)))
    }

    async fn write_group(&self, group: Vec<Waiting>) {
        if group.len() > 1 {
            let endings: Vec<&Ending> = group.iter().map(|one| &one.ending).collect();
            if self.write_endings(&endings).await.is_ok() {
                for one in group {
                    let _ = one.reply.send(Ok(()));
                }
                return;
            }
        }
        // Alone, or one of them cannot be written as it is: each for itself, so that it is known which.
        for one in group {
            let _ = one.reply.send(self.write_alone(&one.ending).await);
        }
    }

    /// Others may change the draft and the incident meanwhile: the outcome is applied to what they made of them, and the
    /// attempt is never repeated for it.
    async fn write_alone(&self, ending: &Ending) -> Result<(), Failure> {
        let begun_ms = self.now_ms();
        loop {
            match self.write_endings(&[ending]).await {
                Err(failure) if failure.code == Code::Conflict => {
                    let delivery = &ending.delivery;
                    let now = self.load::<Delivery>(&ending.claim.tenant, &delivery.value.delivery_id).await?;
                    if now.is_none_or(|row| row.version != delivery.version) {
                        // The lease ran out and another worker took over; its outcome stands.
                        return Ok(());
                    }
                    if self.now_ms() > begun_ms + LEASE_MS {
                        return Err(failure);
                    }
                }
                other => return other,
            }
        }
    }

    /// One commit for deliveries of one draft: deliveries, receipts, mirrors, audit rows and the ends of the jobs; the
    /// draft and the incident once.
    async fn write_endings(&self, endings: &[&Ending]) -> Result<(), Failure> {
        let Some(first) = endings.first() else { return Ok(()) };
        let tenant = &first.claim.tenant;
        let ctx: OpContext = self.worker_ctx("deliver", tenant);
        let mut commit = Commit::new(&ctx);
        let found = self.load::<Draft>(tenant, &first.delivery.value.draft_id).await?;
        let (mut draft, version) = found.map(|row| (row.value, row.version)).unzip();
        let mut changed = false;
        let mut amended = None;
        for ending in endings {
            let Told { delivery, outcome, end, puts } = ending.told(ctx.now_ms);
            commit = commit.put(Put::update(&delivery, ending.delivery.version)).write(end);
            commit.writes.extend(puts.into_iter().map(Write::Put));
            let mut post = self.load::<Post>(tenant, &delivery.post_id).await?;
            if let Some(post) = &mut post {
                settle::post(&mut post.value, &delivery, &outcome);
                commit = commit.put(Put::update(&post.value, post.version));
            }
            let mut incident_id = delivery.incident_id.clone();
            if let Some(draft) = &mut draft {
                // A denial that came in between stands; the receipt says what was sent.
                changed |= settle::draft(draft, &delivery, &outcome, ctx.now_ms).is_ok();
                incident_id.clone_from(&draft.incident_id);
                if delivery.state == DeliveryState::Posted
                    && let Some(mirror) = post.as_ref().and_then(|post| external_action::mirror(&post.value, draft))
                {
                    commit = commit.put(Put::insert(&mirror));
                }
            }
            let payload = audit(&delivery, incident_id.as_deref(), draft.as_ref());
            commit = commit.audit(self.event_id(), event_type(&delivery), payload);
            if let Some((event, told)) = boundary::crossing(&delivery, &outcome, draft.as_ref()) {
                commit = commit.audit(self.event_id(), event, told);
            }
            // An incident shows what came of the last one.
            amended = incident_id.map(|incident_id| (incident_id, delivery));
        }
        if let (Some(draft), Some(version), true) = (&draft, version, changed) {
            commit = commit.put(Put::update(draft, version));
        }
        if let Some((incident_id, delivery)) = amended {
            let amendment = Amendment::Delivered(Box::new(delivery));
            commit = commit.write(Write::Amend { incident_id, amendment });
        }
        self.store().commit(commit).await.map_err(store_failure)?;
        Ok(())
    }
}

fn event_type(delivery: &Delivery) -> &'static str {
    match delivery.state {
        DeliveryState::Posted => "incident_monitor.publish.completed",
        DeliveryState::Pending | DeliveryState::Retrying => "incident_monitor.publish.retrying",
        DeliveryState::Failed | DeliveryState::Blocked | DeliveryState::Unknown => "incident_monitor.publish.failed",
    }
}

/// The keys that all publish rows have, with what an attempt adds to them.
fn audit(delivery: &Delivery, incident_id: Option<&str>, draft: Option<&Draft>) -> Value {
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
