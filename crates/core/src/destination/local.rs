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
    #[schema(as = DestinationMemoryCategory)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{destination::DestinationKind, publish::digest};

    #[test]
    fn telemetry_stays_inside_the_data_directory() {
        for (path, expected) in [
            (None, Ok("telemetry")),
            (Some("incident-monitor/telemetry"), Ok("telemetry")),
            (Some("out/./x.jsonl"), Ok("out/x.jsonl")),
            (Some("incident-monitor"), Ok("incident-monitor")),
            (Some("a..b"), Ok("a..b")),
            (Some(""), Err(PathError::Blank)),
            (Some(" "), Err(PathError::Blank)),
            (Some("./"), Err(PathError::Blank)),
            (Some("/var/log/x"), Err(PathError::Outside)),
            (Some("../x"), Err(PathError::Outside)),
            (Some("incident-monitor/../../x"), Err(PathError::Outside)),
            (Some("a/.."), Err(PathError::Outside)),
            (Some("..\\x"), Err(PathError::Outside)),
            (Some("C:\\x"), Err(PathError::Outside)),
            (Some("~/x"), Err(PathError::Outside)),
            (Some("a\0b"), Err(PathError::Outside)),
        ] {
            let destination = Destination { telemetry_path: path.map(str::to_owned), ..Destination::default() };
            assert_eq!(telemetry_path(&destination).as_deref(), expected.as_ref().map(|s| *s), "{path:?}");
        }
    }

    #[test]
    fn the_default_target_is_the_one_that_record_ids_are_made_of() {
        let digest_of = "32358ffdb077a6df9349955bb176112080b6ecba83334dc9a7a095b173cf0900";
        let target = telemetry_target(&Destination::default());
        assert_eq!(
            digest::record_id("telemetry-1", DestinationKind::Telemetry, &target, "acme/platform", "fp-1", digest_of),
            "bmtel_7cfc0688a45dd51397cab0e1"
        );
    }

    #[test]
    fn categories() {
        for (word, expected) in [
            (None, Some(MemoryCategory::FailurePattern)),
            (Some(" "), Some(MemoryCategory::FailurePattern)),
            (Some("Policy-Gap"), Some(MemoryCategory::PolicyGap)),
            (Some("safety risk"), Some(MemoryCategory::SafetyRisk)),
            (Some("RECURRENCE"), Some(MemoryCategory::Recurrence)),
            (Some("gossip"), None),
        ] {
            let destination = Destination { memory_category: word.map(str::to_owned), ..Destination::default() };
            assert_eq!(memory_category(&destination), expected, "{word:?}");
        }
    }
}
