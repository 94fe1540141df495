//! Which file on the disk is which body, after whatever happened since the last look.
//!
//! In this order, because each step uses what the one before it could not explain:
//!
//! 1. A body whose file is there, by its id, and whose text is still the same, stays, whatever the file is called now.
//! 2. A body whose file is gone or holds other text is looked for by content: a copy, or a gzip file, beside it. It goes
//!    on there. Not found: its rest is a gap.
//! 3. Text that replaced a body in the file of that path is a new body.
//! 4. A body whose directory is away (unmounted, renamed) is waited for, for some days. It goes on when it is back.
//! 5. Files that nothing explains are new when the pattern means them. A rotated name beside a file that was rotated
//!    since is a generation that came and went between two looks, and is read before the current one. Another rotated
//!    name may be a copy in the making, and is left alone.
//!
//! At the first look everything that is there is taken as it is ([`first`](super::first)): current files at the start
//! position, rotated ones as
//! known, so that later they are not mistaken for new ones.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io,
};

use memchr::{memchr, memrchr};
use tandem_core::{
    config::StartPosition,
    source::{
        file::{BEFORE_BYTES, FileId, FileState, Gap, GapReason, HEAD_BYTES, Mark, Sample, SourcePosition},
        pattern::Pattern,
    },
};

use super::{
    Limits, Progress, Sink, Tailer, Trouble,
    beneath::{Root, Stat, fault},
    first::{Begin, First},
    lines::Block,
    scan::{Found, Scan, directory_of, scan},
    tailer::{Live, tell},
    text::Text,
};

/// Clocks of file systems and this process need not agree exactly.
pub(super) const CLOCKS_MS: u64 = 2_000;

/// How long a body is known whose directory is away, and how many of them.
const AWAY_MS: u64 = 7 * 24 * 3_600_000;
const AWAY: usize = 512;
/// What is shown of the text before the place where reading goes on.
const REMEMBERED: usize = 8 * 1_024;

/// How often names that change are looked at again.
const LOOKS: usize = 8;

/// What became of a body.
enum Fate {
    Stays,
    /// Its file holds other text now.
    Replaced(Text),
    Gone,
    /// Cannot be told now.
    Unknown,
}

/// A body to be, and the text that it is read from.
struct Fresh {
    path: String,
    compressed: bool,
    id: FileId,
    stat: Stat,
    name: String,
    /// It can be opened again by that path.
    here: bool,
    directory: Option<FileId>,
    text: Option<Text>,
    begin: Begin,
    /// Something was written to it that should be read, and cannot be told from what came before.
    passed_over: bool,
    copied: bool,
}

impl Fresh {
    fn begins_with(&mut self, head: &[u8]) -> bool {
        self.text.as_mut().is_some_and(|text| text.head().is_ok_and(|own| own == head))
    }
}

