//! One request to a tracker's API, and its answer: bounded, parsed, with the headers that tell of limits.
//!
//! Deliberately absent: what is asked and what an answer means ([`tandem_core::tracker`] knows both), when a request may
//! be sent, and any second try.

use std::{
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use reqwest::{
    Method, Response, Url,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, USER_AGENT,
    },
};
use tandem_core::{
    destination::DestinationKind,
    ports::Secret,
    tracker::{self, Class, Request, answer::Answer, answer::Trouble},
};

use crate::{
    egress::Egress,
    failure::{Code, Failure},
};

/// A page of a hundred issues with long bodies stays below this.
const ANSWER_BYTES: usize = 8 << 20;
/// What is kept of the headers.
const TOLD: [&str; 9] = [
    "retry-after",
    "etag",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-resource",
    "x-ratelimit-requests-remaining",
    "x-ratelimit-requests-reset",
    "x-github-request-id",
    "x-request-id",
];

pub struct Call<'a> {
    pub kind: DestinationKind,
    /// Of an API that passed the rules of its destination.
    pub base: &'a Url,
    pub allow_private_networks: bool,
    /// Of the whole exchange.
    pub timeout_ms: u64,
    pub token: &'a Secret,
    pub request: &'a Request,
}

pub struct Api {
    egress: Arc<Egress>,
    user_agent: String,
}

impl Api {
    pub fn new(egress: Arc<Egress>, version: &str) -> Self {
        Self { egress, user_agent: format!("Tandem-Incident-Monitor/{version}") }
    }

    /// An answer of any status, or why there is none.
    pub async fn exchange(&self, call: &Call<'_>) -> Result<Answer, Trouble> {
        let begun = Instant::now();
        let sent = async {
            let request = self.request(call)?;
            self.egress.send(request, call.allow_private_networks).await
        };
        match sent.await {
            Ok(response) => Ok(read(response, begun).await),
            Err(failure) => Err(trouble(call.request.class, &failure, since(begun))),
        }
    }

    fn request(&self, call: &Call<'_>) -> Result<reqwest::Request, Failure> {
        let invalid = || Failure::of(Code::RequestInvalid);
        let url = match call.request.path.as_str() {
            "" => call.base.clone(),
            path => call.base.join(path).map_err(|_| invalid())?,
        };
        // A path is made of encoded parts and cannot leave its base; a request that did would carry the token along.
        if url.origin() != call.base.origin() || !url.path().starts_with(call.base.path()) {
            return Err(invalid());
        }
        let method = match call.request.method {
            tracker::Method::Get => Method::GET,
            tracker::Method::Post => Method::POST,
            tracker::Method::Patch => Method::PATCH,
        };
        let mut request = reqwest::Request::new(method, url);
        *request.timeout_mut() = Some(Duration::from_millis(call.timeout_ms));
        *request.headers_mut() = self.headers(call).ok_or_else(invalid)?;
        if let Some(body) = &call.request.body {
            *request.body_mut() = Some(body.to_string().into());
        }
        Ok(request)
    }

    fn headers(&self, call: &Call<'_>) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        let linear = call.kind == DestinationKind::LinearIssue;
        let token = call.token.expose();
        // Linear's personal keys are sent bare, all other tokens as bearers.
        let credential =
            if linear && token.starts_with("lin_api_") { token.to_owned() } else { format!("Bearer {token}") };
        let mut credential = HeaderValue::from_str(&credential).ok()?;
        credential.set_sensitive(true);
        headers.insert(AUTHORIZATION, credential);
        headers.insert(USER_AGENT, HeaderValue::from_str(&self.user_agent).ok()?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if linear {
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        } else {
            headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
            headers.insert(HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28"));
        }
        if let Some(etag) = &call.request.etag {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(etag).ok()?);
        }
        Some(headers)
    }
}

fn trouble(class: Class, failure: &Failure, duration_ms: u64) -> Trouble {
    let sent = matches!(failure.code, Code::Timeout | Code::ConnectionLost);
    Trouble {
        retryable: failure.code.retryable(),
        may_have_acted: sent && class == Class::Write,
        duration_ms: Some(duration_ms),
        ..Trouble::new(failure.code.word(), failure.text.clone())
    }
}

async fn read(mut response: Response, begun: Instant) -> Answer {
    let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let headers = TOLD.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect();
    let date_ms = response
        .headers()
        .get(DATE)
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
        .and_then(|date| u64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok());
    let status = response.status().as_u16();
    let body = collect(&mut response).await.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Answer { status, headers, body, date_ms, duration_ms: since(begun) }
}

/// The whole body, or nothing when it is too long or breaks off.
async fn collect(response: &mut Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

fn since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_write_that_was_sent_is_in_doubt() {
        for (code, sent) in [
            (Code::Timeout, true),
            (Code::ConnectionLost, true),
            (Code::Connect, false),
            (Code::DnsFailed, false),
            (Code::Tls, false),
            (Code::PrivateAddress, false),
        ] {
            assert_eq!(trouble(Class::Write, &Failure::of(code), 0).may_have_acted, sent, "{code:?}");
            assert!(!trouble(Class::Read, &Failure::of(code), 0).may_have_acted, "{code:?}");
        }
    }
}
