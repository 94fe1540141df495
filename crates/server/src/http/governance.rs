//! Governance over HTTP: requests for approval and their decisions, reviews, spending, policy decisions, limits, agents,
//! and what is governed about one automation.

use axum::{Json, extract::State, http::HeaderMap};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tandem_app::{PageRequest, governance::RequestInput};
use tandem_core::{
    actor::ActorKind,
    error::Code,
    governance::{
        approval::{Approval, RequestType, Resource, Status},
        limits::{Limits, Source},
        money::Usd,
        record::{Finding, Grant},
        request::NewRequest,
        view::{AgentReview, AgentSpend, AgentView, DecisionView, Governance, Lifecycle},
    },
    record::Column,
    text::non_blank,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError},
    document::ErrorBody,
    state::AppState,
};
use crate::extract::{Body, Decider, Operator, OptionalBody, Page, PageParams, Path, Query, page};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(approvals, file))
        .routes(routes!(approval))
        .routes(routes!(approve))
        .routes(routes!(deny))
        .routes(routes!(cancel))
        .routes(routes!(delegate))
        .routes(routes!(reviews))
        .routes(routes!(spend))
        .routes(routes!(agent_spend))
        .routes(routes!(policy_decisions))
        .routes(routes!(limits, change_limits))
        .routes(routes!(agents))
        .routes(routes!(agent, register))
        .routes(routes!(pause_agent))
        .routes(routes!(resume_agent))
        .routes(routes!(governance))
        .routes(routes!(findings))
        .routes(routes!(grants, grant))
        .routes(routes!(revoke))
        .routes(routes!(restore))
        .routes(routes!(retire))
        .routes(routes!(extend))
}

fn cursor(next: Option<(i64, String)>) -> Option<String> {
    next.map(|(order, id)| page::encode(order, &id))
}

