//! What the outcome of one attempt does to its delivery, its receipt, its draft and its incident.

use serde_json::{Value, json};

use super::{Action, Attempt, Delivery, DeliveryState, refusal, schedule};
use crate::{
    destination::DestinationKind,
    draft::{self, Draft, Refusal},
    incident::{Incident, IncidentStatus},
    receipt::Post,
    text::truncate,
    tracker::IssueRef,
};

/// What an adapter says of one attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The destination took it.
    pub accepted: bool,
    pub status_code: Option<u16>,
    pub retryable: bool,
    /// The destination's own no, and how long it is worth waiting for.
    pub refusal: Option<refusal::Refusal>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub response_excerpt: Option<String>,
    pub response_truncated: bool,
    pub retry_after_ms: Option<u64>,
    pub duration_ms: Option<u64>,
    /// The endpoint said that it is gone for good.
    pub gone: bool,
    pub external_id: Option<String>,
    pub external_url: Option<String>,
    pub external_title: Option<String>,
    /// Sent, and whether it took effect is not known. The intent stays, and with it the duty to look before sending.
    pub in_doubt: bool,
    /// The destination itself said that it did nothing. Its word ends no doubt; it is kept beside it.
    pub refused: bool,
    /// The destination wants an authorisation that somebody has to give first.
    pub auth_required: bool,
    /// Of what was sent, where that is another one than the delivery's: an issue that follows a closed one.
    pub evidence_digest: Option<String>,
    /// What was done in the end, where that is decided only when the destination is looked at.
    pub done: Option<(&'static str, Action)>,
    pub issue: Option<IssueRef>,
    /// `open` or `closed`, as found.
    pub issue_state: Option<&'static str>,
    pub comment_id: Option<String>,
    pub comment_url: Option<String>,
    /// Further keys of the receipt.
    pub receipt: serde_json::Map<String, Value>,
}

impl Outcome {
    /// A final refusal before anything was sent.
    pub fn blocked(code: &str, error: impl Into<String>) -> Self {
        Self { error_code: Some(code.to_owned()), error: Some(error.into()), ..Self::default() }
    }
}

/// Adds the attempt and says when the next one is due, if there is one. `spread` is a random number in `0..=400`.
pub fn attempt(delivery: &mut Delivery, outcome: &Outcome, spread: u64, now_ms: u64) -> Option<u64> {
    let number = u32::try_from(delivery.attempts.len() + 1).unwrap_or(u32::MAX);
    delivery.attempts.push(Attempt {
        attempt: number,
        at_ms: now_ms,
        duration_ms: outcome.duration_ms,
        status_code: outcome.status_code,
        retryable: outcome.retryable,
        response_excerpt: outcome.response_excerpt.clone(),
        response_truncated: outcome.response_truncated,
        error: outcome.error.as_deref().map(|e| truncate(e, 500)),
        error_code: outcome.error_code.clone(),
    });
    delivery.updated_at_ms = delivery.updated_at_ms.max(now_ms);
    delivery.error_code = outcome.error_code.clone();
    delivery.error = outcome.error.as_deref().map(|e| truncate(e, 500));
    delivery.next_attempt_at_ms = None;
    match &mut delivery.intent {
        Some(intent) if outcome.in_doubt => {
            if outcome.refused {
                intent.refused.clone_from(&delivery.error);
            }
        }
        Some(_) | None => delivery.intent = None,
    }
    if let Some((operation, action)) = outcome.done {
        operation.clone_into(&mut delivery.operation);
        delivery.action = action;
    }
    if outcome.issue.is_some() {
        delivery.issue.clone_from(&outcome.issue);
    }
    if outcome.accepted {
        delivery.state = DeliveryState::Posted;
        delivery.payload = None;
        return None;
    }
    // What was sent and refused is looked up before it is believed.
    let passes = outcome.refused
        || outcome.refusal.is_none_or(|no| no.may_pass(refusal::heard(delivery, outcome.error_code.as_deref())));
    if outcome.retryable && passes && number < delivery.max_attempts {
        let due = now_ms + schedule::delay_ms(number + 1, spread, outcome.retry_after_ms);
        delivery.state = DeliveryState::Retrying;
        delivery.next_attempt_at_ms = Some(due);
        return Some(due);
    }
    // A failure that nobody is sure of is not called one.
    delivery.state = match delivery.intent {
        Some(_) => DeliveryState::Unknown,
        None if outcome.auth_required => DeliveryState::Blocked,
        None => DeliveryState::Failed,
    };
    None
}

