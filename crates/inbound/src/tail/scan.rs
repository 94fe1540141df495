//! Which files are there: those that the source means, rotated ones beside them, and any file whose inode is known.
//!
//! Bounded in directories, entries and files. Names that are no UTF-8 cannot be configured or shown, and are passed over.

use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
};

use rustix::fs::FileType;
use tandem_core::source::{
    file::{Fault, FileId, FileState},
    pattern::{self, Part, Pattern, part_matches},
};

use super::{
    Limits, Trouble,
    beneath::{Root, Stat, fault},
};

const DIRECTORIES: usize = 1_024;
const DEPTH: usize = 16;

#[derive(Debug)]
pub(super) struct Found {
    /// Relative to the root.
    pub path: String,
    pub stat: Stat,
    /// The pattern means it.
    pub member: bool,
    /// The path that its name is a rotated name of, if that one is there, or was.
    pub base: Option<String>,
    /// The directory that it is in.
    pub directory: Option<FileId>,
}

impl Found {
    pub fn is_packed(&self) -> bool {
        pattern::is_gzip(&self.path)
    }
}

pub(super) struct Scan<'a> {
    root: &'a Root,
    exact: Option<String>,
    inodes: HashSet<u64>,
    limits: &'a Limits,
    /// Directory entries that may still be looked at.
    entries: usize,
    pub found: Vec<Found>,
    pub trouble: Vec<Trouble>,
    /// The directories that were looked at.
    pub directories: Vec<FileId>,
    /// Something could not be looked at, or was too much: a file that was not found may be there all the same.
    pub incomplete: bool,
}

pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

pub(super) fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Looks at the disk. Never fails as a whole: what cannot be looked at is trouble of that path.
pub(super) fn scan<'a>(root: &'a Root, pattern: &Pattern, files: &[FileState], limits: &'a Limits) -> Scan<'a> {
    let inodes = files.iter().map(|file| file.id.inode).collect();
    let mut scan = Scan {
        root,
        exact: pattern.exact(),
        inodes,
        limits,
        entries: limits.entries,
        found: Vec::new(),
        trouble: Vec::new(),
        directories: Vec::new(),
        incomplete: false,
    };
    let (last, directories) = pattern.parts().split_last().expect("a pattern has a part");
    let mut expanded = BTreeSet::new();
    scan.expand(directories, String::new(), 0, &mut expanded);
    for directory in &expanded {
        scan.directory(directory, last);
    }
    scan.find_bases(files);
    scan.cap(files);
    if !scan.found.iter().any(|found| found.member) && scan.trouble.is_empty() {
        scan.trouble(pattern_text(pattern), Fault::NotFound, "no such file");
    }
    scan
}

/// Whether a link on the way to what a pattern means leads out of the root. Where the root is not there, nothing does.
pub fn leads_out(root: &Path, path: &str) -> bool {
    let Ok(pattern) = Pattern::new(&root.to_string_lossy(), path) else { return true };
    let fixed = pattern.parts().iter().map_while(|part| match part {
        Part::Name(name) => Some(name.as_str()),
        Part::Wild(_) | Part::Any => None,
    });
    let fixed = fixed.collect::<Vec<_>>().join("/");
    !fixed.is_empty() && Root::open(root).is_ok_and(|root| root.leads_out(&fixed))
}

fn pattern_text(pattern: &Pattern) -> String {
    let part = |part: &Part| match part {
        Part::Name(text) | Part::Wild(text) => text.clone(),
        Part::Any => "**".to_owned(),
    };
    pattern.parts().iter().map(part).collect::<Vec<_>>().join("/")
}

