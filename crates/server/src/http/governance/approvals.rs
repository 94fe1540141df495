//! Requests for approval: filed, listed, decided, taken back, handed on.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tandem_app::{PageRequest, governance::RequestInput};
use tandem_core::{
    governance::{
        approval::{Approval, RequestType, Resource, Status},
        request::NewRequest,
    },
    record::Column,
    text::non_blank,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Reason, cursor};
use crate::extract::{Body, Operator, OptionalBody, Page, PageParams, Path, Query};
use crate::http::{
    answer::{Answer, ApiError},
    document::ErrorBody,
    state::AppState,
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(approvals, file))
        .routes(routes!(approval))
        .routes(routes!(approve))
        .routes(routes!(deny))
        .routes(routes!(cancel))
        .routes(routes!(delegate))
        .routes(routes!(consume))
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
    request_body = Notes,
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
    Body(notes): Body<Notes>,
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
    request_body = Notes,
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
    Body(notes): Body<Notes>,
) -> Answer<ApprovalAnswer> {
    let pause = notes.pause_agent.unwrap_or(false);
    let approval = state.app.approval_decide(&operator.ctx, &id, false, notes.notes.as_deref(), pause).await?;
    Ok(Json(ApprovalAnswer { approval }))
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
#[schema(as = DelegateApproval)]
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

#[derive(Deserialize, ToSchema)]
pub struct Consumption {
    /// The action that was asked for, as in the request.
    pub action: String,
    /// Its parameters, exactly as in the request; absent is `{}`.
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Value>,
    /// The run in which it is done. One that has ended or was told to stop is refused.
    #[serde(alias = "runId", alias = "runID")]
    pub run_id: Option<String>,
    /// The caller's name for this use, at most 200 bytes: sent again, it is no second use.
    #[serde(alias = "useId", alias = "useID")]
    pub use_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct ConsumptionAnswer {
    pub ok: bool,
    pub approval: Approval,
    /// This use had been counted before.
    pub repeated: bool,
}

/// Use an approval
///
/// Called before the approved post or tool call is made elsewhere, by who asked for it: `external_post` and
/// `elevated_capability`, each with the action that the request names. It is counted before the answer, so an approval for
/// one use allows one, however many ask at once. What this server does itself (grants, ends, quotas) uses its approvals up
/// without this call.
#[utoipa::path(
    post, path = "/governance/approvals/{approval_id}/consume", tag = "governance",
    params(("approval_id" = String, Path, description = "`approval_id`")),
    request_body = Consumption,
    responses(
        (status = 200, body = ConsumptionAnswer),
        (status = 400, body = ErrorBody, description = "`VALIDATION_FAILED`: a blank `action`, or a `use_id` that is none."),
        (status = 403, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_APPROVAL_INVALID` (`detail` says which rule), or `AUTOMATION_V2_AGENT_CREATION_PAUSED`"),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_GOVERNANCE_APPROVAL_NOT_FOUND`, also where somebody else asked; `AUTOMATION_V2_RUN_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED`: the run has ended or was told to stop."),
    )
)]
pub async fn consume(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(body): Body<Consumption>,
) -> Answer<ConsumptionAnswer> {
    let parameters = body.parameters.filter(|value| !value.is_null()).unwrap_or_else(|| Value::Object(Map::new()));
    let use_id = body.use_id.as_deref();
    let used = state.app.approval_consume(&operator.ctx, &id, &body.action, parameters, body.run_id, use_id).await?;
    Ok(Json(ConsumptionAnswer { ok: true, approval: used.approval, repeated: used.repeated }))
}
