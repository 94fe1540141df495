//! Giving an agent the right to change an automation, and taking it back. Taking it back pauses the automation, because
//! what it does may depend on who could change it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    approval::Resource,
    dependency, dual,
    limits::Base,
    mutate::{self, Operation},
    record::{GovernanceRecord, Grant, GrantKind},
};
use crate::{
    actor::{ActorKind, ActorRef},
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
    text::non_blank,
};

/// Live grants of an automation at most.
const MOST: usize = 200;

/// POST …/grants.
#[derive(Debug)]
pub struct Give {
    pub base: Arc<Base>,
    pub automation_id: String,
    pub agent_id: String,
    pub reason: Option<String>,
    pub approval_id: Option<String>,
}

fn known(desk: &mut Desk<'_>, automation_id: &str) -> Decided<()> {
    match desk.get::<GovernanceRecord>(automation_id)? {
        Some(record) if !record.is_deleted() => Ok(()),
        Some(_) | None => Err(Failure::of(Code::GovernanceNotFound).with("automationID", automation_id).into()),
    }
}

impl Decision for Give {
    type Outcome = Value;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<GovernanceRecord>(&self.automation_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Value> {
        known(desk, &self.automation_id)?;
        let limits = self.base.effective(desk)?;
        let mut record = mutate::check(desk, &self.automation_id, Operation::Grant)?;
        let parameters = json!({ "grantedToAgentID": self.agent_id, "reason": self.reason });
        let control = dual::check(
            desk,
            &limits,
            dual::Action::Grant,
            &Resource::automation(&self.automation_id),
            self.approval_id.as_deref(),
            &parameters,
        )?;
        if let Some(result) = control.repeated() {
            return Ok(result);
        }
        let failed = |detail: &str| {
            Failure::of(Code::GrantCreateFailed)
                .with("automationID", self.automation_id.as_str())
                .with("detail", detail)
        };
        let agent_id = non_blank(Some(&self.agent_id)).filter(|id| id.len() <= 200);
        let Some(agent_id) = agent_id else { return Err(failed("`granted_to_agent_id` is blank or too long").into()) };
        if record.modify_grants.iter().filter(|grant| grant.is_live()).count() >= MOST {
            return Err(failed("the automation has as many grants as it may").into());
        }
        if record.grants_modify_to(agent_id) {
            return Err(failed("the agent has this grant already").into());
        }
        let now = desk.now_ms();
        let grant = Grant {
            grant_id: format!("grant-{}", desk.uuid()),
            automation_id: self.automation_id.clone(),
            grant_kind: GrantKind::Modify,
            granted_to: ActorRef { kind: ActorKind::Agent, actor_id: Some(agent_id.to_owned()), source: None },
            granted_by: desk.ctx.actor.clone(),
            capability_key: None,
            grant_reason: self.reason.clone(),
            created_at_ms: now,
            revoked_at_ms: None,
            revoke_reason: None,
            approval_id: self.approval_id.clone(),
            tenant_context: Some(record.tenant_context.clone()),
        };
        record.modify_grants.push(grant.clone());
        record.updated_at_ms = now;
        record.keep(desk);
        let shown = shown(&grant);
        desk.audit(
            "automation.governance.grant.created",
            json!({ "automationID": self.automation_id, "grant": shown }),
        );
        control.consume(desk, &shown)?;
        Ok(shown)
    }
}

/// A grant on the wire.
pub fn shown(grant: &Grant) -> Value {
    serde_json::to_value(Grant { tenant_context: None, ..grant.clone() }).unwrap_or(Value::Null)
}

/// DELETE …/grants/{grant_id}.
#[derive(Debug)]
pub struct Revoke {
    pub base: Arc<Base>,
    pub automation_id: String,
    pub grant_id: String,
    pub reason: Option<String>,
    pub approval_id: Option<String>,
}

impl Decision for Revoke {
    type Outcome = Value;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<GovernanceRecord>(&self.automation_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Value> {
        known(desk, &self.automation_id)?;
        let limits = self.base.effective(desk)?;
        let mut record = mutate::check(desk, &self.automation_id, Operation::Revoke)?;
        let parameters = json!({ "grantID": self.grant_id, "reason": self.reason });
        let control = dual::check(
            desk,
            &limits,
            dual::Action::Revoke,
            &Resource::automation(&self.automation_id),
            self.approval_id.as_deref(),
            &parameters,
        )?;
        if let Some(result) = control.repeated() {
            return Ok(result);
        }
        let now = desk.now_ms();
        let Some(grant) = record.modify_grants.iter_mut().find(|grant| grant.grant_id == self.grant_id) else {
            return Err(Failure::of(Code::GrantNotFound)
                .with("automationID", self.automation_id.as_str())
                .with("grantID", self.grant_id.as_str())
                .into());
        };
        if !grant.is_live() {
            // Revoking twice is fine, and pauses nothing twice.
            return Ok(shown(grant));
        }
        grant.revoked_at_ms = Some(now);
        grant.revoke_reason = self.reason.clone();
        let grant = grant.clone();
        let shown = shown(&grant);
        desk.audit(
            "automation.governance.grant.revoked",
            json!({ "automationID": self.automation_id, "grant": shown }),
        );
        let reason = self.reason.clone().unwrap_or_else(|| "a grant was revoked".into());
        let evidence = json!({
            "trigger": "grant_revoked", "grantID": self.grant_id, "grant": shown, "revokedBy": desk.ctx.actor,
        });
        dependency::revoke(desk, &limits, &mut record, &reason, evidence)?;
        control.consume(desk, &shown)?;
        Ok(shown)
    }
}
