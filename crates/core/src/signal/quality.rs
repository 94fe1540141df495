//! The intake-to-draft quality gate: eight questions that every report must answer before it becomes work.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Submission;

/// Words of our own cost nothing to make; only what is read back from a row is allocated.
type Word = std::borrow::Cow<'static, str>;

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Gate {
    #[schema(value_type = String)]
    pub key: Word,
    #[schema(value_type = String)]
    pub label: Word,
    pub passed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

/// The outcome of a set of gates. The proposal and coder-ready gates of triage share this shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QualityGate {
    #[schema(value_type = String)]
    pub stage: Word,
    /// `passed` or `blocked`.
    #[schema(value_type = String)]
    pub status: Word,
    pub passed: bool,
    pub passed_count: u32,
    pub total_count: u32,
    pub gates: Vec<Gate>,
    /// Keys of the gates that did not pass.
    #[schema(value_type = Vec<String>)]
    pub missing: Vec<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_reason: Option<String>,
    /// Only on the coder-ready gate: what the author of the summary asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_coder_ready: Option<bool>,
}

impl QualityGate {
    /// Judges `(key, label, passed)` answers.
    pub fn judge(stage: &'static str, answers: &[(&'static str, &'static str, bool)]) -> Self {
        let missing: Vec<Word> = answers.iter().filter(|a| !a.2).map(|a| Word::Borrowed(a.0)).collect();
        let passed = missing.is_empty();
        let gates = answers
            .iter()
            .map(|(key, label, passed)| Gate {
                key: Word::Borrowed(key),
                label: Word::Borrowed(label),
                passed: *passed,
                detail: None,
            })
            .collect();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            stage: Word::Borrowed(stage),
            status: Word::Borrowed(if passed { "passed" } else { "blocked" }),
            passed,
            passed_count: count(answers.len() - missing.len()),
            total_count: count(answers.len()),
            gates,
            blocked_reason: (!passed).then(|| format!("missing quality gates: {}", missing.join(", "))),
            missing,
            requested_coder_ready: None,
        }
    }
}

/// Events that report progress, not failure.
const NOISE: [&str; 6] = ["progress", "heartbeat", "started", "queued", "retrying", "minor_retry"];

/// Judges a completed submission (defaults filled in, fingerprint known).
pub fn intake_gate(s: &Submission) -> QualityGate {
    let event = s.event.as_deref().unwrap_or_default().to_ascii_lowercase();
    let evidence = !s.classification.evidence_refs.is_empty()
        || !s.excerpt.is_empty()
        || s.detail.is_some()
        || s.file_name.is_some();
    QualityGate::judge(
        "intake_to_draft",
        &[
            (
                "source_known",
                "Source is known",
                s.source.is_some() || s.component.is_some() || s.process.is_some() || s.event.is_some(),
            ),
            ("type_classified", "Failure type is classified", s.event.is_some() || s.level.is_some()),
            ("confidence_recorded", "Confidence is recorded", s.classification.confidence.is_some()),
            ("dedupe_checked", "Duplicates were looked for", s.fingerprint.is_some()),
            ("evidence_present", "Evidence is present", evidence),
            ("risk_known", "Risk is known", s.classification.risk_level.is_some()),
            ("destination_clear", "Destination is clear", s.classification.expected_destination.is_some()),
            ("not_routine_noise", "Not routine noise", !NOISE.iter().any(|noise| event.contains(noise))),
        ],
    )
}
