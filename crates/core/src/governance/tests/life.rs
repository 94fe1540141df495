//! Grants, revocation, drift, expiry, retirement, deletion, quarantine, and the kill switch.

use serde_json::{Value, json};

use super::{
    lab::{Call, Lab, agent, human, patched, snapshot, system},
    spending::{end, report, spend, start},
};
use crate::{
    actor::ActorRef,
    automation::{
        read,
        spec::{Automation, AutomationStatus},
    },
    decide::Desk,
    error::{Code, Failure},
    governance::{
        agents,
        approval::{Approval, RequestType, Status},
        deletion,
        dependency::{AgentTools, narrowed},
        expiry, grant, health,
        ledger::{RunEnd, RunLedger, StopCause},
        lifecycle,
        mutate::{self, Operation},
        patch::PatchAutomation,
        record::{Finding, GovernanceRecord, ReviewKind, Severity},
        review::{self, NewFinding},
        run::{self, RunReport, RunStart},
        sweep::{Overdue, Sweep},
        tool_server::{Loss, ServerLoss},
    },
    record::{Column, Record},
    tenant::TenantContext,
};

const DAY: u64 = 86_400_000;

fn code<T>(result: Result<T, Failure>) -> Result<T, Code> {
    result.map_err(|failure| failure.code)
}

fn give(lab: &mut Lab, to: &str) -> Value {
    let give = grant::Give {
        base: lab.base.clone(),
        automation_id: "a".into(),
        agent_id: to.into(),
        reason: None,
        approval_id: None,
    };
    lab.act(&human("ann"), give).unwrap()
}

fn revoke(lab: &mut Lab, grant: &Value) -> Result<Value, Code> {
    let revoke = grant::Revoke {
        base: lab.base.clone(),
        automation_id: "a".into(),
        grant_id: grant["grant_id"].as_str().unwrap_or("none").into(),
        reason: Some("left".into()),
        approval_id: None,
    };
    code(lab.act(&human("ann"), revoke))
}

