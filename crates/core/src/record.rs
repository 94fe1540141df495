//! Rows and the one way to write them.
//!
//! A use case loads, decides, and hands the store one [`Commit`]: the rows to write with the version that each must
//! still have, the audit rows, and the jobs. The store applies it whole or not at all. There is no other way to write,
//! so a change without its audit row cannot exist. Leases and last-used marks are the store's own bookkeeping.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    actor::OpContext,
    audit::event::Draft as AuditDraft,
    decide::{Decide, Verdict},
    incident::Amendment,
    signal,
};

/// A kind of stored record: a table, the columns that are searched or constrained, and a JSON body for the rest.
#[derive(Debug, PartialEq, Eq)]
pub struct Collection {
    pub name: &'static str,
    /// Names of the columns beside `tenant`, `id`, `version` and `body`.
    pub columns: &'static [&'static str],
}

/// The value of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Column {
    pub fn ms(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }
    pub fn opt(value: Option<&str>) -> Self {
        value.map_or(Self::Null, |v| Self::Text(v.to_owned()))
    }
}

/// Something that is stored as one row.
pub trait Record: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    const COLLECTION: &'static Collection;
    fn id(&self) -> &str;
    /// Values for [`Collection::columns`], in that order.
    fn columns(&self) -> Vec<Column>;
}

/// What must be true of the row for the write to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Absent,
    Version(u64),
    /// Only for rows that nothing else decides on.
    Any,
}

/// A stored value with the version it was read at.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<T> {
    pub version: u64,
    pub value: T,
}

#[derive(Clone, Debug)]
pub struct Put {
    pub collection: &'static Collection,
    pub id: String,
    pub expect: Expect,
    pub columns: Vec<Column>,
    pub body: String,
}

impl Put {
    pub fn of<R: Record>(record: &R, expect: Expect) -> Self {
        Self {
            collection: R::COLLECTION,
            id: record.id().to_owned(),
            expect,
            columns: record.columns(),
            body: body(record),
        }
    }

    pub fn insert<R: Record>(record: &R) -> Self {
        Self::of(record, Expect::Absent)
    }

    pub fn update<R: Record>(record: &R, read: u64) -> Self {
        Self::of(record, Expect::Version(read))
    }
}

/// A record's JSON. Serialising our own records cannot fail: their maps have string keys and no custom serialiser errors.
pub fn body<R: Record>(record: &R) -> String {
    let mut bytes = Vec::with_capacity(BODY_BYTES);
    match serde_json::to_writer(&mut bytes, record) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// Room for most bodies, so that writing one does not move it several times.
const BODY_BYTES: usize = 4096;

/// One change of one row.
#[derive(Clone, Debug)]
pub enum Write {
    Put(Put),
    Delete {
        collection: &'static Collection,
        id: String,
        expect: Expect,
    },
    /// A signal to be folded into its incident by [`signal::fold`] inside the write transaction, so that any number of
    /// equal signals at once create exactly one incident and lose no count.
    Signal(Box<signal::Accepted>),
    /// A change of an incident that holds whatever else happened to it; nothing when it was deleted.
    Amend {
        incident_id: String,
        amendment: Amendment,
    },
    /// A question that is decided inside the write transaction; what it leads to is written with the commit. `seed` is
    /// fresh and random: the ids of what the decision creates come from it.
    Decide {
        decide: Arc<dyn Decide>,
        seed: u128,
    },
    /// Drops the bodies of these rows of the tenant's audit log. Their places, hashes, times and types stay.
    DropBodies {
        first_seq: u64,
        last_seq: u64,
    },
    /// Work for a worker.
    Job(Job),
    /// Ends a claimed job. Refused (as a conflict of the whole commit) when the lease was lost.
    JobDone {
        job_id: String,
        lease: String,
    },
    /// Gives a claimed job back, due later. Refused when the lease was lost.
    JobRetry {
        job_id: String,
        lease: String,
        due_at_ms: u64,
    },
    /// Goes on with a claimed job: its lease starts anew. Refused when the lease was lost, so a commit that says what is
    /// about to be sent proves at the same time that nobody else is about to send it.
    JobKeep {
        job_id: String,
        lease: String,
        until_ms: u64,
    },
    /// Makes these jobs of a kind due at once. One that is claimed is left to its worker.
    JobsWake {
        kind: JobKind,
        of: Waiting,
        due_at_ms: u64,
    },
}

/// Which waiting jobs of a kind are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    Subject(String),
    Lane(String),
}

