//! Jobs: due times, lanes, leases.

use std::{collections::BTreeSet, time::Duration};

use tandem_core::{
    ports::{Claim, StoreError},
    record::{Commit, Job, JobKind, Waiting, Write},
    tenant::TenantContext,
};

use crate::lab::*;

fn job(lane: &str, subject: &str, due_at_ms: u64) -> Job {
    Job { job_id: fresh_id(), kind: JobKind::Deliver, lane: lane.into(), subject: subject.into(), due_at_ms }
}

async fn enqueue(opened: &Opened, jobs: impl IntoIterator<Item = Job>) {
    send(opened, jobs.into_iter().fold(commit(), |commit, job| commit.write(Write::Job(job)))).await;
}

async fn claim(opened: &Opened, lane: &str, now_ms: u64, lease: &str, limit: usize) -> Vec<Claim> {
    opened.store().claim(JobKind::Deliver, lane, now_ms, lease, now_ms + 100, limit).await.expect("it answers")
}

async fn due(opened: &Opened, now_ms: u64) -> Vec<String> {
    opened.store().due_lanes(JobKind::Deliver, now_ms).await.expect("it answers")
}

fn done(claim: &Claim) -> Write {
    Write::JobDone { job_id: claim.job.job_id.clone(), lease: claim.lease.clone() }
}

pub async fn a_job_is_claimed_once_and_ends(lab: Lab) {
    let opened = lab.open().await;
    let job = job("hook", "delivery", 50);
    enqueue(&opened, [job.clone()]).await;
    assert_eq!(refused(&opened, commit().write(Write::Job(job.clone()))).await, StoreError::Conflict);
    assert_eq!(claim(&opened, "hook", 49, "early", 5).await, []);
    assert_eq!(claim(&opened, "other", 50, "astray", 5).await, []);
    let claims = claim(&opened, "hook", 50, "lease", 5).await;
    let expected = Claim { job, tenant: local().key(), lease: "lease".into(), attempts: 1 };
    assert_eq!(claims, [expected]);
    assert_eq!(claim(&opened, "hook", 60, "second", 5).await, []);
    assert_eq!(opened.store().job_count(JobKind::Deliver).await, Ok(1));
    send(&opened, audited("test.done").write(done(&claims[0]))).await;
    assert_eq!(opened.store().job_count(JobKind::Deliver).await, Ok(0));
    assert_eq!(refused(&opened, audited("test.twice").write(done(&claims[0]))).await, StoreError::Conflict);
    assert_eq!(opened.store().audit_size(&local().key()).await, Ok(1));
}

pub async fn a_lease_that_ran_out_passes_on(lab: Lab) {
    let opened = lab.open().await;
    enqueue(&opened, [job("hook", "delivery", 50)]).await;
    let first = claim(&opened, "hook", 50, "first", 1).await.remove(0);
    assert_eq!(opened.store().next_due(JobKind::Deliver).await, Ok(Some(150)));
    assert_eq!(claim(&opened, "hook", 149, "early", 1).await, []);
    let second = claim(&opened, "hook", 150, "second", 1).await.remove(0);
    assert_eq!((second.attempts, second.job.due_at_ms), (2, 50));
    // Whoever lost the lease can change nothing any more, alone or among other writes.
    let retry = |claim: &Claim, due_at_ms| Write::JobRetry {
        job_id: claim.job.job_id.clone(),
        lease: claim.lease.clone(),
        due_at_ms,
    };
    for late in [done(&first), retry(&first, 1)] {
        assert_eq!(refused(&opened, audited("test.late").write(late)).await, StoreError::Conflict);
    }
    send(&opened, commit().write(retry(&second, 900))).await;
    assert_eq!(opened.store().next_due(JobKind::Deliver).await, Ok(Some(900)));
    assert_eq!(refused(&opened, commit().write(done(&second))).await, StoreError::Conflict);
    let third = claim(&opened, "hook", 900, "third", 1).await.remove(0);
    assert_eq!((third.attempts, third.job.due_at_ms), (3, 900));
}

pub async fn a_lease_that_is_kept_starts_anew_and_a_lost_one_cannot_be(lab: Lab) {
    let opened = lab.open().await;
    enqueue(&opened, [job("hook", "delivery", 50)]).await;
    let first = claim(&opened, "hook", 50, "first", 1).await.remove(0);
    let keep = |claim: &Claim, until_ms| Write::JobKeep {
        job_id: claim.job.job_id.clone(),
        lease: claim.lease.clone(),
        until_ms,
    };
    send(&opened, audited("test.kept").write(keep(&first, 500))).await;
    assert_eq!(claim(&opened, "hook", 499, "early", 1).await, []);
    let second = claim(&opened, "hook", 500, "second", 1).await.remove(0);
    assert_eq!(second.attempts, 2);
    // Whoever lost it does not get it back, and nothing else of its commit is written.
    assert_eq!(refused(&opened, audited("test.late").write(keep(&first, 900))).await, StoreError::Conflict);
    send(&opened, commit().write(done(&second))).await;
    assert_eq!(refused(&opened, commit().write(keep(&second, 900))).await, StoreError::Conflict);
    assert_eq!(opened.store().audit_size(&local().key()).await, Ok(1));
}

