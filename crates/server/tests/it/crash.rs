//! SIGKILL at random moments. What was answered 2xx is there, nothing is counted twice, and the log verifies.
//!
//! The moments come from a printed seed: `IT_CRASH_SEED` repeats them, as far as a machine repeats its timing.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tandem_testkit::{Client, Receiver, Script, Seed, Server, audit, bodies, until, wait::until_every};

use crate::support::{SOON, all, configure, deliveries, drafted, launch, publish, reported, text};

/// How often a report was sent, and how often that was answered.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    sent: u64,
    answered: u64,
}

/// Waits, kills, and waits for the reporters to notice.
fn kill_after(server: &mut Server, pause_ms: u64, over: &AtomicBool) {
    std::thread::sleep(Duration::from_millis(pause_ms));
    server.kill();
    over.store(true, Ordering::SeqCst);
}

/// Sixteen reporters until the server dies: half of them share fingerprints, half have their own.
fn report_until_killed(server: &mut Server, round: u64, pause_ms: u64) -> HashMap<String, Told> {
    let told = Mutex::new(HashMap::<String, Told>::new());
    let over = AtomicBool::new(false);
    let clients: Vec<Client> = (0..16).map(|_| server.client().patience(Duration::from_secs(5))).collect();
    // The first report of a process builds what the others use; the round is about the others.
    let first = format!("r{round}-first");
    reported(&clients[0], bodies::report_as(&first));
    told.lock().unwrap().insert(first, Told { sent: 1, answered: 1 });
    std::thread::scope(|scope| {
        for (thread, client) in clients.into_iter().enumerate() {
            let (told, over) = (&told, &over);
            scope.spawn(move || {
                for n in 0.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let name = if thread % 2 == 0 {
                        format!("r{round}-s{}", n % 4)
                    } else {
                        format!("r{round}-t{thread}-{n}")
                    };
                    told.lock().unwrap().entry(name.clone()).or_default().sent += 1;
                    let body = json!({ "report": bodies::report_as(&name) });
                    let Ok(reply) = client.json("POST", "/incident-monitor/report", &[], Some(body)) else { return };
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    told.lock().unwrap().entry(name).or_default().answered += 1;
                }
            });
        }
        kill_after(server, pause_ms, &over);
    });
    told.into_inner().unwrap()
}

fn counts(client: &Client) -> HashMap<String, u64> {
    let rows = all(client, "/incident-monitor/incidents", "incidents");
    rows.iter().map(|row| (text(&row["fingerprint"]), row["occurrence_count"].as_u64().unwrap())).collect()
}

#[test]
fn no_acknowledged_report_is_lost_or_doubled() {
    let mut seed = Seed::from_env("IT_CRASH_SEED");
    let mut answered = 0;
    // Fresh state now and then keeps each check short.
    for state in 0..6 {
        let launch = launch(&format!("crash-{state}"));
        let mut server = launch.start();
        configure(&server.client(), json!({}));
        let mut told: HashMap<String, Told> = HashMap::new();
        for round in 0..6 {
            told.extend(report_until_killed(&mut server, round, seed.between(40, 300)));
            server = launch.start();
            let client = server.client();
            let found = counts(&client);
            for (name, told) in &told {
                let count = found.get(name).copied().unwrap_or(0);
                assert!(
                    (told.answered..=told.sent).contains(&count),
                    "state {state}, round {round}: {name} was sent {}, answered {}, counted {count}",
                    told.sent,
                    told.answered
                );
            }
            assert!(found.keys().all(|name| told.contains_key(name)), "an incident that nobody reported");
            let report = audit::assert_verified(&client);
            // One row for each counted signal, besides the configuration's.
            assert_eq!(report.record_count, found.values().sum::<u64>() + 1, "state {state}, round {round}");
        }
        answered += told.values().map(|told| told.answered).sum::<u64>();
    }
    println!("{answered} reports were answered");
    assert!(answered > 400, "only {answered} reports were answered: the rounds tested little");
}

