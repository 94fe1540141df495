//! A receiver that keeps what it was sent and answers as scripted, and everything around a delivery to it.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tandem_core::{
    ports::{BoxFuture, Secret},
    publish::payload::Event,
};
use tandem_outbound::{
    egress::{Egress, Lookup, Rules},
    failure::AttemptOutcome,
    webhook::{Delivery, Target, Webhook},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub const BODY: &str = r#"{"event":"incident_monitor.incident"}"#;
pub const AT_MS: u64 = 1_700_000_000_123;

#[derive(Clone, Debug, Default)]
pub struct Received {
    pub line: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// What a receiver does once it has the request.
#[derive(Clone, Debug)]
pub enum Script {
    /// Sends this and closes.
    Answer(String),
    /// Sends this and says no more, with the connection open.
    Hang(String),
    /// Sends this, then the second text forever.
    Endless(String, String),
    /// Closes without a word.
    HangUp,
}

pub struct Receiver {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Received>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (connections, received) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, log) = (connections.clone(), received.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, script.clone(), log.clone()));
            }
        });
        Self { address, connections, received, task }
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("the log").clone()
    }

    pub fn url(&self) -> String {
        format!("http://{}/in?key=query-secret", self.address)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Script, log: Arc<Mutex<Vec<Received>>>) {
    while let Some(request) = read(&mut stream).await {
        log.lock().expect("the log").push(request);
        match &script {
            Script::Answer(text) => {
                if stream.write_all(text.as_bytes()).await.is_err() || text.contains("connection: close") {
                    return;
                }
            }
            Script::Hang(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                std::future::pending::<()>().await;
            }
            Script::Endless(head, more) => {
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(more.as_bytes()).await.is_ok() {}
                return;
            }
            Script::HangUp => return,
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut received = Received { line: lines.next().unwrap_or_default().to_owned(), ..Received::default() };
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        received.headers.insert(name.to_owned(), value.to_owned());
    }
    let length: usize = received.headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    received.body = bytes[end..end + length].to_vec();
    Some(received)
}

pub fn answer(status: &str, headers: &str, body: &str) -> Script {
    Script::Answer(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()))
}

/// Names that are known, and how often each was asked for.
#[derive(Default)]
pub struct Names {
    pub answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub asked: AtomicUsize,
}

impl Names {
    /// `rounds` are the answers in turn; the last one stays.
    pub fn of(name: &str, rounds: &[&[&str]]) -> Arc<Self> {
        let rounds = rounds.iter().map(|ips| ips.iter().map(|ip| ip.parse().expect("an address")).collect()).collect();
        Arc::new(Self { answers: Mutex::new(HashMap::from([(name.to_owned(), rounds)])), ..Self::default() })
    }
}

impl Lookup for Names {
    fn lookup<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let answers = self.answers.lock().expect("the names");
        let found = answers.get(host).and_then(|rounds| rounds.get(asked).or(rounds.last())).cloned();
        Box::pin(async move { found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such name")) })
    }
}

/// Loopback counts as private; one address stands for a metadata service.
pub fn rules(ip: IpAddr, allow_private: bool) -> Result<(), &'static str> {
    if ip.to_string() == "169.254.169.254" {
        return Err("metadata_address");
    }
    if ip.to_canonical().is_loopback() && !allow_private { Err("loopback_address") } else { Ok(()) }
}

pub fn sender(names: Arc<Names>) -> Webhook {
    sender_with(Arc::new(rules), names)
}

pub fn sender_with(rules: Arc<dyn Rules>, names: Arc<Names>) -> Webhook {
    Webhook::new(Arc::new(Egress::new(rules, names)), "1.2.3")
}

pub fn target(url: &str) -> Target {
    Target {
        url: url.parse().expect("a URL"),
        allow_private_networks: true,
        timeout_ms: 5_000,
        payload_byte_limit: 65_536,
        response_byte_limit: 1_024,
    }
}

pub fn delivery<'a>(target: &'a Target, secrets: &'a [Secret]) -> Delivery<'a> {
    Delivery {
        target,
        event: Event::Incident.word(),
        delivery_id: "bmwh_00112233445566778899aabbccddeeff",
        idempotency_key: "2688796e9043a2c220c3f1d1cb191a0147bbca46b64adfc3ddc0b906fe77849b",
        body: Bytes::from_static(BODY.as_bytes()),
        secrets,
        redaction_profile: None,
        at_ms: AT_MS,
    }
}

/// One attempt at a receiver that follows `script`.
pub async fn attempt(script: Script, timeout_ms: u64) -> (AttemptOutcome, Vec<Received>) {
    let receiver = Receiver::start(script).await;
    let target = Target { timeout_ms, ..target(&receiver.url()) };
    let sending = sender(Arc::default());
    let secrets = [Secret::new("new-secret")];
    let delivery = delivery(&target, &secrets);
    let outcome = tokio::time::timeout(Duration::from_secs(20), sending.send(&delivery)).await;
    (outcome.expect("the sender's own timeout is shorter"), receiver.received())
}

pub fn word(outcome: &AttemptOutcome) -> Option<&'static str> {
    outcome.error_code.map(|code| code.word())
}
