//! What callers are told of it.

use serde::{Deserialize, Serialize};
use tandem_core::tenant::TenantContext;
use utoipa::ToSchema;

use super::{record::Reassessment, schedule::ScheduleRow};

/// The source of every answer of this area.
const SOURCE: &str = "incident_monitor_continuous_reassessment";

/// Where reassessment stands, as other answers show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReassessmentBlock {
    pub source: String,
    pub overdue_scopes: u64,
    pub schedule: Vec<ScheduleRow>,
}

impl ReassessmentBlock {
    pub fn of(schedule: Vec<ScheduleRow>) -> Self {
        let overdue_scopes = schedule.iter().filter(|row| row.overdue).count() as u64;
        Self { source: SOURCE.into(), overdue_scopes, schedule }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReassessmentScope {
    pub source: String,
    pub read_only: bool,
    pub dry_run: bool,
    pub redacted: bool,
    pub mutates_external_systems: bool,
    pub admin_invoked: bool,
    pub tenant_context: TenantContext,
}

impl ReassessmentScope {
    pub fn of(tenant: &TenantContext) -> Self {
        Self {
            source: SOURCE.into(),
            read_only: true,
            dry_run: true,
            redacted: true,
            mutates_external_systems: false,
            admin_invoked: true,
            tenant_context: tenant.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReassessmentListCounts)]
pub struct ListCounts {
    /// Records in this answer.
    pub records: u64,
    pub overdue_scopes: u64,
}

/// History and schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReassessmentList {
    pub scope: ReassessmentScope,
    pub counts: ListCounts,
    pub schedule: Vec<ScheduleRow>,
    /// Newest first.
    pub records: Vec<Reassessment>,
}

/// A run that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReassessmentRun {
    pub scope: ReassessmentScope,
    pub reassessment: Reassessment,
    pub schedule: Vec<ScheduleRow>,
}
