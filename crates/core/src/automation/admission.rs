//! Where automations and runs ask governance whether they may: one function for each question, and nothing decided here.
//!
//! What executors do often (claim, heartbeat, report) asks for permission only where an agent acts; people and the system
//! may do it with any automation of their tenant, and a decision row for each report would say nothing. Whoever tells of a
//! run is heard even where nobody may begin to work any more, because a stop reaches an executor only in an answer.

use serde_json::Value;

use super::{
    hooks::{self, Stop},
    read::{Origin, Patched},
    run::{
        Run, RunStatus, StopKind, claim,
        report::{Report, Usage},
    },
    spec::{Automation, AutomationStatus, Node},
};
use crate::{
    actor::ActorKind,
    decide::{Ask, Decided, Desk, Halt},
    error::{Code, Failure},
    governance::{
        agent::Agent,
        create, deletion,
        dependency::AgentTools,
        ledger::{RunEnd, RunLedger},
        lifecycle,
        limits::LimitsRow,
        mutate,
        patch::{self, PatchAutomation},
        price,
        record::{Capabilities, GovernanceRecord},
        run,
    },
};

pub use crate::governance::{limits::Base, mutate::Operation};

/// What a request says of its author's lineage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Agents that led to this one, the oldest first.
    pub ancestors: Vec<String>,
    /// The run in which the request is made.
    pub run_id: Option<String>,
    /// The person in whose name an agent acts, where one is known.
    pub person: Option<String>,
}

/// Whether a run that stands still may go on.
#[derive(Clone, Debug)]
pub enum Readmission {
    Admitted,
    /// `stop` is for the run, `failure` for a caller who asked.
    Held {
        stop: Stop,
        failure: Box<Failure>,
    },
}

fn declared(automation: &Automation) -> Capabilities {
    Capabilities {
        creates_agents: automation.declares("creates_agents"),
        modifies_grants: automation.declares("modifies_grants"),
    }
}

/// A new automation: its record is written, or it is refused. The creator is set as governance knows it.
pub fn create(
    desk: &mut Desk<'_>,
    base: &Base,
    automation: &mut Automation,
    origin: &Origin,
    claims: &Claims,
) -> Decided<()> {
    let new = create::NewAutomation {
        automation_id: automation.automation_id.clone(),
        declared: declared(automation),
        ancestors: claims.ancestors.clone(),
        parent_automation_id: origin.parent_automation_id.clone(),
        parent_run_id: origin.parent_run_id.clone().or_else(|| claims.run_id.clone()),
        person: claims.person.clone(),
        creator_id: Some(automation.creator_id.clone()).filter(|id| id != "unknown"),
        spec_digest: automation.definition_hash(),
    };
    desk.want(new.asks(&desk.ctx.actor.clone()))?;
    let created = create::admit(desk, base, &new)?;
    automation.creator_id = created.creator_id;
    Ok(())
}

/// Whether the author may make an automation at all, where what it asks for is none.
pub fn may_create(desk: &mut Desk<'_>, base: &Base, automation_id: &str, claims: &Claims) -> Decided<()> {
    let new = create::NewAutomation {
        automation_id: automation_id.to_owned(),
        ancestors: claims.ancestors.clone(),
        parent_run_id: claims.run_id.clone(),
        ..create::NewAutomation::default()
    };
    create::admit(desk, base, &new).map(|_| ())
}

/// Whether the author may change the automation, before anything of the change is read. Answers with the record.
pub fn may_patch(desk: &mut Desk<'_>, automation_id: &str) -> Decided<GovernanceRecord> {
    mutate::check(desk, automation_id, Operation::Patch)
}

/// A change by somebody who may. Answers with whether the automation has to be paused for it.
pub fn patch(
    desk: &mut Desk<'_>,
    base: &Base,
    record: GovernanceRecord,
    before: &Automation,
    patched: &Patched,
    change: Value,
) -> Decided<bool> {
    let after = &patched.automation;
    if after.status == AutomationStatus::Active && before.status != AutomationStatus::Active {
        lifecycle::may_activate(desk, base, &record)?;
    }
    let touches_tools = patched.names_agents || patched.changed.contains("agents") || patched.changed.contains("flow");
    let patch = PatchAutomation {
        automation_id: after.automation_id.clone(),
        declared: (declared(before) != declared(after)).then(|| declared(after)),
        tools: touches_tools.then(|| tools(before, after)),
        change,
    };
    patch::admit(desk, base, record, &patch).map(|patched| patched.pause)
}

/// What each agent may use, before and after. Nodes count where both versions restrict them.
fn tools(before: &Automation, after: &Automation) -> (Vec<AgentTools>, Vec<AgentTools>) {
    let (mut old, mut new) = (agent_tools(before), agent_tools(after));
    for node in &before.spec.flow.nodes {
        let other = after.spec.flow.nodes.iter().find(|other| other.node_id == node.node_id);
        if let (Some(was), Some(is)) = (node_tools(node), other.and_then(node_tools)) {
            old.push(was);
            new.push(is);
        }
    }
    (old, new)
}

