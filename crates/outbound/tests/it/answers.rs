//! What each way of answering, or not answering, becomes.

use std::sync::Arc;

use tandem_core::ports::Secret;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpSocket},
};

use crate::receiver::*;

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Receiver::start(answer("200 OK", "", "")).await;
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let (outcome, received) =
            attempt(answer(status, &format!("location: {}\r\n", elsewhere.url()), ""), 5_000).await;
        assert_eq!(word(&outcome), Some("redirect"), "{status}");
        assert!(!outcome.retryable);
        assert_eq!(received.len(), 1);
    }
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn statuses_become_codes() {
    let table = [
        ("429 Too Many Requests", "retry-after: 7\r\n", "http_status", true, Some(7_000), false),
        ("503 Service Unavailable", "", "http_status", true, None, false),
        // It is not retried, so when to retry has no meaning.
        ("400 Bad Request", "retry-after: 7\r\n", "http_status", false, None, false),
        ("410 Gone", "", "endpoint_gone", false, None, true),
    ];
    for (status, headers, code, retryable, retry_after, disabled) in table {
        let (outcome, received) = attempt(answer(status, headers, "why"), 5_000).await;
        assert_eq!(word(&outcome), Some(code), "{status}");
        assert_eq!((outcome.retryable, outcome.retry_after_ms, outcome.disabled), (retryable, retry_after, disabled));
        assert_eq!(outcome.response_excerpt.as_deref(), Some("why"));
        // One call is one attempt; trying again is somebody else's decision.
        assert_eq!(received.len(), 1, "{status}");
        let receipt = outcome.receipt(3, AT_MS);
        assert_eq!((receipt.attempt, receipt.error_code.as_deref()), (3, Some(code)));
    }
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    let (outcome, _) = attempt(Script::Endless(head, format!("400\r\n{}\r\n", "x".repeat(1_024))), 5_000).await;
    assert!(outcome.succeeded(), "{outcome:?}");
    assert!(outcome.response_truncated);
    assert_eq!(outcome.response_excerpt.map(|text| text.len()), Some(1_024));
}

#[tokio::test]
async fn the_limit_itself_is_not_a_cut() {
    for (length, truncated) in [(1_023, false), (1_024, false), (1_025, true)] {
        let (outcome, _) = attempt(answer("200 OK", "", &"x".repeat(length)), 5_000).await;
        assert_eq!(outcome.response_truncated, truncated, "{length}");
    }
}

#[tokio::test]
async fn a_status_counts_even_if_its_body_never_ends() {
    let hang = |status: &str| Script::Hang(format!("HTTP/1.1 {status}\r\ncontent-length: 100\r\n\r\npart"));
    let (outcome, _) = attempt(hang("200 OK"), 300).await;
    assert!(outcome.succeeded(), "{outcome:?}");
    assert!(outcome.response_truncated);
    assert_eq!(outcome.response_excerpt.as_deref(), Some("part"));
    assert!(outcome.duration_ms < 5_000);
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let (outcome, received) = attempt(Script::Hang(String::new()), 300).await;
    assert_eq!((word(&outcome), outcome.retryable, outcome.status_code), (Some("timeout"), true, None));
    assert_eq!(received.len(), 1);
}

#[tokio::test]
async fn broken_and_refused_connections_and_bad_tls_differ() {
    let (outcome, _) = attempt(Script::HangUp, 5_000).await;
    assert_eq!((word(&outcome), outcome.retryable), (Some("connection_lost"), true));

    // Bound, so nobody else can have the port, but not listening.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let closed = socket.local_addr().expect("an address");
    let sending = sender(Arc::default());
    let secrets = [Secret::new("new-secret")];
    let refused = sending.send(&delivery(&target(&format!("http://{closed}/")), &secrets)).await;
    assert_eq!((word(&refused), refused.retryable), (Some("connect"), true));

    let tls = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = tls.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tls.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            std::future::pending::<()>().await;
        }
    });
    let outcome = sending.send(&delivery(&target(&format!("https://{address}/?key=query-secret")), &secrets)).await;
    assert_eq!((word(&outcome), outcome.retryable), (Some("tls"), true), "{outcome:?}");
    for outcome in [outcome, refused] {
        assert!(!outcome.error.unwrap_or_default().contains("query-secret"));
    }
}

#[tokio::test]
async fn an_answer_that_quotes_the_secret_is_redacted() {
    let (outcome, _) = attempt(answer("400 Bad Request", "", " expected new-secret \u{fffd}"), 5_000).await;
    assert_eq!(outcome.response_excerpt.as_deref(), Some("expected [redacted] \u{fffd}"));
}
