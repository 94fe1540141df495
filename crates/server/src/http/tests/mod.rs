//! The layers and extractors, through the whole router, over a store in memory.

mod fake_store;
mod pipeline;
mod tokens;

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, body::Body, http::Request, response::Response};
use http_body_util::BodyExt;
use serde_json::Value;
use tandem_app::{App, Ports};
use tandem_core::{
    config::Config,
    ports::{Clock, Secret},
};
use tandem_outbound::{secrets::EnvSecrets, workspace::LocalWorkspace};
use tower::ServiceExt;

use self::fake_store::FakeStore;
use super::{
    Front,
    gate::{Facts, Gate},
    handlers,
    state::AppState,
};
use crate::{
    boot::{
        outbound::{self, Drivers},
        system::SystemIds,
    },
    extract::auth::Auth,
    telemetry::metrics::Metrics,
};

/// The token that the server was started with.
const TOKEN: &str = "boot-token";
const NOW_MS: u64 = 1_700_000_000_000;

struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> u64 {
        NOW_MS
    }
}

struct Server {
    front: Front,
    gate: Arc<Gate>,
    store: Arc<FakeStore>,
}

struct Setup {
    token: Option<&'static str>,
    open: bool,
    facts: Facts,
}

impl Default for Setup {
    fn default() -> Self {
        Self { token: Some(TOKEN), open: true, facts: Facts::default() }
    }
}

impl Setup {
    fn build(self) -> Server {
        let store = Arc::new(FakeStore::default());
        let secret = self.token.map(Secret::new);
        let auth = Auth::new(secret.as_ref(), true, self.facts.cors_origins.clone());
        let gate = Arc::new(Gate::new(Arc::new(Fixed), Arc::new(SystemIds), auth, Metrics::default(), self.facts));
        if self.open {
            gate.auth.attach(Arc::clone(&store) as _);
            let app = App::new(
                Ports {
                    store: Arc::clone(&store) as _,
                    clock: Arc::new(Fixed),
                    ids: Arc::new(SystemIds),
                    secrets: Arc::new(EnvSecrets),
                    outbound: Arc::new(Drivers::new(
                        outbound::egress(),
                        std::path::Path::new("unused"),
                        "unused".into(),
                        Arc::new(Fixed),
                    )),
                    workspace: Arc::new(LocalWorkspace::default()),
                    logs: Arc::new(crate::boot::logs::Logs::new()),
                    mcp: Arc::new(outbound::mcp(outbound::egress(), "unused".into(), "unused".into(), Arc::new(Fixed))),
                    background: crate::boot::system::step_back,
                    audit_seed: None,
                },
                Config::default(),
            );
            gate.open(handlers(AppState::new(app, Arc::clone(&store) as _, Arc::clone(&gate))));
        }
        Server { front: Front::new(Arc::clone(&gate)), gate, store }
    }
}

/// An answer, read.
struct Seen {
    status: u16,
    headers: BTreeMap<String, String>,
    text: String,
}

impl Seen {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {} {:?}", self.status, self.text))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Status and code of a refusal, after checking that the envelope is whole.
    fn refusal(&self) -> (u16, String) {
        let body = self.json();
        assert!(body["error"].is_string() && body["retryable"].is_boolean(), "{body}");
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"), "{body}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        (self.status, body["code"].as_str().unwrap_or_default().to_owned())
    }
}

type Headers<'a> = &'a [(&'a str, &'a str)];

impl Server {
    async fn raw(&self, request: Request<Body>) -> Seen {
        Seen::of(self.front.clone().oneshot(request).await.unwrap()).await
    }

    /// A request exactly as given.
    async fn send(&self, method: &str, path: &str, headers: Headers<'_>, body: impl Into<Body>) -> Seen {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.raw(request.body(body.into()).unwrap()).await
    }

    /// With the boot token, and JSON when there is a body.
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Seen {
        self.call_with(method, path, TOKEN, &[], body).await
    }

    async fn call_with(&self, method: &str, path: &str, token: &str, more: Headers<'_>, body: Option<Value>) -> Seen {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend_from_slice(more);
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        self.send(method, path, &headers, body.map_or(Body::empty(), |body| body.to_string().into())).await
    }
}
