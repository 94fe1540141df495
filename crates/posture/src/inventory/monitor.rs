//! The Incident Monitor: its switches, destinations, routes, sources, keys, and what asks for approval.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_core::{
    approval::ApprovalPolicy,
    config::{DataReadiness, LogSource, Project},
    destination::{self, Destination},
    route::Route,
    source::{Scope, SourceReadiness},
};
use utoipa::ToSchema;

use super::{AutomationRow, present, sorted_keys};
use crate::estate::Estate;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventorySafetyDefaults)]
pub struct SafetyRow {
    pub require_approval_for_high_risk: bool,
    pub redact_secrets: bool,
    pub block_unready_destinations: bool,
    pub block_unready_sources: bool,
    pub retention_days: Option<u64>,
    pub minimum_risk_level: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryIncidentMonitor)]
pub struct MonitorRow {
    pub enabled: bool,
    pub paused: bool,
    pub repo: Option<String>,
    pub workspace_root: Option<String>,
    pub default_destination_ids: Vec<String>,
    pub model_policy_present: bool,
    pub provider_preference: String,
    pub auto_create_new_issues: bool,
    pub require_approval_for_new_issues: bool,
    pub auto_comment_on_matched_open_issues: bool,
    pub safety_defaults: SafetyRow,
    pub updated_at_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryDestination)]
pub struct DestinationRow {
    pub destination_id: String,
    pub name: String,
    pub kind: String,
    pub enabled: bool,
    pub require_approval: bool,
    pub repo: Option<String>,
    pub mcp_server: Option<String>,
    pub linear_team: Option<String>,
    pub linear_project: Option<String>,
    pub webhook_url_present: bool,
    pub webhook_secret_ref_present: bool,
    pub telemetry_path: Option<String>,
    pub mcp_tool: Option<String>,
    pub memory_category: Option<String>,
    pub route_tags: Vec<String>,
    pub custom_config_keys: Vec<String>,
    pub allow_publish: Option<bool>,
}

impl DestinationRow {
    /// Reaches something outside this server.
    pub fn is_external(&self) -> bool {
        matches!(self.kind.as_str(), "github_issue" | "linear_issue" | "webhook" | "mcp_tool")
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryRouteMatch)]
pub struct RouteMatchRow {
    pub event_types: Vec<String>,
    pub sources: Vec<String>,
    pub components: Vec<String>,
    pub risk_levels: Vec<String>,
    pub risk_categories: Vec<String>,
    pub confidence: Vec<String>,
    pub expected_destinations: Vec<String>,
    pub project_ids: Vec<String>,
    pub log_source_ids: Vec<String>,
    pub route_tags: Vec<String>,
    pub source_kinds: Vec<String>,
    pub tenant_ids: Vec<String>,
    pub workspace_ids: Vec<String>,
    pub event_schema_versions: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryRoute)]
pub struct RouteRow {
    pub route_id: String,
    pub name: String,
    pub enabled: bool,
    pub priority: i64,
    pub destination_ids: Vec<String>,
    pub approval_policy: String,
    pub auto_publish: bool,
    #[serde(rename = "match")]
    pub matches: RouteMatchRow,
}

/// What is known about a source's data, as flags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryDataReadiness)]
pub struct DataPresence {
    pub source_owner_present: bool,
    pub system_of_record_present: bool,
    pub data_classification_present: bool,
    pub allowed_use_present: bool,
    pub source_of_truth_present: bool,
    pub lineage_ref_present: bool,
    pub expected_schema_version_present: bool,
    pub quality_notes_present: bool,
    pub legal_basis_present: bool,
    pub authorization_marker_present: bool,
    pub freshness_sla_ms: Option<u64>,
    pub last_observed_at_ms: Option<u64>,
    pub schema_drift_status: Option<String>,
}

/// A project (without `source_id`) or a log source. Fields that the other kind has are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventorySource)]
pub struct SourceRow {
    pub project_id: String,
    pub source_id: Option<String>,
    pub name: String,
    pub enabled: bool,
    pub paused: bool,
    pub source_kind: String,
    pub allowed_destination_ids: Vec<String>,
    pub default_destination_ids: Vec<String>,
    pub default_route_tags: Vec<String>,
    pub tenant_id: Option<String>,
    pub workspace_id: Option<String>,
    pub event_schema_version: Option<String>,
    pub approval_policy: String,
    pub redaction_profile: Option<String>,
    pub retention_profile: Option<String>,
    pub data_readiness: DataPresence,
    pub readiness: Option<SourceReadiness>,
    #[serde(flatten)]
    pub project: ProjectPart,
    #[serde(flatten)]
    pub log: LogPart,
}

