//! The position in a log source: which bodies of text it consists of, how far each is done, and what is lost.
//!
//! A **body** is what was written between two truncations of one file: bytes that only grow. Names, and even inodes,
//! come and go beneath it, so a position belongs to a body and not to a path. A body is known by device, inode and time
//! of birth; and it is known again, wherever it turns up, by the checksum of its first bytes together with that of the
//! bytes before the place that was read up to.
//!
//! A position is a value. Whoever found something in the text commits the position that lies behind it in the same
//! write, so after a crash both are there or neither. Two places are kept for each body: `read`, up to which lines were
//! handed out, and `offset`, before which everything is decided. Only `offset` counts after a restart; `read` tells then
//! whether the text is still the same.
//!
//! Deliberately absent: files. What is on the disk comes in as values.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::wire::wire_enum;

/// The first bytes of a body that identify it. A shorter body is identified by all that it has, until it has grown.
pub const HEAD_BYTES: usize = 1_024;
/// The bytes before a position that tell whether the text up to there is still the same.
pub const BEFORE_BYTES: usize = 256;

/// A run of bytes, remembered as its length and half of its SHA-256.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// In bytes.
    pub length: u32,
    /// Thirty-two hex digits; empty when the length is 0.
    pub sum: String,
}

impl Sample {
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        let sum = hex::encode(&Sha256::digest(bytes)[..16]);
        Self { length: u32::try_from(bytes.len()).unwrap_or(u32::MAX), sum }
    }

    pub fn is_of(&self, bytes: &[u8]) -> bool {
        self.length as usize == bytes.len() && *self == Self::of(bytes)
    }
}

/// A place in a body, and the bytes just before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mark {
    pub at: u64,
    pub before: Sample,
    /// The place is within a line whose beginning was judged already: the rest of that line belongs to it.
    #[serde(default)]
    pub inside: bool,
}

/// What the file system says of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileId {
    pub device: u64,
    pub inode: u64,
    /// Time of birth, where the file system knows one: it tells a reused inode from the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born_ns: Option<u64>,
}

impl FileId {
    /// The same file, as far as the file system can tell. A time of birth that only one side knows says nothing.
    pub fn is(&self, other: &Self) -> bool {
        let born = match (self.born_ns, other.born_ns) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        self.device == other.device && self.inode == other.inode && born
    }
}

/// The position in one body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileState {
    /// Counts the bodies of the source; no two have the same. A reset begins a new one over the same text.
    pub generation: u64,
    /// The path that the body was found by, relative to the workspace root. It may have another name by now.
    pub path: String,
    pub id: FileId,
    /// Of the first bytes, [`HEAD_BYTES`] at most.
    pub head: Sample,
    /// Everything before it is decided: it is in incidents, or was judged to be none.
    pub offset: u64,
    /// `offset` is within a line whose beginning was judged already.
    #[serde(default)]
    pub inside: bool,
    /// How far lines were handed out; never before `offset`.
    pub read: Mark,
    /// Of the file on the disk, in bytes, when last looked at; of a gzip file, packed.
    pub size: u64,
    pub mtime_ms: u64,
    /// When everything that was there had last been read.
    #[serde(default)]
    pub caught_up_at_ms: u64,
    /// Nothing more is expected. Kept while a file with this text exists, so that it is not taken for a new one.
    #[serde(default)]
    pub finished: bool,
    /// The text is read from a gzip file.
    #[serde(default)]
    pub compressed: bool,
    /// The text is read from a copy that somebody made of it.
    #[serde(default)]
    pub copied: bool,
    /// Of the first bytes of a copy that was seen beside it, where that is shorter than [`HEAD_BYTES`].
    #[serde(default)]
    pub copy: Sample,
    /// The directory that it was found in last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<FileId>,
    /// Since when that directory has been away (unmounted, renamed), and the file with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_since_ms: Option<u64>,
}

impl FileState {
    /// Sets what may be stored: all that was read, or what lies before the first byte that somebody still holds.
    pub fn settle(&mut self, held_from: Option<u64>) {
        match held_from {
            Some(held) if held < self.read.at => {
                // What is held begins at a line, so the place is not inside one. It never goes back.
                if held > self.offset {
                    (self.offset, self.inside) = (held, false);
                }
            }
            _ => (self.offset, self.inside) = (self.read.at, self.read.inside),
        }
    }

    /// Whether text with these first bytes (all, or [`HEAD_BYTES`] of them) and these bytes before the read position is
    /// this body. `before` is `None` when the text does not reach that far.
    pub fn is_body(&self, head: &[u8], before: Option<&[u8]>) -> bool {
        self.has_head(head) && before.is_some_and(|before| self.read.before.is_of(before))
    }

    pub fn has_head(&self, head: &[u8]) -> bool {
        head.get(..self.head.length as usize).is_some_and(|head| self.head.is_of(head))
    }

