//! Assessment: the estate is loaded, judged by pure functions, and answered. Reading it changes nothing.

mod boundary;
mod cards;
mod context;
mod declared;
mod doors;
mod estate;
mod findings;
mod memory;
mod metrics;
mod package;
mod posture;
mod probes;
mod reassess;
mod report;
mod rows;
mod scenarios;
mod turn;

pub use boundary::BoundaryRequest;
pub use cards::{CardDetail, CardFilter, Signing};
pub use context::{Blackboard, BlackboardArtifact, ContextRunView};
pub use doors::Doors;
pub use estate::viewer;
pub use findings::FindingFilter;
pub use memory::MemoryAuditRow;
pub use package::{GovernanceEvidence, LedgerRequest, RunLedgerAnswer};
pub use probes::probe_options;
pub(crate) use reassess::{Run, Scopes};
pub use turn::Turn;
pub(crate) use turn::Turns;
