//! One file's lines in, failures out.
//!
//! At any moment there is at most one failure that has begun. A line that is not part of it ends it; lines that waited
//! for a decision are then read again as lines of their own. What is found depends on the lines and on the times at
//! which they came, never on how a file was cut into reads.

use std::collections::VecDeque;

use tandem_core::config::{LogFormat, LogSource};

use super::{
    block::{Block, Held},
    context::Context,
    envelope,
    found::{Found, Notation},
    gate::{self, Gate},
    head,
    json::Reader,
    level::Level,
    record::Record,
    stack::{Plain, Shape, Step},
};
use crate::Line;

/// How a source's lines are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatSpec {
    pub format: LogFormat,
    pub minimum: Level,
    /// How many lines before a failure are shown with it.
    pub context_lines: usize,
    /// How long a failure waits for its next line.
    pub hold_ms: u64,
    /// The same when the line that names the exception is still to come.
    pub hold_unfinished_ms: u64,
    /// Lines and bytes after which a failure is told, however long its trace goes on.
    pub max_lines: usize,
    pub max_bytes: u64,
}

impl FormatSpec {
    /// With the usual limits.
    pub fn new(format: LogFormat, minimum: Level) -> Self {
        Self {
            format,
            minimum,
            context_lines: 5,
            hold_ms: 1_000,
            hold_unfinished_ms: 5_000,
            max_lines: 5_000,
            max_bytes: 1 << 20,
        }
    }

    /// As a source is configured.
    pub fn of(source: &LogSource) -> Self {
        Self::new(source.format, Level::minimum(source.minimum_level))
    }
}

/// How many undecided lines a failure may have.
const WAITING: usize = 24;
/// How long more of a trace that was told already may let wait for itself. What looks like it later is another one.
const REST_MS: u64 = 5_000;

/// Reads one generation of one file.
#[derive(Debug)]
pub struct Assembler {
    spec: FormatSpec,
    gate: Option<&'static Gate>,
    reader: Reader,
    context: Context,
    open: Option<Block>,
    /// A trace that was told before it ended, and when something of it last came: what still comes of it is passed over.
    told: Option<(Shape, u64)>,
    /// The last line may be the header of a stack, and has been held since.
    header: Option<(u64, u64)>,
}

impl Assembler {
    pub fn new(spec: &FormatSpec) -> Self {
        Self {
            gate: Some(Gate::of(spec.minimum)),
            context: Context::new(spec.context_lines),
            spec: spec.clone(),
            reader: Reader::default(),
            open: None,
            told: None,
            header: None,
        }
    }

    /// Looks at every line in full. It finds the same, slowly: what the gate is tested against.
    pub fn without_gate(spec: &FormatSpec) -> Self {
        Self { gate: None, ..Self::new(spec) }
    }

    /// Shows a line from before the position where reading goes on, so that the first failure has its context.
    pub fn remember(&mut self, line: &Line<'_>) {
        self.context.push(line.start, line.end, line.bytes);
    }

    /// Reads the next line.
    pub fn push(&mut self, line: &Line<'_>, now_ms: u64, out: &mut Vec<Found>) {
        let bytes = line.bytes.strip_suffix(b"\r").unwrap_or(line.bytes);
        self.told.take_if(|(_, since)| now_ms > since.saturating_add(REST_MS));
        let idle = self.open.is_none() && self.told.is_none();
        if idle && self.harmless(bytes) {
            return self.pass(line.start, line.end, bytes, now_ms);
        }
        let inside = envelope::inside(&mut self.reader, bytes);
        if idle && self.record(line.start, line.end, &inside, line.truncated, now_ms, out) {
            return;
        }
        let held = Held { start: line.start, end: line.end, bytes: inside.into_owned(), truncated: line.truncated };
        self.work(VecDeque::from([held]), now_ms, out);
    }

