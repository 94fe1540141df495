//! Spending: charging what was used to everyone in the line, warning before a cap, and stopping at it.
//!
//! Every payer is charged in full. What a run sets aside counts against the caps until it is spent or given back, so
//! runs that go on at the same time cannot overrun a cap together. Whether a cap holds an agent is computed from its
//! windows each time: a new week, or a higher cap, lets it go on by itself.

use serde_json::json;

use super::{
    agent::Agent,
    approval::{Approval, Quota, RequestType, Resource, target_column},
    ledger::RunLedger,
    limits::Limits,
    money::Usd,
    request::{self, NewRequest},
    review,
    window::WindowKind,
};
use crate::{
    decide::{Ask, Decided, Desk, PageAsk},
    record::Column,
};

/// The newest usable approvals of an agent that are looked at.
const APPROVALS_SEEN: usize = 100;

/// A cap that an agent has reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    pub kind: WindowKind,
    pub cost: Usd,
    pub cap: Usd,
}

fn cap(limits: &Limits, kind: WindowKind) -> Option<Usd> {
    match kind {
        WindowKind::Daily => limits.daily_spend_cap_usd,
        WindowKind::Weekly => limits.weekly_spend_cap_usd,
        WindowKind::Monthly => limits.monthly_spend_cap_usd,
        WindowKind::Lifetime => limits.lifetime_spend_cap_usd,
    }
}

/// Begins new windows, and lets go of a pause whose cap holds no longer.
pub fn refresh(agent: &mut Agent, limits: &Limits, now_ms: u64) {
    for window in &mut agent.spend.windows {
        window.roll(now_ms);
    }
    if agent.spend.paused_at_ms.is_some() && reached(agent, limits).is_none() {
        agent.spend.paused_at_ms = None;
        agent.spend.pause_reason = None;
    }
}

/// The first cap that is reached by what was spent. The windows must be fresh.
pub fn reached(agent: &Agent, limits: &Limits) -> Option<Reached> {
    agent.spend.windows.iter().find_map(|window| {
        let cap = cap(limits, window.kind)?;
        (window.cost_usd >= cap).then_some(Reached { kind: window.kind, cost: window.cost_usd, cap })
    })
}

/// What is left under the tightest cap, beside what is set aside; `None` is without a cap.
pub fn headroom(agent: &Agent, limits: &Limits) -> Option<Usd> {
    let left = agent
        .spend
        .windows
        .iter()
        .filter_map(|window| cap(limits, window.kind).map(|cap| cap.minus(window.cost_usd)))
        .min()?;
    Some(left.minus(agent.spend.reserved_usd))
}

/// The approvals of an agent that can be used now.
pub fn usable(desk: &mut Desk<'_>, agent_id: &str) -> Decided<Vec<Approval>> {
    let target = target_column(&Resource::agent(agent_id));
    let page = PageAsk::of::<Approval>("updated_at_ms", APPROVALS_SEEN)
        .equal("target", Column::text(target))
        .equal("live", Column::text("live"));
    let now = desk.now_ms();
    Ok(desk.page::<Approval>(page)?.into_iter().filter(|approval| approval.is_usable(now)).collect())
}

/// The override that lifts the cap on spending, if one is approved.
pub fn spend_override(desk: &mut Desk<'_>, agent_id: &str) -> Decided<Option<Approval>> {
    let lifts = |approval: &Approval| {
        approval.request_type == RequestType::QuotaOverride && approval.quota == Some(Quota::WeeklySpend)
    };
    Ok(usable(desk, agent_id)?.into_iter().find(lifts))
}

/// The cap that holds this agent now: reached, and not lifted.
pub fn held(desk: &mut Desk<'_>, limits: &Limits, agent: &mut Agent) -> Decided<Option<Reached>> {
    refresh(agent, limits, desk.now_ms());
    let Some(reached) = reached(agent, limits) else { return Ok(None) };
    Ok(spend_override(desk, &agent.agent_id)?.is_none().then_some(reached))
}

