//! Drift: what the newest runs of an automation say about it. A check looks at real runs since the last review only, so
//! that what a person has acknowledged does not come back. A record that belongs elsewhere is found here as well.

use serde_json::{Value, json};

use super::{
    ledger::{RunEnd, RunLedger},
    limits::Base,
    quarantine,
    record::{Finding, GovernanceRecord, ReviewKind, Severity},
    review::{self, Cause, NewFinding},
};
use crate::{
    decide::{Ask, Decided, Decision, Desk, PageAsk},
    record::Column,
};

/// Fewer ended runs say nothing about a rate.
const FEWEST: usize = 5;

/// The sweep's look at one automation.
#[derive(Debug)]
pub struct Check {
    pub base: std::sync::Arc<Base>,
    pub automation_id: String,
}

impl Decision for Check {
    type Outcome = usize;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<GovernanceRecord>(&self.automation_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<usize> {
        let Some(mut record) = desk.get::<GovernanceRecord>(&self.automation_id)?.filter(|record| !record.is_deleted())
        else {
            return Ok(0);
        };
        let limits = self.base.effective(desk)?;
        // This sweep comes to every record, also to those without an end.
        if record.is_foreign(&desk.ctx.tenant) {
            record.health_last_checked_at_ms = Some(desk.now_ms());
            record.swept_at_ms = Some(desk.now_ms());
            quarantine::quarantine(desk, &limits, &mut record)?;
            return Ok(1);
        }
        let page = PageAsk::of::<RunLedger>("created_at_ms", limits.health_window_run_limit as usize)
            .equal("automation_id", Column::text(&self.automation_id))
            .since(record.last_reviewed_at_ms.map_or(0, |at| at + 1));
        let runs = desk.page::<RunLedger>(page)?;
        let findings = findings(&runs, limits.health_failure_rate_threshold, limits.health_guardrail_stop_threshold);
        record.health_last_checked_at_ms = Some(desk.now_ms());
        record.swept_at_ms = Some(desk.now_ms());
        let count = findings.len();
        let before = record.health_findings.len();
        put_away(desk, &mut record, &findings)?;
        if record.health_findings.len() != before {
            record.updated_at_ms = desk.now_ms();
        }
        for finding in findings {
            review::find(desk, &mut record, finding);
        }
        if count > 0 {
            let cause = Cause {
                kind: ReviewKind::HealthDrift,
                by: "automation_health_check",
                rationale: format!("The runs of {} are not what they should be", self.automation_id),
                context: json!({
                    "trigger": ReviewKind::HealthDrift,
                    "automationID": self.automation_id,
                    "findingCount": count,
                }),
            };
            review::open(desk, &limits, &mut record, cause)?;
            record.updated_at_ms = desk.now_ms();
        }
        desk.save(&record);
        Ok(count)
    }
}

/// Resolves what an earlier check found and this one does not, unless a person is being asked about it, and what it finds
/// otherwise by now. Findings about single runs are not a check's; they stay until they are reviewed.
fn put_away(desk: &mut Desk<'_>, record: &mut GovernanceRecord, found: &[NewFinding]) -> Decided<()> {
    let asked = record.review_required && record.review_kind == Some(ReviewKind::HealthDrift);
    let is_over = |open: &Finding| {
        let own = open.kind == ReviewKind::HealthDrift && [FAILED, EMPTY, STOPPED].contains(&open.summary.as_str());
        own && match found.iter().find(|new| new.summary == open.summary) {
            Some(new) => {
                new.severity != open.severity || open.evidence.as_ref().map(counts) != Some(counts(&new.evidence))
            }
            None => !asked,
        }
    };
    let (over, others) = std::mem::take(&mut record.health_findings).into_iter().partition(is_over);
    record.health_findings = over;
    review::resolve(desk, record, None)?;
    record.health_findings = others;
    Ok(())
}

/// The whole numbers of an evidence; a rate follows from them, and does not come back from a row to the last bit.
fn counts(evidence: &Value) -> Vec<(&str, u64)> {
    let all = evidence.as_object().into_iter().flatten();
    all.filter_map(|(key, value)| value.as_u64().map(|count| (key.as_str(), count))).collect()
}

const FAILED: &str = "many of the latest runs failed";
const EMPTY: &str = "completed runs had no output";
const STOPPED: &str = "guardrails stopped runs";

/// What the runs give rise to.
pub fn findings(runs: &[RunLedger], failure_rate: f64, guardrail_stops: u64) -> Vec<NewFinding> {
    let mut found = Vec::new();
    let mut add = |severity, summary, evidence| {
        let kind = ReviewKind::HealthDrift;
        found.push(NewFinding { kind, severity, summary, detail: None, run_id: None, evidence });
    };
    let real: Vec<&RunLedger> = runs.iter().filter(|run| !run.dry_run).collect();
    let ended: Vec<RunEnd> = real.iter().filter_map(|run| run.end).collect();
    let failed = ended.iter().filter(|end| matches!(end, RunEnd::Failed | RunEnd::Blocked)).count();
    let rate = failed as f64 / ended.len().max(1) as f64;
    if ended.len() >= FEWEST && failed > 0 && rate >= failure_rate {
        let severity = if rate >= 0.75 { Severity::Critical } else { Severity::Warning };
        let evidence = json!({ "failureCount": failed, "terminalRunCount": ended.len(), "failureRate": rate });
        add(severity, FAILED, evidence);
    }
    let empty = real.iter().filter(|run| run.empty_output).count();
    if empty > 0 {
        add(Severity::Warning, EMPTY, json!({ "emptyOutputCount": empty }));
    }
    let stopped = real.iter().filter(|run| run.guardrail_stops > 0).count() as u64;
    if guardrail_stops > 0 && stopped >= guardrail_stops {
        add(Severity::Warning, STOPPED, json!({ "guardrailStopCount": stopped }));
    }
    found
}
