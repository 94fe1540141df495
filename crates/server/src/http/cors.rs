//! Which browser origins may read answers: those of `TANDEM_CORS_ORIGINS`, none by default.

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// `None` when no origin is allowed: then `OPTIONS` is a method like any other.
pub fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let name = HeaderName::from_static;
    Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_MATCH,
                header::IF_NONE_MATCH,
                name("idempotency-key"),
                name("last-event-id"),
                name("x-agent-token"),
                name("x-tandem-token"),
                name("x-tandem-incident-monitor-intake-key"),
                name("x-tandem-bug-monitor-intake-key"),
                name("x-tandem-actor-id"),
                name("x-tandem-agent-id"),
                name("x-tandem-request-source"),
                name("x-tandem-agent-ancestor-ids"),
                name("x-tandem-approval-id"),
                name("x-tandem-run-id"),
                super::request_id::HEADER,
            ])
            .expose_headers([header::ETAG, header::RETRY_AFTER, super::request_id::HEADER])
            .max_age(std::time::Duration::from_secs(600)),
    )
}
