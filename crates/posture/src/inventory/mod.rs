//! The authority inventory: everything that can act, through what, to where, under which approval. Identifiers and
//! presence flags only; [`OMITTED`] lists what is left out on purpose.

mod automation;
mod governance;
mod mcp;
mod monitor;
mod workflow;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tandem_core::tenant::TenantContext;
use utoipa::ToSchema;

pub use automation::{AgentRow, AutomationRow, ConnectionGrant, GateRow, McpPolicyRow, NodeRow, ToolPolicyRow};
pub(crate) use governance::webhook_name;
pub use governance::{
    ActionRow, ApprovalRequestRow, ApprovalWait, DecisionRow, ExternalSurfaces, PendingApproval, Surface,
    SurfaceTarget, TenantRef,
};
pub use mcp::{GovernedTool, McpInventory, ServerEntry};
pub use monitor::{
    ApprovalRule, DataPresence, DestinationRow, KeyRow, MonitorRow, RouteMatchRow, RouteRow, SafetyRow, SourceRow,
    destination_row,
};
pub use workflow::{
    DeclaredAgentRow, RegisteredAgentRow, RuntimeRow, TokenRow, ToolPolicyEntry, WorkflowHook, WorkflowRow,
};

use crate::estate::Estate;

/// Values that are never in an answer, by name.
pub const OMITTED: [&str; 16] = [
    "incident_monitor_intake_key.key_hash",
    "incident_monitor_intake_key.raw_key",
    "destination.webhook_secret_ref_value",
    "destination.config_values",
    "workflow.action.with_values",
    "automation.model_policy_values",
    "automation.node.metadata_values",
    "source.data_readiness.allowed_use",
    "source.data_readiness.quality_notes",
    "source.data_readiness.legal_basis",
    "source.data_readiness.authorization_marker",
    "external_action.receipt",
    "external_action.metadata",
    "mcp.secret_refs",
    "mcp.credential_binding",
    "mcp.last_auth_challenge",
];

/// Rows of `pending_approvals`, `policy_decisions` and `recent_actions` at most; the newest stay.
pub const CAP: usize = 100;

/// Who reads the inventory.
#[derive(Clone, Debug)]
pub enum Viewer {
    /// A person who may review: all approval requests.
    Reviewer,
    /// Anyone else: their own requests.
    Requester(Option<String>),
    /// A worker of this server: none.
    Nobody,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scope {
    pub tenant_context: TenantContext,
    pub source: String,
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SensitiveValues {
    pub policy: String,
    pub omitted_fields: Vec<String>,
}

impl SensitiveValues {
    pub fn of(fields: impl IntoIterator<Item = &'static str>) -> Self {
        let omitted_fields = fields.into_iter().map(str::to_owned).collect();
        Self { policy: "redacted_or_summarized".into(), omitted_fields }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuthorityInventory {
    pub schema_version: u32,
    pub generated_at_ms: u64,
    pub scope: Scope,
    pub inventory: Inventory,
    pub counts: BTreeMap<String, u64>,
    pub sensitive_values: SensitiveValues,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuthorityInventorySections)]
pub struct Inventory {
    /// Workflows that other systems declared.
    pub workflows: Vec<WorkflowRow>,
    pub automation_specs: Vec<AutomationRow>,
    pub mcp: McpInventory,
    pub incident_monitor: MonitorRow,
    pub destinations: Vec<DestinationRow>,
    pub routes: Vec<RouteRow>,
    /// A row for each project, followed by one for each of its log sources.
    pub monitored_sources: Vec<SourceRow>,
    pub scoped_intake_keys: Vec<KeyRow>,
    pub approval_rules: Vec<ApprovalRule>,
    pub pending_approvals: Vec<PendingApproval>,
    pub governance_approval_requests: Vec<ApprovalRequestRow>,
    pub policy_decisions: Vec<DecisionRow>,
    pub external_publish_surfaces: ExternalSurfaces,
    /// Agents of the registry.
    pub agents: Vec<RegisteredAgentRow>,
    /// Agents that other systems declared.
    pub declared_agents: Vec<DeclaredAgentRow>,
    /// Hooks that belong to no declared workflow.
    pub hooks: Vec<WorkflowHook>,
    pub tool_policies: Vec<ToolPolicyEntry>,
    pub runtimes: Vec<RuntimeRow>,
    /// Full tokens, without anything that opens a door.
    pub api_tokens: Vec<TokenRow>,
}

/// The inventory of an estate, as this viewer may see it.
pub fn inventory(estate: &Estate, viewer: &Viewer) -> AuthorityInventory {
    let destinations = monitor::destinations(estate);
    let inventory = Inventory {
        workflows: workflow::workflows(estate),
        automation_specs: automation::automations(estate),
        mcp: mcp::servers(estate),
        incident_monitor: monitor::monitor(estate),
        routes: monitor::routes(estate),
        monitored_sources: monitor::sources(estate),
        scoped_intake_keys: monitor::keys(estate),
        approval_rules: monitor::approval_rules(estate),
        pending_approvals: governance::pending(estate),
        governance_approval_requests: governance::requests(estate, viewer),
        policy_decisions: governance::decisions(estate),
        external_publish_surfaces: governance::surfaces(estate, &destinations),
        agents: workflow::registered_agents(estate),
        declared_agents: workflow::declared_agents(estate),
        hooks: workflow::hooks(estate),
        tool_policies: workflow::tool_policies(estate),
        runtimes: workflow::runtimes(estate),
        api_tokens: workflow::tokens(estate),
        destinations,
    };
    AuthorityInventory {
        schema_version: 1,
        generated_at_ms: estate.now_ms,
        scope: Scope {
            tenant_context: estate.tenant.clone(),
            source: "incident_monitor_authority_inventory".into(),
            read_only: true,
        },
        counts: counts(&inventory),
        inventory,
        sensitive_values: SensitiveValues::of(OMITTED),
    }
}

fn counts(inventory: &Inventory) -> BTreeMap<String, u64> {
    let surfaces = &inventory.external_publish_surfaces;
    [
        ("workflows", inventory.workflows.len()),
        ("automation_specs", inventory.automation_specs.len()),
        ("mcp_servers", inventory.mcp.servers.len()),
        ("destinations", inventory.destinations.len()),
        ("routes", inventory.routes.len()),
        ("monitored_sources", inventory.monitored_sources.len()),
        ("scoped_intake_keys", inventory.scoped_intake_keys.len()),
        ("pending_approvals", inventory.pending_approvals.len()),
        ("governance_approval_requests", inventory.governance_approval_requests.len()),
        ("policy_decisions", inventory.policy_decisions.len()),
        ("external_actions", surfaces.recent_actions.len()),
        ("agents", inventory.agents.len()),
        ("declared_agents", inventory.declared_agents.len()),
        ("hooks", inventory.hooks.len()),
        ("tool_policies", inventory.tool_policies.len()),
        ("runtimes", inventory.runtimes.len()),
        ("api_tokens", inventory.api_tokens.len()),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count as u64))
    .collect()
}

/// Present and not blank.
pub(crate) fn present(text: Option<&str>) -> bool {
    tandem_core::text::non_blank(text).is_some()
}

/// The sorted top-level keys of an object; nothing else has any.
pub(crate) fn keys_of(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_object).map(sorted_keys).unwrap_or_default()
}

pub(crate) fn sorted_keys(map: &Map<String, Value>) -> Vec<String> {
    let mut keys: Vec<String> = map.keys().cloned().collect();
    keys.sort_unstable();
    keys
}

/// The strings of a list, whatever else is in it.
pub(crate) fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
pub(crate) mod tests;
