//! Findings as they live: owner, due date, accepted risk.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tandem_app::{PageRequest, assess::FindingFilter};
use tandem_core::{
    error::{Code, Failure},
    text::non_blank,
};
use tandem_posture::{
    finding::Severity,
    lifecycle::{LifeStatus, LiveFinding, Update},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::without_intake_key;
use crate::{
    extract::{Body, Decider, Operator, Page, Path, Query},
    http::{answer::Answer, document::ErrorBody, lists::cursor, state::AppState},
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, update))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FindingsQuery {
    /// Rows wanted, 50 by default; values outside 1…200 are brought inside.
    #[allow(dead_code, reason = "read by Page")]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    #[allow(dead_code, reason = "read by Page")]
    pub cursor: Option<String>,
    /// `open`, `accepted` or `resolved`, as of now: an acceptance that has run out is open.
    pub status: Option<String>,
    /// `low`, `medium`, `high` or `critical`: exactly this one.
    pub severity: Option<String>,
    pub rule_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PostureFindingList)]
pub struct FindingList {
    /// The last seen first.
    pub findings: Vec<LiveFinding>,
    pub count: usize,
    /// Absent on the last page. A filtered page may be short, or empty, and still not be the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct FindingAnswer {
    pub finding: LiveFinding,
}

/// List recorded findings
///
/// What reassessments and people have recorded. A finding that only the posture checks have shown so far is not in it.
#[utoipa::path(
    get, path = "/incident-monitor/security/findings", tag = "assessment",
    params(FindingsQuery),
    responses(
        (status = 200, body = FindingList),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED`: a filter holds an unknown word, or the cursor is not ours."),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`: a scoped intake key came along."),
    )
)]
pub async fn list(
    operator: Operator,
    State(state): State<AppState>,
    page: Page,
    Query(query): Query<FindingsQuery>,
) -> Answer<FindingList> {
    without_intake_key(&operator)?;
    let filter = FindingFilter {
        status: word("status", query.status.as_deref(), LifeStatus::from_word)?,
        severity: word("severity", query.severity.as_deref(), Severity::from_word)?,
        rule_id: non_blank(query.rule_id.as_deref()).map(str::to_owned),
    };
    let request = PageRequest { limit: page.limit(), after: page.after, ..PageRequest::default() };
    let found = state.app.live_findings(&operator.ctx, &filter, &request).await?;
    Ok(Json(FindingList { count: found.items.len(), next_cursor: cursor(found.next), findings: found.items }))
}

fn word<T>(name: &str, given: Option<&str>, read: fn(&str) -> Option<T>) -> Result<Option<T>, Failure> {
    let Some(given) = non_blank(given) else { return Ok(None) };
    let unknown = || Failure::new(Code::ValidationFailed, format!("`{name}` holds an unknown word.")).status(400);
    read(&given.to_lowercase()).map(Some).ok_or_else(unknown)
}

/// Read a finding
///
/// By its fingerprint. One that is found now and was never recorded is answered as it would be recorded.
#[utoipa::path(
    get, path = "/incident-monitor/security/findings/{fingerprint}", tag = "assessment",
    params(("fingerprint" = String, Path, description = "`sha256:…`")),
    responses(
        (status = 200, body = FindingAnswer),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_FINDING_NOT_FOUND`"),
    )
)]
pub async fn get(
    operator: Operator,
    State(state): State<AppState>,
    Path(fingerprint): Path<String>,
) -> Answer<FindingAnswer> {
    without_intake_key(&operator)?;
    Ok(Json(FindingAnswer { finding: state.app.live_finding(&operator.ctx, &fingerprint).await? }))
}

/// Say something of a finding
///
/// Its owner, its due date, that its risk is accepted until a day (at most 365 days ahead, with a reason), or that it is
/// not any more. An accepted risk is still found and counted, and opens again by itself on that day. A finding that is
/// found now and was never recorded is recorded with it.
#[utoipa::path(
    patch, path = "/incident-monitor/security/findings/{fingerprint}", tag = "assessment",
    params(("fingerprint" = String, Path, description = "`sha256:…`")),
    request_body = Update,
    responses(
        (status = 200, body = FindingAnswer),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`: agents may not accept risks. `INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_FINDING_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn update(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(fingerprint): Path<String>,
    Body(said): Body<Update>,
) -> Answer<FindingAnswer> {
    without_intake_key(&operator)?;
    Ok(Json(FindingAnswer { finding: state.app.live_finding_update(&operator.ctx, &fingerprint, &said).await? }))
}
