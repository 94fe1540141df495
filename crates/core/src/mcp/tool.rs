//! A tool as its server described it, a call of it, and what came back.
//!
//! A fault says for itself whether the call may have taken effect, because that decides whether it may be repeated
//! blindly or must be looked up first.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    publish::refusal::{self, Refusal},
    record::{Collection, Column, Record},
    wire::wire_enum,
};

/// A tool of a registered server, as stored when the server last listed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToolRow {
    pub server_name: String,
    /// As the server calls it.
    pub tool_name: String,
    /// `mcp.<server>.<tool>`, with the server's name as a slug.
    pub namespaced_name: String,
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of the arguments.
    #[schema(value_type = Object)]
    pub input_schema: Value,
    /// A JSON Schema of the structured result, where the server states one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub output_schema: Option<Value>,
    /// SHA-256 over name, title, description, schemas and annotations, hex.
    pub schema_hash: String,
    /// The hash under which the tool may be called. Another `schema_hash` blocks it until an operator accepts it.
    pub accepted_hash: String,
    pub fetched_at_ms: u64,
    /// The server no longer offers it. The row stays, because its pin must survive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// Something was published through it.
    #[serde(default)]
    pub used: bool,
}

pub static MCP_TOOLS: Collection = Collection { name: "mcp_tools", columns: &["server_name", "fetched_at_ms"] };

impl Record for ToolRow {
    const COLLECTION: &'static Collection = &MCP_TOOLS;
    /// The namespaced name: no two servers of a tenant share a slug.
    fn id(&self) -> &str {
        &self.namespaced_name
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.server_name), Column::ms(self.fetched_at_ms)]
    }
}

impl ToolRow {
    /// Whether the description and the schemas are those that somebody accepted (the first ones, unless in use).
    pub fn accepted(&self) -> bool {
        self.schema_hash == self.accepted_hash
    }
}

/// One call. The arguments are never stored or logged.
#[derive(Clone, PartialEq)]
pub struct ToolCall {
    pub server: String,
    /// The raw or the namespaced name, in any case.
    pub tool: String,
    pub arguments: Map<String, Value>,
    /// From the sending to the whole answer.
    pub timeout_ms: u64,
    /// How large the answer may be before it is a fault.
    pub answer_bytes: usize,
}

impl ToolCall {
    /// A call with the usual limits: 12 s and 1 MiB.
    pub fn new(server: impl Into<String>, tool: impl Into<String>, arguments: Map<String, Value>) -> Self {
        Self { server: server.into(), tool: tool.into(), arguments, timeout_ms: 12_000, answer_bytes: 1 << 20 }
    }
}

impl std::fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ToolCall({}/{}, {} arguments)", self.server, self.tool, self.arguments.len())
    }
}

/// What a tool answered. `is_error` is the tool's own word that it failed, and is a failure for every caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolAnswer {
    pub structured: Option<Value>,
    /// The text parts, in order.
    pub text: Vec<String>,
    pub is_error: bool,
    /// The tool's metadata asks for an authorisation that is missing (`mcpAuth.required`).
    pub auth_required: bool,
    pub metadata_keys: Vec<String>,
}

impl ToolAnswer {
    /// The structured content, else the first text part that is JSON.
    pub fn value(&self) -> Option<Value> {
        let parsed = || self.text.iter().find_map(|text| serde_json::from_str::<Value>(text).ok());
        self.structured.clone().or_else(parsed)
    }
}

wire_enum! {
    /// Why a call did not bring an answer.
    pub enum ToolFault {
        ServerUnregistered = "mcp_server_unregistered",
        ServerDisabled = "mcp_server_disabled",
        /// No connection, and none could be made.
        ServerDisconnected = "mcp_server_disconnected",
        ToolUnknown = "mcp_tool_unknown",
        ToolNotAllowed = "mcp_tool_not_allowed",
        /// The server changed the tool's description or schema since it was accepted.
        ToolChanged = "mcp_tool_changed",
        /// The arguments do not fit the tool's schema.
        ArgumentsInvalid = "mcp_arguments_invalid",
        AuthRequired = "mcp_auth_required",
        /// The authorisation has run out, and it could not be renewed now.
        AuthRefreshFailed = "mcp_auth_refresh_failed",
        SecretUnavailable = "secret_unavailable",
        PrivateAddress = "private_address",
        Timeout = "timeout",
        /// The connection broke after the call was sent.
        ConnectionLost = "connection_lost",
        /// The server answered with a JSON-RPC error.
        Refused = "mcp_refused",
        RateLimited = "rate_limited",
        /// The answer is not what the protocol says an answer is.
        Malformed = "mcp_answer_malformed",
        AnswerTooLarge = "mcp_answer_too_large",
        /// Our own store could not be read.
        StoreUnavailable = "store_unavailable",
    }
}

