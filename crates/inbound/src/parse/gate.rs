//! Whether a line may be a failure at all, decided in one pass over its bytes.
//!
//! Nearly every line of a log is none, so nearly every line is only looked at here: no text is decoded, no record
//! parsed, nothing copied. The gate may let through what turns out to be harmless; it never holds back what the parser
//! would take for a failure. A property test compares the two.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, packed};

use tandem_core::fingerprint::without_colours;

use super::level::{Level, Scale};

/// Stems of words that a failure has, in lower case; each is looked for in lower case, in capitals and capitalised.
const STEMS: [&str; 9] = ["err", "fatal", "ftl", "panic", "crit", "emerg", "alert", "severe", "exception"];
/// The same for warnings, which count only where a source asks for them.
const WARNINGS: [&str; 2] = ["warn", "wrn"];
/// What else opens a failure, as it stands.
const MARKS: [&str; 22] = [
    "Traceback",
    "traceback",
    "backtrace",
    "stack",
    "Stack",
    "goroutine ",
    "fail: ",
    "FATA[",
    "PANI[",
    "(core dumped)",
    "egmentation fault",
    "segfault at ",
    "Out of memory: Kill",
    "Failed with result",
    "Failed to start",
    "terminate called",
    "Uncaught ",
    "Unhandled ",
    // Frames inside of what container runtimes write.
    " F \tat ",
    " F     at ",
    "{\"log\":\"\\tat ",
    "{\"log\":\"    at ",
];
/// A letter written as an escape: whatever it spells is for the parser to read.
const ESCAPES: [&str; 4] = ["\\u004", "\\u005", "\\u006", "\\u007"];
/// Parts of the names of level fields, whose value may be a number or a single letter.
const FIELDS: [&str; 8] = ["evel", "EVEL", "lvl", "LVL", "everity", "EVERITY", "umber", "PRIORITY"];

/// Looks for what may be a failure at one minimum level.
#[derive(Debug)]
pub struct Gate {
    minimum: Level,
    /// Patterns below this index are enough by themselves; the others name a field.
    fields_from: usize,
    fast: Option<packed::Searcher>,
    any: Option<AhoCorasick>,
}

impl Gate {
    /// The gate of a minimum level, made once: its tables take longer to build than a small file takes to read.
    pub fn of(minimum: Level) -> &'static Self {
        static GATES: [OnceLock<Gate>; 2] = [OnceLock::new(), OnceLock::new()];
        let (place, minimum) = if minimum <= Level::Warn { (0, Level::Warn) } else { (1, Level::Error) };
        GATES[place].get_or_init(|| Self::new(minimum))
    }

    fn new(minimum: Level) -> Self {
        let mut patterns: Vec<String> = Vec::new();
        let warnings: &[&str] = if minimum <= Level::Warn { &WARNINGS } else { &[] };
        for stem in STEMS.iter().chain(warnings) {
            let upper = stem.to_ascii_uppercase();
            // `NullPointerException`, `Error`: without its first letter, two spellings are one.
            if stem.len() > 4 {
                patterns.extend([stem[1..].to_owned(), upper[1..].to_owned()]);
            } else {
                let capital = format!("{}{}", &upper[..1], &stem[1..]);
                patterns.extend([(*stem).to_owned(), upper, capital]);
            }
        }
        patterns.extend(MARKS.iter().chain(&ESCAPES).map(|mark| (*mark).to_owned()));
        let fields_from = patterns.len();
        patterns.extend(FIELDS.iter().map(|field| (*field).to_owned()));
        Self {
            minimum,
            fields_from,
            fast: packed::Searcher::new(&patterns),
            any: AhoCorasick::builder()
                .match_kind(aho_corasick::MatchKind::LeftmostFirst)
                .kind(Some(aho_corasick::AhoCorasickKind::DFA))
                .build(&patterns)
                .ok(),
        }
    }

    /// Whether the line must be looked at.
    pub fn open(&self, line: &[u8]) -> bool {
        if memchr::memchr(0x1b, line).is_some() {
            // Colours may stand inside of a word.
            return self.look(without_colours(&String::from_utf8_lossy(line)).as_bytes());
        }
        self.look(line)
    }

    fn look(&self, line: &[u8]) -> bool {
        match line.first() {
            None => return false,
            Some(b'<') if self.priority(line) => return true,
            Some(b'E' | b'F' | b'W') if line.get(1..5).is_some_and(|d| d.iter().all(u8::is_ascii_digit)) => {
                return true;
            }
            Some(b' ' | b'\t') if frame(line) => return true,
            Some(_) => {}
        }
        self.words(line)
    }

    fn words(&self, line: &[u8]) -> bool {
        let mut from = 0;
        while let Some(found) = self.find(line, from) {
            let (pattern, end) = found;
            if pattern < self.fields_from || self.counted(line, end) {
                return true;
            }
            from = end;
        }
        false
    }

    fn find(&self, line: &[u8], from: usize) -> Option<(usize, usize)> {
        let found = match (&self.fast, &self.any) {
            (Some(fast), _) if line.len() - from >= fast.minimum_len() => {
                fast.find_in(line, aho_corasick::Span { start: from, end: line.len() })
            }
            (_, Some(any)) => any.find(aho_corasick::Input::new(line).span(from..line.len())),
            // Without a searcher everything is looked at.
            _ => return Some((0, line.len())),
        }?;
        Some((found.pattern().as_usize(), found.end()))
    }

    /// Whether the field whose name has its mark before `at` holds a number or a letter of a failure.
    fn counted(&self, line: &[u8], at: usize) -> bool {
        let ident = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@');
        let name_end = at + line[at..].iter().take(24).take_while(|b| ident(b)).count();
        let before = line[..name_end].iter().rev().take(24).take_while(|b| ident(b)).count();
        let Ok(name) = std::str::from_utf8(&line[name_end - before..name_end]) else { return false };
        let Some((scale, _)) = Scale::of_field(name) else { return false };
        let skip = |rest: &mut &[u8], what: &[u8]| {
            while let Some((first, after)) = rest.split_first()
                && what.contains(first)
            {
                *rest = after;
            }
        };
        let mut rest = &line[name_end..];
        skip(&mut rest, b"\\\" \t");
        match rest.split_first() {
            Some((b':' | b'=', after)) => rest = after,
            _ => return false,
        }
        // A word of several letters is found as a word; an escape may be anything.
        skip(&mut rest, b" \t\"");
        if rest.starts_with(b"\\") {
            skip(&mut rest, b"\\\" \t");
            if rest.first() == Some(&b'u') {
                return true;
            }
        }
        let at_least = |level: Option<Level>| level.is_some_and(|level| level >= self.minimum);
        match rest.first() {
            Some(b'0'..=b'9' | b'-') => {
                let length = rest.iter().take(40).take_while(|b| numeric(**b)).count();
                // What is too long for a level is for the parser to refuse.
                length == 40 || std::str::from_utf8(&rest[..length]).is_ok_and(|n| at_least(Level::of_number(scale, n)))
            }
            Some(letter) if letter.is_ascii_alphabetic() && !rest.get(1).is_some_and(u8::is_ascii_alphabetic) => {
                at_least(Level::exact(char::from(*letter).encode_utf8(&mut [0; 4])))
            }
            _ => false,
        }
    }

    fn priority(&self, line: &[u8]) -> bool {
        priority(line).is_some_and(|(level, _)| level >= self.minimum)
    }
}

