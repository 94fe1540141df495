//! One run as it is kept.

use serde::{Deserialize, Serialize};
use tandem_core::{
    actor::ActorRef,
    record::{Collection, Column, Record},
    tenant::TenantContext,
    wire_enum,
};
use utoipa::ToSchema;

use super::trigger::Trigger;
use crate::finding::Severity;

wire_enum! {
    #[schema(as = ReassessedFindingStatus)]
    pub enum FindingStatus {
        New = "new",
        Recurring = "recurring",
    }
}

/// A finding of one run, with what is known of it from the runs before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReassessedFinding)]
pub struct Reassessed {
    pub fingerprint: String,
    pub rule_id: String,
    pub scope: String,
    pub severity: Severity,
    pub category: String,
    /// `<rule_id> [<category>/<severity>]`
    pub summary: String,
    pub evidence_refs: Vec<String>,
    pub first_seen_at_ms: u64,
    pub last_seen_at_ms: u64,
    /// Runs in a row that have seen it.
    pub occurrence_count: u64,
    pub status: FindingStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReassessmentComparison)]
pub struct Comparison {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_record_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<u64>,
    pub new_fingerprints: Vec<String>,
    pub recurring_fingerprints: Vec<String>,
    pub resolved_fingerprints: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReassessmentCounts {
    pub findings: u64,
    pub new: u64,
    pub recurring: u64,
    pub resolved: u64,
}

/// One reason of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReassessmentTrigger)]
pub struct TriggerNote {
    pub trigger: Trigger,
    pub detail: String,
    /// How often the reason was given before the run.
    pub count: u64,
    pub first_at_ms: u64,
    /// Who gave it first.
    pub by: ActorRef,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reassessment {
    pub schema_version: u32,
    pub generated_at_ms: u64,
    /// Always `dry_run`.
    pub mode: String,
    pub mutates_external_systems: bool,
    pub record_id: String,
    pub scope_key: String,
    pub scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    /// 1 for the first run of the scope.
    pub version: u64,
    /// The first of `triggers`.
    pub trigger: Trigger,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_detail: Option<String>,
    /// Every reason that this run answers.
    pub triggers: Vec<TriggerNote>,
    /// Who asked for it: a caller, or this server.
    pub requested_by: ActorRef,
    pub findings: Vec<Reassessed>,
    /// Findings that are counted and compared, but not written out.
    pub findings_omitted: u64,
    pub counts: ReassessmentCounts,
    pub comparison: Comparison,
    pub evidence_refs: Vec<String>,
    /// Whose configuration the scope is of. Where a tenant is also bound by somebody else's configuration, there are two
    /// scopes of one key, and this tells them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<ScopeOwner>,
    /// Of the rules that were applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_digest: Option<String>,
}

/// A tenant that owns a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReassessmentOwner)]
pub struct ScopeOwner {
    pub org_id: String,
    pub workspace_id: String,
}

impl ScopeOwner {
    pub fn of(tenant: &TenantContext) -> Self {
        Self { org_id: tenant.org_id.clone(), workspace_id: tenant.workspace_id.clone() }
    }
}

impl Reassessment {
    pub fn id_of(scope_key: &str, version: u64) -> String {
        format!("reassess-{version}-{scope_key}")
    }
}

pub static REASSESSMENTS: Collection = Collection { name: "reassessments", columns: &["scope_key", "generated_at_ms"] };

impl Record for Reassessment {
    const COLLECTION: &'static Collection = &REASSESSMENTS;
    fn id(&self) -> &str {
        &self.record_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.scope_key), Column::ms(self.generated_at_ms)]
    }
}

/// What the latest run of each scope saw, in a row of its own: marks must not carry it around.
pub static SEEN: Collection = Collection { name: "reassessment_seen", columns: &[] };
