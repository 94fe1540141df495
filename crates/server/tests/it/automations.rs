//! Automations and their runs over HTTP: what comes in, what comes back, and what a run may become.

use serde_json::{Value, json};
use tandem_testkit::{Client, audit};

use crate::support::{configured, launch, text};

pub fn spec(name: &str) -> Value {
    json!({
        "name": name,
        "agents": [{ "agent_id": "worker" }],
        "flow": { "nodes": [
            { "node_id": "a", "agent_id": "worker", "objective": "first" },
            { "node_id": "b", "agent_id": "worker", "objective": "second", "depends_on": ["a"] },
        ] },
    })
}

#[track_caller]
pub fn made(client: &Client, name: &str) -> String {
    text(&client.post("/automations/v2", spec(name)).ok()["automation"]["automation_id"])
}

#[track_caller]
pub fn asked(client: &Client, automation: &str) -> String {
    text(&client.post(&format!("/automations/v2/{automation}/run_now"), json!({})).ok()["run"]["run_id"])
}

#[track_caller]
pub fn run(client: &Client, id: &str) -> Value {
    client.get(&format!("/automations/v2/runs/{id}")).ok()["run"].clone()
}

#[track_caller]
pub fn claimed(client: &Client, run: &str, lease_ms: u64) -> String {
    let body = json!({ "claimant_id": "executor-1", "lease_ms": lease_ms });
    text(&client.post(&format!("/automations/v2/runs/{run}/claim"), body).ok()["claim_id"])
}

#[track_caller]
fn act(client: &Client, run: &str, verb: &str) -> tandem_testkit::Reply {
    client.post(&format!("/automations/v2/runs/{run}/{verb}"), json!({ "reason": "" }))
}

#[test]
fn both_casings_come_in_and_unknown_keys_come_back() {
    let (_server, client) = configured("automation-casing", json!({}));
    let camel = json!({
        "automationId": "auto-camel", "name": "Camel", "ownKey": { "deepKey": [1, null, "x"] },
        "schedule": { "type": "cron", "cronExpression": "0 3 * * *", "timezone": "UTC", "misfirePolicy": "catch_up" },
        "agents": [{ "agentId": "w", "displayName": "W", "mcpPolicy": { "allowedServers": ["s", "s"] }, "teamColour": "red" }],
        "flow": { "nodes": [{ "nodeId": "n", "agentId": "w", "objective": "o", "inputRefs": [], "retryPolicy": { "maxAttempts": 2 } }] },
        "execution": { "maxParallelAgents": 3 }, "outputTargets": ["file://out"], "workspaceRoot": "/srv/x",
        "metadata": { "ownMeta": true }, "capabilities": { "createsAgents": false },
    });
    let made = client.post("/automations/v2", camel).ok()["automation"].clone();
    for key in ["automation_id", "automationID", "automationId"] {
        assert_eq!(made[key], json!("auto-camel"));
    }
    assert_eq!(made["status"], json!("draft"));
    assert_eq!(made["ownKey"], json!({ "deepKey": [1, null, "x"] }));
    assert_eq!(made["schedule"]["cron_expression"], json!("0 3 * * *"));
    assert_eq!(made["schedule"]["misfire_policy"]["type"], json!("catch_up"));
    let agent = &made["agents"][0];
    assert_eq!((&agent["agent_id"], &agent["teamColour"]), (&json!("w"), &json!("red")));
    assert_eq!(agent["mcp_policy"]["allowed_servers"], json!(["s"]));
    assert_eq!(agent["tool_policy"]["allowlist"], json!(["read"]));
    assert_eq!(made["flow"]["nodes"][0]["retry_policy"], json!({ "maxAttempts": 2 }));
    assert_eq!((&made["execution"]["max_parallel_agents"], &made["workspace_root"]), (&json!(3), &json!("/srv/x")));
    assert!(made.get("_upkeep").is_none() && made.get("capabilities").is_none());
    // What was answered can be sent back whole, and is then what it was.
    let again = client.patch("/automations/v2/auto-camel", made.clone()).ok()["automation"].clone();
    let without_time = |mut value: Value| {
        value.as_object_mut().unwrap().remove("updated_at_ms");
        value
    };
    assert_eq!(without_time(again), without_time(made.clone()));
    let patched = client.patch("/automations/v2/auto-camel", json!({ "outputTargets": ["b"], "another": 7 })).ok();
    assert_eq!(patched["automation"]["ownKey"], made["ownKey"]);
    assert_eq!(patched["automation"]["another"], json!(7));
    assert_eq!(patched["automation"]["output_targets"], json!(["b"]));
    assert_eq!(client.get("/automations/v2/auto-camel").ok()["automation"], patched["automation"]);
    let listed = client.get("/automations/v2").ok();
    assert_eq!((&listed["count"], &listed["automations"][0]["automation_id"]), (&json!(1), &json!("auto-camel")));
    let summary = client.get("/automations/v2?view=summary").ok();
    let row = &summary["automations"][0];
    assert_eq!((&summary["view"], &row["agent_count"], &row["node_count"]), (&json!("summary"), &json!(1), &json!(1)));
    assert!(row.get("agents").is_none() && row.get("flow").is_none());
}

