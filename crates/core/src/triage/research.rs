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

/// At most this many frame files are looked for.
const FRAME_FILES: usize = 8;
/// At most this many places are kept.
pub const HIT_CAP: usize = 12;

pub fn plan_research(inspection: &Inspection) -> ResearchPlan {
    let mut frame_files: Vec<FrameFile> = Vec::new();
    for frame in &inspection.top_frames {
        // A library's file cannot be in the workspace, and searching for its name would find a namesake.
        let Some(file) = frame.file.as_deref().filter(|file| frame.in_app && !file.trim().is_empty()) else { continue };
        let file = packaged(file, frame.module.as_deref());
        let known = frame_files.iter().any(|f| f.file == file && f.line == frame.line);
        if !known && frame_files.len() < FRAME_FILES {
            frame_files.push(FrameFile { file, line: frame.line, function: frame.function.clone() });
        }
    }
    ResearchPlan { frame_files, terms: inspection.terms.clone() }
}

/// Traces of the JVM name the file alone; its package is the directory.
fn packaged(file: &str, module: Option<&str>) -> String {
    let jvm = [".java", ".kt", ".scala", ".groovy"].iter().any(|extension| file.ends_with(extension));
    let Some(module) = module.filter(|_| jvm && !file.contains('/')) else { return file.to_owned() };
    let lower = |part: &&str| part.starts_with(|c: char| c.is_ascii_lowercase());
    let package: Vec<&str> = module.split('.').take_while(lower).collect();
    if package.is_empty() { file.to_owned() } else { format!("{}/{file}", package.join("/")) }
}

/// Judges the findings. A hit counts only when the plan asked for it, so no adapter can bring in a file of its own.
impl Research {
    /// The hits that point at what to change. Where a stack frame was found exactly, a word of the report that also
    /// stands in some other file leads nowhere.
    pub fn leads(&self) -> impl Iterator<Item = &FileHit> {
        let exact = self.file_references.iter().any(|hit| hit.exact && hit.found_by == FoundBy::Frame);
        self.file_references.iter().filter(move |hit| !exact || hit.found_by == FoundBy::Frame)
    }
}

pub fn conclude_research(
    plan: ResearchPlan,
    inspection: &Inspection,
    findings: WorkspaceFindings,
    duplicates: &DuplicateSummary,
) -> Research {
    let asked = |hit: &FileHit| match hit.found_by {
        FoundBy::Frame => plan.frame_files.iter().any(|frame| frame.file == hit.needle),
        FoundBy::Term => plan.terms.contains(&hit.needle),
    };
    let mut hits: Vec<FileHit> = findings.hits.into_iter().filter(asked).collect();
    hits.sort_by_key(|hit| (!hit.exact, hit.found_by != FoundBy::Frame));
    hits.truncate(HIT_CAP);
    let confidence = if hits.iter().any(|hit| hit.found_by == FoundBy::Frame && hit.exact) {
        Confidence::High
    } else if hits.is_empty() {
        Confidence::Low
    } else {
        Confidence::Medium
    };
    let commits = if hits.is_empty() { Vec::new() } else { findings.commits };
    Research {
        sources: sources(inspection, &plan, findings.available, findings.files_searched, &commits, duplicates),
        likely_cause: cause(inspection, &hits, findings.available, findings.files_searched, findings.truncated),
        workspace_searched: findings.available,
        files_searched: findings.files_searched,
        truncated: findings.truncated,
        file_references: hits,
        recent_commits: commits,
        duplicates: duplicates.clone(),
        confidence,
        plan,
    }
}

fn sources(
    inspection: &Inspection,
    plan: &ResearchPlan,
    searched: bool,
    files: u64,
    commits: &[CommitRef],
    duplicates: &DuplicateSummary,
) -> Vec<String> {
    let mut sources = vec![match &inspection.language {
        Some(language) => format!("Failure report with a {language} stack trace"),
        None => "Failure report without a readable stack trace".to_owned(),
    }];
    sources.push(if searched {
        let (frames, terms) = (plan.frame_files.len(), plan.terms.len());
        format!("Workspace, {files} files read; searched for: files of the stack {frames}, terms {terms}")
    } else {
        "No workspace was available to search".to_owned()
    });
    if !commits.is_empty() {
        sources.push(format!("Version history of the files found; recent commits: {}", commits.len()));
    }
    sources.push(match duplicates.match_count {
        0 => "Past failures; similar: none".to_owned(),
        n => format!("Past failures; similar: {n}"),
    });
    sources
}

fn cause(inspection: &Inspection, hits: &[FileHit], searched: bool, files: u64, truncated: bool) -> String {
    let what = inspection.headline().unwrap_or_else(|| "The failure".to_owned());
    let bounded = if truncated { " The search was cut short by its bounds." } else { "" };
    match hits.first() {
        Some(hit) if hit.exact => {
            let frame = inspection
                .top_frames
                .iter()
                .find(|f| f.line == hit.line && f.file.as_deref().is_some_and(|file| hit.needle.ends_with(file)));
            let function = frame.and_then(|f| f.function.as_deref()).map(|f| format!(" in {f}")).unwrap_or_default();
            format!(
                "{what} is raised{function} at {}. The line is the innermost place in our own code; the defect may be \
                 in one of its callers.",
                place(hit)
            )
        }
        Some(hit) => {
            let how = match hit.found_by {
                FoundBy::Frame => "the stack trace names a file of this name",
                FoundBy::Term => "the words of this report occur there",
            };
            format!(
                "{what} probably involves {}: {how}. No frame of the stack resolved to a line, so this is a lead and \
                 not a finding.{bounded}",
                place(hit)
            )
        }
        None if searched => format!(
            "The cause is unknown. {files} source files of the workspace were searched, and nothing in them matches \
             this report.{bounded}"
        ),
        None => "The cause is unknown. No workspace was available to search, so nothing beyond the report itself is \
                 known."
            .to_owned(),
    }
}

/// `path:line`.
pub fn place(hit: &FileHit) -> String {
    match hit.line {
        Some(line) => format!("{}:{line}", hit.path),
        None => hit.path.clone(),
    }
}
