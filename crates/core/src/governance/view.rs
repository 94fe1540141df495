//! Governance records as clients see them. Absent values are null.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    agent::{Agent, AgentPause},
    approval::{Approval, Resource},
    limits::Limits,
    money::Usd,
    policy::PolicyDecision,
    record::{Capabilities, Finding, GovernanceRecord, Grant, Provenance, ReviewKind},
    window::{Window, WindowKind},
};
use crate::{actor::ActorRef, tenant::TenantContext};

/// A provenance with its line in one list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProvenanceView {
    #[serde(flatten)]
    pub provenance: Provenance,
    /// The creator, and then those above in the order of `ancestor_chain`.
    pub creator_chain: Vec<ActorRef>,
}

impl ProvenanceView {
    fn of(provenance: &Provenance) -> Self {
        let above = provenance.ancestor_chain.iter().map(|ancestor| &ancestor.actor);
        let creator_chain = std::iter::once(&provenance.creator).chain(above).cloned().collect();
        Self { provenance: provenance.clone(), creator_chain }
    }
}

/// The complete state of one automation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Governance {
    pub automation_id: String,
    pub provenance: ProvenanceView,
    pub declared_capabilities: Capabilities,
    /// Revoked ones included.
    pub modify_grants: Vec<Grant>,
    pub capability_grants: Vec<Grant>,
    pub grant_count: usize,
    pub capability_grant_count: usize,
    pub published_externally: bool,
    /// Runs are not admitted.
    pub creation_paused: bool,
    pub review_required: bool,
    pub review_kind: Option<ReviewKind>,
    pub review_requested_at_ms: Option<u64>,
    pub review_request_id: Option<String>,
    pub last_reviewed_at_ms: Option<u64>,
    pub runs_since_review: u64,
    pub expires_at_ms: Option<u64>,
    pub expired_at_ms: Option<u64>,
    pub retired_at_ms: Option<u64>,
    pub retire_reason: Option<String>,
    pub paused_for_lifecycle: bool,
    pub health_last_checked_at_ms: Option<u64>,
    /// The open ones.
    pub health_findings: Vec<Finding>,
    pub deleted_at_ms: Option<u64>,
    pub delete_retention_until_ms: Option<u64>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

impl Governance {
    pub fn of(record: &GovernanceRecord) -> Self {
        let hide = |grants: &[Grant]| {
            grants.iter().map(|grant| Grant { tenant_context: None, ..grant.clone() }).collect::<Vec<_>>()
        };
        Self {
            automation_id: record.automation_id.clone(),
            provenance: ProvenanceView::of(&record.provenance),
            declared_capabilities: record.declared_capabilities,
            modify_grants: hide(&record.modify_grants),
            capability_grants: hide(&record.capability_grants),
            grant_count: record.modify_grants.len(),
            capability_grant_count: record.capability_grants.len(),
            published_externally: record.published_externally,
            creation_paused: record.creation_paused,
            review_required: record.review_required,
            review_kind: record.review_kind,
            review_requested_at_ms: record.review_requested_at_ms,
            review_request_id: record.review_request_id.clone(),
            last_reviewed_at_ms: record.last_reviewed_at_ms,
            runs_since_review: record.runs_since_review,
            expires_at_ms: record.expires_at_ms,
            expired_at_ms: record.expired_at_ms,
            retired_at_ms: record.retired_at_ms,
            retire_reason: record.retire_reason.clone(),
            paused_for_lifecycle: record.paused_for_lifecycle,
            health_last_checked_at_ms: record.health_last_checked_at_ms,
            health_findings: record.health_findings.clone(),
            deleted_at_ms: record.deleted_at_ms,
            delete_retention_until_ms: record.delete_retention_until_ms,
            created_at_ms: record.created_at_ms,
            updated_at_ms: record.updated_at_ms,
        }
    }
}

/// The part of the state that is about an automation's life.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Lifecycle {
    pub automation_id: String,
    pub review_required: bool,
    pub review_kind: Option<ReviewKind>,
    pub review_requested_at_ms: Option<u64>,
    pub review_request_id: Option<String>,
    pub last_reviewed_at_ms: Option<u64>,
    pub runs_since_review: u64,
    pub expires_at_ms: Option<u64>,
    pub expired_at_ms: Option<u64>,
    pub retired_at_ms: Option<u64>,
    pub retire_reason: Option<String>,
    pub paused_for_lifecycle: bool,
    pub health_last_checked_at_ms: Option<u64>,
    pub health_findings: Vec<Finding>,
}

impl Lifecycle {
    pub fn of(record: &GovernanceRecord) -> Self {
        Self {
            automation_id: record.automation_id.clone(),
            review_required: record.review_required,
            review_kind: record.review_kind,
            review_requested_at_ms: record.review_requested_at_ms,
            review_request_id: record.review_request_id.clone(),
            last_reviewed_at_ms: record.last_reviewed_at_ms,
            runs_since_review: record.runs_since_review,
            expires_at_ms: record.expires_at_ms,
            expired_at_ms: record.expired_at_ms,
            retired_at_ms: record.retired_at_ms,
            retire_reason: record.retire_reason.clone(),
            paused_for_lifecycle: record.paused_for_lifecycle,
            health_last_checked_at_ms: record.health_last_checked_at_ms,
            health_findings: record.health_findings.clone(),
        }
    }
}

