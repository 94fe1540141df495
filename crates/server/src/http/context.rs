//! Runs and what they left behind: assessments, triage runs and runs of automations under one address.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tandem_app::assess::{
    Blackboard, ContextRunView, GovernanceEvidence, LedgerRequest, MemoryAuditRow, RunLedgerAnswer,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError, assessed},
    document::ErrorBody,
    security::without_intake_key,
    state::AppState,
};
use crate::extract::{Operator, Page, Path, Query};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(run))
        .routes(routes!(blackboard))
        .routes(routes!(artifact))
        .routes(routes!(evidence))
        .routes(routes!(ledger))
        .routes(routes!(memory_audit))
}

#[derive(Serialize, ToSchema)]
pub struct ContextRunAnswer {
    pub run: ContextRunView,
}

#[derive(Serialize, ToSchema)]
pub struct BlackboardAnswer {
    pub blackboard: Blackboard,
}

/// Read a run
///
/// An assessment, a triage run, or the run of an automation, by its own id or that of its context.
#[utoipa::path(
    get, path = "/context/runs/{run_id}", tag = "evidence",
    params(("run_id" = String, Path, description = "The run's id, or `automation-v2-` and the id of an automation's run.")),
    responses(
        (status = 200, body = ContextRunAnswer),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`CONTEXT_RUN_NOT_FOUND`"),
    )
)]
pub async fn run(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<ContextRunAnswer> {
    without_intake_key(&operator)?;
    Ok(Json(ContextRunAnswer { run: state.app.context_run(&operator.ctx, &id).await? }))
}

/// Read a run's blackboard
///
/// Its artifacts with their digests; where a signed statement about one was made, it is here.
#[utoipa::path(
    get, path = "/context/runs/{run_id}/blackboard", tag = "evidence",
    params(("run_id" = String, Path, description = "As for the run.")),
    responses(
        (status = 200, body = BlackboardAnswer),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`CONTEXT_RUN_NOT_FOUND`"),
    )
)]
pub async fn blackboard(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<BlackboardAnswer> {
    without_intake_key(&operator)?;
    Ok(Json(BlackboardAnswer { blackboard: state.app.blackboard(&operator.ctx, &id).await? }))
}

/// Read an artifact
///
/// The exact bytes: `sha256sum` over them gives the recorded digest, which is also the ETag.
#[utoipa::path(
    get, path = "/context/runs/{run_id}/artifacts/{artifact_id}", tag = "evidence",
    params(
        ("run_id" = String, Path, description = "As for the run."),
        ("artifact_id" = String, Path, description = "As on the blackboard."),
    ),
    responses(
        (status = 200, body = Object, content_type = "application/json"),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`CONTEXT_RUN_NOT_FOUND`, or `EVIDENCE_ARTIFACT_NOT_FOUND`"),
    )
)]
pub async fn artifact(
    operator: Operator,
    State(state): State<AppState>,
    Path((run_id, artifact_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    let found = state.app.context_artifact(&operator.ctx, &run_id, &artifact_id).await?;
    let mut response = found.body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"sha256:{}\"", found.content_sha256)) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Read the evidence package of a run
///
/// Who asked, what was decided and approved, what was done, which rows of the audit log say so, and what is missing.
/// Payloads are reduced to digest and shape.
#[utoipa::path(
    get, path = "/context/runs/{run_id}/governance-evidence", tag = "evidence",
    params(("run_id" = String, Path, description = "As for the run.")),
    responses(
        (status = 200, body = GovernanceEvidence),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`CONTEXT_RUN_NOT_FOUND`"),
    )
)]
pub async fn evidence(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    assessed(&state, &operator, async move |app, turn, ctx| app.governance_evidence(turn, ctx, &id).await).await
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LedgerQuery {
    /// Only effects after this sequence number.
    pub since_seq: Option<u64>,
    /// Only the newest so many.
    pub tail: Option<usize>,
}

/// Read what a run did
///
/// Its effects by the sequence of the audit log, each linked to the decision behind it.
#[utoipa::path(
    get, path = "/context/runs/{run_id}/ledger", tag = "evidence",
    params(("run_id" = String, Path, description = "As for the run."), LedgerQuery),
    responses(
        (status = 200, body = RunLedgerAnswer),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`CONTEXT_RUN_NOT_FOUND`"),
    )
)]
pub async fn ledger(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(query): Query<LedgerQuery>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    let request = LedgerRequest { since_seq: query.since_seq, tail: query.tail };
    assessed(&state, &operator, async move |app, turn, ctx| app.run_ledger(turn, ctx, &id, request).await).await
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MemoryQuery {
    /// Only rows of this run.
    #[serde(alias = "runID", alias = "runId")]
    pub run_id: Option<String>,
    /// Rows wanted, 100 by default; values outside 1…500 are brought inside.
    #[allow(dead_code, reason = "read by Page")]
    pub limit: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct MemoryAuditAnswer {
    /// Newest first.
    pub entries: Vec<MemoryAuditRow>,
    /// The same rows under their former name.
    pub events: Vec<MemoryAuditRow>,
    /// Rows in this answer.
    pub count: usize,
}

/// Read the audit of the internal memory
#[utoipa::path(
    get, path = "/memory/audit", tag = "evidence", params(MemoryQuery),
    responses(
        (status = 200, body = MemoryAuditAnswer),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`"),
    )
)]
pub async fn memory_audit(
    operator: Operator,
    State(state): State<AppState>,
    page: Page,
    Query(query): Query<MemoryQuery>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    let limit = page.limit_in(100, 500);
    let work = assessed(&state, &operator, async move |app, turn, ctx| {
        let run_id = tandem_core::text::non_blank(query.run_id.as_deref());
        let entries = app.memory_audit(turn, ctx, run_id, limit).await?;
        Ok(MemoryAuditAnswer { count: entries.len(), events: entries.clone(), entries })
    });
    work.await
}
