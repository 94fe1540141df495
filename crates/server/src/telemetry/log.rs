//! Log lines: readable in a terminal, JSON elsewhere. `TANDEM_LOG` filters them (default `info`).
//!
//! Lines pass through a bounded queue to one writing thread, so a slow terminal or a full pipe never delays a request.
//! When the queue is full, lines are dropped and their number is logged as soon as there is room again.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Human in a terminal, JSON otherwise.
    #[default]
    Auto,
    Human,
    Json,
}

const QUEUE_LINES: usize = 8192;
const WRITE_AT_ONCE: usize = 64 * 1024;
/// A line waits at most so long for others.
const GATHER: Duration = Duration::from_millis(5);

/// Writes what is queued when dropped.
pub struct Flush {
    lines: Arc<Mutex<Option<SyncSender<Vec<u8>>>>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Flush {
    fn drop(&mut self) {
        if let Ok(mut lines) = self.lines.lock() {
            lines.take();
        }
        if let Some(writer) = self.writer.take() {
            // A terminal that takes nothing must not keep the process alive.
            for _ in 0..40 {
                if writer.is_finished() {
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(25));
            }
        }
    }
}

/// Installs the subscriber and the panic note. Later calls change nothing.
pub fn install(format: Format) -> Flush {
    let (sender, receiver) = sync_channel(QUEUE_LINES);
    let dropped = Arc::new(AtomicU64::new(0));
    let lost = Arc::clone(&dropped);
    let starter = std::thread::current();
    let writer = std::thread::Builder::new()
        .name("log".into())
        .spawn(move || {
            drain(&receiver, &lost);
            starter.unpark();
        })
        .ok();
    let lines = Arc::new(Mutex::new(Some(sender)));
    let queue = Queue { lines: Arc::clone(&lines), dropped };
    let wanted = std::env::var("TANDEM_LOG").ok().filter(|text| !text.trim().is_empty());
    let parsed = wanted.map(|text| EnvFilter::builder().parse(text));
    let unreadable = matches!(parsed, Some(Err(_)));
    let mut filter = parsed.and_then(Result::ok).unwrap_or_else(|| EnvFilter::new("info"));
    // The protocol layer logs whole messages, and a tool's arguments are nobody's business here.
    if let Ok(quiet) = "rmcp=warn".parse() {
        filter = filter.add_directive(quiet);
    }
    let human = match format {
        Format::Human => true,
        Format::Json => false,
        Format::Auto => io::stderr().is_terminal(),
    };
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(queue).with_target(true);
    let _ = if human {
        base.with_ansi(io::stderr().is_terminal()).compact().try_init()
    } else {
        base.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    if unreadable {
        tracing::warn!("TANDEM_LOG cannot be read; `info` is in force");
    }
    std::panic::set_hook(Box::new(|info| {
        // The payload of a panic may quote data, so only the place is logged.
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(target: "tandem::panic", place, "a task panicked");
    }));
    Flush { lines, writer }
}

fn drain(lines: &Receiver<Vec<u8>>, dropped: &AtomicU64) {
    while let Ok(mut batch) = lines.recv() {
        while batch.len() < WRITE_AT_ONCE {
            match lines.try_recv() {
                Ok(line) => batch.extend_from_slice(&line),
                Err(_) => break,
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            batch.extend_from_slice(format!("{{\"level\":\"WARN\",\"dropped_log_lines\":{lost}}}\n").as_bytes());
        }
        let _ = io::stderr().write_all(&batch);
        // Lines that come meanwhile are written together. Waking this thread for each would cost whoever logs more than the
        // line itself.
        std::thread::sleep(GATHER);
    }
}

struct Queue {
    lines: Arc<Mutex<Option<SyncSender<Vec<u8>>>>>,
    dropped: Arc<AtomicU64>,
}

/// One formatted line on its way into the queue.
struct Line {
    sender: Option<SyncSender<Vec<u8>>>,
    dropped: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        let sender = self.lines.lock().ok().and_then(|lines| lines.clone());
        Line { sender, dropped: Arc::clone(&self.dropped) }
    }
}

impl Write for Line {
    /// The formatter writes each line at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.sender.as_ref().is_some_and(|sender| sender.try_send(bytes.to_vec()).is_ok());
        if !taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
