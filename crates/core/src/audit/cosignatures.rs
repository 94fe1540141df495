//! What witnesses signed of a log, checked beside an export of it.
//!
//! Two things are judged of each checkpoint that carries cosignatures. Whether it is of the log that the bundle shows: the
//! same origin, no larger tree, and the root that the rows give at its size. The log itself has signed it, so one that does
//! not fit is proof that the log has two faces or was set back, whoever the witness is. And whether the witnesses whose keys
//! the reader brings along have signed it.
//!
//! Deliberately absent: how many witnesses are enough. One whose key was given has to have signed; none that is unknown is
//! held against the log.

use serde::{Deserialize, Serialize};

use super::{
    checkpoint::Checkpoint,
    merkle::Hash,
    note::{Note, VerifierKey},
    witness::WitnessKey,
};
use crate::wire::wire_enum;

wire_enum! {
    pub enum CosignatureStatus {
        /// Signed with a key that was given.
        Verified = "verified",
        /// No key of this witness was given.
        Unknown = "unknown",
        /// It does not fit its key, or its checkpoint does not fit the log.
        Wrong = "wrong",
        /// A key was given, and nothing is signed with it.
        Absent = "absent",
    }
}

/// What is to be said of one witness's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cosignature {
    pub witness: String,
    pub status: CosignatureStatus,
    /// Rows of the tree that was signed; 0 where nothing was.
    pub tree_size: u64,
    /// When the witness signed, by its own clock.
    pub signed_at_ms: Option<u64>,
    /// Whether the rows of the bundle give the root that was signed; null where they do not reach from row 1 to its size.
    pub rows_agree: Option<bool>,
    pub detail: Option<String>,
}

/// The log as the bundle shows it.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub key: &'a VerifierKey,
    pub signed: &'a Checkpoint,
    /// Roots of the rows at some sizes.
    pub roots: &'a [(u64, Hash)],
}

/// The sizes of the trees that these notes speak of, as far as they can be read.
pub fn sizes(notes: &[String]) -> Vec<u64> {
    let read = |note: &String| Checkpoint::parse(Note::parse(note).ok()?.text_as_it_came()).ok();
    notes.iter().filter_map(read).map(|checkpoint| checkpoint.size).collect()
}

pub fn judge(notes: &[String], known: &[WitnessKey], shown: &Shown<'_>) -> Vec<Cosignature> {
    let mut found: Vec<Cosignature> = notes.iter().flat_map(|note| of_note(note, known, shown)).collect();
    for key in known {
        if !found.iter().any(|one| one.witness == key.name() && one.status != CosignatureStatus::Unknown) {
            found.push(said(key.name(), CosignatureStatus::Absent, 0));
        }
    }
    found
}

/// Nothing is wrong, and where keys were given, one of them has signed.
pub fn hold(found: &[Cosignature], known: &[WitnessKey]) -> bool {
    let any = |status: CosignatureStatus| found.iter().any(|one| one.status == status);
    !any(CosignatureStatus::Wrong) && (known.is_empty() || any(CosignatureStatus::Verified))
}

fn said(witness: &str, status: CosignatureStatus, tree_size: u64) -> Cosignature {
    let witness = witness.to_owned();
    Cosignature { witness, status, tree_size, signed_at_ms: None, rows_agree: None, detail: None }
}

