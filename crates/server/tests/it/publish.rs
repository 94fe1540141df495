//! Publishing: to several destinations, after triage, once.

use serde_json::{Value, json};
use tandem_testkit::{Receiver, Script, audit, bodies};

use crate::support::{configure, configured, deliveries, draft, drafted, publish, reported, settled, text, triaged};

fn statuses(answer: &Value) -> Vec<(String, String)> {
    let results = answer["results"].as_array().expect("results");
    results.iter().map(|result| (text(&result["destination_id"]), text(&result["status"]))).collect()
}

#[test]
fn a_failing_destination_leaves_the_others_alone() {
    let hooks = Receiver::new();
    hooks.on("/down", [Script::Status(503)]);
    let over = json!({
        "destinations": [
            bodies::webhook("up", &hooks.url("/up")), bodies::webhook("down", &hooks.url("/down")),
            bodies::telemetry("local"),
        ],
        "default_destination_ids": ["up", "down", "local"],
    });
    let (_server, client) = configured("fan-out", over);
    let id = drafted(&client, bodies::report("fans out"));
    let answer = publish(&client, &id, json!({})).ok();
    let expected = [("up", "posted"), ("down", "retrying"), ("local", "posted")];
    assert_eq!(statuses(&answer), expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{answer}");
    assert_eq!(answer["partial"], json!(true));
    // The single-result keys show the first destination.
    assert_eq!((&answer["action"], &answer["post"]["destination_id"]), (&json!("post_webhook"), &json!("up")));
    assert_eq!(answer["post_id"], answer["post"]["post_id"]);
    let down = &answer["results"][1];
    let in_ms = down["retry_at_ms"].as_u64().expect("when it is tried again").saturating_sub(tandem_testkit::now_ms());
    assert!((1..=6_500).contains(&in_ms), "{down}");
    assert_eq!(hooks.received("/up").len(), 1);
    let posts = client.get(&format!("/incident-monitor/posts?draft_id={id}")).ok();
    assert_eq!(posts["count"], json!(3));

    // It comes back by itself, under the same key, and nobody else is bothered.
    hooks.on("/down", [Script::Status(200)]);
    let delivery = settled(&client, &id, "down", "posted");
    let sent = hooks.received("/down");
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].header("idempotency-key"), sent[1].header("idempotency-key"));
    assert_eq!(sent[0].header("x-tandem-delivery-id"), sent[1].header("x-tandem-delivery-id"));
    assert_eq!(sent[0].body, sent[1].body);
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(hooks.received("/up").len(), 1);
}

#[test]
fn naming_destinations_replaces_the_routed_ones() {
    let over = json!({ "destinations": [bodies::telemetry("a"), bodies::telemetry("b"), bodies::memory("c")], "default_destination_ids": ["a"] });
    let (_server, client) = configured("named", over);
    let id = drafted(&client, bodies::report("named"));
    let answer = publish(&client, &id, json!({ "destination_id": "c", "destination_ids": ["b", " ", "c"] })).ok();
    assert_eq!(statuses(&answer), [("b".into(), "posted".into()), ("c".into(), "posted".into())]);
    assert_eq!(answer["partial"], json!(false));
    let id = drafted(&client, bodies::report("named in front"));
    let answer = publish(&client, &id, json!({ "destination_id": "c", "destination_ids": ["b"] })).ok();
    assert_eq!(statuses(&answer), [("c".into(), "posted".into()), ("b".into(), "posted".into())]);
    publish(&client, &id, json!({ "destination_ids": ["nope"] })).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    let attempted = audit::rows(&client, "incident_monitor.publish.attempted");
    assert_eq!(attempted.last().unwrap()["payload"]["requested_destination_ids"], json!(["nope"]));
    let failed = audit::rows(&client, "incident_monitor.publish.failed");
    assert_eq!(failed.last().unwrap()["payload"]["action"], json!("validation_failed"));
}