/// Only on project rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryProjectPart)]
pub struct ProjectPart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_root: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub mcp_server: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_create_new_issues: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_approval_for_new_issues: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_comment_on_matched_open_issues: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_publish: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_source_count: Option<usize>,
}

/// Only on log source rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryLogPart)]
pub struct LogPart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_level: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_position: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_interval_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes_per_poll: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_candidates_per_poll: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint_cooldown_ms: Option<u64>,
}

impl SourceRow {
    /// The source's id, else the project's.
    pub fn id(&self) -> &str {
        self.source_id.as_deref().unwrap_or(&self.project_id)
    }

    /// `project` or `project/source`.
    pub fn reference(&self) -> String {
        match &self.source_id {
            Some(source) => format!("{}/{source}", self.project_id),
            None => self.project_id.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryIntakeKey)]
pub struct KeyRow {
    pub key_id: String,
    pub project_id: String,
    pub name: String,
    pub enabled: bool,
    pub scopes: Vec<String>,
    pub created_at_ms: Option<u64>,
    pub last_used_at_ms: Option<u64>,
    pub expires_at_ms: Option<u64>,
    pub rate_limit_per_min: Option<u32>,
    pub key_hash_present: bool,
}

/// Something that may ask for approval. Which fields are there depends on `source`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalRule {
    pub source: String,
    pub rule_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_approval: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_ids: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_policy: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decisions: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rework_targets: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_policy: Option<Value>,
}

/// The word of an approval policy.
pub fn policy_word(policy: ApprovalPolicy) -> &'static str {
    match policy {
        ApprovalPolicy::Inherit => "inherit",
        ApprovalPolicy::Always => "always",
        ApprovalPolicy::HighRisk => "high_risk",
        ApprovalPolicy::Never => "never",
    }
}

pub(super) fn monitor(estate: &Estate) -> MonitorRow {
    let config = &estate.config;
    let safety = &config.safety_defaults;
    MonitorRow {
        enabled: config.enabled,
        paused: config.paused,
        repo: config.repo.clone(),
        workspace_root: config.workspace_root.clone(),
        default_destination_ids: config.default_destination_ids.clone(),
        model_policy_present: config.model_policy.is_some(),
        provider_preference: config.provider_preference.word().to_owned(),
        auto_create_new_issues: config.auto_create_new_issues,
        require_approval_for_new_issues: config.require_approval_for_new_issues,
        auto_comment_on_matched_open_issues: config.auto_comment_on_matched_open_issues,
        safety_defaults: SafetyRow {
            require_approval_for_high_risk: safety.require_approval_for_high_risk,
            redact_secrets: safety.redact_secrets,
            block_unready_destinations: safety.block_unready_destinations,
            block_unready_sources: safety.block_unready_sources,
            // 0 keeps everything, as no value does.
            retention_days: safety.retention_days.filter(|days| *days > 0),
            minimum_risk_level: safety.minimum_risk_level.clone(),
        },
        updated_at_ms: config.updated_at_ms,
    }
}

/// The row of one destination.
pub fn destination_row(destination: &Destination) -> DestinationRow {
    let config = destination.config.as_ref();
    DestinationRow {
        destination_id: destination.destination_id.clone(),
        name: destination.name.clone(),
        kind: destination.kind.label().to_owned(),
        enabled: destination.enabled,
        require_approval: destination.require_approval,
        repo: destination.repo.clone(),
        mcp_server: destination.mcp_server.clone(),
        linear_team: destination.linear_team.clone(),
        linear_project: destination.linear_project.clone(),
        webhook_url_present: present(destination.webhook_url.as_deref()),
        webhook_secret_ref_present: present(destination.webhook_secret_ref.as_deref()),
        telemetry_path: destination.telemetry_path.clone(),
        mcp_tool: destination.mcp_tool.clone(),
        memory_category: destination.memory_category.clone(),
        route_tags: destination.route_tags.clone(),
        custom_config_keys: config.map(sorted_keys).unwrap_or_default(),
        allow_publish: config.and_then(|config| config.get("allow_publish")).and_then(Value::as_bool),
    }
}

pub(super) fn destinations(estate: &Estate) -> Vec<DestinationRow> {
    destination::effective(&estate.config).iter().map(destination_row).collect()
}

/// A tenant that a credential names sees the routes that are for everybody and those that name it.
pub(super) fn routes(estate: &Estate) -> Vec<RouteRow> {
    let tenant = &estate.tenant;
    let open = |list: &[String], own: &str| list.is_empty() || list.iter().any(|id| id == own);
    let visible = |route: &&Route| {
        tenant.is_local_implicit()
            || (open(&route.match_tenant_ids, &tenant.org_id) && open(&route.match_workspace_ids, &tenant.workspace_id))
    };
    estate.config.routes.iter().filter(visible).map(route_row).collect()
}

