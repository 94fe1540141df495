//! Connects the use cases to the log files of this machine: reads on threads that may block, and one inotify descriptor
//! that wakes whoever reads a file below a directory that changed.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tandem_core::{
    ports::{BoxFuture, LogFiles, LogReader, Reading},
    source::{
        SourcePosition,
        log::{Batch, Candidate, Last, LogError, LogErrorCode, Place, ReadOrder, SourceSpec},
    },
};
use tandem_inbound::{
    reader,
    tail::watch::{Waiter, Watch},
};
use tokio::sync::Notify;

/// Directories that one source has watched; what is beyond is polled.
const DIRECTORIES: usize = 64;

/// The longest look at where a path leads.
const LOOK: Duration = Duration::from_secs(2);

/// Whom to wake for which directory. Without inotify nobody is, and polling finds what is new.
struct Bell {
    watch: Mutex<Option<Watch>>,
    waiting: Mutex<HashMap<u64, Arc<Notify>>>,
    next: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bell {
    fn new() -> Arc<Self> {
        let bell = Arc::new(Self { watch: Mutex::default(), waiting: Mutex::default(), next: AtomicU64::new(1) });
        if let Err(error) = bell.listen() {
            tracing::warn!(%error, "log files are polled only: changes cannot be watched here");
        }
        bell
    }

    /// Rings for as long as somebody holds the bell.
    fn listen(self: &Arc<Self>) -> std::io::Result<()> {
        let watch = Watch::new()?;
        let waiter = watch.waiter()?;
        *lock(&self.watch) = Some(watch);
        let bell = Arc::downgrade(self);
        std::thread::Builder::new().name("log-watch".into()).spawn(move || ring(&bell, &waiter)).map(|_| ())
    }

    fn follow(&self, key: u64, directories: &BTreeSet<PathBuf>) {
        if let Some(watch) = lock(&self.watch).as_mut() {
            for directory in directories.iter().take(DIRECTORIES) {
                // One that is not there, or one too many, is found by polling.
                let _ = watch.follow(directory, key);
            }
        }
    }
}

/// A thread of its own, because it blocks; it ends soon after the last holder of the bell.
fn ring(bell: &Weak<Bell>, waiter: &Waiter) {
    loop {
        let Ok(changed) = waiter.wait(Duration::from_millis(500)) else { return };
        let Some(bell) = bell.upgrade() else { return };
        if !changed {
            continue;
        }
        let changed = lock(&bell.watch).as_mut().and_then(|watch| watch.drain().ok()).unwrap_or_default();
        let waiting = lock(&bell.waiting);
        for notify in changed.iter().filter_map(|key| waiting.get(key)) {
            notify.notify_one();
        }
    }
}

pub struct Logs {
    bell: Arc<Bell>,
}

impl Logs {
    pub fn new() -> Self {
        Self { bell: Bell::new() }
    }
}

impl LogFiles for Logs {
    fn reader(&self, spec: SourceSpec) -> Box<dyn LogReader> {
        let key = self.bell.next.fetch_add(1, Ordering::Relaxed);
        let notify = Arc::new(Notify::new());
        lock(&self.bell.waiting).insert(key, Arc::clone(&notify));
        Box::new(Source { spec, open: None, ringing: Ringing { bell: Arc::clone(&self.bell), key, notify } })
    }

    fn leads_out<'a>(&'a self, root: &'a str, path: &'a str) -> BoxFuture<'a, bool> {
        let (root, path) = (root.to_owned(), path.to_owned());
        Box::pin(async move {
            let looked = tokio::task::spawn_blocking(move || reader::leads_out(&root, &path));
            // A disk that does not answer keeps nobody from configuring.
            matches!(tokio::time::timeout(LOOK, looked).await, Ok(Ok(true)))
        })
    }

    fn at<'a>(
        &'a self,
        spec: &'a SourceSpec,
        position: &'a SourcePosition,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<Option<Candidate>, LogError>> {
        let (spec, position, place) = (spec.clone(), position.clone(), place.clone());
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || reader::at(&spec, &position, &place));
            read.await.unwrap_or_else(|_| Err(panicked()))
        })
    }
}

