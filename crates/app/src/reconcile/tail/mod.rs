//! Log sources: each has a row (how far it is read, how it fares) and, while it is to be read, a job. Whoever holds the
//! job's lease reads. A source is a lane of its own, so a slow, noisy or broken one delays nobody else.
//!
//! A step is one read; of a source that is behind, as many as one write can take in. The next one is under way while what
//! the last one found is taken in.
//!
//! Exactly once: a step commits what it found together with the position behind it, on the row's version and under the
//! lease. A step that was lost, for whatever reason, is read again; a step that was committed is not.
//!
//! Nothing is dropped when intake is slow: the next step is not read before the last one is stored.
//!
//! Deliberately absent: positions in memory that matter. Readers keep open files and half-assembled stacks; a fresh one
//! finds the same.

mod arrange;
mod gather;
mod hub;
mod step;

use std::time::Duration;

pub(crate) use arrange::{is_wanted, wanted};
pub(crate) use hub::Hub;
pub use step::{Next, Tail};
use tandem_core::{
    config::{Config, LogSource, Project},
    source::log::SourceSpec,
};

/// How long a lease holds. Alone on its store nobody else could take it, and a killed process's leases end with it.
fn lease_ms(exclusive: bool) -> u64 {
    if exclusive { 60_000 } else { 15_000 }
}

/// A position that moved through lines without failures is stored at least this often, and after this many bytes. What
/// lies between is read again after a crash, and found to be nothing again.
const SAVE_MS: u64 = 5_000;
const SAVE_BYTES: u64 = 16 << 20;

/// How often engines that share a store tell each other by the row that a source is attended to, though nothing changes.
const HEARD_MS: u64 = 60_000;

/// Bytes and failures that one read of a source that is behind may take at least.
const CATCHING_UP: (u64, u64) = (4 << 20, 1_000);

/// Failures that are accepted without giving way to other tasks.
const AT_ONCE: usize = 100;

/// A read that does not come back for this long makes its source ill.
const STALL: Duration = Duration::from_secs(30);

/// When the configuration was stored that asks for a source: what is written from then on is the source's business.
pub(crate) fn configured_at(config: &Config, now_ms: u64) -> u64 {
    if config.updated_at_ms == 0 { now_ms } else { config.updated_at_ms.min(now_ms) }
}

pub(crate) fn spec(project: &Project, source: &LogSource) -> SourceSpec {
    SourceSpec {
        root: project.workspace_root.clone(),
        path: source.path.clone(),
        format: source.format,
        minimum_level: source.minimum_level,
    }
}
