//! Continuous reassessment: what changes is assessed at once, each reason once, whoever dies meanwhile.

use std::{sync::Barrier, time::Duration};

use serde_json::{Value, json};
use tandem_testkit::{Client, Seed, ToolServer, audit, bodies, poll, tool_server::tool, until};

use crate::{
    cards::other,
    concurrency::Database,
    support::{KEY_HEADER, SOON, configure, launch, reported, text},
};

const PATH: &str = "/incident-monitor/security/reassessments";

/// A configuration in which changes are reasons.
fn watched(over: Value) -> Value {
    bodies::merged(json!({ "reassessment": { "change_triggers_enabled": true } }), over)
}

fn records(client: &Client) -> Vec<Value> {
    client.get(&format!("{PATH}?limit=200")).ok()["records"].as_array().cloned().unwrap_or_default()
}

/// Records that answer this reason, newest first.
fn by(client: &Client, trigger: &str) -> Vec<Value> {
    let answers = |record: &Value| {
        record["triggers"].as_array().is_some_and(|all| all.iter().any(|one| one["trigger"] == json!(trigger)))
    };
    records(client).into_iter().filter(answers).collect()
}

#[track_caller]
fn answered(client: &Client, trigger: &str, count: usize) -> Value {
    let mut seen = Vec::new();
    let found = poll(SOON, || {
        seen = by(client, trigger);
        (seen.len() >= count).then(|| seen[0].clone())
    });
    let found = found.unwrap_or_else(|| panic!("{count} records for {trigger}: {seen:?}"));
    assert_eq!(seen.len(), count, "{trigger}");
    found
}

/// Nothing is left to be done.
#[track_caller]
fn idle(client: &Client) {
    until("no reason is waiting", SOON, || {
        let schedule = client.get(PATH).ok()["schedule"].clone();
        let none = |row: &Value| row["pending_triggers"] == json!([]);
        schedule.as_array().is_some_and(|rows| rows.iter().all(none)).then_some(())
    });
}

fn webhook(id: &str) -> Value {
    json!({ "destination_id": id, "name": id, "kind": "webhook", "webhook_url": "https://example.com/x" })
}

#[test]
fn a_run_on_demand_says_what_is_new_recurring_and_resolved() {
    let server = launch("reassess-manual").start();
    let client = server.client();
    let empty = client.get(PATH).ok();
    assert_eq!(empty["counts"], json!({ "records": 0, "overdue_scopes": 0 }));
    let row = &empty["schedule"][0];
    assert_eq!((&row["scope_key"], &row["scope"]), (&json!("local/local/deployment"), &json!("deployment")));
    assert!(
        row.get("last_completed_at_ms").is_none() && row["next_due_at_ms"].is_u64() && row["overdue"] == json!(false)
    );
    configure(&client, json!({ "destinations": [webhook("one"), bodies::telemetry("local")] }));
    let ann = server.client().with("x-tandem-actor-id", "ann");
    let made = ann.ask(PATH).ok();
    let first = &made["reassessment"];
    assert_eq!(first["record_id"], json!("reassess-1-local/local/deployment"));
    assert_eq!((&first["trigger"], &first["version"]), (&json!("manual"), &json!(1)));
    assert_eq!(first["requested_by"]["actor_id"], json!("ann"));
    assert!(first.get("tenant_id").is_none() && first["comparison"].get("previous_record_id").is_none());
    assert_eq!(made["schedule"][0]["last_version"], json!(1));
    assert!(made["schedule"][0]["next_due_at_ms"].as_u64() > first["generated_at_ms"].as_u64());
    let findings = first["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["status"] == json!("new")));
    assert_eq!(first["counts"]["findings"], json!(findings.len()));

    let second = client.ask(PATH).ok()["reassessment"].clone();
    assert_eq!(second["comparison"]["previous_record_id"], first["record_id"]);
    assert_eq!((&second["counts"]["new"], &second["counts"]["resolved"]), (&json!(0), &json!(0)));
    assert_eq!(second["counts"]["recurring"], first["counts"]["findings"]);
    for finding in second["findings"].as_array().unwrap() {
        let before = findings.iter().find(|old| old["fingerprint"] == finding["fingerprint"]).unwrap();
        assert_eq!(finding["first_seen_at_ms"], before["first_seen_at_ms"]);
        assert_eq!(finding["occurrence_count"], json!(2));
    }
    let listed = records(&client);
    assert_eq!(listed.iter().map(|record| &record["version"]).collect::<Vec<_>>(), [&json!(2), &json!(1)]);
    assert_eq!(client.get(&format!("{PATH}?limit=1")).ok()["counts"]["records"], json!(1));
    let rows = audit::rows(&client, "incident_monitor.reassessment.completed");
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().any(|row| row["actor"]["actor_id"] == json!("ann")), "{rows:?}");
    assert_eq!(audit::rows(&client, "incident_monitor.reassessment.triggered").len(), 2);
    let (_, raw) = {
        configure(&client, json!({ "monitored_projects": [bodies::project("shop", "/srv/shop")] }));
        crate::support::keyed(&client, json!({}))
    };
    for method in ["GET", "POST"] {
        let reply = client.must(method, PATH, &[(KEY_HEADER, &raw)], None);
        reply.refused(403, "INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED");
    }
    // Another tenant has its own history.
    let eve = other(&server);
    assert_eq!(eve.get(PATH).ok()["counts"]["records"], json!(0));
    let own = eve.ask(PATH).ok()["reassessment"].clone();
    assert_eq!((&own["tenant_id"], &own["workspace_id"], &own["version"]), (&json!("acme"), &json!("main"), &json!(1)));
    assert_eq!(eve.get(PATH).ok()["counts"]["records"], json!(1));
    assert!(records(&client).len() == 3, "the implicit tenant sees all");
    audit::assert_verified(&client);
}

