//! The top level of the configuration and its small objects, with their defaults.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::project::Project;
use crate::{
    destination::Destination,
    record::{Collection, Column, Record},
    route::Route,
    wire::wire_enum,
};

wire_enum! {
    /// Which capability provider is asked first.
    #[derive(Default)]
    pub enum ProviderPreference {
        #[default]
        Auto = "auto",
        OfficialGithub = "official_github",
        Composio = "composio",
        Arcade = "arcade",
    }
}

wire_enum! {
    #[derive(Default)]
    pub enum LabelMode {
        #[default]
        ReporterOnly = "reporter_only",
    }
}

wire_enum! {
    /// What follows when a published failure is seen again.
    #[derive(Default)]
    pub enum RecurrencePolicy {
        #[default]
        Comment = "comment",
        Reopen = "reopen",
        NewDraft = "new_draft",
        None = "none",
    }
}

pub(super) fn yes() -> bool {
    true
}

/// The whole configuration. Every field has a default except the ids and names of its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Config {
    /// Gates publishing, log tailing and runtime events; reports are taken regardless.
    pub enabled: bool,
    pub paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_root: Option<String>,
    /// `owner/repo`, where neither a report nor a project names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_server: Option<String>,
    pub provider_preference: ProviderPreference,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub model_policy: Option<Map<String, Value>>,
    pub auto_create_new_issues: bool,
    /// The global approval switch.
    pub require_approval_for_new_issues: bool,
    pub auto_comment_on_matched_open_issues: bool,
    pub label_mode: LabelMode,
    /// `null` waits for triage without a deadline; absent is the default of 30 minutes.
    pub triage_timeout_ms: Option<u64>,
    pub monitored_projects: Vec<Project>,
    pub destinations: Vec<Destination>,
    pub routes: Vec<Route>,
    pub default_destination_ids: Vec<String>,
    pub safety_defaults: SafetyDefaults,
    pub recurrence: Recurrence,
    pub reassessment: Reassessment,
    /// Set by the server on every save.
    pub updated_at_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            paused: false,
            workspace_root: None,
            repo: None,
            mcp_server: None,
            provider_preference: ProviderPreference::default(),
            model_policy: None,
            auto_create_new_issues: true,
            require_approval_for_new_issues: false,
            auto_comment_on_matched_open_issues: true,
            label_mode: LabelMode::default(),
            triage_timeout_ms: Some(Self::TRIAGE_TIMEOUT_MS),
            monitored_projects: Vec::new(),
            destinations: Vec::new(),
            routes: Vec::new(),
            default_destination_ids: Vec::new(),
            safety_defaults: SafetyDefaults::default(),
            recurrence: Recurrence::default(),
            reassessment: Reassessment::default(),
            updated_at_ms: 0,
        }
    }
}

impl Config {
    pub const TRIAGE_TIMEOUT_MS: u64 = 1_800_000;

    /// The project of this id; where no casing fits exactly, any does.
    pub fn project(&self, project_id: &str) -> Option<&Project> {
        let wanted = project_id.trim();
        let all = &self.monitored_projects;
        all.iter()
            .find(|project| project.project_id == wanted)
            .or_else(|| all.iter().find(|project| project.project_id.eq_ignore_ascii_case(wanted)))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SafetyDefaults {
    pub require_approval_for_high_risk: bool,
    pub redact_secrets: bool,
    /// Decides only about recovery publishes; all others are always blocked by an unready destination.
    pub block_unready_destinations: bool,
    pub block_unready_sources: bool,
    /// Absent or 0 keeps everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u64>,
    /// The risk floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_risk_level: Option<String>,
}

impl Default for SafetyDefaults {
    fn default() -> Self {
        Self {
            require_approval_for_high_risk: true,
            redact_secrets: true,
            block_unready_destinations: true,
            block_unready_sources: false,
            retention_days: None,
            minimum_risk_level: None,
        }
    }
}

/// What follows when a published failure is seen again. Always through the same approval gates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Recurrence {
    pub policy: RecurrencePolicy,
    /// `new_draft` waits for this long without a signal before a further one opens a new draft.
    pub quiet_period_ms: u64,
    /// `comment` and `reopen` tell a tracker at most this often, of everything that happened in between at once. A
    /// failure that comes back after its issue was closed is told at once.
    pub min_interval_ms: u64,
}

impl Default for Recurrence {
    fn default() -> Self {
        Self { policy: RecurrencePolicy::default(), quiet_period_ms: 0, min_interval_ms: 900_000 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = ReassessmentSettings)]
pub struct Reassessment {
    pub cadence_ms: u64,
    pub overdue_grace_ms: u64,
    pub change_triggers_enabled: bool,
}

impl Default for Reassessment {
    fn default() -> Self {
        Self { cadence_ms: 604_800_000, overdue_grace_ms: 86_400_000, change_triggers_enabled: true }
    }
}

/// The configuration as stored: one row a tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoredConfig {
    pub config: Config,
}

impl StoredConfig {
    pub const ID: &'static str = "config";
}

pub static CONFIGS: Collection = Collection { name: "configs", columns: &[] };

impl Record for StoredConfig {
    const COLLECTION: &'static Collection = &CONFIGS;
    fn id(&self) -> &str {
        Self::ID
    }
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }
}
