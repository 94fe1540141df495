//! A process that tails, and stores its position together with what it found, killed again and again while the log is
//! written, rotated and packed.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    ops::ControlFlow,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};
use serde::{Deserialize, Serialize};
use tandem_core::{
    config::StartPosition,
    source::file::{FileState, SourcePosition},
};
use tandem_inbound::{
    Line,
    tail::{Budget, Limits, Sink, SourceSpec, Tailer, Verdict},
};

use crate::world::{Dice, Scratch, now_ms, setting};

/// Set in the child: the directory that it works in.
const CHILD: &str = "TANDEM_TAIL_CHILD";

/// What one commit of the child replaces, whole.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    position: SourcePosition,
    told: Vec<u64>,
    gaps: usize,
}

struct Numbers(Vec<u64>);

impl Sink for Numbers {
    fn start(&mut self, _: &FileState) {}

    fn line(&mut self, _: &FileState, line: Line<'_>) -> ControlFlow<()> {
        let text = std::str::from_utf8(line.bytes).expect("digits");
        self.0.push(text[..9].parse().expect("a number"));
        ControlFlow::Continue(())
    }

    fn unfinished(&mut self, _: &FileState, _: Line<'_>) -> Verdict {
        Verdict::Wait
    }

    fn end(&mut self, _: &FileState) {}

    fn held_from(&self, _: &FileState) -> Option<u64> {
        None
    }
}

fn load(directory: &Path) -> Stored {
    match fs::read(directory.join("stored.json")) {
        Ok(bytes) => serde_json::from_slice(&bytes).expect("a whole file"),
        Err(_) => Stored { position: SourcePosition::new("app.log"), ..Stored::default() },
    }
}

/// Tails until it is killed.
fn child(directory: &Path) {
    let start = if directory.join("end").exists() { StartPosition::End } else { StartPosition::Beginning };
    let spec =
        SourceSpec { root: directory.join("logs"), path: "app.log".to_owned(), start, limits: Limits::default() };
    let mut tailer = Tailer::open(spec).expect("opens");
    let mut stored = load(directory);
    if directory.join("hold").exists() {
        // It looks, and dies before it can store what it saw.
        tailer.read(&mut stored.position, now_ms(), &Budget::bytes(0), &mut Numbers(Vec::new())).expect("looks");
        fs::write(directory.join("looked"), "").expect("writes");
        loop {
            std::thread::park();
        }
    }
    loop {
        let mut numbers = Numbers(Vec::new());
        let budget = Budget::bytes(20_000);
        let progress = tailer.read(&mut stored.position, now_ms(), &budget, &mut numbers).expect("reads");
        stored.told.append(&mut numbers.0);
        stored.gaps += progress.gaps.len();
        let fresh = directory.join("stored.new");
        fs::write(&fresh, serde_json::to_vec(&stored).expect("serialises")).expect("writes");
        fs::rename(&fresh, directory.join("stored.json")).expect("renames");
        tailer.stored();
    }
}

fn start(directory: &Path) -> Child {
    let this = std::env::current_exe().expect("this test");
    let name = "killed::a_process_that_is_killed_loses_and_doubles_nothing";
    let mut command = Command::new(this);
    command.args(["--exact", name, "--nocapture"]).env(CHILD, directory);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
}

/// Rotates as is usual: older ones move up, the newest of them is packed.
fn rotate(logs: &Path, dice: &mut Dice) {
    let name = |n: usize, end: &str| logs.join(format!("app.log.{n}{end}"));
    for n in (1..400).rev() {
        for end in ["", ".gz"] {
            if name(n, end).exists() {
                fs::rename(name(n, end), name(n + 1, end)).expect("renames");
            }
        }
    }
    fs::rename(logs.join("app.log"), name(1, "")).expect("renames");
    if dice.one_in(2) && name(2, "").exists() {
        let mut encoder = GzEncoder::new(File::create(name(2, ".gz")).expect("creates"), Compression::fast());
        encoder.write_all(&fs::read(name(2, "")).expect("reads")).expect("packs");
        encoder.finish().expect("packs");
        fs::remove_file(name(2, "")).expect("removes");
    }
}

/// Waits for what another process does.
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// When a file was born, by the clock of the disk.
fn born_ms(path: &Path) -> u64 {
    let born = fs::metadata(path).and_then(|file| file.created()).expect("has a time of birth");
    u64::try_from(born.duration_since(UNIX_EPOCH).expect("is past").as_millis()).expect("fits")
}

