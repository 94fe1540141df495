//! Controlled probes, scenario packs and governance metrics, asked of a server that runs.

use std::fs;

use serde_json::{Value, json};
use tandem_testkit::{Client, audit, bodies};

use crate::support::{KEY_HEADER, configure, configured, drafted, keyed, launch, publish, settled, text};

const PROBES: &str = "/incident-monitor/security/assessment-probes";
const PACKS: &str = "/incident-monitor/security/scenario-packs";
const METRICS: &str = "/incident-monitor/security/governance-metrics";
const ROW: &str = "incident_monitor.assessment_probes.completed";

fn shop() -> Value {
    json!({
        "destinations": [bodies::telemetry("local"), bodies::webhook("hook", "http://127.0.0.1:9/")],
        "monitored_projects": [bodies::project("shop", "/srv/shop")],
    })
}

/// The results of one probe.
fn results<'a>(run: &'a Value, probe: &str) -> Vec<&'a Value> {
    let all = run["results"].as_array().expect("results");
    all.iter().filter(|result| result["probe_id"] == probe).collect()
}

#[test]
fn a_run_is_answered_kept_and_recorded() {
    let (_server, admin) = configured("probes", shop());
    let (key_id, raw) = keyed(&admin, json!({}));
    let before = audit::last_seq(&admin);
    let person = admin.again().with("x-tandem-actor-id", "ada");
    let run = person.post(PROBES, json!({})).ok();

    assert_eq!((&run["schema_version"], &run["scope"]["full_token_required"]), (&json!(1), &json!(true)));
    assert_eq!(run["scope"]["source"], "incident_monitor_security_assessment_probes");
    assert_eq!(run["probe_policy"]["supported_modes"], json!(["dry_run", "disabled"]));
    assert_eq!(run["probe_policy"]["selected_probe_ids"], run["probe_policy"]["supported_probe_ids"]);
    assert_eq!(run["counts"]["results"], json!(run["results"].as_array().unwrap().len()));
    let intake = results(&run, "scoped_intake_restriction");
    assert_eq!((intake.len(), &intake[0]["status"]), (1, &json!("pass")), "{intake:?}");
    assert_eq!(intake[0]["target"]["id"], json!(key_id));
    // Three ways to present a key, on every privileged route.
    assert!(intake[0]["target"]["doors_tried"].as_u64().unwrap() > 300, "{intake:?}");
    // Loopback is allowed by name, and plain HTTP too: that is what the operator asked for.
    assert_eq!(results(&run, "webhook_url_policy")[0]["status"], "pass");
    assert_eq!(results(&run, "mcp_tool_allowlist").last().unwrap()["status"], "not_applicable");
    assert!(run["counts"]["not_applicable"].as_u64() >= Some(1) && run["counts"]["blocked"] == json!(0), "{run}");

    // Nothing happened but the row of the run itself.
    assert_eq!(audit::last_seq(&admin), before + 1);
    let rows = audit::rows(&admin, ROW);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["actor"]["actor_id"], "ada");
    assert_eq!(rows[0]["payload"]["counts"], run["counts"]);
    let pack = &run["evidence_pack"];
    assert_eq!((&pack["persisted"], &pack["kind"]), (&json!(true), &json!("context_run_artifact")));
    assert_eq!(rows[0]["payload"]["evidence_pack"], *pack);
    assert_eq!(rows[0]["payload"]["dry_run"], json!(true));
    let id = text(&pack["context_run_id"]);
    assert!(id.starts_with("incident-monitor-assessment-probes-"), "{id}");
    admin.get(&format!("/context/runs/{id}")).ok();
    let kept = admin.get(&format!("/context/runs/{id}/artifacts/{}", text(&pack["artifact_id"])));
    let body = kept.text();
    for part in ["\"inventory\"", "\"status_snapshot\"", "\"destination_readiness\""] {
        assert!(body.contains(part), "{part} is not kept");
    }
    let hash = tandem_core::credential::intake_key_hash(&raw);
    for secret in [raw.as_str(), hash.as_str(), bodies::SECRET, bodies::SECRET_VARIABLE] {
        assert!(!body.contains(secret) && !run.to_string().contains(secret), "{secret} is told");
    }
    audit::assert_verified(&admin);
}

