use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::automation::run::{claim::Claim, transition::tests::queued};

fn claimed() -> Run {
    let mut run = queued();
    let claim = Claim::new("claim-1".into(), "x", Some(10_000), 1, 1_000);
    transition(&mut run, Event::Claimed(claim), 1_000).unwrap();
    run
}

fn report(body: Value) -> Report {
    read(body).unwrap()
}

fn held(more: Value) -> Report {
    let mut body = json!({"report_id": "r", "claim_id": "claim-1"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    report(body)
}

#[test]
fn nothing_is_paid_back() {
    let report = read(json!({"report_id": "r", "usage": {"total_tokens": 3, "cost_usd": -0.5}})).unwrap();
    let usage = report.usage.unwrap();
    assert_eq!((usage.total_tokens, usage.cost_usd), (3, None));
}

#[test]
fn reports_that_cannot_be_read() {
    for (body, is_shape) in [
        (json!([]), true),
        (json!({"status": "completed"}), false),
        (json!({"report_id": " "}), false),
        (json!({"report_id": "r", "status": "queued"}), true),
        (json!({"report_id": "r", "usage": {"total_tokens": -1}}), true),
        (json!({"report_id": "r", "status": "awaiting_approval"}), false),
        (json!({"report_id": "x".repeat(201)}), false),
    ] {
        let defect = read(body.clone()).unwrap_err();
        assert_eq!(matches!(defect, Defect::Shape { .. }), is_shape, "{body}: {defect:?}");
    }
}

#[test]
fn both_casings_are_one_report_and_secrets_do_not_stay() {
    let secret = "password=hunter2-hunter2";
    let snake = report(json!({"report_id": "r", "claim_id": "c", "last_failure": {"node_id": "a", "reason": secret},
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 1}, "node_outputs": {"a": {"log": secret}}}));
    let camel = report(json!({"reportId": "r", "claimID": "c", "lastFailure": {"nodeId": "a", "reason": secret},
        "usage": {"promptTokens": 3, "completionTokens": 4, "totalTokens": 1}, "nodeOutputs": {"a": {"log": secret}}}));
    assert_eq!(snake, camel);
    assert_eq!(snake.digest(), camel.digest());
    assert_eq!(snake.usage.as_ref().unwrap().total_tokens, 7, "raised to the sum");
    assert!(!serde_json::to_string(&snake).unwrap().contains("hunter2"));
}

#[test]
fn progress_is_booked_and_completes() {
    let mut run = claimed();
    let usage = json!({"usage": {"total_tokens": 100}, "completed_nodes": ["a"], "node_outputs": {"a": "done"}, "session_id": "s", "node_attempts": {"a": 2}});
    apply(&mut run, &held(usage), 0.25, 5_000).unwrap();
    assert_eq!((run.total_tokens, run.estimated_cost_usd, run.report_count), (100, 0.25, 1));
    assert_eq!(run.checkpoint.pending_nodes, ["b", "c"]);
    assert_eq!(run.execution_claim.as_ref().unwrap().lease_expires_at_ms, 15_000, "a report is a sign of life");
    apply(&mut run, &held(json!({"node_attempts": {"a": 1}})), 0.0, 5_001).unwrap();
    assert_eq!(run.checkpoint.node_attempts["a"], 2, "attempts never fall");
    apply(&mut run, &held(json!({"status": "completed"})), 0.0, 6_000).unwrap();
    assert_eq!((run.status, run.execution_claim.is_none()), (RunStatus::Completed, true));
}

#[test]
fn an_ended_run_takes_in_what_it_cost_and_nothing_else() {
    let mut run = claimed();
    transition(&mut run, Event::Cancel { reason: None }, 2_000).unwrap();
    let told = directives(&run, Some("claim-1"));
    assert_eq!((told.stop, told.kind), (true, Some(StopKind::Cancelled)));
    assert_eq!(apply(&mut run.clone(), &held(json!({"status": "completed"})), 0.0, 3_000), Err(Refusal::Terminal));
    assert_eq!(apply(&mut run.clone(), &held(json!({"completed_nodes": ["a"]})), 0.0, 3_000), Err(Refusal::Terminal));
    apply(&mut run, &held(json!({"usage": {"total_tokens": 9}, "stop_acknowledged": true})), 1.5, 3_000).unwrap();
    assert_eq!((run.status, run.total_tokens, run.estimated_cost_usd), (RunStatus::Cancelled, 9, 1.5));
    assert_eq!(run.stop_order.as_ref().unwrap().acknowledged_after_ms, Some(1_000));
    // After that nobody holds it, and a late bill is still taken.
    apply(&mut run, &held(json!({"usage": {"total_tokens": 1}})), 0.5, 4_000).unwrap();
    assert_eq!(run.total_tokens, 10);
}

#[test]
fn a_stranger_may_say_what_it_cost_and_hears_that_it_shall_stop() {
    let run = claimed();
    for claim in [json!({"claim_id": "claim-0"}), json!({"claim_id": null})] {
        let with = |more: Value| {
            let mut body = json!({"report_id": "r"});
            body.as_object_mut().unwrap().extend(claim.as_object().unwrap().clone());
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            report(body)
        };
        assert_eq!(apply(&mut run.clone(), &with(json!({"status": "failed"})), 0.0, 2), Err(Refusal::ClaimLost));
        let mut billed = run.clone();
        apply(&mut billed, &with(json!({"usage": {"total_tokens": 5}, "lease_ms": 3_600_000})), 0.1, 2_000).unwrap();
        assert_eq!((billed.total_tokens, &billed.execution_claim), (5, &run.execution_claim));
    }
    assert!(directives(&run, Some("claim-0")).stop && directives(&run, None).stop);
    assert!(!directives(&run, Some("claim-1")).stop);
}

#[test]
fn a_run_without_an_executor_can_be_reported_on() {
    let mut run = queued();
    apply(&mut run, &report(json!({"report_id": "r", "usage": {"total_tokens": 5}})), 8.25, 2_000).unwrap();
    assert_eq!((run.status, run.estimated_cost_usd), (RunStatus::Queued, 8.25));
    apply(&mut run, &report(json!({"report_id": "s", "status": "running"})), 0.0, 2_100).unwrap();
    assert_eq!((run.status, run.started_at_ms), (RunStatus::Running, Some(2_100)));
    apply(&mut run, &report(json!({"report_id": "t", "status": "failed", "detail": "no", "node_id": "b"})), 0.0, 2_200)
        .unwrap();
    let failure = run.checkpoint.last_failure.as_ref().unwrap();
    assert_eq!((failure.reason.as_str(), failure.node_id.as_deref()), ("no", Some("b")));
}

#[test]
fn the_run_s_own_limits_stop_it() {
    for (limit, passed) in [
        (json!({"max_total_tokens": 10}), json!({"usage": {"total_tokens": 11}})),
        (json!({"max_total_tool_calls": 1}), json!({"tool_calls": 2})),
        (json!({"max_total_cost_usd": 0.5}), json!({"usage": {"total_tokens": 1}})),
        (json!({"max_total_runtime_ms": 3_000}), json!({})),
    ] {
        let mut run = claimed();
        run.limits = serde_json::from_value(limit.clone()).unwrap();
        apply(&mut run, &held(passed), 0.51, 4_001).unwrap();
        assert_eq!((run.status, run.stop_kind), (RunStatus::Paused, Some(StopKind::GuardrailStopped)), "{limit}");
        assert!(run.execution_claim.is_some(), "whoever is to be told keeps its claim");
        let told = directives(&run, Some("claim-1"));
        assert!(told.stop && told.reason.is_some_and(|reason| reason.contains("allows")));
        for word in [json!({"status": "paused"}), json!({"stop_acknowledged": true})] {
            let mut run = run.clone();
            apply(&mut run, &held(word), 0.0, 4_500).unwrap();
            assert_eq!((run.status, run.stop_kind), (RunStatus::Paused, Some(StopKind::GuardrailStopped)));
            assert!(run.execution_claim.is_none() && run.stop_order.is_some_and(|order| !order.is_open()));
        }
        // What was done before the stop arrived was done.
        apply(&mut run, &held(json!({"status": "completed"})), 0.0, 4_500).unwrap();
        assert_eq!(run.status, RunStatus::Completed);
    }
}

#[test]
fn outputs_are_bounded() {
    let mut run = claimed();
    let big = "x".repeat(600_000);
    apply(&mut run, &held(json!({"node_outputs": {"a": big}})), 0.0, 2_000).unwrap();
    assert_eq!(apply(&mut run, &held(json!({"node_outputs": {"b": big}})), 0.0, 2_000), Err(Refusal::TooLarge));
}

proptest! {
    /// Counters only grow, whatever is reported in whatever state; nothing but a stop of its own leaves a terminal one.
    #[test]
    fn reports_lower_nothing(reports in proptest::collection::vec((0..8_usize, 0..1_000_u64, any::<bool>(), any::<bool>()), 0..30)) {
        let mut run = claimed();
        for (n, (said, tokens, own, heard)) in reports.into_iter().enumerate() {
            let mut body = json!({"report_id": n.to_string(), "usage": {"total_tokens": tokens}, "stop_acknowledged": heard,
                "awaiting_gate": {"node_id": "b"}});
            if let Some(said) = ReportedStatus::ALL.get(said) {
                body["status"] = said.word().into();
            } else {
                body.as_object_mut().unwrap().remove("awaiting_gate");
            }
            if own {
                body["claim_id"] = "claim-1".into();
            }
            let mut next = run.clone();
            if apply(&mut next, &report(body), 0.01, 2_000 + n as u64).is_ok() {
                prop_assert!(next.total_tokens == run.total_tokens + tokens);
                prop_assert!(next.estimated_cost_usd >= run.estimated_cost_usd);
                prop_assert!(next.report_count == run.report_count + 1);
                prop_assert!(!run.status.is_terminal() || next.status == run.status);
                run = next;
            }
        }
    }
}
