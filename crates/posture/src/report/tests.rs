use serde_json::json;
use tandem_core::{audit::integrity::Integrity, route, tenant::TenantContext};

use super::*;
use crate::{
    estate::Estate,
    inventory::{Viewer, inventory},
    metrics, posture, probes, scenarios,
};

/// A report on an estate in which nothing exists.
fn empty(request: &Request) -> Report {
    let estate = Estate::empty(TenantContext::local(), 1_760_000_000_000);
    let inventory = inventory(&estate, &Viewer::Reviewer);
    let posture = posture::check(&estate, &inventory, &posture::Options::default());
    let include_probes = request.include_probe_results.unwrap_or(true);
    let probes = probes::run(&estate, &inventory, &posture.findings, None, &probes::Options::default());
    let pack = scenarios::built_in().remove(0);
    let settings = metrics::settings(&metrics::Request::default(), estate.now_ms).unwrap();
    let facts = metrics::Facts {
        incidents: Vec::new(),
        receipts: Vec::new(),
        decisions: Vec::new(),
        published: std::collections::BTreeSet::new(),
        enabled_surfaces: 0,
        ready_surfaces: 0,
        truncated: Vec::new(),
        integrity: Integrity::EMPTY,
    };
    let input = route::PreviewInput::default();
    let context = route::Context::from_parts(&input, None, None, None);
    build(Material {
        request,
        estate: &estate,
        inventory: &inventory,
        posture: &posture,
        probes: &probes,
        include_probes,
        scenarios: &scenarios::evaluate(&estate, &pack, &[]),
        maturity: &metrics::measure(&estate.tenant, &facts, &settings),
        incidents: Vec::new(),
        receipts: Vec::new(),
        records: Vec::new(),
        next_cursor: None,
        preview: &route::preview(&estate.config, &context, &route::ReadinessRows::default()),
        ledger: AuditLedger {
            integrity: Integrity::EMPTY,
            tree_size: 0,
            root_hash: None,
            checkpoint: String::new(),
            public_key: String::new(),
        },
    })
}

#[test]
fn nothing_at_all_is_not_a_pass() {
    let report = empty(&Request::default());
    let risk = &report.sections.residual_risk_and_follow_up;
    assert!(risk.not_assessed.iter().any(|row| row.why == "There is nothing to probe."), "{:?}", risk.not_assessed);
    assert!(risk.not_assessed.iter().any(|row| row.what.starts_with("metric ")), "{:?}", risk.not_assessed);
    assert_eq!(report.count("not_assessed"), risk.not_assessed.len() as u64);
}

#[test]
fn what_is_kept_reads_back_as_the_report() {
    let mut report = empty(&Request::default());
    report.evidence_pack = Some(EvidencePack::none("later"));
    let body = report.body();
    let read: Report = serde_json::from_str(&body).unwrap();
    assert!(!body.contains("evidence_pack") && !body.contains("attestation"));
    assert_eq!(read, Report { evidence_pack: None, ..report.clone() });
    assert_eq!(report.pack().reason.as_deref(), Some("later"), "asking for the bytes changes nothing");
}

#[test]
fn every_form_of_an_empty_report_is_whole() {
    let report = empty(&Request::default());
    for format in Format::ALL {
        let text = format.render(&report);
        assert!(!text.is_empty() && !text.to_lowercase().contains("compliant"), "{format}");
    }
    let oscal = oscal::results(&report);
    assert_ne!(oscal["assessment-results"]["results"][0]["observations"], json!([]));
}
