//! What an operator may set on a server, and why it is refused.
//!
//! A value that is a secret is refused wherever a reference can stand instead, so that no row, answer or audit row can
//! ever show one.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    names,
    server::{SecretHeader, ServerRow, Transport},
};
use crate::{
    destination::secret::Reference,
    redaction::{Counts, redactor},
    text::{non_blank, truncate},
};

/// A server to register. `null` means absent.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct NewServer {
    pub name: String,
    /// `https://…`, `http://…`, or `stdio:<name>` for a command of the operator's own file.
    pub transport: String,
    pub enabled: Option<bool>,
    /// Plain headers. One that carries a secret holds a reference: `Bearer env:NAME`, `env:NAME` or `${env:NAME}`.
    #[schema(value_type = Option<Object>)]
    pub headers: Option<Map<String, Value>>,
    /// Headers by secret reference: `"env:NAME"`, or `{"secret_ref": "env:NAME", "prefix": "Bearer "}`.
    #[serde(alias = "secretHeaders")]
    #[schema(value_type = Option<Object>)]
    pub secret_headers: Option<Map<String, Value>>,
    /// Short for a secret header `Authorization: Bearer …`.
    #[serde(alias = "bearerTokenRef", alias = "auth_token_ref", alias = "authTokenRef")]
    pub bearer_token_ref: Option<String>,
    #[serde(alias = "allowedTools")]
    pub allowed_tools: Option<Vec<String>>,
    pub purpose: Option<String>,
    #[serde(alias = "groundingRequired")]
    pub grounding_required: Option<bool>,
    /// Default false: only public addresses are dialled.
    #[serde(alias = "allowPrivateNetworks")]
    pub allow_private_networks: Option<bool>,
    /// Default false: plain HTTP is spoken to this machine only.
    #[serde(alias = "allowInsecureHttp")]
    pub allow_insecure_http: Option<bool>,
}

/// A change of a server. What is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ServerPatch {
    pub enabled: Option<bool>,
    pub transport: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub headers: Option<Map<String, Value>>,
    #[serde(alias = "secretHeaders")]
    #[schema(value_type = Option<Object>)]
    pub secret_headers: Option<Map<String, Value>>,
    #[serde(alias = "bearerTokenRef", alias = "auth_token_ref", alias = "authTokenRef")]
    pub bearer_token_ref: Option<String>,
    #[serde(alias = "allowedTools")]
    pub allowed_tools: Option<Vec<String>>,
    /// Admit every tool again.
    #[serde(alias = "clearAllowedTools")]
    pub clear_allowed_tools: Option<bool>,
    pub purpose: Option<String>,
    #[serde(alias = "groundingRequired")]
    pub grounding_required: Option<bool>,
    #[serde(alias = "allowPrivateNetworks")]
    pub allow_private_networks: Option<bool>,
    #[serde(alias = "allowInsecureHttp")]
    pub allow_insecure_http: Option<bool>,
}

/// Why settings are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingError {
    /// A command over HTTP, or a `stdio:` name that cannot be one.
    Stdio,
    /// The named field breaks a rule.
    Field(&'static str, String),
}

/// Why plain HTTP is refused.
pub(super) const INSECURE: &str =
    "plain http to another machine needs allow_insecure_http: anybody on the way could read and change it";

fn guarded(row: &ServerRow) -> Result<(), SettingError> {
    if row.encrypted_enough() { Ok(()) } else { Err(SettingError::Field("transport", INSECURE.into())) }
}

const HEADERS: usize = 32;
const HEADER_BYTES: usize = 4_096;
const ALLOWED: usize = 500;

impl NewServer {
    /// The row that these settings make. State is that of a server which was never connected.
    pub fn row(&self, now_ms: u64) -> Result<ServerRow, SettingError> {
        let name = self.name.trim();
        if !names::valid_server(name) {
            let text = "must be 1 to 64 letters, digits, `.`, `_` or `-`, and none of our own path words";
            return Err(SettingError::Field("name", text.into()));
        }
        let enabled = self.enabled.unwrap_or(true);
        let mut row = ServerRow {
            name: name.to_owned(),
            enabled,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            grounding_required: self.grounding_required.unwrap_or_default(),
            allow_private_networks: self.allow_private_networks.unwrap_or_default(),
            allow_insecure_http: self.allow_insecure_http.unwrap_or_default(),
            ..ServerRow::default()
        };
        row.transport = transport(&self.transport)?;
        set_headers(&mut row, self.headers.as_ref(), self.secret_headers.as_ref(), self.bearer_token_ref.as_deref())?;
        row.allowed_tools = self.allowed_tools.as_deref().map(tidy).transpose()?;
        row.purpose = non_blank(self.purpose.as_deref()).map(clean);
        guarded(&row)?;
        Ok(row)
    }
}

