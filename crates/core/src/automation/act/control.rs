//! Pausing, resuming, cancelling and recovering one run.

use std::sync::Arc;

use serde_json::json;

use super::{super::admission, run, settle};
use crate::{
    automation::{
        admission::{Base, Operation, Readmission},
        run::{Event, Refusal, Run, RunStatus, recover, transition},
        spec::Automation,
    },
    decide::{Decided, Decision, Desk},
    error::{Code, Failure},
    text::{non_blank, truncate},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Pause,
    Resume,
    Cancel,
    Recover,
}

#[derive(Debug)]
pub struct Control {
    pub run_id: String,
    pub verb: Verb,
    pub reason: Option<String>,
    pub base: Arc<Base>,
}

#[derive(Clone, Debug)]
pub struct Controlled {
    pub run: Run,
    /// It had ended before; nothing was changed.
    pub already_terminal: bool,
}

impl Decision for Control {
    type Outcome = Controlled;

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Controlled> {
        let before = run(desk, &self.run_id)?;
        // What has ended is answered as it is, also where its automation is gone: nothing is changed by it.
        if self.verb == Verb::Cancel && before.status.is_terminal() {
            return Ok(Controlled { run: before, already_terminal: true });
        }
        admission::mutate(desk, &before.automation_id, Operation::RunControl)?;
        let mut after = before.clone();
        let reason = non_blank(self.reason.as_deref()).map(|reason| truncate(reason, 500));
        let (event, kind) = match self.verb {
            Verb::Pause => (Event::Pause { reason: reason.clone() }, "automation.v2.run.paused"),
            Verb::Resume => (Event::Resume { reason: reason.clone() }, "automation.v2.run.resumed"),
            Verb::Cancel => (Event::Cancel { reason: reason.clone() }, "automation.v2.run.cancelled"),
            Verb::Recover => {
                recover::ground(&before).map_err(|nothing| groundless(&before, nothing))?;
                let flow = desk.get::<Automation>(&before.automation_id)?.map(|found| found.spec.flow.nodes);
                let again = recover::again(&before, &flow.unwrap_or_default());
                (Event::Recover { reason: reason.clone(), again }, "automation.v2.run.recovered")
            }
        };
        transition(&mut after, event, desk.now_ms()).map_err(|refusal| refused(&before, self.verb, refusal))?;
        let kind = if after.status == RunStatus::Pausing { "automation.v2.run.pausing" } else { kind };
        if after.status == RunStatus::Queued
            && let Readmission::Held { failure, .. } = admission::readmit(desk, &self.base, &after)?
        {
            return Err((*failure).with("runID", after.run_id.as_str()).into());
        }
        if after.status.is_terminal() {
            admission::ended(desk, &self.base, &after)?;
        }
        settle(desk, &before, &after, kind, json!({ "reason": reason }));
        Ok(Controlled { run: after, already_terminal: false })
    }
}

fn refused(run: &Run, verb: Verb, refusal: Refusal) -> Failure {
    let code = match (verb, refusal) {
        (Verb::Pause, _) => Code::RunNotPausable,
        (Verb::Resume, _) => Code::RunNotPaused,
        (Verb::Recover, _) => Code::RunNotRecoverable,
        (Verb::Cancel, _) => Code::RunUpdateFailed,
    };
    Failure::of(code)
        .with("runID", run.run_id.as_str())
        .with("automationID", run.automation_id.as_str())
        .with("currentStatus", run.status.word())
}

fn groundless(run: &Run, nothing: recover::Nothing) -> Failure {
    let code = match nothing {
        recover::Nothing::FailureContextMissing => Code::RunFailureContextMissing,
        recover::Nothing::BlockedContextMissing => Code::RunBlockedContextMissing,
    };
    Failure::of(code).with("runID", run.run_id.as_str()).with("automationID", run.automation_id.as_str())
}