/// A person. Agents and bare tokens may not do what this guards.
fn person(operator: &Operator) -> Result<(), ApiError> {
    match operator.ctx.actor.kind {
        ActorKind::Human => Ok(()),
        ActorKind::Agent | ActorKind::System => Err(ApiError::of(Code::HumanRequired)),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ApprovalFilters {
    /// `pending`, `approved`, `denied`, `expired` or `cancelled`.
    status: Option<String>,
    request_type: Option<String>,
    target_type: Option<String>,
    target_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct ApprovalList {
    /// The latest change first.
    pub approvals: Vec<Approval>,
    /// Rows in this answer.
    pub count: usize,
    pub next_cursor: Option<String>,
}

/// List requests for approval
///
/// People see all of them, and so does the local system; everybody else what they asked for themselves.
#[utoipa::path(
    get, path = "/governance/approvals", tag = "governance",
    params(ApprovalFilters, PageParams),
    responses((status = 200, body = ApprovalList))
)]
pub async fn approvals(
    operator: Operator,
    State(state): State<AppState>,
    Query(filters): Query<ApprovalFilters>,
    page: Page,
) -> Answer<ApprovalList> {
    let mut equals = Vec::new();
    let unknown = |name: &str| ApiError::unreadable(400, format!("`{name}` is none of the known words."));
    if let Some(word) = non_blank(filters.status.as_deref()) {
        Status::from_word(word).ok_or_else(|| unknown("status"))?;
        equals.push(("status", Column::text(word)));
    }
    if let Some(word) = non_blank(filters.request_type.as_deref()) {
        RequestType::from_word(word).ok_or_else(|| unknown("request_type"))?;
        equals.push(("request_type", Column::text(word)));
    }
    for (column, value) in [("target_type", &filters.target_type), ("target_id", &filters.target_id)] {
        equals.extend(non_blank(value.as_deref()).map(|value| (column, Column::text(value))));
    }
    let request = PageRequest { limit: page.limit(), after: page.after, since_ms: None, equals };
    let found = state.app.approvals(&operator.ctx, request).await?;
    Ok(Json(ApprovalList { count: found.items.len(), approvals: found.items, next_cursor: cursor(found.next) }))
}

#[derive(Deserialize, ToSchema)]
pub struct ApprovalRequest {
    #[serde(alias = "requestType")]
    pub request_type: RequestType,
    /// `{type, id}`
    #[serde(alias = "targetResource")]
    pub target_resource: Resource,
    /// Why; not blank.
    pub rationale: String,
    /// Known keys: `trigger`, `action`, `parameters`, `capability_key`, `automation_id`, `quota`, `max_depth`,
    /// `max_additional_usd`, `risk_tier`. Keys that begin with `_`, `action_gate` and `egress_dlp` are refused.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub context: Value,
    /// One deadline for deciding and using; the two below set each by itself.
    #[serde(alias = "expiresAtMs")]
    pub expires_at_ms: Option<u64>,
    #[serde(alias = "decideByMs")]
    pub decide_by_ms: Option<u64>,
    #[serde(alias = "useByMs")]
    pub use_by_ms: Option<u64>,
    /// How often it may be used. Default: once for an action, until `use_by_ms` for a capability.
    pub uses: Option<u32>,
    #[serde(alias = "riskTier")]
    pub risk_tier: Option<String>,
    /// The one action that is asked for, with its parameters (also read from `context`).
    pub action: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub struct ApprovalAnswer {
    pub approval: Approval,
}

/// File a request for approval
///
/// A target and a rationale are enough. What a request may be used for is in its `context`; without it, it answers
/// nothing. A review that names its cause in `context.trigger` needs that very review to be due.
#[utoipa::path(
    post, path = "/governance/approvals", tag = "governance",
    request_body = ApprovalRequest,
    responses(
        (status = 200, body = ApprovalAnswer),
        (status = 400, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_CREATE_FAILED`: `detail` says why."),
        (status = 409, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_TRIGGER_STALE`: no review of the named cause is due, or one waits already."),
    )
)]
pub async fn file(
    operator: Operator,
    State(state): State<AppState>,
    Body(request): Body<ApprovalRequest>,
) -> Answer<ApprovalAnswer> {
    let input = RequestInput {
        request_type: request.request_type,
        target: request.target_resource,
        new: NewRequest {
            rationale: request.rationale,
            context: request.context,
            expires_at_ms: request.expires_at_ms,
            decide_by_ms: request.decide_by_ms,
            use_by_ms: request.use_by_ms,
            uses: request.uses,
            risk_tier: request.risk_tier,
            action: request.action,
            parameters: request.parameters,
            action_digest: None,
        },
    };
    Ok(Json(ApprovalAnswer { approval: state.app.approval_file(&operator.ctx, input).await? }))
}

/// Read one request for approval
#[utoipa::path(
    get, path = "/governance/approvals/{approval_id}", tag = "governance",
    params(("approval_id" = String, Path, description = "`approval_id`")),
    responses(
        (status = 200, body = ApprovalAnswer),
        (status = 404, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_NOT_FOUND`"),
    )
)]
pub async fn approval(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<ApprovalAnswer> {
    Ok(Json(ApprovalAnswer { approval: state.app.approval(&operator.ctx, &id).await? }))
}

#[derive(Default, Deserialize, ToSchema)]
pub struct Notes {
    pub notes: Option<String>,
    /// With a denial: pauses the agent that the request is about.
    #[serde(alias = "pauseAgent")]
    pub pause_agent: Option<bool>,
}

/// Approve a request
///
/// Marks the request and, for a review, acknowledges the state that it is about. It resumes nothing.
#[utoipa::path(
    post, path = "/governance/approvals/{approval_id}/approve", tag = "governance",
    params(("approval_id" = String, Path, description = "`approval_id`")),
    request_body(content = Notes, description = "May be left out."),
    responses(
        (status = 200, body = ApprovalAnswer, description = "Decided like this, now or before; pending while more reviewers are needed."),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED`: `pause_agent` belongs to a denial."),
        (status = 403, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_REQUIRES_HUMAN`, `…_SELF_REVIEW` or `…_REVIEWER_FORBIDDEN`"),
        (status = 404, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_ALREADY_DECIDED`, `…_EXPIRED` or `…_SUPERSEDED`; `approval` shows the stored request."),
    )
)]
pub async fn approve(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(notes): OptionalBody<Notes>,
) -> Answer<ApprovalAnswer> {
    let pause = notes.pause_agent.unwrap_or(false);
    let approval = state.app.approval_decide(&operator.ctx, &id, true, notes.notes.as_deref(), pause).await?;
    Ok(Json(ApprovalAnswer { approval }))
}

/// Deny a request
///
/// Everything that waits for it stays as it is.
#[utoipa::path(
    post, path = "/governance/approvals/{approval_id}/deny", tag = "governance",
    params(("approval_id" = String, Path, description = "`approval_id`")),
    request_body(content = Notes, description = "May be left out."),
    responses(
        (status = 200, body = ApprovalAnswer),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED`: `pause_agent` where no agent is denied anything."),
        (status = 403, body = ErrorBody, description = "As for approve."),
        (status = 404, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "As for approve."),
    )
)]
pub async fn deny(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(notes): OptionalBody<Notes>,
) -> Answer<ApprovalAnswer> {
    let pause = notes.pause_agent.unwrap_or(false);
    let approval = state.app.approval_decide(&operator.ctx, &id, false, notes.notes.as_deref(), pause).await?;
    Ok(Json(ApprovalAnswer { approval }))
}

#[derive(Default, Deserialize, ToSchema)]
pub struct Reason {
    pub reason: Option<String>,
}

/// Take a request back
///
/// For who filed it.
#[utoipa::path(
    post, path = "/governance/approvals/{approval_id}/cancel", tag = "governance",
    params(("approval_id" = String, Path, description = "`approval_id`")),
    request_body(content = Reason, description = "May be left out."),
    responses(
        (status = 200, body = ApprovalAnswer),
        (status = 403, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_CANCEL_FORBIDDEN`"),
        (status = 404, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_ALREADY_DECIDED`"),
    )
)]
pub async fn cancel(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(body): OptionalBody<Reason>,
) -> Answer<ApprovalAnswer> {
    let approval = state.app.approval_cancel(&operator.ctx, &id, body.reason.as_deref()).await?;
    Ok(Json(ApprovalAnswer { approval }))
}

#[derive(Deserialize, ToSchema)]
pub struct Delegation {
    /// Who decides instead.
    pub to: String,
    pub reason: Option<String>,
}

/// Hand a decision to somebody else
#[utoipa::path(
    post, path = "/governance/approvals/{approval_id}/delegate", tag = "governance",
    params(("approval_id" = String, Path, description = "`approval_id`")),
    request_body = Delegation,
    responses(
        (status = 200, body = ApprovalAnswer),
        (status = 403, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_REQUIRES_HUMAN`, `…_SELF_REVIEW`, `…_REVIEWER_FORBIDDEN`, or `AUTOMATION_GOVERNANCE_ACTOR_REQUIRED`"),
        (status = 404, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`GOVERNANCE_APPROVAL_ALREADY_DECIDED`"),
    )
)]
pub async fn delegate(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(body): Body<Delegation>,
) -> Answer<ApprovalAnswer> {
    let approval = state.app.approval_delegate(&operator.ctx, &id, &body.to, body.reason.as_deref()).await?;
    Ok(Json(ApprovalAnswer { approval }))
}

#[derive(Serialize, ToSchema)]
pub struct AutomationReview {
    pub automation_id: String,
    pub creator_id: Option<String>,
    pub review: Lifecycle,
}

#[derive(Serialize, ToSchema)]
pub struct ReviewList {
    /// Agents that have created something; those whose review is due first.
    pub agent_creation_reviews: Vec<AgentReview>,
    pub automation_lifecycle_reviews: Vec<AutomationReview>,
    pub pending_approvals: Vec<Approval>,
    /// All three together.
    pub count: usize,
}

/// What waits for a person
#[utoipa::path(get, path = "/governance/reviews", tag = "governance", responses((status = 200, body = ReviewList)))]
pub async fn reviews(operator: Operator, State(state): State<AppState>) -> Answer<ReviewList> {
    let found = state.app.reviews(&operator.ctx).await?;
    let automations: Vec<AutomationReview> = found
        .automations
        .into_iter()
        .map(|(creator_id, review)| AutomationReview {
            automation_id: review.automation_id.clone(),
            creator_id,
            review,
        })
        .collect();
    Ok(Json(ReviewList {
        count: found.agents.len() + automations.len() + found.pending.len(),
        agent_creation_reviews: found.agents,
        automation_lifecycle_reviews: automations,
        pending_approvals: found.pending,
    }))
}

#[derive(Serialize, ToSchema)]
pub struct SpendList {
    pub spend: Vec<AgentSpend>,
    pub count: usize,
    pub next_cursor: Option<String>,
}

/// What agents spent
#[utoipa::path(
    get, path = "/governance/spend", tag = "governance", params(PageParams),
    responses((status = 200, body = SpendList))
)]
pub async fn spend(operator: Operator, State(state): State<AppState>, page: Page) -> Answer<SpendList> {
    let request = PageRequest { limit: page.limit(), after: page.after, ..PageRequest::default() };
    let found = state.app.spend(&operator.ctx, &request).await?;
    Ok(Json(SpendList { count: found.items.len(), spend: found.items, next_cursor: cursor(found.next) }))
}

