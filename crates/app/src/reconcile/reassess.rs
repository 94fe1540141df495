//! The worker of reassessment: each scope is a job that is given back with the time of the next look. Whoever claims it
//! assesses the scope if that is due, and commits the record, the schedule and the job together. A run that is lost with
//! its process is made again after the lease.

use std::sync::Arc;

use tandem_core::{
    actor::{ActorKind, ActorRef, OpContext},
    config::CONFIGS,
    decide::commit,
    error::Failure,
    ports::{Claim, StoreError},
    record::{Commit, JobKind, Write},
    tenant::TenantKey,
};
use tandem_posture::reassess::{self, Cause, GiveBack, Held, Mark, ScopeId, ScopeState};

use crate::{App, assess::Run, store_failure, tenant_of};

/// A run that takes longer is begun again by another engine, and the first to commit wins.
const LEASE_MS: u64 = 60_000;
/// Scopes that are claimed at once: they wait for each other.
const AT_ONCE: usize = 4;
/// A run that failed is tried again after this.
const AGAIN_MS: u64 = 5_000;

impl App {
    /// Gives every stored configuration its scopes and jobs, for those that were saved before there were any.
    pub async fn reassess_arrange(&self) -> Result<(), Failure> {
        for tenant in self.store().tenants(&CONFIGS).await.map_err(store_failure)? {
            let owner = tenant_of(&tenant);
            if self.load::<ScopeState>(&tenant, &ScopeId::of(&owner).key()).await?.is_some_and(|row| row.value.job) {
                continue;
            }
            let scopes = reassess::scopes(&self.snapshot(&tenant).await?.config, &owner);
            let mark = Mark { changes: Vec::new(), scopes: Some(scopes), at_once: false };
            self.decide(&self.scheduler(&tenant), mark).await?;
        }
        Ok(())
    }

    /// Looks at every scope that is due; returns how many there were.
    pub async fn reassess_due(self: &Arc<Self>) -> Result<usize, Failure> {
        let mut done = 0;
        for lane in self.store().due_lanes(JobKind::Reassess, self.now_ms()).await.map_err(store_failure)? {
            let (now_ms, lease) = (self.now_ms(), self.ports.ids.fresh());
            let claims = self
                .store()
                .claim(JobKind::Reassess, &lane, now_ms, &lease, now_ms + LEASE_MS, AT_ONCE)
                .await
                .map_err(store_failure)?;
            for claim in claims {
                done += 1;
                if let Err(failure) = self.reassess_claimed(&claim).await {
                    let (scope, code) = (&claim.job.subject, failure.code.word());
                    tracing::warn!(scope, code, "a scope could not be assessed; it is tried again");
                    self.reassess_later(&claim).await?;
                }
            }
        }
        Ok(done)
    }

    /// What the log calls this worker.
    fn scheduler(&self, tenant: &TenantKey) -> OpContext {
        let actor = ActorRef {
            kind: ActorKind::System,
            actor_id: Some("incident_monitor.reassessment_scheduler".into()),
            source: Some("worker:reassessment".into()),
        };
        OpContext { actor, ..self.worker_ctx("reassessment", tenant) }
    }

    async fn reassess_claimed(self: &Arc<Self>, claim: &Claim) -> Result<(), Failure> {
        let ctx = self.scheduler(&claim.tenant);
        let held = Held { job_id: claim.job.job_id.clone(), lease: claim.lease.clone() };
        let Some(state) = self.load::<ScopeState>(&claim.tenant, &claim.job.subject).await?.map(|row| row.value) else {
            let done = Write::JobDone { job_id: held.job_id, lease: held.lease };
            return self.unless_lost(Commit::new(&ctx).write(done)).await;
        };
        let settings = self.snapshot(&claim.tenant).await?.config.reassessment.clone();
        let id = state.id.clone();
        if state.retired {
            return self.give_back_scope(&ctx, &id, held, Vec::new(), None).await;
        }
        // The owner's own scope looks for all.
        if id == ScopeId::of(&ctx.tenant) {
            let (changes, recurring) = self.unannounced(&state, &claim.tenant, &settings).await?;
            if !changes.is_empty() {
                let mark = Mark { changes, scopes: None, at_once: true };
                return self.give_back_scope(&ctx, &id, held, recurring, Some(mark)).await;
            }
        }
        if state.due_at_ms(&settings) > ctx.now_ms {
            return self.give_back_scope(&ctx, &id, held, Vec::new(), None).await;
        }
        let cause = Cause::Due { mark: state.marks };
        let record = self.reassess(&ctx, Run { id, cause, held: Some(held) }).await?;
        tracing::debug!(record = record.record_id, trigger = record.trigger.word(), "a scope was assessed");
        Ok(())
    }

    async fn give_back_scope(
        &self,
        ctx: &OpContext,
        id: &ScopeId,
        held: Held,
        recurring: Vec<(String, u64)>,
        mark: Option<Mark>,
    ) -> Result<(), Failure> {
        let settings = self.snapshot(&ctx.tenant.key()).await?.config.reassessment.clone();
        let back = GiveBack { id: id.clone(), settings, held, recurring, not_before_ms: 0 };
        let mut whole = Commit::new(ctx);
        whole.writes.extend(mark.map(|mark| self.marked(mark)));
        whole.writes.extend(commit(ctx, self.seed(), back).writes);
        self.unless_lost(whole).await
    }

    async fn reassess_later(&self, claim: &Claim) -> Result<(), Failure> {
        let ctx = self.scheduler(&claim.tenant);
        let (job_id, lease) = (claim.job.job_id.clone(), claim.lease.clone());
        let retry = Write::JobRetry { job_id, lease, due_at_ms: ctx.now_ms + AGAIN_MS };
        self.unless_lost(Commit::new(&ctx).write(retry)).await
    }

    /// Somebody else has claimed the job after our lease ended: then it is theirs.
    async fn unless_lost(&self, whole: Commit) -> Result<(), Failure> {
        match self.store().commit(whole).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(store_failure(error)),
        }
    }
}
