//! What a scenario is tried for: one case, or one for each object that its selector finds.

use tandem_core::{
    config::{LogSource, Project},
    route::Route,
    source::{Scope, SourceKind},
    tenant::TenantContext,
};

use super::{Expect, Scenario, ScenarioInput, Selector};
use crate::{estate::Estate, probes::external_destinations};

/// Cases of one scenario at most.
pub(super) const MOST_CASES: usize = 500;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Case {
    /// What it is about; `None` for the scenario itself.
    pub id: Option<String>,
    pub input: ScenarioInput,
    pub expect: Expect,
}

/// What the placeholders stand for.
#[derive(Clone, Copy, Default)]
struct Names<'a> {
    destination: Option<&'a str>,
    project: Option<&'a str>,
    source: Option<&'a str>,
    route: Option<&'a str>,
}

pub(super) fn cases(estate: &Estate, scenario: &Scenario) -> Vec<Case> {
    let Some(selector) = scenario.for_each else {
        return vec![Case { id: None, input: scenario.input.clone(), expect: scenario.expect.clone() }];
    };
    let mut all = Vec::new();
    let mut add = |id: String, names: Names<'_>, route: Option<&Route>| {
        let mut case = filled(scenario, names);
        if let Some(route) = route {
            matched(&mut case.input, route, selector == Selector::TenantDestination);
        }
        all.push(Case { id: Some(id), ..case });
        all.len() < MOST_CASES
    };
    match selector {
        Selector::ExternalDestination => {
            for destination in external_destinations(estate) {
                let id = destination.destination_id;
                if !add(id.clone(), Names { destination: Some(&id), ..Names::default() }, None) {
                    break;
                }
            }
        }
        Selector::UnreadyDestination => {
            let unready =
                |id: &str| estate.destinations.iter().any(|row| row.destination_id == id && !row.publish_ready);
            for destination in external_destinations(estate) {
                let id = destination.destination_id;
                if unready(&id) && !add(id.clone(), Names { destination: Some(&id), ..Names::default() }, None) {
                    break;
                }
            }
        }
        Selector::MonitoredSource => {
            for scope in sources(estate) {
                if !add(reference(scope), of_source(scope), None) {
                    break;
                }
            }
        }
        Selector::ForeignDestination => {
            let destinations = external_destinations(estate);
            'sources: for scope in sources(estate) {
                let own = own_destinations(estate, scope);
                for id in destinations.iter().map(|destination| destination.destination_id.as_str()) {
                    let names = Names { destination: Some(id), ..of_source(scope) };
                    if !own.contains(&id) && !add(format!("{}:{id}", reference(scope)), names, None) {
                        break 'sources;
                    }
                }
            }
        }
        Selector::Route => {
            for route in routes(estate) {
                let names = Names { route: Some(&route.route_id), ..Names::default() };
                if !add(route.route_id.clone(), names, Some(route)) {
                    break;
                }
            }
        }
        Selector::TenantDestination => {
            'destinations: for id in tenant_destinations(estate) {
                let names = Names { destination: Some(id), ..Names::default() };
                if !add(id.to_owned(), names, None) {
                    break;
                }
                for route in routes(estate).filter(|route| leads_to(route, id)) {
                    let names = Names { route: Some(&route.route_id), ..names };
                    if !add(format!("{id}:{}", route.route_id), names, Some(route)) {
                        break 'destinations;
                    }
                }
            }
        }
    }
    all
}

fn routes(estate: &Estate) -> impl Iterator<Item = &Route> {
    estate.config.routes.iter().filter(|route| route.enabled && sees_route(&estate.tenant, route))
}

fn sees_route(tenant: &TenantContext, route: &Route) -> bool {
    let open = |list: &[String], own: &str| list.is_empty() || list.iter().any(|id| id == own);
    tenant.is_local_implicit()
        || (open(&route.match_tenant_ids, &tenant.org_id) && open(&route.match_workspace_ids, &tenant.workspace_id))
}

/// Enabled projects and log sources that the caller sees.
fn sources(estate: &Estate) -> impl Iterator<Item = Scope<'_>> {
    let tenant = &estate.tenant;
    let visible = |scope: &Scope<'_>| {
        let own = |id: Option<&str>, wanted: &str| id.is_none_or(|id| id == wanted);
        tenant.is_local_implicit()
            || (own(scope.tenant_id(), &tenant.org_id) && own(scope.workspace_id(), &tenant.workspace_id))
    };
    let projects = estate.config.monitored_projects.iter().filter(|project| project.enabled && !project.paused);
    projects.flat_map(scopes_of).filter(visible)
}

