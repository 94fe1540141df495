//! Governance metrics and drift.

use axum::{extract::State, response::Response};
use tandem_posture::metrics::{Measured, Request};
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
    OpenApiRouter::new().routes(routes!(measure))
}

/// Measure governance
///
/// Six rates over the current window, how far others have drifted from the window before, and what crossed a threshold.
/// A rate over nothing is null. `integrity` is that of the audit log.
#[utoipa::path(
    post, path = "/incident-monitor/security/governance-metrics", tag = "assessment",
    request_body = Request,
    responses(
        (status = 200, body = Measured),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED`: a threshold is not from 0 to 1."),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED`: a scoped intake key came along."),
    )
)]
pub async fn measure(
    operator: Operator,
    State(state): State<AppState>,
    Body(request): Body<Request>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    assessed(&state, &operator, async move |app, turn, ctx| app.governance_metrics(turn, ctx, &request).await).await
}
