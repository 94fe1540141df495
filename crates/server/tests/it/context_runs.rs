//! Runs under one address: what they left, what they did, what the log says of it, and what is missing.

use serde_json::{Value, json};
use tandem_testkit::{Client, Server, bodies};

use crate::{
    automations::{asked, claimed, made},
    support::{KEY_HEADER, configured, drafted, keyed, publish, settled, text, triaged},
};

fn kinds(package: &Value) -> Vec<String> {
    let findings = package["audit_completeness"]["findings"].as_array().unwrap();
    findings.iter().map(|gap| text(&gap["kind"])).collect()
}

fn other_tenant(server: &Server, admin: &Client) -> Client {
    let tenant = json!({ "org_id": "acme", "workspace_id": "prod" });
    let made = admin.post("/auth/tokens", json!({ "name": "other", "tenant": tenant })).ok();
    server.stranger().bearer(&text(&made["raw_token"]))
}

#[test]
fn the_run_of_an_automation_is_told_with_its_gate() {
    let shop = json!({ "monitored_projects": [bodies::project("shop", "/srv/shop")] });
    let (server, client) = configured("context-automation", shop);
    let automation = made(&client, "Pay invoices");
    let run_id = asked(&client, &automation);
    let claim = claimed(&client, &run_id, 60_000);
    let report = |body: Value| client.post(&format!("/automations/v2/runs/{run_id}/report"), body).ok();
    report(json!({ "report_id": "gate", "claim_id": claim, "status": "awaiting_approval", "tool_calls": 3,
        "awaiting_gate": { "node_id": "a", "title": "Send it?", "instructions": "canary-instructions" } }));
    let waiting = client.get(&format!("/context/runs/{run_id}/governance-evidence")).ok()["evidence_package"].clone();
    assert_eq!(waiting["approvals"]["pending_gate"]["node_id"], json!("a"));
    assert_eq!(waiting["provenance"]["reviewer_state"], json!("draft"));
    let ann = server.client().with("x-tandem-actor-id", "ann").with("x-tandem-request-source", "control_panel");
    let decision = json!({ "decision": "approve", "reason": "looked at, token=abcdef0123456789abcdef" });
    ann.post(&format!("/automations/v2/runs/{run_id}/gate"), decision).ok();
    let claim = claimed(&client, &run_id, 60_000);
    report(json!({ "report_id": "a", "claim_id": claim, "completed_nodes": ["a"], "artifact_refs": ["s3://out/a"] }));
    report(json!({ "report_id": "b", "claim_id": claim, "status": "completed", "completed_nodes": ["b"],
        "node_outputs": { "b": "canary-output" } }));

    let own = client.get(&format!("/context/runs/{run_id}")).ok()["run"].clone();
    let same = client.get(&format!("/context/runs/automation-v2-{run_id}")).ok()["run"].clone();
    assert_eq!(own, same);
    assert_eq!((&own["run_type"], &own["status"]), (&json!("automation_v2"), &json!("completed")));
    let answer = client.get(&format!("/context/runs/{run_id}/governance-evidence")).ok();
    let package = &answer["evidence_package"];
    assert_eq!(answer["filename"], json!(format!("tandem-governance-evidence-{run_id}.json")));
    assert_eq!(package["package_type"], json!("tandem_run_governance_evidence"));
    assert_eq!(kinds(package), Vec::<String>::new(), "{}", package["audit_completeness"]);
    assert_eq!(package["audit_completeness"]["status"], json!("complete"));
    assert_eq!(package["approvals"]["gate_history"][0]["decided_by"]["actor_id"], json!("ann"));
    assert_eq!(package["actors"]["approval_deciders"], json!(["ann"]));
    assert_eq!(package["provenance"]["reviewer_state"], json!("approved"));
    assert_eq!(package["tool_call_summary"]["executor_reported_tool_calls"], json!(3));
    assert_eq!(package["artifacts"][0]["path"], json!("s3://out/a"));
    assert_eq!(package["audit"]["integrity"]["status"], json!("verified"));
    for secret in ["canary-output", "canary-instructions", "abcdef0123456789abcdef"] {
        assert!(!answer.to_string().contains(secret), "{secret}");
    }
    // The digests are over the package as it stands in the answer.
    let plain = tandem_core::text::sha256_hex(&package.to_string());
    assert_eq!(answer["content_digest_sha256"], json!(plain));
    assert_ne!(answer["content_sha256"], json!(plain));

    let ledger = client.get(&format!("/context/runs/{run_id}/ledger")).ok();
    let records = ledger["records"].as_array().unwrap();
    let tools: Vec<&str> = records.iter().map(|row| row["record"]["tool"].as_str().unwrap()).collect();
    assert!(tools.contains(&"run_start") && tools.contains(&"node:a"), "{tools:?}");
    let guarded = records.iter().find(|row| row["record"]["tool"] == "node:a").unwrap();
    assert_eq!(guarded["record"]["protected"], json!(true));
    assert!(guarded["record"]["policy_decision_id"].is_string(), "{guarded}");
    let last = records.last().unwrap()["seq"].as_u64().unwrap();
    let rest = client.get(&format!("/context/runs/{run_id}/ledger?since_seq={last}")).ok();
    assert_eq!((rest["records"].as_array().unwrap().len(), &rest["summary"]), (0, &ledger["summary"]));
    let tail = client.get(&format!("/context/runs/{run_id}/ledger?tail=1")).ok();
    assert_eq!(tail["records"].as_array().unwrap().as_slice(), &records[records.len() - 1..]);

    let stranger = other_tenant(&server, &client);
    for path in ["", "/blackboard", "/governance-evidence", "/ledger"] {
        stranger.get(&format!("/context/runs/{run_id}{path}")).refused(404, "CONTEXT_RUN_NOT_FOUND");
        client.get(&format!("/context/runs/no-such-run{path}")).refused(404, "CONTEXT_RUN_NOT_FOUND");
    }
    let (_, key) = keyed(&client, json!({}));
    let with_key = server.client().with(KEY_HEADER, &key);
    with_key.get(&format!("/context/runs/{run_id}")).refused(403, "INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED");
    with_key.get("/memory/audit").refused(403, "INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED");
}

