//! What an error of the HTTP client comes down to.

use std::{error::Error, io};

use crate::failure::{Code, Failure};

/// The client's own words are not used: they contain the URL, whose query may be a secret.
pub(super) fn of(error: &reqwest::Error) -> Failure {
    let mut link: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(at) = link {
        if let Some(failure) = at.downcast_ref::<Failure>() {
            return failure.clone();
        }
        // Later than that, the request may have been read before the connection broke.
        if let Some(tls) = tls(at).filter(|_| error.is_connect()) {
            return Failure::because(Code::Tls, tls);
        }
        link = at.source();
    }
    if error.is_timeout() {
        return Failure::of(Code::Timeout);
    }
    if error.is_connect() {
        return Failure::because(Code::Connect, innermost(error));
    }
    if error.is_builder() {
        return Failure::of(Code::RequestInvalid);
    }
    Failure::because(Code::ConnectionLost, innermost(error))
}

/// TLS errors travel inside IO errors, which do not show them as their source.
fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref::<rustls::Error>().or_else(|| {
        error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| tls(inner as &(dyn Error + 'static)))
    })
}

/// The last error of the chain, which names no URL.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut last: &dyn Error = match error.source() {
        Some(source) => source,
        None => return "no further reason".to_owned(),
    };
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
