//! The registry of MCP servers: add, change, remove, and accept a changed tool. Nothing here opens a connection.

use serde_json::{Value, json};
use tandem_core::{
    actor::OpContext,
    automation::{Automation, admission},
    error::{Code, Failure},
    governance::tool_server::{Loss, ServerLoss, loss},
    mcp::{NewServer, ServerPatch, ServerRow, ServerView, SettingError, ToolRow, names, server::Transport},
    record::{Column, Commit, Expect, Put, Record, Write},
    tenant::TenantKey,
    tracker,
};
use tandem_posture::reassess::Trigger;

use super::{SERVERS, mcp_key};
use crate::{App, PageRequest, decide_again, store_failure};

impl App {
    /// Every registered server, by name.
    pub async fn mcp_servers(&self, ctx: &OpContext) -> Result<Vec<ServerView>, Failure> {
        let tenant = ctx.tenant.key();
        let mut views = Vec::new();
        for row in self.mcp_server_rows(&tenant).await? {
            let tools = self.mcp_tool_rows(&tenant, &row.value.name).await?;
            views.push(ServerView::of(row.value, &tools));
        }
        views.sort_by(|a, b| a.server.name.cmp(&b.server.name));
        Ok(views)
    }

    pub async fn mcp_view(&self, ctx: &OpContext, name: &str) -> Result<ServerView, Failure> {
        let tenant = ctx.tenant.key();
        let row = self.mcp_server(&tenant, name).await?;
        Ok(ServerView::of(row.value, &self.mcp_tool_rows(&tenant, name).await?))
    }

    /// Tools of every server, also those that may not be called.
    pub async fn mcp_all_tools(&self, ctx: &OpContext) -> Result<Vec<(ToolRow, bool)>, Failure> {
        let tenant = ctx.tenant.key();
        let mut out = Vec::new();
        for row in self.mcp_server_rows(&tenant).await? {
            let row = row.value;
            let tools = self.mcp_tool_rows(&tenant, &row.name).await?.into_iter().filter(|tool| !tool.withdrawn);
            out.extend(tools.map(|tool| {
                let allowed = names::allowed(row.allowed_tools.as_deref(), &row.name, &tool.tool_name);
                (tool, allowed)
            }));
        }
        out.sort_by(|a, b| a.0.namespaced_name.cmp(&b.0.namespaced_name));
        Ok(out)
    }

    /// Resources of every server, as last listed.
    pub async fn mcp_all_resources(&self, ctx: &OpContext) -> Result<Vec<Value>, Failure> {
        let rows = self.mcp_server_rows(&ctx.tenant.key()).await?;
        let resources = rows.into_iter().flat_map(|row| {
            let name = row.value.name;
            row.value.resources.into_iter().map(move |mut resource| {
                if let Some(map) = resource.as_object_mut() {
                    map.insert("server_name".into(), json!(name));
                }
                resource
            })
        });
        Ok(resources.collect())
    }

    /// Registers a server, or replaces the settings of the one with this name. What was found out about its tools stays:
    /// their pins must not be lost by registering the server again.
    pub async fn mcp_add(&self, ctx: &OpContext, new: &NewServer) -> Result<ServerView, Failure> {
        let tenant = ctx.tenant.key();
        let wanted = new.row(ctx.now_ms).map_err(refused)?;
        self.mcp_command_known(&wanted)?;
        if let Some(known) = self.load::<ServerRow>(&tenant, &wanted.name).await? {
            self.mcp_taken(ctx, &wanted.name, loss(&known.value, &wanted)).await?;
        }
        decide_again(async || {
            let others = self.mcp_server_rows(&tenant).await?;
            let clash =
                |row: &ServerRow| row.name != wanted.name && names::slug(&row.name) == names::slug(&wanted.name);
            if let Some(other) = others.iter().find(|row| clash(&row.value)) {
                let text = format!("is too like `{}`: their tools would have the same names", other.value.name);
                return Err(refused(SettingError::Field("name", text)));
            }
            let known = others.iter().find(|row| row.value.name == wanted.name);
            if known.is_none() && others.len() >= SERVERS {
                return Err(refused(SettingError::Field("name", format!("{SERVERS} servers are registered already"))));
            }
            let mut row = wanted.clone();
            if let Some(known) = known {
                row.created_at_ms = known.value.created_at_ms;
                row.wanted = known.value.wanted;
                row.tool_count = known.value.tool_count;
            }
            let event = if known.is_some() { "mcp.server.updated" } else { "mcp.server.added" };
            let expect = known.map_or(Expect::Absent, |known| Expect::Version(known.version));
            let payload = change(known.map(|known| &known.value), &row);
            let told = format!("server {}", row.name);
            let commit = Commit::new(ctx)
                .put(Put::of(&row, expect))
                .write(self.mark(ctx, Trigger::McpInventoryChange, told).await?)
                .audit(self.event_id(), event, payload);
            self.store().commit(commit).await.map_err(store_failure)?;
            self.ports.mcp.close(&mcp_key(&tenant, &row.name)).await;
            let tools = self.mcp_tool_rows(&tenant, &row.name).await?;
            Ok(ServerView::of(row, &tools))
        })
        .await
    }

