//! Scheduled exports: what was appended to a log, planned, made, handed over, and receipted.
//!
//! One job for each tenant, claimed under a lease. A step plans the next run of rows, or takes up a plan that was left
//! behind, and ends with its receipt. The object follows from the plan, so a step that was killed is repeated under the
//! same name. Rows about exports alone are no reason for another one.

use std::sync::Arc;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tandem_core::{
    actor::OpContext,
    audit::{bundle::About, merkle::parse_hex},
    custody::{
        name,
        receipt::{ExportReceipt, ExportStatus, Locked},
        setting::{Configure, ExportSetting, ExportTarget, ExportWish},
    },
    error::{Code, Failure},
    ports::{AuditQuery, AuditRow, Claim, Secret, StoreError},
    record::{Column, Commit, Expect, JobKind, Put, Write},
    tenant::TenantKey,
    text::{sha256_hex, truncate},
};

use super::export::ExportStream;
use crate::{App, Page, PageRequest, store_failure};

/// Rows of one object. It is made in memory.
const MOST_ROWS: u64 = 10_000;
/// Making and handing over one object takes less.
const LEASE_MS: u64 = 180_000;
/// A job whose setting is switched off; a change of the setting wakes it.
const RESTING_MS: u64 = 3_600_000;
/// Objects made at the same time, each of another tenant.
const AT_ONCE: usize = 4;
/// Rows looked at for something else than exports. Few are enough: an export writes one.
const LOOKED_AT: usize = 32;

/// One object to be kept elsewhere.
pub struct ExportCall {
    pub target: ExportTarget,
    pub name: String,
    pub body: Vec<u8>,
    /// SHA-256 of the body, hex.
    pub digest: String,
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
    pub session_token: Option<Secret>,
    /// How the store is asked to lock it.
    pub lock: Option<Locked>,
    pub at_ms: u64,
}

/// Why an object is not kept, without secrets or paths of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportTrouble {
    pub code: String,
    pub error: String,
}

impl ExportTrouble {
    pub fn new(code: impl Into<String>, error: impl Into<String>) -> Self {
        Self { code: code.into(), error: error.into() }
    }
}

impl App {
    pub async fn export_setting(&self, ctx: &OpContext) -> Result<Option<ExportSetting>, Failure> {
        Ok(self.load::<ExportSetting>(&ctx.tenant.key(), ExportSetting::ID).await?.map(|row| row.value))
    }

    pub async fn export_configure(&self, ctx: &OpContext, wish: ExportWish) -> Result<ExportSetting, Failure> {
        let setting = self.decide(ctx, Configure { wish }).await?;
        self.wake.notify_waiters();
        Ok(setting)
    }

