//! The incident: one failure, however often and through whichever door it was seen.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    fingerprint::Grouping,
    publish::{Action, Delivery, settle},
    record::{Collection, Column, Record},
    signal::{Classification, QualityGate, SafetyContext, SourceRouting},
    source::SourceKind,
    wire::wire_enum,
};

wire_enum! {
    /// Where an incident stands: the pipeline's own words, or the latest publish action.
    pub enum IncidentStatus {
        Queued = "queued",
        DraftCreated = "draft_created",
        DraftFailed = "draft_failed",
        TriageQueued = "triage_queued",
        DuplicateSuppressed = "duplicate_suppressed",
        QualityGateBlocked = "quality_gate_blocked",
        TriageTimedOut = "triage_timed_out",
        TriageFailed = "triage_failed",
        PostFailed = "github_post_failed",
        Denied = "denied",
        Resolved = "resolved",
        ApprovalRequired = "approval_required",
        Approved = "approved",
        CreateIssue = "create_issue",
        CommentIssue = "comment_issue",
        MatchedOpenNoComment = "matched_open_no_comment",
        DraftReady = "draft_ready",
        SkipDuplicate = "skip_duplicate",
        CreateIssueRetrySuppressed = "create_issue_retry_suppressed",
        PublishInProgress = "publish_in_progress",
        MatchedLinearIssue = "matched_linear_issue",
        PostWebhook = "post_webhook",
        WebhookRetrySuppressed = "webhook_retry_suppressed",
        RecordTelemetry = "record_telemetry",
        StoreMemorySummary = "store_memory_summary",
        CallMcpTool = "call_mcp_tool",
        McpToolRetrySuppressed = "mcp_tool_retry_suppressed",
    }
}

impl IncidentStatus {
    /// The status that an action of the latest publish attempt gives the incident.
    pub fn of_action(action: Action) -> Self {
        Self::from_word(action.word()).unwrap_or(Self::PublishInProgress)
    }

    /// Work is under way or waiting for someone.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Queued | Self::DraftCreated | Self::TriageQueued)
    }
}

/// One of the latest occurrences, kept as a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Occurrence {
    pub at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    pub request_id: String,
    /// The lines of a log that told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_ref: Option<String>,
}

/// The sample keeps the first occurrence and the latest ones, at most this many.
pub const OCCURRENCE_SAMPLE: usize = 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    pub incident_id: String,
    pub fingerprint: String,
    /// The report's `event`.
    pub event_type: String,
    pub status: IncidentStatus,
    pub repo: String,
    pub workspace_root: String,
    /// The report's title, or one that was made of its event, component or process.
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_source_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_kind: Option<SourceKind>,
    /// The first report's detail, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The reporter, as it names itself or as the source's binding does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Lines that show the failure, redacted; those of the first report that had any.
    pub excerpt: Vec<String>,
    /// How often the failure was seen, blocked reports included.
    pub occurrence_count: u64,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<u64>,
    /// When its latest draft was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drafted_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triage_run_id: Option<String>,
    /// What went wrong in handling it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The gate that its latest draft passed, or that blocked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_gate: Option<QualityGate>,
    /// What triage found among similar incidents: how many, and what follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub duplicate_summary: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub duplicate_matches: Option<Vec<Value>>,
    /// Where in a log it stands, for incidents of log sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub event_payload: Option<Value>,
    /// Why signals were grouped here.
    pub grouping: Grouping,
    /// A bounded sample of occurrences, newest last.
    #[serde(default)]
    pub occurrences: Vec<Occurrence>,
    /// How many values each redaction rule replaced.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub redactions: std::collections::BTreeMap<String, u32>,
    /// When its issue was closed upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at_ms: Option<u64>,
    /// How often the failure came back after that, and when it did last.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub regressions: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regressed_at_ms: Option<u64>,
    #[serde(flatten)]
    pub safety: SafetyContext,
    #[serde(flatten)]
    pub routing: SourceRouting,
    #[serde(flatten)]
    pub classification: Classification,
    /// Hex of the identity that signals are folded by. Internal; never on the wire.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(ignore)]
    pub identity: String,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

pub static INCIDENTS: Collection =
    Collection { name: "incidents", columns: &["identity", "status", "project_id", "updated_at_ms", "fingerprint"] };

