//! `POST /incident-monitor/report`: a failure reported with a full token.

use tandem_core::{
    actor::OpContext,
    config::Config,
    error::{Code, Failure},
    record::{Commit, Put, Write},
    route,
    signal::{
        Accepted, Door, Outcome, Rejection, Submission, accept, accept::FreshIds, accept::Settings, once::IntakeReceipt,
    },
};

use crate::{App, store_failure};

impl App {
    /// Counts a report. The incident is returned even when the quality gate blocks it; the caller answers 400 then.
    pub async fn report(&self, ctx: &OpContext, submission: Submission) -> Result<Outcome, Failure> {
        let snapshot = self.snapshot(&ctx.tenant.key()).await?;
        self.take_in(ctx, &snapshot.config, submission, Door::Report).await
    }

    /// The one way in, for every door.
    pub(crate) async fn take_in(
        &self,
        ctx: &OpContext,
        config: &Config,
        submission: Submission,
        door: Door<'_>,
    ) -> Result<Outcome, Failure> {
        let accepted = self.accepted(ctx, config, submission, door)?;
        let commit = Commit::new(ctx).write(Write::Signal(Box::new(accepted)));
        let mut committed = self.store().commit(commit).await.map_err(store_failure)?;
        committed.signals.pop().ok_or_else(|| Failure::of(Code::Internal))
    }

    /// The same, with a receipt in the same commit: a conflict says that there is one already.
    pub(crate) async fn take_in_once(
        &self,
        ctx: &OpContext,
        config: &Config,
        submission: Submission,
        door: Door<'_>,
        receipt_id: &str,
        digest: &str,
    ) -> Result<Outcome, Failure> {
        let accepted = self.accepted(ctx, config, submission, door)?;
        let receipt = IntakeReceipt {
            receipt_id: receipt_id.to_owned(),
            digest: digest.to_owned(),
            identity: tandem_core::text::hex(&accepted.identity),
            blocked: !accepted.gate.passed,
            created_at_ms: ctx.now_ms,
        };
        let commit = Commit::new(ctx).put(Put::insert(&receipt)).write(Write::Signal(Box::new(accepted)));
        let mut committed = self.store().commit(commit).await.map_err(store_failure)?;
        committed.signals.pop().ok_or_else(|| Failure::of(Code::Internal))
    }

    pub(crate) fn accepted(
        &self,
        ctx: &OpContext,
        config: &Config,
        submission: Submission,
        door: Door<'_>,
    ) -> Result<Accepted, Failure> {
        let (settings, ids) = (settings(config), self.fresh_ids());
        let accepted = accept(submission, door, &settings, &ctx.tenant.key(), ids, &ctx.request_id, ctx.now_ms)
            .map_err(refused)?;
        Ok(judged(config, accepted))
    }

    /// Ids for a signal, should it turn out to be something new.
    pub(crate) fn fresh_ids(&self) -> FreshIds {
        FreshIds {
            incident_id: self.id("failure-incident-"),
            draft_id: self.id("failure-draft-"),
            event_id: self.event_id(),
        }
    }
}

/// What intake takes from the configuration.
pub(crate) fn settings(config: &Config) -> Settings<'_> {
    Settings {
        repo: config.repo.as_deref(),
        workspace_root: config.workspace_root.as_deref(),
        redact_secrets: config.safety_defaults.redact_secrets,
        minimum_risk_level: config.safety_defaults.minimum_risk_level.as_deref(),
    }
}

/// What the router says of an accepted signal.
pub(crate) fn judged(config: &Config, mut accepted: Accepted) -> Accepted {
    let context = route::Context::of_signal(&accepted.submission);
    let decision = route::decide(config, &context);
    let (approval_required, auto_publish) = (decision.approval_required, decision.auto_publish);
    accepted.approval_required = approval_required;
    accepted.auto_publish = auto_publish && !approval_required;
    accepted.recurrence = config.recurrence.clone();
    accepted
}

fn refused(rejection: Rejection) -> Failure {
    match rejection {
        Rejection::RepoMissing | Rejection::RepoInvalid => Failure::of(Code::ReportInvalid)
            .with("detail", rejection.to_string())
            .with("incident", serde_json::Value::Null)
            .with("quality_gate", serde_json::Value::Null),
    }
}
