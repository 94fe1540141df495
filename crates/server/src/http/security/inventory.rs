//! The authority inventory.

use axum::{extract::State, response::Response};
use tandem_posture::inventory::AuthorityInventory;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::without_intake_key;
use crate::{
    extract::Operator,
    http::{
        answer::{ApiError, assessed},
        document::ErrorBody,
        state::AppState,
    },
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(inventory))
}

/// Read the authority inventory
///
/// Everything that can act, through what, to where and under which approval: automations, agents, tools, MCP servers,
/// destinations, routes, sources, keys, approvals, decisions, and what left the server. Identifiers and presence flags
/// only; `sensitive_values.omitted_fields` names what is left out. The implicit tenant sees the rows of all tenants.
#[utoipa::path(
    get, path = "/incident-monitor/security/authority-inventory", tag = "assessment",
    responses(
        (status = 200, body = AuthorityInventory),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`: a scoped intake key came along."),
    )
)]
pub async fn inventory(operator: Operator, State(state): State<AppState>) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    assessed(&state, &operator, async |app, turn, ctx| app.authority_inventory(turn, ctx).await).await
}