#[test]
fn what_is_asked_for_is_what_runs() {
    let (server, admin) = configured("probes-asked", shop());
    let (_, raw) = keyed(&admin, json!({}));
    let some = admin.post(PROBES, json!({ "probes": ["webhook_url_policy", "no_such_probe"] })).ok();
    assert_eq!(some["probe_policy"]["selected_probe_ids"], json!(["webhook_url_policy"]));
    assert_eq!(some["probe_policy"]["ignored_probe_ids"], json!(["no_such_probe"]));
    let refused = admin.post(PROBES, json!({ "probes": ["no_such_probe"] })).refused(400, "VALIDATION_FAILED");
    assert_eq!(refused["ignored_probe_ids"], json!(["no_such_probe"]), "{refused}");

    let before = audit::last_seq(&admin);
    let off = admin.post(PROBES, json!({ "mode": "off" })).ok();
    assert_eq!((&off["results"], &off["evidence_pack"]["persisted"]), (&json!([]), &json!(false)));
    assert!(off["evidence_pack"]["reason"].is_string());
    assert_eq!(audit::last_seq(&admin), before);

    // Without its approvals, the hook is reached unseen.
    configure(
        &admin,
        json!({
            "destinations": [bodies::webhook("hook", "http://127.0.0.1:9/")], "default_destination_ids": ["hook"],
            "safety_defaults": { "require_approval_for_high_risk": false },
        }),
    );
    let open = admin.post(PROBES, json!({ "probes": ["route_preview_high_risk_approval"] })).ok();
    assert_eq!(open["results"][0]["status"], "fail");
    assert_eq!(open["results"][0]["target"]["destination_ids"], json!(["hook"]));
    assert!(text(&open["results"][0]["finding_id"]).starts_with("bap_"));
    let suggestion = &open["results"][0]["incident_draft_suggestion"];
    admin.post("/incident-monitor/report", json!({ "report": suggestion })).ok();
    let quiet = json!({ "probes": ["route_preview_high_risk_approval"], "includeDraftSuggestions": false });
    assert_eq!(admin.post(PROBES, quiet).ok()["results"][0]["incident_draft_suggestion"], Value::Null);

    for (path, code) in [
        (PROBES, "INCIDENT_MONITOR_ASSESSMENT_PROBES_ADMIN_REQUIRED"),
        (PACKS, "INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED"),
        (METRICS, "INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED"),
    ] {
        admin.must("POST", path, &[(KEY_HEADER, &raw)], Some(json!({}))).refused(403, code);
        server.stranger().with(KEY_HEADER, &raw).post(path, json!({})).refused(401, "AUTH_REQUIRED");
        let json = [("content-type", "application/json")];
        let sent = |headers: &[(&str, &str)], body: &str| admin.send("POST", path, headers, body.as_bytes()).unwrap();
        sent(&[], "{}").refused(415, "VALIDATION_FAILED");
        sent(&json, "").refused(400, "VALIDATION_FAILED");
        sent(&json, "{").refused(400, "VALIDATION_FAILED");
    }
    for (path, body) in [
        (PROBES, json!({ "probes": null })),
        (PROBES, json!({ "probes": "all" })),
        (PACKS, json!({ "scenario_ids": null })),
        (METRICS, json!({ "window_ms": "a week" })),
    ] {
        admin.post(path, body).refused(422, "VALIDATION_FAILED");
    }
    admin.post(PROBES, json!({ "mode": null, "include_draft_suggestions": null })).ok();
}

#[test]
fn packs_are_listed_and_run() {
    let launch = launch("packs");
    let dir = launch.scratch().join("packs");
    fs::create_dir_all(&dir).unwrap();
    let own = json!({ "pack_id": "ours", "version": "3", "scenarios": [{ "scenario_id": "goes_local", "category": "own",
        "input": { "event_type": "x", "risk_level": "low" }, "expect": { "effective_destination_id": "local" } }] });
    fs::write(dir.join("ours.json"), own.to_string()).unwrap();
    let server = launch.env("TANDEM_SCENARIO_PACKS_DIR", dir.to_str().unwrap()).start();
    let admin = server.client();
    configure(&admin, json!({}));
    let before = audit::last_seq(&admin);

    let listed = admin.get(PACKS).ok();
    let ids: Vec<&Value> = listed["packs"].as_array().unwrap().iter().map(|pack| &pack["pack_id"]).collect();
    assert_eq!(ids, ["tandem_default_adversarial", "tandem_discriminating", "ours"]);
    assert_eq!(listed["packs"][0]["scenarios"].as_array().unwrap().len(), 8);
    assert!(listed["scope"].get("tenant_context").is_none() && listed["packs"][0].get("results").is_none());

    let default = admin.post(PACKS, json!({})).ok();
    assert_eq!(default["pack"]["counts"], json!({ "total": 8, "passed": 8, "failed": 0, "blocked": 0 }), "{default:#}");
    assert_eq!(default["scope"]["tenant_context"]["org_id"], "local");
    let one = json!({ "scenarioIds": ["unsafe_unready_destination_blocked"] });
    assert_eq!(admin.post(PACKS, one).ok()["pack"]["counts"]["total"], 1);
    assert_eq!(admin.post(PACKS, json!({ "pack_id": "ours" })).ok()["pack"]["counts"]["passed"], 1);
    let mut wrong = own.clone();
    wrong["scenarios"][0]["expect"]["effective_destination_id"] = "elsewhere".into();
    let failed = admin.post(PACKS, json!({ "pack": wrong })).ok()["pack"]["results"][0].clone();
    assert_eq!((&failed["status"], &failed["assertions"][0]["actual"]), (&json!("fail"), &json!("local")));
    assert_eq!(failed["evidence_refs"][0]["kind"], "scenario_pack");
    admin.post(PACKS, json!({ "pack_id": "nobodys" })).refused(404, "NOT_FOUND");
    wrong["scenarios"][0]["expect"] = json!({});
    admin.post(PACKS, json!({ "pack": wrong })).refused(400, "VALIDATION_FAILED");
    assert_eq!(audit::last_seq(&admin), before);
}

