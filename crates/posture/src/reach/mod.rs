//! Who can make what reach where: the effective authority of an estate as paths through a graph.
//!
//! What may act (sources, keys, tokens, agents, automations, declared things) leads through tools, servers, routes and
//! approvals to destinations and to systems outside. Routes are not guessed at: the router itself is asked, with a signal
//! made to fit. A path says where each step can be seen and whether a person stands on it. What is disabled, or blocked
//! because it changed, leads nowhere.
//!
//! Not seen here: what an executor does beyond the tools that it was given, and what no one connected or declared.

mod build;
mod graph;
mod routing;
mod search;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use tandem_core::{
    error::{Code, Failure},
    text::non_blank,
    wire_enum,
};
use utoipa::ToSchema;

use self::graph::Graph;
use crate::{estate::Estate, inventory::AuthorityInventory};

wire_enum! {
    /// What a path goes through.
    #[schema(as = ReachKind)]
    pub enum Kind {
        Source = "source",
        IntakeKey = "intake_key",
        ApiToken = "api_token",
        Agent = "agent",
        Automation = "automation",
        AutomationAgent = "automation_agent",
        AutomationNode = "automation_node",
        Workflow = "workflow",
        Hook = "hook",
        DeclaredAgent = "declared_agent",
        ToolPolicy = "tool_policy",
        Runtime = "runtime",
        Tool = "tool",
        McpServer = "mcp_server",
        Route = "route",
        Destination = "destination",
        Outside = "outside",
    }
}

impl Kind {
    /// Something that can begin by itself.
    fn is_origin(self) -> bool {
        match self {
            Self::Source
            | Self::IntakeKey
            | Self::ApiToken
            | Self::Agent
            | Self::Automation
            | Self::Workflow
            | Self::Hook
            | Self::DeclaredAgent
            | Self::Runtime => true,
            Self::AutomationAgent
            | Self::AutomationNode
            | Self::ToolPolicy
            | Self::Tool
            | Self::McpServer
            | Self::Route
            | Self::Destination
            | Self::Outside => false,
        }
    }
}

wire_enum! {
    /// Whether a person stands on a step.
    #[schema(as = ReachApproval)]
    pub enum Standing {
        None = "none",
        /// For high risk only, or by a rule of another system that Tandem does not enforce.
        Conditional = "conditional",
        Required = "required",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(as = ReachPoint)]
pub struct Point {
    pub kind: Kind,
    pub id: String,
}

impl Point {
    pub fn new(kind: Kind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into() }
    }

    /// `<kind>:<id>`. The id may hold further colons.
    pub fn read(name: &str, text: Option<&str>) -> Result<Option<Self>, Failure> {
        let Some(text) = non_blank(text) else { return Ok(None) };
        let wrong = |why: String| Failure::new(Code::ValidationFailed, why).status(400);
        let (kind, id) = text.split_once(':').ok_or_else(|| wrong(format!("`{name}` must be <kind>:<id>.")))?;
        let word = match kind.trim() {
            "monitored_source" => "source",
            "key" | "incident_monitor_intake_key" => "intake_key",
            "token" => "api_token",
            "node" => "automation_node",
            "incident_monitor_route" => "route",
            "incident_monitor_destination" => "destination",
            "outside_system" => "outside",
            own => own,
        };
        let kind = Kind::from_word(word).ok_or_else(|| {
            let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
            wrong(format!("The kind in `{name}` must be one of {}.", words.join(", ")))
        })?;
        let id = non_blank(Some(id)).ok_or_else(|| wrong(format!("`{name}` must be <kind>:<id>.")))?;
        Ok(Some(Self::new(kind, id)))
    }
}

/// At least one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    pub from: Option<Point>,
    pub to: Option<Point>,
}

/// One step of a path: what is reached, and what lets it be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReachHop)]
pub struct Hop {
    pub kind: Kind,
    pub id: String,
    /// Where it can be seen: a path into the authority inventory.
    pub why: String,
    /// Of the step to here.
    pub approval: Standing,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReachPath)]
pub struct Path {
    /// The first is where it begins.
    pub hops: Vec<Hop>,
    /// The strictest on the way.
    pub approval: Standing,
    pub gated: bool,
}

/// The other end of an open question, with the easiest way there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReachEnd)]
pub struct End {
    pub kind: Kind,
    pub id: String,
    /// What stands on the easiest way.
    pub approval: Standing,
    pub gated: bool,
}

/// How far was looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReachLimits)]
pub struct Limits {
    pub paths: usize,
    pub hops: usize,
    pub ends: usize,
    pub steps: usize,
    /// Questions put to the router.
    pub routing_decisions: usize,
}

pub const LIMITS: Limits = Limits { paths: 100, hops: 12, ends: 1_000, steps: 100_000, routing_decisions: 4_000 };

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReachScope)]
pub struct Scope {
    pub source: String,
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reach {
    pub schema_version: u32,
    pub generated_at_ms: u64,
    pub scope: Scope,
    pub from: Option<Point>,
    pub to: Option<Point>,
    pub reachable: bool,
    /// Reachable, and never without an approval that is required. Exact, whatever was left out of `paths`.
    pub gated: bool,
    /// What stands on the easiest way; null where there is none.
    pub approval: Option<Standing>,
    /// With both ends given, the ways between them, the easiest first. With one end, the easiest way to or from each of
    /// the first `ends`.
    pub paths: Vec<Path>,
    /// Who reaches `to`, or what `from` reaches, when the other is not given; what is least guarded first.
    pub ends: Vec<End>,
    pub end_count: usize,
    /// A limit was met: there may be more paths, or more ends.
    pub truncated: bool,
    pub limits: Limits,
}

/// Answers from an estate, as far as the inventory's reader may see it.
pub fn reach(estate: &Estate, inventory: &AuthorityInventory, ask: &Ask) -> Result<Reach, Failure> {
    if ask.from.is_none() && ask.to.is_none() {
        return Err(Failure::new(Code::ValidationFailed, "Name `from`, `to` or both.").status(400));
    }
    let mut graph = Graph::default();
    build::all(estate, &inventory.inventory, &mut graph);
    let find = |graph: &Graph, point: &Option<Point>| -> Result<Option<Vec<usize>>, Failure> {
        let Some(point) = point else { return Ok(None) };
        let found = graph.labelled(point);
        if found.is_empty() {
            let what = Failure::of(Code::ReachObjectNotFound);
            return Err(what.with("kind", point.kind.word()).with("id", point.id.as_str()));
        }
        Ok(Some(found))
    };
    let (from, to) = (find(&graph, &ask.from)?, find(&graph, &ask.to)?);
    let complete = routing::add(estate, &inventory.inventory, &mut graph, from.as_deref(), to.as_deref());
    // Routes that lie behind a source have been added.
    let (from, to) = (find(&graph, &ask.from)?, find(&graph, &ask.to)?);
    let found = match (&from, &to) {
        (Some(from), Some(to)) => search::between(&graph, from, to),
        (Some(from), None) => search::ahead(&graph, from),
        (None, Some(to)) => search::behind(&graph, to),
        (None, None) => search::Found::default(),
    };
    Ok(Reach {
        schema_version: 1,
        generated_at_ms: estate.now_ms,
        scope: Scope { source: "incident_monitor_security_reach".into(), read_only: true },
        from: ask.from.clone(),
        to: ask.to.clone(),
        reachable: found.easiest.is_some(),
        gated: found.easiest == Some(Standing::Required),
        approval: found.easiest,
        paths: found.paths,
        ends: found.ends,
        end_count: found.end_count,
        truncated: found.truncated || !complete,
        limits: LIMITS,
    })
}
