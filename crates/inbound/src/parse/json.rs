//! The members of a JSON record, read from bytes as they come: nested and dotted names alike, a record that was cut
//! short up to its cut.
//!
//! Lenient on purpose: a raw control character, bytes that are no UTF-8 or a trailing comma do not hide a failure.
//! Nothing is copied but names and what a visitor asks for. Objects beyond [`DEPTH`] and elements of arrays are stepped
//! over. Deliberately absent: values as a tree.

use std::borrow::Cow;

/// How deep members are visited.
const DEPTH: usize = 6;
/// The longest dotted name that is visited.
const NAME: usize = 160;

/// A member's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Text(Text<'a>),
    Number(&'a str),
    Bool(bool),
    Null,
    /// With its brackets.
    Array(&'a [u8]),
}

/// A string as it stands in the record, without its quotes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Text<'a> {
    pub raw: &'a [u8],
    pub escaped: bool,
}

impl<'a> Text<'a> {
    /// At most `limit` bytes of the text, cut where a character ends.
    pub fn decode(self, limit: usize) -> Cow<'a, str> {
        if self.escaped {
            return Cow::Owned(unescape(self.raw, limit));
        }
        match String::from_utf8_lossy(bounded(self.raw, limit)) {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..tandem_core::text::floor_char_boundary(text, limit)]),
            Cow::Owned(mut text) => {
                text.truncate(tandem_core::text::floor_char_boundary(&text, limit));
                Cow::Owned(text)
            }
        }
    }
}

/// The head of `bytes`, never in the middle of a character.
fn bounded(bytes: &[u8], limit: usize) -> &[u8] {
    if bytes.len() <= limit {
        return bytes;
    }
    let mut end = limit;
    while end > limit.saturating_sub(3) && (bytes[end] & 0xC0) == 0x80 {
        end -= 1;
    }
    &bytes[..end]
}

/// How the reading of a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The record is whole.
    Whole,
    /// The bytes ended inside of it.
    Cut,
    /// It is no JSON object.
    Broken,
    /// The visitor had seen enough.
    Enough,
}

/// Reads records one after the other; keeps its buffer.
#[derive(Debug, Default)]
pub struct Reader {
    path: String,
}

impl Reader {
    /// Calls `visit` with the dotted name and the value of each member; it answers whether it wants more.
    pub fn members<'a>(&mut self, bytes: &'a [u8], mut visit: impl FnMut(&str, Value<'a>) -> bool) -> End {
        self.path.clear();
        let mut scan = Scan { bytes, at: 0 };
        scan.spaces();
        if scan.next() != Some(b'{') {
            return End::Broken;
        }
        // The length of the path around each open object.
        let mut around = [0_usize; DEPTH];
        let mut depth = 0;
        loop {
            scan.spaces();
            match scan.peek() {
                None => return End::Cut,
                Some(b',') => scan.at += 1,
                Some(b'}') => {
                    scan.at += 1;
                    if depth == 0 {
                        scan.spaces();
                        return if scan.peek().is_none() { End::Whole } else { End::Broken };
                    }
                    depth -= 1;
                    self.path.truncate(around[depth]);
                }
                Some(b'"') => {
                    let Some(name) = scan.text() else { return End::Cut };
                    scan.spaces();
                    match scan.next() {
                        None => return End::Cut,
                        Some(b':') => scan.spaces(),
                        Some(_) => return End::Broken,
                    }
                    let outer = self.path.len();
                    let named = outer + name.raw.len() <= NAME;
                    if named {
                        self.path.push_str(&name.decode(NAME));
                    }
                    match scan.peek() {
                        Some(b'{') if named && depth < DEPTH => {
                            scan.at += 1;
                            self.path.push('.');
                            around[depth] = outer;
                            depth += 1;
                            continue;
                        }
                        _ => match scan.value() {
                            Ok(Some(value)) if named => {
                                if !visit(&self.path, value) {
                                    return End::Enough;
                                }
                            }
                            Ok(_) => {}
                            Err(end) => return end,
                        },
                    }
                    self.path.truncate(outer);
                }
                Some(_) => return End::Broken,
            }
        }
    }
}