    pub async fn mcp_patch(&self, ctx: &OpContext, name: &str, patch: &ServerPatch) -> Result<ServerView, Failure> {
        let tenant = ctx.tenant.key();
        let mut after = self.mcp_server(&tenant, name).await?.value;
        let before = after.clone();
        patch.apply(&mut after, ctx.now_ms).map_err(refused)?;
        // What is refused takes nothing away.
        self.mcp_command_known(&after)?;
        self.mcp_taken(ctx, name, loss(&before, &after)).await?;
        decide_again(async || {
            let found = self.mcp_server(&tenant, name).await?;
            let mut row = found.value.clone();
            let anew = patch.apply(&mut row, ctx.now_ms).map_err(refused)?;
            self.mcp_command_known(&row)?;
            let payload = change(Some(&found.value), &row);
            let put = Put::update(&row, found.version);
            let commit = Commit::new(ctx)
                .put(put)
                .write(self.mark(ctx, Trigger::McpInventoryChange, format!("server {name}")).await?)
                .audit(self.event_id(), "mcp.server.updated", payload);
            self.store().commit(commit).await.map_err(store_failure)?;
            if anew {
                self.ports.mcp.close(&mcp_key(&tenant, name)).await;
            }
            let tools = self.mcp_tool_rows(&tenant, name).await?;
            Ok(ServerView::of(row, &tools))
        })
        .await
    }

    /// Pauses the automations that could use what is lost. It is done before the server changes: what is interrupted
    /// between leaves them paused, and never running without what they count on.
    async fn mcp_taken(&self, ctx: &OpContext, name: &str, loss: Option<Loss>) -> Result<(), Failure> {
        let Some(loss) = loss else { return Ok(()) };
        let mut request = PageRequest {
            limit: 200,
            equals: vec![("state", Column::text(Automation::LIVE))],
            ..PageRequest::default()
        };
        let mut ids = Vec::new();
        loop {
            let page = self.page::<Automation>(&ctx.tenant.key(), "updated_at_ms", &request).await?;
            let loses = |found: &Automation| !loss.of(name, &admission::users_of(found, name)).is_empty();
            let using = page.items.into_iter().filter(loses);
            ids.extend(using.map(|automation| automation.automation_id));
            let Some(next) = page.next else { break };
            request.after = Some(next);
        }
        for automation_id in ids {
            let (base, server, loss) = (self.governance_base(), name.to_owned(), loss.clone());
            self.decide(ctx, ServerLoss { base, automation_id, server, loss }).await?;
        }
        Ok(())
    }

    /// Forgets a server and its tools. Destinations that name it are no longer ready.
    pub async fn mcp_delete(&self, ctx: &OpContext, name: &str) -> Result<(), Failure> {
        let tenant = ctx.tenant.key();
        self.mcp_server(&tenant, name).await?;
        self.mcp_taken(ctx, name, Some(Loss::Removed)).await?;
        decide_again(async || {
            let found = self.mcp_server(&tenant, name).await?;
            let tools = self.mcp_tool_rows(&tenant, name).await?;
            let delete = |collection, id: &str, expect| Write::Delete { collection, id: id.to_owned(), expect };
            let mut commit =
                Commit::new(ctx).write(delete(ServerRow::COLLECTION, name, Expect::Version(found.version)));
            for tool in &tools {
                commit = commit.write(delete(ToolRow::COLLECTION, tool.id(), Expect::Any));
            }
            let payload = json!({ "name": name, "transport": found.value.transport, "tools": tools.len() });
            let mark = self.mark(ctx, Trigger::McpInventoryChange, format!("server {name}")).await?;
            let commit = commit.write(mark).audit(self.event_id(), "mcp.server.deleted", payload);
            self.store().commit(commit).await.map_err(store_failure)?;
            self.ports.mcp.close(&mcp_key(&tenant, name)).await;
            Ok(())
        })
        .await
    }

