//! What one run saw, before it is compared: rules and ids, never what a finding quotes.

use tandem_core::{tenant::TenantContext, text::sha256_hex};

use crate::finding::{AffectedObject, Finding, Severity};

/// A finding as a run keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    pub fingerprint: String,
    pub rule_id: String,
    /// `source:`, `destination:`, `workflow:` or `route:` and an id, or `deployment`.
    pub scope: String,
    pub severity: Severity,
    pub category: String,
    pub evidence_refs: Vec<String>,
}

/// Findings of the rules keep their fingerprint.
pub fn of_findings(findings: &[Finding]) -> impl Iterator<Item = Observed> + '_ {
    findings.iter().map(|finding| Observed {
        fingerprint: finding.fingerprint.clone(),
        rule_id: finding.rule_id.clone(),
        scope: finding.affected_objects.first().map_or_else(|| WHOLE.into(), scope),
        severity: finding.severity,
        category: finding.category.clone(),
        evidence_refs: finding.evidence_refs.iter().map(|evidence| evidence.path.clone()).collect(),
    })
}

const WHOLE: &str = "deployment";

/// The part of the deployment that an object belongs to.
fn scope(object: &AffectedObject) -> String {
    let id = &object.id;
    match object.kind.as_str() {
        "monitored_source" | "source_readiness" => format!("source:{id}"),
        "incident_monitor_destination" => format!("destination:{id}"),
        "automation" | "automation_agent" | "automation_node" | "workflow" => format!("workflow:{id}"),
        "route" | "incident_monitor_route" => format!("route:{id}"),
        _ => {
            let named = |key: &str| object.more.get(key).and_then(serde_json::Value::as_str);
            let parents = [
                ("source_id", "source"),
                ("destination_id", "destination"),
                ("route_id", "route"),
                ("workflow_id", "workflow"),
                ("automation_id", "workflow"),
                ("project_id", "source"),
            ];
            let found = parents.into_iter().find_map(|(key, word)| named(key).map(|id| format!("{word}:{id}")));
            found.unwrap_or_else(|| WHOLE.into())
        }
    }
}

/// Something that was seen without a finding of its own: a metric, a probe, a scenario.
#[derive(Clone, Debug)]
pub struct Synthetic<'a> {
    pub rule_id: String,
    /// What the rule is about.
    pub subject: &'a str,
    pub severity: Severity,
    pub category: &'a str,
    pub evidence_refs: Vec<String>,
}

impl Synthetic<'_> {
    pub fn observed(self, tenant: &TenantContext) -> Observed {
        let fold = |text: &str| text.trim().to_lowercase();
        let parts =
            [tenant.org_id.clone(), tenant.workspace_id.clone(), fold(WHOLE), fold(&self.rule_id), fold(self.subject)];
        let mut fingerprint = sha256_hex(&parts.join("\u{1f}"));
        fingerprint.truncate(32);
        Observed {
            fingerprint,
            rule_id: self.rule_id,
            scope: WHOLE.into(),
            severity: self.severity,
            category: self.category.into(),
            evidence_refs: self.evidence_refs,
        }
    }
}
