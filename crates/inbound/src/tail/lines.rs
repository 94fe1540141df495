//! From the bytes of one body to lines, in one pass over a buffer that is filled once.
//!
//! Whole lines go out as one slice; nothing is done per line unless a line is too long. The bytes before the place are
//! read again with every piece and compared, so a file that is replaced between two pieces is noticed before anything of
//! the wrong text goes out.

use std::{io, ops::ControlFlow};

use memchr::{memchr, memchr_iter, memrchr};
use tandem_core::source::file::{BEFORE_BYTES, FileState, Mark, Sample};

use super::{Line, Sink, text::Text};

/// Read at once.
pub(super) const PIECE: usize = 256 * 1024;

/// A run of whole lines. Each ends in a newline, and is within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Where it begins in the body.
    pub start: u64,
    pub bytes: &'a [u8],
}

impl<'a> Block<'a> {
    pub fn lines(self) -> impl Iterator<Item = Line<'a>> {
        let mut from = 0;
        memchr_iter(b'\n', self.bytes).map(move |newline| {
            let line = whole(self.start + from as u64, &self.bytes[from..=newline]);
            from = newline + 1;
            line
        })
    }
}

/// A line with its line break, without holes before it.
fn whole(start: u64, bytes: &[u8]) -> Line<'_> {
    let end = start + bytes.len() as u64;
    let holes = holes(bytes);
    let text = &bytes[holes..];
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    Line { start: start + holes as u64, end, bytes: text, truncated: false }
}

/// How many NULs stand at the beginning.
fn holes(bytes: &[u8]) -> usize {
    if bytes.first() != Some(&0) {
        return 0;
    }
    bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len())
}

/// Why a pass over one body ended.
#[derive(Debug)]
pub(super) enum Stop {
    /// All that is there was looked at.
    End,
    /// Enough for this turn.
    Budget,
    /// The receiver has enough.
    Full,
    /// The text is not what it was.
    Changed,
    Failed(io::Error),
}

pub(super) struct Pass {
    pub bytes: u64,
    /// Up to here the body was looked at.
    pub seen_to: u64,
    pub stop: Stop,
}

/// The buffer of one call; it serves one body after the other.
pub(super) struct Pump {
    buffer: Vec<u8>,
    limit: usize,
    /// Where `buffer[0]` is in the body.
    base: u64,
    /// How much of the buffer holds text.
    filled: usize,
    /// What was not handed out begins here.
    at: usize,
    inside: bool,
}

