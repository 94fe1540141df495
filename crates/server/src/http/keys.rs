//! Scoped intake keys: list, create, disable.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tandem_app::NewKey;
use tandem_core::credential::IntakeKey;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{answer::Answer, document::ErrorBody, state::AppState};
use crate::extract::{Body, Decider, Operator, Path};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(disable))
}

#[derive(Serialize, ToSchema)]
pub struct KeyList {
    /// By project and name; `key_hash` is always `[redacted]`.
    pub keys: Vec<IntakeKey>,
}

#[derive(Deserialize, ToSchema)]
pub struct KeyRequest {
    #[serde(alias = "projectId", alias = "projectID")]
    pub project_id: String,
    pub name: String,
    /// Default `["incident_monitor:report"]`.
    pub scopes: Option<Vec<String>>,
    #[serde(alias = "expiresAtMs")]
    pub expires_at_ms: Option<u64>,
    /// Reports per minute; absent or 0 is unlimited.
    #[serde(alias = "rateLimitPerMin")]
    pub rate_limit_per_min: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub struct KeyCreated {
    pub key: IntakeKey,
    /// The key itself. It cannot be shown again.
    pub raw_key: String,
}

#[derive(Serialize, ToSchema)]
pub struct KeyAnswer {
    pub key: IntakeKey,
}

/// List intake keys
#[utoipa::path(get, path = "/incident-monitor/intake/keys", tag = "intake", responses((status = 200, body = KeyList)))]
pub async fn list(operator: Operator, State(state): State<AppState>) -> Answer<KeyList> {
    Ok(Json(KeyList { keys: state.app.keys(&operator.ctx).await? }))
}

/// Create an intake key
#[utoipa::path(
    post, path = "/incident-monitor/intake/keys", tag = "intake",
    request_body = KeyRequest,
    responses(
        (status = 200, body = KeyCreated),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_INTAKE_PROJECT_UNKNOWN`, `…_KEY_NAME_REQUIRED` or `…_KEY_CREATE_FAILED`"),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`: agents may not create keys."),
    )
)]
pub async fn create(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Body(request): Body<KeyRequest>,
) -> Answer<KeyCreated> {
    let new = NewKey {
        project_id: request.project_id,
        name: request.name,
        scopes: request.scopes,
        expires_at_ms: request.expires_at_ms,
        rate_limit_per_min: request.rate_limit_per_min,
    };
    let (key, raw_key) = state.app.key_create(&operator.ctx, new).await?;
    Ok(Json(KeyCreated { key, raw_key }))
}

/// Disable an intake key
///
/// Takes no body. The key is refused from this answer on; disabling it again changes nothing.
#[utoipa::path(
    post, path = "/incident-monitor/intake/keys/{id}/disable", tag = "intake",
    params(("id" = String, Path, description = "`key_id`")),
    responses(
        (status = 200, body = KeyAnswer),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_INTAKE_KEY_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn disable(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<KeyAnswer> {
    Ok(Json(KeyAnswer { key: state.app.key_disable(&operator.ctx, &id).await? }))
}
