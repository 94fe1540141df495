//! The signed webhook on the wire: headers, rotation, answers of every kind, addresses.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_testkit::{
    Client, Receiver, Script,
    bodies::{self, SECRET},
    now_ms,
};

use crate::support::{SOON, configure, deliveries, draft, drafted, launch, publish, settled, text};

const OLD_SECRET: &str = "whsec_aXQtb2xkLXNlY3JldC1ieXRlcw==";

/// A server whose only destination is this webhook.
fn with_hook(name: &str, hook: Value) -> (tandem_testkit::Server, Client) {
    let server = launch(name).env("IT_OLD_SECRET", OLD_SECRET).start();
    let client = server.client();
    set_hook(&client, hook);
    (server, client)
}

fn set_hook(client: &Client, hook: Value) {
    let id = hook["destination_id"].clone();
    configure(client, json!({ "destinations": [hook], "default_destination_ids": [id] }));
}

fn hook_with(url: &str, more: Value) -> Value {
    let mut hook = bodies::webhook("hook", url);
    hook["config"] = bodies::merged(hook["config"].clone(), more);
    hook
}

#[test]
fn a_delivery_has_its_headers_and_verifies_both_ways() {
    let hooks = Receiver::new();
    let (_server, client) = with_hook("headers", bodies::webhook("hook", &hooks.url("/in?token=secret-in-query")));
    let id = drafted(&client, bodies::report("signed"));
    let answer = publish(&client, &id, json!({})).ok();
    let sent = hooks.wait("/in?token=secret-in-query", 1, SOON).remove(0);
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-tandem-event", "incident_monitor.incident"),
        ("x-tandem-signature-scheme", "tandem_hmac_sha256_v1"),
    ] {
        assert_eq!(sent.header(name), value);
    }
    assert!(sent.header("user-agent").starts_with("Tandem-Incident-Monitor/"));
    let delivery = sent.header("x-tandem-delivery-id");
    assert!(delivery.starts_with("bmwh_") && delivery.len() == 37, "{delivery}");
    assert_eq!(sent.header("webhook-id"), delivery);
    assert_eq!(sent.verify(&[SECRET]), Ok(()));
    assert!(sent.verify(&["another secret"]).is_err());
    let mut tampered = sent.clone();
    tampered.body[10] ^= 1;
    assert!(tampered.verify(&[SECRET]).is_err());

    let body = sent.json();
    let receipt = &answer["post"];
    assert_eq!(
        [&body["event"], &body["schema_version"], &body["delivery_id"], &body["idempotency_key"]],
        [
            &json!("incident_monitor.incident"),
            &json!("2026-06-29"),
            &json!(delivery),
            &json!(sent.header("idempotency-key"))
        ]
    );
    assert_eq!(receipt["idempotency_key"], body["idempotency_key"]);
    assert_eq!(body["draft"]["draft_id"], json!(id));
    let target = hooks.url("/in");
    assert_eq!((&receipt["target_ref"], &body["destination"]["target_ref"]), (&json!(target), &json!(target)));
    assert!(!answer.to_string().contains("secret-in-query"), "the query may hold a secret");
    assert_eq!(receipt["receipt"]["status_code"], json!(200), "{receipt}");
    assert_eq!(receipt["external_id"], json!(delivery));
}

#[test]
fn while_a_secret_rotates_a_receiver_may_know_either() {
    let hooks = Receiver::new();
    let rotating = |expires: Option<u64>| {
        hook_with(
            &hooks.url("/in"),
            json!({ "webhook_secret_refs": [{ "ref": "env:IT_OLD_SECRET", "expires_at_ms": expires }] }),
        )
    };
    let (_server, client) = with_hook("rotation", rotating(None));
    publish(&client, &drafted(&client, bodies::report("both")), json!({})).ok();
    let both = hooks.wait("/in", 1, SOON).remove(0);
    assert_eq!((both.verify(&[SECRET]), both.verify(&[OLD_SECRET])), (Ok(()), Ok(())));
    set_hook(&client, rotating(Some(now_ms() - 1)));
    publish(&client, &drafted(&client, bodies::report("new only")), json!({})).ok();
    let new = hooks.wait("/in", 2, SOON).remove(1);
    assert_eq!(new.verify(&[SECRET]), Ok(()));
    assert!(new.verify(&[OLD_SECRET]).is_err());
}

