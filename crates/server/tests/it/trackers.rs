//! GitHub and Linear: one issue for one failure, whatever the tracker answers and whenever the process dies.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_testkit::{
    Act, Client, Fault, Launch, Server, ToolServer, Tracker, audit,
    bodies::{self, REPO, TOKEN_VARIABLE, TRACKER_TOKEN},
    now_ms, until,
};

use crate::support::{SOON, configure, draft, drafted, incident, launch, publish, reported, settled, text, triaged};

fn started(name: &str) -> Launch {
    launch(name).env(TOKEN_VARIABLE, TRACKER_TOKEN)
}

/// A server whose only destination is this one.
fn with(name: &str, destination: Value, over: Value) -> (Server, Client) {
    let server = started(name).start();
    let client = server.client();
    set(&client, destination, over);
    (server, client)
}

fn set(client: &Client, destination: Value, over: Value) {
    let base = json!({ "default_destination_ids": [destination["destination_id"]], "destinations": [destination] });
    configure(client, bodies::merged(base, over));
}

fn marker(fingerprint: &str) -> String {
    format!("<!-- tandem:fingerprint:v1:{fingerprint} -->")
}

#[test]
fn a_github_issue_is_created_once_with_its_markers_and_its_receipt() {
    let tracker = Tracker::github();
    let (_server, client) = with("gh-create", bodies::github("gh", &tracker.base(), json!({})), json!({}));
    let (drafted, found) = reported(&client, bodies::report("gateway timed out"));
    let id = text(&drafted["draft_id"]);
    let answer = publish(&client, &id, json!({})).ok();
    assert_eq!(answer["action"], json!("create_issue"), "{answer}");
    let issues = tracker.issues();
    assert_eq!(issues.len(), 1);
    let issue = &issues[0];
    assert!(issue.body.contains(&marker(found["fingerprint"].as_str().unwrap())), "{}", issue.body);
    assert!(issue.body.contains("<!-- tandem:effect:v1:"), "{}", issue.body);
    assert_eq!(issue.labels, ["incident-monitor"]);
    let post = &answer["post"];
    assert_eq!((&post["status"], &post["operation"]), (&json!("posted"), &json!("create_issue")));
    assert_eq!((&answer["issue_number"], &post["external_id"]), (&json!(1), &json!("1")), "{post}");
    assert_eq!(post["external_title"], json!("GitHub issue #1"));
    assert_eq!(post["target_ref"], json!(REPO));
    assert_eq!(post["receipt"]["provider"], json!("github"));
    assert_eq!(answer["external_action"]["capability_id"], json!("github.create_issue"), "{answer}");
    let after = draft(&client, &id);
    assert_eq!((&after["status"], &after["issue_number"]), (&json!("github_issue_created"), &json!(1)));
    assert_eq!(tracker.asked("create")[0].authorization, format!("Bearer {TRACKER_TOKEN}"));
    assert!(!answer.to_string().contains(TRACKER_TOKEN));
    assert_eq!(publish(&client, &id, json!({})).ok()["action"], json!("skip_duplicate"));
    assert_eq!(tracker.issues().len(), 1);
    audit::assert_verified(&client);
}

#[test]
fn a_linear_issue_is_created_under_an_id_of_ours() {
    let tracker = Tracker::linear();
    let base = format!("{}graphql", tracker.base());
    let (_server, client) = with("lin-create", bodies::linear("lin", &base, json!({})), json!({}));
    let report = bodies::merged(bodies::report("queue stuck"), json!({ "risk_level": "low" }));
    let id = drafted(&client, report);
    let answer = publish(&client, &id, json!({})).ok();
    assert_eq!(answer["action"], json!("create_issue"), "{answer}");
    let issues = tracker.issues();
    assert_eq!((issues.len(), issues[0].priority), (1, 4));
    assert_eq!(issues[0].labels, ["label-1"]);
    assert!(issues[0].body.contains("<!-- tandem:destination:v1:linear -->"), "{}", issues[0].body);
    assert_eq!(draft(&client, &id)["status"], json!("linear_issue_created"));
    assert_eq!(answer["post"]["external_id"], json!("ENG-1"));
    assert_eq!(answer["post"]["external_title"], json!("Linear issue ENG-1"));
    let recheck = client.ask(&format!("/incident-monitor/drafts/{id}/recheck-match")).ok();
    assert_eq!(recheck["action"], json!("matched_linear_issue"), "{recheck}");
}

/// Every way in which an issue can be there although nobody said so.
#[test]
fn an_effect_without_an_answer_is_found_and_never_repeated() {
    let cases: [(&str, Fault); 4] = [
        ("hang", Fault::ActAndHang),
        ("cut", Fault::ActAndCut),
        ("502", Fault::ActAndSay(502)),
        ("garble", Fault::ActAndGarble),
    ];
    for (name, fault) in cases {
        let tracker = Tracker::github();
        // A search that lags is what real ones do.
        tracker.blind(true);
        tracker.fail("create", [fault.clone()]);
        let (_server, client) =
            with(&format!("gh-doubt-{name}"), bodies::github("gh", &tracker.base(), json!({})), json!({}));
        let id = drafted(&client, bodies::report(name));
        let first = publish(&client, &id, json!({})).ok();
        assert_eq!(first["results"][0]["status"], json!("retrying"), "{name}: {first}");
        let delivery = settled(&client, &id, "gh", "posted");
        assert_eq!(tracker.issues().len(), 1, "{name}: {delivery}");
        assert_eq!(tracker.asked("create").len(), 1, "{name}");
        assert!(delivery.get("intent").is_none(), "{delivery}");
        assert_eq!(draft(&client, &id)["issue_number"], json!(1), "{name}");
    }
    for (name, fault) in [("hang", Fault::ActAndHang), ("garble", Fault::ActAndGarble)] {
        let tracker = Tracker::linear();
        tracker.blind(true);
        tracker.fail("CreateIssue", [fault]);
        let base = format!("{}graphql", tracker.base());
        let (_server, client) = with(&format!("lin-doubt-{name}"), bodies::linear("lin", &base, json!({})), json!({}));
        let id = drafted(&client, bodies::report(name));
        publish(&client, &id, json!({})).ok();
        settled(&client, &id, "lin", "posted");
        assert_eq!((tracker.issues().len(), tracker.asked("CreateIssue").len()), (1, 1), "{name}");
    }
}

