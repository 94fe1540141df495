//! Sources: whether their data is ready, whose they are, and how far they reach.

use std::collections::{HashMap, HashSet};

use tandem_core::source::Scope;

use super::{
    findings::{Findings, id_or, path},
    table::{BROAD_SCOPE, MISSING_TENANT, NO_DESTINATION_POLICY, SOURCE_READINESS},
};
use crate::{
    estate::Estate,
    finding::{AffectedObject, EvidenceRef, New, Severity},
    inventory::{AuthorityInventory, SourceRow},
};

pub(super) fn judge(estate: &Estate, inventory: &AuthorityInventory, out: &mut Findings) {
    let destinations = &inventory.inventory.destinations;
    let external: HashSet<&str> = destinations
        .iter()
        .filter(|row| row.enabled && row.is_external())
        .map(|row| row.destination_id.as_str())
        .collect();
    let closed = closed(estate);
    for row in inventory.inventory.monitored_sources.iter().filter(|row| row.enabled) {
        readiness(row, out);
        missing_tenant(row, out);
        if !closed.contains(&key(row)) {
            breadth(row, &external, out);
        }
    }
}

/// Sources that say nothing about where their signals may go or go by default.
pub(super) fn judge_policies(estate: &Estate, inventory: &AuthorityInventory, out: &mut Findings) {
    let closed = closed(estate);
    for row in inventory.inventory.monitored_sources.iter().filter(|row| row.enabled) {
        if !closed.contains(&key(row))
            && row.allowed_destination_ids.is_empty()
            && row.default_destination_ids.is_empty()
        {
            no_policy(row, out);
        }
    }
}

type Key<'a> = (&'a str, Option<&'a str>);

fn key(row: &SourceRow) -> Key<'_> {
    (&row.project_id, row.source_id.as_deref())
}

/// Sources whose own list and their project's have nothing in common: they admit no destination at all, which an empty
/// list does not say.
fn closed(estate: &Estate) -> HashSet<Key<'_>> {
    let projects = estate.config.monitored_projects.iter().filter(|p| !p.allowed_destination_ids.is_empty());
    projects
        .flat_map(|project| {
            let own = project.log_sources.iter().filter(|source| !source.allowed_destination_ids.is_empty());
            own.filter(|source| Scope { project, source: Some(source) }.allowed_destination_ids().is_empty())
                .map(|source| (project.project_id.as_str(), Some(source.source_id.as_str())))
        })
        .collect()
}

fn object(row: &SourceRow) -> AffectedObject {
    AffectedObject::new("monitored_source", id_or(row.id(), "unknown_project"))
        .with("project_id", id_or(&row.project_id, "unknown_project"))
        .with("source_kind", row.source_kind.clone())
}

fn place(row: &SourceRow) -> String {
    format!("inventory.monitored_sources[{}]", id_or(row.id(), "unknown_project"))
}

fn readiness(row: &SourceRow, out: &mut Findings) {
    if !out.wants(SOURCE_READINESS) {
        return;
    }
    // The position among equal ids, so that one which is mended moves no other.
    let mut positions: HashMap<&str, usize> = HashMap::new();
    for found in row.readiness.iter().flat_map(|readiness| &readiness.findings) {
        let position = positions.entry(&found.finding_id).or_insert(0);
        let at = *position;
        *position += 1;
        let severity = Severity::from(found.severity);
        out.add(SOURCE_READINESS, severity, || {
            let own = path(format!("{}.readiness.findings[{}]", place(row), found.finding_id));
            let theirs = found.evidence_refs.iter().map(EvidenceRef::source_readiness);
            New {
                rule_id: SOURCE_READINESS,
                category: "source_readiness",
                severity,
                title: found.title.clone(),
                detail: format!("{} ({})", found.detail, row.reference()),
                recommendation: found.recommendation.clone(),
                affected: vec![object(row)],
                evidence: std::iter::once(own).chain(theirs).collect(),
                extra: Some(format!("{}:{at}", found.finding_id)),
            }
        });
    }
}

fn missing_tenant(row: &SourceRow, out: &mut Findings) {
    let nowhere = |id: &Option<String>| {
        id.as_deref().is_none_or(|id| id.trim().is_empty() || id.trim().eq_ignore_ascii_case("local"))
    };
    if !nowhere(&row.tenant_id) && !nowhere(&row.workspace_id) {
        return;
    }
    out.add(MISSING_TENANT, Severity::High, || New {
        rule_id: MISSING_TENANT,
        category: "tenant_context_gap",
        severity: Severity::High,
        title: "Source without a tenant".into(),
        detail: format!("Source `{}` names no tenant and workspace of its own.", row.reference()),
        recommendation: "Set tenant_id and workspace_id on the source or its project.".into(),
        affected: vec![object(row)],
        evidence: vec![path(format!("{}.tenant_id", place(row)))],
        extra: None,
    });
}

/// An allowlist that names the only outside destination there is, is as narrow as it can be.
fn breadth(row: &SourceRow, external: &HashSet<&str>, out: &mut Findings) {
    let allowed = &row.allowed_destination_ids;
    let all = || {
        let named: HashSet<&str> = allowed.iter().map(String::as_str).filter(|id| external.contains(id)).collect();
        external.len() > 1 && named.len() == external.len()
    };
    if external.is_empty() || !(allowed.is_empty() || all()) {
        return;
    }
    out.add(BROAD_SCOPE, Severity::Medium, || New {
        rule_id: BROAD_SCOPE,
        category: "scoped_intake_gap",
        severity: Severity::Medium,
        title: "Source reaches every outside destination".into(),
        detail: format!("Source `{}` may reach all {} enabled outside destinations.", row.reference(), external.len()),
        recommendation: "Allow the destinations that it needs, and fan out by route tags.".into(),
        affected: vec![object(row)],
        evidence: vec![path(format!("{}.allowed_destination_ids", place(row)))],
        extra: None,
    });
}

fn no_policy(row: &SourceRow, out: &mut Findings) {
    out.add(NO_DESTINATION_POLICY, Severity::Medium, || New {
        rule_id: NO_DESTINATION_POLICY,
        category: "scoped_intake_gap",
        severity: Severity::Medium,
        title: "Source without a destination policy".into(),
        detail: format!(
            "Source `{}` names neither allowed nor default destinations: routes and global defaults alone decide.",
            row.reference()
        ),
        recommendation: "Set allowed_destination_ids or default_destination_ids, and preview where a signal goes."
            .into(),
        affected: vec![object(row)],
        evidence: vec![
            path(format!("{}.allowed_destination_ids", place(row))),
            path(format!("{}.default_destination_ids", place(row))),
        ],
        extra: None,
    });
}
