//! Asking for a run. A dry one is admitted like any other and then does nothing.

use std::sync::Arc;

use serde_json::json;

use super::{super::admission, automation};
use crate::{
    automation::{
        admission::Base,
        run::{Run, record},
        spec::ExecutionProfile,
    },
    decide::{Ask, Decided, Decision, Desk},
    text::{non_blank, truncate},
};

#[derive(Debug)]
pub struct RunNow {
    pub automation_id: String,
    pub dry: bool,
    pub profile: Option<ExecutionProfile>,
    /// `manual` unless the caller names another trigger.
    pub trigger: Option<String>,
    pub reason: Option<String>,
    pub base: Arc<Base>,
}

impl Decision for RunNow {
    type Outcome = Run;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<crate::automation::Automation>(&self.automation_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Run> {
        let automation = automation(desk, &self.automation_id)?;
        let run_id = format!("automation-v2-run-{}", desk.uuid());
        let trigger = truncate(non_blank(self.trigger.as_deref()).unwrap_or("manual"), 60);
        let lineage = admission::start(desk, &self.base, &automation, &run_id, self.dry)?;
        let default_profile = self.base.effective(desk)?.default_execution_profile;
        let (tenant, by) = (desk.ctx.tenant.clone(), desk.ctx.actor.clone());
        let make = record::Make {
            run_id,
            tenant: &tenant,
            trigger_type: &trigger,
            reason: non_blank(self.reason.as_deref()),
            profile: self.profile,
            default_profile,
            automation_version: automation.updated_at_ms,
            lineage,
            by: &by,
            dry: self.dry,
            now_ms: desk.now_ms(),
        };
        let run = record::make(&automation, make);
        let ids = json!({ "automationID": run.automation_id, "runID": run.run_id, "dryRun": self.dry });
        desk.audit("automation.governance.run_requested", ids);
        desk.audit(
            "automation.v2.run.created",
            json!({
                "automationID": run.automation_id, "runID": run.run_id, "status": run.status,
                "triggerType": run.trigger_type,
            }),
        );
        desk.save(&run);
        if self.dry {
            admission::ended(desk, &self.base, &run)?;
        }
        Ok(run)
    }
}
