//! The mirror of what left the server: one row per successful publish to an outside system, for authority inventories.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    destination::DestinationKind,
    draft::{Draft, DraftStatus},
    receipt::Post,
    record::{Collection, Column, Record},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExternalAction {
    /// The id of the receipt.
    pub action_id: String,
    pub operation: String,
    pub status: String,
    pub source_kind: Option<String>,
    pub source_id: Option<String>,
    pub routine_run_id: Option<String>,
    pub context_run_id: Option<String>,
    pub capability_id: Option<String>,
    pub provider: Option<String>,
    pub target: Option<String>,
    pub approval_state: Option<String>,
    pub idempotency_key: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub receipt: Option<Value>,
    pub error: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

pub static EXTERNAL_ACTIONS: Collection =
    Collection { name: "external_actions", columns: &["idempotency_key", "updated_at_ms"] };

impl Record for ExternalAction {
    const COLLECTION: &'static Collection = &EXTERNAL_ACTIONS;
    fn id(&self) -> &str {
        &self.action_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::opt(self.idempotency_key.as_deref()), Column::ms(self.updated_at_ms)]
    }
}

/// The mirror of a receipt; `None` for the local kinds, which reach nothing outside.
pub fn mirror(post: &Post, draft: &Draft) -> Option<ExternalAction> {
    let capability = match post.destination_kind? {
        DestinationKind::GithubIssue if post.operation == "comment_issue" => "github.comment_on_issue",
        DestinationKind::GithubIssue if post.operation == "match_issue" => "github.list_issues",
        DestinationKind::GithubIssue => "github.create_issue",
        DestinationKind::LinearIssue if post.operation == "match_issue" => "linear.list_issues",
        DestinationKind::LinearIssue if post.operation == "comment_issue" => "linear.create_comment",
        DestinationKind::LinearIssue => "linear.create_issue",
        DestinationKind::Webhook => "webhook.post",
        // The tool itself, namespaced.
        DestinationKind::McpTool => {
            let tool = post.receipt.as_ref().and_then(|receipt| receipt.get("namespaced_tool")).and_then(Value::as_str);
            tool.unwrap_or("mcp.call_tool")
        }
        DestinationKind::Telemetry | DestinationKind::InternalMemory => return None,
    };
    let waiting = draft.status == DraftStatus::ApprovalRequired;
    Some(ExternalAction {
        action_id: post.post_id.clone(),
        operation: post.operation.clone(),
        status: post.status.word().to_owned(),
        source_kind: Some("incident_monitor".into()),
        source_id: Some(draft.draft_id.clone()),
        routine_run_id: None,
        context_run_id: draft.triage_run_id.clone(),
        capability_id: Some(capability.into()),
        provider: Some("incident-monitor".into()),
        target: post.target_ref.clone().or_else(|| Some(post.repo.clone())),
        approval_state: Some(if waiting { "approval_required" } else { "executed" }.into()),
        idempotency_key: Some(post.idempotency_key.clone()),
        receipt: Some(json!({
            "post_id": post.post_id,
            "draft_id": post.draft_id,
            "incident_id": post.incident_id,
            "destination_id": post.destination_id,
            "destination_kind": post.destination_kind,
            "route_id": post.route_id,
            "route_match_reason": post.route_match_reason,
            "external_id": post.external_id,
            "external_url": post.external_url,
            "external_title": post.external_title,
            "target_ref": post.target_ref,
            "response_excerpt": post.response_excerpt,
            "issue_number": post.issue_number,
            "issue_url": post.issue_url,
            "comment_id": post.comment_id,
            "comment_url": post.comment_url,
        })),
        error: post.error.clone(),
        metadata: Some(json!({
            "repo": draft.repo,
            "destination_id": post.destination_id,
            "destination_kind": post.destination_kind,
            "route_id": post.route_id,
            "route_match_reason": post.route_match_reason,
            "target_ref": post.target_ref,
            "fingerprint": draft.fingerprint,
            "evidence_digest": post.evidence_digest,
            "confidence": draft.classification.confidence,
            "risk_level": draft.classification.risk_level,
            "risk_category": draft.safety.risk_category,
            "actor": draft.safety.actor,
            "model": draft.safety.model,
            "tool_name": draft.safety.tool_name,
            "action": draft.safety.action,
            "policy": draft.safety.policy,
            "approval_state": draft.safety.approval_state,
            "blast_radius": draft.safety.blast_radius,
            "external_correlation_ids": draft.safety.external_correlation_ids,
            "expected_destination": draft.classification.expected_destination,
            "evidence_refs": post.evidence_refs,
            "quality_gate": post.quality_gate,
            "incident_monitor_operation": post.operation,
        })),
        created_at_ms: post.created_at_ms,
        updated_at_ms: post.updated_at_ms,
    })
}
