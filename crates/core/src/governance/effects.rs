//! What a transition does to automations and runs: the one door from governance to their rows.

use serde_json::Value;

use super::ledger::{RunLedger, Stop};
use crate::{
    automation::hooks::{self, Heard},
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

/// Reads the runs of these ledgers together, before each is told to stop.
pub fn expect(desk: &mut Desk<'_>, ledgers: &[RunLedger]) -> Decided<()> {
    let ids: Vec<String> = ledgers.iter().map(|ledger| ledger.run_id.clone()).collect();
    hooks::expect(desk, &ids)
}

/// Tells a run to stop.
pub fn stop_run(desk: &mut Desk<'_>, run_id: &str, stop: &Stop) -> Decided<Stopped> {
    Ok(match hooks::stop_run(desk, run_id, &hooks::Stop::of(stop))? {
        Some(Heard::Executor) => Stopped::Told,
        Some(Heard::Nobody) => Stopped::Now,
        None => Stopped::Gone,
    })
}

/// Sets the status of an automation, and answers with it as clients see it. `Active` gives back what it was before the
/// pause, so a draft stays a draft.
pub fn stand(desk: &mut Desk<'_>, automation_id: &str, standing: Standing) -> Decided<Option<Value>> {
    let paused = match standing {
        Standing::Active => false,
        Standing::Paused => true,
    };
    hooks::set_status(desk, automation_id, paused)
}

/// Brings a deleted automation back from its snapshot, paused, and answers with it as clients see it.
pub fn put_back(desk: &mut Desk<'_>, snapshot: Value) -> Decided<Value> {
    hooks::put_back(desk, snapshot)
}

/// Whether the automation is kept from whoever asks.
pub fn is_hidden(desk: &mut Desk<'_>, automation_id: &str, works: bool) -> Decided<bool> {
    hooks::is_hidden(desk, automation_id, works)
}
