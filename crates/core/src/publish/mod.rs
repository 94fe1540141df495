//! Publishing: what is asked for, what each destination's delivery goes through, and how both are told.

pub mod boundary;
pub mod breaker;
pub mod delivery;
pub mod digest;
pub mod external_action;
pub mod payload;
pub mod plan;
pub mod refusal;
pub mod sanitize;
pub mod schedule;
pub mod settle;
pub mod signature;
pub mod target;

use crate::wire::wire_enum;

pub use delivery::{Attempt, Delivery, DeliveryState, Intent, Prepared};
pub use external_action::ExternalAction;

wire_enum! {
    /// What a publish, approve or recheck call did.
    pub enum Action {
        ApprovalRequired = "approval_required",
        Approved = "approved",
        CreateIssue = "create_issue",
        CommentIssue = "comment_issue",
        MatchedOpenNoComment = "matched_open_no_comment",
        DraftReady = "draft_ready",
        SkipDuplicate = "skip_duplicate",
        CreateIssueRetrySuppressed = "create_issue_retry_suppressed",
        PublishInProgress = "publish_in_progress",
        MatchedLinearIssue = "matched_linear_issue",
        PostWebhook = "post_webhook",
        WebhookRetrySuppressed = "webhook_retry_suppressed",
        RecordTelemetry = "record_telemetry",
        StoreMemorySummary = "store_memory_summary",
        CallMcpTool = "call_mcp_tool",
        McpToolRetrySuppressed = "mcp_tool_retry_suppressed",
        MatchedOpen = "matched_open",
        MatchedClosed = "matched_closed",
        NoMatch = "no_match",
        LocalRecordFound = "local_record_found",
        McpToolRecordFound = "mcp_tool_record_found",
    }
}

wire_enum! {
    /// Who asked for a publish.
    pub enum Mode {
        Auto = "auto",
        /// A published failure was seen again: trackers that have its issue are told, and nothing else is sent.
        Recurrence = "recurrence",
        Recovery = "recovery",
        Manual = "manual_publish",
        Recheck = "recheck_only",
    }
}
