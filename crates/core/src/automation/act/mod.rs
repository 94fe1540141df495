//! What may be asked for automations and their runs, one file for each kind of wish. Each is a [`Decision`]: it reads the
//! rows, asks governance whether it may, changes them, and leaves the audit rows and jobs, all in one transaction.
//!
//! [`Decision`]: crate::decide::Decision

pub mod change;
pub mod claim;
pub mod control;
pub mod create;
pub mod delete;
pub mod gate;
pub mod heartbeat;
pub mod lease;
pub mod report;
pub mod run_now;
pub mod state;

use serde_json::{Value, json};

use super::{
    read::Defect,
    run::{Run, RunStatus, failure},
    spec::Automation,
};
use crate::{
    decide::{Decided, Desk},
    error::{Code, Failure},
    record::{Job, JobKind},
};

/// The lane of a tenant's own jobs.
fn lane(desk: &Desk<'_>) -> String {
    desk.ctx.tenant.key().0
}

/// The live automation of this id, or the refusal that there is none.
pub(super) fn automation(desk: &mut Desk<'_>, id: &str) -> Decided<Automation> {
    match desk.get::<Automation>(id)?.filter(Automation::is_live) {
        Some(found) => Ok(found),
        None => Err(Failure::of(Code::AutomationNotFound).with("automationID", id).into()),
    }
}

pub(super) fn run(desk: &mut Desk<'_>, id: &str) -> Decided<Run> {
    match desk.get::<Run>(id)? {
        Some(found) => Ok(found),
        None => Err(Failure::of(Code::RunNotFound).with("runID", id).into()),
    }
}

/// What a defect of a body is answered with.
pub fn unreadable(defect: Defect, code: Code) -> Failure {
    match defect {
        Defect::Shape { path, why } if path.is_empty() => {
            Failure::new(Code::ValidationFailed, format!("The body has the wrong shape: {why}"))
        }
        Defect::Shape { path, why } => {
            let path = crate::text::truncate(&path, 120);
            Failure::new(Code::ValidationFailed, format!("The body has the wrong shape at `{path}`: {why}"))
                .with("field", path)
        }
        Defect::Invalid(why) => Failure::new(code, format!("This cannot be taken: {why}.")).with("detail", why),
        Defect::Metadata => Failure::of(Code::AutomationInvalidMetadata),
    }
}

/// What an audit row of a run says beside its event.
fn about(run: &Run, more: Value) -> Value {
    let mut payload = json!({
        "automationID": run.automation_id,
        "runID": run.run_id,
        "status": run.status,
    });
    if let (Some(all), Some(more)) = (payload.as_object_mut(), more.as_object()) {
        all.extend(more.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), value.clone())));
    }
    payload
}

/// Saves a changed run with its audit row, and hands what ended badly to the pipeline.
pub(super) fn settle(desk: &mut Desk<'_>, before: &Run, after: &Run, event_type: &'static str, more: Value) {
    let mut payload = about(after, more);
    if before.status != after.status {
        payload["from"] = before.status.word().into();
    }
    desk.audit(event_type, payload);
    if let Some(kind) = failure::kind(before, after) {
        hand_over(desk, after, kind);
    }
    desk.save(after);
}

/// Leaves the note of a bad end, and the job that makes an incident of it.
fn hand_over(desk: &mut Desk<'_>, run: &Run, kind: failure::FailureKind) {
    let failure_id = desk.id("run-failure-");
    let note = failure::Note::of(run, kind, failure_id.clone(), &desk.ctx.request_id, desk.now_ms());
    desk.save(&note);
    let (lane, due_at_ms) = (lane(desk), desk.now_ms());
    desk.job(Job { job_id: failure_id.clone(), kind: JobKind::RunFailure, lane, subject: failure_id, due_at_ms });
}

/// The audit event that tells where a run has come to.
pub(super) fn event_of(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued => "automation.v2.run.queued",
        RunStatus::Running => "automation.v2.run.running",
        RunStatus::Pausing => "automation.v2.run.pausing",
        RunStatus::Paused => "automation.v2.run.paused",
        RunStatus::AwaitingApproval => "automation.v2.run.awaiting_approval",
        RunStatus::Completed => "automation.v2.run.completed",
        RunStatus::Blocked => "automation.v2.run.blocked",
        RunStatus::Failed => "automation.v2.run.failed",
        RunStatus::Cancelled => "automation.v2.run.cancelled",
    }
}
