mod first;
mod late;

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::MetadataExt,
};

use flate2::{Compression, write::GzEncoder};
use tandem_core::{
    config::StartPosition,
    source::file::{Fault, GapReason, SourcePosition},
};

use super::{
    Budget, Lag, Limits, Progress, SourceSpec, Tailer, lag, slice,
    testing::{Collect, Scratch, now_ms},
};

/// A directory, a tailer over it, and what it has stored.
struct World {
    scratch: Scratch,
    spec: SourceSpec,
    tailer: Tailer,
    position: SourcePosition,
    sink: Collect,
    now: u64,
}

impl World {
    fn with(path: &str, start: StartPosition, limits: Limits) -> Self {
        let scratch = Scratch::new();
        let spec = SourceSpec { root: scratch.root().to_owned(), path: path.to_owned(), start, limits };
        let tailer = Tailer::open(spec.clone()).expect("opens");
        let position = SourcePosition::new(path);
        Self { scratch, spec, tailer, position, sink: Collect::default(), now: now_ms() }
    }

    fn new(path: &str) -> Self {
        Self::with(path, StartPosition::Beginning, Limits::default())
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.scratch.path(name)).expect("opens");
        file.write_all(text.as_ref()).expect("writes");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.scratch.path(from), self.scratch.path(to)).expect("renames");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.scratch.path(name)).expect("removes");
    }

    fn truncate(&self, name: &str) {
        OpenOptions::new().write(true).open(self.scratch.path(name)).expect("opens").set_len(0).expect("truncates");
    }

    fn copy(&self, from: &str, to: &str) {
        fs::copy(self.scratch.path(from), self.scratch.path(to)).expect("copies");
    }

    fn gzip(&self, name: &str) {
        let text = fs::read(self.scratch.path(name)).expect("reads");
        let mut encoder =
            GzEncoder::new(File::create(self.scratch.path(&format!("{name}.gz"))).expect("opens"), Compression::fast());
        encoder.write_all(&text).expect("packs");
        encoder.finish().expect("packs");
        self.remove(name);
    }

    fn read_budget(&mut self, budget: Budget) -> Progress {
        self.tailer.read(&mut self.position, self.now, &budget, &mut self.sink).expect("reads")
    }

    fn read(&mut self) -> Progress {
        self.read_budget(Budget::bytes(u64::MAX))
    }

    /// Reads everything, and what comes after all waiting.
    fn settle(&mut self) -> Vec<String> {
        self.read();
        self.later(10_000);
        self.read();
        self.sink.drain()
    }

    fn later(&mut self, ms: u64) {
        self.now += ms;
    }

    /// What a new process would do: nothing but the stored position is left.
    fn restart(&mut self) {
        let stored = serde_json::to_string(&self.position).expect("serialises");
        self.position = serde_json::from_str(&stored).expect("reads");
        self.tailer = Tailer::open(self.spec.clone()).expect("opens");
    }

    fn lines(&mut self) -> Vec<String> {
        self.read();
        self.sink.drain()
    }
}

#[test]
fn lines_come_once_with_their_offsets() {
    let mut world = World::new("app.log");
    world.append("app.log", "one\ntwo\r\n\nthr");
    let progress = world.read();
    let seen: Vec<_> = world.sink.lines.iter().map(|line| (line.start, line.end, line.bytes.clone())).collect();
    assert_eq!(seen, [(0, 4, b"one".to_vec()), (4, 9, b"two".to_vec()), (9, 10, b"".to_vec())]);
    assert_eq!((progress.bytes_read, progress.lag_bytes, progress.more), (13, 0, false));
    assert_eq!(world.position.files[0].offset, 10);
    assert!(progress.newest_data_at_ms.is_some_and(|at| at.abs_diff(now_ms()) < 60_000));
    world.sink.drain();
    assert!(world.lines().is_empty());
    world.append("app.log", "ee\nfour\n");
    assert_eq!(world.lines(), ["three", "four"]);
    assert_eq!(world.sink.started, [1]);
}

