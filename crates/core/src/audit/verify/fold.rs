//! The verifier's own tree: RFC 6962 folded from SHA-256 up, and the hashes of a trailer read from hex.
//!
//! This repeats what `merkle` and `plan` do for the writer, on purpose: a mistake there must not verify itself here.
//! Deliberately absent: what a difference means, which is the parent's.

use sha2::{Digest, Sha256};

pub(super) type Hash = [u8; 32];

pub(super) fn hashes(texts: &[String]) -> Option<Vec<Hash>> {
    texts
        .iter()
        .map(|text| {
            let mut hash = [0; 32];
            hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
        })
        .collect()
}

pub(super) fn marks(text: &str) -> Option<Vec<[u8; 4]>> {
    let bytes = hex::decode(text).ok()?;
    let (marks, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| marks.to_vec())
}

/// The aligned subtrees (level, first row) of at most 2^cap rows that cover `begin..end`.
pub(super) fn subtrees(begin: u64, end: u64, cap: u32) -> Vec<(u32, u64)> {
    let mut all = Vec::new();
    let mut at = begin;
    while at < end {
        // Grow while the subtree stays aligned and inside.
        let mut level = 0;
        while level < cap && level < 62 && at & (1 << level) == 0 && end - at >= 2 << level {
            level += 1;
        }
        all.push((level, at));
        at += 1 << level;
    }
    all
}

/// Adds a subtree that begins at row `at`; equal neighbours below `cap` grow together.
pub(super) fn push_subtree(stack: &mut Vec<(u32, Hash)>, mut level: u32, at: u64, mut hash: Hash, cap: u32) {
    while level < cap && (at >> level) & 1 == 1 {
        match stack.last() {
            Some((below, left)) if *below == level => hash = parent(left, &hash),
            Some(_) | None => break,
        }
        stack.pop();
        level += 1;
    }
    stack.push((level, hash));
}

/// The root over spans of subtrees that together cover the tree; `None` when the hashes are not as many as subtrees.
pub(super) fn fold_spans(spans: &[(u64, u64, u32, &[Hash])]) -> Option<Hash> {
    let mut stack: Vec<(u32, Hash)> = Vec::new();
    for (begin, end, cap, given) in spans {
        let shape = subtrees(*begin, *end, *cap);
        if shape.len() != given.len() {
            return None;
        }
        for ((level, at), hash) in shape.into_iter().zip(*given) {
            push_subtree(&mut stack, level, at, *hash, u32::MAX);
        }
    }
    let root = stack.into_iter().rev().map(|(_, hash)| hash).reduce(|right, left| parent(&left, &right));
    Some(root.unwrap_or_else(|| Sha256::digest(b"").into()))
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}
