//! Assessment that goes on: a run on cadence and after each change that matters, and what it finds compared with the run
//! before. Which findings there are is decided elsewhere; here, what is new, what came back, and what is gone.

mod act;
mod compare;
mod mark;
mod observe;
mod record;
mod schedule;
mod trigger;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use act::{Cause, Complete, GiveBack, Held};
pub use compare::{Known, Seen, compare};
pub use mark::{Mark, With};
pub use observe::{Observed, Synthetic, of_findings};
pub use record::{
    Comparison, FindingStatus, REASSESSMENTS, Reassessed, Reassessment, ReassessmentCounts, SEEN, TriggerNote,
};
pub use schedule::{
    FIRST_MS, KEPT, LOOK_MS, MOST_SCOPES, Pending, SCOPES, ScheduleRow, ScopeId, ScopeState, row, scopes,
};
pub use trigger::{Change, Trigger, of_config};

/// The source of every answer of this area.
pub const SOURCE: &str = "incident_monitor_continuous_reassessment";

/// Where reassessment stands, as other answers show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReassessmentBlock {
    pub source: String,
    pub overdue_scopes: u64,
    pub schedule: Vec<ScheduleRow>,
}

impl ReassessmentBlock {
    pub fn of(schedule: Vec<ScheduleRow>) -> Self {
        let overdue_scopes = schedule.iter().filter(|row| row.overdue).count() as u64;
        Self { source: SOURCE.into(), overdue_scopes, schedule }
    }
}

#[cfg(test)]
mod tests;
