//! What an install starts with before anyone saves a configuration.

use serde_json::json;

use super::{Config, ProviderPreference};

const PREFIXES: [&str; 3] = ["TANDEM_INCIDENT_MONITOR_", "TANDEM_FAILURE_REPORTER_", "TANDEM_BUG_MONITOR_"];

/// Reads the environment through `lookup`. A value that cannot be read counts as unset.
pub fn initial_from_env(lookup: impl Fn(&str) -> Option<String>) -> Config {
    let text = |name: &str| {
        PREFIXES.iter().find_map(|prefix| {
            let value = lookup(&format!("{prefix}{name}"))?;
            let value = value.trim();
            (!value.is_empty()).then(|| value.to_owned())
        })
    };
    let flag = |name: &str, default: bool| text(name).and_then(|value| truth(&value)).unwrap_or(default);
    let base = Config::default();
    let model_policy = match (text("PROVIDER_ID"), text("MODEL_ID")) {
        (Some(provider_id), Some(model_id)) => {
            let mut policy = serde_json::Map::new();
            policy.insert("default_model".into(), json!({"provider_id": provider_id, "model_id": model_id}));
            Some(policy)
        }
        (Some(_), None) | (None, Some(_)) | (None, None) => None,
    };
    Config {
        enabled: flag("ENABLED", base.enabled),
        paused: flag("PAUSED", base.paused),
        workspace_root: text("WORKSPACE_ROOT"),
        repo: text("REPO").filter(|repo| crate::signal::accept::valid_repo(repo)),
        mcp_server: text("MCP_SERVER"),
        provider_preference: text("PROVIDER_PREFERENCE")
            .and_then(|word| ProviderPreference::from_word(&word.to_ascii_lowercase()))
            .unwrap_or_default(),
        model_policy,
        auto_create_new_issues: flag("AUTO_CREATE_NEW_ISSUES", base.auto_create_new_issues),
        require_approval_for_new_issues: flag("REQUIRE_APPROVAL_FOR_NEW_ISSUES", base.require_approval_for_new_issues),
        auto_comment_on_matched_open_issues: flag(
            "AUTO_COMMENT_ON_MATCHED_OPEN_ISSUES",
            base.auto_comment_on_matched_open_issues,
        ),
        triage_timeout_ms: text("TRIAGE_TIMEOUT_MS").and_then(|ms| ms.parse().ok()).or(base.triage_timeout_ms),
        ..base
    }
}

fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)]) -> Config {
        initial_from_env(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        assert_eq!(with(&[]), Config::default());
    }

    #[test]
    fn the_newest_prefix_wins_and_unreadable_values_count_as_unset() {
        let config = with(&[
            ("TANDEM_BUG_MONITOR_ENABLED", "on"),
            ("TANDEM_FAILURE_REPORTER_REPO", "old/repo"),
            ("TANDEM_INCIDENT_MONITOR_REPO", "acme/app"),
            ("TANDEM_INCIDENT_MONITOR_PAUSED", "perhaps"),
            ("TANDEM_INCIDENT_MONITOR_AUTO_CREATE_NEW_ISSUES", "No"),
            ("TANDEM_INCIDENT_MONITOR_PROVIDER_PREFERENCE", "arcade"),
            ("TANDEM_INCIDENT_MONITOR_PROVIDER_ID", "p"),
            ("TANDEM_INCIDENT_MONITOR_MODEL_ID", "m"),
            ("TANDEM_INCIDENT_MONITOR_TRIAGE_TIMEOUT_MS", "0"),
        ]);
        assert!(config.enabled && !config.paused && !config.auto_create_new_issues);
        assert_eq!(config.repo.as_deref(), Some("acme/app"));
        assert_eq!(config.provider_preference, ProviderPreference::Arcade);
        assert_eq!(config.triage_timeout_ms, Some(0));
        let policy = serde_json::to_value(config.model_policy).unwrap_or_default();
        assert_eq!(policy["default_model"]["model_id"], "m");
    }
}
