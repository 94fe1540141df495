//! The audit log over HTTP: rows, stream, checkpoint, proofs, export, acknowledgement.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    body::Body as Bytes,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_app::assess::BoundaryRequest;
use tandem_app::audit::{Acknowledge, EventsRequest, ExportStream, Manifest};
use tandem_core::{
    audit::{
        event::AuditEvent,
        integrity::Integrity,
        proof::{ConsistencyProof, InclusionProof},
    },
    error::Code,
};
use tandem_posture::boundary::{Filter, Monitoring};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError, assessed},
    document::ErrorBody,
    state::AppState,
};
use crate::extract::{Body, Decider, Operator, Page, Query, page};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(protected))
        .routes(routes!(stream))
        .routes(routes!(manifest))
        .routes(routes!(export))
        .routes(routes!(checkpoint))
        .routes(routes!(inclusion))
        .routes(routes!(consistency))
        .routes(routes!(acknowledge))
        .routes(routes!(boundary))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Another tenant's log (`org/workspace`); only the local implicit tenant may name one.
    pub tenant: Option<String>,
    /// Only rows of this type.
    pub event_type: Option<String>,
    /// Only rows whose payload holds one of these (comma-separated) as a string value.
    pub run_id: Option<String>,
    /// Rows wanted, 100 by default; values outside 1…1000 are brought inside.
    #[allow(dead_code, reason = "read by Page")]
    pub limit: Option<String>,
    /// `next_cursor` of the page before: older rows.
    #[allow(dead_code, reason = "read by Page")]
    pub cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct ProtectedAnswer {
    /// Oldest first.
    #[schema(value_type = Vec<AuditEvent>)]
    pub events: Vec<Value>,
    /// Rows in this answer.
    pub count: usize,
    /// Continues with older rows.
    pub next_cursor: Option<String>,
    pub integrity: Integrity,
}

/// The log is for whoever holds a full token or speaks for the control panel. An intake key that comes along, and the mere
/// absence of a token on a server that asks for none, are neither.
pub fn admin(operator: &Operator) -> Result<(), ApiError> {
    let nobody = operator.ctx.actor.source.as_deref() == Some("local_control_panel");
    if operator.key_refused.is_some() || nobody { Err(ApiError::of(Code::AuditAdminRequired)) } else { Ok(()) }
}

/// Read audit rows
///
/// The newest rows that match, oldest first.
#[utoipa::path(
    get, path = "/audit/protected", tag = "audit", params(AuditQuery),
    responses(
        (status = 200, body = ProtectedAnswer),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `TENANT_CONTEXT_DENIED` for another tenant."),
    )
)]
pub async fn protected(
    operator: Operator,
    State(state): State<AppState>,
    page: Page,
    Query(query): Query<AuditQuery>,
) -> Answer<ProtectedAnswer> {
    admin(&operator)?;
    let tenant = state.app.audit_tenant(&operator.ctx, query.tenant.as_deref())?;
    let before_seq = match &page.after {
        None => None,
        Some((seq, _)) => {
            Some(u64::try_from(*seq).map_err(|_| ApiError::unreadable(400, "`cursor` is not one of ours."))?)
        }
    };
    let run_ids = query.run_id.as_deref().unwrap_or_default().split(',').map(str::trim);
    let request = EventsRequest {
        event_type: query.event_type.filter(|kind| !kind.trim().is_empty()),
        run_ids: run_ids.filter(|id| !id.is_empty()).map(str::to_owned).collect(),
        limit: page.limit_in(100, 1_000),
        before_seq,
    };
    let found = state.app.audit_events(&tenant, &request).await?;
    let next_cursor = found.next.and_then(|seq| i64::try_from(seq).ok()).map(|seq| page::encode(seq, "audit"));
    Ok(Json(ProtectedAnswer {
        count: found.events.len(),
        events: found.events,
        next_cursor,
        integrity: found.integrity,
    }))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TenantQuery {
    /// Another tenant's log (`org/workspace`); only the local implicit tenant may name one.
    pub tenant: Option<String>,
}

/// Read the log's manifest
///
/// Its size, its signed root, its key, and how intact it is. A fresh log has none of either and is fine.
#[utoipa::path(
    get, path = "/audit/ledger/manifest", tag = "audit", params(TenantQuery),
    responses(
        (status = 200, body = Manifest),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `TENANT_CONTEXT_DENIED` for another tenant."),
    )
)]
pub async fn manifest(
    operator: Operator,
    State(state): State<AppState>,
    Query(query): Query<TenantQuery>,
) -> Answer<Manifest> {
    admin(&operator)?;
    let tenant = state.app.audit_tenant(&operator.ctx, query.tenant.as_deref())?;
    Ok(Json(state.app.audit_manifest(&tenant).await?))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    pub tenant: Option<String>,
    /// First time to export, milliseconds.
    pub since_ms: Option<u64>,
    /// Last time to export, milliseconds.
    pub until_ms: Option<u64>,
}

