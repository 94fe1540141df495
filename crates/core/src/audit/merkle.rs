//! RFC 6962 hashing, and the frontier (compact range) that grows a tree one row at a time.
//!
//! What a store keeps: level 0, the leaf hash of each row, and the nodes at levels 8, 16, 24, … once they are
//! complete ([`Frontier::integrate`] says which). Everything else is computed when it is asked for, see `plan`.

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// A stored node stands for 256 nodes of the stored level below it.
pub const TILE_LEVEL: u8 = 8;
/// Rows under one node of level [`TILE_LEVEL`].
pub const TILE_ROWS: u64 = 1 << TILE_LEVEL;

pub fn leaf_hash(row: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(row).finalize().into()
}

pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

pub fn empty_root() -> Hash {
    Sha256::digest(b"").into()
}

/// The root over all leaf hashes.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Frontier::default();
    for leaf in leaves {
        tree.append(*leaf);
    }
    tree.root()
}

/// Joins the roots of complete subtrees, largest first, into the root above them. `None` for no subtree.
pub fn join(peaks: &[Hash]) -> Option<Hash> {
    peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

/// Reads a hash written as 64 hex digits.
pub fn parse_hex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
}

/// A complete subtree: `index` counts the subtrees of that level from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    pub level: u8,
    pub index: u64,
    pub hash: Hash,
}

/// The right edge of a tree: the roots of its largest complete subtrees, left to right. It is all that an append
/// and the current root need; it never grows beyond 64 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// `None` when the number of peaks is not the one that `size` calls for.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// Number of rows.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    pub fn root(&self) -> Hash {
        join(&self.peaks).unwrap_or_else(empty_root)
    }

    /// Adds one row.
    pub fn append(&mut self, leaf: Hash) {
        self.push(0, leaf, |_| ());
    }

    /// Adds a complete subtree of 2^level rows. `false`, and nothing is added, when the tree's size is no multiple
    /// of that or would overflow.
    pub fn append_subtree(&mut self, level: u8, hash: Hash) -> bool {
        let fits =
            level < 63 && self.size.trailing_zeros() >= level.into() && self.size.checked_add(1 << level).is_some();
        if fits {
            self.push(level, hash, |_| ());
        }
        fits
    }

    /// Adds rows and returns the nodes that a store has to keep: those of levels 8, 16, 24, … that became complete.
    pub fn integrate(&mut self, leaves: &[Hash]) -> Vec<Node> {
        let mut complete = Vec::new();
        for leaf in leaves {
            self.push(0, *leaf, |node| {
                if node.level > 0 && node.level % TILE_LEVEL == 0 {
                    complete.push(node);
                }
            });
        }
        complete
    }

    fn push(&mut self, mut level: u8, mut hash: Hash, mut made: impl FnMut(Node)) {
        let mut index = self.size >> level;
        self.size += 1 << level;
        made(Node { level, index, hash });
        // A right child completes its parent, whose left child is the last peak.
        while index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            level += 1;
            index >>= 1;
            made(Node { level, index, hash });
        }
        self.peaks.push(hash);
    }

    /// The size as eight big-endian bytes, then the peaks.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        bytes.extend(self.peaks.iter().flatten());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk::<8>()?;
        let (peaks, tail) = rest.as_chunks::<32>();
        if !tail.is_empty() {
            return None;
        }
        Self::from_peaks(u64::from_be_bytes(*size), peaks.to_vec())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The leaves that every implementation of certificate transparency is tested with.
    const REFERENCE_LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const REFERENCE_ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    pub(crate) fn reference_leaves() -> Vec<Hash> {
        REFERENCE_LEAVES.iter().map(|leaf| leaf_hash(&hex::decode(leaf).unwrap())).collect()
    }

    pub(crate) fn numbered_leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    /// The definition in RFC 6962, word for word.
    pub(crate) fn defined_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            more => {
                let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
                node_hash(&defined_root(left), &defined_root(right))
            }
        }
    }

    #[test]
    fn roots_are_the_published_ones() {
        let leaves = reference_leaves();
        for (size, expected) in REFERENCE_ROOTS.iter().enumerate() {
            assert_eq!(hex::encode(root(&leaves[..size])), *expected, "size {size}");
        }
    }

    #[test]
    fn the_frontier_agrees_with_the_definition_at_every_size() {
        let leaves = numbered_leaves(600);
        let mut tree = Frontier::default();
        for size in 0..600 {
            assert_eq!(tree.root(), defined_root(&leaves[..size]), "size {size}");
            assert_eq!(Frontier::from_bytes(&tree.to_bytes()), Some(tree.clone()));
            tree.append(leaves[size]);
        }
    }

    #[test]
    fn integration_reports_each_stored_node_once_however_rows_arrive() {
        let leaves = numbered_leaves(256 * 256 + 700);
        let whole = Frontier::default().integrate(&leaves);
        let mut pieces = Vec::new();
        let mut tree = Frontier::default();
        for chunk in leaves.chunks(997) {
            pieces.extend(tree.integrate(chunk));
        }
        assert_eq!(whole, pieces);
        assert_eq!(whole.iter().filter(|n| n.level == 8).count(), 258);
        let top: Vec<_> = whole.iter().filter(|n| n.level == 16).collect();
        assert_eq!((top.len(), top[0].index, top[0].hash), (1, 0, defined_root(&leaves[..65536])));
    }

    #[test]
    fn malformed_frontiers_are_refused() {
        assert_eq!(Frontier::from_peaks(3, vec![[0; 32]]), None);
        assert_eq!(Frontier::from_bytes(&[0; 7]), None);
        assert_eq!(Frontier::from_bytes(&[0; 9]), None);
        let mut odd = Frontier::default();
        odd.append([0; 32]);
        assert!(!odd.append_subtree(1, [0; 32]));
    }
}