impl ServerPatch {
    /// Applies the change. Says whether a connection must be made anew.
    pub fn apply(&self, row: &mut ServerRow, now_ms: u64) -> Result<bool, SettingError> {
        let before = (row.dial_digest(), row.enabled);
        if let Some(text) = &self.transport {
            row.transport = transport(text)?;
        }
        if self.headers.is_some() || self.secret_headers.is_some() || self.bearer_token_ref.is_some() {
            let (plain, secret) = (row.headers.clone(), row.secret_headers.clone());
            row.headers.clear();
            row.secret_headers.clear();
            let (headers, secrets) = (self.headers.as_ref(), self.secret_headers.as_ref());
            set_headers(row, headers, secrets, self.bearer_token_ref.as_deref())?;
            // Each of the two lists is replaced only when it is named.
            if self.headers.is_none() {
                row.headers = plain;
            }
            if self.secret_headers.is_none() {
                for (name, header) in secret {
                    row.secret_headers.entry(name).or_insert(header);
                }
            }
        }
        if self.clear_allowed_tools == Some(true) {
            row.allowed_tools = None;
        }
        if let Some(list) = &self.allowed_tools {
            row.allowed_tools = Some(tidy(list)?);
        }
        if let Some(purpose) = &self.purpose {
            row.purpose = non_blank(Some(purpose)).map(clean);
        }
        row.enabled = self.enabled.unwrap_or(row.enabled);
        row.grounding_required = self.grounding_required.unwrap_or(row.grounding_required);
        row.allow_private_networks = self.allow_private_networks.unwrap_or(row.allow_private_networks);
        row.allow_insecure_http = self.allow_insecure_http.unwrap_or(row.allow_insecure_http);
        // What was registered before there was a rule is refused where it is dialled; it can still be switched off.
        if self.transport.is_some() || self.allow_insecure_http.is_some() {
            guarded(row)?;
        }
        row.updated_at_ms = row.updated_at_ms.max(now_ms);
        let changed = before != (row.dial_digest(), row.enabled);
        if changed {
            row.now_disconnected(now_ms);
        }
        Ok(changed)
    }
}

fn transport(text: &str) -> Result<String, SettingError> {
    let refused = |why: &str| Err(SettingError::Field("transport", why.into()));
    let text = text.trim();
    match Transport::parse(text) {
        Some(Transport::Stdio(name)) => Ok(format!("stdio:{name}")),
        None if text.to_ascii_lowercase().starts_with("stdio") => Err(SettingError::Stdio),
        None => refused("must be an http(s) URL or stdio:<name>"),
        Some(Transport::Http(text)) => {
            let Ok(url) = url::Url::parse(&text) else { return refused("is not a URL") };
            if !url.username().is_empty() || url.password().is_some() {
                return refused("must not hold a user or password; use a secret header");
            }
            if text.len() > 2_000 || url.fragment().is_some() {
                return refused("is too long or has a fragment");
            }
            if holds_secret(&text) || url.query_pairs().any(|(key, _)| is_secret_name(&key)) {
                return refused("must not hold a secret; use a secret header");
            }
            Ok(text)
        }
    }
}

