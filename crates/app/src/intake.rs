//! `POST /incident-monitor/intake/report`: a failure reported with a scoped key, for one project.

use std::sync::Arc;

use tandem_core::{
    actor::{ActorKind, ActorRef, OpContext},
    config::Config,
    credential::{INTAKE_KEYS, IntakeKey, intake_key_hash},
    draft::Draft,
    error::{Code, Failure},
    incident::Incident,
    record::{Column, Commit},
    signal::{
        Door, Outcome, Submission,
        once::{self, IntakeReceipt},
    },
    source,
    text::non_blank,
};

use crate::{App, load::parse, store_failure, tenant_of};

/// What the caller sent, in the order in which it is judged.
pub struct IntakeRequest<'a> {
    pub project_id: &'a str,
    pub source_id: Option<&'a str>,
    pub report: Option<Submission>,
    /// Reports of one key with the same value are counted once.
    pub idempotency_key: Option<&'a str>,
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
        let once = match non_blank(request.idempotency_key) {
            None => None,
            Some(key) if key.len() > once::KEY_BYTES => {
                let why = format!("the idempotency key is longer than {} bytes", once::KEY_BYTES);
                return Err(Failure::new(Code::ValidationFailed, why));
            }
            Some(key) => {
                let credential = ctx.actor.actor_id.as_deref().unwrap_or_default();
                Some((once::receipt_id(credential, key), once::digest(project_id, source_id, &report)))
            }
        };
        self.bound_report(&ctx, config, project_id, source_id, report, once).await
    }

    async fn bound_report(
        &self,
        ctx: &OpContext,
        config: &Config,
        project_id: &str,
        source_id: &str,
        report: Submission,
        once: Option<(String, String)>,
    ) -> Result<Outcome, Failure> {
        let Some(binding) = source::binding(config, project_id, Some(source_id)) else {
            return Err(Failure::of(Code::IntakeProjectUnknown).with("project_id", project_id));
        };
        let door = Door::Bound(&binding);
        let Some((receipt_id, digest)) = once else { return self.take_in(ctx, config, report, door).await };
        if let Some(told) = self.told_before(ctx, &receipt_id, &digest).await? {
            return Ok(told);
        }
        match self.take_in_once(ctx, config, report, door, &receipt_id, &digest).await {
            // The same key came twice at once: the other one has counted it.
            Err(failure) if failure.code == Code::Conflict => {
                self.told_before(ctx, &receipt_id, &digest).await?.ok_or(failure)
            }
            outcome => outcome,
        }
    }

    /// What an idempotency key was answered before: its incident and draft as they are now.
    async fn told_before(&self, ctx: &OpContext, receipt_id: &str, digest: &str) -> Result<Option<Outcome>, Failure> {
        let tenant = ctx.tenant.key();
        let Some(receipt) = self.load::<IntakeReceipt>(&tenant, receipt_id).await? else { return Ok(None) };
        let receipt = receipt.value;
        if receipt.digest != digest {
            return Err(Failure::of(Code::IdempotencyKeyReused));
        }
        let identity = Column::Bytes(tandem_core::text::unhex(&receipt.identity).unwrap_or_default());
        let found = self.all::<Incident>(&tenant, "updated_at_ms", vec![("identity", identity)], 1).await?.pop();
        // It was counted; somebody has deleted the incident since.
        let Some(incident) = found else { return Err(Failure::of(Code::IncidentNotFound)) };
        let draft = match &incident.value.draft_id {
            Some(id) => self.load::<Draft>(&tenant, id).await?.map(|row| row.value),
            None => None,
        };
        let blocked = incident.value.quality_gate.clone().filter(|_| receipt.blocked);
        if draft.is_none() && blocked.is_none() {
            return Err(Failure::of(Code::DraftNotFound));
        }
        let (incident, draft) = (Arc::new(incident.value), draft.map(Arc::new));
        Ok(Some(Outcome { incident, draft, created: false, blocked, stored: None }))
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
