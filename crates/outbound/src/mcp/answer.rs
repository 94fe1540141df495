//! What an answer or an error of the protocol layer means to a caller, and whether the call may have taken effect.

use std::error::Error;

use rmcp::{
    model::{CallToolResponse, CallToolResult, ContentBlock, ErrorCode, ErrorData},
    service::{ClientInitializeError, ServiceError},
    transport::{DynamicTransportError, streamable_http_client::StreamableHttpError},
};
use tandem_core::{
    mcp::{ToolAnswer, ToolError, ToolFault as F},
    redaction::{Counts, redactor},
    text::truncate,
};

use super::http::Seen;
use crate::failure::{Code, Failure};

/// A finished call.
pub(super) fn read(response: CallToolResponse, limit: usize) -> Result<ToolAnswer, ToolError> {
    match response {
        CallToolResponse::Complete(result) => complete(result, limit),
        CallToolResponse::InputRequired(_) => {
            Err(ToolError::unsent(F::Refused, "the tool asks its caller for input, and nobody is there to give it"))
        }
        CallToolResponse::Task(_) => {
            Err(ToolError::sent(F::Refused, "the tool answers with a task that would have to be watched"))
        }
        _ => Err(ToolError::sent(F::Malformed, "the tool answers with something that we do not know")),
    }
}

fn complete(result: CallToolResult, limit: usize) -> Result<ToolAnswer, ToolError> {
    let bytes = serde_json::to_vec(&result).map(|body| body.len()).unwrap_or_default();
    if bytes > limit {
        return Err(ToolError::sent(F::AnswerTooLarge, format!("the answer has {bytes} bytes; the limit is {limit}")));
    }
    let meta = result.meta.map(|meta| meta.0).unwrap_or_default();
    let auth_required = meta
        .get("mcpAuth")
        .and_then(|auth| auth.get("required"))
        .is_some_and(|required| required == &serde_json::Value::Bool(true));
    let text = result.content.into_iter().filter_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text),
        _ => None,
    });
    Ok(ToolAnswer {
        structured: result.structured_content,
        text: text.collect(),
        is_error: result.is_error.unwrap_or_default(),
        auth_required,
        metadata_keys: meta.into_iter().map(|(key, _)| truncate(&key, 100)).take(50).collect(),
    })
}

/// A call that brought no answer.
pub(super) fn failed(error: ServiceError, seen: &Seen) -> ToolError {
    match error {
        ServiceError::McpError(error) => rpc(&error),
        ServiceError::TransportSend(error) => transport(&error),
        ServiceError::UnexpectedResponse => ToolError::sent(F::Malformed, "the answer is not a tool's result"),
        ServiceError::Timeout { .. } => ToolError::sent(F::Timeout, "no answer came in time"),
        ServiceError::Cancelled { .. } | ServiceError::TransportClosed => {
            seen.take().unwrap_or_else(|| ToolError::sent(F::ConnectionLost, "the connection broke before an answer"))
        }
        _ => ToolError::sent(F::Malformed, "the protocol layer gave up on the answer"),
    }
}

/// A connection that could not be made. No tool was called.
pub(super) fn connecting(error: &ClientInitializeError, seen: &Seen) -> ToolError {
    use ClientInitializeError as I;
    let told = match error {
        I::TransportError { error, .. } => transport(error),
        I::LegacyFallbackFailed { fallback, .. } => connecting(fallback, seen),
        I::JsonRpcError(error) => rpc(error),
        I::ConnectionClosed(_) => {
            seen.take().unwrap_or_else(|| ToolError::unsent(F::ServerDisconnected, "the server closed the connection"))
        }
        I::NoCompatibleProtocolVersion { .. } => {
            ToolError::unsent(F::Refused, "the server speaks no protocol revision that we do")
        }
        _ => ToolError::unsent(F::Malformed, "the server's handshake is not what the protocol says"),
    };
    let fault = if told.fault == F::ConnectionLost { F::ServerDisconnected } else { told.fault };
    ToolError { fault, may_have_acted: false, ..told }
}

/// A JSON-RPC error. The codes for requests that were not understood promise that nothing happened.
pub(super) fn rpc(error: &ErrorData) -> ToolError {
    let understood =
        ![ErrorCode::PARSE_ERROR, ErrorCode::INVALID_REQUEST, ErrorCode::METHOD_NOT_FOUND, ErrorCode::INVALID_PARAMS]
            .contains(&error.code);
    let said = redactor(None).text(&error.message, &mut Counts::new()).into_owned();
    let text = format!("the server refused with code {}: {}", error.code.0, truncate(&said, 300));
    ToolError { may_have_acted: understood, ..ToolError::unsent(F::Refused, text) }
}

