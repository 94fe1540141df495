//! The port, implemented once for every back end: writes go to the writer's queue, reads are one statement each.

use std::future::Future;

use tandem_core::{
    audit::merkle::Hash,
    ports::{AuditQuery, AuditRow, BoxFuture, Checkpoint, Claim, PageRow, Query, Row, Store, StoreError, Walk},
    record::{Collection, Column, Commit, Committed, JobKind},
    tenant::TenantKey,
};
use tokio::sync::watch;

use crate::{
    error::Fault,
    read,
    session::Cells,
    sql::{self, Select},
    write::{Answer, ClaimOrder, Op, Queue},
};

/// Connections to one database: how it reads, and how it is shut.
pub trait Backend: Send + Sync + 'static {
    /// No other process can write this database.
    const EXCLUSIVE: bool;
    fn rows(&self, select: Select) -> impl Future<Output = Result<Vec<Cells>, Fault>> + Send;
    /// The same without leaving the caller's thread, where a back end can: for one row found by its key, and for callers
    /// on a thread of their own.
    fn here(&self, select: Select) -> impl Future<Output = Result<Vec<Cells>, Fault>> + Send {
        self.rows(select)
    }
    /// Waits until everything queued is written and the connections are shut. The queue is gone already.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// A store. Dropping it writes what is queued; [`Engine::close`] also waits for that.
pub struct Engine<B> {
    // Before the back end, so that dropping the engine first tells the writer that nothing more comes.
    queue: Queue,
    backend: B,
    wakes: watch::Receiver<u64>,
}

impl<B: Backend> Engine<B> {
    pub(crate) fn new(queue: Queue, backend: B, wakes: watch::Receiver<u64>) -> Self {
        Self { queue, backend, wakes }
    }

    /// Changes whenever jobs were written, so that workers need not poll for them.
    pub fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.clone()
    }

    pub async fn close(self) {
        drop(self.queue);
        self.backend.close().await;
    }
}

fn mismatched<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("the writer gave an answer to another question".into()))
}

