//! Automations: make, list, read, change, share, pause, resume, delete, and ask for a run.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_app::automations::{Creation, Rehearsed, RunWish};
use tandem_core::{
    actor::OpContext,
    automation::{
        Automation, AutomationStatus, Spec, act::change::etag, run::view::context_run_id, share::Visibility,
        spec::ExecutionProfile, view,
    },
    error::Code,
    governance::view::DecisionView,
    record::Column,
    text::non_blank,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError},
    document::ErrorBody,
    lists::cursor,
    runs::{RunAnswer, RunView, shown as shown_run},
    state::AppState,
};
use crate::extract::{Author, Body, IdempotencyKey, Lineage, Operator, OptionalBody, Page, Path, Query};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, delete))
        .routes(routes!(share))
        .routes(routes!(run_now))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// An automation. Keys that the server does not know come back as they were sent.
#[derive(Serialize, ToSchema)]
#[allow(dead_code, reason = "describes what `view::full` renders")]
pub struct AutomationView {
    pub automation_id: String,
    #[serde(rename = "automationID")]
    pub automation_id_loud: String,
    #[serde(rename = "automationId")]
    pub automation_id_camel: String,
    pub status: AutomationStatus,
    pub creator_id: String,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    pub next_fire_at_ms: Option<u64>,
    pub last_fired_at_ms: Option<u64>,
    #[serde(flatten)]
    pub spec: Spec,
}

/// What a create body says. Unknown keys are kept; every key is also read in camelCase.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code, reason = "describes what `read::create` reads")]
pub struct AutomationBody {
    /// Chosen by the caller, or made by the server: 1 to 200 of `A-Za-z0-9._:-`.
    pub automation_id: Option<String>,
    /// `draft` when absent.
    pub status: Option<AutomationStatus>,
    /// Believed only when the request names no actor of its own.
    pub creator_id: Option<String>,
    pub parent_automation_id: Option<String>,
    pub parent_run_id: Option<String>,
    pub capabilities: Option<Capabilities>,
    #[serde(flatten)]
    pub spec: Spec,
}

