//! Automations under governance, over HTTP: what an agent may do, what stops it, and who lets it go on.

use serde_json::{Value, json};
use tandem_testkit::{Client, Reply, audit, until};

use crate::{
    governance::{agent, decide, filed, human},
    support::{SOON, launch, text},
};

fn spec(id: &str) -> Value {
    json!({ "automation_id": id, "name": id, "agents": [{ "agent_id": "worker", "mcp_policy": { "allowed_servers": ["gh", "db"] } }] })
}

fn create(client: &Client, id: &str) -> Reply {
    client.post("/automations/v2", spec(id))
}

fn governance(client: &Client, id: &str) -> Value {
    client.get(&format!("/automations/v2/{id}/governance")).ok()["governance"].clone()
}

fn run_now(client: &Client, id: &str) -> Reply {
    client.post(&format!("/automations/v2/{id}/run_now"), json!({}))
}

#[track_caller]
fn started(client: &Client, id: &str) -> String {
    text(&run_now(client, id).ok()["run"]["run_id"])
}

#[track_caller]
fn claimed(client: &Client, run: &str) -> String {
    let body = json!({ "claimant_id": "executor", "lease_ms": 60_000 });
    text(&client.post(&format!("/automations/v2/runs/{run}/claim"), body).ok()["claim_id"])
}

#[track_caller]
fn spent(client: &Client, run: &str, claim: &str, report: &str, dollars: f64) -> Value {
    let body = json!({
        "report_id": report, "claim_id": claim, "usage": { "total_tokens": 100, "cost_usd": dollars },
    });
    client.post(&format!("/automations/v2/runs/{run}/report"), body).ok()
}

fn status(client: &Client, run: &str) -> String {
    text(&client.get(&format!("/automations/v2/runs/{run}")).ok()["run"]["status"])
}

fn grant(client: &Client, id: &str, to: &str) -> String {
    let body = json!({ "granted_to_agent_id": to });
    text(&client.post(&format!("/automations/v2/{id}/grants"), body).ok()["grant"]["grant_id"])
}

fn revoke(client: &Client, id: &str, grant: &str) -> Reply {
    client.delete(&format!("/automations/v2/{id}/grants/{grant}"))
}

#[test]
fn depth_and_capabilities_need_approvals() {
    let server = launch("governed-creation").start();
    let ann = human(&server, "ann");
    let deep = agent(&server, "deep").with("x-tandem-agent-ancestor-ids", "one,two,three");
    create(&deep, "a").refused(403, "AUTOMATION_V2_LINEAGE_DEPTH_EXCEEDED");
    let two = agent(&server, "bot").with("x-tandem-agent-ancestor-ids", "one, two");
    create(&two, "a").ok();
    assert_eq!(governance(&ann, "a")["provenance"]["depth"], json!(3));
    let eager = |id: &str| {
        let mut body = spec(id);
        body["capabilities"] = json!({ "creates_agents": true });
        body
    };
    let kid = agent(&server, "kid");
    let refused = kid.post("/automations/v2", eager("b")).refused(403, "AUTOMATION_V2_CAPABILITY_ESCALATION_FORBIDDEN");
    let decision = refused["decision_id"].clone();
    let soon = tandem_testkit::now_ms() + 4_000;
    let body = json!({
        "request_type": "capability_request", "target_resource": { "type": "agent", "id": "kid" },
        "rationale": "it needs helpers", "context": { "capability_key": "creates_agents" }, "expires_at_ms": soon,
    });
    let id = text(&kid.post("/governance/approvals", body).ok()["approval"]["approval_id"]);
    decide(&ann, &id, "approve").ok();
    kid.post("/automations/v2", eager("b")).ok();
    until("the approval has ended", SOON, || (tandem_testkit::now_ms() > soon).then_some(()));
    kid.post("/automations/v2", eager("c")).refused(403, "AUTOMATION_V2_CAPABILITY_ESCALATION_FORBIDDEN");
    let decisions = ann.get("/governance/policy-decisions").ok();
    let decisions = decisions["policy_decisions"].as_array().unwrap();
    let found = decisions.iter().find(|one| one["decision_id"] == decision).expect("the refusal is recorded");
    assert_eq!(found["decision"], json!("approval_required"));
    audit::assert_verified(&ann);
}

