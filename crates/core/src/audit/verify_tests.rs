//! Random exports and every way to spoil one: each is detected, with the row named.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::audit::bundle::{About, Export};
use crate::audit::checkpoint::{Checkpoint, origin};
use crate::audit::event::{self, Draft, Sealed, seal};
use crate::audit::integrity::Integrity;
use crate::audit::merkle;
use crate::audit::note::NoteSigner;
use crate::audit::proof::{range_plan, tests::fetch};

fn signer() -> NoteSigner {
    NoteSigner::new("tandem.example", &[3; 32]).unwrap()
}

fn row(seq: u64) -> Sealed {
    seal(&draft(seq), seq)
}

fn draft(seq: u64) -> Draft {
    event::tests::draft(
        seq,
        json!({"draft_id": format!("d-{seq}"), "attempt": seq % 7, "note": "plain é \"quoted\"\n"}),
    )
}

/// The rows `first..=last` of a log of `size` rows.
fn export(size: u64, first: u64, last: u64) -> Vec<String> {
    let rows: Vec<Sealed> = (1..=size).map(row).collect();
    export_of(&rows, first, last)
}

fn export_of(rows: &[Sealed], first: u64, last: u64) -> Vec<String> {
    let size = rows.len() as u64;
    let leaves: Vec<Hash> = rows.iter().map(|row| row.leaf).collect();
    let root = merkle::root(&leaves);
    let whole = (first, last) == (1, size);
    let mut export = Export::default();
    let mut lines: Vec<String> = (first..=last)
        .map(|seq| {
            let row = &rows[seq as usize - 1];
            export.row(seq, &row.canonical, &row.leaf)
        })
        .collect();
    let span = if first > last { (0, 0) } else { (first - 1, last) };
    let plan = range_plan(size, span.0, span.1).unwrap();
    let proof = plan.prove(&fetch(&leaves, plan.ranges())).unwrap();
    let about = About {
        org_id: "acme".to_owned(),
        workspace_id: "main".to_owned(),
        since_ms: (!whole).then_some(1),
        until_ms: None,
        exported_at_ms: 9,
        tree_size: size,
        root,
        checkpoint: Checkpoint::new(origin("tandem.example", "acme", "main"), size, root).sign(&signer()).unwrap(),
        public_key: signer().verifier_key().to_string(),
        integrity: Integrity { status: Status::Verified, checked_to_seq: size, first_bad_seq: None, reason: None },
    };
    lines.push(serde_json::to_string(&export.trailer(about, proof)).unwrap());
    lines
}

fn verify(lines: &[String]) -> Report {
    let key = signer().verifier_key().to_string();
    verify_bundle(lines, Some(&key), 2)
}

#[track_caller]
fn expect(lines: &[String], reason: Reason, seq: u64) {
    let report = verify(lines);
    assert_eq!(
        (report.status, report.reason, report.first_bad_seq),
        (Status::Tampered, Some(reason), Some(seq)),
        "{report:?}"
    );
    assert_eq!(report.checked_to_seq, seq - 1);
}

fn change_trailer(lines: &mut [String], change: impl FnOnce(&mut Value)) {
    let line = lines.last_mut().unwrap();
    let mut value: Value = serde_json::from_str(line).unwrap();
    change(&mut value);
    *line = value.to_string();
}

/// The line of an edited row, with a record_hash that fits.
fn forged(seq: u64) -> (String, Hash) {
    let mut draft = draft(seq);
    draft.payload = json!({"draft_id": "another"});
    let sealed = seal(&draft, seq);
    (event::wire(&sealed.canonical, &sealed.leaf), sealed.leaf)
}

#[test]
fn an_untouched_export_is_verified_whole_and_in_part() {
    for (size, first, last) in [(1, 1, 1), (5, 1, 5), (300, 1, 300), (700, 1, 700), (700, 200, 600), (700, 700, 700)] {
        let report = verify(&export(size, first, last));
        assert_eq!((report.status, report.reason), (Status::Verified, None), "{report:?}");
        assert_eq!((report.first_seq, report.last_seq, report.tree_size), (first, last, size));
        assert_eq!(report.complete, (first, last) == (1, size));
        assert!(report.key_trusted);
    }
    let report = verify_bundle(export(9, 1, 9), None, 1);
    assert_eq!((report.status, report.key_trusted), (Status::Verified, false));
}

