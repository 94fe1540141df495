//! Automations: whose they are, and what their agents and nodes may do without asking.
//!
//! On a server that only has the implicit tenant, automations cannot belong to another one. That is one finding about the
//! server, which names the automations, and not one for each. As soon as there is a second tenant, each automation that
//! was left in the implicit one is a finding of its own.

use std::collections::{HashMap, HashSet};

use tandem_core::tenant::TenantContext;

use super::{
    findings::{Findings, foreign, id_or, listed, path},
    table::{MCP_WITHOUT_ALLOWLIST, MISSING_TENANT, TOOL_WITHOUT_APPROVAL},
};
use crate::{
    estate::Estate,
    finding::{AffectedObject, New, Severity},
    inventory::{AgentRow, AuthorityInventory, AutomationRow, McpPolicyRow, NodeRow},
    tools,
};

/// Automations that one finding names at most.
const NAMED: usize = 1_000;

pub(super) fn judge(estate: &Estate, inventory: &AuthorityInventory, out: &mut Findings) {
    let rows = &inventory.inventory.automation_specs;
    let single = is_single(estate);
    let mut told = false;
    for row in rows {
        let extra = foreign(estate, &row.tenant_context);
        if is_nowhere(&row.tenant_context) {
            if !single {
                missing_tenant(row, extra.clone(), out);
            } else if !told {
                told = true;
                missing_tenant_everywhere(rows, out);
            }
        }
        if out.wants(TOOL_WITHOUT_APPROVAL) || out.wants(MCP_WITHOUT_ALLOWLIST) {
            authority(row, extra.as_deref(), out);
        }
    }
}

fn is_nowhere(tenant: &TenantContext) -> bool {
    let (org, workspace) = (tenant.org_id.trim(), tenant.workspace_id.trim());
    org.is_empty() || workspace.is_empty() || (is_local(org) && is_local(workspace))
}

fn is_local(part: &str) -> bool {
    part.trim().eq_ignore_ascii_case("local")
}

/// Whether nothing here belongs to any tenant but the implicit one.
fn is_single(estate: &Estate) -> bool {
    let local = |tenant: &TenantContext| is_nowhere(tenant);
    let unbound = |id: &Option<String>| id.as_deref().is_none_or(|id| id.trim().is_empty() || is_local(id));
    local(&estate.tenant)
        && estate.automations.iter().all(|owned| local(&owned.tenant))
        && estate.agents.iter().all(|owned| local(&owned.tenant))
        && estate.declared.iter().all(|owned| local(&owned.tenant))
        && estate.tokens.iter().all(|token| local(&token.tenant))
        && estate.config.monitored_projects.iter().all(|project| {
            let sources = &project.log_sources;
            unbound(&project.tenant_id) && sources.iter().all(|source| unbound(&source.tenant_id))
        })
}

fn automation(row: &AutomationRow) -> AffectedObject {
    AffectedObject::new("automation", id_or(&row.automation_id, "unknown_automation")).with("name", row.name.clone())
}

fn missing_tenant(row: &AutomationRow, extra: Option<String>, out: &mut Findings) {
    out.add(MISSING_TENANT, Severity::High, || {
        let id = id_or(&row.automation_id, "unknown_automation");
        New {
            rule_id: MISSING_TENANT,
            category: "tenant_context_gap",
            severity: Severity::High,
            title: "Automation without a tenant".into(),
            detail: format!("Automation `{id}` belongs to no tenant, while other things here do."),
            recommendation: "Create it under the tenant it works for, and let only verified callers trigger it.".into(),
            affected: vec![automation(row)],
            evidence: vec![path(format!("inventory.automation_specs[{id}].tenant_context"))],
            extra,
        }
    });
}

fn missing_tenant_everywhere(rows: &[AutomationRow], out: &mut Findings) {
    out.add_as(MISSING_TENANT, Severity::High, "implicit_tenant", || {
        let mut nowhere: Vec<&AutomationRow> = rows.iter().filter(|row| is_nowhere(&row.tenant_context)).collect();
        nowhere.sort_by(|a, b| a.automation_id.cmp(&b.automation_id));
        let count = nowhere.len();
        nowhere.truncate(NAMED);
        let ids = nowhere.iter().map(|row| id_or(&row.automation_id, "unknown_automation"));
        New {
            rule_id: MISSING_TENANT,
            category: "tenant_context_gap",
            severity: Severity::High,
            title: "Automations without a tenant".into(),
            detail: format!("{count} automations belong to the implicit tenant: this server tells nobody apart."),
            recommendation: "Where several teams or customers share this server, give each a tenant and a token of \
                             its own. Where it is one team's alone, accept this with that reason."
                .into(),
            affected: nowhere.iter().map(|row| automation(row)).collect(),
            evidence: ids.map(|id| path(format!("inventory.automation_specs[{id}].tenant_context"))).collect(),
            extra: None,
        }
    });
}

