//! Stack traces as values: which language, which chain of exceptions, which frames.
//!
//! One reader per language, each of which finds its own trace in any text: lines around it are skipped, prefixes of
//! log collectors and CI runners are tolerated. Whatever a language prints, here the **outermost** exception (the one
//! that reached the top) comes first and the **root cause** last, and frames are **innermost first**.
//!
//! Deliberately absent: regular expressions (a report is cheap to read, and hostile), source maps, symbolication, a
//! second trace in the same text (the first one is the failure, the rest are its consequences).

mod dotnet;
mod go;
mod header;
mod in_app;
mod java;
mod javascript;
mod python;
mod ruby;
mod rust;

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
pub use header::named as named_exception;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{bounds, json_line, prefix};
use crate::text;

/// A parsed stack trace. Holds at least one exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trace {
    pub language: Language,
    /// Outermost (the one that reached the top) first, root cause last.
    pub exceptions: Vec<Exception>,
}

impl Trace {
    /// The exception that everything else wraps.
    pub fn root_cause(&self) -> Option<&Exception> {
        self.exceptions.last()
    }
}

/// One exception, error or panic of a chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Exception {
    /// The type as printed, `panic` where the language has no types for it; empty when the text does not say.
    pub kind: String,
    /// The first line of the message.
    pub message: String,
    /// Innermost (the crash site) first.
    pub frames: Vec<Frame>,
}

/// One call on the stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Frame {
    pub function: Option<String>,
    /// Class, package or namespace, where the language prints one apart from the function.
    pub module: Option<String>,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// Whether the frame is the application's own code rather than a library's.
    pub in_app: bool,
}

/// The languages whose traces are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    Python,
    Java,
    #[serde(rename = "javascript", alias = "java_script")]
    JavaScript,
    Go,
    Rust,
    Ruby,
    #[serde(rename = "dotnet", alias = "dot_net")]
    DotNet,
}

/// The first stack trace in `text`.
pub fn parse_trace(text: &str) -> Option<Trace> {
    let text = bounds::text(text);
    if !likely(text) {
        return None;
    }
    let prepared = prepare(text);
    let told = prepared.lines().take(bounds::LINES).filter(|l| l.trim() != text::LEFT_OUT);
    let lines: Vec<&str> = told.map(|l| prefix::strip(l.trim_end())).collect();
    // Languages with an unmistakable first line come first; the `at …` family shares a look and is asked last.
    let readers: [fn(&[&str]) -> Option<Trace>; 7] =
        [python::read, rust::read, go::read, java::read, dotnet::read, javascript::read, ruby::read];
    let mut trace = readers.iter().find_map(|read| read(&lines))?;
    trace.exceptions.truncate(bounds::EXCEPTIONS);
    let mut left = bounds::FRAMES;
    for exception in &mut trace.exceptions {
        exception.frames.truncate(left);
        left -= exception.frames.len();
        for frame in &mut exception.frames {
            frame.in_app = in_app::decide(trace.language, frame);
        }
    }
    (!trace.exceptions.is_empty()).then_some(trace)
}

/// Whether any mark of a stack trace occurs in `text`. False positives cost time only.
pub fn likely(text: &str) -> bool {
    static MARKS: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    const MARKS_TEXT: [&str; 12] = [
        "Traceback (most",
        "File \"",
        "at ",
        "goroutine ",
        "panic",
        "stack backtrace",
        "Stack backtrace",
        "Caused by",
        ".go:",
        ".rb:",
        "/<",
        "@http",
    ];
    let text = bounds::text(text);
    match MARKS.get_or_init(|| AhoCorasick::new(MARKS_TEXT).ok()) {
        Some(marks) => {
            marks.find_iter(text).any(|m| m.pattern().as_usize() != 2 || frame_mark(text, m.start(), m.end()))
        }
        None => true,
    }
}

/// `at ` counts only where a frame would begin: first on its line or behind a prefix, before a name with a bracket or
/// a colon on the same line.
fn frame_mark(text: &str, start: usize, end: usize) -> bool {
    let bytes = text.as_bytes();
    let lead = start == 0 || matches!(bytes[start - 1], b' ' | b'\t' | b'\n' | b'#' | b'n' | b't');
    let rest = &bytes[end.min(bytes.len())..];
    let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
    lead && (memchr::memchr2(b'(', b':', line).is_some())
}

/// Colours removed, JSON records opened, escaped line breaks broken.
fn prepare(text: &str) -> std::borrow::Cow<'_, str> {
    let text = prefix::without_colours(text);
    if text.contains('{') && text.lines().any(json_line::possible) {
        let opened: Vec<String> = text
            .lines()
            .take(bounds::LINES)
            .map(|l| json_line::open(l).map_or_else(|| l.to_owned(), |record| record.text))
            .collect();
        return opened.join("\n").into();
    }
    if text.contains("\\n")
        && (text.contains("\\n    at ") || text.contains("\\n\\tat ") || text.contains("\\n  File "))
    {
        return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\\"", "\"").into();
    }
    text
}

/// A bounded copy of a name or a message.
fn field(text: &str) -> String {
    bounds::cut(text.trim(), bounds::FIELD).to_owned()
}

/// A copy that is absent when empty.
fn some(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| field(text))
}

/// `file:line:column` or `file:line`, split from the right, so drives and schemes stay with the file.
fn location(text: &str) -> Option<(&str, u32, Option<u32>)> {
    let (head, last) = text.trim().rsplit_once(':')?;
    let last: u32 = last.parse().ok()?;
    if let Some((file, line)) = head.rsplit_once(':')
        && let Ok(line) = line.parse::<u32>()
        && !file.is_empty()
    {
        return Some((file, line, Some(last)));
    }
    (!head.is_empty()).then_some((head, last, None))
}

/// How many columns of white space begin the line.
fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests;
