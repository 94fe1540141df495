//! Grouping: which reports are the same failure. Algorithm `v2`.
//!
//! **The rule**, in the order it is tried:
//!
//! 1. The caller's own fingerprint decides when it is plain text ([`caller`]); an unprintable one is hashed.
//! 2. A stack trace in the report decides by *what* broke and *where*: the type of the root cause, the error codes in
//!    its message (HTTP status, errno, SQLSTATE, exit code …) and the innermost five distinct frames of the
//!    application's own code, as function and file name. Line numbers, messages, titles and the lines around a trace
//!    do not count. When the root cause lies wholly in libraries, the nearest enclosing exception that has
//!    application frames gives the place. The message joins only when type and place say too little: no application
//!    function is known, or the language has one type for every panic (Go, Rust).
//! 3. Without a trace the *error line* and the title decide together: the line that repeats the title, else the first
//!    line that reads like an error, log prefix stripped. Of a JSON record that is its message, with the status and
//!    error codes that stand in fields of their own. Two reports that share an error line but not a title stay apart,
//!    because a line such as `exit code 1` says nothing by itself.
//! 4. Without an error line the title decides, then the first line of text, then event, component and process.
//!
//! Repository, event and component take part always. Everything is normalised first ([`normalise`]), so ids, numbers,
//! paths, addresses and timestamps of one run never reach the hash, while status codes and error classes do.
//!
//! Deliberately absent: run, session and correlation ids; severity; similarity scores (grouping is exact, similar
//! incidents are linked elsewhere); configuration. A change of any rule here is a new algorithm with a new prefix.

mod bounds;
mod error_line;
mod json_line;
mod key;
pub mod normalise;
mod prefix;
pub mod stack;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

pub use normalise::normalise;
pub use prefix::{strip as strip_log_prefix, strip_prefix, without_colours};
pub use stack::{Exception, Frame, Language, Trace, parse_trace};

use crate::text;

/// What grouping looks at in a report. All text is already redacted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signal<'a> {
    pub repo: &'a str,
    pub title: Option<&'a str>,
    pub detail: Option<&'a str>,
    pub excerpt: &'a [String],
    pub event: Option<&'a str>,
    pub component: Option<&'a str>,
    pub source: Option<&'a str>,
    pub file_name: Option<&'a str>,
    pub process: Option<&'a str>,
}

/// The fingerprint and why it is what it is. Stored with the incident and shown as "why grouped".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grouping {
    pub fingerprint: String,
    pub basis: Basis,
    /// The normalised tuple in hashing order; `frame` repeats, innermost first.
    pub parts: Vec<Part>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    pub algorithm: Algorithm,
}

/// One named member of the normalised tuple.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    pub name: String,
    pub value: String,
}

/// What decided the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The caller's own fingerprint, as given.
    Caller,
    /// The caller's own fingerprint, hashed because it is not plain text.
    CallerHashed,
    /// A stack trace.
    Exception,
    /// The error line, with the title.
    ErrorLine,
    /// The title alone.
    Title,
    /// Event, component and process: nothing else was said.
    Event,
}

/// The version of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    V2,
}

impl Algorithm {
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::V2 => "v2",
        }
    }
}

/// The most frames that take part in a fingerprint.
const TOP_FRAMES: usize = 5;
/// The most bytes of one part of the tuple.
const PART_LIMIT: usize = 400;
/// The longest fingerprint of a caller that is kept as given, in characters.
const CALLER_LIMIT: usize = 200;

/// Groups a report that brought no fingerprint of its own.
pub fn group(signal: &Signal<'_>) -> Grouping {
    let mut tuple = Tuple::default();
    tuple.push("repo", signal.repo.trim().to_ascii_lowercase());
    let mut language = None;
    let basis = if let Some(trace) = trace_of(signal) {
        language = Some(trace.language);
        push_trace(&mut tuple, &trace, signal);
        Basis::Exception
    } else {
        push_plain(&mut tuple, signal)
    };
    tuple.push_normalised("event", signal.event);
    tuple.push_normalised("component", signal.component);
    Grouping { fingerprint: tuple.hash(), basis, parts: tuple.parts, language, algorithm: Algorithm::V2 }
}

/// The caller's own fingerprint: kept when it is at most 200 printable characters that cannot open, close or break a
/// hidden comment in a tracker, else hashed like every other.
pub fn caller(fingerprint: &str) -> Grouping {
    if plain(fingerprint) {
        return Grouping {
            fingerprint: fingerprint.to_owned(),
            basis: Basis::Caller,
            parts: vec![Part { name: "caller".into(), value: fingerprint.to_owned() }],
            language: None,
            algorithm: Algorithm::V2,
        };
    }
    // The text itself is not kept, since it may carry the very markers that it was refused for.
    let length = fingerprint.chars().count();
    Grouping {
        fingerprint: hash(["caller", fingerprint].into_iter()),
        basis: Basis::CallerHashed,
        parts: vec![Part { name: "caller_length".into(), value: length.to_string() }],
        language: None,
        algorithm: Algorithm::V2,
    }
}

fn plain(fingerprint: &str) -> bool {
    // Format characters can reorder or hide what a reader sees, so they do not count as printable.
    let printable = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    !fingerprint.trim().is_empty()
        && fingerprint.chars().count() <= CALLER_LIMIT
        && !fingerprint.contains("--")
        && !fingerprint.contains(['<', '>'])
        && fingerprint.chars().all(printable)
}

