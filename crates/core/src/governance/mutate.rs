//! Who may change an automation.
//!
//! The rules in their order. A person passes after the ones about the tenant; so does the system, for what is ordinary.
//! An agent may change what it made or holds a grant for, and removes only what it made.

use serde_json::json;

use super::{
    agent::Agent,
    policy::Trace,
    record::{GovernanceRecord, ReviewKind},
};
use crate::{
    actor::ActorKind,
    decide::{Decided, Desk},
    error::{Code, Failure},
    wire::wire_enum,
};

wire_enum! {
    /// What is to be done with an automation.
    pub enum Operation {
        Patch = "patch",
        Share = "share",
        Pause = "pause",
        Resume = "resume",
        RunNow = "run_now",
        /// Pause, resume, cancel or recover a run.
        RunControl = "run_control",
        Delete = "delete",
        Grant = "grant",
        Extend = "extend",
        Revoke = "revoke",
        Retire = "retire",
        Restore = "restore",
    }
}

impl Operation {
    /// Destructive operations of agents are for the creator alone.
    fn is_destructive(self) -> bool {
        match self {
            Self::Delete | Self::Revoke | Self::Retire | Self::Restore => true,
            Self::Patch
            | Self::Share
            | Self::Pause
            | Self::Resume
            | Self::RunNow
            | Self::RunControl
            | Self::Grant
            | Self::Extend => false,
        }
    }

    /// The code of the refusal for everybody but people; `None` where others may as well.
    fn for_people(self) -> Option<Code> {
        match self {
            Self::Grant | Self::Revoke => Some(Code::GrantForbidden),
            Self::Retire => Some(Code::RetireForbidden),
            Self::Extend => Some(Code::ExtendForbidden),
            Self::Restore => Some(Code::RestoreForbidden),
            Self::Patch | Self::Share | Self::Pause | Self::Resume | Self::RunNow | Self::RunControl | Self::Delete => {
                None
            }
        }
    }
}

/// Checks the operation, records the decision, and answers with the record.
pub fn check(desk: &mut Desk<'_>, automation_id: &str, operation: Operation) -> Decided<GovernanceRecord> {
    let actor = desk.ctx.actor.clone();
    let inputs = json!({ "actor": actor, "operation": operation });
    let mut trace = Trace::new(operation.word(), Some(automation_id), inputs);
    macro_rules! rule {
        ($id:literal, $refuses:expr, $code:expr) => {
            if $refuses {
                return Err(trace.refuse(desk, $id, Failure::of($code)));
            }
            trace.pass($id);
        };
    }
    if let Some(code) = operation.for_people() {
        rule!("mutation.person", actor.kind != ActorKind::Human, code);
    }
    let Some(record) = desk.get::<GovernanceRecord>(automation_id)? else {
        return Err(trace.refuse(desk, "mutation.governed", Failure::of(Code::GovernanceMissing)));
    };
    trace.input("record", json!({
        "creator": record.provenance.creator,
        "grants": record.modify_grants.iter().filter(|grant| grant.is_live()).map(|grant| &grant.granted_to).collect::<Vec<_>>(),
        "retired": record.retired_at_ms, "expired": record.expired_at_ms, "paused": record.paused_for_lifecycle,
        "review": record.review_kind,
    }));
    let deleted = record.is_deleted() && operation != Operation::Restore;
    rule!("mutation.governed", deleted, Code::GovernanceMissing);
    let quarantined = record.review_kind == Some(ReviewKind::TenantOwnershipMismatch) && record.review_required;
    rule!("mutation.tenant", record.is_foreign(&desk.ctx.tenant) && !quarantined, Code::TenantMismatch);
    rule!("mutation.quarantine", quarantined, Code::TenantQuarantined);
    let agent_id = match actor.kind {
        ActorKind::Human | ActorKind::System => {
            trace.pass("mutation.people_and_system");
            trace.allow(desk);
            return Ok(record);
        }
        ActorKind::Agent => actor.actor_id.clone().filter(|id| !id.trim().is_empty()),
    };
    rule!("mutation.agent_id", agent_id.is_none(), Code::AgentIdRequired);
    let agent_id = agent_id.unwrap_or_default();
    let paused = desk.get::<Agent>(&agent_id)?.is_some_and(|agent| agent.is_paused());
    rule!("mutation.agent_paused", paused, Code::AgentCreationPaused);
    rule!("mutation.retired", record.retired_at_ms.is_some(), Code::AutomationRetired);
    let expired = record.has_expired(desk.now_ms());
    rule!("mutation.expired", expired, Code::AutomationExpired);
    rule!("mutation.lifecycle_paused", record.paused_for_lifecycle, Code::AutomationLifecyclePaused);
    let creator = record.provenance.creator_agent();
    if operation.is_destructive() {
        rule!("mutation.delete_human_created", creator.is_none(), Code::DeleteHumanCreatedDenied);
        rule!("mutation.delete_own", creator != Some(agent_id.as_str()), Code::DeleteNotOwner);
    } else {
        let may = creator == Some(agent_id.as_str()) || record.grants_modify_to(&agent_id);
        rule!("mutation.own_or_granted", !may, Code::ModifyForbidden);
    }
    trace.allow(desk);
    Ok(record)
}
