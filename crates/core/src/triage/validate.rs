//! Phase three: how far the failure reaches, and what shows it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    inspect::Inspection,
    render,
    report::Report,
    research::{Confidence, FoundBy, Research, place},
};
use crate::{draft::Draft, incident::Incident, text::truncate};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Validation {
    pub scope: String,
    pub affected_components: Vec<String>,
    pub occurrence_count: u64,
    pub evidence: Vec<String>,
    pub steps_to_reproduce: Vec<String>,
    pub environment: Vec<String>,
    pub logs: Vec<String>,
    /// What remains unknown.
    pub open_questions: Vec<String>,
}

pub fn validate(
    draft: &Draft,
    incident: Option<&Incident>,
    inspection: &Inspection,
    research: &Research,
) -> Validation {
    let report = Report::of(draft, incident);
    let occurrence_count = incident.map_or(1, |incident| incident.occurrence_count.max(1));
    let components: Vec<String> = report.component.or(report.process).map(|c| truncate(c, 240)).into_iter().collect();
    Validation {
        scope: scope(draft, &components, occurrence_count, research),
        evidence: evidence(draft, inspection, research),
        steps_to_reproduce: steps(&report, inspection, research),
        environment: environment(draft, &report, inspection),
        logs: without_root(&inspection.log_lines, incident),
        open_questions: questions(inspection, research),
        affected_components: components,
        occurrence_count,
    }
}

fn scope(draft: &Draft, components: &[String], count: u64, research: &Research) -> String {
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let place = match components.first() {
        Some(component) => format!("{component} of {}", draft.repo),
        None => draft.repo.clone(),
    };
    let reach = match draft.safety.blast_radius.as_deref() {
        Some(radius) => format!(" Reported blast radius: {radius}."),
        None => String::new(),
    };
    let past = match research.duplicates.match_count {
        0 => " No similar failure is known.".to_owned(),
        1 => " One similar failure is known.".to_owned(),
        n => format!(" {n} similar failures are known."),
    };
    format!("Seen {times} in {place}.{reach}{past}")
}

fn evidence(draft: &Draft, inspection: &Inspection, research: &Research) -> Vec<String> {
    let mut evidence: Vec<String> =
        inspection.exceptions.iter().rev().map(|e| format!("Exception: {}", e.label())).collect();
    if inspection.exceptions.is_empty() {
        evidence.extend(inspection.error_line.iter().map(|line| format!("Error line: {line}")));
    }
    for hit in &research.file_references {
        evidence.push(match hit.found_by {
            FoundBy::Frame => format!("{}: named by the stack trace", place(hit)),
            FoundBy::Term => format!("{}: contains \"{}\" of the report", place(hit), hit.needle),
        });
    }
    evidence.extend(draft.classification.evidence_refs.iter().take(8).map(|r| format!("Reported evidence: {r}")));
    evidence.truncate(30);
    evidence
}

fn steps(report: &Report<'_>, inspection: &Inspection, research: &Research) -> Vec<String> {
    let mut steps = Vec::new();
    let trigger = report.event.or(report.component).or(report.process);
    let exact = research.file_references.iter().find(|hit| hit.exact);
    let function = inspection.top_frames.first().and_then(|frame| frame.function.as_deref());
    steps.push(match (exact, function, trigger) {
        (Some(hit), Some(function), _) => format!("Run the code path that reaches {function} at {}.", place(hit)),
        (Some(hit), None, _) => format!("Run the code path that reaches {}.", place(hit)),
        (None, Some(function), _) => format!("Run the code path that reaches {function}."),
        (None, None, Some(trigger)) => format!("Trigger what reports as {trigger}."),
        (None, None, None) => "Repeat the operation that was reported.".to_owned(),
    });
    steps.push(match inspection.headline() {
        Some(line) => format!("Observe: {line}"),
        None => format!("Observe: {}", report.title),
    });
    steps
}

fn environment(draft: &Draft, report: &Report<'_>, inspection: &Inspection) -> Vec<String> {
    [
        ("Repository", Some(draft.repo.as_str())),
        ("Language", inspection.language.as_deref()),
        ("Component", report.component),
        ("Process", report.process),
        ("Source", report.source),
        ("Event", report.event),
        ("Level", report.level),
        ("Model", draft.safety.model.as_deref()),
        ("Tool", draft.safety.tool_name.as_deref()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(format!("{name}: {}", truncate(value?, 240))))
    .collect()
}

fn questions(inspection: &Inspection, research: &Research) -> Vec<String> {
    let mut open = Vec::new();
    if inspection.exceptions.is_empty() {
        open.push("The report has no readable stack trace.".to_owned());
    }
    if !research.workspace_searched {
        open.push("The source was not searched: no workspace was available.".to_owned());
    }
    if research.truncated {
        open.push("The search ended at its bounds before it had seen every file.".to_owned());
    }
    match research.confidence {
        Confidence::High => open.push("Whether the defect is at this place or in a caller.".to_owned()),
        Confidence::Medium => {
            open.push("Whether the files found are involved: no frame resolved to a line.".to_owned())
        }
        Confidence::Low => open.push("Where in the source the failure comes from.".to_owned()),
    }
    open
}

/// Where the workspace lies on our machine is nobody's business.
fn without_root(lines: &[String], incident: Option<&Incident>) -> Vec<String> {
    let root = incident.map(|incident| incident.workspace_root.as_str()).unwrap_or_default();
    lines.iter().map(|line| render::without_root(line, root)).collect()
}
