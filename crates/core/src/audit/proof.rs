//! Inclusion and consistency proofs (RFC 6962, verified as RFC 9162 says), and the range proof of an export.
//!
//! A range proof shows that rows `first..end` stand at exactly those places of a tree: `left` and `right` are the
//! fewest complete subtrees before and after them, `tiles` the complete subtrees of at most 256 rows that the rows
//! themselves fill. `left` + rows + `right` must give the root; `left` + `tiles` + `right` must too, which is what
//! lets a verifier tell which part of the rows is not what was signed.
//!
//! Deliberately absent: fetching. A plan says which hashes are needed, see `plan`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::merkle::{self, Hash, TILE_LEVEL, node_hash};
use super::plan::{Missing, Place, Plan, cover};

/// The question has no answer in a tree of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

/// Proof that a row is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InclusionProof {
    /// Zero-based: `seq` − 1.
    pub leaf_index: u64,
    pub tree_size: u64,
    /// Lowercase hex, as are all hashes here.
    pub leaf_hash: String,
    /// From the leaf's sibling up to the root's child.
    pub hashes: Vec<String>,
}

/// Proof that the log at `to_size` begins with the log at `from_size`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsistencyProof {
    pub from_size: u64,
    pub to_size: u64,
    pub hashes: Vec<String>,
}

/// Proof that a run of rows stands where it claims to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeProof {
    /// The complete subtrees before the first row, largest first.
    pub left: Vec<String>,
    /// The complete aligned subtrees of at most 256 rows that the rows fill, left to right.
    pub tiles: Vec<String>,
    /// The complete aligned subtrees from the last row to the end of the tree, left to right.
    pub right: Vec<String>,
}

/// The hashes to fetch for the inclusion proof of the zero-based row `index`.
pub fn inclusion_plan(tree_size: u64, index: u64) -> Result<Plan, OutOfRange> {
    if index >= tree_size {
        return Err(OutOfRange);
    }
    let (mut begin, mut end) = (0, tree_size);
    let mut sums = Vec::new();
    // From the root down; a proof lists the siblings from the leaf up.
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            sums.push(cover(middle, end, u8::MAX));
            end = middle;
        } else {
            sums.push(cover(begin, middle, u8::MAX));
            begin = middle;
        }
    }
    sums.reverse();
    Ok(Plan::new(sums))
}

/// The hashes to fetch for the proof that the tree of `to_size` extends the tree of `from_size`.
pub fn consistency_plan(from_size: u64, to_size: u64) -> Result<Plan, OutOfRange> {
    if from_size > to_size {
        return Err(OutOfRange);
    }
    let mut sums: Vec<Vec<Place>> = Vec::new();
    if from_size > 0 {
        let (mut begin, mut end) = (0, to_size);
        while from_size < end {
            let middle = begin + split(end - begin);
            if from_size <= middle {
                sums.push(cover(middle, end, u8::MAX));
                end = middle;
            } else {
                sums.push(cover(begin, middle, u8::MAX));
                begin = middle;
            }
        }
        // The verifier has the old root itself; it lacks the subtree only where the old tree was no such subtree.
        if begin > 0 {
            sums.push(cover(begin, end, u8::MAX));
        }
    }
    sums.reverse();
    Ok(Plan::new(sums))
}

/// A plan whose hashes make a [`RangeProof`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangePlan {
    plan: Plan,
    left: usize,
    tiles: usize,
}

/// The hashes to fetch for the rows `first..end` (zero-based, end excluded) of a tree.
pub fn range_plan(tree_size: u64, first: u64, end: u64) -> Result<RangePlan, OutOfRange> {
    if first > end || end > tree_size {
        return Err(OutOfRange);
    }
    let left = cover(0, first, u8::MAX);
    let tiles = cover(first, end, TILE_LEVEL);
    let right = cover(end, tree_size, u8::MAX);
    let counts = (left.len(), tiles.len());
    let plan = Plan::new([left, tiles, right].into_iter().flatten().map(|place| vec![place]).collect());
    Ok(RangePlan { plan, left: counts.0, tiles: counts.1 })
}

impl RangePlan {
    pub fn ranges(&self) -> &[super::plan::Range] {
        self.plan.ranges()
    }

    pub fn prove(&self, fetched: &[Vec<Hash>]) -> Result<RangeProof, Missing> {
        let mut left = to_hex(&self.plan.resolve(fetched)?);
        let mut tiles = left.split_off(self.left);
        let right = tiles.split_off(self.tiles);
        Ok(RangeProof { left, tiles, right })
    }
}

impl InclusionProof {
    pub fn new(tree_size: u64, leaf_index: u64, leaf: &Hash, hashes: &[Hash]) -> Self {
        Self { leaf_index, tree_size, leaf_hash: hex::encode(leaf), hashes: to_hex(hashes) }
    }

    pub fn verify(&self, root: &Hash) -> bool {
        let (Some(leaf), Some(hashes)) = (merkle::parse_hex(&self.leaf_hash), from_hex(&self.hashes)) else {
            return false;
        };
        verify_inclusion(self.leaf_index, self.tree_size, &leaf, &hashes, root)
    }
}

impl ConsistencyProof {
    pub fn new(from_size: u64, to_size: u64, hashes: &[Hash]) -> Self {
        Self { from_size, to_size, hashes: to_hex(hashes) }
    }

    pub fn verify(&self, from_root: &Hash, to_root: &Hash) -> bool {
        from_hex(&self.hashes)
            .is_some_and(|hashes| verify_consistency(self.from_size, self.to_size, &hashes, from_root, to_root))
    }
}

/// RFC 9162, 2.1.3.2.
pub fn verify_inclusion(index: u64, tree_size: u64, leaf: &Hash, proof: &[Hash], root: &Hash) -> bool {
    if index >= tree_size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, tree_size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            // A rightmost left child has no sibling at this level: it moves up unchanged.
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// RFC 9162, 2.1.4.2. Every tree extends the empty one.
pub fn verify_consistency(from: u64, to: u64, proof: &[Hash], from_root: &Hash, to_root: &Hash) -> bool {
    if from > to {
        return false;
    }
    if from == to {
        return proof.is_empty() && from_root == to_root;
    }
    if from == 0 {
        return proof.is_empty() && *from_root == merkle::empty_root();
    }
    // When the old tree is a complete subtree, its root begins the proof without being sent.
    let (first, rest) = match proof.split_first() {
        _ if from.is_power_of_two() => (*from_root, proof),
        Some((first, rest)) => (*first, rest),
        None => return false,
    };
    let shift = (from - 1).trailing_ones();
    let (mut at, mut last) = ((from - 1) >> shift, (to - 1) >> shift);
    let (mut old, mut new) = (first, first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old == *from_root && new == *to_root
}

/// The largest power of two below `count`, for at least two rows.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

fn to_hex(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(hex::encode).collect()
}

fn from_hex(texts: &[String]) -> Option<Vec<Hash>> {
    texts.iter().map(|text| merkle::parse_hex(text)).collect()
}

#[cfg(test)]
#[path = "proof_tests.rs"]
pub(crate) mod tests;
