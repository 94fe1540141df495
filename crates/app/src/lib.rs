//! Use cases: load, decide in `core`, commit once. One file each; nothing here talks to a database or a network
//! except through the ports.

mod approve;
pub mod assess;
pub mod audit;
pub mod automations;
mod config;
mod decide;
mod delete;
mod deliveries;
mod drafts;
pub mod governance;
mod incidents;
mod intake;
mod keys;
mod load;
mod log_sources;
mod mcp;
mod posts;
mod preview;
mod publish;
mod recent;
mod recheck;
pub mod reconcile;
mod report;
pub mod status;
mod tokens;
pub mod triage;
mod waiters;
pub mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, RwLock},
};

use tandem_core::{
    actor::{ActorRef, OpContext},
    error::{Code, Failure},
    ports::{Clock, Ids, Secrets, Store, StoreError},
    tenant::{TenantContext, TenantKey},
};

pub use config::Snapshot;
pub use delete::Bulk;
pub use intake::IntakeRequest;
pub use keys::NewKey;
pub use load::{Page, PageRequest};
pub use log_sources::Replayed;
pub use mcp::{AuthRequest, AuthStarted, RETURN_PATH};

/// The drivers that an [`App`] acts through.
pub struct Ports {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub secrets: Arc<dyn Secrets>,
    pub outbound: Arc<dyn reconcile::deliver::Outbound>,
    pub workspace: Arc<dyn tandem_core::triage::Workspace>,
    pub logs: Arc<dyn tandem_core::ports::LogFiles>,
    pub mcp: Arc<dyn tandem_core::ports::Mcp>,
    /// Called on each thread that assesses before it begins: lets others go first, where the platform can.
    pub background: fn(),
    /// The seed of the audit signing key, where an operator keeps it outside the store.
    pub audit_seed: Option<[u8; 32]>,
}

/// The use cases, with the little state that is only a cache or a hint: everything else is in the store.
pub struct App {
    pub(crate) ports: Ports,
    snapshots: RwLock<HashMap<TenantKey, Arc<Snapshot>>>,
    limits: keys::Limits,
    used: Mutex<HashMap<(TenantKey, String), u64>>,
    key_cache: keys::KeyCache,
    pub(crate) breakers: reconcile::Breakers,
    pub(crate) trackers: reconcile::tracker::Shared,
    pub(crate) outcomes: reconcile::Outcomes,
    pub(crate) waiters: waiters::Waiters,
    pub(crate) hub: reconcile::tail::Hub,
    pub(crate) mcp_asked: mcp::Asked,
    recent: recent::Recent,
    /// Sync jobs that this process has seen to.
    pub(crate) syncs: Mutex<std::collections::BTreeSet<String>>,
    /// Who reassesses a scope, so that others of this process wait instead of looking in vain.
    pub(crate) scopes: assess::Scopes,
    /// Rung when a commit left work to do.
    pub wake: tokio::sync::Notify,
    /// Checks of the audit log that have been made, per tenant.
    pub(crate) checks: audit::Checks,
    /// Tenants whose log was found tampered with.
    pub(crate) tampered: RwLock<std::collections::BTreeSet<TenantKey>>,
    signer: tokio::sync::OnceCell<tandem_core::audit::note::NoteSigner>,
    initial_config: tandem_core::config::Config,
    /// Limits that the server was started with.
    governance: std::sync::OnceLock<Arc<tandem_core::governance::Base>>,
    /// Where assessments are made.
    pub(crate) turns: assess::Turns,
    /// What stands before the use cases.
    doors: std::sync::OnceLock<Arc<dyn assess::Doors>>,
    /// Scenario packs of the operator.
    packs: std::sync::OnceLock<Vec<tandem_posture::scenarios::Pack>>,
    /// Who is asked to sign checkpoints, too.
    pub(crate) witnesses: std::sync::OnceLock<Vec<audit::Witness>>,
}

impl App {
    /// `initial_config` applies until a configuration is stored.
    pub fn new(ports: Ports, initial_config: tandem_core::config::Config) -> Arc<Self> {
        Arc::new(Self {
            ports,
            snapshots: RwLock::default(),
            limits: keys::Limits::default(),
            used: Mutex::default(),
            key_cache: keys::KeyCache::default(),
            breakers: reconcile::Breakers::default(),
            trackers: reconcile::tracker::Shared::default(),
            outcomes: reconcile::Outcomes::default(),
            waiters: waiters::Waiters::default(),
            hub: reconcile::tail::Hub::default(),
            mcp_asked: mcp::Asked::default(),
            recent: recent::Recent::default(),
            syncs: Mutex::default(),
            scopes: assess::Scopes::default(),
            wake: tokio::sync::Notify::new(),
            checks: audit::Checks::default(),
            tampered: RwLock::default(),
            signer: tokio::sync::OnceCell::new(),
            initial_config,
            governance: std::sync::OnceLock::new(),
            turns: assess::Turns::default(),
            doors: std::sync::OnceLock::new(),
            packs: std::sync::OnceLock::new(),
            witnesses: std::sync::OnceLock::new(),
        })
    }

    pub fn store(&self) -> &dyn Store {
        &*self.ports.store
    }

    pub fn now_ms(&self) -> u64 {
        self.ports.clock.now_ms()
    }

    /// A fresh id with the prefix of its kind.
    pub(crate) fn id(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.ports.ids.fresh())
    }

    pub(crate) fn event_id(&self) -> String {
        self.ports.ids.uuid()
    }

    /// The context of a worker's operation.
    pub(crate) fn worker_ctx(&self, name: &str, tenant: &TenantKey) -> OpContext {
        OpContext {
            tenant: tenant_of(tenant),
            actor: ActorRef::worker(name),
            request_id: self.id("work-"),
            now_ms: self.now_ms(),
        }
    }
}

/// A tenant context back from its key.
pub(crate) fn tenant_of(key: &TenantKey) -> TenantContext {
    let local = TenantContext::local();
    if *key == local.key() {
        return local;
    }
    let mut parts = key.as_str().splitn(3, '/');
    let mut next = || parts.next().map(str::to_owned);
    let (org, workspace, deployment) = (next(), next(), next());
    TenantContext {
        deployment_id: deployment,
        ..TenantContext::explicit(org.unwrap_or_default(), workspace.unwrap_or_default())
    }
}

/// How often a use case decides again after someone else changed its rows first. Each time it loses, somebody else has
/// won and is gone: this is how many may want the same row at once before one of them is sent away.
pub(crate) const DECISIONS: usize = 256;

/// Runs a use case's load-decide-commit until it does not conflict.
pub(crate) async fn decide_again<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut last = Failure::of(Code::Conflict);
    for _ in 0..DECISIONS {
        match attempt().await {
            Err(failure) if failure.code == Code::Conflict => last = failure,
            done => return done,
        }
    }
    Err(last)
}

/// Logs what an answer must not say.
pub(crate) fn store_failure(error: StoreError) -> Failure {
    match &error {
        StoreError::Conflict => {}
        StoreError::Unavailable(why) => tracing::warn!(%why, "store unavailable"),
        StoreError::Corrupt(why) => tracing::error!(%why, "stored row unreadable"),
    }
    error.into()
}
