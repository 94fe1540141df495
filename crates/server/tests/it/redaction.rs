//! Canary secrets in every text of a report, followed to every place that a report reaches.

use serde_json::{Value, json};
use tandem_testkit::{Receiver, audit, bodies};

use crate::support::{configured, database, drafted, publish, reported, settled, text};

/// A text with one secret, in one of the forms that secrets are met in.
fn canary(n: usize) -> String {
    let tail = format!("{:0>4}", n * 37 % 9_973);
    let mixed = format!("kAnArY{tail}QwErTyUiOpAsDfGhJkLzXcVb");
    match n % 8 {
        0 => format!("Authorization: Bearer {mixed}"),
        1 => format!("db_password={mixed} at startup"),
        2 => format!("{{\"client_secret\": \"{mixed}\"}}"),
        3 => format!("connect postgres://svc:{mixed}@db.internal/app failed"),
        4 => format!("push with ghp_{mixed}x1 refused"),
        5 => format!("signed by AKIA{tail}CANARYKEYS01 today"),
        6 => format!("Cookie: session={mixed}; theme=dark"),
        _ => format!("x-api-key: {mixed}"),
    }
}

const TEXTS: [&str; 22] = [
    "title",
    "detail",
    "source",
    "component",
    "process",
    "event",
    "level",
    "file_name",
    "run_id",
    "session_id",
    "correlation_id",
    "actor",
    "model",
    "tool_name",
    "action",
    "policy",
    "approval_state",
    "risk_category",
    "blast_radius",
    "confidence",
    "expected_destination",
    "workspace_root",
];
const LISTS: [&str; 3] = ["excerpt", "evidence_refs", "external_correlation_ids"];

/// A report with every kind of secret in every text over a number of turns.
fn loaded(turn: usize) -> Value {
    let mut report = json!({ "fingerprint": format!("fp-canary-{turn}") });
    let mut n = turn;
    let mut next = || {
        n += 1;
        canary(n)
    };
    for field in TEXTS {
        report[field] = json!(next());
    }
    for field in LISTS {
        report[field] = json!([next(), next(), next()]);
    }
    report
}

/// Every secret holds one of these, and nothing else does.
const MARKS: [&str; 2] = ["kAnArY", "CANARYKEYS"];

#[track_caller]
fn absent(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for mark in MARKS {
        if let Some(at) = text.find(mark) {
            let around: String = text[..at].chars().rev().take(80).collect();
            let around: String = around.chars().rev().chain(text[at..].chars().take(60)).collect();
            panic!("{place} holds a secret: …{around}…");
        }
    }
}

#[test]
fn secrets_reach_nothing_that_is_kept_or_sent() {
    let hooks = Receiver::new();
    let over = json!({
        "destinations": [bodies::webhook("hook", &hooks.url("/hook")), bodies::telemetry("local"), bodies::memory("memory")],
        "default_destination_ids": ["hook", "local", "memory"],
        "require_approval_for_new_issues": true,
    });
    let (mut server, client) = configured("canary", over);
    let mut answers: Vec<(String, Vec<u8>)> = Vec::new();
    for turn in 0..8 {
        let report = loaded(turn);
        let reply = client.post("/incident-monitor/report", json!({ "report": report }));
        let answer = reply.ok();
        answers.push(("report".into(), reply.body));
        let (id, incident) = (text(&answer["draft"]["draft_id"]), text(&answer["incident"]["incident_id"]));
        let carrier = canary(turn);
        let path = |end: &str| format!("/incident-monitor/drafts/{id}/{end}");
        let mut say = |what: &str, reply: tandem_testkit::Reply| answers.push((what.to_owned(), reply.body));
        say("triage-run", client.ask(&path("triage-run")));
        say("approve", client.post(&path("approve"), json!({ "reason": carrier })));
        settled(&client, &id, "hook", "posted");
        let summary = json!({ "what_happened": carrier, "recommended_fix": carrier, "logs": [carrier], "notes": carrier,
            "acceptance_criteria": [carrier], "verification_steps": [carrier], "suggested_title": carrier });
        say("triage-summary", client.post(&path("triage-summary"), summary));
        say("issue-draft", client.ask(&path("issue-draft")));
        say("publish", publish(&client, &id, json!({})));
        say("recheck", client.ask(&path("recheck-match")));
        say("replay", client.ask(&format!("/incident-monitor/incidents/{incident}/replay")));
        say("preview", client.post("/incident-monitor/route-preview", json!({ "draft_id": id })));
        say("draft", client.get(&format!("/incident-monitor/drafts/{id}")));
        say("incident", client.get(&format!("/incident-monitor/incidents/{incident}")));
    }
    // What the gate blocks is kept too.
    let blocked = bodies::merged(loaded(9), json!({ "event": "job.progress" }));
    answers.push(("blocked".into(), client.post("/incident-monitor/report", json!({ "report": blocked })).body));
    for list in ["incidents", "drafts", "posts", "deliveries", "status", "debug"] {
        answers.push((list.into(), client.get(&format!("/incident-monitor/{list}?limit=200")).body));
    }
    answers.push(("audit rows".into(), client.get("/audit/protected?limit=1000").body));
    answers.push(("audit export".into(), audit::export(&client).concat().into_bytes()));
    answers.push(("metrics".into(), client.get("/metrics").body));
    for (place, bytes) in &answers {
        absent(place, bytes);
    }
    let sent = hooks.received("/hook");
    assert_eq!(sent.len(), 8);
    for request in &sent {
        absent("the webhook body", &request.body);
        let head = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>();
        absent("the webhook headers", head.as_bytes());
    }
    absent("the server's output", server.output().as_bytes());
    // What was counted, and by which rule, is kept; the values are not.
    let redactions = &client.get("/incident-monitor/incidents?limit=1").ok()["incidents"][0]["redactions"];
    assert!(redactions.as_object().is_some_and(|counts| !counts.is_empty()), "{redactions}");

    let file = database(&server);
    drop(client);
    server.kill();
    let state = server.state_dir();
    let mut files = 0;
    let mut pending = vec![state];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if entry.path().is_dir() {
                pending.push(entry.path());
            } else {
                absent(&entry.path().display().to_string(), &std::fs::read(entry.path()).unwrap());
                files += 1;
            }
        }
    }
    assert!(files >= 3 && file.exists(), "{files} files were looked at");
    assert!(crate::publish::find(&server.state_dir(), "telemetry").is_some(), "the telemetry file was looked at");
}

