//! Admission of runs, what they report, and how they are told to stop.
//!
//! A run is admitted when its automation's record says nothing against it and no agent that takes part is paused or held
//! by a cap. Admission and the row of the run are written under the lock that every pause takes, so no run slips between.

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    agent::Agent,
    effects::{self, Stopped},
    ledger::{RunEnd, RunLedger, Stop, StopCause},
    limits::{Base, Limits, Unpriced},
    money::Usd,
    mutate::{self, Operation},
    policy::Trace,
    price::{self, Cost, Usage},
    record::{GovernanceRecord, ReviewKind, Severity},
    review::{self, Cause, NewFinding},
    spend,
};
use crate::{
    decide::{Ask, Decided, Desk, PageAsk},
    error::{Code, Failure},
    record::Column,
};

/// Active runs that one transition stops; a sweep goes on with those of a paused agent.
pub const STOPPED_AT_ONCE: usize = 5_000;
/// Earlier runs that the usual cost is taken from.
const USUAL: usize = 20;
const FEWEST_FOR_USUAL: usize = 5;

/// A run that is to begin.
#[derive(Clone, Debug, Default)]
pub struct RunStart {
    pub run_id: String,
    pub automation_id: String,
    /// `agents[].agent_id` of the automation.
    pub agents: Vec<String>,
    /// The most that the run may cost, if its automation says so: set aside in full.
    pub max_cost_usd: Option<f64>,
    /// Models that it names, to be refused where usage without a price is.
    pub models: Vec<String>,
    pub dry_run: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    /// Set aside with each payer.
    pub reserved_usd: Usd,
    pub payers: Vec<String>,
}

/// Why a run is not admitted now.
#[derive(Clone, Debug)]
pub struct Hold {
    pub stop: Stop,
    pub failure: Failure,
}

fn blocked(record: &GovernanceRecord, reason_code: &str, why: &str) -> Failure {
    let mut failure = Failure::new(Code::RunBlocked, why)
        .with("automationID", record.automation_id.as_str())
        .with("reason_code", reason_code)
        .with("detail", why)
        .with("reviewKind", record.review_kind.map(|kind| kind.word()));
    if let Some(id) = &record.review_request_id {
        failure = failure.with("reviewRequestID", id.as_str());
    }
    failure
}

/// What the record has against runs.
fn against(limits: &Limits, record: &GovernanceRecord, now_ms: u64) -> Option<(StopCause, &'static str, &'static str)> {
    let review = record.review_kind.filter(|_| record.review_required);
    let cause = |fallback| match record.review_kind {
        Some(ReviewKind::DependencyRevoked) => StopCause::DependencyRevoked,
        Some(ReviewKind::TenantOwnershipMismatch) => StopCause::TenantOwnershipMismatch,
        _ => fallback,
    };
    if record.is_deleted() {
        Some((StopCause::Deleted, "run.deleted", "The automation is deleted."))
    } else if record.retired_at_ms.is_some() {
        Some((StopCause::Retired, "run.retired", "The automation is retired; extend it first."))
    } else if record.has_expired(now_ms) {
        Some((StopCause::Expired, "run.expired", "The automation has expired; extend it first."))
    } else if let Some(kind) = review.filter(|kind| limits.blocks_runs(*kind)) {
        let _ = kind;
        Some((cause(StopCause::ReviewRequired), "run.review_required", "A review of the automation is open."))
    } else if record.creation_paused || record.paused_for_lifecycle {
        Some((cause(StopCause::ReviewRequired), "run.paused", "The automation is paused by governance; resume it."))
    } else {
        None
    }
}

