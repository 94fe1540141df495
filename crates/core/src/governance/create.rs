//! Creation: who may make an automation, and what is recorded of it.
//!
//! The rules in their order, each with its code. The depth of a line comes from our own records (the run or automation
//! that the creator works in, and the longest line that the agent was ever seen in); what a request says about its
//! ancestors can only make it deeper, and takes nobody out of the recorded line, who pay.

use serde_json::{Value, json};

use super::{
    agent::Agent,
    agent_review,
    approval::{Approval, Quota, RequestType, Resource, target_column},
    ledger::RunLedger,
    limits::{Base, Limits},
    policy::Trace,
    record::{Ancestor, Capabilities, GovernanceRecord, Provenance},
    spend,
    sweep::{self, Sweep},
    usage::{Creation, TenantUsage},
};
use crate::{
    actor::{ActorKind, ActorRef},
    decide::{Ask, Decided, Desk, Halt, PageAsk},
    error::{Code, Failure},
    record::Column,
};

const DAY_MS: u64 = 86_400_000;
/// A longer line is refused by any sensible limit; nothing beyond is looked at.
const LONGEST_LINE: usize = 64;
/// What a refused agent waits where a person has to act first.
const WAIT_S: u64 = 60;

fn seconds(ms: u64) -> u64 {
    ms.div_ceil(1000).max(1)
}

/// What is to be created, as far as governance looks at it.
#[derive(Clone, Debug, Default)]
pub struct NewAutomation {
    pub automation_id: String,
    pub declared: Capabilities,
    /// `x-tandem-agent-ancestor-ids`, oldest first.
    pub ancestors: Vec<String>,
    /// The automation or the run that the creator works in, where it is known.
    pub parent_automation_id: Option<String>,
    pub parent_run_id: Option<String>,
    /// The person in whose name an agent creates it, where one is known.
    pub person: Option<String>,
    /// `creator_id` of the body; used only where the actor has no id.
    pub creator_id: Option<String>,
    /// SHA-256 over the body.
    pub spec_digest: String,
}

/// What the automation's own row takes from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    pub creator_id: String,
    pub provenance: Provenance,
    pub expires_at_ms: Option<u64>,
}

impl NewAutomation {
    /// What [`admit`] will certainly read.
    pub fn asks(&self, actor: &ActorRef) -> Vec<Ask> {
        let mut asks = vec![
            Ask::row::<super::limits::LimitsRow>(super::limits::LimitsRow::ID),
            Ask::row::<GovernanceRecord>(&self.automation_id),
            Ask::row::<TenantUsage>(TenantUsage::ID),
        ];
        if let (ActorKind::Agent, Some(agent)) = (actor.kind, &actor.actor_id) {
            asks.push(Ask::row::<Agent>(agent));
        }
        asks
    }
}

