//! Secrets that were planted everywhere, and every answer of the assessment searched for them, in every form.

use serde_json::{Value, json};
use tandem_testkit::{Client, Receiver, audit, bodies};

use crate::support::{drafted, keyed, launch, publish, settled, text};

const REPORT: &str = "/incident-monitor/security/assessment-report";

/// What must not come out, and where it was put.
const PLANTED: [(&str, &str); 12] = [
    ("canary-url-path-7f3a", "the path of a webhook's address"),
    ("CANARY_SECRET_NAME", "the name of a webhook's secret"),
    ("canary-config-value", "a destination's own setting"),
    ("canary-allowed-use", "a source's allowed use"),
    ("canary-quality-notes", "a source's quality notes"),
    ("canary-legal-basis", "a source's legal basis"),
    ("canary-authorization", "a source's authorization marker"),
    ("canary-rationale", "the rationale of a request for approval"),
    ("canary-metadata", "the metadata of a node"),
    ("canary-model-policy", "a model policy"),
    ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "a token in the title of a report"),
    ("canary-password-0123", "a password in the detail of a report"),
];

#[test]
fn no_answer_of_the_assessment_holds_a_secret() {
    let hooks = Receiver::new();
    let server = launch("canary").env("CANARY_SECRET_NAME", "canary-secret-value").start();
    let client = server.client();
    let mut hook = bodies::webhook("hook", &hooks.url("/canary-url-path-7f3a"));
    hook["webhook_secret_ref"] = json!("env:CANARY_SECRET_NAME");
    hook["config"]["own_setting"] = json!("canary-config-value");
    let mut project = bodies::project("shop", "/srv/shop");
    project["data_readiness"] = json!({
        "allowed_use": "canary-allowed-use", "quality_notes": "canary-quality-notes",
        "legal_basis": "canary-legal-basis", "authorization_marker": "canary-authorization",
    });
    let over = json!({
        "destinations": [bodies::telemetry("local"), hook],
        "monitored_projects": [project],
        "model_policy": { "default_model": { "provider_id": "canary-model-policy", "model_id": "x" } },
    });
    crate::support::configure(&client, over);
    let (_, raw_key) = keyed(&client, json!({}));
    let made = client.post("/auth/tokens", json!({ "name": "reader" })).ok();
    let raw_token = text(&made["raw_token"]);
    let spec = json!({
        "name": "Canary", "agents": [{ "agent_id": "w", "model_policy": { "secret": "canary-model-policy" } }],
        "flow": { "nodes": [{ "node_id": "n", "agent_id": "w", "objective": "canary-metadata",
            "metadata": { "note": "canary-metadata" } }] },
    });
    let automation = text(&client.post("/automations/v2", spec).ok()["automation"]["automation_id"]);
    let wish = json!({
        "request_type": "external_post", "target_resource": { "type": "automation", "id": automation },
        "rationale": "canary-rationale",
        "context": { "action": "post", "parameters": { "text": "canary-rationale" } },
    });
    let filed = client.post("/governance/approvals", wish);
    assert!(filed.status < 300, "{}", filed.text());
    let run = text(&client.post(&format!("/automations/v2/{automation}/run_now"), json!({})).ok()["run"]["run_id"]);
    let mut report = bodies::report("push failed with ghp_0123456789abcdefghijABCDEFGHIJ012345");
    report["detail"] =
        json!("login with password=canary-password-0123 failed, see ghp_0123456789abcdefghijABCDEFGHIJ012345");
    report["event_payload"] = json!({ "authorization": "Bearer canary-password-0123" });
    let id = drafted(&client, report);
    client.ask(&format!("/incident-monitor/drafts/{id}/triage-run")).ok();
    crate::support::triaged(&client, &id);
    publish(&client, &id, json!({ "destination_ids": ["local", "hook"] })).ok();
    settled(&client, &id, "local", "posted");
    settled(&client, &id, "hook", "posted");

    let kept = client.post(REPORT, json!({ "include_raw_payloads": true, "include_draft_suggestions": true })).ok();
    let pack = &kept["evidence_pack"];
    let (context, artifact) = (text(&pack["context_run_id"]), text(&pack["artifact_id"]));
    let probes = client.post("/incident-monitor/security/assessment-probes", json!({})).ok();
    let probe_pack = &probes["evidence_pack"];
    let triage = text(&crate::support::draft(&client, &id)["triage_run_id"]);
    let mut answers: Vec<(String, String)> = vec![
        ("report".into(), kept.to_string()),
        ("probes".into(), probes.to_string()),
        (
            "rows about reports".into(),
            Value::from(audit::rows(&client, "incident_monitor.assessment_report.generated")).to_string(),
        ),
    ];
    for format in ["json", "markdown", "html", "sarif", "ocsf", "oscal"] {
        answers.push((
            format!("stored report as {format}"),
            get(&client, &format!("{REPORT}/{artifact}?format={format}")),
        ));
        let posted = client.post(&format!("{REPORT}?format={format}"), json!({ "include_raw_payloads": true }));
        assert_eq!(posted.status, 200, "{format}");
        answers.push((format!("report as {format}"), posted.text()));
    }
    let probe_artifact =
        format!("/context/runs/{}/artifacts/{}", text(&probe_pack["context_run_id"]), text(&probe_pack["artifact_id"]));
    // Every route of the area that names nothing in particular.
    let document = client.get("/openapi.json").ok();
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/incident-monitor/security/") || path.contains('{') {
            continue;
        }
        if item.get("get").is_some() {
            // The one that needs to be asked something.
            let asked = if path.ends_with("/reach") { format!("{path}?to=destination:hook") } else { path.clone() };
            answers.push((format!("GET {path}"), get(&client, &asked)));
        }
        if item.get("post").is_some() {
            answers.push((format!("POST {path}"), post(&client, path)));
        }
    }
    for path in [
        "/memory/audit".to_owned(),
        "/audit/data-boundary/monitoring".to_owned(),
        format!("/context/runs/{context}/artifacts/{artifact}"),
        probe_artifact,
        format!("/context/runs/{context}"),
        format!("/context/runs/{context}/blackboard"),
        format!("/context/runs/{context}/governance-evidence"),
        format!("/context/runs/{run}"),
        format!("/context/runs/{run}/governance-evidence"),
        format!("/context/runs/{run}/ledger"),
        format!("/context/runs/{triage}"),
        format!("/context/runs/{triage}/governance-evidence"),
        format!("/context/runs/{triage}/ledger"),
    ] {
        let answer = get(&client, &path);
        answers.push((path, answer));
    }
    let secrets = PLANTED.iter().copied().chain([
        (raw_key.as_str(), "a raw intake key"),
        (raw_token.as_str(), "a raw token"),
        ("canary-secret-value", "the value of a webhook's secret"),
    ]);
    for (secret, place) in secrets {
        for (what, answer) in &answers {
            assert!(!answer.contains(secret), "{place} is in {what}");
        }
    }
    // No place of this machine either.
    let state = server.state_dir().to_string_lossy().into_owned();
    for (what, answer) in &answers {
        assert!(!answer.contains(&state), "{what} names the state directory");
    }
    // The search would have found them: the report does hold what may be seen.
    assert!(answers[0].1.contains("push failed with") && answers[0].1.contains("\"hook\""));
}

fn get(client: &Client, path: &str) -> String {
    let reply = client.get(path);
    assert!(reply.status == 200, "{path}: {} {}", reply.status, reply.text());
    reply.text()
}

fn post(client: &Client, path: &str) -> String {
    let reply = client.post(path, json!({}));
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.text()
}
