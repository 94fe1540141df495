//! Governance over HTTP in what only the wire shows: short requests, headers, nulls, lists, tenants, and what sweeps do.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_testkit::{Client, Server, ToolServer, audit, now_ms, until};

use crate::{
    governance::{agent, decide, filed, human},
    support::{SOON, database, launch, text},
};

/// Far below the intervals of the sweeps.
const AT_ONCE: Duration = Duration::from_secs(10);

fn create(client: &Client, id: &str) -> Value {
    let agents = json!([{ "agent_id": "worker", "mcp_policy": { "allowed_servers": ["gh"] } }]);
    client.post("/automations/v2", json!({ "automation_id": id, "name": id, "agents": agents })).ok()["automation"]
        .clone()
}

fn governance(client: &Client, id: &str) -> Value {
    client.get(&format!("/automations/v2/{id}/governance")).ok()["governance"].clone()
}

#[test]
fn a_short_request_of_every_type_is_taken() {
    let server = launch("gov-short").start();
    let types = [
        "capability_request",
        "external_post",
        "quota_override",
        "lifecycle_review",
        "elevated_capability",
        "depth_override",
        "retirement_action",
    ];
    for client in [agent(&server, "bot"), human(&server, "ann"), server.client()] {
        for kind in types {
            for target in [json!({ "type": "agent", "id": "bot" }), json!({ "type": "automation_v2", "id": "a" })] {
                let body = json!({ "request_type": kind, "target_resource": target, "rationale": "please" });
                let filed = client.post("/governance/approvals", body).ok();
                assert_eq!(filed["approval"]["status"], json!("pending"), "{kind} {target}");
            }
        }
    }
    // What the bare token asked for, a person at the panel decides, with a name or without.
    let id = filed(&server.client(), "external_post", ("agent", "bot"), json!({}));
    decide(&server.client().with("x-tandem-request-source", "control_panel"), &id, "approve").ok();
}

#[test]
fn too_many_are_told_when_to_come_back() {
    let server = launch("gov-wait").env("TANDEM_AGENT_AUTOMATION_CREATION_REVIEW_THRESHOLD", "1").start();
    let bot = agent(&server, "bot");
    create(&bot, "a");
    let refused = bot.post("/automations/v2", json!({ "name": "b" }));
    refused.refused(429, "AUTOMATION_V2_AGENT_REVIEW_REQUIRED");
    assert_eq!(refused.header("retry-after"), Some("60"));
    // The denial stops the agent altogether, if it says so.
    let (ann, review) = (human(&server, "ann"), filed_review(&server));
    let deny = format!("/governance/approvals/{review}/deny");
    ann.ask(&deny).refused(415, "VALIDATION_FAILED");
    ann.ask(&format!("/governance/approvals/{review}/approve")).refused(415, "VALIDATION_FAILED");
    assert_eq!(ann.post(&deny, json!({ "pauseAgent": true })).ok()["approval"]["status"], json!("denied"));
    assert_eq!(ann.get("/governance/agents/bot").ok()["agent"]["status"], json!("paused"));
}

fn filed_review(server: &Server) -> String {
    let reviews = server.client().get("/governance/reviews").ok();
    text(&reviews["agent_creation_reviews"][0]["review_request_id"])
}

#[test]
fn a_word_that_is_no_text_is_of_the_wrong_shape() {
    let server = launch("gov-words").start();
    let ann = human(&server, "ann");
    for word in [json!(null), json!(5), json!([]), json!({}), json!(true)] {
        let target = json!({ "type": "agent", "id": "bot" });
        let body = json!({ "request_type": word, "target_resource": target, "rationale": "please" });
        let refused = ann.post("/governance/approvals", body);
        refused.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused.json()["field"], json!("request_type"), "{}", refused.text());
    }
}

#[test]
fn an_agent_without_a_name_makes_nothing_and_that_is_kept() {
    let server = launch("gov-nameless").start();
    let nameless = server.client().with("x-tandem-request-source", "agent");
    let made = nameless.post("/automations/v2", json!({ "automation_id": "a", "name": "a" }));
    made.refused(403, "AUTOMATION_V2_AGENT_ID_REQUIRED");
    nameless.get("/automations/v2").refused(403, "AUTOMATION_V2_AGENT_ID_REQUIRED");
    let rows = audit::rows(&server.client(), "automation.governance.denied");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["payload"]["code"], json!("AUTOMATION_V2_AGENT_ID_REQUIRED"));
}

