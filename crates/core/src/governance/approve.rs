//! Deciding a request: who may, when, how many it takes, and what it does to what was asked about.
//!
//! Approving marks the request and, for a review, acknowledges the state that it is about. It resumes nothing, re-arms
//! nothing and restores nothing. Denying leaves everything closed as it was.

use serde_json::json;

use super::{
    agent::Agent,
    agents,
    approval::{Approval, RequestType, Status, Vote, fold_id},
    limits::Base,
    record::{GovernanceRecord, ReviewKind},
    request, review, sweep,
};
use crate::{
    actor::ActorKind,
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
};

#[derive(Debug)]
pub struct Decide {
    pub base: std::sync::Arc<Base>,
    pub approval_id: String,
    pub approve: bool,
    pub notes: Option<String>,
    /// The denial pauses the agent that it is about.
    pub pause_agent: bool,
}

/// What became of it. A request that ran out while it was looked at is written as expired, and then refused.
pub type Outcome = Result<Approval, Box<Failure>>;

impl Decision for Decide {
    type Outcome = Outcome;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<Approval>(&self.approval_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Outcome> {
        let actor = desk.ctx.actor.clone();
        let refuse = |code| Failure::of(code).with("approvalID", self.approval_id.as_str());
        let denied = |desk: &mut Desk<'_>, code: Code| {
            desk.audit_if_refused(
                "automation.governance.denied",
                json!({
                    "operation": if self.approve { "approve" } else { "deny" },
                    "approvalID": self.approval_id,
                    "code": code.word(),
                }),
            );
            Err(refuse(code).into())
        };
        if actor.kind != ActorKind::Human {
            return denied(desk, Code::ApprovalRequiresHuman);
        }
        let Some(mut approval) = desk.get::<Approval>(&self.approval_id)? else {
            return Err(refuse(Code::ApprovalNotFound).into());
        };
        if approval.is_own(&actor) {
            return denied(desk, Code::ApprovalSelfReview);
        }
        if !approval.admits_reviewer(actor.actor_id.as_deref()) {
            return denied(desk, Code::ApprovalReviewerForbidden);
        }
        let wanted = if self.approve { Status::Approved } else { Status::Denied };
        if approval.status == wanted {
            return Ok(Ok(approval));
        }
        if self.pause_agent && (self.approve || approval.target_resource.kind != "agent") {
            let why = "`pause_agent` is for denials of requests about an agent.";
            return Err(Failure::new(Code::ValidationFailed, why).status(400).into());
        }
        let view = |approval: &Approval| super::view::approval_value(approval);
        match approval.status {
            Status::Pending => {}
            Status::Expired => {
                let code = if approval.superseded { Code::ApprovalSuperseded } else { Code::ApprovalExpired };
                return Err(refuse(code).with("approval", view(&approval)).into());
            }
            Status::Approved | Status::Denied | Status::Cancelled => {
                return Err(refuse(Code::ApprovalAlreadyDecided).with("approval", view(&approval)).into());
            }
        }
        let now = desk.now_ms();
        if approval.decide_by_ms <= now {
            sweep::Overdue { base: self.base.clone(), approval_id: self.approval_id.clone() }.decide(desk)?;
            let approval = desk.get::<Approval>(&self.approval_id)?;
            let shown = approval.as_ref().map(view);
            return Ok(Err(Box::new(refuse(Code::ApprovalExpired).with("approval", shown.unwrap_or_default()))));
        }
        if self.is_superseded(desk, &approval)? {
            approval.status = Status::Expired;
            approval.superseded = true;
            approval.updated_at_ms = now;
            desk.save(&approval);
            let payload = json!({ "supersededApprovalIDs": [self.approval_id] });
            desk.audit("automation.governance.approval.superseded", payload);
            return Ok(Err(Box::new(refuse(Code::ApprovalSuperseded).with("approval", view(&approval)))));
        }
        // Each person has one word, the last one.
        let id = actor.actor_id.as_deref().map(fold_id);
        approval.votes.retain(|vote| vote.by.actor_id.as_deref().map(fold_id) != id);
        approval.votes.push(Vote { by: actor.clone(), approve: self.approve, at_ms: now, notes: self.notes.clone() });
        approval.updated_at_ms = now;
        let votes = approval.votes.iter().filter(|vote| vote.approve == self.approve).count();
        let needed = if self.approve { approval.approvals_needed } else { approval.denials_needed };
        if (votes as u64) < u64::from(needed) {
            desk.save(&approval);
            let payload = json!({
                "approvalID": approval.approval_id, "approve": self.approve, "votes": votes, "needed": needed,
            });
            desk.audit("automation.governance.approval.voted", payload);
            return Ok(Ok(approval));
        }
        approval.status = wanted;
        approval.reviewed_by = Some(actor);
        approval.reviewed_at_ms = Some(now);
        approval.review_notes = self.notes.clone();
        if self.approve {
            approval.expires_at_ms = approval.use_by_ms;
            self.acknowledge(desk, &mut approval)?;
        }
        desk.save(&approval);
        if self.pause_agent {
            let (base, agent_id) = (self.base.clone(), approval.target_resource.id.clone());
            agents::Pause { base, agent_id, reason: self.notes.clone() }.decide(desk)?;
        }
        desk.audit(
            if self.approve {
                "automation.governance.approval.approved"
            } else {
                "automation.governance.approval.denied"
            },
            json!({
                "approvalID": approval.approval_id,
                "requestType": approval.request_type,
                "requestedBy": approval.requested_by,
                "targetResource": approval.target_resource,
                "actionDigest": approval.action_digest,
                "votes": approval.votes.len(),
            }),
        );
        Ok(Ok(approval))
    }
}