#[test]
fn bodies_that_are_no_automation_are_refused_with_the_place() {
    let (_server, client) = configured("automation-refusals", json!({}));
    client.post("/automations/v2", json!({ "name": " " })).refused(400, "AUTOMATION_V2_CREATE_FAILED");
    let cycle = json!({ "name": "n", "flow": { "nodes": [{ "node_id": "a", "depends_on": ["a"] }] } });
    client.post("/automations/v2", cycle).refused(400, "AUTOMATION_V2_CREATE_FAILED");
    let shape = client.post("/automations/v2", json!({ "name": "n", "agents": [{ "agent_id": 7 }] }));
    assert_eq!(shape.refused(422, "VALIDATION_FAILED")["field"], json!("agents[0].agent_id"));
    client.post("/automations/v2", json!([])).refused(422, "VALIDATION_FAILED");
    let metadata = json!({ "name": "n", "metadata": "x", "capabilities": { "creates_agents": true } });
    client.post("/automations/v2", metadata).refused(400, "AUTOMATION_V2_INVALID_METADATA");
    let id = made(&client, "there");
    let path = format!("/automations/v2/{id}");
    client.patch(&path, json!({ "name": "" })).refused(400, "AUTOMATION_V2_UPDATE_FAILED");
    client.patch(&path, json!({ "status": "running" })).refused(422, "VALIDATION_FAILED");
    client
        .post(&format!("{path}/share"), json!({ "visibility": "world" }))
        .refused(400, "AUTOMATION_V2_INVALID_VISIBILITY");
    for path in ["/automations/v2/nobody", "/automations/v2/nobody/runs"] {
        client.get(path).refused(404, "AUTOMATION_V2_NOT_FOUND");
    }
    client.get("/automations/v2/runs/nobody").refused(404, "AUTOMATION_V2_RUN_NOT_FOUND");
    for path in
        ["/automations/v2/x/webhook-triggers", "/automations/v2/x/handoffs", "/automations/v2/graduation/summary"]
    {
        client.get(path).refused(501, "FEATURE_UNAVAILABLE");
    }
    client.post("/automations/v2/runs/x/tasks/n/retry", json!({})).refused(501, "FEATURE_UNAVAILABLE");
}

#[test]
fn an_id_is_taken_once_and_a_repeated_call_is_answered_alike() {
    let (_server, client) = configured("automation-ids", json!({}));
    let body = json!({ "automation_id": "mine", "name": "First" });
    client.post("/automations/v2", body.clone()).ok();
    client.post("/automations/v2", body).refused(409, "AUTOMATION_V2_ALREADY_EXISTS");
    let with_key = |key: &str, name: &str| {
        client.must("POST", "/automations/v2", &[("idempotency-key", key)], Some(json!({ "name": name })))
    };
    let first = with_key("k1", "Keyed").ok();
    assert_eq!(with_key("k1", "Keyed").ok(), first);
    with_key("k1", "Another").refused(409, "AUTOMATION_V2_ALREADY_EXISTS");
    assert_ne!(with_key("k2", "Keyed").ok()["automation"]["automation_id"], first["automation"]["automation_id"]);
    assert_eq!(client.get("/automations/v2").ok()["count"], json!(3));
}

