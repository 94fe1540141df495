//! One connection: statements prepared once, lists of statements sent without waiting in between.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tandem_core::record::Column;
use tokio::sync::Mutex;
use tokio_postgres::{
    Client, Row, Statement,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};

use super::target::Target;
use crate::{
    error::Fault,
    session::{Cells, Stmt, Value},
};

/// How long an unreachable server is waited for, and how long a silent one.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);
pub const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Prepared statements to keep; the statements of pages are many but not endless.
const STATEMENTS: usize = 512;

pub struct Connection {
    client: Client,
    prepared: Mutex<HashMap<String, Statement>>,
}

impl Connection {
    pub async fn open(target: &Target) -> Result<Self, Fault> {
        let (client, driver) = within(CONNECT_TIME, target.connect()).await??;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a database connection ended");
            }
        });
        Ok(Self { client, prepared: Mutex::default() })
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub async fn control(&self, sql: &str) -> Result<(), Fault> {
        Ok(within(ANSWER_TIME, self.client.batch_execute(sql)).await??)
    }

    pub async fn execute_all(&self, statements: &[Stmt<'_>]) -> Result<Vec<u64>, Fault> {
        let prepared = self.prepare_all(statements).await?;
        let calls = statements.iter().zip(&prepared).map(|(stmt, prepared)| async move {
            Ok(self.client.execute_raw(prepared, stmt.params.iter().map(param)).await?)
        });
        within(ANSWER_TIME, in_order(calls)).await?
    }

    pub async fn query_all(&self, statements: &[Stmt<'_>]) -> Result<Vec<Vec<Cells>>, Fault> {
        let prepared = self.prepare_all(statements).await?;
        let calls = statements.iter().zip(&prepared).map(|(stmt, prepared)| async move {
            let rows = self.client.query_raw(prepared, stmt.params.iter().map(param)).await?;
            std::pin::pin!(rows).map(|row| cells(&row?)).try_collect().await
        });
        within(ANSWER_TIME, in_order(calls)).await?
    }

    async fn prepare_all(&self, statements: &[Stmt<'_>]) -> Result<Vec<Statement>, Fault> {
        let mut known = self.prepared.lock().await;
        let mut out = Vec::with_capacity(statements.len());
        for statement in statements {
            if let Some(prepared) = known.get(statement.sql) {
                out.push(prepared.clone());
                continue;
            }
            // Neither our SQL nor a name in it contains a question mark otherwise.
            let sql = statement.sql.replace('?', "$");
            let prepared = within(ANSWER_TIME, self.client.prepare(&sql)).await??;
            if known.len() >= STATEMENTS {
                known.clear();
            }
            known.insert(statement.sql.to_owned(), prepared.clone());
            out.push(prepared);
        }
        Ok(out)
    }
}

async fn within<F: Future>(time: Duration, future: F) -> Result<F::Output, Fault> {
    match tokio::time::timeout(time, future).await {
        Ok(output) => Ok(output),
        Err(_) => Err(Fault::Unavailable("the database does not answer".into())),
    }
}

/// Starts every call before it waits for the first one, so that all requests are on their way, in this order. Fails with
/// the first call's failure: what comes after it in a transaction only says that the transaction has failed.
async fn in_order<T, F>(calls: impl Iterator<Item = F>) -> Result<Vec<T>, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    enum Call<F, T> {
        Running(Pin<Box<F>>),
        Over(Result<T, Fault>),
    }
    let mut calls: Vec<Call<F, T>> = calls.map(|call| Call::Running(Box::pin(call))).collect();
    poll_fn(|context| {
        for call in &mut calls {
            if let Call::Running(future) = call
                && let Poll::Ready(output) = future.as_mut().poll(context)
            {
                *call = Call::Over(output);
            }
        }
        Poll::Ready(())
    })
    .await;
    let mut out = Vec::with_capacity(calls.len());
    let mut failed = None;
    for call in calls {
        let output = match call {
            Call::Running(future) => future.await,
            Call::Over(output) => output,
        };
        match output {
            Ok(value) => out.push(value),
            Err(fault) => failed = failed.or(Some(fault)),
        }
    }
    failed.map_or(Ok(out), Err)
}

fn param<'a>(value: &'a Value<'a>) -> &'a (dyn ToSql + Sync) {
    value
}

fn cells(row: &Row) -> Result<Cells, Fault> {
    (0..row.len()).map(|n| Ok(row.try_get::<_, Cell>(n)?.0)).collect()
}

struct Cell(Column);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(match *kind {
            Type::INT8 => Column::Int(i64::from_sql(kind, raw)?),
            Type::INT4 => Column::Int(i32::from_sql(kind, raw)?.into()),
            Type::BYTEA => Column::Bytes(raw.to_vec()),
            _ => Column::Text(String::from_sql(kind, raw)?),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Column::Null))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::INT4 | Type::BYTEA | Type::TEXT | Type::VARCHAR)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, kind) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(value), &Type::INT8) => value.to_sql(kind, out),
            (Self::Bytes(value), &Type::BYTEA) => value.to_sql(kind, out),
            // PostgreSQL's text has no NUL. It is replaced on the way in, in stored and in searched values alike.
            (Self::Text(value), &Type::TEXT | &Type::VARCHAR) if value.contains('\0') => {
                value.replace('\0', "\u{fffd}").to_sql(kind, out)
            }
            (Self::Text(value), &Type::TEXT | &Type::VARCHAR) => value.to_sql(kind, out),
            (Self::Int(_) | Self::Bytes(_) | Self::Text(_), _) => Err(format!("{self:?} as {kind}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
