//! A sign of life: the lease is extended, and the executor hears whether it shall stop.
//!
//! A beat that changes nothing but the lease is bookkeeping and leaves no audit row. The first one that carries an order
//! to stop does, and so does the word that it was heard.

use serde_json::json;

use super::{super::admission, run, settle};
use crate::{
    automation::run::{
        Event, Run,
        claim::{Voice, voice},
        order::Directives,
        report::directives,
        transition,
    },
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
};

#[derive(Debug)]
pub struct Heartbeat {
    pub run_id: String,
    pub claim_id: String,
    pub lease_ms: Option<u64>,
    pub stop_acknowledged: bool,
}

#[derive(Clone, Debug)]
pub struct Beat {
    pub run: Run,
    pub directives: Directives,
}

impl Decision for Heartbeat {
    type Outcome = Beat;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<Run>(&self.run_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Beat> {
        let before = run(desk, &self.run_id)?;
        admission::may_tell(desk, &before, Some(&self.claim_id))?;
        if voice(&before, Some(&self.claim_id)) != Voice::Holder {
            return Err(claim_lost(&before));
        }
        let mut after = before.clone();
        if let Some(claim) = &mut after.execution_claim {
            claim.extend(self.lease_ms, desk.now_ms());
        }
        let told = directives(&after, Some(&self.claim_id));
        let first = after.stop_order.as_mut().is_some_and(|order| order.is_open() && order.delivered(desk.now_ms()));
        if self.stop_acknowledged && transition(&mut after, Event::StopAcknowledged, desk.now_ms()).is_ok() {
            admission::acknowledged(desk, &after)?;
            settle(desk, &before, &after, "automation.v2.run.stop_acknowledged", stop_facts(&after));
        } else if first {
            settle(desk, &before, &after, "automation.v2.run.stop_delivered", stop_facts(&after));
        } else {
            desk.save(&after);
        }
        Ok(Beat { run: after, directives: told })
    }
}

/// What an audit row says of a stop on its way.
pub(super) fn stop_facts(run: &Run) -> serde_json::Value {
    let Some(order) = &run.stop_order else { return json!({}) };
    json!({
        "stopKind": order.kind,
        "reason": order.reason,
        "requestedAtMs": order.requested_at_ms,
        "acknowledgedAfterMs": order.acknowledged_after_ms,
    })
}

/// The refusal of a caller that does not hold the run. It says that the caller shall stop.
pub(super) fn claim_lost(run: &Run) -> crate::decide::Halt {
    Failure::of(Code::RunClaimLost)
        .with("runID", run.run_id.as_str())
        .with("currentStatus", run.status.word())
        .with("directives", json!(directives(run, Some(""))))
        .into()
}
