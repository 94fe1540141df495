//! Starting, refusing to start, and stopping.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    time::Duration,
};

use serde_json::json;
use tandem_testkit::{Client, bodies, until};

use crate::support::{KEY_HEADER, configured, database, draft, drafted, keyed, launch};

#[test]
fn the_token_is_generated_once_and_never_printed() {
    let launch = launch("token").own_token();
    let server = launch.start();
    let path = server.state_dir().join("api-token");
    let token = std::fs::read_to_string(&path).expect("the token is stored").trim().to_owned();
    assert!(token.len() >= 32, "{} characters are too few", token.len());
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&server.state_dir())), (0o600, 0o700));
    let output = server.output();
    assert!(output.contains(&path.display().to_string()), "{output}");
    assert!(!output.contains(&token));
    let client = server.stranger().bearer(&token);
    client.get("/incident-monitor/status").ok();
    for carrier in ["x-agent-token", "x-tandem-token"] {
        server.stranger().with(carrier, &token).get("/incident-monitor/status").ok();
    }

    drop(server);
    let again = launch.start();
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), token);
    again.stranger().bearer(&token).get("/incident-monitor/status").ok();
    assert!(!again.output().contains(&token));
}

#[test]
fn a_token_from_a_file_is_used_and_not_copied() {
    let launch = launch("token-file").own_token();
    let file = launch.scratch().join("token.txt");
    std::fs::write(&file, "from-the-file-1234567890\n").unwrap();
    let server = launch.env("TANDEM_API_TOKEN_FILE", &file.display().to_string()).start();
    server.stranger().bearer("from-the-file-1234567890").get("/incident-monitor/status").ok();
    assert!(!server.state_dir().join("api-token").exists());
}

/// A database that accepts connections and says nothing keeps the server in its starting phase.
#[test]
fn requests_before_the_store_is_open_are_told_to_come_back() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@{}/none", silent.local_addr().unwrap());
    let mut server = launch("starting").arg("--database-url").arg(&url).start_unready();
    let health = server.stranger().get("/global/health").refused(503, "ENGINE_STARTING");
    assert_eq!(health["retryable"], json!(true));
    server.client().get("/incident-monitor/status").refused(503, "ENGINE_STARTING");
    // The gate asks for the token first, so a stranger learns nothing.
    server.stranger().get("/incident-monitor/status").refused(401, "AUTH_REQUIRED");
    let (status, took) = server.terminate();
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
}

#[test]
fn health_says_ready_without_a_token() {
    let server = launch("health").start();
    let health = server.stranger().get("/global/health").ok();
    assert_eq!((&health["healthy"], &health["ready"]), (&json!(true), &json!(true)), "{health}");
    assert_eq!(server.stranger().must("HEAD", "/global/health", &[], None).status, 200);
    server.stranger().get("/openapi.json").ok();
}

#[test]
fn one_state_directory_has_one_server() {
    let launch = launch("second");
    let server = launch.start();
    let ended = launch.refused();
    assert!(ended.stderr.contains("another tandem"), "{ended:?}");
    server.client().get("/incident-monitor/status").ok();
}

#[test]
fn a_taken_port_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = launch("port").arg("--port").arg(&port).refused();
    assert!(ended.stderr.contains(&port), "{ended:?}");
}

#[test]
fn sigterm_answers_what_runs_and_ends_in_time_with_connections_open() {
    let (mut server, client) = configured("sigterm", json!({}));
    let id = drafted(&client, bodies::report("kept over a stop"));
    // Connections that keep quiet: one that never spoke, one in the middle of a head, two that wait for a next request.
    let silent = TcpStream::connect(server.address).unwrap();
    let mut halfway = TcpStream::connect(server.address).unwrap();
    halfway.write_all(b"POST /incident-monitor/report HTTP/1.1\r\nhost: x\r\ncontent-le").unwrap();
    let idle: Vec<Client> = (0..2).map(|_| server.client()).collect();
    for client in &idle {
        client.get("/incident-monitor/status").ok();
    }
    let (status, took) = server.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop((silent, halfway, idle));

    let again = server.launch().start();
    assert_eq!(draft(&again.client(), &id)["draft_id"], json!(id));
}

