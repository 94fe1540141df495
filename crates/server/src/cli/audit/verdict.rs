//! The verdict in words: what was checked, with whose key, and which row is wrong. No judgement is made here.

use tandem_core::audit::{
    cosignatures::{Cosignature, CosignatureStatus},
    evidence::EvidenceReport,
    integrity::{Reason, Status},
    verify::Report,
};

/// The bundle is as it was signed.
pub fn holds(report: &Report) -> bool {
    match report.status {
        Status::Verified | Status::Empty => true,
        Status::Tampered => false,
    }
}

pub fn lines(report: &Report) -> Vec<String> {
    let mut out = vec![match report.status {
        Status::Verified => "VERIFIED  every row is as it was signed".to_owned(),
        Status::Empty => "VERIFIED  the signed log holds no row for this bundle".to_owned(),
        Status::Tampered => "TAMPERED  this bundle is not what was signed".to_owned(),
    }];
    let mut row = |name: &str, value: String| out.push(format!("  {name:<10}{value}"));
    if let (Some(first), Some(last)) = (report.first_bad_seq, report.last_bad_seq) {
        row("where", place(first, last));
    }
    if let Some(reason) = report.reason {
        row("reason", format!("{}: {}", word(reason), meaning(reason)));
    }
    if let Some(detail) = &report.detail {
        row("detail", printable(detail));
    }
    row("rows", rows(report));
    if report.bodies_dropped > 0 {
        row("bodies", bodies(report));
    }
    row("log", log(report));
    row("coverage", coverage(report).to_owned());
    row("key", key(report).to_owned());
    out
}

/// What witnesses signed.
pub fn cosignatures(found: &[Cosignature]) -> Vec<String> {
    let line = |one: &Cosignature| {
        let (what, size) = (printable(&one.witness), one.tree_size);
        let told = match one.status {
            CosignatureStatus::Verified => format!("VERIFIED  {what} has signed the log at {size} rows"),
            CosignatureStatus::Unknown => {
                format!("UNKNOWN   {what} has signed {size} rows; pass --witness with its key")
            }
            CosignatureStatus::Absent => format!("ABSENT    nothing is signed with the key of {what}"),
            CosignatureStatus::Wrong => format!("WRONG     {what} at {size} rows"),
        };
        match &one.detail {
            Some(detail) => format!("{told}: {}", printable(detail)),
            None => told,
        }
    };
    found.iter().map(line).collect()
}

/// The documents of a bundle of evidence.
pub fn documents(evidence: &EvidenceReport) -> Vec<String> {
    let mut out = vec![match evidence.verified {
        true => format!("VERIFIED  {} documents are as they were signed", evidence.documents.len()),
        false => "TAMPERED  the documents are not what was signed".to_owned(),
    }];
    out.extend(evidence.problems.iter().map(|problem| format!("  {:<10}{}", "problem", printable(problem))));
    out.extend(evidence.documents.iter().map(|name| format!("  {:<10}{}", "document", printable(name))));
    out
}

/// A bundle may come from anyone, so nothing in it may steer the reader's terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn place(first: u64, last: u64) -> String {
    if first == last { format!("row {first}") } else { format!("rows {first} to {last}") }
}

fn rows(report: &Report) -> String {
    match report.record_count {
        0 => "none".to_owned(),
        1 => format!("1 (seq {})", report.first_seq),
        count => format!("{count} (seq {} to {})", report.first_seq, report.last_seq),
    }
}

fn bodies(report: &Report) -> String {
    let dropped = report.bodies_dropped;
    match report.bodies_unaccounted {
        0 => format!("{dropped} dropped by retention, as rows of the log say; their hashes are proved"),
        unaccounted => format!("{dropped} dropped; no row here accounts for {unaccounted} of them"),
    }
}

fn log(report: &Report) -> String {
    match &report.origin {
        Some(origin) => format!("{}, {} rows at the signed checkpoint", printable(origin), report.tree_size),
        None => "unknown: no signed checkpoint could be opened".to_owned(),
    }
}

fn coverage(report: &Report) -> &'static str {
    match (report.status, report.complete) {
        (Status::Verified | Status::Empty, true) => "complete: every row of the log up to the checkpoint",
        (Status::Verified | Status::Empty, false) => "a window of the log: rows outside it were not looked at",
        (Status::Tampered, _) => "not established",
    }
}

fn key(report: &Report) -> &'static str {
    match (report.key_trusted, &report.origin) {
        (true, Some(_)) => "the trusted key that you gave opened the checkpoint",
        (true, None) => "the trusted key that you gave did not open the checkpoint",
        (false, _) => {
            "taken from the bundle itself, so not independently trusted: whoever forged the bundle could have put it \
             there. Pass --key with the server's public key"
        }
    }
}

fn word(reason: Reason) -> String {
    serde_json::to_value(reason).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::RowEdited => "the row's bytes are not those that were recorded",
        Reason::RowDropped => "the row is missing, later ones are there",
        Reason::RowReordered => "the row stands where another belongs",
        Reason::RowDuplicated => "the row is there twice",
        Reason::RowNotCovered => "the row lies outside what the checkpoint covers",
        Reason::MalformedRow => "the line is no audit row",
        Reason::ForeignTenant => "the row belongs to another tenant's log",
        Reason::Truncated => "the bundle ends before the point that was signed",
        Reason::TrailerMissing => "the last line that describes the bundle is missing",
        Reason::TrailerMalformed => "the last line of the bundle cannot be read",
        Reason::TrailerMismatch => "the last line contradicts the rows or the checkpoint",
        Reason::CheckpointInvalid => "the checkpoint is not signed by this key",
        Reason::RootMismatch => "the rows do not give the signed root",
    }
}
