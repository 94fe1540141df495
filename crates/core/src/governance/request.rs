//! Filing a request for approval, by whoever needs one and by the sweeps; and taking one back or handing it on.

use serde_json::{Map, Value, json};

use super::{
    agent::Agent,
    approval::{Approval, Delegation, Quota, RequestType, Resource, Status, action_digest, fold_id},
    limits::{Base, Limits},
    money::Usd,
    record::{GovernanceRecord, ReviewKind},
    review,
    sweep::{self, Sweep},
};
use crate::{
    actor::{ActorKind, ActorRef},
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
    redaction::{Counts, redactor},
    text::{non_blank, truncate},
};

/// The longest rationale, note or reason that is kept, in bytes.
pub const LONGEST_TEXT: usize = 4000;
const LONGEST_CONTEXT: usize = 64 * 1024;
const LONGEST_ID: usize = 200;

/// A request as it is asked for. Made by [`NewRequest::tidy`] or by a sweep.
#[derive(Clone, Debug, Default)]
pub struct NewRequest {
    pub rationale: String,
    pub context: Value,
    /// One deadline for both, or either by itself.
    pub expires_at_ms: Option<u64>,
    pub decide_by_ms: Option<u64>,
    pub use_by_ms: Option<u64>,
    pub uses: Option<u32>,
    pub risk_tier: Option<String>,
    pub action: Option<String>,
    pub parameters: Option<Value>,
    /// Over the parameters as they came, before redaction.
    pub action_digest: Option<String>,
}

fn invalid(detail: &str) -> Failure {
    Failure::of(Code::ApprovalCreateFailed).with("detail", detail)
}

/// What people write, without secrets and bounded.
pub fn tidy_text(text: &str) -> String {
    truncate(&redactor(None).text(text.trim(), &mut Counts::new()), LONGEST_TEXT)
}

impl NewRequest {
    /// Checks and redacts what a caller wrote. Runs before the transaction.
    pub fn tidy(mut self, target: &Resource, now_ms: u64) -> Result<Self, Failure> {
        if non_blank(Some(&self.rationale)).is_none() {
            return Err(invalid("`rationale` is blank"));
        }
        for id in [&target.kind, &target.id] {
            if id.trim().is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
                return Err(invalid("`target_resource` needs a type and an id of at most 200 bytes"));
            }
        }
        match &self.context {
            Value::Null => {}
            Value::Object(map) => {
                let reserved = |key: &&String| key.starts_with('_') || *key == "action_gate" || *key == "egress_dlp";
                if let Some(key) = map.keys().find(reserved) {
                    return Err(invalid(&format!("`context.{}` is set by servers only", truncate(key, 80))));
                }
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(invalid("`context` must be an object"));
            }
        }
        if self.context.to_string().len() > LONGEST_CONTEXT {
            return Err(invalid("`context` is larger than 64 KiB"));
        }
        for at in [self.expires_at_ms, self.decide_by_ms, self.use_by_ms].into_iter().flatten() {
            if at <= now_ms {
                return Err(invalid("a deadline lies in the past"));
            }
        }
        if self.uses == Some(0) {
            return Err(invalid("`uses` must be at least 1"));
        }
        if self.action.is_none() {
            self.action = text_of(&self.context, &["action"]);
        }
        if self.parameters.is_none() {
            self.parameters = self.context.get("parameters").cloned();
        }
        if let Some(action) = &self.action {
            let none = Value::Object(Map::new());
            self.action_digest = Some(action_digest(target, action, self.parameters.as_ref().unwrap_or(&none)));
        }
        if self.risk_tier.is_none() {
            self.risk_tier = text_of(&self.context, &["risk_tier", "risk"]);
        }
        let (engine, mut counts) = (redactor(None), Counts::new());
        // A capability's key is a name, although it is called a key.
        let names: Vec<(&str, String)> = ["capability_key", "capability"]
            .into_iter()
            .filter_map(|key| self.context.get(key).and_then(Value::as_str).map(|name| (key, name.to_owned())))
            .filter(|(_, name)| name.len() <= LONGEST_ID && engine.text(name, &mut counts) == name.as_str())
            .collect();
        engine.json(&mut self.context, &mut counts);
        for (key, name) in names {
            self.context[key] = name.into();
        }
        if let Some(parameters) = &mut self.parameters {
            engine.json(parameters, &mut counts);
        }
        self.rationale = tidy_text(&self.rationale);
        Ok(self)
    }
}

fn text_of(context: &Value, keys: &[&str]) -> Option<String> {
    let found = keys.iter().find_map(|key| context.get(key).and_then(Value::as_str));
    non_blank(found).map(|text| truncate(text, LONGEST_ID))
}

