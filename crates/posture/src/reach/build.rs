//! The steps that follow from the inventory alone: everything but what the router decides.

use std::{collections::HashMap, sync::Arc};

use tandem_core::{credential::REPORT_SCOPES, mcp::names::slug};

use super::{Kind, Standing, graph::Graph};
use crate::{
    declared::{Declared, DeclaredKind},
    estate::Estate,
    inventory::{AgentRow, AutomationRow, DestinationRow, Inventory, McpPolicyRow, NodeRow, SourceRow, present},
    posture::declarations::has_policy,
    tools::{self, Risk},
};

/// A report that names no source, or whose word about it is not believed.
pub(super) const UNBOUND: &str = "unbound";
/// Where no route wins.
pub(super) const DEFAULTS: &str = "default_destinations";
/// The token that the server was started with.
const BOOT: &str = "boot";
/// Whatever the process of an executor can reach.
const EXECUTOR: &str = "executor";

pub(super) fn all(estate: &Estate, sections: &Inventory, graph: &mut Graph) {
    let servers = Servers::of(sections);
    servers.outside(sections, graph);
    for row in &sections.destinations {
        destination(sections, &servers, row, graph);
    }
    for route in &sections.routes {
        graph.node(Kind::Route, &route.route_id, || format!("inventory.routes[{}]", route.route_id));
    }
    graph.node(Kind::Route, DEFAULTS, || "inventory.incident_monitor.default_destination_ids".into());
    for row in &sections.monitored_sources {
        source(row, graph);
    }
    graph.node(Kind::Source, UNBOUND, || "incident_monitor.report".into());
    keys(estate, sections, graph);
    for row in &sections.automation_specs {
        automation(row, &servers, graph);
    }
    agents(estate, sections, graph);
    tokens(estate, sections, graph);
    declared(estate, &servers, graph);
}

fn source(row: &SourceRow, graph: &mut Graph) -> usize {
    graph.node(Kind::Source, &row.reference(), || format!("inventory.monitored_sources[{}]", row.id()))
}

/// Registered servers by the names under which they are written.
struct Servers<'a> {
    by_slug: HashMap<String, &'a str>,
    /// Tools that exist and are not called: changed since they were accepted, or not on the list of their server.
    closed: std::collections::HashSet<String>,
}

impl<'a> Servers<'a> {
    fn of(sections: &'a Inventory) -> Self {
        let servers = &sections.mcp.servers;
        Self {
            by_slug: servers.iter().map(|server| (slug(&server.name), server.name.as_str())).collect(),
            closed: servers
                .iter()
                .flat_map(|server| &server.governed_tools)
                .filter(|tool| tool.changed || tool.default_access == "hidden")
                .map(|tool| tool.namespaced_name.to_lowercase())
                .collect(),
        }
    }

    /// What a server is lies outside, whoever runs it.
    fn outside(&self, sections: &Inventory, graph: &mut Graph) {
        for server in sections.mcp.servers.iter().filter(|server| server.enabled) {
            self.server(&server.name, graph);
        }
    }

    fn server(&self, name: &str, graph: &mut Graph) -> usize {
        let own = slug(name);
        let name = self.by_slug.get(&own).copied().unwrap_or(name).to_owned();
        if let Some(known) = graph.known(Kind::McpServer, &name) {
            return known;
        }
        let place = format!("inventory.mcp.servers[{name}]");
        let node = graph.node(Kind::McpServer, &name, || place.clone());
        let outside = graph.node(Kind::Outside, &format!("mcp:{name}"), || place.clone());
        graph.step(node, outside, place, Standing::None);
        node
    }

    /// The tool of a policy, and what lies behind it.
    fn tool(&self, entry: &str, graph: &mut Graph) -> usize {
        let name = if tools::is_wildcard(entry) { entry.trim().to_owned() } else { tools::normalised(entry) };
        if let Some(known) = graph.known(Kind::Tool, &name) {
            return known;
        }
        let node = graph.node(Kind::Tool, &name, || "inventory.mcp.registered_tools".into());
        let why: Arc<str> = "inventory.mcp.servers".into();
        if tools::is_wildcard(&name) {
            let mut all: Vec<&str> = self.by_slug.values().copied().collect();
            all.sort_unstable();
            for server in all {
                let server = self.server(server, graph);
                graph.step(node, server, Arc::clone(&why), Standing::None);
            }
        } else if let Some(rest) = name.strip_prefix("mcp.") {
            let server = self.server(rest.split('.').next().unwrap_or(rest), graph);
            graph.step(node, server, Arc::clone(&why), Standing::None);
        }
        // A tool that only reads has no effect outside; one that nothing is known of may have.
        if name != "mcp.*" && !name.starts_with("mcp.") && tools::risk(&name) != Risk::Free {
            let outside = graph.node(Kind::Outside, EXECUTOR, || "inventory.automation_specs".into());
            graph.step(node, outside, why, Standing::None);
        }
        node
    }
}

