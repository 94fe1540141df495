//! The summary that the phases write, and the artifacts that a posted summary writes for the phases.

use serde_json::{Value, json};

use super::{
    inspect::Inspection,
    propose::Proposal,
    research::{FileHit, FoundBy, Research},
    run::Node,
    summary::{SummaryInput, TriageSummary},
    validate::Validation,
};
use crate::draft::Draft;

/// Writes the summary from what the phases found.
pub fn synthesise(
    draft: &Draft,
    inspection: &Inspection,
    research: &Research,
    validation: &Validation,
    proposal: &Proposal,
) -> SummaryInput {
    let kept = |value: serde_json::Result<Value>| value.ok();
    let mut files: Vec<String> = Vec::new();
    for hit in research.leads() {
        if !files.contains(&hit.path) {
            files.push(hit.path.clone());
        }
    }
    let mut what = draft.title.clone().unwrap_or_else(|| "A failure was reported.".to_owned());
    if let Some(headline) = inspection.headline().filter(|headline| !what.contains(headline.as_str())) {
        what.push('\n');
        what.push_str(&headline);
    }
    what.push('\n');
    what.push_str(&validation.scope);
    SummaryInput {
        suggested_title: draft.title.clone(),
        what_happened: Some(what),
        why_it_likely_happened: Some(research.likely_cause.clone()),
        root_cause_confidence: Some(research.confidence.word().to_owned()),
        failure_type: Some(inspection.failure_type.word().to_owned()),
        expected_behavior: None,
        recommended_fix: Some(proposal.recommended_fix.clone()),
        risk_level: Some(proposal.risk_level.clone()),
        notes: Some(proposal.notes.clone()),
        affected_components: validation.affected_components.clone(),
        likely_files_to_edit: files,
        steps_to_reproduce: validation.steps_to_reproduce.clone(),
        environment: validation.environment.clone(),
        logs: validation.logs.clone(),
        acceptance_criteria: proposal.acceptance_criteria.clone(),
        verification_steps: proposal.verification_steps.clone(),
        required_tool_scopes: Vec::new(),
        missing_tool_scopes: Vec::new(),
        related_existing_issues: research
            .duplicates
            .linked_issue_numbers
            .iter()
            .map(|number| json!({ "number": number }))
            .collect(),
        related_failure_patterns: research
            .duplicates
            .matches
            .iter()
            .filter_map(|found| kept(serde_json::to_value(found)))
            .collect(),
        research_sources: research
            .sources
            .iter()
            .map(|source| Value::String(source.clone()))
            .chain(research.recent_commits.iter().filter_map(|commit| kept(serde_json::to_value(commit))))
            .collect(),
        file_references: research.file_references.iter().map(reference).collect(),
        fix_points: proposal.fix_points.iter().filter_map(|point| kept(serde_json::to_value(point))).collect(),
        coder_ready: None,
        permissions_available: None,
    }
}

/// A hit on the wire. What a frame called the file stays behind: it may be a path of somebody's server.
fn reference(hit: &FileHit) -> Value {
    let term = match hit.found_by {
        FoundBy::Frame => None,
        FoundBy::Term => Some(&hit.needle),
    };
    json!({
        "path": hit.path,
        "line": hit.line,
        "snippet": hit.snippet,
        "found_by": hit.found_by,
        "term": term,
        "exact": hit.exact,
    })
}

/// A phase's artifact out of a posted summary, where the phase itself left none.
pub fn backfill(node: Node, summary: &TriageSummary) -> Value {
    let f = &summary.fields;
    let mut body = match node {
        Node::Inspect => json!({
            "what_happened": f.what_happened,
            "failure_type": f.failure_type,
            "affected_components": f.affected_components,
            "logs": f.logs,
        }),
        Node::Research => json!({
            "why_it_likely_happened": f.why_it_likely_happened,
            "root_cause_confidence": f.root_cause_confidence,
            "likely_files_to_edit": f.likely_files_to_edit,
            "research_sources": f.research_sources,
            "file_references": f.file_references,
            "related_existing_issues": f.related_existing_issues,
            "related_failure_patterns": f.related_failure_patterns,
        }),
        Node::Validate => json!({
            "steps_to_reproduce": f.steps_to_reproduce,
            "environment": f.environment,
            "logs": f.logs,
        }),
        Node::Propose => json!({
            "recommended_fix": f.recommended_fix,
            "fix_points": f.fix_points,
            "acceptance_criteria": f.acceptance_criteria,
            "verification_steps": f.verification_steps,
            "risk_level": f.risk_level,
        }),
    };
    body["origin"] = Value::from("triage_summary");
    body
}
