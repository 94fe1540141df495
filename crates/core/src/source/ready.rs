//! Whether the data of a source is governed, traceable, fresh, of a known schema and protected.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Scope, SourceKind,
    rules::{Judge, rules},
};
use crate::{config::Config, wire::wire_enum};

/// What the tailer knows of a log source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatcherFact {
    pub project_id: String,
    pub source_id: String,
    pub healthy: bool,
    pub consecutive_errors: u64,
    /// When the source last delivered something. Polling it is no observation.
    pub last_observed_ms: Option<u64>,
}

wire_enum! {
    #[schema(as = SourceSeverity)]
    pub enum Severity {
        Low = "low",
        Medium = "medium",
        High = "high",
    }
}

wire_enum! {
    pub enum Category {
        Governance = "source_governance",
        Boundary = "source_boundary",
        Lineage = "source_lineage",
        Freshness = "source_freshness",
        Schema = "source_schema",
        Protection = "source_protection",
        Quality = "source_quality",
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SourceFinding)]
pub struct Finding {
    pub finding_id: String,
    pub rule_id: String,
    pub category: Category,
    pub severity: Severity,
    pub title: String,
    pub detail: String,
    pub evidence_refs: Vec<String>,
    pub recommendation: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceReadiness {
    pub project_id: String,
    /// Absent on the project's own row.
    #[serde(default)]
    pub source_id: Option<String>,
    pub source_kind: SourceKind,
    pub enabled: bool,
    /// Enabled, not paused, and without findings.
    pub ready: bool,
    pub governance_ready: bool,
    pub lineage_ready: bool,
    pub freshness_ready: bool,
    pub schema_ready: bool,
    pub protection_ready: bool,
    pub missing: Vec<String>,
    pub warnings: Vec<String>,
    pub findings: Vec<Finding>,
    #[serde(default)]
    pub last_observed_at_ms: Option<u64>,
    #[serde(default)]
    pub stale_after_ms: Option<u64>,
    #[serde(default)]
    pub detail: Option<String>,
}

/// One row for each project, followed by one for each of its sources.
pub fn readiness(config: &Config, watchers: &[WatcherFact], now_ms: u64) -> Vec<SourceReadiness> {
    let mut of_project: HashMap<&str, Vec<&WatcherFact>> = HashMap::new();
    let mut of_source: HashMap<(&str, &str), Vec<&WatcherFact>> = HashMap::new();
    for watcher in watchers {
        of_project.entry(&watcher.project_id).or_default().push(watcher);
        of_source.entry((&watcher.project_id, &watcher.source_id)).or_default().push(watcher);
    }
    let mut rows = Vec::new();
    for project in &config.monitored_projects {
        let id = project.project_id.as_str();
        let own = of_project.get(id).map_or(&[][..], Vec::as_slice);
        rows.push(row(Scope { project, source: None }, own, now_ms));
        for source in &project.log_sources {
            let own = of_source.get(&(id, source.source_id.as_str())).map_or(&[][..], Vec::as_slice);
            rows.push(row(Scope { project, source: Some(source) }, own, now_ms));
        }
    }
    rows
}

/// The row of a project or of a source of it; `own` are the watchers beneath it.
fn row(scope: Scope<'_>, own: &[&WatcherFact], now_ms: u64) -> SourceReadiness {
    let Scope { project, source } = scope;
    let facts = scope.data_readiness();
    let last_observed_at_ms =
        own.iter().filter_map(|watcher| watcher.last_observed_ms).chain(facts.last_observed_at_ms).max();
    let sla = facts.freshness_sla_ms.filter(|sla| *sla > 0);
    let stale_after_ms = last_observed_at_ms.zip(sla).map(|(seen, sla)| seen.saturating_add(sla));
    let enabled = project.enabled && source.is_none_or(|source| source.enabled);
    let paused = project.paused || source.is_some_and(|source| source.paused);
    let mut row = SourceReadiness {
        project_id: project.project_id.clone(),
        source_id: source.map(|source| source.source_id.clone()),
        source_kind: scope.source_kind(),
        enabled,
        ready: false,
        governance_ready: false,
        lineage_ready: false,
        freshness_ready: false,
        schema_ready: false,
        protection_ready: false,
        missing: Vec::new(),
        warnings: Vec::new(),
        findings: Vec::new(),
        last_observed_at_ms,
        stale_after_ms,
        detail: None,
    };
    if !enabled || paused {
        let why = if enabled { "The source is paused" } else { "The source is disabled" };
        row.warnings.push(why.to_owned());
        row.detail = Some(why.to_owned());
        return row;
    }
    const PROJECTS: &str = "incident_monitor.config.monitored_projects[]";
    let (reference, place) = match source {
        Some(source) => (
            format!("{}/{}", project.project_id, source.source_id),
            format!("{PROJECTS}.log_sources[{}]", source.source_id),
        ),
        None => (project.project_id.clone(), PROJECTS.to_owned()),
    };
    let unhealthy = source.is_some() && own.iter().any(|watcher| !watcher.healthy || watcher.consecutive_errors > 0);
    let stale = stale_after_ms.is_some_and(|at| now_ms > at);
    let mut judge = Judge { reference, place, missing: Vec::new(), findings: Vec::new() };
    rules(&mut judge, &scope, &facts, last_observed_at_ms.is_some(), stale, unhealthy);
    let Judge { missing, findings, .. } = judge;
    let clean = |categories: &[Category]| !findings.iter().any(|finding| categories.contains(&finding.category));
    row.governance_ready = clean(&[Category::Governance, Category::Boundary]);
    row.lineage_ready = clean(&[Category::Lineage]);
    row.freshness_ready = clean(&[Category::Freshness]);
    row.schema_ready = clean(&[Category::Schema]);
    row.protection_ready = clean(&[Category::Protection]);
    row.ready = findings.is_empty();
    row.warnings = findings.iter().map(|finding| format!("{}: {}", finding.severity.word(), finding.title)).collect();
    row.missing = missing;
    row.findings = findings;
    row
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::read;

    /// A project that satisfies every rule, with changes.
    fn project(change: Value, facts: Value) -> Config {
        let mut readiness = json!({
            "source_owner": "o", "system_of_record": "s", "data_classification": "internal", "allowed_use": "ops",
            "source_of_truth": "t", "freshness_sla_ms": 1_000, "last_observed_at_ms": 10_000,
            "expected_schema_version": "1", "schema_drift_status": "stable", "quality_notes": "q", "legal_basis": "l",
        });
        let mut body = json!({
            "project_id": "p", "name": "P", "repo": "a/b", "workspace_root": "/srv", "tenant_id": "t",
            "workspace_id": "w", "event_schema_version": "1", "redaction_profile": "r", "retention_profile": "r",
        });
        for (into, from) in [(&mut readiness, facts), (&mut body, change)] {
            if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
                into.extend(from);
            }
        }
        body["data_readiness"] = readiness;
        read(json!({ "monitored_projects": [body] })).unwrap_or_default()
    }

