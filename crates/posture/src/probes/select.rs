//! Which probes to run. Words that name no probe are told, and never select nothing in silence.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ProbeId, ProbeMode};

/// What a caller asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AssessmentProbesRequest)]
#[serde(default)]
pub struct Request {
    /// `dry_run` or `disabled`; any other word means `dry_run`.
    pub mode: Option<String>,
    /// Ids of probes; none means all.
    pub probes: Vec<String>,
    /// Attach draft suggestions to failures; true by default.
    #[serde(alias = "includeDraftSuggestions")]
    pub include_draft_suggestions: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub mode: ProbeMode,
    pub requested_mode: String,
    /// Sorted by id.
    pub selected: Vec<ProbeId>,
    pub ignored: Vec<String>,
    pub include_draft_suggestions: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: ProbeMode::DryRun,
            requested_mode: ProbeMode::DryRun.word().into(),
            selected: ProbeId::ALL.to_vec(),
            ignored: Vec::new(),
            include_draft_suggestions: true,
        }
    }
}

/// Ids were sent and no probe has one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown(pub Vec<String>);

pub fn options(request: &Request) -> Result<Options, Unknown> {
    let (mut selected, mut ignored) = (Vec::new(), Vec::new());
    for id in request.probes.iter().map(|id| id.trim()).filter(|id| !id.is_empty()) {
        match ProbeId::from_word(id) {
            Some(probe) => selected.push(probe),
            None => ignored.push(tandem_core::text::truncate(id, 120)),
        }
    }
    selected.sort_unstable();
    selected.dedup();
    ignored.sort_unstable();
    ignored.dedup();
    if selected.is_empty() {
        if !ignored.is_empty() {
            return Err(Unknown(ignored));
        }
        selected = ProbeId::ALL.to_vec();
    }
    let word = request.mode.as_deref().map(str::trim).unwrap_or_default();
    Ok(Options {
        mode: match word.to_ascii_lowercase().as_str() {
            "disabled" | "disable" | "off" => ProbeMode::Disabled,
            _ => ProbeMode::DryRun,
        },
        requested_mode: match request.mode.as_deref() {
            None => ProbeMode::DryRun.word().into(),
            Some(sent) => tandem_core::text::truncate(sent, 120),
        },
        selected,
        ignored,
        include_draft_suggestions: request.include_draft_suggestions.unwrap_or(true),
    })
}
