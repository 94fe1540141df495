//! What a person watches: open reviews, spending, policy decisions.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tandem_app::PageRequest;
use tandem_core::{
    governance::{
        approval::Approval,
        view::{AgentReview, AgentSpend, DecisionView, Lifecycle},
    },
    record::Column,
    text::non_blank,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::cursor;
use crate::extract::{Operator, Page, PageParams, Path, Query};
use crate::http::{answer::Answer, document::ErrorBody, state::AppState};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(reviews))
        .routes(routes!(spend))
        .routes(routes!(agent_spend))
        .routes(routes!(policy_decisions))
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
