//! Publishing a draft: the decision, its one commit, and the answer after the first attempts.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_core::{
    actor::OpContext,
    destination::Destination,
    draft::{self, Draft},
    error::{Code, Failure},
    incident::Amendment,
    publish::{
        Action, Delivery, DeliveryState, ExternalAction, Mode,
        plan::{self, Inputs, Plan, Start, Step},
        settle,
    },
    receipt::Post,
    record::{Commit, Job, JobKind, Put, Versioned, Write},
    route::{PreviewInput, RoutePreview},
    tenant::TenantKey,
    text::truncate,
    triage::RunBrief,
};

use crate::{
    App, decide_again, store_failure,
    wire::{DeliveryResult, Evidence, Published},
};

/// How long a call waits for first attempts.
const WAIT: Duration = Duration::from_secs(10);
pub(crate) const COMPLETED: &str = "incident_monitor.publish.completed";
pub(crate) const FAILED: &str = "incident_monitor.publish.failed";

/// The rows that a publish decision is made on.
struct Loaded {
    draft: Versioned<Draft>,
    run: Option<RunBrief>,
    deliveries: Vec<Delivery>,
    preview: RoutePreview,
}

/// A publish that was decided and not committed yet.
struct Decision {
    loaded: Loaded,
    plan: Plan,
}

/// What a committed decision left to be waited for and told.
enum Decided {
    ApprovalDemanded(Box<Draft>),
    /// In the order of the effective destinations.
    Under(Vec<Told>),
}

/// What came of a publish that a worker asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Done,
    /// A destination was not ready. Everything else is under way, and asking again starts what is missing.
    Unready,
}

enum Told {
    Delivery(String),
    /// The same content was delivered before.
    Duplicate(String),
    Result(Box<DeliveryResult>),
}

impl App {
    /// Publishes to the destinations that the router chooses, or to `requested` ones. Waits for first attempts, at most
    /// ten seconds; what is not done by then goes on.
    pub async fn publish(
        &self,
        ctx: &OpContext,
        draft_id: &str,
        requested: &[String],
        mode: Mode,
    ) -> Result<Published, Failure> {
        let (decided, waiting) = decide_again(async || self.publish_once(ctx, draft_id, requested, mode).await).await?;
        self.wake.notify_waiters();
        let told = match decided {
            Decided::ApprovalDemanded(draft) => {
                let evidence = self.evidence_of(&ctx.tenant.key(), &draft).await?;
                return Ok(Published::new(*draft, Action::ApprovalRequired, evidence, Vec::new(), None));
            }
            Decided::Under(told) => told,
        };
        self.wait_for_first_attempts(ctx, waiting).await?;
        self.publish_answer(ctx, draft_id, told).await
    }

    /// Decides and starts without waiting: for workers. One that asks `again` leaves no trace of finding nothing new.
    pub(crate) async fn publish_decide(
        &self,
        ctx: &OpContext,
        draft_id: &str,
        mode: Mode,
        again: bool,
    ) -> Result<Asked, Failure> {
        decide_again(async || {
            let decision = self.publish_look(ctx, draft_id, &[], mode).await?;
            let asked = if decision.plan.waits() { Asked::Unready } else { Asked::Done };
            if again && !decision.plan.starts() && asked == Asked::Unready {
                return Ok(asked);
            }
            match self.publish_act(ctx, decision, &[], mode).await {
                Ok(_) => {
                    self.wake.notify_waiters();
                    Ok(asked)
                }
                Err(failure) if failure.code == Code::PublishFailed && asked == Asked::Unready => Ok(asked),
                Err(failure) => Err(failure),
            }
        })
        .await
    }

    async fn publish_once(
        &self,
        ctx: &OpContext,
        draft_id: &str,
        requested: &[String],
        mode: Mode,
    ) -> Result<(Decided, Vec<(String, tokio::sync::oneshot::Receiver<()>)>), Failure> {
        let decision = self.publish_look(ctx, draft_id, requested, mode).await?;
        self.publish_act(ctx, decision, requested, mode).await
    }

