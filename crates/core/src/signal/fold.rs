//! Adding an accepted signal to its incident. Runs inside the write transaction, on rows read under its lock, so any
//! number of equal signals at once make one incident and lose no count.

use std::{borrow::Cow, sync::Arc};

use serde_json::json;

use super::{Accepted, QualityGate, context::merge_bounded};
use crate::{
    actor::OpContext,
    audit::event::Draft as AuditDraft,
    config::RecurrencePolicy,
    draft::{self, Draft, DraftStatus, Stage},
    incident::{Incident, IncidentStatus, OCCURRENCE_SAMPLE, Occurrence},
    record::{Job, JobKind, body},
    source::evidence::LogEvidence,
};

/// The rows that one identity owns, as read; [`fold`] changes them in place. They are shared with the outcomes: what an
/// outcome holds is copied when a further signal changes it, and not before.
#[derive(Clone, Debug, Default)]
pub struct Existing {
    pub incident: Option<Arc<Incident>>,
    /// The incident's draft; or, for a new incident, the one that a deleted incident of this identity left behind.
    pub draft: Option<Arc<Draft>>,
    /// The published draft that [`Existing::draft`] has followed, when a recurrence opened a new one.
    pub superseded: Option<Arc<Draft>>,
}

/// What became of one signal.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub incident: Arc<Incident>,
    pub draft: Option<Arc<Draft>>,
    /// This signal created the incident.
    pub created: bool,
    /// The quality gate that blocked it: such a signal is counted, and gets no draft of its own.
    pub blocked: Option<QualityGate>,
    /// The rows as the store has just written them, where that is what they were after this signal.
    pub stored: Option<Written>,
}

impl Outcome {
    /// The JSON of the rows; it is made only where the store has not made it already.
    pub fn written(&self) -> Cow<'_, Written> {
        match &self.stored {
            Some(stored) => Cow::Borrowed(stored),
            None => {
                Cow::Owned(Written { incident: body(self.incident.as_ref()), draft: self.draft.as_deref().map(body) })
            }
        }
    }
}

/// The JSON of an outcome's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub incident: String,
    pub draft: Option<String>,
}

/// What one signal adds beside the rows in [`Existing`].
#[derive(Clone, Debug)]
pub struct Folded {
    pub outcome: Outcome,
    pub audit: AuditDraft,
    pub jobs: Vec<Job>,
    /// What a log said, kept with the draft that it opened.
    pub evidence: Option<LogEvidence>,
}

/// Adds one signal.
pub fn fold(existing: &mut Existing, signal: &Accepted, ctx: &OpContext) -> Folded {
    let blocked = !signal.gate.passed;
    let created = existing.incident.is_none();
    let cooling = cooling(existing.incident.as_deref(), signal);
    let seen_before = existing.incident.as_ref().and_then(|incident| incident.last_seen_at_ms);
    let shared = existing.incident.get_or_insert_with(|| Arc::new(new_incident(signal)));
    let incident = Arc::make_mut(shared);
    // Whoever closed its issue thought that it was over.
    let regression = incident.status == IncidentStatus::Resolved;
    if !created {
        count(incident, signal);
    }
    incident.occurrences.push(Occurrence {
        at_ms: signal.at_ms,
        run_id: signal.submission.run_id.clone(),
        session_id: signal.submission.session_id.clone(),
        correlation_id: signal.submission.correlation_id.clone(),
        request_id: signal.request_id.clone(),
        evidence_ref: signal.log.as_ref().map(|log| log.lines_ref()),
    });
    if incident.occurrences.len() > OCCURRENCE_SAMPLE {
        // The first one stays: it is the evidence that opened the incident.
        incident.occurrences.remove(1);
    }

    let mut draft_created = false;
    let mut recur_at = None;
    match &mut existing.draft {
        Some(kept) => {
            let draft = Arc::make_mut(kept);
            incident.draft_id = Some(draft.draft_id.clone());
            if created {
                // The incident was deleted, its draft was not: what a person decided about the draft still holds.
                let denied = draft.status == DraftStatus::Denied;
                incident.status = if denied { IncidentStatus::Denied } else { IncidentStatus::DraftCreated };
            }
            if !blocked {
                recur_at = recur(draft, signal, regression);
                draft.incident_id = Some(incident.incident_id.clone());
                if !cooling && opens_anew(draft, signal, seen_before) {
                    let fresh = Draft {
                        recurrence_of: Some(draft.draft_id.clone()),
                        ..open_draft(signal, incident, &mut draft_created)
                    };
                    existing.superseded = Some(std::mem::replace(kept, Arc::new(fresh)));
                }
            }
        }
        slot @ None => {
            if !blocked && !cooling {
                *slot = Some(Arc::new(open_draft(signal, incident, &mut draft_created)));
            }
        }
    }
    if let Some(log) = &signal.log {
        incident.event_payload = Some(log.payload(incident.event_payload.as_ref(), draft_created));
    }
    if blocked && incident.draft_id.is_none() {
        incident.status = IncidentStatus::QualityGateBlocked;
        incident.quality_gate = Some(signal.gate.clone());
    }

    let event_type = match (created, blocked) {
        (_, true) => "incident_monitor.incident.blocked",
        (true, false) => "incident_monitor.incident.detected",
        (false, false) => "incident_monitor.incident.recurred",
    };
    let draft_id = existing.draft.as_ref().map(|d| d.draft_id.as_str());
    let payload = json!({
        "incident_id": incident.incident_id,
        "draft_id": draft_id,
        "draft_created": draft_created,
        "fingerprint": incident.fingerprint,
        "occurrence_count": incident.occurrence_count,
        "occurrences": signal.occurrences,
        "project_id": incident.project_id,
        "log_source_id": incident.log_source_id,
        "repo": incident.repo,
        "status": incident.status,
        "redactions": signal.redactions,
        "regression": regression,
    });
    let mut audit = AuditDraft::new(ctx, signal.ids.event_id.clone(), event_type, payload);
    audit.created_at_ms = signal.at_ms;
    let job = |prefix: &str, kind| Job {
        job_id: format!("{prefix}-{}", signal.ids.draft_id),
        kind,
        lane: ctx.tenant.key().0,
        subject: signal.ids.draft_id.clone(),
        due_at_ms: signal.at_ms,
    };
    let mut jobs = Vec::new();
    if draft_created && signal.start_triage {
        jobs.push(job("begin", JobKind::StartTriage));
    }
    if draft_created && signal.auto_publish {
        jobs.push(job("auto", JobKind::AutoPublish));
    } else if let (Some(draft), Some(due_at_ms)) = (&existing.draft, recur_at) {
        jobs.push(Job {
            job_id: format!("recur-{}-{}", draft.draft_id, draft.recurrences),
            kind: JobKind::Recur,
            lane: ctx.tenant.key().0,
            subject: draft.draft_id.clone(),
            due_at_ms,
        });
    }
    let evidence = signal.log.as_ref().filter(|_| draft_created).map(|log| log.evidence.clone());
    let gate = blocked.then(|| signal.gate.clone());
    let outcome =
        Outcome { incident: Arc::clone(shared), draft: existing.draft.clone(), created, blocked: gate, stored: None };
    Folded { outcome, audit, jobs, evidence }
}

