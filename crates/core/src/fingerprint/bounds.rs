//! How much of a report grouping looks at. A report is hostile until proven otherwise, so every loop ends here.

/// Bytes of text.
pub const TEXT: usize = 64 * 1024;
/// Lines of text.
pub const LINES: usize = 4000;
/// Frames over all exceptions of one trace.
pub const FRAMES: usize = 500;
/// Exceptions of one trace.
pub const EXCEPTIONS: usize = 32;
/// Bytes of one name or message in a trace.
pub const FIELD: usize = 2000;

/// The bounded head of `text`.
pub fn text(text: &str) -> &str {
    cut(text, TEXT)
}

/// The head of `text` of at most `limit` bytes.
pub fn cut(text: &str, limit: usize) -> &str {
    &text[..crate::text::floor_char_boundary(text, limit)]
}
