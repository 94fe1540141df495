//! Bringing back what became of our issues: one that was closed upstream resolves its incident, one that was opened again
//! takes that back.
//!
//! Only for destinations that ask for it. Each has one job that is never finished while they do: claimed under a lease, so
//! that of several engines one asks; a few pages at most, with the validator of the last answer, from where the last
//! question ended. What is learned and how far that reaches is one commit. Deliberately absent: anything sent that
//! changes the tracker.

use std::sync::{Arc, PoisonError};

use serde_json::json;
use tandem_core::{
    actor::OpContext,
    config::CONFIGS,
    destination::{self, Destination},
    error::Failure,
    incident::Amendment,
    ports::{Claim, StoreError},
    publish::target,
    record::{Column, Commit, Expect, Job, JobKind, Put, Write},
    tenant::{TenantContext, TenantKey},
    tracker::{Issue, IssueState, Settings, TrackedIssue, TrackerCursor},
};

use super::tracker::{Changes, Stop};
use crate::{App, publish::lane, store_failure};

const LEASE_MS: u64 = 120_000;
/// A list that was not read to its end is read on after this.
const MORE_MS: u64 = 1_000;
/// How far the first question looks back.
const FIRST_MS: u64 = 7 * 86_400_000;
/// Drafts that can share an issue; this only bounds the read.
const SHARED: usize = 50;

impl App {
    /// Asks every tracker that is due; returns how many were asked.
    pub async fn sync_due(self: &Arc<Self>) -> Result<usize, Failure> {
        self.sync_jobs().await?;
        let now_ms = self.now_ms();
        let mut running = tokio::task::JoinSet::new();
        for due in self.store().due_lanes(JobKind::Sync, now_ms).await.map_err(store_failure)? {
            let lease = self.ports.ids.fresh();
            let claims = self.store().claim(JobKind::Sync, &due, now_ms, &lease, now_ms + LEASE_MS, 1).await;
            for claim in claims.map_err(store_failure)? {
                let app = Arc::clone(self);
                running.spawn(async move { app.sync_one(&claim).await });
            }
        }
        let mut asked = 0;
        while let Some(ended) = running.join_next().await {
            match ended {
                Ok(Ok(())) => asked += 1,
                Ok(Err(failure)) => tracing::warn!(code = failure.code.word(), "a tracker's changes were not settled"),
                Err(panic) => tracing::error!(%panic, "asking a tracker ended abnormally"),
            }
        }
        Ok(asked)
    }

    /// Sees to it that each destination that wants to be synced has its job.
    async fn sync_jobs(&self) -> Result<(), Failure> {
        let mut tenants = self.store().tenants(&CONFIGS).await.map_err(store_failure)?;
        let local = TenantContext::local().key();
        if !tenants.contains(&local) {
            tenants.push(local);
        }
        for tenant in tenants {
            let snapshot = self.snapshot(&tenant).await?;
            for found in destination::effective(&snapshot.config) {
                let wanted = found.kind.is_tracker()
                    && found.enabled
                    && Settings::of(&snapshot.config, &found).is_ok_and(|settings| settings.sync);
                let lane = lane(&tenant, &found.destination_id);
                if !wanted || self.synced().contains(&lane) {
                    continue;
                }
                let ctx = self.worker_ctx("status_sync", &tenant);
                let job = Job {
                    job_id: format!("sync-{}", tandem_core::publish::digest::h([lane.as_str()])),
                    kind: JobKind::Sync,
                    lane: lane.clone(),
                    subject: found.destination_id,
                    due_at_ms: ctx.now_ms,
                };
                match self.store().commit(Commit::new(&ctx).write(Write::Job(job))).await {
                    // It is there, from before or from another engine.
                    Ok(_) | Err(StoreError::Conflict) => {
                        self.synced().insert(lane);
                    }
                    Err(error) => return Err(store_failure(error)),
                }
            }
        }
        Ok(())
    }