impl Tailer {
    pub(super) fn look(
        &mut self,
        root: &Root,
        position: &mut SourcePosition,
        now_ms: u64,
        sink: &mut impl Sink,
        progress: &mut Progress,
    ) {
        let pattern = self.pattern.clone();
        let limits = self.spec.limits.clone();
        let Some(mut looked) = settled(root, &pattern, &position.files, &limits) else {
            // Names are being changed right now. Whatever is open is read on; what became of the rest is seen next time.
            self.changed = true;
            return;
        };
        progress.trouble.append(&mut looked.trouble);
        let found = std::mem::take(&mut looked.found);
        let mut matching = Matching::new(&found, position);

        let mut lost = Vec::new();
        let mut replaced = Vec::new();
        let mut stayed: Vec<FileId> = Vec::new();
        for (index, file) in position.files.iter_mut().enumerate() {
            let places = matching.places(&file.id);
            // What could not be looked at is not gone. What is open of it is read on.
            if places.is_empty() && looked.incomplete {
                continue;
            }
            let here = places.iter().any(|&at| found[at].path == file.path);
            let at = places.iter().copied().find(|&at| found[at].path == file.path).or(places.first().copied());
            file.located(at.map(|at| found[at].directory), &looked.directories, now_ms);
            match self.meet(root, file, at.map(|at| &found[at]), here, now_ms, sink, progress) {
                Fate::Stays => {
                    matching.claim(&places);
                    stayed.push(file.id);
                    if !here {
                        matching.moved(file);
                    }
                }
                Fate::Unknown => matching.claim(&places),
                Fate::Gone => {
                    matching.moved(file);
                    lost.push((index, false));
                }
                Fate::Replaced(text) => {
                    matching.moved(file);
                    lost.push((index, true));
                    // In another place than its own it may be a copy of something: that is judged below.
                    if here || (places.is_empty() && !file.finished) {
                        matching.claim(&places);
                        replaced.push((file.path.clone(), file.directory, text, places.is_empty()));
                    }
                }
            }
        }

        lost.retain(|&(index, was_replaced)| {
            let file = &mut position.files[index];
            !self.adopt(root, file, was_replaced, &found, &mut matching, now_ms, sink, progress)
        });
        let mut away = 0;
        lost.retain(|&(index, _)| !self.wait_for(&mut position.files[index], &mut away, now_ms, sink));
        let unfinished = |&&(index, _): &&(usize, bool)| !position.files[index].finished;
        matching.lost = lost.iter().filter(unfinished).map(|&(index, _)| position.files[index].generation).collect();
        let (mut fresh, copies) = self.newcomers(root, position, &found, &matching, progress);
        let mut dropped = HashSet::new();
        if matching.in_motion {
            // A file that was there a moment ago had another name when it was opened: nothing is lost before that is clear.
            self.changed = true;
            lost.clear();
            replaced.clear();
        }
        for (index, was_replaced) in lost {
            let file = &position.files[index];
            self.lose(file, was_replaced, now_ms, sink, progress);
            dropped.insert(file.generation);
        }
        for (path, directory, mut text, deleted) in replaced {
            let Ok(stat) = text.stat() else { continue };
            if stayed.iter().any(|id| id.is(&stat.id)) {
                // Bodies that were replaced while their directory was away; what the file holds now is known already.
                continue;
            }
            stayed.push(stat.id);
            if deleted && let Ok(head) = text.head() {
                // What is still open is as good as a packed copy of it, and complete.
                fresh.retain_mut(|new| head.is_empty() || !new.begins_with(&head));
            }
            let (id, name) = (stat.id, path.clone());
            let compressed = text.is_packed();
            let begin = Begin::Start;
            let (here, text) = (!deleted, Some(text));
            let (passed_over, copied) = (false, false);
            fresh.push(Fresh { path, compressed, id, stat, name, here, directory, text, begin, passed_over, copied });
        }
        position.files.retain(|file| !dropped.contains(&file.generation));
        for new in fresh {
            self.begin(position, new, now_ms, sink, progress);
        }
        for (id, head) in copies.iter().filter(|(_, head)| head.len() < HEAD_BYTES) {
            // Once its original is truncated, nothing else tells what so short a copy is.
            let original = position.files.iter_mut().find(|file| !file.finished && file.id.is(id));
            original.into_iter().for_each(|original| original.copy = Sample::of(head));
        }
        self.watch_what_ended(root, position, &matching);
        if position.started_at_ms == 0 {
            position.started_at_ms = now_ms.max(1);
        }
    }

    /// Step 4: whether a file that is gone is waited for, because its directory is gone, too, and not for too long.
    fn wait_for(&mut self, file: &mut FileState, away: &mut usize, now_ms: u64, sink: &mut impl Sink) -> bool {
        let waits = file.away_since_ms.is_some_and(|since| now_ms.saturating_sub(since) < AWAY_MS) && *away < AWAY;
        *away += usize::from(waits);
        if waits && self.live.remove(&file.generation).is_some() {
            // What it has to say so far is not held back for days.
            sink.end(file);
            file.settle(None);
        }
        waits
    }

    /// Keeps open what ended and may still be written to, so that nothing of it is missed should it be deleted. The newest
    /// first: their writers are the likeliest to go on.
    fn watch_what_ended(&mut self, root: &Root, position: &SourcePosition, matching: &Matching) {
        for file in position.files.iter().rev().filter(|file| file.finished && file.may_grow()) {
            if self.room() == 0 {
                return;
            }
            let unwatched = !self.ended.contains_key(&file.generation);
            let Some(&at) = matching.places(&file.id).first().filter(|_| unwatched) else { continue };
            // One that cannot be opened is looked at by its name.
            if let Ok(Some(text)) = open(root, &matching.found[at], false) {
                self.ended.insert(file.generation, text);
            }
        }
    }

