//! PostgreSQL: one database, any number of engines. One connection writes, a few read, one listens for new jobs.
//!
//! Nothing that matters is kept in memory: what engines decide together, they decide on rows that one of them has
//! locked. TLS is not built in; an address that demands it is refused and not quietly served without.

mod connection;
mod faults;
mod listen;
mod reads;
mod session;

use std::str::FromStr as _;

use tokio::{sync::watch, task::JoinHandle};
use tokio_postgres::{Config, config::SslMode};

use self::{reads::Reads, session::PgSession};
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
    let config = settings(url)?;
    let mut session = PgSession::new(config.clone());
    schema::migrate(&mut session, Blank::Accept).await?;
    let (queue, inbox) = write::queue();
    let (waker, wakes) = watch::channel(0);
    let listener = listen::start(config.clone(), waker.clone());
    let writer = tokio::spawn(async move {
        drop(write::run(session, inbox, waker).await);
    });
    Ok(Engine::new(queue, Postgres { reads: Reads::new(config), writer: Some(writer), listener }, wakes))
}

fn settings(url: &str) -> Result<Config, OpenError> {
    // The parser's error does not repeat the address, which may hold a password.
    let mut config = Config::from_str(url).map_err(|error| OpenError::Unsupported(error.to_string()))?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err(OpenError::Unsupported("sslmode=require: this build speaks to PostgreSQL without TLS".into()));
    }
    if config.get_application_name().is_none() {
        config.application_name("tandem");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(connection::CONNECT_TIME);
    }
    // A writer whose machine vanished must not hold a tenant's lock for as long as the server takes to notice.
    let ours = "-c lock_timeout=15s -c idle_in_transaction_session_timeout=30s";
    let options = config.get_options().map_or_else(|| ours.to_owned(), |given| format!("{ours} {given}"));
    config.options(options);
    Ok(config)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_never_silently_left_out() {
        let refused = settings("postgres://u:secret@host/db?sslmode=require").map(|_| ()).unwrap_err();
        assert!(matches!(&refused, OpenError::Unsupported(why) if why.contains("sslmode=require")), "{refused}");
        assert!(settings("postgres://u@host/db").is_ok());
        let bad = settings("postgres://u:secret@host:port/db").map(|_| ()).unwrap_err().to_string();
        assert!(!bad.contains("secret"), "{bad}");
    }
}