#[test]
fn a_request_that_had_no_effect_is_sent_again_only_after_it_was_looked_for() {
    let tracker = Tracker::github();
    tracker.fail("create", [Fault::Hang]);
    let (_server, client) = with("gh-again", bodies::github("gh", &tracker.base(), json!({})), json!({}));
    let id = drafted(&client, bodies::report("lost"));
    publish(&client, &id, json!({})).ok();
    settled(&client, &id, "gh", "posted");
    let (created, listed) = (tracker.asked("create"), tracker.asked("list"));
    assert_eq!((created.len(), tracker.issues().len()), (2, 1));
    assert!(listed.iter().any(|look| look.at_ms >= created[0].at_ms && look.at_ms <= created[1].at_ms));
    assert_eq!(created[0].body, created[1].body, "every attempt sends the same");
}

#[test]
fn what_cannot_be_found_out_is_unknown_and_is_looked_up_before_a_second_try() {
    let tracker = Tracker::github();
    tracker.fail("create", [Fault::ActAndCut]);
    tracker.fail("list", (0..20).map(|_| Fault::status(500)));
    let destination = bodies::github("gh", &tracker.base(), json!({ "max_attempts": 2 }));
    let (_server, client) = with("gh-unknown", destination, json!({}));
    let id = drafted(&client, bodies::report("who knows"));
    publish(&client, &id, json!({})).ok();
    let delivery = settled(&client, &id, "gh", "unknown");
    assert_eq!(tracker.asked("create").len(), 1, "{delivery}");
    assert_eq!(draft(&client, &id)["status"], json!("github_post_failed"));
    // The list answers again, and a new publish finds what the old one did.
    tracker.heal();
    let again = publish(&client, &id, json!({})).ok();
    settled(&client, &id, "gh", "posted");
    assert_eq!((tracker.issues().len(), tracker.asked("create").len()), (1, 1), "{again}");
}

#[test]
fn answers_that_say_no_are_believed() {
    for (status, code) in
        [(404, "not_found"), (410, "issue_gone"), (422, "http_status"), (401, "token_refused"), (403, "not_permitted")]
    {
        let tracker = Tracker::github();
        tracker.fail("create", [Fault::status(status)]);
        let (_server, client) =
            with(&format!("gh-{status}"), bodies::github("gh", &tracker.base(), json!({})), json!({}));
        let id = drafted(&client, bodies::report("no"));
        publish(&client, &id, json!({})).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
        let delivery = settled(&client, &id, "gh", "failed");
        assert_eq!(delivery["error_code"], json!(code), "{delivery}");
        assert_eq!((tracker.issues().len(), tracker.asked("create").len()), (0, 1));
        // A person may ask again.
        publish(&client, &id, json!({})).ok();
        settled(&client, &id, "gh", "posted");
        assert_eq!(tracker.issues().len(), 1);
    }
}

#[test]
fn a_limit_holds_back_everything_for_its_host() {
    let tracker = Tracker::github();
    tracker.fail("create", [Fault::secondary(600)]);
    let other = bodies::github("other", &tracker.base(), json!({}));
    let over = json!({ "destinations": [bodies::github("gh", &tracker.base(), json!({})), other] });
    let (_server, client) = with("gh-limit", bodies::github("gh", &tracker.base(), json!({})), over);
    let id = drafted(&client, bodies::report("limited"));
    let answer = publish(&client, &id, json!({})).ok();
    let result = &answer["results"][0];
    assert_eq!(result["status"], json!("retrying"), "{answer}");
    let wait = result["retry_at_ms"].as_u64().unwrap().saturating_sub(now_ms());
    assert!((500_000..=605_000).contains(&wait), "{wait}");
    let asked = tracker.asked("search").len() + tracker.asked("create").len();
    let second = drafted(&client, bodies::report("neighbour"));
    let held = publish(&client, &second, json!({ "destination_ids": ["other"] })).ok();
    assert_eq!(held["action"], json!("publish_in_progress"), "{held}");
    assert_eq!(held["results"][0]["status"], json!("pending"), "{held}");
    assert_eq!(tracker.asked("search").len() + tracker.asked("create").len(), asked, "the other destination waits too");
}

