//! What governance keeps of a run: who pays, what is set aside and spent, whether it was told to stop, how it ended.
//!
//! The run itself, its nodes and its executor belong to the automations. This row is what admission, health and the kill
//! switch look at.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::money::Usd;
use crate::{
    record::{Collection, Column, Record},
    wire::wire_enum,
};

wire_enum! {
    /// What made governance stop a run.
    pub enum StopCause {
        SpendCap = "spend_cap",
        DependencyRevoked = "dependency_revoked",
        Expired = "expired",
        Retired = "retired",
        Deleted = "deleted",
        AgentPaused = "agent_paused",
        TenantOwnershipMismatch = "tenant_ownership_mismatch",
        ReviewRequired = "review_required",
    }
}

impl StopCause {
    /// The word that the run keeps as its `stop_kind`.
    pub fn stop_kind(self) -> &'static str {
        match self {
            Self::Retired | Self::Deleted | Self::AgentPaused => "operator_stopped",
            Self::SpendCap
            | Self::DependencyRevoked
            | Self::Expired
            | Self::TenantOwnershipMismatch
            | Self::ReviewRequired => "guardrail_stopped",
        }
    }

    /// The entry in the run's history.
    pub fn history_event(self) -> &'static str {
        match self {
            Self::SpendCap => "run_paused_spend_cap_exceeded",
            Self::AgentPaused => "run_paused_agent_paused",
            Self::DependencyRevoked
            | Self::Expired
            | Self::Retired
            | Self::Deleted
            | Self::TenantOwnershipMismatch
            | Self::ReviewRequired => "run_paused_governance",
        }
    }
}

/// A run was told to stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stop {
    pub cause: StopCause,
    pub reason: String,
    pub requested_at_ms: u64,
    /// The agent whose pause it was.
    pub agent_id: Option<String>,
    /// When the executor said that it stopped, or at once where there was none.
    pub acknowledged_at_ms: Option<u64>,
    pub acknowledged_after_ms: Option<u64>,
}

impl Stop {
    pub fn new(cause: StopCause, reason: &str, now_ms: u64) -> Self {
        Self {
            cause,
            reason: crate::text::truncate(reason, 500),
            requested_at_ms: now_ms,
            agent_id: None,
            acknowledged_at_ms: None,
            acknowledged_after_ms: None,
        }
    }

    pub fn acknowledge(&mut self, now_ms: u64) {
        if self.acknowledged_at_ms.is_none() {
            self.acknowledged_at_ms = Some(now_ms);
            self.acknowledged_after_ms = Some(now_ms.saturating_sub(self.requested_at_ms));
        }
    }
}

wire_enum! {
    /// How a run ended.
    pub enum RunEnd {
        Completed = "completed",
        Blocked = "blocked",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunLedger {
    pub run_id: String,
    pub automation_id: String,
    /// The agents that pay, each in full.
    pub payers: Vec<String>,
    /// The agents whose pause or cap stops it: the payers, and those that take part.
    pub agents: Vec<String>,
    pub dry_run: bool,
    /// Set aside of each payer's caps, less what was spent.
    pub reserved_usd: Usd,
    /// What it sets aside when it starts.
    pub budget_usd: Usd,
    pub spent_usd: Usd,
    pub total_tokens: u64,
    /// The stop that holds now.
    pub stop: Option<Stop>,
    pub guardrail_stops: u64,
    pub end: Option<RunEnd>,
    pub ended_at_ms: Option<u64>,
    pub empty_output: bool,
    pub created_at_ms: u64,
}

pub static RUN_LEDGERS: Collection =
    Collection { name: "governance_runs", columns: &["automation_id", "active", "created_at_ms"] };

impl Record for RunLedger {
    const COLLECTION: &'static Collection = &RUN_LEDGERS;
    fn id(&self) -> &str {
        &self.run_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(&self.automation_id),
            Column::opt(self.is_active().then_some(Self::ACTIVE)),
            Column::ms(self.created_at_ms),
        ]
    }
}

impl RunLedger {
    pub const ACTIVE: &'static str = "active";

    /// Neither ended nor told to stop.
    pub fn is_active(&self) -> bool {
        self.end.is_none() && self.stop.is_none()
    }
}
