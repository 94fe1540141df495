//! A bounded walk that follows no link and opens nothing but regular files whose names are known.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
use tandem_posture::scan::{Format, Scan};

const DEEPEST: usize = 16;
const MOST_ENTRIES: usize = 500_000;
const MOST_FILES: usize = 2_000;
const MOST_BYTES: u64 = 1024 * 1024;

/// Other people's code and what is built from it: large, and not configured here.
const PASSED_OVER: &[&str] =
    &[".git", "node_modules", "target", "__pycache__", ".venv", "venv", "site-packages", ".tox", ".cache"];

/// Hands every known file beneath `root` to the scan. Answers with what was left out.
pub fn walk(root: &Path, scan: &mut Scan) -> Vec<String> {
    let mut walk = Walk { scan, entries: 0, files: 0, links: 0, deep: 0 };
    let mut open = vec![(root.to_owned(), String::new(), 0)];
    while let Some((directory, relative, depth)) = open.pop() {
        // The last one is taken first; turned round, directories are walked in the order of their names.
        let mut inner = walk.directory(&directory, &relative, depth);
        inner.reverse();
        open.append(&mut inner);
        if walk.entries >= MOST_ENTRIES || walk.files >= MOST_FILES {
            break;
        }
    }
    walk.notes()
}

struct Walk<'a> {
    scan: &'a mut Scan,
    entries: usize,
    files: usize,
    links: usize,
    deep: usize,
}

type Inner = Vec<(PathBuf, String, usize)>;

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, relative: &str, depth: usize) -> Inner {
        let shown = if relative.is_empty() { "." } else { relative };
        let listed = match std::fs::read_dir(directory) {
            Ok(listed) => listed,
            Err(error) => {
                self.scan.fail(shown, format!("the directory cannot be read: {}", error.kind()));
                return Inner::new();
            }
        };
        let mut names: Vec<_> = listed.flatten().take(MOST_ENTRIES - self.entries.min(MOST_ENTRIES)).collect();
        self.entries += names.len();
        names.sort_by_key(std::fs::DirEntry::file_name);
        let mut inner = Inner::new();
        for entry in names {
            // A name that is no text is none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Ok(kind) = entry.file_type() else { continue };
            let path = if relative.is_empty() { name.clone() } else { format!("{relative}/{name}") };
            if kind.is_symlink() {
                self.links += usize::from(Format::of(&path).is_some());
            } else if kind.is_dir() && !PASSED_OVER.contains(&name.as_str()) {
                if depth + 1 < DEEPEST {
                    inner.push((entry.path(), path, depth + 1));
                } else {
                    self.deep += 1;
                }
            } else if kind.is_file()
                && let Some(format) = Format::of(&path)
                && self.files < MOST_FILES
            {
                self.files += 1;
                match text(&entry.path()) {
                    Ok(text) => self.scan.add(format, &path, &text),
                    Err(why) => self.scan.fail(&path, why),
                }
            }
        }
        inner
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.links > 0 {
            notes.push(format!("{} links to configuration files were not followed", self.links));
        }
        if self.deep > 0 {
            notes.push(format!("{} directories lie deeper than {DEEPEST} and were not read", self.deep));
        }
        if self.entries >= MOST_ENTRIES || self.files >= MOST_FILES {
            notes.push(format!("the walk ended after {} entries and {} files", self.entries, self.files));
        }
        notes
    }
}

/// A file may have become a link or a pipe since it was listed; neither is opened.
fn text(path: &Path) -> Result<String, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| format!("it cannot be opened: {error}"))?;
    let file = File::from(fd);
    let regular = file.metadata().is_ok_and(|meta| meta.is_file());
    if !regular {
        return Err("it is no regular file".into());
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("it cannot be read: {}", error.kind()))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("it is larger than {MOST_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".into())
}
