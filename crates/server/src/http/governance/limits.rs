//! The limits in force, where each comes from, and their change.

use axum::{Json, extract::State, http::HeaderMap};
use serde::Serialize;
use serde_json::{Map, Value};
use tandem_core::governance::limits::{Limits, Source};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::approval_of;
use crate::extract::{Body, Operator};
use crate::http::{answer::Answer, document::ErrorBody, state::AppState};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(limits, change_limits))
}

/// Where the value of a limit comes from.
#[derive(Serialize, ToSchema)]
pub struct LimitSource {
    pub limit: &'static str,
    pub source: Source,
    /// The environment variable that sets it.
    pub env: &'static str,
}

#[derive(Serialize, ToSchema)]
pub struct LimitsAnswer {
    /// In force now.
    pub limits: Limits,
    pub sources: Vec<LimitSource>,
    /// When a limit was last set through the API.
    pub updated_at_ms: Option<u64>,
}

async fn limits_answer(state: &AppState, operator: &Operator) -> Answer<LimitsAnswer> {
    let tenant = operator.ctx.tenant.key();
    let row = state.app.limits_row(&tenant).await?;
    let sources = state.app.limit_sources(&row);
    Ok(Json(LimitsAnswer {
        limits: state.app.limits(&tenant).await?,
        sources: sources.into_iter().map(|(limit, env, source)| LimitSource { limit, source, env }).collect(),
        updated_at_ms: (row.updated_at_ms > 0).then_some(row.updated_at_ms),
    }))
}

/// The limits in force, and where each comes from
#[utoipa::path(get, path = "/governance/limits", tag = "governance", responses((status = 200, body = LimitsAnswer)))]
pub async fn limits(operator: Operator, State(state): State<AppState>) -> Answer<LimitsAnswer> {
    limits_answer(&state, &operator).await
}

/// Change limits
///
/// Only what is named changes. Null gives a limit back to the environment and the default. Where actions need two persons,
/// switching `dual_control` off and changing `review_policies` do as well: the approval is an `elevated_capability` for
/// `governance_limits`/`limits` with action `change_governance_limits` and the changes as parameters.
#[utoipa::path(
    patch, path = "/governance/limits", tag = "governance",
    params(("x-tandem-approval-id" = Option<String>, Header, description = "`approval_id`")),
    request_body(content = Object, description = "Limits by name, bare or under `limits`."),
    responses(
        (status = 200, body = LimitsAnswer),
        (status = 400, body = ErrorBody, description = "`GOVERNANCE_LIMITS_INVALID`: `detail` names the limit."),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`, `AUTOMATION_GOVERNANCE_APPROVAL_REQUIRED`, `AUTOMATION_GOVERNANCE_APPROVAL_INVALID`"),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_APPROVAL_NOT_FOUND`"),
    )
)]
pub async fn change_limits(
    operator: Operator,
    State(state): State<AppState>,
    headers: HeaderMap,
    Body(body): Body<Map<String, Value>>,
) -> Answer<LimitsAnswer> {
    let changes = match body.get("limits") {
        Some(Value::Object(inner)) if body.len() == 1 => inner.clone(),
        _ => body,
    };
    state.app.limits_change(&operator.ctx, changes, approval_of(&headers)?).await?;
    limits_answer(&state, &operator).await
}
