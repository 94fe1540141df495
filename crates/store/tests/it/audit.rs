//! The audit log as the store keeps it, and the installation's own values.

use tandem_core::{
    ports::{AuditQuery, Checkpoint},
    record::{Commit, Put, Write},
    tenant::TenantContext,
};

use crate::lab::*;

async fn seqs(opened: &Opened, query: AuditQuery) -> Vec<u64> {
    let rows = opened.store().audit_rows(&local().key(), query).await.expect("it answers");
    rows.into_iter().map(|row| row.seq).collect()
}

pub async fn numbers_have_no_gap_under_racing_commits(lab: Lab) {
    let opened = lab.open().await;
    let (_, draft) = some_draft(&opened).await;
    let callers = (0..12).map(|caller| {
        let (opened, draft) = (opened.clone(), draft.clone());
        tokio::spawn(async move {
            let mut applied = Vec::new();
            for turn in 0..20 {
                let commit = match (caller + turn) % 4 {
                    0 => report(&local(), &format!("key {turn}"), 1_000),
                    1 => audited("test.plain").audit(fresh_id(), "test.second", serde_json::json!({})),
                    2 => audited("test.put").put(Put::insert(&copy_of(&draft, 9))),
                    _ => audited("test.conflict").put(Put::update(&draft, 99)),
                };
                let (rows, conflicts) = (commit.audit.len() + commit.writes.len(), (caller + turn) % 4 == 3);
                let outcome = opened.store().commit(commit).await;
                assert_eq!(outcome.is_err(), conflicts);
                if let Ok(committed) = outcome {
                    applied.push((committed.audit_seq, rows));
                }
            }
            applied.len()
        })
    });
    let mut applied = 0;
    for caller in callers.collect::<Vec<_>>() {
        applied += caller.await.expect("no panic");
    }
    assert_eq!(applied, 180);
    // A report, a put and two plain rows: one, one and two rows each, sixty times; and the first report.
    let size = opened.store().audit_size(&local().key()).await.expect("it answers");
    assert_eq!(size, 1 + 60 + 60 + 120);
    let all = seqs(&opened, AuditQuery { after_seq: Some(0), limit: 1_000, ..AuditQuery::default() }).await;
    assert_eq!(all, (1..=size).collect::<Vec<_>>());
    let leaves = opened.store().audit_hashes(&local().key(), 0, 0, size).await.expect("it answers");
    assert_eq!(leaves.len() as u64, size);
}

pub async fn pages_go_both_ways_and_filter(lab: Lab) {
    let opened = lab.open().await;
    for n in 0..20 {
        let kind = if n % 5 == 0 { "test.rare" } else { "incident_monitor.incident.detected" };
        let mut commit = audited(kind);
        commit.audit[0].created_at_ms = 100 + n;
        send(&opened, commit).await;
    }
    let query = AuditQuery { limit: 4, ..AuditQuery::default() };
    let typed = |kind: &str| AuditQuery { event_type: Some(kind.into()), ..query.clone() };
    let cases = [
        ("newest first", query.clone(), vec![20, 19, 18, 17]),
        ("before", AuditQuery { before_seq: Some(3), ..query.clone() }, vec![2, 1]),
        ("after", AuditQuery { after_seq: Some(10), before_seq: Some(3), ..query.clone() }, vec![11, 12, 13, 14]),
        ("after the end", AuditQuery { after_seq: Some(20), ..query.clone() }, vec![]),
        ("a rare type", typed("test.rare"), vec![16, 11, 6, 1]),
        ("a rare type, further", AuditQuery { before_seq: Some(11), ..typed("test.rare") }, vec![6, 1]),
        ("a common type", typed("incident_monitor.incident.detected"), vec![20, 19, 18, 17]),
        ("an unknown type", typed("test.none"), vec![]),
        ("since", AuditQuery { since_ms: Some(118), ..query.clone() }, vec![20, 19]),
        ("until", AuditQuery { until_ms: Some(101), ..query.clone() }, vec![2, 1]),
    ];
    for (what, query, expected) in cases {
        assert_eq!(seqs(&opened, query).await, expected, "{what}");
    }
    let other = TenantContext::explicit("acme", "x").key();
    assert_eq!(opened.store().audit_rows(&other, query).await, Ok(Vec::new()));
}

