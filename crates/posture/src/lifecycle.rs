//! The life of a finding from one assessment to the next: open, accepted for a while, resolved.
//!
//! A row is a finding by its fingerprint. [`reconcile`] compares rows with what is found now, in full; whoever calls it
//! writes what it returns in one commit. Reading never changes a row.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use tandem_core::{
    actor::ActorRef,
    error::{Code, Failure},
    record::{Collection, Column, Record},
    redaction::{Counts, redactor},
    wire_enum,
};
use utoipa::ToSchema;

use crate::finding::{AffectedObject, EvidenceRef, Finding, Severity};

wire_enum! {
    #[derive(Default)]
    #[schema(as = FindingLifeStatus)]
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
#[schema(as = AcceptedRisk)]
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
pub fn reconcile(existing: &[LiveFinding], found: &[Finding], now_ms: u64) -> Changes {
    let mut rows: HashMap<&str, &LiveFinding> = existing.iter().map(|row| (row.fingerprint.as_str(), row)).collect();
    let mut changes = Changes::default();
    let mut seen = HashSet::new();
    for finding in found.iter().filter(|finding| seen.insert(finding.fingerprint.as_str())) {
        let Some(known) = rows.remove(finding.fingerprint.as_str()) else {
            changes.new.push(LiveFinding::new(finding, now_ms));
            continue;
        };
        let mut row = LiveFinding { life: known.life.clone(), ..LiveFinding::new(finding, now_ms) };
        row.life.last_seen_at_ms = now_ms;
        row.life.updated_at_ms = now_ms;
        row.life.occurrence_count += 1;
        match known.life.at(now_ms).status {
            LifeStatus::Open if known.life.status == LifeStatus::Accepted => {
                row.life.reopen();
                changes.reopened.push(row);
            }
            LifeStatus::Open | LifeStatus::Accepted => changes.recurring.push(row),
            LifeStatus::Resolved => {
                row.life.reopen();
                row.life.reopened_count += 1;
                changes.reopened.push(row);
            }
        }
    }
    // In the order of the rows, not of the map.
    for known in existing.iter().filter(|row| rows.contains_key(row.fingerprint.as_str())) {
        match known.life.status {
            LifeStatus::Open | LifeStatus::Accepted => {
                let mut row = known.clone();
                row.life.status = LifeStatus::Resolved;
                row.life.accepted = None;
                row.life.resolved_at_ms = Some(now_ms);
                row.life.updated_at_ms = now_ms;
                changes.resolved.push(row);
            }
            LifeStatus::Resolved => {}
        }
    }
    changes
}

impl Lifecycle {
    /// As it is now: an acceptance that has run out is none.
    pub fn at(&self, now_ms: u64) -> Self {
        let mut life = self.clone();
        if life.accepted.as_ref().is_some_and(|accepted| accepted.expires_at_ms <= now_ms) {
            life.reopen();
        }
        life
    }

    fn reopen(&mut self) {
        self.status = LifeStatus::Open;
        self.accepted = None;
        self.resolved_at_ms = None;
    }
}

/// The longest time for which a risk may be taken.
pub const LONGEST_ACCEPTANCE_MS: u64 = 365 * 86_400_000;
const LONGEST_REASON: usize = 2_000;
const LONGEST_OWNER: usize = 200;

/// A risk that is to be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FindingAcceptance)]
pub struct Accept {
    /// Why it may be taken. Secrets in it are redacted.
    pub reason: String,
    /// At most 365 days ahead.
    #[serde(alias = "expiresAtMs")]
    pub expires_at_ms: u64,
}

/// What a person says of a finding. Absent and null leave a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = FindingUpdate)]
pub struct Update {
    /// Blank takes the owner away.
    pub owner: Option<String>,
    /// 0 takes the due date away.
    #[serde(alias = "dueAtMs")]
    pub due_at_ms: Option<u64>,
    pub accept: Option<Accept>,
    /// Takes an acceptance back.
    pub reopen: Option<bool>,
}

/// The row after what a person says of it.
pub fn update(row: &LiveFinding, update: &Update, by: &ActorRef, now_ms: u64) -> Result<LiveFinding, Failure> {
    let wrong = |why: &str| Err(Failure::new(Code::ValidationFailed, why));
    let reopen = update.reopen == Some(true);
    if update.owner.is_none() && update.due_at_ms.is_none() && update.accept.is_none() && !reopen {
        return wrong("Name at least one of `owner`, `due_at_ms`, `accept` and `reopen`.");
    }
    if update.accept.is_some() && reopen {
        return wrong("`accept` and `reopen` contradict each other.");
    }
    let mut row = row.clone();
    row.life = row.life.at(now_ms);
    if let Some(owner) = &update.owner {
        let owner = owner.trim();
        if owner.len() > LONGEST_OWNER || owner.chars().any(char::is_control) {
            return wrong("`owner` must have at most 200 bytes and no control characters.");
        }
        row.life.owner = Some(owner.to_owned()).filter(|owner| !owner.is_empty());
    }
    if let Some(due) = update.due_at_ms {
        row.life.due_at_ms = Some(due).filter(|due| *due > 0);
    }
    if let Some(accept) = &update.accept {
        if row.life.status == LifeStatus::Resolved {
            return wrong("The finding is resolved; there is no risk to accept.");
        }
        row.life.accepted = Some(acceptance(accept, by, now_ms)?);
        row.life.status = LifeStatus::Accepted;
    }
    if reopen {
        if row.life.status == LifeStatus::Resolved {
            return wrong("The finding is resolved; it opens again by itself when it is found again.");
        }
        row.life.reopen();
    }
    row.life.updated_at_ms = now_ms;
    Ok(row)
}

fn acceptance(accept: &Accept, by: &ActorRef, now_ms: u64) -> Result<Acceptance, Failure> {
    let wrong = |why: &str| Err(Failure::new(Code::ValidationFailed, why));
    let reason = accept.reason.trim();
    if reason.is_empty() || reason.len() > LONGEST_REASON {
        return wrong("`accept.reason` must have 1 to 2000 bytes.");
    }
    if accept.expires_at_ms <= now_ms {
        return wrong("`accept.expires_at_ms` lies in the past.");
    }
    if accept.expires_at_ms - now_ms > LONGEST_ACCEPTANCE_MS {
        return wrong("`accept.expires_at_ms` is more than 365 days ahead.");
    }
    Ok(Acceptance {
        by: by.clone(),
        reason: redactor(None).text(reason, &mut Counts::new()).into_owned(),
        at_ms: now_ms,
        expires_at_ms: accept.expires_at_ms,
    })
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

#[cfg(test)]
mod tests {
    use tandem_core::actor::ActorKind;

    use super::*;
    use crate::finding::New;

    fn finding(id: &str) -> Finding {
        let new = New {
            rule_id: "missing_tenant_context",
            category: "tenant_context_gap",
            severity: Severity::High,
            title: "t".into(),
            detail: "d".into(),
            recommendation: "r".into(),
            affected: vec![AffectedObject::new("automation", id)],
            evidence: vec![EvidenceRef::inventory("inventory.automation_specs")],
            extra: None,
        };
        Finding::new(new, true)
    }

    fn ann() -> ActorRef {
        ActorRef { kind: ActorKind::Human, actor_id: Some("ann".into()), source: None }
    }

    /// Applies what changed, as a commit would.
    fn apply(rows: &mut Vec<LiveFinding>, found: &[Finding], now_ms: u64) -> [usize; 4] {
        let changes = reconcile(rows, found, now_ms);
        for row in changes.rows() {
            rows.retain(|known| known.fingerprint != row.fingerprint);
            rows.push(row.clone());
        }
        [changes.new.len(), changes.recurring.len(), changes.reopened.len(), changes.resolved.len()]
    }

    fn accepted(row: &LiveFinding, until: u64, now_ms: u64) -> LiveFinding {
        let accept = Some(Accept { reason: "known".into(), expires_at_ms: until });
        update(row, &Update { accept, ..Update::default() }, &ann(), now_ms).unwrap_or_else(|f| panic!("{f:?}"))
    }

    #[test]
    fn a_finding_comes_stays_goes_and_comes_back() {
        let (a, b) = (finding("a"), finding("b"));
        let mut rows = Vec::new();
        assert_eq!(apply(&mut rows, &[a.clone(), b.clone(), a.clone()], 10), [2, 0, 0, 0]);
        assert_eq!(apply(&mut rows, &[a.clone(), b.clone()], 20), [0, 2, 0, 0]);
        assert_eq!(apply(&mut rows, std::slice::from_ref(&a), 30), [0, 1, 0, 1]);
        assert_eq!(apply(&mut rows, std::slice::from_ref(&a), 40), [0, 1, 0, 0]);
        assert_eq!(apply(&mut rows, &[a, b.clone()], 50), [0, 1, 1, 0]);
        let back = rows.iter().find(|row| row.fingerprint == b.fingerprint).map(|row| row.life.clone());
        let back = back.unwrap_or_else(|| panic!("it is there"));
        assert_eq!((back.status, back.first_seen_at_ms, back.last_seen_at_ms), (LifeStatus::Open, 10, 50));
        assert_eq!((back.occurrence_count, back.reopened_count, back.resolved_at_ms), (3, 1, None));
    }

    #[test]
    fn an_accepted_risk_stays_until_its_day() {
        let a = finding("a");
        let mut rows = Vec::new();
        apply(&mut rows, std::slice::from_ref(&a), 10);
        rows[0] = accepted(&rows[0], 100, 20);
        assert_eq!(apply(&mut rows, std::slice::from_ref(&a), 99), [0, 1, 0, 0]);
        assert_eq!(rows[0].life.status, LifeStatus::Accepted);
        assert_eq!((rows[0].life.at(99).status, rows[0].life.at(100).status), (LifeStatus::Accepted, LifeStatus::Open));
        assert_eq!(apply(&mut rows, std::slice::from_ref(&a), 100), [0, 0, 1, 0]);
        assert_eq!(
            (rows[0].life.status, rows[0].life.accepted.clone(), rows[0].life.reopened_count),
            (LifeStatus::Open, None, 0)
        );
        // What is gone is no accepted risk any more.
        rows[0] = accepted(&rows[0], 500, 110);
        assert_eq!(apply(&mut rows, &[], 120), [0, 0, 0, 1]);
        assert_eq!((rows[0].life.status, rows[0].life.accepted.clone()), (LifeStatus::Resolved, None));
    }

    #[test]
    fn what_a_person_may_say() {
        let row = LiveFinding::new(&finding("a"), 1_000);
        let day = 86_400_000;
        let accept = |reason: &str, expires_at_ms| Update {
            accept: Some(Accept { reason: reason.into(), expires_at_ms }),
            ..Update::default()
        };
        let ok = |given: &Update| update(&row, given, &ann(), 1_000).is_ok();
        for (given, expected) in [
            (Update::default(), false),
            (Update { reopen: Some(false), ..Update::default() }, false),
            (Update { owner: Some("team".into()), ..Update::default() }, true),
            (Update { owner: Some("a\nb".into()), ..Update::default() }, false),
            (Update { owner: Some("x".repeat(201)), ..Update::default() }, false),
            (Update { due_at_ms: Some(5), ..Update::default() }, true),
            (accept("why", 1_000 + 365 * day), true),
            (accept("why", 1_001 + 365 * day), false),
            (accept("why", 1_000), false),
            (accept("  ", 2_000), false),
            (accept(&"x".repeat(2_001), 2_000), false),
            (Update { reopen: Some(true), ..accept("why", 2_000) }, false),
        ] {
            assert_eq!(ok(&given), expected, "{given:?}");
        }
        let taken = update(&row, &accept("see password=hunter2secret", 2_000), &ann(), 1_000).ok();
        let reason = taken.and_then(|row| row.life.accepted).map(|accepted| accepted.reason);
        assert!(reason.is_some_and(|reason| !reason.contains("hunter2secret")));
        let resolved = reconcile(&[row], &[], 2_000).resolved;
        let refused = |given: &Update| update(&resolved[0], given, &ann(), 2_001).is_err();
        assert!(refused(&accept("why", 3_000)) && refused(&Update { reopen: Some(true), ..Update::default() }));
    }

    #[test]
    fn owner_and_due_date_come_and_go() {
        let row = LiveFinding::new(&finding("a"), 1);
        let said = |row: &LiveFinding, owner: &str, due| {
            let given = Update { owner: Some(owner.into()), due_at_ms: Some(due), ..Update::default() };
            update(row, &given, &ann(), 2).map(|row| (row.life.owner.clone(), row.life.due_at_ms, row)).ok()
        };
        let (owner, due, row) = said(&row, " team ", 9).unwrap_or_else(|| panic!("accepted"));
        assert_eq!((owner.as_deref(), due), (Some("team"), Some(9)));
        let (owner, due, _) = said(&row, "", 0).unwrap_or_else(|| panic!("accepted"));
        assert_eq!((owner, due), (None, None));
    }
}
