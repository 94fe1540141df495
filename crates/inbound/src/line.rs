//! What passes from files to failures: one line, and where in its file it stands.

/// One line of a file. Offsets are those of the file's bytes, whatever the bytes mean as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Where the line begins.
    pub start: u64,
    /// Behind the line break, or where a file ends without one.
    pub end: u64,
    /// Without the line break; at most the longest line that is kept.
    pub bytes: &'a [u8],
    /// The line was longer than what is kept of it.
    pub truncated: bool,
}
