//! Governance metrics over two windows: how well the rules are kept now, and what has drifted since.
//!
//! Facts come in as small rows; nothing is loaded here. A rate over nothing is null, never 0 and never 1, and one over
//! few events says that it is. Two views are given of denials: as requests that were out of bounds, and as a control that
//! worked.

mod breaches;
mod drift;
mod measure;
mod request;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tandem_core::{audit::integrity::Integrity, tenant::TenantContext, wire_enum};
use utoipa::ToSchema;

pub use measure::measure;
pub use request::{DEFAULT_WINDOW_MS, Request, Settings, settings};

use crate::finding::{DraftSuggestion, Severity};

/// An incident, as far as it is measured.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct IncidentFact {
    pub incident_id: String,
    #[serde(default)]
    pub risk_level: Option<String>,
    #[serde(default)]
    pub risk_category: Option<String>,
    #[serde(default)]
    pub evidence_refs: Vec<String>,
    #[serde(default)]
    pub occurrence_count: u64,
    pub updated_at_ms: u64,
}

/// A receipt, as far as it is measured.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReceiptFact {
    #[serde(default)]
    pub incident_id: Option<String>,
    pub status: tandem_core::publish::DeliveryState,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(default)]
    pub external_url: Option<String>,
    pub updated_at_ms: u64,
}

/// A policy decision, as far as it is measured.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct DecisionFact {
    pub decision_id: String,
    pub decision: tandem_core::governance::policy::Effect,
    #[serde(default)]
    pub approval_id: Option<String>,
    pub created_at_ms: u64,
}

/// What is measured. Rows outside both windows do not count.
#[derive(Clone, Debug)]
pub struct Facts {
    pub incidents: Vec<IncidentFact>,
    pub receipts: Vec<ReceiptFact>,
    pub decisions: Vec<DecisionFact>,
    /// Incidents that the audit log names in a publish.
    pub published: std::collections::BTreeSet<String>,
    /// Enabled destinations and sources, and those of them that are ready. Live.
    pub enabled_surfaces: u64,
    pub ready_surfaces: u64,
    /// Kinds of rows of which not all could be read.
    pub truncated: Vec<String>,
    pub integrity: Integrity,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MetricThresholds)]
#[serde(default)]
pub struct Thresholds {
    pub governance_confidence_min: f64,
    pub authority_boundary_compliance_min: f64,
    pub escalation_utilization_min: f64,
    pub route_readiness_min: f64,
    pub receipt_completeness_min: f64,
    pub drift_rate_delta_max: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            governance_confidence_min: 0.9,
            authority_boundary_compliance_min: 0.95,
            escalation_utilization_min: 0.9,
            route_readiness_min: 0.9,
            receipt_completeness_min: 0.95,
            drift_rate_delta_max: 0.25,
        }
    }
}

/// After `from_ms`, up to and including `to_ms`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MetricSpan)]
pub struct Span {
    pub from_ms: u64,
    pub to_ms: u64,
    pub label: String,
}

impl Span {
    pub fn holds(&self, at_ms: u64) -> bool {
        at_ms > self.from_ms && at_ms <= self.to_ms
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MetricWindow)]
pub struct Window {
    pub current: Span,
    pub baseline: Span,
    pub window_ms: u64,
}

wire_enum! {
    pub enum MetricId {
        GovernanceConfidence = "governance_confidence",
        AuthorityBoundaryCompliance = "authority_boundary_compliance",
        EscalationPathwayUtilization = "escalation_pathway_utilization",
        RouteReadinessCompliance = "route_readiness_compliance",
        ReceiptCompleteness = "receipt_completeness",
        RecurringIncidentRate = "recurring_incident_rate",
    }
}

/// An incident or a decision that a metric counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricEvidence {
    /// `incident` or `policy_decision`.
    pub kind: String,
    pub id: String,
}

