//! Declarations to another Tandem server, with a full token.
//!
//! One call is one attempt; declaring the same again changes nothing, so it may simply be made again.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Method, Request, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use tandem_core::ports::Secret;

use crate::{
    egress::Egress,
    failure::Failure,
    intake::{base, beginning, code},
};

const TIMEOUT: Duration = Duration::from_secs(30);
/// An answer repeats the declaration.
const ANSWER_BYTES: usize = 8 << 20;

/// What came of one declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declared {
    Created,
    Changed,
    Unchanged,
    /// The server's own words: its status and error code.
    Refused {
        status: u16,
        why: String,
    },
    /// There was no answer.
    Unreached {
        why: String,
    },
}

pub struct Registry {
    egress: Arc<Egress>,
    base: Url,
    token: Secret,
}

impl Registry {
    /// `server` is the address that the server's operator gives, with or without a path.
    ///
    /// # Errors
    /// It is no URL, or holds user data.
    pub fn new(egress: Arc<Egress>, server: &str, token: Secret) -> Result<Self, Failure> {
        Ok(Self { egress, base: base(server)?, token })
    }

    /// `path` is relative, and made of parts that need no encoding.
    pub async fn put(&self, path: &str, body: Vec<u8>) -> Declared {
        let unreached = |why: &str| Declared::Unreached { why: why.to_owned() };
        let Ok(url) = self.base.join(path) else { return unreached("the path cannot be written as an address") };
        let Ok(mut token) = HeaderValue::from_str(&format!("Bearer {}", self.token.expose())) else {
            return unreached("the token cannot be written as a header");
        };
        token.set_sensitive(true);
        let mut request = Request::new(Method::PUT, url);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, token);
        *request.timeout_mut() = Some(TIMEOUT);
        *request.body_mut() = Some(body.into());
        let mut response = match self.egress.send(request, true).await {
            Ok(response) => response,
            Err(failure) => return unreached(failure.code.meaning()),
        };
        let status = response.status().as_u16();
        judge(status, &beginning(&mut response, ANSWER_BYTES).await)
    }
}

fn judge(status: u16, answer: &[u8]) -> Declared {
    if !(200..300).contains(&status) {
        let code = code(answer).unwrap_or_else(|| "without a code".into());
        return Declared::Refused { status, why: format!("{status} {code}") };
    }
    let said: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    match (said["created"].as_bool(), said["changed"].as_bool()) {
        (Some(true), _) => Declared::Created,
        (_, Some(true)) => Declared::Changed,
        (Some(false), Some(false)) => Declared::Unchanged,
        // Some other program answers there.
        (_, _) => Declared::Refused { status, why: format!("{status} without an answer of this server's kind") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_means() {
        assert_eq!(judge(200, br#"{"created":true,"changed":true}"#), Declared::Created);
        assert_eq!(judge(200, br#"{"created":false,"changed":true}"#), Declared::Changed);
        assert_eq!(judge(200, br#"{"created":false,"changed":false,"declared":{}}"#), Declared::Unchanged);
        let refused = |status, why: &str| Declared::Refused { status, why: why.into() };
        assert_eq!(judge(401, br#"{"code":"AUTH_REQUIRED"}"#), refused(401, "401 AUTH_REQUIRED"));
        assert_eq!(judge(502, b"<html>"), refused(502, "502 without a code"));
        assert!(matches!(judge(200, b"hello"), Declared::Refused { .. }));
    }
}
