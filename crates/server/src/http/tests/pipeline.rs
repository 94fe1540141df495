//! Every way a request can be refused before or around a handler, and what passes.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use axum::{
    body::Body as Bytes,
    http::{HeaderValue, Request},
};
use serde_json::{Value, json};
use utoipa::openapi::RefOr;

use super::*;
use crate::{
    extract::{Body, Decider, IntakeAuth, OptionalBody, Page, Path},
    http::{
        alias::Dialect,
        answer::Answer,
        document::{self, Method},
        observe::note_route,
    },
};

const AUTH: (&str, &str) = ("authorization", "Bearer boot-token");
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn health_and_document_need_no_token() {
    let server = Setup::default().build();
    let health = server.send("GET", "/global/health", &[], "").await;
    assert_eq!(health.status, 200);
    assert_eq!((&health.json()["healthy"], &health.json()["ready"]), (&json!(true), &json!(true)));
    assert_eq!(server.send("HEAD", "/global/health", &[], "").await.status, 200);
    let document = server.send("GET", "/openapi.json", &[], "").await;
    assert_eq!((document.status, &document.json()["openapi"]), (200, &json!("3.1.0")));
    assert_eq!(health.json()["status"], "ok");
}

#[tokio::test]
async fn the_audit_log_is_not_for_whoever_happens_to_be_near() {
    let open = Setup { token: None, ..Setup::default() }.build();
    let refusal = (403, "AUDIT_ADMIN_REQUIRED".to_owned());
    assert_eq!(open.send("GET", "/audit/protected", &[], "").await.refusal(), refusal);
    let panel = [("x-tandem-request-source", "control_panel")];
    assert_ne!(open.send("GET", "/audit/protected", &panel, "").await.status, 403);
    let closed = Setup::default().build();
    let key = ("x-tandem-incident-monitor-intake-key", "k1");
    assert_eq!(closed.send("GET", "/audit/ledger/manifest", &[AUTH, key], "").await.refusal(), refusal);
}

