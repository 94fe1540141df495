//! The governance record of an automation, with its grants, findings and provenance.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    actor::{ActorKind, ActorRef},
    decide::Desk,
    record::{Collection, Column, Record},
    tenant::TenantContext,
    wire::wire_enum,
};

wire_enum! {
    /// Why a review is asked for.
    pub enum ReviewKind {
        CreationQuota = "creation_quota",
        RunDrift = "run_drift",
        HealthDrift = "health_drift",
        ExpirationSoon = "expiration_soon",
        Expired = "expired",
        DependencyRevoked = "dependency_revoked",
        Retired = "retired",
        TenantOwnershipMismatch = "tenant_ownership_mismatch",
    }
}

impl ReviewKind {
    /// A review that is open is replaced only by one that weighs more.
    pub fn weight(self) -> u8 {
        match self {
            Self::ExpirationSoon => 0,
            Self::CreationQuota | Self::RunDrift => 1,
            Self::HealthDrift => 2,
            Self::Expired => 3,
            Self::Retired => 4,
            Self::DependencyRevoked => 5,
            Self::TenantOwnershipMismatch => 6,
        }
    }
}

wire_enum! {
    #[schema(as = GovernanceSeverity)]
    pub enum Severity {
        Info = "info",
        Warning = "warning",
        Critical = "critical",
    }
}

wire_enum! {
    pub enum GrantKind {
        Modify = "modify",
        Capability = "capability",
    }
}

/// What an automation says it will do beyond running its own nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = AutomationCapabilities)]
pub struct Capabilities {
    pub creates_agents: bool,
    pub modifies_grants: bool,
}

impl Capabilities {
    /// The names of those that are declared now and were not before.
    pub fn escalation_from(self, before: Self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.creates_agents && !before.creates_agents {
            names.push("creates_agents");
        }
        if self.modifies_grants && !before.modifies_grants {
            names.push("modifies_grants");
        }
        names
    }
}

/// One agent above the creator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Ancestor {
    /// 1 is the oldest.
    pub depth: u64,
    pub actor: ActorRef,
}

/// Who made an automation, and in whose line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Provenance {
    pub creator: ActorRef,
    pub root_actor: ActorRef,
    /// Oldest first; absent for automations that no agent made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestor_chain: Vec<Ancestor>,
    /// 0 for people and the system, else one more than the agents above.
    pub depth: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_source: Option<String>,
    /// The automation whose run made this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_automation_id: Option<String>,
}

impl Provenance {
    pub fn creator_agent(&self) -> Option<&str> {
        match self.creator.kind {
            ActorKind::Agent => self.creator.actor_id.as_deref(),
            ActorKind::Human | ActorKind::System => None,
        }
    }

    /// The person who created it, where one is named.
    pub fn creator_person(&self) -> Option<&str> {
        match self.creator.kind {
            ActorKind::Human => self.creator.actor_id.as_deref(),
            ActorKind::Agent | ActorKind::System => None,
        }
    }

    /// The line of agents down to the creator, oldest first: what stands above those that work in the automation.
    pub fn line(&self) -> Vec<String> {
        let mut line: Vec<String> = self.ancestor_chain.iter().filter_map(|one| one.actor.actor_id.clone()).collect();
        line.extend(self.creator_agent().map(str::to_owned));
        line
    }

    /// The agents that pay: the creator and those above, each once, in this order.
    pub fn lineage(&self) -> Vec<String> {
        let above = self.ancestor_chain.iter().filter_map(|ancestor| ancestor.actor.actor_id.as_deref());
        let mut ids: Vec<String> = Vec::new();
        for id in self.creator_agent().into_iter().chain(above) {
            if !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
        ids
    }
}

/// A right given to an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    pub grant_id: String,
    pub automation_id: String,
    pub grant_kind: GrantKind,
    pub granted_to: ActorRef,
    pub granted_by: ActorRef,
    pub capability_key: Option<String>,
    pub grant_reason: Option<String>,
    pub created_at_ms: u64,
    pub revoked_at_ms: Option<u64>,
    pub revoke_reason: Option<String>,
    /// The approval that it was made under.
    pub approval_id: Option<String>,
    /// The tenant that it was made in. Internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub tenant_context: Option<TenantContext>,
}

impl Grant {
    pub fn is_live(&self) -> bool {
        self.revoked_at_ms.is_none()
    }
}

/// Something that a check found out about an automation. Findings are only ever added and resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GovernanceFinding)]
pub struct Finding {
    pub finding_id: String,
    pub automation_id: String,
    pub kind: ReviewKind,
    pub severity: Severity,
    pub summary: String,
    pub detail: Option<String>,
    pub observed_at_ms: u64,
    pub automation_run_id: Option<String>,
    pub approval_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub evidence: Option<Value>,
    pub resolved_at_ms: Option<u64>,
    pub resolved_by_approval_id: Option<String>,
}

pub static FINDINGS: Collection =
    Collection { name: "governance_findings", columns: &["automation_id", "observed_at_ms"] };

impl Record for Finding {
    const COLLECTION: &'static Collection = &FINDINGS;
    fn id(&self) -> &str {
        &self.finding_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.automation_id), Column::ms(self.observed_at_ms)]
    }
}