#[test]
fn what_was_published_is_not_published_again() {
    let hooks = Receiver::new();
    let over = json!({
        "destinations": [bodies::webhook("hook", &hooks.url("/hook")), bodies::telemetry("local")],
        "default_destination_ids": ["hook", "local"],
    });
    let (mut server, client) = configured("again", over);
    let id = drafted(&client, bodies::report("once"));
    let first = publish(&client, &id, json!({})).ok();
    assert_eq!(first["action"], json!("post_webhook"));
    let again = publish(&client, &id, json!({})).ok();
    assert_eq!(again["action"], json!("skip_duplicate"), "{again}");
    assert!(
        again["results"].as_array().unwrap().iter().all(|r| r["action"] == "skip_duplicate" && r["status"] == "posted"),
        "{again}"
    );
    assert_eq!(again["post_id"], first["post_id"]);
    // Deleting the receipts forgets nothing.
    client.post("/incident-monitor/posts/bulk-delete", json!({ "all": true })).ok();
    assert_eq!(publish(&client, &id, json!({})).ok()["action"], json!("skip_duplicate"));
    drop(client);
    server.restart();
    let client = server.client();
    assert_eq!(publish(&client, &id, json!({})).ok()["action"], json!("skip_duplicate"));
    assert_eq!(hooks.received("/hook").len(), 1);
    assert_eq!(deliveries(&client, &id).len(), 2);
}

#[test]
fn many_callers_at_once_publish_once() {
    let hooks = Receiver::new();
    hooks.on("/hook", [Script::Late(std::time::Duration::from_millis(100), 200)]);
    let over =
        json!({ "destinations": [bodies::webhook("hook", &hooks.url("/hook"))], "default_destination_ids": ["hook"] });
    let (server, client) = configured("at-once", over);
    for n in 0..3 {
        let id = drafted(&client, bodies::report_as(&format!("fp-at-once-{n}")));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let (client, id) = (server.client(), &id);
                scope.spawn(move || {
                    let answer = publish(&client, id, json!({})).ok();
                    let action = text(&answer["action"]);
                    assert!(
                        ["post_webhook", "skip_duplicate", "publish_in_progress"].contains(&action.as_str()),
                        "{answer}"
                    );
                });
            }
        });
        settled(&client, &id, "hook", "posted");
        assert_eq!(deliveries(&client, &id).len(), 1);
        assert_eq!(hooks.received("/hook").len(), n + 1);
    }
}

#[test]
fn publishing_waits_for_triage_and_carries_what_it_found() {
    let hooks = Receiver::new();
    let workspace = tandem_testkit::Scratch::new("workspace");
    std::fs::create_dir_all(workspace.join("src")).unwrap();
    std::fs::write(workspace.join("src/worker.rs"), "fn run() {\n    queue.take().expect(\"open\");\n}\n").unwrap();
    let over = json!({
        "destinations": [bodies::webhook("hook", &hooks.url("/hook"))], "default_destination_ids": ["hook"],
        "workspace_root": workspace.path(),
    });
    let (_server, client) = configured("triaged", over);
    let (made, _) = reported(&client, bodies::report("needs triage"));
    let id = text(&made["draft_id"]);
    assert!(made["triage_run_id"].is_null());
    let answer = publish(&client, &id, json!({})).ok();
    assert_eq!(answer["action"], json!("post_webhook"), "{answer}");
    let sent = hooks.received("/hook")[0].json();
    let after = draft(&client, &id);
    assert_eq!(sent["draft"]["triage_run_id"], after["triage_run_id"]);
    assert!(after["triage_run_id"].is_string(), "{after}");
    assert!(sent["issue_draft"]["rendered_body"].is_string(), "{}", sent["issue_draft"]);
    assert_eq!(sent["incident"]["occurrence_count"], json!(1));
    assert!(!sent.to_string().contains(&workspace.path().display().to_string()), "a server path left the server");
    assert!(sent.to_string().contains("src/worker.rs"), "the file named in the failure is evidence: {sent}");
    for key in ["triage_summary", "issue_draft", "duplicate_summary", "triage_summary_artifact", "issue_draft_artifact"]
    {
        assert!(answer[key].is_object(), "{key}: {answer}");
    }
    let run = client.ask(&format!("/incident-monitor/drafts/{id}/triage-run")).ok();
    assert_eq!(run["run"]["run_id"], run["draft"]["triage_run_id"], "{run}");
    assert_eq!(
        draft(&client, &id)["status"],
        json!("webhook_posted"),
        "a triage run does not reopen a published draft"
    );
}

