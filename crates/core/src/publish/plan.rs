//! What a publish call does: refuse, demand approval, or start a delivery for each effective destination.
//!
//! Approval comes before readiness, so an unapproved draft on a broken destination waits for approval. A destination
//! that is not ready blocks itself, not the others. Nothing is sent twice: a delivery of the same content to the same
//! target that is posted or under way is answered with, not repeated.

use super::{Action, Delivery, DeliveryState, Intent, Mode, Prepared, digest, schedule, target};
use crate::{
    config::{Config, RecurrencePolicy},
    destination::{Destination, DestinationKind, DestinationReadiness},
    draft::{Draft, Stage},
    route::{BlockCode, RoutePreview},
    tracker::{IssueRef, decide},
};

/// Everything that the decision looks at.
pub struct Inputs<'a> {
    pub draft: &'a Draft,
    pub config: &'a Config,
    pub preview: &'a RoutePreview,
    pub mode: Mode,
    /// All deliveries of this draft.
    pub deliveries: &'a [Delivery],
}

/// A delivery to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    pub destination: Destination,
    pub operation: &'static str,
    pub action: Action,
    pub target_ref: String,
    pub idempotency_key: String,
    pub evidence_digest: String,
    pub destination_digest: String,
    pub max_attempts: u32,
    pub needs_triage: bool,
    /// The recurrence that is told of, and the issue that it is told to.
    pub recurrence: Option<u64>,
    pub issue: Option<IssueRef>,
    /// What an earlier delivery of the same content left in doubt: it is looked up before anything is sent.
    pub doubt: Option<Doubt>,
}

/// What was about to be sent, and the text of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    pub intent: Intent,
    pub payload: Option<String>,
    pub prepared: Option<Prepared>,
}

impl Doubt {
    fn of(delivery: &Delivery) -> Option<Self> {
        let intent = delivery.intent.clone()?;
        Some(Self { intent, payload: delivery.payload.clone(), prepared: delivery.prepared.clone() })
    }
}

/// What happens for one destination.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Start(Box<Start>),
    /// The same content has been delivered.
    Posted {
        destination: Destination,
        delivery_id: String,
    },
    /// A delivery of the same content is under way.
    Underway {
        destination: Destination,
        delivery_id: String,
    },
    Blocked {
        destination: Destination,
        code: String,
        detail: String,
    },
    /// Creating issues automatically is switched off, and nobody asked for this one.
    CreateOff {
        destination: Destination,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing may be published. `action` is the audit word for the kind of refusal.
    Refuse {
        action: &'static str,
        code: &'static str,
        detail: String,
    },
    /// A person must approve first.
    DemandApproval,
    Deliver(Vec<Step>),
}

/// Refusals that end by themselves: no destination is ready, or the monitor rests.
const NOT_READY: &str = "destination_not_ready";
const PAUSED: &str = "monitor_paused";
const DISABLED: &str = "monitor_disabled";

impl Plan {
    /// Whether something becomes of it that has not been asked for before.
    pub fn starts(&self) -> bool {
        match self {
            Self::Refuse { .. } => false,
            Self::DemandApproval => true,
            Self::Deliver(steps) => steps.iter().any(|step| matches!(step, Step::Start(_))),
        }
    }

    /// Whether the same plan would hold more once a destination is ready, or the monitor goes on.
    pub fn waits(&self) -> bool {
        match self {
            Self::Refuse { code, .. } => [NOT_READY, PAUSED, DISABLED].contains(code),
            Self::DemandApproval => false,
            Self::Deliver(steps) => steps.iter().any(|step| matches!(step, Step::Blocked { .. })),
        }
    }
}

fn refuse(action: &'static str, code: &'static str, detail: impl Into<String>) -> Plan {
    Plan::Refuse { action, code, detail: detail.into() }
}

