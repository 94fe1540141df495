//! A thousand approved drafts to a tracker that answers after 50 ms, and what that costs intake meanwhile.
//!
//! The drafts exist, their triage is done and they are approved before the clock runs. Each becomes one search and one
//! create. What the configured concurrency allows is the time in which so many places do nothing but create.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    Fault, Plan, http,
    http::Connection,
    load::{self, Each, Requests as _},
    process::{Process, SECRET_VARIABLE, scratch},
    reports::{Kind, Reports},
    scenario::intake,
    table::{Table, median},
    tracker::Tracker,
};

const DRAFTS: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(50);
const AT_ONCE: usize = 8;
const REPORTERS: u64 = 4;

pub async fn run(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    let tracker = Tracker::start(PAUSE).await?;
    let server = Process::server(plan, &scratch(plan, "trackers")).await?;
    let mut connection = Connection::open(server.address).await?;
    configure(&mut connection, &tracker).await?;
    let allowed = PAUSE.as_secs_f64() * DRAFTS as f64 / AT_ONCE as f64;
    let (mut took, mut with, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..plan.repeat as u64 {
        let drafts = drafts(&server, round * 3 + 1).await?;
        without.push(
            intake::measure(&server, Kind::Distinct, REPORTERS, round * 3 + 2, plan.seconds).await?.percentile(99.0),
        );
        let before = tracker.created();
        let publishes = drafts.iter().map(|id| http::post(&format!("/incident-monitor/drafts/{id}/publish"), "{}"));
        let publishes = Each::shared(publishes.collect(), 64);
        let begun = Instant::now();
        let reporting = intake::measure(&server, Kind::Distinct, REPORTERS, round * 3 + 3, plan.seconds);
        let publishing = load::drive(server.address, publishes, Duration::from_secs(600));
        let (outcome, reported) = tokio::join!(publishing, reporting);
        let (outcome, reported) = (outcome?, reported?);
        if outcome.errors > 0 {
            return Err(format!("{} publishes failed: {:?}", outcome.errors, outcome.first_error).into());
        }
        while tracker.created() - before < DRAFTS as u64 {
            if begun.elapsed() > Duration::from_secs(600) {
                return Err(format!("{} of {DRAFTS} issues after ten minutes", tracker.created() - before).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        took.push(begun.elapsed().as_secs_f64());
        with.push(reported.percentile(99.0));
        println!("  {DRAFTS} issues in {:.1} s, at most {} at once", begun.elapsed().as_secs_f64(), tracker.most());
    }
    if tracker.doubled() > 0 || tracker.most() > AT_ONCE {
        return Err(
            format!("{} issues were doubled, {} were created at once", tracker.doubled(), tracker.most()).into()
        );
    }
    let (took, with, without) = (median(took), median(with), median(without));
    table.add(
        &format!("trackers, {DRAFTS} issues at {AT_ONCE} at once"),
        format!("{took:.1} s, {:.2} of what that allows", took / allowed),
        format!("allowed {allowed:.1} s; a search and a create of {} ms each", PAUSE.as_millis()),
        "≤ 2.0",
    );
    table.add(
        "intake while trackers are told",
        format!("p99 {with:.1} ms, {:.2} of that without", with / without),
        format!("without: {without:.1} ms, {REPORTERS} connections"),
        "≤ 1.20",
    );
    server.stop()
}

async fn configure(connection: &mut Connection, tracker: &Tracker) -> Result<(), Fault> {
    let config = json!({ "incident_monitor": {
        "enabled": true, "repo": "acme/checkout", "require_approval_for_new_issues": true,
        "destinations": [{
            "destination_id": "issues", "name": "issues", "kind": "github_issue",
            "config": {
                "token_ref": format!("env:{SECRET_VARIABLE}"), "api_base": format!("http://{}/", tracker.address),
                "allow_private_networks": true, "allow_insecure_http": true, "max_concurrency": AT_ONCE,
            },
        }],
        "default_destination_ids": ["issues"],
    }});
    connection.json(&http::send("PATCH", "/config/incident-monitor", &config.to_string())).await?;
    Ok(())
}

/// Drafts that are approved and triaged but not published: the switch that creates issues by itself is off meanwhile.
async fn drafts(server: &Process, salt: u64) -> Result<Vec<String>, Fault> {
    let mut connection = Connection::open(server.address).await?;
    let mut config = connection.json(&http::get("/config/incident-monitor")).await?;
    config["incident_monitor"]["auto_create_new_issues"] = json!(false);
    connection.json(&http::send("PATCH", "/config/incident-monitor", &config.to_string())).await?;
    let mut reports = Reports::supplies(Kind::Distinct, 1, salt).remove(0);
    let mut ids = Vec::new();
    for _ in 0..DRAFTS {
        let request = reports.next().ok_or("no report left")?.to_vec();
        let answer = connection.json(&request).await?;
        ids.push(answer["draft"]["draft_id"].as_str().ok_or("a report without a draft")?.to_owned());
    }
    let approve = ids.iter().map(|id| http::post(&format!("/incident-monitor/drafts/{id}/approve"), "{}"));
    let approved = load::drive(server.address, Each::shared(approve.collect(), 16), Duration::from_secs(600)).await?;
    let triage = ids.iter().map(|id| http::post(&format!("/incident-monitor/drafts/{id}/triage-run"), "{}"));
    let triaged = load::drive(server.address, Each::shared(triage.collect(), 16), Duration::from_secs(600)).await?;
    if approved.errors + triaged.errors > 0 {
        return Err(
            format!("drafts could not be prepared: {:?} {:?}", approved.first_error, triaged.first_error).into()
        );
    }
    let mut connection = Connection::open(server.address).await?;
    let queued = http::get("/incident-monitor/drafts?status=triage_queued&limit=1");
    while connection.json(&queued).await?["count"] != 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    config["incident_monitor"]["auto_create_new_issues"] = json!(true);
    connection.json(&http::send("PATCH", "/config/incident-monitor", &config.to_string())).await?;
    Ok(ids)
}
