//! Phase one: what the report itself says.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{draft::Draft, incident::Incident, wire::wire_enum};

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

/// A frame of a stack trace, as the trace names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrameFact {
    pub function: Option<String>,
    pub module: Option<String>,
    pub file: Option<String>,
    pub line: Option<u64>,
    pub in_app: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExceptionFact {
    pub kind: String,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Inspection {
    pub language: Option<String>,
    /// Outermost first; the last one is the root cause.
    pub exceptions: Vec<ExceptionFact>,
    /// The innermost frames of our own code, innermost first; when there are none, of libraries.
    pub top_frames: Vec<FrameFact>,
    pub error_line: Option<String>,
    pub failure_type: FailureType,
    /// The words that decided the failure type.
    pub failure_type_evidence: Option<String>,
    /// Lines of the report, for the logs of an issue.
    pub log_lines: Vec<String>,
    /// At most [`TERM_CAP`], each of them words of this report.
    pub terms: Vec<String>,
    /// By which similar failures are recognised.
    pub exception_key: Option<String>,
    pub top_frame_key: Option<String>,
}

pub const TERM_CAP: usize = 16;

pub fn inspect(draft: &Draft, incident: Option<&Incident>) -> Inspection {
    let _ = (draft, incident);
    Inspection {
        language: None,
        exceptions: Vec::new(),
        top_frames: Vec::new(),
        error_line: None,
        failure_type: FailureType::Unknown,
        failure_type_evidence: None,
        log_lines: Vec::new(),
        terms: Vec::new(),
        exception_key: None,
        top_frame_key: None,
    }
}

/// The exception and the frame by which a failure is recognised as similar.
pub fn signature(detail: Option<&str>, excerpt: &[String]) -> (Option<String>, Option<String>) {
    let _ = (detail, excerpt);
    (None, None)
}
