//! Automations: what an agent or a person set up to be run, and the runs of it.
//!
//! Decided here: which bodies are automations and in which form they are kept ([`casing`], [`read`], [`spec`]), who may
//! see one ([`share`]), what a run may become and what its executor is told ([`run`]), and which of it is told to those
//! who follow along ([`event`]).
//!
//! Deliberately absent: whether something may happen. Limits, grants, reviews and spend are governance's; nothing here
//! looks at who acts. Absent too: the work itself. Executors are other programs, which claim runs and report.

pub mod act;
pub mod admission;
pub mod casing;
pub mod event;
pub mod hooks;
pub mod read;
pub mod run;
pub mod share;
pub mod spec;
pub mod view;

pub use spec::{AUTOMATIONS, Automation, AutomationStatus, Spec};
