//! A strict JSON reader and writer for the verifier: repeated keys are refused, numbers and words stay as spelled,
//! depth is bounded. What it writes is the canonical form: no spaces, keys sorted by their bytes.
//!
//! Deliberately absent: what a row looks like, which is the parent's.

const MAX_DEPTH: usize = 128;

/// Reads one value that fills the whole text.
pub(super) fn parse(text: &str) -> Result<Json, String> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.spaces();
    if parser.at == text.len() { Ok(value) } else { Err(format!("text follows the JSON at byte {}", parser.at)) }
}

pub(super) enum Json {
    /// Numbers, `true`, `false` and `null`, as spelled.
    Plain(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(super) fn write(mut self, out: &mut String) {
        match &mut self {
            Self::Plain(text) => out.push_str(text),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                out.push('[');
                for (at, item) in std::mem::take(items).into_iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                fields.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
                out.push('{');
                for (at, (key, value)) in std::mem::take(fields).into_iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_text(&key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Escapes what JSON demands and nothing else, in its shortest form, hex digits in lowercase.
pub(super) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.spaces();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn need(&mut self, byte: u8) -> Result<(), String> {
        if self.eat(byte) { Ok(()) } else { Err(format!("no JSON at byte {}", self.at)) }
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > MAX_DEPTH {
            return Err("the record is nested too deeply".to_owned());
        }
        self.spaces();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => {
                self.at += 1;
                let mut items = Vec::new();
                if !self.eat(b']') {
                    loop {
                        items.push(self.value(depth + 1)?);
                        if !self.eat(b',') {
                            break;
                        }
                    }
                    self.need(b']')?;
                }
                Ok(Json::List(items))
            }
            Some(b'"') => self.string().map(Json::Text),
            Some(_) | None => self.plain(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, String> {
        self.at += 1;
        let mut fields = Vec::new();
        let mut seen = std::collections::HashSet::new();
        if !self.eat(b'}') {
            loop {
                self.spaces();
                let key = self.string()?;
                if !seen.insert(key.clone()) {
                    return Err(format!("the key {key:?} is repeated"));
                }
                self.need(b':')?;
                fields.push((key, self.value(depth + 1)?));
                if !self.eat(b',') {
                    break;
                }
            }
            self.need(b'}')?;
        }
        Ok(Json::Object(fields))
    }

    fn plain(&mut self) -> Result<Json, String> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
        let word = &rest[..end];
        if !matches!(word, "true" | "false" | "null") && !is_number(word) {
            return Err(format!("no JSON at byte {}", self.at));
        }
        self.at += end;
        Ok(Json::Plain(word.to_owned()))
    }

    fn string(&mut self) -> Result<String, String> {
        let start = self.at;
        let wrong = || format!("a broken string at byte {start}");
        if self.peek() != Some(b'"') {
            return Err(wrong());
        }
        let mut chars = self.text[start + 1..].char_indices();
        let mut text = String::new();
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + offset + 2;
                    return Ok(text);
                }
                '\\' => {
                    let (_, escape) = chars.next().ok_or_else(wrong)?;
                    text.push(match escape {
                        '"' | '\\' | '/' => escape,
                        'b' => '\u{8}',
                        'f' => '\u{c}',
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        'u' => unicode(&mut chars).ok_or_else(wrong)?,
                        _ => return Err(wrong()),
                    });
                }
                c if c < ' ' => return Err(wrong()),
                c => text.push(c),
            }
        }
        Err(wrong())
    }
}

/// The rest of a `\uXXXX`, with its second half where the first is a high surrogate.
fn unicode(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    let mut unit = || (0..4).try_fold(0, |sum, _| Some(sum * 16 + chars.next()?.1.to_digit(16)?));
    let first = unit()?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    if (chars.next()?.1, chars.next()?.1) != ('\\', 'u') {
        return None;
    }
    let second = (0..4).try_fold(0, |sum, _| Some(sum * 16 + chars.next()?.1.to_digit(16)?))?;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)
}

fn is_number(word: &str) -> bool {
    let word = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = word.split_once(['e', 'E']).map_or((word, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}
