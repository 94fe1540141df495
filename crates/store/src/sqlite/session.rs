//! A connection to the database file. Statements are prepared once and kept.

use std::path::{Path, PathBuf};

use rusqlite::{
    Connection, OpenFlags, ToSql,
    config::DbConfig,
    params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use tandem_core::record::Column;

use super::checkpoint::Checkpoints;
use crate::{
    error::{Fault, OpenError},
    schema,
    session::{Cells, Dialect, Session, Stmt, Value},
};

const STATEMENTS: usize = 128;

/// Pages are kept in 64 MiB for the writer and 8 MiB for a reader; the system's file cache holds the rest.
pub enum Role {
    Writer,
    Reader,
    Checkpoints,
}

/// Opens a connection. Never creates a file.
pub fn connect(path: &Path, role: Role) -> Result<Connection, Fault> {
    let (access, settings) = match role {
        Role::Writer => (
            OpenFlags::SQLITE_OPEN_READ_WRITE,
            "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; \
             PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -65536;",
        ),
        Role::Reader => (OpenFlags::SQLITE_OPEN_READ_ONLY, "PRAGMA query_only = TRUE; PRAGMA cache_size = -8192;"),
        Role::Checkpoints => {
            (OpenFlags::SQLITE_OPEN_READ_WRITE, "PRAGMA synchronous = FULL; PRAGMA cache_size = -256;")
        }
    };
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;")?;
    connection.execute_batch(settings)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise a new parameter value may have a statement prepared anew, which costs more than running it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

pub struct SqliteSession {
    path: PathBuf,
    connection: Connection,
    checkpoints: Option<Checkpoints>,
    /// The file system failed under the connection: open a new one before the next transaction.
    doubtful: bool,
}

impl SqliteSession {
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = connect(path, Role::Writer)?;
        Ok(Self { path: path.to_owned(), connection, checkpoints: None, doubtful: false })
    }

    /// Hands most of the journal's moving to a thread of its own.
    pub fn background_checkpoints(&mut self) -> Result<(), OpenError> {
        self.connection.execute_batch("PRAGMA wal_autocheckpoint = 0").map_err(Fault::from)?;
        self.checkpoints = Some(Checkpoints::start(&self.path)?);
        Ok(())
    }

    /// Ends the leases of the process before this one. It is gone, and nobody else can hold one: what it had under way is
    /// due at once, instead of when its leases would have run out.
    pub fn end_leases(&self) -> Result<(), OpenError> {
        let sql = "UPDATE jobs SET lease = NULL, ready_at_ms = due_at_ms WHERE lease IS NOT NULL";
        match self.connection.execute(sql, []) {
            Ok(_) => Ok(()),
            Err(error) => Err(OpenError::Unavailable(error.to_string())),
        }
    }

    /// A few cheap reads in every table: its first and last row and the paths to them. A full check takes too long on a
    /// large database to be part of a start.
    pub fn probe(&self) -> Result<(), OpenError> {
        let unreadable = |error: rusqlite::Error| OpenError::Unreadable(error.to_string());
        for table in schema::table_names() {
            for direction in ["ASC", "DESC"] {
                let sql = format!("SELECT * FROM {table} ORDER BY rowid {direction} LIMIT 1");
                let mut statement = self.connection.prepare(&sql).map_err(unreadable)?;
                let mut rows = statement.query([]).map_err(unreadable)?;
                rows.next().map_err(unreadable)?;
            }
        }
        Ok(())
    }

    /// Leaves everything in the one file.
    pub fn fold_journal(&self) -> Result<(), OpenError> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(Fault::from)?;
        Ok(())
    }

    fn run(&self, sql: &str) -> Result<(), Fault> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// Notes what a failure says about the connection.
    fn judge<T>(&mut self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        if matches!(outcome, Err(Fault::Unavailable(_) | Fault::Corrupt(_))) {
            self.doubtful = true;
        }
        outcome
    }

    fn begin_now(&mut self) -> Result<(), Fault> {
        if self.doubtful {
            self.connection = connect(&self.path, Role::Writer)?;
            if self.checkpoints.is_some() {
                self.connection.execute_batch("PRAGMA wal_autocheckpoint = 0")?;
            }
            self.doubtful = false;
        }
        self.run("BEGIN IMMEDIATE")
    }

    fn rollback_now(&mut self) {
        // SQLite itself has rolled back after some errors.
        if !self.connection.is_autocommit() && self.run("ROLLBACK").is_err() {
            self.doubtful = true;
        }
    }
}

impl Session for SqliteSession {
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn begin(&mut self) -> Result<(), Fault> {
        let outcome = self.begin_now();
        self.judge(outcome)
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        let outcome = self.run("COMMIT");
        if outcome.is_err() {
            self.rollback_now();
        } else if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.after_commit(&self.connection);
        }
        self.judge(outcome)
    }

    async fn rollback(&mut self) {
        self.rollback_now();
    }

    async fn control(&mut self, sql: &str) -> Result<(), Fault> {
        let outcome = self.run(sql);
        self.judge(outcome)
    }

    async fn execute_all(&mut self, statements: &[Stmt<'_>]) -> Result<Vec<u64>, Fault> {
        let connection = &self.connection;
        let outcome = statements
            .iter()
            .map(|statement| {
                let mut prepared = connection.prepare_cached(statement.sql)?;
                Ok(prepared.execute(params_from_iter(&statement.params))? as u64)
            })
            .collect();
        self.judge(outcome)
    }

    async fn query_all(&mut self, statements: &[Stmt<'_>]) -> Result<Vec<Vec<Cells>>, Fault> {
        let connection = &self.connection;
        let outcome = statements.iter().map(|s| rows(connection, s.sql, &s.params)).collect();
        self.judge(outcome)
    }
}

/// Runs one query.
pub fn rows(connection: &Connection, sql: &str, params: &[Value<'_>]) -> Result<Vec<Cells>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let width = statement.column_count();
    let mut rows = statement.query(params_from_iter(params))?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let cells: Result<Cells, Fault> = (0..width).map(|n| cell(row.get_ref(n)?)).collect();
        out.push(cells?);
    }
    Ok(out)
}

fn cell(value: ValueRef<'_>) -> Result<Column, Fault> {
    Ok(match value {
        ValueRef::Null => Column::Null,
        ValueRef::Integer(value) => Column::Int(value),
        ValueRef::Text(value) => match std::str::from_utf8(value) {
            Ok(value) => Column::text(value),
            Err(error) => return Err(Fault::Corrupt(format!("text that is not text: {error}"))),
        },
        ValueRef::Blob(value) => Column::Bytes(value.to_vec()),
        ValueRef::Real(_) => return Err(Fault::Corrupt("a fraction where none is stored".into())),
    })
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}