pub const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Export the log as a bundle
///
/// One row a line by `seq`, then a trailer that proves them against the signed checkpoint. `tandem audit verify` checks
/// it offline.
#[utoipa::path(
    get, path = "/audit/ledger/export", tag = "audit", params(ExportQuery),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson"),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `TENANT_CONTEXT_DENIED` for another tenant."),
    )
)]
pub async fn export(
    operator: Operator,
    State(state): State<AppState>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    admin(&operator)?;
    let tenant = state.app.audit_tenant(&operator.ctx, query.tenant.as_deref())?;
    let export = state.app.audit_export(&tenant, query.since_ms, query.until_ms).await?;
    let mut response = Bytes::from_stream(lines(export)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, NDJSON);
    response.headers_mut().insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"audit-ledger-export.ndjson\""),
    );
    Ok(response)
}

/// The lines of an export as they are made.
pub fn lines(export: ExportStream) -> impl Stream<Item = Result<String, std::io::Error>> {
    futures_util::stream::unfold(Some(export), |export| async {
        let mut export = export?;
        match export.next().await {
            Ok(Some(lines)) => Some((Ok(lines), Some(export))),
            Ok(None) => None,
            // Without its trailer the bundle does not verify, so a broken export cannot pass for a whole one.
            Err(failure) => Some((Err(std::io::Error::other(failure.code.word())), None)),
        }
    })
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    pub tenant: Option<String>,
    /// Start after this row: the `cursor` of the last line that was read; 0 is the beginning. Absent starts now.
    pub cursor: Option<u64>,
}

/// How often the stream looks for rows, and how often it says that it is alive.
const LOOK: Duration = Duration::from_millis(200);
const HEARTBEATS: u32 = 75;

/// Follow the log
///
/// Never ends: one row a line, with its `cursor`; a `heartbeat` line every fifteen seconds without rows.
#[utoipa::path(
    get, path = "/audit/stream", tag = "audit", params(StreamQuery),
    responses(
        (status = 200, body = String, content_type = "application/x-ndjson"),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `TENANT_CONTEXT_DENIED` for another tenant."),
    )
)]
pub async fn stream(
    operator: Operator,
    State(state): State<AppState>,
    Query(query): Query<StreamQuery>,
) -> Result<Response, ApiError> {
    admin(&operator)?;
    let tenant = state.app.audit_tenant(&operator.ctx, query.tenant.as_deref())?;
    let at = match query.cursor {
        Some(cursor) => cursor,
        None => state.app.store().audit_size(&tenant).await?,
    };
    let stopping = state.gate.stopping();
    let start = (state.app.clone(), tenant, at, stopping, 0_u32);
    let lines = futures_util::stream::unfold(start, |(app, tenant, mut at, mut stopping, mut quiet)| async move {
        loop {
            // A read that fails is tried again; the cursor has not moved.
            let rows = app.audit_stream(&tenant, at, 200).await.unwrap_or_default();
            if !rows.is_empty() {
                let mut out = String::new();
                for row in rows {
                    at = row.seq;
                    out.push_str(&row.line.to_string());
                    out.push('\n');
                }
                return Some((Ok::<_, Infallible>(out), (app, tenant, at, stopping, 0)));
            }
            quiet += 1;
            if quiet % HEARTBEATS == 0 {
                let line = serde_json::json!({ "event_type": "heartbeat", "cursor": at, "timestamp": app.now_ms() });
                return Some((Ok(format!("{line}\n")), (app, tenant, at, stopping, quiet)));
            }
            if *stopping.borrow() {
                return None;
            }
            let _ = tokio::time::timeout(LOOK, stopping.changed()).await;
        }
    });
    let mut response = Bytes::from_stream(lines).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, NDJSON);
    Ok(response)
}

