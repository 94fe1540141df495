//! Using an approval for an effect that this server does not have itself: a post to the outside, or one call of a tool.
//!
//! Whoever asked says what exactly is about to be done, before doing it. The approval is for that action and those
//! parameters, told by their digest, and is used up under the tenant's lock: one that allows a single use allows one,
//! however many ask at once. A caller that gets no answer asks again under the same `use_id`, which is no second use.
//!
//! Deliberately absent: approvals of what this server does (grants, ends, reviews, quotas). Those are used up by the
//! action itself.

use serde_json::{Value, json};

use super::{
    agent::Agent,
    approval::{Approval, RequestType, Status, action_digest},
    dual,
    ledger::RunLedger,
    policy::Trace,
    record::GovernanceRecord,
};
use crate::{
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
};

/// POST /governance/approvals/{approval_id}/consume.
#[derive(Debug)]
pub struct Consume {
    pub approval_id: String,
    pub action: String,
    pub parameters: Value,
    /// The run in which it is done; one that has ended or was told to stop does nothing more.
    pub run_id: Option<String>,
    /// The caller's name for this use.
    pub use_id: Option<String>,
}

/// The approval afterwards, and whether this use was counted before.
#[derive(Clone, Debug)]
pub struct Consumed {
    pub approval: Approval,
    pub repeated: bool,
}

/// Whether requests of this type are used by the caller's word.
fn is_used_by_word(request_type: RequestType) -> bool {
    match request_type {
        RequestType::ExternalPost | RequestType::ElevatedCapability => true,
        RequestType::CapabilityRequest
        | RequestType::QuotaOverride
        | RequestType::LifecycleReview
        | RequestType::DepthOverride
        | RequestType::RetirementAction => false,
    }
}

impl Decision for Consume {
    type Outcome = Consumed;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<Approval>(&self.approval_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Consumed> {
        let actor = desk.ctx.actor.clone();
        let refuse = |code| Failure::of(code).with("approvalID", self.approval_id.as_str());
        let found = desk.get::<Approval>(&self.approval_id)?;
        // To everybody else it is none of theirs.
        let Some(mut approval) = found.filter(|approval| approval.was_asked_by(&actor)) else {
            return Err(refuse(Code::MutationApprovalNotFound).into());
        };
        let target = approval.target_resource.clone();
        let run = match &self.run_id {
            Some(id) => match desk.get::<RunLedger>(id)? {
                Some(run) => Some(run),
                None => return Err(refuse(Code::RunNotFound).with("runID", id.as_str()).into()),
            },
            None => None,
        };
        let about = if target.is_automation() { Some(&target.id) } else { approval.automation_id.as_ref() };
        let automation_id = about.or(run.as_ref().map(|run| &run.automation_id)).cloned();
        let digest = action_digest(&target, &self.action, &self.parameters);
        let inputs = json!({ "actor": actor, "approvalID": self.approval_id, "actionDigest": digest });
        let mut trace = Trace::new("consume_approval", automation_id.as_deref(), inputs);
        if let Some(id) = &self.run_id {
            trace = trace.run(id);
        }
        let same = approval.action_digest.as_deref() == Some(digest.as_str());
        let known = |id: &String| approval.recent_uses.iter().any(|one| one.resource_id == *id);
        if same && self.use_id.as_ref().is_some_and(known) {
            return Ok(Consumed { approval, repeated: true });
        }
        let rules = [
            (
                is_used_by_word(approval.request_type) && !dual::is_ours(&self.action),
                "it is used up by the action itself",
            ),
            (same, "it is for another action or other parameters"),
            (approval.status == Status::Approved, "it is not approved"),
            (approval.is_usable(desk.now_ms()), "it is used up, or its time is over"),
        ];
        if let Some((_, rule)) = rules.into_iter().find(|(holds, _)| !holds) {
            return Err(trace.refuse(desk, "consume.bound", invalid(&approval, rule)));
        }
        trace.approved("consume.bound", &self.approval_id);
        if let Some(id) = actor.actor_id.as_deref()
            && desk.get::<Agent>(id)?.is_some_and(|agent| agent.is_paused())
        {
            return Err(trace.refuse(desk, "consume.agent_paused", refuse(Code::AgentCreationPaused)));
        }
        trace.pass("consume.agent_paused");
        if run.is_some_and(|run| !run.is_active()) {
            let failure = refuse(Code::RunBlocked).with("detail", "the run has ended or was told to stop");
            return Err(trace.refuse(desk, "consume.run_active", failure));
        }
        trace.pass("consume.run_active");
        let (now, use_id) = (desk.now_ms(), self.use_id.as_deref());
        approval.spend(&actor, &self.action, use_id.unwrap_or(&target.id), now);
        desk.save(&approval);
        let posts = approval.request_type == RequestType::ExternalPost;
        if let Some(id) = automation_id.as_ref().filter(|_| posts)
            && let Some(mut record) = desk.get::<GovernanceRecord>(id)?.filter(|record| !record.published_externally)
        {
            record.published_externally = true;
            record.updated_at_ms = now;
            record.keep(desk);
        }
        let kind = match posts {
            true => "automation.governance.egress_approval.consumed",
            false => "automation.governance.approval.consumed",
        };
        desk.audit(
            kind,
            json!({
                "approvalID": approval.approval_id, "action": self.action, "actionDigest": digest,
                "targetResource": target, "automationID": automation_id, "runID": self.run_id, "useID": self.use_id,
            }),
        );
        trace.allow(desk);
        Ok(Consumed { approval, repeated: false })
    }
}

fn invalid(approval: &Approval, rule: &str) -> Failure {
    Failure::of(Code::GovernanceApprovalInvalid).with("approvalID", approval.approval_id.as_str()).with("detail", rule)
}
