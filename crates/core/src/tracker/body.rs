//! Title, body and comment as trackers get them: redacted once more, fenced, bounded, with the markers at the end.
//!
//! The text of a report is text: it mentions nobody, ends no fence and forges no marker ([`markdown`] sees to the parts,
//! here the rest is bounded). Markers are never cut; sections are, at a line, with their fence closed. Deliberately
//! absent: what an issue says of a cause or a fix, which triage has rendered.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Issue, IssueRef, time};
use crate::{
    destination::DestinationKind,
    draft::Draft,
    incident::Incident,
    redaction::{Counts, redactor},
    text::{floor_char_boundary, non_blank, truncate},
    triage::{markdown, marker},
};

/// Trackers take less, and nobody reads more.
const TITLE: usize = 240;
const COMMENT: usize = 16_000;
/// GitHub takes 65 536 characters; Linear's bound is the wire contract's.
const GITHUB_BODY: usize = 60_000;
const LINEAR_BODY: usize = 18_000;

/// What is said, and of what.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub kind: DestinationKind,
    pub draft: &'a Draft,
    pub incident: Option<&'a Incident>,
    /// What triage rendered, if it did.
    pub issue_draft: Option<&'a Value>,
    /// The delivery's idempotency key.
    pub effect: &'a str,
    pub evidence_digest: &'a str,
}

/// A text that may be sent, and what was taken out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Composed {
    pub title: String,
    pub body: String,
    /// How many values each redaction rule replaced.
    pub redactions: BTreeMap<String, u32>,
    pub truncated: bool,
}

/// A new issue. `previous` is a closed issue of the same failure.
pub fn issue(facts: &Facts<'_>, previous: Option<&Issue>) -> Composed {
    let mut counts = Counts::new();
    let draft = facts.draft;
    let suggested = text_of(facts.issue_draft, "suggested_title");
    let title = title(suggested.or(draft.title.as_deref()), draft, &mut counts);

    let rendered = text_of(facts.issue_draft, "rendered_body");
    let (sections, handoff) = match rendered {
        Some(rendered) => {
            let (sections, handoff) = split(rendered);
            let sections = if facts.kind == DestinationKind::LinearIssue { without_front(sections) } else { sections };
            (redacted(sections, draft, &mut counts), handoff)
        }
        None => (fallback(facts, &mut counts), None),
    };
    let mut head = sections.trim_end().to_owned();
    if let Some(previous) = previous {
        head.push_str(&format!("\n\nprevious\\_closed\\_issue: {}\n", name(&previous.reference)));
    }
    let mut end = format!(
        "\n\n{}\n{}\n{}",
        marker::fingerprint(&draft.fingerprint),
        marker::evidence(facts.evidence_digest),
        marker::effect(facts.effect)
    );
    if let Some(run) = &draft.triage_run_id {
        end.push_str(&format!("\n{}", marker::triage_run(run)));
    }
    if facts.kind == DestinationKind::LinearIssue {
        end.push_str(&format!("\n{}", marker::destination("linear")));
    }
    let limit = if facts.kind == DestinationKind::LinearIssue { LINEAR_BODY } else { GITHUB_BODY };
    if let Some(handoff) = handoff.filter(|text| end.len() + text.len() < limit / 3) {
        end.push_str(&format!("\n{handoff}"));
    }
    end.push('\n');
    let (head, truncated) = cut(&head, limit - end.len());
    Composed { title, body: head + &end, redactions: counted(counts), truncated }
}

