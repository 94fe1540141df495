//! Where a draft may be published, and whether a destination can take it now.
//!
//! [`effective`] is the configured list, or the one destination that older configurations imply. [`readiness`] judges a
//! destination from its settings and [`Facts`]; nothing here resolves a name, reads a secret or opens a connection.
//! [`webhook`] and [`address`] hold the egress rules that readiness and the sender share.

pub mod address;
mod kind;
pub mod local;
mod ready;
pub mod secret;
pub mod webhook;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use kind::DestinationKind;
pub use ready::{Circuit, DestinationReadiness, Facts, Gap, McpTarget, Server, Tool, mcp_target, readiness};

use crate::{config::Config, receipt::LEGACY_DESTINATION};

/// A publish target as configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Destination {
    pub destination_id: String,
    pub name: String,
    #[serde(default)]
    pub kind: DestinationKind,
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default)]
    pub require_approval: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_server: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear_team: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear_project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// A reference such as `env:NAME`, never the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_secret_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_tool: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_category: Option<String>,
    #[serde(default)]
    pub route_tags: Vec<String>,
    /// Settings of the kind. Keys are kept as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<Map<String, Value>>,
}

fn yes() -> bool {
    true
}

impl Destination {
    /// The first of these keys that the free-form settings hold.
    pub(crate) fn setting(&self, keys: &[&str]) -> Option<&Value> {
        let config = self.config.as_ref()?;
        keys.iter().find_map(|key| config.get(*key).filter(|value| !value.is_null()))
    }

    pub(crate) fn setting_text(&self, keys: &[&str]) -> Option<&str> {
        self.setting(keys).and_then(Value::as_str)
    }
}

/// The destinations that exist: the configured ones, else the one that GitHub-only configurations imply.
pub fn effective(config: &Config) -> Vec<Destination> {
    if config.destinations.is_empty() { vec![legacy(config)] } else { config.destinations.clone() }
}

/// The effective destination with this id.
pub fn find(config: &Config, destination_id: &str) -> Option<Destination> {
    if config.destinations.is_empty() {
        return (destination_id == LEGACY_DESTINATION).then(|| legacy(config));
    }
    config.destinations.iter().find(|destination| destination.destination_id == destination_id).cloned()
}

/// Whether an effective destination has this id, without building the list.
pub fn exists(config: &Config, destination_id: &str) -> bool {
    if config.destinations.is_empty() {
        return destination_id == LEGACY_DESTINATION;
    }
    config.destinations.iter().any(|destination| destination.destination_id == destination_id)
}

/// What the router needs of an effective destination: whether its own flag asks for approval. The implied
/// destination's flag is a copy of the global switch, which is asked on its own, so it does not count.
pub fn own_approval_flag(config: &Config, destination_id: &str) -> bool {
    config.destinations.iter().any(|d| d.destination_id == destination_id && d.require_approval)
}

fn legacy(config: &Config) -> Destination {
    Destination {
        destination_id: LEGACY_DESTINATION.to_owned(),
        name: "GitHub issues".to_owned(),
        kind: DestinationKind::GithubIssue,
        enabled: config.enabled,
        require_approval: config.require_approval_for_new_issues,
        repo: config.repo.clone(),
        mcp_server: config.mcp_server.clone(),
        route_tags: vec!["legacy_github".to_owned()],
        ..Destination::default()
    }
}
