//! Settings of a webhook destination, and which URLs it may have.
//!
//! A setting that cannot be read is an error, never a default: a malformed host list must not mean "any host".

use serde_json::Value;
use url::{Host, Url};

use super::{Destination, address};
use crate::{text, wire::wire_enum};

/// Settings in `config`, clamped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub allow_private_networks: bool,
    pub allow_insecure_http: bool,
    /// Lower-case names; empty allows any.
    pub allowed_hosts: Vec<String>,
    /// Of one attempt.
    pub timeout_ms: u64,
    /// Of one delivery, the first one included.
    pub max_attempts: u32,
    pub payload_byte_limit: usize,
    pub response_byte_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_private_networks: false,
            allow_insecure_http: false,
            allowed_hosts: Vec::new(),
            timeout_ms: 5_000,
            max_attempts: 8,
            payload_byte_limit: 65_536,
            response_byte_limit: 4_096,
        }
    }
}

/// A setting that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingError {
    pub key: &'static str,
}

impl Settings {
    pub fn of(destination: &Destination) -> Result<Self, SettingError> {
        let base = Self::default();
        Ok(Self {
            allow_private_networks: flag(destination, "allow_private_networks")?,
            allow_insecure_http: flag(destination, "allow_insecure_http")?,
            allowed_hosts: hosts(destination)?,
            timeout_ms: number(destination, ["timeout_ms", "timeout_ms"], base.timeout_ms)?.clamp(250, 15_000),
            max_attempts: number(destination, ["max_attempts", "retry_max_attempts"], u64::from(base.max_attempts))?
                .clamp(1, 10) as u32,
            payload_byte_limit: number(
                destination,
                ["payload_byte_limit", "max_payload_bytes"],
                base.payload_byte_limit as u64,
            )?
            .clamp(1_024, 262_144) as usize,
            response_byte_limit: number(
                destination,
                ["response_byte_limit", "max_response_bytes"],
                base.response_byte_limit as u64,
            )?
            .clamp(512, 16_384) as usize,
        })
    }
}

fn flag(destination: &Destination, key: &'static str) -> Result<bool, SettingError> {
    match destination.setting(&[key]) {
        None => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(Value::String(word)) => match word.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(SettingError { key }),
        },
        Some(_) => Err(SettingError { key }),
    }
}

fn number(destination: &Destination, keys: [&'static str; 2], default: u64) -> Result<u64, SettingError> {
    let error = SettingError { key: keys[0] };
    match destination.setting(&keys) {
        None => Ok(default),
        // Below zero is below every lower bound, a fraction is cut, and what does not fit is above every upper bound.
        Some(Value::Number(n)) => n.as_u64().or_else(|| n.as_f64().map(|f| f as u64)).ok_or(error),
        Some(Value::String(word)) => word.trim().parse().map_err(|_| error),
        Some(_) => Err(error),
    }
}

fn hosts(destination: &Destination) -> Result<Vec<String>, SettingError> {
    let error = SettingError { key: "allowed_hosts" };
    match destination.setting(&["allowed_hosts", "host_allowlist"]) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| match item.as_str() {
                Some(entry) if entry.trim().is_empty() => None,
                Some(entry) => Some(host_entry(entry.trim()).ok_or(error)),
                None => Some(Err(error)),
            })
            .collect(),
        Some(_) => Err(error),
    }
}

/// A list entry in the form that URLs give hosts: lower case, IDNA, without a trailing dot.
fn host_entry(entry: &str) -> Option<String> {
    let (wildcard, name) = match entry.strip_prefix("*.") {
        Some(rest) => ("*.", rest),
        None => ("", entry),
    };
    let host = Host::parse(name).ok()?.to_string();
    Some(format!("{wildcard}{}", host.trim_end_matches('.')))
}

wire_enum! {
    /// Why a URL cannot be a webhook's.
    pub enum UrlProblem {
        Missing = "url_missing",
        Invalid = "url_invalid",
        Scheme = "url_scheme",
        Userinfo = "url_userinfo",
        HostNotAllowed = "host_not_allowed",
        PrivateAddress = "private_address",
    }
}

/// A URL that passed the syntax rules. The addresses behind a name are judged when they are dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub url: Url,
    /// Without a trailing dot; IPv6 without brackets.
    pub host: String,
    /// `scheme://host[:port]/path`, at most 500 bytes. What keys and receipts name.
    pub target_ref: String,
}

