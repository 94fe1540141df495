//! Deleting an automation. Governance keeps what is needed to bring it back; its runs are stopped.

use std::sync::Arc;

use serde_json::json;

use super::{super::admission, automation, settle, state::active_runs};
use crate::{
    automation::{
        admission::Base,
        run::{Event, Run, transition},
        spec::Automation,
    },
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
};

#[derive(Debug)]
pub struct Delete {
    pub automation_id: String,
    pub base: Arc<Base>,
}

impl Decision for Delete {
    type Outcome = ();

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<()> {
        let found = automation(desk, &self.automation_id)?;
        let snapshot = serde_json::to_value(&found).map_err(|_| Failure::of(Code::Internal))?;
        admission::delete(desk, &self.base, &self.automation_id, snapshot)?;
        let runs = active_runs(desk, &self.automation_id, super::state::RUNS_AT_ONCE)?;
        desk.want(runs.iter().map(|run| Ask::row::<Run>(&run.run_id)))?;
        admission::expect(desk, &runs)?;
        for before in runs {
            // As governance may have left it a moment ago.
            let mut after = super::run(desk, &before.run_id)?;
            let reason = Some("its automation was deleted".to_owned());
            if transition(&mut after, Event::Cancel { reason }, desk.now_ms()).is_ok() {
                let why = json!({ "reason": "its automation was deleted" });
                admission::ended(desk, &self.base, &after)?;
                settle(desk, &before, &after, "automation.v2.run.cancelled", why);
            }
        }
        desk.remove::<Automation>(&self.automation_id);
        Ok(())
    }
}
