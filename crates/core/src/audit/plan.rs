//! Which stored hashes a proof needs, decided before anything is read.
//!
//! A proof is a list of subtree roots. Each is made of complete subtrees, and each of those of at most 128 hashes of
//! the stored level below it. So a proof takes two pure steps with one read between them: [`Plan::ranges`] says what
//! to fetch, [`Plan::resolve`] computes the hashes. Deliberately absent: where hashes are kept.

use super::merkle::{self, Hash, TILE_LEVEL};

/// Ranges of one level that are less than this apart are read as one: a longer read is cheaper than a second one.
const WORTH_JOINING: u64 = 256;

/// `count` consecutive stored hashes of a stored level (0 for rows, then 8, 16, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub level: u8,
    pub start: u64,
    pub count: u64,
}

/// The place of a complete subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub level: u8,
    pub index: u64,
}

impl Place {
    /// The stored hashes that make up this subtree.
    fn stored(self) -> Range {
        let height = self.level % TILE_LEVEL;
        Range { level: self.level - height, start: self.index << height, count: 1 << height }
    }
}

/// The store did not hand over the hashes that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing(pub Range);

/// What to fetch, and what to compute from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    sums: Vec<Vec<Place>>,
    ranges: Vec<Range>,
}

impl Plan {
    /// Each sum is a list of neighbouring subtrees, joined into one hash.
    pub(super) fn new(sums: Vec<Vec<Place>>) -> Self {
        let mut wanted: Vec<Range> = sums.iter().flatten().map(|place| place.stored()).collect();
        wanted.sort_unstable_by_key(|range| (range.level, range.start));
        let mut ranges: Vec<Range> = Vec::new();
        for next in wanted {
            match ranges.last_mut() {
                Some(last) if last.level == next.level && next.start < last.start + last.count + WORTH_JOINING => {
                    last.count = last.count.max(next.start + next.count - last.start);
                }
                Some(_) | None => ranges.push(next),
            }
        }
        Self { sums, ranges }
    }

    /// What has to be fetched, in the order in which [`Plan::resolve`] takes it.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Computes the hashes of the plan. `fetched` holds one list for each range.
    pub fn resolve(&self, fetched: &[Vec<Hash>]) -> Result<Vec<Hash>, Missing> {
        self.sums
            .iter()
            .map(|sum| {
                let peaks = sum.iter().map(|place| self.subtree(*place, fetched)).collect::<Result<Vec<_>, _>>()?;
                Ok(merkle::join(&peaks).unwrap_or_else(merkle::empty_root))
            })
            .collect()
    }

    fn subtree(&self, place: Place, fetched: &[Vec<Hash>]) -> Result<Hash, Missing> {
        let wanted = place.stored();
        let after = self.ranges.partition_point(|range| (range.level, range.start) <= (wanted.level, wanted.start));
        let found = after.checked_sub(1).and_then(|at| {
            let from = usize::try_from(wanted.start.checked_sub(self.ranges[at].start)?).ok()?;
            fetched.get(at)?.get(from..)?.get(..usize::try_from(wanted.count).ok()?)
        });
        Ok(merkle::root(found.ok_or(Missing(wanted))?))
    }
}

/// The fewest complete, aligned subtrees of at most 2^cap rows that cover the rows `begin..end`, left to right.
pub(super) fn cover(mut begin: u64, end: u64, cap: u8) -> Vec<Place> {
    let mut places = Vec::new();
    while begin < end {
        let level = begin.trailing_zeros().min((end - begin).ilog2()).min(cap.into()) as u8;
        places.push(Place { level, index: begin >> level });
        begin += 1 << level;
    }
    places
}
