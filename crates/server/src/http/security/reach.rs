//! Who can make what reach where.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use tandem_posture::reach::{Ask, Point, Reach};
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
    OpenApiRouter::new().routes(routes!(reach))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReachQuery {
    /// `<kind>:<id>`. Kinds: `source` (`project` or `project/source`, and `unbound` for reports without one),
    /// `intake_key`, `api_token` (`boot` for the one that the server was started with), `agent`, `automation`,
    /// `automation_agent` and `automation_node` (`automation/id`), `workflow`, `hook`, `declared_agent`, `tool_policy`,
    /// `runtime`, `tool`, `mcp_server`, `route` (`default_destinations` where none wins), `destination`, `outside`.
    /// Absent asks for everyone who can reach `to`.
    pub from: Option<String>,
    /// The same. Outside systems are `github:<repo>`, `linear:<team>`, `webhook:<destination>`, `mcp:<server>`,
    /// `output:<target>` and `executor`, whatever the process of an executor can reach. Absent asks for everything that
    /// `from` can reach.
    pub to: Option<String>,
}

/// Ask who can make what reach where
///
/// The effective authority as paths, from what may act through tools, routes and approvals to systems outside. The
/// router itself is asked which routes can win for a source. Each step says where it can be seen and whether an approval
/// stands on it: `required`, `conditional` (for high risk only, or by a rule that another system enforces) or `none`.
/// `gated` means that no way is without a required approval. `limits` bound what is listed; `truncated` says when one was
/// met. Changes nothing.
#[utoipa::path(
    get, path = "/incident-monitor/security/reach", tag = "assessment",
    params(ReachQuery),
    responses(
        (status = 200, body = Reach),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED`: neither end is named, or one cannot be read."),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_REACH_OBJECT_NOT_FOUND`"),
    )
)]
pub async fn reach(
    operator: Operator,
    State(state): State<AppState>,
    Query(query): Query<ReachQuery>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    let ask = Ask { from: Point::read("from", query.from.as_deref())?, to: Point::read("to", query.to.as_deref())? };
    assessed(&state, &operator, async move |app, turn, ctx| app.reach(turn, ctx, &ask).await).await
}
