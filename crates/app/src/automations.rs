//! Automations, their runs, and the executors that work on them: each wish is one decision inside the write transaction.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;
use tandem_core::{
    actor::{ActorKind, OpContext},
    automation::{
        Automation,
        act::{
            self,
            claim::ClaimRuns,
            control::{Control, Controlled, Verb},
            gate::DecideGate,
            heartbeat::{Beat, Heartbeat},
            report::TakeReport,
            run_now::RunNow,
        },
        admission::{Base, Claims},
        event::{self, Follow, Frame},
        run::{Run, gate::GateDecision, report as reports},
        share::{self, Visibility},
        spec::ExecutionProfile,
    },
    decide::{Decision, Settled},
    error::{Code, Failure},
    governance::{
        deletion::DeletedAutomation,
        mutate::is_own_or_granted,
        policy::{POLICY_DECISIONS, PolicyDecision},
        record::GovernanceRecord,
    },
    ports::AuditQuery,
    record::{Column, Write},
};

use crate::{App, Page, PageRequest, store_failure};

/// Rounds of a pause that takes along very many runs.
const ROUNDS: usize = 200;

/// What a create call brings beside its body.
#[derive(Clone, Debug, Default)]
pub struct Creation {
    pub claims: Claims,
    pub idempotency_key: Option<String>,
}

/// A wish for a run.
#[derive(Clone, Debug, Default)]
pub struct RunWish {
    pub dry: bool,
    pub profile: Option<ExecutionProfile>,
    pub trigger: Option<String>,
    pub reason: Option<String>,
}

/// A wish to work on runs.
#[derive(Clone, Debug, Default)]
pub struct ClaimWish {
    pub claimant_id: String,
    pub lease_ms: Option<u64>,
    pub automation_id: Option<String>,
    pub limit: usize,
}

/// Events after a place in the log, and the place to go on from.
#[derive(Clone, Debug)]
pub struct Events {
    pub frames: Vec<(u64, Vec<Frame>)>,
    pub at: u64,
}

/// What a call would lead to, had it been one.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// The decisions of governance, each with its rule and the digest of its inputs, as they would have been recorded.
    pub decisions: Vec<PolicyDecision>,
    pub outcome: Result<Automation, Failure>,
}

fn kept(automation_id: &str) -> Failure {
    Failure::of(Code::AutomationAccessDenied).with("automationID", automation_id)
}

fn rehearsed<D: Decision<Outcome = Automation>>(settled: Settled) -> Rehearsed {
    let of_policy = |write: &Write| match write {
        Write::Put(put) if put.collection.name == POLICY_DECISIONS.name => serde_json::from_str(&put.body).ok(),
        _ => None,
    };
    Rehearsed { decisions: settled.writes.iter().filter_map(of_policy).collect(), outcome: settled.verdict.of::<D>() }
}

impl App {
    fn base(&self) -> Arc<Base> {
        self.governance_base()
    }

    pub async fn automation_create(
        &self,
        ctx: &OpContext,
        body: Value,
        creation: Creation,
    ) -> Result<Automation, Failure> {
        let Creation { claims, idempotency_key } = creation;
        let create = act::create::Create { body, claims, key: idempotency_key, base: self.base() };
        self.decide(ctx, self.with_mark(ctx, create, "an automation was created", |_| true).await?).await
    }

    /// What [`App::automation_create`] would do. Nothing is written.
    pub async fn automation_create_rehearse(
        &self,
        ctx: &OpContext,
        body: Value,
        creation: Creation,
    ) -> Result<Rehearsed, Failure> {
        let Creation { claims, idempotency_key } = creation;
        let create = act::create::Create { body, claims, key: idempotency_key, base: self.base() };
        self.rehearse(ctx, &create).await.map(rehearsed::<act::create::Create>)
    }

    /// What [`App::automation_patch`] would do. Nothing is written.
    pub async fn automation_patch_rehearse(
        &self,
        ctx: &OpContext,
        id: &str,
        body: Value,
        if_match: Option<String>,
    ) -> Result<Rehearsed, Failure> {
        let patch = act::change::Patch { automation_id: id.to_owned(), body, if_match, base: self.base() };
        self.rehearse(ctx, &patch).await.map(rehearsed::<act::change::Patch>)
    }

    pub async fn automation(&self, ctx: &OpContext, id: &str) -> Result<Automation, Failure> {
        let found = self.load::<Automation>(&ctx.tenant.key(), id).await?.map(|row| row.value);
        let Some(found) = found.filter(Automation::is_live) else {
            return Err(Failure::of(Code::AutomationNotFound).with("automationID", id));
        };
        match self.is_kept(ctx, &found).await? {
            true => Err(kept(id)),
            false => Ok(found),
        }
    }

