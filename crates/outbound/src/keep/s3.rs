//! One `PutObject`, addressed by path, with the body's digest in the signature and as a checksum.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Method, Request, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use tandem_core::custody::{setting::LockMode, sigv4};

use super::{Object, Trouble};
use crate::{egress::Egress, intake::beginning};

const TIMEOUT: Duration = Duration::from_secs(120);
const ANSWER_BYTES: usize = 16 * 1024;
const MEDIA_TYPE: &str = "application/x-ndjson";

pub async fn keep(egress: &Arc<Egress>, object: Object<'_>, name: &str) -> Result<String, Trouble> {
    let invalid = || Trouble::new("target_invalid", "the setting names no store");
    let target = object.target;
    let (Some(endpoint), Some(bucket), Some(region)) = (&target.endpoint, &target.bucket, &target.region) else {
        return Err(invalid());
    };
    let (Some(access), Some(secret)) = (object.access_key, object.secret_key) else { return Err(invalid()) };
    let path = format!("/{bucket}/{name}");
    let url = Url::parse(&format!("{endpoint}{}", sigv4::encoded_path(&path))).map_err(|_| invalid())?;
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return Err(invalid()),
    };
    let time = sigv4::time(object.at_ms);
    let checksum = sigv4::checksum(object.digest).ok_or_else(invalid)?;
    let until = object.lock.map(|lock| sigv4::long_time(lock.retain_until_ms)).unwrap_or_default();
    let mut headers = vec![
        ("content-type", MEDIA_TYPE),
        ("host", host.as_str()),
        ("x-amz-content-sha256", object.digest),
        ("x-amz-date", time.as_str()),
    ];
    if let Some(lock) = object.lock {
        if lock.legal_hold {
            headers.push(("x-amz-object-lock-legal-hold", "ON"));
        }
        headers.push(("x-amz-object-lock-mode", mode(lock.mode)));
        headers.push(("x-amz-object-lock-retain-until-date", until.as_str()));
        // Stores ask for a checksum of what they lock.
        headers.push(("x-amz-sdk-checksum-algorithm", "SHA256"));
        headers.push(("x-amz-checksum-sha256", checksum.as_str()));
    }
    if let Some(token) = object.session_token {
        headers.push(("x-amz-security-token", token.expose()));
    }
    let signed =
        sigv4::Request { method: "PUT", path: &path, headers: &headers, payload: object.digest, region, time: &time };
    let authorization = sigv4::authorization(&signed, access.expose(), secret.expose());
    let mut request = Request::new(Method::PUT, url);
    *request.headers_mut() = written(&headers, &authorization)
        .ok_or_else(|| Trouble::new("credential_invalid", "a credential cannot be written as a header"))?;
    *request.timeout_mut() = Some(TIMEOUT);
    *request.body_mut() = Some(object.body.into());
    let sent = egress.send(request, target.allow_private_networks).await;
    let mut response = sent.map_err(|failure| Trouble::new(failure.code.word(), failure.code.meaning()))?;
    let status = response.status().as_u16();
    if (200..300).contains(&status) {
        return Ok(format!("s3://{bucket}/{name}"));
    }
    let answer = beginning(&mut response, ANSWER_BYTES).await;
    let said = code(&String::from_utf8_lossy(&answer)).map(|code| format!(" {code}")).unwrap_or_default();
    Err(Trouble::new(&format!("http_{status}"), format!("the store answered {status}{said}")))
}

fn mode(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Governance => "GOVERNANCE",
        LockMode::Compliance => "COMPLIANCE",
    }
}

fn written(headers: &[(&str, &str)], authorization: &str) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| *name != "host" && *name != "content-type") {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(*name == "x-amz-security-token");
        map.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
    }
    map.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    let mut value = HeaderValue::from_str(authorization).ok()?;
    value.set_sensitive(true);
    map.insert(reqwest::header::AUTHORIZATION, value);
    Some(map)
}

/// What stands in `<Code>`; of the rest of the answer nothing is repeated.
fn code(answer: &str) -> Option<String> {
    let (_, rest) = answer.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    (code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_an_answer_is_repeated() {
        assert_eq!(code("<Error><Code>AccessDenied</Code><Message>x</Message>"), Some("AccessDenied".into()));
        for none in ["", "<Code>", "<Code>a b</Code>", "<Code></Code", "<html>"] {
            assert_eq!(code(none), None, "{none}");
        }
    }
}
