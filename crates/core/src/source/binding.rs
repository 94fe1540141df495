//! The binding: project and source combined.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    approval::ApprovalPolicy,
    config::{Config, DataReadiness, LogSource, Project},
    signal::SourceRouting,
    text::non_blank,
};

/// What kind of system reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    TandemRuntime,
    TandemMonitor,
    ExternalApp,
    Ci,
    AgentRuntime,
    McpGateway,
    #[default]
    CustomerSystem,
}

impl SourceKind {
    pub fn label(self) -> &'static str {
        match self {
            Self::TandemRuntime => "tandem_runtime",
            Self::TandemMonitor => "tandem_monitor",
            Self::ExternalApp => "external_app",
            Self::Ci => "ci",
            Self::AgentRuntime => "agent_runtime",
            Self::McpGateway => "mcp_gateway",
            Self::CustomerSystem => "customer_system",
        }
    }
}

/// What a configured project (and log source) vouches for; the only thing that may set routing facts on a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    pub project_id: String,
    pub project_name: String,
    /// The log source id, or the caller's source name where the project has no log sources.
    pub source_id: Option<String>,
    pub repo: String,
    pub workspace_root: String,
    pub source_kind: SourceKind,
    pub routing: SourceRouting,
    /// The project's `require_approval_for_new_issues`.
    pub require_approval: bool,
    /// Both the project and the source restrict destinations and share none: nothing is admitted.
    pub admits_nothing: bool,
}

/// A configured project with, where one is named, its log source. Borrowed, for decisions that copy nothing.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub project: &'a Project,
    pub source: Option<&'a LogSource>,
}

impl<'a> Scope<'a> {
    /// `None` for an unknown project. An unknown source leaves the project alone in scope.
    pub fn find(config: &'a Config, project_id: &str, source_id: Option<&str>) -> Option<Self> {
        let project = config.project(project_id)?;
        let source = non_blank(source_id).and_then(|id| project.log_source(id));
        Some(Self { project, source })
    }

