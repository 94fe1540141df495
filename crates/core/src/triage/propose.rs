//! Phase four: where to fix, and how to know that it is fixed. A fix point is a place that research found; without one
//! the proposal is to find the cause first, and says so.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    failure_type::FailureType,
    inspect::Inspection,
    research::{Confidence, FoundBy, Research},
    validate::Validation,
};
use crate::{draft::Draft, risk, text::truncate};

/// A place where a fix may belong, with the evidence that led there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FixPoint {
    pub path: String,
    pub line: Option<u64>,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Proposal {
    pub fix_points: Vec<FixPoint>,
    pub recommended_fix: String,
    pub acceptance_criteria: Vec<String>,
    pub verification_steps: Vec<String>,
    /// `low`, `medium` or `high`.
    pub risk_level: String,
    pub notes: String,
}

pub fn propose(draft: &Draft, inspection: &Inspection, research: &Research, validation: &Validation) -> Proposal {
    let fix_points: Vec<FixPoint> = research
        .leads()
        .map(|hit| FixPoint {
            path: hit.path.clone(),
            line: hit.line,
            reason: match (hit.found_by, hit.exact) {
                (FoundBy::Frame, true) => "a frame of the stack trace is at this line".to_owned(),
                (FoundBy::Frame, false) => "the stack trace names a file of this name".to_owned(),
                (FoundBy::Term, _) => format!("contains \"{}\" of the report", hit.needle),
            },
        })
        .collect();
    let headline = inspection.headline().unwrap_or_else(|| draft.title.clone().unwrap_or_default());
    let headline = truncate(&headline, 300);
    Proposal {
        recommended_fix: fix(inspection.failure_type, research.confidence, fix_points.first()),
        acceptance_criteria: vec![
            format!("The operation that was reported no longer ends with: {headline}"),
            "A test fails without the change and passes with it.".to_owned(),
            format!("No new occurrence is grouped under {} after the change is deployed.", draft.fingerprint),
        ],
        verification_steps: verification(validation, &fix_points),
        risk_level: level(draft.classification.risk_level.as_deref()).to_owned(),
        notes: notes(research, validation, inspection),
        fix_points,
    }
}

fn fix(kind: FailureType, confidence: Confidence, point: Option<&FixPoint>) -> String {
    let advice = match kind {
        FailureType::CodeDefect => "handle the case that the exception shows instead of assuming it away",
        FailureType::MissingConfig => "supply the missing setting, and fail at start with its name when it is absent",
        FailureType::MissingCapability => "grant the missing permission, or do not attempt what it is needed for",
        FailureType::ModelError => "bound what is sent to the model and handle its refusal",
        FailureType::ToolError => "check the tool's exit and output, and report both",
        FailureType::ValidationError => "validate the input where it enters, and answer with what is wrong with it",
        FailureType::Timeout => "find what the operation waits for, and bound or shorten the wait",
        FailureType::ExternalDependency => "tolerate that the dependency is away: retry with a bound, then degrade",
        FailureType::Unknown => "establish the cause before changing code",
    };
    match (point, confidence) {
        (Some(point), Confidence::High) => {
            let line = point.line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("Start at {}{line} and {advice}.", point.path)
        }
        (Some(point), Confidence::Medium | Confidence::Low) => {
            format!("Confirm that {} is involved; if it is, {advice}.", point.path)
        }
        (None, _) => {
            format!("No place in the source is known. Reproduce the failure and locate it first; then {advice}.")
        }
    }
}

fn verification(validation: &Validation, points: &[FixPoint]) -> Vec<String> {
    let mut steps = vec![format!(
        "Reproduce the failure before the change: {}",
        validation.steps_to_reproduce.first().map_or("repeat the reported operation.", String::as_str)
    )];
    steps.push(match points.first() {
        Some(point) => format!("Run the tests that cover {}.", point.path),
        None => "Run the tests of the affected component.".to_owned(),
    });
    steps.push("Repeat the reproduction after the change, and see it succeed.".to_owned());
    steps.push("Watch the incident for new occurrences after deployment.".to_owned());
    steps
}

/// The reported risk in the words of a summary.
fn level(reported: Option<&str>) -> &'static str {
    match risk::rank(reported.unwrap_or_default()) {
        4.. => "high",
        1 | 2 => "low",
        _ => "medium",
    }
}

fn notes(research: &Research, validation: &Validation, inspection: &Inspection) -> String {
    let mut notes = format!("Written without a model. Confidence {}. ", research.confidence);
    if let Some(why) = &inspection.failure_type_evidence {
        notes.push_str(&format!("Classified as {} by {why}. ", inspection.failure_type));
    }
    notes.push_str("Open: ");
    notes.push_str(&validation.open_questions.join(" "));
    notes
}