    /// Whether text with these first bytes begins like a copy that was seen while the original was still there.
    pub fn has_copy(&self, head: &[u8]) -> bool {
        self.copy.length > 0 && head.get(..self.copy.length as usize).is_some_and(|head| self.copy.is_of(head))
    }

    /// Takes note of where the file is. `found`: in which directory, if it was found; `seen`: the directories that were
    /// looked at. A file that is gone with its directory is away, and not gone.
    pub fn located(&mut self, found: Option<Option<FileId>>, seen: &[FileId], now_ms: u64) {
        let was_away = self.away_since_ms;
        let gone = |directory: FileId| !seen.iter().any(|seen| seen.is(&directory));
        self.away_since_ms = match found {
            None if self.directory.is_some_and(gone) => was_away.or(Some(now_ms)),
            Some(_) | None => None,
        };
        self.directory = found.flatten().or(self.directory);
        // What ended while it was away may have gone on since its directory is back.
        let ended_there = was_away.is_some_and(|since| self.caught_up_at_ms >= since);
        self.finished &= self.away_since_ms.is_some() || self.compressed || !ended_there;
    }

    /// Whether a writer may still have it open when nothing more is expected. Nobody has a copy, packed or not.
    pub fn may_grow(&self) -> bool {
        !self.compressed && !self.copied
    }

    /// Whether another file system's number stands for the same file: a volume that is mounted again may have another
    /// device. Only where the time of birth is known, because inodes are few.
    pub fn is_remounted(&self, id: &FileId) -> bool {
        self.id.inode == id.inode && self.id.born_ns.is_some() && self.id.born_ns == id.born_ns
    }

    /// Whether the samples are enough to know the body again where the file system says that it is another file. Where
    /// nothing was read, a mistake costs nothing: the other body is read from its beginning, as it would be anyway.
    pub fn is_recognisable(&self) -> bool {
        self.head.length > 0 && (self.read.at > 0 || !self.finished)
    }
}

/// The position in a log source: a value of what is configured as one `path`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourcePosition {
    /// The configured path or pattern. Another one starts anew.
    pub path: String,
    /// When the source was configured; 0 where nobody noted it. What was written since is its business, though the first
    /// look that was stored came later.
    #[serde(default)]
    pub since_ms: u64,
    /// When the source was first looked at; 0 before that. What appears later is read from its beginning, whatever the
    /// start position says.
    pub started_at_ms: u64,
    /// Set by a reset before the first look: read from the beginning then.
    #[serde(default)]
    pub from_beginning: bool,
    /// The generation of the next body.
    pub next_generation: u64,
    /// Oldest first.
    pub files: Vec<FileState>,
}

impl SourcePosition {
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), next_generation: 1, ..Self::default() }
    }

    /// The position of a source that is configured now.
    pub fn since(path: &str, now_ms: u64) -> Self {
        Self { since_ms: now_ms, ..Self::new(path) }
    }

    /// Back to byte 0 of the current files, as new generations; also for a source that starts at the end. Rotated files
    /// that were read stay read.
    pub fn reset(&mut self) {
        self.from_beginning = true;
        for file in self.files.iter_mut().filter(|file| !file.finished) {
            file.generation = self.next_generation;
            self.next_generation += 1;
            (file.offset, file.inside, file.read) = (0, false, Mark::default());
        }
    }

    pub fn generation(&mut self) -> u64 {
        let generation = self.next_generation.max(1);
        self.next_generation = generation + 1;
        generation
    }
}

wire_enum! {
    /// Why text was, or may have been, lost.
    pub enum GapReason {
        /// The file became shorter, or holds other text than before: truncated in place, as copytruncate does.
        Truncated = "truncated",
        /// Neither the file nor a copy of its text is there any more.
        Gone = "gone",
        /// It was written to between the time when the source was configured and the first look that was stored, and
        /// reading begins at its end.
        BeforeStart = "before_start",
        /// A compressed file cannot be unpacked to its end.
        CompressedDamaged = "compressed_damaged",
        /// A compressed file holds more text than the limit.
        CompressedTooLarge = "compressed_too_large",
    }
}

wire_enum! {
    /// Why a source, or one file of it, cannot be read now.
    pub enum Fault {
        NotFound = "not_found",
        /// The workspace root is not there, or is no directory.
        RootMissing = "root_missing",
        PermissionDenied = "permission_denied",
        /// The path leads out of the workspace root.
        OutsideRoot = "outside_root",
        /// A directory, a pipe, a socket or a device.
        NotAFile = "not_a_file",
        /// More files match than are followed.
        TooManyFiles = "too_many_files",
        /// The configured path cannot be understood.
        PatternInvalid = "pattern_invalid",
        /// The text asked for is no longer what it was, or not there.
        TextChanged = "text_changed",
        CompressedDamaged = "compressed_damaged",
        Io = "io",
    }
}