#[test]
fn fifty_at_once_are_ten_and_then_a_person_looks() {
    let server = launch("governed-quota").env("TANDEM_AGENT_AUTOMATION_CREATION_REVIEW_THRESHOLD", "0").start();
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                let client = agent(&server, "bot");
                scope.spawn(move || create(&client, &format!("a{n}")).status)
            })
            .collect();
        tasks.into_iter().map(|task| task.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 10, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 429).count(), 40, "{codes:?}");
    let ann = human(&server, "ann");
    ann.patch("/governance/limits", json!({ "per_agent_creation_review_threshold": 2 })).ok();
    let kid = agent(&server, "kid");
    create(&kid, "k1").ok();
    create(&kid, "k2").ok();
    let refused = create(&kid, "k3").refused(429, "AUTOMATION_V2_AGENT_REVIEW_REQUIRED");
    let id = text(&refused["approvalID"]);
    decide(&ann, &id, "approve").ok();
    create(&kid, "k3").ok();
    decide(&human(&server, "ben"), &id, "approve").ok();
    let reviews = ann.get("/governance/reviews").ok();
    let review = reviews["agent_creation_reviews"].as_array().unwrap();
    let own = review.iter().find(|one| one["agent_id"] == json!("kid")).unwrap();
    assert_eq!(own["created_since_review"], json!(1), "approving again resets nothing");
}

#[test]
fn a_cap_warns_stops_and_is_lifted() {
    let server = launch("governed-spend").env("TANDEM_AGENT_AUTOMATION_WEEKLY_SPEND_CAP_USD", "10").start();
    let (ann, bot) = (human(&server, "ann"), agent(&server, "bot"));
    create(&bot, "a").ok();
    let run = started(&ann, "a");
    let claim = claimed(&ann, &run);
    assert_eq!(spent(&ann, &run, &claim, "r1", 8.25)["directives"]["stop"], json!(false));
    let weekly = |client: &Client| client.get("/governance/agents/bot/spend").ok()["spend"]["weekly"].clone();
    assert!(weekly(&ann)["soft_warning_at_ms"].is_u64() && weekly(&ann)["hard_stop_at_ms"].is_null());
    // The same report again costs nothing.
    spent(&ann, &run, &claim, "r1", 8.25);
    assert_eq!(weekly(&ann)["cost_usd"], json!(8.25));
    let told = spent(&ann, &run, &claim, "r2", 2.0);
    assert_eq!((&told["directives"]["stop"], &told["run"]["status"]), (&json!(true), &json!("paused")));
    assert_eq!(told["run"]["stop_kind"], json!("guardrail_stopped"));
    create(&bot, "b").refused(429, "AUTOMATION_V2_AGENT_SPEND_CAP_EXCEEDED");
    run_now(&ann, "a").refused(409, "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED");
    let asked = ann.get("/governance/approvals?request_type=quota_override&status=pending").ok();
    assert_eq!(asked["count"], json!(1), "{asked}");
    decide(&ann, &text(&asked["approvals"][0]["approval_id"]), "approve").ok();
    create(&bot, "b").ok();
    assert_eq!(status(&ann, &run), "paused", "approving resumes nothing");
    let heard = json!({ "claim_id": claim, "stop_acknowledged": true });
    ann.post(&format!("/automations/v2/runs/{run}/heartbeat"), heard).ok();
    ann.post(&format!("/automations/v2/runs/{run}/resume"), json!({})).ok();
    assert_eq!(status(&ann, &run), "queued");
}

#[test]
fn an_executor_that_acts_for_a_paused_agent_is_told_so() {
    let server = launch("governed-told").start();
    let (ann, worker) = (human(&server, "ann"), agent(&server, "worker"));
    create(&ann, "a").ok();
    let run = started(&ann, "a");
    let claim = claimed(&worker, &run);
    ann.post("/governance/agents/worker/pause", json!({})).ok();
    let beat = json!({ "claim_id": claim });
    let told = worker.post(&format!("/automations/v2/runs/{run}/heartbeat"), beat.clone()).ok();
    assert_eq!(told["directives"]["stop"], json!(true));
    let last =
        json!({ "report_id": "last", "claim_id": claim, "usage": { "total_tokens": 7 }, "stop_acknowledged": true });
    let told = worker.post(&format!("/automations/v2/runs/{run}/report"), last).ok()["run"].clone();
    assert_eq!((&told["status"], &told["total_tokens"]), (&json!("paused"), &json!(7)));
    let stranger = agent(&server, "stranger");
    stranger
        .post(&format!("/automations/v2/runs/{run}/heartbeat"), beat)
        .refused(403, "AUTOMATION_V2_MODIFY_FORBIDDEN");
}

