//! Which destinations a draft goes to, and what stands in the way.
//!
//! [`Context`] gathers what is known of a draft; [`decide`] picks the winning route, its destinations and whether a
//! person must approve; [`preview`] adds the readiness of what was picked. Creation, preview and publish all come
//! through [`decide`], so they cannot disagree. Nothing is sent, and no readiness is looked up here.

mod context;
mod decide;
mod matching;
mod preview;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use context::{Context, PreviewInput};
pub use decide::{BlockCode, Decision, decide};
pub use preview::{Block, ReadinessRows, RouteMatch, RoutePreview, preview};

use crate::approval::ApprovalPolicy;

/// A rule from incident context to destinations. An empty matcher matches anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    pub route_id: String,
    pub name: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Higher wins.
    #[serde(default)]
    pub priority: i64,
    /// Empty uses the default destinations.
    #[serde(default)]
    pub destination_ids: Vec<String>,
    #[serde(default)]
    pub approval_policy: ApprovalPolicy,
    /// Ask for publishing as soon as triage has settled. Approval rules still apply.
    #[serde(default)]
    pub auto_publish: bool,
    #[serde(default)]
    pub match_event_types: Vec<String>,
    #[serde(default)]
    pub match_sources: Vec<String>,
    #[serde(default)]
    pub match_components: Vec<String>,
    #[serde(default)]
    pub match_risk_levels: Vec<String>,
    #[serde(default)]
    pub match_risk_categories: Vec<String>,
    #[serde(default)]
    pub match_confidence: Vec<String>,
    #[serde(default)]
    pub match_expected_destinations: Vec<String>,
    #[serde(default)]
    pub match_project_ids: Vec<String>,
    #[serde(default)]
    pub match_log_source_ids: Vec<String>,
    #[serde(default)]
    pub match_route_tags: Vec<String>,
    #[serde(default)]
    pub match_source_kinds: Vec<String>,
    #[serde(default)]
    pub match_tenant_ids: Vec<String>,
    #[serde(default)]
    pub match_workspace_ids: Vec<String>,
    #[serde(default)]
    pub match_event_schema_versions: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Route {
    /// The matchers, for code that treats them alike.
    pub(crate) fn matchers_mut(&mut self) -> [(&'static str, &mut Vec<String>); 14] {
        [
            ("match_event_types", &mut self.match_event_types),
            ("match_sources", &mut self.match_sources),
            ("match_components", &mut self.match_components),
            ("match_risk_levels", &mut self.match_risk_levels),
            ("match_risk_categories", &mut self.match_risk_categories),
            ("match_confidence", &mut self.match_confidence),
            ("match_expected_destinations", &mut self.match_expected_destinations),
            ("match_project_ids", &mut self.match_project_ids),
            ("match_log_source_ids", &mut self.match_log_source_ids),
            ("match_route_tags", &mut self.match_route_tags),
            ("match_source_kinds", &mut self.match_source_kinds),
            ("match_tenant_ids", &mut self.match_tenant_ids),
            ("match_workspace_ids", &mut self.match_workspace_ids),
            ("match_event_schema_versions", &mut self.match_event_schema_versions),
        ]
    }
}

#[cfg(test)]
mod tests;
