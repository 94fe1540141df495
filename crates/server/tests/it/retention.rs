//! Bodies of audit rows that are dropped: told, proved, held back, and told apart from what somebody took away.

use std::{fs, path::Path, process::Command};

use rusqlite::Connection;
use serde_json::{Value, json};
use tandem_core::audit::{checkpoint::Checkpoint, merkle::parse_hex, note::VerifierKey, proof::verify_inclusion};
use tandem_testkit::{Client, Scratch, Server, audit, bodies, poll, until};

use crate::support::{SOON, all, configured, database, drafted, text};

const DAY_MS: u64 = 86_400_000;

fn put(client: &Client, path: &str, body: Value) -> tandem_testkit::Reply {
    client.must("PUT", path, &[], Some(body))
}

fn setting(client: &Client) -> Value {
    client.get("/audit/retention").ok()["config"].clone()
}

/// A server whose rows up to the answered one look a hundred days old.
fn aged(name: &str) -> (Server, u64) {
    let (mut server, admin) = configured(name, json!({}));
    for n in 0..6 {
        drafted(&admin, bodies::report_as(&format!("fp-{name}-{n}")));
    }
    let last = audit::last_seq(&admin);
    drop(admin);
    let file = database(&server);
    server.terminate();
    let db = Connection::open(&file).unwrap();
    let older = format!("UPDATE audit_events SET created_at_ms = created_at_ms - {} WHERE seq <= {last}", 100 * DAY_MS);
    assert_eq!(db.execute(&older, []).unwrap() as u64, last);
    drop(db);
    server.restart();
    (server, last)
}

/// Waits until the sweep has looked at every row up to this one.
#[track_caller]
fn swept(client: &Client, seq: u64) -> Value {
    let mut seen = Value::Null;
    let found = poll(SOON, || {
        seen = setting(client);
        (seen["swept_to_seq"].as_u64() >= Some(seq)).then(|| seen.clone())
    });
    found.unwrap_or_else(|| panic!("not swept to {seq}: {seen}"))
}

fn verdict(bundle: &Path, key: &str) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    let done = command.args(["audit", "verify", "--json", "--key", key]).arg(bundle).output().expect("runs");
    (done.status.code(), serde_json::from_slice(&done.stdout).unwrap_or_default())
}

#[test]
fn old_bodies_go_and_everything_about_them_still_proves() {
    let (mut server, last) = aged("retention");
    let admin = server.client();
    assert_eq!(setting(&admin), json!(null));
    let before = all(&admin, "/audit/protected", "events");
    put(&admin, "/audit/retention", json!({ "body_days": 30 })).ok();
    let done = swept(&admin, last);
    assert_eq!((&done["bodies_dropped"], &done["swept_to_seq"]), (&json!(last), &json!(last)), "{done}");

    let rows = all(&admin, "/audit/protected", "events");
    let of = |rows: &[Value], seq: u64| rows.iter().find(|row| row["seq"] == json!(seq)).cloned().unwrap();
    for seq in 1..=last {
        let (was, is) = (of(&before, seq), of(&rows, seq));
        assert_eq!(is["body_dropped"], json!(true), "{is}");
        assert!(is.get("payload").is_none() && is.get("actor").is_none(), "{is}");
        for key in ["seq", "event_type", "record_hash"] {
            assert_eq!(is[key], was[key], "{is}");
        }
    }
    let told = audit::rows(&admin, "audit.retention.dropped");
    assert_eq!((told.len(), &told[0]["payload"]["ranges"]), (1, &json!([[1, last]])));
    assert_eq!(audit::manifest(&admin)["integrity"]["status"], json!("verified"));

    // A proof of a row that says nothing any more.
    let proof = admin.get("/audit/proof/inclusion?seq=2").ok();
    let key = VerifierKey::parse(&text(&proof["public_key"])).unwrap();
    let head = Checkpoint::open(&text(&proof["checkpoint"]), &[key]).unwrap();
    let hashes: Vec<_> =
        proof["proof"]["hashes"].as_array().unwrap().iter().map(|hash| parse_hex(&text(hash)).unwrap()).collect();
    let leaf = parse_hex(&text(&of(&before, 2)["record_hash"])).unwrap();
    assert!(verify_inclusion(1, head.size, &leaf, &hashes, &head.root));

    let scratch = Scratch::new("retention-files");
    let key = text(&audit::manifest(&admin)["public_key"]);
    for (name, path) in [("export", "/audit/ledger/export"), ("evidence", "/audit/evidence/export")] {
        let bundle = admin.get(path).text();
        fs::write(scratch.join(name), &bundle).expect("writes");
        let (code, judged) = verdict(&scratch.join(name), &key);
        assert_eq!((code, &judged["status"]), (Some(0), &json!("verified")), "{name}: {judged}");
        assert_eq!((&judged["bodies_dropped"], &judged["bodies_unaccounted"]), (&json!(last), &json!(0)), "{judged}");
        // Another row without its body is a break, also where its hash is right.
        let line = bundle.lines().find(|line| line.contains("audit.retention.configured")).unwrap();
        let row: Value = serde_json::from_str(line).unwrap();
        let bare = json!({
            "seq": row["seq"], "event_type": row["event_type"], "created_at_ms": row["created_at_ms"],
            "tenant_context": { "org_id": "local", "workspace_id": "local" },
            "body_dropped": true, "record_hash": row["record_hash"],
        });
        fs::write(scratch.join("bare"), bundle.replace(line, &bare.to_string())).expect("writes");
        let (code, judged) = verdict(&scratch.join("bare"), &key);
        assert_eq!((code, &judged["first_bad_seq"]), (Some(1), &row["seq"]), "{name}: {judged}");
    }
    // Readers of the log go on: reports, the stream, a fresh check after a restart.
    admin.post("/incident-monitor/security/assessment-report", json!({})).ok();
    server.restart();
    let admin = server.client();
    assert_eq!(audit::manifest(&admin)["integrity"]["status"], json!("verified"));
    assert_eq!(swept(&admin, last)["bodies_dropped"], json!(last));

    // Whoever empties a row without the log telling of it is found out.
    let file = database(&server);
    drop(admin);
    server.terminate();
    let db = Connection::open(&file).unwrap();
    assert_eq!(
        db.execute("UPDATE audit_events SET canonical = '' WHERE seq = CAST(?1 AS INTEGER)", [(last + 1).to_string()])
            .unwrap(),
        1
    );
    drop(db);
    server.restart();
    let shown = audit::manifest(&server.client())["integrity"].clone();
    assert_eq!((&shown["status"], &shown["first_bad_seq"]), (&json!("tampered"), &json!(last + 1)), "{shown}");
}

