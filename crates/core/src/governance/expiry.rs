//! The end of an automation: announced, reached, and long past. What the lifecycle sweep does with one of them.

use serde_json::json;

use super::{
    deletion,
    effects::{self, Standing},
    ledger::{Stop, StopCause},
    limits::Base,
    quarantine,
    record::{GovernanceRecord, ReviewKind, Severity},
    review::{self, Cause, NewFinding},
    run,
};
use crate::decide::{Ask, Decided, Decision, Desk};

/// The sweep's look at one automation whose time has come.
#[derive(Debug)]
pub struct Due {
    pub base: std::sync::Arc<Base>,
    pub automation_id: String,
}

impl Decision for Due {
    type Outcome = ();

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<GovernanceRecord>(&self.automation_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<()> {
        let Some(mut record) = desk.get::<GovernanceRecord>(&self.automation_id)? else { return Ok(()) };
        let limits = self.base.effective(desk)?;
        let (now, window) = (desk.now_ms(), limits.expiration_warning_window_ms);
        if record.is_foreign(&desk.ctx.tenant) {
            return quarantine::quarantine(desk, &limits, &mut record);
        }
        if record.is_deleted() {
            if record.purged_at_ms.is_none() && record.delete_retention_until_ms.is_some_and(|until| until <= now) {
                deletion::purge(desk, &mut record)?;
            }
            record.plan_check(window);
            desk.save(&record);
            return Ok(());
        }
        let Some(expires_at_ms) = record.expires_at_ms else {
            record.plan_check(window);
            desk.save(&record);
            return Ok(());
        };
        let open = record.expired_at_ms.is_none() && record.retired_at_ms.is_none();
        if open && now >= expires_at_ms {
            self.expire(desk, &limits, &mut record, expires_at_ms)?;
        } else if open && expires_at_ms - now <= window && !record.warning_snoozed {
            review::find(
                desk,
                &mut record,
                NewFinding {
                    kind: ReviewKind::ExpirationSoon,
                    severity: Severity::Info,
                    summary: "the automation expires soon",
                    detail: None,
                    run_id: None,
                    evidence: json!({ "expiresAtMs": expires_at_ms, "warningWindowMs": window }),
                },
            );
            let cause = Cause {
                kind: ReviewKind::ExpirationSoon,
                by: "automation_expiration",
                rationale: format!("{} expires soon: extend it, retire it, or let it expire", self.automation_id),
                context: json!({
                    "trigger": ReviewKind::ExpirationSoon,
                    "automationID": self.automation_id,
                    "expiresAtMs": expires_at_ms,
                }),
            };
            if !review::open(desk, &limits, &mut record, cause)? {
                // Another review is open. The warning was given as a finding; the next look is at the end.
                record.warning_snoozed = true;
            }
        }
        record.plan_check(window);
        desk.save(&record);
        Ok(())
    }
}

impl Due {
    fn expire(
        &self,
        desk: &mut Desk<'_>,
        limits: &super::limits::Limits,
        record: &mut GovernanceRecord,
        expires_at_ms: u64,
    ) -> Decided<()> {
        let now = desk.now_ms();
        record.expired_at_ms = Some(now);
        record.paused_for_lifecycle = true;
        record.updated_at_ms = now;
        let stop = Stop::new(StopCause::Expired, "the automation has expired", now);
        let paused = run::stop_all(desk, &self.automation_id, &stop)?;
        review::find(
            desk,
            record,
            NewFinding {
                kind: ReviewKind::Expired,
                severity: Severity::Critical,
                summary: "the automation has expired",
                detail: None,
                run_id: None,
                evidence: json!({ "expiresAtMs": expires_at_ms, "expiredAtMs": now }),
            },
        );
        let cause = Cause {
            kind: ReviewKind::Expired,
            by: "automation_expiration",
            rationale: format!("{} has expired: extend it or retire it", self.automation_id),
            context: json!({
                "trigger": ReviewKind::Expired, "automationID": self.automation_id, "expiresAtMs": expires_at_ms,
            }),
        };
        review::open(desk, limits, record, cause)?;
        record.keep(desk);
        effects::stand(desk, &self.automation_id, Standing::Paused)?;
        desk.audit(
            "automation.governance.expired",
            json!({
                "automationID": self.automation_id,
                "expiresAtMs": expires_at_ms,
                "expiredAtMs": now,
                "pausedRunIDs": paused,
                "reviewRequestID": record.review_request_id,
            }),
        );
        Ok(())
    }
}