#[test]
fn gone_switches_the_destination_off() {
    let hooks = Receiver::new();
    hooks.on("/in", [Script::Status(410)]);
    let (_server, client) = with_hook("gone", bodies::webhook("hook", &hooks.url("/in")));
    let id = drafted(&client, bodies::report("gone"));
    publish(&client, &id, json!({}));
    settled(&client, &id, "hook", "failed");
    tandem_testkit::until("the destination is off", SOON, || {
        let config = client.get("/config/incident-monitor").ok();
        (config["incident_monitor"]["destinations"][0]["enabled"] == json!(false)).then_some(())
    });
    let other = drafted(&client, bodies::report("after"));
    publish(&client, &other, json!({})).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    assert_eq!(hooks.received("/in").len(), 1);
}

#[test]
fn a_longer_retry_after_wins() {
    let hooks = Receiver::new();
    hooks.on("/in", [Script::With(429, vec![("retry-after", "120".into())])]);
    let (_server, client) = with_hook("retry-after", bodies::webhook("hook", &hooks.url("/in")));
    let id = drafted(&client, bodies::report("later"));
    let answer = publish(&client, &id, json!({})).ok();
    let result = &answer["results"][0];
    assert_eq!(result["status"], json!("retrying"), "{answer}");
    let in_ms = result["retry_at_ms"].as_u64().unwrap().saturating_sub(now_ms());
    assert!((110_000..=121_000).contains(&in_ms), "{in_ms}");
    assert_eq!(answer["post"]["status"], json!("retrying"), "{answer}");
    let again = publish(&client, &id, json!({})).ok();
    assert_eq!(again["action"], json!("publish_in_progress"), "{again}");
    assert_eq!((hooks.received("/in").len(), deliveries(&client, &id).len()), (1, 1));
}

#[test]
fn redirects_are_not_followed() {
    let hooks = Receiver::new();
    let target = hooks.url("/elsewhere");
    hooks.on("/in", [Script::With(307, vec![("location", target)])]);
    let (_server, client) = with_hook("redirect", bodies::webhook("hook", &hooks.url("/in")));
    let id = drafted(&client, bodies::report("redirected"));
    publish(&client, &id, json!({}));
    let delivery = settled(&client, &id, "hook", "failed");
    assert_eq!(delivery["attempts"][0]["status_code"], json!(307));
    assert_eq!((hooks.received("/in").len(), hooks.received("/elsewhere").len()), (1, 0));
}

#[test]
fn a_dead_letter_is_sent_again_under_its_key() {
    let hooks = Receiver::new();
    hooks.on("/in", [Script::Status(422)]);
    let (_server, client) = with_hook("dead", bodies::webhook("hook", &hooks.url("/in")));
    let id = drafted(&client, bodies::report("dead letter"));
    publish(&client, &id, json!({}));
    let dead = settled(&client, &id, "hook", "failed");
    assert_eq!(draft(&client, &id)["status"], json!("webhook_post_failed"));
    let listed = client.get("/incident-monitor/deliveries?status=failed").ok();
    assert_eq!(listed["count"], json!(1));
    let path = format!("/incident-monitor/deliveries/{}/redeliver", text(&dead["delivery_id"]));
    hooks.on("/in", [Script::Status(200)]);
    let fresh = client.ask(&path).ok()["delivery"].clone();
    assert_ne!(fresh["delivery_id"], dead["delivery_id"]);
    settled(&client, &id, "hook", "posted");
    let sent = hooks.received("/in");
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].header("idempotency-key"), sent[1].header("idempotency-key"));
    assert_ne!(sent[0].header("x-tandem-delivery-id"), sent[1].header("x-tandem-delivery-id"));
    assert_eq!(sent[1].verify(&[SECRET]), Ok(()));
    client.ask(&path).refused(409, "INCIDENT_MONITOR_REDELIVER_FAILED");
    assert_eq!(draft(&client, &id)["status"], json!("webhook_posted"));
}

