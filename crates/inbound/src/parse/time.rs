//! When a line says that it happened, in milliseconds since 1970.
//!
//! A moment without a zone is taken for UTC, one without a year for the one nearest to now. What is no moment between
//! 1990 and 2200 is no moment.

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAY_MS: i64 = 86_400_000;

/// A number of seconds, milliseconds, microseconds or nanoseconds, told apart by its size.
pub fn of_number(number: &str) -> Option<u64> {
    let value: f64 = number.trim().parse().ok()?;
    let ms = match value {
        v if !(1e8..1e20).contains(&v) => return None,
        v if v < 1e11 => v * 1e3,
        v if v < 1e14 => v,
        v if v < 1e17 => v / 1e3,
        v => v / 1e6,
    };
    sane(ms as i64)
}

fn sane(ms: i64) -> Option<u64> {
    (631_152_000_000..7_258_118_400_000).contains(&ms).then_some(ms as u64)
}

/// A moment in any of the common notations, alone in its text.
pub fn of_text(text: &str, now_ms: u64) -> Option<u64> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return of_number(text);
    }
    at_start(text, now_ms)
}

/// The moment that a line begins with, behind brackets, priorities and the letter of a level.
pub fn of_line(line: &str, now_ms: u64) -> Option<u64> {
    let mut rest = line.trim_start();
    for _ in 0..3 {
        if let Some(moment) = at_start(rest, now_ms) {
            return Some(moment);
        }
        // `[`, `<11>`, `<11>1 `, `E, [`, `api-1  | `, `ERROR `
        let skip = rest.find([' ', '[', '>', '|']).filter(|at| *at <= 24)?;
        rest = rest.get(skip + 1..)?.trim_start_matches([' ', '[', '|']);
    }
    at_start(rest, now_ms)
}

