//! Log sources as operators meet them: real files that grow, rotate, vanish and come back, a server that is killed while
//! it reads them, and what status, metrics and the actions say. Every error line is counted exactly once.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use tandem_testkit::{Client, Launch, Scratch, Seed, Server, audit, bodies, until};

use crate::{
    concurrency::Database,
    support::{SOON, all, configure, launch, settled, text, triaged},
};

/// A workspace with log files.
struct Workspace(Scratch);

impl Workspace {
    fn new(name: &str) -> Self {
        Self(Scratch::new(name))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().canonicalize().expect("it is there").join(file)
    }

    fn append(&self, file: &str, bytes: impl AsRef<[u8]>) {
        let mut open = OpenOptions::new().create(true).append(true).open(self.path(file)).expect("it opens");
        open.write_all(bytes.as_ref()).expect("it is written");
    }

    fn config(&self, sources: Value) -> Value {
        json!({ "monitored_projects": [bodies::merged(
            bodies::project("shop", &self.path("").display().to_string()),
            json!({ "log_sources": sources, "auto_create_new_issues": false }),
        )] })
    }
}

fn source(id: &str, more: Value) -> Value {
    let base = json!({
        "source_id": id, "path": format!("{id}.log"), "start_position": "beginning", "watch_interval_seconds": 1,
    });
    bodies::merged(base, more)
}

fn started(launch: &Launch, workspace: &Workspace, sources: Value) -> (Server, Client) {
    let server = launch.start();
    let client = server.client();
    configure(&client, workspace.config(sources));
    (server, client)
}

fn error(kind: &str, n: u64) -> String {
    json!({ "level": "error", "msg": format!("{kind} failed for request {n}"), "n": n }).to_string() + "\n"
}

/// How often each kind of failure was counted.
#[track_caller]
fn counts(client: &Client) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for row in all(client, "/incident-monitor/incidents", "incidents") {
        let title = text(&row["title"]);
        let kind = title.trim_start_matches("shop reported ").split(" failed").next().unwrap_or_default().to_owned();
        *found.entry(kind).or_default() += row["occurrence_count"].as_u64().expect("a count");
    }
    found
}

fn total(client: &Client) -> u64 {
    counts(client).values().sum()
}

#[track_caller]
fn counted(client: &Client, expected: u64) {
    until(&format!("{expected} failures are counted, not {}", total(client)), SOON * 2, || {
        (total(client) >= expected).then_some(())
    });
    assert_eq!(total(client), expected, "{:?}", counts(client));
}

#[track_caller]
fn row(client: &Client, id: &str) -> Value {
    let status = client.get("/incident-monitor/status").ok();
    let rows = status["status"]["log_watcher"]["sources"].as_array().cloned().unwrap_or_default();
    rows.into_iter().find(|row| row["source_id"] == id).unwrap_or_else(|| panic!("no row of {id}: {status}"))
}

#[track_caller]
fn ill(client: &Client, id: &str, code: &str) {
    until(&format!("{id} is {code}"), SOON, || {
        let row = row(client, id);
        (row["healthy"] == false && row["last_error_code"] == code).then_some(())
    });
}

#[track_caller]
fn well(client: &Client, id: &str) {
    until(&format!("{id} is well: {}", row(client, id)), SOON, || {
        let row = row(client, id);
        (row["healthy"] == true && row["last_poll_at_ms"].is_u64()).then_some(())
    });
}