#[test]
fn what_is_rotated_between_the_first_look_and_its_commit_is_not_lost_with_the_process() {
    for (from_end, expected) in [(false, vec![1, 2, 3]), (true, vec![2, 3])] {
        let scratch = Scratch::new("killed-first");
        let (logs, current) = (scratch.path("logs"), scratch.path("logs/app.log"));
        fs::create_dir(&logs).expect("creates");
        // Before the source was configured.
        fs::write(logs.join("app.log.1"), "000000000\n").expect("writes");
        fs::write(&current, "000000001\n").expect("writes");
        let since_ms = born_ms(&current) + 1;
        let position = SourcePosition::since("app.log", since_ms);
        let stored = Stored { position, ..Stored::default() };
        fs::write(scratch.path("stored.json"), serde_json::to_vec(&stored).expect("serialises")).expect("writes");
        for name in ["end", "hold"].iter().filter(|name| from_end || **name != "end") {
            fs::write(scratch.path(name), "").expect("writes");
        }
        let mut process = start(scratch.root());
        wait_for("it does not look", || scratch.path("looked").exists());
        for (from, to) in [("app.log.1", "app.log.2"), ("app.log", "app.log.1")] {
            fs::rename(logs.join(from), logs.join(to)).expect("renames");
        }
        // The clock of the disk has ticked since.
        wait_for("the clock stands still", || {
            fs::write(logs.join("next"), "000000002\n").expect("writes");
            let ticked = born_ms(&logs.join("next")) >= since_ms;
            if ticked {
                fs::rename(logs.join("next"), &current).expect("renames");
            } else {
                fs::remove_file(logs.join("next")).expect("removes");
            }
            ticked
        });
        process.kill().expect("kills");
        process.wait().expect("ends");
        fs::remove_file(scratch.path("hold")).expect("removes");
        let mut process = start(scratch.root());
        let told = || load(scratch.root()).told;
        wait_for("it does not read", || told().contains(&2));
        let mut file = OpenOptions::new().append(true).open(&current).expect("opens");
        file.write_all(b"000000003\n").expect("writes");
        wait_for("it does not read on", || told().contains(&3));
        process.kill().expect("kills");
        process.wait().expect("ends");
        let mut told = told();
        told.sort_unstable();
        assert_eq!(told, expected, "from the end: {from_end}");
    }
}

#[test]
fn a_process_that_is_killed_loses_and_doubles_nothing() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return child(Path::new(&directory));
    }
    let seed = setting("TANDEM_TAIL_SEED", 1);
    let kills = setting("TANDEM_TAIL_KILLS", 25);
    let mut dice = Dice::new(seed);
    let scratch = Scratch::new("killed");
    let logs = scratch.path("logs");
    fs::create_dir(&logs).expect("creates");
    let mut written = 0;
    // The first look finds nothing, so that whatever is rotated later is known to be later.
    let mut process = start(scratch.root());
    wait_for("the child does not start", || scratch.path("stored.json").exists());
    for _ in 0..kills {
        let until = Instant::now() + Duration::from_millis(10 + dice.below(80));
        while Instant::now() < until {
            let mut file = OpenOptions::new().create(true).append(true).open(logs.join("app.log")).expect("opens");
            for _ in 0..dice.below(400) {
                let line = format!("{written:09}{}\n", " x".repeat(dice.below(20) as usize));
                // In two pieces, sometimes, so that halves of lines are seen.
                let cut = dice.below(line.len() as u64) as usize;
                file.write_all(&line.as_bytes()[..cut]).expect("writes");
                file.write_all(&line.as_bytes()[cut..]).expect("writes");
                written += 1;
            }
            if dice.one_in(3) {
                rotate(&logs, &mut dice);
            }
            std::thread::sleep(Duration::from_millis(dice.below(8)));
        }
        process.kill().expect("kills");
        process.wait().expect("ends");
        process = start(scratch.root());
    }
    let deadline = Instant::now() + Duration::from_secs(120);
    let told = loop {
        let told = load(scratch.root()).told;
        if told.len() as u64 >= written || Instant::now() > deadline {
            break told;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    process.kill().expect("kills");
    process.wait().expect("ends");
    let mut sorted = told;
    sorted.sort_unstable();
    let doubled: Vec<_> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).take(5).collect();
    let missing: Vec<_> = (0..written).filter(|number| sorted.binary_search(number).is_err()).take(5).collect();
    let gaps = load(scratch.root()).gaps;
    assert!(
        doubled.is_empty() && missing.is_empty(),
        "seed {seed}: doubled {doubled:?}, missing {missing:?}, {gaps} gaps"
    );
}