    pub fn tenant_id(&self) -> Option<&'a str> {
        self.source.and_then(|source| source.tenant_id.as_deref()).or(self.project.tenant_id.as_deref())
    }

    pub fn workspace_id(&self) -> Option<&'a str> {
        self.source.and_then(|source| source.workspace_id.as_deref()).or(self.project.workspace_id.as_deref())
    }

    pub fn event_schema_version(&self) -> Option<&'a str> {
        self.source
            .and_then(|source| source.event_schema_version.as_deref())
            .or(self.project.event_schema_version.as_deref())
    }

    pub fn redaction_profile(&self) -> Option<&'a str> {
        self.source.and_then(|source| source.redaction_profile.as_deref()).or(self.project.redaction_profile.as_deref())
    }

    pub fn retention_profile(&self) -> Option<&'a str> {
        self.source.and_then(|source| source.retention_profile.as_deref()).or(self.project.retention_profile.as_deref())
    }

    pub fn source_kind(&self) -> SourceKind {
        self.source.and_then(|source| source.source_kind).unwrap_or(self.project.source_kind)
    }

    /// The source's policy unless it inherits, else the project's. Without `require_approval_for_new_issues`.
    pub fn approval_policy(&self) -> ApprovalPolicy {
        match self.source.map(|source| source.approval_policy) {
            None | Some(ApprovalPolicy::Inherit) => self.project.approval_policy,
            Some(own @ (ApprovalPolicy::Always | ApprovalPolicy::HighRisk | ApprovalPolicy::Never)) => own,
        }
    }

    pub fn default_destination_ids(&self) -> &'a [String] {
        match self.source {
            Some(source) if !source.default_destination_ids.is_empty() => &source.default_destination_ids,
            Some(_) | None => &self.project.default_destination_ids,
        }
    }

    /// Whether destinations are restricted at all; if so only [`Scope::admits`] them.
    pub fn restricts(&self) -> bool {
        self.lists().any(|list| !list.is_empty())
    }

    /// Whether every non-empty allowlist holds this id. Case matters.
    pub fn admits(&self, destination_id: &str) -> bool {
        self.lists().all(|list| list.is_empty() || list.iter().any(|id| id == destination_id))
    }

    fn lists(&self) -> impl Iterator<Item = &'a [String]> {
        let own = self.source.map(|source| source.allowed_destination_ids.as_slice());
        [Some(self.project.allowed_destination_ids.as_slice()), own].into_iter().flatten()
    }

    /// What both lists allow. Empty with [`Scope::restricts`] admits nothing.
    pub fn allowed_destination_ids(&self) -> Vec<String> {
        let own = self.source.map_or(&[][..], |source| &source.allowed_destination_ids);
        let base =
            if self.project.allowed_destination_ids.is_empty() { own } else { &self.project.allowed_destination_ids };
        base.iter().filter(|id| self.admits(id)).cloned().collect()
    }

    /// The project's tags, then the source's.
    pub fn route_tags(&self) -> impl Iterator<Item = &'a str> {
        let own = self.source.map_or(&[][..], |source| &source.default_route_tags);
        self.project.default_route_tags.iter().chain(own).map(String::as_str)
    }

    /// Field by field, the source's word before the project's.
    pub fn data_readiness(&self) -> DataReadiness {
        let base = &self.project.data_readiness;
        let Some(own) = self.source.map(|source| &source.data_readiness) else { return base.clone() };
        let text = |own: &Option<String>, base: &Option<String>| own.as_ref().or(base.as_ref()).cloned();
        DataReadiness {
            source_owner: text(&own.source_owner, &base.source_owner),
            system_of_record: text(&own.system_of_record, &base.system_of_record),
            data_classification: text(&own.data_classification, &base.data_classification),
            allowed_use: text(&own.allowed_use, &base.allowed_use),
            source_of_truth: text(&own.source_of_truth, &base.source_of_truth),
            lineage_ref: text(&own.lineage_ref, &base.lineage_ref),
            freshness_sla_ms: own.freshness_sla_ms.or(base.freshness_sla_ms),
            last_observed_at_ms: own.last_observed_at_ms.or(base.last_observed_at_ms),
            expected_schema_version: text(&own.expected_schema_version, &base.expected_schema_version),
            schema_drift_status: text(&own.schema_drift_status, &base.schema_drift_status),
            quality_notes: text(&own.quality_notes, &base.quality_notes),
            legal_basis: text(&own.legal_basis, &base.legal_basis),
            authorization_marker: text(&own.authorization_marker, &base.authorization_marker),
        }
    }
}

