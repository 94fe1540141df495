//! Monitored projects and their log sources.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::model::yes;
use crate::{approval::ApprovalPolicy, source::SourceKind, wire::wire_enum};

wire_enum! {
    #[derive(Default)]
    pub enum LogFormat {
        #[default]
        Auto = "auto",
        Json = "json",
        Plaintext = "plaintext",
    }
}

wire_enum! {
    /// Lines below this level are no candidates.
    #[derive(Default)]
    pub enum LogLevel {
        #[default]
        Error = "error",
        Warn = "warn",
    }
}

wire_enum! {
    /// Where a source that was never read begins.
    #[derive(Default)]
    pub enum StartPosition {
        #[default]
        End = "end",
        Beginning = "beginning",
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    pub project_id: String,
    pub name: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default)]
    pub paused: bool,
    pub repo: String,
    pub workspace_root: String,
    #[serde(default)]
    pub source_kind: SourceKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_server: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub model_policy: Option<Map<String, Value>>,
    /// Empty restricts nothing.
    #[serde(default)]
    pub allowed_destination_ids: Vec<String>,
    #[serde(default)]
    pub default_destination_ids: Vec<String>,
    #[serde(default)]
    pub default_route_tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_schema_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redaction_profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_profile: Option<String>,
    #[serde(default)]
    pub approval_policy: ApprovalPolicy,
    #[serde(default)]
    pub data_readiness: DataReadiness,
    #[serde(default = "yes")]
    pub auto_create_new_issues: bool,
    /// Counts as a source policy of `always`.
    #[serde(default)]
    pub require_approval_for_new_issues: bool,
    #[serde(default = "yes")]
    pub auto_comment_on_matched_open_issues: bool,
    /// Ask for publishing as soon as triage has settled. Approval rules still apply.
    #[serde(default)]
    pub auto_publish: bool,
    #[serde(default)]
    pub log_sources: Vec<LogSource>,
}

impl Project {
    /// The source of this id; where no casing fits exactly, any does.
    pub fn log_source(&self, source_id: &str) -> Option<&LogSource> {
        let wanted = source_id.trim();
        let all = &self.log_sources;
        all.iter()
            .find(|source| source.source_id == wanted)
            .or_else(|| all.iter().find(|source| source.source_id.eq_ignore_ascii_case(wanted)))
    }
}

/// One log file of a project. What it leaves out it inherits from the project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogSource {
    pub source_id: String,
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_kind: Option<SourceKind>,
    #[serde(default)]
    pub format: LogFormat,
    #[serde(default)]
    pub minimum_level: LogLevel,
    #[serde(default = "sixty")]
    pub watch_interval_seconds: u64,
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default)]
    pub paused: bool,
    #[serde(default)]
    pub start_position: StartPosition,
    #[serde(default = "quarter_mebibyte")]
    pub max_bytes_per_poll: u64,
    #[serde(default = "twenty")]
    pub max_candidates_per_poll: u64,
    #[serde(default = "hour_ms")]
    pub fingerprint_cooldown_ms: u64,
    #[serde(default)]
    pub allowed_destination_ids: Vec<String>,
    #[serde(default)]
    pub default_destination_ids: Vec<String>,
    #[serde(default)]
    pub default_route_tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_schema_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redaction_profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_profile: Option<String>,
    #[serde(default)]
    pub approval_policy: ApprovalPolicy,
    #[serde(default)]
    pub data_readiness: DataReadiness,
}

fn sixty() -> u64 {
    60
}
fn quarter_mebibyte() -> u64 {
    262_144
}
fn twenty() -> u64 {
    20
}
fn hour_ms() -> u64 {
    3_600_000
}

/// What is known about the data that a source delivers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DataReadiness {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_of_record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_classification: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_use: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_of_truth: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lineage_ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness_sla_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_observed_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_schema_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_drift_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality_notes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legal_basis: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_marker: Option<String>,
}