#[test]
fn whoever_asks_at_once_gets_a_run() {
    const CALLERS: u64 = 20;
    let server = launch("reassess-at-once").start();
    let start = Barrier::new(CALLERS as usize);
    let mut versions: Vec<u64> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (client, start) = (server.client(), &start);
                scope.spawn(move || {
                    start.wait();
                    client.ask(PATH).ok()["reassessment"]["version"].as_u64().unwrap()
                })
            })
            .collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len() as u64, CALLERS, "{versions:?}");
}

#[test]
fn each_change_is_assessed_at_once_for_what_it_is() {
    let server = launch("reassess-change").start();
    let client = server.client();
    configure(&client, watched(json!({})));
    answered(&client, "destination_or_route_change", 1);
    let mut over = json!({});
    let mut step = |more: Value, trigger: &str, count: usize| {
        over = bodies::merged(over.clone(), more);
        let saved = std::time::Instant::now();
        configure(&client, watched(over.clone()));
        let record = answered(&client, trigger, count);
        let took = saved.elapsed();
        assert_eq!(record["triggers"].as_array().map(Vec::len), Some(1), "{record}");
        assert_eq!(record["trigger"], json!(trigger));
        took
    };
    let took = [
        step(
            json!({ "routes": [{ "route_id": "r", "name": "R", "destination_ids": ["local"] }] }),
            "destination_or_route_change",
            2,
        ),
        step(json!({ "monitored_projects": [bodies::project("shop", "/srv/shop")] }), "monitored_source_change", 1),
        step(json!({ "model_policy": { "default": "m" } }), "model_policy_change", 1),
        step(json!({ "require_approval_for_new_issues": true }), "approval_policy_change", 1),
    ];
    let fastest = took.iter().min().copied().unwrap_or_default();
    assert!(fastest < Duration::from_secs(1), "{took:?}");
    // Who changed it is told beside what the worker did.
    let row = &audit::rows(&client, "incident_monitor.reassessment.triggered")[0];
    assert!(
        row["payload"]["trigger"].is_string() && row["payload"]["scope_key"] == json!("local/local/deployment"),
        "{row}"
    );
    // Nothing that matters changed.
    let before = records(&client).len();
    client.ask("/incident-monitor/pause").ok();
    idle(&client);
    client.ask(PATH).ok();
    assert_eq!(records(&client).len(), before + 1);
    audit::assert_verified(&client);
}

