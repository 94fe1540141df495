//! Source identity: what a monitored project or log source vouches for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of system reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    TandemRuntime,
    TandemMonitor,
    ExternalApp,
    Ci,
    AgentRuntime,
    McpGateway,
    #[default]
    CustomerSystem,
}

use crate::signal::SourceRouting;

/// What a configured project (and log source) vouches for; the only thing that may set routing facts on a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    pub project_id: String,
    pub project_name: String,
    /// The log source id, or the caller's source name where the project has no log sources.
    pub source_id: Option<String>,
    pub repo: String,
    pub workspace_root: String,
    pub source_kind: SourceKind,
    pub routing: SourceRouting,
    /// The project's `require_approval_for_new_issues`.
    pub require_approval: bool,
    /// Both the project and the source restrict destinations and share none: nothing is admitted.
    pub admits_nothing: bool,
}
