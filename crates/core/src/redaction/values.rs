//! Which values are plainly no secret, whatever their key is called: masks, references, prose, counts, code.

use super::names::Kind;
use super::scan::{at, starts_with};

/// Whether `value`, found under a name of `kind`, may stay readable.
pub(super) fn harmless(kind: Kind, value: &[u8]) -> bool {
    let v = value.trim_ascii();
    if v.is_empty() || masked(v) {
        return true;
    }
    // Anything longer is not looked into; that also bounds the work when names stand inside values.
    v.len() <= 256 && (reference(v) || prose(v) || number(kind, v) || code(v) || path(kind, v))
}

/// Something that already stands in the place of a secret.
pub(super) fn masked(v: &[u8]) -> bool {
    const MARKS: [&str; 11] = [
        "[redacted]",
        "<redacted>",
        "(redacted)",
        "redacted",
        "[filtered]",
        "<filtered>",
        "[hidden]",
        "<hidden>",
        "[masked]",
        "<masked>",
        "[secret]",
    ];
    if MARKS.iter().any(|m| m.as_bytes().eq_ignore_ascii_case(v)) {
        return true;
    }
    let all = |set: &[u8]| v.iter().all(|c| set.contains(c));
    all(b"*") || (v.len() >= 3 && all(b"xX")) || all(b".-_") || all(b"{}[]()<>,;:.'\"`\\=/?|+-")
        // U+2022 and U+2026: bullets and an ellipsis.
        || (v.len().is_multiple_of(3) && v.chunks(3).all(|c| matches!(c, [0xe2, 0x80, 0xa2 | 0xa6])))
}

/// A name for a secret that lives elsewhere, or a placeholder for one.
fn reference(v: &[u8]) -> bool {
    let name = |s: &[u8]| !s.is_empty() && s.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.'));
    let upper = |s: &[u8]| {
        s.first().is_some_and(|c| c.is_ascii_uppercase() || *c == b'_')
            && s.iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == b'_')
    };
    let inside = |open: &[u8], close: &[u8]| v.strip_prefix(open).and_then(|s| s.strip_suffix(close));
    if let Some(s) = inside(b"${", b"}") {
        // `${VAR:-default}` carries a value of its own.
        return name(s) || inside(b"${{", b"}}").is_some();
    }
    if inside(b"{{", b"}}").is_some() || inside(b"%", b"%").is_some_and(upper) {
        return true;
    }
    if let Some(s) = inside(b"{", b"}") {
        return s.len() <= 32 && name(s) && !s.iter().any(u8::is_ascii_digit);
    }
    if let Some(s) = inside(b"<", b">") {
        return s.iter().all(|c| c.is_ascii_alphabetic() || matches!(c, b'_' | b'-' | b' '));
    }
    v.strip_prefix(b"$").is_some_and(upper)
        || v.strip_prefix(b"env:").is_some_and(upper)
        || v.strip_prefix(b"process.env.").is_some_and(upper)
        || matches!(v, b"%s" | b"%r" | b"%v" | b"%q" | b"?" | b"$1")
}

/// Only words that people and programs use in the place of a value. One of them must be more than a letter.
fn prose(v: &[u8]) -> bool {
    let split = |c: &u8| matches!(c, b' ' | b',' | b'"' | b'\'' | b'[' | b']' | b'\\' | b'.' | b'!');
    let words = || v.split(split).filter(|w| !w.is_empty());
    v.len() <= 120 && words().any(|w| w.len() > 1) && words().all(prose_word)
}

