//! Where a database is and how the way to it is protected.
//!
//! `sslmode=require`, `verify-ca` and `verify-full` all mean the same here: TLS, a certificate that leads to a known root,
//! and the right name in it. Encryption without knowing to whom would only look safe. Roots are those of the system, or those
//! of the file that `sslrootcert` names. Every other mode means no TLS, so nothing depends on what a server offers.

use std::{path::PathBuf, str::FromStr as _, sync::Arc};

use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio_postgres::{Client, Config, Connection, Error, Socket, config::SslMode, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{connection::CONNECT_TIME, faults::full};
use crate::error::OpenError;

/// The modes that ask for TLS. `tokio-postgres` knows the first only.
const PROTECTED: [&str; 3] = ["require", "verify-ca", "verify-full"];

type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

#[derive(Clone)]
pub struct Target {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Target {
    /// Reads a `postgres://` address. No error repeats it, because it may hold a password.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let Asked { url, protected, roots } = asked(url)?;
        let mut config = Config::from_str(&url).map_err(|error| OpenError::Unsupported(full(&error)))?;
        config.ssl_mode(if protected { SslMode::Require } else { SslMode::Disable });
        if config.get_application_name().is_none() {
            config.application_name("tandem");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIME);
        }
        // A writer whose machine vanished must not hold a tenant's lock for as long as the server takes to notice.
        let ours = "-c lock_timeout=15s -c idle_in_transaction_session_timeout=30s";
        let options = config.get_options().map_or_else(|| ours.to_owned(), |given| format!("{ours} {given}"));
        config.options(options);
        let roots = if protected { trusted(roots)? } else { RootCertStore::empty() };
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| OpenError::Unsupported(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config, tls: MakeRustlsConnect::new(client) })
    }

    pub async fn connect(&self) -> Result<(Client, Connection<Socket, Stream>), Error> {
        self.config.connect(self.tls.clone()).await
    }
}

/// What an address says of protection, and the address without it.
struct Asked {
    url: String,
    protected: bool,
    roots: Option<PathBuf>,
}

fn asked(url: &str) -> Result<Asked, OpenError> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let mut asked = Asked { url: place.to_owned(), protected: false, roots: None };
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value).decode_utf8_lossy();
        match name {
            "sslmode" if PROTECTED.contains(&value.as_ref()) => asked.protected = true,
            "sslmode" if ["disable", "allow", "prefer"].contains(&value.as_ref()) => asked.protected = false,
            "sslmode" => {
                let known = "disable, allow, prefer, require, verify-ca, verify-full";
                return Err(OpenError::Unsupported(format!("sslmode is none of {known}")));
            }
            "sslrootcert" if !value.is_empty() => asked.roots = Some(PathBuf::from(value.into_owned())),
            _ => kept.push(pair),
        }
    }
    if asked.roots.is_some() && !asked.protected {
        return Err(OpenError::Unsupported("sslrootcert needs sslmode=verify-full: nothing is checked without".into()));
    }
    if !kept.is_empty() {
        asked.url = format!("{}?{}", asked.url, kept.join("&"));
    }
    Ok(asked)
}

fn trusted(file: Option<PathBuf>) -> Result<RootCertStore, OpenError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(OpenError::Unsupported(
                "the system has no root certificates; name a file: sslrootcert=…".into(),
            ));
        }
        return Ok(roots);
    };
    let unusable = |why: String| OpenError::Unsupported(format!("sslrootcert {}: {why}", path.display()));
    let found = CertificateDer::pem_file_iter(&path).map_err(|error| unusable(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate".into()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> Result<SslMode, String> {
        Target::parse(url).map(|target| target.config.get_ssl_mode()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_asks_for_protection_gets_it_or_is_refused() {
        for asking in PROTECTED {
            let url = format!("postgres://u@host/db?sslmode={asking}&connect_timeout=3");
            assert_eq!(mode(&url), Ok(SslMode::Require), "{asking}");
        }
        for without in ["", "?sslmode=disable", "?sslmode=prefer", "?application_name=x"] {
            assert_eq!(mode(&format!("postgres://u@host/db{without}")), Ok(SslMode::Disable), "{without}");
        }
        for (wrong, why) in [
            ("sslmode=Require", "sslmode is none of"),
            ("sslrootcert=/tmp/ca.pem", "needs sslmode"),
            ("sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "sslrootcert /nowhere/ca.pem"),
            ("sslcert=x", "sslcert"),
        ] {
            let refused = mode(&format!("postgres://u:secret@host/db?{wrong}")).unwrap_err();
            assert!(refused.contains(why) && !refused.contains("secret"), "{wrong}: {refused}");
        }
        let bad = mode("postgres://u:secret@host:port/db").unwrap_err();
        assert!(!bad.contains("secret"), "{bad}");
    }
}