#[test]
fn bytes_that_are_no_text_shift_nothing() {
    let mut world = World::new("app.log");
    let mut content = b"\xff\xfe\x80 bad\n".to_vec();
    content.extend("é€😀\n".bytes());
    content.extend(b"half \xe2\x82\nlast\n");
    // One byte at a time: every character is cut at every place.
    for byte in &content {
        world.append("app.log", [*byte]);
        world.read();
    }
    let mut at = 0;
    for (line, expected) in world.sink.lines.iter().zip(content.split_inclusive(|&b| b == b'\n')) {
        assert_eq!((line.start, line.end), (at, at + expected.len() as u64));
        assert_eq!(line.bytes, expected[..expected.len() - 1]);
        at = line.end;
    }
    assert_eq!((world.sink.lines.len(), at), (4, content.len() as u64));
}

#[test]
fn a_line_that_is_too_long_is_cut_and_its_rest_is_skipped() {
    for limit in [10, 100, 300_000] {
        let mut world =
            World::with("app.log", StartPosition::Beginning, Limits { line_bytes: limit, ..Limits::default() });
        let long = "x".repeat(limit + 1);
        let huge = "y".repeat(3 * limit + 600_000);
        let exact = "z".repeat(limit);
        world.append("app.log", format!("a\n{long}\nb\n{exact}\n{huge}\nc\n"));
        world.read();
        let seen: Vec<_> = world.sink.lines.iter().map(|line| (line.bytes.len(), line.truncated)).collect();
        assert_eq!(seen, [(1, false), (limit, true), (1, false), (limit, false), (limit, true), (1, false)], "{limit}");
        let last = world.sink.lines.last().expect("a line").end;
        assert_eq!(last, fs::metadata(world.scratch.path("app.log")).expect("stats").len());
    }
}

#[test]
fn the_rest_of_a_cut_line_is_skipped_after_a_restart_too() {
    let mut world = World::with("app.log", StartPosition::Beginning, Limits { line_bytes: 8, ..Limits::default() });
    world.append("app.log", "0123456789 ERR");
    assert_eq!(world.lines(), ["01234567"]);
    assert!(world.position.files[0].inside);
    world.restart();
    world.append("app.log", "OR\nnext\n");
    assert_eq!(world.lines(), ["next"]);
}

#[test]
fn a_last_line_is_offered_when_it_is_quiet_and_never_told_twice() {
    for (take, after) in [(true, vec!["next"]), (false, vec!["panic: oh no", "next"])] {
        let mut world = World::new("app.log");
        world.sink.take_unfinished = take;
        world.append("app.log", "a\npanic: oh");
        let progress = world.read();
        assert_eq!(world.sink.drain(), ["a"]);
        assert_eq!(progress.due_at_ms, Some(world.now + 2_000));
        world.later(1_000);
        world.read();
        assert!(world.sink.unfinished.is_empty());
        world.later(1_000);
        let told = world.lines();
        assert_eq!(told, if take { vec!["panic: oh"] } else { vec![] });
        assert_eq!(world.read().due_at_ms, None);
        assert_eq!(world.position.files[0].offset, if take { 11 } else { 2 });
        world.later(9_000);
        assert!(world.lines().is_empty());
        assert_eq!(world.sink.unfinished.len(), 1, "it is offered once");
        world.restart();
        world.append("app.log", " no\nnext\n");
        assert_eq!(world.lines(), after);
    }
}

#[test]
fn the_start_position_counts_at_the_first_look_only() {
    let mut world = World::with("app.log", StartPosition::End, Limits::default());
    world.append("app.log", "old\nhal");
    world.append("app.log.1", "older\n");
    assert!(world.lines().is_empty());
    world.append("app.log", "f\nnew\n");
    // A line that was begun before belongs to before.
    assert_eq!(world.lines(), ["new"]);

    let mut world = World::with("app.log", StartPosition::End, Limits::default());
    assert_eq!(world.read().trouble[0].fault, Fault::NotFound);
    world.append("app.log", "later\n");
    assert_eq!(world.lines(), ["later"]);

    // Another path starts anew.
    world.append("other.log", "x\n");
    world.spec.path = "other.log".to_owned();
    world.restart();
    assert!(world.lines().is_empty());
    assert_eq!((world.position.path.as_str(), world.position.files.len()), ("other.log", 1));
    world.append("other.log", "y\n");
    assert_eq!(world.lines(), ["y"]);
}

