//! Whether a stored log is what was signed, judged row by row as a store hands them over.
//!
//! The judge takes three kinds of evidence: each row's bytes against its stored leaf hash, the stored nodes of level 8
//! against the rows below them, and the signed heads (size and root) against the whole. The lowest bad row is named;
//! where only a head disagrees, the rows since the last head that agreed are.
//!
//! A break that an operator acknowledged is tolerated from then on. Where an acknowledged row is lost, the tree is
//! picked up again from the stored node above it; until that node exists, roots over the gap are not judged.
//!
//! Deliberately absent: reading rows, opening signatures (heads come in as opened checkpoints), and clearing a break.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::merkle::{self, Frontier, Hash, TILE_LEVEL, TILE_ROWS};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = IntegrityStatus)]
pub enum Status {
    Verified,
    Tampered,
    Empty,
}

/// What is wrong with a log or with an export of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = IntegrityReason)]
pub enum Reason {
    /// A row's bytes are not those that were hashed.
    RowEdited,
    /// A row is missing, later ones are there.
    RowDropped,
    /// A row stands where another belongs.
    RowReordered,
    /// A row is there twice.
    RowDuplicated,
    /// A row lies outside what the checkpoint covers.
    RowNotCovered,
    /// A line is no audit row.
    MalformedRow,
    /// A row belongs to another tenant's log.
    ForeignTenant,
    /// The log ends before the point that was signed or announced.
    Truncated,
    /// An export has no last line that describes it.
    TrailerMissing,
    /// The description of an export cannot be read.
    TrailerMalformed,
    /// The description of an export contradicts its rows or its checkpoint.
    TrailerMismatch,
    /// The checkpoint cannot be read or is not signed by the expected key.
    CheckpointInvalid,
    /// The rows do not give the signed root.
    RootMismatch,
}

/// The state of a log, part of every answer about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Integrity {
    pub status: Status,
    /// Every row up to this one is as it was signed.
    pub checked_to_seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad_seq: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl Integrity {
    pub const EMPTY: Self = Self { status: Status::Empty, checked_to_seq: 0, first_bad_seq: None, reason: None };
}

/// A break that an operator has taken note of. Without a last row it is that one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Acknowledged {
    pub first_bad_seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_bad_seq: Option<u64>,
}

/// Size and root of a checkpoint whose signature was found good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub size: u64,
    pub root: Hash,
}

/// A break: the rows concerned and what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    pub first_seq: u64,
    pub last_seq: u64,
    pub reason: Reason,
}

/// A stored row with its hash recomputed. Making these is the costly part and may be spread over threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digested {
    seq: u64,
    computed: Hash,
    stored: Hash,
    own_seq: bool,
}

pub fn digest(seq: u64, canonical: &str, stored: &Hash) -> Digested {
    let own = canonical.strip_prefix("{\"seq\":").and_then(|rest| rest.split_once(','));
    let own_seq = own.is_some_and(|(number, _)| number.parse() == Ok(seq));
    Digested { seq, computed: merkle::leaf_hash(canonical.as_bytes()), stored: *stored, own_seq }
}

/// A row whose body is gone. Its hash is all that is left of it: where the log itself says that the body was dropped, that
/// is as it should be.
pub fn without_body(seq: u64, stored: &Hash, accounted: bool) -> Digested {
    let computed = if accounted { *stored } else { merkle::empty_root() };
    Digested { seq, computed, stored: *stored, own_seq: true }
}

/// The rows of which this row tells that their bodies were dropped. One that is not what was hashed tells nothing.
pub fn told_of_dropped(canonical: &str, stored: &Hash) -> Vec<(u64, u64)> {
    #[derive(Deserialize)]
    struct Told {
        payload: Payload,
    }
    #[derive(Deserialize)]
    struct Payload {
        ranges: Vec<(u64, u64)>,
    }
    if merkle::leaf_hash(canonical.as_bytes()) != *stored {
        return Vec::new();
    }
    serde_json::from_str::<Told>(canonical).map(|told| told.payload.ranges).unwrap_or_default()
}

/// The judge. Feed rows in ascending `seq`, and each stored level-8 node right after the last row below it.
#[derive(Clone, Debug)]
pub struct Check {
    acknowledged: Vec<Acknowledged>,
    heads: VecDeque<Head>,
    agreed: u64,
    next: u64,
    /// The tree over the rows so far; `None` while an acknowledged loss makes it unknowable.
    tree: Option<Frontier>,
    /// The tree at the start of the tile in progress.
    base: Option<Frontier>,
    found: Option<Break>,
}

impl Check {
    /// `heads` ascend in size; the more of them, the narrower a break is named.
    pub fn new(heads: impl IntoIterator<Item = Head>, acknowledged: Vec<Acknowledged>) -> Self {
        let start = Some(Frontier::default());
        let mut check = Self {
            acknowledged,
            heads: VecDeque::new(),
            agreed: 0,
            next: 1,
            tree: start.clone(),
            base: start,
            found: None,
        };
        heads.into_iter().for_each(|head| check.expect_head(head));
        check
    }

