//! The terms of a plan in the source: all of them in one pass over each file. A term that occurs in many files is not
//! evidence for any of them.

use aho_corasick::{AhoCorasick, MatchKind};
use tandem_core::triage::research::{FileHit, FoundBy, ResearchPlan};

use super::{Reader, line_at, walk::Found};

/// A term in more files than this says nothing.
const COMMON: usize = 20;
/// A file with this many matches has been understood.
const MATCHES: usize = 10_000;

pub struct Searched {
    /// Best first, one for each file.
    pub hits: Vec<FileHit>,
    pub truncated: bool,
}

struct Place {
    file: usize,
    term: usize,
    line: u64,
    snippet: String,
}

pub fn search(files: &[Found], plan: &ResearchPlan, reader: &mut Reader<'_>) -> Searched {
    let none = Searched { hits: Vec::new(), truncated: false };
    let Ok(automaton) = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&plan.terms) else { return none };
    let mut places: Vec<Place> = Vec::new();
    let mut files_of = vec![0_usize; plan.terms.len()];
    let mut truncated = false;
    for (index, file) in files.iter().enumerate().filter(|(_, file)| file.searchable) {
        if reader.exhausted() {
            truncated = true;
            break;
        }
        let Some(bytes) = reader.text(&file.path) else { continue };
        let mut seen = vec![false; plan.terms.len()];
        for found in automaton.find_overlapping_iter(&bytes).take(MATCHES) {
            let term = found.pattern().as_usize();
            if seen[term] || !whole(&bytes, found.start(), found.end()) {
                continue;
            }
            seen[term] = true;
            files_of[term] += 1;
            if files_of[term] <= COMMON {
                let (line, snippet) = line_at(&bytes, found.start());
                places.push(Place { file: index, term, line, snippet });
            }
        }
    }
    Searched { hits: rank(files, plan, places, &files_of), truncated }
}

/// A name inside a longer name is another name.
fn whole(bytes: &[u8], start: usize, end: usize) -> bool {
    let word =
        |at: Option<usize>| at.and_then(|i| bytes.get(i)).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let joined_before = word(start.checked_sub(1)) && word(Some(start));
    let joined_after = word(Some(end)) && word(end.checked_sub(1));
    !joined_before && !joined_after
}

fn rank(files: &[Found], plan: &ResearchPlan, places: Vec<Place>, files_of: &[usize]) -> Vec<FileHit> {
    // A phrase weighs more than a name, a rare term more than a frequent one.
    let weight = |term: usize| {
        let phrase = if plan.terms[term].contains(' ') { 6_000 } else { 1_000 };
        phrase / files_of[term].max(1)
    };
    let mut best: Vec<(usize, Place)> = Vec::new();
    for place in places.into_iter().filter(|place| files_of[place.term] <= COMMON) {
        let value = weight(place.term);
        match best.last_mut().filter(|(_, known)| known.file == place.file) {
            // Places of one file follow each other; the file's weight is the sum, its place that of the best term.
            Some((sum, known)) => {
                if value > weight(known.term) {
                    *known = place;
                }
                *sum += value;
            }
            None => best.push((value, place)),
        }
    }
    best.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.file.cmp(&b.1.file)));
    best.into_iter()
        .map(|(_, place)| FileHit {
            path: files[place.file].path.clone(),
            line: Some(place.line),
            snippet: place.snippet,
            found_by: FoundBy::Term,
            needle: plan.terms[place.term].clone(),
            exact: false,
        })
        .collect()
}
