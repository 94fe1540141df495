//! A workspace on this machine, searched in this process.
//!
//! Bounded in entries, bytes and time. Symbolic links are not followed, so nothing outside the root is read. The one
//! program that is run is `git`, with fixed arguments; it is told the paths that our own walk found, on its standard
//! input. Text from a report is only ever compared with bytes of files.

mod frames;
mod history;
mod template;
mod terms;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tandem_core::triage::research::{FileHit, HIT_CAP, ResearchPlan, Workspace, WorkspaceFindings};

/// Searches directories of this machine.
#[derive(Clone, Copy, Debug)]
pub struct LocalWorkspace {
    limits: Limits,
}

/// Bounds of one search.
#[derive(Clone, Copy, Debug)]
struct Limits {
    entries: usize,
    file_bytes: u64,
    total_bytes: u64,
}

impl Default for LocalWorkspace {
    fn default() -> Self {
        Self { limits: Limits { entries: 20_000, file_bytes: 400_000, total_bytes: 64 * 1024 * 1024 } }
    }
}

impl Workspace for LocalWorkspace {
    fn search(&self, root: &Path, plan: &ResearchPlan, budget: Duration) -> WorkspaceFindings {
        let Some(root) = canonical(root) else { return WorkspaceFindings::default() };
        let deadline = Instant::now() + budget;
        let walked = walk::walk(&root, &self.limits, deadline);
        let mut reader = Reader { root: &root, limits: self.limits, left: self.limits.total_bytes, deadline, read: 0 };

        let mut hits = frames::resolve(&walked.files, plan, &mut reader);
        // Where the stack says it exactly, words that occur elsewhere are hardly worth a look.
        let room = if hits.iter().any(|hit| hit.exact) { 4 } else { HIT_CAP };
        let mut out_of_budget = false;
        if !plan.terms.is_empty() {
            let found = terms::search(&walked.files, plan, &mut reader);
            out_of_budget = found.truncated;
            let new = |hit: &FileHit| !hits.iter().any(|known| known.path == hit.path);
            let more: Vec<FileHit> = found.hits.into_iter().filter(new).take(room).collect();
            hits.extend(more);
        }
        hits.truncate(HIT_CAP);
        WorkspaceFindings {
            available: true,
            files_searched: reader.read,
            truncated: walked.truncated || out_of_budget,
            commits: history::commits(&root, &hits),
            hits,
        }
    }

    fn template(&self, root: &Path) -> Option<String> {
        template::front_matter(&canonical(root)?)
    }
}

/// An absolute path of an existing directory, without links in it.
fn canonical(root: &Path) -> Option<PathBuf> {
    if !root.is_absolute() {
        return None;
    }
    root.canonicalize().ok().filter(|root| root.is_dir() && root.parent().is_some())
}

/// Reads files under the bounds.
struct Reader<'a> {
    root: &'a Path,
    limits: Limits,
    left: u64,
    deadline: Instant,
    read: u64,
}

impl Reader<'_> {
    fn exhausted(&self) -> bool {
        self.left == 0 || Instant::now() >= self.deadline
    }

    /// The bytes of a text file; `None` for binary, oversized and unreadable ones, and when the bounds are reached.
    fn text(&mut self, path: &str) -> Option<Vec<u8>> {
        if self.exhausted() {
            return None;
        }
        let full = self.root.join(path);
        // The walk saw a plain file; it must still be one, or opening it might block or lead elsewhere.
        if !full.symlink_metadata().ok()?.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        let bound = self.limits.file_bytes.min(self.left);
        File::open(full).ok()?.take(bound + 1).read_to_end(&mut bytes).ok()?;
        let length = bytes.len() as u64;
        self.left = self.left.saturating_sub(length);
        if length > bound || bytes.iter().take(8_192).any(|&b| b == 0) {
            return None;
        }
        self.read += 1;
        Some(bytes)
    }
}

/// The line around `at`, its number, and its text as a short snippet.
fn line_at(bytes: &[u8], at: usize) -> (u64, String) {
    let before = &bytes[..at.min(bytes.len())];
    let number = before.iter().filter(|&&b| b == b'\n').count() as u64 + 1;
    let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
    let end = bytes[start..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |i| start + i);
    (number, snippet(&bytes[start..end]))
}

const SNIPPET: usize = 200;

fn snippet(line: &[u8]) -> String {
    let line = &line[..line.len().min(4 * SNIPPET)];
    let text = String::from_utf8_lossy(line);
    text.trim().chars().filter(|c| !c.is_control()).take(SNIPPET).collect()
}
