//! Where assessments are made: on threads of their own, in turn.
//!
//! An estate may be a hundred thousand rows. To read, parse and judge them keeps a processor busy for seconds, and on the
//! threads that serve requests everybody would wait for it. So whoever assesses asks for a [`Turn`]; what reads many rows
//! wants to see one and cannot be called without. There are few threads and each does one thing at a time, which bounds
//! what assessments hold in memory; and they let others go first where the platform can arrange that.
//!
//! Deliberately absent: asking for a turn inside a turn. The inner one would wait for a thread that waits for it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc},
};

use tandem_core::{
    actor::OpContext,
    error::{Code, Failure},
};
use tokio::{runtime::Handle, sync::oneshot};

use crate::App;

/// More would take processors from requests and hold more estates at once.
const MOST_THREADS: usize = 4;

/// The right to assess, for as long as a thread is lent for it.
pub struct Turn(());

type Work = Box<dyn FnOnce() + Send>;

/// The threads, once somebody has asked for one.
#[derive(Default)]
pub(crate) struct Turns(OnceLock<mpsc::Sender<Work>>);

impl Turns {
    /// Does `work` on one of the threads, as soon as one is free. When the caller gives up, it ends where it next waits for
    /// something, and does not begin if it has not.
    async fn give<T, F>(&self, background: fn(), work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: AsyncFnOnce(&Turn) -> Result<T, Failure> + Send + 'static,
    {
        let (mut reply, answer) = oneshot::channel();
        let runtime = Handle::current();
        let work = Box::new(move || {
            if reply.is_closed() {
                return;
            }
            let done = runtime.block_on(async {
                tokio::select! {
                    done = work(&Turn(())) => Some(done),
                    () = reply.closed() => None,
                }
            });
            if let Some(done) = done {
                let _ = reply.send(done);
            }
        });
        let broken = || Failure::of(Code::Internal);
        self.queue(background).send(work).map_err(|_| broken())?;
        answer.await.map_err(|_| broken())?
    }

    fn queue(&self, background: fn()) -> &mpsc::Sender<Work> {
        self.0.get_or_init(|| {
            let (queue, waiting) = mpsc::channel();
            let waiting = Arc::new(Mutex::new(waiting));
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            for n in 0..(processors / 2).clamp(1, MOST_THREADS) {
                let waiting = Arc::clone(&waiting);
                let thread = std::thread::Builder::new().name(format!("tandem-assess-{n}"));
                let started = thread.spawn(move || {
                    background();
                    while let Some(work) = next(&waiting) {
                        // Whoever waits for it is told by the answer that never comes.
                        let _ = catch_unwind(AssertUnwindSafe(work));
                    }
                });
                if let Err(error) = started {
                    tracing::error!(%error, "no thread to assess with");
                }
            }
            queue
        })
    }
}

/// One thread at a time waits in the queue, the others wait for their turn to.
fn next(waiting: &Mutex<mpsc::Receiver<Work>>) -> Option<Work> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl App {
    /// Does `work` when it has its [`Turn`].
    pub async fn assess<T, F>(self: &Arc<Self>, ctx: &OpContext, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: AsyncFnOnce(&Arc<App>, &Turn, &OpContext) -> Result<T, Failure> + Send + 'static,
    {
        let (app, ctx) = (Arc::clone(self), ctx.clone());
        self.turns.give(self.ports.background, async move |turn| work(&app, turn, &ctx).await).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use tokio::sync::Notify;

    use super::*;

    fn here() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn work_is_done_on_threads_that_step_back_first() {
        static STEPPED: AtomicUsize = AtomicUsize::new(0);
        fn step() {
            assert!(here().starts_with("tandem-assess-"));
            STEPPED.fetch_add(1, Ordering::SeqCst);
        }
        let turns = Turns::default();
        for _ in 0..3 {
            let place = turns.give(step, async |_| Ok(here())).await;
            assert!(place.is_ok_and(|place| place.starts_with("tandem-assess-")));
        }
        assert!((1..=MOST_THREADS).contains(&STEPPED.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn few_at_a_time_and_everyone_in_turn() {
        let (turns, busy, most) = (Turns::default(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let all = (0..40).map(|n| {
            let (busy, most) = (Arc::clone(&busy), Arc::clone(&most));
            turns.give(
                || (),
                async move |_| {
                    most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    busy.fetch_sub(1, Ordering::SeqCst);
                    Ok(n)
                },
            )
        });
        let done: Vec<_> = futures_util::future::join_all(all).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(done, (0..40).collect::<Vec<_>>());
        let threads = (std::thread::available_parallelism().map_or(1, usize::from) / 2).clamp(1, MOST_THREADS);
        assert!(most.load(Ordering::SeqCst) <= threads, "{most:?} at once on {threads} threads");
    }

    #[tokio::test]
    async fn a_panic_is_that_turns_alone() {
        let turns = Turns::default();
        for _ in 0..2 * MOST_THREADS {
            let broken = turns.give::<(), _>(|| (), async |_| panic!("a rule is wrong")).await;
            assert_eq!(broken.map_err(|failure| failure.code), Err(Code::Internal));
        }
        assert_eq!(turns.give(|| (), async |_| Ok(7)).await.ok(), Some(7));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_ends_and_gives_its_thread_back() {
        let (turns, begun) = (Turns::default(), Arc::new(Notify::new()));
        for _ in 0..2 * MOST_THREADS {
            let told = Arc::clone(&begun);
            let endless = turns.give::<(), _>(
                || (),
                async move |_| {
                    told.notify_one();
                    std::future::pending().await
                },
            );
            tokio::select! {
                _ = endless => panic!("it has no end"),
                () = begun.notified() => {}
            }
        }
        assert_eq!(turns.give(|| (), async |_| Ok(7)).await.ok(), Some(7));
    }

    #[tokio::test]
    async fn work_that_was_given_up_while_it_waited_is_not_begun() {
        let (turns, go, begun) = (Turns::default(), Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let busy = (0..MOST_THREADS).map(|_| {
            let go = Arc::clone(&go);
            turns.give(
                || (),
                async move |_| {
                    go.notified().await;
                    Ok(())
                },
            )
        });
        let mut busy = futures_util::future::join_all(busy);
        let told = Arc::clone(&begun);
        let mut waiting = Box::pin(turns.give(
            || (),
            async move |_| {
                told.fetch_add(1, Ordering::SeqCst);
                Ok(())
            },
        ));
        // Each is asked once, which is when it stands in the queue.
        assert!((&mut busy).now_or_never().is_none());
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        let release = async {
            loop {
                go.notify_waiters();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = busy => {}
            () = release => {}
        }
        assert!(turns.give(|| (), async |_| Ok(())).await.is_ok());
        assert_eq!(begun.load(Ordering::SeqCst), 0);
    }
}
