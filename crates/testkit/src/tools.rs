//! Tools that a test scripts: which there are, and what each call answers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tandem_core::{
    mcp::{ToolAnswer, ToolCall, ToolError, ToolFault, ToolRow},
    ports::{BoxFuture, Tools},
    tenant::TenantKey,
};

type Respond = dyn Fn(&ToolCall) -> Result<ToolAnswer, ToolError> + Send + Sync;

/// A [`Tools`] in memory. Scripted answers of a tool are used up in order; then its responder answers, if it has one.
/// A tool with neither is unknown.
#[derive(Default)]
pub struct FakeTools {
    rows: Mutex<Vec<ToolRow>>,
    script: Mutex<HashMap<String, VecDeque<Result<ToolAnswer, ToolError>>>>,
    respond: Mutex<HashMap<String, Box<Respond>>>,
    calls: Mutex<Vec<ToolCall>>,
}

impl FakeTools {
    /// Offers a tool under `server`, with a schema that takes any object.
    pub fn offer(&self, server: &str, tool: &str) {
        held(&self.rows).push(ToolRow {
            server_name: server.to_owned(),
            tool_name: tool.to_owned(),
            namespaced_name: format!("mcp.{server}.{tool}"),
            description: String::new(),
            input_schema: serde_json::json!({"type": "object"}),
            output_schema: None,
            schema_hash: "0".repeat(64),
            accepted_hash: "0".repeat(64),
            fetched_at_ms: 1,
            withdrawn: false,
            used: false,
        });
    }

    /// The next answer of `tool`.
    pub fn next(&self, tool: &str, answer: Result<ToolAnswer, ToolError>) {
        held(&self.script).entry(tool.to_owned()).or_default().push_back(answer);
    }

    /// Answers every call of `tool` that has no scripted answer.
    pub fn respond<F>(&self, tool: &str, answer: F)
    where
        F: Fn(&ToolCall) -> Result<ToolAnswer, ToolError> + Send + Sync + 'static,
    {
        held(&self.respond).insert(tool.to_owned(), Box::new(answer));
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<ToolCall> {
        held(&self.calls).clone()
    }

    /// An answer with structured content, and the same as text.
    pub fn answer(value: Value) -> Result<ToolAnswer, ToolError> {
        Ok(ToolAnswer { text: vec![value.to_string()], structured: Some(value), ..ToolAnswer::default() })
    }
}

impl Tools for FakeTools {
    fn tools<'a>(&'a self, _: &'a TenantKey, server: &'a str) -> BoxFuture<'a, Result<Vec<ToolRow>, ToolError>> {
        let rows: Vec<ToolRow> = held(&self.rows).iter().filter(|row| row.server_name == server).cloned().collect();
        let known = Some(rows).filter(|rows| !rows.is_empty());
        let result = known.ok_or_else(|| ToolError::unsent(ToolFault::ServerUnregistered, "no such server"));
        Box::pin(async move { result })
    }

    fn call<'a>(&'a self, _: &'a TenantKey, call: ToolCall) -> BoxFuture<'a, Result<ToolAnswer, ToolError>> {
        held(&self.calls).push(call.clone());
        let scripted = held(&self.script).get_mut(&call.tool).and_then(VecDeque::pop_front);
        let result = scripted.unwrap_or_else(|| match held(&self.respond).get(&call.tool) {
            Some(respond) => respond(&call),
            None => Err(ToolError::unsent(ToolFault::ToolUnknown, "no such tool")),
        });
        Box::pin(async move { result })
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
