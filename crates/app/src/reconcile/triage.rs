//! Triage runs: claim, run the phases, commit what they found.

use std::sync::Arc;

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::json;
use tandem_core::{
    actor::OpContext,
    draft::{self, Draft, DraftStatus, Event},
    error::{Code, Failure},
    incident::Amendment,
    ports::Claim,
    publish::Mode,
    record::{Commit, JobKind, Put, Waiting, Write},
    tenant::TenantKey,
    triage::{SummaryInput, TriageRun, run},
};

use crate::{App, decide_again, publish::Asked, store_failure};

const LEASE_MS: u64 = 60_000;
/// Runs under way at once in one lane.
const AT_ONCE: usize = 16;
/// How long an unready destination is waited for before the same is asked again: doubled each time, up to the second.
const UNREADY_MS: u64 = 2_000;
const UNREADY_MAX_MS: u64 = 15_000;
/// A run that ended the process this often is not tried again.
const CRASHES: u32 = 3;

impl App {
    /// Runs every due triage job and every due automatic publish; returns how many there were.
    pub async fn triage_until_idle(self: &Arc<Self>) -> Result<usize, Failure> {
        let mut done = 0;
        loop {
            let mut progress = 0;
            for kind in [JobKind::StartTriage, JobKind::Triage, JobKind::AutoPublish, JobKind::Recur] {
                let mut running = FuturesUnordered::new();
                for claim in self.claim_some(kind).await? {
                    let app = Arc::clone(self);
                    // In its own task, so that a fault in one run cannot end the worker; side by side, so that their
                    // commits share one flush.
                    running.push(tokio::spawn(async move {
                        match kind {
                            JobKind::StartTriage => app.triage_begin(&claim).await,
                            JobKind::Triage => app.triage_one(&claim).await,
                            JobKind::AutoPublish => app.auto_publish(&claim).await,
                            JobKind::Recur => app.tell_recurrence(&claim).await,
                            JobKind::Deliver | JobKind::Sync | JobKind::Sweep | JobKind::Tail => Ok(()),
                            JobKind::RunFailure | JobKind::RunLease | JobKind::Reassess => Ok(()),
                            JobKind::Export | JobKind::Retention => Ok(()),
                        }
                    }));
                }
                while let Some(ended) = running.next().await {
                    match ended {
                        Ok(Ok(())) => {}
                        Ok(Err(failure)) => {
                            tracing::warn!(code = failure.code.word(), job = kind.label(), "a job failed")
                        }
                        Err(panic) => tracing::error!(%panic, job = kind.label(), "a job ended abnormally"),
                    }
                    progress += 1;
                }
            }
            if progress == 0 {
                return Ok(done);
            }
            done += progress;
        }
    }

    async fn claim_some(&self, kind: JobKind) -> Result<Vec<Claim>, Failure> {
        let now_ms = self.now_ms();
        let mut claims = Vec::new();
        for lane in self.store().due_lanes(kind, now_ms).await.map_err(store_failure)? {
            // What is published by itself is not asked for while the monitor rests; its jobs stay due until it goes on.
            if matches!(kind, JobKind::AutoPublish | JobKind::Recur) {
                let snapshot = self.snapshot(&TenantKey(lane.clone())).await?;
                if snapshot.config.paused || !snapshot.config.enabled {
                    continue;
                }
            }
            let lease = self.ports.ids.fresh();
            let until = now_ms + LEASE_MS;
            claims
                .extend(self.store().claim(kind, &lane, now_ms, &lease, until, AT_ONCE).await.map_err(store_failure)?);
        }
        Ok(claims)
    }

    async fn job_done(&self, ctx: &OpContext, claim: &Claim) -> Result<(), Failure> {
        let done = done(claim);
        self.store().commit(Commit::new(ctx).write(done)).await.map_err(store_failure)?;
        Ok(())
    }

    /// Begins the triage of a draft that a log source opened. A draft that waits for approval goes on waiting.
    async fn triage_begin(&self, claim: &Claim) -> Result<(), Failure> {
        let ctx = self.worker_ctx("triage", &claim.tenant);
        match self.triage_run(&ctx, &claim.job.subject, true).await {
            Ok(_) => {}
            Err(failure) if matches!(failure.code, Code::StoreUnavailable | Code::Conflict) => return Err(failure),
            // Denied or deleted meanwhile.
            Err(_) => {}
        }
        self.job_done(&ctx, claim).await
    }

    async fn triage_one(&self, claim: &Claim) -> Result<(), Failure> {
        let ctx = self.worker_ctx("triage", &claim.tenant);
        let Some(found) = self.load::<TriageRun>(&claim.tenant, &claim.job.subject).await? else {
            return self.job_done(&ctx, claim).await;
        };
        let run = found.value;
        if run.status.is_terminal() {
            return self.job_done(&ctx, claim).await;
        }
        if run.deadline_ms.is_some_and(|deadline| deadline <= ctx.now_ms) {
            self.triage_timed_out(&ctx, &run.run_id).await?;
            return self.job_done(&ctx, claim).await;
        }
        if claim.attempts > CRASHES {
            self.triage_fail(&ctx, &run.run_id, "the run ended abnormally several times", false).await?;
            return self.job_done(&ctx, claim).await;
        }
        let superseded = match self.load::<Draft>(&claim.tenant, &run.draft_id).await? {
            None => true,
            Some(draft) => {
                draft.value.status == DraftStatus::Denied
                    || draft.value.triage_run_id.as_deref() != Some(run.run_id.as_str())
            }
        };
        if superseded {
            self.triage_fail(&ctx, &run.run_id, "the draft was denied, deleted or given another run", false).await?;
            return self.job_done(&ctx, claim).await;
        }
        self.triage_settle(&ctx, &run.draft_id, &SummaryInput::default(), &[done(claim)]).await?;
        Ok(())
    }

