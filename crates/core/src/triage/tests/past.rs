use super::*;
use crate::triage::{
    duplicate::{PastFailure, PastIncident, find},
    memory::{self, SUMMARY_LIMIT},
};

const TRACE: &str = "Traceback (most recent call last):
  File \"/app/orders/pricing.py\", line 41, in price
    return rates[c]
KeyError: 'XAF'";

fn past(id: &str, fingerprint: &str) -> PastFailure {
    PastFailure { source: "incident", id: id.into(), fingerprint: fingerprint.into(), ..PastFailure::default() }
}

#[test]
fn nothing_similar_is_a_count_of_zero() {
    let none = serde_json::to_value(DuplicateSummary::default()).unwrap();
    assert_eq!(none["reason"], "duplicate_failure_pattern");
    assert_eq!((&none["match_count"], &none["max_recurrence_count"]), (&json!(0), &json!(1)));
    assert!(none["best_match"].is_null() && none["matches"].as_array().unwrap().is_empty());
}

/// As it is read from the store.
fn stored(incident: &Incident) -> PastIncident {
    serde_json::from_value(json!(incident)).unwrap()
}

#[test]
fn matches_are_exact_or_share_exception_and_frame() {
    let inspection = inspect(&draft(), Some(&incident(TRACE)));
    let mut other = incident(&TRACE.replace("/app/", "/srv/v2/"));
    (other.incident_id, other.draft_id, other.fingerprint) = ("inc-2".into(), None, "v2:ffff".into());
    let mut elsewhere = other.clone();
    (elsewhere.incident_id, elsewhere.detail) = ("inc-3".into(), Some(TRACE.replace("in price", "in total")));
    let mut issue = draft();
    issue.issue_number = Some(7);
    let candidates = [
        past("inc-1", "v2:0011"),
        PastFailure { draft_id: Some("draft-1".into()), ..past("own-draft", "v2:0011") },
        PastFailure::of_incident(&stored(&elsewhere), None),
        PastFailure::of_incident(&stored(&other), Some(&issue)),
        PastFailure { recurrence_count: 9, ..past("inc-9", "v2:0011") },
        past("inc-4", "v2:0012"),
    ];
    let found = find(&inspection, &draft(), &candidates);
    let ids: Vec<_> = found.matches.iter().map(|m| m.candidate_id.clone().unwrap()).collect();
    assert_eq!(ids, ["inc-9", "inc-2"]);
    assert_eq!(found.matches[0].match_reason.as_deref(), Some("exact_fingerprint"));
    assert_eq!(found.matches[1].match_reason.as_deref(), Some("same_exception_and_frame"));
    assert_eq!((found.match_count, found.max_recurrence_count), (2, 9));
    assert_eq!(found.linked_issue_numbers, [7]);
    assert_eq!(found.best_match, Some(found.matches[0].clone()));
    let mut reversed = candidates.to_vec();
    reversed.reverse();
    assert_eq!(find(&inspection, &draft(), &reversed), found);
    let many: Vec<_> = (0..9).map(|n| past(&format!("i{n}"), "v2:0011")).collect();
    assert_eq!(find(&inspection, &draft(), &many).match_count, 3);
}

#[test]
fn memories_are_bounded_and_found_again() {
    let mut draft = draft();
    draft.title = Some("ñ".repeat(2_000));
    let inspection = inspect(&draft, Some(&incident(TRACE)));
    let run = summarised(complete());
    let summary = run.summary.clone().unwrap();
    let [pattern, signal] = memory::of_summary(&draft, &run, &inspection, &summary, ["m1".into(), "m2".into()], 40);
    for entry in [&pattern, &signal] {
        assert!(entry.summary.len() <= SUMMARY_LIMIT && entry.summary.contains("v2:0011"));
    }
    assert_eq!(signal.category, MemoryCategory::RegressionSignal);
    let mut later = draft.clone();
    (later.draft_id, later.incident_id) = ("draft-2".into(), Some("inc-2".into()));
    let found = find(&inspection, &later, &[PastFailure::of_memory(&pattern)]);
    assert_eq!(found.matches[0].memory_id.as_deref(), Some("m1"));
    let outcome = MemoryOutcome::stored(&pattern, &found);
    assert!(outcome.stored && outcome.duplicate_matches.unwrap().len() == 1);
}

#[test]
fn categories_are_read_leniently() {
    let rows = [
        (None, Some(MemoryCategory::FailurePattern)),
        (Some("  "), Some(MemoryCategory::FailurePattern)),
        (Some("Policy-Gap"), Some(MemoryCategory::PolicyGap)),
        (Some("safety risk"), Some(MemoryCategory::SafetyRisk)),
        (Some("regression_signal"), None),
        (Some("other"), None),
    ];
    for (word, expected) in rows {
        assert_eq!(MemoryCategory::configured(word), expected, "{word:?}");
    }
}
