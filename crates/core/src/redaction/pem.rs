//! PEM private keys: the body is replaced, the lines around it stay and say what it was.
//!
//! Logs cut such blocks at either end and escape their line breaks; what is left of a body goes all the same.

use super::scan::{FORMAT, Scan, at};

/// Longer blocks are not looked through for their end.
const LONGEST: usize = 16 * 1024;
const SHORTEST_LINE: usize = 16;
const DASHES: &[u8] = b"-----";

/// The end of `-----BEGIN … PRIVATE KEY-----` (or `-----END …`) whose label begins at `from`.
fn label_end(b: &[u8], from: usize) -> Option<usize> {
    let label = b[from..].iter().take(64).take_while(|c| **c != b'-' && **c != b'\n').count();
    let end = from + label;
    let private = memchr::memmem::find(&b[from..end], b"PRIVATE KEY").is_some();
    (private && b[end..].starts_with(DASHES)).then_some(end + DASHES.len())
}

/// `hit` is at `-----BEGIN `.
pub(super) fn begin(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let Some(body) = label_end(b, hit + "-----BEGIN ".len()) else { return };
    let limit = b.len().min(body + LONGEST);
    let mut stop = body;
    let to = loop {
        match memchr::memmem::find(&b[stop..limit], DASHES) {
            None => break body_end(&b[..limit], body),
            Some(n) if b[stop + n..].starts_with(b"-----END") => break stop + n,
            Some(n) if b[stop + n..].starts_with(b"-----BEGIN") => break body_end(&b[..stop + n], body),
            Some(n) => stop += n + DASHES.len(),
        }
    };
    let inner = b[body..to].trim_ascii();
    if !inner.is_empty() && inner != super::REDACTED.as_bytes() {
        scan.mark(body, to, "private_key", FORMAT);
    }
}

/// `hit` is at `-----END `. What stands before it is a body whose beginning was cut off, or is marked already.
pub(super) fn end(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    if label_end(b, hit + "-----END ".len()).is_none() {
        return;
    }
    let base64 = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'=');
    let (mut start, mut line) = (hit, hit);
    // Backwards line by line. The last line of a body may be short, the others are not, so words stay out of it.
    while hit - line < LONGEST {
        let run_end = skip_breaks_back(b, line);
        let mut run = run_end - b[..run_end].iter().rev().take(LONGEST).take_while(|c| base64(c)).count();
        if run > 0 && b[run - 1] == b'\\' && matches!(at(b, run), b'n' | b'r') {
            run += 1;
        }
        if run >= run_end || (run_end - run < SHORTEST_LINE && start < hit) {
            break;
        }
        (start, line) = (run, run);
    }
    if hit - start >= SHORTEST_LINE {
        scan.mark(start, hit, "private_key", FORMAT);
    }
}

/// Back over line breaks and blanks, written or escaped.
fn skip_breaks_back(b: &[u8], mut i: usize) -> usize {
    loop {
        if i > 0 && b[i - 1].is_ascii_whitespace() {
            i -= 1;
        } else if i > 1 && b[i - 2] == b'\\' && matches!(b[i - 1], b'n' | b'r') {
            i -= 2;
        } else {
            return i;
        }
    }
}

/// Where a body without an end line ends: after the last line of base64 or of a PEM header.
fn body_end(b: &[u8], body: usize) -> usize {
    let mut end = body;
    let mut line = body;
    while line < b.len() {
        let mut next = line;
        // A line ends at a line break, written or escaped.
        while next < b.len() && b[next] != b'\n' && !(b[next] == b'\\' && matches!(at(b, next + 1), b'n' | b'r')) {
            next += 1;
        }
        let text = b[line..next].trim_ascii();
        let base64 = text.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'='));
        let header = [&b"Proc-Type:"[..], b"DEK-Info:", b"Version:", b"Comment:"].iter().any(|h| text.starts_with(h));
        if !base64 && !header {
            // A closing quotation mark may follow the base64 on the last line.
            let run = text.iter().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'=')).count();
            let quoted = matches!(at(text, run), b'"' | b'\'' | b'`' | b'\\');
            return if run >= SHORTEST_LINE || (run > 0 && quoted) {
                next - b[line..next].trim_ascii_start().len() + run
            } else {
                end
            };
        }
        if !text.is_empty() {
            end = next;
        }
        line = match at(b, next) {
            b'\\' => next + 2,
            _ => next + 1,
        };
    }
    end
}
