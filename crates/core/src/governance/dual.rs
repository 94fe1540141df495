//! Two persons for one action: who executes it has asked for exactly it, and somebody else has approved.
//!
//! The approval is bound to the action by a digest over target, action and parameters, and is used up in the transaction
//! of the action itself. An exact repetition by the same caller is given the result of the first time.

use serde_json::{Value, json};

use super::{
    approval::{Approval, RequestType, Resource, Status, action_digest, fold_id},
    limits::Limits,
    mutate::Operation,
    policy::Trace,
};
use crate::{
    decide::{Decided, Desk},
    error::{Code, Failure},
    tenant::TenantSource,
};

/// What the check found: nothing needed, an approval to be used up, or the result of its use.
#[derive(Debug)]
pub enum Control {
    NotNeeded,
    Approved(Box<Approval>, Operation),
    Repeated(Value),
}

/// The name of the action in a request.
pub fn action(operation: Operation) -> &'static str {
    match operation {
        Operation::Grant => "grant_modify_access",
        Operation::Revoke => "revoke_modify_access",
        Operation::Restore => "restore_automation",
        Operation::Retire => "retire_automation",
        Operation::Extend => "extend_automation_retirement",
        Operation::Patch => "patch_automation",
        Operation::Share => "share_automation",
        Operation::Pause => "pause_automation",
        Operation::Resume => "resume_automation",
        Operation::RunNow => "run_automation",
        Operation::RunControl => "control_run",
        Operation::Delete => "delete_automation",
    }
}

fn allowed(operation: Operation) -> &'static [RequestType] {
    match operation {
        Operation::Grant | Operation::Revoke => {
            &[RequestType::CapabilityRequest, RequestType::ElevatedCapability, RequestType::LifecycleReview]
        }
        Operation::Restore | Operation::Retire | Operation::Extend => {
            &[RequestType::RetirementAction, RequestType::LifecycleReview]
        }
        Operation::Patch
        | Operation::Share
        | Operation::Pause
        | Operation::Resume
        | Operation::RunNow
        | Operation::RunControl
        | Operation::Delete => &[],
    }
}

/// Finds the approval that the action needs. Tenants that a credential names always need one; the local one by setting.
pub fn check(
    desk: &mut Desk<'_>,
    limits: &Limits,
    operation: Operation,
    automation_id: &str,
    approval_id: Option<&str>,
    parameters: &Value,
) -> Decided<Control> {
    let needed = limits.dual_control || desk.ctx.tenant.source == TenantSource::Explicit;
    if !needed && approval_id.is_none() {
        return Ok(Control::NotNeeded);
    }
    let actor = desk.ctx.actor.clone();
    let digest = action_digest(&Resource::automation(automation_id), action(operation), parameters);
    let inputs = json!({ "actor": actor, "actionDigest": digest, "approvalID": approval_id });
    let trace = Trace::new(operation.word(), Some(automation_id), inputs);
    let Some(approval_id) = approval_id else {
        let failure = Failure::of(Code::GovernanceApprovalRequired)
            .with("action", action(operation))
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
    let bound = approval.target_resource.is_automation()
        && approval.target_resource.id == automation_id
        && approval.action_digest.as_deref() == Some(digest.as_str());
    let requested = same(approval.requested_by.actor_id.as_deref());
    let approvers = approval.votes.iter().filter(|vote| vote.approve);
    let independent = approvers.clone().count() > 0
        && approvers.clone().all(|vote| vote.by.actor_id.is_some() && !same(vote.by.actor_id.as_deref()));
    let rules = [
        (bound, "it is for another action, other parameters or another target"),
        (allowed(operation).contains(&approval.request_type), "requests of its type do not allow this action"),
        (requested, "somebody else asked for it"),
        (approval.status == Status::Approved, "it is not approved"),
        (independent, "nobody but the caller has approved it"),
    ];
    if let Some((_, rule)) = rules.into_iter().find(|(holds, _)| !holds) {
        return Err(trace.refuse(desk, "dual.bound", invalid(rule)));
    }
    if approval.is_usable(desk.now_ms()) {
        return Ok(Control::Approved(Box::new(approval), operation));
    }
    let by_caller = approval.recent_uses.last().is_some_and(|last| same(last.by.actor_id.as_deref()));
    match approval.result.clone().filter(|_| by_caller && operation == Operation::Revoke) {
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
        let Self::Approved(mut approval, operation) = self else { return Ok(()) };
        let (by, now) = (desk.ctx.actor.clone(), desk.now_ms());
        let target = approval.target_resource.id.clone();
        approval.spend(&by, operation.word(), &target, now);
        approval.result = Some(result.clone());
        desk.save(&*approval);
        desk.audit(
            "automation.governance.approval.mutation_consumed",
            json!({
                "approvalID": approval.approval_id,
                "action": action(operation),
                "actionDigest": approval.action_digest,
                "automationID": target,
            }),
        );
        Ok(())
    }
}
