//! One source, from its files to its failures: a tailer, and an assembler for each body of text.
//!
//! Decided here: when a held failure is told though nothing follows (after what has been written meanwhile was looked
//! at), and what a last line without a newline is worth. What is kept between calls makes the next one cheaper; a fresh
//! reader over the same position finds the same.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tandem_core::{
    config::StartPosition,
    source::{
        SourcePosition,
        file::FileState,
        log::{Batch, Budget, Candidate, LogError, Place, SourceSpec},
    },
};

use crate::{
    Line,
    parse::{Assembler, FormatSpec, Found, Level, Notation},
    tail::{self, Block, Lag, Limits, Progress, Sink, Tailer, Verdict},
};

/// A call ends after this, however large its budget is.
const LONGEST_CALL: Duration = Duration::from_secs(2);
/// When something that is held is looked at again.
const HELD_AGAIN_MS: u64 = 300;
/// The longest failure that is read again.
const MOST_AGAIN: usize = 16 << 20;

pub struct Reader {
    tailer: Tailer,
    lines: Lines,
}

impl Reader {
    /// Reads nothing yet.
    ///
    /// # Errors
    /// The path cannot be understood.
    pub fn open(spec: &SourceSpec, start: StartPosition) -> Result<Self, LogError> {
        let tailer = Tailer::open(followed(spec, start)).map_err(failed)?;
        let format = FormatSpec::new(spec.format, Level::minimum(spec.minimum_level));
        Ok(Self { tailer, lines: Lines::new(format) })
    }

    /// Starts over at the position of the next call: what the calls since the last [`stored`](Self::stored) gave back was
    /// not stored.
    pub fn rewind(&mut self) {
        self.tailer.rewind();
        self.lines.bodies.clear();
    }

    /// Says that what the calls so far gave back is stored.
    pub fn stored(&mut self) {
        self.tailer.stored();
    }

    /// Reads on, and moves `position` to what may be stored together with what was found. Blocks for as long as the
    /// disk takes.
    ///
    /// # Errors
    /// The source cannot be read at all. One unreadable file of several is told in the batch.
    pub fn read(&mut self, position: &mut SourcePosition, budget: Budget, now_ms: u64) -> Result<Batch, LogError> {
        self.lines.begin(budget.candidates, now_ms);
        let bound = tail::Budget { bytes: budget.bytes, deadline: Some(Instant::now() + LONGEST_CALL) };
        let mut progress = self.tailer.read(position, now_ms, &bound, &mut self.lines).map_err(failed)?;
        // Only after all that is there was looked at: the next line of a stack may have come long ago.
        let mut late = None;
        if !progress.more && self.lines.flush_due() {
            let first = position.clone();
            match self.tailer.read(position, now_ms, &bound, &mut self.lines) {
                Ok(again) => progress = both(progress, again),
                // What the first look found goes with the position that it left.
                Err(error) => {
                    *position = first;
                    late = Some(failed(error));
                }
            }
        }
        let held = self.lines.is_holding();
        // A last line without newline, or a file that is over, is looked at again in its time.
        let held = held.then(|| now_ms + HELD_AGAIN_MS);
        let due_ms = [held, progress.due_at_ms.map(|at| at.max(now_ms))].into_iter().flatten().min();
        Ok(Batch {
            found: std::mem::take(&mut self.lines.found),
            gaps: progress.gaps,
            trouble: progress
                .trouble
                .first()
                .map(|trouble| LogError::new(trouble.fault.into(), format!("{}: {}", trouble.path, trouble.detail)))
                .or(late),
            bytes_read: progress.bytes_read,
            lag_bytes: progress.lag_bytes,
            oldest_unread_ms: progress.oldest_unread_ms.map(|waited| now_ms.saturating_sub(waited)),
            newest_data_ms: progress.newest_data_at_ms,
            more: progress.more,
            ended: progress.ended,
            due_ms,
        })
    }
}

fn followed(spec: &SourceSpec, start: StartPosition) -> tail::SourceSpec {
    tail::SourceSpec { root: PathBuf::from(&spec.root), path: spec.path.clone(), start, limits: Limits::default() }
}

