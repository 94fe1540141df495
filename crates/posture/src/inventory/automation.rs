//! Automations, their agents and their nodes, without what they are told to do.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::{
    automation::{
        Automation,
        spec::{Agent, Execution, Node, Schedule},
    },
    tenant::TenantContext,
};
use utoipa::ToSchema;

use super::{keys_of, strings};
use crate::estate::{Estate, Owned};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryToolPolicy)]
pub struct ToolPolicyRow {
    pub allowlist: Vec<String>,
    pub denylist: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionGrant {
    pub server: String,
    pub connection_id_present: bool,
    /// `current_actor`, `service_principal`, `automation_principal`, `shared_connection` or null.
    pub run_as: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryMcpPolicy)]
pub struct McpPolicyRow {
    pub allowed_servers: Vec<String>,
    /// The allowed ones and those of connection grants, normalised.
    pub effective_allowed_servers: Vec<String>,
    /// Null admits every tool of the servers.
    pub allowed_tools: Option<Vec<String>>,
    pub allowed_connection_grants: Vec<ConnectionGrant>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryAgent)]
pub struct AgentRow {
    pub agent_id: String,
    pub template_id: Option<String>,
    pub display_name: String,
    pub model_policy_present: bool,
    pub skills: Vec<String>,
    pub tool_policy: ToolPolicyRow,
    pub mcp_policy: McpPolicyRow,
    /// A word or an object, as the author wrote it.
    pub approval_policy: Option<Value>,
}

impl AgentRow {
    pub fn has_approval_policy(&self) -> bool {
        match &self.approval_policy {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::String(word)) => !word.trim().is_empty(),
            Some(Value::Object(map)) => !map.is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Bool(true) | Value::Number(_)) => true,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryGate)]
pub struct GateRow {
    pub required: bool,
    pub decisions: Vec<String>,
    pub rework_targets: Vec<String>,
    pub instructions_present: bool,
    pub expiry_policy: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryNode)]
pub struct NodeRow {
    pub node_id: String,
    pub agent_id: String,
    pub depends_on: Vec<String>,
    pub input_ref_count: usize,
    pub output_contract_kind: Option<String>,
    pub tool_policy: Option<ToolPolicyRow>,
    pub mcp_policy: Option<McpPolicyRow>,
    pub timeout_ms: Option<u64>,
    pub max_tool_calls: Option<u64>,
    pub stage_kind: Option<String>,
    pub gate: Option<GateRow>,
    pub metadata_keys: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryAutomation)]
