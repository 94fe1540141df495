//! Triage: what a failure report says, what in the source it points at, and what to do about it.
//!
//! Four phases, each a pure function of the one before: [`inspect`](inspect::inspect) reads the report,
//! [`research`] plans a bounded search and judges what came back, [`validate`](validate::validate) states the scope,
//! [`propose`](propose::propose) names fix points and checks. [`synthesise`](synthesise::synthesise) turns them into the
//! same [`SummaryInput`] that an outside agent may post, so both take one way from there: normalised, judged by the
//! gates of [`gate`], rendered by [`issue_draft`].
//!
//! Deterministic and offline. A file is named only when this failure's own evidence led to it; no hit is confidence
//! `low`, and the texts say so. Deliberately absent: the search itself (a [`Workspace`] does it), models, the clock,
//! and any decision to publish.

pub mod artifact;
pub mod duplicate;
mod failure_type;
pub mod gate;
pub mod inspect;
pub mod issue_draft;
pub mod markdown;
pub mod marker;
pub mod memory;
pub mod propose;
pub mod render;
mod report;
pub mod research;
pub mod run;
pub mod summary;
pub mod synthesise;
mod terms;
mod trace;
pub mod validate;
pub mod view;

pub use artifact::{Artifact, ArtifactRecord, ArtifactType};
pub use duplicate::{DuplicateMatch, DuplicateSummary, PastFailure, PastIncident};
pub use inspect::{FailureType, Inspection, inspect};
pub use issue_draft::{IssueDraft, issue_draft};
pub use memory::{MemoryCategory, MemoryEntry, MemoryOutcome};
pub use propose::{Proposal, propose};
pub use research::{Research, ResearchPlan, Workspace, WorkspaceFindings, conclude_research, plan_research};
pub use run::{Node, Phase, PhaseStatus, RunBrief, RunStatus, TriageRun};
pub use summary::{SummaryFields, SummaryInput, TriageSummary, settle};
pub use synthesise::{backfill, synthesise};
pub use validate::{Validation, validate};
pub use view::RunView;

#[cfg(test)]
mod tests;
