//! Noting in the commit of a change that scopes have to be assessed again.

use serde_json::json;
use tandem_core::{
    decide::{Ask, Decided, Decision, Desk, PageAsk},
    record::{Job, JobKind, Waiting, Write},
};

use super::{
    schedule::{MOST_SCOPES, Pending, ScopeId, ScopeState},
    trigger::Change,
};

/// How long reasons that come in swarms wait for each other.
const SETTLE_MS: u64 = 1_000;
/// Such a reason leaves the server this many times as long without a run as the run before took.
const SPARE: u64 = 20;
const LONGEST_WAIT_MS: u64 = 5 * 60_000;

/// Reasons to assess every scope of the tenant again. Without any, it only sees to it that scopes and their jobs exist.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    pub changes: Vec<Change>,
    /// The scopes of the configuration that is in force from now on; others are retired. `None` leaves them as they are.
    pub scopes: Option<Vec<ScopeId>>,
    /// Run at once rather than when the swarm is over.
    pub at_once: bool,
}

impl Mark {
    fn page() -> PageAsk {
        PageAsk::of::<ScopeState>("first_seen_at_ms", 2 * MOST_SCOPES)
    }

    /// Leaves the reasons on the desk, one row of the log for each that was not waiting already.
    pub fn put(&self, desk: &mut Desk<'_>) -> Decided<()> {
        let now_ms = desk.now_ms();
        let known = desk.page::<ScopeState>(Self::page())?;
        let own = ScopeId::of(&desk.ctx.tenant);
        let wanted: Vec<ScopeId> = match &self.scopes {
            Some(scopes) => scopes.clone(),
            None => {
                let live = known.iter().filter(|state| !state.retired && state.id != own).map(|state| &state.id);
                std::iter::once(&own).chain(live).cloned().collect()
            }
        };
        for id in &wanted {
            let key = id.key();
            let stored = known.iter().find(|state| state.scope_key == key).cloned();
            let unchanged = stored.clone();
            let mut state = stored.unwrap_or_else(|| ScopeState::new(id.clone(), now_ms));
            state.retired = false;
            if !state.job {
                state.job = true;
                desk.job(Job {
                    job_id: job_id(desk.ctx.tenant.key().as_str(), &key),
                    kind: JobKind::Reassess,
                    lane: "reassess".into(),
                    subject: key.clone(),
                    due_at_ms: now_ms,
                });
            }
            for change in &self.changes {
                self.wait(desk, &mut state, change);
            }
            let due = state.pending.iter().map(|pending| pending.due_at_ms).min().unwrap_or(now_ms);
            if self.scopes.is_some() || !self.changes.is_empty() {
                desk.write(Write::JobsWake {
                    kind: JobKind::Reassess,
                    of: Waiting::Subject(key),
                    due_at_ms: due.max(now_ms),
                });
            }
            if unchanged.as_ref() != Some(&state) {
                desk.save(&state);
            }
        }
        if self.scopes.is_some() {
            let gone = known.into_iter().filter(|state| !state.retired && !wanted.contains(&state.id));
            for mut state in gone {
                state.retired = true;
                state.pending.clear();
                desk.save(&state);
            }
        }
        Ok(())
    }

    /// Puts one reason on the list of a scope, or counts it on.
    fn wait(&self, desk: &mut Desk<'_>, state: &mut ScopeState, change: &Change) {
        let now_ms = desk.now_ms();
        state.marks += 1;
        if let Some(known) = state.pending.iter_mut().find(|pending| pending.trigger == change.trigger) {
            known.mark = state.marks;
            known.count += 1;
            known.last_at_ms = now_ms;
            if self.at_once {
                known.due_at_ms = now_ms;
            }
            return;
        }
        let spared = state.last_duration_ms.saturating_mul(SPARE).min(LONGEST_WAIT_MS);
        let rested = state.last_completed_at_ms.map_or(0, |last| last.saturating_add(spared));
        state.pending.push(Pending {
            trigger: change.trigger,
            detail: change.detail.clone(),
            mark: state.marks,
            count: 1,
            first_at_ms: now_ms,
            last_at_ms: now_ms,
            due_at_ms: if self.at_once { now_ms } else { rested.max(now_ms.saturating_add(SETTLE_MS)) },
            by: desk.ctx.actor.clone(),
        });
        desk.audit(
            "incident_monitor.reassessment.triggered",
            json!({
                "scope_key": state.scope_key, "trigger": change.trigger, "trigger_detail": change.detail,
                "source_kind": "tandem_monitor",
            }),
        );
    }
}

impl Decision for Mark {
    type Outcome = ();

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::Page(Self::page())]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<()> {
        self.put(desk)
    }
}

/// A decision that is a reason, if it is not refused and its outcome says so.
pub struct With<D: Decision> {
    pub act: D,
    pub mark: Mark,
    pub changes: fn(&D::Outcome) -> bool,
}

impl<D: Decision> std::fmt::Debug for With<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("With").field("act", &self.act).field("mark", &self.mark).finish()
    }
}

impl<D: Decision> Decision for With<D> {
    type Outcome = D::Outcome;

    fn asks(&self) -> Vec<Ask> {
        self.act.asks().into_iter().chain(self.mark.asks()).collect()
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<D::Outcome> {
        let outcome = self.act.decide(desk)?;
        if (self.changes)(&outcome) {
            self.mark.put(desk)?;
        }
        Ok(outcome)
    }
}

/// One job for each scope of each tenant.
fn job_id(tenant: &str, scope_key: &str) -> String {
    format!("reassess-{tenant}-{scope_key}")
}