#[test]
fn a_reset_reads_the_current_file_again() {
    let mut world = World::with("app.log", StartPosition::End, Limits::default());
    world.append("app.log.1", "older\n");
    world.append("app.log", "a\nb\n");
    assert!(world.lines().is_empty());
    for live in [true, false] {
        if !live {
            world.restart();
        }
        world.position.reset();
        assert_eq!(world.lines(), ["a", "b"]);
    }
    let mut world = World::with("app.log", StartPosition::End, Limits::default());
    world.append("app.log", "a\n");
    world.position.reset();
    assert_eq!(world.lines(), ["a"]);
}

#[test]
fn a_renamed_file_is_read_to_its_end() {
    for restart in [false, true] {
        let mut world = World::new("app.log");
        world.append("app.log", "a\n");
        assert_eq!(world.lines(), ["a"]);
        world.append("app.log", "b\n");
        world.rename("app.log", "app.log-20261121");
        world.append("app.log", "c\n");
        if restart {
            world.restart();
        }
        assert_eq!(world.lines(), ["b", "c"]);
        // Its writer has not noticed yet.
        world.append("app.log-20261121", "late\nlast");
        assert_eq!(world.lines(), ["late"]);
        world.later(5_000);
        assert_eq!(world.lines(), ["last"], "the end of a file that is over is a line");
        assert!(world.position.files[0].finished && !world.position.files[1].finished);
        assert_eq!(world.sink.ended, [1]);
        // Nor has it now; the line that was taken is done, what follows it is not.
        world.append("app.log-20261121", " words\nreally late\n");
        if restart {
            world.restart();
        }
        assert_eq!(world.settle(), ["really late"]);
        world.remove("app.log-20261121");
        world.read();
        assert_eq!(world.position.files.len(), 1);
    }
}

#[test]
fn generations_that_came_and_went_between_two_looks_are_read() {
    for (restart, packed) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new("app.log");
        world.append("app.log.1", "before our time\n");
        world.append("app.log", "a1\n");
        assert_eq!(world.lines(), ["a1"]);
        world.rename("app.log.1", "app.log.2");
        for text in ["b1\nb2\n", "c1\n", "d1\n"] {
            world.append("app.log", "rest\n");
            for n in (1..9).rev() {
                for end in ["", ".gz"] {
                    let name = |n| format!("app.log.{n}{end}");
                    if world.scratch.path(&name(n)).exists() {
                        world.rename(&name(n), &name(n + 1));
                    }
                }
            }
            world.rename("app.log", "app.log.1");
            if packed {
                world.gzip("app.log.1");
            }
            world.append("app.log", text);
        }
        if restart {
            world.restart();
        }
        let mut seen = world.settle();
        seen.sort();
        assert_eq!(seen, ["b1", "b2", "c1", "d1", "rest", "rest", "rest"], "restart {restart} packed {packed}");
        assert!(world.settle().is_empty());
        assert!(world.settle().is_empty());
    }
}

#[test]
fn a_deleted_file_is_read_to_its_end_while_it_is_open() {
    let mut world = World::new("app.log");
    world.append("app.log", "a\n");
    assert_eq!(world.lines(), ["a"]);
    world.append("app.log", "b\n");
    world.remove("app.log");
    world.append("app.log", "c\n");
    let progress = world.read();
    assert_eq!(world.sink.drain(), ["b", "c"]);
    assert!(progress.gaps.is_empty());
    assert!(world.settle().is_empty());
    assert_eq!(world.read().files, 1);
}

