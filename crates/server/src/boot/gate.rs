//! A store in front of another one, whose commits can be held back or refused: for what happens between asking and
//! knowing.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tandem_core::{
    audit::merkle::Hash,
    ports::{AuditQuery, AuditRow, BoxFuture, Checkpoint, Claim, PageRow, Query, Row, Store, StoreError, Walk},
    record::{Collection, Column, Commit, Committed, JobKind},
    tenant::TenantKey,
};
use tokio::sync::watch;

/// What becomes of a commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Door {
    #[default]
    Open,
    /// It waits before the store, as it does where the queue is full, and is not written if its caller gives up.
    Shut,
    Refuses(StoreError),
}

pub struct Gate {
    inner: Arc<dyn Store>,
    door: watch::Sender<Door>,
    waiting: watch::Sender<u64>,
    passed: AtomicU64,
}

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl Gate {
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, door: watch::Sender::default(), waiting: watch::Sender::default(), passed: AtomicU64::new(0) }
    }

    pub fn set(&self, door: Door) {
        self.door.send_replace(door);
    }

    /// Ends when a commit stands before the shut door.
    pub async fn knocked(&self) {
        let mut waiting = self.waiting.subscribe();
        let _ = waiting.wait_for(|waiting| *waiting > 0).await;
    }

    /// How many commits were let through.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

impl Store for Gate {
    fn commit(&self, commit: Commit) -> Answer<'_, Committed> {
        Box::pin(async move {
            let mut door = self.door.subscribe();
            if *door.borrow() == Door::Shut {
                self.waiting.send_modify(|waiting| *waiting += 1);
            }
            let open = door.wait_for(|door| *door != Door::Shut).await.map(|door| door.clone());
            if let Ok(Door::Refuses(error)) = open {
                return Err(error);
            }
            self.passed.fetch_add(1, Ordering::SeqCst);
            self.inner.commit(commit).await
        })
    }

    fn get<'a>(&'a self, rows: &'static Collection, tenant: &'a TenantKey, id: &'a str) -> Answer<'a, Option<Row>> {
        self.inner.get(rows, tenant, id)
    }

    fn page(&self, query: Query) -> Answer<'_, Vec<PageRow>> {
        self.inner.page(query)
    }

    fn oldest(&self, query: Query) -> Answer<'_, Vec<PageRow>> {
        self.inner.oldest(query)
    }

    fn walk(&self, walk: Walk) -> Answer<'_, Vec<PageRow>> {
        self.inner.walk(walk)
    }

    fn count<'a>(
        &'a self,
        rows: &'static Collection,
        tenant: &'a TenantKey,
        equals: Vec<(&'static str, Column)>,
    ) -> Answer<'a, u64> {
        self.inner.count(rows, tenant, equals)
    }

    fn tenants<'a>(&'a self, rows: &'static Collection) -> Answer<'a, Vec<TenantKey>> {
        self.inner.tenants(rows)
    }

    fn credential<'a>(&'a self, rows: &'static Collection, hash: &'a str) -> Answer<'a, Option<(TenantKey, Row)>> {
        self.inner.credential(rows, hash)
    }

    fn mark_used<'a>(&'a self, rows: &'static Collection, used: Vec<(TenantKey, String, u64)>) -> Answer<'a, ()> {
        self.inner.mark_used(rows, used)
    }

    fn last_used<'a>(
        &'a self,
        rows: &'static Collection,
        tenant: &'a TenantKey,
        id: &'a str,
    ) -> Answer<'a, Option<u64>> {
        self.inner.last_used(rows, tenant, id)
    }

    fn due_lanes(&self, kind: JobKind, now_ms: u64) -> Answer<'_, Vec<String>> {
        self.inner.due_lanes(kind, now_ms)
    }

    fn claim<'a>(
        &'a self,
        kind: JobKind,
        lane: &'a str,
        now_ms: u64,
        lease: &'a str,
        lease_until_ms: u64,
        limit: usize,
    ) -> Answer<'a, Vec<Claim>> {
        self.inner.claim(kind, lane, now_ms, lease, lease_until_ms, limit)
    }

    fn next_due(&self, kind: JobKind) -> Answer<'_, Option<u64>> {
        self.inner.next_due(kind)
    }

    fn job_count(&self, kind: JobKind) -> Answer<'_, u64> {
        self.inner.job_count(kind)
    }

    fn audit_size<'a>(&'a self, tenant: &'a TenantKey) -> Answer<'a, u64> {
        self.inner.audit_size(tenant)
    }

    fn audit_rows<'a>(&'a self, tenant: &'a TenantKey, query: AuditQuery) -> Answer<'a, Vec<AuditRow>> {
        self.inner.audit_rows(tenant, query)
    }

    fn audit_hashes<'a>(&'a self, tenant: &'a TenantKey, level: u8, start: u64, count: u64) -> Answer<'a, Vec<Hash>> {
        self.inner.audit_hashes(tenant, level, start, count)
    }

    fn audit_tenants(&self) -> Answer<'_, Vec<TenantKey>> {
        self.inner.audit_tenants()
    }

    fn checkpoint<'a>(&'a self, tenant: &'a TenantKey) -> Answer<'a, Option<Checkpoint>> {
        self.inner.checkpoint(tenant)
    }

    fn checkpoint_put<'a>(
        &'a self,
        tenant: &'a TenantKey,
        checkpoint: Checkpoint,
        nodes: Vec<(u8, u64, Hash)>,
    ) -> Answer<'a, bool> {
        self.inner.checkpoint_put(tenant, checkpoint, nodes)
    }

    fn meta_init<'a>(&'a self, key: &'a str, value: &'a str) -> Answer<'a, String> {
        self.inner.meta_init(key, value)
    }

    fn meta_get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>> {
        self.inner.meta_get(key)
    }

    fn exclusive(&self) -> bool {
        self.inner.exclusive()
    }

    fn ping(&self) -> Answer<'_, ()> {
        self.inner.ping()
    }
}
