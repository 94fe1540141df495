//! The one way out: HTTP clients that dial only addresses the rules allow.
//!
//! A name is resolved and judged when its connection is made, and the connection goes to exactly those addresses, so an
//! answer that changes between a check and a dial has nowhere to slip in. If any address of a name is refused, the name
//! is. A literal address never reaches a resolver, so [`Egress::send`] judges it first. Connections are kept alive in
//! two separate pools, with and without private networks, so a permission never leaks from one to the other.
//!
//! Deliberately absent: proxies from the environment (they would do the dialling), redirects (they would choose the
//! next address), cookies, referers, retries, and which URLs a destination may have.

mod cause;
mod resolve;

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::{Client, Request, Response, Url, redirect};

pub use resolve::{Lookup, SystemLookup};

use crate::failure::{Code, Failure};

/// How long a connection may take, TLS and the name included. The request's own timeout covers the whole exchange.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(60);
/// As many as one lane has under way at once: a connection that is not kept is made anew for the next delivery.
const IDLE_PER_HOST: usize = 32;

/// Which addresses may be dialled.
pub trait Rules: Send + Sync {
    /// Why `ip` may not be dialled, as a machine word. `allow_private` must never lift a metadata service.
    fn address(&self, ip: IpAddr, allow_private: bool) -> Result<(), &'static str>;
}

impl<F: Fn(IpAddr, bool) -> Result<(), &'static str> + Send + Sync> Rules for F {
    fn address(&self, ip: IpAddr, allow_private: bool) -> Result<(), &'static str> {
        self(ip, allow_private)
    }
}

pub struct Egress {
    rules: Arc<dyn Rules>,
    lookup: Arc<dyn Lookup>,
    public: OnceLock<Client>,
    private: OnceLock<Client>,
}

impl Egress {
    pub fn new(rules: Arc<dyn Rules>, lookup: Arc<dyn Lookup>) -> Self {
        Self { rules, lookup, public: OnceLock::new(), private: OnceLock::new() }
    }

    /// Sends one request, once. The answer's body is not read yet; the request's timeout still covers it.
    pub async fn send(&self, request: Request, allow_private: bool) -> Result<Response, Failure> {
        if let Some(ip) = literal(request.url())? {
            self.rules.address(ip, allow_private).map_err(|why| Failure::because(Code::PrivateAddress, why))?;
        }
        self.client(allow_private)?.execute(request).await.map_err(|error| cause::of(&error))
    }

    /// Made on first use, so a machine without root certificates can still do everything else.
    fn client(&self, allow_private: bool) -> Result<&Client, Failure> {
        let place = if allow_private { &self.private } else { &self.public };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        // Somebody else may have chosen the same provider already; there is only one in this workspace.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .dns_resolver(Arc::new(resolve::Guarded {
                rules: self.rules.clone(),
                lookup: self.lookup.clone(),
                allow_private,
            }))
            .build()
            .map_err(|error| Failure::because(Code::Tls, cause::innermost(&error)))?;
        Ok(place.get_or_init(|| client))
    }
}

/// The address that a URL spells out, in whichever spelling: the parser has already turned `0x7f.1` into `127.0.0.1`.
fn literal(url: &Url) -> Result<Option<IpAddr>, Failure> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::of(Code::UrlScheme));
    }
    let host = url.host_str().ok_or_else(|| Failure::of(Code::UrlInvalid))?;
    Ok(host.trim_start_matches('[').trim_end_matches(']').parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_literal_is_seen() {
        let table = [
            ("http://127.0.0.1/", "127.0.0.1"),
            ("http://127.1/", "127.0.0.1"),
            ("http://2130706433/", "127.0.0.1"),
            ("http://0x7f.0.0.1/", "127.0.0.1"),
            ("http://0177.0.0.1/", "127.0.0.1"),
            ("http://127.0.0.1./", "127.0.0.1"),
            ("http://%31%32%37.0.0.1/", "127.0.0.1"),
            ("http://１２７.0.0.1/", "127.0.0.1"),
            ("https://[::1]:8443/x", "::1"),
            ("http://[::ffff:169.254.169.254]/", "::ffff:169.254.169.254"),
            ("http://[::ffff:a9fe:a9fe]/", "::ffff:169.254.169.254"),
            ("http://[::10.0.0.1]/", "::a00:1"),
            ("http://[64:ff9b::10.0.0.1]/", "64:ff9b::a00:1"),
            ("http://[2002:a00:1::]/", "2002:a00:1::"),
            ("http://[2001:0:a00:1::f5ff:fffe]/", "2001:0:a00:1::f5ff:fffe"),
            ("http://[fe80::5efe:10.0.0.1]/", "fe80::5efe:a00:1"),
        ];
        for (text, ip) in table {
            let url = Url::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(literal(&url), Ok(Some(ip.parse().expect("an address"))), "{text}");
        }
        let name = Url::parse("https://hooks.example.com/").expect("a URL");
        assert_eq!(literal(&name), Ok(None));
        let file = Url::parse("file:///etc/passwd").expect("a URL");
        assert_eq!(literal(&file).map_err(|f| f.code), Err(Code::UrlScheme));
    }
}
