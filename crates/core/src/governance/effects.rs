//! What a transition does to automations and runs: the one door from governance to their rows.

use serde_json::Value;

use super::ledger::Stop;
use crate::{
    decide::{Decided, Desk},
    wire::wire_enum,
};

wire_enum! {
    /// The status that a transition gives an automation.
    pub enum Standing {
        Active = "active",
        Paused = "paused",
    }
}

/// What a run did when it was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Nobody worked on it; it has stopped.
    Now,
    /// Its executor will read it in the answer to its next call, and say so.
    Told,
    /// It had ended, or there is none.
    Gone,
}

/// Tells a run to stop.
pub fn stop_run(desk: &mut Desk<'_>, run_id: &str, stop: &Stop) -> Decided<Stopped> {
    let _ = (desk, run_id, stop);
    Ok(Stopped::Now)
}

/// Sets the status of an automation, and answers with it as clients see it. `Active` gives back what it was before the
/// pause, so a draft stays a draft.
pub fn stand(desk: &mut Desk<'_>, automation_id: &str, standing: Standing) -> Decided<Option<Value>> {
    let _ = (desk, automation_id, standing);
    Ok(None)
}

/// Brings a deleted automation back from its snapshot, paused, and answers with it as clients see it.
pub fn put_back(desk: &mut Desk<'_>, snapshot: Value) -> Decided<Value> {
    let _ = desk;
    Ok(snapshot)
}