impl Target {
    pub fn of(destination: &Destination, settings: &Settings) -> Result<Self, UrlProblem> {
        Self::parse(destination.webhook_url.as_deref().unwrap_or_default(), settings)
    }

    pub fn parse(raw: &str, settings: &Settings) -> Result<Self, UrlProblem> {
        let raw = raw.trim();
        if raw.is_empty() {
            return Err(UrlProblem::Missing);
        }
        // Nobody listens on port 0.
        let url = Url::parse(raw).ok().filter(|url| url.port() != Some(0)).ok_or(UrlProblem::Invalid)?;
        match url.scheme() {
            "https" => {}
            "http" if settings.allow_insecure_http => {}
            _ => return Err(UrlProblem::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlProblem::Userinfo);
        }
        // The parser has already turned every spelling of an IPv4 address into the address.
        let (host, reason) = match url.host().ok_or(UrlProblem::Invalid)? {
            Host::Domain(name) => (name.trim_end_matches('.').to_owned(), address::forbidden_name(name)),
            Host::Ipv4(ip) => (ip.to_string(), address::forbidden(ip.into())),
            Host::Ipv6(ip) => (ip.to_string(), address::forbidden(ip.into())),
        };
        if host.is_empty() {
            return Err(UrlProblem::Invalid);
        }
        if reason.is_some_and(|reason| !(settings.allow_private_networks && reason.liftable())) {
            return Err(UrlProblem::PrivateAddress);
        }
        if !allowed(&host, &settings.allowed_hosts) {
            return Err(UrlProblem::HostNotAllowed);
        }
        Ok(Self { target_ref: target_ref(&url), host, url })
    }
}

fn allowed(host: &str, list: &[String]) -> bool {
    let host = host.to_ascii_lowercase();
    list.is_empty()
        || list.iter().any(|entry| match entry.strip_prefix("*.") {
            // The wildcard stands for one or more labels, not for none.
            Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            None => entry.trim_start_matches('[').trim_end_matches(']') == host,
        })
}

