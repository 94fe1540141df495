//! Whether the data of a source is governed, traceable, fresh, of a known schema and protected.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SourceKind;
use crate::{config::Config, wire::wire_enum};

/// What the tailer knows of a log source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatcherFact {
    pub project_id: String,
    pub source_id: String,
    pub healthy: bool,
    pub consecutive_errors: u64,
    /// When the source last delivered something. Polling it is no observation.
    pub last_observed_ms: Option<u64>,
}

wire_enum! {
    pub enum Severity {
        Low = "low",
        Medium = "medium",
        High = "high",
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    pub finding_id: String,
    pub rule_id: String,
    pub category: String,
    pub severity: Severity,
    pub title: String,
    pub detail: String,
    pub evidence_refs: Vec<String>,
    pub recommendation: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceReadiness {
    pub project_id: String,
    /// Absent on the project's own row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    pub source_kind: SourceKind,
    pub enabled: bool,
    /// Enabled, not paused, and without findings.
    pub ready: bool,
    pub governance_ready: bool,
    pub lineage_ready: bool,
    pub freshness_ready: bool,
    pub schema_ready: bool,
    pub protection_ready: bool,
    pub missing: Vec<String>,
    pub warnings: Vec<String>,
    pub findings: Vec<Finding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_observed_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One row for each project and one for each of its sources, in configured order.
pub fn readiness(_config: &Config, _watchers: &[WatcherFact], _now_ms: u64) -> Vec<SourceReadiness> {
    Vec::new()
}
