//! Bodies of audit rows that are dropped: told, proved, held back, and told apart from what somebody took away.

use std::{fs, path::Path, process::Command};

use rusqlite::Connection;
use serde_json::{Value, json};
use tandem_core::audit::{
    checkpoint::Checkpoint,
    merkle::{Frontier, parse_hex},
    note::VerifierKey,
    proof::verify_inclusion,
};
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

const REPORT: &str = "/incident-monitor/security/assessment-report";

/// Makes what a kept report has stored look a hundred days old: its run and its artifact.
fn age_report(server: &mut Server) {
    let file = database(server);
    server.terminate();
    let db = Connection::open(&file).unwrap();
    let earlier = 100 * DAY_MS;
    let set = |names: &[&str]| {
        let each = names.iter().map(|name| format!(", '$.{name}', json_extract(body, '$.{name}') - {earlier}"));
        format!("json_set(body{})", each.collect::<String>())
    };
    let run = set(&["created_at_ms", "started_at_ms", "finished_at_ms", "updated_at_ms"]);
    let artifact = set(&["created_at_ms"]);
    for sql in [
        format!("UPDATE context_runs SET updated_at_ms = updated_at_ms - {earlier}, body = {run}"),
        format!("UPDATE evidence_artifacts SET created_at_ms = created_at_ms - {earlier}, body = {artifact}"),
    ] {
        assert!(db.execute(&sql, []).unwrap() > 0, "{sql}");
    }
    drop(db);
    server.restart();
}

/// Waits until the sweep has dropped so many artifacts.
#[track_caller]
fn artifacts_gone(client: &Client, count: u64) {
    until("the artifacts were dropped", SOON, || (setting(client)["artifacts_dropped"] == json!(count)).then_some(()));
}

#[test]
fn bodies_of_old_artifacts_go_and_their_digests_and_statements_stay() {
    let (mut server, admin) = configured("artifact-retention", json!({}));
    let first = admin.post(REPORT, json!({})).ok();
    admin.post("/incident-monitor/security/assessment-probes", json!({})).ok();
    drop(admin);
    age_report(&mut server);
    let admin = server.client();
    let young = admin.post(REPORT, json!({})).ok();
    let pack = |report: &Value, key: &str| text(&report["evidence_pack"][key]);
    let (run, artifact) = (pack(&first, "context_run_id"), pack(&first, "artifact_id"));
    let board = |run: &str| admin.get(&format!("/context/runs/{run}/blackboard")).ok()["blackboard"].clone();
    let before = board(&run)["artifacts"][0].clone();
    assert_eq!((&before["body_present"], &before["body_dropped_at_ms"]), (&json!(true), &json!(null)));

    put(&admin, "/audit/retention", json!({ "artifact_days": 0 })).refused(400, "VALIDATION_FAILED");
    let hold = admin.post("/audit/holds", json!({ "reason": "case 7" })).ok()["hold"].clone();
    put(&admin, "/audit/retention", json!({ "artifact_days": 30 })).ok();
    until("the sweep has looked", SOON, || (!setting(&admin)["artifacts_swept_to"].is_null()).then_some(()));
    assert_eq!(setting(&admin)["artifacts_dropped"], json!(0), "they are on hold");
    admin.delete(&format!("/audit/holds/{}", text(&hold["hold_id"]))).ok();
    artifacts_gone(&admin, 2);

    let after = board(&run)["artifacts"][0].clone();
    assert_eq!((&after["body_present"], &after["intact"]), (&json!(false), &json!(null)));
    assert!(after["body_dropped_at_ms"].is_u64(), "{after}");
    for key in ["content_sha256", "content_bytes", "attestation"] {
        assert!(!after[key].is_null());
        assert_eq!(after[key], before[key]);
    }
    for path in [format!("{REPORT}/{artifact}"), format!("/context/runs/{run}/artifacts/{artifact}")] {
        let refused = admin.get(&path).refused(404, "EVIDENCE_ARTIFACT_NOT_FOUND");
        assert_eq!(refused["content_sha256"], after["content_sha256"]);
        assert_eq!(refused["detail"], json!("retention dropped the body"));
    }
    admin.get(&format!("{REPORT}/{}", pack(&young, "artifact_id"))).ok();
    let told = audit::rows(&admin, "audit.retention.artifacts_dropped");
    let named: Vec<&Value> = told.iter().flat_map(|row| row["payload"]["artifacts"].as_array().unwrap()).collect();
    assert_eq!(named.len(), 2, "{told:?}");
    let is_it = |it: &&Value| it["artifact_id"] == json!(artifact) && it["content_sha256"] == after["content_sha256"];
    assert!(named.iter().any(is_it), "{told:?}");
    // Rows of the log were not asked to go.
    assert_eq!((setting(&admin)["bodies_dropped"].as_u64(), setting(&admin)["body_days"].as_u64()), (Some(0), None));

    let scratch = Scratch::new("artifact-retention-files");
    let bundle = admin.get("/audit/evidence/export").text();
    fs::write(scratch.join("evidence"), &bundle).expect("writes");
    let (code, judged) = verdict(&scratch.join("evidence"), &text(&audit::manifest(&admin)["public_key"]));
    assert_eq!((code, &judged["status"]), (Some(0), &json!("verified")), "{judged}");
    let package = admin.get(&format!("/context/runs/{run}/governance-evidence")).ok()["evidence_package"].clone();
    assert_eq!(package["artifacts"][0]["body_dropped_at_ms"], after["body_dropped_at_ms"]);
    assert_eq!(package["artifacts"][0]["content_sha256"], after["content_sha256"]);
}