impl Scan<'_> {
    pub fn trouble(&mut self, path: impl Into<String>, fault: Fault, detail: impl ToString) {
        if self.trouble.len() < self.limits.trouble {
            self.trouble.push(Trouble { path: path.into(), fault, detail: detail.to_string() });
        }
    }

    /// What is not there was looked at; anything else was not.
    fn missed(&mut self, error: &std::io::Error) {
        self.incomplete |= error.kind() != std::io::ErrorKind::NotFound;
    }

    /// The directories that the pattern's directory parts mean.
    fn expand(&mut self, parts: &[Part], at: String, depth: usize, out: &mut BTreeSet<String>) {
        if out.len() >= DIRECTORIES || depth > DEPTH {
            self.incomplete = true;
            return;
        }
        let Some((part, rest)) = parts.split_first() else {
            out.insert(at);
            return;
        };
        if let Part::Name(name) = part {
            return self.expand(rest, join(&at, name), depth, out);
        }
        if *part == Part::Any {
            self.expand(rest, at.clone(), depth, out);
        }
        for name in self.subdirectories(&at) {
            if part_matches(part, &name) {
                let rest = if *part == Part::Any { parts } else { rest };
                self.expand(rest, join(&at, &name), depth + 1, out);
            }
        }
    }

    fn subdirectories(&mut self, at: &str) -> Vec<String> {
        let mut directory = match self.root.list(at) {
            Ok(directory) => directory,
            Err(error) => {
                self.missed(&error);
                return Vec::new();
            }
        };
        let mut names = Vec::new();
        while let Some(entry) = directory.entries.next() {
            let (Some(left), Ok(entry)) = (self.entries.checked_sub(1), entry) else {
                self.incomplete = true;
                break;
            };
            self.entries = left;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let kind = match entry.file_type() {
                FileType::Unknown => directory.stat(name).map_or(FileType::Unknown, |stat| stat.kind),
                known => known,
            };
            if kind == FileType::Directory && name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        names
    }

    fn directory(&mut self, at: &str, last: &Part) {
        let mut directory = match self.root.list(at) {
            Ok(directory) => directory,
            Err(error) => {
                self.missed(&error);
                return self.trouble(at, fault(&error), error);
            }
        };
        let id = directory.id().ok();
        self.directories.extend(id);
        while let Some(entry) = directory.entries.next() {
            let Some(left) = self.entries.checked_sub(1) else {
                self.incomplete = true;
                return self.trouble(at, Fault::TooManyFiles, "more directory entries than are looked at");
            };
            self.entries = left;
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.incomplete = true;
                    return self.trouble(at, Fault::Io, error);
                }
            };
            let Ok(name) = entry.file_name().to_str() else { continue };
            let member = part_matches(last, name) && !pattern::is_packed_otherwise(name);
            let rotated = || pattern::rotated_from(name, |base| part_matches(last, base)).is_some();
            if member || self.inodes.contains(&entry.ino()) || rotated() {
                let stat = directory.stat(name);
                self.add(join(at, name), member, id, stat);
            }
        }
    }

    fn add(&mut self, path: String, member: bool, directory: Option<FileId>, stat: std::io::Result<Stat>) {
        let mut stat = match stat {
            Ok(stat) => stat,
            // Gone since it was listed, or out of reach.
            Err(error) => return self.missed(&error),
        };
        if stat.kind == FileType::Symlink && member {
            // What the link leads to, if that lies inside.
            match self.root.file(&path) {
                Ok((_, target)) => stat = target,
                Err(error) => return self.trouble(path, fault(&error), error),
            }
        }
        if stat.kind == FileType::RegularFile {
            self.found.push(Found { path, stat, member, base: None, directory });
        } else if self.exact.as_ref() == Some(&path) {
            self.trouble(path, Fault::NotAFile, "not a regular file");
        }
    }

    /// A rotated name is one beside a name that is there, or was: others are only names that look like it.
    fn find_bases(&mut self, files: &[FileState]) {
        let mut known: HashSet<String> = self.found.iter().map(|found| found.path.clone()).collect();
        known.extend(files.iter().map(|file| file.path.clone()));
        known.extend(self.exact.clone());
        for found in &mut self.found {
            let (at, name) = (directory_of(&found.path), name_of(&found.path));
            let base = pattern::rotated_from(name, |base| known.contains(&join(at, base)));
            found.base = base.map(|base| join(at, &base));
        }
    }

    /// Keeps known files first, then the newest.
    fn cap(&mut self, files: &[FileState]) {
        let most = self.limits.files;
        if self.found.len() > most {
            let known = |found: &Found| files.iter().any(|file| file.id.is(&found.stat.id));
            self.found.sort_by_cached_key(|found| (!known(found), std::cmp::Reverse(found.stat.mtime_ms)));
            let at = self.found.get(most).map_or(String::new(), |found| found.path.clone());
            self.found.truncate(most);
            self.trouble(at, Fault::TooManyFiles, format!("more than {most} files; the newest are read"));
        }
        // Oldest first: what was written first is read first.
        self.found.sort_by(|a, b| (a.stat.mtime_ms, name_of(&b.path)).cmp(&(b.stat.mtime_ms, name_of(&a.path))));
    }
}