/// The binding of a project and optional source. `None` when the project is unknown, or when it has log sources and the
/// named one is none of them.
pub fn binding(config: &Config, project_id: &str, source_id: Option<&str>) -> Option<Binding> {
    let scope = Scope::find(config, project_id, source_id)?;
    let named = non_blank(source_id);
    if named.is_some() && scope.source.is_none() && !scope.project.log_sources.is_empty() {
        return None;
    }
    let project = scope.project;
    let allowed = scope.allowed_destination_ids();
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let mut route_tags: Vec<String> = Vec::new();
    for tag in scope.route_tags() {
        if !route_tags.iter().any(|known| known == tag) {
            route_tags.push(tag.to_owned());
        }
    }
    Some(Binding {
        project_id: project.project_id.clone(),
        project_name: project.name.clone(),
        source_id: scope.source.map(|source| source.source_id.clone()).or_else(|| owned(named)),
        repo: project.repo.clone(),
        workspace_root: project.workspace_root.clone(),
        source_kind: scope.source_kind(),
        require_approval: project.require_approval_for_new_issues,
        admits_nothing: scope.restricts() && allowed.is_empty(),
        routing: SourceRouting {
            route_tags,
            allowed_destination_ids: allowed,
            default_destination_ids: scope.default_destination_ids().to_vec(),
            tenant_id: owned(scope.tenant_id()),
            workspace_id: owned(scope.workspace_id()),
            event_schema_version: owned(scope.event_schema_version()),
            // Always said, even when it inherits: it marks the record as bound.
            source_approval_policy: Some(scope.approval_policy()),
            redaction_profile: owned(scope.redaction_profile()),
            retention_profile: owned(scope.retention_profile()),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::read;

    fn config() -> Config {
        read(json!({"monitored_projects": [
            {"project_id": "App", "name": "App", "repo": "acme/app", "workspace_root": "/srv/app", "source_kind": "ci",
             "allowed_destination_ids": ["a", "b"], "default_destination_ids": ["a"], "default_route_tags": ["x", "y"],
             "tenant_id": "t1", "workspace_id": "w1", "approval_policy": "always",
             "data_readiness": {"source_owner": "team", "allowed_use": "ops"},
             "log_sources": [
                {"source_id": "plain", "path": "a.log"},
                {"source_id": "own", "path": "b.log", "source_kind": "external_app", "allowed_destination_ids": ["b", "c"],
                 "default_destination_ids": ["b"], "default_route_tags": ["y", "z"], "tenant_id": "t2",
                 "approval_policy": "never", "data_readiness": {"source_owner": "me"}},
                {"source_id": "disjoint", "path": "c.log", "allowed_destination_ids": ["c"]},
             ]},
            {"project_id": "bare", "name": "Bare", "repo": "acme/bare", "workspace_root": "/srv/bare",
             "require_approval_for_new_issues": true},
        ]}))
        .unwrap_or_default()
    }

    #[test]
    fn who_is_found() {
        let config = config();
        for (project, source, found) in [
            ("App", None, Some(None)),
            ("aPP", Some(" "), Some(None)),
            ("app", Some("OWN"), Some(Some("own"))),
            ("App", Some("unknown"), None),
            ("nobody", None, None),
            ("bare", Some("caller"), Some(Some("caller"))),
            ("bare", None, Some(None)),
        ] {
            let binding = binding(&config, project, source);
            assert_eq!(binding.as_ref().map(|b| b.source_id.as_deref()), found, "{project} {source:?}");
        }
    }

    #[test]
    fn the_source_says_before_the_project() {
        let config = config();
        let of = |source| binding(&config, "App", Some(source)).map(|b| (b.source_kind, b.admits_nothing, b.routing));
        let (kind, nothing, routing) = of("own").unwrap_or_default();
        assert_eq!((kind, nothing), (SourceKind::ExternalApp, false));
        assert_eq!(routing.allowed_destination_ids, ["b"]);
        assert_eq!(routing.default_destination_ids, ["b"]);
        assert_eq!(routing.route_tags, ["x", "y", "z"]);
        assert_eq!((routing.tenant_id.as_deref(), routing.workspace_id.as_deref()), (Some("t2"), Some("w1")));
        assert_eq!(routing.source_approval_policy, Some(ApprovalPolicy::Never));

        let (kind, nothing, routing) = of("plain").unwrap_or_default();
        assert_eq!((kind, nothing), (SourceKind::Ci, false));
        assert_eq!(routing.allowed_destination_ids, ["a", "b"]);
        assert_eq!(routing.default_destination_ids, ["a"]);
        assert_eq!(routing.source_approval_policy, Some(ApprovalPolicy::Always));

        let (_, nothing, routing) = of("disjoint").unwrap_or_default();
        assert!(nothing && routing.allowed_destination_ids.is_empty());

        let bare = binding(&config, "bare", None);
        assert!(bare.is_some_and(|b| b.require_approval
            && !b.admits_nothing
            && b.routing.source_approval_policy == Some(ApprovalPolicy::Inherit)));
    }

    #[test]
    fn data_readiness_merges_field_by_field() {
        let config = config();
        let merged = Scope::find(&config, "App", Some("own")).map(|scope| scope.data_readiness()).unwrap_or_default();
        assert_eq!((merged.source_owner.as_deref(), merged.allowed_use.as_deref()), (Some("me"), Some("ops")));
    }
}
