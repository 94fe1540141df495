//! Where reading begins in what is there at the first look.
//!
//! The first look may come late: whoever looked before ended without storing it, or the root was not there. Meanwhile
//! files were written to, rotated and packed. Whatever was being written when the source was configured, or came into
//! being since, is the source's business all the same; the times of the files tell it from what had been rotated before.
//! Where they do not tell, because the file system knows no time of birth, only what was written since counts.

use tandem_core::source::file::FileId;

use super::{beneath::Stat, follow::CLOCKS_MS, scan::Found};

pub(super) enum Begin {
    Start,
    End,
    /// Nothing of it is read.
    Known,
}

/// The first look at a source.
pub(super) struct First<'a> {
    pub found: &'a [Found],
    /// When the source was configured; 0 where nobody noted it.
    pub since_ms: u64,
    /// What is there is read, and not only what comes.
    pub from_start: bool,
}

impl First<'_> {
    /// Where reading begins in what was found. `copies_current` says whether a file holds the beginning of the one that its
    /// name is rotated from.
    pub fn begin(&self, candidate: &Found, copies_current: impl FnOnce() -> bool) -> Begin {
        let is_current = candidate.member && candidate.base.is_none() && !candidate.is_packed();
        if candidate.member && self.from_start || is_current && self.is_born_since(candidate) {
            return Begin::Start;
        }
        if is_current {
            return Begin::End;
        }
        let Some(base) = &candidate.base else { return Begin::Known };
        let is_new = self.is_born_since(candidate);
        let is_rotated_since = self.is_replaced(base);
        let begins = if self.from_start {
            let was_there = is_rotated_since && self.was_current(candidate, base);
            let is_copy = || !is_rotated_since && copies_current();
            self.is_written_since(&candidate.stat) && !is_copy() || was_there
        } else {
            // A copy has what was there before, too.
            is_new && is_rotated_since
        };
        if begins { Begin::Start } else { Begin::Known }
    }

    /// Whether somebody wrote to what is not read, for longer than clocks may differ after the source was configured.
    pub fn passes_over(&self, stat: &Stat) -> bool {
        self.since_ms > 0 && !self.from_start && stat.mtime_ms > self.since_ms + CLOCKS_MS
    }

    fn is_written_since(&self, stat: &Stat) -> bool {
        self.since_ms > 0 && stat.mtime_ms >= self.since_ms
    }

    /// A packed file is born when it is packed.
    fn is_born_since(&self, found: &Found) -> bool {
        self.since_ms > 0 && !found.is_packed() && born_ms(&found.stat.id).is_some_and(|born| born >= self.since_ms)
    }

    /// Whether the file that had this path was renamed or removed since.
    fn is_replaced(&self, path: &str) -> bool {
        self.found.iter().find(|found| found.path == path).is_none_or(|current| self.is_born_since(current))
    }

    /// Whether it had its base's name when the source was configured: of those that were there already and were renamed
    /// since, the one that was written last.
    fn was_current(&self, candidate: &Found, base: &str) -> bool {
        let renamed = |found: &&Found| {
            let known = born_ms(&found.stat.id).is_some_and(|born| born < self.since_ms);
            known && !found.is_packed() && found.base.as_deref() == Some(base) && found.stat.ctime_ms >= self.since_ms
        };
        let last = self.found.iter().filter(renamed).max_by_key(|found| found.stat.mtime_ms);
        last.is_some_and(|last| last.path == candidate.path)
    }
}

fn born_ms(id: &FileId) -> Option<u64> {
    id.born_ns.map(|born| born / 1_000_000)
}
