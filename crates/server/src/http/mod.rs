//! The HTTP surface: one file per resource, its router beside its handlers; the layers around them here.
//!
//! A resource adds itself with one line in [`routes`]. Routers are [`OpenApiRouter`]s only, so that a route which the
//! document does not list cannot be written; a test compares both sets.

pub mod alias;
pub mod answer;
mod audit;
mod authority;
mod automation_events;
mod automations;
mod config;
mod context;
pub mod cors;
mod custody;
pub mod document;
mod doors;
mod drafts;
mod executors;
mod fallback;
mod front;
pub mod gate;
mod glossary;
mod governance;
pub mod health;
mod incidents;
mod keys;
pub mod limit;
mod lists;
mod log_sources;
mod mcp;
mod meta;
mod meters;
mod observe;
mod posts;
mod reports;
pub mod request_id;
mod rpc;
mod runs;
mod security;
pub mod state;
mod status;
#[cfg(test)]
mod tests;
mod tokens;
mod unavailable;

use std::sync::Arc;

use axum::{Router, middleware};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::front::Front;
use self::state::AppState;

/// Every route of the server.
fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(meta::metrics))
        .routes(routes!(meta::openapi))
        .merge(reports::router())
        .merge(keys::router())
        .merge(incidents::router())
        .merge(drafts::router())
        .merge(posts::router())
        .merge(status::router())
        .merge(config::router())
        .merge(log_sources::router())
        .merge(mcp::router())
        .merge(rpc::router())
        .merge(audit::router())
        .merge(custody::router())
        .merge(security::router())
        .merge(context::router())
        .merge(authority::router())
        .merge(tokens::router())
        .merge(governance::router())
        .merge(automations::router())
        .merge(runs::router())
        .merge(executors::router())
        .merge(automation_events::router())
        .merge(unavailable::router())
}

/// The API document of this binary.
pub fn document() -> utoipa::openapi::OpenApi {
    document::finish(routes().split_for_parts().1)
}

/// The handlers behind the gate.
pub fn handlers(state: AppState) -> Router {
    let (router, _) = routes().split_for_parts();
    state.app.open_doors(Arc::new(doors::Knocker::new(&state.gate)));
    router
        .fallback(fallback::unknown_path)
        .method_not_allowed_fallback(fallback::wrong_method)
        .layer(middleware::from_fn(observe::note_route))
        .with_state(state)
}