    fn rules_of(config: &Config, watchers: &[WatcherFact], now: u64) -> Vec<Vec<String>> {
        readiness(config, watchers, now)
            .into_iter()
            .map(|row| {
                assert_eq!(row.ready, row.enabled && row.findings.is_empty() && row.detail.is_none());
                row.findings.into_iter().map(|finding| finding.rule_id).collect()
            })
            .collect()
    }

    #[test]
    fn each_rule_alone() {
        let none = json!({});
        for (change, facts, rule, flag) in [
            (none.clone(), json!({"source_owner": "local"}), "source_governance_metadata_missing", "governance_ready"),
            (none.clone(), json!({"allowed_use": null}), "source_governance_metadata_missing", "governance_ready"),
            (json!({"tenant_id": "local"}), none.clone(), "source_boundary_context_missing", "governance_ready"),
            (none.clone(), json!({"legal_basis": "null"}), "source_authorization_missing", "governance_ready"),
            (none.clone(), json!({"source_of_truth": null}), "source_lineage_missing", "lineage_ready"),
            (none.clone(), json!({"freshness_sla_ms": 0}), "source_freshness_sla_missing", "freshness_ready"),
            (
                none.clone(),
                json!({"last_observed_at_ms": null}),
                "source_freshness_observation_missing",
                "freshness_ready",
            ),
            (
                none.clone(),
                json!({"freshness_sla_ms": 0, "last_observed_at_ms": null}),
                "source_freshness_sla_missing",
                "freshness_ready",
            ),
            (none.clone(), json!({"freshness_sla_ms": 400}), "source_stale", "freshness_ready"),
            (json!({"event_schema_version": null}), none.clone(), "source_schema_version_missing", "schema_ready"),
            (json!({"event_schema_version": "2"}), none.clone(), "source_schema_version_mismatch", "schema_ready"),
            (
                none.clone(),
                json!({"schema_drift_status": "Drift-Detected"}),
                "source_schema_drift_detected",
                "schema_ready",
            ),
            (none.clone(), json!({"schema_drift_status": null}), "source_schema_drift_status_missing", "schema_ready"),
            (none.clone(), json!({"schema_drift_status": "odd"}), "source_schema_drift_unknown", "schema_ready"),
            (json!({"redaction_profile": null}), none.clone(), "source_redaction_profile_missing", "protection_ready"),
            (json!({"retention_profile": null}), none.clone(), "source_retention_profile_missing", "protection_ready"),
            (none.clone(), json!({"quality_notes": null}), "source_quality_notes_missing", ""),
        ] {
            let config = project(change, facts);
            assert_eq!(rules_of(&config, &[], 10_500), [[rule]]);
            let rows = readiness(&config, &[], 10_500);
            let finding = &rows[0].findings[0];
            assert_eq!(rows[0].warnings, [format!("{}: {}", finding.severity.word(), finding.title)]);
            let row = serde_json::to_value(rows).unwrap_or_default();
            for name in ["governance_ready", "lineage_ready", "freshness_ready", "schema_ready", "protection_ready"] {
                assert_eq!(row[0][name], name != flag, "{rule} {name}");
            }
        }
        let clean = [Vec::<String>::new()];
        assert_eq!(rules_of(&project(none.clone(), none), &[], 10_500), clean);
        // Nothing is expected of the schema, or the same in another casing.
        for (change, facts) in [
            (json!({}), json!({"expected_schema_version": null})),
            (json!({"event_schema_version": "V1"}), json!({"expected_schema_version": "v1"})),
        ] {
            assert_eq!(rules_of(&project(change, facts), &[], 10_500), clean);
        }
    }

