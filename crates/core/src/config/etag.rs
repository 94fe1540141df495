//! The entity tag of the configuration, and what an `If-Match` says about it.

/// The tag of the stored row. Version 0 is the configuration that was never saved.
pub fn etag(version: u64, updated_at_ms: u64) -> String {
    format!("\"{version}-{updated_at_ms}\"")
}

/// Whether an `If-Match` header names this tag. Comparison is strong: a weak tag never matches.
pub fn if_match(header: &str, etag: &str) -> bool {
    header.split(',').map(str::trim).any(|tag| tag == "*" || tag == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_a_strong_comparison() {
        let tag = etag(3, 17);
        for (header, matches) in [
            ("\"3-17\"", true),
            ("*", true),
            ("\"2-16\", \"3-17\"", true),
            ("W/\"3-17\"", false),
            ("3-17", false),
            ("\"2-16\"", false),
            ("", false),
        ] {
            assert_eq!(if_match(header, &tag), matches, "{header}");
        }
    }
}
