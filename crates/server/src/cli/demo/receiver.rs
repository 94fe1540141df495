//! A webhook receiver as a customer would write one: it keeps what arrives and checks both signatures with the secret
//! that it shares with the server.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, routing::post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tandem_core::publish::signature::{self, Refusal, Standard, TOLERANCE_MS};
use tokio::{net::TcpListener, sync::Notify};

use crate::cli::Fault;

#[derive(Clone)]
pub struct Delivery {
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Default)]
struct Inbox {
    deliveries: Mutex<Vec<Delivery>>,
    arrived: Notify,
}

pub struct Receiver {
    pub address: SocketAddr,
    inbox: Arc<Inbox>,
}

impl Receiver {
    pub async fn start() -> Result<Self, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let inbox = Arc::new(Inbox::default());
        let router = Router::new().route("/hooks/tandem", post(take)).with_state(Arc::clone(&inbox));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, inbox })
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks/tandem", self.address)
    }

    pub fn deliveries(&self) -> Vec<Delivery> {
        self.inbox.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first delivery, as soon as it is there.
    pub async fn first(&self, patience: Duration) -> Option<Delivery> {
        let wait = async {
            loop {
                let arrived = self.inbox.arrived.notified();
                if let Some(first) = self.deliveries().into_iter().next() {
                    return first;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(patience, wait).await.ok()
    }
}

async fn take(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    inbox.deliveries.lock().unwrap_or_else(PoisonError::into_inner).push(Delivery { headers, body });
    inbox.arrived.notify_waiters();
    StatusCode::ACCEPTED
}

impl Delivery {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks `x-tandem-signature` over these bytes.
    pub fn verify_tandem(&self, body: &[u8], secret: &str, now_ms: u64) -> Result<u64, Refusal> {
        signature::verify_tandem(self.header("x-tandem-signature"), body, &[secret], now_ms, TOLERANCE_MS)
    }

    /// Checks the Standard Webhooks headers over these bytes.
    pub fn verify_standard(&self, body: &[u8], secret: &str, now_ms: u64) -> Result<(), Refusal> {
        let standard = Standard {
            id: self.header("webhook-id").to_owned(),
            timestamp: self.header("webhook-timestamp").to_owned(),
            signature: self.header("webhook-signature").to_owned(),
        };
        signature::verify_standard(&standard, body, &[secret], now_ms, TOLERANCE_MS)
    }
}
