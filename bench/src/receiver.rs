//! Webhook receivers on loopback: one that answers at once, one that never answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tandem_core::publish::signature;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{Fault, process::SECRET};

pub struct Receiver {
    pub address: SocketAddr,
    pub taken: Arc<AtomicU64>,
    /// Deliveries whose signature was looked at and found wrong.
    pub forged: Arc<AtomicU64>,
}

impl Receiver {
    pub async fn start(answers: bool) -> Result<Self, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (taken, forged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counts = (Arc::clone(&taken), Arc::clone(&forged));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (taken, forged) = (Arc::clone(&counts.0), Arc::clone(&counts.1));
                tokio::spawn(async move {
                    // A sender that goes away ends its connection; nothing else is to be done.
                    let _ = serve(stream, answers, &taken, &forged).await;
                });
            }
        });
        Ok(Self { address, taken, forged })
    }
}

async fn serve(mut stream: TcpStream, answers: bool, taken: &AtomicU64, forged: &AtomicU64) -> Result<(), Fault> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 << 10);
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
        let (mut length, mut signed) = (0, String::new());
        for line in String::from_utf8_lossy(&buffer[..head]).lines() {
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse()?,
                Some((name, value)) if name.eq_ignore_ascii_case("x-tandem-signature") => value.clone_into(&mut signed),
                Some(_) | None => {}
            }
        }
        while buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        if !answers {
            std::future::pending::<()>().await;
        }
        // Checking each would take from the server what is to be measured; one in 64 shows that they are signed.
        if taken.fetch_add(1, Ordering::Relaxed).is_multiple_of(64) {
            let now_ms = std::time::UNIX_EPOCH.elapsed()?.as_millis() as u64;
            let body = &buffer[head..head + length];
            if signature::verify_tandem(&signed, body, &[SECRET], now_ms, signature::TOLERANCE_MS).is_err() {
                forged.fetch_add(1, Ordering::Relaxed);
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
}
