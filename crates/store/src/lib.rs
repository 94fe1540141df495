//! The durable state, twice: SQLite for one process, PostgreSQL for many.
//!
//! Everything that must hold for both (how a commit is applied, how sequence numbers are given, how signals are
//! coalesced, how jobs are claimed) is written once, over the narrow [`session::Session`]. A back end only opens
//! connections, runs statements and says which errors mean what. No product rule lives here: folding a signal is
//! `tandem_core`'s, the store decides only when and on which rows it runs.

mod engine;
mod error;
#[cfg(test)]
mod plans;
mod postgres;
mod read;
mod schema;
mod session;
mod sql;
mod sqlite;
mod write;

pub use engine::Engine;
pub use error::OpenError;
pub use postgres::{PgStore, open_postgres};
pub use schema::KNOWN_VERSION;
pub use sqlite::{SqliteStore, open_sqlite};
