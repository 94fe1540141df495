//! Reassessment: one run for a caller, the schedule, and the reasons that other commits carry.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;
use tandem_core::{
    actor::OpContext,
    config,
    decide::{Decision, commit},
    error::{Code, Failure},
    incident::INCIDENTS,
    ports::{Query, StoreError},
    record::{Commit, Expect, Put, Record, Write},
    tenant::TenantKey,
};
use tandem_posture::{
    estate::Estate,
    finding::Finding,
    inventory::{Viewer, inventory},
    lifecycle::{LiveFinding, reconcile},
    metrics,
    posture::{self, check, table},
    probes,
    reassess::{
        self, Cause, Change, Complete, Held, ListCounts, Mark, Observed, Reassessment, ReassessmentBlock,
        ReassessmentList, ReassessmentRun, ReassessmentScope, SCOPES, ScheduleRow, ScopeId, ScopeOwner, ScopeState,
        Trigger, With,
    },
    scenarios,
};

use super::{Turn, probe_options};
use crate::{App, decide_again, store_failure, tenant_of};

/// Live findings of a tenant at most.
const MANY: usize = 200_000;
/// Findings that were only seen again are written this often, unless somebody asked for the run or its time had come.
const SEEN_AGAIN_MS: u64 = 3_600_000;
/// Incidents that are looked at for recurrence.
const LATEST: usize = 200;
/// An incident that was seen this often is a reason, and again each time that is tenfold.
const OFTEN: u64 = 10;

/// What one run saw.
struct Sight {
    observed: Vec<Observed>,
    /// Of the rules, where the whole tenant was judged.
    findings: Option<Vec<Finding>>,
}

/// A run, and the job that it ends.
pub(crate) struct Run {
    pub id: ScopeId,
    pub cause: Cause,
    pub held: Option<Held>,
}

/// Who looks at a scope is alone there: a look takes long, and of many that look at once all but one would have looked in
/// vain.
#[derive(Debug, Default)]
pub(crate) struct Scopes(Mutex<HashMap<(TenantKey, String), Arc<tokio::sync::Mutex<()>>>>);

impl Scopes {
    fn of(&self, tenant: &TenantKey, scope: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut scopes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those at which nobody is any more.
        scopes.retain(|_, scope| Arc::strong_count(scope) > 1);
        scopes.entry((tenant.clone(), scope.to_owned())).or_default().clone()
    }
}

impl App {
    /// History and schedule. The implicit tenant sees those of all.
    pub async fn reassessments(&self, ctx: &OpContext, limit: usize) -> Result<ReassessmentList, Failure> {
        let block = self.reassessment_block(ctx).await?;
        let mut records: Vec<Reassessment> = Vec::new();
        for tenant in self.scheduled_tenants(ctx, Reassessment::COLLECTION).await? {
            let rows = self.all::<Reassessment>(&tenant, "generated_at_ms", Vec::new(), limit).await?;
            let owner = Some(ScopeOwner::of(&tenant_of(&tenant)));
            records.extend(rows.into_iter().map(|row| Reassessment { owner: owner.clone(), ..row.value }));
        }
        records.sort_by_key(|record| std::cmp::Reverse((record.generated_at_ms, record.version)));
        records.truncate(limit);
        Ok(ReassessmentList {
            scope: ReassessmentScope::of(&ctx.tenant),
            counts: ListCounts { records: records.len() as u64, overdue_scopes: block.overdue_scopes },
            schedule: block.schedule,
            records,
        })
    }

    /// Assesses the caller's own scope now.
    pub async fn reassess_now(self: &Arc<Self>, ctx: &OpContext) -> Result<ReassessmentRun, Failure> {
        let run = Run { id: ScopeId::of(&ctx.tenant), cause: Cause::Asked, held: None };
        let reassessment = self.reassess(ctx, run).await?;
        let schedule = self.reassessment_block(ctx).await?.schedule;
        Ok(ReassessmentRun { scope: ReassessmentScope::of(&ctx.tenant), reassessment, schedule })
    }

    /// Where every scope stands that the caller may see. A read.
    pub(crate) async fn reassessment_block(&self, ctx: &OpContext) -> Result<ReassessmentBlock, Failure> {
        let mut schedule: Vec<ScheduleRow> = Vec::new();
        for tenant in self.scheduled_tenants(ctx, &SCOPES).await? {
            let settings = self.snapshot(&tenant).await?;
            let states = self.scope_states(&tenant).await?;
            for id in reassess::scopes(&settings.config, &tenant_of(&tenant)) {
                let state = states.iter().find(|state| state.scope_key == id.key() && !state.retired);
                let row = reassess::row(&id, state, &settings.config.reassessment, ctx.now_ms);
                schedule.push(ScheduleRow { owner: Some(ScopeOwner::of(&tenant_of(&tenant))), ..row });
            }
        }
        Ok(ReassessmentBlock::of(schedule))
    }

