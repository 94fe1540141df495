//! The draft: what would be published, and the only place that changes its state.
//!
//! [`transition`] is total over state and event. Denied is final: no event leaves it. Approval is the timestamp alone,
//! never a status.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    destination::DestinationKind,
    publish::Action,
    record::{Collection, Column, Record},
    signal::{Classification, QualityGate, SafetyContext, SourceRouting},
    source::SourceKind,
    tracker::IssueRef,
    wire::wire_enum,
};

wire_enum! {
    pub enum DraftStatus {
        Ready = "draft_ready",
        ApprovalRequired = "approval_required",
        TriageQueued = "triage_queued",
        Denied = "denied",
        GithubIssueCreated = "github_issue_created",
        GithubCommentPosted = "github_comment_posted",
        LinearIssueCreated = "linear_issue_created",
        LinearIssueMatched = "linear_issue_matched",
        WebhookPosted = "webhook_posted",
        TelemetryRecorded = "telemetry_recorded",
        MemorySummaryStored = "memory_summary_stored",
        McpToolCalled = "mcp_tool_called",
        GithubPostFailed = "github_post_failed",
        LinearPostFailed = "linear_post_failed",
        WebhookPostFailed = "webhook_post_failed",
        TelemetryFailed = "telemetry_failed",
        MemorySummaryFailed = "memory_summary_failed",
        McpToolFailed = "mcp_tool_failed",
        McpToolAuthRequired = "mcp_tool_auth_required",
    }
}

/// The stages of a draft's life that decisions distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Open,
    Published,
    Failed,
    Denied,
}

impl DraftStatus {
    pub fn stage(self) -> Stage {
        match self {
            Self::Ready | Self::ApprovalRequired | Self::TriageQueued => Stage::Open,
            Self::Denied => Stage::Denied,
            Self::GithubIssueCreated
            | Self::GithubCommentPosted
            | Self::LinearIssueCreated
            | Self::LinearIssueMatched
            | Self::WebhookPosted
            | Self::TelemetryRecorded
            | Self::MemorySummaryStored
            | Self::McpToolCalled => Stage::Published,
            Self::GithubPostFailed
            | Self::LinearPostFailed
            | Self::WebhookPostFailed
            | Self::TelemetryFailed
            | Self::MemorySummaryFailed
            | Self::McpToolFailed
            | Self::McpToolAuthRequired => Stage::Failed,
        }
    }

    /// The status that a successful action gives; `None` for actions that publish nothing.
    pub fn of_success(kind: DestinationKind, action: Action) -> Option<Self> {
        let linear = kind == DestinationKind::LinearIssue;
        match action {
            Action::CreateIssue if linear => Some(Self::LinearIssueCreated),
            Action::CreateIssue => Some(Self::GithubIssueCreated),
            Action::CommentIssue if linear => Some(Self::LinearIssueMatched),
            Action::CommentIssue => Some(Self::GithubCommentPosted),
            Action::MatchedLinearIssue => Some(Self::LinearIssueMatched),
            Action::PostWebhook => Some(Self::WebhookPosted),
            Action::RecordTelemetry => Some(Self::TelemetryRecorded),
            Action::StoreMemorySummary => Some(Self::MemorySummaryStored),
            Action::CallMcpTool => Some(Self::McpToolCalled),
            Action::ApprovalRequired
            | Action::Approved
            | Action::DraftReady
            | Action::MatchedOpenNoComment
            | Action::SkipDuplicate
            | Action::CreateIssueRetrySuppressed
            | Action::PublishInProgress
            | Action::WebhookRetrySuppressed
            | Action::McpToolRetrySuppressed
            | Action::MatchedOpen
            | Action::MatchedClosed
            | Action::NoMatch
            | Action::LocalRecordFound
            | Action::McpToolRecordFound => None,
        }
    }

