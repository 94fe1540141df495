//! Rust sources: headers, length, leftovers.

use std::{fs, path::Path};

use super::{files, shown};

const MOST_LINES: usize = 900;

/// What must not stay behind. Put together here, so that this file does not find itself.
const LEFTOVERS: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("#[", "ignore"),
];

pub fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    for dir in ["crates", "xtask"] {
        for path in files(&root.join(dir), "rs")? {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let name = shown(&path);
            findings.extend(judge(&name, &text).into_iter().map(|finding| format!("{name}{finding}")));
        }
    }
    Ok(findings)
}

fn judge(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") && !is_test(name) {
        findings.push(": does not begin with a `//!` header".to_owned());
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        findings.push(format!(": {lines} lines, {MOST_LINES} at most"));
    }
    for (at, line) in text.lines().enumerate() {
        for leftover in LEFTOVERS.iter().filter(|leftover| has_word(line, leftover)) {
            findings.push(format!(":{}: `{leftover}` stayed behind", at + 1));
        }
    }
    findings
}

/// Tests explain themselves by their names; a header is welcome there, not asked for.
fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs") || name.ends_with("_tests.rs")
}

/// Whether `word` stands in `line` by itself, not as a part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        let closed = word.ends_with(|c: char| !c.is_ascii_alphanumeric());
        !part_of_word(before.chars().next_back()) && (closed || !part_of_word(after.chars().next()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings() {
        let leftover = format!("//! x\nfn f() {{ {}) }}\n", LEFTOVERS[0]);
        for (name, text, count) in [
            ("crates/a/src/b.rs", "//! Says what.\n", 0),
            ("crates/a/src/b.rs", "use x;\n", 1),
            ("crates/a/src/tests.rs", "use x;\n", 0),
            ("crates/a/tests/it/b.rs", "use x;\n", 0),
            ("crates/a/src/b.rs", leftover.as_str(), 1),
            ("crates/a/src/b.rs", "//! `\\uXXXX` and a_FIXMEs are parts of words\n", 0),
        ] {
            assert_eq!(judge(name, text).len(), count, "{name}: {text}");
        }
        assert_eq!(judge("crates/a/src/b.rs", &"//! x\n".repeat(901)).len(), 1);
    }
}