#[test]
fn a_line_names_its_person_and_everybody_who_pays() {
    let server = launch("gov-line").start();
    let (ann, bot) = (human(&server, "ann"), agent(&server, "bot"));
    create(&bot.again().with("x-tandem-actor-id", "ann").with("x-tandem-agent-ancestor-ids", "top,mid"), "a");
    create(&bot, "b");
    let provenance = &governance(&ann, "a")["provenance"];
    assert_eq!(
        (&provenance["root_actor"]["kind"], &provenance["root_actor"]["actor_id"]),
        (&json!("human"), &json!("ann"))
    );
    assert_eq!(governance(&ann, "b")["provenance"]["root_actor"]["kind"], json!("system"));
    let chain: Vec<String> =
        provenance["creator_chain"].as_array().unwrap().iter().map(|one| text(&one["actor_id"])).collect();
    assert_eq!(chain, ["bot", "top", "mid"]);

    ann.must("PUT", "/governance/agents/idle", &[], Some(json!({ "owner": "ann" }))).ok();
    let (mut payers, mut next) = (Vec::new(), String::new());
    loop {
        let page = ann.get(&format!("/governance/spend?limit=1{next}")).ok();
        let rows = page["spend"].as_array().unwrap();
        assert!(rows.iter().all(|row| row["lifetime"]["cost_usd"] == json!(0.0)), "{page}");
        payers.extend(rows.iter().map(|row| text(&row["agent_id"])));
        match page["next_cursor"].as_str() {
            Some(cursor) => {
                assert_eq!(rows.len(), 1, "pages are full");
                next = format!("&cursor={cursor}");
            }
            None => break,
        }
    }
    payers.sort();
    assert_eq!(payers, ["bot", "mid", "top"]);
    assert_eq!(ann.get("/governance/agents/top/spend").ok()["spend"]["agent_id"], json!("top"));
    ann.get("/governance/agents/idle/spend").refused(404, "AGENT_SPEND_NOT_FOUND");

    let decisions = ann.get("/governance/policy-decisions?automation_id=a").ok();
    let one = decisions["policy_decisions"][0].as_object().unwrap();
    assert_eq!(one["tenant_context"]["org_id"], json!("local"));
    assert_eq!(one["resource"], json!({ "type": "automation", "id": "a" }));
    for absent in
        ["run_id", "approval_id", "grant_id", "requester_context", "tool", "risk_tier", "audit_event_id", "metadata"]
    {
        assert_eq!(one.get(absent), Some(&Value::Null), "{absent}");
    }
}

#[test]
fn a_foreign_decision_is_told_to_the_owner_alone() {
    let server = launch("gov-foreign").start();
    let id = filed(&agent(&server, "bot"), "capability_request", ("agent", "bot"), json!({ "capability_key": "x" }));
    let body = json!({ "name": "acme", "tenant": { "org_id": "acme", "workspace_id": "main" }, "actor_id": "eve" });
    let made = server.client().post("/auth/tokens", body).ok();
    let raw = made.as_object().unwrap().values().find_map(|value| value.as_str().filter(|text| text.len() > 30));
    let eve = server.stranger().bearer(raw.expect("the token is shown once"));
    decide(&eve, &id, "approve").refused(404, "GOVERNANCE_APPROVAL_NOT_FOUND");
    decide(&eve, "apr_none", "deny").refused(404, "GOVERNANCE_APPROVAL_NOT_FOUND");
    let kind = "automation.governance.approval.cross_tenant_denied";
    let rows = audit::rows(&server.client(), kind);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["payload"]["approvalID"], &rows[0]["payload"]["operation"]), (&json!(id), &json!("approve")));
    assert!(audit::rows(&eve, kind).is_empty());
}

#[test]
fn a_sweep_comes_when_something_is_due() {
    // The intervals are the usual ones.
    let server = launch("gov-soon").env("TANDEM_AGENT_AUTOMATION_DEFAULT_EXPIRES_AFTER_MS", "2500").start();
    let (ann, bot) = (human(&server, "ann"), agent(&server, "bot"));
    create(&bot, "a");
    let body = json!({
        "request_type": "external_post", "target_resource": { "type": "agent", "id": "bot" }, "rationale": "soon",
        "expires_at_ms": now_ms() + 2_000,
    });
    let id = text(&bot.post("/governance/approvals", body).ok()["approval"]["approval_id"]);
    until("the request has run out", AT_ONCE, || {
        let shown = ann.get(&format!("/governance/approvals/{id}")).ok();
        (shown["approval"]["status"] == json!("expired")).then_some(())
    });
    until("the automation has expired", AT_ONCE, || governance(&ann, "a")["expired_at_ms"].is_u64().then_some(()));
}

