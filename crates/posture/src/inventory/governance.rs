//! What waits for a person, what was decided, and what left the server.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::{
    automation::run::{Run, gate::GateDecision},
    governance::approval::{Resource, fold_id},
    tenant::TenantContext,
};
use utoipa::ToSchema;

use super::{CAP, DestinationRow, Viewer, keys_of, present, strings};
use crate::estate::{Estate, Owned};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryTenantRef)]
pub struct TenantRef {
    pub org_id: String,
    pub workspace_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalWait {
    pub wait_id: String,
    pub approval_request_id: String,
    pub source: String,
    pub run_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition_id: Option<String>,
}

/// A run that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PendingApproval {
    /// `automation_v2:{run}:{node}`.
    pub request_id: String,
    pub source: String,
    pub tenant: TenantRef,
    pub run_id: String,
    pub node_id: String,
    pub workflow_name: String,
    pub action_kind: Option<String>,
    pub requested_at_ms: u64,
    pub expires_at_ms: Option<u64>,
    pub decisions: Vec<String>,
    pub rework_targets: Vec<String>,
    pub instructions_present: bool,
    pub approval_wait: Option<ApprovalWait>,
}

/// A request for approval. Rationale and context stay out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalRequestRow {
    pub approval_id: String,
    pub request_type: String,
    pub target_resource: Resource,
    pub status: String,
    pub expires_at_ms: u64,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    pub reviewed_at_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecisionRow {
    pub decision_id: String,
    pub tenant_context: TenantContext,
    pub actor_id: Option<String>,
    pub session_id: Option<String>,
    pub run_id: Option<String>,
    pub automation_id: Option<String>,
    pub node_id: Option<String>,
    /// What was asked for.
    pub tool: Option<String>,
    pub resource: Option<Resource>,
    pub data_classes: Vec<String>,
    pub risk_tier: Option<String>,
    pub decision: String,
    pub reason_code: String,
    pub policy_id: String,
    pub grant_id: Option<String>,
    pub approval_id: Option<String>,
    pub created_at_ms: u64,
    pub metadata_keys: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SurfaceTarget {
    pub repo: Option<String>,
    pub linear_team: Option<String>,
    pub linear_project: Option<String>,
    pub webhook_url_present: bool,
    pub telemetry_path: Option<String>,
    pub mcp_server: Option<String>,
    pub mcp_tool: Option<String>,
    pub memory_category: Option<String>,
}

/// Where something could leave to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Surface {
    pub source: String,
    pub surface_id: String,
    pub name: String,
    pub kind: String,
    pub enabled: bool,
    pub require_approval: bool,
    pub target: SurfaceTarget,
    pub config_keys: Vec<String>,
}

/// What left. Receipt and metadata stay out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActionRow {
    pub action_id: String,
    pub operation: String,
    pub status: String,
    pub source_kind: Option<String>,
    pub source_id: Option<String>,
    pub routine_run_id: Option<String>,
    pub context_run_id: Option<String>,
    pub capability_id: Option<String>,
    pub provider: Option<String>,
    /// As the receipt names it.
    pub target: Option<String>,
    pub approval_state: Option<String>,
    pub idempotency_key_present: bool,
    pub receipt_present: bool,
    pub error: Option<String>,
    pub metadata_keys: Vec<String>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExternalSurfaces {
    pub configured_destinations: Vec<Surface>,
    /// Newest first.
    pub recent_actions: Vec<ActionRow>,
}

pub(super) fn pending(estate: &Estate) -> Vec<PendingApproval> {
    let mut rows: Vec<PendingApproval> = estate.waiting.iter().filter_map(wait).collect();
    rows.sort_by(|a, b| b.requested_at_ms.cmp(&a.requested_at_ms).then_with(|| a.request_id.cmp(&b.request_id)));
    rows.truncate(CAP);
    rows
}

fn wait(owned: &Owned<Run>) -> Option<PendingApproval> {
    let run = &owned.value;
    let gate = run.checkpoint.awaiting_gate.as_ref()?;
    let request_id = format!("automation_v2:{}:{}", run.run_id, gate.node_id);
    let extra = |key: &str| gate.extra.get(key);
    let decisions = strings(extra("decisions"));
    Some(PendingApproval {
        source: "automation_v2".into(),
        tenant: TenantRef {
            org_id: owned.tenant.org_id.clone(),
            workspace_id: owned.tenant.workspace_id.clone(),
            user_id: owned.tenant.actor_id.clone(),
        },
        run_id: run.run_id.clone(),
        node_id: gate.node_id.clone(),
        workflow_name: run.workflow_name.clone(),
        action_kind: extra("action_kind").and_then(Value::as_str).map(str::to_owned),
        requested_at_ms: gate.requested_at_ms,
        expires_at_ms: gate.expires_at_ms,
        decisions: if decisions.is_empty() {
            GateDecision::ALL.iter().map(|decision| decision.word().to_owned()).collect()
        } else {
            decisions
        },
        rework_targets: strings(extra("rework_targets")),
        instructions_present: present(extra("instructions").and_then(Value::as_str)),
        approval_wait: Some(ApprovalWait {
            wait_id: format!("{}:{}", run.run_id, gate.transition_id),
            approval_request_id: request_id.clone(),
            source: "automation_v2".into(),
            run_id: run.run_id.clone(),
            node_id: Some(gate.node_id.clone()),
            transition_id: Some(gate.transition_id.clone()).filter(|id| !id.is_empty()),
        }),
        request_id,
    })
}

