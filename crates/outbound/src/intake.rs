//! Reports to the intake of another Tandem server, with a scoped key.
//!
//! One call is one attempt. What is decided here is only what an answer means: counted, to be tried again, or never to
//! be accepted. Every report has an idempotency key, so an attempt whose answer was lost is simply made again.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Method, Request, Url,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use tandem_core::ports::Secret;

use crate::{
    egress::Egress,
    failure::{Code, Failure},
};

const PATH: &str = "incident-monitor/intake/report";
const KEY_HEADER: &str = "x-tandem-incident-monitor-intake-key";
const TIMEOUT: Duration = Duration::from_secs(30);
/// Of an answer, for its error code.
const ANSWER_BYTES: usize = 64 * 1024;

/// Codes that say that this one report is at fault; another one may be accepted.
const REPORT_AT_FAULT: &[&str] =
    &["INCIDENT_MONITOR_REPORT_INVALID", "INCIDENT_MONITOR_REPORT_REQUIRED", "VALIDATION_FAILED"];
/// Codes that say that the key was used: the report was counted before.
const COUNTED: &[&str] =
    &["IDEMPOTENCY_KEY_REUSED", "INCIDENT_MONITOR_INCIDENT_NOT_FOUND", "INCIDENT_MONITOR_DRAFT_NOT_FOUND"];

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Accepted,
    /// Not now: the server, the way to it, or the key. `after_ms` is what the server asked for.
    Again {
        why: String,
        after_ms: Option<u64>,
    },
    /// This report will never be accepted.
    Refused {
        why: String,
    },
}

pub struct Intake {
    egress: Arc<Egress>,
    url: Url,
    key: Secret,
}

impl Intake {
    /// `server` is the address that the server's operator gives, with or without a path.
    ///
    /// # Errors
    /// It is no URL, or holds user data.
    pub fn new(egress: Arc<Egress>, server: &str, key: Secret) -> Result<Self, Failure> {
        let base = base(server)?;
        let url = base.join(PATH).map_err(|_| Failure::of(Code::UrlInvalid))?;
        Ok(Self { egress, url, key })
    }

    /// Sends one report; `body` is the whole body of the route.
    pub async fn report(&self, idempotency_key: &str, body: Vec<u8>) -> Told {
        let again = |why: String| Told::Again { why, after_ms: None };
        let (Ok(key), Ok(once)) = (HeaderValue::from_str(self.key.expose()), HeaderValue::from_str(idempotency_key))
        else {
            return again("the key cannot be written as a header".to_owned());
        };
        let mut request = Request::new(Method::POST, self.url.clone());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(KEY_HEADER, key);
        headers.insert("idempotency-key", once);
        *request.timeout_mut() = Some(TIMEOUT);
        *request.body_mut() = Some(body.into());
        let mut response = match self.egress.send(request, true).await {
            Ok(response) => response,
            Err(failure) => return again(failure.code.meaning().to_owned()),
        };
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Told::Accepted;
        }
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let answer = beginning(&mut response, ANSWER_BYTES).await;
        judge(status, code(&answer).as_deref(), seconds.map(|seconds| seconds.saturating_mul(1_000)))
    }
}

/// The address that an operator gives for a server, with or without a path, as one that paths are joined to.
pub(crate) fn base(server: &str) -> Result<Url, Failure> {
    let mut base = Url::parse(server).map_err(|_| Failure::of(Code::UrlInvalid))?;
    if !base.username().is_empty() || base.password().is_some() || base.cannot_be_a_base() {
        return Err(Failure::of(Code::UrlInvalid));
    }
    if !matches!(base.scheme(), "http" | "https") {
        return Err(Failure::of(Code::UrlScheme));
    }
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    base.set_query(None);
    Ok(base)
}

/// Of an answer, about its first `most` bytes.
pub(crate) async fn beginning(response: &mut reqwest::Response, most: usize) -> Vec<u8> {
    let mut answer = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        answer.extend_from_slice(&piece);
        if answer.len() > most {
            break;
        }
    }
    answer
}

/// The `code` of an error body.
pub(crate) fn code(answer: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(answer).ok()?;
    body.get("code")?.as_str().map(|code| code.chars().filter(char::is_ascii_graphic).take(64).collect())
}

fn judge(status: u16, code: Option<&str>, after_ms: Option<u64>) -> Told {
    let is_one_of = |codes: &[&str]| code.is_some_and(|code| codes.contains(&code));
    let why = || format!("{status} {}", code.unwrap_or("without a code"));
    match status {
        404 | 409 if is_one_of(COUNTED) => Told::Accepted,
        400 | 422 if is_one_of(REPORT_AT_FAULT) => Told::Refused { why: why() },
        413 => Told::Refused { why: why() },
        _ => Told::Again { why: why(), after_ms },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_means() {
        let again = |told: &Told| matches!(told, Told::Again { .. });
        let refused = |told: &Told| matches!(told, Told::Refused { .. });
        for status in [401, 403, 404, 408, 429, 500, 502, 503] {
            assert!(again(&judge(status, Some("ANY"), None)), "{status}");
        }
        for (status, code) in [(400, "INCIDENT_MONITOR_REPORT_INVALID"), (422, "VALIDATION_FAILED"), (413, "X")] {
            assert!(refused(&judge(status, Some(code), None)), "{status}");
        }
        // The key or the configuration is at fault, not the report: it waits.
        assert!(again(&judge(400, Some("INCIDENT_MONITOR_INTAKE_PROJECT_UNKNOWN"), None)));
        assert_eq!(judge(409, Some("IDEMPOTENCY_KEY_REUSED"), None), Told::Accepted);
        assert!(again(&judge(409, Some("CONFLICT"), None)));
        assert_eq!(
            judge(429, None, Some(7_000)),
            Told::Again { why: "429 without a code".to_owned(), after_ms: Some(7_000) }
        );
    }

    #[test]
    fn where_reports_go() {
        let url = |server: &str| {
            let egress = Egress::new(Arc::new(|_, _| Ok(())), Arc::new(crate::egress::SystemLookup));
            Intake::new(Arc::new(egress), server, Secret::new("k")).map(|intake| intake.url.to_string()).ok()
        };
        let path = "incident-monitor/intake/report";
        assert_eq!(url("http://127.0.0.1:39731"), Some(format!("http://127.0.0.1:39731/{path}")));
        assert_eq!(url("https://t.example/base/"), Some(format!("https://t.example/base/{path}")));
        assert_eq!(url("https://t.example/base?x=1"), Some(format!("https://t.example/base/{path}")));
        for bad in ["t.example", "ftp://t.example", "http://user:pw@t.example", "mailto:x"] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }
}
