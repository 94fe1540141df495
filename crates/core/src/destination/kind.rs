//! The kinds of destination.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DestinationKind {
    #[default]
    GithubIssue,
    LinearIssue,
    Webhook,
    Telemetry,
    McpTool,
    InternalMemory,
}

impl DestinationKind {
    pub const ALL: [Self; 6] =
        [Self::GithubIssue, Self::LinearIssue, Self::Webhook, Self::Telemetry, Self::McpTool, Self::InternalMemory];

    pub fn label(self) -> &'static str {
        match self {
            Self::GithubIssue => "github_issue",
            Self::LinearIssue => "linear_issue",
            Self::Webhook => "webhook",
            Self::Telemetry => "telemetry",
            Self::McpTool => "mcp_tool",
            Self::InternalMemory => "internal_memory",
        }
    }

    /// Local stores take a record at once; everything else waits for triage evidence.
    pub fn needs_triage(self) -> bool {
        match self {
            Self::Telemetry | Self::InternalMemory => false,
            Self::GithubIssue | Self::LinearIssue | Self::Webhook | Self::McpTool => true,
        }
    }

    /// Issue trackers: what is sent to them cannot be repeated, and is looked up by its marker instead.
    pub fn is_tracker(self) -> bool {
        match self {
            Self::GithubIssue | Self::LinearIssue => true,
            Self::Webhook | Self::Telemetry | Self::McpTool | Self::InternalMemory => false,
        }
    }

    /// Whether this server can deliver to the kind at all. The others are configured, routed and previewed, and their
    /// readiness says why nothing is sent.
    pub fn has_adapter(self) -> bool {
        match self {
            Self::Webhook
            | Self::Telemetry
            | Self::InternalMemory
            | Self::GithubIssue
            | Self::LinearIssue
            | Self::McpTool => true,
        }
    }
}
