//! A tool server is taken away platform-wide, or some of its tools: whoever could use them is paused, as if the author of
//! the automation had taken them out.
//!
//! Looked at once for each automation that names the server, before the server changes. Only what an operator does counts:
//! a tool that its own server stops listing is not called, and that is told where it is called.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    dependency::{self, AgentTools, Narrowed},
    limits::Base,
    record::GovernanceRecord,
};
use crate::{
    automation::{Automation, admission},
    decide::{Ask, Decided, Decision, Desk},
    mcp::{ServerRow, names},
};

/// What is lost with a change of a tool server.
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    Removed,
    Disabled,
    /// The server's own list of tools before and after; `None` admits all.
    Narrowed {
        before: Option<Vec<String>>,
        after: Option<Vec<String>>,
    },
}

/// What a change of settings takes away. Nothing is lost with a server that was switched off before.
pub fn loss(before: &ServerRow, after: &ServerRow) -> Option<Loss> {
    if !before.enabled {
        return None;
    }
    if !after.enabled {
        return Some(Loss::Disabled);
    }
    let (old, new) = (before.allowed_tools.clone(), after.allowed_tools.clone());
    (old != new).then_some(Loss::Narrowed { before: old, after: new })
}

/// What one agent can use of the server no longer: the tools by name, and whether it could use all of them.
fn taken(
    own: Option<&[String]>,
    server: &str,
    before: Option<&[String]>,
    after: Option<&[String]>,
) -> (Vec<String>, bool) {
    let prefix = format!("mcp.{}.", names::slug(server));
    let every = format!("{prefix}*");
    let admits_all = |list: Option<&[String]>| {
        list.is_none_or(|list| list.iter().any(|entry| entry == "*" || entry.eq_ignore_ascii_case(&every)))
    };
    if admits_all(after) {
        return (Vec::new(), false);
    }
    if admits_all(own) && admits_all(before) {
        return (Vec::new(), true);
    }
    // The tools that it could name: its own, or else the server's. One without a server's name may be this server's.
    let named = if admits_all(own) { before } else { own };
    let bare = |entry: &String| match entry.get(..prefix.len()) {
        Some(head) if head.eq_ignore_ascii_case(&prefix) => Some(entry[prefix.len()..].to_owned()),
        Some(_) | None => (!entry.to_ascii_lowercase().starts_with("mcp.")).then(|| entry.clone()),
    };
    let lost = |entry: &&String| {
        bare(entry).is_some_and(|tool| names::allowed(before, server, &tool) && !names::allowed(after, server, &tool))
    };
    (named.unwrap_or_default().iter().filter(lost).cloned().collect(), false)
}

impl Loss {
    fn trigger(&self) -> &'static str {
        match self {
            Self::Removed => "mcp_server_removed",
            Self::Disabled => "mcp_server_disabled",
            Self::Narrowed { .. } => "mcp_server_narrowed",
        }
    }

    fn reason(&self, server: &str) -> String {
        match self {
            Self::Removed => format!("the tool server {server} was removed"),
            Self::Disabled => format!("the tool server {server} was switched off"),
            Self::Narrowed { .. } => format!("tools of the server {server} were taken away"),
        }
    }

    /// What each of those who use the server loses; those who lose nothing are left out.
    pub fn of(&self, server: &str, users: &[AgentTools]) -> Vec<Narrowed> {
        let gone = |user: &AgentTools| {
            let left: Vec<String> = user.allowed_servers.iter().filter(|one| *one != server).cloned().collect();
            (AgentTools { allowed_servers: left, ..user.clone() }, vec![server.to_owned()], Vec::new(), false)
        };
        let changed = users.iter().filter_map(|user| {
            let (next, removed_servers, removed_tools, from_all) = match self {
                Self::Removed | Self::Disabled => gone(user),
                Self::Narrowed { before, after } => {
                    let own = user.allowed_tools.as_deref();
                    let (lost, from_all) = taken(own, server, before.as_deref(), after.as_deref());
                    let left = own.map(|own| own.iter().filter(|tool| !lost.contains(tool)).cloned().collect());
                    let left = left.or_else(|| after.clone());
                    (AgentTools { allowed_tools: left, ..user.clone() }, Vec::new(), lost, from_all)
                }
            };
            let less = !removed_servers.is_empty() || !removed_tools.is_empty() || from_all;
            less.then(|| Narrowed {
                agent_id: user.agent_id.clone(),
                change_type: "mcp_policy_narrowed",
                removed_servers,
                removed_tools,
                removed_connections: Vec::new(),
                allowed_tools_narrowed_from_unrestricted: from_all,
                previous_policy: user.clone(),
                next_policy: Some(next),
            })
        });
        changed.collect()
    }
}