fn target_ref(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let full = format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path());
    text::truncate(&full, 500)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{UrlProblem as U, *};

    fn with(config: Value) -> Destination {
        Destination { config: config.as_object().cloned(), ..Destination::default() }
    }

    #[test]
    fn settings_have_defaults_aliases_and_clamps() {
        assert_eq!(Settings::of(&Destination::default()), Ok(Settings::default()));
        let low =
            with(json!({"timeout_ms": 1, "max_attempts": 0, "payload_byte_limit": "5", "max_response_bytes": -3}));
        let low = Settings::of(&low).unwrap_or_default();
        assert_eq!(
            (low.timeout_ms, low.max_attempts, low.payload_byte_limit, low.response_byte_limit),
            (250, 1, 1_024, 512)
        );
        let high = with(json!({
            "timeout_ms": 99_999, "retry_max_attempts": "77", "max_payload_bytes": 1e12, "response_byte_limit": 1 << 30,
            "allow_private_networks": "true", "allow_insecure_http": true,
            "host_allowlist": ["Hooks.Example.com.", " ", "*.exämple.com"],
        }));
        let high = Settings::of(&high).unwrap_or_default();
        assert_eq!(
            (high.timeout_ms, high.max_attempts, high.payload_byte_limit, high.response_byte_limit),
            (15_000, 10, 262_144, 16_384)
        );
        assert!(high.allow_private_networks && high.allow_insecure_http);
        assert_eq!(high.allowed_hosts, ["hooks.example.com", "*.xn--exmple-cua.com"]);
    }

    #[test]
    fn a_setting_that_cannot_be_read_is_named() {
        for (config, key) in [
            (json!({"allowed_hosts": "example.com"}), "allowed_hosts"),
            (json!({"allowed_hosts": [1]}), "allowed_hosts"),
            (json!({"allowed_hosts": ["https://example.com/"]}), "allowed_hosts"),
            (json!({"allow_private_networks": 1}), "allow_private_networks"),
            (json!({"allow_insecure_http": "yes"}), "allow_insecure_http"),
            (json!({"max_attempts": "many"}), "max_attempts"),
            (json!({"timeout_ms": []}), "timeout_ms"),
        ] {
            assert_eq!(Settings::of(&with(config)).err().map(|e| e.key), Some(key));
        }
    }

    #[test]
    fn urls() {
        let http = Settings { allow_insecure_http: true, ..Settings::default() };
        let plain = Settings::default();
        for (url, settings, problem) in [
            ("", &plain, Some(U::Missing)),
            ("   ", &plain, Some(U::Missing)),
            ("not a url", &plain, Some(U::Invalid)),
            ("https://", &plain, Some(U::Invalid)),
            ("https://hooks.example.com/in", &plain, None),
            ("http://hooks.example.com/in", &plain, Some(U::Scheme)),
            ("http://hooks.example.com/in", &http, None),
            ("ftp://hooks.example.com/in", &http, Some(U::Scheme)),
            ("https://hooks.example.com:0/in", &plain, Some(U::Invalid)),
            ("file:///etc/passwd", &http, Some(U::Scheme)),
            ("https://user@hooks.example.com/", &plain, Some(U::Userinfo)),
            ("https://:pw@hooks.example.com/", &plain, Some(U::Userinfo)),
            ("https://localhost/", &plain, Some(U::PrivateAddress)),
            ("https://LocalHost./", &plain, Some(U::PrivateAddress)),
            ("https://127.0.0.1/", &plain, Some(U::PrivateAddress)),
            ("https://127.0.0.1./", &plain, Some(U::PrivateAddress)),
            ("https://0x7f.1/", &plain, Some(U::PrivateAddress)),
            ("https://2130706433/", &plain, Some(U::PrivateAddress)),
            ("https://017700000001/", &plain, Some(U::PrivateAddress)),
            ("https://0/", &plain, Some(U::PrivateAddress)),
            ("https://%31%32%37.0.0.1/", &plain, Some(U::PrivateAddress)),
            ("https://１２７.0.0.1/", &plain, Some(U::PrivateAddress)),
            ("https://[::1]/", &plain, Some(U::PrivateAddress)),
            ("https://[::ffff:10.0.0.1]/", &plain, Some(U::PrivateAddress)),
            ("https://[64:ff9b::7f00:1]/", &plain, Some(U::PrivateAddress)),
            ("https://metadata.google.internal/", &plain, Some(U::PrivateAddress)),
            ("https://8.8.8.8/", &plain, None),
            ("https://[2600::1]:8443/", &plain, None),
        ] {
            assert_eq!(Target::parse(url, settings).err(), problem, "{url}");
        }
    }

    #[test]
    fn private_networks_may_be_allowed_but_metadata_never() {
        let private = Settings { allow_private_networks: true, allow_insecure_http: true, ..Settings::default() };
        for (url, allowed) in [
            ("http://127.0.0.1:9000/in", true),
            ("http://localhost:9000/in", true),
            ("http://receiver:9000/in", true),
            ("http://[fd00::5]/in", true),
            ("http://169.254.169.254/latest", false),
            ("http://2852039166/latest", false),
            ("http://[fd00:ec2::254]/", false),
            ("http://100.100.100.200/", false),
            ("http://metadata.google.internal./", false),
        ] {
            assert_eq!(Target::parse(url, &private).is_ok(), allowed, "{url}");
        }
    }

    #[test]
    fn host_lists() {
        let settings =
            Settings::of(&with(json!({"allowed_hosts": ["api.example.com", "*.hooks.dev", "8.8.8.8", "[2600::1]"]})))
                .unwrap_or_default();
        for (host, expected) in [
            ("api.example.com", true),
            ("API.example.com.", true),
            ("example.com", false),
            ("evil-api.example.com", false),
            ("a.hooks.dev", true),
            ("a.b.hooks.dev", true),
            ("hooks.dev", false),
            ("evilhooks.dev", false),
            ("api.example.com.evil.net", false),
            ("8.8.8.8", true),
            ("[2600::1]", true),
            ("[2600::2]", false),
        ] {
            let result = Target::parse(&format!("https://{host}/"), &settings);
            assert_eq!(result.is_ok(), expected, "{host}: {result:?}");
        }
    }

    #[test]
    fn the_reference_names_no_query_and_is_bounded() {
        let of =
            |url: &str| Target::parse(url, &Settings::default()).map(|target| target.target_ref).unwrap_or_default();
        assert_eq!(of("https://Hooks.example.com/in?token=x#y"), "https://hooks.example.com/in");
        assert_eq!(of("https://hooks.example.com:8443"), "https://hooks.example.com:8443/");
        assert_eq!(of("https://[2600::1]:8443/a"), "https://[2600::1]:8443/a");
        let long = of(&format!("https://hooks.example.com/{}", "a".repeat(900)));
        assert_eq!(long.len(), 500 + text::TRUNCATED.len());
    }
}