#[derive(Serialize, ToSchema)]
pub struct SpendAnswer {
    pub spend: AgentSpend,
}

/// What one agent spent
#[utoipa::path(
    get, path = "/governance/agents/{agent_id}/spend", tag = "governance",
    params(("agent_id" = String, Path, description = "`agent_id`")),
    responses(
        (status = 200, body = SpendAnswer),
        (status = 404, body = ErrorBody, description = "`AGENT_SPEND_NOT_FOUND`"),
    )
)]
pub async fn agent_spend(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<SpendAnswer> {
    Ok(Json(SpendAnswer { spend: state.app.agent_spend(&operator.ctx, &id).await? }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DecisionFilters {
    run_id: Option<String>,
    automation_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct DecisionList {
    /// Newest first.
    pub policy_decisions: Vec<DecisionView>,
    pub count: usize,
    pub next_cursor: Option<String>,
}

/// What was allowed and refused, by which rule
///
/// `limit` is 100 by default and at most 500.
#[utoipa::path(
    get, path = "/governance/policy-decisions", tag = "governance",
    params(DecisionFilters, PageParams),
    responses((status = 200, body = DecisionList))
)]
pub async fn policy_decisions(
    operator: Operator,
    State(state): State<AppState>,
    Query(filters): Query<DecisionFilters>,
    page: Page,
) -> Answer<DecisionList> {
    let given = [("run_id", &filters.run_id), ("automation_id", &filters.automation_id)];
    let equals = given
        .into_iter()
        .filter_map(|(column, value)| non_blank(value.as_deref()).map(|value| (column, Column::text(value))))
        .collect();
    let request = PageRequest { limit: page.limit_in(100, 500), after: page.after, since_ms: None, equals };
    let found = state.app.policy_decisions(&operator.ctx, &request).await?;
    let next_cursor = cursor(found.next);
    Ok(Json(DecisionList { count: found.items.len(), policy_decisions: found.items, next_cursor }))
}

/// Where the value of a limit comes from.
#[derive(Serialize, ToSchema)]
pub struct LimitSource {
    pub limit: &'static str,
    pub source: Source,
    /// The environment variable that sets it.
    pub env: &'static str,
}

#[derive(Serialize, ToSchema)]
pub struct LimitsAnswer {
    /// In force now.
    pub limits: Limits,
    pub sources: Vec<LimitSource>,
    /// When a limit was last set through the API.
    pub updated_at_ms: Option<u64>,
}

async fn limits_answer(state: &AppState, operator: &Operator) -> Answer<LimitsAnswer> {
    let tenant = operator.ctx.tenant.key();
    let row = state.app.limits_row(&tenant).await?;
    let sources = state.app.limit_sources(&row);
    Ok(Json(LimitsAnswer {
        limits: state.app.limits(&tenant).await?,
        sources: sources.into_iter().map(|(limit, env, source)| LimitSource { limit, source, env }).collect(),
        updated_at_ms: (row.updated_at_ms > 0).then_some(row.updated_at_ms),
    }))
}

/// The limits in force, and where each comes from
#[utoipa::path(get, path = "/governance/limits", tag = "governance", responses((status = 200, body = LimitsAnswer)))]
pub async fn limits(operator: Operator, State(state): State<AppState>) -> Answer<LimitsAnswer> {
    limits_answer(&state, &operator).await
}

/// Change limits
///
/// Only what is named changes. Null gives a limit back to the environment and the default. Where actions need two persons,
/// switching `dual_control` off and changing `review_policies` do as well: the approval is an `elevated_capability` for
/// `governance_limits`/`limits` with action `change_governance_limits` and the changes as parameters.
#[utoipa::path(
    patch, path = "/governance/limits", tag = "governance",
    params(("x-tandem-approval-id" = Option<String>, Header, description = "`approval_id`")),
    request_body(content = Object, description = "Limits by name, bare or under `limits`."),
    responses(
        (status = 200, body = LimitsAnswer),
        (status = 400, body = ErrorBody, description = "`GOVERNANCE_LIMITS_INVALID`: `detail` names the limit."),
        (status = 403, body = ErrorBody, description = "`HUMAN_ACTOR_REQUIRED`, `AUTOMATION_GOVERNANCE_APPROVAL_REQUIRED`, `AUTOMATION_GOVERNANCE_APPROVAL_INVALID`"),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_APPROVAL_NOT_FOUND`"),
    )
)]
pub async fn change_limits(
    operator: Operator,
    State(state): State<AppState>,
    headers: HeaderMap,
    Body(body): Body<Map<String, Value>>,
) -> Answer<LimitsAnswer> {
    person(&operator)?;
    let changes = match body.get("limits") {
        Some(Value::Object(inner)) if body.len() == 1 => inner.clone(),
        _ => body,
    };
    state.app.limits_change(&operator.ctx, changes, approval_of(&headers)?).await?;
    limits_answer(&state, &operator).await
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
    person(&operator)?;
    Ok(Json(AgentAnswer { agent: state.app.agent_resume(&operator.ctx, &id).await? }))
}

#[derive(Serialize, ToSchema)]
pub struct AutomationSpend {
    pub weekly_spend_cap_usd: Option<Usd>,
    pub warning_threshold_ratio: f64,
    /// Everyone in the line.
    pub agents: Vec<AgentSpend>,
}

#[derive(Serialize, ToSchema)]
pub struct GovernanceAnswer {
    pub governance: Governance,
    /// Of the agent that created it.
    pub agent_review: Option<AgentReview>,
    pub lifecycle: Lifecycle,
    pub spend: AutomationSpend,
}

/// Everything that governs an automation
#[utoipa::path(
    get, path = "/automations/v2/{id}/governance", tag = "governance",
    params(("id" = String, Path, description = "`automation_id`")),
    responses(
        (status = 200, body = GovernanceAnswer),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_NOT_FOUND`, also for a deleted one."),
    )
)]
pub async fn governance(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<GovernanceAnswer> {
    let found = state.app.governance(&operator.ctx, &id).await?;
    Ok(Json(GovernanceAnswer {
        governance: found.governance,
        agent_review: found.agent_review,
        lifecycle: found.lifecycle,
        spend: AutomationSpend {
            weekly_spend_cap_usd: found.limits.weekly_spend_cap_usd,
            warning_threshold_ratio: found.limits.spend_warning_threshold_ratio,
            agents: found.agents,
        },
    }))
}

#[derive(Serialize, ToSchema)]
pub struct FindingList {
    #[serde(rename = "automationID")]
    pub automation_id: String,
    /// Newest first, resolved ones included.
    pub findings: Vec<Finding>,
    pub count: usize,
    pub next_cursor: Option<String>,
}

/// Every finding about an automation
#[utoipa::path(
    get, path = "/automations/v2/{id}/findings", tag = "governance",
    params(("id" = String, Path, description = "`automation_id`"), PageParams),
    responses(
        (status = 200, body = FindingList),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_NOT_FOUND`"),
    )
)]
pub async fn findings(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    page: Page,
) -> Answer<FindingList> {
    let request = PageRequest { limit: page.limit(), after: page.after, ..PageRequest::default() };
    let found = state.app.governance_findings(&operator.ctx, &id, request).await?;
    Ok(Json(FindingList {
        automation_id: id,
        count: found.items.len(),
        findings: found.items,
        next_cursor: cursor(found.next),
    }))
}

#[derive(Serialize, ToSchema)]
pub struct GrantList {
    #[serde(rename = "automationID")]
    pub automation_id: String,
    /// Revoked ones included.
    pub modify_grants: Vec<Grant>,
    pub capability_grants: Vec<Grant>,
    pub count: usize,
}

/// List the grants of an automation
#[utoipa::path(
    get, path = "/automations/v2/{id}/grants", tag = "governance",
    params(("id" = String, Path, description = "`automation_id`")),
    responses(
        (status = 200, body = GrantList),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_NOT_FOUND`"),
    )
)]
pub async fn grants(operator: Operator, State(state): State<AppState>, Path(id): Path<String>) -> Answer<GrantList> {
    let found = state.app.governance(&operator.ctx, &id).await?.governance;
    Ok(Json(GrantList {
        automation_id: id,
        count: found.modify_grants.len() + found.capability_grants.len(),
        modify_grants: found.modify_grants,
        capability_grants: found.capability_grants,
    }))
}

