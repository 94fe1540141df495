//! The Incident Monitor's own switches: how long it keeps, whether it redacts, whether its evidence leaves.

use std::collections::HashSet;

use super::{
    findings::{Findings, monitor, path},
    table::{REDACTION_OFF, RETENTION_UNSET, SELF_WITHOUT_EXPORT},
};
use crate::{
    estate::Estate,
    finding::{New, Severity},
    inventory::AuthorityInventory,
};

const DEFAULTS: &str = "inventory.incident_monitor.safety_defaults";
const SELF_KINDS: [&str; 2] = ["tandem_runtime", "tandem_monitor"];

pub(super) fn judge(inventory: &AuthorityInventory, out: &mut Findings) {
    let safety = &inventory.inventory.incident_monitor.safety_defaults;
    if safety.retention_days.is_none() {
        out.add(RETENTION_UNSET, Severity::Medium, || New {
            rule_id: RETENTION_UNSET,
            category: "retention_gap",
            severity: Severity::Medium,
            title: "No retention period is set".into(),
            detail: "retention_days is unset: records are kept without end, by no policy.".into(),
            recommendation: "Set retention_days to what your retention policy says, and name who owns that policy."
                .into(),
            affected: vec![monitor()],
            evidence: vec![path(format!("{DEFAULTS}.retention_days"))],
            extra: None,
        });
    }
    if !safety.redact_secrets {
        out.add(REDACTION_OFF, Severity::High, || New {
            rule_id: REDACTION_OFF,
            category: "redaction_gap",
            severity: Severity::High,
            title: "Secrets are not redacted by default".into(),
            detail: "redact_secrets is off: what reports carry may be stored and sent as it came.".into(),
            recommendation: "Switch redact_secrets on, or give every source a redaction profile.".into(),
            affected: vec![monitor()],
            evidence: vec![path(format!("{DEFAULTS}.redact_secrets"))],
            extra: None,
        });
    }
}

/// Tandem watches itself where the monitor is on, or a source says so. Evidence about oneself counts once it is
/// somewhere else: an outside destination that can take it, something that has left, or a scheduled export that works.
pub(super) fn judge_self(estate: &Estate, inventory: &AuthorityInventory, out: &mut Findings) {
    let sections = &inventory.inventory;
    let source =
        sections.monitored_sources.iter().find(|row| row.enabled && SELF_KINDS.contains(&row.source_kind.as_str()));
    if source.is_none() && !sections.incident_monitor.enabled {
        return;
    }
    let outside = sections.destinations.iter().filter(|row| row.is_external());
    let outside: HashSet<&str> = outside.map(|row| row.destination_id.as_str()).collect();
    let leads_out = |id: &str| outside.contains(id);
    let ready =
        estate.destinations.iter().any(|row| row.enabled && row.publish_ready && leads_out(&row.destination_id));
    let left = sections.external_publish_surfaces.recent_actions.iter().any(|row| row.receipt_present);
    if ready || left || estate.exported {
        return;
    }
    out.add(SELF_WITHOUT_EXPORT, Severity::Medium, || New {
        rule_id: SELF_WITHOUT_EXPORT,
        category: "external_custody_gap",
        severity: Severity::Medium,
        title: "Evidence about Tandem itself does not leave it".into(),
        detail: "Tandem watches itself, no outside destination is ready, nothing has left so far, and no scheduled \
                 export of the audit log works."
            .into(),
        recommendation: "Configure an outside destination, or export the audit log on a schedule to a store that \
                         this server cannot change."
            .into(),
        affected: vec![monitor()],
        evidence: match source {
            Some(row) => vec![path(format!("inventory.monitored_sources[{}].source_kind", row.id()))],
            None => vec![path("inventory.incident_monitor.enabled".into())],
        },
        extra: None,
    });
}
