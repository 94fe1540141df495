//! Everything that the store knows of a tenant, as an assessment reads it. Loaded once, judged many times.

use tandem_core::{
    audit::integrity::Integrity,
    automation::{Automation, run::Run},
    config::Config,
    credential::{ApiToken, IntakeKey},
    destination::DestinationReadiness,
    governance::{agent::Agent, approval::Approval, policy::PolicyDecision},
    mcp::{ServerRow, ToolRow},
    publish::external_action::ExternalAction,
    source::SourceReadiness,
    tenant::TenantContext,
};

use crate::{cards::StoredCard, declared::Declared};

/// A value with the tenant that it belongs to. The local implicit tenant sees those of all.
#[derive(Clone, Debug, PartialEq)]
pub struct Owned<T> {
    pub tenant: TenantContext,
    pub value: T,
}

#[derive(Clone, Debug)]
pub struct Estate {
    pub tenant: TenantContext,
    pub now_ms: u64,
    pub config: Config,
    /// Live ones.
    pub automations: Vec<Owned<Automation>>,
    /// Runs that wait for a person.
    pub waiting: Vec<Owned<Run>>,
    /// Newest first.
    pub approvals: Vec<Owned<Approval>>,
    /// Newest first.
    pub decisions: Vec<Owned<PolicyDecision>>,
    /// Newest first.
    pub actions: Vec<Owned<ExternalAction>>,
    pub agents: Vec<Owned<Agent>>,
    pub declared: Vec<Owned<Declared>>,
    /// Without hashes.
    pub keys: Vec<IntakeKey>,
    /// Without hashes.
    pub tokens: Vec<ApiToken>,
    pub servers: Vec<ServerRow>,
    /// Also those that are withdrawn or changed.
    pub tools: Vec<ToolRow>,
    pub destinations: Vec<DestinationReadiness>,
    pub sources: Vec<SourceReadiness>,
    /// Stored deployment cards.
    pub cards: Vec<Owned<StoredCard>>,
    /// Of the tenant's audit log.
    pub integrity: Integrity,
    /// Whether its scheduled export is switched on and works.
    pub exported: bool,
}

impl Estate {
    /// An estate in which nothing exists.
    pub fn empty(tenant: TenantContext, now_ms: u64) -> Self {
        Self {
            tenant,
            now_ms,
            config: Config::default(),
            automations: Vec::new(),
            waiting: Vec::new(),
            approvals: Vec::new(),
            decisions: Vec::new(),
            actions: Vec::new(),
            agents: Vec::new(),
            declared: Vec::new(),
            keys: Vec::new(),
            tokens: Vec::new(),
            servers: Vec::new(),
            tools: Vec::new(),
            destinations: Vec::new(),
            sources: Vec::new(),
            cards: Vec::new(),
            integrity: Integrity::EMPTY,
            exported: false,
        }
    }
}