#[test]
fn a_growing_file_becomes_incidents_that_know_their_lines() {
    let workspace = Workspace::new("logs-grow");
    workspace.append("app.log", error("disk", 1));
    let sources = json!([source("app", json!({ "start_position": "end" }))]);
    let (_server, client) = started(&launch("logs-grow"), &workspace, sources);
    well(&client, "app");
    assert_eq!(total(&client), 0, "what was there before is not news");
    workspace.append("app.log", "INFO begin\n");
    workspace.append("app.log", error("disk", 2));
    workspace.append("app.log", error("disk", 3));
    counted(&client, 2);
    // A stack that comes in pieces is one failure.
    workspace.append("app.log", "Traceback (most recent call last):\n  File \"pay.py\", line 7, in charge\n");
    workspace.append("app.log", "    raise Declined(card)\npay.Declined: password=hunter2-secret rejected\n");
    workspace.append("app.log", "INFO end\n");
    counted(&client, 3);

    let rows = all(&client, "/incident-monitor/incidents?project_id=shop", "incidents");
    assert!(!json!(rows).to_string().contains("hunter2"), "{rows:?}");
    let disk = rows.iter().find(|row| text(&row["title"]).contains("disk")).expect("the disk's incident");
    assert_eq!((&disk["log_source_id"], &disk["source"]), (&json!("app"), &json!("incident_monitor.log.app")));
    assert_eq!((&disk["event_type"], &disk["confidence"]), (&json!("log.error"), &json!("high")));
    let payload = &disk["event_payload"];
    let (start, end) = (payload["offset_start"].as_u64().unwrap(), payload["offset_end"].as_u64().unwrap());
    let bytes = fs::read(workspace.path("app.log")).unwrap();
    let lines = String::from_utf8_lossy(&bytes[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()]);
    assert_eq!(lines, error("disk", 3), "the payload names the latest lines");
    let artifact = text(&payload["evidence_artifact"]);
    let name = artifact.rsplit('/').next().unwrap();
    let evidence = client.get(&format!("/incident-monitor/log-sources/shop/app/evidence/{name}")).ok();
    assert_eq!(evidence["evidence"]["fingerprint"], disk["fingerprint"]);
    assert_eq!(evidence["evidence"]["parser_format"], json!("json"));
    client
        .get("/incident-monitor/log-sources/shop/app/evidence/none")
        .refused(404, "INCIDENT_MONITOR_LOG_EVIDENCE_NOT_FOUND");

    let row = row(&client, "app");
    assert_eq!(
        (&row["lag_bytes"], &row["total_submitted"], &row["total_candidates"]),
        (&json!(0), &json!(3), &json!(3))
    );
    assert_eq!(row["offset"], json!(bytes.len()));
    let watcher = client.get("/incident-monitor/status").ok()["status"]["log_watcher"].clone();
    assert_eq!(
        (&watcher["running"], &watcher["enabled_projects"], &watcher["enabled_sources"]),
        (&json!(true), &json!(1), &json!(1))
    );
    let metrics = client.get("/metrics").text();
    let labels = "{project=\"shop\",source=\"app\"}";
    for line in [
        format!("tandem_log_source_failures_total{labels} 3"),
        format!("tandem_log_source_lag_bytes{labels} 0"),
        format!("tandem_log_source_healthy{labels} 1"),
        format!("tandem_log_source_gaps_total{labels} 0"),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    audit::assert_verified(&client);
}

#[test]
fn rotation_truncation_and_recreation_lose_and_double_nothing() {
    let workspace = Workspace::new("logs-rotate");
    let (_server, client) = started(&launch("logs-rotate"), &workspace, json!([source("app", json!({}))]));
    let mut written = 0;
    let mut write = |n: u64| {
        for _ in 0..n {
            written += 1;
            workspace.append("app.log", error("disk", written));
        }
        written
    };
    counted(&client, write(5));
    // Renamed with unread lines; the old file is still written to for a moment.
    let mut old = OpenOptions::new().append(true).open(workspace.path("app.log")).unwrap();
    fs::rename(workspace.path("app.log"), workspace.path("app.log.1")).unwrap();
    old.write_all(error("disk", 900).as_bytes()).unwrap();
    let so_far = write(4) + 1;
    counted(&client, so_far);
    // Copied and truncated, when everything was read.
    fs::copy(workspace.path("app.log"), workspace.path("app.log.2")).unwrap();
    File::options().write(true).open(workspace.path("app.log")).unwrap().set_len(0).unwrap();
    let so_far = write(3) + 1;
    counted(&client, so_far);
    // Deleted and made anew.
    fs::remove_file(workspace.path("app.log")).unwrap();
    let so_far = write(3) + 1;
    counted(&client, so_far);
    assert_eq!(row(&client, "app")["gap_count"], json!(0));
}

/// Appends until told to stop; the answer is how many failures of each kind it wrote.
fn scribble(workspace: &Workspace, seed: u64, rotate: bool, stop: &AtomicBool) -> BTreeMap<String, u64> {
    let mut seed = Seed::new(seed);
    let mut written = BTreeMap::new();
    let mut n = 0;
    while !stop.load(Ordering::SeqCst) {
        n += 1;
        let kind = ["disk", "queue", "mail"][usize::try_from(seed.between(0, 3)).unwrap()];
        let line = if seed.between(0, 3) == 0 {
            *written.entry(kind.to_owned()).or_default() += 1;
            error(kind, n)
        } else {
            format!("{{\"level\":\"info\",\"msg\":\"all is well {n}\"}}\n")
        };
        // In two pieces, so that a read may end anywhere.
        let (a, b) = line.as_bytes().split_at(usize::try_from(seed.between(0, line.len() as u64)).unwrap());
        workspace.append("app.log", a);
        workspace.append("app.log", b);
        if rotate && seed.between(0, 400) == 0 {
            fs::rename(workspace.path("app.log"), workspace.path(&format!("app.log.{n}"))).unwrap();
        }
        std::thread::sleep(Duration::from_micros(seed.between(0, 2_000)));
    }
    written
}

#[test]
fn a_server_killed_while_it_reads_counts_every_line_once() {
    let mut seed = Seed::from_env("IT_LOG_KILL_SEED");
    let workspace = Workspace::new("logs-kill");
    let (mut server, _) = started(&launch("logs-kill"), &workspace, json!([source("app", json!({}))]));
    let stop = AtomicBool::new(false);
    let scribe_seed = seed.next_u64();
    let written = std::thread::scope(|scope| {
        let scribe = scope.spawn(|| scribble(&workspace, scribe_seed, true, &stop));
        for _ in 0..22 {
            std::thread::sleep(Duration::from_millis(seed.between(20, 400)));
            server.restart();
        }
        stop.store(true, Ordering::SeqCst);
        scribe.join().expect("the scribe ends")
    });
    let client = server.client();
    counted(&client, written.values().sum());
    assert_eq!(counts(&client), written);
    assert_eq!(row(&client, "app")["gap_count"], json!(0));
    audit::assert_verified(&client);
}

#[test]
fn of_two_engines_on_one_postgres_exactly_one_reads_and_the_other_takes_over() {
    let Some(database) = Database::new() else {
        println!("skipped: TANDEM_TEST_POSTGRES_URL names no server");
        return;
    };
    let workspace = Workspace::new("logs-pg");
    let url = database.url();
    let engine = |name: &str| launch(name).arg("--database-url").arg(&url);
    let (mut one, first) = started(&engine("logs-pg-1"), &workspace, json!([source("app", json!({}))]));
    let mut two = engine("logs-pg-2").start();
    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let scribe = scope.spawn(|| scribble(&workspace, 7, false, &stop));
        std::thread::sleep(Duration::from_millis(1_500));
        // Whichever reads: both die once, and both come back.
        one.restart();
        std::thread::sleep(Duration::from_millis(500));
        two.restart();
        std::thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::SeqCst);
        scribe.join().expect("the scribe ends")
    });
    drop(first);
    let client = two.client();
    counted(&client, written.values().sum());
    assert_eq!(counts(&client), written);
    // A reset through one engine is obeyed by whichever reads.
    let again: u64 = written.values().sum();
    let last = fs::read_to_string(workspace.path("app.log")).unwrap().matches("\"error\"").count() as u64;
    one.client().ask("/incident-monitor/log-sources/shop/app/reset-offset").ok();
    counted(&client, again + last);
}