#[derive(Deserialize, ToSchema)]
pub struct GrantRequest {
    #[serde(alias = "grantedToAgentId", alias = "grantedToAgentID")]
    pub granted_to_agent_id: String,
    pub reason: Option<String>,
    /// The approval of a second person, where two are needed.
    #[serde(alias = "approvalId", alias = "approvalID")]
    pub approval_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct GrantAnswer {
    #[schema(value_type = Grant)]
    pub grant: Value,
}

/// Let an agent change an automation
#[utoipa::path(
    post, path = "/automations/v2/{id}/grants", tag = "governance",
    params(("id" = String, Path, description = "`automation_id`")),
    request_body = GrantRequest,
    responses(
        (status = 200, body = GrantAnswer),
        (status = 400, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_GRANT_CREATE_FAILED`"),
        (status = 403, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_GRANT_FORBIDDEN`, `…_APPROVAL_REQUIRED`, `…_APPROVAL_INVALID`, `…_ACTOR_REQUIRED`, or the automation is quarantined."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_NOT_FOUND` or `…_APPROVAL_NOT_FOUND`"),
    )
)]
pub async fn grant(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(body): Body<GrantRequest>,
) -> Answer<GrantAnswer> {
    let (agent, reason) = (body.granted_to_agent_id.as_str(), body.reason.as_deref());
    Ok(Json(GrantAnswer { grant: state.app.grant(&operator.ctx, &id, agent, reason, body.approval_id).await? }))
}

