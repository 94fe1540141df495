//! `tandem ship`: reads log sources on this host and reports what it finds to a server elsewhere.
//!
//! The same tailer and the same assembler as in the server. Each source takes steps of its own: read, store position and
//! reports together, hand the reports over, and only then read on. When the server is away, reading waits; the log files
//! are the queue. Reports leave redacted.

mod config;
mod spool;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use tandem_core::{
    destination::address,
    ports::{Clock, Ids, Secret},
    redaction::{Counts, redactor},
    source::{
        file::SourcePosition,
        log::{Batch, Budget, Candidate, LogError, SourceSpec},
        restart,
    },
};
use tandem_inbound::{
    reader::{self, Reader},
    supervise::{Outcome, Supervised},
    tail::watch::Watch,
};
use tandem_outbound::{
    egress::{Egress, SystemLookup},
    intake::{Intake, Told},
};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    config::Source,
    spool::{Parcel, Saved, Spool},
};
use super::{Fault, complain, say};
use crate::boot::{
    settings::default_state_dir,
    system::{SystemClock, SystemIds},
};

/// One step: what is stored at once stays small.
const STEP: Budget = Budget { bytes: 8 * 1024 * 1024, candidates: 200 };
const IN_FLIGHT: usize = 8;
const POLL: Duration = Duration::from_secs(1);
const TELL: Duration = Duration::from_secs(2);
const LONGEST_WAIT_MS: u64 = 30_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server, as in https://tandem.example:39731
    #[arg(long, env = "TANDEM_SHIP_SERVER")]
    pub server: String,
    /// File that holds an intake key of the server.
    #[arg(long, env = "TANDEM_SHIP_KEY_FILE")]
    pub key_file: PathBuf,
    /// What to read: a list of `[[sources]]`.
    #[arg(long, env = "TANDEM_SHIP_CONFIG")]
    pub config: PathBuf,
    /// Where positions are kept [default: ship in the server's default state directory].
    #[arg(long, env = "TANDEM_SHIP_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// End when everything that is there has been handed over.
    #[arg(long)]
    pub once: bool,
}

pub fn run(args: Args) -> Result<ExitCode, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // What is stored is enough to go on from, at any moment.
        tokio::select! {
            done = ship(args) => done,
            _ = terminate.recv() => Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
        }
    });
    // A read that is under way is not waited for.
    runtime.shutdown_background();
    done
}