/// Refuses a delivery without an attempt.
pub fn block(delivery: &mut Delivery, code: &str, error: &str, now_ms: u64) {
    // What was refused after something had been sent may have happened all the same.
    delivery.state = if delivery.intent.is_some() { DeliveryState::Unknown } else { DeliveryState::Blocked };
    delivery.error_code = Some(code.to_owned());
    delivery.error = Some(truncate(error, 500));
    delivery.next_attempt_at_ms = None;
    delivery.payload = None;
    delivery.updated_at_ms = delivery.updated_at_ms.max(now_ms);
}

/// The receipt of a delivery that has not been attempted.
pub fn pending_post(draft: &Draft, delivery: &Delivery) -> Post {
    Post {
        post_id: delivery.post_id.clone(),
        draft_id: draft.draft_id.clone(),
        incident_id: draft.incident_id.clone(),
        fingerprint: draft.fingerprint.clone(),
        repo: draft.repo.clone(),
        operation: delivery.operation.clone(),
        status: DeliveryState::Pending,
        issue_number: None,
        issue_url: None,
        comment_id: None,
        comment_url: None,
        destination_id: Some(delivery.destination_id.clone()),
        destination_kind: Some(delivery.destination_kind),
        route_id: delivery.route_id.clone(),
        route_match_reason: delivery.route_match_reason.clone(),
        external_id: None,
        external_url: None,
        external_title: None,
        target_ref: Some(delivery.target_ref.clone()),
        receipt: Some(receipt(delivery, serde_json::Map::new())),
        evidence_digest: Some(delivery.evidence_digest.clone()),
        confidence: draft.classification.confidence.clone(),
        risk_level: draft.classification.risk_level.clone(),
        expected_destination: draft.classification.expected_destination.clone(),
        evidence_refs: draft.classification.evidence_refs.iter().map(|r| truncate(r, 500)).collect(),
        quality_gate: draft.quality_gate.clone(),
        idempotency_key: delivery.idempotency_key.clone(),
        response_excerpt: None,
        error: None,
        tenant_id: draft.routing.tenant_id.clone(),
        workspace_id: draft.routing.workspace_id.clone(),
        created_at_ms: delivery.created_at_ms,
        updated_at_ms: delivery.created_at_ms,
    }
}

/// Brings the receipt up to the delivery's state.
pub fn post(post: &mut Post, delivery: &Delivery, outcome: &Outcome) {
    post.status = delivery.state;
    post.operation.clone_from(&delivery.operation);
    let issue = delivery.issue.as_ref();
    post.issue_number = issue.and_then(|issue| issue.number);
    post.issue_url = issue.and_then(|issue| issue.url.clone());
    post.comment_id.clone_from(&outcome.comment_id);
    post.comment_url.clone_from(&outcome.comment_url);
    post.external_id.clone_from(&outcome.external_id);
    post.external_url.clone_from(&outcome.external_url);
    post.external_title.clone_from(&outcome.external_title);
    post.response_excerpt.clone_from(&outcome.response_excerpt);
    post.error.clone_from(&delivery.error);
    if outcome.evidence_digest.is_some() {
        post.evidence_digest.clone_from(&outcome.evidence_digest);
    }
    post.receipt = Some(receipt(delivery, outcome.receipt.clone()));
    post.updated_at_ms = post.updated_at_ms.max(delivery.updated_at_ms);
}

