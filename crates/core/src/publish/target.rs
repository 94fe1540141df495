//! What a delivery aims at: the target that keys and receipts name, and a digest of the configuration behind it.

use super::{digest::h, payload::Profile};
use crate::{
    config::Config,
    destination::{
        self, Destination, DestinationKind,
        webhook::{Settings, Target},
    },
    mcp::names,
    text::truncate,
    triage::MemoryCategory,
};

/// The target of a destination, without anything secret: `owner/repo`, `team/project`, a URL without its query,
/// `telemetry:<path>`, `memory:<category>` or `mcp:<server>/<tool>`.
pub fn target_ref(config: &Config, destination: &Destination) -> String {
    let or_blank = |value: &Option<String>| value.clone().unwrap_or_default();
    match destination.kind {
        DestinationKind::GithubIssue => destination.repo.clone().or_else(|| config.repo.clone()).unwrap_or_default(),
        DestinationKind::LinearIssue => {
            format!("{}/{}", or_blank(&destination.linear_team), or_blank(&destination.linear_project))
        }
        // A URL that breaks the policy has no target; such a destination is not ready either.
        DestinationKind::Webhook => Settings::of(destination)
            .ok()
            .and_then(|settings| Target::of(destination, &settings).ok())
            .map(|target| target.target_ref)
            .unwrap_or_default(),
        DestinationKind::Telemetry => destination::local::telemetry_target(destination),
        DestinationKind::InternalMemory => {
            format!("memory:{}", memory_category(destination).map_or("unknown", MemoryCategory::word))
        }
        DestinationKind::McpTool => {
            let target = destination::mcp_target(config, destination);
            let (server, tool) = (target.server.unwrap_or_default(), target.tool.unwrap_or_default());
            truncate(&format!("mcp:{server}/{}", mcp_tool_ref(server, tool)), 500)
        }
    }
}

/// A tool in a target: always namespaced, however it is configured, so that both spellings have one key.
fn mcp_tool_ref(server: &str, tool: &str) -> String {
    if tool.to_ascii_lowercase().starts_with("mcp.") { tool.to_owned() } else { names::namespaced(server, tool) }
}

/// Changes with anything that decides where and how a delivery is sent: URL, settings, secret references.
pub fn config_digest(destination: &Destination) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let settings = destination.config.as_ref().map(|c| serde_json::Value::Object(c.clone()).to_string());
    h([
        "incident_monitor_destination_v1",
        destination.kind.label(),
        &text(&destination.repo),
        &text(&destination.mcp_server),
        &text(&destination.linear_team),
        &text(&destination.linear_project),
        &text(&destination.webhook_url),
        &text(&destination.webhook_secret_ref),
        &text(&destination.telemetry_path),
        &text(&destination.mcp_tool),
        &text(&destination.memory_category),
        settings.as_deref().unwrap_or_default(),
    ])
}

/// The configured number of attempts.
pub fn configured_attempts(destination: &Destination) -> Option<u64> {
    Settings::of(destination).ok().map(|settings| settings.max_attempts.into())
}

/// The category under which a memory destination files; `None` when the configured word is none of ours.
pub fn memory_category(destination: &Destination) -> Option<MemoryCategory> {
    let own = destination.memory_category.as_deref();
    MemoryCategory::configured(own.or_else(|| destination.setting_text(&["memory_category", "category"])))
}

/// How much a webhook payload tells: `config.payload_profile`, `full` unless it says `thin`.
pub fn payload_profile(destination: &Destination) -> Profile {
    destination.setting_text(&["payload_profile"]).and_then(Profile::from_word).unwrap_or(Profile::Full)
}