#[test]
fn a_stale_edit_is_refused_and_says_so() {
    let (_server, client) = configured("automation-etag", json!({}));
    let id = made(&client, "Edited");
    let path = format!("/automations/v2/{id}");
    let read = client.get(&path);
    let tag = read.header("etag").expect("a version").to_owned();
    let patch =
        |tag: &str, name: &str| client.must("PATCH", &path, &[("if-match", tag)], Some(json!({ "name": name })));
    let next = patch(&tag, "Second");
    assert_ne!(next.header("etag"), Some(tag.as_str()));
    assert_eq!(next.ok()["automation"]["name"], json!("Second"));
    patch(&tag, "Third").refused(412, "PRECONDITION_FAILED");
    let stamp = client.get(&path).ok()["automation"]["updated_at_ms"].to_string();
    assert_eq!(patch(&stamp, "Fourth").ok()["automation"]["name"], json!("Fourth"));
    client.patch(&path, json!({ "name": "Fifth" })).ok();
}

#[test]
fn a_run_goes_through_its_states() {
    let (server, client) = configured("run-states", json!({}));
    let id = made(&client, "Stateful");
    let dry = client.post(&format!("/automations/v2/{id}/run_now"), json!({ "dry_run": true })).ok();
    assert_eq!((&dry["ok"], &dry["dry_run"], &dry["run"]["status"]), (&json!(true), &json!(true), &json!("completed")));
    assert_eq!(dry["run"]["trigger_type"], json!("manual_dry_run"));
    assert_eq!(dry["contextRunID"], dry["linked_context_run_id"]);

    let run_id = asked(&client, &id);
    assert_eq!(run(&client, &run_id)["checkpoint"]["pending_nodes"], json!(["a", "b"]));
    act(&client, &run_id, "resume").refused(409, "AUTOMATION_V2_RUN_NOT_PAUSED");
    act(&client, &run_id, "recover").refused(409, "AUTOMATION_V2_RUN_NOT_RECOVERABLE");
    assert_eq!(act(&client, &run_id, "pause").ok()["run"]["status"], json!("paused"));
    act(&client, &run_id, "pause").refused(409, "AUTOMATION_V2_RUN_NOT_PAUSABLE");
    assert_eq!(act(&client, &run_id, "resume").ok()["run"]["status"], json!("queued"));

    // With an executor at work, a stop is an order that it reads in its next answer.
    let claim = claimed(&client, &run_id, 60_000);
    assert_eq!(act(&client, &run_id, "pause").ok()["run"]["status"], json!("pausing"));
    let beat = json!({ "claim_id": claim });
    let told = client.post(&format!("/automations/v2/runs/{run_id}/heartbeat"), beat).ok()["directives"].clone();
    assert_eq!((&told["stop"], &told["kind"]), (&json!(true), &json!("operator_stopped")));
    let heard = json!({ "claim_id": claim, "stop_acknowledged": true });
    client.post(&format!("/automations/v2/runs/{run_id}/heartbeat"), heard).ok();
    let paused = run(&client, &run_id);
    assert_eq!(paused["status"], json!("paused"));
    let order = &paused["stop_order"];
    assert!(order["acknowledged_after_ms"].is_u64() && order["delivered_at_ms"].is_u64(), "{order}");

    // A gate: shown as paused to those who know no better, decided by a person.
    act(&client, &run_id, "resume").ok();
    let claim = claimed(&client, &run_id, 60_000);
    let wait = json!({ "report_id": "gate", "claim_id": claim, "status": "awaiting_approval",
        "awaiting_gate": { "node_id": "a", "title": "Send it?" } });
    let waiting = client.post(&format!("/automations/v2/runs/{run_id}/report"), wait).ok()["run"].clone();
    assert_eq!((&waiting["status"], &waiting["stored_status"]), (&json!("paused"), &json!("awaiting_approval")));
    assert_eq!(waiting["checkpoint"]["awaiting_gate"]["title"], json!("Send it?"));
    let gate = |client: &Client, decision: &str| {
        client.post(&format!("/automations/v2/runs/{run_id}/gate"), json!({ "decision": decision }))
    };
    gate(&client, "approve").refused(403, "AUTOMATION_V2_GATE_REQUIRES_HUMAN");
    gate(&server.client().with("x-tandem-agent-id", "w"), "approve").refused(403, "AUTOMATION_V2_GATE_REQUIRES_HUMAN");
    let ann = server.client().with("x-tandem-actor-id", "ann");
    gate(&ann, "maybe").refused(400, "AUTOMATION_V2_GATE_INVALID_DECISION");
    let decided = gate(&ann, "approve").ok()["run"].clone();
    assert_eq!((&decided["status"], &decided["checkpoint"]["completed_nodes"]), (&json!("queued"), &json!(["a"])));
    let late = gate(&ann, "cancel").refused(409, "AUTOMATION_V2_RUN_NOT_AWAITING_APPROVAL");
    assert_eq!((&late["currentStatus"], &late["winningDecision"]), (&json!("queued"), &json!("approve")));

    // Blocked, recovered, cancelled.
    let claim = claimed(&client, &run_id, 60_000);
    let blocked = json!({ "report_id": "blocked", "claim_id": claim, "status": "blocked", "blocked_nodes": ["b"], "detail": "no key" });
    let blocked = client.post(&format!("/automations/v2/runs/{run_id}/report"), blocked).ok()["run"].clone();
    assert_eq!((&blocked["status"], &blocked["storedStatus"]), (&json!("failed"), &json!("blocked")));
    assert_eq!(blocked["blockedNodeIDs"], json!(["b"]));
    assert_eq!(act(&client, &run_id, "recover").ok()["run"]["status"], json!("queued"));
    let cancelled = act(&client, &run_id, "cancel").ok();
    assert_eq!((&cancelled["run"]["status"], &cancelled["alreadyTerminal"]), (&json!("cancelled"), &json!(false)));
    assert_eq!(act(&client, &run_id, "cancel").ok()["alreadyTerminal"], json!(true));

    let runs = client.get(&format!("/automations/v2/{id}/runs?limit=1")).ok();
    assert_eq!(
        (&runs["automationID"], &runs["count"], &runs["runs"][0]["run_id"]),
        (&json!(id), &json!(1), &json!(run_id))
    );
    assert_eq!(client.get("/automations/v2/runs").ok()["count"], json!(2));
    audit::assert_verified(&client);
}

