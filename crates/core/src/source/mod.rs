//! Source identity: what a monitored project or log source vouches for, and whether its data is fit to publish from.
//!
//! [`Scope`] is the configured project and source as they are, [`binding()`] what they stamp on a report. Readiness
//! counts only what a source delivered as an observation, never that someone polled it.

mod binding;
pub mod evidence;
pub mod file;
pub mod log;
pub mod pattern;
mod ready;
pub mod restart;
mod rules;
pub mod state;

pub use binding::{Binding, Scope, SourceKind, binding};
pub use file::{FileState, Gap, SourcePosition};
pub use ready::{Category, Finding, Severity, SourceReadiness, WatcherFact, readiness};
