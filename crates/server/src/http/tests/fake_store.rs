//! Rows in a map. Enough of a store for the routes that this crate owns; everything else says that it is unavailable.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tandem_core::{
    actor::OpContext,
    audit::merkle::Hash,
    decide::{Ask, Decide, Loaded, ROUNDS, Settled, Step, step},
    ports::{AuditQuery, AuditRow, BoxFuture, Checkpoint, Claim, PageRow, Query, Row, Store, StoreError, Walk},
    record::{Collection, Column, Commit, Committed, Expect, JobKind, Write},
    tenant::TenantKey,
};

type Key = (&'static str, TenantKey, String);

#[derive(Default)]
pub struct FakeStore {
    rows: Mutex<Rows>,
    pub audit: Mutex<Vec<tandem_core::audit::event::Draft>>,
    pub lookups: AtomicUsize,
    pub shared: AtomicBool,
    pub broken: AtomicBool,
}

fn ready<'a, T: Send + 'a>(value: Result<T, StoreError>) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(std::future::ready(value))
}

fn absent<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, StoreError>> {
    ready(Err(StoreError::Unavailable("not part of the fake".into())))
}

type Rows = BTreeMap<Key, (Row, Vec<Column>)>;

/// Runs a decision on the rows. Pages are not filtered: no decision of these routes asks for a part.
fn settle(decide: &dyn Decide, ctx: &OpContext, seed: u128, rows: &Rows) -> Result<Settled, StoreError> {
    let mut loaded = Loaded::default();
    let mut asks = decide.first_asks();
    for _ in 0..ROUNDS {
        for ask in asks {
            let (wanted, id) = match &ask {
                Ask::Row { collection, id } => (collection.name, Some(id)),
                Ask::Page(page) => (page.collection.name, None),
            };
            let of = |(name, tenant, own): &&Key| {
                *name == wanted && *tenant == ctx.tenant.key() && id.is_none_or(|id| id == own)
            };
            let found = rows.iter().filter(|(key, _)| of(key)).map(|(_, (row, _))| row.clone()).collect();
            loaded.fill(ask, found);
        }
        match step(decide, ctx, &loaded, seed) {
            Step::Settled(settled) => return Ok(settled),
            Step::Ask(more) => asks = more,
            Step::Corrupt(why) => return Err(StoreError::Corrupt(why)),
        }
    }
    Err(StoreError::Unavailable("a decision asks without end".into()))
}

impl FakeStore {
    fn check(&self) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) { Err(StoreError::Unavailable("/secret/path".into())) } else { Ok(()) }
    }

    fn apply(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.check()?;
        let tenant = commit.ctx.tenant.key();
        let mut rows = self.rows.lock().unwrap();
        let mut next = rows.clone();
        let (mut puts, mut decided, mut verdicts) = (Vec::new(), Vec::new(), Vec::new());
        for write in commit.writes {
            let settled = match &write {
                Write::Decide { decide, seed } => settle(decide.as_ref(), &commit.ctx, *seed, &next)?,
                _ => {
                    puts.push(write);
                    continue;
                }
            };
            puts.extend(settled.writes);
            decided.extend(settled.audit);
            verdicts.push(settled.verdict);
        }
        for write in puts {
            let Write::Put(put) = write else { return Err(StoreError::Unavailable("puts only".into())) };
            let key = (put.collection.name, tenant.clone(), put.id.clone());
            let version = next.get(&key).map(|(row, _)| row.version);
            match (put.expect, version) {
                (Expect::Any, _) | (Expect::Absent, None) => {}
                (Expect::Version(wanted), Some(found)) if wanted == found => {}
                (Expect::Absent | Expect::Version(_), _) => return Err(StoreError::Conflict),
            }
            let row = Row { id: put.id, version: version.unwrap_or(0) + 1, body: put.body };
            next.insert(key, (row, put.columns));
        }
        *rows = next;
        let mut audit = self.audit.lock().unwrap();
        audit.extend(decided);
        audit.extend(commit.audit);
        Ok(Committed { audit_seq: audit.len() as u64, verdicts, ..Committed::default() })
    }

    /// Puts a row without a commit.
    pub fn plant(
        &self,
        tenant: &TenantKey,
        record: &impl tandem_core::record::Record,
        collection: &'static Collection,
    ) {
        let row = Row { id: record.id().to_owned(), version: 1, body: serde_json::to_string(record).unwrap() };
        let key = (collection.name, tenant.clone(), record.id().to_owned());
        self.rows.lock().unwrap().insert(key, (row, record.columns()));
    }
}

impl Store for FakeStore {
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, StoreError>> {
        ready(self.apply(commit))
    }

