//! What happens to runs by itself: a bad end becomes an incident, a lease that ran out ends the claim, and one that has
//! ended long ago is removed. What governance keeps of it stays, for what is asked about the latest runs.

use serde_json::json;
use tandem_core::{
    automation::{
        Automation,
        act::lease::Reap,
        run::{
            Run, RunStatus,
            failure::{self, NOTES, Note},
            record::RUNS,
        },
    },
    error::{Code, Failure},
    ports::{Claim, Query, StoreError},
    record::{Column, Commit, Expect, JobKind, Write},
    signal::Door,
    tenant::TenantKey,
};

use crate::{App, load::parse, store_failure};

const LEASE_MS: u64 = 30_000;
/// Jobs of one lane that are taken at once.
const AT_ONCE: usize = 64;
/// A bad end that no repository can be named for waits this long for one, and is then only in the log.
const PATIENCE_MS: u64 = 7 * 86_400_000;
const RETRY_MS: u64 = 15_000;
const LONGEST_RETRY_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// A job that failed keeps its lease and is tried again after it.
fn note(job: &str, outcome: Result<(), Failure>) {
    if let Err(failure) = outcome {
        tracing::warn!(code = failure.code.word(), job, "a job failed");
    }
}

impl App {
    /// Does what is due for runs; returns how many jobs there were.
    pub async fn runs_until_idle(&self) -> Result<usize, Failure> {
        let mut done = 0;
        loop {
            let mut progress = 0;
            for claim in self.claim_runs_jobs(JobKind::RunLease).await? {
                note("run_lease", self.lease_due(&claim).await);
                progress += 1;
            }
            for claim in self.claim_runs_jobs(JobKind::RunFailure).await? {
                note("run_failure", self.failure_due(&claim).await);
                progress += 1;
            }
            if progress == 0 {
                return Ok(done);
            }
            done += progress;
        }
    }

    async fn claim_runs_jobs(&self, kind: JobKind) -> Result<Vec<Claim>, Failure> {
        let now_ms = self.now_ms();
        let mut claims = Vec::new();
        for lane in self.store().due_lanes(kind, now_ms).await.map_err(store_failure)? {
            let (lease, until) = (self.ports.ids.fresh(), now_ms + LEASE_MS);
            let found = self.store().claim(kind, &lane, now_ms, &lease, until, AT_ONCE).await;
            claims.extend(found.map_err(store_failure)?);
        }
        Ok(claims)
    }

    async fn lease_due(&self, claim: &Claim) -> Result<(), Failure> {
        let ctx = self.worker_ctx("run_lease", &claim.tenant);
        let (run_id, job_id, lease) = (claim.job.subject.clone(), claim.job.job_id.clone(), claim.lease.clone());
        let lost = self.decide(&ctx, Reap { run_id, job_id, lease, base: self.governance_base() }).await?;
        if lost {
            tracing::info!(run = claim.job.subject, "an executor was not heard of; its run is ended");
        }
        Ok(())
    }

    /// The report, the end of the note and the end of the job are one commit, so there is one incident or none yet.
    async fn failure_due(&self, claim: &Claim) -> Result<(), Failure> {
        let mut ctx = self.worker_ctx("run_failure", &claim.tenant);
        let done = Write::JobDone { job_id: claim.job.job_id.clone(), lease: claim.lease.clone() };
        let Some(note) = self.load::<Note>(&claim.tenant, &claim.job.subject).await?.map(|row| row.value) else {
            self.store().commit(Commit::new(&ctx).write(done)).await.map_err(store_failure)?;
            return Ok(());
        };
        ctx.request_id = note.request_id.clone();
        let forget = Write::Delete { collection: &NOTES, id: note.failure_id.clone(), expect: Expect::Any };
        let automation = self.load::<Automation>(&claim.tenant, &note.run.automation_id).await?;
        let setting = failure::setting(automation.as_ref().map(|row| &row.value), &note);
        let snapshot = self.snapshot(&claim.tenant).await?;
        let submission = failure::submission(&note, &setting);
        let commit = match self.accepted(&ctx, &snapshot.config, submission, Door::Report) {
            Ok(accepted) => Commit::new(&ctx).write(Write::Signal(Box::new(accepted))).write(forget).write(done),
            Err(refusal) if refusal.code == Code::ReportInvalid => {
                if ctx.now_ms < note.at_ms.saturating_add(PATIENCE_MS) {
                    // No repository is configured yet. The note waits for one.
                    let wait = RETRY_MS.saturating_mul(1 << claim.attempts.min(10)).min(LONGEST_RETRY_MS);
                    let (job_id, lease) = (claim.job.job_id.clone(), claim.lease.clone());
                    Commit::new(&ctx).write(Write::JobRetry { job_id, lease, due_at_ms: ctx.now_ms + wait })
                } else {
                    let why = json!({
                        "automationID": note.run.automation_id, "runID": note.run.run_id,
                        "reason": "no repository was configured in time",
                    });
                    let kind = "automation.v2.run.failure_unreported";
                    Commit::new(&ctx).write(forget).write(done).audit(self.event_id(), kind, why)
                }
            }
            Err(failure) => return Err(failure),
        };
        self.store().commit(commit).await.map_err(store_failure)?;
        Ok(())
    }

    /// Removes the runs that ended longer ago than they are kept.
    pub(super) async fn forget_runs(&self, tenant: &TenantKey) -> Result<(), Failure> {
        let days = self.limits(tenant).await?.run_retention_days;
        if days == 0 {
            return Ok(());
        }
        let before_ms = self.now_ms().saturating_sub(days.saturating_mul(DAY_MS));
        for status in RunStatus::ALL.iter().filter(|status| status.is_terminal()) {
            self.forget_runs_with(tenant, *status, before_ms).await?;
        }
        Ok(())
    }

    async fn forget_runs_with(&self, tenant: &TenantKey, status: RunStatus, before_ms: u64) -> Result<(), Failure> {
        let mut after = None;
        loop {
            // Their turns go downwards from the oldest; none of those that began later can have ended earlier.
            let query = Query {
                collection: &RUNS,
                tenant: tenant.clone(),
                equals: vec![("status", Column::text(status.word()))],
                order: "turn",
                since: Some(-i64::try_from(before_ms).unwrap_or(i64::MAX)),
                after: after.clone(),
                limit: AT_ONCE,
            };
            let rows = self.store().page(query).await.map_err(store_failure)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some((last.order, last.row.id.clone()));
            let mut old = Vec::new();
            for found in &rows {
                let run = parse::<Run>(&found.row).map_err(store_failure)?;
                if run.value.finished_at_ms.is_some_and(|at| at < before_ms) {
                    old.push((run.value.run_id, run.version));
                }
            }
            if old.is_empty() {
                continue;
            }
            let ids: Vec<&String> = old.iter().map(|(id, _)| id).collect();
            let payload = json!({ "runIDs": ids, "beforeMs": before_ms });
            let ctx = self.worker_ctx("run_retention", tenant);
            let mut commit = Commit::new(&ctx).audit(self.event_id(), "automation.v2.retention.removed", payload);
            for (id, version) in &old {
                let expect = Expect::Version(*version);
                commit = commit.write(Write::Delete { collection: &RUNS, id: id.clone(), expect });
            }
            match self.store().commit(commit).await {
                // One of them was recovered in between; the next sweep reads anew.
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(store_failure(error)),
            }
        }
    }
}
