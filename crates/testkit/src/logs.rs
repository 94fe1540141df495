//! Log files that are lists of lines in memory: a line that begins with `ERROR` is a failure. With switches for what can
//! go wrong, so that whoever tails can be tested without a disk and without waiting.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tandem_core::{
    config::StartPosition,
    ports::{BoxFuture, LogFiles, LogReader, Reading},
    signal::Submission,
    source::{
        FileState, Gap, SourcePosition,
        log::{Batch, Candidate, Last, LogError, LogErrorCode, Place, ReadOrder, SourceSpec},
    },
};

/// What a source does when it is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Mood {
    #[default]
    Reads,
    /// Reads, and says that some other file of the source cannot be read.
    Complains(LogErrorCode),
    Fails(LogErrorCode),
    /// The reader is gone.
    Panics,
    /// The read never comes back.
    Hangs,
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<String, String>,
    moods: BTreeMap<String, Mood>,
    gaps: Vec<Gap>,
    reads: u64,
    readers: u64,
    anew: u64,
}

/// All the files there are, by path.
#[derive(Clone, Default)]
pub struct FakeLogs(Arc<Mutex<Disk>>);

impl FakeLogs {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds lines to a file, which is created if need be.
    pub fn append(&self, path: &str, lines: &str) {
        self.disk().files.entry(path.to_owned()).or_default().push_str(lines);
    }

    pub fn remove(&self, path: &str) {
        self.disk().files.remove(path);
    }

    pub fn mood(&self, path: &str, mood: Mood) {
        self.disk().moods.insert(path.to_owned(), mood);
    }

    /// The next read of anything reports this as lost.
    pub fn lose(&self, gap: Gap) {
        self.disk().gaps.push(gap);
    }

    /// How many readers were made.
    pub fn readers(&self) -> u64 {
        self.disk().readers
    }

    /// How many reads were told that the one before them was not stored.
    pub fn anew(&self) -> u64 {
        self.disk().anew
    }

    /// How many reads there were.
    pub fn reads(&self) -> u64 {
        self.disk().reads
    }
}

impl LogFiles for FakeLogs {
    fn reader(&self, spec: SourceSpec) -> Box<dyn LogReader> {
        self.disk().readers += 1;
        Box::new(FakeReader { logs: self.clone(), spec })
    }

    fn leads_out<'a>(&'a self, _: &'a str, path: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(path.contains("outside")))
    }

    fn at<'a>(
        &'a self,
        _: &'a SourceSpec,
        _: &'a SourcePosition,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<Option<Candidate>, LogError>> {
        let found = self.disk().files.get(&place.path).map(|text| {
            let (from, to) = (index(place.offset_start), index(place.offset_end));
            text.get(from..to).and_then(|line| candidate(&place.path, line, from))
        });
        let missing = LogError::new(LogErrorCode::NotFound, "no such file");
        Box::pin(std::future::ready(found.ok_or(missing)))
    }
}

struct FakeReader {
    logs: FakeLogs,
    spec: SourceSpec,
}

impl LogReader for FakeReader {
    fn read(self: Box<Self>, order: ReadOrder) -> BoxFuture<'static, Reading> {
        let mut disk = self.logs.disk();
        disk.reads += 1;
        disk.anew += u64::from(order.last == Last::Lost);
        let mood = disk.moods.get(&self.spec.path).cloned().unwrap_or_default();
        drop(disk);
        match mood {
            Mood::Hangs => Box::pin(std::future::pending()),
            Mood::Panics => Box::pin(std::future::ready(Reading {
                reader: None,
                position: None,
                result: Err(LogError::new(LogErrorCode::Panicked, "the reader panicked")),
            })),
            Mood::Fails(code) => {
                let result = Err(LogError::new(code, "the test said so"));
                Box::pin(std::future::ready(Reading { reader: Some(self), position: None, result }))
            }
            Mood::Reads | Mood::Complains(_) => {
                let mut position = order.position.clone();
                let mut result = self.batch(&order, &mut position);
                if let (Ok(batch), Mood::Complains(code)) = (&mut result, mood) {
                    batch.trouble = Some(LogError::new(code, "the test said so"));
                }
                Box::pin(std::future::ready(Reading { reader: Some(self), position: Some(position), result }))
            }
        }
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl FakeReader {
    fn batch(&self, order: &ReadOrder, position: &mut SourcePosition) -> Result<Batch, LogError> {
        let mut disk = self.logs.disk();
        let gaps = std::mem::take(&mut disk.gaps);
        let path = &self.spec.path;
        let first = position.started_at_ms == 0;
        if first {
            position.started_at_ms = order.now_ms;
        }
        let Some(text) = disk.files.get(path) else {
            return Err(LogError::new(LogErrorCode::NotFound, "no such file"));
        };
        let size = text.len() as u64;
        let mut file = position.files.pop().unwrap_or_else(|| FileState {
            path: path.clone(),
            offset: match order.start {
                StartPosition::End if first && !position.from_beginning => size,
                StartPosition::End | StartPosition::Beginning => 0,
            },
            ..FileState::default()
        });
        let mut batch = Batch { gaps, newest_data_ms: Some(order.now_ms), ..Batch::default() };
        let mut rest = text.get(index(file.offset)..).unwrap_or_default();
        while let Some(end) = rest.find('\n') {
            if batch.bytes_read >= order.budget.bytes || batch.found.len() >= order.budget.candidates {
                batch.more = true;
                break;
            }
            let (line, after) = rest.split_at(end + 1);
            batch.found.extend(candidate(path, line, index(file.offset)));
            batch.bytes_read += line.len() as u64;
            file.offset += line.len() as u64;
            rest = after;
        }
        file.size = size;
        batch.lag_bytes = size - file.offset;
        position.files = vec![file];
        Ok(batch)
    }
}

fn candidate(path: &str, line: &str, offset: usize) -> Option<Candidate> {
    let said = line.trim_end();
    said.starts_with("ERROR").then(|| Candidate {
        place: Place {
            path: path.to_owned(),
            offset_start: offset as u64,
            offset_end: (offset + line.len()) as u64,
            generation: 0,
            inode: None,
        },
        submission: Submission {
            title: Some(said.to_owned()),
            detail: Some(said.to_owned()),
            level: Some("error".into()),
            ..Submission::default()
        },
        timestamp_ms: None,
        format: "plaintext",
        truncated: false,
    })
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
