//! The demo as a user of the HTTP surface: one request on one connection, to the server on loopback.
//!
//! Deliberately absent: everything that reaches into the server. What the demo knows, it was told over HTTP.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::cli::Fault;

/// A publish may take ten seconds before it answers.
const PATIENCE: Duration = Duration::from_secs(15);

pub struct Client {
    pub address: SocketAddr,
    pub token: String,
}

/// Whose credential a request carries.
#[derive(Clone, Copy)]
pub enum As<'a> {
    /// The operator: the full token, named as a person.
    Operator,
    /// An agent: the full token, and the agent's name.
    Agent(&'a str),
    /// An executor: the full token and nothing else.
    Executor,
    /// A reporter: a scoped intake key.
    Reporter(&'a str),
    Nobody,
}

pub struct Answer {
    pub status: u16,
    pub bytes: Bytes,
    /// Null when the body is not JSON.
    pub body: Value,
}

impl Answer {
    /// The body of a successful answer; anything else ends the demo.
    pub fn ok(self, what: &str) -> Result<Value, Fault> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let said = String::from_utf8_lossy(&self.bytes);
        Err(Fault(format!("{what}: the server answered {}: {}", self.status, super::output::clip(&said, 600))))
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl Client {
    pub async fn get(&self, path: &str) -> Result<Value, Fault> {
        self.send(Method::GET, path, As::Operator, None).await?.ok(path)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Fault> {
        self.send(Method::POST, path, As::Operator, Some(body)).await?.ok(path)
    }

    pub async fn send(&self, method: Method, path: &str, who: As<'_>, body: Option<&Value>) -> Result<Answer, Fault> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, self.address.to_string());
        request = match who {
            As::Operator => request
                .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
                .header("x-tandem-request-source", "control_panel")
                .header("x-tandem-actor-id", "demo-operator"),
            As::Agent(id) => {
                request.header(header::AUTHORIZATION, format!("Bearer {}", self.token)).header("x-tandem-agent-id", id)
            }
            As::Executor => request.header(header::AUTHORIZATION, format!("Bearer {}", self.token)),
            As::Reporter(key) => request.header("x-tandem-incident-monitor-intake-key", key),
            As::Nobody => request,
        };
        let bytes = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let asked = self.exchange(request.body(Full::new(bytes))?);
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault(format!("{path}: no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Fault> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driven = tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await?.to_bytes();
        drop(sender);
        driven.abort();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Answer { status, bytes, body })
    }
}
