//! Lines to failures, on logs as programs write them.

mod cuts;
mod fields;
mod files;
mod grouping;
mod logs;
mod properties;

use tandem_core::config::LogFormat;
use tandem_inbound::{
    Line,
    parse::{Assembler, FormatSpec, Found, Level},
};

/// 2026-03-14T09:13:00Z
pub const NOW: u64 = 1_773_479_580_000;

pub fn spec(minimum: Level) -> FormatSpec {
    FormatSpec::new(LogFormat::Auto, minimum)
}

/// The complete lines of a file.
pub fn lines(bytes: &[u8]) -> Vec<Line<'_>> {
    let mut start = 0;
    bytes
        .split_inclusive(|b| *b == b'\n')
        .filter(|line| line.ends_with(b"\n"))
        .map(|line| {
            let end = start + line.len() as u64;
            let found = Line { start, end, bytes: &line[..line.len() - 1], truncated: false };
            start = end;
            found
        })
        .collect()
}

/// Everything that is found in a file which is read at once.
pub fn read(spec: &FormatSpec, bytes: &[u8]) -> Vec<Found> {
    let (mut assembler, mut out) = (Assembler::new(spec), Vec::new());
    for line in lines(bytes) {
        assembler.push(&line, NOW, &mut out);
    }
    assembler.finish(&mut out);
    assert_eq!(assembler.held_from(), None);
    out
}

/// What is found in a text, with the usual settings.
pub fn failures(text: &str) -> Vec<Found> {
    read(&spec(Level::Error), text.as_bytes())
}

/// `first-last level type | message` of each failure, lines counted from 1.
pub fn shown(found: &[Found], bytes: &[u8]) -> String {
    let count = |to: u64| bytes[..to as usize].iter().filter(|b| **b == b'\n').count();
    let row = |f: &Found| {
        let kind = f.error_type.as_deref().unwrap_or("-");
        format!("{}-{} {} {kind} | {}\n", count(f.start) + 1, count(f.end), f.level.word(), f.message)
    };
    found.iter().map(row).collect()
}
