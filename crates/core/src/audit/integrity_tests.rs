//! A stored log, spoilt in each way, judged.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::audit::event::{Sealed, seal, tests::draft};
use crate::audit::merkle::Node;

#[derive(Clone)]
struct Log {
    rows: Vec<(u64, Sealed)>,
    nodes: Vec<Node>,
    heads: Vec<Head>,
}

fn log(size: u64, head_every: u64) -> Log {
    let rows: Vec<_> = (1..=size).map(|seq| (seq, seal(&draft(seq, json!({"n": seq})), seq))).collect();
    let mut tree = Frontier::default();
    let mut log = Log { rows: Vec::new(), nodes: Vec::new(), heads: Vec::new() };
    for (seq, row) in &rows {
        log.nodes.extend(tree.integrate(&[row.leaf]));
        if *seq == size || seq % head_every == 0 {
            log.heads.push(Head { size: tree.size(), root: tree.root() });
        }
    }
    log.rows = rows;
    log
}

fn check(log: &Log, acknowledged: &[Acknowledged]) -> Check {
    let mut check = Check::new(log.heads.iter().copied(), acknowledged.to_vec());
    let mut nodes = log.nodes.iter().filter(|node| node.level == TILE_LEVEL).peekable();
    for (seq, row) in &log.rows {
        while let Some(node) = nodes.next_if(|node| (node.index + 1) * TILE_ROWS < *seq) {
            check.tile(node.index, &node.hash);
        }
        check.row(*seq, &row.canonical, &row.leaf);
    }
    for node in nodes {
        check.tile(node.index, &node.hash);
    }
    check
}

#[track_caller]
fn expect(log: &Log, first: u64, last: u64, reason: Reason) {
    let judged = check(log, &[]);
    let integrity = judged.finish();
    assert_eq!(
        integrity,
        Integrity {
            status: Status::Tampered,
            checked_to_seq: first - 1,
            first_bad_seq: Some(first),
            reason: Some(reason)
        },
        "{judged:?}"
    );
    // Once an operator has recorded it, the log reads as verified again, and the wrong acknowledgement changes nothing.
    let known = Acknowledged { first_bad_seq: first, last_bad_seq: Some(last) };
    assert_eq!(check(log, &[known]).finish().status, Status::Verified);
    let elsewhere = Acknowledged { first_bad_seq: last + 500, last_bad_seq: None };
    assert_eq!(check(log, &[elsewhere]).finish(), integrity);
}

#[test]
fn untouched_logs_are_verified_and_an_empty_one_is_empty() {
    for size in [1, 2, 255, 256, 257, 600] {
        let integrity = check(&log(size, 100), &[]).finish();
        assert_eq!((integrity.status, integrity.checked_to_seq), (Status::Verified, size));
    }
    assert_eq!(check(&log(0, 1), &[]).finish(), Integrity::EMPTY);
}

#[test]
fn a_lost_log_never_reads_as_empty() {
    let mut lost = log(40, 10);
    lost.rows.clear();
    expect(&lost, 1, 40, Reason::Truncated);
}

#[test]
fn rows_after_the_last_head_are_checked_too() {
    let mut log = log(50, 10);
    log.heads.pop();
    assert_eq!(check(&log, &[]).finish().checked_to_seq, 50);
    log.rows[44].1.canonical.push(' ');
    expect(&log, 45, 45, Reason::RowEdited);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_single_break_is_named(size in 2u64..800, pick in any::<u64>(), every in 1u64..200) {
        let good = log(size, every);
        let at = (pick % size) as usize;
        let seq = at as u64 + 1;

        let mut edited = good.clone();
        edited.rows[at].1.canonical = edited.rows[at].1.canonical.replace("human", "agent");
        expect(&edited, seq, seq, Reason::RowEdited);

        // The stored hash was replaced as well: a head or a node names the rows it covers.
        edited.rows[at].1.leaf = merkle::leaf_hash(edited.rows[at].1.canonical.as_bytes());
        let judged = check(&edited, &[]);
        let found = judged.finish();
        prop_assert_eq!(found.status, Status::Tampered);
        let span = judged.found().unwrap();
        prop_assert!(span.first_seq <= seq && seq <= span.last_seq);
        prop_assert!(span.last_seq - span.first_seq < TILE_ROWS.max(every));
        let known = Acknowledged { first_bad_seq: span.first_seq, last_bad_seq: Some(span.last_seq) };
        prop_assert_eq!(check(&edited, &[known]).finish().status, Status::Verified);

        let mut dropped = good.clone();
        dropped.rows.remove(at);
        expect(&dropped, seq, seq, if seq == size && size % 256 != 0 { Reason::Truncated } else { Reason::RowDropped });

        let mut swapped = good.clone();
        let other = (at + 1) % size as usize;
        let (a, b) = (swapped.rows[at].1.clone(), swapped.rows[other].1.clone());
        swapped.rows[at].1 = b;
        swapped.rows[other].1 = a;
        let found = check(&swapped, &[]).finish();
        prop_assert_eq!((found.reason, found.first_bad_seq), (Some(Reason::RowReordered), Some(at.min(other) as u64 + 1)));

        let mut cut = good.clone();
        cut.rows.truncate(at);
        cut.nodes.clear();
        expect(&cut, seq, size, Reason::Truncated);
    }
}

#[test]
fn a_second_break_shows_through_an_acknowledged_one() {
    let mut log = log(700, 50);
    log.rows[300].1.canonical.push(' ');
    log.rows[301].1.canonical.push(' ');
    let known = Acknowledged { first_bad_seq: 301, last_bad_seq: None };
    assert_eq!(check(&log, &[known]).finish().first_bad_seq, Some(302));
    // After an acknowledged loss the stored node picks the tree up again, so later roots are judged.
    let mut gap = self::log(700, 50);
    gap.rows.remove(300);
    gap.heads.last_mut().unwrap().root = [9; 32];
    let integrity = check(&gap, &[known]).finish();
    assert_eq!((integrity.reason, integrity.first_bad_seq), (Some(Reason::RootMismatch), Some(651)));
}
