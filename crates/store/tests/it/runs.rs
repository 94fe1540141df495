//! Runs of automations: decided inside the write transaction, the same on both back ends.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tandem_core::{
    automation::{
        AUTOMATIONS, Automation,
        act::{
            claim::ClaimRuns,
            create::Create,
            report::{Answer, TakeReport},
            run_now::RunNow,
        },
        admission::{Base, Claims},
        run::{RUNS, Run, failure::NOTES, report},
    },
    decide::{Decision, commit as decided},
    error::Failure,
};

use crate::lab::*;

/// Without the review that is due after some runs have ended.
fn base() -> Arc<Base> {
    let off = |name: &str| (name == "TANDEM_AGENT_AUTOMATION_RUN_REVIEW_THRESHOLD").then(|| "0".to_owned());
    Arc::new(Base::from_env(off).0)
}

/// Puts a question to the store as a server does.
async fn ask<D: Decision>(opened: &Opened, decision: D) -> Result<D::Outcome, Failure> {
    let commit = decided(&context(&local(), 1_000), u128::from(fresh()) << 64, decision);
    let mut committed = send(opened, commit).await;
    committed.verdicts.pop().expect("a question has an answer").of::<D>()
}

async fn automation(opened: &Opened) -> Automation {
    let body = json!({ "name": "Stored", "own": { "kept": [1, 2] } });
    let create = Create { body, claims: Claims::default(), key: None, base: base() };
    ask(opened, create).await.expect("it is made")
}

async fn run(opened: &Opened, automation: &Automation) -> Run {
    let wish = RunNow {
        automation_id: automation.automation_id.clone(),
        dry: false,
        profile: None,
        trigger: None,
        reason: None,
        base: base(),
    };
    ask(opened, wish).await.expect("it is admitted")
}

fn claim(who: &str, limit: usize) -> ClaimRuns {
    ClaimRuns { claimant_id: who.into(), lease_ms: None, run_id: None, automation_id: None, limit, base: base() }
}

async fn report(opened: &Opened, run: &Run, body: Value) -> Result<Answer, Failure> {
    let report = report::read(body).expect("the report can be read");
    ask(opened, TakeReport { run_id: run.run_id.clone(), report, base: base() }).await
}

pub async fn racing_claims_share_runs_without_overlap(lab: Lab) {
    let opened = lab.open().await;
    let automation = automation(&opened).await;
    let mut wanted = BTreeSet::new();
    for _ in 0..60 {
        wanted.insert(run(&opened, &automation).await.run_id);
    }
    let executors = (0..16).map(|n| {
        let opened = Arc::clone(&opened);
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let lent = ask(&opened, claim(&format!("e{n}"), 1 + n % 3)).await.expect("asking is allowed").runs;
                if lent.is_empty() {
                    return mine;
                }
                mine.extend(lent.into_iter().map(|run| run.run_id));
            }
        })
    });
    let mut lent = Vec::new();
    for executor in executors.collect::<Vec<_>>() {
        lent.extend(executor.await.expect("no executor panics"));
    }
    assert_eq!(lent.len(), 60, "each run was lent once");
    assert_eq!(lent.into_iter().collect::<BTreeSet<_>>(), wanted);
}

pub async fn the_same_report_at_once_counts_once(lab: Lab) {
    let opened = lab.open().await;
    let automation = automation(&opened).await;
    let run = run(&opened, &automation).await;
    let bodies = (0..24).map(|n| json!({ "report_id": format!("r{}", n % 3), "usage": { "total_tokens": 10 } }));
    let reports = bodies.map(|body| {
        let (opened, run) = (Arc::clone(&opened), run.clone());
        tokio::spawn(async move { report(&opened, &run, body).await.expect("it is taken in").duplicate })
    });
    let mut counted = 0;
    for report in reports.collect::<Vec<_>>() {
        counted += usize::from(!report.await.expect("no report panics"));
    }
    let stored = load::<Run>(&opened, &local().key(), &run.run_id).await.expect("it is there").value;
    assert_eq!((counted, stored.total_tokens, stored.report_count), (3, 30, 3));
}

pub async fn a_bad_end_leaves_its_note_and_job_with_it(lab: Lab) {
    let opened = lab.open().await;
    let automation = automation(&opened).await;
    let run = run(&opened, &automation).await;
    let before = opened.store().audit_size(&local().key()).await.expect("it answers");
    let failed = json!({ "report_id": "f", "status": "failed", "detail": "it broke" });
    report(&opened, &run, failed.clone()).await.expect("it is taken in");
    assert_eq!(count(&opened, &NOTES, &local()).await, 1);
    let jobs = || opened.store().job_count(tandem_core::record::JobKind::RunFailure);
    assert_eq!(jobs().await, Ok(1));
    assert!(report(&opened, &run, failed).await.expect("it is known").duplicate);
    let refused = report(&opened, &run, json!({ "report_id": "g", "status": "completed" })).await;
    assert!(refused.is_err(), "it has ended");
    assert_eq!((count(&opened, &NOTES, &local()).await, jobs().await), (1, Ok(1)));
    // The report, and the refusal of the one after the end.
    let after = opened.store().audit_size(&local().key()).await.expect("it answers");
    assert!((before + 1..=before + 2).contains(&after), "{before} to {after}");
}

pub async fn automations_and_runs_are_listed_and_kept_whole(lab: Lab) {
    let opened = lab.open().await;
    let automation = automation(&opened).await;
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        ids.insert(run(&opened, &automation).await.run_id);
    }
    let key = local().key();
    let stored = load::<Automation>(&opened, &key, &automation.automation_id).await.expect("it is there").value;
    assert_eq!(stored, automation);
    assert_eq!(stored.spec.extra["own"], json!({ "kept": [1, 2] }));
    let by = equals("automation_id", &automation.automation_id);
    let mut query = list(&RUNS, "created_at_ms");
    query.equals = vec![by.clone()];
    let found: BTreeSet<String> = walk(&opened, query).await.into_iter().map(|(_, id)| id).collect();
    assert_eq!(found, ids);
    let mut query = list(&RUNS, "turn");
    query.equals = vec![by, equals("status", "queued")];
    assert_eq!(walk(&opened, query).await.len(), 20);
    let mut query = list(&AUTOMATIONS, "updated_at_ms");
    query.equals = vec![equals("state", "live")];
    assert_eq!(walk(&opened, query).await.len(), 1);
}