#[derive(Default, Deserialize, ToSchema)]
pub struct Approved {
    pub reason: Option<String>,
    /// The approval of a second person, where two are needed.
    #[serde(alias = "approvalId", alias = "approvalID")]
    pub approval_id: Option<String>,
}

/// Revoke a grant
///
/// Pauses the automation and asks for a review: what it does may depend on who could change it. Revoking twice is fine.
#[utoipa::path(
    delete, path = "/automations/v2/{id}/grants/{grant_id}", tag = "governance",
    params(("id" = String, Path, description = "`automation_id`"), ("grant_id" = String, Path, description = "`grant_id`")),
    request_body(content = Approved, description = "May be left out."),
    responses(
        (status = 200, body = GrantAnswer),
        (status = 403, body = ErrorBody, description = "As for granting."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_NOT_FOUND`, `…_GRANT_NOT_FOUND` or `…_APPROVAL_NOT_FOUND`"),
    )
)]
pub async fn revoke(
    operator: Operator,
    State(state): State<AppState>,
    Path((id, grant_id)): Path<(String, String)>,
    OptionalBody(body): OptionalBody<Approved>,
) -> Answer<GrantAnswer> {
    let grant = state.app.grant_revoke(&operator.ctx, &id, &grant_id, body.reason.as_deref(), body.approval_id).await?;
    Ok(Json(GrantAnswer { grant }))
}

#[derive(Serialize, ToSchema)]
pub struct AutomationAnswer {
    #[schema(value_type = Object)]
    pub automation: Value,
}

/// Restore a deleted automation
///
/// It comes back paused. Takes no body; the approval of a second person, where two are needed, is named by
/// `x-tandem-approval-id`.
#[utoipa::path(
    post, path = "/automations/v2/{id}/restore", tag = "governance",
    params(("id" = String, Path, description = "`automation_id`"), ("x-tandem-approval-id" = Option<String>, Header, description = "`approval_id`")),
    responses(
        (status = 200, body = AutomationAnswer),
        (status = 403, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_RESTORE_FORBIDDEN`, or an approval is missing or not for this."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_RESTORE_NOT_FOUND`"),
        (status = 410, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_RESTORE_EXPIRED`"),
    )
)]
pub async fn restore(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer<AutomationAnswer> {
    let approval_id = approval_of(&headers)?;
    Ok(Json(AutomationAnswer { automation: state.app.restore(&operator.ctx, &id, approval_id).await? }))
}

fn approval_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    match headers.get("x-tandem-approval-id").map(|value| value.to_str()) {
        Some(Ok(text)) => Ok(non_blank(Some(text)).map(str::to_owned)),
        Some(Err(_)) => Err(ApiError::unreadable(400, "x-tandem-approval-id is no text.")),
        None => Ok(None),
    }
}

/// Retire an automation
///
/// It stops and stays stopped until it is extended.
#[utoipa::path(
    post, path = "/automations/v2/{id}/retire", tag = "governance",
    params(("id" = String, Path, description = "`automation_id`")),
    request_body(content = Approved, description = "May be left out."),
    responses(
        (status = 200, body = AutomationAnswer),
        (status = 403, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_RETIRE_FORBIDDEN`, or an approval is missing or not for this."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_NOT_FOUND`"),
    )
)]
pub async fn retire(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(body): OptionalBody<Approved>,
) -> Answer<AutomationAnswer> {
    let automation = state.app.retire(&operator.ctx, &id, body.reason.as_deref(), body.approval_id).await?;
    Ok(Json(AutomationAnswer { automation }))
}

