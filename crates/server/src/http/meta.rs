//! `GET /metrics` and `GET /openapi.json`. Metrics tell what an installation does, so they need a full token unless
//! `TANDEM_METRICS_PUBLIC` opens them; the document is the same for everyone and needs none.

use std::sync::OnceLock;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::state::AppState;
use crate::extract::caller::Anyone;

/// Metrics in the Prometheus text form
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4"))
)]
pub async fn metrics(_: Anyone, State(state): State<AppState>) -> Response {
    if let Err(error) = super::meters::gauges(&state).await {
        tracing::warn!(%error, "some gauges could not be read");
    }
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], state.gate.metrics.render()).into_response()
}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "server",
    responses((status = 200, body = serde_json::Value, content_type = "application/json"))
)]
pub async fn openapi(_: Anyone) -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| super::document::pretty(&super::document()).into());
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document.clone()).into_response()
}