    /// Step 1 for one body.
    fn meet(
        &mut self,
        root: &Root,
        file: &mut FileState,
        found: Option<&Found>,
        here: bool,
        now_ms: u64,
        sink: &mut impl Sink,
        progress: &mut Progress,
    ) -> Fate {
        let mut live = self.live.remove(&file.generation);
        let crowded = self.open_texts() >= self.spec.limits.open;
        // It may be that of a copy that was adopted meanwhile, or of what the body was before it was.
        let own = |text: &Text| text.stat().is_ok_and(|stat| stat.id.is(&file.id));
        let kept = self.kept.remove(&file.generation).filter(own);
        let ended = self.ended.get(&file.generation).is_some_and(own);
        let ended = if ended { self.ended.remove(&file.generation) } else { None };
        let opened = live.as_mut().and_then(|live| live.text.take()).or(kept).or(ended);
        let untouched = |found: &Found, size: u64| found.stat.size == size && found.stat.mtime_ms == file.mtime_ms;
        if file.finished && found.is_some_and(|found| untouched(found, file.size)) {
            self.ended.extend(opened.map(|text| (file.generation, text)));
            return Fate::Stays;
        }
        let mut text = match (opened, found) {
            (Some(text), _) => text,
            (None, None) => {
                self.live.extend(live.map(|live| (file.generation, live)));
                return Fate::Gone;
            }
            (None, Some(found)) => {
                let idle = live.as_ref().is_some_and(|live| live.seen_to >= live.size);
                if idle && untouched(found, file.size) {
                    if let Some(mut live) = live {
                        (live.here, live.name) = (here, found.path.clone());
                        self.live.insert(file.generation, live);
                    }
                    return Fate::Stays;
                }
                match open(root, found, file.compressed) {
                    Ok(Some(text)) => text,
                    Ok(None) => {
                        self.live.extend(live.map(|live| (file.generation, live)));
                        return Fate::Unknown;
                    }
                    Err(error) => {
                        tell(progress, self.spec.limits.trouble, file, &error);
                        self.live.extend(live.map(|live| (file.generation, live)));
                        return Fate::Unknown;
                    }
                }
            }
        };
        let (stat, head) = match examine(&mut text, file) {
            Ok(Examined::Same { stat, head }) => (stat, head),
            Ok(Examined::Shorter { .. } | Examined::Other) => {
                self.live.extend(live.map(|live| (file.generation, live)));
                return Fate::Replaced(text);
            }
            Err(error) => {
                tell(progress, self.spec.limits.trouble, file, &error);
                if let Some(mut live) = live {
                    live.text = Some(text);
                    self.live.insert(file.generation, live);
                }
                return Fate::Unknown;
            }
        };
        if file.finished && !file.compressed && stat.size > file.read.at {
            // Somebody still writes to a file that had been quiet.
            file.finished = false;
        }
        (file.size, file.mtime_ms) = (stat.size, stat.mtime_ms);
        if (file.head.length as usize) < head.len() {
            file.head = Sample::of(&head);
        }
        if file.finished {
            // What is deleted and was read to its end is gone, and nothing of it is lost.
            self.ended.insert(file.generation, text);
            return if found.is_some() { Fate::Stays } else { Fate::Gone };
        }
        let name = found.map_or_else(|| file.path.clone(), |found| found.path.clone());
        let mut live = match live {
            Some(live) => live,
            None => match self.resume(&mut text, file, &name, here, stat.size, now_ms, sink) {
                Ok(live) => live,
                Err(error) => {
                    tell(progress, self.spec.limits.trouble, file, &error);
                    return Fate::Unknown;
                }
            },
        };
        if live.size != stat.size {
            live.changed_at_ms = now_ms;
        }
        (live.size, live.here) = (stat.size, here);
        live.name = name;
        // A file that cannot be found by its name any more must stay open; so must one that is half unpacked.
        let needed = !here || (file.compressed && file.read.at > 0 && !live.unpacked);
        live.text = (!crowded || needed).then_some(text);
        self.live.insert(file.generation, live);
        Fate::Stays
    }