fn numeric(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')
}

/// The level of a syslog priority in front of a line, and how many bytes it takes.
pub fn priority(line: &[u8]) -> Option<(Level, usize)> {
    let digits = line.get(1..)?.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    if line.first() != Some(&b'<') || !(1..=3).contains(&digits) || line.get(digits + 1) != Some(&b'>') {
        return None;
    }
    let number = line[1..=digits].iter().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
    Some((Level::of_priority(number)?, digits + 2))
}

/// Whether an indented line may be a frame of a stack, whose header may be any line.
pub fn frame(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    text.len() < line.len() && (text.starts_with(b"at ") || text.starts_with(b"from "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_and_what_does_not() {
        let gate = Gate::new(Level::Error);
        for line in [
            "2026-01-02 03:04:05 ERROR x",
            r#"{"level":"error","msg":"x"}"#,
            r#"{"level":50,"msg":"x"}"#,
            r#"{"level" : "60","msg":"x"}"#,
            r#"{"lvl":"E","msg":"x"}"#,
            r#"{"severityNumber": 17}"#,
            r#"{"severity_number":18}"#,
            r#"{"PRIORITY":"3","MESSAGE":"x"}"#,
            r#"{"levelno":40}"#,
            r#"{"level_value":40000}"#,
            r#"{"severityLevel":3}"#,
            r#"{"l\u0065vel":50}"#,
            r#"{"log":"{\"level\":50,\"msg\":\"x\"}\n","stream":"stdout"}"#,
            r#"{"log":"{\"level\":\"60\"}\n","stream":"stdout"}"#,
            "level=50 msg=x",
            "<11>app: x",
            "<3>x",
            "E0102 03:04:05.000000 1 a.go:1] x",
            "\tat com.acme.A.b(A.java:1)",
            "time=x lvl=e msg=y",
        ] {
            assert!(gate.open(line.as_bytes()), "{line}");
        }
        for line in [
            "",
            "2026-01-02 03:04:05 INFO all is well",
            r#"{"level":"info","msg":"x"}"#,
            r#"{"level":30,"msg":"x"}"#,
            r#"{"level":"30","msg":"x"}"#,
            r#"{"log":"{\"level\":30,\"msg\":\"x\"}\n","stream":"stdout"}"#,
            r#"{"severityNumber":9,"body":"x"}"#,
            r#"{"PRIORITY":"6","MESSAGE":"x"}"#,
            r#"{"level":"warn","msg":"x"}"#,
            r#"{"level":40,"msg":"x"}"#,
            "<14>app: x",
            "    indented text",
        ] {
            assert!(!gate.open(line.as_bytes()), "{line}");
        }
        let gate = Gate::new(Level::Warn);
        for line in [r#"{"level":"warn"}"#, r#"{"level":40}"#, "WARNING:root:x", "<12>x", "[03:04:05 WRN] x"] {
            assert!(gate.open(line.as_bytes()), "{line}");
        }
    }
}
