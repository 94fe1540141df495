//! From sources through routes to destinations, as the router decides it.
//!
//! Whether a route can win for a source is found by asking: a signal of that source is made to fit the route's matchers,
//! and the router says who wins, where it goes and whether a person must agree. What a reporter may write (event, risk,
//! component, …) is chosen to fit; what the source's binding says is not. Sources that the router cannot tell apart are
//! asked for once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tandem_core::{
    approval::{self, ApprovalPolicy, Inputs},
    config::{Config, LogSource, Project},
    receipt::LEGACY_DESTINATION,
    route::{self, Context, Decision, PreviewInput, Route},
    source::Scope,
};

use super::{
    Kind, LIMITS, Standing,
    build::{DEFAULTS, UNBOUND},
    graph::Graph,
};
use crate::{
    estate::Estate,
    inventory::{Inventory, SourceRow},
};

/// Words of a matcher that are tried.
const TRIED: usize = 4;

/// Adds what can lie on a path between the two ends. Returns whether every question could be put.
pub(super) fn add(
    estate: &Estate,
    sections: &Inventory,
    graph: &mut Graph,
    from: Option<&[usize]>,
    to: Option<&[usize]>,
) -> bool {
    let config = &estate.config;
    let outlets = Outlets::of(config);
    bare_routes(config, &outlets, graph);
    let ahead = from.map(|from| graph.ahead(from));
    let goal = Goal { behind: to.map(|to| graph.behind(to)), any_route: to.is_some_and(|to| is_route(graph, to)) };
    let routes: Vec<&Route> =
        config.routes.iter().filter(|route| route.enabled && goal.wants_route(route, graph)).collect();
    let named = Named::of(config);
    let scopes = Scopes::of(config);
    let mut asker = Asker::of(config);
    let mut classes: HashMap<String, Vec<usize>> = HashMap::new();
    let unbound = graph.known(Kind::Source, UNBOUND).map(|node| (node, None));
    let bound = sections.monitored_sources.iter().filter(|row| row.enabled && !row.paused);
    let bound: Vec<(usize, Option<&SourceRow>)> =
        bound.filter_map(|row| Some((graph.known(Kind::Source, &row.reference())?, Some(row)))).collect();
    for (source, row) in unbound.into_iter().chain(bound) {
        let passed = ahead.as_ref().is_none_or(|ahead| ahead[source]);
        if !passed || !row.is_none_or(|row| goal.admitted(row, graph)) {
            continue;
        }
        let scope = row.and_then(|row| scopes.scope(row));
        let class = scope.as_ref().map_or_else(String::new, |scope| named.class(scope));
        if !classes.contains_key(&class) {
            let won = asker.won(scope.as_ref(), &routes);
            let nodes = won.into_iter().map(|won| follow(won, &outlets, &goal, graph)).collect();
            classes.insert(class.clone(), nodes);
        }
        for route in classes.get(&class).into_iter().flatten() {
            graph.step(source, *route, "incident_monitor.route_preview", Standing::None);
        }
    }
    asker.complete
}

fn is_route(graph: &Graph, ends: &[usize]) -> bool {
    ends.iter().any(|end| graph.nodes[*end].point.kind == Kind::Route)
}

/// Projects and their sources by name: a project may have as many sources as an estate has.
struct Scopes<'a> {
    projects: HashMap<&'a str, &'a Project>,
    sources: HashMap<(&'a str, &'a str), &'a LogSource>,
}

impl<'a> Scopes<'a> {
    fn of(config: &'a Config) -> Self {
        let projects = || config.monitored_projects.iter().map(|project| (project.project_id.as_str(), project));
        let of_project = |(id, project): (&'a str, &'a Project)| {
            project.log_sources.iter().map(move |source| ((id, source.source_id.as_str()), source))
        };
        Self { projects: projects().collect(), sources: projects().flat_map(of_project).collect() }
    }