fn set_headers(
    row: &mut ServerRow,
    plain: Option<&Map<String, Value>>,
    secret: Option<&Map<String, Value>>,
    bearer: Option<&str>,
) -> Result<(), SettingError> {
    let refused = |field, why: String| Err(SettingError::Field(field, why));
    for (name, value) in plain.into_iter().flatten() {
        let name = header_name(name).ok_or_else(|| bad_name("headers"))?;
        let Value::String(value) = value else { return refused("headers", format!("`{name}` is not text")) };
        if let Some(header) = referenced(value) {
            row.secret_headers.insert(name, header);
        } else if is_secret_name(&name) || holds_secret(&format!("{name}: {value}")) {
            return refused(
                "headers",
                format!("`{name}` must name its secret by reference, such as `Bearer env:NAME`"),
            );
        } else if value.len() > HEADER_BYTES || value.bytes().any(|b| b.is_ascii_control() || !b.is_ascii()) {
            return refused("headers", format!("the value of `{name}` is no header value"));
        } else {
            row.headers.insert(name, value.clone());
        }
    }
    for (name, value) in secret.into_iter().flatten() {
        let name = header_name(name).ok_or_else(|| bad_name("secret_headers"))?;
        let header = match value {
            Value::String(text) => referenced(text),
            Value::Object(map) => {
                let text = ["secret_ref", "secretRef", "ref", "env"].iter().find_map(|key| map.get(*key)?.as_str());
                let prefix = map.get("prefix").and_then(Value::as_str).unwrap_or_default();
                text.and_then(Reference::parse)
                    .filter(|_| prefix.len() <= 32 && prefix.is_ascii())
                    .map(|reference| SecretHeader { secret_ref: reference.to_string(), prefix: prefix.to_owned() })
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        };
        let Some(header) = header else {
            return refused("secret_headers", format!("`{name}` is no reference such as `env:NAME`"));
        };
        row.secret_headers.insert(name, header);
    }
    if let Some(text) = non_blank(bearer) {
        let Some(reference) = Reference::parse(text) else {
            return refused("bearer_token_ref", "is no reference such as `env:NAME`".into());
        };
        let header = SecretHeader { secret_ref: reference.to_string(), prefix: "Bearer ".into() };
        row.secret_headers.insert("authorization".into(), header);
    }
    if row.headers.len() + row.secret_headers.len() > HEADERS {
        return refused("headers", format!("there may be at most {HEADERS}"));
    }
    Ok(())
}

fn bad_name(field: &'static str) -> SettingError {
    SettingError::Field(field, "a name is no header that may be set".into())
}

/// `env:NAME`, `${env:NAME}`, or either after a scheme word: `Bearer env:NAME`. A bare `NAME` is no reference here,
/// because it may as well be a plain value.
fn referenced(text: &str) -> Option<SecretHeader> {
    let text = text.trim();
    let (prefix, last) = match text.rsplit_once(' ') {
        Some((scheme, last)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
            (format!("{scheme} "), last)
        }
        Some(_) => return None,
        None => (String::new(), text),
    };
    let marked = last.starts_with("env:") || last.starts_with("${env:");
    let reference = Reference::parse(last).filter(|_| marked && prefix.len() <= 32)?;
    Some(SecretHeader { secret_ref: reference.to_string(), prefix })
}

/// Header names are tokens in lower case; those that the transport itself sets are not the operator's.
fn header_name(name: &str) -> Option<String> {
    const OURS: [&str; 12] = [
        "accept",
        "connection",
        "content-length",
        "content-type",
        "host",
        "last-event-id",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "mcp-session-id",
        "te",
        "transfer-encoding",
    ];
    let name = name.trim().to_ascii_lowercase();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let usable = !name.is_empty() && name.len() <= 100 && name.bytes().all(token) && !OURS.contains(&name.as_str());
    usable.then_some(name)
}

/// Names whose values are secrets, whatever they look like.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '.'], "_");
    ["authorization", "cookie", "token", "secret", "password", "api_key", "apikey", "credential", "access_key"]
        .iter()
        .any(|word| name.contains(word))
}

fn holds_secret(text: &str) -> bool {
    let mut counts = Counts::new();
    redactor(None).text(text, &mut counts);
    !counts.is_empty()
}

fn clean(text: &str) -> String {
    truncate(&redactor(None).text(text, &mut Counts::new()), 500)
}