fn route_row(route: &Route) -> RouteRow {
    RouteRow {
        route_id: route.route_id.clone(),
        name: route.name.clone(),
        enabled: route.enabled,
        priority: route.priority,
        destination_ids: route.destination_ids.clone(),
        approval_policy: policy_word(route.approval_policy).to_owned(),
        auto_publish: route.auto_publish,
        matches: RouteMatchRow {
            event_types: route.match_event_types.clone(),
            sources: route.match_sources.clone(),
            components: route.match_components.clone(),
            risk_levels: route.match_risk_levels.clone(),
            risk_categories: route.match_risk_categories.clone(),
            confidence: route.match_confidence.clone(),
            expected_destinations: route.match_expected_destinations.clone(),
            project_ids: route.match_project_ids.clone(),
            log_source_ids: route.match_log_source_ids.clone(),
            route_tags: route.match_route_tags.clone(),
            source_kinds: route.match_source_kinds.clone(),
            tenant_ids: route.match_tenant_ids.clone(),
            workspace_ids: route.match_workspace_ids.clone(),
            event_schema_versions: route.match_event_schema_versions.clone(),
        },
    }
}

fn presence(facts: &DataReadiness) -> DataPresence {
    let has = |text: &Option<String>| present(text.as_deref());
    DataPresence {
        source_owner_present: has(&facts.source_owner),
        system_of_record_present: has(&facts.system_of_record),
        data_classification_present: has(&facts.data_classification),
        allowed_use_present: has(&facts.allowed_use),
        source_of_truth_present: has(&facts.source_of_truth),
        lineage_ref_present: has(&facts.lineage_ref),
        expected_schema_version_present: has(&facts.expected_schema_version),
        quality_notes_present: has(&facts.quality_notes),
        legal_basis_present: has(&facts.legal_basis),
        authorization_marker_present: has(&facts.authorization_marker),
        freshness_sla_ms: facts.freshness_sla_ms,
        last_observed_at_ms: facts.last_observed_at_ms,
        schema_drift_status: facts.schema_drift_status.clone(),
    }
}

/// Each project before its log sources. A tenant that a credential names sees those of nobody in particular and its own.
pub(super) fn sources(estate: &Estate) -> Vec<SourceRow> {
    let tenant = &estate.tenant;
    let mut rows = Vec::new();
    // Readiness has the same order: a row for each project, then one for each of its sources.
    let mut readiness = estate.sources.iter();
    for project in &estate.config.monitored_projects {
        let scopes = std::iter::once(Scope { project, source: None })
            .chain(project.log_sources.iter().map(|source| Scope { project, source: Some(source) }));
        for scope in scopes {
            let ready = readiness.next();
            let own = |id: Option<&str>, wanted: &str| id.is_none_or(|id| id == wanted);
            let visible = tenant.is_local_implicit()
                || (own(scope.tenant_id(), &tenant.org_id) && own(scope.workspace_id(), &tenant.workspace_id));
            if visible {
                rows.push(source_row(scope, ready));
            }
        }
    }
    rows
}

fn source_row(scope: Scope<'_>, readiness: Option<&SourceReadiness>) -> SourceRow {
    let Scope { project, source } = scope;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    SourceRow {
        project_id: project.project_id.clone(),
        source_id: source.map(|source| source.source_id.clone()),
        name: project.name.clone(),
        enabled: project.enabled && source.is_none_or(|source| source.enabled),
        paused: project.paused || source.is_some_and(|source| source.paused),
        source_kind: scope.source_kind().label().to_owned(),
        allowed_destination_ids: scope.allowed_destination_ids(),
        default_destination_ids: scope.default_destination_ids().to_vec(),
        default_route_tags: scope.route_tags().map(str::to_owned).collect(),
        tenant_id: owned(scope.tenant_id()),
        workspace_id: owned(scope.workspace_id()),
        event_schema_version: owned(scope.event_schema_version()),
        approval_policy: policy_word(scope.approval_policy()).to_owned(),
        redaction_profile: owned(scope.redaction_profile()),
        retention_profile: owned(scope.retention_profile()),
        data_readiness: presence(&scope.data_readiness()),
        readiness: readiness.cloned(),
        project: if source.is_none() { project_part(project) } else { ProjectPart::default() },
        log: source.map(log_part).unwrap_or_default(),
    }
}

fn project_part(project: &Project) -> ProjectPart {
    ProjectPart {
        repo: Some(project.repo.clone()),
        workspace_root: Some(project.workspace_root.clone()),
        mcp_server: Some(project.mcp_server.clone()),
        auto_create_new_issues: Some(project.auto_create_new_issues),
        require_approval_for_new_issues: Some(project.require_approval_for_new_issues),
        auto_comment_on_matched_open_issues: Some(project.auto_comment_on_matched_open_issues),
        auto_publish: Some(project.auto_publish),
        log_source_count: Some(project.log_sources.len()),
    }
}

