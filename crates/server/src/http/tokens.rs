//! Full tokens: list, create, revoke. A token is shown once, in the answer that creates it; afterwards only its hash
//! exists. Agents may not manage tokens, whichever credential they hold.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use tandem_core::{
    credential::{ApiToken, token::NewToken},
    tenant::TenantContext,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError},
    document::ErrorBody,
    state::AppState,
};
use crate::{
    boot::token,
    extract::{Body, Decider, Path},
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// A full token as shown: everything but the secret and its hash.
#[derive(Serialize, ToSchema)]
pub struct TokenView {
    pub token_id: String,
    pub name: String,
    pub tenant: TenantContext,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    pub may_assert_actor: bool,
    /// Neither revoked nor expired.
    pub active: bool,
    pub created_at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
    /// To the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
}

impl TokenView {
    fn of(token: ApiToken, last_used_at_ms: Option<u64>, now_ms: u64) -> Self {
        Self {
            active: token.is_live(now_ms),
            token_id: token.token_id,
            name: token.name,
            tenant: token.tenant,
            agent_id: token.agent_id,
            actor_id: token.actor_id,
            may_assert_actor: token.may_assert_actor,
            created_at_ms: token.created_at_ms,
            expires_at_ms: token.expires_at_ms,
            revoked_at_ms: token.revoked_at_ms,
            last_used_at_ms,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct TokenList {
    pub tokens: Vec<TokenView>,
    pub count: usize,
}

#[derive(Serialize, ToSchema)]
pub struct TokenCreated {
    pub token: TokenView,
    /// The token itself. It cannot be shown again.
    pub raw_token: String,
}

#[derive(Serialize, ToSchema)]
pub struct TokenRevoked {
    pub token: TokenView,
}

#[derive(Deserialize, ToSchema)]
pub struct TokenRequest {
    /// What the token is for; 1 to 120 characters.
    pub name: String,
    /// The tenant that the token opens; the caller's own when absent.
    pub tenant: Option<TenantPick>,
    /// Makes every request with this token that agent's.
    #[serde(alias = "agentID", alias = "agentId")]
    pub agent_id: Option<String>,
    /// In whose name the token speaks when a request names nobody.
    #[serde(alias = "actorID", alias = "actorId")]
    pub actor_id: Option<String>,
    /// Whether `x-tandem-actor-id` is believed.
    #[serde(alias = "mayAssertActor")]
    pub may_assert_actor: Option<bool>,
    #[serde(alias = "expiresAtMs")]
    pub expires_at_ms: Option<u64>,
}

#[derive(Deserialize, ToSchema)]
pub struct TenantPick {
    #[serde(alias = "orgID", alias = "orgId")]
    pub org_id: String,
    #[serde(alias = "workspaceID", alias = "workspaceId")]
    pub workspace_id: String,
}

impl From<TokenRequest> for NewToken {
    fn from(request: TokenRequest) -> Self {
        Self {
            name: request.name,
            tenant: request.tenant.map(|pick| (pick.org_id, pick.workspace_id)),
            agent_id: request.agent_id,
            actor_id: request.actor_id,
            may_assert_actor: request.may_assert_actor.unwrap_or(false),
            expires_at_ms: request.expires_at_ms,
        }
    }
}

/// List full tokens
#[utoipa::path(
    get, path = "/auth/tokens", tag = "auth",
    responses(
        (status = 200, body = TokenList),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`: agents may not manage tokens."),
    )
)]
pub async fn list(Decider(operator): Decider, State(state): State<AppState>) -> Answer<TokenList> {
    let found = state.app.tokens(&operator.ctx).await?;
    let shown = found.into_iter().map(|(token, used)| TokenView::of(token, used, operator.ctx.now_ms));
    let tokens: Vec<TokenView> = shown.collect();
    Ok(Json(TokenList { count: tokens.len(), tokens }))
}

/// Create a full token
#[utoipa::path(
    post, path = "/auth/tokens", tag = "auth",
    request_body = TokenRequest,
    responses(
        (status = 201, body = TokenCreated),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`, or `TENANT_CONTEXT_DENIED` for another tenant or in another person's name."),
        (status = 409, body = ErrorBody, description = "`API_TOKEN_LIMIT`: sixteen are active."),
    )
)]
pub async fn create(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Body(request): Body<TokenRequest>,
) -> Result<(StatusCode, Json<TokenCreated>), ApiError> {
    let ctx = &operator.ctx;
    let raw_token = token::fresh(state.ids());
    let token = state.app.token_create(ctx, request.into(), &raw_token).await?;
    state.gate.auth.invalidate();
    Ok((StatusCode::CREATED, Json(TokenCreated { token: TokenView::of(token, None, ctx.now_ms), raw_token })))
}

/// Revoke a full token
///
/// Takes no body. Revoking a revoked token changes nothing.
#[utoipa::path(
    post, path = "/auth/tokens/{id}/revoke", tag = "auth",
    params(("id" = String, Path, description = "`token_id`")),
    responses(
        (status = 200, body = TokenRevoked),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`: agents may not manage tokens."),
        (status = 404, body = ErrorBody, description = "`API_TOKEN_NOT_FOUND`"),
    )
)]
pub async fn revoke(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<TokenRevoked> {
    let (token, used) = state.app.token_revoke(&operator.ctx, &id).await?;
    state.gate.auth.invalidate();
    Ok(Json(TokenRevoked { token: TokenView::of(token, used, operator.ctx.now_ms) }))
}
