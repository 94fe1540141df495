//! Bounds on JSON that others wrote, before it becomes part of a payload: depth, keys, items, string lengths, and
//! values under keys that name a secret.
//!
//! This looks at key names only. What a secret looks like inside a text is known to `redaction`, which runs as well.

use serde_json::Value;

use crate::text::truncate;

/// What stands for a value that lies too deep.
pub const TOO_DEEP: &str = "<truncated>";
/// What stands for a value under a key that names a secret.
pub const REDACTED: &str = "<redacted>";

const SENSITIVE: [&str; 6] = ["secret", "token", "password", "authorization", "api_key", "apikey"];
/// Names longer than this say nothing more.
const KEY_BYTES: usize = 200;

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The value itself has depth 0.
    pub depth: usize,
    pub keys: usize,
    pub items: usize,
    pub string_bytes: usize,
}

/// The bounds of the wire contract.
pub const STANDARD: Bounds = Bounds { depth: 8, keys: 80, items: 80, string_bytes: 2_000 };
/// Tighter ones, tried before a value is given up altogether.
pub const TIGHT: Bounds = Bounds { depth: 4, keys: 40, items: 10, string_bytes: 300 };

/// Whether a key names a secret.
pub fn is_sensitive(key: &str) -> bool {
    let same = |a: u8, b: u8| a.to_ascii_lowercase() == b || (a == b'-' && b == b'_');
    SENSITIVE.iter().any(|word| {
        let word = word.as_bytes();
        key.as_bytes().windows(word.len()).any(|part| part.iter().zip(word).all(|(a, b)| same(*a, *b)))
    })
}

/// Brings `value` within `bounds`, and says whether anything was cut. Redacted values do not count as cut.
pub fn sanitize(value: &mut Value, bounds: &Bounds) -> bool {
    let mut cut = false;
    bound(value, bounds, 0, &mut cut);
    cut
}

fn bound(value: &mut Value, bounds: &Bounds, depth: usize, cut: &mut bool) {
    if depth > bounds.depth {
        *cut = true;
        *value = TOO_DEEP.into();
        return;
    }
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            if text.len() > bounds.string_bytes {
                *cut = true;
                *text = truncate(text, bounds.string_bytes);
            }
        }
        Value::Array(items) => {
            *cut |= items.len() > bounds.items;
            items.truncate(bounds.items);
            for item in items {
                bound(item, bounds, depth + 1, cut);
            }
        }
        Value::Object(members) => {
            if members.len() > bounds.keys {
                *cut = true;
                *members = std::mem::take(members).into_iter().take(bounds.keys).collect();
            }
            for (key, member) in members.iter_mut() {
                if is_sensitive(key) && !member.is_null() {
                    *member = REDACTED.into();
                } else {
                    bound(member, bounds, depth + 1, cut);
                }
            }
            // Last, because the rest of a name may say that it names a secret.
            if members.keys().any(|key| key.len() > KEY_BYTES) {
                let named = std::mem::take(members).into_iter();
                *members = named.map(|(key, member)| (truncate(&key, KEY_BYTES), member)).collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, json};

    fn bounded(value: &Value, bounds: &Bounds) -> (Value, bool) {
        let mut value = value.clone();
        let cut = sanitize(&mut value, bounds);
        (value, cut)
    }

    #[test]
    fn keys_that_name_a_secret() {
        for key in ["password", "API-Key", "apiKey", "access_token", "Authorization", "clientSecret"] {
            assert!(is_sensitive(key), "{key}");
        }
        for key in ["title", "monkey", "author", "pass"] {
            assert!(!is_sensitive(key), "{key}");
        }
        let (clean, cut) = bounded(&json!({"a": {"password": {"deep": [1]}, "token": null}}), &STANDARD);
        assert_eq!(clean, json!({"a": {"password": REDACTED, "token": null}}));
        assert!(!cut);
        let long = format!("{}_token", "x".repeat(KEY_BYTES));
        let clean = bounded(&json!({ long.as_str(): "s3cr3t" }), &STANDARD).0;
        assert!(!clean.to_string().contains("s3cr3t"), "{clean}");
    }

    #[test]
    fn every_bound_is_exact() {
        let nest = |depth: usize| (0..depth).fold(json!("leaf"), |inner, _| json!([inner]));
        assert_eq!(bounded(&nest(8), &STANDARD), (nest(8), false));
        assert!(bounded(&nest(9), &STANDARD).0.to_string().contains(TOO_DEEP));
        let object = |n: usize| Value::Object((0..n).map(|i| (format!("k{i:03}"), json!(i))).collect());
        assert_eq!(bounded(&object(80), &STANDARD), (object(80), false));
        assert_eq!(bounded(&object(81), &STANDARD).0.as_object().map(Map::len), Some(80));
        assert_eq!(bounded(&json!(vec![0; 81]), &STANDARD), (json!(vec![0; 80]), true));
        let text = "x".repeat(2_000);
        assert_eq!(bounded(&json!(text), &STANDARD), (json!(text), false));
        assert_eq!(bounded(&json!(format!("{text}y")), &STANDARD), (json!(format!("{text}...<truncated>")), true));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), "\\PC{0,30}".prop_map(Value::from)];
        leaf.prop_recursive(12, 200, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z_]{1,9}", inner, 0..6)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn twice_is_once(value in any_json()) {
            let (once, _) = bounded(&value, &TIGHT);
            let small = serde_json::to_string(&once).map(|s| s.len()).unwrap_or(usize::MAX);
            prop_assert!(small <= serde_json::to_string(&value).map(|s| s.len()).unwrap_or(0) + 5_000);
            // Marks are shorter than the bound, so the second pass finds nothing to cut.
            prop_assert_eq!(bounded(&once, &TIGHT), (once.clone(), false));
        }
    }
}