    /// Begins to read a stored position: at what was decided, not at what had been handed out.
    fn resume(
        &self,
        text: &mut Text,
        file: &mut FileState,
        name: &str,
        here: bool,
        size: u64,
        now_ms: u64,
        sink: &mut impl Sink,
    ) -> io::Result<Live> {
        if file.read.at != file.offset || file.read.inside != file.inside {
            file.read = text.mark(file.offset, file.inside)?;
        }
        start(text, file, sink);
        let caught_up_at_ms = file.caught_up_at_ms;
        Ok(Live { caught_up_at_ms, ..Live::new(None, name, here, size, file.read.at, now_ms) })
    }

    /// Step 2: goes on in a copy of the text, if there is one.
    fn adopt(
        &mut self,
        root: &Root,
        file: &mut FileState,
        was_replaced: bool,
        found: &[Found],
        matching: &mut Matching,
        now_ms: u64,
        sink: &mut impl Sink,
        progress: &mut Progress,
    ) -> bool {
        if !file.is_recognisable() {
            return false;
        }
        let mut adopted = false;
        let mut shorter = None;
        let mut order: Vec<usize> = (0..found.len()).filter(|&at| !matching.claimed[at]).collect();
        // Packing a copy takes a while, and both are there; the plain one is read more easily.
        order.sort_by_key(|&at| found[at].is_packed());
        for at in order {
            let candidate = &found[at];
            // A current file that merely begins alike is a new one, unless there is a lot that is alike.
            let enough = candidate.base.is_some()
                || candidate.is_packed()
                || file.head.length as usize == HEAD_BYTES
                || file.is_remounted(&candidate.stat.id);
            let near = directory_of(&candidate.path) == directory_of(&file.path);
            if !enough || !near {
                continue;
            }
            let opened = open(root, candidate, candidate.is_packed());
            matching.in_motion |= matches!(opened, Ok(None));
            let Ok(Some(mut text)) = opened else { continue };
            let stat = match examine(&mut text, file) {
                Ok(Examined::Same { stat, .. }) => stat,
                Ok(Examined::Shorter { stat }) => {
                    // Where the file is still in its place, nothing was renamed, so what is new beside it is a copy. Where it
                    // is gone and still open, its text tells; and a packed file is not its writer's, so one that begins like
                    // it for so long is of it.
                    let in_place = || found.iter().any(|own| own.path == file.path && own.stat.id.is(&file.id));
                    let original = self.ended.get_mut(&file.generation);
                    let packed = candidate.is_packed() && file.head.length as usize == HEAD_BYTES;
                    let is_copy =
                        packed || was_replaced && in_place() || original.is_some_and(|own| begins_with(own, &mut text));
                    if is_copy && candidate.base.as_ref() == Some(&file.path) && !stat.id.is(&file.id) {
                        shorter.get_or_insert((at, text, stat));
                    }
                    continue;
                }
                Ok(Examined::Other) | Err(_) => continue,
            };
            if adopted {
                matching.claimed[at] = true;
                continue;
            }
            let known_size = file.size;
            let here = candidate.path == file.path;
            let reason = if was_replaced { GapReason::Truncated } else { GapReason::Gone };
            let (path, generation) = (file.path.clone(), file.generation);
            let may_lack = file.finished && self.may_lack(file);
            // Somebody may have written to it after it had been quiet.
            file.finished &= !matches!(text.read_at(file.read.at, &mut [0]), Ok(1));
            if file.finished {
                // Whatever was written to it later is in the copy, or was written after that was made.
                if may_lack {
                    progress.gaps.push(Gap { path, generation, reason, from: file.read.at, to: None, at_ms: now_ms });
                }
            } else {
                let live = match self.live.remove(&file.generation) {
                    Some(live) => Ok(live),
                    None => self.resume(&mut text, file, &candidate.path, here, stat.size, now_ms, sink),
                };
                let Ok(mut live) = live else { continue };
                (live.here, live.size, live.changed_at_ms) = (here, stat.size, now_ms);
                // What the copy has may be less than what was seen last of the original, never less than was read.
                live.seen_to = file.read.at;
                live.unpacked = false;
                live.name.clone_from(&candidate.path);
                live.text = Some(text);
                self.live.insert(file.generation, live);
                // Between the copy and the end of the original something may have been written.
                let from = if candidate.is_packed() { known_size } else { stat.size };
                let to = Some(known_size).filter(|&size| size > from);
                progress.gaps.push(Gap { path, generation, reason, from, to, at_ms: now_ms });
            }
            // Nobody but who makes it writes to a copy. One in the body's own place is what its writer goes on with.
            file.copied = !here && !file.is_remounted(&stat.id);
            (file.id, file.size, file.mtime_ms) = (stat.id, stat.size, stat.mtime_ms);
            (file.directory, file.away_since_ms) = (candidate.directory, None);
            file.compressed = candidate.is_packed();
            matching.claimed[at] = true;
            adopted = true;
        }
        if !adopted && let Some((at, mut text, stat)) = shorter {
            let was_read = file.finished || self.live.contains_key(&file.generation);
            let end = text.end().unwrap_or(0);
            if was_read || end <= file.offset {
                // It has nothing that was not handed out.
                matching.copies.insert(at);
            } else {
                let rest = self.adopt_rest(file, was_replaced, &found[at], text, &stat, end, now_ms, sink, progress);
                adopted = rest.is_ok();
                matching.claimed[at] |= adopted;
            }
        }
        adopted
    }