    /// Tells a failure whose next line is overdue.
    pub fn flush_due(&mut self, now_ms: u64, out: &mut Vec<Found>) {
        if self.header.is_some_and(|(_, since)| now_ms >= since.saturating_add(self.spec.hold_ms)) {
            self.header = None;
        }
        let due = self.open.as_ref().is_some_and(|block| {
            let hold = if block.shape.unfinished() { self.spec.hold_unfinished_ms } else { self.spec.hold_ms };
            now_ms >= block.touched_ms.saturating_add(hold)
        });
        if due {
            let (shape, waiting) = self.close(out);
            self.work(waiting, now_ms, out);
            if self.open.is_none() {
                self.told = shape.map(|shape| (shape, now_ms));
            }
        }
    }

    /// Tells what is held: nothing follows.
    pub fn finish(&mut self, out: &mut Vec<Found>) {
        while self.open.is_some() {
            let (_, waiting) = self.close(out);
            self.work(waiting, 0, out);
        }
        self.header = None;
        self.told = None;
    }

    /// Where the oldest line begins that is not decided yet.
    pub fn held_from(&self) -> Option<u64> {
        match (&self.open, self.header) {
            (Some(block), _) => Some(block.start),
            (None, header) => header.map(|(start, _)| start),
        }
    }

    /// Whether the line can be passed over after a look at its bytes.
    fn harmless(&mut self, bytes: &[u8]) -> bool {
        let Some(gate) = self.gate else { return false };
        // A record's own level is found sooner than the absence of every word that a failure may have.
        if bytes.first() == Some(&b'{')
            && self.spec.format != LogFormat::Plaintext
            && !envelope::docker(bytes)
            && let Some(level) = Record::early_level(&mut self.reader, bytes)
        {
            return level < self.spec.minimum;
        }
        !gate.open(bytes)
    }

    /// A line that is no failure.
    fn pass(&mut self, start: u64, end: u64, bytes: &[u8], now_ms: u64) {
        let may_name = self.spec.format != LogFormat::Json && header(envelope::peek(bytes));
        self.header = may_name.then_some((start, now_ms));
        self.context.push(start, end, bytes);
    }

    /// Reads the line as a record. `false`: it is none.
    fn record(
        &mut self,
        start: u64,
        end: u64,
        bytes: &[u8],
        truncated: bool,
        now_ms: u64,
        out: &mut Vec<Found>,
    ) -> bool {
        if self.spec.format == LogFormat::Plaintext || bytes.trim_ascii_start().first() != Some(&b'{') {
            return false;
        }
        if Record::early_level(&mut self.reader, bytes).is_some_and(|level| level < self.spec.minimum) {
            self.pass(start, end, bytes, now_ms);
            return true;
        }
        let Some((record, whole)) = Record::of_json(&mut self.reader, bytes, now_ms) else { return false };
        if record.level() >= self.spec.minimum {
            let raw = String::from_utf8_lossy(&bytes[..bytes.len().min(4_096)]);
            let mut found = Found::of_record(record, Notation::Json, &raw, start, end);
            found.context = self.context.lines();
            found.truncated = truncated || !whole;
            out.push(found);
        }
        self.pass(start, end, bytes, now_ms);
        true
    }

    /// Reads lines until none is left; a line that ends a failure hands back those that waited.
    fn work(&mut self, mut queue: VecDeque<Held>, now_ms: u64, out: &mut Vec<Found>) {
        while let Some(held) = queue.pop_front() {
            let text = held.text();
            if let Some(block) = &mut self.open {
                let full = block.count() + block.waiting.len() >= self.spec.max_lines
                    || held.end.saturating_sub(block.start) > self.spec.max_bytes;
                match block.step(&text) {
                    Step::Part if !full => block.take(&held, &text, now_ms),
                    Step::Maybe if !full && block.waiting.len() < WAITING => {
                        block.waiting.push(held);
                        block.touched_ms = now_ms;
                    }
                    Step::Part => {
                        // The rest of it is passed over, and not held.
                        let (shape, _) = self.close(out);
                        self.told = shape.map(|shape| (shape, now_ms));
                        self.pass(held.start, held.end, &held.bytes, now_ms);
                    }
                    Step::Maybe | Step::No => {
                        let (_, mut waiting) = self.close(out);
                        waiting.push_back(held);
                        waiting.extend(queue);
                        queue = waiting;
                    }
                }
                continue;
            }
            if let Some((shape, since)) = &mut self.told {
                if Block::goes_on(shape, &text) {
                    *since = now_ms;
                    self.pass(held.start, held.end, &held.bytes, now_ms);
                    self.header = None;
                    continue;
                }
                self.told = None;
            }
            if !self.record(held.start, held.end, &held.bytes, held.truncated, now_ms, out) {
                self.begin(&held, &text, now_ms);
            }
        }
    }