impl From<Put> for Write {
    fn from(put: Put) -> Self {
        Self::Put(put)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Run the four triage phases of a draft.
    Triage,
    /// Publish a draft whose route or project an admin set to publish by itself.
    AutoPublish,
    /// Attempt one delivery to one destination.
    Deliver,
    /// Tell a tracker that a published failure was seen again.
    Recur,
    /// Ask a tracker which of our issues were closed or opened again.
    Sync,
    /// One of a tenant's governance sweeps. The job is given back with the time of the next one, so that any number of
    /// engines share one sweep.
    Sweep,
    /// Begin the triage of a draft that a log source opened.
    StartTriage,
    /// Read a log source. Lives as long as the source is to be read.
    Tail,
    /// Make an incident of a run that ended badly.
    RunFailure,
    /// Look whether the executor of a run was heard of before its lease ended.
    RunLease,
    /// Assess a scope of a tenant again when it is due. Never ends as long as a configuration names the scope.
    Reassess,
    /// Export what was appended to a tenant's log. The job is given back with the time of the next export.
    Export,
    /// Drop the bodies of audit rows that are older than the tenant keeps them. The job is given back with the time of the
    /// next look.
    Retention,
}

impl JobKind {
    pub const ALL: [Self; 13] = [
        Self::Triage,
        Self::AutoPublish,
        Self::Deliver,
        Self::Recur,
        Self::Sync,
        Self::Sweep,
        Self::StartTriage,
        Self::Tail,
        Self::RunFailure,
        Self::RunLease,
        Self::Reassess,
        Self::Export,
        Self::Retention,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::Triage => "triage",
            Self::AutoPublish => "auto_publish",
            Self::Deliver => "deliver",
            Self::Recur => "recur",
            Self::Sync => "sync",
            Self::Sweep => "sweep",
            Self::StartTriage => "start_triage",
            Self::Tail => "tail",
            Self::RunFailure => "run_failure",
            Self::RunLease => "run_lease",
            Self::Reassess => "reassess",
            Self::Export => "export",
            Self::Retention => "retention",
        }
    }
}

/// A durable instruction to a worker. `lane` keeps work apart that must not delay other work (one destination, one
/// tenant); `subject` is the id of the record that the job is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub job_id: String,
    pub kind: JobKind,
    pub lane: String,
    pub subject: String,
    pub due_at_ms: u64,
}

/// Everything that one decision writes.
#[derive(Clone, Debug)]
pub struct Commit {
    pub ctx: OpContext,
    pub writes: Vec<Write>,
    pub audit: Vec<AuditDraft>,
}

impl Commit {
    pub fn new(ctx: &OpContext) -> Self {
        Self { ctx: ctx.clone(), writes: Vec::new(), audit: Vec::new() }
    }

    pub fn put(mut self, put: Put) -> Self {
        self.writes.push(Write::Put(put));
        self
    }

    pub fn write(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    /// Adds an audit row in the name of this commit's context. `event_id` must be fresh.
    pub fn audit(mut self, event_id: String, event_type: &'static str, payload: serde_json::Value) -> Self {
        self.audit.push(AuditDraft::new(&self.ctx, event_id, event_type, payload));
        self
    }
}

/// What the store says of an applied commit.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// One per [`Write::Signal`], in order.
    pub signals: Vec<signal::Outcome>,
    /// One per [`Write::Decide`], in order.
    pub verdicts: Vec<Verdict>,
    /// Whether jobs were written or moved, those of folded signals left aside.
    pub jobs: bool,
    /// The tenant's log size after this commit.
    pub audit_seq: u64,
}
