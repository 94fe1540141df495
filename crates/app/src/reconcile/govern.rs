//! The sweeps of governance. Each is a job that is given back with the time of the next one; whoever claims it does what
//! is due, one decision for each row, so a sweep that is killed has done whole things or nothing of them.

use tandem_core::{
    decide::Decision,
    error::{Code, Failure},
    governance::{
        agent::AGENTS,
        agents,
        approval::APPROVALS,
        expiry, health,
        record::RECORDS,
        sweep::{Overdue, Sweep},
    },
    ports::{Claim, Query},
    record::{Collection, Column, Commit, JobKind, Write},
    tenant::TenantKey,
};

use crate::{App, store_failure};

/// A sweep that takes longer is gone on with by whoever claims it next.
const LEASE_MS: u64 = 60_000;
const CHUNK: usize = 200;
/// When a sweep comes back where very many rows are due next.
const SOON_MS: u64 = 1_000;
/// Rows in one sweep at most; the rest is due at once again.
const MOST: usize = 20_000;

impl App {
    /// Runs every sweep that is due. Answers with how many there were.
    pub async fn sweep_due(&self) -> Result<usize, Failure> {
        let mut done = 0;
        for lane in self.store().due_lanes(JobKind::Sweep, self.now_ms()).await.map_err(store_failure)? {
            let now_ms = self.now_ms();
            let lease = self.ports.ids.fresh();
            let claims = self
                .store()
                .claim(JobKind::Sweep, &lane, now_ms, &lease, now_ms + LEASE_MS, 16)
                .await
                .map_err(store_failure)?;
            for claim in claims {
                let began_ms = self.now_ms();
                let failed = self.sweep(&claim).await.err();
                if let Some(failure) = &failed {
                    tracing::warn!(
                        sweep = lane,
                        code = failure.code.word(),
                        "a sweep stopped early; it is tried again"
                    );
                }
                self.give_back(&claim, began_ms, failed.is_some()).await?;
                done += 1;
            }
        }
        Ok(done)
    }

    async fn give_back(&self, claim: &Claim, began_ms: u64, failed: bool) -> Result<(), Failure> {
        let ctx = self.worker_ctx("governance", &claim.tenant);
        let Some(sweep) = Sweep::from_word(&claim.job.subject) else { return Err(Failure::of(Code::Internal)) };
        let interval = sweep.interval_ms(&self.limits(&claim.tenant).await?);
        let wait = self.until_next(&claim.tenant, sweep, began_ms, ctx.now_ms, interval).await?;
        // One that failed comes back soon, and not at once.
        let wait = if failed { interval.min(5_000) } else { wait };
        let retry = Write::JobRetry {
            job_id: claim.job.job_id.clone(),
            lease: claim.lease.clone(),
            due_at_ms: ctx.now_ms + wait,
        };
        match self.store().commit(Commit::new(&ctx).write(retry)).await {
            // Somebody else has claimed it after our lease ended.
            Ok(_) | Err(tandem_core::ports::StoreError::Conflict) => Ok(()),
            Err(error) => Err(store_failure(error)),
        }
    }

    /// How long a sweep is not needed: until the first row is due, and its interval at most. What was due when it began
    /// and is left over waits for the whole interval.
    async fn until_next(
        &self,
        tenant: &TenantKey,
        sweep: Sweep,
        began_ms: u64,
        now_ms: u64,
        interval: u64,
    ) -> Result<u64, Failure> {
        let (collection, order) = match sweep {
            Sweep::Approvals => (&APPROVALS, "next_at_ms"),
            Sweep::Lifecycle => (&RECORDS, "next_check_at_ms"),
            Sweep::Health => return Ok(interval),
        };
        let query = Query {
            collection,
            tenant: tenant.clone(),
            equals: Vec::new(),
            order,
            since: Some(i64::try_from(began_ms).unwrap_or(i64::MAX).saturating_add(1)),
            after: Some((i64::try_from(now_ms.saturating_add(interval)).unwrap_or(i64::MAX), String::new())),
            limit: CHUNK,
        };
        let rows = self.store().page(query).await.map_err(store_failure)?;
        // Pages go downwards: where there are more, the first that is due is not on this one.
        if rows.len() >= CHUNK {
            return Ok(interval.min(SOON_MS));
        }
        let first = rows.last().map(|row| u64::try_from(row.order).unwrap_or(0));
        Ok(first.map_or(interval, |at| at.saturating_sub(now_ms).min(interval)))
    }