/// Read the signed checkpoint
///
/// Signs what was appended since, and answers the C2SP signed note as text.
#[utoipa::path(
    get, path = "/audit/checkpoint", tag = "audit", params(TenantQuery),
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `TENANT_CONTEXT_DENIED` for another tenant."),
    )
)]
pub async fn checkpoint(
    operator: Operator,
    State(state): State<AppState>,
    Query(query): Query<TenantQuery>,
) -> Result<Response, ApiError> {
    admin(&operator)?;
    let tenant = state.app.audit_tenant(&operator.ctx, query.tenant.as_deref())?;
    Ok(state.app.checkpoint(&tenant).await?.note.into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InclusionQuery {
    pub tenant: Option<String>,
    /// The row, from 1.
    pub seq: u64,
    /// The tree to prove it in; the newest signed one by default.
    pub tree_size: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub struct InclusionAnswer {
    pub proof: InclusionProof,
    /// The signed note of the newest tree.
    pub checkpoint: String,
    pub public_key: String,
    pub integrity: Integrity,
}

/// Prove that a row is in the log
#[utoipa::path(
    get, path = "/audit/proof/inclusion", tag = "audit", params(InclusionQuery),
    responses(
        (status = 200, body = InclusionAnswer),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `TENANT_CONTEXT_DENIED` for another tenant."),
    )
)]
pub async fn inclusion(
    operator: Operator,
    State(state): State<AppState>,
    Query(query): Query<InclusionQuery>,
) -> Answer<InclusionAnswer> {
    admin(&operator)?;
    let tenant = state.app.audit_tenant(&operator.ctx, query.tenant.as_deref())?;
    let (proof, signed) = state.app.inclusion(&tenant, query.seq, query.tree_size).await?;
    let integrity = state.app.integrity(&tenant).await?;
    Ok(Json(InclusionAnswer { proof, checkpoint: signed.note, public_key: signed.public_key, integrity }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConsistencyQuery {
    pub tenant: Option<String>,
    /// The earlier tree's size.
    pub from: u64,
    /// The later tree's size; the newest signed one by default.
    pub to: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub struct ConsistencyAnswer {
    pub proof: ConsistencyProof,
    /// The signed note of the newest tree.
    pub checkpoint: String,
    pub public_key: String,
    pub integrity: Integrity,
}

/// Prove that the log only grew
#[utoipa::path(
    get, path = "/audit/proof/consistency", tag = "audit", params(ConsistencyQuery),
    responses(
        (status = 200, body = ConsistencyAnswer),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `TENANT_CONTEXT_DENIED` for another tenant."),
    )
)]
pub async fn consistency(
    operator: Operator,
    State(state): State<AppState>,
    Query(query): Query<ConsistencyQuery>,
) -> Answer<ConsistencyAnswer> {
    admin(&operator)?;
    let tenant = state.app.audit_tenant(&operator.ctx, query.tenant.as_deref())?;
    let (proof, signed) = state.app.consistency(&tenant, query.from, query.to).await?;
    let integrity = state.app.integrity(&tenant).await?;
    Ok(Json(ConsistencyAnswer { proof, checkpoint: signed.note, public_key: signed.public_key, integrity }))
}

#[derive(Deserialize, ToSchema)]
pub struct AcknowledgeRequest {
    /// The `first_bad_seq` that the log shows now.
    pub first_bad_seq: u64,
    /// What was found out about it.
    #[serde(default)]
    pub note: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct AcknowledgeAnswer {
    pub ok: bool,
    pub integrity: Integrity,
}

/// Acknowledge a break in the log
///
/// The only way out of the tampered state; it is a row itself.
#[utoipa::path(
    post, path = "/audit/integrity/acknowledge", tag = "audit",
    request_body = AcknowledgeRequest,
    responses(
        (status = 200, body = AcknowledgeAnswer),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `HUMAN_ACTOR_REQUIRED`"),
        (status = 409, body = ErrorBody, description = "`VALIDATION_FAILED`: the log shows no break at that row."),
    )
)]
pub async fn acknowledge(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Body(request): Body<AcknowledgeRequest>,
) -> Answer<AcknowledgeAnswer> {
    admin(&operator)?;
    let ack = Acknowledge { first_bad_seq: request.first_bad_seq, note: request.note.unwrap_or_default() };
    let integrity = state.app.integrity_acknowledge(&operator.ctx, &ack).await?;
    Ok(Json(AcknowledgeAnswer { ok: true, integrity }))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BoundaryQuery {
    /// Another tenant's log (`org/workspace`); only the local implicit tenant may name one.
    pub tenant: Option<String>,
    /// First time to count, milliseconds.
    pub since_ms: Option<u64>,
    /// Last time to count, milliseconds.
    pub until_ms: Option<u64>,
    pub action: Option<String>,
    pub provider_id: Option<String>,
    pub source_kind: Option<String>,
    /// Newest events to show, 20 by default; values outside 1…100 are brought inside.
    pub recent_limit: Option<usize>,
}

#[derive(Serialize, ToSchema)]
pub struct BoundaryAnswer {
    #[serde(flatten)]
    pub monitoring: Monitoring,
    /// There were more rows of a type than are counted; the newest were.
    pub truncated: bool,
    pub integrity: Integrity,
}

/// Watch the data boundaries
///
/// Counts the `data_boundary.` rows of the log. Only fields that are safe to show are read.
#[utoipa::path(
    get, path = "/audit/data-boundary/monitoring", tag = "audit", params(BoundaryQuery),
    responses(
        (status = 200, body = BoundaryAnswer),
        (status = 403, body = ErrorBody, description = "`AUDIT_ADMIN_REQUIRED`, or `TENANT_CONTEXT_DENIED` for another tenant."),
    )
)]
pub async fn boundary(
    operator: Operator,
    State(state): State<AppState>,
    Query(query): Query<BoundaryQuery>,
) -> Result<Response, ApiError> {
    admin(&operator)?;
    let tenant = state.app.audit_tenant(&operator.ctx, query.tenant.as_deref())?;
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let request = BoundaryRequest {
        since_ms: query.since_ms,
        until_ms: query.until_ms,
        filter: Filter {
            action: given(query.action),
            provider_id: given(query.provider_id),
            source_kind: given(query.source_kind),
        },
        recent: query.recent_limit.unwrap_or(20).clamp(1, 100),
    };
    let work = assessed(&state, &operator, async move |app, turn, _| {
        let (monitoring, integrity, truncated) = app.boundary_monitoring(turn, &tenant, &request).await?;
        Ok(BoundaryAnswer { monitoring, truncated, integrity })
    });
    work.await
}
