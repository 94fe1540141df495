//! Each probe: what it asks, whom, and what the answer means.

use tandem_core::{
    destination::{self, DestinationKind, DestinationReadiness},
    route::{self, Context, PreviewInput, ReadinessRows},
    text::non_blank,
};

use super::{DoorReport, ProbeId, ProbeStatus, Said};
use crate::{
    estate::Estate,
    finding::{AffectedObject, EvidenceRef, Finding},
    inventory::{AuthorityInventory, KeyRow},
};

/// The one scope that a reporter needs.
const REPORT_SCOPE: &str = "incident_monitor:report";
const DESTINATION: &str = "incident_monitor_destination";
const READINESS: &str = "incident_monitor.status.destination_readiness";
const FAIL_CLOSED: &str = "inventory.incident_monitor.safety_defaults.block_unready_destinations";
/// Open doors that are named.
const NAMED: usize = 5;

pub(super) struct Scene<'a> {
    pub estate: &'a Estate,
    pub inventory: &'a AuthorityInventory,
    pub findings: &'a [Finding],
    pub doors: Option<&'a DoorReport>,
}

pub(super) fn check(probe: ProbeId, scene: &Scene<'_>) -> Vec<Said> {
    match probe {
        ProbeId::ApprovalRequiredToolPolicy => rule(
            probe,
            scene,
            "high_risk_tool_without_approval",
            "Tools with outside effects are reached through an approval only.",
        ),
        ProbeId::McpToolAllowlist => mcp(scene),
        ProbeId::RoutePreviewHighRiskApproval => vec![high_risk_event(scene)],
        ProbeId::DestinationReadinessFailClosed => fail_closed(scene),
        ProbeId::ScopedIntakeRestriction => intake_keys(scene),
        ProbeId::WebhookUrlPolicy => webhooks(scene),
    }
}

/// One result for each finding of a posture rule, or one that there is none.
fn rule(probe: ProbeId, scene: &Scene<'_>, rule_id: &str, expected: &str) -> Vec<Said> {
    let found: Vec<&Finding> = scene.findings.iter().filter(|finding| finding.rule_id == rule_id).collect();
    if found.is_empty() {
        return vec![Said {
            probe,
            target: AffectedObject::new("authority_inventory", rule_id),
            expected: expected.into(),
            observed: format!("The posture rule {rule_id} finds nothing."),
            status: ProbeStatus::Pass,
            evidence: vec![EvidenceRef::inventory(format!("inventory.posture_rules[{rule_id}]"))],
            finding: None,
        }];
    }
    let said = |finding: &Finding| Said {
        probe,
        target: match finding.affected_objects.first() {
            Some(object) => object.clone(),
            None => AffectedObject::new("authority_inventory", rule_id),
        },
        expected: expected.into(),
        observed: finding.detail.clone(),
        status: ProbeStatus::Fail,
        evidence: finding.evidence_refs.clone(),
        finding: Some(finding.clone()),
    };
    found.into_iter().map(said).collect()
}

/// Nothing to probe.
fn absent(probe: ProbeId, kind: &str, id: &str, expected: &str, observed: &str, path: impl Into<String>) -> Said {
    Said {
        probe,
        target: AffectedObject::new(kind, id),
        expected: expected.into(),
        observed: observed.into(),
        status: ProbeStatus::NotApplicable,
        evidence: vec![EvidenceRef::inventory(path)],
        finding: None,
    }
}

fn target(row: &DestinationReadiness) -> AffectedObject {
    AffectedObject::new(DESTINATION, &row.destination_id).with("destination_kind", row.kind.label())
}

fn readiness_of(row: &DestinationReadiness) -> String {
    if row.publish_ready {
        return "It is ready to publish.".into();
    }
    let missing = if row.missing.is_empty() { "readiness is false".to_owned() } else { row.missing.join(", ") };
    format!("It is not ready: {missing}.")
}

fn enabled(scene: &Scene<'_>, kind: DestinationKind) -> Vec<DestinationReadiness> {
    scene.estate.destinations.iter().filter(|row| row.enabled && row.kind == kind).cloned().collect()
}