fn new_incident(signal: &Accepted) -> Incident {
    let s = &signal.submission;
    Incident {
        incident_id: signal.ids.incident_id.clone(),
        fingerprint: signal.grouping.fingerprint.clone(),
        event_type: s.event.clone().unwrap_or_default(),
        status: IncidentStatus::Queued,
        repo: signal.repo.clone(),
        workspace_root: signal.workspace_root.clone(),
        title: signal.title.clone(),
        project_id: s.project_id.clone(),
        log_source_id: s.log_source_id.clone(),
        source_kind: s.source_kind,
        detail: s.detail.clone(),
        source: s.source.clone(),
        run_id: s.run_id.clone(),
        session_id: s.session_id.clone(),
        correlation_id: s.correlation_id.clone(),
        file_name: s.file_name.clone(),
        process: s.process.clone(),
        component: s.component.clone(),
        level: s.level.clone(),
        excerpt: s.excerpt.clone(),
        occurrence_count: signal.occurrences,
        created_at_ms: signal.at_ms,
        updated_at_ms: signal.at_ms,
        last_seen_at_ms: Some(signal.at_ms),
        drafted_at_ms: None,
        draft_id: None,
        triage_run_id: None,
        last_error: None,
        quality_gate: Some(signal.gate.clone()),
        duplicate_summary: None,
        duplicate_matches: None,
        event_payload: None,
        grouping: signal.grouping.clone(),
        occurrences: Vec::new(),
        redactions: signal.redactions.iter().map(|(rule, n)| ((*rule).to_owned(), *n)).collect(),
        resolved_at_ms: None,
        regressions: 0,
        regressed_at_ms: None,
        safety: s.safety.clone(),
        routing: s.routing.clone(),
        classification: s.classification.clone(),
        identity: hex::encode(signal.identity),
    }
}

/// A further occurrence: counted, and what the incident lacks is filled in.
fn count(incident: &mut Incident, signal: &Accepted) {
    let s = &signal.submission;
    incident.occurrence_count += signal.occurrences;
    incident.last_seen_at_ms = Some(incident.last_seen_at_ms.unwrap_or(0).max(signal.at_ms));
    incident.updated_at_ms = incident.updated_at_ms.max(signal.at_ms);
    if incident.status == IncidentStatus::Resolved {
        incident.status = IncidentStatus::Queued;
        incident.regressions += 1;
        incident.regressed_at_ms = Some(signal.at_ms);
    }
    for (mine, theirs) in [
        (&mut incident.detail, &s.detail),
        (&mut incident.run_id, &s.run_id),
        (&mut incident.session_id, &s.session_id),
        (&mut incident.correlation_id, &s.correlation_id),
        (&mut incident.file_name, &s.file_name),
        (&mut incident.process, &s.process),
        (&mut incident.component, &s.component),
        (&mut incident.level, &s.level),
    ] {
        if mine.is_none() {
            mine.clone_from(theirs);
        }
    }
    if incident.excerpt.is_empty() {
        incident.excerpt.clone_from(&s.excerpt);
    }
    incident.safety.fill_from(&s.safety);
    merge_bounded(&mut incident.classification.evidence_refs, s.classification.evidence_refs.clone());
    for (rule, n) in &signal.redactions {
        *incident.redactions.entry((*rule).to_owned()).or_default() += n;
    }
}