pub struct AutomationRow {
    pub automation_id: String,
    pub name: String,
    pub description: Option<String>,
    pub status: String,
    pub creator_id: String,
    pub workspace_root: Option<String>,
    pub schedule: Schedule,
    pub output_targets: Vec<String>,
    pub scope_policy_present: bool,
    pub watch_condition_count: usize,
    pub execution: Execution,
    pub tenant_context: TenantContext,
    pub agents: Vec<AgentRow>,
    pub nodes: Vec<NodeRow>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

pub(super) fn automations(estate: &Estate) -> Vec<AutomationRow> {
    estate.automations.iter().map(row).collect()
}

fn row(owned: &Owned<Automation>) -> AutomationRow {
    let Owned { tenant, value: automation } = owned;
    let spec = &automation.spec;
    let mut schedule = spec.schedule.clone();
    schedule.extra.clear();
    schedule.misfire_policy.extra.clear();
    let mut execution = spec.execution.clone();
    execution.extra.clear();
    AutomationRow {
        automation_id: automation.automation_id.clone(),
        name: spec.name.clone(),
        description: spec.description.clone(),
        status: automation.status.word().to_owned(),
        creator_id: automation.creator_id.clone(),
        workspace_root: spec.workspace_root.clone(),
        schedule,
        output_targets: spec.output_targets.clone(),
        scope_policy_present: spec.scope_policy.as_ref().is_some_and(|policy| !policy.is_null()),
        watch_condition_count: spec.watch_conditions.len(),
        execution,
        tenant_context: tenant.clone(),
        agents: spec.agents.iter().map(agent).collect(),
        nodes: spec.flow.nodes.iter().map(node).collect(),
        created_at_ms: automation.created_at_ms,
        updated_at_ms: automation.updated_at_ms,
    }
}

fn agent(agent: &Agent) -> AgentRow {
    let policy = &agent.mcp_policy;
    AgentRow {
        agent_id: agent.agent_id.clone(),
        template_id: agent.template_id.clone(),
        display_name: agent.display_name.clone(),
        model_policy_present: agent.model_policy.is_some(),
        skills: agent.skills.clone(),
        tool_policy: ToolPolicyRow {
            allowlist: agent.tool_policy.allowlist.clone(),
            denylist: agent.tool_policy.denylist.clone(),
        },
        mcp_policy: mcp_policy(
            &policy.allowed_servers,
            policy.allowed_tools.clone(),
            policy.allowed_connections.as_deref().unwrap_or_default(),
        ),
        approval_policy: agent.approval_policy.clone(),
    }
}

fn mcp_policy(servers: &[String], tools: Option<Vec<String>>, connections: &[Value]) -> McpPolicyRow {
    let grants: Vec<ConnectionGrant> = connections.iter().filter_map(grant).collect();
    let mut effective: Vec<String> = servers
        .iter()
        .chain(grants.iter().map(|grant| &grant.server))
        .map(|server| server.trim().to_lowercase())
        .filter(|server| !server.is_empty())
        .collect();
    effective.sort_unstable();
    effective.dedup();
    McpPolicyRow {
        allowed_servers: servers.to_vec(),
        effective_allowed_servers: effective,
        allowed_tools: tools,
        allowed_connection_grants: grants,
    }
}

fn grant(value: &Value) -> Option<ConnectionGrant> {
    let text = |keys: &[&str]| keys.iter().find_map(|key| value.get(*key)).and_then(Value::as_str);
    let known = ["current_actor", "service_principal", "automation_principal", "shared_connection"];
    Some(ConnectionGrant {
        server: text(&["server", "server_name", "mcp_server"])?.to_owned(),
        connection_id_present: text(&["connection_id"]).is_some_and(|id| !id.trim().is_empty()),
        run_as: text(&["run_as"]).filter(|word| known.contains(word)).map(str::to_owned),
    })
}

fn node(node: &Node) -> NodeRow {
    let extra = |key: &str| node.extra.get(key).filter(|value| !value.is_null());
    let word = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let contract = extra("output_contract");
    NodeRow {
        node_id: node.node_id.clone(),
        agent_id: node.agent_id.clone(),
        depends_on: node.depends_on.clone(),
        input_ref_count: node.input_refs.len(),
        output_contract_kind: word(contract.and_then(|contract| contract.get("kind"))),
        tool_policy: extra("tool_policy").filter(|policy| policy.is_object()).map(|policy| ToolPolicyRow {
            allowlist: strings(policy.get("allowlist")),
            denylist: strings(policy.get("denylist")),
        }),
        mcp_policy: extra("mcp_policy").filter(|policy| policy.is_object()).map(|policy| {
            let tools = policy.get("allowed_tools").filter(|tools| tools.is_array());
            let connections = policy.get("allowed_connections").and_then(Value::as_array);
            mcp_policy(
                &strings(policy.get("allowed_servers")),
                tools.map(|tools| strings(Some(tools))),
                connections.map(Vec::as_slice).unwrap_or_default(),
            )
        }),
        timeout_ms: extra("timeout_ms").and_then(Value::as_u64),
        max_tool_calls: extra("max_tool_calls").and_then(Value::as_u64),
        stage_kind: word(extra("stage_kind")),
        gate: extra("gate").filter(|gate| gate.is_object()).map(gate),
        metadata_keys: keys_of(extra("metadata")),
    }
}

fn gate(gate: &Value) -> GateRow {
    GateRow {
        required: gate.get("required").and_then(Value::as_bool).unwrap_or(false),
        decisions: strings(gate.get("decisions")),
        rework_targets: strings(gate.get("rework_targets")),
        instructions_present: super::present(gate.get("instructions").and_then(Value::as_str)),
        expiry_policy: gate.get("expiry_policy").filter(|policy| !policy.is_null()).cloned(),
    }
}
