use proptest::prelude::*;

use super::*;
use crate::{
    actor::{ActorKind, ActorRef},
    automation::{read, run::record, spec::ExecutionProfile},
    tenant::TenantContext,
};

pub(crate) fn queued() -> Run {
    let automation = read::tests::automation();
    let by = ActorRef { kind: ActorKind::Human, actor_id: Some("ann".into()), source: None };
    let make = record::Make {
        run_id: "automation-v2-run-1".into(),
        tenant: &TenantContext::local(),
        trigger_type: "manual",
        reason: None,
        profile: None,
        default_profile: ExecutionProfile::Guided,
        automation_version: 1,
        lineage: vec!["builder".into()],
        by: &by,
        dry: false,
        now_ms: 1_000,
    };
    record::make(&automation, make)
}

fn claim(epoch: u64) -> Claim {
    Claim::new(format!("claim-{epoch}"), "executor-1", Some(10_000), epoch, 1_000)
}

fn gate() -> Gate {
    Gate {
        node_id: "b".into(),
        transition_id: "t".into(),
        expires_at_ms: None,
        consequential: false,
        requested_at_ms: 0,
        extra: Default::default(),
    }
}

fn decided(decision: gate::GateDecision) -> Event {
    let by = ActorRef { kind: ActorKind::Human, actor_id: Some("bob".into()), source: None };
    Event::GateDecided(gate::Decided {
        node_id: "b".into(),
        decision,
        reason: None,
        transition_id: "t".into(),
        decided_by: by,
        decided_at_ms: 0,
    })
}

fn failed() -> Event {
    failed_at(Some("a"))
}

fn failed_at(node: Option<&str>) -> Event {
    let failure = LastFailure {
        node_id: node.map(str::to_owned),
        reason: "it broke".into(),
        failed_at_ms: 1,
        failure_kind: None,
        metadata: None,
    };
    Event::Failed { failure, stop_kind: None }
}

/// A run in this status, with an executor or without.
fn run_in(status: RunStatus, held: bool) -> Run {
    let mut run = queued();
    run.status = status;
    run.execution_claim = held.then(|| claim(1));
    run.checkpoint.awaiting_gate = (status == RunStatus::AwaitingApproval).then(gate);
    run
}

fn every_event() -> Vec<Event> {
    let reason = None::<String>;
    vec![
        Event::Claimed(claim(2)),
        Event::Begun,
        Event::Pause { reason: reason.clone() },
        Event::Stop { kind: StopKind::GuardrailStopped, reason: "cap".into() },
        Event::StopAcknowledged,
        Event::Resume { reason: reason.clone() },
        Event::Cancel { reason: reason.clone() },
        Event::Recover { reason: reason.clone(), again: Vec::new() },
        Event::Completed { detail: None },
        failed(),
        Event::Blocked { detail: None },
        Event::GateReached(gate()),
        decided(gate::GateDecision::Approve),
        decided(gate::GateDecision::Rework),
        decided(gate::GateDecision::Cancel),
        Event::LeaseLost,
        Event::StopInAnswer { kind: StopKind::GuardrailStopped, reason: "cap".into() },
    ]
}

/// The whole table, as it is meant. Columns: queued running pausing paused awaiting completed blocked failed cancelled;
/// `-` refuses, a capital letter names the status that follows.
#[test]
fn the_table() {
    let held = [
        ("Claimed", "R--------"),
        ("Begun", "RR-------"),
        ("Pause", "PS-------"),
        ("Stop", "PSSPP----"),
        ("StopAcknowledged", "--PP-CBFX"),
        ("Resume", "---Q-----"),
        ("Cancel", "XXXXX----"),
        ("Recover", "---Q--QQ-"),
        ("Completed", "CCCC-----"),
        ("Failed", "FFFF-----"),
        ("Blocked", "BBBB-----"),
        ("GateReached", "AAPP-----"),
        ("Approve", "----Q----"),
        ("Rework", "----Q----"),
        ("GateCancel", "----X----"),
        ("LeaseLost", "QFPPACBFX"),
        ("StopInAnswer", "PPPPP----"),
    ];
    let unheld = [
        ("Pause", "PP-------"),
        ("Stop", "PPPPP----"),
        ("Completed", "CCC------"),
        ("Failed", "FFF------"),
        ("Blocked", "BBB------"),
        ("GateReached", "AAP------"),
        ("LeaseLost", "---------"),
    ];
    let letter = |status: RunStatus| match status {
        RunStatus::Queued => 'Q',
        RunStatus::Running => 'R',
        RunStatus::Pausing => 'S',
        RunStatus::Paused => 'P',
        RunStatus::AwaitingApproval => 'A',
        RunStatus::Completed => 'C',
        RunStatus::Blocked => 'B',
        RunStatus::Failed => 'F',
        RunStatus::Cancelled => 'X',
    };
    for (n, event) in every_event().into_iter().enumerate() {
        let (name, with) = held[n];
        let without = unheld.iter().find(|(other, _)| *other == name).map_or(with, |(_, row)| row);
        for (row, is_held) in [(with, true), (without, false)] {
            let found: String = RunStatus::ALL
                .iter()
                .map(|status| {
                    let mut run = run_in(*status, is_held);
                    let before = run.clone();
                    match transition(&mut run, event.clone(), 2_000) {
                        Ok(()) => letter(run.status),
                        Err(_) => {
                            assert_eq!(run, before, "a refusal changes nothing");
                            '-'
                        }
                    }
                })
                .collect();
            assert_eq!(found, row, "{name}, held: {is_held}");
        }
    }
}

