//! Drafts: list, read, delete, decide, triage, publish, recheck.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_app::{
    triage::Triaged,
    wire::{Evidence, Published},
};
use tandem_core::{
    draft::Draft,
    publish::{Action, ExternalAction, Mode},
    receipt::Post,
    signal::submission::null_default,
    text::non_blank,
    triage::{Artifact, IssueDraft, MemoryOutcome, RunView, SummaryInput, TriageSummary},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::Answer,
    document::ErrorBody,
    lists::{BulkRequest, Deleted, Filters, cursor},
    state::AppState,
};
use crate::extract::{Body, Decider, Operator, OptionalBody, Page, Path, Query};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(bulk_delete))
        .routes(routes!(get, delete))
        .routes(routes!(approve))
        .routes(routes!(deny))
        .routes(routes!(triage_run))
        .routes(routes!(triage_summary))
        .routes(routes!(issue_draft))
        .routes(routes!(publish))
        .routes(routes!(recheck))
}

#[derive(Serialize, ToSchema)]
pub struct DraftList {
    pub drafts: Vec<Draft>,
    /// Rows in this answer.
    pub count: usize,
    pub next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct DraftAnswer {
    pub draft: Draft,
}

#[derive(Serialize, ToSchema)]
pub struct DenyAnswer {
    pub ok: bool,
    pub draft: Draft,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct DecisionRequest {
    /// Kept with the draft and in the audit log, redacted.
    pub reason: Option<String>,
}

/// The approval stands whatever became of the publish: then `publish_error` says what, and `action` is `approved`.
#[derive(Serialize, ToSchema)]
pub struct ApproveAnswer {
    pub ok: bool,
    pub draft: Draft,
    pub action: Action,
    pub failure_pattern_memory: Option<MemoryOutcome>,
    #[serde(flatten)]
    pub evidence: Evidence,
    pub post: Option<Post>,
    pub external_action: Option<ExternalAction>,
    #[schema(value_type = Vec<Object>)]
    pub results: Value,
    pub partial: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_error: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct TriageRunAnswer {
    pub ok: bool,
    pub draft: Draft,
    pub run: RunView,
    /// A run in progress was used.
    pub deduped: bool,
    #[serde(flatten)]
    pub evidence: Evidence,
}

#[derive(Serialize, ToSchema)]
pub struct TriageSummaryAnswer {
    pub ok: bool,
    pub draft: Draft,
    pub triage_summary: Option<TriageSummary>,
    pub triage_summary_artifact: Option<Artifact>,
    pub failure_pattern_memory: Option<MemoryOutcome>,
    pub regression_signal_memory: Option<MemoryOutcome>,
    pub issue_draft: Option<IssueDraft>,
    pub issue_draft_artifact: Option<Artifact>,
    pub duplicate_matches_artifact: Option<Artifact>,
}

#[derive(Serialize, ToSchema)]
pub struct IssueDraftAnswer {
    pub ok: bool,
    pub draft: Draft,
    #[serde(flatten)]
    pub evidence: Evidence,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct PublishRequest {
    #[serde(alias = "destinationId", alias = "destinationID")]
    pub destination_id: Option<String>,
    /// Replaces the routed destinations, never a policy. Each must be configured and allowed for the source.
    #[serde(alias = "destinationIds", alias = "destinationIDs", deserialize_with = "null_default")]
    pub destination_ids: Vec<String>,
}

impl PublishRequest {
    /// The named destinations as they are listed; `destination_id` comes first where the list does not hold it.
    fn requested(self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for id in self.destination_ids {
            let id = id.trim();
            if !id.is_empty() && !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
        if let Some(id) = non_blank(self.destination_id.as_deref()).filter(|id| !ids.iter().any(|known| known == id)) {
            ids.insert(0, id.to_owned());
        }
        ids
    }
}

/// List drafts
///
/// Newest `created_at_ms` first.
#[utoipa::path(
    get, path = "/incident-monitor/drafts", tag = "drafts", params(Filters), responses((status = 200, body = DraftList))
)]
pub async fn list(
    operator: Operator,
    State(state): State<AppState>,
    page: Page,
    Query(filters): Query<Filters>,
) -> Answer<DraftList> {
    let request = filters.request(page, &["status", "project_id"]);
    let found = state.app.drafts(&operator.ctx, &request).await?;
    Ok(Json(DraftList { count: found.items.len(), drafts: found.items, next_cursor: cursor(found.next) }))
}

/// Read a draft
#[utoipa::path(
    get, path = "/incident-monitor/drafts/{id}", tag = "drafts",
    params(("id" = String, Path, description = "`draft_id`")),
    responses(
        (status = 200, body = DraftAnswer),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_FOUND`"),
    )
)]
pub async fn get(operator: Operator, State(state): State<AppState>, Path(id): Path<String>) -> Answer<DraftAnswer> {
    Ok(Json(DraftAnswer { draft: state.app.draft(&operator.ctx, &id).await?.value }))
}

/// Delete a draft
///
/// The next occurrence of the failure opens a new one.
#[utoipa::path(
    delete, path = "/incident-monitor/drafts/{id}", tag = "drafts",
    params(("id" = String, Path, description = "`draft_id`")),
    responses(
        (status = 200, body = Deleted),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn delete(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<Deleted> {
    state.app.draft_delete(&operator.ctx, &id).await?;
    Ok(Json(Deleted::count(1)))
}

/// Delete many drafts
#[utoipa::path(
    post, path = "/incident-monitor/drafts/bulk-delete", tag = "drafts",
    request_body = BulkRequest,
    responses(
        (status = 200, body = Deleted),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn bulk_delete(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Body(request): Body<BulkRequest>,
) -> Answer<Deleted> {
    Ok(Json(Deleted::count(state.app.drafts_delete(&operator.ctx, &request.read()?).await?)))
}

/// Approve a draft and ask for publishing
///
/// Waits for first attempts, at most ten seconds. A failed publish does not undo the approval.
#[utoipa::path(
    post, path = "/incident-monitor/drafts/{id}/approve", tag = "drafts",
    params(("id" = String, Path, description = "`draft_id`")),
    request_body = DecisionRequest,
    responses(
        (status = 200, body = ApproveAnswer),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`: agents may not decide."),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_PENDING_APPROVAL`"),
    )
)]
pub async fn approve(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(request): Body<DecisionRequest>,
) -> Answer<ApproveAnswer> {
    let approved = state.app.approve(&operator.ctx, &id, request.reason.as_deref()).await?;
    let run = state.app.run_of(&operator.ctx.tenant.key(), &approved.draft).await?;
    let evidence = Evidence::of(run.as_ref().map(|found| &found.value));
    Ok(Json(match approved.published {
        Ok(published) => ApproveAnswer {
            ok: true,
            draft: approved.draft,
            action: published.action,
            failure_pattern_memory: None,
            evidence,
            post: published.post,
            external_action: published.external_action,
            results: json!(published.results),
            partial: published.partial,
            publish_error: None,
        },
        Err(failure) => {
            let detail = failure.extra.get("detail").and_then(Value::as_str).unwrap_or(&failure.message).to_owned();
            ApproveAnswer {
                ok: true,
                draft: approved.draft,
                action: Action::Approved,
                failure_pattern_memory: None,
                evidence,
                post: None,
                external_action: None,
                results: failure.extra.get("results").cloned().unwrap_or_else(|| json!([])),
                partial: false,
                publish_error: Some(detail),
            }
        }
    }))
}

