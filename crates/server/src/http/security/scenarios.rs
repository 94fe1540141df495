//! Adversarial scenario packs.

use axum::{Json, extract::State, response::Response};
use tandem_posture::scenarios::{PackList, PackRun, Request};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::without_intake_key;
use crate::{
    extract::{Body, Operator},
    http::{
        answer::{Answer, ApiError, assessed},
        document::ErrorBody,
        state::AppState,
    },
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, run))
}

/// List the scenario packs
///
/// The built-in ones and those of the operator's directory, not run.
#[utoipa::path(
    get, path = "/incident-monitor/security/scenario-packs", tag = "assessment",
    responses(
        (status = 200, body = PackList),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED`: a scoped intake key came along."),
    )
)]
pub async fn list(operator: Operator, State(state): State<AppState>) -> Answer<PackList> {
    without_intake_key(&operator)?;
    Ok(Json(state.app.scenario_packs()))
}

/// Run a scenario pack
///
/// The first built-in one, the one of `pack_id`, or the one in `pack`. Each scenario goes through the ordinary route
/// preview on the live configuration. Nothing is sent and nothing is kept.
#[utoipa::path(
    post, path = "/incident-monitor/security/scenario-packs", tag = "assessment",
    request_body = Request,
    responses(
        (status = 200, body = PackRun),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED`: `pack` cannot be run; the text says why."),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 404, body = ErrorBody, description = "`NOT_FOUND`: no pack has the id in `pack_id`."),
    )
)]
pub async fn run(
    operator: Operator,
    State(state): State<AppState>,
    Body(request): Body<Request>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    assessed(&state, &operator, async move |app, turn, ctx| app.run_scenarios(turn, ctx, request).await).await
}
