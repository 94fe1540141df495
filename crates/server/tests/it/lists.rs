//! Lists: pages that neither repeat nor skip, filters, deletes.

use std::collections::BTreeSet;

use serde_json::json;
use tandem_testkit::bodies;

use crate::support::{KEY_HEADER, all, configured, drafted, keyed, publish, reported, text};

#[test]
fn pages_show_every_row_once_in_order() {
    let (_server, client) = configured("pages", json!({}));
    for n in 0..23 {
        let id = drafted(&client, bodies::report_as(&format!("fp-page-{n}")));
        publish(&client, &id, json!({})).ok();
    }
    for (list, key, order, id) in [
        ("incidents", "incidents", "updated_at_ms", "incident_id"),
        ("drafts", "drafts", "created_at_ms", "draft_id"),
        ("posts", "posts", "updated_at_ms", "post_id"),
        ("deliveries", "deliveries", "updated_at_ms", "delivery_id"),
    ] {
        let (mut seen, mut times, mut cursor, mut pages) = (BTreeSet::new(), Vec::new(), String::new(), 0);
        loop {
            let page = client.get(&format!("/incident-monitor/{list}?limit=5{cursor}")).ok();
            let rows = page[key].as_array().unwrap();
            assert_eq!(page["count"], json!(rows.len()));
            for row in rows {
                assert!(seen.insert(text(&row[id])), "{list} repeats {row}");
                times.push(row[order].as_u64().unwrap());
            }
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!((seen.len(), pages), (23, 5), "{list}");
        assert!(times.is_sorted_by(|a, b| a >= b), "{list} is newest first");
        let middle = times[11];
        let since = all(&client, &format!("/incident-monitor/{list}?since_ms={middle}"), key);
        assert_eq!(since.len(), times.iter().filter(|at| **at >= middle).count(), "{list}");
        assert_eq!(client.get(&format!("/incident-monitor/{list}")).ok()["count"], json!(23));
        assert_eq!(client.get(&format!("/incident-monitor/{list}?limit=0")).ok()["count"], json!(1));
        assert_eq!(client.get(&format!("/incident-monitor/{list}?limit=9999")).ok()["count"], json!(23));
        for bad in ["limit=abc", "limit=-1", "cursor=nonsense", "since_ms=x", "limit=1&limit=2"] {
            client.get(&format!("/incident-monitor/{list}?{bad}")).refused(400, "VALIDATION_FAILED");
        }
        for blank in ["unknown=1", "limit=", "cursor=", "status=", "since_ms="] {
            client.get(&format!("/incident-monitor/{list}?{blank}")).ok();
        }
    }
}

#[test]
fn filters_pick_rows() {
    let over = json!({
        "monitored_projects": [bodies::project("shop", "/srv/shop")],
        "destinations": [bodies::telemetry("local"), bodies::memory("memory")],
    });
    let (server, client) = configured("filters", over);
    let (_, raw) = keyed(&client, json!({}));
    let body = json!({ "project_id": "shop", "report": bodies::report("of the shop") });
    server.stranger().with(KEY_HEADER, &raw).post("/incident-monitor/intake/report", body).ok();
    let risky = bodies::merged(bodies::report_as("fp-risky"), json!({ "risk_level": "critical" }));
    let waiting = drafted(&client, risky);
    let sent = drafted(&client, bodies::report_as("fp-sent"));
    publish(&client, &sent, json!({ "destination_ids": ["memory"] })).ok();
    let count = |query: &str, key: &str| {
        let answer = client.get(&format!("/incident-monitor/{query}")).ok();
        (answer["count"].as_u64().unwrap(), answer[key][0].clone())
    };
    assert_eq!(count("drafts?status=approval_required", "drafts").1["draft_id"], json!(waiting));
    assert_eq!(count("drafts?status=approval_required", "drafts").0, 1);
    assert_eq!(count("drafts?project_id=shop", "drafts").0, 1);
    assert_eq!(count("incidents?project_id=shop", "incidents").0, 1);
    assert_eq!(count("incidents?status=nonsense", "incidents").0, 0);
    assert_eq!(count("posts?destination_id=memory", "posts").0, 1);
    assert_eq!(count("posts?destination_id=local", "posts").0, 0);
    assert_eq!(count("posts?destination_id=legacy-github", "posts").0, 0);
    assert_eq!(count("deliveries?status=posted", "deliveries").0, 1);
}

#[test]
fn deletes_say_how_many() {
    let (_server, client) = configured("deletes", json!({}));
    let make = |n: usize| reported(&client, bodies::report_as(&format!("fp-delete-{n}")));
    let (one, seen) = make(0);
    let path = format!("/incident-monitor/drafts/{}", text(&one["draft_id"]));
    assert_eq!(client.delete(&path).ok(), json!({ "ok": true, "deleted": 1 }));
    client.delete(&path).refused(404, "INCIDENT_MONITOR_DRAFT_NOT_FOUND");
    let path = format!("/incident-monitor/incidents/{}", text(&seen["incident_id"]));
    assert_eq!(client.delete(&path).ok()["deleted"], json!(1));
    client.delete(&path).refused(404, "INCIDENT_MONITOR_INCIDENT_NOT_FOUND");
    let ids: Vec<_> = (1..4).map(|n| make(n).1["incident_id"].clone()).collect();
    let bulk =
        |list: &str, body| client.post(&format!("/incident-monitor/{list}/bulk-delete"), body).ok()["deleted"].clone();
    assert_eq!(bulk("incidents", json!({ "ids": [ids[0], ids[1], "unknown", ids[0]] })), json!(2));
    assert_eq!(bulk("incidents", json!({})), json!(0));
    assert_eq!(bulk("incidents", json!({ "all": true, "ids": [] })), json!(1));
    assert_eq!(bulk("drafts", json!({ "all": true })), json!(3));
    assert_eq!(bulk("posts", json!({ "all": true })), json!(0));
    assert_eq!(client.get("/incident-monitor/incidents").ok()["count"], json!(0));
}
