//! What was recorded: actions without proof, denials that repeat, a log that is not what was signed.

use std::collections::BTreeMap;

use tandem_core::audit::integrity::Status;

use super::{
    findings::{Findings, foreign, id_or, path},
    table::{LOG_TAMPERED, MISSING_RECEIPT, RECURRING_DENIAL},
};
use crate::{
    estate::Estate,
    finding::{AffectedObject, EvidenceRef, New, Severity},
    inventory::{ActionRow, AuthorityInventory},
};

pub(super) fn judge_actions(inventory: &AuthorityInventory, out: &mut Findings) {
    for row in &inventory.inventory.external_publish_surfaces.recent_actions {
        let succeeded = ["posted", "success"].iter().any(|word| row.status.trim().eq_ignore_ascii_case(word));
        if succeeded && !(row.idempotency_key_present && row.receipt_present) {
            without_receipt(row, out);
        }
    }
}

fn without_receipt(row: &ActionRow, out: &mut Findings) {
    out.add(MISSING_RECEIPT, Severity::Medium, || {
        let id = id_or(&row.action_id, "unknown_action");
        New {
            rule_id: MISSING_RECEIPT,
            category: "audit_gap",
            severity: Severity::Medium,
            title: "Outside action without proof".into(),
            detail: format!("Action `{id}` ({}) succeeded without an idempotency key or a receipt.", row.operation),
            recommendation: "Store an idempotency key and a receipt for every publish that succeeds.".into(),
            affected: vec![AffectedObject::new("external_action", id).with("operation", row.operation.clone())],
            evidence: vec![path(format!("inventory.external_publish_surfaces.recent_actions[{id}]"))],
            extra: None,
        }
    });
}

/// The same tool on the same resource, denied twice or more among the newest decisions.
pub(super) fn judge_denials(estate: &Estate, inventory: &AuthorityInventory, out: &mut Findings) {
    let mut clusters: BTreeMap<(String, String, Option<String>), usize> = BTreeMap::new();
    for row in &inventory.inventory.policy_decisions {
        if !["deny", "denied"].iter().any(|word| row.decision.eq_ignore_ascii_case(word)) {
            continue;
        }
        let tool = id_or(row.tool.as_deref().unwrap_or_default(), "unknown_tool").to_owned();
        let resource = match &row.resource {
            Some(resource) if !resource.id.trim().is_empty() => format!("{}/{}", resource.kind, resource.id),
            Some(_) | None => "unknown_resource".to_owned(),
        };
        *clusters.entry((tool, resource, foreign(estate, &row.tenant_context))).or_insert(0) += 1;
    }
    for ((tool, resource, extra), count) in clusters.into_iter().filter(|(_, count)| *count >= 2) {
        out.add(RECURRING_DENIAL, Severity::Medium, || New {
            rule_id: RECURRING_DENIAL,
            category: "recurrence_gap",
            severity: Severity::Medium,
            title: "The same action is denied again and again".into(),
            detail: format!("`{tool}` on `{resource}` was denied {count} times among the newest decisions."),
            recommendation: "Approve it for a scope, tighten the policy so that it is not tried, or review who tries."
                .into(),
            affected: vec![
                AffectedObject::new("policy_decision_cluster", format!("{tool}:{resource}")).with("tool", tool.clone()),
            ],
            evidence: vec![path("inventory.policy_decisions[decision=deny]".into())],
            extra,
        });
    }
}

pub(super) fn judge_log(estate: &Estate, out: &mut Findings) {
    let integrity = &estate.integrity;
    match integrity.status {
        Status::Verified | Status::Empty => return,
        Status::Tampered => {}
    }
    out.add(LOG_TAMPERED, Severity::Critical, || {
        let at = integrity.first_bad_seq.map_or_else(|| "an unknown row".to_owned(), |seq| format!("row {seq}"));
        New {
            rule_id: LOG_TAMPERED,
            category: "audit_gap",
            severity: Severity::Critical,
            title: "The audit log is not what was signed".into(),
            detail: format!("Verification fails at {at}. What the log says from there on proves nothing."),
            recommendation: "Export the log with its checkpoints, find out who could write the store, restore or \
                             acknowledge the break. Only an operator's acknowledgement clears it."
                .into(),
            affected: vec![AffectedObject::new("audit_log", estate.tenant.key().0)],
            evidence: vec![EvidenceRef {
                kind: "audit_log".into(),
                path: format!(
                    "incident_monitor.audit.integrity[first_bad_seq={}]",
                    integrity.first_bad_seq.unwrap_or(0)
                ),
            }],
            extra: Some(integrity.first_bad_seq.unwrap_or(0).to_string()),
        }
    });
}