    /// An operator looked at a tool's new description and schema. `hash` is the one that was looked at: accepting a
    /// tool that changed again meanwhile is refused.
    pub async fn mcp_accept(
        &self,
        ctx: &OpContext,
        server: &str,
        tool: &str,
        hash: Option<&str>,
    ) -> Result<ToolRow, Failure> {
        let tenant = ctx.tenant.key();
        decide_again(async || {
            self.mcp_server(&tenant, server).await?;
            let unknown = || Failure::of(Code::McpToolNotFound).with("server", server).with("tool", tool);
            let id = names::namespaced(server, tool);
            let found = match self.load::<ToolRow>(&tenant, &id).await? {
                Some(found) => found,
                // Or by its namespaced name.
                None => self.load::<ToolRow>(&tenant, tool).await?.ok_or_else(unknown)?,
            };
            let mut row = found.value;
            if row.server_name != server {
                return Err(unknown());
            }
            if hash.is_some_and(|hash| hash != row.schema_hash) {
                return Err(Failure::of(Code::McpToolMoved).with("schema_hash", row.schema_hash));
            }
            if row.accepted() {
                return Ok(row);
            }
            let before = std::mem::replace(&mut row.accepted_hash, row.schema_hash.clone());
            let payload = json!({
                "server": server,
                "tool": row.tool_name,
                "before": before,
                "accepted_hash": row.accepted_hash,
            });
            let put = Put::update(&row, found.version);
            let told = format!("a tool of server {server}");
            let mut commit = Commit::new(ctx)
                .put(put)
                .write(self.mark(ctx, Trigger::McpInventoryChange, told).await?)
                .audit(self.event_id(), "mcp.tool.accepted", payload);
            let lanes = self.mcp_lanes(&tenant, server).await?;
            commit.writes.extend(self.mcp_wakes(ctx, &lanes));
            self.store().commit(commit).await.map_err(store_failure)?;
            self.mcp_woken(&lanes);
            Ok(row)
        })
        .await
    }

    /// A `stdio:` name that the operator's file does not have would only fail later.
    fn mcp_command_known(&self, row: &ServerRow) -> Result<(), Failure> {
        match row.transport() {
            Some(Transport::Stdio(name)) if !self.ports.mcp.has_command(&name) => {
                Err(Failure::of(Code::McpStdioDenied))
            }
            Some(Transport::Stdio(_) | Transport::Http(_)) | None => Ok(()),
        }
    }

    /// Whether something publishes through a tool: a destination names it, or its server serves trackers.
    pub(crate) async fn mcp_in_use(&self, tenant: &TenantKey) -> Result<impl Fn(&ToolRow) -> bool + use<>, Failure> {
        use tandem_core::destination::{self, DestinationKind};
        let snapshot = self.snapshot(tenant).await?;
        let config = &snapshot.config;
        let mut used: Vec<(String, Option<String>)> = Vec::new();
        for destination in destination::effective(config) {
            let target = destination::mcp_target(config, &destination);
            let Some(server) = target.server.map(str::to_owned) else { continue };
            match destination.kind {
                DestinationKind::McpTool => used.push((server, target.tool.map(str::to_owned))),
                DestinationKind::GithubIssue | DestinationKind::LinearIssue => used.push((server, None)),
                DestinationKind::Webhook | DestinationKind::Telemetry | DestinationKind::InternalMemory => {}
            }
        }
        Ok(move |tool: &ToolRow| {
            used.iter().any(|(server, named)| {
                *server == tool.server_name
                    && match named {
                        Some(named) => names::same_tool(server, &tool.tool_name, named),
                        None => tracker::binding::is_tracker_tool(&tool.tool_name),
                    }
            })
        })
    }
}

/// What an audit row says of a server's settings: names of headers and references, never a value.
fn change(before: Option<&ServerRow>, after: &ServerRow) -> Value {
    let told = |row: &ServerRow| {
        json!({
            "transport": row.transport,
            "enabled": row.enabled,
            "headers": row.headers.keys().collect::<Vec<_>>(),
            "secret_headers": row.secret_headers,
            "allowed_tools": row.allowed_tools,
            "purpose": row.purpose,
            "grounding_required": row.grounding_required,
            "allow_private_networks": row.allow_private_networks,
        })
    };
    json!({ "name": after.name, "before": before.map(told), "after": told(after) })
}

pub(super) fn refused(error: SettingError) -> Failure {
    match error {
        SettingError::Stdio => Failure::of(Code::McpStdioDenied),
        SettingError::Field(field, why) => Failure::of(Code::McpRequestDenied).with("detail", format!("{field} {why}")),
    }
}
