//! Many at once: no error, exact counts, on the embedded store and on two engines that share a PostgreSQL.

use std::{collections::HashMap, sync::Barrier};

use serde_json::json;
use tandem_testkit::{Client, Reply, Server, audit, bodies};

use crate::support::{all, configure, configured, deliveries, drafted, launch, publish, text};

const THREADS: usize = 16;
const EACH: usize = 200;

/// Reports from [`THREADS`] threads, spread over the servers. Every answer must be a 200.
fn storm(servers: &[&Server], fingerprint: impl Fn(usize, usize) -> String + Sync) {
    let fingerprint = &fingerprint;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let client = servers[thread % servers.len()].client();
            scope.spawn(move || {
                for n in 0..EACH {
                    let body = json!({ "report": bodies::report_as(&fingerprint(thread, n)) });
                    let reply = client.post("/incident-monitor/report", body);
                    assert_eq!(reply.status, 200, "{}", reply.text());
                }
            });
        }
    });
}

/// Occurrences by fingerprint.
fn counts(client: &Client) -> HashMap<String, u64> {
    let mut found = HashMap::new();
    for row in all(client, "/incident-monitor/incidents", "incidents") {
        let before = found.insert(text(&row["fingerprint"]), row["occurrence_count"].as_u64().unwrap());
        assert_eq!(before, None, "two incidents for one failure: {row}");
    }
    found
}

/// Equal, then distinct; all counted once.
fn exact(servers: &[&Server]) {
    let client = servers[0].client();
    storm(servers, |_, _| "same".into());
    storm(servers, |thread, n| format!("own-{thread}-{n}"));
    let found = counts(&client);
    assert_eq!(found.len(), 1 + THREADS * EACH);
    assert_eq!(found["same"], (THREADS * EACH) as u64);
    assert!(found.iter().filter(|(name, _)| name.starts_with("own-")).all(|(_, count)| *count == 1));
    assert_eq!(all(&client, "/incident-monitor/drafts", "drafts").len(), found.len());
    let report = audit::assert_verified(&client);
    assert!(report.record_count >= (2 * THREADS * EACH) as u64, "{report:?}");
}

/// A tenant has sixteen full tokens, whichever server makes them, however many are asked for at once.
fn limited(servers: &[&Server]) {
    let made = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..24 {
            let (client, made) = (servers[thread % servers.len()].client(), &made);
            scope.spawn(move || {
                let reply = client.post("/auth/tokens", json!({ "name": format!("t{thread}") }));
                match reply.status {
                    201 => drop(made.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
                    other => assert_eq!((other, reply.json()["code"].as_str()), (409, Some("API_TOKEN_LIMIT"))),
                }
            });
        }
    });
    assert_eq!(made.into_inner(), 16);
    for token in all(&servers[0].client(), "/auth/tokens", "tokens") {
        servers[0].client().ask(&format!("/auth/tokens/{}/revoke", text(&token["token_id"]))).ok();
    }
}

#[test]
fn sixteen_threads_lose_and_double_nothing() {
    let (server, _client) = configured("storm", json!({}));
    exact(&[&server]);
    limited(&[&server]);
}

/// How many callers do the same at once; none of them is sent away.
const CALLERS: usize = 48;

fn at_once(server: &Server, call: impl Fn(&Client, usize) -> Reply + Sync) {
    let (call, start) = (&call, &Barrier::new(CALLERS));
    std::thread::scope(|scope| {
        for n in 0..CALLERS {
            let client = server.client();
            scope.spawn(move || {
                start.wait();
                let reply = call(&client, n);
                assert_eq!(reply.status, 200, "caller {n}: {}", reply.text());
            });
        }
    });
}

