//! RFC 3339 in UTC, to milliseconds and back, as far as trackers write it.

/// `2026-11-21T15:30:00Z`.
pub fn format(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, rest) = (i64::try_from(seconds / 86_400).unwrap_or(0), seconds % 86_400);
    // Civil from days since 1970-01-01, with years that begin in March.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest % 3600 / 60, rest % 60)
}

/// `None` for anything that is not a time in UTC from 1970 on. Fractions of a second count to the millisecond.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (date, clock) = text.split_once('T')?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i64>().ok()).flatten();
    let three = |text: &str, by: char| {
        let mut parts = text.split(by);
        let three = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
        parts.next().is_none().then_some(three)
    };
    let ((year, month, day), (hour, minute, second)) = (three(date, '-')?, three(clock, ':')?);
    let plausible = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !plausible || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let y = year - i64::from(month <= 2);
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    let millis = fraction.bytes().chain(*b"000").take(3).fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    u64::try_from((days * 86_400 + hour * 3600 + minute * 60 + second) * 1000 + millis).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799_000),
            ("2026-11-21T15:30:00Z", 1_795_275_000_000),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
            assert_eq!(format(ms), text);
        }
        assert_eq!(parse("2026-11-21T15:30:00.12Z"), Some(1_795_275_000_120));
        assert_eq!(parse("2026-11-21T15:30:00.123456+00:00"), Some(1_795_275_000_123));
        for bad in ["", "2026-11-21", "2026-11-21T15:30:00", "2026-13-01T00:00:00Z", "x-1-1T0:0:0Z", "2026-1-1T0:0Z"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(seconds in 0u64..4_000_000_000) {
            prop_assert_eq!(parse(&format(seconds * 1000)), Some(seconds * 1000));
        }
        #[test]
        fn nothing_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
