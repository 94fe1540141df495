//! Whether a destination can take a publish now: what is missing, as texts and as stable codes in the same order.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Destination, DestinationKind};
use crate::{config::Config, wire::wire_enum};

wire_enum! {
    /// Something that a destination lacks.
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
        McpServerDisconnected = "mcp_server_disconnected",
        LinearTeamMissing = "linear_team_missing",
        LinearProjectMissing = "linear_project_missing",
        McpPublishNotAllowed = "mcp_publish_not_allowed",
        McpToolMissing = "mcp_tool_missing",
        McpPayloadMissing = "mcp_payload_missing",
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
    Disconnected,
    Connected,
}

/// What readiness needs from the world, looked up by the caller.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub now_ms: u64,
    /// Whether a secret reference resolves to a non-blank value.
    pub secret_available: &'a dyn Fn(&str) -> bool,
    pub server: &'a dyn Fn(&str) -> Server,
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
        gaps.add(Gap::ReceiverGone, "The receiver answered 410 Gone; save the destination again to re-enable it");
    }
    let ready = gaps.codes.is_empty();
    let detail = match facts.circuit {
        Circuit::Closed => None,
        Circuit::HalfOpen => Some("The last attempts failed; one delivery is being tried".to_owned()),
        Circuit::Open => Some("The last attempts failed; deliveries wait".to_owned()),
    };
    DestinationReadiness {
        destination_id: destination.destination_id.clone(),
        kind: destination.kind,
        enabled: destination.enabled,
        ready,
        publish_ready: ready,
        requires_approval: config.require_approval_for_new_issues || destination.require_approval,
        missing: gaps.texts,
        missing_codes: gaps.codes,
        detail,
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
