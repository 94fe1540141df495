//! A request for approval: what is asked, of whom, until when it can be decided and used, and how often.
//!
//! What a machine decides on is in typed fields. `context` is for people: keys in it that mean something to governance
//! are read once, when the request is filed, and those that only a server may set are refused.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::money::Usd;
use crate::{
    actor::{ActorKind, ActorRef},
    record::{Collection, Column, Record},
    wire::wire_enum,
};

wire_enum! {
    pub enum RequestType {
        CapabilityRequest = "capability_request",
        ExternalPost = "external_post",
        QuotaOverride = "quota_override",
        LifecycleReview = "lifecycle_review",
        ElevatedCapability = "elevated_capability",
        DepthOverride = "depth_override",
        RetirementAction = "retirement_action",
    }
}

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

impl RequestType {
    /// The longest life of an approval, from the request to the last use.
    pub fn longest_life_ms(self) -> u64 {
        match self {
            Self::CapabilityRequest | Self::QuotaOverride => 30 * DAY,
            Self::ExternalPost | Self::DepthOverride | Self::ElevatedCapability => 7 * DAY,
            Self::LifecycleReview | Self::RetirementAction => 90 * DAY,
        }
    }
}

wire_enum! {
    #[schema(as = ApprovalStatus)]
    pub enum Status {
        Pending = "pending",
        Approved = "approved",
        Denied = "denied",
        /// Nobody decided in time, or something else took its place.
        Expired = "expired",
        /// Taken back by who asked.
        Cancelled = "cancelled",
    }
}

wire_enum! {
    /// What a quota override lifts.
    pub enum Quota {
        WeeklySpend = "weekly_spend",
        DailyCreation = "daily_creation",
        ActiveCap = "active_cap",
    }
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resource {
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
}

impl Resource {
    pub fn agent(id: &str) -> Self {
        Self { kind: "agent".into(), id: id.to_owned() }
    }

    pub fn automation(id: &str) -> Self {
        Self { kind: "automation".into(), id: id.to_owned() }
    }

    pub fn is_automation(&self) -> bool {
        matches!(self.kind.as_str(), "automation" | "automation_v2")
    }
}

/// One reviewer's word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Vote {
    pub by: ActorRef,
    pub approve: bool,
    pub at_ms: u64,
    pub notes: Option<String>,
}

/// A reviewer handed the decision to somebody else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ApprovalDelegation)]
pub struct Delegation {
    pub from: String,
    pub to: String,
    pub at_ms: u64,
    pub reason: Option<String>,
}

/// An approval was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Use {
    pub at_ms: u64,
    pub by: ActorRef,
    pub operation: String,
    /// The automation or run that it was used for.
    pub resource_id: String,
}

/// The latest uses that are kept with the request; all of them are in the audit log.
pub const USES_KEPT: usize = 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    pub approval_id: String,
    pub request_type: RequestType,
    /// Who asks; never one of those who decide.
    pub requested_by: ActorRef,
    /// What the request is about.
    pub target_resource: Resource,
    /// Why it is asked for, in the requester's words.
    pub rationale: String,
    /// What the requester adds for the reviewers.
    #[schema(value_type = Object)]
    pub context: Value,
    /// Where the request stands.
    pub status: Status,
    /// The deadline that is next: to decide while pending, to use once approved.
    pub expires_at_ms: u64,
    /// Nobody may decide after this.
    pub decide_by_ms: u64,
    /// It may not be used after this.
    pub use_by_ms: u64,
    pub risk_tier: Option<String>,
    /// The one action that is approved, with its parameters, and the digest over both and the target.
    pub action: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Value>,
    pub action_digest: Option<String>,
    /// The capability that is asked for.
    pub capability_key: Option<String>,
    /// The only automation that it may be used for.
    pub automation_id: Option<String>,
    /// The limit that is to be passed.
    pub quota: Option<Quota>,
    /// The depth of lineage that is asked for.
    pub max_depth: Option<u64>,
    /// What may be spent above the cap; without it, as much as is spent until `use_by_ms`.
    pub max_additional_usd: Option<Usd>,
    /// What was spent above the cap under this approval.
    pub additional_spent_usd: Usd,
    /// Null: any number until `use_by_ms`.
    pub uses_allowed: Option<u32>,
    /// How often it was used.
    pub uses: u32,
    /// The latest uses, the newest last.
    pub recent_uses: Vec<Use>,
    /// Votes for it that approve it.
    pub approvals_needed: u32,
    /// Votes against it that deny it.
    pub denials_needed: u32,
    /// The only ones who may decide; empty means every eligible person.
    pub reviewers: Vec<String>,
    /// Who decided what, and why.
    pub votes: Vec<Vote>,
    /// Who handed the decision to whom.
    pub delegations: Vec<Delegation>,
    /// When its reviewers are reminded.
    pub remind_at_ms: Option<u64>,
    /// When they were.
    pub reminded_at_ms: Option<u64>,
    /// When others are asked as well.
    pub escalate_at_ms: Option<u64>,
    /// When they were.
    pub escalated_at_ms: Option<u64>,
    /// The others.
    pub escalate_to: Vec<String>,
    /// Who settled it.
    pub reviewed_by: Option<ActorRef>,
    /// When it was settled.
    pub reviewed_at_ms: Option<u64>,
    /// What the last reviewer said.
    pub review_notes: Option<String>,
    /// Something newer took its place.
    pub superseded: bool,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    /// What the approved action led to, for an exact repetition of it. Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub result: Option<Value>,
}

