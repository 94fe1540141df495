//! Reading a receiver's answer: a bounded, redacted excerpt, and what the status means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{
    Response,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
use tandem_core::{
    ports::Secret,
    publish::refusal::{self, Refusal},
    redaction::{Counts, redactor},
};

use crate::failure::{AttemptOutcome, Code, Failure};

pub(super) struct Wanted<'a> {
    pub byte_limit: usize,
    pub redaction_profile: Option<&'a str>,
    pub secrets: &'a [Secret],
    pub sent_at_ms: u64,
}

pub(super) async fn read(mut response: Response, wanted: &Wanted<'_>) -> AttemptOutcome {
    let status = response.status().as_u16();
    let retryable = retryable(status);
    let retry_after_ms = retry_after_ms(response.headers(), wanted.sent_at_ms).filter(|_| retryable);
    let (body, response_truncated) = collect(&mut response, wanted.byte_limit).await;
    let failure = failure(status);
    AttemptOutcome {
        status_code: Some(status),
        retryable,
        disabled: failure.as_ref().is_some_and(|f| f.code == Code::EndpointGone),
        error_code: failure.as_ref().map(|f| f.code),
        error: failure.map(|f| f.text),
        response_excerpt: excerpt(&body, wanted),
        response_truncated,
        retry_after_ms,
        duration_ms: 0,
    }
}

fn retryable(status: u16) -> bool {
    status >= 400 && refusal::of_status(status) == Refusal::Passing
}

fn failure(status: u16) -> Option<Failure> {
    match status {
        200..=299 => None,
        300..=399 => Some(Failure::because(Code::Redirect, status)),
        410 => Some(Failure::of(Code::EndpointGone)),
        _ => Some(Failure::because(Code::HttpStatus, status)),
    }
}

/// At most `limit` bytes, and whether there was more. What comes after a pause or a break counts as more.
async fn collect(response: &mut Response, limit: usize) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = limit - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return (body, true);
                }
            }
            Ok(None) => return (body, false),
            Err(_) => return (body, true),
        }
    }
}

/// A receiver may quote what it was sent, so the signing secrets themselves are looked for as well.
fn excerpt(body: &[u8], wanted: &Wanted<'_>) -> Option<String> {
    let mut text = String::from_utf8_lossy(body).into_owned();
    for secret in wanted.secrets {
        text = text.replace(secret.expose(), "[redacted]");
    }
    let clean = redactor(wanted.redaction_profile).text(&text, &mut Counts::new()).trim().to_owned();
    (!clean.is_empty()).then_some(clean)
}

/// `Retry-After` as seconds or as a date. A date is compared with the answer's own `Date`, when there is one, so that a
/// receiver whose clock is wrong still means the same.
fn retry_after_ms(headers: &HeaderMap, sent_at_ms: u64) -> Option<u64> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = headers
        .get(DATE)
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
        .or_else(|| UNIX_EPOCH.checked_add(Duration::from_millis(sent_at_ms)))?;
    Some(millis(now, then))
}

fn millis(from: SystemTime, to: SystemTime) -> u64 {
    to.duration_since(from).map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_every_form() {
        let at = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().expect("a header"));
            }
            // 1994-11-06 08:49:37 GMT
            retry_after_ms(&headers, 784_111_777_000)
        };
        assert_eq!(at(&[]), None);
        assert_eq!(at(&[("retry-after", " 120 ")]), Some(120_000));
        assert_eq!(at(&[("retry-after", "18446744073709551615")]), Some(u64::MAX));
        assert_eq!(at(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]), Some(60_000));
        assert_eq!(at(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
        let skewed = [("retry-after", "Sun, 06 Nov 1994 10:00:30 GMT"), ("date", "Sun, 06 Nov 1994 10:00:00 GMT")];
        assert_eq!(at(&skewed), Some(30_000));
        for bad in ["soon", "-1", "1.5", ""] {
            assert_eq!(at(&[("retry-after", bad)]), None, "{bad}");
        }
    }

    #[test]
    fn statuses() {
        let table = [
            (200, None, false),
            (299, None, false),
            (301, Some("redirect"), false),
            (304, Some("redirect"), false),
            (400, Some("http_status"), false),
            (404, Some("http_status"), false),
            (408, Some("http_status"), true),
            (410, Some("endpoint_gone"), false),
            (425, Some("http_status"), true),
            (429, Some("http_status"), true),
            (500, Some("http_status"), true),
            (599, Some("http_status"), true),
        ];
        for (status, word, retryable) in table {
            assert_eq!(failure(status).map(|f| f.code.word()), word, "{status}");
            assert_eq!(self::retryable(status), retryable, "{status}");
        }
    }
}
