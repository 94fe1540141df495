//! What the reads of one step have found, until it is stored: of a source that is behind several, so that a failure that
//! comes a thousand times costs one write and not a thousand.

use tandem_core::{
    signal::{Accepted, from_log::Gathered},
    source::{
        SourcePosition,
        log::{Batch, Candidate},
        state::Taken,
    },
};

/// A step reads no further when so much of the text was read, so much is held, or so much time is over.
const READ_BYTES: u64 = 64 << 20;
const HELD_BYTES: usize = 6 << 20;
const LONGEST_MS: u64 = 1_000;

pub(super) struct Step {
    begun_ms: u64,
    /// Where the next read goes on; `None` before the first.
    pub position: Option<SourcePosition>,
    /// All reads as one, without what they found.
    pub batch: Batch,
    pub gathered: Gathered,
    candidates: u64,
    truncated: u64,
}

impl Step {
    pub fn new(now_ms: u64) -> Self {
        Self {
            begun_ms: now_ms,
            position: None,
            batch: Batch::default(),
            gathered: Gathered::default(),
            candidates: 0,
            truncated: 0,
        }
    }

    /// Adds a read, and hands back what it found.
    pub fn add(&mut self, position: SourcePosition, mut batch: Batch) -> Vec<Candidate> {
        let found = std::mem::take(&mut batch.found);
        self.candidates += found.len() as u64;
        self.truncated += found.iter().filter(|candidate| candidate.truncated).count() as u64;
        let before = std::mem::take(&mut self.batch);
        self.batch = Batch {
            gaps: before.gaps.into_iter().chain(batch.gaps).collect(),
            // A read that did not look at the directory again says nothing of it.
            trouble: batch.trouble.or(before.trouble),
            bytes_read: before.bytes_read + batch.bytes_read,
            newest_data_ms: before.newest_data_ms.max(batch.newest_data_ms),
            ended: before.ended || batch.ended,
            ..batch
        };
        self.position = Some(position);
        found
    }

    /// Whether the next read still belongs to this step.
    pub fn has_room(&self, now_ms: u64) -> bool {
        self.batch.more
            && self.batch.bytes_read < READ_BYTES
            && self.gathered.bytes() < HELD_BYTES
            && now_ms.saturating_sub(self.begun_ms) < LONGEST_MS
    }

    /// What is counted with these signals.
    pub fn taken(&self, signals: &[Accepted]) -> Taken {
        Taken {
            candidates: self.candidates,
            submitted: signals.iter().map(|signal| signal.occurrences).sum(),
            truncated: self.truncated,
            fingerprints: signals.iter().map(|signal| signal.grouping.fingerprint.clone()).collect(),
        }
    }
}