fn of_note(text: &str, known: &[WitnessKey], shown: &Shown<'_>) -> Vec<Cosignature> {
    let wrong = |witness: &str, size: u64, why: String| Cosignature {
        detail: Some(why),
        ..said(witness, CosignatureStatus::Wrong, size)
    };
    let note = match Note::parse(text) {
        Ok(note) => note,
        Err(why) => return vec![wrong("", 0, why.to_string())],
    };
    let theirs: Vec<_> = note.signatures().iter().filter(|line| !shown.key.wrote(line)).collect();
    let all = |size: u64, why: &str| theirs.iter().map(|line| wrong(&line.name, size, why.to_owned())).collect();
    let checkpoint = match Checkpoint::open(text, std::slice::from_ref(shown.key)) {
        Ok(checkpoint) => checkpoint,
        Err(why) => return all(0, &why.to_string()),
    };
    let (size, signed) = (checkpoint.size, shown.signed);
    if checkpoint.origin != signed.origin {
        return all(size, "the checkpoint is of another log");
    }
    if size > signed.size {
        return all(size, "the witness has seen more rows than the bundle's checkpoint covers: the log was set back");
    }
    let own = (size == signed.size).then_some(signed.root);
    let root = own.or_else(|| shown.roots.iter().find(|(at, _)| *at == size).map(|(_, root)| *root));
    let rows_agree = root.map(|root| root == checkpoint.root);
    if rows_agree == Some(false) {
        return all(size, "the witness has signed another tree of this size: the log has two faces");
    }
    let judged = theirs.iter().map(|line| {
        let Some(key) = known.iter().find(|key| key.wrote(line)) else {
            return Cosignature { rows_agree, ..said(&line.name, CosignatureStatus::Unknown, size) };
        };
        match key.opens(text) {
            Ok(time_s) => Cosignature {
                rows_agree,
                signed_at_ms: Some(time_s.saturating_mul(1_000)),
                ..said(&line.name, CosignatureStatus::Verified, size)
            },
            Err(why) => wrong(&line.name, size, why.to_string()),
        }
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{note::NoteSigner, witness::WitnessSigner};

    fn log() -> NoteSigner {
        NoteSigner::new("log.example", &[1; 32]).unwrap()
    }

    fn witness(seed: u8) -> WitnessSigner {
        WitnessSigner::new(&format!("witness.example/{seed}"), &[seed; 32]).unwrap()
    }

    fn head(size: u64, root: u8) -> Checkpoint {
        Checkpoint::new("log.example/a/b".into(), size, [root; 32])
    }

    fn cosigned(head: &Checkpoint, by: &WitnessSigner) -> String {
        let note = head.sign(&log()).unwrap();
        let text = &note[..note.rfind("\n\n").unwrap() + 1];
        format!("{note}{}", by.cosign(text, 7))
    }

    #[test]
    fn each_kind_of_signature_is_told_apart() {
        use CosignatureStatus::{Absent, Unknown, Verified, Wrong};
        let (signed, one, two) = (head(8, 3), witness(2), witness(4));
        let roots = [(5, [9; 32])];
        let (key, other) = (log(), NoteSigner::new("log.example", &[7; 32]).unwrap());
        let good = cosigned(&signed, &one);
        let elsewhere = Checkpoint::new("log.example/a/c".into(), 8, [3; 32]);
        let spoilt = {
            let line = good.lines().last().unwrap();
            let broken = one.cosign("another text\n", 7);
            good.replace(&format!("{line}\n"), &broken)
        };
        let cases = [
            ("good", vec![good.clone()], vec![one.key().clone()], Verified, Some(true), true),
            ("unknown", vec![good.clone()], vec![], Unknown, Some(true), true),
            ("another's key", vec![good.clone()], vec![two.key().clone()], Unknown, Some(true), false),
            ("nothing", vec![], vec![one.key().clone()], Absent, None, false),
            ("wrong signature", vec![spoilt], vec![one.key().clone()], Wrong, None, false),
            ("earlier", vec![cosigned(&head(5, 9), &one)], vec![one.key().clone()], Verified, Some(true), true),
            ("unseen size", vec![cosigned(&head(4, 1), &one)], vec![one.key().clone()], Verified, None, true),
            ("two faces", vec![cosigned(&head(5, 8), &one)], vec![], Wrong, None, false),
            ("another root", vec![cosigned(&head(8, 4), &one)], vec![], Wrong, None, false),
            ("set back", vec![cosigned(&head(9, 3), &one)], vec![], Wrong, None, false),
            ("another log", vec![cosigned(&elsewhere, &one)], vec![], Wrong, None, false),
        ];
        let shown = Shown { key: key.verifier_key(), signed: &signed, roots: &roots };
        for (what, notes, known, status, agree, holds) in cases {
            let found = judge(&notes, &known, &shown);
            assert_eq!((found[0].status, found[0].rows_agree), (status, agree), "{what}: {found:?}");
            assert_eq!(hold(&found, &known), holds, "{what}: {found:?}");
        }
        let shown = Shown { key: other.verifier_key(), signed: &signed, roots: &roots };
        assert_eq!(judge(&[good], &[], &shown)[0].status, Wrong, "not of this log's key");
        assert_eq!(sizes(&[cosigned(&head(5, 9), &one), "x".into()]), [5]);
    }
}
