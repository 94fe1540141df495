//! The only place where a run's status changes.
//!
//! [`next`] is the table: for every status and every kind of event, what follows. [`transition`] does what the table
//! says and keeps the books: times, reasons, the claim, the order to stop. Nothing leaves a terminal status but a
//! recovery.

use super::{
    claim::Claim,
    gate::{self, Gate},
    order::StopOrder,
    record::{LONGEST_REASON, LastFailure, Run, RunStatus, StopKind},
    recover,
};
use crate::text::truncate;

/// What happens to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An executor takes it.
    Claimed(Claim),
    /// A report from somebody who works on it without a claim.
    Begun,
    /// A person asks for a pause.
    Pause {
        reason: Option<String>,
    },
    /// A rule of governance, or a limit of the run, asks for a stop; `kind` says which.
    Stop {
        kind: StopKind,
        reason: String,
    },
    /// The same, on the word of the executor that holds it: the answer to that word carries the order, so the run is paused
    /// at once, and the executor keeps its claim until it says that it has stopped.
    StopInAnswer {
        kind: StopKind,
        reason: String,
    },
    /// The executor says that it has stopped.
    StopAcknowledged,
    Resume {
        reason: Option<String>,
    },
    Cancel {
        reason: Option<String>,
    },
    /// `again` are the nodes to be done again.
    Recover {
        reason: Option<String>,
        again: Vec<String>,
    },
    Completed {
        detail: Option<String>,
    },
    Failed {
        failure: LastFailure,
        stop_kind: Option<StopKind>,
    },
    Blocked {
        detail: Option<String>,
    },
    /// The work has come to a gate.
    GateReached(Gate),
    /// A person decided at the gate.
    GateDecided(gate::Decided),
    /// The lease ran out.
    LeaseLost,
}

/// Why an event cannot happen in this status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotClaimable,
    NotPausable,
    NotPaused,
    NotRecoverable,
    NotAwaitingApproval,
    AlreadyTerminal,
    /// It is stopped or waits for a person; an executor has nothing to say about its progress.
    NotActive,
    /// The lease is not lost: nobody holds the run.
    NotHeld,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Claimed,
    Begun,
    Pause,
    Stop,
    StopInAnswer,
    StopAcknowledged,
    Resume,
    Cancel,
    Recover,
    Ended(RunStatus),
    GateReached,
    GateDecided(gate::GateDecision),
    LeaseLost,
}

impl Event {
    fn kind(&self) -> Kind {
        match self {
            Self::Claimed(_) => Kind::Claimed,
            Self::Begun => Kind::Begun,
            Self::Pause { .. } => Kind::Pause,
            Self::Stop { .. } => Kind::Stop,
            Self::StopInAnswer { .. } => Kind::StopInAnswer,
            Self::StopAcknowledged => Kind::StopAcknowledged,
            Self::Resume { .. } => Kind::Resume,
            Self::Cancel { .. } => Kind::Cancel,
            Self::Recover { .. } => Kind::Recover,
            Self::Completed { .. } => Kind::Ended(RunStatus::Completed),
            Self::Failed { .. } => Kind::Ended(RunStatus::Failed),
            Self::Blocked { .. } => Kind::Ended(RunStatus::Blocked),
            Self::GateReached(_) => Kind::GateReached,
            Self::GateDecided(decided) => Kind::GateDecided(decided.decision),
            Self::LeaseLost => Kind::LeaseLost,
        }
    }
}

