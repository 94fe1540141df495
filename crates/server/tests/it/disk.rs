//! A disk that takes nothing more: requests fail with a 503 that says so, what was answered stays, and service resumes
//! by itself when there is room.
//!
//! The full disk is a limit on the size of the process's files, which fails its writes at any user and on any machine.
//! Deliberately absent: a real full file system, which needs the right to mount one.

use serde_json::json;
use tandem_testkit::{audit, bodies};

use crate::support::{SOON, all, configure, drafted, incident, launch, publish, reported, text};

/// The largest file below a directory.
fn largest(dir: &std::path::Path) -> u64 {
    std::fs::read_dir(dir)
        .expect("the directory can be read")
        .flatten()
        .map(|entry| match entry.path() {
            path if path.is_dir() => largest(&path),
            path => std::fs::metadata(path).map_or(0, |meta| meta.len()),
        })
        .max()
        .unwrap_or(0)
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let mut server = launch("full").survive_file_limit().start();
    let client = server.client();
    configure(&client, json!({}));
    let early = drafted(&client, bodies::report_as("fp-early"));
    for turn in 0..3 {
        server.limit_files(Some(largest(&server.state_dir()) + 40_000));
        let (mut answered, mut refused) = (Vec::new(), 0);
        for n in 0..4_000 {
            let name = format!("fp-full-{turn}-{n}");
            let reply = client.post("/incident-monitor/report", json!({ "report": bodies::report_as(&name) }));
            match reply.status {
                200 => answered.push(text(&reply.json()["incident"]["incident_id"])),
                _ => {
                    let body = reply.refused(503, "STORE_UNAVAILABLE");
                    assert_eq!(body["retryable"], json!(true));
                    refused += 1;
                }
            }
            if refused == 5 {
                break;
            }
        }
        assert_eq!(refused, 5, "the limit was never felt after {} reports", answered.len());
        // Not a byte more: everything that writes is refused alike, and reading goes on.
        server.limit_files(Some(1));
        client.ask("/incident-monitor/pause").refused(503, "STORE_UNAVAILABLE");
        publish(&client, &early, json!({})).refused(503, "STORE_UNAVAILABLE");
        client.get("/incident-monitor/status").ok();
        for id in answered.iter().rev().take(20) {
            assert_eq!(incident(&client, id)["occurrence_count"], json!(1));
        }
        server.limit_files(None);
        let later = tandem_testkit::until("service resumes", SOON, || {
            let body = json!({ "report": bodies::report_as(&format!("fp-later-{turn}")) });
            let reply = client.post("/incident-monitor/report", body);
            (reply.status == 200).then(|| text(&reply.json()["incident"]["incident_id"]))
        });
        answered.push(later);
        let ids: std::collections::HashSet<String> = all(&client, "/incident-monitor/incidents", "incidents")
            .iter()
            .map(|row| text(&row["incident_id"]))
            .collect();
        assert!(answered.iter().all(|id| ids.contains(id)), "an answered report is gone");
        audit::assert_verified(&client);
    }
    // The early draft can be published now, and a crash finds everything in place.
    publish(&client, &early, json!({})).ok();
    let before = all(&client, "/incident-monitor/incidents", "incidents").len();
    drop(client);
    server.restart();
    let client = server.client();
    assert_eq!(all(&client, "/incident-monitor/incidents", "incidents").len(), before);
    audit::assert_verified(&client);
}

#[test]
fn a_crash_on_a_full_disk_loses_nothing_that_was_answered() {
    let mut server = launch("full-crash").survive_file_limit().start();
    let client = server.client();
    configure(&client, json!({}));
    server.limit_files(Some(largest(&server.state_dir()) + 60_000));
    let mut answered = Vec::new();
    for n in 0..4_000 {
        let reply = client.post("/incident-monitor/report", json!({ "report": bodies::report_as(&format!("fp-{n}")) }));
        if reply.status != 200 {
            reply.refused(503, "STORE_UNAVAILABLE");
            break;
        }
        answered.push(text(&reply.json()["incident"]["incident_id"]));
    }
    drop(client);
    server.restart();
    let client = server.client();
    for id in &answered {
        incident(&client, id);
    }
    assert_eq!(all(&client, "/incident-monitor/incidents", "incidents").len(), answered.len());
    audit::assert_verified(&client);
    reported(&client, bodies::report("afterwards"));
}
