//! The reading connections. A connection carries many questions at once, so none is ever handed out alone.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Mutex;

use super::{connection::Connection, target::Target};
use crate::{
    error::Fault,
    session::{Cells, Stmt, Value},
    sql::Select,
};

const CONNECTIONS: usize = 4;

pub struct Reads {
    target: Target,
    next: AtomicUsize,
    slots: [Mutex<Option<Arc<Connection>>>; CONNECTIONS],
}

impl Reads {
    pub fn new(target: Target) -> Self {
        Self { target, next: AtomicUsize::new(0), slots: std::array::from_fn(|_| Mutex::new(None)) }
    }

    pub async fn rows(&self, select: Select) -> Result<Vec<Cells>, Fault> {
        let slot = &self.slots[self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS];
        let statement = [Stmt::new(&select.sql, select.params.iter().map(Value::from).collect::<Vec<_>>())];
        let (connection, fresh) = self.connection(slot).await?;
        let mut answer = connection.query_all(&statement).await;
        // A connection that was lost while idle shows it only when it is used. A read may simply be asked again.
        if connection.is_closed() && !fresh && matches!(answer, Err(Fault::Unavailable(_))) {
            answer = self.connection(slot).await?.0.query_all(&statement).await;
        }
        if matches!(answer, Err(Fault::Unavailable(_))) {
            // Whatever the reason, the next question gets a new connection instead of the same silence.
            *slot.lock().await = None;
        }
        Ok(answer?.pop().unwrap_or_default())
    }

    async fn connection(&self, slot: &Mutex<Option<Arc<Connection>>>) -> Result<(Arc<Connection>, bool), Fault> {
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok((Arc::clone(connection), false));
        }
        let connection = Arc::new(Connection::open(&self.target).await?);
        *slot = Some(Arc::clone(&connection));
        Ok((connection, true))
    }
}
