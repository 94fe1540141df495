//! Authorisations of MCP servers: begun, finished, forgotten. Tokens never come through here.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tandem_core::{
    actor::OpContext,
    destination::secret::Reference,
    error::{Code, Failure},
    mcp::{
        ServerView, ToolError, Transport,
        oauth::{self, AuthAsk},
    },
    ports::Secret,
    record::Commit,
    tenant::TenantKey,
    text::non_blank,
};
use utoipa::ToSchema;

use super::mcp_key;
use crate::{App, store_failure};

/// Where a person is sent back to when nothing else is known: nobody listens there, and the address in the browser then
/// holds the code and the state.
const REDIRECT: &str = "http://localhost/mcp/oauth/callback";

/// The path of the page that finishes a flow.
pub const RETURN_PATH: &str = "/mcp/oauth/callback";

/// How to authorise. Everything is optional.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct AuthRequest {
    /// A client that was registered by hand; otherwise one is registered where the server allows it.
    #[serde(alias = "clientId")]
    pub client_id: Option<String>,
    /// `env:NAME`.
    #[serde(alias = "clientSecretRef")]
    pub client_secret_ref: Option<String>,
    pub scope: Option<String>,
    #[serde(alias = "redirectUri")]
    pub redirect_uri: Option<String>,
}

/// A flow that waits for a person.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuthStarted {
    pub ok: bool,
    /// Open it in a browser. Where it ends at this server, the flow is finished there; elsewhere its address holds `code` and
    /// `state`, for the callback route.
    pub authorization_url: String,
    pub state: String,
    pub expires_at_ms: u64,
    pub redirect_uri: String,
}

impl App {
    pub async fn mcp_auth_begin(
        &self,
        ctx: &OpContext,
        name: &str,
        request: &AuthRequest,
    ) -> Result<AuthStarted, Failure> {
        let tenant = ctx.tenant.key();
        let row = self.mcp_server(&tenant, name).await?.value;
        let Some(Transport::Http(resource)) = row.transport() else {
            return Err(failed("only servers over HTTP are authorised like this"));
        };
        let client_secret = match non_blank(request.client_secret_ref.as_deref()) {
            None => None,
            Some(text) => {
                let reference = Reference::parse(text).ok_or_else(|| failed("client_secret_ref is no reference"))?;
                let found = self.ports.secrets.resolve(&reference.to_string());
                Some(found.map_err(|_| failed("the client secret is not set or blank"))?)
            }
        };
        let redirect_uri = non_blank(request.redirect_uri.as_deref()).unwrap_or(REDIRECT).to_owned();
        if !returns(&redirect_uri) {
            return Err(failed("redirect_uri must be an http or https address without a fragment"));
        }
        let own = |text: &Option<String>| non_blank(text.as_deref()).map(str::to_owned);
        let ask = AuthAsk {
            key: mcp_key(&tenant, name),
            resource,
            allow_private_networks: row.allow_private_networks,
            client_id: own(&request.client_id),
            client_secret,
            scope: own(&request.scope),
            redirect_uri: redirect_uri.clone(),
            state: oauth::token(&self.ports.ids.secret()),
            verifier: Secret::new(oauth::token(&self.ports.ids.secret())),
            now_ms: ctx.now_ms,
        };
        let begun = self.ports.mcp.authorize(ask).await;
        let event = if begun.is_ok() { "mcp.connection.oauth_started" } else { "mcp.connection.oauth_denied" };
        self.mcp_auth_row(ctx, event, name, begun.as_ref().err()).await?;
        let begun = begun.map_err(|why| failed(&why))?;
        Ok(AuthStarted {
            ok: true,
            authorization_url: begun.authorization_url,
            state: begun.state,
            expires_at_ms: begun.expires_at_ms,
            redirect_uri,
        })
    }

    /// Finishes a flow and connects with what it brought.
    pub async fn mcp_auth_finish(
        &self,
        ctx: &OpContext,
        name: &str,
        state: &str,
        code: &str,
    ) -> Result<(ServerView, Result<(), ToolError>), Failure> {
        let tenant = ctx.tenant.key();
        self.mcp_server(&tenant, name).await?;
        let done = self.ports.mcp.authorized(&mcp_key(&tenant, name), state, code).await;
        let event = if done.is_ok() { "mcp.connection.oauth_completed" } else { "mcp.connection.oauth_denied" };
        self.mcp_auth_row(ctx, event, name, done.as_ref().err()).await?;
        done.map_err(|why| failed(&why))?;
        self.ports.mcp.close(&mcp_key(&tenant, name)).await;
        self.mcp_connect(ctx, name).await
    }

    /// Finishes the flow that this state belongs to, for the browser that comes back from it. The state is the only thing
    /// that it has to show, and nobody else knows it. Answers with the server's name.
    pub async fn mcp_auth_return(&self, state: &str, code: &str) -> Result<String, Failure> {
        let unknown = || failed("no authorisation is under way with this state");
        let key = self.ports.mcp.awaiting(state).ok_or_else(unknown)?;
        let (tenant, name) = key.rsplit_once('/').ok_or_else(unknown)?;
        let ctx = self.worker_ctx("mcp_oauth", &TenantKey(tenant.to_owned()));
        let (_, connected) = self.mcp_auth_finish(&ctx, name, state, code).await?;
        connected.map_err(|error| failed(&error.to_string()))?;
        Ok(name.to_owned())
    }

    /// Forgets the tokens of a server, and ends the connection that was made with them.
    pub async fn mcp_auth_forget(&self, ctx: &OpContext, name: &str) -> Result<bool, Failure> {
        let tenant = ctx.tenant.key();
        self.mcp_server(&tenant, name).await?;
        let had = self.ports.mcp.forget_authorization(&mcp_key(&tenant, name)).await.map_err(|why| failed(&why))?;
        self.mcp_auth_row(ctx, "mcp.connection.oauth_forgotten", name, None).await?;
        self.ports.mcp.close(&mcp_key(&tenant, name)).await;
        Ok(had)
    }

    async fn mcp_auth_row(
        &self,
        ctx: &OpContext,
        event: &'static str,
        name: &str,
        why: Option<&String>,
    ) -> Result<(), Failure> {
        let commit = Commit::new(ctx).audit(self.event_id(), event, json!({ "name": name, "error": why }));
        self.store().commit(commit).await.map_err(store_failure)?;
        Ok(())
    }
}

/// Whether a browser can be sent back there: an address of the web. Others would be opened by whatever claims them.
fn returns(redirect_uri: &str) -> bool {
    let web = ["https://", "http://"].iter().any(|scheme| redirect_uri.starts_with(scheme));
    web && !redirect_uri.contains(|c: char| c == '#' || c.is_whitespace() || c.is_control())
}

fn failed(why: &str) -> Failure {
    Failure::of(Code::McpOauthFailed).with("detail", why)
}