#[test]
fn what_was_deleted_while_nobody_watched_is_a_gap() {
    let mut world = World::new("app.log");
    world.append("app.log", "a\nb\n");
    world.sink.stop_after = Some(1);
    assert_eq!(world.lines(), ["a"]);
    world.sink.stop_after = None;
    // The same inode may be given again, so another file is made first.
    world.remove("app.log");
    world.append("app.log", "c\n");
    world.restart();
    let progress = world.read();
    assert_eq!(world.sink.drain(), ["c"]);
    let gap = &progress.gaps[0];
    assert_eq!((gap.from, gap.to, gap.generation), (2, Some(4), 1));
}

#[test]
fn a_reused_inode_is_another_file() {
    let mut world = World::new("app.log");
    world.append("app.log", "a\n");
    assert_eq!(world.lines(), ["a"]);
    let inode = fs::metadata(world.scratch.path("app.log")).expect("stats").ino();
    world.remove("app.log");
    world.append("app.log", "b\nc\n");
    world.restart();
    // Where the file system gave another inode, the position is told that it is the same.
    let now = fs::metadata(world.scratch.path("app.log")).expect("stats").ino();
    if inode != now {
        world.position.files[0].id.inode = now;
        world.position.files[0].id.born_ns = None;
    }
    assert_eq!(world.lines(), ["b", "c"]);
}

#[test]
fn truncation_in_place_is_noticed_even_when_the_file_has_grown_past_the_position() {
    for (rest, restart) in [("x\n", false), ("longer than before\nand more\n", false), ("longer than before\n", true)] {
        let mut world = World::new("app.log");
        world.append("app.log", "first\nsecond\n");
        assert_eq!(world.lines(), ["first", "second"]);
        world.append("app.log", "unread\n");
        world.truncate("app.log");
        world.append("app.log", rest);
        if restart {
            world.restart();
        }
        let progress = world.read();
        assert_eq!(world.sink.drain(), rest.lines().collect::<Vec<_>>(), "{rest}");
        assert_eq!(progress.gaps.len(), 1);
        let gap = &progress.gaps[0];
        assert_eq!((gap.reason, gap.from, gap.to, gap.generation), (GapReason::Truncated, 13, None, 1));
        assert_eq!(world.position.files[0].generation, 2);
    }
}

#[test]
fn the_copy_that_copytruncate_makes_has_the_unread_rest() {
    for (restart, packed) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new("app.log");
        world.append("app.log", "a\nb\n");
        assert_eq!(world.lines(), ["a", "b"]);
        world.append("app.log", "c\nd");
        world.copy("app.log", "app.log.1");
        // The copy alone is nothing new.
        if !restart {
            assert_eq!(world.lines(), ["c"]);
        }
        world.append("app.log", "e\n");
        world.truncate("app.log");
        if packed {
            world.gzip("app.log.1");
        }
        world.append("app.log", "after the truncation\n");
        if restart {
            world.restart();
        }
        let progress = world.read();
        world.later(10_000);
        world.read();
        let mut seen = world.sink.drain();
        seen.sort();
        // The `e` came between copy and truncation.
        let expected = if restart { vec!["after the truncation", "c", "d"] } else { vec!["after the truncation", "d"] };
        assert_eq!(seen, expected, "restart {restart} packed {packed}");
        assert_eq!((progress.gaps.len(), progress.gaps[0].to), (1, None));
        assert!(world.settle().is_empty());
    }
}

#[test]
fn holes_that_a_truncation_leaves_are_no_text() {
    let mut world = World::with("app.log", StartPosition::Beginning, Limits { line_bytes: 100, ..Limits::default() });
    let mut writer = File::create(world.scratch.path("app.log")).expect("creates");
    writer.write_all(&b"old line\n".repeat(100_000)).expect("writes");
    world.read();
    world.sink.drain();
    world.truncate("app.log");
    // The writer does not append: it goes on at its own place.
    writer.write_all(b"new line\nlast\n").expect("writes");
    world.read();
    let line = world.sink.lines[0].clone();
    assert_eq!((line.bytes.as_slice(), line.start, line.truncated), (&b"new line"[..], 900_000, false));
    assert_eq!(world.sink.drain(), ["new line", "last"]);
}

