//! What kind of failure it is, by the words of the exception, then of the error line, then of the title. The first of
//! them that says anything decides; words elsewhere in the report decide nothing.

use super::inspect::ExceptionFact;
use crate::wire::wire_enum;

wire_enum! {
    pub enum FailureType {
        CodeDefect = "code_defect",
        MissingConfig = "missing_config",
        MissingCapability = "missing_capability",
        ModelError = "model_error",
        ToolError = "tool_error",
        ValidationError = "validation_error",
        Timeout = "timeout",
        ExternalDependency = "external_dependency",
        Unknown = "unknown",
    }
}

/// Exceptions that the code itself causes, whatever their message says.
const DEFECTS: [&str; 24] = [
    "typeerror",
    "attributeerror",
    "indexerror",
    "keyerror",
    "nameerror",
    "unboundlocalerror",
    "zerodivisionerror",
    "recursionerror",
    "notimplementederror",
    "nullpointerexception",
    "classcastexception",
    "indexoutofboundsexception",
    "arrayindexoutofboundsexception",
    "concurrentmodificationexception",
    "arithmeticexception",
    "illegalstateexception",
    "stackoverflowerror",
    "nosuchmethoderror",
    "nomethoderror",
    "referenceerror",
    "rangeerror",
    "nullreferenceexception",
    "invalidoperationexception",
    "zerodivisionerror",
];

const PHRASES: [(FailureType, &[&str]); 8] = [
    (FailureType::Timeout, &["timed out", "timeout", "deadline exceeded", "deadlineexceeded", "etimedout"]),
    (
        FailureType::ModelError,
        &[
            "context length",
            "context window",
            "model not found",
            "model error",
            "model overloaded",
            "content filter",
            "token limit",
            "llm",
        ],
    ),
    (
        FailureType::MissingConfig,
        &[
            "environment variable",
            "env var",
            "not configured",
            "missing config",
            "missing required config",
            "missing setting",
            "configuration error",
            "improperlyconfigured",
            "missing credentials",
            "no configuration",
        ],
    ),
    (
        FailureType::ExternalDependency,
        &[
            "econnrefused",
            "econnreset",
            "enotfound",
            "connection refused",
            "connection reset",
            "connectionrefused",
            "connectionerror",
            "connectexception",
            "name resolution",
            "getaddrinfo",
            "no such host",
            "unknownhost",
            "no route to host",
            "bad gateway",
            "service unavailable",
            "http 502",
            "http 503",
            "too many requests",
            "rate limit",
        ],
    ),
    (
        FailureType::MissingCapability,
        &[
            "permission denied",
            "permissionerror",
            "eacces",
            "access denied",
            "forbidden",
            "unauthorized",
            "not permitted",
            "missing capability",
            "capability",
            "unsupported operation",
            "notsupported",
        ],
    ),
    (
        FailureType::ValidationError,
        &[
            "validation",
            "jsondecodeerror",
            "unexpected token",
            "parse error",
            "malformed",
            "schema",
            "invalid",
            "unprocessable",
            "valueerror",
            "assertion",
        ],
    ),
    (
        FailureType::CodeDefect,
        &[
            "nil pointer",
            "null pointer",
            "index out of range",
            "index out of bounds",
            "called `option::unwrap()`",
            "called `result::unwrap()`",
            "undefined method",
            "is not a function",
            "cannot read propert",
            "divide by zero",
            "stack overflow",
            "use of moved value",
            "cannot find module",
            "segmentation fault",
        ],
    ),
    (
        FailureType::ToolError,
        &[
            "tool call",
            "tool error",
            "tool failed",
            "command not found",
            "exit code",
            "exit status",
            "exited with",
            "non-zero",
            "subprocess",
            "calledprocesserror",
        ],
    ),
];

/// The type, and the words that decided it.
pub fn decide(
    exceptions: &[ExceptionFact],
    error_line: Option<&str>,
    title: &str,
    own_frames: bool,
) -> (FailureType, Option<String>) {
    let root = exceptions.last();
    if let Some(kind) = root.map(|e| e.kind.rsplit(['.', ':']).next().unwrap_or_default().to_ascii_lowercase())
        && DEFECTS.contains(&kind.as_str())
    {
        return (FailureType::CodeDefect, Some(format!("the exception type {kind}")));
    }
    let root = root.map(ExceptionFact::label);
    let candidates = [(root.as_deref(), "exception"), (error_line, "error line"), (Some(title), "title")];
    for (text, place) in candidates {
        let text = text.unwrap_or_default().to_ascii_lowercase();
        let hit =
            PHRASES.iter().find_map(|(kind, phrases)| Some((*kind, *phrases.iter().find(|p| text.contains(**p))?)));
        if let Some((kind, phrase)) = hit {
            return (kind, Some(format!("\"{phrase}\" in the {place}")));
        }
    }
    if own_frames {
        return (FailureType::CodeDefect, Some("an exception from our own code".to_owned()));
    }
    (FailureType::Unknown, None)
}
