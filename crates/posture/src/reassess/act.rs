//! The end of a run, and a look that led to none. Both are decided under the tenant's lock: the version of the record,
//! what it is compared with, and which reasons it answers.

use serde_json::json;
use tandem_core::{
    config,
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
    record::{Put, Write},
};

use super::{
    compare::{Seen, compare},
    observe::Observed,
    record::{Reassessment, ReassessmentCounts, ScopeOwner, TriggerNote},
    schedule::{KEPT, Pending, ScopeId, ScopeState},
    trigger::Trigger,
};

/// Findings that one record writes out; the rest is counted and compared.
const WRITTEN: usize = 1_000;
/// Lists of a row that grows are bounded.
const REMEMBERED: usize = 200;

/// A claimed job.
#[derive(Clone, Debug)]
pub struct Held {
    pub job_id: String,
    pub lease: String,
}

/// Why a run was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked. What waits goes on waiting.
    Asked,
    /// Its job: the reasons up to this mark, or else its cadence.
    Due { mark: u64 },
}

/// Everything that one run brings.
#[derive(Debug)]
pub struct Complete {
    pub id: ScopeId,
    pub cause: Cause,
    /// The scope's newest version when the run began to look. Once there is a newer one, what this run saw may be older
    /// than what that one recorded, and would undo it.
    pub after: u64,
    pub observed: Vec<Observed>,
    /// The rows of live findings that it changes.
    pub living: Vec<Put>,
    pub settings: config::Reassessment,
    pub rules_digest: String,
    pub duration_ms: u64,
    /// The job that is given back with it.
    pub held: Option<Held>,
}

impl Complete {
    /// The reasons of this run, taken off the list of the scope.
    fn reasons(&self, desk: &Desk<'_>, state: &mut ScopeState) -> Vec<TriggerNote> {
        let plain = |trigger, detail: &str| TriggerNote {
            trigger,
            detail: detail.into(),
            count: 1,
            first_at_ms: desk.now_ms(),
            by: desk.ctx.actor.clone(),
        };
        match self.cause {
            Cause::Asked => vec![plain(Trigger::Manual, "asked for by an administrator")],
            Cause::Due { mark } => {
                let (seen, later): (Vec<Pending>, Vec<Pending>) =
                    state.pending.drain(..).partition(|pending| pending.mark <= mark);
                state.pending = later;
                if seen.is_empty() {
                    return vec![plain(Trigger::Scheduled, "its time had come")];
                }
                let note = |pending: Pending| TriggerNote {
                    trigger: pending.trigger,
                    detail: pending.detail,
                    count: pending.count,
                    first_at_ms: pending.first_at_ms,
                    by: pending.by,
                };
                seen.into_iter().map(note).collect()
            }
        }
    }
}

impl Decision for Complete {
    type Outcome = Reassessment;

