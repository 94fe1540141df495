//! What tailing a log source means, without saying how it is done: what is asked of a reader, and what it gives back.
//!
//! One read goes on where the given positions end, stays within its budget, and gives back the failures that it found
//! together with the position up to which everything is decided. A step is one read or a few; its failures and its last
//! position are committed together or not at all, so a step that was lost is simply read again.
//!
//! Deliberately absent: partial lines and half-assembled stacks in what is stored. A position never passes the beginning
//! of what is not decided yet, so a restart reads that again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::file::{Fault, Gap, SourcePosition};
use crate::{
    config::{LogFormat, LogLevel, StartPosition},
    signal::Submission,
    wire::wire_enum,
};

/// Which files a source reads, and how their lines are understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// The project's `workspace_root`. Nothing outside is ever opened.
    pub root: String,
    /// Relative to the root, or absolute inside it; may be a glob.
    pub path: String,
    pub format: LogFormat,
    pub minimum_level: LogLevel,
}

/// What one read may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// 0 only looks at what is there.
    pub bytes: u64,
    /// The read ends after the line with which this many failures are found. One line may complete several.
    pub candidates: usize,
}

/// One read.
#[derive(Clone, Debug)]
pub struct ReadOrder {
    /// Where reading goes on: what the last committed step gave back.
    pub position: SourcePosition,
    /// Where a file begins at the very first look at the source. What appears later is new and read from its beginning.
    pub start: StartPosition,
    pub budget: Budget,
    pub now_ms: u64,
    pub last: Last,
}

/// What became of what the reads before gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Last {
    #[default]
    Stored,
    /// It will be stored together with what this one gives back, or lost together with it.
    Waits,
    /// It was not stored: everything starts over at `position`.
    Lost,
}

/// Where in which file a failure stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// Relative to the workspace root, as it was called when it was read.
    pub path: String,
    /// First byte, and the byte after the last one.
    pub offset_start: u64,
    pub offset_end: u64,
    /// Which of the source's bodies of text: rotation and truncation begin another one.
    #[serde(default)]
    pub generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
}

/// A failure as a reader found it. Nothing of it is bounded or redacted yet: intake does that, as with any report.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub place: Place,
    /// What the lines say, in the words of a report: title, detail, level, event, context … without anything about the
    /// source.
    pub submission: Submission,
    /// The record's own time.
    pub timestamp_ms: Option<u64>,
    /// What the record was read as.
    pub format: &'static str,
    /// A line was longer than a reader keeps.
    pub truncated: bool,
}

/// What one read gives back.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub found: Vec<Candidate>,
    /// What is lost for good, and why.
    pub gaps: Vec<Gap>,
    /// One of several files cannot be read now; the others were.
    pub trouble: Option<LogError>,
    pub bytes_read: u64,
    /// Bytes that are there and not read yet.
    pub lag_bytes: u64,
    /// Since when the oldest unread byte has been there, as far as the file's times tell.
    pub oldest_unread_ms: Option<u64>,
    /// When the newest data was written, as the file's times tell.
    pub newest_data_ms: Option<u64>,
    /// The budget ended the read; the next one finds more.
    pub more: bool,
    /// A file was read to its end and nothing more of it is expected. Until this is stored only the reader's open
    /// descriptor may have its text.
    pub ended: bool,
    /// When something that is held back (a stack that may go on) is due to be decided without more data.
    pub due_ms: Option<u64>,
}

wire_enum! {
    /// Why a source cannot be read.
    pub enum LogErrorCode {
        NotFound = "not_found",
        PermissionDenied = "permission_denied",
        OutsideRoot = "outside_root",
        NotAFile = "not_a_file",
        TooManyFiles = "too_many_files",
        /// The workspace root is not there, or is no directory.
        RootMissing = "root_missing",
        /// The configured path cannot be understood.
        PatternInvalid = "pattern_invalid",
        /// The text asked for is no longer what it was, or not there.
        TextChanged = "text_changed",
        CompressedDamaged = "compressed_damaged",
        Io = "io",
        /// The reader ended abnormally; it was started anew.
        Panicked = "panicked",
        /// A read has not come back for a long time.
        Stalled = "stalled",
        /// The engine that reads the source has not been heard of.
        Unattended = "unattended",
        /// A failure was found and intake refuses it: the project's repository is unusable.
        Refused = "refused",
        /// What was found cannot be stored now. Nothing is lost: reading waits.
        StoreUnavailable = "store_unavailable",
    }
}

impl From<Fault> for LogErrorCode {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NotFound => Self::NotFound,
            Fault::RootMissing => Self::RootMissing,
            Fault::PermissionDenied => Self::PermissionDenied,
            Fault::OutsideRoot => Self::OutsideRoot,
            Fault::NotAFile => Self::NotAFile,
            Fault::TooManyFiles => Self::TooManyFiles,
            Fault::PatternInvalid => Self::PatternInvalid,
            Fault::TextChanged => Self::TextChanged,
            Fault::CompressedDamaged => Self::CompressedDamaged,
            Fault::Io => Self::Io,
        }
    }
}

/// A read that failed. Positions are as before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    pub code: LogErrorCode,
    /// For operators. Names files below the root only.
    pub message: String,
}

impl LogError {
    pub fn new(code: LogErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for LogError {}
