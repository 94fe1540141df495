//! The reading threads. Each has a connection of its own and takes the next question from one queue.
//!
//! One row by its key takes some microseconds from pages in memory, less than two changes of thread would. It is read on
//! the caller's thread, over a connection that is kept for that; a page or a count goes to the threads, because it may
//! take as long as the disk does. Who walks over a whole collection has a thread for that, and reads on it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::session::{Role, connect, rows};
use crate::{
    error::{Fault, OpenError},
    session::{Cells, Value},
    sql::Select,
};

struct Question {
    select: Select,
    reply: oneshot::Sender<Result<Vec<Cells>, Fault>>,
}

/// Connections for reads on the caller's thread that are kept when nobody uses them.
const IDLE: usize = 2;

pub struct Readers {
    queue: Option<mpsc::Sender<Question>>,
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
}

impl Readers {
    pub fn start(path: &Path, threads: usize) -> Result<Self, OpenError> {
        let (sender, receiver) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for n in 0..threads {
            let mut reader = Reader { path: path.to_owned(), connection: Some(connect(path, Role::Reader)?) };
            let questions = Arc::clone(&receiver);
            std::thread::Builder::new()
                .name(format!("tandem-read-{n}"))
                .spawn(move || {
                    while let Some(Question { select, reply }) = next(&questions) {
                        // The caller may have gone away.
                        let _ = reply.send(reader.answer(&select));
                    }
                })
                .map_err(|error| OpenError::Unavailable(format!("no thread to read with: {error}")))?;
        }
        Ok(Self { queue: Some(sender), path: path.to_owned(), idle: Mutex::default() })
    }

    pub async fn rows(&self, select: Select) -> Result<Vec<Cells>, Fault> {
        let closed = || Fault::Unavailable("the store is closed".into());
        let (reply, answer) = oneshot::channel();
        self.queue.as_ref().ok_or_else(closed)?.send(Question { select, reply }).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Answers on the caller's thread.
    pub fn here(&self, select: &Select) -> Result<Vec<Cells>, Fault> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let mut reader = kept.unwrap_or_else(|| Reader { path: self.path.clone(), connection: None });
        let answer = reader.answer(select);
        let mut idle = idle();
        if idle.len() < IDLE && reader.connection.is_some() {
            idle.push(reader);
        }
        answer
    }

    /// The threads end when they have answered what is queued.
    pub fn stop(&mut self) {
        self.queue = None;
    }
}

/// One thread at a time waits in the queue, the others wait for their turn to.
fn next(questions: &Mutex<mpsc::Receiver<Question>>) -> Option<Question> {
    questions.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

struct Reader {
    path: PathBuf,
    connection: Option<Connection>,
}

impl Reader {
    fn answer(&mut self, select: &Select) -> Result<Vec<Cells>, Fault> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.path, Role::Reader)?,
        };
        let params: Vec<Value<'_>> = select.params.iter().map(Value::from).collect();
        let answer = rows(&connection, &select.sql, &params);
        // A connection under which the file system failed is not asked again.
        if !matches!(answer, Err(Fault::Unavailable(_) | Fault::Corrupt(_))) {
            self.connection = Some(connection);
        }
        answer
    }
}
