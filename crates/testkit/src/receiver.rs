//! A webhook endpoint that does what a script says and remembers what it was sent.

use std::{
    collections::HashMap,
    io::{BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::Value;
use tandem_core::publish::signature::{self, Standard, TOLERANCE_MS};

use crate::{
    now_ms,
    wire::{self, Headers},
};

/// What the endpoint does with one request.
#[derive(Clone, Debug)]
pub enum Script {
    Status(u16),
    /// With further headers.
    With(u16, Vec<(&'static str, String)>),
    /// After a pause.
    Late(Duration, u16),
    /// Never answers; the connection stays open until the receiver is dropped.
    Hang,
    /// Closes the connection without an answer.
    Cut,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub at_ms: u64,
    pub path: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        wire::header(&self.headers, name).unwrap_or_default()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// Checks both forms of the signature with these secrets.
    pub fn verify(&self, secrets: &[&str]) -> Result<(), signature::Refusal> {
        let (header, now) = (self.header("x-tandem-signature"), now_ms());
        signature::verify_tandem(header, &self.body, secrets, now, TOLERANCE_MS)?;
        let standard = Standard {
            id: self.header("webhook-id").to_owned(),
            timestamp: self.header("webhook-timestamp").to_owned(),
            signature: self.header("webhook-signature").to_owned(),
        };
        signature::verify_standard(&standard, &self.body, secrets, now, TOLERANCE_MS)
    }
}

#[derive(Default)]
struct Held {
    /// By path; the last entry of a script stays.
    scripts: HashMap<String, Vec<Script>>,
    received: Vec<Received>,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    held: Mutex<Held>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// An endpoint on loopback. Answers 200 where no script says otherwise.
pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.lock().stopped {
                    break;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&accepting)) else { continue };
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Replaces the script of a path.
    pub fn on(&self, path: &str, script: impl IntoIterator<Item = Script>) {
        self.shared.lock().scripts.insert(path.to_owned(), script.into_iter().collect());
    }

    /// What came to a path so far.
    pub fn received(&self, path: &str) -> Vec<Received> {
        self.shared.lock().received.iter().filter(|request| request.path == path).cloned().collect()
    }

    /// What came to any path so far.
    pub fn everything(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }

    /// Waits until a path has had this many requests.
    #[track_caller]
    pub fn wait(&self, path: &str, count: usize, limit: Duration) -> Vec<Received> {
        let deadline = Instant::now() + limit;
        let mut held = self.shared.lock();
        loop {
            let found: Vec<Received> = held.received.iter().filter(|r| r.path == path).cloned().collect();
            if found.len() >= count {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{path} was sent {} of {count} requests within {limit:?}", found.len());
            held = self.shared.changed.wait_timeout(held, left).map_or_else(|error| error.into_inner().0, |(h, _)| h);
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Ok(Some((first, headers))) = wire::head(&mut reader) {
        let Ok(body) = wire::body(&mut reader, &headers, false) else { return };
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let script = {
            let mut held = shared.lock();
            held.received.push(Received { at_ms: now_ms(), path: path.clone(), headers, body });
            shared.changed.notify_all();
            match held.scripts.get_mut(&path) {
                Some(script) if script.len() > 1 => script.remove(0),
                Some(script) => script.first().cloned().unwrap_or(Script::Status(200)),
                None => Script::Status(200),
            }
        };
        let (status, more) = match script {
            Script::Status(status) => (status, Vec::new()),
            Script::With(status, headers) => (status, headers),
            Script::Late(pause, status) => {
                std::thread::sleep(pause);
                (status, Vec::new())
            }
            Script::Hang => {
                let mut held = shared.lock();
                while !held.stopped {
                    held = shared.changed.wait(held).unwrap_or_else(std::sync::PoisonError::into_inner);
                }
                return;
            }
            Script::Cut => return,
        };
        let mut answer = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: 2\r\n");
        for (name, value) in more {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str("\r\nok");
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