#[test]
fn an_empty_log_and_an_empty_window_are_empty() {
    let report = verify(&export(0, 1, 0));
    assert_eq!((report.status, report.complete, report.checked_to_seq), (Status::Empty, true, 0));
    let report = verify(&export(40, 41, 40));
    assert_eq!((report.status, report.complete, report.tree_size), (Status::Empty, false, 40));
    // The same without its window claims to be whole, and is not.
    let mut lines = export(40, 41, 40);
    change_trailer(&mut lines, |trailer| trailer["since_ms"] = Value::Null);
    expect(&lines, Reason::Truncated, 1);
    assert_eq!(verify(&[]).reason, Some(Reason::TrailerMissing));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn any_single_break_is_named(size in 2u64..620, a in any::<u64>(), b in any::<u64>(), from in any::<u64>()) {
        let first = 1 + from % size;
        let first = if from % 2 == 0 { 1 } else { first };
        let last = first + a % (size - first + 1);
        let lines = export(size, first, last);
        prop_assert_eq!(verify(&lines).status, Status::Verified);
        let count = last - first + 1;
        let at = (b % count) as usize;
        let seq = first + at as u64;

        let mut edited = lines.clone();
        edited[at] = edited[at].replace("\"kind\":\"human\"", "\"kind\":\"agent\"");
        expect(&edited, Reason::RowEdited, seq);

        let mut renumbered = lines.clone();
        renumbered[at] = renumbered[at].replacen(&format!("\"seq\":{seq},"), &format!("\"seq\":{},", seq + 3), 1);
        expect(&renumbered, Reason::RowEdited, seq);

        let mut garbled = lines.clone();
        garbled[at].truncate(30);
        expect(&garbled, Reason::MalformedRow, seq);

        let mut extended = lines.clone();
        extended[at] = extended[at].replacen("{\"seq\"", "{\"approved\":true,\"seq\"", 1);
        expect(&extended, Reason::MalformedRow, seq);

        let mut dropped = lines.clone();
        dropped.remove(at);
        expect(&dropped, if seq == last { Reason::Truncated } else { Reason::RowDropped }, if count == 1 { first } else { seq });

        let mut doubled = lines.clone();
        doubled.insert(at + 1 + (a % (count - at as u64)) as usize, lines[at].clone());
        expect(&doubled, Reason::RowDuplicated, seq);

        let other = (a % count) as usize;
        if other != at {
            let mut swapped = lines.clone();
            swapped.swap(at, other);
            expect(&swapped, Reason::RowReordered, first + at.min(other) as u64);
            let mut moved = lines.clone();
            let taken = moved.remove(at);
            moved.insert(other, taken);
            expect(&moved, Reason::RowReordered, first + at.min(other) as u64);
        }

        expect(&lines[..at + 1], Reason::TrailerMissing, seq + 1);
        let mut cut = lines[..=at].to_vec();
        let half = cut[at].len() / 2;
        cut[at].truncate(half);
        // Without a trailer and without one whole row, nothing tells where the export began.
        expect(&cut, Reason::Truncated, if at == 0 { 1 } else { seq });
    }

    #[test]
    fn a_replaced_row_with_a_fitting_hash_is_named(size in 1u64..620, a in any::<u64>()) {
        let at = (a % size) as usize;
        let seq = at as u64 + 1;
        let mut lines = export(size, 1, size);
        let (line, leaf) = forged(seq);
        lines[at] = line;
        expect(&lines, Reason::RowEdited, seq);
        prop_assert_eq!(verify(&lines).last_bad_seq, Some(seq));

        // With the mark forged too, the tile that holds the row is named.
        change_trailer(&mut lines, |trailer| {
            let marks = trailer["leaf_marks"].as_str().unwrap();
            let marks = format!("{}{}{}", &marks[..at * 8], hex::encode(&leaf[..4]), &marks[at * 8 + 8..]);
            trailer["leaf_marks"] = json!(marks);
        });
        let report = verify(&lines);
        let (low, high) = (report.first_bad_seq.unwrap(), report.last_bad_seq.unwrap());
        prop_assert_eq!((report.status, report.reason), (Status::Tampered, Some(Reason::RowEdited)));
        prop_assert!((low..=high).contains(&seq) && (low - 1) / 256 == (high - 1) / 256);

        // With the tiles forged as well, nothing is left that could say where.
        change_trailer(&mut lines, |trailer| trailer["range_proof"]["tiles"][0] = json!(hex::encode(leaf)));
        let report = verify(&lines);
        prop_assert_eq!((report.reason, report.first_bad_seq), (Some(Reason::RootMismatch), Some(1)));
        prop_assert_eq!(report.last_bad_seq, Some(size));
    }

    #[test]
    fn a_spoilt_trailer_never_verifies(size in 2u64..300, pick in any::<usize>(), first in 1u64..3) {
        let mut lines = export(size, first, size);
        change_trailer(&mut lines, |trailer| {
            let fields = [
                "schema_version", "record_count", "first_seq", "last_seq", "root_hash", "tree_size", "tenant_org_id",
                "tenant_workspace_id", "checkpoint", "range_proof", "leaf_marks", "type", "legacy_record_count",
                "keyed_record_count", "integrity_key_ids",
            ];
            let field = fields[pick % fields.len()];
            trailer[field] = match &trailer[field] {
                Value::Number(number) => json!(number.as_u64().unwrap() + 1),
                Value::String(text) => json!(text.replacen(['0', '1', 'a', '8', 'f'], "3", 1)),
                Value::Array(_) => json!(["another+00000000"]),
                _ => json!({"left": [], "tiles": [], "right": []}),
            };
        });
        prop_assert_eq!(verify(&lines).status, Status::Tampered);
    }
}