pub static APPROVALS: Collection = Collection {
    name: "governance_approvals",
    columns: &[
        "status",
        "request_type",
        "target_type",
        "target_id",
        "target",
        "requester",
        "live",
        "updated_at_ms",
        "next_at_ms",
    ],
};

impl Record for Approval {
    const COLLECTION: &'static Collection = &APPROVALS;
    fn id(&self) -> &str {
        &self.approval_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(self.status.word()),
            Column::text(self.request_type.word()),
            Column::text(&self.target_resource.kind),
            Column::text(&self.target_resource.id),
            Column::text(target_column(&self.target_resource)),
            Column::opt(self.requested_by.actor_id.as_deref().map(fold_id).as_deref()),
            Column::opt(self.is_unspent().then_some("live")),
            Column::ms(self.updated_at_ms),
            self.next_at_ms().map_or(Column::Null, Column::ms),
        ]
    }
}

/// The value of the `target` column. Both words for automations are one.
pub fn target_column(target: &Resource) -> String {
    let kind = if target.is_automation() { "automation" } else { target.kind.as_str() };
    format!("{kind}:{}", target.id)
}

/// Ids of people and agents are compared without regard to case and surrounding space.
pub fn fold_id(id: &str) -> String {
    id.trim().to_lowercase()
}

/// SHA-256 over what exactly is approved: the target, the action and its parameters, keys sorted.
pub fn action_digest(target: &Resource, action: &str, parameters: &Value) -> String {
    let parameters = canonical(parameters);
    crate::publish::digest::h([target_column(target).as_str(), action, parameters.as_str()])
}

/// JSON with the keys of every object sorted.
pub fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
    sorted(value).to_string()
}

impl Approval {
    pub fn is_pending(&self) -> bool {
        self.status == Status::Pending
    }

    /// Approved, with uses left; time aside.
    pub fn is_unspent(&self) -> bool {
        self.status == Status::Approved && self.uses_allowed.is_none_or(|allowed| self.uses < allowed)
    }

    pub fn is_usable(&self, now_ms: u64) -> bool {
        self.is_unspent() && now_ms < self.use_by_ms
    }

    /// Notes a use. Only what [`Approval::is_usable`] may be used.
    pub fn spend(&mut self, by: &ActorRef, operation: &str, resource_id: &str, now_ms: u64) {
        self.uses = self.uses.saturating_add(1);
        let one = Use { at_ms: now_ms, by: by.clone(), operation: operation.into(), resource_id: resource_id.into() };
        self.recent_uses.push(one);
        if self.recent_uses.len() > USES_KEPT {
            self.recent_uses.remove(0);
        }
        self.updated_at_ms = now_ms;
    }

    /// When the sweep has to look at it.
    pub fn next_at_ms(&self) -> Option<u64> {
        if !self.is_pending() {
            return None;
        }
        let remind = self.remind_at_ms.filter(|_| self.reminded_at_ms.is_none());
        let escalate = self.escalate_at_ms.filter(|_| self.escalated_at_ms.is_none());
        [Some(self.decide_by_ms), remind, escalate].into_iter().flatten().min()
    }

    /// Whether this person has handed the decision on, and so has no word in it any more.
    pub fn has_handed_on(&self, id: &str) -> bool {
        let id = fold_id(id);
        self.delegations.iter().any(|one| fold_id(&one.from) == id)
    }

    /// Whether this person may decide, apart from being eligible and not having asked.
    pub fn admits_reviewer(&self, id: Option<&str>) -> bool {
        if id.is_some_and(|id| self.has_handed_on(id)) {
            return false;
        }
        if self.reviewers.is_empty() {
            return true;
        }
        let Some(id) = id.map(fold_id) else { return false };
        let holds = |list: &[String]| list.iter().any(|known| fold_id(known) == id);
        let delegated = self.delegations.iter().any(|one| fold_id(&one.to) == id);
        let escalated = self.escalated_at_ms.is_some() && holds(&self.escalate_to);
        delegated || escalated || holds(&self.reviewers)
    }

    /// Who asked is not who may decide. A person without a name does not decide what a person without a name has asked.
    pub fn is_own(&self, reviewer: &ActorRef) -> bool {
        match (&self.requested_by.actor_id, &reviewer.actor_id) {
            (Some(asked), Some(decides)) => fold_id(asked) == fold_id(decides),
            (None, None) => self.requested_by.kind == ActorKind::Human,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Whether it is the one who asked: of the same kind, and with the same name or both with none.
    pub fn was_asked_by(&self, actor: &ActorRef) -> bool {
        let name = |actor: &ActorRef| actor.actor_id.as_deref().map(fold_id);
        self.requested_by.kind == actor.kind && name(&self.requested_by) == name(actor)
    }
}
