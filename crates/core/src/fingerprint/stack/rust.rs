//! Rust panics in the old and the new form, with or without a backtrace, and the `Caused by` chains of error reports.

use super::{Exception, Frame, Language, Trace, field, location, some};

pub fn read(lines: &[&str]) -> Option<Trace> {
    let mut chain = match lines.iter().position(|l| l.contains("panicked at ")) {
        Some(at) => vec![panic(lines, at)?],
        None => chain(lines)?,
    };
    let frames = backtrace(lines);
    if let Some(root) = chain.last_mut()
        && !frames.is_empty()
    {
        root.frames = frames;
    }
    Some(Trace { language: Language::Rust, exceptions: chain })
}

/// `thread 'main' panicked at src/a.rs:1:2:` with the message below, or `… panicked at 'message', src/a.rs:1:2`.
fn panic(lines: &[&str], at: usize) -> Option<Exception> {
    let (head, rest) = lines[at].split_once("panicked at ")?;
    if !head.contains("thread ") && !head.trim().is_empty() {
        return None;
    }
    let rest = rest.trim();
    let (message, place) = match rest.strip_suffix(':') {
        Some(place) if location(place).is_some() => (lines.get(at + 1).map_or("", |l| l.trim()), place),
        _ => {
            // A message of several lines ends with its quote and the place on a later one.
            let last =
                lines[at..].iter().take(20).find(|l| l.rsplit_once("', ").is_some_and(|(_, p)| location(p).is_some()));
            match last.and_then(|l| l.rsplit_once("', ")) {
                Some((_, place)) => {
                    let first = rest.strip_prefix('\'').unwrap_or(rest);
                    (first.rsplit_once("', ").map_or(first, |(m, _)| m), place)
                }
                None => match location(rest) {
                    Some(_) => ("", rest),
                    None => return None,
                },
            }
        }
    };
    let (file, line, column) = location(place)?;
    let frame = Frame { file: some(file), line: Some(line), column, ..Frame::default() };
    Some(Exception { kind: "panic".into(), message: field(message), frames: vec![frame] })
}

/// `Error: outer`, a blank line, `Caused by:`, then `    0: inner` or one unnumbered line.
fn chain(lines: &[&str]) -> Option<Vec<Exception>> {
    let joint = lines.iter().position(|l| l.trim() == "Caused by:");
    let trace = lines.iter().position(|l| l.trim().eq_ignore_ascii_case("stack backtrace:"));
    let from = joint.or(trace)?;
    let outer = lines[..from].iter().rev().find(|l| !l.trim().is_empty())?.trim();
    let outer = outer.split_once("Error: ").map_or(outer, |(_, m)| m);
    let error = |message: &str| Exception { kind: "Error".into(), message: field(message), frames: Vec::new() };
    let mut chain = vec![error(outer)];
    if let Some(joint) = joint {
        for line in lines[joint + 1..].iter().take(super::bounds::EXCEPTIONS) {
            let text = line.trim();
            if text.is_empty() || super::indent(line) == 0 {
                break;
            }
            match text.split_once(": ") {
                Some((number, message)) if number.bytes().all(|b| b.is_ascii_digit()) => chain.push(error(message)),
                _ if chain.len() == 1 => chain.push(error(text)),
                // A further line of the same message.
                _ => {}
            }
        }
    }
    // Other languages say "Caused by:" too; an empty chain is not ours.
    (chain.len() > 1 || trace.is_some()).then_some(chain)
}

/// `   3: app::parse::{{closure}}` and below it `             at ./src/parse.rs:12:9`
fn backtrace(lines: &[&str]) -> Vec<Frame> {
    let Some(start) = lines.iter().position(|l| l.trim().eq_ignore_ascii_case("stack backtrace:")) else {
        return Vec::new();
    };
    let mut frames: Vec<Frame> = Vec::new();
    for line in lines[start + 1..].iter().take(super::bounds::FRAMES * 2) {
        let text = line.trim();
        if let Some(place) = text.strip_prefix("at ") {
            if let (Some(frame), Some((file, line, column))) = (frames.last_mut(), location(place)) {
                (frame.file, frame.line, frame.column) = (some(file), Some(line), column);
            }
            continue;
        }
        match text.split_once(": ") {
            Some((number, name)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
                // `RUST_BACKTRACE=full` puts the address before the name.
                let name = name.trim();
                let name = name.strip_prefix("0x").and_then(|n| n.split_once(" - ")).map_or(name, |(_, n)| n);
                frames.push(Frame { function: some(unhashed(name)), ..Frame::default() });
            }
            _ => break,
        }
    }
    frames
}

/// `app::main::h0123456789abcdef` without the hash of the build.
fn unhashed(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((head, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => head,
        _ => name,
    }
}
