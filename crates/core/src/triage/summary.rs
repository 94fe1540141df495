//! The triage summary: what an agent may post, how it is normalised, and what is written when nobody posts one.
//!
//! A posted summary with substance is its author's word: nothing is mixed into it, so the gates judge what was posted.
//! Without substance the phases' own findings take its place; flags and notes that came along are kept.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{duplicate::DuplicateSummary, gate, inspect::FailureType, run::TriageRun};
use crate::{
    draft::Draft,
    signal::QualityGate,
    text::{non_blank, truncate},
};

/// What an agent posts. Everything is optional, `null` means absent, both casings are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SummaryInput {
    #[serde(alias = "suggestedTitle")]
    pub suggested_title: Option<String>,
    #[serde(alias = "whatHappened")]
    pub what_happened: Option<String>,
    #[serde(alias = "whyItLikelyHappened")]
    pub why_it_likely_happened: Option<String>,
    /// `high`, `medium` or `low`; anything else reads as `low`.
    #[serde(alias = "rootCauseConfidence")]
    pub root_cause_confidence: Option<String>,
    #[serde(alias = "failureType")]
    pub failure_type: Option<String>,
    #[serde(alias = "expectedBehavior")]
    pub expected_behavior: Option<String>,
    #[serde(alias = "recommendedFix")]
    pub recommended_fix: Option<String>,
    #[serde(alias = "riskLevel")]
    pub risk_level: Option<String>,
    pub notes: Option<String>,
    #[serde(alias = "affectedComponents", deserialize_with = "lines")]
    pub affected_components: Vec<String>,
    #[serde(alias = "likelyFilesToEdit", deserialize_with = "lines")]
    pub likely_files_to_edit: Vec<String>,
    #[serde(alias = "stepsToReproduce", deserialize_with = "lines")]
    pub steps_to_reproduce: Vec<String>,
    #[serde(deserialize_with = "lines")]
    pub environment: Vec<String>,
    #[serde(deserialize_with = "lines")]
    pub logs: Vec<String>,
    #[serde(alias = "acceptanceCriteria", deserialize_with = "lines")]
    pub acceptance_criteria: Vec<String>,
    #[serde(alias = "verificationSteps", deserialize_with = "lines")]
    pub verification_steps: Vec<String>,
    #[serde(alias = "requiredToolScopes", deserialize_with = "lines")]
    pub required_tool_scopes: Vec<String>,
    #[serde(alias = "missingToolScopes", deserialize_with = "lines")]
    pub missing_tool_scopes: Vec<String>,
    #[serde(alias = "relatedExistingIssues", deserialize_with = "values")]
    #[schema(value_type = Vec<Object>)]
    pub related_existing_issues: Vec<Value>,
    #[serde(alias = "relatedFailurePatterns", deserialize_with = "values")]
    #[schema(value_type = Vec<Object>)]
    pub related_failure_patterns: Vec<Value>,
    #[serde(alias = "researchSources", deserialize_with = "values")]
    #[schema(value_type = Vec<Object>)]
    pub research_sources: Vec<Value>,
    #[serde(alias = "fileReferences", deserialize_with = "values")]
    #[schema(value_type = Vec<Object>)]
    pub file_references: Vec<Value>,
    #[serde(alias = "fixPoints", deserialize_with = "values")]
    #[schema(value_type = Vec<Object>)]
    pub fix_points: Vec<Value>,
    #[serde(alias = "coderReady")]
    pub coder_ready: Option<bool>,
    #[serde(alias = "permissionsAvailable")]
    pub permissions_available: Option<bool>,
}

fn lines<'de, D: Deserializer<'de>>(de: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<Option<String>>>::deserialize(de)?.unwrap_or_default().into_iter().flatten().collect())
}

fn values<'de, D: Deserializer<'de>>(de: D) -> Result<Vec<Value>, D::Error> {
    Ok(Option::<Vec<Value>>::deserialize(de)?.unwrap_or_default())
}

