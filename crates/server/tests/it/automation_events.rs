//! The stream of events: every change is told, filters hold, and a follower that comes back has missed nothing.

use serde_json::{Value, json};
use tandem_testkit::{Client, Server};

use crate::{
    automations::{asked, claimed, made},
    support::configured,
};

/// The frames of a stream until this many events have come: `(id, data)`. The place that the last whole frame named is
/// what a browser would send back.
fn follow(client: &Client, path: &str, seen: Option<u64>, wanted: usize) -> (Vec<Value>, u64) {
    let client = match seen {
        Some(seen) => client.again().with("last-event-id", &seen.to_string()),
        None => client.again(),
    };
    let mut lines = client.stream(path).expect("the stream begins");
    assert_eq!(lines.status, 200);
    let (mut events, mut id, mut pending, mut data) = (Vec::new(), seen.unwrap_or(0), None, None::<String>);
    while events.len() < wanted {
        let line = lines.next_line().expect("a line comes").expect("the stream has no end");
        if let Some(text) = line.strip_prefix("id:") {
            pending = Some(text.trim().parse().expect("a place"));
        } else if let Some(text) = line.strip_prefix("data:") {
            data = Some(text.trim().to_owned());
        } else if line.is_empty() {
            id = pending.take().unwrap_or(id);
            if let Some(data) = data.take() {
                let value: Value = serde_json::from_str(&data).expect("a frame is JSON");
                if value["status"] == json!("ready") {
                    assert_eq!(value["stream"], json!("automations_v2"));
                } else {
                    events.push(value);
                }
            }
        }
    }
    (events, id)
}

fn kinds(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_change_is_told_in_both_spellings() {
    let (_server, client) = configured("events", json!({}));
    let id = made(&client, "Told");
    let other = made(&client, "Other");
    let run_id = asked(&client, &id);
    asked(&client, &other);
    let claim = claimed(&client, &run_id, 60_000);
    let failed = json!({ "report_id": "f", "claim_id": claim, "status": "failed", "detail": "no" });
    client.post(&format!("/automations/v2/runs/{run_id}/report"), failed).ok();
    let path = format!("/automations/v2/events?cursor=0&run_id={run_id}");
    let (events, _) = follow(&client, &path, None, 6);
    let found = kinds(&events);
    for wanted in [
        "automation.v2.run.created",
        "automation.v2.run.claimed",
        "automation.v2.run.failed",
        "automation_v2.run.failed",
    ] {
        assert!(found.iter().any(|kind| kind == wanted), "{wanted} is missing: {found:?}");
    }
    assert!(events.iter().all(|event| event["properties"]["runID"] == json!(run_id)), "{events:?}");
    let path = format!("/automations/v2/events?cursor=0&automation_id={other}");
    let (events, _) = follow(&client, &path, None, 3);
    assert!(events.iter().all(|event| event["properties"]["automationID"] == json!(other)), "{events:?}");
    assert!(kinds(&events).iter().any(|kind| kind == "automation.v2.created"), "{events:?}");
    let strange = client.must("GET", "/automations/v2/events", &[("last-event-id", "x")], None);
    strange.refused(400, "VALIDATION_FAILED");
}

/// Twelve times: follow a little, go away while more happens, come back. The server dies in between, too.
#[test]
fn a_follower_that_comes_back_has_missed_nothing() {
    let (mut server, client): (Server, Client) = configured("events-reconnect", json!({}));
    let id = made(&client, "Followed");
    let path = format!("/automations/v2/events?automation_id={id}");
    let first = client.get("/audit/protected?limit=1").ok()["events"][0]["seq"].as_u64().unwrap();
    let (mut seen, mut heard, mut runs) = (first, Vec::new(), Vec::new());
    for round in 0..12 {
        let client = server.client();
        for _ in 0..3 {
            runs.push(asked(&client, &id));
        }
        if round % 4 == 3 {
            server.restart();
        }
        let client = server.client();
        // Fewer than there are, so that each visit leaves some for the next.
        let (events, at) = follow(&client, &path, Some(seen), 4);
        heard.extend(events);
        seen = at;
    }
    let client = server.client();
    let told = |heard: &[Value]| -> Vec<String> {
        let created = heard.iter().filter(|event| event["type"] == json!("automation.v2.run.created"));
        created.map(|event| event["properties"]["runID"].as_str().unwrap_or_default().to_owned()).collect()
    };
    while told(&heard).len() < runs.len() {
        let (events, at) = follow(&client, &path, Some(seen), 1);
        heard.extend(events);
        seen = at;
    }
    // In order, each at least once; a frame whose row was not heard to its end may come again.
    let mut found = told(&heard);
    found.dedup();
    assert_eq!(found, runs);
}