#[test]
fn a_pause_takes_the_runs_along_and_a_deletion_ends_them() {
    let (_server, client) = configured("automation-pause", json!({}));
    let id = made(&client, "Paused");
    let runs: Vec<String> = (0..20).map(|_| asked(&client, &id)).collect();
    let working = &runs[7];
    let claim = claimed(&client, working, 60_000);
    let paused = client.post(&format!("/automations/v2/{id}/pause"), json!({ "reason": "" })).ok();
    assert_eq!((&paused["ok"], &paused["automation"]["status"]), (&json!(true), &json!("paused")));
    for id in &runs {
        let wanted = if id == working { "pausing" } else { "paused" };
        assert_eq!(run(&client, id)["status"], json!(wanted));
    }
    assert_eq!(client.post("/automations/v2/runs/claim", json!({ "claimant_id": "x" })).ok()["count"], json!(0));
    let resumed = client.post(&format!("/automations/v2/{id}/resume"), json!({})).ok();
    assert_eq!(resumed["automation"]["status"], json!("active"));
    assert_eq!(run(&client, &runs[0])["status"], json!("paused"), "each run is resumed by itself");
    act(&client, &runs[0], "resume").ok();
    let deleted = client.delete(&format!("/automations/v2/{id}")).ok();
    assert_eq!(
        (&deleted["ok"], &deleted["deleted"], &deleted["automationID"]),
        (&json!(true), &json!(true), &json!(id))
    );
    client.get(&format!("/automations/v2/{id}")).refused(404, "AUTOMATION_V2_NOT_FOUND");
    client.post(&format!("/automations/v2/{id}/run_now"), json!({})).refused(404, "AUTOMATION_V2_NOT_FOUND");
    // The executor hears of it at its next call, and what it spent until then is counted.
    let late = json!({ "report_id": "late", "claim_id": claim, "usage": { "total_tokens": 9 } });
    let told = client.post(&format!("/automations/v2/runs/{working}/report"), late).ok();
    assert_eq!((&told["directives"]["stop"], &told["run"]["total_tokens"]), (&json!(true), &json!(9)));
    assert_eq!(client.get(&format!("/automations/v2/{id}/runs?limit=500")).ok()["count"], json!(20));
}

#[test]
fn another_tenant_sees_nothing_of_it() {
    let server = launch("automation-tenants").start();
    let client = server.client();
    let id = made(&client, "Ours");
    let run_id = asked(&client, &id);
    let tenant = json!({ "org_id": "other", "workspace_id": "w" });
    let token = client.post("/auth/tokens", json!({ "name": "other", "tenant": tenant })).ok();
    let other = server.stranger().bearer(&text(&token["raw_token"]));
    assert_eq!(other.get("/automations/v2").ok()["count"], json!(0));
    other.get(&format!("/automations/v2/{id}")).refused(404, "AUTOMATION_V2_NOT_FOUND");
    other.get(&format!("/automations/v2/runs/{run_id}")).refused(404, "AUTOMATION_V2_RUN_NOT_FOUND");
    act(&other, &run_id, "cancel").refused(404, "AUTOMATION_V2_RUN_NOT_FOUND");
}

