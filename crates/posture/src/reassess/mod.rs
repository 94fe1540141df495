//! Assessment that goes on: a run on cadence and after each change that matters, and what it finds compared with the run
//! before. Which findings there are is decided elsewhere; here, what is new, what came back, and what is gone.

mod act;
mod answer;
mod compare;
mod mark;
mod observe;
mod record;
mod schedule;
mod trigger;

pub use act::{Cause, Complete, GiveBack, Held};
pub use answer::{ListCounts, ReassessmentBlock, ReassessmentList, ReassessmentRun, ReassessmentScope};
pub use compare::{Known, Seen, compare};
pub use mark::{Mark, With};
pub use observe::{Observed, Synthetic, of_findings, of_metrics, of_probes, of_scenarios};
pub use record::{
    Comparison, FindingStatus, REASSESSMENTS, Reassessed, Reassessment, ReassessmentCounts, SEEN, ScopeOwner,
    TriggerNote,
};
pub use schedule::{
    FIRST_MS, KEPT, LOOK_MS, MOST_SCOPES, Pending, SCOPES, ScheduleRow, ScopeId, ScopeState, row, scopes,
};
pub use trigger::{Change, Trigger, of_config};

#[cfg(test)]
mod tests;
