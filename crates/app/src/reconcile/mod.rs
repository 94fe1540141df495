//! Workers as steps: each claims what is due, acts, and commits the outcome. A step may be called at any time and by
//! any number of processes; killing one anywhere costs at most a lease.

pub mod deliver;
mod destination;
mod govern;
mod outcomes;
mod reassess;
pub mod runs;
pub mod sync;
pub mod tail;
mod tool;
pub(crate) mod tracker;
pub mod triage;
pub mod upkeep;

pub(crate) use destination::Breakers;
pub use destination::{Outbound, WebhookCall};
pub(crate) use outcomes::Outcomes;
pub use tracker::ApiCall;