/// A result for each enabled destination of a kind: ready passes.
fn ready(probe: ProbeId, rows: Vec<DestinationReadiness>, expected: &str) -> Vec<Said> {
    let said = |row: DestinationReadiness| Said {
        probe,
        target: target(&row),
        expected: expected.into(),
        observed: readiness_of(&row),
        status: if row.publish_ready { ProbeStatus::Pass } else { ProbeStatus::Fail },
        evidence: vec![EvidenceRef::inventory(format!("{READINESS}[{}]", row.destination_id))],
        finding: None,
    };
    rows.into_iter().map(said).collect()
}

fn mcp(scene: &Scene<'_>) -> Vec<Said> {
    let probe = ProbeId::McpToolAllowlist;
    let listed = "Agents with MCP servers name the tools that they may call.";
    let mut all = rule(probe, scene, "mcp_server_without_tool_allowlist", listed);
    let expected = "The destination's tool is known, allowed and unchanged, and its payload fits.";
    let rows = enabled(scene, DestinationKind::McpTool);
    if rows.is_empty() {
        let why = "No enabled destination calls an MCP tool.";
        let path = format!("{READINESS}[kind=mcp_tool]");
        all.push(absent(probe, DESTINATION, "no_mcp_destinations", expected, why, path));
    }
    all.extend(ready(probe, rows, expected));
    all
}

fn webhooks(scene: &Scene<'_>) -> Vec<Said> {
    let probe = ProbeId::WebhookUrlPolicy;
    let expected = "The webhook goes to a public HTTPS address and is signed with a secret from the environment.";
    let rows = enabled(scene, DestinationKind::Webhook);
    if rows.is_empty() {
        let path = format!("{READINESS}[kind=webhook]");
        let why = "No webhook destination is enabled.";
        return vec![absent(probe, DESTINATION, "no_webhook_destinations", expected, why, path)];
    }
    ready(probe, rows, expected)
}

/// Reaches something outside this server.
pub(crate) fn is_external(kind: DestinationKind) -> bool {
    match kind {
        DestinationKind::GithubIssue
        | DestinationKind::LinearIssue
        | DestinationKind::Webhook
        | DestinationKind::McpTool => true,
        DestinationKind::Telemetry | DestinationKind::InternalMemory => false,
    }
}

fn fail_closed(scene: &Scene<'_>) -> Vec<Said> {
    let probe = ProbeId::DestinationReadinessFailClosed;
    let expected = "A destination that is not ready takes nothing.";
    let closed = scene.estate.config.safety_defaults.block_unready_destinations;
    let rows = scene.estate.destinations.iter().filter(|row| row.enabled && is_external(row.kind));
    let said = |row: &DestinationReadiness| Said {
        probe,
        target: target(row),
        expected: expected.into(),
        observed: match (row.publish_ready, closed) {
            (true, _) => readiness_of(row),
            (false, true) => format!("{} It is blocked until it is.", readiness_of(row)),
            (false, false) => format!("{} Nothing blocks it: block_unready_destinations is off.", readiness_of(row)),
        },
        status: if row.publish_ready || closed { ProbeStatus::Pass } else { ProbeStatus::Fail },
        evidence: vec![
            EvidenceRef::inventory(format!("{READINESS}[{}]", row.destination_id)),
            EvidenceRef::inventory(FAIL_CLOSED),
        ],
        finding: None,
    };
    let all: Vec<Said> = rows.map(said).collect();
    if !all.is_empty() {
        return all;
    }
    let why = "No destination outside this server is enabled.";
    vec![absent(probe, "incident_monitor_destinations", "none", expected, why, READINESS)]
}

/// The tenant and workspace of an event of this caller: those that its credential names.
pub(crate) fn own_tenant(estate: &Estate) -> (Option<String>, Option<String>) {
    match estate.tenant.is_local_implicit() {
        true => (None, None),
        false => (Some(estate.tenant.org_id.clone()), Some(estate.tenant.workspace_id.clone())),
    }
}

