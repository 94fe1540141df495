//! The posture of the caller's tenant, and who reaches what in it. Reads: stored lifecycles are shown, none is changed.

use std::collections::HashMap;

use tandem_core::{actor::OpContext, error::Failure};
use tandem_posture::{
    inventory::inventory,
    lifecycle::{Lifecycle, LiveFinding},
    posture::{MOST_SHOWN, Options, PostureChecks, check},
    reach::{Ask, Reach, reach},
};

use super::{Turn, viewer};
use crate::App;

/// Recorded findings that are read for one answer at most.
pub(super) const MANY: usize = 200_000;

impl App {
    /// Judges the caller's estate by the rules. What is recorded of a finding stands beside it.
    pub async fn posture_checks(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        options: &Options,
    ) -> Result<PostureChecks, Failure> {
        let mut checks = self.posture_whole(turn, ctx, options).await?.shortened(MOST_SHOWN);
        self.with_lifecycles(turn, ctx, &mut checks).await?;
        Ok(checks)
    }

    /// Every finding, however many there are, and nothing of what is recorded of them.
    pub(super) async fn posture_whole(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        options: &Options,
    ) -> Result<PostureChecks, Failure> {
        let estate = self.estate(turn, ctx).await?;
        Ok(check(&estate, &inventory(&estate, &viewer(ctx)), options))
    }

    /// Puts beside each finding what is recorded of it.
    pub(super) async fn with_lifecycles(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        checks: &mut PostureChecks,
    ) -> Result<(), Failure> {
        if checks.findings.is_empty() {
            return Ok(());
        }
        let mut known: HashMap<String, Lifecycle> = self.lifecycles(turn, ctx).await?;
        for finding in &mut checks.findings {
            finding.lifecycle = known.remove(&finding.fingerprint).map(|life| life.at(ctx.now_ms));
        }
        Ok(())
    }

    async fn lifecycles(&self, turn: &Turn, ctx: &OpContext) -> Result<HashMap<String, Lifecycle>, Failure> {
        let tenant = ctx.tenant.key();
        let rows = self.whole::<LiveFinding>(turn, &tenant, "last_seen_at_ms", None, MANY).await?;
        Ok(rows.into_iter().map(|row| (row.value.fingerprint, row.value.life)).collect())
    }

    /// Who can make what reach where.
    pub async fn reach(&self, turn: &Turn, ctx: &OpContext, ask: &Ask) -> Result<Reach, Failure> {
        let estate = self.estate(turn, ctx).await?;
        reach(&estate, &inventory(&estate, &viewer(ctx)), ask)
    }
}
