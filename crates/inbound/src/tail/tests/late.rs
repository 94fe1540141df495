//! What is written to a file of which nothing more was expected.

use super::*;

impl World {
    /// A file that was rotated, read, and quiet for long enough.
    fn rotated(limits: Limits) -> Self {
        let mut world = Self::with("app.log", StartPosition::Beginning, limits);
        world.append("app.log", "a\n");
        world.read();
        world.rename("app.log", "app.log.1");
        world.append("app.log", "b\n");
        assert_eq!(world.settle(), ["a", "b"]);
        assert!(world.position.files[0].finished);
        world.tailer.stored();
        world.read();
        world
    }
}

#[test]
fn late_words_are_read_though_their_file_is_deleted_meanwhile() {
    for restart in [false, true] {
        let mut world = World::rotated(Limits::default());
        if restart {
            world.restart();
            world.read();
            world.tailer.stored();
        }
        let mut writer = OpenOptions::new().append(true).open(world.scratch.path("app.log.1")).expect("opens");
        world.later(60_000);
        writer.write_all(b"late\n").expect("writes");
        world.remove("app.log.1");
        writer.write_all(b"later\n").expect("writes");
        let stored = world.position.clone();
        // A step that is not stored is made again.
        for _ in 0..2 {
            world.position = stored.clone();
            world.tailer.rewind();
            let progress = world.read();
            assert_eq!(world.sink.drain(), ["late", "later"], "restart {restart}");
            assert!(progress.gaps.is_empty());
        }
        world.later(6_000);
        assert!(world.read().ended);
        world.tailer.stored();
        let progress = world.read();
        assert!(progress.gaps.is_empty() && world.sink.drain().is_empty());
        assert_eq!(world.position.files.len(), 1);
        world.tailer.stored();
        assert!(world.tailer.ended.is_empty(), "nothing that is gone is kept open");
    }
}

#[test]
fn what_ended_and_went_while_nobody_had_it_open_may_lack_something() {
    for crowded in [false, true] {
        let open = if crowded { 1 } else { 64 };
        let mut world = World::rotated(Limits { open, ..Limits::default() });
        world.append("app.log.1", "late\n");
        if !crowded {
            world.restart();
        }
        world.remove("app.log.1");
        let progress = world.read();
        assert!(world.sink.drain().is_empty());
        let gap = &progress.gaps[0];
        assert_eq!((gap.reason, gap.from, gap.to, gap.generation), (GapReason::Gone, 2, None, 1), "crowded {crowded}");
        assert_eq!((progress.gaps.len(), world.position.files.len()), (1, 1));
    }
}

#[test]
fn what_ended_and_was_packed_while_nobody_had_it_open_may_lack_something() {
    for (restart, gaps) in [(false, 0), (true, 1)] {
        let mut world = World::rotated(Limits::default());
        if restart {
            world.restart();
        }
        world.gzip("app.log.1");
        let progress = world.read();
        assert_eq!((progress.gaps.len(), world.sink.drain().len()), (gaps, 0), "restart {restart}");
        world.tailer.stored();
        world.restart();
        // Nobody writes to what is packed.
        world.remove("app.log.1.gz");
        assert!(world.read().gaps.is_empty());
        assert_eq!(world.position.files.len(), 1);
    }
}

#[test]
fn what_is_packed_while_it_is_read_is_not_read_from_both() {
    let mut world = World::with("app.log*", StartPosition::Beginning, Limits::default());
    let text: String = (0..40).map(|n| format!("line {n}\n")).collect();
    world.append("app.log", &text);
    world.rename("app.log", "app.log.1");
    world.read_budget(Budget::bytes(50));
    world.append("app.log", "d");
    world.gzip("app.log.1");
    world.rename("app.log.1.gz", "app.log.2.gz");
    world.rename("app.log", "app.log.1");
    world.read();
    world.later(10_000);
    world.read();
    assert_eq!(world.sink.drain().len(), 40, "the last line has no end yet");
    world.restart();
    assert!(world.settle().is_empty());
}

#[test]
fn a_packed_copy_that_lacks_the_last_words_is_not_read_again() {
    let mut world = World::new("app.log");
    let text: String = (0..200).map(|n| format!("line {n}\n")).collect();
    world.append("app.log", &text);
    world.read();
    world.rename("app.log", "app.log.1");
    world.copy("app.log.1", "copy");
    world.append("app.log", "new\n");
    world.append("app.log.1", "late\n");
    assert_eq!(world.settle().len(), 202);
    world.restart();
    world.gzip("copy");
    world.rename("copy.gz", "app.log.1.gz");
    world.remove("app.log.1");
    assert!(world.settle().is_empty());
    assert_eq!(world.position.files.iter().filter(|file| file.compressed).count(), 1, "it is known");
}

