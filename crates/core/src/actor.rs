//! Who acts. The order is the product's rule: a credential bound to an agent is always that agent; then the control
//! panel is human, an agent header is an agent, a known actor id is human, and anything else is the system.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::tenant::TenantContext;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    Human,
    Agent,
    System,
}

/// An actor as records and audit rows name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActorRef {
    pub kind: ActorKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl ActorRef {
    /// A worker of this server.
    pub fn worker(name: &str) -> Self {
        Self { kind: ActorKind::System, actor_id: None, source: Some(format!("worker:{name}")) }
    }
}

/// What a request claims about its author, beside the credential.
#[derive(Clone, Debug, Default)]
pub struct Claims<'a> {
    /// The agent that the credential is bound to, if any. No header can change it.
    pub bound_agent: Option<&'a str>,
    /// `x-tandem-request-source`.
    pub request_source: Option<&'a str>,
    /// `x-tandem-agent-id`.
    pub agent_id: Option<&'a str>,
    /// `x-tandem-actor-id`, only where the credential may assert actors; else the credential's own actor.
    pub actor_id: Option<&'a str>,
    /// The source when the request names none: `api_token`, `intake_key` or `local_control_panel`.
    pub default_source: &'a str,
}

/// The request says it comes from an agent but names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentIdRequired;

/// Classifies the author of a request.
pub fn classify(claims: &Claims<'_>) -> Result<ActorRef, AgentIdRequired> {
    let source = crate::text::non_blank(claims.request_source).unwrap_or(claims.default_source);
    let named = |kind, id: Option<&str>| ActorRef {
        kind,
        actor_id: id.map(str::to_owned),
        source: Some(crate::text::truncate(source, 120)),
    };
    if let Some(agent) = claims.bound_agent {
        return Ok(named(ActorKind::Agent, Some(agent)));
    }
    let actor = crate::text::non_blank(claims.actor_id);
    if matches!(source, "control_panel" | "local_control_panel") {
        return Ok(named(ActorKind::Human, actor));
    }
    if let Some(agent) = crate::text::non_blank(claims.agent_id) {
        return Ok(named(ActorKind::Agent, Some(agent)));
    }
    if source == "agent" {
        return Err(AgentIdRequired);
    }
    Ok(match actor {
        Some(actor) => named(ActorKind::Human, Some(actor)),
        None => named(ActorKind::System, None),
    })
}

/// In whose name, for whom and when an operation runs. Every use case takes one; every audit row is built from one.
#[derive(Clone, Debug)]
pub struct OpContext {
    pub tenant: TenantContext,
    pub actor: ActorRef,
    pub request_id: String,
    pub now_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_classification() {
        let base = Claims { default_source: "api_token", ..Claims::default() };
        let kind = |claims: Claims<'_>| classify(&claims).map(|actor| (actor.kind, actor.actor_id));
        let cases = [
            (base.clone(), Ok((ActorKind::System, None))),
            (Claims { actor_id: Some("ann"), ..base.clone() }, Ok((ActorKind::Human, Some("ann".into())))),
            (Claims { agent_id: Some("bot"), ..base.clone() }, Ok((ActorKind::Agent, Some("bot".into())))),
            (
                Claims { agent_id: Some("bot"), request_source: Some("control_panel"), ..base.clone() },
                Ok((ActorKind::Human, None)),
            ),
            (
                Claims { bound_agent: Some("own"), request_source: Some("control_panel"), ..base.clone() },
                Ok((ActorKind::Agent, Some("own".into()))),
            ),
            (Claims { request_source: Some("agent"), actor_id: Some("ann"), ..base.clone() }, Err(AgentIdRequired)),
            (Claims { agent_id: Some("  "), ..base.clone() }, Ok((ActorKind::System, None))),
        ];
        for (claims, expected) in cases {
            assert_eq!(kind(claims.clone()), expected, "{claims:?}");
        }
    }
}
