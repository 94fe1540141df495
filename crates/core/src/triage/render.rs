//! The body of an issue: front matter of the template, the sections in their fixed order, the hidden markers.
//!
//! Bounded: trackers refuse bodies over 65 536 characters, and markers must survive, so sections that no longer fit are
//! named and left out. Text is redacted before it comes here.

use serde_json::Value;

use super::{issue_draft::TemplateSource, markdown, marker, summary::SummaryFields};
use crate::text::truncate;

/// What the body is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    pub fields: &'a SummaryFields,
    pub template: Option<&'a str>,
    pub fingerprint: &'a str,
    pub triage_run_id: &'a str,
    pub coder_handoff: Option<&'a Value>,
    /// Where the workspace lies; never shown.
    pub workspace_root: &'a str,
}

const BUILT_IN: &str = "name: Bug report\nabout: A failure that was reported and triaged\nlabels: incident-monitor";
const TEMPLATE: usize = 4_000;
const SECTIONS: usize = 44_000;
const HANDOFF: usize = 14_000;
const SECTION: usize = 8_000;

/// The template's front matter when it can be used, else the built-in one.
pub fn front_matter(template: Option<&str>) -> (String, TemplateSource) {
    let usable = |t: &&str| {
        !t.trim().is_empty()
            && t.len() <= TEMPLATE
            && !t.contains("<!")
            && !t.lines().any(|line| line.trim_end() == "---")
            && !t.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
    };
    match template.filter(usable) {
        Some(template) => (template.trim_matches('\n').to_owned(), TemplateSource::Repository),
        None => (BUILT_IN.to_owned(), TemplateSource::BuiltIn),
    }
}

pub fn body(parts: &Parts<'_>) -> String {
    let f = parts.fields;
    let (front, _) = front_matter(parts.template);
    let mut out = format!("---\n{front}\n---\n");
    let mut left = SECTIONS;
    let mut omitted: Vec<&str> = Vec::new();
    for (heading, content) in sections(parts, f) {
        let Some(content) = content else { continue };
        if content.len() > left {
            omitted.push(heading);
            continue;
        }
        left -= content.len();
        out.push_str(&format!("\n## {heading}\n\n{content}\n"));
    }
    if !omitted.is_empty() {
        out.push_str(&format!("\nLeft out for length: {}.\n", omitted.join(", ")));
    }
    out.push_str(&format!(
        "\n{}\n{}\n",
        marker::fingerprint(parts.fingerprint),
        marker::triage_run(parts.triage_run_id)
    ));
    if let Some(handoff) = parts.coder_handoff.map(marker::coder_handoff).filter(|text| text.len() <= HANDOFF) {
        out.push_str(&handoff);
        out.push('\n');
    }
    out
}

fn sections<'a>(parts: &Parts<'_>, f: &SummaryFields) -> Vec<(&'a str, Option<String>)> {
    let own = |text: &str| without_root(text, parts.workspace_root);
    let prose = |text: &str| markdown::prose(&truncate(&own(text), SECTION));
    let optional = |text: &Option<String>| text.as_deref().map(prose);
    let bullets = |list: &[String]| list_of(list.iter().map(|item| markdown::line(&own(item))), "- ");
    let codes = |list: &[String]| list_of(list.iter().map(|item| markdown::code(&own(item))), "- ");
    let values = |list: &[Value]| list_of(list.iter().map(|value| markdown::line(&own(&told(value)))), "- ");
    let related: Vec<Value> = f.related_existing_issues.iter().chain(&f.related_failure_patterns).cloned().collect();
    let said = |content: Option<String>, otherwise: &str| Some(content.unwrap_or_else(|| otherwise.to_owned()));
    let logs = (!f.logs.is_empty()).then(|| markdown::fence(&truncate(&own(&f.logs.join("\n")), SECTION), "text"));
    let cause = optional(&f.why_it_likely_happened)
        .map(|cause| format!("{cause}\n\nConfidence: {}. Kind: {}.", f.root_cause_confidence, f.failure_type));
    vec![
        ("What happened?", Some(prose(&f.what_happened))),
        ("What did you expect to happen?", Some(prose(&f.expected_behavior))),
        ("Steps to reproduce", said(numbered(&f.steps_to_reproduce, own), "Not known.")),
        ("Environment", said(bullets(&f.environment), "Not known.")),
        ("Logs / screenshots", said(logs, "None were reported.")),
        ("Suspected root cause", cause),
        ("Recommended fix", optional(&f.recommended_fix)),
        ("Files likely involved", codes(&f.likely_files_to_edit)),
        ("Affected components", bullets(&f.affected_components)),
        ("Acceptance criteria", bullets(&f.acceptance_criteria)),
        ("Verification steps", numbered(&f.verification_steps, own)),
        ("Related issues and failure patterns", values(&related)),
        ("Research sources", values(&f.research_sources)),
        ("File references", values(&f.file_references)),
        ("Potential fix points", values(&f.fix_points)),
    ]
}

fn list_of(items: impl Iterator<Item = String>, bullet: &str) -> Option<String> {
    let lines: Vec<String> = items.filter(|item| !item.is_empty()).map(|item| format!("{bullet}{item}")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn numbered(list: &[String], own: impl Fn(&str) -> String) -> Option<String> {
    let lines: Vec<String> =
        list.iter().enumerate().map(|(i, item)| format!("{}. {}", i + 1, markdown::line(&own(item)))).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// A value of any shape in one line: the keys that people read first, else the JSON as it is.
fn told(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let word = |key: &str| match map.get(key)? {
                Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
                Value::Number(number) => Some(number.to_string()),
                Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
            };
            let path = word("path").or_else(|| word("file"));
            let head = match (path, word("line"), word("number"), word("hash")) {
                (Some(path), Some(line), _, _) => Some(format!("{path}:{line}")),
                (Some(path), None, _, _) => Some(path),
                (None, _, Some(number), _) => Some(format!("issue {number}")),
                (None, _, None, Some(hash)) => Some(format!("commit {}", hash.chars().take(12).collect::<String>())),
                (None, _, None, None) => None,
            };
            let tail = ["title", "subject", "reason", "summary", "description", "snippet", "url", "match_reason"]
                .into_iter()
                .find_map(word);
            match (head, tail) {
                (Some(head), Some(tail)) => format!("{head}: {tail}"),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => value.to_string(),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    };
    truncate(&text, 500)
}

/// `text` with paths of the workspace made relative to it.
pub fn without_root(text: &str, root: &str) -> String {
    let root = root.trim_end_matches('/');
    if root.len() < 2 || !text.contains(root) {
        return text.to_owned();
    }
    let prefix = format!("{root}/");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&prefix) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        // The tail of a longer path that happens to end like the root is another place.
        let inside = out.chars().next_back().is_some_and(|c| c.is_alphanumeric() || "/._-~".contains(c));
        if inside {
            out.push_str(&prefix);
        }
        rest = &found[prefix.len()..];
    }
    out.push_str(rest);
    out
}
