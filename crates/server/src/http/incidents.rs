//! Incidents: list, read, delete, replay.

use axum::{Json, extract::State};
use serde::Serialize;
use tandem_app::wire::Evidence;
use tandem_core::{draft::Draft, incident::Incident, triage::RunView};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::Answer,
    document::ErrorBody,
    lists::{BulkRequest, Deleted, Filters, cursor},
    state::AppState,
};
use crate::extract::{Body, Decider, Operator, Page, Path, Query};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(bulk_delete))
        .routes(routes!(get, delete))
        .routes(routes!(replay))
}

#[derive(Serialize, ToSchema)]
pub struct IncidentList {
    pub incidents: Vec<Incident>,
    /// Rows in this answer.
    pub count: usize,
    pub next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct IncidentAnswer {
    pub incident: Incident,
}

#[derive(Serialize, ToSchema)]
#[schema(as = IncidentReplayAnswer)]
pub struct ReplayAnswer {
    pub ok: bool,
    pub incident: Incident,
    pub draft: Draft,
    pub run: RunView,
    /// A run in progress was used.
    pub deduped: bool,
    #[serde(flatten)]
    pub evidence: Evidence,
}

/// The identity by which signals are folded is internal.
pub fn shown(mut incident: Incident) -> Incident {
    incident.identity = String::new();
    incident
}

/// List incidents
///
/// Newest `updated_at_ms` first.
#[utoipa::path(
    get, path = "/incident-monitor/incidents", tag = "incidents", params(Filters),
    responses((status = 200, body = IncidentList))
)]
pub async fn list(
    operator: Operator,
    State(state): State<AppState>,
    page: Page,
    Query(filters): Query<Filters>,
) -> Answer<IncidentList> {
    let request = filters.request(page, &["status", "project_id"]);
    let found = state.app.incidents(&operator.ctx, &request).await?;
    let incidents: Vec<Incident> = found.items.into_iter().map(shown).collect();
    Ok(Json(IncidentList { count: incidents.len(), incidents, next_cursor: cursor(found.next) }))
}

/// Read an incident
#[utoipa::path(
    get, path = "/incident-monitor/incidents/{id}", tag = "incidents",
    params(("id" = String, Path, description = "`incident_id`")),
    responses(
        (status = 200, body = IncidentAnswer),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_INCIDENT_NOT_FOUND`"),
    )
)]
pub async fn get(operator: Operator, State(state): State<AppState>, Path(id): Path<String>) -> Answer<IncidentAnswer> {
    Ok(Json(IncidentAnswer { incident: shown(state.app.incident(&operator.ctx, &id).await?.value) }))
}

/// Delete an incident
///
/// Its draft, receipts and audit rows stay.
#[utoipa::path(
    delete, path = "/incident-monitor/incidents/{id}", tag = "incidents",
    params(("id" = String, Path, description = "`incident_id`")),
    responses(
        (status = 200, body = Deleted),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_INCIDENT_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn delete(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<Deleted> {
    state.app.incident_delete(&operator.ctx, &id).await?;
    Ok(Json(Deleted::count(1)))
}

/// Delete many incidents
#[utoipa::path(
    post, path = "/incident-monitor/incidents/bulk-delete", tag = "incidents",
    request_body = BulkRequest,
    responses(
        (status = 200, body = Deleted),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn bulk_delete(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Body(request): Body<BulkRequest>,
) -> Answer<Deleted> {
    Ok(Json(Deleted::count(state.app.incidents_delete(&operator.ctx, &request.read()?).await?)))
}

/// Triage an incident's draft again
///
/// Takes no body. Nothing is counted and nothing is published.
#[utoipa::path(
    post, path = "/incident-monitor/incidents/{id}/replay", tag = "incidents",
    params(("id" = String, Path, description = "`incident_id`")),
    responses(
        (status = 200, body = ReplayAnswer),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_INCIDENT_REPLAY_FAILED`"),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_INCIDENT_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`INCIDENT_MONITOR_INCIDENT_NO_DRAFT`"),
    )
)]
pub async fn replay(operator: Operator, State(state): State<AppState>, Path(id): Path<String>) -> Answer<ReplayAnswer> {
    let (incident, triaged) = state.app.incident_replay(&operator.ctx, &id).await?;
    Ok(Json(ReplayAnswer {
        ok: true,
        incident: shown(incident),
        evidence: triaged.evidence(),
        run: triaged.run.view(),
        deduped: triaged.deduped,
        draft: triaged.draft,
    }))
}
