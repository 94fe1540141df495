//! Past failures that look like this one. They are linked, never used to drop a report.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    inspect::{self, Inspection},
    memory::MemoryEntry,
};
use crate::{draft::Draft, text::truncate};

/// At most this many matches are shown.
pub const MATCH_CAP: usize = 3;
/// More candidates than this are not compared.
pub const CANDIDATE_CAP: usize = 200;

/// A past failure to compare with: an incident or a memory entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastFailure {
    /// `incident` or `memory`.
    pub source: &'static str,
    pub id: String,
    pub draft_id: Option<String>,
    pub fingerprint: String,
    pub summary: String,
    pub exception: Option<String>,
    pub top_frame: Option<String>,
    pub recurrence_count: u64,
    pub linked_issue_numbers: Vec<u64>,
    pub run_id: Option<String>,
}

/// What is compared of a stored incident. Reading only this of it is several times faster than reading all of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct PastIncident {
    pub incident_id: String,
    pub repo: String,
    #[serde(default)]
    pub draft_id: Option<String>,
    pub fingerprint: String,
    pub title: String,
    #[serde(default)]
    pub detail: Option<String>,
    #[serde(default)]
    pub excerpt: Vec<String>,
    pub occurrence_count: u64,
    #[serde(default)]
    pub triage_run_id: Option<String>,
}

impl PastFailure {
    /// `draft` is the incident's own, for the issue that it led to.
    pub fn of_incident(incident: &PastIncident, draft: Option<&Draft>) -> Self {
        let (exception, top_frame) = inspect::signature(incident.detail.as_deref(), &incident.excerpt);
        Self {
            source: "incident",
            id: incident.incident_id.clone(),
            draft_id: incident.draft_id.clone(),
            fingerprint: incident.fingerprint.clone(),
            summary: truncate(&incident.title, 300),
            exception,
            top_frame,
            recurrence_count: incident.occurrence_count,
            linked_issue_numbers: draft.and_then(|d| d.issue_number.or(d.matched_issue_number)).into_iter().collect(),
            run_id: incident.triage_run_id.clone(),
        }
    }

    pub fn of_memory(entry: &MemoryEntry) -> Self {
        Self {
            source: "memory",
            id: entry.memory_id.clone(),
            draft_id: entry.draft_id.clone(),
            fingerprint: entry.fingerprint.clone(),
            summary: truncate(&entry.summary, 300),
            exception: entry.exception.clone(),
            top_frame: entry.top_frame.clone(),
            recurrence_count: entry.recurrence_count,
            linked_issue_numbers: entry.linked_issue_numbers.clone(),
            run_id: entry.run_id.clone(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DuplicateMatch {
    pub source: Option<String>,
    pub fingerprint: Option<String>,
    pub summary: Option<String>,
    /// `exact_fingerprint` or `same_exception_and_frame`.
    pub match_reason: Option<String>,
    pub score: Option<f64>,
    pub recurrence_count: Option<u64>,
    pub linked_issue_numbers: Vec<u64>,
    pub run_id: Option<String>,
    pub memory_id: Option<String>,
    pub artifact_refs: Vec<String>,
    pub artifact_path: Option<String>,
    pub candidate_id: Option<String>,
    pub linked_context_run_id: Option<String>,
    pub source_coder_run_id: Option<String>,
}

/// Always present where there is a run, also with no match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DuplicateSummary {
    pub reason: String,
    pub match_count: u64,
    pub max_recurrence_count: u64,
    pub linked_issue_numbers: Vec<u64>,
    pub best_match: Option<DuplicateMatch>,
    pub matches: Vec<DuplicateMatch>,
}

impl Default for DuplicateSummary {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl DuplicateSummary {
    /// Sums up matches, best first.
    pub fn of(matches: Vec<DuplicateMatch>) -> Self {
        let mut linked: Vec<u64> = matches.iter().flat_map(|m| m.linked_issue_numbers.iter().copied()).collect();
        linked.sort_unstable();
        linked.dedup();
        Self {
            reason: "duplicate_failure_pattern".to_owned(),
            match_count: matches.len() as u64,
            max_recurrence_count: matches.iter().filter_map(|m| m.recurrence_count).max().unwrap_or(1).max(1),
            linked_issue_numbers: linked,
            best_match: matches.first().cloned(),
            matches,
        }
    }
}

/// Compares this failure with past ones. Its own incident and what its own draft left behind do not count.
pub fn find(inspection: &Inspection, draft: &Draft, past: &[PastFailure]) -> DuplicateSummary {
    let own = |p: &PastFailure| {
        p.draft_id.as_deref() == Some(draft.draft_id.as_str())
            || (p.source == "incident" && draft.incident_id.as_deref() == Some(p.id.as_str()))
    };
    let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
    let mut found: Vec<(u8, &PastFailure)> = past
        .iter()
        .take(CANDIDATE_CAP)
        .filter(|p| !own(p))
        .filter_map(|p| {
            if p.fingerprint == draft.fingerprint {
                Some((2, p))
            } else if same(&p.exception, &inspection.exception_key) && same(&p.top_frame, &inspection.top_frame_key) {
                Some((1, p))
            } else {
                None
            }
        })
        .collect();
    // The order must not depend on the order in which candidates were read.
    found.sort_by(|(a, p), (b, q)| {
        (b, q.recurrence_count, &p.source, &p.id).cmp(&(a, p.recurrence_count, &q.source, &q.id))
    });
    found.truncate(MATCH_CAP);
    DuplicateSummary::of(found.into_iter().map(|(rank, p)| matched(p, rank)).collect())
}

fn matched(past: &PastFailure, rank: u8) -> DuplicateMatch {
    let memory = past.source == "memory";
    DuplicateMatch {
        source: Some(past.source.to_owned()),
        fingerprint: Some(past.fingerprint.clone()),
        summary: Some(past.summary.clone()),
        match_reason: Some(if rank == 2 { "exact_fingerprint" } else { "same_exception_and_frame" }.to_owned()),
        score: Some(if rank == 2 { 1.0 } else { 0.7 }),
        recurrence_count: Some(past.recurrence_count.max(1)),
        linked_issue_numbers: past.linked_issue_numbers.clone(),
        run_id: past.run_id.clone(),
        memory_id: memory.then(|| past.id.clone()),
        artifact_refs: Vec::new(),
        artifact_path: None,
        candidate_id: (!memory).then(|| past.id.clone()),
        linked_context_run_id: past.run_id.clone(),
        source_coder_run_id: None,
    }
}
