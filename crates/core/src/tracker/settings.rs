//! Settings of a tracker destination. One that cannot be read is named, never replaced by a default.

use serde_json::Value;
use url::Url;

use super::budget;
use crate::{
    config::Config,
    destination::{
        Destination, DestinationKind,
        secret::Reference,
        webhook::{self, Target, UrlProblem},
    },
    text::non_blank,
    wire::wire_enum,
};

wire_enum! {
    /// How a tracker is reached.
    pub enum Transport {
        /// Its own API: GitHub's REST, Linear's GraphQL.
        Api = "api",
        /// Tools of a registered MCP server.
        Mcp = "mcp",
    }
}

wire_enum! {
    /// What a new failure does when its issue exists and is closed.
    #[derive(Default)]
    pub enum ClosedPolicy {
        #[default]
        NewIssue = "new_issue",
        Reopen = "reopen",
        Comment = "comment",
    }
}

/// The API of a tracker, judged by the egress rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Ends with a slash, except for GraphQL.
    pub base: Url,
    /// `host:port`: what rate limits are counted by.
    pub host: String,
    pub token: Reference,
    pub allow_private_networks: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    Api(Api),
    /// The name of the MCP server.
    Mcp(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub via: Via,
    pub closed_issues: ClosedPolicy,
    /// Requests of one sort (looking, writing) under way at once.
    pub concurrency: usize,
    /// Of one request.
    pub timeout_ms: u64,
    /// How long after a request without an answer its absence counts as proof that it had no effect.
    pub settle_ms: u64,
    /// How many things may be created or changed a minute; `None` leaves it to the tracker's own answers.
    pub writes_per_minute: Option<u64>,
    /// Whether the state of issues is brought back, and how often it is asked for.
    pub sync: bool,
    pub sync_interval_ms: u64,
}

/// Why a destination's settings cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    Setting(&'static str),
    /// Neither a token for the API nor an MCP server is named.
    NoTransport,
    TokenMissing,
    TokenMalformed,
    Base(UrlProblem),
}

pub const GITHUB_API: &str = "https://api.github.com/";
pub const LINEAR_API: &str = "https://api.linear.app/graphql";

const TRANSPORT: [&str; 1] = ["transport"];
const TOKEN: [&str; 2] = ["token_ref", "tokenRef"];
const BASE: [&str; 2] = ["api_base", "apiBase"];
const CLOSED: [&str; 2] = ["closed_issues", "closedIssues"];
const CONCURRENCY: [&str; 2] = ["max_concurrency", "maxConcurrency"];
const SETTLE: [&str; 2] = ["settle_ms", "settleMs"];
const WRITES: [&str; 2] = ["writes_per_minute", "writesPerMinute"];
const SYNC: [&str; 2] = ["status_sync", "statusSync"];
const SYNC_INTERVAL: [&str; 2] = ["status_sync_interval_ms", "statusSyncIntervalMs"];

impl Settings {
    pub fn of(config: &Config, destination: &Destination) -> Result<Self, Problem> {
        let web = webhook::Settings::of(destination).map_err(|error| Problem::Setting(error.key))?;
        let server = non_blank(destination.mcp_server.as_deref()).or(non_blank(config.mcp_server.as_deref()));
        let token = non_blank(text(destination, &TOKEN)?);
        let transport = match non_blank(text(destination, &TRANSPORT)?).map(str::to_ascii_lowercase).as_deref() {
            None if token.is_some() => Transport::Api,
            None if server.is_some() => Transport::Mcp,
            None => return Err(Problem::NoTransport),
            Some("api" | "rest" | "graphql") => Transport::Api,
            Some("mcp") => Transport::Mcp,
            Some(_) => return Err(Problem::Setting(TRANSPORT[0])),
        };
        let via = match transport {
            Transport::Mcp => Via::Mcp(server.ok_or(Problem::NoTransport)?.to_owned()),
            Transport::Api => Via::Api(api(destination, &web, token)?),
        };
        let public = matches!(&via, Via::Api(api) if api.host.starts_with("api.github.com:"));
        Ok(Self {
            closed_issues: match text(destination, &CLOSED)? {
                None => ClosedPolicy::default(),
                Some(word) => ClosedPolicy::from_word(word.trim()).ok_or(Problem::Setting(CLOSED[0]))?,
            },
            concurrency: usize::try_from(number(destination, &CONCURRENCY, 4)?.clamp(1, 16)).unwrap_or(1),
            timeout_ms: match destination.setting(&["timeout_ms"]) {
                None => 10_000,
                Some(_) => web.timeout_ms,
            },
            settle_ms: number(destination, &SETTLE, 30_000)?.clamp(500, 3_600_000),
            writes_per_minute: match number(destination, &WRITES, u64::MAX)? {
                u64::MAX if public => Some(budget::GITHUB_WRITES_PER_MINUTE),
                u64::MAX | 0 => None,
                n => Some(n.min(6_000)),
            },
            sync: flag(destination, &SYNC)?,
            sync_interval_ms: number(destination, &SYNC_INTERVAL, 300_000)?.clamp(1_000, 86_400_000),
            via,
        })
    }

    pub fn api(&self) -> Option<&Api> {
        match &self.via {
            Via::Api(api) => Some(api),
            Via::Mcp(_) => None,
        }
    }

    /// What limits are counted by.
    pub fn budget_key(&self) -> String {
        match &self.via {
            Via::Api(api) => api.host.clone(),
            Via::Mcp(server) => format!("mcp:{server}"),
        }
    }
}

