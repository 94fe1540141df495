//! Signals that are folded inside the write.

use std::sync::Arc;

use tandem_core::{
    config::{Recurrence, RecurrencePolicy},
    draft::{DRAFTS, Draft, DraftStatus},
    incident::{Amendment, INCIDENTS, Incident, IncidentStatus, TOMBSTONES, Tombstone},
    ports::{AuditQuery, StoreError},
    record::{Commit, Expect, Put, Write},
    signal::Submission,
    tenant::TenantContext,
};

use crate::lab::*;

pub async fn a_first_signal_makes_an_incident_and_a_draft(lab: Lab) {
    let opened = lab.open().await;
    let committed = send(&opened, report(&local(), "one", 5_000)).await;
    let [outcome] = &committed.signals[..] else { panic!("one outcome for one signal") };
    assert!(outcome.created && outcome.blocked.is_none());
    assert_eq!(committed.audit_seq, 1);
    let incident = load::<Incident>(&opened, &local().key(), &outcome.incident.incident_id).await.expect("stored");
    assert_eq!(incident.value, *outcome.incident);
    let draft = outcome.draft.as_ref().expect("a draft");
    let stored = load::<Draft>(&opened, &local().key(), &draft.draft_id).await.expect("stored");
    assert_eq!((&stored.value, stored.version), (draft.as_ref(), 1));
    let page = opened.store().page(list(&INCIDENTS, "updated_at_ms")).await.expect("it answers");
    assert_eq!((page.len(), page[0].order), (1, 5_000));

    let again = send(&opened, report(&local(), "one", 6_000)).await;
    assert!(!again.signals[0].created);
    assert_eq!(again.signals[0].incident.occurrence_count, 2);
    let page = opened.store().page(list(&INCIDENTS, "updated_at_ms")).await.expect("it answers");
    assert_eq!((page.len(), page[0].order, page[0].row.version), (1, 6_000, 2));
    let stored = load::<Draft>(&opened, &local().key(), &draft.draft_id).await.expect("stored");
    assert_eq!(stored.version, 1, "a draft that did not change is not written");
}

