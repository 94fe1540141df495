//! The floor: the least that a durable report can cost on this machine with the same web framework and database.
//!
//! axum takes the body, one thread writes whatever waits in one transaction (the raw body under its fingerprint) and
//! answers when that is durable. The settings of SQLite are those of the server's store. Nothing else: no token, no
//! rules, no second row, no log, no metrics.

use std::{borrow::Cow, path::Path};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::get, routing::post};
use rusqlite::Connection;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use crate::Fault;

const BATCH: usize = 256;

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    report: Named<'a>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    fingerprint: Cow<'a, str>,
}

struct Waiting {
    fingerprint: String,
    body: Bytes,
    durable: oneshot::Sender<()>,
}

pub fn serve(database: &str) -> Result<(), Fault> {
    let connection = open(Path::new(database))?;
    let (queue, inbox) = mpsc::channel(1024);
    std::thread::Builder::new().name("floor-write".into()).spawn(move || write(connection, inbox))?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("floor listening on http://{}", listener.local_addr()?);
        let router = Router::new()
            .route("/incident-monitor/report", post(report))
            .route("/global/health", get(|| async { "ok" }))
            .with_state(queue);
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
        axum::serve(listener, router).await?;
        Ok(())
    })
}

fn open(path: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA busy_timeout = 5000; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA journal_mode = WAL; \
         PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; \
         PRAGMA cache_size = -8192; \
         CREATE TABLE reports (fingerprint TEXT NOT NULL PRIMARY KEY, body BLOB NOT NULL) STRICT;",
    )?;
    Ok(connection)
}

fn write(mut connection: Connection, mut inbox: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::new();
    while inbox.blocking_recv_many(&mut waiting, BATCH) > 0 {
        let done = batch(&mut connection, &waiting);
        for one in waiting.drain(..) {
            // Without an answer the caller sees an error, which is what a failed write is.
            if done.is_ok() {
                let _ = one.durable.send(());
            }
        }
    }
}

fn batch(connection: &mut Connection, waiting: &[Waiting]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut statement = transaction.prepare_cached(
            "INSERT INTO reports (fingerprint, body) VALUES (?1, ?2) \
             ON CONFLICT (fingerprint) DO UPDATE SET body = excluded.body",
        )?;
        for one in waiting {
            statement.execute((&one.fingerprint, one.body.as_ref()))?;
        }
    }
    transaction.commit()
}

async fn report(State(queue): State<mpsc::Sender<Waiting>>, body: Bytes) -> StatusCode {
    let Ok(wrapped) = serde_json::from_slice::<Wrapped<'_>>(&body) else { return StatusCode::BAD_REQUEST };
    let fingerprint = wrapped.report.fingerprint.into_owned();
    let (durable, done) = oneshot::channel();
    if queue.send(Waiting { fingerprint, body, durable }).await.is_err() || done.await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::OK
}
