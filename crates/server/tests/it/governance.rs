//! Governance over HTTP: limits, requests and decisions, agents, and what a server does with rows that it cannot read.

use serde_json::{Value, json};
use tandem_testkit::{Client, Server, audit, until};

use crate::support::{SOON, database, launch, text};

pub fn agent(server: &Server, id: &str) -> Client {
    server.client().with("x-tandem-agent-id", id)
}

pub fn human(server: &Server, id: &str) -> Client {
    server.client().with("x-tandem-actor-id", id)
}

/// Files a request and answers with its id.
#[track_caller]
pub fn filed(client: &Client, request_type: &str, target: (&str, &str), context: Value) -> String {
    let body = json!({
        "request_type": request_type, "target_resource": { "type": target.0, "id": target.1 },
        "rationale": "for a test", "context": context,
    });
    text(&client.post("/governance/approvals", body).ok()["approval"]["approval_id"])
}

pub fn decide(client: &Client, id: &str, verb: &str) -> tandem_testkit::Reply {
    client.post(&format!("/governance/approvals/{id}/{verb}"), json!({}))
}

fn limit<'a>(answer: &'a Value, name: &str) -> &'a str {
    let all = answer["sources"].as_array().unwrap();
    all.iter().find(|one| one["limit"] == json!(name)).unwrap()["source"].as_str().unwrap()
}

#[test]
fn limits_say_where_they_come_from() {
    let server = launch("gov-limits").env("TANDEM_AGENT_AUTOMATION_DEPTH_LIMIT", "2").start();
    let (ann, bare) = (human(&server, "ann"), server.client());
    let answer = bare.get("/governance/limits").ok();
    assert_eq!(answer["limits"]["lineage_depth_limit"], json!(2));
    assert_eq!(limit(&answer, "lineage_depth_limit"), "environment");
    assert_eq!(limit(&answer, "approval_ttl_ms"), "default");
    let change = json!({ "lineage_depth_limit": 5, "weekly_spend_cap_usd": 12.5 });
    bare.patch("/governance/limits", change.clone()).refused(403, "HUMAN_ACTOR_REQUIRED");
    agent(&server, "bot").patch("/governance/limits", change.clone()).refused(403, "HUMAN_ACTOR_REQUIRED");
    let answer = ann.patch("/governance/limits", change).ok();
    assert_eq!(answer["limits"]["weekly_spend_cap_usd"], json!(12.5));
    assert_eq!(limit(&answer, "lineage_depth_limit"), "api");
    for wrong in [
        json!({ "nothing": 1 }),
        json!({ "approval_ttl_ms": "soon" }),
        json!({ "approval_ttl_ms": 1 }),
        json!({ "weekly_spend_cap_usd": -1 }),
        json!({ "model_prices": { "m": { "prompt_per_1k_usd": -0.5, "completion_per_1k_usd": 1 } } }),
    ] {
        ann.patch("/governance/limits", wrong).refused(400, "GOVERNANCE_LIMITS_INVALID");
    }
    let answer = ann.patch("/governance/limits", json!({ "limits": { "lineage_depth_limit": null } })).ok();
    assert_eq!(
        (&answer["limits"]["lineage_depth_limit"], limit(&answer, "lineage_depth_limit")),
        (&json!(2), "environment")
    );
    audit::assert_verified(&bare);
}

