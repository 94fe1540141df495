//! One signed POST to a webhook, and what came back.
//!
//! The status decides: once it has come, a body that is slow, endless or broken off changes nothing but the excerpt.
//! Deliberately absent: which URLs are allowed ([`Target`] holds one that was judged), which secrets sign, when to try
//! again, and what the body says.

mod answer;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
};
use tandem_core::{ports::Secret, publish::signature};

use crate::{
    egress::Egress,
    failure::{AttemptOutcome, Code, Failure},
};

/// An endpoint whose URL passed the rules of its destination.
#[derive(Clone, Debug)]
pub struct Target {
    pub url: Url,
    pub allow_private_networks: bool,
    /// Of the whole exchange.
    pub timeout_ms: u64,
    pub payload_byte_limit: usize,
    pub response_byte_limit: usize,
}

#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    pub target: &'a Target,
    /// A word of `payload::Event`.
    pub event: &'a str,
    pub delivery_id: &'a str,
    pub idempotency_key: &'a str,
    /// Exactly the bytes that are signed and sent.
    pub body: Bytes,
    /// Those that sign now, the current one first.
    pub secrets: &'a [Secret],
    pub redaction_profile: Option<&'a str>,
    /// When this attempt is made, for the signature.
    pub at_ms: u64,
}

pub struct Webhook {
    egress: Arc<Egress>,
    user_agent: String,
}

impl Webhook {
    pub fn new(egress: Arc<Egress>, version: &str) -> Self {
        Self { egress, user_agent: format!("Tandem-Incident-Monitor/{version}") }
    }

    pub async fn send(&self, delivery: &Delivery<'_>) -> AttemptOutcome {
        let begun = Instant::now();
        match self.exchange(delivery, begun).await {
            Ok(outcome) => outcome,
            Err(failure) => AttemptOutcome::failed(failure, since(begun)),
        }
    }

    async fn exchange(&self, delivery: &Delivery<'_>, begun: Instant) -> Result<AttemptOutcome, Failure> {
        let target = delivery.target;
        if delivery.body.len() > target.payload_byte_limit {
            let why = format!("{} of {} bytes", delivery.body.len(), target.payload_byte_limit);
            return Err(Failure::because(Code::PayloadTooLarge, why));
        }
        // An unsigned request would teach receivers to accept one.
        if delivery.secrets.is_empty() {
            return Err(Failure::of(Code::SecretUnavailable));
        }
        let mut request = reqwest::Request::new(Method::POST, target.url.clone());
        *request.headers_mut() = self.headers(delivery)?;
        *request.timeout_mut() = Some(Duration::from_millis(target.timeout_ms));
        *request.body_mut() = Some(delivery.body.clone().into());
        let response = self.egress.send(request, target.allow_private_networks).await?;
        let wanted = answer::Wanted {
            byte_limit: target.response_byte_limit,
            redaction_profile: delivery.redaction_profile,
            secrets: delivery.secrets,
            sent_at_ms: delivery.at_ms,
        };
        let mut outcome = answer::read(response, &wanted).await;
        outcome.duration_ms = since(begun);
        Ok(outcome)
    }

    fn headers(&self, delivery: &Delivery<'_>) -> Result<HeaderMap, Failure> {
        let exposed = || delivery.secrets.iter().map(Secret::expose);
        let standard = signature::standard(exposed(), delivery.delivery_id, delivery.at_ms, &delivery.body);
        let named = [
            ("x-tandem-event", delivery.event),
            ("x-tandem-delivery-id", delivery.delivery_id),
            ("x-tandem-signature", &signature::tandem(exposed(), delivery.at_ms, &delivery.body)),
            ("x-tandem-signature-scheme", signature::SCHEME),
            ("idempotency-key", delivery.idempotency_key),
            ("webhook-id", &standard.id),
            ("webhook-timestamp", &standard.timestamp),
            ("webhook-signature", &standard.signature),
        ];
        let invalid = |_| Failure::of(Code::RequestInvalid);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_str(&self.user_agent).map_err(invalid)?);
        for (name, value) in named {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).map_err(invalid)?);
        }
        Ok(headers)
    }
}

fn since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
