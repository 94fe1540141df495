//! Who may change an automation.
//!
//! The rules in their order. A person passes after the ones about the tenant; so does the system, for what is ordinary.
//! In a tenant that a credential names, a person changes what no other person made, and nobody what is kept from them;
//! what only people do to each other's automations (grant, revoke, retire, extend, restore) takes two of them there. An
//! agent may change what it made or holds a grant for, and removes only what it made. One that takes part in a run may
//! work on it as well, and is heard whatever has become of the automation or of itself since.

use serde_json::json;

use super::{
    agent::Agent,
    approval::fold_id,
    effects,
    policy::Trace,
    record::{GovernanceRecord, ReviewKind},
};
use crate::{
    actor::ActorKind,
    decide::{Decided, Desk},
    error::{Code, Failure},
    tenant::TenantSource,
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
        /// Claim a run and report on it.
        Work = "work",
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
            | Self::Work
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
            Self::Patch
            | Self::Share
            | Self::Pause
            | Self::Resume
            | Self::RunNow
            | Self::RunControl
            | Self::Work
            | Self::Delete => None,
        }
    }
}

/// Refuses everybody but people: what is asked is for one to answer for.
pub fn people_only(desk: &Desk<'_>) -> Decided<()> {
    match desk.ctx.actor.kind {
        ActorKind::Human => Ok(()),
        ActorKind::Agent | ActorKind::System => Err(Failure::of(Code::HumanRequired).into()),
    }
}

/// Checks the operation, records the decision, and answers with the record.
pub fn check(desk: &mut Desk<'_>, automation_id: &str, operation: Operation) -> Decided<GovernanceRecord> {
    judge(desk, automation_id, operation, &[])
}

/// Checks that the author may begin to work on a run in which these agents take part.
pub fn check_work(desk: &mut Desk<'_>, automation_id: &str, taking_part: &[String]) -> Decided<()> {
    judge(desk, automation_id, Operation::Work, taking_part).map(|_| ())
}

/// Checks that the author has anything to do with a run that it tells of. Pauses and ends are not looked at: a stop can
/// be told only to whoever is let in, and what was spent was spent. `holds` says that the author names the present claim;
/// whoever worked under a grant that was revoked meanwhile is known by it.
pub fn check_word(
    desk: &mut Desk<'_>,
    automation_id: &str,
    run_id: &str,
    taking_part: &[String],
    holds: bool,
) -> Decided<()> {
    let actor = desk.ctx.actor.clone();
    match actor.kind {
        ActorKind::Human | ActorKind::System => return Ok(()),
        ActorKind::Agent => {}
    }
    let inputs = json!({ "actor": actor, "operation": Operation::Work, "takingPart": taking_part, "holds": holds });
    let mut trace = Trace::new(Operation::Work.word(), Some(automation_id), inputs).run(run_id);
    let Some(agent_id) = actor.actor_id.filter(|id| !id.trim().is_empty()) else {
        return Err(trace.refuse(desk, "mutation.agent_id", Failure::of(Code::AgentIdRequired)));
    };
    trace.pass("mutation.agent_id");
    let record = desk.get::<GovernanceRecord>(automation_id)?;
    let by_record = record.is_some_and(|record| {
        is_own_or_granted(&record, &agent_id) || (holds && record.has_granted_modify_to(&agent_id))
    });
    if !by_record && !taking_part.contains(&agent_id) {
        return Err(trace.refuse(desk, "mutation.own_or_granted", Failure::of(Code::ModifyForbidden)));
    }
    Ok(())
}

/// Whether the agent made the automation or holds a grant for it.
pub fn is_own_or_granted(record: &GovernanceRecord, agent_id: &str) -> bool {
    record.provenance.creator_agent() == Some(agent_id) || record.grants_modify_to(agent_id)
}

/// Whether another person made it. Only where people cannot choose who they are.
fn is_anothers(desk: &Desk<'_>, record: &GovernanceRecord) -> bool {
    let (tenant, actor) = (desk.ctx.tenant.source, &desk.ctx.actor);
    match (tenant, actor.kind) {
        (TenantSource::LocalImplicit, _) | (TenantSource::Explicit, ActorKind::Agent | ActorKind::System) => false,
        (TenantSource::Explicit, ActorKind::Human) => {
            let made = record.provenance.creator_person().map(fold_id);
            let acts = actor.actor_id.as_deref().map(fold_id);
            made.is_some() && acts.is_some() && made != acts
        }
    }
}

fn judge(
    desk: &mut Desk<'_>,
    automation_id: &str,
    operation: Operation,
    taking_part: &[String],
) -> Decided<GovernanceRecord> {
    let actor = desk.ctx.actor.clone();
    let mut inputs = json!({ "actor": actor, "operation": operation });
    if !taking_part.is_empty() {
        inputs["takingPart"] = json!(taking_part);
    }
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
    if operation.for_people().is_none() {
        let works = match (actor.kind, actor.actor_id.as_ref()) {
            (ActorKind::Agent, Some(id)) => is_own_or_granted(&record, id) || taking_part.contains(id),
            (ActorKind::Agent | ActorKind::Human | ActorKind::System, _) => false,
        };
        rule!("mutation.access", effects::is_hidden(desk, automation_id, works)?, Code::AutomationAccessDenied);
        rule!("mutation.owner", is_anothers(desk, &record), Code::AutomationNotOwner);
    }
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
        let may = is_own_or_granted(&record, &agent_id) || taking_part.contains(&agent_id);
        rule!("mutation.own_or_granted", !may, Code::ModifyForbidden);
    }
    trace.allow(desk);
    Ok(record)
}
