//! A person's answer at a gate.

use std::sync::Arc;

use serde_json::json;

use super::{super::admission, run, settle};
use crate::{
    automation::{
        admission::{Base, Readmission},
        run::{
            Event, Run, RunStatus,
            gate::{self, GateDecision as Answer},
            transition,
        },
        spec::{Automation, Node},
    },
    decide::{Decided, Decision, Desk},
    error::{Code, Failure},
    text::{non_blank, truncate},
};

#[derive(Debug)]
pub struct DecideGate {
    pub run_id: String,
    pub answer: Answer,
    pub reason: Option<String>,
    pub transition_id: Option<String>,
    pub base: Arc<Base>,
}

impl Decision for DecideGate {
    type Outcome = Run;

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Run> {
        let before = run(desk, &self.run_id)?;
        let by = desk.ctx.actor.clone();
        let named = non_blank(self.transition_id.as_deref());
        let decided = match gate::judge(&before, &by, self.answer, named, desk.now_ms()) {
            Ok(decided) => decided,
            Err(refusal) => {
                let failure = refused(&before, refusal);
                let why = json!({
                    "automationID": before.automation_id, "runID": before.run_id, "decision": self.answer,
                    "code": failure.code.word(),
                });
                desk.audit_if_refused("automation.governance.gate_decision_denied", why);
                return Err(failure.into());
            }
        };
        let flow = desk.get::<Automation>(&before.automation_id)?.map(|found| found.spec.flow.nodes);
        // A flow without nodes leaves it to the executor what it asks about.
        let is_known = |nodes: Vec<Node>| nodes.is_empty() || nodes.iter().any(|node| node.node_id == decided.node_id);
        if !flow.is_none_or(is_known) {
            return Err(Failure::of(Code::GateNodeNotFound)
                .with("runID", before.run_id.as_str())
                .with("automationID", before.automation_id.as_str())
                .with("nodeID", decided.node_id)
                .into());
        }
        let reason = non_blank(self.reason.as_deref()).map(|reason| truncate(reason, 500));
        let node = decided.node_id.clone();
        let decided = gate::Decided { reason: reason.clone(), ..decided };
        let mut after = before.clone();
        transition(&mut after, Event::GateDecided(decided), desk.now_ms())
            .map_err(|_| refused(&before, gate::Refusal::NotAwaiting))?;
        if after.status == RunStatus::Queued
            && let Readmission::Held { failure, .. } = admission::readmit(desk, &self.base, &after)?
        {
            return Err((*failure).with("runID", after.run_id.as_str()).into());
        }
        if after.status.is_terminal() {
            admission::ended(desk, &self.base, &after)?;
        }
        desk.audit(
            "automation.governance.gate_decided",
            json!({
                "automationID": after.automation_id, "runID": after.run_id, "nodeID": node, "decision": self.answer,
                "reason": reason,
            }),
        );
        settle(desk, &before, &after, super::event_of(after.status), json!({ "nodeID": node }));
        Ok(after)
    }
}

fn refused(run: &Run, refusal: gate::Refusal) -> Failure {
    let code = match refusal {
        gate::Refusal::NotAwaiting | gate::Refusal::Superseded => Code::RunNotAwaitingApproval,
        gate::Refusal::Missing => Code::RunGateMissing,
        gate::Refusal::Expired => Code::GateExpired,
        gate::Refusal::HumanRequired => Code::GateRequiresHuman,
        gate::Refusal::SelfApproval => Code::GateSelfApproval,
    };
    let won = run.checkpoint.gate_history.last().map(|decided| decided.decision.word());
    Failure::of(code)
        .with("runID", run.run_id.as_str())
        .with("automationID", run.automation_id.as_str())
        .with("currentStatus", run.status.word())
        .with("winningDecision", won)
}
