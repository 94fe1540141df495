//! Bodies. [`Body`] demands one, [`OptionalBody`] accepts none; a route that takes neither ignores whatever comes.

use std::time::Duration;

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tandem_core::error::{Code, Failure};

use super::shape;
use crate::http::answer::ApiError;

pub const MIB: usize = 1024 * 1024;
/// What most routes accept.
pub const DEFAULT_LIMIT: usize = 2 * MIB;
/// A body that is too large is still read this far, because a client that is cut off while sending sees a broken
/// connection instead of the answer.
const DRAIN_LIMIT: usize = 12 * MIB;
/// The longest pause between two pieces of a body, and the longest time for all of it.
const PIECE_TIMEOUT: Duration = Duration::from_secs(15);
const WHOLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A JSON body of at most `LIMIT` bytes.
#[derive(Debug)]
pub struct Body<T, const LIMIT: usize = DEFAULT_LIMIT>(pub T);

impl<T: DeserializeOwned, S: Sync, const LIMIT: usize> FromRequest<S> for Body<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::unreadable(415, "The body must come with Content-Type: application/json."));
        }
        shape::json(&read(request, LIMIT).await?).map(Self)
    }
}

/// A JSON body that may be missing, empty or `null`; each means the default. Clients that send
/// `Content-Type: application/json` with nothing behind it are welcome.
#[derive(Debug)]
pub struct OptionalBody<T, const LIMIT: usize = DEFAULT_LIMIT>(pub T);

impl<T: DeserializeOwned + Default, S: Sync, const LIMIT: usize> FromRequest<S> for OptionalBody<T, LIMIT> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let json = is_json(request.headers());
        let bytes = read(request, LIMIT).await?;
        match bytes.trim_ascii() {
            b"" => Ok(Self(T::default())),
            _ if !json => Err(ApiError::unreadable(415, "The body must come with Content-Type: application/json.")),
            b"null" => Ok(Self(T::default())),
            bytes => shape::json(bytes).map(Self),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else { return false };
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// The largest body that is taken in before anything is decided.
const SMALL: u64 = 64 * 1024;

/// The request with its body here, where that is announced and small. A request that is answered while its body is still on
/// the way has its connection closed, and the client's next request on it meets nobody: whoever refuses early, or has no use
/// for a body, would break the connection of a client that did nothing wrong.
pub async fn arrived(request: Request) -> Result<Request, ApiError> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    // Who asks before sending gets the refusal in place of the permission, and sends nothing.
    let asks = request.headers().contains_key(header::EXPECT);
    if !length.is_some_and(|length: u64| (1..=SMALL).contains(&length)) || asks {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = read(Request::new(body), DRAIN_LIMIT).await?;
    Ok(Request::from_parts(parts, axum::body::Body::from(bytes)))
}

/// Nothing is unpacked: a few bytes could become more than any limit.
fn packed(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

async fn read(request: Request, limit: usize) -> Result<Vec<u8>, ApiError> {
    if packed(request.headers()) {
        return Err(ApiError::unreadable(415, "The body must come without Content-Encoding."));
    }
    let slow = |_| ApiError(Failure::new(Code::ValidationFailed, "The body did not arrive in time.").status(408));
    tokio::time::timeout(WHOLE_TIMEOUT, collect(request, limit)).await.map_err(slow)?
}

async fn collect(request: Request, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut body = request.into_body();
    let (mut bytes, mut seen) = (Vec::new(), 0_usize);
    loop {
        let frame = tokio::time::timeout(PIECE_TIMEOUT, body.frame()).await.map_err(|_| {
            ApiError(Failure::new(Code::ValidationFailed, "The body did not arrive in time.").status(408))
        })?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| ApiError::unreadable(400, "The body broke off."))?;
        let Some(data) = frame.data_ref() else { continue };
        seen += data.len();
        if seen <= limit {
            bytes.extend_from_slice(data);
        } else {
            bytes = Vec::new();
            if seen > DRAIN_LIMIT {
                break;
            }
        }
    }
    if seen > limit {
        return Err(ApiError::unreadable(413, format!("The body is larger than {limit} bytes.")));
    }
    Ok(bytes)
}
