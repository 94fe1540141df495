//! Accepts connections and serves them until told to stop. A connection that sends its head too slowly is closed; on
//! stop, idle connections end at once and busy ones after their answer, within the deadline.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::Router;
use hyper::{body::Incoming, server::conn::http1};
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

pub fn start(listener: TcpListener, router: Router, stopping: watch::Receiver<bool>) -> Listening {
    Listening(tokio::spawn(accept(listener, router, stopping)))
}

async fn accept(listener: TcpListener, router: Router, mut stopping: watch::Receiver<bool>) {
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
        let (router, stopping) = (router.clone(), stopping.clone());
        connections.spawn(async move {
            serve(stream, router, stopping).await;
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

async fn serve(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    // Answers are written at once; waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let answer = router.clone().call(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
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
