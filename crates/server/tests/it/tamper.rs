//! A log that someone changed behind the server's back says so everywhere, stays readable, and is cleared only by a
//! recorded acknowledgement.

use rusqlite::Connection;
use serde_json::{Value, json};
use tandem_core::audit::integrity::Status;
use tandem_testkit::{Client, Server, audit, bodies, until};

use crate::support::{SOON, configured, database, drafted, publish, text};

/// A server with a signed log, stopped, changed by `change`, and started again.
fn tampered(name: &str, change: impl FnOnce(&Connection)) -> (Server, Client) {
    let (mut server, client) = configured(name, json!({}));
    for n in 0..8 {
        let id = drafted(&client, bodies::report_as(&format!("fp-tamper-{n}")));
        publish(&client, &id, json!({})).ok();
    }
    assert_eq!(client.get("/audit/protected").ok()["integrity"]["status"], json!("verified"));
    audit::manifest(&client);
    drop(client);
    let (launch, file) = (server.launch().clone(), database(&server));
    server.terminate();
    let db = Connection::open(&file).unwrap();
    change(&db);
    drop(db);
    drop(server);
    let server = launch.start();
    let client = server.client();
    (server, client)
}

/// Runs a statement that must change what the log holds.
fn changed(db: &Connection, sql: &str) {
    let held = || -> Vec<(i64, String, Vec<u8>)> {
        let mut rows = db.prepare("SELECT seq, canonical, leaf FROM audit_events ORDER BY seq").unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let before = held();
    db.execute_batch(sql).unwrap();
    assert!(held() != before, "{sql} changed nothing");
}

#[track_caller]
fn shows(client: &Client, first_bad: u64) {
    let expected = |integrity: &Value| {
        assert_eq!(integrity["status"], json!("tampered"), "{integrity}");
        assert_eq!(integrity["first_bad_seq"], json!(first_bad), "{integrity}");
        assert!(integrity["reason"].is_string(), "{integrity}");
    };
    expected(&client.get("/audit/protected?limit=5").ok()["integrity"]);
    expected(&audit::manifest(client)["integrity"]);
    let metrics = client.post("/incident-monitor/security/governance-metrics", json!({})).ok();
    expected(&metrics["governance_maturity"]["integrity"]);
    let export = audit::export(client);
    let trailer: Value = serde_json::from_str(export.last().unwrap()).unwrap();
    expected(&trailer["integrity"]);
    until("health is degraded", SOON, || {
        let health = client.get("/global/health").ok();
        (health["status"] == json!("degraded")).then_some(())
    });
}

#[test]
fn every_way_of_tampering_is_named_by_its_row() {
    let cases: [(&str, &[&str], u64); 6] = [
        (
            "edited",
            &[
                "UPDATE audit_events SET canonical = replace(canonical, 'incident_monitor', 'incident_monitoR') WHERE seq = 4",
            ],
            4,
        ),
        (
            "edited-time",
            &[
                "UPDATE audit_events SET canonical = replace(canonical, 'created_at_ms\":1', 'created_at_ms\":2') WHERE seq = 9",
            ],
            9,
        ),
        ("dropped", &["DELETE FROM audit_events WHERE seq = 6"], 6),
        (
            "dropped-unsigned",
            &["DELETE FROM audit_events WHERE seq = 6; DELETE FROM checkpoints; DELETE FROM audit_nodes"],
            6,
        ),
        (
            "swapped",
            &[
                "UPDATE audit_events SET seq = 99999 WHERE seq = 5",
                "UPDATE audit_events SET seq = 5 WHERE seq = 7",
                "UPDATE audit_events SET seq = 7 WHERE seq = 99999",
            ],
            5,
        ),
        ("leaf", &["UPDATE audit_events SET leaf = zeroblob(32) WHERE seq = 3"], 3),
    ];
    for (name, statements, first_bad) in cases {
        let (_server, client) = tampered(&format!("tamper-{name}"), |db| {
            for sql in statements {
                changed(db, sql);
            }
        });
        println!("{name}");
        shows(&client, first_bad);
        let report = audit::verify(&client);
        assert_eq!(report.status, Status::Tampered, "{name}: {report:?}");
    }
}

#[test]
fn a_cut_tail_is_noticed_with_and_without_the_head() {
    for (name, sql) in [
        ("tail", "DELETE FROM audit_events WHERE seq > (SELECT max(seq) - 3 FROM audit_events)"),
        ("tail-and-head", "DELETE FROM audit_events WHERE seq > (SELECT max(seq) - 3 FROM audit_events)"),
    ] {
        let (_server, client) = tampered(&format!("tamper-{name}"), |db| {
            changed(db, sql);
            if name == "tail-and-head" {
                db.execute("UPDATE audit_head SET size = (SELECT max(seq) FROM audit_events)", []).unwrap();
            }
        });
        let integrity = client.get("/audit/protected").ok()["integrity"].clone();
        assert_eq!(integrity["status"], json!("tampered"), "{name}: {integrity}");
        shows(&client, integrity["first_bad_seq"].as_u64().unwrap());
        drafted(&client, bodies::report_as("fp-after-the-cut"));
        assert_eq!(audit::verify(&client).status, Status::Tampered, "{name}");
    }
}

#[test]
fn a_tampered_log_goes_on_and_is_cleared_by_an_acknowledgement() {
    let (mut server, client) = tampered("acknowledge", |db| {
        changed(
            db,
            "UPDATE audit_events SET canonical = replace(canonical, 'incident_monitor', 'incident_monitoR') WHERE seq = 4",
        );
    });
    shows(&client, 4);
    // Work goes on, and its rows are appended.
    let before = audit::last_seq(&client);
    drafted(&client, bodies::report_as("fp-after"));
    assert!(audit::last_seq(&client) > before);
    assert_eq!(client.get("/audit/protected?limit=1000").ok()["count"], json!(before + 1));
    let agent = server.client().with("x-tandem-agent-id", "agent-7");
    let acknowledge = |client: &Client, seq: u64| {
        client.post("/audit/integrity/acknowledge", json!({ "first_bad_seq": seq, "note": "restored from backup" }))
    };
    acknowledge(&agent, 4).refused(403, "HUMAN_ACTOR_REQUIRED");
    acknowledge(&client, 5).refused(409, "VALIDATION_FAILED");
    shows(&client, 4);
    let cleared = acknowledge(&client, 4).ok();
    assert_eq!(cleared["integrity"]["status"], json!("verified"), "{cleared}");
    let rows = audit::rows(&client, "audit.integrity.acknowledged");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["payload"]["first_bad_seq"], json!(4));
    assert!(text(&rows[0]["payload"]["note"]).contains("backup"));
    until("health is fine again", SOON, || (client.get("/global/health").ok()["status"] == json!("ok")).then_some(()));
    drop((client, agent));
    server.restart();
    let client = server.client();
    assert_eq!(client.get("/audit/protected").ok()["integrity"]["status"], json!("verified"));
    acknowledge(&client, 4).refused(409, "VALIDATION_FAILED");
    // The break stays provable: what was signed is not what the log holds now.
    assert_eq!(audit::verify(&client).status, Status::Tampered);
}