/// The look at one automation. Answers with whether it was paused.
#[derive(Debug)]
pub struct ServerLoss {
    pub base: Arc<Base>,
    pub automation_id: String,
    pub server: String,
    pub loss: Loss,
}

impl Decision for ServerLoss {
    type Outcome = bool;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<GovernanceRecord>(&self.automation_id), Ask::row::<Automation>(&self.automation_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<bool> {
        let Some(automation) = desk.get::<Automation>(&self.automation_id)? else { return Ok(false) };
        let Some(mut record) = desk.get::<GovernanceRecord>(&self.automation_id)? else { return Ok(false) };
        let changes = self.loss.of(&self.server, &admission::users_of(&automation, &self.server));
        if changes.is_empty() || record.is_deleted() {
            return Ok(false);
        }
        let limits = self.base.effective(desk)?;
        let agents: Vec<&str> = changes.iter().map(|change| change.agent_id.as_str()).collect();
        let evidence: Value = json!({
            "trigger": self.loss.trigger(), "server": self.server, "agentIDs": agents, "dependencyChanges": changes,
            "revokedBy": desk.ctx.actor,
        });
        dependency::revoke(desk, &limits, &mut record, &self.loss.reason(&self.server), evidence)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Option<Vec<String>> {
        (text != "all").then(|| text.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn what_an_agent_loses_with_a_servers_list() {
        // The agent's own list, the server's before and after, what is lost, and whether all was open before.
        let cases = [
            ("all", "all", "read", "", true),
            ("mcp.gh.*", "*", "read", "", true),
            ("all", "all", "all", "", false),
            ("all", "read write", "all", "", false),
            ("all", "read write", "mcp.gh.*", "", false),
            ("all", "read write", "write read more", "", false),
            ("all", "read write", "mcp.gh.READ", "write", false),
            ("all", "mcp.gh.read write", "write", "mcp.gh.read", false),
            ("read", "all", "read", "", false),
            ("read write", "all", "read", "write", false),
            ("mcp.gh.write mcp.db.write", "all", "read", "mcp.gh.write", false),
            ("write", "read", "more", "", false),
            ("", "all", "read", "", false),
            ("all", "read", "", "read", false),
        ];
        for (own, before, after, lost, from_all) in cases {
            let (own, before, after) = (list(own), list(before), list(after));
            let found = taken(own.as_deref(), "gh", before.as_deref(), after.as_deref());
            let lost = list(lost).unwrap_or_default();
            assert_eq!(found, (lost, from_all), "{own:?} of {before:?}, then {after:?}");
        }
    }

    #[test]
    fn only_a_server_that_is_on_can_be_lost() {
        let row = |enabled, tools: &str| ServerRow { enabled, allowed_tools: list(tools), ..ServerRow::default() };
        let narrowed = Loss::Narrowed { before: None, after: list("read") };
        let cases = [
            (row(true, "all"), row(true, "all"), None),
            (row(true, "all"), row(false, "all"), Some(Loss::Disabled)),
            (row(true, "all"), row(false, "read"), Some(Loss::Disabled)),
            (row(true, "all"), row(true, "read"), Some(narrowed)),
            (row(false, "all"), row(true, "read"), None),
            (row(false, "all"), row(false, "read"), None),
        ];
        for (before, after, expected) in cases {
            assert_eq!(loss(&before, &after), expected, "{before:?} {after:?}");
        }
    }
}
