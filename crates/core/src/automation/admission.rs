//! Where automations and runs ask governance whether they may: one function for each question, and nothing decided here.

use serde_json::{Value, json};

use super::{
    read::Origin,
    run::{
        Run,
        report::{Report, Usage},
    },
    spec::Automation,
};
use crate::decide::{Decided, Desk};

/// Limits and defaults that the server was started with.
#[derive(Clone, Debug, Default)]
pub struct Base;

/// What a request says of its author's lineage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Agents that led to this one, the oldest first.
    pub ancestors: Vec<String>,
    /// The run in which the request is made.
    pub run_id: Option<String>,
}

/// What somebody wants to do with an automation or its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Share,
    Pause,
    RunPause,
    RunResume,
    RunCancel,
    RunRecover,
    RunClaim,
    RunReport,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Readmission {
    Admitted,
    Held { reason: String },
}

/// A new automation: its record is written, or it is refused.
pub fn create(
    desk: &mut Desk<'_>,
    _base: &Base,
    automation: &mut Automation,
    _origin: &Origin,
    _claims: &Claims,
) -> Decided<()> {
    desk.audit("automation.governance.created", json!({ "automationID": automation.automation_id }));
    Ok(())
}

/// A change. Answers with whether the automation has to be paused for it.
pub fn patch(
    _desk: &mut Desk<'_>,
    _base: &Base,
    _before: &Automation,
    _after: &Automation,
    _names_agents: bool,
) -> Decided<bool> {
    Ok(false)
}

/// Whether the author may do this with the automation.
pub fn mutate(_desk: &mut Desk<'_>, _base: &Base, _automation_id: &str, _operation: Operation) -> Decided<()> {
    Ok(())
}

/// Whether the author may work on runs of the automation. A refusal is an answer of no where runs are only looked
/// through, and a refusal of the call where one was named.
pub fn may_work(
    _desk: &mut Desk<'_>,
    _base: &Base,
    _automation_id: &str,
    _operation: Operation,
    _named: bool,
) -> Decided<bool> {
    Ok(true)
}

/// Resuming the automation.
pub fn resume(desk: &mut Desk<'_>, _base: &Base, automation_id: &str) -> Decided<()> {
    desk.audit("automation.governance.resumed", json!({ "automationID": automation_id }));
    Ok(())
}

/// Deleting it. Governance keeps the snapshot.
pub fn delete(desk: &mut Desk<'_>, _base: &Base, automation_id: &str, _snapshot: Value) -> Decided<()> {
    desk.audit("automation.governance.deleted", json!({ "automationID": automation_id }));
    Ok(())
}

/// A new run. Answers with the agents that answer for it, the closest first.
pub fn start(
    _desk: &mut Desk<'_>,
    _base: &Base,
    _automation: &Automation,
    _run_id: &str,
    _dry: bool,
) -> Decided<Vec<String>> {
    Ok(Vec::new())
}

/// A run that is to be worked on again.
pub fn readmit(_desk: &mut Desk<'_>, _base: &Base, _run: &Run) -> Decided<Readmission> {
    Ok(Readmission::Admitted)
}

/// What usage costs, in US dollars.
pub fn price(_desk: &mut Desk<'_>, _base: &Base, usage: Option<&Usage>) -> Decided<f64> {
    Ok(usage.and_then(|usage| usage.cost_usd).unwrap_or(0.0))
}

/// A report that is taken in. Answers with the reason for a stop, if there has to be one.
pub fn report(
    _desk: &mut Desk<'_>,
    _base: &Base,
    _before: &Run,
    _after: &Run,
    _report: &Report,
    _cost_usd: f64,
) -> Decided<Option<String>> {
    Ok(None)
}

/// A run has ended otherwise than by a report.
pub fn ended(_desk: &mut Desk<'_>, _base: &Base, _run: &Run) -> Decided<()> {
    Ok(())
}

/// An executor has said that it stopped.
pub fn acknowledged(_desk: &mut Desk<'_>, _run: &Run) -> Decided<()> {
    Ok(())
}
