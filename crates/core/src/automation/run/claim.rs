//! Lending a run to an executor: for how long, and who still holds it.
//!
//! A claim is a lease with a number. Whoever lets it run out has lost the run, and the number of the next claim is
//! higher, so a word from an earlier holder is told apart from the present one's.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::record::Run;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunClaim)]
pub struct Claim {
    pub claim_id: String,
    pub claimant_id: String,
    pub claimed_at_ms: u64,
    pub lease_expires_at_ms: u64,
    /// How much each sign of life extends it by.
    pub lease_ms: u64,
    pub lease_epoch: u64,
}

/// Leases in milliseconds: the shortest, the usual and the longest.
pub const SHORTEST_LEASE_MS: u64 = 1_000;
pub const USUAL_LEASE_MS: u64 = 60_000;
pub const LONGEST_LEASE_MS: u64 = 3_600_000;

/// The lease that an executor gets for what it asked.
pub fn lease_ms(asked: Option<u64>) -> u64 {
    asked.unwrap_or(USUAL_LEASE_MS).clamp(SHORTEST_LEASE_MS, LONGEST_LEASE_MS)
}

impl Claim {
    pub fn new(claim_id: String, claimant_id: &str, asked: Option<u64>, epoch: u64, now_ms: u64) -> Self {
        let lease_ms = lease_ms(asked);
        Self {
            claim_id,
            claimant_id: crate::text::truncate(claimant_id, 200),
            claimed_at_ms: now_ms,
            lease_expires_at_ms: now_ms.saturating_add(lease_ms),
            lease_ms,
            lease_epoch: epoch,
        }
    }

    /// A sign of life. A lease never gets shorter by one.
    pub fn extend(&mut self, asked: Option<u64>, now_ms: u64) {
        if let Some(asked) = asked {
            self.lease_ms = lease_ms(Some(asked));
        }
        self.lease_expires_at_ms = self.lease_expires_at_ms.max(now_ms.saturating_add(self.lease_ms));
    }
}

/// Whether a caller may speak for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Its claim is the present one.
    Holder,
    /// Nobody holds the run, and the caller claims nothing.
    Unclaimed,
    /// Somebody else holds it, or held it last, or the caller names no claim while one is held.
    Stranger,
}

/// Judges a caller by the claim that it names.
pub fn voice(run: &Run, claim_id: Option<&str>) -> Voice {
    match (&run.execution_claim, claim_id) {
        (Some(claim), Some(named)) if claim.claim_id == named => Voice::Holder,
        (None, None) => Voice::Unclaimed,
        (Some(_), Some(_)) | (Some(_), None) | (None, Some(_)) => Voice::Stranger,
    }
}

/// Whether the lease has run out. A run that nobody holds has none.
pub fn is_lost(run: &Run, now_ms: u64) -> bool {
    run.execution_claim.as_ref().is_some_and(|claim| claim.lease_expires_at_ms <= now_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_have_bounds_and_only_grow() {
        for (asked, given) in [(None, 60_000), (Some(0), 1_000), (Some(5_000), 5_000), (Some(u64::MAX), 3_600_000)] {
            assert_eq!(lease_ms(asked), given);
        }
        let mut claim = Claim::new("c".into(), "x", Some(10_000), 1, 1_000);
        assert_eq!(claim.lease_expires_at_ms, 11_000);
        claim.extend(None, 5_000);
        assert_eq!(claim.lease_expires_at_ms, 15_000);
        claim.extend(Some(1_000), 6_000);
        assert_eq!((claim.lease_expires_at_ms, claim.lease_ms), (15_000, 1_000));
        claim.extend(None, u64::MAX);
        assert_eq!(claim.lease_expires_at_ms, u64::MAX);
    }
}
