//! How far a value goes, and which part of it is the secret.
//!
//! Judged so that nothing of it survives: rather some text too much is replaced than the tail of a password too little.

use super::keyed::{name_around, name_byte};
use super::names::Kind;
use super::scan::{at, close_quote, line_end, quote_len, raw_line_end, skip_blanks, starts_with};
use super::values;

/// How a value follows its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    Plain,
    /// In the query of a URL, where `&` always ends a value.
    Query,
    /// Between XML tags.
    Element,
    /// After a command-line flag, with only a space between.
    Flag,
}

/// Schemes with one word of credentials after them.
const SCHEMES: [&str; 17] = [
    "bearer",
    "basic",
    "token",
    "apikey",
    "api-key",
    "negotiate",
    "ntlm",
    "key",
    "dpop",
    "bot",
    "ssws",
    "splunk",
    "sharedkey",
    "sharedkeylite",
    "geniekey",
    "flyv1",
    "hmac",
];

/// Schemes with a list of parameters after them.
const PARAMETERISED: [&str; 7] = ["digest", "aws4-hmac-sha256", "hawk", "oauth", "signature", "mac", "googlelogin"];

fn listed(word: &[u8], list: &[&str]) -> bool {
    list.iter().any(|s| s.as_bytes().eq_ignore_ascii_case(word))
}

/// The bytes to replace in the value that begins at `i`, if any.
pub(super) fn secret(b: &[u8], kind: Kind, join: Join, i: usize) -> Option<(usize, usize)> {
    // A private key has its own rule, which keeps the lines around it.
    if i >= b.len() || marked(b, i) || b[i..].starts_with(b"-----BEGIN ") {
        return None;
    }
    if join == Join::Element {
        let end = i + b[i..].iter().take_while(|c| !matches!(**c, b'<' | b'\n' | b'\r')).count();
        return within(b, kind, i, end);
    }
    if let Some(open) = opening(b, i) {
        let start = open + quote_len(b, open);
        let end = close_quote(b, open, start).unwrap_or_else(|| raw_line_end(b, start));
        // `os.getenv("DB_PASSWORD")` names where the secret is.
        if open > i
            && matches!(b[open - 1], b'(' | b'[')
            && b[start..end].iter().all(|c| c.is_ascii_uppercase() || *c == b'_')
        {
            return None;
        }
        return within(b, kind, start, end);
    }
    if b[i] == b'<'
        && let Some(n) = b[i..].iter().take(48).position(|c| *c == b'>')
        && values::harmless(kind, &b[i..=i + n])
    {
        return None;
    }
    if matches!(at(b, i), b'[' | b'{') && !starts_with(b, i, b"[redacted]") {
        let end = bracket_end(b, i);
        return (!values::harmless(kind, &b[i..end])).then_some((i, end));
    }
    if kind == Kind::Cookie {
        // A cookie's name is short, so `=` comes soon or never.
        let mut soon = b[i..].iter().take(256).take_while(|c| !matches!(**c, b'\n' | b'\r'));
        if soon.any(|c| *c == b'=') {
            let line = quoted_line_end(b, i);
            if b[i..line].contains(&b'=') {
                return (!values::masked(b[i..line].trim_ascii())).then_some((i, trim(b, i, line)));
            }
        }
    }
    let end = word_end(b, i, join);
    if join == Join::Flag && values::harmless(kind, &b[i..end]) {
        return None;
    }
    if !matches!(kind, Kind::Password | Kind::Pwd | Kind::Pass) {
        let next = skip_blanks(b, end);
        let more = next > end && next < b.len() && !matches!(b[next], b'\n' | b'\r');
        if listed(&b[i..end], &PARAMETERISED) {
            let line =
                if listed(&b[i..end], &["aws4-hmac-sha256"]) { quoted_line_end(b, next) } else { line_end(b, next) };
            return (more && !values::masked(b[next..line].trim_ascii())).then_some((next, trim(b, next, line)));
        }
        if listed(&b[i..end], &SCHEMES) {
            if !more {
                return None;
            }
            // The quotation marks around `Bearer "x"` stay.
            let open = quote_len(b, next);
            let stop = if open > 0 { close_quote(b, next, next + open) } else { None };
            let stop = stop.unwrap_or_else(|| word_end(b, next + open, join));
            let word = &b[next + open..stop];
            let alone = kind != Kind::Authorization && !values::looks_random(word, 1) && prose_after(word);
            return (!values::harmless(kind, word) && !alone).then_some((next + open, stop));
        }
        // A scheme of someone's own: the credentials are the second word.
        if kind == Kind::Authorization && more {
            let second = word_end(b, next, join);
            if values::looks_random(&b[next..second], 12) {
                return Some((i, second));
            }
        }
    }
    (!values::harmless(kind, &b[i..end])).then_some((i, end))
}

/// Words that follow `token:` `Bearer` in prose and are no credentials.
pub(super) fn prose_after(word: &[u8]) -> bool {
    const WORDS: [&str; 14] = [
        "token",
        "tokens",
        "auth",
        "authentication",
        "authorization",
        "realm",
        "scheme",
        "format",
        "header",
        "headers",
        "credentials",
        "credential",
        "access",
        "key",
    ];
    listed(word, &WORDS) || values::prose_word(word)
}

