//! Streamable HTTP for the protocol layer, over the guarded way out.
//!
//! Deliberately absent: the stream that a server may push on at any time (a refresh asks instead), and redirects.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use reqwest::{
    Method, Request, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, ErrorData, ServerJsonRpcMessage},
    transport::streamable_http_client::{
        AuthRequiredError, HttpStatusError, InsufficientScopeError, SseError, StreamableHttpClient,
        StreamableHttpError as E, StreamableHttpPostResponse as Posted,
    },
};
use sse_stream::{Sse, SseStream};
use tandem_core::{
    mcp::{ToolError, ToolFault},
    ports::{Clock, Dial},
};

use super::{MESSAGE_BYTES, oauth::Grants};
use crate::{
    egress::Egress,
    failure::{Code, Failure},
};

const ERROR_BYTES: usize = 64 * 1024;
/// Of one request and its whole answer. Calls have shorter limits of their own.
const REQUEST: Duration = Duration::from_secs(120);
const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";

/// What went wrong on the wire while the protocol layer only sees that nothing came.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Option<ToolError>>>);

impl Seen {
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
    pub(super) fn take(&self) -> Option<ToolError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
    pub(super) fn note(&self, fault: ToolFault, detail: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ToolError::sent(fault, detail));
    }
}

/// The token of an authorisation, asked for with every request, because it may have been refreshed.
#[derive(Clone)]
pub(super) struct Bearer {
    pub grants: Arc<Grants>,
    pub clock: Arc<dyn Clock>,
    pub key: String,
}

#[derive(Clone)]
pub(super) struct Http {
    egress: Arc<Egress>,
    allow_private: bool,
    headers: HeaderMap,
    bearer: Bearer,
    seen: Seen,
}

/// Why a message was not taken, as the protocol layer has it.
pub(super) type Refusal = E<Failure>;
type Result<T> = std::result::Result<T, Refusal>;

impl Http {
    pub(super) fn new(
        egress: Arc<Egress>,
        dial: &Dial,
        bearer: Bearer,
        seen: Seen,
    ) -> std::result::Result<Self, ToolError> {
        let bad = |_| ToolError::unsent(ToolFault::SecretUnavailable, "a header's value cannot stand in a header");
        let mut headers = HeaderMap::new();
        for (name, value) in &dial.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| ToolError::unsent(ToolFault::SecretUnavailable, "a header's name is none"))?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(bad)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self { egress, allow_private: dial.allow_private_networks, headers, bearer, seen })
    }

    async fn send(
        &self,
        method: Method,
        uri: &str,
        session: Option<&str>,
        more: HashMap<HeaderName, HeaderValue>,
        body: Option<Vec<u8>>,
        limit: Option<Duration>,
    ) -> Result<Response> {
        let url = Url::parse(uri).map_err(|_| E::Client(Failure::of(Code::UrlInvalid)))?;
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        headers.extend(more);
        if let Some(session) = session {
            let value = HeaderValue::from_str(session).map_err(|_| E::Client(Failure::of(Code::RequestInvalid)))?;
            headers.insert(HeaderName::from_static("mcp-session-id"), value);
        }
        headers.extend(self.headers.clone());
        // An operator's own header wins.
        if !headers.contains_key(AUTHORIZATION) {
            let Bearer { grants, clock, key } = &self.bearer;
            let token = grants.bearer(key, request.url(), self.allow_private, clock.now_ms()).await;
            // Without its token a request is another one, perhaps one that a server serves: it is not sent at all.
            if let Some(token) = token.map_err(E::Client)? {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                    .map_err(|_| E::Client(Failure::of(Code::RequestInvalid)))?;
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
            }
        }
        *request.timeout_mut() = limit;
        if let Some(body) = body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            *request.body_mut() = Some(body.into());
        }
        self.egress.send(request, self.allow_private).await.map_err(E::Client)
    }

    /// Opens the standing stream of the older transport.
    pub(super) async fn stream(&self, uri: &str) -> Result<Response> {
        let response = self.send(Method::GET, uri, None, HashMap::new(), None, None).await?;
        if let Some(error) = refused(&response) {
            return Err(error);
        }
        if !response.status().is_success() {
            return Err(HttpStatusError::new(response.status().as_u16(), text(&response, RETRY_AFTER)).into());
        }
        if !is(&response, EVENTS) {
            return Err(E::UnexpectedContentType(None));
        }
        Ok(response)
    }

    /// Says something over the older transport. The answer comes on the stream.
    pub(super) async fn say(&self, uri: &str, message: &ClientJsonRpcMessage) -> Result<()> {
        let sent = serde_json::to_vec(message)?;
        let response = self.send(Method::POST, uri, None, HashMap::new(), Some(sent), Some(REQUEST)).await?;
        if let Some(error) = refused(&response) {
            return Err(error);
        }
        if !response.status().is_success() {
            return Err(HttpStatusError::new(response.status().as_u16(), text(&response, RETRY_AFTER)).into());
        }
        Ok(())
    }

    fn events(&self, response: Response) -> BoxStream<'static, std::result::Result<Sse, SseError>> {
        SseStream::from_bytes_stream(bounded(response.bytes_stream(), self.seen.clone())).boxed()
    }
}