#[test]
fn what_is_missing_or_no_file_is_shown_and_heals_beside_sources_that_are_read() {
    let workspace = Workspace::new("logs-ill");
    let outside = Scratch::new("logs-outside");
    fs::write(outside.join("secret.log"), error("outside", 1)).unwrap();
    fs::create_dir(workspace.path("directory.log")).unwrap();
    std::os::unix::fs::symlink(outside.join("secret.log"), workspace.path("way-out.log")).unwrap();
    workspace.append("good.log", error("good", 1));
    let sources = json!([
        source("good", json!({})),
        source("gone", json!({})),
        source("directory", json!({})),
        source("link", json!({})),
    ]);
    let (_server, client) = started(&launch("logs-ill"), &workspace, sources);
    // A link that leads out is refused when it is configured, and not followed when it is made later.
    let escape = bodies::config(workspace.config(json!([source("way-out", json!({}))])));
    let refused = client.patch("/config/incident-monitor", json!({ "incident_monitor": escape }));
    refused.refused(400, "INCIDENT_MONITOR_CONFIG_INVALID");
    fs::rename(workspace.path("way-out.log"), workspace.path("link.log")).unwrap();
    counted(&client, 1);
    well(&client, "good");
    ill(&client, "gone", "not_found");
    ill(&client, "directory", "not_a_file");
    ill(&client, "link", "outside_root");
    client
        .ask("/incident-monitor/log-sources/shop/link/reset-offset")
        .refused(400, "INCIDENT_MONITOR_LOG_SOURCE_RESET_FAILED");
    let status = client.get("/incident-monitor/status").ok();
    assert!(status["status"]["log_watcher"]["last_error"].is_string());
    let findings = status["status"]["source_readiness"].to_string();
    assert!(findings.contains("source_runtime_unhealthy"), "{findings}");
    let metrics = client.get("/metrics").text();
    assert!(
        metrics.contains("tandem_log_source_error{project=\"shop\",source=\"gone\",code=\"not_found\"} 1"),
        "{metrics}"
    );
    let aged =
        |id: &str| metrics.contains(&format!("tandem_log_source_data_age_seconds{{project=\"shop\",source=\"{id}\"}}"));
    assert!(aged("good") && !aged("gone"), "{metrics}");
    fs::remove_dir(workspace.path("directory.log")).unwrap();
    fs::remove_file(workspace.path("link.log")).unwrap();
    for id in ["gone", "directory", "link"] {
        workspace.append(&format!("{id}.log"), error(id, 1));
        well(&client, id);
    }
    counted(&client, 4);
    let metrics = client.get("/metrics").text();
    assert!(!metrics.contains("tandem_log_source_error{"), "{metrics}");
    let kinds: Vec<String> = counts(&client).into_keys().collect();
    assert_eq!(kinds, ["directory", "gone", "good", "link"]);
}