/// Whether the rows of a range fold to the signed root at the places that they claim.
fn folds(range: &Value, size: u64, root: &[u8; 32]) -> bool {
    let hash = |value: &Value| parse_hex(&text(value)).expect("a hash");
    let list = |key: &str| range["range_proof"][key].as_array().unwrap().iter().map(hash).collect::<Vec<_>>();
    let (first, last) = (range["first_seq"].as_u64().unwrap() - 1, range["last_seq"].as_u64().unwrap());
    let mut tree = Frontier::default();
    let levels = (0..63_u8).rev().filter(|level| first >> level & 1 == 1);
    let mut fits = levels.zip(list("left")).all(|(level, hash)| tree.append_subtree(level, hash));
    fits &= tree.size() == first;
    for row in range["rows"].as_array().unwrap() {
        fits &= row["seq"] == json!(tree.size() + 1) && row["body_dropped"] == json!(true);
        tree.append(hash(&row["record_hash"]));
    }
    fits &= tree.size() == last;
    for hash in list("right") {
        let room = (0..63_u8).take_while(|level| tree.size() % (1 << level) == 0 && size - tree.size() >= 1 << level);
        fits &= tree.append_subtree(room.last().unwrap_or_default(), hash);
    }
    fits && tree.size() == size && tree.root() == *root
}

#[test]
fn a_package_tells_of_rows_that_say_nothing_any_more() {
    let (mut server, admin) = configured("package-retention", json!({}));
    let report = admin.post(REPORT, json!({})).ok();
    let run = text(&report["evidence_pack"]["context_run_id"]);
    let package = |client: &Client| {
        client.get(&format!("/context/runs/{run}/governance-evidence")).ok()["evidence_package"].clone()
    };
    let whole = package(&admin);
    assert_eq!(whole["audit"]["dropped_events"], json!(null));
    assert_eq!(whole["audit_completeness"]["status"], json!("complete"));
    let generated = whole["audit"]["protected_events"].as_array().unwrap().last().unwrap().clone();
    let last = audit::last_seq(&admin);
    drop(admin);
    age_report(&mut server);
    let file = database(&server);
    server.terminate();
    let db = Connection::open(&file).unwrap();
    db.execute(&format!("UPDATE audit_events SET created_at_ms = created_at_ms - {}", 100 * DAY_MS), []).unwrap();
    drop(db);
    server.restart();
    let admin = server.client();
    put(&admin, "/audit/retention", json!({ "body_days": 30 })).ok();
    swept(&admin, last);

    let package = package(&admin);
    let dropped = &package["audit"]["dropped_events"];
    assert_eq!(package["audit"]["protected_events"], json!([]), "{package}");
    assert_eq!(
        (&package["run"]["counts"]["dropped_events"], &dropped["truncated"]),
        (&dropped["count"], &json!(false))
    );
    let ranges = dropped["ranges"].as_array().unwrap();
    let rows: Vec<&Value> = ranges.iter().flat_map(|range| range["rows"].as_array().unwrap()).collect();
    assert_eq!(dropped["count"], json!(rows.len()));
    let row = rows.iter().find(|row| row["seq"] == generated["seq"]).expect("the row that named the run is listed");
    assert_eq!((&row["event_type"], &row["record_hash"]), (&generated["event_type"], &generated["record_hash"]));
    let key = VerifierKey::parse(&text(&dropped["public_key"])).unwrap();
    let head = Checkpoint::open(&text(&dropped["checkpoint"]), &[key]).unwrap();
    assert!(ranges.iter().all(|range| folds(range, head.size, &head.root)), "{dropped}");
    let mut other = ranges[0].clone();
    other["rows"][0]["record_hash"] = json!("0".repeat(64));
    assert!(!folds(&other, head.size, &head.root), "another digest does not fold");

    let judged = &package["audit_completeness"];
    assert_eq!(judged["status"], json!("complete_with_warnings"), "{judged}");
    assert_eq!(judged["findings"][0]["kind"], json!("bodies_dropped"));
    assert!(package["limitations"].to_string().contains("Retention has dropped the bodies"), "{package}");
}