/// Ends a stream that goes over the limit, and says so where the caller looks.
fn bounded<S>(stream: S, seen: Seen) -> impl Stream<Item = std::result::Result<Bytes, Failure>> + Send + 'static
where
    S: Stream<Item = std::result::Result<Bytes, reqwest::Error>> + Send + 'static,
{
    let mut left = MESSAGE_BYTES;
    let mut over = false;
    stream.boxed().scan((), move |(), chunk| {
        let item = match chunk {
            _ if over => None,
            Ok(chunk) if chunk.len() <= left => {
                left -= chunk.len();
                Some(Ok(chunk))
            }
            Ok(_) => {
                over = true;
                seen.note(ToolFault::AnswerTooLarge, format!("the answer is over {MESSAGE_BYTES} bytes"));
                Some(Err(Failure::of(Code::PayloadTooLarge)))
            }
            Err(error) => {
                over = true;
                seen.note(ToolFault::ConnectionLost, Code::ConnectionLost.meaning().to_owned());
                Some(Err(Failure::because(
                    Code::ConnectionLost,
                    if error.is_timeout() { "too slow" } else { "broken" },
                )))
            }
        };
        std::future::ready(item)
    })
}

/// The whole body, or what is wrong with it.
pub(super) async fn body(response: Response, limit: usize) -> Result<Vec<u8>> {
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(E::ResponseBodyTooLarge { max_size: limit });
    }
    let mut out = BytesMut::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| E::Client(Failure::of(Code::ConnectionLost)))?;
        if chunk.len() > limit - out.len() {
            return Err(E::ResponseBodyTooLarge { max_size: limit });
        }
        out.extend_from_slice(&chunk);
    }
    Ok(out.to_vec())
}

fn is(response: &Response, media_type: &str) -> bool {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.trim_start().to_ascii_lowercase().starts_with(media_type)
}

fn text(response: &Response, name: HeaderName) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The refusals that have a meaning of their own.
fn refused(response: &Response) -> Option<E<Failure>> {
    let status = response.status();
    let challenge = text(response, WWW_AUTHENTICATE);
    if status == StatusCode::UNAUTHORIZED {
        return Some(E::AuthRequired(AuthRequiredError::new(challenge.unwrap_or_default())));
    }
    if status == StatusCode::FORBIDDEN {
        return Some(E::InsufficientScope(InsufficientScopeError::new(challenge.unwrap_or_default(), None)));
    }
    if status.is_redirection() {
        return Some(E::Client(Failure::of(Code::Redirect)));
    }
    None
}

