//! What governance asks of automations and runs, at the same desk and so in the same transaction: to stop what may not
//! go on, and to set aside and bring back an automation.

use serde_json::{Value, json};

use super::{
    act,
    run::{Event, Run, StopKind, transition},
    share,
    spec::{Automation, AutomationStatus},
    view,
};
use crate::{
    decide::{Ask, Decided, Desk},
    error::{Code, Failure},
    governance::ledger,
};

/// Why a run is stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    pub kind: StopKind,
    pub reason: String,
    /// The line that the run's history gets.
    pub event: &'static str,
}

impl Stop {
    /// As governance puts it.
    pub fn of(stop: &ledger::Stop) -> Self {
        let kind = StopKind::from_word(stop.cause.stop_kind()).unwrap_or(StopKind::GuardrailStopped);
        Self { kind, reason: stop.reason.clone(), event: stop.cause.history_event() }
    }
}

/// Reads the rows of these runs together, before they are stopped one by one.
pub fn expect(desk: &mut Desk<'_>, run_ids: &[String]) -> Decided<()> {
    desk.want(run_ids.iter().map(|id| Ask::row::<Run>(id)))
}

/// Whether an executor still has to hear of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nobody works on the run; it has stopped.
    Nobody,
    /// Its executor will.
    Executor,
}

/// Stops a run unless it has ended. Without an executor it is paused at once; otherwise its executor is told at its next
/// call, and the run is `pausing` until it says that it has stopped. `None` when it had ended, or there is none.
pub fn stop_run(desk: &mut Desk<'_>, run_id: &str, stop: &Stop) -> Decided<Option<Heard>> {
    let Some(before) = desk.get::<Run>(run_id)? else { return Ok(None) };
    let mut after = before.clone();
    if !apply(&mut after, stop, desk.now_ms()) {
        return Ok(None);
    }
    let kind = act::event_of(after.status);
    act::settle(desk, &before, &after, kind, json!({ "reason": stop.reason, "stopKind": stop.kind }));
    Ok(Some(if after.execution_claim.is_some() { Heard::Executor } else { Heard::Nobody }))
}

/// Puts a stop on a run that has not ended. Answers with whether it could.
pub fn apply(run: &mut Run, stop: &Stop, now_ms: u64) -> bool {
    put(run, Event::Stop { kind: stop.kind, reason: stop.reason.clone() }, stop, now_ms)
}

/// The same for a stop that follows from the word of the executor that holds the run, and is told in the answer to it.
pub fn apply_in_answer(run: &mut Run, stop: &Stop, now_ms: u64) -> bool {
    put(run, Event::StopInAnswer { kind: stop.kind, reason: stop.reason.clone() }, stop, now_ms)
}

fn put(run: &mut Run, event: Event, stop: &Stop, now_ms: u64) -> bool {
    if transition(run, event, now_ms).is_err() {
        return false;
    }
    run.note(stop.event, now_ms, Some(&stop.reason), Some(stop.kind));
    true
}

/// Whether an automation is kept from the author of this wish; one that is gone is kept from nobody.
pub fn is_hidden(desk: &mut Desk<'_>, automation_id: &str, works: bool) -> Decided<bool> {
    // Where nothing is ever hidden, nothing is read for it.
    if desk.ctx.tenant.is_local_implicit() {
        return Ok(false);
    }
    let found = desk.get::<Automation>(automation_id)?;
    Ok(found.is_some_and(|automation| share::is_hidden(&automation, desk.ctx, works)))
}

/// Pauses an automation, or gives one that is paused the status back that it had before. Answers with it as clients see it; `None` when
/// there is none.
pub fn set_status(desk: &mut Desk<'_>, automation_id: &str, paused: bool) -> Decided<Option<Value>> {
    let Some(mut automation) = desk.get::<Automation>(automation_id)? else { return Ok(None) };
    let before = automation.upkeep.status_before.filter(|status| *status != AutomationStatus::Paused);
    let status = match (paused, automation.status) {
        (true, _) => AutomationStatus::Paused,
        (false, AutomationStatus::Paused) => before.unwrap_or(AutomationStatus::Active),
        (false, other @ (AutomationStatus::Active | AutomationStatus::Draft)) => other,
    };
    if automation.status != status {
        automation.upkeep.status_before = paused.then_some(automation.status);
        automation.status = status;
        automation.updated_at_ms = desk.now_ms().max(automation.updated_at_ms + 1);
        desk.save(&automation);
    }
    Ok(Some(view::full(&automation, &desk.ctx.tenant)))
}

/// Brings a deleted automation back from its snapshot, paused.
pub fn put_back(desk: &mut Desk<'_>, snapshot: Value) -> Decided<Value> {
    let mut automation: Automation =
        serde_json::from_value(snapshot).map_err(|error| crate::decide::Halt::Corrupt(error.to_string()))?;
    if desk.get::<Automation>(&automation.automation_id)?.is_some() {
        return Err(Failure::of(Code::AutomationAlreadyExists).with("automationID", automation.automation_id).into());
    }
    automation.upkeep.status_before = Some(automation.status);
    automation.status = AutomationStatus::Paused;
    automation.updated_at_ms = desk.now_ms().max(automation.updated_at_ms + 1);
    desk.save(&automation);
    Ok(view::full(&automation, &desk.ctx.tenant))
}
