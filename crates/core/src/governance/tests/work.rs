//! Executors that act for agents: who may take a run, who is heard, and how a stop comes to them.

use serde_json::{Value, json};

use super::{
    lab::{Call, Lab, agent, human, system},
    spending::start,
};
use crate::{
    actor::ActorRef,
    automation::{
        act::{
            change::Patch,
            claim::{ClaimRuns, Lent},
            control::{Control, Verb},
            create::Create,
            gate::DecideGate,
            heartbeat::{Beat, Heartbeat},
            report::{Answer, TakeReport},
        },
        admission::Claims,
        read,
        run::{Run, RunStatus, StopKind, gate::GateDecision, report},
        spec::Automation,
    },
    decide::Desk,
    error::{Code, Failure},
    governance::{
        agent::Agent,
        agents, deletion, grant,
        ledger::RunLedger,
        lifecycle,
        run::{self, RunStart},
    },
};

/// A queued run `r` of `a`, in which `worker` takes part.
fn queued(lab: &mut Lab) {
    let base = lab.base.clone();
    let agents = vec!["worker".to_owned()];
    let start = RunStart { run_id: "r".into(), automation_id: "a".into(), agents, ..RunStart::default() };
    lab.act(&human("ann"), Call(move |desk: &mut Desk<'_>| run::start(desk, &base, &start))).unwrap();
    lab.queued("r", "a");
}

fn lab(creator: &ActorRef) -> Lab {
    let mut lab = Lab::new();
    lab.create(creator, "a").unwrap();
    lab.put(&Automation { automation_id: "a".into(), ..read::tests::automation() });
    queued(&mut lab);
    lab
}

fn ask(lab: &mut Lab, by: &ActorRef, run_id: Option<&str>) -> Result<Lent, Failure> {
    let claim = ClaimRuns {
        claimant_id: "x".into(),
        lease_ms: None,
        run_id: run_id.map(str::to_owned),
        automation_id: None,
        limit: 1,
        base: lab.base.clone(),
    };
    lab.act(by, claim)
}

fn claim(lab: &mut Lab, by: &ActorRef) -> String {
    let mut lent = ask(lab, by, Some("r")).unwrap();
    lent.runs.pop().and_then(|run| run.execution_claim).expect("it is lent").claim_id
}

fn beat(lab: &mut Lab, by: &ActorRef, claim_id: &str, stop_acknowledged: bool) -> Result<Beat, Code> {
    let beat = Heartbeat { run_id: "r".into(), claim_id: claim_id.into(), lease_ms: None, stop_acknowledged };
    lab.act(by, beat).map_err(|failure| failure.code)
}

fn tell(lab: &mut Lab, by: &ActorRef, body: Value) -> Result<Answer, Code> {
    let (run_id, report, base) = ("r".to_owned(), report::read(body).unwrap(), lab.base.clone());
    lab.act(by, TakeReport { run_id, report, base }).map_err(|failure| failure.code)
}

fn control(lab: &mut Lab, by: &ActorRef, verb: Verb) -> Result<bool, Code> {
    let control = Control { run_id: "r".into(), verb, reason: None, base: lab.base.clone() };
    lab.act(by, control).map(|done| done.already_terminal).map_err(|failure| failure.code)
}

fn give(lab: &mut Lab, to: &str) -> Value {
    let (base, automation_id, agent_id) = (lab.base.clone(), "a".to_owned(), to.to_owned());
    let give = grant::Give { base, automation_id, agent_id, reason: None, approval_id: None };
    lab.act(&human("ann"), give).unwrap()
}

fn retire(lab: &mut Lab) {
    let (base, automation_id) = (lab.base.clone(), "a".to_owned());
    lab.act(&human("ann"), lifecycle::Retire { base, automation_id, reason: None, approval_id: None }).unwrap();
}

fn delete(lab: &mut Lab) {
    let base = lab.base.clone();
    let snapshot = super::lab::snapshot("a");
    let call = Call(move |desk: &mut Desk<'_>| deletion::delete(desk, &base, "a", snapshot.clone()));
    lab.act(&human("ann"), call).unwrap();
}

fn pause_agents(lab: &mut Lab) {
    for id in ["bot", "worker"] {
        let base = lab.base.clone();
        lab.act(&human("ann"), agents::Pause { base, agent_id: id.into(), reason: None }).unwrap();
    }
}

#[test]
fn whoever_works_on_a_run_is_told_to_stop_whatever_stopped_it() {
    for (about, stop) in [("retired", retire as fn(&mut Lab)), ("deleted", delete), ("paused", pause_agents)] {
        for by in [agent("bot"), agent("worker")] {
            let mut lab = lab(&agent("bot"));
            let claim_id = claim(&mut lab, &by);
            stop(&mut lab);
            let told = beat(&mut lab, &by, &claim_id, false).unwrap_or_else(|code| panic!("{about}: {code:?}"));
            assert!(told.directives.stop, "{about}");
            let usage =
                json!({ "report_id": "1", "claim_id": claim_id, "usage": { "total_tokens": 5, "cost_usd": 1.5 } });
            assert!(tell(&mut lab, &by, usage).unwrap().directives.stop, "{about}");
            assert!(!lab.get::<RunLedger>("r").unwrap().spent_usd.is_zero(), "{about}: what was spent was spent");
            let heard = beat(&mut lab, &by, &claim_id, true).unwrap().run;
            assert_eq!(heard.status, RunStatus::Paused, "{about}");
            assert!(heard.stop_order.is_some_and(|order| !order.is_open()), "{about}");
            // Nobody begins anything with it.
            assert!(control(&mut lab, &by, Verb::Resume).is_err(), "{about}");
        }
    }
}

#[test]
fn whoever_takes_part_may_work_and_nobody_else() {
    let cases = [("worker", Ok(())), ("stranger", Err(Code::ModifyForbidden))];
    for (id, expected) in cases {
        let mut lab = lab(&human("ann"));
        let by = agent(id);
        assert_eq!(ask(&mut lab, &by, None).unwrap().runs.len(), usize::from(expected.is_ok()), "{id}");
        let mut lab = self::lab(&human("ann"));
        assert_eq!(ask(&mut lab, &by, Some("r")).map(|_| ()).map_err(|failure| failure.code), expected, "{id}");
        let body = json!({ "report_id": "1", "usage": { "total_tokens": 5 } });
        assert_eq!(tell(&mut lab, &by, body).map(|_| ()), expected, "{id}");
        assert_eq!(control(&mut lab, &by, Verb::Cancel), Err(Code::ModifyForbidden), "working is not controlling");
    }
    assert!({
        let mut lab = lab(&human("ann"));
        let _ = ask(&mut lab, &agent("stranger"), Some("r"));
        lab.has_event("denied")
    });
    // A pause keeps an agent from beginning, by whatever right.
    let mut lab = lab(&human("ann"));
    give(&mut lab, "helper");
    let base = lab.base.clone();
    lab.act(&human("ann"), agents::Pause { base, agent_id: "helper".into(), reason: None }).unwrap();
    assert_eq!(ask(&mut lab, &agent("helper"), Some("r")).unwrap_err().code, Code::AgentCreationPaused);
    assert!(ask(&mut lab, &agent("helper"), None).unwrap().runs.is_empty());
}

#[test]
fn a_revoked_grant_leaves_its_holder_the_last_word() {
    let mut lab = lab(&human("ann"));
    let granted = give(&mut lab, "helper");
    let by = agent("helper");
    let claim_id = claim(&mut lab, &by);
    let grant_id = granted["grant_id"].as_str().unwrap().to_owned();
    let (base, automation_id) = (lab.base.clone(), "a".to_owned());
    lab.act(&human("ann"), grant::Revoke { base, automation_id, grant_id, reason: None, approval_id: None }).unwrap();
    assert_eq!(beat(&mut lab, &by, "claim-of-another", false).err(), Some(Code::ModifyForbidden));
    assert!(beat(&mut lab, &by, &claim_id, true).unwrap().directives.stop);
    assert_eq!(beat(&mut lab, &by, &claim_id, false).err(), Some(Code::ModifyForbidden), "nothing is left to be told");
}

#[test]
fn a_cap_pauses_the_run_that_reached_it_and_tells_its_executor() {
    let mut lab = Lab::new();
    lab.limit(json!({ "weekly_spend_cap_usd": 10 }));
    lab.create(&agent("bot"), "a").unwrap();
    queued(&mut lab);
    let by = system();
    let claim_id = claim(&mut lab, &by);
    let spent = json!({ "report_id": "1", "claim_id": claim_id, "usage": { "total_tokens": 5, "cost_usd": 10.25 } });
    let told = tell(&mut lab, &by, spent.clone()).unwrap();
    assert!(told.directives.stop);
    assert_eq!((told.run.status, told.run.stop_kind), (RunStatus::Paused, Some(StopKind::GuardrailStopped)));
    let history = &told.run.checkpoint.lifecycle_history;
    assert!(history.iter().any(|line| line.event == "run_paused_spend_cap_exceeded"));
    let stop = |lab: &Lab| lab.get::<RunLedger>("r").unwrap().stop.unwrap();
    assert_eq!(stop(&lab).acknowledged_at_ms, None, "its executor has not said so");
    assert!(tell(&mut lab, &by, spent).unwrap().directives.stop, "told again");
    lab.now_ms += 300;
    assert_eq!(beat(&mut lab, &by, &claim_id, true).unwrap().run.status, RunStatus::Paused);
    assert_eq!(stop(&lab).acknowledged_after_ms, Some(300));
}

#[test]
fn a_late_bill_that_reaches_the_cap_is_no_word_of_the_holder() {
    let mut lab = Lab::new();
    lab.limit(json!({ "weekly_spend_cap_usd": 10 }));
    lab.create(&agent("bot"), "a").unwrap();
    queued(&mut lab);
    let claim_id = claim(&mut lab, &system());
    let bill = json!({ "report_id": "1", "claim_id": "old", "usage": { "total_tokens": 5, "cost_usd": 10.25 } });
    assert_eq!(tell(&mut lab, &system(), bill).unwrap().run.status, RunStatus::Pausing);
    assert!(beat(&mut lab, &system(), &claim_id, false).unwrap().directives.stop);
}

#[test]
fn a_run_that_may_not_start_is_held_and_says_why() {
    for named in [true, false] {
        let mut lab = lab(&agent("bot"));
        lab.limit(json!({ "run_review_threshold": 1 }));
        start(&mut lab, "other", "a", None).unwrap();
        super::spending::end(&mut lab, "other", crate::governance::ledger::RunEnd::Completed);
        let review = lab.record("a").review_request_id.expect("a review is open");
        let lent = ask(&mut lab, &human("ann"), named.then_some("r")).unwrap();
        assert!(lent.runs.is_empty());
        if named {
            let why = lent.held.expect("it was named");
            assert_eq!(why.code, Code::RunBlocked);
            assert_eq!(why.extra.get("reviewKind"), Some(&json!("run_drift")));
            assert_eq!(why.extra.get("reviewRequestID"), Some(&json!(review)));
            assert_eq!(why.extra.get("runID"), Some(&json!("r")));
        } else {
            assert!(lent.held.is_none());
        }
        let run: Run = lab.get("r").unwrap();
        assert_eq!(run.status, RunStatus::Paused);
        let last = run.checkpoint.lifecycle_history.last().unwrap();
        assert_eq!(last.event, "run_launch_held");
    }
}

#[test]
fn cancelling_what_has_ended_changes_nothing_also_where_the_automation_is_gone() {
    let mut lab = lab(&human("ann"));
    assert_eq!(control(&mut lab, &human("ann"), Verb::Cancel), Ok(false));
    delete(&mut lab);
    assert_eq!(control(&mut lab, &human("ann"), Verb::Cancel), Ok(true));
}

#[test]
fn a_recovery_follows_the_flow() {
    let mut lab = lab(&human("ann"));
    let done =
        json!({ "report_id": "1", "completed_nodes": ["a", "b", "c"], "node_outputs": { "a": 1, "b": 2, "c": 3 } });
    tell(&mut lab, &system(), done).unwrap();
    tell(&mut lab, &system(), json!({ "report_id": "2", "status": "failed", "node_id": "b", "detail": "no" })).unwrap();
    control(&mut lab, &human("ann"), Verb::Recover).unwrap();
    let checkpoint = lab.get::<Run>("r").unwrap().checkpoint;
    assert_eq!(
        (checkpoint.completed_nodes, checkpoint.pending_nodes),
        (vec!["a".into()], vec!["b".into(), "c".into()])
    );
    tell(&mut lab, &system(), json!({ "report_id": "3", "status": "failed", "detail": "no" })).unwrap();
    assert_eq!(control(&mut lab, &human("ann"), Verb::Recover), Err(Code::RunFailureContextMissing));
}

#[test]
fn a_gate_stands_at_a_node_of_the_automation() {
    for (node, expected) in [("b", Ok(())), ("gone", Err(Code::GateNodeNotFound))] {
        let mut lab = lab(&human("ann"));
        let asks = json!({ "report_id": "1", "status": "awaiting_approval", "awaiting_gate": { "node_id": node } });
        tell(&mut lab, &system(), asks).unwrap();
        let (run_id, base) = ("r".to_owned(), lab.base.clone());
        let gate = DecideGate { run_id, answer: GateDecision::Approve, reason: None, transition_id: None, base };
        assert_eq!(lab.act(&human("ben"), gate).map(|_| ()).map_err(|failure| failure.code), expected);
    }
}

#[test]
fn whoever_may_not_is_told_so_before_anything_is_read() {
    let mut lab = lab(&human("ann"));
    let patch = |lab: &mut Lab, by: &ActorRef, body: Value, if_match: Option<&str>| {
        let (automation_id, base) = ("a".to_owned(), lab.base.clone());
        let patch = Patch { automation_id, body, if_match: if_match.map(str::to_owned), base };
        lab.act(by, patch).map(|_| ()).map_err(|failure| failure.code)
    };
    for (body, if_match, for_people) in [
        (json!([]), None, Code::ValidationFailed),
        (json!({ "name": "" }), None, Code::AutomationUpdateFailed),
        (json!({}), Some("\"7\""), Code::PreconditionFailed),
    ] {
        assert_eq!(patch(&mut lab, &agent("bot"), body.clone(), if_match), Err(Code::ModifyForbidden), "{body}");
        assert_eq!(patch(&mut lab, &human("ann"), body.clone(), if_match), Err(for_people), "{body}");
    }
    let create = |lab: &mut Lab, by: &ActorRef| {
        let create =
            Create { body: json!({ "name": "" }), claims: Claims::default(), key: None, base: lab.base.clone() };
        lab.act(by, create).map(|_| ()).map_err(|failure| failure.code)
    };
    assert_eq!(create(&mut lab, &agent("bot")), Err(Code::AutomationCreateFailed));
    assert!(lab.all::<Agent>().is_empty(), "nothing is kept of it");
    pause_agents(&mut lab);
    assert_eq!(create(&mut lab, &agent("bot")), Err(Code::AgentCreationPaused));
}
