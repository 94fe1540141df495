//! Evidence in somebody else's keeping: bundles that verify offline, exports that follow one another without gap, and
//! witnesses that see the log grow.

use std::{
    collections::HashMap,
    fs,
    io::{BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tandem_core::audit::{
    checkpoint::Checkpoint,
    merkle::Hash,
    note::VerifierKey,
    proof::verify_consistency,
    witness::{WitnessKey, WitnessSigner, read_request},
};
use tandem_testkit::{Client, Receiver, Scratch, Server, audit, bodies, now_ms, poll, until, wire};

use crate::support::{SOON, all, configured, drafted, launch, text};

/// What `tandem audit verify` says of a file: its exit code and its verdict.
fn verified(bundle: &Path, key: &str) -> (Option<i32>, Value) {
    verified_with(bundle, &["--key", key])
}

fn verified_with(bundle: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    let done = command.args(["audit", "verify", "--json"]).args(args).arg(bundle).output().expect("runs");
    (done.status.code(), serde_json::from_slice(&done.stdout).unwrap_or_default())
}

fn public_key(client: &Client) -> String {
    text(&audit::manifest(client)["public_key"])
}

fn digest(body: &[u8]) -> String {
    tandem_core::text::hex(&Sha256::digest(body))
}

#[test]
fn an_evidence_bundle_stands_by_itself() {
    let (_server, admin) = configured("evidence", json!({}));
    for n in 0..3 {
        drafted(&admin, bodies::report_as(&format!("fp-evidence-{n}")));
    }
    admin.must("PUT", "/authority/agents/planner", &[], Some(json!({}))).ok();
    let report = admin.post("/incident-monitor/security/assessment-report", json!({})).ok();
    let artifact = text(&report["evidence_pack"]["artifact_id"]);
    let scratch = Scratch::new("evidence-files");
    let reply = admin.get("/audit/evidence/export");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/x-ndjson")));
    let bundle = reply.text();
    let key = public_key(&admin);
    let judged = |name: &str, text: &str| {
        let file = scratch.join(name);
        fs::write(&file, text).expect("writes");
        verified(&file, &key)
    };
    let (code, verdict) = judged("good", &bundle);
    assert_eq!(
        (code, &verdict["status"], &verdict["evidence"]["verified"]),
        (Some(0), &json!("verified"), &json!(true)),
        "{verdict}"
    );
    assert_eq!(
        verdict["evidence"]["documents"],
        json!([
            "authority-inventory.json",
            "audit-exports.json",
            "audit-witnesses.json",
            "assessment-reports.json",
            format!("assessment-reports/{artifact}.dsse.json"),
            format!("assessment-reports/{artifact}.json"),
        ])
    );
    assert_eq!((&verdict["complete"], &verdict["key_trusted"]), (&json!(true), &json!(true)));

    let lines: Vec<&str> = bundle.lines().collect();
    let inventory: Value = serde_json::from_str(lines[1]).unwrap();
    let rest = |from: usize| lines[from..].join("\n") + "\n";
    let mut forged = inventory.clone();
    forged["content"] = json!("e30=");
    forged["sha256"] = json!(digest(b"{}"));
    forged["bytes"] = json!(2);
    // The report is the bytes that were kept, with the digest that its answer and the log name.
    let kept: Value = serde_json::from_str(lines[6]).unwrap();
    assert_eq!(kept["sha256"], report["evidence_pack"]["content_sha256"]);
    let documents = [
        ("document changed", format!("{}\n{forged}\n{}", lines[0], rest(2))),
        ("report left out", format!("{}\n{}", lines[..6].join("\n"), rest(7))),
        ("document left out", format!("{}\n{}", lines[0], rest(2))),
    ];
    for (what, text) in documents {
        let (code, verdict) = judged("bad", &text);
        assert_eq!((code, &verdict["evidence"]["verified"]), (Some(1), &json!(false)), "{what}: {verdict}");
    }
    // Without its manifest it is no evidence, and no export either.
    let (code, verdict) = judged("headless", &rest(1));
    assert_eq!((code, &verdict["status"]), (Some(1), &json!("tampered")), "{verdict}");
    // A row of the log: the documents are still as signed, and the bundle is not.
    let (code, verdict) = judged(
        "row",
        &bundle.replacen("\"durability\":\"durable_required\"", "\"durability\":\"durable_requirex\"", 1),
    );
    assert_eq!((code, &verdict["status"]), (Some(1), &json!("tampered")));
    let other = tandem_core::audit::note::NoteSigner::new("tandem.example", &[1; 32]).unwrap();
    let (code, _) = verified(&scratch.join("good"), &other.verifier_key().to_string());
    assert_eq!(code, Some(1));
    // The log's own export can be cut out of it.
    let (code, verdict) = judged("log", &rest(7));
    assert_eq!((code, verdict["evidence"].is_null()), (Some(0), true), "{verdict}");
}

fn configure(client: &Client, destination: Value) -> Value {
    let body = json!({ "interval_ms": 1_000, "destination": destination });
    client.must("PUT", "/audit/exports/config", &[], Some(body)).ok()["config"].clone()
}

fn receipts(client: &Client) -> Vec<Value> {
    let mut rows = all(client, "/audit/exports", "exports");
    rows.sort_by_key(|row| row["first_seq"].as_u64());
    rows
}

/// Waits until rows up to `seq` have been exported.
#[track_caller]
fn exported(client: &Client, seq: u64) -> Vec<Value> {
    let mut seen = Vec::new();
    let found = poll(SOON, || {
        seen = receipts(client);
        let done = |row: &Value| row["status"] == "exported" && row["last_seq"].as_u64() >= Some(seq);
        seen.iter().any(done).then(|| seen.clone())
    });
    found.unwrap_or_else(|| panic!("row {seq} was not exported: {seen:?}"))
}

fn objects(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { open.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    found
}

#[test]
fn exports_to_a_directory_follow_one_another_without_gap() {
    let (mut server, admin) = configured("exports", json!({}));
    assert_eq!(admin.get("/audit/exports/config").ok()["config"], json!(null));
    drafted(&admin, bodies::report_as("fp-export-0"));
    let unexported = || {
        let path = "/incident-monitor/security/posture-checks?rules=self_monitoring_without_export";
        admin.get(path).ok()["findings"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(unexported(), 1, "nothing has left yet");
    configure(&admin, json!({ "kind": "directory", "path": "daily/evidence" }));
    exported(&admin, 1);
    assert_eq!(unexported(), 0);
    let key = public_key(&admin);
    for round in 1..4 {
        // Another port after a restart.
        let admin = server.client();
        drafted(&admin, bodies::report_as(&format!("fp-export-{round}")));
        let seq = audit::last_seq(&admin);
        if round == 2 {
            server.restart();
        }
        exported(&server.client(), seq);
    }
    let admin = server.client();
    // Receipts alone are no reason for another export: nothing follows the last one.
    let count = receipts(&admin).len();
    let more = poll(Duration::from_millis(3_500), || (receipts(&admin).len() > count).then_some(()));
    assert!(more.is_none(), "an export followed by itself: {:?}", receipts(&admin));
    let rows = receipts(&admin);
    let root = server.state_dir().join("exports");
    let mut next = 1;
    for row in &rows {
        assert_eq!(row["status"], json!("exported"));
        assert_eq!(row["first_seq"], json!(next), "{rows:?}");
        next = row["last_seq"].as_u64().unwrap() + 1;
        let file = root.join(text(&row["location"]));
        let body = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!((json!(digest(&body)), json!(body.len())), (row["digest"].clone(), row["bytes"].clone()));
        let (code, verdict) = verified(&file, &key);
        assert_eq!(
            (code, &verdict["status"], &verdict["first_seq"]),
            (Some(0), &json!("verified"), &row["first_seq"]),
            "{verdict}"
        );
        assert!(text(&row["location"]).starts_with("daily/evidence/local/local/0000"));
    }
    // One object for each receipt, and no halves.
    assert_eq!(objects(&root).len(), rows.len());
    let told = audit::rows(&admin, "audit.export.completed");
    assert_eq!(told.len(), rows.len());
    assert!(audit::rows(&admin, "audit.export.configured")[0]["payload"]["path"] == "daily/evidence");
    audit::assert_verified(&admin);
}

#[test]
fn an_object_that_was_sent_but_not_receipted_is_sent_again_under_its_name() {
    let (mut server, admin) = configured("exports-again", json!({}));
    drafted(&admin, bodies::report_as("fp-again"));
    configure(&admin, json!({ "kind": "directory" }));
    let rows = exported(&admin, 2);
    let root = server.state_dir().join("exports");
    let before = objects(&root);
    // As if the process had died between the object and its receipt.
    let file = crate::support::database(&server);
    server.kill();
    let db = rusqlite::Connection::open(&file).unwrap();
    let planned =
        "UPDATE audit_exports SET body = json_set(body, '$.status', 'planned', '$.digest', NULL, '$.location', NULL)";
    assert_eq!(db.execute(planned, []).unwrap(), rows.len());
    db.execute("UPDATE jobs SET ready_at_ms = 0, lease = NULL WHERE kind = 'export'", []).unwrap();
    drop(db);
    server.restart();
    let admin = server.client();
    until("the plan was taken up", SOON, || {
        receipts(&admin).iter().all(|row| row["status"] == "exported").then_some(())
    });
    assert_eq!(receipts(&admin)[0]["location"], rows[0]["location"]);
    assert_eq!(objects(&root)[..before.len()], before[..]);
}

#[test]
fn exports_to_a_store_are_signed_retried_and_never_name_their_secrets() {
    let store = Receiver::new();
    const SECRET: &str = "sKcNrY7tQ2zKp9WvXs4LmB6hJd";
    let server =
        launch("exports-s3").env("TANDEM_EXPORT_ID", "AKIDEXAMPLE").env("TANDEM_EXPORT_SECRET", SECRET).start();
    let admin = server.client();
    drafted_row(&admin);
    let destination = |secret: &str| {
        json!({
            "kind": "s3", "endpoint": store.url(""), "bucket": "evidence", "region": "eu-test-1", "path": "tandem",
            "access_key_ref": "env:TANDEM_EXPORT_ID", "secret_key_ref": secret, "allow_private_networks": true,
        })
    };
    configure(&admin, destination("env:TANDEM_EXPORT_MISSING"));
    let failed = until("the missing secret is told", SOON, || {
        receipts(&admin).into_iter().find(|row| row["status"] == "failed" && row["attempts"].as_u64() >= Some(2))
    });
    assert_eq!(failed["error_code"], json!("secret_unavailable"), "{failed}");
    assert_eq!(audit::rows(&admin, "audit.export.failed").len(), 1, "a failure is told once");
    assert!(store.everything().is_empty());

    // The same place: the plan is taken up where it failed.
    configure(&admin, destination("env:TANDEM_EXPORT_SECRET"));
    let rows = exported(&admin, 1);
    assert_eq!(rows[0]["export_id"], failed["export_id"]);
    let put = store.everything().into_iter().next().expect("an object came");
    assert_eq!(rows[0]["location"], json!(format!("s3:/{}", put.path)));
    assert!(put.path.starts_with("/evidence/tandem/local/local/0000"), "{}", put.path);
    assert_eq!(put.header("x-amz-content-sha256"), digest(&put.body));
    assert_eq!(json!(digest(&put.body)), rows[0]["digest"]);
    let signed = put.header("authorization");
    assert!(
        signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") && signed.contains("/eu-test-1/s3/aws4_request"),
        "{signed}"
    );
    // The signature is what the published rules make of what came.
    let headers: Vec<(&str, &str)> =
        ["content-type", "host", "x-amz-content-sha256", "x-amz-date"].map(|name| (name, put.header(name))).to_vec();
    let request = tandem_core::custody::sigv4::Request {
        method: "PUT",
        path: &put.path,
        headers: &headers,
        payload: &digest(&put.body),
        region: "eu-test-1",
        time: put.header("x-amz-date"),
    };
    assert_eq!(signed, tandem_core::custody::sigv4::authorization(&request, "AKIDEXAMPLE", SECRET));
    let scratch = Scratch::new("exports-s3-object");
    fs::write(scratch.join("object"), &put.body).expect("writes");
    assert_eq!(verified(&scratch.join("object"), &public_key(&admin)).0, Some(0));
    for path in ["/audit/exports", "/audit/exports/config", "/audit/protected?limit=200"] {
        assert!(!admin.get(path).text().contains(SECRET), "{path}");
    }
    assert!(!server.output().contains(SECRET));
}

#[test]
fn a_store_is_asked_to_lock_what_it_keeps() {
    let store = Receiver::new();
    let server = launch("exports-lock").env("TANDEM_EXPORT_ID", "id").env("TANDEM_EXPORT_SECRET", "secret").start();
    let admin = server.client();
    drafted_row(&admin);
    let before = now_ms();
    let config = configure(
        &admin,
        json!({
            "kind": "s3", "endpoint": store.url(""), "bucket": "evidence", "allow_private_networks": true,
            "access_key_ref": "env:TANDEM_EXPORT_ID", "secret_key_ref": "env:TANDEM_EXPORT_SECRET",
            "object_lock": { "mode": "compliance", "retention_days": 30, "legal_hold": true },
        }),
    );
    assert_eq!(
        config["destination"]["object_lock"],
        json!({ "mode": "compliance", "retention_days": 30, "legal_hold": true })
    );
    let row = exported(&admin, 1)[0].clone();
    let lock = &row["object_lock"];
    assert_eq!((&lock["mode"], &lock["legal_hold"]), (&json!("compliance"), &json!(true)), "{row}");
    let until_ms = lock["retain_until_ms"].as_u64().unwrap();
    assert!((before..=now_ms()).contains(&(until_ms - 30 * 86_400_000)), "{until_ms}");
    let put = store.everything().into_iter().next().expect("an object came");
    let of = |name: &str| put.header(name).to_owned();
    assert_eq!((of("x-amz-object-lock-mode"), of("x-amz-object-lock-legal-hold")), ("COMPLIANCE".into(), "ON".into()));
    let shown = tandem_core::custody::sigv4::long_time(until_ms);
    assert_eq!(of("x-amz-object-lock-retain-until-date"), shown);
    assert_eq!(of("x-amz-checksum-sha256"), tandem_core::custody::sigv4::checksum(&digest(&put.body)).unwrap());
    // They are part of what is signed, so nothing on the way takes them off.
    let signed = of("authorization");
    for name in ["x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold"] {
        assert!(signed.contains(name), "{name}: {signed}");
    }
    assert_eq!(audit::rows(&admin, "audit.export.completed")[0]["payload"]["object_lock"], *lock);
}

fn drafted_row(admin: &Client) {
    admin.must("PUT", "/authority/agents/any", &[], Some(json!({}))).ok();
}

#[test]
fn a_private_store_needs_the_setting_and_its_refusals_are_told() {
    let store = Receiver::new();
    let server = launch("exports-refused").env("TANDEM_EXPORT_ID", "id").env("TANDEM_EXPORT_SECRET", "x").start();
    let admin = server.client();
    drafted_row(&admin);
    let put = |body: Value| admin.must("PUT", "/audit/exports/config", &[], Some(body));
    let target = |over: Value| {
        let base = json!({ "kind": "s3", "endpoint": store.url(""), "bucket": "evidence",
            "access_key_ref": "env:TANDEM_EXPORT_ID", "secret_key_ref": "env:TANDEM_EXPORT_SECRET" });
        json!({ "interval_ms": 1_000, "destination": bodies::merged(base, over) })
    };
    for (field, over) in [
        ("destination.endpoint", json!({})),
        (
            "destination.access_key_ref",
            json!({ "allow_private_networks": true, "access_key_ref": "env:TANDEM_API_TOKEN" }),
        ),
        ("destination.path", json!({ "allow_private_networks": true, "path": "../up" })),
    ] {
        let refusal = put(target(over)).refused(400, "AUDIT_EXPORT_CONFIG_INVALID");
        assert_eq!(refusal["field"], json!(field), "{refusal}");
    }
    put(json!({ "interval_ms": 5, "destination": { "kind": "directory" } }))
        .refused(400, "AUDIT_EXPORT_CONFIG_INVALID");
    put(json!({ "destination": { "kind": "ftp" } })).refused(422, "VALIDATION_FAILED");
    let agent = server.client().with("x-tandem-agent-id", "bot");
    agent.must("PUT", "/audit/exports/config", &[], Some(target(json!({})))).refused(403, "HUMAN_ACTOR_REQUIRED");
    // Over TLS, but on this machine: the address is refused when it is dialled.
    let port = store.address.port();
    put(target(json!({ "endpoint": format!("https://127.0.0.1:{port}") }))).ok();
    until("the address is refused", SOON, || {
        receipts(&admin).into_iter().find(|row| row["error_code"].as_str().is_some_and(|code| code.contains("address")))
    });
    assert!(store.everything().is_empty());
}

/// A witness as the protocol describes it: it remembers what it signed, and signs nothing that does not follow from it.
struct StubWitness {
    address: SocketAddr,
    key: WitnessKey,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    log: Option<VerifierKey>,
    /// Size and root by origin.
    heads: HashMap<String, (u64, Hash)>,
    signed: u64,
    refused: Vec<u16>,
}

impl StubWitness {
    fn start() -> Self {
        let signer = WitnessSigner::new("witness.test/w1", &[8; 32]).expect("a signer");
        let key = signer.key().clone();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(stream, &shared, &signer);
            }
        });
        Self { address, key, seen }
    }

    fn argument(&self) -> String {
        format!("{},http://{}/log", self.key, self.address)
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Seen>, signer: &WitnessSigner) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    while let Some((first, headers)) = wire::head(&mut reader)? {
        let body = wire::body(&mut reader, &headers, false)?;
        let (status, answer) = match first.starts_with("POST /log/add-checkpoint ") {
            true => answer(&String::from_utf8_lossy(&body), &mut seen.lock().expect("not poisoned"), signer),
            false => (404, String::new()),
        };
        write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{answer}", answer.len())?;
    }
    Ok(())
}

fn answer(body: &str, seen: &mut Seen, signer: &WitnessSigner) -> (u16, String) {
    let (status, answer) = judged(body, seen, signer);
    if status == 200 {
        seen.signed += 1
    } else {
        seen.refused.push(status)
    }
    (status, answer)
}

fn judged(body: &str, seen: &mut Seen, signer: &WitnessSigner) -> (u16, String) {
    let Some((old, proof, note)) = read_request(body) else { return (400, String::new()) };
    let Some(key) = seen.log.clone() else { return (404, String::new()) };
    let Ok(head) = Checkpoint::open(note, &[key]) else { return (403, String::new()) };
    let known = seen.heads.get(&head.origin).copied().unwrap_or((0, tandem_core::audit::merkle::root(&[])));
    if old > head.size {
        return (400, String::new());
    }
    if old != known.0 {
        return (409, format!("{}\n", known.0));
    }
    let follows = match old {
        0 => proof.is_empty(),
        _ => verify_consistency(old, head.size, &proof, &known.1, &head.root),
    };
    if !follows {
        return (422, String::new());
    }
    let text = &note[..note.rfind("\n\n").expect("a note") + 1];
    seen.heads.insert(head.origin, (head.size, head.root));
    (200, signer.cosign(text, now_ms() / 1_000))
}

fn witnessed(client: &Client) -> Value {
    audit::manifest(client)["witnesses"][0].clone()
}

/// Waits until the witness has signed the newest checkpoint.
#[track_caller]
fn current(client: &Client) -> Value {
    let mut last = Value::Null;
    let found = poll(SOON, || {
        last = witnessed(client);
        (last["current"] == true).then(|| last.clone())
    });
    found.unwrap_or_else(|| panic!("the witness is not current: {last}"))
}

#[test]
fn a_witness_signs_what_only_grew() {
    let witness = StubWitness::start();
    let start = || launch("witness").arg("--witness").arg(&witness.argument()).arg("--witness-interval-ms").arg("200");
    let launched = start();
    let mut server: Server = launched.start();
    let admin = server.client();
    drafted_row(&admin);
    // It does not know this log yet.
    until("the refusal is told", SOON, || (witnessed(&admin)["error"] == "http_404").then_some(()));
    assert_eq!(witnessed(&admin)["current"], json!(false));
    let key = VerifierKey::parse(&public_key(&admin)).expect("a key");
    witness.seen.lock().unwrap().log = Some(key.clone());
    let first = current(&admin);
    for n in 0..5 {
        admin.must("PUT", &format!("/authority/agents/a-{n}"), &[], Some(json!({}))).ok();
    }
    let grown = current(&admin);
    assert!(grown["tree_size"].as_u64() > first["tree_size"].as_u64(), "{grown}");
    let note = text(&grown["checkpoint"]);
    let signed_s = witness.key.opens(&note).expect("the witness's signature fits");
    assert_eq!(grown["signed_at_ms"], json!(signed_s * 1_000));
    assert_eq!(Checkpoint::open(&note, &[key]).expect("so does the log's").size, grown["tree_size"].as_u64().unwrap());
    assert_eq!(grown["witness"], json!(witness.key.to_string()));

    // Offline: with the witness's key, without any, and with that of somebody who has signed nothing.
    let scratch = Scratch::new("witness-bundle");
    let (bundle, log_key) = (scratch.join("bundle"), public_key(&admin));
    fs::write(&bundle, admin.get("/audit/evidence/export").text()).expect("writes");
    let stranger = WitnessSigner::new("witness.test/other", &[9; 32]).unwrap().key().to_string();
    for (witnesses, status, code) in [
        (vec![witness.key.to_string()], "verified", 0),
        (vec![], "unknown", 0),
        (vec![stranger.clone()], "unknown", 1),
        (vec![stranger, witness.key.to_string()], "verified", 0),
    ] {
        let mut args = vec!["--key", log_key.as_str()];
        args.extend(witnesses.iter().flat_map(|key| ["--witness", key.as_str()]));
        let (exit, verdict) = verified_with(&bundle, &args);
        let told = &verdict["cosignatures"][0];
        assert_eq!((exit, &told["status"]), (Some(code), &json!(status)), "{verdict}");
        assert_eq!((&told["rows_agree"], &told["witness"]), (&json!(true), &json!("witness.test/w1")), "{verdict}");
    }
    let (exit, _) = verified_with(&bundle, &["--witness", "nonsense"]);
    assert_eq!(exit, Some(2));

    // A server that forgot how far the witness is learns it, and leads on from there.
    let file = crate::support::database(&server);
    server.kill();
    let db = rusqlite::Connection::open(&file).unwrap();
    assert_eq!(db.execute("DELETE FROM checkpoint_cosignatures", []).unwrap(), 1);
    drop(db);
    server.restart();
    let admin = server.client();
    drafted_row(&admin);
    admin.must("PUT", "/authority/agents/after", &[], Some(json!({}))).ok();
    current(&admin);
    assert!(witness.seen.lock().unwrap().refused.contains(&409));

    // A witness that has seen more than there is: the log was set back, and the manifest says so.
    for head in witness.seen.lock().unwrap().heads.values_mut() {
        head.0 += 1_000;
    }
    admin.must("PUT", "/authority/agents/set-back", &[], Some(json!({}))).ok();
    until("the set back log is told", SOON, || {
        witnessed(&admin)["error"].as_str().is_some_and(|error| error.starts_with("ahead_at_")).then_some(())
    });
    assert_eq!(witnessed(&admin)["current"], json!(false));
}

#[test]
fn a_witness_without_its_key_stops_the_start() {
    let refused = launch("witness-bad").arg("--witness").arg("nonsense,https://w.example").refused();
    assert!(refused.stderr.contains("--witness"), "{}", refused.stderr);
}