    async fn sweep(&self, claim: &Claim) -> Result<(), Failure> {
        let tenant = &claim.tenant;
        match Sweep::from_word(&claim.job.subject) {
            Some(Sweep::Approvals) => {
                let make = |id: String| Overdue { base: self.governance_base(), approval_id: id };
                self.each(tenant, &APPROVALS, "next_at_ms", self.now_ms(), make).await
            }
            Some(Sweep::Lifecycle) => {
                let make = |id: String| expiry::Due { base: self.governance_base(), automation_id: id };
                let looked_at = self.each(tenant, &RECORDS, "next_check_at_ms", self.now_ms(), make).await;
                let forgotten = self.forget_runs(tenant).await;
                self.tell_on(tenant).await.and(looked_at).and(forgotten)
            }
            Some(Sweep::Health) => {
                let interval = self.limits(tenant).await?.health_check_interval_ms;
                let make = |id: String| health::Check { base: self.governance_base(), automation_id: id };
                self.each(tenant, &RECORDS, "health_at_ms", self.now_ms().saturating_sub(interval), make).await
            }
            None => Err(Failure::of(Code::Internal)),
        }
    }

    /// Decides on every row whose `column` is at most `until`, oldest last. Rows that were looked at have moved on, so
    /// each page is new; one that does not move on is looked at once. One that cannot be decided on keeps nothing from the
    /// others: the first failure is answered when all have been looked at.
    async fn each<D: Decision>(
        &self,
        tenant: &TenantKey,
        collection: &'static Collection,
        column: &'static str,
        until: u64,
        make: impl Fn(String) -> D,
    ) -> Result<(), Failure> {
        let mut after = Some((i64::try_from(until).unwrap_or(i64::MAX).saturating_add(1), String::new()));
        let mut seen = 0;
        let mut failed = None;
        loop {
            let query = Query {
                collection,
                tenant: tenant.clone(),
                equals: Vec::new(),
                order: column,
                since: None,
                after: after.clone(),
                limit: CHUNK,
            };
            let rows = self.store().page(query).await.map_err(store_failure)?;
            let Some(last) = rows.last() else { return failed.map_or(Ok(()), Err) };
            after = Some((last.order, last.row.id.clone()));
            for found in &rows {
                let ctx = self.worker_ctx("governance", tenant);
                if let Err(failure) = self.decide(&ctx, make(found.row.id.clone())).await {
                    tracing::warn!(
                        collection = collection.name,
                        id = found.row.id,
                        code = failure.code.word(),
                        "a row was left to the next sweep"
                    );
                    failed.get_or_insert(failure);
                }
            }
            seen += rows.len();
            if seen >= MOST {
                return failed.map_or(Ok(()), Err);
            }
        }
    }

    /// Agents that were paused while they had more runs than one decision stops.
    async fn tell_on(&self, tenant: &TenantKey) -> Result<(), Failure> {
        let query = Query {
            collection: &AGENTS,
            tenant: tenant.clone(),
            equals: vec![("telling", Column::text("yes"))],
            order: "updated_at_ms",
            since: None,
            after: None,
            limit: CHUNK,
        };
        for found in self.store().page(query).await.map_err(store_failure)? {
            let ctx = self.worker_ctx("governance", tenant);
            self.decide(&ctx, agents::Tell { agent_id: found.row.id.clone() }).await?;
        }
        Ok(())
    }
}
