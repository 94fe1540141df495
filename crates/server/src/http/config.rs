//! `/config/incident-monitor`, pause and resume.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tandem_app::Snapshot;
use tandem_core::{
    config::Config,
    error::{Code, Failure},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    alias::Dialect,
    answer::{Answer, ApiError},
    document::ErrorBody,
    state::AppState,
};
use crate::extract::{Decider, Operator, OptionalBody};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_config, patch_config)).routes(routes!(pause)).routes(routes!(resume))
}

/// The configuration, under the name that the caller used.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes what `wrapped` renders")]
pub struct ConfigAnswer {
    pub incident_monitor: Config,
}

/// The configuration, under the name from before the rename.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes what `wrapped` renders")]
pub struct FormerConfigAnswer {
    pub bug_monitor: Config,
}

#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes what `switch` renders")]
pub struct PauseAnswer {
    pub ok: bool,
    pub incident_monitor: Config,
    /// The same again, for callers of the former path.
    pub bug_monitor: Option<Config>,
}

fn wrapped(dialect: Dialect, snapshot: &Snapshot) -> Response {
    let mut body = Map::new();
    body.insert(dialect.wrapper().to_owned(), json!(snapshot.config));
    let mut response = Json(Value::Object(body)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&snapshot.etag()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Read the configuration
///
/// Defaults are filled in; secrets are only ever references. The `ETag` names this version.
#[utoipa::path(get, path = "/config/incident-monitor", tag = "config", responses((status = 200, body = ConfigAnswer)))]
pub async fn get_config(
    operator: Operator,
    State(state): State<AppState>,
    dialect: Dialect,
) -> Result<Response, ApiError> {
    let snapshot = state.app.snapshot(&operator.ctx.tenant.key()).await?;
    Ok(wrapped(dialect, &snapshot))
}

/// Replace the configuration
///
/// The whole object: what is left out returns to its default. With `If-Match`, only if nobody changed it since.
#[utoipa::path(
    patch, path = "/config/incident-monitor", tag = "config",
    params(("if-match" = Option<String>, Header, description = "The `ETag` of the version that was edited.")),
    request_body = ConfigAnswer,
    responses(
        (status = 200, body = ConfigAnswer),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_CONFIG_REQUIRED`, or `INCIDENT_MONITOR_CONFIG_INVALID` with `detail`."),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`: agents may not change the configuration."),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
        (status = 412, body = ErrorBody, description = "`PRECONDITION_FAILED`: somebody changed it since."),
    )
)]
pub async fn patch_config(
    Decider(operator): Decider,
    State(state): State<AppState>,
    dialect: Dialect,
    headers: HeaderMap,
    OptionalBody(body): OptionalBody<Value>,
) -> Result<Response, ApiError> {
    if !(body.is_object() || body.is_null()) {
        return Err(ApiError::unreadable(422, "The body must be an object."));
    }
    let names = [dialect.wrapper(), "incident_monitor", "bug_monitor", "incidentMonitor", "bugMonitor"];
    let wanted = names.iter().find_map(|name| body.get(*name).filter(|value| !value.is_null()));
    let Some(wanted) = wanted else { return Err(ApiError::of(Code::ConfigRequired)) };
    let if_match = match headers.get(header::IF_MATCH) {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| ApiError::unreadable(400, "`If-Match` is not an entity tag."))?),
    };
    let snapshot = state.app.config_replace(&operator.ctx, wanted.clone(), if_match).await?;
    Ok(wrapped(dialect, &snapshot))
}

async fn switch(operator: &Operator, state: &AppState, paused: bool, dialect: Dialect, failed: Code) -> Answer {
    let snapshot = state.app.config_pause(&operator.ctx, paused).await.map_err(|failure| match failure.code {
        Code::StoreUnavailable | Code::StoreCorrupt | Code::Conflict => failure,
        _ => Failure::of(failed).with("detail", failure.message),
    })?;
    let mut body = json!({ "ok": true, "incident_monitor": snapshot.config });
    if dialect == Dialect::BugMonitor {
        body["bug_monitor"] = json!(snapshot.config);
    }
    Ok(Json(body))
}

/// Pause monitoring and publishing
///
/// Takes no body. Reports are still counted, drafts can still be decided on.
#[utoipa::path(
    post, path = "/incident-monitor/pause", tag = "config",
    responses(
        (status = 200, body = PauseAnswer),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn pause(Decider(operator): Decider, State(state): State<AppState>, dialect: Dialect) -> Answer {
    switch(&operator, &state, true, dialect, Code::PauseFailed).await
}

/// Resume monitoring and publishing
///
/// Takes no body.
#[utoipa::path(
    post, path = "/incident-monitor/resume", tag = "config",
    responses(
        (status = 200, body = PauseAnswer),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn resume(Decider(operator): Decider, State(state): State<AppState>, dialect: Dialect) -> Answer {
    switch(&operator, &state, false, dialect, Code::ResumeFailed).await
}
