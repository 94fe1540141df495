//! What collectors, runners and loggers put before a line: timestamps, levels, names of pods and services.
//!
//! Indentation behind the prefix is kept, because it carries meaning in a trace. The name of a logger stays: it is
//! the same in every run.

use std::borrow::Cow;

use super::normalise::time_end;

const LEVELS: [&str; 12] =
    ["ERROR", "WARN", "WARNING", "INFO", "DEBUG", "TRACE", "FATAL", "CRITICAL", "SEVERE", "NOTICE", "EMERG", "ALERT"];

/// The line without its prefix and without white space around it; a line that is nothing but prefix stays.
pub fn strip_prefix(line: &str) -> &str {
    match strip(line).trim() {
        "" => line.trim(),
        rest => rest,
    }
}

/// The line without its prefix; indentation stays.
pub fn strip(line: &str) -> &str {
    let mut rest = line;
    for _ in 0..8 {
        let lead = rest.trim_start();
        let next = stamp(lead)
            .or_else(|| bracket(rest))
            .or_else(|| level(lead))
            .or_else(|| service(rest))
            .or_else(|| field(lead))
            .or_else(|| klog(rest));
        match next {
            Some(next) => rest = next,
            None => break,
        }
    }
    rest
}

/// `text` without colour sequences.
pub fn without_colours(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(sequence) = rest.strip_prefix('[') {
            let end = sequence.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == '?')).unwrap_or(sequence.len());
            let letter = sequence[end..].chars().next().map_or(0, char::len_utf8);
            rest = &sequence[end + letter..];
        }
    }
    out.push_str(rest);
    out.into()
}

/// One space, or the mark that joins a prefix to what follows.
fn joint(rest: &str) -> &str {
    let rest = rest.strip_prefix([':', ',', ']', '|']).unwrap_or(rest);
    let rest = rest.strip_prefix(" - ").or_else(|| rest.strip_prefix(" | ")).unwrap_or(rest);
    rest.strip_prefix([' ', '\t']).unwrap_or(rest)
}

/// A timestamp; after one in the old form of syslog, host and process too.
fn stamp(line: &str) -> Option<&str> {
    let end = time_end(line.as_bytes(), 0)?;
    let rest = line.get(end..)?;
    if !(rest.is_empty() || rest.starts_with([' ', '\t', ':', ',', ']', '|'])) {
        return None;
    }
    let rest = joint(rest);
    let mut words = rest.splitn(3, ' ');
    if let (Some(_host), Some(process), Some(message)) = (words.next(), words.next(), words.next().or(Some("")))
        && let Some(name) = process.strip_suffix("]:").and_then(|p| p.split_once('['))
        && name.1.bytes().all(|b| b.is_ascii_digit())
    {
        return Some(message);
    }
    Some(rest)
}

/// `[main] `, `[pod/api-1/app] `, `[2026-01-01T00:00:00Z ERROR app] `
fn bracket(line: &str) -> Option<&str> {
    let inner = line.strip_prefix('[')?;
    let close = inner.bytes().take(120).position(|b| b == b']')?;
    let (inside, rest) = (&inner[..close], &inner[close + 1..]);
    let ends = rest.is_empty() || rest.starts_with([' ', '\t', ':']);
    if inside.starts_with("Errno") || inside.is_empty() || !ends || inside == "cause" {
        return None;
    }
    Some(joint(rest))
}

/// A level in capitals; behind it the process and thread that Spring prints.
fn level(line: &str) -> Option<&str> {
    let end = line.bytes().position(|b| !b.is_ascii_uppercase()).unwrap_or(line.len());
    if !LEVELS.contains(&&line[..end]) {
        return None;
    }
    let rest = &line[end..];
    if !(rest.is_empty() || rest.starts_with([' ', ':', '\t', '|', '-', ']'])) {
        return None;
    }
    let rest = joint(rest);
    if let Some(at) = rest.find("--- [")
        && rest[..at].bytes().all(|b| b.is_ascii_digit() || b == b' ')
        && let Some((_, message)) = rest.split_once(" : ")
    {
        return Some(message);
    }
    Some(rest)
}

/// `api-1  | ` of a compose file, `#12 3.456 ` of an image build.
fn service(line: &str) -> Option<&str> {
    if let Some(step) = line.strip_prefix('#') {
        let (number, rest) = step.split_once(' ')?;
        let (seconds, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let count = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        return (count(number) && count(seconds) && seconds.contains('.')).then_some(rest);
    }
    let end = line.bytes().take(64).position(|b| !(b.is_ascii_alphanumeric() || b"._-/".contains(&b)))?;
    if end == 0 {
        return None;
    }
    let rest = line[end..].trim_start_matches(' ');
    let spaced = rest.len() < line.len() - end;
    let rest = rest.strip_prefix('|')?;
    (spaced && (rest.is_empty() || rest.starts_with(' '))).then(|| rest.strip_prefix(' ').unwrap_or(rest))
}

/// `time="…" level=error ` of a line of pairs.
fn field(line: &str) -> Option<&str> {
    let (key, rest) = line.split_once('=')?;
    if !matches!(key, "time" | "ts" | "timestamp" | "level" | "lvl" | "severity") {
        return None;
    }
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map(|(_, rest)| rest.trim_start()),
        None => rest.split_once(' ').map(|(_, rest)| rest),
    }
}

/// `E0102 15:04:05.000000       1 file.go:123] `
fn klog(line: &str) -> Option<&str> {
    let rest = line.strip_prefix(['I', 'W', 'E', 'F'])?;
    let [a, b, c, d, b' ', ..] = rest.as_bytes() else { return None };
    if ![a, b, c, d].iter().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (head, message) = rest.split_once("] ")?;
    (head.len() < 100 && head.contains(':')).then_some(message)
}
