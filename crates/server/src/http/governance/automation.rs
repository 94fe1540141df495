//! What is governed about one automation: its standing, findings, grants, and the end and return of its life.

use axum::{Json, extract::State, http::HeaderMap};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_app::PageRequest;
use tandem_core::governance::{
    money::Usd,
    record::{Finding, Grant},
    view::{AgentReview, AgentSpend, Governance, Lifecycle},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{approval_of, cursor};
use crate::extract::{Body, Operator, OptionalBody, Page, PageParams, Path};
use crate::http::{answer::Answer, document::ErrorBody, state::AppState};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(governance))
        .routes(routes!(findings))
        .routes(routes!(grants, grant))
        .routes(routes!(revoke))
        .routes(routes!(restore))
        .routes(routes!(retire))
        .routes(routes!(extend))
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
#[schema(as = GovernanceFindingList)]
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
#[schema(as = GovernedAutomationAnswer)]
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