/// Checks, and leaves the record, the counters and the audit rows on the desk. The caller saves the automation itself.
pub fn admit(desk: &mut Desk<'_>, base: &Base, new: &NewAutomation) -> Decided<Created> {
    let limits = base.effective(desk)?;
    let actor = desk.ctx.actor.clone();
    let id = new.automation_id.as_str();
    let inputs = json!({
        "actor": actor, "declared": new.declared, "ancestors": new.ancestors, "specDigest": new.spec_digest,
        "parentAutomationID": new.parent_automation_id, "parentRunID": new.parent_run_id,
    });
    let mut trace = Trace::new("create", Some(id), inputs);
    let now = desk.now_ms();
    if !limits.creation_enabled {
        return Err(trace.refuse(desk, "creation.enabled", Failure::of(Code::CreationDisabled)));
    }
    trace.pass("creation.enabled");
    if desk.get::<GovernanceRecord>(id)?.is_some() {
        return Err(trace.refuse(desk, "creation.new_id", Failure::of(Code::AutomationAlreadyExists)));
    }
    trace.pass("creation.new_id");
    let provenance = provenance(desk, new, &actor)?;
    let mut used: Vec<Approval> = Vec::new();
    let mut agent = None;
    match actor.kind {
        ActorKind::Human => trace.pass("creation.people"),
        ActorKind::System => {
            let approvals = about(desk, &Resource::automation(id))?;
            trace = escalate(
                desk,
                trace,
                "creation.capabilities",
                new.declared.escalation_from(Capabilities::default()),
                id,
                &approvals,
                &mut used,
            )?;
        }
        ActorKind::Agent => {
            let Some(agent_id) = actor.actor_id.as_deref().filter(|id| !id.trim().is_empty()) else {
                return Err(trace.refuse(desk, "creation.agent_id", Failure::of(Code::AgentIdRequired)));
            };
            trace.pass("creation.agent_id");
            let mut row = desk.get::<Agent>(agent_id)?.unwrap_or_else(|| Agent::new(agent_id, now));
            trace = judge(desk, &limits, trace, new, &provenance, &mut row, &mut used)?;
            agent = Some(row);
        }
    }
    for approval in &mut used {
        approval.spend(&actor, "create", id, now);
        desk.save(approval);
        let payload = json!({ "approvalID": approval.approval_id, "automationID": id, "operation": "create" });
        desk.audit("automation.governance.approval.consumed", payload);
    }
    if let Some(mut agent) = agent {
        let line: Vec<String> =
            provenance.ancestor_chain.iter().filter_map(|ancestor| ancestor.actor.actor_id.clone()).collect();
        if line.len() > agent.lineage.len() {
            agent.lineage = line;
        }
        agent_review::count(desk, &limits, &mut agent, id)?;
        agent.pays = true;
        agent.updated_at_ms = now;
        desk.save(&agent);
        let own = agent.agent_id.clone();
        above(desk, provenance.lineage().into_iter().filter(|payer| *payer != own).collect())?;
        desk.save(&Creation { automation_id: id.to_owned(), agent_id: agent.agent_id, created_at_ms: now });
        let mut usage = desk.get::<TenantUsage>(TenantUsage::ID)?.unwrap_or_default();
        usage.agent_automations += 1;
        desk.save(&usage);
    }
    sweep::ensure(desk)?;
    let lives = limits.default_expires_after_ms;
    let expires_at_ms = (actor.kind == ActorKind::Agent && lives > 0).then(|| now.saturating_add(lives));
    let mut record = GovernanceRecord::new(id, &desk.ctx.tenant, provenance.clone(), new.declared, expires_at_ms, now);
    record.plan_check(limits.expiration_warning_window_ms);
    sweep::come_by(desk, &limits, Sweep::Lifecycle, record.next_check_at_ms);
    record.keep(desk);
    desk.audit(
        "automation.governance.created",
        json!({
            "automationID": id,
            "provenance": provenance,
            "declaredCapabilities": new.declared,
            "expiresAtMs": expires_at_ms,
            "specDigest": new.spec_digest,
        }),
    );
    trace.allow(desk);
    let creator_id = actor.actor_id.or_else(|| new.creator_id.clone()).unwrap_or_else(|| "unknown".into());
    Ok(Created { creator_id, provenance, expires_at_ms })
}

/// Notes those above the creator: they pay for what it made.
fn above(desk: &mut Desk<'_>, payers: Vec<String>) -> Decided<()> {
    desk.want(payers.iter().map(|id| Ask::row::<Agent>(id)))?;
    let now = desk.now_ms();
    for id in payers {
        let mut agent = desk.get::<Agent>(&id)?.unwrap_or_else(|| Agent::new(&id, now));
        if !agent.pays {
            agent.pays = true;
            agent.updated_at_ms = now;
            desk.save(&agent);
        }
    }
    Ok(())
}

