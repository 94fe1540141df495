//! Connecting, refreshing and looking after connections.
//!
//! What an attempt brought is one commit: the server's row, its tools, and a row of the log for what changed. An attempt
//! that changed nothing writes nothing. A connection that is wanted is made again, later and later; one that stands is
//! asked now and then what it offers, because a description that changes unnoticed is how a tool turns on its callers.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use futures_util::{StreamExt, stream};
use serde_json::json;
use tandem_core::{
    actor::OpContext,
    error::{Code, Failure},
    mcp::{Listing, MCP_SERVERS, ServerRow, ServerView, ToolError, ToolFault, ToolRow, listing},
    record::{Commit, Expect, Put, Record, Versioned, Write},
    tenant::TenantKey,
};
use tandem_posture::reassess::Trigger;

use super::mcp_key;
use crate::{App, decide_again, store_failure};

/// How often a standing connection is asked what it offers.
const REFRESH_MS: u64 = 10 * 60_000;
/// Servers that are dialled at once by the worker.
const AT_ONCE: usize = 4;

/// What this process knows of a server's connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// When the server was last asked what it offers.
    asked_ms: u64,
    /// The connection on which it answered, once the answer is stored.
    listed: Option<u64>,
}

/// By server. The locks let one at a time ask.
#[derive(Default)]
pub(crate) struct Asked {
    known: std::sync::Mutex<HashMap<String, Known>>,
    turns: std::sync::Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Asked {
    fn of(&self, key: &str) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied().unwrap_or_default()
    }

    fn note(&self, key: &str, known: Known) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), known);
    }

    fn turn(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(key.to_owned()).or_default())
    }
}

impl App {
    /// Connects now and keeps the connection up from now on. `Err` of the inner result says why there is none yet.
    pub async fn mcp_connect(
        &self,
        ctx: &OpContext,
        name: &str,
    ) -> Result<(ServerView, Result<(), ToolError>), Failure> {
        let tenant = ctx.tenant.key();
        let row = self.mcp_want(ctx, name, true).await?;
        if !row.enabled {
            return Err(Failure::of(Code::McpRequestDenied).with("detail", "the server is disabled"));
        }
        let result = self.mcp_ask(ctx, &tenant, &row).await?;
        Ok((self.mcp_view(ctx, name).await?, result))
    }

    /// Ends the connection and leaves it ended.
    pub async fn mcp_disconnect(&self, ctx: &OpContext, name: &str) -> Result<ServerView, Failure> {
        self.mcp_want(ctx, name, false).await?;
        self.ports.mcp.close(&mcp_key(&ctx.tenant.key(), name)).await;
        self.mcp_view(ctx, name).await
    }

    /// Asks the server again what it offers. Asking needs a connection, so one is wanted from now on.
    pub async fn mcp_refresh(&self, ctx: &OpContext, name: &str) -> Result<ServerView, Failure> {
        let tenant = ctx.tenant.key();
        let row = self.mcp_want(ctx, name, true).await?;
        if !row.enabled {
            return Err(Failure::of(Code::McpRequestDenied).with("detail", "the server is disabled"));
        }
        if let Err(error) = self.mcp_ask(ctx, &tenant, &row).await? {
            let failure = Failure::of(Code::McpRefreshFailed).with("detail", error.detail.clone());
            return Err(failure.with("error_code", error.fault.word()));
        }
        self.mcp_view(ctx, name).await
    }

    async fn mcp_want(&self, ctx: &OpContext, name: &str, wanted: bool) -> Result<ServerRow, Failure> {
        let tenant = ctx.tenant.key();
        decide_again(async || {
            let found = self.mcp_server(&tenant, name).await?;
            let mut row = found.value;
            if row.wanted == wanted && (wanted || !row.connected) {
                return Ok(row);
            }
            row.wanted = wanted;
            if wanted {
                row.next_attempt_at_ms = Some(ctx.now_ms);
                row.updated_at_ms = row.updated_at_ms.max(ctx.now_ms);
            } else {
                row.now_disconnected(ctx.now_ms);
            }
            let event = if wanted { "mcp.server.connect_wanted" } else { "mcp.server.disconnected" };
            let payload = json!({ "name": name, "asked": true });
            let commit = Commit::new(ctx).put(Put::update(&row, found.version)).audit(self.event_id(), event, payload);
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(row)
        })
        .await
    }

    /// One attempt to learn what a server offers, and its commit.
    async fn mcp_ask(
        &self,
        ctx: &OpContext,
        tenant: &TenantKey,
        row: &ServerRow,
    ) -> Result<Result<(), ToolError>, Failure> {
        let key = mcp_key(tenant, &row.name);
        let turn = self.mcp_asked.turn(&key);
        let _turn = turn.lock().await;
        self.mcp_ask_now(ctx, tenant, row).await
    }