/// Whether the request is about the state of an automation or agent itself, and not about an action.
fn is_review(approval: &Approval) -> bool {
    match approval.request_type {
        RequestType::LifecycleReview | RequestType::RetirementAction => approval.action.is_none(),
        RequestType::CapabilityRequest
        | RequestType::ExternalPost
        | RequestType::QuotaOverride
        | RequestType::ElevatedCapability
        | RequestType::DepthOverride => false,
    }
}

impl Decide {
    /// A review that says why it is due decides only while it is the one that its automation or agent waits for.
    fn is_superseded(&self, desk: &mut Desk<'_>, approval: &Approval) -> Decided<bool> {
        let target = &approval.target_resource;
        let id = Some(self.approval_id.as_str());
        let (current, gone) = if !is_review(approval) {
            return Ok(false);
        } else if target.kind == "agent" {
            let agent = desk.get::<Agent>(&target.id)?;
            (agent.as_ref().is_some_and(|agent| agent.creation.review_request_id.as_deref() == id), agent.is_none())
        } else {
            let record = desk.get::<GovernanceRecord>(&target.id)?;
            let current = record.as_ref().is_some_and(|record| record.review_request_id.as_deref() == id);
            (current, record.is_none_or(|record| record.is_deleted()))
        };
        // A person may ask about retirement, or for a look without a cause, when no review is due.
        let claims = approval.request_type == RequestType::LifecycleReview
            && request::named_cause(&approval.context).is_some_and(|kind| request::is_cause(target, kind));
        Ok(approval.superseded || (claims && !current) || (current && gone))
    }

    fn acknowledge(&self, desk: &mut Desk<'_>, approval: &mut Approval) -> Decided<()> {
        if !is_review(approval) {
            return Ok(());
        }
        let (id, now) = (approval.approval_id.clone(), desk.now_ms());
        let reviewer = approval.reviewed_by.clone();
        if approval.target_resource.kind == "agent" {
            let Some(mut agent) = desk.get::<Agent>(&approval.target_resource.id)? else { return Ok(()) };
            if agent.creation.review_request_id.as_deref() != Some(id.as_str()) {
                return Ok(());
            }
            let review = &mut agent.creation;
            review.created_since_review = 0;
            review.review_required = false;
            review.review_requested_at_ms = None;
            review.review_request_id = None;
            review.last_reviewed_at_ms = Some(now);
            review.last_review_notes = self.notes.clone();
            review.updated_at_ms = now;
            agent.updated_at_ms = now;
            desk.save(&agent);
            let by = reviewer.map_or("somebody".to_owned(), |by| by.actor_id.unwrap_or_default());
            approval.spend(&desk.ctx.actor.clone(), "acknowledge", &agent.agent_id, now);
            desk.audit(
                "automation.governance.review.agent_acknowledged",
                json!({ "agentID": agent.agent_id, "approvalID": id, "reviewedBy": by }),
            );
            return Ok(());
        }
        let Some(mut record) = desk.get::<GovernanceRecord>(&approval.target_resource.id)? else { return Ok(()) };
        if record.review_request_id.as_deref() != Some(id.as_str()) {
            return Ok(());
        }
        let limits = self.base.effective(desk)?;
        let kind = record.review_kind;
        if kind == Some(ReviewKind::ExpirationSoon) {
            review::close_warning(desk, &mut record, Some(&id))?;
            record.warning_snoozed = true;
        } else {
            review::close(desk, &mut record, Some(&id))?;
            record.health_last_checked_at_ms = Some(now);
        }
        // What is over stays over, and is shown as such; it just needs no answer any more.
        if kind == Some(ReviewKind::Expired) {
            record.review_kind = kind;
        }
        record.plan_check(limits.expiration_warning_window_ms);
        record.keep(desk);
        approval.spend(&desk.ctx.actor.clone(), "acknowledge", &record.automation_id, now);
        desk.audit(
            "automation.governance.review.automation_acknowledged",
            json!({ "automationID": record.automation_id, "reviewKind": kind, "approvalID": id }),
        );
        Ok(())
    }
}
