//! Phase four: where to fix, and how to know that it is fixed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{inspect::Inspection, research::Research, validate::Validation};

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
    pub risk_level: String,
    pub notes: String,
}

pub fn propose(inspection: &Inspection, research: &Research, validation: &Validation) -> Proposal {
    let _ = (inspection, research, validation);
    Proposal::default()
}
