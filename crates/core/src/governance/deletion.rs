//! Deleting keeps everything for a while, in a snapshot; restoring brings it back, paused; purging removes the spec for good. The record
//! stays in any case, and the creation stays counted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    approval::Resource,
    dual, effects,
    ledger::{Stop, StopCause},
    limits::Base,
    mutate::{self, Operation},
    record::GovernanceRecord,
    review, run,
    usage::TenantUsage,
};
use crate::{
    actor::ActorRef,
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
    record::{Collection, Column, Record},
};

/// A deleted automation until its retention ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeletedAutomation {
    pub automation_id: String,
    pub automation: Value,
    pub deleted_at_ms: u64,
    pub deleted_by: ActorRef,
    pub restore_until_ms: u64,
}

pub static DELETED: Collection = Collection { name: "governance_deleted", columns: &[] };

impl Record for DeletedAutomation {
    const COLLECTION: &'static Collection = &DELETED;
    fn id(&self) -> &str {
        &self.automation_id
    }
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }
}

/// Deletes an automation: its runs are told to stop, and the snapshot is kept. The caller removes the automation's row.
/// Answers with the end of the restore window.
pub fn delete(desk: &mut Desk<'_>, base: &Base, automation_id: &str, snapshot: Value) -> Decided<u64> {
    let mut record = mutate::check(desk, automation_id, Operation::Delete)?;
    let limits = base.effective(desk)?;
    let now = desk.now_ms();
    let until = now.saturating_add(limits.delete_retention_ms);
    let stop = Stop::new(StopCause::Deleted, "the automation was deleted", now);
    let paused = run::stop_all(desk, automation_id, &stop)?;
    record.deleted_at_ms = Some(now);
    record.delete_retention_until_ms = Some(until);
    record.updated_at_ms = now;
    // Nobody needs to answer questions about it; a restored one is looked at again.
    review::supersede(desk, record.review_request_id.as_deref())?;
    record.plan_check(limits.expiration_warning_window_ms);
    record.keep(desk);
    count(desk, &record, false)?;
    let deleted = DeletedAutomation {
        automation_id: automation_id.to_owned(),
        automation: snapshot,
        deleted_at_ms: now,
        deleted_by: desk.ctx.actor.clone(),
        restore_until_ms: until,
    };
    // One that was deleted, restored and deleted again has no row left over.
    desk.save(&deleted);
    desk.audit(
        "automation.governance.deleted",
        json!({ "automationID": automation_id, "restoreUntilMs": until, "pausedRunIDs": paused }),
    );
    Ok(until)
}

/// Automations of agents count against the cap while they exist.
fn count(desk: &mut Desk<'_>, record: &GovernanceRecord, exists: bool) -> Decided<()> {
    if record.provenance.creator_agent().is_none() {
        return Ok(());
    }
    let mut usage = desk.get::<TenantUsage>(TenantUsage::ID)?.unwrap_or_default();
    usage.agent_automations =
        if exists { usage.agent_automations + 1 } else { usage.agent_automations.saturating_sub(1) };
    desk.save(&usage);
    Ok(())
}

/// POST …/restore. Answers with the automation.
#[derive(Debug)]
pub struct Restore {
    pub base: Arc<Base>,
    pub automation_id: String,
    pub approval_id: Option<String>,
}

impl Decision for Restore {
    type Outcome = Value;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<GovernanceRecord>(&self.automation_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Value> {
        let refuse = |code| Failure::of(code).with("automationID", self.automation_id.as_str());
        let limits = self.base.effective(desk)?;
        let found = desk.get::<GovernanceRecord>(&self.automation_id)?;
        if found.is_none() {
            return Err(refuse(Code::RestoreNotFound).into());
        }
        let mut record = mutate::check(desk, &self.automation_id, Operation::Restore)?;
        let control = dual::check(
            desk,
            &limits,
            dual::Action::Restore,
            &Resource::automation(&self.automation_id),
            self.approval_id.as_deref(),
            &json!({}),
        )?;
        if let Some(result) = control.repeated() {
            return Ok(result);
        }
        let now = desk.now_ms();
        if !record.is_deleted() {
            return Err(refuse(Code::RestoreNotFound).into());
        }
        if record.purged_at_ms.is_some() || record.delete_retention_until_ms.is_none_or(|until| until <= now) {
            return Err(refuse(Code::RestoreExpired).into());
        }
        record.deleted_at_ms = None;
        record.delete_retention_until_ms = None;
        record.updated_at_ms = now;
        // The end may have come meanwhile: the sweep looks at once.
        record.warning_snoozed = false;
        record.plan_check(limits.expiration_warning_window_ms);
        if record.review_required {
            self.ask_again(desk, &limits, &mut record)?;
        }
        record.keep(desk);
        count(desk, &record, true)?;
        let Some(deleted) = desk.get::<DeletedAutomation>(&self.automation_id)? else {
            return Err(refuse(Code::RestoreNotFound).into());
        };
        desk.remove::<DeletedAutomation>(&self.automation_id);
        let automation = effects::put_back(desk, deleted.automation)?;
        desk.audit(
            "automation.governance.restored",
            json!({
                "automationID": self.automation_id, "restoredBy": desk.ctx.actor, "approvalID": self.approval_id,
            }),
        );
        control.consume(desk, &automation)?;
        Ok(automation)
    }
}

impl Restore {
    /// A review that was open when it was deleted is due again.
    fn ask_again(
        &self,
        desk: &mut Desk<'_>,
        limits: &super::limits::Limits,
        record: &mut GovernanceRecord,
    ) -> Decided<()> {
        let Some(kind) = record.review_kind else { return Ok(()) };
        let cause = review::Cause {
            kind,
            by: "automation_restore",
            rationale: format!("{} was restored with an open review", self.automation_id),
            context: json!({ "trigger": kind, "automationID": self.automation_id }),
        };
        review::open(desk, limits, record, cause).map(|_| ())
    }
}

/// The restore window is over: the spec goes, the record stays.
pub fn purge(desk: &mut Desk<'_>, record: &mut GovernanceRecord) -> Decided<()> {
    record.purged_at_ms = Some(desk.now_ms());
    record.updated_at_ms = desk.now_ms();
    if desk.get::<DeletedAutomation>(&record.automation_id)?.is_some() {
        desk.remove::<DeletedAutomation>(&record.automation_id);
    }
    desk.audit(
        "automation.governance.purged",
        json!({ "automationID": record.automation_id, "deletedAtMs": record.deleted_at_ms }),
    );
    Ok(())
}
