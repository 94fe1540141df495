//! Source identity: what a monitored project or log source vouches for, and whether its data is fit to publish from.
//!
//! [`Scope`] is the configured project and source as they are, [`binding()`] what they stamp on a report. Readiness
//! counts only what a source delivered as an observation, never that someone polled it.

mod binding;
pub mod file;
pub mod pattern;
mod ready;
pub mod restart;
mod rules;

pub use binding::{Binding, Scope, SourceKind, binding};
pub use ready::{Category, Finding, Severity, SourceReadiness, WatcherFact, readiness};
