use super::*;
use crate::{
    config::Recurrence,
    destination::DestinationKind,
    publish::{Action, digest},
    signal::{
        Door, Submission, accept,
        accept::{FreshIds, Settings},
    },
    tenant::TenantContext,
};

fn ctx(now_ms: u64) -> OpContext {
    OpContext {
        tenant: TenantContext::local(),
        actor: crate::actor::ActorRef::worker("test"),
        request_id: "r".into(),
        now_ms,
    }
}

/// A report of the one failure; `n` names the ids it would bring.
fn signal(n: u64, at_ms: u64, detail: Option<&str>, recurrence: &Recurrence) -> Accepted {
    let submission = Submission {
        repo: Some("acme/app".into()),
        fingerprint: Some("same".into()),
        title: Some("Boom".into()),
        detail: detail.map(str::to_owned),
        ..Submission::default()
    };
    let ids = FreshIds { incident_id: format!("i{n}"), draft_id: format!("d{n}"), event_id: format!("e{n}") };
    let tenant = TenantContext::local().key();
    let mut accepted =
        accept(submission, Door::Report, &Settings::default(), &tenant, ids, "r", at_ms).expect("a good report");
    accepted.recurrence = recurrence.clone();
    accepted
}

fn seen(existing: &mut Existing, n: u64, at_ms: u64, recurrence: &Recurrence) -> Outcome {
    fold(existing, &signal(n, at_ms, Some("d"), recurrence), &ctx(at_ms)).outcome
}

fn published(existing: &mut Existing, now_ms: u64) {
    let draft = Arc::make_mut(existing.draft.as_mut().expect("a draft"));
    let event = draft::Event::Published {
        kind: DestinationKind::Webhook,
        action: Action::PostWebhook,
        url: None,
        digest: "x".into(),
        issue: None,
        recurrence: None,
    };
    draft::transition(draft, event, now_ms).expect("it may be published");
}

#[test]
fn a_published_failure_that_comes_back_follows_the_policy() {
    use RecurrencePolicy as P;
    for (policy, at_ms, opens) in [
        (P::Comment, 99_000, false),
        (P::Reopen, 99_000, false),
        (P::None, 99_000, false),
        (P::NewDraft, 1_100 + 4_999, false),
        (P::NewDraft, 1_100 + 5_000, true),
    ] {
        let recurrence = Recurrence { policy, quiet_period_ms: 5_000, ..Recurrence::default() };
        let mut existing = Existing::default();
        seen(&mut existing, 1, 1_000, &recurrence);
        published(&mut existing, 1_050);
        seen(&mut existing, 2, 1_100, &recurrence);
        assert_eq!(existing.draft.as_ref().map(|d| (d.recurrences, d.recurred_at_ms)), Some((1, Some(1_100))));

        let outcome = seen(&mut existing, 3, at_ms, &recurrence);
        assert_eq!(outcome.incident.occurrence_count, 3);
        assert_eq!(outcome.incident.draft_id.as_deref(), Some(if opens { "d3" } else { "d1" }), "{policy:?} {at_ms}");
        let draft = outcome.draft.expect("a draft");
        assert_eq!(draft.recurrence_of.as_deref(), opens.then_some("d1"));
        let old = existing.superseded.as_ref().or(existing.draft.as_ref()).expect("the published draft");
        assert_eq!((old.draft_id.as_str(), old.recurrences), ("d1", 2), "the recurrence counts on what was published");
        // The same content, but another publication.
        assert_eq!(digest::draft_evidence(&draft) != digest::draft_evidence(old), opens);
    }
}

#[test]
fn a_denied_draft_is_never_followed_by_another() {
    let recurrence = Recurrence { policy: RecurrencePolicy::NewDraft, ..Recurrence::default() };
    let mut existing = Existing::default();
    seen(&mut existing, 1, 1_000, &recurrence);
    Arc::make_mut(existing.draft.as_mut().expect("a draft")).status = DraftStatus::Denied;
    let outcome = seen(&mut existing, 2, 90_000, &recurrence);
    assert_eq!((outcome.incident.draft_id.as_deref(), outcome.incident.occurrence_count), (Some("d1"), 2));

    // Not even when the incident was deleted meanwhile.
    existing.incident = None;
    let outcome = seen(&mut existing, 3, 95_000, &recurrence);
    assert_eq!((outcome.incident.draft_id.as_deref(), outcome.incident.status), (Some("d1"), IncidentStatus::Denied));
}

#[test]
fn a_good_report_after_a_blocked_one_shows_its_own_gate() {
    let recurrence = Recurrence::default();
    let mut existing = Existing::default();
    let blocked = fold(&mut existing, &signal(1, 1_000, None, &recurrence), &ctx(1_000)).outcome;
    assert_eq!(blocked.incident.status, IncidentStatus::QualityGateBlocked);
    let incident = seen(&mut existing, 2, 2_000, &recurrence).incident;
    assert_eq!((incident.status, incident.occurrence_count), (IncidentStatus::DraftCreated, 2));
    assert!(incident.quality_gate.as_ref().is_some_and(|gate| gate.passed));
}

