//! Batches whose make-up is fixed, which racing callers cannot arrange.

use std::path::PathBuf;

use tandem_core::{
    actor::{ActorKind, ActorRef, OpContext},
    incident::{TOMBSTONES, Tombstone},
    record::{Commit, Put, Write},
    signal::{Door, Submission, accept, accept::FreshIds, accept::Settings},
    tenant::TenantContext,
};

use super::{Answer, Op, batch::settle};
use crate::{
    error::Fault,
    session::{Session as _, Stmt},
    sqlite::{SqliteSession, block_on, prepare},
};

fn scratch(name: &str) -> (PathBuf, SqliteSession) {
    let directory = std::env::temp_dir().join(format!("tandem-write-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("tandem.db");
    prepare(&path).expect("a database");
    let session = SqliteSession::open(&path).expect("a connection");
    (directory, session)
}

fn commit(audit: &str) -> Commit {
    let ctx = OpContext {
        tenant: TenantContext::local(),
        actor: ActorRef { kind: ActorKind::System, actor_id: None, source: None },
        request_id: "req".into(),
        now_ms: 1,
    };
    Commit::new(&ctx).audit(audit.into(), "test.done", serde_json::json!({}))
}

fn stone(id: &str, filler: usize) -> Tombstone {
    Tombstone { identity: id.into(), draft_id: "d".repeat(filler), deleted_at_ms: 1 }
}

fn report(key: &str, n: usize) -> Op {
    let submission = Submission {
        repo: Some("acme/app".into()),
        detail: Some("it broke".into()),
        fingerprint: Some(key.into()),
        ..Submission::default()
    };
    let ids = FreshIds { incident_id: format!("i{n}"), draft_id: format!("d{n}"), event_id: format!("e{n}") };
    let tenant = TenantContext::local().key();
    let signal = accept(submission, Door::Report, &Settings::default(), &tenant, ids, "req", 1).expect("acceptable");
    let mut commit = commit("unused");
    commit.audit.clear();
    Op::Commit(commit.write(Write::Signal(Box::new(signal))))
}

fn count(session: &mut SqliteSession, table: &str) -> u64 {
    let sql = format!("SELECT COUNT(*) FROM {table}");
    let mut rows = block_on(session.query(Stmt::new(&sql, []))).expect("it answers");
    rows.remove(0).uint().expect("a number")
}

fn seqs(settled: &[Result<Answer, Fault>]) -> Vec<Result<u64, Fault>> {
    let seq = |one: &Result<Answer, Fault>| match one {
        Ok(Answer::Committed(committed)) => Ok(committed.audit_seq),
        Ok(other) => panic!("not a commit's answer: {other:?}"),
        Err(fault) => Err(fault.clone()),
    };
    settled.iter().map(seq).collect()
}

#[test]
fn a_conflict_in_the_middle_of_a_batch_is_its_own() {
    let (directory, mut session) = scratch("middle");
    let put = |id: &str| Op::Commit(commit(id).put(Put::insert(&stone(id, 1))));
    let half = Op::Commit(commit("x").put(Put::insert(&stone("x", 1))).put(Put::update(&stone("nobody", 1), 4)));
    let batch = [put("a"), report("key", 1), half, put("a"), report("key", 2), put("b")];
    let settled = block_on(settle(&mut session, &batch));
    // The signals come first; who conflicts uses no number.
    let conflict = Err(Fault::Conflict);
    assert_eq!(seqs(&settled), [Ok(3), Ok(1), conflict.clone(), conflict, Ok(2), Ok(4)]);
    assert_eq!((count(&mut session, "incident_tombstones"), count(&mut session, "audit_events")), (2, 4));
    assert_eq!((count(&mut session, "incidents"), count(&mut session, "drafts")), (1, 1));
    std::fs::remove_dir_all(directory).expect("ours");
}

#[test]
fn an_id_used_twice_fails_its_own_signal_only() {
    let (directory, mut session) = scratch("twice");
    let settled = block_on(settle(&mut session, &[report("one", 1), report("two", 1), report("three", 3)]));
    assert_eq!(seqs(&settled), [Ok(1), Err(Fault::Conflict), Ok(2)]);
    assert_eq!((count(&mut session, "incidents"), count(&mut session, "audit_events")), (2, 2));
    std::fs::remove_dir_all(directory).expect("ours");
}

#[test]
fn a_full_disk_is_unavailable_and_then_is_not() {
    let (directory, mut session) = scratch("full");
    // A limit of the connection. The session opens a new one after a failure, as it would find a disk with room again.
    block_on(session.query(Stmt::new("PRAGMA max_page_count = 1", []))).expect("set to what is used already");
    let big = |id: &str| Op::Commit(commit(id).put(Put::insert(&stone(id, 3_000_000))));
    let small = || Op::Commit(commit("small"));
    let settled = block_on(settle(&mut session, &[small(), big("a"), small()]));
    let unavailable = |one: &Result<Answer, Fault>| matches!(one, Err(Fault::Unavailable(_)));
    assert!(settled.iter().all(unavailable), "{settled:?}");
    let settled = block_on(settle(&mut session, &[small(), big("a")]));
    assert_eq!(seqs(&settled), [Ok(1), Ok(2)], "nothing of the failed batch was applied");
    assert_eq!(count(&mut session, TOMBSTONES.name), 1);
    std::fs::remove_dir_all(directory).expect("ours");
}

#[test]
fn a_database_locked_by_another_is_waited_for() {
    let (directory, mut session) = scratch("locked");
    let other = rusqlite::Connection::open(directory.join("tandem.db")).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    block_on(session.query(Stmt::new("PRAGMA busy_timeout = 1", []))).expect("set");
    let settled = block_on(settle(&mut session, &[Op::Ping]));
    assert!(matches!(settled[..], [Err(Fault::Unavailable(_))]), "{settled:?}");
    other.execute_batch("COMMIT").expect("unlocked");
    let settled = block_on(settle(&mut session, &[Op::Ping]));
    assert!(matches!(settled[..], [Ok(Answer::Done)]), "{settled:?}");
    std::fs::remove_dir_all(directory).expect("ours");
}
