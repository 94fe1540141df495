//! How an attempt ended, with stable machine codes, and which endings are worth another attempt.

use tandem_core::publish::delivery::Attempt;

macro_rules! codes {
    ($($(#[$meta:meta])* $variant:ident $word:literal $retry:literal $meaning:literal;)+) => {
        /// Why an attempt failed. Clients branch on the word; the meaning may be reworded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$meta])* $variant),+ }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            pub fn word(self) -> &'static str { match self { $(Self::$variant => $word),+ } }
            /// Whether another attempt may end differently. An HTTP status says so itself, see
            /// [`refusal::of_status`](tandem_core::publish::refusal::of_status).
            pub fn retryable(self) -> bool { match self { $(Self::$variant => $retry),+ } }
            pub fn meaning(self) -> &'static str { match self { $(Self::$variant => $meaning),+ } }
        }
    };
}

codes! {
    UrlInvalid "url_invalid" false "The URL cannot be read, or holds user data.";
    UrlScheme "url_scheme" false "The URL's scheme is not allowed.";
    HostNotAllowed "host_not_allowed" false "The URL's host is not on the destination's list.";
    PrivateAddress "private_address" false "The host is, or resolves to, an address that may not be reached.";
    DestinationChanged "destination_changed" false "The destination changed or was disabled after the delivery was decided.";
    PayloadTooLarge "payload_too_large" false "The payload is over the destination's limit.";
    RequestInvalid "request_invalid" false "The request cannot be written as HTTP.";
    SecretUnavailable "secret_unavailable" true "The signing secret is not set in this process.";
    /// Of an MCP server: somebody has to authorise anew.
    AuthorizationEnded "authorization_ended" false "The authorisation has run out and was not renewed.";
    AuthorizationUnrenewed "authorization_unrenewed" true "The authorisation has run out and could not be renewed now.";
    DnsFailed "dns_failed" true "The host's name could not be resolved.";
    Connect "connect" true "No connection could be made.";
    Tls "tls" true "No trusted TLS connection could be made.";
    Timeout "timeout" true "No answer came in time.";
    /// The request may have been received.
    ConnectionLost "connection_lost" true "The connection broke before an answer came.";
    HttpStatus "http_status" false "The receiver answered with an error.";
    Redirect "redirect" false "The receiver answered with a redirect, which is never followed.";
    EndpointGone "endpoint_gone" false "The receiver answered 410: it wants nothing more.";
}

impl Code {
    /// Refused here, before anything was sent: such a delivery is blocked rather than failed.
    pub fn blocks(self) -> bool {
        match self {
            Self::UrlInvalid
            | Self::UrlScheme
            | Self::HostNotAllowed
            | Self::PrivateAddress
            | Self::DestinationChanged
            | Self::PayloadTooLarge
            | Self::RequestInvalid => true,
            Self::SecretUnavailable
            | Self::AuthorizationEnded
            | Self::AuthorizationUnrenewed
            | Self::DnsFailed
            | Self::Connect
            | Self::Tls
            | Self::Timeout
            | Self::ConnectionLost
            | Self::HttpStatus
            | Self::Redirect
            | Self::EndpointGone => false,
        }
    }
}

/// Something that ended an attempt without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: Code,
    /// For people. Holds no URL (its query may be a secret), no secret and no payload.
    pub text: String,
}

impl Failure {
    pub fn of(code: Code) -> Self {
        Self { code, text: code.meaning().to_owned() }
    }

    pub fn because(code: Code, why: impl std::fmt::Display) -> Self {
        Self { code, text: format!("{} ({why})", code.meaning()) }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// How one attempt ended. Without an error code it succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptOutcome {
    pub status_code: Option<u16>,
    pub retryable: bool,
    pub error_code: Option<Code>,
    pub error: Option<String>,
    /// The beginning of the answer's body, redacted.
    pub response_excerpt: Option<String>,
    pub response_truncated: bool,
    pub retry_after_ms: Option<u64>,
    pub duration_ms: u64,
    /// The receiver asked never to be called again: the destination should be disabled.
    pub disabled: bool,
}

impl AttemptOutcome {
    /// An attempt that ended without an answer.
    pub fn failed(failure: Failure, duration_ms: u64) -> Self {
        Self {
            status_code: None,
            retryable: failure.code.retryable(),
            error_code: Some(failure.code),
            error: Some(failure.text),
            response_excerpt: None,
            response_truncated: false,
            retry_after_ms: None,
            duration_ms,
            disabled: false,
        }
    }

    pub fn succeeded(&self) -> bool {
        self.error_code.is_none()
    }

    /// The receipt's record of this attempt.
    pub fn receipt(&self, attempt: u32, at_ms: u64) -> Attempt {
        Attempt {
            attempt,
            at_ms,
            duration_ms: Some(self.duration_ms),
            status_code: self.status_code,
            retryable: self.retryable,
            response_excerpt: self.response_excerpt.clone(),
            response_truncated: self.response_truncated,
            error: self.error.clone(),
            error_code: self.error_code.map(|code| code.word().to_owned()),
        }
    }
}
