//! A gate: the work waits until a person has decided. Approve goes on, rework does the node again, cancel ends the run.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::record::Run;
use crate::{
    actor::{ActorKind, ActorRef},
    automation::spec::Extra,
    wire::wire_enum,
};

wire_enum! {
    pub enum GateDecision {
        Approve = "approve",
        Rework = "rework",
        Cancel = "cancel",
    }
}

/// The question, as the executor put it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunGate)]
pub struct Gate {
    pub node_id: String,
    /// Names this question, so that an answer to an earlier one is not taken for one to this.
    #[serde(default)]
    pub transition_id: String,
    /// An answer after this is too late. Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// What follows has effects outside; whoever asked may not approve it.
    #[serde(default)]
    pub consequential: bool,
    #[serde(default)]
    pub requested_at_ms: u64,
    /// `title`, `instructions` and whatever else the executor wants the person to see.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// An answer, and whose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunGateDecided)]
pub struct Decided {
    pub node_id: String,
    pub decision: GateDecision,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default)]
    pub transition_id: String,
    pub decided_by: ActorRef,
    pub decided_at_ms: u64,
}

/// Gates that are remembered.
const HISTORY: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The run waits for no gate. Its latest decision, if any, is the one that won.
    NotAwaiting,
    /// It says that it waits, and no question is stored.
    Missing,
    Expired,
    HumanRequired,
    /// The asker may not approve what has effects outside.
    SelfApproval,
    /// The answer is to an earlier question.
    Superseded,
}

/// Judges an answer. Asker and answerer are the same when both have an id and the ids are equal, whatever their kinds.
pub fn judge(
    run: &Run,
    by: &ActorRef,
    decision: GateDecision,
    transition_id: Option<&str>,
    now_ms: u64,
) -> Result<Decided, Refusal> {
    if by.kind != ActorKind::Human {
        return Err(Refusal::HumanRequired);
    }
    if run.status != super::RunStatus::AwaitingApproval {
        return Err(Refusal::NotAwaiting);
    }
    let Some(gate) = &run.checkpoint.awaiting_gate else { return Err(Refusal::Missing) };
    if transition_id.is_some_and(|named| named != gate.transition_id) {
        return Err(Refusal::Superseded);
    }
    if gate.expires_at_ms.is_some_and(|at| at <= now_ms) {
        return Err(Refusal::Expired);
    }
    let same = |other: &str| by.actor_id.as_deref().is_some_and(|own| own.trim().eq_ignore_ascii_case(other.trim()));
    let asked_it =
        run.requested_by.actor_id.as_deref().is_some_and(same) || run.lineage_agent_ids.iter().any(|agent| same(agent));
    if gate.consequential && decision == GateDecision::Approve && asked_it {
        return Err(Refusal::SelfApproval);
    }
    Ok(Decided {
        node_id: gate.node_id.clone(),
        decision,
        reason: None,
        transition_id: gate.transition_id.clone(),
        decided_by: by.clone(),
        decided_at_ms: now_ms,
    })
}

/// Books a decision: the gate closes, and the node is done or to be done again.
pub fn settle(run: &mut Run, decided: Decided, now_ms: u64) {
    let checkpoint = &mut run.checkpoint;
    checkpoint.awaiting_gate = None;
    let node = &decided.node_id;
    match decided.decision {
        GateDecision::Approve => {
            checkpoint.pending_nodes.retain(|held| held != node);
            if !checkpoint.completed_nodes.contains(node) {
                checkpoint.completed_nodes.push(node.clone());
            }
            checkpoint.node_outputs.entry(node.clone()).or_insert(Value::from("approved"));
        }
        GateDecision::Rework => {
            checkpoint.completed_nodes.retain(|held| held != node);
            checkpoint.node_outputs.remove(node);
            if !checkpoint.pending_nodes.contains(node) {
                checkpoint.pending_nodes.push(node.clone());
            }
        }
        GateDecision::Cancel => {}
    }
    if checkpoint.gate_history.len() >= HISTORY {
        checkpoint.gate_history.remove(0);
    }
    checkpoint.gate_history.push(decided.clone());
    let event = match decided.decision {
        GateDecision::Approve => "gate_approved",
        GateDecision::Rework => "gate_rework",
        GateDecision::Cancel => "gate_cancelled",
    };
    run.note(event, now_ms, decided.reason.as_deref(), None);
}
