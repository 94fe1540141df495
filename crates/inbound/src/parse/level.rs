//! How bad a line says it is: the words and the numbers that loggers use, and the scale that a number belongs to.
//!
//! Words are read in lower case, in capitals and capitalised, which is how programs write them. The gate in front of
//! the parser looks for the same three spellings, so a spelling added here must be added there.

use tandem_core::config::LogLevel;

/// The levels that matter for the question of what is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Level {
    /// The word in a report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The lowest level that a source takes for a failure.
    pub fn minimum(configured: LogLevel) -> Self {
        match configured {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
        }
    }

    /// What a word of a level field means. A word that nobody knows counts by what it contains (`LOG_ERROR`), and one
    /// that contains nothing known says nothing.
    pub fn of_word(word: &str) -> Option<Self> {
        let word = word.trim();
        // `ERROR+2` is how Go's structured logger counts between levels.
        let word = word.split(['+', '-']).next().unwrap_or(word);
        Self::exact(word).or_else(|| {
            let has = |stems: &[&str]| stems.iter().any(|stem| spelled(word, stem));
            if word.len() > 40 {
                None
            } else if has(&["fatal", "panic", "critical"]) {
                Some(Self::Fatal)
            } else if has(&["error"]) {
                Some(Self::Error)
            } else if has(&["warn"]) {
                Some(Self::Warn)
            } else {
                None
            }
        })
    }

    /// A word that is the name of a level and nothing else.
    pub fn exact(word: &str) -> Option<Self> {
        let bytes = word.as_bytes();
        let rest = bytes.get(1..)?;
        let first = bytes[0].is_ascii_alphabetic();
        let lower = rest.iter().all(u8::is_ascii_lowercase);
        let upper = bytes[0].is_ascii_uppercase() && rest.iter().all(u8::is_ascii_uppercase);
        if !first || bytes.len() > 13 || !(lower || upper) {
            return None;
        }
        let mut name = [0_u8; 13];
        let name = &mut name[..bytes.len()];
        name.copy_from_slice(bytes);
        name.make_ascii_lowercase();
        Some(match &*name {
            b"f" | b"ftl" | b"fatal" | b"panic" | b"dpanic" | b"crit" | b"critical" | b"emerg" | b"emergency"
            | b"alert" => Self::Fatal,
            b"e" | b"err" | b"error" | b"severe" => Self::Error,
            b"w" | b"wrn" | b"warn" | b"warning" => Self::Warn,
            b"i" | b"inf" | b"info" | b"information" | b"informational" | b"notice" | b"note" | b"default"
            | b"config" | b"log" | b"success" => Self::Info,
            b"d" | b"dbg" | b"dbug" | b"debug" | b"t" | b"trc" | b"trce" | b"trace" | b"v" | b"vrb" | b"verbose"
            | b"fine" | b"finer" | b"finest" | b"silly" => Self::Debug,
            _ => return None,
        })
    }

    /// What a number means on its scale.
    pub fn of_number(scale: Scale, number: &str) -> Option<Self> {
        let number: f64 = number.trim().parse().ok()?;
        let at_least = |steps: [(f64, Self); 4]| {
            Some(steps.into_iter().find(|(from, _)| number >= *from).map_or(Self::Debug, |(_, level)| level))
        };
        let (fatal, error, warn, info) = match scale {
            Scale::Words => return None,
            Scale::Syslog => return syslog(number),
            Scale::Python => (50.0, 40.0, 30.0, 20.0),
            Scale::Otel if (1.0..=24.0).contains(&number) => (21.0, 17.0, 13.0, 9.0),
            Scale::Otel => return None,
            Scale::Insights => (4.0, 3.0, 2.0, 1.0),
            Scale::General | Scale::Cloud => match number {
                n if !(0.0..100_000.0).contains(&n) => return None,
                n if n <= 7.0 => return syslog(n),
                // Bunyan and pino.
                n if n < 100.0 => (60.0, 50.0, 40.0, 30.0),
                n if n < 1_000.0 && scale == Scale::Cloud => (600.0, 500.0, 400.0, 200.0),
                // Monolog below 700, java.util.logging from there on.
                n if n < 700.0 => (500.0, 400.0, 300.0, 200.0),
                n if n < 10_000.0 => (f64::INFINITY, 1_000.0, 900.0, 800.0),
                // Logback.
                _ => (50_000.0, 40_000.0, 30_000.0, 20_000.0),
            },
        };
        at_least([(fatal, Self::Fatal), (error, Self::Error), (warn, Self::Warn), (info, Self::Info)])
    }

    /// What the priority in front of a syslog line means; the facility is in the higher bits.
    pub fn of_priority(priority: u32) -> Option<Self> {
        (priority < 192).then(|| syslog(f64::from(priority & 7)))?
    }
}

fn syslog(number: f64) -> Option<Level> {
    Some(match number {
        n if !(0.0..8.0).contains(&n) => return None,
        n if n < 3.0 => Level::Fatal,
        n if n < 4.0 => Level::Error,
        n if n < 5.0 => Level::Warn,
        n if n < 7.0 => Level::Info,
        _ => Level::Debug,
    })
}

