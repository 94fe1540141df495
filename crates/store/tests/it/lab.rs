//! A database of one's own for each case, and short ways to say what a case needs.

use std::{
    future::Future,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tandem_core::{
    actor::{ActorKind, ActorRef, OpContext},
    config,
    draft::Draft,
    incident::Incident,
    ports::{Query, Store, StoreError},
    record::{Collection, Column, Commit, Committed, Put, Record, Versioned, Write},
    signal::{
        Accepted, Door, Submission, accept,
        accept::{FreshIds, Settings},
        from_log::{Around, accept_candidate},
    },
    source::{
        self,
        log::{Candidate, Place},
    },
    tenant::{TenantContext, TenantKey},
};
use tandem_store::{OpenError, PgStore, SqliteStore, open_postgres, open_sqlite};
use tokio::sync::watch;
use tokio_postgres::NoTls;

static COUNTER: AtomicU64 = AtomicU64::new(1);

pub fn fresh() -> u64 {
    COUNTER.fetch_add(1, Ordering::Relaxed)
}

pub fn fresh_id() -> String {
    format!("{:032x}", fresh())
}

/// Where a database is.
#[derive(Clone)]
pub enum Lab {
    Sqlite(PathBuf),
    Postgres { admin: String, name: String },
}

pub enum Opened {
    Sqlite(SqliteStore),
    Postgres(PgStore),
}

impl Opened {
    pub fn store(&self) -> &dyn Store {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => store,
        }
    }

    pub fn wakes(&self) -> watch::Receiver<u64> {
        match self {
            Self::Sqlite(store) => store.wakes(),
            Self::Postgres(store) => store.wakes(),
        }
    }

    pub async fn close(self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

/// Runs a case and removes its database, also when the case fails.
pub async fn run<F: Future<Output = ()> + Send + 'static>(lab: Lab, case: impl FnOnce(Lab) -> F) {
    let outcome = tokio::spawn(case(lab.clone())).await;
    lab.remove().await;
    if let Err(error) = outcome {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl Lab {
    pub fn sqlite() -> Self {
        let directory = std::env::temp_dir().join(format!("tandem-store-{}-{}", std::process::id(), fresh()));
        std::fs::create_dir_all(&directory).expect("a directory for the database");
        Self::Sqlite(directory.join("tandem.db"))
    }

    pub async fn postgres() -> Self {
        let admin = std::env::var("TANDEM_TEST_POSTGRES_URL").expect("TANDEM_TEST_POSTGRES_URL is set");
        let name = format!("tandem_test_{}_{}", std::process::id(), fresh());
        let lab = Self::Postgres { admin, name: name.clone() };
        lab.administer(&format!("CREATE DATABASE {name}")).await;
        lab
    }

    pub async fn administer(&self, sql: &str) {
        let Self::Postgres { admin, .. } = self else { panic!("only PostgreSQL has a server to administer") };
        let (client, connection) = tokio_postgres::connect(admin, NoTls).await.expect("the test server answers");
        tokio::spawn(connection);
        client.batch_execute(sql).await.expect("the test server does as told");
    }

    /// Runs SQL behind the store's back.
    pub async fn meddle(&self, sql: &str) {
        match self {
            Self::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).expect("the file opens");
                connection.execute_batch(sql).expect("the statement is right");
            }
            Self::Postgres { .. } => {
                let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.expect("it connects");
                tokio::spawn(connection);
                client.batch_execute(sql).await.expect("the statement is right");
            }
        }
    }

    pub fn url(&self) -> String {
        let Self::Postgres { admin, name } = self else { panic!("only PostgreSQL has an address") };
        let server = admin.rsplit_once('/').map_or(admin.as_str(), |(server, _)| server);
        format!("{server}/{name}")
    }

    pub async fn try_open(&self) -> Result<Opened, OpenError> {
        match self {
            Self::Sqlite(path) => open_sqlite(path).map(Opened::Sqlite),
            Self::Postgres { .. } => open_postgres(&self.url()).await.map(Opened::Postgres),
        }
    }

    pub async fn open(&self) -> Arc<Opened> {
        Arc::new(self.try_open().await.expect("the store opens"))
    }

    async fn remove(&self) {
        match self {
            Self::Sqlite(path) => {
                let directory = path.parent().expect("the database is in a directory");
                std::fs::remove_dir_all(directory).expect("the directory is ours");
            }
            Self::Postgres { name, .. } => self.administer(&format!("DROP DATABASE {name} WITH (FORCE)")).await,
        }
    }
}

pub fn context(tenant: &TenantContext, now_ms: u64) -> OpContext {
    OpContext {
        tenant: tenant.clone(),
        actor: ActorRef { kind: ActorKind::System, actor_id: None, source: Some("test".into()) },
        request_id: format!("req-{}", fresh()),
        now_ms,
    }
}

pub fn local() -> TenantContext {
    TenantContext::local()
}

pub fn commit() -> Commit {
    Commit::new(&context(&local(), 1_000))
}

/// A commit with one audit row, as most have.
pub fn audited(event_type: &'static str) -> Commit {
    commit().audit(fresh_id(), event_type, serde_json::json!({}))
}

/// A signal with this grouping key.
pub fn signal(tenant: &TenantContext, fingerprint: &str, at_ms: u64) -> Accepted {
    let submission = Submission {
        repo: Some("acme/app".into()),
        title: Some("It broke".into()),
        detail: Some("somewhere".into()),
        event: Some("error".into()),
        fingerprint: Some(fingerprint.into()),
        ..Submission::default()
    };
    accepted(submission, tenant, at_ms)
}

/// The same as a log told it, at this byte.
pub fn logged(tenant: &TenantContext, fingerprint: &str, offset: u64) -> Accepted {
    let config = config::read(serde_json::json!({ "monitored_projects": [{
        "project_id": "shop", "name": "Shop", "repo": "acme/shop", "workspace_root": "/srv/shop",
        "log_sources": [{ "source_id": "app", "path": "app.log" }],
    }] }))
    .expect("a configuration");
    let binding = source::binding(&config, "shop", Some("app")).expect("the source is configured");
    let place =
        Place { path: "app.log".into(), offset_start: offset, offset_end: offset + 9, generation: 1, inode: None };
    let submission = Submission {
        title: Some("It broke".into()),
        detail: Some("It broke".into()),
        fingerprint: Some(fingerprint.into()),
        ..Submission::default()
    };
    let candidate = Candidate { place, submission, timestamp_ms: None, format: "plaintext", truncated: false };
    let around = Around {
        config: &config,
        scope: source::Scope::find(&config, "shop", Some("app")).expect("the source is configured"),
        binding: &binding,
        settings: &Settings::default(),
        tenant: &tenant.key(),
        request_id: "req",
        now_ms: 1_000,
    };
    let ids = FreshIds { incident_id: fresh_id(), draft_id: fresh_id(), event_id: fresh_id() };
    accept_candidate(candidate, &around, ids).expect("the lines are acceptable")
}

pub fn accepted(submission: Submission, tenant: &TenantContext, at_ms: u64) -> Accepted {
    let ids = FreshIds { incident_id: fresh_id(), draft_id: fresh_id(), event_id: fresh_id() };
    accept(submission, Door::Report, &Settings::default(), &tenant.key(), ids, "req", at_ms)
        .expect("the report is acceptable")
}

pub fn report(tenant: &TenantContext, fingerprint: &str, at_ms: u64) -> Commit {
    let signal = signal(tenant, fingerprint, at_ms);
    Commit::new(&context(tenant, at_ms)).write(Write::Signal(Box::new(signal)))
}

pub async fn send(opened: &Opened, commit: Commit) -> Committed {
    opened.store().commit(commit).await.expect("the commit is applied")
}

pub async fn refused(opened: &Opened, commit: Commit) -> StoreError {
    opened.store().commit(commit).await.expect_err("the commit is refused")
}

pub async fn load<R: Record>(opened: &Opened, tenant: &TenantKey, id: &str) -> Option<Versioned<R>> {
    let row = opened.store().get(R::COLLECTION, tenant, id).await.expect("the store answers")?;
    Some(Versioned { version: row.version, value: serde_json::from_str(&row.body).expect("the body is ours") })
}

pub async fn count(opened: &Opened, collection: &'static Collection, tenant: &TenantContext) -> u64 {
    opened.store().count(collection, &tenant.key(), Vec::new()).await.expect("the store answers")
}

/// Everything in a collection, by pages of `limit`.
pub async fn walk(opened: &Opened, query: Query) -> Vec<(i64, String)> {
    let mut query = query;
    let mut out = Vec::new();
    loop {
        let page = opened.store().page(query.clone()).await.expect("the store answers");
        assert!(page.len() <= query.limit);
        let Some(last) = page.last() else { return out };
        query.after = Some((last.order, last.row.id.clone()));
        out.extend(page.into_iter().map(|row| (row.order, row.row.id)));
    }
}

pub fn list(collection: &'static Collection, order: &'static str) -> Query {
    Query { collection, tenant: local().key(), equals: Vec::new(), order, since: None, after: None, limit: 7 }
}

pub fn equals(column: &'static str, value: &str) -> (&'static str, Column) {
    (column, Column::text(value))
}

/// A draft to write rows with, in a life of its own.
pub async fn some_draft(opened: &Opened) -> (Incident, Draft) {
    let outcome = send(opened, report(&local(), &format!("draft-{}", fresh()), 1_000)).await.signals.remove(0);
    let draft = outcome.draft.expect("an accepted signal has a draft");
    (Arc::unwrap_or_clone(outcome.incident), Arc::unwrap_or_clone(draft))
}

/// A draft that no incident made, with the given age.
pub fn copy_of(draft: &Draft, at_ms: u64) -> Draft {
    Draft { draft_id: fresh_id(), created_at_ms: at_ms, updated_at_ms: at_ms, incident_id: None, ..draft.clone() }
}

pub fn insert<R: Record>(record: &R) -> Commit {
    commit().put(Put::insert(record))
}
