//! The answer of the posture checks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tandem_core::audit::integrity::Integrity;
use utoipa::ToSchema;

use super::{options::Mode, questions::OpenQuestion};
use crate::{
    controls::Control,
    finding::{Finding, Severity},
    inventory::SensitiveValues,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PostureScope)]
pub struct Scope {
    pub source: String,
    pub read_only: bool,
    pub dry_run: bool,
    pub authority_inventory_source: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BaselinePolicy {
    pub mode: Mode,
    pub dry_run: bool,
    pub read_only: bool,
    pub supported_modes: Vec<Mode>,
    pub enabled_rule_ids: Vec<String>,
    pub disabled_rule_ids: Vec<String>,
    /// Ids in the request that are no rules. They select and switch off nothing.
    pub ignored_rule_ids: Vec<String>,
    pub min_severity: Severity,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PostureRule)]
pub struct RuleRow {
    pub rule_id: String,
    pub category: String,
    pub default_severity: Severity,
    pub enabled: bool,
    pub dry_run: bool,
    pub version: u32,
    pub looks_for: String,
    /// One of the nine that every release has.
    pub baseline: bool,
    /// Controls that a pass or a finding is evidence for. Never a statement of compliance.
    pub controls: Vec<Control>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PostureCounts)]
pub struct Counts {
    pub findings: u64,
    pub by_severity: BTreeMap<String, u64>,
    pub by_category: BTreeMap<String, u64>,
    pub by_rule: BTreeMap<String, u64>,
    pub active_rules: u64,
    /// Of the nine rules of the baseline alone.
    pub baseline_findings: u64,
    pub open_questions: u64,
}

/// The inventory that was judged, without its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PostureInventorySummary)]
pub struct InventorySummary {
    pub schema_version: u32,
    pub generated_at_ms: u64,
    pub counts: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incident_history_inputs: Vec<String>,
}

/// How a finding becomes an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DraftConversion {
    pub available: bool,
    pub method: String,
    pub mutates_state: bool,
}

impl DraftConversion {
    pub fn by_report() -> Self {
        Self {
            available: true,
            method: "Post a finding's incident_draft_suggestion as `report` to /incident-monitor/report.".into(),
            mutates_state: false,
        }
    }
}

/// Findings that one answer holds.
pub const MOST_SHOWN: usize = 2_000;

impl PostureChecks {
    /// Keeps as many findings as an answer holds, the severest, in their order. Counts stay those of all.
    pub fn shortened(mut self, most: usize) -> Self {
        let all = self.findings.len();
        if all <= most {
            return self;
        }
        let mut places: Vec<usize> = (0..all).collect();
        places.sort_by_key(|at| std::cmp::Reverse(self.findings[*at].severity));
        let kept: std::collections::HashSet<usize> = places.into_iter().take(most).collect();
        let mut at = 0;
        self.findings.retain(|_| {
            at += 1;
            kept.contains(&(at - 1))
        });
        self.truncated = true;
        self.findings_omitted = (all - most) as u64;
        self
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PostureChecks {
    pub schema_version: u32,
    pub generated_at_ms: u64,
    pub scope: Scope,
    pub baseline_policy: BaselinePolicy,
    /// SHA-256 over the ids and versions of the rules, hex.
    pub rule_set_digest: String,
    pub rules: Vec<RuleRow>,
    pub counts: Counts,
    /// By what they are about: automations, sources, destinations, actions, denied decisions; then everything else.
    pub findings: Vec<Finding>,
    /// There are more findings than an answer holds: the severest are shown, `counts` are of all. What is recorded can be
    /// read page by page.
    #[serde(default)]
    pub truncated: bool,
    #[serde(default)]
    pub findings_omitted: u64,
    /// What only the operator's own policy can answer. An open question is neither a finding nor a pass.
    pub open_questions: Vec<OpenQuestion>,
    /// Of the audit log that decisions and actions are recorded in.
    pub integrity: Integrity,
    pub authority_inventory: InventorySummary,
    pub draft_conversion: DraftConversion,
    pub sensitive_values: SensitiveValues,
}