#[test]
fn a_completed_run_with_blocked_nodes_can_be_recovered() {
    let mut run = run_in(RunStatus::Completed, false);
    run.checkpoint.completed_nodes = vec!["a".into()];
    run.checkpoint.pending_nodes = vec!["c".into()];
    run.checkpoint.blocked_nodes = vec!["b".into()];
    let again = recover::again(&run, &read::tests::automation().spec.flow.nodes);
    transition(&mut run, Event::Recover { reason: None, again }, 9).unwrap();
    assert_eq!((run.status, run.finished_at_ms), (RunStatus::Queued, None));
    assert_eq!(run.checkpoint.pending_nodes, ["c", "b"]);
    assert!(run.checkpoint.blocked_nodes.is_empty());
}

#[test]
fn what_was_done_on_top_of_a_failed_node_is_done_again() {
    // c depends on b, and b on a.
    let flow = read::tests::automation().spec.flow.nodes;
    for (failed, again, left) in [("a", vec!["a", "b", "c"], vec![]), ("b", vec!["b", "c"], vec!["a"])] {
        let mut run = run_in(RunStatus::Running, true);
        run.checkpoint.pending_nodes.clear();
        run.checkpoint.completed_nodes = ["a", "b", "c"].map(str::to_owned).to_vec();
        run.checkpoint.node_outputs = run.checkpoint.completed_nodes.iter().map(|id| (id.clone(), 1.into())).collect();
        let Event::Failed { failure, .. } = failed_at(Some(failed)) else { panic!() };
        transition(&mut run, Event::Failed { failure, stop_kind: None }, 5).unwrap();
        let told = recover::again(&run, &flow);
        assert_eq!(told, again);
        transition(&mut run, Event::Recover { reason: None, again: told }, 9).unwrap();
        assert_eq!(
            (run.checkpoint.pending_nodes.clone(), run.checkpoint.completed_nodes.clone()),
            (
                again.iter().map(|id| (*id).to_owned()).collect(),
                left.iter().map(|id: &&str| (*id).to_owned()).collect(),
            )
        );
        assert_eq!(run.checkpoint.node_outputs.keys().collect::<Vec<_>>(), left);
    }
    let mut run = run_in(RunStatus::Paused, false);
    run.checkpoint.pending_nodes = vec!["a".into()];
    run.checkpoint.blocked_nodes = vec!["a".into()];
    assert_eq!(recover::again(&run, &flow), ["a"], "a node that the run never had does not come into it");
}

#[test]
fn a_recovery_needs_something_to_go_by() {
    use recover::{Nothing, ground};
    let ended = |event: Event| {
        let mut run = queued();
        transition(&mut run, event, 5).unwrap();
        run
    };
    assert_eq!(ground(&ended(failed_at(Some("a")))), Ok(()));
    assert_eq!(ground(&ended(failed_at(None))), Err(Nothing::FailureContextMissing));
    let mut blocked = ended(Event::Blocked { detail: None });
    assert_eq!(ground(&blocked), Err(Nothing::BlockedContextMissing), "nodes are pending, and none is blocked");
    blocked.checkpoint.blocked_nodes.push("b".into());
    assert_eq!(ground(&blocked), Ok(()));
    let mut bare = ended(failed_at(None));
    bare.checkpoint.pending_nodes.clear();
    assert_eq!(ground(&bare), Ok(()), "a run without nodes is done again");
}