#[test]
fn an_open_issue_of_the_same_failure_is_told_and_a_stranger_is_not() {
    let tracker = Tracker::github();
    let (_server, client) = with("gh-match", bodies::github("gh", &tracker.base(), json!({})), json!({}));
    let title = "job failed";
    let stranger = tracker.plant(title, "my-fp is mentioned here, tandem:fingerprint:v1:my-fp", true);
    let ours = tracker.plant("something else", &format!("text\n{}", marker("my-fp")), true);
    let id = drafted(&client, bodies::report_as("my-fp"));
    let recheck = client.ask(&format!("/incident-monitor/drafts/{id}/recheck-match")).ok();
    assert_eq!((&recheck["action"], &recheck["issue_number"]), (&json!("matched_open"), &json!(ours)), "{recheck}");
    let answer = publish(&client, &id, json!({})).ok();
    assert_eq!(answer["action"], json!("comment_issue"), "{answer}");
    let after = draft(&client, &id);
    assert_eq!((&after["status"], &after["matched_issue_state"]), (&json!("github_comment_posted"), &json!("open")));
    let issues = tracker.issues();
    let comments = |number: u64| issues.iter().find(|issue| issue.number == number).map_or(0, |i| i.comments.len());
    assert_eq!((issues.len(), comments(ours), comments(stranger)), (2, 1, 0));
    assert!(answer["comment_url"].as_str().is_some_and(|url| url.contains("#issuecomment-")), "{answer}");

    set(
        &client,
        bodies::github("gh", &tracker.base(), json!({})),
        json!({ "auto_comment_on_matched_open_issues": false }),
    );
    let quiet_issue = tracker.plant("quiet", &marker("quiet-fp"), true);
    let quiet = drafted(&client, bodies::report_as("quiet-fp"));
    assert_eq!(publish(&client, &quiet, json!({})).ok()["action"], json!("matched_open_no_comment"));
    assert!(tracker.issues().iter().all(|issue| issue.number != quiet_issue || issue.comments.is_empty()));
}

#[test]
fn a_closed_issue_is_followed_reopened_or_told_as_configured() {
    for (policy, action, issues, open, comments) in [
        ("new_issue", "create_issue", 2, false, 0),
        ("reopen", "comment_issue", 1, true, 1),
        ("comment", "comment_issue", 1, false, 1),
    ] {
        let tracker = Tracker::github();
        tracker.plant("old", &marker("old-fp"), false);
        let destination = bodies::github("gh", &tracker.base(), json!({ "closed_issues": policy }));
        let (_server, client) = with(&format!("gh-closed-{policy}"), destination, json!({}));
        let id = drafted(&client, bodies::report_as("old-fp"));
        let recheck = client.ask(&format!("/incident-monitor/drafts/{id}/recheck-match")).ok();
        assert_eq!(recheck["action"], json!("matched_closed"), "{recheck}");
        assert_eq!(publish(&client, &id, json!({})).ok()["action"], json!(action), "{policy}");
        let found = tracker.issues();
        assert_eq!((found.len(), found[0].open, found[0].comments.len()), (issues, open, comments), "{policy}");
        if issues == 2 {
            assert!(found[1].body.contains("previous\\_closed\\_issue: #1"), "{}", found[1].body);
        }
    }
}

#[test]
fn creating_by_itself_can_be_switched_off_and_a_person_can_still_ask() {
    let tracker = Tracker::github();
    let over = json!({ "auto_create_new_issues": false, "require_approval_for_new_issues": true });
    let (_server, client) = with("gh-auto", bodies::github("gh", &tracker.base(), json!({})), over);
    let id = drafted(&client, bodies::report("not by itself"));
    let approved = client.post(&format!("/incident-monitor/drafts/{id}/approve"), json!({})).ok();
    assert_eq!(approved["action"], json!("draft_ready"), "{approved}");
    assert!(tracker.issues().is_empty());
    assert_eq!(publish(&client, &id, json!({})).ok()["action"], json!("create_issue"));
    assert_eq!(tracker.issues().len(), 1);
}

#[test]
fn a_recurrence_is_told_once_for_many_and_not_more_often_than_allowed() {
    let tracker = Tracker::github();
    let over = json!({ "recurrence": { "policy": "comment", "min_interval_ms": 3_600_000 } });
    let (_server, client) = with("gh-recur", bodies::github("gh", &tracker.base(), json!({})), over);
    let id = drafted(&client, bodies::report_as("again"));
    publish(&client, &id, json!({})).ok();
    for _ in 0..5 {
        reported(&client, bodies::report_as("again"));
    }
    let told = || tracker.issues()[0].comments.len();
    until("the recurrence is told", SOON, || (told() == 1).then_some(()));
    until("the draft knows", SOON, || draft(&client, &id)["recurrences_told"].as_u64());
    reported(&client, bodies::report_as("again"));
    let deliveries = crate::support::deliveries(&client, &id);
    assert_eq!(deliveries.len(), 2, "{deliveries:?}");
    let comment = deliveries.iter().find(|d| d["operation"] == "comment_issue").unwrap();
    assert!(comment["recurrence"].as_u64().is_some_and(|n| n >= 1), "{comment}");
    assert_eq!((tracker.issues().len(), told()), (1, 1));
    assert!(tracker.issues()[0].comments[0].1.contains("The failure came back"));
    assert_eq!(draft(&client, &id)["issue_number"], json!(1));
}

#[test]
fn other_recurrence_policies() {
    let tracker = Tracker::github();
    let policy = |policy: &str| json!({ "recurrence": { "policy": policy, "min_interval_ms": 0 } });
    let destination = || bodies::github("gh", &tracker.base(), json!({ "status_sync": false }));
    let (_server, client) = with("gh-policies", destination(), policy("none"));
    let id = drafted(&client, bodies::report_as("fp"));
    publish(&client, &id, json!({})).ok();
    reported(&client, bodies::report_as("fp"));
    assert_eq!(draft(&client, &id)["recurrences"], json!(1));
    tracker.set_open(1, false);
    set(&client, destination(), policy("reopen"));
    reported(&client, bodies::report_as("fp"));
    until("the issue is open again", SOON, || {
        let issue = &tracker.issues()[0];
        (issue.open && issue.comments.len() == 1).then_some(())
    });
    assert_eq!(tracker.issues().len(), 1);
    // The policy that asks for a person asks for one here, too.
    set(&client, destination(), bodies::merged(policy("comment"), json!({ "require_approval_for_new_issues": true })));
    let risky = drafted(&client, bodies::report_as("gated"));
    let approve = |id: &str| client.post(&format!("/incident-monitor/drafts/{id}/approve"), json!({})).ok();
    approve(&risky);
    settled(&client, &risky, "gh", "posted");
    until("one issue more", SOON, || (tracker.issues().len() == 2).then_some(()));
}

