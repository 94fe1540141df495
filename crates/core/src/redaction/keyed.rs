//! Secrets that a name announces: `key=value` in all its spellings.
//!
//! From the hit of a key word the whole name is taken, then what joins it to a value. Which names are secret is decided
//! in `names`, how far the value goes in `extent`.

use super::extent::{Join, secret};
use super::names::{self, Kind, Reach};
use super::scan::{CONTEXT, Scan, at, ends_with, quote_len, skip_blanks, starts_with};

pub(super) fn name_byte(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_'
}

/// The whole name around `i`. `-` and `.` belong to it only between other parts.
pub(super) fn name_around(b: &[u8], i: usize) -> (usize, usize) {
    let (mut start, mut end) = (i, i);
    while start > 0
        && (name_byte(b[start - 1]) || (matches!(b[start - 1], b'-' | b'.') && start > 1 && name_byte(b[start - 2])))
    {
        start -= 1;
    }
    while end < b.len() && (name_byte(b[end]) || (matches!(b[end], b'-' | b'.') && name_byte(at(b, end + 1)))) {
        end += 1;
    }
    (start, end)
}

pub(super) fn find(scan: &mut Scan<'_>, hit: usize) {
    if hit < scan.keys_done {
        return;
    }
    let b = scan.bytes;
    let (start, end) = name_around(b, hit);
    scan.keys_done = end.max(hit + 1);
    let quote = quote_len(b, end);
    let Some((join, value)) = separator(b, start, end, quote) else {
        return;
    };
    // A name is never this long, and a long run of letters must not cost more than its length.
    let name = &b[start.max(end.saturating_sub(160))..end];
    let Some(kind) = names::kind(name, Reach::Text, quote > 0) else {
        return;
    };
    if join == Join::Flag && kind == Kind::Tokens {
        return;
    }
    // `Unexpected token: punc` quotes what a parser met.
    if kind == Kind::Token && ends_with(&b[..start], b"unexpected ") {
        return;
    }
    // `--- PASS: TestName` reports a test.
    if kind == Kind::Pass && !b[end..value].contains(&b'=') {
        return;
    }
    if let Some((from, to)) = secret(b, kind, join, value) {
        let rule = match kind {
            Kind::Authorization => "authorization",
            Kind::Cookie => "cookie",
            Kind::Password | Kind::Pwd | Kind::Pass | Kind::Secret | Kind::Token | Kind::Tokens => "key_value",
        };
        scan.mark(from, to, rule, CONTEXT);
        scan.keys_done = scan.keys_done.max(to);
    }
}

/// What stands between the name that ends at `end` and its value, and where the value begins.
fn separator(b: &[u8], start: usize, end: usize, quote: usize) -> Option<(Join, usize)> {
    // In `scheme://name:value@host` the name is a user; that has its own rule. In `arn:…:secret:name` it is a part.
    let word = start - b[..start].iter().rev().take(128).take_while(|c| c.is_ascii_graphic()).count();
    if b[..start].ends_with(b"://") || starts_with(b, word, b"arn:") {
        return None;
    }
    let query = start > 0 && matches!(b[start - 1], b'?' | b'&' | b';') || b[..start].ends_with(b"%26");
    let plain = if query { Join::Query } else { Join::Plain };
    let mut i = end + quote;
    if at(b, i) == b']' {
        i += 1;
    }
    // PostgreSQL reports `Key (token)=(abc) already exists`.
    if starts_with(b, i, b")=(") && b[..start].ends_with(b"(") {
        i += 1;
    }
    let spaced = skip_blanks(b, i);
    let after = match at(b, spaced) {
        b':' => match at(b, spaced + 1) {
            b':' => return None,
            b'/' if at(b, spaced + 2) == b'/' => return None,
            b'=' => spaced + 2,
            _ => spaced + 1,
        },
        b'=' if at(b, spaced + 1) == b'=' && compares_variables(b, spaced + 2) => return None,
        b'=' => spaced + 1 + usize::from(matches!(at(b, spaced + 1), b'=' | b'>')),
        b'%' if starts_with(b, spaced, b"%3d") || starts_with(b, spaced, b"%3a") => spaced + 3,
        b'\\' if starts_with(b, spaced, b"\\u003d") => spaced + 6,
        b'>' if quote == 0 && in_tag(b, start) => return Some((Join::Element, spaced + 1)),
        _ => return named_pair(b, end, quote).or_else(|| bare(b, start, i, spaced)),
    };
    Some((plain, skip_blanks(b, after)))
}

