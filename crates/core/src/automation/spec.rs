//! An automation as it is kept: what its author wrote, with the keys that the product reads typed and all others as
//! they came.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    actor::ActorRef,
    record::{Collection, Column, Record},
    signal::submission::null_default,
    text::sha256_hex,
    wire::wire_enum,
};

/// Keys that the product does not read. They survive every round trip.
pub type Extra = BTreeMap<String, Value>;

wire_enum! {
    /// Only these three are ever answered; clients know no others.
    pub enum AutomationStatus {
        Active = "active",
        Paused = "paused",
        Draft = "draft",
    }
}

wire_enum! {
    pub enum ScheduleType {
        Cron = "cron",
        Interval = "interval",
        Manual = "manual",
    }
}

wire_enum! {
    pub enum MisfireKind {
        Skip = "skip",
        RunOnce = "run_once",
        CatchUp = "catch_up",
    }
}

wire_enum! {
    /// How much an executor may do without asking.
    pub enum ExecutionProfile {
        Strict = "strict",
        Guided = "guided",
        Yolo = "yolo",
    }
}

/// What follows when a due time was missed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AutomationMisfire)]
pub struct Misfire {
    #[serde(rename = "type")]
    pub kind: MisfireKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runs: Option<u32>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

impl Default for Misfire {
    fn default() -> Self {
        Self { kind: MisfireKind::RunOnce, max_runs: None, extra: Extra::new() }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AutomationSchedule)]
pub struct Schedule {
    #[serde(rename = "type")]
    pub kind: ScheduleType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_expression: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u64>,
    #[serde(default = "utc")]
    pub timezone: String,
    #[serde(default)]
    pub misfire_policy: Misfire,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

fn utc() -> String {
    "UTC".into()
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            kind: ScheduleType::Manual,
            cron_expression: None,
            interval_seconds: None,
            timezone: utc(),
            misfire_policy: Misfire::default(),
            extra: Extra::new(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = AutomationToolPolicy)]
pub struct ToolPolicy {
    /// `["read"]` when the author names none.
    #[serde(deserialize_with = "null_default")]
    pub allowlist: Vec<String>,
    #[serde(deserialize_with = "null_default")]
    pub denylist: Vec<String>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = AutomationMcpPolicy)]
pub struct McpPolicy {
    #[serde(deserialize_with = "null_default")]
    pub allowed_servers: Vec<String>,
    /// Absent means every tool of the allowed servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_tools: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_connections: Option<Vec<Value>>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// One agent that takes part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AutomationAgent)]
pub struct Agent {
    pub agent_id: String,
    #[serde(default, deserialize_with = "null_default")]
    pub display_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub model_policy: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "null_default")]
    pub skills: Vec<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub tool_policy: ToolPolicy,
    #[serde(default, deserialize_with = "null_default")]
    pub mcp_policy: McpPolicy,
    /// A word or an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<Value>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// One step of the work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AutomationNode)]
pub struct Node {
    pub node_id: String,
    #[serde(default, deserialize_with = "null_default")]
    pub agent_id: String,
    #[serde(default, deserialize_with = "null_default")]
    pub objective: String,
    #[serde(default, deserialize_with = "null_default")]
    pub depends_on: Vec<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub input_refs: Vec<Value>,
    /// `output_contract`, `tool_policy`, `mcp_policy`, `retry_policy`, `timeout_ms`, `gate`, `wait` and whatever else
    /// the author wrote.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = AutomationFlow)]
pub struct Flow {
    #[serde(deserialize_with = "null_default")]
    pub nodes: Vec<Node>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// What one run may use at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = AutomationExecution)]
pub struct Execution {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<ExecutionProfile>,
    pub max_parallel_agents: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_total_runtime_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_total_tool_calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_total_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_total_cost_usd: Option<f64>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

impl Default for Execution {
    fn default() -> Self {
        Self {
            profile: None,
            max_parallel_agents: 1,
            max_total_runtime_ms: None,
            max_total_tool_calls: None,
            max_total_tokens: None,
            max_total_cost_usd: None,
            extra: Extra::new(),
        }
    }
}

/// What an author writes, beside the automation's identity and status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AutomationSpec)]
pub struct Spec {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub schedule: Schedule,
    #[serde(default, deserialize_with = "null_default")]
    #[schema(value_type = Object)]
    pub knowledge: Map<String, Value>,
    #[serde(default, deserialize_with = "null_default")]
    pub agents: Vec<Agent>,
    #[serde(default, deserialize_with = "null_default")]
    pub flow: Flow,
    #[serde(default, deserialize_with = "null_default")]
    pub execution: Execution,
    #[serde(default, deserialize_with = "null_default")]
    pub output_targets: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_root: Option<String>,
    /// `capabilities`, `tenant_context` and `resource_access` in it are the server's; the rest is the author's.
    #[serde(default, deserialize_with = "null_default")]
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_policy: Option<Value>,
    #[serde(default, deserialize_with = "null_default")]
    pub watch_conditions: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff_config: Option<Value>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Extra,
}

/// A deleted automation keeps its row until its retention ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AutomationDeletion)]
pub struct Deletion {
    pub deleted_at_ms: u64,
    pub deleted_by: ActorRef,
    pub restore_until_ms: u64,
}

/// What the server keeps beside the automation; never answered as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Upkeep {
    /// SHA-256 of the caller's `Idempotency-Key` and of the body that it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by_key: Option<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deletion>,
    /// What to return to when a pause or a deletion is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_before: Option<AutomationStatus>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Automation {
    pub automation_id: String,
    pub status: AutomationStatus,
    pub creator_id: String,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_fire_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fired_at_ms: Option<u64>,
    /// The one key that an author cannot have: it is dropped from what comes in.
    #[serde(rename = "_upkeep", default)]
    pub upkeep: Upkeep,
    #[serde(flatten)]
    pub spec: Spec,
}

pub static AUTOMATIONS: Collection =
    Collection { name: "automations", columns: &["state", "status", "creator_id", "updated_at_ms"] };

impl Record for Automation {
    const COLLECTION: &'static Collection = &AUTOMATIONS;
    fn id(&self) -> &str {
        &self.automation_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(self.state()),
            Column::text(self.status.word()),
            Column::text(&self.creator_id),
            Column::ms(self.updated_at_ms),
        ]
    }
}

impl Automation {
    /// The value of the column that lists ask for.
    pub const LIVE: &'static str = "live";
    pub const DELETED: &'static str = "deleted";

    pub fn state(&self) -> &'static str {
        if self.upkeep.deleted.is_some() { Self::DELETED } else { Self::LIVE }
    }

    pub fn is_live(&self) -> bool {
        self.upkeep.deleted.is_none()
    }

    /// Whether a declared capability is set in `metadata.capabilities`. Anything but `true` is false.
    pub fn declares(&self, capability: &str) -> bool {
        let declared = self.spec.metadata.get("capabilities").and_then(|all| all.get(capability));
        declared == Some(&Value::Bool(true))
    }

    /// SHA-256 over what the author wrote: two automations that would run alike have the same.
    pub fn definition_hash(&self) -> String {
        sha256_hex(&serde_json::to_string(&self.spec).unwrap_or_default())
    }
}
