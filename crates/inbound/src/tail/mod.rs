//! From files to lines: which file is which, where reading goes on, and what was lost.
//!
//! A [`Tailer`] follows one log source. Everything that must outlive it is in the
//! [`SourcePosition`](tandem_core::source::file::SourcePosition) that it is handed; what it keeps itself (open
//! descriptors, how far it has looked) makes it faster and lets it read to the end of files that were deleted. A new one
//! over a stored position goes on exactly there.
//!
//! What is decided here:
//!
//! - A line is handed out once, when its newline is there. A last line without one is held; after a quiet time the
//!   receiver may take it as it is, and then the rest of that line, should it come, is skipped.
//! - A line longer than the limit is cut there and marked; its rest is skipped without being kept.
//! - Bytes of NUL before a line are holes that a truncation left behind, not text.
//! - Renamed and deleted files are read to their end, and for a while after it. A renamed one is looked at for as long as
//!   it is there, because its writer may not have noticed.
//! - Text that was replaced in place is noticed by the bytes at its beginning and before the position. Its unread rest
//!   is looked for in a copy beside it; what is found nowhere is a [`Gap`](tandem_core::source::file::Gap).
//! - What appears later is read from its beginning.
//!
//! Deliberately absent: threads, timers and the store.

mod beneath;
mod first;
mod follow;
mod lag;
mod lines;
mod scan;
mod slice;
mod tailer;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod text;
pub mod watch;

use std::{ops::ControlFlow, path::PathBuf, time::Instant};

use tandem_core::{
    config::StartPosition,
    source::file::{Fault, FileState, Gap},
};

pub use self::{
    lag::{Lag, lag},
    lines::Block,
    scan::leads_out,
    slice::slice,
    tailer::Tailer,
};
pub use crate::line::Line;

/// What to follow.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// The workspace root; absolute.
    pub root: PathBuf,
    /// The configured path or pattern.
    pub path: String,
    /// Where to begin in files that are there at the first look.
    pub start: StartPosition,
    pub limits: Limits,
}

/// Bounds of one source.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A longer line is cut.
    pub line_bytes: usize,
    /// Files looked at, rotated ones included.
    pub files: usize,
    /// Descriptors held open between calls.
    pub open: usize,
    /// Directory entries looked at.
    pub entries: usize,
    /// Troubles told of one call.
    pub trouble: usize,
    /// How long a last line without newline is held before it is offered as it is.
    pub quiet_ms: u64,
    /// How long the end of a renamed or deleted file must be quiet before nothing more is expected.
    pub rotate_wait_ms: u64,
    /// Text read of one compressed file.
    pub unpacked_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes: 1024 * 1024,
            files: 512,
            open: 64,
            entries: 65_536,
            trouble: 16,
            quiet_ms: 2_000,
            rotate_wait_ms: 5_000,
            unpacked_bytes: 16 * 1024 * 1024 * 1024,
        }
    }
}

/// Bounds of one call.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes read. One line of any length is read in spite of it, unless it is 0: then the call only looks.
    pub bytes: u64,
    pub deadline: Option<Instant>,
}

impl Budget {
    pub fn bytes(bytes: u64) -> Self {
        Self { bytes, deadline: None }
    }
}

/// Whether a last line without newline is taken as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done. Should the line go on, its rest is skipped.
    Taken,
    /// It comes again when it is whole.
    Wait,
}

/// Receives what a source's files say. `file` is the body as it was before the bytes that are handed out.
pub trait Sink {
    /// Lines of this body follow, from its `offset` on. A body that was started before is started anew.
    fn start(&mut self, file: &FileState);

    /// Lines from just before the place where reading goes on. They were handed out, or passed over, in another life.
    fn remember(&mut self, file: &FileState, block: Block<'_>) {
        let _ = (file, block);
    }

    /// Whole lines, each ending in a newline and within the limit. `Break(offset)`: enough; lines from that offset on are
    /// handed out next time.
    fn block(&mut self, file: &FileState, block: Block<'_>) -> ControlFlow<u64> {
        for line in block.lines() {
            let end = line.end;
            if self.line(file, line).is_break() {
                return ControlFlow::Break(end);
            }
        }
        ControlFlow::Continue(())
    }

    /// One line: cut at the limit, or the last of a body without a newline, or one of a block. `Break`: enough, after
    /// this one.
    fn line(&mut self, file: &FileState, line: Line<'_>) -> ControlFlow<()>;

    /// A last line without newline that has been quiet for a while.
    fn unfinished(&mut self, file: &FileState, line: Line<'_>) -> Verdict;

    /// Nothing more of this body is expected.
    fn end(&mut self, file: &FileState);

    /// The first byte of this body that is held undecided.
    fn held_from(&self, file: &FileState) -> Option<u64>;
}

/// A file that cannot be read now. Others of the source are not affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Relative to the root.
    pub path: String,
    pub fault: Fault,
    /// What the system says; holds no content.
    pub detail: String,
}

/// Why a source cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailError {
    pub fault: Fault,
    pub detail: String,
}

impl TailError {
    pub(crate) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into() }
    }
}

impl std::fmt::Display for TailError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.fault, self.detail)
    }
}

impl std::error::Error for TailError {}

/// What one call did, and how things stand after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub bytes_read: u64,
    /// Bytes that are there and were not read. Of compressed files nothing is counted.
    pub lag_bytes: u64,
    /// For how long the oldest of them may have been waiting.
    pub oldest_unread_ms: Option<u64>,
    /// When the newest of the files was last written.
    pub newest_data_at_ms: Option<u64>,
    /// There is more to read at once.
    pub more: bool,
    /// A body ended. Say [`Tailer::stored`] once that is stored.
    pub ended: bool,
    /// When a last line without newline may be taken, or a file that is over ends, though nothing changes.
    pub due_at_ms: Option<u64>,
    /// Files that are followed, rotated ones included.
    pub files: usize,
    pub gaps: Vec<Gap>,
    pub trouble: Vec<Trouble>,
}