#[test]
fn a_noisy_source_does_not_delay_a_quiet_one() {
    let workspace = Workspace::new("logs-noise");
    let noise: String = (0..20_000).map(|n| error("noise", n)).collect();
    workspace.append("noisy.log", &noise);
    workspace.append("quiet.log", "INFO nothing yet\n");
    let sources = json!([source("noisy", json!({ "max_candidates_per_poll": 20 })), source("quiet", json!({}))]);
    let (_server, client) = started(&launch("logs-noise"), &workspace, sources);
    until("the noise has begun", SOON, || (total(&client) > 0).then_some(()));
    workspace.append("quiet.log", error("quiet", 1));
    until("the quiet one is heard", SOON, || counts(&client).contains_key("quiet").then_some(()));
    let row = row(&client, "noisy");
    assert!(row["lag_bytes"].as_u64().unwrap() > 0, "the noise is still being read: {row}");
    until("all of the noise is counted", SOON * 4, || (total(&client) >= 20_001).then_some(()));
    assert_eq!(counts(&client), BTreeMap::from([("noise".to_owned(), 20_000), ("quiet".to_owned(), 1)]));
}

#[test]
fn reset_and_replay_do_as_told_and_say_when_they_cannot() {
    let workspace = Workspace::new("logs-reset");
    workspace.append("app.log", error("disk", 1));
    let sources =
        json!([source("app", json!({ "start_position": "end" })), source("off", json!({ "enabled": false }))]);
    let (_server, client) = started(&launch("logs-reset"), &workspace, sources);
    well(&client, "app");
    let act = |source: &str, action: &str| client.ask(&format!("/incident-monitor/log-sources/shop/{source}/{action}"));
    for action in ["reset-offset", "replay-latest"] {
        act("nobody", action).refused(404, "INCIDENT_MONITOR_LOG_SOURCE_NOT_FOUND");
        client
            .ask(&format!("/incident-monitor/log-sources/none/app/{action}"))
            .refused(404, "INCIDENT_MONITOR_LOG_SOURCE_NOT_FOUND");
    }
    act("app", "replay-latest").refused(404, "INCIDENT_MONITOR_LOG_SOURCE_REPLAY_NOT_FOUND");
    let reset = act("app", "reset-offset").ok();
    assert_eq!((&reset["project_id"], &reset["source_id"]), (&json!("shop"), &json!("app")));
    assert_eq!(reset["state"]["offset"], json!(0));
    counted(&client, 1);
    let replayed = client.ask("/bug-monitor/log-sources/shop/app/replay-latest").ok();
    assert_eq!(replayed["incident"]["occurrence_count"], json!(1), "as it was before");
    assert!(replayed["draft"]["draft_id"].is_string());
    counted(&client, 2);
    // One that is not read can be reset all the same, and is not read by that.
    act("off", "reset-offset").ok();
    // The lines are gone.
    fs::write(workspace.path("app.log"), "INFO something else entirely, and long enough to hide the place\n").unwrap();
    let why = act("app", "replay-latest").refused(400, "INCIDENT_MONITOR_LOG_SOURCE_REPLAY_FAILED");
    assert!(why["detail"].is_string(), "{why}");
    let log = audit::export(&client).concat();
    for event in ["offset_reset", "replayed", "started"] {
        assert!(log.contains(&format!("incident_monitor.log_source.{event}")), "{event}");
    }
    counted(&client, 2);
}

