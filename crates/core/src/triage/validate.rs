//! Phase three: how far the failure reaches, and what shows it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{inspect::Inspection, research::Research};
use crate::{draft::Draft, incident::Incident};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Validation {
    pub scope: String,
    pub affected_components: Vec<String>,
    pub occurrence_count: u64,
    pub evidence: Vec<String>,
    pub steps_to_reproduce: Vec<String>,
    pub environment: Vec<String>,
    pub logs: Vec<String>,
    /// What remains unknown.
    pub open_questions: Vec<String>,
}

pub fn validate(
    draft: &Draft,
    incident: Option<&Incident>,
    inspection: &Inspection,
    research: &Research,
) -> Validation {
    let _ = (draft, incident, inspection, research);
    Validation::default()
}
