//! Log-source actions. This build tails no logs, so there is no source to act on.

use axum::extract::State;
use tandem_core::error::{Code, Failure};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError},
    document::ErrorBody,
    state::AppState,
};
use crate::extract::{Operator, Path};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(reset)).routes(routes!(replay))
}

fn unknown(project_id: &str, source_id: &str) -> ApiError {
    Failure::of(Code::LogSourceNotFound).with("project_id", project_id).with("source_id", source_id).into()
}

/// Read a log source from its beginning again
///
/// Takes no body.
#[utoipa::path(
    post, path = "/incident-monitor/log-sources/{project_id}/{source_id}/reset-offset", tag = "logs",
    params(("project_id" = String, Path), ("source_id" = String, Path)),
    responses((status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_LOG_SOURCE_NOT_FOUND`"))
)]
pub async fn reset(
    _: Operator,
    State(_): State<AppState>,
    Path((project_id, source_id)): Path<(String, String)>,
) -> Answer {
    Err(unknown(&project_id, &source_id))
}

/// Replay the latest candidate of a log source
///
/// Takes no body.
#[utoipa::path(
    post, path = "/incident-monitor/log-sources/{project_id}/{source_id}/replay-latest", tag = "logs",
    params(("project_id" = String, Path), ("source_id" = String, Path)),
    responses((status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_LOG_SOURCE_NOT_FOUND`"))
)]
pub async fn replay(
    _: Operator,
    State(_): State<AppState>,
    Path((project_id, source_id)): Path<(String, String)>,
) -> Answer {
    Err(unknown(&project_id, &source_id))
}
