//! The report, put together from what was loaded and judged.

use std::collections::{BTreeMap, HashSet};

use tandem_core::route::RoutePreview;

use super::{
    ApprovalCoverage, AssessmentScope, AuditExport, AuditLedger, CLAIM, ContextCoverage, DetectedFindings,
    ExportPreview, ExportSensitivity, FindingCounts, HISTORY, InventorySection, LISTED, MOST_FINDINGS, MOST_RESULTS,
    NON_CLAIM, OMITTED, ProbeSection, Report, ReportFinding, Request, Scope, Sections, SelfMonitoring, TimeWindow,
    controls,
    history::{self, IncidentRow, OWN, ReceiptRow, RecordRow},
    markdown,
    residual::{mitigations, residual},
    sources::{self, bound},
};
use crate::{
    controls as frameworks,
    estate::Estate,
    finding::Finding,
    inventory::{AuthorityInventory, SensitiveValues, destination_row},
    metrics::Maturity,
    posture::PostureChecks,
    probes::{ProbeResult, ProbeRun, ProbeStatus},
    scenarios::PackResult,
};

/// Everything that a report is made of.
pub struct Material<'a> {
    pub request: &'a Request,
    pub estate: &'a Estate,
    pub inventory: &'a AuthorityInventory,
    pub posture: &'a PostureChecks,
    /// Without results where probes were left out.
    pub probes: &'a ProbeRun,
    pub include_probes: bool,
    pub scenarios: &'a PackResult,
    pub maturity: &'a Maturity,
    /// Newest first, of the window.
    pub incidents: Vec<IncidentRow>,
    /// Newest first, of the window.
    pub receipts: Vec<ReceiptRow>,
    /// Newest first, of the window.
    pub records: Vec<RecordRow>,
    pub next_cursor: Option<String>,
    pub preview: &'a RoutePreview,
    pub ledger: AuditLedger,
}

pub fn build(mut from: Material<'_>) -> Report {
    let kind = tandem_core::text::non_blank(from.request.source_kind.as_deref()).map(str::to_owned);
    let mut incidents = std::mem::take(&mut from.incidents);
    incidents.retain(|row| kind.as_deref().is_none_or(|kind| row.source_kind == kind));
    incidents.truncate(HISTORY);
    let mut receipts = std::mem::take(&mut from.receipts);
    receipts.truncate(HISTORY);
    let records = std::mem::take(&mut from.records);
    let own = incidents.iter().filter(|row| row.is_own()).count() as u64;
    let inventory = &from.inventory.inventory;
    let sections = Sections {
        assessment_scope: AssessmentScope {
            time_window: TimeWindow { from_ms: from.request.from_ms, to_ms: from.request.to_ms },
            source_kind: kind.clone(),
            includes_authority_inventory: true,
            includes_posture_checks: true,
            includes_controlled_probes: from.include_probes,
            includes_protected_audit_export: true,
        },
        monitored_systems_and_sources: sources::section(inventory),
        authority_inventory: InventorySection {
            counts: from.inventory.counts.clone(),
            destinations: inventory.destinations.iter().take(LISTED).cloned().collect(),
            routes: inventory.routes.iter().take(LISTED).cloned().collect(),
        },
        approval_coverage: approvals(&from),
        tenant_workspace_context_coverage: context(&from),
        detected_findings: detected(&from.posture.findings),
        controlled_probe_results: probes(&from),
        adversarial_scenario_packs: from.scenarios.clone(),
        governance_maturity_metrics: from.maturity.clone(),
        self_monitoring_boundary: SelfMonitoring {
            source_kinds: OWN.map(str::to_owned).to_vec(),
            self_observed_incidents: own,
            external_system_incidents: incidents.len() as u64 - own,
            protected_monitor_audit_events: records.len() as u64,
            failed_controlled_probes: from.probes.counts.fail,
            evidence_claim: CLAIM.into(),
            non_claim: NON_CLAIM.into(),
            external_export_required_for_high_assurance: true,
        },
        incidents_and_evidence_refs: history::incidents(incidents),
        destination_receipts: history::receipts(receipts),
        recommended_mitigations: mitigations(&from),
        residual_risk_and_follow_up: residual(&from),
        external_audit_export: export(&from, records),
    };
    let mut report = Report {
        schema_version: 1,
        generated_at_ms: from.estate.now_ms,
        scope: Scope {
            source: "incident_monitor_security_gap_assessment_report".into(),
            read_only: true,
            dry_run: true,
            tenant_context: from.estate.tenant.clone(),
            from_ms: from.request.from_ms,
            to_ms: from.request.to_ms,
            source_kind: kind,
            raw_payloads_included: false,
            raw_payload_request_ignored: from.request.include_raw_payloads.unwrap_or_default(),
            min_severity: from.posture.baseline_policy.min_severity.word().into(),
            ignored_probe_ids: from.probes.probe_policy.ignored_probe_ids.clone(),
        },
        counts: counts(&from, &sections),
        control_mapping: controls::mapping(&from.posture.rules, &sections.detected_findings.counts.by_rule),
        markdown_summary: String::new(),
        integrity: from.ledger.integrity,
        audit_ledger: from.ledger,
        rule_set_digest: from.posture.rule_set_digest.clone(),
        sensitive_values: SensitiveValues::of(OMITTED),
        evidence_pack: None,
        attestation: None,
        sections,
    };
    report.markdown_summary = markdown::summary(&report);
    report
}