/// 16 callers with 200 signals each; the grouping key is given by caller and turn.
async fn storm(opened: &std::sync::Arc<Opened>, key: impl Fn(u64, u64) -> String + Send + Sync + Clone + 'static) {
    let callers = (0..16).map(|caller| {
        let (opened, key) = (opened.clone(), key.clone());
        tokio::spawn(async move {
            for turn in 0..200 {
                send(&opened, report(&local(), &key(caller, turn), 1_000 + turn)).await;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("every signal is counted");
    }
}

pub async fn equal_signals_at_once_are_one_incident(lab: Lab) {
    let opened = lab.open().await;
    storm(&opened, |_, _| "the same".into()).await;
    let page = opened.store().page(list(&INCIDENTS, "updated_at_ms")).await.expect("it answers");
    let incidents: Vec<Incident> = page.iter().map(|row| serde_json::from_str(&row.row.body).expect("ours")).collect();
    assert_eq!(incidents.iter().map(|i| i.occurrence_count).collect::<Vec<_>>(), [3_200]);
    assert_eq!(count(&opened, &DRAFTS, &local()).await, 1);
    assert_eq!(opened.store().audit_size(&local().key()).await, Ok(3_200));
}

pub async fn distinct_signals_at_once_lose_nothing(lab: Lab) {
    let opened = lab.open().await;
    storm(&opened, |caller, turn| format!("{caller}/{turn}")).await;
    assert_eq!(count(&opened, &INCIDENTS, &local()).await, 3_200);
    assert_eq!(count(&opened, &DRAFTS, &local()).await, 3_200);
    assert_eq!(opened.store().audit_size(&local().key()).await, Ok(3_200));
}

pub async fn one_commit_may_hold_many_signals(lab: Lab) {
    let opened = lab.open().await;
    let mut commit = audited("test.batch").put(Put::insert(&Tombstone {
        identity: "beside".into(),
        draft_id: "none".into(),
        deleted_at_ms: 1,
    }));
    for n in 0..30 {
        commit = commit.write(Write::Signal(Box::new(signal(&local(), &format!("key {}", n % 3), 1_000 + n))));
    }
    let committed = send(&opened, commit).await;
    assert_eq!(committed.audit_seq, 31);
    let created: Vec<bool> = committed.signals.iter().map(|outcome| outcome.created).collect();
    assert_eq!(created, (0..30).map(|n| n < 3).collect::<Vec<_>>());
    let counts: Vec<u64> = committed.signals[27..].iter().map(|o| o.incident.occurrence_count).collect();
    assert_eq!(counts, [10, 10, 10]);
    assert_eq!(count(&opened, &INCIDENTS, &local()).await, 3);
    let rows = opened.store().audit_rows(&local().key(), AuditQuery { limit: 100, ..AuditQuery::default() }).await;
    assert_eq!(rows.map(|rows| rows.len()), Ok(31));
}

pub async fn a_blocked_signal_is_counted_without_a_draft(lab: Lab) {
    let opened = lab.open().await;
    let noise = Submission {
        repo: Some("acme/app".into()),
        event: Some("heartbeat".into()),
        fingerprint: Some("noise".into()),
        ..Submission::default()
    };
    for n in 1..=3 {
        let signal = accepted(noise.clone(), &local(), n);
        let outcome = send(&opened, commit().write(Write::Signal(Box::new(signal)))).await.signals.remove(0);
        assert!(outcome.blocked.is_some() && outcome.draft.is_none());
        assert_eq!(outcome.incident.occurrence_count, n);
        assert_eq!(outcome.incident.status, IncidentStatus::QualityGateBlocked);
    }
    assert_eq!(count(&opened, &DRAFTS, &local()).await, 0);
    // The same failure with evidence gets its draft then.
    let outcome = send(&opened, report(&local(), "noise", 9)).await.signals.remove(0);
    assert!(!outcome.created && outcome.draft.is_some());
    assert_eq!(count(&opened, &DRAFTS, &local()).await, 1);
}

pub async fn a_tombstone_gives_its_draft_back(lab: Lab) {
    let opened = lab.open().await;
    let first = send(&opened, report(&local(), "again", 1_000)).await.signals.remove(0);
    let mut draft = Arc::unwrap_or_clone(first.draft.expect("a draft"));
    draft.status = DraftStatus::Denied;
    let buried = commit()
        .put(Put::update(&draft, 1))
        .write(Write::Delete {
            collection: &INCIDENTS,
            id: first.incident.incident_id.clone(),
            expect: Expect::Version(1),
        })
        .put(Put::insert(&Tombstone {
            identity: first.incident.identity.clone(),
            draft_id: draft.draft_id.clone(),
            deleted_at_ms: 2_000,
        }));
    send(&opened, buried).await;
    assert_eq!(count(&opened, &INCIDENTS, &local()).await, 0);

    let second = send(&opened, report(&local(), "again", 3_000)).await.signals.remove(0);
    assert!(second.created);
    assert_ne!(second.incident.incident_id, first.incident.incident_id);
    assert_eq!(second.incident.draft_id.as_ref(), Some(&draft.draft_id));
    let stored = load::<Draft>(&opened, &local().key(), &draft.draft_id).await.expect("still there").value;
    assert_eq!(stored.status, DraftStatus::Denied, "a denial outlives its incident");
    assert_eq!(stored.incident_id, Some(second.incident.incident_id.clone()));
    assert_eq!(count(&opened, &DRAFTS, &local()).await, 1);
    assert_eq!(count(&opened, &TOMBSTONES, &local()).await, 0, "the draft has an incident again");
}

pub async fn a_recurrence_may_open_a_second_draft(lab: Lab) {
    let opened = lab.open().await;
    let first = send(&opened, report(&local(), "back", 1_000)).await.signals.remove(0);
    let mut draft = Arc::unwrap_or_clone(first.draft.expect("a draft"));
    draft.status = DraftStatus::WebhookPosted;
    send(&opened, commit().put(Put::update(&draft, 1))).await;

    // Two in one commit: the first opens the new draft, the second finds it open.
    let mut twice = commit();
    for at_ms in [9_000, 9_001] {
        let mut signal = signal(&local(), "back", at_ms);
        signal.recurrence =
            Recurrence { policy: RecurrencePolicy::NewDraft, quiet_period_ms: 5_000, ..Recurrence::default() };
        twice = twice.write(Write::Signal(Box::new(signal)));
    }
    let outcome = send(&opened, twice).await.signals.remove(1);
    let fresh = outcome.draft.expect("a draft");
    assert_eq!((fresh.recurrence_of.as_ref(), fresh.status), (Some(&draft.draft_id), DraftStatus::Ready));
    assert_eq!(outcome.incident.occurrence_count, 3);
    assert_eq!(count(&opened, &DRAFTS, &local()).await, 2);
    let old = load::<Draft>(&opened, &local().key(), &draft.draft_id).await.expect("still there");
    assert_eq!((old.value.status, old.value.recurrences, old.version), (DraftStatus::WebhookPosted, 1, 3));
    let stored = load::<Draft>(&opened, &local().key(), &fresh.draft_id).await.expect("stored");
    assert_eq!((&stored.value, stored.version), (fresh.as_ref(), 1));
}

pub async fn a_signal_beside_a_conflict_is_not_counted(lab: Lab) {
    let opened = lab.open().await;
    let (incident, draft) = some_draft(&opened).await;
    let callers = (0..40).map(|n| {
        let (opened, draft, key) = (opened.clone(), draft.clone(), incident.fingerprint.clone());
        tokio::spawn(async move {
            let commit = report(&local(), &key, 2_000);
            // Every fourth commit also updates a version that has never been.
            let commit = if n % 4 == 0 { commit.put(Put::update(&draft, 99)) } else { commit };
            opened.store().commit(commit).await.is_ok()
        })
    });
    let mut counted = 0;
    for caller in callers.collect::<Vec<_>>() {
        counted += u64::from(caller.await.expect("no panic"));
    }
    assert_eq!(counted, 30);
    let stored = load::<Incident>(&opened, &local().key(), &incident.incident_id).await.expect("stored").value;
    assert_eq!(stored.occurrence_count, 31);
    assert_eq!(opened.store().audit_size(&local().key()).await, Ok(31));
}

pub async fn an_amendment_and_a_count_never_lose_each_other(lab: Lab) {
    let opened = lab.open().await;
    let (incident, _) = some_draft(&opened).await;
    let amendments = (0..40).map(|n| {
        let (opened, id) = (opened.clone(), incident.incident_id.clone());
        tokio::spawn(async move {
            let amendment = Amendment::TriageQueued { run_id: format!("run-{n}") };
            let amend = commit().write(Write::Amend { incident_id: id, amendment });
            opened.store().commit(amend).await.expect("an amendment cannot conflict");
        })
    });
    let counts = (0..40).map(|_| {
        let (opened, key) = (opened.clone(), incident.fingerprint.clone());
        tokio::spawn(async move {
            send(&opened, report(&local(), &key, 2_000)).await;
        })
    });
    for caller in amendments.chain(counts).collect::<Vec<_>>() {
        caller.await.expect("no panic");
    }
    let stored = load::<Incident>(&opened, &local().key(), &incident.incident_id).await.expect("stored").value;
    assert_eq!((stored.occurrence_count, stored.status), (41, IncidentStatus::TriageQueued));
    assert!(stored.triage_run_id.is_some());

    // An incident that is gone is not brought back.
    let amendment = Amendment::Judged { approved: false };
    let amend = commit().write(Write::Amend { incident_id: "failure-incident-none".into(), amendment });
    opened.store().commit(amend).await.expect("nothing to change");
    assert_eq!(count(&opened, &INCIDENTS, &local()).await, 1);
}

pub async fn an_unreadable_incident_is_never_replaced(lab: Lab) {
    let opened = lab.open().await;
    let first = send(&opened, report(&local(), "broken", 1_000)).await.signals.remove(0);
    let id = &first.incident.incident_id;
    lab.meddle(&format!("UPDATE incidents SET body = '{{\"no\":' WHERE id = '{id}'")).await;
    let both = report(&local(), "whole", 2_000).write(Write::Signal(Box::new(signal(&local(), "broken", 2_000))));
    for commit in [report(&local(), "broken", 2_000), both] {
        let error = refused(&opened, commit).await;
        assert!(matches!(&error, StoreError::Corrupt(why) if why.contains(id.as_str())), "{error}");
    }
    assert_eq!(count(&opened, &INCIDENTS, &local()).await, 1);
    send(&opened, report(&local(), "whole", 3_000)).await;
    assert_eq!(opened.store().audit_size(&local().key()).await, Ok(2));
}

pub async fn equal_failures_of_two_tenants_are_two_incidents(lab: Lab) {
    let opened = lab.open().await;
    let tenants = [TenantContext::explicit("acme", "a"), TenantContext::explicit("acme", "b")];
    let callers = (0..60).map(|n| {
        let (opened, tenant) = (opened.clone(), tenants[n % 2].clone());
        tokio::spawn(async move { send(&opened, report(&tenant, "same", 1_000)).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("counted");
    }
    for tenant in &tenants {
        assert_eq!(count(&opened, &INCIDENTS, tenant).await, 1);
        assert_eq!(opened.store().audit_size(&tenant.key()).await, Ok(30));
    }
    let tenants: Vec<_> = tenants.iter().map(TenantContext::key).collect();
    assert_eq!(opened.store().audit_tenants().await, Ok(tenants));
    let empty = Commit::new(&context(&TenantContext::explicit("acme", "c"), 1));
    assert_eq!(send(&opened, empty).await.audit_seq, 0);
}