#[test]
fn a_stop_in_the_answer_pauses_at_once_and_is_still_heard() {
    let stop = || Event::StopInAnswer { kind: StopKind::GuardrailStopped, reason: "cap reached".into() };
    let stopped = || {
        let mut run = queued();
        transition(&mut run, Event::Claimed(claim(1)), 1_000).unwrap();
        transition(&mut run, stop(), 2_000).unwrap();
        assert_eq!((run.status, run.stop_kind), (RunStatus::Paused, Some(StopKind::GuardrailStopped)));
        assert!(run.execution_claim.is_some() && run.stop_order.as_ref().unwrap().is_open());
        run
    };
    let mut heard = stopped();
    transition(&mut heard, Event::StopAcknowledged, 2_400).unwrap();
    assert_eq!((heard.status, heard.execution_claim.is_none()), (RunStatus::Paused, true));
    assert_eq!(heard.stop_order.unwrap().acknowledged_after_ms, Some(400));
    let mut silent = stopped();
    transition(&mut silent, Event::LeaseLost, 12_000).unwrap();
    assert_eq!((silent.status, silent.stop_kind), (RunStatus::Paused, Some(StopKind::GuardrailStopped)));
    assert!(silent.stop_order.unwrap().by_lease);
    // Resumed before the word came: whoever held it has lost it.
    let mut resumed = stopped();
    transition(&mut resumed, Event::Resume { reason: None }, 2_400).unwrap();
    assert_eq!((resumed.status, resumed.execution_claim, resumed.stop_order), (RunStatus::Queued, None, None));
    // A second stop takes nothing from the first.
    let mut twice = stopped();
    transition(&mut twice, Event::Stop { kind: StopKind::OperatorStopped, reason: "retired".into() }, 2_400).unwrap();
    assert_eq!((twice.status, twice.execution_claim.is_some()), (RunStatus::Paused, true));
    assert_eq!(twice.stop_order.unwrap().requested_at_ms, 2_000);
}

#[test]
fn a_stop_reaches_the_executor_and_its_time_is_measured() {
    let mut run = queued();
    transition(&mut run, Event::Claimed(claim(1)), 1_000).unwrap();
    transition(&mut run, Event::Pause { reason: Some("lunch".into()) }, 2_000).unwrap();
    assert_eq!(run.status, RunStatus::Pausing);
    // A graver reason takes over; the clock goes on from the first asking.
    transition(&mut run, Event::Stop { kind: StopKind::GuardrailStopped, reason: "cap reached".into() }, 2_500)
        .unwrap();
    let order = run.stop_order.as_ref().unwrap();
    assert_eq!((order.kind, order.requested_at_ms), (StopKind::GuardrailStopped, 2_000));
    transition(&mut run, Event::StopAcknowledged, 3_400).unwrap();
    let order = run.stop_order.as_ref().unwrap();
    assert_eq!((order.acknowledged_after_ms, order.by_lease), (Some(1_400), false));
    assert_eq!((run.status, run.execution_claim.is_none()), (RunStatus::Paused, true));
    transition(&mut run, Event::Resume { reason: None }, 4_000).unwrap();
    assert_eq!((run.stop_kind, &run.stop_reason, &run.pause_reason), (None, &None, &None));
    transition(&mut run, Event::Claimed(claim(2)), 4_100).unwrap();
    assert!(run.stop_order.is_some(), "a measured stop stays to be seen");
}

#[test]
fn a_lost_executor_fails_its_run_and_the_run_says_so() {
    let mut run = queued();
    transition(&mut run, Event::Claimed(claim(1)), 1_000).unwrap();
    transition(&mut run, Event::LeaseLost, 12_000).unwrap();
    assert_eq!((run.status, run.stop_kind), (RunStatus::Failed, Some(StopKind::StaleReaped)));
    assert!(run.detail.as_deref().unwrap().contains("executor-1"));
    let failure = run.checkpoint.last_failure.as_ref().unwrap();
    assert_eq!(failure.failure_kind.as_deref(), Some("executor_lost"));
    assert_eq!(run.finished_at_ms, Some(12_000));
}