/// The rules that are for agents.
fn judge(
    desk: &mut Desk<'_>,
    limits: &Limits,
    mut trace: Trace,
    new: &NewAutomation,
    provenance: &Provenance,
    agent: &mut Agent,
    used: &mut Vec<Approval>,
) -> Decided<Trace> {
    let id = new.automation_id.as_str();
    let now = desk.now_ms();
    if agent.is_paused() {
        return Err(trace.refuse(desk, "creation.agent_paused", Failure::of(Code::AgentCreationPaused)));
    }
    trace.pass("creation.agent_paused");
    if limits.require_sponsor && agent.sponsor.is_none() {
        return Err(trace.refuse(desk, "creation.sponsor", Failure::of(Code::AgentSponsorRequired)));
    }
    trace.pass("creation.sponsor");
    if let Some(reached) = spend::held(desk, limits, agent)? {
        trace.input("spend", json!({ "window": reached.kind, "cost": reached.cost, "cap": reached.cap }));
        let mut failure = Failure::of(Code::AgentSpendCapExceeded).with("agentID", agent.agent_id.as_str());
        // A new window begins with nothing spent; a lifetime's never does.
        failure.retry_after_s = Some(reached.kind.bounds(now).1.map_or(WAIT_S, |end| seconds(end.saturating_sub(now))));
        return Err(trace.refuse(desk, "creation.spend", failure));
    }
    trace.pass("creation.spend");
    if agent.creation.review_required {
        let mut failure = Failure::of(Code::AgentReviewRequired).with("agentID", agent.agent_id.as_str());
        if let Some(id) = &agent.creation.review_request_id {
            failure = failure.with("approvalID", id.as_str());
        }
        failure.retry_after_s = Some(WAIT_S);
        return Err(trace.refuse(desk, "creation.review", failure));
    }
    trace.pass("creation.review");
    let approvals = spend::usable(desk, &agent.agent_id)?;
    let names = new.declared.escalation_from(Capabilities::default());
    trace = escalate(desk, trace, "creation.capabilities", names, id, &approvals, used)?;
    if provenance.depth > limits.lineage_depth_limit {
        let deeper = |approval: &&Approval| {
            approval.request_type == RequestType::DepthOverride && approval.max_depth >= Some(provenance.depth)
        };
        match approvals.iter().find(deeper) {
            Some(approval) => {
                trace.approved("creation.depth", &approval.approval_id);
                used.push(approval.clone());
            }
            None => {
                trace.input("depth", provenance.depth);
                let failure = Failure::of(Code::LineageDepthExceeded)
                    .with("depth", provenance.depth)
                    .with("limit", limits.lineage_depth_limit);
                return Err(trace.refuse(desk, "creation.depth", failure));
            }
        }
    } else {
        trace.pass("creation.depth");
    }
    let lifts = |quota| {
        move |approval: &&Approval| approval.request_type == RequestType::QuotaOverride && approval.quota == Some(quota)
    };
    // As many as the limit are enough to know.
    let limit = limits.per_agent_daily_creation_limit;
    let today = PageAsk::of::<Creation>("created_at_ms", usize::try_from(limit).unwrap_or(usize::MAX).max(1))
        .equal("agent_id", Column::text(&agent.agent_id))
        .since(now.saturating_sub(DAY_MS) + 1);
    let creations = desk.page::<Creation>(today)?;
    if creations.len() as u64 >= limit {
        match approvals.iter().find(lifts(Quota::DailyCreation)) {
            Some(approval) => {
                trace.approved("creation.daily_quota", &approval.approval_id);
                used.push(approval.clone());
            }
            None => {
                trace.input("createdInADay", creations.len());
                let oldest = creations.last().map_or(now, |creation| creation.created_at_ms);
                let wait = (oldest + DAY_MS).saturating_sub(now);
                let mut failure = Failure::of(Code::AgentDailyQuotaExceeded).with("limit", limit);
                failure.retry_after_s = Some(seconds(wait));
                return Err(trace.refuse(desk, "creation.daily_quota", failure));
            }
        }
    } else {
        trace.pass("creation.daily_quota");
    }
    let usage = desk.get::<TenantUsage>(TenantUsage::ID)?.unwrap_or_default();
    if usage.agent_automations >= limits.active_agent_automation_cap {
        match approvals.iter().find(lifts(Quota::ActiveCap)) {
            Some(approval) => {
                trace.approved("creation.active_cap", &approval.approval_id);
                used.push(approval.clone());
            }
            None => {
                trace.input("agentAutomations", usage.agent_automations);
                let mut failure = Failure::of(Code::AgentCapExceeded).with("limit", limits.active_agent_automation_cap);
                failure.retry_after_s = Some(WAIT_S);
                return Err(trace.refuse(desk, "creation.active_cap", failure));
            }
        }
    } else {
        trace.pass("creation.active_cap");
    }
    Ok(trace)
}

/// The usable approvals about a resource.
pub fn about(desk: &mut Desk<'_>, target: &Resource) -> Decided<Vec<Approval>> {
    let page = PageAsk::of::<Approval>("updated_at_ms", 100)
        .equal("target", Column::text(target_column(target)))
        .equal("live", Column::text("live"));
    let now = desk.now_ms();
    Ok(desk.page::<Approval>(page)?.into_iter().filter(|approval| approval.is_usable(now)).collect())
}

