//! Every dependency's licence, against the list in `deny.toml`. cargo-deny reads the same list and checks more; it is
//! not on every machine, so the part that must never be skipped is here.

use std::{fs, path::Path};

use serde_json::Value;

pub fn check(metadata: &Value, config: &Path) -> Vec<String> {
    let text = match fs::read_to_string(config) {
        Ok(text) => text,
        Err(error) => return vec![format!("{}: {error}", config.display())],
    };
    let allowed = allowed(&text);
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        match package["license"].as_str() {
            Some(licence) if satisfied(licence, &allowed) => {}
            Some(licence) => findings.push(format!("{name}: licence `{licence}` is not allowed by deny.toml")),
            None => findings.push(format!("{name}: no licence is named")),
        }
    }
    findings
}

/// The strings of `allow = […]` under `[licenses]`.
fn allowed(config: &str) -> Vec<String> {
    let section = config.split("[licenses]").nth(1).unwrap_or_default();
    let list = section.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met with the allowed licences. `OR` binds weaker than `AND`.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    // The old form with a slash means OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any(&tokens, &mut at, allowed)
}

fn any(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = all(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(tokens, at, allowed);
    }
    met
}

fn all(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = one(tokens, at, allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(tokens, at, allowed);
    }
    met
}

fn one(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let Some(token) = tokens.get(*at) else { return false };
    *at += 1;
    if *token == "(" {
        let met = any(tokens, at, allowed);
        *at += 1;
        return met;
    }
    let mut licence = (*token).to_owned();
    if tokens.get(*at) == Some(&"WITH") {
        licence = format!("{licence} WITH {}", tokens.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&licence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let allowed =
            allowed("[bans]\nallow = [\"no\"]\n[licenses]\nallow = [\n  \"MIT\",\n  \"ISC\", \"A WITH B\"\n]\n");
        assert_eq!(allowed, ["MIT", "ISC", "A WITH B"]);
        for (expression, met) in [
            ("MIT", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0 AND MIT", false),
            ("MIT AND ISC", true),
            ("(GPL-3.0 OR ISC) AND MIT", true),
            ("MIT AND (GPL-3.0 OR BSL-1.0)", false),
            ("A WITH B", true),
            ("MIT WITH B", false),
            ("", false),
        ] {
            assert_eq!(satisfied(expression, &allowed), met, "{expression}");
        }
    }
}