fn tidy(list: &[String]) -> Result<Vec<String>, SettingError> {
    let mut out: Vec<String> = Vec::new();
    for entry in list.iter().map(|entry| entry.trim()).filter(|entry| !entry.is_empty()) {
        if entry.len() > 2 * names::NAME_BYTES || !entry.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SettingError::Field("allowed_tools", "an entry is no tool name".into()));
        }
        if !out.iter().any(|known| known == entry) {
            out.push(entry.to_owned());
        }
    }
    if out.len() > ALLOWED {
        return Err(SettingError::Field("allowed_tools", format!("there may be at most {ALLOWED}")));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn new(body: Value) -> Result<ServerRow, SettingError> {
        let mut full = json!({"name": "gh", "transport": "https://mcp.example.com/mcp"});
        if let (Some(full), Value::Object(more)) = (full.as_object_mut(), body) {
            full.extend(more);
        }
        serde_json::from_value::<NewServer>(full).map(|new| new.row(7)).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn secrets_stand_by_reference_or_not_at_all() {
        for (headers, wanted) in [
            (json!({"Authorization": "Bearer env:GH_TOKEN"}), Some(("authorization", "env:GH_TOKEN", "Bearer "))),
            (json!({"Authorization": "Bearer ${env:GH_TOKEN}"}), Some(("authorization", "env:GH_TOKEN", "Bearer "))),
            (json!({"X-Api-Key": "env:KEY"}), Some(("x-api-key", "env:KEY", ""))),
            (json!({"Authorization": "Bearer ghp_0123456789abcdefghijklmnopqrstuvwxyz"}), None),
            (json!({"Authorization": "KEY"}), None),
            (json!({"X-Api-Key": "KEY"}), None),
            (json!({"x-note": "ghp_0123456789abcdefghijklmnopqrstuvwxyz"}), None),
            (json!({"Host": "elsewhere"}), None),
            (json!({"a b": "x"}), None),
            (json!({"x-a": "line\nbreak"}), None),
            (json!({"x-a": 1}), None),
        ] {
            let row = new(json!({ "headers": headers }));
            match (row, wanted) {
                (Ok(row), Some((name, reference, prefix))) => {
                    let header = SecretHeader { secret_ref: reference.into(), prefix: prefix.into() };
                    assert_eq!(row.secret_headers.get(name), Some(&header), "{headers}");
                    assert!(row.headers.is_empty(), "{headers}");
                }
                (Err(SettingError::Field("headers", why)), None) => assert!(!why.contains("ghp_"), "{why}"),
                (other, _) => panic!("{headers}: {other:?}"),
            }
        }
        let plain = new(json!({"headers": {"X-Team": "core"}})).map(|row| row.headers);
        assert_eq!(plain, Ok([("x-team".to_owned(), "core".to_owned())].into()));
        let secret =
            new(json!({"secret_headers": {"X-Key": {"env": "KEY", "prefix": "k "}}, "bearerTokenRef": "env:B"}));
        let names: Vec<String> = secret.map(|row| row.secret_headers.into_keys().collect()).unwrap_or_default();
        assert_eq!(names, ["authorization", "x-key"]);
        assert!(new(json!({"secret_headers": {"X-Key": "plain value"}})).is_err());
        assert!(new(json!({"secret_headers": {"X-Key": 5}})).is_err());
    }

    #[test]
    fn transports_never_carry_a_command_or_a_secret() {
        for text in ["stdio", "stdio:/bin/sh -c id", "stdio: ", "STDIO:x"] {
            assert_eq!(new(json!({ "transport": text })), Err(SettingError::Stdio), "{text}");
        }
        for text in ["", "ftp://x", "https://u:p@x.test/", "https://x.test/?api_key=k", "https://x.test/#f", "https://"]
        {
            assert!(matches!(new(json!({ "transport": text })), Err(SettingError::Field("transport", _))), "{text}");
        }
        assert_eq!(new(json!({"transport": "stdio://memory"})).map(|row| row.transport), Ok("stdio:memory".into()));
    }

    #[test]
    fn a_patch_touches_what_it_names() {
        let body = json!({"headers": {"x-a": "1"}, "bearer_token_ref": "env:T", "allowed_tools": ["a", " a ", "b"]});
        let Ok(mut row) = new(body) else { panic!("the settings are right") };
        assert_eq!(row.allowed_tools, Some(vec!["a".to_owned(), "b".to_owned()]));
        row.connected = true;
        row.wanted = true;
        let patch = |body: Value| serde_json::from_value::<ServerPatch>(body).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(patch(json!({"purpose": "issues", "enabled": null})).apply(&mut row, 9), Ok(false));
        assert!(row.connected && row.enabled);
        assert_eq!(patch(json!({"clear_allowed_tools": true})).apply(&mut row, 9), Ok(false));
        assert_eq!(row.allowed_tools, None);
        assert_eq!(patch(json!({"headers": {"x-b": "2"}})).apply(&mut row, 9), Ok(true));
        assert_eq!(row.headers.keys().collect::<Vec<_>>(), ["x-b"]);
        assert!(row.secret_headers.contains_key("authorization") && !row.connected && row.due(9));
        assert_eq!(patch(json!({"enabled": false})).apply(&mut row, 9), Ok(true));
        assert!(!row.due(9));
    }
}