    fn scope(&self, row: &SourceRow) -> Option<Scope<'a>> {
        let project = *self.projects.get(row.project_id.as_str())?;
        let source = row.source_id.as_ref().and_then(|id| self.sources.get(&(row.project_id.as_str(), id.as_str())));
        Some(Scope { project, source: source.copied() })
    }
}

/// Where the question goes, as far as that is known before the router was asked.
struct Goal {
    /// Points that lead there; none when everything is asked for.
    behind: Option<Vec<bool>>,
    /// It is a route: where that sends does not matter.
    any_route: bool,
}

impl Goal {
    fn leads(&self, node: usize) -> bool {
        self.behind.as_ref().is_none_or(|behind| behind.get(node).copied().unwrap_or(false))
    }

    /// Routes without destinations go wherever the defaults of a source lead.
    fn wants_route(&self, route: &Route, graph: &Graph) -> bool {
        graph
            .known(Kind::Route, &route.route_id)
            .is_some_and(|node| self.leads(node) || (!self.any_route && route.destination_ids.is_empty()))
    }

    /// Whether a source may send to anything that leads there.
    fn admitted(&self, row: &SourceRow, graph: &Graph) -> bool {
        let leads = |id: &String| graph.known(Kind::Destination, id).is_some_and(|node| self.leads(node));
        self.any_route || row.allowed_destination_ids.is_empty() || row.allowed_destination_ids.iter().any(leads)
    }
}

/// Destinations that take something, and whether they ask for approval themselves.
struct Outlets<'a> {
    flags: HashMap<&'a str, bool>,
    implied: bool,
}

impl<'a> Outlets<'a> {
    fn of(config: &'a Config) -> Self {
        let enabled = config.destinations.iter().filter(|destination| destination.enabled);
        Self {
            flags: enabled.map(|d| (d.destination_id.as_str(), d.require_approval)).collect(),
            implied: config.destinations.is_empty() && config.enabled,
        }
    }

    fn takes(&self, id: &str) -> bool {
        self.flags.contains_key(id) || (self.implied && id == LEGACY_DESTINATION)
    }

    /// Adds the steps from a route to where it sends.
    fn send(&self, from: usize, route: &str, ids: &[&str], approval: Standing, by_itself: bool, graph: &mut Graph) {
        let note = if by_itself { "published by itself" } else { "published by a call" };
        let why: Arc<str> = match route {
            DEFAULTS => "inventory.incident_monitor.default_destination_ids".into(),
            route => format!("inventory.routes[{route}].destination_ids").into(),
        };
        for id in ids.iter().filter(|id| self.takes(id)) {
            if let Some(to) = graph.known(Kind::Destination, id) {
                graph.noted(from, to, Arc::clone(&why), approval, Some(note));
            }
        }
    }
}

/// Routes on their own: where they send, whoever asks.
fn bare_routes(config: &Config, outlets: &Outlets<'_>, graph: &mut Graph) {
    for route in config.routes.iter().filter(|route| route.enabled) {
        let Some(node) = graph.known(Kind::Route, &route.route_id) else { continue };
        let ids =
            if route.destination_ids.is_empty() { &config.default_destination_ids } else { &route.destination_ids };
        let ids: Vec<&str> = ids.iter().map(|id| id.trim()).collect();
        let required = |high_risk| {
            approval::required(&Inputs {
                high_risk,
                destination: ids.iter().any(|id| outlets.flags.get(id) == Some(&true)),
                route: route.approval_policy,
                source: ApprovalPolicy::Inherit,
                global: config.require_approval_for_new_issues,
                high_risk_default: config.safety_defaults.require_approval_for_high_risk,
            })
        };
        let approval = match (required(false), required(true)) {
            (true, true) => Standing::Required,
            (false, false) => Standing::None,
            (true, false) | (false, true) => Standing::Conditional,
        };
        outlets.send(node, &route.route_id, &ids, approval, route.auto_publish, graph);
    }
}

/// A route that can win for a source, and what the router said then.
struct Won {
    route: Option<String>,
    destinations: Vec<String>,
    approval: Standing,
    auto_publish: bool,
}

