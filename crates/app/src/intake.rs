//! `POST /incident-monitor/intake/report`: a failure reported with a scoped key, for one project.

use tandem_core::{
    actor::{ActorKind, ActorRef, OpContext},
    config::Config,
    credential::{INTAKE_KEYS, IntakeKey, intake_key_hash},
    error::{Code, Failure},
    record::Commit,
    signal::{Door, Outcome, Submission},
    source,
    text::non_blank,
};

use crate::{App, load::parse, store_failure, tenant_of};

/// What the caller sent, in the order in which it is judged.
pub struct IntakeRequest<'a> {
    pub project_id: &'a str,
    pub source_id: Option<&'a str>,
    pub report: Option<Submission>,
    /// The presented key, if any.
    pub key: Option<&'a str>,
    pub request_id: &'a str,
}

impl App {
    pub async fn intake(&self, request: IntakeRequest<'_>) -> Result<Outcome, Failure> {
        let project_id = request.project_id.trim();
        if project_id.is_empty() {
            return Err(Failure::of(Code::IntakeProjectRequired));
        }
        let ctx = self.intake_auth(project_id, &request).await?;
        let snapshot = self.snapshot(&ctx.tenant.key()).await?;
        let config = &snapshot.config;
        let Some(project) = config.monitored_projects.iter().find(|p| p.project_id == project_id) else {
            return Err(Failure::of(Code::IntakeProjectUnknown).with("project_id", project_id));
        };
        let Some(report) = request.report else {
            return Err(Failure::of(Code::ReportRequired));
        };
        let source_id = non_blank(request.source_id).unwrap_or("external");
        if !project.log_sources.is_empty() && !project.log_sources.iter().any(|s| s.source_id == source_id) {
            return Err(Failure::of(Code::IntakeSourceUnknown)
                .with("project_id", project_id)
                .with("source_id", tandem_core::text::truncate(source_id, 120)));
        }
        self.bound_report(&ctx, config, project_id, source_id, report).await
    }

    async fn bound_report(
        &self,
        ctx: &OpContext,
        config: &Config,
        project_id: &str,
        source_id: &str,
        report: Submission,
    ) -> Result<Outcome, Failure> {
        let Some(binding) = source::binding(config, project_id, Some(source_id)) else {
            return Err(Failure::of(Code::IntakeProjectUnknown).with("project_id", project_id));
        };
        self.take_in(ctx, config, report, Door::Bound(&binding)).await
    }

    /// Every refusal of a presented key looks the same to the caller; the audit log knows more.
    async fn intake_auth(&self, project_id: &str, request: &IntakeRequest<'_>) -> Result<OpContext, Failure> {
        let now_ms = self.now_ms();
        let Some(raw) = non_blank(request.key) else {
            return Err(Failure::of(Code::IntakeKeyRequired));
        };
        let hash = intake_key_hash(raw);
        let found = self.credential_row(&hash).await?;
        let Some((tenant, key)) = found else {
            return Err(Failure::of(Code::IntakeKeyInvalid));
        };
        let ctx = OpContext {
            tenant: tenant_of(&tenant),
            actor: ActorRef {
                kind: ActorKind::System,
                actor_id: Some(key.key_id.clone()),
                source: Some("intake_key".into()),
            },
            request_id: request.request_id.to_owned(),
            now_ms,
        };
        if !key.admits(project_id, now_ms) {
            let payload = serde_json::json!({
                "key_id": key.key_id,
                "key_project_id": key.project_id,
                "requested_project_id": tandem_core::text::truncate(project_id, 120),
                "enabled": key.enabled,
                "expires_at_ms": key.expires_at_ms,
            });
            let commit = Commit::new(&ctx).audit(self.event_id(), "incident_monitor.intake_key.refused", payload);
            self.store().commit(commit).await.map_err(store_failure)?;
            return Err(Failure::of(Code::IntakeKeyInvalid));
        }
        if let Some(limit) = key.rate_limit_per_min
            && let Err(wait_s) = self.limits.take(&key.key_id, limit, now_ms)
        {
            let mut failure = Failure::new(Code::RateLimited, "this intake key's rate limit is reached");
            failure.retry_after_s = Some(wait_s);
            return Err(failure);
        }
        self.note_use(&tenant, &key.key_id, now_ms);
        Ok(ctx)
    }

    async fn credential_row(&self, hash: &str) -> Result<Option<(tandem_core::tenant::TenantKey, IntakeKey)>, Failure> {
        if let Some(found) = self.key_cache.get(hash) {
            return Ok(Some(found));
        }
        let generation = self.key_cache.generation();
        let found = self.store().credential(&INTAKE_KEYS, hash).await.map_err(store_failure)?;
        let Some((tenant, row)) = found else { return Ok(None) };
        let key: IntakeKey = parse(&row).map_err(store_failure)?.value;
        if self.store().exclusive() {
            self.key_cache.put(hash, (tenant.clone(), key.clone()), generation);
        }
        Ok(Some((tenant, key)))
    }
}