impl Pump {
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), limit: limit.max(1), base: 0, filled: 0, at: 0, inside: false }
    }

    /// Hands out what follows `file.read`, about `quantum` bytes of it, and moves `file.read` accordingly.
    pub fn pass(&mut self, text: &mut Text, file: &mut FileState, quantum: u64, sink: &mut impl Sink) -> Pass {
        let overlap = file.read.before.length as usize;
        self.base = file.read.at.saturating_sub(overlap as u64);
        (self.filled, self.at, self.inside) = (0, overlap, file.read.inside);
        let mut bytes = 0;
        let stop = loop {
            let read = match self.fill(text, file, overlap) {
                Ok(Some(read)) => read,
                Ok(None) => break Stop::Changed,
                Err(error) => break Stop::Failed(error),
            };
            bytes += read as u64;
            let before = self.base + self.at as u64;
            if self.hand_out(file, sink).is_break() {
                break Stop::Full;
            }
            // Packed text may stop short before an error, which comes next.
            if read == 0 || (read < PIECE && !text.is_packed()) {
                break Stop::End;
            }
            // A line that is longer than the quantum must end somewhere, or nothing would ever move.
            if bytes >= quantum && self.base + self.at as u64 > before {
                break Stop::Budget;
            }
            self.shift();
        };
        if self.filled >= self.at {
            let before = &self.buffer[self.at.saturating_sub(BEFORE_BYTES)..self.at];
            let at = self.base + self.at as u64;
            if at != file.read.at || self.inside != file.read.inside {
                file.read = Mark { at, before: Sample::of(before), inside: self.inside };
            }
        }
        let seen_to = (self.base + self.filled as u64).max(file.read.at);
        Pass { bytes, seen_to, stop }
    }

    /// Appends a piece. The bytes before it are read again with it; `None` when they are others now.
    fn fill(&mut self, text: &mut Text, file: &FileState, overlap: usize) -> io::Result<Option<usize>> {
        let first = self.filled == 0;
        if text.is_packed() && first && overlap > 0 {
            // Packed text does not change behind its descriptor; the bytes before the place are read once.
            let Some(before) = text.before(file.read.at, overlap)? else { return Ok(None) };
            if !file.read.before.is_of(&before) {
                return Ok(None);
            }
            self.room(overlap);
            self.buffer[..overlap].copy_from_slice(&before);
            self.filled = overlap;
        }
        let again = match (text.is_packed(), first) {
            (true, _) => 0,
            (false, true) => 0,
            (false, false) => self.filled.min(BEFORE_BYTES),
        };
        let expected = if first && !text.is_packed() { overlap } else { again };
        let from = self.filled - again;
        let want = expected + PIECE;
        self.room(from + want);
        let mut known = [0; BEFORE_BYTES];
        known[..again].copy_from_slice(&self.buffer[from..self.filled]);
        let read = text.read_at(self.base + from as u64, &mut self.buffer[from..from + want])?;
        if read < expected || self.buffer[from..from + again] != known[..again] {
            return Ok(None);
        }
        if first && !text.is_packed() && !file.read.before.is_of(&self.buffer[..overlap]) {
            return Ok(None);
        }
        let head = file.head.length as usize;
        if first && self.base == 0 && !self.buffer.get(..head.min(from + read)).is_some_and(|b| file.head.is_of(b)) {
            // Nothing before the place says whether it is the same text, or little does.
            return Ok(None);
        }
        self.filled = from + read;
        Ok(Some(read - expected))
    }

    fn room(&mut self, length: usize) {
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
    }

    /// Hands out the whole lines of the buffer, and cuts a line that is too long already.
    fn hand_out(&mut self, file: &FileState, sink: &mut impl Sink) -> ControlFlow<()> {
        while self.at < self.filled {
            let rest = &self.buffer[self.at..self.filled];
            let start = self.base + self.at as u64;
            if self.inside {
                match memchr(b'\n', rest) {
                    Some(newline) => (self.at, self.inside) = (self.at + newline + 1, false),
                    None => self.at = self.filled,
                }
                continue;
            }
            let holes = holes(rest);
            if holes > 0 {
                self.at += holes;
                continue;
            }
            let whole_lines = memrchr(b'\n', rest).map_or(0, |newline| newline + 1);
            if whole_lines == 0 && rest.len() <= self.limit {
                break;
            }
            if whole_lines > 0 && whole_lines <= self.limit {
                let block = Block { start, bytes: &rest[..whole_lines] };
                let end = start + whole_lines as u64;
                match sink.block(file, block) {
                    ControlFlow::Continue(()) => self.at += whole_lines,
                    ControlFlow::Break(at) => {
                        self.at += usize::try_from(at.clamp(start, end) - start).unwrap_or(whole_lines);
                        return ControlFlow::Break(());
                    }
                }
                continue;
            }
            // Somewhere in here may be a line that is too long: one by one.
            let newline = memchr(b'\n', rest);
            let flow = match newline {
                Some(newline) if newline <= self.limit => {
                    self.at += newline + 1;
                    sink.line(file, whole(start, &rest[..=newline]))
                }
                _ => {
                    let line =
                        Line { start, end: start + self.limit as u64, bytes: &rest[..self.limit], truncated: true };
                    (self.at, self.inside) = (self.at + self.limit, true);
                    sink.line(file, line)
                }
            };
            if flow.is_break() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Keeps what was not handed out, and the bytes before it.
    fn shift(&mut self) {
        let keep = self.at.saturating_sub(BEFORE_BYTES);
        self.buffer.copy_within(keep..self.filled, 0);
        (self.base, self.filled, self.at) = (self.base + keep as u64, self.filled - keep, self.at - keep);
    }
}

/// The last line of a body, from `file.read` to `end`, as far as it is kept. `None` when there is nothing but holes.
pub(super) fn last_line<'a>(
    text: &mut Text,
    file: &FileState,
    end: u64,
    limit: usize,
    buffer: &'a mut Vec<u8>,
) -> io::Result<Option<Line<'a>>> {
    if file.read.inside || end <= file.read.at {
        return Ok(None);
    }
    let length = usize::try_from(end - file.read.at).unwrap_or(usize::MAX).min(limit);
    buffer.clear();
    buffer.resize(length, 0);
    let read = text.read_at(file.read.at, buffer)?;
    buffer.truncate(read);
    let line = whole(file.read.at, buffer);
    Ok((read == length && !line.bytes.is_empty()).then_some(line))
}