/// Text that will never be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LogGap)]
pub struct Gap {
    pub path: String,
    pub generation: u64,
    pub reason: GapReason,
    /// The first byte that was not handed out, or was handed out to a process that ended before it was decided.
    pub from: u64,
    /// Up to here text is known to be lost. `None`: nothing is known to be lost, but what was written between the last
    /// look and the loss, if anything, is. A file that nobody had open when it went is told of in this way, too.
    pub to: Option<u64>,
    pub at_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_knows_its_bytes() {
        let sample = Sample::of(b"abc");
        assert_eq!((sample.length, sample.sum.len()), (3, 32));
        assert!(sample.is_of(b"abc") && !sample.is_of(b"abd") && !sample.is_of(b"ab") && !sample.is_of(b""));
        assert!(Sample::default().is_of(b"") && !Sample::default().is_of(b"a"));
        assert_eq!(Sample::of(b""), Sample::default());
    }

    #[test]
    fn a_body_is_its_head_and_what_precedes_the_position() {
        let read = Mark { at: 6, before: Sample::of(b"ef"), inside: false };
        let state = FileState { head: Sample::of(b"abc"), read, ..FileState::default() };
        for (head, before, expected) in [
            (&b"abcdef"[..], Some(&b"ef"[..]), true),
            (b"abc", Some(b"ef"), true),
            (b"abcdef", Some(b"eg"), false),
            (b"abcdef", Some(b"f"), false),
            (b"abcdef", None, false),
            (b"abX", Some(b"ef"), false),
            (b"ab", Some(b"ef"), false),
        ] {
            assert_eq!(state.is_body(head, before), expected, "{head:?} {before:?}");
        }
        assert!(state.is_recognisable());
        assert!(!FileState::default().is_recognisable());
        // Of an empty file only the file system knows anything.
        assert!(FileState::default().is_body(b"anything", Some(b"")));
    }

    #[test]
    fn a_birth_time_counts_where_both_know_it() {
        let id = |inode, born_ns| FileId { device: 1, inode, born_ns };
        assert!(id(1, Some(5)).is(&id(1, Some(5))) && id(1, None).is(&id(1, Some(5))));
        assert!(!id(1, Some(5)).is(&id(1, Some(6))) && !id(1, None).is(&id(2, None)));
    }

    #[test]
    fn a_settled_position_never_passes_what_is_held_and_never_goes_back() {
        let state = |offset, held| {
            let read = Mark { at: 10, before: Sample::default(), inside: true };
            let mut state = FileState { offset, read, ..FileState::default() };
            state.settle(held);
            (state.offset, state.inside)
        };
        assert_eq!(state(0, None), (10, true));
        assert_eq!(state(0, Some(4)), (4, false));
        assert_eq!(state(0, Some(10)), (10, true));
        assert_eq!(state(6, Some(4)), (6, false));
    }

    #[test]
    fn a_file_is_away_while_its_directory_is() {
        let id = |inode| FileId { device: 1, inode, born_ns: Some(inode) };
        let mut file = FileState::default();
        // One whose directory nobody has noted is simply gone.
        file.located(None, &[], 5);
        assert_eq!(file.away_since_ms, None);
        file.located(Some(Some(id(7))), &[id(7)], 10);
        for now_ms in [20, 30] {
            file.located(None, &[id(8)], now_ms);
            assert_eq!((file.away_since_ms, file.directory), (Some(20), Some(id(7))));
        }
        (file.finished, file.caught_up_at_ms) = (true, 25);
        file.located(None, &[], 40);
        assert!(file.finished);
        // Its directory is back; whether it is there itself or not, it may have been written to.
        for found in [None, Some(Some(id(7)))] {
            let mut file = file.clone();
            file.located(found, &[id(7)], 50);
            assert_eq!((file.finished, file.away_since_ms), (false, None));
        }
        // What had ended before stays ended.
        file.caught_up_at_ms = 15;
        file.located(Some(Some(id(7))), &[id(7)], 50);
        assert!(file.finished);
    }

    #[test]
    fn a_reset_reads_current_files_again_under_new_generations() {
        let mut position = SourcePosition::new("app.log");
        for finished in [true, false] {
            let generation = position.generation();
            let read = Mark { at: 9, ..Mark::default() };
            position.files.push(FileState { generation, offset: 9, read, finished, ..FileState::default() });
        }
        position.reset();
        let seen: Vec<_> = position.files.iter().map(|file| (file.generation, file.offset, file.read.at)).collect();
        assert_eq!(seen, [(1, 9, 9), (3, 0, 0)]);
        assert!(position.from_beginning && position.generation() == 4);
    }

    #[test]
    fn positions_survive_storage() {
        let mut position = SourcePosition::new("logs/*.log");
        position.files.push(FileState { head: Sample::of(b"x"), ..FileState::default() });
        let text = serde_json::to_string(&position).expect("serialises");
        assert_eq!(serde_json::from_str::<SourcePosition>(&text).expect("reads"), position);
    }
}
