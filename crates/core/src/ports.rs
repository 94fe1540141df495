//! What the decisions need from the world, as traits. Drivers implement them; nothing here does anything.

use std::{future::Future, pin::Pin};

use crate::{
    audit::merkle::Hash,
    mcp::{
        Listing, ToolAnswer, ToolCall, ToolError, ToolRow, Transport,
        oauth::{AuthAsk, AuthBegun},
    },
    record::{Collection, Column, Commit, Committed, Job, JobKind},
    source::{
        SourcePosition,
        log::{Batch, Candidate, LogError, Place, ReadOrder, SourceSpec},
    },
    tenant::TenantKey,
};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// A row did not have the version that the decision was made on, or a lease was lost: load and decide again.
    Conflict,
    /// The store cannot be written or read now (disk full, connection lost). Nothing of the commit was applied.
    Unavailable(String),
    /// A stored row cannot be understood. Never treated as absent.
    Corrupt(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Conflict => f.write_str("the row changed meanwhile"),
            Self::Unavailable(why) => write!(f, "the store is unavailable: {why}"),
            Self::Corrupt(why) => write!(f, "a stored row is unreadable: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// A stored row as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub id: String,
    pub version: u64,
    pub body: String,
}

/// One page of a collection: equality filters, an optional lower bound, newest first by a column and then by id.
/// Each supported combination is one index seek.
#[derive(Clone, Debug)]
pub struct Query {
    pub collection: &'static Collection,
    pub tenant: TenantKey,
    pub equals: Vec<(&'static str, Column)>,
    /// Column that orders the page, descending.
    pub order: &'static str,
    /// Rows whose order column is at least this.
    pub since: Option<i64>,
    /// Continue after this `(order value, id)`.
    pub after: Option<(i64, String)>,
    pub limit: usize,
}

/// A part of a walk over a whole collection, by id. However rows change meanwhile, one that is there all the while is met
/// exactly once, which pages in the order of a time cannot promise.
#[derive(Clone, Debug)]
pub struct Walk {
    pub collection: &'static Collection,
    pub tenant: TenantKey,
    /// A column of text that must have this value.
    pub equals: Option<(&'static str, String)>,
    /// Column whose value comes with each row.
    pub order: &'static str,
    /// Continue after this id; empty begins.
    pub after: String,
    pub limit: usize,
}

/// A row of a page, with the value that orders it (for the next cursor).
#[derive(Clone, Debug, PartialEq)]
pub struct PageRow {
    pub order: i64,
    pub row: Row,
}

/// A claimed job. `lease` names the claim; every write about the job must present it.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    pub job: Job,
    pub tenant: TenantKey,
    pub lease: String,
    /// How often the job has been claimed, this time included.
    pub attempts: u32,
}

/// A row of the audit log as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    pub seq: u64,
    pub event_type: String,
    pub created_at_ms: u64,
    /// Empty once retention has dropped it; see [`AuditRow::body`].
    pub canonical: String,
    pub leaf: Hash,
}

impl AuditRow {
    /// The canonical bytes, where they are still kept.
    pub fn body(&self) -> Option<&str> {
        (!self.canonical.is_empty()).then_some(self.canonical.as_str())
    }
}

#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    pub event_type: Option<String>,
    /// Rows with `seq` below this (for pages, newest first) …
    pub before_seq: Option<u64>,
    /// … or above this (for streams, oldest first). Exactly one direction is used: `before_seq` unless this is set.
    pub after_seq: Option<u64>,
    pub since_ms: Option<u64>,
    pub until_ms: Option<u64>,
    pub limit: usize,
}

/// The durable state. Reads see every commit that was answered before they began.
pub trait Store: Send + Sync {
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, StoreError>>;

