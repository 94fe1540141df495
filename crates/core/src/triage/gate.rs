//! The two gates of triage: whether a proposal may become an issue, and whether an agent may start on it.

use super::{duplicate::DuplicateSummary, run::TriageRun, summary::SummaryFields, summary::TriageSummary};
use crate::signal::QualityGate;

/// `draft_to_proposal`: needed for any issue draft.
pub fn proposal(run: Option<&TriageRun>, summary: Option<&TriageSummary>) -> QualityGate {
    let fields = summary.map(|s| &s.fields);
    let says = |check: fn(&SummaryFields) -> bool| fields.is_some_and(check);
    QualityGate::judge(
        "draft_to_proposal",
        &[
            ("triage_summary", "A triage summary exists", summary.is_some()),
            ("durable_artifacts", "All four phases left their artifact", run.is_some_and(TriageRun::phases_complete)),
            ("research_performed", "Research was performed", says(researched)),
            (
                "validation_scope",
                "The scope was validated",
                says(|f| !f.steps_to_reproduce.is_empty() || !f.logs.is_empty()),
            ),
            (
                "uncertainty_explicit",
                "Uncertainty is explicit",
                says(|f| graded(&f.root_cause_confidence) || f.notes.is_some()),
            ),
            (
                "bounded_action",
                "The action is bounded",
                says(|f| f.recommended_fix.is_some() && !f.acceptance_criteria.is_empty()),
            ),
            ("verification_steps", "Verification steps are given", says(|f| !f.verification_steps.is_empty())),
        ],
    )
}

fn graded(word: &str) -> bool {
    ["low", "medium", "high"].contains(&word)
}

/// Something was looked at. A cause that is still pending is no research.
fn researched(fields: &SummaryFields) -> bool {
    let cause = fields.why_it_likely_happened.as_deref().unwrap_or_default().to_ascii_lowercase();
    !fields.research_sources.is_empty()
        || !fields.file_references.is_empty()
        || !fields.related_existing_issues.is_empty()
        || !fields.related_failure_patterns.is_empty()
        || (!cause.is_empty() && !cause.contains("pending"))
}

/// `proposal_to_coder_ready`: whether an agent could start on it. `requested` is what the author asked for.
pub fn coder_ready(fields: &SummaryFields, duplicates: &DuplicateSummary, requested: Option<bool>) -> QualityGate {
    let mut gate = QualityGate::judge(
        "proposal_to_coder_ready",
        &[
            (
                "confidence",
                "Confidence is high or medium",
                ["high", "medium"].contains(&fields.root_cause_confidence.as_str()),
            ),
            (
                "scope_identified",
                "Files or components are identified",
                !fields.likely_files_to_edit.is_empty() || !fields.affected_components.is_empty(),
            ),
            ("acceptance_criteria", "Acceptance criteria are given", !fields.acceptance_criteria.is_empty()),
            ("verification_steps", "Verification steps are given", !fields.verification_steps.is_empty()),
            ("risk_level", "Risk is low or medium", ["low", "medium"].contains(&fields.risk_level.as_str())),
            ("duplicate_clear", "No duplicate is known", duplicates.matches.is_empty()),
            (
                "tool_scope_available",
                "The tools that are needed are available",
                fields.permissions_available != Some(false) && fields.missing_tool_scopes.is_empty(),
            ),
        ],
    );
    gate.requested_coder_ready = Some(requested.unwrap_or(gate.passed));
    gate
}
