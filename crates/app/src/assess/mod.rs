//! Assessment: the estate is loaded, judged by pure functions, and answered. Reading it changes nothing.

mod boundary;
mod context;
mod estate;
mod memory;
mod package;
mod posture;
mod rows;

pub use boundary::BoundaryRequest;
pub use context::{Blackboard, BlackboardArtifact, ContextRunView};
pub use estate::viewer;
pub use memory::MemoryAuditRow;
pub use package::{GovernanceEvidence, LedgerRequest, RunLedgerAnswer};