/// Whether the word contains the stem in one of the three spellings.
fn spelled(word: &str, stem: &str) -> bool {
    let upper = stem.to_ascii_uppercase();
    let capital = format!("{}{}", &upper[..1], &stem[1..]);
    [stem, &upper, &capital].iter().any(|form| word.contains(*form))
}

/// Which numbers a field counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Syslog up to 7, bunyan and pino below 100, Monolog, java.util.logging, Logback.
    General,
    /// As [`Scale::General`], but hundreds are those of Google Cloud.
    Cloud,
    /// Syslog alone.
    Syslog,
    /// Python's `logging`.
    Python,
    /// OpenTelemetry, 1 to 24.
    Otel,
    /// Application Insights, 0 to 4.
    Insights,
    /// Numbers mean nothing here.
    Words,
}

impl Scale {
    /// The scale of the field with this name (the last part of a dotted one), and how early it is asked. `None`: the
    /// field is no level.
    pub fn of_field(name: &str) -> Option<(Self, u8)> {
        Some(match name {
            "level" => (Self::General, 0),
            "severity" => (Self::Cloud, 1),
            "lvl" => (Self::General, 3),
            "Level" | "LEVEL" | "loglevel" | "logLevel" | "log_level" | "LogLevel" | "LVL" => (Self::General, 4),
            "Severity" | "SEVERITY" => (Self::Cloud, 4),
            "levelname" | "level_name" | "levelName" | "severity_text" | "severityText" | "SeverityText" | "@l" => {
                (Self::Words, 5)
            }
            "severityLevel" => (Self::Insights, 6),
            "levelno" => (Self::Python, 6),
            "severity_number" | "severityNumber" | "SeverityNumber" => (Self::Otel, 6),
            "level_value" | "levelValue" => (Self::General, 6),
            "PRIORITY" => (Self::Syslog, 7),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (word, level) in [
            ("error", Some(Level::Error)),
            ("ERROR", Some(Level::Error)),
            ("Error", Some(Level::Error)),
            (" err ", Some(Level::Error)),
            ("SEVERE", Some(Level::Error)),
            ("ERROR+2", Some(Level::Error)),
            ("LOG_ERROR", Some(Level::Error)),
            ("critical", Some(Level::Fatal)),
            ("dpanic", Some(Level::Fatal)),
            ("EMERG", Some(Level::Fatal)),
            ("Alert", Some(Level::Fatal)),
            ("FTL", Some(Level::Fatal)),
            ("F", Some(Level::Fatal)),
            ("Warning", Some(Level::Warn)),
            ("WRN", Some(Level::Warn)),
            ("notice", Some(Level::Info)),
            ("INFO", Some(Level::Info)),
            ("trace", Some(Level::Debug)),
            ("", None),
            ("custom", None),
            ("eRrOr", None),
            ("terse", None),
        ] {
            assert_eq!(Level::of_word(word), level, "{word}");
        }
    }

    #[test]
    fn numbers_on_their_scales() {
        for (scale, number, level) in [
            (Scale::General, "50", Some(Level::Error)),
            (Scale::General, "60", Some(Level::Fatal)),
            (Scale::General, "40", Some(Level::Warn)),
            (Scale::General, "30", Some(Level::Info)),
            (Scale::General, "10", Some(Level::Debug)),
            (Scale::General, "3", Some(Level::Error)),
            (Scale::General, "0", Some(Level::Fatal)),
            (Scale::General, "4", Some(Level::Warn)),
            (Scale::General, "6", Some(Level::Info)),
            (Scale::General, "400", Some(Level::Error)),
            (Scale::General, "1000", Some(Level::Error)),
            (Scale::General, "900", Some(Level::Warn)),
            (Scale::General, "40000", Some(Level::Error)),
            (Scale::General, "30000", Some(Level::Warn)),
            (Scale::General, "-1", None),
            (Scale::General, "1e300", None),
            (Scale::General, "nan", None),
            (Scale::Cloud, "400", Some(Level::Warn)),
            (Scale::Cloud, "500", Some(Level::Error)),
            (Scale::Python, "40", Some(Level::Error)),
            (Scale::Python, "30", Some(Level::Warn)),
            (Scale::Otel, "17", Some(Level::Error)),
            (Scale::Otel, "21", Some(Level::Fatal)),
            (Scale::Otel, "13", Some(Level::Warn)),
            (Scale::Otel, "9", Some(Level::Info)),
            (Scale::Otel, "30", None),
            (Scale::Insights, "3", Some(Level::Error)),
            (Scale::Syslog, "3", Some(Level::Error)),
            (Scale::Syslog, "9", None),
            (Scale::Words, "50", None),
        ] {
            assert_eq!(Level::of_number(scale, number), level, "{scale:?} {number}");
        }
        assert_eq!(Level::of_priority(11), Some(Level::Error));
        assert_eq!(Level::of_priority(14), Some(Level::Info));
        assert_eq!(Level::of_priority(192), None);
    }
}
