//! What a receiver is sent, and that it can check it.

use std::sync::{Arc, atomic::Ordering};

use tandem_core::{
    ports::Secret,
    publish::signature::{self, Refusal, Standard},
};
use tandem_outbound::{failure::Code, webhook::Target};

use crate::receiver::*;

#[tokio::test]
async fn a_receiver_can_check_both_signatures() {
    let (outcome, received) = attempt(answer("204 No Content", "", ""), 5_000).await;
    assert!(outcome.succeeded(), "{outcome:?}");
    assert_eq!((outcome.status_code, outcome.response_excerpt.as_deref()), (Some(204), None));
    let [request] = &received[..] else { panic!("{received:?}") };
    assert_eq!(request.line, "POST /in?key=query-secret HTTP/1.1");
    assert_eq!(request.body, BODY.as_bytes());
    let fixed = [
        ("content-type", "application/json"),
        ("user-agent", "Tandem-Incident-Monitor/1.2.3"),
        ("x-tandem-event", "incident_monitor.incident"),
        ("x-tandem-delivery-id", "bmwh_00112233445566778899aabbccddeeff"),
        ("x-tandem-signature-scheme", "tandem_hmac_sha256_v1"),
        ("idempotency-key", "2688796e9043a2c220c3f1d1cb191a0147bbca46b64adfc3ddc0b906fe77849b"),
        ("webhook-id", "bmwh_00112233445566778899aabbccddeeff"),
        ("webhook-timestamp", "1700000000"),
    ];
    for (name, value) in fixed {
        assert_eq!(request.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    for absent in ["cookie", "referer", "authorization"] {
        assert!(!request.headers.contains_key(absent), "{absent}");
    }
    let now = AT_MS + 1_000;
    let tandem = &request.headers["x-tandem-signature"];
    assert_eq!(signature::verify_tandem(tandem, &request.body, &["new-secret"], now, 5_000), Ok(AT_MS));
    let standard = standard_of(&request.headers);
    assert_eq!(signature::verify_standard(&standard, &request.body, &["new-secret"], now, 5_000), Ok(()));
}

fn standard_of(headers: &std::collections::HashMap<String, String>) -> Standard {
    Standard {
        id: headers["webhook-id"].clone(),
        timestamp: headers["webhook-timestamp"].clone(),
        signature: headers["webhook-signature"].clone(),
    }
}

#[tokio::test]
async fn old_and_new_secrets_both_verify_during_a_rotation() {
    let receiver = Receiver::start(answer("200 OK", "", "{}")).await;
    let target = target(&receiver.url());
    let secrets = [Secret::new("new-secret"), Secret::new("old-secret")];
    let outcome = sender(Arc::default()).send(&delivery(&target, &secrets)).await;
    assert!(outcome.succeeded(), "{outcome:?}");
    let request = &receiver.received()[0];
    for (secret, expected) in [("new-secret", Ok(())), ("old-secret", Ok(())), ("other", Err(Refusal::Mismatch))] {
        let tandem = &request.headers["x-tandem-signature"];
        let checked = signature::verify_tandem(tandem, &request.body, &[secret], AT_MS, 0).map(|_| ());
        assert_eq!(checked, expected, "{secret}");
        let standard = standard_of(&request.headers);
        assert_eq!(signature::verify_standard(&standard, &request.body, &[secret], AT_MS, 5_000), expected, "{secret}");
    }
}

#[tokio::test]
async fn nothing_is_sent_unsigned_or_over_the_limit() {
    let receiver = Receiver::start(answer("200 OK", "", "")).await;
    let sending = sender(Arc::default());
    let whole = target(&receiver.url());
    let small = Target { payload_byte_limit: BODY.len() - 1, ..whole.clone() };
    let secrets = [Secret::new("new-secret")];
    let table = [(&whole, &secrets[..0], Code::SecretUnavailable), (&small, &secrets[..], Code::PayloadTooLarge)];
    for (target, secrets, code) in table {
        let outcome = sending.send(&delivery(target, secrets)).await;
        assert_eq!((outcome.error_code, outcome.status_code), (Some(code), None));
        assert_eq!(outcome.retryable, code == Code::SecretUnavailable);
    }
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn connections_are_kept_but_not_shared_between_permissions() {
    let receiver = Receiver::start(answer("200 OK", "", "ok")).await;
    // To these rules loopback is public, so both pools may dial it.
    let sending = sender_with(Arc::new(|_, _| Ok(())), Arc::default());
    let secrets = [Secret::new("new-secret")];
    let private = target(&receiver.url());
    let public = Target { allow_private_networks: false, ..private.clone() };
    for target in [&private, &private, &public, &public] {
        assert!(sending.send(&delivery(target, &secrets)).await.succeeded());
    }
    assert_eq!(receiver.received().len(), 4);
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 2);
}