    /// Loads and decides, and changes nothing.
    async fn publish_look(
        &self,
        ctx: &OpContext,
        draft_id: &str,
        requested: &[String],
        mode: Mode,
    ) -> Result<Decision, Failure> {
        let loaded = self.publish_load(ctx, draft_id, requested).await?;
        let snapshot = self.snapshot(&ctx.tenant.key()).await?;
        let plan = plan::plan(&Inputs {
            draft: &loaded.draft.value,
            config: &snapshot.config,
            preview: &loaded.preview,
            mode,
            deliveries: &loaded.deliveries,
        });
        Ok(Decision { loaded, plan })
    }

    /// Commits what was decided.
    async fn publish_act(
        &self,
        ctx: &OpContext,
        Decision { loaded, plan }: Decision,
        requested: &[String],
        mode: Mode,
    ) -> Result<(Decided, Vec<(String, tokio::sync::oneshot::Receiver<()>)>), Failure> {
        let facts = |action: &str, detail: Option<&str>| {
            audit_facts(&loaded, loaded.preview.destinations.first(), requested, mode, action, detail)
        };
        let attempted =
            Commit::new(ctx).audit(self.event_id(), "incident_monitor.publish.attempted", facts("attempted", None));
        match plan {
            Plan::Refuse { action, code, detail } => {
                let payload = facts(action, Some(&detail));
                let commit = attempted.audit(self.event_id(), FAILED, payload);
                self.store().commit(commit).await.map_err(store_failure)?;
                let evidence = self.evidence_of(&ctx.tenant.key(), &loaded.draft.value).await?;
                Err(publish_failure(Code::PublishFailed, &loaded.draft.value, &evidence, &detail)
                    .with("error_code", code))
            }
            Plan::DemandApproval => {
                let mut draft = loaded.draft.value.clone();
                let version = loaded.draft.version;
                draft::transition(&mut draft, draft::Event::ApprovalDemanded, ctx.now_ms)
                    .map_err(|_| Failure::of(Code::Conflict))?;
                let payload = facts(Action::ApprovalRequired.word(), None);
                let mut commit = attempted.put(Put::update(&draft, version)).audit(self.event_id(), COMPLETED, payload);
                if let Some(incident_id) = draft.incident_id.clone() {
                    commit = commit.write(Write::Amend { incident_id, amendment: Amendment::ApprovalDemanded });
                }
                self.store().commit(commit).await.map_err(store_failure)?;
                Ok((Decided::ApprovalDemanded(Box::new(draft)), Vec::new()))
            }
            Plan::Deliver(steps) => self.publish_start(ctx, &loaded, requested, steps, mode, attempted).await,
        }
    }

    async fn publish_load(&self, ctx: &OpContext, draft_id: &str, requested: &[String]) -> Result<Loaded, Failure> {
        let tenant = ctx.tenant.key();
        let draft = self.draft(ctx, draft_id).await?;
        let incident = self.incident_of(&tenant, &draft.value).await?;
        let run = self.run_brief(&tenant, &draft.value).await?;
        let by_draft = vec![("draft_id", tandem_core::record::Column::text(draft_id))];
        // All of them: the commit that follows writes the draft, and so does whatever changes one of these meanwhile.
        let deliveries = self.every::<Delivery>(&tenant, "updated_at_ms", by_draft).await?;
        let input = PreviewInput { destination_ids: requested.to_vec(), ..PreviewInput::default() };
        let preview = self.preview_of(ctx, &input, Some(&draft.value), incident.as_ref().map(|i| &i.value)).await?;
        Ok(Loaded { draft, run, deliveries, preview })
    }