fn log_part(source: &LogSource) -> LogPart {
    LogPart {
        path: Some(source.path.clone()),
        format: Some(source.format.word().to_owned()),
        minimum_level: Some(source.minimum_level.word().to_owned()),
        start_position: Some(source.start_position.word().to_owned()),
        watch_interval_seconds: Some(source.watch_interval_seconds),
        max_bytes_per_poll: Some(source.max_bytes_per_poll),
        max_candidates_per_poll: Some(source.max_candidates_per_poll),
        fingerprint_cooldown_ms: Some(source.fingerprint_cooldown_ms),
    }
}

/// Keys of visible projects, and of projects that are no longer there.
pub(super) fn keys(estate: &Estate) -> Vec<KeyRow> {
    let tenant = &estate.tenant;
    let visible = |project_id: &str| {
        let Some(project) = estate.config.project(project_id) else { return true };
        let own = |id: &Option<String>, wanted: &str| id.as_deref().is_none_or(|id| id == wanted);
        tenant.is_local_implicit()
            || (own(&project.tenant_id, &tenant.org_id) && own(&project.workspace_id, &tenant.workspace_id))
    };
    let row = |key: &tandem_core::credential::IntakeKey| KeyRow {
        key_id: key.key_id.clone(),
        project_id: key.project_id.clone(),
        name: key.name.clone(),
        enabled: key.enabled,
        scopes: key.scopes.clone(),
        created_at_ms: key.created_at_ms,
        last_used_at_ms: key.last_used_at_ms,
        expires_at_ms: key.expires_at_ms,
        rate_limit_per_min: key.rate_limit_per_min,
        key_hash_present: !key.key_hash.is_empty(),
    };
    estate.keys.iter().filter(|key| visible(&key.project_id)).map(row).collect()
}

pub(super) fn approval_rules(estate: &Estate) -> Vec<ApprovalRule> {
    let config = &estate.config;
    let of_config = |id: &str, policy: &str, requires| ApprovalRule {
        source: "incident_monitor_config".into(),
        rule_id: format!("incident_monitor.{id}"),
        requires_approval: Some(requires),
        policy: Some(policy.into()),
        ..ApprovalRule::default()
    };
    let high = config.safety_defaults.require_approval_for_high_risk;
    let mut rules = vec![of_config("high_risk", "require_approval_for_high_risk", high)];
    if config.require_approval_for_new_issues {
        rules.push(of_config("new_issues", "require_approval_for_new_issues", true));
    }
    rules.extend(destinations(estate).into_iter().map(|row| ApprovalRule {
        source: "incident_monitor_destination".into(),
        rule_id: format!("destination:{}", row.destination_id),
        destination_id: Some(row.destination_id),
        requires_approval: Some(row.require_approval),
        policy: Some("destination.require_approval".into()),
        ..ApprovalRule::default()
    }));
    rules.extend(routes(estate).into_iter().map(|row| ApprovalRule {
        source: "incident_monitor_route".into(),
        rule_id: format!("route:{}", row.route_id),
        route_id: Some(row.route_id),
        destination_ids: Some(row.destination_ids),
        approval_policy: Some(row.approval_policy.into()),
        ..ApprovalRule::default()
    }));
    let automations = super::automation::automations(estate);
    rules.extend(automations.iter().flat_map(agent_rules));
    rules.extend(automations.iter().flat_map(gate_rules));
    rules
}

fn agent_rules(automation: &AutomationRow) -> impl Iterator<Item = ApprovalRule> + '_ {
    automation.agents.iter().filter(|agent| agent.has_approval_policy()).map(|agent| ApprovalRule {
        source: "automation_agent".into(),
        rule_id: format!("automation:{}:agent:{}", automation.automation_id, agent.agent_id),
        automation_id: Some(automation.automation_id.clone()),
        agent_id: Some(agent.agent_id.clone()),
        approval_policy: agent.approval_policy.clone(),
        ..ApprovalRule::default()
    })
}

fn gate_rules(automation: &AutomationRow) -> impl Iterator<Item = ApprovalRule> + '_ {
    automation.nodes.iter().filter_map(|node| {
        let gate = node.gate.as_ref()?;
        Some(ApprovalRule {
            source: "automation_node_gate".into(),
            rule_id: format!("automation:{}:node:{}", automation.automation_id, node.node_id),
            automation_id: Some(automation.automation_id.clone()),
            node_id: Some(node.node_id.clone()),
            required: Some(gate.required),
            decisions: Some(gate.decisions.clone()),
            rework_targets: Some(gate.rework_targets.clone()),
            expiry_policy: Some(gate.expiry_policy.clone().unwrap_or_default()),
            ..ApprovalRule::default()
        })
    })
}
