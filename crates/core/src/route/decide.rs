//! The decision: winner, destinations, approval. Borrows from the configuration and copies only what it must, because
//! intake asks it for every signal.

use super::{
    Route,
    context::{Claims, Context, Origin, distinct},
    matching::Attributes,
    preview::Block,
};
use crate::{
    approval::{self, ApprovalPolicy},
    config::Config,
    destination,
    receipt::LEGACY_DESTINATION,
    risk,
    source::Scope,
    wire::wire_enum,
};

wire_enum! {
    /// Why a destination or source stands in the way.
    pub enum BlockCode {
        NoDestination = "no_destination_matched",
        NotAllowed = "destination_not_allowed",
        NotConfigured = "destination_not_configured",
        NotReady = "destination_not_ready",
        ReadinessMissing = "destination_readiness_missing",
        SourceReadinessMissing = "source_readiness_missing",
        SourceNotReady = "source_not_ready",
    }
}

/// What the router decided, before anyone's readiness is known.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// Every matching route, the winner first.
    pub routes: Vec<&'a Route>,
    /// The route whose destinations and policy count; its policy counts under an override too.
    pub winner: Option<&'a Route>,
    /// Destinations were named in the call.
    pub overridden: bool,
    /// Why these destinations: the words of a receipt's `route_match_reason`.
    pub reason: String,
    pub default_destination_ids: Vec<&'a str>,
    pub effective_destination_ids: Vec<&'a str>,
    pub approval_required: bool,
    /// What decided about approval.
    pub approval: approval::Inputs,
    /// An admin asked for publishing without a call, on the winning route or the project.
    pub auto_publish: bool,
    /// The risk level that decided: the floor applied.
    pub risk_level: Option<&'a str>,
    /// Something restricts the destinations of this source.
    pub source_allowlist_enforced: bool,
    /// The project that is believed, and its configuration where it has one.
    pub project_id: Option<&'a str>,
    pub log_source_id: Option<&'a str>,
    pub scope: Option<Scope<'a>>,
    pub(super) attributes: Attributes<'a>,
    pub(super) claims: &'a Claims<'a>,
}

impl<'a> Decision<'a> {
    /// The route to name on receipts: none under an override or when nothing matched.
    pub fn route_id(&self) -> Option<&'a str> {
        self.winner.filter(|_| !self.overridden).map(|route| route.route_id.as_str())
    }

    /// Whether the source may publish to this destination.
    pub fn admits(&self, destination_id: &str) -> bool {
        let recorded = self.claims.allowed;
        (recorded.is_empty() || recorded.iter().any(|id| id.trim() == destination_id))
            && self.scope.is_none_or(|scope| scope.admits(destination_id))
    }

    /// What stands in the way before readiness is asked.
    pub fn blocks(&self, config: &Config) -> Vec<Block> {
        if self.effective_destination_ids.is_empty() {
            return vec![Block::no_destination()];
        }
        self.effective_destination_ids.iter().filter_map(|id| self.block(config, id)).collect()
    }

    pub(super) fn block(&self, config: &Config, id: &str) -> Option<Block> {
        if !self.admits(id) {
            Some(Block::not_allowed(id))
        } else if !destination::exists(config, id) {
            Some(Block::not_configured(id))
        } else {
            None
        }
    }

    /// The approval inputs of one of the matching routes.
    pub(super) fn approval_of(&self, config: &Config, route: Option<&Route>, ids: &[&str]) -> approval::Inputs {
        approval::Inputs {
            destination: ids.iter().any(|id| destination::own_approval_flag(config, id)),
            route: route.map_or(ApprovalPolicy::Inherit, |route| route.approval_policy),
            ..self.approval
        }
    }

    /// Where a route sends.
    pub(super) fn destinations_of(&self, route: &'a Route) -> Vec<&'a str> {
        let own = distinct(&route.destination_ids);
        if own.is_empty() { self.default_destination_ids.clone() } else { own }
    }
}

