//! Random histories of one log file against a model of what its text was.
//!
//! The model keeps **bodies**: what was written between two truncations. A file on the disk, current, renamed, copied or
//! packed, holds a prefix of a body. After every look that reads all there is, each whole line that any file holds must
//! have been handed out. In the end each line was handed out once, and a line that was not is explained: no file held it
//! whenever a look could have committed it, and a gap says so, unless nobody ever saw its body.
//!
//! `TANDEM_TAIL_HISTORIES` is how many histories are tried, `TANDEM_TAIL_SEED` where they begin; a failure names its
//! seed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File, OpenOptions},
    io::Write,
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};
use tandem_core::{
    config::StartPosition,
    source::file::{FileState, Gap, HEAD_BYTES, SourcePosition},
};
use tandem_inbound::{
    Line,
    tail::{Budget, Limits, Sink, SourceSpec, Tailer, Verdict},
};

use crate::world::{Dice, Scratch, now_ms, setting};

const CURRENT: &str = "app.log";
/// Older files are deleted.
const KEPT: usize = 3;

/// Text that was written into one file until it was truncated or given up.
#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    /// Start and end of each line; the last may lack its newline.
    lines: Vec<(usize, usize)>,
    open_line: bool,
}

impl Body {
    fn is_whole(&self, line: usize) -> bool {
        line + 1 < self.lines.len() || !self.open_line
    }
}

/// A file of the directory.
#[derive(Clone)]
struct OnDisk {
    body: usize,
    length: usize,
    /// Not the file that its writer had.
    copied: bool,
}

/// What was handed out, by generation: where it began, and its bytes.
#[derive(Default)]
struct Assembler {
    pending: BTreeMap<u64, Vec<(u64, Vec<u8>)>>,
    hold: usize,
    take_unfinished: bool,
    stop_after: Option<usize>,
    ended: BTreeSet<u64>,
}

impl Assembler {
    fn take(&mut self, file: &FileState, line: Line<'_>) {
        self.pending.entry(file.generation).or_default().push((line.start, line.bytes.to_vec()));
    }

    fn choose_what_to_hold(&mut self, dice: &mut Dice) {
        self.hold = if dice.one_in(3) { dice.below(4) as usize } else { 0 };
    }
}

impl Sink for Assembler {
    fn start(&mut self, file: &FileState) {
        // What lies before the place was told already, perhaps in an earlier round of the same look.
        if let Some(pending) = self.pending.get_mut(&file.generation) {
            pending.retain(|(start, _)| *start < file.offset);
        }
        self.ended.remove(&file.generation);
    }

    fn line(&mut self, file: &FileState, line: Line<'_>) -> ControlFlow<()> {
        self.take(file, line);
        match self.stop_after.as_mut() {
            Some(left) if *left == 0 => ControlFlow::Break(()),
            Some(left) => {
                *left -= 1;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Continue(()),
        }
    }

    fn unfinished(&mut self, file: &FileState, line: Line<'_>) -> Verdict {
        if self.take_unfinished {
            self.take(file, line);
            return Verdict::Taken;
        }
        Verdict::Wait
    }

    fn end(&mut self, file: &FileState) {
        self.ended.insert(file.generation);
    }

    fn held_from(&self, file: &FileState) -> Option<u64> {
        if self.ended.contains(&file.generation) || self.hold == 0 {
            return None;
        }
        let pending = self.pending.get(&file.generation)?;
        pending.get(pending.len().saturating_sub(self.hold)).map(|(start, _)| *start)
    }
}

struct History {
    scratch: Scratch,
    spec: SourceSpec,
    tailer: Tailer,
    sink: Assembler,
    position: SourcePosition,
    now: u64,
    dice: Dice,
    bodies: Vec<Body>,
    disk: BTreeMap<String, OnDisk>,
    lines_written: u64,
    /// Lines that were committed: body and number of the line, and how often.
    told: BTreeMap<(usize, usize), u32>,
    gaps: Vec<Gap>,
    body_of: HashMap<u64, usize>,
    /// Bodies that a committed look found in the file of their writer.
    seen: BTreeSet<usize>,
    /// The directory is not where it belongs.
    away: bool,
    log: Vec<String>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let scratch = Scratch::new("history");
        let line_bytes = if dice.one_in(4) { 40 } else { 1024 * 1024 };
        let path = if dice.one_in(3) { "logs/*.log*".to_owned() } else { format!("logs/{CURRENT}") };
        fs::create_dir(scratch.path("logs")).expect("creates");
        let open = if dice.one_in(4) { 1 } else { 64 };
        let spec = SourceSpec {
            root: scratch.root().to_owned(),
            path: path.clone(),
            start: StartPosition::Beginning,
            limits: Limits { line_bytes, open, ..Limits::default() },
        };
        let tailer = Tailer::open(spec.clone()).expect("opens");
        Self {
            scratch,
            tailer,
            sink: Assembler::default(),
            position: SourcePosition::new(&path),
            spec,
            now: now_ms(),
            dice,
            bodies: Vec::new(),
            disk: BTreeMap::new(),
            lines_written: 0,
            told: BTreeMap::new(),
            gaps: Vec::new(),
            body_of: HashMap::new(),
            seen: BTreeSet::new(),
            away: false,
            log: Vec::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path("logs").join(name)
    }

