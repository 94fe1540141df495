//! Opening, replacing and closing the review of an automation. It has one at a time; a cause that weighs less than the
//! open one leaves a finding, and comes back by itself when that one is decided.

use serde_json::{Value, json};

use super::{
    approval::{Approval, RequestType, Resource, Status},
    limits::Limits,
    record::{Finding, GovernanceRecord, ReviewKind, Severity},
    request::{self, NewRequest},
};
use crate::{
    actor::{ActorKind, ActorRef},
    decide::{Ask, Decided, Desk},
};

/// The findings that a record shows; older ones are in their own rows.
const SHOWN: usize = 32;

/// The name under which the server files its own requests.
pub fn system(name: &str) -> ActorRef {
    ActorRef { kind: ActorKind::System, actor_id: Some(format!("system:{name}")), source: Some("governance".into()) }
}

/// What kind of request answers a review.
fn request_type(kind: ReviewKind) -> RequestType {
    match kind {
        ReviewKind::ExpirationSoon | ReviewKind::Expired | ReviewKind::Retired => RequestType::RetirementAction,
        ReviewKind::CreationQuota
        | ReviewKind::RunDrift
        | ReviewKind::HealthDrift
        | ReviewKind::DependencyRevoked
        | ReviewKind::TenantOwnershipMismatch => RequestType::LifecycleReview,
    }
}

/// A cause for review.
pub struct Cause {
    pub kind: ReviewKind,
    /// Who files it: the part after `system:`.
    pub by: &'static str,
    pub rationale: String,
    pub context: Value,
}

/// Opens a review, unless one that weighs as much is open and still waits. What has ended is not asked about its runs any
/// more: that it has ended stays what is said of it. Answers with whether it opened one.
pub fn open(desk: &mut Desk<'_>, limits: &Limits, record: &mut GovernanceRecord, cause: Cause) -> Decided<bool> {
    let ended = record.retired_at_ms.is_some() || record.expired_at_ms.is_some();
    if ended && cause.kind.weight() < ReviewKind::Expired.weight() {
        return Ok(false);
    }
    if let Some(open) = record.review_kind.filter(|_| record.review_required) {
        let waiting = match record.review_request_id.as_deref() {
            Some(id) => desk.get::<Approval>(id)?.is_some_and(|approval| approval.is_pending()),
            None => false,
        };
        let heavier = cause.kind.weight() > open.weight();
        if !heavier && (waiting || cause.kind != open) {
            return Ok(false);
        }
        supersede(desk, record.review_request_id.as_deref())?;
    }
    let target = Resource::automation(&record.automation_id);
    let new = NewRequest { rationale: cause.rationale, context: cause.context, ..NewRequest::default() };
    let approval = request::file(desk, limits, request_type(cause.kind), system(cause.by), target, new)?;
    record.review_required = true;
    record.review_kind = Some(cause.kind);
    record.review_requested_at_ms = Some(desk.now_ms());
    record.review_request_id = Some(approval.approval_id);
    record.updated_at_ms = desk.now_ms();
    Ok(true)
}

/// Ends a request that something newer takes the place of.
pub fn supersede(desk: &mut Desk<'_>, approval_id: Option<&str>) -> Decided<()> {
    let Some(id) = approval_id else { return Ok(()) };
    let Some(mut approval) = desk.get::<Approval>(id)?.filter(Approval::is_pending) else { return Ok(()) };
    approval.status = Status::Expired;
    approval.superseded = true;
    approval.updated_at_ms = desk.now_ms();
    desk.save(&approval);
    desk.audit(
        "automation.governance.approval.superseded",
        json!({ "supersededApprovalIDs": [id], "targetResource": approval.target_resource }),
    );
    Ok(())
}

/// A finding to be added.
pub struct NewFinding {
    pub kind: ReviewKind,
    pub severity: Severity,
    pub summary: &'static str,
    pub detail: Option<String>,
    pub run_id: Option<String>,
    pub evidence: Value,
}

/// Adds a finding, unless an open one says the same. Each revocation is a finding of its own.
pub fn find(desk: &mut Desk<'_>, record: &mut GovernanceRecord, new: NewFinding) {
    let same = record.health_findings.iter().any(|known| known.kind == new.kind && known.summary == new.summary);
    if same && new.kind != ReviewKind::DependencyRevoked {
        return;
    }
    let finding = Finding {
        finding_id: desk.id("finding-"),
        automation_id: record.automation_id.clone(),
        kind: new.kind,
        severity: new.severity,
        summary: new.summary.into(),
        detail: new.detail,
        observed_at_ms: desk.now_ms(),
        automation_run_id: new.run_id,
        approval_id: None,
        evidence: Some(new.evidence),
        resolved_at_ms: None,
        resolved_by_approval_id: None,
    };
    desk.save(&finding);
    let payload = json!({
        "automationID": finding.automation_id,
        "findingID": finding.finding_id,
        "kind": finding.kind,
        "severity": finding.severity,
        "summary": finding.summary,
    });
    desk.audit("automation.governance.finding.observed", payload);
    record.health_findings.push(finding);
    if record.health_findings.len() > SHOWN {
        record.health_findings.remove(0);
    }
}

/// Closes the warning that the end is near. Nobody has looked at the runs, so what a review would set back stays, and so
/// do the findings about anything else.
pub fn close_warning(desk: &mut Desk<'_>, record: &mut GovernanceRecord, approval_id: Option<&str>) -> Decided<()> {
    clear(record, desk.now_ms());
    let warning = |finding: &Finding| finding.kind == ReviewKind::ExpirationSoon;
    let (warnings, others) = std::mem::take(&mut record.health_findings).into_iter().partition(warning);
    record.health_findings = warnings;
    resolve(desk, record, approval_id)?;
    record.health_findings = others;
    Ok(())
}

fn clear(record: &mut GovernanceRecord, now_ms: u64) {
    record.review_required = false;
    record.review_kind = None;
    record.review_requested_at_ms = None;
    record.review_request_id = None;
    record.updated_at_ms = now_ms;
}

/// Resolves the open findings.
pub fn resolve(desk: &mut Desk<'_>, record: &mut GovernanceRecord, approval_id: Option<&str>) -> Decided<()> {
    let open = std::mem::take(&mut record.health_findings);
    desk.want(open.iter().map(|finding| Ask::row::<Finding>(&finding.finding_id)))?;
    for finding in &open {
        // The row was written with the finding; without it there is nothing to resolve.
        if let Some(mut row) = desk.get::<Finding>(&finding.finding_id)? {
            row.resolved_at_ms = Some(desk.now_ms());
            row.resolved_by_approval_id = approval_id.map(str::to_owned);
            desk.save(&row);
        }
    }
    Ok(())
}

/// Closes the review. Pauses stay: approving is not resuming.
pub fn close(desk: &mut Desk<'_>, record: &mut GovernanceRecord, approval_id: Option<&str>) -> Decided<()> {
    clear(record, desk.now_ms());
    record.last_reviewed_at_ms = Some(desk.now_ms());
    record.runs_since_review = 0;
    resolve(desk, record, approval_id)
}
