//! Whether a destination can take a publish now: what is missing, as texts and as stable codes in the same order.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Destination, DestinationKind,
    local::{self, PathError},
    secret::{self, SecretRefError},
    webhook,
};
use crate::{
    config::Config,
    mcp::mapping::{self, MappingError},
    signal::accept::valid_repo,
    text::non_blank,
    tracker::{
        self,
        settings::{Problem, Via},
        tools::Capability,
    },
    wire::wire_enum,
};

wire_enum! {
    /// Something that a destination lacks.
    #[schema(as = DestinationGap)]
    pub enum Gap {
        MonitorDisabled = "monitor_disabled",
        MonitorPaused = "monitor_paused",
        DestinationDisabled = "destination_disabled",
        /// The receiver answered that it is gone; an operator must enable the destination again.
        ReceiverGone = "receiver_gone",
        RepoMissing = "repo_missing",
        RepoInvalid = "repo_invalid",
        McpServerMissing = "mcp_server_missing",
        McpServerUnregistered = "mcp_server_unregistered",
        McpServerDisabled = "mcp_server_disabled",
        McpServerDisconnected = "mcp_server_disconnected",
        LinearTeamMissing = "linear_team_missing",
        LinearProjectMissing = "linear_project_missing",
        McpPublishNotAllowed = "mcp_publish_not_allowed",
        McpToolMissing = "mcp_tool_missing",
        McpToolUnknown = "mcp_tool_unknown",
        McpToolNotAllowed = "mcp_tool_not_allowed",
        /// The server changed the tool since it was accepted; an operator must accept it.
        McpToolChanged = "mcp_tool_changed",
        McpPayloadMissing = "mcp_payload_missing",
        McpPayloadInvalid = "mcp_payload_invalid",
        /// The MCP server has no tool, or none that may be called, for something that publishing needs.
        CapabilityMissing = "capability_missing",
        AdapterUnavailable = "adapter_unavailable",
        SettingInvalid = "setting_invalid",
        UrlMissing = "url_missing",
        UrlInvalid = "url_invalid",
        UrlScheme = "url_scheme",
        UrlUserinfo = "url_userinfo",
        HostNotAllowed = "host_not_allowed",
        PrivateAddress = "private_address",
        SecretRefMissing = "secret_ref_missing",
        SecretRefInvalid = "secret_ref_invalid",
        SecretUnavailable = "secret_unavailable",
        TokenRefMissing = "token_ref_missing",
        TokenRefInvalid = "token_ref_invalid",
        TokenUnavailable = "token_unavailable",
        ApiBaseInvalid = "api_base_invalid",
        TelemetryPathBlank = "telemetry_path_blank",
        PathOutsideState = "path_outside_state",
        MemoryCategoryUnknown = "memory_category_unknown",
    }
}

wire_enum! {
    /// The breaker before a destination that keeps failing. An open one delays deliveries; it does not refuse them.
    #[derive(Default)]
    pub enum Circuit {
        #[default]
        Closed = "closed",
        HalfOpen = "half_open",
        Open = "open",
    }
}

/// What is known of an MCP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Unregistered,
    /// Registered and switched off.
    Disabled,
    Disconnected,
    Connected,
}

/// What is known of a tool of an MCP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Unknown,
    NotAllowed,
    /// Not what was accepted.
    Changed,
    Callable,
}

/// What readiness needs from the world, looked up by the caller.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub now_ms: u64,
    /// Whether a secret reference resolves to a non-blank value.
    pub secret_available: &'a dyn Fn(&str) -> bool,
    pub server: &'a dyn Fn(&str) -> Server,
    /// Of a server's name and a tool's.
    pub tool: &'a dyn Fn(&str, &str) -> Tool,
    /// Whether a server has a tool that may be called for what a tracker needs. One that changed may not.
    pub capable: &'a dyn Fn(&str, Capability) -> bool,
    pub circuit: Circuit,
    pub circuit_open_until_ms: Option<u64>,
    /// The receiver answered 410.
    pub gone: bool,
}