#[test]
fn a_rehearsal_decides_and_changes_nothing() {
    let (server, client) = configured("automation-rehearsal", json!({}));
    let before = audit::last_seq(&client);
    let told = client.post("/automations/v2?dry_run=true", spec("Perhaps")).ok();
    assert_eq!((&told["dry_run"], &told["allowed"], &told["refusal"]), (&json!(true), &json!(true), &Value::Null));
    let decision = &told["decisions"][0];
    assert_eq!((&decision["operation"], &decision["decision"]), (&json!("create"), &json!("allow")));
    assert!(decision["rule_id"].is_string() && text(&decision["inputs_digest"]).len() == 64, "{decision}");
    let mut greedy = spec("Greedy");
    greedy["capabilities"] = json!({ "creates_agents": true });
    let agent = server.client().with("x-tandem-agent-id", "worker");
    let told = agent.post("/automations/v2?dry_run=true", greedy.clone()).ok();
    assert_eq!(told["allowed"], json!(false));
    assert_eq!(told["refusal"]["code"], json!("AUTOMATION_V2_CAPABILITY_ESCALATION_FORBIDDEN"));
    assert_eq!(told["refusal"]["status"], json!(403));
    assert_eq!((client.get("/automations/v2").ok()["count"].clone(), audit::last_seq(&client)), (json!(0), before));
    agent.post("/automations/v2", greedy).refused(403, "AUTOMATION_V2_CAPABILITY_ESCALATION_FORBIDDEN");
    let id = made(&client, "There");
    let path = format!("/automations/v2/{id}?dry_run=true");
    assert_eq!(client.patch(&path, json!({ "name": "Other" })).ok()["automation"]["name"], json!("Other"));
    assert_eq!(client.get(&format!("/automations/v2/{id}")).ok()["automation"]["name"], json!("There"));
}

#[test]
fn the_runs_of_a_paused_agent_are_told_to_stop() {
    let (server, client) = configured("automation-agent", json!({}));
    let agent = server.client().with("x-tandem-agent-id", "builder");
    let id = text(&agent.post("/automations/v2", spec("Built")).ok()["automation"]["automation_id"]);
    let runs: Vec<String> = (0..4).map(|_| asked(&agent, &id)).collect();
    assert_eq!(run(&client, &runs[0])["lineage_agent_ids"], json!(["builder"]));
    // Somebody else's agent may not touch it, and may not work on it either.
    let other = server.client().with("x-tandem-agent-id", "stranger");
    other
        .patch(&format!("/automations/v2/{id}"), json!({ "name": "x" }))
        .refused(403, "AUTOMATION_V2_MODIFY_FORBIDDEN");
    act(&other, &runs[0], "cancel").refused(403, "AUTOMATION_V2_MODIFY_FORBIDDEN");
    other
        .post(&format!("/automations/v2/runs/{}/claim", runs[0]), json!({ "claimant_id": "x" }))
        .refused(403, "AUTOMATION_V2_MODIFY_FORBIDDEN");
    assert_eq!(other.post("/automations/v2/runs/claim", json!({ "claimant_id": "x" })).ok()["count"], json!(0));
    let claim = claimed(&client, &runs[0], 60_000);
    let ann = server.client().with("x-tandem-actor-id", "ann").with("x-tandem-request-source", "control_panel");
    let paused = ann.post("/governance/agents/builder/pause", json!({ "reason": "kill switch" }));
    assert!(paused.status < 300, "{} {}", paused.status, paused.text());
    assert_eq!(run(&client, &runs[0])["status"], json!("pausing"));
    for waiting in &runs[1..] {
        assert_eq!(run(&client, waiting)["status"], json!("paused"));
    }
    let beat = json!({ "claim_id": claim, "stop_acknowledged": true });
    let told = client.post(&format!("/automations/v2/runs/{}/heartbeat", runs[0]), beat).ok();
    assert_eq!(told["directives"]["stop"], json!(true));
    assert!(run(&client, &runs[0])["stop_order"]["acknowledged_after_ms"].is_u64());
    act(&client, &runs[1], "resume").refused(409, "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED");
    client
        .post(&format!("/automations/v2/{id}/run_now"), json!({}))
        .refused(409, "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED");
}