#[test]
fn one_signal_may_stand_for_many_occurrences() {
    let recurrence = Recurrence::default();
    let mut existing = Existing::default();
    let many = |n, occurrences| Accepted { occurrences, ..signal(n, 1_000 + n, Some("d"), &recurrence) };
    assert_eq!(fold(&mut existing, &many(1, 40), &ctx(1_000)).outcome.incident.occurrence_count, 40);
    published(&mut existing, 1_500);
    let folded = fold(&mut existing, &many(2, 7), &ctx(2_000));
    assert_eq!(folded.outcome.incident.occurrence_count, 47);
    assert_eq!(folded.audit.payload["occurrences"], 7);
    assert_eq!(existing.draft.as_ref().map(|draft| draft.recurrences), Some(7));
}

#[test]
fn a_cooldown_limits_drafts_and_never_counts() {
    let recurrence = Recurrence { policy: RecurrencePolicy::NewDraft, quiet_period_ms: 0, ..Recurrence::default() };
    let at = |n, at_ms| {
        let cooled = signal(n, at_ms, Some("d"), &recurrence);
        Accepted { cooldown_ms: 5_000, start_triage: true, ..cooled }
    };
    let mut existing = Existing::default();
    assert_eq!(fold(&mut existing, &at(1, 1_000), &ctx(1_000)).jobs.len(), 1);
    published(&mut existing, 1_500);
    // The window begins with the draft and is not moved by what is seen within it.
    for (n, at_ms) in [(2, 2_000), (3, 5_999)] {
        let folded = fold(&mut existing, &at(n, at_ms), &ctx(at_ms));
        assert!(folded.jobs.is_empty() && existing.superseded.is_none(), "{at_ms}");
    }
    let after = fold(&mut existing, &at(4, 6_000), &ctx(6_000));
    assert_eq!((after.outcome.incident.occurrence_count, after.jobs.len()), (4, 1));
    assert!(existing.superseded.is_some());
}

#[test]
fn a_tracker_is_told_once_until_it_has_been() {
    let recurrence = Recurrence { min_interval_ms: 10_000, ..Recurrence::default() };
    let job = |existing: &mut Existing, n: u64, at_ms: u64, recurrence: &Recurrence| {
        let jobs = fold(existing, &signal(n, at_ms, Some("d"), recurrence), &ctx(at_ms)).jobs;
        jobs.first().map(|job| (job.kind, job.due_at_ms))
    };
    let mut existing = Existing::default();
    assert_eq!(job(&mut existing, 1, 1_000, &recurrence), None);
    published(&mut existing, 1_500);
    assert_eq!(job(&mut existing, 2, 2_000, &recurrence), None, "no tracker has it");
    if let Some(draft) = existing.draft.as_mut().map(Arc::make_mut) {
        draft.github_issue_url = Some("https://github.com/acme/app/issues/1".into());
    }
    for policy in [RecurrencePolicy::None, RecurrencePolicy::NewDraft] {
        let quiet = Recurrence { policy, quiet_period_ms: u64::MAX, ..recurrence.clone() };
        assert_eq!(job(&mut existing, 3, 2_100, &quiet), None, "{policy}");
    }
    assert_eq!(job(&mut existing, 4, 3_000, &recurrence), Some((JobKind::Recur, 3_000)));
    assert_eq!(job(&mut existing, 5, 3_001, &recurrence), None, "it is on its way");
    if let Some(draft) = existing.draft.as_mut().map(Arc::make_mut) {
        draft::transition(draft, draft::Event::RecurrenceHandled, 4_000).expect("never refused");
    }
    assert_eq!(
        job(&mut existing, 6, 5_000, &recurrence),
        Some((JobKind::Recur, 14_000)),
        "not more often than allowed"
    );
    if let (Some(draft), Some(incident)) = (&mut existing.draft, &mut existing.incident) {
        let (draft, incident) = (Arc::make_mut(draft), Arc::make_mut(incident));
        draft::transition(draft, draft::Event::RecurrenceHandled, 14_000).expect("never refused");
        incident.status = IncidentStatus::Resolved;
    }
    assert_eq!(
        job(&mut existing, 7, 15_000, &recurrence),
        Some((JobKind::Recur, 15_000)),
        "a regression is told at once"
    );
    let incident = existing.incident.expect("an incident");
    assert_eq!((incident.regressions, incident.regressed_at_ms), (1, Some(15_000)));
    assert_ne!(incident.status, IncidentStatus::Resolved);
}

#[test]
fn what_happens_upstream_resolves_and_reopens_and_a_late_word_is_a_regression() {
    use crate::incident::{Amendment, amend};
    let mut existing = Existing::default();
    seen(&mut existing, 1, 10_000, &Recurrence::default());
    let mut incident = Arc::unwrap_or_clone(existing.incident.expect("an incident"));
    let closed = |at_ms| Amendment::Upstream { closed: true, at_ms };
    // Times of trackers have no milliseconds, so the second in which it was seen last is no proof.
    amend(&mut incident, &closed(9_500), 20_000);
    assert_eq!((incident.status, incident.resolved_at_ms), (IncidentStatus::Resolved, Some(9_500)));
    amend(&mut incident, &Amendment::Upstream { closed: false, at_ms: 21_000 }, 21_000);
    assert_eq!((incident.status, incident.resolved_at_ms), (IncidentStatus::Queued, None));
    amend(&mut incident, &closed(5_000), 22_000);
    assert_eq!((incident.status, incident.regressions), (IncidentStatus::Queued, 1), "it was seen after that");
}
