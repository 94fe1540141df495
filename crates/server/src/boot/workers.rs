//! The workers: each rings a step of the use cases when there may be work, and now and then in any case. They hold no
//! state that matters; the store does.

use std::{
    collections::HashSet,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
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
        let every = |name, period, step: Step| {
            let app = Arc::clone(app);
            tokio::spawn(timed(name, period, stopping.clone(), move || step(Arc::clone(&app))))
        };
        let jobs = |name, kind, step: Step| {
            tokio::spawn(jobs(name, kind, Arc::clone(app), wakes.clone(), stopping.clone(), step))
        };
        let seconds = Duration::from_secs;
        let tasks = vec![
            tokio::spawn(deliver(Arc::clone(app), wakes.clone(), stopping.clone())),
            tokio::spawn(tail(Arc::clone(app), wakes.clone(), stopping.clone())),
            tokio::spawn(tend_mcp(Arc::clone(app), stopping.clone())),
            jobs("triage", JobKind::Triage, |app| async move { app.triage_until_idle().await.map(drop) }.boxed()),
            jobs("governance", JobKind::Sweep, |app| async move { app.sweep_due().await.map(drop) }.boxed()),
            // The lease of a run is what has a time to wait for; a bad end rings when it is written.
            jobs("runs", JobKind::RunLease, |app| async move { app.runs_until_idle().await.map(drop) }.boxed()),
            jobs("reassessment", JobKind::Reassess, |app| async move { app.reassess_due().await.map(drop) }.boxed()),
            // What was stored before there were scopes gets them.
            tokio::spawn({
                let app = Arc::clone(app);
                async move { attempt("reassessment", app.reassess_arrange()).await }
            }),
            jobs("exports", JobKind::Export, |app| async move { app.export_due().await.map(drop) }.boxed()),
            jobs("audit retention", JobKind::Retention, |app| {
                async move { app.retention_due().await.map(drop) }.boxed()
            }),
            every("checkpoint", seconds(1), |app| async move { app.checkpoint_all().await }.boxed()),
            every("witness", witnessing, |app| async move { app.cosign_all().await }.boxed()),
            every("key use", seconds(5), |app| async move { app.flush_uses().await }.boxed()),
            every("audit look", seconds(20), |app| async move { app.look_at_all().await }.boxed()),
            every("audit check", seconds(600), |app| async move { app.check_all().await }.boxed()),
            every("status sync", seconds(1), |app| async move { app.sync_due().await.map(drop) }.boxed()),
            every("removal", seconds(60), |app| async move { app.remove_old_rows().await.map(drop) }.boxed()),
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

type Step = fn(Arc<App>) -> BoxFuture<'static, Result<(), Failure>>;

/// One step of a worker. Neither a failure nor a panic in it ends the worker.
async fn attempt(name: &str, step: impl Future<Output = Result<(), Failure>>) {
    match AssertUnwindSafe(step).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => {
            tracing::warn!(worker = name, code = failure.code.word(), "a worker's step failed; it is tried again");
        }
        Err(_) => {
            tracing::error!(worker = name, "a worker's step panicked; it is tried again");
            tokio::time::sleep(NET).await;
        }
    }
}

/// Runs `step` at once and then every `period`, and once more before the end.
async fn timed(
    name: &'static str,
    period: Duration,
    mut stopping: watch::Receiver<bool>,
    step: impl Fn() -> BoxFuture<'static, Result<(), Failure>>,
) {
    loop {
        attempt(name, step()).await;
        let _ = tokio::time::timeout(period, stopping.wait_for(|stop| *stop)).await;
        if *stopping.borrow() {
            return attempt(name, step()).await;
        }
    }
}

/// Runs `step` whenever there may be due jobs of `kind`.
async fn jobs(
    name: &'static str,
    kind: JobKind,
    app: Arc<App>,
    mut wakes: watch::Receiver<u64>,
    mut stopping: watch::Receiver<bool>,
    step: Step,
) {
    while !*stopping.borrow() {
        wakes.mark_unchanged();
        attempt(name, step(Arc::clone(&app))).await;
        rest(&app, kind, &mut wakes, &mut stopping).await;
    }
}

/// Looks after MCP connections. A dial under way is given up when the server stops: it leaves nothing to finish.
async fn tend_mcp(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        tokio::select! {
            () = attempt("mcp", app.mcp_tend()) => {}
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
                            let _free = Freed { active, lane: lane.clone() };
                            attempt("deliver", async { app.deliver_lane(&lane).await.map(drop) }).await;
                        });
                    }
                }
            }
            Err(error) => attempt("deliver", async { Err(error.into()) }).await,
        }
        while lanes.try_join_next().is_some() {}
        rest(&app, JobKind::Deliver, &mut wakes, &mut stopping).await;
    }
    while lanes.join_next().await.is_some() {}
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
            attempt("tail", app.tail_arrange()).await;
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
            Err(failure) => attempt("tail", async { Err(failure) }).await,
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
        Err(failure) => return attempt("tail", async { Err(failure) }).await,
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_step_does_not_end_its_worker() {
        let (stop, stopping) = watch::channel(false);
        let steps = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&steps);
        timed("test", Duration::from_millis(1), stopping, move || {
            let step = counted.fetch_add(1, Ordering::SeqCst);
            if step == 2 {
                stop.send_replace(true);
            }
            async move {
                assert!(step != 0, "the first step panics");
                Ok(())
            }
            .boxed()
        })
        .await;
        assert_eq!(steps.load(Ordering::SeqCst), 4, "and the last one runs at the end");
    }
}
