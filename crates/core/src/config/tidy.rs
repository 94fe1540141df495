//! Trims, drops blanks and repetitions, clamps. Never a reason to refuse.

use super::{Config, DataReadiness, LogSource, Project};
use crate::{destination::Destination, route::Route};

pub(super) fn tidy(config: &mut Config) {
    optional(&mut config.workspace_root);
    optional(&mut config.repo);
    // A blank server is kept, so that the rules can refuse it: it is no way to say "none".
    trim_opt(&mut config.mcp_server);
    optional(&mut config.safety_defaults.minimum_risk_level);
    list(&mut config.default_destination_ids);
    config.destinations.iter_mut().for_each(destination);
    config.routes.iter_mut().for_each(route);
    config.monitored_projects.iter_mut().for_each(project);
}

fn trim(text: &mut String) {
    let trimmed = text.trim();
    if trimmed.len() != text.len() {
        *text = trimmed.to_owned();
    }
}

fn trim_opt(text: &mut Option<String>) {
    if let Some(text) = text {
        trim(text);
    }
}

/// Trims; blank becomes absent.
fn optional(text: &mut Option<String>) {
    trim_opt(text);
    if text.as_deref() == Some("") {
        *text = None;
    }
}

/// Trims; without blanks and repetitions.
fn list(items: &mut Vec<String>) {
    let mut kept: Vec<String> = Vec::with_capacity(items.len());
    for mut item in items.drain(..) {
        trim(&mut item);
        if !item.is_empty() && !kept.contains(&item) {
            kept.push(item);
        }
    }
    *items = kept;
}

fn destination(destination: &mut Destination) {
    trim(&mut destination.destination_id);
    trim(&mut destination.name);
    // Blanks stay: what they mean differs by kind, and readiness says so.
    for field in [
        &mut destination.repo,
        &mut destination.mcp_server,
        &mut destination.linear_team,
        &mut destination.linear_project,
        &mut destination.webhook_url,
        &mut destination.webhook_secret_ref,
        &mut destination.telemetry_path,
        &mut destination.mcp_tool,
        &mut destination.memory_category,
    ] {
        trim_opt(field);
    }
    list(&mut destination.route_tags);
}

fn route(route: &mut Route) {
    trim(&mut route.route_id);
    trim(&mut route.name);
    list(&mut route.destination_ids);
    for (_, matcher) in route.matchers_mut() {
        let asked = !matcher.is_empty();
        list(matcher);
        // A matcher of blanks matches nothing. Emptied, it would match everything.
        if asked && matcher.is_empty() {
            matcher.push(String::new());
        }
    }
}

fn project(project: &mut Project) {
    for text in [&mut project.project_id, &mut project.name, &mut project.repo, &mut project.workspace_root] {
        trim(text);
    }
    for field in [
        &mut project.mcp_server,
        &mut project.tenant_id,
        &mut project.workspace_id,
        &mut project.event_schema_version,
        &mut project.redaction_profile,
        &mut project.retention_profile,
    ] {
        optional(field);
    }
    list(&mut project.allowed_destination_ids);
    list(&mut project.default_destination_ids);
    list(&mut project.default_route_tags);
    data_readiness(&mut project.data_readiness);
    project.log_sources.iter_mut().for_each(log_source);
}

fn log_source(source: &mut LogSource) {
    trim(&mut source.source_id);
    trim(&mut source.path);
    for field in [
        &mut source.tenant_id,
        &mut source.workspace_id,
        &mut source.event_schema_version,
        &mut source.redaction_profile,
        &mut source.retention_profile,
    ] {
        optional(field);
    }
    list(&mut source.allowed_destination_ids);
    list(&mut source.default_destination_ids);
    list(&mut source.default_route_tags);
    data_readiness(&mut source.data_readiness);
    source.watch_interval_seconds = source.watch_interval_seconds.clamp(1, 86_400);
    source.max_bytes_per_poll = source.max_bytes_per_poll.clamp(1_024, 10_485_760);
    source.max_candidates_per_poll = source.max_candidates_per_poll.clamp(1, 200);
}

fn data_readiness(facts: &mut DataReadiness) {
    for field in [
        &mut facts.source_owner,
        &mut facts.system_of_record,
        &mut facts.data_classification,
        &mut facts.allowed_use,
        &mut facts.source_of_truth,
        &mut facts.lineage_ref,
        &mut facts.expected_schema_version,
        &mut facts.schema_drift_status,
        &mut facts.quality_notes,
        &mut facts.legal_basis,
        &mut facts.authorization_marker,
    ] {
        optional(field);
    }
}