    /// Ends a run whose deadline has passed; publishing goes on without its evidence.
    pub(crate) async fn triage_timed_out(&self, ctx: &OpContext, run_id: &str) -> Result<(), Failure> {
        self.triage_fail(ctx, run_id, "the deadline passed before triage ended", true).await
    }

    async fn triage_fail(&self, ctx: &OpContext, run_id: &str, why: &str, timed_out: bool) -> Result<(), Failure> {
        let tenant = ctx.tenant.key();
        decide_again(async || {
            let Some(found) = self.load::<TriageRun>(&tenant, run_id).await? else { return Ok(()) };
            let mut run = found.value;
            if run::transition(&mut run, run::Event::Failed { error: why.to_owned() }, ctx.now_ms).is_err() {
                return Ok(());
            }
            let event = if timed_out {
                "incident_monitor.incident.triage_timed_out"
            } else {
                "incident_monitor.incident.triage_failed"
            };
            let payload = json!({
                "draft_id": run.draft_id, "incident_id": run.incident_id, "run_id": run_id, "detail": why,
            });
            let mut commit =
                Commit::new(ctx).put(Put::update(&run, found.version)).audit(self.event_id(), event, payload);
            if let Some(draft) = self.load::<Draft>(&tenant, &run.draft_id).await? {
                let mut changed = draft.value;
                if draft::transition(&mut changed, Event::TriageTimedOut, ctx.now_ms).is_ok() {
                    commit = commit.put(Put::update(&changed, draft.version));
                }
                for delivery in self.open_deliveries(&tenant, &changed.draft_id).await? {
                    commit = commit.write(Write::JobsWake {
                        kind: JobKind::Deliver,
                        of: Waiting::Subject(delivery.delivery_id),
                        due_at_ms: ctx.now_ms,
                    });
                }
            }
            if let Some(incident_id) = run.incident_id.clone() {
                let amendment = Amendment::TriageFailed { timed_out, why: why.to_owned() };
                commit = commit.write(Write::Amend { incident_id, amendment });
            }
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(())
        })
        .await
    }

    /// Publishes a draft whose route an admin set to publish by itself. The gates are those of any other publish.
    async fn auto_publish(&self, claim: &Claim) -> Result<(), Failure> {
        let ctx = self.worker_ctx("auto_publish", &claim.tenant);
        match self.publish_decide(&ctx, &claim.job.subject, Mode::Auto, claim.attempts > 1).await {
            Ok(Asked::Done) => {}
            Ok(Asked::Unready) => return self.ask_again(&ctx, claim).await,
            // The store may come back; the job does too.
            Err(failure) if matches!(failure.code, Code::StoreUnavailable | Code::Conflict) => return Err(failure),
            // Refused and audited: asking again would not change it.
            Err(_) => {}
        }
        self.job_done(&ctx, claim).await
    }

    /// A destination was not ready: the same is asked when it may be.
    async fn ask_again(&self, ctx: &OpContext, claim: &Claim) -> Result<(), Failure> {
        let wait = (UNREADY_MS << claim.attempts.saturating_sub(1).min(8)).min(UNREADY_MAX_MS);
        let retry = Write::JobRetry {
            job_id: claim.job.job_id.clone(),
            lease: claim.lease.clone(),
            due_at_ms: self.now_ms() + wait,
        };
        self.store().commit(Commit::new(ctx).write(retry)).await.map_err(store_failure)?;
        Ok(())
    }
}

impl App {
    /// Tells the trackers that have a published draft's issue that its failure was seen again. A publish like any other,
    /// so the gates are the same; what has been told already is not told again.
    async fn tell_recurrence(&self, claim: &Claim) -> Result<(), Failure> {
        let ctx = self.worker_ctx("recurrence", &claim.tenant);
        match self.publish_decide(&ctx, &claim.job.subject, Mode::Recurrence, claim.attempts > 1).await {
            Ok(Asked::Done) => {}
            Ok(Asked::Unready) => return self.ask_again(&ctx, claim).await,
            Err(failure) if matches!(failure.code, Code::StoreUnavailable | Code::Conflict) => return Err(failure),
            // Refused and audited: the next recurrence asks again.
            Err(_) => {}
        }
        decide_again(async || {
            let mut commit = Commit::new(&ctx).write(done(claim));
            if let Some(found) = self.load::<Draft>(&claim.tenant, &claim.job.subject).await? {
                let mut draft = found.value;
                let updated_at_ms = draft.updated_at_ms;
                // Never refused; bookkeeping does not make a draft look newer.
                let _ = draft::transition(&mut draft, Event::RecurrenceHandled, self.now_ms());
                draft.updated_at_ms = updated_at_ms;
                commit = commit.put(Put::update(&draft, found.version));
            }
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(())
        })
        .await
    }
}

fn done(claim: &Claim) -> Write {
    Write::JobDone { job_id: claim.job.job_id.clone(), lease: claim.lease.clone() }
}