    async fn mcp_ask_now(
        &self,
        ctx: &OpContext,
        tenant: &TenantKey,
        row: &ServerRow,
    ) -> Result<Result<(), ToolError>, Failure> {
        let key = mcp_key(tenant, &row.name);
        let asked_ms = self.now_ms();
        self.mcp_asked.note(&key, Known { asked_ms, listed: None });
        let digest = row.dial_digest();
        let result = match self.mcp_dial(tenant, row) {
            Ok(dial) => self.ports.mcp.list(dial).await,
            Err(error) => Err(error),
        };
        match &result {
            Ok(listing) => {
                self.mcp_learned(ctx, tenant, &row.name, &digest, listing).await?;
                self.mcp_asked.note(&key, Known { asked_ms, listed: Some(listing.connection) });
            }
            Err(error) => self.mcp_lost(ctx, tenant, &row.name, &digest, error).await?,
        }
        Ok(result.map(|_| ()))
    }

    /// The connection to call on: open, and one on which the server said what it offers. Where there is none, the
    /// server is dialled and asked, so that a tool that changed behind a lost connection is noticed before it is
    /// called.
    pub(super) async fn mcp_connection(&self, tenant: &TenantKey, row: &ServerRow) -> Result<u64, ToolError> {
        row.reachable()?;
        let (key, digest) = (mcp_key(tenant, &row.name), row.dial_digest());
        let listed =
            || self.mcp_asked.of(&key).listed.filter(|listed| self.ports.mcp.open(&key, &digest) == Some(*listed));
        if let Some(connection) = listed() {
            return Ok(connection);
        }
        let turn = self.mcp_asked.turn(&key);
        let _turn = turn.lock().await;
        if let Some(connection) = listed() {
            return Ok(connection);
        }
        let ctx = self.worker_ctx("mcp", tenant);
        let asked = self.mcp_ask_now(&ctx, tenant, row).await;
        asked.map_err(|failure| ToolError::unsent(ToolFault::StoreUnavailable, failure.message))??;
        listed().ok_or_else(|| ToolError::unsent(ToolFault::ServerDisconnected, "the connection broke again at once"))
    }

    async fn mcp_learned(
        &self,
        ctx: &OpContext,
        tenant: &TenantKey,
        name: &str,
        digest: &str,
        listing: &Listing,
    ) -> Result<(), Failure> {
        decide_again(async || {
            let Some(found) = self.load::<ServerRow>(tenant, name).await? else { return Ok(()) };
            let mut row = found.value.clone();
            // The settings changed while it was asked: the answer is about another server.
            if row.dial_digest() != digest {
                return Ok(());
            }
            // It was ended while it was being made.
            if !row.enabled || !row.wanted {
                self.ports.mcp.close(&mcp_key(tenant, name)).await;
                return Ok(());
            }
            let now_ms = self.now_ms();
            let stored = self.mcp_tool_rows(tenant, name).await?;
            let in_use = self.mcp_in_use(tenant).await?;
            let listed = listing::fold(name, listing, &stored, &in_use, now_ms);
            let was = found.value.connected;
            let asked = ctx.actor.source.as_deref() != Some(WORKER);
            let told = Listing { warnings: listed.warnings.clone(), ..listing.clone() };
            row.now_connected(&told, listed.tool_count, now_ms);
            let same = was && listed.is_empty() && unchanged(&found.value, &row);
            if same && !asked {
                return Ok(());
            }
            let mut commit = Commit::new(ctx).put(Put::update(&row, found.version));
            for tool in &listed.write {
                commit = commit.put(Put::of(tool, Expect::Any));
            }
            for id in &listed.remove {
                let (collection, id) = (ToolRow::COLLECTION, id.clone());
                commit = commit.write(Write::Delete { collection, id, expect: Expect::Any });
            }
            let moved = [&listed.added, &listed.updated, &listed.removed, &listed.changed];
            let moved = moved.iter().any(|names| !names.is_empty());
            let mut lanes = Vec::new();
            if !was || asked || moved {
                lanes = self.mcp_lanes(tenant, name).await?;
                commit.writes.extend(self.mcp_wakes(ctx, &lanes));
            }
            if moved {
                let told = format!("tools of server {name}");
                commit = commit.write(self.mark(ctx, Trigger::McpInventoryChange, told).await?);
            }
            let event = if was { "mcp.tools.refreshed" } else { "mcp.server.connected" };
            let payload = json!({
                "name": name,
                "protocol_version": row.protocol_version,
                "tool_count": listed.tool_count,
                "added": bounded(&listed.added),
                "updated": bounded(&listed.updated),
                "removed": bounded(&listed.removed),
                "warnings": listed.warnings,
            });
            commit = commit.audit(self.event_id(), event, payload);
            for tool in listed.write.iter().filter(|tool| listed.changed.contains(&tool.tool_name)) {
                let payload = json!({
                    "finding": "mcp_tool_changed",
                    "server": name,
                    "tool": tool.tool_name,
                    "accepted_hash": tool.accepted_hash,
                    "schema_hash": tool.schema_hash,
                });
                commit = commit.audit(self.event_id(), "mcp.tool.changed", payload);
            }
            self.store().commit(commit).await.map_err(store_failure)?;
            self.mcp_woken(&lanes);
            if !listed.changed.is_empty() {
                tracing::warn!(server = name, tools = ?listed.changed, "tools in use changed; nothing is published through them");
            }
            Ok(())
        })
        .await
    }

