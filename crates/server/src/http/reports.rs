//! The two doors for reports.

use std::{borrow::Cow, sync::LazyLock};

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_app::{IntakeRequest, wire::Reported};
use tandem_core::{
    error::{Code, Failure},
    incident,
    signal::{Outcome, Submission},
    triage::DuplicateSummary,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{answer::ApiError, document::ErrorBody, state::AppState};
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
    /// Reports of one intake key with an equal value are counted once; the header `Idempotency-Key` says the same and
    /// wins. Remembered for seven days.
    #[serde(default, alias = "idempotencyKey")]
    pub idempotency_key: Option<String>,
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
) -> Result<Response, ApiError> {
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
    params(("Idempotency-Key" = Option<String>, Header, description = "Reports of one intake key with an equal value are counted once.")),
    request_body = IntakeBody,
    responses(
        (status = 200, body = Reported),
        (status = 400, body = ErrorBody, description = "`INCIDENT_MONITOR_INTAKE_PROJECT_REQUIRED`, `…_PROJECT_UNKNOWN`, `INCIDENT_MONITOR_REPORT_REQUIRED`, `…_SOURCE_UNKNOWN`, or `INCIDENT_MONITOR_REPORT_INVALID` with `detail` and `incident`."),
        (status = 404, body = ErrorBody, description = "`INCIDENT_MONITOR_INCIDENT_NOT_FOUND` or `…_DRAFT_NOT_FOUND`: the idempotency key was used, and its incident or draft has been deleted since."),
        (status = 409, body = ErrorBody, description = "`IDEMPOTENCY_KEY_REUSED` for another report."),
        (status = 401, body = ErrorBody, description = "`INCIDENT_MONITOR_INTAKE_KEY_REQUIRED` or `INCIDENT_MONITOR_INTAKE_KEY_INVALID`"),
        (status = 429, body = ErrorBody, description = "`RATE_LIMITED` by the key's own limit; see `Retry-After`."),
    )
)]
pub async fn intake(
    auth: IntakeAuth,
    State(state): State<AppState>,
    headers: HeaderMap,
    Body(body): Body<IntakeBody>,
) -> Result<Response, ApiError> {
    let idempotency = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let request = IntakeRequest {
        project_id: body.project_id.as_deref().unwrap_or_default(),
        source_id: body.source_id.as_deref(),
        report: body.report,
        idempotency_key: idempotency.or(body.idempotency_key.as_deref()),
        key: auth.key.as_ref().map(|key| key.expose()),
        request_id: &auth.ctx.request_id,
    };
    let result = state.app.intake(request).await;
    state.meters.report("intake", result.as_ref());
    answer(result?, false)
}

fn answer(outcome: Outcome, with_gate: bool) -> Result<Response, ApiError> {
    let written = outcome.written();
    let incident = incident::shown_body(&written.incident);
    if let Some(gate) = &outcome.blocked {
        let why = gate.blocked_reason.clone().unwrap_or_default();
        let incident: Value = serde_json::from_str(&incident).unwrap_or_default();
        let mut failure = Failure::of(Code::ReportInvalid)
            .with("detail", format!("the signal quality gate blocked the report: {why}"))
            .with("incident", incident);
        if with_gate {
            failure = failure.with("quality_gate", json!(gate));
        }
        return Err(failure.into());
    }
    let Some(draft) = &written.draft else { return Err(ApiError::of(Code::Internal)) };
    let summary = match &outcome.incident.duplicate_summary {
        Some(summary) => Cow::Owned(summary.to_string()),
        None => Cow::Borrowed(NO_DUPLICATES.as_str()),
    };
    let matches = match &outcome.incident.duplicate_matches {
        Some(found) => Cow::Owned(json!(found).to_string()),
        None => Cow::Borrowed("[]"),
    };
    // A [`Reported`] from the texts of its rows: this is the busiest answer of the server, and the store has just put most
    // of them into JSON.
    let parts = [
        "{\"draft\":",
        draft,
        ",\"incident\":",
        &incident,
        ",\"duplicate_summary\":",
        &summary,
        ",\"duplicate_matches\":",
        &matches,
        "}",
    ];
    Ok(([(header::CONTENT_TYPE, "application/json")], parts.concat()).into_response())
}

static NO_DUPLICATES: LazyLock<String> = LazyLock::new(|| json!(DuplicateSummary::default()).to_string());

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use std::sync::Arc;

    use serde_json::{Value, json};
    use tandem_core::{
        actor::{ActorKind, ActorRef, OpContext},
        signal::{
            Door, accept,
            accept::{FreshIds, Settings},
            fold::{self, Written},
        },
        tenant::TenantContext,
    };

    use super::{DuplicateSummary, Outcome, answer};

    fn outcome() -> Outcome {
        let tenant = TenantContext::local();
        let actor = ActorRef { kind: ActorKind::System, actor_id: None, source: None };
        let ctx = OpContext { tenant: tenant.clone(), actor, request_id: "r".into(), now_ms: 1 };
        let report = json!({"title": "it broke", "detail": "ValueError: 7", "event": "job.failed", "level": "error"});
        let report = serde_json::from_value(report).expect("a report");
        let ids = FreshIds { incident_id: "i".into(), draft_id: "d".into(), event_id: "e".into() };
        let settings = Settings { repo: Some("acme/shop"), ..Settings::default() };
        let accepted = accept(report, Door::Report, &settings, &tenant.key(), ids, "r", 1).expect("accepted");
        fold::fold(&mut fold::Existing::default(), &accepted, &ctx).outcome
    }

    async fn body(outcome: Outcome) -> Value {
        let response = answer(outcome, true).expect("accepted");
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&bytes).expect("JSON")
    }

    #[tokio::test]
    async fn an_answer_is_its_rows_without_the_identity() {
        let mut outcome = outcome();
        let incident = Arc::make_mut(&mut outcome.incident);
        incident.title = "a \"quoted\" ,\"identity\":\"x\" title".into();
        let mut shown = json!(incident);
        assert!(shown.as_object_mut().expect("an object").remove("identity").is_some());
        let told = body(outcome.clone()).await;
        assert_eq!(told["incident"], shown);
        assert_eq!(told["draft"], json!(outcome.draft));
        assert_eq!(
            (&told["duplicate_summary"], &told["duplicate_matches"]),
            (&json!(DuplicateSummary::default()), &json!([]))
        );
        // What the store has written is repeated as it is.
        let draft = json!({ "draft_id": "as stored" });
        outcome.stored = Some(Written { incident: shown.to_string(), draft: Some(draft.to_string()) });
        assert_eq!(body(outcome).await["draft"], draft);
    }
}