#[test]
fn an_open_stream_does_not_hold_the_stop() {
    let (mut server, client) = configured("sigterm-stream", json!({}));
    let mut stream = client.stream("/audit/stream?cursor=0").unwrap();
    assert!(stream.next_line().unwrap().is_some());
    let (status, took) = server.terminate();
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let (mut server, _) = configured("garbage", json!({}));
    let (launch, file) = (server.launch().clone(), database(&server));
    server.terminate();
    let garbage: Vec<u8> = (0..20_000_u32).map(|n| ((n * 7919) >> 3) as u8).collect();
    for (what, bytes) in [("noise", garbage), ("text", b"not a database at all\n".repeat(500).clone())] {
        for beside in ["db-wal", "db-shm"] {
            let _ = std::fs::remove_file(file.with_extension(beside));
        }
        std::fs::write(&file, &bytes).unwrap();
        let ended = launch.refused();
        assert!(!ended.stderr.is_empty(), "{what}: {ended:?}");
        assert!(std::fs::read(&file).unwrap() == bytes, "{what}: the file was changed");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let (mut server, _) = configured("newer", json!({}));
    let (launch, file) = (server.launch().clone(), database(&server));
    server.terminate();
    let db = rusqlite::Connection::open(&file).unwrap();
    let changed = db.execute("UPDATE schema_version SET version = 9999", []).unwrap();
    assert_eq!(changed, 1);
    drop(db);
    let ended = launch.refused();
    assert!(ended.stderr.contains("9999"), "{ended:?}");
}

#[test]
fn an_open_server_beyond_loopback_is_refused() {
    let ended =
        launch("unsafe-open").own_token().arg("--unsafe-no-api-token").arg("--hostname").arg("0.0.0.0").refused();
    assert!(ended.stderr.contains("loopback"), "{ended:?}");
    // With a token the same address is fine.
    launch("safe-open").arg("--hostname").arg("0.0.0.0").start();
}

#[test]
fn without_tokens_an_intake_key_opens_intake_alone() {
    let server = launch("unsafe").own_token().arg("--unsafe-no-api-token").start();
    let open = server.stranger();
    crate::support::configure(&open, json!({ "monitored_projects": [bodies::project("shop", "/srv/shop")] }));
    let (_, raw) = keyed(&open, json!({}));
    let report = json!({ "project_id": "shop", "report": bodies::report("by key") });
    server.stranger().bearer(&raw).post("/incident-monitor/intake/report", report.clone()).ok();
    let security = "INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED";
    for (path, code) in [
        ("/incident-monitor/status", security),
        ("/incident-monitor/drafts", security),
        ("/config/incident-monitor", security),
        ("/bug-monitor/security/authority-inventory", security),
        ("/incident-monitor/security/posture-checks", security),
        ("/context/runs/some-run/governance-evidence", security),
        ("/authority/agents", security),
        ("/incident-monitor/security/scenario-packs", "INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED"),
        ("/incident-monitor/security/reassessments", "INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED"),
        ("/audit/protected", "AUDIT_ADMIN_REQUIRED"),
        ("/audit/ledger/export", "AUDIT_ADMIN_REQUIRED"),
    ] {
        server.stranger().bearer(&raw).get(path).refused(401, "AUTH_REQUIRED");
        server.stranger().with(KEY_HEADER, &raw).get(path).refused(403, code);
        server.stranger().bearer("whatever").with(KEY_HEADER, &raw).get(path).refused(403, code);
    }
    for (area, code) in [
        ("assessment-probes", "INCIDENT_MONITOR_ASSESSMENT_PROBES_ADMIN_REQUIRED"),
        ("assessment-report", "INCIDENT_MONITOR_ASSESSMENT_REPORT_ADMIN_REQUIRED"),
        ("deployment-cards", "INCIDENT_MONITOR_DEPLOYMENT_CARDS_ADMIN_REQUIRED"),
        ("scenario-packs", "INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED"),
        ("governance-metrics", "INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED"),
        ("reassessments", "INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED"),
    ] {
        let path = format!("/incident-monitor/security/{area}");
        server.stranger().with(KEY_HEADER, &raw).post(&path, json!({})).refused(403, code);
    }
    // Clients that always send some bearer still get in, a web page that was merely visited does not.
    server.stranger().bearer("whatever").get("/incident-monitor/status").ok();
    let page = server.stranger().with("origin", "https://evil.example");
    page.get("/incident-monitor/status").refused(401, "AUTH_REQUIRED");
    page.with(KEY_HEADER, &raw).get("/incident-monitor/status").refused(401, "AUTH_REQUIRED");
}

#[test]
fn a_start_that_was_killed_leaves_a_startable_state() {
    let launch = launch("killed-start");
    for _ in 0..3 {
        let mut server = launch.start_unready();
        server.kill();
    }
    let server = launch.start();
    let health = until("health", Duration::from_secs(5), || Some(server.stranger().get("/global/health").ok()));
    assert_eq!(health["ready"], json!(true));
}
