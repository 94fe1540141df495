//! Rows and jobs are made to agree with the configuration: a source that is to be read has both, one that is not has no
//! job, one that is no longer configured has neither.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tandem_core::{
    config::{CONFIGS, Config, LogSource, Project},
    error::Failure,
    ports::StoreError,
    record::{Commit, Expect, Job, JobKind, Put, Record, Versioned, Write},
    source::state::{LOG_SOURCES, SourceRow, row_id},
    tenant::{TenantContext, TenantKey},
};

use super::{configured_at, spec};
use crate::{App, store_failure};

/// More sources than anybody configures.
pub(crate) const SOURCES_MAX: usize = 10_000;

/// The source, if it is to be read: monitor, project and source are enabled and not paused.
pub(crate) fn wanted<'a>(
    config: &'a Config,
    project_id: &str,
    source_id: &str,
) -> Option<(&'a Project, &'a LogSource)> {
    let project = config.monitored_projects.iter().find(|project| project.project_id == project_id)?;
    let source = project.log_sources.iter().find(|source| source.source_id == source_id)?;
    is_wanted(config, project, source).then_some((project, source))
}

/// The same for a source that is at hand.
pub(crate) fn is_wanted(config: &Config, project: &Project, source: &LogSource) -> bool {
    config.enabled && !config.paused && project.enabled && !project.paused && source.enabled && !source.paused
}

/// The job of a source, and its lane.
pub(super) fn job_id(tenant: &TenantKey, id: &str) -> String {
    format!("tail/{}/{id}", tenant.as_str())
}

impl App {
    /// Arranges every tenant once. Cheap when nothing changed.
    pub async fn tail_arrange(&self) -> Result<(), Failure> {
        let mut tenants: BTreeSet<TenantKey> =
            self.store().tenants(&CONFIGS).await.map_err(store_failure)?.into_iter().collect();
        tenants.insert(TenantContext::local().key());
        tenants.extend(self.store().tenants(&LOG_SOURCES).await.map_err(store_failure)?);
        for tenant in tenants {
            self.tail_arrange_one(&tenant).await?;
        }
        Ok(())
    }

    pub(crate) async fn source_rows(&self, tenant: &TenantKey) -> Result<Vec<Versioned<SourceRow>>, Failure> {
        self.all::<SourceRow>(tenant, "updated_at_ms", Vec::new(), SOURCES_MAX).await
    }

    async fn tail_arrange_one(&self, tenant: &TenantKey) -> Result<(), Failure> {
        let snapshot = self.snapshot(tenant).await?;
        let config = &snapshot.config;
        let configured: BTreeMap<String, (&Project, &LogSource)> = config
            .monitored_projects
            .iter()
            .flat_map(|project| project.log_sources.iter().map(move |source| (project, source)))
            .map(|(project, source)| (row_id(&project.project_id, &source.source_id), (project, source)))
            .collect();
        let rows: BTreeMap<String, Versioned<SourceRow>> =
            self.source_rows(tenant).await?.into_iter().map(|row| (row.value.id.clone(), row)).collect();
        for (id, (project, source)) in &configured {
            if wanted(config, &project.project_id, &source.source_id).is_none() {
                continue;
            }
            match rows.get(id) {
                Some(row) if row.value.state.armed => {}
                row => self.tail_start(tenant, config, project, source, row).await?,
            }
        }
        for (id, row) in &rows {
            // Whoever reads it, or claims it next, sees that it is not to be read, and lets it go.
            if !configured.contains_key(id) && !row.value.state.armed {
                self.tail_forget(tenant, row).await?;
            }
        }
        Ok(())
    }

    async fn tail_start(
        &self,
        tenant: &TenantKey,
        config: &Config,
        project: &Project,
        source: &LogSource,
        row: Option<&Versioned<SourceRow>>,
    ) -> Result<(), Failure> {
        let ctx = self.worker_ctx("tail", tenant);
        let fresh = || {
            let since_ms = configured_at(config, ctx.now_ms);
            SourceRow::new(&project.project_id, &source.source_id, &spec(project, source), since_ms, ctx.now_ms)
        };
        let mut next = row.map_or_else(fresh, |row| row.value.clone());
        next.state.armed = true;
        next.state.updated_at_ms = ctx.now_ms;
        // From here on somebody is expected to look.
        next.state.last_poll_at_ms = next.state.last_poll_at_ms.map(|_| ctx.now_ms);
        let lane = job_id(tenant, &next.id);
        let job =
            Job { job_id: lane.clone(), kind: JobKind::Tail, lane, subject: next.id.clone(), due_at_ms: ctx.now_ms };
        let payload = json!({
            "project_id": project.project_id,
            "source_id": source.source_id,
            "path": source.path,
            "start_position": source.start_position,
            "known": row.is_some(),
        });
        let commit = Commit::new(&ctx)
            .put(Put::of(&next, row.map_or(Expect::Absent, |row| Expect::Version(row.version))))
            .write(Write::Job(job))
            .audit(self.event_id(), "incident_monitor.log_source.started", payload);
        self.arranged(commit).await
    }

    async fn tail_forget(&self, tenant: &TenantKey, row: &Versioned<SourceRow>) -> Result<(), Failure> {
        let ctx = self.worker_ctx("tail", tenant);
        let state = &row.value.state;
        let payload = json!({
            "project_id": state.project_id,
            "source_id": state.source_id,
            "path": state.position.path,
            "total_bytes_read": state.total_bytes_read,
            "total_submitted": state.total_submitted,
        });
        let commit = Commit::new(&ctx)
            .write(Write::Delete {
                collection: &LOG_SOURCES,
                id: row.value.id().to_owned(),
                expect: Expect::Version(row.version),
            })
            .audit(self.event_id(), "incident_monitor.log_source.forgotten", payload);
        self.hub.forget(tenant, &row.value.id);
        self.arranged(commit).await
    }

    /// Another engine may have arranged the same a moment ago.
    async fn arranged(&self, commit: Commit) -> Result<(), Failure> {
        match self.store().commit(commit).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(store_failure(error)),
        }
    }

    /// Lanes of sources that nobody reads at the moment.
    pub async fn tail_due(&self) -> Result<Vec<String>, Failure> {
        self.store().due_lanes(JobKind::Tail, self.now_ms()).await.map_err(store_failure)
    }

    /// Ends when a call has changed the configuration or a source.
    pub fn tail_changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.hub.changed.notified()
    }

    /// Whether this process has a worker that tails.
    pub fn tail_running(&self, running: bool) {
        self.hub.set_running(running);
    }
}
