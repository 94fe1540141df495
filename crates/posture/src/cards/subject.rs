//! What a card is about: the monitor itself, an automation, a declared workflow, or a monitored source, and what the
//! inventory says of it. What only an operator can say is deliberately absent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_core::wire_enum;
use utoipa::ToSchema;

use crate::inventory::{AuthorityInventory, AutomationRow, Inventory, SourceRow, WorkflowRow};

wire_enum! {
    /// Cards are listed in this order.
    #[schema(as = DeploymentCardKind)]
    pub enum CardKind {
        SelfMonitoring = "tandem_self_monitoring",
        Automation = "automation",
        Workflow = "workflow",
        MonitoredSource = "monitored_source",
    }
}

impl CardKind {
    fn target(self) -> &'static str {
        match self {
            Self::SelfMonitoring => "incident_monitor",
            Self::Automation => "automation",
            Self::Workflow => "workflow",
            Self::MonitoredSource => "monitored_source",
        }
    }

    /// The kind that an id names.
    pub fn of_id(card_id: &str) -> Option<Self> {
        match card_id.split_once(':')? {
            ("tandem", "self_monitoring:incident_monitor") => Some(Self::SelfMonitoring),
            ("automation", id) if !id.is_empty() => Some(Self::Automation),
            ("workflow", id) if !id.is_empty() => Some(Self::Workflow),
            ("monitored_source", id) if id.contains(':') => Some(Self::MonitoredSource),
            _ => None,
        }
    }
}

/// The card of the monitor itself.
pub const MONITOR_CARD: &str = "tandem:self_monitoring:incident_monitor";

pub fn automation_card(automation_id: &str) -> String {
    format!("automation:{automation_id}")
}

pub fn workflow_card(workflow_id: &str) -> String {
    format!("workflow:{workflow_id}")
}

/// A project without a source is its own source `project`.
pub fn source_card(project_id: &str, source_id: Option<&str>) -> String {
    format!("monitored_source:{project_id}:{}", source_id.unwrap_or("project"))
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardTarget)]
pub struct CardTarget {
    pub kind: String,
    pub id: String,
    pub name: String,
}

/// What it may use and reach, as the inventory shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeploymentCardAuthority)]
pub struct CardAuthority {
    pub tools: Vec<String>,
    pub mcp_servers: Vec<String>,
    pub destinations: Vec<String>,
    pub routes: Vec<String>,
    pub data_sources: Vec<String>,
    /// Counts and states; which keys there are depends on the kind.
    #[schema(value_type = Object)]
    pub inventory: Value,
}

impl CardAuthority {
    /// Over what it may use and reach. Counts and states change all the time and are left out.
    pub fn digest(&self) -> String {
        let lists = json!([self.tools, self.mcp_servers, self.destinations, self.routes, self.data_sources]);
        tandem_core::text::sha256_hex(&lists.to_string())
    }
}

/// A card before anybody has said anything.
#[derive(Clone, Debug)]
pub struct Subject {
    pub kind: CardKind,
    pub card_id: String,
    pub target: CardTarget,
    pub system_boundary: &'static str,
    pub source_kind: String,
    pub purpose: Option<String>,
    pub allowed: Vec<String>,
    pub prohibited: Vec<String>,
    pub limitations: Vec<String>,
    pub risks: Vec<String>,
    pub authority: CardAuthority,
    pub tenant_scope: Value,
    pub inventory_refs: Vec<String>,
    /// Findings that hold one of these are about it.
    pub names: Vec<String>,
}

/// Every subject of an inventory, in the order of the kinds.
pub fn subjects(inventory: &AuthorityInventory) -> Vec<Subject> {
    let rows = &inventory.inventory;
    let mut all = vec![monitor(inventory)];
    all.extend(rows.automation_specs.iter().map(automation));
    all.extend(rows.workflows.iter().map(workflow));
    all.extend(rows.monitored_sources.iter().map(source));
    all
}

