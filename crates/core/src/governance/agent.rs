//! What is known of an agent: who answers for it, whether it is paused, what it created since its last review, and what
//! it spent. One row for each agent of a tenant, so that everything that counts against it meets in one place.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    money::Usd,
    record::ReviewKind,
    window::{Window, WindowKind},
};
use crate::{
    actor::ActorRef,
    record::{Collection, Column, Record},
};

/// An agent that a person has paused: it may not create or change anything, and its runs are told to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentPause {
    pub paused_at_ms: u64,
    pub paused_by: ActorRef,
    pub reason: Option<String>,
    /// Runs that were told to stop.
    pub runs_told: u64,
    /// Runs whose executor has said that it stopped, or that had none.
    pub runs_stopped: u64,
    /// When the last of those said so.
    pub last_stopped_at_ms: Option<u64>,
    /// The longest time from the pause to such an acknowledgement.
    pub slowest_stop_ms: Option<u64>,
    /// More active runs are still to be told; a sweep goes on.
    pub telling: bool,
}

/// The review that is due after a number of creations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreationReview {
    pub created_since_review: u64,
    pub review_required: bool,
    pub review_requested_at_ms: Option<u64>,
    pub review_request_id: Option<String>,
    pub last_reviewed_at_ms: Option<u64>,
    pub last_review_notes: Option<String>,
    /// 0 until something of it has changed.
    pub updated_at_ms: u64,
}

impl CreationReview {
    pub fn kind(&self) -> Option<ReviewKind> {
        self.review_required.then_some(ReviewKind::CreationQuota)
    }
}

/// What an agent spent, what its runs have set aside, and whether a cap has stopped it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spend {
    pub windows: [Window; 4],
    /// Set aside by runs that have not ended.
    pub reserved_usd: Usd,
    pub paused_at_ms: Option<u64>,
    pub pause_reason: Option<String>,
    /// 0 until something was spent or set aside.
    pub updated_at_ms: u64,
}

impl Spend {
    pub fn new(now_ms: u64) -> Self {
        let window = |kind| Window::new(kind, now_ms);
        Self {
            windows: [WindowKind::Daily, WindowKind::Weekly, WindowKind::Monthly, WindowKind::Lifetime].map(window),
            reserved_usd: Usd::ZERO,
            paused_at_ms: None,
            pause_reason: None,
            updated_at_ms: 0,
        }
    }

    pub fn window(&self, kind: WindowKind) -> Option<&Window> {
        self.windows.iter().find(|window| window.kind == kind)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    pub agent_id: String,
    pub display_name: Option<String>,
    /// Who runs it.
    pub owner: Option<String>,
    /// The person who answers for it.
    pub sponsor: Option<String>,
    /// A person has entered it; the others are known because they acted.
    pub registered: bool,
    /// The agents above it, oldest first: the longest line that it was ever seen in.
    pub lineage: Vec<String>,
    /// It has created an automation, or stands above who did: it pays for runs.
    #[serde(default)]
    pub pays: bool,
    pub pause: Option<AgentPause>,
    pub creation: CreationReview,
    pub spend: Spend,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

pub static AGENTS: Collection =
    Collection { name: "governance_agents", columns: &["review", "telling", "updated_at_ms"] };

impl Record for Agent {
    const COLLECTION: &'static Collection = &AGENTS;
    fn id(&self) -> &str {
        &self.agent_id
    }
    fn columns(&self) -> Vec<Column> {
        let telling = self.pause.as_ref().is_some_and(|pause| pause.telling);
        vec![
            Column::opt(self.creation.review_required.then_some("required")),
            Column::opt(telling.then_some("yes")),
            Column::ms(self.updated_at_ms),
        ]
    }
}

impl Agent {
    pub fn new(agent_id: &str, now_ms: u64) -> Self {
        Self {
            agent_id: agent_id.to_owned(),
            display_name: None,
            owner: None,
            sponsor: None,
            registered: false,
            lineage: Vec::new(),
            pays: false,
            pause: None,
            creation: CreationReview::default(),
            spend: Spend::new(now_ms),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }

    pub fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// Whether what it spends is shown, also while that is nothing.
    pub fn is_payer(&self) -> bool {
        self.pays || self.creation.updated_at_ms > 0 || self.spend.updated_at_ms > 0
    }
}
