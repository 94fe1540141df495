//! Taking in what an executor says. The same report again changes nothing and gets the answer of now.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    super::admission,
    event_of,
    heartbeat::{claim_lost, stop_facts},
    run, settle,
};
use crate::{
    automation::{
        admission::Base,
        hooks,
        run::{
            Run,
            claim::{Voice, voice},
            order::Directives,
            report::{self, Refusal, Report, directives},
        },
    },
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
    governance::{ledger::RunLedger, limits::LimitsRow},
    record::{Collection, Column, Record},
};

/// The trace that a report leaves, by which it is known again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// The run's id and the report's.
    pub id: String,
    pub digest: String,
    pub at_ms: u64,
}

pub static TAKEN: Collection = Collection { name: "automation_run_reports", columns: &[] };

impl Record for Taken {
    const COLLECTION: &'static Collection = &TAKEN;
    fn id(&self) -> &str {
        &self.id
    }
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }
}

fn taken_id(run_id: &str, report_id: &str) -> String {
    format!("{run_id}/{report_id}")
}

#[derive(Debug)]
pub struct TakeReport {
    pub run_id: String,
    pub report: Report,
    pub base: Arc<Base>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub run: Run,
    pub directives: Directives,
    /// The report had been taken in before.
    pub duplicate: bool,
}

impl Decision for TakeReport {
    type Outcome = Answer;

    fn asks(&self) -> Vec<Ask> {
        vec![
            Ask::row::<Run>(&self.run_id),
            Ask::row::<Taken>(&taken_id(&self.run_id, &self.report.report_id)),
            Ask::row::<RunLedger>(&self.run_id),
            Ask::row::<LimitsRow>(LimitsRow::ID),
        ]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Answer> {
        let before = run(desk, &self.run_id)?;
        let report = &self.report;
        let claim_id = report.claim_id.as_deref();
        admission::may_tell(desk, &before, claim_id)?;
        let id = taken_id(&self.run_id, &report.report_id);
        if let Some(taken) = desk.get::<Taken>(&id)? {
            if taken.digest != report.digest() {
                return Err(Failure::of(Code::RunReportConflict).with("runID", self.run_id.as_str()).into());
            }
            let directives = directives(&before, claim_id);
            return Ok(Answer { run: before, directives, duplicate: true });
        }
        let cost_usd = admission::price(desk, &self.base, report.usage.as_ref())?;
        let mut after = before.clone();
        report::apply(&mut after, report, cost_usd, desk.now_ms()).map_err(|why| refused(&before, report, why))?;
        // Governance looks last, on the run as it is now, and may ask for a stop that no limit of the run did.
        if let Some(stop) = admission::report(desk, &self.base, &before, &after, report)? {
            let applied = match voice(&after, claim_id) {
                // This answer tells whoever holds it.
                Voice::Holder => hooks::apply_in_answer(&mut after, &stop, desk.now_ms()),
                Voice::Unclaimed | Voice::Stranger => hooks::apply(&mut after, &stop, desk.now_ms()),
            };
            if applied && after.execution_claim.is_none() {
                // Nobody holds it, so it has stopped.
                admission::acknowledged(desk, &after)?;
            }
        }
        let heard = |run: &Run| run.stop_order.as_ref().is_some_and(|order| !order.is_open());
        let acknowledged = heard(&after) && !heard(&before);
        if acknowledged {
            admission::acknowledged(desk, &after)?;
        }
        let told = directives(&after, claim_id);
        if told.stop
            && let Some(order) = after.stop_order.as_mut().filter(|order| order.is_open())
        {
            order.delivered(desk.now_ms());
        }
        desk.save(&Taken { id, digest: report.digest(), at_ms: desk.now_ms() });
        let mut facts = json!({
            "reportID": report.report_id,
            "nodeID": report.node_id,
            "totalTokens": report.usage.as_ref().map(|usage| usage.total_tokens),
            "costUsd": report.usage.as_ref().map(|_| cost_usd),
            "stopKind": after.stop_kind,
        });
        if acknowledged {
            facts["stop"] = stop_facts(&after);
        }
        let kind = match before.status == after.status {
            true => "automation.v2.run.reported",
            false => event_of(after.status),
        };
        settle(desk, &before, &after, kind, facts);
        Ok(Answer { run: after, directives: told, duplicate: false })
    }
}

fn refused(run: &Run, report: &Report, refusal: Refusal) -> crate::decide::Halt {
    let code = match refusal {
        Refusal::ClaimLost => return claim_lost(run),
        Refusal::Terminal => Code::RunAlreadyTerminal,
        Refusal::NotActive => Code::RunNotActive,
        Refusal::TooLarge => Code::RunReportInvalid,
    };
    let mut failure = Failure::of(code)
        .with("runID", run.run_id.as_str())
        .with("automationID", run.automation_id.as_str())
        .with("currentStatus", run.status.word())
        .with("directives", json!(directives(run, report.claim_id.as_deref())));
    if refusal == Refusal::TooLarge {
        failure = failure.with("detail", "the outputs of this run would be larger than 1 MiB");
    }
    failure.into()
}