/// A comment on an issue that is there: the failure came back, or came from elsewhere. `recurrence` numbers it.
pub fn comment(facts: &Facts<'_>, recurrence: Option<u64>, reopened: bool) -> Composed {
    let mut counts = Counts::new();
    let (draft, incident) = (facts.draft, facts.incident);
    let mut out = String::from(match (recurrence, reopened) {
        (Some(_), true) => "The failure came back, so this issue was opened again.\n",
        (Some(_), false) => "The failure came back.\n",
        (None, true) => "The failure was reported again, so this issue was opened again.\n",
        (None, false) => "The same failure was reported again.\n",
    });
    if let Some(incident) = incident {
        if incident.occurrence_count > 1 {
            out.push_str(&format!("\nOccurrences: {}\n", incident.occurrence_count));
        }
        if let Some(seen) = incident.last_seen_at_ms {
            out.push_str(&format!("\nLast seen: {}\n", time::format(seen)));
        }
    }
    let engine = redactor(profile(draft));
    let mut prose = |text: &str| markdown::prose(&engine.text(&truncate(text, 1_500), &mut counts));
    if let Some(happened) = text_of(facts.issue_draft, "what_happened") {
        out.push_str(&format!("\n{}\n", prose(happened)));
    } else if let Some(title) = draft.title.as_deref() {
        out.push_str(&format!("\n{}\n", prose(title)));
    }
    if let Some(lines) = incident.map(|incident| incident.excerpt.as_slice()).filter(|lines| !lines.is_empty()) {
        let joined = lines.iter().take(6).map(|line| truncate(line, 500)).collect::<Vec<_>>().join("\n");
        out.push_str(&format!("\n{}\n", markdown::fence(&engine.text(&joined, &mut counts), "text")));
    }
    let ids = [
        ("Incident", draft.incident_id.as_deref()),
        ("Draft", Some(draft.draft_id.as_str())),
        ("Run", incident.and_then(|incident| incident.run_id.as_deref())),
        ("Session", incident.and_then(|incident| incident.session_id.as_deref())),
        ("Triage", draft.triage_run_id.as_deref()),
    ];
    out.push('\n');
    for (what, id) in ids {
        if let Some(id) = non_blank(id) {
            let id = engine.text(id, &mut counts);
            out.push_str(&format!("- {what}: {}\n", markdown::code(&truncate(&id, 200))));
        }
    }
    let end = format!("\n{}\n{}\n", marker::evidence(facts.evidence_digest), marker::effect(facts.effect));
    let (head, truncated) = cut(&out, COMMENT - end.len());
    Composed { title: String::new(), body: head + &end, redactions: counted(counts), truncated }
}

fn profile(draft: &Draft) -> Option<&str> {
    draft.routing.redaction_profile.as_deref()
}

fn counted(counts: Counts) -> BTreeMap<String, u32> {
    counts.into_iter().map(|(rule, n)| (rule.to_owned(), n)).collect()
}

fn text_of<'a>(issue: Option<&'a Value>, key: &str) -> Option<&'a str> {
    non_blank(issue?.get(key)?.as_str())
}