fn api(destination: &Destination, web: &webhook::Settings, token: Option<&str>) -> Result<Api, Problem> {
    let token = Reference::parse(token.ok_or(Problem::TokenMissing)?).ok_or(Problem::TokenMalformed)?;
    let linear = destination.kind == DestinationKind::LinearIssue;
    let given = non_blank(text(destination, &BASE)?);
    let base = given.unwrap_or(if linear { LINEAR_API } else { GITHUB_API });
    let mut url = Target::parse(base, web).map_err(Problem::Base)?.url;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Problem::Base(UrlProblem::Invalid));
    }
    if !linear && !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    let host = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
    Ok(Api { base: url, host, token, allow_private_networks: web.allow_private_networks })
}

fn text<'a>(destination: &'a Destination, keys: &[&'static str]) -> Result<Option<&'a str>, Problem> {
    match destination.setting(keys) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::Setting(keys[0])),
    }
}

fn number(destination: &Destination, keys: &[&'static str], default: u64) -> Result<u64, Problem> {
    match destination.setting(keys) {
        None => Ok(default),
        Some(Value::Number(n)) => n.as_u64().ok_or(Problem::Setting(keys[0])),
        Some(Value::String(text)) => text.trim().parse().map_err(|_| Problem::Setting(keys[0])),
        Some(_) => Err(Problem::Setting(keys[0])),
    }
}

/// Only a real `true` or its word switches something on.
fn flag(destination: &Destination, keys: &[&'static str]) -> Result<bool, Problem> {
    match destination.setting(keys) {
        None => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(Value::String(word)) if word == "true" => Ok(true),
        Some(Value::String(word)) if word == "false" => Ok(false),
        Some(_) => Err(Problem::Setting(keys[0])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(kind: DestinationKind, server: Option<&str>, config: Value) -> Result<Settings, Problem> {
        let destination = Destination {
            kind,
            mcp_server: server.map(str::to_owned),
            config: config.as_object().cloned(),
            ..Destination::default()
        };
        Settings::of(&Config::default(), &destination)
    }

    #[test]
    fn the_transport_follows_from_what_is_named() {
        use DestinationKind::{GithubIssue as G, LinearIssue as L};
        let host = |settings: Result<Settings, Problem>| settings.map(|s| s.budget_key());
        assert_eq!(host(of(G, None, json!({"token_ref": "env:GH"}))), Ok("api.github.com:443".into()));
        assert_eq!(host(of(L, Some("lin"), json!({"tokenRef": "LIN"}))), Ok("api.linear.app:443".into()));
        assert_eq!(host(of(G, Some("gh"), json!({}))), Ok("mcp:gh".into()));
        assert_eq!(host(of(G, Some("gh"), json!({"token_ref": "GH", "transport": "mcp"}))), Ok("mcp:gh".into()));
        for (config, problem) in [
            (json!({}), Problem::NoTransport),
            (json!({"transport": "mcp"}), Problem::NoTransport),
            (json!({"transport": "api"}), Problem::TokenMissing),
            (json!({"transport": "pigeon"}), Problem::Setting("transport")),
            (json!({"token_ref": "ghp_abc"}), Problem::TokenMalformed),
            (json!({"token_ref": 7}), Problem::Setting("token_ref")),
            (json!({"token_ref": "GH", "closed_issues": "ignore"}), Problem::Setting("closed_issues")),
            (json!({"token_ref": "GH", "status_sync": "yes"}), Problem::Setting("status_sync")),
            (
                json!({"token_ref": "GH", "api_base": "http://ghe.example.com/api/v3"}),
                Problem::Base(UrlProblem::Scheme),
            ),
            (json!({"token_ref": "GH", "api_base": "https://10.0.0.1/"}), Problem::Base(UrlProblem::PrivateAddress)),
            (json!({"token_ref": "GH", "api_base": "https://u:p@x.com/"}), Problem::Base(UrlProblem::Userinfo)),
            (json!({"token_ref": "GH", "api_base": "https://x.com/?a=b"}), Problem::Base(UrlProblem::Invalid)),
        ] {
            assert_eq!(of(G, None, config.clone()), Err(problem), "{config}");
        }
    }

    #[test]
    fn an_enterprise_base_and_the_clamps() {
        let config = json!({
            "token_ref": "GH", "api_base": "https://ghe.example.com:8443/api/v3", "max_concurrency": 99,
            "settle_ms": 1, "status_sync": true, "status_sync_interval_ms": 5, "closed_issues": "reopen",
        });
        let settings = of(DestinationKind::GithubIssue, None, config).expect("readable");
        let api = settings.api().expect("the API");
        assert_eq!(
            (api.base.as_str(), api.host.as_str()),
            ("https://ghe.example.com:8443/api/v3/", "ghe.example.com:8443")
        );
        assert_eq!((settings.concurrency, settings.settle_ms, settings.sync_interval_ms), (16, 500, 1_000));
        assert!(settings.sync && settings.closed_issues == ClosedPolicy::Reopen);
        assert_eq!(settings.writes_per_minute, None, "only the public host has a known pace");
        let public = of(DestinationKind::GithubIssue, None, json!({"token_ref": "GH"})).expect("readable");
        assert_eq!(public.writes_per_minute, Some(budget::GITHUB_WRITES_PER_MINUTE));
    }
}
