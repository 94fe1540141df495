//! One source, followed: a call looks at the disk, reads within its budget, ends what is over, and leaves a position.

use std::{
    collections::HashMap,
    fs::File,
    io,
    time::{Duration, Instant},
};

use tandem_core::source::{
    file::{Fault, FileState, Gap, GapReason, SourcePosition},
    pattern::Pattern,
};

use super::{
    Budget, Progress, Sink, SourceSpec, TailError, Trouble, Verdict,
    beneath::{Root, Stat, fault},
    lines::{Pump, Stop, last_line},
    text::Text,
};

/// A call that goes on where the last one stopped need not look at the directory again so soon.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// What one file may read before it is another one's turn.
const TURN_BYTES: u64 = 4 * 1024 * 1024;
const SHORTEST_TURN_BYTES: u64 = 64 * 1024;

/// Follows one source.
pub struct Tailer {
    pub(super) spec: SourceSpec,
    pub(super) pattern: Pattern,
    pub(super) live: HashMap<u64, Live>,
    /// Open texts of bodies that start anew: a deleted file can be read again only through its descriptor.
    pub(super) kept: HashMap<u64, Text>,
    /// Texts of bodies that ended: what is still written to them, and their end, should it be read again.
    pub(super) ended: HashMap<u64, Text>,
    /// The files as the last call left them: one that comes back otherwise is started anew.
    left: Vec<FileState>,
    looked: Option<Instant>,
    more: bool,
    /// A file was found to hold other text while it was read: another look is due.
    pub(super) changed: bool,
    turn: usize,
}

/// What is known of a body beyond its state.
pub(super) struct Live {
    pub text: Option<Text>,
    /// Where it was found last.
    pub name: String,
    /// It still has the path that it was found by first.
    pub here: bool,
    pub size: u64,
    /// How far its bytes were looked at; the last line may not be handed out yet.
    pub seen_to: u64,
    pub changed_at_ms: u64,
    /// When everything that was there had last been read.
    pub caught_up_at_ms: u64,
    /// The last line up to here was offered and refused.
    pub offered_to: u64,
    /// Packed text was unpacked to its end.
    pub unpacked: bool,
    /// Not read for the rest of this call.
    pub skip: bool,
}

impl Live {
    pub fn new(text: Option<Text>, name: &str, here: bool, size: u64, seen_to: u64, now_ms: u64) -> Self {
        let name = name.to_owned();
        Self {
            text,
            name,
            here,
            size,
            seen_to,
            changed_at_ms: now_ms,
            caught_up_at_ms: now_ms,
            offered_to: 0,
            unpacked: false,
            skip: false,
        }
    }

    fn is_pending(&self, packed: bool) -> bool {
        !self.skip && if packed { !self.unpacked } else { self.size > self.seen_to }
    }
}

impl Tailer {
    /// Reads nothing yet; the root need not be there.
    pub fn open(spec: SourceSpec) -> Result<Self, TailError> {
        let root = spec.root.to_string_lossy();
        let pattern = Pattern::new(&root, &spec.path)
            .map_err(|error| TailError::new(Fault::PatternInvalid, format!("the path {}", error.0)))?;
        Ok(Self {
            spec,
            pattern,
            live: HashMap::new(),
            kept: HashMap::new(),
            ended: HashMap::new(),
            left: Vec::new(),
            looked: None,
            more: false,
            changed: false,
            turn: 0,
        })
    }