    /// Commits the deliveries of a plan: rows, receipts, jobs, and the triage run that some of them wait for.
    async fn publish_start(
        &self,
        ctx: &OpContext,
        loaded: &Loaded,
        requested: &[String],
        steps: Vec<Step>,
        mode: Mode,
        attempted: Commit,
    ) -> Result<(Decided, Vec<(String, tokio::sync::oneshot::Receiver<()>)>), Failure> {
        let mut draft = loaded.draft.value.clone();
        let mut commit = attempted;
        let mut told = Vec::new();
        let mut waiting = Vec::new();
        let mut deadline: Option<Option<u64>> = None;
        for step in steps {
            let destination_result = |destination: &Destination| DeliveryResult {
                destination_id: destination.destination_id.clone(),
                destination_kind: destination.kind,
                action: Action::DraftReady,
                status: DeliveryState::Blocked,
                delivery_id: None,
                post: None,
                error_code: None,
                detail: None,
                retry_at_ms: None,
            };
            // A destination for which nothing starts is done here; the others get their rows when they are attempted.
            let ended = match &step {
                Step::Start(_) => None,
                Step::Posted { destination, .. } => Some((COMPLETED, destination, Action::SkipDuplicate.word(), None)),
                Step::Underway { destination, .. } => {
                    Some((COMPLETED, destination, Action::PublishInProgress.word(), None))
                }
                Step::CreateOff { destination } => Some((COMPLETED, destination, Action::DraftReady.word(), None)),
                Step::Blocked { destination, detail, .. } => {
                    Some((FAILED, destination, "destination_not_ready", Some(detail.as_str())))
                }
            };
            if let Some((event_type, destination, action, detail)) = ended {
                let payload = audit_facts(loaded, Some(destination), requested, mode, action, detail);
                commit = commit.audit(self.event_id(), event_type, payload);
            }
            match step {
                Step::Posted { delivery_id, .. } => told.push(Told::Duplicate(delivery_id)),
                Step::Underway { delivery_id, .. } => told.push(Told::Delivery(delivery_id)),
                Step::Blocked { destination, code, detail } => told.push(Told::Result(Box::new(DeliveryResult {
                    error_code: Some(code),
                    detail: Some(detail),
                    ..destination_result(&destination)
                }))),
                Step::CreateOff { destination } => told.push(Told::Result(Box::new(DeliveryResult {
                    error_code: Some("create_disabled".into()),
                    detail: Some("`auto_create_new_issues` is off".into()),
                    ..destination_result(&destination)
                }))),
                Step::Start(start) => {
                    let mut due_at_ms = ctx.now_ms;
                    if start.needs_triage {
                        if deadline.is_none() {
                            let (next, until) = self.triage_for_publish(ctx, loaded, &mut draft, commit).await?;
                            commit = next;
                            deadline = Some(until);
                        }
                        // Woken as soon as triage settles; the deadline is the net.
                        if let Some(Some(until)) = deadline {
                            due_at_ms = until;
                        }
                    }
                    let delivery = self.new_delivery(ctx, loaded, requested, &start, mode);
                    waiting.push((delivery.delivery_id.clone(), self.waiters.register(&delivery.delivery_id)));
                    commit = commit
                        .put(Put::insert(&delivery))
                        .put(Put::insert(&settle::pending_post(&draft, &delivery)))
                        .write(Write::Job(Job {
                            job_id: format!("deliver-{}", delivery.delivery_id),
                            kind: JobKind::Deliver,
                            lane: lane(&ctx.tenant.key(), &delivery.destination_id),
                            subject: delivery.delivery_id.clone(),
                            due_at_ms,
                        }));
                    told.push(Told::Delivery(delivery.delivery_id));
                }
            }
        }
        // Writing the draft with the version it was read at is what keeps two publishes from starting the same delivery.
        draft.updated_at_ms = draft.updated_at_ms.max(ctx.now_ms);
        commit = commit.put(Put::update(&draft, loaded.draft.version));
        self.store().commit(commit).await.map_err(store_failure)?;
        Ok((Decided::Under(told), waiting))
    }

