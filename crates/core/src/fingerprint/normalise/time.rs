//! The end of a date or a time of day in the common log formats. Zones and fractions belong to it.

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// Where the moment that starts at `at` ends, if one starts there.
pub fn find(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let length = match rest.first()? {
        b'0'..=b'9' => numeric(rest)?,
        b'A'..=b'Z' => named(rest)?,
        _ => return None,
    };
    let ends = !rest.get(length).is_some_and(|b| b.is_ascii_alphanumeric());
    ends.then_some(at + length)
}

fn numeric(s: &[u8]) -> Option<usize> {
    match digits(s) {
        4 => {
            let separator = *s.get(4)?;
            let date = matches!(separator, b'-' | b'/' | b'.')
                && digits(&s[5..]) == 2
                && s.get(7) == Some(&separator)
                && digits(s.get(8..)?) == 2;
            date.then(|| 10 + joined_clock(&s[10..]))
        }
        // 20260101T120000Z
        8 if s.get(8) == Some(&b'T') && digits(s.get(9..)?) >= 4 => {
            let end = 9 + digits(&s[9..]);
            Some(end + fraction(&s[end..]) + usize::from(s.get(end) == Some(&b'Z')))
        }
        n @ (1 | 2) => match *s.get(n)? {
            b':' => clock(s).filter(|end| *end > 5),
            b'/' | b' ' | b'-' if month(s.get(n + 1..)?) => {
                let separator = s[n];
                let year = n + 5;
                let dated = s.get(n + 4) == Some(&separator) && digits(s.get(year..)?) == 4;
                dated.then(|| {
                    let end = year + 4;
                    end + joined_clock(&s[end..])
                })
            }
            separator @ (b'/' | b'-' | b'.') => {
                let second = digits(&s[n + 1..]);
                let year = n + 2 + second;
                let date = (1..=2).contains(&second)
                    && s.get(n + 1 + second) == Some(&separator)
                    && digits(s.get(year..)?) == 4;
                // With dots this is a version or an address as often as a date.
                (date && separator != b'.').then(|| year + 4 + joined_clock(&s[year + 4..]))
            }
            _ => None,
        },
        _ => None,
    }
}

/// `Jan  2 15:04:05`, `Jan 2, 2024`, `Mon Jan 2 15:04:05 2024`, `Mon, 02 Jan 2024 15:04:05 GMT`.
fn named(s: &[u8]) -> Option<usize> {
    let word = s.get(..3)?;
    if DAYS.contains(&word) {
        let mut at = 3 + usize::from(s.get(3) == Some(&b','));
        at += spaces(&s[at..])?;
        let rest = &s[at..];
        return match rest.first()? {
            b'0'..=b'9' => numeric(rest),
            b'A'..=b'Z' if month(rest) => named(rest),
            _ => None,
        }
        .map(|end| at + end);
    }
    if !month(s) {
        return None;
    }
    let mut at = 3 + spaces(&s[3..])?;
    let day = digits(&s[at..]);
    if !(1..=2).contains(&day) {
        return None;
    }
    at += day;
    let comma = s.get(at) == Some(&b',');
    at += usize::from(comma);
    at += spaces(&s[at..])?;
    if digits(&s[at..]) == 4 {
        return Some(at + 4 + joined_clock(&s[at + 4..]));
    }
    let end = at + clock(&s[at..])?;
    // `date(1)` puts the year, perhaps after a zone, behind the time of day.
    match s.get(end) {
        Some(b' ') if digits(&s[end + 1..]) == 4 => Some(end + 5),
        _ => Some(end),
    }
}

fn month(s: &[u8]) -> bool {
    s.get(..3).is_some_and(|m| MONTHS.contains(&m)) && !s.get(3).is_some_and(u8::is_ascii_alphanumeric)
}

fn digits(s: &[u8]) -> usize {
    s.iter().take(20).take_while(|b| b.is_ascii_digit()).count()
}

fn spaces(s: &[u8]) -> Option<usize> {
    let n = s.iter().take(3).take_while(|b| **b == b' ').count();
    (n > 0).then_some(n)
}

/// A time of day after a date and its joint; 0 when there is none.
fn joined_clock(s: &[u8]) -> usize {
    let joint = match s {
        [b'T' | b't' | b' ' | b':' | b'_', ..] => 1,
        [b',', b' ', ..] => 2,
        _ => return 0,
    };
    clock(&s[joint..]).map_or(0, |end| joint + end)
}

/// `15:04`, `15:04:05`, with fraction and zone.
fn clock(s: &[u8]) -> Option<usize> {
    let hour = digits(s);
    if !(1..=2).contains(&hour) || s.get(hour) != Some(&b':') || digits(s.get(hour + 1..)?) != 2 {
        return None;
    }
    let mut end = hour + 3;
    if s.get(end) == Some(&b':') && digits(&s[end + 1..]) == 2 {
        end += 3;
        end += fraction(&s[end..]);
    }
    Some(end + zone(&s[end..]))
}

fn fraction(s: &[u8]) -> usize {
    match s.first() {
        Some(b'.' | b',') => match digits(&s[1..]) {
            0 => 0,
            n => n + 1,
        },
        _ => 0,
    }
}

fn zone(s: &[u8]) -> usize {
    for name in [b" UTC".as_slice(), b" GMT", b" CET", b" CEST", b" EST", b" PST", b" AM", b" PM", b"Z", b"z"] {
        if s.starts_with(name) && !s.get(name.len()).is_some_and(u8::is_ascii_alphanumeric) {
            return name.len();
        }
    }
    let space = usize::from(s.first() == Some(&b' '));
    if !matches!(s.get(space), Some(b'+' | b'-')) {
        return 0;
    }
    let offset = &s[space + 1..];
    match digits(offset) {
        4 => space + 5,
        2 if offset.get(2) == Some(&b':') && digits(&offset[3..]) == 2 => space + 6,
        2 if space == 0 && !offset.get(2).is_some_and(u8::is_ascii_alphanumeric) => 3,
        _ => 0,
    }
}
