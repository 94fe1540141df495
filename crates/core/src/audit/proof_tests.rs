//! Proofs: the published ones, and properties over random sizes, with every mutation refused.

use proptest::prelude::*;

use super::*;
use crate::audit::merkle::tests::{defined_root, numbered_leaves, reference_leaves};
use crate::audit::merkle::{Frontier, root};
use crate::audit::plan::Range;

/// What a store would answer: level 0 and the complete nodes of levels 8, 16, … and nothing else.
pub(crate) fn fetch(leaves: &[Hash], ranges: &[Range]) -> Vec<Vec<Hash>> {
    let nodes = Frontier::default().integrate(leaves);
    ranges
        .iter()
        .map(|range| {
            let level: Vec<Hash> = match range.level {
                0 => leaves.to_vec(),
                level => nodes.iter().filter(|node| node.level == level).map(|node| node.hash).collect(),
            };
            level[range.start as usize..(range.start + range.count) as usize].to_vec()
        })
        .collect()
}

fn prove(leaves: &[Hash], plan: Plan) -> Vec<Hash> {
    plan.resolve(&fetch(leaves, plan.ranges())).unwrap()
}

fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(hex::encode).collect()
}

#[test]
fn published_proofs_of_the_eight_leaf_tree() {
    let leaves = reference_leaves();
    let path = prove(&leaves, inclusion_plan(8, 0).unwrap());
    let first = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(texts(&path), first);
    let path = prove(&leaves, inclusion_plan(8, 5).unwrap());
    assert_eq!(
        texts(&path),
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(texts(&prove(&leaves, consistency_plan(1, 8).unwrap())), first);
}

#[test]
fn a_large_tree_is_proved_from_few_reads() {
    let leaves = numbered_leaves(70_000);
    let top = root(&leaves);
    for index in [0, 1, 255, 256, 4_321, 65_535, 65_536, 69_887, 69_888, 69_999] {
        let plan = inclusion_plan(70_000, index).unwrap();
        assert!(plan.ranges().len() <= 5, "{:?}", plan.ranges());
        assert!(plan.ranges().iter().map(|range| range.count).sum::<u64>() <= 1_100);
        let proof = InclusionProof::new(70_000, index, &leaves[index as usize], &prove(&leaves, plan));
        assert!(proof.verify(&top));
    }
}

#[test]
fn every_small_pair_of_sizes_is_consistent_and_every_wrong_root_is_not() {
    let leaves = numbered_leaves(40);
    for to in 0..=40u64 {
        for from in 0..=to {
            let (old, new) = (root(&leaves[..from as usize]), root(&leaves[..to as usize]));
            let proof = ConsistencyProof::new(from, to, &prove(&leaves, consistency_plan(from, to).unwrap()));
            assert!(proof.verify(&old, &new), "{from} to {to}");
            assert!(!proof.verify(&[9; 32], &new), "{from} to {to}");
            if from > 0 {
                assert!(!proof.verify(&old, &[9; 32]), "{from} to {to}");
            }
        }
    }
}

#[test]
fn questions_beyond_the_tree_are_refused() {
    assert_eq!(inclusion_plan(0, 0), Err(OutOfRange));
    assert_eq!(inclusion_plan(5, 5), Err(OutOfRange));
    assert_eq!(consistency_plan(6, 5), Err(OutOfRange));
    assert_eq!(range_plan(5, 3, 6), Err(OutOfRange));
    assert_eq!(range_plan(5, 4, 3), Err(OutOfRange));
    let plan = inclusion_plan(9, 3).unwrap();
    assert!(plan.resolve(&[]).is_err());
    assert!(plan.resolve(&[Vec::new()]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn inclusion_holds_and_no_mutation_does(size in 1u64..1500, pick in any::<u64>(), bit in any::<usize>()) {
        let leaves = numbered_leaves(size);
        let index = pick % size;
        let top = defined_root(&leaves);
        let leaf = leaves[index as usize];
        let path = prove(&leaves, inclusion_plan(size, index).unwrap());
        prop_assert!(verify_inclusion(index, size, &leaf, &path, &top));
        prop_assert!(!verify_inclusion(index, size, &[1; 32], &path, &top));
        prop_assert!(!verify_inclusion(index ^ 1, size, &leaf, &path, &top));
        prop_assert!(!verify_inclusion(index, size, &leaf, &[path.clone(), vec![[0; 32]]].concat(), &top));
        if !path.is_empty() {
            prop_assert!(!verify_inclusion(index, size, &leaf, &path[1..], &top));
            prop_assert!(!verify_inclusion(index, size, &leaf, &path[..path.len() - 1], &top));
            let mut bent = path.clone();
            bent[bit % path.len()][bit % 32] ^= 1;
            prop_assert!(!verify_inclusion(index, size, &leaf, &bent, &top));
        }
    }

    #[test]
    fn consistency_holds_and_no_mutation_does(to in 2u64..1500, pick in any::<u64>(), bit in any::<usize>()) {
        let leaves = numbered_leaves(to);
        let from = 1 + pick % (to - 1);
        let (old, new) = (defined_root(&leaves[..from as usize]), defined_root(&leaves));
        let path = prove(&leaves, consistency_plan(from, to).unwrap());
        prop_assert!(verify_consistency(from, to, &path, &old, &new));
        prop_assert!(!verify_consistency(from, to, &path, &new, &old));
        prop_assert!(!verify_consistency(from, to, &path[1..], &old, &new));
        prop_assert!(!verify_consistency(from, to, &[path.clone(), vec![[0; 32]]].concat(), &old, &new));
        let mut bent = path.clone();
        bent[bit % path.len()][bit % 32] ^= 1;
        prop_assert!(!verify_consistency(from, to, &bent, &old, &new));
    }

    #[test]
    fn a_range_proof_rebuilds_the_root(size in 0u64..1500, a in any::<u64>(), b in any::<u64>()) {
        let leaves = numbered_leaves(size);
        let (a, b) = (a % (size + 1), b % (size + 1));
        let (first, end) = (a.min(b), a.max(b));
        let plan = range_plan(size, first, end).unwrap();
        let proof = plan.prove(&fetch(&leaves, plan.ranges())).unwrap();
        let left = from_hex(&proof.left).unwrap();
        let mut tree = Frontier::from_peaks(first, left).unwrap();
        for leaf in &leaves[first as usize..end as usize] {
            tree.append(*leaf);
        }
        for (place, hash) in cover(end, size, u8::MAX).into_iter().zip(from_hex(&proof.right).unwrap()) {
            prop_assert!(tree.append_subtree(place.level, hash));
        }
        prop_assert_eq!((tree.size(), tree.root()), (size, defined_root(&leaves)));
        let rows: u64 = cover(first, end, TILE_LEVEL).iter().map(|place| 1u64 << place.level).sum();
        prop_assert_eq!((rows, cover(first, end, TILE_LEVEL).len()), (end - first, proof.tiles.len()));
    }
}
