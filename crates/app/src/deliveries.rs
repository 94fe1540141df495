//! Deliveries: list, read, and send a dead letter again.

use serde_json::json;
use tandem_core::{
    actor::{ActorKind, OpContext},
    draft::{Draft, DraftStatus},
    error::{Code, Failure},
    publish::{Delivery, DeliveryState, settle, target},
    record::{Commit, Job, JobKind, Put},
    route::{BlockCode, PreviewInput},
};

use crate::{App, Page, PageRequest, decide_again, publish::lane, store_failure, wire::delivery_view};

impl App {
    pub async fn deliveries(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<Delivery>, Failure> {
        let page: Page<Delivery> = self.page(&ctx.tenant.key(), "updated_at_ms", request).await?;
        Ok(Page { items: page.items.into_iter().map(delivery_view).collect(), next: page.next })
    }

    pub async fn delivery(&self, ctx: &OpContext, id: &str) -> Result<Delivery, Failure> {
        match self.load::<Delivery>(&ctx.tenant.key(), id).await? {
            Some(found) => Ok(delivery_view(found.value)),
            None => Err(Failure::of(Code::DeliveryNotFound).with("delivery_id", id)),
        }
    }

    /// Sends a delivery that ended without success again: a new delivery of the same content with the same idempotency
    /// key. What is needed now counts: a denial since then stops it, and so do an approval that is missing now and an allowlist
    /// that no longer holds the destination.
    pub async fn redeliver(&self, ctx: &OpContext, id: &str) -> Result<Delivery, Failure> {
        let refused = |why: &str| Failure::of(Code::RedeliverFailed).with("delivery_id", id).with("detail", why);
        if ctx.actor.kind == ActorKind::Agent {
            return Err(Failure::new(Code::HumanRequired, "an agent cannot redeliver").with("delivery_id", id));
        }
        let tenant = ctx.tenant.key();
        let fresh = decide_again(async || {
            let Some(found) = self.load::<Delivery>(&tenant, id).await? else {
                return Err(Failure::of(Code::DeliveryNotFound).with("delivery_id", id));
            };
            let old = found.value;
            match old.state {
                DeliveryState::Pending | DeliveryState::Retrying => return Err(refused("the delivery is still open")),
                DeliveryState::Posted => return Err(refused("the delivery has been taken by its destination")),
                DeliveryState::Failed | DeliveryState::Blocked | DeliveryState::Unknown => {}
            }
            let Some(draft) = self.load::<Draft>(&tenant, &old.draft_id).await? else {
                return Err(refused("the draft was deleted"));
            };
            if draft.value.status == DraftStatus::Denied {
                return Err(refused("the draft was denied; a denial is final"));
            }
            let incident = self.incident_of(&tenant, &draft.value).await?;
            let input = PreviewInput { destination_ids: vec![old.destination_id.clone()], ..PreviewInput::default() };
            let now = self.preview_of(ctx, &input, Some(&draft.value), incident.as_ref().map(|i| &i.value)).await?;
            if now.approval_required && draft.value.approval_granted_at_ms.is_none() {
                return Err(refused("it needs an approval now; publish the draft to ask for one"));
            }
            if now.blocked_codes.contains(&BlockCode::NotAllowed) {
                return Err(refused("its source may not reach the destination any more"));
            }
            let twin = |d: &Delivery| {
                d.idempotency_key == old.idempotency_key && (d.state.is_open() || d.state == DeliveryState::Posted)
            };
            let by_draft = vec![("draft_id", tandem_core::record::Column::text(&old.draft_id))];
            if self.every::<Delivery>(&tenant, "updated_at_ms", by_draft).await?.iter().any(twin) {
                return Err(refused("the same content is being delivered or has been taken"));
            }
            let snapshot = self.snapshot(&tenant).await?;
            let Some(destination) = tandem_core::destination::find(&snapshot.config, &old.destination_id) else {
                return Err(refused("the destination was removed"));
            };
            if target::target_ref(&snapshot.config, &destination) != old.target_ref {
                return Err(refused("the destination now aims elsewhere; publish the draft again"));
            }
            let fresh = Delivery {
                delivery_id: self.id("bmwh_"),
                post_id: self.id("failure-post-"),
                state: DeliveryState::Pending,
                attempts: Vec::new(),
                next_attempt_at_ms: Some(ctx.now_ms),
                destination_digest: target::config_digest(&destination),
                error_code: None,
                error: None,
                // Whoever asks for a tool to be called again wants it called; a tracker can be looked at first.
                intent: old.intent.clone().filter(|_| old.destination_kind.is_tracker()),
                payload: old.payload.clone().filter(|_| old.intent.is_some()),
                created_at_ms: ctx.now_ms,
                updated_at_ms: ctx.now_ms,
                ..old
            };
            // Touching the draft keeps two calls from starting the same delivery.
            let mut touched = draft.value;
            touched.updated_at_ms = touched.updated_at_ms.max(ctx.now_ms);
            let payload = json!({
                "delivery_id": fresh.delivery_id,
                "previous_delivery_id": id,
                "draft_id": fresh.draft_id,
                "destination_id": fresh.destination_id,
                "idempotency_key": fresh.idempotency_key,
            });
            let commit = Commit::new(ctx)
                .put(Put::update(&touched, draft.version))
                .put(Put::insert(&fresh))
                .put(Put::insert(&settle::pending_post(&touched, &fresh)))
                .write(tandem_core::record::Write::Job(Job {
                    job_id: format!("deliver-{}", fresh.delivery_id),
                    kind: JobKind::Deliver,
                    lane: lane(&tenant, &fresh.destination_id),
                    subject: fresh.delivery_id.clone(),
                    due_at_ms: ctx.now_ms,
                }))
                .audit(self.event_id(), "incident_monitor.delivery.redelivered", payload);
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(fresh)
        })
        .await?;
        self.wake.notify_waiters();
        Ok(fresh)
    }
}
