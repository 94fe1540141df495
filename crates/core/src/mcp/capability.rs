//! Which tools of a server can do what a GitHub destination needs.
//!
//! A capability is found by the tool's name, raw or namespaced, in any case: first in the order of its bindings.
//! Deliberately absent: how the tools are called, and what they are called with.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::tool::ToolRow;

/// A capability, and the tool names that provide it, best first.
pub struct Binding {
    pub capability_id: &'static str,
    pub tools: &'static [&'static str],
}

/// What a GitHub destination needs of its MCP server.
pub const GITHUB: [Binding; 4] = [
    Binding { capability_id: "github.list_issues", tools: &["list_issues", "list_repository_issues"] },
    Binding { capability_id: "github.get_issue", tools: &["get_issue", "issue_read"] },
    Binding { capability_id: "github.create_issue", tools: &["create_issue", "issue_write", "create_an_issue"] },
    Binding {
        capability_id: "github.comment_on_issue",
        tools: &["add_issue_comment", "create_issue_comment", "create_an_issue_comment"],
    },
];

/// The release of [`GITHUB`], for `binding_source_version`.
pub const VERSION: &str = "builtin-1";

/// A capability with the tool that was found for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Resolved {
    pub capability_id: String,
    /// `mcp`, or `github_api` where a destination needs no tools.
    pub provider: String,
    pub tool_name: String,
    /// Place of the name that matched, in the capability's bindings.
    pub binding_index: usize,
}

/// Finds each capability among the tools that may be called.
pub fn resolve(tools: &[&ToolRow]) -> Vec<Resolved> {
    GITHUB.iter().filter_map(|binding| find(binding, tools)).collect()
}

fn find(binding: &Binding, tools: &[&ToolRow]) -> Option<Resolved> {
    binding.tools.iter().enumerate().find_map(|(binding_index, name)| {
        let tool = tools.iter().find(|tool| matches(tool, name))?;
        Some(Resolved {
            capability_id: binding.capability_id.to_owned(),
            provider: "mcp".to_owned(),
            tool_name: tool.tool_name.clone(),
            binding_index,
        })
    })
}

/// A tool may carry its server's own prefix, as gateways give them: `mcp.github.list_issues`, `github_list_issues`.
fn matches(tool: &ToolRow, name: &str) -> bool {
    canonical(&tool.tool_name) == name || canonical(&tool.namespaced_name) == name
}

/// The name without case, prefixes of gateways, and with `_` for `-`.
pub fn canonical(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let last = name.rsplit('.').next().unwrap_or(&name);
    last.strip_prefix("github_").unwrap_or(last).to_owned()
}

/// Whether a tool looks like one that trackers publish through. A server that a tracker destination names may offer a
/// hundred other tools, whose changes are nobody's concern.
pub fn is_tracker_tool(name: &str) -> bool {
    let name = canonical(name);
    name.contains("issue") || name.contains("comment")
}

/// Every binding with whether one of its names is there, for people who wonder why a capability is missing.
pub fn candidates(tools: &[&ToolRow]) -> Vec<Value> {
    GITHUB
        .iter()
        .map(|binding| {
            json!({
                "capability_id": binding.capability_id,
                "binding_tool_name": binding.tools.first(),
                "aliases": binding.tools.get(1..).unwrap_or_default(),
                "matched": find(binding, tools).is_some(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::{
        listing::{Listing, Offered, fold},
        names,
    };

    fn tools(server: &str, offered: &[&str]) -> Vec<ToolRow> {
        let tools = offered
            .iter()
            .map(|name| Offered { name: (*name).into(), input_schema: json!({}), ..Offered::default() })
            .collect();
        let rows = fold(server, &Listing { tools, ..Listing::default() }, &[], &|_| false, 1).write;
        assert!(rows.iter().all(|row| row.namespaced_name == names::namespaced(server, &row.tool_name)));
        rows
    }

    #[test]
    fn the_first_binding_that_is_there_wins() {
        let rows =
            tools("gh", &["issue_read", "ISSUE_WRITE", "create_issue", "list_issues", "github-add_issue_comment"]);
        let found = resolve(&rows.iter().collect::<Vec<_>>());
        let told: Vec<_> =
            found.iter().map(|r| (r.capability_id.as_str(), r.tool_name.as_str(), r.binding_index)).collect();
        assert_eq!(
            told,
            [
                ("github.list_issues", "list_issues", 0),
                ("github.get_issue", "issue_read", 1),
                ("github.create_issue", "create_issue", 0),
                ("github.comment_on_issue", "github-add_issue_comment", 0),
            ]
        );
        assert!(candidates(&rows.iter().collect::<Vec<_>>()).iter().all(|c| c["matched"] == true));
        assert!(resolve(&[]).is_empty());
        let near = tools("gh", &["list_issues_v2", "my_create_issue"]);
        assert!(resolve(&near.iter().collect::<Vec<_>>()).is_empty());
    }
}
