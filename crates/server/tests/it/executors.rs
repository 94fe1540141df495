//! Executors: runs are lent once, reports count once, a lost executor's run fails and says so, and none of it depends on
//! the server staying alive.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tandem_testkit::{Client, Seed, Server, audit, until};

use crate::{
    automations::{asked, claimed, made, run},
    support::{SOON, all, configured, launch, text},
};

/// Runs end here by the hundred; the review that is due after twenty of them has tests of its own.
const RUN_REVIEWS: &str = "TANDEM_AGENT_AUTOMATION_RUN_REVIEW_THRESHOLD";

fn unreviewed(name: &str) -> (Server, Client) {
    let server = launch(name).env(RUN_REVIEWS, "0").start();
    let client = server.client();
    crate::support::configure(&client, json!({}));
    (server, client)
}

fn report(client: &Client, run: &str, body: Value) -> tandem_testkit::Reply {
    client.post(&format!("/automations/v2/runs/{run}/report"), body)
}

/// Incidents of runs that ended badly: how often each was seen.
fn occurrences(client: &Client) -> u64 {
    let rows = all(client, "/incident-monitor/incidents", "incidents");
    rows.iter()
        .filter(|row| text(&row["event_type"]).starts_with("automation_v2.run."))
        .map(|row| row["occurrence_count"].as_u64().unwrap())
        .sum()
}

#[track_caller]
fn reported_once_each(client: &Client, wanted: u64) {
    until("every bad end is an incident", SOON, || (occurrences(client) >= wanted).then_some(()));
    assert_eq!(occurrences(client), wanted);
}

#[test]
fn sixteen_executors_share_two_hundred_runs() {
    let (server, client) = unreviewed("executors");
    let id = made(&client, "Shared");
    let asked: BTreeSet<String> = (0..200).map(|_| asked(&client, &id)).collect();
    let lent = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for n in 0..16 {
            let (client, lent) = (server.client(), &lent);
            scope.spawn(move || {
                loop {
                    let wish = json!({ "claimant_id": format!("executor-{n}"), "limit": 1 + n % 3 });
                    let claims = client.post("/automations/v2/runs/claim", wish).ok()["claims"].clone();
                    let claims = claims.as_array().unwrap().clone();
                    if claims.is_empty() {
                        return;
                    }
                    for claim in claims {
                        let (run_id, claim_id) = (text(&claim["run"]["run_id"]), text(&claim["claim_id"]));
                        lent.lock().unwrap().push(run_id.clone());
                        let done = json!({ "report_id": "done", "claim_id": claim_id, "status": "completed",
                            "completed_nodes": ["a", "b"], "node_outputs": { "b": "x" } });
                        report(&client, &run_id, done).ok();
                    }
                }
            });
        }
    });
    let lent = lent.into_inner().unwrap();
    assert_eq!(lent.len(), 200, "every run was lent once");
    assert_eq!(lent.into_iter().collect::<BTreeSet<_>>(), asked);
    for run in all(&client, &format!("/automations/v2/{id}/runs"), "runs") {
        assert_eq!((&run["status"], &run["execution_claim_epoch"]), (&json!("completed"), &json!(1)));
    }
    audit::assert_verified(&client);
}

