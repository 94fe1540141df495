//! Accepts connections and serves them until told to stop. A connection that sends its head too slowly is closed; on
//! stop, idle connections end at once and busy ones after their answer, within the deadline.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::response::Response;
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
};
use tower::Service;

use super::refusal::Courteous;

/// A request's head must be complete within this time. It also bounds how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// In-flight requests may take this long after the stop; it leaves room for closing the store within ten seconds.
const DRAIN: Duration = Duration::from_secs(8);
/// More connections wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 10_000;
/// Heads above this are refused with 431.
const MAX_HEAD: usize = 128 * 1024;

pub struct Listening(JoinHandle<()>);

impl Listening {
    /// Waits until every connection has ended. The stop itself comes through the channel given to [`start`].
    pub async fn finish(self) {
        let _ = self.0.await;
    }
}

/// Answers requests, and never fails to.
pub trait Answer:
    Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Answer for S where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

pub fn start(listener: TcpListener, answer: impl Answer, stopping: watch::Receiver<bool>) -> Listening {
    Listening(tokio::spawn(accept(listener, answer, stopping)))
}

async fn accept(listener: TcpListener, answer: impl Answer, mut stopping: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            accepted = next(&listener, &room) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let (answer, stopping) = (answer.clone(), stopping.clone());
        connections.spawn(async move {
            serve(stream, answer, stopping).await;
            drop(place);
        });
    }
    drop(listener);
    let drained = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(open = connections.len(), "requests were still running at the deadline");
    }
}

async fn next(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            // Out of file descriptors, most likely. Accepting again at once would only spin.
            tracing::warn!(%error, "a connection was not accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn serve(stream: TcpStream, answer: impl Answer, mut stopping: watch::Receiver<bool>) {
    // Answers are written at once; waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| answer.clone().call(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .half_close(false)
        .serve_connection(TokioIo::new(Courteous::new(stream)), service);
    tokio::pin!(connection);
    let stop = async {
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients break off and send nonsense every day; it says nothing about the server.
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Notify,
    };

    use super::*;

    struct Running {
        listening: Listening,
        stop: watch::Sender<bool>,
        address: std::net::SocketAddr,
        /// Told when `/slow` is reached, and what it waits for.
        reached: Arc<Notify>,
        go_on: Arc<Notify>,
    }

    async fn running() -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (Arc::clone(&reached), Arc::clone(&go_on));
        let slow = get(move || async move {
            tell.notify_one();
            wait.notified().await;
            "slow"
        });
        let router = Router::new().route("/quick", get(|| async { "quick" })).route("/slow", slow);
        Running { listening: start(listener, router, stopping), stop, address, reached, go_on }
    }

    async fn read_some(stream: &mut TcpStream) -> String {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        String::from_utf8(buffer[..read].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn heads_that_are_not_http_get_the_envelope() {
        let server = running().await;
        let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000));
        let wide = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(200_000));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(500));
        let cases: [(&[u8], &str); 8] = [
            (b"GET / HTTP/9.9\r\n\r\n", "400"),
            (b"\x16\x03\x01\x02\x00 TLS\r\n\r\n", "400"),
            (b"GET /\x00 HTTP/1.1\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nx: \x01\r\n\r\n", "400"),
            (long.as_bytes(), "414"),
            (wide.as_bytes(), "431"),
            (many.as_bytes(), "431"),
        ];
        for (head, status) in cases {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let (mut reader, mut writer) = stream.split();
            let mut answer = Vec::new();
            // The server may refuse before it has read everything, so writing may fail; the answer must arrive anyway.
            let send = async { drop(writer.write_all(head).await) };
            let read = async { drop(reader.read_to_end(&mut answer).await) };
            tokio::join!(send, read);
            let answer = String::from_utf8_lossy(&answer);
            let shown: String = String::from_utf8_lossy(head).chars().take(40).collect();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answer}");
            let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
            assert_eq!(body["code"], "VALIDATION_FAILED");
        }
    }

    #[tokio::test]
    async fn idle_connections_do_not_hold_the_stop() {
        let server = running().await;
        let mut kept = TcpStream::connect(server.address).await.unwrap();
        for _ in 0..2 {
            kept.write_all(b"GET /quick HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            assert!(read_some(&mut kept).await.ends_with("quick"));
        }
        let _silent = TcpStream::connect(server.address).await.unwrap();
        let asked = Instant::now();
        server.stop.send_replace(true);
        server.listening.finish().await;
        assert!(asked.elapsed() < Duration::from_secs(4));
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn what_is_in_flight_is_answered() {
        let server = running().await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        server.reached.notified().await;
        server.stop.send_replace(true);
        server.go_on.notify_one();
        assert!(read_some(&mut stream).await.ends_with("slow"));
        server.listening.finish().await;
    }
}
