//! What container runtimes wrap around each line that a program wrote: Docker's JSON, and the words of the container
//! runtime interface. The line inside is what counts; its place in the file is that of the whole.

use std::borrow::Cow;

use super::json::{End, Reader, Value};

/// The longest line inside.
const LINE: usize = 1 << 20;

/// Whether the line is a record of Docker's, so that looking inside is worth it.
pub fn docker(line: &[u8]) -> bool {
    line.starts_with(b"{\"log\":\"")
}

/// The line inside of a wrapped one; any other line as it is.
pub fn inside<'a>(reader: &mut Reader, line: &'a [u8]) -> Cow<'a, [u8]> {
    if docker(line)
        && let Some(text) = log(reader, line)
    {
        return Cow::Owned(text.into_bytes());
    }
    Cow::Borrowed(cri(line).unwrap_or(line))
}

/// The beginning of the line inside, without decoding it.
pub fn peek(line: &[u8]) -> &[u8] {
    if docker(line) { &line[8..] } else { cri(line).unwrap_or(line) }
}

fn log(reader: &mut Reader, line: &[u8]) -> Option<String> {
    let (mut log, mut stream) = (None, false);
    let end = reader.members(line, |path, value| {
        match (path, value) {
            ("log", Value::Text(text)) => log = Some(text),
            ("stream", Value::Text(_)) => stream = true,
            _ => {}
        }
        true
    });
    let log = log.filter(|_| end == End::Whole && stream)?;
    let mut text = log.decode(LINE);
    let length = text.trim_end_matches(['\n', '\r']).len();
    text.to_mut().truncate(length);
    Some(text.into_owned())
}

/// `2026-01-02T03:04:05.123456789Z stderr F the line`
fn cri(line: &[u8]) -> Option<&[u8]> {
    if !line.first().is_some_and(u8::is_ascii_digit) || line.get(10) != Some(&b'T') {
        return None;
    }
    let zone = line.iter().take(40).position(|b| *b == b' ')?;
    let rest = &line[zone + 1..];
    let rest = rest.strip_prefix(b"stdout ").or_else(|| rest.strip_prefix(b"stderr "))?;
    rest.strip_prefix(b"F ").or_else(|| rest.strip_prefix(b"P "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_lines_are_opened() {
        for (line, expected) in [
            (r#"{"log":"a \"b\"\n","stream":"stderr","time":"2026-01-02T03:04:05Z"}"#, "a \"b\""),
            (r#"{"log":"a","message":"b"}"#, r#"{"log":"a","message":"b"}"#),
            ("2026-01-02T03:04:05.123456789Z stderr F   indented", "  indented"),
            ("2026-01-02T03:04:05Z ERROR x", "2026-01-02T03:04:05Z ERROR x"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(inside(&mut Reader::default(), line.as_bytes()), expected.as_bytes(), "{line}");
        }
    }
}