#[tokio::test]
async fn refusals_carry_the_envelope() {
    let server = Setup::default().build();
    let big = "x".repeat(11 * 1024 * 1024);
    let cases: [(&str, &str, Headers<'_>, &str, (u16, &str)); 17] = [
        ("GET", "/auth/tokens", &[], "", (401, "AUTH_REQUIRED")),
        ("GET", "/auth/tokens", &[("authorization", "Bearer")], "", (401, "AUTH_REQUIRED")),
        ("GET", "/auth/tokens", &[("x-agent-token", "wrong"), AUTH], "", (401, "AUTH_REQUIRED")),
        ("GET", "/nowhere", &[], "", (401, "AUTH_REQUIRED")),
        ("GET", "/metrics", &[], "", (401, "AUTH_REQUIRED")),
        ("POST", "/global/health", &[], "", (401, "AUTH_REQUIRED")),
        ("GET", "/nowhere", &[AUTH], "", (404, "NOT_FOUND")),
        ("GET", "/auth/tokens/", &[AUTH], "", (404, "NOT_FOUND")),
        ("DELETE", "/auth/tokens", &[AUTH], "", (405, "METHOD_NOT_ALLOWED")),
        ("POST", "/auth/tokens", &[AUTH], "{}", (415, "VALIDATION_FAILED")),
        ("POST", "/auth/tokens", &[AUTH, ("content-type", "text/plain")], "{}", (415, "VALIDATION_FAILED")),
        ("POST", "/auth/tokens", &[AUTH, JSON], "{", (400, "VALIDATION_FAILED")),
        ("POST", "/auth/tokens", &[AUTH, JSON], "", (400, "VALIDATION_FAILED")),
        ("POST", "/auth/tokens", &[AUTH, JSON], r#"{"name":7}"#, (422, "VALIDATION_FAILED")),
        ("POST", "/auth/tokens", &[AUTH, JSON], &big, (413, "VALIDATION_FAILED")),
        ("POST", "/auth/tokens/%ff/revoke", &[AUTH], "", (404, "NOT_FOUND")),
        ("POST", "/auth/tokens/a%00b/revoke", &[AUTH], "", (404, "NOT_FOUND")),
    ];
    for (method, path, headers, body, (status, code)) in cases {
        let seen = server.send(method, path, headers, body.to_owned()).await;
        assert_eq!(seen.refusal(), (status, code.to_owned()), "{method} {path} {headers:?}");
        assert_eq!(seen.header("www-authenticate").is_some(), status == 401);
        assert_eq!(seen.header("allow").is_some(), status == 405);
    }
    let wrong_method = server.send("DELETE", "/auth/tokens", &[AUTH], "").await;
    assert_eq!(wrong_method.header("allow"), Some("GET,HEAD,POST"));
}

#[tokio::test]
async fn wild_heads_stay_4xx() {
    let server = Setup::default().build();
    let long = format!("/{}", "a".repeat(60_000));
    for path in
        [long.as_str(), "/%", "/%zz", "/a%2", "//", "/..", "/%00", "/bug-monitor/%ff/%00", "/auth/tokens?%ff=%", "*"]
    {
        for method in ["GET", "POST", "PUT", "OPTIONS", "TRACE", "FOO"] {
            let Ok(request) = Request::builder().method(method).uri(path).header(AUTH.0, AUTH.1).body(Bytes::empty())
            else {
                continue;
            };
            let seen = server.raw(request).await;
            assert!(seen.status < 500, "{method} {path}");
            if seen.status >= 400 {
                seen.refusal();
            }
        }
    }
    for name in
        ["x-request-id", "x-tandem-agent-id", "x-tandem-actor-id", "content-type", "host", "origin", "x-agent-token"]
    {
        let mut request = Request::post("/auth/tokens").header(AUTH.0, AUTH.1).body(Bytes::from("{}")).unwrap();
        request.headers_mut().insert(name, HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        let seen = server.raw(request).await;
        assert!((400..500).contains(&seen.refusal().0), "{name}");
    }
}

#[tokio::test]
async fn request_ids_are_echoed_or_made() {
    let server = Setup::default().build();
    let kept = server.send("GET", "/nowhere", &[("x-request-id", "abc-1")], "").await;
    assert_eq!((kept.header("x-request-id"), &kept.json()["request_id"]), (Some("abc-1"), &json!("abc-1")));
    let made = server.send("GET", "/global/health", &[("x-request-id", "no spaces")], "").await;
    assert_eq!(made.header("x-request-id").map(str::len), Some(32));
}

#[tokio::test]
async fn before_the_store_is_open() {
    let server = Setup { open: false, ..Setup::default() }.build();
    let health = server.send("GET", "/global/health", &[], "").await;
    assert_eq!(health.refusal(), (503, "ENGINE_STARTING".into()));
    assert_eq!((health.header("retry-after"), &health.json()["retryable"]), (Some("1"), &json!(true)));
    assert_eq!(server.send("GET", "/auth/tokens", &[], "").await.status, 401);
    assert_eq!(server.send("GET", "/auth/tokens", &[AUTH], "").await.status, 503);
}

#[tokio::test]
async fn a_broken_store_is_503_and_says_nothing_about_itself() {
    let server = Setup::default().build();
    server.store.broken.store(true, Ordering::Relaxed);
    for token in [TOKEN, "unknown"] {
        let seen = server.call_with("POST", "/auth/tokens/x/revoke", token, &[], None).await;
        assert_eq!(seen.refusal(), (503, "STORE_UNAVAILABLE".into()));
        assert!(!seen.text.contains("/secret/path"));
    }
}

#[tokio::test]
async fn the_rate_limit_counts_after_the_token() {
    let server = Setup { facts: Facts { rate_limit_per_min: Some(2), ..Facts::default() }, ..Setup::default() }.build();
    for expected in [404, 404, 429, 429] {
        assert_eq!(server.send("GET", "/nowhere", &[], "").await.status, 401);
        let seen = server.call("GET", "/nowhere", None).await;
        assert_eq!(seen.status, expected);
        assert_eq!(seen.header("retry-after").is_some(), expected == 429);
    }
    assert_eq!(server.send("GET", "/global/health", &[], "").await.status, 200);
}

#[tokio::test]
async fn without_tokens_intake_keys_and_web_pages_are_still_refused() {
    let server = Setup { token: None, ..Setup::default() }.build();
    let key = ("x-tandem-incident-monitor-intake-key", "k");
    let former = ("x-tandem-bug-monitor-intake-key", "k");
    let cases: [(Headers<'_>, u16); 12] = [
        (&[], 200),
        (&[("authorization", "Bearer")], 200),
        (&[("authorization", "Bearer whatever-the-sdk-sends")], 200),
        (&[("host", "127.0.0.1:39731"), ("origin", "http://127.0.0.1:39731")], 200),
        (&[key], 403),
        (&[former], 403),
        (&[("authorization", "Bearer tim_intake_00")], 401),
        (&[("x-agent-token", "tbm_intake_00")], 401),
        (&[("authorization", "Bearer tandem_00")], 401),
        (&[("host", "evil.test")], 401),
        (&[("host", "localhost"), ("origin", "https://evil.test")], 401),
        (&[("x-tandem-request-source", "agent")], 403),
    ];
    for (headers, status) in cases {
        assert_eq!(server.send("GET", "/auth/tokens", headers, "").await.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn cors_answers_preflights_for_listed_origins_only() {
    let facts = Facts { cors_origins: vec!["https://panel.test".into()], ..Facts::default() };
    let server = Setup { facts, ..Setup::default() }.build();
    let preflight = |origin| [("origin", origin), ("access-control-request-method", "POST")];
    let seen = server.send("OPTIONS", "/auth/tokens", &preflight("https://panel.test"), "").await;
    assert_eq!((seen.status, seen.header("access-control-allow-origin")), (200, Some("https://panel.test")));
    let allowed = seen.header("access-control-allow-headers").unwrap_or_default();
    for name in ["x-agent-token", "x-tandem-token", "x-tandem-incident-monitor-intake-key", "authorization"] {
        assert!(allowed.contains(name), "{name} in {allowed}");
    }
    let other = server.send("OPTIONS", "/auth/tokens", &preflight("https://other.test"), "").await;
    assert_eq!(other.header("access-control-allow-origin"), None);
    let refused = server.send("GET", "/auth/tokens", &[("origin", "https://panel.test")], "").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some("https://panel.test")));
}

#[tokio::test]
async fn metrics_count_by_template() {
    let server = Setup::default().build();
    server.call("POST", "/auth/tokens/some-id/revoke", None).await;
    server.call("GET", "/auth/tokens-secret", None).await;
    let text = server.call("GET", "/metrics", None).await.text;
    let line = r#"tandem_http_requests_total{method="POST",route="/auth/tokens/{id}/revoke",status="404"} 1"#;
    assert!(text.contains(line), "{text}");
    assert!(text.contains(r#"route="unmatched",status="404"} 1"#) && !text.contains("secret"), "{text}");
    let public = Setup { facts: Facts { metrics_public: true, ..Facts::default() }, ..Setup::default() }.build();
    assert_eq!(public.send("GET", "/metrics", &[], "").await.status, 200);
}

/// Handlers in the forms that resources use, behind the same layers.
fn with_samples() -> Server {
    async fn panics() -> Answer {
        panic!("a fault")
    }
    async fn intake(dialect: Dialect, auth: IntakeAuth, Body(body): Body<Value>) -> Answer {
        let key = auth.key.as_ref().map(|key| key.expose().to_owned());
        Ok(axum::Json(json!({"key": key, "wrapper": dialect.wrapper(), "source": auth.ctx.actor.source, "body": body})))
    }
    async fn optional(operator: Operator, OptionalBody(body): OptionalBody<BTreeMap<String, Value>>) -> Answer {
        Ok(axum::Json(json!({"kind": operator.ctx.actor.kind, "id": operator.ctx.actor.actor_id, "body": body})))
    }
    async fn person(Decider(operator): Decider, page: Page, Path(id): Path<String>) -> Answer {
        Ok(axum::Json(json!({"id": id, "limit": page.limit(), "actor": operator.ctx.actor.actor_id})))
    }
    use crate::extract::Operator;
    use axum::routing::{get, post};
    let server = Setup { open: false, ..Setup::default() }.build();
    let router = Router::new()
        .route("/panics", get(panics))
        .route("/incident-monitor/intake/report", post(intake))
        .route("/optional", post(optional))
        .route("/people/{id}", get(person))
        .layer(axum::middleware::from_fn(note_route));
    server.gate.auth.attach(std::sync::Arc::clone(&server.store) as _);
    server.gate.open(router);
    server
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let server = with_samples();
    assert_eq!(server.call("GET", "/panics", None).await.refusal(), (500, "INTERNAL".into()));
    assert_eq!(server.call("GET", "/people/x", None).await.status, 200);
    assert_eq!(server.gate.metrics.gauge("tandem_http_requests_in_flight", "").get(), 0);
}

#[tokio::test]
async fn the_intake_path_takes_keys_under_both_names() {
    let server = with_samples();
    let key = ("x-tandem-incident-monitor-intake-key", "k1");
    let seen = server.send("POST", "/incident-monitor/intake/report", &[key, JSON], "{}").await;
    assert_eq!((seen.status, &seen.json()["key"], &seen.json()["source"]), (200, &json!("k1"), &json!("intake_key")));
    let former = ("x-tandem-bug-monitor-intake-key", "k2");
    let seen = server.send("POST", "/bug-monitor/intake/report", &[former, JSON], "{}").await;
    assert_eq!((&seen.json()["key"], &seen.json()["wrapper"]), (&json!("k2"), &json!("bug_monitor")));
    let bare = server.send("POST", "/incident-monitor/intake/report", &[JSON], "{}").await;
    assert_eq!(bare.json()["key"], Value::Null);
    let slash = server.send("POST", "/incident-monitor/intake/report/", &[key, JSON], "{}").await;
    assert_eq!(slash.refusal(), (401, "AUTH_REQUIRED".into()));
}

#[tokio::test]
async fn optional_bodies() {
    let server = with_samples();
    for body in ["", "  ", "null", "{}"] {
        let seen = server.send("POST", "/optional", &[AUTH, JSON], body).await;
        assert_eq!((seen.status, &seen.json()["body"]), (200, &json!({})), "{body:?}");
    }
    assert_eq!(server.send("POST", "/optional", &[AUTH], "").await.status, 200);
    assert_eq!(server.send("POST", "/optional", &[AUTH], "{}").await.refusal().0, 415);
    assert_eq!(server.send("POST", "/optional", &[AUTH, JSON], "[").await.refusal().0, 400);
    assert_eq!(server.send("POST", "/optional", &[AUTH, JSON], "[]").await.refusal().0, 422);
    let large = format!("\"{}\"", "x".repeat(3 * 1024 * 1024));
    assert_eq!(server.send("POST", "/optional", &[AUTH, JSON], large).await.refusal().0, 413);
}

#[tokio::test]
async fn actors() {
    let server = with_samples();
    let cases: [(Headers<'_>, Value, Value); 5] = [
        (&[AUTH], json!("system"), Value::Null),
        (&[AUTH, ("x-tandem-actor-id", "ann")], json!("human"), json!("ann")),
        (&[AUTH, ("x-tandem-request-source", "control_panel")], json!("human"), Value::Null),
        (&[AUTH, ("x-tandem-agent-id", "bot"), ("x-tandem-actor-id", "ann")], json!("agent"), json!("bot")),
        (&[AUTH, ("x-tandem-org-id", "other")], json!("system"), Value::Null),
    ];
    for (headers, kind, id) in cases {
        let seen = server.send("POST", "/optional", headers, "").await.json();
        assert_eq!((&seen["kind"], &seen["id"]), (&kind, &id), "{headers:?}");
    }
    let missing = server.send("POST", "/optional", &[AUTH, ("x-tandem-request-source", "agent")], "").await;
    assert_eq!(missing.refusal(), (403, "AUTOMATION_V2_AGENT_ID_REQUIRED".into()));
    let person = server.send("GET", "/people/a%2Fb?limit=900", &[AUTH, ("x-tandem-actor-id", "ann")], "").await;
    assert_eq!(person.json(), json!({"id": "a/b", "limit": 200, "actor": "ann"}));
    let agent = server.send("GET", "/people/x", &[AUTH, ("x-tandem-agent-id", "bot")], "").await;
    assert_eq!(agent.refusal(), (403, "HUMAN_ACTOR_REQUIRED".into()));
}

/// The router's own description lists its paths; the document must list the same ones.
#[tokio::test]
async fn every_route_is_in_the_document() {
    let (router, document) = super::super::routes().split_for_parts();
    let described = format!("{router:?}");
    let routed: BTreeSet<String> = described
        .split("RouteId(")
        .filter_map(|part| part.split_once("): \"").and_then(|(_, rest)| rest.split_once('"')))
        .map(|(path, _)| path.to_owned())
        .filter(|path| path.starts_with('/') && !path.contains("__private"))
        // The fallback is described as a path of its own.
        .filter(|path| path != "/")
        .collect();
    let documented: BTreeSet<String> = document.paths.paths.keys().cloned().collect();
    assert!(routed.contains("/auth/tokens/{id}/revoke"), "{described}");
    assert_eq!(routed, documented);
}

/// Every documented operation exists, and refuses strangers unless it is public.
#[tokio::test]
async fn every_documented_operation_asks_for_a_credential() {
    let server = Setup::default().build();
    let mut document = super::super::document();
    let mut seen = 0;
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in document::operations(item) {
            seen += 1;
            let verb = match method {
                Method::Get => "GET",
                Method::Put => "PUT",
                Method::Post => "POST",
                Method::Delete => "DELETE",
                Method::Patch => "PATCH",
            };
            let concrete = path.replace(['{', '}'], "");
            // The intake path has a credential of its own, which its handler asks for after the body's shape.
            let intake_path = path.ends_with("/intake/report");
            let open = intake_path || operation.security.as_ref().is_some_and(Vec::is_empty);
            let stranger = server.send(verb, &concrete, &[], "").await;
            assert_eq!(stranger.status == 401, !open, "{verb} {path}");
            let key = [("authorization", "Bearer tim_intake_00")];
            let intake = server.send(verb, &concrete, &key, "").await;
            assert_eq!(intake.status == 401, !open, "{verb} {path} with an intake key");
            let known = server.call(verb, &concrete, None).await;
            // The store in memory keeps no audit log, so those routes may answer that it is unavailable.
            assert!(!matches!(known.status, 401 | 405 | 500), "{verb} {path}: {}", known.status);
            assert!(operation.summary.is_some() && operation.operation_id.is_some(), "{verb} {path}");
        }
    }
    assert!(seen >= 6);
}

/// A handler that names a status has not said everything about it.
#[test]
fn shared_refusals_are_in_every_operation() {
    let mut document = super::super::document();
    let tags: BTreeSet<String> = document.tags.iter().flatten().map(|tag| tag.name.clone()).collect();
    let mut used = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        for (_, operation) in document::operations(item) {
            used.extend(operation.tags.iter().flatten().cloned());
            if operation.security.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            for (status, code) in [("400", "VALIDATION_FAILED"), ("403", "AUTOMATION_V2_AGENT_ID_REQUIRED")] {
                let Some(RefOr::T(response)) = operation.responses.responses.get(status) else {
                    panic!("{path}: {status} is missing")
                };
                assert!(response.description.contains(code), "{path} {status}: {}", response.description);
            }
        }
    }
    assert_eq!(used, tags, "every tag is explained, and used");
}