/// What is there to be read behind the position. Reads nothing.
///
/// # Errors
/// As of reading.
pub fn lag(spec: &SourceSpec, start: StartPosition, position: &SourcePosition, now_ms: u64) -> Result<Lag, LogError> {
    tail::lag(&followed(spec, start), position, now_ms).map_err(failed)
}

/// Whether a link on the way to what `path` means leads out of the root, as far as that is there. Of a pattern only the
/// directories before its first wildcard count: what it matches is judged file by file.
pub fn leads_out(root: &str, path: &str) -> bool {
    tail::leads_out(Path::new(root), path)
}

fn both(first: Progress, second: Progress) -> Progress {
    let Progress { bytes_read, mut gaps, ended, .. } = first;
    gaps.extend(second.gaps);
    Progress { bytes_read: bytes_read + second.bytes_read, gaps, ended: ended || second.ended, ..second }
}

fn failed(error: tail::TailError) -> LogError {
    LogError::new(error.fault.into(), error.detail)
}

/// The failure that stands at exactly this place, read again. `None` when something else stands there.
///
/// # Errors
/// The file is gone, or what it holds there is not what it was.
pub fn at(spec: &SourceSpec, position: &SourcePosition, place: &Place) -> Result<Option<Candidate>, LogError> {
    let files = || position.files.iter();
    // A reset has given the same text another generation.
    let file = files()
        .find(|file| file.generation == place.generation)
        .or_else(|| files().find(|file| Some(file.id.inode) == place.inode))
        .or_else(|| files().find(|file| file.path == place.path));
    let Some(file) = file else {
        return Err(LogError::new(
            tandem_core::source::log::LogErrorCode::NotFound,
            "the file is not followed any more",
        ));
    };
    let root = PathBuf::from(&spec.root);
    let (start, end) = (place.offset_start, place.offset_end);
    let bytes = tail::slice(&root, &spec.path, file, start, end, MOST_AGAIN).map_err(failed)?;
    let mut lines = Lines::new(FormatSpec::new(spec.format, Level::minimum(spec.minimum_level)));
    lines.begin(usize::MAX, 0);
    lines.start(file);
    let mut at = start;
    for raw in bytes.split_inclusive(|byte| *byte == b'\n') {
        let next = at + raw.len() as u64;
        let text = raw.strip_suffix(b"\n").unwrap_or(raw);
        let line = Line { start: at, end: next, bytes: text.strip_suffix(b"\r").unwrap_or(text), truncated: false };
        let _ = lines.line(file, line);
        at = next;
    }
    lines.end(file);
    Ok(lines.found.into_iter().find(|found| (found.place.offset_start, found.place.offset_end) == (start, end)))
}

/// A body's assembler, and what its failures are called after.
struct Body {
    assembler: Assembler,
    path: String,
    inode: u64,
}

struct Lines {
    format: FormatSpec,
    bodies: HashMap<u64, Body>,
    found: Vec<Candidate>,
    fresh: Vec<Found>,
    most: usize,
    now_ms: u64,
}

impl Lines {
    fn new(format: FormatSpec) -> Self {
        Self { format, bodies: HashMap::new(), found: Vec::new(), fresh: Vec::new(), most: usize::MAX, now_ms: 0 }
    }

    fn begin(&mut self, most: usize, now_ms: u64) {
        self.most = most.max(1);
        self.now_ms = now_ms;
        self.found.clear();
    }

    fn body(&mut self, file: &FileState) -> &mut Body {
        let format = &self.format;
        self.bodies.entry(file.generation).or_insert_with(|| Body {
            assembler: Assembler::new(format),
            path: file.path.clone(),
            inode: file.id.inode,
        })
    }

    fn with(&mut self, file: &FileState, act: impl FnOnce(&mut Assembler, u64, &mut Vec<Found>)) {
        let (now_ms, mut fresh) = (self.now_ms, std::mem::take(&mut self.fresh));
        let body = self.body(file);
        act(&mut body.assembler, now_ms, &mut fresh);
        let (path, inode) = (file.path.clone(), file.id.inode);
        self.found.extend(fresh.drain(..).map(|found| candidate(found, &path, file.generation, inode)));
        self.fresh = fresh;
    }

