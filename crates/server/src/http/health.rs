//! `GET /global/health`: the one route that a probe may read without a token. It says ready once the handlers are
//! attached; before that the gate answers 503 in its place.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{answer::Answer, state::AppState};
use crate::extract::caller::Anyone;

#[derive(Serialize, ToSchema)]
pub struct HealthAnswer {
    /// The process answers.
    pub healthy: bool,
    /// The store is open and its migrations are done.
    pub ready: bool,
    /// `ok` or `degraded`. A degraded server still serves.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// Why it is degraded (`audit_tampered`, …); empty when it is not.
    pub reasons: Vec<&'static str>,
    pub version: &'static str,
}

/// Is the server ready?
#[utoipa::path(get, path = "/global/health", tag = "server", responses((status = 200, body = HealthAnswer)))]
pub async fn health(_: Anyone, State(state): State<AppState>) -> Answer<HealthAnswer> {
    let reasons = if state.app.is_tampered() { vec!["audit_tampered"] } else { Vec::new() };
    let status = if reasons.is_empty() { "ok" } else { "degraded" };
    Ok(Json(HealthAnswer { healthy: true, ready: true, status, reasons, version: env!("CARGO_PKG_VERSION") }))
}
