//! Answers that are put together from several records. Every key is always present.

use serde::{Deserialize, Serialize};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use tandem_core::{
    draft::Draft,
    incident::Incident,
    publish::{Action, Delivery, DeliveryState, ExternalAction},
    receipt::Post,
    triage::{Artifact, DuplicateSummary, IssueDraft, TriageRun, TriageSummary},
};
use utoipa::ToSchema;

/// What triage knows about a draft, as publish, approve, recheck and triage answers carry it.
///
/// A settled run is some twenty kilobytes. The large parts go into the answer as they are stored, byte by byte: they were
/// written by the same types that the document names here.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Evidence {
    #[schema(value_type = Option<TriageSummary>)]
    pub triage_summary: Option<Box<RawValue>>,
    #[schema(value_type = Option<IssueDraft>)]
    pub issue_draft: Option<Box<RawValue>>,
    /// `{reason, match_count, max_recurrence_count, linked_issue_numbers, best_match, matches}`; null without a run.
    #[schema(value_type = Option<Object>)]
    pub duplicate_summary: Option<Box<RawValue>>,
    #[schema(value_type = Option<Vec<Object>>)]
    pub duplicate_matches: Option<Box<RawValue>>,
    pub triage_summary_artifact: Option<Artifact>,
    pub issue_draft_artifact: Option<Artifact>,
    pub duplicate_matches_artifact: Option<Artifact>,
}

/// The parts of a stored run that [`Evidence`] shows.
#[derive(Deserialize)]
pub(crate) struct StoredEvidence {
    summary: Option<Box<RawValue>>,
    issue_draft: Option<Box<RawValue>>,
    duplicates: Option<Box<RawValue>>,
    summary_artifact: Option<Artifact>,
    issue_draft_artifact: Option<Artifact>,
    duplicate_matches_artifact: Option<Artifact>,
}

impl Evidence {
    pub fn of(run: Option<&TriageRun>) -> Self {
        let Some(run) = run else { return Self::default() };
        Self {
            triage_summary: run.summary.as_ref().and_then(|summary| to_raw_value(summary).ok()),
            issue_draft: run.issue_draft.as_ref().and_then(|issue| to_raw_value(issue).ok()),
            duplicate_matches: to_raw_value(&run.duplicates.matches).ok(),
            duplicate_summary: to_raw_value(&run.duplicates).ok(),
            triage_summary_artifact: run.summary_artifact.clone(),
            issue_draft_artifact: run.issue_draft_artifact.clone(),
            duplicate_matches_artifact: run.duplicate_matches_artifact.clone(),
        }
    }

    pub(crate) fn stored(run: Option<StoredEvidence>) -> Self {
        #[derive(Deserialize)]
        struct Matches {
            matches: Option<Box<RawValue>>,
        }
        let Some(run) = run else { return Self::default() };
        let matches = run.duplicates.as_ref().and_then(|all| serde_json::from_str::<Matches>(all.get()).ok());
        // A run that was stored without them found none.
        let none = DuplicateSummary::default();
        Self {
            triage_summary: run.summary,
            issue_draft: run.issue_draft,
            duplicate_matches: matches.and_then(|found| found.matches).or_else(|| to_raw_value(&none.matches).ok()),
            duplicate_summary: run.duplicates.or_else(|| to_raw_value(&none).ok()),
            triage_summary_artifact: run.summary_artifact,
            issue_draft_artifact: run.issue_draft_artifact,
            duplicate_matches_artifact: run.duplicate_matches_artifact,
        }
    }
}

/// How one destination fared.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeliveryResult {
    pub destination_id: String,
    pub destination_kind: tandem_core::destination::DestinationKind,
    pub action: Action,
    pub status: DeliveryState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<Post>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at_ms: Option<u64>,
}

/// The answer of publish (and, without `external_action`, of recheck).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Published {
    pub ok: bool,
    pub draft: Draft,
    pub action: Action,
    #[serde(flatten)]
    pub evidence: Evidence,
    pub post_id: Option<String>,
    pub issue_number: Option<u64>,
    pub issue_url: Option<String>,
    pub comment_id: Option<String>,
    pub comment_url: Option<String>,
    /// The receipt of the first result.
    pub post: Option<Post>,
    pub external_action: Option<ExternalAction>,
    /// One entry per effective destination.
    pub results: Vec<DeliveryResult>,
    /// Some destinations have taken the draft and others have not.
    pub partial: bool,
}

impl Published {
    pub fn new(
        draft: Draft,
        action: Action,
        evidence: Evidence,
        results: Vec<DeliveryResult>,
        external_action: Option<ExternalAction>,
    ) -> Self {
        let post = results.first().and_then(|first| first.post.clone());
        let taken = results.iter().filter(|result| result.status == DeliveryState::Posted).count();
        Self {
            ok: true,
            action,
            evidence,
            post_id: post.as_ref().map(|p| p.post_id.clone()),
            issue_number: post
                .as_ref()
                .and_then(|p| p.issue_number)
                .or(draft.issue_number)
                .or(draft.matched_issue_number),
            issue_url: post.as_ref().and_then(|p| p.issue_url.clone()).or_else(|| draft.github_issue_url.clone()),
            comment_id: post.as_ref().and_then(|p| p.comment_id.clone()),
            comment_url: post.as_ref().and_then(|p| p.comment_url.clone()),
            post,
            external_action,
            partial: taken > 0 && taken < results.len(),
            results,
            draft,
        }
    }
}

/// The answer of a report through either door.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reported {
    pub draft: Draft,
    pub incident: Incident,
    #[schema(value_type = Object)]
    pub duplicate_summary: Value,
    #[schema(value_type = Vec<Object>)]
    pub duplicate_matches: Vec<Value>,
}

/// A delivery as lists show it: without the body that it sends.
pub fn delivery_view(mut delivery: Delivery) -> Delivery {
    delivery.payload = None;
    delivery
}
