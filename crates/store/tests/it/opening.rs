//! Opening, closing, and what must never be opened.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tandem_core::{incident::INCIDENTS, record::JobKind};
use tandem_store::{KNOWN_VERSION, OpenError, open_sqlite};

use crate::lab::*;

pub async fn what_was_answered_is_there_after_reopening(lab: Lab) {
    for round in 1..=3 {
        let opened = lab.try_open().await.expect("the store opens");
        assert_eq!(count(&opened, &INCIDENTS, &local()).await, (round - 1) * 20);
        for n in 0..20 {
            send(&opened, report(&local(), &format!("{round}/{n}"), 1_000)).await;
        }
        assert_eq!(opened.store().audit_size(&local().key()).await, Ok(round * 20));
        opened.close().await;
    }
}

pub async fn a_newer_schema_is_refused(lab: Lab) {
    lab.try_open().await.expect("the store opens").close().await;
    let newer = KNOWN_VERSION + 1;
    lab.meddle(&format!("UPDATE schema_version SET version = {newer}")).await;
    let error = lab.try_open().await.map(|_| ()).expect_err("it is not opened");
    assert_eq!(error, OpenError::NewerSchema { found: newer, known: KNOWN_VERSION });
    lab.meddle(&format!("UPDATE schema_version SET version = {KNOWN_VERSION}")).await;
    assert!(lab.try_open().await.is_ok());
}

pub async fn a_dropped_store_finishes_its_queue(lab: Lab) {
    let opened = lab.open().await;
    let commits: Vec<_> = (0..30)
        .map(|n| {
            let opened = opened.clone();
            tokio::spawn(async move { send(&opened, report(&local(), &format!("{n}"), 1_000)).await })
        })
        .collect();
    for commit in commits {
        commit.await.expect("it is answered");
    }
    drop(opened);
    let opened = lab.open().await;
    assert_eq!(count(&opened, &INCIDENTS, &local()).await, 30);
}

pub async fn the_store_says_whether_it_is_alone(lab: Lab) {
    let opened = lab.open().await;
    assert_eq!(opened.store().exclusive(), matches!(lab, Lab::Sqlite(_)));
    assert_eq!(opened.store().job_count(JobKind::Triage).await, Ok(0));
}

/// A path for a database, in a directory that goes away with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let Lab::Sqlite(path) = Lab::sqlite() else { unreachable!("asked for SQLite") };
        Self(path)
    }
}

impl std::ops::Deref for Scratch {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for Scratch {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(directory) = self.0.parent() {
            // A failing test has said more than a failing removal would.
            let _ = fs::remove_dir_all(directory);
        }
    }
}

fn journal(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

#[test]
fn what_is_not_our_database_is_refused_and_left_alone() {
    let whole = {
        let path = Scratch::new();
        drop(open_sqlite(&path).expect("a new store"));
        fs::read(&path).expect("the file")
    };
    let mut scribbled = whole.clone();
    // Every page but the header's first hundred bytes: the tables' own pages no longer make sense.
    scribbled[100..].fill(0xa5);
    let foreign = {
        let path = Scratch::new();
        let connection = rusqlite::Connection::open(&path).expect("a new database");
        connection.execute_batch("CREATE TABLE theirs (x)").expect("a table");
        drop(connection);
        fs::read(&path).expect("the file")
    };
    let cases: [(&str, Vec<u8>); 6] = [
        ("nothing in it", Vec::new()),
        ("a few bytes", b"SQLite".to_vec()),
        ("garbage", vec![7; 8_192]),
        ("cut off", whole[..whole.len() / 2].to_vec()),
        ("scribbled over", scribbled),
        ("someone else's", foreign),
    ];
    for (what, bytes) in cases {
        let path = Scratch::new();
        fs::write(&path, &bytes).expect("written");
        let error = open_sqlite(&path).map(|_| ()).expect_err(what);
        assert!(matches!(error, OpenError::Unreadable(_)), "{what}: {error}");
        assert_eq!(fs::read(&path).expect("still there").len(), bytes.len(), "{what} is left as it was");
    }
}

#[test]
fn a_journal_without_its_database_is_refused() {
    for empty_main in [false, true] {
        let path = Scratch::new();
        fs::write(journal(&path), [1; 64]).expect("written");
        if empty_main {
            fs::write(&path, []).expect("written");
        }
        let error = open_sqlite(&path).map(|_| ()).expect_err("it is not opened");
        assert!(matches!(error, OpenError::Unreadable(_)), "{error}");
    }
}

#[test]
fn an_interrupted_first_start_is_started_again() {
    let path = Scratch::new();
    fs::write(path.with_extension("db.new"), b"half a database").expect("written");
    drop(open_sqlite(&path).expect("a new store"));
    assert!(!path.with_extension("db.new").exists());
    assert!(path.exists());
}

#[test]
fn nobody_else_may_read_the_files() {
    let path = Scratch::new();
    drop(open_sqlite(&path).expect("a new store"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
    let store = open_sqlite(&path).expect("it opens");
    for file in [path.to_path_buf(), journal(&path), path.with_extension("db-shm")] {
        let mode = fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    drop(store);
}
