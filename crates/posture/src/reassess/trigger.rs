//! Why a scope is assessed again, and which changes of a configuration are reasons.

use std::collections::BTreeSet;

use tandem_core::{config::Config, wire_enum};

wire_enum! {
    /// Why a scope is assessed again.
    #[schema(as = ReassessmentReason)]
    pub enum Trigger {
        Scheduled = "scheduled",
        Manual = "manual",
        DestinationOrRouteChange = "destination_or_route_change",
        MonitoredSourceChange = "monitored_source_change",
        TenantBoundaryChange = "tenant_boundary_change",
        ModelPolicyChange = "model_policy_change",
        McpInventoryChange = "mcp_inventory_change",
        ApprovalPolicyChange = "approval_policy_change",
        WorkflowAuthorityChange = "workflow_authority_change",
        RecurringIncidentThreshold = "recurring_incident_threshold",
        ComplianceMappingChange = "compliance_mapping_change",
    }
}

/// One change that is a reason. `detail` names fields and ids, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub trigger: Trigger,
    pub detail: String,
}

impl Change {
    pub fn new(trigger: Trigger, detail: impl Into<String>) -> Self {
        Self { trigger, detail: detail.into() }
    }
}

/// What a save of the configuration changed that an assessment depends on.
pub fn of_config(old: &Config, new: &Config) -> Vec<Change> {
    let safety = old.safety_defaults != new.safety_defaults;
    let approval = old.require_approval_for_new_issues != new.require_approval_for_new_issues;
    let fields = [
        (Trigger::DestinationOrRouteChange, "destinations", old.destinations != new.destinations),
        (Trigger::DestinationOrRouteChange, "routes", old.routes != new.routes),
        (
            Trigger::DestinationOrRouteChange,
            "default_destination_ids",
            old.default_destination_ids != new.default_destination_ids,
        ),
        (Trigger::MonitoredSourceChange, "monitored_projects", old.monitored_projects != new.monitored_projects),
        (Trigger::TenantBoundaryChange, "tenant_id and workspace_id of projects", bindings(old) != bindings(new)),
        (Trigger::ModelPolicyChange, "model_policy", old.model_policy != new.model_policy),
        (Trigger::McpInventoryChange, "mcp_server", old.mcp_server != new.mcp_server),
        (Trigger::ApprovalPolicyChange, "safety_defaults", safety),
        (Trigger::ApprovalPolicyChange, "require_approval_for_new_issues", approval),
    ];
    let mut changes: Vec<Change> = Vec::new();
    for (trigger, field, _) in fields.into_iter().filter(|(_, _, differs)| *differs) {
        match changes.iter_mut().find(|change| change.trigger == trigger) {
            Some(change) => change.detail = format!("{}, {field}", change.detail),
            None => changes.push(Change::new(trigger, field)),
        }
    }
    changes
}

/// Whose the sources are that are somebody's.
fn bindings(config: &Config) -> BTreeSet<(Option<&str>, Option<&str>)> {
    let mut found = BTreeSet::new();
    for project in &config.monitored_projects {
        found.insert((project.tenant_id.as_deref(), project.workspace_id.as_deref()));
        for source in &project.log_sources {
            let tenant = source.tenant_id.as_deref().or(project.tenant_id.as_deref());
            found.insert((tenant, source.workspace_id.as_deref().or(project.workspace_id.as_deref())));
        }
    }
    found.remove(&(None, None));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tandem_core::config::read;

    use super::*;

    fn config(body: Value) -> Config {
        read(body).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn each_change_has_its_trigger() {
        let project = |more: Value| {
            let mut body = json!({"project_id": "p", "name": "P", "repo": "a/b", "workspace_root": "/srv"});
            body.as_object_mut().into_iter().for_each(|map| map.extend(more.as_object().cloned().unwrap_or_default()));
            json!({ "monitored_projects": [body] })
        };
        let cases = [
            (json!({}), json!({}), ""),
            (json!({}), json!({"enabled": true, "paused": true, "repo": "a/b", "updated_at_ms": 5}), ""),
            (json!({}), json!({"reassessment": {"cadence_ms": 5}}), ""),
            (
                json!({}),
                json!({"routes": [{"route_id": "r", "name": "R"}], "default_destination_ids": ["d"]}),
                "destination_or_route_change=routes, default_destination_ids",
            ),
            (
                json!({}),
                json!({"destinations": [{"destination_id": "d", "name": "D"}]}),
                "destination_or_route_change=destinations",
            ),
            (json!({}), project(json!({})), "monitored_source_change=monitored_projects"),
            (project(json!({})), project(json!({"name": "Q"})), "monitored_source_change=monitored_projects"),
            (
                project(json!({})),
                project(json!({"tenant_id": "acme"})),
                "monitored_source_change=monitored_projects tenant_boundary_change=tenant_id and workspace_id of projects",
            ),
            (json!({}), json!({"model_policy": {"default": "x"}}), "model_policy_change=model_policy"),
            (json!({"mcp_server": "a"}), json!({"mcp_server": "b"}), "mcp_inventory_change=mcp_server"),
            (
                json!({}),
                json!({"safety_defaults": {"redact_secrets": false}, "require_approval_for_new_issues": true}),
                "approval_policy_change=safety_defaults, require_approval_for_new_issues",
            ),
        ];
        for (old, new, expected) in cases {
            let found = of_config(&config(old.clone()), &config(new.clone()));
            let found: Vec<String> =
                found.iter().map(|change| format!("{}={}", change.trigger, change.detail)).collect();
            assert_eq!(found.join(" "), expected, "{old} -> {new}");
        }
    }
}
