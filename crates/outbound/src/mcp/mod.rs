//! Connections to MCP servers: one for each registered server, made when it is needed, kept while it lasts.
//!
//! HTTP goes through [`crate::egress`], so the address that the rules judged is the address that is dialled. Commands
//! come from the operator's own file. Everything is bounded: the time of each step, the bytes of each answer, the pages
//! of each list. Deliberately absent: which tools may be called, retries of a call, and requests that a server sends to
//! us (sampling, elicitation, roots): we offer no such capability.

mod answer;
mod http;
mod list;
mod oauth;
mod schema;
mod sse;
mod stdio;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation, ProtocolVersion},
    service::{ClientLifecycleMode, Peer, RunningService, serve_client_with_lifecycle},
    transport::{
        StreamableHttpClientTransport, async_rw::AsyncRwTransport,
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::Value;
use tandem_core::{
    mcp::{
        Listing, ToolAnswer, ToolCall, ToolError, ToolFault, Transport,
        oauth::{AuthAsk, AuthBegun},
    },
    ports::{BoxFuture, Clock, Dial, Mcp},
};

pub use self::stdio::Commands;
use self::{oauth::Grants, stdio::Child};
use crate::egress::Egress;

/// How long connecting may take, the handshake included.
const CONNECT: Duration = Duration::from_secs(15);
/// How long asking for everything that a server offers may take.
const LIST: Duration = Duration::from_secs(30);
/// The largest single message that is read, and the largest answer of one HTTP request.
const MESSAGE_BYTES: usize = 8 << 20;

/// The connections of this process.
pub struct Connections {
    egress: Arc<Egress>,
    commands: Commands,
    grants: Arc<Grants>,
    clock: Arc<dyn Clock>,
    version: String,
    open: Mutex<HashMap<String, Open>>,
    /// How many connections there have been.
    made: AtomicU64,
    /// One dial at a time for each server.
    dialling: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

struct Open {
    digest: String,
    link: Link,
    service: RunningService<RoleClient, ClientConfig>,
    _child: Option<Child>,
}

/// What a call needs of a connection.
#[derive(Clone)]
struct Link {
    number: u64,
    peer: Peer<RoleClient>,
    /// What the transport saw last that the protocol layer does not pass on.
    seen: http::Seen,
}

impl Connections {
    /// `grants` is the file of tokens; it need not exist.
    pub fn new(
        egress: Arc<Egress>,
        commands: Commands,
        grants: std::path::PathBuf,
        clock: Arc<dyn Clock>,
        version: &str,
    ) -> Self {
        Self {
            grants: Arc::new(Grants::new(Arc::clone(&egress), grants)),
            clock,
            egress,
            commands,
            version: version.to_owned(),
            open: Mutex::default(),
            made: AtomicU64::default(),
            dialling: Mutex::default(),
        }
    }

    fn live(&self, key: &str, digest: &str) -> Option<Link> {
        let open = held(&self.open);
        let found = open.get(key).filter(|open| open.digest == digest && !open.service.is_closed())?;
        (!found.link.peer.is_transport_closed()).then(|| found.link.clone())
    }

    async fn link(&self, dial: &Dial) -> Result<Link, ToolError> {
        if let Some(link) = self.live(&dial.key, &dial.digest) {
            return Ok(link);
        }
        let turn = Arc::clone(held(&self.dialling).entry(dial.key.clone()).or_default());
        let _turn = turn.lock().await;
        if let Some(link) = self.live(&dial.key, &dial.digest) {
            return Ok(link);
        }
        self.end(&dial.key).await;
        let made = tokio::time::timeout(CONNECT, self.connect(dial)).await;
        let open = made.map_err(|_| ToolError::unsent(ToolFault::ServerDisconnected, "connecting took too long"))??;
        let link = open.link.clone();
        held(&self.open).insert(dial.key.clone(), open);
        Ok(link)
    }

    async fn connect(&self, dial: &Dial) -> Result<Open, ToolError> {
        let seen = http::Seen::default();
        let (service, child) = match &dial.transport {
            Transport::Http(url) => {
                let bearer = http::Bearer {
                    grants: Arc::clone(&self.grants),
                    clock: Arc::clone(&self.clock),
                    key: dial.key.clone(),
                };
                let client = http::Http::new(Arc::clone(&self.egress), dial, bearer, seen.clone())?;
                let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
                config.max_sse_event_size = MESSAGE_BYTES;
                config.allow_stateless = true;
                let transport = StreamableHttpClientTransport::with_client(client.clone(), config);
                match serve_client_with_lifecycle(self.us(), transport, lifecycle()).await {
                    // What a server of the older transport answers to the newer one's first words.
                    Err(error) if matches!(answer::refusal_status(&error), Some(400 | 404 | 405)) => {
                        let first = answer::connecting(&error, &seen);
                        // A server that has neither is told by what it said first.
                        let events = sse::Events::open(client, url, seen.clone()).await.map_err(|second| {
                            if matches!(second.fault, ToolFault::Refused | ToolFault::Malformed) {
                                first
                            } else {
                                second
                            }
                        })?;
                        seen.clear();
                        (serve_client_with_lifecycle(self.us(), events, ClientLifecycleMode::Initialize).await, None)
                    }
                    other => (other, None),
                }
            }
            Transport::Stdio(name) => {
                let (child, stdout, stdin) = self.commands.spawn(name)?;
                let transport = AsyncRwTransport::new_client(stdout, stdin).with_max_line_length(MESSAGE_BYTES);
                (serve_client_with_lifecycle(self.us(), transport, lifecycle()).await, Some(child))
            }
        };
        let service = service.map_err(|error| answer::connecting(&error, &seen))?;
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let link = Link { number, peer: service.peer().clone(), seen };
        Ok(Open { digest: dial.digest.clone(), link, service, _child: child })
    }

    fn us(&self) -> ClientConfig {
        ClientConfig::new(ClientCapabilities::default(), Implementation::new("tandem", self.version.as_str()))
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn end(&self, key: &str) {
        let open = held(&self.open).remove(key);
        if let Some(mut open) = open {
            // A server that does not say goodbye is left.
            let _ = open.service.close_with_timeout(Duration::from_secs(2)).await;
        }
    }
}

/// The newest revision first, the older handshake where a server does not know it.
fn lifecycle() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::LATEST], legacy_version: None }
}

