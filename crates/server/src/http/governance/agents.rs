//! The registry of agents, and their pause.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tandem_app::PageRequest;
use tandem_core::governance::view::AgentView;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Reason, cursor};
use crate::extract::{Body, Decider, Operator, OptionalBody, Page, PageParams, Path};
use crate::http::{answer::Answer, document::ErrorBody, state::AppState};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(agents))
        .routes(routes!(agent, register))
        .routes(routes!(pause_agent))
        .routes(routes!(resume_agent))
}

#[derive(Serialize, ToSchema)]
pub struct AgentList {
    pub agents: Vec<AgentView>,
    pub count: usize,
    pub next_cursor: Option<String>,
}

/// List agents
#[utoipa::path(
    get, path = "/governance/agents", tag = "governance", params(PageParams),
    responses((status = 200, body = AgentList))
)]
pub async fn agents(operator: Operator, State(state): State<AppState>, page: Page) -> Answer<AgentList> {
    let request = PageRequest { limit: page.limit(), after: page.after, ..PageRequest::default() };
    let found = state.app.agents(&operator.ctx, &request).await?;
    Ok(Json(AgentList { count: found.items.len(), agents: found.items, next_cursor: cursor(found.next) }))
}

#[derive(Serialize, ToSchema)]
pub struct AgentAnswer {
    pub agent: AgentView,
}

/// Read one agent
#[utoipa::path(
    get, path = "/governance/agents/{agent_id}", tag = "governance",
    params(("agent_id" = String, Path, description = "`agent_id`")),
    responses(
        (status = 200, body = AgentAnswer),
        (status = 404, body = ErrorBody, description = "`GOVERNANCE_AGENT_NOT_FOUND`"),
    )
)]
pub async fn agent(operator: Operator, State(state): State<AppState>, Path(id): Path<String>) -> Answer<AgentAnswer> {
    Ok(Json(AgentAnswer { agent: state.app.agent(&operator.ctx, &id).await? }))
}

#[derive(Default, Deserialize, ToSchema)]
pub struct AgentRequest {
    #[serde(alias = "displayName")]
    pub display_name: Option<String>,
    /// Who runs it.
    pub owner: Option<String>,
    /// The person who answers for it.
    pub sponsor: Option<String>,
}

/// Enter an agent, or change its entry
///
/// Only what is given changes. Its credentials are full tokens bound to it: `POST /auth/tokens` with `agent_id`.
#[utoipa::path(
    put, path = "/governance/agents/{agent_id}", tag = "governance",
    params(("agent_id" = String, Path, description = "`agent_id`")),
    request_body = AgentRequest,
    responses(
        (status = 200, body = AgentAnswer),
        (status = 400, body = ErrorBody, description = "`GOVERNANCE_AGENT_INVALID`"),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`: for a person; neither an agent nor a bare token says who answers."),
    )
)]
pub async fn register(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(body): Body<AgentRequest>,
) -> Answer<AgentAnswer> {
    let (name, owner, sponsor) = (body.display_name.as_deref(), body.owner.as_deref(), body.sponsor.as_deref());
    let agent = state.app.agent_register(&operator.ctx, &id, name, owner, sponsor).await?;
    Ok(Json(AgentAnswer { agent }))
}

/// Stop an agent
///
/// It may not create or change anything from this answer on, and all of its runs are told to stop. `agent.pause` shows
/// how many were told, how many have stopped, and how long the slowest took.
#[utoipa::path(
    post, path = "/governance/agents/{agent_id}/pause", tag = "governance",
    params(("agent_id" = String, Path, description = "`agent_id`")),
    request_body(content = Reason, description = "May be left out."),
    responses(
        (status = 200, body = AgentAnswer),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`"),
        (status = 409, body = ErrorBody, description = "`GOVERNANCE_AGENT_PAUSE_DISABLED`"),
    )
)]
pub async fn pause_agent(
    Decider(operator): Decider,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(body): OptionalBody<Reason>,
) -> Answer<AgentAnswer> {
    Ok(Json(AgentAnswer { agent: state.app.agent_pause(&operator.ctx, &id, body.reason.as_deref()).await? }))
}

/// Let an agent go on
///
/// Its runs stay paused until each is resumed.
#[utoipa::path(
    post, path = "/governance/agents/{agent_id}/resume", tag = "governance",
    params(("agent_id" = String, Path, description = "`agent_id`")),
    responses(
        (status = 200, body = AgentAnswer),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`: for a person."),
        (status = 404, body = ErrorBody, description = "`GOVERNANCE_AGENT_NOT_FOUND`"),
    )
)]
pub async fn resume_agent(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<AgentAnswer> {
    Ok(Json(AgentAnswer { agent: state.app.agent_resume(&operator.ctx, &id).await? }))
}