    fn get<'a>(
        &'a self,
        collection: &'static Collection,
        tenant: &'a TenantKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Row>, StoreError>>;
    fn page(&self, query: Query) -> BoxFuture<'_, Result<Vec<PageRow>, StoreError>>;
    /// The same from the other end: oldest first, rows after the cursor.
    fn oldest(&self, query: Query) -> BoxFuture<'_, Result<Vec<PageRow>, StoreError>>;
    /// For work on a thread of its own: the caller's thread may be kept busy with reading.
    fn walk(&self, walk: Walk) -> BoxFuture<'_, Result<Vec<PageRow>, StoreError>>;
    fn count<'a>(
        &'a self,
        collection: &'static Collection,
        tenant: &'a TenantKey,
        equals: Vec<(&'static str, Column)>,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;
    /// Every tenant that owns a row in `collection` (for workers and sweeps).
    fn tenants<'a>(&'a self, collection: &'static Collection) -> BoxFuture<'a, Result<Vec<TenantKey>, StoreError>>;

    /// Finds a credential row by the hash of its secret, in any tenant.
    fn credential<'a>(
        &'a self,
        collection: &'static Collection,
        hash: &'a str,
    ) -> BoxFuture<'a, Result<Option<(TenantKey, Row)>, StoreError>>;
    /// Records when credentials were last used. Bookkeeping: monotone, without version or audit row.
    fn mark_used<'a>(
        &'a self,
        collection: &'static Collection,
        used: Vec<(TenantKey, String, u64)>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
    fn last_used<'a>(
        &'a self,
        collection: &'static Collection,
        tenant: &'a TenantKey,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, StoreError>>;

    /// Lanes with a due, unleased job of this kind.
    fn due_lanes(&self, kind: JobKind, now_ms: u64) -> BoxFuture<'_, Result<Vec<String>, StoreError>>;
    /// Claims up to `limit` due jobs of one lane until `lease_until_ms`. `lease` must be fresh.
    fn claim<'a>(
        &'a self,
        kind: JobKind,
        lane: &'a str,
        now_ms: u64,
        lease: &'a str,
        lease_until_ms: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Claim>, StoreError>>;
    /// The earliest time at which a job of this kind becomes claimable.
    fn next_due(&self, kind: JobKind) -> BoxFuture<'_, Result<Option<u64>, StoreError>>;
    fn job_count(&self, kind: JobKind) -> BoxFuture<'_, Result<u64, StoreError>>;

    fn audit_size<'a>(&'a self, tenant: &'a TenantKey) -> BoxFuture<'a, Result<u64, StoreError>>;
    fn audit_rows<'a>(
        &'a self,
        tenant: &'a TenantKey,
        query: AuditQuery,
    ) -> BoxFuture<'a, Result<Vec<AuditRow>, StoreError>>;
    /// Leaf hashes of rows `start+1 ..= start+count` (level 0), or stored tile nodes of a higher level.
    fn audit_hashes<'a>(
        &'a self,
        tenant: &'a TenantKey,
        level: u8,
        start: u64,
        count: u64,
    ) -> BoxFuture<'a, Result<Vec<Hash>, StoreError>>;
    fn audit_tenants(&self) -> BoxFuture<'_, Result<Vec<TenantKey>, StoreError>>;
    /// The newest signed checkpoint and the state needed to extend it.
    fn checkpoint<'a>(&'a self, tenant: &'a TenantKey) -> BoxFuture<'a, Result<Option<Checkpoint>, StoreError>>;
    /// Stores a checkpoint and the tile nodes completed by it. `false` when one of at least this size exists already.
    fn checkpoint_put<'a>(
        &'a self,
        tenant: &'a TenantKey,
        checkpoint: Checkpoint,
        nodes: Vec<(u8, u64, Hash)>,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Small named values of the installation (signing seed, first start). `meta_init` keeps what is there.
    fn meta_init<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<String, StoreError>>;
    fn meta_get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    /// True when no other process can write this store, so a cache in this process cannot go stale unnoticed.
    fn exclusive(&self) -> bool;
    /// Proves that the store can be written now.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub size: u64,
    pub root: Hash,
    /// The signed note.
    pub note: String,
    /// The compact range of `size` leaves, to extend the tree without reading it again.
    pub frontier: String,
    pub created_at_ms: u64,
}

/// Time, for the shell. Decisions take `now_ms`.
pub trait Clock: Send + Sync {
    fn now_ms(&self) -> u64;
}

/// Fresh identifiers.
pub trait Ids: Send + Sync {
    /// 32 hex characters, ordered by time of creation.
    fn fresh(&self) -> String;
    /// A v4-like UUID in its usual form.
    fn uuid(&self) -> String;
    /// 32 unpredictable bytes.
    fn secret(&self) -> [u8; 32];
    /// A number in `0..=max` for jitter.
    fn jitter(&self, max: u64) -> u64;
}