#[test]
fn no_delivery_is_lost_or_sent_under_another_key() {
    let mut seed = Seed::from_env("IT_CRASH_SEED");
    let hooks = Receiver::new();
    hooks.on("/hook", [Script::Late(Duration::from_millis(15), 200)]);
    let launch = launch("crash-publish");
    let mut server = launch.start();
    let over = json!({
        "destinations": [bodies::webhook("hook", &hooks.url("/hook")), bodies::telemetry("local")],
        "default_destination_ids": ["hook", "local"],
    });
    configure(&server.client(), over);
    // Drafts whose publish was answered, and all that were asked for.
    let (answered, asked) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    for round in 0..20 {
        let client = server.client();
        let drafts: Vec<String> =
            (0..8).map(|n| drafted(&client, bodies::report_as(&format!("p{round}-{n}")))).collect();
        // The first publish of a process takes longer than a round lasts.
        let first = drafted(&client, bodies::report_as(&format!("p{round}-first")));
        publish(&client, &first, json!({})).ok();
        asked.lock().unwrap().push(first.clone());
        answered.lock().unwrap().push(first);
        drop(client);
        let (over, next) = (AtomicBool::new(false), AtomicUsize::new(0));
        let clients: Vec<Client> = (0..4).map(|_| server.client().patience(Duration::from_secs(15))).collect();
        std::thread::scope(|scope| {
            for client in clients {
                let (drafts, answered, asked, next) = (&drafts, &answered, &asked, &next);
                scope.spawn(move || {
                    while let Some(id) = drafts.get(next.fetch_add(1, Ordering::SeqCst)) {
                        asked.lock().unwrap().push(id.clone());
                        let path = format!("/incident-monitor/drafts/{id}/publish");
                        let Ok(reply) = client.json("POST", &path, &[], Some(json!({}))) else { return };
                        assert_eq!(reply.status, 200, "{}", reply.text());
                        answered.lock().unwrap().push(id.clone());
                    }
                });
            }
            kill_after(&mut server, seed.between(20, 450), &over);
        });
        server = launch.start();
        audit::assert_verified(&server.client());
    }
    let (answered, asked) = (answered.into_inner().unwrap(), asked.into_inner().unwrap());
    println!("{} of {} publishes were answered", answered.len(), asked.len());
    assert!(answered.len() >= 10 && asked.len() > answered.len() + 10, "the rounds tested little");
    let client = server.client();
    // An interrupted attempt keeps its lease until that runs out; then someone else takes it.
    let limit = Duration::from_secs(150);
    until_every(Duration::from_millis(250), "every delivery has ended", limit, || {
        let open =
            |state: &str| client.get(&format!("/incident-monitor/deliveries?status={state}")).ok()["count"].clone();
        (open("pending") == 0 && open("retrying") == 0).then_some(())
    });
    for id in &answered {
        assert_eq!(deliveries(&client, id).len(), 2, "{id} was answered and has both deliveries");
    }
    let mut keys: HashMap<String, String> = HashMap::new();
    for id in &asked {
        for delivery in deliveries(&client, id) {
            assert_eq!(delivery["state"], json!("posted"), "{delivery}");
            if delivery["destination_id"] == "hook" {
                keys.insert(id.clone(), text(&delivery["idempotency_key"]));
            }
        }
    }
    let mut sent: HashMap<String, usize> = HashMap::new();
    for request in hooks.received("/hook") {
        let body = request.json();
        let id = text(&body["draft"]["draft_id"]);
        assert_eq!(Some(&request.header("idempotency-key").to_owned()), keys.get(&id), "{id} under another key");
        assert_eq!(body["idempotency_key"], json!(request.header("idempotency-key")));
        *sent.entry(id).or_default() += 1;
    }
    assert!(keys.keys().all(|id| sent.contains_key(id)), "a delivery says posted and was never sent");
    let file = crate::publish::find(&server.state_dir(), "telemetry").expect("a telemetry file");
    let lines = std::fs::read_to_string(file).unwrap();
    let recorded: Vec<String> = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .map(|line| text(&line["fingerprint"]))
        .collect();
    assert!(recorded.len() >= keys.len(), "{} records for {} deliveries", recorded.len(), keys.len());
    audit::assert_verified(&client);
}

#[test]
fn an_approval_and_a_denial_survive() {
    let launch = launch("crash-decisions");
    let mut server = launch.start();
    configure(&server.client(), json!({ "require_approval_for_new_issues": true }));
    for n in 0..4 {
        let client = server.client();
        let (made, _) = reported(&client, bodies::report_as(&format!("fp-decide-{n}")));
        let id = text(&made["draft_id"]);
        let (end, expected) = if n % 2 == 0 { ("approve", "telemetry_recorded") } else { ("deny", "denied") };
        client.post(&format!("/incident-monitor/drafts/{id}/{end}"), json!({})).ok();
        drop(client);
        server.restart();
        let client = server.client();
        until(expected, SOON, || (crate::support::draft(&client, &id)["status"] == json!(expected)).then_some(()));
        let again = publish(&client, &id, json!({}));
        assert_eq!(again.status, if n % 2 == 0 { 200 } else { 400 }, "{}", again.text());
    }
}