fn transport(error: &DynamicTransportError) -> ToolError {
    let mut link: Option<&(dyn Error + 'static)> = Some(&*error.error);
    while let Some(at) = link {
        if let Some(told) = at.downcast_ref::<StreamableHttpError<Failure>>() {
            return http(told);
        }
        if let Some(told) = at.downcast_ref::<Failure>() {
            return failure(told);
        }
        link = at.source();
    }
    // A pipe that cannot be written to: the command has ended.
    ToolError::sent(F::ConnectionLost, "the server's input is closed")
}

/// The status with which a server refused to begin over the newer HTTP transport, where that is what it did.
pub(super) fn refusal_status(error: &ClientInitializeError) -> Option<u16> {
    use ClientInitializeError as I;
    match error {
        I::TransportError { error, .. } => {
            let mut link: Option<&(dyn Error + 'static)> = Some(&*error.error);
            while let Some(at) = link {
                if let Some(StreamableHttpError::HttpStatus(told)) = at.downcast_ref::<StreamableHttpError<Failure>>() {
                    return Some(told.status);
                }
                link = at.source();
            }
            None
        }
        I::LegacyFallbackFailed { fallback, .. } => refusal_status(fallback),
        _ => None,
    }
}

pub(super) fn http(error: &StreamableHttpError<Failure>) -> ToolError {
    use StreamableHttpError as H;
    match error {
        H::Client(told) => failure(told),
        H::AuthRequired(_) => ToolError::unsent(F::AuthRequired, "the server wants an authorisation (401)"),
        H::InsufficientScope(_) => ToolError::unsent(F::AuthRequired, "the authorisation does not reach (403)"),
        H::HttpStatus(told) => {
            let fault = match told.status {
                429 => F::RateLimited,
                500..=599 => F::ConnectionLost,
                _ => F::Refused,
            };
            let retry_after_ms = told.retry_after.as_deref().and_then(seconds).map(|s| s.saturating_mul(1000));
            // A gateway's 5xx says nothing about what stands behind it.
            let may_have_acted = told.status >= 500;
            ToolError { may_have_acted, retry_after_ms, ..ToolError::unsent(fault, format!("HTTP {}", told.status)) }
        }
        H::ResponseBodyTooLarge { max_size } => {
            ToolError::sent(F::AnswerTooLarge, format!("the answer is over {max_size} bytes"))
        }
        H::UnexpectedServerResponse(_) | H::UnexpectedContentType(_) | H::Deserialize(_) => {
            ToolError::sent(F::Malformed, "the answer is not what the protocol says an answer is")
        }
        H::SessionExpired => ToolError::unsent(F::ServerDisconnected, "the server forgot the session"),
        H::ServerDoesNotSupportSse => ToolError::sent(F::ConnectionLost, "the answer broke off"),
        _ => ToolError::sent(F::ConnectionLost, "the connection broke before an answer"),
    }
}

/// `Retry-After` in seconds. A date would need the server's clock, and the schedule has its own idea then.
fn seconds(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn failure(told: &Failure) -> ToolError {
    match told.code {
        Code::PrivateAddress => ToolError::unsent(F::PrivateAddress, told.text.clone()),
        Code::SecretUnavailable => ToolError::unsent(F::SecretUnavailable, told.text.clone()),
        Code::AuthorizationEnded => ToolError::unsent(F::AuthRequired, told.text.clone()),
        Code::AuthorizationUnrenewed => ToolError::unsent(F::AuthRefreshFailed, told.text.clone()),
        Code::DnsFailed | Code::Connect | Code::Tls => ToolError::unsent(F::ServerDisconnected, told.text.clone()),
        Code::UrlInvalid
        | Code::UrlScheme
        | Code::HostNotAllowed
        | Code::DestinationChanged
        | Code::PayloadTooLarge
        | Code::RequestInvalid
        | Code::HttpStatus
        | Code::Redirect
        | Code::EndpointGone => ToolError::unsent(F::Refused, told.text.clone()),
        Code::Timeout => ToolError::sent(F::Timeout, told.text.clone()),
        Code::ConnectionLost => ToolError::sent(F::ConnectionLost, told.text.clone()),
    }
}