// Bounds in bytes and entries. A summary comes from outside and is kept with the run.
const TEXT: usize = 6_000;
const TITLE: usize = 240;
const LINE: usize = 1_000;
const VALUES: usize = 30;
const VALUE: usize = 2_000;

/// What is expected when nobody says it.
pub const EXPECTED: &str = "The operation completes without this failure.";

impl SummaryInput {
    /// Says something about the failure, beyond flags, grades and tool scopes.
    pub fn has_substance(&self) -> bool {
        let texts = [&self.suggested_title, &self.what_happened, &self.why_it_likely_happened, &self.recommended_fix];
        let lists = [
            &self.affected_components,
            &self.likely_files_to_edit,
            &self.steps_to_reproduce,
            &self.environment,
            &self.logs,
            &self.acceptance_criteria,
            &self.verification_steps,
        ];
        let values = [
            &self.related_existing_issues,
            &self.related_failure_patterns,
            &self.research_sources,
            &self.file_references,
            &self.fix_points,
        ];
        texts.iter().any(|text| non_blank(text.as_deref()).is_some())
            || lists.iter().any(|list| list.iter().any(|line| !line.trim().is_empty()))
            || values.iter().any(|list| list.iter().any(has_content))
    }

    /// Bounded, trimmed, with every grade one of its words.
    pub fn normalise(&self, draft: &Draft) -> SummaryFields {
        let text = |field: &Option<String>, limit| non_blank(field.as_deref()).map(|text| truncate(text, limit));
        let word = |field: &Option<String>| field.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
        let grade = |field: &Option<String>, default: &str| {
            let word = word(field);
            if ["low", "medium", "high"].contains(&word.as_str()) { word } else { default.to_owned() }
        };
        SummaryFields {
            suggested_title: text(&self.suggested_title, TITLE).map(|title| one_line(&title)),
            what_happened: text(&self.what_happened, TEXT)
                .or_else(|| text(&draft.title, TEXT))
                .unwrap_or_else(|| "A failure was reported without a description.".to_owned()),
            why_it_likely_happened: text(&self.why_it_likely_happened, TEXT),
            root_cause_confidence: grade(&self.root_cause_confidence, "low"),
            failure_type: FailureType::from_word(&word(&self.failure_type)).unwrap_or(FailureType::Unknown),
            expected_behavior: text(&self.expected_behavior, TEXT).unwrap_or_else(|| EXPECTED.to_owned()),
            recommended_fix: text(&self.recommended_fix, TEXT),
            risk_level: grade(&self.risk_level, "medium"),
            notes: text(&self.notes, TEXT),
            affected_components: tidy(&self.affected_components, 20),
            likely_files_to_edit: tidy(&self.likely_files_to_edit, 30),
            steps_to_reproduce: tidy(&self.steps_to_reproduce, 8),
            environment: tidy(&self.environment, 12),
            logs: indented(&self.logs, 20),
            acceptance_criteria: tidy(&self.acceptance_criteria, 20),
            verification_steps: tidy(&self.verification_steps, 20),
            required_tool_scopes: tidy(&self.required_tool_scopes, 20),
            missing_tool_scopes: tidy(&self.missing_tool_scopes, 20),
            related_existing_issues: tidy_values(&self.related_existing_issues),
            related_failure_patterns: tidy_values(&self.related_failure_patterns),
            research_sources: tidy_values(&self.research_sources),
            file_references: tidy_values(&self.file_references),
            fix_points: tidy_values(&self.fix_points),
            permissions_available: self.permissions_available,
        }
    }
}

fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn tidy(list: &[String], cap: usize) -> Vec<String> {
    list.iter().map(|l| l.trim()).filter(|l| !l.is_empty()).take(cap).map(|l| truncate(l, LINE)).collect()
}