fn authority(row: &AutomationRow, extra: Option<&str>, out: &mut Findings) {
    let used: HashSet<&str> = row.nodes.iter().map(|node| node.agent_id.as_str()).collect();
    let agents: HashMap<&str, &AgentRow> = row.agents.iter().map(|agent| (agent.agent_id.as_str(), agent)).collect();
    let at = At { row, id: id_or(&row.automation_id, "unknown_automation"), extra };
    for agent in &row.agents {
        if !used.contains(agent.agent_id.as_str()) {
            unapproved_agent(&at, agent, out);
        }
        if is_open(&agent.mcp_policy) {
            open_servers(&at, agent_object(&at, agent), agent_path(&at, agent), &agent.mcp_policy, out);
        }
    }
    for node in &row.nodes {
        unapproved_node(&at, node, agents.get(node.agent_id.as_str()).copied(), out);
        if let Some(policy) = node.mcp_policy.as_ref().filter(|policy| is_open(policy)) {
            open_servers(&at, node_object(&at, node), node_path(&at, node), policy, out);
        }
    }
}

struct At<'a> {
    row: &'a AutomationRow,
    id: &'a str,
    extra: Option<&'a str>,
}

fn agent_path(at: &At<'_>, agent: &AgentRow) -> String {
    format!("inventory.automation_specs[{}].agents[{}]", at.id, id_or(&agent.agent_id, "unknown_agent"))
}

fn node_path(at: &At<'_>, node: &NodeRow) -> String {
    format!("inventory.automation_specs[{}].nodes[{}]", at.id, id_or(&node.node_id, "unknown_node"))
}

fn agent_object(at: &At<'_>, agent: &AgentRow) -> AffectedObject {
    AffectedObject::new("automation_agent", id_or(&agent.agent_id, "unknown_agent"))
        .with("name", agent.display_name.clone())
        .with("automation_id", at.id)
}

fn node_object(at: &At<'_>, node: &NodeRow) -> AffectedObject {
    AffectedObject::new("automation_node", id_or(&node.node_id, "unknown_node"))
        .with("automation_id", at.id)
        .with("agent_id", node.agent_id.clone())
}

/// An agent that no node names can be called with all of its tools.
fn unapproved_agent(at: &At<'_>, agent: &AgentRow, out: &mut Findings) {
    let tools = tools::needing_approval(&agent.tool_policy.allowlist);
    if tools.is_empty() || agent.has_approval_policy() {
        return;
    }
    out.add(TOOL_WITHOUT_APPROVAL, Severity::High, || New {
        rule_id: TOOL_WITHOUT_APPROVAL,
        category: "missing_approval",
        severity: Severity::High,
        title: "Agent may act without approval".into(),
        detail: format!(
            "Agent `{}` of automation `{}` may use {} and has no approval policy.",
            agent.agent_id,
            at.row.name,
            listed(&tools)
        ),
        recommendation: "Give the agent an approval policy, gate the step that changes something, or drop the tool."
            .into(),
        affected: vec![agent_object(at, agent)],
        evidence: vec![
            path(format!("{}.tool_policy.allowlist", agent_path(at, agent))),
            path(format!("{}.approval_policy", agent_path(at, agent))),
        ],
        extra: at.extra.map(str::to_owned),
    });
}

fn unapproved_node(at: &At<'_>, node: &NodeRow, agent: Option<&AgentRow>, out: &mut Findings) {
    let gated = node.gate.as_ref().is_some_and(|gate| gate.required);
    if gated || agent.is_some_and(AgentRow::has_approval_policy) {
        return;
    }
    let (policy, place) = match (&node.tool_policy, agent) {
        (Some(own), _) => (own, node_path(at, node)),
        (None, Some(agent)) => (&agent.tool_policy, agent_path(at, agent)),
        (None, None) => return,
    };
    let tools = tools::needing_approval(&policy.allowlist);
    if tools.is_empty() {
        return;
    }
    out.add(TOOL_WITHOUT_APPROVAL, Severity::High, || New {
        rule_id: TOOL_WITHOUT_APPROVAL,
        category: "missing_approval",
        severity: Severity::High,
        title: "Step may act without approval".into(),
        detail: format!(
            "Node `{}` of automation `{}` may use {}, without a required gate and without an approval policy of its \
             agent.",
            node.node_id,
            at.row.name,
            listed(&tools)
        ),
        recommendation: "Require a gate on the node, or leave it tools that only read.".into(),
        affected: vec![node_object(at, node)],
        evidence: vec![
            path(format!("{place}.tool_policy.allowlist")),
            path(format!("{}.gate.required", node_path(at, node))),
        ],
        extra: at.extra.map(str::to_owned),
    });
}

/// Servers without a list of tools.
fn is_open(policy: &McpPolicyRow) -> bool {
    !policy.effective_allowed_servers.is_empty() && policy.allowed_tools.as_ref().is_none_or(Vec::is_empty)
}

fn open_servers(at: &At<'_>, object: AffectedObject, place: String, policy: &McpPolicyRow, out: &mut Findings) {
    out.add(MCP_WITHOUT_ALLOWLIST, Severity::High, || New {
        rule_id: MCP_WITHOUT_ALLOWLIST,
        category: "mcp_allowlist_gap",
        severity: Severity::High,
        title: "MCP servers without a list of tools".into(),
        detail: format!(
            "`{}` of automation `{}` may call every tool of {}.",
            object.id,
            at.row.name,
            listed(&policy.effective_allowed_servers)
        ),
        recommendation: "List the exact names of the tools, and require approval for those that change something."
            .into(),
        affected: vec![object],
        evidence: vec![path(format!("{place}.mcp_policy"))],
        extra: at.extra.map(str::to_owned),
    });
}