/// One payer's part of a charge.
#[derive(Clone, Debug)]
pub struct Charge<'a> {
    pub cost: Usd,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    /// What the run had set aside and need not any more.
    pub released: Usd,
    pub ledger: &'a RunLedger,
}

/// Charges one payer, warns, and pauses at the cap. Answers with the cap that holds the payer afterwards.
pub fn charge(desk: &mut Desk<'_>, limits: &Limits, agent_id: &str, charge: &Charge<'_>) -> Decided<Option<Reached>> {
    let now = desk.now_ms();
    let mut agent = desk.get::<Agent>(agent_id)?.unwrap_or_else(|| Agent::new(agent_id, now));
    refresh(&mut agent, limits, now);
    let spend = &mut agent.spend;
    spend.reserved_usd = spend.reserved_usd.minus(charge.released);
    for window in &mut spend.windows {
        window.prompt_tokens = window.prompt_tokens.saturating_add(charge.prompt_tokens);
        window.completion_tokens = window.completion_tokens.saturating_add(charge.completion_tokens);
        window.total_tokens = window.total_tokens.saturating_add(charge.total_tokens);
        window.cost_usd = window.cost_usd.plus(charge.cost);
        window.last_automation_id = Some(charge.ledger.automation_id.clone());
        window.last_run_id = Some(charge.ledger.run_id.clone());
        window.updated_at_ms = now;
    }
    spend.updated_at_ms = now;
    agent.updated_at_ms = now;
    warn(desk, limits, &mut agent, charge);
    let stopped = match reached(&agent, limits) {
        Some(reached) => at_the_cap(desk, limits, &mut agent, charge, reached)?,
        None => None,
    };
    desk.save(&agent);
    Ok(stopped)
}

/// Before the stop, so that one large report can give both.
fn warn(desk: &mut Desk<'_>, limits: &Limits, agent: &mut Agent, charge: &Charge<'_>) {
    let now = desk.now_ms();
    let mut warnings = Vec::new();
    for window in &mut agent.spend.windows {
        let Some(cap) = cap(limits, window.kind) else { continue };
        let near = window.cost_usd >= cap.times(limits.spend_warning_threshold_ratio);
        if near && window.soft_warning_at_ms.is_none() && !charge.cost.is_zero() {
            window.soft_warning_at_ms = Some(now);
            warnings.push((window.kind, window.cost_usd, cap));
        }
    }
    for (kind, cost, cap) in warnings {
        desk.audit(
            "automation.governance.spend.warning",
            json!({
                "automationID": charge.ledger.automation_id,
                "runID": charge.ledger.run_id,
                "agentID": agent.agent_id,
                "window": kind,
                "costUsd": cost,
                "capUsd": cap,
                "weeklyCostUsd": agent.spend.window(WindowKind::Weekly).map(|window| window.cost_usd),
                "weeklySpendCapUsd": limits.weekly_spend_cap_usd,
            }),
        );
    }
}

