//! Changing an automation: no capability without an approval, and what narrows its tools pauses it.

use serde_json::{Value, json};

use super::{
    approval::{Approval, Resource},
    create::{about, escalate},
    dependency::{self, AgentTools},
    limits::Base,
    policy::Trace,
    record::{Capabilities, GovernanceRecord},
    spend,
};
use crate::{
    actor::ActorKind,
    decide::{Decided, Desk},
};

/// A patch, as far as governance looks at it.
#[derive(Clone, Debug, Default)]
pub struct PatchAutomation {
    pub automation_id: String,
    /// What the automation declares afterwards; `None` when that is not touched.
    pub declared: Option<Capabilities>,
    /// Its agents' tools before and after; `None` when `agents` is not touched.
    pub tools: Option<(Vec<AgentTools>, Vec<AgentTools>)>,
    /// For the audit row: what changed, redacted, with digests.
    pub change: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Patched {
    /// Tools were taken away: the automation has been paused, whatever status the patch names.
    pub pause: bool,
    pub paused_runs: Vec<String>,
}

/// `record` is what the check of the author answered with.
pub fn admit(
    desk: &mut Desk<'_>,
    base: &Base,
    mut record: GovernanceRecord,
    patch: &PatchAutomation,
) -> Decided<Patched> {
    let id = patch.automation_id.as_str();
    let limits = base.effective(desk)?;
    let (actor, now) = (desk.ctx.actor.clone(), desk.now_ms());
    if let Some(declared) = patch.declared {
        let names = match actor.kind {
            ActorKind::Human => Vec::new(),
            ActorKind::Agent | ActorKind::System => declared.escalation_from(record.declared_capabilities),
        };
        if !names.is_empty() {
            let approvals = match (actor.kind, actor.actor_id.as_deref()) {
                (ActorKind::Agent, Some(agent)) => spend::usable(desk, agent)?,
                _ => about(desk, &Resource::automation(id))?,
            };
            let mut used: Vec<Approval> = Vec::new();
            let trace = Trace::new("patch", Some(id), json!({ "actor": actor, "declared": declared }));
            let trace = escalate(desk, trace, "patch.capabilities", names, id, &approvals, &mut used)?;
            for approval in &mut used {
                approval.spend(&actor, "patch", id, now);
                desk.save(approval);
                let payload = json!({ "approvalID": approval.approval_id, "automationID": id, "operation": "patch" });
                desk.audit("automation.governance.approval.consumed", payload);
            }
            trace.allow(desk);
        }
        record.declared_capabilities = declared;
    }
    record.updated_at_ms = now;
    match patch.declared {
        Some(_) => record.keep(desk),
        None => desk.save(&record),
    }
    desk.audit("automation.governance.updated", json!({ "automationID": id, "change": patch.change }));
    let changes = patch.tools.as_ref().map(|(before, after)| dependency::narrowed(before, after)).unwrap_or_default();
    if changes.is_empty() {
        return Ok(Patched { pause: false, paused_runs: Vec::new() });
    }
    let evidence = json!({ "trigger": "mcp_policy_narrowed", "dependencyChanges": changes });
    let reason = "tools that the automation could use were taken away";
    let paused_runs = dependency::revoke(desk, &limits, &mut record, reason, evidence)?;
    Ok(Patched { pause: true, paused_runs })
}
