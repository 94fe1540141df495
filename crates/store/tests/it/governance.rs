//! Limits that hold however many ask at once: on one writer, and on two servers that share a database.

use std::sync::Arc;

use tandem_core::{
    actor::{ActorKind, ActorRef, OpContext},
    decide::{self, Decided, Decision, Desk},
    error::{Code, Failure},
    governance::{
        Base,
        agent::Agent,
        approval::{APPROVALS, Approval, RequestType, Resource},
        approve,
        create::{self, NewAutomation},
        policy::POLICY_DECISIONS,
        price::Usage,
        record::{GovernanceRecord, RECORDS},
        request::{FileRequest, NewRequest},
        run::{self, RunReport, RunStart},
        usage::{CREATIONS, TenantUsage},
        window::WindowKind,
    },
    ports::StoreError,
};

use crate::lab::{Lab, Opened, context, count, load, local};

#[derive(Debug)]
struct Create(Arc<Base>, String);

impl Decision for Create {
    type Outcome = ();
    fn decide(&self, desk: &mut Desk<'_>) -> Decided<()> {
        let new = NewAutomation { automation_id: self.1.clone(), ..NewAutomation::default() };
        create::admit(desk, &self.0, &new).map(|_| ())
    }
}

#[derive(Debug)]
struct Start(Arc<Base>, RunStart);

impl Decision for Start {
    type Outcome = ();
    fn decide(&self, desk: &mut Desk<'_>) -> Decided<()> {
        run::start(desk, &self.0, &self.1).map(|_| ())
    }
}

#[derive(Debug)]
struct Report(Arc<Base>, String, f64);

impl Decision for Report {
    type Outcome = bool;
    fn decide(&self, desk: &mut Desk<'_>) -> Decided<bool> {
        let usage = Usage { total_tokens: 1, cost_usd: Some(self.2), ..Usage::default() };
        let report = RunReport { run_id: self.1.clone(), usage: Some(usage), ..RunReport::default() };
        run::report(desk, &self.0, &report).map(|directives| directives.stop.is_some())
    }
}

fn base(limits: &[(&str, &str)]) -> Arc<Base> {
    let (base, ignored) = Base::from_env(|name| {
        let name = name.strip_prefix("TANDEM_AGENT_AUTOMATION_")?;
        limits.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    });
    assert!(ignored.is_empty(), "{ignored:?}");
    Arc::new(base)
}

fn actor(kind: ActorKind, id: &str) -> OpContext {
    let actor = ActorRef { kind, actor_id: Some(id.into()), source: None };
    OpContext { actor, ..context(&local(), 1_700_000_000_000) }
}

fn bot() -> OpContext {
    actor(ActorKind::Agent, "bot")
}

fn ann() -> OpContext {
    actor(ActorKind::Human, "ann")
}

async fn act<D: Decision>(opened: &Opened, ctx: &OpContext, decision: D) -> Result<D::Outcome, Failure> {
    let seed = u128::from(crate::lab::fresh()) << 64;
    let mut committed = opened.store().commit(decide::commit(ctx, seed, decision)).await.expect("it is applied");
    committed.verdicts.pop().expect("one verdict").of::<D>()
}

/// One server for the embedded store, two for the shared one.
async fn engines(lab: &Lab) -> Vec<Arc<Opened>> {
    let mut engines = vec![lab.open().await];
    if matches!(lab, Lab::Postgres { .. }) {
        engines.push(lab.open().await);
    }
    engines
}

/// Runs `make(n)` for n below `times`, all at once, on all engines in turn. Answers with the codes of the refusals.
async fn at_once<D: Decision>(
    engines: &[Arc<Opened>],
    times: usize,
    ctx: impl Fn(usize) -> OpContext,
    make: impl Fn(usize) -> D,
) -> Vec<Code> {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..times {
        let (opened, ctx, decision) = (Arc::clone(&engines[n % engines.len()]), ctx(n), make(n));
        tasks.spawn(async move { act(&opened, &ctx, decision).await.map(|_| ()).map_err(|failure| failure.code) });
    }
    tasks.join_all().await.into_iter().filter_map(Result::err).collect()
}

pub async fn parallel_creations_stop_at_the_daily_limit(lab: Lab) {
    let engines = engines(&lab).await;
    let base = base(&[("CREATION_DAILY_LIMIT", "10"), ("CREATION_REVIEW_THRESHOLD", "0")]);
    let refused = at_once(&engines, 50, |_| bot(), |n| Create(Arc::clone(&base), format!("a{n}"))).await;
    assert_eq!(refused, [Code::AgentDailyQuotaExceeded; 40]);
    let opened = &engines[0];
    assert_eq!(count(opened, &RECORDS, &local()).await, 10);
    assert_eq!(count(opened, &CREATIONS, &local()).await, 10);
    assert_eq!(count(opened, &POLICY_DECISIONS, &local()).await, 50, "each was recorded, allowed or not");
    // Two rows for each creation, of the automation and of its record, and forty of denials.
    assert_eq!(opened.store().audit_size(&local().key()).await, Ok(60));
}

