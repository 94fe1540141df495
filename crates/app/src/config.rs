//! The configuration of a tenant: one stored object, replaced whole.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tandem_core::{
    actor::OpContext,
    config::{self, Config, Project, Rule, StoredConfig, Violation},
    error::{Code, Failure},
    record::{Commit, Expect, Put},
    tenant::TenantKey,
};

use tandem_posture::reassess::{self, Mark};

use crate::{App, decide_again};

/// The row of every save, also of one that pauses; pause and resume calls have rows of their own.
const UPDATED: &str = "incident_monitor.config.updated";

/// The configuration as read at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub config: Config,
    /// 0 when nothing is stored yet and the initial values apply.
    pub version: u64,
}

impl Snapshot {
    /// The entity tag of this version.
    pub fn etag(&self) -> String {
        format!("\"cfg-{}\"", self.version)
    }
}

impl App {
    /// The current configuration. Cached only while no other process can write the store.
    pub async fn snapshot(&self, tenant: &TenantKey) -> Result<Arc<Snapshot>, Failure> {
        let exclusive = self.store().exclusive();
        if exclusive && let Some(found) = self.snapshots.read().ok().and_then(|s| s.get(tenant).cloned()) {
            return Ok(found);
        }
        let stored = self.load::<StoredConfig>(tenant, StoredConfig::ID).await?;
        let snapshot = Arc::new(match stored {
            Some(row) => Snapshot { config: row.value.config, version: row.version },
            None => Snapshot { config: self.initial_config.clone(), version: 0 },
        });
        if exclusive && let Ok(mut cache) = self.snapshots.write() {
            // A slower reader must not put back what a commit has replaced meanwhile.
            let newer = cache.get(tenant).is_some_and(|held| held.version > snapshot.version);
            if !newer {
                cache.insert(tenant.clone(), snapshot.clone());
            }
        }
        Ok(snapshot)
    }

    /// Replaces the configuration. `if_match` is compared with the current entity tag; without it the last writer wins.
    pub async fn config_replace(
        &self,
        ctx: &OpContext,
        body: Value,
        if_match: Option<&str>,
    ) -> Result<Arc<Snapshot>, Failure> {
        let mut wanted = config::read(body).map_err(|error| {
            Failure::new(Code::ValidationFailed, "the configuration has a wrong shape")
                .with("detail", error.to_string())
        })?;
        let known = self.servers_known(&ctx.tenant.key()).await?;
        let judged = config::validate(&mut wanted, Some(&known));
        let judged = match judged {
            Ok(()) => self.sources_inside(&ctx.tenant.key(), &wanted).await?,
            refused => refused,
        };
        if let Err(violations) = judged {
            let detail: Vec<String> = violations.iter().map(|v| format!("{}: {}", v.path, v.message)).collect();
            return Err(Failure::of(Code::ConfigInvalid).with("detail", detail.join("; ")).with(
                "violations",
                violations.iter().map(|v| json!({ "path": v.path, "message": v.message })).collect::<Vec<_>>(),
            ));
        }
        self.config_write(ctx, if_match, UPDATED, |_| Ok(wanted.clone())).await
    }

    /// Whether links lead a log source out of its workspace. Only of what is new: a link that is made later shows in the
    /// source's health, and does not block every later change.
    async fn sources_inside(&self, tenant: &TenantKey, wanted: &Config) -> Result<Result<(), Vec<Violation>>, Failure> {
        let snapshot = self.snapshot(tenant).await?;
        let places = |config: &Config| -> BTreeSet<(String, String)> {
            let of = |project: &Project| {
                let root = project.workspace_root.clone();
                project.log_sources.iter().map(move |source| (root.clone(), source.path.clone())).collect::<Vec<_>>()
            };
            config.monitored_projects.iter().flat_map(of).collect()
        };
        let before = places(&snapshot.config);
        let mut found = Vec::new();
        for (p, project) in wanted.monitored_projects.iter().enumerate() {
            for (s, source) in project.log_sources.iter().enumerate() {
                let place = (project.workspace_root.clone(), source.path.clone());
                if !before.contains(&place) && self.ports.logs.leads_out(&place.0, &place.1).await {
                    found.push(Violation {
                        path: format!("monitored_projects[{p}].log_sources[{s}].path"),
                        code: Rule::PathOutsideWorkspace,
                        message: "a link leads out of workspace_root".into(),
                    });
                }
            }
        }
        Ok(if found.is_empty() { Ok(()) } else { Err(found) })
    }