#[test]
fn an_issue_closed_upstream_resolves_its_incident_and_a_recurrence_is_a_regression() {
    let tracker = Tracker::github();
    let config = json!({ "status_sync": true, "status_sync_interval_ms": 1000 });
    let over = json!({ "recurrence": { "policy": "reopen", "min_interval_ms": 3_600_000 } });
    let (_server, client) = with("gh-sync", bodies::github("gh", &tracker.base(), config), over);
    let (drafted, found) = reported(&client, bodies::report_as("sync"));
    let (id, incident_id) = (text(&drafted["draft_id"]), text(&found["incident_id"]));
    publish(&client, &id, json!({})).ok();
    settled(&client, &id, "gh", "posted");
    std::thread::sleep(Duration::from_millis(5));
    tracker.set_open(1, false);
    until("the incident is resolved", SOON, || (incident(&client, &incident_id)["status"] == "resolved").then_some(()));
    assert!(incident(&client, &incident_id)["resolved_at_ms"].is_u64());
    std::thread::sleep(Duration::from_millis(5));
    reported(&client, bodies::report_as("sync"));
    let after = incident(&client, &incident_id);
    assert_eq!((&after["regressions"], after["status"] == "resolved"), (&json!(1), false), "{after}");
    until("the issue is open again", SOON, || tracker.issues()[0].open.then_some(()));
    let events = client.get("/audit/protected?event_type=incident_monitor.incident.resolved").ok();
    assert_eq!(events["count"], json!(1), "{events}");
    // What did not change is not told again.
    until("the tracker is asked again", SOON, || {
        let asked = tracker.asked("list").into_iter().filter(|asked| asked.target.contains("sort=updated"));
        (asked.count() > 1).then_some(())
    });
    assert_eq!(client.get("/audit/protected?event_type=incident_monitor.incident.resolved").ok()["count"], json!(1));
    audit::assert_verified(&client);
}

#[test]
fn an_unchanged_tracker_is_asked_with_the_last_validator() {
    let tracker = Tracker::github();
    let config = json!({ "status_sync": true, "status_sync_interval_ms": 1000 });
    let (_server, client) = with("gh-etag", bodies::github("gh", &tracker.base(), config), json!({}));
    until("a validator is used", SOON, || {
        tracker.asked("list").iter().any(|asked| !asked.if_none_match.is_empty()).then_some(())
    });
    drop(client);
}

#[test]
fn linear_closes_and_reopens_too() {
    let tracker = Tracker::linear();
    let base = format!("{}graphql", tracker.base());
    let config = json!({ "status_sync": true, "status_sync_interval_ms": 1000 });
    let over = json!({ "recurrence": { "policy": "reopen", "min_interval_ms": 0 } });
    let (_server, client) = with("lin-sync", bodies::linear("lin", &base, config), over);
    let (drafted, found) = reported(&client, bodies::report_as("lin"));
    publish(&client, &text(&drafted["draft_id"]), json!({})).ok();
    tracker.set_open(1, false);
    let incident_id = text(&found["incident_id"]);
    until("the incident is resolved", SOON, || (incident(&client, &incident_id)["status"] == "resolved").then_some(()));
    reported(&client, bodies::report_as("lin"));
    until("the issue is open again and told", SOON, || {
        let issue = &tracker.issues()[0];
        (issue.open && issue.comments.len() == 1).then_some(())
    });
}

#[test]
fn readiness_and_status_tell_what_a_tracker_lacks_and_has() {
    let tracker = Tracker::github();
    let bare = launch("gh-ready").start();
    let client = bare.client();
    set(&client, bodies::github("gh", &tracker.base(), json!({})), json!({}));
    let row =
        |client: &Client| client.get("/incident-monitor/status").ok()["status"]["destination_readiness"][0].clone();
    assert_eq!(row(&client)["missing_codes"], json!(["token_unavailable"]));
    let mut public_only = bodies::github("gh", &tracker.base(), json!({ "allow_private_networks": false }));
    public_only["repo"] = json!("acme/platform");
    set(&client, public_only, json!({}));
    assert_eq!(row(&client)["missing_codes"], json!(["api_base_invalid"]));
    let (_server, client) = with("gh-ready-2", bodies::github("gh", &tracker.base(), json!({})), json!({}));
    let status = client.get("/incident-monitor/status").ok()["status"].clone();
    assert_eq!(status["destination_readiness"][0]["publish_ready"], json!(true), "{status}");
    for key in ["github_read_ready", "github_write_ready", "publish_ready", "destination_ready"] {
        assert_eq!(status["readiness"][key], json!(true), "{key}: {}", status["readiness"]);
    }
    assert_eq!(status["required_capabilities"]["github_create_issue"], json!(true));
    assert_eq!(status["missing_required_capabilities"], json!([]));
    assert_eq!(status["resolved_capabilities"].as_array().map(Vec::len), Some(4), "{status}");
}

