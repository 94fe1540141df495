//! Status: what is configured, what is ready, what is going on. Reading it changes nothing.

use serde::Serialize;
use serde_json::{Map, Value};
use tandem_core::{
    actor::OpContext,
    config::Config,
    destination::{self, Destination, DestinationKind, DestinationReadiness, Gap, Server},
    draft::{DRAFTS, Draft, DraftStatus},
    error::Failure,
    incident::{INCIDENTS, Incident, IncidentStatus},
    mcp::ToolRow,
    publish::DeliveryState,
    receipt::{POSTS, Post},
    record::{Collection, Column},
    signal::accept::valid_repo,
    source::{self, SourceReadiness, state::LogSourceRuntimeStatus},
    tenant::TenantKey,
    tracker::{
        Settings,
        binding::{self, Resolved},
        tools::GITHUB_REQUIRED,
    },
};
use utoipa::ToSchema;

use crate::{App, mcp::View, store_failure};

/// Booleans only; clients type it as a map of them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Readiness {
    pub enabled: bool,
    pub config_valid: bool,
    pub repo_valid: bool,
    pub mcp_server_present: bool,
    pub mcp_connected: bool,
    pub github_read_ready: bool,
    pub github_write_ready: bool,
    pub selected_model_ready: bool,
    pub ingest_ready: bool,
    pub publish_ready: bool,
    pub runtime_ready: bool,
    pub destination_ready: bool,
    pub source_ready: bool,
    pub route_preview_ready: bool,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Runtime {
    pub monitoring_active: bool,
    pub paused: bool,
    pub pending_incidents: u64,
    pub total_incidents: u64,
    pub pending_posts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_processed_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_incident_event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_runtime_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_post_result: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogWatcher {
    pub running: bool,
    pub enabled_projects: u64,
    pub enabled_sources: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_poll_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// One for each configured source.
    pub sources: Vec<LogSourceRuntimeStatus>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RequiredCapabilities {
    pub github_list_issues: bool,
    pub github_get_issue: bool,
    pub github_create_issue: bool,
    pub github_comment_on_issue: bool,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = MonitorStatus)]
pub struct Status {
    pub config: Config,
    pub readiness: Readiness,
    pub runtime: Runtime,
    pub log_watcher: LogWatcher,
    pub required_capabilities: RequiredCapabilities,
    pub missing_required_capabilities: Vec<String>,
    /// Which tool of the selected server does what a GitHub destination needs.
    pub resolved_capabilities: Vec<Resolved>,
    /// Namespaced names of what the selected server offers and its allowlist admits.
    pub discovered_mcp_tools: Vec<String>,
    #[schema(value_type = Vec<Object>)]
    pub selected_server_binding_candidates: Vec<Value>,
    /// The effective destinations: the configured ones, or the implied one.
    pub destinations: Vec<Destination>,
    pub destination_readiness: Vec<DestinationReadiness>,
    pub source_readiness: Vec<SourceReadiness>,
    /// The release of the capability bindings.
    pub binding_source_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub selected_model: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activity_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    pub pending_drafts: u64,
    pub pending_posts: u64,
}

/// What provides the capabilities over the API, in the order of their bindings.
const REQUESTS: [&str; 4] = [
    "GET /search/issues",
    "GET /repos/{owner}/{repo}/issues/{issue_number}",
    "POST /repos/{owner}/{repo}/issues",
    "POST /repos/{owner}/{repo}/issues/{issue_number}/comments",
];

impl App {
    pub async fn status(&self, ctx: &OpContext) -> Result<Status, Failure> {
        let tenant = ctx.tenant.key();
        let snapshot = self.snapshot(&tenant).await?;
        let config = snapshot.config.clone();
        let view = self.mcp_facts(&tenant, &config).await?;
        let destination_readiness = self.destination_readiness_with(&tenant, &config, &view);
        let (log_watcher, facts) = self.log_watcher(&tenant, &config).await?;
        let source_readiness = source::readiness(&config, &facts, self.now_ms());

        let repo_valid = config.repo.as_deref().is_some_and(valid_repo);
        let ingest_ready = config.enabled && !config.paused && repo_valid;
        let selected = config.mcp_server.as_deref().unwrap_or_default();
        let callable = view.callable(selected);
        // A destination that uses the API needs no tools; where none does, the selected server's tools count.
        let api = self.github_capabilities(&config, &destination_readiness);
        let api_ready = !api.is_empty();
        let resolved = if api_ready { api } else { binding::resolve(&callable) };
        let has = |id: &str| resolved.iter().any(|found| found.capability_id == id);
        let required = RequiredCapabilities {
            github_list_issues: has("github.list_issues"),
            github_get_issue: has("github.get_issue"),
            github_create_issue: has("github.create_issue"),
            github_comment_on_issue: has("github.comment_on_issue"),
        };
        let missing: Vec<String> =
            GITHUB_REQUIRED.iter().map(|one| one.word()).filter(|id| !has(id)).map(str::to_owned).collect();
        let mcp_server_present = view.registered(selected);
        let mcp_connected = view.server(selected) == Server::Connected;
        let github_read_ready = required.github_list_issues && required.github_get_issue;
        let github_write_ready = required.github_create_issue && required.github_comment_on_issue;
        let publish_ready = ingest_ready && (mcp_connected || api_ready) && github_read_ready && github_write_ready;
        // Triage needs no model. Where one is selected all the same, there is no catalogue that it could be found in.
        let selected_model_ready =
            config.model_policy.as_ref().is_none_or(|policy| !policy.contains_key("default_model"));
        let last_error = last_error(&config, repo_valid, &view, &missing);
        let readiness = Readiness {
            enabled: config.enabled,
            config_valid: repo_valid
                && (mcp_server_present || api_ready)
                && github_read_ready
                && github_write_ready
                && selected_model_ready,
            repo_valid,
            mcp_server_present,
            mcp_connected,
            github_read_ready,
            github_write_ready,
            selected_model_ready,
            ingest_ready,
            publish_ready,
            runtime_ready: publish_ready && selected_model_ready,
            destination_ready: destination_readiness.iter().any(|row| row.publish_ready),
            source_ready: source_readiness.iter().filter(|row| row.enabled).all(|row| row.ready),
            route_preview_ready: true,
        };

        let mut pending_incidents = 0;
        for status in IncidentStatus::ALL.iter().filter(|status| status.is_pending()) {
            pending_incidents += self.tally(&INCIDENTS, &tenant, Some(status.word())).await?;
        }
        let mut pending_posts = 0;
        for state in [DeliveryState::Pending, DeliveryState::Retrying, DeliveryState::Failed] {
            pending_posts += self.tally(&POSTS, &tenant, Some(state.word())).await?;
        }
        let newest = self.all::<Incident>(&tenant, "updated_at_ms", Vec::new(), 1).await?.pop();
        let newest_post = self.all::<Post>(&tenant, "updated_at_ms", Vec::new(), 1).await?.pop();
        let newest_draft = self.all::<Draft>(&tenant, "created_at_ms", Vec::new(), 1).await?.pop();
        let post_at = newest_post.as_ref().map(|post| post.value.updated_at_ms);
        let draft_at = newest_draft.map(|draft| draft.value.created_at_ms);

        Ok(Status {
            readiness,
            runtime: Runtime {
                monitoring_active: ingest_ready,
                paused: config.paused,
                pending_incidents,
                total_incidents: self.tally(&INCIDENTS, &tenant, None).await?,
                pending_posts,
                last_processed_at_ms: newest.as_ref().map(|row| row.value.updated_at_ms),
                last_incident_event_type: newest.as_ref().map(|row| row.value.event_type.clone()),
                last_runtime_error: newest.and_then(|row| row.value.last_error),
                last_post_result: newest_post.map(|row| row.value.status.word().to_owned()),
            },
            log_watcher,
            required_capabilities: required,
            missing_required_capabilities: missing,
            discovered_mcp_tools: view.offered(selected).iter().map(|tool| tool.namespaced_name.clone()).collect(),
            selected_server_binding_candidates: match mcp_server_present {
                true => binding::candidates(&callable),
                false => Vec::new(),
            },
            resolved_capabilities: resolved,
            binding_source_version: binding::VERSION.to_owned(),
            destinations: destination::effective(&config),
            destination_readiness,
            source_readiness,
            selected_model: config
                .model_policy
                .as_ref()
                .and_then(|policy| policy.get("default_model"))
                .and_then(Value::as_object)
                .cloned(),
            last_activity_at_ms: draft_at.max(post_at),
            last_error,
            pending_drafts: self.tally(&DRAFTS, &tenant, Some(DraftStatus::ApprovalRequired.word())).await?,
            pending_posts,
            config,
        })
    }

    /// What can be done at GitHub through a destination's own API: everything, where its token and its address are usable.
    fn github_capabilities(&self, config: &Config, rows: &[DestinationReadiness]) -> Vec<Resolved> {
        const UNUSABLE: [Gap; 6] = [
            Gap::RepoMissing,
            Gap::RepoInvalid,
            Gap::TokenRefMissing,
            Gap::TokenRefInvalid,
            Gap::TokenUnavailable,
            Gap::ApiBaseInvalid,
        ];
        let usable = |destination: &Destination| {
            destination.kind == DestinationKind::GithubIssue
                && Settings::of(config, destination).is_ok_and(|settings| settings.api().is_some())
                && rows.iter().any(|row| {
                    row.destination_id == destination.destination_id
                        && !row.missing_codes.iter().any(|gap| UNUSABLE.contains(gap))
                })
        };
        if !destination::effective(config).iter().any(usable) {
            return Vec::new();
        }
        GITHUB_REQUIRED
            .iter()
            .zip(REQUESTS)
            .map(|(capability, request)| Resolved {
                capability_id: capability.word().to_owned(),
                provider: "github_api".to_owned(),
                tool_name: request.to_owned(),
                binding_index: 0,
            })
            .collect()
    }

    async fn tally(
        &self,
        collection: &'static Collection,
        tenant: &TenantKey,
        status: Option<&str>,
    ) -> Result<u64, Failure> {
        let equals = status.map(|status| ("status", Column::text(status))).into_iter().collect();
        self.store().count(collection, tenant, equals).await.map_err(store_failure)
    }
}

/// The first thing that keeps the monitor from working, while it is enabled.
fn last_error(config: &Config, repo_valid: bool, view: &View, missing: &[String]) -> Option<String> {
    if !config.enabled {
        return None;
    }
    if config.paused {
        return Some("Incident Monitor is paused".to_owned());
    }
    if !repo_valid {
        return Some("The target repository is missing or not of the form owner/repo".to_owned());
    }
    let Some(server) = config.mcp_server.as_deref() else {
        let text = "No destination is configured, and the implied GitHub destination has no MCP server";
        return config.destinations.is_empty().then(|| text.to_owned());
    };
    match view.server(server) {
        Server::Unregistered => Some(format!("MCP server `{server}` is not registered")),
        Server::Disabled => Some(format!("MCP server `{server}` is disabled")),
        Server::Disconnected => Some(format!("MCP server `{server}` is not connected")),
        // Only the implied destination needs all of them; what others lack is in their own readiness.
        Server::Connected if config.destinations.is_empty() && !missing.is_empty() => {
            Some(format!("MCP server `{server}` lacks {}", missing.join(", ")))
        }
        Server::Connected => None,
    }
}

/// The tools of the selected MCP server, for people who wonder what was discovered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServerTools {
    pub selected_server_tools: Vec<ToolRow>,
    pub canonicalized_discovered_tools: Vec<CanonicalTool>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CanonicalTool {
    pub server_name: String,
    pub tool_name: String,
    pub namespaced_name: String,
    /// The name that capabilities are found by.
    pub canonical_name: String,
}

impl App {
    pub async fn selected_tools(&self, ctx: &OpContext) -> Result<ServerTools, Failure> {
        let tenant = ctx.tenant.key();
        let snapshot = self.snapshot(&tenant).await?;
        let view = self.mcp_facts(&tenant, &snapshot.config).await?;
        let offered = view.offered(snapshot.config.mcp_server.as_deref().unwrap_or_default());
        let canonical = offered.iter().map(|tool| CanonicalTool {
            server_name: tool.server_name.clone(),
            tool_name: tool.tool_name.clone(),
            namespaced_name: tool.namespaced_name.clone(),
            canonical_name: binding::github_name(&tool.tool_name),
        });
        Ok(ServerTools {
            canonicalized_discovered_tools: canonical.collect(),
            selected_server_tools: offered.into_iter().cloned().collect(),
        })
    }
}
