//! Evidence in somebody else's keeping: one bundle on request, and exports by schedule with their receipts. And how long
//! bodies of rows and artifacts are kept here.

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
    retention::{AuditRetention, HoldWish, LegalHold, RetentionWish},
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
use crate::extract::{Body, Decider, Operator, Page, PageParams, Path, Query};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(evidence))
        .routes(routes!(exports))
        .routes(routes!(config, configure))
        .routes(routes!(retention, retain))
        .routes(routes!(holds, hold))
        .routes(routes!(release))
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

#[derive(Serialize, ToSchema)]
pub struct RetentionAnswer {
    /// Null until retention is configured; every body is kept then.
    pub config: Option<AuditRetention>,
}

#[derive(Serialize, ToSchema)]
pub struct HoldList {
    /// Newest first.
    pub holds: Vec<LegalHold>,
    pub count: usize,
}

#[derive(Serialize, ToSchema)]
pub struct HoldAnswer {
    pub hold: LegalHold,
}

/// Export evidence
///
/// One file: the authority inventory, the receipts of exports, what witnesses signed and the stored assessment reports with
/// what was signed about each, a list of them that is signed
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

/// Read the setting of retention
#[utoipa::path(
    get, path = "/audit/retention", tag = "audit",
    responses(
        (status = 200, body = RetentionAnswer),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`"),
    )
)]
pub async fn retention(operator: Operator, State(state): State<AppState>) -> Answer<RetentionAnswer> {
    admin(&operator)?;
    Ok(Json(RetentionAnswer { config: state.app.audit_retention(&operator.ctx).await? }))
}

/// Configure retention
///
/// Bodies of audit rows that are older than `body_days` are dropped; null keeps them all. Of such a row its place, its
/// hash, its time and its type stay, so proofs, checkpoints and exports go on as before, and it is shown with
/// `body_dropped`. Rows of type `audit.retention.dropped` tell which bodies were dropped. Nothing is dropped that is on
/// hold, that a scheduled export has still to take, or from a log that was tampered with.
///
/// Bodies of evidence artifacts (kept assessment reports and runs of probes) that are older than `artifact_days` are
/// dropped in the same way. Digest, size and signed statement stay; rows of type `audit.retention.artifacts_dropped` tell
/// which went.
#[utoipa::path(
    put, path = "/audit/retention", tag = "audit",
    request_body = RetentionWish,
    responses(
        (status = 200, body = RetentionAnswer),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED` with `field`: outside 1 to 36500 days."),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `HUMAN_ACTOR_REQUIRED`"),
    )
)]
pub async fn retain(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Body(wish): Body<RetentionWish>,
) -> Answer<RetentionAnswer> {
    admin(&operator)?;
    Ok(Json(RetentionAnswer { config: Some(state.app.audit_retention_configure(&operator.ctx, wish).await?) }))
}

/// List legal holds
#[utoipa::path(
    get, path = "/audit/holds", tag = "audit",
    responses(
        (status = 200, body = HoldList),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`"),
    )
)]
pub async fn holds(operator: Operator, State(state): State<AppState>) -> Answer<HoldList> {
    admin(&operator)?;
    let holds = state.app.legal_holds(&operator.ctx).await?;
    Ok(Json(HoldList { count: holds.len(), holds }))
}

/// Place a legal hold
///
/// Bodies of the rows and artifacts of its time are kept, whatever the setting of retention says, until it is released. One without
/// times holds everything.
#[utoipa::path(
    post, path = "/audit/holds", tag = "audit",
    request_body = HoldWish,
    responses(
        (status = 200, body = HoldAnswer),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED` with `field`"),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `HUMAN_ACTOR_REQUIRED`"),
        (status = 409, body = ErrorBody, description = "`AUDIT_HOLD_LIMIT`: a tenant has at most 100."),
    )
)]
pub async fn hold(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Body(wish): Body<HoldWish>,
) -> Answer<HoldAnswer> {
    admin(&operator)?;
    Ok(Json(HoldAnswer { hold: state.app.legal_hold_place(&operator.ctx, wish).await? }))
}

/// Release a legal hold
///
/// What it kept is looked at again by the next sweep.
#[utoipa::path(
    delete, path = "/audit/holds/{hold_id}", tag = "audit",
    params(("hold_id" = String, Path)),
    responses(
        (status = 200, body = HoldAnswer),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`AUDIT_HOLD_NOT_FOUND`"),
    )
)]
pub async fn release(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(hold_id): Path<String>,
) -> Answer<HoldAnswer> {
    admin(&operator)?;
    Ok(Json(HoldAnswer { hold: state.app.legal_hold_release(&operator.ctx, &hold_id).await? }))
}