#[test]
fn a_run_that_is_held_when_it_is_claimed_says_which_review_holds_it() {
    let server = launch("governed-held").start();
    let ann = human(&server, "ann");
    ann.patch("/governance/limits", json!({ "run_review_threshold": 1 })).ok();
    create(&ann, "a").ok();
    let (first, second) = (started(&ann, "a"), started(&ann, "a"));
    let done = json!({ "report_id": "1", "status": "completed", "node_outputs": { "a": 1 } });
    ann.post(&format!("/automations/v2/runs/{first}/report"), done).ok();
    let held = ann
        .post(&format!("/automations/v2/runs/{second}/claim"), json!({ "claimant_id": "x" }))
        .refused(409, "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED");
    assert_eq!((&held["reviewKind"], &held["runID"]), (&json!("run_drift"), &json!(second)));
    assert_eq!(held["reviewRequestID"], governance(&ann, "a")["review_request_id"]);
    assert_eq!(status(&ann, &second), "paused");
}

#[test]
fn a_revoked_grant_stops_a_hundred_runs_until_somebody_resumes() {
    let server = launch("governed-revoke").start();
    let (ann, ben) = (human(&server, "ann"), human(&server, "ben"));
    create(&ann, "a").ok();
    agent(&server, "bot")
        .patch("/automations/v2/a", json!({ "description": "x" }))
        .refused(403, "AUTOMATION_V2_MODIFY_FORBIDDEN");
    let grant = grant(&ann, "a", "bot");
    agent(&server, "bot").patch("/automations/v2/a", json!({ "description": "x" })).ok();
    let working = started(&ann, "a");
    claimed(&ann, &working);
    let queued: Vec<String> = (0..100).map(|_| started(&ann, "a")).collect();
    revoke(&ann, "a", &grant).ok();
    assert!(queued.iter().all(|run| status(&ann, run) == "paused"));
    assert!(matches!(status(&ann, &working).as_str(), "pausing" | "paused"));
    let state = governance(&ann, "a");
    assert_eq!((&state["review_kind"], &state["paused_for_lifecycle"]), (&json!("dependency_revoked"), &json!(true)));
    run_now(&ann, "a").refused(409, "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED");
    ann.post("/automations/v2/a/resume", json!({})).refused(409, "AUTOMATION_V2_REVIEW_PENDING");
    let activate = json!({ "status": "active" });
    ann.patch("/automations/v2/a", activate.clone()).refused(409, "AUTOMATION_V2_REVIEW_PENDING");
    decide(&ben, &text(&state["review_request_id"]), "approve").ok();
    run_now(&ann, "a").refused(409, "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED");
    ann.patch("/automations/v2/a", activate).refused(409, "AUTOMATION_V2_LIFECYCLE_PAUSED");
    ann.patch("/automations/v2/a", json!({ "status": "paused", "description": "still" })).ok();
    ann.post("/automations/v2/a/resume", json!({})).ok();
    run_now(&ann, "a").ok();
    // Taking a server away does the same; giving one more does not.
    let servers =
        |list: Value| json!({ "agents": [{ "agent_id": "worker", "mcp_policy": { "allowed_servers": list } }] });
    ann.patch("/automations/v2/a", servers(json!(["gh", "db", "new"]))).ok();
    assert_eq!(governance(&ann, "a")["review_required"], json!(false));
    ann.patch("/automations/v2/a", servers(json!(["gh", "new"]))).ok();
    assert_eq!(governance(&ann, "a")["review_kind"], json!("dependency_revoked"));
    audit::assert_verified(&ann);
}

#[test]
fn the_end_comes_and_can_be_put_off() {
    let server = launch("governed-end")
        .env("TANDEM_AGENT_AUTOMATION_DEFAULT_EXPIRES_AFTER_MS", "1500")
        .env("TANDEM_AGENT_AUTOMATION_LIFECYCLE_SWEEP_INTERVAL_MS", "1000")
        .start();
    let (ann, bot) = (human(&server, "ann"), agent(&server, "bot"));
    create(&bot, "a").ok();
    let state = until("it has expired", SOON, || {
        let state = governance(&ann, "a");
        state["expired_at_ms"].is_u64().then_some(state)
    });
    assert_eq!((&state["review_kind"], &state["paused_for_lifecycle"]), (&json!("expired"), &json!(true)));
    let asked = ann.get("/governance/approvals?request_type=retirement_action&status=pending").ok();
    assert_eq!(asked["count"], json!(1));
    bot.patch("/automations/v2/a", json!({ "description": "x" })).refused(403, "AUTOMATION_V2_EXPIRED");
    let later = tandem_testkit::now_ms() + 86_400_000;
    ann.post("/automations/v2/a/extend", json!({ "expires_at_ms": 1 }))
        .refused(400, "AUTOMATION_GOVERNANCE_EXTEND_FAILED");
    ann.post("/automations/v2/a/extend", json!({ "expires_at_ms": later })).ok();
    let state = governance(&ann, "a");
    assert_eq!(
        (&state["expires_at_ms"], &state["expired_at_ms"], &state["review_kind"]),
        (&json!(later), &Value::Null, &Value::Null)
    );
    run_now(&ann, "a").ok();
    server.client().post("/automations/v2/a/retire", json!({})).refused(403, "AUTOMATION_GOVERNANCE_RETIRE_FORBIDDEN");
    ann.post("/automations/v2/a/retire", json!({ "reason": "done" })).ok();
    bot.patch("/automations/v2/a", json!({ "description": "x" })).refused(403, "AUTOMATION_V2_RETIRED");
    run_now(&ann, "a").refused(409, "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED");
    ann.post("/automations/v2/a/extend", json!({ "expires_at_ms": later })).ok();
    run_now(&ann, "a").ok();
}

