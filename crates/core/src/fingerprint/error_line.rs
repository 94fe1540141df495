//! The line that says what went wrong, in a report without a stack trace.
//!
//! Context lines come first in a log, so the first line is the worst choice. The order here: the line that repeats
//! the title; the first line with a strong word (`panic`, `FATAL`, `SomeError:`); the first with a weak one
//! (`failed`, `timeout`); the first with a code of failure (`HTTP 404`). Lines that a logger marked as information count only when nothing else does.

use std::borrow::Cow;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::normalise::codes;
use super::{bounds, json_line, prefix};

/// Words, and whether they are strong.
const WORDS: [(&str, bool); 43] = [
    ("error:", true),
    ("error[", true),
    ("exception", true),
    ("fatal", true),
    ("panic", true),
    ("critical", true),
    ("traceback", true),
    ("segmentation fault", true),
    ("oomkilled", true),
    ("out of memory", true),
    ("sigsegv", true),
    ("sigkill", true),
    ("sigabrt", true),
    ("deadlock", true),
    ("err!", true),
    ("unhandled", true),
    ("uncaught", true),
    ("assertion", true),
    ("error", false),
    ("failed", false),
    ("failure", false),
    ("fail", false),
    ("timeout", false),
    ("timed out", false),
    ("refused", false),
    ("denied", false),
    ("cannot", false),
    ("can't", false),
    ("could not", false),
    ("unable to", false),
    ("aborted", false),
    ("crash", false),
    ("crashed", false),
    ("invalid", false),
    ("not found", false),
    ("no such", false),
    ("unreachable", false),
    ("killed", false),
    ("exited with", false),
    ("exit code", false),
    ("exit status", false),
    ("rejected", false),
    ("unexpected", false),
];

/// Keys of the header that the server composes above a detail; their values are not failures.
const HEADER_KEYS: [&str; 26] = [
    "source",
    "file",
    "level",
    "process",
    "component",
    "event",
    "confidence",
    "risk_level",
    "risk_category",
    "actor",
    "model",
    "tool_name",
    "action",
    "policy",
    "approval_state",
    "blast_radius",
    "expected_destination",
    "source_kind",
    "tenant_id",
    "workspace_id",
    "route_tags",
    "run_id",
    "session_id",
    "correlation_id",
    "external_correlation_ids",
    "evidence_refs",
];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    None,
    Weak,
    Strong,
}

/// The error line, stripped of its prefix. `None` when no line reads like an error and a title exists.
pub fn find<'a>(title: Option<&str>, detail: Option<&'a str>, excerpt: &'a [String]) -> Option<Cow<'a, str>> {
    let detail = bounds::text(detail.unwrap_or_default());
    let lines = || {
        let all = excerpt.iter().flat_map(|l| bounds::text(l).lines()).chain(detail.lines());
        all.take(bounds::LINES).filter(|l| !l.trim().is_empty() && !header(l))
    };
    // A title is often the line itself, cut short.
    let untitled = title.is_none();
    let title = title.map(|t| prefix::strip_prefix(t).trim_end_matches(['.', '…'])).filter(|t| t.len() >= 8);
    let mut best: Option<(Strength, &str)> = None;
    let mut budget = bounds::TEXT;
    for line in lines() {
        if title.is_some_and(|t| line.contains(t)) {
            return Some(told(line));
        }
        let Some(left) = budget.checked_sub(line.len()) else { break };
        budget = left;
        let strength = strength(line);
        if best.is_none_or(|(s, _)| s < strength) {
            best = Some((strength, line));
        }
    }
    match best? {
        (Strength::Weak | Strength::Strong, line) => Some(told(line)),
        // Without any of the words, a status of failure or an error code still says more than a title.
        (Strength::None, line) => match lines().take(CODE_LINES).find(|l| coded(l)) {
            Some(line) => Some(told(line)),
            None => untitled.then(|| told(line)),
        },
    }
}

/// How many lines are searched for codes, which costs more than searching for words.
const CODE_LINES: usize = 50;

/// Whether the line has a code of failure: not `HTTP 200`, not `exit code 0`.
fn coded(line: &str) -> bool {
    let fine = |code: &str| code == "0" || (code.len() == 3 && code.starts_with(['1', '2', '3']));
    !information(line) && codes(bounds::cut(line, bounds::FIELD)).iter().any(|c| !fine(c))
}

/// What the line says: a record's message and codes, a logger's text.
fn told(line: &str) -> Cow<'_, str> {
    match json_line::open(line) {
        Some(record) => {
            let first = record.text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
            Cow::Owned(format!("{first}{}", record.codes))
        }
        None => Cow::Borrowed(prefix::strip_prefix(line)),
    }
}

fn header(line: &str) -> bool {
    line.split_once(':').is_some_and(|(key, _)| HEADER_KEYS.contains(&key.trim()))
}

fn strength(line: &str) -> Strength {
    static MATCHER: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let matcher = MATCHER.get_or_init(|| {
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(WORDS.map(|(word, _)| word))
            .ok()
    });
    let Some(matcher) = matcher else { return Strength::None };
    let line = bounds::cut(line, bounds::FIELD);
    let mut best = Strength::None;
    for found in matcher.find_iter(line) {
        let (word, strong) = WORDS[found.pattern().as_usize()];
        if !names_a_failure(line, found.start(), found.end(), word) {
            continue;
        }
        let strength = if strong { Strength::Strong } else { Strength::Weak };
        best = best.max(strength);
    }
    // What a logger calls information is context, whatever words it has.
    if best != Strength::None && information(line) { Strength::None } else { best }
}

/// Not `0 errors`, `no error`, `errors: 0`, `error_count`, `errorHandler`.
fn names_a_failure(line: &str, start: usize, end: usize, word: &str) -> bool {
    let (before, after) = (&line[..start], &line[end..]);
    // `KeyError` counts, `terror` does not.
    let inside = before.ends_with(|c: char| c.is_ascii_lowercase()) && !line[start..].starts_with(char::is_uppercase);
    let glued = after.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && !after.starts_with('s')
        && !word.ends_with([':', '[', '!']);
    if inside || glued {
        return false;
    }
    // Only what can be counted can be none: "out of memory: 0 bytes left" is bad news.
    if !["err", "fail", "exception", "crash"].iter().any(|w| word.starts_with(w)) {
        return true;
    }
    let before = before.trim_end();
    let none = ["0", "no", "No", "without", "zero", "NO", "not"]
        .iter()
        .any(|n| before.strip_suffix(n).is_some_and(|b| !b.ends_with(|c: char| c.is_alphanumeric() || c == '.')));
    let rest = after.trim_start_matches('s');
    let zero = [": 0", "=0", " 0"]
        .iter()
        .any(|z| rest.strip_prefix(z).is_some_and(|r| !r.starts_with(|c: char| c.is_alphanumeric() || c == '.')))
        || (word.ends_with(':') && after.trim_start().starts_with('0') && !after.trim_start().starts_with("0x"));
    !none && !zero
}

/// Whether the line's own level says that nothing is wrong.
fn information(line: &str) -> bool {
    let head = bounds::cut(line, 100);
    let words = head.split(|c: char| !c.is_ascii_alphanumeric());
    for word in words.take(16) {
        match word {
            "ERROR" | "FATAL" | "CRITICAL" | "SEVERE" | "WARN" | "WARNING" => return false,
            "INFO" | "DEBUG" | "TRACE" => return true,
            _ => {}
        }
    }
    ["level=info", "level=debug", "\"level\":\"info\"", "\"level\":\"debug\""].iter().any(|l| line.contains(l))
}