/// What an agent created since it was last looked at.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AgentReview {
    pub agent_id: String,
    pub created_since_review: u64,
    pub review_required: bool,
    pub review_kind: Option<ReviewKind>,
    pub review_requested_at_ms: Option<u64>,
    pub review_request_id: Option<String>,
    pub last_reviewed_at_ms: Option<u64>,
    pub last_review_notes: Option<String>,
    pub updated_at_ms: u64,
}

impl AgentReview {
    /// Nothing for an agent that has created nothing.
    pub fn of(agent: &Agent) -> Option<Self> {
        let review = &agent.creation;
        (review.updated_at_ms > 0).then(|| Self {
            agent_id: agent.agent_id.clone(),
            created_since_review: review.created_since_review,
            review_required: review.review_required,
            review_kind: review.kind(),
            review_requested_at_ms: review.review_requested_at_ms,
            review_request_id: review.review_request_id.clone(),
            last_reviewed_at_ms: review.last_reviewed_at_ms,
            last_review_notes: review.last_review_notes.clone(),
            updated_at_ms: review.updated_at_ms,
        })
    }
}

/// What an agent spent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AgentSpend {
    pub agent_id: String,
    pub daily: Window,
    pub weekly: Window,
    pub monthly: Window,
    pub lifetime: Window,
    /// Set aside by runs that have not ended.
    pub reserved_usd: Usd,
    pub updated_at_ms: u64,
    pub paused_at_ms: Option<u64>,
    pub pause_reason: Option<String>,
}

impl AgentSpend {
    /// As of now: windows that are over show as empty, and a pause that no cap holds any longer as over.
    pub fn of(agent: &Agent, limits: &Limits, now_ms: u64) -> Self {
        let mut agent = agent.clone();
        super::spend::refresh(&mut agent, limits, now_ms);
        let window = |kind| agent.spend.window(kind).cloned().unwrap_or_else(|| Window::new(kind, now_ms));
        Self {
            daily: window(WindowKind::Daily),
            weekly: window(WindowKind::Weekly),
            monthly: window(WindowKind::Monthly),
            lifetime: window(WindowKind::Lifetime),
            reserved_usd: agent.spend.reserved_usd,
            updated_at_ms: agent.spend.updated_at_ms,
            paused_at_ms: agent.spend.paused_at_ms,
            pause_reason: agent.spend.pause_reason.clone(),
            agent_id: agent.agent_id,
        }
    }
}

/// An entry of the registry.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AgentView {
    pub agent_id: String,
    pub display_name: Option<String>,
    pub owner: Option<String>,
    /// The person who answers for it.
    pub sponsor: Option<String>,
    pub registered: bool,
    /// `active` or `paused`.
    pub status: &'static str,
    /// The agents above it, oldest first.
    pub lineage: Vec<String>,
    /// The pause that holds it, with how many runs were told and have stopped, and how long the slowest took.
    pub pause: Option<AgentPause>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

impl AgentView {
    pub fn of(agent: &Agent) -> Self {
        Self {
            agent_id: agent.agent_id.clone(),
            display_name: agent.display_name.clone(),
            owner: agent.owner.clone(),
            sponsor: agent.sponsor.clone(),
            registered: agent.registered,
            status: if agent.is_paused() { "paused" } else { "active" },
            lineage: agent.lineage.clone(),
            pause: agent.pause.clone(),
            created_at_ms: agent.created_at_ms,
            updated_at_ms: agent.updated_at_ms,
        }
    }
}

/// A decision as clients see it, with its tenant. What is not known of it is null.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DecisionView {
    #[serde(flatten)]
    pub decision: PolicyDecision,
    pub tenant_context: TenantContext,
    /// The automation that it was about.
    pub resource: Option<Resource>,
    #[schema(value_type = Option<Object>)]
    pub requester_context: Option<Value>,
    pub session_id: Option<String>,
    pub message_id: Option<String>,
    pub node_id: Option<String>,
    pub tool: Option<String>,
    pub data_classes: Option<Vec<String>>,
    pub risk_tier: Option<String>,
    /// A refusal's audit row names the decision, not the other way round.
    pub audit_event_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
}

impl DecisionView {
    pub fn of(decision: PolicyDecision, tenant: &TenantContext) -> Self {
        Self {
            tenant_context: TenantContext { actor_id: None, ..tenant.clone() },
            resource: decision.automation_id.as_deref().map(Resource::automation),
            requester_context: None,
            session_id: None,
            message_id: None,
            node_id: None,
            tool: None,
            data_classes: None,
            risk_tier: None,
            audit_event_id: None,
            metadata: None,
            decision,
        }
    }
}

/// A request as clients see it.
pub fn approval(approval: &Approval) -> Approval {
    Approval { result: None, ..approval.clone() }
}

/// The same as JSON, for refusals that show the stored request.
pub fn approval_value(stored: &Approval) -> Value {
    serde_json::to_value(approval(stored)).unwrap_or(Value::Null)
}
