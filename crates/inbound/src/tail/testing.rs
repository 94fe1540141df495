//! What the tests of this module share: a directory of their own, and a sink that remembers.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use tandem_core::source::file::FileState;

use super::{Block, Line, Sink, Verdict};

/// A directory that is removed again.
pub(crate) struct Scratch(PathBuf);

static COUNT: AtomicU64 = AtomicU64::new(0);

impl Scratch {
    pub fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tandem-tail-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("creates a directory");
        Self(path)
    }

    pub fn root(&self) -> &Path {
        &self.0
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// One line as it was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub generation: u64,
    pub path: String,
    pub start: u64,
    pub end: u64,
    pub bytes: Vec<u8>,
    pub truncated: bool,
}

/// Remembers everything; can be told to stop, to refuse unfinished lines, and to hold.
#[derive(Default)]
pub(crate) struct Collect {
    pub lines: Vec<Taken>,
    pub unfinished: Vec<Vec<u8>>,
    pub started: Vec<u64>,
    pub ended: Vec<u64>,
    /// What was shown again: its place and its bytes.
    pub remembered: Vec<(u64, Vec<u8>)>,
    pub take_unfinished: bool,
    /// Stop after so many lines.
    pub stop_after: Option<usize>,
    pub held: BTreeMap<u64, u64>,
}

impl Collect {
    pub fn texts(&self) -> Vec<String> {
        self.lines.iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect()
    }

    /// What came since the last time.
    pub fn drain(&mut self) -> Vec<String> {
        let texts = self.texts();
        self.lines.clear();
        texts
    }

    fn take(&mut self, file: &FileState, line: Line<'_>) {
        self.lines.push(Taken {
            generation: file.generation,
            path: file.path.clone(),
            start: line.start,
            end: line.end,
            bytes: line.bytes.to_vec(),
            truncated: line.truncated,
        });
    }
}

impl Sink for Collect {
    fn start(&mut self, file: &FileState) {
        self.started.push(file.generation);
    }

    fn remember(&mut self, _: &FileState, block: Block<'_>) {
        self.remembered.push((block.start, block.bytes.to_vec()));
    }

    fn line(&mut self, file: &FileState, line: Line<'_>) -> ControlFlow<()> {
        self.take(file, line);
        match self.stop_after.as_mut() {
            Some(left) if *left <= 1 => ControlFlow::Break(()),
            Some(left) => {
                *left -= 1;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Continue(()),
        }
    }

    fn unfinished(&mut self, file: &FileState, line: Line<'_>) -> Verdict {
        self.unfinished.push(line.bytes.to_vec());
        if self.take_unfinished {
            self.take(file, line);
            return Verdict::Taken;
        }
        Verdict::Wait
    }

    fn end(&mut self, file: &FileState) {
        self.ended.push(file.generation);
    }

    fn held_from(&self, file: &FileState) -> Option<u64> {
        self.held.get(&file.generation).copied()
    }
}
