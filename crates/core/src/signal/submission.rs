//! What a caller sends. Unknown fields are ignored, `null` means absent, both casings are read.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::context::{Classification, SafetyContext, SourceRouting};
use crate::source::SourceKind;

/// `null` reads as the default.
pub fn null_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(de: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(de)?.unwrap_or_default())
}

/// A failure report. Every field is optional; which of them an untrusted caller may set is decided at intake.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Submission {
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "projectId")]
    pub project_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "workspaceRoot")]
    pub workspace_root: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "logSourceId")]
    pub log_source_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "sourceKind")]
    pub source_kind: Option<SourceKind>,
    /// `owner/repo`; the configured repository when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "runId")]
    pub run_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "sessionId")]
    pub session_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "correlationId")]
    pub correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "fileName")]
    pub file_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub excerpt: Vec<String>,
    /// The caller's own grouping key, kept as given when it is at most 200 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    #[serde(flatten)]
    pub safety: SafetyContext,
    #[serde(flatten)]
    pub classification: Classification,
    #[serde(flatten)]
    pub routing: SourceRouting,
}