#[test]
fn packed_files_that_a_pattern_means_are_read_once() {
    let mut world = World::new("logs/*.log*");
    fs::create_dir(world.scratch.path("logs")).expect("creates");
    world.append("logs/a.log.2", "old 2\n");
    world.gzip("logs/a.log.2");
    world.append("logs/a.log.1", "old 1\n");
    world.append("logs/a.log", "current\n");
    world.append("logs/a.log.3.zst", "not read\n");
    let mut seen = world.settle();
    seen.sort();
    assert_eq!(seen, ["current", "old 1", "old 2"]);
    world.gzip("logs/a.log.1");
    world.rename("logs/a.log.2.gz", "logs/a.log.3.gz");
    world.rename("logs/a.log.1.gz", "logs/a.log.2.gz");
    world.rename("logs/a.log", "logs/a.log.1");
    world.append("logs/a.log", "newer\n");
    assert_eq!(world.settle(), ["newer"]);
    world.restart();
    assert!(world.settle().is_empty());
}

#[test]
fn a_packed_file_is_bounded_and_a_damaged_one_is_a_gap() {
    let limits = Limits { unpacked_bytes: 300_000, ..Limits::default() };
    let mut world = World::with("*.gz", StartPosition::Beginning, limits);
    world.append("big", "0123456789\n".repeat(100_000));
    world.gzip("big");
    let progress = world.read();
    assert_eq!(progress.gaps[0].reason, GapReason::CompressedTooLarge);
    assert!(world.sink.lines.len() * 11 < 1_000_000 && progress.gaps[0].from > 299_000);
    world.settle();

    world.append("cut", "0123456789\n".repeat(1_000));
    world.gzip("cut");
    let packed = fs::read(world.scratch.path("cut.gz")).expect("reads");
    fs::write(world.scratch.path("cut.gz"), &packed[..packed.len() - 10]).expect("writes");
    let progress = world.read();
    assert_eq!((progress.trouble[0].fault, progress.gaps.len()), (Fault::CompressedDamaged, 0));
    world.later(6_000);
    assert_eq!(world.read().gaps[0].reason, GapReason::CompressedDamaged);
    assert!(world.read().trouble.is_empty());
}

#[test]
fn a_packed_file_is_unpacked_once_however_often_it_is_read_on() {
    let limits = Limits { open: 1, ..Limits::default() };
    let mut world = World::with("*.gz", StartPosition::Beginning, limits);
    let text: String = (0..100_000).map(|n| format!("{n:09} {}\n", "x".repeat(n % 60))).collect();
    for name in ["a", "b", "c"] {
        world.append(name, &text);
        world.gzip(name);
    }
    let mut calls = 0;
    loop {
        // The receiver has enough in the middle of what was read, too.
        world.sink.stop_after = (calls % 3 == 0).then_some(7);
        calls += 1;
        if !world.read_budget(Budget::bytes(100_000)).more {
            break;
        }
    }
    let unpacked = super::text::UNPACKED.get();
    assert_eq!(world.sink.lines.len(), 300_000);
    assert!(calls > 40, "{calls}");
    assert!(unpacked < 4 * text.len() as u64, "{unpacked} bytes unpacked for 3 times {}", text.len());
}