    /// Notes that there is no connection, and when the next attempt is due.
    pub(crate) async fn mcp_lost(
        &self,
        ctx: &OpContext,
        tenant: &TenantKey,
        name: &str,
        digest: &str,
        error: &ToolError,
    ) -> Result<(), Failure> {
        let spread = self.ports.ids.jitter(400);
        decide_again(async || {
            let Some(found) = self.load::<ServerRow>(tenant, name).await? else { return Ok(()) };
            let mut row = found.value.clone();
            if row.dial_digest() != digest {
                return Ok(());
            }
            row.now_failed(error, spread, self.now_ms());
            let payload = json!({
                "name": name,
                "error_code": error.fault,
                "error": row.last_error,
                "failures": row.failures,
                "next_attempt_at_ms": row.next_attempt_at_ms,
            });
            let event = if found.value.connected { "mcp.server.disconnected" } else { "mcp.server.connect_failed" };
            let commit = Commit::new(ctx).put(Put::update(&row, found.version)).audit(self.event_id(), event, payload);
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(())
        })
        .await
    }

    /// A step of the worker: connects what is due, reopens what this process has not open, asks again what was last
    /// asked long ago.
    pub async fn mcp_tend(self: &Arc<Self>) -> Result<(), Failure> {
        let now_ms = self.now_ms();
        let mut due: Vec<(TenantKey, ServerRow)> = Vec::new();
        for tenant in self.store().tenants(&MCP_SERVERS).await.map_err(store_failure)? {
            let rows: Vec<Versioned<ServerRow>> = self.mcp_server_rows(&tenant).await?;
            due.extend(
                rows.into_iter()
                    .map(|row| row.value)
                    .filter(|row| self.mcp_needs(&tenant, row, now_ms))
                    .map(|row| (tenant.clone(), row)),
            );
        }
        let mut running = stream::iter(due)
            .map(|(tenant, row)| {
                let app = Arc::clone(self);
                async move {
                    let ctx = app.worker_ctx("mcp", &tenant);
                    (row.name.clone(), app.mcp_ask(&ctx, &tenant, &row).await)
                }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((name, result)) = running.next().await {
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::info!(server = %name, fault = error.fault.word(), "an MCP server is not connected")
                }
                Err(failure) => {
                    tracing::warn!(server = %name, code = failure.code.word(), "an MCP server could not be tended")
                }
            }
        }
        Ok(())
    }

    fn mcp_needs(&self, tenant: &TenantKey, row: &ServerRow, now_ms: u64) -> bool {
        if !(row.enabled && row.wanted) {
            return false;
        }
        if !row.connected {
            return row.due(now_ms);
        }
        let key = mcp_key(tenant, &row.name);
        let last = self.mcp_asked.of(&key).asked_ms;
        self.ports.mcp.open(&key, &row.dial_digest()).is_none() || now_ms.saturating_sub(last) > REFRESH_MS
    }
}

const WORKER: &str = "worker:mcp";

/// Faults that say something about the connection rather than about one call.
pub(super) fn breaks_connection(fault: ToolFault) -> bool {
    match fault {
        ToolFault::ServerDisconnected
        | ToolFault::ConnectionLost
        | ToolFault::AuthRequired
        | ToolFault::AuthRefreshFailed
        | ToolFault::SecretUnavailable
        | ToolFault::PrivateAddress => true,
        ToolFault::ServerUnregistered
        | ToolFault::ServerDisabled
        | ToolFault::ToolUnknown
        | ToolFault::ToolNotAllowed
        | ToolFault::ToolChanged
        | ToolFault::ArgumentsInvalid
        | ToolFault::Timeout
        | ToolFault::Refused
        | ToolFault::RateLimited
        | ToolFault::Malformed
        | ToolFault::AnswerTooLarge
        | ToolFault::StoreUnavailable => false,
    }
}

/// Nothing that a reader would notice.
fn unchanged(before: &ServerRow, after: &ServerRow) -> bool {
    let clocks = |row: &ServerRow| ServerRow { updated_at_ms: 0, tools_fetched_at_ms: None, ..row.clone() };
    clocks(before) == clocks(after)
}

fn bounded(names: &[String]) -> Vec<&String> {
    names.iter().take(50).collect()
}