#[test]
fn telemetry_and_memory_need_no_triage() {
    let over = json!({ "destinations": [bodies::telemetry("local"), bodies::memory("memory")], "default_destination_ids": ["local", "memory"] });
    let (server, client) = configured("no-triage", over);
    let id = drafted(&client, bodies::report("quick"));
    let answer = publish(&client, &id, json!({})).ok();
    assert!(draft(&client, &id)["triage_run_id"].is_null());
    let kinds: Vec<String> = answer["results"].as_array().unwrap().iter().map(|r| text(&r["action"])).collect();
    assert_eq!(kinds, ["record_telemetry", "store_memory_summary"]);
    let file = find(&server.state_dir(), "telemetry").expect("a telemetry file");
    let lines = std::fs::read_to_string(file).unwrap();
    let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["operation"], &line["fingerprint"]),
        (&json!("record_telemetry"), &answer["draft"]["fingerprint"])
    );
    assert_eq!(lines.lines().count(), 1);
}

pub fn find(dir: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find(&path, name) {
                return Some(found);
            }
        } else if path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)) {
            return Some(path);
        }
    }
    None
}

#[test]
fn recheck_says_what_is_known_and_posts_nothing() {
    let hooks = Receiver::new();
    let over = json!({ "destinations": [bodies::webhook("hook", &hooks.url("/hook")), bodies::telemetry("local")], "default_destination_ids": ["hook"] });
    let (_server, client) = configured("recheck", over.clone());
    let id = drafted(&client, bodies::report("rechecked"));
    let recheck = || client.ask(&format!("/incident-monitor/drafts/{id}/recheck-match")).ok();
    assert_eq!(recheck()["action"], json!("no_match"));
    publish(&client, &id, json!({})).ok();
    assert_eq!(recheck()["action"], json!("no_match"), "a webhook has no record to look up");
    configure(&client, bodies::merged(over, json!({ "default_destination_ids": ["local"] })));
    assert_eq!(recheck()["action"], json!("no_match"));
    publish(&client, &id, json!({})).ok();
    let found = recheck();
    assert_eq!(found["action"], json!("local_record_found"), "{found}");
    assert_eq!(hooks.received("/hook").len(), 1);
    assert_eq!(client.get("/incident-monitor/posts").ok()["count"], json!(2));
}

