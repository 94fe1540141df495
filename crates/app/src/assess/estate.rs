//! The estate of a tenant, loaded for an assessment.

use tandem_core::{
    actor::{ActorKind, OpContext},
    automation::{
        Automation,
        run::{Run, RunStatus},
    },
    credential::ApiToken,
    error::Failure,
    governance::{agent::Agent, approval::Approval, policy::PolicyDecision},
    mcp::ToolRow,
    publish::external_action::ExternalAction,
    record::{Column, Record, Versioned},
    source,
    tenant::TenantKey,
};
use tandem_posture::{
    cards::StoredCard,
    declared::Declared,
    estate::{Estate, Owned},
    inventory::{AuthorityInventory, CAP, Viewer, inventory},
};

use super::Turn;
use crate::{App, tenant_of};

/// Rows of a collection that an assessment reads at most. Beyond it the estate would not fit into an answer either.
const MANY: usize = 200_000;
/// Decisions that metrics look at.
const DECISIONS: usize = 500;

/// Whose requests this caller may see: those of everybody for a person, and for the bare token of the implicit tenant;
/// else the caller's own.
pub fn viewer(ctx: &OpContext) -> Viewer {
    let reviewer = match ctx.actor.kind {
        ActorKind::Human => ctx.tenant.is_local_implicit() || ctx.actor.actor_id.is_some(),
        ActorKind::System => ctx.tenant.is_local_implicit(),
        ActorKind::Agent => false,
    };
    if reviewer {
        return Viewer::Reviewer;
    }
    Viewer::Requester(ctx.actor.actor_id.clone().or_else(|| ctx.actor.source.clone()))
}

impl App {
    /// Everything that is known of the caller's tenant. The implicit tenant sees the rows of all.
    pub async fn estate(&self, turn: &Turn, ctx: &OpContext) -> Result<Estate, Failure> {
        let tenant = ctx.tenant.key();
        let snapshot = self.snapshot(&tenant).await?;
        let config = snapshot.config.clone();
        let view = self.mcp_facts(&tenant, &config).await?;
        let destinations = self.destination_readiness_with(&tenant, &config, &view);
        let (_, watchers) = self.log_watcher(&tenant, &config).await?;
        let live = Some(("state", Automation::LIVE));
        let waiting = vec![("status", Column::text(RunStatus::AwaitingApproval.word()))];
        Ok(Estate {
            tenant: ctx.tenant.clone(),
            now_ms: ctx.now_ms,
            automations: self.everywhere::<Automation>(turn, ctx, "updated_at_ms", live).await?,
            waiting: self.newest_everywhere::<Run>(ctx, "turn", waiting, CAP).await?,
            approvals: self.everywhere::<Approval>(turn, ctx, "updated_at_ms", None).await?,
            decisions: self.newest_everywhere::<PolicyDecision>(ctx, "created_at_ms", Vec::new(), DECISIONS).await?,
            actions: self.newest_everywhere::<ExternalAction>(ctx, "updated_at_ms", Vec::new(), CAP).await?,
            agents: self.everywhere::<Agent>(turn, ctx, "updated_at_ms", None).await?,
            declared: self.everywhere::<Declared>(turn, ctx, "last_seen_at_ms", None).await?,
            keys: self.keys(ctx).await?,
            tokens: self.plain::<ApiToken>(turn, ctx, "created_at_ms").await?.into_iter().map(without_hash).collect(),
            servers: self.mcp_server_rows(&tenant).await?.into_iter().map(|row| row.value).collect(),
            tools: self.plain::<ToolRow>(turn, ctx, "fetched_at_ms").await?,
            sources: source::readiness(&config, &watchers, ctx.now_ms),
            cards: self.everywhere::<StoredCard>(turn, ctx, "updated_at_ms", None).await?,
            integrity: self.integrity(&tenant).await?,
            exported: self.exports_work(&tenant).await?,
            destinations,
            config,
        })
    }

    pub async fn authority_inventory(&self, turn: &Turn, ctx: &OpContext) -> Result<AuthorityInventory, Failure> {
        Ok(inventory(&self.estate(turn, ctx).await?, &viewer(ctx)))
    }

    async fn plain<R: Record>(&self, turn: &Turn, ctx: &OpContext, order: &'static str) -> Result<Vec<R>, Failure> {
        let rows = self.whole::<R>(turn, &ctx.tenant.key(), order, None, MANY).await?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    /// The rows of the caller's tenant, or of all tenants for the implicit one; newest first in each.
    async fn everywhere<R: Record>(
        &self,
        turn: &Turn,
        ctx: &OpContext,
        order: &'static str,
        equals: Option<(&'static str, &str)>,
    ) -> Result<Vec<Owned<R>>, Failure> {
        let mut found = Vec::new();
        for key in self.seen_tenants(ctx, R::COLLECTION).await? {
            let rows = self.whole::<R>(turn, &key, order, equals, MANY).await?;
            found.extend(owned(&key, rows));
        }
        Ok(found)
    }

    /// The same for the newest so many.
    async fn newest_everywhere<R: Record>(
        &self,
        ctx: &OpContext,
        order: &'static str,
        equals: Vec<(&'static str, Column)>,
        limit: usize,
    ) -> Result<Vec<Owned<R>>, Failure> {
        let mut found = Vec::new();
        for key in self.seen_tenants(ctx, R::COLLECTION).await? {
            let rows = self.all::<R>(&key, order, equals.clone(), limit).await?;
            found.extend(owned(&key, rows));
        }
        Ok(found)
    }
}

fn owned<R>(key: &TenantKey, rows: Vec<Versioned<R>>) -> impl Iterator<Item = Owned<R>> {
    let tenant = tenant_of(key);
    rows.into_iter().map(move |row| Owned { tenant: tenant.clone(), value: row.value })
}

fn without_hash(mut token: ApiToken) -> ApiToken {
    token.token_hash.clear();
    token
}
