//! A call of a tool, behind every rule about it.

use serde_json::{Value, json};
use tandem_core::{
    error::Failure,
    mcp::{ToolAnswer, ToolCall, ToolError, ToolFault as F, ToolRow, listing},
    ports::{BoxFuture, Tools},
    record::{Commit, Put, Record},
    tenant::TenantKey,
};

use super::connect::breaks_connection;
use crate::{App, store_failure};

impl Tools for App {
    fn tools<'a>(&'a self, tenant: &'a TenantKey, server: &'a str) -> BoxFuture<'a, Result<Vec<ToolRow>, ToolError>> {
        Box::pin(async move {
            let row = self.mcp_server(tenant, server).await.map_err(|failure| unreadable(failure, server))?.value;
            row.reachable()?;
            let tools = self.mcp_tool_rows(tenant, server).await.map_err(|failure| unreadable(failure, server))?;
            let allowed = |tool: &ToolRow| {
                !tool.withdrawn
                    && tandem_core::mcp::names::allowed(row.allowed_tools.as_deref(), &row.name, &tool.tool_name)
            };
            Ok(tools.into_iter().filter(allowed).collect())
        })
    }

    fn call<'a>(&'a self, tenant: &'a TenantKey, call: ToolCall) -> BoxFuture<'a, Result<ToolAnswer, ToolError>> {
        Box::pin(self.mcp_call(tenant, call))
    }
}

impl App {
    async fn mcp_call(&self, tenant: &TenantKey, mut call: ToolCall) -> Result<ToolAnswer, ToolError> {
        let server = call.server.clone();
        let row = self.mcp_server(tenant, &server).await.map_err(|failure| unreadable(failure, &server))?.value;
        let connection = self.mcp_connection(tenant, &row).await?;
        let tools = self.mcp_tool_rows(tenant, &server).await.map_err(|failure| unreadable(failure, &server))?;
        let tool = listing::callable(&row, &tools, &call.tool)?;
        let arguments = Value::Object(call.arguments.clone());
        self.ports.mcp.fits(&tool.input_schema, &arguments).map_err(|why| {
            ToolError::unsent(F::ArgumentsInvalid, format!("the arguments do not fit `{}`: {why}", tool.tool_name))
        })?;
        let dial = self.mcp_dial(tenant, &row)?;
        let digest = dial.digest.clone();
        // Before it is called, so that a change after this call is a change of a tool in use.
        if !tool.used {
            self.mcp_used(tenant, tool).await.map_err(|failure| unreadable(failure, &server))?;
        }
        call.tool.clone_from(&tool.tool_name);
        let result = self.ports.mcp.call(dial, connection, call).await;
        match &result {
            Ok(answer) => {
                if let (Some(schema), Some(structured), false) =
                    (&tool.output_schema, &answer.structured, answer.is_error)
                    && let Err(why) = self.ports.mcp.fits(schema, structured)
                {
                    let text = format!("the answer does not fit the tool's own schema: {why}");
                    return Err(ToolError::sent(F::Malformed, text));
                }
            }
            Err(error) if breaks_connection(error.fault) => {
                let ctx = self.worker_ctx("mcp", tenant);
                if let Err(failure) = self.mcp_lost(&ctx, tenant, &server, &digest, error).await {
                    tracing::warn!(code = failure.code.word(), "a lost MCP connection was not noted");
                }
            }
            Err(_) => {}
        }
        result
    }

    /// Notes that something was published through a tool. Once for each tool.
    async fn mcp_used(&self, tenant: &TenantKey, tool: &ToolRow) -> Result<(), Failure> {
        let ctx = self.worker_ctx("mcp", tenant);
        let Some(found) = self.load::<ToolRow>(tenant, tool.id()).await? else { return Ok(()) };
        if found.value.used {
            return Ok(());
        }
        let row = ToolRow { used: true, ..found.value };
        let payload = json!({ "server": row.server_name, "tool": row.tool_name, "accepted_hash": row.accepted_hash });
        let commit =
            Commit::new(&ctx).put(Put::update(&row, found.version)).audit(self.event_id(), "mcp.tool.pinned", payload);
        match self.store().commit(commit).await {
            // Somebody else changed the row: the next call sees it.
            Ok(_) | Err(tandem_core::ports::StoreError::Conflict) => Ok(()),
            Err(error) => Err(store_failure(error)),
        }
    }
}

fn unreadable(failure: Failure, server: &str) -> ToolError {
    use tandem_core::error::Code;
    if failure.code == Code::McpServerNotFound {
        return ToolError::unsent(F::ServerUnregistered, format!("the server `{server}` is not registered"));
    }
    ToolError::unsent(F::StoreUnavailable, failure.message)
}
