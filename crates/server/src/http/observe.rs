//! What is noted of every request: gives it its id, turns a panic into an answer, renders refusals, counts and times, and
//! writes one access line. It logs the route's template, never the path, the query, a header or a body.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tandem_core::error::Code;

use super::{
    answer::{ApiError, settle},
    gate::Gate,
    request_id,
};
use crate::telemetry::metrics::{Counter, Family, Gauge, Histogram, Metrics};

/// Request ids travel inwards as an extension.
#[derive(Clone)]
pub struct RequestId(pub Arc<str>);

pub struct Observer {
    gate: Arc<Gate>,
    requests: Family<Counter>,
    seconds: Family<Histogram>,
    in_flight: Gauge,
}

impl Observer {
    pub fn new(gate: Arc<Gate>) -> Self {
        let metrics: &Metrics = &gate.metrics;
        Self {
            requests: metrics.counters(
                "tandem_http_requests_total",
                "Answered requests.",
                &["method", "route", "status"],
            ),
            seconds: metrics.latencies(
                "tandem_http_request_duration_seconds",
                "Time from the request's head to the answer's head.",
                &["method", "route"],
            ),
            in_flight: metrics.gauge("tandem_http_requests_in_flight", "Requests being answered."),
            gate,
        }
    }

    /// Notes a request on its way in and gives it its id.
    pub fn asked(&self, request: &mut Request) -> Asked {
        let id: Arc<str> = match request_id::given(request.headers()) {
            Some(id) => id.into(),
            None => self.gate.ids.fresh().into(),
        };
        request.extensions_mut().insert(RequestId(Arc::clone(&id)));
        let method = method_label(request.method());
        Asked { id, method, started: Instant::now(), running: Running::start(&self.in_flight) }
    }

    /// Notes what became of it and dresses the answer; there is none where a handler panicked.
    pub fn answered(&self, asked: Asked, answer: Option<Response>) -> Response {
        let Asked { id, method, started, running } = asked;
        drop(running);
        let mut response = answer.unwrap_or_else(|| {
            tracing::error!(target: "tandem::http", request_id = %id, "a handler panicked");
            ApiError::of(Code::Internal).into_response()
        });
        let route = response.extensions_mut().remove::<MatchedPath>();
        let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
        let mut response = settle(response, &id);
        dress(&mut response, &id);
        let status = response.status();
        let took = started.elapsed();
        self.requests.with(&[method, route, status.as_str()]).inc();
        self.seconds.with(&[method, route]).observe(took.as_secs_f64());
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let status = status.as_u16();
        match (status, route) {
            (500.., _) => {
                tracing::warn!(target: "tandem::http", request_id = %id, method, route, status, micros, "request")
            }
            (_, "/global/health" | "/metrics") => {
                tracing::debug!(target: "tandem::http", request_id = %id, method, route, status, micros, "request");
            }
            _ => tracing::info!(target: "tandem::http", request_id = %id, method, route, status, micros, "request"),
        }
        response
    }
}

/// A request that is being answered.
pub struct Asked {
    id: Arc<str>,
    method: &'static str,
    started: Instant,
    running: Running,
}

impl Asked {
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }
}

/// Counts a request for as long as it runs, also when its connection dies under it.
struct Running(Gauge);

impl Running {
    fn start(gauge: &Gauge) -> Self {
        gauge.add(1);
        Self(gauge.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

/// A layer inside the router, where the matched template is known: hands it outwards.
pub async fn note_route(request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(matched) = matched {
        response.extensions_mut().insert(matched);
    }
    response
}

/// Headers that every answer carries.
fn dress(response: &mut Response, id: &str) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(request_id::HEADER, id);
    }
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    // Answers belong to one credential at one moment; nobody between us and the client may keep them.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// A closed set, so that a caller cannot make series by inventing methods.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