#[test]
fn a_directory_that_goes_away_and_comes_back_is_known_again() {
    for (restart, replaced) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new("logs/app.log");
        let logs = world.scratch.path("logs");
        fs::create_dir(&logs).expect("creates");
        world.append("logs/app.log.1", "before our time\n");
        world.append("logs/app.log", "a\n");
        assert_eq!(world.lines(), ["a"]);
        world.append("logs/app.log", "b\n");
        fs::rename(&logs, world.scratch.path("away")).expect("renames");
        if replaced {
            // As where a volume was mounted.
            fs::create_dir(&logs).expect("creates");
        }
        if restart {
            world.restart();
        }
        let mut seen = Vec::new();
        for _ in 0..4 {
            let progress = world.read();
            assert!(progress.gaps.is_empty(), "{:?}", progress.gaps);
            assert_eq!(progress.trouble.first().map(|trouble| trouble.fault), Some(Fault::NotFound));
            seen.extend(world.sink.drain());
            world.later(20_000);
        }
        // What is open is read on.
        assert_eq!(seen.len(), usize::from(!restart));
        if replaced {
            fs::remove_dir(&logs).expect("removes");
        }
        fs::rename(world.scratch.path("away"), &logs).expect("renames");
        world.append("logs/app.log", "c\n");
        seen.extend(world.lines());
        assert_eq!(seen, ["b", "c"], "restart {restart} replaced {replaced}");
        assert!(world.settle().is_empty());
        assert!(world.position.files.iter().all(|file| file.away_since_ms.is_none()));
    }
}

#[test]
fn a_directory_that_stays_away_is_a_gap_in_the_end() {
    let mut world = World::new("logs/app.log");
    fs::create_dir(world.scratch.path("logs")).expect("creates");
    world.append("logs/app.log", "a\n");
    assert_eq!(world.lines(), ["a"]);
    world.append("logs/app.log", "b\n");
    fs::rename(world.scratch.path("logs"), world.scratch.path("away")).expect("renames");
    world.restart();
    assert!(world.read().gaps.is_empty());
    world.later(6 * 24 * 3_600_000);
    assert!(world.read().gaps.is_empty());
    world.later(2 * 24 * 3_600_000);
    let gap = &world.read().gaps[0];
    assert_eq!((gap.reason, gap.from), (GapReason::Gone, 2));
    assert!(world.position.files.is_empty());
}

#[test]
fn looking_at_what_rests_changes_nothing() {
    let mut world = World::new("*.log");
    world.append("a.log", "a\n");
    world.append("b.log", "b\nhalf");
    world.settle();
    let before = world.position.clone();
    for _ in 0..5 {
        world.later(60_000);
        world.read();
        assert_eq!(world.position, before);
    }
    // The age of what comes then is counted from the last look.
    world.append("a.log", "more\n".repeat(200_000));
    world.later(300);
    assert_eq!(world.read_budget(Budget::bytes(1)).oldest_unread_ms, Some(300));
}

#[test]
fn a_link_from_the_top_is_followed_where_it_stays_inside() {
    let mut world = World::new("current.log");
    world.append("one.log", "1\n");
    std::os::unix::fs::symlink(world.scratch.path("one.log"), world.scratch.path("current.log")).expect("links");
    let progress = world.read();
    assert_eq!((world.sink.drain(), progress.trouble.len()), (vec!["1".to_owned()], 0));
}

#[test]
fn the_text_before_the_place_is_shown_when_reading_goes_on() {
    let mut world = World::new("app.log");
    world.append("app.log", "a\nb\n");
    assert_eq!(world.lines(), ["a", "b"]);
    assert!(world.sink.remembered.is_empty());
    world.restart();
    world.append("app.log", "c\n");
    assert_eq!(world.lines(), ["c"]);
    assert_eq!(world.sink.remembered, [(0, b"a\nb\n".to_vec())]);
    let long = format!("{}\nlast\n", "x".repeat(20_000));
    world.append("app.log", &long);
    world.read();
    world.restart();
    world.read();
    assert_eq!(world.sink.remembered[1], (6 + long.len() as u64 - 5, b"last\n".to_vec()));
}