fn destination(sections: &Inventory, servers: &Servers<'_>, row: &DestinationRow, graph: &mut Graph) {
    let place = format!("inventory.destinations[{}]", row.destination_id);
    let node = graph.node(Kind::Destination, &row.destination_id, || place.clone());
    if !row.enabled {
        return;
    }
    let text =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let outside = match row.kind.as_str() {
        "github_issue" => {
            let repo = text(&row.repo).or_else(|| text(&sections.incident_monitor.repo));
            format!("github:{}", repo.unwrap_or_else(|| "unset".into()))
        }
        "linear_issue" => format!("linear:{}", text(&row.linear_team).unwrap_or_else(|| "unset".into())),
        // The address is a secret.
        "webhook" => format!("webhook:{}", row.destination_id),
        "mcp_tool" => {
            let (Some(server), Some(tool)) = (text(&row.mcp_server), text(&row.mcp_tool)) else { return };
            let full = match tool.to_lowercase().starts_with("mcp.") {
                true => tool,
                false => tandem_core::mcp::names::namespaced(&server, &tool),
            };
            if row.allow_publish != Some(true) || servers.closed.contains(&full.to_lowercase()) {
                return;
            }
            let tool = servers.tool(&full, graph);
            return graph.step(node, tool, format!("{place}.mcp_tool"), Standing::None);
        }
        _ => return,
    };
    let outside = graph.node(Kind::Outside, &outside, || place.clone());
    graph.step(node, outside, place, Standing::None);
}

/// A key may report for its project and for each of the project's log sources.
fn keys(estate: &Estate, sections: &Inventory, graph: &mut Graph) {
    let mut of_project: HashMap<String, Vec<usize>> = HashMap::new();
    for row in sections.monitored_sources.iter().filter(|row| row.enabled) {
        let node = source(row, graph);
        of_project.entry(row.project_id.to_lowercase()).or_default().push(node);
    }
    for key in &sections.scoped_intake_keys {
        let place: Arc<str> = format!("inventory.scoped_intake_keys[{}]", key.key_id).into();
        let node = graph.node(Kind::IntakeKey, &key.key_id, || place.to_string());
        let live = key.enabled && key.expires_at_ms.is_none_or(|at| estate.now_ms < at);
        if !live || !key.scopes.iter().any(|scope| REPORT_SCOPES.contains(&scope.as_str())) {
            continue;
        }
        for source in of_project.get(&key.project_id.trim().to_lowercase()).into_iter().flatten() {
            graph.step(node, *source, format!("{place}.project_id"), Standing::None);
        }
    }
}

fn automation(row: &AutomationRow, servers: &Servers<'_>, graph: &mut Graph) {
    let place: Arc<str> = format!("inventory.automation_specs[{}]", row.automation_id).into();
    let own = graph.node(Kind::Automation, &row.automation_id, || place.to_string());
    let agents: HashMap<&str, &AgentRow> = row.agents.iter().map(|agent| (agent.agent_id.as_str(), agent)).collect();
    for node in &row.nodes {
        let agent = agents.get(node.agent_id.as_str()).copied();
        let at = format!("{place}.nodes[{}]", node.node_id);
        let id = format!("{}/{}", row.automation_id, node.node_id);
        let point = graph.node(Kind::AutomationNode, &id, || at.clone());
        graph.step(own, point, at.clone(), Standing::None);
        let approval = node_approval(node, agent);
        let theirs = agent.map(|agent| format!("{place}.agents[{}]", agent.agent_id));
        if let Some((policy, at)) =
            pick(node.tool_policy.as_ref(), agent.map(|a| &a.tool_policy), &at, theirs.as_deref())
        {
            allowlist(point, &policy.allowlist, &format!("{at}.tool_policy.allowlist"), approval, servers, graph);
        }
        if let Some((policy, at)) = pick(node.mcp_policy.as_ref(), agent.map(|a| &a.mcp_policy), &at, theirs.as_deref())
        {
            mcp(point, policy, &format!("{at}.mcp_policy"), approval, servers, graph);
        }
    }
    for agent in &row.agents {
        if row.nodes.iter().any(|node| node.agent_id == agent.agent_id) {
            continue;
        }
        let at = format!("{place}.agents[{}]", agent.agent_id);
        let id = format!("{}/{}", row.automation_id, agent.agent_id);
        let point = graph.node(Kind::AutomationAgent, &id, || at.clone());
        graph.step(own, point, at.clone(), Standing::None);
        let approval = if agent.has_approval_policy() { Standing::Conditional } else { Standing::None };
        let list = format!("{at}.tool_policy.allowlist");
        allowlist(point, &agent.tool_policy.allowlist, &list, approval, servers, graph);
        mcp(point, &agent.mcp_policy, &format!("{at}.mcp_policy"), approval, servers, graph);
    }
    for target in row.output_targets.iter().filter(|target| !target.trim().is_empty()) {
        let outside =
            graph.node(Kind::Outside, &format!("output:{}", target.trim()), || format!("{place}.output_targets"));
        graph.step(own, outside, format!("{place}.output_targets"), Standing::None);
    }
}

