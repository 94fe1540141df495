//! Bytes: character sets, boundaries and quotes, and the state of one pass.
//!
//! Every mark begins and ends beside an ASCII byte or the end of the text, so it never splits a character.

/// Bytes that a rule wants replaced. Of marks that begin together the one with the lower rank gives the rule id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
    pub rule: &'static str,
    pub rank: u8,
}

/// Rank of a known token format: it says more than the name of the key before it.
pub(super) const FORMAT: u8 = 100;
/// Rank of a rule that goes by context.
pub(super) const CONTEXT: u8 = 200;

/// Dots at the end belong to the sentence. A few are enough, and all of them could cost the whole text at each hit.
pub(super) fn without_dots(b: &[u8], end: usize) -> usize {
    end - b[..end].iter().rev().take(3).take_while(|c| **c == b'.').count()
}

/// Which bytes a token is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Hex,
    Upper,
    Alnum,
    Word,
    Base64Url,
    Dotted,
    Base64,
    Dollar,
}

const SETS: usize = 8;

impl Set {
    pub fn has(self, c: u8) -> bool {
        match self {
            Set::Hex => c.is_ascii_hexdigit(),
            Set::Upper => c.is_ascii_uppercase() || c.is_ascii_digit(),
            Set::Alnum => c.is_ascii_alphanumeric(),
            Set::Word => c.is_ascii_alphanumeric() || c == b'_',
            Set::Base64Url => c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'),
            Set::Dotted => c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.'),
            Set::Base64 => c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'+' | b'/' | b'='),
            Set::Dollar => c.is_ascii_alphanumeric() || c == b'$',
        }
    }
}

/// One pass over one text.
pub(super) struct Scan<'t> {
    pub bytes: &'t [u8],
    pub spans: Vec<Span>,
    /// Key words before this offset are settled. Without it, `token=token=token=…` would take quadratic time.
    pub keys_done: usize,
    /// The last run seen of each set, for the same reason.
    runs: [(usize, usize); SETS],
}

impl<'t> Scan<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { bytes: text.as_bytes(), spans: Vec::new(), keys_done: 0, runs: [(0, 0); SETS] }
    }

    pub fn mark(&mut self, start: usize, end: usize, rule: &'static str, rank: u8) {
        if start < end && &self.bytes[start..end] != super::REDACTED.as_bytes() {
            self.spans.push(Span { start, end, rule, rank });
        }
    }

    /// Where the run of `set` that covers `at` ends.
    pub fn run_end(&mut self, at: usize, set: Set) -> usize {
        let seen = &mut self.runs[set as usize];
        if seen.0 <= at && at < seen.1 {
            return seen.1;
        }
        let end = at + self.bytes[at..].iter().take_while(|&&c| set.has(c)).count();
        *seen = (at, end);
        end
    }
}

pub(super) fn at(b: &[u8], i: usize) -> u8 {
    b.get(i).copied().unwrap_or(0)
}

pub(super) fn starts_with(b: &[u8], i: usize, what: &[u8]) -> bool {
    b.get(i..i + what.len()).is_some_and(|s| s.eq_ignore_ascii_case(what))
}

pub(super) fn ends_with(b: &[u8], what: &[u8]) -> bool {
    b.len() >= what.len() && b[b.len() - what.len()..].eq_ignore_ascii_case(what)
}

pub(super) fn skip_blanks(b: &[u8], mut i: usize) -> usize {
    while matches!(at(b, i), b' ' | b'\t') {
        i += 1;
    }
    i
}

/// Whether a token may begin at `i`: not in the middle of a word. The last letter of an escape (`\n`, `\u003d`,
/// `%3D`, a terminal colour) is no word.
pub(super) fn begins_word(b: &[u8], i: usize) -> bool {
    if i == 0 || !b[i - 1].is_ascii_alphanumeric() {
        return true;
    }
    let before = &b[..i];
    let n = before.len();
    if n >= 2 && before[n - 2] == b'\\' && matches!(before[n - 1], b'n' | b'r' | b't') {
        return true;
    }
    if n >= 3 && before[n - 3] == b'%' && before[n - 2..].iter().all(u8::is_ascii_hexdigit) {
        return true;
    }
    if n >= 6 && &before[n - 6..n - 4] == b"\\u" && before[n - 4..].iter().all(u8::is_ascii_hexdigit) {
        return true;
    }
    before[n - 1] == b'm'
        && before[..n - 1].iter().rev().take(8).find(|c| !(c.is_ascii_digit() || **c == b';')) == Some(&b'[')
}

/// The length of a quotation mark at `i` in any of the ways it is written, 0 for none: plain, behind backslashes, as
/// a JSON or HTML escape, or URL-encoded.
pub(super) fn quote_len(b: &[u8], i: usize) -> usize {
    match at(b, i) {
        b'"' | b'\'' | b'`' => 1,
        b'\\' => {
            let slashes = b[i..].iter().take(16).take_while(|&&c| c == b'\\').count();
            let j = i + slashes;
            if matches!(at(b, j), b'"' | b'\'' | b'`') {
                slashes + 1
            } else if starts_with(b, j, b"u0022") || starts_with(b, j, b"u0027") {
                slashes + 5
            } else {
                0
            }
        }
        b'&' => {
            [&b"&quot;"[..], b"&apos;", b"&#34;", b"&#39;"].iter().find(|q| starts_with(b, i, q)).map_or(0, |q| q.len())
        }
        b'%' if starts_with(b, i, b"%22") || starts_with(b, i, b"%27") => 3,
        _ => 0,
    }
}

/// Where the quotation opened by `b[open..start]` closes, on the same line.
///
/// Each level of JSON in a string doubles the backslashes: behind `k` of them a quotation closes at `k`, or at `k` and
/// a whole number of escaped backslashes. Fewer than `k` close a string around it, which ends this one too.
pub(super) fn close_quote(b: &[u8], open: usize, start: usize) -> Option<usize> {
    let mark = &b[open..start];
    let (&sign, slashes) = mark.split_last()?;
    let plain = matches!(sign, b'"' | b'\'' | b'`') && slashes.iter().all(|c| *c == b'\\');
    let k = slashes.len();
    let mut i = start;
    while i < b.len() && !matches!(b[i], b'\n' | b'\r') {
        if plain {
            let m = b[i..].iter().take_while(|c| **c == b'\\').count();
            if at(b, i + m) == sign && (m < k || (m - k).is_multiple_of(2 * (k + 1))) {
                return Some(i + m.saturating_sub(k));
            }
            i += m.max(1) + usize::from(m > 0 && at(b, i + m) == sign);
        } else {
            if starts_with(b, i, mark) {
                return Some(i);
            }
            i += 1;
        }
    }
    None
}

/// The end of the line at `i`, where an escaped line break ends a line too.
pub(super) fn line_end(b: &[u8], i: usize) -> usize {
    let mut end = i;
    while end < b.len() {
        match b[end] {
            b'\n' | b'\r' => break,
            b'\\' if matches!(at(b, end + 1), b'n' | b'r') => break,
            _ => end += 1,
        }
    }
    end
}

/// The end of the line at `i`, where only a real line break counts.
pub(super) fn raw_line_end(b: &[u8], i: usize) -> usize {
    memchr::memchr2(b'\n', b'\r', &b[i..]).map_or(b.len(), |n| i + n)
}
