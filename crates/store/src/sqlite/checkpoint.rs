//! Moving the journal into the database file without making writers wait for it.
//!
//! A thread copies the bulk while the writer goes on; what was written meanwhile is little, and the writer copies that
//! itself, after which the journal begins anew. Only when the thread cannot keep up at all does the writer do the work.

use std::{path::Path, sync::mpsc, thread::JoinHandle};

use rusqlite::Connection;

use super::session::{Role, connect};
use crate::error::OpenError;

/// Journal pages from which on the thread copies, and of which at least this many wait.
const BULK: i64 = 2_000;
/// Journal pages from which on the writer makes the journal begin anew, if no more than [`LITTLE`] wait.
const RESTART: i64 = 4_000;
const LITTLE: i64 = 400;
/// Journal pages at which the writer copies whatever waits.
const LIMIT: i64 = 16_000;

pub struct Checkpoints {
    wake: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub fn start(path: &Path) -> Result<Self, OpenError> {
        let connection = connect(path, Role::Checkpoints)?;
        let (wake, woken) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("tandem-ckpt".into())
            .spawn(move || {
                while woken.recv().is_ok() {
                    copy(&connection);
                }
            })
            .map_err(|error| OpenError::Unavailable(format!("no thread to checkpoint with: {error}")))?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }

    pub fn after_commit(&mut self, writer: &Connection) {
        let Ok((pages, copied)) = state(writer, "PRAGMA wal_checkpoint(NOOP)") else { return };
        let waiting = pages - copied;
        if pages >= LIMIT || (pages >= RESTART && waiting <= LITTLE) {
            copy(writer);
        } else if waiting >= BULK
            && let Some(wake) = &self.wake
        {
            // Full means that it is woken already.
            let _ = wake.try_send(());
        }
    }
}

/// Journal pages, and how many of them are in the file.
fn state(connection: &Connection, pragma: &str) -> rusqlite::Result<(i64, i64)> {
    connection.prepare_cached(pragma)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}

fn copy(connection: &Connection) {
    // Nothing is lost when it fails: the journal stays and is copied later.
    if let Err(error) = state(connection, "PRAGMA wal_checkpoint(PASSIVE)") {
        tracing::debug!(%error, "the journal was not moved into the database");
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}