    pub fn of_failure(kind: DestinationKind) -> Self {
        match kind {
            DestinationKind::GithubIssue => Self::GithubPostFailed,
            DestinationKind::LinearIssue => Self::LinearPostFailed,
            DestinationKind::Webhook => Self::WebhookPostFailed,
            DestinationKind::Telemetry => Self::TelemetryFailed,
            DestinationKind::InternalMemory => Self::MemorySummaryFailed,
            DestinationKind::McpTool => Self::McpToolFailed,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Draft {
    pub draft_id: String,
    pub fingerprint: String,
    pub repo: String,
    /// Where the draft stands; `denied` is final.
    pub status: DraftStatus,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_source_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_kind: Option<SourceKind>,
    /// Set by approve alone; the only thing that satisfies an approval rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_granted_at_ms: Option<u64>,
    /// Id of its latest triage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triage_run_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_number: Option<u64>,
    /// What an issue would be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What would be published: known fields, detail, excerpt and evidence of the first report, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The latest publish action, or the word of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_status: Option<String>,
    /// The issue that the latest publish created or matched, at any tracker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_issue_url: Option<String>,
    /// The comment that the latest publish left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_comment_url: Option<String>,
    /// When something was published last, wherever it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_posted_at_ms: Option<u64>,
    /// The issue that was found to be about the same failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_issue_number: Option<u64>,
    /// `open` or `closed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_issue_state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_digest: Option<String>,
    /// The gate that the latest report passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_gate: Option<QualityGate>,
    /// Why the latest publish failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_post_error: Option<String>,
    /// When a failed publish is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_recovery_at_ms: Option<u64>,
    /// How often a failed publish was tried again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recovery_attempts: u64,
    /// Last recurrence after publication, and how many there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurred_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recurrences: u64,
    /// How many of them the trackers have been told of, and when.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recurrences_told: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence_told_at_ms: Option<u64>,
    /// Telling them is under way or due.
    #[serde(default, skip_serializing_if = "is_false")]
    pub recurrence_due: bool,
    /// The published draft that this one follows, because the failure came back after a quiet period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence_of: Option<String>,
    /// Reasons given with approve and deny, redacted. `detail` ends with them too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operator_notes: Vec<String>,
    #[serde(flatten)]
    pub safety: SafetyContext,
    #[serde(flatten)]
    pub routing: SourceRouting,
    #[serde(flatten)]
    pub classification: Classification,
}

fn is_false(on: &bool) -> bool {
    !*on
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

pub static DRAFTS: Collection =
    Collection { name: "drafts", columns: &["status", "project_id", "created_at_ms", "updated_at_ms", "incident_id"] };

impl Record for Draft {
    const COLLECTION: &'static Collection = &DRAFTS;
    fn id(&self) -> &str {
        &self.draft_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(self.status.word()),
            Column::opt(self.project_id.as_deref()),
            Column::ms(self.created_at_ms),
            Column::ms(self.updated_at_ms),
            Column::opt(self.incident_id.as_deref()),
        ]
    }
}

/// What can happen to a draft.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Approved {
        reason: Option<String>,
    },
    Denied {
        reason: Option<String>,
    },
    /// The publish gate found that a person must approve first.
    ApprovalDemanded,
    TriageQueued {
        run_id: String,
    },
    /// Triage ended or a summary was stored; carries the marker for `github_status`, and why an issue draft is blocked.
    TriageSettled {
        marker: &'static str,
        blocked: Option<String>,
    },
    /// Triage's deadline passed before it ended.
    TriageTimedOut,
    Published {
        kind: DestinationKind,
        action: Action,
        url: Option<String>,
        digest: String,
        /// The issue, where the destination is a tracker.
        issue: Option<Box<Tracked>>,
        /// The recurrence that was told of.
        recurrence: Option<u64>,
    },
    /// A recheck found the draft's issue at a tracker.
    Matched {
        number: Option<u64>,
        state: &'static str,
    },
    /// What was due because of recurrences has been started, or refused.
    RecurrenceHandled,
    PublishFailed {
        kind: DestinationKind,
        /// The destination wants an authorisation first.
        auth_required: bool,
        error: String,
    },
    /// The failure was seen again.
    Recurred,
}

/// What a tracker made of a draft.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    pub issue: IssueRef,
    /// The issue was there before.
    pub matched: bool,
    /// `open` or `closed`.
    pub state: Option<&'static str>,
    pub comment_url: Option<String>,
}

/// Why an event does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Approve and deny apply to drafts that wait for approval, once.
    NotPendingApproval,
    /// A denied draft stays denied.
    Denied,
}

impl Draft {
    /// The detail without what operators noted at its end.
    pub fn reported_detail(&self) -> Option<&str> {
        let detail = self.detail.as_deref()?;
        let without = self.operator_notes.iter().rev().fold(detail, |rest, note| {
            let shorter = rest.strip_suffix(note.as_str()).and_then(|rest| rest.strip_suffix("operator_note: "));
            shorter.map_or(rest, |rest| rest.strip_suffix("\n\n").unwrap_or(rest))
        });
        // Where there was nothing before the first note, there was no detail.
        (without.len() == detail.len() || !without.is_empty()).then_some(without)
    }
}

/// Keeps a decision's reason with the draft and at the end of its text, so that whoever receives the draft reads it.
fn note(draft: &mut Draft, reason: Option<String>) {
    let Some(reason) = reason else { return };
    let detail = draft.detail.get_or_insert_default();
    if !detail.is_empty() {
        detail.push_str("\n\n");
    }
    detail.push_str("operator_note: ");
    detail.push_str(&reason);
    draft.operator_notes.push(reason);
}