pub(super) fn requests(estate: &Estate, viewer: &Viewer) -> Vec<ApprovalRequestRow> {
    let rows = estate.approvals.iter().map(|owned| &owned.value);
    let visible = rows.filter(|approval| match viewer {
        Viewer::Reviewer => true,
        Viewer::Nobody => false,
        Viewer::Requester(own) => {
            let asked = &approval.requested_by;
            let asked = asked.actor_id.as_deref().or(asked.source.as_deref());
            own.as_deref().zip(asked).is_some_and(|(own, asked)| fold_id(own) == fold_id(asked))
        }
    });
    let row = |approval: &tandem_core::governance::approval::Approval| ApprovalRequestRow {
        approval_id: approval.approval_id.clone(),
        request_type: approval.request_type.word().to_owned(),
        target_resource: approval.target_resource.clone(),
        status: approval.status.word().to_owned(),
        expires_at_ms: approval.expires_at_ms,
        created_at_ms: approval.created_at_ms,
        updated_at_ms: approval.updated_at_ms,
        reviewed_at_ms: approval.reviewed_at_ms,
    };
    visible.map(row).collect()
}

pub(super) fn decisions(estate: &Estate) -> Vec<DecisionRow> {
    let row = |owned: &Owned<tandem_core::governance::policy::PolicyDecision>| {
        let decision = &owned.value;
        DecisionRow {
            decision_id: decision.decision_id.clone(),
            tenant_context: owned.tenant.clone(),
            actor_id: decision.actor_id.clone(),
            session_id: None,
            run_id: decision.run_id.clone(),
            automation_id: decision.automation_id.clone(),
            node_id: None,
            tool: Some(decision.operation.clone()),
            resource: decision.automation_id.as_deref().map(Resource::automation),
            data_classes: Vec::new(),
            risk_tier: None,
            decision: decision.decision.word().to_owned(),
            reason_code: decision.reason_code.clone(),
            policy_id: decision.policy_id.clone(),
            grant_id: decision.grant_id.clone(),
            approval_id: decision.approval_id.clone(),
            created_at_ms: decision.created_at_ms,
            metadata_keys: Vec::new(),
        }
    };
    estate.decisions.iter().take(CAP).map(row).collect()
}

/// The target of an action. A webhook's address is withheld, because its path may be all that protects it; equal ones
/// still have equal names.
fn shown_target(capability: Option<&str>, target: Option<&str>) -> Option<String> {
    match (capability, target) {
        (Some("webhook.post"), Some(url)) => Some(webhook_name(url)),
        (_, target) => target.map(str::to_owned),
    }
}

/// A name for a webhook's address that does not tell it.
pub(crate) fn webhook_name(url: &str) -> String {
    format!("webhook:{}", &tandem_core::publish::digest::h([url])[..16])
}

pub(super) fn surfaces(estate: &Estate, destinations: &[DestinationRow]) -> ExternalSurfaces {
    let surface = |row: &DestinationRow| Surface {
        source: "incident_monitor_destination".into(),
        surface_id: row.destination_id.clone(),
        name: row.name.clone(),
        kind: row.kind.clone(),
        enabled: row.enabled,
        require_approval: row.require_approval,
        target: SurfaceTarget {
            repo: row.repo.clone(),
            linear_team: row.linear_team.clone(),
            linear_project: row.linear_project.clone(),
            webhook_url_present: row.webhook_url_present,
            telemetry_path: row.telemetry_path.clone(),
            mcp_server: row.mcp_server.clone(),
            mcp_tool: row.mcp_tool.clone(),
            memory_category: row.memory_category.clone(),
        },
        config_keys: row.custom_config_keys.clone(),
    };
    let action = |owned: &Owned<tandem_core::publish::external_action::ExternalAction>| {
        let action = &owned.value;
        ActionRow {
            action_id: action.action_id.clone(),
            operation: action.operation.clone(),
            status: action.status.clone(),
            source_kind: action.source_kind.clone(),
            source_id: action.source_id.clone(),
            routine_run_id: action.routine_run_id.clone(),
            context_run_id: action.context_run_id.clone(),
            capability_id: action.capability_id.clone(),
            provider: action.provider.clone(),
            target: shown_target(action.capability_id.as_deref(), action.target.as_deref()),
            approval_state: action.approval_state.clone(),
            idempotency_key_present: present(action.idempotency_key.as_deref()),
            receipt_present: action.receipt.as_ref().is_some_and(|receipt| !receipt.is_null()),
            error: action.error.clone(),
            metadata_keys: keys_of(action.metadata.as_ref()),
            created_at_ms: action.created_at_ms,
            updated_at_ms: action.updated_at_ms,
        }
    };
    ExternalSurfaces {
        configured_destinations: destinations.iter().map(surface).collect(),
        recent_actions: estate.actions.iter().take(CAP).map(action).collect(),
    }
}
