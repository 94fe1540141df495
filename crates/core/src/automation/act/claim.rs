//! Lending runs to executors: one that is named, or the ones that have waited longest.
//!
//! Taking happens under the tenant's lock, so any number of executors that ask at once get different runs. Each run is
//! admitted again at this moment; one that may not start now is put on hold instead of being lent.

use std::sync::Arc;

use serde_json::json;

use super::{super::admission, lane, run, settle};
use crate::{
    automation::{
        admission::{Base, Readmission},
        hooks,
        run::{Event, Run, RunStatus, claim::Claim, transition},
    },
    decide::{Decided, Decision, Desk, PageAsk},
    error::{Code, Failure},
    record::{Column, Job, JobKind},
    text::non_blank,
};

/// Runs lent in one call, at most.
pub const MOST: usize = 50;
/// Runs looked at beyond those wanted, in case some are held.
const SPARE: usize = 8;

#[derive(Debug)]
pub struct ClaimRuns {
    pub claimant_id: String,
    pub lease_ms: Option<u64>,
    /// This one, …
    pub run_id: Option<String>,
    /// … or the oldest of this automation, or of all.
    pub automation_id: Option<String>,
    pub limit: usize,
    pub base: Arc<Base>,
}

impl ClaimRuns {
    fn candidates(&self, desk: &mut Desk<'_>) -> Decided<Vec<Run>> {
        if let Some(id) = &self.run_id {
            return Ok(vec![run(desk, id)?]);
        }
        let mut ask = PageAsk::of::<Run>("turn", self.limit.clamp(1, MOST) + SPARE);
        if let Some(id) = non_blank(self.automation_id.as_deref()) {
            ask = ask.equal("automation_id", Column::text(id));
        }
        desk.page::<Run>(ask.equal("status", Column::text(RunStatus::Queued.word())))
    }
}

#[derive(Clone, Debug, Default)]
pub struct Lent {
    pub runs: Vec<Run>,
    /// Why the run that was named was put on hold instead.
    pub held: Option<Box<Failure>>,
}

impl Decision for ClaimRuns {
    type Outcome = Lent;

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Lent> {
        let candidates = self.candidates(desk)?;
        admission::expect(desk, &candidates)?;
        let mut lent = Lent::default();
        for before in candidates {
            if lent.runs.len() >= self.limit.clamp(1, MOST) {
                break;
            }
            if before.status != RunStatus::Queued {
                return Err(Failure::of(Code::RunNotClaimable)
                    .with("runID", before.run_id.as_str())
                    .with("currentStatus", before.status.word())
                    .into());
            }
            if !admission::may_claim(desk, &before, self.run_id.is_some())? {
                continue;
            }
            let mut after = before.clone();
            if let Readmission::Held { stop, failure } = admission::readmit(desk, &self.base, &before)? {
                // The hold stands also where the run was named: what was changed is kept, and nothing is lent.
                if hooks::apply(&mut after, &stop, desk.now_ms()) {
                    let why = json!({ "reason": stop.reason, "stopKind": stop.kind });
                    settle(desk, &before, &after, "automation.v2.run.paused", why);
                }
                if self.run_id.is_some() {
                    lent.held = Some(Box::new((*failure).with("runID", before.run_id.as_str())));
                }
                continue;
            }
            let epoch = before.execution_claim_epoch + 1;
            let claim = Claim::new(desk.id("claim-"), &self.claimant_id, self.lease_ms, epoch, desk.now_ms());
            let due_at_ms = claim.lease_expires_at_ms;
            if transition(&mut after, Event::Claimed(claim), desk.now_ms()).is_err() {
                continue;
            }
            settle(desk, &before, &after, "automation.v2.run.claimed", json!({ "claimantID": self.claimant_id }));
            let (job_id, lane) = (super::lease::job_id(&after.run_id, epoch), lane(desk));
            desk.job(Job { job_id, kind: JobKind::RunLease, lane, subject: after.run_id.clone(), due_at_ms });
            lent.runs.push(after);
        }
        Ok(lent)
    }
}
