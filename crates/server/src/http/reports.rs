//! The two doors for reports.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_app::{IntakeRequest, wire::Reported};
use tandem_core::{
    error::{Code, Failure},
    signal::{Outcome, Submission},
    triage::DuplicateSummary,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError},
    document::ErrorBody,
    incidents::shown,
    state::AppState,
};
use crate::extract::{Body, IntakeAuth, Operator};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(report)).routes(routes!(intake))
}

/// A report, wrapped as `{"report": …}` or bare.
#[derive(Default, Deserialize, ToSchema)]
pub struct ReportRequest {
    /// The wrapped form; the other fields are not looked at then.
    pub report: Option<Submission>,
    #[serde(flatten)]
    pub bare: Submission,
}

#[derive(Deserialize, Serialize, ToSchema)]
pub struct IntakeBody {
    #[serde(default, alias = "projectId", alias = "projectID")]
    pub project_id: Option<String>,
    /// A log source of the project; any name where it has none. Default `external`.
    #[serde(default, alias = "sourceId", alias = "sourceID")]
    pub source_id: Option<String>,
    #[serde(default)]
    pub report: Option<Submission>,
}

/// Report a failure with a full token
///
/// Source fields (project, source, tags, destinations, tenant, policy) are not believed through this door. A report is
/// always counted on its incident and never publishes anything by itself.
#[utoipa::path(
    post, path = "/incident-monitor/report", tag = "intake",
    request_body = ReportRequest,
    responses(
        (status = 200, body = Reported),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_REPORT_REQUIRED`, or `INCIDENT_MONITOR_REPORT_INVALID` with `detail`, `incident` and `quality_gate`."),
    )
)]
pub async fn report(
    operator: Operator,
    State(state): State<AppState>,
    Body(request): Body<ReportRequest>,
) -> Answer<Reported> {
    let submission = match request.report {
        Some(report) => report,
        None if request.bare == Submission::default() => return Err(ApiError::of(Code::ReportRequired)),
        None => request.bare,
    };
    let result = state.app.report(&operator.ctx, submission).await;
    state.meters.report("report", result.as_ref());
    answer(result?, true)
}

/// Report a failure with a scoped intake key
///
/// The key says for which project; what the project's configuration says about the source overrides what the report
/// says about itself.
#[utoipa::path(
    post, path = "/incident-monitor/intake/report", tag = "intake",
    request_body = IntakeBody,
    responses(
        (status = 200, body = Reported),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_INTAKE_PROJECT_REQUIRED`, `…_PROJECT_UNKNOWN`, `INCIDENT_MONITOR_REPORT_REQUIRED`, `…_SOURCE_UNKNOWN`, or `INCIDENT_MONITOR_REPORT_INVALID` with `detail` and `incident`."),
        (status = 401, body = ErrorBody, description = "`INCIDENT_MONITOR_INTAKE_KEY_REQUIRED` or `INCIDENT_MONITOR_INTAKE_KEY_INVALID`"),
        (status = 429, body = ErrorBody, description = "`RATE_LIMITED` by the key's own limit; see `Retry-After`."),
    )
)]
pub async fn intake(auth: IntakeAuth, State(state): State<AppState>, Body(body): Body<IntakeBody>) -> Answer<Reported> {
    let request = IntakeRequest {
        project_id: body.project_id.as_deref().unwrap_or_default(),
        source_id: body.source_id.as_deref(),
        report: body.report,
        key: auth.key.as_ref().map(|key| key.expose()),
        request_id: &auth.ctx.request_id,
    };
    let result = state.app.intake(request).await;
    state.meters.report("intake", result.as_ref());
    answer(result?, false)
}

fn answer(outcome: Outcome, with_gate: bool) -> Answer<Reported> {
    let Outcome { incident, draft, blocked, .. } = outcome;
    let incident = shown(incident);
    if let Some(gate) = blocked {
        let why = gate.blocked_reason.clone().unwrap_or_default();
        let mut failure = Failure::of(Code::ReportInvalid)
            .with("detail", format!("the signal quality gate blocked the report: {why}"))
            .with("incident", json!(incident));
        if with_gate {
            failure = failure.with("quality_gate", json!(gate));
        }
        return Err(failure.into());
    }
    let Some(draft) = draft else { return Err(ApiError::of(Code::Internal)) };
    let duplicate_matches = incident.duplicate_matches.clone().unwrap_or_default();
    let duplicate_summary = incident.duplicate_summary.clone().unwrap_or_else(no_duplicates);
    Ok(Json(Reported { draft, incident, duplicate_summary, duplicate_matches }))
}

fn no_duplicates() -> Value {
    json!(DuplicateSummary::default())
}
