//! Full tokens: create, list, revoke. A token is told once, to who creates it; afterwards only its hash exists.
//!
//! Rows belong to the tenant whose operator created them. The operator of the implicit tenant sees and revokes all of
//! them, and alone may create tokens for other tenants, and tokens that speak in another person's name.

use tandem_core::{
    actor::OpContext,
    credential::{
        API_TOKENS, ApiToken,
        token::{CreateToken, LISTED, NewToken, RevokeToken},
        token_hash,
    },
    error::{Code, Failure},
    tenant::TenantKey,
};

use crate::{App, store_failure, tenant_of};

/// A token with its last use, to the minute.
pub type Used = (ApiToken, Option<u64>);

impl App {
    /// The tokens that the caller manages, the newest first.
    pub async fn tokens(&self, ctx: &OpContext) -> Result<Vec<Used>, Failure> {
        let mut tokens = Vec::new();
        for tenant in self.managed(ctx).await? {
            for row in self.all::<ApiToken>(&tenant, "created_at_ms", Vec::new(), LISTED).await? {
                tokens.push(self.with_last_token_use(&tenant, row.value).await?);
            }
        }
        tokens.sort_by(|(a, _), (b, _)| (b.created_at_ms, &b.token_id).cmp(&(a.created_at_ms, &a.token_id)));
        Ok(tokens)
    }

    /// Creates the token whose secret is `raw`; it is stored nowhere.
    pub async fn token_create(&self, ctx: &OpContext, new: NewToken, raw: &str) -> Result<ApiToken, Failure> {
        self.decide(ctx, CreateToken { token_id: self.ports.ids.fresh(), token_hash: token_hash(raw), new }).await
    }

    pub async fn token_revoke(&self, ctx: &OpContext, token_id: &str) -> Result<Used, Failure> {
        for tenant in self.managed(ctx).await? {
            if self.load::<ApiToken>(&tenant, token_id).await?.is_none() {
                continue;
            }
            // The row and its audit entry belong to the owner's tenant, also when the implicit one acts.
            let owner = if tenant == ctx.tenant.key() { ctx.tenant.clone() } else { tenant_of(&tenant) };
            let ctx = OpContext { tenant: owner, ..ctx.clone() };
            let token = self.decide(&ctx, RevokeToken { token_id: token_id.to_owned() }).await?;
            return self.with_last_token_use(&tenant, token).await;
        }
        Err(Failure::of(Code::TokenNotFound))
    }

    async fn with_last_token_use(&self, tenant: &TenantKey, token: ApiToken) -> Result<Used, Failure> {
        let used = self.store().last_used(&API_TOKENS, tenant, &token.token_id).await.map_err(store_failure)?;
        Ok((token, used))
    }

    /// Tenants whose tokens the caller manages.
    async fn managed(&self, ctx: &OpContext) -> Result<Vec<TenantKey>, Failure> {
        let own = ctx.tenant.key();
        if !ctx.tenant.is_local_implicit() {
            return Ok(vec![own]);
        }
        let mut tenants = self.store().tenants(&API_TOKENS).await.map_err(store_failure)?;
        if !tenants.contains(&own) {
            tenants.push(own);
        }
        Ok(tenants)
    }
}
