//! Risk levels: their rank, which of them are high, and the configured floor.

/// The rank of a level; 0 for words that are none.
pub fn rank(level: &str) -> u8 {
    match level.trim().to_ascii_lowercase().as_str() {
        "critical" | "urgent" | "severe" => 5,
        "high" => 4,
        "medium" | "moderate" => 3,
        "low" => 2,
        "info" | "informational" | "none" => 1,
        _ => 0,
    }
}

/// High risk is what the safety default asks approval for.
pub fn is_high(level: &str) -> bool {
    rank(level) >= 4
}

/// The floor raises a level and never lowers one.
pub fn raise<'a>(level: &'a str, floor: Option<&'a str>) -> &'a str {
    match floor {
        Some(floor) if rank(floor) > rank(level) => floor.trim(),
        Some(_) | None => level,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_only_raises() {
        for (level, floor, expected) in [
            ("low", Some("high"), "high"),
            ("critical", Some("high"), "critical"),
            ("odd", Some("info"), "info"),
            ("medium", Some("moderate"), "medium"),
            ("low", None, "low"),
        ] {
            assert_eq!(raise(level, floor), expected);
        }
        assert!(is_high(" Urgent ") && is_high("SEVERE") && !is_high("medium") && !is_high("highest"));
    }
}