/// The trace in the report's detail and excerpt, looked for only when a marker of one is present.
fn trace_of(signal: &Signal<'_>) -> Option<Trace> {
    let detail = signal.detail.unwrap_or_default();
    if !stack::likely(detail) && !signal.excerpt.iter().any(|line| stack::likely(line)) {
        return None;
    }
    // A long preamble in the detail must not push the excerpt's trace out of the bound.
    parse_trace(&joined(detail, signal.excerpt)).or_else(|| parse_trace(&joined("", signal.excerpt)))
}

/// Detail and excerpt as one text of bounded length.
fn joined(detail: &str, excerpt: &[String]) -> String {
    let mut text = bounds::text(detail).to_owned();
    for line in excerpt {
        let Some(room) = bounds::TEXT.checked_sub(text.len() + 1) else { break };
        text.push('\n');
        text.push_str(bounds::cut(line, room));
    }
    text
}

fn push_trace(tuple: &mut Tuple, trace: &Trace, signal: &Signal<'_>) {
    let Some(root) = trace.root_cause() else { return };
    tuple.push("exception_type", root.kind.clone());
    for code in normalise::codes(&root.message) {
        tuple.push("code", code);
    }
    // From the root cause outwards to the first exception that touches our own code.
    let in_app = trace.exceptions.iter().rev().map(|e| key::frames(trace.language, e, true)).find(|f| !f.is_empty());
    let strong = in_app.is_some();
    let mut frames = in_app.unwrap_or_else(|| {
        let all = trace.exceptions.iter().rev().map(|e| key::frames(trace.language, e, false));
        all.into_iter().find(|f| !f.is_empty()).unwrap_or_default()
    });
    if key::overflowed(root) {
        // The depth at which a stack overflows is chance, and so is the member of the cycle on top.
        frames.sort_unstable();
    }
    frames.truncate(TOP_FRAMES);
    for frame in frames {
        tuple.push("frame", frame);
    }
    if strong && !key::catch_all(trace.language, &root.kind) {
        return;
    }
    let messages: Vec<&str> = trace.exceptions.iter().map(|e| e.message.as_str()).filter(|m| !m.is_empty()).collect();
    if messages.is_empty() {
        tuple.push_normalised("title", signal.title);
    } else if trace.exceptions.len() > 1 && !strong {
        // A bare "No such file or directory" needs the messages around it to say which one.
        tuple.push("message", normalise(&messages.join(": ")));
    } else {
        tuple.push_normalised("message", Some(&root.message));
    }
}

fn push_plain(tuple: &mut Tuple, signal: &Signal<'_>) -> Basis {
    let title = text::non_blank(signal.title);
    let line = error_line::find(title, signal.detail, signal.excerpt);
    let title = title.map(|t| normalise(strip_prefix(t)));
    let line = line.map(|l| normalise(&l)).filter(|l| !l.is_empty() && Some(l) != title.as_ref());
    let basis = match (&line, &title) {
        (Some(_), _) => Basis::ErrorLine,
        (None, Some(_)) => Basis::Title,
        (None, None) => Basis::Event,
    };
    if let Some(line) = line {
        tuple.push("error_line", line);
    }
    if let Some(title) = title {
        tuple.push("title", title);
    }
    if basis == Basis::Event {
        tuple.push_normalised("source", signal.source);
        tuple.push_normalised("process", signal.process);
        tuple.push_normalised("file", signal.file_name);
    }
    basis
}

#[derive(Default)]
struct Tuple {
    parts: Vec<Part>,
}

impl Tuple {
    /// Absent and empty are the same: an empty part adds nothing.
    fn push(&mut self, name: &str, mut value: String) {
        if value.len() > PART_LIMIT {
            value.truncate(text::floor_char_boundary(&value, PART_LIMIT));
        }
        if value.contains('\0') {
            value = value.replace('\0', " ");
        }
        if !value.is_empty() {
            self.parts.push(Part { name: name.to_owned(), value });
        }
    }

    fn push_normalised(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = text::non_blank(value) {
            self.push(name, normalise(value));
        }
    }

    fn hash(&self) -> String {
        hash(self.parts.iter().flat_map(|p| [p.name.as_str(), p.value.as_str()]))
    }
}

/// `v2:` and the first 32 hex digits of SHA-256 over the NUL-terminated members.
fn hash<'a>(members: impl Iterator<Item = &'a str>) -> String {
    let mut sha = Sha256::new();
    for member in members {
        // One random id in forty has only digits, so the kinds of opaque id must weigh the same in the hash.
        let mut rest = member;
        while let Some(at) = rest.find('<') {
            let (before, tail) = rest.split_at(at);
            sha.update(before);
            rest = match normalise::OPAQUE.iter().find_map(|p| tail.strip_prefix(p)) {
                Some(after) => {
                    sha.update(normalise::NUMBER);
                    after
                }
                None => {
                    sha.update("<");
                    &tail[1..]
                }
            };
        }
        sha.update(rest);
        sha.update([0]);
    }
    format!("v2:{}", hex::encode(&sha.finalize()[..16]))
}
