//! The report as triage reads it: from the incident, or from the draft's composed text when the incident is gone.

use crate::{
    draft::Draft,
    incident::Incident,
    text::{floor_char_boundary, non_blank},
};

/// The report's parts, borrowed. All text is already redacted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report<'a> {
    pub title: &'a str,
    pub detail: &'a str,
    pub excerpt: Vec<&'a str>,
    pub component: Option<&'a str>,
    pub process: Option<&'a str>,
    pub source: Option<&'a str>,
    pub event: Option<&'a str>,
    pub level: Option<&'a str>,
}

/// Bytes of detail and of excerpt that are read.
const BOUND: usize = 32 * 1024;

impl<'a> Report<'a> {
    pub fn of(draft: &'a Draft, incident: Option<&'a Incident>) -> Self {
        match incident {
            Some(incident) => Self {
                title: &incident.title,
                detail: head(incident.detail.as_deref().unwrap_or_default()),
                excerpt: incident.excerpt.iter().map(String::as_str).collect(),
                component: non_blank(incident.component.as_deref()),
                process: non_blank(incident.process.as_deref()),
                source: non_blank(incident.source.as_deref()),
                event: non_blank(Some(&incident.event_type)).filter(|event| *event != "manual.report"),
                level: non_blank(incident.level.as_deref()),
            },
            None => Self::composed(draft),
        }
    }

    /// Reads back what intake composed: `key: value` lines, a blank line, the detail, an indented excerpt.
    fn composed(draft: &'a Draft) -> Self {
        let text = head(draft.detail.as_deref().unwrap_or_default());
        let mut report = Self { title: draft.title.as_deref().unwrap_or_default(), ..Self::default() };
        let (fields, rest) = text.split_once("\n\n").unwrap_or((text, ""));
        for line in fields.lines() {
            let Some((key, value)) = line.split_once(": ") else { continue };
            let slot = match key {
                "component" => &mut report.component,
                "process" => &mut report.process,
                "source" => &mut report.source,
                "event" if value != "manual.report" => &mut report.event,
                "level" => &mut report.level,
                _ => continue,
            };
            *slot = non_blank(Some(value));
        }
        let rest = rest.rsplit_once("\nevidence_refs:\n").map_or(rest, |(before, _)| before);
        let (detail, excerpt) = match rest.strip_prefix("excerpt:\n") {
            Some(excerpt) => ("", excerpt),
            None => rest.rsplit_once("\nexcerpt:\n").unwrap_or((rest, "")),
        };
        report.detail = detail;
        report.excerpt = excerpt.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        report
    }

    /// Detail and excerpt as one text.
    pub fn text(&self) -> String {
        let mut text = self.detail.to_owned();
        for line in &self.excerpt {
            if text.len() > 2 * BOUND {
                break;
            }
            text.push('\n');
            text.push_str(line);
        }
        text
    }
}

fn head(text: &str) -> &str {
    &text[..floor_char_boundary(text, BOUND)]
}
