//! The audit log as its readers see it: rows, checkpoints, proofs, exports, and how intact it is.
//!
//! Every answer says so. A tampered log stays readable and exportable; the state clears only by an operator's
//! recorded acknowledgement, which is itself a row.

mod check;
mod evidence;
mod export;
mod exports;
mod read;
mod retention;
mod sign;
mod witness;

pub use check::{Acknowledge, Checks};
pub use export::ExportStream;
pub use exports::{ExportCall, ExportTrouble};
pub use read::{Events, EventsRequest, Manifest, StreamRow};
pub use sign::Signed;
pub use witness::{Witness, Witnessed};