/// Looks at record and agents; answers with what holds the run, if anything.
fn hold(
    desk: &mut Desk<'_>,
    limits: &Limits,
    record: &GovernanceRecord,
    agents: &[String],
) -> Decided<Option<(&'static str, Hold)>> {
    let now = desk.now_ms();
    if let Some((cause, rule, why)) = against(limits, record, now) {
        let stop = Stop::new(cause, why, now);
        return Ok(Some((rule, Hold { stop, failure: blocked(record, rule, why) })));
    }
    desk.want(agents.iter().map(|id| Ask::row::<Agent>(id)))?;
    for id in agents {
        let Some(mut agent) = desk.get::<Agent>(id)? else { continue };
        if agent.is_paused() {
            let why = format!("The agent {id} is paused by a person.");
            let mut stop = Stop::new(StopCause::AgentPaused, &why, now);
            stop.agent_id = Some(id.clone());
            let failure = blocked(record, "run.agent_paused", &why).with("agentID", id.as_str());
            return Ok(Some(("run.agent_paused", Hold { stop, failure })));
        }
        if let Some(reached) = spend::held(desk, limits, &mut agent)? {
            let why = format!("{id}: {} spend has reached the cap of {}.", reached.kind, reached.cap);
            let mut stop = Stop::new(StopCause::SpendCap, &why, now);
            stop.agent_id = Some(id.clone());
            let failure = blocked(record, "run.spend_cap", &why).with("agentID", id.as_str());
            return Ok(Some(("run.spend_cap", Hold { stop, failure })));
        }
    }
    Ok(None)
}

/// Whether an amount fits under every payer's caps, and how much of it is set aside. A run that names no limit of its
/// own takes what is left, if anything is.
fn fits(
    desk: &mut Desk<'_>,
    limits: &Limits,
    payers: &[String],
    wanted: Usd,
    in_full: bool,
) -> Decided<Result<Usd, String>> {
    let now = desk.now_ms();
    let mut amount = wanted;
    for id in payers {
        let Some(mut agent) = desk.get::<Agent>(id)? else {
            let fresh = Agent::new(id, now);
            if let Some(left) = spend::headroom(&fresh, limits) {
                if (in_full && wanted > left) || left.is_zero() {
                    return Ok(Err(id.clone()));
                }
                amount = amount.min(left);
            }
            continue;
        };
        spend::refresh(&mut agent, limits, now);
        let Some(left) = spend::headroom(&agent, limits) else { continue };
        if spend::spend_override(desk, id)?.is_some() {
            continue;
        }
        if left.is_zero() || (in_full && wanted > left) {
            return Ok(Err(id.clone()));
        }
        amount = amount.min(left);
    }
    Ok(Ok(amount))
}

/// Admits a new run and sets its money aside. Every trigger comes through here, and dry runs too.
pub fn start(desk: &mut Desk<'_>, base: &Base, start: &RunStart) -> Decided<Admission> {
    let limits = base.effective(desk)?;
    let record = mutate::check(desk, &start.automation_id, Operation::RunNow)?;
    let payers = record.provenance.lineage();
    let mut agents = payers.clone();
    agents.extend(start.agents.iter().filter(|id| !payers.contains(id)).cloned());
    let inputs = json!({
        "actor": desk.ctx.actor, "agents": agents, "dryRun": start.dry_run, "review": record.review_kind,
        "paused": record.paused_for_lifecycle, "maxCostUsd": start.max_cost_usd,
    });
    let mut trace = Trace::new("run_start", Some(&start.automation_id), inputs).run(&start.run_id);
    if let Some((rule, hold)) = hold(desk, &limits, &record, &agents)? {
        return Err(trace.refuse(desk, rule, hold.failure));
    }
    trace.pass("run.admission");
    if limits.unpriced_model_policy == Unpriced::Refuse
        && let Some(model) = start.models.iter().find(|model| !limits.model_prices.contains_key(*model))
    {
        let failure = Failure::of(Code::ModelUnpriced).with("model", model.as_str());
        return Err(trace.refuse(desk, "run.priced", failure));
    }
    trace.pass("run.priced");
    let in_full = start.max_cost_usd.is_some();
    let wanted = start.max_cost_usd.map_or(limits.run_reservation_usd, Usd::of);
    let mut reserved_usd = Usd::ZERO;
    if !start.dry_run {
        match fits(desk, &limits, &payers, wanted, in_full)? {
            Ok(amount) => reserved_usd = amount,
            Err(id) => {
                let why = format!("{id}: what its runs have set aside leaves no room under the spend cap.");
                let failure = blocked(&record, "run.reservation", &why).with("agentID", id);
                return Err(trace.refuse(desk, "run.reservation", failure));
            }
        }
        for payer in &payers {
            spend::reserve(desk, payer, reserved_usd)?;
        }
    }
    trace.pass("run.reservation");
    descend(desk, &record, &agents)?;
    desk.save(&RunLedger {
        run_id: start.run_id.clone(),
        automation_id: start.automation_id.clone(),
        agents,
        payers: payers.clone(),
        dry_run: start.dry_run,
        reserved_usd,
        budget_usd: wanted,
        spent_usd: Usd::ZERO,
        total_tokens: 0,
        stop: None,
        guardrail_stops: 0,
        end: None,
        ended_at_ms: None,
        empty_output: false,
        created_at_ms: desk.now_ms(),
    });
    trace.allow(desk);
    Ok(Admission { reserved_usd, payers })
}