    fn asks(&self) -> Vec<Ask> {
        let key = self.id.key();
        vec![Ask::row::<ScopeState>(&key), Ask::row::<Seen>(&key)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<Reassessment> {
        let key = self.id.key();
        let state = desk.get::<ScopeState>(&key)?;
        let before = desk.get::<Seen>(&key)?.unwrap_or_else(|| Seen { scope_key: key.clone(), ..Seen::default() });
        let mut state = state.unwrap_or_else(|| ScopeState::new(self.id.clone(), desk.now_ms()));
        if state.last_version != self.after {
            return Err(Failure::of(Code::Conflict).into());
        }
        // Runs that ended at once have the order of their versions, whatever the clocks of their engines say.
        let now_ms = desk.now_ms().max(state.last_completed_at_ms.unwrap_or_default());
        let version = state.last_version + 1;
        let record_id = Reassessment::id_of(&key, version);
        desk.get::<Reassessment>(&record_id)?;
        let oldest = Reassessment::id_of(&key, version.saturating_sub(KEPT));
        let forgotten = desk.get::<Reassessment>(&oldest)?.is_some();

        let (mut findings, mut comparison, after) = compare(&before.findings, &self.observed, now_ms);
        comparison.previous_record_id = state.last_record_id.clone();
        comparison.previous_version = Some(state.last_version).filter(|version| *version > 0);
        let counts = ReassessmentCounts {
            findings: findings.len() as u64,
            new: comparison.new_fingerprints.len() as u64,
            recurring: comparison.recurring_fingerprints.len() as u64,
            resolved: comparison.resolved_fingerprints.len() as u64,
        };
        let omitted = findings.len().saturating_sub(WRITTEN) as u64;
        findings.truncate(WRITTEN);
        let triggers = self.reasons(desk, &mut state);
        let named = |part: &String| (!self.id.implicit).then(|| part.clone());
        let record = Reassessment {
            schema_version: 1,
            generated_at_ms: now_ms,
            mode: "dry_run".into(),
            mutates_external_systems: false,
            record_id,
            scope_key: key.clone(),
            scope: "deployment".into(),
            tenant_id: named(&self.id.org_id),
            workspace_id: named(&self.id.workspace_id),
            version,
            trigger: triggers.first().map_or(Trigger::Scheduled, |first| first.trigger),
            trigger_detail: triggers.first().map(|first| first.detail.clone()),
            triggers,
            requested_by: desk.ctx.actor.clone(),
            evidence_refs: findings.iter().flat_map(|finding| finding.evidence_refs.iter().cloned()).collect(),
            findings,
            findings_omitted: omitted,
            counts,
            comparison,
            owner: Some(ScopeOwner::of(&desk.ctx.tenant)),
            rules_digest: Some(self.rules_digest.clone()),
        };
        state.last_version = version;
        state.last_completed_at_ms = Some(now_ms);
        state.last_record_id = Some(record.record_id.clone());
        state.last_duration_ms = self.duration_ms;
        state.rules_digest = Some(self.rules_digest.clone());
        if let Some(held) = &self.held {
            let due_at_ms = state.look_at_ms(&self.settings, now_ms);
            let (job_id, lease) = (held.job_id.clone(), held.lease.clone());
            desk.write(Write::JobRetry { job_id, lease, due_at_ms });
        }
        desk.save(&state);
        desk.save(&Seen { scope_key: key, findings: after });
        desk.save(&record);
        for put in &self.living {
            desk.write(Write::Put(put.clone()));
        }
        if forgotten {
            desk.remove::<Reassessment>(&oldest);
        }
        self.tell(desk, &record);
        Ok(record)
    }
}

impl Complete {
    /// Reasons that came with a commit of their own were told of there.
    fn tell(&self, desk: &mut Desk<'_>, record: &Reassessment) {
        match record.trigger {
            Trigger::Manual | Trigger::Scheduled => desk.audit(
                "incident_monitor.reassessment.triggered",
                json!({
                    "scope_key": record.scope_key, "trigger": record.trigger, "trigger_detail": record.trigger_detail,
                    "source_kind": "tandem_monitor",
                }),
            ),
            Trigger::DestinationOrRouteChange
            | Trigger::MonitoredSourceChange
            | Trigger::TenantBoundaryChange
            | Trigger::ModelPolicyChange
            | Trigger::McpInventoryChange
            | Trigger::ApprovalPolicyChange
            | Trigger::WorkflowAuthorityChange
            | Trigger::RecurringIncidentThreshold
            | Trigger::ComplianceMappingChange => {}
        }
        desk.audit(
            "incident_monitor.reassessment.completed",
            json!({
                "record_id": record.record_id, "scope_key": record.scope_key, "version": record.version,
                "trigger": record.trigger, "triggers": record.triggers.iter().map(|one| one.trigger).collect::<Vec<_>>(),
                "mode": record.mode, "mutates_external_systems": false, "counts": record.counts,
                "source_kind": "tandem_monitor",
            }),
        );
    }
}

/// Gives the job of a scope back without a run, or ends it where nothing names the scope any more.
#[derive(Debug)]
pub struct GiveBack {
    pub id: ScopeId,
    pub settings: config::Reassessment,
    pub held: Held,
    /// Incidents that came back often, with the step that is told of now.
    pub recurring: Vec<(String, u64)>,
    /// Not before, after a run that failed.
    pub not_before_ms: u64,
}

impl Decision for GiveBack {
    type Outcome = ();

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<ScopeState>(&self.id.key())]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<()> {
        let state = desk.get::<ScopeState>(&self.id.key())?;
        let (job_id, lease) = (self.held.job_id.clone(), self.held.lease.clone());
        match state {
            Some(mut state) if !state.retired => {
                if !self.recurring.is_empty() {
                    state.recurring.extend(self.recurring.iter().cloned());
                    while state.recurring.len() > REMEMBERED {
                        state.recurring.pop_first();
                    }
                    desk.save(&state);
                }
                let due_at_ms = state.look_at_ms(&self.settings, desk.now_ms()).max(self.not_before_ms);
                desk.write(Write::JobRetry { job_id, lease, due_at_ms });
            }
            Some(mut state) => {
                state.job = false;
                desk.save(&state);
                desk.write(Write::JobDone { job_id, lease });
            }
            None => desk.write(Write::JobDone { job_id, lease }),
        }
        Ok(())
    }
}
