//! Routes: those that lift an approval, publish by themselves, lead nowhere, or never win.

use std::collections::{HashMap, HashSet};

use tandem_core::{
    approval::{self, ApprovalPolicy, Inputs},
    config::Project,
    risk,
};

use super::{
    findings::{Findings, listed, path},
    shadow,
    table::{AUTO_PUBLISH, ROUTE_NEVER, ROUTE_SHADOWED, ROUTE_UNREACHABLE},
};
use crate::{
    estate::Estate,
    finding::{AffectedObject, New, Severity},
    inventory::{AuthorityInventory, DestinationRow, Inventory, RouteRow},
};

pub(super) fn judge(estate: &Estate, inventory: &AuthorityInventory, out: &mut Findings) {
    let sections = &inventory.inventory;
    let map = Map::of(estate, sections);
    for route in sections.routes.iter().filter(|route| route.enabled) {
        never(&map, route, out);
    }
    for route in sections.routes.iter().filter(|route| route.enabled && route.auto_publish) {
        auto_publish_route(&map, route, out);
    }
    let seen = sections.monitored_sources.iter().filter(|row| row.source_id.is_none());
    let seen: HashSet<&str> = seen.map(|row| row.project_id.as_str()).collect();
    for project in estate.config.monitored_projects.iter().filter(|project| project.enabled && project.auto_publish) {
        if seen.contains(project.project_id.as_str()) {
            auto_publish_project(&map, project, out);
        }
    }
    if out.wants(ROUTE_SHADOWED) {
        shadowed(estate, &sections.routes, out);
    }
    for route in sections.routes.iter().filter(|route| route.enabled) {
        unreachable(&map, route, out);
    }
    unreachable_defaults(&map, out);
}

/// What routes lead to.
struct Map<'a> {
    estate: &'a Estate,
    destinations: HashMap<&'a str, &'a DestinationRow>,
    /// Where a route goes that names nothing.
    defaults: &'a [String],
    /// Some source brings defaults of its own.
    source_defaults: bool,
}

impl<'a> Map<'a> {
    fn of(estate: &'a Estate, sections: &'a Inventory) -> Self {
        let projects = &estate.config.monitored_projects;
        Self {
            estate,
            destinations: sections.destinations.iter().map(|row| (row.destination_id.as_str(), row)).collect(),
            defaults: &sections.incident_monitor.default_destination_ids,
            source_defaults: projects.iter().any(|project| {
                let sources = &project.log_sources;
                !project.default_destination_ids.is_empty()
                    || sources.iter().any(|source| !source.default_destination_ids.is_empty())
            }),
        }
    }