/// An agent that works in an automation stands below who made it. It is noted when the agent begins to work, so that
/// what it creates from there is as deep as its line, whatever the request says about it.
fn descend(desk: &mut Desk<'_>, record: &GovernanceRecord, agents: &[String]) -> Decided<()> {
    let line = record.provenance.line();
    for id in agents.iter().filter(|id| !line.contains(id)) {
        let now = desk.now_ms();
        let mut agent = desk.get::<Agent>(id)?.unwrap_or_else(|| Agent::new(id, now));
        if line.len() > agent.lineage.len() {
            agent.lineage.clone_from(&line);
            agent.updated_at_ms = now;
            desk.save(&agent);
        }
    }
    Ok(())
}

/// Whether a run that stands still may go on.
#[derive(Clone, Debug)]
pub enum Readmission {
    Admitted,
    /// Keep it paused. The stop is noted; the failure is for a caller who asked.
    Held(Box<Hold>),
}

/// Looks again before a queued run is handed to an executor, or a paused one is queued: the same rules as at the start.
pub fn readmit(desk: &mut Desk<'_>, base: &Base, run_id: &str) -> Decided<Readmission> {
    let limits = base.effective(desk)?;
    let Some(mut ledger) = desk.get::<RunLedger>(run_id)? else {
        return Err(Failure::of(Code::RunNotFound).with("runID", run_id).into());
    };
    let Some(record) = desk.get::<GovernanceRecord>(&ledger.automation_id)? else {
        return Err(Failure::of(Code::GovernanceMissing).with("runID", run_id).into());
    };
    let mut held = hold(desk, &limits, &record, &ledger.agents)?.map(|(_, hold)| hold);
    if held.is_none() && ledger.reserved_usd.is_zero() && !ledger.dry_run {
        match fits(desk, &limits, &ledger.payers, ledger.budget_usd, false)? {
            Ok(amount) => {
                for payer in &ledger.payers {
                    spend::reserve(desk, payer, amount)?;
                }
                ledger.reserved_usd = amount;
            }
            Err(id) => {
                let why = format!("{id}: what its runs have set aside leaves no room under the spend cap.");
                let mut stop = Stop::new(StopCause::SpendCap, &why, desk.now_ms());
                stop.agent_id = Some(id);
                held = Some(Hold { stop, failure: blocked(&record, "run.reservation", &why).with("runID", run_id) });
            }
        }
    }
    let Some(mut hold) = held else {
        // A recovered run has not ended.
        if ledger.stop.is_some() || ledger.end.is_some() || !ledger.reserved_usd.is_zero() {
            ledger.stop = None;
            ledger.end = None;
            ledger.ended_at_ms = None;
            desk.save(&ledger);
        }
        return Ok(Readmission::Admitted);
    };
    if ledger.stop.is_none() {
        // It stands still already.
        hold.stop.acknowledge(desk.now_ms());
        ledger.guardrail_stops += 1;
        ledger.stop = Some(hold.stop.clone());
        spend::release(desk, &mut ledger)?;
        desk.save(&ledger);
    }
    Ok(Readmission::Held(Box::new(hold)))
}

/// What an executor reports, as far as governance looks at it.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    pub run_id: String,
    pub usage: Option<Usage>,
    /// The run ends with this report.
    pub end: Option<RunEnd>,
    /// It completed with no output.
    pub empty_output: bool,
    /// A guardrail of the run itself stopped it with this report.
    pub guardrail_stop: bool,
}

/// What follows for the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directives {
    /// It must stop. Set with each answer until it has.
    pub stop: Option<Stop>,
    /// The stop came with this report: the run is to be paused.
    pub newly: bool,
    pub cost_usd: Usd,
    /// Charged without a price for the model.
    pub estimated: bool,
    /// What the tightest cap leaves, if there is one.
    pub remaining_usd: Option<Usd>,
}

