//! A registered MCP server: what an operator configured, and how its connection stands.
//!
//! The row never holds a secret: headers that carry one hold a reference. Deliberately absent: how a connection is made,
//! and the commands behind `stdio:` names, which stand in a file that no request can write.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    listing::Listing,
    tool::{ToolError, ToolFault, ToolRow},
};
use crate::{
    publish::digest::h,
    record::{Collection, Column, Record},
    text::truncate,
};

/// Where a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP.
    Http(String),
    /// A command of the operator's own file, by its name there.
    Stdio(String),
}

impl Transport {
    /// `https://…`, `http://…` or `stdio:<name>`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix("stdio:") {
            let name = name.trim_start_matches("//");
            return super::names::valid_server(name).then(|| Self::Stdio(name.to_owned()));
        }
        let web = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
        web.then(|| Self::Http(text.to_owned()))
    }
}

/// A header whose value is a secret: `prefix` and the value behind the reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretHeader {
    /// `env:NAME`.
    pub secret_ref: String,
    /// What stands before the value, such as `Bearer `.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerRow {
    pub name: String,
    /// A URL, or `stdio:<name>`.
    pub transport: String,
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// By reference only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_headers: BTreeMap<String, SecretHeader>,
    /// Absent admits every tool, an empty list none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_tools: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    #[serde(default)]
    pub grounding_required: bool,
    /// Private and loopback addresses may be dialled. Metadata addresses never may.
    #[serde(default)]
    pub allow_private_networks: bool,
    /// Plain HTTP may be spoken to another machine. To this one it always may.
    #[serde(default)]
    pub allow_insecure_http: bool,
    /// The connection is wanted: a lost one is made again.
    #[serde(default)]
    pub wanted: bool,
    #[serde(default)]
    pub connected: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
    /// What the server calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_info: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error_code: Option<String>,
    /// The server answered that it wants an authorisation.
    #[serde(default)]
    pub auth_required: bool,
    /// Failed attempts to connect in a row.
    #[serde(default)]
    pub failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools_fetched_at_ms: Option<u64>,
    #[serde(default)]
    pub tool_count: usize,
    /// `{uri, name, description?, mime_type?}` as last listed; contents are never read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub resources: Vec<Value>,
    /// What the last listing held that was left out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
}

pub static MCP_SERVERS: Collection = Collection { name: "mcp_servers", columns: &["updated_at_ms"] };

impl Record for ServerRow {
    const COLLECTION: &'static Collection = &MCP_SERVERS;
    fn id(&self) -> &str {
        &self.name
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::ms(self.updated_at_ms)]
    }
}

impl ServerRow {
    pub fn transport(&self) -> Option<Transport> {
        Transport::parse(&self.transport)
    }

    /// Whether the server may be dialled at all: it is switched on, its connection is wanted, and nothing that is sent
    /// to it travels in the open unless an operator said that it may.
    pub fn reachable(&self) -> Result<(), ToolError> {
        if !self.enabled {
            return Err(ToolError::unsent(
                ToolFault::ServerDisabled,
                format!("the server `{}` is disabled", self.name),
            ));
        }
        if !self.wanted {
            let text = format!("the server `{}` is disconnected, and nobody asked for it to be connected", self.name);
            return Err(ToolError::unsent(ToolFault::ServerDisconnected, text));
        }
        if !self.encrypted_enough() {
            return Err(ToolError::unsent(ToolFault::Refused, super::settings::INSECURE));
        }
        Ok(())
    }

    /// Plain HTTP stays on this machine, or was allowed by name.
    pub fn encrypted_enough(&self) -> bool {
        let Some(Transport::Http(text)) = self.transport() else { return true };
        let Ok(url) = url::Url::parse(&text) else { return false };
        url.scheme() == "https" || self.allow_insecure_http || here(&url)
    }

    /// Changes with everything that a connection is made with.
    pub fn dial_digest(&self) -> String {
        let headers = serde_json::to_string(&(&self.headers, &self.secret_headers)).unwrap_or_default();
        let private = if self.allow_private_networks { "private" } else { "" };
        h(["mcp_dial_v1", &self.transport, &headers, private])
    }

    /// A connection was made and the server listed what it offers.
    pub fn now_connected(&mut self, listing: &Listing, tool_count: usize, now_ms: u64) {
        if !self.connected {
            self.connected_at_ms = Some(now_ms);
        }
        self.connected = true;
        self.protocol_version.clone_from(&listing.protocol_version);
        self.server_info.clone_from(&listing.server_info);
        self.resources.clone_from(&listing.resources);
        self.warnings.clone_from(&listing.warnings);
        self.tool_count = tool_count;
        self.tools_fetched_at_ms = Some(now_ms);
        self.last_error = None;
        self.last_error_code = None;
        self.auth_required = false;
        self.failures = 0;
        self.next_attempt_at_ms = None;
        self.updated_at_ms = self.updated_at_ms.max(now_ms);
    }

    /// The connection broke or could not be made. `spread` is a random number in `0..=400`.
    pub fn now_failed(&mut self, error: &ToolError, spread: u64, now_ms: u64) {
        self.connected = false;
        self.last_error = Some(truncate(&error.detail, 500));
        self.last_error_code = Some(error.fault.word().to_owned());
        self.auth_required = error.fault == ToolFault::AuthRequired;
        self.failures = self.failures.saturating_add(1);
        self.next_attempt_at_ms = self.wanted.then(|| now_ms + backoff_ms(self.failures, spread));
        self.updated_at_ms = self.updated_at_ms.max(now_ms);
    }