/// Adds the route as this source meets it.
fn follow(won: Won, outlets: &Outlets<'_>, goal: &Goal, graph: &mut Graph) -> usize {
    let name = won.route.as_deref().unwrap_or(DEFAULTS);
    let place = match &won.route {
        Some(route) => format!("inventory.routes[{route}].match"),
        None => "inventory.incident_monitor.default_destination_ids".to_owned(),
    };
    let node = graph.copy(Kind::Route, name, place);
    let leads = |id: &&str| graph.known(Kind::Destination, id).is_some_and(|node| goal.leads(node));
    let ids: Vec<&str> = won.destinations.iter().map(String::as_str).filter(leads).collect();
    outlets.send(node, name, &ids, won.approval, won.auto_publish, graph);
    node
}

/// Words of the routes, by which sources are told apart.
struct Named {
    projects: HashSet<String>,
    sources: HashSet<String>,
}

impl Named {
    fn of(config: &Config) -> Self {
        let words = |list: fn(&Route) -> &Vec<String>| {
            let enabled = config.routes.iter().filter(|route| route.enabled);
            enabled.flat_map(list).map(|word| word.trim().to_lowercase()).collect()
        };
        Self { projects: words(|r| &r.match_project_ids), sources: words(|r| &r.match_log_source_ids) }
    }

    /// Everything about a source that a decision may depend on. Ids count only where a route asks for them.
    fn class(&self, scope: &Scope<'_>) -> String {
        let asked = |set: &HashSet<String>, id: &str| {
            let id = id.to_lowercase();
            if set.contains(&id) { id } else { String::new() }
        };
        let mut parts = vec![
            asked(&self.projects, &scope.project.project_id),
            scope.source.map_or_else(String::new, |source| asked(&self.sources, &source.source_id)),
            scope.source_kind().label().to_owned(),
            scope.tenant_id().unwrap_or_default().to_owned(),
            scope.workspace_id().unwrap_or_default().to_owned(),
            scope.event_schema_version().unwrap_or_default().to_owned(),
            format!("{:?}", scope.approval_policy()),
            format!("{} {}", scope.project.require_approval_for_new_issues, scope.project.auto_publish),
            scope.restricts().to_string(),
        ];
        let mut tags: Vec<String> = scope.route_tags().map(str::to_lowercase).collect();
        tags.sort_unstable();
        parts.push(tags.join("\u{1}"));
        parts.push(scope.allowed_destination_ids().join("\u{1}"));
        parts.push(scope.default_destination_ids().join("\u{1}"));
        parts.join("\u{0}")
    }
}

/// Puts questions to the router, as many as there may be.
struct Asker {
    /// The configuration with the one project and the one source that are asked for, so that a question costs no search
    /// among all.
    config: Config,
    left: usize,
    complete: bool,
}

impl Asker {
    fn of(config: &Config) -> Self {
        let config = Config {
            enabled: config.enabled,
            repo: config.repo.clone(),
            require_approval_for_new_issues: config.require_approval_for_new_issues,
            destinations: config.destinations.clone(),
            routes: config.routes.clone(),
            default_destination_ids: config.default_destination_ids.clone(),
            safety_defaults: config.safety_defaults.clone(),
            ..Config::default()
        };
        Self { config, left: LIMITS.routing_decisions, complete: true }
    }

    /// Sources come project by project, so a project is copied once and not for each of its sources.
    fn turn_to(&mut self, scope: Option<&Scope<'_>>) {
        let held = &mut self.config.monitored_projects;
        let Some(scope) = scope else { return held.clear() };
        if held.first().is_none_or(|project| project.project_id != scope.project.project_id) {
            *held = vec![scope.project.clone()];
        }
        for project in held {
            project.log_sources = scope.source.cloned().into_iter().collect();
        }
    }