#[test]
fn a_step_reads_about_its_budget_and_is_fair() {
    let mut world = World::new("*.log");
    let line = format!("{}\n", "x".repeat(99));
    world.append("a.log", line.repeat(40_000));
    world.append("b.log", line.repeat(10));
    world.append("c.log", line.repeat(10));
    let progress = world.read_budget(Budget::bytes(1_000_000));
    let of = |world: &World, name: &str| world.sink.lines.iter().filter(|line| line.path == name).count();
    assert_eq!((of(&world, "b.log"), of(&world, "c.log")), (10, 10));
    assert!(progress.more && progress.lag_bytes > 2_000_000 && progress.bytes_read < 1_600_000);
    world.later(500);
    let mut calls = 1;
    while world.read_budget(Budget::bytes(1_000_000)).more {
        calls += 1;
    }
    assert_eq!(of(&world, "a.log"), 40_000);
    assert!((2..6).contains(&calls), "{calls}");
}

#[test]
fn lag_has_an_age() {
    let mut world = World::new("app.log");
    world.append("app.log", "a\n");
    let caught_up = world.read();
    assert_eq!((caught_up.lag_bytes, caught_up.oldest_unread_ms), (0, None));
    world.append("app.log", "b\n".repeat(300_000));
    world.later(700);
    let behind = world.read_budget(Budget::bytes(1));
    assert_eq!((behind.oldest_unread_ms, behind.more), (Some(700), true));
    assert!(behind.lag_bytes > 0 && behind.lag_bytes < 600_000);
}

#[test]
fn lag_grows_while_nobody_reads() {
    let mut world = World::new("app.log");
    world.append("app.log.1", "before our time\n");
    world.append("app.log", "a\n");
    let of = |world: &World| lag(&world.spec, &world.position, world.now).expect("the root is there");
    world.read();
    assert_eq!(of(&world), Lag::default());
    world.append("app.log", "bb\n");
    world.later(700);
    assert_eq!(of(&world), Lag { bytes: 3, oldest_unread_ms: Some(700) });
    world.rename("app.log.1", "app.log.2");
    world.rename("app.log", "app.log.1");
    world.append("app.log", "ccc\n");
    assert_eq!(of(&world).bytes, 7);
    world.gzip("app.log.2");
    world.read();
    assert_eq!(of(&world).bytes, 0);
    // One that starts at the end is behind nothing before it has begun.
    let spec = SourceSpec { start: StartPosition::End, ..world.spec.clone() };
    assert_eq!(lag(&spec, &SourcePosition::new("app.log"), 1), Ok(Lag::default()));
}

#[test]
fn a_receiver_that_has_enough_gets_the_rest_next_time() {
    let mut world = World::new("app.log");
    world.append("app.log", "a\nb\nc\n");
    world.sink.stop_after = Some(2);
    assert!(world.read().more);
    assert_eq!(world.sink.drain(), ["a", "b"]);
    world.sink.stop_after = None;
    world.restart();
    assert_eq!(world.lines(), ["c"]);
}

#[test]
fn what_is_held_is_read_again_after_a_restart_and_not_before() {
    let mut world = World::new("app.log");
    world.append("app.log", "a\nTraceback\n  File\n");
    world.sink.held.insert(1, 2);
    assert_eq!(world.lines().len(), 3);
    assert_eq!((world.position.files[0].offset, world.position.files[0].read.at), (2, 19));
    world.append("app.log", "  more\n");
    assert_eq!(world.lines(), ["  more"]);
    world.restart();
    assert_eq!(world.lines(), ["Traceback", "  File", "  more"]);
    // A lost commit: the position that was stored before comes back.
    world.sink.held.clear();
    let stored = world.position.clone();
    world.append("app.log", "end\n");
    assert_eq!(world.lines(), ["end"]);
    world.position = stored;
    assert_eq!(world.lines(), ["Traceback", "  File", "  more", "end"]);
    assert_eq!(world.sink.started, [1, 1, 1]);
}

#[test]
fn a_lost_commit_does_not_lose_a_deleted_file() {
    let mut world = World::new("app.log");
    world.append("app.log", "a\n");
    world.read();
    let stored = world.position.clone();
    world.append("app.log", "b\n");
    world.remove("app.log");
    assert_eq!(world.lines(), ["a", "b"]);
    world.position = stored;
    assert_eq!(world.lines(), ["b"]);
}