    /// An operator ended the connection, or the settings that it was made with changed.
    pub fn now_disconnected(&mut self, now_ms: u64) {
        self.connected = false;
        self.last_error = None;
        self.last_error_code = None;
        self.auth_required = false;
        self.failures = 0;
        self.next_attempt_at_ms = self.wanted.then_some(now_ms);
        self.updated_at_ms = self.updated_at_ms.max(now_ms);
    }

    /// Whether it is time to connect.
    pub fn due(&self, now_ms: u64) -> bool {
        self.enabled && self.wanted && !self.connected && self.next_attempt_at_ms.is_none_or(|at| at <= now_ms)
    }
}

/// Whether a URL names this machine, by an address or by the name that stands for one.
fn here(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        None => false,
    }
}

/// 1 s, doubled with each failure in a row, at most 5 min, ±20 %.
fn backoff_ms(failures: u32, spread: u64) -> u64 {
    let plain = (1_000u64 << failures.saturating_sub(1).min(9)).min(300_000);
    plain * (800 + spread.min(400)) / 1_000
}

/// A server as clients read it: the row, and what its tools say.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ServerView {
    #[serde(flatten)]
    pub server: ServerRow,
    /// Tools whose description or schema changed since they were accepted; nothing is published through them.
    pub changed_tools: Vec<ChangedTool>,
}

/// A finding: the tool is not the one that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChangedTool {
    pub tool_name: String,
    pub accepted_hash: String,
    pub schema_hash: String,
    pub changed_at_ms: u64,
}

impl ServerView {
    pub fn of(server: ServerRow, tools: &[ToolRow]) -> Self {
        let changed = tools.iter().filter(|tool| !tool.accepted()).map(|tool| ChangedTool {
            tool_name: tool.tool_name.clone(),
            accepted_hash: tool.accepted_hash.clone(),
            schema_hash: tool.schema_hash.clone(),
            changed_at_ms: tool.fetched_at_ms,
        });
        Self { changed_tools: changed.collect(), server }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::ToolFault;

    #[test]
    fn transports() {
        for (text, wanted) in [
            ("https://mcp.example.com/mcp", Some(Transport::Http("https://mcp.example.com/mcp".into()))),
            (" http://127.0.0.1:1/mcp ", Some(Transport::Http("http://127.0.0.1:1/mcp".into()))),
            ("stdio:memory", Some(Transport::Stdio("memory".into()))),
            ("stdio:", None),
            ("stdio:/bin/sh", None),
            ("stdio:a b", None),
            ("file:///etc/passwd", None),
            ("memory", None),
            ("", None),
        ] {
            assert_eq!(Transport::parse(text), wanted, "{text}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine_unless_it_is_allowed() {
        for (transport, allowed, enough) in [
            ("https://mcp.example.com/mcp", false, true),
            ("http://mcp.example.com/mcp", false, false),
            ("http://mcp.example.com/mcp", true, true),
            ("http://127.0.0.1:9/mcp", false, true),
            ("http://[::1]/mcp", false, true),
            ("http://[::ffff:127.0.0.1]/mcp", false, true),
            ("http://LOCALHOST./mcp", false, true),
            ("http://localhost.example.com/mcp", false, false),
            ("http://10.0.0.1/mcp", false, false),
            ("stdio:memory", false, true),
        ] {
            let row = ServerRow { transport: transport.into(), allow_insecure_http: allowed, ..ServerRow::default() };
            assert_eq!(row.encrypted_enough(), enough, "{transport} {allowed}");
            let fault = ServerRow { enabled: true, wanted: true, ..row.clone() }.reachable().map_err(|e| e.fault);
            assert_eq!(fault.is_ok(), enough, "{transport}");
            let ended = ServerRow { enabled: true, ..row.clone() }.reachable().map_err(|e| e.fault);
            assert_eq!(ended, Err(ToolFault::ServerDisconnected));
            assert_eq!(row.reachable().map_err(|e| e.fault), Err(ToolFault::ServerDisabled));
        }
    }

    #[test]
    fn a_lost_connection_comes_back_later_and_later() {
        let mut row = ServerRow { enabled: true, wanted: true, ..ServerRow::default() };
        let error = ToolError::unsent(ToolFault::ServerDisconnected, "refused");
        let mut waits = Vec::new();
        for _ in 0..12 {
            row.now_failed(&error, 200, 10_000);
            waits.push(row.next_attempt_at_ms.unwrap_or_default() - 10_000);
        }
        assert_eq!(waits[..4], [1_000, 2_000, 4_000, 8_000]);
        assert!(waits.is_sorted() && waits.iter().all(|w| *w <= 300_000));
        assert!(!row.due(10_000) && row.due(10_000 + waits[11]));
        row.wanted = false;
        row.now_failed(&error, 0, 10_000);
        assert_eq!(row.next_attempt_at_ms, None);
        assert!(!row.due(u64::MAX));
    }

    #[test]
    fn the_dial_digest_follows_what_a_connection_is_made_with() {
        let row = ServerRow { transport: "https://a.test/".into(), ..ServerRow::default() };
        let same = ServerRow { purpose: Some("x".into()), connected: true, ..row.clone() };
        assert_eq!(row.dial_digest(), same.dial_digest());
        assert_ne!(row.dial_digest(), ServerRow { allow_private_networks: true, ..row.clone() }.dial_digest());
        assert_ne!(row.dial_digest(), ServerRow { transport: "https://b.test/".into(), ..row.clone() }.dial_digest());
    }
}
