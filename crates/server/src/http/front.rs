//! What the listener serves from its first connection on: the observer, cross-origin answers where they are allowed, and
//! the gate.
//!
//! A service of its own instead of a router with layers: every request passes here, and each layer would copy itself and
//! allocate for each of them.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    extract::Request,
    response::Response,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_http::cors::Cors;

use super::{
    cors,
    gate::Gate,
    observe::{Observer, RequestId},
};

#[derive(Clone)]
pub struct Front(Arc<Parts>);

struct Parts {
    observer: Observer,
    gate: Arc<Gate>,
    cors: Option<Cors<Pass>>,
}

impl Front {
    pub fn new(gate: Arc<Gate>) -> Self {
        let cors = cors::layer(&gate.facts.cors_origins).map(|layer| layer.layer(Pass(Arc::clone(&gate))));
        Self(Arc::new(Parts { observer: Observer::new(Arc::clone(&gate)), gate, cors }))
    }

    async fn answer(self, mut request: Request) -> Response {
        let Parts { observer, gate, cors } = &*self.0;
        let asked = observer.asked(&mut request);
        let answered = AssertUnwindSafe(async {
            match cors {
                None => gate.pass(request, asked.id()).await,
                Some(cors) => match cors.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                },
            }
        });
        let answer = answered.catch_unwind().await.ok();
        observer.answered(asked, answer)
    }
}

impl<B> Service<http::Request<B>> for Front
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        Box::pin(self.clone().answer(request.map(Body::new)).map(Ok))
    }
}

/// The gate as the service that a layer wants.
#[derive(Clone)]
struct Pass(Arc<Gate>);

impl Service<Request> for Pass {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let gate = Arc::clone(&self.0);
        Box::pin(async move {
            let id = request.extensions().get::<RequestId>().map_or_else(Arc::default, |id| Arc::clone(&id.0));
            Ok(gate.pass(request, &id).await)
        })
    }
}