#[test]
fn a_kill_between_sending_and_settling_leaves_one_issue() {
    let tracker = Tracker::github();
    tracker.blind(true);
    let launch = started("gh-kill");
    let mut server = launch.start();
    set(&server.client(), bodies::github("gh", &tracker.base(), json!({ "timeout_ms": 5000 })), json!({}));
    for round in 0..4 {
        let client = server.client();
        let id = drafted(&client, bodies::report_as(&format!("killed-{round}")));
        // The issue is there before the answer is; the process dies in between.
        tracker.fail("create", [Fault::ActAndHang]);
        let before = tracker.asked("create").len();
        let path = format!("/incident-monitor/drafts/{id}/publish");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = client.json("POST", &path, &[], Some(json!({})));
            });
            tracker.wait("create", before + 1, SOON);
            until("the issue is there", SOON, || (tracker.issues().len() == round + 1).then_some(()));
            server.kill();
        });
        server = launch.start();
        settled(&server.client(), &id, "gh", "posted");
        assert_eq!(tracker.issues().len(), round + 1, "round {round}");
        assert_eq!(tracker.asked("create").len(), before + 1, "round {round}: nothing is sent twice");
    }
    audit::assert_verified(&server.client());
}

#[test]
fn two_engines_make_one_issue_of_each_draft() {
    let Some(database) = crate::concurrency::Database::new() else {
        println!("skipped: TANDEM_TEST_POSTGRES_URL names no server");
        return;
    };
    let tracker = Tracker::github();
    tracker.blind(true);
    tracker.pause(Duration::from_millis(20));
    let url = database.url();
    let one = started("pg-trackers-one").arg("--database-url").arg(&url).start();
    let two = started("pg-trackers-two").arg("--database-url").arg(&url).start();
    set(&one.client(), bodies::github("gh", &tracker.base(), json!({})), json!({}));
    let drafts: Vec<String> = (0..12).map(|n| drafted(&one.client(), bodies::report_as(&format!("pg-{n}")))).collect();
    // Lost answers in between, so that some of them are looked up by either engine.
    tracker.fail("create", [Fault::ActAndCut, Fault::ActAndSay(502)]);
    std::thread::scope(|scope| {
        for client in [one.client(), two.client(), one.client(), two.client()] {
            let drafts = &drafts;
            scope.spawn(move || {
                for id in drafts {
                    publish(&client, id, json!({}));
                }
            });
        }
    });
    for id in &drafts {
        settled(&two.client(), id, "gh", "posted");
        assert_eq!(crate::support::deliveries(&two.client(), id).len(), 1);
    }
    assert_eq!((tracker.issues().len(), tracker.asked("create").len()), (12, 12));
    audit::assert_verified(&two.client());
}

#[test]
fn a_recurrence_asks_for_an_approval_where_one_is_needed_now() {
    let tracker = Tracker::github();
    let recurrence = json!({ "policy": "comment", "min_interval_ms": 0 });
    let destination = || bodies::github("gh", &tracker.base(), json!({}));
    let (_server, client) = with("gh-recur-gate", destination(), json!({ "recurrence": recurrence }));
    let id = drafted(&client, bodies::report_as("gate"));
    publish(&client, &id, json!({})).ok();
    settled(&client, &id, "gh", "posted");
    set(&client, destination(), json!({ "recurrence": recurrence, "require_approval_for_new_issues": true }));
    reported(&client, bodies::report_as("gate"));
    until("an approval is asked for", SOON, || (draft(&client, &id)["status"] == "approval_required").then_some(()));
    assert!(tracker.issues()[0].comments.is_empty(), "nothing is said before it is granted");
    client.post(&format!("/incident-monitor/drafts/{id}/approve"), json!({})).ok();
    until("the recurrence is told", SOON, || (tracker.issues()[0].comments.len() == 1).then_some(()));
    assert_eq!(tracker.issues().len(), 1);
}

/// A tool that takes anything.
fn tool(name: &str, properties: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> = properties.iter().map(|p| ((*p).to_owned(), json!({}))).collect();
    json!({ "name": name, "description": name, "inputSchema": { "type": "object", "properties": properties } })
}

fn over_mcp(name: &str, tools: &ToolServer, more: Value) -> (Server, Client) {
    let server = started(name).start();
    let client = server.client();
    client.post("/mcp", json!({ "name": "gh", "transport": tools.url(), "allow_private_networks": true })).ok();
    client.ask("/mcp/gh/connect").ok();
    let config = bodies::merged(json!({ "timeout_ms": 3000, "settle_ms": 500 }), more);
    let destination =
        json!({ "destination_id": "gh", "name": "gh", "kind": "github_issue", "mcp_server": "gh", "config": config });
    set(&client, destination, json!({}));
    (server, client)
}

fn github_tools() -> [Value; 6] {
    [
        tool("list_issues", &["owner", "repo", "since", "perPage", "page"]),
        tool("issue_read", &["method", "owner", "repo", "issue_number", "perPage", "page"]),
        tool("issue_write", &["method", "owner", "repo", "title", "body", "labels", "issue_number", "state"]),
        tool("add_issue_comment", &["owner", "repo", "issue_number", "body"]),
        tool("search_issues", &["query", "perPage"]),
        tool("unrelated", &[]),
    ]
}

fn said(value: &Value) -> Act {
    Act::Text(value.to_string())
}

#[test]
fn an_issue_is_created_through_tools_and_found_again_by_its_marker() {
    let tools = ToolServer::new(github_tools());
    tools.on("search_issues", [said(&json!({ "total_count": 0, "items": [] }))]);
    tools.on("issue_write", [said(&json!({ "id": "9", "url": "https://github.com/acme/platform/issues/12" }))]);
    let (_server, client) = over_mcp("mcp-create", &tools, json!({}));
    let id = drafted(&client, bodies::report("through a tool"));
    let answer = publish(&client, &id, json!({})).ok();
    assert_eq!((&answer["action"], &answer["issue_number"]), (&json!("create_issue"), &json!(12)), "{answer}");
    let call = &tools.calls("issue_write")[0];
    assert_eq!(
        (&call["method"], &call["owner"], &call["repo"]),
        (&json!("create"), &json!("acme"), &json!("platform"))
    );
    assert!(call["body"].as_str().is_some_and(|body| body.contains("<!-- tandem:effect:v1:")), "{call}");
    let found = json!([{ "number": 12, "title": "t", "state": "closed", "body": call["body"] }]);
    tools.on("issue_read", [said(&found[0])]);
    let recheck = client.ask(&format!("/incident-monitor/drafts/{id}/recheck-match")).ok();
    assert_eq!(recheck["action"], json!("matched_closed"), "{recheck}");
}

