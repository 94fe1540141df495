//! The audit log as its readers see it: rows, checkpoints, proofs, exports, and how intact it is.
//!
//! Every answer says so. A tampered log stays readable and exportable; the state clears only by an operator's
//! recorded acknowledgement, which is itself a row.

mod check;
mod export;
mod read;
mod sign;

pub use check::{Acknowledge, Checks};
pub use export::ExportStream;
pub use read::{Events, EventsRequest, Manifest, StreamRow};
pub use sign::Signed;