impl Mcp for Connections {
    fn list(&self, dial: Dial) -> BoxFuture<'_, Result<Listing, ToolError>> {
        Box::pin(async move {
            let link = self.link(&dial).await?;
            let listed = tokio::time::timeout(LIST, list::everything(&link)).await;
            let result = listed
                .unwrap_or_else(|_| Err(ToolError::unsent(ToolFault::Timeout, "listing the tools took too long")));
            // What was asked for is repeated by the next refresh; a connection that failed is not kept for it.
            if result.is_err() {
                self.end(&dial.key).await;
            }
            result
        })
    }

    fn call(&self, dial: Dial, connection: u64, call: ToolCall) -> BoxFuture<'_, Result<ToolAnswer, ToolError>> {
        Box::pin(async move {
            let link = self.live(&dial.key, &dial.digest).filter(|link| link.number == connection);
            let lost = || ToolError::unsent(ToolFault::ServerDisconnected, "the connection is not there any more");
            let link = link.ok_or_else(lost)?;
            link.seen.clear();
            let params = CallToolRequestParams::new(call.tool).with_arguments(call.arguments);
            let limit = Duration::from_millis(call.timeout_ms);
            let result = match tokio::time::timeout(limit, link.peer.call_tool_once(params)).await {
                Ok(Ok(response)) => answer::read(response, call.answer_bytes),
                Ok(Err(error)) => Err(answer::failed(error, &link.seen)),
                // What the transport saw tells more than that nothing came.
                Err(_) => Err(link.seen.take().unwrap_or_else(|| {
                    ToolError::sent(ToolFault::Timeout, format!("no answer within {} ms", call.timeout_ms))
                })),
            };
            if matches!(&result, Err(error) if error.fault == ToolFault::ConnectionLost) {
                self.end(&dial.key).await;
            }
            result
        })
    }

    fn open(&self, key: &str, digest: &str) -> Option<u64> {
        self.live(key, digest).map(|link| link.number)
    }

    fn close<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(self.end(key))
    }

    fn fits(&self, schema: &Value, arguments: &Value) -> Result<(), String> {
        schema::fits(schema, arguments)
    }

    fn authorize(&self, ask: AuthAsk) -> BoxFuture<'_, Result<AuthBegun, String>> {
        Box::pin(self.grants.begin(ask))
    }

    fn awaiting(&self, state: &str) -> Option<String> {
        self.grants.awaiting(state, self.clock.now_ms())
    }

    fn authorized<'a>(&'a self, key: &'a str, state: &'a str, code: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.grants.finish(key, state, code, self.clock.now_ms()))
    }

    fn forget_authorization<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(self.grants.forget(key))
    }

    fn has_command(&self, name: &str) -> bool {
        self.commands.has(name)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