#[test]
fn a_tool_call_without_an_answer_is_looked_up_and_not_repeated() {
    let tools = ToolServer::new(github_tools());
    tools.on("search_issues", [said(&json!({ "total_count": 0, "items": [] }))]);
    tools.on("issue_write", [Act::Cut]);
    tools.on("list_issues", [said(&json!({ "message": "not yet" }))]);
    let (_server, client) = over_mcp("mcp-doubt", &tools, json!({}));
    let id = drafted(&client, bodies::report("lost in a tool"));
    publish(&client, &id, json!({})).ok();
    let body = tools.calls("issue_write")[0]["body"].clone();
    tools.on("list_issues", [said(&json!([{ "number": 3, "title": "t", "state": "open", "body": body }]))]);
    settled(&client, &id, "gh", "posted");
    assert_eq!(tools.calls("issue_write").len(), 1);
    assert_eq!(draft(&client, &id)["issue_number"], json!(3));
}

#[test]
fn a_server_without_the_tools_is_not_ready() {
    let tools = ToolServer::new([tool("list_issues", &[]), tool("get_issue", &[])]);
    let (_server, client) = over_mcp("mcp-lacks", &tools, json!({}));
    let row = client.get("/incident-monitor/status").ok()["status"]["destination_readiness"][0].clone();
    assert_eq!(row["missing_codes"], json!(["capability_missing", "capability_missing"]), "{row}");
}

/// GitHub's tools as [`github_tools`], with a list that is asked for in another way.
fn github_tools_listing(list: &[&str]) -> Vec<Value> {
    let others =
        github_tools().into_iter().filter(|tool| tool["name"] != "list_issues" && tool["name"] != "search_issues");
    others.chain([tool("list_issues", list)]).collect()
}

#[test]
fn a_tool_that_says_it_failed_may_have_acted_and_is_looked_up() {
    // Whatever the words: the issue was made before they were said.
    for (turn, act) in [
        Act::Error("422 Validation Failed".into()),
        Act::Error("404 not found".into()),
        Act::Error("upstream timed out".into()),
        Act::Rpc(-32603, "internal error".into()),
        Act::Raw("{}".into()),
    ]
    .into_iter()
    .enumerate()
    {
        let tools = ToolServer::new(github_tools());
        tools.on("search_issues", [said(&json!({ "total_count": 0, "items": [] }))]);
        tools.on("issue_write", [act.clone()]);
        tools.on("list_issues", [said(&json!({ "message": "not yet" }))]);
        let (_server, client) = over_mcp(&format!("mcp-said-{turn}"), &tools, json!({}));
        let id = drafted(&client, bodies::report("made all the same"));
        publish(&client, &id, json!({}));
        let body = tools.calls("issue_write")[0]["body"].clone();
        tools.on("list_issues", [said(&json!([{ "number": 3, "title": "t", "state": "open", "body": body }]))]);
        settled(&client, &id, "gh", "posted");
        assert_eq!(tools.calls("issue_write").len(), 1, "{act:?}");
    }
}

#[test]
fn a_tool_that_did_nothing_is_asked_again_after_that_was_proven() {
    let tools = ToolServer::new(github_tools());
    tools.on("search_issues", [said(&json!({ "total_count": 0, "items": [] }))]);
    tools.on("list_issues", [said(&json!([]))]);
    let made = said(&json!({ "id": "9", "url": "https://github.com/acme/platform/issues/12" }));
    tools.on("issue_write", [Act::Error("something went wrong".into()), made]);
    let (_server, client) = over_mcp("mcp-again", &tools, json!({}));
    let id = drafted(&client, bodies::report("at the second try"));
    publish(&client, &id, json!({}));
    settled(&client, &id, "gh", "posted");
    let calls = tools.calls("issue_write");
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0], calls[1], "every attempt sends the same");
    assert!(!tools.calls("list_issues").is_empty());

    // One that goes on saying no is believed when it has been looked for, and no attempt is left to look again.
    tools.on("issue_write", [Act::Error("no such label".into())]);
    let (_server, client) = over_mcp("mcp-refuses", &tools, json!({ "max_attempts": 2 }));
    let id = drafted(&client, bodies::report("never"));
    publish(&client, &id, json!({}));
    let delivery = settled(&client, &id, "gh", "failed");
    assert_eq!(delivery["error_code"], json!("tracker_refused"), "{delivery}");
    assert!(delivery["error"].as_str().is_some_and(|text| text.contains("no such label")), "{delivery}");
    assert_eq!(tools.calls("issue_write").len(), 3);
    // A person may ask again.
    let made = said(&json!({ "id": "9", "url": "https://github.com/acme/platform/issues/13" }));
    tools.on("issue_write", [made]);
    publish(&client, &id, json!({})).ok();
    settled(&client, &id, "gh", "posted");
}

