//! What other systems say exists: workflows, hooks, agents, tool policies and runtimes that Tandem does not run.
//!
//! A declaration is no authority. It makes something visible, so that it can be judged; one that is no longer repeated
//! goes stale, and that is itself a finding. Values of parameters are never kept, only their names.
//!
//! [`read`] makes what is kept from what was sent; [`declare`] decides who may say what, and what a repetition changes.

pub mod declare;
pub mod read;

use serde::{Deserialize, Serialize};
use tandem_core::{
    actor::ActorRef,
    record::{Collection, Column, Record},
    wire_enum,
};
use utoipa::ToSchema;

wire_enum! {
    pub enum DeclaredKind {
        Workflow = "workflow",
        Hook = "hook",
        Agent = "agent",
        ToolPolicy = "tool_policy",
        Runtime = "runtime",
    }
}

impl DeclaredKind {
    pub fn from_segment(segment: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.segment() == segment)
    }

    /// The segment of its address: `/authority/<segment>/{id}`.
    pub fn segment(self) -> &'static str {
        match self {
            Self::Workflow => "workflows",
            Self::Hook => "hooks",
            Self::Agent => "agents",
            Self::ToolPolicy => "tool-policies",
            Self::Runtime => "runtimes",
        }
    }
}

wire_enum! {
    /// Who said so.
    #[derive(Default)]
    pub enum Origin {
        /// A system about itself.
        #[default]
        Api = "api",
        /// A scan of configuration files.
        Scan = "scan",
    }
}

wire_enum! {
    #[derive(Default)]
    pub enum PackKind {
        BuiltIn = "built_in",
        Pack = "pack",
        #[default]
        Workspace = "workspace",
    }
}

/// Where a workflow or hook comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PackSource {
    pub kind: PackKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// One step of a workflow. `parameter_keys` are the names of what is passed; values are not kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Step {
    pub step_id: String,
    pub action: String,
    pub has_parameters: bool,
    pub parameter_keys: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct HookAction {
    pub action: String,
    pub has_parameters: bool,
    pub parameter_keys: Vec<String>,
}

/// What follows an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Hook {
    pub binding_id: String,
    pub event: String,
    pub enabled: bool,
    /// The workflow that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    pub actions: Vec<HookAction>,
}

/// An MCP server that a declared thing may call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DeclaredServer {
    pub name: String,
    /// `stdio`, `http` or `sse`.
    pub transport: String,
    /// Host of the address, or the program's name. Never arguments or a query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Absent admits every tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_tools: Option<Vec<String>>,
    /// Names of environment variables and headers that it is given. Never values.
    pub secret_keys: Vec<String>,
}

/// What is said of the thing itself. Which fields mean something depends on the kind; the others stay empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DeclaredSpec {
    pub name: String,
    pub description: Option<String>,
    pub enabled: bool,
    /// Who answers for it.
    pub owner: Option<String>,
    /// `langgraph`, `crewai`, `claude`, …
    pub framework: Option<String>,
    /// Where it stands: a file beneath the scanned root, or the name of a host.
    pub locator: Option<String>,
    pub source: Option<PackSource>,
    pub steps: Vec<Step>,
    pub hooks: Vec<Hook>,
    /// Tools that it may use. Absent means that nothing limits it; an empty list means none.
    pub tool_allowlist: Option<Vec<String>>,
    pub tool_denylist: Vec<String>,
    pub servers: Vec<DeclaredServer>,
    /// `always`, `high_risk`, `never`, …: the other system's own word.
    pub approval_policy: Option<String>,
    /// Agents, workflows or runtimes that it belongs to or runs, as `<kind>:<id>`.
    pub related: Vec<String>,
    pub data_classification: Option<String>,
}

impl Default for DeclaredSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: None,
            enabled: true,
            owner: None,
            framework: None,
            locator: None,
            source: None,
            steps: Vec::new(),
            hooks: Vec::new(),
            tool_allowlist: None,
            tool_denylist: Vec::new(),
            servers: Vec::new(),
            approval_policy: None,
            related: Vec::new(),
            data_classification: None,
        }
    }
}

/// A declaration as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Declared {
    /// `<kind>:<id>`; the key of the row.
    pub declared_id: String,
    pub kind: DeclaredKind,
    #[serde(rename = "id")]
    pub object_id: String,
    pub origin: Origin,
    #[serde(flatten)]
    pub spec: DeclaredSpec,
    /// SHA-256 over what was said, hex. Saying the same again changes `last_seen_at_ms` only.
    pub digest: String,
    /// Without a repetition for this long it is stale.
    pub stale_after_ms: u64,
    pub first_seen_at_ms: u64,
    pub last_seen_at_ms: u64,
    pub declared_by: ActorRef,
}

impl Declared {
    pub const STALE_AFTER_MS: u64 = 7 * 86_400_000;

    pub fn key(kind: DeclaredKind, id: &str) -> String {
        format!("{}:{id}", kind.word())
    }

    /// The last moment at which it is not stale.
    pub fn stale_at_ms(&self) -> u64 {
        self.last_seen_at_ms.saturating_add(self.stale_after_ms)
    }

    pub fn is_stale(&self, now_ms: u64) -> bool {
        now_ms > self.stale_at_ms()
    }
}

pub static DECLARED: Collection =
    Collection { name: "authority_declared", columns: &["kind", "last_seen_at_ms", "stale_at_ms"] };

impl Record for Declared {
    const COLLECTION: &'static Collection = &DECLARED;
    fn id(&self) -> &str {
        &self.declared_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(self.kind.word()), Column::ms(self.last_seen_at_ms), Column::ms(self.stale_at_ms())]
    }
}

/// How many declarations a tenant has; kept beside them, so that a limit costs one row and not all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeclaredCount {
    pub live: u64,
}

impl DeclaredCount {
    pub const ID: &str = "declared";
}

pub static DECLARED_COUNTS: Collection = Collection { name: "authority_counts", columns: &[] };

impl Record for DeclaredCount {
    const COLLECTION: &'static Collection = &DECLARED_COUNTS;
    fn id(&self) -> &str {
        Self::ID
    }
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }
}
