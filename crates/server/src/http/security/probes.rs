//! Controlled probes.

use axum::{extract::State, response::Response};
use tandem_posture::probes::{ProbeRun, Request};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::without_intake_key;
use crate::{
    extract::{Body, Operator},
    http::{
        answer::{ApiError, assessed},
        document::ErrorBody,
        state::AppState,
    },
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(run))
}

/// Run the controlled probes
///
/// Asks the router, the readiness of destinations, the posture rules and every privileged route of this server what would
/// happen, without letting it happen. The run is kept as an evidence artifact and written into the audit log, unless
/// `mode` is `disabled`. `not_applicable` says that there is nothing to probe, `blocked` that it could not be found out.
#[utoipa::path(
    post, path = "/incident-monitor/security/assessment-probes", tag = "assessment",
    request_body = Request,
    responses(
        (status = 200, body = ProbeRun),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED`: none of the ids in `probes` names a probe."),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_ASSESSMENT_PROBES_ADMIN_REQUIRED`: a scoped intake key came along."),
    )
)]
pub async fn run(
    operator: Operator,
    State(state): State<AppState>,
    Body(request): Body<Request>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    assessed(&state, &operator, async move |app, turn, ctx| app.assessment_probes(turn, ctx, &request).await).await
}