/// Decides a publish.
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let Inputs { draft, config, preview, mode, deliveries } = *inputs;
    let routing: Vec<&str> = preview
        .blocked_reasons
        .iter()
        .zip(&preview.blocked_codes)
        .filter(|(_, code)| !matches!(code, BlockCode::NotReady | BlockCode::ReadinessMissing))
        .map(|(reason, _)| reason.as_str())
        .collect();
    if !routing.is_empty() {
        return refuse("validation_failed", "route_blocked", routing.join("; "));
    }
    if let Some(off) = preview.destinations.iter().find(|d| !d.enabled) {
        return refuse(
            "validation_failed",
            "destination_disabled",
            format!("Destination `{}` is disabled", off.destination_id),
        );
    }
    if draft.status.stage() == Stage::Denied {
        return refuse("adapter_failed", "draft_denied", "The draft was denied; a denial is final");
    }
    if preview.approval_required && draft.approval_granted_at_ms.is_none() {
        return Plan::DemandApproval;
    }
    if !config.enabled {
        return refuse("destination_not_ready", DISABLED, "Incident Monitor is disabled");
    }
    if config.paused {
        return refuse("destination_not_ready", PAUSED, "Incident Monitor is paused");
    }

    let steps: Vec<Step> = preview
        .destinations
        .iter()
        .map(|destination| {
            let readiness = preview.readiness.iter().find(|row| row.destination_id == destination.destination_id);
            step(draft, config, destination, readiness, mode, deliveries)
        })
        .collect();
    let blocked: Vec<&str> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Blocked { detail, .. } => Some(detail.as_str()),
            Step::Start(_) | Step::Posted { .. } | Step::Underway { .. } | Step::CreateOff { .. } => None,
        })
        .collect();
    if blocked.len() == steps.len() {
        return refuse("destination_not_ready", NOT_READY, blocked.join("; "));
    }
    Plan::Deliver(steps)
}

fn step(
    draft: &Draft,
    config: &Config,
    destination: &Destination,
    readiness: Option<&DestinationReadiness>,
    mode: Mode,
    deliveries: &[Delivery],
) -> Step {
    let lenient = mode == Mode::Recovery && !config.safety_defaults.block_unready_destinations;
    let ready = readiness.is_some_and(|row| row.publish_ready);
    if !ready && !lenient {
        let missing = readiness.map(|row| row.missing.join(", ")).filter(|m| !m.is_empty());
        return Step::Blocked {
            destination: destination.clone(),
            code: readiness
                .and_then(|row| row.missing_codes.first())
                .map_or_else(|| BlockCode::NotReady.word(), |gap| gap.word())
                .to_owned(),
            detail: format!(
                "Destination `{}` is not ready: {}",
                destination.destination_id,
                missing.as_deref().unwrap_or("readiness is false")
            ),
        };
    }
    let (operation, action) = operation(destination.kind);
    let target_ref = target::target_ref(config, destination);
    let evidence_digest = digest::draft_evidence(draft);
    let automatic = match mode {
        Mode::Auto | Mode::Recurrence | Mode::Recovery => true,
        Mode::Manual | Mode::Recheck => false,
    };
    let told = destination.kind.is_tracker() && automatic;
    if let Some(issue) = told.then(|| to_be_told(draft, config, destination, &target_ref, deliveries)).flatten() {
        return recurrence(draft, destination, target_ref, &evidence_digest, issue, deliveries);
    }
    if mode == Mode::Recurrence {
        return Step::CreateOff { destination: destination.clone() };
    }
    let key = digest::idempotency_key(
        &destination.destination_id,
        destination.kind,
        &target_ref,
        &draft.fingerprint,
        operation,
        &evidence_digest,
    );
    let same = || deliveries.iter().filter(|d| d.idempotency_key == key);
    if let Some(posted) = same().find(|d| d.state == DeliveryState::Posted) {
        return Step::Posted { destination: destination.clone(), delivery_id: posted.delivery_id.clone() };
    }
    if let Some(open) = same().find(|d| d.state.is_open()) {
        return Step::Underway { destination: destination.clone(), delivery_id: open.delivery_id.clone() };
    }
    // An operator who asks for an issue gets one; the switch is about those that nobody asked for.
    if destination.kind.is_tracker() && automatic && !config.auto_create_new_issues {
        return Step::CreateOff { destination: destination.clone() };
    }
    let left = same().find(|d| d.state == DeliveryState::Unknown && destination.kind.is_tracker());
    Step::Start(Box::new(Start {
        operation,
        action,
        recurrence: None,
        issue: None,
        doubt: left.and_then(Doubt::of),
        target_ref,
        idempotency_key: key,
        evidence_digest,
        destination_digest: target::config_digest(destination),
        max_attempts: schedule::clamp_attempts(target::configured_attempts(destination)),
        needs_triage: destination.kind.needs_triage(),
        destination: destination.clone(),
    }))
}

