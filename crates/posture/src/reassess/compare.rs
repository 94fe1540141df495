//! What is new since the run before, what was there again, and what is gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tandem_core::record::{Collection, Column, Record};

use super::{
    observe::Observed,
    record::{Comparison, FindingStatus, Reassessed, SEEN},
};

/// What is remembered of a finding from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub first_seen_at_ms: u64,
    pub occurrence_count: u64,
}

/// Everything that the latest run of a scope saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub scope_key: String,
    pub findings: BTreeMap<String, Known>,
}

impl Record for Seen {
    const COLLECTION: &'static Collection = &SEEN;
    fn id(&self) -> &str {
        &self.scope_key
    }
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }
}

/// Compares what was seen now with the run before. Repetitions within a run count once; the first stays.
pub fn compare(
    before: &BTreeMap<String, Known>,
    observed: &[Observed],
    now_ms: u64,
) -> (Vec<Reassessed>, Comparison, BTreeMap<String, Known>) {
    let mut after: BTreeMap<String, Known> = BTreeMap::new();
    let mut findings = Vec::new();
    let mut comparison = Comparison::default();
    for seen in observed {
        if after.contains_key(&seen.fingerprint) {
            continue;
        }
        let (known, status) = match before.get(&seen.fingerprint) {
            Some(known) => {
                comparison.recurring_fingerprints.push(seen.fingerprint.clone());
                (Known { occurrence_count: known.occurrence_count + 1, ..*known }, FindingStatus::Recurring)
            }
            None => {
                comparison.new_fingerprints.push(seen.fingerprint.clone());
                (Known { first_seen_at_ms: now_ms, occurrence_count: 1 }, FindingStatus::New)
            }
        };
        after.insert(seen.fingerprint.clone(), known);
        findings.push(Reassessed {
            fingerprint: seen.fingerprint.clone(),
            rule_id: seen.rule_id.clone(),
            scope: seen.scope.clone(),
            severity: seen.severity,
            category: seen.category.clone(),
            summary: format!("{} [{}/{}]", seen.rule_id, seen.category, seen.severity),
            evidence_refs: seen.evidence_refs.clone(),
            first_seen_at_ms: known.first_seen_at_ms,
            last_seen_at_ms: now_ms,
            occurrence_count: known.occurrence_count,
            status,
        });
    }
    comparison.resolved_fingerprints = before.keys().filter(|known| !after.contains_key(*known)).cloned().collect();
    (findings, comparison, after)
}