    /// Names that a configuration may use for MCP servers: the registered ones, and those that the stored configuration
    /// has already, so that removing a server does not block every later change.
    async fn servers_known(&self, tenant: &TenantKey) -> Result<Vec<String>, Failure> {
        let registered = self.mcp_server_rows(tenant).await?.into_iter().map(|row| row.value.name);
        let snapshot = self.snapshot(tenant).await?;
        let projects = snapshot.config.monitored_projects.iter().filter_map(|project| project.mcp_server.clone());
        Ok(registered.chain(snapshot.config.mcp_server.clone()).chain(projects).collect())
    }

    /// Pauses or resumes. Looks at nothing but the switch: an unrelated defect never blocks an emergency stop.
    pub async fn config_pause(&self, ctx: &OpContext, paused: bool) -> Result<Arc<Snapshot>, Failure> {
        let event_type = if paused { "incident_monitor.paused" } else { "incident_monitor.resumed" };
        self.config_write(ctx, None, event_type, |current| Ok(Config { paused, ..current.clone() })).await
    }

    /// A change that the server itself decides on.
    pub(crate) async fn config_change(
        &self,
        ctx: &OpContext,
        change: impl Fn(&mut Config),
    ) -> Result<Arc<Snapshot>, Failure> {
        let changed = |current: &Config| {
            let mut next = current.clone();
            change(&mut next);
            Ok(next)
        };
        self.config_write(ctx, None, UPDATED, changed).await
    }

    async fn config_write(
        &self,
        ctx: &OpContext,
        if_match: Option<&str>,
        event_type: &'static str,
        change: impl Fn(&Config) -> Result<Config, Failure>,
    ) -> Result<Arc<Snapshot>, Failure> {
        let tenant = ctx.tenant.key();
        decide_again(async || {
            let stored = self.load::<StoredConfig>(&tenant, StoredConfig::ID).await?;
            let (current, version) = match stored {
                Some(row) => (row.value.config, row.version),
                None => (self.initial_config.clone(), 0),
            };
            let tag = Snapshot { config: Config::default(), version }.etag();
            if if_match.is_some_and(|wanted| wanted != "*" && !wanted.split(',').any(|t| t.trim() == tag)) {
                return Err(Failure::of(Code::PreconditionFailed).with("etag", tag));
            }
            let mut next = change(&current)?;
            // Strictly later than before, so that clients can compare.
            next.updated_at_ms = ctx.now_ms.max(current.updated_at_ms + 1);
            let payload = config::diff(&current, &next);
            let record = StoredConfig { config: next };
            let expect = if version == 0 { Expect::Absent } else { Expect::Version(version) };
            let changes = match record.config.reassessment.change_triggers_enabled {
                true => reassess::of_config(&current, &record.config),
                false => Vec::new(),
            };
            let scopes = Some(reassess::scopes(&record.config, &ctx.tenant));
            let commit = Commit::new(ctx)
                .put(Put::of(&record, expect))
                .write(self.marked(Mark { changes, scopes, at_once: true }))
                .audit(self.event_id(), event_type, payload);
            self.store().commit(commit).await.map_err(crate::store_failure)?;
            let snapshot = Arc::new(Snapshot { config: record.config, version: version + 1 });
            self.hub.changed.notify_waiters();
            if let Ok(mut cache) = self.snapshots.write() {
                let newer = cache.get(&tenant).is_some_and(|held| held.version > snapshot.version);
                if !newer {
                    cache.insert(tenant.clone(), snapshot.clone());
                }
            }
            Ok(snapshot)
        })
        .await
    }
}
