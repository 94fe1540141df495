//! Making and revoking full tokens, decided inside the write transaction: how many are active is judged where nobody else
//! can make another one.

use serde_json::{Value, json};

use super::ApiToken;
use crate::{
    actor::OpContext,
    decide::{Ask, Decided, Decision, Desk, PageAsk},
    error::{Code, Failure},
    tenant::{TenantContext, valid_part},
    text::non_blank,
};

/// Active tokens of a tenant at most.
pub const MOST_ACTIVE: usize = 16;
/// Revoked and expired ones are kept for the record; this many of a tenant's tokens are looked at and listed.
pub const LISTED: usize = 500;

/// What a new token is asked to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewToken {
    pub name: String,
    /// Organisation and workspace; the maker's own when absent.
    pub tenant: Option<(String, String)>,
    pub agent_id: Option<String>,
    pub actor_id: Option<String>,
    pub may_assert_actor: bool,
    pub expires_at_ms: Option<u64>,
}

/// Makes a token whose secret the caller has drawn.
#[derive(Debug)]
pub struct CreateToken {
    pub token_id: String,
    pub token_hash: String,
    pub new: NewToken,
}

/// Revokes a token. Revoking a revoked one changes nothing.
#[derive(Debug)]
pub struct RevokeToken {
    pub token_id: String,
}

fn tokens() -> PageAsk {
    PageAsk::of::<ApiToken>("created_at_ms", LISTED)
}

impl Decision for CreateToken {
    type Outcome = ApiToken;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::Page(tokens())]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<ApiToken> {
        let token = self.token(desk.ctx)?;
        let now_ms = desk.now_ms();
        let active = desk.page::<ApiToken>(tokens())?.iter().filter(|token| token.is_live(now_ms)).count();
        if active >= MOST_ACTIVE {
            return Err(Failure::of(Code::TokenLimit).into());
        }
        desk.save(&token);
        desk.audit("auth.token.created", told(&token));
        Ok(token)
    }
}

impl Decision for RevokeToken {
    type Outcome = ApiToken;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<ApiToken>(&self.token_id)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<ApiToken> {
        let Some(mut token) = desk.get::<ApiToken>(&self.token_id)? else {
            return Err(Failure::of(Code::TokenNotFound).into());
        };
        if token.revoked_at_ms.is_none() {
            token.revoked_at_ms = Some(desk.now_ms());
            desk.save(&token);
            desk.audit("auth.token.revoked", told(&token));
        }
        Ok(token)
    }
}

impl CreateToken {
    /// Checks what is asked for and makes the record of it.
    fn token(&self, ctx: &OpContext) -> Result<ApiToken, Failure> {
        let wrong = |why: &str| Err(Failure::new(Code::ValidationFailed, why));
        let new = &self.new;
        let Some(name) = bounded(&new.name) else { return wrong("`name` must have 1 to 120 characters.") };
        let tenant = match &new.tenant {
            None => ctx.tenant.clone(),
            Some((org, workspace)) if !valid_part(org) || !valid_part(workspace) => {
                return wrong("`tenant` parts must have 1 to 128 characters of A-Z a-z 0-9 . _ -");
            }
            Some((org, workspace)) => {
                let named = TenantContext::explicit(org, workspace);
                match (named.key() == ctx.tenant.key(), ctx.tenant.is_local_implicit()) {
                    (true, _) => ctx.tenant.clone(),
                    (false, true) => named,
                    (false, false) => return Err(Failure::of(Code::TenantContextDenied)),
                }
            }
        };
        let (agent_id, actor_id) = (non_blank(new.agent_id.as_deref()), non_blank(new.actor_id.as_deref()));
        if [agent_id, actor_id].into_iter().flatten().any(|id| bounded(id).is_none()) {
            return wrong("`agent_id` and `actor_id` must have at most 120 printable characters.");
        }
        if agent_id.is_some() && (actor_id.is_some() || new.may_assert_actor) {
            return wrong("A token bound to an agent can neither name nor assert another actor.");
        }
        if new.expires_at_ms.is_some_and(|at| at <= ctx.now_ms) {
            return wrong("`expires_at_ms` is in the past.");
        }
        let token = ApiToken {
            token_id: self.token_id.clone(),
            name: name.to_owned(),
            token_hash: self.token_hash.clone(),
            tenant,
            agent_id: agent_id.map(str::to_owned),
            actor_id: actor_id.map(str::to_owned),
            may_assert_actor: new.may_assert_actor,
            created_at_ms: ctx.now_ms,
            expires_at_ms: new.expires_at_ms,
            revoked_at_ms: None,
        };
        if !token.may_be_made_by(ctx) {
            return Err(Failure::new(
                Code::TenantContextDenied,
                "A token of this tenant speaks for nobody, for an agent, or for who creates it.",
            ));
        }
        Ok(token)
    }
}

fn bounded(text: &str) -> Option<&str> {
    non_blank(Some(text)).filter(|text| text.chars().count() <= 120 && !text.chars().any(char::is_control))
}

/// What the audit row says of a token. Its hash stays out: it would let a reader of the log test guesses.
fn told(token: &ApiToken) -> Value {
    json!({
        "token_id": token.token_id,
        "name": token.name,
        "org_id": token.tenant.org_id,
        "workspace_id": token.tenant.workspace_id,
        "agent_id": token.agent_id,
        "actor_id": token.actor_id,
        "may_assert_actor": token.may_assert_actor,
        "expires_at_ms": token.expires_at_ms,
    })
}
