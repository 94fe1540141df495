//! Status, debug and route preview: reads that change nothing.

use axum::{Json, extract::State};
use serde::Serialize;
use tandem_app::status::{ServerTools, Status};
use tandem_core::route::{PreviewInput, RoutePreview};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{answer::Answer, document::ErrorBody, state::AppState};
use crate::extract::{Body, Operator};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(recompute))
        .routes(routes!(debug))
        .routes(routes!(preview))
}

#[derive(Serialize, ToSchema)]
pub struct StatusAnswer {
    pub status: Status,
}

#[derive(Serialize, ToSchema)]
pub struct DebugAnswer {
    pub status: Status,
    /// Tools of the selected MCP server; empty without one.
    #[serde(flatten)]
    pub tools: ServerTools,
}

/// Read the monitor's status
#[utoipa::path(get, path = "/incident-monitor/status", tag = "status", responses((status = 200, body = StatusAnswer)))]
pub async fn status(operator: Operator, State(state): State<AppState>) -> Answer<StatusAnswer> {
    Ok(Json(StatusAnswer { status: state.app.status(&operator.ctx).await? }))
}

/// Read the monitor's status afresh
///
/// Takes no body. Status is never cached, so this is the same as reading it.
#[utoipa::path(
    post, path = "/incident-monitor/status/recompute", tag = "status", responses((status = 200, body = StatusAnswer))
)]
pub async fn recompute(operator: Operator, State(state): State<AppState>) -> Answer<StatusAnswer> {
    Ok(Json(StatusAnswer { status: state.app.status(&operator.ctx).await? }))
}

/// Read the status with the tools behind it
#[utoipa::path(get, path = "/incident-monitor/debug", tag = "status", responses((status = 200, body = DebugAnswer)))]
pub async fn debug(operator: Operator, State(state): State<AppState>) -> Answer<DebugAnswer> {
    Ok(Json(DebugAnswer {
        status: state.app.status(&operator.ctx).await?,
        tools: state.app.selected_tools(&operator.ctx).await?,
    }))
}

/// Preview where a draft or a report would go
///
/// Publishes nothing and changes nothing. All fields are optional.
#[utoipa::path(
    post, path = "/incident-monitor/route-preview", tag = "status",
    request_body = PreviewInput,
    responses(
        (status = 200, body = RoutePreview),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_DRAFT_NOT_FOUND` or `INCIDENT_MONITOR_INCIDENT_NOT_FOUND`"),
    )
)]
pub async fn preview(
    operator: Operator,
    State(state): State<AppState>,
    Body(input): Body<PreviewInput>,
) -> Answer<RoutePreview> {
    Ok(Json(state.app.preview(&operator.ctx, &input).await?))
}
