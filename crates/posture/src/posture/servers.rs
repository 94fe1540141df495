//! Registered MCP servers: tools that are not what was accepted, and servers that admit every tool.

use std::collections::HashSet;

use tandem_core::mcp::names::namespaced;

use super::{
    findings::{Findings, path},
    table::{SERVER_WITHOUT_ALLOWLIST, TOOL_DRIFT},
};
use crate::{
    finding::{AffectedObject, New, Severity},
    inventory::{AuthorityInventory, DestinationRow},
};

pub(super) fn judge(inventory: &AuthorityInventory, out: &mut Findings) {
    let aimed: HashSet<String> = inventory.inventory.destinations.iter().filter_map(target).collect();
    let servers = &inventory.inventory.mcp.servers;
    for server in servers {
        for tool in &server.governed_tools {
            let used = tool.in_use || aimed.contains(&tool.namespaced_name.to_lowercase());
            if !(tool.changed && used) {
                continue;
            }
            out.add(TOOL_DRIFT, Severity::High, || New {
                rule_id: TOOL_DRIFT,
                category: "tool_drift",
                severity: Severity::High,
                title: "A tool in use has changed".into(),
                detail: format!(
                    "The description or schema of `{}` is not the accepted one. It is not called until it is.",
                    tool.namespaced_name
                ),
                recommendation: "Compare the tool with what was accepted, and accept it or stop using it.".into(),
                affected: vec![
                    AffectedObject::new("mcp_tool", tool.namespaced_name.clone())
                        .with("mcp_server", server.name.clone()),
                ],
                evidence: vec![path(format!(
                    "inventory.mcp.servers[{}].governed_tools[{}].changed",
                    server.name, tool.namespaced_name
                ))],
                extra: None,
            });
        }
    }
    for server in servers.iter().filter(|server| server.enabled && server.allowed_tool_count.is_none()) {
        out.add(SERVER_WITHOUT_ALLOWLIST, Severity::Medium, || New {
            rule_id: SERVER_WITHOUT_ALLOWLIST,
            category: "mcp_allowlist_gap",
            severity: Severity::Medium,
            title: "MCP server admits every tool".into(),
            detail: format!("MCP server `{}` has no allowlist: tools that it adds may be called at once.", server.name),
            recommendation: "Set allowed_tools on the server to the exact names that are needed.".into(),
            affected: vec![AffectedObject::new("mcp_server", server.name.clone())],
            evidence: vec![path(format!("inventory.mcp.servers[{}].allowed_tool_count", server.name))],
            extra: None,
        });
    }
}

/// The tool that a destination calls, by its full name.
fn target(row: &DestinationRow) -> Option<String> {
    let tool = row.mcp_tool.as_deref().map(str::trim).filter(|tool| row.enabled && !tool.is_empty())?;
    let own = tool.to_lowercase();
    if own.starts_with("mcp.") {
        return Some(own);
    }
    Some(namespaced(row.mcp_server.as_deref()?, tool).to_lowercase())
}
