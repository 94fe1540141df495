//! The product's name from before its rename. `/bug-monitor/<x>` and `/config/bug-monitor` are rewritten to today's
//! paths before anything else looks at them, so both names share every rule and every handler. Handlers whose bodies
//! carry the name (config, pause, resume) ask for the [`Dialect`] that the caller spoke.

use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, Request},
    http::{Uri, request::Parts, uri::PathAndQuery},
};

/// Which name the caller used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    IncidentMonitor,
    BugMonitor,
}

impl Dialect {
    /// The key that wraps a configuration.
    pub fn wrapper(self) -> &'static str {
        match self {
            Self::IncidentMonitor => "incident_monitor",
            Self::BugMonitor => "bug_monitor",
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Dialect {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(Self::IncidentMonitor))
    }
}

/// Today's path for an old one.
pub fn current(path: &str) -> Option<String> {
    if path == "/config/bug-monitor" {
        return Some("/config/incident-monitor".into());
    }
    let rest = path.strip_prefix("/bug-monitor")?;
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("/incident-monitor{rest}"))
}

/// The old path of one of today's, for the API document.
pub fn former(path: &str) -> Option<String> {
    if path == "/config/incident-monitor" {
        return Some("/config/bug-monitor".into());
    }
    path.strip_prefix("/incident-monitor/").map(|rest| format!("/bug-monitor/{rest}"))
}

pub fn rewrite(request: &mut Request) {
    let Some(mut path) = current(request.uri().path()) else { return };
    if let Some(query) = request.uri().query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(path).ok();
    // A path that was valid stays valid under another prefix; were it not, it would simply remain unknown.
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(Dialect::BugMonitor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_segments_are_aliases() {
        let cases = [
            ("/bug-monitor/drafts/x%2Fy", Some("/incident-monitor/drafts/x%2Fy")),
            ("/bug-monitor", Some("/incident-monitor")),
            ("/config/bug-monitor", Some("/config/incident-monitor")),
            ("/config/bug-monitor/", None),
            ("/bug-monitors", None),
            ("/api/bug-monitor/drafts", None),
        ];
        for (old, new) in cases {
            assert_eq!(current(old).as_deref(), new, "{old}");
        }
        let mut request = Request::get("/bug-monitor/posts?limit=3").body(axum::body::Body::empty()).unwrap();
        rewrite(&mut request);
        assert_eq!(request.uri(), "/incident-monitor/posts?limit=3");
    }
}
