//! What triage says about real failures, what it never says, and that reports cannot get out of their quotes.

mod gates;
mod golden;
mod hostile;
mod past;
mod phases;
mod runs;
mod summaries;

use serde_json::json;

use super::{
    run::{ArtifactRecord, Event, Node, TriageRun, transition},
    summary::{SummaryInput, settle},
    *,
};
use crate::{draft::Draft, incident::Incident};

pub fn draft() -> Draft {
    serde_json::from_value(json!({
        "draft_id": "draft-1", "fingerprint": "v2:0011", "repo": "acme/orders", "status": "triage_queued",
        "created_at_ms": 1, "updated_at_ms": 1, "incident_id": "inc-1", "title": "Order pricing fails",
        "risk_level": "medium",
    }))
    .unwrap()
}

pub fn incident(detail: &str) -> Incident {
    serde_json::from_value(json!({
        "incident_id": "inc-1", "fingerprint": "v2:0011", "event_type": "job.failed", "status": "triage_queued",
        "repo": "acme/orders", "workspace_root": "/srv/ws", "title": "Order pricing fails", "detail": detail,
        "component": "pricing", "excerpt": [], "occurrence_count": 3, "created_at_ms": 1, "updated_at_ms": 1,
        "draft_id": "draft-1",
        "grouping": crate::fingerprint::caller("v2:0011"),
    }))
    .unwrap()
}

/// A run whose phases are complete.
pub fn run() -> TriageRun {
    let mut run = TriageRun::new("u1", "draft-1", Some("inc-1"), "acme/orders", Some(900), 10);
    for (n, node) in Node::ALL.iter().enumerate() {
        let record = ArtifactRecord::new(&run, node.artifact_type(), format!("a{n}"), json!({}), 20);
        transition(&mut run, Event::PhaseCompleted { node: *node, artifact: record.artifact }, 20).unwrap();
    }
    run
}

/// All phases over `detail` with `findings`.
pub fn through(detail: &str, findings: WorkspaceFindings) -> (Inspection, Research, SummaryInput) {
    let (draft, incident) = (draft(), incident(detail));
    let inspection = inspect(&draft, Some(&incident));
    let plan = plan_research(&inspection);
    let research = conclude_research(plan, &inspection, findings, &DuplicateSummary::default());
    let validation = validate(&draft, Some(&incident), &inspection, &research);
    let proposal = propose(&draft, &inspection, &research, &validation);
    let input = synthesise(&draft, &inspection, &research, &validation, &proposal);
    (inspection, research, input)
}

/// A run with the settled summary of `input`.
pub fn summarised(input: SummaryInput) -> TriageRun {
    let mut run = run();
    let summary = settle(input, SummaryInput::default, &draft(), &run, &DuplicateSummary::default(), 30);
    run.summary = Some(summary);
    run
}

/// A posted summary that passes both gates.
pub fn complete() -> SummaryInput {
    serde_json::from_value(json!({
        "what_happened": "Pricing failed for XAF.", "why_it_likely_happened": "The rate table has no XAF.",
        "root_cause_confidence": "high", "failure_type": "code_defect", "recommended_fix": "Answer with 422.",
        "risk_level": "low", "affected_components": ["pricing"], "likely_files_to_edit": ["orders/pricing.py"],
        "steps_to_reproduce": ["Post an order in XAF."], "logs": ["KeyError: 'XAF'"],
        "acceptance_criteria": ["An order in XAF answers 422."], "verification_steps": ["pytest tests/pricing"],
        "research_sources": ["orders/pricing.py"],
    }))
    .unwrap()
}
