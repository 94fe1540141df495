//! Which routes match, and the words for why.

use super::{Route, context::Context};
use crate::{risk, source::Scope};

/// What routes are matched on, after the risk floor and the source binding.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes<'a> {
    pub event_type: Option<&'a str>,
    pub source: Option<&'a str>,
    pub component: Option<&'a str>,
    pub risk_level: Option<&'a str>,
    pub risk_category: Option<&'a str>,
    pub confidence: Option<&'a str>,
    pub expected_destination: Option<&'a str>,
    pub project_id: Option<&'a str>,
    pub log_source_id: Option<&'a str>,
    pub source_kind: Option<&'a str>,
    pub tenant_id: Option<&'a str>,
    pub workspace_id: Option<&'a str>,
    pub event_schema_version: Option<&'a str>,
    pub route_tags: Vec<&'a str>,
}

impl<'a> Attributes<'a> {
    pub fn of(context: &'a Context<'a>, claims: &'a super::context::Claims<'a>, floor: Option<&'a str>) -> Self {
        let risk_level = match (context.risk_level, floor) {
            (Some(level), floor) => Some(risk::raise(level, floor)),
            (None, Some(floor)) => Some(risk::raise("", Some(floor))).filter(|level| !level.is_empty()),
            (None, None) => None,
        };
        Self {
            event_type: context.event_type,
            source: context.source,
            component: context.component,
            risk_level,
            risk_category: context.risk_category,
            confidence: context.confidence,
            expected_destination: context.expected_destination,
            project_id: claims.project_id,
            log_source_id: claims.log_source_id,
            source_kind: claims.source_kind.map(|kind| kind.label()),
            tenant_id: claims.tenant_id,
            workspace_id: claims.workspace_id,
            event_schema_version: claims.event_schema_version,
            route_tags: claims.route_tags.clone(),
        }
    }

    /// Takes over what the configured source says. Explicit input stays; tags are added.
    pub fn bind(&mut self, scope: &Scope<'a>, context: &Context<'_>, trusted: bool) {
        if trusted {
            let explicit = context.explicit;
            let take = |mine: &mut Option<&'a str>, bound: Option<&'a str>, keep: bool| {
                if !keep && bound.is_some() {
                    *mine = bound;
                }
            };
            take(&mut self.source_kind, Some(scope.source_kind().label()), explicit.source_kind);
            take(&mut self.tenant_id, scope.tenant_id(), explicit.tenant_id);
            take(&mut self.workspace_id, scope.workspace_id(), explicit.workspace_id);
            take(&mut self.event_schema_version, scope.event_schema_version(), explicit.event_schema_version);
        }
        for tag in scope.route_tags() {
            super::context::add_tag(&mut self.route_tags, tag);
        }
    }

    /// The matchers of a route in the order of the reason, with what they are compared to.
    fn pairs<'r>(&self, route: &'r Route) -> [(&'static str, &'r [String], Option<&'a str>); 13] {
        [
            ("event_type", &route.match_event_types, self.event_type),
            ("source", &route.match_sources, self.source),
            ("component", &route.match_components, self.component),
            ("risk_level", &route.match_risk_levels, self.risk_level),
            ("risk_category", &route.match_risk_categories, self.risk_category),
            ("confidence", &route.match_confidence, self.confidence),
            ("expected_destination", &route.match_expected_destinations, self.expected_destination),
            ("project_id", &route.match_project_ids, self.project_id),
            ("log_source_id", &route.match_log_source_ids, self.log_source_id),
            ("source_kind", &route.match_source_kinds, self.source_kind),
            ("tenant_id", &route.match_tenant_ids, self.tenant_id),
            ("workspace_id", &route.match_workspace_ids, self.workspace_id),
            ("event_schema_version", &route.match_event_schema_versions, self.event_schema_version),
        ]
    }

    pub fn matches(&self, route: &Route) -> bool {
        route.enabled
            && self.pairs(route).into_iter().all(|(_, matcher, word)| {
                matcher.is_empty() || word.is_some_and(|word| matcher.iter().any(|m| same(m, word)))
            })
            && (route.match_route_tags.is_empty()
                || route.match_route_tags.iter().any(|m| self.route_tags.iter().any(|tag| same(m, tag))))
    }

    /// `catch_all_route`, or `matched_` and the names of the matchers that were asked.
    pub fn reason(&self, route: &Route) -> String {
        let mut reason = String::from("matched");
        let tags = ("route_tags", route.match_route_tags.as_slice(), None);
        for (name, matcher, _) in self.pairs(route).into_iter().chain([tags]) {
            if !matcher.is_empty() {
                reason.push('_');
                reason.push_str(name);
            }
        }
        if reason == "matched" { "catch_all_route".to_owned() } else { reason }
    }
}

/// Equal without case. A blank matcher equals nothing, since words are never blank.
fn same(matcher: &str, word: &str) -> bool {
    let matcher = matcher.trim();
    matcher.eq_ignore_ascii_case(word)
        || (!(matcher.is_ascii() && word.is_ascii()) && matcher.to_lowercase() == word.to_lowercase())
}
