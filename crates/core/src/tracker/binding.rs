//! What is told of the tools that a GitHub destination needs of its MCP server: which were found, and under which names
//! they are looked for. How a tool is found is said once, in [`Capability::find`].

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::tools::{Capability, GITHUB_PREFIX, GITHUB_REQUIRED, canonical};
use crate::mcp::ToolRow;

/// The release of the names, for `binding_source_version`.
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
    let found = |capability: &Capability| {
        let (binding_index, tool) = capability.find(tools.iter().copied())?;
        Some(Resolved {
            capability_id: capability.word().to_owned(),
            provider: "mcp".to_owned(),
            tool_name: tool.tool_name.clone(),
            binding_index,
        })
    };
    GITHUB_REQUIRED.iter().filter_map(found).collect()
}

/// The name that a tool is found by for GitHub.
pub fn github_name(name: &str) -> String {
    let name = canonical(name);
    name.strip_prefix(GITHUB_PREFIX).unwrap_or(&name).to_owned()
}

/// Whether a tool looks like one that trackers publish through. A server that a tracker destination names may offer a
/// hundred other tools, whose changes are nobody's concern.
pub fn is_tracker_tool(name: &str) -> bool {
    let name = canonical(name);
    name.contains("issue") || name.contains("comment")
}

/// Every capability with whether one of its names is there, for people who wonder why one is missing.
pub fn candidates(tools: &[&ToolRow]) -> Vec<Value> {
    let told = |capability: &Capability| {
        let names = capability.names();
        json!({
            "capability_id": capability.word(),
            "binding_tool_name": names.first(),
            "aliases": names.get(1..).unwrap_or_default(),
            "matched": capability.find(tools.iter().copied()).is_some(),
        })
    };
    GITHUB_REQUIRED.iter().map(told).collect()
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
