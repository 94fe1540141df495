//! `GET /global/health`: the one route that a probe may read without a token. It says ready once the handlers are
//! attached; before that the gate answers 503 in its place.

use std::{
    collections::BTreeSet,
    sync::{Arc, RwLock},
};

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{answer::Answer, state::AppState};
use crate::extract::caller::Anyone;

/// Why the server is degraded, as short stable words. Set by whoever finds out.
#[derive(Clone, Default)]
pub struct Health(Arc<RwLock<BTreeSet<&'static str>>>);

impl Health {
    pub fn degrade(&self, reason: &'static str, degraded: bool) {
        let mut reasons = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if degraded {
            reasons.insert(reason);
        } else {
            reasons.remove(reason);
        }
    }

    pub fn reasons(&self) -> Vec<&'static str> {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).iter().copied().collect()
    }
}

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
    let mut reasons = state.gate.health.reasons();
    if state.app.is_tampered() {
        reasons.push("audit_tampered");
    }
    let status = if reasons.is_empty() { "ok" } else { "degraded" };
    Ok(Json(HealthAnswer { healthy: true, ready: true, status, reasons, version: env!("CARGO_PKG_VERSION") }))
}
