//! Where credentials and claims stand in a request. Pure reading of headers; nothing is checked against anything here.

use axum::http::{HeaderMap, HeaderName, header};
use tandem_core::error::{Code, Failure};

const AGENT_TOKEN: HeaderName = HeaderName::from_static("x-agent-token");
const TANDEM_TOKEN: HeaderName = HeaderName::from_static("x-tandem-token");
const INTAKE_KEY: HeaderName = HeaderName::from_static("x-tandem-incident-monitor-intake-key");
/// The same header before the rename.
const FORMER_INTAKE_KEY: HeaderName = HeaderName::from_static("x-tandem-bug-monitor-intake-key");

/// Prefixes of scoped intake keys, today's and the former one.
pub const INTAKE_PREFIXES: [&str; 2] = ["tim_intake_", "tbm_intake_"];

/// The presented full token: the first carrier that is not empty wins, and a wrong value there is final. The bytes may
/// be anything; they are only ever hashed.
pub fn token(headers: &HeaderMap) -> Option<&[u8]> {
    plain(headers, &AGENT_TOKEN).or_else(|| plain(headers, &TANDEM_TOKEN)).or_else(|| bearer(headers))
}

/// The presented intake key: its own header, the former header, then the bearer.
pub fn intake_key(headers: &HeaderMap) -> Option<&[u8]> {
    intake_key_header(headers).or_else(|| bearer(headers))
}

/// The intake key where nothing else can be meant.
pub fn intake_key_header(headers: &HeaderMap) -> Option<&[u8]> {
    plain(headers, &INTAKE_KEY).or_else(|| plain(headers, &FORMER_INTAKE_KEY))
}

fn plain<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    headers.get(name).map(|value| value.as_bytes().trim_ascii()).filter(|value| !value.is_empty())
}

/// The scheme must be exactly `Bearer ` or `bearer `. A bare `Bearer` is no token: clients without one send it.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let token = value.strip_prefix(b"Bearer ").or_else(|| value.strip_prefix(b"bearer "))?.trim_ascii();
    (!token.is_empty()).then_some(token)
}

/// What a request says about its author.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said<'a> {
    pub request_source: Option<&'a str>,
    pub agent_id: Option<&'a str>,
    pub actor_id: Option<&'a str>,
}

/// Reads the claims. One that cannot be read is refused, because ignoring it could turn an agent into the system.
pub fn said(headers: &HeaderMap) -> Result<Said<'_>, Failure> {
    Ok(Said {
        request_source: claim(headers, "x-tandem-request-source")?,
        agent_id: claim(headers, "x-tandem-agent-id")?,
        actor_id: claim(headers, "x-tandem-actor-id")?,
    })
}

/// A header of at most 200 bytes of text; absent when blank.
pub fn claim<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Failure> {
    bounded_claim(headers, name, 200)
}

/// The same for a header that lists several ids.
pub fn long_claim<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Failure> {
    bounded_claim(headers, name, 8_000)
}

fn bounded_claim<'a>(headers: &'a HeaderMap, name: &'static str, most: usize) -> Result<Option<&'a str>, Failure> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match std::str::from_utf8(value.as_bytes()).map(str::trim) {
        Ok("") => Ok(None),
        Ok(text) if text.len() <= most && !text.chars().any(char::is_control) => Ok(Some(text)),
        Ok(_) | Err(_) => {
            Err(Failure::new(Code::ValidationFailed, format!("{name} must be UTF-8 of at most {most} bytes."))
                .status(400))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(list: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_first_carrier_that_is_not_empty_wins() {
        let cases: &[(&[(&'static str, &[u8])], Option<&[u8]>)] = &[
            (&[], None),
            (&[("authorization", b"Bearer")], None),
            (&[("authorization", b"Bearer ")], None),
            (&[("authorization", b"Bearer   \t")], None),
            (&[("authorization", b"Bearer t1")], Some(b"t1")),
            (&[("authorization", b"bearer  t1 ")], Some(b"t1")),
            (&[("authorization", b"BEARER t1")], None),
            (&[("authorization", b"Basic dDE=")], None),
            (&[("authorization", b"Bearer t1"), ("x-tandem-token", b"t2")], Some(b"t2")),
            (&[("x-tandem-token", b"t2"), ("x-agent-token", b"t3")], Some(b"t3")),
            (&[("x-agent-token", b"  "), ("x-tandem-token", b""), ("authorization", b"Bearer t1")], Some(b"t1")),
            (&[("x-agent-token", b"\xff"), ("authorization", b"Bearer t1")], Some(b"\xff")),
            (&[("x-tandem-incident-monitor-intake-key", b"k")], None),
        ];
        for (list, expected) in cases {
            assert_eq!(token(&headers(list)), *expected, "{list:?}");
        }
    }

    #[test]
    fn intake_key_carriers() {
        let cases: &[(&[(&'static str, &[u8])], Option<&[u8]>)] = &[
            (&[("authorization", b"Bearer t"), ("x-tandem-incident-monitor-intake-key", b" k ")], Some(b"k")),
            (&[("authorization", b"Bearer t"), ("x-tandem-bug-monitor-intake-key", b"k")], Some(b"k")),
            (&[("authorization", b"Bearer t"), ("x-tandem-incident-monitor-intake-key", b"")], Some(b"t")),
            (&[("x-agent-token", b"t")], None),
        ];
        for (list, expected) in cases {
            assert_eq!(intake_key(&headers(list)), *expected, "{list:?}");
        }
    }

    #[test]
    fn unreadable_claims_are_refused() {
        let long = [b'a'; 201];
        let accent = headers(&[("x-tandem-actor-id", "José".as_bytes())]);
        assert_eq!(said(&accent).unwrap().actor_id, Some("José"));
        for value in [&b"\xff\xfe"[..], &long] {
            assert!(said(&headers(&[("x-tandem-agent-id", value)])).is_err());
        }
        assert_eq!(said(&headers(&[("x-tandem-agent-id", b"  ")])).unwrap(), Said::default());
    }
}
