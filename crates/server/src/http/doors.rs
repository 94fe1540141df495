//! Every privileged door of this server, tried with a scoped intake key.
//!
//! The key is made for it and opens nothing. It is shown to the gate in each way that a key can be presented; the gate
//! only says whether it would let the request in. Then, as if the gate had been passed with a key, it is shown to the
//! permission of each handler. A handler that would run ends there, so nothing is read or changed, whatever the answer.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock, Weak},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, header},
};
use tandem_app::assess::Doors;
use tandem_core::{ports::BoxFuture, tenant::TenantContext};
use tandem_posture::probes::{DoorReport, OpenDoor};
use tower::Service;

use super::{
    document::{self, operations},
    gate::{self, Door, Gate},
};
use crate::extract::{
    caller::{Caller, Credential},
    carriers::INTAKE_PREFIXES,
};

/// The handlers of these ask for nothing more than the gate.
const GATE_ONLY: [&str; 1] = ["/metrics"];
const KEY_HEADER: &str = "x-tandem-incident-monitor-intake-key";

pub struct Knocker {
    // The gate holds the handlers, and they hold this.
    gate: Weak<Gate>,
}

impl Knocker {
    pub fn new(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::downgrade(gate) }
    }
}

impl Doors for Knocker {
    fn knock(&self) -> BoxFuture<'_, DoorReport> {
        Box::pin(async move {
            match self.gate.upgrade() {
                Some(gate) => knock(&gate).await,
                None => DoorReport::default(),
            }
        })
    }
}

/// Every route, with something in the place of its parameters.
fn doors() -> &'static [(Method, String)] {
    static DOORS: OnceLock<Vec<(Method, String)>> = OnceLock::new();
    DOORS.get_or_init(|| {
        let (_, mut document) = super::routes().split_for_parts();
        let method = |method| match method {
            document::Method::Get => Method::GET,
            document::Method::Put => Method::PUT,
            document::Method::Post => Method::POST,
            document::Method::Delete => Method::DELETE,
            document::Method::Patch => Method::PATCH,
        };
        let paths = document.paths.paths.iter_mut();
        paths
            .flat_map(|(path, item)| {
                let path = concrete(path);
                operations(item).into_iter().map(move |(word, _)| (method(word), path.clone()))
            })
            .collect()
    })
}

fn concrete(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "dry-run" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

async fn knock(gate: &Gate) -> DoorReport {
    let key = format!("{}{}", INTAKE_PREFIXES[0], hex::encode(gate.ids.secret()));
    let handlers = gate.handlers();
    let mut report = DoorReport::default();
    let privileged = |method: &Method, path: &str| gate::door(method, path, &gate.facts) == Door::Full;
    for (method, path) in doors().iter().filter(|(method, path)| privileged(method, path)) {
        let mut tried = Vec::with_capacity(3);
        for (carrier, name, value) in
            [("header", KEY_HEADER, key.clone()), ("bearer", header::AUTHORIZATION.as_str(), format!("Bearer {key}"))]
        {
            let request = Request::builder().method(method).uri(path).header(name, value).body(Body::empty());
            tried.push((
                carrier,
                match request {
                    Ok(request) => gate.would_admit(request).await,
                    Err(_) => true,
                },
            ));
        }
        if let Some(handlers) = handlers.as_ref().filter(|_| !GATE_ONLY.contains(&path.as_str())) {
            tried.push(("handler", passes(handlers.clone(), method, path, &key, gate.clock.now_ms()).await));
        }
        for (carrier, open) in tried {
            report.tried += 1;
            if open {
                let (method, path, carrier) = (method.to_string(), path.clone(), carrier.to_owned());
                report.open.push(OpenDoor { method, path, carrier });
            }
        }
    }
    report
}

/// Whether the handler's permission is content with a key.
async fn passes(mut handlers: Router, method: &Method, path: &str, key: &str, now_ms: u64) -> bool {
    let caller = Caller {
        credential: Credential::DryRunKey,
        tenant: TenantContext::local(),
        request_id: Arc::from("dry-run"),
        now_ms,
        asserts_actor: false,
    };
    let request = Request::builder().method(method).uri(path).header(KEY_HEADER, key).extension(caller);
    let Ok(request) = request.body(Body::empty()) else { return true };
    let answer: Result<_, Infallible> = handlers.call(request).await;
    match answer {
        Ok(response) => !matches!(response.status().as_u16(), 401 | 403),
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};

    use super::*;
    use crate::extract::{Anyone, Decider, IntakeAuth, Operator};

    #[tokio::test]
    async fn a_door_that_is_open_is_seen_and_not_entered() {
        async fn entered() {
            panic!("a dry run went in");
        }
        let router = Router::new()
            .route("/operator", post(|_: Operator| entered()))
            .route("/decider", get(|_: Decider| entered()))
            .route("/anyone", post(|_: Anyone| entered()))
            .route("/intake", get(|_: IntakeAuth| entered()));
        for (method, path, open) in [
            (Method::POST, "/operator", false),
            (Method::GET, "/decider", false),
            (Method::POST, "/anyone", true),
            (Method::GET, "/intake", true),
        ] {
            assert_eq!(passes(router.clone(), &method, path, "tim_intake_x", 1).await, open, "{path}");
        }
    }

    #[test]
    fn every_route_is_a_door() {
        let all = doors();
        assert!(all.len() > 100, "{}", all.len());
        assert!(all.iter().all(|(_, path)| !path.contains('{')));
        assert!(
            all.iter().any(|(method, path)| *method == Method::DELETE && path == "/incident-monitor/drafts/dry-run")
        );
    }
}