/// What follows, for every status and every kind of event. `held` says whether an executor has the run, `leftover`
/// whether blocked nodes are left.
fn next(status: RunStatus, kind: Kind, held: bool, leftover: bool) -> Result<RunStatus, Refusal> {
    use RunStatus as S;
    match kind {
        Kind::Claimed => match status {
            S::Queued => Ok(S::Running),
            S::Running | S::Pausing | S::Paused | S::AwaitingApproval => Err(Refusal::NotClaimable),
            S::Completed | S::Blocked | S::Failed | S::Cancelled => Err(Refusal::NotClaimable),
        },
        Kind::Begun => match status {
            S::Queued | S::Running => Ok(S::Running),
            S::Pausing | S::Paused | S::AwaitingApproval => Err(Refusal::NotActive),
            S::Completed | S::Blocked | S::Failed | S::Cancelled => Err(Refusal::AlreadyTerminal),
        },
        Kind::Pause => match (status, held) {
            (S::Queued, _) | (S::Running, false) => Ok(S::Paused),
            (S::Running, true) => Ok(S::Pausing),
            (S::Pausing | S::Paused | S::AwaitingApproval, _) => Err(Refusal::NotPausable),
            (S::Completed | S::Blocked | S::Failed | S::Cancelled, _) => Err(Refusal::NotPausable),
        },
        Kind::Stop => match (status, held) {
            (S::Queued | S::Paused | S::AwaitingApproval, _) => Ok(S::Paused),
            (S::Running | S::Pausing, false) => Ok(S::Paused),
            (S::Running | S::Pausing, true) => Ok(S::Pausing),
            (S::Completed | S::Blocked | S::Failed | S::Cancelled, _) => Err(Refusal::AlreadyTerminal),
        },
        Kind::StopInAnswer => match status {
            S::Queued | S::Running | S::Pausing | S::Paused | S::AwaitingApproval => Ok(S::Paused),
            S::Completed | S::Blocked | S::Failed | S::Cancelled => Err(Refusal::AlreadyTerminal),
        },
        Kind::StopAcknowledged => match status {
            S::Pausing => Ok(S::Paused),
            // The status was settled without waiting for the word.
            S::Paused | S::Cancelled | S::Completed | S::Blocked | S::Failed => Ok(status),
            S::Queued | S::Running | S::AwaitingApproval => Err(Refusal::NotActive),
        },
        Kind::Resume => match status {
            S::Paused => Ok(S::Queued),
            S::Queued | S::Running | S::Pausing | S::AwaitingApproval => Err(Refusal::NotPaused),
            S::Completed | S::Blocked | S::Failed | S::Cancelled => Err(Refusal::NotPaused),
        },
        Kind::Cancel => match status {
            S::Queued | S::Running | S::Pausing | S::Paused | S::AwaitingApproval => Ok(S::Cancelled),
            S::Completed | S::Blocked | S::Failed | S::Cancelled => Err(Refusal::AlreadyTerminal),
        },
        Kind::Recover => match status {
            S::Failed | S::Blocked | S::Paused => Ok(S::Queued),
            S::Completed if leftover => Ok(S::Queued),
            S::Completed | S::Cancelled => Err(Refusal::NotRecoverable),
            S::Queued | S::Running | S::Pausing | S::AwaitingApproval => Err(Refusal::NotRecoverable),
        },
        Kind::Ended(ended) => match (status, held) {
            // What was done before the stop arrived was done.
            (S::Queued | S::Running | S::Pausing, _) | (S::Paused, true) => Ok(ended),
            (S::Paused, false) | (S::AwaitingApproval, _) => Err(Refusal::NotActive),
            (S::Completed | S::Blocked | S::Failed | S::Cancelled, _) => Err(Refusal::AlreadyTerminal),
        },
        Kind::GateReached => match (status, held) {
            (S::Queued | S::Running, _) => Ok(S::AwaitingApproval),
            // A stop wins over a question; the gate is reached again after the resume.
            (S::Pausing, _) | (S::Paused, true) => Ok(S::Paused),
            (S::Paused, false) | (S::AwaitingApproval, _) => Err(Refusal::NotActive),
            (S::Completed | S::Blocked | S::Failed | S::Cancelled, _) => Err(Refusal::AlreadyTerminal),
        },
        Kind::GateDecided(decision) => match status {
            S::AwaitingApproval => Ok(match decision {
                gate::GateDecision::Approve | gate::GateDecision::Rework => S::Queued,
                gate::GateDecision::Cancel => S::Cancelled,
            }),
            S::Queued | S::Running | S::Pausing | S::Paused => Err(Refusal::NotAwaitingApproval),
            S::Completed | S::Blocked | S::Failed | S::Cancelled => Err(Refusal::NotAwaitingApproval),
        },
        Kind::LeaseLost => match (status, held) {
            (S::Running, true) => Ok(S::Failed),
            // It was told to stop, and nobody works on it any more.
            (S::Pausing, true) => Ok(S::Paused),
            (S::Cancelled | S::Completed | S::Blocked | S::Failed | S::Paused | S::AwaitingApproval, true) => {
                Ok(status)
            }
            (S::Queued, true) => Ok(S::Queued),
            (
                S::Queued
                | S::Running
                | S::Pausing
                | S::Paused
                | S::AwaitingApproval
                | S::Completed
                | S::Blocked
                | S::Failed
                | S::Cancelled,
                false,
            ) => Err(Refusal::NotHeld),
        },
    }
}