#[test]
fn a_refusal_does_not_repeat_what_was_sent() {
    let (server, client) = configured("echo", json!({}));
    let carrier = canary(1);
    for (path, body) in [
        ("/incident-monitor/report", json!({ "report": { "title": { "a": carrier } } })),
        ("/incident-monitor/report", json!({ "report": { "title": "x", "detail": "y", "source_kind": carrier } })),
        (
            "/incident-monitor/report",
            json!({ "report": bodies::merged(bodies::report("x"), json!({ "repo": carrier })) }),
        ),
        ("/incident-monitor/intake/keys", json!({ "project_id": "none", "name": carrier, "scopes": carrier })),
        ("/incident-monitor/route-preview", json!({ "route_tags": carrier })),
    ] {
        let reply = client.post(path, body);
        assert!((400..500).contains(&reply.status), "{path}: {}", reply.text());
        absent(path, &reply.body);
    }
    absent("the server's output", server.output().as_bytes());
}

#[test]
fn what_is_no_secret_stays_readable() {
    let (_server, client) = configured("readable", json!({}));
    let plain = "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 of 123e4567-e89b-12d3-a456-426614174000, digest \
                 sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, token bucket is empty, \
                 password reset failed";
    let mut report = bodies::report("readable");
    report["detail"] = json!(plain);
    let (_, incident) = reported(&client, report);
    assert_eq!(incident["detail"], json!(plain));
    drafted(&client, bodies::report("unaffected"));
}

#[test]
fn what_is_taken_out_at_the_border_is_told_by_its_rules_and_digest() {
    let hooks = Receiver::new();
    let mut hook = bodies::webhook("hook", &hooks.url("/in"));
    hook["require_approval"] = json!(false);
    // What came in while redaction was off still holds its secrets when it is sent.
    let (_server, admin) = configured(
        "boundary",
        json!({
            "destinations": [hook], "default_destination_ids": ["hook"], "safety_defaults": { "redact_secrets": false },
        }),
    );
    let seen = || admin.get("/audit/data-boundary/monitoring").ok();
    assert_eq!(seen()["totals"]["events"], json!(0));
    let report = bodies::merged(bodies::report("border"), json!({ "detail": canary(1), "excerpt": [canary(4)] }));
    let id = drafted(&admin, report);
    publish(&admin, &id, json!({ "destination_id": "hook" })).ok();
    settled(&admin, &id, "hook", "posted");
    let told = seen();
    assert_eq!(told["counts"]["by_event_type"], json!({ "data_boundary.redacted": 1 }), "{told}");
    assert_eq!(
        (&told["counts"]["by_action"], &told["counts"]["by_provider"]),
        (&json!({ "redact": 1 }), &json!({ "webhook": 1 }))
    );
    let event = &told["recent"][0];
    assert!(event["total_findings"].as_u64() >= Some(2), "{event}");
    let sent = hooks.everything().into_iter().next().expect("it came");
    let digest = tandem_core::text::sha256_hex(&String::from_utf8_lossy(&sent.body));
    assert_eq!(event["payload_hash"], json!(format!("sha256:{digest}")));
    absent("what was sent", &sent.body);
    absent("the log", audit::export(&admin).join("\n").as_bytes());
}
