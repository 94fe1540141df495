//! Configuration files of agents and MCP clients, read as declarations. Nothing is executed, and nothing is followed.
//!
//! | File | Becomes |
//! |---|---|
//! | `.mcp.json`, `.claude.json`, `CLAUDE.md`, `claude_desktop_config.json` | a runtime with its MCP servers |
//! | `.claude/settings.json`, `.claude/settings.local.json` | the runtime, its tool policy, its hooks |
//! | `.claude/agents/*.md` | an agent, from its front matter |
//! | `.cursor/mcp.json`, `.vscode/mcp.json`, `.vscode/settings.json`, `.gemini/settings.json`, `.codex/config.toml` | a runtime with its MCP servers |
//! | `langgraph.json` | a runtime, and an agent for each graph |
//! | `config/agents.yaml`, `config/tasks.yaml`, `crew.yaml`, `crew.json`, `pyproject.toml` with `[tool.crewai]` | agents, a workflow, a runtime |
//!
//! A [`Scan`] takes in the text of files whose [`Format`] it knows, in any order, and ends with what they declare. Several
//! files of one directory can speak of one thing; what they say is put together. What is kept of it, and that no value
//! stays, is [`crate::declared::read`]'s. A file that cannot be understood is named, without a word of what it holds.
//!
//! Deliberately absent: walking directories, and guesses from code.

mod claude;
mod clients;
mod crew;
mod graph;
mod id;
mod jsonc;
mod servers;
mod yaml;

use std::collections::BTreeMap;

use serde_json::Value;
use tandem_core::redaction::{Counts, redactor};

use crate::declared::{
    DeclaredKind, Origin,
    read::{DeclaredBody, Said, read},
};

/// A file that says something about agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    ClaudeMcp,
    ClaudeHome,
    ClaudeSettings,
    ClaudeAgent,
    ClaudeMemory,
    ClaudeDesktop,
    Cursor,
    VscodeMcp,
    VscodeSettings,
    Gemini,
    Codex,
    LangGraph,
    CrewAgents,
    CrewTasks,
    Crew,
    CrewProject,
}

impl Format {
    /// What a file is, by its path from the scanned root, with `/` between its parts.
    pub fn of(path: &str) -> Option<Self> {
        let mut parts = path.rsplit('/');
        let (file, parent, above) = (parts.next()?, parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        Some(match (above, parent, file) {
            (_, _, ".mcp.json") => Self::ClaudeMcp,
            (_, _, ".claude.json") => Self::ClaudeHome,
            (_, ".claude", "settings.json" | "settings.local.json") => Self::ClaudeSettings,
            (".claude", "agents", file) if file.ends_with(".md") => Self::ClaudeAgent,
            (_, _, "CLAUDE.md" | "CLAUDE.local.md") => Self::ClaudeMemory,
            (_, _, "claude_desktop_config.json") => Self::ClaudeDesktop,
            (_, ".cursor", "mcp.json") => Self::Cursor,
            (_, ".vscode", "mcp.json") | ("Code", "User", "mcp.json") => Self::VscodeMcp,
            (_, ".vscode", "settings.json") | ("Code", "User", "settings.json") => Self::VscodeSettings,
            (_, ".gemini", "settings.json") => Self::Gemini,
            (_, ".codex", "config.toml") => Self::Codex,
            (_, _, "langgraph.json") => Self::LangGraph,
            (_, "config", "agents.yaml" | "agents.yml") => Self::CrewAgents,
            (_, "config", "tasks.yaml" | "tasks.yml") => Self::CrewTasks,
            (_, _, "crew.yaml" | "crew.yml" | "crew.json") => Self::Crew,
            (_, _, "pyproject.toml") => Self::CrewProject,
            (_, _, _) => return None,
        })
    }
}

/// A file that could not be understood, or says something that cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub path: String,
    /// Never holds anything of the file.
    pub why: String,
}

/// What one thing is said to be, and where.
#[derive(Default)]
struct Draft {
    body: DeclaredBody,
    files: Vec<String>,
}

/// What a scan ends with.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// By kind and id.
    pub declared: Vec<Said>,
    /// Files that were read, whether or not they said something.
    pub files: usize,
    pub trouble: Vec<Trouble>,
}

pub struct Scan {
    name: String,
    drafts: BTreeMap<(DeclaredKind, String), Draft>,
    files: usize,
    trouble: Vec<Trouble>,
}

