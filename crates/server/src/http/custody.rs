//! Evidence in somebody else's keeping: one bundle on request, and exports by schedule with their receipts.

use axum::{
    Json,
    body::Body as Bytes,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use serde::Serialize;
use tandem_app::PageRequest;
use tandem_core::custody::{
    receipt::ExportReceipt,
    setting::{ExportSetting, ExportWish},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError},
    audit::{ExportQuery, NDJSON, admin, lines},
    document::ErrorBody,
    lists::cursor,
    state::AppState,
};
use crate::extract::{Body, Decider, Operator, Page, PageParams, Query};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(evidence)).routes(routes!(exports)).routes(routes!(config, configure))
}

#[derive(Serialize, ToSchema)]
pub struct ExportList {
    pub exports: Vec<ExportReceipt>,
    /// Rows in this answer.
    pub count: usize,
    pub next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct ExportConfigAnswer {
    /// Null until exports are configured.
    pub config: Option<ExportSetting>,
}

/// Export evidence
///
/// One file: the authority inventory, the receipts of exports and what witnesses signed, a list of them that is signed
/// with the key of the log, and an export of the log. `tandem audit verify` checks all of it offline.
#[utoipa::path(
    get, path = "/audit/evidence/export", tag = "audit", params(ExportQuery),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson"),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `TENANT_CONTEXT_DENIED` for another tenant."),
    )
)]
pub async fn evidence(
    operator: Operator,
    State(state): State<AppState>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    admin(&operator)?;
    let tenant = state.app.audit_tenant(&operator.ctx, query.tenant.as_deref())?;
    let (head, export) = state.app.evidence_export(&operator.ctx, &tenant, query.since_ms, query.until_ms).await?;
    let first = futures_util::stream::once(async { Ok::<_, std::io::Error>(head) });
    let mut response = Bytes::from_stream(first.chain(lines(export))).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, NDJSON);
    response.headers_mut().insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"tandem-evidence.ndjson\""),
    );
    Ok(response)
}

/// List exports
///
/// The receipt of each object, newest first.
#[utoipa::path(
    get, path = "/audit/exports", tag = "audit", params(PageParams),
    responses(
        (status = 200, body = ExportList),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`"),
    )
)]
pub async fn exports(operator: Operator, State(state): State<AppState>, page: Page) -> Answer<ExportList> {
    admin(&operator)?;
    let request = PageRequest { limit: page.limit(), after: page.after, ..PageRequest::default() };
    let found = state.app.exports(&operator.ctx, &request).await?;
    Ok(Json(ExportList { count: found.items.len(), exports: found.items, next_cursor: cursor(found.next) }))
}

/// Read the setting of exports
#[utoipa::path(
    get, path = "/audit/exports/config", tag = "audit",
    responses(
        (status = 200, body = ExportConfigAnswer),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`"),
    )
)]
pub async fn config(operator: Operator, State(state): State<AppState>) -> Answer<ExportConfigAnswer> {
    admin(&operator)?;
    Ok(Json(ExportConfigAnswer { config: state.app.export_setting(&operator.ctx).await? }))
}

/// Configure exports
///
/// What was appended to the log is exported at this interval, run after run, to a directory beneath the server's own for
/// exports (`--export-dir`) or to a store that speaks S3. Another place begins with row 1. Credentials are named, as
/// `env:TANDEM_EXPORT_…`, and read each time.
#[utoipa::path(
    put, path = "/audit/exports/config", tag = "audit",
    request_body = ExportWish,
    responses(
        (status = 200, body = ExportConfigAnswer),
        (status = 400, body = ErrorBody, description = "`AUDIT_EXPORT_CONFIG_INVALID` with `field` and `detail`"),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `HUMAN_ACTOR_REQUIRED`"),
    )
)]
pub async fn configure(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Body(wish): Body<ExportWish>,
) -> Answer<ExportConfigAnswer> {
    admin(&operator)?;
    Ok(Json(ExportConfigAnswer { config: Some(state.app.export_configure(&operator.ctx, wish).await?) }))
}