fn panicked() -> LogError {
    LogError::new(LogErrorCode::Panicked, "reading the source ended abnormally")
}

/// A place at the bell, given up with its reader.
struct Ringing {
    bell: Arc<Bell>,
    key: u64,
    notify: Arc<Notify>,
}

impl Drop for Ringing {
    fn drop(&mut self) {
        lock(&self.bell.waiting).remove(&self.key);
        if let Some(watch) = lock(&self.bell.watch).as_mut() {
            watch.forget(self.key);
        }
    }
}

struct Source {
    spec: SourceSpec,
    open: Option<reader::Reader>,
    ringing: Ringing,
}

impl Source {
    fn read_now(&mut self, position: &mut SourcePosition, order: &ReadOrder) -> Result<Batch, LogError> {
        let reader = match &mut self.open {
            Some(reader) => reader,
            slot @ None => slot.insert(reader::Reader::open(&self.spec, order.start)?),
        };
        // Before reading: what is written from now on rings.
        self.ringing.bell.follow(self.ringing.key, &directories(&self.spec, position));
        match order.last {
            Last::Stored => reader.stored(),
            Last::Waits => {}
            Last::Lost => reader.rewind(),
        }
        reader.read(position, order.budget, order.now_ms)
    }
}

impl LogReader for Source {
    fn read(mut self: Box<Self>, order: ReadOrder) -> BoxFuture<'static, Reading> {
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut position = order.position.clone();
                let result = self.read_now(&mut position, &order);
                (self, position, result)
            });
            match read.await {
                Ok((reader, position, result)) => Reading { reader: Some(reader), position: Some(position), result },
                // What the panic said is not repeated: it may quote a line.
                Err(_) => Reading { reader: None, position: None, result: Err(panicked()) },
            }
        })
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        let notify = Arc::clone(&self.ringing.notify);
        Box::pin(async move { notify.notified().await })
    }
}

/// Where the source's files are: the directory before the first wildcard, and those of the files that are known.
fn directories(spec: &SourceSpec, position: &SourcePosition) -> BTreeSet<PathBuf> {
    let root = Path::new(&spec.root);
    let wild = |part: &str| part.contains(['*', '?', '[', '{']);
    let parts: Vec<&str> = spec.path.split('/').collect();
    let fixed = parts.iter().take(parts.len().saturating_sub(1)).take_while(|part| !wild(part));
    let mut first = if spec.path.starts_with('/') { PathBuf::from("/") } else { root.to_path_buf() };
    first.extend(fixed.filter(|part| !part.is_empty()));
    let known = position.files.iter().filter(|file| !file.finished);
    let known = known.filter_map(|file| root.join(&file.path).parent().map(Path::to_path_buf));
    std::iter::once(first).chain(known).collect()
}

#[cfg(test)]
mod tests {
    use tandem_core::source::FileState;

    use super::*;

    #[test]
    fn the_directories_of_a_source() {
        let of = |path: &str, files: &[&str]| -> Vec<String> {
            let spec = SourceSpec {
                root: "/srv/app".into(),
                path: path.into(),
                format: Default::default(),
                minimum_level: Default::default(),
            };
            let files = files.iter().map(|path| FileState { path: (*path).into(), ..FileState::default() }).collect();
            let position = SourcePosition { files, ..SourcePosition::new(path) };
            directories(&spec, &position).iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(of("app.log", &[]), ["/srv/app"]);
        assert_eq!(of("/srv/app/logs/app.log", &[]), ["/srv/app/logs"]);
        assert_eq!(of("logs/*/x.log", &["logs/a/x.log"]), ["/srv/app/logs", "/srv/app/logs/a"]);
    }
}