#[test]
fn a_shortened_export_with_a_forged_trailer_is_truncated() {
    let mut lines = export(300, 1, 300);
    lines.drain(290..300);
    change_trailer(&mut lines, |trailer| {
        trailer["last_seq"] = json!(290);
        trailer["record_count"] = json!(290);
    });
    expect(&lines, Reason::Truncated, 291);
    let mut lines = export(300, 11, 300);
    change_trailer(&mut lines, |trailer| trailer["since_ms"] = Value::Null);
    expect(&lines, Reason::RowDropped, 1);
}

#[test]
fn rows_and_checkpoints_of_another_tenant_are_foreign() {
    let mut lines = export(20, 1, 20);
    let mut foreign = draft(5);
    foreign.tenant.org_id = "rival".to_owned();
    let sealed = seal(&foreign, 5);
    lines[4] = event::wire(&sealed.canonical, &sealed.leaf);
    expect(&lines, Reason::ForeignTenant, 5);

    let mut lines = export(20, 1, 20);
    let head = Checkpoint::open(
        &serde_json::from_str::<Trailer>(&lines[20]).unwrap().checkpoint,
        &[signer().verifier_key().clone()],
    );
    let other = Checkpoint { origin: origin("tandem.example", "rival", "main"), ..head.unwrap() };
    change_trailer(&mut lines, |trailer| trailer["checkpoint"] = json!(other.sign(&signer()).unwrap()));
    expect(&lines, Reason::ForeignTenant, 1);
}

#[test]
fn another_key_signs_nothing() {
    let lines = export(3, 1, 3);
    let other = NoteSigner::new("tandem.example", &[4; 32]).unwrap().verifier_key().to_string();
    assert_eq!(verify_bundle(&lines, Some(&other), 1).reason, Some(Reason::CheckpointInvalid));
    assert_eq!(verify_bundle(&lines, Some("nonsense"), 1).reason, Some(Reason::CheckpointInvalid));
}

