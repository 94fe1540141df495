//! What one run saw, before it is compared: rules and ids, never what a finding quotes.

use tandem_core::{tenant::TenantContext, text::sha256_hex};

use crate::{
    finding::{AffectedObject, Finding, Severity},
    metrics::Maturity,
    probes::{ProbeRun, ProbeStatus},
    scenarios::PackResult,
};

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

/// Thresholds that were crossed, and drift.
pub fn of_metrics(measured: &Maturity, tenant: &TenantContext) -> Vec<Observed> {
    let crossed = measured.threshold_findings.iter().map(|finding| {
        let subject = match (finding.metric_id, &finding.signal) {
            (Some(metric), _) => metric.word().to_owned(),
            (None, Some(signal)) => signal.clone(),
            (None, None) => "unknown".into(),
        };
        let evidence = measured.metrics.iter().filter(|metric| Some(metric.metric_id) == finding.metric_id);
        let evidence = evidence.flat_map(|metric| &metric.evidence_refs);
        Synthetic {
            rule_id: format!("governance.{}.{subject}", finding.kind.word()),
            subject: &subject,
            severity: finding.severity,
            category: "governance_gap",
            evidence_refs: evidence.map(|evidence| format!("{}:{}", evidence.kind, evidence.id)).collect(),
        }
        .observed(tenant)
    });
    crossed.collect()
}

/// Probes that failed for a reason of their own. One that repeats a finding of the rules is that finding.
pub fn of_probes(run: &ProbeRun, tenant: &TenantContext) -> Vec<Observed> {
    let failed = run.results.iter().filter(|result| match result.status {
        ProbeStatus::Fail => result.source_finding.is_none(),
        ProbeStatus::Pass | ProbeStatus::Blocked | ProbeStatus::NotApplicable => false,
    });
    let observed = failed.map(|result| {
        let synthetic = Synthetic {
            rule_id: format!("probe.{}", result.probe_id.word()),
            subject: &result.target.id,
            severity: Severity::High,
            category: "security_gap",
            evidence_refs: result.evidence_refs.iter().map(|evidence| evidence.path.clone()).collect(),
        };
        Observed { scope: scope(&result.target), ..synthetic.observed(tenant) }
    });
    observed.collect()
}

/// Scenarios that failed.
pub fn of_scenarios(pack: &PackResult, tenant: &TenantContext) -> Vec<Observed> {
    let failed = pack.results.iter().filter(|result| result.finding_id.is_some());
    let observed = failed.map(|result| {
        Synthetic {
            rule_id: format!("scenario.{}.{}", pack.pack_id, result.scenario_id),
            subject: &result.scenario_id,
            severity: Severity::High,
            category: &result.category,
            evidence_refs: result
                .evidence_refs
                .iter()
                .map(|evidence| format!("{}:{}", evidence.kind, evidence.id))
                .collect(),
        }
        .observed(tenant)
    });
    observed.collect()
}
