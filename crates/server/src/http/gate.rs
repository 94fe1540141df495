//! What stands before the handlers, from the first moment on: who may pass, how often, and whether the store is open.
//!
//! The order of refusals is part of the contract: token, tenant, rate limit, startup, body size, then the handler. So an
//! unknown path answers 401 to a stranger, and 503 never reveals anything to one.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, Method, header},
    response::{IntoResponse, Response},
};
use tandem_core::{
    error::{Code, Failure},
    ports::{Clock, Ids},
    tenant::TenantContext,
};
use tokio::sync::watch;
use tower::Service;

use super::{alias, answer::ApiError, limit::Limiter};
use crate::{
    extract::{
        auth::Auth,
        body,
        caller::{Caller, Credential, refusal_of_keys},
    },
    telemetry::metrics::Metrics,
};

/// The largest body of any route.
pub const MAX_BODY: usize = 10 * 1024 * 1024;

/// The one path that a scoped intake key opens.
pub const INTAKE_PATH: &str = "/incident-monitor/intake/report";

/// How the server was started, as far as requests feel it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub metrics_public: bool,
    pub rate_limit_per_min: Option<u32>,
    pub cors_origins: Vec<String>,
    /// Names under which the MCP endpoint answers.
    pub mcp_hosts: Vec<String>,
}

pub struct Gate {
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub auth: Auth,
    pub metrics: Metrics,
    pub facts: Facts,
    limiter: Option<Limiter>,
    handlers: OnceLock<Router>,
    stopping: watch::Sender<bool>,
}

impl Gate {
    pub fn new(clock: Arc<dyn Clock>, ids: Arc<dyn Ids>, auth: Auth, metrics: Metrics, facts: Facts) -> Self {
        let limiter = facts.rate_limit_per_min.map(Limiter::new);
        let (stopping, _) = watch::channel(false);
        let handlers = OnceLock::new();
        Self { clock, ids, auth, metrics, facts, limiter, handlers, stopping }
    }

    /// Lets requests through to the handlers. Happens once, when the store is open.
    pub fn open(&self, handlers: Router) {
        if self.handlers.set(handlers).is_err() {
            tracing::error!("the handlers were attached twice; the first ones stay");
        }
    }

    /// The handlers, for a request that one of them makes in the name of its own caller.
    pub fn handlers(&self) -> Option<Router> {
        self.handlers.get().cloned()
    }

    /// Turns true when the server stops. Long answers (streams) end when they see it.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub async fn pass(&self, request: Request, request_id: &Arc<str>) -> Response {
        let request = match body::arrived(request).await {
            Ok(request) => request,
            Err(error) => return error.into_response(),
        };
        match self.admit(request, request_id).await {
            Ok((request, handlers)) => match handlers.clone().call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            Err(failure) => ApiError(failure).into_response(),
        }
    }

    /// Whether the request would pass, as it is asked of every request; no handler runs.
    pub async fn would_admit(&self, request: Request) -> bool {
        self.admit(request, &Arc::from("dry-run")).await.is_ok()
    }

    async fn admit(&self, mut request: Request, request_id: &Arc<str>) -> Result<(Request, &Router), Failure> {
        alias::rewrite(&mut request);
        let now_ms = self.clock.now_ms();
        let door = door(request.method(), request.uri().path(), &self.facts);
        let credential = match door {
            Door::Public | Door::Intake => Credential::None,
            Door::Full => self.auth.identify(request.headers(), refusal_of_keys(request.uri().path()), now_ms).await?,
        };
        let tenant = match &credential {
            Credential::Named(token) => token.tenant.clone(),
            Credential::Boot | Credential::LocalPanel | Credential::None | Credential::DryRunKey => {
                TenantContext::local()
            }
        };
        if let (Some(limiter), Door::Full) = (&self.limiter, door) {
            limiter.admit(&tenant.key(), now_ms)?;
        }
        let handlers = self.handlers.get().ok_or_else(starting)?;
        if announced_length(request.headers()).is_some_and(|length| length > MAX_BODY as u64) {
            return Err(Failure::new(Code::ValidationFailed, "The body is larger than 10 MiB.").status(413));
        }
        let asserts_actor = self.auth.asserts_actor(&credential);
        request.extensions_mut().insert(Caller {
            credential,
            tenant,
            request_id: Arc::clone(request_id),
            now_ms,
            asserts_actor,
        });
        Ok((request, handlers))
    }
}

/// What a path asks of its caller before any handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Public,
    /// The intake path: its handler checks the key, and no full token is needed.
    Intake,
    Full,
}

/// Exact paths only: a trailing slash or a prefix is another path, and that needs a full token.
pub fn door(method: &Method, path: &str, facts: &Facts) -> Door {
    if method == Method::OPTIONS {
        return Door::Public;
    }
    let read = method == Method::GET || method == Method::HEAD;
    match path {
        "/global/health" | "/openapi.json" if read => Door::Public,
        // The browser that comes back from an authorisation has nothing but the state.
        tandem_app::RETURN_PATH if method == Method::GET => Door::Public,
        "/metrics" if read && facts.metrics_public => Door::Public,
        INTAKE_PATH => Door::Intake,
        _ => Door::Full,
    }
}

pub fn starting() -> Failure {
    let mut failure = Failure::new(Code::EngineStarting, "Engine starting: the store is being opened");
    failure.retry_after_s = Some(1);
    failure
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