pub fn report(desk: &mut Desk<'_>, base: &Base, report: &RunReport) -> Decided<Directives> {
    let limits = base.effective(desk)?;
    let now = desk.now_ms();
    let Some(mut ledger) = desk.get::<RunLedger>(&report.run_id)? else {
        return Err(Failure::of(Code::RunNotFound).with("runID", report.run_id.as_str()).into());
    };
    desk.want(ledger.payers.iter().map(|id| Ask::row::<Agent>(id)))?;
    let mut directives = Directives::default();
    let mut reached = None;
    if let Some(usage) = &report.usage {
        let cost = match price::cost(usage, &limits) {
            Cost::Known(cost) => cost,
            Cost::Estimated(cost) => {
                directives.estimated = true;
                cost
            }
            Cost::Refused => {
                let trace = Trace::new("run_report", Some(&ledger.automation_id), json!({ "model": usage.model }));
                let failure = Failure::of(Code::ModelUnpriced).with("model", usage.model.clone());
                return Err(trace.run(&report.run_id).refuse(desk, "report.priced", failure));
            }
        };
        directives.cost_usd = cost;
        let released = cost.min(ledger.reserved_usd);
        ledger.reserved_usd = ledger.reserved_usd.minus(released);
        ledger.spent_usd = ledger.spent_usd.plus(cost);
        let total = usage.total_tokens.max(usage.prompt_tokens.saturating_add(usage.completion_tokens));
        ledger.total_tokens = ledger.total_tokens.saturating_add(total);
        for payer in ledger.payers.clone() {
            let part = spend::Charge {
                cost,
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
                total_tokens: total,
                released,
                ledger: &ledger,
            };
            if let Some(cap) = spend::charge(desk, &limits, &payer, &part)? {
                reached.get_or_insert((payer, cap));
            }
        }
    }
    if report.guardrail_stop {
        ledger.guardrail_stops += 1;
    }
    if directives.estimated {
        flag_unpriced(desk, &ledger, report.usage.as_ref())?;
    }
    let ended = ledger.end.is_some();
    match report.end {
        Some(end) if !ended => finish(desk, &limits, &mut ledger, end, report.empty_output)?,
        Some(_) | None => {}
    }
    if ledger.end.is_none() {
        if ledger.stop.is_none() {
            let stop = match reached {
                Some((agent_id, cap)) => {
                    let why =
                        format!("{agent_id}: {} spend of {} has reached the cap of {}", cap.kind, cap.cost, cap.cap);
                    Some(Stop { agent_id: Some(agent_id), ..Stop::new(StopCause::SpendCap, &why, now) })
                }
                None => standing(desk, &limits, &mut ledger)?,
            };
            if let Some(stop) = stop {
                ledger.guardrail_stops += u64::from(stop.cause.stop_kind() == "guardrail_stopped");
                ledger.stop = Some(stop);
                directives.newly = true;
            }
        }
        directives.stop = ledger.stop.clone();
    }
    desk.save(&ledger);
    for payer in &ledger.payers {
        if let Some(agent) = desk.get::<Agent>(payer)? {
            let left = spend::headroom(&agent, &limits);
            directives.remaining_usd = match (directives.remaining_usd, left) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (known, None) => known,
                (None, known) => known,
            };
        }
    }
    Ok(directives)
}

/// What has come up against a run that goes on, beside its own charge; and more is set aside where it has used up what
/// was.
fn standing(desk: &mut Desk<'_>, limits: &Limits, ledger: &mut RunLedger) -> Decided<Option<Stop>> {
    let Some(record) = desk.get::<GovernanceRecord>(&ledger.automation_id)? else {
        let why = "The automation has no governance record.";
        return Ok(Some(Stop::new(StopCause::ReviewRequired, why, desk.now_ms())));
    };
    // A review that was opened while it ran keeps new runs out; it does not stop those under way.
    let paused = record.creation_paused || record.paused_for_lifecycle || record.is_deleted();
    let looked_at = if paused { record } else { GovernanceRecord { review_required: false, ..record } };
    if let Some((_, hold)) = hold(desk, limits, &looked_at, &ledger.agents)? {
        return Ok(Some(hold.stop));
    }
    if ledger.reserved_usd.is_zero() && !ledger.spent_usd.is_zero() && !ledger.dry_run {
        match fits(desk, limits, &ledger.payers, limits.run_reservation_usd.min(ledger.budget_usd), false)? {
            Ok(amount) => {
                for payer in &ledger.payers {
                    spend::reserve(desk, payer, amount)?;
                }
                ledger.reserved_usd = amount;
            }
            Err(id) => {
                let why = format!("{id}: what its runs have set aside leaves no room under the spend cap.");
                let stop = Stop::new(StopCause::SpendCap, &why, desk.now_ms());
                return Ok(Some(Stop { agent_id: Some(id), ..stop }));
            }
        }
    }
    Ok(None)
}