/// Denials as a control that worked: each decision that was made and held, of all that were asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DenialView {
    pub allowed: u64,
    /// Held back, each by a rule that is named in its decision.
    pub denied: u64,
    /// Share of requests that were held back.
    pub denial_rate: Option<f64>,
    /// Share of requests that a rule decided, either way.
    pub enforcement_rate: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GovernanceMetric)]
pub struct Metric {
    pub metric_id: MetricId,
    pub name: String,
    pub numerator: u64,
    pub denominator: u64,
    /// Null when there is nothing to divide by.
    pub rate: Option<f64>,
    pub threshold: Option<f64>,
    /// The rate is below the threshold.
    pub breached: bool,
    pub evaluable: bool,
    pub missing_evidence_reasons: Vec<String>,
    /// At most 1000.
    pub evidence_refs: Vec<MetricEvidence>,
    /// Fewer events than `minimum_sample`: the rate says little.
    pub low_sample: bool,
    pub minimum_sample: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denial_view: Option<DenialView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = BehavioralDrift)]
pub struct Drift {
    pub signal: String,
    pub current_rate: Option<f64>,
    pub baseline_rate: Option<f64>,
    pub delta: Option<f64>,
    pub delta_max: f64,
    pub drift_flagged: bool,
    pub evaluable: bool,
    pub current_sample: u64,
    pub baseline_sample: u64,
    /// One of the windows holds fewer events than `minimum_sample`.
    pub low_sample: bool,
}

wire_enum! {
    pub enum BreachKind {
        MetricThresholdBreach = "metric_threshold_breach",
        BehavioralDrift = "behavioral_drift",
    }
}

/// A threshold that was crossed. Which fields are there depends on `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ThresholdFinding {
    pub kind: BreachKind,
    /// `gmf_` and 16 hex characters of the fingerprint.
    pub finding_id: String,
    /// `sha256:` and the hash over tenant, kind and what was measured; the same in each window.
    pub fingerprint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_id: Option<MetricId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_max: Option<f64>,
    pub severity: Severity,
    pub detail: String,
    pub low_sample: bool,
    pub dry_run: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_draft_suggestion: Option<DraftSuggestion>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricCounts {
    pub metrics: u64,
    pub breached_metrics: u64,
    pub drift_flags: u64,
    pub findings: u64,
}

/// The rows that were measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricInputs {
    pub counts: BTreeMap<String, u64>,
    /// Not all rows of the windows were read; `truncated_inputs` says of which.
    pub truncated: bool,
    pub truncated_inputs: Vec<String>,
}

/// The metrics and the drift of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GovernanceMaturity)]
pub struct Maturity {
    pub schema_version: u32,
    pub mode: String,
    pub mutates_external_systems: bool,
    pub redacted: bool,
    pub window: Window,
    pub thresholds: Thresholds,
    pub metrics: Vec<Metric>,
    pub behavioral_drift: Vec<Drift>,
    pub threshold_findings: Vec<ThresholdFinding>,
    pub counts: MetricCounts,
    pub inputs: MetricInputs,
    /// Of the audit log. One that was tampered with is not one without events.
    pub integrity: Integrity,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MetricsScope)]
pub struct Scope {
    pub source: String,
    pub read_only: bool,
    pub dry_run: bool,
    pub redacted: bool,
    pub mutates_external_systems: bool,
    pub admin_invoked: bool,
    pub tenant_context: TenantContext,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GovernanceMetricsResponse)]
pub struct Measured {
    pub scope: Scope,
    pub governance_maturity: Maturity,
}

impl Measured {
    pub fn of(tenant: &TenantContext, governance_maturity: Maturity) -> Self {
        let scope = Scope {
            source: "incident_monitor_governance_maturity_metrics".into(),
            read_only: true,
            dry_run: true,
            redacted: true,
            mutates_external_systems: false,
            admin_invoked: true,
            tenant_context: tenant.clone(),
        };
        Self { scope, governance_maturity }
    }
}

#[cfg(test)]
mod tests;
