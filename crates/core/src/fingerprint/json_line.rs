//! Log lines that are JSON records: the message and, if there is one, the stack inside.
//!
//! Deliberately absent: levels, field selection, anything a log reader decides. This is only what a person would look
//! at to tell two failures apart.

use std::fmt::Write as _;

use serde_json::{Map, Value};

const LONGEST: usize = 32 * 1024;

/// Whether the line may be a record.
pub fn possible(line: &str) -> bool {
    let line = line.trim();
    line.len() <= LONGEST && line.starts_with("{\"") && line.ends_with('}')
}

/// What a record says.
pub struct Record {
    /// Message and stack, one text.
    pub text: String,
    /// The codes that it keeps in fields of their own, as `status 404`: equal messages with different ones differ.
    pub codes: String,
}

const CODES: [&str; 14] = [
    "status",
    "status_code",
    "statusCode",
    "http_status",
    "httpStatus",
    "http.status_code",
    "http.response.status_code",
    "code",
    "error_code",
    "errorCode",
    "exit_code",
    "exitCode",
    "errno",
    "signal",
];

fn codes(record: &Map<String, Value>) -> String {
    let mut out = String::new();
    let holders = ["res", "response", "error", "err"].iter().filter_map(|k| record.get(*k)?.as_object());
    for holder in std::iter::once(record).chain(holders) {
        for key in CODES {
            let code = match holder.get(key) {
                // Success is no code of a failure, and larger numbers are of one run.
                Some(Value::Number(n)) => match n.as_i64() {
                    Some(n) if n != 0 && n.abs() < 100_000 && !(100..400).contains(&n) => n.to_string(),
                    Some(_) | None => continue,
                },
                Some(Value::String(name))
                    if (1..=40).contains(&name.len())
                        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') =>
                {
                    name.clone()
                }
                Some(_) | None => continue,
            };
            let _ = write!(out, " {key} {code}");
        }
    }
    out
}

pub fn open(line: &str) -> Option<Record> {
    if !possible(line) {
        return None;
    }
    let Ok(Value::Object(record)) = serde_json::from_str(line.trim()) else { return None };
    let mut text = pick(&record, &["msg", "message", "log", "event", "error.message"]).unwrap_or_default().to_owned();
    for holder in ["error", "err", "exception", "exc"] {
        match record.get(holder) {
            Some(Value::String(error)) => append(&mut text, error),
            Some(Value::Object(error)) => {
                let kind = pick(error, &["type", "name", "class", "kind"]);
                let message = pick(error, &["message", "msg"]);
                let stack = pick(error, &["stack", "stack_trace", "stacktrace", "backtrace"]);
                match (stack, kind, message) {
                    (Some(stack), _, _) => append(&mut text, stack),
                    (None, Some(kind), Some(message)) => append(&mut text, &format!("{kind}: {message}")),
                    (None, kind, message) => append(&mut text, message.or(kind).unwrap_or_default()),
                }
            }
            _ => {}
        }
    }
    let keys = [
        "stack",
        "stack_trace",
        "stacktrace",
        "exc_info",
        "traceback",
        "backtrace",
        "error.stack_trace",
        "error.stack",
    ];
    if let Some(stack) = pick(&record, &keys) {
        append(&mut text, stack);
    }
    (!text.trim().is_empty()).then(|| Record { codes: codes(&record), text })
}

fn pick<'a>(record: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|k| record.get(*k).and_then(Value::as_str)).filter(|t| !t.trim().is_empty())
}

fn append(text: &mut String, more: &str) {
    if more.is_empty() || text.contains(more) {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
}
