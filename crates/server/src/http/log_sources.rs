//! Log-source actions: read again from the beginning, replay the latest failure, and the evidence that a log left.

use axum::{Json, extract::State};
use serde::Serialize;
use tandem_core::{
    draft::Draft,
    incident::Incident,
    source::{evidence::LogEvidence, state::LogSourceState},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{answer::Answer, document::ErrorBody, incidents::shown, state::AppState};
use crate::extract::{Operator, Path};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(reset)).routes(routes!(replay)).routes(routes!(evidence))
}

#[derive(Serialize, ToSchema)]
pub struct ResetAnswer {
    pub project_id: String,
    pub source_id: String,
    pub state: LogSourceState,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LogSourceReplayAnswer)]
pub struct ReplayAnswer {
    pub project_id: String,
    pub source_id: String,
    /// As it was before the replay counted once more.
    pub incident: Incident,
    pub draft: Option<Draft>,
}

#[derive(Serialize, ToSchema)]
pub struct EvidenceAnswer {
    pub evidence: LogEvidence,
}

/// Read a log source from its beginning again
///
/// Takes no body. The source is read from byte 0, also when it starts at the end, and what is found is counted again.
/// Totals stay. Works while the source is being read, and while its file is missing.
#[utoipa::path(
    post, path = "/incident-monitor/log-sources/{project_id}/{source_id}/reset-offset", tag = "logs",
    params(("project_id" = String, Path), ("source_id" = String, Path)),
    responses(
        (status = 200, body = ResetAnswer),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_LOG_SOURCE_RESET_FAILED` with `detail`"),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_LOG_SOURCE_NOT_FOUND`"),
    )
)]
pub async fn reset(
    operator: Operator,
    State(state): State<AppState>,
    Path((project_id, source_id)): Path<(String, String)>,
) -> Answer<ResetAnswer> {
    let state = state.app.log_source_reset(&operator.ctx, &project_id, &source_id).await?;
    Ok(Json(ResetAnswer { project_id, source_id, state }))
}

/// Replay the latest candidate of a log source
///
/// Takes no body. The newest incident of the source is counted once more from the bytes where its failure stands,
/// whatever the cooldown says; the source's position does not move.
#[utoipa::path(
    post, path = "/incident-monitor/log-sources/{project_id}/{source_id}/replay-latest", tag = "logs",
    params(("project_id" = String, Path), ("source_id" = String, Path)),
    responses(
        (status = 200, body = ReplayAnswer),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_LOG_SOURCE_REPLAY_FAILED` with `detail`: the file is gone, shorter, or holds something else there."),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_LOG_SOURCE_NOT_FOUND`, or `INCIDENT_MONITOR_LOG_SOURCE_REPLAY_NOT_FOUND` when no incident of the source knows its lines."),
    )
)]
pub async fn replay(
    operator: Operator,
    State(state): State<AppState>,
    Path((project_id, source_id)): Path<(String, String)>,
) -> Answer<ReplayAnswer> {
    let replayed = state.app.log_source_replay(&operator.ctx, &project_id, &source_id).await?;
    Ok(Json(ReplayAnswer { project_id, source_id, incident: shown(replayed.incident), draft: replayed.draft }))
}

/// Read the evidence that a log left
///
/// The lines that opened a draft, redacted, with the lines before them. `event_payload.evidence_artifact` of an incident
/// ends with its id.
#[utoipa::path(
    get, path = "/incident-monitor/log-sources/{project_id}/{source_id}/evidence/{evidence_id}", tag = "logs",
    params(("project_id" = String, Path), ("source_id" = String, Path), ("evidence_id" = String, Path)),
    responses(
        (status = 200, body = EvidenceAnswer),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_LOG_EVIDENCE_NOT_FOUND`"),
    )
)]
pub async fn evidence(
    operator: Operator,
    State(state): State<AppState>,
    Path((project_id, source_id, evidence_id)): Path<(String, String, String)>,
) -> Answer<EvidenceAnswer> {
    let evidence = state.app.log_evidence(&operator.ctx, &project_id, &source_id, &evidence_id).await?;
    Ok(Json(EvidenceAnswer { evidence }))
}
