//! MCP servers: the registry, connections, what they offer, and their authorisation.
//!
//! Whoever registers a server or accepts a tool decides where reports may go, so agents may not. Deliberately absent: a
//! way to give a command over HTTP, and a catalogue of servers.

use std::{collections::BTreeMap, net::IpAddr};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_app::{AuthRequest, AuthStarted, RETURN_PATH};
use tandem_core::{
    error::Code,
    mcp::{NewServer, ServerPatch, ServerView, ToolError, ToolRow},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError},
    document::ErrorBody,
    state::AppState,
};
use crate::extract::{Body, Decider, Operator, OptionalBody, Path, Query, caller::Anyone};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(tools))
        .routes(routes!(resources))
        .routes(routes!(read, patch, delete))
        .routes(routes!(connect))
        .routes(routes!(disconnect))
        .routes(routes!(refresh))
        .routes(routes!(accept))
        .routes(routes!(auth, forget_auth))
        .routes(routes!(auth_callback))
        .routes(routes!(auth_return))
        .routes(routes!(authenticate))
        .routes(routes!(catalog))
}

/// Servers by name.
#[derive(Serialize, ToSchema)]
pub struct ServerMap(BTreeMap<String, ServerView>);

#[derive(Serialize, ToSchema)]
pub struct ServerAnswer {
    /// Whether what was asked for is so now. A connection that could not be made is `false`, with `error`.
    pub ok: bool,
    pub server: ServerView,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

impl ServerAnswer {
    fn of(server: ServerView, result: Result<(), ToolError>) -> Self {
        let error = result.err();
        Self {
            ok: error.is_none(),
            server,
            error_code: error.as_ref().map(|error| error.fault.word().to_owned()),
            error: error.map(|error| error.detail),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct Refreshed {
    pub ok: bool,
    /// Tools that the server offers now.
    pub count: usize,
    pub server: ServerView,
}

#[derive(Serialize, ToSchema)]
#[schema(as = McpServerDeleted)]
pub struct Deleted {
    pub ok: bool,
    pub deleted: bool,
}

/// A tool as clients read it.
#[derive(Serialize, ToSchema)]
pub struct ToolItem {
    #[serde(flatten)]
    pub tool: ToolRow,
    /// The server's allowlist admits it.
    pub allowed: bool,
    /// It is what was accepted; a tool that is not is never called.
    pub accepted: bool,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct AcceptRequest {
    /// The hash that was looked at. Without it, whatever the tool is now is accepted.
    #[serde(alias = "schemaHash")]
    pub schema_hash: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Accepted {
    pub ok: bool,
    pub tool: ToolRow,
}

/// List MCP servers
///
/// An object by name, without secrets: headers that carry one show their reference.
#[utoipa::path(get, path = "/mcp", tag = "mcp", responses((status = 200, body = ServerMap)))]
pub async fn list(operator: Operator, State(state): State<AppState>) -> Answer<ServerMap> {
    let servers = state.app.mcp_servers(&operator.ctx).await?;
    Ok(Json(ServerMap(servers.into_iter().map(|view| (view.server.name.clone(), view)).collect())))
}

/// Register an MCP server
///
/// Registering a name again replaces its settings. Nothing is dialled until it is connected.
#[utoipa::path(
    post, path = "/mcp", tag = "mcp",
    request_body = NewServer,
    responses(
        (status = 200, body = ServerAnswer),
        (status = 400, body = ErrorBody, description = "`MCP_REQUEST_DENIED`"),
        (status = 403, body = ErrorBody, description = "`MCP_STDIO_TRANSPORT_DENIED` or `HUMAN_ACTOR_REQUIRED`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn add(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Body(new): Body<NewServer>,
) -> Answer<ServerAnswer> {
    Ok(Json(ServerAnswer::of(state.app.mcp_add(&operator.ctx, &new).await?, Ok(()))))
}

/// List the tools of every MCP server
///
/// As last listed by their servers, also those that may not be called.
#[utoipa::path(get, path = "/mcp/tools", tag = "mcp", responses((status = 200, body = Vec<ToolItem>)))]
pub async fn tools(operator: Operator, State(state): State<AppState>) -> Answer<Vec<ToolItem>> {
    let tools = state.app.mcp_all_tools(&operator.ctx).await?;
    let item = |(tool, allowed): (ToolRow, bool)| ToolItem { accepted: tool.accepted(), tool, allowed };
    Ok(Json(tools.into_iter().map(item).collect()))
}

/// List the resources of every MCP server
///
/// As last listed by their servers; their contents are never read.
#[utoipa::path(
    get, path = "/mcp/resources", tag = "mcp",
    responses((status = 200, body = Vec<Object>, description = "`{server_name, uri, name, description?, mime_type?}`"))
)]
pub async fn resources(operator: Operator, State(state): State<AppState>) -> Answer<Vec<Value>> {
    Ok(Json(state.app.mcp_all_resources(&operator.ctx).await?))
}

/// Read one MCP server
#[utoipa::path(
    get, path = "/mcp/{name}", tag = "mcp",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = ServerView),
        (status = 404, body = ErrorBody, description = "`MCP_SERVER_NOT_FOUND`"),
    )
)]
pub async fn read(operator: Operator, State(state): State<AppState>, Path(name): Path<String>) -> Answer<ServerView> {
    Ok(Json(state.app.mcp_view(&operator.ctx, &name).await?))
}

/// Change an MCP server
///
/// What is absent stays. A change of where or how it is reached ends the connection; it is made again if it was wanted.
#[utoipa::path(
    patch, path = "/mcp/{name}", tag = "mcp",
    params(("name" = String, Path)),
    request_body = ServerPatch,
    responses(
        (status = 200, body = ServerAnswer),
        (status = 400, body = ErrorBody, description = "`MCP_REQUEST_DENIED`"),
        (status = 403, body = ErrorBody, description = "`MCP_STDIO_TRANSPORT_DENIED` or `HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`MCP_SERVER_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn patch(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(name): Path<String>,
    Body(patch): Body<ServerPatch>,
) -> Answer<ServerAnswer> {
    Ok(Json(ServerAnswer::of(state.app.mcp_patch(&operator.ctx, &name, &patch).await?, Ok(()))))
}

/// Forget an MCP server
#[utoipa::path(
    delete, path = "/mcp/{name}", tag = "mcp",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = Deleted),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`MCP_SERVER_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn delete(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Answer<Deleted> {
    state.app.mcp_delete(&operator.ctx, &name).await?;
    Ok(Json(Deleted { ok: true, deleted: true }))
}

/// Connect to an MCP server
///
/// Takes no body. Asks the server what it offers, and keeps the connection up from now on. A server that cannot be
/// reached answers `ok: false` and is tried again, later and later.
#[utoipa::path(
    post, path = "/mcp/{name}/connect", tag = "mcp",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = ServerAnswer),
        (status = 400, body = ErrorBody, description = "`MCP_REQUEST_DENIED`: the server is disabled."),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`MCP_SERVER_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn connect(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Answer<ServerAnswer> {
    let (view, result) = state.app.mcp_connect(&operator.ctx, &name).await?;
    Ok(Json(ServerAnswer::of(view, result)))
}

/// Disconnect from an MCP server
///
/// Takes no body. The connection stays ended until it is asked for again.
#[utoipa::path(
    post, path = "/mcp/{name}/disconnect", tag = "mcp",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = ServerAnswer),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`MCP_SERVER_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn disconnect(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Answer<ServerAnswer> {
    Ok(Json(ServerAnswer::of(state.app.mcp_disconnect(&operator.ctx, &name).await?, Ok(()))))
}

/// Ask an MCP server again what it offers
///
/// Takes no body. A tool in use whose description or schema changed is in `server.changed_tools` from then on.
#[utoipa::path(
    post, path = "/mcp/{name}/refresh", tag = "mcp",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = Refreshed),
        (status = 400, body = ErrorBody, description = "`MCP_REFRESH_FAILED` or `MCP_REQUEST_DENIED`"),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`MCP_SERVER_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn refresh(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Answer<Refreshed> {
    let server = state.app.mcp_refresh(&operator.ctx, &name).await?;
    Ok(Json(Refreshed { ok: true, count: server.server.tool_count, server }))
}

/// Accept a changed tool
///
/// From then on the tool may be called as it is now described. Accepting a tool that is accepted changes nothing.
#[utoipa::path(
    post, path = "/mcp/{name}/tools/{tool}/accept", tag = "mcp",
    params(("name" = String, Path), ("tool" = String, Path, description = "Raw or namespaced name.")),
    request_body = AcceptRequest,
    responses(
        (status = 200, body = Accepted),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`MCP_SERVER_NOT_FOUND` or `MCP_TOOL_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`MCP_TOOL_CHANGED_AGAIN` or `CONFLICT`"),
    )
)]
pub async fn accept(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path((name, tool)): Path<(String, String)>,
    OptionalBody(request): OptionalBody<AcceptRequest>,
) -> Answer<Accepted> {
    let hash = request.schema_hash.as_deref();
    let tool = state.app.mcp_accept(&operator.ctx, &name, &tool, hash).await?;
    Ok(Json(Accepted { ok: true, tool }))
}

#[derive(Deserialize, ToSchema)]
pub struct CallbackRequest {
    /// As the page that the person was sent to was given it.
    pub code: String,
    pub state: String,
}

#[derive(Serialize, ToSchema)]
pub struct Forgotten {
    pub ok: bool,
    /// There was an authorisation.
    pub forgotten: bool,
}

/// Begin an authorisation
///
/// The authorisation-code flow with PKCE. Open `authorization_url` in a browser. Without `redirect_uri`, a request to a
/// loopback address of this server sends the browser back here, and the flow is finished then; otherwise the address that
/// the browser ends at holds `code` and `state`, which the callback route takes. A server that takes a fixed token needs none of this: give
/// its `bearer_token_ref`.
#[utoipa::path(
    post, path = "/mcp/{name}/auth", tag = "mcp",
    params(("name" = String, Path)),
    request_body = AuthRequest,
    responses(
        (status = 200, body = AuthStarted),
        (status = 400, body = ErrorBody, description = "`MCP_OAUTH_FAILED`"),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`MCP_SERVER_NOT_FOUND`"),
    )
)]
pub async fn auth(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(name): Path<String>,
    headers: HeaderMap,
    OptionalBody(mut request): OptionalBody<AuthRequest>,
) -> Answer<AuthStarted> {
    if request.redirect_uri.is_none() {
        request.redirect_uri = loopback_host(&headers).map(|host| format!("http://{host}{RETURN_PATH}"));
    }
    Ok(Json(state.app.mcp_auth_begin(&operator.ctx, &name, &request).await?))
}

/// Forget an authorisation
///
/// The tokens are deleted here; the authorisation server is not told.
#[utoipa::path(
    delete, path = "/mcp/{name}/auth", tag = "mcp",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = Forgotten),
        (status = 400, body = ErrorBody, description = "`MCP_OAUTH_FAILED`"),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`MCP_SERVER_NOT_FOUND`"),
    )
)]
pub async fn forget_auth(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Answer<Forgotten> {
    Ok(Json(Forgotten { ok: true, forgotten: state.app.mcp_auth_forget(&operator.ctx, &name).await? }))
}

/// Finish an authorisation
///
/// Turns the code into tokens, and connects with them.
#[utoipa::path(
    post, path = "/mcp/{name}/auth/callback", tag = "mcp",
    params(("name" = String, Path)),
    request_body = CallbackRequest,
    responses(
        (status = 200, body = ServerAnswer),
        (status = 400, body = ErrorBody, description = "`MCP_OAUTH_FAILED` or `MCP_REQUEST_DENIED`"),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`MCP_SERVER_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn auth_callback(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(name): Path<String>,
    Body(request): Body<CallbackRequest>,
) -> Answer<ServerAnswer> {
    let (view, result) = state.app.mcp_auth_finish(&operator.ctx, &name, &request.state, &request.code).await?;
    Ok(Json(ServerAnswer::of(view, result)))
}

/// The host that the request was sent to, where it is this machine: only there does a browser without TLS reach us safely.
fn loopback_host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let name = host.strip_prefix('[').map_or_else(|| host.split(':').next(), |rest| rest.split(']').next())?;
    let here = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    here.then_some(host)
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReturnQuery {
    pub state: Option<String>,
    pub code: Option<String>,
    /// What the authorisation server refused with.
    pub error: Option<String>,
}

/// Come back from an authorisation
///
/// Where the browser ends. Needs no token: the state is what proves that the flow was begun here, and it works once.
#[utoipa::path(
    get, path = "/mcp/oauth/callback", tag = "mcp", params(ReturnQuery),
    responses(
        (status = 200, body = String, content_type = "text/html"),
        (status = 400, content((String = "text/html"), (ErrorBody = "application/json")), description = "Refused, unknown, used or too late; or the query cannot be read."),
    )
)]
pub async fn auth_return(
    _: Anyone,
    State(state): State<AppState>,
    method: Method,
    Query(query): Query<ReturnQuery>,
) -> Response {
    let known = |text: &Option<String>| text.clone().unwrap_or_default();
    let outcome = match (&query.error, method == Method::GET) {
        // Looking whether the page is there must not use the state up.
        (_, false) => Ok("Nothing was done."),
        (Some(_), true) => Err("The authorisation was refused."),
        (None, true) => match state.app.mcp_auth_return(&known(&query.state), &known(&query.code)).await {
            Ok(_) => Ok("The server is authorised and connected. This page can be closed."),
            Err(_) => Err("The authorisation could not be finished. Begin it again."),
        },
    };
    let (status, text) = match outcome {
        Ok(text) => (StatusCode::OK, text),
        Err(text) => (StatusCode::BAD_REQUEST, text),
    };
    // Only texts of ours: nothing that came with the address is shown.
    (
        status,
        [(header::REFERRER_POLICY, "no-referrer"), (header::CACHE_CONTROL, "no-store")],
        Html(format!("<!doctype html><meta charset=utf-8><title>Tandem</title><p>{text}")),
    )
        .into_response()
}

/// Try whether an authorisation is enough
///
/// The body is ignored. Connects with what there is; `error_code` is `mcp_auth_required` where that is not enough.
#[utoipa::path(
    post, path = "/mcp/{name}/auth/authenticate", tag = "mcp",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = ServerAnswer),
        (status = 400, body = ErrorBody, description = "`MCP_REQUEST_DENIED`: the server is disabled."),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`MCP_SERVER_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`CONFLICT`"),
    )
)]
pub async fn authenticate(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Answer<ServerAnswer> {
    let (view, result) = state.app.mcp_connect(&operator.ctx, &name).await?;
    Ok(Json(ServerAnswer::of(view, result)))
}

/// Read an entry of a catalogue of MCP servers
///
/// This server keeps no catalogue: an operator registers each server.
#[utoipa::path(
    get, path = "/mcp/catalog/{slug}/toml", tag = "mcp",
    params(("slug" = String, Path)),
    responses((status = 404, body = ErrorBody, description = "`MCP_CATALOG_ENTRY_NOT_FOUND`"))
)]
pub async fn catalog(_: Operator, State(_): State<AppState>, Path(_): Path<String>) -> Answer {
    Err(ApiError::of(Code::McpCatalogUnavailable))
}
