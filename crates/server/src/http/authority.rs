//! What other systems declare to exist: workflows, hooks, agents, tool policies, runtimes.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tandem_app::PageRequest;
use tandem_core::error::Code;
use tandem_posture::declared::{Declared, DeclaredKind, read::DeclaredBody};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError},
    document::ErrorBody,
    lists::cursor,
    security::without_intake_key,
    state::AppState,
};
use crate::extract::{Body, Decider, Operator, Page, Path, Query};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, put, delete)).routes(routes!(seen))
}

/// A declaration, and whether it still holds.
#[derive(Serialize, ToSchema)]
pub struct DeclaredView {
    #[serde(flatten)]
    pub declared: Declared,
    /// It was not repeated in time.
    pub stale: bool,
}

#[derive(Serialize, ToSchema)]
pub struct DeclaredAnswer {
    pub declared: DeclaredView,
}

#[derive(Serialize, ToSchema)]
pub struct DeclarationAnswer {
    /// Nothing was known of it before.
    pub created: bool,
    /// Something else was said than before. A repetition changes nothing but `last_seen_at_ms`.
    pub changed: bool,
    pub declared: DeclaredView,
}

#[derive(Serialize, ToSchema)]
pub struct RemovedDeclaration {
    pub ok: bool,
    /// As it was.
    pub declared: DeclaredView,
}

#[derive(Serialize, ToSchema)]
pub struct DeclaredList {
    pub declared: Vec<DeclaredView>,
    /// Rows in this answer.
    pub count: usize,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeclaredQuery {
    /// `true`: only what was not repeated in time; `false`: only what was.
    pub stale: Option<bool>,
    /// Rows wanted, 50 by default; values outside 1…200 are brought inside.
    #[allow(dead_code, reason = "read by Page")]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    #[allow(dead_code, reason = "read by Page")]
    pub cursor: Option<String>,
}

fn kind(segment: &str) -> Result<DeclaredKind, ApiError> {
    DeclaredKind::from_segment(segment).ok_or_else(|| ApiError::of(Code::NotFound))
}

fn shown(declared: Declared, now_ms: u64) -> DeclaredView {
    DeclaredView { stale: declared.is_stale(now_ms), declared }
}

/// List declarations of one kind
///
/// Those seen last come first.
#[utoipa::path(
    get, path = "/authority/{kind}", tag = "assessment",
    params(("kind" = String, Path, description = "`workflows`, `hooks`, `agents`, `tool-policies` or `runtimes`"), DeclaredQuery),
    responses(
        (status = 200, body = DeclaredList),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 404, body = ErrorBody, description = "`NOT_FOUND`: no such kind."),
    )
)]
pub async fn list(
    operator: Operator,
    State(state): State<AppState>,
    Path(segment): Path<String>,
    page: Page,
    Query(query): Query<DeclaredQuery>,
) -> Answer<DeclaredList> {
    without_intake_key(&operator)?;
    let kind = kind(&segment)?;
    let request = PageRequest { limit: page.limit(), after: page.after, ..PageRequest::default() };
    let found = state.app.declared_page(&operator.ctx, kind, query.stale, request).await?;
    let declared: Vec<_> = found.items.into_iter().map(|row| shown(row, operator.ctx.now_ms)).collect();
    Ok(Json(DeclaredList { count: declared.len(), declared, next_cursor: cursor(found.next) }))
}

/// Read a declaration
#[utoipa::path(
    get, path = "/authority/{kind}/{id}", tag = "assessment",
    params(("kind" = String, Path, description = "`workflows`, `hooks`, `agents`, `tool-policies` or `runtimes`"), ("id" = String, Path)),
    responses(
        (status = 200, body = DeclaredAnswer),
        (status = 403, body = ErrorBody, description = "`INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 404, body = ErrorBody, description = "`AUTHORITY_DECLARATION_NOT_FOUND`; `NOT_FOUND` for an unknown kind."),
    )
)]
pub async fn get(
    operator: Operator,
    State(state): State<AppState>,
    Path((segment, id)): Path<(String, String)>,
) -> Answer<DeclaredAnswer> {
    without_intake_key(&operator)?;
    let declared = state.app.declared(&operator.ctx, kind(&segment)?, &id).await?;
    Ok(Json(DeclaredAnswer { declared: shown(declared, operator.ctx.now_ms) }))
}

