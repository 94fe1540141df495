//! What other systems declared, the registry of agents, and the full tokens.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use tandem_core::{actor::ActorRef, tenant::TenantContext};
use utoipa::ToSchema;

use crate::{
    declared::{Declared, DeclaredKind, DeclaredServer, Hook, HookAction, PackSource, Step},
    estate::{Estate, Owned},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryHook)]
pub struct WorkflowHook {
    pub binding_id: String,
    pub event: String,
    pub enabled: bool,
    pub action_count: usize,
    pub actions: Vec<HookAction>,
    pub source: Option<PackSource>,
    pub workflow_id: Option<String>,
}

/// When a declaration was made and repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sighting {
    /// `api` or `scan`.
    pub origin: String,
    pub owner: Option<String>,
    pub framework: Option<String>,
    pub locator: Option<String>,
    pub stale: bool,
    pub stale_after_ms: u64,
    pub first_seen_at_ms: u64,
    pub last_seen_at_ms: u64,
    pub declared_by: ActorRef,
    pub tenant_context: TenantContext,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryWorkflow)]
pub struct WorkflowRow {
    pub workflow_id: String,
    pub name: String,
    pub description: Option<String>,
    pub enabled: bool,
    pub source: Option<PackSource>,
    pub steps: Vec<Step>,
    pub hooks: Vec<WorkflowHook>,
    /// Null where nothing limits the tools.
    pub tool_allowlist: Option<Vec<String>>,
    pub approval_policy: Option<String>,
    #[serde(flatten)]
    pub sighting: Sighting,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryDeclaredAgent)]
pub struct DeclaredAgentRow {
    pub agent_id: String,
    pub name: String,
    pub description: Option<String>,
    pub enabled: bool,
    pub tool_allowlist: Option<Vec<String>>,
    pub tool_denylist: Vec<String>,
    pub servers: Vec<DeclaredServer>,
    pub approval_policy: Option<String>,
    pub related: Vec<String>,
    #[serde(flatten)]
    pub sighting: Sighting,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryToolPolicyEntry)]
pub struct ToolPolicyEntry {
    pub policy_id: String,
    pub name: String,
    pub enabled: bool,
    pub tool_allowlist: Option<Vec<String>>,
    pub tool_denylist: Vec<String>,
    pub approval_policy: Option<String>,
    pub related: Vec<String>,
    #[serde(flatten)]
    pub sighting: Sighting,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryRuntime)]
pub struct RuntimeRow {
    pub runtime_id: String,
    pub name: String,
    pub description: Option<String>,
    pub enabled: bool,
    pub servers: Vec<DeclaredServer>,
    pub related: Vec<String>,
    #[serde(flatten)]
    pub sighting: Sighting,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryRegisteredAgent)]
pub struct RegisteredAgentRow {
    pub agent_id: String,
    pub display_name: Option<String>,
    pub owner: Option<String>,
    pub sponsor: Option<String>,
    pub registered: bool,
    pub paused: bool,
    pub lineage: Vec<String>,
    /// Live tokens that are always this agent's.
    pub bound_token_count: usize,
    pub review_required: bool,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    pub tenant_context: TenantContext,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InventoryToken)]
pub struct TokenRow {
    pub token_id: String,
    pub name: String,
    pub agent_id: Option<String>,
    pub actor_id: Option<String>,
    pub may_assert_actor: bool,
    pub live: bool,
    pub created_at_ms: u64,
    pub expires_at_ms: Option<u64>,
}

fn sighting(owned: &Owned<Declared>, now_ms: u64) -> Sighting {
    let declared = &owned.value;
    Sighting {
        origin: declared.origin.word().to_owned(),
        owner: declared.spec.owner.clone(),
        framework: declared.spec.framework.clone(),
        locator: declared.spec.locator.clone(),
        stale: declared.is_stale(now_ms),
        stale_after_ms: declared.stale_after_ms,
        first_seen_at_ms: declared.first_seen_at_ms,
        last_seen_at_ms: declared.last_seen_at_ms,
        declared_by: declared.declared_by.clone(),
        tenant_context: owned.tenant.clone(),
    }
}

fn of_kind(estate: &Estate, kind: DeclaredKind) -> impl Iterator<Item = &Owned<Declared>> {
    estate.declared.iter().filter(move |owned| owned.value.kind == kind)
}

fn hook(hook: &Hook, source: Option<&PackSource>) -> WorkflowHook {
    WorkflowHook {
        binding_id: hook.binding_id.clone(),
        event: hook.event.clone(),
        enabled: hook.enabled,
        action_count: hook.actions.len(),
        actions: hook.actions.clone(),
        source: source.cloned(),
        workflow_id: hook.workflow_id.clone(),
    }
}

/// Hooks of their own declarations: each is one, with what it says of itself in `hooks[0]`.
fn declared_hooks(estate: &Estate) -> impl Iterator<Item = WorkflowHook> + '_ {
    of_kind(estate, DeclaredKind::Hook).map(|owned| {
        let declared = &owned.value;
        let mut row = match declared.spec.hooks.first() {
            Some(said) => hook(said, declared.spec.source.as_ref()),
            None => hook(&Hook::default(), declared.spec.source.as_ref()),
        };
        row.binding_id.clone_from(&declared.object_id);
        row.enabled &= declared.spec.enabled;
        row
    })
}