/// `token == expected_token` in quoted source: no value, only the name of one.
fn compares_variables(b: &[u8], i: usize) -> bool {
    let i = skip_blanks(b, i);
    let word = b[i..].iter().take(64).take_while(|c| c.is_ascii_graphic());
    let mut joined = false;
    for c in word {
        match c {
            b'_' | b'.' => joined = true,
            c if c.is_ascii_lowercase() || matches!(c, b')' | b':') => {}
            _ => return false,
        }
    }
    joined
}

/// `<password>` or `<ns:password>`.
fn in_tag(b: &[u8], start: usize) -> bool {
    let before = &b[..start];
    before.ends_with(b"<")
        || before.strip_suffix(b":").is_some_and(|s| {
            let letters = s.iter().rev().take(32).take_while(|c| c.is_ascii_alphanumeric()).count();
            s[..s.len() - letters].ends_with(b"<")
        })
}

/// `{"name": "DB_PASSWORD", "value": "x"}`, the same in YAML, and a header as a pair: `("Cookie", "a=b")`.
fn named_pair(b: &[u8], end: usize, quote: usize) -> Option<(Join, usize)> {
    let gap = |mut i: usize| {
        let stop = i + 64;
        while i < stop && matches!(at(b, i), b' ' | b'\t' | b'\n' | b'\r') {
            i += 1;
        }
        i
    };
    let mut i = end + quote;
    let comma = gap(i);
    let listed = at(b, comma) == b',';
    i = gap(if listed { comma + 1 } else { comma });
    if i == end + quote {
        return None;
    }
    let open = quote_len(b, i);
    if starts_with(b, i + open, b"value") {
        let after = i + open + 5;
        let after = skip_blanks(b, after + quote_len(b, after));
        if matches!(at(b, after), b':' | b'=') {
            return Some((Join::Plain, skip_blanks(b, after + 1)));
        }
    }
    // Only names that are headers: `["password", "username"]` lists fields.
    let (start, _) = name_around(b, end.saturating_sub(1));
    let header = matches!(
        names::kind(&b[start.max(end.saturating_sub(160))..end], Reach::Text, true),
        Some(Kind::Authorization | Kind::Cookie)
    ) || starts_with(b, start, b"x-");
    (listed && quote > 0 && open > 0 && header).then_some((Join::Plain, i))
}

/// `--password hunter2`, `PASSWORD 'hunter2'`, and `login bob password hunter2` of a `.netrc`.
fn bare(b: &[u8], start: usize, end: usize, value: usize) -> Option<(Join, usize)> {
    if value == end {
        return None;
    }
    let flag = b[..start].ends_with(b"--") && at(b, value) != b'-';
    let sql = at(b, value) == b'\'' && b[start..end].eq_ignore_ascii_case(b"password");
    (flag || sql || netrc(b, start, end)).then_some((Join::Flag, value))
}

fn netrc(b: &[u8], start: usize, end: usize) -> bool {
    let before = b[..start].trim_ascii_end();
    let user = before.iter().rev().take(64).take_while(|c| c.is_ascii_graphic()).count();
    user > 0
        && before.len() < start
        && b[start..end].eq_ignore_ascii_case(b"password")
        && before[..before.len() - user].trim_ascii_end().ends_with(b"login")
}
