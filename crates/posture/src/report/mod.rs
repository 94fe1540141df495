//! The assessment report: what an estate, its rules, probes, scenarios, metrics and recent history come to, in one
//! document for a reviewer.
//!
//! [`build()`] is a pure function of what was loaded. The document holds identifiers, flags, counts and digests; no
//! payload, no receipt, no secret. It records what was observed and says what was not: it certifies nothing.
//!
//! [`markdown`] and [`html`] are for people; [`sarif`], [`ocsf`] and [`oscal`] for other programs. All of them are made
//! from the report alone, so that a stored one can be given in each form later.

pub mod build;
pub mod charts;
pub mod controls;
pub mod format;
pub mod history;
pub mod html;
pub mod markdown;
pub mod ocsf;
pub mod oscal;
mod residual;
pub mod sarif;
pub mod sources;
mod times;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::{
    audit::{dsse::Envelope, integrity::Integrity},
    tenant::TenantContext,
};
use utoipa::ToSchema;

pub use build::{Material, build};
pub use format::Format;
pub use history::{IncidentRow, ReceiptRow, RecordRow};

use crate::{
    controls::Control,
    evidence::EvidencePack,
    finding::{AffectedObject, Finding},
    inventory::{DestinationRow, RouteRow},
    metrics::Maturity,
    posture::OpenQuestion,
    probes::{ProbeCounts, ProbeResult},
    scenarios::PackResult,
};

/// Values that are never in a report, by name.
pub const OMITTED: [&str; 8] = [
    "scoped_intake_key.raw_key",
    "scoped_intake_key.key_hash",
    "authorization",
    "x-agent-token",
    "x-tandem-token",
    "destination.webhook_secret_ref_value",
    "protected_audit.payload",
    "destination.receipt.raw_payload",
];

/// Findings in one report at most; the most severe stay, and the counts are of all.
pub const MOST_FINDINGS: usize = 2_000;
/// Probe results in one report at most; failures stay.
pub const MOST_RESULTS: usize = 2_000;
/// Sources, destinations and routes that are listed.
pub const LISTED: usize = 50;
/// Incidents and receipts that are listed.
pub const HISTORY: usize = 200;
/// Audit rows that are listed.
pub const RECORDS: usize = 500;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AssessmentReportRequest)]
#[serde(default)]
pub struct Request {
    /// First time of incidents, receipts and audit rows, milliseconds.
    #[serde(alias = "fromMs")]
    pub from_ms: Option<u64>,
    /// Last time of them; metrics end here.
    #[serde(alias = "toMs")]
    pub to_ms: Option<u64>,
    /// Only incidents of this kind of source.
    #[serde(alias = "sourceKind")]
    pub source_kind: Option<String>,
    /// Findings below it are left out; `low` by default.
    #[serde(alias = "minSeverity")]
    pub min_severity: Option<String>,
    /// Ids of probes; none means all.
    pub probes: Vec<String>,
    /// True by default.
    #[serde(alias = "includeProbeResults")]
    pub include_probe_results: Option<bool>,
    /// Attach draft suggestions to failed probes; false by default.
    #[serde(alias = "includeDraftSuggestions")]
    pub include_draft_suggestions: Option<bool>,
    /// Keep the report as an evidence artifact; true by default.
    #[serde(alias = "persistArtifact")]
    pub persist_artifact: Option<bool>,
    /// Destinations in place of those that routing would pick, for the preview of an export.
    #[serde(alias = "routeDestinationIds")]
    pub route_destination_ids: Vec<String>,
    /// Never honoured.
    #[serde(alias = "includeRawPayloads")]
    pub include_raw_payloads: Option<bool>,
    /// `next_cursor` of the audit rows in an earlier report: older rows.
    #[serde(alias = "recordsCursor")]
    pub records_cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AssessmentReportScope)]
