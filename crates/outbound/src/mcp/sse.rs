//! The older HTTP transport of the protocol: a standing stream of events for what the server says, and an address,
//! named by the first event, that takes what we say.
//!
//! Used only where a server refuses the newer one. The address must be of the stream's own origin: a server cannot
//! have our token sent elsewhere. The stream has no end in time; each event on it is bounded in bytes. Deliberately
//! absent: taking up a stream that broke, because what was said on it meanwhile is lost; the connection is made anew.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use reqwest::Url;
use rmcp::{
    RoleClient,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::{Transport, streamable_http_client::SseError},
};
use sse_stream::{Sse, SseStream};
use tandem_core::mcp::{ToolError, ToolFault};

use super::{
    MESSAGE_BYTES,
    http::{Http, Refusal, Seen},
};
use crate::failure::{Code, Failure};

/// A connection over the older transport.
pub(super) struct Events {
    http: Http,
    place: Arc<str>,
    stream: BoxStream<'static, Result<Sse, SseError>>,
    seen: Seen,
}

impl Events {
    /// Opens the stream and waits for the address.
    pub(super) async fn open(http: Http, url: &str, seen: Seen) -> Result<Self, ToolError> {
        let base = Url::parse(url).map_err(|_| ToolError::unsent(ToolFault::Refused, "the address is no URL"))?;
        let response = http.stream(url).await.map_err(|error| super::answer::http(&error))?;
        let bytes = bounded(response.bytes_stream(), seen.clone());
        let mut stream = SseStream::from_bytes_stream(bytes).boxed();
        let malformed = |why: &str| ToolError::unsent(ToolFault::Malformed, why);
        loop {
            let Some(Ok(event)) = stream.next().await else {
                return Err(malformed("the stream of events broke off before it named an address"));
            };
            if event.event.as_deref() != Some("endpoint") {
                continue;
            }
            let place = event.data.as_deref().and_then(|data| base.join(data.trim()).ok());
            let place = place.ok_or_else(|| malformed("the address that the stream of events names is no URL"))?;
            if place.origin() != base.origin() {
                return Err(ToolError::unsent(
                    ToolFault::Refused,
                    "the stream of events names another server's address",
                ));
            }
            return Ok(Self { http, place: place.as_str().into(), stream, seen });
        }
    }
}

impl Transport<RoleClient> for Events {
    type Error = Refusal;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let (http, place) = (self.http.clone(), Arc::clone(&self.place));
        async move {
            let message: ClientJsonRpcMessage = item;
            http.say(&place, &message).await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let event = match self.stream.next().await? {
                Ok(event) => event,
                Err(_) => return None,
            };
            if event.event.as_deref().is_some_and(|name| name != "message") {
                continue;
            }
            let Some(data) = event.data.as_deref().filter(|data| !data.trim().is_empty()) else { continue };
            match serde_json::from_str::<ServerJsonRpcMessage>(data) {
                Ok(message) => return Some(message),
                // Whoever waits for an answer that cannot be read is told so by the time that it takes.
                Err(_) => self.seen.note(ToolFault::Malformed, "an event is no JSON-RPC message".into()),
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.stream = futures_util::stream::empty().boxed();
        Ok(())
    }
}

/// Ends a stream when an event on it goes over the limit, or when it breaks, and says so where the caller looks.
fn bounded<S>(stream: S, seen: Seen) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static
where
    S: Stream<Item = Result<Bytes, reqwest::Error>> + Send + 'static,
{
    let ended = Arc::new(Mutex::new(false));
    let mut since = 0usize;
    stream.boxed().scan((), move |(), chunk| {
        let mut over = ended.lock().unwrap_or_else(PoisonError::into_inner);
        let item = match chunk {
            _ if *over => None,
            Ok(chunk) => {
                since = match last_blank_line(&chunk) {
                    Some(end) => chunk.len() - end,
                    None => since + chunk.len(),
                };
                if since > MESSAGE_BYTES {
                    *over = true;
                    seen.note(ToolFault::AnswerTooLarge, format!("an event is over {MESSAGE_BYTES} bytes"));
                    Some(Err(Failure::of(Code::PayloadTooLarge)))
                } else {
                    Some(Ok(chunk))
                }
            }
            Err(_) => {
                *over = true;
                seen.note(ToolFault::ConnectionLost, Code::ConnectionLost.meaning().to_owned());
                Some(Err(Failure::of(Code::ConnectionLost)))
            }
        };
        std::future::ready(item)
    })
}

/// Where the last event that ends in this chunk ends.
fn last_blank_line(chunk: &[u8]) -> Option<usize> {
    let ends: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
    ends.iter()
        .filter_map(|end| chunk.windows(end.len()).rposition(|window| window == *end).map(|at| at + end.len()))
        .max()
}