fn number_of(context: &Value, keys: &[&str]) -> Option<f64> {
    keys.iter().find_map(|key| context.get(key).and_then(Value::as_f64)).filter(|n| n.is_finite() && *n >= 0.0)
}

/// Makes the request, with its deadlines and reviewers, and its audit row. Whether it may be made was decided before.
pub fn file(
    desk: &mut Desk<'_>,
    limits: &Limits,
    request_type: RequestType,
    requested_by: ActorRef,
    target: Resource,
    new: NewRequest,
) -> Decided<Approval> {
    sweep::ensure(desk)?;
    let now = desk.now_ms();
    let longest = now.saturating_add(request_type.longest_life_ms());
    let decide_by_ms = new
        .decide_by_ms
        .or(new.expires_at_ms)
        .unwrap_or_else(|| now.saturating_add(limits.approval_ttl_ms))
        .min(longest);
    let use_by_ms =
        new.use_by_ms.or(new.expires_at_ms).unwrap_or_else(|| now.saturating_add(limits.approval_ttl_ms)).min(longest);
    let context = &new.context;
    let quota = match request_type {
        RequestType::QuotaOverride => {
            Some(text_of(context, &["quota"]).and_then(|word| Quota::from_word(&word)).unwrap_or(Quota::WeeklySpend))
        }
        _ => None,
    };
    // An action is done once; a capability and a lifted cap hold until their time.
    let until_its_time = match request_type {
        RequestType::CapabilityRequest | RequestType::ElevatedCapability => new.action.is_none(),
        RequestType::QuotaOverride => quota == Some(Quota::WeeklySpend),
        RequestType::ExternalPost
        | RequestType::LifecycleReview
        | RequestType::DepthOverride
        | RequestType::RetirementAction => false,
    };
    let policy = limits.review_policy(request_type, new.risk_tier.as_deref());
    let after = |ms: Option<u64>| ms.map(|ms| now.saturating_add(ms));
    let approval = Approval {
        approval_id: desk.id("apr_"),
        request_type,
        requested_by,
        rationale: new.rationale,
        status: Status::Pending,
        expires_at_ms: decide_by_ms,
        decide_by_ms,
        use_by_ms: use_by_ms.max(decide_by_ms.min(longest)),
        risk_tier: new.risk_tier,
        action: new.action,
        parameters: new.parameters,
        action_digest: new.action_digest,
        capability_key: text_of(context, &["capability_key", "capability"]),
        automation_id: text_of(context, &["automation_id", "automationID", "automationId"])
            .filter(|_| matches!(request_type, RequestType::CapabilityRequest | RequestType::ElevatedCapability)),
        quota,
        max_depth: number_of(context, &["max_depth"]).map(|depth| depth as u64),
        max_additional_usd: number_of(context, &["max_additional_usd"]).map(Usd::of),
        additional_spent_usd: Usd::ZERO,
        uses_allowed: new.uses.or((!until_its_time).then_some(1)),
        uses: 0,
        recent_uses: Vec::new(),
        approvals_needed: policy.map_or(1, |policy| policy.approve),
        denials_needed: policy.map_or(1, |policy| policy.deny),
        reviewers: policy.map(|policy| policy.reviewers.clone()).unwrap_or_default(),
        votes: Vec::new(),
        delegations: Vec::new(),
        remind_at_ms: after(policy.and_then(|policy| policy.remind_after_ms)),
        reminded_at_ms: None,
        escalate_at_ms: after(policy.and_then(|policy| policy.escalate_after_ms)),
        escalated_at_ms: None,
        escalate_to: policy.map(|policy| policy.escalate_to.clone()).unwrap_or_default(),
        reviewed_by: None,
        reviewed_at_ms: None,
        review_notes: None,
        superseded: false,
        created_at_ms: now,
        updated_at_ms: now,
        result: None,
        target_resource: target,
        context: new.context,
    };
    desk.save(&approval);
    sweep::come_by(desk, limits, Sweep::Approvals, approval.next_at_ms());
    let payload = json!({
        "approvalID": approval.approval_id,
        "requestType": approval.request_type,
        "requestedBy": approval.requested_by,
        "targetResource": approval.target_resource,
        "trigger": approval.context.get("trigger"),
        "action": approval.action,
        "actionDigest": approval.action_digest,
        "decideByMs": approval.decide_by_ms,
        "useByMs": approval.use_by_ms,
    });
    desk.audit("automation.governance.approval.requested", payload);
    Ok(approval)
}

/// POST /governance/approvals.
#[derive(Debug)]
pub struct FileRequest {
    pub base: std::sync::Arc<Base>,
    pub request_type: RequestType,
    pub target: Resource,
    pub new: NewRequest,
}

