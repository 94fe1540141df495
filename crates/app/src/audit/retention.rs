//! Retention of audit rows: setting, holds, and the sweep that drops bodies.
//!
//! One job for each tenant that has a setting, claimed under a lease. A step looks at a bounded run of rows and drops what
//! is old, signed, not on hold and not waiting for a scheduled export, in one commit with the row that tells of it. Nothing
//! is dropped from a log that was tampered with: its bodies are what the break is understood by.

use tandem_core::{
    actor::OpContext,
    audit::integrity::Status,
    custody::retention::{
        AuditRetention, Configure, DropOld, Hold, HoldWish, LOOK_MS, LegalHold, MOST_HOLDS, Old, Release, RetentionWish,
    },
    error::Failure,
    ports::{AuditQuery, Claim},
    record::{Commit, JobKind, Write},
};

use crate::{App, store_failure};

/// Rows that one step looks at.
const STEP: usize = 1_000;
/// A step takes less.
const LEASE_MS: u64 = 60_000;
const AGAIN_MS: u64 = 5_000;

impl App {
    pub async fn audit_retention(&self, ctx: &OpContext) -> Result<Option<AuditRetention>, Failure> {
        Ok(self.load::<AuditRetention>(&ctx.tenant.key(), AuditRetention::ID).await?.map(|row| row.value))
    }

    pub async fn audit_retention_configure(
        &self,
        ctx: &OpContext,
        wish: RetentionWish,
    ) -> Result<AuditRetention, Failure> {
        let setting = self.decide(ctx, Configure { wish }).await?;
        self.wake.notify_waiters();
        Ok(setting)
    }

    /// Newest first.
    pub async fn legal_holds(&self, ctx: &OpContext) -> Result<Vec<LegalHold>, Failure> {
        let rows = self.all::<LegalHold>(&ctx.tenant.key(), "created_at_ms", Vec::new(), MOST_HOLDS).await?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    pub async fn legal_hold_place(&self, ctx: &OpContext, wish: HoldWish) -> Result<LegalHold, Failure> {
        self.decide(ctx, Hold { wish }).await
    }

    pub async fn legal_hold_release(&self, ctx: &OpContext, hold_id: &str) -> Result<LegalHold, Failure> {
        let hold = self.decide(ctx, Release { hold_id: hold_id.to_owned() }).await?;
        self.wake.notify_waiters();
        Ok(hold)
    }

    /// Takes a step of every sweep that is due. Answers with how many there were.
    pub async fn retention_due(&self) -> Result<usize, Failure> {
        let mut done = 0;
        for lane in self.store().due_lanes(JobKind::Retention, self.now_ms()).await.map_err(store_failure)? {
            let (now_ms, lease) = (self.now_ms(), self.ports.ids.fresh());
            let until = now_ms + LEASE_MS;
            let claims = self.store().claim(JobKind::Retention, &lane, now_ms, &lease, until, 1).await;
            for claim in claims.map_err(store_failure)? {
                if let Err(failure) = self.retention_step(&claim).await {
                    tracing::warn!(lane, code = failure.code.word(), "a sweep stopped early; it is tried again");
                    self.retention_rest(&claim, AGAIN_MS).await?;
                }
                done += 1;
            }
        }
        Ok(done)
    }

    async fn retention_step(&self, claim: &Claim) -> Result<(), Failure> {
        let tenant = &claim.tenant;
        let ctx = self.worker_ctx("audit_retention", tenant);
        let Some(setting) = self.audit_retention(&ctx).await? else { return self.retention_rest(claim, LOOK_MS).await };
        let Some(cutoff) = setting.cutoff_ms(ctx.now_ms) else { return self.retention_rest(claim, LOOK_MS).await };
        if self.integrity(tenant).await?.status == Status::Tampered {
            return self.retention_rest(claim, LOOK_MS).await;
        }
        let signed = self.checkpoint(tenant).await?.size;
        let bound = self.exported_to(tenant).await?.map_or(signed, |exported| exported.min(signed));
        let query = AuditQuery { after_seq: Some(setting.swept_to_seq), limit: STEP, ..AuditQuery::default() };
        let rows = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
        let full = rows.len() == STEP;
        let old: Vec<Old> = rows
            .into_iter()
            .take_while(|row| row.seq <= bound && row.created_at_ms < cutoff)
            .map(|row| Old {
                dropped: row.body().is_none(),
                seq: row.seq,
                event_type: row.event_type,
                created_at_ms: row.created_at_ms,
            })
            .collect();
        let more = full && old.len() == STEP;
        let (job_id, lease) = (claim.job.job_id.clone(), claim.lease.clone());
        self.decide(&ctx, DropOld { old, job_id, lease, more }).await.map(|_| ())
    }

    async fn retention_rest(&self, claim: &Claim, pause_ms: u64) -> Result<(), Failure> {
        let ctx = self.worker_ctx("audit_retention", &claim.tenant);
        let (job_id, lease) = (claim.job.job_id.clone(), claim.lease.clone());
        let retry = Write::JobRetry { job_id, lease, due_at_ms: ctx.now_ms + pause_ms };
        match self.store().commit(Commit::new(&ctx).write(retry)).await {
            // Somebody else has claimed it after our lease ended.
            Ok(_) | Err(tandem_core::ports::StoreError::Conflict) => Ok(()),
            Err(error) => Err(store_failure(error)),
        }
    }
}