#[test]
fn a_report_counts_once_and_only_from_whoever_has_the_run() {
    let (_server, client) = configured("run-reports", json!({}));
    let id = made(&client, "Reported");
    let run_id = asked(&client, &id);
    let claim = claimed(&client, &run_id, 60_000);
    client
        .post(&format!("/automations/v2/runs/{run_id}/claim"), json!({ "claimant_id": "late" }))
        .refused(409, "AUTOMATION_V2_RUN_NOT_CLAIMABLE");
    let usage = json!({ "report_id": "r1", "claim_id": claim, "node_id": "a",
        "usage": { "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost_usd": 0.25, "model": "m" } });
    let first = report(&client, &run_id, usage.clone()).ok();
    assert_eq!((&first["duplicate"], &first["run"]["total_tokens"]), (&json!(false), &json!(15)));
    let again = report(&client, &run_id, usage.clone()).ok();
    assert_eq!((&again["duplicate"], &again["run"]["total_tokens"]), (&json!(true), &json!(15)));
    let other = json!({ "report_id": "r1", "claim_id": claim, "detail": "something else" });
    report(&client, &run_id, other).refused(409, "AUTOMATION_V2_RUN_REPORT_CONFLICT");
    report(&client, &run_id, json!({ "status": "completed" })).refused(400, "AUTOMATION_V2_RUN_REPORT_INVALID");
    let strange = json!({ "reportId": "r2", "claimId": "claim-of-nobody", "status": "completed" });
    let lost = report(&client, &run_id, strange).refused(409, "AUTOMATION_V2_RUN_CLAIM_LOST");
    assert_eq!(lost["directives"]["stop"], json!(true));

    let batch = json!({ "reports": [
        { "run_id": run_id, "report_id": "b1", "claim_id": claim, "usage": { "total_tokens": 1 } },
        { "runId": run_id, "reportId": "b2", "claimId": claim, "usage": { "totalTokens": 2 }, "status": "completed" },
        { "run_id": run_id, "report_id": "b3", "claim_id": claim, "status": "running" },
        { "run_id": "nobody", "report_id": "b4" },
        { "report_id": "b5" },
    ] });
    let answer = client.post("/automations/v2/runs/reports", batch).ok();
    let verdicts: Vec<(bool, String)> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["ok"] == json!(true), row["refusal"]["code"].as_str().unwrap_or_default().to_owned()))
        .collect();
    let wanted = [
        (true, ""),
        (true, ""),
        (false, "AUTOMATION_V2_RUN_CLAIM_LOST"),
        (false, "AUTOMATION_V2_RUN_NOT_FOUND"),
        (false, "AUTOMATION_V2_RUN_REPORT_INVALID"),
    ];
    assert_eq!(verdicts, wanted.map(|(ok, code)| (ok, code.to_owned())));
    let ended = run(&client, &run_id);
    assert_eq!(
        (&ended["status"], &ended["total_tokens"], &ended["report_count"]),
        (&json!("completed"), &json!(18), &json!(3))
    );
    // It has ended: what it cost is still taken, progress is not.
    report(&client, &run_id, json!({ "report_id": "bill", "usage": { "total_tokens": 2 } })).ok();
    report(&client, &run_id, json!({ "report_id": "more", "status": "failed" }))
        .refused(409, "AUTOMATION_V2_RUN_ALREADY_TERMINAL");
    assert_eq!(run(&client, &run_id)["total_tokens"], json!(20));
}

#[test]
fn a_lost_executor_s_run_fails_after_its_lease_and_says_so() {
    let (_server, client) = configured("lost-lease", json!({}));
    let id = made(&client, "Lost");
    let (lost, kept) = (asked(&client, &id), asked(&client, &id));
    let claim = claimed(&client, &lost, 1_000);
    let alive = claimed(&client, &kept, 1_500);
    until("the lost run has failed", SOON, || {
        let beat = json!({ "claim_id": alive });
        client.post(&format!("/automations/v2/runs/{kept}/heartbeat"), beat).ok();
        (run(&client, &lost)["status"] == json!("failed")).then_some(())
    });
    let failed = run(&client, &lost);
    assert_eq!(failed["stop_kind"], json!("stale_reaped"));
    assert!(text(&failed["detail"]).contains("executor-1"), "{failed}");
    assert_eq!(failed["checkpoint"]["last_failure"]["failure_kind"], json!("executor_lost"));
    assert_eq!(run(&client, &kept)["status"], json!("running"), "signs of life keep a run");
    // Whoever comes back too late hears it, and its bill is taken.
    let late = json!({ "report_id": "late", "claim_id": claim, "status": "completed" });
    report(&client, &lost, late).refused(409, "AUTOMATION_V2_RUN_CLAIM_LOST");
    report(&client, &lost, json!({ "report_id": "bill", "claim_id": claim, "usage": { "total_tokens": 3 } })).ok();
    assert_eq!(run(&client, &lost)["total_tokens"], json!(3));
    reported_once_each(&client, 1);
    // Recovered, it can be lent again, under another number.
    client.post(&format!("/automations/v2/runs/{lost}/recover"), json!({})).ok();
    claimed(&client, &lost, 60_000);
    assert_eq!(run(&client, &lost)["execution_claim_epoch"], json!(2));
}

