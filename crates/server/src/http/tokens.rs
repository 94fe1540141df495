//! Full tokens: list, create, revoke. A token is shown once, in the answer that creates it; afterwards only its hash
//! exists. Agents may not manage tokens, whichever credential they hold.
//!
//! Rows belong to the tenant whose operator created them. The operator of the implicit tenant sees and revokes all of
//! them, and alone may create tokens for other tenants, and tokens that speak in another person's name.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use tandem_core::{
    actor::OpContext,
    credential::{API_TOKENS, ApiToken, token_hash},
    error::{Code, Failure},
    ports::Query,
    record::{Commit, Put},
    tenant::{TenantContext, TenantKey, valid_part},
    text::non_blank,
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

/// Active tokens at most.
const MOST_ACTIVE: usize = 16;
/// Revoked and expired ones are kept for the record; this many are listed per tenant.
const LISTED: usize = 500;

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

/// List full tokens
#[utoipa::path(
    get, path = "/auth/tokens", tag = "auth",
    responses(
        (status = 200, body = TokenList),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`: agents may not manage tokens."),
    )
)]
pub async fn list(Decider(operator): Decider, State(state): State<AppState>) -> Answer<TokenList> {
    let mut tokens = Vec::new();
    for tenant in visible(&state, &operator.ctx).await? {
        for (token, _) in load(&state, &tenant).await? {
            let last_used = state.store.last_used(&API_TOKENS, &tenant, &token.token_id).await?;
            tokens.push(TokenView::of(token, last_used, operator.ctx.now_ms));
        }
    }
    tokens.sort_by(|a, b| (b.created_at_ms, &b.token_id).cmp(&(a.created_at_ms, &a.token_id)));
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
    let token = draft(request, ctx, state.ids().fresh(), token_hash(&raw_token))?;
    let _one_at_a_time = state.token_changes.lock().await;
    let active = load(&state, &ctx.tenant.key()).await?.iter().filter(|(token, _)| token.is_live(ctx.now_ms)).count();
    if active >= MOST_ACTIVE {
        return Err(ApiError::of(Code::TokenLimit));
    }
    let commit =
        Commit::new(ctx).put(Put::insert(&token)).audit(state.ids().fresh(), "auth.token.created", payload(&token));
    state.store.commit(commit).await?;
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
        (status = 409, body = ErrorBody, description = "`CONFLICT`: it was changed at the same time."),
    )
)]
pub async fn revoke(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<TokenRevoked> {
    let _one_at_a_time = state.token_changes.lock().await;
    for tenant in visible(&state, &operator.ctx).await? {
        let Some(row) = state.store.get(&API_TOKENS, &tenant, &id).await? else { continue };
        let mut token = read(&row.body)?;
        if token.revoked_at_ms.is_none() {
            token.revoked_at_ms = Some(operator.ctx.now_ms);
            // The row and its audit entry belong to the owner's tenant, also when the implicit one acts.
            let owner =
                if tenant == operator.ctx.tenant.key() { operator.ctx.tenant.clone() } else { token.tenant.clone() };
            let ctx = OpContext { tenant: owner, ..operator.ctx.clone() };
            let commit = Commit::new(&ctx).put(Put::update(&token, row.version)).audit(
                state.ids().fresh(),
                "auth.token.revoked",
                payload(&token),
            );
            state.store.commit(commit).await?;
            state.gate.auth.invalidate();
        }
        let last_used = state.store.last_used(&API_TOKENS, &tenant, &id).await?;
        return Ok(Json(TokenRevoked { token: TokenView::of(token, last_used, operator.ctx.now_ms) }));
    }
    Err(ApiError::of(Code::TokenNotFound))
}

/// Checks a request and makes the record of it.
fn draft(request: TokenRequest, ctx: &OpContext, token_id: String, token_hash: String) -> Result<ApiToken, Failure> {
    let wrong = |why: &str| Err(Failure::new(Code::ValidationFailed, why));
    let Some(name) = bounded(Some(&request.name)) else { return wrong("`name` must have 1 to 120 characters.") };
    let tenant = match &request.tenant {
        None => ctx.tenant.clone(),
        Some(pick) if !valid_part(&pick.org_id) || !valid_part(&pick.workspace_id) => {
            return wrong("`tenant` parts must have 1 to 128 characters of A-Z a-z 0-9 . _ -");
        }
        Some(pick) => {
            let named = TenantContext::explicit(&pick.org_id, &pick.workspace_id);
            match (named.key() == ctx.tenant.key(), ctx.tenant.is_local_implicit()) {
                (true, _) => ctx.tenant.clone(),
                (false, true) => named,
                (false, false) => return Err(Failure::of(Code::TenantContextDenied)),
            }
        }
    };
    let (agent_id, actor_id) = (non_blank(request.agent_id.as_deref()), non_blank(request.actor_id.as_deref()));
    if [agent_id, actor_id].into_iter().flatten().any(|id| bounded(Some(id)).is_none()) {
        return wrong("`agent_id` and `actor_id` must have at most 120 printable characters.");
    }
    if agent_id.is_some() && (actor_id.is_some() || request.may_assert_actor == Some(true)) {
        return wrong("A token bound to an agent can neither name nor assert another actor.");
    }
    if request.expires_at_ms.is_some_and(|at| at <= ctx.now_ms) {
        return wrong("`expires_at_ms` is in the past.");
    }
    let token = ApiToken {
        token_id,
        name: name.to_owned(),
        token_hash,
        tenant,
        agent_id: agent_id.map(str::to_owned),
        actor_id: actor_id.map(str::to_owned),
        may_assert_actor: request.may_assert_actor.unwrap_or(false),
        created_at_ms: ctx.now_ms,
        expires_at_ms: request.expires_at_ms,
        revoked_at_ms: None,
    };
    if !token.may_be_made_by(ctx) {
        return Err(Failure::new(
            Code::TenantContextDenied,
            "A token of this tenant speaks for nobody, for an agent, or for who creates it.",
        ));
    }
    Ok(token)
}

fn bounded(text: Option<&str>) -> Option<&str> {
    non_blank(text).filter(|text| text.chars().count() <= 120 && !text.chars().any(char::is_control))
}

/// What the audit row says of a token. Its hash stays out: it would let a reader of the log test guesses.
fn payload(token: &ApiToken) -> serde_json::Value {
    serde_json::json!({
        "token_id": token.token_id,
        "name": token.name,
        "org_id": token.tenant.org_id,
        "workspace_id": token.tenant.workspace_id,
        "agent_id": token.agent_id,
        "actor_id": token.actor_id,
        "may_assert_actor": token.may_assert_actor,
        "expires_at_ms": token.expires_at_ms,
    })
}

/// Tenants whose tokens the caller manages.
async fn visible(state: &AppState, ctx: &OpContext) -> Result<Vec<TenantKey>, ApiError> {
    let own = ctx.tenant.key();
    if !ctx.tenant.is_local_implicit() {
        return Ok(vec![own]);
    }
    let mut tenants = state.store.tenants(&API_TOKENS).await?;
    if !tenants.contains(&own) {
        tenants.push(own);
    }
    Ok(tenants)
}

async fn load(state: &AppState, tenant: &TenantKey) -> Result<Vec<(ApiToken, u64)>, ApiError> {
    let query = Query {
        collection: &API_TOKENS,
        tenant: tenant.clone(),
        equals: Vec::new(),
        order: "created_at_ms",
        since: None,
        after: None,
        limit: LISTED,
    };
    state.store.page(query).await?.into_iter().map(|found| Ok((read(&found.row.body)?, found.row.version))).collect()
}

fn read(body: &str) -> Result<ApiToken, ApiError> {
    serde_json::from_str(body).map_err(|error| {
        tracing::error!(target: "tandem::store", %error, "a stored token is unreadable");
        ApiError::of(Code::StoreCorrupt)
    })
}