/// The run has ended: what it set aside goes back, and its automation has run once more since its last review.
fn finish(
    desk: &mut Desk<'_>,
    limits: &Limits,
    ledger: &mut RunLedger,
    end: RunEnd,
    empty_output: bool,
) -> Decided<()> {
    let now = desk.now_ms();
    ledger.end = Some(end);
    ledger.ended_at_ms = Some(now);
    ledger.empty_output = empty_output && end == RunEnd::Completed;
    acknowledged(desk, ledger)?;
    spend::release(desk, ledger)?;
    if ledger.dry_run {
        return Ok(());
    }
    let Some(mut record) = desk.get::<GovernanceRecord>(&ledger.automation_id)? else { return Ok(()) };
    record.runs_since_review += 1;
    record.health_last_checked_at_ms = Some(now);
    let threshold = limits.run_review_threshold;
    // The warning that the end is near gives way. Any other review is one already, also where it was denied.
    let reviewed = record.review_required && record.review_kind != Some(ReviewKind::ExpirationSoon);
    if threshold > 0 && record.runs_since_review >= threshold && !reviewed && !record.is_deleted() {
        let count = record.runs_since_review;
        let cause = Cause {
            kind: ReviewKind::RunDrift,
            by: "automation_lifecycle_review",
            rationale: format!("{} has ended {count} runs since its last review", record.automation_id),
            context: json!({
                "trigger": ReviewKind::RunDrift,
                "automationID": record.automation_id,
                "runID": ledger.run_id,
                "detail": "as many runs as are allowed between two reviews have ended",
                "runCountSinceReview": count,
                "reviewKind": ReviewKind::RunDrift,
            }),
        };
        review::open(desk, limits, &mut record, cause)?;
    }
    spike(desk, limits, ledger, &mut record)?;
    record.updated_at_ms = now;
    desk.save(&record);
    Ok(())
}

/// A run that cost many times the usual is worth a look.
fn spike(desk: &mut Desk<'_>, limits: &Limits, ledger: &RunLedger, record: &mut GovernanceRecord) -> Decided<()> {
    if limits.cost_spike_multiplier <= 0.0 || ledger.spent_usd.is_zero() {
        return Ok(());
    }
    let page = PageAsk::of::<RunLedger>("created_at_ms", USUAL + 1)
        .equal("automation_id", Column::text(&ledger.automation_id));
    let mut costs: Vec<Usd> = desk
        .page::<RunLedger>(page)?
        .iter()
        .filter(|one| one.run_id != ledger.run_id && one.end.is_some() && !one.dry_run && !one.spent_usd.is_zero())
        .map(|one| one.spent_usd)
        .collect();
    if costs.len() < FEWEST_FOR_USUAL {
        return Ok(());
    }
    costs.sort_unstable();
    let usual = costs[costs.len() / 2];
    if ledger.spent_usd > usual.times(limits.cost_spike_multiplier) {
        review::find(
            desk,
            record,
            NewFinding {
                kind: ReviewKind::HealthDrift,
                severity: Severity::Warning,
                summary: "a run cost many times the usual",
                detail: None,
                run_id: Some(ledger.run_id.clone()),
                evidence: json!({ "costUsd": ledger.spent_usd, "usualUsd": usual }),
            },
        );
    }
    Ok(())
}

