//! Credentials that a word before them announces without any separator: `Bearer X`, `Basic X`, `IDENTIFIED BY 'x'`.

use super::extent::prose_after;
use super::names::Kind;
use super::scan::{
    CONTEXT, Scan, Set, at, begins_word, close_quote, quote_len, raw_line_end, skip_blanks, starts_with,
};
use super::values;

/// `Bearer X` where no key announces it.
pub(super) fn bearer(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let end = hit + "bearer".len();
    if !begins_word(b, hit) {
        return;
    }
    let mut i = skip_blanks(b, end);
    if starts_with(b, i, b"%20") {
        i += 3;
    }
    if i == end {
        return;
    }
    i += quote_len(b, i);
    let to = i + b[i..].iter().take_while(|c| c.is_ascii_alphanumeric() || b"-._~+/=".contains(c)).count();
    // A dot ends a sentence; `Bearer realm="x"` is a challenge.
    let to = to - b[i..to].iter().rev().take_while(|c| **c == b'.').count();
    if to == i || prose_after(&b[i..to]) || (b[to - 1] == b'=' && at(b, to) == b'"') {
        return;
    }
    // `token_type=bearer expires_in=3600`: the next field.
    let field = b[i..to].iter().take_while(|c| c.is_ascii_lowercase() || **c == b'_').count();
    if field > 0 && at(b, i + field) == b'=' && at(b, i + field + 1).is_ascii_alphanumeric() {
        return;
    }
    scan.mark(i, to, "bearer", CONTEXT);
}

/// `Basic X` where no key announces it. Only what decodes to `user:password`, because "basic" is an everyday word.
pub(super) fn basic(scan: &mut Scan<'_>, hit: usize) {
    use base64::Engine as _;
    let b = scan.bytes;
    let end = hit + "basic".len();
    let i = skip_blanks(b, end);
    if i == end || !begins_word(b, hit) {
        return;
    }
    let to = scan.run_end(i, Set::Base64);
    let trimmed = b[i..to].iter().rposition(|c| *c != b'=').map_or(i, |n| i + n + 1);
    let run = &b[i..trimmed];
    if run.len() < 4 {
        return;
    }
    let standard = base64::engine::general_purpose::STANDARD_NO_PAD.decode(run);
    let decoded = standard.or_else(|_| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(run));
    if decoded.is_ok_and(|d| d.contains(&b':') && d.iter().all(|c| *c >= 0x20)) {
        scan.mark(i, to, "basic", CONTEXT);
    }
}

/// How far after the program's name its credentials are looked for.
const CURL_ARGUMENTS: usize = 512;

/// `curl -u user:password …`, with the flag in any of its spellings.
pub(super) fn curl(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    if !begins_word(b, hit) {
        return;
    }
    let stop = raw_line_end(b, hit).min(hit + CURL_ARGUMENTS);
    let mut i = hit + "curl".len();
    while i < stop {
        i = skip_blanks(b, i);
        let word = b[i..].iter().take_while(|c| c.is_ascii_graphic()).count();
        // Another command begins.
        if matches!(&b[i..i + word], b"|" | b"||" | b"&&" | b";") {
            return;
        }
        let flags = [&b"--proxy-user"[..], b"--user", b"-u", b"-U"];
        if let Some(flag) = flags.iter().find(|flag| b[i..i + word].starts_with(flag)) {
            let joined = i + flag.len();
            // `--user-agent` is another flag.
            let long_other = flag.len() > 2 && !matches!(at(b, joined), b' ' | b'\t' | b'=');
            let value = skip_blanks(b, joined + usize::from(at(b, joined) == b'='));
            if !long_other && value < stop {
                return password_of_pair(scan, value);
            }
        }
        i += word.max(1);
    }
}

/// What follows the first colon of the word or quotation at `value`.
fn password_of_pair(scan: &mut Scan<'_>, value: usize) {
    let b = scan.bytes;
    let open = quote_len(b, value);
    let start = value + open;
    let end = if open > 0 { close_quote(b, value, start) } else { None };
    let end = end.unwrap_or_else(|| start + b[start..].iter().take_while(|c| c.is_ascii_graphic()).count());
    if let Some(colon) = b[start..end].iter().position(|c| *c == b':')
        && !values::harmless(Kind::Password, &b[start + colon + 1..end])
    {
        scan.mark(start + colon + 1, end, "basic", CONTEXT);
    }
}

/// `IDENTIFIED BY 'x'`.
pub(super) fn identified_by(scan: &mut Scan<'_>, hit: usize) {
    let b = scan.bytes;
    let i = skip_blanks(b, hit + "identified by".len());
    let open = quote_len(b, i);
    if open == 0 {
        return;
    }
    let end = close_quote(b, i, i + open).unwrap_or_else(|| raw_line_end(b, i));
    if !values::harmless(Kind::Password, &b[i + open..end]) {
        scan.mark(i + open, end, "key_value", CONTEXT);
    }
}
