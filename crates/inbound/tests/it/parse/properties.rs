//! For any bytes: no panic, the same answer twice, positions that only move forward.
//!
//! Run more cases with `TANDEM_PARSE_CASES=1000000 cargo nextest run -p tandem-inbound parse::properties`.

use proptest::prelude::*;

use super::*;

fn cases() -> ProptestConfig {
    let wanted = std::env::var("TANDEM_PARSE_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig { cases: wanted.unwrap_or(400), failure_persistence: None, ..ProptestConfig::default() }
}

/// Pieces of which logs are made, mended and broken.
const PIECES: [&str; 60] = [
    "ERROR",
    "error:",
    "[error]",
    " error ",
    "level=error",
    "\"level\":\"error\"",
    "\"level\":50",
    "\"level\": \"E\"",
    "{",
    "}",
    "{\"level\":\"info\"",
    ",\"msg\":\"x\"}",
    "\"severityNumber\":17",
    "\\u0065rror",
    "\"log\":\"",
    "\\n\",\"stream\":\"stderr\"}",
    "Traceback (most recent call last):",
    "  File \"a.py\", line 1, in f",
    "KeyError: 'x'",
    "During handling of the above exception, another exception occurred:",
    "\tat com.acme.A.b(A.java:1)",
    "Caused by: x.Y: z",
    "com.acme.Boom: x",
    "    at f (/a.js:1:2)",
    "panic: x",
    "goroutine 1 [running]:",
    "main.f(0x1)",
    "\t/a.go:1 +0x1",
    "exit status 2",
    "thread 'main' panicked at src/a.rs:1:2:",
    "stack backtrace:",
    "   0: a::b",
    "note: run",
    "a.rb:1:in `f': x (KeyError)",
    "\tfrom a.rb:2:in `g'",
    "fail: X[1]",
    "---> x",
    "   --- End of inner exception stack trace ---",
    "<11>",
    "E0101 01:02:03.000 1 a.go:1] ",
    "2026-01-02T03:04:05Z ",
    "Jan  2 03:04:05 h app[1]: ",
    "api-1  | ",
    "2026-01-02T03:04:05.1Z stderr F ",
    "\x1b[31m",
    "\x1b[0m",
    "é",
    "\u{feff}",
    "\\",
    "\"",
    "=",
    ":",
    " ",
    "\t",
    "no ",
    "0 ",
    "INFO ",
    "DETAIL:  x",
    "[SQL: x]",
    "  | ",
];

fn line() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(&PIECES[..]).prop_map(|p| p.as_bytes().to_vec()),
        2 => "[ -~]{0,12}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..5)
        .prop_map(|pieces| pieces.concat().into_iter().filter(|b| *b != b'\n').collect())
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(line(), 0..14).prop_map(|lines| {
        lines
            .into_iter()
            .flat_map(|mut line| {
                line.push(b'\n');
                line
            })
            .collect()
    })
}

fn minimum() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::Error), Just(Level::Warn)]
}

fn format() -> impl Strategy<Value = LogFormat> {
    prop_oneof![4 => Just(LogFormat::Auto), 1 => Just(LogFormat::Json), 1 => Just(LogFormat::Plaintext)]
}

proptest! {
    #![proptest_config(cases())]

    /// Ranges are in order and do not overlap, nothing told is held, what is held moves forward, and a restart from it
    /// finds the same.
    #[test]
    fn any_file_is_read(bytes in file(), minimum in minimum(), format in format(), cut in any::<prop::sample::Index>()) {
        let spec = FormatSpec::new(format, minimum);
        let all = lines(&bytes);
        let (mut assembler, mut out, mut decided) = (Assembler::new(&spec), Vec::new(), 0);
        let cut = cut.index(all.len() + 1);
        let mut resumed: Option<(u64, Vec<Found>)> = (cut == 0).then(|| (0, Vec::new()));
        for (n, line) in all.iter().enumerate() {
            assembler.push(line, NOW, &mut out);
            let now = assembler.held_from().unwrap_or(line.end);
            prop_assert!(decided <= now && now <= line.end);
            decided = now;
            if n + 1 == cut {
                resumed = Some((decided, out.clone()));
            }
        }
        assembler.finish(&mut out);
        prop_assert_eq!(assembler.held_from(), None);
        let mut end = 0;
        for found in &out {
            prop_assert!(end <= found.start && found.start < found.end, "{:?}", found);
            prop_assert!(found.level >= minimum && !found.message.is_empty());
            end = found.end;
        }
        prop_assert!(end <= bytes.len() as u64);
        let (from, mut again) = resumed.expect("the cut is one of the lines");
        let mut second = Assembler::new(&spec);
        for line in &all {
            if line.end <= from {
                second.remember(line);
            } else {
                second.push(line, NOW, &mut again);
            }
        }
        second.finish(&mut again);
        for found in out.iter_mut().chain(&mut again) {
            found.context.clear();
        }
        prop_assert_eq!(again, out);
    }

    /// Bytes of any kind, and times that jump.
    #[test]
    fn any_bytes_are_read(lines_of in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..8), steps in proptest::collection::vec(0_u64..9_000, 8)) {
        let (mut assembler, mut out) = (Assembler::new(&spec(Level::Warn)), Vec::new());
        let (mut start, mut now) = (0, 0);
        for (bytes, step) in lines_of.iter().zip(steps) {
            let end = start + bytes.len() as u64 + 1;
            assembler.push(&Line { start, end, bytes, truncated: bytes.len() > 60 }, now, &mut out);
            start = end;
            now += step;
            assembler.flush_due(now, &mut out);
        }
        assembler.finish(&mut out);
        for found in &out {
            let _ = found.submission();
        }
    }

    /// Whatever the gate keeps out, the parser would not have taken either.
    #[test]
    fn the_gate_keeps_no_failure_out(bytes in line(), minimum in minimum(), format in format()) {
        let spec = FormatSpec::new(format, minimum);
        let line = Line { start: 0, end: bytes.len() as u64 + 1, bytes: &bytes, truncated: false };
        let (mut gated, mut ungated) = (Vec::new(), Vec::new());
        let mut assembler = Assembler::new(&spec);
        assembler.push(&line, NOW, &mut gated);
        assembler.finish(&mut gated);
        let mut assembler = Assembler::without_gate(&spec);
        assembler.push(&line, NOW, &mut ungated);
        assembler.finish(&mut ungated);
        prop_assert_eq!(gated, ungated, "{:?}", String::from_utf8_lossy(&bytes));
    }
}
