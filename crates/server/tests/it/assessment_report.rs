//! The assessment report as its readers get it: whole, kept, signed, in every form, and only for its own tenant.

use serde_json::{Value, json};
use tandem_core::{
    audit::{
        checkpoint::Checkpoint,
        dsse::{self, Envelope},
        note::VerifierKey,
    },
    text::sha256_hex,
};
use tandem_testkit::{Client, Receiver, audit, bodies};

use crate::support::{KEY_HEADER, configured, database, drafted, keyed, launch, publish, settled, text};

const REPORT: &str = "/incident-monitor/security/assessment-report";
const GENERATED: &str = "incident_monitor.assessment_report.generated";
const SECTIONS: [&str; 15] = [
    "adversarial_scenario_packs",
    "approval_coverage",
    "assessment_scope",
    "authority_inventory",
    "controlled_probe_results",
    "destination_receipts",
    "detected_findings",
    "external_audit_export",
    "governance_maturity_metrics",
    "incidents_and_evidence_refs",
    "monitored_systems_and_sources",
    "recommended_mitigations",
    "residual_risk_and_follow_up",
    "self_monitoring_boundary",
    "tenant_workspace_context_coverage",
];

fn keys(value: &Value) -> Vec<String> {
    value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

fn estate(hook: &str) -> Value {
    json!({
        "destinations": [bodies::telemetry("local"), bodies::webhook("hook", hook)],
        "default_destination_ids": ["local"],
        "monitored_projects": [bodies::project("shop", "/srv/shop")],
        "safety_defaults": { "require_approval_for_high_risk": false },
    })
}

/// Reports, publishes, and waits until that is known.
fn history(client: &Client) -> String {
    let id = drafted(client, bodies::report("seen in a report"));
    publish(client, &id, json!({})).ok();
    settled(client, &id, "local", "posted");
    id
}

#[test]
fn a_report_has_all_its_sections_and_is_kept_with_its_row() {
    let hooks = Receiver::new();
    let (server, client) = configured("report", estate(&hooks.url("/in")));
    let draft = history(&client);
    let report = client.post(REPORT, json!({ "include_raw_payloads": true })).ok();
    assert_eq!(report["schema_version"], json!(1));
    assert_eq!(keys(&report["sections"]), SECTIONS);
    let scope = &report["scope"];
    assert_eq!(scope["source"], json!("incident_monitor_security_gap_assessment_report"));
    assert_eq!((&scope["raw_payloads_included"], &scope["raw_payload_request_ignored"]), (&json!(false), &json!(true)));
    let sections = &report["sections"];
    assert_eq!(sections["incidents_and_evidence_refs"]["incidents"][0]["title"], json!("seen in a report"));
    assert_eq!(sections["destination_receipts"]["receipts"][0]["draft_id"], json!(draft));
    assert_eq!(sections["destination_receipts"]["counts"]["by_destination_kind"]["telemetry"], json!(1));
    let findings = sections["detected_findings"]["findings"].as_array().unwrap();
    assert!(!findings.is_empty() && findings.iter().all(|row| !row["controls"].as_array().unwrap().is_empty()));
    assert_eq!(report["counts"]["findings"], sections["detected_findings"]["counts"]["findings"]);
    assert_eq!(sections["controlled_probe_results"]["selected_probe_ids"].as_array().unwrap().len(), 6);
    assert_eq!(sections["residual_risk_and_follow_up"]["risk"], json!("high"));
    let mitigations = sections["recommended_mitigations"].as_array().unwrap();
    assert!(mitigations.iter().any(|row| row["policy"] == "require_approval_for_high_risk"), "{mitigations:?}");
    let export = &sections["external_audit_export"];
    assert!(!export["records"].as_array().unwrap().is_empty());
    assert_eq!(export["route_preview"]["mutates_external_systems"], json!(false));
    assert_eq!(report["integrity"]["status"], json!("verified"));
    let headings: Vec<&str> =
        report["markdown_summary"].as_str().unwrap().lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(
        headings,
        [
            "# Incident Monitor Security Gap Assessment",
            "## Summary",
            "## Self-Monitoring Boundary",
            "## Recommended Mitigations",
        ]
    );

    // The row was written with the artifact, and names its digest.
    let rows = audit::rows(&client, GENERATED);
    assert_eq!(rows.len(), 1);
    let payload = &rows[0]["payload"];
    assert_eq!(payload["evidence_pack"], report["evidence_pack"]);
    assert_eq!((&payload["source_kind"], &payload["counts"]), (&json!("tandem_monitor"), &report["counts"]));
    let pack = &report["evidence_pack"];
    let (run, artifact) = (text(&pack["context_run_id"]), text(&pack["artifact_id"]));
    assert!(run.starts_with("incident-monitor-assessment-report-") && pack["persisted"] == json!(true), "{pack}");
    assert_eq!(pack["path"], json!("artifacts/incident_monitor.assessment_report.json"));
    let bytes = client.get(&format!("/context/runs/{run}/artifacts/{artifact}"));
    assert_eq!(pack["content_sha256"], json!(sha256_hex(&bytes.text())));
    let mut answered = report.clone();
    for key in ["evidence_pack", "attestation"] {
        answered.as_object_mut().unwrap().remove(key);
    }
    assert_eq!(bytes.json(), answered);
    assert_eq!(client.get(&format!("{REPORT}/{artifact}")).ok(), report);
    let board = client.get(&format!("/context/runs/{run}/blackboard")).ok()["blackboard"].clone();
    assert_eq!(board["artifacts"][0]["intact"], json!(true));
    assert_eq!(board["artifacts"][0]["attestation"], report["attestation"]);
    let package = client.get(&format!("/context/runs/{run}/governance-evidence")).ok()["evidence_package"].clone();
    assert_eq!(package["audit_completeness"]["status"], json!("complete"), "{package}");
    assert_eq!(package["artifacts"][0]["content_sha256"], pack["content_sha256"]);

    // The signature holds for the key that the log is signed with, and the checkpoint inside is that log's.
    let manifest = audit::manifest(&client);
    assert_eq!(report["audit_ledger"]["public_key"], manifest["public_key"]);
    let key = VerifierKey::parse(&text(&manifest["public_key"])).unwrap();
    let envelope: Envelope = serde_json::from_value(report["attestation"].clone()).unwrap();
    assert_eq!(envelope.payload_type, "application/vnd.in-toto+json");
    let statement: Value = serde_json::from_slice(&dsse::open(&envelope, std::slice::from_ref(&key)).unwrap()).unwrap();
    assert_eq!(statement["_type"], json!("https://in-toto.io/Statement/v1"));
    assert_eq!(statement["subject"][0]["digest"]["sha256"], pack["content_sha256"]);
    assert_eq!(statement["predicate"]["counts"], report["counts"]);
    let head = Checkpoint::open(&text(&report["audit_ledger"]["checkpoint"]), &[key]).unwrap();
    assert_eq!(json!(head.size), report["audit_ledger"]["tree_size"]);

    // Other tenants, scoped keys and strangers.
    let tenant = json!({ "org_id": "acme", "workspace_id": "prod" });
    let made = client.post("/auth/tokens", json!({ "name": "other", "tenant": tenant })).ok();
    let other = server.stranger().bearer(&text(&made["raw_token"]));
    other.get(&format!("{REPORT}/{artifact}")).refused(404, "EVIDENCE_ARTIFACT_NOT_FOUND");
    other.get(&format!("/context/runs/{run}")).refused(404, "CONTEXT_RUN_NOT_FOUND");
    let theirs = other.post(REPORT, json!({})).ok();
    assert_eq!(theirs["counts"]["incidents"], json!(0));
    assert!(!theirs.to_string().contains("seen in a report"));
    let (_, raw) = keyed(&client, json!({}));
    let with_key = server.client().with(KEY_HEADER, &raw);
    with_key.post(REPORT, json!({})).refused(403, "INCIDENT_MONITOR_ASSESSMENT_REPORT_ADMIN_REQUIRED");
    with_key.get(&format!("{REPORT}/{artifact}")).refused(403, "INCIDENT_MONITOR_ASSESSMENT_REPORT_ADMIN_REQUIRED");
    audit::assert_verified(&client);
}

#[test]
fn what_is_asked_for_changes_the_report() {
    let hooks = Receiver::new();
    let (_server, client) = configured("report-options", estate(&hooks.url("/in")));
    history(&client);
    let without = client.post(REPORT, json!({ "include_probe_results": false, "persist_artifact": false })).ok();
    assert_eq!(without["evidence_pack"], json!({ "persisted": false, "reason": "persist_artifact is false" }));
    assert!(without.get("attestation").is_none());
    let probes = &without["sections"]["controlled_probe_results"];
    assert_eq!((&probes["results"], &probes["selected_probe_ids"]), (&json!([]), &json!([])));
    assert!(
        without["sections"]["residual_risk_and_follow_up"]["not_assessed"].to_string().contains("controlled probes")
    );
    // Not kept, and still on record.
    assert_eq!(audit::rows(&client, GENERATED).len(), 1);
    let severe = client.post(REPORT, json!({ "min_severity": "high", "persist_artifact": null })).ok();
    let all = without["counts"]["findings"].as_u64().unwrap();
    assert!(severe["counts"]["findings"].as_u64().unwrap() < all);
    let one = client.post(REPORT, json!({ "probes": ["webhook_url_policy", "bogus"], "persistArtifact": false })).ok();
    assert_eq!(one["sections"]["controlled_probe_results"]["selected_probe_ids"], json!(["webhook_url_policy"]));
    assert_eq!(one["scope"]["ignored_probe_ids"], json!(["bogus"]));
    let future = client.post(REPORT, json!({ "from_ms": 4_000_000_000_000_u64 })).ok();
    assert_eq!((&future["counts"]["incidents"], &future["counts"]["protected_audit_events"]), (&json!(0), &json!(0)));
    let past = client.post(REPORT, json!({ "to_ms": 1_000 })).ok();
    assert_eq!(past["counts"]["destination_receipts"], json!(0));
    let kind = client.post(REPORT, json!({ "source_kind": " tandem_monitor " })).ok();
    assert_eq!((&kind["counts"]["incidents"], &kind["scope"]["source_kind"]), (&json!(0), &json!("tandem_monitor")));
    let routed = client.post(REPORT, json!({ "route_destination_ids": ["hook", "nowhere"] })).ok();
    let preview = &routed["sections"]["external_audit_export"]["route_preview"];
    assert_eq!(preview["requested_destination_ids"], json!(["hook", "nowhere"]));
    assert!(preview["blocked_reasons"].to_string().contains("not configured"), "{preview}");
    for (body, status) in [
        (json!({ "min_severity": "severe" }), 400),
        (json!({ "probes": ["bogus"] }), 400),
        (json!({ "from_ms": 2, "to_ms": 1 }), 400),
        (json!({ "records_cursor": "x" }), 400),
        (json!({ "probes": null }), 422),
        (json!({ "route_destination_ids": null }), 422),
        (json!({ "from_ms": "yesterday" }), 422),
    ] {
        client.post(REPORT, body.clone()).refused(status, "VALIDATION_FAILED");
    }
    client.post(&format!("{REPORT}?format=pdf"), json!({})).refused(400, "VALIDATION_FAILED");
    client.get(&format!("{REPORT}/none")).refused(404, "EVIDENCE_ARTIFACT_NOT_FOUND");
}

#[test]
fn audit_rows_are_given_page_by_page() {
    let (_server, client) = configured("report-records", json!({}));
    for n in 0..60 {
        drafted(&client, bodies::report_as(&format!("fp-records-{n}")));
    }
    // Each draft leaves some rows; the first page is full at 500 only in a larger log, so the cursor is given by hand.
    let whole = client.post(REPORT, json!({ "persist_artifact": false })).ok();
    let records = whole["sections"]["external_audit_export"]["records"].as_array().unwrap().clone();
    let seqs: Vec<u64> = records.iter().map(|row| row["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a > b) && seqs.len() > 60, "{seqs:?}");
    assert!(records.iter().all(|row| row["event_type"].as_str().unwrap().starts_with("incident_monitor.")));
    let cursor = seqs[30].to_string();
    let older = client.post(REPORT, json!({ "persist_artifact": false, "records_cursor": cursor })).ok();
    let older = older["sections"]["external_audit_export"]["records"].as_array().unwrap().clone();
    assert_eq!(older.as_slice(), &records[31..]);
}

#[test]
fn a_log_that_was_tampered_with_is_reported_as_that() {
    let (mut server, client) = configured("report-tampered", json!({}));
    history(&client);
    client.get("/audit/protected").ok();
    audit::manifest(&client);
    drop(client);
    let (launch, file) = (server.launch().clone(), database(&server));
    server.terminate();
    let db = rusqlite::Connection::open(&file).unwrap();
    let sql =
        "UPDATE audit_events SET canonical = replace(canonical, 'incident_monitor', 'incident_monitoR') WHERE seq = 4";
    assert_eq!(db.execute(sql, []).unwrap(), 1);
    drop(db);
    drop(server);
    let server = launch.start();
    let client = server.client();
    let report = client.post(REPORT, json!({})).ok();
    assert_eq!(
        (&report["integrity"]["status"], &report["integrity"]["first_bad_seq"]),
        (&json!("tampered"), &json!(4))
    );
    assert!(report["counts"]["protected_audit_events"].as_u64().unwrap() > 0);
    let not_assessed = report["sections"]["residual_risk_and_follow_up"]["not_assessed"].to_string();
    assert!(not_assessed.contains("audit rows from 4 on"), "{not_assessed}");
    let artifact = text(&report["evidence_pack"]["artifact_id"]);
    let page = client.get(&format!("{REPORT}/{artifact}?format=html")).text();
    assert!(page.contains("TAMPERED from row 4 on"));
}

#[test]
fn a_changed_artifact_is_not_shown_as_if_it_were_the_report() {
    let (mut server, client) = configured("report-changed", json!({}));
    let report = client.post(REPORT, json!({})).ok();
    let (run, artifact) =
        (text(&report["evidence_pack"]["context_run_id"]), text(&report["evidence_pack"]["artifact_id"]));
    drop(client);
    let (launch, file) = (server.launch().clone(), database(&server));
    server.terminate();
    let db = rusqlite::Connection::open(&file).unwrap();
    let sql = "UPDATE evidence_artifacts SET body = replace(body, 'customer_owned_systems', 'customer_owned_systemZ')";
    assert_eq!(db.execute(sql, []).unwrap(), 1);
    drop(db);
    drop(server);
    let server = launch.start();
    let client = server.client();
    client.get(&format!("{REPORT}/{artifact}")).refused(409, "EVIDENCE_ARTIFACT_TAMPERED");
    let board = client.get(&format!("/context/runs/{run}/blackboard")).ok()["blackboard"].clone();
    assert_eq!(board["artifacts"][0]["intact"], json!(false));
}

#[test]
fn every_form_is_made_of_the_same_report() {
    let hooks = Receiver::new();
    let (_server, client) = configured("report-forms", estate(&hooks.url("/in")));
    drafted(&client, bodies::report("<script>alert(1)</script> & \"quotes\""));
    let report = client.post(REPORT, json!({})).ok();
    let artifact = text(&report["evidence_pack"]["artifact_id"]);
    let form = |format: &str, kind: &str| {
        let stored = client.get(&format!("{REPORT}/{artifact}?format={format}"));
        assert_eq!((stored.status, stored.header("content-type")), (200, Some(kind)), "{format}: {}", stored.text());
        let posted = client.post(&format!("{REPORT}?format={format}"), json!({}));
        assert_eq!((posted.status, posted.header("content-type")), (200, Some(kind)), "{format}");
        assert!(posted.header("content-location").is_some_and(|at| at.starts_with(REPORT)), "{format}");
        stored
    };
    assert!(form("markdown", "text/markdown; charset=utf-8").text().contains("## Control Mapping"));
    let page = form("html", "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let html = page.text();
    assert!(html.contains("<svg") && html.contains("&lt;script&gt;alert(1)"), "the chart and the escaped title");
    for forbidden in ["<script", "<img", "<link", "<iframe", "javascript:", "@import", "url("] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    // The only addresses are names: the SVG namespace and what the report itself names.
    assert!(html.matches("src=").count() == 0 && html.matches("href=").count() == 0);
    let sarif = form("sarif", "application/sarif+json").json();
    let findings = report["sections"]["detected_findings"]["findings"].as_array().unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert!(results.len() >= findings.len());
    assert_eq!(results[0]["partialFingerprints"]["tandemFinding/v1"], findings[0]["fingerprint"]);
    let events = form("ocsf", "application/json").json();
    let compliance = events.as_array().unwrap().iter().filter(|event| event["class_uid"] == json!(2003)).count();
    assert_eq!(compliance, findings.len());
    let oscal = form("oscal", "application/json").json();
    let hash = &oscal["assessment-results"]["back-matter"]["resources"][0]["rlinks"][0]["hashes"][0]["value"];
    assert_eq!(*hash, report["evidence_pack"]["content_sha256"]);
    assert!(!oscal.to_string().contains("\"satisfied\""));
    for answer in [html, sarif.to_string(), events.to_string(), oscal.to_string()] {
        assert!(!answer.to_lowercase().contains("compliant"), "no form says so");
    }
}

#[test]
fn a_server_that_asks_for_no_token_still_refuses_keys() {
    let server = launch("report-local").arg("--unsafe-no-api-token").start();
    let nobody = server.stranger();
    crate::support::configure(&nobody, json!({ "monitored_projects": [bodies::project("shop", "/srv/shop")] }));
    let (_, raw) = keyed(&nobody, json!({}));
    let report = nobody.post(REPORT, json!({})).ok();
    let artifact = text(&report["evidence_pack"]["artifact_id"]);
    let with_key = server.stranger().with(KEY_HEADER, &raw);
    for reply in [with_key.post(REPORT, json!({})), with_key.get(&format!("{REPORT}/{artifact}"))] {
        reply.refused(403, "INCIDENT_MONITOR_ASSESSMENT_REPORT_ADMIN_REQUIRED");
    }
}
