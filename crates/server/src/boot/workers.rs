//! The workers: each rings a step of the use cases when there may be work, and now and then in any case. They hold no
//! state that matters; the store does.

use std::{
    collections::HashSet,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use tandem_app::{App, reconcile::tail::Next};
use tandem_core::{error::Failure, record::JobKind};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

/// The longest sleep of a worker that was not rung: the net for work that another engine left.
const NET: Duration = Duration::from_secs(1);

pub struct Workers {
    tasks: Vec<JoinHandle<()>>,
}

impl Workers {
    pub fn start(
        app: &Arc<App>,
        wakes: &watch::Receiver<u64>,
        stopping: &watch::Receiver<bool>,
        witnessing: Duration,
    ) -> Self {
        let every = |name, period, step| tokio::spawn(timed(name, period, Arc::clone(app), stopping.clone(), step));
        let tasks = vec![
            tokio::spawn(deliver(Arc::clone(app), wakes.clone(), stopping.clone())),
            tokio::spawn(triage(Arc::clone(app), wakes.clone(), stopping.clone())),
            tokio::spawn(govern(Arc::clone(app), wakes.clone(), stopping.clone())),
            tokio::spawn(tail(Arc::clone(app), wakes.clone(), stopping.clone())),
            tokio::spawn(runs(Arc::clone(app), wakes.clone(), stopping.clone())),
            tokio::spawn(reassess(Arc::clone(app), wakes.clone(), stopping.clone())),
            tokio::spawn(exports(Arc::clone(app), wakes.clone(), stopping.clone())),
            tokio::spawn(retain(Arc::clone(app), wakes.clone(), stopping.clone())),
            every("checkpoint", Duration::from_secs(1), |app| Box::pin(async move { app.checkpoint_all().await })),
            every("witness", witnessing, |app| Box::pin(async move { app.cosign_all().await })),
            every("key use", Duration::from_secs(5), |app| Box::pin(async move { app.flush_uses().await })),
            tokio::spawn(tend_mcp(Arc::clone(app), stopping.clone())),
            every("audit look", Duration::from_secs(20), |app| Box::pin(async move { app.look_at_all().await })),
            every("audit check", Duration::from_secs(600), |app| Box::pin(async move { app.check_all().await })),
            every("status sync", Duration::from_secs(1), |app| {
                Box::pin(async move { app.sync_due().await.map(|_| ()) })
            }),
            every("retention", Duration::from_secs(60), |app| Box::pin(async move { app.retain().await.map(|_| ()) })),
        ];
        Self { tasks }
    }

    /// Waits for what is under way, at most until the deadline; what is left is claimed again after its lease.
    pub async fn finish(self, deadline: Instant) {
        for task in self.tasks {
            let abort = task.abort_handle();
            if tokio::time::timeout_at(deadline, task).await.is_err() {
                abort.abort();
            }
        }
    }
}

type Step = fn(Arc<App>) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

fn report(name: &str, result: Result<(), Failure>) {
    if let Err(failure) = result {
        tracing::warn!(worker = name, code = failure.code.word(), "a worker's step failed; it is tried again");
    }
}

/// Runs `step` at once and then every `period`, and once more before the end.
async fn timed(name: &'static str, period: Duration, app: Arc<App>, mut stopping: watch::Receiver<bool>, step: Step) {
    loop {
        report(name, step(Arc::clone(&app)).await);
        let _ = tokio::time::timeout(period, stopping.wait_for(|stop| *stop)).await;
        if *stopping.borrow() {
            report(name, step(app).await);
            return;
        }
    }
}

/// Looks after MCP connections. A dial under way is given up when the server stops: it leaves nothing to finish.
async fn tend_mcp(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        tokio::select! {
            result = app.mcp_tend() => report("mcp", result),
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let _ = tokio::time::timeout(NET, stopping.wait_for(|stop| *stop)).await;
    }
}

/// Sleeps until something rings, the next job is due, or the net catches.
async fn rest(app: &App, kind: JobKind, wakes: &mut watch::Receiver<u64>, stopping: &mut watch::Receiver<bool>) {
    let now_ms = app.now_ms();
    let due = app.store().next_due(kind).await.ok().flatten();
    let sleep = due.map_or(NET, |at| Duration::from_millis(at.saturating_sub(now_ms)).clamp(FLOOR, NET));
    tokio::select! {
        () = app.wake.notified() => {}
        _ = wakes.changed() => {}
        _ = stopping.wait_for(|stop| *stop) => {}
        () = tokio::time::sleep(sleep) => {}
    }
}

/// A lane that is busy is due all the time; looking at it more often than this would only burn the processor.
const FLOOR: Duration = Duration::from_millis(5);

/// One task per lane with due deliveries.
async fn deliver(app: Arc<App>, mut wakes: watch::Receiver<u64>, mut stopping: watch::Receiver<bool>) {
    let active: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut lanes = tokio::task::JoinSet::new();
    while !*stopping.borrow() {
        wakes.mark_unchanged();
        match app.store().due_lanes(JobKind::Deliver, app.now_ms()).await {
            Ok(due) => {
                for lane in due {
                    let free = active.lock().is_ok_and(|mut held| held.insert(lane.clone()));
                    if free {
                        let (app, active) = (Arc::clone(&app), Arc::clone(&active));
                        lanes.spawn(async move {
                            let done = app.deliver_lane(&lane).await;
                            if let Ok(mut held) = active.lock() {
                                held.remove(&lane);
                            }
                            report("deliver", done.map(|_| ()));
                        });
                    }
                }
            }
            Err(error) => report("deliver", Err(error.into())),
        }
        while lanes.try_join_next().is_some() {}
        rest(&app, JobKind::Deliver, &mut wakes, &mut stopping).await;
    }
    while lanes.join_next().await.is_some() {}
}

async fn triage(app: Arc<App>, mut wakes: watch::Receiver<u64>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        wakes.mark_unchanged();
        report("triage", app.triage_until_idle().await.map(|_| ()));
        rest(&app, JobKind::Triage, &mut wakes, &mut stopping).await;
    }
}