/// The strings of an array, in order, joined by line breaks; elements of other kinds are left out.
pub fn joined(array: &[u8], limit: usize) -> String {
    let mut scan = Scan { bytes: array, at: 1 };
    let mut out = String::new();
    while let Some(byte) = scan.peek() {
        if out.len() >= limit {
            break;
        }
        match byte {
            b'"' => match scan.text() {
                Some(text) => {
                    if !out.is_empty() {
                        out.push('\n');
                    }
                    out.push_str(&text.decode(limit - out.len().min(limit)));
                }
                None => break,
            },
            b'{' | b'[' => {
                if scan.nested().is_err() {
                    break;
                }
            }
            _ => scan.at += 1,
        }
    }
    out
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// A string from its opening quote on; `None` when it does not end.
    fn text(&mut self) -> Option<Text<'a>> {
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            let found = at + memchr::memchr2(b'"', b'\\', self.bytes.get(at..)?)?;
            if self.bytes[found] == b'"' {
                self.at = found + 1;
                return Some(Text { raw: &self.bytes[start..found], escaped });
            }
            escaped = true;
            at = found + 2;
        }
    }

    fn value(&mut self) -> Result<Option<Value<'a>>, End> {
        let start = self.at;
        match self.peek() {
            None => Err(End::Cut),
            Some(b'"') => match self.text() {
                Some(text) => Ok(Some(Value::Text(text))),
                None => {
                    // What stands before the cut is told, because it may be the message.
                    let raw = self.bytes.get(start + 1..).unwrap_or_default();
                    self.at = self.bytes.len();
                    Ok(Some(Value::Text(Text { raw, escaped: raw.contains(&b'\\') })))
                }
            },
            Some(b'[') => {
                self.nested()?;
                Ok(Some(Value::Array(&self.bytes[start..self.at])))
            }
            // Deeper than is looked at.
            Some(b'{') => self.nested().map(|()| None),
            Some(_) => {
                let rest = &self.bytes[start..];
                let length = rest
                    .iter()
                    .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))
                    .unwrap_or(rest.len());
                self.at += length;
                let word = std::str::from_utf8(&rest[..length]).unwrap_or_default();
                match word {
                    "true" => Ok(Some(Value::Bool(true))),
                    "false" => Ok(Some(Value::Bool(false))),
                    "null" => Ok(Some(Value::Null)),
                    _ if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => Ok(Some(Value::Number(word))),
                    "" => Err(End::Broken),
                    // Such as `NaN`.
                    _ => Ok(Some(Value::Null)),
                }
            }
        }
    }

    /// Steps over an array or an object.
    fn nested(&mut self) -> Result<(), End> {
        let mut open = 0_usize;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(step) = rest.iter().position(|b| matches!(b, b'"' | b'{' | b'}' | b'[' | b']')) else {
                self.at = self.bytes.len();
                return Err(End::Cut);
            };
            self.at += step;
            match rest[step] {
                b'"' => {
                    if self.text().is_none() {
                        self.at = self.bytes.len();
                        return Err(End::Cut);
                    }
                    continue;
                }
                b'{' | b'[' => open += 1,
                _ => open -= 1,
            }
            self.at += 1;
            if open == 0 {
                return Ok(());
            }
        }
    }
}

fn unescape(raw: &[u8], limit: usize) -> String {
    let mut out = String::with_capacity(raw.len().min(limit));
    let mut rest = raw;
    while !rest.is_empty() && out.len() < limit {
        let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        if plain > 0 {
            let room = limit - out.len();
            out.push_str(&String::from_utf8_lossy(bounded(&rest[..plain], room)));
            rest = &rest[plain..];
            continue;
        }
        let (decoded, used) = escape(rest);
        out.push(decoded);
        rest = &rest[used..];
    }
    out.truncate(tandem_core::text::floor_char_boundary(&out, limit));
    out
}

