//! What an operator does about an automation's life: retire it, extend it, resume it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    approval::Resource,
    dual,
    effects::{self, Standing},
    ledger::{Stop, StopCause},
    limits::{Base, Limits},
    mutate::{self, Operation},
    record::{Finding, GovernanceRecord, ReviewKind},
    review::{self, Cause},
    run,
    sweep::{self, Sweep},
};
use crate::{
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
};

/// What the answer shows where the automation itself cannot be shown.
fn shown(automation: Option<Value>, automation_id: &str) -> Value {
    automation.unwrap_or_else(|| json!({ "automation_id": automation_id }))
}

fn known(desk: &mut Desk<'_>, automation_id: &str) -> Decided<()> {
    match desk.get::<GovernanceRecord>(automation_id)? {
        Some(record) if !record.is_deleted() => Ok(()),
        Some(_) | None => Err(Failure::of(Code::GovernanceNotFound).with("automationID", automation_id).into()),
    }
}

/// POST …/retire. Answers with the automation.
#[derive(Debug)]
pub struct Retire {
    pub base: Arc<Base>,
    pub automation_id: String,
    pub reason: Option<String>,
    pub approval_id: Option<String>,
}

impl Decision for Retire {
    type Outcome = Value;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<GovernanceRecord>(&self.automation_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Value> {
        known(desk, &self.automation_id)?;
        let limits = self.base.effective(desk)?;
        let mut record = mutate::check(desk, &self.automation_id, Operation::Retire)?;
        let parameters = json!({ "reason": self.reason });
        let control = dual::check(
            desk,
            &limits,
            dual::Action::Retire,
            &Resource::automation(&self.automation_id),
            self.approval_id.as_deref(),
            &parameters,
        )?;
        if let Some(result) = control.repeated() {
            return Ok(result);
        }
        let now = desk.now_ms();
        let reason = self.reason.clone().unwrap_or_else(|| "retired by an operator".into());
        record.retired_at_ms = Some(now);
        record.retire_reason = Some(reason.clone());
        record.paused_for_lifecycle = true;
        // Whoever retires it has answered what was asked about it.
        review::supersede(desk, record.review_request_id.take().as_deref())?;
        record.review_required = false;
        record.review_kind = Some(ReviewKind::Retired);
        record.review_requested_at_ms = Some(now);
        record.updated_at_ms = now;
        record.plan_check(limits.expiration_warning_window_ms);
        record.keep(desk);
        let stop = Stop::new(StopCause::Retired, &reason, now);
        let paused = run::stop_all(desk, &self.automation_id, &stop)?;
        let automation = shown(effects::stand(desk, &self.automation_id, Standing::Paused)?, &self.automation_id);
        desk.audit(
            "automation.governance.retired",
            json!({
                "automationID": self.automation_id,
                "reason": reason,
                "actor": desk.ctx.actor,
                "approvalID": self.approval_id,
                "pausedRunIDs": paused,
            }),
        );
        control.consume(desk, &automation)?;
        Ok(automation)
    }
}

/// POST …/extend. Answers with the automation.
#[derive(Debug)]
pub struct Extend {
    pub base: Arc<Base>,
    pub automation_id: String,
    pub expires_at_ms: Option<u64>,
    pub reason: Option<String>,
    pub approval_id: Option<String>,
}

impl Decision for Extend {
    type Outcome = Value;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<GovernanceRecord>(&self.automation_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Value> {
        known(desk, &self.automation_id)?;
        let limits = self.base.effective(desk)?;
        let mut record = mutate::check(desk, &self.automation_id, Operation::Extend)?;
        let parameters = json!({ "expiresAtMs": self.expires_at_ms, "reason": self.reason });
        let control = dual::check(
            desk,
            &limits,
            dual::Action::Extend,
            &Resource::automation(&self.automation_id),
            self.approval_id.as_deref(),
            &parameters,
        )?;
        if let Some(result) = control.repeated() {
            return Ok(result);
        }
        let now = desk.now_ms();
        let expires_at_ms = match self.expires_at_ms {
            Some(at) if at <= now || at > now.saturating_add(limits.max_expires_after_ms) => {
                return Err(Failure::of(Code::ExtendFailed).with("automationID", self.automation_id.as_str()).into());
            }
            Some(at) => Some(at),
            None if limits.default_expires_after_ms == 0 => None,
            None => Some(now.saturating_add(limits.default_expires_after_ms)),
        };
        record.expires_at_ms = expires_at_ms;
        record.expired_at_ms = None;
        record.retired_at_ms = None;
        record.retire_reason = None;
        record.warning_snoozed = false;
        record.last_reviewed_at_ms = Some(now);
        record.updated_at_ms = now;
        // What else is open about it stays open, and keeps it paused.
        let other = record.review_required
            && matches!(record.review_kind, Some(ReviewKind::DependencyRevoked | ReviewKind::TenantOwnershipMismatch));
        let held = other || record.creation_paused;
        if !other {
            // Whoever extends it has looked at it: what was asked about its runs is answered as well.
            review::supersede(desk, record.review_request_id.take().as_deref())?;
            let answered = record.review_kind.take();
            record.review_required = false;
            record.review_requested_at_ms = None;
            if answered == Some(ReviewKind::RunDrift) {
                record.runs_since_review = 0;
            }
            resolve_answered(desk, &mut record, answered)?;
            self.ask_again(desk, &limits, &mut record)?;
        }
        let automation = if held {
            effects::stand(desk, &self.automation_id, Standing::Paused)?
        } else {
            record.paused_for_lifecycle = false;
            effects::stand(desk, &self.automation_id, Standing::Active)?
        };
        record.plan_check(limits.expiration_warning_window_ms);
        sweep::come_by(desk, &limits, Sweep::Lifecycle, record.next_check_at_ms);
        record.keep(desk);
        let automation = shown(automation, &self.automation_id);
        desk.audit(
            "automation.governance.retirement.extended",
            json!({
                "automationID": self.automation_id,
                "expiresAtMs": expires_at_ms,
                "reason": self.reason,
                "approvalID": self.approval_id,
            }),
        );
        control.consume(desk, &automation)?;
        Ok(automation)
    }
}

impl Extend {
    /// A revocation or a quarantine that nobody has answered, because the automation was retired or ended meanwhile, is
    /// asked about again: it is still what keeps the automation paused.
    fn ask_again(&self, desk: &mut Desk<'_>, limits: &Limits, record: &mut GovernanceRecord) -> Decided<()> {
        let unanswered = |finding: &&Finding| {
            matches!(finding.kind, ReviewKind::DependencyRevoked | ReviewKind::TenantOwnershipMismatch)
        };
        let found = record.health_findings.iter().filter(unanswered).max_by_key(|finding| finding.kind.weight());
        let Some(finding) = found.filter(|_| record.creation_paused) else { return Ok(()) };
        let kind = finding.kind;
        let cause = Cause {
            kind,
            by: "automation_extension",
            rationale: format!("{} was extended with an unanswered finding: {}", self.automation_id, finding.summary),
            context: json!({ "trigger": kind, "automationID": self.automation_id, "findingID": finding.finding_id }),
        };
        review::open(desk, limits, record, cause).map(|_| ())
    }
}

/// Findings about the end, and those of the review that was open, are answered by an extension; others stay.
fn resolve_answered(desk: &mut Desk<'_>, record: &mut GovernanceRecord, review: Option<ReviewKind>) -> Decided<()> {
    let about_the_end = |kind| matches!(kind, ReviewKind::Expired | ReviewKind::ExpirationSoon | ReviewKind::Retired);
    let (answered, others) = std::mem::take(&mut record.health_findings).into_iter().partition(|finding: &Finding| {
        about_the_end(finding.kind)
            || (Some(finding.kind) == review && matches!(finding.kind, ReviewKind::RunDrift | ReviewKind::HealthDrift))
    });
    record.health_findings = answered;
    review::resolve(desk, record, None)?;
    record.health_findings = others;
    Ok(())
}

/// Refuses to let an automation go on that has come to its end, or whose review is open.
fn may_go_on(desk: &mut Desk<'_>, base: &Base, record: &GovernanceRecord) -> Decided<()> {
    let limits = base.effective(desk)?;
    let automation_id = record.automation_id.as_str();
    let refuse = |code: Code| {
        let failure = Failure::of(code).status(409).with("automationID", automation_id);
        failure.with("detail", "extend it to bring it back")
    };
    if record.retired_at_ms.is_some() {
        return Err(refuse(Code::AutomationRetired).into());
    }
    if record.has_expired(desk.now_ms()) {
        return Err(refuse(Code::AutomationExpired).into());
    }
    // Which reviews keep runs out is a setting; what a revocation or a quarantine has closed stays closed until it is
    // answered.
    let blocks = |kind: &ReviewKind| {
        limits.blocks_runs(*kind) || matches!(kind, ReviewKind::DependencyRevoked | ReviewKind::TenantOwnershipMismatch)
    };
    if let Some(kind) = record.review_kind.filter(|kind| record.review_required && blocks(kind)) {
        let mut failure = Failure::of(Code::AutomationReviewPending)
            .with("automationID", automation_id)
            .with("reviewKind", kind.word());
        if let Some(id) = &record.review_request_id {
            failure = failure.with("reviewRequestID", id.as_str());
        }
        return Err(failure.into());
    }
    Ok(())
}

/// Whether a change may set the status to active. What governance holds is let go by a resume, never by naming a status.
pub fn may_activate(desk: &mut Desk<'_>, base: &Base, record: &GovernanceRecord) -> Decided<()> {
    may_go_on(desk, base, record)?;
    if record.paused_for_lifecycle || record.creation_paused {
        let failure = Failure::of(Code::AutomationLifecyclePaused).status(409);
        let failure = failure.with("automationID", record.automation_id.as_str());
        return Err(failure.with("detail", "resume it to let it go on").into());
    }
    Ok(())
}

/// Clears the pauses of an automation that an operator resumes; the caller sets its status. Its runs stay as they are.
pub fn resume(desk: &mut Desk<'_>, base: &Base, automation_id: &str) -> Decided<()> {
    let mut record = mutate::check(desk, automation_id, Operation::Resume)?;
    may_go_on(desk, base, &record)?;
    let limits = base.effective(desk)?;
    record.paused_for_lifecycle = false;
    record.creation_paused = false;
    record.updated_at_ms = desk.now_ms();
    record.plan_check(limits.expiration_warning_window_ms);
    let quarantined = std::mem::take(&mut record.quarantined);
    record.keep(desk);
    desk.audit("automation.governance.resumed", json!({ "automationID": automation_id }));
    if quarantined {
        desk.audit("automation.governance.tenant_quarantine.restored", json!({ "automationID": automation_id }));
    }
    Ok(())
}