#[test]
fn a_tool_server_that_goes_pauses_who_could_use_it() {
    let tools = ToolServer::new([]);
    let server = launch("gov-server-gone").start();
    let ann = human(&server, "ann");
    let register = || {
        ann.post("/mcp", json!({ "name": "gh", "transport": tools.url(), "allow_private_networks": true })).ok();
    };
    register();
    create(&ann, "a");
    ann.patch("/mcp/gh", json!({ "purpose": "issues" })).ok();
    assert_eq!(governance(&ann, "a")["review_required"], json!(false));
    ann.patch("/mcp/gh", json!({ "enabled": false })).ok();
    let closed = governance(&ann, "a");
    assert_eq!((&closed["review_kind"], &closed["creation_paused"]), (&json!("dependency_revoked"), &json!(true)));
    assert_eq!(ann.get("/automations/v2/a").ok()["automation"]["status"], json!("paused"));
    create(&ann, "b");
    ann.delete("/mcp/gh").ok();
    assert_eq!(governance(&ann, "b")["review_kind"], json!("dependency_revoked"));
    ann.delete("/mcp/gh").refused(404, "MCP_SERVER_NOT_FOUND");
}

#[test]
fn a_tool_server_with_fewer_tools_pauses_who_could_use_them() {
    let tools = ToolServer::new([]);
    let server = launch("gov-server-narrowed").start();
    let ann = human(&server, "ann");
    let register = |allowed: Value| {
        let body =
            json!({ "name": "gh", "transport": tools.url(), "allow_private_networks": true, "allowedTools": allowed });
        ann.post("/mcp", body).ok();
    };
    register(json!(["read", "write", "search"]));
    let made = |id: &str, own: Value| {
        let agents = json!([{ "agentId": "w", "mcpPolicy": { "allowedServers": ["gh"], "allowedTools": own } }]);
        ann.post("/automations/v2", json!({ "automation_id": id, "name": id, "agents": agents })).ok();
    };
    made("every", Value::Null);
    made("reads", json!(["mcp.gh.read"]));
    made("writes", json!(["write"]));
    let started = text(&ann.post("/automations/v2/writes/run_now", json!({})).ok()["run"]["run_id"]);
    let kinds = || ["every", "reads", "writes"].map(|id| governance(&ann, id)["review_kind"].clone());
    // More of anything takes nothing away.
    ann.patch("/mcp/gh", json!({ "allowed_tools": ["read", "write", "search", "more"] })).ok();
    assert_eq!(kinds(), [Value::Null, Value::Null, Value::Null]);
    ann.patch("/mcp/gh", json!({ "allowed_tools": ["read", "search"] })).ok();
    let revoked = json!("dependency_revoked");
    assert_eq!(kinds(), [revoked.clone(), Value::Null, revoked.clone()]);
    let state = governance(&ann, "writes");
    let evidence = &state["health_findings"][0]["evidence"];
    assert_eq!((&evidence["trigger"], &evidence["server"]), (&json!("mcp_server_narrowed"), &json!("gh")));
    assert_eq!(evidence["dependencyChanges"][0]["removedTools"], json!(["write"]));
    assert_eq!(evidence["pausedRunIDs"], json!([started]));
    ann.post("/automations/v2/writes/run_now", json!({})).refused(409, "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED");
    // Registering it again is a change of its settings as well.
    register(json!(["search"]));
    assert_eq!(kinds(), [revoked.clone(), revoked.clone(), revoked]);
}

