//! A GitHub on loopback that takes its time: every answer comes after a pause, and what was created is counted.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::Fault;

pub struct Tracker {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    pause: Duration,
    created: AtomicU64,
    /// Issues whose marker had been seen before.
    doubled: AtomicU64,
    markers: Mutex<HashSet<String>>,
    /// Creating requests under way, and the most there were.
    writing: AtomicUsize,
    most: AtomicUsize,
}

impl Tracker {
    pub async fn start(pause: Duration) -> Result<Self, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            pause,
            created: AtomicU64::new(0),
            doubled: AtomicU64::new(0),
            markers: Mutex::default(),
            writing: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                tokio::spawn(async move {
                    // A sender that goes away ends its connection; nothing else is to be done.
                    let _ = serve(stream, &shared).await;
                });
            }
        });
        Ok(Self { address, shared })
    }

    pub fn created(&self) -> u64 {
        self.shared.created.load(Ordering::Relaxed)
    }

    pub fn doubled(&self) -> u64 {
        self.shared.doubled.load(Ordering::Relaxed)
    }

    /// The most requests that created something at once.
    pub fn most(&self) -> usize {
        self.shared.most.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> Result<(), Fault> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(32 << 10);
    loop {
        buffer.clear();
        let head = loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let text = String::from_utf8_lossy(&buffer[..head]).into_owned();
        let length = text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(Ok(0), |(_, value)| value.trim().parse::<usize>())?;
        while buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let create = text.starts_with("POST ");
        if create {
            let now = shared.writing.fetch_add(1, Ordering::Relaxed) + 1;
            shared.most.fetch_max(now, Ordering::Relaxed);
        }
        tokio::time::sleep(shared.pause).await;
        let (status, answer) = if create {
            let body: Value = serde_json::from_slice(&buffer[head..head + length])?;
            let answer = shared.create(body["body"].as_str().unwrap_or_default());
            shared.writing.fetch_sub(1, Ordering::Relaxed);
            (201, answer)
        } else {
            (200, json!({ "total_count": 0, "incomplete_results": false, "items": [] }))
        };
        let answer = answer.to_string();
        let head = format!("HTTP/1.1 {status} Told\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat()).await?;
    }
}

impl Shared {
    fn create(&self, body: &str) -> Value {
        let marker = body.split("<!-- tandem:effect:v1:").nth(1).and_then(|rest| rest.split(' ').next());
        let fresh = marker.is_some_and(|marker| {
            self.markers.lock().unwrap_or_else(PoisonError::into_inner).insert(marker.to_owned())
        });
        if !fresh {
            self.doubled.fetch_add(1, Ordering::Relaxed);
        }
        let number = self.created.fetch_add(1, Ordering::Relaxed) + 1;
        json!({
            "number": number, "state": "open", "title": "t", "body": body,
            "html_url": format!("https://github.example/acme/checkout/issues/{number}"),
        })
    }
}