pub async fn a_time_bound_finds_every_row_in_whatever_order_they_came(lab: Lab) {
    let opened = lab.open().await;
    let mut times = Vec::new();
    for _ in 0..4 {
        let mut commit = commit();
        for _ in 0..100 {
            // Rising on the whole, and each row up to forty behind or ahead of its neighbours.
            let n = times.len() as u64;
            times.push(1_000 + n + (n * 37) % 80);
            commit = commit.audit(fresh_id(), "test.row", serde_json::json!({}));
            commit.audit.last_mut().expect("just added").created_at_ms = times[times.len() - 1];
        }
        send(&opened, commit).await;
    }
    for since in (990..1_500).step_by(7) {
        let expected: Vec<u64> = (1..=400).filter(|seq| times[*seq as usize - 1] >= since).collect();
        let query = AuditQuery { since_ms: Some(since), limit: 1_000, ..AuditQuery::default() };
        let forward = AuditQuery { after_seq: Some(0), ..query.clone() };
        assert_eq!(seqs(&opened, forward).await, expected, "since {since}");
        let mut backward = seqs(&opened, query).await;
        backward.reverse();
        assert_eq!(backward, expected, "since {since}");
    }
}

pub async fn an_upper_bound_finds_every_row_also_those_that_came_late(lab: Lab) {
    let opened = lab.open().await;
    let mut times = Vec::new();
    for _ in 0..4 {
        let mut commit = commit();
        for _ in 0..100 {
            // A row every ten seconds; one in 50 is from two to thirty minutes before the others.
            let n = times.len() as u64;
            let late = if n % 50 == 49 { 120_000 + n * 4_000 } else { (n * 37) % 80 * 500 };
            times.push((3_000_000 + n * 10_000).saturating_sub(late));
            commit = commit.audit(fresh_id(), "test.row", serde_json::json!({}));
            commit.audit.last_mut().expect("just added").created_at_ms = times[times.len() - 1];
        }
        send(&opened, commit).await;
    }
    for until in (2_700_000..7_200_000).step_by(90_001) {
        for since in [None, Some(until - 400_000)] {
            let inside = |seq: &u64| {
                let at = times[*seq as usize - 1];
                at <= until && since.is_none_or(|since| at >= since)
            };
            let expected: Vec<u64> = (1..=400).filter(inside).collect();
            let query = AuditQuery { since_ms: since, until_ms: Some(until), limit: 1_000, ..AuditQuery::default() };
            let forward = AuditQuery { after_seq: Some(0), ..query.clone() };
            assert_eq!(seqs(&opened, forward).await, expected, "{since:?} until {until}");
            let mut backward = seqs(&opened, query).await;
            backward.reverse();
            assert_eq!(backward, expected, "{since:?} until {until}");
        }
    }
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint {
        size,
        root: [size.to_le_bytes()[0]; 32],
        note: format!("note {size}"),
        frontier: format!("frontier {size}"),
        created_at_ms: 7,
    }
}

pub async fn a_checkpoint_only_grows(lab: Lab) {
    let opened = lab.open().await;
    let tenant = local().key();
    assert_eq!(opened.store().checkpoint(&tenant).await, Ok(None));
    for (size, stored, newest) in [(5, true, 5), (5, false, 5), (3, false, 5), (9, true, 9)] {
        let node = vec![(1, size, [1; 32])];
        assert_eq!(opened.store().checkpoint_put(&tenant, checkpoint(size), node).await, Ok(stored), "{size}");
        assert_eq!(opened.store().checkpoint(&tenant).await, Ok(Some(checkpoint(newest))));
    }
    assert_eq!(opened.store().audit_hashes(&tenant, 1, 3, 1).await, Ok(Vec::new()), "a refused one leaves no nodes");
    let racers = (10..30).map(|size| {
        let (opened, tenant) = (opened.clone(), tenant.clone());
        tokio::spawn(async move { opened.store().checkpoint_put(&tenant, checkpoint(size), Vec::new()).await })
    });
    for racer in racers.collect::<Vec<_>>() {
        racer.await.expect("no panic").expect("it answers");
    }
    assert_eq!(opened.store().checkpoint(&tenant).await, Ok(Some(checkpoint(29))));
}

