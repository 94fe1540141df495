//! What may be done here, by whom, and whether that is safe: assessment as pure functions.
//!
//! An [`estate`] is everything that the store knows of a tenant. The [`inventory`] is the estate without its secrets;
//! rules, probes, cards, metrics and reports are functions of it. Time comes in as a value. Nothing here reads, writes
//! or reaches out, and nothing here changes what it judges.

pub mod boundary;
pub mod cards;
pub mod controls;
pub mod declared;
pub mod estate;
pub mod evidence;
pub mod finding;
pub mod inventory;
pub mod lifecycle;
pub mod metrics;
pub mod posture;
pub mod probes;
pub mod reach;
pub mod reassess;
pub mod report;
pub mod run;
pub mod scan;
pub mod scenarios;
pub mod tools;