#[test]
fn a_hanging_endpoint_does_not_hold_the_call_or_its_neighbours() {
    let hooks = Receiver::new();
    hooks.on("/hang", [Script::Hang]);
    let mut hang = bodies::webhook("hang", &hooks.url("/hang"));
    hang["config"]["timeout_ms"] = json!(1500);
    let server = launch("hang").start();
    let client = server.client();
    let up = bodies::webhook("up", &hooks.url("/up"));
    configure(&client, json!({ "destinations": [hang, up], "default_destination_ids": ["hang", "up"] }));
    let id = drafted(&client, bodies::report("hangs"));
    let started = std::time::Instant::now();
    let answer = publish(&client, &id, json!({})).ok();
    assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    assert_eq!(answer["results"][1]["status"], json!("posted"), "{answer}");
    let hung = settled(&client, &id, "hang", "retrying");
    assert_eq!(hung["attempts"][0]["error_code"], json!("timeout"), "{hung}");
}

#[test]
fn a_cut_connection_is_tried_again() {
    let hooks = Receiver::new();
    hooks.on("/in", [Script::Cut, Script::Status(204)]);
    let (_server, client) = with_hook("cut", bodies::webhook("hook", &hooks.url("/in")));
    let id = drafted(&client, bodies::report("cut"));
    assert_eq!(publish(&client, &id, json!({})).ok()["results"][0]["status"], json!("retrying"));
    settled(&client, &id, "hook", "posted");
    assert_eq!(hooks.received("/in").len(), 2);
}

#[test]
fn max_attempts_counts_all_of_them() {
    let hooks = Receiver::new();
    hooks.on("/in", [Script::Status(500)]);
    let (_server, client) = with_hook("attempts", hook_with(&hooks.url("/in"), json!({ "max_attempts": 2 })));
    let id = drafted(&client, bodies::report("twice"));
    publish(&client, &id, json!({})).ok();
    let dead = settled(&client, &id, "hook", "failed");
    assert_eq!((dead["attempts"].as_array().unwrap().len(), hooks.received("/in").len()), (2, 2));
}

#[test]
fn addresses_that_are_not_public_are_blocked_unless_allowed() {
    let hooks = Receiver::new();
    let port = hooks.address.port();
    let server = launch("ssrf").start();
    let client = server.client();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "[fd00::1]",
        "[fe80::1]",
        "app.localhost",
        "240.0.0.1",
        "198.18.0.1",
    ];
    for host in hosts {
        let mut hook = bodies::webhook("hook", &format!("http://{host}:{port}/in"));
        hook["config"] = json!({ "allow_insecure_http": true, "timeout_ms": 500 });
        set_hook(&client, hook);
        let id = drafted(&client, bodies::report_as(&format!("fp-{host}")));
        publish(&client, &id, json!({})).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    }
    // Plain HTTP, credentials in the URL and other schemes need or get no exception.
    for (url, config) in [
        (hooks.url("/in"), json!({ "allow_private_networks": true })),
        (
            format!("http://user:pw@127.0.0.1:{port}/in"),
            json!({ "allow_private_networks": true, "allow_insecure_http": true }),
        ),
        ("file:///etc/passwd".to_owned(), json!({ "allow_private_networks": true, "allow_insecure_http": true })),
        (
            hooks.url("/in"),
            json!({ "allow_private_networks": true, "allow_insecure_http": true, "allowed_hosts": ["hooks.example.com"] }),
        ),
    ] {
        let mut hook = bodies::webhook("hook", &url);
        hook["config"] = config;
        set_hook(&client, hook);
        let id = drafted(&client, bodies::report_as(&format!("fp-{url}")));
        publish(&client, &id, json!({})).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    }
    assert!(hooks.received("/in").is_empty());
}

