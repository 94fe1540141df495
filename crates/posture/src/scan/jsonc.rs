//! JSON with comments and trailing commas, as editors write it, made plain. Places stay where they were, so that a
//! parser's line and column are those of the file.

use std::borrow::Cow;

pub fn plain(text: &str) -> Cow<'_, str> {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Cow::Borrowed(text);
    }
    let without = without_comments(text.as_bytes());
    // Only ASCII was replaced by ASCII, or whole comments by spaces.
    Cow::Owned(String::from_utf8(without_commas(without)).unwrap_or_default())
}

fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    let (mut at, mut in_string) = (0, false);
    while at < text.len() {
        match (in_string, text[at], text.get(at + 1)) {
            (true, b'\\', _) => at += 1,
            (_, b'"', _) => in_string = !in_string,
            (false, b'/', Some(b'/')) => {
                let end = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |n| at + n);
                out[at..end].fill(b' ');
                at = end;
                continue;
            }
            (false, b'/', Some(b'*')) => {
                let close = text[at + 2..].windows(2).position(|two| two == b"*/");
                let end = close.map_or(text.len(), |n| at + 2 + n + 2);
                out[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
                at = end;
                continue;
            }
            (_, _, _) => {}
        }
        at += 1;
    }
    out
}

/// A comma before a closing bracket becomes a space.
fn without_commas(mut text: Vec<u8>) -> Vec<u8> {
    let (mut at, mut in_string, mut comma) = (0, false, None);
    while at < text.len() {
        match (in_string, text[at]) {
            (true, b'\\') => at += 1,
            (_, b'"') => {
                in_string = !in_string;
                comma = None;
            }
            (false, b',') => comma = Some(at),
            (false, b']' | b'}') => {
                if let Some(comma) = comma.take() {
                    text[comma] = b' ';
                }
            }
            (false, byte) if !byte.is_ascii_whitespace() => comma = None,
            (_, _) => {}
        }
        at += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn comments_and_commas_go_and_strings_stay() {
        let text = "{ // one\n \"a\": \"// no \\\" /* no */\", /* two\n lines */ \"ü\": [1, 2, /* x */ ], \"b\": {\"c\": \",]\",}, \n}";
        let found: Value = serde_json::from_str(&plain(text)).unwrap();
        assert_eq!(found, json!({ "a": "// no \" /* no */", "ü": [1, 2], "b": { "c": ",]" } }));
        assert_eq!(plain(text).len(), text.len());
        for broken in ["{", "/*", "// x", "\"\\", "{,}x", "[1,,2]", ""] {
            assert!(serde_json::from_str::<Value>(&plain(broken)).is_err(), "{broken}");
        }
    }
}
