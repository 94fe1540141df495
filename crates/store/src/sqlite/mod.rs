//! SQLite: one file, one process. One thread writes, a few read, one moves the journal into the file. A row that is
//! asked for by its key is read by whoever asks, and so is a walk over a whole collection.
//!
//! Locking the state directory against a second process is the server's; here a busy database is only waited for.

mod checkpoint;
mod executor;
mod faults;
mod files;
#[cfg(test)]
mod plans;
mod readers;
mod session;

use std::{path::Path, thread::JoinHandle};

use tokio::sync::{oneshot, watch};

pub use self::executor::block_on;
#[cfg(test)]
pub use self::files::prepare;
use self::readers::Readers;
pub use self::session::SqliteSession;
use crate::{
    engine::{Backend, Engine},
    error::{Fault, OpenError},
    schema::{self, Blank},
    session::Cells,
    sql::Select,
    write,
};

pub type SqliteStore = Engine<Sqlite>;

/// Three read at a time; more would only share the same two cores.
const READERS: usize = 3;

/// Opens the database at `path`, or creates it where there is nothing.
pub fn open_sqlite(path: &Path) -> Result<SqliteStore, OpenError> {
    files::prepare(path)?;
    let mut session = SqliteSession::open(path)?;
    block_on(schema::migrate(&mut session, Blank::Refuse))?;
    session.probe()?;
    session.end_leases()?;
    session.background_checkpoints()?;

    let (queue, inbox) = write::queue();
    let (waker, wakes) = watch::channel(0);
    let (finished, finish) = oneshot::channel();
    let readers = Readers::start(path, READERS)?;
    let writer = std::thread::Builder::new()
        .name("tandem-write".into())
        .spawn(move || {
            drop(block_on(write::run(session, inbox, waker)));
            // Nobody waits for it when the store was dropped.
            let _ = finished.send(());
        })
        .map_err(|error| OpenError::Unavailable(format!("no thread to write with: {error}")))?;
    Ok(Engine::new(queue, Sqlite { readers, writer: Some(writer), finish: Some(finish) }, wakes))
}

/// The threads of an open database.
pub struct Sqlite {
    readers: Readers,
    writer: Option<JoinHandle<()>>,
    finish: Option<oneshot::Receiver<()>>,
}

impl Backend for Sqlite {
    const EXCLUSIVE: bool = true;

    async fn rows(&self, select: Select) -> Result<Vec<Cells>, Fault> {
        self.readers.rows(select).await
    }

    async fn here(&self, select: Select) -> Result<Vec<Cells>, Fault> {
        self.readers.here(&select)
    }

    async fn close(mut self) {
        if let Some(finish) = self.finish.take() {
            // An error says that the writer is gone, which is what is waited for.
            let _ = finish.await;
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.readers.stop();
        if let Some(writer) = self.writer.take() {
            // What was accepted is written before the process goes on; a writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}