#[test]
fn a_triage_run_tells_of_its_publish_and_of_what_it_remembers() {
    let destinations = json!({
        "destinations": [bodies::memory("mem")], "default_destination_ids": ["mem"],
        "monitored_projects": [bodies::project("shop", "/srv/shop")],
    });
    let (_server, client) = configured("context-triage", destinations);
    let draft_id = drafted(&client, bodies::report("remembered"));
    client.ask(&format!("/incident-monitor/drafts/{draft_id}/triage-run")).ok();
    triaged(&client, &draft_id);
    publish(&client, &draft_id, json!({})).ok();
    settled(&client, &draft_id, "mem", "posted");
    let run_id = text(&crate::support::draft(&client, &draft_id)["triage_run_id"]);
    let run = client.get(&format!("/context/runs/{run_id}")).ok()["run"].clone();
    let tasks = run["tasks"].as_array().unwrap();
    let kinds_of_work: Vec<&str> = tasks.iter().map(|task| task["payload"]["task_kind"].as_str().unwrap()).collect();
    assert_eq!(kinds_of_work, ["inspection", "research", "validation", "fix_proposal"], "{run}");
    assert!(tasks.windows(2).all(|pair| pair[1]["depends_on_task_ids"] == json!([pair[0]["id"]])), "{run}");
    assert_eq!(run["steps"].as_array().unwrap().len(), 4);
    let board = client.get(&format!("/context/runs/{run_id}/blackboard")).ok()["blackboard"].clone();
    let artifacts = board["artifacts"].as_array().unwrap();
    assert!(artifacts.len() >= 4, "{board}");
    let first = text(&artifacts[0]["id"]);
    let body = client.get(&format!("/context/runs/{run_id}/artifacts/{first}"));
    assert_eq!(artifacts[0]["content_sha256"], json!(tandem_core::text::sha256_hex(&body.text())));
    client.get(&format!("/context/runs/{run_id}/artifacts/none")).refused(404, "EVIDENCE_ARTIFACT_NOT_FOUND");
    let package = client.get(&format!("/context/runs/{run_id}/governance-evidence")).ok()["evidence_package"].clone();
    assert_eq!(package["run"]["run_type"], json!("incident_monitor_triage"));
    assert_eq!(kinds(&package), Vec::<String>::new(), "{}", package["audit_completeness"]);
    let decision = &package["policy_decisions"][0];
    assert_eq!((&decision["tool"], &decision["decision"]), (&json!("publish"), &json!("allow")));

    let answer = client.get("/memory/audit").ok();
    let entries = answer["entries"].as_array().unwrap();
    assert_eq!((&answer["events"], answer["count"].as_u64()), (&answer["entries"], Some(entries.len() as u64)));
    assert!(!entries.is_empty(), "{answer}");
    assert!(entries.iter().all(|row| row["id"] == row["audit_id"] && row["ts_ms"] == row["created_at_ms"]), "{answer}");
    assert_eq!(client.get("/memory/audit?limit=1").ok()["count"], json!(1));
    assert_eq!(client.get("/memory/audit?run_id=none").ok()["count"], json!(0));
    client.get("/memory/audit?limit=x").refused(400, "VALIDATION_FAILED");
}

#[test]
fn data_boundaries_are_watched_by_whoever_may_read_the_log() {
    let shop = json!({ "monitored_projects": [bodies::project("shop", "/srv/shop")] });
    let (server, client) = configured("boundary", shop);
    let answer = client.get("/audit/data-boundary/monitoring?recent_limit=0&action=block").ok();
    assert_eq!((&answer["source"], &answer["totals"]["events"]), (&json!("data_boundary_monitoring"), &json!(0)));
    assert_eq!((&answer["recent"], &answer["counts"]["by_action"]), (&json!([]), &json!({})));
    assert_eq!(answer["integrity"]["status"], json!("verified"));
    let (_, key) = keyed(&client, json!({ "project_id": "shop" }));
    let with_key = server.client().with(KEY_HEADER, &key);
    with_key.get("/audit/data-boundary/monitoring").refused(403, "AUDIT_ADMIN_REQUIRED");
    client.get("/audit/data-boundary/monitoring?since_ms=x").refused(400, "VALIDATION_FAILED");
}