pub(super) fn hooks(estate: &Estate) -> Vec<WorkflowHook> {
    let workflows: HashSet<&str> =
        of_kind(estate, DeclaredKind::Workflow).map(|o| o.value.object_id.as_str()).collect();
    declared_hooks(estate).filter(|row| row.workflow_id.as_deref().is_none_or(|id| !workflows.contains(id))).collect()
}

/// The registry's hooks of a workflow come first, then those that stand in it; a binding that is there is not repeated.
pub(super) fn workflows(estate: &Estate) -> Vec<WorkflowRow> {
    let mut registry: HashMap<String, Vec<WorkflowHook>> = HashMap::new();
    for hook in declared_hooks(estate) {
        if let Some(id) = hook.workflow_id.clone() {
            registry.entry(id).or_default().push(hook);
        }
    }
    let row = |owned: &Owned<Declared>| {
        let Declared { object_id: id, spec, .. } = &owned.value;
        let mut hooks = registry.get(id).cloned().unwrap_or_default();
        for own in &spec.hooks {
            if !hooks.iter().any(|row| row.binding_id == own.binding_id) {
                hooks.push(hook(own, spec.source.as_ref()));
            }
        }
        WorkflowRow {
            workflow_id: id.clone(),
            name: spec.name.clone(),
            description: spec.description.clone(),
            enabled: spec.enabled,
            source: spec.source.clone(),
            steps: spec.steps.clone(),
            hooks,
            tool_allowlist: spec.tool_allowlist.clone(),
            approval_policy: spec.approval_policy.clone(),
            sighting: sighting(owned, estate.now_ms),
        }
    };
    of_kind(estate, DeclaredKind::Workflow).map(row).collect()
}

pub(super) fn declared_agents(estate: &Estate) -> Vec<DeclaredAgentRow> {
    let row = |owned: &Owned<Declared>| {
        let Declared { object_id: id, spec, .. } = &owned.value;
        DeclaredAgentRow {
            agent_id: id.clone(),
            name: spec.name.clone(),
            description: spec.description.clone(),
            enabled: spec.enabled,
            tool_allowlist: spec.tool_allowlist.clone(),
            tool_denylist: spec.tool_denylist.clone(),
            servers: spec.servers.clone(),
            approval_policy: spec.approval_policy.clone(),
            related: spec.related.clone(),
            sighting: sighting(owned, estate.now_ms),
        }
    };
    of_kind(estate, DeclaredKind::Agent).map(row).collect()
}

pub(super) fn tool_policies(estate: &Estate) -> Vec<ToolPolicyEntry> {
    let row = |owned: &Owned<Declared>| {
        let Declared { object_id: id, spec, .. } = &owned.value;
        ToolPolicyEntry {
            policy_id: id.clone(),
            name: spec.name.clone(),
            enabled: spec.enabled,
            tool_allowlist: spec.tool_allowlist.clone(),
            tool_denylist: spec.tool_denylist.clone(),
            approval_policy: spec.approval_policy.clone(),
            related: spec.related.clone(),
            sighting: sighting(owned, estate.now_ms),
        }
    };
    of_kind(estate, DeclaredKind::ToolPolicy).map(row).collect()
}

pub(super) fn runtimes(estate: &Estate) -> Vec<RuntimeRow> {
    let row = |owned: &Owned<Declared>| {
        let Declared { object_id: id, spec, .. } = &owned.value;
        RuntimeRow {
            runtime_id: id.clone(),
            name: spec.name.clone(),
            description: spec.description.clone(),
            enabled: spec.enabled,
            servers: spec.servers.clone(),
            related: spec.related.clone(),
            sighting: sighting(owned, estate.now_ms),
        }
    };
    of_kind(estate, DeclaredKind::Runtime).map(row).collect()
}

pub(super) fn registered_agents(estate: &Estate) -> Vec<RegisteredAgentRow> {
    let bound = |agent_id: &str| {
        let own = |token: &&tandem_core::credential::ApiToken| {
            token.agent_id.as_deref() == Some(agent_id) && token.is_live(estate.now_ms)
        };
        estate.tokens.iter().filter(own).count()
    };
    let row = |owned: &Owned<tandem_core::governance::agent::Agent>| {
        let agent = &owned.value;
        RegisteredAgentRow {
            agent_id: agent.agent_id.clone(),
            display_name: agent.display_name.clone(),
            owner: agent.owner.clone(),
            sponsor: agent.sponsor.clone(),
            registered: agent.registered,
            paused: agent.pause.is_some(),
            lineage: agent.lineage.clone(),
            bound_token_count: bound(&agent.agent_id),
            review_required: agent.creation.review_required,
            created_at_ms: agent.created_at_ms,
            updated_at_ms: agent.updated_at_ms,
            tenant_context: owned.tenant.clone(),
        }
    };
    estate.agents.iter().map(row).collect()
}

pub(super) fn tokens(estate: &Estate) -> Vec<TokenRow> {
    let row = |token: &tandem_core::credential::ApiToken| TokenRow {
        token_id: token.token_id.clone(),
        name: token.name.clone(),
        agent_id: token.agent_id.clone(),
        actor_id: token.actor_id.clone(),
        may_assert_actor: token.may_assert_actor,
        live: token.is_live(estate.now_ms),
        created_at_ms: token.created_at_ms,
        expires_at_ms: token.expires_at_ms,
    };
    estate.tokens.iter().map(row).collect()
}
