//! The authorisation-code flow with PKCE, as far as it is a decision: where to look, what to believe, what to send.
//!
//! A resource names its authorisation server (RFC 9728), which describes itself (RFC 8414) and may register clients
//! (RFC 7591). PKCE with S256 is always used; a server that does not know it is refused. Tokens are asked for one
//! resource only (RFC 8707). Plain HTTP is believed only where private addresses may be dialled, which is for tests and
//! for servers on this machine.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use crate::ports::Secret;

/// Begin a flow.
pub struct AuthAsk {
    pub key: String,
    /// The MCP server's address.
    pub resource: String,
    pub allow_private_networks: bool,
    /// A client that an operator registered himself.
    pub client_id: Option<String>,
    pub client_secret: Option<Secret>,
    pub scope: Option<String>,
    pub redirect_uri: String,
    /// Unguessable, one for each flow.
    pub state: String,
    pub verifier: Secret,
    pub now_ms: u64,
}

/// A flow that waits for a person.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthBegun {
    pub authorization_url: String,
    pub state: String,
    pub expires_at_ms: u64,
}

/// What an authorisation brought. Holds tokens: kept in a file of the operator's, never in the store, never shown.
#[derive(Clone, Serialize, Deserialize)]
pub struct Grant {
    pub resource: String,
    pub token_endpoint: String,
    pub client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    pub access_token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

/// Where an authorisation server does what.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoints {
    pub authorization: String,
    pub token: String,
    pub registration: Option<String>,
}

/// Where a resource may say who authorises for it, most exact first.
pub fn resource_places(resource: &Url) -> Vec<String> {
    let origin = resource.origin().ascii_serialization();
    let path = resource.path().trim_end_matches('/');
    let mut places = vec![format!("{origin}/.well-known/oauth-protected-resource{path}")];
    if !path.is_empty() {
        places.push(format!("{origin}/.well-known/oauth-protected-resource"));
    }
    places
}

/// The first authorisation server that the metadata names. Metadata of another resource is not believed.
pub fn issuer(metadata: &Value, resource: &Url) -> Result<Url, String> {
    let named = metadata.get("resource").and_then(Value::as_str).and_then(|text| Url::parse(text).ok());
    if named.is_some_and(|named| named.origin() != resource.origin()) {
        return Err("the server's metadata is about another resource".into());
    }
    let first = metadata.get("authorization_servers").and_then(Value::as_array).and_then(|list| list.first());
    let url = first.and_then(Value::as_str).and_then(|text| Url::parse(text).ok());
    url.ok_or_else(|| "the server names no authorisation server".into())
}

/// The scopes that a resource asks for.
pub fn scope(metadata: &Value) -> Option<String> {
    let list = metadata.get("scopes_supported")?.as_array()?;
    let words: Vec<&str> = list.iter().filter_map(Value::as_str).take(50).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Where an issuer may describe itself.
pub fn issuer_places(issuer: &Url) -> Vec<String> {
    let origin = issuer.origin().ascii_serialization();
    let path = issuer.path().trim_end_matches('/');
    vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
    ]
}

/// The endpoints that a description names, if it is the issuer's own and knows PKCE.
pub fn endpoints(description: &Value, issuer: &Url, private: bool) -> Result<Endpoints, String> {
    let text = |key: &str| description.get(key).and_then(Value::as_str);
    let own = text("issuer").and_then(|text| Url::parse(text).ok());
    if own.as_ref().map(|url| url.as_str().trim_end_matches('/')) != Some(issuer.as_str().trim_end_matches('/')) {
        return Err("the authorisation server describes itself under another name".into());
    }
    let methods = description.get("code_challenge_methods_supported").and_then(Value::as_array);
    if !methods.is_some_and(|list| list.iter().any(|method| method == "S256")) {
        return Err("the authorisation server does not offer PKCE with S256".into());
    }
    let place = |key: &str| -> Result<Option<String>, String> {
        let Some(found) = text(key) else { return Ok(None) };
        let url = Url::parse(found).map_err(|_| format!("{key} is no URL"))?;
        let secure = url.scheme() == "https" || (private && url.scheme() == "http");
        if !secure || !url.username().is_empty() || url.fragment().is_some() {
            return Err(format!("{key} is not https"));
        }
        Ok(Some(url.into()))
    };
    Ok(Endpoints {
        authorization: place("authorization_endpoint")?.ok_or("it names no authorization_endpoint")?,
        token: place("token_endpoint")?.ok_or("it names no token_endpoint")?,
        registration: place("registration_endpoint")?,
    })
}

