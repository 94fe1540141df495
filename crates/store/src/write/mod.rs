//! The one writer of a store. Callers queue; the writer takes whatever waits, applies it in one transaction, and
//! answers when that is durable. The more callers, the larger the batch, and the fewer disk flushes for each.

mod batch;
mod commit;
mod decide;
mod fold;
mod jobs;
mod log;
#[cfg(test)]
mod tests;

pub use batch::JOBS_CHANNEL;
use tandem_core::{
    ports::{Checkpoint, Claim, StoreError},
    record::{Commit, Committed, JobKind, Write},
    tenant::TenantKey,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{error::Fault, session::Session};

/// Commits in one transaction, at most: bounds how long the first of them waits for the last.
const BATCH_OPS: usize = 256;
/// Bytes in one transaction, roughly, at most: bounds the writer's memory.
const BATCH_BYTES: usize = 8 << 20;
/// Callers that may wait in the queue; further ones wait to enter it.
const QUEUE: usize = 1024;

/// One thing to be written.
#[derive(Debug)]
pub enum Op {
    Commit(Commit),
    Claim(ClaimOrder),
    MarkUsed { collection: &'static str, used: Vec<(TenantKey, String, u64)> },
    Checkpoint { tenant: TenantKey, checkpoint: Checkpoint, nodes: Vec<(u8, u64, [u8; 32])> },
    MetaInit { key: String, value: String },
    Ping,
}

#[derive(Debug)]
pub struct ClaimOrder {
    pub kind: JobKind,
    pub lane: String,
    pub now_ms: u64,
    pub lease: String,
    pub lease_until_ms: u64,
    pub limit: usize,
}

/// What an [`Op`] gives back, by its kind.
#[derive(Debug)]
pub enum Answer {
    Committed(Committed),
    Claims(Vec<Claim>),
    /// Whether the checkpoint was stored.
    Stored(bool),
    Value(String),
    Done,
}

struct Request {
    op: Op,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

/// The writer's queue, seen from the callers' side.
pub struct Queue(mpsc::Sender<Request>);

/// The writer's queue, seen from the writer's side.
pub struct Inbox(mpsc::Receiver<Request>);

pub fn queue() -> (Queue, Inbox) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Queue(sender), Inbox(receiver))
}

impl Queue {
    pub async fn submit(&self, op: Op) -> Result<Answer, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let (reply, answer) = oneshot::channel();
        self.0.send(Request { op, reply }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

/// Writes until every [`Queue`] is gone and everything queued is answered. `wakes` counts batches that wrote jobs.
pub async fn run<S: Session>(mut session: S, mut inbox: Inbox, wakes: watch::Sender<u64>) -> S {
    let mut waiting = Vec::new();
    while inbox.0.recv_many(&mut waiting, BATCH_OPS).await > 0 {
        while !waiting.is_empty() {
            let rest = waiting.split_off(fitting(&waiting));
            let (ops, replies): (Vec<_>, Vec<_>) = waiting.into_iter().map(|r| (r.op, r.reply)).unzip();
            waiting = rest;
            let results = batch::settle(&mut session, &ops).await;
            if results.iter().any(wrote_jobs) {
                wakes.send_modify(|n| *n += 1);
            }
            for (reply, result) in replies.into_iter().zip(results) {
                // A caller that went away has no use for the answer; what it asked for is written all the same.
                let _ = reply.send(result.map_err(StoreError::from));
            }
        }
    }
    session
}

/// How many of the waiting requests go into one transaction: at least one.
fn fitting(waiting: &[Request]) -> usize {
    let mut bytes = 0;
    let fits = |request: &&Request| {
        bytes += size(&request.op);
        bytes <= BATCH_BYTES
    };
    waiting.iter().take_while(fits).count().max(1)
}

fn size(op: &Op) -> usize {
    match op {
        Op::Commit(commit) => commit
            .writes
            .iter()
            .map(|write| match write {
                Write::Put(put) => put.body.len(),
                // An incident, a draft and an audit row.
                Write::Signal(signal) => 2 * signal.composed.len() + 4096,
                // Some rows and their audit rows.
                Write::Decide { .. } => 16_384,
                Write::Delete { .. }
                | Write::Amend { .. }
                | Write::DropBodies { .. }
                | Write::Job(_)
                | Write::JobDone { .. }
                | Write::JobRetry { .. }
                | Write::JobKeep { .. }
                | Write::JobsWake { .. } => 256,
            })
            .sum(),
        Op::Checkpoint { nodes, .. } => nodes.len() * 64,
        Op::MarkUsed { used, .. } => used.len() * 128,
        Op::Claim(_) | Op::MetaInit { .. } | Op::Ping => 256,
    }
}

/// Whether there is new work for somebody to be told of. What a decision leads to is known only afterwards.
fn wrote_jobs(settled: &Result<Answer, Fault>) -> bool {
    matches!(settled, Ok(Answer::Committed(committed)) if committed.jobs)
}

fn is_job(write: &Write) -> bool {
    match write {
        Write::Job(_) | Write::JobRetry { .. } | Write::JobsWake { .. } => true,
        Write::Put(_)
        | Write::Delete { .. }
        | Write::Signal(_)
        | Write::Amend { .. }
        | Write::Decide { .. }
        | Write::DropBodies { .. }
        | Write::JobDone { .. }
        | Write::JobKeep { .. } => false,
    }
}
