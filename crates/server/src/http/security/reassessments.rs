//! Continuous reassessment: its history and schedule, and a run on demand.

use axum::{Json, extract::State};
use serde::Deserialize;
use tandem_posture::reassess::{ReassessmentList, ReassessmentRun};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::without_intake_key;
use crate::{
    extract::{Operator, Query},
    http::{answer::Answer, document::ErrorBody, state::AppState},
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, run))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Records wanted, 50 by default; values outside 1…200 are brought inside.
    limit: Option<u64>,
}

/// Read the reassessments
///
/// The newest records with what was new, recurring and resolved in each, and when every scope is due. A scope that never
/// ran becomes overdue as well, counted from when it was first seen. The implicit tenant sees those of all tenants.
#[utoipa::path(
    get, path = "/incident-monitor/security/reassessments", tag = "assessment",
    params(Wanted),
    responses(
        (status = 200, body = ReassessmentList),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED`: a scoped intake key came along."),
    )
)]
pub async fn list(
    operator: Operator,
    State(state): State<AppState>,
    Query(wanted): Query<Wanted>,
) -> Answer<ReassessmentList> {
    without_intake_key(&operator)?;
    let limit = wanted.limit.map_or(50, |limit| usize::try_from(limit).unwrap_or(200)).clamp(1, 200);
    Ok(Json(state.app.reassessments(&operator.ctx, limit).await?))
}

/// Assess now
///
/// Judges the caller's tenant, compares the findings with the run before, and keeps the record. Reads no body. Reasons
/// that wait for a run of their own go on waiting.
#[utoipa::path(
    post, path = "/incident-monitor/security/reassessments", tag = "assessment",
    responses(
        (status = 200, body = ReassessmentRun),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SCENARIO_PACKS_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 409, body = ErrorBody, description = "`CONFLICT`: findings kept changing meanwhile."),
    )
)]
pub async fn run(operator: Operator, State(state): State<AppState>) -> Answer<ReassessmentRun> {
    without_intake_key(&operator)?;
    Ok(Json(state.app.reassess_now(&operator.ctx).await?))
}
