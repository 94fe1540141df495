//! The registry of agents: entering one with who answers for it, and the switch that stops everything it runs.

use serde_json::json;

use super::{
    agent::{Agent, AgentPause},
    effects::Stopped,
    ledger::{RunLedger, Stop, StopCause},
    limits::Base,
    mutate, run,
};
use crate::{
    actor::ActorKind,
    decide::{Ask, Decided, Decision, Desk, PageAsk},
    error::{Code, Failure},
    record::Column,
};

/// Active runs looked at in one go.
const CHUNK: usize = 2_000;

/// PUT /governance/agents/{agent_id}. Only what is given changes. Somebody answers for an agent because a person has said
/// so: neither agents nor a bare token enter one.
#[derive(Debug)]
pub struct Register {
    pub agent_id: String,
    pub display_name: Option<String>,
    pub owner: Option<String>,
    pub sponsor: Option<String>,
}

impl Decision for Register {
    type Outcome = Agent;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<Agent>(&self.agent_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Agent> {
        mutate::people_only(desk)?;
        super::sweep::ensure(desk)?;
        let now = desk.now_ms();
        let mut agent = desk.get::<Agent>(&self.agent_id)?.unwrap_or_else(|| Agent::new(&self.agent_id, now));
        for (slot, given) in [
            (&mut agent.display_name, &self.display_name),
            (&mut agent.owner, &self.owner),
            (&mut agent.sponsor, &self.sponsor),
        ] {
            if given.is_some() {
                slot.clone_from(given);
            }
        }
        agent.registered = true;
        agent.updated_at_ms = now;
        desk.save(&agent);
        desk.audit(
            "automation.governance.agent.registered",
            json!({ "agentID": agent.agent_id, "owner": agent.owner, "sponsor": agent.sponsor }),
        );
        Ok(agent)
    }
}

/// The kill switch. The system may use it as well: stopping is never too early.
#[derive(Debug)]
pub struct Pause {
    pub base: std::sync::Arc<Base>,
    pub agent_id: String,
    pub reason: Option<String>,
}

impl Decision for Pause {
    type Outcome = Agent;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<Agent>(&self.agent_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Agent> {
        match desk.ctx.actor.kind {
            ActorKind::Human | ActorKind::System => {}
            ActorKind::Agent => return Err(Failure::of(Code::HumanRequired).into()),
        }
        if !self.base.effective(desk)?.per_agent_pause_enabled {
            return Err(Failure::of(Code::AgentPauseDisabled).with("agentID", self.agent_id.as_str()).into());
        }
        super::sweep::ensure(desk)?;
        let now = desk.now_ms();
        let mut agent = desk.get::<Agent>(&self.agent_id)?.unwrap_or_else(|| Agent::new(&self.agent_id, now));
        if agent.is_paused() {
            return Ok(agent);
        }
        agent.pause = Some(AgentPause {
            paused_at_ms: now,
            paused_by: desk.ctx.actor.clone(),
            reason: self.reason.clone(),
            runs_told: 0,
            runs_stopped: 0,
            last_stopped_at_ms: None,
            slowest_stop_ms: None,
            telling: true,
        });
        agent.updated_at_ms = now;
        desk.save(&agent);
        desk.audit("automation.governance.agent.paused", json!({ "agentID": agent.agent_id, "reason": self.reason }));
        tell(desk, &self.agent_id)
    }
}

/// Goes on telling the runs of a paused agent, where there were too many for one go.
#[derive(Debug)]
pub struct Tell {
    pub agent_id: String,
}

impl Decision for Tell {
    type Outcome = Agent;

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Agent> {
        match desk.get::<Agent>(&self.agent_id)? {
            Some(agent) if agent.pause.as_ref().is_some_and(|pause| pause.telling) => tell(desk, &self.agent_id),
            Some(agent) => Ok(agent),
            None => Err(Failure::of(Code::AgentNotFound).into()),
        }
    }
}

/// Tells the active runs in which the agent takes part or pays to stop. A run that no longer is active is not on the
/// page, so each round gets on.
fn tell(desk: &mut Desk<'_>, agent_id: &str) -> Decided<Agent> {
    let now = desk.now_ms();
    let page = PageAsk::of::<RunLedger>("created_at_ms", CHUNK).equal("active", Column::text(RunLedger::ACTIVE));
    let mut runs = desk.page::<RunLedger>(page)?;
    let more = runs.len() == CHUNK;
    runs.retain(|ledger| ledger.agents.iter().any(|id| id == agent_id) && ledger.is_active());
    run::expect(desk, &runs)?;
    let (mut told, mut stopped) = (0, 0);
    let Some(before) = desk.get::<Agent>(agent_id)? else { return Err(Failure::of(Code::AgentNotFound).into()) };
    let paused_at = before.pause.as_ref().map_or(now, |pause| pause.paused_at_ms);
    for mut ledger in runs {
        let mut stop = Stop::new(StopCause::AgentPaused, &format!("the agent {agent_id} was paused"), paused_at);
        stop.agent_id = Some(agent_id.to_owned());
        match run::stop_one(desk, &mut ledger, &stop)? {
            Stopped::Told => told += 1,
            Stopped::Now => {
                told += 1;
                stopped += 1;
            }
            Stopped::Gone => {}
        }
    }
    // Read again: releasing what the runs had set aside may have changed it.
    let Some(mut agent) = desk.get::<Agent>(agent_id)? else { return Err(Failure::of(Code::AgentNotFound).into()) };
    if let Some(pause) = &mut agent.pause {
        pause.runs_told += told;
        pause.runs_stopped += stopped;
        if stopped > 0 {
            pause.last_stopped_at_ms = Some(now);
            pause.slowest_stop_ms = pause.slowest_stop_ms.max(Some(now.saturating_sub(paused_at)));
        }
        // A page that was full of other agents' runs gets nobody on: those are told when they next report.
        pause.telling = more && told > 0;
    }
    agent.updated_at_ms = now;
    desk.save(&agent);
    Ok(agent)
}

/// Lets the agent go on, for a person. Its runs stay paused until each is resumed.
#[derive(Debug)]
pub struct Resume {
    pub agent_id: String,
}

impl Decision for Resume {
    type Outcome = Agent;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<Agent>(&self.agent_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Agent> {
        mutate::people_only(desk)?;
        let Some(mut agent) = desk.get::<Agent>(&self.agent_id)? else {
            return Err(Failure::of(Code::AgentNotFound).with("agentID", self.agent_id.as_str()).into());
        };
        let Some(pause) = agent.pause.take() else { return Ok(agent) };
        agent.updated_at_ms = desk.now_ms();
        desk.save(&agent);
        desk.audit("automation.governance.agent.resumed", json!({ "agentID": agent.agent_id, "pause": pause }));
        Ok(agent)
    }
}