#[test]
fn holds_and_exports_keep_bodies() {
    let (server, last) = aged("holds");
    let admin = server.client();
    let bad = |body: Value| admin.post("/audit/holds", body).refused(400, "VALIDATION_FAILED");
    assert_eq!(bad(json!({ "reason": " " }))["field"], json!("reason"));
    put(&admin, "/audit/retention", json!({ "body_days": 0 })).refused(400, "VALIDATION_FAILED");
    let hold = admin.post("/audit/holds", json!({ "reason": "case 7" })).ok()["hold"].clone();
    assert_eq!(admin.get("/audit/holds").ok()["holds"], json!([hold]));
    put(&admin, "/audit/retention", json!({ "body_days": 30 })).ok();
    assert_eq!(swept(&admin, last)["bodies_dropped"], json!(0));

    // Exports that come to nothing hold back everything that they have not taken.
    let export = |destination: Value| {
        put(&admin, "/audit/exports/config", json!({ "interval_ms": 1_000, "destination": destination })).ok();
    };
    export(json!({
        "kind": "s3", "endpoint": "https://s3.invalid", "bucket": "evidence",
        "access_key_ref": "env:TANDEM_EXPORT_NONE", "secret_key_ref": "env:TANDEM_EXPORT_NONE",
    }));
    until("the export failed", SOON, || {
        let rows = all(&admin, "/audit/exports", "exports");
        rows.iter().any(|row| row["status"] == "failed").then_some(())
    });
    admin.delete(&format!("/audit/holds/{}", text(&hold["hold_id"]))).ok();
    admin.delete(&format!("/audit/holds/{}", text(&hold["hold_id"]))).refused(404, "AUDIT_HOLD_NOT_FOUND");
    let early =
        poll(std::time::Duration::from_millis(1_500), || (setting(&admin)["bodies_dropped"] != json!(0)).then_some(()));
    assert!(early.is_none(), "bodies went that no export has taken");
    export(json!({ "kind": "directory" }));
    until("the rows were exported", SOON, || {
        let rows = all(&admin, "/audit/exports", "exports");
        rows.iter().any(|row| row["status"] == "exported" && row["last_seq"].as_u64() >= Some(last)).then_some(())
    });
    put(&admin, "/audit/retention", json!({ "body_days": 30 })).ok();
    assert_eq!(swept(&admin, last)["bodies_dropped"], json!(last));
    // Null keeps everything from now on; what is gone stays gone.
    assert_eq!(put(&admin, "/audit/retention", json!({ "body_days": null })).ok()["config"]["body_days"], json!(null));
    assert_eq!(audit::manifest(&admin)["integrity"]["status"], json!("verified"));
}