/// What the automation may do to others; kept in `metadata.capabilities`.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code, reason = "describes what `read::create` reads")]
#[schema(as = AutomationCapabilitiesRequest)]
pub struct Capabilities {
    pub creates_agents: Option<bool>,
    pub modifies_grants: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AutomationAnswer {
    #[schema(value_type = AutomationView)]
    pub automation: Value,
}

#[derive(Serialize, ToSchema)]
pub struct SwitchedAutomation {
    pub ok: bool,
    #[schema(value_type = AutomationView)]
    pub automation: Value,
}

#[derive(Serialize, ToSchema)]
pub struct AutomationList {
    /// With `view=summary`, rows have `agent_count` and `node_count` in place of `agents` and `flow`.
    #[schema(value_type = Vec<Object>)]
    pub automations: Vec<Value>,
    /// Rows in this answer.
    pub count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<&'static str>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// `summary` leaves agents and flow out.
    pub view: Option<String>,
    /// Only automations of this status.
    pub status: Option<String>,
    /// Rows wanted, 200 by default; values outside 1…200 are brought inside.
    #[allow(dead_code, reason = "read by Page")]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    #[allow(dead_code, reason = "read by Page")]
    pub cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ShareRequest {
    /// `private`, `group` or `org`; absent leaves it as it is.
    pub visibility: Option<String>,
    #[serde(alias = "audiencePrincipals")]
    pub audience_principals: Option<Vec<String>>,
}

/// A reason, for calls that take one. A blank one is none.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ReasonRequest {
    pub reason: Option<String>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct RunNowRequest {
    /// Is admitted like any other, and then does nothing.
    #[serde(alias = "dryRun")]
    pub dry_run: Option<bool>,
    #[serde(alias = "executionProfile")]
    pub execution_profile: Option<ExecutionProfile>,
    /// `manual` when absent.
    #[serde(alias = "triggerType")]
    pub trigger_type: Option<String>,
    pub reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct RunNowAnswer {
    pub ok: bool,
    pub dry_run: bool,
    #[schema(value_type = RunView)]
    pub run: Value,
    #[serde(rename = "contextRunID")]
    pub context_run_id: String,
    pub linked_context_run_id: String,
}

#[derive(Serialize, ToSchema)]
pub struct DeletedAutomation {
    pub ok: bool,
    pub deleted: bool,
    #[serde(rename = "automationID")]
    pub automation_id: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DryQuery {
    /// `true` decides and answers with the decisions, and changes nothing.
    #[serde(default, alias = "dryRun")]
    pub dry_run: Option<bool>,
}

/// With `?dry_run=true`, in place of the automation: whether the call would be taken, and why.
#[derive(Serialize, ToSchema)]
pub struct RehearsedAnswer {
    pub ok: bool,
    pub dry_run: bool,
    pub allowed: bool,
    pub decisions: Vec<DecisionView>,
    /// As it would be.
    #[schema(value_type = Option<AutomationView>)]
    pub automation: Option<Value>,
    /// The error that the call would be answered with, with its `status`.
    #[schema(value_type = Option<Object>)]
    pub refusal: Option<Value>,
}

/// The answer of a call that changes an automation, or of its rehearsal.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes two answers of one call")]
pub enum ChangeAnswer {
    Changed(AutomationAnswer),
    Rehearsed(RehearsedAnswer),
}

fn rehearsal(rehearsed: Rehearsed, ctx: &OpContext) -> Response {
    let (automation, refusal) = match &rehearsed.outcome {
        Ok(automation) => (Some(view::full(automation, &ctx.tenant)), None),
        Err(failure) => (None, Some(self::refusal(failure))),
    };
    let decided = rehearsed.decisions.into_iter();
    let (ok, decisions) = (true, decided.map(|decision| DecisionView::of(decision, &ctx.tenant)).collect());
    Json(RehearsedAnswer { ok, dry_run: true, allowed: refusal.is_none(), decisions, automation, refusal })
        .into_response()
}

fn tagged(automation: &Automation, ctx: &OpContext) -> Response {
    let body = AutomationAnswer { automation: view::full(automation, &ctx.tenant) };
    let mut response = Json(body).into_response();
    if let Ok(tag) = HeaderValue::from_str(&etag(automation)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// List automations
///
/// What changed last is first.
#[utoipa::path(
    get, path = "/automations/v2", tag = "automations", params(ListQuery),
    responses((status = 200, body = AutomationList))
)]
pub async fn list(
    operator: Operator,
    State(state): State<AppState>,
    page: Page,
    Query(query): Query<ListQuery>,
) -> Answer<AutomationList> {
    let summary = query.view.as_deref() == Some("summary");
    let mut equals = vec![("state", Column::text(Automation::LIVE))];
    if let Some(status) = non_blank(query.status.as_deref()) {
        equals.push(("status", Column::text(status)));
    }
    let request = tandem_app::PageRequest { limit: page.limit_in(200, 200), after: page.after, since_ms: None, equals };
    let found = state.app.automations(&operator.ctx, &request).await?;
    let show = if summary { view::summary } else { view::full };
    let automations: Vec<Value> = found.items.iter().map(|item| show(item, &operator.ctx.tenant)).collect();
    Ok(Json(AutomationList {
        count: automations.len(),
        automations,
        view: summary.then_some("summary"),
        next_cursor: cursor(found.next),
    }))
}

/// Make an automation
///
/// A taken `automation_id` is refused. The same call under the same `Idempotency-Key` is answered with what the first one
/// made.
#[utoipa::path(
    post, path = "/automations/v2", tag = "automations",
    params(
        DryQuery,
        ("idempotency-key" = Option<String>, Header, description = "Names this call, so that it may be repeated."),
        ("x-tandem-agent-ancestor-ids" = Option<String>, Header, description = "Agents that led to the author, the oldest first."),
    ),
    request_body = AutomationBody,
    responses(
        (status = 200, body = ChangeAnswer),
        (status = 400, body = ErrorBody, description = "`AUTOMATION_V2_CREATE_FAILED` with `detail`, or `AUTOMATION_V2_INVALID_METADATA`"),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 409, body = ErrorBody, description = "`AUTOMATION_V2_ALREADY_EXISTS`"),
        (status = 429, body = ErrorBody, description = "A limit of governance is reached; the code says which."),
    )
)]
pub async fn create(
    Author(operator): Author,
    State(state): State<AppState>,
    Query(dry): Query<DryQuery>,
    Lineage(claims): Lineage,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Body(body): Body<Value>,
) -> Result<Response, ApiError> {
    let creation = Creation { claims, idempotency_key };
    if dry.dry_run.unwrap_or(false) {
        let rehearsed = state.app.automation_create_rehearse(&operator.ctx, body, creation).await?;
        return Ok(rehearsal(rehearsed, &operator.ctx));
    }
    let automation = state.app.automation_create(&operator.ctx, body, creation).await?;
    Ok(tagged(&automation, &operator.ctx))
}

/// Read an automation
///
/// The `ETag` names this version.
#[utoipa::path(
    get, path = "/automations/v2/{id}", tag = "automations",
    params(("id" = String, Path, description = "`automation_id`")),
    responses(
        (status = 200, body = AutomationAnswer),
        (status = 403, body = ErrorBody, description = "`AUTOMATION_V2_ACCESS_DENIED`: its owner has not shared it."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_NOT_FOUND`"),
    )
)]
pub async fn get(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(tagged(&state.app.automation(&operator.ctx, &id).await?, &operator.ctx))
}

/// Change an automation
///
/// Each key of the body replaces that key; identity and creator stay. With `If-Match`, only if nobody changed it since.
#[utoipa::path(
    patch, path = "/automations/v2/{id}", tag = "automations",
    params(
        ("id" = String, Path, description = "`automation_id`"),
        DryQuery,
        ("if-match" = Option<String>, Header, description = "The `ETag` (or `updated_at_ms`) of the version that was edited."),
    ),
    request_body = AutomationBody,
    responses(
        (status = 200, body = ChangeAnswer),
        (status = 400, body = ErrorBody, description = "`AUTOMATION_V2_UPDATE_FAILED` with `detail`, or `AUTOMATION_V2_INVALID_METADATA`"),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "Status `active` while governance holds the automation: `AUTOMATION_V2_REVIEW_PENDING`, `…_RETIRED`, `…_EXPIRED`, or `…_LIFECYCLE_PAUSED`, which a resume lifts."),
        (status = 412, body = ErrorBody, description = "`PRECONDITION_FAILED`: somebody changed it since."),
    )
)]
pub async fn patch(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(dry): Query<DryQuery>,
    headers: HeaderMap,
    Body(body): Body<Value>,
) -> Result<Response, ApiError> {
    let if_match = match headers.get(header::IF_MATCH) {
        None => None,
        Some(value) => {
            let text = value.to_str().map_err(|_| ApiError::unreadable(400, "`If-Match` is not an entity tag."))?;
            Some(text.to_owned())
        }
    };
    if dry.dry_run.unwrap_or(false) {
        let rehearsed = state.app.automation_patch_rehearse(&operator.ctx, &id, body, if_match).await?;
        return Ok(rehearsal(rehearsed, &operator.ctx));
    }
    let automation = state.app.automation_patch(&operator.ctx, &id, body, if_match).await?;
    Ok(tagged(&automation, &operator.ctx))
}

/// Delete an automation
///
/// It can be restored for a while. Its runs are cancelled and stay to be seen.
#[utoipa::path(
    delete, path = "/automations/v2/{id}", tag = "automations",
    params(("id" = String, Path, description = "`automation_id`")),
    responses(
        (status = 200, body = DeletedAutomation),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_NOT_FOUND`"),
    )
)]
pub async fn delete(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Answer<DeletedAutomation> {
    state.app.automation_delete(&operator.ctx, &id).await?;
    Ok(Json(DeletedAutomation { ok: true, deleted: true, automation_id: id }))
}

/// Say who may see an automation
///
/// Holds in tenants that a credential names: there, `private` is for the owner, `group` for the audience as well, and the
/// tenant's bare token sees everything. What was never shared is seen by all of the tenant.
#[utoipa::path(
    post, path = "/automations/v2/{id}/share", tag = "automations",
    params(("id" = String, Path, description = "`automation_id`")),
    request_body = ShareRequest,
    responses(
        (status = 200, body = AutomationAnswer),
        (status = 400, body = ErrorBody, description = "`AUTOMATION_V2_INVALID_VISIBILITY`"),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_NOT_FOUND`"),
    )
)]
pub async fn share(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(request): Body<ShareRequest>,
) -> Result<Response, ApiError> {
    let visibility = match non_blank(request.visibility.as_deref()) {
        None => None,
        Some(word) => Some(Visibility::from_word(word).ok_or_else(|| ApiError::of(Code::AutomationInvalidVisibility))?),
    };
    let shared = state.app.automation_share(&operator.ctx, &id, visibility, request.audience_principals).await?;
    Ok(tagged(&shared, &operator.ctx))
}

/// Ask for a run
#[utoipa::path(
    post, path = "/automations/v2/{id}/run_now", tag = "automations",
    params(("id" = String, Path, description = "`automation_id`")),
    request_body = RunNowRequest,
    responses(
        (status = 200, body = RunNowAnswer),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED`: a review, a pause or a spend hold."),
        (status = 429, body = ErrorBody, description = "A limit of governance is reached; the code says which."),
    )
)]
pub async fn run_now(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<RunNowRequest>,
) -> Answer<RunNowAnswer> {
    let dry = request.dry_run.unwrap_or(false);
    let wish =
        RunWish { dry, profile: request.execution_profile, trigger: request.trigger_type, reason: request.reason };
    let run = state.app.run_now(&operator.ctx, &id, wish).await?;
    let linked = context_run_id(&run.run_id);
    Ok(Json(RunNowAnswer {
        ok: true,
        dry_run: dry,
        run: shown_run(&run),
        context_run_id: linked.clone(),
        linked_context_run_id: linked,
    }))
}

