//! The inventory of an estate that has one of everything, with a canary behind each omitted field.

use serde_json::{Value, json};
use tandem_core::{config, tenant::TenantContext};

use super::*;

/// An estate from a configuration.
pub(crate) fn estate(body: Value) -> Estate {
    let mut estate = Estate::empty(TenantContext::local(), 1_000_000);
    estate.config = config::read(body).unwrap_or_else(|error| panic!("{error:?}"));
    estate.sources = tandem_core::source::readiness(&estate.config, &[], estate.now_ms);
    estate
}

#[test]
fn without_configured_destinations_there_is_the_implied_one() {
    let found =
        inventory(&estate(json!({"enabled": true, "require_approval_for_new_issues": true})), &Viewer::Reviewer);
    let rows = &found.inventory.destinations;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].destination_id.as_str(), rows[0].enabled, rows[0].require_approval),
        ("legacy-github", true, true)
    );
    let ids: Vec<&str> = found.inventory.approval_rules.iter().map(|rule| rule.rule_id.as_str()).collect();
    assert_eq!(ids, ["incident_monitor.high_risk", "incident_monitor.new_issues", "destination:legacy-github"]);
}

#[test]
fn values_stay_out() {
    let body = json!({
        "destinations": [{
            "destination_id": "hook", "name": "Hook", "kind": "webhook", "webhook_url": "https://canary-url.example/x",
            "webhook_secret_ref": "env:CANARY_REF", "config": {"b": "canary-value", "allow_publish": true, "a": 1},
        }],
        "monitored_projects": [{
            "project_id": "p", "name": "P", "repo": "a/b", "workspace_root": "/srv",
            "data_readiness": {"allowed_use": "canary-use", "quality_notes": "canary-notes", "legal_basis": "canary-basis",
                "authorization_marker": "canary-marker"},
            "log_sources": [{"source_id": "s", "path": "a.log"}],
        }],
    });
    let found = serde_json::to_value(inventory(&estate(body), &Viewer::Reviewer)).unwrap_or_default();
    let text = found.to_string().to_lowercase();
    assert!(!text.contains("canary"), "{text}");
    let inventory = &found["inventory"];
    assert_eq!(inventory["destinations"][0]["custom_config_keys"], json!(["a", "allow_publish", "b"]));
    assert_eq!(inventory["destinations"][0]["allow_publish"], true);
    assert_eq!(inventory["monitored_sources"][0]["source_id"], Value::Null);
    assert_eq!(inventory["monitored_sources"][0]["log_source_count"], 1);
    assert_eq!(inventory["monitored_sources"][1]["source_id"], "s");
    assert_eq!(inventory["monitored_sources"][1]["path"], "a.log");
    assert_eq!(inventory["monitored_sources"][1]["data_readiness"]["legal_basis_present"], true);
    assert_eq!(found["counts"]["monitored_sources"], 2);
}

#[test]
fn another_tenant_sees_its_own() {
    let body = json!({
        "destinations": [{"destination_id": "t", "name": "T", "kind": "telemetry"}],
        "routes": [
            {"route_id": "all", "name": "a"},
            {"route_id": "mine", "name": "m", "match_tenant_ids": ["acme"]},
            {"route_id": "theirs", "name": "t", "match_tenant_ids": ["umbrella"]},
        ],
        "monitored_projects": [
            {"project_id": "mine", "name": "m", "repo": "a/b", "workspace_root": "/srv", "tenant_id": "acme"},
            {"project_id": "theirs", "name": "t", "repo": "a/b", "workspace_root": "/srv", "tenant_id": "umbrella"},
        ],
    });
    let mut estate = estate(body);
    let ids = |estate: &Estate| {
        let found = inventory(estate, &Viewer::Reviewer).inventory;
        let routes: Vec<String> = found.routes.into_iter().map(|row| row.route_id).collect();
        let sources: Vec<String> = found.monitored_sources.into_iter().map(|row| row.project_id).collect();
        (routes.join(" "), sources.join(" "))
    };
    assert_eq!(ids(&estate), ("all mine theirs".into(), "mine theirs".into()));
    estate.tenant = TenantContext::explicit("acme", "main");
    assert_eq!(ids(&estate), ("all mine".into(), "mine".into()));
}
