//! The end of a lease: an executor that was not heard of has lost its run, and the run says so.

use std::sync::Arc;

use serde_json::json;

use super::{super::admission, settle};
use crate::{
    automation::{
        admission::Base,
        run::{Event, Run, claim::is_lost, transition},
    },
    decide::{Ask, Decided, Decision, Desk},
    record::Write,
};

/// The job that watches one claim of a run.
pub fn job_id(run_id: &str, epoch: u64) -> String {
    format!("lease-{run_id}-{epoch}")
}

/// Looks whether the lease that a job watches has run out; ends the job, or gives it back for when it will have.
#[derive(Debug)]
pub struct Reap {
    pub run_id: String,
    pub job_id: String,
    /// The worker's own lease of the job.
    pub lease: String,
    pub base: Arc<Base>,
}

impl Decision for Reap {
    /// Whether the run was lost.
    type Outcome = bool;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<Run>(&self.run_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<bool> {
        let (job_id, lease) = (self.job_id.clone(), self.lease.clone());
        let found = desk.get::<Run>(&self.run_id)?;
        let watched = found.filter(|run| {
            let epoch = run.execution_claim.as_ref().map(|claim| claim.lease_epoch);
            epoch.is_some_and(|epoch| self::job_id(&self.run_id, epoch) == self.job_id)
        });
        let Some(before) = watched else {
            desk.write(Write::JobDone { job_id, lease });
            return Ok(false);
        };
        let until = before.execution_claim.as_ref().map_or(0, |claim| claim.lease_expires_at_ms);
        if !is_lost(&before, desk.now_ms()) {
            desk.write(Write::JobRetry { job_id, lease, due_at_ms: until });
            return Ok(false);
        }
        let mut after = before.clone();
        if transition(&mut after, Event::LeaseLost, desk.now_ms()).is_ok() {
            if after.status.is_terminal() && !before.status.is_terminal() {
                admission::ended(desk, &self.base, &after)?;
            }
            if before.stop_order.as_ref().is_some_and(|order| order.is_open()) {
                admission::acknowledged(desk, &after)?;
            }
            let kind = match before.status == after.status {
                true => "automation.v2.run.lease_lost",
                false => super::event_of(after.status),
            };
            let claimant = before.execution_claim.as_ref().map(|claim| claim.claimant_id.clone());
            let why = json!({ "claimantID": claimant, "reason": after.stop_reason, "stopKind": after.stop_kind });
            settle(desk, &before, &after, kind, why);
        }
        desk.write(Write::JobDone { job_id, lease });
        Ok(true)
    }
}