    /// Looks and reads, and moves `position` to what may be stored now. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The root cannot be opened. `position` is as it was, but for a changed path.
    pub fn read(
        &mut self,
        position: &mut SourcePosition,
        now_ms: u64,
        budget: &Budget,
        sink: &mut impl Sink,
    ) -> Result<Progress, TailError> {
        if position.path != self.spec.path {
            *position = SourcePosition::new(&self.spec.path);
        }
        self.forget_what_differs(position);
        let root = Root::open(&self.spec.root)?;
        let mut progress = Progress::default();
        let goes_on = self.more && self.looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN);
        let looks = !goes_on || self.pending(position).is_empty();
        if looks {
            self.look(&root, position, now_ms, sink, &mut progress);
            self.looked = Some(Instant::now());
            self.kept.clear();
        }
        let full = self.pump(&root, position, now_ms, budget, sink, &mut progress);
        self.end_what_is_over(&root, position, now_ms, sink, &mut progress);
        for file in &mut position.files {
            // What cannot be read now was handed out in another life, if at all, and may have been held then.
            let Some(live) = self.live.get(&file.generation) else { continue };
            file.settle(sink.held_from(file));
            // Looking at what has not changed changes nothing that would have to be stored.
            if !self.left.contains(file) {
                file.caught_up_at_ms = live.caught_up_at_ms;
            }
        }
        // Without a look nobody knows what else there is.
        self.sum_up(position, now_ms, full || !looks, &mut progress);
        self.left.clone_from(&position.files);
        Ok(progress)
    }

    /// Starts all bodies anew at their `offset`, with the next call: for when what was handed out is thrown away, because
    /// it could not be stored.
    pub fn rewind(&mut self) {
        self.left.clear();
    }

    /// Says that what the calls so far have left is stored. Until then the texts of bodies that ended stay open: a deleted
    /// file can be read again through nothing else. Afterwards as many stay open as there is room for, because a writer
    /// that has not noticed the end may go on.
    pub fn stored(&mut self) {
        let watched = |generation: &u64| {
            let left = self.left.iter().find(|file| file.generation == *generation);
            left.is_some_and(|file| file.finished && file.may_grow() && file.away_since_ms.is_none())
        };
        self.ended.retain(|generation, _| watched(generation));
        while self.open_texts() + self.ended.len() > self.spec.limits.open {
            let Some(oldest) = self.ended.keys().min().copied() else { return };
            self.ended.remove(&oldest);
        }
    }

    /// How many texts of bodies that ended may be opened. Those that are read come first.
    pub(super) fn room(&self) -> usize {
        self.spec.limits.open.saturating_sub(self.open_texts() + self.ended.len())
    }

    /// Drops what is remembered of bodies that are not as they were left: they start at their `offset` again.
    fn forget_what_differs(&mut self, position: &SourcePosition) {
        let left: HashMap<u64, &FileState> = self.left.iter().map(|file| (file.generation, file)).collect();
        let same = |file: &&FileState| left.get(&file.generation).is_some_and(|left| left == file);
        let kept: Vec<u64> = position.files.iter().filter(same).map(|file| file.generation).collect();
        let before = self.live.len();
        let anew = self.live.extract_if(|generation, _| !kept.contains(generation));
        let texts = anew.filter_map(|(generation, live)| Some((generation, live.text?)));
        let known = |generation: &u64| position.files.iter().any(|file| file.generation == *generation);
        let ended = self.ended.extract_if(|generation, _| known(generation) && !kept.contains(generation));
        self.kept = texts.filter(|(generation, _)| known(generation)).chain(ended).collect();
        if self.live.len() < before || kept.len() != position.files.len() {
            self.looked = None;
        }
    }

    /// Reads, a turn for each file that has something, until nothing is left or the budget is used. The answer is
    /// whether the receiver has enough.
    fn pump(
        &mut self,
        root: &Root,
        position: &mut SourcePosition,
        now_ms: u64,
        budget: &Budget,
        sink: &mut impl Sink,
        progress: &mut Progress,
    ) -> bool {
        if budget.bytes == 0 {
            return false;
        }
        let mut pump = Pump::new(self.spec.limits.line_bytes);
        self.live.values_mut().for_each(|live| live.skip = false);
        loop {
            let pending = self.pending(position);
            if pending.is_empty() {
                return false;
            }
            let share = budget.bytes / pending.len() as u64;
            let quantum = share.clamp(SHORTEST_TURN_BYTES.min(budget.bytes), TURN_BYTES);
            for step in 0..pending.len() {
                let late = budget.deadline.is_some_and(|deadline| Instant::now() >= deadline);
                if late || (progress.bytes_read >= budget.bytes && progress.bytes_read > 0) {
                    return false;
                }
                let index = pending[(self.turn + step) % pending.len()];
                let left = budget.bytes.saturating_sub(progress.bytes_read).max(1);
                if self.turn_of(index, root, position, now_ms, quantum.min(left), &mut pump, sink, progress) {
                    self.turn = self.turn.wrapping_add(step + 1);
                    return true;
                }
            }
            self.turn = self.turn.wrapping_add(1);
        }
    }

    /// The files that have something to read. Of one path, the oldest body first; of packed files, the first.
    fn pending(&self, position: &SourcePosition) -> Vec<usize> {
        let mut paths: Vec<&str> = Vec::new();
        let mut pending = Vec::new();
        let mut unpacking = false;
        for (index, file) in position.files.iter().enumerate().filter(|(_, file)| !file.finished) {
            let Some(live) = self.live.get(&file.generation) else { continue };
            if !live.is_pending(file.compressed) || paths.contains(&file.path.as_str()) {
                continue;
            }
            // Packed files one after the other: each that is begun takes memory, and beginning again takes all the work.
            if file.compressed && std::mem::replace(&mut unpacking, true) {
                continue;
            }
            paths.push(&file.path);
            pending.push(index);
        }
        pending
    }

    /// One file's turn; whether the receiver has enough.
    fn turn_of(
        &mut self,
        index: usize,
        root: &Root,
        position: &mut SourcePosition,
        now_ms: u64,
        quantum: u64,
        pump: &mut Pump,
        sink: &mut impl Sink,
        progress: &mut Progress,
    ) -> bool {
        let file = &mut position.files[index];
        let Some(live) = self.live.get_mut(&file.generation) else { return false };
        let mut text = match live.text.take() {
            Some(text) => text,
            None => match reopen(root, live, file) {
                Ok(text) => text,
                Err(error) => {
                    live.skip = true;
                    self.looked = None;
                    tell(progress, self.spec.limits.trouble, file, &error);
                    return false;
                }
            },
        };
        let room = self.spec.limits.unpacked_bytes.saturating_sub(file.read.at);
        let quantum = if file.compressed { quantum.min(room) } else { quantum };
        let pass = pump.pass(&mut text, file, quantum, sink);
        progress.bytes_read += pass.bytes;
        live.seen_to = if matches!(pass.stop, Stop::End) { pass.seen_to } else { file.read.at };
        if !file.compressed && pass.seen_to > live.size {
            // It has grown since the look.
            (live.size, file.size, live.changed_at_ms) = (pass.seen_to, pass.seen_to, now_ms);
        }
        let full = matches!(pass.stop, Stop::Full);
        match pass.stop {
            Stop::End => live.unpacked = file.compressed,
            Stop::Budget | Stop::Full => {}
            Stop::Changed => {
                // The next look tells what happened.
                live.skip = true;
                self.looked = None;
                self.changed = true;
            }
            Stop::Failed(error) => {
                live.skip = true;
                tell(progress, self.spec.limits.trouble, file, &error);
                if file.compressed && is_damage(&error) && quiet_for(live, now_ms) >= self.spec.limits.rotate_wait_ms {
                    give_up(file, GapReason::CompressedDamaged, now_ms, progress);
                    live.unpacked = true;
                }
            }
        }
        if file.compressed && !live.unpacked && file.read.at >= self.spec.limits.unpacked_bytes {
            give_up(file, GapReason::CompressedTooLarge, now_ms, progress);
            live.unpacked = true;
        }
        text.passed(file.read.at);
        live.text = Some(text);
        // One that is being unpacked stays open, or all of it would be unpacked again.
        let idle = !file.compressed || live.unpacked;
        let crowded = idle && live.here && self.open_texts() > self.spec.limits.open;
        if let Some(live) = self.live.get_mut(&position.files[index].generation).filter(|_| crowded) {
            live.text = None;
        }
        full
    }

    pub(super) fn open_texts(&self) -> usize {
        self.live.values().filter(|live| live.text.is_some()).count()
    }

    /// Hands out last lines without newline where nothing more comes, and ends bodies of which nothing more is expected.
    fn end_what_is_over(
        &mut self,
        root: &Root,
        position: &mut SourcePosition,
        now_ms: u64,
        sink: &mut impl Sink,
        progress: &mut Progress,
    ) {
        let limits = &self.spec.limits;
        let mut buffer = Vec::new();
        for file in position.files.iter_mut().filter(|file| !file.finished) {
            let Some(live) = self.live.get_mut(&file.generation) else { continue };
            if live.is_pending(file.compressed) || live.skip && !live.unpacked {
                continue;
            }
            live.caught_up_at_ms = now_ms;
            let quiet = quiet_for(live, now_ms);
            let over = if file.compressed { live.unpacked } else { !live.here && quiet >= limits.rotate_wait_ms };
            let offer = !over && !file.compressed && quiet >= limits.quiet_ms && live.offered_to != live.seen_to;
            if !over && !offer {
                continue;
            }
            if live.text.is_none() {
                // Closed for want of descriptors. Where it is no longer, the next look tells.
                live.text = reopen(root, live, file).ok();
            }
            let Some(text) = live.text.as_mut() else { continue };
            let line = match last_line(text, file, live.seen_to, limits.line_bytes, &mut buffer) {
                Ok(line) => line,
                Err(error) => {
                    tell(progress, limits.trouble, file, &error);
                    None
                }
            };
            if let Some(line) = line {
                let taken = if over {
                    let _ = sink.line(file, line);
                    true
                } else {
                    live.offered_to = live.seen_to;
                    sink.unfinished(file, line) == Verdict::Taken
                };
                if let (true, Ok(mark)) = (taken, text.mark(line.end, true)) {
                    file.read = mark;
                }
            }
            if over {
                sink.end(file);
                file.settle(None);
                (file.finished, file.caught_up_at_ms) = (true, now_ms);
                progress.ended = true;
                let live = self.live.remove(&file.generation);
                self.ended.extend(live.and_then(|live| Some((file.generation, live.text?))));
            }
        }
    }

    fn sum_up(&mut self, position: &SourcePosition, now_ms: u64, more: bool, progress: &mut Progress) {
        progress.more = more || std::mem::take(&mut self.changed);
        progress.files = position.files.len();
        for file in &position.files {
            let newest = progress.newest_data_at_ms.unwrap_or(0).max(file.mtime_ms);
            progress.newest_data_at_ms = Some(newest);
            if file.finished {
                continue;
            }
            let live = self.live.get(&file.generation);
            let lag = match live {
                _ if file.compressed => u64::from(live.is_none_or(|live| !live.unpacked)),
                Some(live) => live.size.saturating_sub(live.seen_to),
                None => file.size.saturating_sub(file.read.at),
            };
            if !file.compressed {
                progress.lag_bytes += lag;
            }
            if lag > 0 {
                let caught_up = live.map_or(file.caught_up_at_ms, |live| live.caught_up_at_ms);
                let age = now_ms.saturating_sub(caught_up);
                progress.oldest_unread_ms = Some(progress.oldest_unread_ms.unwrap_or(0).max(age));
            }
            if let Some(live) = live.filter(|live| !live.is_pending(file.compressed)) {
                let limits = &self.spec.limits;
                let unfinished = live.seen_to > file.read.at && !file.read.inside && live.offered_to != live.seen_to;
                let wait = match (live.here, unfinished) {
                    (true, true) => Some(limits.quiet_ms),
                    (true, false) => None,
                    (false, _) => Some(limits.rotate_wait_ms),
                };
                let due = wait.map(|wait| live.changed_at_ms.saturating_add(wait));
                progress.due_at_ms = [progress.due_at_ms, due].into_iter().flatten().min();
            }
            progress.more |= live.is_some_and(|live| live.is_pending(file.compressed));
        }
        self.more = progress.more;
    }
}

fn quiet_for(live: &Live, now_ms: u64) -> u64 {
    now_ms.saturating_sub(live.changed_at_ms)
}

/// The rest of a packed file is lost.
fn give_up(file: &FileState, reason: GapReason, now_ms: u64, progress: &mut Progress) {
    let (path, generation) = (file.path.clone(), file.generation);
    progress.gaps.push(Gap { path, generation, reason, from: file.read.at, to: None, at_ms: now_ms });
}

fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

pub(super) fn tell(progress: &mut Progress, most: usize, file: &FileState, error: &io::Error) {
    if progress.trouble.len() < most {
        let fault = if file.compressed && is_damage(error) { Fault::CompressedDamaged } else { fault(error) };
        progress.trouble.push(Trouble { path: file.path.clone(), fault, detail: error.to_string() });
    }
}

/// Opens a file where it was seen last, if it is still that file.
fn reopen(root: &Root, live: &Live, file: &FileState) -> io::Result<Text> {
    let (opened, stat): (File, Stat) = root.file(&live.name)?;
    if !stat.id.is(&file.id) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(Text::new(opened, file.compressed))
}