    /// Opens a failure if the line is the beginning of one.
    fn begin(&mut self, held: &Held, text: &str, now_ms: u64) {
        if self.spec.format == LogFormat::Json {
            return self.pass(held.start, held.end, &held.bytes, now_ms);
        }
        if gate::frame(text.as_bytes()) {
            return self.begin_at_frame(held, text, now_ms);
        }
        let Some((level, shape, pairs)) = beginning(text, self.spec.minimum, now_ms) else {
            return self.pass(held.start, held.end, &held.bytes, now_ms);
        };
        let mut block = Block::open(held, text, level, shape, pairs, now_ms);
        block.context = self.context.lines();
        self.open = Some(block);
        self.header = None;
    }

    /// A frame says that the line above it was the header of a stack, if it reads like one.
    fn begin_at_frame(&mut self, held: &Held, text: &str, now_ms: u64) {
        let adjacent = self.header.take();
        let Some(shape) = adjacent.and_then(|_| Shape::frames(text)) else {
            return self.pass(held.start, held.end, &held.bytes, now_ms);
        };
        let Some((start, end, bytes)) = self.context.pop() else { return };
        let bytes = envelope::inside(&mut self.reader, &bytes).into_owned();
        let first = Held { start, end, bytes, truncated: false };
        let mut block = Block::open(&first, &first.text(), Level::Error, Shape::Plain(Plain::default()), None, now_ms);
        block.shape = shape;
        block.context = self.context.lines();
        block.take(held, text, now_ms);
        self.open = Some(block);
    }

    /// Tells the open failure; its state and the lines that were not part of it remain.
    fn close(&mut self, out: &mut Vec<Found>) -> (Option<Shape>, VecDeque<Held>) {
        let Some(mut block) = self.open.take() else { return (None, VecDeque::new()) };
        let waiting = std::mem::take(&mut block.waiting);
        let shape = block.shape.clone();
        let found = block.close();
        let first = found.text.lines().next().unwrap_or_default();
        self.context.push(found.start, found.end, first.as_bytes());
        out.push(found);
        (Some(shape), waiting.into())
    }
}

/// The level and the shape of the failure that begins with this line.
fn beginning(text: &str, minimum: Level, now_ms: u64) -> Option<(Level, Shape, Option<Record>)> {
    let judged = head::judge(text, now_ms);
    let body = tandem_core::fingerprint::strip_log_prefix(text);
    let trace = Shape::start(body);
    match judged {
        Some(head) if head.level >= minimum => {
            let shape = trace.unwrap_or(Shape::Plain(Plain::new(head.logged, head::message(text).len() < text.len())));
            Some((head.level, shape, head.pairs))
        }
        // An exception that a logger has printed with a mild level was still thrown.
        Some(_) if matches!(trace, Some(Shape::Python(_))) => Some((Level::Error, trace?, None)),
        Some(_) => None,
        None => Some((Level::Error, trace?, None)),
    }
}

/// Whether frames may follow the line: `Name`, `Name: message`, `com.acme.Name: message`, a place in Ruby.
fn header(bytes: &[u8]) -> bool {
    if !bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_') || bytes.len() > 1_000 {
        return false;
    }
    let ident = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$' | b'/' | b'-');
    let length = bytes.iter().take(200).take_while(|b| ident(b)).count();
    let (name, rest) = bytes.split_at(length);
    let last = name.rsplit(|b| matches!(b, b'.' | b'$' | b'/')).next().unwrap_or_default();
    match rest {
        // The last is how the end of a line looks inside of Docker's records.
        [] | [b':', b' ', ..] | [b'\\', b'n', ..] => last.first().is_some_and(u8::is_ascii_uppercase),
        [b':', b'0'..=b'9', ..] => last == b"rb",
        _ => false,
    }
}
