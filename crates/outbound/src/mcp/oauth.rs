//! Authorisations that MCP servers ask for: the authorisation-code flow with PKCE, for a server without a browser.
//!
//! An operator begins the flow, opens the address that comes back in a browser of his own, and hands the `code` and the
//! `state` of the page that he was sent to back to us. Everything on the way goes through the guarded way out, with the
//! MCP server's own permission for private addresses. Tokens are kept in one file of the state directory that only its
//! owner can read, never in the store; they are refreshed when they run out.
//!
//! Deliberately absent: a callback page, the device flow, client credentials, and sharing grants between engines: each
//! engine is authorised on its own.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::{
    Method, Request, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};
use tandem_core::{
    mcp::oauth::{self, AuthAsk, AuthBegun, Grant},
    ports::Secret,
};

use super::http::body;
use crate::{
    egress::Egress,
    failure::{Code, Failure},
};

const ANSWER_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(15);
/// A flow that was begun and not finished is forgotten after this long.
const PENDING_MS: u64 = 10 * 60_000;
const PENDING: usize = 50;

/// The grants of this engine, and the flows under way.
pub(super) struct Grants {
    egress: Arc<Egress>,
    path: PathBuf,
    pending: Mutex<HashMap<String, Pending>>,
    /// Held while the file is read or written, and never while anybody is asked anything.
    file: tokio::sync::Mutex<()>,
    /// One change of a server's tokens at a time; a slow authority holds up its own server only.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// Why there is no token.
struct Denied {
    /// Said by the authority: asking again would not change it.
    finally: bool,
    why: String,
}

impl From<String> for Denied {
    fn from(why: String) -> Self {
        Self { finally: false, why }
    }
}

struct Pending {
    key: String,
    redirect_uri: String,
    verifier: Secret,
    grant: Grant,
    allow_private: bool,
    until_ms: u64,
}

impl Grants {
    pub(super) fn new(egress: Arc<Egress>, path: PathBuf) -> Self {
        Self { egress, path, pending: Mutex::default(), file: tokio::sync::Mutex::default(), turns: Mutex::default() }
    }

    /// Finds out where to go, and says the address that a person has to open.
    pub(super) async fn begin(&self, ask: AuthAsk) -> Result<AuthBegun, String> {
        let private = ask.allow_private_networks;
        let resource = Url::parse(&ask.resource).map_err(|_| "the server's address is no URL")?;
        let mut metadata = None;
        for place in oauth::resource_places(&resource) {
            if let Some(found) = self.get(&place, private).await? {
                metadata = Some(found);
                break;
            }
        }
        let metadata = metadata.ok_or("the server does not say who may authorise for it")?;
        let issuer = oauth::issuer(&metadata, &resource)?;
        let mut server = None;
        for place in oauth::issuer_places(&issuer) {
            if let Some(found) = self.get(&place, private).await? {
                server = Some(found);
                break;
            }
        }
        let server = server.ok_or("the authorisation server does not describe itself")?;
        let endpoints = oauth::endpoints(&server, &issuer, private)?;
        let (client_id, client_secret) = match (&ask.client_id, &endpoints.registration) {
            (Some(id), _) => (id.clone(), ask.client_secret.as_ref().map(|secret| secret.expose().to_owned())),
            (None, Some(place)) => self.register(place, &ask.redirect_uri, private).await?,
            (None, None) => return Err("the authorisation server registers no clients; give a client_id".into()),
        };
        let scope = ask.scope.clone().or_else(|| oauth::scope(&metadata));
        let url = oauth::authorization_url(&endpoints, &ask, &client_id, scope.as_deref())?;
        let until_ms = ask.now_ms + PENDING_MS;
        let grant = Grant {
            resource: ask.resource.clone(),
            token_endpoint: endpoints.token,
            client_id,
            client_secret,
            access_token: String::new(),
            refresh_token: None,
            expires_at_ms: None,
        };
        let pending = Pending {
            key: ask.key,
            redirect_uri: ask.redirect_uri,
            verifier: ask.verifier,
            grant,
            allow_private: private,
            until_ms,
        };
        let mut held = self.held();
        held.retain(|_, pending| pending.until_ms > ask.now_ms);
        if held.len() >= PENDING {
            return Err("too many authorisations are under way".into());
        }
        held.insert(ask.state.clone(), pending);
        Ok(AuthBegun { authorization_url: url, state: ask.state, expires_at_ms: until_ms })
    }

