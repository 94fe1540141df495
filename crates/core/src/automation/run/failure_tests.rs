use serde_json::json;

use super::*;
use crate::{
    automation::run::{
        claim::Claim,
        report,
        transition::{Event, tests::queued, transition},
    },
    signal::{Door, accept, accept::FreshIds, accept::Settings},
    tenant::TenantKey,
};

fn failed(run_id: &str, reason: &str) -> Run {
    let mut run = queued();
    run.run_id = run_id.into();
    transition(&mut run, Event::Claimed(Claim::new("c".into(), "x", None, 1, 1_000)), 1_000).unwrap();
    let body = json!({"report_id": "r", "claim_id": "c", "status": "failed", "session_id": format!("session-of-{run_id}"),
        "last_failure": {"node_id": "b", "reason": reason}, "artifact_refs": ["file:///out/log.txt"]});
    report::apply(&mut run, &report::read(body).unwrap(), 0.0, 2_000).unwrap();
    run
}

fn note(run: &Run, kind: FailureKind) -> Note {
    Note::of(run, kind, "run-failure-1".into(), "req", 2_000)
}

fn accepted(note: &Note) -> crate::signal::Accepted {
    let automation = crate::automation::read::tests::automation();
    let submission = submission(note, &setting(Some(&automation), note));
    let ids = FreshIds { incident_id: "i".into(), draft_id: "d".into(), event_id: "e".into() };
    let settings = Settings { repo: Some("acme/app"), redact_secrets: true, ..Settings::default() };
    accept(submission, Door::Report, &settings, &TenantKey("local/local".into()), ids, "req", 1).unwrap()
}

#[test]
fn what_the_pipeline_hears_of() {
    let before = queued();
    let with = |change: &dyn Fn(&mut Run)| {
        let mut run = before.clone();
        change(&mut run);
        kind(&before, &run)
    };
    assert_eq!(with(&|run| run.status = RunStatus::Failed), Some(FailureKind::Failed));
    assert_eq!(with(&|run| run.status = RunStatus::Blocked), Some(FailureKind::Blocked));
    assert_eq!(with(&|run| run.status = RunStatus::Cancelled), None);
    assert_eq!(with(&|run| run.status = RunStatus::Completed), None);
    let guarded = |run: &mut Run| {
        run.status = RunStatus::Paused;
        run.stop_kind = Some(StopKind::GuardrailStopped);
    };
    assert_eq!(with(&guarded), Some(FailureKind::GuardrailStopped));
    let mut already = before.clone();
    guarded(&mut already);
    already.status = RunStatus::Pausing;
    let mut paused = already.clone();
    paused.status = RunStatus::Paused;
    assert_eq!(kind(&already, &paused), None, "one stop is one report");
    assert_eq!(with(&|run| (run.status, run.trigger_type) = (RunStatus::Failed, "manual_dry_run".into())), None);
    let own = with(&|run| (run.status, run.automation_id) = (RunStatus::Failed, format!("{OWN_TRIAGE}7")));
    assert_eq!(own, None, "triage does not look into itself");
}

#[test]
fn recurrences_fold_and_other_failures_do_not() {
    let of = |run_id: &str, reason: &str| accepted(&note(&failed(run_id, reason), FailureKind::Failed));
    let first = of(
        "automation-v2-run-0198c0de-0000-7000-8000-000000000001",
        "no answer from 10.0.0.7 in run 0198c0de-0000-7000-8000-000000000001",
    );
    let again = of(
        "automation-v2-run-0198c0de-0000-7000-8000-000000000002",
        "no answer from 10.0.0.7 in run 0198c0de-0000-7000-8000-000000000002",
    );
    assert_eq!(first.identity, again.identity);
    assert_ne!(first.identity, of("automation-v2-run-3", "the disk is full").identity);
    let stopped = note(&failed("automation-v2-run-3", "the disk is full"), FailureKind::GuardrailStopped);
    assert_ne!(accepted(&stopped).identity, of("automation-v2-run-3", "the disk is full").identity);
}

#[test]
fn the_report_carries_lineage_and_evidence_and_passes_the_gate() {
    let run = failed("automation-v2-run-1", "ValueError: totals differ");
    let found = accepted(&note(&run, FailureKind::Failed));
    assert!(found.gate.passed, "{:?}", found.gate);
    let s = &found.submission;
    assert_eq!(
        (s.event.as_deref(), s.source.as_deref(), s.level.as_deref()),
        (Some("automation_v2.run.failed"), Some("automation_v2"), Some("error"))
    );
    assert_eq!(
        s.classification.evidence_refs,
        ["automation-run:automation-v2-run-1", "run-failure:run-failure-1", "file:///out/log.txt"]
    );
    assert_eq!(s.safety.external_correlation_ids, ["automation-v2-1", "automation-v2-run-1", "agent:builder"]);
    assert_eq!(
        (s.run_id.as_deref(), s.correlation_id.as_deref()),
        (Some("automation-v2-run-1"), Some("automation-v2-automation-v2-run-1"))
    );
    assert!(
        found.title.contains("Nightly") && found.title.contains("second") && found.title.contains("totals differ"),
        "{}",
        found.title
    );
    let detail = s.detail.as_deref().unwrap();
    for part in [
        "node: b",
        "objective: second",
        "lineage: builder",
        "\"workflowID\":\"automation-v2-1\"",
        "\"retry_exhausted\":false",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
}

#[test]
fn a_note_keeps_only_what_is_quoted() {
    let mut run = failed("automation-v2-run-1", "x");
    run.checkpoint.node_outputs.insert("a".into(), json!("y".repeat(10_000)));
    run.checkpoint.node_outputs.insert("b".into(), json!("z"));
    let note = note(&run, FailureKind::Failed);
    assert_eq!(note.run.checkpoint.node_outputs.keys().collect::<Vec<_>>(), ["b"]);
    let stored: Note = serde_json::from_str(&serde_json::to_string(&note).unwrap()).unwrap();
    assert_eq!(stored, note);
}
