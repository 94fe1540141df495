//! Who holds the presented token: the token that the server was started with, a named one from the store, or nobody.
//!
//! Tokens are compared as SHA-256 digests, the boot token in constant time, named ones by looking their digest up. Where
//! no other process can write the store, found tokens are kept in memory until [`Auth::invalidate`]; elsewhere each
//! request looks again, so that a revocation on another engine holds at once. A scoped intake key is never a full token.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, RwLock},
};

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tandem_core::{
    credential::{API_TOKENS, ApiToken, INTAKE_KEYS, intake_key_hash, token_hash},
    error::{Code, Failure},
    ports::{Secret, Store},
    tenant::TenantKey,
};

use super::{caller::Credential, carriers};
use crate::boot::token::PREFIX;

/// Longer values are refused without hashing them.
const MAX_TOKEN_BYTES: usize = 4096;
/// How often the time of last use of one token is written.
const USED_EVERY_MS: u64 = 60_000;

pub struct Auth {
    /// `None`: started with `--unsafe-no-api-token`.
    boot: Option<[u8; 32]>,
    /// Whether the listener is reachable from this machine only.
    loopback: bool,
    /// Origins that may call from a browser when no token is needed.
    trusted_origins: Vec<String>,
    store: OnceLock<Arc<dyn Store>>,
    known: RwLock<Known>,
    used: Mutex<HashMap<String, u64>>,
}

#[derive(Default)]
struct Known {
    /// Counts invalidations, so that a lookup which began before one does not bring its result back after it.
    generation: u64,
    tokens: HashMap<String, Arc<Named>>,
}

/// A named token with the tenant that owns its row.
#[derive(Debug)]
pub struct Named {
    pub owner: TenantKey,
    pub token: ApiToken,
}

impl Auth {
    pub fn new(boot: Option<&Secret>, loopback: bool, trusted_origins: Vec<String>) -> Self {
        Self {
            boot: boot.map(|secret| Sha256::digest(secret.expose().as_bytes()).into()),
            loopback,
            trusted_origins,
            store: OnceLock::new(),
            known: RwLock::default(),
            used: Mutex::default(),
        }
    }

    /// Named tokens can be looked up from now on.
    pub fn attach(&self, store: Arc<dyn Store>) {
        let _ = self.store.set(store);
    }

    /// Forgets every token that was looked up. Called after each change of a token.
    pub fn invalidate(&self) {
        let mut known = self.known.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.generation += 1;
        known.tokens.clear();
    }

    /// Whether `x-tandem-actor-id` is believed: on local installs with their one token, and for tokens allowed to.
    pub fn asserts_actor(&self, credential: &Credential) -> bool {
        match credential {
            Credential::Boot | Credential::LocalPanel => self.loopback,
            Credential::Named(token) => token.may_assert_actor,
            Credential::None | Credential::DryRunKey => false,
        }
    }

    /// Whose request this is. Refuses what may not pass; `to_key` is what an intake key hears where nothing else is asked
    /// for.
    pub async fn identify(&self, headers: &HeaderMap, to_key: Code, now_ms: u64) -> Result<Credential, Failure> {
        let Some(presented) = carriers::token(headers) else { return self.without_token(headers, to_key) };
        let text =
            std::str::from_utf8(presented).ok().filter(|text| text.len() <= MAX_TOKEN_BYTES).ok_or_else(refused)?;
        let digest: [u8; 32] = Sha256::digest(presented).into();
        if self.boot.is_some_and(|boot| bool::from(boot.ct_eq(&digest))) {
            return Ok(Credential::Boot);
        }
        let store = self.store.get().ok_or_else(crate::http::gate::starting)?;
        match self.lookup(store, &token_hash(text)).await? {
            Some(named) if named.token.is_live(now_ms) => {
                self.mark_used(store, &named, now_ms);
                Ok(Credential::Named(Arc::new(named.token.clone())))
            }
            Some(_) => Err(refused()),
            None if self.boot.is_none() && !self.is_ours(store, text).await? => self.without_token(headers, to_key),
            None => Err(refused()),
        }
    }

    /// A request without a token, or with a foreign one that means nothing here.
    fn without_token(&self, headers: &HeaderMap, to_key: Code) -> Result<Credential, Failure> {
        match self.boot.is_none() && self.is_from_here(headers) {
            true if carriers::intake_key_header(headers).is_some() => Err(Failure::of(to_key)),
            true => Ok(Credential::LocalPanel),
            false => Err(refused()),
        }
    }

    /// Without tokens, a web page that the user happens to visit must not reach the server: neither by a foreign
    /// `Origin` nor by a name that was rebound to this machine.
    fn is_from_here(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
        let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
        host.is_none_or(is_loopback_host)
            && origin.is_none_or(|origin| {
                self.trusted_origins.iter().any(|trusted| trusted == origin)
                    || host.is_some_and(|host| origin.strip_prefix("http://") == Some(host))
            })
    }

    /// Whether an unknown token is one of ours that must not pass as nothing: an intake key, or the shape of a token.
    async fn is_ours(&self, store: &Arc<dyn Store>, text: &str) -> Result<bool, Failure> {
        if text.starts_with(PREFIX) || carriers::INTAKE_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            return Ok(true);
        }
        Ok(store.credential(&INTAKE_KEYS, &intake_key_hash(text)).await?.is_some())
    }

    async fn lookup(&self, store: &Arc<dyn Store>, hash: &str) -> Result<Option<Arc<Named>>, Failure> {
        let generation = {
            let known = self.known.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(named) = known.tokens.get(hash) {
                return Ok(Some(Arc::clone(named)));
            }
            known.generation
        };
        let Some((owner, row)) = store.credential(&API_TOKENS, hash).await? else { return Ok(None) };
        let token = serde_json::from_str(&row.body).map_err(|error| {
            tracing::error!(target: "tandem::store", id = row.id, %error, "a stored token is unreadable");
            Failure::of(Code::StoreCorrupt)
        })?;
        let named = Arc::new(Named { owner, token });
        if store.exclusive() {
            let mut known = self.known.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            if known.generation == generation {
                known.tokens.insert(hash.to_owned(), Arc::clone(&named));
            }
        }
        Ok(Some(named))
    }

    /// Notes the use, at most once a minute and token, without making the request wait.
    fn mark_used(&self, store: &Arc<dyn Store>, named: &Named, now_ms: u64) {
        {
            let mut used = self.used.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let last = used.entry(named.token.token_id.clone()).or_insert(0);
            if now_ms.saturating_sub(*last) < USED_EVERY_MS {
                return;
            }
            *last = now_ms;
        }
        let (store, mark) = (Arc::clone(store), (named.owner.clone(), named.token.token_id.clone(), now_ms));
        tokio::spawn(async move {
            if let Err(error) = store.mark_used(&API_TOKENS, vec![mark]).await {
                tracing::debug!(target: "tandem::store", %error, "the last use of a token was not noted");
            }
        });
    }
}

fn refused() -> Failure {
    Failure::new(Code::AuthRequired, "Unauthorized: missing or invalid API token")
}

/// `localhost`, `127.x.y.z` or `[::1]`, with or without a port.
fn is_loopback_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names() {
        for host in ["localhost", "LOCALHOST:39731", "127.0.0.1", "127.8.9.1:80", "[::1]:39731", "[::1]"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["evil.test", "localhost.evil.test:80", "10.0.0.1", "127.0.0.1.evil.test", "", "[::2]:1"] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