#[test]
fn proxies_from_the_environment_are_not_used() {
    let (hooks, proxy) = (Receiver::new(), Receiver::new());
    let url = proxy.url("");
    let mut launch = launch("proxy");
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        launch = launch.env(name, &url);
    }
    let server = launch.start();
    let client = server.client();
    set_hook(&client, bodies::webhook("hook", &hooks.url("/in")));
    let answer = publish(&client, &drafted(&client, bodies::report("direct")), json!({})).ok();
    assert_eq!(answer["action"], json!("post_webhook"), "{answer}");
    assert_eq!(hooks.received("/in").len(), 1);
}

#[test]
fn a_destination_that_changes_while_a_retry_waits_is_not_sent_to() {
    let hooks = Receiver::new();
    hooks.on("/in", [Script::Status(500)]);
    let (_server, client) = with_hook("changed", bodies::webhook("hook", &hooks.url("/in")));
    let id = drafted(&client, bodies::report("moves"));
    publish(&client, &id, json!({})).ok();
    settled(&client, &id, "hook", "retrying");
    set_hook(&client, bodies::webhook("hook", &hooks.url("/moved")));
    let ended = settled(&client, &id, "hook", "blocked");
    assert_eq!(ended["error_code"], json!("destination_changed"), "{ended}");
    assert_eq!((hooks.received("/in").len(), hooks.received("/moved").len()), (1, 0));
}

#[test]
fn a_pause_holds_deliveries_back() {
    let hooks = Receiver::new();
    hooks.on("/in", [Script::Status(500), Script::Status(200)]);
    let (_server, client) = with_hook("pause", bodies::webhook("hook", &hooks.url("/in")));
    let id = drafted(&client, bodies::report("paused"));
    let answer = publish(&client, &id, json!({})).ok();
    client.ask("/incident-monitor/pause").ok();
    let due = answer["results"][0]["retry_at_ms"].as_u64().unwrap();
    tandem_testkit::until("the retry is overdue", SOON, || (now_ms() > due + 500).then_some(()));
    assert_eq!(hooks.received("/in").len(), 1);
    client.ask("/incident-monitor/resume").ok();
    settled(&client, &id, "hook", "posted");
    assert_eq!(hooks.received("/in").len(), 2);
}

#[test]
fn a_missing_secret_sends_nothing() {
    let hooks = Receiver::new();
    let hook =
        bodies::merged(bodies::webhook("hook", &hooks.url("/in")), json!({ "webhook_secret_ref": "env:IT_NOT_SET" }));
    let (_server, client) = with_hook("no-secret", hook);
    let id = drafted(&client, bodies::report("unsigned"));
    publish(&client, &id, json!({})).refused(400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    assert!(hooks.received("/in").is_empty());
}

#[test]
fn a_retry_tells_what_was_taken_out_as_the_first_attempt_did() {
    let hooks = Receiver::new();
    hooks.on("/in", [Script::Cut, Script::Status(204)]);
    let hook = bodies::webhook("hook", &hooks.url("/in"));
    let over = json!({
        "destinations": [hook], "default_destination_ids": ["hook"], "safety_defaults": { "redact_secrets": false },
    });
    let (_server, client) = crate::support::configured("hook-redactions", over);
    let secret = json!({ "detail": "the worker said password=Zr8kQw2mX9pL" });
    let id = drafted(&client, bodies::merged(bodies::report("leaks"), secret));
    let receipt = |answer: &Value| answer["posts"][0]["receipt"]["redactions"].clone();
    publish(&client, &id, json!({})).ok();
    let first = receipt(&client.get("/incident-monitor/posts?limit=10").ok());
    settled(&client, &id, "hook", "posted");
    let last = receipt(&client.get("/incident-monitor/posts?limit=10").ok());
    assert!(last.as_object().is_some_and(|counts| !counts.is_empty()), "{last}");
    assert_eq!(first, last);
}
