//! What is done without being asked for: deadlines of requests, ends of automations, health, and stops left over.
//!
//! A tenant's sweeps are jobs that never end: an engine claims one under a lease, does what is due, and gives it back
//! with the time of the next one. So several engines share them, and a killed one costs a lease. They are made with the
//! tenant's first governed row.

use serde_json::json;

use super::{
    agent::Agent,
    approval::{Approval, RequestType, Status},
    limits::{Base, Limits},
    record::{GovernanceRecord, ReviewKind},
    request::{self, NewRequest},
    review,
    usage::TenantUsage,
};
use crate::{
    actor::ActorRef,
    decide::{Ask, Decided, Decision, Desk},
    record::{Job, JobKind, Waiting, Write},
    wire::wire_enum,
};

wire_enum! {
    pub enum Sweep {
        Approvals = "approvals",
        Lifecycle = "lifecycle",
        Health = "health",
    }
}

impl Sweep {
    pub fn interval_ms(self, limits: &Limits) -> u64 {
        match self {
            // Whoever has health looked at more often wants the rest no later.
            Self::Approvals => limits.approval_sweep_interval_ms.min(limits.health_check_interval_ms),
            Self::Lifecycle => limits.lifecycle_sweep_interval_ms.min(limits.health_check_interval_ms),
            Self::Health => limits.health_check_interval_ms,
        }
    }
}

/// Makes the jobs of the tenant's sweeps, once.
pub fn ensure(desk: &mut Desk<'_>) -> Decided<()> {
    let mut usage = desk.get::<TenantUsage>(TenantUsage::ID)?.unwrap_or_default();
    if usage.sweeps {
        return Ok(());
    }
    usage.sweeps = true;
    desk.save(&usage);
    let tenant = desk.ctx.tenant.key();
    let due_at_ms = desk.now_ms();
    for sweep in Sweep::ALL {
        desk.job(Job {
            job_id: format!("sweep-{sweep}-{}", tenant.as_str()),
            kind: JobKind::Sweep,
            lane: sweep.word().into(),
            subject: sweep.word().into(),
            due_at_ms,
        });
    }
    Ok(())
}

/// Has a sweep come by earlier than it would, for a row whose time comes before that.
pub fn come_by(desk: &mut Desk<'_>, limits: &Limits, sweep: Sweep, at_ms: Option<u64>) {
    let usual = desk.now_ms().saturating_add(sweep.interval_ms(limits));
    if let Some(due_at_ms) = at_ms.filter(|at| *at < usual) {
        desk.write(Write::JobsWake { kind: JobKind::Sweep, of: Waiting::Subject(sweep.word().into()), due_at_ms });
    }
}

/// Looks at one request whose time has come: reminds, escalates, or lets it expire.
#[derive(Debug)]
pub struct Overdue {
    pub base: std::sync::Arc<Base>,
    pub approval_id: String,
}

impl Decision for Overdue {
    type Outcome = ();

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<Approval>(&self.approval_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<()> {
        let Some(mut approval) = desk.get::<Approval>(&self.approval_id)?.filter(Approval::is_pending) else {
            return Ok(());
        };
        let now = desk.now_ms();
        if approval.decide_by_ms <= now {
            return self.expire(desk, approval);
        }
        if approval.remind_at_ms.is_some_and(|at| at <= now) && approval.reminded_at_ms.is_none() {
            approval.reminded_at_ms = Some(now);
            let payload = json!({ "approvalID": approval.approval_id, "reviewers": approval.reviewers });
            desk.audit("automation.governance.approval.reminded", payload);
        }
        if approval.escalate_at_ms.is_some_and(|at| at <= now) && approval.escalated_at_ms.is_none() {
            approval.escalated_at_ms = Some(now);
            let payload = json!({ "approvalID": approval.approval_id, "escalatedTo": approval.escalate_to });
            desk.audit("automation.governance.approval.escalated", payload);
        }
        approval.updated_at_ms = now;
        desk.save(&approval);
        Ok(())
    }
}

impl Overdue {
    fn expire(&self, desk: &mut Desk<'_>, mut approval: Approval) -> Decided<()> {
        expire(desk, &mut approval);
        let limits = self.base.effective(desk)?;
        // Nobody has to answer the warning that the end is near: the end will come and be asked about.
        if let Some(mut record) = waiting(desk, &approval)?
            && record.review_kind == Some(ReviewKind::ExpirationSoon)
        {
            record.warning_snoozed = true;
            review::close_warning(desk, &mut record, Some(&approval.approval_id))?;
            record.plan_check(limits.expiration_warning_window_ms);
            desk.save(&record);
            return Ok(());
        }
        let by = approval.requested_by.clone();
        ask_again(desk, &limits, &approval, by)
    }
}

/// The record of the automation whose open review is decided by this request.
fn waiting(desk: &mut Desk<'_>, approval: &Approval) -> Decided<Option<GovernanceRecord>> {
    if !approval.target_resource.is_automation() {
        return Ok(None);
    }
    let id = Some(approval.approval_id.as_str());
    let record = desk.get::<GovernanceRecord>(&approval.target_resource.id)?;
    Ok(record.filter(|it| it.review_required && it.review_request_id.as_deref() == id && !it.is_deleted()))
}

/// A review that is still due when its request has ended without an answer is asked for again; everything stays closed
/// meanwhile.
pub fn ask_again(desk: &mut Desk<'_>, limits: &Limits, ended: &Approval, by: ActorRef) -> Decided<()> {
    let again =
        NewRequest { rationale: ended.rationale.clone(), context: ended.context.clone(), ..NewRequest::default() };
    let target = ended.target_resource.clone();
    if target.kind == "agent" {
        let Some(mut agent) = desk.get::<Agent>(&target.id)? else { return Ok(()) };
        let current = agent.creation.review_request_id.as_deref() == Some(ended.approval_id.as_str());
        if agent.creation.review_required && current {
            let next = request::file(desk, limits, RequestType::LifecycleReview, by, target, again)?;
            agent.creation.review_request_id = Some(next.approval_id);
            agent.creation.updated_at_ms = desk.now_ms();
            desk.save(&agent);
        }
    } else if let Some(mut record) = waiting(desk, ended)? {
        let next = request::file(desk, limits, ended.request_type, by, target, again)?;
        record.review_request_id = Some(next.approval_id);
        record.updated_at_ms = desk.now_ms();
        desk.save(&record);
    }
    Ok(())
}

/// Nobody decided in time.
pub fn expire(desk: &mut Desk<'_>, approval: &mut Approval) {
    approval.status = Status::Expired;
    approval.updated_at_ms = desk.now_ms();
    desk.save(approval);
    desk.audit(
        "automation.governance.approval.expired",
        json!({
            "approvalID": approval.approval_id,
            "requestType": approval.request_type,
            "targetResource": approval.target_resource,
            "decideByMs": approval.decide_by_ms,
        }),
    );
}
