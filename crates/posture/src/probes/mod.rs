//! Controlled probes: what would happen, asked of the code that would do it.
//!
//! A probe looks at the estate, or asks the router and the doors of this server; nothing is sent and nothing changes.
//! What is not there cannot fail and cannot be tested: `not_applicable` says so, apart from `blocked`, which says that
//! the question could not be answered.

mod checks;
mod run;
mod select;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tandem_core::{publish::digest::h, tenant::TenantContext, wire_enum};
use utoipa::ToSchema;

pub(crate) use checks::{external_destinations, is_external, own_tenant};
pub use run::run;
pub use select::{Options, Request, Unknown, options};

use crate::{
    evidence::EvidencePack,
    finding::{AffectedObject, DraftSuggestion, EvidenceRef, Finding},
    inventory::SensitiveValues,
    posture::DraftConversion,
};

wire_enum! {
    /// The probes, in the order of their ids.
    pub enum ProbeId {
        ApprovalRequiredToolPolicy = "approval_required_tool_policy",
        DestinationReadinessFailClosed = "destination_readiness_fail_closed",
        McpToolAllowlist = "mcp_tool_allowlist",
        RoutePreviewHighRiskApproval = "route_preview_high_risk_approval",
        ScopedIntakeRestriction = "scoped_intake_restriction",
        WebhookUrlPolicy = "webhook_url_policy",
    }
}

wire_enum! {
    pub enum ProbeStatus {
        Pass = "pass",
        Fail = "fail",
        /// It could not be found out.
        Blocked = "blocked",
        /// There is nothing to probe.
        NotApplicable = "not_applicable",
    }
}

wire_enum! {
    pub enum ProbeMode {
        DryRun = "dry_run",
        Disabled = "disabled",
    }
}

/// What the doors of this server said to a scoped intake key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DoorReport {
    /// Doors that were tried: each privileged route with each way to present the key.
    pub tried: u64,
    /// Those that would have let it in.
    pub open: Vec<OpenDoor>,
}

/// A door that lets a scoped intake key in.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenDoor {
    pub method: String,
    pub path: String,
    /// How the key was presented.
    pub carrier: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbeResult)]
pub struct ProbeResult {
    pub probe_id: ProbeId,
    pub target: AffectedObject,
    pub expected_behavior: String,
    pub observed_behavior: String,
    pub status: ProbeStatus,
    pub passed: bool,
    /// It could not be found out. Nothing to probe is not that.
    pub blocked: bool,
    /// `sha256:` and the hash over probe, target, status and what was observed.
    pub fingerprint: String,
    /// `bap_` and 16 hex characters of the fingerprint; only of a failure.
    pub finding_id: Option<String>,
    pub evidence_refs: Vec<EvidenceRef>,
    /// The posture finding that it repeats.
    pub source_finding: Option<Finding>,
    pub incident_draft_suggestion: Option<DraftSuggestion>,
    pub dry_run: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProbeScope {
    pub source: String,
    pub read_only: bool,
    pub dry_run: bool,
    pub mutates_external_systems: bool,
    pub admin_invoked: bool,
    pub full_token_required: bool,
    pub tenant_context: TenantContext,
    pub authority_inventory_source: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProbePolicy {
    pub mode: ProbeMode,
    /// As sent.
    pub requested_mode: String,
    pub dry_run: bool,
    pub supported_modes: Vec<String>,
    pub selected_probe_ids: Vec<String>,
    pub supported_probe_ids: Vec<String>,
    /// Ids that were sent and that no probe has.
    pub ignored_probe_ids: Vec<String>,
    pub include_draft_suggestions: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProbeCounts {
    pub results: u64,
    pub pass: u64,
    pub fail: u64,
    pub blocked: u64,
    pub not_applicable: u64,
    pub by_status: BTreeMap<String, u64>,
    pub draft_suggestions: u64,
}

/// The inventory that was judged, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbeInventorySummary)]
pub struct InventorySummary {
    pub schema_version: u32,
    pub generated_at_ms: u64,
    pub counts: BTreeMap<String, u64>,
}

/// One run of the probes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProbeRun {
    pub schema_version: u32,
    pub generated_at_ms: u64,
    pub scope: ProbeScope,
    pub probe_policy: ProbePolicy,
    pub counts: ProbeCounts,
    pub results: Vec<ProbeResult>,
    /// Where the run is kept; not yet known while the probes run.
    pub evidence_pack: EvidencePack,
    pub authority_inventory: InventorySummary,
    pub draft_conversion: DraftConversion,
    pub sensitive_values: SensitiveValues,
}

/// What a probe says; the rest of the result follows from it.
pub(crate) struct Said {
    pub probe: ProbeId,
    pub target: AffectedObject,
    pub expected: String,
    pub observed: String,
    pub status: ProbeStatus,
    pub evidence: Vec<EvidenceRef>,
    pub finding: Option<Finding>,
}

impl ProbeResult {
    pub(crate) fn new(said: Said, with_suggestion: bool) -> Self {
        let Said { probe, target, expected, observed, status, evidence, finding } = said;
        let hash = h([probe.word(), &target.id, status.word(), &observed]);
        let failed = status == ProbeStatus::Fail;
        let fingerprint = format!("sha256:{hash}");
        let suggestion = DraftSuggestion {
            source: "security_assessment_probe".into(),
            event_type: "security.assessment_probe.failed".into(),
            title: format!("Probe {probe} failed for {}", target.id),
            fingerprint: fingerprint.clone(),
            detail: format!("Expected: {expected}\n\nObserved: {observed}"),
            risk_level: "high".into(),
            risk_category: "security_gap".into(),
            confidence: "high".into(),
            route_tags: vec!["security_assessment".into(), probe.word().into()],
            excerpt: evidence.iter().map(|evidence| evidence.path.clone()).collect(),
        };
        Self {
            probe_id: probe,
            target,
            expected_behavior: expected,
            observed_behavior: observed,
            status,
            passed: status == ProbeStatus::Pass,
            blocked: status == ProbeStatus::Blocked,
            fingerprint,
            finding_id: failed.then(|| format!("bap_{}", &hash[..16])),
            evidence_refs: evidence,
            source_finding: finding,
            incident_draft_suggestion: (failed && with_suggestion).then_some(suggestion),
            dry_run: true,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
