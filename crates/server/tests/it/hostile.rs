//! What nobody should send: malformed, deep, huge, non-UTF-8 bodies, wild heads and paths. Each is refused in the
//! envelope, nothing is a 5xx, and the server stays up without growing.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};
use tandem_testkit::{Reply, Seed, Server, bodies, client::raw, server::TOKEN};

use crate::support::{configured, drafted, text};

const PATIENCE: Duration = Duration::from_secs(20);

fn request(server: &Server, bytes: &[u8]) -> Option<Reply> {
    raw(server.address, bytes, PATIENCE)
}

/// A request with the full token and this body.
fn posted(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[track_caller]
fn refused(what: &str, reply: Option<Reply>) {
    let reply = reply.unwrap_or_else(|| panic!("{what}: no answer"));
    assert!((400..500).contains(&reply.status), "{what}: {} {}", reply.status, reply.text());
    reply.enveloped();
}

/// Resident memory of the process, bytes.
fn resident(server: &Server) -> u64 {
    let output = std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let environ = std::fs::read(entry.path().join("cmdline")).ok()?;
        let ours = String::from_utf8_lossy(&environ).contains(&server.state_dir().display().to_string());
        ours.then(|| std::fs::read_to_string(entry.path().join("statm")).ok()).flatten()
    });
    let pages: u64 = output.expect("the process exists").split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn bodies_of_all_kinds() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str, n: usize| [open.repeat(n), "1".into(), close.repeat(n)].concat().into_bytes();
    vec![
        ("nothing", b"".to_vec()),
        ("half an object", b"{\"report\": {\"title\": \"x".to_vec()),
        ("a number", b"12".to_vec()),
        ("a string", b"\"x\"".to_vec()),
        ("an array", b"[1,2]".to_vec()),
        ("two values", b"{}{}".to_vec()),
        ("not UTF-8", b"{\"report\":{\"title\":\"\xff\xfe\"}}".to_vec()),
        ("a lone surrogate", br#"{"report":{"title":"\ud800"}}"#.to_vec()),
        ("NUL bytes", b"\0\0\0\0".to_vec()),
        ("deep arrays", deep("[", "]", 200_000)),
        ("deep objects", deep("{\"a\":", "}", 200_000)),
        (
            "deep where nobody looks",
            format!("{{\"report\":{{\"title\":\"x\"}},\"zzz\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000))
                .into_bytes(),
        ),
        ("a wrong type", br#"{"report":{"title":{"a":1},"excerpt":"no list"}}"#.to_vec()),
        ("a negative size", br#"{"project_id":"p","name":"n","expires_at_ms":-1}"#.to_vec()),
        ("too large", vec![b' '; 3 << 20]),
        ("a large number", br#"{"expires_at_ms":1e999}"#.to_vec()),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
        ("a form", b"a=b&c=d".to_vec()),
    ]
}

#[test]
fn no_body_makes_a_fault_on_any_route() {
    let (server, client) =
        configured("bodies", json!({ "monitored_projects": [bodies::project("shop", "/srv/shop")] }));
    let id = drafted(&client, bodies::report("target"));
    let document = client.get("/openapi.json").ok();
    let before = resident(&server);
    for (path, item) in document["paths"].as_object().unwrap() {
        if path.starts_with("/bug-monitor") {
            continue;
        }
        for method in ["post", "patch", "put", "delete"] {
            let Some(operation) = item.get(method) else { continue };
            let target = path
                .split('/')
                .map(|part| if part.starts_with('{') { &id } else { part })
                .collect::<Vec<_>>()
                .join("/");
            let takes_body = operation["requestBody"].is_object();
            // What this server does not offer says so, as its document does, whatever it is sent.
            let offered = operation["responses"].get("501").is_none();
            for (what, body) in bodies_of_all_kinds() {
                let Some(reply) = request(&server, &posted(&method.to_uppercase(), &target, &body)) else {
                    panic!("{what} to {method} {path}: no answer")
                };
                let fault = reply.status >= 500 && (offered || reply.status != 501);
                assert!(!fault, "{what} to {method} {path}: {} {}", reply.status, reply.text());
                if reply.status >= 400 {
                    reply.enveloped();
                } else if takes_body {
                    // Bodies may be optional, but what cannot be read is never taken for an empty one.
                    assert!(
                        matches!(
                            what,
                            "nothing"
                                | "a wrong type"
                                | "a negative size"
                                | "too large"
                                | "a large number"
                                | "a lone surrogate"
                        ),
                        "{what} to {method} {path}: {}",
                        reply.text()
                    );
                }
            }
        }
    }
    client.get("/incident-monitor/status").ok();
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 200 << 20, "memory grew by {} MiB", grown >> 20);
}

#[test]
fn wild_heads_and_paths_are_refused_in_the_envelope() {
    let (server, client) = configured("heads", json!({}));
    let auth = format!("authorization: Bearer {TOKEN}\r\n");
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n{auth}{more}\r\n").into_bytes();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("garbage", b"\x00\x01\x02\x03\r\n\r\n".to_vec()),
        ("another protocol", b"SSH-2.0-OpenSSH_9.0\r\n\r\n".to_vec()),
        ("an unknown version", b"GET / HTTP/7.3\r\nhost: x\r\n\r\n".to_vec()),
        ("a broken header", get("/incident-monitor/status", "no colon here\r\n")),
        ("a control character", get("/incident-monitor/status", "x-a: \x01\r\n")),
        ("a long path", get(&format!("/{}", "a".repeat(100_000)), "")),
        ("a long query", get(&format!("/incident-monitor/drafts?status={}", "a".repeat(100_000)), "")),
        ("many headers", get("/incident-monitor/status", &"a: b\r\n".repeat(2_000))),
        ("a wide header", get("/incident-monitor/status", &format!("x-a: {}\r\n", "b".repeat(300_000)))),
        ("dots", get("/incident-monitor/drafts/../../etc/passwd", "")),
        ("encoded dots", get("/incident-monitor/drafts/%2e%2e%2f%2e%2e%2fetc", "")),
        ("an encoded NUL", get("/incident-monitor/drafts/a%00b", "")),
        ("a broken escape", get("/incident-monitor/drafts/%zz", "")),
        ("an escape that is no UTF-8", get("/incident-monitor/drafts/%ff%fe", "")),
        ("a long id", get(&format!("/incident-monitor/drafts/{}", "x".repeat(5_000)), "")),
        ("SQL", get("/incident-monitor/drafts/'%20OR%201=1--", "")),
        ("a NUL in a filter", get("/incident-monitor/drafts?status=%00", "")),
        ("a filter that is no UTF-8", get("/incident-monitor/drafts?status=%ff", "")),
        ("a twisted cursor", get("/incident-monitor/drafts?cursor=%2e%2e", "")),
        ("an unknown method", format!("BREW /incident-monitor/status HTTP/1.1\r\nhost: x\r\n{auth}\r\n").into_bytes()),
        ("two lengths", format!("POST /incident-monitor/report HTTP/1.1\r\nhost: x\r\n{auth}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}").into_bytes()),
        ("length and chunks", format!("POST /incident-monitor/report HTTP/1.1\r\nhost: x\r\n{auth}content-length: 2\r\ntransfer-encoding: xchunked\r\n\r\n{{}}").into_bytes()),
        ("no such length", format!("POST /incident-monitor/report HTTP/1.1\r\nhost: x\r\n{auth}content-length: minus\r\n\r\n{{}}").into_bytes()),
        ("an endless length", format!("POST /incident-monitor/report HTTP/1.1\r\nhost: x\r\n{auth}content-type: application/json\r\ncontent-length: 99999999999\r\n\r\n").into_bytes()),
        ("a broken chunk", format!("POST /incident-monitor/report HTTP/1.1\r\nhost: x\r\n{auth}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n").into_bytes()),
        ("a token that is no text", b"GET /incident-monitor/status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\xfe\r\n\r\n".to_vec()),
        ("a token that is long", format!("GET /incident-monitor/status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", "a".repeat(50_000)).into_bytes()),
        ("a tag that is no text", spliced(&posted("PATCH", "/config/incident-monitor", b"{\"incident_monitor\":{}}"), b"if-match: \xff\xfe\r\n")),
        ("an actor that is no text", get("/incident-monitor/status", "x-tandem-actor-id: \u{1}\r\n")),
    ];
    for (what, bytes) in cases {
        refused(what, request(&server, &bytes));
    }
    client.get("/incident-monitor/status").ok();
}

/// Puts a header after the first line.
fn spliced(request: &[u8], header: &[u8]) -> Vec<u8> {
    let at = request.windows(2).position(|two| two == b"\r\n").map_or(0, |at| at + 2);
    [&request[..at], header, &request[at..]].concat()
}

#[test]
fn texts_of_every_kind_are_kept_or_refused_and_listed_again() {
    let (_server, client) = configured("texts", json!({}));
    let wild = [
        "\u{0}\u{1}\u{1b}[31m",
        "\u{202e}reversed",
        "\u{feff}bom",
        "🦀".repeat(2_000).as_str(),
        "é".repeat(9_999).as_str(),
        "--><script>alert(1)</script>",
        "'; DROP TABLE drafts; --",
        "<!-- tandem:fingerprint:v1:x -->",
        "{{7*7}}",
        "a\r\nx-injected: 1",
        "\\u0000",
        "%00%s%n",
        "../../../../etc/passwd",
        "$(reboot)",
        "`reboot`",
        "-rf --help",
        " ".repeat(50_000).as_str(),
        "a\tb\u{b}c",
        "\u{10ffff}\u{fffe}",
        "𝕿𝖊𝖘𝖙",
        "\u{300}".repeat(3_000).as_str(),
    ]
    .map(str::to_owned);
    for text_of_it in &wild {
        let mut report = bodies::report("wild");
        for field in [
            "title",
            "detail",
            "component",
            "source",
            "event",
            "run_id",
            "file_name",
            "process",
            "actor",
            "fingerprint",
            "risk_level",
            "correlation_id",
        ] {
            report[field] = json!(text_of_it);
        }
        report["excerpt"] = json!([text_of_it, text_of_it]);
        report["evidence_refs"] = json!(vec![text_of_it; 9]);
        let reply = client.post("/incident-monitor/report", json!({ "report": report }));
        assert!(matches!(reply.status, 200 | 400 | 422), "{text_of_it:?}: {}", reply.text());
        if reply.status == 200 {
            let id = text(&reply.json()["draft"]["draft_id"]);
            client.get(&format!("/incident-monitor/drafts/{id}")).ok();
            client.post("/incident-monitor/route-preview", json!({ "draft_id": id })).ok();
            client.post(&format!("/incident-monitor/drafts/{id}/publish"), json!({}));
        }
        let config = json!({ "incident_monitor": bodies::config(json!({ "workspace_root": text_of_it })) });
        assert!(client.patch("/config/incident-monitor", config).status < 500);
        let cursor: String = text_of_it.bytes().take(40).map(|byte| format!("%{byte:02x}")).collect();
        let listed = client.get(&format!("/incident-monitor/drafts?status={cursor}"));
        assert!(listed.status < 500, "{}", listed.text());
    }
    client.get("/incident-monitor/incidents?limit=200").ok();
    tandem_testkit::audit::assert_verified(&client);
}

/// Random damage to valid requests. The seed is printed; `IT_HOSTILE_SEED` repeats it.
#[test]
fn damaged_requests_never_make_a_fault() {
    let (server, client) = configured("damage", json!({}));
    let id = drafted(&client, bodies::report("target"));
    let mut seed = Seed::from_env("IT_HOSTILE_SEED");
    let valid: Vec<Vec<u8>> = [
        ("POST", "/incident-monitor/report".to_owned(), json!({ "report": bodies::report("damaged") })),
        ("POST", "/incident-monitor/route-preview".into(), json!({ "draft_id": id, "route_tags": ["a"] })),
        ("PATCH", "/config/incident-monitor".into(), json!({ "incident_monitor": bodies::config(json!({})) })),
        (
            "POST",
            format!("/incident-monitor/drafts/{id}/triage-summary"),
            json!({ "logs": ["x"], "coder_ready": true }),
        ),
        ("GET", "/incident-monitor/drafts?limit=3&status=draft_ready".into(), Value::Null),
        ("POST", "/auth/tokens".into(), json!({ "name": "x" })),
    ]
    .iter()
    .map(|(method, path, body)| posted(method, path, body.to_string().as_bytes()))
    .collect();
    for _ in 0..600 {
        let mut bytes = valid[seed.between(0, valid.len() as u64) as usize].clone();
        for _ in 0..seed.between(1, 4) {
            let at = seed.between(0, bytes.len() as u64) as usize;
            match seed.between(0, 4) {
                0 => bytes[at] = seed.next_u64() as u8,
                1 => bytes[at] ^= 1 << seed.between(0, 8),
                2 => bytes.insert(at, b"{}[]\",:\\\x00\xff%\r\n"[seed.between(0, 13) as usize]),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        // A shortened body leaves the server waiting for the rest; it need not answer before its own deadline.
        if let Some(reply) = raw(server.address, &bytes, Duration::from_millis(150)) {
            assert!(reply.status < 500, "{}: {}", String::from_utf8_lossy(&bytes), reply.text());
        }
    }
    client.get("/incident-monitor/status").ok();
}

#[test]
fn many_silent_connections_do_not_keep_others_out() {
    let (server, client) = configured("silent", json!({}));
    let held: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(server.address).expect("connects")).collect();
    client.get("/incident-monitor/status").ok();
    server.client().get("/incident-monitor/status").ok();
    drop(held);
}

/// A client that sends its body a moment after its head keeps its connection, whatever the answer is and whether or not the
/// route wants a body.
#[test]
fn a_body_that_comes_late_breaks_no_connection() {
    let (server, _client) = configured("late-body", json!({}));
    for path in ["/nowhere", "/incident-monitor/pause", "/incident-monitor/report"] {
        let mut connection = TcpStream::connect(server.address).expect("connects");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
             content-length: 2\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).expect("sent");
        connection.set_read_timeout(Some(Duration::from_millis(300))).expect("set");
        let mut buffer = [0_u8; 16 * 1024];
        assert!(connection.read(&mut buffer).is_err(), "{path}: nothing is answered before the body is here");
        connection.set_read_timeout(Some(PATIENCE)).expect("set");
        connection.write_all(b"{}").expect("sent");
        let read = connection.read(&mut buffer).expect("an answer");
        assert!(buffer[..read].starts_with(b"HTTP/1.1 "), "{path}");
        connection.write_all(b"GET /global/health HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").expect("sent");
        let mut rest = Vec::new();
        connection.read_to_end(&mut rest).expect("the connection is still there");
        assert!(String::from_utf8_lossy(&rest).contains("HTTP/1.1 200"), "{path}");
    }
}
