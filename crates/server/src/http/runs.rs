//! Runs, as those who watch over them use them: list, read, pause, resume, cancel, recover, and decide at a gate.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tandem_app::PageRequest;
use tandem_core::{
    automation::{
        act::control::Verb,
        run::{Run, RunStatus, gate::GateDecision, view},
    },
    error::Code,
    text::non_blank,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError},
    automations::{ReasonRequest, run_answer},
    document::ErrorBody,
    lists::cursor,
    state::AppState,
};
use crate::extract::{Body, Operator, OptionalBody, Page, Path, Query};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_of_automation))
        .routes(routes!(get))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
        .routes(routes!(recover))
        .routes(routes!(gate))
}

/// A run. `status` is a word that every client knows: `awaiting_approval` is shown as `paused`, `blocked` as `failed`.
#[derive(Serialize, ToSchema)]
#[schema(as = AutomationRunView)]
#[allow(dead_code, reason = "describes what `view::run` renders")]
pub struct RunView {
    #[serde(flatten)]
    pub run: Run,
    /// What the run is, precisely.
    pub stored_status: RunStatus,
    #[serde(rename = "storedStatus")]
    pub stored_status_camel: RunStatus,
    /// Why `status` is another word.
    #[serde(rename = "statusDerivedNote")]
    pub status_derived_note: Option<String>,
    #[serde(rename = "runID")]
    pub run_id_loud: String,
    #[serde(rename = "runId")]
    pub run_id_camel: String,
    #[serde(rename = "automationID")]
    pub automation_id_loud: String,
    #[serde(rename = "automationId")]
    pub automation_id_camel: String,
    #[serde(rename = "contextRunID")]
    pub context_run_id: String,
    pub linked_context_run_id: String,
    pub last_activity_at_ms: u64,
    #[serde(rename = "lastActivityAtMs")]
    pub last_activity_at_ms_camel: u64,
    #[serde(rename = "blockedNodeIDs")]
    pub blocked_node_ids: Vec<String>,
    /// Always empty here.
    #[serde(rename = "needsRepairNodeIDs")]
    pub needs_repair_node_ids: Vec<String>,
    /// Always empty here.
    #[serde(rename = "nodeRepairGuidance")]
    #[schema(value_type = Object)]
    pub node_repair_guidance: Map<String, Value>,
    /// Always empty here.
    #[serde(rename = "nodeAttemptEvidence")]
    #[schema(value_type = Object)]
    pub node_attempt_evidence: Map<String, Value>,
}

pub fn shown(run: &Run) -> Value {
    view::run(run)
}

#[derive(Serialize, ToSchema)]
pub struct RunList {
    #[schema(value_type = Vec<RunView>)]
    pub runs: Vec<Value>,
    /// Rows in this answer.
    pub count: usize,
    #[serde(rename = "automationID", skip_serializing_if = "Option::is_none")]
    pub automation_id: Option<String>,
    pub next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct RunAnswer {
    pub ok: bool,
    #[schema(value_type = RunView)]
    pub run: Value,
    #[serde(rename = "contextRunID")]
    pub context_run_id: String,
    pub linked_context_run_id: String,
    /// Of a cancel: it had ended before.
    #[serde(rename = "alreadyTerminal", skip_serializing_if = "Option::is_none")]
    pub already_terminal: Option<bool>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RunsQuery {
    /// Rows wanted, 50 by default; values outside the bounds are brought inside.
    #[allow(dead_code, reason = "read by Page")]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    #[allow(dead_code, reason = "read by Page")]
    pub cursor: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct GateRequest {
    /// `approve`, `rework` or `cancel`.
    pub decision: String,
    #[serde(default)]
    pub reason: Option<String>,
    /// Names the question; an answer to an earlier one is refused.
    #[serde(default, alias = "transitionId", alias = "transitionID")]
    pub transition_id: Option<String>,
    /// Not used by this server; accepted because clients send it.
    #[serde(default, alias = "request_id", alias = "approvalRequestId")]
    #[allow(dead_code, reason = "accepted and not used")]
    pub approval_request_id: Option<String>,
}

/// List runs
///
/// Newest first.
#[utoipa::path(get, path = "/automations/v2/runs", tag = "runs", params(RunsQuery), responses((status = 200, body = RunList)))]
pub async fn list(
    operator: Operator,
    State(state): State<AppState>,
    page: Page,
    Query(_): Query<RunsQuery>,
) -> Answer<RunList> {
    let request = PageRequest { limit: page.limit(), after: page.after, ..PageRequest::default() };
    let found = state.app.runs(&operator.ctx, &request).await?;
    let runs: Vec<Value> = found.items.iter().map(shown).collect();
    Ok(Json(RunList { count: runs.len(), runs, automation_id: None, next_cursor: cursor(found.next) }))
}

/// List the runs of an automation
///
/// Newest first; also those of a deleted automation.
#[utoipa::path(
    get, path = "/automations/v2/{id}/runs", tag = "runs",
    params(("id" = String, Path, description = "`automation_id`"), RunsQuery),
    responses(
        (status = 200, body = RunList),
        (status = 403, body = ErrorBody, description = "`AUTOMATION_V2_ACCESS_DENIED`: its owner has not shared it."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_NOT_FOUND`"),
    )
)]
pub async fn list_of_automation(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    page: Page,
    Query(_): Query<RunsQuery>,
) -> Answer<RunList> {
    let request = PageRequest { limit: page.limit_in(50, 500), after: page.after, ..PageRequest::default() };
    let found = state.app.automation_runs(&operator.ctx, &id, &request).await?;
    let runs: Vec<Value> = found.items.iter().map(shown).collect();
    Ok(Json(RunList { count: runs.len(), runs, automation_id: Some(id), next_cursor: cursor(found.next) }))
}

/// Read a run
#[utoipa::path(
    get, path = "/automations/v2/runs/{run_id}", tag = "runs",
    params(("run_id" = String, Path, description = "`run_id`")),
    responses(
        (status = 200, body = RunAnswer),
        (status = 403, body = ErrorBody, description = "`AUTOMATION_V2_ACCESS_DENIED`: the owner of its automation has not shared it."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_FOUND`"),
    )
)]
pub async fn get(operator: Operator, State(state): State<AppState>, Path(id): Path<String>) -> Answer<RunAnswer> {
    Ok(Json(run_answer(&state.app.run(&operator.ctx, &id).await?)))
}

async fn control(
    operator: Operator,
    state: AppState,
    id: String,
    verb: Verb,
    request: ReasonRequest,
) -> Answer<RunAnswer> {
    let done = state.app.run_control(&operator.ctx, &id, verb, request.reason).await?;
    let mut answer = run_answer(&done.run);
    answer.already_terminal = (verb == Verb::Cancel).then_some(done.already_terminal);
    Ok(Json(answer))
}

/// Pause a run
///
/// Queued, it is paused at once; with an executor at work, as soon as that says that it has stopped.
#[utoipa::path(
    post, path = "/automations/v2/runs/{run_id}/pause", tag = "runs",
    params(("run_id" = String, Path, description = "`run_id`")),
    request_body = ReasonRequest,
    responses(
        (status = 200, body = RunAnswer),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_PAUSABLE`"),
    )
)]
pub async fn pause(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<ReasonRequest>,
) -> Answer<RunAnswer> {
    control(operator, state, id, Verb::Pause, request).await
}

/// Resume a paused run
///
/// It is admitted again like a new one, and waits for an executor.
#[utoipa::path(
    post, path = "/automations/v2/runs/{run_id}/resume", tag = "runs",
    params(("run_id" = String, Path, description = "`run_id`")),
    request_body = ReasonRequest,
    responses(
        (status = 200, body = RunAnswer),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_PAUSED`, or `AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED`"),
    )
)]
pub async fn resume(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<ReasonRequest>,
) -> Answer<RunAnswer> {
    control(operator, state, id, Verb::Resume, request).await
}