/// A node's own policy, else its agent's, with where it stands.
fn pick<'a, T>(
    own: Option<&'a T>,
    theirs: Option<&'a T>,
    here: &'a str,
    there: Option<&'a str>,
) -> Option<(&'a T, &'a str)> {
    own.map(|own| (own, here)).or_else(|| theirs.zip(there))
}

/// A required gate stands before the node runs; an agent's policy is the executor's to follow.
fn node_approval(node: &NodeRow, agent: Option<&AgentRow>) -> Standing {
    if node.gate.as_ref().is_some_and(|gate| gate.required) {
        Standing::Required
    } else if agent.is_some_and(AgentRow::has_approval_policy) {
        Standing::Conditional
    } else {
        Standing::None
    }
}

fn allowlist(from: usize, list: &[String], why: &str, approval: Standing, servers: &Servers<'_>, graph: &mut Graph) {
    let why: Arc<str> = why.into();
    for entry in list.iter().filter(|entry| !entry.trim().is_empty()) {
        let tool = servers.tool(entry, graph);
        graph.step(from, tool, Arc::clone(&why), approval);
    }
}

/// The named tools of the allowed servers, or the servers as a whole.
fn mcp(from: usize, policy: &McpPolicyRow, why: &str, approval: Standing, servers: &Servers<'_>, graph: &mut Graph) {
    for name in &policy.effective_allowed_servers {
        match policy.allowed_tools.as_deref().filter(|tools| !tools.is_empty()) {
            None => {
                let server = servers.server(name, graph);
                graph.step(from, server, why, approval);
            }
            Some(tools) => {
                let own = format!("mcp.{}.", slug(name));
                for tool in tools.iter().map(|tool| tool.trim().to_lowercase()) {
                    let full = if tool.starts_with("mcp.") { tool } else { format!("{own}{tool}") };
                    if full.starts_with(&own) {
                        let tool = servers.tool(&full, graph);
                        graph.step(from, tool, why, approval);
                    }
                }
            }
        }
    }
}

/// An agent of the registry acts through what it created.
fn agents(estate: &Estate, sections: &Inventory, graph: &mut Graph) {
    let mut created: HashMap<&str, Vec<&AutomationRow>> = HashMap::new();
    for row in &sections.automation_specs {
        created.entry(row.creator_id.as_str()).or_default().push(row);
    }
    let paused: std::collections::HashSet<&str> = estate
        .agents
        .iter()
        .filter(|owned| owned.value.is_paused())
        .map(|owned| owned.value.agent_id.as_str())
        .collect();
    for agent in &sections.agents {
        let place = format!("inventory.agents[{}]", agent.agent_id);
        let node = graph.node(Kind::Agent, &agent.agent_id, || place);
        if paused.contains(agent.agent_id.as_str()) {
            continue;
        }
        for row in created.get(agent.agent_id.as_str()).into_iter().flatten() {
            let to = graph.node(Kind::Automation, &row.automation_id, String::new);
            let why = format!("inventory.automation_specs[{}].creator_id", row.automation_id);
            graph.step(node, to, why, Standing::None);
        }
        acts(sections, node, &format!("inventory.agents[{}]", agent.agent_id), graph);
    }
}

/// What every full token may do: report, and publish a draft to destinations that the call names.
fn acts(sections: &Inventory, node: usize, why: &str, graph: &mut Graph) {
    let why: Arc<str> = why.into();
    let unbound = graph.node(Kind::Source, UNBOUND, String::new);
    graph.noted(node, unbound, Arc::clone(&why), Standing::None, Some("reports without a source"));
    let monitor = &sections.incident_monitor;
    for row in sections.destinations.iter().filter(|row| row.enabled) {
        let to = graph.node(Kind::Destination, &row.destination_id, String::new);
        let approval = if row.require_approval || monitor.require_approval_for_new_issues {
            Standing::Required
        } else if monitor.safety_defaults.require_approval_for_high_risk {
            Standing::Conditional
        } else {
            Standing::None
        };
        graph.noted(node, to, Arc::clone(&why), approval, Some("names it in a publish call"));
    }
}