    /// The caller's tenant, whether it owns rows or not, and for the implicit one all others that do.
    async fn scheduled_tenants(
        &self,
        ctx: &OpContext,
        collection: &'static tandem_core::record::Collection,
    ) -> Result<Vec<TenantKey>, Failure> {
        let own = ctx.tenant.key();
        if !ctx.tenant.is_local_implicit() {
            return Ok(vec![own]);
        }
        let mut tenants = self.store().tenants(collection).await.map_err(store_failure)?;
        tenants.retain(|tenant| *tenant != own);
        tenants.insert(0, own);
        Ok(tenants)
    }

    pub(crate) async fn scope_states(&self, tenant: &TenantKey) -> Result<Vec<ScopeState>, Failure> {
        let rows = self.all::<ScopeState>(tenant, "first_seen_at_ms", Vec::new(), 2 * reassess::MOST_SCOPES).await?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    /// One run: look, compare and write, in one commit. When somebody changed a row meanwhile, or another run recorded what
    /// it saw, all of it is done again.
    pub(crate) async fn reassess(self: &Arc<Self>, ctx: &OpContext, run: Run) -> Result<Reassessment, Failure> {
        let scope = self.scopes.of(&ctx.tenant.key(), &run.id.key());
        let _alone = scope.lock().await;
        self.assess(ctx, async move |app, turn, ctx| app.reassess_in(turn, ctx, &run).await).await
    }

    async fn reassess_in(&self, turn: &Turn, ctx: &OpContext, run: &Run) -> Result<Reassessment, Failure> {
        let tenant = ctx.tenant.key();
        let settings = self.snapshot(&tenant).await?.config.reassessment.clone();
        decide_again(async || {
            let began = std::time::Instant::now();
            let state = self.load::<ScopeState>(&tenant, &run.id.key()).await?;
            let sight = self.look(turn, ctx, &run.id).await?;
            let complete = Complete {
                id: run.id.clone(),
                cause: run.cause,
                after: state.map_or(0, |row| row.value.last_version),
                living: self.living(turn, ctx, run.cause, sight.findings.as_deref()).await?,
                observed: sight.observed,
                settings: settings.clone(),
                rules_digest: table::digest(),
                duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
                held: run.held.clone(),
            };
            // A scope that was never seen before gets its row and its job first.
            let mut whole = Commit::new(ctx).write(self.marked(Mark::default()));
            whole.writes.extend(commit(ctx, self.seed(), complete).writes);
            let mut committed = self.store().commit(whole).await.map_err(store_failure)?;
            match committed.verdicts.pop() {
                Some(verdict) => verdict.of::<Complete>(),
                None => Err(Failure::of(Code::Internal)),
            }
        })
        .await
    }

    /// What there is to be found in a scope now.
    async fn look(&self, turn: &Turn, ctx: &OpContext, id: &ScopeId) -> Result<Sight, Failure> {
        let whole = *id == ScopeId::of(&ctx.tenant);
        let mut estate = self.estate(turn, ctx).await?;
        if !whole {
            narrow(&mut estate, id);
        }
        let tenant = estate.tenant.clone();
        // Whoever asks, the same is judged.
        let inventory = inventory(&estate, &Viewer::Reviewer);
        let findings = check(&estate, &inventory, &posture::Options::default()).findings;
        let mut observed: Vec<Observed> = reassess::of_findings(&findings).collect();
        for pack in self.packs() {
            observed.extend(reassess::of_scenarios(&scenarios::evaluate(&estate, &pack, &[]), &tenant));
        }
        let probes = self.probe(&estate, &inventory, &probe_options(&probes::Request::default())?).await;
        observed.extend(reassess::of_probes(&probes, &tenant));
        if whole {
            let settings = metrics::settings(&metrics::Request::default(), ctx.now_ms)?;
            let measured = self.maturity(turn, ctx, &estate, &inventory, &settings).await?;
            observed.extend(reassess::of_metrics(&measured, &tenant));
        }
        Ok(Sight { observed, findings: whole.then_some(findings) })
    }

    /// The rows of live findings that a run changes.
    async fn living(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        cause: Cause,
        found: Option<&[Finding]>,
    ) -> Result<Vec<Put>, Failure> {
        let Some(found) = found else { return Ok(Vec::new()) };
        let stored = self.whole::<LiveFinding>(turn, &ctx.tenant.key(), "last_seen_at_ms", None, MANY).await?;
        let versions: HashMap<String, (u64, u64)> = stored
            .iter()
            .map(|row| (row.value.fingerprint.clone(), (row.version, row.value.life.last_seen_at_ms)))
            .collect();
        let existing: Vec<LiveFinding> = stored.into_iter().map(|row| row.value).collect();
        let changes = reconcile(&existing, found, ctx.now_ms);
        let expect = |row: &LiveFinding| match versions.get(&row.fingerprint) {
            Some((version, _)) => Expect::Version(*version),
            None => Expect::Absent,
        };
        // Thousands of rows are not written anew for each of many changes in a row.
        let again = changes.recurring.iter().filter(|row| {
            let last = versions.get(&row.fingerprint).map_or(0, |(_, seen)| *seen);
            cause == Cause::Asked || ctx.now_ms.saturating_sub(last) >= SEEN_AGAIN_MS
        });
        let rows = changes.new.iter().chain(&changes.reopened).chain(&changes.resolved).chain(again);
        Ok(rows.map(|row| Put::of(row, expect(row))).collect())
    }

    /// A mark as part of another commit.
    pub(crate) fn marked(&self, mark: Mark) -> Write {
        Write::Decide { decide: Arc::new(mark), seed: self.seed() }
    }

    /// One reason to assess everything of the tenant again, as part of the commit that gives it.
    pub(crate) async fn mark(
        &self,
        ctx: &OpContext,
        trigger: Trigger,
        detail: impl Into<String>,
    ) -> Result<Write, Failure> {
        Ok(self.marked(self.reason(ctx, trigger, detail, true).await?))
    }

    /// A decision about authority that is a reason as well, where its outcome is a change. Such come in swarms.
    pub(crate) async fn with_mark<D: Decision>(
        &self,
        ctx: &OpContext,
        act: D,
        detail: &str,
        changes: fn(&D::Outcome) -> bool,
    ) -> Result<With<D>, Failure> {
        let mark = self.reason(ctx, Trigger::WorkflowAuthorityChange, detail, false).await?;
        Ok(With { act, mark, changes })
    }

    async fn reason(
        &self,
        ctx: &OpContext,
        trigger: Trigger,
        detail: impl Into<String>,
        at_once: bool,
    ) -> Result<Mark, Failure> {
        let snapshot = self.snapshot(&ctx.tenant.key()).await?;
        let enabled = snapshot.config.reassessment.change_triggers_enabled;
        let changes = if enabled { vec![Change::new(trigger, detail)] } else { Vec::new() };
        Ok(Mark { changes, scopes: None, at_once })
    }

    /// Reasons that no commit announces: incidents that keep coming back, and rules that are not those of the run before.
    pub(crate) async fn unannounced(
        &self,
        state: &ScopeState,
        tenant: &TenantKey,
        settings: &config::Reassessment,
    ) -> Result<(Vec<Change>, Vec<(String, u64)>), Failure> {
        if !settings.change_triggers_enabled {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut changes = Vec::new();
        let waiting = |trigger: Trigger| state.pending.iter().any(|pending| pending.trigger == trigger);
        let other_rules = state.rules_digest.as_ref().is_some_and(|digest| *digest != table::digest());
        if other_rules && !waiting(Trigger::ComplianceMappingChange) {
            changes.push(Change::new(Trigger::ComplianceMappingChange, "rules"));
        }
        let often = self.often(state, tenant).await?;
        if let Some((id, count)) = often.first() {
            let detail = format!("incident {id} was seen {count} times or more");
            changes.push(Change::new(Trigger::RecurringIncidentThreshold, detail));
        }
        Ok((changes, often))
    }

    /// Incidents that were seen in the meantime and have passed a step that was not told of.
    async fn often(&self, state: &ScopeState, tenant: &TenantKey) -> Result<Vec<(String, u64)>, Failure> {
        #[derive(Deserialize)]
        struct Count {
            incident_id: String,
            occurrence_count: u64,
        }
        let query = Query {
            collection: &INCIDENTS,
            tenant: tenant.clone(),
            equals: Vec::new(),
            order: "updated_at_ms",
            since: Some(i64::try_from(state.first_seen_at_ms).unwrap_or(i64::MAX)),
            after: None,
            limit: LATEST,
        };
        let rows = self.store().page(query).await.map_err(store_failure)?;
        let mut passed = Vec::new();
        for found in rows {
            let count: Count = serde_json::from_str(&found.row.body)
                .map_err(|error| store_failure(StoreError::Corrupt(format!("incidents/{}: {error}", found.row.id))))?;
            let Some(step) = step(count.occurrence_count) else { continue };
            if state.recurring.get(&count.incident_id).is_none_or(|told| *told < step) {
                passed.push((count.incident_id, step));
            }
        }
        Ok(passed)
    }
}

/// The highest of 10, 100, 1000 … that a count has reached.
fn step(count: u64) -> Option<u64> {
    (count >= OFTEN).then(|| OFTEN.pow(count.ilog10()))
}

/// What belongs to a tenant that the owner's configuration binds sources to.
fn narrow(estate: &mut Estate, id: &ScopeId) {
    estate.tenant = tandem_core::tenant::TenantContext::explicit(&*id.org_id, &*id.workspace_id);
    let key = estate.tenant.key();
    estate.automations.retain(|row| row.tenant.key() == key);
    estate.waiting.retain(|row| row.tenant.key() == key);
    estate.approvals.retain(|row| row.tenant.key() == key);
    estate.decisions.retain(|row| row.tenant.key() == key);
    estate.actions.retain(|row| row.tenant.key() == key);
    estate.agents.retain(|row| row.tenant.key() == key);
    estate.declared.retain(|row| row.tenant.key() == key);
    estate.cards.retain(|row| row.tenant.key() == key);
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn steps_are_powers_of_ten() {
        for (count, expected) in
            [(1, None), (9, None), (10, Some(10)), (99, Some(10)), (100, Some(100)), (12_345, Some(10_000))]
        {
            assert_eq!(step(count), expected, "{count}");
        }
    }
}
