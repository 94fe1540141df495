//! What operators see of log sources and do to them: status rows, reset, replay, kept evidence.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tandem_core::{
    actor::OpContext,
    config::{Config, LogSource, Project},
    draft::Draft,
    error::{Code, Failure},
    incident::Incident,
    ports::StoreError,
    record::{Column, Commit, Expect, Put, Write},
    signal::from_log::{Around, accept_candidate},
    source::{
        self, Scope, SourceReadiness, WatcherFact,
        evidence::LogEvidence,
        log::Place,
        state::{LogSourceRuntimeStatus, LogSourceState, SourceRow, SourceState, row_id},
    },
    tenant::TenantKey,
};

use crate::{
    App, PageRequest, decide_again,
    reconcile::tail::{configured_at, is_wanted, spec},
    status::LogWatcher,
    store_failure,
};

/// Incidents that are looked through for the latest of a source.
const REPLAY_LOOKS_AT: usize = 2_000;

/// A replay: the incident as it was before, and its draft as it is now.
pub struct Replayed {
    pub incident: Incident,
    pub draft: Option<Draft>,
}

fn unknown(project_id: &str, source_id: &str) -> Failure {
    Failure::of(Code::LogSourceNotFound).with("project_id", project_id).with("source_id", source_id)
}

fn configured<'a>(
    config: &'a Config,
    project_id: &str,
    source_id: &str,
) -> Result<(&'a Project, &'a LogSource), Failure> {
    config
        .monitored_projects
        .iter()
        .find(|project| project.project_id == project_id)
        .and_then(|project| Some((project, project.log_sources.iter().find(|one| one.source_id == source_id)?)))
        .ok_or_else(|| unknown(project_id, source_id))
}

impl App {
    /// What is known of each configured source, and what readiness makes of it.
    pub(crate) async fn log_watcher(
        &self,
        tenant: &TenantKey,
        config: &Config,
    ) -> Result<(LogWatcher, Vec<WatcherFact>), Failure> {
        let now_ms = self.now_ms();
        let mut rows: BTreeMap<String, SourceState> = BTreeMap::new();
        for row in self.source_rows(tenant).await? {
            let fresher = self.hub.fresher(tenant, &row.value.id, row.version);
            rows.insert(row.value.id, fresher.unwrap_or(row.value.state));
        }
        let (mut sources, mut facts) = (Vec::new(), Vec::new());
        let mut enabled_sources = 0;
        for project in &config.monitored_projects {
            for source in &project.log_sources {
                let on = is_wanted(config, project, source);
                enabled_sources += u64::from(on);
                let known = rows.remove(&row_id(&project.project_id, &source.source_id));
                // One that nobody has looked at yet.
                let state = known.unwrap_or_else(|| {
                    SourceRow::new(&project.project_id, &source.source_id, &spec(project, source), now_ms, now_ms).state
                });
                let interval_ms = source.watch_interval_seconds.saturating_mul(1_000);
                let shown = LogSourceRuntimeStatus::of(&state, on, interval_ms, now_ms);
                facts.push(state.fact(&shown));
                sources.push(shown);
            }
        }
        let projects =
            config.monitored_projects.iter().filter(|p| config.enabled && !config.paused && p.enabled && !p.paused);
        let watcher = LogWatcher {
            running: self.hub.is_running() && config.enabled && !config.paused,
            enabled_projects: projects.count() as u64,
            enabled_sources,
            last_poll_at_ms: sources.iter().filter_map(|source| source.last_poll_at_ms).max(),
            last_error: sources
                .iter()
                .filter(|source| source.enabled && !source.healthy)
                .max_by_key(|source| source.last_error_at_ms)
                .and_then(|source| {
                    let said = source.last_error.as_deref()?;
                    Some(format!("{}/{}: {said}", source.project_id, source.source_id))
                }),
            sources,
        };
        Ok((watcher, facts))
    }

    pub(crate) async fn source_readiness(
        &self,
        tenant: &TenantKey,
        config: &Config,
    ) -> Result<Vec<SourceReadiness>, Failure> {
        // Without sources there is nothing to ask the store for.
        let facts = if config.monitored_projects.iter().all(|project| project.log_sources.is_empty()) {
            Vec::new()
        } else {
            self.log_watcher(tenant, config).await?.1
        };
        Ok(source::readiness(config, &facts, self.now_ms()))
    }

