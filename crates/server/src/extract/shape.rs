//! Why JSON or a query did not fit, told without repeating what was sent: values may be secrets, so only places, kinds
//! and our own names remain of a parser's message.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use tandem_core::text;

use crate::http::answer::ApiError;

/// The deepest nesting of arrays and objects, also inside fields that nobody reads.
pub const MAX_DEPTH: usize = 127;

pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if depth_exceeds(bytes, MAX_DEPTH) {
        return Err(ApiError::unreadable(400, format!("The JSON is nested deeper than {MAX_DEPTH} levels.")));
    }
    // The parser looks only at the texts it keeps; bytes that are no text are refused wherever they stand.
    if std::str::from_utf8(bytes).is_err() {
        return Err(ApiError::unreadable(400, "The body is not UTF-8."));
    }
    // serde reads a struct from an array too, field by field in our order; no caller may depend on that order.
    if bytes.trim_ascii_start().first() == Some(&b'[') && serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        return Err(ApiError::unreadable(422, "The body has the wrong shape: invalid type: array, expected an object"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        // The shape may be refused before the syntax error is reached; broken JSON is broken all the same. And where one of
        // our words is wanted, the parser calls anything else than a text a syntax error, which it is not.
        if let Err(broken) = serde_json::from_slice::<Value>(bytes) {
            return ApiError::unreadable(400, format!("The body is not valid JSON: {}", scrubbed(&broken.to_string())));
        }
        // The quick parser does not know where it was; a second pass, for refused bodies only, finds out.
        let mut parser = serde_json::Deserializer::from_slice(bytes);
        let place = serde_path_to_error::deserialize::<_, T>(&mut parser)
            .err()
            .map(|error| text::truncate(&error.path().to_string(), 120))
            .filter(|path| path != ".");
        let why = if error.is_data() { scrubbed(&error.to_string()) } else { "the value does not fit".into() };
        let mut refused = ApiError::unreadable(
            422,
            match &place {
                Some(place) => format!("The body has the wrong shape at `{place}`: {why}"),
                None => format!("The body has the wrong shape: {why}"),
            },
        );
        if let Some(place) = place {
            refused.0 = refused.0.with("field", place);
        }
        refused
    })
}

/// Counts brackets outside strings. Bytes after a syntax error may be miscounted, which only changes the refusal's words.
fn depth_exceeds(bytes: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
    }
    false
}

/// Removes the offending value from a message of the form `…: string "VALUE", expected …` or `unknown variant `VALUE`, …`.
pub fn scrubbed(message: &str) -> String {
    let expected = message.rfind(", expected").or_else(|| message.rfind(", there are no"));
    let quotes_value =
        ["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|form| message.contains(form));
    let text = match expected {
        Some(at) if quotes_value => {
            let (head, tail) = message.split_at(at);
            let kind = head.find(['"', '`']).map_or(head, |quote| head[..quote].trim_end());
            format!("{kind}{tail}")
        }
        Some(_) | None => message.to_owned(),
    };
    text::truncate(&text, 300)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Outer {
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Inner {
        count: u32,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        One,
    }

    fn refusal(body: &[u8]) -> (u16, String) {
        let refused = json::<Outer>(body).unwrap_err().0;
        (refused.http_status(), refused.message)
    }

    #[test]
    fn statuses_and_words_without_values() {
        let (status, text) = refusal(br#"{"inner":[{"count":"hunter2, expected"}]}"#);
        assert_eq!(status, 422);
        assert!(
            text.contains("`inner[0].count`") && text.contains("expected u32") && !text.contains("hunter2"),
            "{text}"
        );
        let (status, text) = refusal(br#"{"inner":[{"count":1,"kind":"hunter2"}]}"#);
        assert!(status == 422 && !text.contains("hunter2") && text.contains("expected `One`"), "{text}");
        for kind in ["5", "[]", "{}", "true", "1.5", "{\"One\":1,\"Two\":2}"] {
            let (status, text) = refusal(format!(r#"{{"inner":[{{"count":1,"kind":{kind}}}]}}"#).as_bytes());
            assert!(status == 422 && text.contains("`inner[0].kind"), "{kind}: {text}");
        }
        let (status, text) = refusal(br#"{"inner":[{"count":-5}]}"#);
        assert!(status == 422 && !text.contains("-5"), "{text}");
        assert_eq!(refusal(b"{}").0, 422);
        assert_eq!(refusal(b"null").0, 422);
        assert_eq!(refusal(b" [[]]").0, 422);
        assert_eq!(refusal(b"{\"inner\":").0, 400);
        assert_eq!(refusal(b"\xff\xfe").0, 400);
        assert_eq!(refusal(b"{\"inner\":[],\"unread\":\"\xff\"}").0, 400);
        assert_eq!(refusal(b"{} {}").0, 400);
        assert_eq!(refusal(b"[").0, 400);
    }

    #[test]
    fn depth_is_bounded_also_where_nobody_reads() {
        let deep = |n: usize| format!(r#"{{"inner":[],"x":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        assert_eq!(refusal(deep(100_000).as_bytes()).0, 400);
        assert!(json::<Outer>(deep(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert_eq!(refusal(deep(MAX_DEPTH).as_bytes()).0, 400);
        assert!(json::<Outer>(format!(r#"{{"inner":[],"x":"\"{}"}}"#, "[".repeat(500)).as_bytes()).is_ok());
    }
}