    /// One more signed head, for rows that are still to come.
    pub fn expect_head(&mut self, head: Head) {
        self.heads.push_back(head);
        self.judge_heads();
    }

    pub fn row(&mut self, seq: u64, canonical: &str, stored: &Hash) {
        self.push(digest(seq, canonical, stored));
    }

    pub fn push(&mut self, row: Digested) {
        if row.seq < self.next {
            return self.blame(row.seq, row.seq, Reason::RowDuplicated);
        }
        if row.seq > self.next {
            self.blame(self.next, row.seq - 1, Reason::RowDropped);
            self.skip_to(row.seq);
        }
        if row.computed != row.stored {
            self.blame(row.seq, row.seq, Reason::RowEdited);
        } else if !row.own_seq {
            self.blame(row.seq, row.seq, Reason::RowReordered);
        }
        if (self.next - 1).is_multiple_of(TILE_ROWS) {
            self.base.clone_from(&self.tree);
        }
        // The stored hash is what was signed, even where the row's bytes are not.
        if let Some(tree) = &mut self.tree {
            tree.append(row.stored);
        }
        self.next += 1;
        self.judge_heads();
    }

    /// The stored node of level 8 at `index`, that is over the rows `256·index + 1` to `256·index + 256`.
    pub fn tile(&mut self, index: u64, stored: &Hash) {
        let (Some(first), Some(last)) = (
            index.checked_mul(TILE_ROWS).map(|rows| rows + 1),
            index.checked_add(1).and_then(|n| n.checked_mul(TILE_ROWS)),
        ) else {
            return;
        };
        if self.next > last + 1 {
            return;
        }
        if self.next <= last {
            self.blame(self.next, last, Reason::RowDropped);
            self.skip_to(last + 1);
        }
        let Some(mut signed) = self.base.clone().filter(|base| base.size() == first - 1) else { return };
        signed.append_subtree(TILE_LEVEL, *stored);
        if self.tree.as_ref() != Some(&signed) {
            if self.tree.is_some() {
                self.blame(first, last, Reason::RowEdited);
            }
            self.tree = Some(signed);
        }
        self.judge_heads();
    }

    /// The state so far. A head beyond the last row means that rows are missing.
    pub fn finish(&self) -> Integrity {
        let mut end = self.clone();
        if let Some(head) = self.heads.back().copied() {
            end.blame(self.next, head.size, Reason::Truncated);
        }
        match end.found {
            Some(found) => Integrity {
                status: Status::Tampered,
                checked_to_seq: found.first_seq - 1,
                first_bad_seq: Some(found.first_seq),
                reason: Some(found.reason),
            },
            None if self.next == 1 && self.heads.is_empty() => Integrity::EMPTY,
            None => {
                Integrity { status: Status::Verified, checked_to_seq: self.next - 1, first_bad_seq: None, reason: None }
            }
        }
    }

    /// The break found so far, with its last row, which is what an acknowledgement should name.
    pub fn found(&self) -> Option<Break> {
        self.found
    }

    fn judge_heads(&mut self) {
        while let Some(head) = self.heads.front().copied().filter(|head| head.size < self.next) {
            self.heads.pop_front();
            // A head that came late, for a tree that has already grown past it, can no longer be compared.
            let Some(tree) = self.tree.as_ref().filter(|tree| tree.size() == head.size) else { continue };
            if tree.root() == head.root {
                self.agreed = head.size;
                continue;
            }
            self.blame(self.agreed + 1, head.size, Reason::RootMismatch);
            self.tree = None;
        }
    }

    /// Rows up to `seq` are missing: the tree over them is unknown.
    fn skip_to(&mut self, seq: u64) {
        let (from, to) = ((self.next - 1) / TILE_ROWS, (seq - 2) / TILE_ROWS);
        if (self.next - 1).is_multiple_of(TILE_ROWS) {
            self.base.clone_from(&self.tree);
        }
        if from != to {
            self.base = None;
        }
        self.tree = None;
        self.next = seq;
    }

    /// Keeps the lowest break. Where acknowledged rows account for it, it is none.
    fn blame(&mut self, first_seq: u64, last_seq: u64, reason: Reason) {
        // Rows that are named only as a group: one acknowledged or already named row among them explains it.
        let group = first_seq != last_seq && matches!(reason, Reason::RootMismatch | Reason::RowEdited);
        let known = self.acknowledged.iter().any(|ack| {
            let last = ack.last_bad_seq.unwrap_or(ack.first_bad_seq);
            if group || reason == Reason::RootMismatch {
                ack.first_bad_seq <= last_seq && first_seq <= last
            } else {
                ack.first_bad_seq <= first_seq && last_seq <= last
            }
        });
        let named =
            self.found.is_some_and(|found| found.first_seq <= first_seq || (group && found.first_seq <= last_seq));
        if !known && !named {
            self.found = Some(Break { first_seq, last_seq, reason });
        }
    }
}

#[cfg(test)]
#[path = "integrity_tests.rs"]
mod tests;
