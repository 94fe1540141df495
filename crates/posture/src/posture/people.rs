//! People: requests that nobody decides, and agents that nobody answers for.

use super::{
    findings::{Findings, foreign, path},
    table::{AGENT_WITHOUT_SPONSOR, APPROVAL_WAITING},
};
use crate::{
    estate::Estate,
    finding::{AffectedObject, EvidenceRef, New, Severity},
    inventory::{AuthorityInventory, present},
};

/// A request that waits longer than this has been forgotten.
const PATIENCE_MS: u64 = 24 * 3_600_000;

pub(super) fn judge(estate: &Estate, inventory: &AuthorityInventory, out: &mut Findings) {
    let waits = |since: u64| estate.now_ms.saturating_sub(since) > PATIENCE_MS;
    let hours = |since: u64| estate.now_ms.saturating_sub(since) / 3_600_000;
    let requests = &inventory.inventory.governance_approval_requests;
    for row in requests.iter().filter(|row| row.status == "pending" && waits(row.created_at_ms)) {
        let object = AffectedObject::new("governance_approval", row.approval_id.clone())
            .with("request_type", row.request_type.clone());
        let place = format!("inventory.governance_approval_requests[{}].created_at_ms", row.approval_id);
        waiting(object, hours(row.created_at_ms), path(place), out);
    }
    for row in inventory.inventory.pending_approvals.iter().filter(|row| waits(row.requested_at_ms)) {
        let object = AffectedObject::new("pending_approval", row.request_id.clone()).with("run_id", row.run_id.clone());
        let place = format!("inventory.pending_approvals[{}].requested_at_ms", row.request_id);
        waiting(object, hours(row.requested_at_ms), path(place), out);
    }
    for row in inventory.inventory.agents.iter().filter(|row| !present(row.sponsor.as_deref())) {
        out.add(AGENT_WITHOUT_SPONSOR, Severity::Medium, || New {
            rule_id: AGENT_WITHOUT_SPONSOR,
            category: "ownership_gap",
            severity: Severity::Medium,
            title: "No person answers for an agent".into(),
            detail: format!("Agent `{}` has no sponsor.", row.agent_id),
            recommendation: "Register the agent with a sponsor, or pause it.".into(),
            affected: vec![AffectedObject::new("agent", row.agent_id.clone()).with("registered", row.registered)],
            evidence: vec![path(format!("inventory.agents[{}].sponsor", row.agent_id))],
            extra: foreign(estate, &row.tenant_context),
        });
    }
}

fn waiting(object: AffectedObject, hours: u64, evidence: EvidenceRef, out: &mut Findings) {
    out.add(APPROVAL_WAITING, Severity::Medium, || New {
        rule_id: APPROVAL_WAITING,
        category: "oversight_gap",
        severity: Severity::Medium,
        title: "A request for approval waits too long".into(),
        detail: format!("`{}` has waited for {hours} hours.", object.id),
        recommendation: "Decide it, and see to it that somebody is told of requests.".into(),
        affected: vec![object],
        evidence: vec![evidence],
        extra: None,
    });
}