    /// The enabled outside destinations among these, or among the defaults when there are none.
    fn outside<'b>(&self, ids: &'b [String]) -> Vec<&'a DestinationRow>
    where
        'a: 'b,
    {
        let ids = if ids.is_empty() { self.defaults } else { ids };
        let known = ids.iter().filter_map(|id| self.destinations.get(id.trim()));
        known.filter(|row| row.enabled && row.is_external()).copied().collect()
    }

    /// Those that do not exist or are switched off.
    fn dead<'b>(&self, ids: &'b [String]) -> Vec<&'b str> {
        let ids = ids.iter().map(|id| id.trim()).filter(|id| !id.is_empty());
        ids.filter(|id| !self.destinations.get(id).is_some_and(|row| row.enabled)).collect()
    }

    /// What stands before publishing there: nothing, something for high risk, or a person each time.
    fn gate(&self, outside: &[&DestinationRow], route: ApprovalPolicy, source: ApprovalPolicy) -> Gate {
        let config = &self.estate.config;
        let inputs = |high_risk| Inputs {
            high_risk,
            // One destination without its own flag is enough for something to leave unseen.
            destination: outside.iter().all(|row| row.require_approval),
            route,
            source,
            global: config.require_approval_for_new_issues,
            high_risk_default: config.safety_defaults.require_approval_for_high_risk,
        };
        match (approval::required(&inputs(false)), approval::required(&inputs(true))) {
            (true, _) => Gate::Always,
            (false, true) => Gate::HighRisk,
            (false, false) => Gate::Open,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    HighRisk,
    Always,
}

fn policy(route: &RouteRow) -> ApprovalPolicy {
    match route.approval_policy.as_str() {
        "always" => ApprovalPolicy::Always,
        "high_risk" => ApprovalPolicy::HighRisk,
        "never" => ApprovalPolicy::Never,
        _ => ApprovalPolicy::Inherit,
    }
}

fn object(route: &RouteRow) -> AffectedObject {
    AffectedObject::new("incident_monitor_route", route.route_id.clone()).with("name", route.name.clone())
}

fn place(route: &RouteRow, field: &str) -> String {
    format!("inventory.routes[{}].{field}", route.route_id)
}

fn never(map: &Map<'_>, route: &RouteRow, out: &mut Findings) {
    if policy(route) != ApprovalPolicy::Never {
        return;
    }
    let outside = map.outside(&route.destination_ids);
    let open: Vec<&str> =
        outside.iter().filter(|row| !row.require_approval).map(|row| row.destination_id.as_str()).collect();
    let severity = match (open.is_empty(), outside.is_empty()) {
        (false, _) => Severity::High,
        (true, false) => Severity::Medium,
        (true, true) => Severity::Low,
    };
    out.add(ROUTE_NEVER, severity, || New {
        rule_id: ROUTE_NEVER,
        category: "missing_approval",
        severity,
        title: "Route lifts the inherited approval".into(),
        detail: if open.is_empty() {
            format!("Route `{}` says `never`. What it reaches today asks for itself or stays inside.", route.route_id)
        } else {
            format!("Route `{}` says `never`: high risk reaches {} without approval.", route.route_id, listed(&open))
        },
        recommendation: "Let the route inherit, or require approval on its outside destinations.".into(),
        affected: vec![object(route)],
        evidence: vec![path(place(route, "approval_policy")), path(place(route, "destination_ids"))],
        extra: None,
    });
}

fn auto_publish_route(map: &Map<'_>, route: &RouteRow, out: &mut Findings) {
    let outside = map.outside(&route.destination_ids);
    let gate = map.gate(&outside, policy(route), ApprovalPolicy::Inherit);
    let evidence = [place(route, "auto_publish"), place(route, "destination_ids")];
    auto_publish(object(route), &format!("Route `{}`", route.route_id), &outside, gate, evidence, out);
}

fn auto_publish_project(map: &Map<'_>, project: &Project, out: &mut Findings) {
    let outside = map.outside(&project.default_destination_ids);
    let source = if project.require_approval_for_new_issues { ApprovalPolicy::Always } else { project.approval_policy };
    let gate = map.gate(&outside, ApprovalPolicy::Inherit, source);
    let object = AffectedObject::new("monitored_source", project.project_id.clone())
        .with("project_id", project.project_id.clone())
        .with("source_kind", project.source_kind.label());
    let own = format!("inventory.monitored_sources[{}]", project.project_id);
    let evidence = [format!("{own}.auto_publish"), format!("{own}.default_destination_ids")];
    auto_publish(object, &format!("Project `{}`", project.project_id), &outside, gate, evidence, out);
}

fn auto_publish(
    object: AffectedObject,
    who: &str,
    outside: &[&DestinationRow],
    gate: Gate,
    evidence: [String; 2],
    out: &mut Findings,
) {
    let severity = match gate {
        Gate::Open => Severity::High,
        Gate::HighRisk => Severity::Medium,
        Gate::Always => return,
    };
    if outside.is_empty() {
        return;
    }
    out.add(AUTO_PUBLISH, severity, || {
        let ids: Vec<&str> = outside.iter().map(|row| row.destination_id.as_str()).collect();
        let which = if gate == Gate::Open { "everything" } else { "all but high risk" };
        New {
            rule_id: AUTO_PUBLISH,
            category: "unsafe_destination",
            severity,
            title: "Publishes outside by itself".into(),
            detail: format!("{who} publishes {which} to {} as soon as triage has settled.", listed(&ids)),
            recommendation: "Require approval on the route or on its outside destinations, or publish by hand.".into(),
            affected: vec![object],
            evidence: evidence.into_iter().map(path).collect(),
            extra: None,
        }
    });
}

fn shadowed(estate: &Estate, routes: &[RouteRow], out: &mut Findings) {
    let floor = estate.config.safety_defaults.minimum_risk_level.as_deref();
    for (route, by) in shadow::find(routes) {
        let detail = format!(
            "Route `{}` can never win: `{}` comes before it and matches everything that it matches.",
            route.route_id, by.route_id
        );
        never_wins(route, detail, vec![path(place(route, "match")), path(place(by, "match"))], out);
    }
    for route in routes.iter().filter(|route| route.enabled) {
        let levels = &route.matches.risk_levels;
        let below = |floor: &str| levels.iter().all(|level| risk::rank(level) < risk::rank(floor));
        if let Some(floor) = floor.filter(|floor| !levels.is_empty() && below(floor)) {
            let detail = format!(
                "Route `{}` can never win: it matches only risk levels below the floor, which is {floor}.",
                route.route_id
            );
            let floor = path("inventory.incident_monitor.safety_defaults.minimum_risk_level".into());
            never_wins(route, detail, vec![path(place(route, "match.risk_levels")), floor], out);
        }
    }
}

fn never_wins(route: &RouteRow, detail: String, evidence: Vec<crate::finding::EvidenceRef>, out: &mut Findings) {
    out.add(ROUTE_SHADOWED, Severity::Medium, || New {
        rule_id: ROUTE_SHADOWED,
        category: "routing_gap",
        severity: Severity::Medium,
        title: "Route can never win".into(),
        detail,
        recommendation: "Raise its priority, narrow what comes before it, or remove it.".into(),
        affected: vec![object(route)],
        evidence,
        extra: None,
    });
}

fn unreachable(map: &Map<'_>, route: &RouteRow, out: &mut Findings) {
    let own: Vec<&str> = route.destination_ids.iter().map(|id| id.trim()).filter(|id| !id.is_empty()).collect();
    if own.is_empty() {
        let somewhere = !map.defaults.is_empty() || map.source_defaults || map.estate.config.destinations.is_empty();
        if !somewhere {
            let detail = format!("Route `{}` names no destination, and there is no default.", route.route_id);
            leads_nowhere(object(route), Severity::Medium, detail, place(route, "destination_ids"), out);
        }
        return;
    }
    let dead = map.dead(&route.destination_ids);
    if !dead.is_empty() {
        let severity = if dead.len() == own.len() { Severity::Medium } else { Severity::Low };
        let detail =
            format!("Route `{}` sends to {}, which do not exist or are switched off.", route.route_id, listed(&dead));
        leads_nowhere(object(route), severity, detail, place(route, "destination_ids"), out);
    }
}

fn unreachable_defaults(map: &Map<'_>, out: &mut Findings) {
    let dead = map.dead(map.defaults);
    if !dead.is_empty() {
        let severity = if dead.len() == map.defaults.len() { Severity::Medium } else { Severity::Low };
        let detail = format!("The default destinations {} do not exist or are switched off.", listed(&dead));
        let place = "inventory.incident_monitor.default_destination_ids".to_owned();
        leads_nowhere(super::findings::monitor(), severity, detail, place, out);
    }
}

fn leads_nowhere(object: AffectedObject, severity: Severity, detail: String, place: String, out: &mut Findings) {
    out.add(ROUTE_UNREACHABLE, severity, || New {
        rule_id: ROUTE_UNREACHABLE,
        category: "routing_gap",
        severity,
        title: "Route leads nowhere".into(),
        detail,
        recommendation: "Name destinations that exist and are enabled.".into(),
        affected: vec![object],
        evidence: vec![path(place)],
        extra: None,
    });
}