fn flag_unpriced(desk: &mut Desk<'_>, ledger: &RunLedger, usage: Option<&Usage>) -> Decided<()> {
    let Some(mut record) = desk.get::<GovernanceRecord>(&ledger.automation_id)? else { return Ok(()) };
    let before = record.health_findings.len();
    review::find(
        desk,
        &mut record,
        NewFinding {
            kind: ReviewKind::HealthDrift,
            severity: Severity::Warning,
            summary: "usage of a model without a price was charged at the price for that case",
            detail: None,
            run_id: Some(ledger.run_id.clone()),
            evidence: json!({ "model": usage.and_then(|usage| usage.model.as_deref()) }),
        },
    );
    if record.health_findings.len() != before {
        record.updated_at_ms = desk.now_ms();
        desk.save(&record);
    }
    Ok(())
}

/// The executor said that it stopped, or its lease ended.
pub fn acknowledge(desk: &mut Desk<'_>, run_id: &str) -> Decided<()> {
    let Some(mut ledger) = desk.get::<RunLedger>(run_id)? else { return Ok(()) };
    acknowledged(desk, &mut ledger)?;
    spend::release(desk, &mut ledger)?;
    desk.save(&ledger);
    Ok(())
}

/// Notes the acknowledgement, and with whom it counts for a pause of an agent.
fn acknowledged(desk: &mut Desk<'_>, ledger: &mut RunLedger) -> Decided<()> {
    let now = desk.now_ms();
    let Some(stop) = ledger.stop.as_mut().filter(|stop| stop.acknowledged_at_ms.is_none()) else { return Ok(()) };
    stop.acknowledge(now);
    let (Some(agent_id), StopCause::AgentPaused) = (stop.agent_id.clone(), stop.cause) else { return Ok(()) };
    let (requested, after) = (stop.requested_at_ms, stop.acknowledged_after_ms);
    let Some(mut agent) = desk.get::<Agent>(&agent_id)? else { return Ok(()) };
    if let Some(pause) = agent.pause.as_mut().filter(|pause| pause.paused_at_ms <= requested) {
        pause.runs_stopped += 1;
        pause.last_stopped_at_ms = Some(now);
        pause.slowest_stop_ms = pause.slowest_stop_ms.max(after);
        agent.updated_at_ms = now;
        desk.save(&agent);
    }
    Ok(())
}

/// Reads what telling these runs to stop will need, in one go: each payer is given back what a run had set aside.
pub fn expect(desk: &mut Desk<'_>, ledgers: &[RunLedger]) -> Decided<()> {
    effects::expect(desk, ledgers)?;
    let payers: BTreeSet<&String> = ledgers.iter().flat_map(|ledger| &ledger.payers).collect();
    desk.want(payers.into_iter().map(|id| Ask::row::<Agent>(id)))
}

/// Tells one run to stop. Answers with whether its executor has to say so first.
pub fn stop_one(desk: &mut Desk<'_>, ledger: &mut RunLedger, stop: &Stop) -> Decided<Stopped> {
    let mut stop = stop.clone();
    let stopped = effects::stop_run(desk, &ledger.run_id, &stop)?;
    match stopped {
        Stopped::Now => stop.acknowledge(desk.now_ms()),
        Stopped::Told => {}
        Stopped::Gone => {
            ledger.end = Some(ledger.end.unwrap_or(RunEnd::Cancelled));
            ledger.ended_at_ms.get_or_insert(desk.now_ms());
        }
    }
    ledger.guardrail_stops += u64::from(stop.cause.stop_kind() == "guardrail_stopped");
    ledger.stop = Some(stop);
    if stopped != Stopped::Told {
        spend::release(desk, ledger)?;
    }
    desk.save(ledger);
    Ok(stopped)
}

/// Tells every active run of an automation to stop.
pub fn stop_all(desk: &mut Desk<'_>, automation_id: &str, stop: &Stop) -> Decided<Vec<String>> {
    let page = PageAsk::of::<RunLedger>("created_at_ms", STOPPED_AT_ONCE)
        .equal("automation_id", Column::text(automation_id))
        .equal("active", Column::text(RunLedger::ACTIVE));
    let mut told = Vec::new();
    let ledgers = desk.page::<RunLedger>(page)?;
    expect(desk, &ledgers)?;
    for mut ledger in ledgers {
        if ledger.is_active() && stop_one(desk, &mut ledger, stop)? != Stopped::Gone {
            told.push(ledger.run_id);
        }
    }
    Ok(told)
}
