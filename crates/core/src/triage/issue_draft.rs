//! The issue draft: the summary with its gaps filled from draft and incident, and the body that is published.
//!
//! Made only when the proposal gate passes. Making it changes no draft: the use case decides what a refusal means.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    gate, render,
    report::Report,
    run::TriageRun,
    summary::{SummaryFields, TriageSummary},
};
use crate::{
    draft::Draft,
    incident::Incident,
    signal::QualityGate,
    text::{non_blank, truncate},
    wire::wire_enum,
};

wire_enum! {
    /// Where the front matter of the body came from.
    pub enum TemplateSource {
        Repository = "repository",
        BuiltIn = "built_in",
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IssueDraft {
    #[serde(flatten)]
    pub fields: SummaryFields,
    pub draft_id: String,
    pub repo: String,
    pub triage_run_id: String,
    pub coder_ready: bool,
    pub coder_ready_gate: QualityGate,
    pub template_source: TemplateSource,
    pub proposal_quality_gate: QualityGate,
    /// For an agent that takes the issue over; only when it is ready for one.
    #[schema(value_type = Option<Object>)]
    pub coder_handoff: Option<Value>,
    pub triage_summary: TriageSummary,
    pub rendered_body: String,
    pub created_at_ms: u64,
}

/// `Err` carries the proposal gate that did not pass.
pub fn issue_draft(
    draft: &Draft,
    incident: Option<&Incident>,
    run: &TriageRun,
    template: Option<&str>,
    now_ms: u64,
) -> Result<IssueDraft, QualityGate> {
    let gate = gate::proposal(Some(run), run.summary.as_ref());
    let Some(summary) = run.summary.as_ref().filter(|_| gate.passed) else { return Err(gate) };
    let fields = resolve(&summary.fields, draft, incident);
    let coder_handoff = summary.coder_ready.then(|| handoff(draft, run, summary, &fields));
    let (_, template_source) = render::front_matter(template);
    let rendered_body = render::body(&render::Parts {
        fields: &fields,
        template,
        fingerprint: &draft.fingerprint,
        triage_run_id: &run.run_id,
        coder_handoff: coder_handoff.as_ref(),
        workspace_root: incident.map(|incident| incident.workspace_root.as_str()).unwrap_or_default(),
    });
    Ok(IssueDraft {
        draft_id: draft.draft_id.clone(),
        repo: draft.repo.clone(),
        triage_run_id: run.run_id.clone(),
        coder_ready: summary.coder_ready,
        coder_ready_gate: summary.coder_ready_gate.clone(),
        template_source,
        proposal_quality_gate: gate,
        coder_handoff,
        triage_summary: summary.clone(),
        rendered_body,
        created_at_ms: now_ms,
        fields,
    })
}

const TITLE: &str = "A reported failure";

/// What the summary leaves open is taken from the report. Causes, fixes and files are not: only triage knows them.
fn resolve(summary: &SummaryFields, draft: &Draft, incident: Option<&Incident>) -> SummaryFields {
    let report = Report::of(draft, incident);
    let mut fields = summary.clone();
    if fields.suggested_title.is_none() {
        let title = non_blank(draft.title.as_deref()).or(non_blank(Some(report.title))).unwrap_or(TITLE);
        fields.suggested_title = Some(truncate(title, 240));
    }
    if fields.logs.is_empty() {
        let lines = report.excerpt.iter().copied().chain(report.detail.lines());
        fields.logs = lines.filter(|line| !line.trim().is_empty()).take(12).map(|line| truncate(line, 500)).collect();
    }
    if fields.affected_components.is_empty() {
        fields.affected_components = report.component.map(str::to_owned).into_iter().collect();
    }
    if fields.environment.is_empty() {
        fields.environment = [
            ("Repository", Some(draft.repo.as_str())),
            ("Process", report.process),
            ("Source", report.source),
            ("Level", report.level),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}: {}", value?)))
        .collect();
    }
    fields
}

fn handoff(draft: &Draft, run: &TriageRun, summary: &TriageSummary, fields: &SummaryFields) -> Value {
    json!({
        "handoff_type": "tandem_autonomous_coder_issue",
        "draft_id": draft.draft_id,
        "incident_id": draft.incident_id,
        "triage_run_id": run.run_id,
        "repo": draft.repo,
        "fingerprint": draft.fingerprint,
        "title": fields.suggested_title,
        "failure_type": fields.failure_type,
        "root_cause_confidence": fields.root_cause_confidence,
        "risk_level": fields.risk_level,
        "likely_files_to_edit": fields.likely_files_to_edit,
        "affected_components": fields.affected_components,
        "acceptance_criteria": fields.acceptance_criteria,
        "verification_steps": fields.verification_steps,
        "required_tool_scopes": fields.required_tool_scopes,
        "coder_ready_gate": summary.coder_ready_gate,
    })
}
