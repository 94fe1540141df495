//! Credentials as they are stored: hashes, never the secret.

pub mod token;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{
    actor::{ActorKind, OpContext},
    record::{Collection, Column, Record},
    tenant::TenantContext,
};

/// A full engine token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApiToken {
    pub token_id: String,
    pub name: String,
    /// SHA-256 of the token, hex. Never on the wire.
    #[schema(ignore)]
    pub token_hash: String,
    pub tenant: TenantContext,
    /// Requests with this token are always this agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The person or service that the token speaks for when the request names nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    /// Whether `x-tandem-actor-id` is believed.
    #[serde(default)]
    pub may_assert_actor: bool,
    pub created_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
}

pub static API_TOKENS: Collection = Collection { name: "api_tokens", columns: &["secret_hash", "created_at_ms"] };

impl Record for ApiToken {
    const COLLECTION: &'static Collection = &API_TOKENS;
    fn id(&self) -> &str {
        &self.token_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.token_hash), Column::ms(self.created_at_ms)]
    }
}

impl ApiToken {
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.revoked_at_ms.is_none() && self.expires_at_ms.is_none_or(|at| now_ms < at)
    }

    /// Whether who makes it may give it the name that it speaks in. In a tenant that a credential names, nobody makes a
    /// second person of themselves: a token there speaks for its maker, for an agent, or for nobody. The operator of the
    /// implicit tenant gives people their names.
    pub fn may_be_made_by(&self, maker: &OpContext) -> bool {
        let own = || maker.actor.kind == ActorKind::Human && self.actor_id == maker.actor.actor_id;
        maker.tenant.is_local_implicit() || (!self.may_assert_actor && (self.actor_id.is_none() || own()))
    }
}

/// A scoped intake key: may report for one project, nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IntakeKey {
    pub key_id: String,
    pub project_id: String,
    pub name: String,
    /// `[redacted]` on the wire, always.
    pub key_hash: String,
    pub enabled: bool,
    pub scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// Reports per minute; absent is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_min: Option<u32>,
}

pub static INTAKE_KEYS: Collection =
    Collection { name: "intake_keys", columns: &["secret_hash", "project_id", "created_at_ms"] };

impl Record for IntakeKey {
    const COLLECTION: &'static Collection = &INTAKE_KEYS;
    fn id(&self) -> &str {
        &self.key_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::text(&self.key_hash),
            Column::text(&self.project_id),
            Column::ms(self.created_at_ms.unwrap_or_default()),
        ]
    }
}

/// The scope that reporting needs, and its name from before the rename.
pub const REPORT_SCOPES: [&str; 2] = ["incident_monitor:report", "bug_monitor:report"];

impl IntakeKey {
    /// Whether the key may report for `project_id` now. All refusals look alike to the caller.
    pub fn admits(&self, project_id: &str, now_ms: u64) -> bool {
        self.enabled
            && self.project_id == project_id
            && self.scopes.iter().any(|scope| REPORT_SCOPES.contains(&scope.as_str()))
            && self.expires_at_ms.is_none_or(|at| now_ms < at)
    }
}

/// SHA-256 of a full token, hex.
pub fn token_hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// SHA-256 of an intake key followed by one zero byte, hex.
pub fn intake_key_hash(raw: &str) -> String {
    crate::publish::digest::h([raw])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::ActorRef;

    #[test]
    fn nobody_in_a_named_tenant_makes_a_second_person_of_themselves() {
        let (local, acme) = (TenantContext::local(), TenantContext::explicit("acme", "main"));
        let (ann, nobody) = ((ActorKind::Human, Some("ann")), (ActorKind::System, None));
        let panel = (ActorKind::Human, None);
        let cases = [
            (&local, nobody, Some("ben"), true, true),
            (&acme, ann, None, false, true),
            (&acme, ann, Some("ann"), false, true),
            (&acme, ann, Some("ben"), false, false),
            (&acme, ann, None, true, false),
            (&acme, ann, Some("ann"), true, false),
            (&acme, nobody, None, false, true),
            (&acme, nobody, Some("ben"), false, false),
            (&acme, panel, Some("ben"), false, false),
            (&acme, (ActorKind::Agent, Some("bot")), Some("bot"), false, false),
        ];
        for (tenant, (kind, id), actor_id, may_assert_actor, expected) in cases {
            let maker = OpContext {
                tenant: tenant.clone(),
                actor: ActorRef { kind, actor_id: id.map(str::to_owned), source: None },
                request_id: "r".into(),
                now_ms: 1,
            };
            let token = ApiToken {
                token_id: "t".into(),
                name: "t".into(),
                token_hash: token_hash("t"),
                tenant: tenant.clone(),
                agent_id: None,
                actor_id: actor_id.map(str::to_owned),
                may_assert_actor,
                created_at_ms: 1,
                expires_at_ms: None,
                revoked_at_ms: None,
            };
            assert_eq!(token.may_be_made_by(&maker), expected, "{maker:?} {actor_id:?} {may_assert_actor}");
        }
    }
}