/// SHA-256 of the verifier, as PKCE writes it.
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// A verifier or a state from fresh bytes.
pub fn token(bytes: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The address that a person opens.
pub fn authorization_url(
    endpoints: &Endpoints,
    ask: &AuthAsk,
    client_id: &str,
    scope: Option<&str>,
) -> Result<String, String> {
    let mut url = Url::parse(&endpoints.authorization).map_err(|_| "the authorization_endpoint is no URL")?;
    {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", &ask.redirect_uri)
            .append_pair("state", &ask.state)
            .append_pair("code_challenge", &challenge(ask.verifier.expose()))
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &ask.resource);
        if let Some(scope) = scope {
            query.append_pair("scope", scope);
        }
    }
    Ok(url.into())
}

/// Pairs as a form.
pub fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The grant with what a token answer brought. A token is renewed a minute before it runs out.
pub fn granted(mut grant: Grant, answer: &Value, now_ms: u64) -> Result<Grant, String> {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err("the token is no bearer token".into());
    }
    let usable = |token: &&str| token.len() <= 16_384 && token.bytes().all(|byte| byte.is_ascii_graphic());
    grant.access_token = text("access_token").filter(usable).ok_or("the answer holds no access token")?.to_owned();
    grant.refresh_token = text("refresh_token").map(str::to_owned);
    let lives_s = answer.get("expires_in").and_then(Value::as_u64);
    grant.expires_at_ms = lives_s.map(|s| now_ms + s.saturating_mul(1000).saturating_sub(60_000));
    Ok(grant)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_published_vector_of_pkce() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn metadata_is_looked_for_where_the_standards_say() {
        assert_eq!(
            resource_places(&url("https://a.test/mcp/x/")),
            [
                "https://a.test/.well-known/oauth-protected-resource/mcp/x",
                "https://a.test/.well-known/oauth-protected-resource"
            ]
        );
        assert_eq!(
            issuer_places(&url("https://i.test/t"))[0],
            "https://i.test/.well-known/oauth-authorization-server/t"
        );
    }

    #[test]
    fn what_is_not_ones_own_is_not_believed() {
        let resource = url("https://a.test/mcp");
        let of = |body: Value| issuer(&body, &resource).map(String::from);
        assert_eq!(of(json!({"authorization_servers": ["https://i.test"]})), Ok("https://i.test/".into()));
        assert!(of(json!({"resource": "https://b.test/", "authorization_servers": ["https://i.test"]})).is_err());
        assert!(of(json!({"authorization_servers": []})).is_err());
        let good = json!({
            "issuer": "https://i.test", "authorization_endpoint": "https://i.test/a", "token_endpoint": "https://i.test/t",
            "code_challenge_methods_supported": ["plain", "S256"],
        });
        let with = |key: &str, value: Value| {
            let mut body = good.clone();
            body[key] = value;
            endpoints(&body, &url("https://i.test"), false)
        };
        assert!(with("scopes_supported", json!([])).is_ok());
        for (key, value) in [
            ("issuer", json!("https://other.test")),
            ("code_challenge_methods_supported", json!(["plain"])),
            ("code_challenge_methods_supported", json!(null)),
            ("token_endpoint", json!("http://i.test/t")),
            ("token_endpoint", json!("https://u:p@i.test/t")),
            ("authorization_endpoint", json!(null)),
        ] {
            assert!(with(key, value.clone()).is_err(), "{key}: {value}");
        }
        let grant = || Grant {
            resource: String::new(),
            token_endpoint: String::new(),
            client_id: String::new(),
            client_secret: None,
            access_token: String::new(),
            refresh_token: None,
            expires_at_ms: None,
        };
        let bearer = json!({"token_type": "Bearer", "access_token": "a", "expires_in": 3600});
        assert_eq!(granted(grant(), &bearer, 5).ok().and_then(|g| g.expires_at_ms), Some(3_540_005));
        for wrong in [
            json!({"access_token": "a"}),
            json!({"token_type": "mac", "access_token": "a"}),
            json!({"token_type": "bearer", "access_token": "a\nb"}),
        ] {
            assert!(granted(grant(), &wrong, 5).is_err(), "{wrong}");
        }
    }
}