    fn new_delivery(
        &self,
        ctx: &OpContext,
        loaded: &Loaded,
        requested: &[String],
        start: &Start,
        mode: Mode,
    ) -> Delivery {
        let winner = loaded.preview.matches.first();
        Delivery {
            delivery_id: self.id("bmwh_"),
            draft_id: loaded.draft.value.draft_id.clone(),
            incident_id: loaded.draft.value.incident_id.clone(),
            post_id: self.id("failure-post-"),
            destination_id: start.destination.destination_id.clone(),
            destination_kind: start.destination.kind,
            route_id: winner.and_then(|m| m.route_id.clone()),
            route_match_reason: winner.and_then(|m| m.reason.clone()),
            target_ref: start.target_ref.clone(),
            operation: start.operation.to_owned(),
            action: start.action,
            mode,
            requested_destination_ids: requested.to_vec(),
            effective_destination_ids: loaded.preview.effective_destination_ids.clone(),
            approval_required: loaded.preview.approval_required,
            idempotency_key: start.idempotency_key.clone(),
            evidence_digest: start.evidence_digest.clone(),
            state: DeliveryState::Pending,
            max_attempts: start.max_attempts,
            attempts: Vec::new(),
            next_attempt_at_ms: Some(ctx.now_ms),
            destination_digest: start.destination_digest.clone(),
            error_code: None,
            error: None,
            intent: start.doubt.as_ref().map(|doubt| doubt.intent.clone()),
            issue: start.issue.clone(),
            recurrence: start.recurrence,
            payload: start.doubt.as_ref().and_then(|doubt| doubt.payload.clone()),
            prepared: start.doubt.as_ref().and_then(|doubt| doubt.prepared.clone()),
            created_at_ms: ctx.now_ms,
            updated_at_ms: ctx.now_ms,
        }
    }

    /// The run that a publish must wait for: the one in progress, or a new one when there never was any. Returns until
    /// when, or `None` when nothing needs waiting for. A run without deadline is waited for a day at a time.
    async fn triage_for_publish(
        &self,
        ctx: &OpContext,
        loaded: &Loaded,
        draft: &mut Draft,
        commit: Commit,
    ) -> Result<(Commit, Option<u64>), Failure> {
        const DAY_MS: u64 = 86_400_000;
        match &loaded.run {
            Some(run) if run.holds_publishing(ctx.now_ms) => {
                Ok((commit, Some(run.deadline_ms.unwrap_or(ctx.now_ms + DAY_MS))))
            }
            Some(_) => Ok((commit, None)),
            None => {
                let (commit, run) = self.triage_start(ctx, draft, commit).await?;
                Ok((commit, Some(run.deadline_ms.unwrap_or(ctx.now_ms + DAY_MS))))
            }
        }
    }