/// Declare that something exists
///
/// Saying the same again only moves `last_seen_at_ms`. What is not repeated within `stale_after_ms` goes stale. Of
/// parameters, environments and headers the names are kept, of addresses the host, of commands the program; values never.
/// An agent may declare itself, things that nobody declared, and what it declared before. It may repeat what others said
/// of it, and change nothing that others said.
#[utoipa::path(
    put, path = "/authority/{kind}/{id}", tag = "assessment",
    params(("kind" = String, Path, description = "`workflows`, `hooks`, `agents`, `tool-policies` or `runtimes`"), ("id" = String, Path, description = "1 to 200 of `A-Za-z0-9._:@-`")),
    request_body = DeclaredBody,
    responses(
        (status = 200, body = DeclarationAnswer),
        (status = 400, body = ErrorBody, description = "`AUTHORITY_DECLARATION_INVALID` with `field` and `detail`"),
        (status = 403, body = ErrorBody, description = "`AUTHORITY_DECLARATION_FORBIDDEN`, or `INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 404, body = ErrorBody, description = "`NOT_FOUND`: no such kind."),
        (status = 409, body = ErrorBody, description = "`AUTHORITY_DECLARATION_LIMIT`"),
    )
)]
pub async fn put(
    operator: Operator,
    State(state): State<AppState>,
    Path((segment, id)): Path<(String, String)>,
    Body(body): Body<DeclaredBody>,
) -> Answer<DeclarationAnswer> {
    without_intake_key(&operator)?;
    let done = state.app.declare(&operator.ctx, kind(&segment)?, &id, body).await?;
    let declared = shown(done.declared, operator.ctx.now_ms);
    Ok(Json(DeclarationAnswer { created: done.created, changed: done.changed, declared }))
}

/// Say that something still exists
///
/// Takes no body. Moves `last_seen_at_ms`, as repeating the declaration would.
#[utoipa::path(
    post, path = "/authority/{kind}/{id}/seen", tag = "assessment",
    params(("kind" = String, Path, description = "`workflows`, `hooks`, `agents`, `tool-policies` or `runtimes`"), ("id" = String, Path)),
    responses(
        (status = 200, body = DeclaredAnswer),
        (status = 403, body = ErrorBody, description = "`AUTHORITY_DECLARATION_FORBIDDEN`, or `INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 404, body = ErrorBody, description = "`AUTHORITY_DECLARATION_NOT_FOUND`; `NOT_FOUND` for an unknown kind."),
    )
)]
pub async fn seen(
    operator: Operator,
    State(state): State<AppState>,
    Path((segment, id)): Path<(String, String)>,
) -> Answer<DeclaredAnswer> {
    without_intake_key(&operator)?;
    let declared = state.app.declared_seen(&operator.ctx, kind(&segment)?, &id).await?;
    Ok(Json(DeclaredAnswer { declared: shown(declared, operator.ctx.now_ms) }))
}

/// Remove a declaration
///
/// For what does not exist any more. Whatever still declares it makes it anew.
#[utoipa::path(
    delete, path = "/authority/{kind}/{id}", tag = "assessment",
    params(("kind" = String, Path, description = "`workflows`, `hooks`, `agents`, `tool-policies` or `runtimes`"), ("id" = String, Path)),
    responses(
        (status = 200, body = RemovedDeclaration),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`, or `INCIDENT_MONITOR_SECURITY_ADMIN_REQUIRED`: a scoped intake key came along."),
        (status = 404, body = ErrorBody, description = "`AUTHORITY_DECLARATION_NOT_FOUND`; `NOT_FOUND` for an unknown kind."),
    )
)]
pub async fn delete(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path((segment, id)): Path<(String, String)>,
) -> Answer<RemovedDeclaration> {
    without_intake_key(&operator)?;
    let declared = state.app.declared_withdraw(&operator.ctx, kind(&segment)?, &id).await?;
    Ok(Json(RemovedDeclaration { ok: true, declared: shown(declared, operator.ctx.now_ms) }))
}
