//! Relative links in the Markdown files: the file exists, and so does the heading that is named in it. Links to the
//! outside are not followed, because a check must not depend on other people's servers.

use std::{fs, path::Path};

use super::{files, shown};

pub fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut findings = Vec::new();
    for path in files(root, "md")? {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for target in targets(&text) {
            if let Some(why) = broken(&path, &text, &target) {
                findings.push(format!("{}: link to `{target}`: {why}", shown(&path)));
            }
        }
    }
    Ok(findings)
}

fn broken(from: &Path, text: &str, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let to = if file.is_empty() { from.to_owned() } else { from.parent()?.join(file) };
    if !to.exists() {
        return Some("no such file");
    }
    let there = if file.is_empty() { text.to_owned() } else { fs::read_to_string(&to).unwrap_or_default() };
    (!heading.is_empty() && !prose(&there).any(|line| slug(line).as_deref() == Some(heading)))
        .then_some("no such heading")
}

/// What stands in `](…)`, outside of code.
fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // Every second piece between backticks is code.
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for piece in line.split("](").skip(1) {
            if let Some((target, _)) = piece.split_once(')') {
                found.push(target.split_whitespace().next().unwrap_or_default().to_owned());
            }
        }
    }
    found
}

fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The anchor that a heading gets on the usual hosts.
fn slug(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
    Some(title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text = "[a](b.md) and `[c](d.md)` [e](f.md#g \"title\")\n```\n[h](i.md)\n```\n[j](#k)";
        assert_eq!(targets(text), ["b.md", "f.md#g", "#k"]);
    }

    #[test]
    fn targets_must_exist() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let text = "# One\n## Two: more `code`\n";
        for (target, found) in [
            ("src/main.rs", false),
            ("src/none.rs", true),
            ("#one", false),
            ("#two-more-code", false),
            ("#three", true),
            ("https://example.com/none", false),
        ] {
            assert_eq!(broken(&here, text, target).is_some(), found, "{target}");
        }
    }
}