/// Logs keep their indentation, which is half of what a stack trace says.
fn indented(list: &[String], cap: usize) -> Vec<String> {
    let lines = list.iter().filter(|l| !l.trim().is_empty()).take(cap);
    lines.map(|l| truncate(l.trim_end().trim_start_matches(['\n', '\r']), LINE)).collect()
}

fn tidy_values(list: &[Value]) -> Vec<Value> {
    let small = |value: &&Value| serde_json::to_string(value).is_ok_and(|text| text.len() <= VALUE);
    let trimmed = |value: &Value| match value {
        Value::String(text) => Value::String(text.trim().to_owned()),
        other => other.clone(),
    };
    list.iter().filter(|value| has_content(value)).filter(small).take(VALUES).map(trimmed).collect()
}

/// A normalised summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SummaryFields {
    pub suggested_title: Option<String>,
    pub what_happened: String,
    pub why_it_likely_happened: Option<String>,
    pub root_cause_confidence: String,
    pub failure_type: FailureType,
    pub expected_behavior: String,
    pub recommended_fix: Option<String>,
    pub risk_level: String,
    pub notes: Option<String>,
    pub affected_components: Vec<String>,
    pub likely_files_to_edit: Vec<String>,
    pub steps_to_reproduce: Vec<String>,
    pub environment: Vec<String>,
    pub logs: Vec<String>,
    pub acceptance_criteria: Vec<String>,
    pub verification_steps: Vec<String>,
    pub required_tool_scopes: Vec<String>,
    pub missing_tool_scopes: Vec<String>,
    #[schema(value_type = Vec<Object>)]
    pub related_existing_issues: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    pub related_failure_patterns: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    pub research_sources: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    pub file_references: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    pub fix_points: Vec<Value>,
    pub permissions_available: Option<bool>,
}

/// The stored summary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TriageSummary {
    #[serde(flatten)]
    pub fields: SummaryFields,
    pub draft_id: String,
    pub repo: String,
    pub triage_run_id: String,
    pub coder_ready: bool,
    pub coder_ready_gate: QualityGate,
    /// `true` when the phases wrote it, `false` when it was posted.
    pub synthesised: bool,
    pub created_at_ms: u64,
}

/// The summary that counts: the posted one when it has substance, else the synthesised one with the flags and notes
/// of the posted one.
pub fn settle(
    posted: SummaryInput,
    synthesised: impl FnOnce() -> SummaryInput,
    draft: &Draft,
    run: &TriageRun,
    duplicates: &DuplicateSummary,
    now_ms: u64,
) -> TriageSummary {
    let own = posted.has_substance();
    let input = if own { posted } else { over(posted, synthesised()) };
    let fields = input.normalise(draft);
    let coder_ready_gate = gate::coder_ready(&fields, duplicates, input.coder_ready);
    TriageSummary {
        draft_id: draft.draft_id.clone(),
        repo: draft.repo.clone(),
        triage_run_id: run.run_id.clone(),
        coder_ready: coder_ready_gate.passed && input.coder_ready.unwrap_or(true),
        coder_ready_gate,
        synthesised: !own,
        created_at_ms: now_ms,
        fields,
    }
}

/// Flags, grades and notes of an insubstantial summary over a synthesised one. A grade of confidence is not taken:
/// the phases know what they found.
fn over(posted: SummaryInput, synthesised: SummaryInput) -> SummaryInput {
    SummaryInput {
        failure_type: posted.failure_type.or(synthesised.failure_type),
        expected_behavior: posted.expected_behavior.or(synthesised.expected_behavior),
        risk_level: posted.risk_level.or(synthesised.risk_level),
        notes: posted.notes.or(synthesised.notes),
        required_tool_scopes: posted.required_tool_scopes,
        missing_tool_scopes: posted.missing_tool_scopes,
        coder_ready: posted.coder_ready,
        permissions_available: posted.permissions_available,
        ..synthesised
    }
}