fn high_risk_event(scene: &Scene<'_>) -> Said {
    let estate = scene.estate;
    let (tenant_id, workspace_id) = own_tenant(estate);
    let word = |text: &str| Some(text.to_owned());
    let input = PreviewInput {
        event_type: word("security.assessment.probe"),
        source: word("incident_monitor_assessment"),
        component: word("incident_router"),
        risk_level: word("high"),
        risk_category: word("security_gap"),
        confidence: word("high"),
        expected_destination: word("security_review"),
        route_tags: vec!["security_assessment".into()],
        tenant_id,
        workspace_id,
        ..PreviewInput::default()
    };
    let rows = ReadinessRows { destinations: &estate.destinations, sources: &estate.sources };
    let preview = route::preview(&estate.config, &Context::from_parts(&input, None, None, None), &rows);
    let outside: Vec<&str> = preview
        .destinations
        .iter()
        .filter(|destination| is_external(destination.kind))
        .map(|destination| destination.destination_id.as_str())
        .collect();
    let (status, observed) = if preview.effective_destination_ids.is_empty() {
        (ProbeStatus::Blocked, "No route and no default destination takes it.".to_owned())
    } else if preview.approval_required {
        let grounds: Vec<&str> = preview.approval_grounds.iter().map(|ground| ground.word()).collect();
        (ProbeStatus::Pass, format!("An approval is required: {}.", grounds.join(", ")))
    } else if outside.is_empty() {
        (ProbeStatus::Pass, "It stays inside this server.".to_owned())
    } else {
        (ProbeStatus::Fail, format!("It reaches {} without an approval.", outside.join(", ")))
    };
    Said {
        probe: ProbeId::RoutePreviewHighRiskApproval,
        target: AffectedObject::new("incident_monitor_route_preview", "high_risk_synthetic_event")
            .with("destination_ids", preview.effective_destination_ids),
        expected: "A high-risk event reaches nothing outside this server without an approval.".into(),
        observed,
        status,
        evidence: vec![
            EvidenceRef::inventory("incident_monitor.route_preview[security.assessment.probe]"),
            EvidenceRef::inventory("incident_monitor.route_preview[security.assessment.probe].approval_required"),
        ],
        finding: None,
    }
}

fn intake_keys(scene: &Scene<'_>) -> Vec<Said> {
    let probe = ProbeId::ScopedIntakeRestriction;
    let expected = "A scoped intake key reports, and no privileged route lets it in.";
    let all: Vec<Said> = scene
        .inventory
        .inventory
        .scoped_intake_keys
        .iter()
        .filter(|key| key.enabled)
        .map(|key| intake_key(key, scene.doors, expected))
        .collect();
    if !all.is_empty() {
        return all;
    }
    let why = "No scoped intake key is enabled.";
    vec![absent(probe, "incident_monitor_intake_keys", "none", expected, why, "inventory.scoped_intake_keys")]
}

fn intake_key(key: &KeyRow, doors: Option<&DoorReport>, expected: &str) -> Said {
    let other: Vec<&str> =
        key.scopes.iter().filter_map(|scope| non_blank(Some(scope))).filter(|scope| *scope != REPORT_SCOPE).collect();
    let (status, observed) = if key.scopes.is_empty() {
        (ProbeStatus::Fail, "The key names no scope.".to_owned())
    } else if !other.is_empty() || key.scopes.iter().any(|scope| scope != REPORT_SCOPE) {
        (ProbeStatus::Fail, format!("The key has scopes beyond reporting: {}.", other.join(", ")))
    } else {
        match doors {
            None => (ProbeStatus::Blocked, "The key only reports; the routes could not be asked.".to_owned()),
            Some(report) if report.open.is_empty() => {
                (ProbeStatus::Pass, "The key only reports, and every privileged route refuses it.".to_owned())
            }
            Some(report) => (ProbeStatus::Fail, opened(report)),
        }
    };
    Said {
        probe: ProbeId::ScopedIntakeRestriction,
        target: AffectedObject::new("incident_monitor_intake_key", &key.key_id)
            .with("project_id", key.project_id.as_str())
            .with("doors_tried", doors.map_or(0, |report| report.tried)),
        expected: expected.into(),
        observed,
        status,
        evidence: vec![
            EvidenceRef::inventory(format!("inventory.scoped_intake_keys[{}].scopes", key.key_id)),
            EvidenceRef::inventory("incident_monitor.security.assessment_probes.intake_key_rejection"),
        ],
        finding: None,
    }
}

fn opened(report: &DoorReport) -> String {
    let door = |door: &super::OpenDoor| format!("{} {} ({})", door.method, door.path, door.carrier);
    let named: Vec<String> = report.open.iter().take(NAMED).map(door).collect();
    let more = match report.open.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("Routes let the key in: {}{more}.", named.join(", "))
}

/// Whether a configured or implied destination reaches outside this server.
pub(crate) fn external_destinations(estate: &Estate) -> Vec<destination::Destination> {
    let all = destination::effective(&estate.config);
    all.into_iter().filter(|destination| destination.enabled && is_external(destination.kind)).collect()
}