    /// Step 2 where the copy ends before the place up to which another process had read: what was held when that ended is in
    /// it, as far as it goes.
    fn adopt_rest(
        &mut self,
        file: &mut FileState,
        was_replaced: bool,
        candidate: &Found,
        mut text: Text,
        stat: &Stat,
        end: u64,
        now_ms: u64,
        sink: &mut impl Sink,
        progress: &mut Progress,
    ) -> io::Result<()> {
        let (place, head) = (text.mark(file.offset, file.inside)?, text.head()?);
        let to = Some(file.size.max(file.read.at)).filter(|&size| size > end);
        (file.read, file.head) = (place, Sample::of(&head));
        let mut live = self.resume(&mut text, file, &candidate.path, false, stat.size, now_ms, sink)?;
        live.text = Some(text);
        self.live.insert(file.generation, live);
        let reason = if was_replaced { GapReason::Truncated } else { GapReason::Gone };
        let (path, generation) = (file.path.clone(), file.generation);
        progress.gaps.push(Gap { path, generation, reason, from: end, to, at_ms: now_ms });
        (file.id, file.size, file.mtime_ms) = (stat.id, stat.size, stat.mtime_ms);
        (file.directory, file.away_since_ms) = (candidate.directory, None);
        (file.compressed, file.copied) = (candidate.is_packed(), true);
        Ok(())
    }

    /// Whether a body that ended may have been written to since somebody looked. Where its text was open, nothing was.
    fn may_lack(&self, file: &FileState) -> bool {
        file.may_grow() && !self.ended.contains_key(&file.generation)
    }

    /// The rest of a body is nowhere.
    fn lose(
        &mut self,
        file: &FileState,
        was_replaced: bool,
        now_ms: u64,
        sink: &mut impl Sink,
        progress: &mut Progress,
    ) {
        if file.finished && !self.may_lack(file) {
            return;
        }
        let live = self.live.remove(&file.generation);
        let from = if live.is_some() { file.read.at } else { file.offset };
        let reason = if was_replaced { GapReason::Truncated } else { GapReason::Gone };
        let to = Some(file.size).filter(|&size| size > from && !file.compressed);
        let (path, generation) = (file.path.clone(), file.generation);
        progress.gaps.push(Gap { path, generation, reason, from, to, at_ms: now_ms });
        if live.is_some() {
            sink.end(file);
        }
    }