impl StreamableHttpClient for Http {
    type Error = Failure;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Posted> {
        let sent = serde_json::to_vec(&message)?;
        let response =
            self.send(Method::POST, &uri, session_id.as_deref(), custom_headers, Some(sent), Some(REQUEST)).await?;
        if let Some(error) = refused(&response) {
            return Err(error);
        }
        let status = response.status();
        let expects_answer = matches!(message, ClientJsonRpcMessage::Request(_));
        if status == StatusCode::ACCEPTED || status == StatusCode::NO_CONTENT {
            return Ok(Posted::Accepted);
        }
        if status == StatusCode::NOT_FOUND && session_id.is_some() {
            return Err(E::SessionExpired);
        }
        let session = text(&response, HeaderName::from_static("mcp-session-id"));
        if !status.is_success() {
            let failed = HttpStatusError::new(status.as_u16(), text(&response, RETRY_AFTER));
            let json = is(&response, JSON);
            let read = body(response, ERROR_BYTES).await.unwrap_or_default();
            let told = json.then(|| serde_json::from_slice::<ServerJsonRpcMessage>(&read).ok()).flatten();
            let told = told.and_then(|message| match message {
                ServerJsonRpcMessage::Error(error) => Some(error.error),
                _ => None,
            });
            // An older server does not know the question that newer ones are asked first. Its refusal, in whichever
            // form, is an answer to that question; without the question's id nobody would recognise it as one.
            if let ClientJsonRpcMessage::Request(request) = &message
                && matches!(request.request, ClientRequest::DiscoverRequest(_))
                && session_id.is_none()
                && status.is_client_error()
            {
                let error = told.unwrap_or_else(|| ErrorData::invalid_request(format!("HTTP {status}"), None));
                return Ok(Posted::Json(ServerJsonRpcMessage::error(error, Some(request.id.clone())), None));
            }
            return match (told, &message) {
                (Some(error), ClientJsonRpcMessage::Request(request)) if status != StatusCode::TOO_MANY_REQUESTS => {
                    Ok(Posted::Json(ServerJsonRpcMessage::error(error, Some(request.id.clone())), session))
                }
                _ => Err(failed.into()),
            };
        }
        if is(&response, EVENTS) {
            return Ok(Posted::Sse(self.events(response), session));
        }
        if !expects_answer {
            return Ok(Posted::Accepted);
        }
        if !is(&response, JSON) {
            return Err(E::UnexpectedContentType(None));
        }
        let read = body(response, MESSAGE_BYTES).await?;
        serde_json::from_slice(&read)
            .map(|message| Posted::Json(message, session))
            // Not the body's text: it is the server's, and this ends in rows that people read.
            .map_err(|_| E::UnexpectedServerResponse("the answer is no JSON-RPC message".into()))
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<()> {
        self.send(Method::DELETE, &uri, Some(&session_id), custom_headers, None, Some(REQUEST)).await.map(|_| ())
    }

    /// Only to go on with an answer that broke off. The standing stream for pushed messages is never opened.
    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        mut custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, std::result::Result<Sse, SseError>>> {
        let Some(last) = last_event_id else { return Err(E::ServerDoesNotSupportSse) };
        let value = HeaderValue::from_str(&last).map_err(|_| E::Client(Failure::of(Code::RequestInvalid)))?;
        custom_headers.insert(HeaderName::from_static("last-event-id"), value);
        let response = self.send(Method::GET, &uri, session_id.as_deref(), custom_headers, None, Some(REQUEST)).await?;
        if let Some(error) = refused(&response) {
            return Err(error);
        }
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            return Err(E::ServerDoesNotSupportSse);
        }
        if !response.status().is_success() {
            return Err(HttpStatusError::new(response.status().as_u16(), text(&response, RETRY_AFTER)).into());
        }
        if !is(&response, EVENTS) {
            return Err(E::UnexpectedContentType(None));
        }
        Ok(self.events(response))
    }
}
