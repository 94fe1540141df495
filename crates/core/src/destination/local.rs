//! The two local kinds: where telemetry is written, and the categories of memories.

use super::Destination;
use crate::{text::non_blank, wire::wire_enum};

/// Where telemetry goes unless the destination says otherwise.
pub const TELEMETRY_PATH: &str = "incident-monitor/telemetry";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    Blank,
    /// Absolute, or climbing out with `..`.
    Outside,
}

/// The telemetry path as configured; what receipts name.
pub fn telemetry_configured(destination: &Destination) -> &str {
    destination
        .telemetry_path
        .as_deref()
        .or_else(|| destination.setting_text(&["telemetry_path", "path"]))
        .unwrap_or(TELEMETRY_PATH)
        .trim()
}

/// The file to append to, relative to the incident-monitor data directory. A leading `incident-monitor/` is dropped.
pub fn telemetry_path(destination: &Destination) -> Result<String, PathError> {
    let configured = telemetry_configured(destination);
    if configured.is_empty() {
        return Err(PathError::Blank);
    }
    let drive = configured.as_bytes().get(1) == Some(&b':');
    if configured.starts_with(['/', '\\', '~']) || drive || configured.contains(['\0', '\\']) {
        return Err(PathError::Outside);
    }
    let mut parts: Vec<&str> = configured.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(PathError::Outside);
    }
    if parts.len() > 1 && parts[0] == "incident-monitor" {
        parts.remove(0);
    }
    if parts.is_empty() { Err(PathError::Blank) } else { Ok(parts.join("/")) }
}

/// The target that keys and receipts of a telemetry destination name.
pub fn telemetry_target(destination: &Destination) -> String {
    format!("telemetry:{}", telemetry_configured(destination))
}

wire_enum! {
    /// What a memory is filed under.
    #[derive(Default)]
    pub enum MemoryCategory {
        #[default]
        FailurePattern = "failure_pattern",
        Recurrence = "recurrence",
        PolicyGap = "policy_gap",
        SafetyRisk = "safety_risk",
    }
}

/// The memory category: the default when blank, `None` when it is none of ours.
pub fn memory_category(destination: &Destination) -> Option<MemoryCategory> {
    let own = destination.memory_category.as_deref();
    let Some(word) = non_blank(own.or_else(|| destination.setting_text(&["memory_category", "category"]))) else {
        return Some(MemoryCategory::default());
    };
    MemoryCategory::from_word(&word.to_lowercase().replace(['-', ' '], "_"))
}

/// The target that keys and receipts of a memory destination name.
pub fn memory_target(category: MemoryCategory) -> String {
    format!("memory:{category}")
}