/// Pause an automation
///
/// Its queued runs are paused, its running ones as soon as their executors say so.
#[utoipa::path(
    post, path = "/automations/v2/{id}/pause", tag = "automations",
    params(("id" = String, Path, description = "`automation_id`")),
    request_body = ReasonRequest,
    responses(
        (status = 200, body = SwitchedAutomation),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_NOT_FOUND`"),
    )
)]
pub async fn pause(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<ReasonRequest>,
) -> Answer<SwitchedAutomation> {
    let found = state.app.automation_pause(&operator.ctx, &id, request.reason).await?;
    Ok(Json(SwitchedAutomation { ok: true, automation: view::full(&found, &operator.ctx.tenant) }))
}

/// Resume an automation
///
/// Its paused runs stay paused until each is resumed.
#[utoipa::path(
    post, path = "/automations/v2/{id}/resume", tag = "automations",
    params(("id" = String, Path, description = "`automation_id`")),
    request_body = ReasonRequest,
    responses(
        (status = 200, body = SwitchedAutomation),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "A review is open, or the automation is retired or expired."),
    )
)]
pub async fn resume(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(_): OptionalBody<ReasonRequest>,
) -> Answer<SwitchedAutomation> {
    let found = state.app.automation_resume(&operator.ctx, &id).await?;
    Ok(Json(SwitchedAutomation { ok: true, automation: view::full(&found, &operator.ctx.tenant) }))
}

/// The answer of a call that changed one run.
pub fn run_answer(run: &tandem_core::automation::run::Run) -> RunAnswer {
    let linked = context_run_id(&run.run_id);
    RunAnswer {
        ok: true,
        run: shown_run(run),
        context_run_id: linked.clone(),
        linked_context_run_id: linked,
        already_terminal: None,
    }
}

/// An error's extra keys, where a batch answers for many.
pub fn refusal(failure: &tandem_core::error::Failure) -> Value {
    let mut body = failure.body();
    body["status"] = json!(failure.http_status());
    body
}
