//! Whether a publish needs a person's approval.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a route, project or log source says about approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalPolicy {
    #[default]
    Inherit,
    Always,
    HighRisk,
    Never,
}