/// Decides where a draft goes and whether a person must approve.
pub fn decide<'a>(config: &'a Config, context: &'a Context<'a>) -> Decision<'a> {
    let (claims, scope) = believed(config, context);
    let mut attributes = Attributes::of(context, claims, config.safety_defaults.minimum_risk_level.as_deref());
    let policy = source_policy(context.origin, claims.stored_policy, scope.as_ref());
    if let Some(scope) = &scope {
        let trusted = context.origin != Origin::Report || claims.stored_policy == Some(scope.approval_policy());
        attributes.bind(scope, context, trusted);
    }

    let defaults = default_ids(config, claims, scope.as_ref());
    let mut routes: Vec<&Route> = config.routes.iter().filter(|route| attributes.matches(route)).collect();
    routes.sort_by(|a, b| {
        b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)).then_with(|| a.route_id.cmp(&b.route_id))
    });
    let winner = routes.first().copied();
    let overridden = !context.requested.is_empty();
    let (reason, effective) = match winner {
        _ if overridden => ("requested_destination_override".to_owned(), context.requested.clone()),
        None => ("default_destination".to_owned(), defaults.clone()),
        Some(route) => {
            let own = distinct(&route.destination_ids);
            (attributes.reason(route), if own.is_empty() { defaults.clone() } else { own })
        }
    };
    let approval = approval::Inputs {
        high_risk: attributes.risk_level.is_some_and(risk::is_high),
        destination: effective.iter().any(|id| destination::own_approval_flag(config, id)),
        route: winner.map_or(ApprovalPolicy::Inherit, |route| route.approval_policy),
        source: policy,
        global: config.require_approval_for_new_issues,
        high_risk_default: config.safety_defaults.require_approval_for_high_risk,
    };
    Decision {
        winner,
        overridden,
        reason,
        default_destination_ids: defaults,
        effective_destination_ids: effective,
        approval_required: approval::required(&approval),
        approval,
        auto_publish: winner.is_some_and(|route| route.auto_publish)
            || scope.is_some_and(|scope| scope.project.auto_publish),
        risk_level: attributes.risk_level,
        source_allowlist_enforced: !claims.allowed.is_empty() || scope.is_some_and(|scope| scope.restricts()),
        project_id: claims.project_id,
        log_source_id: claims.log_source_id,
        scope,
        routes,
        attributes,
        claims,
    }
}

/// The claims that count, and the configured project they name. A lone report that names a configured project without
/// the policy of a bound one is believed nothing about its source.
fn believed<'a>(config: &'a Config, context: &'a Context<'a>) -> (&'a Claims<'a>, Option<Scope<'a>>) {
    let scope = |claims: &Claims<'_>| Scope::find(config, claims.project_id?, claims.log_source_id);
    let found = scope(&context.claims);
    match &context.without_report {
        Some(remaining) if found.is_some() => (remaining, scope(remaining)),
        Some(_) | None => (&context.claims, found),
    }
}

/// The source's policy as far as it is trusted. Strict policies need no proof. `never` does: the record must carry it,
/// as records that came through the binding do; or nothing but a question is asked.
fn source_policy(origin: Origin, stored: Option<ApprovalPolicy>, scope: Option<&Scope<'_>>) -> ApprovalPolicy {
    use ApprovalPolicy as P;
    let Some(scope) = scope else {
        // The project is no longer configured. What made it strict still holds.
        return match stored {
            Some(strict @ (P::Always | P::HighRisk)) => strict,
            Some(P::Inherit | P::Never) | None => P::Inherit,
        };
    };
    if scope.project.require_approval_for_new_issues {
        return P::Always;
    }
    match scope.approval_policy() {
        P::Never if stored == Some(P::Never) || origin == Origin::Hypothetical => P::Never,
        P::Never => P::Inherit,
        configured @ (P::Always | P::HighRisk | P::Inherit) => configured,
    }
}

/// The source's defaults, else the configured ones, else the implied destination while none is configured.
fn default_ids<'a>(config: &'a Config, claims: &Claims<'a>, scope: Option<&Scope<'a>>) -> Vec<&'a str> {
    let own = match scope {
        Some(scope) => distinct(scope.default_destination_ids()),
        None => distinct(claims.defaults),
    };
    if !own.is_empty() {
        return own;
    }
    let global = distinct(&config.default_destination_ids);
    if global.is_empty() && config.destinations.is_empty() { vec![LEGACY_DESTINATION] } else { global }
}