#[test]
fn endless_lines_and_broken_text_shift_no_offset() {
    let workspace = Workspace::new("logs-odd");
    let (_server, client) = started(&launch("logs-odd"), &workspace, json!([source("app", json!({}))]));
    // A hundred megabytes without a newline, of which a part is kept.
    {
        let mut file = File::create(workspace.path("app.log")).unwrap();
        file.write_all(b"ERROR endless failed ").unwrap();
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            file.write_all(&chunk).unwrap();
        }
        file.write_all(b"\n").unwrap();
    }
    workspace.append("app.log", b"ERROR broken failed \xff\xfe\xc3\n");
    // Multi-byte characters, cut at every byte.
    let line = error("émoji 😀", 1);
    for byte in line.as_bytes() {
        workspace.append("app.log", [*byte]);
    }
    workspace.append("app.log", error("last", 1));
    counted(&client, 4);
    let row = row(&client, "app");
    assert_eq!(row["offset"], json!(fs::metadata(workspace.path("app.log")).unwrap().len()));
    assert_eq!(row["total_truncated"], json!(1));
    assert!(counts(&client).contains_key("émoji 😀"), "{:?}", counts(&client));
}

#[test]
fn a_projects_approval_rule_holds_through_triage_to_the_publish() {
    let workspace = Workspace::new("logs-approval");
    let mut config = workspace.config(json!([source("app", json!({}))]));
    let project = &mut config["monitored_projects"][0];
    project["require_approval_for_new_issues"] = json!(true);
    project["auto_create_new_issues"] = json!(true);
    project["auto_publish"] = json!(true);
    let server = launch("logs-approval").start();
    let client = server.client();
    configure(&client, config);
    workspace.append("app.log", error("disk", 1));
    counted(&client, 1);
    let draft = all(&client, "/incident-monitor/drafts", "drafts").remove(0);
    let id = text(&draft["draft_id"]);
    // Triage starts by itself, and changes nothing about the approval.
    triaged(&client, &id);
    assert_eq!(crate::support::draft(&client, &id)["status"], json!("approval_required"));
    let published = client.post(&format!("/incident-monitor/drafts/{id}/publish"), json!({})).ok();
    assert_eq!((&published["action"], &published["post"]), (&json!("approval_required"), &Value::Null));
    assert!(crate::support::deliveries(&client, &id).is_empty());
    client.post(&format!("/incident-monitor/drafts/{id}/approve"), json!({})).ok();
    settled(&client, &id, "local", "posted");
}

