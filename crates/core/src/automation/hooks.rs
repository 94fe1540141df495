//! What governance asks of automations and runs, at the same desk and so in the same transaction: to stop what may not
//! go on, and to set aside and bring back an automation.

use serde_json::{Value, json};

use super::{
    act,
    run::{Event, Run, RunStatus, StopKind, transition},
    spec::{Automation, AutomationStatus},
    view,
};
use crate::{
    decide::{Decided, Desk},
    error::{Code, Failure},
};

/// Why a run is stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    pub kind: StopKind,
    pub reason: String,
    /// The line that the run's history gets.
    pub event: &'static str,
}

/// Stops a run unless it has ended. Queued, or without an executor, it is paused at once; otherwise its executor is told
/// at its next call, and the run is `pausing` until it says that it has stopped.
pub fn stop_run(desk: &mut Desk<'_>, run_id: &str, stop: &Stop) -> Decided<()> {
    let Some(before) = desk.get::<Run>(run_id)? else { return Ok(()) };
    stop_found(desk, &before, stop);
    Ok(())
}

/// Stops the active runs of an automation, and names those that were.
pub fn stop_runs(desk: &mut Desk<'_>, automation_id: &str, stop: &Stop) -> Decided<Vec<String>> {
    let runs = act::state::active_runs(desk, automation_id, act::state::RUNS_AT_ONCE)?;
    let stopped = runs.into_iter().filter(|run| stop_found(desk, run, stop)).map(|run| run.run_id);
    Ok(stopped.collect())
}

fn stop_found(desk: &mut Desk<'_>, before: &Run, stop: &Stop) -> bool {
    let mut after = before.clone();
    let event = match stop.kind {
        StopKind::GuardrailStopped => Event::Guardrail { reason: stop.reason.clone() },
        StopKind::Cancelled
        | StopKind::OperatorStopped
        | StopKind::Panic
        | StopKind::Shutdown
        | StopKind::ServerRestart
        | StopKind::StaleReaped => Event::Pause { reason: Some(stop.reason.clone()) },
    };
    if transition(&mut after, event, desk.now_ms()).is_err() {
        return false;
    }
    after.stop_kind = Some(stop.kind);
    after.note(stop.event, desk.now_ms(), Some(&stop.reason), Some(stop.kind));
    let kind = match after.status {
        RunStatus::Pausing => "automation.v2.run.pausing",
        RunStatus::Paused
        | RunStatus::Queued
        | RunStatus::Running
        | RunStatus::AwaitingApproval
        | RunStatus::Completed
        | RunStatus::Blocked
        | RunStatus::Failed
        | RunStatus::Cancelled => "automation.v2.run.paused",
    };
    act::settle(desk, before, &after, kind, json!({ "reason": stop.reason, "stopKind": stop.kind }));
    true
}

/// Sets an automation's status. `None` when there is no such automation.
pub fn set_status(desk: &mut Desk<'_>, automation_id: &str, status: AutomationStatus) -> Decided<Option<Value>> {
    let Some(mut automation) = desk.get::<Automation>(automation_id)? else { return Ok(None) };
    if automation.status != status {
        automation.upkeep.status_before = Some(automation.status);
        automation.status = status;
        automation.updated_at_ms = desk.now_ms().max(automation.updated_at_ms + 1);
        desk.save(&automation);
    }
    Ok(Some(view::full(&automation, &desk.ctx.tenant)))
}

/// The automation as it is stored, to be kept elsewhere.
pub fn snapshot(desk: &mut Desk<'_>, automation_id: &str) -> Decided<Option<Value>> {
    let Some(automation) = desk.get::<Automation>(automation_id)? else { return Ok(None) };
    serde_json::to_value(&automation).map(Some).map_err(|_| Failure::of(Code::Internal).into())
}

/// Brings a snapshot back with this status.
pub fn put_back(desk: &mut Desk<'_>, snapshot: Value, status: AutomationStatus) -> Decided<Value> {
    let mut automation: Automation =
        serde_json::from_value(snapshot).map_err(|error| crate::decide::Halt::Corrupt(error.to_string()))?;
    if desk.get::<Automation>(&automation.automation_id)?.is_some() {
        return Err(Failure::of(Code::AutomationAlreadyExists).with("automationID", automation.automation_id).into());
    }
    automation.status = status;
    automation.updated_at_ms = desk.now_ms().max(automation.updated_at_ms + 1);
    desk.save(&automation);
    Ok(view::full(&automation, &desk.ctx.tenant))
}
