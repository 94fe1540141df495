//! What is remembered of failures: entries that the internal memory destination and triage write, and triage reads.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    duplicate::{DuplicateMatch, DuplicateSummary},
    inspect::Inspection,
    run::TriageRun,
    summary::TriageSummary,
};
use crate::{
    draft::Draft,
    record::{Collection, Column, Record},
    text::floor_char_boundary,
    wire::wire_enum,
};

wire_enum! {
    pub enum MemoryCategory {
        FailurePattern = "failure_pattern",
        Recurrence = "recurrence",
        PolicyGap = "policy_gap",
        SafetyRisk = "safety_risk",
        /// Written by triage only; not a category of the destination.
        RegressionSignal = "regression_signal",
    }
}

impl MemoryCategory {
    /// A category as configured: case, `-` and spaces do not matter; blank is the default. `None` for other words.
    pub fn configured(word: Option<&str>) -> Option<Self> {
        let word = word.unwrap_or_default().trim().to_ascii_lowercase().replace(['-', ' '], "_");
        if word.is_empty() {
            return Some(Self::FailurePattern);
        }
        Self::from_word(&word).filter(|category| *category != Self::RegressionSignal)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemoryEntry {
    /// `memory_ref` on receipts.
    pub memory_id: String,
    pub category: MemoryCategory,
    pub repo: String,
    pub fingerprint: String,
    /// Redacted, at most [`SUMMARY_LIMIT`] bytes.
    pub summary: String,
    pub recurrence_count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The exception and frame by which other failures are recognised as similar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_frame: Option<String>,
    #[serde(default)]
    pub linked_issue_numbers: Vec<u64>,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: Value,
    pub created_at_ms: u64,
}

pub const SUMMARY_LIMIT: usize = 800;

pub static MEMORY_ENTRIES: Collection =
    Collection { name: "memory_entries", columns: &["category", "repo", "fingerprint", "created_at_ms"] };

impl Record for MemoryEntry {
    const COLLECTION: &'static Collection = &MEMORY_ENTRIES;
    fn id(&self) -> &str {
        &self.memory_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(self.category.word()),
            Column::text(&self.repo),
            Column::text(&self.fingerprint),
            Column::ms(self.created_at_ms),
        ]
    }
}

/// Whether a memory was stored, as triage answers tell it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemoryOutcome {
    pub stored: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub partition: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_summary: Option<DuplicateSummary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_matches: Option<Vec<DuplicateMatch>>,
}

/// The text of a memory, one fact per `;`. Text comes in redacted.
pub fn summary(category: MemoryCategory, draft: &Draft, recurrence_count: u64) -> String {
    let mut parts = vec![category.word().to_owned()];
    for (key, value) in [
        ("title", draft.title.as_deref()),
        ("fingerprint", Some(draft.fingerprint.as_str())),
        ("repo", Some(draft.repo.as_str())),
        ("risk", draft.classification.risk_level.as_deref()),
        ("risk_category", draft.safety.risk_category.as_deref()),
        ("confidence", draft.classification.confidence.as_deref()),
    ] {
        if let Some(value) = value {
            // A long title must not push the fingerprint out.
            parts.push(format!("{key}: {}", cut(value, 240)));
        }
    }
    parts.push(format!("recurrences: {recurrence_count}"));
    cut(&parts.join("; "), SUMMARY_LIMIT).to_owned()
}

fn cut(text: &str, limit: usize) -> &str {
    &text[..floor_char_boundary(text, limit)]
}

/// The two memories that a stored summary leaves: the failure's pattern, and what would show its return.
pub fn of_summary(
    draft: &Draft,
    run: &TriageRun,
    inspection: &Inspection,
    triage: &TriageSummary,
    ids: [String; 2],
    now_ms: u64,
) -> [MemoryEntry; 2] {
    let [pattern_id, signal_id] = ids;
    let count = run.duplicates.max_recurrence_count;
    let entry = |memory_id: String, category: MemoryCategory, summary: String, metadata: Value| MemoryEntry {
        memory_id,
        category,
        repo: draft.repo.clone(),
        fingerprint: draft.fingerprint.clone(),
        summary,
        recurrence_count: count,
        draft_id: Some(draft.draft_id.clone()),
        run_id: Some(run.run_id.clone()),
        exception: inspection.exception_key.clone(),
        top_frame: inspection.top_frame_key.clone(),
        linked_issue_numbers: draft.issue_number.or(draft.matched_issue_number).into_iter().collect(),
        metadata,
        created_at_ms: now_ms,
    };
    let fields = &triage.fields;
    let pattern = entry(
        pattern_id,
        MemoryCategory::FailurePattern,
        cut(
            &format!("{}; {}", summary(MemoryCategory::FailurePattern, draft, count), fields.what_happened),
            SUMMARY_LIMIT,
        )
        .to_owned(),
        json!({
            "failure_type": fields.failure_type,
            "root_cause_confidence": fields.root_cause_confidence,
            "affected_components": fields.affected_components,
            "likely_files_to_edit": fields.likely_files_to_edit,
        }),
    );
    let signal = entry(
        signal_id,
        MemoryCategory::RegressionSignal,
        cut(
            &format!(
                "{}; expected: {}",
                summary(MemoryCategory::RegressionSignal, draft, count),
                fields.expected_behavior
            ),
            SUMMARY_LIMIT,
        )
        .to_owned(),
        json!({ "expected_behavior": fields.expected_behavior, "verification_steps": fields.verification_steps }),
    );
    [pattern, signal]
}

impl MemoryOutcome {
    pub fn stored(entry: &MemoryEntry, duplicates: &DuplicateSummary) -> Self {
        Self {
            stored: true,
            memory_id: Some(entry.memory_id.clone()),
            reason: None,
            fingerprint: Some(entry.fingerprint.clone()),
            content: Some(entry.summary.clone()),
            metadata: Some(entry.metadata.clone()),
            partition: Some(json!({ "repo": entry.repo, "category": entry.category })),
            duplicate_summary: Some(duplicates.clone()),
            duplicate_matches: Some(duplicates.matches.clone()),
        }
    }

    pub fn skipped(reason: &str, fingerprint: &str) -> Self {
        Self { reason: Some(reason.to_owned()), fingerprint: Some(fingerprint.to_owned()), ..Self::default() }
    }
}