/// The sweeps of governance.
async fn govern(app: Arc<App>, mut wakes: watch::Receiver<u64>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        wakes.mark_unchanged();
        report("governance", app.sweep_due().await.map(|_| ()));
        rest(&app, JobKind::Sweep, &mut wakes, &mut stopping).await;
    }
}

/// How often rows are compared with the configuration though nobody said that it changed.
const ARRANGE: Duration = Duration::from_secs(5);

/// One task for each log source that this process holds, so that none delays another.
async fn tail(app: Arc<App>, mut wakes: watch::Receiver<u64>, mut stopping: watch::Receiver<bool>) {
    let active: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut sources = tokio::task::JoinSet::new();
    app.tail_running(true);
    let mut arranged: Option<Instant> = None;
    while !*stopping.borrow() {
        wakes.mark_unchanged();
        let changed = app.tail_changed();
        tokio::pin!(changed);
        // From here on a change is not missed.
        changed.as_mut().enable();
        if arranged.is_none_or(|at| at.elapsed() >= ARRANGE) {
            report("tail", app.tail_arrange().await);
            arranged = Some(Instant::now());
        }
        match app.tail_due().await {
            Ok(due) => {
                for lane in due {
                    let free = active.lock().is_ok_and(|mut held| held.insert(lane.clone()));
                    if free {
                        let (app, active, stopping) = (Arc::clone(&app), Arc::clone(&active), stopping.clone());
                        sources.spawn(async move {
                            let _free = Freed { active, lane: lane.clone() };
                            source(&app, &lane, stopping).await;
                        });
                    }
                }
            }
            Err(failure) => report("tail", Err(failure)),
        }
        while sources.try_join_next().is_some() {}
        tokio::select! {
            () = &mut changed => arranged = None,
            _ = wakes.changed() => {}
            _ = stopping.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep(NET) => {}
        }
    }
    app.tail_running(false);
    while sources.join_next().await.is_some() {}
}

/// A lane that is let go of however its task ends.
struct Freed {
    active: Arc<Mutex<HashSet<String>>>,
    lane: String,
}

impl Drop for Freed {
    fn drop(&mut self) {
        if let Ok(mut held) = self.active.lock() {
            held.remove(&self.lane);
        }
    }
}

/// Reads one source until it is not to be read any more, or the process ends.
async fn source(app: &App, lane: &str, mut stopping: watch::Receiver<bool>) {
    let mut tail = match app.tail_claim(lane).await {
        Ok(Some(tail)) => tail,
        Ok(None) => return,
        Err(failure) => return report("tail", Err(failure)),
    };
    loop {
        // A step is either stored or read again, so it may be given up anywhere.
        let next = tokio::select! {
            next = app.tail_step(&mut tail) => Some(next),
            _ = stopping.wait_for(|stop| *stop) => None,
        };
        let Some(next) = next else { return app.tail_leave(tail).await };
        match next {
            Next::Again => tokio::task::yield_now().await,
            Next::Gone => return,
            Next::Rest(rest) => tokio::select! {
                () = app.tail_rest(&mut tail, rest) => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            },
            Next::BackOff(rest) => tokio::select! {
                () = tokio::time::sleep(rest) => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            },
        }
    }
}

/// Leases of runs and bad ends. The lease is what has a time to wait for; a bad end rings when it is written.
async fn runs(app: Arc<App>, mut wakes: watch::Receiver<u64>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        wakes.mark_unchanged();
        report("runs", app.runs_until_idle().await.map(|_| ()));
        rest(&app, JobKind::RunLease, &mut wakes, &mut stopping).await;
    }
}

/// Scopes that are due for assessment. What was stored before there were scopes gets them first.
async fn reassess(app: Arc<App>, mut wakes: watch::Receiver<u64>, mut stopping: watch::Receiver<bool>) {
    report("reassess", app.reassess_arrange().await);
    while !*stopping.borrow() {
        wakes.mark_unchanged();
        report("reassess", app.reassess_due().await.map(|_| ()));
        rest(&app, JobKind::Reassess, &mut wakes, &mut stopping).await;
    }
}

/// Bodies of audit rows that are older than their tenant keeps them.
async fn retain(app: Arc<App>, mut wakes: watch::Receiver<u64>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        wakes.mark_unchanged();
        report("audit retention", app.retention_due().await.map(|_| ()));
        rest(&app, JobKind::Retention, &mut wakes, &mut stopping).await;
    }
}

/// Scheduled exports of logs.
async fn exports(app: Arc<App>, mut wakes: watch::Receiver<u64>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        wakes.mark_unchanged();
        report("exports", app.export_due().await.map(|_| ()));
        rest(&app, JobKind::Export, &mut wakes, &mut stopping).await;
    }
}