#[test]
fn a_pack_that_cannot_be_read_keeps_the_server_from_starting() {
    let launch = launch("packs-broken");
    let dir = launch.scratch().join("packs");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("broken.json"), "{").unwrap();
    let ended = launch.env("TANDEM_SCENARIO_PACKS_DIR", dir.to_str().unwrap()).refused();
    assert!(ended.stderr.contains("broken.json"), "{}", ended.stderr);
}

/// `(numerator, denominator)` of a metric.
fn metric(client: &Client, body: Value, id: &str) -> (u64, u64) {
    let answer = client.post(METRICS, body).ok();
    let metrics = answer["governance_maturity"]["metrics"].as_array().unwrap().clone();
    let found = metrics.iter().find(|metric| metric["metric_id"] == id).unwrap();
    (found["numerator"].as_u64().unwrap(), found["denominator"].as_u64().unwrap())
}

#[test]
fn metrics_follow_what_happened() {
    let (_server, admin) = configured("metrics", json!({}));
    let empty = admin.post(METRICS, json!({})).ok();
    assert_eq!(empty["scope"]["source"], "incident_monitor_governance_maturity_metrics");
    let maturity = &empty["governance_maturity"];
    assert_eq!((&maturity["window"]["window_ms"], &maturity["counts"]["metrics"]), (&json!(604_800_000), &json!(6)));
    assert_eq!(maturity["metrics"][0]["rate"], Value::Null);
    assert_eq!(maturity["thresholds"]["receipt_completeness_min"], json!(0.95));
    assert_eq!(maturity["integrity"]["status"], "verified");

    let high = |name: &str, refs: Value| {
        bodies::merged(bodies::report_as(name), json!({ "risk_level": "high", "evidence_refs": refs }))
    };
    let told = drafted(&admin, high("told", json!(["log:1"])));
    drafted(&admin, high("untold", json!(["log:2"])));
    for _ in 0..2 {
        drafted(&admin, bodies::report_as("low"));
    }
    admin.post(&format!("/incident-monitor/drafts/{told}/approve"), json!({})).ok();
    publish(&admin, &told, json!({})).ok();
    settled(&admin, &told, "local", "posted");
    assert_eq!(metric(&admin, json!({}), "governance_confidence"), (1, 2));
    assert_eq!(metric(&admin, json!({}), "receipt_completeness"), (1, 1));
    assert_eq!(metric(&admin, json!({}), "recurring_incident_rate"), (1, 3));
    assert_eq!(metric(&admin, json!({}), "route_readiness_compliance"), (1, 1));
    // A window that ended before all of it.
    assert_eq!(metric(&admin, json!({ "to_ms": 1_000 }), "recurring_incident_rate"), (0, 0));

    let found = admin.post(METRICS, json!({ "thresholds": { "drift_rate_delta_max": 1 } })).ok();
    let findings = found["governance_maturity"]["threshold_findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0]["metric_id"], "governance_confidence");
    assert!(text(&findings[0]["finding_id"]).starts_with("gmf_") && findings[0]["low_sample"] == json!(true));
    for wrong in [json!(-1), json!(1.5)] {
        let body = json!({ "thresholds": { "route_readiness_min": wrong } });
        admin.post(METRICS, body).refused(400, "VALIDATION_FAILED");
    }
}