#[test]
fn a_gate_goes_on_or_back_or_ends() {
    for (answer, status, done) in [
        (gate::GateDecision::Approve, RunStatus::Queued, true),
        (gate::GateDecision::Rework, RunStatus::Queued, false),
        (gate::GateDecision::Cancel, RunStatus::Cancelled, false),
    ] {
        let mut run = queued();
        transition(&mut run, Event::Claimed(claim(1)), 1_000).unwrap();
        transition(&mut run, Event::GateReached(gate()), 1_500).unwrap();
        assert!(run.execution_claim.is_none(), "while a person thinks, nobody works");
        transition(&mut run, decided(answer), 2_000).unwrap();
        assert_eq!((run.status, run.checkpoint.awaiting_gate.is_none()), (status, true));
        assert_eq!(run.checkpoint.completed_nodes.contains(&"b".to_owned()), done);
        assert_eq!(run.checkpoint.gate_history.len(), 1);
    }
}

#[test]
fn gates_are_judged_before_anything_happens() {
    let who = |kind, id: &str| ActorRef { kind, actor_id: Some(id.into()), source: None };
    let mut run = run_in(RunStatus::AwaitingApproval, false);
    run.checkpoint.awaiting_gate = Some(Gate { consequential: true, expires_at_ms: Some(5_000), ..gate() });
    let human = |id| who(ActorKind::Human, id);
    use gate::{GateDecision as D, Refusal as R, judge};
    assert!(judge(&run, &human("bob"), D::Approve, None, 4_999).is_ok());
    assert!(judge(&run, &human("bob"), D::Approve, Some("t"), 1).is_ok());
    let refused = |run: &Run, by: &ActorRef, decision, named, at| judge(run, by, decision, named, at).unwrap_err();
    assert_eq!(refused(&run, &who(ActorKind::Agent, "bob"), D::Approve, None, 1), R::HumanRequired);
    assert_eq!(refused(&run, &who(ActorKind::System, "bob"), D::Cancel, None, 1), R::HumanRequired);
    assert_eq!(refused(&run, &human("bob"), D::Approve, Some("earlier"), 1), R::Superseded);
    assert_eq!(refused(&run, &human("bob"), D::Approve, None, 5_000), R::Expired);
    // Who asked for the run, and the agents behind it, in any casing.
    assert_eq!(refused(&run, &human(" ANN "), D::Approve, None, 1), R::SelfApproval);
    assert_eq!(refused(&run, &human("Builder"), D::Approve, None, 1), R::SelfApproval);
    assert!(judge(&run, &human("ann"), D::Rework, None, 1).is_ok(), "only approving is restricted");
    run.checkpoint.awaiting_gate = None;
    assert_eq!(refused(&run, &human("bob"), D::Approve, None, 1), R::Missing);
    assert_eq!(refused(&queued(), &human("bob"), D::Approve, None, 1), R::NotAwaiting);
}

proptest! {
    /// Whatever happens in whatever order: the books fit the status.
    #[test]
    fn the_books_fit_the_status(events in proptest::collection::vec(0..17_usize, 0..40)) {
        let all = every_event();
        let mut run = queued();
        let mut now = 1_000;
        for n in events {
            now += 10;
            let before = run.status;
            let event = all[n].clone();
            let recovers = matches!(event, Event::Recover { .. });
            let changed = transition(&mut run, event, now).is_ok();
            if before.is_terminal() && run.status != before {
                prop_assert!(changed && recovers, "{before} was left");
            }
            prop_assert_eq!(run.finished_at_ms.is_some(), run.status.is_terminal(), "{}", run.status);
            prop_assert_eq!(run.checkpoint.awaiting_gate.is_some(), run.status == RunStatus::AwaitingApproval);
            if matches!(run.status, RunStatus::Queued | RunStatus::AwaitingApproval) {
                prop_assert!(run.execution_claim.is_none(), "{} and held", run.status);
            }
            let told = run.stop_order.as_ref().is_some_and(|order| order.is_open());
            if run.status == RunStatus::Pausing {
                prop_assert!(run.execution_claim.is_some() && told);
            }
            if run.status == RunStatus::Paused {
                prop_assert_eq!(run.execution_claim.is_some(), told, "who keeps a claim has an order to hear");
            }
            if run.status == RunStatus::Queued {
                prop_assert!(!told);
            }
            prop_assert!(run.checkpoint.lifecycle_history.len() <= 60);
            prop_assert_eq!(&run.checkpoint.lifecycle_history[0].event, "run_created");
        }
    }
}