/// The subject of one card, where the inventory has it.
pub fn subject(inventory: &AuthorityInventory, card_id: &str) -> Option<Subject> {
    let rows = &inventory.inventory;
    match CardKind::of_id(card_id)? {
        CardKind::SelfMonitoring => Some(monitor(inventory)),
        CardKind::Automation => {
            rows.automation_specs.iter().find(|row| automation_card(&row.automation_id) == card_id).map(automation)
        }
        CardKind::Workflow => {
            rows.workflows.iter().find(|row| workflow_card(&row.workflow_id) == card_id).map(workflow)
        }
        CardKind::MonitoredSource => {
            let of = |row: &&SourceRow| source_card(&row.project_id, row.source_id.as_deref()) == card_id;
            rows.monitored_sources.iter().find(of).map(source)
        }
    }
}

fn boundary(source_kind: &str) -> &'static str {
    match source_kind {
        "tandem_monitor" => "tandem_self_monitoring",
        "tandem_runtime" | "agent_runtime" | "mcp_gateway" => "tandem_control_plane",
        "external_app" | "ci" | "customer_system" => "customer_owned_system",
        _ => "unknown_or_operator_supplied",
    }
}

fn unique<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let set: BTreeSet<&String> = names.into_iter().filter(|name| !name.trim().is_empty()).collect();
    set.into_iter().cloned().collect()
}