/// Whether a draft of this failure was opened so recently that its source wants no other yet.
fn cooling(incident: Option<&Incident>, signal: &Accepted) -> bool {
    let opened = incident.and_then(|incident| incident.drafted_at_ms);
    opened.is_some_and(|at| signal.at_ms < at.saturating_add(signal.cooldown_ms))
}

/// Whether a published failure that is seen again gets a new draft: only when the configuration asks for one and the
/// failure was quiet for long enough. A denied draft is never followed by another one.
fn opens_anew(draft: &Draft, signal: &Accepted, seen_before: Option<u64>) -> bool {
    let recurrence = &signal.recurrence;
    let quiet_since = seen_before.or(draft.github_posted_at_ms).unwrap_or(draft.created_at_ms);
    draft.status.stage() == Stage::Published
        && recurrence.policy == RecurrencePolicy::NewDraft
        && signal.at_ms.saturating_sub(quiet_since) >= recurrence.quiet_period_ms
}

/// The incident's first draft, or the next one.
fn open_draft(signal: &Accepted, incident: &mut Incident, created: &mut bool) -> Draft {
    let draft = new_draft(signal, &incident.incident_id);
    incident.draft_id = Some(draft.draft_id.clone());
    incident.drafted_at_ms = Some(signal.at_ms);
    incident.triage_run_id = None;
    incident.status = IncidentStatus::DraftCreated;
    // An earlier signal may have been blocked; this one passed.
    incident.quality_gate = Some(signal.gate.clone());
    *created = true;
    draft
}

fn new_draft(signal: &Accepted, incident_id: &str) -> Draft {
    let s = &signal.submission;
    Draft {
        draft_id: signal.ids.draft_id.clone(),
        fingerprint: signal.grouping.fingerprint.clone(),
        repo: signal.repo.clone(),
        status: if signal.approval_required { DraftStatus::ApprovalRequired } else { DraftStatus::Ready },
        created_at_ms: signal.at_ms,
        updated_at_ms: signal.at_ms,
        incident_id: Some(incident_id.to_owned()),
        project_id: s.project_id.clone(),
        log_source_id: s.log_source_id.clone(),
        source_kind: s.source_kind,
        approval_granted_at_ms: None,
        triage_run_id: None,
        issue_number: None,
        title: Some(signal.title.clone()),
        detail: Some(signal.composed.clone()),
        github_status: None,
        github_issue_url: None,
        github_comment_url: None,
        github_posted_at_ms: None,
        matched_issue_number: None,
        matched_issue_state: None,
        evidence_digest: None,
        quality_gate: Some(signal.gate.clone()),
        last_post_error: None,
        next_recovery_at_ms: None,
        recovery_attempts: 0,
        recurred_at_ms: None,
        recurrences: 0,
        recurrences_told: 0,
        recurrence_told_at_ms: None,
        recurrence_due: false,
        recurrence_of: None,
        operator_notes: Vec::new(),
        safety: s.safety.clone(),
        routing: s.routing.clone(),
        classification: s.classification.clone(),
    }
}

/// A draft absorbs what it lacks; title, detail and status stay as they were reviewed. Says when a tracker is to be told,
/// where one has the draft's issue and nobody is about to tell it.
fn recur(draft: &mut Draft, signal: &Accepted, regression: bool) -> Option<u64> {
    let s = &signal.submission;
    draft.safety.fill_from(&s.safety);
    merge_bounded(&mut draft.classification.evidence_refs, s.classification.evidence_refs.clone());
    merge_bounded(&mut draft.routing.route_tags, s.routing.route_tags.clone());
    draft.quality_gate = Some(signal.gate.clone());
    // `Recurred` is never refused; a denied draft simply does not change.
    let before = draft.recurrences;
    let _ = draft::transition(draft, draft::Event::Recurred, signal.at_ms);
    if draft.recurrences > before {
        draft.recurrences = before + signal.occurrences;
    }
    let wanted = match signal.recurrence.policy {
        RecurrencePolicy::Comment | RecurrencePolicy::Reopen => true,
        RecurrencePolicy::NewDraft | RecurrencePolicy::None => false,
    };
    let told = draft.status.stage() == Stage::Published && draft.github_issue_url.is_some();
    if !wanted || !told || draft.recurrence_due {
        return None;
    }
    draft.recurrence_due = true;
    let earliest = draft.recurrence_told_at_ms.map_or(0, |at| at.saturating_add(signal.recurrence.min_interval_ms));
    Some(if regression { signal.at_ms } else { earliest.max(signal.at_ms) })
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