    async fn wait_for_first_attempts(
        &self,
        ctx: &OpContext,
        waiting: Vec<(String, tokio::sync::oneshot::Receiver<()>)>,
    ) -> Result<(), Failure> {
        let until = tokio::time::Instant::now() + WAIT;
        for (delivery_id, mut settled) in waiting {
            loop {
                // The hint comes from this process; the row is looked at in case another engine does the work.
                let pause = tokio::time::Instant::now() + Duration::from_millis(500);
                if tokio::time::timeout_at(until.min(pause), &mut settled).await.is_ok() {
                    break;
                }
                let row = self.load::<Delivery>(&ctx.tenant.key(), &delivery_id).await?;
                if row.is_none_or(|d| d.value.state != DeliveryState::Pending) || tokio::time::Instant::now() >= until {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn publish_answer(&self, ctx: &OpContext, draft_id: &str, told: Vec<Told>) -> Result<Published, Failure> {
        let tenant = ctx.tenant.key();
        let draft = self.draft(ctx, draft_id).await?.value;
        let evidence = self.evidence_of(&tenant, &draft).await?;
        let mut results = Vec::new();
        for one in told {
            results.push(match one {
                Told::Result(result) => *result,
                Told::Delivery(id) => self.delivery_result(ctx, &id, false).await?,
                Told::Duplicate(id) => self.delivery_result(ctx, &id, true).await?,
            });
        }
        let hopeless = results.iter().all(|r| matches!(r.status, DeliveryState::Failed | DeliveryState::Blocked));
        if hopeless && results.iter().any(|r| r.delivery_id.is_some()) {
            let detail: Vec<String> = results.iter().filter_map(|r| r.detail.clone()).collect();
            return Err(publish_failure(Code::PublishFailed, &draft, &evidence, &detail.join("; "))
                .with("results", json!(results)));
        }
        let action = results.first().map_or(Action::PublishInProgress, |first| first.action);
        let post_id = results.first().and_then(|first| first.post.as_ref()).map(|post| post.post_id.clone());
        let mirror = match post_id {
            Some(id) => self.load::<ExternalAction>(&tenant, &id).await?.map(|row| row.value),
            None => None,
        };
        Ok(Published::new(draft, action, evidence, results, mirror))
    }

    async fn delivery_result(&self, ctx: &OpContext, id: &str, duplicate: bool) -> Result<DeliveryResult, Failure> {
        let tenant = ctx.tenant.key();
        let Some(delivery) = self.load::<Delivery>(&tenant, id).await?.map(|row| row.value) else {
            return Err(Failure::of(Code::DeliveryNotFound).with("delivery_id", id));
        };
        let post = self.load::<Post>(&tenant, &delivery.post_id).await?.map(|row| row.value);
        let action = match delivery.state {
            DeliveryState::Posted if duplicate => Action::SkipDuplicate,
            DeliveryState::Posted | DeliveryState::Failed | DeliveryState::Blocked | DeliveryState::Unknown => {
                delivery.action
            }
            DeliveryState::Pending | DeliveryState::Retrying => Action::PublishInProgress,
        };
        Ok(DeliveryResult {
            destination_id: delivery.destination_id,
            destination_kind: delivery.destination_kind,
            action,
            status: delivery.state,
            delivery_id: Some(delivery.delivery_id),
            post,
            error_code: delivery.error_code,
            detail: delivery.error,
            retry_at_ms: delivery.next_attempt_at_ms.filter(|_| delivery.state == DeliveryState::Retrying),
        })
    }
}

/// Work for one destination never waits for work for another.
pub(crate) fn lane(tenant: &TenantKey, destination_id: &str) -> String {
    format!("{}|{destination_id}", tenant.as_str())
}

/// The error body of publish and recheck.
pub(crate) fn publish_failure(code: Code, draft: &Draft, evidence: &Evidence, detail: &str) -> Failure {
    let mut failure = Failure::new(code, code.meaning())
        .with("draft_id", draft.draft_id.clone())
        .with("draft", json!(draft))
        .with("detail", detail);
    if let Value::Object(evidence) = json!(evidence) {
        failure.extra.extend(evidence);
    }
    failure
}

/// The payload of publish audit rows.
fn audit_facts(
    loaded: &Loaded,
    selected: Option<&Destination>,
    requested: &[String],
    mode: Mode,
    action: &str,
    detail: Option<&str>,
) -> Value {
    let draft = &loaded.draft.value;
    let preview = &loaded.preview;
    json!({
        "draft_id": draft.draft_id,
        "incident_id": draft.incident_id,
        "mode": mode,
        "requested_destination_ids": requested,
        "effective_destination_ids": preview.effective_destination_ids,
        "selected_destination_id": selected.map(|d| &d.destination_id),
        "selected_destination_kind": selected.map(|d| d.kind),
        "route_ids": preview.matches.iter().filter_map(|m| m.route_id.as_ref()).collect::<Vec<_>>(),
        "blocked": preview.blocked,
        "blocked_reasons": preview.blocked_reasons,
        "blocked_codes": preview.blocked_codes,
        "approval_required": preview.approval_required,
        "action": action,
        "detail": detail.map(|d| truncate(d, 500)),
        "repo": draft.repo,
        "fingerprint": draft.fingerprint,
        "status": draft.status,
        "risk_level": draft.classification.risk_level,
        "risk_category": draft.safety.risk_category,
        "confidence": draft.classification.confidence,
        "project_id": draft.project_id,
        "log_source_id": draft.log_source_id,
        "source_kind": draft.source_kind,
        "tenant_id": draft.routing.tenant_id,
        "workspace_id": draft.routing.workspace_id,
        "event_schema_version": draft.routing.event_schema_version,
        "source_allowlist_enforced": !draft.routing.allowed_destination_ids.is_empty(),
    })
}
