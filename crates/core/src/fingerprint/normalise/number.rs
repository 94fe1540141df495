//! Numbers with fractions and units, and runs of letters and digits that are ids.

use super::{DURATION, SIZE};

/// Whether a run of letters and digits is an id rather than a name with a number: `7f3c9a1e`, `x2k4j9`, a ULID.
pub fn opaque(run: &str) -> bool {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 || digits == run.len() {
        return false;
    }
    let turns = run.as_bytes().windows(2).filter(|w| w[0].is_ascii_digit() != w[1].is_ascii_digit()).count();
    let hex = run.bytes().all(|b| b.is_ascii_hexdigit());
    (hex && run.len() >= 7) || (turns >= 3 && run.len() >= 5) || (turns >= 2 && run.len() >= 10) || run.len() >= 20
}

/// The end of the number at `at`: digits with fractions, thousands, versions.
pub(super) fn number_end(bytes: &[u8], at: usize) -> usize {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        from + rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len())
    };
    let mut end = digits(at);
    while let Some(b'.' | b',' | b'_') = bytes.get(end) {
        let next = digits(end + 1);
        // A comma joins thousands only; elsewhere it separates.
        if next == end + 1 || (bytes[end] != b'.' && next != end + 4) {
            break;
        }
        end = next;
    }
    end
}

const TIME_UNITS: [&str; 31] = [
    "ms",
    "s",
    "sec",
    "secs",
    "second",
    "seconds",
    "min",
    "mins",
    "minute",
    "minutes",
    "hour",
    "hours",
    "hr",
    "hrs",
    "day",
    "days",
    "us",
    "ns",
    "millis",
    "milliseconds",
    "millisecond",
    "microseconds",
    "nanoseconds",
    "µs",
    "μs",
    "week",
    "weeks",
    "ticks",
    "m",
    "h",
    "d",
];
const SIZE_UNITS: [&str; 18] = [
    "b", "byte", "bytes", "kb", "kib", "mb", "mib", "gb", "gib", "tb", "tib", "k", "mi", "gi", "ki", "kbytes", "pb",
    "pib",
];

/// A number with its unit: placeholder and end. `1m30s`, `1.5 s`, `12KiB`.
pub(super) fn quantity(bytes: &[u8], at: usize) -> Option<(&'static str, usize)> {
    let mut end = number_end(bytes, at);
    let mut found = None;
    for _ in 0..4 {
        let spaced = found.is_none() && bytes.get(end) == Some(&b' ');
        let start = end + usize::from(spaced);
        let rest = bytes.get(start..)?;
        let length = rest.iter().take(14).position(|b| !(b.is_ascii_alphabetic() || *b >= 0x80)).unwrap_or(rest.len());
        let unit = std::str::from_utf8(rest.get(..length)?).ok()?;
        if unit.is_empty() || unit.len() > 13 {
            return None;
        }
        // A single letter after a space is more often a word than a unit.
        let is = |units: &[&str]| {
            units.iter().any(|u| u.eq_ignore_ascii_case(unit) && !(spaced && unit.len() == 1 && unit != "s"))
        };
        let placeholder = if is(&TIME_UNITS) {
            DURATION
        } else if is(&SIZE_UNITS) {
            SIZE
        } else {
            return None;
        };
        end = start + length;
        found = Some((placeholder, end));
        if !bytes.get(end).is_some_and(u8::is_ascii_digit) {
            return found;
        }
        end = number_end(bytes, end);
    }
    None
}
