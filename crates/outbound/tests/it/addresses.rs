//! Which addresses are dialled, and who is asked about them.

use std::{
    net::IpAddr,
    process::Command,
    sync::{Arc, Mutex, atomic::Ordering},
};

use tandem_core::ports::Secret;
use tandem_outbound::{failure::AttemptOutcome, webhook::Target};

use crate::receiver::*;

async fn send(names: Arc<Names>, url: &str, allow_private_networks: bool) -> AttemptOutcome {
    let target = Target { allow_private_networks, ..target(url) };
    sender(names).send(&delivery(&target, &[Secret::new("new-secret")])).await
}

#[tokio::test]
async fn all_addresses_of_a_name_must_be_allowed() {
    let receiver = Receiver::start(answer("200 OK", "", "")).await;
    let url = format!("http://hooks.example.com:{}/", receiver.address.port());
    let table: [(&[&str], bool, Option<&str>); 6] = [
        (&["127.0.0.1"], true, None),
        (&["127.0.0.1"], false, Some("private_address")),
        // A public address first does not help, whichever is dialled first.
        (&["203.0.113.7", "127.0.0.1"], false, Some("private_address")),
        (&["127.0.0.1", "169.254.169.254"], true, Some("private_address")),
        (&["::ffff:127.0.0.1"], false, Some("private_address")),
        (&[], true, Some("dns_failed")),
    ];
    for (ips, private, code) in table {
        let outcome = send(Names::of("hooks.example.com", &[ips]), &url, private).await;
        assert_eq!(word(&outcome), code, "{ips:?}: {outcome:?}");
    }
    assert_eq!(receiver.received().len(), 1);
    let unknown = send(Names::of("other.example.com", &[&["127.0.0.1"]]), &url, true).await;
    assert_eq!((word(&unknown), unknown.retryable), (Some("dns_failed"), true));
}

/// The name answers with a public address while it is judged and with a private one when it is dialled. There is no
/// moment in between: the answer that is judged is the one that is dialled.
#[tokio::test]
async fn a_name_that_changes_its_answer_is_judged_by_what_is_dialled() {
    let receiver = Receiver::start(answer("200 OK", "connection: close\r\n", "")).await;
    let url = format!("http://rebind.example.com:{}/", receiver.address.port());
    let judged: Arc<Mutex<Vec<IpAddr>>> = Arc::default();
    let log = judged.clone();
    let names = Names::of("rebind.example.com", &[&["127.0.0.1"], &["127.0.0.2"]]);
    // The first answer stands for a public address, the second for a private one.
    let rules = move |ip: IpAddr, _: bool| {
        log.lock().expect("the log").push(ip);
        if ip.to_string() == "127.0.0.1" { Ok(()) } else { Err("private_address") }
    };
    let sending = sender_with(Arc::new(rules), names.clone());
    let target = Target { allow_private_networks: false, ..target(&url) };
    let secrets = [Secret::new("new-secret")];
    assert!(sending.send(&delivery(&target, &secrets)).await.succeeded());
    let second = sending.send(&delivery(&target, &secrets)).await;
    assert_eq!((word(&second), second.retryable), (Some("private_address"), false), "{second:?}");
    assert_eq!(names.asked.load(Ordering::SeqCst), 2, "one look-up for each connection, none besides");
    let seen: Vec<String> = judged.lock().expect("the log").iter().map(IpAddr::to_string).collect();
    assert_eq!(seen, ["127.0.0.1", "127.0.0.2"]);
    assert_eq!(receiver.received().len(), 1);
}

/// Literals bypass every resolver, so they are judged before. The rules see the address, however it was spelled.
#[tokio::test]
async fn literals_are_judged_too() {
    let receiver = Receiver::start(answer("200 OK", "", "")).await;
    let port = receiver.address.port();
    for host in ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let outcome = send(Arc::default(), &format!("http://{host}:{port}/"), false).await;
        assert_eq!(word(&outcome), Some("private_address"), "{host}");
    }
    let metadata = send(Arc::default(), "http://169.254.169.254/latest/meta-data", true).await;
    assert_eq!(word(&metadata), Some("private_address"));
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn every_embedded_form_reaches_the_rules_whole() {
    let asked: Arc<Mutex<Vec<IpAddr>>> = Arc::default();
    let log = asked.clone();
    let rules = move |ip: IpAddr, _: bool| {
        log.lock().expect("the log").push(ip);
        Err("refused")
    };
    let forms = [
        "::ffff:a00:1",
        "::a00:1",
        "::ffff:0:a00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "2002:a00:1::",
        "2001:0:a00:1::f5ff:fffe",
        "fe80::5efe:a00:1",
    ];
    let sending = sender_with(Arc::new(rules), Arc::default());
    for form in forms {
        let target = target(&format!("http://[{form}]/"));
        let outcome = sending.send(&delivery(&target, &[Secret::new("new-secret")])).await;
        assert_eq!(word(&outcome), Some("private_address"), "{form}");
    }
    let expected: Vec<IpAddr> = forms.iter().map(|form| form.parse().expect("an address")).collect();
    assert_eq!(*asked.lock().expect("the log"), expected);
}

const CHILD: &str = "TANDEM_TEST_PROXY_CHILD";

/// The environment of a process is fixed before it starts, so the test runs itself again under one that names a proxy.
#[tokio::test]
async fn proxies_of_the_environment_are_ignored() {
    if std::env::var_os(CHILD).is_some() {
        let (outcome, received) = attempt(answer("200 OK", "", ""), 5_000).await;
        assert!(outcome.succeeded(), "{outcome:?}");
        assert_eq!(received[0].line, "POST /in?key=query-secret HTTP/1.1");
        return;
    }
    let proxy = Receiver::start(answer("502 Bad Gateway", "", "")).await;
    let url = format!("http://{}", proxy.address);
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child.args(["--exact", "addresses::proxies_of_the_environment_are_ignored", "--nocapture"]).env(CHILD, "1");
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, &url);
    }
    for name in ["no_proxy", "NO_PROXY"] {
        child.env_remove(name);
    }
    let output = tokio::task::spawn_blocking(move || child.output()).await.expect("a thread").expect("a process");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 0);
}
