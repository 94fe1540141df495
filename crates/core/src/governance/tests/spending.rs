//! Caps, warnings, reservations, overrides, and what a model costs.

use serde_json::json;

use super::lab::{Call, Lab, agent, human};
use crate::{
    decide::Desk,
    error::Code,
    governance::{
        approval::{Approval, RequestType, Resource, Status},
        ledger::{RunEnd, RunLedger, StopCause},
        money::Usd,
        price::Usage,
        run::{self, Directives, Readmission, RunReport, RunStart},
        window::WindowKind,
    },
};

pub fn start(lab: &mut Lab, run: &str, automation: &str, most: Option<f64>) -> Result<Usd, Code> {
    let start =
        RunStart { run_id: run.into(), automation_id: automation.into(), max_cost_usd: most, ..RunStart::default() };
    let base = lab.base.clone();
    lab.act(&human("ann"), Call(move |desk: &mut Desk<'_>| run::start(desk, &base, &start).map(|a| a.reserved_usd)))
        .map_err(|failure| failure.code)
}

pub fn report(lab: &mut Lab, report: RunReport) -> Result<Directives, Code> {
    let base = lab.base.clone();
    lab.act(&human("ann"), Call(move |desk: &mut Desk<'_>| run::report(desk, &base, &report)))
        .map_err(|failure| failure.code)
}

pub fn spend(lab: &mut Lab, run: &str, dollars: f64) -> Directives {
    let usage = Usage { total_tokens: 10, cost_usd: Some(dollars), ..Usage::default() };
    report(lab, RunReport { run_id: run.into(), usage: Some(usage), ..RunReport::default() }).unwrap()
}

pub fn end(lab: &mut Lab, run: &str, end: RunEnd) -> Directives {
    report(lab, RunReport { run_id: run.into(), end: Some(end), ..RunReport::default() }).unwrap()
}

fn readmit(lab: &mut Lab, run: &str) -> bool {
    let (base, run) = (lab.base.clone(), run.to_owned());
    let call = Call(move |desk: &mut Desk<'_>| run::readmit(desk, &base, &run));
    matches!(lab.act(&human("ann"), call), Ok(Readmission::Admitted))
}

fn capped(weekly: f64) -> Lab {
    let mut lab = Lab::new();
    lab.limit(json!({ "weekly_spend_cap_usd": weekly }));
    lab.create(&agent("bot"), "a").unwrap();
    lab
}

#[test]
fn a_warning_then_the_stop_then_an_override() {
    let mut lab = capped(10.0);
    lab.limit(json!({ "approval_ttl_ms": 3_600_000 }));
    start(&mut lab, "r", "a", None).unwrap();
    assert_eq!(spend(&mut lab, "r", 8.25).stop, None);
    assert!(lab.has_event("spend.warning") && !lab.has_event("spend.paused"));
    let told = spend(&mut lab, "r", 2.0);
    assert!(told.newly);
    assert_eq!(told.stop.unwrap().cause, StopCause::SpendCap);
    assert!(lab.has_event("spend.paused"));
    let row = lab.agent_row("bot");
    let week = row.spend.window(WindowKind::Weekly).unwrap();
    assert_eq!(
        (week.cost_usd, week.soft_warning_at_ms, week.hard_stop_at_ms),
        (Usd::of(10.25), Some(lab.now_ms), Some(lab.now_ms))
    );
    assert_eq!(lab.create(&agent("bot"), "b"), Err(Code::AgentSpendCapExceeded));
    assert_eq!(start(&mut lab, "r2", "a", None), Err(Code::RunBlocked));
    // The request was made by the guardrail, once.
    let asked: Vec<Approval> = lab.all::<Approval>();
    assert_eq!(asked.len(), 1);
    lab.decide(&human("ann"), &asked[0].approval_id, true).unwrap();
    lab.create(&agent("bot"), "b").unwrap();
    assert!(lab.get::<RunLedger>("r").unwrap().stop.is_some(), "approving resumes nothing");
    assert!(readmit(&mut lab, "r"));
    assert_eq!(spend(&mut lab, "r", 5.0).stop, None, "lifted until it ends");
    lab.now_ms += 3_600_000;
    assert_eq!(start(&mut lab, "r3", "a", None), Err(Code::RunBlocked));
}

#[test]
fn an_override_lifts_as_much_as_it_says() {
    let mut lab = capped(1.0);
    start(&mut lab, "r", "a", None).unwrap();
    spend(&mut lab, "r", 1.0);
    let context = json!({ "max_additional_usd": 2.0 });
    let asked = lab.file(&agent("bot"), RequestType::QuotaOverride, Resource::agent("bot"), context).unwrap();
    lab.decide(&human("ann"), &asked.approval_id, true).unwrap();
    assert!(readmit(&mut lab, "r"));
    assert_eq!(spend(&mut lab, "r", 1.5).stop, None);
    assert!(spend(&mut lab, "r", 0.5).stop.is_some(), "used up");
    let stored = lab.get::<Approval>(&asked.approval_id).unwrap();
    assert_eq!((stored.status, stored.additional_spent_usd), (Status::Approved, Usd::of(2.0)));
    assert!(!stored.is_usable(lab.now_ms));
    assert_eq!(lab.create(&agent("bot"), "b"), Err(Code::AgentSpendCapExceeded));
}

#[test]
fn a_new_week_or_a_higher_cap_lets_it_go_on() {
    let mut lab = capped(1.0);
    start(&mut lab, "r", "a", None).unwrap();
    spend(&mut lab, "r", 2.0);
    assert_eq!(lab.create(&agent("bot"), "b"), Err(Code::AgentSpendCapExceeded));
    lab.limit(json!({ "weekly_spend_cap_usd": 5.0 }));
    lab.create(&agent("bot"), "b").unwrap();
    lab.limit(json!({ "weekly_spend_cap_usd": 2.0 }));
    assert_eq!(lab.create(&agent("bot"), "c"), Err(Code::AgentSpendCapExceeded));
    lab.now_ms += 7 * 86_400_000;
    lab.create(&agent("bot"), "c").unwrap();
    let spend = lab.agent_row("bot").spend;
    assert_eq!(spend.window(WindowKind::Lifetime).unwrap().cost_usd, Usd::of(2.0));
    assert_eq!((spend.window(WindowKind::Weekly).unwrap().cost_usd, spend.paused_at_ms), (Usd::ZERO, None));
}

#[test]
fn everyone_in_the_line_pays_in_full() {
    let mut lab = Lab::new();
    let new = crate::governance::create::NewAutomation {
        automation_id: "a".into(),
        ancestors: vec!["grand".into(), "parent".into()],
        ..Default::default()
    };
    lab.create_as(&agent("kid"), new).unwrap();
    start(&mut lab, "r", "a", None).unwrap();
    spend(&mut lab, "r", 3.0);
    for payer in ["kid", "parent", "grand"] {
        let spend = lab.agent_row(payer).spend;
        assert!(
            spend.windows.iter().all(|window| window.cost_usd == Usd::of(3.0) && window.total_tokens == 10),
            "{payer}"
        );
    }
}

#[test]
fn what_runs_set_aside_cannot_be_spent_twice() {
    let mut lab = capped(10.0);
    assert_eq!(start(&mut lab, "r1", "a", Some(6.0)), Ok(Usd::of(6.0)));
    assert_eq!(start(&mut lab, "r2", "a", Some(6.0)), Err(Code::RunBlocked));
    assert_eq!(start(&mut lab, "r3", "a", Some(4.0)), Ok(Usd::of(4.0)));
    assert_eq!(start(&mut lab, "r4", "a", None), Err(Code::RunBlocked), "nothing is left");
    spend(&mut lab, "r1", 1.0);
    assert_eq!(lab.agent_row("bot").spend.reserved_usd, Usd::of(9.0));
    end(&mut lab, "r1", RunEnd::Completed);
    assert_eq!(lab.agent_row("bot").spend.reserved_usd, Usd::of(4.0), "what was not spent goes back");
    assert_eq!(start(&mut lab, "r5", "a", Some(5.0)), Ok(Usd::of(5.0)));
    // Reports of usage after the end are charged all the same.
    spend(&mut lab, "r1", 0.5);
    assert_eq!(lab.agent_row("bot").spend.window(WindowKind::Weekly).unwrap().cost_usd, Usd::of(1.5));
    end(&mut lab, "r3", RunEnd::Failed);
    end(&mut lab, "r5", RunEnd::Cancelled);
    end(&mut lab, "r5", RunEnd::Cancelled);
    assert_eq!(lab.agent_row("bot").spend.reserved_usd, Usd::ZERO);
}

#[test]
fn a_run_beyond_what_it_set_aside_stops_when_the_rest_belongs_to_others() {
    let mut lab = capped(10.0);
    start(&mut lab, "small", "a", None).unwrap();
    start(&mut lab, "large", "a", Some(9.0)).unwrap();
    let told = spend(&mut lab, "small", 1.0);
    assert_eq!(told.stop.map(|stop| stop.cause), Some(StopCause::SpendCap));
    assert_eq!(spend(&mut lab, "large", 8.9).stop, None, "its own part is still there");
}

#[test]
fn usage_without_a_price_is_charged_or_refused() {
    let mut lab = Lab::new();
    lab.create(&agent("bot"), "a").unwrap();
    start(&mut lab, "r", "a", None).unwrap();
    let usage = Usage { prompt_tokens: 1000, model: Some("new".into()), ..Usage::default() };
    let by = || RunReport { run_id: "r".into(), usage: Some(usage.clone()), ..RunReport::default() };
    let told = report(&mut lab, by()).unwrap();
    assert!(told.estimated);
    assert_eq!(told.cost_usd, Usd::of(0.06));
    assert_eq!(lab.record("a").health_findings.len(), 1);
    lab.limit(json!({ "unpriced_model_policy": "refuse" }));
    assert_eq!(report(&mut lab, by()), Err(Code::ModelUnpriced));
    lab.limit(json!({ "model_prices": { "new": { "prompt_per_1k_usd": 2.0, "completion_per_1k_usd": 3.0 } } }));
    assert_eq!(report(&mut lab, by()).unwrap().cost_usd, Usd::of(2.0));
}

#[test]
fn the_same_name_in_another_tenant_has_its_own_week() {
    let mut lab = capped(1.0);
    start(&mut lab, "r", "a", None).unwrap();
    spend(&mut lab, "r", 2.0);
    lab.tenant = crate::tenant::TenantContext::explicit("acme", "main");
    lab.limit(json!({ "weekly_spend_cap_usd": 1.0 }));
    lab.create(&agent("bot"), "a").unwrap();
    start(&mut lab, "r", "a", None).unwrap();
}

#[test]
fn the_end_of_an_override_is_recorded_and_asked_about() {
    // Used up, and out of time.
    for context in [json!({ "max_additional_usd": 2.0 }), json!({})] {
        let mut lab = capped(1.0);
        lab.limit(json!({ "approval_ttl_ms": 3_600_000 }));
        let pauses = |lab: &Lab| lab.events().iter().filter(|event| event.ends_with("spend.paused")).count();
        let pending = |lab: &Lab| {
            lab.all::<Approval>()
                .into_iter()
                .filter(Approval::is_pending)
                .map(|one| one.approval_id)
                .collect::<Vec<_>>()
        };
        start(&mut lab, "r", "a", None).unwrap();
        spend(&mut lab, "r", 1.0);
        let first = pending(&lab);
        assert_eq!((pauses(&lab), first.len()), (1, 1));
        lab.decide(&human("ann"), &first[0], false).unwrap();
        let asked = lab.file(&agent("bot"), RequestType::QuotaOverride, Resource::agent("bot"), context).unwrap();
        lab.decide(&human("ann"), &asked.approval_id, true).unwrap();
        assert!(readmit(&mut lab, "r"));
        assert_eq!(spend(&mut lab, "r", 0.5).stop, None);
        assert_eq!(lab.agent_row("bot").spend.paused_at_ms, None);
        lab.now_ms += if asked.max_additional_usd.is_some() { 1 } else { 3_600_000 };
        assert!(spend(&mut lab, "r", 1.5).stop.is_some());
        assert_eq!((pauses(&lab), pending(&lab).len()), (2, 1), "{:?}", asked.max_additional_usd);
        // Once, and not with every further report.
        spend(&mut lab, "r", 0.1);
        assert_eq!((pauses(&lab), pending(&lab).len()), (2, 1));
    }
}
