//! PostgreSQL: one database, any number of engines. One connection writes, a few read, one listens for new jobs.
//!
//! Nothing that matters is kept in memory: what engines decide together, they decide on rows that one of them has
//! locked.

mod connection;
mod faults;
mod listen;
#[cfg(test)]
mod plans;
mod reads;
mod session;
mod target;

use tokio::{sync::watch, task::JoinHandle};

use self::{reads::Reads, session::PgSession, target::Target};
use crate::{
    engine::{Backend, Engine},
    error::{Fault, OpenError},
    schema::{self, Blank},
    session::Cells,
    sql::Select,
    write,
};

pub type PgStore = Engine<Postgres>;

/// Connects to the database at `url` and brings its schema up to date.
pub async fn open_postgres(url: &str) -> Result<PgStore, OpenError> {
    let target = Target::parse(url)?;
    let mut session = PgSession::new(target.clone());
    schema::migrate(&mut session, Blank::Accept).await?;
    let (queue, inbox) = write::queue();
    let (waker, wakes) = watch::channel(0);
    let listener = listen::start(target.clone(), waker.clone());
    let writer = tokio::spawn(async move {
        drop(write::run(session, inbox, waker).await);
    });
    Ok(Engine::new(queue, Postgres { reads: Reads::new(target), writer: Some(writer), listener }, wakes))
}

/// The connections of an open database.
pub struct Postgres {
    reads: Reads,
    writer: Option<JoinHandle<()>>,
    listener: JoinHandle<()>,
}

impl Backend for Postgres {
    const EXCLUSIVE: bool = false;

    async fn rows(&self, select: Select) -> Result<Vec<Cells>, Fault> {
        self.reads.rows(select).await
    }

    async fn close(mut self) {
        if let Some(writer) = self.writer.take() {
            // An error says that the task is gone, which is what is waited for.
            let _ = writer.await;
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The writer ends by itself when its queue is empty and closed.
        self.listener.abort();
    }
}
