//! The offline verifier of an export. It needs the lines and a public key, nothing else.
//!
//! It shares no code with the side that writes rows and builds trees: rows go through `reader`, the tree is folded
//! here from SHA-256 up. Lines are taken as a stream, in batches whose hashing is spread over threads; what is kept is
//! four bytes a row and a hash for every 256.
//!
//! What is decided, in this order: does each line fit its own hash and follow the line before it; does the trailer fit
//! the rows; is the checkpoint signed, and for this tenant; do the rows fold to the signed root. When they do not, the
//! trailer's tiles and marks say where, as far as they themselves agree with the signature.
//!
//! Deliberately absent: files, and whether the key is the right one (without one from the caller, the answer says so).

mod fold;
mod trailer;

use serde::{Deserialize, Serialize};

use super::bundle::{TRAILER_TYPE, Trailer};
use super::checkpoint::Checkpoint;
use super::integrity::{Reason, Status};
use super::reader::{self, Row};
use fold::{Hash, fold_spans, hashes, marks, push_subtree, subtrees};
use trailer::{judge_trailer, open_checkpoint};

/// Lines hashed between two looks at the order of rows.
const BATCH: usize = 8192;
/// Subtrees are kept apart above this level, so that a difference can be placed.
const TILE: u32 = 8;

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub status: Status,
    /// No fault was found in the exported rows up to this one. Only `verified` says that they are as signed.
    pub checked_to_seq: u64,
    pub first_bad_seq: Option<u64>,
    /// Equal to `first_bad_seq` when one row is named; higher when the break is known to lie in between.
    pub last_bad_seq: Option<u64>,
    pub reason: Option<Reason>,
    pub detail: Option<String>,
    pub record_count: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    /// Rows in the log at the checkpoint; 0 while no checkpoint could be opened.
    pub tree_size: u64,
    /// The export holds every row of the log at the checkpoint.
    pub complete: bool,
    /// The checkpoint was opened with the caller's key, not with the one that the export brings along.
    pub key_trusted: bool,
    pub origin: Option<String>,
    /// Rows whose bodies retention has dropped: their hashes are proved, what they said is gone.
    #[serde(default)]
    pub bodies_dropped: u64,
    /// Those of them of which no row of the bundle tells that they were. In a complete bundle that is a break; in a window
    /// the row may lie behind its end.
    #[serde(default)]
    pub bodies_unaccounted: u64,
}

/// One line, looked at by itself.
#[derive(Clone, Debug)]
pub enum Line {
    Row(Row),
    Trailer(Box<Trailer>),
    /// A trailer that cannot be read.
    BrokenTrailer(String),
    /// Neither a row nor a trailer.
    Broken(String),
}

/// Looks at lines one by one: the costly part, pure, for any thread. Blank lines are no lines.
pub fn examine<L: AsRef<[u8]>>(lines: &[L]) -> Vec<Line> {
    lines.iter().map(|line| line.as_ref().trim_ascii()).filter(|line| !line.is_empty()).map(examine_line).collect()
}

fn examine_line(line: &[u8]) -> Line {
    match reader::read(line) {
        Ok(row) => Line::Row(row),
        Err(why) if is_trailer(line) => match serde_json::from_slice::<Trailer>(line) {
            Ok(trailer) if trailer.kind == TRAILER_TYPE => Line::Trailer(Box::new(trailer)),
            Ok(_) => Line::Broken(why),
            Err(why) => Line::BrokenTrailer(why.to_string()),
        },
        Err(why) => Line::Broken(why),
    }
}

/// A trailer names its type at its top level, and no row has that key there.
fn is_trailer(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: String,
    }
    let announced = line.starts_with(br#"{"type":"bundle_manifest""#);
    announced || serde_json::from_slice::<Typed>(line).is_ok_and(|typed| typed.kind == TRAILER_TYPE)
}

