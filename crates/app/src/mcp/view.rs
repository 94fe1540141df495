//! What readiness and status need to know of MCP servers, read once for a decision.

use std::collections::BTreeMap;

use tandem_core::{
    config::Config,
    destination::{self, DestinationKind, Server, Tool},
    error::Failure,
    mcp::{ServerRow, ToolFault, ToolRow, listing, names},
    tenant::TenantKey,
};

use crate::App;

/// The servers that a configuration names, with their tools. Empty, and read with no query, where it names none.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    servers: BTreeMap<String, (ServerRow, Vec<ToolRow>)>,
}

impl App {
    /// Reads what `config` names.
    pub(crate) async fn mcp_facts(&self, tenant: &TenantKey, config: &Config) -> Result<View, Failure> {
        let mut view = View::default();
        for name in named(config) {
            if let Some(row) = self.load::<ServerRow>(tenant, &name).await? {
                let tools = self.mcp_tool_rows(tenant, &name).await?;
                view.servers.insert(name, (row.value, tools));
            }
        }
        Ok(view)
    }
}

fn named(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = config.mcp_server.iter().filter(|name| !name.trim().is_empty()).cloned().collect();
    for destination in &config.destinations {
        match destination.kind {
            DestinationKind::GithubIssue | DestinationKind::LinearIssue | DestinationKind::McpTool => {
                names.extend(destination::mcp_target(config, destination).server.map(str::to_owned));
            }
            DestinationKind::Webhook | DestinationKind::Telemetry | DestinationKind::InternalMemory => {}
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

impl View {
    pub fn server(&self, name: &str) -> Server {
        match self.servers.get(name) {
            None => Server::Unregistered,
            Some((row, _)) if !row.enabled => Server::Disabled,
            Some((row, _)) if !row.connected => Server::Disconnected,
            Some(_) => Server::Connected,
        }
    }

    pub fn tool(&self, server: &str, tool: &str) -> Tool {
        let Some((row, tools)) = self.servers.get(server) else { return Tool::Unknown };
        match listing::callable(row, tools, tool).map_err(|error| error.fault) {
            Ok(_) => Tool::Callable,
            Err(ToolFault::ToolNotAllowed) => Tool::NotAllowed,
            Err(ToolFault::ToolChanged) => Tool::Changed,
            Err(_) => Tool::Unknown,
        }
    }

    pub fn registered(&self, server: &str) -> bool {
        self.servers.contains_key(server)
    }

    /// The tools of a connected server that may be called.
    pub fn callable(&self, server: &str) -> Vec<&ToolRow> {
        match self.servers.get(server).filter(|(row, _)| row.enabled && row.connected) {
            Some((row, tools)) => tools
                .iter()
                .filter(|tool| listing::callable(row, tools, &tool.tool_name).is_ok_and(|found| found == *tool))
                .collect(),
            None => Vec::new(),
        }
    }

    /// The tools that a server offers and its allowlist admits, accepted or not.
    pub fn offered(&self, server: &str) -> Vec<&ToolRow> {
        let Some((row, tools)) = self.servers.get(server) else { return Vec::new() };
        let admitted = |tool: &&ToolRow| {
            !tool.withdrawn && names::allowed(row.allowed_tools.as_deref(), &row.name, &tool.tool_name)
        };
        tools.iter().filter(admitted).collect()
    }
}