    /// Tells what has been held for long enough; whether that was anything.
    fn flush_due(&mut self) -> bool {
        let (now_ms, before) = (self.now_ms, self.found.len());
        for (generation, body) in &mut self.bodies {
            body.assembler.flush_due(now_ms, &mut self.fresh);
            self.found.extend(self.fresh.drain(..).map(|found| candidate(found, &body.path, *generation, body.inode)));
        }
        self.found.len() > before
    }

    fn is_holding(&self) -> bool {
        self.bodies.values().any(|body| body.assembler.held_from().is_some())
    }
}

fn candidate(found: Found, path: &str, generation: u64, inode: u64) -> Candidate {
    Candidate {
        place: Place {
            path: path.to_owned(),
            offset_start: found.start,
            offset_end: found.end,
            generation,
            inode: Some(inode),
        },
        submission: found.submission(),
        timestamp_ms: found.timestamp_ms,
        format: match found.notation {
            Notation::Json => "json",
            Notation::Plaintext => "plaintext",
        },
        truncated: found.truncated,
    }
}

impl Sink for Lines {
    fn start(&mut self, file: &FileState) {
        self.bodies.remove(&file.generation);
        self.body(file);
    }

    fn remember(&mut self, file: &FileState, block: Block<'_>) {
        let body = self.body(file);
        block.lines().for_each(|line| body.assembler.remember(&line));
    }