#[test]
fn requests_are_seen_filtered_and_decided() {
    let server = launch("gov-requests").start();
    let (ann, ben, bot) = (human(&server, "ann"), human(&server, "ben"), agent(&server, "bot"));
    let capability = json!({ "capability_key": "creates_agents" });
    let mut ids: Vec<String> =
        (0..5).map(|_| filed(&bot, "capability_request", ("agent", "bot"), capability.clone())).collect();
    ids.push(filed(&ann, "quota_override", ("agent", "bot"), json!({})));
    let listed = |client: &Client, query: &str| {
        let answer = client.get(&format!("/governance/approvals{query}")).ok();
        let ids: Vec<String> =
            answer["approvals"].as_array().unwrap().iter().map(|one| text(&one["approval_id"])).collect();
        assert_eq!(answer["count"], json!(ids.len()));
        (ids, answer["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(listed(&ben, "").0.len(), 6);
    assert_eq!(listed(&server.client(), "").0.len(), 6, "the local system sees all");
    assert_eq!(listed(&bot, "").0.len(), 5, "an agent sees its own");
    assert_eq!(listed(&agent(&server, "other"), "").0.len(), 0);
    agent(&server, "other")
        .get(&format!("/governance/approvals/{}", ids[0]))
        .refused(404, "GOVERNANCE_APPROVAL_NOT_FOUND");
    assert_eq!(listed(&ben, "?request_type=quota_override&status=pending&target_id=bot&target_type=agent").0.len(), 1);
    assert_eq!(listed(&ben, "?status=approved").0.len(), 0);
    ben.get("/governance/approvals?status=maybe").refused(400, "VALIDATION_FAILED");
    let (mut walked, mut next) = listed(&ben, "?limit=4");
    while let Some(cursor) = next {
        let (more, after) = listed(&ben, &format!("?limit=4&cursor={cursor}"));
        walked.extend(more);
        next = after;
    }
    walked.sort();
    let mut all = ids.clone();
    all.sort();
    assert_eq!(walked, all);

    decide(&bot, &ids[0], "approve").refused(403, "GOVERNANCE_APPROVAL_REQUIRES_HUMAN");
    decide(&server.client(), &ids[0], "approve").refused(403, "GOVERNANCE_APPROVAL_REQUIRES_HUMAN");
    decide(&human(&server, "bot"), &ids[0], "approve").refused(403, "GOVERNANCE_APPROVAL_SELF_REVIEW");
    decide(&ann, &ids[5], "approve").refused(403, "GOVERNANCE_APPROVAL_SELF_REVIEW");
    decide(&ann, "apr_none", "deny").refused(404, "GOVERNANCE_APPROVAL_NOT_FOUND");
    assert_eq!(decide(&ann, &ids[0], "approve").ok()["approval"]["status"], json!("approved"));
    decide(&ben, &ids[0], "approve").ok();
    let other = decide(&ben, &ids[0], "deny").refused(409, "GOVERNANCE_APPROVAL_ALREADY_DECIDED");
    assert_eq!(other["approval"]["status"], json!("approved"));
    decide(&bot, &ids[1], "cancel").ok();
    decide(&bot, &ids[5], "cancel").refused(403, "GOVERNANCE_APPROVAL_CANCEL_FORBIDDEN");
    let reviews = ben.get("/governance/reviews").ok();
    assert_eq!(reviews["pending_approvals"].as_array().unwrap().len(), 4);
    assert_eq!(reviews["count"], json!(4));
    let forged = json!({
        "request_type": "capability_request", "target_resource": { "type": "agent", "id": "bot" },
        "rationale": "x", "context": { "capability_key": "x", "_mutation_consumption": {} },
    });
    bot.post("/governance/approvals", forged).refused(400, "GOVERNANCE_APPROVAL_CREATE_FAILED");
    let typed = json!({ "request_type": "wish", "target_resource": { "type": "agent", "id": "b" }, "rationale": "x" });
    bot.post("/governance/approvals", typed).refused(422, "VALIDATION_FAILED");
    audit::assert_verified(&ben);
}

#[test]
fn other_tenants_see_nothing() {
    let server = launch("gov-tenants").start();
    let id = filed(&agent(&server, "bot"), "capability_request", ("agent", "bot"), json!({ "capability_key": "x" }));
    let body = json!({ "name": "acme", "tenant": { "org_id": "acme", "workspace_id": "main" }, "actor_id": "eve" });
    let made = server.client().post("/auth/tokens", body).ok();
    assert_eq!(made["token"]["tenant"]["org_id"], json!("acme"), "{made}");
    let raw = made.as_object().unwrap().values().find_map(|value| value.as_str().filter(|text| text.len() > 30));
    let eve = server.stranger().bearer(raw.expect("the token is shown once"));
    for verb in ["approve", "deny"] {
        decide(&eve, &id, verb).refused(404, "GOVERNANCE_APPROVAL_NOT_FOUND");
    }
    assert_eq!(eve.get("/governance/approvals").ok()["count"], json!(0));
    // She makes no second person of herself either.
    for more in [json!({ "actor_id": "mallory" }), json!({ "may_assert_actor": true })] {
        let mut request = json!({ "name": "another" });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        eve.post("/auth/tokens", request).refused(403, "TENANT_CONTEXT_DENIED");
    }
    eve.post("/auth/tokens", json!({ "name": "own", "actor_id": "eve" })).ok();
    eve.get(&format!("/governance/approvals/{id}")).refused(404, "GOVERNANCE_APPROVAL_NOT_FOUND");
}

#[test]
fn requests_run_out_by_themselves() {
    let server = launch("gov-sweep")
        .env("TANDEM_AGENT_AUTOMATION_APPROVAL_SWEEP_INTERVAL_MS", "1000")
        .env("TANDEM_AGENT_AUTOMATION_APPROVAL_TTL_MS", "1000")
        .start();
    let bot = agent(&server, "bot");
    let id = filed(&bot, "capability_request", ("agent", "bot"), json!({ "capability_key": "x" }));
    until("the request has run out", SOON, || {
        let approval = bot.get(&format!("/governance/approvals/{id}")).ok()["approval"].clone();
        (approval["status"] == json!("expired")).then_some(())
    });
    let late = decide(&human(&server, "ann"), &id, "approve").refused(409, "GOVERNANCE_APPROVAL_EXPIRED");
    assert_eq!(late["approval"]["approval_id"], json!(id));
    let rows = bot.get("/audit/protected?event_type=automation.governance.approval.expired").ok();
    assert_eq!(rows["events"].as_array().unwrap().len(), 1, "one row, by the sweep");
}

#[test]
fn agents_are_entered_paused_and_resumed_by_people() {
    let server = launch("gov-agents").start();
    let (ann, bot) = (human(&server, "ann"), agent(&server, "bot"));
    ann.get("/governance/agents/bot").refused(404, "GOVERNANCE_AGENT_NOT_FOUND");
    let entry = json!({ "displayName": "Bot", "owner": "platform", "sponsor": "ann" });
    bot.must("PUT", "/governance/agents/bot", &[], Some(entry.clone())).refused(403, "HUMAN_ACTOR_REQUIRED");
    let bare = server.client().must("PUT", "/governance/agents/bot", &[], Some(entry.clone()));
    bare.refused(403, "HUMAN_ACTOR_REQUIRED");
    let made = ann.must("PUT", "/governance/agents/bot", &[], Some(entry)).ok();
    assert_eq!((&made["agent"]["sponsor"], &made["agent"]["status"]), (&json!("ann"), &json!("active")));
    bot.post("/governance/agents/bot/pause", json!({})).refused(403, "HUMAN_ACTOR_REQUIRED");
    let paused = server.client().post("/governance/agents/bot/pause", json!({ "reason": "odd" })).ok();
    assert_eq!((&paused["agent"]["status"], &paused["agent"]["pause"]["runs_told"]), (&json!("paused"), &json!(0)));
    server.client().ask("/governance/agents/bot/resume").refused(403, "HUMAN_ACTOR_REQUIRED");
    assert_eq!(ann.ask("/governance/agents/bot/resume").ok()["agent"]["status"], json!("active"));
    assert_eq!(ann.get("/governance/agents").ok()["count"], json!(1));
    ann.get("/governance/agents/bot/spend").refused(404, "AGENT_SPEND_NOT_FOUND");
    ann.get("/automations/v2/none/governance").refused(404, "AUTOMATION_GOVERNANCE_NOT_FOUND");
}

#[test]
fn a_server_does_not_start_over_rules_that_it_cannot_read() {
    let mut server = launch("gov-unreadable").start();
    filed(&agent(&server, "bot"), "capability_request", ("agent", "bot"), json!({ "capability_key": "x" }));
    human(&server, "ann").patch("/governance/limits", json!({ "lineage_depth_limit": 1 })).ok();
    let (launch, file) = (server.launch().clone(), database(&server));
    server.terminate();
    let db = rusqlite::Connection::open(&file).unwrap();
    let sound: String = db.query_row("SELECT body FROM governance_limits", [], |row| row.get(0)).unwrap();
    for (broken, table) in [("{\"overrides\":", "governance_limits"), ("{}", "governance_approvals")] {
        let kept: String = db.query_row(&format!("SELECT body FROM {table}"), [], |row| row.get(0)).unwrap();
        db.execute(&format!("UPDATE {table} SET body = ?1"), [broken]).unwrap();
        let ended = launch.refused();
        assert!(!ended.status.success() && ended.stderr.contains("governance"), "{}", ended.stderr);
        db.execute(&format!("UPDATE {table} SET body = ?1"), [&kept]).unwrap();
    }
    assert!(sound.contains("lineage_depth_limit"));
    drop(db);
    drop(server);
    let server = launch.start();
    let limits = server.client().get("/governance/limits").ok();
    assert_eq!(limits["limits"]["lineage_depth_limit"], json!(1));
}
