//! Which files there are: breadth first and by name, so that a bound cuts off the deepest, and always the same ones.

use std::{collections::VecDeque, fs, path::Path, time::Instant};

use super::Limits;

/// Directories that hold no source of this project. Hidden ones are skipped as well.
const SKIPPED: [&str; 15] = [
    "target",
    "node_modules",
    "dist",
    "build",
    "vendor",
    "docs",
    "doc",
    "venv",
    "__pycache__",
    "site-packages",
    "bower_components",
    "coverage",
    "out",
    "bin",
    "obj",
];

const SOURCE: [&str; 46] = [
    "rs", "ts", "tsx", "js", "jsx", "mjs", "cjs", "mts", "cts", "vue", "svelte", "py", "pyi", "go", "java", "kt",
    "kts", "scala", "groovy", "clj", "rb", "erb", "rake", "cs", "fs", "vb", "php", "c", "cc", "cpp", "cxx", "h", "hpp",
    "m", "mm", "swift", "dart", "ex", "exs", "erl", "lua", "pl", "sh", "bash", "sql", "graphql",
];
const SETTINGS: [&str; 8] = ["yml", "yaml", "toml", "json", "ini", "proto", "tf", "gradle"];
/// Settings files above this are data.
const SETTINGS_BYTES: u64 = 64 * 1024;
const LOCKS: [&str; 9] = [
    "cargo.lock",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "go.sum",
    "poetry.lock",
    "gemfile.lock",
    "composer.lock",
];
const LONGEST_PATH: usize = 1_024;
const DEEPEST: usize = 40;

/// A plain file.
pub struct Found {
    /// Relative to the root, with `/`.
    pub path: String,
    /// Source that is searched for terms; other files may only be named by a frame.
    pub searchable: bool,
}

pub struct Walked {
    pub files: Vec<Found>,
    pub truncated: bool,
}

pub fn walk(root: &Path, limits: &Limits, deadline: Instant) -> Walked {
    let mut walked = Walked { files: Vec::new(), truncated: false };
    let mut left = limits.entries;
    let mut queue = VecDeque::from([(String::new(), 0)]);
    while let Some((directory, depth)) = queue.pop_front() {
        let Ok(entries) = fs::read_dir(root.join(&directory)) else { continue };
        let mut names = Vec::new();
        for entry in entries {
            if left == 0 || Instant::now() >= deadline {
                walked.truncated = true;
                break;
            }
            left -= 1;
            let Ok(entry) = entry else { continue };
            let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
            // A name with a line break in it could not be told to git as one line.
            if name.chars().any(char::is_control) || directory.len() + name.len() >= LONGEST_PATH {
                continue;
            }
            names.push((name, kind, entry));
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, kind, entry) in names {
            let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
            if kind.is_dir() {
                if depth < DEEPEST && !name.starts_with('.') && !SKIPPED.contains(&name.to_ascii_lowercase().as_str()) {
                    queue.push_back((path, depth + 1));
                }
            } else if kind.is_file() {
                let size = entry.metadata().map_or(u64::MAX, |m| m.len());
                walked.files.push(Found { searchable: searchable(&name, size, limits), path });
            }
        }
    }
    walked
}

fn searchable(name: &str, size: u64, limits: &Limits) -> bool {
    let name = name.to_ascii_lowercase();
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    let settings = SETTINGS.contains(&extension) && size <= SETTINGS_BYTES;
    (SOURCE.contains(&extension) || settings)
        && size <= limits.file_bytes
        && !LOCKS.contains(&name.as_str())
        && !stem.ends_with(".min")
}
