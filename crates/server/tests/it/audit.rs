//! The audit log: a row for each change, proofs that hold, pages, a stream, exports that verify offline.

use serde_json::{Value, json};
use tandem_core::audit::{
    checkpoint::Checkpoint,
    integrity::Status,
    merkle,
    note::VerifierKey,
    proof::{ConsistencyProof, InclusionProof},
    verify::verify_bundle,
};
use tandem_testkit::{Client, audit, bodies};

use crate::support::{configured, drafted, launch, publish, text};

fn signed(answer: &Value) -> Checkpoint {
    let key = VerifierKey::parse(&text(&answer["public_key"])).expect("a verifier key");
    Checkpoint::open(&text(&answer["checkpoint"]), &[key]).expect("a signed checkpoint")
}

/// Some rows of several kinds.
fn busy(client: &Client, n: usize) {
    for turn in 0..n {
        let id = drafted(client, bodies::report_as(&format!("fp-audit-{turn}")));
        publish(client, &id, json!({})).ok();
    }
}

#[test]
fn a_fresh_log_is_empty_and_fine() {
    let server = launch("fresh-log").start();
    let client = server.client();
    let manifest = audit::manifest(&client);
    assert_eq!(
        (&manifest["record_count"], &manifest["last_seq"], &manifest["root_hash"]),
        (&json!(0), &json!(0), &Value::Null)
    );
    assert_eq!(manifest["integrity"]["status"], json!("empty"));
    let rows = client.get("/audit/protected").ok();
    assert_eq!(
        (&rows["events"], &rows["count"], &rows["integrity"]["status"]),
        (&json!([]), &json!(0), &json!("empty"))
    );
    assert_eq!(audit::export(&client).len(), 1);
}