/// The character of an escape, and how many bytes it took.
fn escape(raw: &[u8]) -> (char, usize) {
    let Some(kind) = raw.get(1) else { return ('\u{fffd}', raw.len()) };
    let plain = match kind {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return unicode(raw),
        other if other.is_ascii() => char::from(*other),
        // Half a character must not be split off.
        _ => return ('\u{fffd}', 1),
    };
    (plain, 2)
}

fn unicode(raw: &[u8]) -> (char, usize) {
    let Some(high) = unit(raw) else { return ('\u{fffd}', 2) };
    if !(0xD800..0xDC00).contains(&high) {
        return (char::from_u32(high).unwrap_or('\u{fffd}'), 6);
    }
    match raw.get(6..).filter(|rest| rest.starts_with(b"\\u")).and_then(unit) {
        Some(low) if (0xDC00..0xE000).contains(&low) => {
            (char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).unwrap_or('\u{fffd}'), 12)
        }
        _ => ('\u{fffd}', 6),
    }
}

fn unit(raw: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(raw.get(2..6)?).ok()?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (End, Vec<String>) {
        let mut seen = Vec::new();
        let end = Reader::default().members(text.as_bytes(), |name, value| {
            let value = match value {
                Value::Text(text) => format!("'{}'", text.decode(100)),
                Value::Number(number) => number.to_owned(),
                Value::Bool(value) => value.to_string(),
                Value::Null => "null".to_owned(),
                Value::Array(array) => format!("[{}]", joined(array, 100)),
            };
            seen.push(format!("{name}={value}"));
            true
        });
        (end, seen)
    }

    #[test]
    fn nested_and_dotted_names_are_the_same() {
        let expected = vec!["log.level='error'".to_owned(), "n=-1.5e3".to_owned(), "ok=true".to_owned()];
        assert_eq!(read(r#"{"log":{"level":"error"},"n":-1.5e3,"ok":true}"#), (End::Whole, expected.clone()));
        assert_eq!(read(r#" { "log.level" : "error" , "n" : -1.5e3, "ok":true } "#), (End::Whole, expected));
        let deep = r#"{"a":{"b":{"c":null},"d":[1,"x",{"y":"z"},"w"]},"e":{}}"#;
        assert_eq!(read(deep), (End::Whole, vec!["a.b.c=null".into(), "a.d=[x\nw]".into()]));
    }

    #[test]
    fn escapes() {
        let (_, seen) = read(r#"{"k\u0065y":"a\"b\\c\n\u00e9\ud83d\ude00\ud83dx\q"}"#);
        assert_eq!(seen, ["key='a\"b\\c\né😀\u{fffd}xq'"]);
    }

    #[test]
    fn what_is_cut_or_broken_says_so() {
        assert_eq!(read(r#"{"level":"error","msg":"half a mess"#).0, End::Cut);
        assert_eq!(read(r#"{"level":"error","msg":"half a mess"#).1[1], "msg='half a mess'");
        assert_eq!(read(r#"{"level":"error","more":{"a":[1,2"#).0, End::Cut);
        for text in ["", "x", "[1]", "{x}", r#"{"a":1} tail"#, r#"{"a" 1}"#, r#"{"a":}"#] {
            assert_eq!(read(text).0, End::Broken, "{text}");
        }
    }

    #[test]
    fn deep_nesting_costs_no_stack_and_limits_hold() {
        let deep = "{\"a\":".repeat(100_000);
        assert_eq!(read(&deep).0, End::Cut);
        let closed = format!("{{\"a\":{}1{},\"b\":2}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(read(&closed).1.last().map(String::as_str), Some("b=2"));
        let text = Text { raw: "añb".as_bytes(), escaped: false };
        assert_eq!(text.decode(2), "a");
        assert_eq!(Text { raw: "a\\u00f1b".as_bytes(), escaped: true }.decode(2), "a");
        assert_eq!(Text { raw: b"a\xffb", escaped: false }.decode(10), "a\u{fffd}b");
    }
}