    fn synced(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeSet<String>> {
        self.syncs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sync_one(&self, claim: &Claim) -> Result<(), Failure> {
        let ctx = self.worker_ctx("status_sync", &claim.tenant);
        let snapshot = self.snapshot(&claim.tenant).await?;
        let config = &snapshot.config;
        let found =
            destination::find(config, &claim.job.subject).filter(|found| found.kind.is_tracker() && found.enabled);
        let settings =
            found.as_ref().and_then(|found| Settings::of(config, found).ok()).filter(|settings| settings.sync);
        let (Some(destination), Some(settings)) = (found, settings) else {
            // Switched off: the job comes back when the setting does.
            self.synced().remove(&claim.job.lane);
            let done = Write::JobDone { job_id: claim.job.job_id.clone(), lease: claim.lease.clone() };
            self.store().commit(Commit::new(&ctx).write(done)).await.map_err(store_failure)?;
            return Ok(());
        };
        let again =
            |due_at_ms| Write::JobRetry { job_id: claim.job.job_id.clone(), lease: claim.lease.clone(), due_at_ms };
        if config.paused || !config.enabled {
            let commit = Commit::new(&ctx).write(again(ctx.now_ms + settings.sync_interval_ms));
            self.store().commit(commit).await.map_err(store_failure)?;
            return Ok(());
        }
        let target_ref = target::target_ref(config, &destination);
        let key = TrackerCursor::key(&destination.destination_id, &target_ref);
        let mut cursor = match self.load::<TrackerCursor>(&claim.tenant, &key).await? {
            Some(row) => row.value,
            None => TrackerCursor {
                cursor_id: key,
                destination_id: destination.destination_id.clone(),
                target_ref: target_ref.clone(),
                since_ms: ctx.now_ms.saturating_sub(FIRST_MS),
                ..TrackerCursor::default()
            },
        };
        cursor.last_asked_at_ms = ctx.now_ms;
        let asked = self.sync_ask(&claim.tenant, &destination, &settings, &target_ref, &claim.job.lane, &cursor).await;
        let mut due_at_ms = ctx.now_ms + settings.sync_interval_ms;
        let mut commit = Commit::new(&ctx);
        match asked {
            Ok(changes) => {
                for issue in &changes.issues {
                    commit = self.sync_issue(&ctx, &destination, &target_ref, issue, commit).await?;
                }
                cursor.since_ms = changes.since_ms;
                cursor.etag = changes.etag;
                cursor.place = changes.place;
                cursor.newest_ms = changes.newest_ms;
                cursor.last_error = None;
                if changes.more {
                    due_at_ms = ctx.now_ms + MORE_MS.min(settings.sync_interval_ms);
                }
            }
            Err(Stop::Hold { until_ms }) => due_at_ms = due_at_ms.max(until_ms),
            Err(Stop::Trouble(trouble)) => {
                tracing::warn!(destination = %destination.destination_id, code = trouble.code, "a tracker was not asked");
                cursor.last_error = Some(trouble.code.to_owned());
                due_at_ms = due_at_ms.max(ctx.now_ms + trouble.retry_after_ms.unwrap_or(0));
            }
        }
        let commit = commit.put(Put::of(&cursor, Expect::Any)).write(again(due_at_ms));
        match self.store().commit(commit).await {
            Ok(_) => Ok(()),
            // A row changed meanwhile, or the lease passed on: the same question is asked again.
            Err(StoreError::Conflict) => {
                let retry = Commit::new(&ctx).write(again(ctx.now_ms + 1));
                match self.store().commit(retry).await {
                    Ok(_) | Err(StoreError::Conflict) => Ok(()),
                    Err(error) => Err(store_failure(error)),
                }
            }
            Err(error) => Err(store_failure(error)),
        }
    }

    async fn sync_ask(
        &self,
        tenant: &TenantKey,
        destination: &Destination,
        settings: &Settings,
        target_ref: &str,
        lane: &str,
        cursor: &TrackerCursor,
    ) -> Result<Changes, Stop> {
        let adapter = self.adapter(tenant, destination, settings, lane, target_ref).map_err(Stop::Trouble)?;
        adapter.changes(cursor).await
    }

    /// Adds to the commit what a change of one issue means for the incidents behind it.
    async fn sync_issue(
        &self,
        ctx: &OpContext,
        destination: &Destination,
        target_ref: &str,
        issue: &Issue,
        mut commit: Commit,
    ) -> Result<Commit, Failure> {
        let key = TrackedIssue::key(&destination.destination_id, target_ref, &issue.reference.id);
        let by_issue = vec![("issue_key", Column::text(&key))];
        let rows = self.all::<TrackedIssue>(&ctx.tenant.key(), "updated_at_ms", by_issue, SHARED).await?;
        for row in rows.into_iter().filter(|row| row.value.state != issue.state) {
            let mut tracked = row.value;
            tracked.state = issue.state;
            tracked.updated_at_ms = ctx.now_ms;
            let closed = issue.state == IssueState::Closed;
            let at_ms = issue.closed_at_ms.or(issue.updated_at_ms).unwrap_or(ctx.now_ms);
            let payload = json!({
                "incident_id": tracked.incident_id,
                "draft_id": tracked.draft_id,
                "destination_id": tracked.destination_id,
                "destination_kind": tracked.destination_kind,
                "target_ref": tracked.target_ref,
                "issue": tracked.issue,
                "state": issue.state,
                "changed_at_ms": at_ms,
            });
            let event =
                if closed { "incident_monitor.incident.resolved" } else { "incident_monitor.incident.reopened" };
            commit = commit.put(Put::update(&tracked, row.version)).audit(self.event_id(), event, payload);
            if let Some(incident_id) = tracked.incident_id.clone() {
                let amendment = Amendment::Upstream { closed, at_ms };
                commit = commit.write(Write::Amend { incident_id, amendment });
            }
        }
        Ok(commit)
    }
}