/// A project, then those of its log sources that are read.
fn scopes_of(project: &Project) -> impl Iterator<Item = Scope<'_>> {
    let read = |source: &&LogSource| source.enabled && !source.paused;
    let logs = project.log_sources.iter().filter(read);
    std::iter::once(Scope { project, source: None })
        .chain(logs.map(move |source| Scope { project, source: Some(source) }))
}

fn reference(scope: Scope<'_>) -> String {
    match scope.source {
        Some(source) => format!("{}/{}", scope.project.project_id, source.source_id),
        None => scope.project.project_id.clone(),
    }
}

fn of_source(scope: Scope<'_>) -> Names<'_> {
    Names {
        project: Some(&scope.project.project_id),
        source: scope.source.map(|source| source.source_id.as_str()),
        ..Names::default()
    }
}

/// Destinations that a source has business with: its lists, and where routes that name its project lead.
fn own_destinations<'a>(estate: &'a Estate, scope: Scope<'a>) -> Vec<&'a str> {
    let lists = [
        Some(&scope.project.allowed_destination_ids),
        Some(&scope.project.default_destination_ids),
        scope.source.map(|source| &source.allowed_destination_ids),
        scope.source.map(|source| &source.default_destination_ids),
    ];
    let listed = lists.into_iter().flatten().flatten().map(String::as_str);
    let project = &scope.project.project_id;
    let named = |route: &&Route| route.match_project_ids.iter().any(|id| id.eq_ignore_ascii_case(project));
    let routed = routes(estate).filter(named).flat_map(|route| &route.destination_ids).map(String::as_str);
    listed.chain(routed).collect()
}

/// Destinations in the lists of sources that belong to a tenant.
fn tenant_destinations(estate: &Estate) -> Vec<&str> {
    let mut ids: Vec<&str> = sources(estate)
        .filter(|scope| tandem_core::text::non_blank(scope.tenant_id()).is_some_and(|id| id != "local"))
        .flat_map(|scope| scope.project.allowed_destination_ids.iter().chain(scope.default_destination_ids()))
        .map(String::as_str)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn leads_to(route: &Route, destination_id: &str) -> bool {
    route.destination_ids.iter().any(|id| id == destination_id)
}

/// The scenario with names in the place of its placeholders. A value that is nothing but a placeholder without a name is
/// left out.
fn filled(scenario: &Scenario, names: Names<'_>) -> Case {
    let mut case = Case { id: None, input: scenario.input.clone(), expect: scenario.expect.clone() };
    let input = &mut case.input;
    let options = [
        &mut input.source,
        &mut input.component,
        &mut input.event_type,
        &mut input.risk_category,
        &mut input.tenant_id,
        &mut input.workspace_id,
        &mut input.project_id,
        &mut input.log_source_id,
        &mut input.expected_destination,
        &mut input.title,
        &mut input.detail,
        &mut case.expect.effective_destination_id,
        &mut case.expect.not_effective_destination_id,
    ];
    for option in options {
        if let Some(text) = option {
            *option = fill(text, names);
        }
    }
    for list in [&mut input.requested_destination_ids, &mut input.route_tags] {
        *list = list.iter().filter_map(|text| fill(text, names)).collect();
    }
    case
}

fn fill(text: &str, names: Names<'_>) -> Option<String> {
    let all = [
        ("{destination_id}", names.destination),
        ("{project_id}", names.project),
        ("{log_source_id}", names.source),
        ("{route_id}", names.route),
    ];
    let mut out = text.to_owned();
    for (placeholder, name) in all {
        match name {
            None if text == placeholder => return None,
            _ if out.contains(placeholder) => out = out.replace(placeholder, name.unwrap_or_default()),
            Some(_) | None => {}
        }
    }
    Some(out)
}

/// Makes the event one that the route matches. Its risk level stays: that is what the scenario is about. So does a tenant
/// that is forged.
fn matched(input: &mut ScenarioInput, route: &Route, forged: bool) {
    let set = |field: &mut Option<String>, list: &[String]| {
        if let Some(first) = list.first() {
            *field = Some(first.clone());
        }
    };
    set(&mut input.event_type, &route.match_event_types);
    set(&mut input.source, &route.match_sources);
    set(&mut input.component, &route.match_components);
    set(&mut input.risk_category, &route.match_risk_categories);
    set(&mut input.confidence, &route.match_confidence);
    set(&mut input.expected_destination, &route.match_expected_destinations);
    if let Some(kind) = route.match_source_kinds.first() {
        input.source_kind = serde_json::from_value::<SourceKind>(kind.as_str().into()).ok();
    }
    input.route_tags.extend(route.match_route_tags.iter().cloned());
    if !forged {
        set(&mut input.project_id, &route.match_project_ids);
        set(&mut input.log_source_id, &route.match_log_source_ids);
        set(&mut input.tenant_id, &route.match_tenant_ids);
        set(&mut input.workspace_id, &route.match_workspace_ids);
    }
}