#[derive(Default, Deserialize, ToSchema)]
pub struct ExtendRequest {
    /// Default: the usual life from now on.
    #[serde(alias = "expiresAtMs")]
    pub expires_at_ms: Option<u64>,
    pub reason: Option<String>,
    /// The approval of a second person, where two are needed.
    #[serde(alias = "approvalId", alias = "approvalID")]
    pub approval_id: Option<String>,
}

/// Extend the life of an automation
///
/// Brings an expired or retired one back. A review for another reason stays open.
#[utoipa::path(
    post, path = "/automations/v2/{id}/extend", tag = "governance",
    params(("id" = String, Path, description = "`automation_id`")),
    request_body(content = ExtendRequest, description = "May be left out."),
    responses(
        (status = 200, body = AutomationAnswer),
        (status = 400, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_EXTEND_FAILED`"),
        (status = 403, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_EXTEND_FORBIDDEN`, or an approval is missing or not for this."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_NOT_FOUND`"),
    )
)]
pub async fn extend(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(body): OptionalBody<ExtendRequest>,
) -> Answer<AutomationAnswer> {
    let (reason, approval_id) = (body.reason.as_deref(), body.approval_id);
    let automation = state.app.extend(&operator.ctx, &id, body.expires_at_ms, reason, approval_id).await?;
    Ok(Json(AutomationAnswer { automation }))
}