    /// For gauges: the status rows of one tenant.
    pub async fn log_source_rows(&self, tenant: &TenantKey) -> Result<Vec<LogSourceRuntimeStatus>, Failure> {
        let snapshot = self.snapshot(tenant).await?;
        Ok(self.log_watcher(tenant, &snapshot.config).await?.0.sources)
    }

    /// Reads a source from its beginning again. Whoever reads it at the moment finds that its row has changed, and the
    /// step under way is not stored.
    pub async fn log_source_reset(
        &self,
        ctx: &OpContext,
        project_id: &str,
        source_id: &str,
    ) -> Result<LogSourceState, Failure> {
        let tenant = ctx.tenant.key();
        let state = decide_again(async || {
            let snapshot = self.snapshot(&tenant).await?;
            let (project, source) = configured(&snapshot.config, project_id, source_id)?;
            let (root, path) = (&project.workspace_root, &source.path);
            if !tandem_core::config::source_path_allowed(root, path) || self.ports.logs.leads_out(root, path).await {
                let why = "`path` does not lie inside `workspace_root`";
                return Err(Failure::of(Code::LogSourceResetFailed)
                    .with("project_id", project_id)
                    .with("source_id", source_id)
                    .with("detail", why));
            }
            let wanted = spec(project, source);
            let stored = self.load::<SourceRow>(&tenant, &row_id(project_id, source_id)).await?;
            let since_ms = configured_at(&snapshot.config, ctx.now_ms);
            let fresh = || SourceRow::new(project_id, source_id, &wanted, since_ms, ctx.now_ms);
            let (mut row, expect) = match stored {
                Some(stored) => (stored.value, Expect::Version(stored.version)),
                None => (fresh(), Expect::Absent),
            };
            if !row.state.is_of(&wanted) {
                row.state.repoint(&wanted, since_ms, ctx.now_ms);
            }
            let before: Vec<Value> = row
                .state
                .position
                .files
                .iter()
                .map(|file| json!({ "path": file.path, "generation": file.generation, "offset": file.offset }))
                .collect();
            row.state.reset(ctx.now_ms);
            let payload = json!({
                "project_id": project_id,
                "source_id": source_id,
                "path": source.path,
                "before": before,
            });
            let commit = Commit::new(ctx).put(Put::of(&row, expect)).audit(
                self.event_id(),
                "incident_monitor.log_source.offset_reset",
                payload,
            );
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(row.state)
        })
        .await?;
        self.hub.changed.notify_waiters();
        Ok(LogSourceState::from(&state))
    }

    /// Takes the latest failure of a source in once more, from the bytes where it stands. The source's position and the
    /// cooldown have nothing to do with it.
    pub async fn log_source_replay(
        &self,
        ctx: &OpContext,
        project_id: &str,
        source_id: &str,
    ) -> Result<Replayed, Failure> {
        let tenant = ctx.tenant.key();
        let snapshot = self.snapshot(&tenant).await?;
        let config = &snapshot.config;
        let (project, source) = configured(config, project_id, source_id)?;
        let about = |code| Failure::of(code).with("project_id", project_id).with("source_id", source_id);
        let Some((incident, place)) = self.latest_of(&tenant, project_id, source_id).await? else {
            return Err(about(Code::LogSourceReplayNotFound));
        };
        let failed = |why: String| {
            about(Code::LogSourceReplayFailed).with("incident_id", incident.incident_id.clone()).with("detail", why)
        };
        if place.offset_end <= place.offset_start {
            return Err(failed("the incident's offsets are no range".into()));
        }
        let row = self.load::<SourceRow>(&tenant, &row_id(project_id, source_id)).await?;
        let position = row.map(|row| row.value.state.position).unwrap_or_default();
        let found = self.ports.logs.at(&spec(project, source), &position, &place).await;
        let candidate = match found {
            Ok(Some(candidate))
                if (candidate.place.offset_start, candidate.place.offset_end)
                    == (place.offset_start, place.offset_end) =>
            {
                candidate
            }
            Ok(_) => return Err(failed("the lines hold no failure at exactly this place any more".into())),
            Err(error) => return Err(failed(error.to_string())),
        };
        let Some(binding) = source::binding(config, project_id, Some(source_id)) else {
            return Err(unknown(project_id, source_id));
        };
        let around = Around {
            config,
            scope: Scope { project, source: Some(source) },
            binding: &binding,
            settings: &crate::report::settings(config),
            tenant: &tenant,
            request_id: &ctx.request_id,
            now_ms: ctx.now_ms,
        };
        let accepted = accept_candidate(candidate, &around, self.fresh_ids()).map_err(|why| failed(why.to_string()))?;
        let mut accepted = crate::report::judged(config, accepted);
        accepted.cooldown_ms = 0;
        let payload = json!({
            "project_id": project_id,
            "source_id": source_id,
            "incident_id": incident.incident_id,
            "place": place,
        });
        let commit = Commit::new(ctx).write(Write::Signal(Box::new(accepted))).audit(
            self.event_id(),
            "incident_monitor.log_source.replayed",
            payload,
        );
        let mut committed = self.store().commit(commit).await.map_err(store_failure)?;
        let outcome = committed.signals.pop().ok_or_else(|| Failure::of(Code::Internal))?;
        self.wake.notify_waiters();
        Ok(Replayed { incident, draft: outcome.draft.map(Arc::unwrap_or_clone) })
    }