    /// Step 5, and the first look. Told besides: the files that have a copy beside them, and how that begins.
    fn newcomers(
        &self,
        root: &Root,
        position: &SourcePosition,
        found: &[Found],
        matching: &Matching,
        progress: &mut Progress,
    ) -> (Vec<Fresh>, Vec<(FileId, Vec<u8>)>) {
        let from_start = position.from_beginning || self.spec.start == StartPosition::Beginning;
        let first = (position.started_at_ms == 0).then_some(First { found, since_ms: position.since_ms, from_start });
        let (mut before, mut others, mut copies) = (Vec::new(), Vec::new(), Vec::new());
        let mut taken: HashSet<(u64, u64)> = HashSet::new();
        for (at, candidate) in found.iter().enumerate() {
            let id = &candidate.stat.id;
            // While a file is packed, both are there.
            let plain = candidate.path.strip_suffix(".gz");
            if plain.is_some_and(|plain| found.iter().any(|found| found.path == plain)) {
                continue;
            }
            if matching.claimed[at] || !taken.insert((id.device, id.inode)) {
                continue;
            }
            let mut text = match open(root, candidate, candidate.is_packed()) {
                Ok(Some(text)) => Some(text),
                Ok(None) => continue,
                Err(error) => {
                    if candidate.member && progress.trouble.len() < self.spec.limits.trouble {
                        let (path, fault) = (candidate.path.clone(), fault(&error));
                        progress.trouble.push(Trouble { path, fault, detail: error.to_string() });
                    }
                    None
                }
            };
            let base = candidate.base.as_ref();
            // Beside a file that was rotated, what was not there before came in between. Beside one that was not, it may
            // be a copy of it.
            let recent = candidate.stat.mtime_ms.saturating_add(CLOCKS_MS) >= position.started_at_ms;
            let missed;
            let mut passed_over = false;
            let begin = if let Some(first) = &first {
                let current = found.iter().find(|found| Some(&found.path) == base);
                let begin = first.begin(candidate, || match (text.as_mut(), current) {
                    (Some(text), Some(current)) => is_copy_of_current(root, current, candidate, text),
                    _ => false,
                });
                let starts = matches!(begin, Begin::Start);
                missed = starts && !candidate.member && base.is_some();
                passed_over = !starts && first.passes_over(&candidate.stat);
                begin
            } else if matching.copies.contains(&at) {
                missed = false;
                Begin::Known
            } else {
                let current = found.iter().find(|found| Some(&found.path) == base);
                let of_current = match (text.as_mut(), current) {
                    (Some(text), Some(current)) => is_copy_of_current(root, current, candidate, text),
                    _ => false,
                };
                if let (true, Some(current), Some(text)) = (of_current, current, text.as_mut()) {
                    copies.extend(text.head().map(|head| (current.stat.id, head)));
                }
                let copy = of_current || may_be_copy(position, matching, candidate, text.as_mut());
                missed = base.is_some() && recent;
                if text.is_none() || copy || !(missed || candidate.member) {
                    continue;
                }
                Begin::Start
            };
            let known = matches!(begin, Begin::Known);
            let path = base.filter(|_| missed || known).unwrap_or(&candidate.path).clone();
            let new = Fresh {
                here: candidate.path == path,
                path,
                compressed: candidate.is_packed(),
                id: candidate.stat.id,
                stat: candidate.stat,
                name: candidate.path.clone(),
                directory: candidate.directory,
                text,
                begin,
                passed_over,
                copied: matching.copies.contains(&at),
            };
            if missed || known { before.push(new) } else { others.push(new) }
        }
        before.append(&mut others);
        (before, copies)
    }

    /// A new body. Where its text cannot be opened, it is at least known where it ends.
    fn begin(
        &mut self,
        position: &mut SourcePosition,
        new: Fresh,
        now_ms: u64,
        sink: &mut impl Sink,
        progress: &mut Progress,
    ) {
        let mut file = FileState {
            generation: position.generation(),
            path: new.path,
            id: new.id,
            size: new.stat.size,
            mtime_ms: new.stat.mtime_ms,
            caught_up_at_ms: now_ms,
            compressed: new.compressed,
            copied: new.copied,
            directory: new.directory,
            ..FileState::default()
        };
        let mut text = new.text;
        let placed = match text.as_mut() {
            Some(text) => place(text, &mut file, &new.begin),
            None => {
                let at = if matches!(new.begin, Begin::Start) || file.compressed { 0 } else { file.size };
                file.read = Mark { at, ..Mark::default() };
                Ok(())
            }
        };
        if let Err(error) = placed {
            // A packed file that cannot be unpacked is not tried again and again.
            tell(progress, self.spec.limits.trouble, &file, &error);
            file.finished = file.compressed && matches!(new.begin, Begin::Known);
        }
        (file.offset, file.inside) = (file.read.at, file.read.inside);
        if new.passed_over {
            let (path, generation, reason) = (file.path.clone(), file.generation, GapReason::BeforeStart);
            progress.gaps.push(Gap { path, generation, reason, from: 0, to: None, at_ms: now_ms });
        }
        file.finished |= matches!(new.begin, Begin::Known);
        if let Some(text) = text.as_mut().filter(|_| !file.finished) {
            start(text, &file, sink);
        }
        if !file.finished && text.is_some() {
            let here = new.here;
            let crowded = here && self.open_texts() >= self.spec.limits.open;
            let text = text.filter(|_| !crowded);
            let live = Live::new(text, &new.name, here, file.size, file.read.at, now_ms);
            self.live.insert(file.generation, live);
        }
        position.files.push(file);
    }
}

