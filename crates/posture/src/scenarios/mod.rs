//! Adversarial scenarios: an event that somebody might send, what must become of it, and what the router says.
//!
//! A scenario is data: built in, read from a file, or sent in. It is judged by the ordinary route preview on the live
//! configuration. One that names a selector is tried once for each object that the selector finds, so that it fails on
//! the one destination, source or route that is configured wrong. Nothing is stored.

mod built_in;
mod cases;
mod evaluate;
mod hostile;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::{signal::submission::null_default, source::SourceKind, tenant::TenantContext, wire_enum};
use utoipa::ToSchema;

pub use built_in::{DEFAULT_PACK, DISCRIMINATING_PACK, built_in};
pub use evaluate::{evaluate, refuse};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScenarioPack)]
pub struct Pack {
    #[serde(alias = "packId", alias = "packID")]
    pub pack_id: String,
    pub version: String,
    #[serde(default, deserialize_with = "null_default")]
    pub description: String,
    pub scenarios: Vec<Scenario>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scenario {
    #[serde(alias = "scenarioId", alias = "scenarioID")]
    pub scenario_id: String,
    pub category: String,
    #[serde(default, deserialize_with = "null_default")]
    pub description: String,
    /// Tries the scenario for each object of this kind; `{destination_id}`, `{project_id}`, `{log_source_id}` and
    /// `{route_id}` in the input stand for it.
    #[serde(default, alias = "forEach", skip_serializing_if = "Option::is_none")]
    pub for_each: Option<Selector>,
    pub input: ScenarioInput,
    pub expect: Expect,
}

wire_enum! {
    /// What a scenario is tried for.
    pub enum Selector {
        /// Each enabled destination outside this server.
        ExternalDestination = "external_destination",
        /// Each enabled destination outside this server that is not ready.
        UnreadyDestination = "unready_destination",
        /// Each enabled project and log source.
        MonitoredSource = "monitored_source",
        /// Each enabled source with each enabled outside destination that it has no business with.
        ForeignDestination = "foreign_destination",
        /// Each enabled route, with an event that it matches.
        Route = "route",
        /// Each destination that a tenant's sources use, with each route that leads there.
        TenantDestination = "tenant_destination",
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ScenarioInput {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    #[serde(alias = "sourceKind", skip_serializing_if = "Option::is_none")]
    pub source_kind: Option<SourceKind>,
    #[serde(alias = "eventType", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    #[serde(alias = "riskLevel", skip_serializing_if = "Option::is_none")]
    pub risk_level: Option<String>,
    #[serde(alias = "riskCategory", skip_serializing_if = "Option::is_none")]
    pub risk_category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
    #[serde(alias = "tenantId", alias = "tenantID", skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    #[serde(alias = "workspaceId", alias = "workspaceID", skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    #[serde(alias = "projectId", alias = "projectID", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    #[serde(alias = "logSourceId", alias = "logSourceID", skip_serializing_if = "Option::is_none")]
    pub log_source_id: Option<String>,
    #[serde(alias = "routeTags", deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub route_tags: Vec<String>,
    #[serde(
        alias = "requestedDestinationIds",
        alias = "requestedDestinationIDs",
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub requested_destination_ids: Vec<String>,
    #[serde(alias = "expectedDestination", skip_serializing_if = "Option::is_none")]
    pub expected_destination: Option<String>,
    /// The event is also sent through intake as a report whose author wants another outcome; the outcome must not be
    /// weaker for it.
    #[serde(alias = "promptInjection", deserialize_with = "null_default")]
    pub prompt_injection: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScenarioExpectation)]
#[serde(default)]
pub struct Expect {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<bool>,
    #[serde(alias = "approvalRequired", skip_serializing_if = "Option::is_none")]
    pub approval_required: Option<bool>,
    #[serde(alias = "reasonContains", skip_serializing_if = "Option::is_none")]
    pub reason_contains: Option<String>,
    #[serde(alias = "effectiveDestinationId", skip_serializing_if = "Option::is_none")]
    pub effective_destination_id: Option<String>,
    /// Approval is required, or nothing outside this server would be reached.
    #[serde(alias = "approvalOrInternal", skip_serializing_if = "Option::is_none")]
    pub approval_or_internal: Option<bool>,
    /// No effective destination has this id.
    #[serde(alias = "notEffectiveDestinationId", skip_serializing_if = "Option::is_none")]
    pub not_effective_destination_id: Option<String>,
    /// Where a destination is not ready, the configuration blocks it.
    #[serde(alias = "failClosed", skip_serializing_if = "Option::is_none")]
    pub fail_closed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

wire_enum! {
    pub enum ScenarioStatus {
        Pass = "pass",
        Fail = "fail",
        /// It could not be judged: nothing matched, or there is nothing of the kind that it is tried for.
        Blocked = "blocked",
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScenarioAssertion)]
pub struct Assertion {
    pub name: String,
    pub expected: Value,
    pub actual: Value,
    pub ok: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScenarioRoutePreview)]
pub struct PreviewSummary {
    pub requested_destination_ids: Vec<String>,
    pub effective_destination_ids: Vec<String>,
    pub approval_required: bool,
    pub blocked: bool,
    pub blocked_reasons: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScenarioResult {
    pub scenario_id: String,
    pub category: String,
    pub description: String,
    pub status: ScenarioStatus,
    pub passed: bool,
    pub expected_behavior: String,
    pub observed_behavior: String,
    /// Of the case that decided: the first that failed, else the first.
    pub assertions: Vec<Assertion>,
    pub route_preview: PreviewSummary,
    /// `asp_` and 16 hex characters; only of a failure.
    pub finding_id: Option<String>,
    /// `sha256:` and the hash over pack, scenario, tenant, status and the object that decided.
    pub fingerprint: String,
    pub evidence_refs: Vec<ScenarioEvidence>,
    pub prompt_injection: bool,
    pub dry_run: bool,
    pub mutates_external_systems: bool,
    /// How often it was tried; 1 for a scenario without a selector.
    pub cases: u64,
    pub failed_cases: u64,
    /// What the deciding case was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_id: Option<String>,
}

/// The scenario itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScenarioEvidence {
    /// Always `scenario_pack`.
    pub kind: String,
    /// Of the scenario.
    pub id: String,
    pub pack_id: String,
    pub version: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScenarioPackCounts)]
pub struct PackCounts {
    pub total: u64,
    pub passed: u64,
    pub failed: u64,
    pub blocked: u64,
}

/// A pack that was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScenarioPackResult)]
pub struct PackResult {
    pub pack_id: String,
    pub version: String,
    pub description: String,
    pub mode: String,
    pub mutates_external_systems: bool,
    pub counts: PackCounts,
    pub results: Vec<ScenarioResult>,
    /// Ids that were asked for and that the pack does not have.
    pub ignored_scenario_ids: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScenarioScope)]