    /// Those that are kept from the caller are passed over, and others take their place on the page.
    pub async fn automations(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<Automation>, Failure> {
        let mut request = request.clone();
        let mut items = Vec::new();
        loop {
            let page = self.page::<Automation>(&ctx.tenant.key(), "updated_at_ms", &request).await?;
            let before = items.len();
            for found in page.items {
                if !self.is_kept(ctx, &found).await? {
                    items.push(found);
                }
            }
            request.limit -= items.len() - before;
            if request.limit == 0 || page.next.is_none() {
                return Ok(Page { items, next: page.next });
            }
            request.after = page.next;
        }
    }

    /// Whether the automation is kept from the caller. An agent that holds a grant sees what it may change.
    async fn is_kept(&self, ctx: &OpContext, automation: &Automation) -> Result<bool, Failure> {
        if !share::is_hidden(automation, ctx, false) {
            return Ok(false);
        }
        let (ActorKind::Agent, Some(agent)) = (ctx.actor.kind, &ctx.actor.actor_id) else { return Ok(true) };
        let record = self.load::<GovernanceRecord>(&ctx.tenant.key(), &automation.automation_id).await?;
        Ok(!record.is_some_and(|record| is_own_or_granted(&record.value, agent)))
    }

    /// Whether what a run belongs to is kept from the caller, also when it has been deleted since. `known` is what was
    /// found out before.
    async fn is_run_kept(
        &self,
        ctx: &OpContext,
        automation_id: &str,
        known: &mut HashMap<String, bool>,
    ) -> Result<bool, Failure> {
        // Where nothing is ever hidden, nothing is read for it.
        if ctx.tenant.is_local_implicit() {
            return Ok(false);
        }
        if let Some(kept) = known.get(automation_id) {
            return Ok(*kept);
        }
        let tenant = ctx.tenant.key();
        let automation = match self.load::<Automation>(&tenant, automation_id).await? {
            Some(row) => Some(row.value),
            None => {
                let deleted = self.load::<DeletedAutomation>(&tenant, automation_id).await?;
                deleted.and_then(|row| serde_json::from_value(row.value.automation).ok())
            }
        };
        let kept = match automation {
            Some(automation) => self.is_kept(ctx, &automation).await?,
            None => false,
        };
        known.insert(automation_id.to_owned(), kept);
        Ok(kept)
    }

    pub async fn automation_patch(
        &self,
        ctx: &OpContext,
        id: &str,
        body: Value,
        if_match: Option<String>,
    ) -> Result<Automation, Failure> {
        let patch = act::change::Patch { automation_id: id.to_owned(), body, if_match, base: self.base() };
        self.decide(ctx, self.with_mark(ctx, patch, "an automation was changed", |_| true).await?).await
    }

    pub async fn automation_share(
        &self,
        ctx: &OpContext,
        id: &str,
        visibility: Option<Visibility>,
        audience: Option<Vec<String>>,
    ) -> Result<Automation, Failure> {
        let share = act::change::Share { automation_id: id.to_owned(), visibility, audience };
        self.decide(ctx, share).await
    }

    /// Pauses it and its runs. More runs than one transaction takes along are taken by the next ones.
    pub async fn automation_pause(
        &self,
        ctx: &OpContext,
        id: &str,
        reason: Option<String>,
    ) -> Result<Automation, Failure> {
        let mut rounds = 0;
        loop {
            let pause = act::state::Pause { automation_id: id.to_owned(), reason: reason.clone() };
            let paused = self.decide(ctx, pause).await?;
            rounds += 1;
            if !paused.more || rounds >= ROUNDS {
                return Ok(paused.automation);
            }
        }
    }

    pub async fn automation_resume(&self, ctx: &OpContext, id: &str) -> Result<Automation, Failure> {
        let resume = act::state::Resume { automation_id: id.to_owned(), base: self.base() };
        self.decide(ctx, resume).await
    }

    pub async fn automation_delete(&self, ctx: &OpContext, id: &str) -> Result<(), Failure> {
        let delete = act::delete::Delete { automation_id: id.to_owned(), base: self.base() };
        self.decide(ctx, self.with_mark(ctx, delete, "an automation was deleted", |_| true).await?).await
    }

    pub async fn run_now(&self, ctx: &OpContext, id: &str, wish: RunWish) -> Result<Run, Failure> {
        let RunWish { dry, profile, trigger, reason } = wish;
        let automation_id = id.to_owned();
        self.decide(ctx, RunNow { automation_id, dry, profile, trigger, reason, base: self.base() }).await
    }

    pub async fn run(&self, ctx: &OpContext, id: &str) -> Result<Run, Failure> {
        let found = self.load::<Run>(&ctx.tenant.key(), id).await?.map(|row| row.value);
        let found = found.ok_or_else(|| Failure::of(Code::RunNotFound).with("runID", id))?;
        match self.is_run_kept(ctx, &found.automation_id, &mut HashMap::new()).await? {
            true => Err(kept(&found.automation_id).with("runID", id)),
            false => Ok(found),
        }
    }

    /// Newest first, without those whose automation is kept from the caller.
    pub async fn runs(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<Run>, Failure> {
        let (mut request, mut known) = (request.clone(), HashMap::new());
        let mut items = Vec::new();
        loop {
            let page = self.page::<Run>(&ctx.tenant.key(), "created_at_ms", &request).await?;
            let before = items.len();
            for run in page.items {
                if !self.is_run_kept(ctx, &run.automation_id, &mut known).await? {
                    items.push(run);
                }
            }
            request.limit -= items.len() - before;
            if request.limit == 0 || page.next.is_none() {
                return Ok(Page { items, next: page.next });
            }
            request.after = page.next;
        }
    }

    /// The runs of one automation, also of one that was deleted: what it did stays to be seen.
    pub async fn automation_runs(
        &self,
        ctx: &OpContext,
        id: &str,
        request: &PageRequest,
    ) -> Result<Page<Run>, Failure> {
        if self.is_run_kept(ctx, id, &mut HashMap::new()).await? {
            return Err(kept(id));
        }
        let mut request = request.clone();
        request.equals.push(("automation_id", Column::text(id)));
        let page = self.runs(ctx, &request).await?;
        if page.items.is_empty() && request.after.is_none() {
            self.automation(ctx, id).await?;
        }
        Ok(page)
    }

    pub async fn run_control(
        &self,
        ctx: &OpContext,
        id: &str,
        verb: Verb,
        reason: Option<String>,
    ) -> Result<Controlled, Failure> {
        self.decide(ctx, Control { run_id: id.to_owned(), verb, reason, base: self.base() }).await
    }

    pub async fn run_gate(
        &self,
        ctx: &OpContext,
        id: &str,
        answer: GateDecision,
        reason: Option<String>,
        transition_id: Option<String>,
    ) -> Result<Run, Failure> {
        let gate = DecideGate { run_id: id.to_owned(), answer, reason, transition_id, base: self.base() };
        self.decide(ctx, gate).await
    }

    /// Lends the runs that have waited longest; none when none waits.
    pub async fn runs_claim(&self, ctx: &OpContext, wish: ClaimWish) -> Result<Vec<Run>, Failure> {
        let ClaimWish { claimant_id, lease_ms, automation_id, limit } = wish;
        let claim = ClaimRuns { claimant_id, lease_ms, run_id: None, automation_id, limit, base: self.base() };
        Ok(self.decide(ctx, claim).await?.runs)
    }

    /// Lends this run, or says why not.
    pub async fn run_claim(&self, ctx: &OpContext, id: &str, wish: ClaimWish) -> Result<Run, Failure> {
        let ClaimWish { claimant_id, lease_ms, .. } = wish;
        let run_id = Some(id.to_owned());
        let claim = ClaimRuns { claimant_id, lease_ms, run_id, automation_id: None, limit: 1, base: self.base() };
        let mut lent = self.decide(ctx, claim).await?;
        let held = |held: Option<Box<Failure>>| {
            held.map_or_else(|| Failure::of(Code::RunBlocked).with("runID", id), |failure| *failure)
        };
        lent.runs.pop().ok_or_else(|| held(lent.held))
    }

    pub async fn run_heartbeat(
        &self,
        ctx: &OpContext,
        id: &str,
        claim_id: String,
        lease_ms: Option<u64>,
        stop_acknowledged: bool,
    ) -> Result<Beat, Failure> {
        let beat = Heartbeat { run_id: id.to_owned(), claim_id, lease_ms, stop_acknowledged };
        self.decide(ctx, beat).await
    }

    pub async fn run_report(&self, ctx: &OpContext, id: &str, body: Value) -> Result<act::report::Answer, Failure> {
        let report = reports::read(body).map_err(|defect| act::unreadable(defect, Code::RunReportInvalid))?;
        self.decide(ctx, TakeReport { run_id: id.to_owned(), report, base: self.base() }).await
    }

    /// Events of automations after `at`, from a bounded stretch of the log.
    pub async fn automation_events(
        &self,
        ctx: &OpContext,
        at: u64,
        follow: &Follow,
        limit: usize,
    ) -> Result<Events, Failure> {
        let query = AuditQuery { after_seq: Some(at), limit, ..AuditQuery::default() };
        let rows = self.store().audit_rows(&ctx.tenant.key(), query).await.map_err(store_failure)?;
        let at = rows.last().map_or(at, |row| row.seq);
        let (mut told, mut known) = (Vec::new(), HashMap::new());
        for row in &rows {
            let frames = event::frames(&row.canonical, follow);
            // All frames of a row are about the same automation.
            let about = frames.first().and_then(|frame| frame.properties.get("automationID")).and_then(Value::as_str);
            let kept = match about {
                Some(id) => self.is_run_kept(ctx, id, &mut known).await?,
                None => false,
            };
            if !frames.is_empty() && !kept {
                told.push((row.seq, frames));
            }
        }
        Ok(Events { frames: told, at })
    }
}