#[test]
fn the_configuration_takes_effect_without_a_restart() {
    let workspace = Workspace::new("logs-config");
    workspace.append("a.log", error("a", 1));
    workspace.append("b.log", error("b", 1));
    let (_server, client) = started(&launch("logs-config"), &workspace, json!([source("a", json!({}))]));
    counted(&client, 1);
    configure(&client, workspace.config(json!([source("a", json!({})), source("b", json!({}))])));
    counted(&client, 2);
    client.ask("/incident-monitor/pause").ok();
    until("nobody reads while paused", SOON, || {
        let status = client.get("/incident-monitor/status").ok();
        (status["status"]["log_watcher"]["enabled_sources"] == 0).then_some(())
    });
    workspace.append("a.log", error("a", 2));
    client.ask("/incident-monitor/resume").ok();
    counted(&client, 3);
    let moved = source("a", json!({ "path": "moved/c.log" }));
    fs::create_dir(workspace.path("moved")).unwrap();
    workspace.append("moved/c.log", error("c", 1));
    configure(&client, workspace.config(json!([moved])));
    counted(&client, 4);
    workspace.append("a.log", error("a", 3));
    workspace.append("b.log", error("b", 2));
    workspace.append("moved/c.log", error("c", 2));
    counted(&client, 5);
    assert_eq!(counts(&client), BTreeMap::from([("a", 2), ("b", 1), ("c", 2)].map(|(kind, n)| (kind.to_owned(), n))));
}

#[test]
fn a_report_with_an_idempotency_key_is_counted_once() {
    let workspace = Workspace::new("logs-once");
    let (mut server, client) = started(&launch("logs-once"), &workspace, json!([source("app", json!({}))]));
    let (_, raw) = crate::support::keyed(&client, json!({}));
    let report = |title: &str| json!({ "project_id": "shop", "source_id": "app", "report": bodies::report(title) });
    let path = "/incident-monitor/intake/report";
    let send = |server: &Server, key: &str, title: &str| {
        let reporter = server.stranger().with(crate::support::KEY_HEADER, &raw).with("idempotency-key", key);
        reporter.post(path, report(title))
    };
    let first = send(&server, "k-1", "boom").ok();
    // At once from many, and again after a crash: the first answer, and one count.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(
                    send(&server, "k-1", "boom").ok()["incident"]["incident_id"],
                    first["incident"]["incident_id"]
                )
            });
        }
    });
    server.restart();
    let again = send(&server, "k-1", "boom").ok();
    assert_eq!(again["incident"]["occurrence_count"], json!(1));
    assert_eq!(again["draft"]["draft_id"], first["draft"]["draft_id"]);
    assert_eq!(send(&server, "k-2", "boom").ok()["incident"]["occurrence_count"], json!(2));
    send(&server, "k-1", "something else").refused(409, "IDEMPOTENCY_KEY_REUSED");
    send(&server, &"k".repeat(300), "boom").refused(422, "VALIDATION_FAILED");
    // In the body it says the same.
    let mut body = report("boom");
    body["idempotency_key"] = json!("k-2");
    let reporter = server.stranger().with(crate::support::KEY_HEADER, &raw);
    assert_eq!(reporter.post(path, body).ok()["incident"]["occurrence_count"], json!(2));
    audit::assert_verified(&server.client());
}
