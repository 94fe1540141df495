//! Two persons for one action: who executes it has asked for exactly it, and somebody else has approved.
//!
//! The approval is bound to the action by a digest over target, action and parameters, and is used up in the transaction
//! of the action itself. An exact repetition by the same caller is given the result of the first time.

use serde_json::{Value, json};

use super::{
    approval::{Approval, RequestType, Resource, Status, action_digest, fold_id, target_column},
    limits::Limits,
    mutate::Operation,
    policy::Trace,
};
use crate::{
    decide::{Decided, Desk},
    error::{Code, Failure},
    tenant::TenantSource,
};

/// What two persons do together. The words are those of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Grant,
    Revoke,
    Restore,
    Retire,
    Extend,
    /// Switching this very control off, or changing who reviews what.
    LoosenLimits,
}

impl Action {
    /// The name of the action in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant_modify_access",
            Self::Revoke => "revoke_modify_access",
            Self::Restore => "restore_automation",
            Self::Retire => "retire_automation",
            Self::Extend => "extend_automation_retirement",
            Self::LoosenLimits => "change_governance_limits",
        }
    }

    /// What the decision about it is recorded as.
    fn operation(self) -> &'static str {
        match self {
            Self::Grant => Operation::Grant.word(),
            Self::Revoke => Operation::Revoke.word(),
            Self::Restore => Operation::Restore.word(),
            Self::Retire => Operation::Retire.word(),
            Self::Extend => Operation::Extend.word(),
            Self::LoosenLimits => "change_limits",
        }
    }

    /// The types of request that may allow it.
    fn allowed(self) -> &'static [RequestType] {
        match self {
            Self::Grant | Self::Revoke => {
                &[RequestType::CapabilityRequest, RequestType::ElevatedCapability, RequestType::LifecycleReview]
            }
            Self::Restore | Self::Retire | Self::Extend => {
                &[RequestType::RetirementAction, RequestType::LifecycleReview]
            }
            Self::LoosenLimits => &[RequestType::ElevatedCapability],
        }
    }
}

/// Whether this is the name of an action that uses its approval up by itself.
pub fn is_ours(name: &str) -> bool {
    let all = [Action::Grant, Action::Revoke, Action::Restore, Action::Retire, Action::Extend, Action::LoosenLimits];
    all.iter().any(|action| action.name() == name)
}

/// What the check found: nothing needed, an approval to be used up, or the result of its use.
#[derive(Debug)]
pub enum Control {
    NotNeeded,
    Approved(Box<Approval>, Action),
    Repeated(Value),
}

/// Whether actions need two persons here: always where a credential names the tenant; in the local one by setting.
pub fn is_needed(desk: &Desk<'_>, limits: &Limits) -> bool {
    limits.dual_control || desk.ctx.tenant.source == TenantSource::Explicit
}

/// Finds the approval that the action needs.
pub fn check(
    desk: &mut Desk<'_>,
    limits: &Limits,
    action: Action,
    target: &Resource,
    approval_id: Option<&str>,
    parameters: &Value,
) -> Decided<Control> {
    if !is_needed(desk, limits) && approval_id.is_none() {
        return Ok(Control::NotNeeded);
    }
    let actor = desk.ctx.actor.clone();
    let digest = action_digest(target, action.name(), parameters);
    let inputs = json!({ "actor": actor, "actionDigest": digest, "approvalID": approval_id });
    let trace = Trace::new(action.operation(), target.is_automation().then_some(target.id.as_str()), inputs);
    let Some(approval_id) = approval_id else {
        let failure = Failure::of(Code::GovernanceApprovalRequired)
            .with("action", action.name())
            .with("parameters", parameters.clone());
        return Err(trace.refuse(desk, "dual.approval", failure));
    };
    let Some(approval) = desk.get::<Approval>(approval_id)? else {
        let failure = Failure::of(Code::MutationApprovalNotFound).with("approvalID", approval_id);
        return Err(trace.refuse(desk, "dual.known", failure));
    };
    let Some(own) = actor.actor_id.as_deref().map(fold_id) else {
        return Err(trace.refuse(desk, "dual.named", Failure::of(Code::GovernanceActorRequired)));
    };
    let same = |id: Option<&str>| id.map(fold_id).as_deref() == Some(own.as_str());
    let invalid =
        |rule: &str| Failure::of(Code::GovernanceApprovalInvalid).with("approvalID", approval_id).with("detail", rule);
    let bound = target_column(&approval.target_resource) == target_column(target)
        && approval.action_digest.as_deref() == Some(digest.as_str());
    let requested = same(approval.requested_by.actor_id.as_deref());
    let approvers = approval.votes.iter().filter(|vote| vote.approve);
    let independent = approvers.clone().count() > 0
        && approvers.clone().all(|vote| vote.by.actor_id.is_some() && !same(vote.by.actor_id.as_deref()));
    let rules = [
        (bound, "it is for another action, other parameters or another target"),
        (action.allowed().contains(&approval.request_type), "requests of its type do not allow this action"),
        (requested, "somebody else asked for it"),
        (approval.status == Status::Approved, "it is not approved"),
        (independent, "nobody but the caller has approved it"),
    ];
    if let Some((_, rule)) = rules.into_iter().find(|(holds, _)| !holds) {
        return Err(trace.refuse(desk, "dual.bound", invalid(rule)));
    }
    if approval.is_usable(desk.now_ms()) {
        return Ok(Control::Approved(Box::new(approval), action));
    }
    let by_caller = approval.recent_uses.last().is_some_and(|last| same(last.by.actor_id.as_deref()));
    match approval.result.clone().filter(|_| by_caller && action == Action::Revoke) {
        // A revocation changes nothing the second time.
        Some(result) => Ok(Control::Repeated(result)),
        None => Err(trace.refuse(desk, "dual.unused", invalid("it is used up, or its time is over"))),
    }
}

impl Control {
    /// The result of the first time, for a repetition.
    pub fn repeated(&self) -> Option<Value> {
        match self {
            Self::Repeated(result) => Some(result.clone()),
            Self::NotNeeded | Self::Approved(..) => None,
        }
    }

    /// Uses the approval up, with the action that it was for.
    pub fn consume(self, desk: &mut Desk<'_>, result: &Value) -> Decided<()> {
        let Self::Approved(mut approval, action) = self else { return Ok(()) };
        let (by, now) = (desk.ctx.actor.clone(), desk.now_ms());
        let target = approval.target_resource.clone();
        approval.spend(&by, action.operation(), &target.id, now);
        approval.result = Some(result.clone());
        desk.save(&*approval);
        desk.audit(
            "automation.governance.approval.mutation_consumed",
            json!({
                "approvalID": approval.approval_id,
                "action": action.name(),
                "actionDigest": approval.action_digest,
                "automationID": target.is_automation().then_some(&target.id),
                "targetResource": target,
            }),
        );
        Ok(())
    }
}
