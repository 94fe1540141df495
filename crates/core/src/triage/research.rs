//! What to look for in the source, and what the findings are worth.

use std::{path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{duplicate::DuplicateSummary, inspect::Inspection};
use crate::wire::wire_enum;

wire_enum! {
    #[derive(Default)]
    pub enum Confidence {
        #[default]
        Low = "low",
        Medium = "medium",
        High = "high",
    }
}

/// A file that a stack frame names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrameFile {
    /// As the trace names it; never opened, only compared with paths found by walking.
    pub file: String,
    pub line: Option<u64>,
    pub function: Option<String>,
}

/// What to search for. Everything in it comes from this failure's evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResearchPlan {
    pub frame_files: Vec<FrameFile>,
    pub terms: Vec<String>,
}

wire_enum! {
    /// Why a file is a hit.
    pub enum FoundBy {
        Frame = "stack_frame",
        Term = "search_term",
    }
}

/// A place in the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileHit {
    /// Relative to the workspace, with `/`.
    pub path: String,
    pub line: Option<u64>,
    /// The text of the line, bounded. Source text: redact before it is stored.
    pub snippet: String,
    pub found_by: FoundBy,
    /// The term, or the frame's file, that led here.
    pub needle: String,
    /// A frame resolved to this one file, and the file has the frame's line.
    pub exact: bool,
}

/// A recent commit that touched a hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommitRef {
    pub hash: String,
    pub at_ms: u64,
    pub subject: String,
}

/// What a bounded search found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceFindings {
    /// There was a workspace to search.
    pub available: bool,
    pub files_searched: u64,
    /// A bound ended the search early.
    pub truncated: bool,
    pub hits: Vec<FileHit>,
    pub commits: Vec<CommitRef>,
}

/// Reads a workspace. Blocking; never runs anything that the report or the workspace chose.
pub trait Workspace: Send + Sync {
    /// Ends within about `budget`, with what was found so far.
    fn search(&self, root: &Path, plan: &ResearchPlan, budget: Duration) -> WorkspaceFindings;
    /// The front matter of the workspace's bug report template, delimiters excluded.
    fn template(&self, root: &Path) -> Option<String>;
}

/// What the findings are worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Research {
    pub plan: ResearchPlan,
    pub workspace_searched: bool,
    pub files_searched: u64,
    pub truncated: bool,
    pub file_references: Vec<FileHit>,
    pub recent_commits: Vec<CommitRef>,
    pub duplicates: DuplicateSummary,
    /// What was consulted, in words.
    pub sources: Vec<String>,
    pub confidence: Confidence,
    pub likely_cause: String,
}

pub fn plan_research(inspection: &Inspection) -> ResearchPlan {
    let _ = inspection;
    ResearchPlan::default()
}

pub fn conclude_research(
    plan: ResearchPlan,
    inspection: &Inspection,
    findings: WorkspaceFindings,
    duplicates: &DuplicateSummary,
) -> Research {
    let _ = inspection;
    Research {
        plan,
        workspace_searched: findings.available,
        files_searched: findings.files_searched,
        truncated: findings.truncated,
        file_references: findings.hits,
        recent_commits: findings.commits,
        duplicates: duplicates.clone(),
        sources: Vec::new(),
        confidence: Confidence::Low,
        likely_cause: String::new(),
    }
}
