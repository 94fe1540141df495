//! The files that a stack trace names, found among the files that exist: the longest common tail of path components
//! wins. The path of a frame is never opened.

use tandem_core::triage::research::{FileHit, FoundBy, FrameFile, ResearchPlan};

use super::{Reader, snippet, walk::Found};

/// More candidates than this for one frame say nothing.
const AMBIGUOUS: usize = 3;

pub fn resolve(files: &[Found], plan: &ResearchPlan, reader: &mut Reader<'_>) -> Vec<FileHit> {
    let mut hits: Vec<FileHit> = Vec::new();
    for frame in &plan.frame_files {
        let candidates = candidates(files, &frame.file);
        if candidates.len() > AMBIGUOUS {
            continue;
        }
        for (found, certain) in &candidates {
            let hit = hit(found, frame, *certain && candidates.len() == 1, reader);
            if !hits.iter().any(|known| known.path == hit.path && (known.line == hit.line || hit.line.is_none())) {
                hits.push(hit);
            }
        }
    }
    hits
}

/// The files with the longest common tail, and whether that tail says enough.
fn candidates<'a>(files: &'a [Found], frame: &str) -> Vec<(&'a Found, bool)> {
    let wanted = components(frame);
    let mut best = 1;
    let mut found: Vec<(&Found, bool)> = Vec::new();
    for file in files {
        let have: Vec<&str> = file.path.split('/').collect();
        let common = wanted.iter().rev().zip(have.iter().rev()).take_while(|(a, b)| a == b).count();
        if common < best {
            continue;
        }
        if common > best {
            best = common;
            found.clear();
        }
        // One equal file name under two different directories is a namesake until something else says more.
        found.push((file, common >= 2 || common == wanted.len() || common == have.len()));
    }
    found
}

/// The components of a path in any system's notation. `webpack://app/./src/a.ts?3` → `app`, `src`, `a.ts`.
fn components(frame: &str) -> Vec<&str> {
    let path = frame.split_once("://").map_or(frame, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != "." && *part != "..").collect()
}

fn hit(found: &Found, frame: &FrameFile, certain: bool, reader: &mut Reader<'_>) -> FileHit {
    let text = frame.line.filter(|line| *line > 0).and_then(|line| {
        let bytes = reader.text(&found.path)?;
        // What follows the last line break is no line when it is empty.
        let body = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let nth = usize::try_from(line - 1).ok()?;
        body.split(|&b| b == b'\n').nth(nth).map(snippet)
    });
    FileHit {
        path: found.path.clone(),
        line: text.is_some().then_some(frame.line).flatten(),
        exact: certain && text.is_some(),
        snippet: text.unwrap_or_default(),
        found_by: FoundBy::Frame,
        needle: frame.file.clone(),
    }
}
