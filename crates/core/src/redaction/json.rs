//! The walk over JSON. It keeps its own stack, so depth costs memory on the heap and never a missed value.

use super::names::{self, Kind, Reach};
use super::{Counts, REDACTED, Redactor, values};
use serde_json::Value;

/// Names of the member that names the other one: `{"name": "DB_PASSWORD", "value": "x"}`.
const NAMING: [&str; 4] = ["name", "key", "header", "field"];

pub(super) fn redact(redactor: &Redactor, root: &mut Value, counts: &mut Counts) {
    let mut open = vec![root];
    while let Some(value) = open.pop() {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(s) => {
                let redacted = match redactor.text(s, counts) {
                    std::borrow::Cow::Borrowed(_) => None,
                    std::borrow::Cow::Owned(new) => Some(new),
                };
                if let Some(new) = redacted {
                    *s = new;
                }
            }
            Value::Array(items) => open.extend(items.iter_mut()),
            Value::Object(members) => {
                let named = NAMING
                    .iter()
                    .filter_map(|n| members.get(*n)?.as_str())
                    .find_map(|n| names::kind(n.as_bytes(), Reach::Text, true));
                for (key, member) in members.iter_mut() {
                    let kind = names::kind(key.as_bytes(), Reach::Json, true);
                    match kind.or(named.filter(|_| key.eq_ignore_ascii_case("value"))) {
                        Some(kind) if !harmless(kind, member) => replace(kind, member, counts),
                        Some(_) | None => open.push(member),
                    }
                }
            }
        }
    }
}

fn replace(kind: Kind, value: &mut Value, counts: &mut Counts) {
    let rule = match kind {
        Kind::Authorization => "authorization",
        Kind::Cookie => "cookie",
        Kind::Password | Kind::Pwd | Kind::Pass | Kind::Secret | Kind::Token | Kind::Tokens => "key_value",
    };
    *counts.entry(rule).or_default() += 1;
    *value = Value::String(REDACTED.to_owned());
}

/// Whether nothing in `value` can be the secret that its key speaks of.
fn harmless(kind: Kind, value: &Value) -> bool {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        let fine = match value {
            Value::Null | Value::Bool(_) => true,
            Value::Number(n) => values::harmless(kind, n.to_string().as_bytes()),
            Value::String(s) => values::harmless(kind, without_scheme(kind, s).as_bytes()),
            Value::Array(items) => {
                open.extend(items);
                true
            }
            Value::Object(members) => {
                open.extend(members.values());
                true
            }
        };
        if !fine {
            return false;
        }
    }
    true
}

/// `Bearer [redacted]` needs no second look.
fn without_scheme(kind: Kind, text: &str) -> &str {
    match text.split_once(' ') {
        Some((_, rest)) if kind == Kind::Authorization && rest == REDACTED => rest,
        Some(_) | None => text,
    }
}