/// Whether a file of a rotated name may be a copy, whole or in the making, of a body that is known. One that the pattern
/// means by its own name is a copy only where it is packed and surely has the text of a plain one.
fn may_be_copy(position: &SourcePosition, matching: &Matching, candidate: &Found, text: Option<&mut Text>) -> bool {
    let (base, packed) = (candidate.base.as_ref(), candidate.is_packed());
    let doubt = base.is_some();
    if !doubt && !packed {
        return false;
    }
    let Some(text) = text else { return doubt };
    let Ok(head) = text.head() else { return doubt };
    if head.is_empty() {
        // Nothing of it can be read yet either.
        return doubt;
    }
    // A rename leaves no copies behind; only packing does.
    if base.is_some_and(|base| matching.rotated.contains(base)) && !packed {
        return false;
    }
    let near = |file: &&FileState| directory_of(&file.path) == directory_of(&candidate.path);
    let known = |file: &&FileState| !matching.lost.contains(&file.generation) && (doubt || !file.compressed);
    position.files.iter().filter(near).filter(known).any(|file| {
        if file.head.length == 0 {
            return false;
        }
        let read = &file.read;
        file.has_head(&head)
            && match text.before(read.at, read.before.length as usize) {
                Ok(Some(before)) => read.before.is_of(&before),
                Ok(None) | Err(_) => doubt,
            }
    })
}

/// Whether all of a plain file is the beginning of the file that its name is rotated from. What was born before that
/// one was renamed, not copied.
fn is_copy_of_current(root: &Root, current: &Found, candidate: &Found, text: &mut Text) -> bool {
    let older = match (candidate.stat.id.born_ns, current.stat.id.born_ns) {
        (Some(candidate), Some(current)) => candidate < current,
        _ => false,
    };
    if older || candidate.is_packed() || candidate.stat.size > current.stat.size {
        return false;
    }
    let Ok(Some(mut original)) = open(root, current, false) else { return true };
    begins_with(&mut original, text)
}

/// Whether all of a copy is the beginning of its original, judged by its own beginning and end. What cannot be read may be.
fn begins_with(original: &mut Text, copy: &mut Text) -> bool {
    let Ok(end) = copy.end() else { return true };
    let length = usize::try_from(end).unwrap_or(usize::MAX).min(BEFORE_BYTES);
    let (Ok(head), Ok(first)) = (copy.head(), original.head()) else { return true };
    first.starts_with(&head)
        && matches!((copy.before(end, length), original.before(end, length)), (Ok(a), Ok(b)) if a == b)
}

/// The directory, looked at until two looks agree where one alone would not be believed: a rename while names are listed
/// may hide a file, or show it twice. `None` when the names do not come to rest.
fn settled<'a>(root: &'a Root, pattern: &Pattern, files: &[FileState], limits: &'a Limits) -> Option<Scan<'a>> {
    let mut looked = scan(root, pattern, files, limits);
    let expected = |looked: &Scan<'_>| {
        let all_there = files.iter().all(|file| looked.found.iter().any(|found| found.stat.id.is(&file.id)));
        let all_known = looked.found.iter().all(|found| files.iter().any(|file| found.stat.id.is(&file.id)));
        all_there && all_known
    };
    for _ in 0..LOOKS {
        if expected(&looked) {
            return Some(looked);
        }
        let again = scan(root, pattern, files, limits);
        let names = |looked: &Scan<'_>| -> BTreeSet<(String, u64)> {
            looked.found.iter().map(|found| (found.path.clone(), found.stat.id.inode)).collect()
        };
        if names(&looked) == names(&again) {
            return Some(again);
        }
        looked = again;
    }
    None
}