#[test]
fn files_are_capped_and_the_newest_are_read() {
    let mut world = World::with("*.log", StartPosition::Beginning, Limits { files: 3, open: 1, ..Limits::default() });
    for n in 0..5 {
        world.append(&format!("{n}.log"), format!("{n}\n"));
    }
    let progress = world.read();
    assert_eq!((progress.files, progress.trouble[0].fault), (3, Fault::TooManyFiles));
    assert_eq!(world.sink.drain().len(), 3);
    assert!(world.tailer.open_texts() <= 1);
    let followed: Vec<String> = world.position.files.iter().map(|file| file.path.clone()).collect();
    for name in &followed {
        world.append(name, "again\n");
    }
    assert_eq!(world.lines(), ["again", "again", "again"]);
    assert!(world.tailer.open_texts() <= 1);
}

#[test]
fn two_names_of_one_file_are_one() {
    let mut world = World::new("*.log");
    world.append("a.log", "a\n");
    fs::hard_link(world.scratch.path("a.log"), world.scratch.path("b.log")).expect("links");
    std::os::unix::fs::symlink("a.log", world.scratch.path("c.log")).expect("links");
    assert_eq!(world.lines(), ["a"]);
    assert_eq!(world.position.files.len(), 1);
}

#[test]
fn a_link_that_moves_on_is_a_rotation() {
    let mut world = World::new("current");
    world.append("one", "1\n");
    std::os::unix::fs::symlink("one", world.scratch.path("current")).expect("links");
    assert_eq!(world.lines(), ["1"]);
    world.append("one", "2\n");
    world.append("two", "3\n");
    world.remove("current");
    std::os::unix::fs::symlink("two", world.scratch.path("current")).expect("links");
    world.append("one", "4\n");
    assert_eq!(world.lines(), ["2", "4", "3"]);
}

#[test]
fn one_file_in_trouble_does_not_stop_another() {
    let mut world = World::new("*.log");
    world.append("good.log", "a\n");
    std::os::unix::fs::symlink("/etc/passwd", world.scratch.path("bad.log")).expect("links");
    let progress = world.read();
    assert_eq!(world.sink.drain(), ["a"]);
    assert_eq!((progress.trouble.len(), progress.trouble[0].fault), (1, Fault::OutsideRoot));
    let missing = SourceSpec { root: world.scratch.path("none"), ..world.spec.clone() };
    let mut tailer = Tailer::open(missing).expect("opens");
    let error = tailer.read(&mut SourcePosition::new("*.log"), 1, &Budget::bytes(1), &mut Collect::default());
    assert_eq!(error.map(|_| ()).map_err(|error| error.fault), Err(Fault::RootMissing));
    let outside = SourceSpec { path: "../x".to_owned(), ..world.spec.clone() };
    assert_eq!(Tailer::open(outside).map(|_| ()).map_err(|error| error.fault), Err(Fault::PatternInvalid));
}

#[test]
fn a_piece_is_read_again_wherever_it_is() {
    let mut world = World::new("app.log");
    world.append("app.log", "one\ntwo\nthree\n");
    world.read();
    let file = world.position.files[0].clone();
    let piece = |world: &World| slice(world.scratch.root(), "app.log", &file, 4, 8, 100);
    assert_eq!(piece(&world).expect("reads"), b"two\n");
    world.rename("app.log", "app.log.1");
    assert_eq!(piece(&world).expect("reads"), b"two\n");
    world.gzip("app.log.1");
    assert_eq!(piece(&world).expect("reads"), b"two\n");
    world.remove("app.log.1.gz");
    world.append("app.log", "another text that is longer\n");
    assert_eq!(piece(&world).map_err(|error| error.fault), Err(Fault::TextChanged));
    assert!(slice(world.scratch.root(), "app.log", &file, 8, 4, 100).is_err());
    assert!(slice(world.scratch.root(), "app.log", &file, 0, 400, 100).is_err());
}
