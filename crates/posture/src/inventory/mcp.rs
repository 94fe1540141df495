//! Registered MCP servers and their tools. Headers, addresses and authorisations stay out.

use serde::{Deserialize, Serialize};
use tandem_core::mcp::{ServerRow, ToolRow, names};
use utoipa::ToSchema;

use crate::{
    estate::Estate,
    tools::{self, Risk},
};

/// A tool with what applies to it where nobody says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GovernedTool {
    pub tool_name: String,
    pub namespaced_name: String,
    /// `hidden_without_grant`, `approval_required` or `allow`.
    pub default_policy: String,
    /// `hidden`, `gated` or `visible`.
    pub default_access: String,
    pub risk_tier: String,
    pub approval_required_by_default: bool,
    pub external_side_effect: bool,
    /// Its description or schema is not the accepted one.
    pub changed: bool,
    /// Something was published through it.
    pub in_use: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryMcpServer)]
pub struct ServerEntry {
    pub name: String,
    pub enabled: bool,
    pub connected: bool,
    pub last_error: Option<String>,
    pub pending_auth_tools: Vec<String>,
    pub registered_tool_count: usize,
    pub remote_tool_count: usize,
    /// Null where no allowlist is set and every tool is admitted.
    pub allowed_tool_count: Option<usize>,
    pub discovered_tool_count: usize,
    pub registered_tools: Vec<String>,
    pub remote_tools: Vec<String>,
    pub governed_tools: Vec<GovernedTool>,
    /// `http` or `stdio`.
    pub transport: String,
    pub allow_private_networks: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct McpInventory {
    pub inventory_version: u32,
    pub summary: String,
    pub connected_server_names: Vec<String>,
    pub enabled_server_names: Vec<String>,
    pub registered_tool_count: usize,
    pub remote_tool_count: usize,
    pub registered_tools: Vec<String>,
    pub remote_tools: Vec<String>,
    pub servers: Vec<ServerEntry>,
    pub omitted_fields: Vec<String>,
}

pub(super) fn servers(estate: &Estate) -> McpInventory {
    let mut servers: Vec<ServerEntry> = estate.servers.iter().map(|server| entry(server, &estate.tools)).collect();
    servers.sort_by(|a, b| a.name.cmp(&b.name));
    let names = |keep: fn(&ServerEntry) -> bool| -> Vec<String> {
        servers.iter().filter(|server| keep(server)).map(|server| server.name.clone()).collect()
    };
    let tools = |of: fn(&ServerEntry) -> &[String]| -> Vec<String> {
        let mut all: Vec<String> = servers.iter().flat_map(|server| of(server).iter().cloned()).collect();
        all.sort_unstable();
        all
    };
    let (registered, remote) = (tools(|s| &s.registered_tools), tools(|s| &s.remote_tools));
    let connected = names(|server| server.connected);
    McpInventory {
        inventory_version: 1,
        summary: format!(
            "{} of {} MCP servers connected, {} tools callable",
            connected.len(),
            servers.len(),
            registered.len()
        ),
        connected_server_names: connected,
        enabled_server_names: names(|server| server.enabled),
        registered_tool_count: registered.len(),
        remote_tool_count: remote.len(),
        registered_tools: registered,
        remote_tools: remote,
        omitted_fields: ["credential_binding", "secret_refs", "full_tool_security", "full_governed_tool_registry"]
            .map(str::to_owned)
            .into(),
        servers,
    }
}

fn entry(server: &ServerRow, tools: &[ToolRow]) -> ServerEntry {
    let offered: Vec<&ToolRow> =
        tools.iter().filter(|tool| tool.server_name == server.name && !tool.withdrawn).collect();
    let allowed = |tool: &&&ToolRow| names::allowed(server.allowed_tools.as_deref(), &server.name, &tool.tool_name);
    let sorted = |tools: &mut dyn Iterator<Item = &ToolRow>| -> Vec<String> {
        let mut names: Vec<String> = tools.map(|tool| tool.namespaced_name.clone()).collect();
        names.sort_unstable();
        names
    };
    let registered = sorted(&mut offered.iter().filter(allowed).map(|tool| &**tool));
    let remote = sorted(&mut offered.iter().map(|tool| &**tool));
    let mut governed: Vec<GovernedTool> =
        offered.iter().map(|tool| govern(tool, registered.contains(&tool.namespaced_name))).collect();
    governed.sort_by(|a, b| a.namespaced_name.cmp(&b.namespaced_name));
    ServerEntry {
        name: server.name.clone(),
        enabled: server.enabled,
        connected: server.connected,
        last_error: server.last_error.clone(),
        pending_auth_tools: Vec::new(),
        registered_tool_count: registered.len(),
        remote_tool_count: remote.len(),
        allowed_tool_count: server.allowed_tools.as_ref().map(Vec::len),
        discovered_tool_count: remote.len(),
        registered_tools: registered,
        remote_tools: remote,
        governed_tools: governed,
        transport: if server.transport.starts_with("stdio:") { "stdio" } else { "http" }.to_owned(),
        allow_private_networks: server.allow_private_networks,
    }
}

fn govern(tool: &ToolRow, allowed: bool) -> GovernedTool {
    let risk = tools::risk(&tool.namespaced_name);
    let (policy, access) = match (allowed, risk) {
        (false, _) => ("hidden_without_grant", "hidden"),
        (true, Risk::Approval) => ("approval_required", "gated"),
        (true, Risk::Free | Risk::Unknown) => ("allow", "visible"),
    };
    GovernedTool {
        tool_name: tool.tool_name.clone(),
        namespaced_name: tool.namespaced_name.clone(),
        default_policy: policy.into(),
        default_access: access.into(),
        risk_tier: match risk {
            Risk::Approval => "high",
            Risk::Unknown => "medium",
            Risk::Free => "low",
        }
        .into(),
        approval_required_by_default: risk == Risk::Approval,
        external_side_effect: risk != Risk::Free,
        changed: !tool.accepted(),
        in_use: tool.used,
    }
}