fn agent_tools(automation: &Automation) -> Vec<AgentTools> {
    let all = automation.spec.agents.iter();
    all.map(|agent| AgentTools {
        agent_id: agent.agent_id.clone(),
        allowed_servers: agent.mcp_policy.allowed_servers.clone(),
        allowed_tools: agent.mcp_policy.allowed_tools.clone(),
        allowed_connections: agent.mcp_policy.allowed_connections.as_deref().map(texts),
        tool_allowlist: agent.tool_policy.allowlist.clone(),
        tool_denylist: agent.tool_policy.denylist.clone(),
    })
    .collect()
}

/// The agents and nodes that may use this tool server.
pub fn users_of(automation: &Automation, server: &str) -> Vec<AgentTools> {
    let mut users = agent_tools(automation);
    users.extend(automation.spec.flow.nodes.iter().filter_map(node_tools));
    users.retain(|user| user.allowed_servers.iter().any(|named| named == server));
    users
}

fn texts(values: &[Value]) -> Vec<String> {
    values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
}

fn node_tools(node: &Node) -> Option<AgentTools> {
    let (mcp, tool) = (node.extra.get("mcp_policy"), node.extra.get("tool_policy"));
    if mcp.is_none_or(Value::is_null) && tool.is_none_or(Value::is_null) {
        return None;
    }
    let list = |policy: Option<&Value>, key: &str| {
        policy.and_then(|policy| policy.get(key)).and_then(Value::as_array).map(|list| texts(list))
    };
    Some(AgentTools {
        agent_id: format!("node:{}", node.node_id),
        allowed_servers: list(mcp, "allowed_servers").unwrap_or_default(),
        allowed_tools: list(mcp, "allowed_tools"),
        allowed_connections: list(mcp, "allowed_connections"),
        tool_allowlist: list(tool, "allowlist").unwrap_or_default(),
        tool_denylist: list(tool, "denylist").unwrap_or_default(),
    })
}

/// Whether the author may do this with the automation.
pub fn mutate(desk: &mut Desk<'_>, automation_id: &str, operation: Operation) -> Decided<()> {
    mutate::check(desk, automation_id, operation).map(|_| ())
}

/// The agents that take part in a run.
fn taking_part(desk: &mut Desk<'_>, run: &Run) -> Decided<Vec<String>> {
    Ok(desk.get::<RunLedger>(&run.run_id)?.map(|ledger| ledger.agents).unwrap_or_default())
}

/// Whether the author may take the run. A refusal is an answer of no where runs are only looked through, and a refusal of
/// the call where one was named.
pub fn may_claim(desk: &mut Desk<'_>, run: &Run, named: bool) -> Decided<bool> {
    if desk.ctx.actor.kind != ActorKind::Agent {
        return match hooks::is_hidden(desk, &run.automation_id, false)? {
            true if named => Err(kept(run)),
            hidden => Ok(!hidden),
        };
    }
    let with = taking_part(desk, run)?;
    if named {
        return mutate::check_work(desk, &run.automation_id, &with).map(|()| true);
    }
    let agent = desk.ctx.actor.actor_id.clone().unwrap_or_default();
    if desk.get::<Agent>(&agent)?.is_some_and(|row| row.is_paused()) {
        return Ok(false);
    }
    let record = desk.get::<GovernanceRecord>(&run.automation_id)?;
    Ok(with.contains(&agent) || record.is_some_and(|record| mutate::is_own_or_granted(&record, &agent)))
}

fn kept(run: &Run) -> Halt {
    Failure::of(Code::AutomationAccessDenied)
        .with("automationID", run.automation_id.as_str())
        .with("runID", run.run_id.as_str())
        .into()
}

/// Whether the author is heard when it tells of the run. No pause and no end keeps anybody out who works on it.
pub fn may_tell(desk: &mut Desk<'_>, run: &Run, claim_id: Option<&str>) -> Decided<()> {
    let holds = claim::voice(run, claim_id) == claim::Voice::Holder;
    if desk.ctx.actor.kind != ActorKind::Agent {
        let hidden = !holds && hooks::is_hidden(desk, &run.automation_id, false)?;
        return if hidden { Err(kept(run)) } else { Ok(()) };
    }
    let with = taking_part(desk, run)?;
    mutate::check_word(desk, &run.automation_id, &run.run_id, &with, holds)
}

/// Resuming the automation. Governance clears its own flags and writes the audit row.
pub fn resume(desk: &mut Desk<'_>, base: &Base, automation_id: &str) -> Decided<()> {
    lifecycle::resume(desk, base, automation_id)
}

/// Deleting it. Governance keeps the snapshot, stops the runs and writes the audit row.
pub fn delete(desk: &mut Desk<'_>, base: &Base, automation_id: &str, snapshot: Value) -> Decided<()> {
    deletion::delete(desk, base, automation_id, snapshot).map(|_| ())
}