/// Everything that is enforced about one automation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GovernanceRecord {
    pub automation_id: String,
    pub tenant_context: TenantContext,
    pub provenance: Provenance,
    pub declared_capabilities: Capabilities,
    pub modify_grants: Vec<Grant>,
    pub capability_grants: Vec<Grant>,
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
    /// When its runs were looked at last: by a sweep, a review, or the end of one of them.
    pub health_last_checked_at_ms: Option<u64>,
    /// When the health sweep was here last. The end of a run does not put the sweep off.
    #[serde(default)]
    pub swept_at_ms: Option<u64>,
    /// The open ones.
    pub health_findings: Vec<Finding>,
    pub deleted_at_ms: Option<u64>,
    pub delete_retention_until_ms: Option<u64>,
    /// Until when the warning about the end is not given again.
    #[serde(default)]
    pub warning_snoozed: bool,
    /// It was found in another tenant than its own, and has not been resumed since.
    #[serde(default)]
    pub quarantined: bool,
    /// The spec is gone for good; the record stays.
    #[serde(default)]
    pub purged_at_ms: Option<u64>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    /// When the lifecycle sweep has to look at it next.
    #[serde(default)]
    pub next_check_at_ms: Option<u64>,
}

pub static RECORDS: Collection = Collection {
    name: "governance_records",
    columns: &["creator_agent", "review", "updated_at_ms", "next_check_at_ms", "health_at_ms"],
};

impl Record for GovernanceRecord {
    const COLLECTION: &'static Collection = &RECORDS;
    fn id(&self) -> &str {
        &self.automation_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::opt(self.provenance.creator_agent()),
            Column::opt(self.review_required.then_some("required")),
            Column::ms(self.updated_at_ms),
            self.next_check_at_ms.map_or(Column::Null, Column::ms),
            // Deleted ones are not looked at.
            match self.deleted_at_ms {
                Some(_) => Column::Null,
                None => Column::ms(self.swept_at_ms.unwrap_or(0)),
            },
        ]
    }
}

impl GovernanceRecord {
    pub fn new(
        automation_id: &str,
        tenant: &TenantContext,
        provenance: Provenance,
        declared: Capabilities,
        expires_at_ms: Option<u64>,
        now_ms: u64,
    ) -> Self {
        Self {
            automation_id: automation_id.to_owned(),
            tenant_context: TenantContext { actor_id: None, ..tenant.clone() },
            provenance,
            declared_capabilities: declared,
            modify_grants: Vec::new(),
            capability_grants: Vec::new(),
            published_externally: false,
            creation_paused: false,
            review_required: false,
            review_kind: None,
            review_requested_at_ms: None,
            review_request_id: None,
            last_reviewed_at_ms: None,
            runs_since_review: 0,
            expires_at_ms,
            expired_at_ms: None,
            retired_at_ms: None,
            retire_reason: None,
            paused_for_lifecycle: false,
            health_last_checked_at_ms: None,
            swept_at_ms: None,
            health_findings: Vec::new(),
            deleted_at_ms: None,
            delete_retention_until_ms: None,
            warning_snoozed: false,
            quarantined: false,
            purged_at_ms: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            next_check_at_ms: None,
        }
    }

    /// Saves it, with the audit row that says how it stands now: for what changes who may do what with the automation.
    /// Counters and checks are saved without one.
    pub fn keep(&self, desk: &mut Desk<'_>) {
        desk.save(self);
        desk.audit(
            "automation.governance.record.updated",
            json!({
                "automationID": self.automation_id,
                "provenance": self.provenance,
                "declaredCapabilities": self.declared_capabilities,
                "publishedExternally": self.published_externally,
                "creationPaused": self.creation_paused,
                "pausedForLifecycle": self.paused_for_lifecycle,
                "reviewRequired": self.review_required,
                "reviewKind": self.review_kind,
            }),
        );
    }

    pub fn is_deleted(&self) -> bool {
        self.deleted_at_ms.is_some()
    }

    /// Whether the end has come. The sweep notes it, acts on it and asks about it; it holds from its time on.
    pub fn has_expired(&self, now_ms: u64) -> bool {
        self.expired_at_ms.is_some() || self.expires_at_ms.is_some_and(|at| at <= now_ms)
    }

    /// Whether the agent holds a live modify grant.
    pub fn grants_modify_to(&self, agent_id: &str) -> bool {
        self.modify_grants.iter().any(|grant| grant.is_live() && grant.granted_to.actor_id.as_deref() == Some(agent_id))
    }

    /// Whether the agent ever held a modify grant.
    pub fn has_granted_modify_to(&self, agent_id: &str) -> bool {
        self.modify_grants.iter().any(|grant| grant.granted_to.actor_id.as_deref() == Some(agent_id))
    }

    /// Whether the record or one of its grants was made in another tenant.
    pub fn is_foreign(&self, tenant: &TenantContext) -> bool {
        let key = tenant.key();
        let grants = self.modify_grants.iter().chain(&self.capability_grants);
        self.tenant_context.key() != key
            || grants.filter_map(|grant| grant.tenant_context.as_ref()).any(|owner| owner.key() != key)
    }

    /// Sets when the sweep has to come back: before the end, at the end, or when the restore window closes.
    pub fn plan_check(&mut self, warning_window_ms: u64) {
        self.next_check_at_ms = if self.purged_at_ms.is_some() {
            None
        } else if self.is_deleted() {
            self.delete_retention_until_ms
        } else if self.retired_at_ms.is_some() || self.expired_at_ms.is_some() {
            None
        } else {
            let warned = self.warning_snoozed || self.review_kind == Some(ReviewKind::ExpirationSoon);
            self.expires_at_ms.map(|at| if warned { at } else { at.saturating_sub(warning_window_ms) })
        };
    }
}
