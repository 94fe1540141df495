//! The rules behind source readiness, and what each says when it is broken.

use super::{Category, Finding, Scope, Severity};
use crate::{config::DataReadiness, publish::digest};

/// Collects what is wrong with one source.
pub(super) struct Judge {
    /// The project, or project and source.
    pub reference: String,
    /// Where the configuration says what is judged.
    pub place: String,
    pub missing: Vec<String>,
    pub findings: Vec<Finding>,
}

impl Judge {
    fn find(
        &mut self,
        rule_id: &str,
        category: Category,
        severity: Severity,
        fields: &[&str],
        detail: &str,
        recommendation: &str,
    ) {
        let evidence_refs: Vec<String> = fields.iter().map(|field| format!("{}.{field}", self.place)).collect();
        let id = digest::h([self.reference.as_str(), rule_id, category.word(), &evidence_refs.join("|")]);
        let title = rule_id.replace('_', " ");
        let title = title.get(..1).unwrap_or_default().to_uppercase() + title.get(1..).unwrap_or_default();
        self.findings.push(Finding {
            finding_id: format!("srf_{}", &id[..16]),
            rule_id: rule_id.to_owned(),
            category,
            severity,
            title,
            detail: detail.to_owned(),
            evidence_refs,
            recommendation: recommendation.to_owned(),
        });
    }

    /// A finding about facts that nobody gave.
    fn lacks(&mut self, rule_id: &str, category: Category, severity: Severity, fields: &[&str]) {
        self.missing.extend(fields.iter().map(|field| (*field).to_owned()));
        let names = fields.join(" and ");
        let detail = format!("{names} not given");
        self.find(rule_id, category, severity, fields, &detail, &format!("Set {names} on the source or its project"));
    }
}

/// `local` and `null` are placeholders, not facts.
fn given(text: Option<&str>) -> bool {
    text.map(str::trim)
        .is_some_and(|t| !t.is_empty() && !t.eq_ignore_ascii_case("local") && !t.eq_ignore_ascii_case("null"))
}

pub(super) fn rules(
    judge: &mut Judge,
    scope: &Scope<'_>,
    facts: &DataReadiness,
    observed: bool,
    stale: bool,
    unhealthy: bool,
) {
    use Category as C;
    use Severity as S;
    for (field, value, severity) in [
        ("source_owner", &facts.source_owner, S::Medium),
        ("system_of_record", &facts.system_of_record, S::Medium),
        ("data_classification", &facts.data_classification, S::High),
        ("allowed_use", &facts.allowed_use, S::High),
    ] {
        if !given(value.as_deref()) {
            judge.lacks("source_governance_metadata_missing", C::Governance, severity, &[field]);
        }
    }
    let boundary: Vec<&str> = [("tenant_id", scope.tenant_id()), ("workspace_id", scope.workspace_id())]
        .into_iter()
        .filter_map(|(field, value)| (!given(value)).then_some(field))
        .collect();
    if !boundary.is_empty() {
        judge.lacks("source_boundary_context_missing", C::Boundary, S::High, &boundary);
    }
    if !given(facts.legal_basis.as_deref()) && !given(facts.authorization_marker.as_deref()) {
        judge.missing.push("legal_basis_or_authorization_marker".to_owned());
        judge.find(
            "source_authorization_missing",
            C::Governance,
            S::High,
            &["legal_basis", "authorization_marker"],
            "Neither a legal basis nor an authorization marker is given",
            "Set legal_basis or authorization_marker",
        );
    }
    if !given(facts.source_of_truth.as_deref()) && !given(facts.lineage_ref.as_deref()) {
        judge.missing.push("source_of_truth_or_lineage_ref".to_owned());
        judge.find(
            "source_lineage_missing",
            C::Lineage,
            S::High,
            &["source_of_truth", "lineage_ref"],
            "Neither a source of truth nor a lineage reference is given",
            "Set source_of_truth or lineage_ref",
        );
    }
    // Without an SLA nothing can be too old, so an observation is only missed where there is one.
    if facts.freshness_sla_ms.is_none_or(|sla| sla == 0) {
        judge.lacks("source_freshness_sla_missing", C::Freshness, S::Medium, &["freshness_sla_ms"]);
    } else if !observed {
        judge.lacks("source_freshness_observation_missing", C::Freshness, S::Medium, &["last_observed_at_ms"]);
    }
    if stale {
        judge.find(
            "source_stale",
            C::Freshness,
            S::High,
            &["last_observed_at_ms", "freshness_sla_ms"],
            "The last observation is older than the freshness SLA allows",
            "Check that the source still delivers",
        );
    }
    schema(judge, scope, facts);
    for (rule, severity, field, value) in [
        ("source_redaction_profile_missing", S::High, "redaction_profile", scope.redaction_profile()),
        ("source_retention_profile_missing", S::Medium, "retention_profile", scope.retention_profile()),
    ] {
        if !given(value) {
            judge.lacks(rule, C::Protection, severity, &[field]);
        }
    }
    if !given(facts.quality_notes.as_deref()) {
        judge.lacks("source_quality_notes_missing", C::Quality, S::Low, &["quality_notes"]);
    }
    if unhealthy {
        judge.find(
            "source_runtime_unhealthy",
            C::Freshness,
            S::Medium,
            &["log_watcher"],
            "The log tailer reports errors for this source",
            "See the source's last error in the status",
        );
    }
}

fn schema(judge: &mut Judge, scope: &Scope<'_>, facts: &DataReadiness) {
    use Category as C;
    use Severity as S;
    let actual = scope.event_schema_version().filter(|version| given(Some(version)));
    let expected = facts.expected_schema_version.as_deref().filter(|version| given(Some(version)));
    let differs = |(actual, expected): (&str, &str)| actual.trim().to_lowercase() != expected.trim().to_lowercase();
    if actual.is_none() {
        judge.lacks("source_schema_version_missing", C::Schema, S::High, &["event_schema_version"]);
    } else if actual.zip(expected).is_some_and(differs) {
        judge.find(
            "source_schema_version_mismatch",
            C::Schema,
            S::High,
            &["event_schema_version", "expected_schema_version"],
            "The source's schema version is not the expected one",
            "Migrate the source, or change expected_schema_version",
        );
    }
    let drift = facts.schema_drift_status.as_deref().filter(|status| given(Some(status)));
    let Some(drift) = drift else {
        return judge.lacks("source_schema_drift_status_missing", C::Schema, S::Medium, &["schema_drift_status"]);
    };
    match drift.trim().to_lowercase().replace([' ', '-'], "_").as_str() {
        "none" | "stable" | "accepted" | "up_to_date" | "no_drift" => {}
        "drifted" | "drift_detected" | "detected" | "outdated" => judge.find(
            "source_schema_drift_detected",
            C::Schema,
            S::High,
            &["schema_drift_status"],
            "The source's schema has drifted",
            "Review the drift and record it as accepted, or fix the source",
        ),
        _ => judge.find(
            "source_schema_drift_unknown",
            C::Schema,
            S::Medium,
            &["schema_drift_status"],
            "schema_drift_status is none of the known words",
            "Use none, stable, accepted, up_to_date or no_drift, or one of the drift words",
        ),
    }
}
