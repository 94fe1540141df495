//! The preview: the decision with the readiness of what it picked, as the wire tells it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    context::Context,
    decide::{BlockCode, Decision, decide},
};
use crate::{
    approval,
    config::Config,
    destination::{self, Destination, DestinationReadiness},
    source::SourceReadiness,
};

/// The readiness of everything, as judged by the caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadinessRows<'a> {
    pub destinations: &'a [DestinationReadiness],
    pub sources: &'a [SourceReadiness],
}

/// Something that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub code: BlockCode,
    pub text: String,
}

impl Block {
    fn new(code: BlockCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
    pub(super) fn no_destination() -> Self {
        Self::new(BlockCode::NoDestination, "No destination matched route preview")
    }
    pub(super) fn not_allowed(id: &str) -> Self {
        Self::new(BlockCode::NotAllowed, format!("Destination `{id}` is not allowed by source binding"))
    }
    pub(super) fn not_configured(id: &str) -> Self {
        Self::new(BlockCode::NotConfigured, format!("Destination `{id}` is not configured"))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteMatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_name: Option<String>,
    pub destination_ids: Vec<String>,
    pub approval_required: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What would happen to a publish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RoutePreview {
    /// Every match, the winner first. Only the winner counts.
    pub matches: Vec<RouteMatch>,
    /// The effective destinations that exist.
    pub destinations: Vec<Destination>,
    pub readiness: Vec<DestinationReadiness>,
    pub source_readiness: Vec<SourceReadiness>,
    pub source_readiness_warnings: Vec<String>,
    pub default_destination_ids: Vec<String>,
    pub effective_destination_ids: Vec<String>,
    pub approval_required: bool,
    /// What asks for the approval.
    pub approval_grounds: Vec<approval::Ground>,
    pub blocked: bool,
    pub blocked_reasons: Vec<String>,
    /// Codes of `blocked_reasons`, in the same order.
    pub blocked_codes: Vec<BlockCode>,
    /// The route whose policy counts; under an override its destinations do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winning_route_id: Option<String>,
    pub auto_publish: bool,
}

/// The decision on this context, and what stands in its way.
pub fn preview(config: &Config, context: &Context<'_>, rows: &ReadinessRows<'_>) -> RoutePreview {
    let decision = decide(config, context);
    let selected = |id: &str| rows.destinations.iter().find(|row| row.destination_id == id);
    let mut blocks = Vec::new();
    if decision.effective_destination_ids.is_empty() {
        blocks.push(Block::no_destination());
    }
    for id in &decision.effective_destination_ids {
        let block = decision.block(config, id).or_else(|| match selected(id) {
            None => {
                let text = format!("Destination `{id}` has no readiness result");
                Some(Block::new(BlockCode::ReadinessMissing, text))
            }
            Some(row) if row.publish_ready => None,
            Some(row) => {
                let missing = if row.missing.is_empty() { "readiness is false".into() } else { row.missing.join(", ") };
                Some(Block::new(BlockCode::NotReady, format!("Destination `{id}` is not ready: {missing}")))
            }
        });
        blocks.extend(block);
    }
    let source_row = source_row(&decision, rows.sources);
    let source_block = source_block(&decision, source_row);
    let mut warnings: Vec<String> = source_row.map(|row| row.warnings.clone()).unwrap_or_default();
    match source_block {
        Some(block) if config.safety_defaults.block_unready_sources => blocks.push(block),
        Some(block) => warnings.insert(0, block.text),
        None => {}
    }
    let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    RoutePreview {
        matches: matches(config, &decision),
        destinations: decision
            .effective_destination_ids
            .iter()
            .filter_map(|id| destination::find(config, id))
            .collect(),
        readiness: decision.effective_destination_ids.iter().filter_map(|id| selected(id)).cloned().collect(),
        source_readiness: source_row.cloned().into_iter().collect(),
        source_readiness_warnings: warnings,
        default_destination_ids: owned(&decision.default_destination_ids),
        effective_destination_ids: owned(&decision.effective_destination_ids),
        approval_required: decision.approval_required,
        approval_grounds: approval::grounds(&decision.approval),
        blocked: !blocks.is_empty(),
        blocked_codes: blocks.iter().map(|block| block.code).collect(),
        blocked_reasons: blocks.into_iter().map(|block| block.text).collect(),
        winning_route_id: decision.winner.map(|route| route.route_id.clone()),
        auto_publish: decision.auto_publish,
    }
}

fn matches(config: &Config, decision: &Decision<'_>) -> Vec<RouteMatch> {
    if decision.overridden || decision.routes.is_empty() {
        return vec![RouteMatch {
            route_id: None,
            route_name: None,
            destination_ids: decision.effective_destination_ids.iter().map(|id| (*id).to_owned()).collect(),
            approval_required: decision.approval_required,
            reason: Some(decision.reason.clone()),
        }];
    }
    let of_route = |route: &&super::Route| {
        let ids = decision.destinations_of(route);
        RouteMatch {
            route_id: Some(route.route_id.clone()),
            route_name: Some(route.name.clone()),
            approval_required: approval::required(&decision.approval_of(config, Some(route), &ids)),
            destination_ids: ids.into_iter().map(str::to_owned).collect(),
            reason: Some(decision.attributes.reason(route)),
        }
    };
    decision.routes.iter().map(of_route).collect()
}

/// The row of the bound source, or of the project when no source is named. Where the project has no log sources, the
/// name that a reporter goes by is none of them, and the project's own row counts.
fn source_row<'r>(decision: &Decision<'_>, rows: &'r [SourceReadiness]) -> Option<&'r SourceReadiness> {
    let project = decision.project_id?;
    let sourceless = decision.scope.is_some_and(|scope| scope.project.log_sources.is_empty());
    rows.iter().find(|row| {
        row.project_id.eq_ignore_ascii_case(project)
            && match (row.source_id.as_deref(), decision.log_source_id) {
                (Some(row), Some(source)) => row.eq_ignore_ascii_case(source),
                (None, None) => true,
                (None, Some(_)) => sourceless,
                (Some(_), None) => false,
            }
    })
}

fn source_block(decision: &Decision<'_>, row: Option<&SourceReadiness>) -> Option<Block> {
    let project = decision.project_id?;
    let Some(row) = row else {
        let name = decision.log_source_id.unwrap_or(project);
        let text = format!("Source `{name}` is not data-ready: no readiness evidence for the bound source");
        return Some(Block::new(BlockCode::SourceReadinessMissing, text));
    };
    if row.ready {
        return None;
    }
    let name = row.source_id.as_deref().unwrap_or(&row.project_id);
    let mut rules: Vec<&str> = Vec::new();
    for rule in row.findings.iter().map(|finding| finding.rule_id.as_str()) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let why = if !rules.is_empty() {
        rules.join(", ")
    } else if !row.missing.is_empty() {
        row.missing.join(", ")
    } else {
        "source readiness is false".to_owned()
    };
    Some(Block::new(BlockCode::SourceNotReady, format!("Source `{name}` is not data-ready: {why}")))
}