pub(super) fn prose_word(word: &[u8]) -> bool {
    let mut lower = [0u8; 16];
    let Some(lower) = lower.get_mut(..word.len()) else { return false };
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    let lower: &[u8] = lower;
    matches!(
        lower,
        // No value.
        b"null" | b"none" | b"nil" | b"undefined" | b"nan" | b"n/a" | b"na" | b"true" | b"false" | b"yes" | b"no" | b"on"
            | b"off" | b"empty" | b"blank" | b"unset" | b"absent" | b"default" | b"unknown"
        // What happened to it.
            | b"missing" | b"required" | b"optional" | b"invalid" | b"valid" | b"expired" | b"incorrect" | b"wrong"
            | b"denied" | b"failed" | b"rejected" | b"revoked" | b"refused" | b"granted" | b"ok" | b"present" | b"set"
            | b"found" | b"enabled" | b"disabled" | b"forbidden" | b"unauthorized" | b"permission" | b"malformed"
            | b"mismatch" | b"unexpected" | b"unsupported" | b"timeout" | b"error" | b"accepted" | b"verified"
            | b"include" | b"omit" | b"same-origin" | b"expected" | b"field" | b"changed" | b"updated" | b"removed" | b"provided" | b"configured"
        // What joins such words.
            | b"is" | b"was" | b"are" | b"be" | b"been" | b"has" | b"have" | b"had" | b"not" | b"must" | b"should"
            | b"can" | b"cannot" | b"can't" | b"may" | b"will" | b"does" | b"did" | b"doesn't" | b"the" | b"a" | b"an"
            | b"too" | b"short" | b"long" | b"weak" | b"match" | b"matches" | b"and" | b"or" | b"for" | b"to" | b"from"
            | b"in" | b"by" | b"at" | b"of" | b"with" | b"if" | b"when" | b"this" | b"it"
        // Types and schemes.
            | b"string" | b"str" | b"&str" | b"option<string>" | b"secretstring" | b"bytes" | b"int" | b"integer"
            | b"number" | b"bool" | b"boolean" | b"object" | b"array" | b"text" | b"varchar" | b"bearer" | b"basic"
            | b"oauth" | b"oauth2" | b"jwt" | b"digest"
    )
}

fn number(kind: Kind, v: &[u8]) -> bool {
    let digits = v.iter().filter(|c| c.is_ascii_digit()).count();
    if digits == 0 {
        return false;
    }
    let plain = v.iter().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b',' | b'_' | b' ' | b'/' | b'%' | b':'));
    match kind {
        Kind::Password | Kind::Pwd => false,
        // `pass: 12`, `cookies=3`.
        Kind::Pass | Kind::Cookie => plain && digits <= 6,
        // `max_tokens: 128000`, `tokens=12k`, `tokens: [101, 2023]`.
        Kind::Tokens => {
            let v = v.strip_prefix(b"[").and_then(|v| v.strip_suffix(b"]")).unwrap_or(v);
            let v = v.strip_suffix(b"k").or_else(|| v.strip_suffix(b"M")).unwrap_or(v);
            v.iter().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b',' | b'_' | b' ' | b'/' | b'-'))
        }
        // A small number, or a line and a column. Six digits may be a one-time code.
        Kind::Secret | Kind::Token | Kind::Authorization => {
            plain && (digits <= 3 || (digits <= 8 && v.contains(&b':') && v[0] != b':'))
        }
    }
}

/// Source code, as stack traces quote it: `get_token()`, `self.password`, `os.getenv("TOKEN")`.
fn code(v: &[u8]) -> bool {
    const ROOTS: [&[u8]; 11] = [
        b"self.",
        b"this.",
        b"os.environ",
        b"os.getenv",
        b"process.env",
        b"config.",
        b"settings.",
        b"request.",
        b"args.",
        b"options.",
        b"params.",
    ];
    let path = v.iter().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b':')).count();
    if path == 0 || v[0].is_ascii_digit() {
        return false;
    }
    let (name, rest) = v.split_at(path);
    let tail = rest.iter().rposition(|c| !matches!(c, b';' | b',' | b'?')).map_or(&rest[..0], |n| &rest[..=n]);
    if tail == b"()" {
        return true;
    }
    let dotted = name.iter().any(|c| matches!(c, b'_' | b'.'));
    let arguments = |c: &u8| c.is_ascii_lowercase() || matches!(c, b'_' | b'.' | b'(' | b')' | b',' | b' ');
    if dotted && at(tail, 0) == b'(' && tail.iter().all(arguments) {
        return true;
    }
    ROOTS.iter().any(|r| starts_with(v, 0, r))
        && v.iter().all(|c| c.is_ascii_lowercase() || matches!(c, b'_' | b'.' | b'(' | b')' | b',' | b'[' | b']'))
}

/// `PWD=/srv/app` is where a process runs.
fn path(kind: Kind, v: &[u8]) -> bool {
    kind == Kind::Pwd
        && (v[0] == b'/' || v[0] == b'~' || (v[0].is_ascii_alphabetic() && at(v, 1) == b':' && at(v, 2) == b'\\'))
}

/// Whether a word looks like a credential: long, with a digit among letters.
pub(super) fn looks_random(v: &[u8], min: usize) -> bool {
    v.len() >= min && v.iter().any(u8::is_ascii_digit) && v.iter().any(u8::is_ascii_alphabetic)
}
