//! Bounds on text. Every cut is at a UTF-8 boundary; nothing here panics on any input.

/// The mark appended by [`truncate`].
pub const TRUNCATED: &str = "...<truncated>";

/// The line that stands for the middle of a block that is too long to be kept. Readers of stack traces skip it.
pub const LEFT_OUT: &str = "[lines left out]";

/// Cuts `text` at a UTF-8 boundary at or below `limit` bytes and appends [`TRUNCATED`] when anything was cut.
/// The result may exceed `limit` by the length of the mark, as the wire contract says.
pub fn truncate(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}{TRUNCATED}", &text[..floor_char_boundary(text, limit)])
}

/// The largest char boundary at or below `index`.
pub fn floor_char_boundary(text: &str, index: usize) -> usize {
    if index >= text.len() {
        return text.len();
    }
    (0..=index).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// Trims; blank becomes `None`.
pub fn non_blank(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|t| !t.is_empty())
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    ::hex::encode(bytes)
}

/// The bytes of a hexadecimal text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    ::hex::decode(text).ok()
}

/// SHA-256 of a text, lower-case hex.
pub fn sha256_hex(text: &str) -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_a_char_boundary() {
        assert_eq!(truncate("añb", 2), "a...<truncated>");
        assert_eq!(truncate("añb", 4), "añb");
        assert_eq!(floor_char_boundary("ñ", 1), 0);
    }
}