impl<'a> Facts<'a> {
    /// Facts of a destination that was never tried, without MCP servers.
    pub fn new(now_ms: u64, secret_available: &'a dyn Fn(&str) -> bool) -> Self {
        Self {
            now_ms,
            secret_available,
            server: &|_| Server::Unregistered,
            tool: &|_, _| Tool::Unknown,
            capable: &|_, _| false,
            circuit: Circuit::Closed,
            circuit_open_until_ms: None,
            gone: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DestinationReadiness {
    pub destination_id: String,
    pub kind: DestinationKind,
    pub enabled: bool,
    pub ready: bool,
    pub publish_ready: bool,
    /// The global switch or the destination's own flag.
    pub requires_approval: bool,
    pub missing: Vec<String>,
    /// Codes of `missing`, in the same order.
    pub missing_codes: Vec<Gap>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    pub circuit: Circuit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_open_until_ms: Option<u64>,
}

/// Judges one effective destination.
pub fn readiness(config: &Config, destination: &Destination, facts: &Facts<'_>) -> DestinationReadiness {
    let mut gaps = Gaps::default();
    if !config.enabled {
        gaps.add(Gap::MonitorDisabled, "Incident Monitor is disabled");
    }
    if config.paused {
        gaps.add(Gap::MonitorPaused, "Incident Monitor is paused");
    }
    if !destination.enabled {
        gaps.add(Gap::DestinationDisabled, "Destination is disabled");
    }
    if facts.gone {
        gaps.add(Gap::ReceiverGone, "The receiver answered 410 Gone; save the destination again to use it");
    }
    match destination.kind {
        DestinationKind::GithubIssue => {
            repository(config, destination, &mut gaps);
            tracker(config, destination, facts, &mut gaps);
        }
        DestinationKind::LinearIssue => {
            if non_blank(destination.linear_team.as_deref()).is_none() {
                gaps.add(Gap::LinearTeamMissing, "linear_team is not set");
            }
            if non_blank(destination.linear_project.as_deref()).is_none() {
                gaps.add(Gap::LinearProjectMissing, "linear_project is not set");
            }
            tracker(config, destination, facts, &mut gaps);
        }
        DestinationKind::McpTool => mcp_tool(config, destination, facts, &mut gaps),
        DestinationKind::Webhook => hook(destination, facts, &mut gaps),
        DestinationKind::Telemetry => match local::telemetry_path(destination) {
            Ok(_) => {}
            Err(PathError::Blank) => gaps.add(Gap::TelemetryPathBlank, "telemetry_path is blank"),
            Err(PathError::Outside) => gaps.add(
                Gap::PathOutsideState,
                "telemetry_path must be relative and stay inside the incident-monitor data directory",
            ),
        },
        DestinationKind::InternalMemory => {
            if local::memory_category(destination).is_none() {
                gaps.add(
                    Gap::MemoryCategoryUnknown,
                    "memory_category must be failure_pattern, recurrence, policy_gap or safety_risk",
                );
            }
        }
    }
    if !destination.kind.has_adapter() {
        let kind = destination.kind.label();
        gaps.add(Gap::AdapterUnavailable, format!("this server cannot deliver to {kind} destinations"));
    }
    let ready = gaps.codes.is_empty();
    DestinationReadiness {
        destination_id: destination.destination_id.clone(),
        kind: destination.kind,
        enabled: destination.enabled,
        ready,
        publish_ready: ready,
        requires_approval: config.require_approval_for_new_issues || destination.require_approval,
        missing: gaps.texts,
        missing_codes: gaps.codes,
        detail: match facts.circuit {
            Circuit::Closed => None,
            Circuit::HalfOpen => Some("The last attempts failed; one delivery is being tried".to_owned()),
            Circuit::Open => Some("The last attempts failed; deliveries wait".to_owned()),
        },
        circuit: facts.circuit,
        circuit_open_until_ms: facts.circuit_open_until_ms,
    }
}

#[derive(Default)]
struct Gaps {
    texts: Vec<String>,
    codes: Vec<Gap>,
}

impl Gaps {
    fn add(&mut self, code: Gap, text: impl Into<String>) {
        self.codes.push(code);
        self.texts.push(text.into());
    }
}

fn own_or_global<'a>(config: &'a Config, destination: &'a Destination) -> Option<&'a str> {
    non_blank(destination.mcp_server.as_deref()).or(non_blank(config.mcp_server.as_deref()))
}

fn repository(config: &Config, destination: &Destination, gaps: &mut Gaps) {
    match non_blank(destination.repo.as_deref()).or(non_blank(config.repo.as_deref())) {
        None => gaps.add(Gap::RepoMissing, "repo is not set"),
        Some(repo) if valid_repo(repo) => {}
        Some(_) => gaps.add(Gap::RepoInvalid, "repo must be owner/repo"),
    }
}

/// The way to a tracker: a token for its API, or an MCP server.
fn tracker(config: &Config, destination: &Destination, facts: &Facts<'_>, gaps: &mut Gaps) {
    match tracker::Settings::of(config, destination) {
        Ok(settings) => match &settings.via {
            Via::Api(api) => {
                // Which variable it is stands in the settings; answers about readiness go further than those.
                if !(facts.secret_available)(&api.token.to_string()) {
                    gaps.add(Gap::TokenUnavailable, "the token that token_ref names is not set or blank");
                }
            }
            Via::Mcp(name) => {
                server(Some(name), facts, gaps);
                if (facts.server)(name) == Server::Connected {
                    for capability in Capability::required(destination.kind) {
                        if !(facts.capable)(name, *capability) {
                            let text = format!("MCP server `{name}` has no tool for {capability}");
                            gaps.add(Gap::CapabilityMissing, text);
                        }
                    }
                }
            }
        },
        Err(Problem::NoTransport) => server(None, facts, gaps),
        Err(Problem::Setting(key)) => gaps.add(Gap::SettingInvalid, format!("config.{key} cannot be read")),
        Err(Problem::TokenMissing) => gaps.add(Gap::TokenRefMissing, "config.token_ref is not set"),
        Err(Problem::TokenMalformed) => {
            gaps.add(Gap::TokenRefInvalid, "config.token_ref must be env:NAME with NAME made of A-Z, 0-9 and _");
        }
        Err(Problem::Base(problem)) => {
            let why = url_gap(problem).1.replace("webhook_url", "config.api_base");
            gaps.add(Gap::ApiBaseInvalid, why);
        }
    }
}

fn server(name: Option<&str>, facts: &Facts<'_>, gaps: &mut Gaps) {
    let Some(name) = name else {
        return gaps.add(Gap::McpServerMissing, "mcp_server is not set");
    };
    match (facts.server)(name) {
        Server::Unregistered => gaps.add(Gap::McpServerUnregistered, format!("MCP server `{name}` is not registered")),
        Server::Disabled => gaps.add(Gap::McpServerDisabled, format!("MCP server `{name}` is disabled")),
        Server::Disconnected => gaps.add(Gap::McpServerDisconnected, format!("MCP server `{name}` is not connected")),
        Server::Connected => {}
    }
}

fn mcp_tool(config: &Config, destination: &Destination, facts: &Facts<'_>, gaps: &mut Gaps) {
    // Only a real `true` counts: a string must not switch on an external side effect.
    let allowed =
        ["allow_publish", "allow_mcp_publish"].iter().any(|key| destination.setting(&[key]) == Some(&true.into()));
    if !allowed {
        gaps.add(Gap::McpPublishNotAllowed, "config.allow_publish is not true");
    }
    let target = mcp_target(config, destination);
    if target.tool.is_none() {
        gaps.add(Gap::McpToolMissing, "mcp_tool is not set");
    }
    match mapping::read(destination) {
        Ok(_) => {}
        Err(MappingError::Missing) => gaps.add(Gap::McpPayloadMissing, "config.payload must be a non-empty object"),
        Err(MappingError::Unknown(placeholder)) => {
            gaps.add(Gap::McpPayloadInvalid, format!("config.payload uses `{placeholder}`, which is no placeholder"));
        }
        Err(MappingError::TooLarge | MappingError::TooDeep) => {
            gaps.add(Gap::McpPayloadInvalid, "config.payload is too large or nested too deeply");
        }
    }
    server(target.server, facts, gaps);
    let (Some(name), Some(tool)) = (target.server, target.tool) else { return };
    if (facts.server)(name) != Server::Connected {
        return;
    }
    match (facts.tool)(name, tool) {
        Tool::Callable => {}
        Tool::Unknown => gaps.add(Gap::McpToolUnknown, format!("MCP server `{name}` offers no tool `{tool}`")),
        Tool::NotAllowed => {
            gaps.add(Gap::McpToolNotAllowed, format!("`{tool}` is not in the allowlist of MCP server `{name}`"));
        }
        Tool::Changed => {
            let text = format!("the description or schema of `{tool}` changed; an operator must accept it");
            gaps.add(Gap::McpToolChanged, text);
        }
    }
}

/// Which tool of which server an `mcp_tool` destination calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct McpTarget<'a> {
    pub server: Option<&'a str>,
    pub tool: Option<&'a str>,
}

/// The destination's own server, else the global one, else a setting; and its tool likewise.
pub fn mcp_target<'a>(config: &'a Config, destination: &'a Destination) -> McpTarget<'a> {
    McpTarget {
        server: own_or_global(config, destination)
            .or_else(|| non_blank(destination.setting_text(&["mcp_server", "server"]))),
        tool: non_blank(destination.mcp_tool.as_deref())
            .or_else(|| non_blank(destination.setting_text(&["mcp_tool", "tool", "tool_name"]))),
    }
}

fn hook(destination: &Destination, facts: &Facts<'_>, gaps: &mut Gaps) {
    match webhook::Settings::of(destination) {
        // Without readable settings the URL cannot be judged.
        Err(error) => gaps.add(Gap::SettingInvalid, format!("config.{} cannot be read", error.key)),
        Ok(settings) => {
            if let Err(problem) = webhook::Target::of(destination, &settings) {
                let (code, text) = url_gap(problem);
                gaps.add(code, text);
            }
        }
    }
    match secret::signing(destination, facts.now_ms) {
        Err(SecretRefError::Missing) => gaps.add(Gap::SecretRefMissing, "webhook_secret_ref is not set"),
        Err(SecretRefError::Malformed(_)) => {
            gaps.add(Gap::SecretRefInvalid, "webhook_secret_ref must be env:NAME with NAME made of A-Z, 0-9 and _");
        }
        // The current secret is needed. An older one that is gone only ends its rotation early.
        Ok(refs) => {
            let current = refs.first().map(|rotating| rotating.reference.to_string()).unwrap_or_default();
            if !(facts.secret_available)(&current) {
                gaps.add(Gap::SecretUnavailable, "the secret that webhook_secret_ref names is not set or blank");
            }
        }
    }
}

fn url_gap(problem: webhook::UrlProblem) -> (Gap, &'static str) {
    use webhook::UrlProblem as P;
    match problem {
        P::Missing => (Gap::UrlMissing, "webhook_url is not set"),
        P::Invalid => (Gap::UrlInvalid, "webhook_url is not a URL"),
        P::Scheme => (Gap::UrlScheme, "webhook_url must be https"),
        P::Userinfo => (Gap::UrlUserinfo, "webhook_url must not hold a user or password"),
        P::HostNotAllowed => (Gap::HostNotAllowed, "the host of webhook_url is not in config.allowed_hosts"),
        P::PrivateAddress => (Gap::PrivateAddress, "webhook_url points to a private or internal address"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config() -> Config {
        Config { enabled: true, repo: Some("acme/app".into()), mcp_server: Some("gh".into()), ..Config::default() }
    }

    fn codes(destination: Value) -> Vec<&'static str> {
        let mut body = json!({"destination_id": "d", "name": "D"});
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), destination) {
            body.extend(more);
        }
        let destination: Destination = serde_json::from_value(body).unwrap_or_default();
        let facts = Facts {
            server: &|name| match name {
                "gh" => Server::Connected,
                "off" => Server::Disconnected,
                "disabled" => Server::Disabled,
                _ => Server::Unregistered,
            },
            tool: &|_, tool| match tool {
                "t" => Tool::Callable,
                "changed" => Tool::Changed,
                "forbidden" => Tool::NotAllowed,
                _ => Tool::Unknown,
            },
            capable: &|_, capability| capability != Capability::LinearCreateIssue,
            ..Facts::new(1_000, &|reference| reference == "env:SET")
        };
        let row = readiness(&config(), &destination, &facts);
        assert_eq!(row.missing.len(), row.missing_codes.len());
        assert_eq!(row.ready, row.missing.is_empty());
        assert_eq!(row.ready, row.publish_ready);
        row.missing_codes.into_iter().map(Gap::word).collect()
    }

    #[test]
    fn each_kind_names_what_it_lacks() {
        let hook = |more: Value| {
            let mut body = json!({"kind": "webhook", "webhook_url": "https://hooks.example.com/", "webhook_secret_ref": "env:SET"});
            if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
                body.extend(more);
            }
            body
        };
        let tool = |name: &str, more: Value| {
            let settings = json!({"allow_publish": true, "payload": {"a": 1}});
            let mut body = json!({"kind": "mcp_tool", "mcp_tool": name, "config": settings});
            if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
                body.extend(more);
            }
            body
        };
        let none: Vec<&str> = vec![];
        for (destination, expected) in [
            (hook(json!({})), none.clone()),
            (hook(json!({"webhook_url": null})), vec!["url_missing"]),
            (hook(json!({"webhook_url": "http://hooks.example.com"})), vec!["url_scheme"]),
            (hook(json!({"webhook_url": "https://10.0.0.1"})), vec!["private_address"]),
            (hook(json!({"webhook_url": "https://u:p@x.com"})), vec!["url_userinfo"]),
            (hook(json!({"config": {"allowed_hosts": ["other.com"]}})), vec!["host_not_allowed"]),
            (hook(json!({"config": {"allowed_hosts": "other.com"}})), vec!["setting_invalid"]),
            (hook(json!({"webhook_secret_ref": "env:UNSET"})), vec!["secret_unavailable"]),
            (hook(json!({"webhook_secret_ref": "lower"})), vec!["secret_ref_invalid"]),
            (hook(json!({"webhook_secret_ref": null})), vec!["secret_ref_missing"]),
            (hook(json!({"config": {"webhook_secret_refs": ["env:UNSET"]}})), none.clone()),
            (hook(json!({"enabled": false})), vec!["destination_disabled"]),
            (json!({"kind": "telemetry"}), none.clone()),
            (json!({"kind": "telemetry", "telemetry_path": ""}), vec!["telemetry_path_blank"]),
            (json!({"kind": "telemetry", "telemetry_path": "../x"}), vec!["path_outside_state"]),
            (json!({"kind": "internal_memory"}), none.clone()),
            (json!({"kind": "internal_memory", "memory_category": "x"}), vec!["memory_category_unknown"]),
            (json!({"kind": "github_issue"}), none.clone()),
            (json!({"kind": "github_issue", "config": {"token_ref": "env:SET"}}), none.clone()),
            (json!({"kind": "github_issue", "config": {"token_ref": "env:UNSET"}}), vec!["token_unavailable"]),
            (json!({"kind": "github_issue", "config": {"token_ref": "x"}}), vec!["token_ref_invalid"]),
            (json!({"kind": "github_issue", "config": {"transport": "api"}}), vec!["token_ref_missing"]),
            (
                json!({"kind": "github_issue", "config": {"token_ref": "SET", "api_base": "https://10.0.0.1/"}}),
                vec!["api_base_invalid"],
            ),
            (json!({"repo": "nope", "mcp_server": "off"}), vec!["repo_invalid", "mcp_server_disconnected"]),
            (
                json!({"kind": "linear_issue", "mcp_server": "none"}),
                vec!["linear_team_missing", "linear_project_missing", "mcp_server_unregistered"],
            ),
            (
                json!({"kind": "linear_issue", "linear_team": "ENG", "linear_project": "Core"}),
                vec!["capability_missing"],
            ),
            (
                json!({"kind": "mcp_tool", "config": {"allow_publish": "true"}}),
                vec!["mcp_publish_not_allowed", "mcp_tool_missing", "mcp_payload_missing"],
            ),
            (tool("t", json!({})), none.clone()),
            (tool("changed", json!({})), vec!["mcp_tool_changed"]),
            (tool("forbidden", json!({})), vec!["mcp_tool_not_allowed"]),
            (tool("other", json!({})), vec!["mcp_tool_unknown"]),
            (tool("t", json!({"mcp_server": "off"})), vec!["mcp_server_disconnected"]),
            (tool("t", json!({"mcp_server": "disabled"})), vec!["mcp_server_disabled"]),
            (
                tool("t", json!({"config": {"allow_mcp_publish": true, "arguments": {"a": "$draft.none"}}})),
                vec!["mcp_payload_invalid"],
            ),
        ] {
            assert_eq!(codes(destination.clone()), expected, "{destination}");
        }
    }

    #[test]
    fn the_common_entries_come_first_with_their_exact_texts() {
        let config = Config { paused: true, require_approval_for_new_issues: true, ..Config::default() };
        let destination = Destination { kind: DestinationKind::Telemetry, enabled: false, ..Destination::default() };
        let facts = Facts { gone: true, ..Facts::new(0, &|_| true) };
        let row = readiness(&config, &destination, &facts);
        assert_eq!(
            row.missing[..3],
            ["Incident Monitor is disabled", "Incident Monitor is paused", "Destination is disabled"]
        );
        assert_eq!(row.missing_codes[3], Gap::ReceiverGone);
        assert!(row.requires_approval);
    }

    #[test]
    fn an_open_circuit_delays_and_does_not_refuse() {
        let destination = Destination { kind: DestinationKind::Telemetry, enabled: true, ..Destination::default() };
        let facts = Facts { circuit: Circuit::Open, circuit_open_until_ms: Some(9), ..Facts::new(0, &|_| true) };
        let row = readiness(&config(), &destination, &facts);
        assert!(row.ready && row.detail.is_some());
        assert_eq!(serde_json::to_value(&row).unwrap_or_default()["circuit"], "open");
    }
}