    /// The routes that can win for a source, and the defaults where none does.
    fn won(&mut self, scope: Option<&Scope<'_>>, routes: &[&Route]) -> Vec<Won> {
        self.turn_to(scope);
        let plain = PreviewInput {
            project_id: scope.map(|scope| scope.project.project_id.clone()),
            log_source_id: scope.and_then(|scope| scope.source).map(|source| source.source_id.clone()),
            ..PreviewInput::default()
        };
        // Routes for other projects are not worth a question.
        let own = |list: &[String], id: Option<&String>| {
            list.is_empty() || id.is_some_and(|id| list.iter().any(|word| word.trim().eq_ignore_ascii_case(id)))
        };
        let mine = routes.iter().filter(|route| own(&route.match_project_ids, plain.project_id.as_ref()));
        let mut won: Vec<Won> = mine.filter_map(|route| self.wins(&plain, route)).collect();
        // A signal that nothing is written for.
        won.extend(self.at_risks(&plain, None));
        won
    }

    fn wins(&mut self, plain: &PreviewInput, route: &Route) -> Option<Won> {
        let longest = matchers(route).into_iter().map(<[String]>::len).max().unwrap_or(0);
        (0..longest.clamp(1, TRIED)).find_map(|turn| {
            let input = fitting(plain, route, turn);
            self.at_risks(&input, Some(route))
        })
    }

    /// What the router says for high and for low risk, where the route leaves that open; `None` when another wins.
    fn at_risks(&mut self, input: &PreviewInput, route: Option<&Route>) -> Option<Won> {
        let levels: Vec<String> = match route.map(|route| &route.match_risk_levels) {
            Some(levels) if !levels.is_empty() => levels.iter().take(TRIED).cloned().collect(),
            Some(_) | None => vec!["low".into(), "high".into()],
        };
        let mut found: Option<Won> = None;
        for level in levels {
            let input = PreviewInput { risk_level: Some(level), ..input.clone() };
            let Some(this) = self.ask(&input, route) else { continue };
            match &mut found {
                None => found = Some(this),
                Some(known) => {
                    known.approval =
                        if known.approval == this.approval { this.approval } else { Standing::Conditional };
                    known.destinations.extend(this.destinations);
                }
            }
        }
        if let Some(found) = &mut found {
            found.destinations.sort_unstable();
            found.destinations.dedup();
        }
        found
    }

    fn ask(&mut self, input: &PreviewInput, route: Option<&Route>) -> Option<Won> {
        if self.left == 0 {
            self.complete = false;
            return None;
        }
        self.left -= 1;
        let context = Context::from_parts(input, None, None, None);
        let decision: Decision<'_> = route::decide(&self.config, &context);
        let winner = decision.winner.map(|winner| winner.route_id.as_str());
        if winner != route.map(|route| route.route_id.as_str()) {
            return None;
        }
        let ids = decision.effective_destination_ids.iter().filter(|id| decision.admits(id));
        Some(Won {
            route: winner.map(str::to_owned),
            destinations: ids.map(|id| (*id).to_owned()).collect(),
            approval: if decision.approval_required { Standing::Required } else { Standing::None },
            auto_publish: decision.auto_publish,
        })
    }
}

fn matchers(route: &Route) -> [&[String]; 7] {
    [
        &route.match_event_types,
        &route.match_sources,
        &route.match_components,
        &route.match_risk_categories,
        &route.match_confidence,
        &route.match_expected_destinations,
        &route.match_risk_levels,
    ]
}

/// A signal that has what the route asks a reporter for. What the binding says is left to it.
fn fitting(plain: &PreviewInput, route: &Route, turn: usize) -> PreviewInput {
    let word = |list: &[String]| list.get(turn.min(list.len().saturating_sub(1))).cloned();
    PreviewInput {
        event_type: word(&route.match_event_types),
        source: word(&route.match_sources),
        component: word(&route.match_components),
        risk_category: word(&route.match_risk_categories),
        confidence: word(&route.match_confidence),
        expected_destination: word(&route.match_expected_destinations),
        ..plain.clone()
    }
}