#[test]
fn a_log_that_the_server_calls_tampered_is_tampered() {
    let mut lines = export(30, 20, 30);
    change_trailer(&mut lines, |trailer| {
        trailer["integrity"] =
            json!({"status": "tampered", "checked_to_seq": 3, "first_bad_seq": 4, "reason": "row_edited"});
    });
    expect(&lines, Reason::RowEdited, 4);
}

#[test]
fn lines_after_the_trailer_and_cut_trailers_are_named() {
    let mut lines = export(4, 1, 4);
    lines.push(lines[0].clone());
    expect(&lines, Reason::TrailerMismatch, 5);
    let mut lines = export(4, 1, 4);
    lines[4].truncate(200);
    expect(&lines, Reason::TrailerMalformed, 5);
}

#[test]
fn another_layout_of_the_same_rows_is_verified() {
    let lines: Vec<String> = export(9, 1, 9)
        .iter()
        .map(|line| format!("  {}\r", serde_json::from_str::<Value>(line).unwrap().to_string().replace('é', "\\u00e9")))
        .collect();
    assert_eq!(verify(&lines).status, Status::Verified);
}

/// The same export with these rows as they are after their bodies were dropped.
fn without_bodies(lines: &[String], gone: &[u64]) -> Vec<String> {
    let tenant = draft(1).tenant;
    let line = |(at, line): (usize, &String)| {
        let seq = at as u64 + 1;
        match gone.contains(&seq) {
            true => event::without_body(seq, "any.type", 5, &tenant, &row_of(line)),
            false => line.clone(),
        }
    };
    lines.iter().enumerate().map(line).collect()
}

fn row_of(line: &str) -> Hash {
    let record: Value = serde_json::from_str(line).unwrap();
    merkle::parse_hex(record["record_hash"].as_str().unwrap()).unwrap()
}

/// An export of `size` rows whose last one tells of these as dropped.
fn telling(size: u64, ranges: Value) -> Vec<String> {
    let mut last = draft(size);
    last.event_type = "audit.retention.dropped".into();
    last.payload = json!({ "bodies": 1, "ranges": ranges });
    let rows: Vec<Sealed> = (1..size).map(row).chain([seal(&last, size)]).collect();
    export_of(&rows, 1, size)
}

#[test]
fn dropped_bodies_are_counted_and_have_to_be_accounted_for() {
    let lines = telling(300, json!([[2, 4], [257, 258]]));
    let report = verify(&without_bodies(&lines, &[2, 3, 4, 257, 258]));
    assert_eq!((report.status, report.complete), (Status::Verified, true), "{report:?}");
    assert_eq!((report.bodies_dropped, report.bodies_unaccounted), (5, 0));
    assert_eq!(verify(&lines).bodies_dropped, 0);
    // A body that is gone though nothing tells of it.
    for (gone, first) in [(vec![2, 5], 5), (vec![1], 1), (vec![256, 257], 256), (vec![259], 259)] {
        expect(&without_bodies(&lines, &gone), Reason::RowEdited, first);
    }
    // The hash is what stands for the row.
    let mut forged = without_bodies(&lines, &[3]);
    forged[2] = event::without_body(3, "any.type", 5, &draft(1).tenant, &[7; 32]);
    expect(&forged, Reason::RowEdited, 3);
    // In a window the row that tells of it may lie behind the end.
    let window = export(40, 5, 30);
    let mut cut = window.clone();
    cut[0] = event::without_body(5, "any.type", 5, &draft(1).tenant, &row_of(&window[0]));
    let report = verify(&cut);
    assert_eq!((report.status, report.bodies_dropped, report.bodies_unaccounted), (Status::Verified, 1, 1));
}

#[test]
fn roots_are_found_on_the_way() {
    let lines = export(700, 1, 700);
    let leaves: Vec<Hash> = (1..=700).map(|seq| row(seq).leaf).collect();
    let mut verifier = Verifier::wanting([1, 256, 257, 699, 900]);
    read_bundle(&mut verifier, &lines, 2);
    let found: Vec<_> =
        [1, 256, 257, 699].iter().map(|size| (*size, merkle::root(&leaves[..*size as usize]))).collect();
    assert_eq!(verifier.roots(), found);
}