/// Each capability that is new needs an approval that names it.
pub fn escalate(
    desk: &mut Desk<'_>,
    mut trace: Trace,
    rule_id: &str,
    names: Vec<&'static str>,
    automation_id: &str,
    approvals: &[Approval],
    used: &mut Vec<Approval>,
) -> Decided<Trace> {
    for name in names {
        let answers = |approval: &&Approval| {
            matches!(approval.request_type, RequestType::CapabilityRequest | RequestType::ElevatedCapability)
                && approval.capability_key.as_deref() == Some(name)
                && approval.automation_id.as_deref().is_none_or(|bound| bound == automation_id)
        };
        // An approval names one capability, so none answers for two at once.
        match approvals.iter().find(answers) {
            Some(approval) => {
                trace.approved(rule_id, &approval.approval_id);
                used.push(approval.clone());
            }
            None => {
                let failure = Failure::of(Code::CapabilityEscalationForbidden).with("capability", name);
                return Err(trace.refuse(desk, rule_id, failure));
            }
        }
    }
    trace.pass(rule_id);
    Ok(trace)
}

fn ancestor(depth: u64, id: &str) -> Ancestor {
    let actor =
        ActorRef { kind: ActorKind::Agent, actor_id: Some(id.to_owned()), source: Some("ancestor_chain".into()) };
    Ancestor { depth, actor }
}

/// The recorded line, and those that are only said behind it where more are said than recorded.
fn deepened(recorded: Vec<String>, said: Vec<String>) -> Vec<String> {
    if said.len() <= recorded.len() {
        return recorded;
    }
    if recorded.iter().all(|id| said.contains(id)) {
        return said;
    }
    let more: Vec<String> = said.into_iter().filter(|id| !recorded.contains(id)).collect();
    recorded.into_iter().chain(more).collect()
}

/// Who made it and in whose line: the longer of what is recorded of the agent and of the automation or run that it works
/// in, and what is said beyond that.
fn provenance(desk: &mut Desk<'_>, new: &NewAutomation, actor: &ActorRef) -> Decided<Provenance> {
    let parent = parent(desk, new)?;
    let mut line: Vec<String> = Vec::new();
    let mut root_actor = actor.clone();
    if actor.kind == ActorKind::Agent {
        let own = actor.actor_id.as_deref().unwrap_or_default();
        let recorded = desk.get::<Agent>(own)?.map(|agent| agent.lineage).unwrap_or_default();
        let above = parent.as_ref().map(|record| record.provenance.line());
        let said: Vec<String> = new.ancestors.iter().take(LONGEST_LINE).cloned().collect();
        let above = above.unwrap_or_default();
        line = deepened(if recorded.len() >= above.len() { recorded } else { above }, said);
        root_actor = match &parent {
            Some(record) => record.provenance.root_actor.clone(),
            None => {
                let kind = if new.person.is_some() { ActorKind::Human } else { ActorKind::System };
                ActorRef { kind, actor_id: new.person.clone(), source: actor.source.clone() }
            }
        };
    }
    let depth = if actor.kind == ActorKind::Agent { line.len() as u64 + 1 } else { 0 };
    Ok(Provenance {
        creator: actor.clone(),
        root_actor,
        ancestor_chain: line.iter().zip(1..).map(|(id, depth)| ancestor(depth, id)).collect(),
        depth,
        request_source: actor.source.clone(),
        parent_automation_id: parent.map(|record| record.automation_id),
    })
}

/// A parent that is named and unknown is refused: taken for none, it would make the line shorter.
fn parent(desk: &mut Desk<'_>, new: &NewAutomation) -> Decided<Option<GovernanceRecord>> {
    let refuse = |what: &str| -> Halt {
        let detail = format!("{what} names nothing that is known here");
        Failure::of(Code::AutomationCreateFailed).with("detail", Value::from(detail)).into()
    };
    let mut id = new.parent_automation_id.clone();
    if let Some(run_id) = &new.parent_run_id {
        let ledger = desk.get::<RunLedger>(run_id)?.ok_or_else(|| refuse("the parent run"))?;
        id = Some(ledger.automation_id);
    }
    match id {
        Some(id) => Ok(Some(desk.get::<GovernanceRecord>(&id)?.ok_or_else(|| refuse("the parent automation"))?)),
        None => Ok(None),
    }
}