    fn note(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }

    // What happens to files.

    fn append(&self, name: &str, bytes: &[u8]) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).expect("opens");
        file.write_all(bytes).expect("writes");
        self.touch(name);
    }

    /// The clock of the disk is that of the history.
    fn touch(&self, name: &str) {
        let file = File::open(self.path(name)).expect("opens");
        file.set_modified(UNIX_EPOCH + Duration::from_millis(self.now)).expect("sets the time");
    }

    fn body_at(&mut self, name: &str) -> usize {
        if let Some(file) = self.disk.get(name) {
            return file.body;
        }
        self.bodies.push(Body::default());
        let body = self.bodies.len() - 1;
        self.disk.insert(name.to_owned(), OnDisk { body, length: 0, copied: false });
        body
    }

    /// A line has its number first, so no two are alike; then anything.
    fn new_line(&mut self) -> Vec<u8> {
        self.lines_written += 1;
        let mut line = format!("L{:09}", self.lines_written).into_bytes();
        for _ in 0..self.dice.below(12) {
            match self.dice.below(8) {
                0 => line.extend("é€😀".bytes()),
                1 => line.extend([0xff, 0xfe, 0xc3]),
                2 => line.push(0),
                _ => line.extend(b" word"),
            }
        }
        line
    }

    fn write(&mut self, name: &str, whole: bool) {
        let body = self.body_at(name);
        let mut bytes = Vec::new();
        let line = self.new_line();
        let state = &mut self.bodies[body];
        if state.open_line {
            bytes.extend_from_slice(&line[10..]);
        } else {
            state.lines.push((state.bytes.len(), state.bytes.len()));
            bytes.extend_from_slice(&line);
        }
        if whole {
            bytes.push(b'\n');
        }
        state.open_line = !whole;
        state.bytes.extend_from_slice(&bytes);
        let length = state.bytes.len();
        if let Some(last) = state.lines.last_mut() {
            last.1 = length;
        }
        self.append(name, &bytes);
        if let Some(file) = self.disk.get_mut(name) {
            file.length = length;
        }
        self.note(format!("write {name} body {body} to {length} whole {whole}"));
    }

    fn name(n: usize, packed: bool) -> String {
        format!("{CURRENT}.{n}{}", if packed { ".gz" } else { "" })
    }

    fn rename(&mut self, from: &str, to: &str) {
        if let Some(file) = self.disk.remove(from) {
            fs::rename(self.path(from), self.path(to)).expect("renames");
            self.disk.insert(to.to_owned(), file);
        }
    }

    fn remove(&mut self, name: &str) {
        if self.disk.remove(name).is_some() {
            fs::remove_file(self.path(name)).expect("removes");
            self.note(format!("remove {name}"));
        }
    }

    /// Makes room at `.1`.
    fn shift(&mut self) {
        for packed in [false, true] {
            self.remove(&Self::name(KEPT, packed));
            for n in (1..KEPT).rev() {
                self.rename(&Self::name(n, packed), &Self::name(n + 1, packed));
            }
        }
    }

    fn rotate(&mut self) {
        if self.disk.contains_key(CURRENT) {
            self.shift();
            self.rename(CURRENT, &Self::name(1, false));
            self.note("rotate");
            if !self.dice.one_in(3) {
                self.body_at(CURRENT);
                self.append(CURRENT, b"");
            }
        }
    }

    fn copy_and_truncate(&mut self) {
        if !self.disk.contains_key(CURRENT) {
            return;
        }
        self.shift();
        let to = Self::name(1, false);
        fs::copy(self.path(CURRENT), self.path(&to)).expect("copies");
        self.touch(&to);
        self.disk.insert(to, OnDisk { copied: true, ..self.disk[CURRENT].clone() });
        self.note("copy");
        let between = self.dice.below(6);
        if matches!(between, 0 | 2) {
            self.write(CURRENT, true);
        }
        if matches!(between, 1 | 2) {
            self.look(u64::MAX, true);
        }
        self.truncate();
        if between == 2 {
            // The copy lacks what was told of its original; what it has must not be told again.
            self.look(u64::MAX, true);
        }
    }

    fn truncate(&mut self) {
        if self.disk.contains_key(CURRENT) {
            let file = OpenOptions::new().write(true).open(self.path(CURRENT)).expect("opens");
            file.set_len(0).expect("truncates");
            self.touch(CURRENT);
            self.bodies.push(Body::default());
            let body = self.bodies.len() - 1;
            self.disk.insert(CURRENT.to_owned(), OnDisk { body, length: 0, copied: false });
            self.note(format!("truncate; body {body}"));
        }
    }

    fn pack(&mut self) {
        let plain: Vec<usize> = (1..=KEPT).filter(|&n| self.disk.contains_key(&Self::name(n, false))).collect();
        if plain.is_empty() {
            return;
        }
        let n = plain[self.dice.below(plain.len() as u64) as usize];
        let (from, to) = (Self::name(n, false), Self::name(n, true));
        if self.disk.contains_key(&to) {
            return;
        }
        let mut encoder = GzEncoder::new(File::create(self.path(&to)).expect("creates"), Compression::fast());
        encoder.write_all(&fs::read(self.path(&from)).expect("reads")).expect("packs");
        let packed = encoder.finish().expect("packs");
        let in_time = self.disk[&from].clone();
        // What is too short to be known by its first bytes may be read again.
        if !in_time.copied && in_time.length >= HEAD_BYTES && self.dice.one_in(6) {
            // Its writer goes on while it is packed.
            self.write(&from, true);
        }
        let time = fs::metadata(self.path(&from)).and_then(|file| file.modified()).expect("has a time");
        packed.set_modified(time).expect("sets the time");
        if self.dice.one_in(8) {
            // Packed, and the original not removed yet.
            self.look(u64::MAX, true);
        }
        fs::remove_file(self.path(&from)).expect("removes");
        self.disk.remove(&from).expect("is there");
        self.disk.insert(to, OnDisk { copied: true, ..in_time });
        self.note(format!("pack {from}"));
    }

    fn write_late(&mut self) {
        let name = Self::name(1, false);
        if self.disk.get(&name).is_some_and(|file| !file.copied) {
            let whole = !self.dice.one_in(4);
            self.write(&name, whole);
        }
    }

    // What the tailer does.

    fn look(&mut self, bytes: u64, commit: bool) {
        let before = self.position.clone();
        let mut gaps = Vec::new();
        self.sink.stop_after = (bytes < u64::MAX && self.dice.one_in(2)).then(|| self.dice.below(5) as usize);
        self.sink.take_unfinished = self.dice.one_in(2);
        self.sink.choose_what_to_hold(&mut self.dice);
        if bytes == u64::MAX {
            self.sink.stop_after = None;
        }
        for round in 0.. {
            assert!(round < 100, "it never gets to an end");
            let budget = Budget::bytes(bytes);
            let progress =
                self.tailer.read(&mut self.position, self.now, &budget, &mut self.sink).expect("the root is there");
            gaps.extend(progress.gaps);
            if !progress.more || bytes < u64::MAX {
                break;
            }
        }
        self.note(format!("look {bytes} commit {commit} gaps {gaps:?}"));
        if !commit {
            self.position = before;
            if self.dice.one_in(2) {
                self.restart();
            } else {
                // The commit failed; the process goes on from what is stored.
                self.sink.pending.clear();
                self.tailer.rewind();
            }
            return;
        }
        self.tailer.stored();
        self.gaps.extend(gaps);
        if self.away {
            return self.commit();
        }
        for (name, file) in self.disk.iter().filter(|(_, file)| !file.copied) {
            let inode = fs::metadata(self.path(name)).expect("is there").ino();
            // Its first line's number must be there, or it cannot be told from what comes after.
            let is_it = |state: &FileState| {
                let length = state.head.length as usize;
                state.id.inode == inode && length >= 10 && state.has_head(&self.bodies[file.body].bytes)
            };
            if self.position.files.iter().any(is_it) {
                self.seen.insert(file.body);
            }
        }
        self.commit();
        if bytes == u64::MAX {
            self.check_that_nothing_was_left();
        }
    }

    /// Everything before the stored offsets is told now.
    fn commit(&mut self) {
        let stored: HashMap<u64, &FileState> = self.position.files.iter().map(|file| (file.generation, file)).collect();
        let mut told = Vec::new();
        for (generation, lines) in &mut self.sink.pending {
            let upto = stored.get(generation).map_or(u64::MAX, |file| file.offset);
            let (done, held): (Vec<_>, Vec<_>) =
                std::mem::take(lines).into_iter().partition(|(start, _)| *start < upto);
            *lines = held;
            told.extend(done.into_iter().map(|(start, bytes)| (*generation, start, bytes)));
        }
        for (generation, start, bytes) in told {
            let line = self.identify(start, &bytes);
            self.body_of.insert(generation, line.0);
            *self.told.entry(line).or_default() += 1;
            assert!(self.told[&line] == 1, "line {line:?} was told twice: {:?}", String::from_utf8_lossy(&bytes));
        }
        for file in &self.position.files {
            let length = file.head.length as usize;
            let has_head = |body: &&Body| body.bytes.get(..length).is_some_and(|head| file.head.is_of(head));
            // Ten bytes tell the first line.
            if length >= 10
                && let Some(body) = self.bodies.iter().position(|body| has_head(&body))
            {
                self.body_of.insert(file.generation, body);
            }
        }
    }

    /// Which line this is. Its number comes first; its bytes must be what was written.
    fn identify(&self, start: u64, bytes: &[u8]) -> (usize, usize) {
        let at = start as usize;
        for (b, body) in self.bodies.iter().enumerate() {
            let Some(l) = body.lines.iter().position(|&(from, _)| from == at) else { continue };
            let (from, to) = body.lines[l];
            if body.bytes[from..to].starts_with(bytes) && bytes.len() >= 10.min(to - from) {
                let text = &body.bytes[from..to];
                let text = text.strip_suffix(b"\n").unwrap_or(text);
                let limit = self.spec.limits.line_bytes;
                // A line may also have been taken before it was whole.
                assert!(bytes.len() <= limit && bytes.len() <= text.len());
                return (b, l);
            }
        }
        panic!("no line was written at {start} that is {:?}", String::from_utf8_lossy(bytes));
    }

    /// Each whole line that a file holds was told, or is held by the assembler.
    fn check_that_nothing_was_left(&self) {
        for (name, file) in &self.disk {
            let body = &self.bodies[file.body];
            for (l, &(start, end)) in body.lines.iter().enumerate() {
                let there = end <= file.length && (body.is_whole(l) || end < file.length);
                let held = || {
                    let mut pending = self.sink.pending.values().flatten();
                    pending.any(|(at, bytes)| *at as usize == start && body.bytes[start..end].starts_with(bytes))
                };
                if there && !self.told.contains_key(&(file.body, l)) && !held() {
                    panic!("{name} holds line {l} of body {} at {start}, and it was not told", file.body);
                }
            }
        }
    }

    fn restart(&mut self) {
        let stored = serde_json::to_string(&self.position).expect("serialises");
        self.position = serde_json::from_str(&stored).expect("reads");
        self.tailer = Tailer::open(self.spec.clone()).expect("opens");
        self.sink = Assembler::default();
        self.note("restart");
    }

    /// The directory is renamed, or its volume unmounted, and comes back.
    fn go_away(&mut self) {
        let (logs, elsewhere) = (self.scratch.path("logs"), self.scratch.path("elsewhere"));
        fs::rename(&logs, &elsewhere).expect("renames");
        let mounted = self.dice.one_in(2);
        if mounted {
            fs::create_dir(&logs).expect("creates");
        }
        self.away = true;
        self.note(format!("away, mounted {mounted}"));
        for _ in 0..=self.dice.below(3) {
            match self.dice.below(4) {
                0 => self.restart(),
                1 => self.look(u64::MAX, false),
                _ => self.look(u64::MAX, true),
            }
            self.now += self.dice.below(8_000);
        }
        if mounted {
            fs::remove_dir(&logs).expect("removes");
        }
        fs::rename(&elsewhere, &logs).expect("renames");
        self.away = false;
        self.note("back");
    }

    fn step(&mut self) {
        match self.dice.below(23) {
            0..=6 => {
                for _ in 0..=self.dice.below(6) {
                    self.write(CURRENT, true);
                }
            }
            7 => self.write(CURRENT, false),
            8 | 9 => self.rotate(),
            10 => self.copy_and_truncate(),
            11 => {
                self.truncate();
                if self.dice.one_in(2) {
                    let past = self.dice.below(20);
                    (0..past).for_each(|_| self.write(CURRENT, true));
                }
            }
            12 => self.remove(CURRENT),
            13 => self.pack(),
            14 => self.write_late(),
            15..=17 => self.look(u64::MAX, true),
            18 => {
                let bytes = 1 + self.dice.below(300);
                self.look(bytes, true);
            }
            19 => {
                let bytes = if self.dice.one_in(2) { u64::MAX } else { 60 };
                self.look(bytes, false);
            }
            20 => self.restart(),
            21 => self.go_away(),
            _ => self.now += self.dice.below(8_000),
        }
    }

    /// Reads all that is left, and judges the whole.
    fn finish(&mut self) {
        for _ in 0..4 {
            self.look(u64::MAX, true);
            self.now += 10_000;
        }
        self.restart();
        self.look(u64::MAX, true);
        self.sink.hold = 0;
        for file in &mut self.position.files {
            file.settle(None);
        }
        self.commit();
        self.check_that_nothing_was_left();
        for (b, body) in self.bodies.iter().enumerate() {
            let mut told = body.lines.iter().enumerate();
            for (l, &(start, _)) in told.by_ref().filter(|(l, _)| body.is_whole(*l)) {
                let explained = || {
                    self.gaps
                        .iter()
                        .any(|gap| self.body_of.get(&gap.generation) == Some(&b) && gap.from <= start as u64)
                };
                if !self.told.contains_key(&(b, l)) && self.seen.contains(&b) && !explained() {
                    panic!("line {l} of body {b} at {start} is lost, and no gap says so");
                }
            }
        }
        for gap in &self.gaps {
            let (Some(to), Some(&b)) = (gap.to, self.body_of.get(&gap.generation)) else { continue };
            let body = &self.bodies[b];
            let missing = |(l, &(start, end)): (usize, &(usize, usize))| {
                // The rest of a line that was cut may be lost too.
                let cut = end - start > self.spec.limits.line_bytes;
                (start as u64) < to && end as u64 > gap.from && (cut || !self.told.contains_key(&(b, l)))
            };
            assert!(body.lines.iter().enumerate().any(missing), "nothing of {gap:?} (body {b}) is missing");
        }
    }
}

