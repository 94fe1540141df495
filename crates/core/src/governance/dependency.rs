//! A dependency is revoked: a grant, or tools that the automation could use. Admission closes, its runs are told to stop,
//! and a person is asked.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    effects::{self, Standing},
    ledger::{Stop, StopCause},
    limits::Limits,
    record::{GovernanceRecord, ReviewKind, Severity},
    review::{self, Cause, NewFinding},
    run,
};
use crate::decide::{Decided, Desk};

/// What one agent (or node) of an automation may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentTools {
    #[serde(rename = "agentID")]
    pub agent_id: String,
    pub allowed_servers: Vec<String>,
    /// `None`: every tool of the allowed servers.
    pub allowed_tools: Option<Vec<String>>,
    /// Connections by their canonical text; `None`: all.
    pub allowed_connections: Option<Vec<String>>,
    /// The tool policy's own lists.
    pub tool_allowlist: Vec<String>,
    pub tool_denylist: Vec<String>,
}

/// How one agent's tools became fewer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Narrowed {
    #[serde(rename = "agentID")]
    pub agent_id: String,
    pub change_type: &'static str,
    pub removed_servers: Vec<String>,
    pub removed_tools: Vec<String>,
    pub removed_connections: Vec<String>,
    pub allowed_tools_narrowed_from_unrestricted: bool,
    pub previous_policy: AgentTools,
    pub next_policy: Option<AgentTools>,
}

fn lost(before: &[String], after: &[String]) -> Vec<String> {
    let kept: BTreeSet<&String> = after.iter().collect();
    before.iter().filter(|one| !kept.contains(one)).cloned().collect()
}

/// What was taken away. More of anything is no change here, and neither is a list that gives way to everything.
pub fn narrowed(before: &[AgentTools], after: &[AgentTools]) -> Vec<Narrowed> {
    let mut changes = Vec::new();
    for old in before {
        let Some(new) = after.iter().find(|new| new.agent_id == old.agent_id) else {
            changes.push(Narrowed {
                agent_id: old.agent_id.clone(),
                change_type: "agent_removed",
                removed_servers: old.allowed_servers.clone(),
                removed_tools: old.allowed_tools.clone().unwrap_or_default(),
                removed_connections: old.allowed_connections.clone().unwrap_or_default(),
                allowed_tools_narrowed_from_unrestricted: false,
                previous_policy: old.clone(),
                next_policy: None,
            });
            continue;
        };
        let removed_servers = lost(&old.allowed_servers, &new.allowed_servers);
        let (mut removed_tools, from_all) = match (&old.allowed_tools, &new.allowed_tools) {
            (Some(old), Some(new)) => (lost(old, new), false),
            (None, Some(_)) => (Vec::new(), true),
            (Some(_) | None, None) => (Vec::new(), false),
        };
        removed_tools.extend(lost(&old.tool_allowlist, &new.tool_allowlist));
        removed_tools.extend(lost(&new.tool_denylist, &old.tool_denylist));
        let (removed_connections, from_all_connections) = match (&old.allowed_connections, &new.allowed_connections) {
            (Some(old), Some(new)) => (lost(old, new), false),
            (None, Some(_)) => (Vec::new(), true),
            (Some(_) | None, None) => (Vec::new(), false),
        };
        let less = !removed_servers.is_empty() || !removed_tools.is_empty() || !removed_connections.is_empty();
        if less || from_all || from_all_connections {
            changes.push(Narrowed {
                agent_id: old.agent_id.clone(),
                change_type: "mcp_policy_narrowed",
                removed_servers,
                removed_tools,
                removed_connections,
                allowed_tools_narrowed_from_unrestricted: from_all,
                previous_policy: old.clone(),
                next_policy: Some(new.clone()),
            });
        }
    }
    changes
}

/// Closes admission, stops the runs, pauses the automation and asks for a review. Saves the record.
pub fn revoke(
    desk: &mut Desk<'_>,
    limits: &Limits,
    record: &mut GovernanceRecord,
    reason: &str,
    evidence: Value,
) -> Decided<Vec<String>> {
    let id = record.automation_id.clone();
    desk.audit(
        "automation.governance.dependency_revocation.requested",
        json!({ "automationID": id, "reason": reason, "evidence": evidence }),
    );
    record.creation_paused = true;
    record.paused_for_lifecycle = true;
    let stop = Stop::new(StopCause::DependencyRevoked, reason, desk.now_ms());
    let paused = run::stop_all(desk, &id, &stop)?;
    let mut evidence = evidence;
    evidence["pausedRunIDs"] = json!(paused);
    review::find(
        desk,
        record,
        NewFinding {
            kind: ReviewKind::DependencyRevoked,
            severity: Severity::Critical,
            summary: "a dependency of the automation was revoked",
            detail: Some(reason.to_owned()),
            run_id: None,
            evidence: evidence.clone(),
        },
    );
    // What was revoked before and is still undecided is part of the new question.
    if record.review_kind == Some(ReviewKind::DependencyRevoked) && record.review_required {
        review::supersede(desk, record.review_request_id.as_deref())?;
    }
    let cause = Cause {
        kind: ReviewKind::DependencyRevoked,
        by: "automation_dependency_revocation",
        rationale: format!("A dependency of {id} was revoked: {reason}"),
        context: json!({ "trigger": ReviewKind::DependencyRevoked, "reason": reason, "evidence": evidence }),
    };
    review::open(desk, limits, record, cause)?;
    record.updated_at_ms = desk.now_ms();
    record.keep(desk);
    effects::stand(desk, &id, Standing::Paused)?;
    desk.audit(
        "automation.governance.dependency_revoked",
        json!({ "automationID": id, "pausedRunIDs": paused, "reviewRequestID": record.review_request_id }),
    );
    Ok(paused)
}