#[test]
fn a_bad_end_is_one_incident_with_lineage_and_evidence() {
    let (_server, client) = configured("run-incidents", json!({}));
    let id = made(&client, "Nightly");
    let secret = "password=hunter2-hunter2";
    for n in 0..3 {
        let run_id = asked(&client, &id);
        let claim = claimed(&client, &run_id, 60_000);
        let failed = json!({ "report_id": "f", "claim_id": claim, "status": "failed", "session_id": format!("s{n}"),
            "last_failure": { "node_id": "b", "reason": format!("ValueError: totals differ, {secret}") },
            "artifact_refs": ["file:///out/totals.csv"] });
        report(&client, &run_id, failed).ok();
    }
    reported_once_each(&client, 3);
    let rows = all(&client, "/incident-monitor/incidents", "incidents");
    assert_eq!(rows.len(), 1, "recurrences fold");
    let incident = &rows[0];
    assert_eq!(incident["event_type"], json!("automation_v2.run.failed"));
    assert_eq!((&incident["component"], &incident["source"]), (&json!("automation_v2"), &json!("automation_v2")));
    assert!(text(&incident["title"]).starts_with("Nightly failed at second: ValueError"), "{}", incident["title"]);
    assert_eq!(incident["external_correlation_ids"][0], json!(id));
    let evidence = incident["evidence_refs"].to_string();
    assert!(evidence.contains("automation-run:automation-v2-run-") && evidence.contains("totals.csv"), "{evidence}");
    assert!(!incident.to_string().contains("hunter2"));

    // Blocked, and stopped by a limit of its own.
    let run_id = asked(&client, &id);
    report(
        &client,
        &run_id,
        json!({ "report_id": "b", "status": "blocked", "blocked_nodes": ["a"], "detail": "no key" }),
    )
    .ok();
    let limited = json!({ "name": "Limited", "execution": { "max_total_tokens": 10 } });
    let limited = text(&client.post("/automations/v2", limited).ok()["automation"]["automation_id"]);
    let run_id = asked(&client, &limited);
    let claim = claimed(&client, &run_id, 60_000);
    let much = json!({ "report_id": "m", "claim_id": claim, "usage": { "total_tokens": 11 } });
    let told = report(&client, &run_id, much).ok()["directives"].clone();
    assert_eq!((&told["stop"], &told["kind"]), (&json!(true), &json!("guardrail_stopped")));
    report(&client, &run_id, json!({ "report_id": "s", "claim_id": claim, "stop_acknowledged": true })).ok();
    assert_eq!(run(&client, &run_id)["stop_kind"], json!("guardrail_stopped"));
    reported_once_each(&client, 5);
    let kinds: BTreeSet<String> =
        all(&client, "/incident-monitor/incidents", "incidents").iter().map(|row| text(&row["event_type"])).collect();
    assert!(kinds.contains("automation_v2.run.guardrail_stopped"), "{kinds:?}");
    // What ended well, and what was only tried, is no incident.
    client.post(&format!("/automations/v2/{id}/run_now"), json!({ "dry_run": true })).ok();
    reported_once_each(&client, 5);
}

#[test]
fn a_bad_end_waits_for_a_repository() {
    let server = launch("run-incident-waits").start();
    let client = server.client();
    let id = made(&client, "Early");
    let run_id = asked(&client, &id);
    report(&client, &run_id, json!({ "report_id": "f", "status": "failed", "detail": "too early" })).ok();
    assert_eq!(occurrences(&client), 0);
    crate::support::configure(&client, json!({}));
    // Its next try is some seconds away.
    until("the bad end is reported", Duration::from_secs(90), || (occurrences(&client) == 1).then_some(()));
}

#[test]
fn every_phase_survives_a_kill() {
    let (mut server, client) = configured("executor-kills", json!({}));
    let id = made(&client, "Killed");
    let run_id = asked(&client, &id);
    server.restart();
    let client = server.client();
    assert_eq!(run(&client, &run_id)["status"], json!("queued"));
    let claim = claimed(&client, &run_id, 60_000);
    server.restart();
    let client = server.client();
    let beat = json!({ "claim_id": claim });
    assert_eq!(
        client.post(&format!("/automations/v2/runs/{run_id}/heartbeat"), beat).ok()["directives"]["stop"],
        json!(false)
    );
    let usage =
        json!({ "report_id": "u", "claim_id": claim, "usage": { "total_tokens": 7 }, "completed_nodes": ["a"] });
    report(&client, &run_id, usage.clone()).ok();
    server.restart();
    let client = server.client();
    let again = report(&client, &run_id, usage).ok();
    assert_eq!((&again["duplicate"], &again["run"]["total_tokens"]), (&json!(true), &json!(7)));
    client.post(&format!("/automations/v2/runs/{run_id}/pause"), json!({})).ok();
    server.restart();
    let client = server.client();
    let beat = json!({ "claim_id": claim, "stop_acknowledged": true });
    assert_eq!(
        client.post(&format!("/automations/v2/runs/{run_id}/heartbeat"), beat).ok()["directives"]["stop"],
        json!(true)
    );
    server.restart();
    let client = server.client();
    assert_eq!(run(&client, &run_id)["status"], json!("paused"));
    client.post(&format!("/automations/v2/runs/{run_id}/resume"), json!({})).ok();
    let claim = claimed(&client, &run_id, 60_000);
    let failed = json!({ "report_id": "f", "claim_id": claim, "status": "failed", "detail": "it broke" });
    report(&client, &run_id, failed).ok();
    // At once: the incident has to come from the rows.
    server.restart();
    let client = server.client();
    reported_once_each(&client, 1);
    server.restart();
    let client = server.client();
    assert_eq!(occurrences(&client), 1);
    // A lease that runs out while the server is down.
    let run_id = asked(&client, &id);
    claimed(&client, &run_id, 1_000);
    server.restart();
    let client = server.client();
    until("the lost run has failed", SOON, || (run(&client, &run_id)["status"] == json!("failed")).then_some(()));
    reported_once_each(&client, 2);
    audit::assert_verified(&client);
}