#[test]
fn automations_and_tools_are_reasons_and_can_be_switched_off() {
    let server = launch("reassess-live").start();
    let client = server.client();
    let id = crate::automations::made(&client, "first");
    for n in 0..5 {
        crate::automations::made(&client, &format!("more-{n}"));
    }
    let record = answered(&client, "workflow_authority_change", 1);
    assert!(record["triggers"][0]["count"].as_u64().is_some_and(|count| count >= 1), "{record}");
    idle(&client);
    let before = by(&client, "workflow_authority_change").len();
    client.patch(&format!("/automations/v2/{id}"), json!({ "description": "other" })).ok();
    client.delete(&format!("/automations/v2/{id}")).ok();
    until("the changes were assessed", SOON, || {
        (by(&client, "workflow_authority_change").len() > before).then_some(())
    });
    idle(&client);
    // What others declare is authority, too; saying it again is no change.
    let declare = |body: Value| client.must("PUT", "/authority/agents/planner", &[], Some(body)).ok();
    let declared = |step: &dyn Fn()| {
        idle(&client);
        let before = by(&client, "workflow_authority_change").len();
        step();
        until("the declaration was assessed", SOON, || {
            (by(&client, "workflow_authority_change").len() > before).then_some(())
        });
    };
    declared(&|| drop(declare(json!({ "owner": "ada" }))));
    declared(&|| drop(declare(json!({ "owner": "grace" }))));
    idle(&client);
    let before = by(&client, "workflow_authority_change").len();
    declare(json!({ "owner": "grace" }));
    idle(&client);
    assert_eq!(by(&client, "workflow_authority_change").len(), before);
    declared(&|| drop(client.delete("/authority/agents/planner").ok()));
    let tools = ToolServer::new([tool("one")]);
    client.post("/mcp", json!({ "name": "gh", "transport": tools.url(), "allow_private_networks": true })).ok();
    answered(&client, "mcp_inventory_change", 1);
    client.ask("/mcp/gh/connect").ok();
    answered(&client, "mcp_inventory_change", 2);
    tools.offer([tool("one"), tool("two")]);
    client.ask("/mcp/gh/refresh").ok();
    answered(&client, "mcp_inventory_change", 3);
    // The same again is no change.
    client.ask("/mcp/gh/refresh").ok();
    idle(&client);
    assert_eq!(by(&client, "mcp_inventory_change").len(), 3);
    configure(&client, json!({ "repo": "acme/other" }));
    idle(&client);
    let before = records(&client).len();
    crate::automations::made(&client, "unnoticed");
    configure(&client, json!({ "default_destination_ids": [] }));
    client.ask("/mcp/gh/disconnect").ok();
    client.delete("/mcp/gh").ok();
    client.ask(PATH).ok();
    assert_eq!(records(&client).len(), before + 1);
    audit::assert_verified(&client);
}

