//! Lines of `key=value` pairs.

use super::{
    json::{Text, Value},
    level::Scale,
};

/// Whether the line has a level among pairs.
pub fn possible(line: &str) -> bool {
    let mut rest = line;
    while let Some(at) = rest.find('=') {
        let name = rest[..at].rsplit([' ', '\t', '{', '[', '(', ',']).next().unwrap_or_default();
        if Scale::of_field(name).is_some() {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// Calls `visit` with each pair; words that are no pairs are stepped over.
pub fn pairs<'a>(line: &'a str, mut visit: impl FnMut(&'a str, Value<'a>)) {
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if matches!(bytes[at], b' ' | b'\t' | b',' | b'{' | b'[' | b'(') {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && !matches!(bytes[at], b'=' | b' ' | b'\t') {
            at += 1;
        }
        if bytes.get(at) != Some(&b'=') {
            continue;
        }
        let name = &line[start..at];
        at += 1;
        let (raw, escaped, next) = value(bytes, at);
        at = next;
        if !name.is_empty() && name.len() <= 64 {
            visit(name, Value::Text(Text { raw, escaped }));
        }
    }
}

/// The value from `at` on, whether it has escapes, and where the next pair may begin.
fn value(bytes: &[u8], at: usize) -> (&[u8], bool, usize) {
    if bytes.get(at) != Some(&b'"') {
        let length = bytes[at..].iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(bytes.len() - at);
        return (&bytes[at..at + length], false, at + length);
    }
    let start = at + 1;
    let mut end = start;
    let mut escaped = false;
    while end < bytes.len() && bytes[end] != b'"' {
        if bytes[end] == b'\\' {
            escaped = true;
            end += 1;
        }
        end += 1;
    }
    let end = end.min(bytes.len());
    (&bytes[start..end], escaped, end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read() {
        let mut seen = Vec::new();
        pairs(r#"time="2026-01-02T03:04:05Z" level=error msg="say \"no\"" plain n=1 e="#, |name, value| {
            if let Value::Text(text) = value {
                seen.push(format!("{name}={}", text.decode(100)));
            }
        });
        assert_eq!(seen, ["time=2026-01-02T03:04:05Z", "level=error", "msg=say \"no\"", "n=1", "e="]);
    }

    #[test]
    fn a_level_makes_pairs() {
        assert!(possible("level=error msg=x"));
        assert!(possible("ts=1 lvl=eror caller=x"));
        assert!(!possible("a=b c=d"));
        assert!(!possible("error_count=0"));
        assert!(!possible("the sublevel=3"));
    }
}
