//! Runs, as executors use them: claim, give signs of life, report. Every answer says whether to stop.

use axum::{Json, extract::State};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_app::automations::ClaimWish;
use tandem_core::{
    automation::{
        act::claim::MOST,
        casing,
        run::{order::Directives, report::Report, view::context_run_id},
    },
    error::{Code, Failure},
    text::non_blank,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError},
    automations::refusal,
    document::ErrorBody,
    runs::{RunView, shown},
    state::AppState,
};
use crate::extract::{Body, Operator, Path};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(claim_next))
        .routes(routes!(report_many))
        .routes(routes!(claim))
        .routes(routes!(heartbeat))
        .routes(routes!(report))
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct ClaimRequest {
    /// Who works on the runs, as the run shows it.
    #[serde(alias = "claimantId", alias = "claimantID")]
    pub claimant_id: String,
    /// How long a claim holds without a sign of life: 1 000 to 3 600 000 milliseconds, 60 000 when absent.
    #[serde(default, alias = "leaseMs")]
    pub lease_ms: Option<u64>,
    /// Only runs of this automation. Not read when one run is named.
    #[serde(default, alias = "automationId", alias = "automationID")]
    pub automation_id: Option<String>,
    /// Runs wanted, 1 to 50; one when absent. Not read when one run is named.
    #[serde(default)]
    pub limit: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub struct ClaimedRun {
    pub ok: bool,
    #[schema(value_type = RunView)]
    pub run: Value,
    /// To be presented with every heartbeat and report.
    pub claim_id: Option<String>,
    pub lease_expires_at_ms: Option<u64>,
    pub directives: Directives,
}

#[derive(Serialize, ToSchema)]
pub struct ClaimedRuns {
    pub ok: bool,
    pub claims: Vec<ClaimedRun>,
    pub count: usize,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct HeartbeatRequest {
    #[serde(alias = "claimId", alias = "claimID")]
    pub claim_id: String,
    #[serde(default, alias = "leaseMs")]
    pub lease_ms: Option<u64>,
    /// The executor has stopped, as it was told.
    #[serde(default, alias = "stopAcknowledged")]
    pub stop_acknowledged: Option<bool>,
}

#[derive(Serialize, ToSchema)]
pub struct HeartbeatAnswer {
    pub ok: bool,
    pub lease_expires_at_ms: Option<u64>,
    pub directives: Directives,
}

#[derive(Serialize, ToSchema)]
pub struct ReportAnswer {
    pub ok: bool,
    #[schema(value_type = RunView)]
    pub run: Value,
    pub directives: Directives,
    /// This report had been taken in before; nothing was changed.
    pub duplicate: bool,
    #[serde(rename = "contextRunID")]
    pub context_run_id: String,
    pub linked_context_run_id: String,
}

/// Reports of several runs, or several reports of one. Each has its `run_id` beside the keys of a report.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read in both casings")]
pub struct ReportsRequest {
    #[schema(value_type = Vec<Object>)]
    pub reports: Vec<Value>,
}

#[derive(Serialize, ToSchema)]
pub struct ReportsAnswer {
    /// Every report was taken in.
    pub ok: bool,
    /// One for each report, in their order.
    pub results: Vec<ReportResult>,
}

#[derive(Serialize, ToSchema)]
pub struct ReportResult {
    pub run_id: Option<String>,
    pub report_id: Option<String>,
    pub ok: bool,
    pub duplicate: bool,
    pub directives: Directives,
    /// The refusal of this report alone, with the `status` that it would have had.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub refusal: Option<Value>,
}

/// Reports in one call, at most.
const MOST_REPORTS: usize = 500;

fn wish(request: &ClaimRequest) -> Result<ClaimWish, ApiError> {
    let claimant = non_blank(Some(&request.claimant_id)).filter(|id| !id.chars().any(char::is_control));
    let claimant = claimant.ok_or_else(|| ApiError::unreadable(422, "`claimant_id` must not be blank."))?;
    Ok(ClaimWish {
        claimant_id: claimant.to_owned(),
        lease_ms: request.lease_ms,
        automation_id: request.automation_id.clone(),
        limit: request.limit.map_or(1, |limit| usize::try_from(limit).unwrap_or(MOST)).clamp(1, MOST),
    })
}

fn claimed(run: &tandem_core::automation::run::Run) -> ClaimedRun {
    let claim = run.execution_claim.as_ref();
    ClaimedRun {
        ok: true,
        run: shown(run),
        claim_id: claim.map(|claim| claim.claim_id.clone()),
        lease_expires_at_ms: claim.map(|claim| claim.lease_expires_at_ms),
        directives: Directives::default(),
    }
}

/// Claim the runs that have waited longest
///
/// Answers with none when none waits. A claim that sees no heartbeat and no report before its lease ends is lost, and the
/// run fails and says so.
#[utoipa::path(
    post, path = "/automations/v2/runs/claim", tag = "executors",
    request_body = ClaimRequest,
    responses((status = 200, body = ClaimedRuns))
)]
pub async fn claim_next(
    operator: Operator,
    State(state): State<AppState>,
    Body(request): Body<ClaimRequest>,
) -> Answer<ClaimedRuns> {
    let lent = state.app.runs_claim(&operator.ctx, wish(&request)?).await?;
    let claims: Vec<ClaimedRun> = lent.iter().map(claimed).collect();
    Ok(Json(ClaimedRuns { ok: true, count: claims.len(), claims }))
}