#[test]
fn a_run_keeps_the_life_of_findings_and_counts_what_failed_beside_the_rules() {
    let server = launch("reassess-living").start();
    let client = server.client();
    configure(&client, json!({ "destinations": [webhook("open"), bodies::telemetry("local")] }));
    let live = |status: &str| {
        let rows = crate::support::all(&client, "/incident-monitor/security/findings", "findings");
        let of = |row: &&Value| {
            row["rule_id"] == json!("external_destination_without_approval") && row["status"] == json!(status)
        };
        rows.iter().filter(of).cloned().collect::<Vec<_>>()
    };
    assert_eq!(live("open").len(), 0, "reading keeps nothing");
    let first = client.ask(PATH).ok()["reassessment"].clone();
    let open = live("open");
    assert_eq!(open.len(), 1);
    let findings = first["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["fingerprint"] == open[0]["fingerprint"]), "{first}");
    assert!(findings.iter().any(|finding| finding["scope"] == json!("destination:open")), "{first}");
    // The webhook has no secret: a probe says so, and no rule does.
    let of_probe = findings.iter().find(|finding| text(&finding["rule_id"]).starts_with("probe."));
    let of_probe = of_probe.unwrap_or_else(|| panic!("no probe failed: {first}"));
    assert_eq!(text(&of_probe["fingerprint"]).len(), 32);
    client.ask(PATH).ok();
    assert_eq!(live("open")[0]["occurrence_count"], json!(2));
    configure(&client, json!({}));
    let last = client.ask(PATH).ok()["reassessment"].clone();
    assert!(last["comparison"]["resolved_fingerprints"].as_array().unwrap().contains(&open[0]["fingerprint"]));
    assert_eq!((live("open").len(), live("resolved").len()), (0, 1));
    audit::assert_verified(&client);
}

#[test]
fn the_cadence_and_bound_tenants_are_kept() {
    let server = launch("reassess-cadence").start();
    let client = server.client();
    let mut bound = bodies::project("shop", "/srv/shop");
    bound["tenant_id"] = json!("acme");
    bound["workspace_id"] = json!("main");
    let settings = json!({ "cadence_ms": 700, "change_triggers_enabled": false });
    configure(&client, json!({ "monitored_projects": [bound], "reassessment": settings }));
    let keys = |client: &Client| {
        let rows = client.get(PATH).ok()["schedule"].clone();
        rows.as_array().unwrap().iter().map(|row| text(&row["scope_key"])).collect::<Vec<_>>()
    };
    assert_eq!(keys(&client), ["local/local/deployment", "acme/main/deployment"]);
    until("both scopes ran twice by themselves", SOON, || {
        let rows = client.get(PATH).ok()["schedule"].clone();
        rows.as_array().unwrap().iter().all(|row| row["last_version"].as_u64() >= Some(2)).then_some(())
    });
    let all = records(&client);
    assert!(all.iter().all(|record| record["trigger"] == json!("scheduled")), "{all:?}");
    let of_acme = all.iter().find(|record| record["scope_key"] == json!("acme/main/deployment")).unwrap();
    assert_eq!((&of_acme["tenant_id"], &of_acme["workspace_id"]), (&json!("acme"), &json!("main")));
    let scopes: Vec<&str> =
        of_acme["findings"].as_array().unwrap().iter().filter_map(|finding| finding["scope"].as_str()).collect();
    assert!(!scopes.iter().any(|scope| scope.starts_with("workflow:")), "{scopes:?}");
    let by_worker = &audit::rows(&client, "incident_monitor.reassessment.completed")[0];
    assert_eq!(by_worker["actor"]["actor_id"], json!("incident_monitor.reassessment_scheduler"));
    // Nothing names the scope any more.
    configure(&client, json!({ "reassessment": settings }));
    assert_eq!(keys(&client), ["local/local/deployment"]);
    let last = |client: &Client| {
        let of = |record: &&Value| record["scope_key"] == json!("acme/main/deployment");
        records(client).iter().filter(of).filter_map(|record| record["version"].as_u64()).max()
    };
    let own = |client: &Client| client.get(PATH).ok()["schedule"][0]["last_version"].as_u64();
    let (ended, from) = (last(&client), own(&client).unwrap_or_default());
    until("the owner's scope went on", SOON, || (own(&client) >= Some(from + 2)).then_some(()));
    assert!(last(&client) <= ended.map(|version| version + 1), "at most the run that was under way");
}

#[test]
fn a_scope_that_is_not_assessed_in_time_is_overdue() {
    let server = launch("reassess-overdue").start();
    let client = server.client();
    let settings = json!({ "cadence_ms": 3_600_000, "overdue_grace_ms": 1, "change_triggers_enabled": false });
    configure(&client, json!({ "reassessment": settings }));
    until("the scope is overdue", SOON, || {
        let answer = client.get(PATH).ok();
        (answer["counts"]["overdue_scopes"] == json!(1)).then_some(())
    });
    let cards = client.post("/incident-monitor/security/deployment-cards", json!({})).ok();
    assert_eq!(cards["reassessment"]["overdue_scopes"], json!(1));
    client.ask(PATH).ok();
    assert_eq!(client.get(PATH).ok()["counts"]["overdue_scopes"], json!(0));
}

#[test]
fn an_incident_that_keeps_coming_back_is_a_reason() {
    let server = launch("reassess-recurring").start();
    let client = server.client();
    let settings = json!({ "change_triggers_enabled": true, "cadence_ms": 2_000 });
    configure(&client, json!({ "reassessment": settings }));
    for _ in 0..12 {
        reported(&client, bodies::report_as("again"));
    }
    let record = answered(&client, "recurring_incident_threshold", 1);
    assert!(text(&record["trigger_detail"]).contains("10 times"), "{record}");
    // Once for each step, however often it is looked at.
    let from = client.get(PATH).ok()["schedule"][0]["last_version"].as_u64().unwrap();
    until("two more runs", SOON, || {
        (client.get(PATH).ok()["schedule"][0]["last_version"].as_u64() >= Some(from + 2)).then_some(())
    });
    assert_eq!(by(&client, "recurring_incident_threshold").len(), 1);
}

#[test]
fn a_reason_survives_the_process_and_is_answered_once() {
    let mut seed = Seed::from_env("IT_CRASH_SEED");
    let launch = launch("reassess-crash");
    let mut server = launch.start();
    configure(&server.client(), watched(json!({})));
    answered(&server.client(), "destination_or_route_change", 1);
    for round in 0..6 {
        let client = server.client();
        let routes = json!([{ "route_id": format!("r{round}"), "name": "R", "destination_ids": ["local"] }]);
        configure(&client, watched(json!({ "routes": routes })));
        drop(client);
        std::thread::sleep(Duration::from_millis(seed.between(0, 60)));
        server.restart();
        answered(&server.client(), "destination_or_route_change", round + 2);
    }
    idle(&server.client());
    let client = server.client();
    let versions: Vec<u64> = records(&client).iter().filter_map(|record| record["version"].as_u64()).collect();
    assert_eq!(versions, (1..=7).rev().collect::<Vec<u64>>());
    audit::assert_verified(&client);
}

#[test]
fn two_engines_answer_each_reason_once() {
    let Some(database) = Database::new() else {
        println!("skipped: TANDEM_TEST_POSTGRES_URL names no server");
        return;
    };
    let url = database.url();
    let engine = |name: &str| launch(name).arg("--database-url").arg(&url).start();
    let (mut one, two) = (engine("reassess-pg-1"), engine("reassess-pg-2"));
    let (first, second) = (one.client(), two.client());
    configure(&first, watched(json!({})));
    answered(&second, "destination_or_route_change", 1);
    for round in 0..6 {
        let routes = json!([{ "route_id": format!("r{round}"), "name": "R", "destination_ids": ["local"] }]);
        configure(if round % 2 == 0 { &first } else { &second }, watched(json!({ "routes": routes })));
        answered(&second, "destination_or_route_change", round + 2);
    }
    // Many at once through both become as many versions without a gap.
    std::thread::scope(|scope| {
        for client in [one.client(), two.client(), one.client(), two.client()] {
            scope.spawn(move || (0..3).for_each(|_| drop(client.ask(PATH).ok())));
        }
    });
    idle(&second);
    let versions: Vec<u64> = records(&second).iter().filter_map(|record| record["version"].as_u64()).collect();
    assert_eq!(versions, (1..=19).rev().collect::<Vec<u64>>());
    // One dies; the other answers.
    drop(first);
    one.kill();
    configure(&second, watched(json!({ "model_policy": { "default": "m" } })));
    let limit = Duration::from_secs(90);
    let found = poll(limit, || (by(&second, "model_policy_change").len() == 1).then_some(()));
    assert!(found.is_some(), "the living engine takes over within a lease");
    audit::assert_verified(&second);
}
