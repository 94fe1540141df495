//! Whether a line of plain text says that something failed.
//!
//! A level counts where loggers put it: as a word of its own in front of the message, in brackets, before a colon, as a
//! pair, as a priority. `0 errors`, `no error` and `error_count=0` say nothing. Of several levels the first is the
//! line's own. Without a level, an exception's name, a panic and the few sentences of runtimes and of the system count.

use tandem_core::fingerprint::{stack::named_exception, strip_log_prefix, strip_prefix};

use super::{gate, level::Level, logfmt, record::Record};

/// How many bytes of a line are searched for its level.
const HEAD: usize = 240;
/// How many words of prose may stand before a level in capitals.
const PROSE: usize = 2;

/// What a line says of itself.
#[derive(Debug)]
pub struct Head {
    pub level: Level,
    /// A logger wrote the line, so that a stack behind it belongs to it.
    pub logged: bool,
    /// The pairs of a line of pairs.
    pub pairs: Option<Record>,
}

/// Reads a line without colours. `None`: it says nothing about its level.
pub fn judge(line: &str, now_ms: u64) -> Option<Head> {
    if logfmt::possible(line) {
        let mut record = Record::default();
        logfmt::pairs(line, |name, value| record.offer(name, value, now_ms));
        if let Some(level) = record.stated() {
            return Some(Head { level, logged: true, pairs: Some(record) });
        }
    }
    if let Some((level, logged)) = stated(line) {
        return Some(Head { level, logged, pairs: None });
    }
    spoken(line).map(|level| Head { level, logged: false, pairs: None })
}

/// The level in front of a line, and whether a logger put it there: `Error: …` is how a program speaks for itself.
fn stated(line: &str) -> Option<(Level, bool)> {
    let mut line = line;
    if line.starts_with('<')
        && let Some((level, length)) = gate::priority(line.as_bytes())
    {
        // Daemons often send everything as information, so a mild priority is not the last word.
        if level >= Level::Warn {
            return Some((level, true));
        }
        line = &line[length..];
    }
    klog(line.as_bytes()).map(|level| (level, true)).or_else(|| token(line))
}

/// `E0102 15:04:05.000000`, and the same with a year.
fn klog(line: &[u8]) -> Option<Level> {
    let level = match line.first()? {
        b'I' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' => Level::Fatal,
        _ => return None,
    };
    let digits = line[1..].iter().take(9).take_while(|b| b.is_ascii_digit()).count();
    let clock = line.get(digits + 1..digits + 5)?;
    let clock = clock[0] == b' ' && clock[1].is_ascii_digit() && clock[2].is_ascii_digit() && clock[3] == b':';
    (matches!(digits, 4 | 8) && clock).then_some(level)
}

/// The first word that is a level and stands where one stands.
fn token(line: &str) -> Option<(Level, bool)> {
    let head = &line.as_bytes()[..line.len().min(HEAD)];
    let (mut prose, mut brackets, mut at) = (0_usize, 0_usize, 0);
    while at < head.len() {
        let byte = head[at];
        if !byte.is_ascii_alphabetic() {
            match byte {
                b'[' | b'(' => brackets += 1,
                b']' | b')' => brackets = brackets.saturating_sub(1),
                _ => {}
            }
            at += 1;
            continue;
        }
        let start = at;
        while at < head.len() && head[at].is_ascii_alphabetic() {
            at += 1;
        }
        let word = &line[start..at];
        let before = start.checked_sub(1).map(|i| head[i]);
        let after = line.as_bytes().get(at).copied();
        if let Some(level) = level_of(word, after)
            && stands(line, word, start, at, prose)
        {
            let capital = word.starts_with(char::is_uppercase) && word.ends_with(char::is_lowercase);
            return Some((level, !capital || matches!(after, Some(b']' | b')' | b'>' | b'|'))));
        }
        let alone = matches!(before, None | Some(b' ')) && matches!(after, None | Some(b' ' | b','));
        if alone && brackets == 0 && !calendar(word) {
            prose += 1;
            if prose > PROSE {
                return None;
            }
        }
    }
    None
}

fn level_of(word: &str, after: Option<u8>) -> Option<Level> {
    match (word, after) {
        // Logrus on a terminal cuts names at four letters.
        ("ERRO", Some(b'[')) => Some(Level::Error),
        ("FATA" | "PANI", Some(b'[')) => Some(Level::Fatal),
        ("DEBU" | "TRAC", Some(b'[')) => Some(Level::Debug),
        // Words of prose, unless somebody shouts them.
        ("note" | "log" | "success" | "config" | "default" | "fine" | "finer" | "finest" | "silly", _) => None,
        _ if word.len() >= 3 => Level::exact(word),
        _ => None,
    }
}

