//! Bundles as files: what the command says of good, changed, cut and foreign ones, and with which exit code.

use std::{borrow::Cow, io::Cursor};

use serde_json::json;
use tandem_core::{
    actor::{ActorKind, ActorRef},
    audit::{
        bundle::{About, Export},
        checkpoint::origin,
        event::{Draft, seal},
        integrity::{Integrity, Reason, Status},
        merkle::{Frontier, Hash},
        note::NoteSigner,
        proof::range_plan,
    },
    tenant::TenantContext,
};

use super::*;
use crate::boot::state_dir::tests::Scratch;

const ROWS: u64 = 5;

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new("tandem.test", &[seed; 32]).unwrap()
}

fn bundle() -> String {
    let rows: Vec<_> = (1..=ROWS)
        .map(|seq| {
            let draft = Draft {
                event_id: format!("event-{seq}"),
                event_type: Cow::Borrowed("incident_monitor.draft.denied"),
                created_at_ms: seq,
                tenant: TenantContext::local(),
                actor: ActorRef { kind: ActorKind::Human, actor_id: Some("ada".into()), source: None },
                request_id: "req-1".into(),
                payload: json!({ "draft_id": format!("draft-{seq}") }),
            };
            seal(&draft, seq)
        })
        .collect();
    let leaves: Vec<Hash> = rows.iter().map(|row| row.leaf).collect();
    let mut frontier = Frontier::default();
    let nodes = frontier.integrate(&leaves);
    let mut export = Export::default();
    let mut text = String::new();
    for (seq, row) in (1..).zip(&rows) {
        text.push_str(&export.row(seq, &row.canonical, &row.leaf));
        text.push('\n');
    }
    let plan = range_plan(ROWS, 0, ROWS).unwrap();
    let fetched: Vec<Vec<Hash>> = plan
        .ranges()
        .iter()
        .map(|range| {
            let level: Vec<Hash> = match range.level {
                0 => leaves.clone(),
                level => nodes.iter().filter(|node| node.level == level).map(|node| node.hash).collect(),
            };
            level[range.start as usize..(range.start + range.count) as usize].to_vec()
        })
        .collect();
    let root = frontier.root();
    let about = About {
        org_id: "local".into(),
        workspace_id: "local".into(),
        since_ms: None,
        until_ms: None,
        exported_at_ms: 9,
        tree_size: ROWS,
        root,
        checkpoint: Checkpoint::new(origin("tandem.test", "local", "local"), ROWS, root).sign(&signer(1)).unwrap(),
        public_key: signer(1).verifier_key().to_string(),
        integrity: Integrity { status: Status::Verified, checked_to_seq: ROWS, first_bad_seq: None, reason: None },
    };
    let trailer = export.trailer(about, plan.prove(&fetched).unwrap());
    text.push_str(&serde_json::to_string(&trailer).unwrap());
    text.push('\n');
    text
}

fn told(text: &str, key: Option<&VerifierKey>) -> (Report, String) {
    let report = check(&mut Cursor::new(text), key, &[]).unwrap().report;
    let lines = verdict::lines(&report).join("\n");
    (report, lines)
}

#[test]
fn a_good_bundle_and_whose_key_said_so() {
    let (report, lines) = told(&bundle(), Some(signer(1).verifier_key()));
    assert!(verdict::holds(&report) && report.key_trusted && report.complete, "{lines}");
    assert!(lines.starts_with("VERIFIED") && lines.contains("complete:") && lines.contains("that you gave opened"));
    let (report, lines) = told(&bundle(), None);
    assert!(verdict::holds(&report) && !report.key_trusted);
    assert!(lines.contains("not independently trusted"), "{lines}");
}

#[test]
fn every_spoilt_bundle_is_tampered_and_says_where() {
    let good = bundle();
    let lines: Vec<&str> = good.lines().collect();
    let dropped = [&lines[..2], &lines[3..]].concat().join("\n");
    let cut = lines[..4].join("\n");
    let cases = [
        (good.replacen("draft-3", "draft-8", 1), Reason::RowEdited, "row 3"),
        (dropped, Reason::RowDropped, "row 3"),
        (cut, Reason::TrailerMissing, "row 5"),
        (String::new(), Reason::TrailerMissing, "row 1"),
        ("<html>not a bundle</html>\n".into(), Reason::Truncated, "row 1"),
    ];
    for (text, reason, place) in cases {
        let (report, lines) = told(&text, None);
        assert_eq!((verdict::holds(&report), report.reason), (false, Some(reason)), "{lines}");
        assert!(lines.starts_with("TAMPERED") && lines.contains(place), "{lines}");
    }
    let (report, lines) = told(&good, Some(signer(2).verifier_key()));
    assert_eq!((verdict::holds(&report), report.reason), (false, Some(Reason::CheckpointInvalid)));
    assert!(lines.contains("did not open"), "{lines}");
}

#[test]
fn a_bundle_cannot_steer_the_terminal() {
    let text = bundle().replace("\"schema_version\":4", "\"\\u001b[2Jschema\":4");
    let (report, lines) = told(&text, None);
    assert_eq!(report.reason, Some(Reason::TrailerMalformed));
    assert!(!lines.contains('\u{1b}'), "{lines:?}");
}

#[test]
fn exit_codes() {
    let scratch = Scratch::new();
    std::fs::create_dir(&scratch.0).unwrap();
    let write = |name: &str, text: &str| {
        let path = scratch.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = write("good.ndjson", &bundle());
    let bad = write("bad.ndjson", &bundle().replacen("draft-2", "draft-9", 1));
    let key = write("key", &format!("{}\n", signer(1).verifier_key()));
    let junk = write("junk", "no key");
    let verify = |bundle: &Path, key: Option<&Path>| Args {
        command: Command::Verify {
            bundle: bundle.to_owned(),
            key: key.map(|path| path.to_str().unwrap().to_owned()),
            witness: Vec::new(),
            json: true,
        },
    };
    let name_key = |bundle: &Path| Args { command: Command::Key { bundle: bundle.to_owned() } };
    let cases = [
        (verify(&good, None), 0),
        (verify(&good, Some(&key)), 0),
        (verify(&bad, Some(&key)), 1),
        (verify(&good, Some(&junk)), UNREADABLE),
        (verify(&good, Some(Path::new("/no/such/key"))), UNREADABLE),
        (verify(&scratch.0.join("absent"), None), UNREADABLE),
        (verify(&scratch.0, None), UNREADABLE),
        (name_key(&good), 0),
        (name_key(&junk), UNREADABLE),
    ];
    for (index, (args, code)) in cases.into_iter().enumerate() {
        assert_eq!(format!("{:?}", run(args).unwrap()), format!("{:?}", ExitCode::from(code)), "case {index}");
    }
}