impl<B: Backend> Store for Engine<B> {
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async move {
            match self.queue.submit(Op::Commit(commit)).await? {
                Answer::Committed(committed) => Ok(committed),
                _ => mismatched(),
            }
        })
    }

    fn get<'a>(
        &'a self,
        collection: &'static Collection,
        tenant: &'a TenantKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Row>, StoreError>> {
        Box::pin(
            async move { Ok(read::first(self.backend.here(read::get(collection, tenant, id)).await?, read::row)?) },
        )
    }

    fn page(&self, query: Query) -> BoxFuture<'_, Result<Vec<PageRow>, StoreError>> {
        Box::pin(async move { Ok(read::all(self.backend.rows(sql::page(query)).await?, read::page_row)?) })
    }

    fn oldest(&self, query: Query) -> BoxFuture<'_, Result<Vec<PageRow>, StoreError>> {
        Box::pin(async move { Ok(read::all(self.backend.rows(sql::oldest(query)).await?, read::page_row)?) })
    }

    fn walk(&self, walk: Walk) -> BoxFuture<'_, Result<Vec<PageRow>, StoreError>> {
        Box::pin(async move { Ok(read::all(self.backend.here(sql::walk(walk)).await?, read::page_row)?) })
    }

    fn count<'a>(
        &'a self,
        collection: &'static Collection,
        tenant: &'a TenantKey,
        equals: Vec<(&'static str, Column)>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move { Ok(read::number(self.backend.rows(sql::count(collection, tenant, equals)).await?)?) })
    }

    fn tenants<'a>(&'a self, collection: &'static Collection) -> BoxFuture<'a, Result<Vec<TenantKey>, StoreError>> {
        Box::pin(async move { Ok(read::all(self.backend.rows(read::tenants(collection)).await?, read::tenant)?) })
    }

    fn credential<'a>(
        &'a self,
        collection: &'static Collection,
        hash: &'a str,
    ) -> BoxFuture<'a, Result<Option<(TenantKey, Row)>, StoreError>> {
        Box::pin(async move {
            let rows = self.backend.rows(read::credential(collection, hash)).await?;
            Ok(read::first(rows, |cells| Ok((read::tenant(cells)?, read::row(cells)?)))?)
        })
    }

    fn mark_used<'a>(
        &'a self,
        collection: &'static Collection,
        used: Vec<(TenantKey, String, u64)>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match self.queue.submit(Op::MarkUsed { collection: collection.name, used }).await? {
                Answer::Done => Ok(()),
                _ => mismatched(),
            }
        })
    }

    fn last_used<'a>(
        &'a self,
        collection: &'static Collection,
        tenant: &'a TenantKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
        Box::pin(async move {
            Ok(read::first(self.backend.rows(read::last_used(collection, tenant, id)).await?, Cells::uint)?)
        })
    }

    fn due_lanes(&self, kind: JobKind, now_ms: u64) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        Box::pin(async move { Ok(read::all(self.backend.rows(read::due_lanes(kind, now_ms)).await?, Cells::text)?) })
    }

    fn claim<'a>(
        &'a self,
        kind: JobKind,
        lane: &'a str,
        now_ms: u64,
        lease: &'a str,
        lease_until_ms: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Claim>, StoreError>> {
        let (lane, lease) = (lane.to_owned(), lease.to_owned());
        let order = ClaimOrder { kind, lane, now_ms, lease, lease_until_ms, limit };
        Box::pin(async move {
            match self.queue.submit(Op::Claim(order)).await? {
                Answer::Claims(claims) => Ok(claims),
                _ => mismatched(),
            }
        })
    }

    fn next_due(&self, kind: JobKind) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        Box::pin(async move {
            Ok(read::first(self.backend.rows(read::next_due(kind)).await?, Cells::maybe_uint)?.flatten())
        })
    }

    fn job_count(&self, kind: JobKind) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { Ok(read::number(self.backend.rows(read::job_count(kind)).await?)?) })
    }

    fn audit_size<'a>(&'a self, tenant: &'a TenantKey) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move { Ok(read::number(self.backend.rows(read::audit_size(tenant)).await?)?) })
    }

    fn audit_rows<'a>(
        &'a self,
        tenant: &'a TenantKey,
        query: AuditQuery,
    ) -> BoxFuture<'a, Result<Vec<AuditRow>, StoreError>> {
        Box::pin(
            async move { Ok(read::all(self.backend.rows(read::audit_rows(tenant, query)).await?, read::audit_row)?) },
        )
    }

    fn audit_hashes<'a>(
        &'a self,
        tenant: &'a TenantKey,
        level: u8,
        start: u64,
        count: u64,
    ) -> BoxFuture<'a, Result<Vec<Hash>, StoreError>> {
        Box::pin(async move {
            Ok(read::hashes(self.backend.rows(read::audit_hashes(tenant, level, start, count)).await?, start)?)
        })
    }

    fn audit_tenants(&self) -> BoxFuture<'_, Result<Vec<TenantKey>, StoreError>> {
        Box::pin(async move { Ok(read::all(self.backend.rows(read::audit_tenants()).await?, read::tenant)?) })
    }

    fn checkpoint<'a>(&'a self, tenant: &'a TenantKey) -> BoxFuture<'a, Result<Option<Checkpoint>, StoreError>> {
        Box::pin(
            async move { Ok(read::first(self.backend.rows(read::checkpoint(tenant)).await?, read::checkpoint_row)?) },
        )
    }

    fn checkpoint_put<'a>(
        &'a self,
        tenant: &'a TenantKey,
        checkpoint: Checkpoint,
        nodes: Vec<(u8, u64, Hash)>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let op = Op::Checkpoint { tenant: tenant.clone(), checkpoint, nodes };
        Box::pin(async move {
            match self.queue.submit(op).await? {
                Answer::Stored(stored) => Ok(stored),
                _ => mismatched(),
            }
        })
    }

    fn meta_init<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<String, StoreError>> {
        Box::pin(async move {
            match self.queue.submit(Op::MetaInit { key: key.to_owned(), value: value.to_owned() }).await? {
                Answer::Value(value) => Ok(value),
                _ => mismatched(),
            }
        })
    }

    fn meta_get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async move { Ok(read::first(self.backend.rows(read::meta(key)).await?, Cells::text)?) })
    }

    fn exclusive(&self) -> bool {
        B::EXCLUSIVE
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            match self.queue.submit(Op::Ping).await? {
                Answer::Done => Ok(()),
                _ => mismatched(),
            }
        })
    }
}
