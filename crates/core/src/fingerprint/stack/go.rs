//! Go panics, fatal errors and goroutine dumps. The first goroutine is the one that failed.

use super::{Exception, Frame, Language, Trace, field, some};

pub fn read(lines: &[&str]) -> Option<Trace> {
    let dump = lines.iter().position(|l| goroutine(l));
    let bare = || (0..lines.len().saturating_sub(1)).find(|i| frame(lines[*i], lines[*i + 1]).is_some());
    let start = dump.or_else(bare)?;
    let mut frames = Vec::new();
    let mut at = start + usize::from(dump.is_some());
    while at + 1 < lines.len() && frames.len() < super::bounds::FRAMES {
        match frame(lines[at], lines[at + 1]) {
            Some(frame) => {
                frames.push(frame);
                at += 2;
            }
            None if lines[at].trim().starts_with("...") => at += 1,
            None => break,
        }
    }
    // What comes before the panic on the stack is the machinery that printed it.
    if let Some(panic) =
        frames.iter().rposition(|f| f.function.as_deref().is_some_and(|f| f == "panic" || f == "runtime.gopanic"))
    {
        frames.drain(..=panic);
    }
    let mut chain = panics(&lines[..start]);
    if chain.is_empty() {
        let message = lines[..start].iter().rev().find(|l| !l.trim().is_empty()).map_or("", |l| l.trim());
        chain.push(Exception { kind: "error".into(), message: field(message), frames: Vec::new() });
    }
    let told = !frames.is_empty() || chain.iter().any(|e| e.kind != "error");
    if let Some(root) = chain.last_mut() {
        root.frames = frames;
    }
    told.then_some(Trace { language: Language::Go, exceptions: chain })
}

fn goroutine(line: &str) -> bool {
    line.trim_start().strip_prefix("goroutine ").is_some_and(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && rest[digits..].contains('[') && rest.trim_end().ends_with("]:")
    })
}

/// The panics above the goroutine, last one first: a panic during a panic is printed below the one that began it.
fn panics(lines: &[&str]) -> Vec<Exception> {
    let from = lines.iter().rposition(|l| {
        let text = l.trim_start();
        (text.starts_with("panic: ") && text.len() == l.len())
            || l.contains("fatal error: ")
            || l.contains("panic serving ")
    });
    // A prefix may keep its indentation, so any panic will do when none stands at the margin.
    let Some(from) = from.or_else(|| lines.iter().position(|l| l.contains("panic: "))) else { return Vec::new() };
    let mut chain: Vec<Exception> = lines[from..].iter().take(200).filter_map(|l| panic(l)).collect();
    chain.reverse();
    chain
}

fn panic(line: &str) -> Option<Exception> {
    let text = line.trim();
    let (kind, message) = if let Some((_, message)) = text.split_once("panic serving ") {
        ("panic", message.split_once(": ").map_or(message, |(_, m)| m))
    } else if let Some((_, message)) = text.split_once("fatal error: ") {
        ("fatal error", message)
    } else if let Some((_, message)) = text.split_once("panic: ") {
        ("panic", message)
    } else {
        return None;
    };
    let message = message.split(" [recovered").next().unwrap_or(message);
    let (kind, message) = match message.strip_prefix("runtime error: ") {
        Some(rest) => ("runtime error", rest),
        None => (kind, message),
    };
    Some(Exception { kind: kind.into(), message: field(message), frames: Vec::new() })
}

/// `main.(*Server).Handle(0xc000010250, {0x1, 0x2})` and below it `\t/app/server.go:42 +0x1d`
fn frame(call: &str, place: &str) -> Option<Frame> {
    let place = place.strip_prefix(['\t', ' '])?.trim();
    let place = place.split(" +0x").next().unwrap_or(place);
    let (file, line, _) = super::location(place)?;
    if !(file.ends_with(".go") || file.ends_with(".s") || file.ends_with("_cgo_gotypes")) {
        return None;
    }
    let call = call.trim();
    let (call, created) = match call.strip_prefix("created by ") {
        Some(rest) => (rest.split(" in goroutine ").next().unwrap_or(rest), true),
        None => (call, false),
    };
    // Receivers have parentheses too, so the arguments are what follows the last dot's name.
    let function = if created { call } else { call.strip_suffix(')').map_or(call, |c| arguments(c)) };
    if function.is_empty() || function.contains(char::is_whitespace) {
        return None;
    }
    Some(Frame { function: some(function), file: some(file), line: Some(line), ..Frame::default() })
}

fn arguments(call: &str) -> &str {
    let from = call.find("(*").map_or(0, |at| call[at..].find(')').map_or(0, |close| at + close + 1));
    match call[from..].find('(') {
        Some(open) => &call[..from + open],
        None => call,
    }
}
