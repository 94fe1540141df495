//! Files that grow while they are read: wherever a write ends, the same failures are found, each once.

use std::{collections::HashMap, fs, io::Write as _, ops::ControlFlow, path::PathBuf};

use tandem_core::{
    config::StartPosition,
    source::file::{FileState, SourcePosition},
};
use tandem_inbound::tail::{Budget, Limits, Sink, SourceSpec, Tailer, Verdict};

use super::{logs::ALL, *};

/// An assembler for each body, as whoever follows a source has them.
#[derive(Default)]
struct Reading {
    assemblers: HashMap<u64, Assembler>,
    found: Vec<Found>,
}

impl Sink for Reading {
    fn start(&mut self, file: &FileState) {
        self.assemblers.insert(file.generation, Assembler::new(&spec(Level::Error)));
    }

    fn line(&mut self, file: &FileState, line: Line<'_>) -> ControlFlow<()> {
        let assembler = self.assemblers.get_mut(&file.generation).expect("it was started");
        assembler.push(&line, NOW, &mut self.found);
        ControlFlow::Continue(())
    }

    fn unfinished(&mut self, _: &FileState, _: Line<'_>) -> Verdict {
        Verdict::Wait
    }

    fn end(&mut self, file: &FileState) {
        if let Some(mut assembler) = self.assemblers.remove(&file.generation) {
            assembler.finish(&mut self.found);
        }
    }

    fn held_from(&self, file: &FileState) -> Option<u64> {
        self.assemblers.get(&file.generation).and_then(Assembler::held_from)
    }
}

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-parse-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("creates a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is found when the file is written in two pieces and read behind each; with `restart`, by two processes.
fn in_two(directory: &Directory, bytes: &[u8], cut: usize, restart: bool) -> Vec<Found> {
    let path = directory.0.join("app.log");
    let _ = fs::remove_file(&path);
    let source = || SourceSpec {
        root: directory.0.clone(),
        path: "app.log".into(),
        start: StartPosition::Beginning,
        limits: Limits::default(),
    };
    let mut tailer = Tailer::open(source()).expect("the path is fine");
    let (mut position, mut reading) = (SourcePosition::new("app.log"), Reading::default());
    let budget = Budget::bytes(1 << 20);
    let mut file = fs::File::create(&path).expect("creates the file");
    file.write_all(&bytes[..cut]).expect("writes");
    tailer.read(&mut position, NOW, &budget, &mut reading).expect("reads");
    file.write_all(&bytes[cut..]).expect("writes");
    if restart {
        tailer = Tailer::open(source()).expect("the path is fine");
        reading = Reading { found: reading.found, ..Reading::default() };
    }
    while tailer.read(&mut position, NOW + 600, &budget, &mut reading).expect("reads").more {}
    for assembler in reading.assemblers.values_mut() {
        assembler.finish(&mut reading.found);
    }
    let mut found = reading.found;
    for found in &mut found {
        found.context.clear();
    }
    found
}

/// A little of everything, with characters of several bytes and bytes that are none.
const MIXED: &[u8] = b"2026-03-14 09:12:01 INFO \xc3\xa4rger\n\
    2026-03-14 09:12:02 ERROR \xe2\x82\xac 5 \xff are missing\n\
    Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError: '\xf0\x9f\x98\x80'\n\n\
    The above exception was the direct cause of the following exception:\n\n\
    Traceback (most recent call last):\n  File \"a.py\", line 3, in g\nValueError: y\n\
    {\"level\":\"error\",\"msg\":\"\xc3\xa4\\u00e4\"}\n\
    Exception in thread \"main\" com.acme.Boom: x\n\tat com.acme.A.b(A.java:1)\nCaused by: java.io.IOException: y\n\t... 1 more\n\
    panic: x\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/a.go:1 +0x1\nexit status 2\n\
    thread 'main' panicked at src/a.rs:1:2:\nboom\nnote: run with `RUST_BACKTRACE=1`\n";

#[test]
fn a_write_may_end_at_any_byte() {
    let directory = Directory::new("bytes");
    let whole = in_two(&directory, MIXED, 0, false);
    assert_eq!(whole.len(), 5, "{}", shown(&whole, MIXED));
    for cut in 0..=MIXED.len() {
        // Going on in the same process is the easier half, so fewer cuts do for it.
        for restart in [true, false].into_iter().take(1 + usize::from(cut % 5 == 0)) {
            assert_eq!(in_two(&directory, MIXED, cut, restart), whole, "cut at byte {cut}, restart {restart}");
        }
    }
}

#[test]
fn a_write_may_end_in_any_line_of_any_log() {
    let directory = Directory::new("logs");
    for (name, log, _) in ALL {
        let whole = in_two(&directory, log.as_bytes(), 0, false);
        for (n, line) in lines(log.as_bytes()).iter().enumerate() {
            let cut = if n % 2 == 0 { line.end - 1 } else { (line.start + line.end) / 2 };
            let cut = usize::try_from(cut).expect("a small file");
            assert_eq!(in_two(&directory, log.as_bytes(), cut, true), whole, "{name} cut at byte {cut}");
        }
    }
}