pub struct Scope {
    pub source: String,
    pub read_only: bool,
    pub dry_run: bool,
    pub mutates_external_systems: bool,
    pub admin_invoked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_context: Option<TenantContext>,
}

impl Scope {
    pub fn of(tenant: Option<&TenantContext>) -> Self {
        Self {
            source: "incident_monitor_adversarial_scenario_packs".into(),
            read_only: true,
            dry_run: true,
            mutates_external_systems: false,
            admin_invoked: true,
            tenant_context: tenant.cloned(),
        }
    }
}

/// The packs that there are, not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScenarioPackList)]
pub struct PackList {
    pub schema_version: u32,
    pub scope: Scope,
    /// The built-in ones, then those of the operator's directory.
    pub packs: Vec<Pack>,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScenarioPackRun)]
pub struct PackRun {
    pub schema_version: u32,
    pub scope: Scope,
    pub pack: PackResult,
}

/// What a caller asks for: a pack of its own, or one that there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScenarioPackRequest)]
#[serde(default)]
pub struct Request {
    /// Takes the place of the built-in one.
    pub pack: Option<Pack>,
    /// A built-in pack or one of the operator's directory; without it the first built-in one.
    #[serde(alias = "packId", alias = "packID")]
    pub pack_id: Option<String>,
    /// Runs these only; none means all.
    #[serde(alias = "scenarioIds", alias = "scenarioIDs")]
    pub scenario_ids: Vec<String>,
}

#[cfg(test)]
mod tests;