fn at_start(text: &str, now_ms: u64) -> Option<u64> {
    let mut cursor = Cursor(text.as_bytes());
    let (date, year) = cursor.date()?;
    let (mut year, month, day) = (year, date.0, date.1);
    let mut ms = 0;
    let mut zone = 0;
    if cursor.joint() {
        let Some(clock) = cursor.clock() else {
            return year.and_then(|year| sane(days(year, month, day)? * DAY_MS));
        };
        ms = clock;
        // `Fri Sep 09 10:42:29.902022 2011`
        if year.is_none() {
            let mut ahead = cursor.clone();
            ahead.skip(b' ');
            year = ahead.number(4).filter(|y| *y > 1_000);
        }
        zone = cursor.zone();
    }
    match year {
        Some(year) => sane(days(year, month, day)? * DAY_MS + ms - zone),
        None => {
            let now = i64::try_from(now_ms).ok()?;
            let this = 1970 + now / (DAY_MS * 365);
            let candidates = (this - 2..=this + 2).filter_map(|y| Some(days(y, month, day)? * DAY_MS + ms - zone));
            sane(candidates.min_by_key(|candidate| (now - candidate).abs())?)
        }
    }
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) || !(1970..=2300).contains(&year) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let era = y / 400;
    let of_era = y - era * 400;
    let of_year = (153 * m + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[derive(Clone)]
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn skip(&mut self, byte: u8) {
        while self.0.first() == Some(&byte) {
            self.0 = &self.0[1..];
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.0.first() == Some(&byte);
        if eaten {
            self.0 = &self.0[1..];
        }
        eaten
    }

    fn digits(&self) -> usize {
        self.0.iter().take(20).take_while(|b| b.is_ascii_digit()).count()
    }

    /// A number of exactly this many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        (self.digits() == digits).then(|| self.take(digits))?
    }

    fn take(&mut self, digits: usize) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        std::str::from_utf8(head).ok()?.parse().ok()
    }

    fn small(&mut self) -> Option<i64> {
        matches!(self.digits(), 1 | 2).then(|| self.take(self.digits()))?
    }

    fn month(&mut self) -> Option<i64> {
        let word = self.0.get(..3)?.to_ascii_lowercase();
        let month = MONTHS.iter().position(|m| m.as_bytes() == word)?;
        let longer = self.0[3..].iter().take_while(|b| b.is_ascii_alphabetic()).count();
        self.0 = &self.0[3 + longer..];
        i64::try_from(month + 1).ok()
    }

    /// Month and day, and the year if it stands there.
    fn date(&mut self) -> Option<((i64, i64), Option<i64>)> {
        let first = *self.0.first()?;
        if first.is_ascii_alphabetic() {
            // The day of the week, and klog's letter of the level.
            if matches!(first, b'I' | b'W' | b'E' | b'F') && self.0.get(1).is_some_and(u8::is_ascii_digit) {
                self.0 = &self.0[1..];
                return match self.digits() {
                    4 => Some(((self.take(2)?, self.take(2)?), None)),
                    8 => {
                        let year = self.take(4)?;
                        Some(((self.take(2)?, self.take(2)?), Some(year)))
                    }
                    _ => None,
                };
            }
            let mut ahead = self.clone();
            let month = match ahead.month() {
                Some(month) => month,
                None => {
                    let word = ahead.0.iter().take_while(|b| b.is_ascii_alphabetic()).count();
                    ahead.0 = &ahead.0[word.min(9)..];
                    ahead.eat(b',');
                    ahead.skip(b' ');
                    if ahead.0.first().is_some_and(u8::is_ascii_digit) {
                        *self = ahead;
                        return self.date();
                    }
                    ahead.month()?
                }
            };
            ahead.skip(b' ');
            let day = ahead.small()?;
            let mut year = None;
            let mut after = ahead.clone();
            if after.eat(b',') {
                after.skip(b' ');
                year = after.number(4);
            } else if after.eat(b' ') {
                year = after.number(4);
            }
            *self = if year.is_some() { after } else { ahead };
            return Some(((month, day), year));
        }
        match self.digits() {
            4 => {
                let year = self.take(4)?;
                let separator = *self.0.first()?;
                if !matches!(separator, b'-' | b'/' | b'.') {
                    return None;
                }
                self.eat(separator);
                let month = self.number(2)?;
                self.eat(separator).then_some(())?;
                Some(((month, self.number(2)?), Some(year)))
            }
            8 if self.0.get(8) == Some(&b'T') => {
                let year = self.take(4)?;
                Some(((self.take(2)?, self.take(2)?), Some(year)))
            }
            1 | 2 => {
                // `02/Jan/2006`, `02-Jan-2006`, `02 Jan 2006`
                let day = self.small()?;
                let separator = *self.0.first()?;
                self.eat(separator);
                let month = self.month()?;
                self.eat(separator).then_some(())?;
                Some(((month, day), Some(self.number(4)?)))
            }
            _ => None,
        }
    }

    fn joint(&mut self) -> bool {
        let joint = matches!(self.0.first(), Some(b'T' | b't' | b' ' | b':' | b'_' | b','));
        if joint {
            self.0 = &self.0[1..];
            self.skip(b' ');
        }
        joint
    }

    /// Milliseconds of the day.
    fn clock(&mut self) -> Option<i64> {
        let (hour, minute, mut second) = if self.digits() >= 6 {
            (self.take(2)?, self.take(2)?, self.take(2)?)
        } else {
            let hour = self.small()?;
            self.eat(b':').then_some(())?;
            (hour, self.number(2)?, 0)
        };
        if self.0.first() == Some(&b':') && self.0.get(1).is_some_and(u8::is_ascii_digit) {
            self.eat(b':');
            second = self.number(2)?;
        }
        let mut ms = 0;
        if matches!(self.0.first(), Some(b'.' | b',')) && self.0.get(1).is_some_and(u8::is_ascii_digit) {
            self.0 = &self.0[1..];
            let digits = self.digits();
            let shown = self.0.get(..digits.min(3))?;
            ms = shown.iter().fold(0, |ms, b| ms * 10 + i64::from(b - b'0')) * 10_i64.pow(3 - shown.len() as u32);
            self.0 = &self.0[digits..];
        }
        (hour < 24 && minute < 60 && second < 61).then_some(((hour * 60 + minute) * 60 + second) * 1_000 + ms)
    }

    /// How far the zone is ahead of UTC, in milliseconds. Names other than UTC's are taken for it.
    fn zone(&mut self) -> i64 {
        if self.0.first() == Some(&b' ') && matches!(self.0.get(1), Some(b'+' | b'-')) {
            self.0 = &self.0[1..];
        }
        let sign = match self.0.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return 0,
        };
        let digits: Vec<i64> =
            self.0[1..].iter().take(5).filter(|b| b.is_ascii_digit()).map(|b| i64::from(b - b'0')).collect();
        match digits.as_slice() {
            [a, b, c, d, ..] => sign * ((a * 10 + b) * 60 + c * 10 + d) * 60_000,
            [a, b, ..] => sign * (a * 10 + b) * 3_600_000,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-02T03:04:05Z
    const T: u64 = 1_767_323_045_000;

    #[test]
    fn notations() {
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02 03:04:05",
            "2026-01-02T03:04:05.000+00:00",
            "2026-01-02T04:04:05+01:00",
            "2026-01-01T22:04:05-0500",
            "2026-01-02 03:04:05,000",
            "2026/01/02 03:04:05",
            "20260102T030405Z",
            "02/Jan/2026:03:04:05 +0000",
            "02-Jan-2026 03:04:05 UTC",
            "Fri, 02 Jan 2026 03:04:05 GMT",
            "Fri Jan 02 03:04:05.000000 2026",
            "Fri Jan  2 03:04:05 2026",
            "Jan 2, 2026 03:04:05",
            "Jan  2 03:04:05",
            "E0102 03:04:05.000000",
            "E20260102 03:04:05.000000",
            "1767323045",
            "1767323045.0",
            "1767323045000",
            "1767323045000000",
            "1767323045000000000",
        ] {
            assert_eq!(of_text(text, T + 5_000), Some(T), "{text}");
        }
        assert_eq!(of_text("2026-01-02T03:04:05.678901Z", T), Some(T + 678));
        assert_eq!(of_number("1.767323045678e9"), Some(T + 678));
        assert_eq!(of_text("2026-01-02", T), Some(T - 11_045_000));
    }

    #[test]
    fn no_moment() {
        for text in
            ["", "yesterday", "2026-13-02T00:00:00Z", "2026-02-30 01:00:00", "12", "1.2.3.4", "0001-01-01T00:00:00Z"]
        {
            assert_eq!(of_text(text, T), None, "{text}");
        }
        assert_eq!(of_number("12"), None);
        assert_eq!(of_number("1e400"), None);
    }

    #[test]
    fn a_year_left_out_is_the_nearest() {
        // On the second of January, a line of December is of last year.
        assert_eq!(of_text("Dec 31 23:59:59", T), Some(T - 3 * 3_600_000 - 4 * 60_000 - 6_000 - 86_400_000));
    }

    #[test]
    fn lines_begin_with_moments() {
        for line in [
            "2026-01-02 03:04:05 ERROR x",
            "[2026-01-02T03:04:05Z ERROR app] x",
            "<11>Jan  2 03:04:05 host app[1]: x",
            "<11>1 2026-01-02T03:04:05Z host app - - x",
            "E, [2026-01-02T03:04:05.000000 #123] ERROR -- : x",
            "api-1  | 2026-01-02T03:04:05Z ERROR x",
            "E0102 03:04:05.000000       1 file.go:12] x",
            "[Fri Jan 02 03:04:05.000000 2026] [core:error] [pid 35708] x",
        ] {
            assert_eq!(of_line(line, T), Some(T), "{line}");
        }
        assert_eq!(of_line("ERROR nothing here", T), None);
    }
}
