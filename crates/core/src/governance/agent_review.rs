//! The review that is due after an agent has created a number of automations. Until a person has looked, it creates no
//! more. Only creations count, and only this approval sets the counter back.

use serde_json::json;

use super::{
    agent::Agent,
    approval::{RequestType, Resource},
    limits::Limits,
    record::ReviewKind,
    request::{self, NewRequest},
    review,
};
use crate::decide::{Decided, Desk};

/// Counts one creation, and asks for the review when it is due. The caller saves the agent.
pub fn count(desk: &mut Desk<'_>, limits: &Limits, agent: &mut Agent, automation_id: &str) -> Decided<()> {
    let now = desk.now_ms();
    let review = &mut agent.creation;
    review.created_since_review += 1;
    review.updated_at_ms = now;
    let threshold = limits.per_agent_creation_review_threshold;
    if threshold == 0 || review.created_since_review < threshold || review.review_required {
        return Ok(());
    }
    let new = NewRequest {
        rationale: format!(
            "{} has created {} automations since its last review",
            agent.agent_id, review.created_since_review
        ),
        context: json!({
            "trigger": ReviewKind::CreationQuota,
            "agentID": agent.agent_id,
            "automationID": automation_id,
            "createdSinceReview": review.created_since_review,
            "creationReviewThreshold": threshold,
        }),
        ..NewRequest::default()
    };
    let (by, target) = (review::system("automation_creation_review"), Resource::agent(&agent.agent_id));
    let approval = request::file(desk, limits, RequestType::LifecycleReview, by, target, new)?;
    let review = &mut agent.creation;
    review.review_required = true;
    review.review_requested_at_ms = Some(now);
    review.review_request_id = Some(approval.approval_id);
    Ok(())
}
