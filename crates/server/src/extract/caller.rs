//! Permissions as parameter types. The gate identified the [`Caller`]; each type here asks something of it and carries
//! the [`OpContext`] in whose name the use case runs.

use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};
use tandem_core::{
    actor::{ActorKind, ActorRef, Claims, OpContext, classify},
    credential::ApiToken,
    error::{Code, Failure},
    ports::Secret,
    tenant::TenantContext,
};

use super::carriers;
use crate::http::answer::ApiError;

/// What the request was let through with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The token that the server was started with.
    Boot,
    Named(Arc<ApiToken>),
    /// No token, on a server that asks for none.
    LocalPanel,
    /// Nothing: a public path, or the intake path, whose handler checks the key.
    None,
    /// A scoped intake key that a probe shows to a handler past the gate, to see it refused. No handler runs with it:
    /// what would let it in ends the request instead.
    DryRunKey,
}

/// The status of a request that a dry run ended before its handler; no refusal has it.
pub const DRY_RUN_ENDED: u16 = 418;

/// The gate's findings about a request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub credential: Credential,
    pub tenant: TenantContext,
    pub request_id: Arc<str>,
    pub now_ms: u64,
    pub asserts_actor: bool,
}

impl Caller {
    fn context(&self, actor: ActorRef) -> OpContext {
        OpContext {
            tenant: self.tenant.clone(),
            actor,
            request_id: self.request_id.as_ref().to_owned(),
            now_ms: self.now_ms,
        }
    }

    /// The person whose name is believed: the one that the request names, where the credential may assert people, else
    /// the credential's own. Also where an agent acts, and so is the author.
    pub(super) fn person<'a>(&'a self, parts: &'a Parts) -> Result<Option<&'a str>, Failure> {
        let own = match &self.credential {
            Credential::Named(token) => token.actor_id.as_deref(),
            Credential::Boot | Credential::LocalPanel | Credential::None | Credential::DryRunKey => None,
        };
        Ok(carriers::said(&parts.headers)?.actor_id.filter(|_| self.asserts_actor).or(own))
    }

    /// The author of a request with a full token.
    fn author(&self, parts: &Parts) -> Result<ActorRef, Failure> {
        let said = carriers::said(&parts.headers)?;
        let (bound, source) = match &self.credential {
            Credential::Boot => (None, "api_token"),
            Credential::Named(token) => (token.agent_id.as_deref(), "api_token"),
            // An agent that says so stays one, also where the absence of a token would mean the person at the panel.
            Credential::LocalPanel if said.agent_id.is_some() => (None, "local"),
            Credential::LocalPanel => (None, "local_control_panel"),
            Credential::None | Credential::DryRunKey => return Err(Failure::of(Code::AuthRequired)),
        };
        let claims = Claims {
            bound_agent: bound,
            request_source: said.request_source,
            agent_id: said.agent_id,
            actor_id: self.person(parts)?,
            default_source: source,
        };
        classify(&claims).map_err(|_| Failure::of(Code::AgentIdRequired))
    }
}

/// The caller of a handler that asks for no full token.
fn any_caller(parts: &Parts) -> Result<&Caller, ApiError> {
    let caller = caller(parts)?;
    match caller.credential {
        Credential::DryRunKey => Err(ApiError::unreadable(DRY_RUN_ENDED, "A dry run ends here.")),
        Credential::Boot | Credential::Named(_) | Credential::LocalPanel | Credential::None => Ok(caller),
    }
}

fn caller(parts: &Parts) -> Result<&Caller, ApiError> {
    // Absent only where a router is served without its gate, and then nobody has been identified.
    parts.extensions.get::<Caller>().ok_or_else(|| ApiError::of(Code::AuthRequired))
}

fn key_refused(parts: &Parts) -> Option<Code> {
    carriers::intake_key_header(&parts.headers).map(|_| refusal_of_keys(parts.uri.path()))
}

/// What an intake key is told at a door that it does not open.
pub fn refusal_of_keys(path: &str) -> Code {
    let area = path.strip_prefix("/incident-monitor/security/").map(|rest| rest.split('/').next().unwrap_or_default());
    match area {
        Some("assessment-probes") => Code::AssessmentProbesAdminRequired,
        Some("assessment-report") => Code::AssessmentReportAdminRequired,
        Some("deployment-cards") => Code::DeploymentCardsAdminRequired,
        Some("scenario-packs" | "governance-metrics" | "reassessments") => Code::ScenarioPacksAdminRequired,
        None if path.starts_with("/audit/") => Code::AuditAdminRequired,
        Some(_) | None => Code::SecurityAdminRequired,
    }
}

/// A full token (or the local panel of a server without tokens).
#[derive(Clone, Debug)]
pub struct Operator {
    pub ctx: OpContext,
    /// An intake key came along, and what it is told. Routes for administrators refuse then, whatever else was presented.
    pub key_refused: Option<Code>,
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = caller(parts)?;
        let ctx = caller.context(caller.author(parts)?);
        Ok(Self { ctx, key_refused: key_refused(parts) })
    }
}

/// The author of something new. Where the request says that it comes from an agent and names none, an agent without a
/// name: governance refuses it, and records that it did.
#[derive(Clone, Debug)]
pub struct Author(pub Operator);

impl<S: Sync> FromRequestParts<S> for Author {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = caller(parts)?;
        let actor = match caller.author(parts) {
            Err(failure) if failure.code == Code::AgentIdRequired => {
                ActorRef { kind: ActorKind::Agent, actor_id: None, source: Some("agent".into()) }
            }
            classified => classified?,
        };
        Ok(Self(Operator { ctx: caller.context(actor), key_refused: key_refused(parts) }))
    }
}

/// An [`Operator`] who may decide: a person or the bare token, never an agent.
#[derive(Clone, Debug)]
pub struct Decider(pub Operator);

impl<S: Sync> FromRequestParts<S> for Decider {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let operator = Operator::from_request_parts(parts, state).await?;
        match operator.ctx.actor.kind {
            ActorKind::Human | ActorKind::System => Ok(Self(operator)),
            ActorKind::Agent => Err(ApiError::of(Code::HumanRequired)),
        }
    }
}

/// Whoever presents an intake key, unchecked: the use case looks the key up and knows what it opens. The context names
/// the implicit tenant and the system until it does. A full token is not looked at, so it cannot stand in for a key.
#[derive(Clone, Debug)]
pub struct IntakeAuth {
    pub ctx: OpContext,
    pub key: Option<Secret>,
}

impl<S: Sync> FromRequestParts<S> for IntakeAuth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = any_caller(parts)?;
        let actor = ActorRef { kind: ActorKind::System, actor_id: None, source: Some("intake_key".into()) };
        // A value that is not text cannot be a key; it stays a presented one, so the refusal is "invalid".
        let key = carriers::intake_key(&parts.headers)
            .map(|bytes| Secret::new(std::str::from_utf8(bytes).ok().filter(|key| key.len() <= 4096).unwrap_or("?")));
        Ok(Self { ctx: caller.context(actor), key })
    }
}

/// Everyone whom the gate let through: strangers on public paths, full tokens elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Anyone;

impl<S: Sync> FromRequestParts<S> for Anyone {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        any_caller(parts).map(|_| Self)
    }
}