    /// Receipts, newest first.
    pub async fn exports(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<ExportReceipt>, Failure> {
        self.page(&ctx.tenant.key(), "created_at_ms", request).await
    }

    /// The last row that nothing keeps here for a scheduled export; `None` where there is no such export.
    pub(super) async fn exported_to(&self, tenant: &TenantKey) -> Result<Option<u64>, Failure> {
        let setting = self.load::<ExportSetting>(tenant, ExportSetting::ID).await?.map(|row| row.value);
        let Some(setting) = setting.filter(|setting| setting.enabled) else { return Ok(None) };
        let place = vec![("destination_key", Column::text(setting.destination.key()))];
        let newest = self.all::<ExportReceipt>(tenant, "last_seq", place, 1).await?.pop().map(|row| row.value);
        let to = |receipt: ExportReceipt| if receipt.is_open() { receipt.first_seq - 1 } else { receipt.last_seq };
        Ok(Some(newest.map_or(0, to)))
    }

    /// Whether what is appended leaves by schedule.
    pub(crate) async fn exports_work(&self, tenant: &TenantKey) -> Result<bool, Failure> {
        let setting = self.load::<ExportSetting>(tenant, ExportSetting::ID).await?.map(|row| row.value);
        let Some(setting) = setting.filter(|setting| setting.enabled) else { return Ok(false) };
        let place = vec![("destination_key", Column::text(setting.destination.key()))];
        let latest = self.all::<ExportReceipt>(tenant, "last_seq", place, 2).await?;
        let latest: Vec<ExportReceipt> = latest.into_iter().map(|row| row.value).collect();
        Ok(ExportReceipt::works(&latest))
    }

    /// Takes a step of every export that is due. Answers with how many there were.
    pub async fn export_due(self: &Arc<Self>) -> Result<usize, Failure> {
        let lanes = self.store().due_lanes(JobKind::Export, self.now_ms()).await.map_err(store_failure)?;
        let mut running: FuturesUnordered<_> = lanes.iter().take(AT_ONCE).map(|lane| self.export_lane(lane)).collect();
        let (mut done, mut failed) = (0, None);
        while let Some(ended) = running.next().await {
            match ended {
                Ok(count) => done += count,
                Err(failure) => failed = Some(failure),
            }
        }
        failed.map_or(Ok(done), Err)
    }

    async fn export_lane(self: &Arc<Self>, lane: &str) -> Result<usize, Failure> {
        let (now_ms, lease) = (self.now_ms(), self.ports.ids.fresh());
        let until = now_ms + LEASE_MS;
        let claims =
            self.store().claim(JobKind::Export, lane, now_ms, &lease, until, 1).await.map_err(store_failure)?;
        for claim in &claims {
            let pause_ms = match self.export_step(claim).await {
                Ok(pause_ms) => pause_ms,
                Err(failure) => {
                    tracing::warn!(lane, code = failure.code.word(), "an export stopped early; it is tried again");
                    5_000
                }
            };
            self.export_give_back(claim, pause_ms).await?;
        }
        Ok(claims.len())
    }

    async fn export_give_back(&self, claim: &Claim, pause_ms: u64) -> Result<(), Failure> {
        let ctx = self.worker_ctx("exports", &claim.tenant);
        let (job_id, lease) = (claim.job.job_id.clone(), claim.lease.clone());
        let retry = Write::JobRetry { job_id, lease, due_at_ms: ctx.now_ms + pause_ms };
        match self.store().commit(Commit::new(&ctx).write(retry)).await {
            // Somebody else has claimed it after our lease ended.
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(store_failure(error)),
        }
    }

    /// How long to wait until the next step.
    async fn export_step(self: &Arc<Self>, claim: &Claim) -> Result<u64, Failure> {
        let tenant = &claim.tenant;
        let setting = self.load::<ExportSetting>(tenant, ExportSetting::ID).await?.map(|row| row.value);
        let Some(setting) = setting.filter(|setting| setting.enabled) else { return Ok(RESTING_MS) };
        let place = vec![("destination_key", Column::text(setting.destination.key()))];
        let newest = self.all::<ExportReceipt>(tenant, "last_seq", place, 1).await?.pop().map(|row| row.value);
        let mut receipt = match newest {
            Some(open) if open.is_open() => open,
            newest => match self.export_plan(claim, &setting, newest.map_or(1, |last| last.last_seq + 1)).await? {
                Some(planned) => planned,
                None => return Ok(setting.interval_ms),
            },
        };
        let before = receipt.error_code.clone();
        let kept = self.export_make(tenant, &setting.destination, &mut receipt).await?;
        let ctx = self.worker_ctx("exports", tenant);
        receipt.attempts += 1;
        receipt.updated_at_ms = ctx.now_ms;
        let (event, pause_ms) = match kept {
            Ok(location) => {
                receipt.status = ExportStatus::Exported;
                receipt.location = Some(location);
                (receipt.error_code, receipt.error) = (None, None);
                let more = receipt.last_seq < receipt.tree_size;
                (Some("audit.export.completed"), if more { 0 } else { setting.interval_ms })
            }
            Err(ExportTrouble { code, error }) => {
                receipt.status = ExportStatus::Failed;
                receipt.error_code = Some(code);
                receipt.error = Some(truncate(&error, 500));
                // The log hears of a failure once, and of another one when it is another.
                let news = receipt.error_code != before;
                (news.then_some("audit.export.failed"), receipt.pause_ms(setting.interval_ms))
            }
        };
        let mut commit = self.export_commit(claim, &ctx, &receipt);
        if let Some(event) = event {
            commit = commit.audit(self.event_id(), event, receipt.told());
        }
        self.store().commit(commit).await.map_err(store_failure)?;
        Ok(pause_ms)
    }

    /// The receipt, written only while the job is ours.
    fn export_commit(&self, claim: &Claim, ctx: &OpContext, receipt: &ExportReceipt) -> Commit {
        let (job_id, lease) = (claim.job.job_id.clone(), claim.lease.clone());
        let keep = Write::JobKeep { job_id, lease, until_ms: ctx.now_ms + LEASE_MS };
        Commit::new(ctx).put(Put::of(receipt, Expect::Any)).write(keep)
    }

    /// Decides on the next object, and writes that down before anything is made.
    async fn export_plan(
        &self,
        claim: &Claim,
        setting: &ExportSetting,
        first_seq: u64,
    ) -> Result<Option<ExportReceipt>, Failure> {
        let tenant = &claim.tenant;
        let signed = self.checkpoint(tenant).await?;
        if first_seq > signed.size || self.only_of_exports(tenant, first_seq).await? {
            return Ok(None);
        }
        let last_seq = signed.size.min(first_seq + MOST_ROWS - 1);
        let ctx = self.worker_ctx("exports", tenant);
        let receipt = ExportReceipt {
            export_id: self.id("export-"),
            status: ExportStatus::Planned,
            kind: setting.destination.kind,
            destination_key: setting.destination.key(),
            first_seq,
            last_seq,
            since_ms: if first_seq > 1 { Some(self.time_of(tenant, first_seq).await?) } else { None },
            until_ms: if last_seq < signed.size { Some(self.time_of(tenant, last_seq).await?) } else { None },
            tree_size: signed.size,
            root_hash: tandem_core::text::hex(&signed.root),
            checkpoint: signed.note,
            public_key: signed.public_key,
            integrity: self.integrity(tenant).await?,
            digest: None,
            bytes: None,
            location: None,
            object_lock: None,
            attempts: 0,
            error_code: None,
            error: None,
            created_at_ms: ctx.now_ms,
            updated_at_ms: ctx.now_ms,
        };
        self.store().commit(self.export_commit(claim, &ctx, &receipt)).await.map_err(store_failure)?;
        Ok(Some(receipt))
    }

    async fn only_of_exports(&self, tenant: &TenantKey, first_seq: u64) -> Result<bool, Failure> {
        let query = AuditQuery { after_seq: Some(first_seq - 1), limit: LOOKED_AT, ..AuditQuery::default() };
        let rows = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
        let own = |row: &AuditRow| row.event_type.starts_with("audit.export.");
        Ok(rows.len() < LOOKED_AT && rows.iter().all(own))
    }

    async fn time_of(&self, tenant: &TenantKey, seq: u64) -> Result<u64, Failure> {
        let query = AuditQuery { after_seq: Some(seq - 1), limit: 1, ..AuditQuery::default() };
        let rows = self.store().audit_rows(tenant, query).await.map_err(store_failure)?;
        // A row that is gone has no time; the trailer names what is missing.
        Ok(rows.first().map_or(0, |row| row.created_at_ms))
    }

    /// Makes the object and hands it over. The receipt learns its digest.
    async fn export_make(
        self: &Arc<Self>,
        tenant: &TenantKey,
        target: &ExportTarget,
        receipt: &mut ExportReceipt,
    ) -> Result<Result<String, ExportTrouble>, Failure> {
        let root = parse_hex(&receipt.root_hash).ok_or_else(|| Failure::of(Code::StoreCorrupt))?;
        let (org_id, workspace_id) = Self::audit_names(tenant);
        let about = About {
            org_id,
            workspace_id,
            since_ms: receipt.since_ms,
            until_ms: receipt.until_ms,
            exported_at_ms: receipt.created_at_ms,
            tree_size: receipt.tree_size,
            root,
            checkpoint: receipt.checkpoint.clone(),
            public_key: receipt.public_key.clone(),
            integrity: receipt.integrity,
        };
        let mut stream = ExportStream::over(self, tenant, about, receipt.first_seq, receipt.last_seq);
        let mut text = String::new();
        while let Some(lines) = stream.next().await? {
            text.push_str(&lines);
        }
        let digest = sha256_hex(&text);
        receipt.bytes = Some(text.len() as u64);
        receipt.digest = Some(digest.clone());
        let secret = |reference: &Option<String>| match reference {
            None => Ok(None),
            Some(reference) => self.ports.secrets.resolve(reference).map(Some).map_err(|_| {
                ExportTrouble::new("secret_unavailable", format!("{reference} is not set for the server"))
            }),
        };
        let secrets = secret(&target.access_key_ref)
            .and_then(|access| Ok((access, secret(&target.secret_key_ref)?, secret(&target.session_token_ref)?)));
        let (access_key, secret_key, session_token) = match secrets {
            Ok(secrets) => secrets,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let at_ms = self.now_ms();
        receipt.object_lock = Locked::of(target, at_ms);
        let call = ExportCall {
            target: target.clone(),
            name: name::object(tenant, receipt.first_seq, receipt.last_seq, &digest),
            body: text.into_bytes(),
            digest,
            access_key,
            secret_key,
            session_token,
            lock: receipt.object_lock,
            at_ms,
        };
        Ok(self.ports.outbound.keep(call).await)
    }
}