#[test]
fn nobody_writes_to_a_copy() {
    let mut world = World::new("app.log");
    world.append("app.log", "a\n");
    assert_eq!(world.lines(), ["a"]);
    world.copy("app.log", "app.log.1");
    world.truncate("app.log");
    assert_eq!(world.read().gaps.len(), 1, "what came between copy and truncation is not known");
    world.append("app.log", "b\n");
    assert_eq!(world.settle(), ["b"]);
    world.restart();
    world.remove("app.log.1");
    assert!(world.read().gaps.is_empty());
    assert_eq!(world.position.files.len(), 1);
}

#[test]
fn those_that_are_read_are_open_before_those_that_ended() {
    let mut world = World::with("*.log", StartPosition::Beginning, Limits { open: 4, ..Limits::default() });
    for n in 0..6 {
        world.append("app.log", format!("{n}\n"));
        world.read();
        for n in (1..6).rev().filter(|n| world.scratch.path(&format!("app.log.{n}")).exists()) {
            world.rename(&format!("app.log.{n}"), &format!("app.log.{}", n + 1));
        }
        world.rename("app.log", "app.log.1");
    }
    for name in ["app.log", "b.log"] {
        world.append(name, "x\n");
    }
    world.settle();
    world.tailer.stored();
    assert_eq!((world.tailer.open_texts(), world.tailer.ended.len()), (2, 2));
    world.restart();
    world.read();
    assert_eq!((world.tailer.open_texts(), world.tailer.ended.len()), (2, 2));
    let watched: Vec<_> = world.tailer.ended.keys().copied().collect();
    assert!(watched.iter().all(|generation| [5, 6].contains(generation)), "the newest: {watched:?}");
    for name in ["c.log", "d.log"] {
        world.append(name, "x\n");
    }
    world.read();
    world.tailer.stored();
    assert_eq!((world.tailer.open_texts(), world.tailer.ended.len()), (4, 0));
}

#[test]
fn a_copy_that_lacks_what_was_read_of_its_original_is_not_read_again() {
    for (restart, packed) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new("app.log");
        world.append("app.log", "a\nb\n");
        assert_eq!(world.lines(), ["a", "b"]);
        world.copy("app.log", "app.log.1");
        // Its writer goes on before it is truncated, and that is read.
        world.append("app.log", "c\n");
        assert_eq!(world.lines(), ["c"]);
        world.truncate("app.log");
        if packed {
            world.gzip("app.log.1");
        }
        world.append("app.log", "d\n");
        if restart {
            world.restart();
        }
        let progress = world.read();
        assert_eq!(world.sink.drain(), ["d"], "restart {restart} packed {packed}");
        assert_eq!((progress.gaps.len(), progress.gaps[0].from, progress.gaps[0].to), (1, 6, None));
        assert!(world.settle().is_empty());
        world.restart();
        assert!(world.settle().is_empty());
        assert_eq!(world.position.files.len(), 2);
    }
}

#[test]
fn what_was_held_when_its_process_ended_is_read_from_the_copy() {
    let mut world = World::new("app.log");
    world.append("app.log", "a\nheld\n");
    world.sink.held.insert(1, 2);
    world.read();
    world.copy("app.log", "app.log.1");
    world.append("app.log", "also held\n");
    world.read();
    world.truncate("app.log");
    world.append("app.log", "b\n");
    world.restart();
    world.sink = Collect::default();
    let progress = world.read();
    world.later(10_000);
    world.read();
    let mut seen = world.sink.drain();
    seen.sort();
    assert_eq!(seen, ["b", "held"]);
    assert_eq!((progress.gaps.len(), progress.gaps[0].from, progress.gaps[0].to), (1, 7, Some(17)));
    assert!(world.settle().is_empty());
}

#[test]
fn a_packed_file_that_lacks_the_last_words_is_not_read_again() {
    let mut world = World::new("app.log");
    // Long enough to be known by its first bytes alone.
    let long = "a".repeat(2_000);
    world.append("app.log", format!("{long}\n"));
    assert_eq!(world.lines(), [long]);
    world.rename("app.log", "app.log.1");
    assert!(world.settle().is_empty());
    let mut writer = OpenOptions::new().append(true).open(world.scratch.path("app.log.1")).expect("opens");
    world.gzip("app.log.1");
    writer.write_all(b"late\n").expect("writes");
    assert_eq!(world.lines(), ["late"]);
    assert!(world.settle().is_empty());
    world.tailer.stored();
    assert!(world.settle().is_empty());
    world.restart();
    assert!(world.settle().is_empty());
    assert!(world.position.files.iter().any(|file| file.compressed && file.finished));
}