#[test]
fn what_was_posted_is_found_behind_however_many_later_deliveries() {
    let over = json!({ "destinations": [bodies::telemetry("local")], "default_destination_ids": ["local"] });
    let (mut server, client) = configured("many-deliveries", over);
    let id = drafted(&client, bodies::report("delivered again and again"));
    publish(&client, &id, json!({})).ok();
    let posted = settled(&client, &id, "local", "posted");
    server.terminate();
    // More than a page of later ones that failed, as years of trying would leave them.
    let copies = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) \
        INSERT INTO deliveries (tenant, id, version, body, draft_id, destination_id, state, idempotency_key, updated_at_ms) \
        SELECT tenant, 'copy-' || i, 1, json_set(body, '$.delivery_id', 'copy-' || i, '$.state', 'failed', \
        '$.updated_at_ms', updated_at_ms + i), draft_id, destination_id, 'failed', idempotency_key, updated_at_ms + i \
        FROM deliveries, n WHERE id = ?1";
    let database = rusqlite::Connection::open(crate::support::database(&server)).expect("the database opens");
    assert_eq!(database.execute(copies, [text(&posted["delivery_id"])]), Ok(1200));
    drop(database);
    server.restart();
    let client = server.client();
    let again = publish(&client, &id, json!({})).ok();
    assert_eq!(again["action"], json!("skip_duplicate"), "{}", again["action"]);
    assert_eq!(again["results"][0]["delivery_id"], posted["delivery_id"]);
    client.ask("/incident-monitor/deliveries/copy-1200/redeliver").refused(409, "INCIDENT_MONITOR_REDELIVER_FAILED");
    let found = client.ask(&format!("/incident-monitor/drafts/{id}/recheck-match")).ok();
    assert_eq!(found["action"], json!("local_record_found"), "{}", found["action"]);
    let all = crate::support::all(&client, &format!("/incident-monitor/deliveries?draft_id={id}"), "deliveries");
    assert_eq!(all.len(), 1201);
}

#[test]
fn many_destinations_of_one_draft_settle_together() {
    let hooks = Receiver::new();
    let ids: Vec<String> = (0..16).map(|n| format!("hook-{n}")).collect();
    let destinations: Vec<Value> = ids.iter().map(|id| bodies::webhook(id, &hooks.url(&format!("/{id}")))).collect();
    hooks.on("/hook-3", [Script::Status(404)]);
    let over = json!({ "destinations": destinations, "default_destination_ids": ids });
    let (_server, client) = configured("settle-together", over);
    let drafts: Vec<String> = (0..4).map(|n| drafted(&client, bodies::report_as(&format!("wide-{n}")))).collect();
    std::thread::scope(|scope| {
        for id in &drafts {
            let client = &client;
            scope.spawn(move || publish(client, id, json!({})));
        }
    });
    for id in &drafts {
        for destination in &ids {
            let state = if destination == "hook-3" { "failed" } else { "posted" };
            let delivery = settled(&client, id, destination, state);
            assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(1), "{delivery}");
        }
        assert_eq!(deliveries(&client, id).len(), 16);
    }
    // One receipt and one row of the log for each.
    let posts = crate::support::all(&client, "/incident-monitor/posts", "posts");
    assert_eq!(posts.len(), 64);
    assert!(posts.iter().all(|post| post["status"] == "posted" || post["status"] == "failed"));
    for destination in ids.iter().filter(|id| *id != "hook-3") {
        assert_eq!(hooks.received(&format!("/{destination}")).len(), 4, "{destination}");
    }
    let told =
        |event: &str| crate::support::all(&client, &format!("/audit/protected?event_type={event}"), "events").len();
    assert_eq!((told("incident_monitor.publish.completed"), told("incident_monitor.publish.failed")), (60, 4));
    audit::assert_verified(&client);
}

#[test]
fn a_replay_triages_again_and_counts_nothing() {
    let (_server, client) = configured("replay", json!({}));
    let (made, seen) = reported(&client, bodies::report("replayed"));
    let path = format!("/incident-monitor/incidents/{}/replay", text(&seen["incident_id"]));
    let first = client.post(&path, json!({ "ignored": true })).ok();
    assert_eq!(first["draft"]["draft_id"], made["draft_id"]);
    assert_eq!(first["run"]["run_id"], first["draft"]["triage_run_id"]);
    for key in [
        "ok",
        "incident",
        "draft",
        "run",
        "deduped",
        "triage_summary",
        "triage_summary_artifact",
        "issue_draft",
        "issue_draft_artifact",
        "duplicate_summary",
        "duplicate_matches",
        "duplicate_matches_artifact",
    ] {
        assert!(first.get(key).is_some(), "{key}");
    }
    triaged(&client, &text(&made["draft_id"]));
    // A run that has ended is not run again for nothing; its findings are answered with.
    assert!(client.ask(&path).ok()["run"]["run_id"].is_string());
    let incident = crate::support::incident(&client, &text(&seen["incident_id"]));
    assert_eq!(incident["occurrence_count"], json!(1));
    assert_eq!(client.get("/incident-monitor/posts").ok()["count"], json!(0));
}

