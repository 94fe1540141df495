//! Scopes and when each is due. A scope is a tenant as the configuration binds it; there is always the owner's own.
//!
//! What waits for a run is a list in the scope's row: two reasons are two entries, and the same reason again counts on.
//! An entry carries a mark that rises with each repetition, so that a run ends only what it has seen.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tandem_core::{
    actor::ActorRef,
    config::{self, Config},
    record::{Collection, Column, Record},
    tenant::{TenantContext, valid_part},
    text::non_blank,
};
use utoipa::ToSchema;

use super::{record::ScopeOwner, trigger::Trigger};

/// A scope that never ran is first assessed this long after it was first seen, or after its cadence if that is shorter.
/// Changes do not wait for it.
pub const FIRST_MS: u64 = 15 * 60_000;
/// How often a scope is looked at for reasons that no commit announces.
pub const LOOK_MS: u64 = 30_000;
/// Records that are kept of each scope.
pub const KEPT: u64 = 500;
/// Scopes of one configuration that are assessed.
pub const MOST_SCOPES: usize = 200;

/// What is assessed of a tenant. There is only the whole deployment.
const WHOLE: &str = "deployment";

/// A tenant as a configuration binds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScopeId {
    pub org_id: String,
    pub workspace_id: String,
    /// The implicit tenant, which records do not name.
    pub implicit: bool,
}

impl ScopeId {
    pub fn of(tenant: &TenantContext) -> Self {
        Self {
            org_id: tenant.org_id.clone(),
            workspace_id: tenant.workspace_id.clone(),
            implicit: tenant.is_local_implicit(),
        }
    }

    pub fn key(&self) -> String {
        format!("{}/{}/{WHOLE}", self.org_id, self.workspace_id)
    }
}

/// The scopes of a configuration: its owner, and every tenant that a project is bound to.
pub fn scopes(config: &Config, owner: &TenantContext) -> Vec<ScopeId> {
    let own = ScopeId::of(owner);
    let part = |text: &Option<String>| non_blank(text.as_deref()).filter(|part| valid_part(part)).map(str::to_owned);
    let bound = config.monitored_projects.iter().filter_map(|project| {
        let (org_id, workspace_id) = (part(&project.tenant_id)?, part(&project.workspace_id)?);
        Some(ScopeId { org_id, workspace_id, implicit: false })
    });
    let others: BTreeSet<ScopeId> = bound.filter(|id| id.key() != own.key()).collect();
    std::iter::once(own).chain(others).take(MOST_SCOPES).collect()
}

/// A reason that waits for a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    pub trigger: Trigger,
    pub detail: String,
    /// Rises with each repetition.
    pub mark: u64,
    pub count: u64,
    pub first_at_ms: u64,
    pub last_at_ms: u64,
    /// Not before: reasons that come in swarms wait a moment for each other.
    pub due_at_ms: u64,
    /// Who gave the reason first.
    pub by: ActorRef,
}

/// Where one scope stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScopeState {
    pub scope_key: String,
    pub id: ScopeId,
    pub first_seen_at_ms: u64,
    pub last_completed_at_ms: Option<u64>,
    pub last_version: u64,
    pub last_record_id: Option<String>,
    pub last_duration_ms: u64,
    pub pending: Vec<Pending>,
    /// The highest mark that was given.
    pub marks: u64,
    /// No configuration names it any more.
    pub retired: bool,
    /// A job looks after it.
    pub job: bool,
    /// Of the rules that the latest run applied.
    pub rules_digest: Option<String>,
    /// Incidents that came back often, and the step that was last told of each.
    #[serde(default)]
    pub recurring: BTreeMap<String, u64>,
}

impl ScopeState {
    pub fn new(id: ScopeId, now_ms: u64) -> Self {
        Self {
            scope_key: id.key(),
            id,
            first_seen_at_ms: now_ms,
            last_completed_at_ms: None,
            last_version: 0,
            last_record_id: None,
            last_duration_ms: 0,
            pending: Vec::new(),
            marks: 0,
            retired: false,
            job: false,
            rules_digest: None,
            recurring: BTreeMap::new(),
        }
    }

    /// When the cadence asks for a run.
    pub fn cadence_due_at_ms(&self, settings: &config::Reassessment) -> u64 {
        let cadence = settings.cadence_ms.max(1);
        match self.last_completed_at_ms {
            Some(last) => last.saturating_add(cadence),
            None => self.first_seen_at_ms.saturating_add(cadence.min(FIRST_MS)),
        }
    }

    /// When the next run is due, for whatever reason.
    pub fn due_at_ms(&self, settings: &config::Reassessment) -> u64 {
        let waiting = self.pending.iter().map(|pending| pending.due_at_ms).min();
        waiting.map_or(u64::MAX, |due| due).min(self.cadence_due_at_ms(settings))
    }

    /// When its job has to look again, a run just over or not needed.
    pub fn look_at_ms(&self, settings: &config::Reassessment, now_ms: u64) -> u64 {
        self.due_at_ms(settings).clamp(now_ms, now_ms.saturating_add(LOOK_MS))
    }
}

pub static SCOPES: Collection = Collection { name: "reassessment_scopes", columns: &["first_seen_at_ms"] };

impl Record for ScopeState {
    const COLLECTION: &'static Collection = &SCOPES;
    fn id(&self) -> &str {
        &self.scope_key
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::ms(self.first_seen_at_ms)]
    }
}

/// A scope in the answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReassessmentScheduleRow)]
pub struct ScheduleRow {
    pub scope_key: String,
    pub scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_completed_at_ms: Option<u64>,
    /// The latest run and its cadence, or now.
    pub next_due_at_ms: u64,
    /// The time of grace has passed as well; for a scope that never ran, counted from when it was first seen.
    pub overdue: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_version: Option<u64>,
    /// Whose configuration the scope is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<ScopeOwner>,
    /// Reasons that wait for a run.
    pub pending_triggers: Vec<Trigger>,
}

/// The row of a scope; `state` is absent for one that nothing is known of yet.
pub fn row(id: &ScopeId, state: Option<&ScopeState>, settings: &config::Reassessment, now_ms: u64) -> ScheduleRow {
    let last = state.and_then(|state| state.last_completed_at_ms);
    let next_due_at_ms = last.map_or(now_ms, |last| last.saturating_add(settings.cadence_ms.max(1)));
    let due = last.map(|_| next_due_at_ms).or(state.map(|state| state.first_seen_at_ms));
    ScheduleRow {
        scope_key: id.key(),
        scope: WHOLE.into(),
        last_completed_at_ms: last,
        next_due_at_ms,
        overdue: due.is_some_and(|due| now_ms > due.saturating_add(settings.overdue_grace_ms)),
        last_version: state.map(|state| state.last_version).filter(|version| *version > 0),
        owner: None,
        pending_triggers: state.into_iter().flat_map(|state| &state.pending).map(|pending| pending.trigger).collect(),
    }
}