    /// The newest incident of a source that knows its lines.
    async fn latest_of(
        &self,
        tenant: &TenantKey,
        project_id: &str,
        source_id: &str,
    ) -> Result<Option<(Incident, Place)>, Failure> {
        let mut request = PageRequest {
            limit: 200,
            equals: vec![("project_id", Column::text(project_id))],
            ..PageRequest::default()
        };
        let mut looked_at = 0;
        loop {
            let page = self.page::<Incident>(tenant, "updated_at_ms", &request).await?;
            looked_at += page.items.len();
            for incident in page.items {
                if incident.log_source_id.as_deref() == Some(source_id)
                    && let Some(place) = incident.event_payload.as_ref().and_then(place_of)
                {
                    return Ok(Some((incident, place)));
                }
            }
            match page.next {
                Some(next) if looked_at < REPLAY_LOOKS_AT => request.after = Some(next),
                _ => return Ok(None),
            }
        }
    }

    /// What a log said when it opened a draft.
    pub async fn log_evidence(
        &self,
        ctx: &OpContext,
        project_id: &str,
        source_id: &str,
        evidence_id: &str,
    ) -> Result<LogEvidence, Failure> {
        let id = evidence_id.strip_suffix(".json").unwrap_or(evidence_id);
        let found = self.load::<LogEvidence>(&ctx.tenant.key(), id).await?;
        match found {
            Some(row) if row.value.project_id == project_id && row.value.source_id == source_id => Ok(row.value),
            _ => Err(Failure::of(Code::LogEvidenceNotFound).with("evidence_id", id)),
        }
    }

    /// Forgets idempotency keys that no sender comes back with. Bookkeeping, like last uses: no audit row.
    pub(crate) async fn forget_receipts(&self, tenant: &TenantKey) -> Result<(), Failure> {
        use tandem_core::signal::once::{INTAKE_RECEIPTS, REMEMBERED_MS};
        let edge = i64::try_from(self.now_ms().saturating_sub(REMEMBERED_MS)).unwrap_or(i64::MAX);
        loop {
            let rows = self
                .store()
                .page(tandem_core::ports::Query {
                    collection: &INTAKE_RECEIPTS,
                    tenant: tenant.clone(),
                    equals: Vec::new(),
                    order: "updated_at_ms",
                    since: None,
                    after: Some((edge, String::new())),
                    limit: 500,
                })
                .await
                .map_err(store_failure)?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut commit = Commit::new(&self.worker_ctx("retention", tenant));
            for found in rows {
                let expect = Expect::Any;
                commit.writes.push(Write::Delete { collection: &INTAKE_RECEIPTS, id: found.row.id, expect });
            }
            match self.store().commit(commit).await {
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(store_failure(error)),
            }
        }
    }
}

/// Where the incident's latest lines stand.
fn place_of(payload: &Value) -> Option<Place> {
    Some(Place {
        path: payload["path"].as_str()?.to_owned(),
        offset_start: payload["offset_start"].as_u64()?,
        offset_end: payload["offset_end"].as_u64()?,
        generation: payload["generation"].as_u64().unwrap_or_default(),
        inode: payload["inode"].as_u64(),
    })
}