/// The secret in `b[start..end]`, which is a whole value between its delimiters.
fn within(b: &[u8], kind: Kind, start: usize, end: usize) -> Option<(usize, usize)> {
    let value = &b[start..end];
    let first = value.iter().position(|c| *c == b' ').unwrap_or(value.len());
    let passwordlike = matches!(kind, Kind::Password | Kind::Pwd | Kind::Pass);
    let scheme = !passwordlike
        && first < value.len()
        && (listed(&value[..first], &SCHEMES) || listed(&value[..first], &PARAMETERISED));
    let from = if scheme { start + first + 1 } else { start };
    (!values::harmless(kind, &b[from..end])).then_some((from, end))
}

/// Where the value's quotation opens: at `i`, or after the prefix of a literal or a constructor (`b'…'`, `Some("…")`).
fn opening(b: &[u8], i: usize) -> Option<usize> {
    if quote_len(b, i) > 0 {
        return Some(i);
    }
    let mut j = i;
    while j < i + 24 && (name_byte(at(b, j)) || matches!(at(b, j), b':' | b'.' | b'&' | b'@' | b'$')) {
        j += 1;
    }
    if matches!(at(b, j), b'(' | b'[') && j > i {
        j += 1;
    } else if j > i + 1 {
        return None;
    }
    (j > i && quote_len(b, j) > 0).then_some(j)
}

fn marked(b: &[u8], i: usize) -> bool {
    let mark = [&b"[redacted]"[..], b"<redacted>"].into_iter().find(|m| starts_with(b, i, m));
    mark.is_some_and(|m| !name_byte(at(b, i + m.len())))
}

/// The end of a bracketed value on this line.
fn bracket_end(b: &[u8], i: usize) -> usize {
    let line = raw_line_end(b, i);
    let mut depth = 0usize;
    for (n, c) in b[i..line].iter().enumerate() {
        match c {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return i + n + 1;
                }
            }
            _ => {}
        }
    }
    line
}

/// Whether a quotation mark at `i` ends an unquoted value: nothing of a word follows it. One that is written as a code
/// (`%22`) is a part of the value, because nothing was opened by such a one.
fn closes(b: &[u8], i: usize) -> usize {
    let n = quote_len(b, i);
    if n > 0 && at(b, i) != b'%' && !name_byte(at(b, i + n)) && at(b, i + n) < 0x80 { n } else { 0 }
}

fn quoted_line_end(b: &[u8], i: usize) -> usize {
    let line = line_end(b, i);
    (i..line).find(|&j| closes(b, j) > 0).unwrap_or(line)
}

/// The end of an unquoted value.
fn word_end(b: &[u8], start: usize, join: Join) -> usize {
    let mut i = start;
    while i < b.len() && !b[i].is_ascii_whitespace() && b[i] >= 0x20 {
        if closes(b, i) > 0 {
            break;
        }
        let cut = match b[i] {
            b'&' | b'#' if join == Join::Query => true,
            b',' | b';' | b'&' | b'|' => at(b, i + 1).is_ascii_whitespace() || i + 1 == b.len() || next_name(b, i + 1),
            b'<' => at(b, i + 1) == b'/',
            b'%' => starts_with(b, i, b"%26") && next_written(b, i + 3),
            b'\\' => {
                (starts_with(b, i, b"\\u0026") && next_written(b, i + 6))
                    || (matches!(at(b, i + 1), b'n' | b'r' | b't') && next_name(b, i + 2))
            }
            _ => false,
        };
        if cut {
            break;
        }
        i += quote_len(b, i).max(1);
    }
    trim(b, start, i.min(b.len()))
}

/// Closing brackets and commas around a value are no part of it, unless it is a mark of ours.
fn trim(b: &[u8], start: usize, mut end: usize) -> usize {
    while end > start
        && matches!(b[end - 1], b')' | b']' | b'}' | b'>' | b',' | b';' | b' ' | b'\t')
        && !b[start..end].ends_with(b"[redacted]")
        && !(b[end - 1] == b')' && b[start..end].contains(&b'('))
        && !(b[end - 1] == b'}' && b[start..end].contains(&b'{'))
        && !(b[end - 1] == b'>' && b[start..end].contains(&b'<'))
    {
        end -= 1;
    }
    end
}

/// Whether another `name=` or `name:` begins at `i`.
fn next_name(b: &[u8], i: usize) -> bool {
    after_name(b, i).is_some_and(|after| matches!(at(b, after), b'=' | b':'))
}

/// The same behind a sign that was written as a code: then the other one may be, too. Behind a plain sign a code is a part of
/// the value.
fn next_written(b: &[u8], i: usize) -> bool {
    let coded = |after| starts_with(b, after, b"%3d") || starts_with(b, after, b"\\u003d");
    next_name(b, i) || after_name(b, i).is_some_and(coded)
}

/// Behind the name that begins at `i`, if one does.
fn after_name(b: &[u8], i: usize) -> Option<usize> {
    let i = i + if starts_with(b, i, b"amp;") { 4 } else { 0 };
    let i = i + quote_len(b, i);
    if !name_byte(at(b, i)) {
        return None;
    }
    let (_, end) = name_around(b, i);
    Some(end + quote_len(b, end))
}