fn resume(lab: &mut Lab, by: &ActorRef) -> Result<(), Code> {
    let base = lab.base.clone();
    code(lab.act(by, Call(move |desk: &mut Desk<'_>| lifecycle::resume(desk, &base, "a"))))
}

fn may(lab: &mut Lab, by: &ActorRef, operation: Operation) -> Result<(), Code> {
    code(lab.act(by, Call(move |desk: &mut Desk<'_>| mutate::check(desk, "a", operation).map(|_| ()))))
}

fn extend(lab: &mut Lab, expires_at_ms: Option<u64>) -> Result<(), Code> {
    let base = lab.base.clone();
    let extend = lifecycle::Extend { base, automation_id: "a".into(), expires_at_ms, reason: None, approval_id: None };
    code(lab.act(&human("ann"), extend)).map(|_| ())
}

fn due(lab: &mut Lab) {
    let base = lab.base.clone();
    lab.act(&system(), expiry::Due { base, automation_id: "a".into() }).unwrap();
}

fn check(lab: &mut Lab) -> usize {
    let base = lab.base.clone();
    lab.act(&system(), health::Check { base, automation_id: "a".into() }).unwrap()
}

fn review_id(lab: &Lab) -> String {
    lab.record("a").review_request_id.expect("a review is open")
}

#[test]
fn who_may_change_what() {
    let cases: [(&str, ActorRef, ActorRef, Operation, Result<(), Code>); 11] = [
        ("a person", human("ann"), human("ben"), Operation::Patch, Ok(())),
        ("the system", human("ann"), system(), Operation::Delete, Ok(())),
        ("the system does not retire", human("ann"), system(), Operation::Retire, Err(Code::RetireForbidden)),
        ("its creator", agent("bot"), agent("bot"), Operation::Patch, Ok(())),
        ("its creator deletes", agent("bot"), agent("bot"), Operation::Delete, Ok(())),
        ("another agent", agent("bot"), agent("other"), Operation::Patch, Err(Code::ModifyForbidden)),
        ("another agent runs", agent("bot"), agent("other"), Operation::RunNow, Err(Code::ModifyForbidden)),
        ("another agent deletes", agent("bot"), agent("other"), Operation::Delete, Err(Code::DeleteNotOwner)),
        ("a person's", human("ann"), agent("bot"), Operation::Delete, Err(Code::DeleteHumanCreatedDenied)),
        ("a person's, patched", human("ann"), agent("bot"), Operation::Patch, Err(Code::ModifyForbidden)),
        ("extending", agent("bot"), agent("bot"), Operation::Extend, Err(Code::ExtendForbidden)),
    ];
    for (about, creator, actor, operation, expected) in cases {
        let mut lab = Lab::new();
        lab.create(&creator, "a").unwrap();
        assert_eq!(may(&mut lab, &actor, operation), expected, "{about}");
        assert_eq!(lab.has_event("denied"), expected.is_err(), "{about}");
    }
    let mut lab = Lab::new();
    assert_eq!(may(&mut lab, &human("ann"), Operation::Patch), Err(Code::GovernanceMissing));
}

#[test]
fn a_grant_lets_an_agent_in_and_its_end_closes_admission() {
    let mut lab = Lab::new();
    lab.create(&human("ann"), "a").unwrap();
    assert_eq!(may(&mut lab, &agent("bot"), Operation::Patch), Err(Code::ModifyForbidden));
    let grant = give(&mut lab, "bot");
    may(&mut lab, &agent("bot"), Operation::Patch).unwrap();
    assert_eq!(grant["revoke_reason"], Value::Null);
    for n in 0..20 {
        start(&mut lab, &format!("r{n}"), "a", None).unwrap();
    }
    revoke(&mut lab, &grant).unwrap();
    let record = lab.record("a");
    assert!(record.creation_paused && record.paused_for_lifecycle && record.review_required);
    assert_eq!(record.review_kind, Some(ReviewKind::DependencyRevoked));
    assert_eq!(record.health_findings[0].severity, Severity::Critical);
    assert!(lab.all::<RunLedger>().iter().all(|run| run.stop.is_some()));
    assert_eq!(start(&mut lab, "late", "a", None), Err(Code::RunBlocked));
    assert_eq!(may(&mut lab, &agent("bot"), Operation::Patch), Err(Code::AutomationLifecyclePaused));
    assert_eq!(resume(&mut lab, &human("ann")), Err(Code::AutomationReviewPending));
    // Revoking again changes nothing.
    let rows = lab.audit.len();
    revoke(&mut lab, &grant).unwrap();
    assert!(lab.audit.len() <= rows + 1);
    lab.decide(&human("ben"), &review_id(&lab), true).unwrap();
    let record = lab.record("a");
    assert!(!record.review_required && record.paused_for_lifecycle && record.creation_paused, "approved, not resumed");
    assert!(record.health_findings.is_empty());
    assert!(lab.all::<Finding>().iter().all(|finding| finding.resolved_at_ms.is_some()));
    assert_eq!(start(&mut lab, "late", "a", None), Err(Code::RunBlocked));
    resume(&mut lab, &system()).unwrap();
    start(&mut lab, "late", "a", None).unwrap();
    assert_eq!(revoke(&mut lab, &Value::Null), Err(Code::GrantNotFound));
}

fn tools(id: &str, servers: &[&str], tools: Option<&[&str]>) -> AgentTools {
    let list = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    AgentTools {
        agent_id: id.into(),
        allowed_servers: list(servers),
        allowed_tools: tools.map(list),
        tool_allowlist: vec!["read".into()],
        ..AgentTools::default()
    }
}

#[test]
fn taking_tools_away_narrows_and_giving_more_does_not() {
    let base = tools("w", &["gh", "db"], Some(&["list", "get"]));
    let cases = [
        (vec![base.clone()], vec![base.clone()], 0),
        (vec![base.clone()], vec![tools("w", &["gh", "db", "new"], Some(&["list", "get", "put"]))], 0),
        (vec![base.clone()], vec![tools("w", &["gh", "db"], None)], 0),
        (vec![base.clone()], vec![base.clone(), tools("x", &[], None)], 0),
        (vec![base.clone()], vec![tools("w", &["gh"], Some(&["list", "get"]))], 1),
        (vec![base.clone()], vec![tools("w", &["gh", "db"], Some(&["list"]))], 1),
        (vec![tools("w", &["gh"], None)], vec![tools("w", &["gh"], Some(&["list"]))], 1),
        (vec![base.clone()], vec![], 1),
        (vec![base.clone()], vec![AgentTools { tool_denylist: vec!["read".into()], ..base.clone() }], 1),
        (vec![base.clone()], vec![AgentTools { tool_allowlist: vec![], ..base.clone() }], 1),
    ];
    for (before, after, changes) in cases {
        assert_eq!(narrowed(&before, &after).len(), changes, "{before:?} {after:?}");
    }
    let mut lab = Lab::new();
    lab.create(&human("ann"), "a").unwrap();
    let patch = |lab: &mut Lab, before: Vec<AgentTools>, after: Vec<AgentTools>| {
        let (base, tools) = (lab.base.clone(), Some((before, after)));
        let patch = PatchAutomation { automation_id: "a".into(), tools, ..PatchAutomation::default() };
        lab.act(&human("ann"), Call(move |desk: &mut Desk<'_>| patched(desk, &base, &patch))).unwrap()
    };
    assert!(!patch(&mut lab, vec![base.clone()], vec![base.clone()]).pause);
    assert!(!lab.record("a").review_required);
    assert!(patch(&mut lab, vec![base.clone()], vec![tools("w", &["gh"], Some(&["list", "get"]))]).pause);
    let first = review_id(&lab);
    assert!(patch(&mut lab, vec![base.clone()], vec![]).pause);
    let second = review_id(&lab);
    assert_ne!(first, second, "a further revocation is a further question");
    assert_eq!(lab.decide(&human("ben"), &first, true).map(|_| ()), Err(Code::ApprovalSuperseded));
    assert_eq!(lab.get::<Approval>(&first).unwrap().status, Status::Expired);
    lab.decide(&human("ben"), &second, true).unwrap();
}

#[test]
fn after_as_many_runs_a_person_looks() {
    let mut lab = Lab::new();
    lab.limit(json!({ "run_review_threshold": 2 }));
    lab.create(&human("ann"), "a").unwrap();
    for (run, ended) in [("r1", RunEnd::Completed), ("r2", RunEnd::Failed)] {
        start(&mut lab, run, "a", None).unwrap();
        end(&mut lab, run, ended);
    }
    let record = lab.record("a");
    assert_eq!((record.review_kind, record.runs_since_review), (Some(ReviewKind::RunDrift), 2));
    assert_eq!(start(&mut lab, "r3", "a", None), Err(Code::RunBlocked));
    lab.decide(&human("ann"), &review_id(&lab), true).unwrap();
    assert_eq!(lab.record("a").runs_since_review, 0);
    start(&mut lab, "r3", "a", None).unwrap();
}

#[test]
fn health_looks_at_real_runs_since_the_last_review() {
    let mut lab = Lab::new();
    lab.create(&human("ann"), "a").unwrap();
    for n in 0..5 {
        lab.now_ms += 1;
        start(&mut lab, &format!("r{n}"), "a", None).unwrap();
        end(&mut lab, &format!("r{n}"), RunEnd::Failed);
    }
    assert_eq!(check(&mut lab), 1);
    let record = lab.record("a");
    assert_eq!(record.health_findings[0].severity, Severity::Critical);
    assert_eq!(record.review_kind, Some(ReviewKind::HealthDrift));
    assert!(!record.paused_for_lifecycle);
    let first = review_id(&lab);
    lab.now_ms += 1;
    check(&mut lab);
    assert_eq!(review_id(&lab), first, "one request at a time");
    lab.decide(&human("ann"), &first, true).unwrap();
    lab.now_ms += 1;
    assert_eq!(check(&mut lab), 0, "acknowledged");
    // A dry run has no output and means nothing; a real one without output does.
    lab.now_ms += 1;
    start(&mut lab, "empty", "a", None).unwrap();
    let done =
        RunReport { run_id: "empty".into(), end: Some(RunEnd::Completed), empty_output: true, ..RunReport::default() };
    report(&mut lab, done).unwrap();
    assert_eq!(check(&mut lab), 1);
    assert_eq!(lab.all::<Finding>().len(), 2, "findings are only added");
}

#[test]
fn a_check_shows_what_it_finds_now() {
    let mut lab = Lab::new();
    lab.create(&human("ann"), "a").unwrap();
    let grant = give(&mut lab, "bot");
    let run = |lab: &mut Lab, id: &str, ended: RunEnd| {
        lab.now_ms += 1;
        start(lab, id, "a", None).unwrap();
        end(lab, id, ended);
    };
    let shown = |lab: &Lab| {
        let found = lab.record("a").health_findings;
        let drift = found.iter().filter(|one| one.kind == ReviewKind::HealthDrift);
        drift.map(|one| (one.severity, one.evidence.clone().unwrap_or_default()["failureCount"].clone())).collect()
    };
    for n in 0..3 {
        run(&mut lab, &format!("f{n}"), RunEnd::Failed);
    }
    for n in 0..2 {
        run(&mut lab, &format!("c{n}"), RunEnd::Completed);
    }
    for n in 3..7 {
        lab.limit(json!({ "run_blocking_reviews": [] }));
        check(&mut lab);
        check(&mut lab);
        let severity = if n < 6 { Severity::Warning } else { Severity::Critical };
        let now: Vec<(Severity, Value)> = shown(&lab);
        assert_eq!(now, [(severity, json!(n))], "after {n} failures");
        run(&mut lab, &format!("f{n}"), RunEnd::Failed);
    }
    // While a person is asked about it, it stays.
    let well = |lab: &mut Lab| {
        lab.limit(json!({ "health_failure_rate_threshold": 1.0 }));
        check(lab);
    };
    well(&mut lab);
    assert_eq!(shown(&lab).len(), 1);
    // A heavier question is open instead: what does not hold any more goes.
    revoke(&mut lab, &grant).unwrap();
    well(&mut lab);
    assert_eq!(lab.record("a").review_kind, Some(ReviewKind::DependencyRevoked));
    assert!(shown(&lab).is_empty());
    let all: Vec<Finding> = lab.all::<Finding>();
    let drift = all.iter().filter(|one| one.kind == ReviewKind::HealthDrift);
    assert!(drift.clone().count() == 4 && drift.clone().all(|one| one.resolved_at_ms.is_some()));
}

#[test]
fn nothing_waits_longer_than_the_check_of_health() {
    let mut lab = Lab::new();
    let limits = lab.base.limits.clone();
    assert_eq!(Sweep::Lifecycle.interval_ms(&limits), limits.lifecycle_sweep_interval_ms);
    lab.limit(json!({ "health_check_interval_ms": 1000 }));
    let base = lab.base.clone();
    let limits = lab.act(&system(), Call(move |desk: &mut Desk<'_>| base.effective(desk))).unwrap();
    assert!(Sweep::ALL.iter().all(|sweep| sweep.interval_ms(&limits) == 1000));
}

#[test]
fn the_end_is_announced_reached_and_undone_by_extending() {
    let mut lab = Lab::new();
    lab.create(&agent("bot"), "a").unwrap();
    start(&mut lab, "r", "a", None).unwrap();
    due(&mut lab);
    assert!(!lab.record("a").review_required);
    lab.now_ms += 84 * DAY;
    due(&mut lab);
    assert_eq!(lab.record("a").review_kind, Some(ReviewKind::ExpirationSoon));
    assert_eq!(lab.get::<Approval>(&review_id(&lab)).unwrap().request_type, RequestType::RetirementAction);
    start(&mut lab, "still", "a", None).unwrap();
    lab.decide(&human("ann"), &review_id(&lab), true).unwrap();
    due(&mut lab);
    assert!(!lab.record("a").review_required, "answered for good");
    lab.now_ms += 6 * DAY;
    due(&mut lab);
    let record = lab.record("a");
    assert_eq!((record.review_kind, record.expired_at_ms), (Some(ReviewKind::Expired), Some(lab.now_ms)));
    assert!(record.paused_for_lifecycle);
    assert!(lab.all::<RunLedger>().iter().all(|run| run.stop.as_ref().unwrap().cause == StopCause::Expired));
    assert_eq!(may(&mut lab, &agent("bot"), Operation::Patch), Err(Code::AutomationExpired));
    lab.decide(&human("ann"), &review_id(&lab), true).unwrap();
    assert_eq!(resume(&mut lab, &human("ann")), Err(Code::AutomationExpired));
    assert_eq!(start(&mut lab, "late", "a", None), Err(Code::RunBlocked));
    for wrong in [lab.now_ms, lab.now_ms + 366 * DAY] {
        assert_eq!(extend(&mut lab, Some(wrong)), Err(Code::ExtendFailed));
    }
    extend(&mut lab, None).unwrap();
    let record = lab.record("a");
    assert_eq!(record.expires_at_ms, Some(lab.now_ms + 90 * DAY));
    assert!(record.expired_at_ms.is_none() && !record.paused_for_lifecycle && record.review_kind.is_none());
    assert!(record.health_findings.is_empty());
    start(&mut lab, "late", "a", None).unwrap();
}

#[test]
fn retiring_stops_and_extending_brings_back() {
    let mut lab = Lab::new();
    lab.create(&agent("bot"), "a").unwrap();
    let retire = lifecycle::Retire {
        base: lab.base.clone(),
        automation_id: "a".into(),
        reason: Some("done".into()),
        approval_id: None,
    };
    lab.act(&human("ann"), retire).unwrap();
    let record = lab.record("a");
    assert_eq!((record.retire_reason.as_deref(), record.review_kind), (Some("done"), Some(ReviewKind::Retired)));
    assert!(record.paused_for_lifecycle && !record.review_required);
    assert_eq!(may(&mut lab, &agent("bot"), Operation::Patch), Err(Code::AutomationRetired));
    assert_eq!(start(&mut lab, "r", "a", None), Err(Code::RunBlocked));
    assert_eq!(resume(&mut lab, &human("ann")), Err(Code::AutomationRetired));
    extend(&mut lab, None).unwrap();
    start(&mut lab, "r", "a", None).unwrap();
    may(&mut lab, &agent("bot"), Operation::Patch).unwrap();
}

#[test]
fn what_has_ended_is_not_asked_about_its_runs() {
    let mut lab = Lab::new();
    lab.create(&agent("bot"), "a").unwrap();
    for n in 0..5 {
        lab.now_ms += 1;
        start(&mut lab, &format!("r{n}"), "a", None).unwrap();
        end(&mut lab, &format!("r{n}"), RunEnd::Failed);
    }
    let retire =
        lifecycle::Retire { base: lab.base.clone(), automation_id: "a".into(), reason: None, approval_id: None };
    lab.act(&human("ann"), retire).unwrap();
    lab.now_ms += 1;
    assert_eq!(check(&mut lab), 1, "the finding is kept");
    let record = lab.record("a");
    assert_eq!((record.review_kind, record.review_required), (Some(ReviewKind::Retired), false));
}

#[test]
fn a_restored_automation_is_asked_about_as_before() {
    let mut lab = Lab::new();
    lab.create(&agent("bot"), "a").unwrap();
    lab.now_ms += 84 * DAY;
    due(&mut lab);
    let base = lab.base.clone();
    let call = Call(move |desk: &mut Desk<'_>| deletion::delete(desk, &base, "a", snapshot("a")));
    lab.act(&agent("bot"), call).unwrap();
    let base = lab.base.clone();
    lab.act(&human("ann"), deletion::Restore { base, automation_id: "a".into(), approval_id: None }).unwrap();
    let asked = lab.get::<Approval>(&review_id(&lab)).unwrap();
    assert_eq!((asked.request_type, asked.status), (RequestType::RetirementAction, Status::Pending));
}

#[test]
fn extending_does_not_answer_a_revocation() {
    let mut lab = Lab::new();
    lab.create(&agent("own"), "a").unwrap();
    let grant = give(&mut lab, "bot");
    revoke(&mut lab, &grant).unwrap();
    extend(&mut lab, None).unwrap();
    let record = lab.record("a");
    assert!(record.review_required && record.paused_for_lifecycle && record.creation_paused);
    lab.now_ms += 90 * DAY;
    due(&mut lab);
    assert_eq!(lab.record("a").review_kind, Some(ReviewKind::DependencyRevoked), "the heavier review stays");
    assert!(lab.record("a").expired_at_ms.is_some());
}

#[test]
fn deleted_restored_and_purged() {
    let mut lab = Lab::new();
    lab.create(&agent("bot"), "a").unwrap();
    start(&mut lab, "r", "a", None).unwrap();
    let delete = |lab: &mut Lab| {
        let base = lab.base.clone();
        let call = Call(move |desk: &mut Desk<'_>| deletion::delete(desk, &base, "a", snapshot("a")));
        code(lab.act(&agent("bot"), call))
    };
    let restore = |lab: &mut Lab| {
        let base = lab.base.clone();
        code(lab.act(&human("ann"), deletion::Restore { base, automation_id: "a".into(), approval_id: None }))
    };
    delete(&mut lab).unwrap();
    assert_eq!(lab.get::<RunLedger>("r").unwrap().stop.unwrap().cause, StopCause::Deleted);
    assert_eq!(delete(&mut lab), Err(Code::GovernanceMissing));
    assert_eq!(start(&mut lab, "r2", "a", None), Err(Code::GovernanceMissing));
    assert_eq!(restore(&mut lab).unwrap()["name"], "Nightly");
    assert_eq!(restore(&mut lab), Err(Code::RestoreNotFound));
    delete(&mut lab).unwrap();
    lab.now_ms += 7 * DAY;
    assert_eq!(restore(&mut lab), Err(Code::RestoreExpired));
    due(&mut lab);
    assert!(lab.record("a").purged_at_ms.is_some());
    assert!(lab.has_event("purged") && lab.has_event("restored"));
    assert_eq!(restore(&mut lab), Err(Code::RestoreExpired));
    assert_eq!(lab.create(&human("ann"), "a"), Err(Code::AutomationAlreadyExists), "an id is not used twice");
}

#[test]
fn a_foreign_record_is_closed_until_somebody_has_looked() {
    let mut lab = Lab::new();
    lab.create(&human("ann"), "a").unwrap();
    give(&mut lab, "bot");
    // The row was copied from elsewhere.
    let plant = Call(|desk: &mut Desk<'_>| {
        let mut record = desk.get::<GovernanceRecord>("a")?.unwrap();
        record.tenant_context = TenantContext::explicit("evil", "main");
        desk.save(&record);
        Ok(())
    });
    lab.act(&human("ann"), plant).unwrap();
    assert_eq!(may(&mut lab, &human("ann"), Operation::Patch), Err(Code::TenantMismatch));
    due(&mut lab);
    let record = lab.record("a");
    assert!(record.modify_grants.is_empty() && record.creation_paused);
    assert_eq!(record.review_kind, Some(ReviewKind::TenantOwnershipMismatch));
    assert_eq!(may(&mut lab, &human("ann"), Operation::Patch), Err(Code::TenantQuarantined));
    lab.decide(&human("ben"), &review_id(&lab), true).unwrap();
    assert_eq!(start(&mut lab, "r", "a", None), Err(Code::RunBlocked));
    assert!(!lab.has_event("tenant_quarantine.restored"));
    resume(&mut lab, &human("ann")).unwrap();
    resume(&mut lab, &human("ann")).unwrap();
    let restored = lab.events().into_iter().filter(|event| event.ends_with("tenant_quarantine.restored"));
    assert_eq!(restored.count(), 1);
    start(&mut lab, "r", "a", None).unwrap();
}

#[test]
fn what_changes_a_record_is_told() {
    let mut lab = Lab::new();
    let told = |lab: &mut Lab| {
        let rows = std::mem::take(&mut lab.audit);
        rows.iter().filter(|row| row.event_type.ends_with("governance.record.updated")).count()
    };
    lab.create(&agent("own"), "a").unwrap();
    assert_eq!(told(&mut lab), 1, "made");
    start(&mut lab, "r", "a", None).unwrap();
    end(&mut lab, "r", RunEnd::Completed);
    check(&mut lab);
    assert_eq!(told(&mut lab), 0, "runs and checks change nothing");
    let grant = give(&mut lab, "bot");
    assert_eq!(told(&mut lab), 1, "granted");
    revoke(&mut lab, &grant).unwrap();
    assert_eq!(told(&mut lab), 1, "revoked");
    lab.decide(&human("ben"), &review_id(&lab), true).unwrap();
    resume(&mut lab, &human("ann")).unwrap();
    assert_eq!(told(&mut lab), 2, "acknowledged and resumed");
    lab.now_ms += 90 * DAY;
    due(&mut lab);
    extend(&mut lab, None).unwrap();
    assert_eq!(told(&mut lab), 2, "expired and extended");
}

#[test]
fn a_tool_server_that_goes_or_shrinks_pauses_who_could_use_it() {
    let narrowed = Loss::Narrowed { before: None, after: Some(vec!["read".into()]) };
    for (loss, trigger) in [
        (Loss::Removed, "mcp_server_removed"),
        (Loss::Disabled, "mcp_server_disabled"),
        (narrowed, "mcp_server_narrowed"),
    ] {
        let mut lab = Lab::new();
        for id in ["a", "b"] {
            lab.create(&human("ann"), id).unwrap();
            start(&mut lab, &format!("r-{id}"), id, None).unwrap();
            let mut automation: Automation = serde_json::from_value(snapshot(id)).unwrap();
            let mut worker = read::tests::automation().spec.agents[0].clone();
            worker.mcp_policy.allowed_servers = vec![if id == "a" { "gh".into() } else { "other".into() }];
            worker.mcp_policy.allowed_tools = None;
            automation.spec.agents = vec![worker];
            lab.put(&automation);
        }
        for id in ["a", "b", "none"] {
            let (base, automation_id, server) = (lab.base.clone(), id.to_owned(), "gh".to_owned());
            let lost = ServerLoss { base, automation_id, server, loss: loss.clone() };
            assert_eq!(lab.act(&human("ann"), lost).unwrap(), id == "a", "{id}");
        }
        let record = lab.record("a");
        assert_eq!(record.review_kind, Some(ReviewKind::DependencyRevoked));
        let evidence = record.health_findings[0].evidence.clone().unwrap();
        assert_eq!((&evidence["trigger"], &evidence["server"]), (&json!(trigger), &json!("gh")));
        assert_eq!(evidence["dependencyChanges"].as_array().unwrap().len(), 1);
        assert!(lab.get::<RunLedger>("r-a").unwrap().stop.is_some());
        assert!(!lab.record("b").review_required && lab.get::<RunLedger>("r-b").unwrap().stop.is_none());
    }
}

#[test]
fn a_paused_agent_stops_everything_and_the_time_is_measured() {
    let mut lab = Lab::new();
    lab.create(&agent("bot"), "a").unwrap();
    lab.create(&agent("other"), "b").unwrap();
    for (run, automation) in [("r1", "a"), ("r2", "a"), ("r3", "b")] {
        start(&mut lab, run, automation, None).unwrap();
        lab.queued(run, automation);
    }
    let base = lab.base.clone();
    let paused = lab.act(&system(), agents::Pause { base, agent_id: "bot".into(), reason: None }).unwrap();
    // Nobody works on runs here, so both have stopped at once.
    let pause = paused.pause.unwrap();
    assert_eq!((pause.runs_told, pause.runs_stopped, pause.telling), (2, 2, false));
    assert!(lab.get::<RunLedger>("r3").unwrap().stop.is_none());
    assert_eq!(lab.create(&agent("bot"), "c"), Err(Code::AgentCreationPaused));
    assert_eq!(may(&mut lab, &agent("bot"), Operation::Patch), Err(Code::AgentCreationPaused));
    assert_eq!(start(&mut lab, "r4", "a", None), Err(Code::RunBlocked));
    // One that was told by its report acknowledges later.
    let told = spend(&mut lab, "r3", 0.1);
    assert_eq!(told.stop, None);
    lab.act(&human("ann"), agents::Resume { agent_id: "bot".into() }).unwrap();
    start(&mut lab, "r4", "a", None).unwrap();
    assert!(lab.get::<RunLedger>("r1").unwrap().stop.is_some(), "each run is resumed by itself");
    let acknowledge = Call(|desk: &mut Desk<'_>| run::acknowledge(desk, "r1"));
    lab.act(&human("ann"), acknowledge).unwrap();
}

#[test]
fn a_warning_about_the_end_is_no_review_of_the_runs() {
    for answered in [false, true] {
        let mut lab = Lab::new();
        lab.limit(json!({ "run_review_threshold": 3 }));
        lab.create(&agent("bot"), "a").unwrap();
        lab.now_ms += 84 * DAY;
        let run = |lab: &mut Lab, run: &str| {
            start(lab, run, "a", None).unwrap();
            end(lab, run, RunEnd::Completed);
        };
        run(&mut lab, "r1");
        due(&mut lab);
        let plant = Call(|desk: &mut Desk<'_>| {
            let mut record = desk.get::<GovernanceRecord>("a")?.unwrap();
            let finding = NewFinding {
                kind: ReviewKind::HealthDrift,
                severity: Severity::Warning,
                summary: "odd",
                detail: None,
                run_id: None,
                evidence: json!({}),
            };
            review::find(desk, &mut record, finding);
            desk.save(&record);
            Ok(())
        });
        lab.act(&system(), plant).unwrap();
        let id = review_id(&lab);
        if answered {
            lab.decide(&human("ann"), &id, true).unwrap();
        } else {
            lab.now_ms += 72 * 3_600_000;
            let base = lab.base.clone();
            lab.act(&system(), Overdue { base, approval_id: id }).unwrap();
        }
        let record = lab.record("a");
        assert!(!record.review_required && record.warning_snoozed);
        assert_eq!((record.last_reviewed_at_ms, record.runs_since_review), (None, 1), "answered: {answered}");
        let open: Vec<ReviewKind> = record.health_findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(open, [ReviewKind::HealthDrift], "answered: {answered}");
        run(&mut lab, "r2");
        run(&mut lab, "r3");
        assert_eq!(lab.record("a").review_kind, Some(ReviewKind::RunDrift));
    }
}

#[test]
fn the_warning_about_the_end_gives_way_to_the_review_of_the_runs() {
    let mut lab = Lab::new();
    lab.limit(json!({ "run_review_threshold": 1 }));
    lab.create(&agent("bot"), "a").unwrap();
    lab.now_ms += 84 * DAY;
    due(&mut lab);
    let warning = review_id(&lab);
    start(&mut lab, "r", "a", None).unwrap();
    end(&mut lab, "r", RunEnd::Completed);
    assert_eq!(lab.record("a").review_kind, Some(ReviewKind::RunDrift));
    assert!(lab.get::<Approval>(&warning).unwrap().superseded);
}

#[test]
fn the_end_holds_before_the_sweep_has_noted_it() {
    let mut lab = Lab::new();
    lab.create(&agent("bot"), "a").unwrap();
    start(&mut lab, "r", "a", None).unwrap();
    lab.now_ms += 90 * DAY - 1;
    may(&mut lab, &agent("bot"), Operation::Patch).unwrap();
    start(&mut lab, "last", "a", None).unwrap();
    lab.now_ms += 1;
    assert!(lab.record("a").expired_at_ms.is_none(), "nothing has been swept");
    assert_eq!(start(&mut lab, "late", "a", None), Err(Code::RunBlocked));
    assert_eq!(may(&mut lab, &agent("bot"), Operation::Patch), Err(Code::AutomationExpired));
    assert_eq!(resume(&mut lab, &human("ann")), Err(Code::AutomationExpired));
    assert_eq!(spend(&mut lab, "r", 0.1).stop.map(|stop| stop.cause), Some(StopCause::Expired));
    extend(&mut lab, None).unwrap();
    start(&mut lab, "late", "a", None).unwrap();
}

#[test]
fn an_agent_that_works_for_many_is_paused_in_one_go() {
    let mut lab = Lab::new();
    for n in 0..40 {
        let (automation, run) = (format!("auto-{n}"), format!("run-{n}"));
        lab.create(&agent(&format!("payer-{n}")), &automation).unwrap();
        let (base, with) = (lab.base.clone(), vec!["shared".to_owned()]);
        lab.queued(&run, &automation);
        let start = RunStart { run_id: run, automation_id: automation, agents: with, ..RunStart::default() };
        lab.act(&human("ann"), Call(move |desk: &mut Desk<'_>| run::start(desk, &base, &start))).unwrap();
    }
    let base = lab.base.clone();
    let paused = lab.act(&human("ann"), agents::Pause { base, agent_id: "shared".into(), reason: None }).unwrap();
    assert_eq!(paused.pause.unwrap().runs_stopped, 40);
    assert!((0..40).all(|n| lab.agent_row(&format!("payer-{n}")).spend.reserved_usd.is_zero()));
}

#[test]
fn only_a_person_says_who_answers_for_an_agent() {
    let mut lab = Lab::new();
    lab.limit(json!({ "require_sponsor": true }));
    let enter = |lab: &mut Lab, by: &ActorRef| {
        let (agent_id, sponsor) = ("bot".to_owned(), Some("ann".to_owned()));
        code(lab.act(by, agents::Register { agent_id, display_name: None, owner: None, sponsor })).map(|_| ())
    };
    for by in [system(), agent("bot"), agent("other")] {
        assert_eq!(enter(&mut lab, &by), Err(Code::HumanRequired), "{by:?}");
    }
    assert_eq!(lab.create(&agent("bot"), "a").map(|_| ()), Err(Code::AgentSponsorRequired));
    enter(&mut lab, &human("ann")).unwrap();
    lab.create(&agent("bot"), "a").unwrap();
}

#[test]
fn retiring_and_extending_does_not_answer_a_revocation() {
    let mut lab = Lab::new();
    lab.create(&agent("own"), "a").unwrap();
    let grant = give(&mut lab, "bot");
    revoke(&mut lab, &grant).unwrap();
    let (base, automation_id) = (lab.base.clone(), "a".to_owned());
    lab.act(&human("ann"), lifecycle::Retire { base, automation_id, reason: None, approval_id: None }).unwrap();
    extend(&mut lab, None).unwrap();
    let record = lab.record("a");
    assert_eq!((record.review_kind, record.review_required), (Some(ReviewKind::DependencyRevoked), true));
    assert_eq!(resume(&mut lab, &human("ann")), Err(Code::AutomationReviewPending));
    assert_eq!(start(&mut lab, "r", "a", None), Err(Code::RunBlocked));
    lab.decide(&human("ben"), &review_id(&lab), true).unwrap();
    // Answered: a further extension asks nothing more.
    extend(&mut lab, None).unwrap();
    assert!(!lab.record("a").review_required);
    resume(&mut lab, &human("ann")).unwrap();
    start(&mut lab, "r", "a", None).unwrap();
}

#[test]
fn no_setting_lets_a_revocation_be_resumed_unanswered() {
    let mut lab = Lab::new();
    lab.limit(json!({ "run_blocking_reviews": [] }));
    lab.create(&human("ann"), "a").unwrap();
    let grant = give(&mut lab, "bot");
    revoke(&mut lab, &grant).unwrap();
    assert_eq!(resume(&mut lab, &human("ann")), Err(Code::AutomationReviewPending));
    lab.decide(&human("ben"), &review_id(&lab), true).unwrap();
    resume(&mut lab, &human("ann")).unwrap();
}

#[test]
fn a_foreign_record_without_an_end_is_found_as_well() {
    let mut lab = Lab::new();
    lab.create(&human("ann"), "a").unwrap();
    let plant = Call(|desk: &mut Desk<'_>| {
        let mut record = desk.get::<GovernanceRecord>("a")?.unwrap();
        record.tenant_context = TenantContext::explicit("evil", "main");
        desk.save(&record);
        Ok(())
    });
    lab.act(&human("ann"), plant).unwrap();
    assert!(lab.record("a").next_check_at_ms.is_none(), "the lifecycle sweep does not come to it");
    lab.now_ms += 1;
    check(&mut lab);
    let record = lab.record("a");
    assert_eq!(record.review_kind, Some(ReviewKind::TenantOwnershipMismatch));
    assert_eq!(record.health_last_checked_at_ms, Some(lab.now_ms));
    assert_eq!(may(&mut lab, &human("ann"), Operation::Patch), Err(Code::TenantQuarantined));
}

#[test]
fn extending_answers_what_was_asked_about_the_runs() {
    for (limits, last, kind) in [
        (json!({ "run_review_threshold": 5 }), RunEnd::Completed, ReviewKind::RunDrift),
        (json!({}), RunEnd::Failed, ReviewKind::HealthDrift),
    ] {
        let mut lab = Lab::new();
        lab.limit(limits);
        lab.create(&agent("bot"), "a").unwrap();
        for n in 0..5 {
            lab.now_ms += 1;
            start(&mut lab, &format!("r{n}"), "a", None).unwrap();
            end(&mut lab, &format!("r{n}"), last);
        }
        if kind == ReviewKind::HealthDrift {
            check(&mut lab);
        }
        assert_eq!(lab.record("a").review_kind, Some(kind));
        let asked = review_id(&lab);
        lab.now_ms += 1;
        extend(&mut lab, None).unwrap();
        let record = lab.record("a");
        assert!(!record.review_required && record.review_kind.is_none() && record.review_request_id.is_none());
        assert!(record.health_findings.is_empty() && record.last_reviewed_at_ms == Some(lab.now_ms));
        assert!(lab.get::<Approval>(&asked).unwrap().superseded);
        start(&mut lab, "next", "a", None).unwrap();
        end(&mut lab, "next", RunEnd::Completed);
        check(&mut lab);
        assert!(!lab.record("a").review_required, "{kind}: it is asked again only about what is new");
    }
}

#[test]
fn extending_a_draft_leaves_it_one() {
    for (before, held, after) in [
        (AutomationStatus::Draft, None, "draft"),
        (AutomationStatus::Active, None, "active"),
        (AutomationStatus::Paused, Some(AutomationStatus::Draft), "draft"),
        (AutomationStatus::Paused, None, "active"),
    ] {
        let mut lab = Lab::new();
        lab.create(&agent("bot"), "a").unwrap();
        let mut automation = Automation { automation_id: "a".into(), status: before, ..read::tests::automation() };
        automation.upkeep.status_before = held;
        lab.put(&automation);
        extend(&mut lab, None).unwrap();
        assert_eq!(lab.get::<Automation>("a").unwrap().status.word(), after, "{before}, {held:?}");
    }
}

#[test]
fn the_end_of_a_run_is_a_look_at_it_and_does_not_put_the_sweep_off() {
    let mut lab = Lab::new();
    lab.create(&agent("bot"), "a").unwrap();
    lab.now_ms += 1;
    check(&mut lab);
    let swept = lab.now_ms;
    lab.now_ms += 1;
    start(&mut lab, "r", "a", None).unwrap();
    end(&mut lab, "r", RunEnd::Completed);
    let record = lab.record("a");
    assert_eq!((record.health_last_checked_at_ms, record.swept_at_ms), (Some(lab.now_ms), Some(swept)));
    let column = GovernanceRecord::COLLECTION.columns.iter().position(|name| *name == "health_at_ms").unwrap();
    assert_eq!(record.columns()[column], Column::ms(swept));
}