pub async fn a_lease_ends_with_the_process_that_alone_could_hold_it(lab: Lab) {
    let opened = lab.try_open().await.expect("the store opens");
    enqueue(&opened, [job("hook", "delivery", 50)]).await;
    let lost = claim(&opened, "hook", 50, "of a killed process", 1).await.remove(0);
    opened.close().await;
    let opened = lab.try_open().await.expect("the store opens");
    // Where other engines may live, one of them may hold the lease.
    let alone = opened.store().exclusive();
    assert_eq!(due(&opened, 60).await, if alone { vec!["hook".to_owned()] } else { Vec::new() });
    let again = claim(&opened, "hook", 60, "of the next one", 1).await;
    assert_eq!(again.len(), usize::from(alone));
    if alone {
        assert_eq!((again[0].attempts, again[0].job.job_id.as_str()), (2, lost.job.job_id.as_str()));
        assert_eq!(refused(&opened, commit().write(done(&lost))).await, StoreError::Conflict);
    }
}

pub async fn lanes_and_times_decide_what_is_due(lab: Lab) {
    let opened = lab.open().await;
    assert_eq!(opened.store().next_due(JobKind::Deliver).await, Ok(None));
    assert_eq!(due(&opened, 1_000).await, Vec::<String>::new());
    let other_kind = Job { kind: JobKind::Triage, ..job("triage", "d", 1) };
    let jobs = [("a", 30), ("a", 10), ("b", 20), ("b", 40), ("c", 99), ("a", 20)];
    enqueue(&opened, jobs.map(|(lane, at)| job(lane, lane, at)).into_iter().chain([other_kind])).await;
    assert_eq!(opened.store().next_due(JobKind::Deliver).await, Ok(Some(10)));
    assert_eq!(opened.store().next_due(JobKind::Triage).await, Ok(Some(1)));
    assert_eq!(opened.store().job_count(JobKind::Deliver).await, Ok(6));
    for (now, lanes) in [(9, vec![]), (10, vec!["a"]), (20, vec!["a", "b"]), (100, vec!["a", "b", "c"])] {
        assert_eq!(due(&opened, now).await, lanes, "at {now}");
    }
    let times = |claims: Vec<Claim>| claims.into_iter().map(|claim| claim.job.due_at_ms).collect::<Vec<_>>();
    assert_eq!(times(claim(&opened, "a", 50, "one", 2).await), [10, 20], "the longest due first");
    assert_eq!(times(claim(&opened, "a", 50, "two", 2).await), [30]);
    assert_eq!(due(&opened, 50).await, ["b"]);
}

pub async fn a_woken_job_is_due_at_once(lab: Lab) {
    let opened = lab.open().await;
    enqueue(&opened, [job("a", "mine", 5_000), job("b", "mine", 10), job("a", "yours", 5_000)]).await;
    let wake_all = |of| Write::JobsWake { kind: JobKind::Deliver, of, due_at_ms: 100 };
    let wake = |subject: &str| wake_all(Waiting::Subject(subject.into()));
    let stranger = Commit::new(&context(&TenantContext::explicit("acme", "x"), 1)).write(wake("mine"));
    send(&opened, stranger).await;
    assert_eq!(due(&opened, 100).await, ["b"], "another tenant's wake does nothing");
    let leased = claim(&opened, "b", 50, "lease", 1).await;
    send(&opened, commit().write(wake("mine")).write(wake("nobody"))).await;
    assert_eq!(due(&opened, 100).await, ["a"], "and a claimed job stays claimed");
    let woken = claim(&opened, "a", 100, "other", 5).await;
    assert_eq!(woken.iter().map(|c| c.job.subject.as_str()).collect::<Vec<_>>(), ["mine"]);
    send(&opened, commit().write(done(&leased[0]))).await;
    // A whole lane, and no other one.
    enqueue(&opened, [job("c", "one", 5_000), job("c", "two", 6_000), job("d", "three", 5_000)]).await;
    let lane = || wake_all(Waiting::Lane("c".into()));
    send(&opened, Commit::new(&context(&TenantContext::explicit("acme", "x"), 1)).write(lane())).await;
    assert_eq!(claim(&opened, "c", 100, "early", 5).await, []);
    send(&opened, commit().write(lane())).await;
    assert_eq!(due(&opened, 100).await, ["c"]);
    assert_eq!(claim(&opened, "c", 100, "lane", 5).await.len(), 2);
}

pub async fn racing_workers_share_without_overlap(lab: Lab) {
    let opened = lab.open().await;
    let second = if matches!(lab, Lab::Postgres { .. }) { lab.open().await } else { opened.clone() };
    enqueue(&opened, (0..120).map(|n| job("hook", &format!("s{n}"), n))).await;
    let workers = (0..8).map(|worker| {
        let opened = if worker % 2 == 0 { opened.clone() } else { second.clone() };
        tokio::spawn(async move {
            let mut mine = Vec::new();
            for turn in 0.. {
                let claims = claim(&opened, "hook", 1_000, &format!("lease {worker} {turn}"), 3).await;
                for claim in &claims {
                    send(&opened, commit().write(done(claim))).await;
                    mine.push(claim.job.subject.clone());
                }
                if claims.is_empty() {
                    break;
                }
            }
            mine
        })
    });
    let mut all = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        all.extend(worker.await.expect("no lease was lost"));
    }
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (120, 120));
    assert_eq!(opened.store().job_count(JobKind::Deliver).await, Ok(0));
}

pub async fn writing_a_job_wakes(lab: Lab) {
    let opened = lab.open().await;
    let second = if matches!(lab, Lab::Postgres { .. }) { lab.open().await } else { opened.clone() };
    let (mut near, mut far) = (opened.wakes(), second.wakes());
    // An engine that has just begun to listen says so with a wake of its own, so the far one is looked at twice.
    for _ in 0..2 {
        near.mark_unchanged();
        enqueue(&opened, [job("hook", "s", 1)]).await;
        for wakes in [&mut near, &mut far] {
            let woken = tokio::time::timeout(Duration::from_secs(10), wakes.changed()).await;
            woken.expect("it wakes").expect("the store lives");
        }
    }
}