impl Scan {
    /// `name` tells this root from others that are declared to the same server; it is part of every id.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), drafts: BTreeMap::new(), files: 0, trouble: Vec::new() }
    }

    /// Takes a file in. `path` as for [`Format::of`].
    pub fn add(&mut self, format: Format, path: &str, text: &str) {
        self.files += 1;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let read = match format {
            Format::ClaudeMcp | Format::ClaudeHome => claude::servers(self, path, text),
            Format::ClaudeSettings => claude::settings(self, path, text),
            Format::ClaudeAgent => claude::agent(self, path, text),
            Format::ClaudeMemory => claude::memory(self, path),
            Format::ClaudeDesktop => clients::desktop(self, path, text),
            Format::Cursor => clients::cursor(self, path, text),
            Format::VscodeMcp | Format::VscodeSettings => clients::vscode(self, path, text),
            Format::Gemini => clients::gemini(self, path, text),
            Format::Codex => clients::codex(self, path, text),
            Format::LangGraph => graph::langgraph(self, path, text),
            Format::CrewAgents => crew::agents(self, path, text),
            Format::CrewTasks => crew::tasks(self, path, text),
            Format::Crew => crew::manifest(self, path, text),
            Format::CrewProject => crew::project(self, path, text),
        };
        if let Err(why) = read {
            self.fail(path, why);
        }
    }

    /// A file that could not be read at all.
    pub fn fail(&mut self, path: &str, why: impl Into<String>) {
        let path = redactor(None).text(path, &mut Counts::new()).into_owned();
        self.trouble.push(Trouble { path, why: why.into() });
    }

    pub fn finish(mut self) -> Outcome {
        let mut declared = Vec::new();
        for ((kind, id), draft) in std::mem::take(&mut self.drafts) {
            let Draft { mut body, mut files } = draft;
            files.sort_unstable();
            body.locator.get_or_insert_with(|| files.join(", "));
            body.origin = Some(Origin::Scan);
            body.related.sort_unstable();
            match read(kind, &id, body) {
                Ok(said) => declared.push(said),
                Err(failure) => {
                    let why =
                        failure.extra.get("detail").and_then(Value::as_str).unwrap_or(&failure.message).to_owned();
                    self.fail(&files.join(", "), format!("{} {id}: {why}", kind.word()));
                }
            }
        }
        self.trouble.sort_by(|a, b| a.path.cmp(&b.path));
        Outcome { declared, files: self.files, trouble: self.trouble }
    }

    /// The thing of that kind and framework that belongs to a directory, and is named `tail` there.
    fn thing(&self, framework: &str, directory: &str, tail: &str) -> String {
        id::of(framework, &self.name, directory, tail)
    }

    /// What is known of a thing so far, to be added to.
    fn draft(&mut self, kind: DeclaredKind, framework: &str, id: &str, path: &str) -> &mut DeclaredBody {
        let draft = self.drafts.entry((kind, id.to_owned())).or_default();
        draft.body.framework = Some(framework.to_owned());
        if !draft.files.iter().any(|file| file == path) {
            draft.files.push(path.to_owned());
        }
        &mut draft.body
    }

    /// The runtime of a directory, and its id.
    fn runtime(&mut self, framework: &str, directory: &str, path: &str) -> (String, &mut DeclaredBody) {
        let id = self.thing(framework, directory, "");
        let name = match directory {
            "" => format!("{framework} in {}", self.name),
            directory => format!("{framework} in {}/{directory}", self.name),
        };
        let body = self.draft(DeclaredKind::Runtime, framework, &id, path);
        body.name.get_or_insert(name);
        (id, body)
    }
}

/// The directory that a file speaks for: without the file, and without `own`, the directory that holds only such files.
fn directory<'p>(path: &'p str, own: &str) -> &'p str {
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    if own.is_empty() {
        return parent;
    }
    match parent.strip_suffix(own) {
        Some("") => "",
        Some(above) => above.strip_suffix('/').unwrap_or(parent),
        None => parent,
    }
}

fn add_note(body: &mut DeclaredBody, note: &str) {
    match &mut body.description {
        Some(text) => {
            text.push('\n');
            text.push_str(note);
        }
        None => body.description = Some(note.to_owned()),
    }
}

/// JSON with comments and commas at the end.
fn json(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(&jsonc::plain(text))
        .map_err(|error| format!("it is not valid JSON (line {}, column {})", error.line(), error.column()))?;
    if value.is_object() { Ok(value) } else { Err("it is not a JSON object".into()) }
}

fn toml(text: &str) -> Result<Value, String> {
    toml::from_str::<Value>(text).map_err(|error| {
        let line = error.span().map_or(0, |span| text.get(..span.start).unwrap_or_default().matches('\n').count());
        format!("it is not valid TOML (line {})", line + 1)
    })
}

/// The strings of a list, or those between the commas of a text.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => text.split(',').map(|part| part.trim().to_owned()).filter(|p| !p.is_empty()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