/// One line of plain text. Trackers do not read Markdown in titles, but some find mentions there.
fn title(text: Option<&str>, draft: &Draft, counts: &mut Counts) -> String {
    let text = redactor(profile(draft)).text(text.unwrap_or_default(), counts);
    let hidden = |c: char| {
        (c.is_control() && !c.is_whitespace())
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    let line = text.replace(hidden, "").split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.replace('@', "@\u{200b}").replace("<!", "<\u{200b}!");
    let line = if line.is_empty() { "A failure was reported".to_owned() } else { line };
    let cut = floor_char_boundary(&line, TITLE);
    if cut < line.len() { format!("{}…", &line[..cut]) } else { line }
}

/// The sections of a rendered body, and the handoff behind the markers. The markers themselves are written anew.
fn split(rendered: &str) -> (&str, Option<&str>) {
    let sections = rendered.find("\n<!-- tandem:").map_or(rendered, |at| &rendered[..at]);
    let handoff = rendered[sections.len()..].find("<!-- tandem:coder_handoff:v1").map(|at| {
        let text = &rendered[sections.len() + at..];
        text.find("-->").map_or("", |end| &text[..end + 3])
    });
    (sections, handoff.filter(|text| !text.is_empty()))
}

/// Redacts a rendered text piece by piece. A rule that takes out everything up to an end mark, as the one for keys does, must
/// not reach over a heading or a fence: what follows would no longer be inside it.
fn redacted(rendered: &str, draft: &Draft, counts: &mut Counts) -> String {
    let engine = redactor(profile(draft));
    let border = |line: &str| line.starts_with("```") || line.starts_with("~~~") || line.starts_with('#');
    let mut out = String::with_capacity(rendered.len());
    let mut piece = String::new();
    for line in rendered.split_inclusive('\n') {
        if border(line) {
            out.push_str(&engine.text(&piece, counts));
            piece.clear();
            out.push_str(&engine.text(line, counts));
        } else {
            piece.push_str(line);
        }
    }
    out.push_str(&engine.text(&piece, counts));
    out
}

/// Front matter is a template's business on GitHub, and noise elsewhere.
fn without_front(sections: &str) -> &str {
    sections
        .strip_prefix("---\n")
        .and_then(|rest| rest.find("\n---\n").map(|at| rest[at + 5..].trim_start_matches('\n')))
        .unwrap_or(sections)
}

/// What is sent when triage rendered nothing: it did not run, or its deadline passed.
fn fallback(facts: &Facts<'_>, counts: &mut Counts) -> String {
    let (draft, incident) = (facts.draft, facts.incident);
    let engine = redactor(profile(draft));
    let mut out = String::new();
    if let Some(detail) = draft.detail.as_deref() {
        out.push_str(&markdown::fence(&engine.text(&truncate(detail, 4_000), counts), "text"));
        out.push('\n');
    }
    let mut lines = Vec::new();
    let mut add = |what: &str, value: Option<&str>, counts: &mut Counts| {
        if let Some(value) = non_blank(value) {
            lines.push(format!("- {what}: {}", markdown::code(&truncate(&engine.text(value, counts), 300))));
        }
    };
    add("incident_id", draft.incident_id.as_deref(), counts);
    add("triage_run_id", draft.triage_run_id.as_deref(), counts);
    if let Some(incident) = incident {
        add("event_type", Some(&incident.event_type), counts);
        add("component", incident.component.as_deref(), counts);
        add("level", incident.level.as_deref(), counts);
        add("run_id", incident.run_id.as_deref(), counts);
        add("session_id", incident.session_id.as_deref(), counts);
        add("correlation_id", incident.correlation_id.as_deref(), counts);
        if incident.occurrence_count > 1 {
            add("occurrence_count", Some(&incident.occurrence_count.to_string()), counts);
        }
        add("last_seen", incident.last_seen_at_ms.map(time::format).as_deref(), counts);
    }
    add("confidence", draft.classification.confidence.as_deref(), counts);
    add("risk_level", draft.classification.risk_level.as_deref(), counts);
    add("github_status", draft.github_status.as_deref(), counts);
    if !lines.is_empty() {
        out.push_str(&format!("\n### Diagnostic metadata\n\n{}\n", lines.join("\n")));
    }
    if let Some(excerpt) = incident.map(|incident| incident.excerpt.as_slice()).filter(|lines| !lines.is_empty()) {
        let joined = excerpt.iter().take(30).map(String::as_str).collect::<Vec<_>>().join("\n");
        let clean = engine.text(&truncate(&joined, 4_000), counts).into_owned();
        out.push_str(&format!("\n### Logs\n\n{}\n", markdown::fence(&clean, "text")));
    }
    let refs = &draft.classification.evidence_refs;
    if !refs.is_empty() {
        let refs: Vec<String> = refs
            .iter()
            .take(15)
            .map(|text| format!("- {}", markdown::code(&truncate(&engine.text(text, counts), 300))))
            .collect();
        out.push_str(&format!("\n### Evidence\n\n{}\n", refs.join("\n")));
    }
    out
}

/// How one issue names another: as a link that no text of a report can make.
fn name(reference: &IssueRef) -> String {
    match (reference.number, &reference.identifier) {
        (Some(number), _) => format!("#{number}"),
        (None, Some(identifier)) => markdown::line(identifier),
        (None, None) => markdown::line(&reference.id),
    }
}

/// At most `limit` bytes, cut after a line, an open fence closed.
fn cut(text: &str, limit: usize) -> (String, bool) {
    if text.len() <= limit {
        return (text.to_owned(), false);
    }
    const NOTE: &str = "\n\nLeft out for length.\n";
    // Room for the note and for closing the longest fence that can be open.
    let room = limit.saturating_sub(NOTE.len() + 2);
    let mut out = String::new();
    let mut open: Option<String> = None;
    for line in text.split_inclusive('\n') {
        let after = fence_after(open.as_deref(), line);
        let closing = after.as_ref().map_or(0, |fence| fence.len() + 2);
        if out.len() + line.len() + closing > room {
            break;
        }
        out.push_str(line);
        open = after;
    }
    if let Some(fence) = open {
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&fence);
    }
    out.push_str(NOTE);
    (out, true)
}

/// The fence that is open after this line, given the one before it.
fn fence_after(open: Option<&str>, line: &str) -> Option<String> {
    let trimmed = line.trim_end();
    let run = trimmed.len() - trimmed.trim_start_matches('`').len();
    match open {
        None if run >= 3 && !trimmed[run..].contains('`') => Some("`".repeat(run)),
        None => None,
        Some(fence) if run >= fence.len() && run == trimmed.len() => None,
        Some(fence) => Some(fence.to_owned()),
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