fn receipt(delivery: &Delivery, mut more: serde_json::Map<String, Value>) -> Value {
    let provider = match delivery.destination_kind {
        DestinationKind::GithubIssue => "github",
        DestinationKind::LinearIssue => "linear",
        DestinationKind::Webhook => "webhook",
        DestinationKind::Telemetry => "incident_monitor_telemetry",
        DestinationKind::InternalMemory => "incident_monitor_internal_memory",
        DestinationKind::McpTool => "mcp_tool",
    };
    let last = delivery.attempts.last();
    for (key, value) in [
        ("provider", json!(provider)),
        ("destination_id", json!(delivery.destination_id)),
        ("operation", json!(delivery.operation)),
        ("status", json!(delivery.state)),
        ("delivery_id", json!(delivery.delivery_id)),
        ("target_ref", json!(delivery.target_ref)),
        ("route_id", json!(delivery.route_id)),
        ("route_match_reason", json!(delivery.route_match_reason)),
        ("status_code", json!(last.and_then(|a| a.status_code))),
        ("attempt_count", json!(delivery.attempts.len())),
        ("response_truncated", json!(last.is_some_and(|a| a.response_truncated))),
        ("attempts", json!(delivery.attempts)),
        ("max_attempts", json!(delivery.max_attempts)),
        ("next_attempt_at_ms", json!(delivery.next_attempt_at_ms)),
        ("error_code", json!(delivery.error_code)),
    ] {
        more.entry(key).or_insert(value);
    }
    Value::Object(more)
}

/// Tells the draft. A denial that came in between stands; the receipt still says what was sent.
pub fn draft(draft: &mut Draft, delivery: &Delivery, outcome: &Outcome, now_ms: u64) -> Result<(), Refusal> {
    let event = match delivery.state {
        DeliveryState::Posted => draft::Event::Published {
            kind: delivery.destination_kind,
            recurrence: delivery.recurrence,
            issue: delivery.issue.clone().map(|issue| {
                Box::new(draft::Tracked {
                    issue,
                    matched: delivery.action != Action::CreateIssue,
                    state: outcome.issue_state,
                    comment_url: outcome.comment_url.clone(),
                })
            }),
            action: delivery.action,
            url: outcome.external_url.clone(),
            digest: delivery.evidence_digest.clone(),
        },
        DeliveryState::Failed | DeliveryState::Blocked | DeliveryState::Unknown => draft::Event::PublishFailed {
            kind: delivery.destination_kind,
            auth_required: outcome.auth_required,
            error: delivery.error.clone().unwrap_or_else(|| "the delivery failed".into()),
        },
        // More attempts follow: the draft keeps its status and shows the last error.
        DeliveryState::Pending | DeliveryState::Retrying => {
            draft.last_post_error.clone_from(&delivery.error);
            draft.updated_at_ms = draft.updated_at_ms.max(now_ms);
            return Ok(());
        }
    };
    draft::transition(draft, event, now_ms)
}