fn at_the_cap(
    desk: &mut Desk<'_>,
    limits: &Limits,
    agent: &mut Agent,
    charge: &Charge<'_>,
    reached: Reached,
) -> Decided<Option<Reached>> {
    let now = desk.now_ms();
    if let Some(mut lifted) = spend_override(desk, &agent.agent_id)? {
        // It goes on under the override. When that ends, the cap stops it anew, and that is said and asked again.
        agent.spend.paused_at_ms = None;
        agent.spend.pause_reason = None;
        let above = reached.cost.minus(reached.cap).min(charge.cost);
        lifted.additional_spent_usd = lifted.additional_spent_usd.plus(above);
        lifted.updated_at_ms = now;
        let used_up = lifted.max_additional_usd.is_some_and(|most| lifted.additional_spent_usd >= most);
        if used_up {
            // No use is left, so it lifts nothing any more.
            lifted.uses_allowed = Some(lifted.uses);
            let payload = json!({
                "approvalID": lifted.approval_id, "agentID": agent.agent_id, "spentUsd": lifted.additional_spent_usd,
            });
            desk.audit("automation.governance.approval.consumed", payload);
        }
        desk.save(&lifted);
        if !used_up {
            return Ok(None);
        }
    }
    for window in &mut agent.spend.windows {
        if window.kind == reached.kind {
            window.hard_stop_at_ms.get_or_insert(now);
        }
    }
    let reason = format!("{} spend of {} has reached the cap of {}", reached.kind, reached.cost, reached.cap);
    let newly = agent.spend.paused_at_ms.is_none();
    agent.spend.paused_at_ms.get_or_insert(now);
    agent.spend.pause_reason = Some(reason.clone());
    if newly {
        let requested = ask_for_override(desk, limits, agent, charge, reached, &reason)?;
        desk.audit(
            "automation.governance.spend.paused",
            json!({
                "automationID": charge.ledger.automation_id,
                "runID": charge.ledger.run_id,
                "pausedAgents": [agent.agent_id],
                "requestedApprovals": requested,
                "detail": reason,
            }),
        );
    }
    Ok(Some(reached))
}

/// One request at a time.
fn ask_for_override(
    desk: &mut Desk<'_>,
    limits: &Limits,
    agent: &Agent,
    charge: &Charge<'_>,
    reached: Reached,
    reason: &str,
) -> Decided<Vec<String>> {
    let target = Resource::agent(&agent.agent_id);
    let pending = PageAsk::of::<Approval>("updated_at_ms", APPROVALS_SEEN)
        .equal("target", Column::text(target_column(&target)))
        .equal("status", Column::text("pending"));
    let waits = |approval: &Approval| {
        approval.request_type == RequestType::QuotaOverride && approval.quota == Some(Quota::WeeklySpend)
    };
    if desk.page::<Approval>(pending)?.iter().any(waits) {
        return Ok(Vec::new());
    }
    let weekly = agent.spend.window(WindowKind::Weekly).map(|window| window.cost_usd);
    let new = NewRequest {
        rationale: format!("{}: {reason}", agent.agent_id),
        context: json!({
            "automationID": charge.ledger.automation_id,
            "runID": charge.ledger.run_id,
            "agentID": agent.agent_id,
            "quota": Quota::WeeklySpend,
            "window": reached.kind,
            "weeklyCostUsd": weekly,
            "weeklySpendCapUsd": limits.weekly_spend_cap_usd,
            "reason": reason,
        }),
        ..NewRequest::default()
    };
    let by = review::system("automation_spend_cap");
    let approval = request::file(desk, limits, RequestType::QuotaOverride, by, target, new)?;
    Ok(vec![approval.approval_id])
}

/// Sets an amount aside for a run, with each payer. Whether it fits was looked at before.
pub fn reserve(desk: &mut Desk<'_>, agent_id: &str, amount: Usd) -> Decided<()> {
    let now = desk.now_ms();
    let mut agent = desk.get::<Agent>(agent_id)?.unwrap_or_else(|| Agent::new(agent_id, now));
    agent.spend.reserved_usd = agent.spend.reserved_usd.plus(amount);
    agent.spend.updated_at_ms = now;
    agent.updated_at_ms = now;
    desk.save(&agent);
    Ok(())
}

/// Gives back what a run has set aside and not spent.
pub fn release(desk: &mut Desk<'_>, ledger: &mut RunLedger) -> Decided<()> {
    let amount = std::mem::take(&mut ledger.reserved_usd);
    if amount.is_zero() {
        return Ok(());
    }
    desk.want(ledger.payers.iter().map(|id| Ask::row::<Agent>(id)))?;
    for payer in &ledger.payers {
        if let Some(mut agent) = desk.get::<Agent>(payer)? {
            agent.spend.reserved_usd = agent.spend.reserved_usd.minus(amount);
            agent.updated_at_ms = desk.now_ms();
            desk.save(&agent);
        }
    }
    Ok(())
}