    /// Whose authorisation is under way with this state.
    pub(super) fn awaiting(&self, state: &str, now_ms: u64) -> Option<String> {
        self.held().get(state).filter(|pending| pending.until_ms > now_ms).map(|pending| pending.key.clone())
    }

    /// Turns a code into tokens. The state is used up, whatever comes of it.
    pub(super) async fn finish(&self, key: &str, state: &str, code: &str, now_ms: u64) -> Result<(), String> {
        let pending = {
            let mut held = self.held();
            let ours = held.get(state).is_some_and(|pending| pending.key == key && pending.until_ms > now_ms);
            held.remove(state).filter(|_| ours)
        };
        let pending = pending.ok_or("no authorisation of this server is under way with this state")?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &pending.redirect_uri),
            ("code_verifier", pending.verifier.expose()),
        ];
        let _turn = self.turn(key).await;
        let granted = self.exchange(pending.grant, &form, pending.allow_private, now_ms).await;
        self.keep(key, granted.map_err(|denied| denied.why)?).await
    }

    async fn turn(&self, key: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(key.to_owned()).or_default())
        };
        turn.lock_owned().await
    }

    async fn kept(&self, key: &str) -> Result<Option<Grant>, String> {
        let _file = self.file.lock().await;
        Ok(self.read()?.remove(key))
    }

    async fn keep(&self, key: &str, grant: Grant) -> Result<(), String> {
        let _file = self.file.lock().await;
        let mut all = self.read()?;
        all.insert(key.to_owned(), grant);
        self.write(&all)
    }

    /// The access token of a server, if it is authorised. Renewed when it has run out; where that fails, so does the
    /// request. A token was given for one address and is shown to no other, whatever is registered under the name by
    /// now.
    pub(super) async fn bearer(
        &self,
        key: &str,
        dialled: &Url,
        allow_private: bool,
        now_ms: u64,
    ) -> Result<Option<Secret>, Failure> {
        let unrenewed = |why: String| Failure::because(Code::AuthorizationUnrenewed, why);
        let usable = |grant: &Grant| grant.expires_at_ms.is_none_or(|at| at > now_ms);
        let ours = |grant: &Grant| Url::parse(&grant.resource).ok().as_ref() == Some(dialled);
        match self.kept(key).await.map_err(unrenewed)?.filter(ours) {
            None => return Ok(None),
            Some(grant) if usable(&grant) => return Ok(Some(Secret::new(grant.access_token))),
            Some(_) => {}
        }
        let _turn = self.turn(key).await;
        // Whoever had the turn before may have renewed it, or forgotten it.
        let Some(grant) = self.kept(key).await.map_err(unrenewed)?.filter(ours) else { return Ok(None) };
        if usable(&grant) {
            return Ok(Some(Secret::new(grant.access_token)));
        }
        let Some(refresh) = grant.refresh_token.clone() else {
            return Err(Failure::because(Code::AuthorizationEnded, "it came without a way to renew it"));
        };
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        let mut fresh = self.exchange(grant, &form, allow_private, now_ms).await.map_err(|denied| {
            let code = if denied.finally { Code::AuthorizationEnded } else { Code::AuthorizationUnrenewed };
            Failure::because(code, denied.why)
        })?;
        // A server that gives no new one means the old one to stay.
        fresh.refresh_token = fresh.refresh_token.or(Some(refresh));
        let token = Secret::new(fresh.access_token.clone());
        self.keep(key, fresh).await.map_err(unrenewed)?;
        Ok(Some(token))
    }

    /// Forgets a server's tokens. Says whether there were any.
    pub(super) async fn forget(&self, key: &str) -> Result<bool, String> {
        let _turn = self.turn(key).await;
        let _file = self.file.lock().await;
        let mut all = self.read()?;
        let had = all.remove(key).is_some();
        if had {
            self.write(&all)?;
        }
        Ok(had)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(&self, grant: Grant, form: &[(&str, &str)], private: bool, now_ms: u64) -> Result<Grant, Denied> {
        let mut all = form.to_vec();
        all.push(("client_id", &grant.client_id));
        all.push(("resource", &grant.resource));
        if let Some(secret) = &grant.client_secret {
            all.push(("client_secret", secret));
        }
        let answer =
            self.send(Method::POST, &grant.token_endpoint, Some(Body::Form(oauth::form(&all))), private).await?;
        let (status, answer) = answer;
        if !(200..300).contains(&status) {
            // The standard's own word is safe to show; the description is free text of a stranger.
            let word =
                answer.get("error").and_then(Value::as_str).filter(|word| word.len() < 60).unwrap_or("no reason");
            let why = format!("the authorisation server refused with {status}: {word}");
            // Only the standard's refusals are about the authorisation; anything else may pass.
            return Err(Denied { finally: matches!(status, 400 | 401) && answer.get("error").is_some(), why });
        }
        Ok(oauth::granted(grant, &answer, now_ms)?)
    }

    async fn register(&self, place: &str, redirect: &str, private: bool) -> Result<(String, Option<String>), String> {
        let us = json!({
            "client_name": "Tandem",
            "redirect_uris": [redirect],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let (status, answer) = self.send(Method::POST, place, Some(Body::Json(us.to_string())), private).await?;
        let id = answer.get("client_id").and_then(Value::as_str).filter(|_| (200..300).contains(&status));
        let id = id.ok_or_else(|| format!("the authorisation server did not register us ({status})"))?;
        Ok((id.to_owned(), answer.get("client_secret").and_then(Value::as_str).map(str::to_owned)))
    }

    /// `None` where there is nothing.
    async fn get(&self, place: &str, private: bool) -> Result<Option<Value>, String> {
        let (status, answer) = self.send(Method::GET, place, None, private).await?;
        Ok((status == 200 && answer.is_object()).then_some(answer))
    }

    async fn send(
        &self,
        method: Method,
        place: &str,
        content: Option<Body>,
        private: bool,
    ) -> Result<(u16, Value), String> {
        let url = Url::parse(place).map_err(|_| "an address of the authorisation server is no URL")?;
        let mut request = Request::new(method, url);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        *request.timeout_mut() = Some(TIMEOUT);
        if let Some(content) = content {
            let (kind, text) = match content {
                Body::Form(text) => ("application/x-www-form-urlencoded", text),
                Body::Json(text) => ("application/json", text),
            };
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            *request.body_mut() = Some(text.into());
        }
        let response = self.egress.send(request, private).await.map_err(|failure| failure.text)?;
        let status = response.status().as_u16();
        let read = body(response, ANSWER_BYTES).await.map_err(|_| "the authorisation server's answer broke off")?;
        Ok((status, serde_json::from_slice(&read).unwrap_or_default()))
    }

    fn read(&self) -> Result<BTreeMap<String, Grant>, String> {
        match std::fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| "the file of grants cannot be understood".into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(format!("the file of grants cannot be read: {}", error.kind())),
        }
    }

    /// Whole or not at all, readable by its owner only.
    fn write(&self, all: &BTreeMap<String, Grant>) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("the file of grants cannot be written: {}", error.kind());
        let text = serde_json::to_vec(all).map_err(|_| "the grants cannot be written down")?;
        let beside = self.path.with_extension("new");
        let _ = std::fs::remove_file(&beside);
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&beside, &self.path).map_err(failed)
    }
}

enum Body {
    Form(String),
    Json(String),
}