/// Applies an event, or refuses it and changes nothing.
pub fn transition(run: &mut Run, event: Event, now_ms: u64) -> Result<(), Refusal> {
    let before = run.status;
    let held = run.execution_claim.is_some();
    let after = next(before, event.kind(), held, !run.checkpoint.blocked_nodes.is_empty())?;
    run.status = after;
    run.updated_at_ms = run.updated_at_ms.max(now_ms);
    match event {
        Event::Claimed(claim) => {
            run.started_at_ms.get_or_insert(now_ms);
            run.execution_claim_epoch = claim.lease_epoch;
            let who = claim.claimant_id.clone();
            run.execution_claim = Some(claim);
            // A measured stop stays to be seen; one that nobody was left to hear of is over.
            run.stop_order = run.stop_order.take().filter(|order| !order.is_open());
            run.note("run_claimed", now_ms, Some(&who), None);
        }
        Event::Begun => {
            if before == RunStatus::Queued {
                run.started_at_ms.get_or_insert(now_ms);
                run.note("run_started", now_ms, None, None);
            }
        }
        Event::Pause { reason } => {
            let why = reason.as_deref().unwrap_or("paused by an operator");
            stop(run, StopKind::OperatorStopped, why, now_ms);
            run.note("run_paused", now_ms, Some(why), None);
        }
        Event::Stop { kind, reason } | Event::StopInAnswer { kind, reason } => {
            stop(run, kind, &reason, now_ms);
            run.detail = Some(truncate(&reason, LONGEST_REASON));
            run.note("run_stopped", now_ms, Some(&reason), Some(kind));
        }
        Event::StopAcknowledged => {
            if let Some(order) = &mut run.stop_order {
                order.acknowledged(now_ms, false);
            }
            release(run);
            run.note("run_stop_acknowledged", now_ms, None, None);
        }
        Event::Resume { reason } => {
            requeue(run);
            run.note("run_resumed", now_ms, reason.as_deref(), None);
            run.resume_reason = reason;
        }
        Event::Cancel { reason } => {
            let why = reason.as_deref().unwrap_or("cancelled by an operator");
            run.stop_kind = Some(StopKind::OperatorStopped);
            run.stop_reason = Some(truncate(why, LONGEST_REASON));
            tell(run, StopKind::Cancelled, why, now_ms);
            run.checkpoint.awaiting_gate = None;
            end(run, now_ms);
            run.note("run_cancelled", now_ms, Some(why), Some(StopKind::OperatorStopped));
        }
        Event::Recover { reason, again } => {
            recover::reset(run, again);
            requeue(run);
            run.finished_at_ms = None;
            run.note("run_recovered", now_ms, reason.as_deref(), None);
            run.resume_reason = reason;
        }
        Event::Completed { detail } => {
            run.detail = detail.or(run.detail.take());
            settle(run, now_ms);
            run.note("run_completed", now_ms, None, None);
        }
        Event::Failed { failure, stop_kind } => {
            run.detail = Some(failure.reason.clone());
            run.stop_kind = stop_kind.or(run.stop_kind);
            run.checkpoint.last_failure = Some(failure);
            settle(run, now_ms);
            let why = run.detail.clone();
            run.note("run_failed", now_ms, why.as_deref(), stop_kind);
        }
        Event::Blocked { detail } => {
            run.detail = detail.or(run.detail.take());
            settle(run, now_ms);
            let why = run.detail.clone();
            run.note("run_blocked", now_ms, why.as_deref(), None);
        }
        Event::GateReached(gate) => {
            if after == RunStatus::AwaitingApproval {
                run.note("run_awaiting_gate", now_ms, Some(&gate.node_id), None);
                run.checkpoint.awaiting_gate = Some(gate);
            } else {
                if let Some(order) = &mut run.stop_order {
                    order.acknowledged(now_ms, false);
                }
                run.note("run_stop_acknowledged", now_ms, None, None);
            }
            // While a person thinks, nobody works on it.
            release(run);
        }
        Event::GateDecided(decided) => {
            gate::settle(run, decided, now_ms);
            if after == RunStatus::Cancelled {
                run.stop_kind = Some(StopKind::OperatorStopped);
                end(run, now_ms);
            }
        }
        Event::LeaseLost => lease_lost(run, before, now_ms),
    }
    Ok(())
}

