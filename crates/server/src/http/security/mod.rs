//! Assessment over HTTP: inventory, posture, probes, cards, reports. Nothing here reaches out or changes what it judges.

mod cards;
mod findings;
mod inventory;
mod metrics;
mod posture;
mod probes;
mod reach;
mod reassessments;
mod report;
mod scenarios;

use utoipa_axum::router::OpenApiRouter;

use super::{answer::ApiError, state::AppState};
use crate::extract::Operator;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(inventory::router())
        .merge(probes::router())
        .merge(scenarios::router())
        .merge(metrics::router())
        .merge(report::router())
        .merge(cards::router())
        .merge(reassessments::router())
        .merge(posture::router())
        .merge(findings::router())
        .merge(reach::router())
}

/// A scoped intake key opens none of these doors, whatever else comes along.
pub fn without_intake_key(operator: &Operator) -> Result<(), ApiError> {
    operator.key_refused.map_or(Ok(()), |refusal| Err(ApiError::of(refusal)))
}
