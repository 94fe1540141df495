//! A record or a grant that was made in another tenant than the one it is found in. Nothing in it is believed: it is
//! bound to this tenant, loses its grants, and is closed until somebody independent has looked.

use serde_json::json;

use super::{
    effects::{self, Standing},
    ledger::{Stop, StopCause},
    limits::Limits,
    record::{GovernanceRecord, ReviewKind, Severity},
    review::{self, Cause, NewFinding},
    run,
};
use crate::{
    decide::{Decided, Desk},
    tenant::TenantContext,
};

pub fn quarantine(desk: &mut Desk<'_>, limits: &Limits, record: &mut GovernanceRecord) -> Decided<()> {
    let id = record.automation_id.clone();
    let foreign = record.tenant_context.key();
    let grant_tenants: Vec<String> = record
        .modify_grants
        .iter()
        .chain(&record.capability_grants)
        .filter_map(|grant| grant.tenant_context.as_ref().map(|tenant| tenant.key().0))
        .collect();
    let evidence = json!({
        "foreignTenant": foreign,
        "foreignGrantTenants": grant_tenants,
        "clearedModifyGrants": record.modify_grants.len(),
        "clearedCapabilityGrants": record.capability_grants.len(),
    });
    record.tenant_context = TenantContext { actor_id: None, ..desk.ctx.tenant.clone() };
    record.modify_grants.clear();
    record.capability_grants.clear();
    record.quarantined = true;
    record.creation_paused = true;
    record.paused_for_lifecycle = true;
    record.updated_at_ms = desk.now_ms();
    let stop = Stop::new(StopCause::TenantOwnershipMismatch, "the automation is quarantined", desk.now_ms());
    let paused = run::stop_all(desk, &id, &stop)?;
    review::find(
        desk,
        record,
        NewFinding {
            kind: ReviewKind::TenantOwnershipMismatch,
            severity: Severity::Critical,
            summary: "the record belonged to another tenant",
            detail: None,
            run_id: None,
            evidence: evidence.clone(),
        },
    );
    let cause = Cause {
        kind: ReviewKind::TenantOwnershipMismatch,
        by: "automation_tenant_quarantine",
        rationale: format!("The governance record of {id} belonged to another tenant"),
        context: json!({
            "trigger": ReviewKind::TenantOwnershipMismatch, "automationID": id, "evidence": evidence,
        }),
    };
    review::open(desk, limits, record, cause)?;
    record.plan_check(limits.expiration_warning_window_ms);
    record.keep(desk);
    effects::stand(desk, &id, Standing::Paused)?;
    desk.audit(
        "automation.governance.tenant_quarantined",
        json!({ "automationID": id, "evidence": evidence, "pausedRunIDs": paused }),
    );
    Ok(())
}