pub async fn the_cap_holds_for_all_agents_together(lab: Lab) {
    let engines = engines(&lab).await;
    let base = base(&[("ACTIVE_CAP", "7")]);
    let agent = |n: usize| actor(ActorKind::Agent, &format!("bot-{n}"));
    let refused = at_once(&engines, 40, agent, |n| Create(Arc::clone(&base), format!("a{n}"))).await;
    assert_eq!(refused, [Code::AgentCapExceeded; 33]);
    let usage = load::<TenantUsage>(&engines[0], &local().key(), TenantUsage::ID).await.expect("it is counted");
    assert_eq!(usage.value.agent_automations, 7);
}

pub async fn an_approval_for_one_use_is_used_once(lab: Lab) {
    let engines = engines(&lab).await;
    let base = base(&[("CREATION_DAILY_LIMIT", "0"), ("CREATION_REVIEW_THRESHOLD", "0")]);
    let target = Resource::agent("bot");
    let new = NewRequest {
        rationale: "more today".into(),
        context: serde_json::json!({ "quota": "daily_creation" }),
        ..NewRequest::default()
    };
    let request = FileRequest { base: Arc::clone(&base), request_type: RequestType::QuotaOverride, target, new };
    let filed = act(&engines[0], &bot(), request).await.expect("it is filed");
    let decision = |approve| approve::Decide {
        base: Arc::clone(&base),
        approval_id: filed.approval_id.clone(),
        approve,
        notes: None,
        pause_agent: false,
    };
    // Many who decide at once: one decision, and one row of it.
    let before = engines[0].store().audit_size(&local().key()).await.expect("a size");
    assert_eq!(at_once(&engines, 10, |_| ann(), |_| decision(true)).await, []);
    assert_eq!(engines[0].store().audit_size(&local().key()).await, Ok(before + 1));
    let refused = at_once(&engines, 20, |_| bot(), |n| Create(Arc::clone(&base), format!("a{n}"))).await;
    assert_eq!(refused, [Code::AgentDailyQuotaExceeded; 19]);
    let stored = load::<Approval>(&engines[0], &local().key(), &filed.approval_id).await.expect("it is there").value;
    assert_eq!((stored.uses, count(&engines[0], &APPROVALS, &local()).await), (1, 1));
}

pub async fn runs_that_start_at_once_do_not_overrun_a_cap(lab: Lab) {
    let engines = engines(&lab).await;
    let base = base(&[("WEEKLY_SPEND_CAP_USD", "10")]);
    act(&engines[0], &bot(), Create(Arc::clone(&base), "a".into())).await.expect("it is created");
    let start = |n: usize| {
        let (run_id, automation_id) = (format!("r{n}"), "a".into());
        let start = RunStart { run_id, automation_id, max_cost_usd: Some(3.0), ..RunStart::default() };
        Start(Arc::clone(&base), start)
    };
    let refused = at_once(&engines, 20, |_| ann(), start).await;
    assert_eq!(refused, [Code::RunBlocked; 17], "three times three fit into ten");
}

pub async fn spending_at_once_adds_up(lab: Lab) {
    let engines = engines(&lab).await;
    let base = base(&[("WEEKLY_SPEND_CAP_USD", "10")]);
    act(&engines[0], &bot(), Create(Arc::clone(&base), "a".into())).await.expect("it is created");
    let start = RunStart { run_id: "r".into(), automation_id: "a".into(), ..RunStart::default() };
    act(&engines[0], &ann(), Start(Arc::clone(&base), start)).await.expect("it starts");
    assert_eq!(at_once(&engines, 60, |_| ann(), |_| Report(Arc::clone(&base), "r".into(), 0.25)).await, []);
    let spend = load::<Agent>(&engines[0], &local().key(), "bot").await.expect("it spent").value.spend;
    let week = spend.window(WindowKind::Weekly).expect("a week");
    assert_eq!((week.cost_usd.dollars(), week.total_tokens), (15.0, 60));
    assert!(spend.paused_at_ms.is_some());
    assert_eq!(count(&engines[0], &APPROVALS, &local()).await, 1, "one override is asked for");
    let late = RunStart { run_id: "late".into(), automation_id: "a".into(), ..RunStart::default() };
    let refused = act(&engines[0], &ann(), Start(Arc::clone(&base), late)).await.map_err(|failure| failure.code);
    assert_eq!(refused, Err(Code::RunBlocked));
}

pub async fn an_unreadable_rule_refuses_and_is_not_taken_for_absent(lab: Lab) {
    let opened = lab.open().await;
    let base = base(&[]);
    act(&opened, &bot(), Create(Arc::clone(&base), "a".into())).await.expect("it is created");
    lab.meddle("UPDATE governance_agents SET body = '{\"agent_id\":'").await;
    let commit = decide::commit(&bot(), 7, Create(base, "b".into()));
    let error = opened.store().commit(commit).await.expect_err("it cannot be decided");
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    assert!(load::<GovernanceRecord>(&opened, &local().key(), "b").await.is_none());
}