#[test]
fn a_list_that_may_be_longer_proves_nothing() {
    let stranger = |n: u64| json!({ "number": n, "title": "t", "state": "open", "body": "another" });
    // A tool that takes no size and says nothing of more: three rows may be the first three.
    let tools = ToolServer::new(github_tools_listing(&["owner", "repo"]));
    tools.on("list_issues", [said(&json!([]))]);
    tools.on("issue_write", [Act::Cut]);
    let (_server, client) = over_mcp("mcp-bounded", &tools, json!({ "max_attempts": 2 }));
    let id = drafted(&client, bodies::report("who knows"));
    publish(&client, &id, json!({}));
    tools.on("list_issues", [said(&json!([stranger(1), stranger(2), stranger(3)]))]);
    let delivery = settled(&client, &id, "gh", "unknown");
    assert_eq!(tools.calls("issue_write").len(), 1, "{delivery}");

    // Without a search, and with more than can be gone through, nothing is created either.
    let tools = ToolServer::new(github_tools_listing(&["owner", "repo"]));
    let many: Vec<Value> = (1..=40).map(stranger).collect();
    tools.on("list_issues", [said(&json!(many))]);
    let (_server, client) = over_mcp("mcp-long", &tools, json!({ "max_attempts": 1 }));
    let id = drafted(&client, bodies::report("too many"));
    publish(&client, &id, json!({}));
    let delivery = settled(&client, &id, "gh", "failed");
    assert_eq!(delivery["error_code"], json!("search_incomplete"), "{delivery}");
    assert!(tools.calls("issue_write").is_empty());

    // One that says where it goes on is followed to its end.
    let tools = ToolServer::new(github_tools_listing(&["owner", "repo", "perPage", "after"]));
    let page = |rows: &[Value], next: Option<&str>| {
        said(&json!({ "issues": rows, "pageInfo": { "hasNextPage": next.is_some(), "endCursor": next } }))
    };
    let (_server, client) = over_mcp("mcp-cursor", &tools, json!({}));
    let id = drafted(&client, bodies::report_as("far-behind"));
    let ours = json!({ "number": 77, "title": "t", "state": "open", "body": marker("far-behind") });
    tools.on("list_issues", [page(&many, Some("next")), page(&[ours], None)]);
    tools.on("add_issue_comment", [said(&json!({ "id": 5, "html_url": "https://github.com/c/5" }))]);
    let answer = publish(&client, &id, json!({})).ok();
    assert_eq!((&answer["action"], &answer["issue_number"]), (&json!("comment_issue"), &json!(77)), "{answer}");
    assert_eq!(tools.calls("list_issues")[1]["after"], json!("next"));
}

#[test]
fn an_issue_that_follows_a_closed_one_is_another_one() {
    let tracker = Tracker::linear();
    let base = format!("{}graphql", tracker.base());
    let (_server, client) = with("lin-generation", bodies::linear("lin", &base, json!({})), json!({}));
    let once = || {
        let id = drafted(&client, bodies::report_as("again-and-again"));
        let answer = publish(&client, &id, json!({})).ok();
        assert_eq!(answer["action"], json!("create_issue"), "{answer}");
        (id, answer)
    };
    let (first, before) = once();
    tracker.set_open(1, false);
    // The same content in another draft, which does not know of the first one.
    client.delete(&format!("/incident-monitor/drafts/{first}")).ok();
    // An answer that is lost is looked for under the name of this issue, not of the closed one.
    tracker.fail("CreateIssue", [Fault::ActAndCut]);
    let second = drafted(&client, bodies::report_as("again-and-again"));
    assert_ne!(first, second);
    publish(&client, &second, json!({})).ok();
    settled(&client, &second, "lin", "posted");
    let issues = tracker.issues();
    assert_eq!((issues.len(), tracker.asked("CreateIssue").len()), (2, 2));
    assert_ne!(issues[0].id, issues[1].id);
    assert!(issues[1].open && issues[1].body.contains("previous\\_closed\\_issue: ENG-1"), "{}", issues[1].body);
    assert_eq!(before["post"]["external_id"], json!("ENG-1"));
    assert_eq!(draft(&client, &second)["github_issue_url"], json!("https://linear.app/acme/issue/ENG-2"));
}

#[test]
fn many_changes_at_once_are_all_brought_back() {
    let tracker = Tracker::github();
    let config = json!({ "status_sync": true, "status_sync_interval_ms": 1000 });
    let (_server, client) = with("gh-sync-many", bodies::github("gh", &tracker.base(), config), json!({}));
    let (drafted, found) = reported(&client, bodies::report_as("one-of-many"));
    publish(&client, &text(&drafted["draft_id"]), json!({})).ok();
    // More than one question brings, most of them in one moment.
    for n in 0..720 {
        tracker.plant(&format!("stranger {n}"), "not ours", true);
    }
    // A tracker tells seconds: an issue that is closed in the second of its failure was closed before it, for all we know.
    let moment = now_ms() / 1_000;
    until("the next second", SOON, || (now_ms() / 1_000 > moment).then_some(()));
    tracker.set_open(1, false);
    let incident_id = text(&found["incident_id"]);
    until("the incident is resolved", SOON, || (incident(&client, &incident_id)["status"] == "resolved").then_some(()));
    // Nothing is read again once it is known: the same question is answered with nothing new.
    until("an unchanged list is asked for by its validator", SOON, || {
        tracker.asked("list").last().is_some_and(|asked| !asked.if_none_match.is_empty()).then_some(())
    });
    assert!(tracker.asked("get").is_empty());
}

