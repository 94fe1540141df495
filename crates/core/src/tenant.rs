//! Whose rows these are. Every stored row and every query carries a tenant; there is no query without one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a tenant context came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantSource {
    /// The one tenant of a single-tenant install.
    LocalImplicit,
    /// Named by a credential.
    Explicit,
}

/// The tenant on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TenantContext {
    pub org_id: String,
    pub workspace_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    pub source: TenantSource,
}

impl TenantContext {
    /// The implicit tenant of a local install.
    pub fn local() -> Self {
        Self {
            org_id: "local".into(),
            workspace_id: "local".into(),
            deployment_id: None,
            actor_id: None,
            source: TenantSource::LocalImplicit,
        }
    }

    /// A tenant named by a credential.
    pub fn explicit(org_id: impl Into<String>, workspace_id: impl Into<String>) -> Self {
        Self {
            org_id: org_id.into(),
            workspace_id: workspace_id.into(),
            deployment_id: None,
            actor_id: None,
            source: TenantSource::Explicit,
        }
    }

    /// The key under which this tenant's rows are stored: `org/workspace` or `org/workspace/deployment`.
    pub fn key(&self) -> TenantKey {
        TenantKey(match &self.deployment_id {
            Some(deployment) => format!("{}/{}/{deployment}", self.org_id, self.workspace_id),
            None => format!("{}/{}", self.org_id, self.workspace_id),
        })
    }

    /// Only the implicit tenant may look into other tenants' audit logs.
    pub fn is_local_implicit(&self) -> bool {
        self.source == TenantSource::LocalImplicit
    }
}

/// The storage key of a tenant. The parts of a tenant never contain `/`, so keys are unambiguous.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TenantKey(pub String);

impl TenantKey {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A tenant part as callers may name it: 1 to 128 characters of `[A-Za-z0-9._-]`.
pub fn valid_part(part: &str) -> bool {
    (1..=128).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