#[test]
fn an_approved_post_is_made_once_however_many_ask() {
    let server = launch("gov-consume").start();
    let (ann, bot) = (human(&server, "ann"), agent(&server, "bot"));
    create(&bot, "a");
    let asked = |uses: Option<u32>| {
        let body = json!({
            "request_type": "external_post", "target_resource": { "type": "automation", "id": "a" },
            "rationale": "tell the customer", "action": "chat.post", "uses": uses,
            "parameters": { "channel": "#ops", "text_sha256": "ab" },
        });
        text(&bot.post("/governance/approvals", body).ok()["approval"]["approval_id"])
    };
    let invalid = "AUTOMATION_GOVERNANCE_APPROVAL_INVALID";
    let consume = |client: &Client, id: &str, more: Value| {
        let body = json!({ "action": "chat.post", "parameters": { "text_sha256": "ab", "channel": "#ops" } });
        client.post(&format!("/governance/approvals/{id}/consume"), tandem_testkit::bodies::merged(body, more))
    };
    let id = asked(None);
    consume(&bot, &id, json!({})).refused(403, invalid);
    decide(&ann, &id, "approve").ok();
    assert_eq!(governance(&ann, "a")["published_externally"], json!(false), "approving posts nothing");
    for wrong in [json!({ "action": "chat.delete" }), json!({ "parameters": { "channel": "#all" } })] {
        consume(&bot, &id, wrong).refused(403, invalid);
    }
    for other in [&ann, &agent(&server, "other"), &server.client()] {
        consume(other, &id, json!({})).refused(404, "AUTOMATION_GOVERNANCE_APPROVAL_NOT_FOUND");
    }
    consume(&bot, &id, json!({ "action": " " })).refused(400, "VALIDATION_FAILED");
    let run = text(&ann.post("/automations/v2/a/run_now", json!({})).ok()["run"]["run_id"]);
    ann.post(&format!("/automations/v2/runs/{run}/cancel"), json!({})).ok();
    consume(&bot, &id, json!({ "run_id": run })).refused(409, "AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED");
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let ask = |n| {
            let (bot, id) = (bot.again(), &id);
            scope.spawn(move || consume(&bot, id, json!({ "use_id": format!("u{n}") })).status)
        };
        let tasks: Vec<_> = (0..12).map(ask).collect();
        tasks.into_iter().map(|task| task.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 403).count(), 11, "{codes:?}");
    // The one that was counted may be asked again, and stays one.
    let won = codes.iter().position(|code| *code == 200).unwrap();
    let again = consume(&bot, &id, json!({ "useId": format!("u{won}") })).ok();
    assert_eq!((&again["repeated"], &again["approval"]["uses"]), (&json!(true), &json!(1)));
    assert_eq!(governance(&ann, "a")["published_externally"], json!(true));
    assert_eq!(audit::rows(&ann, "automation.governance.egress_approval.consumed").len(), 1);

    let id = asked(Some(5));
    decide(&ann, &id, "approve").ok();
    consume(&bot, &id, json!({})).ok();
    ann.post("/governance/agents/bot/pause", json!({})).ok();
    consume(&bot, &id, json!({})).refused(403, "AUTOMATION_V2_AGENT_CREATION_PAUSED");
    // What this server does itself is not used up by a word.
    let context = json!({ "action": "retire_automation", "parameters": { "reason": null } });
    let id = filed(&ann, "elevated_capability", ("automation", "a"), context);
    decide(&human(&server, "ben"), &id, "approve").ok();
    consume(&ann, &id, json!({ "action": "retire_automation", "parameters": { "reason": null } }))
        .refused(403, invalid);
    audit::assert_verified(&ann);
}

#[test]
fn runs_have_the_profile_and_the_time_that_are_set() {
    let mut server = launch("gov-runs").env("TANDEM_DEFAULT_EXECUTION_PROFILE", "strict").start();
    let ann = human(&server, "ann");
    create(&ann, "a");
    let run =
        |client: &Client| client.post("/automations/v2/a/run_now", json!({ "dry_run": true })).ok()["run"].clone();
    let (old, new) = (run(&ann), run(&ann));
    assert_eq!(old["effective_execution_profile"], json!("strict"));
    let (launch, file) = (server.launch().clone(), database(&server));
    server.terminate();
    let db = rusqlite::Connection::open(&file).unwrap();
    let aged = "UPDATE automation_runs SET turn = -1, created_at_ms = 1, \
                body = json_set(body, '$.created_at_ms', 1, '$.finished_at_ms', 2) WHERE id = ?1";
    assert_eq!(db.execute(aged, [&text(&old["run_id"])]).unwrap(), 1);
    drop(db);
    drop(server);
    let server = launch.start();
    let client = server.client();
    let listed = || client.get("/automations/v2/runs").ok()["runs"].as_array().unwrap().clone();
    until("the old run is gone", SOON + SOON, || (listed().len() == 1).then_some(()));
    assert_eq!(listed()[0]["run_id"], new["run_id"]);
    assert_eq!(audit::rows(&client, "automation.v2.retention.removed").len(), 1);
}