/// Whether the level word at `start..end` stands where a logger puts one.
fn stands(line: &str, word: &str, start: usize, end: usize, prose: usize) -> bool {
    let bytes = line.as_bytes();
    let before = start.checked_sub(1).map(|i| bytes[i]);
    let after = bytes.get(end).copied();
    let upper = word.bytes().all(|b| b.is_ascii_uppercase());
    let free = matches!(
        before,
        None | Some(b' ' | b'\t' | b'[' | b'(' | b'<' | b'|' | b':' | b',' | b'*' | b']' | b'>' | b'}')
    );
    if !free || nothing(line, start, end) {
        return false;
    }
    let shut = matches!(after, Some(b']' | b')' | b'>' | b'|'));
    let opened = matches!(before, Some(b'[' | b'(' | b'<' | b'|' | b':'));
    let colon = after == Some(b':') && matches!(bytes.get(end + 1), None | Some(b' ' | b'\t'));
    if upper {
        return matches!(after, None | Some(b' ' | b'\t' | b',' | b'!' | b';' | b':' | b'/' | b'[')) || shut;
    }
    // `[error]`, `[core:error]`, `[2026-01-02 error]`
    if shut && (opened || before == Some(b' ')) {
        return true;
    }
    // `error: …`, `main.c:3:1: error: …`
    if colon && (prose == 0 || (prose == 1 && Level::exact(word) >= Some(Level::Error))) {
        return true;
    }
    // `Error while …` is how a program begins to speak of its failure.
    let begins = strip_log_prefix(line).trim_start().starts_with(word) && prose == 0;
    begins && after == Some(b' ') && matches!(word, "Error" | "error" | "Fatal" | "fatal") && !named(&line[end..])
}

/// `no error`, `0 ERROR`, `error: 0`, `Error: none`
fn nothing(line: &str, start: usize, end: usize) -> bool {
    let before = line[..start].trim_end();
    let none = ["0", "no", "No", "NO", "not", "without", "zero"]
        .iter()
        .any(|n| before.strip_suffix(n).is_some_and(|b| b.is_empty() || b.ends_with([' ', '\t', ',', ';', ':', '('])));
    if none {
        return true;
    }
    let Some(value) = line[end..].strip_prefix(':') else { return false };
    let value = value.trim().trim_end_matches(['.', ',', ')', ']', '}']);
    matches!(value, "0" | "none" | "None" | "null" | "nil" | "false" | "no")
}

/// Things that are named after errors and are none.
fn named(rest: &str) -> bool {
    let word = rest.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    matches!(
        word,
        "count"
            | "counts"
            | "counter"
            | "rate"
            | "rates"
            | "ratio"
            | "budget"
            | "page"
            | "pages"
            | "log"
            | "logs"
            | "logging"
            | "handler"
            | "handlers"
            | "handling"
            | "reporting"
            | "tracking"
            | "level"
            | "levels"
            | "threshold"
            | "free"
            | "metric"
            | "metrics"
            | "margin"
            | "bars"
    )
}

fn calendar(word: &str) -> bool {
    const NAMES: [&str; 19] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Mon", "Tue", "Wed", "Thu",
        "Fri", "Sat", "Sun",
    ];
    NAMES.contains(&word)
}

/// What says that something failed without naming a level.
fn spoken(line: &str) -> Option<Level> {
    let body = strip_log_prefix(line).trim_end();
    if body.starts_with([' ', '\t']) {
        return None;
    }
    let fatal = ["panic: ", "fatal error: ", "Segmentation fault", "terminate called after", "PHP Fatal error: "];
    if fatal.iter().any(|start| body.starts_with(start))
        || [" panicked at ", "(core dumped)", "segfault at ", "Out of memory: Kill"]
            .iter()
            .any(|part| body.contains(part))
    {
        return Some(Level::Fatal);
    }
    let error = [
        "http: panic serving ",
        "error[",
        "Unhandled exception",
        "Unhandled Exception",
        "Uncaught ",
        "Exception in thread ",
        "PHP Parse error: ",
        "Fatal error: ",
    ];
    if error.iter().any(|start| body.starts_with(start)) || (body.starts_with("fail: ") && body.contains('[')) {
        return Some(Level::Error);
    }
    if line.contains("systemd") && (line.contains(": Failed with result '") || line.contains(": Failed to start ")) {
        return Some(Level::Error);
    }
    if let Some((kind, message)) = named_exception(body)
        && (kind.contains("Error") || kind.contains("Exception"))
        && !matches!(message, "0" | "none" | "None" | "null")
    {
        return Some(Level::Error);
    }
    raised(body).then_some(Level::Error)
}

/// ``app/x.rb:1:in `price': undefined method (NoMethodError)``
fn raised(body: &str) -> bool {
    body.contains(".rb:")
        && body.contains(":in ")
        && body.strip_suffix(')').and_then(|b| b.rsplit_once('(')).is_some_and(|(_, kind)| {
            kind.starts_with(char::is_uppercase)
                && (kind.contains("Error") || kind.contains("Exception") || kind.contains("Errno"))
        })
}

/// Whether a logger put a level in front of the line.
pub fn levelled(line: &str) -> bool {
    stated(line).is_some_and(|(_, logged)| logged)
}

/// What a line says, without what a logger put before it.
pub fn message(line: &str) -> &str {
    let line = match gate::priority(line.as_bytes()) {
        Some((_, length)) => &line[length..],
        None => line,
    };
    strip_prefix(ruby(line).unwrap_or(line))
}

/// `E, [2026-01-02T03:04:05.000000 #123] ERROR -- program: message`
fn ruby(line: &str) -> Option<&str> {
    let (letter, rest) = line.split_once(", [")?;
    let (_, rest) = rest.split_once(" -- ")?;
    let (program, message) = rest.split_once(':')?;
    (letter.len() == 1 && !program.contains('[')).then(|| message.trim_start())
}