/// Tells the incident.
pub fn incident(incident: &mut Incident, delivery: &Delivery, now_ms: u64) {
    incident.status = match delivery.state {
        DeliveryState::Posted => IncidentStatus::of_action(delivery.action),
        DeliveryState::Pending | DeliveryState::Retrying => IncidentStatus::of_action(Action::PublishInProgress),
        DeliveryState::Failed | DeliveryState::Blocked | DeliveryState::Unknown => IncidentStatus::PostFailed,
    };
    incident.last_error = match delivery.state {
        DeliveryState::Posted | DeliveryState::Pending => None,
        DeliveryState::Retrying | DeliveryState::Failed | DeliveryState::Blocked | DeliveryState::Unknown => {
            delivery.error.clone()
        }
    };
    incident.updated_at_ms = incident.updated_at_ms.max(now_ms);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::{Intent, Mode};

    fn delivery(kept: bool, max_attempts: u32) -> Delivery {
        let intent = Intent {
            operation: "create_issue".into(),
            action: Action::CreateIssue,
            at_ms: 1,
            issue: None,
            effect: None,
            refused: None,
        };
        Delivery {
            delivery_id: "bmwh_1".into(),
            draft_id: "d".into(),
            incident_id: None,
            post_id: "p".into(),
            destination_id: "gh".into(),
            destination_kind: DestinationKind::GithubIssue,
            route_id: None,
            route_match_reason: None,
            target_ref: "acme/app".into(),
            operation: "create_issue".into(),
            action: Action::CreateIssue,
            mode: Mode::Manual,
            requested_destination_ids: Vec::new(),
            effective_destination_ids: Vec::new(),
            approval_required: false,
            idempotency_key: "k".into(),
            evidence_digest: "e".into(),
            state: DeliveryState::Pending,
            max_attempts,
            attempts: Vec::new(),
            next_attempt_at_ms: None,
            destination_digest: String::new(),
            error_code: None,
            error: None,
            intent: Some(intent).filter(|_| kept),
            issue: None,
            recurrence: None,
            payload: Some("text".into()),
            prepared: None,
            created_at_ms: 1,
            updated_at_ms: 1,
        }
    }

    /// A no is waited for as long as its words are worth, and one to what was sent until it has been looked up.
    #[test]
    fn a_refusal_ends_a_delivery_when_it_is_believed() {
        use refusal::Refusal::{Final, Passing, Untold};
        // What was heard, whether it was said of something that was sent; then after how many attempts it ends.
        for (no, refused, attempts) in
            [(Some(Final), false, 1), (Some(Untold), false, 3), (Some(Passing), false, 8), (None, false, 8)]
                .into_iter()
                .chain([(Some(Final), true, 8), (Some(Untold), true, 8)])
        {
            let mut delivery = delivery(refused, 8);
            let outcome = Outcome {
                retryable: true,
                refusal: no,
                refused,
                in_doubt: refused,
                ..Outcome::blocked("mcp_tool_error", "no")
            };
            let made = (1..).find(|_| attempt(&mut delivery, &outcome, 200, 1_000).is_none());
            assert_eq!(made, Some(attempts), "{no:?} {refused}");
            let ended = if refused { DeliveryState::Unknown } else { DeliveryState::Failed };
            assert_eq!((delivery.state, delivery.error.as_deref()), (ended, Some("no")));
        }
    }

    #[test]
    fn a_no_that_a_look_confirmed_is_believed_by_its_words() {
        for (words, sendings, believed) in [
            ("422 Validation Failed", 1, true),
            ("something went wrong", 1, false),
            ("something went wrong", 2, false),
            ("something went wrong", 3, true),
            ("upstream timed out", 6, false),
            // No attempt is left to look another one up.
            ("upstream timed out", 7, true),
        ] {
            let mut delivery = delivery(true, 8);
            let no = Outcome { in_doubt: true, refused: true, retryable: true, ..Outcome::blocked("e", words) };
            for _ in 0..sendings {
                attempt(&mut delivery, &no, 200, 1_000);
            }
            assert_eq!(refusal::confirmed(&delivery, words), believed, "{words} {sendings}");
            // Whoever delivers it again wants it sent again.
            delivery.attempts.clear();
            assert!(!refusal::confirmed(&delivery, words));
        }
    }

    /// What is not known is never called a failure, and what is known takes the intent back.
    #[test]
    fn an_intent_lives_exactly_as_long_as_the_doubt() {
        use DeliveryState as S;
        // Intent before, accepted, in doubt, retryable, attempts left; then state and whether the intent stays.
        for (intent, accepted, in_doubt, retryable, left, state, stays) in [
            (true, true, false, false, true, S::Posted, false),
            (true, false, true, true, true, S::Retrying, true),
            (true, false, true, true, false, S::Unknown, true),
            (true, false, true, false, true, S::Unknown, true),
            (true, false, false, true, true, S::Retrying, false),
            (true, false, false, false, true, S::Failed, false),
            (false, false, false, true, false, S::Failed, false),
        ] {
            let mut delivery = delivery(intent, if left { 8 } else { 1 });
            let outcome = Outcome { accepted, in_doubt, retryable, ..Outcome::default() };
            attempt(&mut delivery, &outcome, 200, 1_000);
            assert_eq!((delivery.state, delivery.intent.is_some()), (state, stays), "{outcome:?}");
            assert_eq!(delivery.payload.is_none(), accepted);
        }
        let mut said = delivery(true, 8);
        let refusal =
            Outcome { in_doubt: true, refused: true, retryable: true, ..Outcome::blocked("no", "it says no") };
        attempt(&mut said, &refusal, 200, 1_000);
        assert_eq!(said.intent.as_ref().and_then(|intent| intent.refused.as_deref()), Some("it says no"));
        for (intent, state) in [(true, S::Unknown), (false, S::Blocked)] {
            let mut delivery = delivery(intent, 8);
            block(&mut delivery, "destination_changed", "it changed", 5);
            assert_eq!(delivery.state, state);
        }
    }
}