impl ToolFault {
    /// Whether the same call may end differently later: by itself, or by what somebody does to the server, which wakes the
    /// deliveries that wait for it.
    pub fn retryable(self) -> bool {
        match self {
            Self::ServerDisabled
            | Self::ServerDisconnected
            | Self::ToolChanged
            | Self::AuthRefreshFailed
            | Self::SecretUnavailable
            | Self::Timeout
            | Self::ConnectionLost
            | Self::RateLimited
            | Self::StoreUnavailable => true,
            Self::ServerUnregistered
            | Self::ToolUnknown
            | Self::ToolNotAllowed
            | Self::ArgumentsInvalid
            | Self::AuthRequired
            | Self::PrivateAddress
            | Self::Refused
            | Self::Malformed
            | Self::AnswerTooLarge => false,
        }
    }
}

/// A call without an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolError {
    pub fault: ToolFault,
    /// For people. Holds no secret and no argument.
    pub detail: String,
    /// The request may have reached the tool: look for its effect before it is sent again.
    pub may_have_acted: bool,
    pub retry_after_ms: Option<u64>,
}

impl ToolError {
    /// A fault before anything was sent.
    pub fn unsent(fault: ToolFault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into(), may_have_acted: false, retry_after_ms: None }
    }

    /// A fault after the call may have been received.
    pub fn sent(fault: ToolFault, detail: impl Into<String>) -> Self {
        Self { may_have_acted: true, ..Self::unsent(fault, detail) }
    }

    /// The server's own no, where this is one. One to a request that it did not even begin with is final.
    pub fn refusal(&self) -> Option<Refusal> {
        let no = if self.may_have_acted { refusal::of_words(&self.detail) } else { Refusal::Final };
        (self.fault == ToolFault::Refused).then_some(no)
    }
}

impl std::fmt::Display for ToolError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.fault, self.detail)
    }
}

impl std::error::Error for ToolError {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn structured_content_comes_before_text_that_happens_to_be_json() {
        let text = vec!["hello".to_owned(), r#"{"number":7}"#.to_owned()];
        let mut answer = ToolAnswer { text, ..ToolAnswer::default() };
        assert_eq!(answer.value(), Some(json!({"number": 7})));
        answer.structured = Some(json!({"number": 8}));
        assert_eq!(answer.value(), Some(json!({"number": 8})));
        assert_eq!(ToolAnswer { text: vec!["plain".into()], ..ToolAnswer::default() }.value(), None);
    }

    #[test]
    fn a_servers_no_is_waited_for_only_where_it_may_pass() {
        use Refusal::{Final, Passing, Untold};
        for (error, refusal) in [
            (ToolError::unsent(ToolFault::Refused, "HTTP 503"), Some(Final)),
            (ToolError::sent(ToolFault::Refused, "code -32603: upstream timed out"), Some(Passing)),
            (ToolError::sent(ToolFault::Refused, "code -32603: internal error"), Some(Untold)),
            (ToolError::sent(ToolFault::Refused, "code -32001: permission denied"), Some(Final)),
            (ToolError::sent(ToolFault::Timeout, "permission denied"), None),
        ] {
            assert_eq!(error.refusal(), refusal, "{error}");
        }
    }

    #[test]
    fn arguments_do_not_print() {
        let arguments = json!({"body": "s3cr3t"}).as_object().cloned().unwrap_or_default();
        assert!(!format!("{:?}", ToolCall::new("gh", "create_issue", arguments)).contains("s3cr3t"));
    }
}