fn counts(from: &Material<'_>, sections: &Sections) -> BTreeMap<String, u64> {
    let of = |name: &str| from.inventory.counts.get(name).copied().unwrap_or_default();
    [
        ("monitored_sources", of("monitored_sources")),
        ("source_readiness_findings", sections.monitored_systems_and_sources.source_readiness.findings),
        ("automation_specs", of("automation_specs")),
        ("destinations", of("destinations")),
        ("routes", of("routes")),
        ("findings", sections.detected_findings.counts.findings),
        ("probe_results", sections.controlled_probe_results.counts.results),
        ("adversarial_scenarios", from.scenarios.counts.total),
        ("failed_adversarial_scenarios", from.scenarios.counts.failed),
        ("governance_metric_breaches", from.maturity.counts.breached_metrics),
        ("behavioral_drift_flags", from.maturity.counts.drift_flags),
        ("incidents", sections.incidents_and_evidence_refs.counts.incidents),
        ("destination_receipts", sections.destination_receipts.counts.receipts),
        ("protected_audit_events", sections.external_audit_export.records.len() as u64),
        ("open_questions", from.posture.open_questions.len() as u64),
        ("not_assessed", sections.residual_risk_and_follow_up.not_assessed.len() as u64),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count))
    .collect()
}

fn approvals(from: &Material<'_>) -> ApprovalCoverage {
    let inventory = &from.inventory.inventory;
    let required = inventory.approval_rules.iter().filter(|rule| rule.requires_approval == Some(true));
    ApprovalCoverage {
        approval_rules: inventory.approval_rules.len() as u64,
        approval_required_rules: required.count() as u64,
        destinations_requiring_approval: inventory.destinations.iter().filter(|row| row.require_approval).count()
            as u64,
        require_approval_for_high_risk: inventory.incident_monitor.safety_defaults.require_approval_for_high_risk,
    }
}

fn context(from: &Material<'_>) -> ContextCoverage {
    let inventory = &from.inventory.inventory;
    let sources = inventory.monitored_sources.len() as u64;
    let with = inventory
        .monitored_sources
        .iter()
        .filter(|row| bound(row.tenant_id.as_deref()) && bound(row.workspace_id.as_deref()))
        .count() as u64;
    let explicit = |row: &&crate::inventory::AutomationRow| {
        let value = serde_json::to_value(&row.tenant_context).unwrap_or_default();
        let text = |key: &str| value.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().trim().to_owned();
        !text("org_id").is_empty() && !text("workspace_id").is_empty() && text("source") != "local_implicit"
    };
    let automations = inventory.automation_specs.len() as u64;
    let with_context = inventory.automation_specs.iter().filter(explicit).count() as u64;
    ContextCoverage {
        monitored_sources: sources,
        monitored_sources_with_tenant_workspace: with,
        monitored_sources_missing_tenant_workspace: sources - with,
        automation_specs: automations,
        automation_specs_with_explicit_context: with_context,
        automation_specs_missing_explicit_context: automations - with_context,
    }
}

