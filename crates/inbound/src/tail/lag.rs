//! What is there to be read, without reading it: for whoever has to wait before reading on, and wants to say how far
//! behind that puts them.

use std::collections::HashSet;

use tandem_core::{
    config::StartPosition,
    source::{
        file::{Fault, SourcePosition},
        pattern::Pattern,
    },
};

use super::{SourceSpec, TailError, beneath::Root, scan::scan};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Of compressed files nothing is counted.
    pub bytes: u64,
    /// For how long the oldest of them may have been waiting.
    pub oldest_unread_ms: Option<u64>,
}

/// Counts by names and sizes alone, so it may be wrong for a moment where a file has just been replaced.
///
/// # Errors
/// The path cannot be understood, or the root cannot be opened.
pub fn lag(spec: &SourceSpec, position: &SourcePosition, now_ms: u64) -> Result<Lag, TailError> {
    let pattern = Pattern::new(&spec.root.to_string_lossy(), &spec.path)
        .map_err(|error| TailError::new(Fault::PatternInvalid, format!("the path {}", error.0)))?;
    let first = position.started_at_ms == 0;
    if first && spec.start == StartPosition::End && !position.from_beginning {
        return Ok(Lag::default());
    }
    let root = Root::open(&spec.root)?;
    let looked = scan(&root, &pattern, &position.files, &spec.limits);
    let mut lag = Lag::default();
    let mut counted: HashSet<(u64, u64)> = HashSet::new();
    for found in looked.found.iter().filter(|found| !found.is_packed()) {
        let stat = &found.stat;
        if !counted.insert((stat.id.device, stat.id.inode)) {
            continue;
        }
        let known = position.files.iter().rev().find(|file| file.id.is(&stat.id));
        let (read_to, since_ms) = match known {
            // One that is shorter than it was holds other text.
            Some(file) if stat.size < file.read.at => (0, file.caught_up_at_ms),
            Some(file) => (file.read.at, file.caught_up_at_ms),
            None if found.member || (found.base.is_some() && stat.mtime_ms >= position.started_at_ms) => {
                (0, stat.id.born_ns.map_or(stat.mtime_ms, |born| born / 1_000_000))
            }
            None => continue,
        };
        if stat.size > read_to {
            lag.bytes += stat.size - read_to;
            let age = now_ms.saturating_sub(since_ms);
            lag.oldest_unread_ms = lag.oldest_unread_ms.max(Some(age));
        }
    }
    Ok(lag)
}
