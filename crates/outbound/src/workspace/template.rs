//! The front matter of a workspace's bug report template. The rest of the template is not used.

use std::{fs::File, io::Read, path::Path};

const NAMES: [&str; 2] = [".github/ISSUE_TEMPLATE/bug_report.md", ".github/ISSUE_TEMPLATE/bug-report.md"];
const BYTES: u64 = 64 * 1024;

/// `root` must be canonical.
pub fn front_matter(root: &Path) -> Option<String> {
    NAMES.iter().find_map(|name| {
        // A link may point anywhere; what it resolves to must lie in the workspace.
        let path = root.join(name).canonicalize().ok()?;
        if !path.starts_with(root) || !path.is_file() {
            return None;
        }
        let mut text = String::new();
        File::open(path).ok()?.take(BYTES).read_to_string(&mut text).ok()?;
        extract(&text)
    })
}

fn extract(text: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let mut front = Vec::new();
    for line in lines {
        if line.trim_end() == "---" {
            return Some(front.join("\n")).filter(|front| !front.trim().is_empty());
        }
        front.push(line);
    }
    None
}
