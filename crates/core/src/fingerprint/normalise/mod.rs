//! Text without the parts that change from run to run.
//!
//! One pass over the bytes, token by token, no regular expressions: ids, hexadecimal, numbers, durations, sizes,
//! timestamps, addresses, e-mail addresses and absolute paths become placeholders; URLs keep scheme, host and the
//! shape of their path; everything else stays as written, with white space collapsed. Numbers that *name* a failure
//! stay (`HTTP 404`, `exit code 137`, `os error 111`, `40P01`, `E0382`): see [`code`].
//!
//! Deliberately absent: guessing at names. A word without a digit is never a variable part, unless the key before it
//! says so (`request_id=abc`).

mod code;
mod number;
mod place;
mod time;

pub use number::opaque;
pub use place::file_name;
pub use time::find as time_end;

use number::{number_end, quantity};

/// A plain number.
pub const NUMBER: &str = "<n>";
const HEX: &str = "<hex>";
const ID: &str = "<id>";
const UUID: &str = "<uuid>";
const TIME: &str = "<time>";
const DURATION: &str = "<duration>";
const SIZE: &str = "<size>";
const ADDRESS: &str = "<ip>";
const EMAIL: &str = "<email>";
const PATH: &str = "<path>";

/// Placeholders that one and the same variable part may turn into, depending on its random digits.
pub const OPAQUE: [&str; 2] = [HEX, ID];

/// `text` with its volatile parts replaced. Meant to be compared and read, not to be parsed or normalised again.
pub fn normalise(text: &str) -> String {
    scan(text, false).out
}

/// A file name or one segment of a path, where a date or a path cannot occur.
pub fn segment(text: &str) -> String {
    scan(text, true).out
}

/// The error codes in `text`, in order of appearance, without repetition.
pub fn codes(text: &str) -> Vec<String> {
    scan(text, false).codes
}

fn scan(text: &str, segment: bool) -> Scan<'_> {
    let text = super::bounds::text(text);
    let mut scan = Scan {
        text,
        bytes: text.as_bytes(),
        at: 0,
        out: String::with_capacity(text.len()),
        words: [(0, 0); 2],
        codes: Vec::new(),
        has_at: !segment && text.contains('@'),
        request_end: 0,
        segment,
    };
    scan.run();
    let kept = scan.out.trim_end().len();
    scan.out.truncate(kept);
    scan
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    out: String,
    /// The last two words, newest first, as ranges of `text`. An empty range is no word.
    words: [(usize, usize); 2],
    codes: Vec<String>,
    has_at: bool,
    /// Where the target of an HTTP request ended last; its status may follow. 0 before the first one.
    request_end: usize,
    segment: bool,
}