fn track(draft: &mut Draft, tracked: Tracked) {
    if tracked.matched {
        draft.matched_issue_number = tracked.issue.number;
        draft.matched_issue_state = tracked.state.map(str::to_owned);
    } else if tracked.issue.number.is_some() {
        draft.issue_number = tracked.issue.number;
    }
    if tracked.comment_url.is_some() {
        draft.github_comment_url = tracked.comment_url;
    }
}

/// Applies an event. The draft is unchanged when it is refused.
pub fn transition(draft: &mut Draft, event: Event, now_ms: u64) -> Result<(), Refusal> {
    use DraftStatus as S;
    let stage = draft.status.stage();
    match event {
        Event::Approved { reason } => {
            if draft.status != S::ApprovalRequired {
                return Err(Refusal::NotPendingApproval);
            }
            draft.status = S::Ready;
            draft.approval_granted_at_ms = Some(now_ms);
            draft.github_status = None;
            note(draft, reason);
        }
        Event::Denied { reason } => {
            if draft.status != S::ApprovalRequired {
                return Err(Refusal::NotPendingApproval);
            }
            draft.status = S::Denied;
            note(draft, reason);
        }
        Event::ApprovalDemanded => match stage {
            Stage::Denied => return Err(Refusal::Denied),
            Stage::Open | Stage::Published | Stage::Failed => {
                draft.status = S::ApprovalRequired;
                draft.github_status = Some(S::ApprovalRequired.word().into());
            }
        },
        Event::TriageQueued { run_id } => {
            match stage {
                Stage::Denied => return Err(Refusal::Denied),
                // A draft that waits for approval goes on waiting while it is triaged, and a published one stays so.
                Stage::Open if draft.status == S::ApprovalRequired => {}
                Stage::Open | Stage::Failed => draft.status = S::TriageQueued,
                Stage::Published => {}
            }
            draft.triage_run_id = Some(run_id);
        }
        Event::TriageSettled { marker, blocked } => match stage {
            Stage::Denied => return Err(Refusal::Denied),
            Stage::Open | Stage::Failed => {
                if matches!(draft.status, S::TriageQueued | S::GithubPostFailed) {
                    draft.status = S::Ready;
                }
                draft.github_status = Some(marker.into());
                draft.last_post_error = blocked;
            }
            Stage::Published => {}
        },
        Event::TriageTimedOut => match stage {
            Stage::Denied => return Err(Refusal::Denied),
            Stage::Open | Stage::Failed => {
                if draft.status == S::TriageQueued {
                    draft.status = S::Ready;
                }
                draft.github_status = Some("triage_timed_out".into());
            }
            Stage::Published => {}
        },
        Event::Published { kind, action, url, digest, issue, recurrence } => {
            if stage == Stage::Denied {
                return Err(Refusal::Denied);
            }
            if let Some(issue) = issue {
                track(draft, *issue);
            }
            if let Some(status) = S::of_success(kind, action) {
                draft.status = status;
                draft.github_status = Some(status.word().into());
                draft.github_posted_at_ms = Some(now_ms);
            }
            if url.is_some() {
                draft.github_issue_url = url;
            }
            match recurrence {
                // The digest stays that of what was published first.
                Some(n) => draft.recurrences_told = draft.recurrences_told.max(n),
                None => draft.evidence_digest = Some(digest),
            }
            draft.last_post_error = None;
        }
        Event::PublishFailed { kind, auth_required, error } => match stage {
            Stage::Denied => return Err(Refusal::Denied),
            // One destination's failure does not unpublish what another one has taken.
            Stage::Published => draft.last_post_error = Some(error),
            Stage::Open | Stage::Failed => {
                draft.status = match kind {
                    DestinationKind::McpTool if auth_required => S::McpToolAuthRequired,
                    kind => S::of_failure(kind),
                };
                draft.github_status = Some(draft.status.word().into());
                draft.last_post_error = Some(error);
            }
        },
        Event::Matched { number, state } => {
            if stage == Stage::Denied {
                return Err(Refusal::Denied);
            }
            draft.matched_issue_number = number.or(draft.matched_issue_number);
            draft.matched_issue_state = Some(state.to_owned());
        }
        Event::RecurrenceHandled => {
            draft.recurrence_due = false;
            draft.recurrence_told_at_ms = Some(now_ms);
        }
        Event::Recurred => match stage {
            Stage::Published => {
                draft.recurred_at_ms = Some(now_ms);
                draft.recurrences += 1;
            }
            // Open and failed drafts are counted on the incident; a denial is final.
            Stage::Open | Stage::Failed | Stage::Denied => return Ok(()),
        },
    }
    draft.updated_at_ms = draft.updated_at_ms.max(now_ms);
    Ok(())
}