#[test]
fn whoever_changes_the_same_thing_at_once_is_served() {
    let (server, client) = configured("same-thing", json!({}));
    let id = drafted(&client, bodies::report_as("same-thing"));
    at_once(&server, |client, _| publish(client, &id, json!({})));
    assert_eq!(deliveries(&client, &id).len(), 1);
    let config = client.get("/config/incident-monitor").ok()["incident_monitor"].clone();
    at_once(&server, |client, n| {
        let mine = bodies::merged(config.clone(), json!({ "workspace_root": format!("/srv/{n}") }));
        client.patch("/config/incident-monitor", json!({ "incident_monitor": mine }))
    });
    at_once(&server, |client, n| client.ask(["/incident-monitor/pause", "/incident-monitor/resume"][n % 2]));
    audit::assert_verified(&client);
}

/// A fresh database, dropped when the test ends. `None` where no server is named for tests.
pub struct Database {
    admin: String,
    name: String,
}

impl Database {
    pub fn new() -> Option<Self> {
        let admin = std::env::var("TANDEM_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty())?;
        let name = format!("tandem_it_{}_{}", std::process::id(), tandem_testkit::now_ms());
        let database = Self { admin, name };
        database.run(&format!("CREATE DATABASE {}", database.name));
        Some(database)
    }

    fn run(&self, sql: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&self.admin, tokio_postgres::NoTls).await.expect("the database server answers");
            let connection = tokio::spawn(connection);
            client.batch_execute(sql).await.expect(sql);
            drop(client);
            let _ = connection.await;
        });
    }

    pub fn url(&self) -> String {
        let at = self.admin.rfind('/').expect("the URL names a database");
        format!("{}/{}", &self.admin[..at], self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}

#[test]
fn two_engines_on_one_postgres_count_and_publish_as_one() {
    let Some(database) = Database::new() else {
        println!("skipped: TANDEM_TEST_POSTGRES_URL names no server");
        return;
    };
    let url = database.url();
    let engine = |name: &str| launch(name).arg("--database-url").arg(&url).start();
    // Both start on an empty database at the same time.
    let (mut one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| engine("pg-one"));
        let two = scope.spawn(|| engine("pg-two"));
        (one.join().unwrap(), two.join().unwrap())
    });
    let (first, second) = (one.client(), two.client());
    configure(&first, json!({ "monitored_projects": [bodies::project("shop", "/srv/shop")] }));
    assert_eq!(second.get("/config/incident-monitor").ok(), first.get("/config/incident-monitor").ok());
    exact(&[&one, &two]);
    limited(&[&one, &two]);

    // What one engine decides holds on the other at once.
    let (id, raw) = crate::support::keyed(&first, json!({}));
    let body = json!({ "project_id": "shop", "report": bodies::report("by key") });
    let reporter = two.stranger().with(crate::support::KEY_HEADER, &raw);
    reporter.post("/incident-monitor/intake/report", body.clone()).ok();
    first.ask(&format!("/incident-monitor/intake/keys/{id}/disable")).ok();
    reporter.post("/incident-monitor/intake/report", body).refused(401, "INCIDENT_MONITOR_INTAKE_KEY_INVALID");
    let made = first.post("/auth/tokens", json!({ "name": "t" })).ok();
    let named = two.stranger().bearer(&text(&made["raw_token"]));
    named.get("/incident-monitor/status").ok();
    first.ask(&format!("/auth/tokens/{}/revoke", text(&made["token"]["token_id"]))).ok();
    named.get("/incident-monitor/status").refused(401, "AUTH_REQUIRED");

    // The same draft published through both is delivered once.
    let draft = crate::support::drafted(&first, bodies::report("published by two"));
    std::thread::scope(|scope| {
        for client in [one.client(), two.client(), one.client(), two.client()] {
            let draft = &draft;
            scope.spawn(move || crate::support::publish(&client, draft, json!({})).ok());
        }
    });
    crate::support::settled(&second, &draft, "local", "posted");
    assert_eq!(crate::support::deliveries(&second, &draft).len(), 1);
    // One dies; the other goes on alone.
    drop(first);
    one.kill();
    let last = crate::support::drafted(&second, bodies::report("after one died"));
    crate::support::publish(&second, &last, json!({})).ok();
    audit::assert_verified(&second);
}