impl<'a> Scan<'a> {
    fn run(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.space(1),
                0x1b => self.escape(),
                0..=0x1f | 0x7f => self.space(1),
                b'0'..=b'9' => self.number(),
                b'A'..=b'Z' | b'a'..=b'z' => self.word(),
                b'/' | b'~' | b'\\' if self.boundary() && !self.segment && self.path() => {}
                b':' if self.boundary() && self.ipv6(self.at) => {}
                b'[' if self.ipv6(self.at + 1) => {}
                b'=' | b':' if self.volatile_value() => {}
                b'-' | b'+' if self.sign() => self.at += 1,
                0x80.. => self.wide(),
                _ => self.verbatim(1),
            }
        }
    }

    fn space(&mut self, length: usize) {
        if !self.out.is_empty() && !self.out.ends_with(' ') {
            self.out.push(' ');
        }
        self.at += length;
    }

    /// Copies `length` bytes of ASCII.
    fn verbatim(&mut self, length: usize) {
        let end = self.at + length;
        self.out.push_str(self.text.get(self.at..end).unwrap_or_default());
        self.at = end;
    }

    /// Replaces everything up to `end`.
    fn replace(&mut self, placeholder: &str, end: usize) {
        self.out.push_str(placeholder);
        self.words = [(0, 0); 2];
        self.at = end;
    }

    /// One character outside ASCII.
    fn wide(&mut self) {
        let Some(c) = self.text.get(self.at..).and_then(|t| t.chars().next()) else {
            self.at = self.bytes.len();
            return;
        };
        if c.is_whitespace() || c.is_control() {
            self.space(c.len_utf8());
        } else {
            self.out.push(c);
            self.at += c.len_utf8();
        }
    }

    /// A terminal's colour sequence.
    fn escape(&mut self) {
        self.at += 1;
        if self.byte(self.at) == Some(b'[') {
            self.at += 1;
            while self.byte(self.at).is_some_and(|b| matches!(b, b'0'..=b'9' | b';' | b'?')) {
                self.at += 1;
            }
            if self.byte(self.at).is_some_and(|b| b.is_ascii()) {
                self.at += 1;
            }
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn before(&self) -> Option<u8> {
        self.at.checked_sub(1).and_then(|at| self.byte(at))
    }

    /// Whether an address or a path may start here.
    fn boundary(&self) -> bool {
        self.before().is_none_or(|b| b.is_ascii_whitespace() || b"\"'`([{=:,;|<>@!".contains(&b))
    }

    /// Whether the sign at hand belongs to a number that is replaced anyway.
    fn sign(&self) -> bool {
        let digit = self.byte(self.at + 1).is_some_and(|b| b.is_ascii_digit());
        digit && self.before().is_some_and(|b| b.is_ascii_whitespace() || b"=([:,".contains(&b))
    }

    fn run_end(&self, from: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        from + rest.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(rest.len())
    }

    fn push_time(&mut self, end: usize) {
        // A date and a time of day are one moment, whether a space or a `T` joins them.
        let repeated = self.out.trim_end().ends_with(TIME);
        if repeated {
            let kept = self.out.trim_end().len();
            self.out.truncate(kept);
        }
        self.replace(if repeated { "" } else { TIME }, end);
    }

    fn number(&mut self) {
        let start = self.at;
        if let Some(end) = self.uuid() {
            return self.replace(UUID, end);
        }
        if !self.segment
            && let Some(end) = time::find(self.bytes, start)
        {
            return self.push_time(end);
        }
        if let Some(end) = place::ipv4(self.bytes, start) {
            return self.replace(ADDRESS, place::port(self.bytes, end));
        }
        if self.ipv6(start) || self.email() {
            return;
        }
        let end = self.run_end(start);
        let run = &self.text[start..end];
        if run.bytes().all(|b| b.is_ascii_digit()) {
            return self.plain_number(end);
        }
        if let Some(hex) = run.strip_prefix("0x").or_else(|| run.strip_prefix("0X"))
            && !hex.is_empty()
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return if code::windows(hex) && code::word_names_code(self.previous()) {
                self.keep(end)
            } else {
                self.replace(HEX, end)
            };
        }
        // `b` and `d` are units and hexadecimal digits both; seven digits in, it is an id.
        let hex = run.len() >= 7 && run.bytes().all(|b| b.is_ascii_hexdigit());
        match quantity(self.bytes, start) {
            Some((unit, end)) if !hex => self.replace(unit, end),
            _ => self.mixed(end),
        }
    }

    /// Digits alone, perhaps with a fraction, thousands, a unit.
    fn plain_number(&mut self, end: usize) {
        if !self.segment {
            if code::keeps(self, end) {
                if self.at > 0 && self.byte(self.at - 1) == Some(b'-') && self.out.ends_with([' ', '=', '(', ':']) {
                    self.out.push('-');
                }
                return self.keep(end);
            }
            if let Some((placeholder, end)) = quantity(self.bytes, self.at) {
                return self.replace(placeholder, end);
            }
        }
        let end = if self.segment { end } else { number_end(self.bytes, self.at) };
        self.replace(NUMBER, end);
    }

    /// Copies a code and remembers it.
    fn keep(&mut self, end: usize) {
        let code = &self.text[self.at..end];
        if !self.codes.iter().any(|c| c == code) {
            self.codes.push(code.to_owned());
        }
        self.out.push_str(code);
        self.remember(self.at, end);
        self.at = end;
    }

    fn remember(&mut self, start: usize, end: usize) {
        self.words = [(start, end), self.words[0]];
    }

    fn previous(&self) -> &'a str {
        self.text.get(self.words[0].0..self.words[0].1).unwrap_or_default()
    }

    fn word(&mut self) {
        let start = self.at;
        if let Some(end) = self.uuid() {
            return self.replace(UUID, end);
        }
        let end = self.run_end(start);
        let run = &self.text[start..end];
        if !self.segment {
            if self.bytes[end..].starts_with(b"://") && self.url(end) {
                return;
            }
            let drive = run.len() == 1 && self.byte(end) == Some(b':') && self.boundary();
            if drive && self.byte(end + 1).is_some_and(|b| b == b'\\' || b == b'/') && self.path() {
                return;
            }
            if let Some(end) = time::find(self.bytes, start) {
                return self.push_time(end);
            }
            if self.ipv6(start) || self.email() {
                return;
            }
            if run.eq_ignore_ascii_case("http") && self.byte(end) == Some(b'/') {
                // The version of the protocol is no number of its own: `HTTP/1.1" 404`.
                let version = number_end(self.bytes, end + 1);
                if version > end + 1 {
                    self.remember(start, version);
                    self.out.push_str(run);
                    self.at = version;
                    return;
                }
            }
        }
        if run.bytes().any(|b| b.is_ascii_digit()) {
            return self.mixed(end);
        }
        if self.pod_suffix(run) {
            return self.replace(ID, end);
        }
        if code::named(self.bytes, start, end) {
            // `ERR_MODULE_NOT_FOUND` is one name, so it is taken with its underscores.
            let end = code::name_end(self.bytes, start);
            return self.keep(end);
        }
        if let Some(end) = code::dashed(self.bytes, start, end) {
            return self.keep(end);
        }
        self.remember(start, end);
        self.out.push_str(run);
        self.at = end;
    }

    /// Letters and digits in one run.
    fn mixed(&mut self, end: usize) {
        let start = self.at;
        let run = &self.text[start..end];
        if !self.segment && (code::compact(run) || code::sqlstate(run) || code::glued_status(run)) {
            return self.keep(end);
        }
        if !self.segment && code::class_name(run) {
            self.out.push_str(run);
            self.remember(start, end);
            self.at = end;
            return;
        }
        if opaque(run) || self.pod_suffix(run) {
            let hex = run.bytes().all(|b| b.is_ascii_hexdigit());
            return self.replace(if hex { HEX } else { ID }, end);
        }
        let version = run.len() <= 3 && matches!(run.as_bytes()[0], b'v' | b'V') && self.byte(end) != Some(b'.');
        if version {
            self.out.push_str(run);
        } else {
            let mut digits = false;
            for c in run.chars() {
                if !c.is_ascii_digit() {
                    self.out.push(c);
                } else if !digits {
                    self.out.push_str(NUMBER);
                }
                digits = c.is_ascii_digit();
            }
        }
        self.remember(start, end);
        self.at = end;
    }

    /// The five letters that a cluster appends to the name of a pod, after the hash of its template.
    fn pod_suffix(&self, run: &str) -> bool {
        let random = run.len() == 5 && run.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        random && OPAQUE.iter().any(|p| self.out.strip_suffix('-').is_some_and(|o| o.ends_with(p)))
    }

    fn uuid(&self) -> Option<usize> {
        let end = self.at + 36;
        let bytes = self.bytes.get(self.at..end)?;
        // The first dash tells most tokens apart before the whole is looked at.
        let shape = bytes[8] == b'-'
            && bytes.iter().enumerate().all(|(i, b)| match i {
                8 | 13 | 18 | 23 => *b == b'-',
                _ => b.is_ascii_hexdigit(),
            });
        (shape && !self.byte(end).is_some_and(|b| b.is_ascii_alphanumeric())).then_some(end)
    }

    fn email(&mut self) -> bool {
        if !self.has_at {
            return false;
        }
        match place::email(self.bytes, self.at) {
            Some(end) => {
                self.replace(EMAIL, end);
                true
            }
            None => false,
        }
    }

    /// The value after `=` or `:` when its key names an id of the run.
    fn volatile_value(&mut self) -> bool {
        let before = self.bytes.get(..self.at).unwrap_or_default();
        let before = before.strip_suffix(b"\"").unwrap_or(before);
        let length =
            before.iter().rev().take(28).take_while(|b| b.is_ascii_alphanumeric() || b"_-.".contains(b)).count();
        if length == 0 || !code::volatile_key(&before[before.len() - length..]) {
            return false;
        }
        let mut start = self.at + 1;
        while self.byte(start) == Some(b' ') {
            start += 1;
        }
        let quote = self.byte(start).filter(|b| matches!(b, b'"' | b'\''));
        let open = start + usize::from(quote.is_some());
        let rest = self.bytes.get(open..).unwrap_or_default();
        let stop = |b: &u8| b.is_ascii_whitespace() || b"\"',;)]}>|".contains(b);
        let end = open + rest.iter().position(stop).unwrap_or(rest.len());
        if end == open || end - open > 200 {
            return false;
        }
        self.out.push_str(&self.text[self.at..open]);
        self.replace(ID, end);
        true
    }
}

#[cfg(test)]
mod tests;