/// The incident's stored JSON as clients read it: without the identity, which is its last key.
pub fn shown_body(stored: &str) -> std::borrow::Cow<'_, str> {
    // Inside a text the quotes would be escaped, so this can only be the key itself.
    match stored.rfind(",\"identity\":\"") {
        Some(at) => std::borrow::Cow::Owned(format!("{}}}", &stored[..at])),
        None => std::borrow::Cow::Borrowed(stored),
    }
}

impl Record for Incident {
    const COLLECTION: &'static Collection = &INCIDENTS;
    fn id(&self) -> &str {
        &self.incident_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::Bytes(hex::decode(&self.identity).unwrap_or_default()),
            Column::text(self.status.word()),
            Column::opt(self.project_id.as_deref()),
            Column::ms(self.updated_at_ms),
            Column::text(&self.fingerprint),
        ]
    }
}

/// Left behind by a deleted incident that had a draft, so that a recurrence finds the draft again and a denial holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Hex of the identity.
    pub identity: String,
    pub draft_id: String,
    pub deleted_at_ms: u64,
}

pub static TOMBSTONES: Collection = Collection { name: "incident_tombstones", columns: &[] };

impl Record for Tombstone {
    const COLLECTION: &'static Collection = &TOMBSTONES;
    fn id(&self) -> &str {
        &self.identity
    }
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }
}

/// A change of an incident that does not depend on how often the failure was seen. The store applies it by [`amend`]
/// inside the write transaction, so that it cannot lose against the signals that keep counting on the same row.
#[derive(Clone, Debug)]
pub enum Amendment {
    TriageQueued {
        run_id: String,
    },
    TriageSettled {
        duplicate_summary: Value,
        duplicate_matches: Vec<Value>,
    },
    TriageFailed {
        timed_out: bool,
        why: String,
    },
    /// A publish was asked for, and a person must approve first.
    ApprovalDemanded,
    Judged {
        approved: bool,
    },
    Delivered(Box<Delivery>),
    /// Its issue was closed upstream, or opened again there.
    Upstream {
        closed: bool,
        at_ms: u64,
    },
    /// Its draft was deleted: the next signal opens a new one.
    DraftForgotten {
        draft_id: String,
    },
}

/// Applies an amendment.
pub fn amend(incident: &mut Incident, amendment: &Amendment, now_ms: u64) {
    match amendment {
        Amendment::TriageQueued { run_id } => {
            incident.triage_run_id = Some(run_id.clone());
            incident.status = IncidentStatus::TriageQueued;
        }
        Amendment::TriageSettled { duplicate_summary, duplicate_matches } => {
            if incident.status.is_pending() || incident.status == IncidentStatus::TriageTimedOut {
                incident.status = IncidentStatus::DraftCreated;
            }
            incident.duplicate_summary = Some(duplicate_summary.clone());
            incident.duplicate_matches = Some(duplicate_matches.clone());
        }
        Amendment::TriageFailed { timed_out, why } => {
            if incident.status != IncidentStatus::TriageQueued {
                return;
            }
            incident.status = if *timed_out { IncidentStatus::TriageTimedOut } else { IncidentStatus::TriageFailed };
            incident.last_error = Some(why.clone());
        }
        Amendment::ApprovalDemanded => incident.status = IncidentStatus::ApprovalRequired,
        Amendment::Judged { approved } => {
            incident.status = if *approved { IncidentStatus::Approved } else { IncidentStatus::Denied };
        }
        Amendment::Delivered(delivery) => settle::incident(incident, delivery, now_ms),
        Amendment::Upstream { closed: true, at_ms } => {
            incident.resolved_at_ms = Some(*at_ms);
            match incident.last_seen_at_ms {
                // It came back before we heard that it was closed. Trackers tell times to the second.
                Some(seen) if seen >= at_ms.saturating_add(1_000) => {
                    incident.regressions += 1;
                    incident.regressed_at_ms = Some(seen);
                }
                Some(_) | None => incident.status = IncidentStatus::Resolved,
            }
        }
        Amendment::Upstream { closed: false, .. } => {
            if incident.status == IncidentStatus::Resolved {
                incident.status = IncidentStatus::Queued;
                incident.resolved_at_ms = None;
            }
        }
        Amendment::DraftForgotten { draft_id } => {
            if incident.draft_id.as_deref() == Some(draft_id.as_str()) {
                incident.draft_id = None;
            }
        }
    }
    incident.updated_at_ms = incident.updated_at_ms.max(now_ms);
}
