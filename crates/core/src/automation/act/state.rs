//! Pausing an automation and its runs, and resuming it. Its runs stay paused until each is resumed.

use std::sync::Arc;

use serde_json::json;

use super::{super::admission, automation, event_of, settle};
use crate::{
    automation::{
        admission::{Base, Operation},
        run::{Event, Run, RunStatus, transition},
        spec::{Automation, AutomationStatus},
    },
    decide::{Decided, Decision, Desk, PageAsk},
    record::Column,
    text::non_blank,
};

/// Runs that one pause takes along. What is left is taken by the next round of the same call.
pub const RUNS_AT_ONCE: usize = 300;

/// The active runs of one automation, in the states that a stop concerns.
pub(in super::super) fn active_runs(desk: &mut Desk<'_>, automation_id: &str, limit: usize) -> Decided<Vec<Run>> {
    let mut found = Vec::new();
    let asks = [RunStatus::Queued, RunStatus::Running, RunStatus::Pausing].map(|status| {
        PageAsk::of::<Run>("turn", limit)
            .equal("automation_id", Column::text(automation_id))
            .equal("status", Column::text(status.word()))
    });
    desk.want(asks.iter().cloned().map(crate::decide::Ask::Page))?;
    for ask in asks {
        found.extend(desk.page::<Run>(ask)?);
    }
    Ok(found)
}

#[derive(Debug)]
pub struct Pause {
    pub automation_id: String,
    pub reason: Option<String>,
}

/// Whether runs were left that one transaction did not take along.
#[derive(Clone, Debug)]
pub struct Paused {
    pub automation: Automation,
    pub more: bool,
}

impl Decision for Pause {
    type Outcome = Paused;

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Paused> {
        let mut found = automation(desk, &self.automation_id)?;
        admission::mutate(desk, &self.automation_id, Operation::Pause)?;
        let runs = active_runs(desk, &self.automation_id, RUNS_AT_ONCE)?;
        let more = runs.len() >= RUNS_AT_ONCE;
        let reason = non_blank(self.reason.as_deref()).map(str::to_owned);
        if found.status != AutomationStatus::Paused {
            found.upkeep.status_before = Some(found.status);
            found.status = AutomationStatus::Paused;
            found.updated_at_ms = desk.now_ms().max(found.updated_at_ms + 1);
            desk.save(&found);
        }
        let mut stopped = Vec::new();
        for before in runs {
            let mut after = before.clone();
            let why = reason.clone().or_else(|| Some("its automation was paused".into()));
            // A run that is pausing already has its order.
            if transition(&mut after, Event::Pause { reason: why.clone() }, desk.now_ms()).is_ok() {
                stopped.push(after.run_id.clone());
                let event = event_of(after.status);
                settle(desk, &before, &after, event, json!({ "reason": why }));
            }
        }
        desk.audit(
            "automation.governance.paused",
            json!({ "automationID": found.automation_id, "reason": reason, "pausedRunIDs": stopped }),
        );
        Ok(Paused { automation: found, more })
    }
}

#[derive(Debug)]
pub struct Resume {
    pub automation_id: String,
    pub base: Arc<Base>,
}

impl Decision for Resume {
    type Outcome = Automation;

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Automation> {
        let mut found = automation(desk, &self.automation_id)?;
        // Governance has flags of its own to clear, and writes the audit row of the resume.
        admission::resume(desk, &self.base, &self.automation_id)?;
        found.status = AutomationStatus::Active;
        found.upkeep.status_before = None;
        found.updated_at_ms = desk.now_ms().max(found.updated_at_ms + 1);
        desk.save(&found);
        Ok(found)
    }
}