/// Tools of registered MCP servers, behind every rule about them: enabled, allowed, unchanged, arguments that fit.
pub trait Tools: Send + Sync {
    /// What the server offers, as last listed and kept in the store. Allowed tools only.
    fn tools<'a>(&'a self, tenant: &'a TenantKey, server: &'a str) -> BoxFuture<'a, Result<Vec<ToolRow>, ToolError>>;
    /// Calls a tool once. Nothing here repeats a call.
    fn call<'a>(&'a self, tenant: &'a TenantKey, call: ToolCall) -> BoxFuture<'a, Result<ToolAnswer, ToolError>>;
}

/// Log files of this machine.
pub trait LogFiles: Send + Sync {
    /// A reader for one source. Opens nothing yet: what is wrong with the source, each read says anew.
    fn reader(&self, spec: SourceSpec) -> Box<dyn LogReader>;
    /// Whether a link on the way leads out of the root, as far as the path is there. What cannot be told now is not said
    /// to lead out: each read judges again.
    fn leads_out<'a>(&'a self, root: &'a str, path: &'a str) -> BoxFuture<'a, bool>;
    /// The failure that stands at exactly this place, read again. `None` when something else stands there. `position` tells
    /// which file that is by now.
    fn at<'a>(
        &'a self,
        spec: &'a SourceSpec,
        position: &'a SourcePosition,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<Option<Candidate>, LogError>>;
}

/// Reads one source. Keeps open files and half-assembled stacks between reads, and nothing that matters: a fresh reader
/// with the same positions finds the same.
pub trait LogReader: Send {
    /// Reads on. The reader comes back with the answer, unless it ended abnormally: then the future says so and the
    /// reader is gone. Waiting for it can be given up and taken up again.
    fn read(self: Box<Self>, order: ReadOrder) -> BoxFuture<'static, Reading>;
    /// Ends when a file of the source may have changed, perhaps for nothing, perhaps never.
    fn changed(&self) -> BoxFuture<'static, ()>;
}

/// A read that came back.
pub struct Reading {
    pub reader: Option<Box<dyn LogReader>>,
    /// Everything before it is among what was found, in an earlier batch, or no failure. After an error, what may be
    /// kept all the same.
    pub position: Option<SourcePosition>,
    pub result: Result<Batch, LogError>,
}

/// How a connection to an MCP server is made. Holds secrets, so it neither prints nor is stored.
pub struct Dial {
    /// Of the tenant and the server; one connection is kept for each.
    pub key: String,
    /// Changes with everything that the connection is made with; another digest makes it anew.
    pub digest: String,
    pub transport: Transport,
    pub headers: Vec<(String, Secret)>,
    pub allow_private_networks: bool,
}

/// Connections to MCP servers, and the protocol on them. Rules about which tools may be called are not its own.
pub trait Mcp: Send + Sync {
    /// Makes the connection, or uses the one that is there, and asks the server what it offers. Bounded in time, in
    /// bytes and in pages.
    fn list(&self, dial: Dial) -> BoxFuture<'_, Result<Listing, ToolError>>;
    /// Calls a tool by its raw name, once, on this connection and no other: nothing is dialled for it.
    fn call(&self, dial: Dial, connection: u64, call: ToolCall) -> BoxFuture<'_, Result<ToolAnswer, ToolError>>;
    /// The number of the open connection with this key and digest. No two connections of a process share one.
    fn open(&self, key: &str, digest: &str) -> Option<u64>;
    /// Ends the connection, if there is one.
    fn close<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()>;
    /// Whether arguments fit a tool's schema; else the first places where they do not, without any value.
    fn fits(&self, schema: &serde_json::Value, arguments: &serde_json::Value) -> Result<(), String>;
    /// Begins an authorisation: who authorises for a server, and the address that a person has to open.
    fn authorize(&self, ask: AuthAsk) -> BoxFuture<'_, Result<AuthBegun, String>>;
    /// The key of the server whose authorisation is under way with this state.
    fn awaiting(&self, state: &str) -> Option<String>;
    /// Turns the code that the person brought back into tokens, which the driver keeps. The state is used up.
    fn authorized<'a>(&'a self, key: &'a str, state: &'a str, code: &'a str) -> BoxFuture<'a, Result<(), String>>;
    /// Forgets the tokens of a server. Says whether there were any.
    fn forget_authorization<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, String>>;
    /// Whether the operator's own file has a command of this name.
    fn has_command(&self, name: &str) -> bool;
}

/// Secrets by reference (`env:NAME`). The value cannot print itself.
pub trait Secrets: Send + Sync {
    fn resolve(&self, reference: &str) -> Result<Secret, SecretError>;
}

#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }
    /// The value, for the one place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    BadReference,
    Unavailable,
}
