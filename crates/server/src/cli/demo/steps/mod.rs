//! The parts of the way, in order. Each screen asks the server over HTTP, shows what it was told, and checks it.

pub mod approval;
pub mod delivery;
pub mod evidence;
pub mod intake;
pub mod ledger;
pub mod logs;
pub mod runs;
pub mod setup;

use serde_json::Value;

use super::samples::{SAMPLES, Sample};

/// A sample and what became of it.
pub struct Case {
    pub sample: &'static Sample,
    pub incident_id: String,
    pub draft_id: String,
    pub reports: u32,
}

/// The samples whose drafts are approved and denied.
const APPROVED: usize = 0;
const DENIED: usize = SAMPLES.len() - 1;

/// The text at a JSON pointer; empty when it is not there.
fn text<'a>(value: &'a Value, at: &str) -> &'a str {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

/// The strings of a list.
fn words(value: &Value, at: &str) -> Vec<String> {
    let items = value.pointer(at).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn rows<'a>(value: &'a Value, at: &str) -> &'a [Value] {
    value.pointer(at).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The word of a value that is written as a JSON string.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
