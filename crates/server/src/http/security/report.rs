//! The assessment report, in each of its forms.

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tandem_core::text::non_blank;
use tandem_posture::report::{Format, Report, Request};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::without_intake_key;
use crate::{
    extract::{Body, Operator, Path, Query},
    http::{answer::ApiError, document::ErrorBody, state::AppState},
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(generate)).routes(routes!(kept))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FormatQuery {
    /// `json` (the default), `markdown`, `html`, `sarif`, `ocsf` or `oscal`.
    pub format: Option<String>,
}

impl FormatQuery {
    fn read(&self) -> Result<Format, ApiError> {
        let Some(word) = non_blank(self.format.as_deref()) else { return Ok(Format::default()) };
        Format::from_word(&word.to_ascii_lowercase()).ok_or_else(|| {
            ApiError::unreadable(400, "`format` must be one of json, markdown, html, sarif, ocsf, oscal.")
        })
    }
}

/// Write an assessment report
///
/// What the estate, its rules, probes, scenarios, metrics and recent history come to. The report is kept as an evidence
/// artifact unless `persist_artifact` is false, and each call is a row of the audit log. Nothing is sent anywhere, and
/// raw payloads are never included. It records what was observed and what was not assessed; it certifies nothing.
#[utoipa::path(
    post, path = "/incident-monitor/security/assessment-report", tag = "assessment",
    params(FormatQuery), request_body = Request,
    responses(
        (status = 200, content(
            (Report = "application/json"), (String = "text/markdown"), (String = "text/html"), (Object = "application/sarif+json")
        )),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED`: an unknown format, severity or cursor, no known probe, or a window that ends before it begins."),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_ASSESSMENT_REPORT_ADMIN_REQUIRED`: a scoped intake key came along."),
    )
)]
pub async fn generate(
    operator: Operator,
    State(state): State<AppState>,
    Query(query): Query<FormatQuery>,
    Body(request): Body<Request>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    let format = query.read()?;
    let written = state.app.assess(&operator.ctx, async move |app, turn, ctx| {
        Ok(Written::of(&app.assessment_report(turn, ctx, &request).await?, format))
    });
    Ok(written.await?.answer(format))
}

/// Read a report that was kept
///
/// As it was written, in any form. One whose bytes do not have the recorded digest any more is refused.
#[utoipa::path(
    get, path = "/incident-monitor/security/assessment-report/{artifact_id}", tag = "assessment",
    params(("artifact_id" = String, Path, description = "Of the report's `evidence_pack`."), FormatQuery),
    responses(
        (status = 200, content(
            (Report = "application/json"), (String = "text/markdown"), (String = "text/html"), (Object = "application/sarif+json")
        )),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED`: an unknown format."),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_ASSESSMENT_REPORT_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 404, body = ErrorBody, description = "`EVIDENCE_ARTIFACT_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`EVIDENCE_ARTIFACT_TAMPERED`"),
    )
)]
pub async fn kept(
    operator: Operator,
    State(state): State<AppState>,
    Path(artifact_id): Path<String>,
    Query(query): Query<FormatQuery>,
) -> Result<Response, ApiError> {
    without_intake_key(&operator)?;
    let format = query.read()?;
    let written = state.app.assess(&operator.ctx, async move |app, turn, ctx| {
        Ok(Written::of(&app.kept_report(turn, ctx, &artifact_id).await?, format))
    });
    Ok(written.await?.answer(format))
}

/// The page loads nothing and runs nothing, wherever it is opened.
const CLOSED: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'");

/// A report in one form, and where it can be read again.
struct Written {
    text: String,
    place: Option<String>,
}

impl Written {
    fn of(report: &Report, format: Format) -> Self {
        let id = report.pack().artifact_id;
        let place = id.map(|id| format!("/incident-monitor/security/assessment-report/{id}"));
        Self { text: format.render(report), place }
    }

    fn answer(self, format: Format) -> Response {
        let mut response = self.text.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        if let Some(place) = self.place.and_then(|place| HeaderValue::from_str(&place).ok()) {
            headers.insert(header::CONTENT_LOCATION, place);
        }
        match format {
            Format::Json => {}
            Format::Html => {
                headers.insert(header::CONTENT_SECURITY_POLICY, CLOSED);
                headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            }
            Format::Markdown | Format::Sarif | Format::Ocsf | Format::Oscal => {
                let name = format!("attachment; filename=\"{}\"", format.file());
                if let Ok(name) = HeaderValue::from_str(&name) {
                    headers.insert(header::CONTENT_DISPOSITION, name);
                }
                headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            }
        }
        response
    }
}
