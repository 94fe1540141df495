//! The narrow waist between the store's logic and a database connection.
//!
//! SQL is written with `?1`-style parameters in the dialect that both databases share; [`Dialect`] names the places
//! where they differ. Statements go in lists: SQLite runs a list statement by statement, PostgreSQL sends the whole
//! list before it waits for the first answer, so a list costs one round trip.

use std::future::Future;

use tandem_core::record::Column;

use crate::error::Fault;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

/// A parameter, borrowed from whatever is being written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl Value<'_> {
    /// Counts and times of the domain are unsigned; the databases' integers are not.
    pub fn uint(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl<'a> From<&'a Column> for Value<'a> {
    fn from(column: &'a Column) -> Self {
        match column {
            Column::Null => Self::Null,
            Column::Int(value) => Self::Int(*value),
            Column::Text(value) => Self::Text(value),
            Column::Bytes(value) => Self::Bytes(value),
        }
    }
}

/// One statement with its parameters.
#[derive(Clone, Debug)]
pub struct Stmt<'a> {
    pub sql: &'a str,
    pub params: Vec<Value<'a>>,
}

impl<'a> Stmt<'a> {
    pub fn new(sql: &'a str, params: impl Into<Vec<Value<'a>>>) -> Self {
        Self { sql, params: params.into() }
    }
}

/// The cells of one result row, taken from left to right.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells(std::collections::VecDeque<Column>);

impl FromIterator<Column> for Cells {
    fn from_iter<I: IntoIterator<Item = Column>>(cells: I) -> Self {
        Self(cells.into_iter().collect())
    }
}

impl Cells {
    fn mistyped<T>(wanted: &str, found: Option<Column>) -> Result<T, Fault> {
        Err(Fault::Corrupt(match found {
            None => format!("expected {wanted}, found no cell"),
            Some(Column::Null) => format!("expected {wanted}, found NULL"),
            Some(Column::Int(_)) => format!("expected {wanted}, found an integer"),
            Some(Column::Text(_)) => format!("expected {wanted}, found text"),
            Some(Column::Bytes(_)) => format!("expected {wanted}, found bytes"),
        }))
    }

    pub fn int(&mut self) -> Result<i64, Fault> {
        match self.0.pop_front() {
            Some(Column::Int(value)) => Ok(value),
            other => Self::mistyped("an integer", other),
        }
    }

    pub fn uint(&mut self) -> Result<u64, Fault> {
        let value = self.int()?;
        u64::try_from(value).map_err(|_| Fault::Corrupt(format!("{value} is negative")))
    }

    pub fn maybe_uint(&mut self) -> Result<Option<u64>, Fault> {
        if self.0.front() == Some(&Column::Null) {
            self.0.pop_front();
            return Ok(None);
        }
        self.uint().map(Some)
    }

    pub fn text(&mut self) -> Result<String, Fault> {
        match self.0.pop_front() {
            Some(Column::Text(value)) => Ok(value),
            other => Self::mistyped("text", other),
        }
    }

    pub fn hash(&mut self) -> Result<[u8; 32], Fault> {
        match self.0.pop_front() {
            Some(Column::Bytes(value)) => {
                let length = value.len();
                value.try_into().map_err(|_| Fault::Corrupt(format!("a hash of {length} bytes")))
            }
            other => Self::mistyped("a hash", other),
        }
    }
}

/// A connection that writes. All of its futures are ready at once for SQLite.
pub trait Session: Send + 'static {
    const DIALECT: Dialect;

    /// Opens a transaction that may write, connecting first where that is needed.
    fn begin(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;
    fn commit(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Leaves no transaction open, whatever happened before.
    fn rollback(&mut self) -> impl Future<Output = ()> + Send;
    /// Statements without parameters or results: savepoints, definitions, notifications.
    fn control(&mut self, sql: &str) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Runs the statements in order and returns the number of rows that each changed.
    fn execute_all(&mut self, statements: &[Stmt<'_>]) -> impl Future<Output = Result<Vec<u64>, Fault>> + Send;
    fn query_all(&mut self, statements: &[Stmt<'_>]) -> impl Future<Output = Result<Vec<Vec<Cells>>, Fault>> + Send;

    fn query(&mut self, statement: Stmt<'_>) -> impl Future<Output = Result<Vec<Cells>, Fault>> + Send {
        async move { Ok(self.query_all(&[statement]).await?.pop().unwrap_or_default()) }
    }
}