async fn ship(args: Args) -> Result<ExitCode, Fault> {
    let sources = config::read(&args.config)?;
    let key =
        fs::read_to_string(&args.key_file).map_err(|error| Fault(format!("{}: {error}", args.key_file.display())))?;
    let rules = |ip, private| address::refused(ip, private).map_or(Ok(()), |reason| Err(reason.word()));
    let egress = Arc::new(Egress::new(Arc::new(rules), Arc::new(SystemLookup)));
    let intake = Intake::new(egress, &args.server, Secret::new(key.trim()))
        .map_err(|failure| Fault(format!("--server: {}", failure.code.meaning())))?;
    let intake = Arc::new(intake);
    let directory = match args.state_dir {
        Some(directory) => directory,
        None => default_state_dir(&|name| std::env::var(name).ok())
            .ok_or_else(|| Fault("set --state-dir: neither XDG_DATA_HOME nor HOME is set".into()))?
            .join("ship"),
    };
    let _lock = own(&directory)?;
    let mut tasks = tokio::task::JoinSet::new();
    for source in sources {
        let follower = Follower::new(source, &directory, Arc::clone(&intake))?;
        tasks.spawn(follower.run(args.once));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(ExitCode::SUCCESS)
}

/// Two processes over the same positions would report everything twice.
fn own(directory: &Path) -> Result<File, Fault> {
    let named = |error: std::io::Error| Fault(format!("{}: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(named)?;
    let lock = File::create(directory.join("lock")).map_err(named)?;
    lock.try_lock().map_err(|_| Fault(format!("{}: another process ships from here", directory.display())))?;
    Ok(lock)
}

/// One source on its way.
struct Follower {
    source: Source,
    spool: Spool,
    saved: Saved,
    intake: Arc<Intake>,
    reader: Option<Reader>,
    watch: Option<Watch>,
    supervised: Supervised,
    told: Progress,
    said: Option<(Instant, String)>,
}

/// What there is to say about how it goes.
#[derive(Default)]
struct Progress {
    lag_bytes: u64,
    oldest_unread_ms: Option<u64>,
    trouble: Option<String>,
}

impl Follower {
    fn new(source: Source, directory: &Path, intake: Arc<Intake>) -> Result<Self, Fault> {
        let spool = Spool::new(directory, &source.project_id, &source.source_id);
        let stored = spool.load().map_err(|error| Fault(format!("{}: its position: {error}", source.name())))?;
        let fresh = || Saved { instance: hex::encode(&SystemIds.secret()[..8]), ..Saved::default() };
        let mut saved = stored.unwrap_or_else(fresh);
        if saved.position.path != source.path {
            // From now on its lines are to be told, though this process should end before it has looked.
            saved.position = SourcePosition::since(&source.path, SystemClock.now_ms());
            spool.store(&saved).map_err(|error| Fault(format!("{}: its position: {error}", source.name())))?;
        }
        let (supervised, told) = (Supervised::default(), Progress::default());
        let watch = Watch::new().ok();
        Ok(Self { source, spool, saved, intake, reader: None, watch, supervised, told, said: None })
    }

    async fn run(mut self, once: bool) -> Result<(), Fault> {
        loop {
            self.hand_over().await;
            let (more, due_ms) = self.step().await?;
            self.tell(false);
            if once && !more && due_ms.is_none() && self.saved.unsent.is_empty() {
                self.tell(true);
                return Ok(());
            }
            if !more && self.saved.unsent.is_empty() {
                self.wait(due_ms).await;
            }
        }
    }

    /// Reads on, and stores what was found with the position behind it. Whether there is more at once, and when something
    /// held is due.
    async fn step(&mut self) -> Result<(bool, Option<u64>), Fault> {
        let now_ms = SystemClock.now_ms();
        let (reader, mut position) = (self.reader.take(), self.saved.position.clone());
        let (spec, start) = (self.spec(), self.source.start_position);
        let mut supervised = self.supervised;
        let read = move || {
            let outcome = supervised.run(now_ms, || {
                let mut reader = match reader {
                    Some(reader) => reader,
                    None => Reader::open(&spec, start)?,
                };
                // What is there is stored before any of it is read.
                let budget = if position.started_at_ms == 0 { Budget { bytes: 0, ..STEP } } else { STEP };
                let batch = reader.read(&mut position, budget, now_ms)?;
                Ok::<_, LogError>((reader, batch, position))
            });
            (supervised, outcome)
        };
        let (supervised, outcome) = tokio::task::spawn_blocking(read).await?;
        self.supervised = supervised;
        let (reader, batch, position) = match outcome {
            Outcome::Done(Ok(read)) => read,
            Outcome::Done(Err(error)) => {
                self.told.trouble = Some(error.to_string());
                return Ok((false, None));
            }
            Outcome::Panicked { again_at_ms } | Outcome::Resting { until_ms: again_at_ms } => {
                self.told.trouble = Some("panicked: reading ended abnormally and is tried again".to_owned());
                return Ok((false, Some(again_at_ms)));
            }
        };
        self.reader = Some(reader);
        let (more, due_ms) = (batch.more, batch.due_ms);
        self.keep(batch, position).await;
        Ok((more, due_ms))
    }

    /// Stores a step. A disk that is full is waited for: what was read is in memory, and nothing is sent before it is
    /// stored.
    async fn keep(&mut self, batch: Batch, position: SourcePosition) {
        self.told.lag_bytes = batch.lag_bytes;
        self.told.oldest_unread_ms = batch.oldest_unread_ms.map(|since| SystemClock.now_ms().saturating_sub(since));
        self.told.trouble = batch.trouble.map(|trouble| trouble.to_string());
        if batch.found.is_empty() && batch.gaps.is_empty() && position == self.saved.position {
            return;
        }
        for gap in &batch.gaps {
            let count = if gap.to.is_some() { &mut self.saved.gaps.0 } else { &mut self.saved.gaps.1 };
            *count += 1;
        }
        self.saved.position = position;
        for found in batch.found {
            let body = self.body(&found);
            let key = self.saved.key();
            self.saved.unsent.push(Parcel { key, body });
        }
        while let Err(error) = self.spool.store(&self.saved) {
            self.told.trouble = Some(format!("the position cannot be stored: {error}"));
            self.rest(POLL).await;
        }
        if let Some(reader) = &mut self.reader {
            reader.stored();
        }
    }

    /// The body of the route. Nothing leaves unredacted.
    fn body(&self, found: &Candidate) -> String {
        let mut submission = found.submission.clone();
        submission.file_name = Some(found.place.path.clone());
        let mut report = serde_json::to_value(&submission).unwrap_or_default();
        redactor(None).json(&mut report, &mut Counts::default());
        serde_json::json!({
            "project_id": self.source.project_id,
            "source_id": self.source.source_id,
            "report": report,
        })
        .to_string()
    }

    /// Until the server has counted all of it. In order, a few at a time.
    async fn hand_over(&mut self) {
        if self.saved.unsent.is_empty() {
            return;
        }
        let mut failures = 0;
        while !self.saved.unsent.is_empty() {
            let calls: Vec<_> = self.saved.unsent.iter().take(IN_FLIGHT * 4).map(|parcel| self.call(parcel)).collect();
            let answers: Vec<Told> = stream::iter(calls).buffered(IN_FLIGHT).collect().await;
            let answered = answers.len();
            let mut wait = None;
            let mut parcels = self.saved.unsent.drain(..answers.len()).collect::<Vec<_>>().into_iter();
            let mut kept = Vec::new();
            for (answer, parcel) in answers.into_iter().zip(&mut parcels) {
                match answer {
                    Told::Accepted => self.saved.sent += 1,
                    Told::Refused { why } => {
                        self.saved.refused += 1;
                        complain(&format!("{}: the server refuses a report: {why}", self.source.name()));
                    }
                    Told::Again { why, after_ms } => {
                        self.told.trouble = Some(format!("the server: {why}"));
                        wait = Some(wait.unwrap_or(0).max(after_ms.unwrap_or(0)));
                        kept.push(parcel);
                    }
                }
            }
            let accepted = kept.len() < answered;
            self.saved.unsent.splice(..0, kept);
            // The server forgets keys after a while, and knows them by the credential that they came with.
            if accepted && !self.saved.unsent.is_empty() {
                self.remember();
            }
            self.tell(false);
            match wait {
                Some(asked) => {
                    failures += 1;
                    let ms = restart::delay_ms(failures).min(LONGEST_WAIT_MS).max(asked);
                    self.rest(Duration::from_millis(ms)).await;
                }
                None => {
                    failures = 0;
                    self.told.trouble = None;
                }
            }
        }
        self.remember();
    }

    /// Waits, and says meanwhile how the logs grow that nobody reads.
    async fn rest(&mut self, long: Duration) {
        let until = Instant::now() + long;
        loop {
            self.measure().await;
            self.tell(false);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(TELL)).await;
        }
    }

    /// What is there to be read by now.
    async fn measure(&mut self) {
        let (spec, start, position) = (self.spec(), self.source.start_position, self.saved.position.clone());
        let looked = move || reader::lag(&spec, start, &position, SystemClock.now_ms());
        if let Ok(Ok(lag)) = tokio::task::spawn_blocking(looked).await {
            (self.told.lag_bytes, self.told.oldest_unread_ms) = (lag.bytes, lag.oldest_unread_ms);
        }
    }

    /// Otherwise a restart would send it all again: harmless, as long as the server remembers the keys.
    fn remember(&mut self) {
        if let Err(error) = self.spool.store(&self.saved) {
            self.told.trouble = Some(format!("the position cannot be stored: {error}"));
        }
    }

    fn call(&self, parcel: &Parcel) -> impl Future<Output = Told> + use<> {
        let (intake, key, body) = (Arc::clone(&self.intake), parcel.key.clone(), parcel.body.clone().into_bytes());
        async move { intake.report(&key, body).await }
    }

    /// Until a file changes, something held is due, or it is time to look anyway.
    async fn wait(&mut self, due_ms: Option<u64>) {
        let due = due_ms.map(|due| Duration::from_millis(due.saturating_sub(SystemClock.now_ms()).max(10)));
        let timeout = due.map_or(POLL, |due| due.min(POLL));
        let Some(mut watch) = self.watch.take() else {
            tokio::time::sleep(timeout).await;
            return;
        };
        // The directory of the pattern's fixed part; what lies deeper is found by polling.
        let fixed = Path::new(&self.source.root).join(&self.source.path);
        let directory = fixed.parent().map(Path::to_owned).unwrap_or_default();
        let woken = tokio::task::spawn_blocking(move || {
            let followed = watch.follow(&directory, 0);
            if followed.is_err() || watch.wait(timeout).is_err() {
                std::thread::sleep(timeout);
            }
            let _ = watch.drain();
            watch
        });
        self.watch = woken.await.ok();
    }

    fn spec(&self) -> SourceSpec {
        SourceSpec {
            root: self.source.root.clone(),
            path: self.source.path.clone(),
            format: self.source.format,
            minimum_level: self.source.minimum_level,
        }
    }

    /// Says how it goes, when that has changed, and not too often.
    fn tell(&mut self, now: bool) {
        let (saved, told) = (&self.saved, &self.told);
        let mut line = format!(
            "{}: {} sent, {} refused, {} waiting, {} bytes behind",
            self.source.name(),
            saved.sent,
            saved.refused,
            saved.unsent.len(),
            told.lag_bytes
        );
        if let Some(age) = told.oldest_unread_ms {
            line.push_str(&format!(" ({} s)", age / 1_000));
        }
        if saved.gaps != (0, 0) {
            line.push_str(&format!(", {} losses, {} possible losses", saved.gaps.0, saved.gaps.1));
        }
        if let Some(trouble) = &told.trouble {
            line.push_str(&format!(", trouble: {trouble}"));
        }
        let due = self.said.as_ref().is_none_or(|(at, said)| at.elapsed() >= TELL && *said != line);
        if now || due {
            say(&line);
            self.said = Some((Instant::now(), line));
        }
    }
}