pub async fn bodies_go_and_everything_else_stays(lab: Lab) {
    let opened = lab.open().await;
    let (tenant, other) = (local().key(), TenantContext::explicit("acme", "x"));
    let mut elsewhere = Commit::new(&context(&other, 1_000));
    for _ in 0..3 {
        elsewhere = elsewhere.audit(fresh_id(), "test.row", serde_json::json!({}));
    }
    send(&opened, elsewhere).await;
    for _ in 0..6 {
        send(&opened, audited("test.row")).await;
    }
    let all = AuditQuery { after_seq: Some(0), limit: 100, ..AuditQuery::default() };
    let before = opened.store().audit_rows(&tenant, all.clone()).await.expect("it answers");
    let leaves = opened.store().audit_hashes(&tenant, 0, 0, 6).await;
    // One that is refused drops nothing.
    let (_, draft) = some_draft(&opened).await;
    let drop = |first_seq, last_seq| Write::DropBodies { first_seq, last_seq };
    refused(&opened, commit().write(drop(1, 6)).put(Put::update(&draft, 99))).await;
    send(&opened, audited("test.told").write(drop(2, 3)).write(drop(5, 5))).await;
    let after = opened.store().audit_rows(&tenant, all.clone()).await.expect("it answers");
    for (was, is) in before.iter().zip(&after) {
        let gone = [2, 3, 5].contains(&is.seq);
        assert_eq!(is.body(), (!gone).then_some(was.canonical.as_str()), "{}", is.seq);
        assert_eq!(
            (is.seq, &is.event_type, is.created_at_ms, is.leaf),
            (was.seq, &was.event_type, was.created_at_ms, was.leaf)
        );
    }
    assert_eq!(opened.store().audit_hashes(&tenant, 0, 0, 6).await, leaves);
    let theirs = opened.store().audit_rows(&other.key(), all).await.expect("it answers");
    assert!(theirs.len() == 3 && theirs.iter().all(|row| row.body().is_some()));
}

pub async fn nodes_answer_by_level_and_index(lab: Lab) {
    let opened = lab.open().await;
    let tenant = local().key();
    let nodes = vec![(1, 0, [10; 32]), (1, 1, [11; 32]), (1, 2, [12; 32]), (2, 0, [20; 32]), (2, 2, [22; 32])];
    assert_eq!(opened.store().checkpoint_put(&tenant, checkpoint(1), nodes).await, Ok(true));
    let hashes = async |level, start, count| opened.store().audit_hashes(&tenant, level, start, count).await;
    assert_eq!(hashes(1, 0, 9).await, Ok(vec![[10; 32], [11; 32], [12; 32]]));
    assert_eq!(hashes(1, 1, 1).await, Ok(vec![[11; 32]]));
    assert_eq!(hashes(2, 0, 1).await, Ok(vec![[20; 32]]));
    assert!(hashes(2, 0, 3).await.is_err(), "a hole in the tree is not an end");
    assert_eq!(hashes(0, 0, 5).await, Ok(Vec::new()));
}

pub async fn a_first_value_stays(lab: Lab) {
    let opened = lab.open().await;
    assert_eq!(opened.store().meta_get("seed").await, Ok(None));
    let racers = (0..10).map(|n| {
        let opened = opened.clone();
        tokio::spawn(async move { opened.store().meta_init("seed", &format!("value {n}")).await })
    });
    let mut seen = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        seen.push(racer.await.expect("no panic").expect("it answers"));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "everyone is told the same value: {seen:?}");
    assert_eq!(opened.store().meta_get("seed").await, Ok(seen.pop()));
    for _ in 0..2 {
        assert_eq!(opened.store().ping().await, Ok(()));
    }
}