fn detected(findings: &[Finding]) -> DetectedFindings {
    let mut counts = FindingCounts { findings: findings.len() as u64, ..FindingCounts::default() };
    for finding in findings {
        *counts.by_severity.entry(finding.severity.word().to_owned()).or_default() += 1;
        *counts.by_category.entry(finding.category.clone()).or_default() += 1;
        *counts.by_rule.entry(finding.rule_id.clone()).or_default() += 1;
    }
    let kept: Vec<&Finding> = if findings.len() <= MOST_FINDINGS {
        findings.iter().collect()
    } else {
        let mut all: Vec<&Finding> = findings.iter().collect();
        all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        all.truncate(MOST_FINDINGS);
        all
    };
    let with = |finding: &&Finding| ReportFinding {
        finding: (*finding).clone(),
        controls: frameworks::of(&finding.rule_id).to_vec(),
    };
    DetectedFindings {
        truncated: kept.len() < findings.len(),
        omitted: (findings.len() - kept.len()) as u64,
        findings: kept.iter().map(with).collect(),
        counts,
    }
}

fn probes(from: &Material<'_>) -> ProbeSection {
    let all = &from.probes.results;
    let kept: Vec<ProbeResult> = if all.len() <= MOST_RESULTS {
        all.clone()
    } else {
        let mut all: Vec<&ProbeResult> = all.iter().collect();
        all.sort_by_key(|result| result.status != ProbeStatus::Fail);
        all.into_iter().take(MOST_RESULTS).cloned().collect()
    };
    ProbeSection {
        selected_probe_ids: if from.include_probes {
            from.probes.probe_policy.selected_probe_ids.clone()
        } else {
            Vec::new()
        },
        counts: from.probes.counts.clone(),
        omitted: (all.len() - kept.len()) as u64,
        results: kept,
    }
}

fn export(from: &Material<'_>, records: Vec<RecordRow>) -> AuditExport {
    let preview = from.preview;
    // What the caller does not see in the inventory is not named here either.
    let rows = &from.inventory.inventory.destinations;
    let seen: HashSet<&str> = rows.iter().map(|row| row.destination_id.as_str()).collect();
    let visible = preview.destinations.iter().filter(|destination| seen.contains(destination.destination_id.as_str()));
    AuditExport {
        available: true,
        source_kind: "tandem_monitor".into(),
        claim: "Governed evidence that can be exported and checked elsewhere; it does not certify itself.".into(),
        customer_owned_systems: [
            "siem",
            "database",
            "object_storage",
            "linear",
            "github",
            "webhook",
            "telemetry",
            "mcp_tool",
        ]
        .map(str::to_owned)
        .to_vec(),
        existing_ndjson_endpoint: "/audit/ledger/export".into(),
        report_endpoint: "/incident-monitor/security/assessment-report".into(),
        route_preview: ExportPreview {
            requested_destination_ids: from.request.route_destination_ids.clone(),
            effective_destination_ids: preview.effective_destination_ids.clone(),
            approval_required: preview.approval_required,
            blocked: preview.blocked,
            blocked_reasons: preview.blocked_reasons.clone(),
            matches: preview.matches.clone(),
            destinations: visible.map(destination_row).collect(),
            mutates_external_systems: false,
            publish_method:
                "Report the finding to /incident-monitor/report and publish its draft; nothing is sent from here."
                    .into(),
        },
        records,
        next_cursor: from.next_cursor.clone(),
        sensitive_values: ExportSensitivity {
            payloads: "omitted_by_default".into(),
            payload_keys: "included".into(),
            record_hashes: "included".into(),
        },
    }
}
