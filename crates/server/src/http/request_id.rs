//! The id that ties an answer, its log lines and its audit rows together. A caller may bring one.

use axum::http::{HeaderMap, HeaderName};

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The caller's id when it is 1 to 64 characters of `[A-Za-z0-9._-]`; anything else is replaced, never cleaned.
pub fn given(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let fits = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    fits.then_some(id)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn accepts_only_plain_ids() {
        let long = "a".repeat(65);
        let cases: [(&[u8], bool); 7] = [
            (b"req-1.A_b", true),
            (&long.as_bytes()[..64], true),
            (long.as_bytes(), false),
            (b"", false),
            (b"a b", false),
            (b"\xff\xfe", false),
            (b"a\"b", false),
        ];
        for (value, fits) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(value).unwrap());
            assert_eq!(given(&headers).is_some(), fits, "{value:?}");
        }
        assert_eq!(given(&HeaderMap::new()), None);
    }
}