    #[test]
    fn missing_names_and_places_of_evidence() {
        let facts = json!({"legal_basis": null, "source_of_truth": null, "source_owner": " "});
        let change = json!({"log_sources": [{"source_id": "s", "path": "x.log"}]});
        let rows = readiness(&project(change, facts), &[], 10_500);
        for (row, place) in rows.iter().zip(["monitored_projects[]", "monitored_projects[].log_sources[s]"]) {
            let names = ["source_owner", "legal_basis_or_authorization_marker", "source_of_truth_or_lineage_ref"];
            assert_eq!(row.missing, names);
            assert_eq!(row.findings[0].evidence_refs, [format!("incident_monitor.config.{place}.source_owner")]);
        }
    }

    #[test]
    fn a_delivery_refreshes_and_a_poll_does_not() {
        let config = project(json!({"log_sources": [{"source_id": "s", "path": "x.log"}]}), json!({}));
        let watcher = |last_observed_ms, healthy, consecutive_errors| {
            [WatcherFact {
                project_id: "p".into(),
                source_id: "s".into(),
                healthy,
                consecutive_errors,
                last_observed_ms,
            }]
        };
        let stale = vec!["source_stale".to_owned()];
        assert_eq!(rules_of(&config, &watcher(None, true, 0), 20_000), [stale.clone(), stale]);
        assert_eq!(rules_of(&config, &watcher(Some(19_500), true, 0), 20_000), [vec![], Vec::<String>::new()]);
        for broken in [watcher(Some(19_500), false, 0), watcher(Some(19_500), true, 1)] {
            assert_eq!(rules_of(&config, &broken, 20_000)[1], ["source_runtime_unhealthy"]);
        }
    }

    #[test]
    fn a_stopped_source_is_not_ready_and_not_judged() {
        for change in [json!({"enabled": false}), json!({"paused": true})] {
            let rows = readiness(&project(change, json!({"source_owner": null})), &[], 10_500);
            assert!(!rows[0].ready && rows[0].findings.is_empty());
            assert_eq!(rows[0].warnings.len(), 1, "one warning says why");
        }
    }

    #[test]
    fn finding_ids_are_stable_and_differ_by_field() {
        let config = project(json!({}), json!({"source_owner": null, "allowed_use": null}));
        let ids = |now| -> Vec<String> {
            readiness(&config, &[], now)[0].findings.iter().map(|finding| finding.finding_id.clone()).collect()
        };
        assert_eq!(ids(10_100), ids(10_200));
        assert!(ids(10_100)[0] != ids(10_100)[1] && ids(10_100)[0].len() == 20 && ids(10_100)[0].starts_with("srf_"));
    }
}