/// A new run. Answers with the agents that answer for it, the closest first.
pub fn start(
    desk: &mut Desk<'_>,
    base: &Base,
    automation: &Automation,
    run_id: &str,
    dry: bool,
) -> Decided<Vec<String>> {
    let spec = &automation.spec;
    let model = |policy: &serde_json::Map<String, Value>| {
        let own = policy.get("model").or_else(|| policy.get("model_id"));
        let default = policy.get("default_model").and_then(|model| model.get("model_id"));
        own.or(default).and_then(Value::as_str).map(str::to_owned)
    };
    let start = run::RunStart {
        run_id: run_id.to_owned(),
        automation_id: automation.automation_id.clone(),
        agents: spec.agents.iter().map(|agent| agent.agent_id.clone()).collect(),
        max_cost_usd: spec.execution.max_total_cost_usd,
        models: spec.agents.iter().filter_map(|agent| agent.model_policy.as_ref().and_then(model)).collect(),
        dry_run: dry,
    };
    run::start(desk, base, &start).map(|admission| admission.payers)
}

/// Reads together what [`readmit`] will need of these runs.
pub fn expect(desk: &mut Desk<'_>, runs: &[Run]) -> Decided<()> {
    let mut asks = vec![Ask::row::<LimitsRow>(LimitsRow::ID)];
    for run in runs {
        asks.push(Ask::row::<RunLedger>(&run.run_id));
        let record = Ask::row::<GovernanceRecord>(&run.automation_id);
        if !asks.contains(&record) {
            asks.push(record);
        }
    }
    desk.want(asks)?;
    let mut agents: Vec<Ask> = Vec::new();
    for run in runs {
        for id in desk.get::<RunLedger>(&run.run_id)?.map(|ledger| ledger.agents).unwrap_or_default() {
            let agent = Ask::row::<Agent>(&id);
            if !agents.contains(&agent) {
                agents.push(agent);
            }
        }
    }
    desk.want(agents)
}

/// A run that is to be worked on again.
pub fn readmit(desk: &mut Desk<'_>, base: &Base, run: &Run) -> Decided<Readmission> {
    Ok(match run::readmit(desk, base, &run.run_id)? {
        run::Readmission::Admitted => Readmission::Admitted,
        run::Readmission::Held(hold) => {
            // It has not begun, whatever holds it.
            let stop = Stop { event: "run_launch_held", ..Stop::of(&hold.stop) };
            Readmission::Held { stop, failure: Box::new(hold.failure) }
        }
    })
}

fn usage_of(usage: &Usage) -> price::Usage {
    price::Usage {
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        total_tokens: usage.total_tokens,
        cost_usd: usage.cost_usd,
        model: usage.model.clone(),
    }
}

/// What usage costs, in US dollars. Usage that has no price and is refused for it costs nothing here: [`report`] refuses.
pub fn price(desk: &mut Desk<'_>, base: &Base, usage: Option<&Usage>) -> Decided<f64> {
    let Some(usage) = usage else { return Ok(0.0) };
    let limits = base.effective(desk)?;
    Ok(match price::cost(&usage_of(usage), &limits) {
        price::Cost::Known(cost) | price::Cost::Estimated(cost) => cost.dollars(),
        price::Cost::Refused => 0.0,
    })
}

fn end_of(status: RunStatus) -> Option<RunEnd> {
    match status {
        RunStatus::Completed => Some(RunEnd::Completed),
        RunStatus::Blocked => Some(RunEnd::Blocked),
        RunStatus::Failed => Some(RunEnd::Failed),
        RunStatus::Cancelled => Some(RunEnd::Cancelled),
        RunStatus::Queued
        | RunStatus::Running
        | RunStatus::Pausing
        | RunStatus::Paused
        | RunStatus::AwaitingApproval => None,
    }
}

/// A report that is taken in. Answers with the stop that it led to, if any.
pub fn report(desk: &mut Desk<'_>, base: &Base, before: &Run, after: &Run, report: &Report) -> Decided<Option<Stop>> {
    let guarded = |run: &Run| run.stop_kind == Some(StopKind::GuardrailStopped);
    let told = run::RunReport {
        run_id: after.run_id.clone(),
        usage: report.usage.as_ref().map(usage_of),
        end: end_of(after.status),
        empty_output: after.status == RunStatus::Completed && after.checkpoint.node_outputs.is_empty(),
        guardrail_stop: guarded(after) && !guarded(before),
    };
    let directives = run::report(desk, base, &told)?;
    Ok(directives.stop.filter(|_| directives.newly).as_ref().map(Stop::of))
}

/// A run has ended otherwise than by a report.
pub fn ended(desk: &mut Desk<'_>, base: &Base, run: &Run) -> Decided<()> {
    let told = run::RunReport { run_id: run.run_id.clone(), end: end_of(run.status), ..run::RunReport::default() };
    run::report(desk, base, &told).map(|_| ())
}

/// An executor has said that it stopped.
pub fn acknowledged(desk: &mut Desk<'_>, run: &Run) -> Decided<()> {
    run::acknowledge(desk, &run.run_id)
}