#[test]
fn an_outside_agent_can_summarise_and_the_issue_draft_follows() {
    let (_server, client) = configured("summary", json!({}));
    let id = drafted(&client, bodies::report("summarised"));
    let path = |end: &str| format!("/incident-monitor/drafts/{id}/{end}");
    client.post(&path("triage-summary"), json!({})).refused(409, "INCIDENT_MONITOR_TRIAGE_SUMMARY_REQUIRES_RUN");
    client.ask(&path("triage-run")).ok();
    let summary = json!({
        "suggested_title": "Queue closes before the worker", "what_happened": "The queue was closed first.",
        "why_it_likely_happened": "Shutdown order.", "root_cause_confidence": "HIGH?", "failure_type": "code_defect",
        "recommended_fix": "Close the queue last.", "acceptance_criteria": ["no panic on stop", " "],
        "verification_steps": ["stop under load"], "likely_files_to_edit": ["src/worker.rs"],
        "steps_to_reproduce": ["stop"], "logs": ["ERROR"], "research_sources": [{ "kind": "file" }],
        "risk_level": "low", "coder_ready": true, "permissions_available": null,
    });
    let stored = client.post(&path("triage-summary"), summary).ok();
    assert_eq!(stored["triage_summary"]["what_happened"], json!("The queue was closed first."), "{stored}");
    assert_eq!(stored["triage_summary"]["root_cause_confidence"], json!("low"), "an unknown confidence is low");
    assert_eq!(stored["triage_summary"]["acceptance_criteria"], json!(["no panic on stop"]));
    let issue = client.ask(&path("issue-draft")).ok();
    let body = text(&issue["issue_draft"]["rendered_body"]);
    assert!(body.contains("The queue was closed first.") && body.contains("<!-- tandem:fingerprint:v1:"), "{body}");
    assert_eq!(issue["issue_draft"]["suggested_title"], json!("Queue closes before the worker"));
}

#[test]
fn auto_publish_happens_only_where_an_admin_said_so() {
    let route =
        |auto: bool| json!([{ "route_id": "r", "name": "r", "destination_ids": ["local"], "auto_publish": auto }]);
    let (_server, client) = configured("auto", json!({ "routes": route(false) }));
    let quiet = drafted(&client, bodies::report("quiet"));
    configure(&client, json!({ "routes": route(true) }));
    let id = drafted(&client, bodies::report("auto"));
    settled(&client, &id, "local", "posted");
    assert!(deliveries(&client, &quiet).is_empty());
    let risky = drafted(&client, bodies::merged(bodies::report("risky"), json!({ "risk_level": "critical" })));
    assert_eq!(draft(&client, &risky)["status"], json!("approval_required"));
    assert!(deliveries(&client, &risky).is_empty());
}

#[test]
fn unready_destinations_are_refused_with_a_reason_and_no_receipt() {
    for kind in ["github_issue", "linear_issue", "mcp_tool"] {
        let over = json!({ "destinations": [{ "destination_id": "d", "name": "d", "kind": kind }], "default_destination_ids": ["d"] });
        let (_server, client) = configured("unready", over);
        let id = drafted(&client, bodies::report("unready"));
        let refused = publish(&client, &id, json!({})).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
        assert!(text(&refused["detail"]).contains("not ready"), "{refused}");
        for key in ["draft_id", "draft", "triage_summary", "issue_draft", "duplicate_summary", "duplicate_matches"] {
            assert!(refused.get(key).is_some(), "{kind}: {key}");
        }
        assert_eq!(client.get("/incident-monitor/posts").ok()["count"], json!(0));
        assert_eq!(draft(&client, &id)["status"], json!("draft_ready"));
    }
}
