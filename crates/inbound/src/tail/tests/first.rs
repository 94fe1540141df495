//! A first look that comes late: whoever looked before ended without storing what it saw.

use std::time::{Duration, UNIX_EPOCH};

use super::*;

impl World {
    /// The source is configured now: what is made later is younger, by the clock of the disk.
    fn configure(&mut self) {
        let born = |world: &Self, name: &str| {
            world.append(name, "");
            let file = fs::metadata(world.scratch.path(name)).expect("is there");
            let born = file.created().expect("has a time").duration_since(UNIX_EPOCH).expect("is past");
            world.remove(name);
            u64::try_from(born.as_millis()).expect("fits")
        };
        let since_ms = born(self, "clock") + 1;
        while born(self, "clock") < since_ms {
            std::thread::yield_now();
        }
        self.position = SourcePosition::since(&self.spec.path, since_ms);
        self.restart();
    }

    /// A look whose outcome nobody stores, and the end of its process.
    fn look_in_vain(&mut self) {
        let stored = self.position.clone();
        self.read_budget(Budget::bytes(0));
        self.position = stored;
        self.restart();
        self.sink.drain();
    }

    fn rotate(&self, text: &str) {
        for n in (1..5).rev().filter(|n| self.scratch.path(&format!("app.log.{n}")).exists()) {
            self.rename(&format!("app.log.{n}"), &format!("app.log.{}", n + 1));
        }
        self.rename("app.log", "app.log.1");
        self.append("app.log", text);
    }

    fn written_at(&self, name: &str, ms: u64) {
        let file = File::open(self.scratch.path(name)).expect("opens");
        file.set_modified(UNIX_EPOCH + Duration::from_millis(ms)).expect("sets the time");
    }
}

fn world(start: StartPosition) -> World {
    let mut world = World::with("app.log", start, Limits::default());
    world.append("app.log", "older\n");
    world.rotate("old\n");
    world.configure();
    world
}

#[test]
fn what_was_there_when_the_source_was_configured_is_read_though_it_is_rotated_before_the_first_look_is_stored() {
    for rotations in [1, 2] {
        let mut world = world(StartPosition::Beginning);
        world.look_in_vain();
        world.rotate("new\n");
        if rotations == 2 {
            world.rotate("newer\n");
        }
        let expected = ["old", "new", "newer"];
        assert_eq!(world.settle(), expected[..=rotations], "what was rotated before is not the source's business");
        world.restart();
        assert!(world.settle().is_empty());
    }
}

#[test]
fn what_was_rotated_and_nothing_took_its_place_is_read_too() {
    let mut world = world(StartPosition::Beginning);
    world.look_in_vain();
    world.rotate("");
    world.remove("app.log");
    assert_eq!(world.settle(), ["old"]);
    world.append("app.log", "new\n");
    assert_eq!(world.settle(), ["new"]);
}

#[test]
fn at_the_end_begins_only_what_was_there_when_the_source_was_configured() {
    let mut world = world(StartPosition::End);
    world.look_in_vain();
    world.rotate("new\n");
    world.rotate("newer\n");
    let progress = world.read();
    assert_eq!(world.sink.drain(), ["new", "newer"]);
    assert!(progress.gaps.is_empty());
}

#[test]
fn what_was_written_before_the_start_at_the_end_was_stored_is_told_of() {
    for rotated in [false, true] {
        let mut world = world(StartPosition::End);
        world.look_in_vain();
        world.append("app.log", "who knows when\n");
        let since_ms = world.position.since_ms;
        world.written_at("app.log", since_ms + 60_000);
        if rotated {
            world.rotate("new\n");
        }
        let progress = world.read();
        assert_eq!(world.sink.drain().len(), usize::from(rotated));
        let gap = &progress.gaps[0];
        assert_eq!((gap.reason, gap.to, progress.gaps.len()), (GapReason::BeforeStart, None, 1), "rotated {rotated}");
    }
}

#[test]
fn a_copy_that_was_made_before_the_first_look_is_read_once() {
    for truncated in [false, true] {
        let mut world = world(StartPosition::Beginning);
        world.look_in_vain();
        world.rename("app.log.1", "app.log.2");
        world.copy("app.log", "app.log.1");
        if truncated {
            world.truncate("app.log");
            world.append("app.log", "new\n");
        }
        let expected = if truncated { vec!["old", "new"] } else { vec!["old"] };
        assert_eq!(world.settle(), expected);
        world.restart();
        assert!(world.settle().is_empty());
    }
}

#[test]
fn a_call_without_budget_only_looks() {
    let mut world = world(StartPosition::Beginning);
    let progress = world.read_budget(Budget::bytes(0));
    assert!(progress.more && progress.bytes_read == 0 && progress.lag_bytes == 4);
    assert!(world.sink.drain().is_empty() && world.position.started_at_ms > 0);
    assert_eq!(world.lines(), ["old"]);
}