/// Deny a draft, for good
#[utoipa::path(
    post, path = "/incident-monitor/drafts/{id}/deny", tag = "drafts",
    params(("id" = String, Path, description = "`draft_id`")),
    request_body = DecisionRequest,
    responses(
        (status = 200, body = DenyAnswer),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`: agents may not decide."),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_PENDING_APPROVAL`"),
    )
)]
pub async fn deny(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(request): Body<DecisionRequest>,
) -> Answer<DenyAnswer> {
    let draft = state.app.deny(&operator.ctx, &id, request.reason.as_deref()).await?;
    Ok(Json(DenyAnswer { ok: true, draft }))
}

/// Start triage of a draft
///
/// Takes no body. Triage runs in the background; a run in progress is used again.
#[utoipa::path(
    post, path = "/incident-monitor/drafts/{id}/triage-run", tag = "triage",
    params(("id" = String, Path, description = "`draft_id`")),
    responses(
        (status = 200, body = TriageRunAnswer),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`INCIDENT_MONITOR_TRIAGE_RUN_CREATE_FAILED`: denied, or approval comes first."),
    )
)]
pub async fn triage_run(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<TriageRunAnswer> {
    let triaged = state.app.triage_run(&operator.ctx, &id, false).await?;
    Ok(Json(TriageRunAnswer {
        ok: true,
        evidence: triaged.evidence(),
        run: triaged.run.view(),
        deduped: triaged.deduped,
        draft: triaged.draft,
    }))
}

/// Store a triage summary
///
/// A summary without substance (`{}`) is written from what the phases find.
#[utoipa::path(
    post, path = "/incident-monitor/drafts/{id}/triage-summary", tag = "triage",
    params(("id" = String, Path, description = "`draft_id`")),
    request_body = SummaryInput,
    responses(
        (status = 200, body = TriageSummaryAnswer),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_TRIAGE_SUMMARY_ISSUE_DRAFT_FAILED`: stored, but the proposal gate blocks an issue draft; or `INCIDENT_MONITOR_TRIAGE_SYNTHESIS_FAILED`."),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`INCIDENT_MONITOR_TRIAGE_SUMMARY_REQUIRES_RUN`"),
    )
)]
pub async fn triage_summary(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(input): OptionalBody<SummaryInput>,
) -> Answer<TriageSummaryAnswer> {
    let Triaged { draft, run, failure_pattern_memory, regression_signal_memory, .. } =
        state.app.triage_summary(&operator.ctx, &id, input).await?;
    Ok(Json(TriageSummaryAnswer {
        ok: true,
        draft,
        triage_summary: run.summary,
        triage_summary_artifact: run.summary_artifact,
        failure_pattern_memory,
        regression_signal_memory,
        issue_draft: run.issue_draft,
        issue_draft_artifact: run.issue_draft_artifact,
        duplicate_matches_artifact: run.duplicate_matches_artifact,
    }))
}

/// Render the issue draft
///
/// The body is ignored.
#[utoipa::path(
    post, path = "/incident-monitor/drafts/{id}/issue-draft", tag = "triage",
    params(("id" = String, Path, description = "`draft_id`")),
    responses(
        (status = 200, body = IssueDraftAnswer),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_ISSUE_DRAFT_FAILED` with `proposal_quality_gate`"),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_FOUND`"),
    )
)]
pub async fn issue_draft(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<IssueDraftAnswer> {
    let triaged = state.app.issue_draft(&operator.ctx, &id).await?;
    Ok(Json(IssueDraftAnswer { ok: true, evidence: triaged.evidence(), draft: triaged.draft }))
}

/// Publish a draft
///
/// To the routed destinations, or to named ones. Waits for first attempts, at most ten seconds, then answers with what
/// is known; the rest goes on. A draft that must be approved first answers 200 with `action: approval_required`.
#[utoipa::path(
    post, path = "/incident-monitor/drafts/{id}/publish", tag = "drafts",
    params(("id" = String, Path, description = "`draft_id`")),
    request_body = PublishRequest,
    responses(
        (status = 200, body = Published),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED` with `detail` and `error_code`"),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn publish(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<PublishRequest>,
) -> Answer<Published> {
    Ok(Json(state.app.publish(&operator.ctx, &id, &request.requested(), Mode::Manual).await?))
}

/// Look for what a draft was published as
///
/// The body is ignored. Nothing is posted.
#[utoipa::path(
    post, path = "/incident-monitor/drafts/{id}/recheck-match", tag = "drafts",
    params(("id" = String, Path, description = "`draft_id`")),
    responses(
        (status = 200, body = RecheckAnswer),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_RECHECK_FAILED`"),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_FOUND`"),
    )
)]
pub async fn recheck(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<RecheckAnswer> {
    let found = state.app.recheck(&operator.ctx, &id).await?;
    Ok(Json(RecheckAnswer {
        ok: true,
        draft: found.draft,
        action: found.action,
        evidence: found.evidence,
        post_id: found.post_id,
        issue_number: found.issue_number,
        issue_url: found.issue_url,
        comment_id: found.comment_id,
        comment_url: found.comment_url,
        post: found.post,
    }))
}

#[derive(Serialize, ToSchema)]
pub struct RecheckAnswer {
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
    pub post: Option<Post>,
}
