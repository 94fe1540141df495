//! A failure as it comes in, from untrusted words to a count on an incident.
//!
//! [`submission`] is what callers send; [`accept`] bounds, redacts, completes and judges it; [`fold`](fold::fold) adds
//! the accepted signal to its incident. Nothing is ever dropped without being counted.

pub mod accept;
pub mod context;
pub mod fold;
pub mod from_log;
pub mod once;
pub mod quality;
pub mod submission;

pub use accept::{Accepted, Door, Rejection, accept};
pub use context::{Classification, SafetyContext, SourceRouting};
pub use fold::{Outcome, fold};
pub use quality::{Gate, QualityGate};
pub use submission::Submission;
