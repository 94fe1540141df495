//! Requests to a tracker's API under the limits of its host: how many at once, how fast, and not before it said.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tandem_core::{
    destination::DestinationKind,
    ports::Secret,
    tracker::{
        Class, Request, Settings,
        answer::{self, Answer},
        budget::{Budget, Limits},
        linear,
        settings::Api,
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Stop;
use crate::App;

/// A request to a tracker's API, with everything that sending it needs.
#[derive(Clone, Debug)]
pub struct ApiCall {
    pub kind: DestinationKind,
    pub api: Api,
    pub timeout_ms: u64,
    pub token: Secret,
    pub request: Request,
}

/// What requests to trackers share in this process. Nothing of it decides whether something is sent twice.
#[derive(Default)]
pub(crate) struct Shared {
    budgets: Mutex<HashMap<String, Budget>>,
    /// By lane and by whether they are for writing: looking must not wait behind writing.
    turns: Mutex<HashMap<(String, bool), (usize, Arc<Semaphore>)>>,
    /// What the names of Linear's teams and projects stand for, and until when that is believed.
    targets: Mutex<HashMap<String, (linear::Target, u64)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names are asked for again after this.
const TARGET_MS: u64 = 600_000;

impl Shared {
    fn turns(&self, lane: &str, write: bool, at_once: usize) -> Arc<Semaphore> {
        let mut turns = lock(&self.turns);
        let (size, semaphore) =
            turns.entry((lane.to_owned(), write)).or_insert_with(|| (at_once, Arc::new(Semaphore::new(at_once))));
        if *size != at_once {
            (*size, *semaphore) = (at_once, Arc::new(Semaphore::new(at_once)));
        }
        Arc::clone(semaphore)
    }

    pub(crate) fn budget<T>(&self, key: &str, act: impl FnOnce(&mut Budget) -> T) -> T {
        act(lock(&self.budgets).entry(key.to_owned()).or_default())
    }

    pub(super) fn target(&self, key: &str, now_ms: u64) -> Option<linear::Target> {
        lock(&self.targets).get(key).filter(|(_, until)| *until > now_ms).map(|(target, _)| target.clone())
    }

    pub(super) fn target_known(&self, key: &str, target: linear::Target, now_ms: u64) {
        lock(&self.targets).insert(key.to_owned(), (target, now_ms + TARGET_MS));
    }
}

/// The right to write now. Held until the answer is there.
pub(crate) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

/// The way to one tracker.
pub(crate) struct Reach<'a> {
    pub app: &'a App,
    pub kind: DestinationKind,
    pub settings: &'a Settings,
    pub lane: &'a str,
    /// What limits are counted by.
    pub budget: String,
    pub token: Option<Secret>,
}

impl Reach<'_> {
    /// Waits for a place among those that write, and takes one write out of the budget.
    pub async fn turn(&self) -> Result<Turn, Stop> {
        let turns = self.app.trackers.turns(self.lane, true, self.settings.concurrency);
        let permit = turns.acquire_owned().await.ok();
        self.take(Class::Write)?;
        Ok(Turn { _permit: permit })
    }

    /// Takes one request out of the budget.
    pub fn take(&self, class: Class) -> Result<(), Stop> {
        let pace = self.settings.writes_per_minute;
        let now_ms = self.app.now_ms();
        let taken = self.app.trackers.budget(&self.budget, |budget| budget.take(class, pace, now_ms));
        taken.map_err(|until_ms| Stop::Hold { until_ms })
    }

    pub fn learn(&self, class: Class, limits: &Limits) {
        let now_ms = self.app.now_ms();
        self.app.trackers.budget(&self.budget, |budget| budget.learn(class, limits, now_ms));
    }

    /// A place among those that look.
    pub async fn looking(&self) -> Option<OwnedSemaphorePermit> {
        self.app.trackers.turns(self.lane, false, self.settings.concurrency).acquire_owned().await.ok()
    }

    /// Sends a request that looks.
    pub async fn ask(&self, request: Request) -> Result<Value, Stop> {
        self.ask_for(request).await.map(|(value, _)| value)
    }

    /// Sends a request that looks; answers with the headers as well.
    pub async fn ask_for(&self, request: Request) -> Result<(Value, Answer), Stop> {
        let _place = self.looking().await;
        self.take(request.class)?;
        self.exchange(request).await
    }

    /// Sends a request that writes. The turn has been taken, so nothing can hold it back any more.
    pub async fn write(&self, request: Request) -> Result<Value, Stop> {
        self.exchange(request).await.map(|(value, _)| value)
    }

    async fn exchange(&self, request: Request) -> Result<(Value, Answer), Stop> {
        let (Some(api), Some(token)) = (self.settings.api(), &self.token) else {
            return Err(Stop::trouble("internal", "the destination has no API"));
        };
        let class = request.class;
        let call = ApiCall {
            kind: self.kind,
            api: api.clone(),
            timeout_ms: self.settings.timeout_ms,
            token: token.clone(),
            request,
        };
        let answer = self.app.ports.outbound.exchange(call).await.map_err(Stop::Trouble)?;
        let limits = answer::limits(class, &answer, self.app.now_ms());
        self.learn(class, &limits);
        match answer::judge(class, &answer, &limits) {
            Ok(value) => Ok((value, answer)),
            Err(trouble) => Err(Stop::Trouble(trouble)),
        }
    }

    /// A tracker's words without the token, should it quote it.
    pub fn clean(&self, text: &str) -> String {
        match &self.token {
            Some(token) => text.replace(token.expose(), "[redacted]"),
            None => text.to_owned(),
        }
    }
}
