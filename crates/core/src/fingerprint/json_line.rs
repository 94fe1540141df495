//! Log lines that are JSON records: the message and, if there is one, the stack inside.
//!
//! Deliberately absent: levels, field selection, anything a log reader decides. This is only what a person would look
//! at to tell two failures apart.

use serde_json::{Map, Value};

const LONGEST: usize = 32 * 1024;

/// Whether the line may be a record.
pub fn possible(line: &str) -> bool {
    let line = line.trim();
    line.len() <= LONGEST && line.starts_with("{\"") && line.ends_with('}')
}

/// Message and stack of a record, one text.
pub fn open(line: &str) -> Option<String> {
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
    (!text.trim().is_empty()).then_some(text)
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