#[test]
fn deleting_restoring_and_who_may() {
    let server = launch("governed-delete").start();
    let (ann, bot) = (human(&server, "ann"), agent(&server, "bot"));
    create(&ann, "mine").ok();
    create(&bot, "a").ok();
    create(&agent(&server, "other"), "b").ok();
    bot.delete("/automations/v2/mine").refused(403, "AUTOMATION_V2_DELETE_HUMAN_CREATED_DENIED");
    bot.delete("/automations/v2/b").refused(403, "AUTOMATION_V2_DELETE_NOT_OWNER");
    bot.delete("/automations/v2/a").ok();
    ann.get("/automations/v2/a").refused(404, "AUTOMATION_V2_NOT_FOUND");
    ann.get("/automations/v2/a/governance").refused(404, "AUTOMATION_GOVERNANCE_NOT_FOUND");
    bot.ask("/automations/v2/a/restore").refused(403, "AUTOMATION_GOVERNANCE_RESTORE_FORBIDDEN");
    let back = ann.ask("/automations/v2/a/restore").ok();
    assert_eq!(back["automation"]["status"], json!("paused"));
    ann.get("/automations/v2/a").ok();
    ann.patch("/governance/limits", json!({ "delete_retention_ms": 1 })).ok();
    ann.delete("/automations/v2/a").ok();
    until("the window has closed", SOON, || (ann.ask("/automations/v2/a/restore").status == 410).then_some(()));
}

#[test]
fn two_persons_grant() {
    let server = launch("governed-dual").env("TANDEM_AGENT_AUTOMATION_DUAL_CONTROL", "true").start();
    let (ann, ben) = (human(&server, "ann"), human(&server, "ben"));
    create(&ann, "a").ok();
    let ask = |approval: Option<&str>, reason: &str| {
        let body = json!({ "granted_to_agent_id": "bot", "reason": reason, "approval_id": approval });
        ann.post("/automations/v2/a/grants", body)
    };
    ask(None, "x").refused(403, "AUTOMATION_GOVERNANCE_APPROVAL_REQUIRED");
    let context =
        json!({ "action": "grant_modify_access", "parameters": { "grantedToAgentID": "bot", "reason": "x" } });
    let id = filed(&ann, "elevated_capability", ("automation", "a"), context);
    decide(&ben, &id, "approve").ok();
    ask(Some(&id), "y").refused(403, "AUTOMATION_GOVERNANCE_APPROVAL_INVALID");
    ask(Some(&id), "x").ok();
    ask(Some(&id), "x").refused(403, "AUTOMATION_GOVERNANCE_APPROVAL_INVALID");
    assert_eq!(ann.get("/automations/v2/a/grants").ok()["count"], json!(1));
}

#[test]
fn the_switch_stops_an_agents_runs_and_measures_it() {
    let server = launch("governed-switch").start();
    let (ann, bot) = (human(&server, "ann"), agent(&server, "bot"));
    create(&bot, "a").ok();
    let run = started(&ann, "a");
    let claim = claimed(&ann, &run);
    started(&ann, "a");
    let paused = ann.post("/governance/agents/bot/pause", json!({ "reason": "odd" })).ok();
    assert_eq!(
        (&paused["agent"]["pause"]["runs_told"], &paused["agent"]["pause"]["runs_stopped"]),
        (&json!(2), &json!(1))
    );
    let beat = |body: Value| ann.post(&format!("/automations/v2/runs/{run}/heartbeat"), body).ok();
    assert_eq!(beat(json!({ "claim_id": claim }))["directives"]["stop"], json!(true));
    beat(json!({ "claim_id": claim, "stop_acknowledged": true }));
    let pause = ann.get("/governance/agents/bot").ok()["agent"]["pause"].clone();
    assert_eq!(pause["runs_stopped"], json!(2));
    assert!(pause["slowest_stop_ms"].is_u64(), "{pause}");
    create(&bot, "b").refused(403, "AUTOMATION_V2_AGENT_CREATION_PAUSED");
    run_now(&ann, "a").refused(409, "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED");
}