/// Verifies a whole export on up to `threads` threads.
pub fn verify_bundle<L: AsRef<[u8]> + Sync>(
    lines: impl IntoIterator<Item = L>,
    trusted_key: Option<&str>,
    threads: usize,
) -> Report {
    let mut verifier = Verifier::default();
    read_bundle(&mut verifier, lines, threads);
    verifier.finish(trusted_key)
}

/// Takes in every line of an export, on up to `threads` threads.
pub fn read_bundle<L: AsRef<[u8]> + Sync>(verifier: &mut Verifier, lines: impl IntoIterator<Item = L>, threads: usize) {
    let mut lines = lines.into_iter();
    loop {
        let batch: Vec<L> = lines.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return;
        }
        let share = batch.len().div_ceil(threads.max(1));
        if share == batch.len() {
            verifier.push(examine(&batch));
            continue;
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> = batch.chunks(share).map(|part| scope.spawn(move || examine(part))).collect();
            for worker in workers {
                match worker.join() {
                    Ok(examined) => verifier.push(examined),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
    }
}

/// A break; a place of `None` means before any row whose place is known.
#[derive(Clone, Debug)]
struct Fault {
    seq: Option<u64>,
    last: Option<u64>,
    reason: Reason,
    detail: String,
}

impl Fault {
    fn at(seq: u64, reason: Reason, detail: impl Into<String>) -> Self {
        Self { seq: Some(seq), last: None, reason, detail: detail.into() }
    }

    fn whole(reason: Reason, detail: impl Into<String>) -> Self {
        Self { seq: None, last: None, reason, detail: detail.into() }
    }
}

/// What is known of an export so far. Lines go in through [`Verifier::push`], in order.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    first: Option<u64>,
    /// The row that has to come next.
    next: Option<u64>,
    count: u64,
    tenant: Option<(String, String)>,
    /// The complete subtrees of the rows so far, left to right, none above level [`TILE`].
    tiles: Vec<(u32, Hash)>,
    marks: Vec<[u8; 4]>,
    fault: Option<Fault>,
    /// A missing row that may yet turn up elsewhere.
    awaited: Option<u64>,
    last_line_broken: bool,
    trailer: Option<Result<Box<Trailer>, String>>,
    /// Runs of rows without a body, and the runs that rows tell of.
    without_body: Vec<(u64, u64)>,
    told: Vec<(u64, u64)>,
    /// Sizes of trees whose roots somebody wants to know, and the roots that were found.
    wanted: Vec<u64>,
    roots: Vec<(u64, Hash)>,
}

impl Verifier {
    /// Finds the roots of trees of these sizes as well, where the bundle begins with row 1.
    pub fn wanting(sizes: impl IntoIterator<Item = u64>) -> Self {
        Self { wanted: sizes.into_iter().collect(), ..Self::default() }
    }

    /// The roots that were asked for, as far as the rows reach. They say nothing unless the bundle verifies.
    pub fn roots(&self) -> &[(u64, [u8; 32])] {
        &self.roots
    }

    pub fn push(&mut self, lines: Vec<Line>) {
        for line in lines {
            if self.trailer.is_some() {
                let fault =
                    Fault { seq: self.next, ..Fault::whole(Reason::TrailerMismatch, "lines follow the trailer") };
                self.fault.get_or_insert(fault);
            }
            self.last_line_broken = matches!(line, Line::Broken(_));
            match line {
                Line::Row(row) => self.row(row),
                Line::Trailer(trailer) => self.trailer = Some(Ok(trailer)),
                Line::BrokenTrailer(why) => self.trailer = Some(Err(why)),
                Line::Broken(why) => {
                    self.count += 1;
                    self.fault.get_or_insert(Fault { seq: self.next, ..Fault::whole(Reason::MalformedRow, why) });
                    self.next = self.next.map(|next| next.saturating_add(1));
                }
            }
        }
    }

    fn row(&mut self, row: Row) {
        self.count += 1;
        if !row.as_recorded {
            // Its number may be what was edited, so the row is named by its place.
            let detail = "the row does not fit its record_hash";
            self.fault.get_or_insert(Fault { seq: self.next, ..Fault::whole(Reason::RowEdited, detail) });
            self.next = self.next.map(|next| next.saturating_add(1));
            return;
        }
        let tenant = self.tenant.get_or_insert_with(|| (row.org.clone(), row.workspace.clone()));
        if (&tenant.0, &tenant.1) != (&row.org, &row.workspace) {
            self.fault.get_or_insert(Fault::at(row.seq, Reason::ForeignTenant, "the row is of another tenant"));
        }
        let first = *self.first.get_or_insert(row.seq);
        let next = self.next.unwrap_or(row.seq);
        if row.seq == 0 {
            self.fault.get_or_insert(Fault::at(0, Reason::MalformedRow, "rows are numbered from 1"));
        } else if row.seq > next {
            let detail = format!("row {next} is missing, row {} stands in its place", row.seq);
            if self.fault.is_none() {
                self.awaited = Some(next);
                self.fault = Some(Fault { last: Some(row.seq - 1), ..Fault::at(next, Reason::RowDropped, detail) });
            }
        } else if row.seq < next {
            self.behind(row.seq, first);
            return;
        }
        self.next = Some(row.seq.saturating_add(1));
        if row.body_dropped {
            match self.without_body.last_mut() {
                Some((_, last)) if *last + 1 == row.seq => *last = row.seq,
                Some(_) | None => self.without_body.push((row.seq, row.seq)),
            }
        }
        self.told.extend(row.drops);
        if self.fault.is_none() {
            self.fold(row.seq - 1, row.leaf);
        }
    }

    /// How many rows have no body, how many of those nothing accounts for, and the first of these.
    fn bodies(&self) -> (u64, u64, Option<u64>) {
        let mut told = self.told.clone();
        told.sort_unstable();
        let (mut without, mut unaccounted, mut first, mut from) = (0, 0, None, 0);
        for (begin, end) in &self.without_body {
            without += end - begin + 1;
            let mut at = *begin;
            // Runs come in order, so those that end before this one never matter again.
            while told.get(from).is_some_and(|run| run.1 < *begin) {
                from += 1;
            }
            let mut run = from;
            while at <= *end {
                match told.get(run) {
                    Some((_, last)) if *last < at => run += 1,
                    Some((start, last)) if *start <= at => at = last.saturating_add(1),
                    next => {
                        let gap = next.map_or(*end, |(start, _)| (start - 1).min(*end));
                        first.get_or_insert(at);
                        unaccounted += gap - at + 1;
                        at = gap + 1;
                    }
                }
            }
        }
        (without, unaccounted, first)
    }

    /// A row whose place has passed: it turned up late, or it was there before.
    fn behind(&mut self, seq: u64, first: u64) {
        if self.awaited == Some(seq) {
            self.awaited = None;
            self.fault = Some(Fault::at(seq, Reason::RowReordered, format!("row {seq} comes after later rows")));
        } else if seq < first {
            // The first place holds a later row, so it is the first place that is wrong.
            let detail = format!("row {seq} comes after row {first}");
            self.fault.get_or_insert(Fault::whole(Reason::RowReordered, detail));
        } else {
            self.fault.get_or_insert(Fault::at(seq, Reason::RowDuplicated, format!("row {seq} is there twice")));
        }
    }

    fn fold(&mut self, index: u64, leaf: Hash) {
        self.marks.push([leaf[0], leaf[1], leaf[2], leaf[3]]);
        push_subtree(&mut self.tiles, 0, index, leaf, TILE);
        let size = index + 1;
        if self.first == Some(1) && self.wanted.contains(&size) {
            let tiles: Vec<Hash> = self.tiles.iter().map(|(_, hash)| *hash).collect();
            self.roots.extend(fold_spans(&[(0, size, TILE, &tiles)]).map(|root| (size, root)));
        }
    }

    /// The verdict, once every line is in.
    pub fn finish(&mut self, trusted_key: Option<&str>) -> Report {
        let (bodies_dropped, bodies_unaccounted, _) = self.bodies();
        let last = self.next.map_or(0, |next| next - 1);
        let mut report = Report {
            status: Status::Verified,
            checked_to_seq: last,
            first_bad_seq: None,
            last_bad_seq: None,
            reason: None,
            detail: None,
            record_count: self.count,
            first_seq: self.first.unwrap_or(0),
            last_seq: last,
            tree_size: 0,
            complete: false,
            key_trusted: trusted_key.is_some(),
            origin: None,
            bodies_dropped,
            bodies_unaccounted,
        };
        let fault = self.judge(last, trusted_key, &mut report).err();
        let Some(fault) = fault else {
            if report.tree_size == 0 || self.count == 0 {
                report.status = Status::Empty;
            }
            return report;
        };
        let start = match &self.trailer {
            Some(Ok(trailer)) => trailer.first_seq.max(1),
            Some(Err(_)) | None => 1,
        };
        let first_bad = fault.seq.unwrap_or(start);
        report.status = Status::Tampered;
        report.checked_to_seq = first_bad.saturating_sub(1);
        report.first_bad_seq = Some(first_bad);
        report.last_bad_seq = Some(fault.last.unwrap_or(first_bad).max(first_bad));
        report.reason = Some(fault.reason);
        report.detail = Some(fault.detail);
        report.complete = false;
        report
    }

    fn judge(&mut self, last: u64, trusted_key: Option<&str>, report: &mut Report) -> Result<(), Fault> {
        let trailer = match self.trailer.clone() {
            Some(Ok(trailer)) => trailer,
            Some(Err(why)) => {
                return Err(self.fault.take().unwrap_or(Fault::at(last + 1, Reason::TrailerMalformed, why)));
            }
            None => return Err(self.cut_off(last)),
        };
        // What the signature says is reported even when rows are bad; whether it holds is judged after them.
        let signed = open_checkpoint(&trailer, trusted_key);
        if let Ok(checkpoint) = &signed {
            report.tree_size = checkpoint.size;
            report.origin = Some(checkpoint.origin.clone());
        }
        self.judge_rows(&trailer, last)?;
        let checkpoint = signed?;
        let (first, end) = judge_trailer(&trailer, &checkpoint, self.tenant.as_ref())?;
        report.complete = end - first == checkpoint.size;
        self.judge_root(&trailer, &checkpoint, first, end)?;
        if let (true, (_, _, Some(at))) = (report.complete, self.bodies()) {
            let detail = "the row's body is gone, and no row of the log says that it was dropped";
            return Err(Fault::at(at, Reason::RowEdited, detail));
        }
        if trailer.integrity.status == Status::Tampered {
            let declared = trailer.integrity;
            let detail = "the rows here are as signed, but the server itself reports its log as tampered";
            let reason = declared.reason.unwrap_or(Reason::RootMismatch);
            return Err(Fault { seq: declared.first_bad_seq, ..Fault::whole(reason, detail) });
        }
        Ok(())
    }

    /// There is no trailer: the export ends too early, perhaps in the middle of a row.
    fn cut_off(&mut self, last: u64) -> Fault {
        match self.fault.take() {
            Some(fault) if !(self.last_line_broken && fault.reason == Reason::MalformedRow) => fault,
            Some(fault) => Fault { reason: Reason::Truncated, ..fault },
            None => Fault::at(last + 1, Reason::TrailerMissing, format!("the export ends after row {last}")),
        }
    }

    /// Faults inside the rows, and rows missing at either end. The lowest is named.
    fn judge_rows(&mut self, trailer: &Trailer, last: u64) -> Result<(), Fault> {
        let known = self.fault.take();
        let whole = trailer.since_ms.is_none() && trailer.until_ms.is_none();
        let start = if whole { 1 } else { trailer.first_seq };
        if let Some(first) = self.first.filter(|first| *first > start && start > 0) {
            let before = known.as_ref().is_some_and(|fault| fault.seq.is_none_or(|seq| seq < first));
            if !before {
                let detail = format!("rows before {first} are missing");
                return Err(Fault { last: Some(first - 1), ..Fault::at(start, Reason::RowDropped, detail) });
            }
        }
        known.map_or(Ok(()), Err)?;
        if let Some(first) = self.first.filter(|first| *first < trailer.first_seq) {
            let detail = "rows come before those that the trailer covers";
            return Err(Fault { last: Some(trailer.first_seq - 1), ..Fault::at(first, Reason::RowNotCovered, detail) });
        }
        let end = if whole { trailer.last_seq.max(trailer.tree_size) } else { trailer.last_seq };
        if last < end {
            let at = if self.count == 0 { start.max(1) } else { last + 1 };
            let detail = format!("the export ends after row {last}, it should reach row {end}");
            return Err(Fault { last: Some(end), ..Fault::at(at, Reason::Truncated, detail) });
        }
        if last > trailer.tree_size || last > trailer.last_seq {
            let at = trailer.tree_size.min(trailer.last_seq).saturating_add(1);
            let detail = "rows follow that the trailer does not cover";
            return Err(Fault { last: Some(last), ..Fault::at(at, Reason::RowNotCovered, detail) });
        }
        Ok(())
    }

    fn judge_root(&self, trailer: &Trailer, signed: &Checkpoint, first: u64, end: u64) -> Result<(), Fault> {
        let rows = |reason, detail: &str| Fault { last: Some(end), ..Fault::at(first + 1, reason, detail) };
        let mismatch = |detail: &str| rows(Reason::TrailerMismatch, detail);
        let proof = &trailer.range_proof;
        let (Some(left), Some(told), Some(right)) = (hashes(&proof.left), hashes(&proof.tiles), hashes(&proof.right))
        else {
            return Err(mismatch("range_proof holds something that is no hash"));
        };
        let tiles: Vec<Hash> = self.tiles.iter().map(|(_, hash)| *hash).collect();
        let shape = subtrees(first, end, TILE);
        let marks_told = marks(&trailer.leaf_marks).filter(|marks| marks.len() == self.marks.len());
        let root_of = |middle: &[Hash]| {
            let spans =
                [(0, first, u32::MAX, &left[..]), (first, end, TILE, middle), (end, signed.size, u32::MAX, &right)];
            fold_spans(&spans)
        };
        if root_of(&tiles) == Some(signed.root) {
            return match marks_told {
                Some(told_marks) if told == tiles && told_marks == self.marks => Ok(()),
                Some(_) | None => Err(mismatch("the rows are as signed, the trailer's tiles or marks are not theirs")),
            };
        }
        if root_of(&told) != Some(signed.root) {
            return Err(rows(
                Reason::RootMismatch,
                "the rows do not give the signed root, nor does the trailer say where",
            ));
        }
        // The tiles of the trailer are proved by the signature: the first of ours that differs holds the break.
        let bad = shape.iter().zip(tiles.iter().zip(&told)).find(|(_, (ours, theirs))| ours != theirs);
        let Some((&(level, begin), _)) = bad else {
            return Err(rows(Reason::RootMismatch, "the rows do not give the signed root"));
        };
        let mut span = (begin, begin + (1 << level));
        if let Some(told_marks) = marks_told {
            let at = |index: u64| (index - first) as usize;
            let differs = |index: &u64| told_marks.get(at(*index)) != self.marks.get(at(*index));
            span = (span.0..span.1).find(differs).map_or(span, |index| (index, index + 1));
        }
        let detail = "the row and its record_hash were replaced: they are not what was signed";
        Err(Fault { last: Some(span.1), ..Fault::at(span.0 + 1, Reason::RowEdited, detail) })
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
