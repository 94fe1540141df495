//! Retention of audit rows and evidence artifacts: setting, holds, and the sweep that drops bodies.
//!
//! One job for each tenant that has a setting, claimed under a lease. A step looks at a bounded run of rows and of
//! artifacts and drops what is old and not on hold, in one commit with the rows that tell of it; of rows only what is signed
//! and not waiting for a scheduled export. Nothing is dropped where the log was tampered with: the bodies are what the break
//! is understood by.

use tandem_core::{
    actor::OpContext,
    audit::integrity::Status,
    custody::retention::{
        AuditRetention, Configure, DropOld, Hold, HoldWish, LOOK_MS, LegalHold, MOST_HOLDS, Old, OldArtifact, Release,
        RetentionWish,
    },
    error::Failure,
    ports::{AuditQuery, Claim, Query},
    record::{Commit, JobKind, Record, Write},
};
use tandem_posture::evidence::EvidenceArtifact;

use crate::{App, load::parse, store_failure};

/// Rows that one step looks at.
const STEP: usize = 1_000;
/// Artifacts that one step looks at. Each may be many megabytes.
const ARTIFACTS: usize = 8;
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
        if setting.body_days.is_none() && setting.artifact_days.is_none()
            || self.integrity(tenant).await?.status == Status::Tampered
        {
            return self.retention_rest(claim, LOOK_MS).await;
        }
        let (old, more_rows) = self.old_rows(&ctx, &setting).await?;
        let (artifacts, more_artifacts) = self.old_artifacts(&ctx, &setting).await?;
        let (job_id, lease) = (claim.job.job_id.clone(), claim.lease.clone());
        let step = DropOld { old, artifacts, job_id, lease, more_rows, more_artifacts };
        self.decide(&ctx, step).await.map(|_| ())
    }

    /// The next rows that may be dropped, and whether there may be more behind them.
    async fn old_rows(&self, ctx: &OpContext, setting: &AuditRetention) -> Result<(Vec<Old>, bool), Failure> {
        let Some(cutoff) = setting.cutoff_ms(ctx.now_ms) else { return Ok((Vec::new(), false)) };
        let tenant = ctx.tenant.key();
        let signed = self.checkpoint(&tenant).await?.size;
        let bound = self.exported_to(&tenant).await?.map_or(signed, |exported| exported.min(signed));
        let query = AuditQuery { after_seq: Some(setting.swept_to_seq), limit: STEP, ..AuditQuery::default() };
        let rows = self.store().audit_rows(&tenant, query).await.map_err(store_failure)?;
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
        Ok((old, more))
    }

    /// The same for artifacts.
    async fn old_artifacts(
        &self,
        ctx: &OpContext,
        setting: &AuditRetention,
    ) -> Result<(Vec<OldArtifact>, bool), Failure> {
        let Some(cutoff) = setting.artifact_cutoff_ms(ctx.now_ms) else { return Ok((Vec::new(), false)) };
        let swept = setting.artifacts_swept_to.clone();
        let query = Query {
            collection: EvidenceArtifact::COLLECTION,
            tenant: ctx.tenant.key(),
            equals: Vec::new(),
            order: "created_at_ms",
            since: None,
            after: swept.map(|at| (i64::try_from(at.created_at_ms).unwrap_or(i64::MAX), at.artifact_id)),
            limit: ARTIFACTS,
        };
        let rows = self.store().oldest(query).await.map_err(store_failure)?;
        let mut old = Vec::with_capacity(rows.len());
        for found in &rows {
            let row = parse::<EvidenceArtifact>(&found.row).map_err(store_failure)?;
            if row.value.created_at_ms >= cutoff {
                break;
            }
            old.push(row.value.aged(row.version, ctx.now_ms));
        }
        let more = old.len() == ARTIFACTS;
        Ok((old, more))
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