/// The issue of a published draft whose failure was seen again since its tracker was told last.
fn to_be_told(
    draft: &Draft,
    config: &Config,
    destination: &Destination,
    target_ref: &str,
    deliveries: &[Delivery],
) -> Option<IssueRef> {
    let wanted = match config.recurrence.policy {
        RecurrencePolicy::Comment | RecurrencePolicy::Reopen => draft.recurrences > draft.recurrences_told,
        RecurrencePolicy::NewDraft | RecurrencePolicy::None => false,
    };
    let published = |d: &&Delivery| {
        d.destination_id == destination.destination_id && d.target_ref == target_ref && d.state == DeliveryState::Posted
    };
    wanted.then(|| deliveries.iter().filter(published).find_map(|d| d.issue.clone())).flatten()
}

/// Tells a tracker of a recurrence, once for all that happened since it was told last.
fn recurrence(
    draft: &Draft,
    destination: &Destination,
    target_ref: String,
    evidence_digest: &str,
    issue: IssueRef,
    deliveries: &[Delivery],
) -> Step {
    let open =
        |d: &&Delivery| d.destination_id == destination.destination_id && d.recurrence.is_some() && d.state.is_open();
    if let Some(open) = deliveries.iter().find(open) {
        return Step::Underway { destination: destination.clone(), delivery_id: open.delivery_id.clone() };
    }
    let evidence_digest = digest::h([evidence_digest, "recurrence", &draft.recurrences.to_string()]);
    let operation = decide::COMMENT;
    let key = digest::idempotency_key(
        &destination.destination_id,
        destination.kind,
        &target_ref,
        &draft.fingerprint,
        operation,
        &evidence_digest,
    );
    let same = |d: &&Delivery| d.idempotency_key == key;
    if let Some(told) = deliveries.iter().filter(same).find(|d| d.state == DeliveryState::Posted) {
        return Step::Posted { destination: destination.clone(), delivery_id: told.delivery_id.clone() };
    }
    let left = deliveries.iter().filter(same).find(|d| d.state == DeliveryState::Unknown);
    Step::Start(Box::new(Start {
        operation,
        action: Action::CommentIssue,
        recurrence: Some(draft.recurrences),
        issue: Some(issue),
        doubt: left.and_then(Doubt::of),
        target_ref,
        idempotency_key: key,
        evidence_digest,
        destination_digest: target::config_digest(destination),
        max_attempts: schedule::clamp_attempts(target::configured_attempts(destination)),
        // What there is to say was found out when the issue was written.
        needs_triage: false,
        destination: destination.clone(),
    }))
}

/// The operation of a fresh publish to a kind of destination, and the action word of its success.
pub fn operation(kind: DestinationKind) -> (&'static str, Action) {
    match kind {
        DestinationKind::GithubIssue => ("create_issue", Action::CreateIssue),
        DestinationKind::LinearIssue => ("create_issue", Action::CreateIssue),
        DestinationKind::Webhook => ("post_webhook", Action::PostWebhook),
        DestinationKind::Telemetry => ("record_telemetry", Action::RecordTelemetry),
        DestinationKind::InternalMemory => ("store_memory_summary", Action::StoreMemorySummary),
        DestinationKind::McpTool => ("call_mcp_tool", Action::CallMcpTool),
    }
}
