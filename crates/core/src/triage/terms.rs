//! The words to search the source for. Each is made of words of this report: never of configuration, of past failures
//! or of a built-in list, so that a hit is evidence.
//!
//! The constant parts of an error message come first, because they stand in the source as written; then the functions
//! of the stack, then names that the messages quote.

use super::{
    inspect::{ExceptionFact, FrameFact},
    report::Report,
};

pub const TERM_CAP: usize = 16;
const SHORTEST: usize = 4;
const LONGEST: usize = 80;

/// Words that are everywhere, and names that no source of ours defines.
const COMMON: [&str; 44] = [
    "main",
    "init",
    "call",
    "apply",
    "exec",
    "execute",
    "invoke",
    "handler",
    "handle",
    "start",
    "process",
    "update",
    "create",
    "delete",
    "error",
    "exception",
    "panic",
    "runtimeerror",
    "typeerror",
    "valueerror",
    "keyerror",
    "undefined",
    "null",
    "none",
    "true",
    "false",
    "string",
    "object",
    "module",
    "anonymous",
    "closure",
    "lambda",
    "constructor",
    "index",
    "self",
    "this",
    "block",
    "unknown",
    "redacted",
    "truncated",
    "manual",
    "failure",
    "failed",
    "default",
];

pub fn of(
    report: &Report<'_>,
    exceptions: &[ExceptionFact],
    frames: &[FrameFact],
    error_line: Option<&str>,
) -> Vec<String> {
    let mut terms = Terms::default();
    let messages: Vec<&str> = exceptions.iter().rev().map(|e| e.message.as_str()).collect();
    for message in messages.iter().copied().chain(error_line).chain([report.title]) {
        for fragment in fragments(message).into_iter().take(2) {
            terms.add(&fragment);
        }
    }
    for frame in frames.iter().filter(|frame| frame.in_app) {
        if let Some(name) = frame.function.as_deref().and_then(last_name) {
            terms.name(name);
        }
    }
    for message in messages.into_iter().chain(error_line) {
        for name in quoted(message).into_iter().chain(compound(message)) {
            terms.name(name);
        }
    }
    for exception in exceptions.iter().rev() {
        if let Some(name) = last_name(&exception.kind) {
            terms.name(name);
        }
    }
    for name in compound(report.title).into_iter().chain(report.event).chain(report.component) {
        if name.contains(['_', '.', ':']) || camel(name) {
            terms.name(name);
        }
    }
    terms.0
}

#[derive(Default)]
struct Terms(Vec<String>);

impl Terms {
    fn add(&mut self, term: &str) {
        let known = self.0.iter().any(|t| t.eq_ignore_ascii_case(term));
        if self.0.len() < TERM_CAP && (SHORTEST..=LONGEST).contains(&term.len()) && !known {
            self.0.push(term.to_owned());
        }
    }

    fn name(&mut self, name: &str) {
        let lower = name.to_ascii_lowercase();
        let letters = name.chars().filter(|c| c.is_alphabetic()).count();
        let opaque = name.len() >= 16 && name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if letters >= SHORTEST && !opaque && !COMMON.contains(&lower.as_str()) && !name.contains(['<', '>', '$']) {
            self.add(name);
        }
    }
}

/// The last name of a qualified one: `a::b::charge` → `charge`, `com.acme.Bill.pay` → `pay`, `pkg.(*T).Run` → `Run`.
fn last_name(name: &str) -> Option<&str> {
    // Arguments at the end are no part of the name; a receiver in the middle is.
    let name = match name.rfind('(') {
        Some(at) if name.ends_with(')') && at > 0 => &name[..at],
        Some(_) | None => name,
    };
    let is_name = |part: &&str| {
        let word = part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '?' | '!'));
        let numbered =
            part.strip_prefix("func").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        word && !numbered && part.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
    };
    name.split(['.', ':', '#', '/', ' ', ')', '(', '*']).rev().find(is_name)
}

/// The parts of a message that hold still: no digits, quotes, paths or values.
fn fragments(message: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut run: Vec<&str> = Vec::new();
    let mut end = |run: &mut Vec<&str>| {
        let text = run.join(" ");
        if (run.len() >= 3 && text.len() >= 12 || text.len() >= 24) && text.len() <= LONGEST {
            found.push(text);
        }
        run.clear();
    };
    for word in message.split_whitespace().take(200) {
        let core = word.trim_end_matches([',', '.', ';', ':', '!']);
        let still = !core.is_empty() && core.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | '\'' | '_'));
        let still = still && !core.starts_with(['\'', '-']) && !core.ends_with('\'');
        if !still {
            end(&mut run);
            continue;
        }
        run.push(core);
        if core.len() < word.len() || run.len() == 8 {
            end(&mut run);
        }
    }
    end(&mut run);
    // Longer fragments are rarer in the source.
    found.sort_by_key(|text| std::cmp::Reverse(text.len()));
    found
}

/// Names in quotes: `'total'`, `"total"`, `` `total` ``.
fn quoted(message: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for quote in ['\'', '"', '`'] {
        let mut parts = message.split(quote).skip(1).step_by(2).take(8);
        found.extend(parts.by_ref().filter(|part| part.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))));
    }
    found
}

/// Words that look like names of code: with `_`, or with capitals inside.
fn compound(text: &str) -> Vec<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .take(400)
        .filter(|word| (word.trim_matches('_').contains('_') && word.chars().any(char::is_alphabetic)) || camel(word))
        .collect()
}

/// `chargeCard`, `CardError`; not `Card`, not `HTTP`.
fn camel(word: &str) -> bool {
    word.chars().zip(word.chars().skip(1)).any(|(a, b)| a.is_lowercase() && b.is_uppercase())
}
