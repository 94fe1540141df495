//! Governance over HTTP, a file for each kind of thing that is governed.

mod agents;
mod approvals;
mod automation;
mod limits;
mod oversight;

use axum::http::HeaderMap;
use serde::Deserialize;
use tandem_core::text::non_blank;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::{answer::ApiError, state::AppState};
use crate::extract::page;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(approvals::router())
        .merge(oversight::router())
        .merge(limits::router())
        .merge(agents::router())
        .merge(automation::router())
}

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = OptionalReason)]
pub struct Reason {
    pub reason: Option<String>,
}

fn cursor(next: Option<(i64, String)>) -> Option<String> {
    next.map(|(order, id)| page::encode(order, &id))
}

fn approval_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    match headers.get("x-tandem-approval-id").map(|value| value.to_str()) {
        Some(Ok(text)) => Ok(non_blank(Some(text)).map(str::to_owned)),
        Some(Err(_)) => Err(ApiError::unreadable(400, "x-tandem-approval-id is no text.")),
        None => Ok(None),
    }
}
