//! Log sources: what a read found and how far it came are one commit, under one lease.

use tandem_core::{
    incident::INCIDENTS,
    ports::StoreError,
    record::{Job, JobKind, Put, Write},
    signal::once::{INTAKE_RECEIPTS, IntakeReceipt},
    source::{
        FileState,
        evidence::LOG_EVIDENCE,
        state::{LOG_SOURCES, SourceRow},
    },
};

use crate::lab::*;

fn row(offset: u64) -> SourceRow {
    let mut row = SourceRow { id: "shop/app".into(), ..SourceRow::default() };
    row.state.project_id = "shop".into();
    row.state.source_id = "app".into();
    row.state.position.files = vec![FileState { path: "app.log".into(), offset, ..FileState::default() }];
    row
}

fn job() -> Job {
    Job { job_id: "tail/x".into(), kind: JobKind::Tail, lane: "x".into(), subject: "shop/app".into(), due_at_ms: 10 }
}

async fn offset(opened: &Opened) -> u64 {
    let found = load::<SourceRow>(opened, &local().key(), "shop/app").await.expect("the row");
    found.value.state.position.files[0].offset
}

fn found(fingerprint: &str, occurrences: u64) -> Write {
    let mut signal = signal(&local(), fingerprint, 1_000);
    signal.occurrences = occurrences;
    signal.start_triage = true;
    Write::Signal(Box::new(signal))
}

pub async fn a_position_and_what_was_found_before_it_are_one_commit(lab: Lab) {
    let opened = lab.open().await;
    send(&opened, audited("test.start").put(Put::insert(&row(0))).write(Write::Job(job()))).await;
    let claim = opened.store().claim(JobKind::Tail, "x", 10, "mine", 100, 1).await.expect("it answers").remove(0);
    let keep = |lease: &str, until_ms| Write::JobKeep { job_id: "tail/x".into(), lease: lease.into(), until_ms };
    let committed =
        send(&opened, commit().put(Put::update(&row(50), 1)).write(keep("mine", 500)).write(found("a", 3))).await;
    assert_eq!(committed.signals[0].incident.occurrence_count, 3);
    assert!(committed.jobs, "triage of the new draft is waiting");
    assert_eq!(offset(&opened).await, 50);
    assert_eq!(claim.attempts, 1);

    // The row was changed by somebody else, or the lease was lost: neither the position moves nor anything is counted.
    let stale = commit().put(Put::update(&row(90), 1)).write(keep("mine", 900)).write(found("a", 5));
    assert_eq!(refused(&opened, stale).await, StoreError::Conflict);
    let other = commit().put(Put::update(&row(90), 2)).write(keep("theirs", 900)).write(found("a", 5));
    assert_eq!(refused(&opened, other).await, StoreError::Conflict);
    assert_eq!(offset(&opened).await, 50);
    let again = send(&opened, commit().put(Put::update(&row(90), 2)).write(keep("mine", 900)).write(found("a", 1)));
    assert_eq!(again.await.signals[0].incident.occurrence_count, 4);
    // A kept lease holds until its new end.
    assert_eq!(opened.store().claim(JobKind::Tail, "x", 899, "late", 1_000, 1).await, Ok(Vec::new()));
    assert_eq!(opened.store().claim(JobKind::Tail, "x", 900, "next", 1_000, 1).await.map(|c| c.len()), Ok(1));
    assert_eq!(refused(&opened, commit().write(keep("mine", 2_000))).await, StoreError::Conflict);
    assert_eq!(count(&opened, &LOG_SOURCES, &local()).await, 1);
}

pub async fn a_draft_from_a_log_brings_its_evidence_and_its_triage(lab: Lab) {
    let opened = lab.open().await;
    let from_log = || {
        let mut signal = logged(&local(), "boom", 70);
        signal.start_triage = true;
        signal.cooldown_ms = 10_000;
        Write::Signal(Box::new(signal))
    };
    let first = send(&opened, commit().write(from_log()).write(from_log())).await.signals.remove(1);
    assert_eq!(first.incident.occurrence_count, 2);
    let payload = first.incident.event_payload.as_ref().expect("where it stands");
    assert_eq!(payload["offset_start"], 70);
    assert_eq!(count(&opened, &LOG_EVIDENCE, &local()).await, 1, "one for the draft, not one for each occurrence");
    assert_eq!(opened.store().job_count(JobKind::StartTriage).await, Ok(1));
    // Without its draft the incident counts on, and opens no other one within the cooldown.
    let draft_id = first.draft.as_ref().expect("a draft").draft_id.clone();
    let forgotten = tandem_core::incident::Amendment::DraftForgotten { draft_id };
    let amend = Write::Amend { incident_id: first.incident.incident_id.clone(), amendment: forgotten };
    send(&opened, audited("test.forget").write(amend)).await;
    let cooled = send(&opened, commit().write(from_log())).await.signals.remove(0);
    assert_eq!((cooled.incident.occurrence_count, cooled.draft.is_some()), (3, false));
    assert_eq!(opened.store().job_count(JobKind::StartTriage).await, Ok(1));
}

pub async fn a_receipt_counts_its_report_once(lab: Lab) {
    let opened = std::sync::Arc::new(lab.open().await);
    let once = || {
        let receipt = IntakeReceipt {
            receipt_id: "once-1".into(),
            digest: "d".into(),
            identity: String::new(),
            blocked: false,
            created_at_ms: 1_000,
        };
        commit().put(Put::insert(&receipt)).write(found("once", 1))
    };
    let tries = (0..8).map(|_| {
        let (opened, commit) = (std::sync::Arc::clone(&opened), once());
        tokio::spawn(async move { opened.store().commit(commit).await })
    });
    let mut counted = 0;
    for one in tries.collect::<Vec<_>>() {
        match one.await.expect("it ends") {
            Ok(_) => counted += 1,
            Err(error) => assert_eq!(error, StoreError::Conflict),
        }
    }
    assert_eq!(counted, 1);
    let rows = opened.store().page(list(&INCIDENTS, "updated_at_ms")).await.expect("it answers");
    assert!(rows.len() == 1 && rows[0].row.body.contains("\"occurrence_count\":1"));
    assert_eq!(count(&opened, &INTAKE_RECEIPTS, &local()).await, 1);
}