fn play(seed: u64) {
    let mut history = History::new(seed);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // What rotated before the first look is not the source's business.
        history.look(u64::MAX, true);
        for _ in 0..(8 + history.dice.below(40)) {
            history.step();
        }
        history.finish();
    }));
    if outcome.is_err() {
        let log = history.log.join("\n  ");
        let mut files = String::new();
        for file in &history.position.files {
            files.push_str(&format!("\n  {file:?}"));
        }
        panic!("history {seed} (TANDEM_TAIL_SEED={seed} TANDEM_TAIL_HISTORIES=1):\n  {log}\nposition:{files}");
    }
}

/// A quarter of all, so that they run side by side.
fn quarter(number: u64) {
    let all = setting("TANDEM_TAIL_HISTORIES", 2_000);
    let seed = setting("TANDEM_TAIL_SEED", 1);
    (seed..seed + all).filter(|seed| seed % 4 == number).for_each(play);
}

#[test]
fn nothing_is_lost_or_doubled_0() {
    quarter(0);
}

#[test]
fn nothing_is_lost_or_doubled_1() {
    quarter(1);
}

#[test]
fn nothing_is_lost_or_doubled_2() {
    quarter(2);
}

#[test]
fn nothing_is_lost_or_doubled_3() {
    quarter(3);
}
