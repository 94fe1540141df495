//! What the server says about itself: log lines and metrics. Neither ever carries a body, a token or a query string.

pub mod log;
pub mod metrics;