/// Cancel a run
///
/// It is over at once; its executor hears of it at its next call. A run that had ended stays what it was.
#[utoipa::path(
    post, path = "/automations/v2/runs/{run_id}/cancel", tag = "runs",
    params(("run_id" = String, Path, description = "`run_id`")),
    request_body = ReasonRequest,
    responses(
        (status = 200, body = RunAnswer),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_FOUND`"),
    )
)]
pub async fn cancel(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<ReasonRequest>,
) -> Answer<RunAnswer> {
    control(operator, state, id, Verb::Cancel, request).await
}

/// Try a run again
///
/// The failed and blocked nodes are to be done again, and those that depend on them; what others put out stays. A failure
/// that names no node leaves nothing to go by, unless the run has none or its executor was lost.
#[utoipa::path(
    post, path = "/automations/v2/runs/{run_id}/recover", tag = "runs",
    params(("run_id" = String, Path, description = "`run_id`")),
    request_body = ReasonRequest,
    responses(
        (status = 200, body = RunAnswer),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_RECOVERABLE`, `AUTOMATION_V2_RUN_FAILURE_CONTEXT_MISSING`, `AUTOMATION_V2_RUN_BLOCKED_CONTEXT_MISSING` or `AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED`"),
    )
)]
pub async fn recover(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    OptionalBody(request): OptionalBody<ReasonRequest>,
) -> Answer<RunAnswer> {
    control(operator, state, id, Verb::Recover, request).await
}

/// Decide at a gate
///
/// A person's answer to the question that the run waits with. Whoever asked for the run may not approve what has effects
/// outside.
#[utoipa::path(
    post, path = "/automations/v2/runs/{run_id}/gate", tag = "runs",
    params(("run_id" = String, Path, description = "`run_id`")),
    request_body = GateRequest,
    responses(
        (status = 200, body = RunAnswer),
        (status = 400, body = ErrorBody, description = "`AUTOMATION_V2_GATE_INVALID_DECISION`"),
        (status = 403, body = ErrorBody, description = "`AUTOMATION_V2_GATE_REQUIRES_HUMAN` or `AUTOMATION_V2_GATE_SELF_APPROVAL_FORBIDDEN`"),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_FOUND` or `AUTOMATION_V2_GATE_NODE_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_AWAITING_APPROVAL`, `AUTOMATION_V2_RUN_GATE_MISSING` or `AUTOMATION_V2_GATE_EXPIRED`"),
    )
)]
pub async fn gate(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(request): Body<GateRequest>,
) -> Answer<RunAnswer> {
    let word = non_blank(Some(&request.decision)).unwrap_or_default();
    let answer = GateDecision::from_word(word).ok_or_else(|| ApiError::of(Code::GateInvalidDecision))?;
    let decided = state.app.run_gate(&operator.ctx, &id, answer, request.reason, request.transition_id).await?;
    Ok(Json(run_answer(&decided)))
}
