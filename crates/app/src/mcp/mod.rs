//! MCP servers: registering them, keeping them connected, calling their tools.
//!
//! The rows say what is wanted and what is; the connections themselves are the driver's, in each process its own. A call
//! passes every rule here first, so no caller can forget one.

mod auth;
mod calls;
mod connect;
mod registry;
mod view;

pub use auth::{AuthRequest, AuthStarted, RETURN_PATH};
pub(crate) use connect::Asked;
pub(crate) use view::View;

use tandem_core::{
    actor::OpContext,
    destination::{self, Destination, DestinationKind},
    error::{Code, Failure},
    mcp::{ServerRow, ToolError, ToolFault, ToolRow},
    ports::{Dial, Secret},
    record::{Column, JobKind, Versioned, Waiting, Write},
    tenant::TenantKey,
    tracker::{Settings, settings::Via},
};

use crate::{App, publish::lane};

/// More servers than this a tenant cannot have; one list holds them all.
pub(crate) const SERVERS: usize = 200;
/// Tools of one server that are read at once: those that are kept, and those whose pins outlive them.
pub(crate) const TOOLS: usize = 2_000;

impl App {
    pub(crate) async fn mcp_server(&self, tenant: &TenantKey, name: &str) -> Result<Versioned<ServerRow>, Failure> {
        let found = self.load::<ServerRow>(tenant, name).await?;
        found.ok_or_else(|| Failure::of(Code::McpServerNotFound).with("name", name))
    }

    pub(crate) async fn mcp_server_rows(&self, tenant: &TenantKey) -> Result<Vec<Versioned<ServerRow>>, Failure> {
        self.all::<ServerRow>(tenant, "updated_at_ms", Vec::new(), SERVERS).await
    }

    pub(crate) async fn mcp_tool_rows(&self, tenant: &TenantKey, server: &str) -> Result<Vec<ToolRow>, Failure> {
        let of_server = vec![("server_name", Column::text(server))];
        let rows = self.all::<ToolRow>(tenant, "fetched_at_ms", of_server, TOOLS).await?;
        let mut rows: Vec<ToolRow> = rows.into_iter().map(|row| row.value).collect();
        rows.sort_by(|a, b| a.tool_name.cmp(&b.tool_name));
        Ok(rows)
    }

    /// Destinations that publish through this server, by their lanes.
    async fn mcp_lanes(&self, tenant: &TenantKey, server: &str) -> Result<Vec<String>, Failure> {
        let snapshot = self.snapshot(tenant).await?;
        let config = &snapshot.config;
        let through = |found: &Destination| match found.kind {
            DestinationKind::McpTool => destination::mcp_target(config, found).server == Some(server),
            DestinationKind::GithubIssue | DestinationKind::LinearIssue => {
                Settings::of(config, found).is_ok_and(|settings| settings.via == Via::Mcp(server.to_owned()))
            }
            DestinationKind::Webhook | DestinationKind::Telemetry | DestinationKind::InternalMemory => false,
        };
        let found = destination::effective(config).into_iter().filter(through);
        Ok(found.map(|found| lane(tenant, &found.destination_id)).collect())
    }

    /// Deliveries that wait for a server are due at once: it is there again, or serves what it did not.
    fn mcp_wakes(&self, ctx: &OpContext, lanes: &[String]) -> impl Iterator<Item = Write> {
        let due_at_ms = ctx.now_ms;
        lanes.iter().cloned().map(move |lane| Write::JobsWake {
            kind: JobKind::Deliver,
            of: Waiting::Lane(lane),
            due_at_ms,
        })
    }

    /// What this process itself holds back of them goes on, too. Called once the wakes are stored.
    fn mcp_woken(&self, lanes: &[String]) {
        for lane in lanes {
            self.breaker(lane, |breaker| breaker.close());
        }
        self.wake.notify_waiters();
    }

    /// How to reach a server now, with the values behind its references.
    pub(crate) fn mcp_dial(&self, tenant: &TenantKey, row: &ServerRow) -> Result<Dial, ToolError> {
        if !row.encrypted_enough() {
            return Err(ToolError::unsent(ToolFault::Refused, "plain http to another machine was not allowed"));
        }
        let transport = row
            .transport()
            .ok_or_else(|| ToolError::unsent(ToolFault::Refused, "the server's transport cannot be read"))?;
        let mut headers: Vec<(String, Secret)> =
            row.headers.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect();
        for (name, header) in &row.secret_headers {
            let secret = self.ports.secrets.resolve(&header.secret_ref).map_err(|_| {
                let text = format!("the secret {} is not set or blank", header.secret_ref);
                ToolError::unsent(ToolFault::SecretUnavailable, text)
            })?;
            headers.push((name.clone(), Secret::new(format!("{}{}", header.prefix, secret.expose()))));
        }
        Ok(Dial {
            key: mcp_key(tenant, &row.name),
            digest: row.dial_digest(),
            transport,
            headers,
            allow_private_networks: row.allow_private_networks,
        })
    }
}

pub(crate) fn mcp_key(tenant: &TenantKey, name: &str) -> String {
    format!("{}/{name}", tenant.as_str())
}
