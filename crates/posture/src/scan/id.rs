//! Ids of what was found: readable, the same at every scan, and different for different places.

use tandem_core::text::sha256_hex;

const LONGEST: usize = 160;

/// `<framework>.<root>[.<directory>][:<tail>]`. A part that an id cannot hold as it is gets a few digits of its hash.
pub fn of(framework: &str, root: &str, directory: &str, tail: &str) -> String {
    let mut id = format!("{framework}.{}", part(root));
    for segment in directory.split('/').filter(|segment| !segment.is_empty()) {
        id.push('.');
        id.push_str(&part(segment));
    }
    if !tail.is_empty() {
        id.push(':');
        id.push_str(&part(tail));
    }
    if id.len() > LONGEST {
        let digits = &sha256_hex(&id)[..16];
        id.truncate(LONGEST - 17);
        id = format!("{id}-{digits}");
    }
    id
}

fn part(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let readable: String = text.chars().map(|c| if plain(c) { c } else { '-' }).take(60).collect();
    format!("{}-{}", readable.trim_matches('-'), &sha256_hex(text)[..6])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::read::valid_id;

    #[test]
    fn places_stay_apart() {
        assert_eq!(of("claude", "shop", "", ""), "claude.shop");
        assert_eq!(of("claude", "shop", "packages/web", "reviewer"), "claude.shop.packages.web:reviewer");
        let pairs = [
            (of("x", "r", "a/b", ""), of("x", "r", "a.b", "")),
            (of("x", "r", "a b", ""), of("x", "r", "a-b", "")),
            (of("x", "r", "", "ä"), of("x", "r", "", "ö")),
            (of("x", "r", &"a/".repeat(200), ""), of("x", "r", &"a/".repeat(201), "")),
        ];
        for (one, other) in pairs {
            assert_ne!(one, other);
            assert!(valid_id(&one) && valid_id(&other), "{one} {other}");
        }
    }
}
