//! Automations as they are answered: the kept keys, the identity in each spelling that a client reads, and nothing of
//! the server's upkeep.

use serde_json::{Map, Value, json};

use super::spec::Automation;
use crate::tenant::TenantContext;

/// The whole automation.
pub fn full(automation: &Automation, tenant: &TenantContext) -> Value {
    let mut map = match serde_json::to_value(automation) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    };
    map.remove("_upkeep");
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("tenant_context".into(), json!(tenant));
    }
    for alias in ["automationID", "automationId"] {
        map.insert(alias.into(), automation.automation_id.clone().into());
    }
    Value::Object(map)
}

/// The same with counts in place of agents and nodes.
pub fn summary(automation: &Automation, tenant: &TenantContext) -> Value {
    let mut view = full(automation, tenant);
    if let Some(map) = view.as_object_mut() {
        map.remove("agents");
        map.remove("flow");
        map.insert("agent_count".into(), automation.spec.agents.len().into());
        map.insert("node_count".into(), automation.spec.flow.nodes.len().into());
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::automation::read::tests::automation;

    #[test]
    fn every_spelling_of_the_id_and_nothing_of_the_upkeep() {
        let mut a = automation();
        a.upkeep.created_by_key = Some(("k".into(), "d".into()));
        let (full, summary) = (full(&a, &TenantContext::local()), summary(&a, &TenantContext::local()));
        for view in [&full, &summary] {
            assert!(["automation_id", "automationID", "automationId"].iter().all(|key| view[key] == "automation-v2-1"));
            assert!(view.get("_upkeep").is_none());
            assert_eq!(view["metadata"]["tenant_context"]["org_id"], "local");
        }
        assert!(full["agents"].is_array() && full["flow"].is_object() && full.get("agent_count").is_none());
        assert_eq!(
            (&summary["agent_count"], &summary["node_count"], summary.get("flow")),
            (&json!(1), &json!(3), None)
        );
    }
}