fn lines(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn monitor(inventory: &AuthorityInventory) -> Subject {
    let Inventory { destinations, routes, monitored_sources, automation_specs, mcp, .. } = &inventory.inventory;
    let tenant = &inventory.scope.tenant_context;
    let scope = json!({
        "org_id": tenant.org_id, "workspace_id": tenant.workspace_id, "deployment_id": tenant.deployment_id,
    });
    Subject {
        kind: CardKind::SelfMonitoring,
        card_id: MONITOR_CARD.into(),
        target: CardTarget {
            kind: CardKind::SelfMonitoring.target().into(),
            id: "incident_monitor".into(),
            name: "Incident Monitor".into(),
        },
        system_boundary: "tandem_self_monitoring",
        source_kind: "tandem_monitor".into(),
        purpose: Some(
            "Takes in failures, routes them to configured destinations under approval, and keeps a verifiable record."
                .into(),
        ),
        allowed: lines(&[
            "take in reports of monitored sources",
            "draft incidents and preview their routes",
            "publish through configured destinations under their approval policy",
        ]),
        prohibited: lines(&["change an outside system other than through a configured destination and its approval"]),
        limitations: lines(&["Only what is connected and reports is seen."]),
        risks: lines(&["It watches itself: evidence has to be kept outside of it as well."]),
        authority: CardAuthority {
            tools: Vec::new(),
            mcp_servers: mcp.servers.iter().map(|server| server.name.clone()).collect(),
            destinations: destinations.iter().map(|row| row.destination_id.clone()).collect(),
            routes: routes.iter().map(|row| row.route_id.clone()).collect(),
            data_sources: monitored_sources.iter().map(SourceRow::reference).collect(),
            inventory: json!({
                "incident_monitor": 1, "configured_destinations": destinations.len(), "routes": routes.len(),
                "monitored_sources": monitored_sources.len(), "automation_specs": automation_specs.len(),
            }),
        },
        tenant_scope: scope,
        inventory_refs: lines(&["authority_inventory:incident_monitor"]),
        names: lines(&["incident_monitor"]),
    }
}

fn automation(row: &AutomationRow) -> Subject {
    let id = &row.automation_id;
    let agents = row.agents.iter();
    let nodes = row.nodes.iter();
    let policies = agents.clone().map(|agent| &agent.tool_policy);
    let policies = policies.chain(nodes.clone().filter_map(|node| node.tool_policy.as_ref()));
    let mcp = agents.clone().map(|agent| &agent.mcp_policy).chain(nodes.filter_map(|node| node.mcp_policy.as_ref()));
    let tools = policies.flat_map(|policy| &policy.allowlist);
    let tools = unique(tools.chain(mcp.clone().filter_map(|policy| policy.allowed_tools.as_ref()).flatten()));
    let targets = row.output_targets.iter().map(|target| format!("write to {target}"));
    let uses = tools.iter().map(|tool| format!("use the tool {tool}"));
    Subject {
        kind: CardKind::Automation,
        card_id: automation_card(id),
        target: CardTarget { kind: CardKind::Automation.target().into(), id: id.clone(), name: row.name.clone() },
        system_boundary: "tandem_runtime",
        source_kind: "agent_runtime".into(),
        purpose: row.description.clone(),
        allowed: targets.chain(uses).collect(),
        prohibited: lines(&["use a tool or server that its policies do not name"]),
        limitations: lines(&["Nobody has written down what it cannot do."]),
        risks: lines(&["Nobody has written down which risks remain."]),
        authority: CardAuthority {
            mcp_servers: unique(mcp.flat_map(|policy| &policy.effective_allowed_servers)),
            destinations: unique(&row.output_targets),
            routes: Vec::new(),
            data_sources: Vec::new(),
            inventory: json!({
                "status": row.status, "agents": row.agents.len(), "nodes": row.nodes.len(),
                "output_targets": row.output_targets.len(), "scope_policy_present": row.scope_policy_present,
            }),
            tools,
        },
        tenant_scope: json!(row.tenant_context),
        inventory_refs: vec![format!("authority_inventory:automation:{id}"), format!("automation:{id}")],
        names: vec![id.clone()],
    }
}

fn workflow(row: &WorkflowRow) -> Subject {
    let id = &row.workflow_id;
    let hooked = row.hooks.iter().flat_map(|hook| &hook.actions).map(|action| &action.action);
    let tools = unique(row.steps.iter().map(|step| &step.action).chain(hooked));
    Subject {
        kind: CardKind::Workflow,
        card_id: workflow_card(id),
        target: CardTarget { kind: CardKind::Workflow.target().into(), id: id.clone(), name: row.name.clone() },
        system_boundary: "tandem_runtime",
        source_kind: "tandem_runtime".into(),
        purpose: row.description.clone(),
        allowed: tools.iter().map(|action| format!("run {action}")).collect(),
        prohibited: lines(&["run an action that its definition does not name"]),
        limitations: lines(&["Nobody has written down what it cannot do."]),
        risks: lines(&["Nobody has written down which risks remain."]),
        authority: CardAuthority {
            inventory: json!({
                "enabled": row.enabled, "source": row.source, "steps": row.steps.len(), "hooks": row.hooks.len(),
            }),
            tools,
            ..CardAuthority::default()
        },
        tenant_scope: Value::Null,
        inventory_refs: vec![format!("authority_inventory:workflow:{id}"), format!("workflow:{id}")],
        names: vec![id.clone()],
    }
}

fn source(row: &SourceRow) -> Subject {
    let card_id = source_card(&row.project_id, row.source_id.as_deref());
    let reference = row.reference();
    let server = row.project.mcp_server.clone().flatten();
    Subject {
        kind: CardKind::MonitoredSource,
        target: CardTarget {
            kind: CardKind::MonitoredSource.target().into(),
            id: card_id.clone(),
            name: match &row.source_id {
                Some(source) => format!("{} / {source}", row.name),
                None => row.name.clone(),
            },
        },
        card_id,
        system_boundary: boundary(&row.source_kind),
        source_kind: row.source_kind.clone(),
        purpose: Some(format!("Failure signals from {}", row.name)),
        allowed: lines(&["report failures into the monitor", "reach the destinations that it is bound to"]),
        prohibited: lines(&["choose another tenant, destination or policy than it is bound to"]),
        limitations: lines(&["Only what the source reports is seen."]),
        risks: lines(&["Reports may hold data that nobody expected in them."]),
        authority: CardAuthority {
            tools: Vec::new(),
            mcp_servers: server.into_iter().collect(),
            destinations: unique(row.allowed_destination_ids.iter().chain(&row.default_destination_ids)),
            routes: unique(&row.default_route_tags),
            data_sources: vec![reference.clone()],
            inventory: json!({
                "enabled": row.enabled, "paused": row.paused, "source_kind": row.source_kind,
                "approval_policy": row.approval_policy,
                "redaction_profile_present": row.redaction_profile.is_some(),
                "retention_profile_present": row.retention_profile.is_some(),
                "event_schema_version": row.event_schema_version,
                "data_readiness": row.data_readiness, "source_readiness": row.readiness,
            }),
        },
        tenant_scope: json!({
            "tenant_id": row.tenant_id, "workspace_id": row.workspace_id, "project_id": row.project_id,
            "source_id": row.source_id,
        }),
        inventory_refs: vec![format!("authority_inventory:{reference}")],
        names: match &row.source_id {
            Some(source) => vec![row.project_id.clone(), source.clone()],
            None => vec![row.project_id.clone()],
        },
    }
}