#[test]
fn rows_are_numbered_without_gaps_and_say_who_and_why() {
    let (server, client) = configured("rows-log", json!({}));
    let author = server.client().with("x-tandem-actor-id", "ada").with("x-tandem-request-source", "control_panel");
    author.must("POST", "/incident-monitor/pause", &[("x-request-id", "because-of-this")], None).ok();
    client.ask("/incident-monitor/resume").ok();
    busy(&client, 4);
    let rows = client.get("/audit/protected?limit=1000").ok();
    assert_eq!(rows["integrity"]["status"], json!("verified"), "{}", rows["integrity"]);
    let rows = rows["events"].as_array().unwrap().clone();
    let numbers: Vec<u64> = rows.iter().map(|row| row["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=rows.len() as u64).collect::<Vec<_>>());
    for row in &rows {
        for field in ["event_id", "event_type", "durability", "created_at_ms", "tenant_context", "actor", "request_id"]
        {
            assert!(!row[field].is_null(), "{field} of {row}");
        }
    }
    let paused = rows.iter().find(|row| row["event_type"] == "incident_monitor.paused").unwrap();
    assert_eq!((&paused["actor"]["actor_id"], &paused["actor"]["kind"]), (&json!("ada"), &json!("human")), "{paused}");
    assert_eq!(paused["request_id"], json!("because-of-this"));
}

#[test]
fn pages_go_back_to_the_first_row_and_filters_hold() {
    let (_server, client) = configured("pages-log", json!({}));
    busy(&client, 10);
    let total = audit::last_seq(&client);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/audit/protected?limit=7{cursor}")).ok();
        let rows: Vec<u64> =
            page["events"].as_array().unwrap().iter().map(|row| row["seq"].as_u64().unwrap()).collect();
        assert!(rows.is_sorted() && rows.len() <= 7);
        seen.splice(0..0, rows);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (1..=total).collect::<Vec<_>>());
    let detected = audit::rows(&client, "incident_monitor.incident.detected");
    assert_eq!(detected.len(), 10);
    let id = text(&detected[3]["payload"]["draft_id"]);
    let named = client.get(&format!("/audit/protected?run_id=none,{id}")).ok();
    let named = named["events"].as_array().unwrap().clone();
    assert!(named.len() >= 3 && named.iter().all(|row| row["payload"].to_string().contains(&id)), "{named:?}");
    client.get("/audit/protected?cursor=zzz").refused(400, "VALIDATION_FAILED");
    client.get("/audit/protected?limit=x").refused(400, "VALIDATION_FAILED");
}

#[test]
fn every_proof_holds_under_the_signed_root() {
    let (mut server, client) = configured("proofs", json!({}));
    busy(&client, 3);
    let early = signed(&audit::manifest(&client));
    busy(&client, 40);
    let late = signed(&audit::manifest(&client));
    assert!(early.size > 3 && late.size > early.size + 40);
    let rows = client.get("/audit/protected?limit=1000").ok()["events"].as_array().unwrap().clone();
    for seq in [1, 2, early.size, early.size + 1, late.size - 1, late.size] {
        let answer = client.get(&format!("/audit/proof/inclusion?seq={seq}&tree_size={}", late.size)).ok();
        let proof: InclusionProof = serde_json::from_value(answer["proof"].clone()).unwrap();
        assert!(proof.verify(&late.root), "row {seq}");
        assert!(!proof.verify(&early.root), "row {seq} under another root");
        let row = &rows[usize::try_from(seq).unwrap() - 1];
        assert!(row.to_string().contains(&proof.leaf_hash), "the proof is for this very row: {row}");
    }
    let consistency = |client: &Client, from: u64, to: u64| -> ConsistencyProof {
        let answer = client.get(&format!("/audit/proof/consistency?from={from}&to={to}")).ok();
        assert_eq!(answer["integrity"]["status"], json!("verified"));
        serde_json::from_value(answer["proof"].clone()).unwrap()
    };
    let proof = consistency(&client, early.size, late.size);
    assert!(proof.verify(&early.root, &late.root));
    let mut wrong = early.root;
    wrong[0] ^= 1;
    assert!(!proof.verify(&wrong, &late.root));
    for query in [
        "inclusion?seq=0",
        "inclusion?seq=99999",
        "consistency?from=99999",
        "consistency?from=5&to=2",
        "inclusion",
        "inclusion?seq=x",
    ] {
        let reply = client.get(&format!("/audit/proof/{query}"));
        assert!((400..500).contains(&reply.status), "{query}: {}", reply.text());
        reply.enveloped();
    }
    // The same key signs after a crash, and the tree only grew.
    let key = audit::manifest(&client)["public_key"].clone();
    drop(client);
    server.restart();
    let client = server.client();
    busy(&client, 1);
    let manifest = audit::manifest(&client);
    assert_eq!(manifest["public_key"], key);
    let latest = signed(&manifest);
    assert!(consistency(&client, late.size, latest.size).verify(&late.root, &latest.root));
    let note = client.get("/audit/checkpoint");
    assert!(note.text().starts_with(&format!("{}\n", latest.origin)), "{}", note.text());
    assert_eq!(merkle::parse_hex(&text(&manifest["root_hash"])), Some(latest.root));
}

#[test]
fn an_export_verifies_offline_and_no_edited_one_does() {
    let (server, client) = configured("export", json!({}));
    busy(&client, 30);
    audit::assert_verified(&client);
    let key = text(&audit::manifest(&client)["public_key"]);
    let lines = audit::export(&client);
    let judged = |lines: &[String]| verify_bundle(lines, Some(&key), 1);
    assert_eq!(judged(&lines).status, Status::Verified);
    let (rows, trailer) = (lines.len() - 1, lines.len() - 1);
    let mut edits: Vec<(&str, Vec<String>, Option<u64>)> = Vec::new();
    let mut edited = lines.clone();
    edited[10] = edited[10].replacen("fp-audit", "fp-audiT", 1).replacen("paused", "pauseD", 1).replacen(
        "incident_monitor.",
        "incident_monitoR.",
        1,
    );
    edits.push(("an edited row", edited, Some(11)));
    let mut dropped = lines.clone();
    dropped.remove(5);
    edits.push(("a dropped row", dropped, Some(6)));
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    edits.push(("swapped rows", swapped, Some(4)));
    let mut cut = lines.clone();
    cut.remove(rows - 1);
    edits.push(("a cut tail", cut, Some(rows as u64)));
    let mut doubled = lines.clone();
    doubled.insert(7, lines[6].clone());
    edits.push(("a doubled row", doubled, None));
    let mut bare = lines.clone();
    bare.remove(trailer);
    edits.push(("no trailer", bare, None));
    for (what, lines, first) in edits {
        let report = judged(&lines);
        assert_eq!(report.status, Status::Tampered, "{what}: {report:?}");
        if first.is_some() {
            assert_eq!(report.first_bad_seq, first, "{what}: {report:?}");
        }
    }

    // The command line says the same.
    let bundle = server.launch().scratch().join("bundle.ndjson");
    let verify = |lines: &[String]| {
        std::fs::write(&bundle, lines.join("\n")).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.args(["audit", "verify"]).arg(&bundle).args(["--key", &key]).output().unwrap()
    };
    let good = verify(&lines);
    assert!(good.status.success(), "{good:?}");
    let mut bad = lines.clone();
    bad[2] = bad[2].replacen("created_at_ms\":1", "created_at_ms\":2", 1);
    assert_ne!(bad[2], lines[2]);
    let bad = verify(&bad);
    assert!(!bad.status.success(), "{bad:?}");
}

#[test]
fn an_export_of_a_time_is_proved_too() {
    let (_server, client) = configured("range", json!({}));
    busy(&client, 5);
    let rows = client.get("/audit/protected?limit=1000").ok()["events"].as_array().unwrap().clone();
    let since = rows[6]["created_at_ms"].as_u64().unwrap();
    let reply = client.get(&format!("/audit/ledger/export?since_ms={since}&until_ms={}", since + 10));
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let key = text(&audit::manifest(&client)["public_key"]);
    let text_of_it = reply.text();
    let report = verify_bundle(text_of_it.lines(), Some(&key), 1);
    assert_eq!(report.status, Status::Verified, "{report:?}");
    assert!(report.record_count >= 1 && !report.complete, "{report:?}");
}

#[test]
fn the_stream_begins_where_its_reader_stopped() {
    let (_server, client) = configured("stream", json!({}));
    busy(&client, 3);
    let total = audit::last_seq(&client);
    let mut stream = client.stream("/audit/stream?cursor=0").unwrap();
    let mut seen = 0;
    while seen < total {
        let line: Value = serde_json::from_str(&stream.next_line().unwrap().unwrap()).unwrap();
        seen += 1;
        assert_eq!(line["cursor"], json!(seen), "{line}");
        assert!(line["event_type"].is_string() && line["timestamp"].is_u64(), "{line}");
    }
    drop(stream);
    // What happens while nobody reads is there afterwards.
    client.ask("/incident-monitor/pause").ok();
    let mut again = client.stream(&format!("/audit/stream?cursor={total}")).unwrap();
    let line: Value = serde_json::from_str(&again.next_line().unwrap().unwrap()).unwrap();
    assert_eq!((&line["cursor"], &line["event_type"]), (&json!(total + 1), &json!("incident_monitor.paused")));
    client.ask("/incident-monitor/resume").ok();
    let line: Value = serde_json::from_str(&again.next_line().unwrap().unwrap()).unwrap();
    assert_eq!((&line["cursor"], &line["event_type"]), (&json!(total + 2), &json!("incident_monitor.resumed")));
}

#[test]
fn tenants_have_logs_of_their_own() {
    let (server, client) = configured("tenants-log", json!({}));
    let request = json!({ "name": "other", "tenant": { "org_id": "acme", "workspace_id": "prod" } });
    let token = text(&client.post("/auth/tokens", request).ok()["raw_token"]);
    let other = server.stranger().bearer(&token);
    assert_eq!(other.get("/incident-monitor/incidents").ok()["count"], json!(0));
    let own = bodies::config(json!({}));
    other.patch("/config/incident-monitor", json!({ "incident_monitor": own })).ok();
    let theirs = drafted(&other, bodies::report_as("fp-shared"));
    let ours = drafted(&client, bodies::report_as("fp-shared"));
    assert_ne!(theirs, ours);
    client.get(&format!("/incident-monitor/drafts/{theirs}")).refused(404, "INCIDENT_MONITOR_DRAFT_NOT_FOUND");
    other.get(&format!("/incident-monitor/drafts/{ours}")).refused(404, "INCIDENT_MONITOR_DRAFT_NOT_FOUND");
    for (who, tenant) in [(&other, "acme"), (&client, "local")] {
        let rows = who.get("/audit/protected?limit=1000").ok();
        let rows = rows["events"].as_array().unwrap();
        assert_eq!(rows[0]["seq"], json!(1));
        assert!(rows.iter().all(|row| row["tenant_context"]["org_id"] == tenant), "{tenant}");
        audit::assert_verified(who);
    }
    let read = client.get("/audit/protected?tenant=acme/prod").ok();
    assert!(read["count"].as_u64() >= Some(2), "{read}");
    other.get("/audit/protected?tenant=local/local").refused(403, "TENANT_CONTEXT_DENIED");
}
