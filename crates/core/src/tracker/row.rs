//! The rows that remember what trackers hold of ours: one for each issue, and how far each tracker was asked.

use serde::{Deserialize, Serialize};

use super::{IssueRef, IssueState};
use crate::{
    destination::DestinationKind,
    publish::{Delivery, digest::h},
    record::{Collection, Column, Record},
};

/// An issue that a delivery created or was matched with. Found again by what the tracker calls it, so that a change there
/// finds its incident here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackedIssue {
    /// Of the issue and the draft: several drafts may have one issue.
    pub tracked_id: String,
    /// [`TrackedIssue::key`].
    pub issue_key: String,
    pub destination_id: String,
    pub destination_kind: DestinationKind,
    pub target_ref: String,
    pub issue: IssueRef,
    pub state: IssueState,
    pub draft_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<String>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

impl TrackedIssue {
    /// The issue as its destination knows it.
    pub fn key(destination_id: &str, target_ref: &str, issue_id: &str) -> String {
        h(["tandem_tracked_issue_v1", destination_id, target_ref, issue_id])
    }

    /// What a delivery that has its issue leaves behind.
    pub fn of(delivery: &Delivery, issue: &IssueRef, state: IssueState, now_ms: u64) -> Self {
        let issue_key = Self::key(&delivery.destination_id, &delivery.target_ref, &issue.id);
        Self {
            tracked_id: h(["tandem_tracked_draft_v1", &issue_key, &delivery.draft_id]),
            issue_key,
            destination_id: delivery.destination_id.clone(),
            destination_kind: delivery.destination_kind,
            target_ref: delivery.target_ref.clone(),
            issue: issue.clone(),
            state,
            draft_id: delivery.draft_id.clone(),
            incident_id: delivery.incident_id.clone(),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }
}

pub static TRACKED_ISSUES: Collection = Collection { name: "tracked_issues", columns: &["issue_key", "updated_at_ms"] };

impl Record for TrackedIssue {
    const COLLECTION: &'static Collection = &TRACKED_ISSUES;
    fn id(&self) -> &str {
        &self.tracked_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.issue_key), Column::ms(self.updated_at_ms)]
    }
}

/// How far a destination's tracker was asked for changes. One row a destination and target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrackerCursor {
    /// [`TrackerCursor::key`].
    pub cursor_id: String,
    pub destination_id: String,
    pub target_ref: String,
    /// Changes up to this time of the tracker's are known.
    pub since_ms: u64,
    /// The validator of the last answer, and the request that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Where a list that begins with the newest was left, and the newest change that it has shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    #[serde(default)]
    pub newest_ms: u64,
    #[serde(default)]
    pub last_asked_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl TrackerCursor {
    /// Of a destination and what it aims at.
    pub fn key(destination_id: &str, target_ref: &str) -> String {
        h(["tandem_tracker_cursor_v1", destination_id, target_ref])
    }
}

pub static TRACKER_CURSORS: Collection = Collection { name: "tracker_cursors", columns: &[] };

impl Record for TrackerCursor {
    const COLLECTION: &'static Collection = &TRACKER_CURSORS;
    fn id(&self) -> &str {
        &self.cursor_id
    }
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }
}