/// A token that is bound to an agent is that agent; any other may also run every automation of its tenant.
fn tokens(estate: &Estate, sections: &Inventory, graph: &mut Graph) {
    let mut free = Vec::new();
    for token in sections.api_tokens.iter().filter(|token| token.live) {
        let place: Arc<str> = format!("inventory.api_tokens[{}]", token.token_id).into();
        let node = graph.node(Kind::ApiToken, &token.token_id, || place.to_string());
        match &token.agent_id {
            Some(agent) => {
                let to = graph.node(Kind::Agent, agent, || format!("inventory.agents[{agent}]"));
                graph.step(node, to, format!("{place}.agent_id"), Standing::None);
            }
            None => free.push((node, place)),
        }
    }
    if estate.tenant.is_local_implicit() {
        let place: Arc<str> = "incident_monitor.api_token".into();
        free.push((graph.node(Kind::ApiToken, BOOT, || place.to_string()), place));
    }
    let automations: Vec<usize> = sections
        .automation_specs
        .iter()
        .map(|row| graph.node(Kind::Automation, &row.automation_id, String::new))
        .collect();
    for (node, place) in free {
        acts(sections, node, &place, graph);
        for to in &automations {
            graph.noted(node, *to, Arc::clone(&place), Standing::None, Some("may run it"));
        }
    }
}

fn declared_kind(kind: DeclaredKind) -> (Kind, &'static str) {
    match kind {
        DeclaredKind::Workflow => (Kind::Workflow, "workflows"),
        DeclaredKind::Hook => (Kind::Hook, "hooks"),
        DeclaredKind::Agent => (Kind::DeclaredAgent, "declared_agents"),
        DeclaredKind::ToolPolicy => (Kind::ToolPolicy, "tool_policies"),
        DeclaredKind::Runtime => (Kind::Runtime, "runtimes"),
    }
}

fn declared(estate: &Estate, servers: &Servers<'_>, graph: &mut Graph) {
    let own = |declared: &Declared, graph: &mut Graph| {
        let (kind, section) = declared_kind(declared.kind);
        graph.node(kind, &declared.object_id, || format!("inventory.{section}[{}]", declared.object_id))
    };
    for owned in &estate.declared {
        own(&owned.value, graph);
    }
    for owned in estate.declared.iter().filter(|owned| owned.value.spec.enabled) {
        let declared = &owned.value;
        let node = own(declared, graph);
        let place = format!("inventory.{}[{}]", declared_kind(declared.kind).1, declared.object_id);
        // Another system's policy is its own to follow.
        let policy = has_policy(declared.spec.approval_policy.as_deref());
        let approval = if policy { Standing::Conditional } else { Standing::None };
        uses(declared, node, &place, approval, servers, graph);
        for related in &declared.spec.related {
            let Some((kind, id)) = related.split_once(':') else { continue };
            let Some(kind) = DeclaredKind::from_word(kind.trim()) else { continue };
            if let Some(to) = graph.known(declared_kind(kind).0, id.trim()).filter(|to| *to != node) {
                graph.step(node, to, format!("{place}.related"), Standing::None);
            }
        }
        let workflow = declared.spec.hooks.iter().find_map(|hook| hook.workflow_id.as_deref());
        let workflow = workflow.filter(|_| declared.kind == DeclaredKind::Hook);
        if let Some(to) = workflow.and_then(|id| graph.known(Kind::Workflow, id)) {
            graph.step(node, to, format!("{place}.workflow_id"), Standing::None);
        }
    }
}

fn uses(declared: &Declared, node: usize, place: &str, approval: Standing, servers: &Servers<'_>, graph: &mut Graph) {
    let spec = &declared.spec;
    let steps: Vec<String> = spec.steps.iter().map(|step| step.action.clone()).collect();
    allowlist(node, &steps, &format!("{place}.steps"), approval, servers, graph);
    let actions = spec.hooks.iter().filter(|hook| hook.enabled).flat_map(|hook| &hook.actions);
    let actions: Vec<String> = actions.map(|action| action.action.clone()).collect();
    allowlist(node, &actions, &format!("{place}.hooks"), approval, servers, graph);
    match &spec.tool_allowlist {
        Some(list) => allowlist(node, list, &format!("{place}.tool_allowlist"), approval, servers, graph),
        None if declared.kind == DeclaredKind::Agent => {
            allowlist(node, &["*".to_owned()], &format!("{place}.tool_allowlist"), approval, servers, graph);
        }
        None => {}
    }
    for server in spec.servers.iter().filter(|server| present(Some(&server.name))) {
        let why = format!("{place}.servers[{}]", server.name);
        match server.allowed_tools.as_deref() {
            None => {
                let to = servers.server(&server.name, graph);
                graph.step(node, to, why, approval);
            }
            Some(tools) => {
                let full = |tool: &String| match tool.to_lowercase().starts_with("mcp.") {
                    true => tool.clone(),
                    false => tandem_core::mcp::names::namespaced(&server.name, tool),
                };
                let tools: Vec<String> = tools.iter().map(full).collect();
                allowlist(node, &tools, &why, approval, servers, graph);
            }
        }
    }
}
