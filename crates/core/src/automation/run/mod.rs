//! One run of an automation: its record, and what may become of it.
//!
//! [`transition`] is the one place where a run's status changes: total over status and event. [`claim`] lends a run to
//! an executor, [`report`] takes in what the executor says, [`gate`] a person's decision, [`recover`] puts back what
//! failed. [`order`] is how a stop reaches an executor, and how long that took. [`failure`] makes a report for the
//! incident pipeline of a run that ended badly. [`view`] is how clients see a run.

pub mod claim;
pub mod failure;
pub mod gate;
pub mod order;
pub mod record;
pub mod recover;
pub mod report;
pub mod transition;
pub mod view;

pub use order::StopOrder;
pub use record::{RUNS, Run, RunStatus, StopKind};
pub use transition::{Event, Refusal, transition};
