//! Destinations: whether somebody must agree before something leaves, and whether an unfinished one is held back.

use super::{
    findings::{Findings, id_or, path},
    table::{DESTINATION_WITHOUT_APPROVAL, FAIL_OPEN, GENERIC_MCP},
};
use crate::{
    finding::{AffectedObject, New, Severity},
    inventory::{AuthorityInventory, DestinationRow, Inventory, present},
};

const HIGH_RISK: &str = "inventory.incident_monitor.safety_defaults.require_approval_for_high_risk";
const FAIL_CLOSED: &str = "inventory.incident_monitor.safety_defaults.block_unready_destinations";

pub(super) fn judge(inventory: &AuthorityInventory, out: &mut Findings) {
    let safety = &inventory.inventory.incident_monitor.safety_defaults;
    for row in inventory.inventory.destinations.iter().filter(|row| row.enabled && row.is_external()) {
        if !row.require_approval {
            without_approval(row, out);
            if !safety.require_approval_for_high_risk {
                without_any_approval(row, out);
            }
        }
        if !safety.block_unready_destinations && !is_bound(row) {
            fail_open(row, out);
        }
    }
}

pub(super) fn judge_generic(inventory: &AuthorityInventory, out: &mut Findings) {
    for row in inventory.inventory.destinations.iter().filter(|row| row.enabled && row.kind == "mcp_tool") {
        generic(&inventory.inventory, row, out);
    }
}

fn object(row: &DestinationRow) -> AffectedObject {
    AffectedObject::new("incident_monitor_destination", id_or(&row.destination_id, "unknown_destination"))
        .with("name", row.name.clone())
        .with("destination_kind", row.kind.clone())
}

fn place(row: &DestinationRow) -> String {
    format!("inventory.destinations[{}]", id_or(&row.destination_id, "unknown_destination"))
}

fn without_approval(row: &DestinationRow, out: &mut Findings) {
    out.add(DESTINATION_WITHOUT_APPROVAL, Severity::Medium, || New {
        rule_id: DESTINATION_WITHOUT_APPROVAL,
        category: "unsafe_destination",
        severity: Severity::Medium,
        title: "Outside destination without approval".into(),
        detail: format!("Destination `{}` ({}) does not ask for approval itself.", row.destination_id, row.kind),
        recommendation: "Set require_approval, or let only internal events of low risk reach it.".into(),
        affected: vec![object(row)],
        evidence: vec![path(format!("{}.require_approval", place(row)))],
        extra: None,
    });
}

fn without_any_approval(row: &DestinationRow, out: &mut Findings) {
    out.add(DESTINATION_WITHOUT_APPROVAL, Severity::High, || New {
        rule_id: DESTINATION_WITHOUT_APPROVAL,
        category: "missing_approval",
        severity: Severity::High,
        title: "High risk may leave without approval".into(),
        detail: format!(
            "Destination `{}` ({}) does not ask for approval, and high risk asks for none either.",
            row.destination_id, row.kind
        ),
        recommendation: "Switch require_approval_for_high_risk on, and gate each destination that changes something."
            .into(),
        affected: vec![object(row)],
        evidence: vec![path(HIGH_RISK.into()), path(format!("{}.require_approval", place(row)))],
        extra: None,
    });
}

fn is_bound(row: &DestinationRow) -> bool {
    match row.kind.as_str() {
        "github_issue" => present(row.repo.as_deref()),
        "linear_issue" => present(row.linear_team.as_deref()),
        "webhook" => row.webhook_url_present,
        "mcp_tool" => {
            present(row.mcp_server.as_deref()) && present(row.mcp_tool.as_deref()) && row.allow_publish == Some(true)
        }
        _ => true,
    }
}

fn fail_open(row: &DestinationRow, out: &mut Findings) {
    out.add(FAIL_OPEN, Severity::Medium, || New {
        rule_id: FAIL_OPEN,
        category: "unsafe_destination",
        severity: Severity::Medium,
        title: "Unfinished destination is not blocked".into(),
        detail: format!(
            "Destination `{}` ({}) lacks settings that it needs, and unready destinations are not blocked.",
            row.destination_id, row.kind
        ),
        recommendation: "Finish the destination's settings, or set block_unready_destinations.".into(),
        affected: vec![object(row)],
        evidence: vec![path(place(row)), path(FAIL_CLOSED.into())],
        extra: None,
    });
}

/// A generic tool does whatever its server makes of the payload. That stays a risk until a person has looked at the
/// four things that decide it; the finding says what can be seen of them, and is accepted rather than fixed.
fn generic(inventory: &Inventory, row: &DestinationRow, out: &mut Findings) {
    out.add(GENERIC_MCP, Severity::High, || {
        let server =
            inventory.mcp.servers.iter().find(|server| Some(server.name.as_str()) == row.mcp_server.as_deref());
        let listed = server.is_some_and(|server| server.allowed_tool_count.is_some());
        let mapped = row.custom_config_keys.iter().any(|key| key == "payload");
        let actions = &inventory.external_publish_surfaces.recent_actions;
        let tool = row.mcp_tool.as_deref().unwrap_or_default();
        let received = actions.iter().any(|action| {
            action.receipt_present
                && action.capability_id.as_deref().is_some_and(|id| !tool.is_empty() && id.ends_with(tool))
        });
        let said = |yes: bool| if yes { "yes" } else { "no" };
        New {
            rule_id: GENERIC_MCP,
            category: "unsafe_destination",
            severity: Severity::High,
            title: "Generic MCP destination is enabled".into(),
            detail: format!(
                "Destination `{}` calls a tool of an MCP server. Allowlist of the server: {}; payload mapping: {}; \
                 approval: {}; receipts so far: {}.",
                row.destination_id,
                said(listed),
                said(mapped),
                said(row.require_approval),
                said(received)
            ),
            recommendation: "Review allowlist, payload mapping, approval and receipts, and accept the risk until the \
                             next review; or disable the destination."
                .into(),
            affected: vec![object(row)],
            evidence: vec![path(format!("{}.kind", place(row))), path(format!("{}.allow_publish", place(row)))],
            extra: None,
        }
    });
}
