//! The failure that is being read: its lines, bounded, and what waits to be decided.

use std::collections::VecDeque;

use tandem_core::{
    fingerprint::{strip_log_prefix, without_colours},
    text::{LEFT_OUT, floor_char_boundary},
};

use super::{
    found::{Found, Notation},
    head,
    level::Level,
    record::Record,
    stack::{Shape, Step, View},
    time,
};

/// The longest line that is kept of a failure, in bytes.
const LINE: usize = 2_000;
/// How many bytes are kept of its beginning, and of its end. Together they stay below what a report may say, because a
/// cut there would lose the end, where some languages name the exception.
const HEAD: usize = 8_000;
const TAIL: usize = 6_500;

/// A line that is held, with its own bytes.
#[derive(Clone, Debug)]
pub struct Held {
    pub start: u64,
    pub end: u64,
    pub bytes: Vec<u8>,
    pub truncated: bool,
}

impl Held {
    /// The line as text without colours, bounded.
    pub fn text(&self) -> String {
        let bytes = &self.bytes[..self.bytes.len().min(4 * LINE)];
        let text = String::from_utf8_lossy(bytes);
        without_colours(&text).trim_end().to_owned()
    }
}

/// Lines of which the beginning and the end are kept.
#[derive(Debug, Default)]
struct Lines {
    head: Vec<String>,
    head_bytes: usize,
    tail: VecDeque<String>,
    tail_bytes: usize,
    left_out: bool,
}

impl Lines {
    fn push(&mut self, line: &str) {
        let line = line[..floor_char_boundary(line, LINE)].to_owned();
        if self.tail.is_empty() && self.head_bytes + line.len() <= HEAD {
            self.head_bytes += line.len() + 1;
            self.head.push(line);
            return;
        }
        self.tail_bytes += line.len() + 1;
        self.tail.push_back(line);
        while self.tail_bytes > TAIL
            && let Some(first) = self.tail.pop_front()
        {
            self.tail_bytes -= first.len() + 1;
            self.left_out = true;
        }
    }

    fn from(&self, at: usize) -> String {
        let mut out: Vec<&str> = self.head.iter().skip(at).map(String::as_str).collect();
        if self.left_out {
            out.push(LEFT_OUT);
        }
        out.extend(self.tail.iter().map(String::as_str));
        out.join("\n")
    }
}

/// A failure of lines of text that has begun and is not known to be over.
#[derive(Debug)]
pub struct Block {
    pub start: u64,
    /// Behind the last line that is part of it.
    pub end: u64,
    pub shape: Shape,
    level: Level,
    /// Its first line has a logger's prefix, so the ones behind it may have one.
    prefixed: bool,
    pairs: Option<Record>,
    timestamp_ms: Option<u64>,
    lines: Lines,
    count: usize,
    /// The line that the stack begins with.
    stack_from: Option<usize>,
    /// Lines that may still turn out to be part of it.
    pub waiting: Vec<Held>,
    pub context: Vec<String>,
    truncated: bool,
    /// When its last line came.
    pub touched_ms: u64,
}

impl Block {
    pub fn open(held: &Held, text: &str, level: Level, shape: Shape, pairs: Option<Record>, now_ms: u64) -> Self {
        let prefixed = strip_log_prefix(text).len() < text.len() && !text.starts_with([' ', '\t']);
        let mut lines = Lines::default();
        lines.push(text);
        Self {
            start: held.start,
            end: held.end,
            stack_from: shape.traced().then_some(0),
            shape,
            level,
            prefixed,
            pairs,
            timestamp_ms: time::of_line(text, now_ms),
            lines,
            count: 1,
            waiting: Vec::new(),
            context: Vec::new(),
            truncated: held.truncated,
            touched_ms: now_ms,
        }
    }

    /// Judges the next line without taking it.
    pub fn step(&mut self, text: &str) -> Step {
        let (body, prefixed, levelled) = view(text);
        if prefixed && !self.prefixed {
            return Step::No;
        }
        let waiting = self.waiting.iter().any(|held| !held.bytes.trim_ascii().is_empty());
        self.shape.step(View { text: body, prefixed, levelled, waiting })
    }

    /// Takes the line, and with it what waited for it.
    pub fn take(&mut self, held: &Held, text: &str, now_ms: u64) {
        for waited in std::mem::take(&mut self.waiting) {
            let text = waited.text();
            self.add(&waited, &text);
        }
        self.add(held, text);
        self.touched_ms = now_ms;
    }

    fn add(&mut self, held: &Held, text: &str) {
        if self.stack_from.is_none() && self.shape.traced() {
            self.stack_from = Some(self.lines.head.len());
        }
        let (body, prefixed, _) = view(text);
        self.lines.push(if prefixed { body } else { text });
        self.count += 1;
        self.end = held.end;
        self.truncated |= held.truncated;
    }

    /// Whether the line is more of a trace that was told already.
    pub fn goes_on(shape: &mut Shape, text: &str) -> bool {
        let (body, prefixed, levelled) = view(text);
        let before = shape.traced();
        !levelled
            && !text.is_empty()
            && shape.step(View { text: body, prefixed, levelled, waiting: false }) == Step::Part
            && shape.traced() == before
    }

    /// How many lines it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The failure.
    pub fn close(self) -> Found {
        let text = self.lines.from(0);
        let truncated = self.truncated || self.lines.left_out;
        // The exception's own line stands above the first frame, and is the last of the lines before it.
        let stack = self.stack_from.map(|from| self.lines.from(from.saturating_sub(1)));
        let mut found = match self.pairs {
            Some(record) if stack.is_none() => {
                let raw = text.lines().next().unwrap_or_default().to_owned();
                let mut found = Found::of_record(record, Notation::Plaintext, &raw, self.start, self.end);
                found.text = text;
                found
            }
            _ => Found::of_text(self.level, text, stack, self.start, self.end),
        };
        found.level = self.level;
        found.timestamp_ms = found.timestamp_ms.or(self.timestamp_ms);
        found.context = self.context;
        found.truncated = truncated;
        found
    }
}

/// The line without a logger's prefix, whether it had one, and whether that named a level. Indented lines have none:
/// what looks like one there is source code.
fn view(text: &str) -> (&str, bool, bool) {
    if text.starts_with([' ', '\t']) || text.is_empty() {
        return (text, false, false);
    }
    let body = strip_log_prefix(text);
    // A line that is nothing but brackets is no prefix: `[signal SIGSEGV …]`, `[SQL: …]`.
    if body.len() == text.len() || body.trim().is_empty() {
        return (text, false, head::levelled(text));
    }
    (body, true, head::levelled(text))
}