pub struct Scope {
    pub source: String,
    pub read_only: bool,
    pub dry_run: bool,
    pub tenant_context: TenantContext,
    pub from_ms: Option<u64>,
    pub to_ms: Option<u64>,
    pub source_kind: Option<String>,
    pub raw_payloads_included: bool,
    pub raw_payload_request_ignored: bool,
    pub min_severity: String,
    /// Ids in the request that are no probes.
    pub ignored_probe_ids: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimeWindow {
    pub from_ms: Option<u64>,
    pub to_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AssessmentScope {
    pub time_window: TimeWindow,
    pub source_kind: Option<String>,
    pub includes_authority_inventory: bool,
    pub includes_posture_checks: bool,
    pub includes_controlled_probes: bool,
    pub includes_protected_audit_export: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReportInventory)]
pub struct InventorySection {
    pub counts: BTreeMap<String, u64>,
    /// The first 50.
    pub destinations: Vec<DestinationRow>,
    /// The first 50.
    pub routes: Vec<RouteRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalCoverage {
    pub approval_rules: u64,
    /// Rules that require an approval.
    pub approval_required_rules: u64,
    pub destinations_requiring_approval: u64,
    pub require_approval_for_high_risk: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContextCoverage {
    pub monitored_sources: u64,
    pub monitored_sources_with_tenant_workspace: u64,
    pub monitored_sources_missing_tenant_workspace: u64,
    pub automation_specs: u64,
    pub automation_specs_with_explicit_context: u64,
    pub automation_specs_missing_explicit_context: u64,
}

/// A finding with the controls that it is evidence for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportFinding {
    #[serde(flatten)]
    pub finding: Finding,
    pub controls: Vec<Control>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FindingCounts {
    pub findings: u64,
    pub by_severity: BTreeMap<String, u64>,
    pub by_category: BTreeMap<String, u64>,
    pub by_rule: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DetectedFindings {
    pub counts: FindingCounts,
    pub findings: Vec<ReportFinding>,
    /// There are more findings than a report lists: the severest are listed, the counts are of all.
    #[serde(default)]
    pub truncated: bool,
    /// Findings that the counts hold and the list does not. What is recorded can be read page by page.
    pub omitted: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProbeSection {
    pub selected_probe_ids: Vec<String>,
    pub counts: ProbeCounts,
    pub results: Vec<ProbeResult>,
    /// Results that the counts hold and the list does not.
    pub omitted: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Mitigation {
    /// `posture_finding`, `assessment_probe` or `safety_defaults`.
    pub source: String,
    pub recommendation: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<AffectedObject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// Something that this report says nothing about, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NotAssessed {
    pub what: String,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResidualRisk {
    /// `high`, `medium` or `low`.
    pub risk: String,
    pub critical_or_high_findings: u64,
    pub failed_probes: u64,
    pub blocked_probes: u64,
    pub follow_up_actions: Vec<String>,
    /// Findings of which a person has taken the risk. They still count.
    pub accepted_findings: u64,
    /// Nothing here has passed; it was not looked at, or there was nothing to look at.
    pub not_assessed: Vec<NotAssessed>,
    /// What only the operator's own policy can answer.
    pub open_questions: Vec<OpenQuestion>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SelfMonitoring {
    pub source_kinds: Vec<String>,
    pub self_observed_incidents: u64,
    pub external_system_incidents: u64,
    pub protected_monitor_audit_events: u64,
    pub failed_controlled_probes: u64,
    pub evidence_claim: String,
    pub non_claim: String,
    pub external_export_required_for_high_assurance: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReportRoutePreview)]
pub struct ExportPreview {
    pub requested_destination_ids: Vec<String>,
    pub effective_destination_ids: Vec<String>,
    pub approval_required: bool,
    pub blocked: bool,
    pub blocked_reasons: Vec<String>,
    pub matches: Vec<tandem_core::route::RouteMatch>,
    /// As in the inventory.
    pub destinations: Vec<DestinationRow>,
    pub mutates_external_systems: bool,
    pub publish_method: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExportSensitivity {
    pub payloads: String,
    pub payload_keys: String,
    pub record_hashes: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditExport {
    pub available: bool,
    pub source_kind: String,
    pub claim: String,
    pub customer_owned_systems: Vec<String>,
    pub existing_ndjson_endpoint: String,
    pub report_endpoint: String,
    pub route_preview: ExportPreview,
    /// Newest first, at most 500.
    pub records: Vec<RecordRow>,
    /// Continues with older rows, as `records_cursor` of another request.
    pub next_cursor: Option<String>,
    pub sensitive_values: ExportSensitivity,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AssessmentReportSections)]
pub struct Sections {
    pub assessment_scope: AssessmentScope,
    pub monitored_systems_and_sources: sources::SourcesSection,
    pub authority_inventory: InventorySection,
    pub approval_coverage: ApprovalCoverage,
    pub tenant_workspace_context_coverage: ContextCoverage,
    pub detected_findings: DetectedFindings,
    pub controlled_probe_results: ProbeSection,
    pub adversarial_scenario_packs: PackResult,
    pub governance_maturity_metrics: Maturity,
    pub incidents_and_evidence_refs: history::IncidentSection,
    pub destination_receipts: history::ReceiptSection,
    pub recommended_mitigations: Vec<Mitigation>,
    pub residual_risk_and_follow_up: ResidualRisk,
    pub self_monitoring_boundary: SelfMonitoring,
    pub external_audit_export: AuditExport,
}

/// The audit log when the report was made. The row about the report itself comes after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditLedger {
    pub integrity: Integrity,
    /// Rows under the checkpoint.
    pub tree_size: u64,
    pub root_hash: Option<String>,
    /// The signed note over size and root.
    pub checkpoint: String,
    /// The key that verifies the checkpoint and the attestation.
    pub public_key: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AssessmentReport)]
pub struct Report {
    pub schema_version: u32,
    pub generated_at_ms: u64,
    pub scope: Scope,
    pub counts: BTreeMap<String, u64>,
    pub sections: Sections,
    pub markdown_summary: String,
    /// Of the tenant's audit log. A log that was tampered with says so; it never reads as no events.
    pub integrity: Integrity,
    pub audit_ledger: AuditLedger,
    /// What the rules, probes and scenarios are evidence for, by control. No statement of compliance.
    pub control_mapping: controls::Mapping,
    /// Of the rules that judged.
    pub rule_set_digest: String,
    pub sensitive_values: crate::inventory::SensitiveValues,
    /// Where the report is kept. Not part of what is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_pack: Option<EvidencePack>,
    /// A signed statement about the kept bytes (DSSE). Not part of what is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Envelope>,
}

impl Report {
    /// The exact bytes that are kept: the report without what is only known once it is kept.
    pub fn body(&mut self) -> String {
        let (pack, attestation) = (self.evidence_pack.take(), self.attestation.take());
        // It has string keys and finite numbers only, so it always serialises.
        let body = serde_json::to_string_pretty(self).unwrap_or_default();
        (self.evidence_pack, self.attestation) = (pack, attestation);
        body
    }

    /// Where it is kept, or nothing.
    pub fn pack(&self) -> EvidencePack {
        self.evidence_pack.clone().unwrap_or_default()
    }

    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }
}

/// What the statement about a report says beside its digest.
pub fn predicate(report: &Report, context_run_id: &str) -> Value {
    serde_json::json!({
        "generated_at_ms": report.generated_at_ms,
        "tenant": { "org_id": report.scope.tenant_context.org_id, "workspace_id": report.scope.tenant_context.workspace_id },
        "context_run_id": context_run_id,
        "counts": report.counts,
        "rule_set_digest": report.rule_set_digest,
        "verifier": { "id": "tandem", "version": env!("CARGO_PKG_VERSION") },
        "audit_ledger": report.audit_ledger,
        "claim": CLAIM,
    })
}

/// The type of that statement.
pub const PREDICATE_TYPE: &str = "https://github.com/tandem-server/tandem/blob/main/docs/assessment-report.md#v1";

pub(crate) const CLAIM: &str =
    "Records what was observed and enforced here; it is evidence for a review, not a certificate.";
pub(crate) const NON_CLAIM: &str =
    "Is no proof that Tandem itself is safe, and none that everything that exists was connected to it.";

#[cfg(test)]
mod tests;
