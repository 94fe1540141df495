//! Posture checks.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use tandem_posture::posture::{Options, PostureChecks};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::without_intake_key;
use crate::{
    extract::{Operator, Query},
    http::{
        answer::{ApiError, assessed},
        document::ErrorBody,
        state::AppState,
    },
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(checks))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChecksQuery {
    /// `dry_run` (the default, and any unknown word), `enabled` or `disabled`. `enabled` changes a label: nothing is
    /// enforced by looking.
    pub mode: Option<String>,
    /// Comma-separated ids; empty means all. Ids that are no rules are echoed in `ignored_rule_ids`.
    pub rules: Option<String>,
    /// Comma-separated ids that are left out.
    pub disabled_rules: Option<String>,
    /// `low` (the default), `medium`, `high` or `critical`.
    pub min_severity: Option<String>,
}

/// Judge the authority inventory
///
/// Every rule over everything that can act: what is wrong, with what, where that can be seen, what to do, and a body that
/// makes an incident of it. What depends on a policy that the server cannot know is listed in `open_questions`, and is no
/// pass. `lifecycle` says where a finding stands, once it was recorded. `controls` name what a result is evidence for.
/// Changes nothing and leaves no audit row.
#[utoipa::path(
    get, path = "/incident-monitor/security/posture-checks", tag = "assessment",
    params(ChecksQuery),
    responses(
        (status = 200, body = PostureChecks),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED`: `min_severity` is no severity."),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`: a scoped intake key came along."),
    )
)]
pub async fn checks(
    operator: Operator,
    State(state): State<AppState>,
    Query(query): Query<ChecksQuery>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    let options = Options::read(
        query.mode.as_deref(),
        query.rules.as_deref(),
        query.disabled_rules.as_deref(),
        query.min_severity.as_deref(),
    )?;
    assessed(&state, &operator, async move |app, turn, ctx| app.posture_checks(turn, ctx, &options).await).await
}