/// Claim a run
#[utoipa::path(
    post, path = "/automations/v2/runs/{run_id}/claim", tag = "executors",
    params(("run_id" = String, Path, description = "`run_id`")),
    request_body = ClaimRequest,
    responses(
        (status = 200, body = ClaimedRun),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_CLAIMABLE`, or `AUTOMATION_V2_GOVERNANCE_RUN_BLOCKED`: it was put on hold."),
    )
)]
pub async fn claim(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(request): Body<ClaimRequest>,
) -> Answer<ClaimedRun> {
    Ok(Json(claimed(&state.app.run_claim(&operator.ctx, &id, wish(&request)?).await?)))
}

/// Give a sign of life
///
/// Extends the lease. `directives` says whether to stop; answer that with `stop_acknowledged` when it is done.
#[utoipa::path(
    post, path = "/automations/v2/runs/{run_id}/heartbeat", tag = "executors",
    params(("run_id" = String, Path, description = "`run_id`")),
    request_body = HeartbeatRequest,
    responses(
        (status = 200, body = HeartbeatAnswer),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`AUTOMATION_V2_RUN_CLAIM_LOST`: stop working on it."),
    )
)]
pub async fn heartbeat(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(request): Body<HeartbeatRequest>,
) -> Answer<HeartbeatAnswer> {
    let heard = request.stop_acknowledged.unwrap_or(false);
    let beat = state.app.run_heartbeat(&operator.ctx, &id, request.claim_id, request.lease_ms, heard).await?;
    Ok(Json(HeartbeatAnswer {
        ok: true,
        lease_expires_at_ms: beat.run.execution_claim.as_ref().map(|claim| claim.lease_expires_at_ms),
        directives: beat.directives,
    }))
}

/// Report on a run
///
/// Taken in once under its `report_id`; sent again, it changes nothing and is answered with how things are now. Counters
/// only grow, and a run that has ended takes in nothing but what it used.
#[utoipa::path(
    post, path = "/automations/v2/runs/{run_id}/report", tag = "executors",
    params(("run_id" = String, Path, description = "`run_id`")),
    request_body = Report,
    responses(
        (status = 200, body = ReportAnswer),
        (status = 400, body = ErrorBody, description = "`AUTOMATION_V2_RUN_REPORT_INVALID` with `detail`"),
        (status = 403, body = ErrorBody, description = "Governance refuses; the code says which rule."),
        (status = 404, body = ErrorBody, description = "`AUTOMATION_V2_RUN_NOT_FOUND`"),
        (status = 409, body = ErrorBody, description = "`AUTOMATION_V2_RUN_CLAIM_LOST`, `AUTOMATION_V2_RUN_ALREADY_TERMINAL`, `AUTOMATION_V2_RUN_NOT_ACTIVE` (each with `directives`), or `AUTOMATION_V2_RUN_REPORT_CONFLICT`"),
    )
)]
pub async fn report(
    operator: Operator,
    State(state): State<AppState>,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Answer<ReportAnswer> {
    let answer = state.app.run_report(&operator.ctx, &id, body).await?;
    let linked = context_run_id(&answer.run.run_id);
    Ok(Json(ReportAnswer {
        ok: true,
        run: shown(&answer.run),
        directives: answer.directives,
        duplicate: answer.duplicate,
        context_run_id: linked.clone(),
        linked_context_run_id: linked,
    }))
}

/// Report on many runs
///
/// At most 500 reports, each taken in or refused by itself; those of one run in their order.
#[utoipa::path(
    post, path = "/automations/v2/runs/reports", tag = "executors",
    request_body = ReportsRequest,
    responses(
        (status = 200, body = ReportsAnswer),
        (status = 400, body = ErrorBody, description = "`AUTOMATION_V2_RUN_REPORT_INVALID`: too many reports."),
    )
)]
pub async fn report_many(
    operator: Operator,
    State(state): State<AppState>,
    Body(mut body): Body<Value>,
) -> Answer<ReportsAnswer> {
    casing::report(&mut body);
    let Some(reports) = body.get_mut("reports").and_then(Value::as_array_mut).map(std::mem::take) else {
        return Err(ApiError::unreadable(422, "`reports` must be a list."));
    };
    if reports.len() > MOST_REPORTS {
        let why = format!("{} reports, and one call takes {MOST_REPORTS}", reports.len());
        return Err(Failure::of(Code::RunReportInvalid).with("detail", why).into());
    }
    // Side by side, so that they share a flush; the store takes them in the order in which they are asked.
    let results = join_all(reports.into_iter().map(|report| one(&operator, &state, report))).await;
    Ok(Json(ReportsAnswer { ok: results.iter().all(|result| result.ok), results }))
}

async fn one(operator: &Operator, state: &AppState, mut body: Value) -> ReportResult {
    let named = |body: &Value, key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let (run_id, report_id) = (named(&body, "run_id"), named(&body, "report_id"));
    if let Some(body) = body.as_object_mut() {
        body.remove("run_id");
    }
    let outcome = match run_id.as_deref().filter(|id| id.len() <= 512 && !id.chars().any(char::is_control)) {
        Some(run_id) => state.app.run_report(&operator.ctx, run_id, body).await,
        None => Err(Failure::of(Code::RunReportInvalid).with("detail", "the report names no `run_id`")),
    };
    match outcome {
        Ok(answer) => ReportResult {
            run_id,
            report_id,
            ok: true,
            duplicate: answer.duplicate,
            directives: answer.directives,
            refusal: None,
        },
        Err(failure) => {
            let told = failure.extra.get("directives").cloned().unwrap_or(json!({ "stop": false }));
            ReportResult {
                run_id,
                report_id,
                ok: false,
                duplicate: false,
                directives: serde_json::from_value(told).unwrap_or_default(),
                refusal: Some(refusal(&failure)),
            }
        }
    }
}