    fn get<'a>(
        &'a self,
        collection: &'static Collection,
        tenant: &'a TenantKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Row>, StoreError>> {
        let key = (collection.name, tenant.clone(), id.to_owned());
        ready(self.check().map(|()| self.rows.lock().unwrap().get(&key).map(|(row, _)| row.clone())))
    }

    fn page(&self, query: Query) -> BoxFuture<'_, Result<Vec<PageRow>, StoreError>> {
        let rows = self.rows.lock().unwrap();
        let order = query.collection.columns.iter().position(|column| *column == query.order);
        let mut found: Vec<PageRow> = rows
            .iter()
            .filter(|((collection, tenant, _), _)| *collection == query.collection.name && *tenant == query.tenant)
            .map(|(_, (row, columns))| {
                let order = match order.and_then(|at| columns.get(at)) {
                    Some(Column::Int(value)) => *value,
                    _ => 0,
                };
                PageRow { order, row: row.clone() }
            })
            .collect();
        found.sort_by(|a, b| (b.order, &b.row.id).cmp(&(a.order, &a.row.id)));
        found.truncate(query.limit);
        ready(self.check().map(|()| found))
    }

    fn oldest(&self, query: Query) -> BoxFuture<'_, Result<Vec<PageRow>, StoreError>> {
        self.page(query)
    }

    fn walk(&self, walk: Walk) -> BoxFuture<'_, Result<Vec<PageRow>, StoreError>> {
        let rows = self.rows.lock().unwrap();
        let own = rows.iter().filter(|((collection, tenant, id), _)| {
            *collection == walk.collection.name && *tenant == walk.tenant && *id > walk.after
        });
        let found = own.map(|(_, (row, _))| PageRow { order: 0, row: row.clone() }).take(walk.limit).collect();
        ready(self.check().map(|()| found))
    }

    fn tenants<'a>(&'a self, collection: &'static Collection) -> BoxFuture<'a, Result<Vec<TenantKey>, StoreError>> {
        let rows = self.rows.lock().unwrap();
        let mut tenants: Vec<TenantKey> =
            rows.keys().filter(|(name, ..)| *name == collection.name).map(|(_, tenant, _)| tenant.clone()).collect();
        tenants.dedup();
        ready(Ok(tenants))
    }

    fn credential<'a>(
        &'a self,
        collection: &'static Collection,
        hash: &'a str,
    ) -> BoxFuture<'a, Result<Option<(TenantKey, Row)>, StoreError>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let rows = self.rows.lock().unwrap();
        let found = rows
            .iter()
            .find(|((name, ..), (_, columns))| {
                *name == collection.name && columns.first() == Some(&Column::Text(hash.to_owned()))
            })
            .map(|((_, tenant, _), (row, _))| (tenant.clone(), row.clone()));
        ready(self.check().map(|()| found))
    }

    fn mark_used<'a>(
        &'a self,
        _: &'static Collection,
        _: Vec<(TenantKey, String, u64)>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(Ok(()))
    }

    fn last_used<'a>(
        &'a self,
        _: &'static Collection,
        _: &'a TenantKey,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
        ready(Ok(None))
    }

    fn exclusive(&self) -> bool {
        !self.shared.load(Ordering::Relaxed)
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(self.check())
    }

    fn count<'a>(
        &'a self,
        _: &'static Collection,
        _: &'a TenantKey,
        _: Vec<(&'static str, Column)>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        absent()
    }

    fn due_lanes(&self, _: JobKind, _: u64) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        absent()
    }

    fn claim<'a>(
        &'a self,
        _: JobKind,
        _: &'a str,
        _: u64,
        _: &'a str,
        _: u64,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<Claim>, StoreError>> {
        absent()
    }

    fn next_due(&self, _: JobKind) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        absent()
    }

    fn job_count(&self, _: JobKind) -> BoxFuture<'_, Result<u64, StoreError>> {
        absent()
    }

    fn audit_size<'a>(&'a self, _: &'a TenantKey) -> BoxFuture<'a, Result<u64, StoreError>> {
        absent()
    }

    fn audit_rows<'a>(&'a self, _: &'a TenantKey, _: AuditQuery) -> BoxFuture<'a, Result<Vec<AuditRow>, StoreError>> {
        absent()
    }

    fn audit_hashes<'a>(
        &'a self,
        _: &'a TenantKey,
        _: u8,
        _: u64,
        _: u64,
    ) -> BoxFuture<'a, Result<Vec<Hash>, StoreError>> {
        absent()
    }

    fn audit_tenants(&self) -> BoxFuture<'_, Result<Vec<TenantKey>, StoreError>> {
        absent()
    }

    fn checkpoint<'a>(&'a self, _: &'a TenantKey) -> BoxFuture<'a, Result<Option<Checkpoint>, StoreError>> {
        absent()
    }

    fn checkpoint_put<'a>(
        &'a self,
        _: &'a TenantKey,
        _: Checkpoint,
        _: Vec<(u8, u64, Hash)>,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        absent()
    }

    fn meta_init<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<String, StoreError>> {
        absent()
    }

    fn meta_get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        absent()
    }
}