/// What was sent and what was answered, by run.
#[derive(Default)]
struct Told {
    tokens_sent: u64,
    tokens_answered: u64,
    failed: bool,
}

/// Executors that ask for runs, claim, spend and fail or complete, until the server dies.
fn work_until_killed(
    server: &mut Server,
    automation: &str,
    round: u64,
    pause_ms: u64,
    told: &Mutex<BTreeMap<String, Told>>,
) {
    let over = AtomicBool::new(false);
    let numbers = AtomicU64::new(0);
    let clients: Vec<Client> = (0..8).map(|_| server.client().patience(Duration::from_secs(5))).collect();
    std::thread::scope(|scope| {
        for client in clients {
            let (over, numbers) = (&over, &numbers);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let n = numbers.fetch_add(1, Ordering::SeqCst);
                    let path = format!("/automations/v2/{automation}/run_now");
                    let Ok(reply) = client.json("POST", &path, &[], Some(json!({}))) else { return };
                    let run_id = text(&reply.ok()["run"]["run_id"]);
                    told.lock().unwrap().entry(run_id.clone()).or_default();
                    for step in 0..3_u64 {
                        let mut body =
                            json!({ "report_id": format!("r{round}-{n}-{step}"), "usage": { "total_tokens": 10 } });
                        if step == 2 {
                            body["status"] = json!(if n % 3 == 0 { "failed" } else { "completed" });
                            body["detail"] = json!("the step went wrong");
                        }
                        told.lock().unwrap().entry(run_id.clone()).or_default().tokens_sent += 10;
                        let path = format!("/automations/v2/runs/{run_id}/report");
                        let Ok(reply) = client.json("POST", &path, &[], Some(body)) else { return };
                        assert_eq!(reply.status, 200, "{}", reply.text());
                        let mut told = told.lock().unwrap();
                        let entry = told.entry(run_id.clone()).or_default();
                        entry.tokens_answered += 10;
                        entry.failed |= step == 2 && n % 3 == 0;
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(pause_ms));
        server.kill();
        over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn kills_at_any_moment_lose_no_report_and_double_no_incident() {
    let mut seed = Seed::from_env("IT_CRASH_SEED");
    // Nor do reviews of runs that went wrong on purpose keep the next ones out.
    let launch =
        launch("executor-crashes").env(RUN_REVIEWS, "0").env("TANDEM_AGENT_AUTOMATION_RUN_BLOCKING_REVIEWS", "[]");
    let mut server = launch.start();
    crate::support::configure(&server.client(), json!({}));
    let id = made(&server.client(), "Crashing");
    let told = Mutex::new(BTreeMap::new());
    // A slow machine gets fewer reports into a round, so it gets more rounds.
    for round in 0..40 {
        work_until_killed(&mut server, &id, round, seed.between(400, 1_200), &told);
        server = launch.start();
        audit::assert_verified(&server.client());
        let told = told.lock().unwrap();
        if round >= 7 && told.len() > 15 && told.values().filter(|told| told.failed).count() > 3 {
            break;
        }
    }
    let client = server.client();
    let told = told.into_inner().unwrap();
    let runs: BTreeMap<String, Value> = all(&client, &format!("/automations/v2/{id}/runs"), "runs")
        .into_iter()
        .map(|run| (text(&run["run_id"]), run))
        .collect();
    for (run_id, told) in &told {
        let run = runs.get(run_id).unwrap_or_else(|| panic!("{run_id} was answered and is gone"));
        let tokens = run["total_tokens"].as_u64().unwrap();
        let bounds = told.tokens_answered..=told.tokens_sent;
        assert!(bounds.contains(&tokens), "{run_id}: {tokens} tokens, not in {bounds:?}");
        assert!(!told.failed || run["status"] == json!("failed"), "{run}");
    }
    let failed = runs.values().filter(|run| run["status"] == json!("failed")).count() as u64;
    println!("{} runs, {failed} of them failed", runs.len());
    assert!(told.len() > 15 && failed > 3, "the rounds tested little");
    reported_once_each(&client, failed);
    audit::assert_verified(&client);
}
