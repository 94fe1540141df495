//! The writing connection. It connects when it is needed, and after a failure not more often than the back-off allows.

use std::time::{Duration, Instant};

use super::{connection::Connection, target::Target};
use crate::{
    error::Fault,
    session::{Cells, Dialect, Session, Stmt},
};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

pub struct PgSession {
    target: Target,
    connection: Option<Connection>,
    pause: Duration,
    not_before: Option<Instant>,
}

impl PgSession {
    pub fn new(target: Target) -> Self {
        Self { target, connection: None, pause: FIRST_PAUSE, not_before: None }
    }

    async fn connect(&mut self) -> Result<(), Fault> {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(Fault::Unavailable("the database cannot be reached; trying again soon".into()));
        }
        match Connection::open(&self.target).await {
            Ok(connection) => {
                self.connection = Some(connection);
                self.pause = FIRST_PAUSE;
                self.not_before = None;
                Ok(())
            }
            Err(fault) => {
                self.not_before = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                Err(Fault::Unavailable(match fault {
                    Fault::Unavailable(why) | Fault::Refused(why) | Fault::Retry(why) | Fault::Corrupt(why) => why,
                    Fault::Conflict => "the connection was refused".into(),
                }))
            }
        }
    }

    fn open(&self) -> Result<&Connection, Fault> {
        self.connection.as_ref().ok_or_else(|| Fault::Unavailable("the database connection was lost".into()))
    }

    /// A connection that did not answer as it should is not used again: the server ends its transaction with it.
    fn judge<T>(&mut self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        if matches!(outcome, Err(Fault::Unavailable(_))) {
            self.connection = None;
        }
        outcome
    }
}

impl Session for PgSession {
    const DIALECT: Dialect = Dialect::Postgres;

    async fn begin(&mut self) -> Result<(), Fault> {
        // A connection that was lost while idle shows it only now, when nothing can have been applied yet.
        if let Some(connection) = self.connection.as_ref().filter(|connection| !connection.is_closed()) {
            match connection.control(BEGIN).await {
                Err(Fault::Unavailable(_)) => {}
                outcome => return outcome,
            }
        }
        self.connection = None;
        self.connect().await?;
        let outcome = self.open()?.control(BEGIN).await;
        self.judge(outcome)
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        let outcome = self.open()?.control("COMMIT").await;
        self.judge(outcome)
    }

    async fn rollback(&mut self) {
        if let Some(connection) = &self.connection
            && connection.control("ROLLBACK").await.is_err()
        {
            self.connection = None;
        }
    }

    async fn control(&mut self, sql: &str) -> Result<(), Fault> {
        let outcome = self.open()?.control(sql).await;
        self.judge(outcome)
    }

    async fn execute_all(&mut self, statements: &[Stmt<'_>]) -> Result<Vec<u64>, Fault> {
        let outcome = self.open()?.execute_all(statements).await;
        self.judge(outcome)
    }

    async fn query_all(&mut self, statements: &[Stmt<'_>]) -> Result<Vec<Vec<Cells>>, Fault> {
        let outcome = self.open()?.query_all(statements).await;
        self.judge(outcome)
    }
}