/// A run is stopped, now or as soon as its executor reads it. Whoever holds it keeps its claim to be told by.
fn stop(run: &mut Run, kind: StopKind, why: &str, now_ms: u64) {
    run.pause_reason = Some(truncate(why, LONGEST_REASON));
    run.stop_kind = Some(kind);
    run.stop_reason = Some(truncate(why, LONGEST_REASON));
    tell(run, kind, why, now_ms);
    if run.status == RunStatus::Paused {
        run.active_session_ids.clear();
        run.checkpoint.awaiting_gate = None;
    }
}

/// Leaves an order for whoever holds the run. An order that is under way keeps its time and takes the graver reason.
fn tell(run: &mut Run, kind: StopKind, why: &str, now_ms: u64) {
    if run.execution_claim.is_none() {
        return;
    }
    match &mut run.stop_order {
        Some(order) if order.is_open() => {
            order.kind = kind;
            order.reason = truncate(why, LONGEST_REASON);
        }
        Some(_) | None => run.stop_order = Some(StopOrder::new(kind, why, now_ms)),
    }
}

/// Nobody works on the run any more.
fn release(run: &mut Run) {
    run.execution_claim = None;
    run.active_session_ids.clear();
    run.active_instance_ids.clear();
}

fn requeue(run: &mut Run) {
    // An order that was not heard was for an executor that has lost the run by this.
    run.stop_order = run.stop_order.take().filter(|order| !order.is_open());
    run.pause_reason = None;
    run.stop_kind = None;
    run.stop_reason = None;
    run.detail = None;
    release(run);
}

/// Terminal, and the executor still has to hear of it: it keeps its claim so that it can be told.
fn end(run: &mut Run, now_ms: u64) {
    run.started_at_ms.get_or_insert(run.created_at_ms);
    run.finished_at_ms = Some(now_ms);
    run.active_session_ids.clear();
    run.active_instance_ids.clear();
}

/// Terminal by the executor's own word.
fn settle(run: &mut Run, now_ms: u64) {
    if let Some(order) = &mut run.stop_order {
        order.acknowledged(now_ms, false);
    }
    end(run, now_ms);
    run.execution_claim = None;
}

fn lease_lost(run: &mut Run, before: RunStatus, now_ms: u64) {
    let who = run.execution_claim.as_ref().map(|claim| claim.claimant_id.clone()).unwrap_or_default();
    if let Some(order) = &mut run.stop_order {
        order.acknowledged(now_ms, true);
    }
    release(run);
    let why = format!("the executor `{who}` was not heard of before its lease ended");
    if before == RunStatus::Running {
        run.stop_kind = Some(StopKind::StaleReaped);
        run.stop_reason = Some(why.clone());
        run.detail = Some(why.clone());
        run.checkpoint.last_failure = Some(LastFailure {
            node_id: run.checkpoint.pending_nodes.first().cloned(),
            reason: why.clone(),
            failed_at_ms: now_ms,
            failure_kind: Some("executor_lost".into()),
            metadata: None,
        });
        end(run, now_ms);
    }
    run.note("run_lease_lost", now_ms, Some(&why), run.stop_kind);
}

#[cfg(test)]
#[path = "transition_tests.rs"]
pub(crate) mod tests;