    fn line(&mut self, file: &FileState, line: Line<'_>) -> ControlFlow<()> {
        let body = self.bodies.get_mut(&file.generation);
        match body {
            // The common case: no failure, and nothing to copy.
            Some(body) => {
                body.assembler.push(&line, self.now_ms, &mut self.fresh);
                if self.fresh.is_empty() {
                    return ControlFlow::Continue(());
                }
                let (path, inode) = (&body.path, body.inode);
                let found = self.fresh.drain(..).map(|found| candidate(found, path, file.generation, inode));
                self.found.extend(found);
            }
            None => self.with(file, |assembler, now_ms, fresh| assembler.push(&line, now_ms, fresh)),
        }
        if self.found.len() >= self.most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn unfinished(&mut self, file: &FileState, line: Line<'_>) -> Verdict {
        let continues = self.body(file).assembler.held_from().is_some();
        let mut alone = Vec::new();
        if !continues {
            let mut judge = Assembler::new(&self.format);
            judge.push(&line, self.now_ms, &mut alone);
            judge.finish(&mut alone);
        }
        if continues || !alone.is_empty() {
            self.with(file, |assembler, now_ms, fresh| assembler.push(&line, now_ms, fresh));
            Verdict::Taken
        } else {
            Verdict::Wait
        }
    }

    fn end(&mut self, file: &FileState) {
        self.with(file, |assembler, _, fresh| assembler.finish(fresh));
        self.bodies.remove(&file.generation);
    }

    fn held_from(&self, file: &FileState) -> Option<u64> {
        self.bodies.get(&file.generation).and_then(|body| body.assembler.held_from())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use tandem_core::config::{LogFormat, LogLevel};

    use super::*;
    use crate::tail::testing::Scratch;

    fn spec(scratch: &Scratch) -> SourceSpec {
        SourceSpec {
            root: scratch.root().display().to_string(),
            path: "app.log".into(),
            format: LogFormat::Auto,
            minimum_level: LogLevel::Error,
        }
    }

    fn reader(scratch: &Scratch) -> Reader {
        Reader::open(&spec(scratch), StartPosition::Beginning).expect("the path is good")
    }

    const WIDE: Budget = Budget { bytes: 1 << 20, candidates: 100 };

    fn append(scratch: &Scratch, text: &str) {
        let path = scratch.path("app.log");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("opens");
        file.write_all(text.as_bytes()).expect("writes");
    }

    fn titles(batch: &Batch) -> Vec<String> {
        batch.found.iter().map(|found| found.submission.title.clone().unwrap_or_default()).collect()
    }

    #[test]
    fn failures_come_with_their_place_and_can_be_read_again() {
        let scratch = Scratch::new();
        append(&scratch, "INFO fine\n{\"level\":\"error\",\"msg\":\"disk full\"}\nINFO fine\n");
        let mut position = SourcePosition::new("app.log");
        let batch = reader(&scratch).read(&mut position, WIDE, 1_000).expect("reads");
        assert_eq!(titles(&batch), ["disk full"]);
        let place = &batch.found[0].place;
        assert_eq!((place.offset_start, place.offset_end, place.path.as_str()), (10, 46, "app.log"));
        let again = at(&spec(&scratch), &position, place).expect("reads").expect("it is there");
        assert_eq!(again.submission.title, batch.found[0].submission.title);
        let beside = Place { offset_start: 9, ..place.clone() };
        assert!(at(&spec(&scratch), &position, &beside).expect("reads").is_none());
    }

    #[test]
    fn a_stack_is_held_and_then_told_whole_whoever_reads_it() {
        let scratch = Scratch::new();
        let mut position = SourcePosition::new("app.log");
        let mut one = reader(&scratch);
        append(&scratch, "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n");
        let batch = one.read(&mut position, WIDE, 1_000).expect("reads");
        assert!(batch.found.is_empty() && batch.due_ms.is_some());
        assert_eq!(position.files[0].offset, 0, "nothing of it may be stored yet");
        // The process ends here; another one goes on.
        let mut two = reader(&scratch);
        append(&scratch, "ValueError: bad\nINFO fine\n");
        // The hold is over, but what came meanwhile is looked at first.
        let batch = two.read(&mut position, WIDE, 60_000).expect("reads");
        let later = two.read(&mut position, WIDE, 70_000).expect("reads");
        let found: Vec<_> = batch.found.iter().chain(&later.found).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place.offset_start, 0);
        assert!(found[0].submission.detail.as_deref().is_some_and(|text| text.contains("ValueError: bad")));
        let size = fs::metadata(scratch.path("app.log")).expect("is there").len();
        assert_eq!(position.files[0].offset, size);
    }

    #[test]
    fn a_restart_shows_the_lines_before_the_failure_all_the_same() {
        let scratch = Scratch::new();
        append(&scratch, "INFO one\nINFO two\n");
        let mut position = SourcePosition::new("app.log");
        reader(&scratch).read(&mut position, WIDE, 1_000).expect("reads");
        append(&scratch, "INFO three\n{\"level\":\"error\",\"msg\":\"disk full\"}\n");
        let batch = reader(&scratch).read(&mut position, WIDE, 2_000).expect("reads");
        assert_eq!(batch.found[0].submission.context, ["INFO one", "INFO two", "INFO three"]);
        assert_eq!(batch.bytes_read, 47, "what is shown again is not read again");
    }

    #[test]
    fn a_step_that_was_not_stored_is_made_again_even_where_its_files_are_gone() {
        let scratch = Scratch::new();
        let mut position = SourcePosition::new("app.log");
        append(&scratch, "INFO fine\n");
        let mut reader = reader(&scratch);
        reader.read(&mut position, WIDE, 1_000).expect("reads");
        append(&scratch, "{\"level\":\"error\",\"msg\":\"disk full\"}\nERROR last words\n");
        fs::remove_file(scratch.path("app.log")).expect("removes");
        let stored = position.clone();
        // Three times the whole of it, to its end, and three times it cannot be stored.
        for _ in 0..3 {
            let (mut found, mut ended) = (Vec::new(), false);
            for now_ms in [2_000, 10_000] {
                let batch = reader.read(&mut position, WIDE, now_ms).expect("reads");
                assert!(batch.gaps.is_empty(), "{:?}", batch.gaps);
                found.extend(titles(&batch));
                ended |= batch.ended;
            }
            assert_eq!((found.len(), ended), (2, true), "{found:?}");
            position = stored.clone();
            reader.rewind();
        }
    }

    #[test]
    fn a_budget_of_failures_ends_the_read_and_the_next_goes_on() {
        let scratch = Scratch::new();
        let text: String = (0..10).map(|n| format!("{{\"level\":\"error\",\"msg\":\"e{n}\"}}\n")).collect();
        append(&scratch, &text);
        let mut position = SourcePosition::new("app.log");
        let mut reader = reader(&scratch);
        let mut all = Vec::new();
        for _ in 0..5 {
            let batch = reader.read(&mut position, Budget { candidates: 3, ..WIDE }, 1_000).expect("reads");
            assert!(batch.found.len() <= 3);
            all.extend(titles(&batch));
        }
        assert_eq!(all, (0..10).map(|n| format!("e{n}")).collect::<Vec<_>>());
    }
}