#[test]
fn a_recheck_that_fails_says_why_and_quotes_no_secret() {
    let tracker = Tracker::github();
    let (_server, client) = with("gh-recheck-fails", bodies::github("gh", &tracker.base(), json!({})), json!({}));
    let id = drafted(&client, bodies::report("rechecked"));
    let recheck = || client.ask(&format!("/incident-monitor/drafts/{id}/recheck-match"));
    let quoting = json!({ "message": format!("the token {TRACKER_TOKEN} is none, nor is password=Zr8kQw2mX9pL") });
    for (status, code) in [(401, "token_refused"), (403, "not_permitted"), (404, "not_found"), (422, "http_status")] {
        tracker.fail("search", [Fault::Refuse(status, Vec::new(), quoting.clone())]);
        let refused = recheck().refused(400, "INCIDENT_MONITOR_DRAFT_RECHECK_FAILED");
        assert!(text(&refused["detail"]).starts_with(code), "{status}: {}", refused["detail"]);
        let shown = refused.to_string();
        assert!(!shown.contains(TRACKER_TOKEN) && !shown.contains("Zr8kQw2mX9pL"), "{}", refused["detail"]);
    }
    assert_eq!(recheck().ok()["action"], json!("no_match"));
    assert!(tracker.asked("create").is_empty() && crate::support::deliveries(&client, &id).is_empty());
}

/// A page that is full of one moment stays as it is whatever comes after it.
#[test]
fn a_change_behind_a_full_page_of_one_moment_is_brought_back() {
    let tracker = Tracker::github();
    let config = json!({ "status_sync": true, "status_sync_interval_ms": 1000 });
    let (_server, client) = with("gh-sync-full", bodies::github("gh", &tracker.base(), config), json!({}));
    let (drafted, found) = reported(&client, bodies::report_as("behind-a-page"));
    publish(&client, &text(&drafted["draft_id"]), json!({})).ok();
    let next_second = || {
        let moment = now_ms() / 1_000;
        until("the next second", SOON, || (now_ms() / 1_000 > moment).then_some(()));
    };
    next_second();
    for n in 0..100 {
        tracker.plant(&format!("stranger {n}"), "not ours", true);
    }
    let asked = || tracker.asked("list").iter().filter(|asked| asked.target.contains("sort=updated")).count();
    // Each of these questions begins with the full page.
    let before = asked();
    until("the full page was asked for again", SOON, || (asked() >= before + 4).then_some(()));
    next_second();
    tracker.set_open(1, false);
    let incident_id = text(&found["incident_id"]);
    until("the incident is resolved", SOON, || (incident(&client, &incident_id)["status"] == "resolved").then_some(()));
}

#[test]
fn receipts_tell_what_was_taken_out() {
    let tracker = Tracker::github();
    // Without triage, so that what was reported is what is taken things out of.
    let over = json!({ "safety_defaults": { "redact_secrets": false }, "triage_timeout_ms": 0 });
    let (_server, client) = with("gh-redactions", bodies::github("gh", &tracker.base(), json!({})), over);
    let secret = "password=Zr8kQw2mX9pL";
    let report = bodies::merged(bodies::report("leaks"), json!({ "detail": format!("the worker said {secret}") }));
    tracker.fail("create", [Fault::ActAndCut]);
    let id = drafted(&client, report);
    publish(&client, &id, json!({})).ok();
    settled(&client, &id, "gh", "posted");
    assert!(!tracker.issues()[0].body.contains("Zr8kQw2mX9pL"));
    let posts = client.get("/incident-monitor/posts?limit=10").ok();
    let receipt = posts["posts"][0]["receipt"].clone();
    let counts = receipt["redactions"].as_object().cloned().unwrap_or_default();
    assert!(counts.values().any(|count| count.as_u64() >= Some(1)), "{receipt}");
    assert!(receipt["truncated_fields"].is_array() && !posts.to_string().contains("Zr8kQw2mX9pL"), "{receipt}");
}

#[test]
fn an_automatic_publish_is_asked_for_again_when_the_pause_ends_or_the_destination_is_ready() {
    let tracker = Tracker::github();
    let server = launch("gh-auto-later").env("IT_TRACKER_TOKEN_TWO", TRACKER_TOKEN).start();
    let client = server.client();
    let route = json!([{ "route_id": "all", "name": "all", "destination_ids": ["gh"], "auto_publish": true }]);
    let with_token =
        |variable: &str| bodies::github("gh", &tracker.base(), json!({ "token_ref": format!("env:{variable}") }));
    set(&client, with_token("IT_TRACKER_TOKEN_TWO"), json!({ "routes": route, "paused": true }));
    let paused = drafted(&client, bodies::report_as("while-paused"));
    // Triage goes on meanwhile; the worker that does it has passed by the job that waits.
    client.ask(&format!("/incident-monitor/drafts/{paused}/triage-run")).ok();
    triaged(&client, &paused);
    assert!(tracker.issues().is_empty() && crate::support::deliveries(&client, &paused).is_empty());
    set(&client, with_token("IT_TRACKER_TOKEN_TWO"), json!({ "routes": route }));
    settled(&client, &paused, "gh", "posted");
    // A token without a value: not ready.
    set(&client, with_token("IT_TRACKER_TOKEN_UNSET"), json!({ "routes": route }));
    let unready = drafted(&client, bodies::report_as("while-unready"));
    until("it was refused once", SOON, || {
        let rows = client.get("/audit/protected?limit=200").ok();
        let refused = |row: &&Value| {
            row["event_type"] == "incident_monitor.publish.failed" && row["payload"]["draft_id"] == json!(unready)
        };
        (rows["events"].as_array().unwrap().iter().filter(refused).count() == 1).then_some(())
    });
    assert_eq!(tracker.issues().len(), 1);
    set(&client, with_token("IT_TRACKER_TOKEN_TWO"), json!({ "routes": route }));
    settled(&client, &unready, "gh", "posted");
    assert_eq!(tracker.issues().len(), 2);
    audit::assert_verified(&client);
}