/// Announces the lines of a body, and shows those just before the place where they begin.
fn start(text: &mut Text, file: &FileState, sink: &mut impl Sink) {
    sink.start(file);
    let at = file.read.at;
    let length = usize::try_from(at).unwrap_or(usize::MAX).min(REMEMBERED);
    // Only for the reader's eyes: what cannot be had is left out.
    let Ok(Some(before)) = text.before(at, length) else { return };
    let whole = memrchr(b'\n', &before).map_or(0, |newline| newline + 1);
    let from = if length as u64 == at { Some(0) } else { memchr(b'\n', &before[..whole]).map(|newline| newline + 1) };
    if let Some(from) = from.filter(|&from| from < whole) {
        sink.remember(file, Block { start: at - length as u64 + from as u64, bytes: &before[from..whole] });
    }
}

/// Takes the samples of a new body, and sets where reading begins.
fn place(text: &mut Text, file: &mut FileState, begin: &Begin) -> io::Result<()> {
    file.head = Sample::of(&text.head()?);
    if matches!(begin, Begin::Start) || file.compressed {
        return Ok(());
    }
    let stat = text.stat()?;
    (file.size, file.mtime_ms) = (stat.size, stat.mtime_ms);
    let last = text.before(stat.size, usize::from(stat.size > 0))?;
    let inside = last.is_some_and(|last| last.first().is_some_and(|&byte| byte != b'\n'));
    file.read = text.mark(stat.size, inside)?;
    Ok(())
}

enum Examined {
    Same {
        stat: Stat,
        head: Vec<u8>,
    },
    /// It begins like the body, and ends before the place up to which that was read.
    Shorter {
        stat: Stat,
    },
    Other,
}

/// Whether a text is this body.
fn examine(text: &mut Text, file: &FileState) -> io::Result<Examined> {
    let stat = text.stat()?;
    let head = text.head()?;
    if !file.has_head(&head) && !file.has_copy(&head) {
        return Ok(Examined::Other);
    }
    let before = text.before(file.read.at, file.read.before.length as usize)?;
    Ok(match before {
        Some(before) if file.is_body(&head, Some(&before)) => Examined::Same { stat, head },
        None => Examined::Shorter { stat },
        Some(_) => Examined::Other,
    })
}

/// Opens what was found; `None` when it is another file by now.
fn open(root: &Root, found: &Found, packed: bool) -> io::Result<Option<Text>> {
    let (file, stat) = match root.file(&found.path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(stat.id.is(&found.stat.id).then(|| Text::new(file, packed)))
}

/// What of the disk is explained already.
struct Matching<'a> {
    found: &'a [Found],
    claimed: Vec<bool>,
    by_inode: HashMap<(u64, u64), Vec<usize>>,
    /// The newest generation of each path before this look.
    newest: HashMap<String, u64>,
    /// Paths whose newest body is no longer there.
    rotated: HashSet<String>,
    /// Bodies whose rest is nowhere: nothing is a copy of them.
    lost: HashSet<u64>,
    /// What was found to be a copy of a body, and has nothing that was not read.
    copies: HashSet<usize>,
    /// A file had another name, or none, when it was opened.
    in_motion: bool,
}

impl<'a> Matching<'a> {
    fn new(found: &'a [Found], position: &SourcePosition) -> Self {
        let mut by_inode: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
        for (at, found) in found.iter().enumerate() {
            by_inode.entry((found.stat.id.device, found.stat.id.inode)).or_default().push(at);
        }
        let newest = position.files.iter().map(|file| (file.path.clone(), file.generation)).collect();
        Self {
            found,
            claimed: vec![false; found.len()],
            by_inode,
            newest,
            rotated: HashSet::new(),
            lost: HashSet::new(),
            copies: HashSet::new(),
            in_motion: false,
        }
    }

    /// All names of one file.
    fn places(&self, id: &FileId) -> Vec<usize> {
        let same = self.by_inode.get(&(id.device, id.inode)).map_or(&[][..], Vec::as_slice);
        same.iter().copied().filter(|&at| self.found[at].stat.id.is(id)).collect()
    }

    fn claim(&mut self, places: &[usize]) {
        places.iter().for_each(|&at| self.claimed[at] = true);
    }

    fn moved(&mut self, file: &FileState) {
        if self.newest.get(&file.path) == Some(&file.generation) {
            self.rotated.insert(file.path.clone());
        }
    }
}