impl Decision for FileRequest {
    type Outcome = Approval;

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Approval> {
        let limits = self.base.effective(desk)?;
        let by = desk.ctx.actor.clone();
        if by.kind == ActorKind::Agent && by.actor_id.is_none() {
            return Err(Failure::of(Code::AgentIdRequired).into());
        }
        self.fits()?;
        let trigger = named_cause(&self.new.context);
        if self.request_type == RequestType::LifecycleReview && self.new.action.is_none() {
            return self.review(desk, &limits, by, trigger);
        }
        file(desk, &limits, self.request_type, by, self.target.clone(), self.new.clone())
    }
}

impl FileRequest {
    /// A word that means nothing is refused. A request that leaves out what would make it answer something is filed, and
    /// answers nothing.
    fn fits(&self) -> Result<(), Failure> {
        let word = match self.request_type {
            RequestType::QuotaOverride => text_of(&self.new.context, &["quota"]),
            RequestType::CapabilityRequest
            | RequestType::ExternalPost
            | RequestType::LifecycleReview
            | RequestType::ElevatedCapability
            | RequestType::DepthOverride
            | RequestType::RetirementAction => None,
        };
        match word {
            Some(word) if Quota::from_word(&word).is_none() => {
                Err(invalid("`context.quota` is weekly_spend, daily_creation or active_cap"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Only a person takes the place of a review that still waits: what the system asks, with its evidence and its
    /// deadline, is not put away by who is to be reviewed.
    fn may_replace(desk: &mut Desk<'_>, by: &ActorRef, current: Option<&str>) -> Decided<()> {
        let Some(id) = current.filter(|_| by.kind != ActorKind::Human) else { return Ok(()) };
        if desk.get::<Approval>(id)?.is_none_or(|approval| !approval.is_pending()) {
            return Ok(());
        }
        Err(Failure::of(Code::ApprovalTriggerStale)
            .with("approvalID", id)
            .with("detail", "a request for this review waits already")
            .into())
    }

    /// A review that somebody asks for becomes the one that decides, if one of its kind is due. One that claims a cause
    /// needs it to be due; one that claims none is filed like any other request.
    fn review(
        &self,
        desk: &mut Desk<'_>,
        limits: &Limits,
        by: ActorRef,
        trigger: Option<ReviewKind>,
    ) -> Decided<Approval> {
        let due = self.due(desk)?;
        if due.is_none() || trigger.is_some_and(|kind| Some(kind) != due) {
            if trigger.is_some_and(|kind| is_cause(&self.target, kind)) {
                return Err(Failure::of(Code::ApprovalTriggerStale).into());
            }
            return file(desk, limits, self.request_type, by, self.target.clone(), self.new.clone());
        }
        let now = desk.now_ms();
        if self.target.kind == "agent" {
            let Some(mut agent) = desk.get::<Agent>(&self.target.id)? else {
                return Err(Failure::of(Code::ApprovalTriggerStale).into());
            };
            let approval = self.replace(desk, limits, by, agent.creation.review_request_id.as_deref())?;
            agent.creation.review_request_id = Some(approval.approval_id.clone());
            agent.creation.updated_at_ms = now;
            desk.save(&agent);
            return Ok(approval);
        }
        let Some(mut record) = desk.get::<GovernanceRecord>(&self.target.id)? else {
            return Err(Failure::of(Code::ApprovalTriggerStale).into());
        };
        let approval = self.replace(desk, limits, by, record.review_request_id.as_deref())?;
        record.review_request_id = Some(approval.approval_id.clone());
        record.updated_at_ms = now;
        desk.save(&record);
        Ok(approval)
    }

    /// What a review of the target is due for.
    fn due(&self, desk: &mut Desk<'_>) -> Decided<Option<ReviewKind>> {
        Ok(if self.target.kind == "agent" {
            desk.get::<Agent>(&self.target.id)?.and_then(|agent| agent.creation.kind())
        } else if self.target.is_automation() {
            let record = desk.get::<GovernanceRecord>(&self.target.id)?.filter(|record| !record.is_deleted());
            record.and_then(|record| record.review_kind.filter(|_| record.review_required))
        } else {
            None
        })
    }

    fn replace(&self, desk: &mut Desk<'_>, limits: &Limits, by: ActorRef, current: Option<&str>) -> Decided<Approval> {
        Self::may_replace(desk, &by, current)?;
        review::supersede(desk, current)?;
        file(desk, limits, self.request_type, by, self.target.clone(), self.new.clone())
    }
}

/// Whether a review of this kind says that the state of its target is the cause.
pub fn is_cause(target: &Resource, kind: ReviewKind) -> bool {
    match kind {
        ReviewKind::CreationQuota => target.kind == "agent",
        ReviewKind::RunDrift
        | ReviewKind::HealthDrift
        | ReviewKind::DependencyRevoked
        | ReviewKind::TenantOwnershipMismatch => target.is_automation(),
        ReviewKind::ExpirationSoon | ReviewKind::Expired | ReviewKind::Retired => false,
    }
}

/// The cause that a request names in its context.
pub fn named_cause(context: &Value) -> Option<ReviewKind> {
    text_of(context, &["trigger"]).and_then(|word| ReviewKind::from_word(&word))
}

/// Taken back by who asked. A review that is still due is asked for again, by the system.
#[derive(Debug)]
pub struct Cancel {
    pub base: std::sync::Arc<Base>,
    pub approval_id: String,
    pub reason: Option<String>,
}

impl Decision for Cancel {
    type Outcome = Approval;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<Approval>(&self.approval_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Approval> {
        let Some(mut approval) = desk.get::<Approval>(&self.approval_id)? else {
            return Err(Failure::of(Code::ApprovalNotFound).with("approvalID", self.approval_id.as_str()).into());
        };
        let actor = &desk.ctx.actor;
        let same = approval.was_asked_by(actor);
        if !same {
            return Err(Failure::of(Code::ApprovalCancelForbidden)
                .with("approvalID", self.approval_id.as_str())
                .into());
        }
        match approval.status {
            Status::Cancelled => return Ok(approval),
            Status::Pending => {}
            Status::Approved | Status::Denied | Status::Expired => {
                return Err(Failure::of(Code::ApprovalAlreadyDecided)
                    .with("approvalID", self.approval_id.as_str())
                    .with("status", approval.status.word())
                    .into());
            }
        }
        approval.status = Status::Cancelled;
        approval.review_notes = self.reason.clone();
        approval.updated_at_ms = desk.now_ms();
        desk.save(&approval);
        let payload = json!({ "approvalID": approval.approval_id, "reason": approval.review_notes });
        desk.audit("automation.governance.approval.cancelled", payload);
        let limits = self.base.effective(desk)?;
        sweep::ask_again(desk, &limits, &approval, review::system("automation_review_cancelled"))?;
        Ok(approval)
    }
}

/// A reviewer hands the decision to somebody else, and their own word with it: what was one vote stays one.
#[derive(Debug)]
pub struct Delegate {
    pub approval_id: String,
    pub to: String,
    pub reason: Option<String>,
}

impl Decision for Delegate {
    type Outcome = Approval;

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Approval> {
        let refuse = |code| Failure::of(code).with("approvalID", self.approval_id.as_str());
        let actor = desk.ctx.actor.clone();
        if actor.kind != ActorKind::Human {
            return Err(refuse(Code::ApprovalRequiresHuman).into());
        }
        let Some(from) = actor.actor_id.clone() else { return Err(refuse(Code::GovernanceActorRequired).into()) };
        let Some(mut approval) = desk.get::<Approval>(&self.approval_id)? else {
            return Err(refuse(Code::ApprovalNotFound).into());
        };
        if !approval.is_pending() {
            return Err(refuse(Code::ApprovalAlreadyDecided).with("status", approval.status.word()).into());
        }
        if approval.is_own(&actor) {
            return Err(refuse(Code::ApprovalSelfReview).into());
        }
        if !approval.admits_reviewer(Some(&from)) {
            return Err(refuse(Code::ApprovalReviewerForbidden).into());
        }
        let to = fold_id(&self.to);
        if to == fold_id(&from) || approval.requested_by.actor_id.as_deref().map(fold_id) == Some(to.clone()) {
            return Err(refuse(Code::ApprovalSelfReview).into());
        }
        if approval.delegations.len() >= 16 {
            return Err(refuse(Code::ApprovalReviewerForbidden).with("detail", "handed on too often").into());
        }
        // It would come back to somebody who has no word in it any more.
        if approval.has_handed_on(&to) {
            return Err(refuse(Code::ApprovalReviewerForbidden).with("detail", "they have handed it on").into());
        }
        let own = fold_id(&from);
        approval.votes.retain(|vote| vote.by.actor_id.as_deref().map(fold_id).as_deref() != Some(own.as_str()));
        let at_ms = desk.now_ms();
        approval.delegations.push(Delegation { from, to: self.to.trim().into(), at_ms, reason: self.reason.clone() });
        approval.updated_at_ms = at_ms;
        desk.save(&approval);
        let payload = json!({ "approvalID": approval.approval_id, "delegation": approval.delegations.last() });
        desk.audit("automation.governance.approval.delegated", payload);
        Ok(approval)
    }
}
